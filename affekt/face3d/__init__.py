"""Faces in three dimensions, and pictures of them: made-up people with known expressions, and exact rasters of meshes.

A `FaceModel` takes amounts of named shapes and expressions and gives points: `face_model()` is the mesh of the 468
landmarks, `head_model()` a whole head with eyes and teeth. `rasterize` says what each pixel shows, `depth_map`,
`normal_map` and `shaded_map` draw that, and `made_up_faces` films a made-up person whose curves are known. Read
`models.py` first, then `rasteriser.py`, then `clips.py`.
"""

from affekt.face3d.batches import RasterBatch, interpolate_batch, rasterize_batch
from affekt.face3d.camera import Camera, pose_matrix
from affekt.face3d.clips import FaceClip, MadeUpFaces, made_up_faces
from affekt.face3d.curves import EMOTIONS, OTHER, SHOWN, Curves, SceneCurves, made_up_curves, made_up_scene, wander
from affekt.face3d.fitting import ExpressionFit
from affekt.face3d.gains import Gain, face_gains, shown_amounts
from affekt.face3d.maps import depth_map, normal_map, normals_at_pixels, shaded_map
from affekt.face3d.models import FaceModel, face_model, head_model, posed
from affekt.face3d.normals import point_normals
from affekt.face3d.persons import Person, made_up_person
from affekt.face3d.pictures import Light, Studio, made_up_background, made_up_light
from affekt.face3d.rasteriser import Raster, interpolate, rasterize

__all__ = [
    'EMOTIONS',
    'OTHER',
    'SHOWN',
    'Camera',
    'Curves',
    'ExpressionFit',
    'FaceClip',
    'FaceModel',
    'Gain',
    'Light',
    'MadeUpFaces',
    'Person',
    'Raster',
    'RasterBatch',
    'SceneCurves',
    'Studio',
    'depth_map',
    'face_gains',
    'face_model',
    'head_model',
    'interpolate',
    'interpolate_batch',
    'made_up_background',
    'made_up_curves',
    'made_up_faces',
    'made_up_light',
    'made_up_person',
    'made_up_scene',
    'normal_map',
    'normals_at_pixels',
    'point_normals',
    'pose_matrix',
    'posed',
    'rasterize',
    'rasterize_batch',
    'shaded_map',
    'shown_amounts',
    'wander',
]
