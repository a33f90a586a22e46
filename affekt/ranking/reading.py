"""A file of verdicts, in any of the shapes that the field uses, to comparisons.

Read first: `SHAPES`, at the bottom. A shape says which columns name the items, the outcome and the rest, and what the
words for outcomes mean; it is recognised by its columns. A new shape is one more entry, or an argument.

Besides its own columns every shape may have `weight`, `order` (which side was shown first: left, right, or empty), and
pairs of columns left_NAME and right_NAME for anything that may sway a verdict.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from affekt.errors import AffektError, ComparisonError, UnknownNameError
from affekt.ranking.comparisons import Comparisons, Floats, Ints, Source, refuse_rows, short
from affekt.ranking.covariates import LENGTH, differences, text_lengths

LARGEST_FILE = 2 * 2**30
LARGEST_JSON = 512 * 2**20
LONGEST_LINE = 16 * 2**20
MOST_ROWS = 20_000_000

SKIP = 'skip'
ORDERS = {'left': 1, 'right': -1, 'lr': 1, 'rl': -1, '1': 1, '-1': -1, '0': 0, '': 0}
PLAIN_WORDS = {'left': 'left', 'right': 'right', 'tie': 'tie', '1': 'left', '-1': 'right', '0': 'tie', SKIP: SKIP}


@dataclass(frozen=True)
class Shape:
    """Which columns hold what."""

    left: str
    """Column of the left item's name; with `joined`, of both names."""
    right: str
    outcome: tuple[str, ...]
    """Column of the verdict; several where each rater has a column."""
    words: Mapping[str, str] = field(default_factory=lambda: PLAIN_WORDS)
    """Verdict as written, in lower case, to left, right, tie, skip, or a kind of tie ('tie: both bad')."""
    joined: str = ''
    """What stands between the two names where one column holds both."""
    sample: tuple[str, ...] = ('sample',)
    """Columns that may name the sample; the first one present does."""
    rater: tuple[str, ...] = ('rater',)
    left_text: str = 'left_text'
    right_text: str = 'right_text'

    @property
    def needed(self) -> set[str]:
        """Columns without which a table is not of this shape."""
        return {self.left, self.right, *self.outcome}


@dataclass(frozen=True)
class Table:
    """Columns as they were read."""

    columns: Mapping[str, Sequence[object]]
    source: Source


def read_comparisons(
    path: str | Path, *, shape: str | Shape | None = None, items: Sequence[str] | None = None
) -> Comparisons:
    """The comparisons that a file holds.

    Args:
        path: .csv, .tsv, .jsonl, .json (a list of objects) or .parquet.
        shape: its name or itself; recognised by the columns where None.
        items: all items, where some may never have been compared.

    Returns:
        Comparisons. A verdict 'skip' is left out and counted in `facts`, as kinds of ties are.

    Raises:
        ComparisonError: the file is missing, empty, cut short, no text, too large or of no known shape, or a row is
            wrong: the message names it.
        UnknownNameError: no such shape.
    """
    path = Path(path)
    table = read_table(path)
    if not table.columns:
        raise ComparisonError(
            expected='at least one comparison', came=f'{table.source} without any', todo='give rows of who beat whom'
        )
    found = _recognised(table) if shape is None else _named(shape)
    if absent := sorted(found.needed - set(table.columns)):
        raise ComparisonError(
            expected=f'columns {", ".join(sorted(found.needed))}',
            came=f'{table.source} without {", ".join(absent)}',
            todo='name the columns so, or choose another shape',
        )
    return _interpreted(table, found, items)


