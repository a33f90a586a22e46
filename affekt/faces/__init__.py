"""Faces: images in; landmarks, blendshapes, head pose, readings, expression and persons over time out.

`FaceLandmarker` reads the faces of one image. Read `landmarker.py` first.
"""

from affekt.faces.blendshapes import BLENDSHAPES
from affekt.faces.landmarker import Face, FaceLandmarker, Region

__all__ = ['BLENDSHAPES', 'Face', 'FaceLandmarker', 'Region']
