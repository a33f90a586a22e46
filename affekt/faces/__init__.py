"""Faces: images in; landmarks, blendshapes, head pose, readings, expression and persons over time out.

`FaceLandmarker` reads the faces of one image, `FaceTracker` follows persons from frame to frame. Read `landmarker.py`
first.
"""

from affekt.faces.align import FER_TEMPLATE, align_face, five_points
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.faces.landmarker import Face, FaceLandmarker, Region
from affekt.faces.tracking import FaceObservation, FaceTracker

__all__ = [
    'BLENDSHAPES',
    'FER_TEMPLATE',
    'Face',
    'FaceLandmarker',
    'FaceObservation',
    'FaceTracker',
    'Region',
    'align_face',
    'five_points',
]
