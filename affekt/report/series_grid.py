"""A person's series on a regular grid in whole hundredths, as the report draws it, small enough to embed.

A drawn series has these entries, in whole hundredths (-100 to 100) except start, step and x, with None for gaps:

| entry | content |
|---|---|
| start, step | first bin's start (0) and length of a bin, in seconds |
| c | (T,) certainty |
| p | seven rows (T,) of probabilities, in EKMAN order |
| v, vl, vh | (T,) valence, lower and upper end of its interval |
| a, al, ah | (T,) arousal, likewise |
| x | (T,) 0, or 1 + the index in REASONS of the reason to abstain |
| w | source to (T,) weight |

N steps of the series, T bins of the grid.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from affekt.analysis import WEIGHTED, PersonSeries
from affekt.arrays import Floats
from affekt.labels import EKMAN

REASONS = ('contradiction', 'unsure')
"""Reasons to abstain that the report tells apart."""
MAX_BINS = 3600
"""Maximum number of bins of a series: two per pixel of a wide screen; longer recordings get longer bins."""
LEAST_STEP_S = 0.2
"""Shortest bin in seconds."""
LETTERS = ('v', 'a')
"""Valence and arousal in a drawn series."""


def frame_series(person: str, times_s: Floats, shares: Floats, lengths_s: Floats | float) -> PersonSeries:
    """Readings per frame as a series of the source 'face', without dimensions and weights.

    Args:
        person: person of the face.
        times_s: (N,) times of the frames in seconds.
        shares: (N, 7) probabilities in EKMAN order, nan where a frame was not evaluated.
        lengths_s: (N,) seconds that each frame stands for, or one number for all.
    """
    count = len(times_s)
    unknown, blank = np.full((count, 2), np.nan), np.full(count, '', dtype=object)
    certainty = shares.max(axis=1)
    return PersonSeries(
        person, 'face', times_s, times_s + lengths_s, shares, unknown, unknown, unknown, certainty, np.ones(count),
        np.full((count, len(WEIGHTED)), np.nan), blank, blank,
    )  # fmt: skip


def drawn(series: PersonSeries, duration_s: float) -> dict[str, Any] | None:
    """A series as the report draws it, see the table above; None if no step has known times.

    Args:
        series: series of one person and source.
        duration_s: duration of the recording in seconds; 0 for a still image.
    """
    series = _timed(series)
    if not len(series):
        return None
    step, bins = grid(series, duration_s)
    starts, ends = series.start_s, series.end_s
    shares = [raster(starts, ends, values, step, bins) for values in series.probabilities.T]
    known = np.isfinite(series.probabilities).any(axis=1)
    certainty = raster(starts, ends, np.where(known, series.confidence, np.nan), step, bins)
    certainty = np.where(np.isnan(certainty), np.nanmax([*shares, np.full(bins, -1.0)], axis=0), certainty)
    stated = series.states_categories | series.states_dimensions.any(axis=1)
    measured = np.isfinite(raster(starts, ends, np.where(stated, 0.0, np.nan), step, bins))
    certainty = np.where(measured, np.maximum(certainty, 0.0), np.nan)
    content: dict[str, Any] = {
        'start': 0, 'step': step, 'c': hundredths(certainty), 'p': [hundredths(row) for row in shares], 'w': {},
    }  # fmt: skip
    reasons = _reasons(series, step, bins)
    if any(reasons):
        content['x'] = reasons
    for axis, letter in enumerate(LETTERS):
        values, low, high = series.values[:, axis], series.low[:, axis], series.high[:, axis]
        is_known = np.isfinite(values)
        if is_known.any():
            content[letter] = hundredths(raster(starts, ends, values, step, bins))
            if np.isfinite(low[is_known]).any():
                content[f'{letter}l'] = hundredths(raster(starts[is_known], ends[is_known], low[is_known], step, bins))
                content[f'{letter}h'] = hundredths(raster(starts[is_known], ends[is_known], high[is_known], step, bins))
    content['w'] = _weights(series, step, bins)
    return content


def grid(series: PersonSeries, duration_s: float) -> tuple[float, int]:
    """Seconds per bin and number of bins: the median length of the steps, or a multiple of it to keep within MAX_BINS.

    Steps are weighted by the number of values that they state: seven probabilities and up to two dimensions.

    Args:
        series: series with at least one step.
        duration_s: duration of the recording in seconds; 0 for a still image.
    """
    end = max(duration_s, float(series.end_s.max()), 1e-3)
    counts = len(EKMAN) * series.states_categories + series.states_dimensions.sum(axis=1)
    lengths = np.repeat(series.end_s - series.start_s, counts)
    usual_s = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else end
    step = min(end, max(LEAST_STEP_S, round(usual_s, 3)))
    step *= max(1, math.ceil(end / step / MAX_BINS))
    return round(step, 6), max(1, math.ceil(end / step - 1e-6))


def raster(starts: Floats, ends: Floats, values: Floats, step: float, bins: int) -> Floats:
    """(T,) mean of the values in each bin, weighted by the time they share with it; nan where there are none.

    A span of length 0 counts for the bin that contains it.

    Args:
        starts: (N,) start times in seconds.
        ends: (N,) end times in seconds.
        values: (N,) values, nan where unknown.
        step: seconds per bin.
        bins: T.
    """
    finite = np.isfinite(values)
    starts, ends, values = starts[finite], ends[finite], values[finite]
    first = np.clip(np.floor(starts / step + 1e-9).astype(np.int64), 0, bins - 1)
    last = np.clip(np.ceil(ends / step - 1e-9).astype(np.int64) - 1, first, bins - 1)
    # A step from bin 2 to bin 4 becomes three cells:
    #   first 2, last 4  ->  counts 3
    #   offset 0 1 2     ->  cell 2 3 4, all of the same row
    counts = last - first + 1
    row = np.repeat(np.arange(len(starts)), counts)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    cell = first[row] + offset
    shared = np.minimum(ends[row], (cell + 1) * step) - np.maximum(starts[row], cell * step)
    shared = np.maximum(shared, 1e-9)
    total = np.bincount(cell, shared, bins)[:bins]
    summed = np.bincount(cell, shared * values[row], bins)[:bins]
    return np.asarray(np.divide(summed, total, out=np.full(bins, np.nan), where=total > 0))


def hundredths(values: Floats) -> list[int | None]:
    """Values (T,) times 100, rounded to integers; None for nan and infinity."""
    rounded = np.round(np.nan_to_num(values) * 100).astype(int).tolist()
    return [
        value if is_finite else None for value, is_finite in zip(rounded, np.isfinite(values).tolist(), strict=True)
    ]


def _timed(series: PersonSeries) -> PersonSeries:
    """The steps whose times are known."""
    return series.where(np.isfinite(series.start_s) & np.isfinite(series.end_s))


def _reasons(series: PersonSeries, step: float, bins: int) -> list[int]:
    """(T,) 1 + the index in REASONS where that reason holds for more than half of a bin's stated time, else 0."""
    indices = np.zeros(bins, dtype=int)
    for index, reason in enumerate(REASONS, 1):
        flags = np.where(series.states_categories, (series.abstained == reason).astype(np.float64), np.nan)
        share = raster(series.start_s, series.end_s, flags, step, bins)
        indices[np.nan_to_num(share) > 0.5] = index
    return [int(index) for index in indices]


def _weights(series: PersonSeries, step: float, bins: int) -> dict[str, list[int | None]]:
    """Source to (T,) shares; empty where no step states weights."""
    known = np.isfinite(series.weights)  # (N, 3)
    stated = np.where(known.any(axis=1), 0.0, np.nan)
    return {
        source: hundredths(raster(series.start_s, series.end_s, np.where(is_known, shares, stated), step, bins))
        for source, is_known, shares in zip(WEIGHTED, known.T, series.weights.T, strict=True)
        if is_known.any()
    }
