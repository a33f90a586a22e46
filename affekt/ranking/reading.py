"""Reading of comparisons from a file of verdicts in any of the known table shapes.

A shape (`shapes.py`) defines which columns hold the items, the outcome and the rest, and the meaning of each verdict;
it is recognised by its columns. A new shape is one more entry there, or an argument.

Besides its own columns every shape may have `weight`, `order` (which side was shown first: left, right, or empty), and
pairs of columns left_NAME and right_NAME for anything that may influence a verdict. Where a rater has the name of an
item, self-preference is one more covariate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from affekt.arrays import Floats, Ints
from affekt.errors import ArchiveError, ComparisonError, TableError, UnknownNameError, raised_as, short
from affekt.ranking.comparisons import Comparisons, Source, refuse_rows
from affekt.ranking.covariates import LENGTH, OWN, differences, own_model, text_lengths
from affekt.ranking.names import shown
from affekt.ranking.rater_flags import flags_in_table
from affekt.ranking.shapes import ORDERS, SHAPES, SKIP, Shape, as_word, shape_of_comparisons
from affekt.tables import Table, number, read_table, seen

THOUSANDS = re.compile(r'[+-]?[1-9]\d{0,2}(,\d{3})+')
"""Numbers whose comma may separate thousands; ambiguous in a file where commas also separate cells."""
LONGEST_NAME = 200
"""Maximum length of an item's name in characters."""
FEW_WORDS = 4
"""Mean number of words from which a column of names that hardly repeat is taken for texts."""
FEW_ROWS = 10
"""Minimum number of rows for that judgement."""


def comparison_table(path: Path) -> Table:
    """Any table that `affekt.tables.read_table` reads, with its faults raised as errors of comparisons.

    Raises:
        ComparisonError: the file cannot be read as a table.
    """
    with raised_as(ComparisonError, TableError, ArchiveError):
        return read_table(path)


def read_comparisons(
    path: str | Path, *, shape: str | Shape | None = None, items: Sequence[str] | None = None
) -> Comparisons:
    """The comparisons in a file of verdicts.

    Args:
        path: any table that `affekt.tables.read_table` reads.
        shape: a shape or its name; None to recognise it by the columns.
        items: all items, where some may never have been compared.

    Returns:
        Comparisons. Verdicts 'skip' are left out and counted in `facts`, as are kinds of ties.

    Raises:
        ComparisonError: the file is missing, empty, truncated, not text, too large or of no known shape, or a row is
            invalid: the message names the row.
        UnknownNameError: unknown shape.
    """
    path = Path(path)
    table = comparison_table(path)
    if not table.columns:
        raise ComparisonError(
            expected='at least one comparison', came=f'{table.source} without any', todo='give rows of who beat whom'
        )
    used_shape = _recognised(table) if shape is None else _named(shape)
    if missing := sorted(used_shape.needed - set(table.columns)):
        raise ComparisonError(
            expected=f'columns {", ".join(sorted(used_shape.needed))}',
            came=f'{table.source} without {", ".join(missing)}',
            todo='name the columns so, or choose another shape',
        )
    comparisons = _interpreted(table, used_shape, items)
    return replace(comparisons, notes=(*table.notes, *comparisons.notes, *_repeated(comparisons)))


def _repeated(comparisons: Comparisons) -> tuple[str, ...]:
    """A note where one rater judged a pair of a sample twice with one outcome; such rows are often copies."""
    if comparisons.sample is None or comparisons.rater is None:
        return ()
    low, high = np.minimum(comparisons.left, comparisons.right), np.maximum(comparisons.left, comparisons.right)
    outcome = comparisons.outcome * np.where(comparisons.left > comparisons.right, -1, 1)
    spans = (len(comparisons.items), len(comparisons.items), len(comparisons.samples), len(comparisons.raters), 3)
    if float(np.prod([float(span) for span in spans])) > 2.0**62:
        return ()
    key = np.ravel_multi_index((low, high, comparisons.sample, comparisons.rater, outcome + 1), spans)
    copies = len(key) - len(np.unique(key))
    if not copies:
        return ()
    rows = f'{copies:,} rows repeat' if copies > 1 else '1 row repeats'
    return (f'{rows} what the same rater said of the same pair and sample, and count again',)


