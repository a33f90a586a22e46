"""A person's series on a regular grid in whole hundredths, as the report draws it, small enough to embed.

A drawn series is {'start': 0, 'step': seconds, 'c': certainty, 'p': seven rows of probabilities, 'v'/'vl'/'vh': valence
with its interval, 'a'/'al'/'ah': arousal, 'x': 0 or 1 + the index of the reason to abstain, 'w': weight per source},
all in whole hundredths (-100 to 100) with None for gaps. N steps, T bins.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from affekt.analysis import WEIGHTED, PersonSeries
from affekt.arrays import Floats
from affekt.labels import EKMAN

REASONS = ('contradiction', 'unsure')
MAX_BINS = 3600
"""Maximum number of bins of a series: two per pixel of a wide screen; longer recordings get longer bins."""
LEAST_STEP_S = 0.2
LETTERS = ('v', 'a')
"""Valence and arousal in a drawn series."""


def frame_series(person: str, times_s: Floats, shares: Floats, lengths_s: Floats | float) -> PersonSeries:
    """Readings per frame as a series; each reading lasts until the next one.

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


def drawn(path: PersonSeries, duration_s: float) -> dict[str, Any] | None:
    """One lane as the report draws it; None if the series has no steps.

    Args:
        path: series of one person and source.
        duration_s: duration of the recording in seconds; 0 for a still image.
    """
    path = _timed(path)
    if not len(path):
        return None
    step, bins = grid(path, duration_s)
    starts, ends = path.start_s, path.end_s
    shares = [raster(starts, ends, values, step, bins) for values in path.probabilities.T]
    known = np.isfinite(path.probabilities).any(axis=1)
    certainty = raster(starts, ends, np.where(known, path.confidence, np.nan), step, bins)
    certainty = np.where(np.isnan(certainty), np.nanmax([*shares, np.full(bins, -1.0)], axis=0), certainty)
    stated = path.states_categories | path.states_dimensions.any(axis=1)
    measured = np.isfinite(raster(starts, ends, np.where(stated, 0.0, np.nan), step, bins))
    certainty = np.where(measured, np.maximum(certainty, 0.0), np.nan)
    content: dict[str, Any] = {
        'start': 0, 'step': step, 'c': hundredths(certainty), 'p': [hundredths(row) for row in shares], 'w': {},
    }  # fmt: skip
    reasons = _reasons(path, step, bins)
    if any(reasons):
        content['x'] = reasons
    for axis, letter in enumerate(LETTERS):
        values, low, high = path.values[:, axis], path.low[:, axis], path.high[:, axis]
        own = np.isfinite(values)
        if own.any():
            content[letter] = hundredths(raster(starts, ends, values, step, bins))
            if np.isfinite(low[own]).any():
                content[f'{letter}l'] = hundredths(raster(starts[own], ends[own], low[own], step, bins))
                content[f'{letter}h'] = hundredths(raster(starts[own], ends[own], high[own], step, bins))
    content['w'] = _weights(path, step, bins)
    return content


def grid(path: PersonSeries, duration_s: float) -> tuple[float, int]:
    """Seconds per bin and number of bins: the usual length of the steps, or longer to keep within MAX_BINS.

    Steps are weighted by the number of values that they state: seven probabilities and up to two dimensions.
    """
    end = max(duration_s, float(path.end_s.max()), 1e-3)
    counts = len(EKMAN) * path.states_categories + path.states_dimensions.sum(axis=1)
    lengths = np.repeat(path.end_s - path.start_s, counts)
    usual = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else end
    step = min(end, max(LEAST_STEP_S, round(usual, 3)))
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
        bins: number of bins T.
    """
    finite = np.isfinite(values)
    starts, ends, values = starts[finite], ends[finite], values[finite]
    first = np.clip(np.floor(starts / step + 1e-9).astype(np.int64), 0, bins - 1)
    last = np.clip(np.ceil(ends / step - 1e-9).astype(np.int64) - 1, first, bins - 1)
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
    """Whole hundredths, None for nan."""
    rounded = np.round(np.nan_to_num(values) * 100).astype(int).tolist()
    return [number if known else None for number, known in zip(rounded, np.isfinite(values).tolist(), strict=True)]


def _timed(path: PersonSeries) -> PersonSeries:
    """The steps whose times are known."""
    return path.where(np.isfinite(path.start_s) & np.isfinite(path.end_s))


def _reasons(path: PersonSeries, step: float, bins: int) -> list[int]:
    """(T,) 1 + the index in REASONS where more than half of a bin abstains, else 0."""
    indices = np.zeros(bins, dtype=int)
    for index, reason in enumerate(REASONS, 1):
        flags = np.where(path.states_categories, (path.abstained == reason).astype(np.float64), np.nan)
        share = raster(path.start_s, path.end_s, flags, step, bins)
        indices[np.nan_to_num(share) > 0.5] = index
    return [int(index) for index in indices]


def _weights(path: PersonSeries, step: float, bins: int) -> dict[str, list[int | None]]:
    """Source to (T,) shares; empty where no step states weights."""
    known = np.isfinite(path.weights)  # (N, 3)
    stated = np.where(known.any(axis=1), 0.0, np.nan)
    return {
        source: hundredths(raster(path.start_s, path.end_s, np.where(own, shares, stated), step, bins))
        for source, own, shares in zip(WEIGHTED, known.T, path.weights.T, strict=True)
        if own.any()
    }