def _interpreted(table: Table, shape: Shape, items: Sequence[str] | None) -> Comparisons:
    """1. verdicts, 2. names, 3. what else there is, 4. without the skipped ones."""
    source, columns = table.source, table.columns
    raters = len(shape.outcome)
    rows = np.arange(1, len(columns[shape.left]) + 1) if source.rows is None else source.rows
    rows = np.tile(rows, raters)
    long = Source(source.name, rows)
    written = [value for name in shape.outcome for value in columns[name]]
    verdicts = [shape.words.get(_word(value), '') for value in written]
    refuse_rows(
        np.asarray([not verdict for verdict in verdicts], bool),
        long,
        'an outcome among ' + ', '.join(dict.fromkeys(shape.words)),
        lambda row: repr(short(written[row])),
    )
    left, right = _names(table, shape)
    kept = np.flatnonzero([verdict != SKIP for verdict in verdicts])
    facts = _facts(verdicts)

    def spread(values: Sequence[object] | Floats | Ints) -> list[object]:
        """Once per rater's column, without the skipped ones."""
        every = list(values) * raters
        return [every[at] for at in kept] if len(kept) < len(every) else every

    rater = _first_of(columns, shape.rater)
    if raters > 1:
        rater = None
        named = [name for name in shape.outcome for _ in range(len(left))]
    weight = columns.get('weight')
    return Comparisons.of(
        spread(left),  # type: ignore[arg-type]
        spread(right),  # type: ignore[arg-type]
        [verdicts[at].split(':')[0] for at in kept],
        weight=None if weight is None else _weights(spread(weight), Source(long.name, rows[kept])),
        sample=_optional(spread, _first_of(columns, shape.sample)),
        rater=[named[at] for at in kept] if raters > 1 else _optional(spread, rater),
        first=_optional(spread, _orders(table)),  # type: ignore[arg-type]
        covariates={name: spread(values) for name, values in _covariates(table, shape).items()},  # type: ignore[misc]
        items=items,
        facts=facts,
        source=Source(long.name, rows[kept]),
    )


def _names(table: Table, shape: Shape) -> tuple[list[object], list[object]]:
    if not shape.joined:
        return [_name(v) for v in table.columns[shape.left]], [_name(v) for v in table.columns[shape.right]]
    parts = [str(value).split(shape.joined) for value in table.columns[shape.left]]
    refuse_rows(
        np.asarray([len(part) != 2 for part in parts], bool),
        table.source,
        f'two names joined by {shape.joined!r} in {shape.left}',
        lambda row: repr(short(shape.joined.join(parts[row]))),
    )
    return [part[0] for part in parts], [part[1] for part in parts]


