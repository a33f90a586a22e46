"""Moving the face of a portrait: by a video of another face, by a named emotion, by curves.

A `Motion` is a stream of `MotionFrame`s, each the difference of a face from its own calm state; `motion_of_video` reads
it from a driver. Read `motion.py` first.
"""

from affekt.reenactment.canonical import LaidFace, laid_face
from affekt.reenactment.driver import DriverSettings, motion_of_frames, motion_of_video
from affekt.reenactment.motion import (
    HEAD_CENTER_CM,
    INNER_LIPS,
    FaceState,
    Motion,
    MotionFrame,
    MouthPicture,
    blended,
)
from affekt.reenactment.steadying import Steadying

__all__ = [
    'HEAD_CENTER_CM',
    'INNER_LIPS',
    'DriverSettings',
    'FaceState',
    'LaidFace',
    'Motion',
    'MotionFrame',
    'MouthPicture',
    'Steadying',
    'blended',
    'laid_face',
    'motion_of_frames',
    'motion_of_video',
]
