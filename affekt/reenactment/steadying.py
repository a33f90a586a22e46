"""Removal of jitter: a one-euro filter for each part of motion, which keeps quick movements.

| part | unit | minimum cutoff, Hz | increase of cutoff, Hz |
|---|---|---|---|
| offsets | cm | 2.5 | 2 for each cm/s |
| opening | share | 3 | 10 for each 1/s |
| gaze | eye widths | 3 | 40 for each width/s |
| rotation | rad | 2 | 20 for each rad/s |
| translation | cm | 2 | 1 for each cm/s |
| size | factor e | 1.5 | 20 for each factor e a second |

A blink closes an eye in a tenth of a second, so its cutoff is far above the frame rate; landmarks of a still face
jitter by 0.1 mm, and their cutoff stays near the minimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.errors import ValueRangeError
from affekt.face3d import turn
from affekt.frames import OneEuro
from affekt.reenactment.motion import POINTS, MotionFrame, rotation_vector

CUTOFFS = {
    'offsets': (2.5, 2.0), 'opening': (3.0, 10.0), 'gaze': (3.0, 40.0),
    'rotation': (2.0, 20.0), 'translation': (2.0, 1.0), 'size': (1.5, 20.0),
}  # fmt: skip
"""Part to its minimum cutoff in Hz and the increase with speed."""
SPEED_CUTOFF_HZ = 5.0


@dataclass(frozen=True)
class Steadying:
    """Strength of the filter against jitter.

    Args:
        strength: 1 for the table above; the cutoffs are divided by it, so that 2 smooths twice as much. 0 changes
            nothing.

    Raises:
        ValueRangeError: it is below 0 or not finite.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise ValueRangeError(
                expected='a strength of 0 or more', came=f'{self.strength}', todo='give 1 for the usual, 0 for none'
            )


def steadied(
    frames: Iterable[tuple[float, MotionFrame | None]], steadying: Steadying
) -> Iterator[tuple[float, MotionFrame | None]]:
    """Frames without jitter; None is passed on and leaves the filter unchanged.

    Args:
        frames: times with the motion at them.
        steadying: strength of the filter.
    """
    filters = {part: _filter(*CUTOFFS[part], steadying.strength) for part in CUTOFFS}
    previous_s: float | None = None
    for time_s, frame in frames:
        if frame is None or steadying.strength == 0:
            yield time_s, frame
            continue
        step_s = 1.0 if previous_s is None else max(time_s - previous_s, 1e-3)
        previous_s = time_s
        values: dict[str, npt.NDArray[np.floating]] = {
            'offsets': frame.offsets.ravel(), 'opening': frame.opening, 'gaze': frame.gaze.ravel(),
            'rotation': rotation_vector(frame.rotation), 'translation': frame.translation,
            'size': np.array([math.log(frame.scale)]),
        }  # fmt: skip
        steady = {part: filters[part](value.astype(np.float64), step_s) for part, value in values.items()}
        yield (
            time_s,
            MotionFrame(
                time_s,
                steady['offsets'].reshape(POINTS, 3).astype(np.float32),
                np.maximum(steady['opening'], 0).astype(np.float32),
                steady['gaze'].reshape(2, 2).astype(np.float32),
                turn(steady['rotation']),
                steady['translation'],
                math.exp(float(steady['size'][0])),
                frame.mouth,
            ),
        )


def _filter(least_hz: float, slope: float, strength: float) -> OneEuro:
    return OneEuro(strength / (2 * math.pi * least_hz), slope / least_hz, 1 / (2 * math.pi * SPEED_CUTOFF_HZ))
