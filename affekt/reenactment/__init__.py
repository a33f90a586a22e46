"""Moving the face of a portrait: by a video of another face, by a named emotion, by curves.

A `Motion` is a stream of `MotionFrame`s, each the difference of a face from its own calm state. `motion_of_video`
reads it from a driver, `motion_of_emotion`, `motion_of_curves` and `motion_of_timeline` make it; `transfer` makes it
fit for a portrait. Read `motion.py` first.
"""

from affekt.reenactment.amounts import frame_of_amounts
from affekt.reenactment.canonical import LaidFace, laid_face
from affekt.reenactment.cast import PortraitCast
from affekt.reenactment.consent import PORTRAYED, Consent, required_consent
from affekt.reenactment.credentials import Credentials, own_credentials, read_credentials, require_signing
from affekt.reenactment.curves import TIMELINE_SOURCES, motion_of_curves, motion_of_series, motion_of_timeline
from affekt.reenactment.driver import DriverSettings, motion_of_frames, motion_of_video
from affekt.reenactment.emotions import (
    EMOTIONS,
    RECIPES,
    UNIT_DIRECTIONS,
    Recipe,
    apex_of_emotion,
    motion_of_emotion,
    named_emotions,
)
from affekt.reenactment.motion import HEAD_CENTER_CM, INNER_LIPS, FaceState, Motion, MotionFrame, MouthPicture, blended
from affekt.reenactment.note import with_note
from affekt.reenactment.provenance import Provenance, Verdict, require_signable, sign, verify
from affekt.reenactment.steadying import Steadying
from affekt.reenactment.transfer import PortraitRange, TransferSettings, portrait_range, transfer

__all__ = [
    'EMOTIONS',
    'HEAD_CENTER_CM',
    'INNER_LIPS',
    'PORTRAYED',
    'RECIPES',
    'TIMELINE_SOURCES',
    'UNIT_DIRECTIONS',
    'Consent',
    'Credentials',
    'DriverSettings',
    'FaceState',
    'LaidFace',
    'Motion',
    'MotionFrame',
    'MouthPicture',
    'PortraitCast',
    'PortraitRange',
    'Provenance',
    'Recipe',
    'Steadying',
    'TransferSettings',
    'Verdict',
    'apex_of_emotion',
    'blended',
    'frame_of_amounts',
    'laid_face',
    'motion_of_curves',
    'motion_of_emotion',
    'motion_of_frames',
    'motion_of_series',
    'motion_of_timeline',
    'motion_of_video',
    'named_emotions',
    'own_credentials',
    'portrait_range',
    'read_credentials',
    'require_signable',
    'require_signing',
    'required_consent',
    'sign',
    'transfer',
    'verify',
    'with_note',
]
