"""One person's fused course as arrays, for everything that looks along time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from affekt.analysis.result import Evidence
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
    table = timeline.select(person=person, source=source).to_arrow()
    starts, ends, values, confidences = (
        np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)
        for name in ('start_s', 'end_s', 'value', 'confidence')
    )
    names, reasons = table['name'].to_pylist(), table['abstained'].to_pylist()
    keys = sorted(set(zip(starts.tolist(), ends.tolist(), strict=True)))
    place = {key: index for index, key in enumerate(keys)}
    columns = {name: index for index, name in enumerate((*EKMAN, 'valence', 'arousal'))}
    grid = np.full((len(keys), len(columns)), np.nan)
    sure = np.full(len(keys), np.nan)
    abstained = [''] * len(keys)
    for start, end, name, value, confidence, reason in zip(
        starts.tolist(), ends.tolist(), names, values, confidences, reasons, strict=True
    ):
        if name in columns:
            step = place[start, end]
            grid[step, columns[name]] = value
            if name in EKMAN:
                sure[step], abstained[step] = confidence, reason
    spans = np.array(keys, dtype=np.float64).reshape(-1, 2)
    return Lane(person, spans[:, 0], spans[:, 1], grid[:, :7], grid[:, 7], grid[:, 8], sure, tuple(abstained))


def column(table: pa.Table, name: str) -> Floats:
    """One number column as (N,) float64; nan for nulls; all nan where the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def rows_of(table: pa.Table, person: str) -> pa.Table:
    """The rows of one person; none where the table names no persons."""
    if 'person' not in table.column_names:
        return table.slice(0, 0)
    return table.filter(pc.equal(table['person'], person))


class Readings:
    """The tables of an analysis by person and column, each column taken out once.

    Args:
        tables: name to table, as in an analysis; rows of one person in order of time.
    """

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self.tables = tables
        self._rows: dict[tuple[str, str], pa.Table] = {}
        self._columns: dict[tuple[str, str, str], Floats] = {}

    def rows(self, table: str, person: str) -> pa.Table:
        """The rows of one person; none where there is no such table."""
        if (table, person) not in self._rows:
            self._rows[table, person] = rows_of(self.tables.get(table, pa.table({})), person)
        return self._rows[table, person]

    def column(self, table: str, person: str, name: str) -> Floats:
        """(N,) one column of one person's rows; nan where it was not measured."""
        if (table, person, name) not in self._columns:
            self._columns[table, person, name] = column(self.rows(table, person), name)
        return self._columns[table, person, name]

    def evidence(self, source: str, person: str, start_s: float, end_s: float, names: tuple[str, ...]) -> Evidence:
        """What a source says about a person over a span: the mean of each column that was measured, and words."""
        table = TABLE_OF[source]
        rows = self.rows(table, person)
        if 'time_s' in rows.column_names:
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
        if source == 'words' and 'text' in rows.column_names:
            quote = ' '.join(rows['text'].filter(pa.array(inside, pa.bool_())).to_pylist())[:QUOTE_LENGTH]
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
