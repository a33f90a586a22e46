"""Faces in three dimensions: head models, fits to images, exact rasters of meshes, and synthetic people.

A `FaceModel` maps amounts of named shapes and expressions to points: `face_model()` is the mesh of the 468 landmarks,
`head_model()` a whole head with eyes and teeth, `read_flame(path)` the user's own FLAME. `read_smirk` and `read_deca`
read FLAME's parameters from images; `read_flame_reader` combines them. `ExpressionFit` maps landmarks back to amounts,
`shown_amounts` the scores of the face network. `rasterize` finds the triangle at each pixel; `depth_map`, `normal_map`
and `shaded_map` draw it; `made_up_faces` renders a synthetic person whose curves are known.
Read `models.py` first, then `rasteriser.py`, then `clips.py`.
"""

from affekt.face3d.batches import RasterBatch, interpolate_batch, rasterize_batch
from affekt.face3d.camera import Camera, pose_matrix, turn
from affekt.face3d.clips import FaceClip, MadeUpFaces, made_up_faces
from affekt.face3d.curves import EMOTIONS, OTHER, SHOWN, Curves, SceneCurves, made_up_curves, made_up_scene, wander
from affekt.face3d.fitting import ExpressionFit
from affekt.face3d.flame import FlameLandmarks, FlameModel, read_flame
from affekt.face3d.flame_encoders import (
    EncoderCoverage,
    FlameEncoder,
    FlameParameters,
    SeenFlame,
    deca_crop,
    read_deca,
    read_flame_encoder,
    read_smirk,
    smirk_crop,
)
from affekt.face3d.flame_heads import FlameHead, FlameReader, ShownFlame, read_flame_reader
from affekt.face3d.gains import Gain, face_gains, shown_amounts
from affekt.face3d.maps import depth_map, normal_map, normals_at_pixels, shaded_map
from affekt.face3d.models import FaceGeometry, FaceModel, face_model, head_model, look_amounts, posed
from affekt.face3d.normals import point_normals
from affekt.face3d.persons import Person, made_up_person
from affekt.face3d.pictures import Light, Studio, made_up_background, made_up_light
from affekt.face3d.rasteriser import Raster, drawn_attribute, interpolate, rasterize

__all__ = [
    'EMOTIONS',
    'OTHER',
    'SHOWN',
    'Camera',
    'Curves',
    'EncoderCoverage',
    'ExpressionFit',
    'FaceClip',
    'FaceGeometry',
    'FaceModel',
    'FlameEncoder',
    'FlameHead',
    'FlameLandmarks',
    'FlameModel',
    'FlameParameters',
    'FlameReader',
    'Gain',
    'Light',
    'MadeUpFaces',
    'Person',
    'Raster',
    'RasterBatch',
    'SceneCurves',
    'SeenFlame',
    'ShownFlame',
    'Studio',
    'deca_crop',
    'depth_map',
    'drawn_attribute',
    'face_gains',
    'face_model',
    'head_model',
    'interpolate',
    'interpolate_batch',
    'look_amounts',
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
    'read_deca',
    'read_flame',
    'read_flame_encoder',
    'read_flame_reader',
    'read_smirk',
    'shaded_map',
    'shown_amounts',
    'smirk_crop',
    'turn',
    'wander',
]
