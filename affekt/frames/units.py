"""Action units of ABAW from amounts of face shapes, such as commanded or read blendshapes.

| unit | shapes | active from |
|---|---|---|
| AU1, AU2, AU4 | inner brows up; outer brows up; brows down | 0.25 |
| AU7 | eyes squinted | 0.25 |
| AU6 | the lesser of AU7 and AU12: squinting under a smile | 0.25 |
| AU10, AU12, AU15 | upper lip up; smile; mouth corners down | 0.25 |
| AU23, AU24 | lips pressed | 0.25, 0.5 |
| AU25 | the largest of jaw open, lower lip down, upper lip up | 0.15 |
| AU26 | jaw open | 0.25 |

A shape of two sides counts as the mean of both. These thresholds are conventions, not fitted values.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.frames.labels import ACTION_UNITS

ACTIVE_FROM, PRESSED_FROM, PARTED_FROM = 0.25, 0.5, 0.15
UNIT_SHAPES = (
    'browInnerUp', 'jawOpen',
    *(f'{stem}{side}' for stem in ('browOuterUp', 'browDown', 'eyeSquint', 'mouthUpperUp', 'mouthSmile', 'mouthFrown',
                                   'mouthPress', 'mouthLowerDown') for side in ('Left', 'Right')),
)  # fmt: skip
"""The required shapes."""


def unit_amounts(shapes: Mapping[str, npt.ArrayLike]) -> Floats:
    """Amount of each unit, relative to its activation threshold.

    Args:
        shapes: name to (T,) amounts in [0, 1]; at least those of UNIT_SHAPES.

    Returns:
        (T, 12) in the order of ACTION_UNITS; a unit is active from 1.

    Raises:
        KeyError: a shape is missing.
    """
    amounts = {name: np.asarray(shapes[name], dtype=np.float64) for name in UNIT_SHAPES}

    def pair(stem: str) -> Floats:
        return np.asarray((amounts[f'{stem}Left'] + amounts[f'{stem}Right']) / 2)

    smile, squint, press, jaw = pair('mouthSmile'), pair('eyeSquint'), pair('mouthPress'), amounts['jawOpen']
    parted = np.max([jaw, pair('mouthLowerDown'), pair('mouthUpperUp')], axis=0)
    by_unit = {
        'AU1': amounts['browInnerUp'] / ACTIVE_FROM, 'AU2': pair('browOuterUp') / ACTIVE_FROM,
        'AU4': pair('browDown') / ACTIVE_FROM, 'AU6': np.minimum(squint, smile) / ACTIVE_FROM,
        'AU7': squint / ACTIVE_FROM, 'AU10': pair('mouthUpperUp') / ACTIVE_FROM, 'AU12': smile / ACTIVE_FROM,
        'AU15': pair('mouthFrown') / ACTIVE_FROM, 'AU23': press / ACTIVE_FROM, 'AU24': press / PRESSED_FROM,
        'AU25': parted / PARTED_FROM, 'AU26': jaw / ACTIVE_FROM,
    }  # fmt: skip
    return np.stack([by_unit[name] for name in ACTION_UNITS], axis=1)
