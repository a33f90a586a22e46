"""Timeline rows on an even grid of whole hundredths: what the report draws, small enough to embed.

A series is {'start': 0, 'step': seconds, 'c': certainty, 'p': seven rows of probabilities, 'v'/'vl'/'vh': valence with
its interval, 'a'/'al'/'ah': arousal, 'x': 0 or 1 + the index of the reason to abstain, 'w': weight per source}, all in
whole hundredths (-100 to 100) with None for gaps. T bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.analysis.timeline import Timeline
from affekt.labels import EKMAN

Floats = npt.NDArray[np.float64]

REASONS = ('contradiction', 'unsure')
MAX_BINS = 3600
"""Most bins of a series: two per pixel of a wide screen; longer recordings get longer bins."""
LEAST_STEP_S = 0.2
DIMENSIONS = {'valence': 'v', 'arousal': 'a'}


@dataclass(frozen=True)
class Rows:
    """The rows of one person and source, column by column; N rows."""

    start_s: Floats
    end_s: Floats
    value: Floats
    confidence: Floats
    low: Floats
    high: Floats
    name: npt.NDArray[np.str_]
    abstained: npt.NDArray[np.str_]
    weights: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.start_s)

    def where(self, keep: npt.NDArray[np.bool_]) -> Rows:
        """The rows where `keep` is True."""
        return Rows(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})


def rows_by_lane(timeline: Timeline) -> dict[tuple[str, str], Rows]:
    """(person, source) to its rows, in order of time; lanes without rows are absent."""
    table = timeline.to_arrow()
    numbers = ('start_s', 'end_s', 'value', 'confidence', 'low', 'high')
    columns: dict[str, Any] = {name: timeline.column(name) for name in numbers}
    for name in ('name', 'abstained', 'weights', 'person', 'source'):
        columns[name] = np.array(table[name].to_pylist(), dtype=str)
    people, sources = columns.pop('person'), columns.pop('source')
    everything = Rows(**columns)
    return {
        (str(person), str(source)): everything.where(keep)
        for person in np.unique(people)
        for source in np.unique(sources)
        if (keep := (people == person) & (sources == source)).any()
    }


def frame_rows(times_s: Floats, shares: Floats, length_s: float) -> Rows:
    """Rows of readings per frame, each lasting until the next.

    Args:
        times_s: (N,) seconds.
        shares: (7, N) probabilities in EKMAN order, nan where a frame was not evaluated.
        length_s: how long one frame stands for.
    """
    count, empty = len(times_s), np.full(7 * len(times_s), np.nan)
    starts = np.tile(times_s, 7)
    blank = np.full(7 * count, '')
    certainty = np.tile(shares.max(axis=0), 7) if count else empty
    names = np.repeat(np.array(EKMAN), count)
    return Rows(starts, starts + length_s, shares.ravel(), certainty, empty, empty, names, blank, blank)


def series(rows: Rows | None, duration_s: float) -> dict[str, Any] | None:
    """One lane as a series; None where there are no rows, or none of a category or a dimension.

    Args:
        rows: of one person and source.
        duration_s: length of the recording, seconds; 0 for a still image.
    """
    told = None if rows is None else rows.where(np.isin(rows.name, (*EKMAN, *DIMENSIONS)) & _is_timed(rows))
    if told is None or not len(told):
        return None
    step, bins = grid(told, duration_s)
    categories = told.where(np.isin(told.name, EKMAN))
    known = categories.where(np.isfinite(categories.value))
    shares = [raster(known.where(known.name == name), 'value', step, bins) for name in EKMAN]
    certainty = raster(known, 'confidence', step, bins)
    certainty = np.where(np.isnan(certainty), np.nanmax([*shares, np.full(bins, -1.0)], axis=0), certainty)
    reasons = _reasons(categories, step, bins)
    measured = np.isfinite(raster(_filled(told), 'value', step, bins))
    certainty = np.where(measured, np.maximum(certainty, 0.0), np.nan)
    content: dict[str, Any] = {
        'start': 0, 'step': step, 'c': hundredths(certainty), 'p': [hundredths(row) for row in shares], 'w': {},
    }  # fmt: skip
    if any(reasons):
        content['x'] = reasons
    for dimension, key in DIMENSIONS.items():
        own = told.where(told.name == dimension)
        own = own.where(np.isfinite(own.value))
        if len(own):
            content[key] = hundredths(raster(own, 'value', step, bins))
            if np.isfinite(own.low).any():
                content[f'{key}l'] = hundredths(raster(own, 'low', step, bins))
                content[f'{key}h'] = hundredths(raster(own, 'high', step, bins))
    content['w'] = _weights(told, step, bins)
    return content


def grid(rows: Rows, duration_s: float) -> tuple[float, int]:
    """Seconds per bin and how many: the rows' own usual length, longer where that needs more than MAX_BINS."""
    end = max(duration_s, float(rows.end_s.max()), 1e-3)
    lengths = rows.end_s - rows.start_s
    usual = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else end
    step = min(end, max(LEAST_STEP_S, round(usual, 3)))
    step *= max(1, math.ceil(end / step / MAX_BINS))
    return round(step, 6), max(1, math.ceil(end / step - 1e-6))


def _is_timed(rows: Rows) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(rows.start_s) & np.isfinite(rows.end_s))


def raster(rows: Rows, column: str, step: float, bins: int) -> Floats:
    """(T,) mean of a column over each bin, weighted by the time that each row shares with it; nan where none does.

    An instant (a row without length) counts for the bin it falls in.
    """
    values = np.asarray(getattr(rows, column), dtype=np.float64)
    finite = np.isfinite(values)
    starts, ends, values = rows.start_s[finite], rows.end_s[finite], values[finite]
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


def parse_weights(text: str) -> dict[str, float]:
    """'face 0.62, voice 0.38' as a mapping; empty for ''."""
    pairs = (part.rsplit(maxsplit=1) for part in text.split(',') if part.strip())
    return {name.strip(): float(share) for name, share in pairs}


def _filled(rows: Rows) -> Rows:
    """The rows with a number wherever something was measured: abstaining is a measurement too."""
    measured = np.isfinite(rows.value) | (rows.abstained != '')
    return Rows(**{**rows.__dict__, 'value': np.where(measured, 0.0, np.nan)})


def _reasons(rows: Rows, step: float, bins: int) -> list[int]:
    """(T,) 1 + the index in REASONS where more than half of a bin abstains, else 0."""
    found = np.zeros(bins, dtype=int)
    for index, reason in enumerate(REASONS, 1):
        flags = Rows(**{**rows.__dict__, 'value': (rows.abstained == reason).astype(np.float64)})
        share = raster(flags, 'value', step, bins)
        found[np.nan_to_num(share) > 0.5] = index
    return [int(reason) for reason in found]


def _weights(rows: Rows, step: float, bins: int) -> dict[str, list[int | None]]:
    """Source to (T,) shares; empty where no row states weights."""
    stated = rows.where(rows.weights != '')
    if not len(stated):
        return {}
    parsed = {str(text): parse_weights(str(text)) for text in np.unique(stated.weights)}
    names: Sequence[str] = [s for s in ('face', 'voice', 'words') if any(s in shares for shares in parsed.values())]
    return {
        name: hundredths(
            raster(
                Rows(**{**stated.__dict__, 'value': np.array([parsed[str(w)].get(name, 0.0) for w in stated.weights])}),
                'value', step, bins,
            )
        )
        for name in names
    }  # fmt: skip
