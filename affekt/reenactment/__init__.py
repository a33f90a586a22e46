"""Moving the face of a portrait: by a video of another face, by a named emotion, by curves.

A `Motion` is a stream of `MotionFrame`s, each the difference of a face from its own calm state; `motion_of_video` reads
it from a driver. Read `motion.py` first.
"""

from affekt.reenactment.canonical import LaidFace, laid_face
from affekt.reenactment.consent import PORTRAYED, Consent, required_consent
from affekt.reenactment.credentials import Credentials, own_credentials, read_credentials, require_signing
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
from affekt.reenactment.note import with_note
from affekt.reenactment.provenance import Provenance, Verdict, require_signable, sign, verify
from affekt.reenactment.steadying import Steadying

__all__ = [
    'HEAD_CENTER_CM',
    'INNER_LIPS',
    'PORTRAYED',
    'Consent',
    'Credentials',
    'DriverSettings',
    'FaceState',
    'LaidFace',
    'Motion',
    'MotionFrame',
    'MouthPicture',
    'Provenance',
    'Steadying',
    'Verdict',
    'blended',
    'laid_face',
    'motion_of_frames',
    'motion_of_video',
    'own_credentials',
    'read_credentials',
    'require_signable',
    'require_signing',
    'required_consent',
    'sign',
    'verify',
    'with_note',
]
