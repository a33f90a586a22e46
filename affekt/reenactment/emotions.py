"""Named emotions as recipes of facial action units, and their time course.

A recipe lists action units (AU) of the Facial Action Coding System with their strengths at full intensity;
`UNIT_DIRECTIONS` maps units to named directions that move the same skin. The units of an emotion are the prototype of
the literature. Their strengths are documented only for surprise: 5 slightly (the letter B), 25 and 26 in nearly all.
The others were chosen here by eye on portraits. Reading the result back checks both
(measurements/reenact_closed_loop.py). A recipe is what coders agree to call by that name, not how everybody shows it.

| source | what is taken from it |
|---|---|
| Ekman & Friesen 1978; Ekman, Friesen & Hager 2002, Facial Action Coding System | the units |
| Friesen & Ekman 1983, EMFACS-7; FACS Investigator's Guide 2002, table 10-1 | prototypes of six emotions |
| Du, Tao & Martinez 2014, doi:10.1073/pnas.1322355111, table 1 | units that most people show in surprise |
| Ekman & Friesen 1986, doi:10.1007/BF00992253; Matsumoto & Ekman 2004, doi:10.1037/0022-3514.87.4.529 | contempt |
| Schmidt, Ambadar, Cohn & Reed 2006, doi:10.1007/s10919-005-0003-x | onset and offset of smiles: 0.4 to 0.9 s |
| Ekman 2003, Emotions Revealed, chapter 7 | surprise is the briefest; sadness lasts |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from affekt.arrays import Floats
from affekt.errors import UnknownNameError, ValueRangeError, did_you_mean
from affekt.reenactment.amounts import columns, frame_of_amounts
from affekt.reenactment.motion import DIRECTIONS, Motion, MotionFrame

UNIT_DIRECTIONS: Mapping[str, Mapping[str, float]] = {
    'AU1': {'browInnerUp': 1},
    'AU2': {'browOuterUpLeft': 1, 'browOuterUpRight': 1},
    'AU4': {'browDownLeft': 1, 'browDownRight': 1},
    'AU5': {'eyeWideLeft': 2.4, 'eyeWideRight': 2.4},
    'AU6': {'cheekSquintLeft': 1, 'cheekSquintRight': 1, 'eyeSquintLeft': 0.5, 'eyeSquintRight': 0.5},
    'AU7': {'eyeSquintLeft': 1, 'eyeSquintRight': 1},
    'AU9': {'noseSneerLeft': 1, 'noseSneerRight': 1},
    'AU10': {'mouthUpperUpLeft': 1, 'mouthUpperUpRight': 1},
    'AU12': {'mouthSmileLeft': 1, 'mouthSmileRight': 1},
    'L12': {'mouthSmileLeft': 1},
    'L14': {'mouthDimpleLeft': 1},
    'AU15': {'mouthFrownLeft': 1, 'mouthFrownRight': 1},
    'AU16': {'mouthLowerDownLeft': 1, 'mouthLowerDownRight': 1},
    'AU17': {'mouthShrugLower': 1},
    'AU20': {'mouthStretchLeft': 1, 'mouthStretchRight': 1},
    'AU23': {
        'mouthPressLeft': 0.5,
        'mouthPressRight': 0.5,
        'mouthFrownLeft': 0.45,
        'mouthFrownRight': 0.45,
        'mouthRollLower': 0.4,
        'mouthRollUpper': 0.4,
    },
    'AU25': {'mouthUpperUpLeft': 0.6, 'mouthUpperUpRight': 0.6, 'mouthLowerDownLeft': 0.6, 'mouthLowerDownRight': 0.6},
    'AU26': {'jawOpen': 1},
    'AU64': {'eyeLookDownLeft': 1, 'eyeLookDownRight': 1},
}
"""Action unit to the directions that move the same skin, with their amounts at full strength. L is the
person's left side alone; AU64 is the downward look.

