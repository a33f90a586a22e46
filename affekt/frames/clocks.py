"""Resampling of features to the frames of a video, with a mask of the frames they cover.

Faces may be read at 12.5 Hz, audio at 50 or 100 Hz, images at every stored frame. `on_clock` gives one row per
frame and a `keep_mask` that is False where a feature is missing: before it begins, after it ends, and in gaps, such
as without a face. Nothing is extrapolated: those rows are 0.

A row reaches half a step to either side. A step is the lower quartile of the distances between rows, so that
gaps do not lengthen it, or the frame interval if that is larger or there are only two rows. Between two rows
no further apart than `longest_gap_s` (two steps, so that one lost row is bridged) all frames are kept.

N rows of a feature, T frames, D columns, K neighbours.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats, Floats32, Ints
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

ClockMethod = Literal['linear', 'nearest', 'previous', 'mean', 'max', 'spread']
CLOCK_METHODS: dict[str, str] = {
    'linear': 'between the rows before and after a frame',
    'nearest': 'the row nearest in time',
    'previous': 'the last row that is not later, as a live stream has it',
    'mean': 'the mean of the rows nearer to this frame than to any other; linear where there is none',
    'max': 'the largest of those rows in each column; linear where there is none',
    'spread': 'rows spread evenly over all frames whatever their times, as published code does',
}
"""Name to its description."""
_TOLERANCE = 1 + 1e-6
"""Relative tolerance of comparisons: times that should be equal may differ by rounding."""


class OnClock(NamedTuple):
    """A feature with one row for each frame."""

    values: Floats32
    """(T, D), 0 where not kept."""
    keep_mask: Bools
    """(T,) True where the feature covers the frame."""


def frame_clock(count: int, rate_hz: float, start_s: float = 0.0) -> Floats:
    """(count,) times in seconds of frames or rows at a constant rate.

    >>> frame_clock(3, 25.0).tolist()
    [0.0, 0.04, 0.08]

    Raises:
        ValueRangeError: the rate is not positive and finite, or the count negative.
    """
    if not 0 < rate_hz < np.inf or count < 0 or not np.isfinite(start_s):
        raise ValueRangeError(
            expected='a rate above 0, a count of 0 or more and a finite start',
            came=f'{count} frames at {rate_hz} Hz from {start_s} s', todo='correct them',
        )  # fmt: skip
    return start_s + np.arange(count) / rate_hz


def on_clock(
    values: npt.NDArray[Any],
    times: Floats | None,
    frame_times: Floats,
    method: ClockMethod = 'linear',
    *,
    longest_gap_s: float | None = None,
    source: str = 'a feature',
) -> OnClock:
    """One row of a feature for each frame.

    Args:
        values: (N, D) finite; with N = 0 no frame is kept.
        times: (N,) seconds, ascending; None if each row is one frame, in order.
        frame_times: (T,) seconds, ascending.
        method: one of `CLOCK_METHODS`.
        longest_gap_s: distance of two rows, in seconds, beyond which frames in between are not kept; None for two
            steps.
        source: the feature and the sample, for messages.

    Returns:
        Values and mask. A kept frame outside bridged gaps gets the row that reaches it.

    Raises:
        ShapeError: shapes do not match, or rows without times differ in number from the frames.
        ValueRangeError: a value is not finite, times do not ascend, or the gap is not above 0.
        UnknownNameError: unknown method.
    """
    if method not in CLOCK_METHODS:
        raise UnknownNameError(
            expected=f'a method among {", ".join(CLOCK_METHODS)}', came=repr(method), todo='choose one'
        )
    if longest_gap_s is not None and not longest_gap_s > 0:
        raise ValueRangeError(
            expected='a longest gap above 0 s', came=f'{longest_gap_s}', todo='give None for two steps of the feature'
        )
    values, frame_times = np.asarray(values), np.asarray(frame_times, dtype=np.float64)
    _require_rows(values, times, source)
    _require_rising(frame_times, f'times of the frames for {source}')
    if method == 'spread':
        return _spread(values, len(frame_times))
    if times is None:
        if len(values) != len(frame_times):
            raise ShapeError(
                expected=f'a row of {source} for each of {len(frame_times):,} frames, or the times of its rows',
                came=f'{len(values):,} rows without times',
                todo="extract it with times, or spread the rows evenly with method 'spread'",
            )
        return OnClock(values.astype(np.float32), np.ones(len(values), dtype=bool))
    times = np.asarray(times, dtype=np.float64)
    _require_rising(times, f'times of the rows of {source}')
    if not len(values) or not len(frame_times):
        return OnClock(np.zeros((len(frame_times), values.shape[1]), np.float32), np.zeros(len(frame_times), bool))
    return _aligned(values, times, frame_times, method, longest_gap_s)


def neighbours(times: Floats, frame_times: Floats, count: int) -> tuple[Ints, Floats32]:
    """The rows around each frame, for a learned convolution.

    Args:
        times: (N,) seconds, ascending, N above 0.
        frame_times: (T,) seconds.
        count: K, even: half of the rows are not later than the frame.

    Returns:
        (T, K) row indices, and (T, K) how many steps each is after the frame; for a missing row the
        index is 0 and the distance nan.
    """
    before = np.searchsorted(times, frame_times, side='right') - 1  # (T,) the last row that is not later; -1 for none
    rows = before[:, None] + np.arange(1 - count // 2, count // 2 + 1)  # (T, K)
    exists = (rows >= 0) & (rows < len(times))
    rows = np.where(exists, rows, 0)
    step = _step(times, frame_times)
    distances = np.where(exists, (times[rows] - frame_times[:, None]) / step, np.nan)
    return rows.astype(np.int64), distances.astype(np.float32)


def _aligned(
    values: npt.NDArray[Any], times: Floats, frame_times: Floats, method: str, longest_gap_s: float | None
) -> OnClock:
    last, step = len(times) - 1, _step(times, frame_times)
    gap = (2 * step if longest_gap_s is None else longest_gap_s) * _TOLERANCE
    before = np.searchsorted(times, frame_times, side='right') - 1  # (T,) -1 where every row is later
    left, right = np.clip(before, 0, last), np.clip(before + 1, 0, last)
    nearest = np.where(np.abs(frame_times - times[left]) <= np.abs(times[right] - frame_times), left, right)
    is_reached = np.abs(frame_times - times[nearest]) <= step / 2 * _TOLERANCE
    if method == 'previous':
        keep = (before >= 0) & (frame_times - times[left] <= gap)
        return OnClock(_masked(values[left], keep), keep)
    is_between = (before >= 0) & (before < last) & (times[right] - times[left] <= gap)
    keep = is_between | is_reached
    if method == 'nearest':
        return OnClock(_masked(values[nearest], keep), keep)
    share = np.where(
        is_between, (frame_times - times[left]) / np.where(is_between, times[right] - times[left], 1.0), 0.0
    )
    first = np.where(is_between, left, nearest)
    share = share.astype(np.float32)[:, None]
    result = values[first] * (1 - share) + values[right] * share  # (T, D)
    if method in ('mean', 'max'):
        pooled, has_rows = _pooled(values, times, frame_times, method)
        result[has_rows], keep = pooled, keep | has_rows
    return OnClock(_masked(result, keep), keep)


def _pooled(
    values: npt.NDArray[Any], times: Floats, frame_times: Floats, method: str
) -> tuple[npt.NDArray[Any], Bools]:
    """(R, D) mean or maximum over the rows of each of the R frames that have rows, and (T,) which frames have."""
    half_step = _median_step(frame_times) / 2 if len(frame_times) > 1 else np.inf
    middles = (frame_times[1:] + frame_times[:-1]) / 2
    borders = np.concatenate([[frame_times[0] - half_step], middles, [frame_times[-1] + half_step]])  # (T + 1,)
    starts = np.searchsorted(times, borders, side='left')
    counts = np.diff(starts)
    has_rows = counts > 0
    rows = values[starts[0] : starts[-1]]
    first_rows = starts[:-1][has_rows] - starts[0]
    if not len(first_rows):
        return rows[:0], has_rows
    if method == 'max':
        return np.maximum.reduceat(rows, first_rows, axis=0), has_rows
    sums = np.add.reduceat(rows, first_rows, axis=0, dtype=np.float64)
    return (sums / counts[has_rows][:, None]).astype(np.float32), has_rows


def _spread(values: npt.NDArray[Any], count: int) -> OnClock:
    """Rows spread evenly over `count` frames: interpolated if they are fewer than the frames, else the nearest."""
    if not len(values) or not count:
        return OnClock(np.zeros((count, values.shape[1]), np.float32), np.zeros(count, bool))
    positions = np.linspace(0, len(values) - 1, count)
    if len(values) >= count:
        return OnClock(values[np.rint(positions).astype(np.int64)].astype(np.float32), np.ones(count, bool))
    left = np.floor(positions).astype(np.int64)
    share = (positions - left).astype(np.float32)[:, None]
    right = np.minimum(left + 1, len(values) - 1)
    return OnClock((values[left] * (1 - share) + values[right] * share).astype(np.float32), np.ones(count, bool))


def _masked(values: npt.NDArray[Any], keep: Bools) -> Floats32:
    values = values.astype(np.float32)
    values[~keep] = 0
    return values


def _step(times: Floats, frame_times: Floats) -> float:
    """Seconds between rows, or between frames if those are further apart; 1 if neither is known."""
    row_steps = [float(np.quantile(np.diff(times), 0.25, method='lower'))] if len(times) > 2 else []
    frame_steps = [_median_step(frame_times)] if len(frame_times) > 1 else []
    return max(row_steps + frame_steps, default=1.0)


def _median_step(times: Floats) -> float:
    return float(np.median(np.diff(times)))


def _require_rows(values: npt.NDArray[Any], times: Floats | None, source: str) -> None:
    if values.ndim != 2 or (times is not None and np.shape(times) != (len(values),)):
        raise ShapeError(
            expected=f'values (N, D) of {source} and a time for each row',
            came=f'values {values.shape}, times {None if times is None else np.shape(times)}',
            todo='check how they were extracted',
        )
    is_invalid = ~np.isfinite(values).all(axis=1)
    if is_invalid.any():
        raise ValueRangeError(
            expected=f'finite values of {source}',
            came=f'{int(is_invalid.sum())} rows that are not, the first is row {int(np.argmax(is_invalid))}',
            todo='extract it again, or leave those rows out',
        )


def _require_rising(times: Floats, name: str) -> None:
    if times.ndim != 1 or not np.isfinite(times).all():
        raise ValueRangeError(
            expected=f'{name} as finite seconds, one for each', came='others', todo='extract them again'
        )
    is_falling = np.diff(times) <= 0
    if is_falling.any():
        index = int(np.argmax(is_falling))
        raise ValueRangeError(
            expected=f'ascending {name}',
            came=f'{times[index + 1]:.3f} s after {times[index]:.3f} s, at number {index + 1}',
            todo='sort them, and keep one person and one row for each time',
        )
