"""Animating the face of a portrait by a video of another face, by a named emotion, or by curves.

A `Motion` is a stream of `MotionFrame`s, each the difference of a face from its own calm state. `motion_of_video`
reads it from a driver; `motion_of_emotion`, `motion_of_curves` and `motion_of_timeline` create it; `transfer` fits
it to a portrait; `reenact` draws a `Portrait`, and `reenact_to` does all of it, from files to a signed
file. Read `motion.py` first, then `portrait.py` and `engine.py`.
"""

from affekt.provenance import (
    PORTRAYED,
    Consent,
    Credentials,
    Provenance,
    Verdict,
    own_credentials,
    read_credentials,
    require_signable,
    required_consent,
    sign,
    verify,
    with_note,
)
from affekt.reenactment.amounts import frame_of_amounts
from affekt.reenactment.benchmark import METRICS, Comparison, compare_reenactment
from affekt.reenactment.canonical import LaidFace, laid_face
from affekt.reenactment.cast import PortraitCast
from affekt.reenactment.curves import TIMELINE_SOURCES, motion_of_curves, motion_of_series, motion_of_timeline
from affekt.reenactment.diffused import DiffusedEngine, PaintSettings
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
from affekt.reenactment.engine import Engine, EngineSettings, reenact
from affekt.reenactment.making import Reenactment, ReenactSettings, reenact_to
from affekt.reenactment.motion import HEAD_CENTER_CM, INNER_LIPS, FaceState, Motion, MotionFrame, MouthPicture, blended
from affekt.reenactment.output import Reenacted, write_reenactment
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.reading_back import ReadBack, Reader, named_scores
from affekt.reenactment.refining import RefinedEngine, SelfDriven, TrainedRefiner, self_driven, train_refiner
from affekt.reenactment.sources import (
    ByCurves,
    ByEmotion,
    ByTimeline,
    ByVideo,
    MotionSource,
    Pair,
    read_pairs,
)
from affekt.reenactment.steadying import Steadying
from affekt.reenactment.stimuli import Design, Stimuli, equally_light, make_stimuli
from affekt.reenactment.transfer import PortraitRange, TransferSettings, portrait_range, transfer

__all__ = [
    'EMOTIONS',
    'HEAD_CENTER_CM',
    'INNER_LIPS',
    'METRICS',
    'PORTRAYED',
    'RECIPES',
    'TIMELINE_SOURCES',
    'UNIT_DIRECTIONS',
    'ByCurves',
    'ByEmotion',
    'ByTimeline',
    'ByVideo',
    'Comparison',
    'Consent',
    'Credentials',
    'Design',
    'DiffusedEngine',
    'DriverSettings',
    'Engine',
    'EngineSettings',
    'FaceState',
    'LaidFace',
    'Motion',
    'MotionFrame',
    'MotionSource',
    'MouthPicture',
    'PaintSettings',
    'Pair',
    'Portrait',
    'PortraitCast',
    'PortraitRange',
    'Provenance',
    'ReadBack',
    'Reader',
    'Recipe',
    'ReenactSettings',
    'Reenacted',
    'Reenactment',
    'RefinedEngine',
    'SelfDriven',
    'Steadying',
    'Stimuli',
    'TrainedRefiner',
    'TransferSettings',
    'Verdict',
    'apex_of_emotion',
    'blended',
    'compare_reenactment',
    'equally_light',
    'frame_of_amounts',
    'laid_face',
    'make_stimuli',
    'motion_of_curves',
    'motion_of_emotion',
    'motion_of_frames',
    'motion_of_series',
    'motion_of_timeline',
    'motion_of_video',
    'named_emotions',
    'named_scores',
    'own_credentials',
    'portrait_range',
    'read_credentials',
    'read_pairs',
    'reenact',
    'reenact_to',
    'require_signable',
    'required_consent',
    'self_driven',
    'sign',
    'train_refiner',
    'transfer',
    'verify',
    'with_note',
    'write_reenactment',
]