def _name(value: object) -> object:
    """A name as text; what is neither text nor a whole number is refused later."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _word(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip().lower()


def _facts(verdicts: Sequence[str]) -> dict[str, int]:
    kinds = [verdict for verdict in dict.fromkeys(verdicts) if verdict == SKIP or ':' in verdict]
    return {('skipped' if kind == SKIP else kind.replace(':', '')): verdicts.count(kind) for kind in kinds}


def _first_of(columns: Mapping[str, Sequence[object]], names: Sequence[str]) -> Sequence[object] | None:
    return next((columns[name] for name in names if name in columns), None)


def _optional(
    spread: Callable[[Sequence[object]], list[object]], values: Sequence[object] | None
) -> list[object] | None:
    return None if values is None else spread(values)


def _orders(table: Table) -> list[int] | None:
    """Which side was shown first; None where the table does not say."""
    column = table.columns.get('order')
    if column is None:
        return None
    found = [ORDERS.get('' if value is None else _word(value), 2) for value in column]
    refuse_rows(
        np.asarray(found) == 2,
        table.source,
        'an order among ' + ', '.join(word for word in ORDERS if word) + ' or nothing',
        lambda row: repr(short(column[row])),
    )
    return found


def _weights(values: Sequence[object], source: Source) -> Floats:
    found = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            found[row] = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            found[row] = np.nan
    refuse_rows(
        ~np.isfinite(found) | (found < 0.0),
        source,
        'a weight that is finite and not negative',
        lambda row: repr(short(values[row])),
    )
    return found


def _covariates(table: Table, shape: Shape) -> dict[str, Floats]:
    columns = table.columns
    found: dict[str, Floats] = {}
    taken = {shape.left, shape.right, shape.left_text, shape.right_text}
    for name in columns:
        other = name.replace('left_', 'right_', 1)
        if name.startswith('left_') and other in columns and name not in taken:
            found |= differences(name.removeprefix('left_'), columns[name], columns[other], table.source)
    if LENGTH not in found and {shape.left_text, shape.right_text} <= set(columns):
        found[LENGTH] = text_lengths(_texts(table, shape.left_text), _texts(table, shape.right_text))
    return found


def _texts(table: Table, name: str) -> list[str]:
    column = table.columns[name]
    missing = np.asarray([not isinstance(text, (str, bool, int, float)) for text in column], np.bool_)
    refuse_rows(missing, table.source, f'a text in {name}', lambda row: repr(short(column[row])))
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
    for shape in SHAPES.values():
        if shape.needed <= set(table.columns):
            return shape
    raise ComparisonError(
        expected='columns left, right, outcome; model_a, model_b, winner; or a1, a2, preference',
        came=f'{table.source} with columns {short(", ".join(table.columns) or "none", 200)}',
        todo='rename the columns',
    )


def read_table(path: Path) -> Table:
    """The columns of a file, with the number of each row.

    Raises:
        ComparisonError: as `read_comparisons` does for a file that is no whole table.
    """
    kind = path.suffix.lower()
    if kind not in READERS:
        raise ComparisonError(
            expected=f'a file ending in {", ".join(READERS)}', came=path.name, todo='convert it to one of these'
        )
    try:
        size = path.stat().st_size
        limit = LARGEST_JSON if kind == '.json' else LARGEST_FILE
        if size == 0 or size > limit:
            raise ComparisonError(
                expected=f'a file of 1 byte to {limit // 2**20} MB',
                came=f'{path.name} with {size} bytes',
                todo='give rows of who beat whom, in several files or as Parquet where they are many',
            )
        return READERS[kind](path)
    except AffektError:
        raise
    except OSError as error:
        raise ComparisonError(
            expected='a file of comparisons that can be read', came=f'{path}: {error.strerror}', todo='check the path'
        ) from error
    except UnicodeDecodeError as error:
        raise ComparisonError(
            expected='text in UTF-8',
            came=f'{path.name} with another byte at {error.start}',
            todo='save it as UTF-8; if it is no text, check the path',
        ) from error
    except (ValueError, csv.Error, RecursionError) as error:
        raise ComparisonError(
            expected=f'{kind[1:]} that is whole', came=f'{path.name}: {short(str(error), 120)}', todo='write it again'
        ) from error


def _read_csv(path: Path, delimiter: str = ',') -> Table:
    with path.open(newline='', encoding='utf-8-sig') as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        head = [name.strip() for name in next(reader, [])]
        if len(set(head)) < len(head) or not all(head):
            raise ComparisonError(
                expected='a first row of different column names',
                came=f'{path.name} starting with {short(", ".join(head), 80) or "nothing"}',
                todo='give each column a name of its own',
            )
        rows, lines = [], []
        begins = reader.line_num + 1
        for row in reader:
            if row:
                if len(row) != len(head):
                    raise ComparisonError(
                        expected=f'{len(head)} fields, as in the first row',
                        came=f'{len(row)} in row {begins} of {path.name}',
                        todo='correct that row; quote fields that hold a comma',
                    )
                rows.append(row)
                lines.append(begins)
                _refuse_too_many(len(rows), path)
            begins = reader.line_num + 1
    columns: Sequence[Sequence[object]] = list(zip(*rows, strict=True)) if rows else [()] * len(head)
    return Table(dict(zip(head, columns, strict=True)), Source(path.name, np.asarray(lines, np.int64)))


def _read_tsv(path: Path) -> Table:
    return _read_csv(path, '\t')


def _read_jsonl(path: Path) -> Table:
    rows, lines = [], []
    with path.open(encoding='utf-8-sig') as file:
        for number, line in enumerate(_lines(file, path), 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise ComparisonError(
                        expected='one JSON object a line',
                        came=f'{short(str(error), 80)} in row {number} of {path.name}',
                        todo='correct or remove that row',
                    ) from error
                lines.append(number)
                _refuse_too_many(len(rows), path)
    return _of_objects(rows, Source(path.name, np.asarray(lines, np.int64)))


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ComparisonError(
                expected=f'lines shorter than {LONGEST_LINE} characters',
                came=f'a longer one in {path.name}',
                todo='write one object a line; a JSON list ends in .json',
            )
        yield line


def _read_json(path: Path) -> Table:
    rows = json.loads(path.read_text(encoding='utf-8-sig'))
    if not isinstance(rows, list):
        raise ComparisonError(
            expected='a JSON list of objects', came=f'{type(rows).__name__} in {path.name}', todo='write a list'
        )
    _refuse_too_many(len(rows), path)
    return _of_objects(rows, Source(path.name))


def _of_objects(rows: Sequence[object], source: Source) -> Table:
    refuse_rows(
        np.asarray([not isinstance(row, dict) for row in rows], bool),
        source,
        'an object',
        lambda row: repr(short(str(rows[row]))),
    )
    names = list(dict.fromkeys(name for row in rows for name in row))  # type: ignore[attr-defined]
    return Table({name: [row.get(name) for row in rows] for name in names}, source)  # type: ignore[attr-defined]


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _refuse_too_many(file.metadata.num_rows, path)
            table = file.read()
    except pa.ArrowException as error:
        raise ComparisonError(
            expected='Parquet that is whole', came=f'{path.name}: {short(str(error), 120)}', todo='write it again'
        ) from error
    return Table(table.to_pydict(), Source(path.name))


def _refuse_too_many(rows: int, path: Path) -> None:
    if rows > MOST_ROWS:
        raise ComparisonError(
            expected=f'at most {MOST_ROWS:,} rows', came=f'more in {path.name}', todo='count equal rows as weights'
        )


READERS: dict[str, Callable[[Path], Table]] = {
    '.csv': _read_csv,
    '.tsv': _read_tsv,
    '.jsonl': _read_jsonl,
    '.json': _read_json,
    '.parquet': _read_parquet,
}

_ARENA_WORDS = {
    'model_a': 'left',
    'model_b': 'right',
    'tie': 'tie',
    'tie (bothbad)': 'tie: both bad',
    'bothbad': 'tie: both bad',
    'both_bad': 'tie: both bad',
}
_EMOPREFER_WORDS = {'a1': 'left', 'a2': 'right', 'same': 'tie', 'tie': 'tie'}
_EMOPREFER_TEXTS = {'left_text': 'a1', 'right_text': 'a2', 'sample': ('name',)}

SHAPES: dict[str, Shape] = {
    'plain': Shape('left', 'right', ('outcome',)),
    'emoprefer': Shape('model1', 'model2', ('preference',), _EMOPREFER_WORDS, **_EMOPREFER_TEXTS),  # type: ignore[arg-type]
    'emoprefer without models': Shape('a1', 'a2', ('preference',), _EMOPREFER_WORDS, **_EMOPREFER_TEXTS),  # type: ignore[arg-type]
    'arena': Shape(
        'model_a',
        'model_b',
        ('winner',),
        _ARENA_WORDS,
        sample=('sample', 'question_id'),
        rater=('rater', 'judge', 'judge_hash'),
    ),
    'llmfao': Shape('left', 'right', ('winner',), sample=('prompt',), rater=('worker',)),
    'pandalm': Shape(
        'cmp_key',
        'cmp_key',
        ('annotator1', 'annotator2', 'annotator3'),
        {'1': 'left', '2': 'right', '0': 'tie'},
        joined='_',
        sample=('idx',),
        left_text='response1',
        right_text='response2',
    ),
}
"""In the order in which they are tried."""
