"""Published facial prototypes of emotion, computed from the 52 blendshapes without image or trained weights.

A blendshape replaces the facial action unit (AU) that moves the same skin; an emotion's score is the mean intensity of
the action units in its prototype.

Axes: N faces.

Sources: Ekman & Friesen 1978, Facial Action Coding System (the action units); Friesen & Ekman 1983, EMFACS-7,
and Ekman, Friesen & Hager 2002, FACS Investigator's Guide, table 10-1 (the prototypes); Apple ARKit,
ARBlendShapeLocation (what each blendshape moves). The correspondence is by anatomy and approximate: cheek raising (AU6)
is read from eye squinting, since the blendshape network hardly ever reports cheeks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.labels import EKMAN

ACTION_UNITS: Mapping[int, tuple[str, ...]] = {
    1: ('browInnerUp',),
    2: ('browOuterUpLeft', 'browOuterUpRight'),
    4: ('browDownLeft', 'browDownRight'),
    5: ('eyeWideLeft', 'eyeWideRight'),
    6: ('eyeSquintLeft', 'eyeSquintRight'),
    7: ('eyeSquintLeft', 'eyeSquintRight'),
    9: ('noseSneerLeft', 'noseSneerRight'),
    12: ('mouthSmileLeft', 'mouthSmileRight'),
    15: ('mouthFrownLeft', 'mouthFrownRight'),
    16: ('mouthLowerDownLeft', 'mouthLowerDownRight'),
    20: ('mouthStretchLeft', 'mouthStretchRight'),
    23: ('mouthPressLeft', 'mouthPressRight'),
    26: ('jawOpen',),
}
"""Action unit to the blendshapes whose mean replaces its intensity."""

PROTOTYPES: Mapping[str, tuple[int, ...]] = {
    'anger': (4, 5, 7, 23),
    'disgust': (9, 15, 16),
    'fear': (1, 2, 4, 5, 7, 20, 26),
    'happiness': (6, 12),
    'sadness': (1, 4, 15),
    'surprise': (1, 2, 5, 26),
}
"""Emotion to the action units of its prototype (EMFACS). 'neutral' is the absence of all."""

REST = 0.2
"""Score of a neutral face: a prototype of less mean intensity counts less than it; a convention, not fitted."""
SHARPNESS = 8.0
"""Growth of the log odds with intensity: 0.1 more intensity multiplies the odds by exp(0.8); a convention, not
fitted."""


def checked_blendshapes(blendshapes: npt.ArrayLike, faces: int | None = None) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Blendshapes with missing rows set to 0, and which rows are present.

    Args:
        blendshapes: (N, 52) scores in [0, 1] in BLENDSHAPES order; a row all nan is a face without a reading.
        faces: N, if already known.

    Returns:
        (N, 52) values, and (N,) True where a row is present.

    Raises:
        ShapeError: not (N, 52), or another N than `faces`, or not numbers.
        ValueRangeError: a row is partly nan, infinite, or outside [0, 1] by more than 0.01.
    """
    scores = np.asarray(blendshapes)
    expected = f'({"N" if faces is None else faces}, {len(BLENDSHAPES)}) floats'
    if scores.dtype.kind != 'f' or scores.ndim != 2 or scores.shape[1] != len(BLENDSHAPES):
        raise ShapeError(
            expected=f'blendshapes of shape {expected}',
            came=f'{scores.shape} of {scores.dtype}',
            todo='give one row of 52 scores per face',
        )
    if faces is not None and len(scores) != faces:
        raise ShapeError(
            expected=f'blendshapes of shape {expected}',
            came=f'{scores.shape}',
            todo='give one row per face crop',
        )
    values = scores.astype(np.float64)
    present = np.asarray(~np.isnan(values).all(axis=1), dtype=np.bool_)
    present_values = values[present]
    if not (np.isfinite(present_values) & (present_values >= -0.01) & (present_values <= 1.01)).all():
        raise ValueRangeError(
            expected='blendshape rows in [0, 1], or all nan where there is no reading',
            came='a row that is partly nan, infinite or out of range',
            todo='set the whole row to nan where the face was not read',
        )
    values[~present] = 0.0
    return np.clip(values, 0.0, 1.0), present


def intensity(values: Floats, names: tuple[str, ...]) -> Floats:
    """(N,) mean of the named blendshapes of (N, 52) values."""
    return np.asarray(values[:, [BLENDSHAPES.index(name) for name in names]].mean(axis=1), dtype=np.float64)


def prototype_probabilities(blendshapes: npt.ArrayLike) -> Floats:
    """Resemblance of each face to the published prototype of each category, as shares that sum to 1.

        score(k) = mean intensity of the prototype's action units, score(neutral) = 0.2
        share(k) = exp(8 score(k)) / sum over j of exp(8 score(j))

    The shares are not calibrated.

    Args:
        blendshapes: (N, 52) scores in [0, 1]; a row all nan is a face without a reading.

    Returns:
        (N, 7) in EKMAN order; nan if the row has no reading.

    Raises:
        ShapeError: not (N, 52) floats.
        ValueRangeError: a row is partly nan or outside [0, 1].
    """
    values, present = checked_blendshapes(blendshapes)
    scores = np.full((len(values), len(EKMAN)), REST)
    for column, category in enumerate(EKMAN):
        if category in PROTOTYPES:
            units = [intensity(values, ACTION_UNITS[unit]) for unit in PROTOTYPES[category]]
            scores[:, column] = np.mean(units, axis=0)
    odds = np.exp(SHARPNESS * scores)
    shares = odds / odds.sum(axis=1, keepdims=True)
    shares[~present] = np.nan
    return np.asarray(shares, dtype=np.float64)