def _interpreted(table: Table, shape: Shape, items: Sequence[str] | None) -> Comparisons:
    """Comparisons of a table: verdicts, names and optional columns are read, then skipped rows are removed.

    A table with a column of verdicts per rater becomes one block of rows per rater:

        left right a b        left right outcome rater
        x    y     1 2   ->   x    y     left    a
                              x    y     right   b
    """
    source, columns = table.source, table.columns
    raters = len(shape.outcome)
    rows = np.arange(1, len(columns[shape.left]) + 1) if source.rows is None else source.rows
    rows = np.tile(rows, raters)
    repeated_source = Source(source.name, rows)
    cells = [value for name in shape.outcome for value in columns[name]]
    verdicts = _verdicts(cells, shape)
    refuse_rows(
        np.asarray([not verdict for verdict in verdicts], bool),
        repeated_source,
        'an outcome among ' + ', '.join(dict.fromkeys(shape.words)),
        lambda row: repr(short(cells[row])),
    )
    left, right = _names(table, shape)
    _refuse_texts(table, shape, left, right)
    kept = np.flatnonzero([verdict != SKIP for verdict in verdicts])
    facts = _facts(verdicts)
    if verdicts and not len(kept):
        raise ComparisonError(
            expected='at least one comparison',
            came=f'{source} without any: all {len(verdicts):,} verdicts are {SKIP}',
            todo='give rows of who beat whom',
        )
    outcome_of = {verdict: verdict.split(':')[0] for verdict in set(verdicts)}

    def spread(values: Sequence[object] | Floats | Ints) -> list[object]:
        """A column repeated for each rater's column of verdicts, without skipped rows."""
        repeated = list(values) * raters
        return [repeated[index] for index in kept] if len(kept) < len(verdicts) else repeated

    rater = _first_of(columns, shape.rater)
    if raters > 1:
        rater = None
        rater_names = [name for name in shape.outcome for _ in range(len(left))]
    orders = _orders(table)
    flags = None
    if rater is not None:
        flags = flags_in_table(
            columns, [shown(str(name)) for name in rater], [outcome_of[word] for word in verdicts], orders
        )
    covariates = {name: spread(values) for name, values in _covariates(table, shape).items()}
    names = rater_names if raters > 1 else rater
    if names is not None and OWN not in covariates:
        own = own_model([*left] * raters, [*right] * raters, names)[kept]
        if own.any():
            covariates[OWN] = own.tolist()
    weight = columns.get('weight')
    if weight is not None:
        _refuse_thousands(table, 'weight')
    return Comparisons.of(
        spread(left),  # type: ignore[arg-type]
        spread(right),  # type: ignore[arg-type]
        [outcome_of[verdicts[index]] for index in kept.tolist()],
        weight=None
        if weight is None
        else _weights(spread(weight), spread(left), spread(right), Source(repeated_source.name, rows[kept])),
        sample=_optional(spread, _first_of(columns, shape.sample)),
        rater=[rater_names[index] for index in kept] if raters > 1 else _optional(spread, rater),
        first=_optional(spread, orders),  # type: ignore[arg-type]
        covariates=covariates,  # type: ignore[arg-type]
        items=items,
        facts=facts,
        rater_flags=flags,
        source=Source(repeated_source.name, rows[kept]),
    )


def _names(table: Table, shape: Shape) -> tuple[list[object], list[object]]:
    """Names of the left and of the right items."""
    if not shape.joined:
        left, right = (_named_items(table.columns[name]) for name in (shape.left, shape.right))
        return left, right
    parts = [str(value).split(shape.joined) for value in table.columns[shape.left]]
    refuse_rows(
        np.asarray([len(part) != 2 for part in parts], bool),
        table.source,
        f'two names joined by {shape.joined!r} in {shape.left}',
        lambda row: repr(short(shape.joined.join(parts[row]))),
    )
    return [part[0] for part in parts], [part[1] for part in parts]


def _refuse_texts(table: Table, shape: Shape, left: Sequence[object], right: Sequence[object]) -> None:
    """Refuse columns of descriptions in place of names: long cells of which hardly any repeats."""
    names = {name for name in (*left, *right) if isinstance(name, str)}
    longest = max(map(len, names), default=0)
    is_prose = shape.left == shape.left_text or sum(len(name.split()) for name in names) >= FEW_WORDS * len(names)
    hardly_repeats = is_prose and len(left) >= FEW_ROWS and len(names) > len(left)
    if longest > LONGEST_NAME or hardly_repeats:
        raise ComparisonError(
            expected='names of the items that are ranked',
            came=f'{table.source} with {len(names):,} different texts of up to {longest:,} characters in '
            f'{shape.left} and {shape.right}',
            todo='add who wrote them as model1 and model2; to learn which of two texts people prefer, '
            'use `affekt prefer train`',
        )


def _verdicts(cells: Sequence[object], shape: Shape) -> list[str]:
    """Meaning of each verdict; '' if it is unknown."""
    meaning_of: dict[object, str] = {}
    meanings = []
    for value in cells:
        key = value if isinstance(value, (str, int, float)) else str(value)
        meaning = meaning_of.get((type(key), key))
        if meaning is None:
            meaning = meaning_of[type(key), key] = shape.words.get(as_word(key), '')
        meanings.append(meaning)
    return meanings


