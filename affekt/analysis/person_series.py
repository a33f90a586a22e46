"""One person's course as arrays over steps, and readings by person and column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from affekt.analysis.observations import LASTS
from affekt.analysis.records import Evidence
from affekt.arrays import Bools, Floats
from affekt.labels import EKMAN
from affekt.tables import flag_array, flags, floats, joined_view, number_array, text_array, text_scalar
from affekt.text import NOT_READ

DIMENSIONS = ('valence', 'arousal')
WEIGHTED = ('face', 'voice', 'words')
"""The sources that fused steps weigh, in the order of the columns of `PersonSeries.weights`."""
WEIGHT_COLUMNS = tuple(f'weight_{source}' for source in WEIGHTED)
"""Columns of the timeline with their weights."""

QUOTE_LENGTH = 280
"""Maximum length of a quote in evidence, in characters."""

TABLE_OF = {'face': 'faces', 'voice': 'turns', 'words': 'utterances'}
"""Source to the table of its readings."""


@dataclass(frozen=True, eq=False, repr=False)
class PersonSeries:
    """The readings of one source, or of all fused, for one person: T steps sorted by time.

    start_s, end_s: (T,). probabilities: (T, 7) in EKMAN order, nan where the step abstains. values, low, high: (T, 2)
    valence and arousal with their 95 % intervals. confidence, coverage: (T,). weights: (T, 3) contribution of each of
    the sources WEIGHTED to the odds of the likeliest category, as shares rounded to hundredths, nan for those that take
    no part. abstained, evidence: (T,) texts. dimension_weights: (T, 2, 3) shares in valence and in arousal.
    """

    person: str
    source: str
    start_s: Floats
    end_s: Floats
    probabilities: Floats
    values: Floats
    low: Floats
    high: Floats
    confidence: Floats
    coverage: Floats
    weights: Floats
    abstained: npt.NDArray[np.object_]
    evidence: npt.NDArray[np.object_]
    dimension_weights: Floats | None = None

    def __post_init__(self) -> None:
        if self.dimension_weights is None:
            both = np.repeat(self.weights[:, None], len(DIMENSIONS), axis=1)
            object.__setattr__(self, 'dimension_weights', both)

    def __len__(self) -> int:
        return len(self.start_s)

    def __repr__(self) -> str:
        return f'PersonSeries({self.person!r}, {self.source!r}, {len(self)} steps)'

    def where(self, keep: Bools) -> PersonSeries:
        """The steps where `keep` (T,) is True."""
        arrays = [getattr(self, part.name)[keep] for part in fields(self) if part.name not in ('person', 'source')]
        return PersonSeries(self.person, self.source, *arrays)

    @property
    def valence(self) -> Floats:
        """(T,) in [-1, 1], nan where the step has none."""
        return self.values[:, 0]

    @property
    def arousal(self) -> Floats:
        """(T,) in [-1, 1], nan where the step has none."""
        return self.values[:, 1]

    def dimension(self, name: str) -> Floats:
        """(T,) 'valence' or 'arousal'."""
        return self.values[:, DIMENSIONS.index(name)]

    @property
    def states_categories(self) -> Bools:
        """(T,) the steps with categories, or with a reason to abstain from them."""
        return np.asarray(np.isfinite(self.probabilities).any(axis=1) | (self.abstained != ''))

    @property
    def states_dimensions(self) -> Bools:
        """(T, 2) the steps with valence and with arousal, or a contradiction between sources."""
        return np.asarray(np.isfinite(self.values) | (self.abstained == 'contradiction')[:, None])

    def weights_for(self, quantity: str) -> Floats:
        """(T, 3) shares of the sources WEIGHTED in 'category', 'valence' or 'arousal'."""
        if quantity == 'category':
            return self.weights
        return np.asarray(np.asarray(self.dimension_weights)[:, DIMENSIONS.index(quantity)])

    @property
    def seconds(self) -> Floats:
        """(T,) measured seconds of each step: its length times its coverage, the weight of means over steps."""
        return np.asarray((self.end_s - self.start_s) * self.coverage)

    def between(self, start_s: float, end_s: float) -> Bools:
        """(T,) True for the steps that overlap a span."""
        return np.asarray((self.start_s < end_s) & (self.end_s > start_s))


def series_of(table: pa.Table, person: str, source: str) -> PersonSeries:
    """The rows of a timeline about one person from one source, by step; empty if there are none."""
    names = (*DIMENSIONS, *EKMAN)
    is_match = pc.and_(pc.equal(table['person'], text_scalar(person)), pc.equal(table['source'], text_scalar(source)))
    table = table.filter(pc.and_(is_match, pc.is_in(table['name'], value_set=text_array(names))))
    spans, step = np.unique(
        np.stack([column(table, 'start_s'), column(table, 'end_s')], axis=1), axis=0, return_inverse=True
    )
    step = step.reshape(-1)
    name_index = joined_view(pc.index_in(table['name'], value_set=text_array(names)), np.int32, -1)

    def by_step(columns: Sequence[str], rows: Any = slice(None)) -> Floats:
        grid = np.full((len(spans), len(columns)), np.nan)
        grid[step[rows]] = np.stack([column(table, name) for name in columns], axis=1)[rows]
        return grid

    def weights_of(rows: Any) -> Floats:
        return by_step(WEIGHT_COLUMNS, rows)  # (T, 3)

    def by_name(name: str) -> Floats:
        grid = np.full((len(spans), len(names)), np.nan)
        grid[step, name_index] = column(table, name)
        return grid

    def texts(name: str, rows: Any) -> npt.NDArray[np.object_]:
        texts_of = np.full(len(spans), '', dtype=object)
        texts_of[step[rows]] = np.array(table[name].to_pylist(), dtype=object)[rows]
        return texts_of

    categories = name_index >= len(DIMENSIONS)
    abstaining = categories & flags(pc.not_equal(table['abstained'], text_scalar('')))
    values, low, high = (by_name(name) for name in ('value', 'low', 'high'))
    dimension_weights = [weights_of(name_index == index) for index in range(len(DIMENSIONS))]
    return PersonSeries(
        person, source, spans[:, 0], spans[:, 1], values[:, 2:], values[:, :2], low[:, :2], high[:, :2],
        by_step(['confidence'], categories)[:, 0], by_step(['coverage'])[:, 0],
        _first_known(weights_of(categories), *dimension_weights), texts('abstained', abstaining),
        texts('evidence', slice(None)), np.stack(dimension_weights, axis=1),
    )  # fmt: skip


def _first_known(*alternatives: Floats) -> Floats:
    """(T, K) each row from the first alternative in which it is not all nan."""
    rows = alternatives[0]
    for other in alternatives[1:]:
        rows = np.where(np.isnan(rows).all(axis=1, keepdims=True), other, rows)
    return rows


LEADING_SHARE = 0.25
"""Minimum share of a source that is named as deciding."""


def leading_sources(series: PersonSeries, quantity: str = 'category') -> tuple[str, ...]:
    """The sources that decided a person's headline, heaviest first, each with at least LEADING_SHARE of it.

    Args:
        series: a person's fused series.
        quantity: 'category' (contributions to the likeliest category, over the steps that name it), 'valence' or
            'arousal'.

    Returns:
        Names among WEIGHTED; () if nothing was measured.
    """
    has_weights = ~np.isnan(series.weights_for(quantity)).all(axis=1)
    if quantity == 'category':
        shares = time_mean(series.probabilities, series.seconds)
        if np.isnan(shares).any():
            return ()
        likeliest = np.nan_to_num(series.probabilities, nan=-1.0).argmax(axis=1)
        has_categories = np.isfinite(series.probabilities).all(axis=1)
        agreeing = has_categories & (likeliest == shares.argmax())
        has_weights &= agreeing if (agreeing & has_weights).any() else has_categories
    else:
        has_weights &= np.isfinite(series.dimension(quantity))
    weights = np.nan_to_num(series.weights_for(quantity)[has_weights])
    totals = (
        np.nan_to_num(time_mean(weights, series.seconds[has_weights])) if has_weights.any() else np.zeros(len(WEIGHTED))
    )
    total = totals.sum()
    order = sorted(range(len(WEIGHTED)), key=lambda index: (-totals[index], WEIGHTED[index]))
    return tuple(WEIGHTED[index] for index in order if total > 0 and totals[index] / total >= LEADING_SHARE)


def time_mean(values: npt.ArrayLike, seconds: npt.ArrayLike) -> Floats:
    """The mean of readings over time: steps are weighted by their measured seconds.

        sum of seconds_t values_t / sum of seconds_t    over the steps t without nan

    Args:
        values: (T,) or (T, K).
        seconds: (T,) measured seconds of each, at least 0.

    Returns:
        A number (0-dimensional), or (K,); nan if no step is known. If all steps last 0 s, they have equal weights.
    """
    readings: Floats = np.asarray(values, dtype=np.float64)
    weights: Floats = np.asarray(seconds, dtype=np.float64)
    missing = np.isnan(readings)
    if missing.any():
        complete = ~missing.any(axis=tuple(range(1, readings.ndim)))
        readings, weights = readings[complete], weights[complete]
    if not len(readings):
        return np.full(readings.shape[1:], np.nan)
    if not weights.sum() > 0:
        weights = np.ones(len(readings))
    return np.asarray(weights @ readings / weights.sum())


def column(table: pa.Table, name: str) -> Floats:
    """One number column as (N,) float64; nan for nulls; all nan if the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return floats(table[name])


