"""One person's fused course as arrays, for everything that looks along time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from affekt.analysis.records import Evidence
from affekt.analysis.timeline import Timeline
from affekt.labels import EKMAN

Floats = npt.NDArray[np.float64]

QUOTE_LENGTH = 280
"""Characters of what was said that a piece of evidence quotes."""

TABLE_OF = {'face': 'faces', 'voice': 'turns', 'words': 'utterances'}
"""Which table a source's readings stand in."""


@dataclass(frozen=True)
class Lane:
    """The fused rows of one person: T steps in order.

    start_s, end_s: (T,). probabilities: (T, 7), nan where the step abstains. valence, arousal, confidence: (T,).
    abstained: (T,) reasons.
    """

    person: str
    start_s: Floats
    end_s: Floats
    probabilities: Floats
    valence: Floats
    arousal: Floats
    confidence: Floats
    abstained: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start_s)

    def dimension(self, name: str) -> Floats:
        """(T,) 'valence' or 'arousal'."""
        return self.valence if name == 'valence' else self.arousal

    def between(self, start_s: float, end_s: float) -> npt.NDArray[np.bool_]:
        """(T,) the steps that share time with a span."""
        return np.asarray((self.start_s < end_s) & (self.end_s > start_s))


def lane(timeline: Timeline, person: str, source: str = 'fused') -> Lane:
    """One person's rows of one source, laid out by step; empty where there are none."""
    wanted = ('valence', 'arousal', *EKMAN)
    table = timeline.to_arrow()
    named = pc.is_in(table['name'], value_set=pa.array(wanted))
    mine = pc.and_(pc.equal(table['person'], person), pc.equal(table['source'], source))
    table = table.select(['start_s', 'end_s', 'name', 'value', 'confidence', 'abstained']).filter(pc.and_(mine, named))
    starts, ends, values, confidences = (column(table, key) for key in ('start_s', 'end_s', 'value', 'confidence'))
    spans, step = np.unique(np.stack([starts, ends], axis=1), axis=0, return_inverse=True)
    step = step.reshape(-1)
    place = np.asarray(pc.index_in(table['name'], value_set=pa.array(wanted)).to_numpy(zero_copy_only=False))
    grid = np.full((len(spans), len(wanted)), np.nan)
    grid[step, place] = values
    sure = np.full(len(spans), np.nan)
    of_category = place >= 2
    sure[step[of_category]] = confidences[of_category]
    abstained = [''] * len(spans)
    reasons = table['abstained']
    for row in np.flatnonzero(of_category & np.asarray(pc.not_equal(reasons, ''))).tolist():
        abstained[int(step[row])] = reasons[row].as_py()
    return Lane(person, spans[:, 0], spans[:, 1], grid[:, 2:], grid[:, 0], grid[:, 1], sure, tuple(abstained))


def column(table: pa.Table, name: str) -> Floats:
    """One number column as (N,) float64; nan for nulls; all nan where the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def rows_of(table: pa.Table, person: str, names: Sequence[str] | None = None) -> pa.Table:
    """The rows of one person, of all columns or of those in `names` that exist; none where there are no persons."""
    wanted = table.column_names if names is None else [name for name in names if name in table.column_names]
    if 'person' not in table.column_names:
        return table.select(wanted).slice(0, 0)
    return table.select(wanted).filter(pc.equal(table['person'], person))


class Readings:
    """The tables of an analysis by person and column, each column taken out once.

    Args:
        tables: name to table, as in an analysis; rows of one person in order of time.
    """

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self.tables = tables
        self._columns: dict[tuple[str, str, str], Floats] = {}

    def column(self, table: str, person: str, name: str) -> Floats:
        """(N,) one column of one person's rows; nan where it was not measured."""
        if (table, person, name) not in self._columns:
            held = self.tables.get(table, pa.table({}))
            rows = rows_of(held, person, (name, 'person'))
            self._columns[table, person, name] = column(rows, name)
        return self._columns[table, person, name]

    def evidence(self, source: str, person: str, start_s: float, end_s: float, names: tuple[str, ...]) -> Evidence:
        """What a source says about a person over a span: the mean of each column that was measured, and words."""
        table = TABLE_OF[source]
        held = self.tables.get(table, pa.table({}))
        if 'time_s' in held.column_names:
            times = self.column(table, person, 'time_s')
            low, high = np.searchsorted(times, [start_s - 1e-9, end_s + 1e-9])
            inside: Any = slice(int(low), int(high))
        else:
            inside = (self.column(table, person, 'start_s') < end_s) & (self.column(table, person, 'end_s') > start_s)
        readings = {}
        for name in names:
            values = self.column(table, person, name)[inside]
            values = values[~np.isnan(values)]
            if values.size:
                readings[name] = round(float(values.mean()), 4)
        quote = ''
        if source == 'words' and 'text' in held.column_names:
            texts = rows_of(held, person, ('text',))['text']
            quote = ' '.join(texts.filter(pa.array(inside, pa.bool_())).to_pylist())[:QUOTE_LENGTH]
        return Evidence(source, float(start_s), float(end_s), person, readings, quote)


def fused_evidence(lane_: Lane, start_s: float, end_s: float) -> Evidence:
    """What the fused rows say over a span: mean valence, arousal, and the likeliest category."""
    steps = lane_.between(start_s, end_s)
    readings = {}
    for name in ('valence', 'arousal'):
        values = lane_.dimension(name)[steps]
        if not np.isnan(values).all():
            readings[name] = round(float(np.nanmean(values)), 4)
    shares = lane_.probabilities[steps]
    known = shares[~np.isnan(shares).any(axis=1)]
    if len(known):
        mean = known.mean(axis=0)
        readings[EKMAN[int(mean.argmax())]] = round(float(mean.max()), 4)
    return Evidence('fused', float(start_s), float(end_s), lane_.person, readings)
