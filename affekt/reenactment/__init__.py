"""Moving the face of a portrait: by a video of another face, by a named emotion, by curves.

A `Motion` is a stream of `MotionFrame`s, each the difference of a face from its own calm state. Read `motion.py` first.
"""

from affekt.reenactment.motion import (
    HEAD_CENTER_CM,
    INNER_LIPS,
    FaceState,
    Motion,
    MotionFrame,
    MouthPicture,
    blended,
)

__all__ = [
    'HEAD_CENTER_CM',
    'INNER_LIPS',
    'FaceState',
    'Motion',
    'MotionFrame',
    'MouthPicture',
    'blended',
]