def rows_of(table: pa.Table, person: str, names: Sequence[str] | None = None) -> pa.Table:
    """The rows of one person, with all columns or those in `names` that exist; no rows if the table has no column
    `person`."""
    existing = table.column_names if names is None else [name for name in names if name in table.column_names]
    if 'person' not in table.column_names:
        return table.select(existing).slice(0, 0)
    return table.select(existing).filter(pc.equal(table['person'], text_scalar(person)))


class Readings:
    """The tables of an analysis by person and column, each column extracted once.

    Args:
        tables: name to table, as in an analysis; rows of one person sorted by time.
    """

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        self.tables = tables
        self._columns: dict[tuple[str, str, str], Floats] = {}
        self._row_indices: dict[tuple[str, str], npt.NDArray[np.intp]] = {}

    def column(self, table: str, person: str, name: str) -> Floats:
        """(N,) one column of one person's rows; nan where it was not measured."""
        if (table, person, name) not in self._columns:
            values = column(self.tables.get(table, pa.table({})), name)
            self._columns[table, person, name] = values[self._rows(table, person)]
        return self._columns[table, person, name]

    def _rows(self, table: str, person: str) -> npt.NDArray[np.intp]:
        """Indices of one person's rows, found once for all columns."""
        if (table, person) not in self._row_indices:
            measured = self.tables.get(table, pa.table({}))
            numbers = pa.table({'at': number_array(np.arange(measured.num_rows))})
            if 'person' in measured.column_names:
                numbers = numbers.append_column('person', measured['person'])
            indices = rows_of(numbers, person, ('at', 'person'))['at']
            self._row_indices[table, person] = joined_view(indices, np.int64, 0)
        return self._row_indices[table, person]

    def seconds(self, table: str, person: str) -> Floats:
        """(N,) weights of one person's frames in a mean over time: their seconds, or 1 each if evenly spaced."""
        is_uneven = LASTS in self.tables.get(table, pa.table({})).column_names
        return self.column(table, person, LASTS) if is_uneven else np.ones(len(self._rows(table, person)))

    def evidence(self, source: str, person: str, start_s: float, end_s: float, names: tuple[str, ...]) -> Evidence:
        """A source's evidence about a person over a span: the mean over time of each measured column, and the words."""
        table = TABLE_OF[source]
        measured = self.tables.get(table, pa.table({}))
        if 'time_s' in measured.column_names:
            times = self.column(table, person, 'time_s')
            low, high = np.searchsorted(times, [start_s - 1e-9, end_s + 1e-9])
            inside: Any = slice(int(low), int(high))
            seconds = self.seconds(table, person)[inside]
        else:
            starts, ends = (self.column(table, person, name) for name in ('start_s', 'end_s'))
            inside = (starts < end_s) & (ends > start_s)
            seconds = np.minimum(ends[inside], end_s) - np.maximum(starts[inside], start_s)
        readings = {}
        for name in names:
            mean = float(time_mean(self.column(table, person, name)[inside], seconds))
            if not np.isnan(mean):
                readings[name] = round(mean, 4)
        quote = ''
        if source == 'words' and 'text' in measured.column_names:
            rows = rows_of(measured, person, ('text', 'reason'))
            reasons = rows['reason'].to_pylist() if 'reason' in rows.column_names else [''] * rows.num_rows
            is_read = np.array([reason not in NOT_READ for reason in reasons], dtype=bool)
            quote = ' '.join(rows['text'].filter(flag_array(inside & is_read)).to_pylist())[:QUOTE_LENGTH]
        return Evidence(source, float(start_s), float(end_s), person, readings, quote)


def fused_evidence(series: PersonSeries, start_s: float, end_s: float) -> Evidence:
    """The fused rows' evidence over a span: mean valence and arousal over time, and the likeliest category."""
    steps = series.between(start_s, end_s)
    seconds = series.seconds[steps]
    readings = {}
    for name in DIMENSIONS:
        mean = float(time_mean(series.dimension(name)[steps], seconds))
        if not np.isnan(mean):
            readings[name] = round(mean, 4)
    shares = time_mean(series.probabilities[steps], seconds)
    if not np.isnan(shares).any():
        readings[EKMAN[int(shares.argmax())]] = round(float(shares.max()), 4)
    return Evidence('fused', float(start_s), float(end_s), series.person, readings)
