"""Faces: images to landmarks, blendshapes, head pose, readings, expression and people over time.

`observe_faces` takes a recording and returns one row per person and frame. It is built from `FaceLandmarker` (the faces
of one image), `FaceTracker` (people from frame to frame), `readings` (named columns) and an `ExpressionModel`.
`FaceStream` does the same for live frames. Read `observe.py` first, then `landmarker.py`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from affekt.faces.align import FER_TEMPLATE, align_face, five_points
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.faces.completion import FaceObservation
from affekt.faces.conditions import CONDITIONS, Conditions, conditions
from affekt.faces.headpose import CanonicalFace, euler_angles_deg, similarity
from affekt.faces.landmarker import FaceLandmarker, cut
from affekt.faces.mesh import Face, Region
from affekt.faces.prototypes import ACTION_UNITS, PROTOTYPES
from affekt.faces.readings import READINGS, Reading, eyes_are_closed, readable_share, readings
from affekt.faces.shape import SHAPE_COLUMNS, face_shapes
from affekt.faces.tracking import FaceTracker

if TYPE_CHECKING:
    from affekt.faces.expression import ExpressionModel, affect, expression_model
    from affekt.faces.identity import FaceIdentity, face_crop
    from affekt.faces.observe import FaceObservations, observe_faces
    from affekt.faces.rows import ExpressionLike, SeenPerson, in_source_pixels
    from affekt.faces.same_person import IdentityLike
    from affekt.faces.stream import FaceStream, SeenFace
    from affekt.faces.track import Track

_LATER = {
    'ExpressionModel': 'expression',
    'ExpressionLike': 'rows',
    'FaceIdentity': 'identity',
    'FaceObservations': 'observe',
    'FaceStream': 'stream',
    'IdentityLike': 'same_person',
    'SeenFace': 'stream',
    'SeenPerson': 'rows',
    'Track': 'track',
    'affect': 'expression',
    'expression_model': 'expression',
    'face_crop': 'identity',
    'in_source_pixels': 'rows',
    'observe_faces': 'observe',
}

__all__ = [
    'ACTION_UNITS',
    'BLENDSHAPES',
    'CONDITIONS',
    'FER_TEMPLATE',
    'PROTOTYPES',
    'READINGS',
    'SHAPE_COLUMNS',
    'CanonicalFace',
    'Conditions',
    'ExpressionLike',
    'ExpressionModel',
    'Face',
    'FaceIdentity',
    'FaceLandmarker',
    'FaceObservation',
    'FaceObservations',
    'FaceStream',
    'FaceTracker',
    'IdentityLike',
    'Reading',
    'Region',
    'SeenFace',
    'SeenPerson',
    'Track',
    'affect',
    'align_face',
    'conditions',
    'cut',
    'euler_angles_deg',
    'expression_model',
    'eyes_are_closed',
    'face_crop',
    'face_shapes',
    'five_points',
    'in_source_pixels',
    'observe_faces',
    'readable_share',
    'readings',
    'similarity',
]


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f'affekt.faces.{_LATER[name]}'), name)
    raise AttributeError(f'module affekt.faces has no attribute {name!r}')
