"""Tables of pairs of descriptions, in any of the known shapes, as `DescribedPair`s.

The shapes are those of `affekt.ranking.shapes`, recognised by the columns of the two texts. Preference models use
`affekt.preference.read_pairs`, which gives columns; judges and raters use the pairs themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affekt.errors import ComparisonError, short
from affekt.labels import note_thinking, without_thinking
from affekt.llm import DESCRIPTION_COLUMNS
from affekt.preference.described_pairs import LEFT, RIGHT, TIE, DescribedPair
from affekt.ranking import (
    EMOPREFER_WORDS,
    ORDERS,
    PLAIN_WORDS,
    SHAPES,
    Shape,
    as_word,
    comparison_table,
    refuse_lookalikes,
    refuse_rows,
    shape_of_pairs,
)
from affekt.tables import Source, Table

RENAME_OR_ADD_TABLE = (
    'rename the columns; a table of one describer goes to `affekt judge` or `affekt annotate` beside another one'
)
VERDICT_COLUMNS = ('outcome', 'preference')
"""Columns of verdicts that may replace those of the shape; the first one present is used."""
WORDS = {'a1': LEFT, 'a2': RIGHT, 'same': TIE, LEFT: LEFT, RIGHT: RIGHT, TIE: TIE}
"""Word for a verdict, in lower case, to left, right or tie."""
_ALL_WORDS = {word: side for word, side in {**PLAIN_WORDS, **EMOPREFER_WORDS}.items() if side in (LEFT, RIGHT, TIE)}


@dataclass(frozen=True)
class PairTable:
    """The pairs of one table."""

    pairs: tuple[DescribedPair, ...]
    source: Source
    """Name of the file, with the number of each row."""
    text_columns: tuple[str, str]
    """Names of the columns of the two texts."""
    votes: tuple[tuple[str, ...], ...] = ()
    """Verdict of each rater on each pair, where several raters have a column each; else ()."""
    prompts: tuple[str, ...] = ()
    """Prompt of each pair; () without prompts."""
    names_samples: bool = True
    """Whether the table names the samples; else they are numbered."""
    names_describers: bool = True
    """Whether the table names the authors of the texts; else they are named after the columns of the texts."""
    is_judged: bool = True
    """Whether the table has verdicts."""
    with_thinking: int = 0
    """Number of distinct texts that include a describer's reasoning."""

    def refuse_lookalikes(self) -> None:
        """Refuse describers whose names look alike.

        Raises:
            ComparisonError: two names look alike.
        """
        refuse_lookalikes((name for pair in self.pairs for name in (pair.left, pair.right)), self.source, 'describer')

    def note_thinking(self) -> None:
        """Add a note on the number of texts with a describer's reasoning to the notes of reading a table."""
        note_thinking(self.with_thinking, self.source)


def read_pair_table(path: Path, *, outcomes: bool = True) -> PairTable:
    """The pairs in a file.

    Args:
        path: any table that `affekt.tables.read_table` reads.
        outcomes: read the verdicts as well; if False, invalid verdicts are ignored.

    Raises:
        ComparisonError: the file is missing, damaged or of no known shape, or a row is invalid: the message names it.
    """
    # 1. Shape and columns.
    table = comparison_table(path)
    shape = _recognised(table)
    source, size = table.source, len(table.rows)
    # 2. Verdicts, names and prompts.
    verdicts = _verdicts(table, shape) if outcomes else []
    sample = next((_texts(table[name], name, source) for name in (*shape.sample, 'name') if name in table), None)
    prompts = [_texts(table[name], name, source) for name in shape.prompt if name in table]
    raters = next((table[name] for name in shape.rater if name in table), None)
    describers = _describers(table, shape)
    left, right = describers or [[name.removesuffix('_text')] * size for name in shape.texts]
    first_sides = [_side(cell) for cell in table.get('order', [''] * size)]
    # 3. Texts, without reasoning.
    texts = [_texts(table[name], name, source) for name in shape.texts]
    final_texts = [[without_thinking(text) for text in column] for column in texts]
    final_of = {
        text: final for column in zip(texts, final_texts, strict=True) for text, final in zip(*column, strict=True)
    }
    pairs = tuple(
        DescribedPair(
            sample=str(row + 1) if sample is None else sample[row],
            left=left[row],
            right=right[row],
            left_text=final_texts[0][row].text,
            right_text=final_texts[1][row].text,
            outcome=verdicts[0][row] if len(verdicts) == 1 else '',
            rater='' if raters is None or raters[row] is None else str(raters[row]),
            first=first_sides[row],
            has_thinking=(final_texts[0][row].has_thinking, final_texts[1][row].has_thinking),
        )
        for row in range(size)
    )
    return PairTable(
        pairs,
        source,
        shape.texts,
        votes=tuple(zip(*verdicts, strict=True)) if len(verdicts) > 1 else (),
        prompts=tuple(' '.join(part for part in parts if part) for parts in zip(*prompts, strict=True)),
        names_samples=sample is not None,
        names_describers=describers is not None,
        is_judged=bool(verdicts),
        with_thinking=sum(final.has_thinking for final in final_of.values()),
    )