def _named_items(column: Sequence[object]) -> list[object]:
    """Names as text; cells that are neither text nor whole numbers are refused later."""
    return [str(value) if type(value) is int else value for value in column]


def _facts(verdicts: Sequence[str]) -> dict[str, int]:
    """Numbers of skipped rows and of each kind of tie."""
    counted_verdicts = [verdict for verdict in dict.fromkeys(verdicts) if verdict == SKIP or ':' in verdict]
    return {('skipped' if kind == SKIP else kind.replace(':', '')): verdicts.count(kind) for kind in counted_verdicts}


def _first_of(columns: Mapping[str, Sequence[object]], names: Sequence[str]) -> Sequence[object] | None:
    return next((columns[name] for name in names if name in columns), None)


def _optional(
    spread: Callable[[Sequence[object]], list[object]], values: Sequence[object] | None
) -> list[object] | None:
    return None if values is None else spread(values)


def _orders(table: Table) -> list[int] | None:
    """Side shown first in each row; None if the table does not say."""
    column = table.columns.get('order')
    if column is None:
        return None
    orders = [ORDERS.get('' if value is None else as_word(value), 2) for value in column]
    refuse_rows(
        np.asarray(orders) == 2,
        table.source,
        'an order among ' + ', '.join(word for word in ORDERS if word) + ' or nothing',
        lambda row: repr(short(column[row])),
    )
    return orders


def _weights(values: Sequence[object], left: Sequence[object], right: Sequence[object], source: Source) -> Floats:
    """Weights as numbers; cells that are not numbers are refused here, values out of range in `Comparisons.of`."""
    weights = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            weights[row] = number(value)
        except ValueError:
            weights[row] = np.nan
    refuse_rows(
        ~np.isfinite(weights) | (weights < 0.0),
        source,
        'in the column weight a number that is finite and not negative',
        lambda row: f'{short(left[row])!r} against {short(right[row])!r} with weight {short(values[row])!r}',
    )
    return weights


def _refuse_thousands(table: Table, name: str) -> None:
    """Refuse numbers such as 1,234 in a table whose cells are separated by commas."""
    if table.separator != ',':
        return
    refuse_rows(
        np.asarray([isinstance(cell, str) and bool(THOUSANDS.fullmatch(cell.strip())) for cell in table.columns[name]]),
        table.source,
        f'numbers without commas in the column {name}',
        lambda row: (
            f'{short(table.columns[name][row])!r}, which may have a comma between thousands or before decimals,'
        ),
    )


def _covariates(table: Table, shape: Shape) -> dict[str, Floats]:
    """Differences of the pairs of columns left_NAME and right_NAME, and of the lengths of the texts."""
    columns = table.columns
    covariates: dict[str, Floats] = {}
    item_columns = {shape.left, shape.right, shape.left_text, shape.right_text}
    for name in columns:
        other = name.replace('left_', 'right_', 1)
        if name.startswith('left_') and other in columns and name not in item_columns:
            _refuse_thousands(table, name)
            _refuse_thousands(table, other)
            covariates |= differences(name.removeprefix('left_'), columns[name], columns[other], table.source)
    if LENGTH not in covariates and {shape.left_text, shape.right_text} <= set(columns):
        covariates[LENGTH] = text_lengths(_texts(table, shape.left_text), _texts(table, shape.right_text))
    return covariates


def _texts(table: Table, name: str) -> list[str]:
    column = table.columns[name]
    is_missing = np.asarray([not isinstance(text, (str, bool, int, float)) for text in column], np.bool_)
    refuse_rows(is_missing, table.source, f'a text in {name}', lambda row: repr(short(column[row])))
    return [str(text) for text in column]


def _named(shape: str | Shape) -> Shape:
    if isinstance(shape, Shape):
        return shape
    if shape not in SHAPES:
        raise UnknownNameError(
            expected=f'a shape among {", ".join(SHAPES)}', came=repr(shape), todo='choose one of these, or give a Shape'
        )
    return SHAPES[shape]


def _recognised(table: Table) -> Shape:
    if (shape := shape_of_comparisons(table)) is not None:
        return shape
    columns = set(table)
    if columns >= {'a1', 'a2'}:
        todo = 'add the column preference: `affekt annotate` asks people, `affekt judge` a model'
    elif columns >= {'name', 'preference'}:
        todo = 'name the file of the pairs: verdicts alone do not say who met whom (`affekt prefer score` scores them)'
    else:
        todo = 'rename the columns'
    raise ComparisonError(
        expected='columns left, right, outcome; model_a, model_b, winner; or model1, model2, preference',
        came=f'{table.source} with {seen(table.columns)}',
        todo=todo,
    )
