"""The rows of a timeline: their columns, valid values, and conversions from arrays and dictionaries.

A row states one value for one person over [start_s, end_s) from one source ('face', 'voice', 'words' or 'fused'):
the probability of a category, valence, arousal, liveliness, or the presence of speech.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from affekt.analysis.person_series import DIMENSIONS, WEIGHT_COLUMNS, WEIGHTED, PersonSeries
from affekt.arrays import Bools
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.labels import EKMAN
from affekt.tables import arrow_array, floats, number_array, text_array

SOURCES = ('face', 'voice', 'words', 'fused')
"""The sources of rows."""

SCHEMA = pa.schema([
    ('start_s', pa.float64()),
    ('end_s', pa.float64()),
    ('person', pa.string()),
    ('source', pa.string()),
    ('name', pa.string()),
    ('value', pa.float64()),
    ('confidence', pa.float64()),
    ('low', pa.float64()),
    ('high', pa.float64()),
    ('coverage', pa.float64()),
    ('evidence', pa.string()),
    *[(name, pa.float64()) for name in WEIGHT_COLUMNS],
    ('abstained', pa.string()),
])  # fmt: skip
"""The columns of a timeline.

start_s, end_s: the span, seconds, end_s >= start_s. person: 'person 1', a transcript's name, or 'voice' for speech that
could not be assigned to a visible person. source: one of SOURCES. name: an EKMAN category, 'valence', 'arousal',
'liveliness' or 'speech'.
value: a probability in [0, 1] or a dimension in [-1, 1]; nan where the row abstains. confidence: in [0, 1] or nan. low,
high: the 95 % interval of value, nan if unknown. coverage: measured share of the span, in [0, 1].
evidence: where the value comes from, such as 'faces:happiness@12.0-13.0'. weight_face, weight_voice, weight_words: in
fused rows the share of each source in this quantity (for categories: in the odds of the likeliest one), rounded to
hundredths, nan if it takes no part. abstained: '' or the reason, 'contradiction' or 'unsure'.
"""

_DEFAULTS: Mapping[str, object] = {
    'person': '', 'confidence': float('nan'), 'low': float('nan'), 'high': float('nan'), 'coverage': 1.0,
    'evidence': '', **dict.fromkeys(WEIGHT_COLUMNS, float('nan')), 'abstained': '',
}  # fmt: skip
WEIGHTS_AS_TEXT = 'weights'
"""Column of text, such as 'face 0.62, voice 0.38', that replaces WEIGHT_COLUMNS in exports and older runs."""


def packed(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Dictionaries as a table of SCHEMA; absent keys take their defaults.

    Raises:
        ShapeError: a row has an unknown key, or lacks its span, source, name or value.
    """
    allowed, required = {*SCHEMA.names, WEIGHTS_AS_TEXT}, {'start_s', 'end_s', 'source', 'name', 'value'}
    for row in rows:
        unknown, missing = set(row) - allowed, required - set(row)
        if unknown or missing:
            raise ShapeError(
                expected=f'rows with keys among {SCHEMA.names}',
                came=f'{sorted(unknown) or "no"} unknown and {sorted(missing) or "no"} missing keys',
                todo='give each row its span, source, name and value',
            )
    if any(WEIGHTS_AS_TEXT in row for row in rows):
        texts = [row.get(WEIGHTS_AS_TEXT, '') for row in rows]
        rows = [{**row, **weights} for row, weights in zip(rows, map(_weights_in, texts), strict=True)]
    columns = {name: [row.get(name, _DEFAULTS.get(name)) for row in rows] for name in SCHEMA.names}
    return pa.table({field.name: arrow_array(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)


def series_rows(series: PersonSeries) -> pa.Table:
    """A fused series as rows; abstaining steps have the value nan and a reason."""
    shared = {
        'start_s': series.start_s, 'end_s': series.end_s, 'person': series.person, 'source': series.source,
        'confidence': series.confidence, 'coverage': series.coverage, 'evidence': series.evidence,
    }  # fmt: skip
    contradictions = np.where(series.abstained == 'contradiction', series.abstained, '')
    weights = dict(zip(WEIGHT_COLUMNS, series.weights.T, strict=True))
    names: dict[str, tuple[Bools, Mapping[str, Any]]] = {
        category: (series.states_categories, {'value': shares, 'abstained': series.abstained, **weights})
        for category, shares in zip(EKMAN, series.probabilities.T, strict=True)
    }
    for index, name in enumerate(DIMENSIONS):
        values = series.values[:, index]
        own_columns = {
            'value': values, 'low': series.low[:, index], 'high': series.high[:, index],
            'abstained': np.where(np.isnan(values), contradictions, ''),
            **dict(zip(WEIGHT_COLUMNS, series.weights_for(name).T, strict=True)),
        }  # fmt: skip
        names[name] = (series.states_dimensions[:, index], own_columns)
    return rows_by_name(shared, names)


def rows_by_name(shared: Mapping[str, Any], names: Mapping[str, tuple[Bools, Mapping[str, Any]]]) -> pa.Table:
    """Rows with the columns of SCHEMA: for each name, one per step that its mask keeps.

    Args:
        shared: column to its (T,) values, or to one value for all steps.
        names: name to its (T,) mask of steps, and its own columns.
    """
    steps = {name: np.flatnonzero(keep) for name, (keep, _) in names.items()}
    columns = {}
    for field in SCHEMA:
        parts = []
        for name, (keep, own_columns) in names.items():
            values = {**_DEFAULTS, **shared, **own_columns, 'name': name}[field.name]
            parts.append(np.broadcast_to(np.asarray(values), keep.shape)[steps[name]])
        columns[field.name] = arrow_array(np.concatenate(parts), field.type)
    return pa.table(columns, schema=SCHEMA)


def weights_as_text(table: pa.Table) -> pa.Table:
    """The table of a timeline with its weights in one column of text, such as 'face 0.62, voice 0.38'."""
    shares = np.stack([floats(table[name]) for name in WEIGHT_COLUMNS], axis=1)  # (N, 3)
    # -1 for nan: nan never equals nan, and most rows have only that
    distinct, inverse = np.unique(np.nan_to_num(shares, nan=-1.0), axis=0, return_inverse=True)
    texts = [
        ', '.join(f'{source} {share:.2f}' for source, share in zip(WEIGHTED, row, strict=True) if share >= 0)
        for row in distinct.tolist()
    ]
    index = table.column_names.index(WEIGHT_COLUMNS[0])
    row_texts = text_array(texts).take(number_array(inverse.reshape(-1)))
    return table.drop_columns(list(WEIGHT_COLUMNS)).add_column(index, WEIGHTS_AS_TEXT, row_texts)


def _weights_in(text: object) -> dict[str, float]:
    """'face 0.62, voice 0.38' by column.

    Raises:
        ShapeError: the text has another form.
    """
    columns = dict(zip(WEIGHTED, WEIGHT_COLUMNS, strict=True))
    pairs = [part.rsplit(maxsplit=1) for part in str(text).split(',') if part.strip()]
    try:
        return {columns[source.strip()]: float(share) for source, share in pairs}
    except (KeyError, ValueError) as error:
        raise ShapeError(
            expected="weights such as 'face 0.62, voice 0.38'", came=f'{str(text)[:60]!r}', todo='correct the row'
        ) from error


def _with_weights(table: pa.Table) -> pa.Table:
    """The table with weights given as text converted to numbers."""
    if WEIGHTS_AS_TEXT not in table.column_names or set(WEIGHT_COLUMNS) & set(table.column_names):
        return table
    texts = _cast(table.select([WEIGHTS_AS_TEXT]), pa.schema([(WEIGHTS_AS_TEXT, pa.string())]))[WEIGHTS_AS_TEXT]
    texts = texts.combine_chunks().dictionary_encode()
    parsed = [_weights_in(text) for text in texts.dictionary.to_pylist()]
    table = table.drop_columns([WEIGHTS_AS_TEXT])
    for name in WEIGHT_COLUMNS:
        shares = arrow_array([weights.get(name, float('nan')) for weights in parsed], pa.float64())
        table = table.append_column(name, shares.take(texts.indices))
    return table


def conforming(table: pa.Table) -> pa.Table:
    """The table with exactly the columns of SCHEMA; absent ones take their defaults.

    Raises:
        ShapeError: no Arrow table, or a column is missing, unknown or of a type that does not fit.
    """
    if not isinstance(table, pa.Table):
        raise ShapeError(expected='an Arrow table', came=type(table).__name__, todo='use Timeline.from_rows')
    table = _with_weights(table)
    names = set(table.column_names)
    missing = [field.name for field in SCHEMA if field.name not in names and field.name not in _DEFAULTS]
    unknown = sorted(names - {field.name for field in SCHEMA})
    if missing or unknown:
        raise ShapeError(
            expected=f'columns among {SCHEMA.names}', came=f'missing {missing}, unknown {unknown}', todo='rename them'
        )
    count = table.num_rows
    columns = [
        table[field.name] if field.name in names else arrow_array([_DEFAULTS[field.name]] * count, field.type)
        for field in SCHEMA
    ]
    return _cast(pa.table(columns, names=SCHEMA.names), SCHEMA)


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ShapeError(expected='columns that fit SCHEMA', came=str(error), todo='convert them first') from error


def check(table: pa.Table) -> None:
    """Checks the values of a table of SCHEMA.

    Raises:
        ValueRangeError: a null; a time that is not finite; a span that ends before it starts; a confidence, coverage or
            weight outside [0, 1].
        UnknownNameError: a source outside SOURCES.
    """
    if any(table[name].null_count for name in SCHEMA.names):
        raise ValueRangeError(expected='no nulls', came='a null', todo="use nan for numbers and '' for text")
    starts, ends = (floats(table[name]) for name in ('start_s', 'end_s'))
    if not (np.isfinite(starts).all() and np.isfinite(ends).all() and (ends >= starts).all()):
        raise ValueRangeError(
            expected='finite spans with end_s >= start_s', came='another span', todo='check the rows that made it'
        )
    for name, nan_allowed in (('confidence', True), ('coverage', False), *((name, True) for name in WEIGHT_COLUMNS)):
        values = floats(table[name])
        in_range = (values >= 0) & (values <= 1)
        if not (in_range | (np.isnan(values) & nan_allowed)).all():
            raise ValueRangeError(expected=f'{name} in [0, 1]', came='a value outside', todo='scale it first')
    unknown = sorted(set(pc.unique(table['source']).to_pylist()) - set(SOURCES))
    if unknown:
        raise UnknownNameError(expected=f'sources among {SOURCES}', came=f'{unknown}', todo='use one of these')
