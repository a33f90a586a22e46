"""Smoothing of curves: chosen on validation, with scores before and after.

A `Smoothing` is applied to one video at a time. Frames that are nan stay nan and do not affect others. Centred forms
are for recordings; causal ones read no later value, as a live stream must.

T frames, D columns, W width in frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

SmoothingMethod = Literal['none', 'mean', 'median', 'gaussian', 'one_euro']
SMOOTHING_METHODS: dict[str, str] = {
    'none': 'as they are',
    'mean': 'the mean of W frames around; causal: the last W',
    'median': 'the median of them',
    'gaussian': 'a bell curve with the spread of a box of W frames; causal: its past half',
    'one_euro': 'a low-pass filter of width W that follows quick changes at once; always causal',
}
"""Name to its description."""
_MEDIAN_CHUNK = 1 << 20
"""Number of values sorted at once."""


@dataclass(frozen=True)
class Smoothing:
    """One kind of smoothing.

    Args:
        method: one of `SMOOTHING_METHODS`.
        width: W, frames; 1 changes nothing. For a centred mean or median, an even width counts as the next odd.
        causal: read no later frame, only the current and past ones.
        speed: for `one_euro`: increase of the bandwidth per unit change per frame; 0 for a plain low-pass.

    Raises:
        UnknownNameError: unknown method.
        ValueRangeError: a number is out of range.
    """

    method: SmoothingMethod = 'none'
    width: int = 1
    causal: bool = False
    speed: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in SMOOTHING_METHODS:
            raise UnknownNameError(
                expected=f'a method among {", ".join(SMOOTHING_METHODS)}', came=repr(self.method), todo='choose one'
            )
        if self.width < 1 or not 0 <= self.speed < math.inf:
            raise ValueRangeError(
                expected='a width of 1 frame or more and a speed of 0 or more',
                came=f'width {self.width}, speed {self.speed}', todo='correct them',
            )  # fmt: skip

    def __call__(self, values: npt.NDArray[Any]) -> Floats:
        """(T, D) float64, smoothed over time.

        Args:
            values: (T, D) of one video; a row with nan stays nan and does not affect others.

        Raises:
            ShapeError: the array does not have two axes.
        """
        if values.ndim != 2:
            raise ShapeError(expected='values (T, D)', came=f'{values.shape}', todo='give a column for each curve')
        values = np.asarray(values, dtype=np.float64)
        if self.method == 'none' or self.width == 1 or not len(values):
            return values.copy()
        if self.method == 'one_euro':
            return one_euro(values, self.width, self.speed)
        back, ahead = (self.width - 1, 0) if self.causal else (self.width // 2, self.width // 2)
        if self.method == 'median':
            return _median(values, back, ahead)
        return _weighted(values, _kernel(self.method, self.width, back, ahead), ahead)


NO_SMOOTHING = Smoothing()


@dataclass(frozen=True)
class SmoothingChoice:
    """The effect of smoothing on the validation score.

    Args:
        chosen: the best; of ties the first, which is no smoothing.
        before: the score without any.
        after: the score with the chosen one.
        scores: each candidate and its score, nan if undefined.
    """

    chosen: Smoothing
    before: float
    after: float
    scores: tuple[tuple[Smoothing, float], ...]


def smoothing_candidates(
    widths: Sequence[int] = (3, 5, 9, 15, 25, 45, 75), *, causal: bool = False
) -> tuple[Smoothing, ...]:
    """No smoothing, and each method at each width, narrow ones first; `one_euro` only among causal ones."""
    methods: tuple[SmoothingMethod, ...] = ('mean', 'median', 'gaussian')
    tried = [Smoothing(method, width, causal) for width in widths for method in methods]
    if causal:
        tried += [Smoothing('one_euro', width, True, speed) for width in widths for speed in (0.0, 10.0)]
    return NO_SMOOTHING, *tried


def tuned_smoothing(
    predictions: Mapping[str, npt.NDArray[Any]],
    score: Callable[[Mapping[str, Floats]], float],
    candidates: Sequence[Smoothing] = (),
) -> SmoothingChoice:
    """The smoothing with the highest score on validation videos, never on those of a test.

    Args:
        predictions: video to its (T, D) predictions, such as probabilities or valence and arousal.
        score: function from smoothed predictions to the official score; larger is better.
        candidates: candidates besides no smoothing; () for `smoothing_candidates()`.

    Returns:
        The choice; no smoothing if nothing is better.
    """
    others = [candidate for candidate in candidates or smoothing_candidates() if candidate.method != 'none']
    scores = [(candidate, _score_of(candidate, predictions, score)) for candidate in (NO_SMOOTHING, *others)]
    defined = [(value, -index) for index, (_, value) in enumerate(scores) if not math.isnan(value)]
    best, index = max(defined, default=(math.nan, 0))
    return SmoothingChoice(scores[-index][0], scores[0][1], best, tuple(scores))


class OneEuro:
    """The one-euro filter: a low-pass filter whose bandwidth grows with speed.

        y += a (x - y),    a = 1 / (1 + rest / (1 + opening |v|) / step)
        v += b ((x - y before) / step - v),    b = 1 / (1 + rest_of_speed / step)

    The paper has cutoffs in Hz: rest = 1 / (2 pi least cutoff), opening = slope / least cutoff. Times may be in seconds
    or in frames, as long as all of them are.

    Args:
        rest: time constant at rest, >= 0; 0 does not smooth.
        opening: the time constant is divided by 1 + opening |v|; >= 0.
        rest_of_speed: time constant of the speed's own filter, >= 0.

    Source: Casiez, Roussel & Vogel 2012, doi:10.1145/2207676.2208639, algorithm 1.
    """

    def __init__(self, rest: float, opening: float, rest_of_speed: float) -> None:
        self._rest, self._opening, self._rest_of_speed = rest, opening, rest_of_speed
        self._level: Floats | None = None
        self._speed: Floats = np.zeros(0)

    def __call__(self, values: Floats, step: float = 1.0) -> Floats:
        """The smoothed (..., D) values.

        Args:
            values: (..., D), always of the same shape; a row with nan is skipped and stays nan.
            step: time since the previous values, > 0; no effect on the first.
        """
        if self._level is None:
            self._level, self._speed = np.full(values.shape, np.nan), np.zeros(values.shape)
        is_known = ~np.isnan(values).any(axis=-1, keepdims=True)
        is_first = np.isnan(self._level)
        change = np.where(is_first, 0.0, values - self._level)
        weight = 1 / (1 + self._rest_of_speed / step)
        self._speed = np.where(is_known, self._speed + weight * (change / step - self._speed), self._speed)
        gain = 1 / (1 + self._rest / (1 + self._opening * np.abs(self._speed)) / step)
        moved = np.where(is_first, values, self._level + gain * change)
        self._level = np.where(is_known, moved, self._level)
        return np.where(is_known, self._level, np.nan)


def one_euro(values: Floats, width: float, speed: float, speed_width: float = 10.0) -> Floats:
    """`OneEuro` over time, with widths in frames: at rest an exponential mean with the lag of a mean over W frames.

    Its weight at rest is 2 / (W + 1), which is a time constant of (W - 1) / 2 frames.

    Args:
        values: (..., T, D); a row with nan is skipped and stays nan.
        width: W, frames.
        speed: 0 or more; increase of the bandwidth per unit change per frame.
        speed_width: W of the filter for the speed.
    """
    filter_ = OneEuro((width - 1) / 2, speed, (speed_width - 1) / 2)
    result = np.full(values.shape, np.nan)
    for t in range(values.shape[-2]):
        result[..., t, :] = filter_(values[..., t, :])
    return result


def _score_of(
    smoothing: Smoothing, predictions: Mapping[str, npt.NDArray[Any]], score: Callable[[Mapping[str, Floats]], float]
) -> float:
    return float(score({video: smoothing(values) for video, values in predictions.items()}))


def _kernel(method: str, width: int, back: int, ahead: int) -> Floats:
    """Weights from the earliest to the latest frame.

    (back + 1 + ahead,) ones for a mean. A bell extends over three standard deviations, to the past alone if causal.
    """
    if method == 'mean':
        return np.ones(back + 1 + ahead)
    deviation = math.sqrt((width**2 - 1) / 12)  # standard deviation of W equally spaced values
    reach = math.ceil(3 * deviation)
    offsets = np.arange(-reach, (reach if ahead else 0) + 1)
    return np.asarray(np.exp(-0.5 * (offsets / deviation) ** 2))


def _weighted(values: Floats, kernel: Floats, ahead: int) -> Floats:
    """(T, D) weighted means over time, over the frames that exist and are not nan; nan frames stay nan."""
    is_known: Bools = np.asarray(~np.isnan(values).any(axis=1))
    shift = len(kernel) // 2 if ahead else 0
    flipped = kernel[::-1]  # convolution flips it back
    count = len(values)

    def convolved(column: Floats) -> Floats:
        return np.convolve(column, flipped)[shift : shift + count]

    shares = convolved(is_known.astype(np.float64))
    result = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        sums = convolved(np.asarray(np.where(is_known, values[:, column], 0.0)))
        result[is_known, column] = sums[is_known] / shares[is_known]
    return result


def _median(values: Floats, back: int, ahead: int) -> Floats:
    """(T, D) medians over time, over the frames that exist and are not nan; nan frames stay nan."""
    is_known: Bools = np.asarray(~np.isnan(values).any(axis=1))
    result = np.full(values.shape, np.nan)
    edge = [np.full((count, values.shape[1]), np.nan) for count in (back, ahead)]
    padded = np.concatenate([edge[0], np.where(is_known[:, None], values, np.nan), edge[1]])
    width = back + 1 + ahead
    views = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0)  # (T, D, width)
    at_once = max(1, _MEDIAN_CHUNK // (width * max(1, values.shape[1])))
    for begin in range(0, len(values), at_once):
        chunk = np.sort(views[begin : begin + at_once], axis=2)  # nan sorts last
        counts = np.maximum((~np.isnan(chunk)).sum(axis=2, keepdims=True), 1)
        middle = [np.take_along_axis(chunk, indices, axis=2) for indices in ((counts - 1) // 2, counts // 2)]
        result[begin : begin + at_once] = ((middle[0] + middle[1]) / 2)[..., 0]
    result[~is_known] = np.nan
    return result