def _recognised(table: Table) -> Shape:
    if (shape := shape_of_pairs(table)) is not None:
        return shape
    missing = next((sorted({*shape.texts} - {*table}) for shape in SHAPES.values() if {*shape.texts} & {*table}), [])
    columns = f'without {missing[0]}' if missing else f'with columns {short(", ".join(table) or "none", 200)}'
    raise ComparisonError(
        expected='columns a1, a2 (with name and preference); left_text, right_text; or response1, response2',
        came=f'{table.source} {columns}',
        todo='rename the columns' if set(DESCRIPTION_COLUMNS).isdisjoint(table) else RENAME_OR_ADD_TABLE,
    )


def _describers(table: Table, shape: Shape) -> list[list[str]] | None:
    """Authors of the left and the right texts; None if the table does not name them."""
    columns = next((names for names in shape.describers if not set(names).isdisjoint(table)), None)
    if columns is None:
        return None
    if not set(columns) <= set(table):
        raise ComparisonError(
            expected=f'both columns {" and ".join(columns)}, or neither',
            came=f'{table.source} with one',
            todo='name who wrote each text',
        )
    cells = [table[name] for name in columns]
    names = list(zip(*cells, strict=True)) if len(cells) == 2 else [str(pair).split(shape.joined) for pair in cells[0]]
    is_invalid = np.asarray(
        [len(pair) != 2 or not all(str(name or '').strip() for name in pair) for pair in names], np.bool_
    )
    refuse_rows(is_invalid, table.source, 'who wrote each of two texts', lambda row: repr(short(str(names[row]))))
    return [[str(pair[side]) for pair in names] for side in (0, 1)]


def _verdicts(table: Table, shape: Shape) -> list[list[str]]:
    """Each column of verdicts, as left, right and tie: those of the shape, else the one with a usual name."""
    shape_columns = [name for name in shape.outcome if name in table]
    names = shape_columns or [name for name in VERDICT_COLUMNS if name in table][:1]
    words: Mapping[str, str] = {**_ALL_WORDS, **(shape.words if shape_columns else {})}
    expected = f'a preference among {", ".join(WORDS if len(shape.outcome) == 1 else shape.words)}'
    columns = []
    for name in names:
        cells = table[name]
        column = [words.get(as_word(cell), '').split(':')[0] for cell in cells]
        refuse_rows(
            np.asarray([verdict not in (LEFT, RIGHT, TIE) for verdict in column], np.bool_),
            table.source,
            expected,
            lambda row, cells=cells: repr(short(str(cells[row]))),
        )
        columns.append(column)
    return columns


def _side(cell: object) -> str:
    """Side that an order shows first; '' if unknown."""
    return {1: LEFT, -1: RIGHT}.get(ORDERS.get(as_word(cell), 0), '')


def _texts(column: Sequence[object], name: str, source: Source) -> list[str]:
    """Cells of a column as text; missing ones are refused."""
    is_invalid = np.asarray([not isinstance(text, (str, int, float)) or text != text for text in column], np.bool_)
    refuse_rows(is_invalid, source, f'a text in {name}', lambda row: repr(column[row]))
    return [str(text) for text in column]