AU5: a score of 1 in real video is 2.4 times the direction (`affekt/face3d/gains.md`). AU23 tightens the
lips and keeps their corners at their height: pressing alone raises them by 4.6 mm, which reads as a smile, so
lowered corners are added."""


@dataclass(frozen=True)
class Recipe:
    """Action units and timing of one emotion.

    Attributes:
        units: action unit to its strength at full intensity, 0 to 1.
        onset_s: time from rest to apex.
        offset_s: time from apex to rest.
        source: source of the units.
    """

    units: Mapping[str, float]
    onset_s: float
    offset_s: float
    source: str

    def amounts(self, intensity: float = 1.0) -> Floats:
        """(51,) amounts of the directions at an intensity; if two units move one direction, the stronger counts."""
        amounts_at_full = np.zeros(DIRECTIONS)
        for unit, strength in self.units.items():
            for name, share in UNIT_DIRECTIONS[unit].items():
                column = columns()[name]
                amounts_at_full[column] = max(amounts_at_full[column], strength * share)
        return intensity * amounts_at_full


_EMFACS = "EMFACS-7; FACS Investigator's Guide, table 10-1"
RECIPES: Mapping[str, Recipe] = {
    'happiness': Recipe({'AU6': 0.9, 'AU12': 1.0, 'AU25': 0.5}, 0.6, 0.8, f'{_EMFACS} (6 + 12, 25 optional)'),
    'sadness': Recipe(
        {'AU1': 1.0, 'AU4': 0.5, 'AU15': 1.0, 'AU17': 0.5, 'AU64': 0.3}, 1.0, 1.2, f'{_EMFACS} (1 + 4 + 15, 17, 64)'
    ),
    'anger': Recipe(
        {'AU4': 1.0, 'AU5': 0.4, 'AU7': 0.4, 'AU10': 1.0, 'AU23': 0.3, 'AU25': 1.0, 'AU26': 0.8}, 0.5, 0.8,
        f'{_EMFACS} (4 + 5 + 7 + 10 + 23 + 25 + 26)',
    ),
    'fear': Recipe(
        {'AU1': 1.0, 'AU2': 0.7, 'AU4': 0.5, 'AU5': 0.4, 'AU20': 0.9, 'AU25': 1.0, 'AU26': 0.8}, 0.4, 0.8,
        f'{_EMFACS} (1 + 2 + 4 + 5 + 20 + 26, 25)',
    ),
    'disgust': Recipe(
        {'AU4': 0.4, 'AU7': 0.4, 'AU9': 1.0, 'AU10': 0.7, 'AU15': 0.5, 'AU16': 0.4, 'AU17': 0.5}, 0.5, 0.8,
        f'{_EMFACS} (9 + 15 + 16, 10, 17)',
    ),
    'surprise': Recipe(
        {'AU1': 1.0, 'AU2': 1.0, 'AU5': 0.4, 'AU25': 0.5, 'AU26': 1.0}, 0.3, 0.6,
        f'{_EMFACS} (1 + 2 + 5B + 26); Du, Tao & Martinez 2014 (25)',
    ),
    'contempt': Recipe(
        {'L12': 0.45, 'L14': 1.0}, 0.6, 0.8, 'Ekman & Friesen 1986; Matsumoto & Ekman 2004 (12 + 14 of one side)'
    ),
}  # fmt: skip
"""Emotion to its recipe. 'neutral' is the absence of all."""
EMOTIONS = ('neutral', *RECIPES)
ALL = 'all'
MOST_SECONDS, MOST_RATE_HZ = 3600.0, 240.0
REST_S = 0.2
"""Rest before the onset and after the offset."""


def recipe(name: str) -> Recipe:
    """The recipe of an emotion; that of 'neutral' has no units.

    Raises:
        UnknownNameError: unknown emotion.
    """
    if name == 'neutral':
        return Recipe({}, 0.5, 0.5, 'the absence of all')
    if name not in RECIPES:
        raise UnknownNameError(
            expected=f'an emotion among {", ".join(EMOTIONS)}', came=repr(name), todo=did_you_mean(name, EMOTIONS)
        )
    return RECIPES[name]


def named_emotions(names: str) -> tuple[str, ...]:
    """The emotions in a comma-separated list; 'all' is every recipe.

    Raises:
        UnknownNameError: unknown emotion.
    """
    requested = [name.strip().casefold() for name in names.split(',') if name.strip()]
    chosen = [emotion for name in requested for emotion in (RECIPES if name == ALL else (name,))]
    for name in chosen or [names]:
        recipe(name)
    return tuple(dict.fromkeys(chosen))


def intensity_curve(times_s: Floats, seconds: float, onset_s: float, offset_s: float) -> Floats:
    """(T,) intensity in [0, 1]: rest, a smooth onset, the apex, a smooth offset, rest.

    If `seconds` is too short for all phases, each is shortened by the same factor.

    Args:
        times_s: (T,) in [0, seconds].
        seconds: total duration in seconds.
        onset_s: time from rest to apex in seconds.
        offset_s: time from apex to rest in seconds.
    """
    share = min(1.0, 0.8 * seconds / (2 * REST_S + onset_s + offset_s))
    rest, onset, offset = (share * part for part in (REST_S, onset_s, offset_s))
    rise = np.clip((times_s - rest) / onset, 0, 1)
    fall = np.clip((seconds - rest - times_s) / offset, 0, 1)
    return np.asarray(rise**2 * (3 - 2 * rise) * fall**2 * (3 - 2 * fall))


def apex_times(seconds: float, onset_s: float, offset_s: float) -> tuple[float, float]:
    """Start and end of the apex in seconds, for `intensity_curve`."""
    share = min(1.0, 0.8 * seconds / (2 * REST_S + onset_s + offset_s))
    return share * (REST_S + onset_s), seconds - share * (REST_S + offset_s)


def motion_of_emotion(
    name: str,
    intensity: float = 0.7,
    seconds: float = 3.0,
    *,
    rate_hz: float = 25.0,
    onset_s: float | None = None,
    offset_s: float | None = None,
) -> Motion:
    """The motion of an emotion with onset, apex and offset; the first and the last frame are neutral.

    Args:
        name: a name in EMOTIONS.
        intensity: intensity at the apex, 0 to 1.
        seconds: total duration in seconds, > 0.
        rate_hz: frames per second, > 0.
        onset_s: time from rest to apex; None takes the recipe's. offset_s likewise, back to rest.

    Raises:
        UnknownNameError: unknown emotion.
        ValueRangeError: a number is out of range.
    """
    chosen = recipe(name)
    require_intensity(intensity)
    onset, offset = chosen.onset_s if onset_s is None else onset_s, chosen.offset_s if offset_s is None else offset_s
    require_rate(rate_hz)
    if not (0 < seconds <= MOST_SECONDS and onset > 0 and offset > 0):
        raise ValueRangeError(
            expected=f'seconds above 0 and up to {MOST_SECONDS:g}, and an onset and an offset above 0',
            came=f'{seconds:g} s, onset {onset:g} s, offset {offset:g} s', todo='correct them',
        )  # fmt: skip
    count = max(2, round(seconds * rate_hz))
    times_s = np.arange(count) / rate_hz
    curve = intensity_curve(times_s, float(times_s[-1]), onset, offset)
    amounts = chosen.amounts(intensity)

    def frames() -> Iterator[MotionFrame]:
        for time_s, share in zip(times_s.tolist(), curve.tolist(), strict=True):
            yield frame_of_amounts(time_s, share * amounts) if share * intensity > 0 else MotionFrame(time_s)

    return Motion(frames(), rate_hz, count)


def apex_of_emotion(name: str, intensity: float, time_s: float = 0.0) -> MotionFrame:
    """The frame of an emotion at its apex.

    Raises:
        UnknownNameError: unknown emotion.
        ValueRangeError: the intensity is outside [0, 1].
    """
    require_intensity(intensity)
    amounts = recipe(name).amounts(intensity)
    return frame_of_amounts(time_s, amounts) if amounts.any() else MotionFrame(time_s)


def require_intensity(intensity: float) -> None:
    """Raise ValueRangeError if an intensity is outside [0, 1]."""
    if not 0 <= intensity <= 1:
        raise ValueRangeError(
            expected='an intensity from 0 to 1', came=f'{intensity:g}', todo='give 1 for the whole recipe'
        )


def require_rate(rate_hz: float) -> None:
    """Raise ValueRangeError if a frame rate is out of range."""
    if not 0 < rate_hz <= MOST_RATE_HZ:
        raise ValueRangeError(
            expected=f'frames per second above 0 and up to {MOST_RATE_HZ:g}', came=f'{rate_hz:g}', todo='give 25'
        )
