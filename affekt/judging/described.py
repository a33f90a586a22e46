"""What describers wrote, as pairs to be judged.

Two or more tables, one a describer (a column of names and one of descriptions, as `llm.read_descriptions` reads them;
the file's name is the describer's): every two describers on every sample, or the pairs that a file names. Or one table
of pairs in EmoPrefer's shape, name, a1, a2 and perhaps preference, model1, model2: its rows, with what people said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from affekt.errors import ComparisonError, MediaError
from affekt.judging.judge import LEFT, RIGHT, TIE, DescribedPair
from affekt.llm import read_descriptions
from affekt.ranking.names import refuse_lookalikes
from affekt.ranking.reading import comparison_table
from affekt.tables import Table

PAIR_COLUMNS = ('sample', 'left', 'right')
TEXT_COLUMNS = ('name', 'a1', 'a2')
PREFERENCES = {'a1': LEFT, 'a2': RIGHT, 'same': TIE, 'tie': TIE}
SHOWN_NAMES = 3
"""Names that a message lists."""


@dataclass(frozen=True)
class Described:
    """Pairs to be judged, and what people said of them."""

    pairs: tuple[DescribedPair, ...]
    preferences: tuple[str, ...] | None = None
    """left, right or tie for each pair; None where the input says nothing."""
    left_out: int = 0
    """Pairs of describers and samples that were not made, because one of the two says nothing of the sample."""


def read_described(
    paths: Sequence[Path],
    *,
    column: str | None = None,
    pairs: Path | None = None,
    media: Path | None = None,
) -> Described:
    """The pairs that files of descriptions hold.

    Args:
        paths: two or more tables of descriptions, or one table of pairs.
        column: the column of descriptions, where it has another name.
        pairs: a table with columns sample, left, right: what to judge, by the names of describers.
        media: the folder of clips; a clip has the sample's name, with any ending.

    Raises:
        TableError: a table of descriptions cannot be read.
        ComparisonError: no pairs, one describer, a name that is not there, or a row that is wrong.
        MediaError: the folder, or the clip of a sample, is missing, or there are two.
    """
    if len(paths) == 1:
        if pairs is not None:
            raise ComparisonError(
                expected='tables of descriptions to take pairs from',
                came=f'one table of pairs, {paths[0].name}',
                todo='leave --pairs out, or name a table for each describer',
            )
        found = _of_pairs(paths[0])
    else:
        found = _of_describers(paths, column, pairs)
    if not found.pairs:
        raise ComparisonError(
            expected='a sample that two describers describe', came='none', todo='check the names of the samples'
        )
    return found if media is None else replace(found, pairs=with_media(found.pairs, media))


def with_media(pairs: Sequence[DescribedPair], folder: Path) -> tuple[DescribedPair, ...]:
    """The pairs with their clips: files of a folder that have the sample's name, whole or without their ending.

    Raises:
        MediaError: no such folder, a sample without a clip, or with two.
    """
    if not folder.is_dir():
        raise MediaError(expected='a folder of clips', came=str(folder), todo='check --media')
    clips: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith('.')):
        for name in {path.name, path.stem}:
            clips.setdefault(name, []).append(path)
    samples = list(dict.fromkeys(pair.sample for pair in pairs))
    for said, wrong in (
        ('a clip for each sample', [sample for sample in samples if sample not in clips]),
        ('one clip for each sample', [sample for sample in samples if len(clips.get(sample, ())) > 1]),
    ):
        if wrong:
            what = 'no' if said.startswith('a ') else 'several'
            raise MediaError(
                expected=said,
                came=f'{what} clips for {len(wrong)} of {len(samples)} ({", ".join(wrong[:SHOWN_NAMES])}) in {folder}',
                todo='name clips after their samples',
            )
    return tuple(replace(pair, media=clips[pair.sample][0]) for pair in pairs)


def _of_describers(paths: Sequence[Path], column: str | None, pairs: Path | None) -> Described:
    names = [path.stem for path in paths]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ComparisonError(
            expected='a file name of its own for each describer', came=f'{twice[0]} twice', todo='rename a file'
        )
    refuse_lookalikes(names, 'the names of the files', 'describer')
    texts = {name: read_descriptions(path, column) for name, path in zip(names, paths, strict=True)}
    if pairs is not None:
        return Described(_named_pairs(pairs, texts))
    samples = list(dict.fromkeys(sample for table in texts.values() for sample in table))
    wanted = [(sample, left, right) for sample in samples for left, right in combinations(names, 2)]
    found = [
        DescribedPair(sample, left, right, texts[left][sample], texts[right][sample])
        for sample, left, right in wanted
        if sample in texts[left] and sample in texts[right]
    ]
    return Described(tuple(found), left_out=len(wanted) - len(found))


def _named_pairs(path: Path, texts: dict[str, dict[str, str]]) -> tuple[DescribedPair, ...]:
    table = _with_columns(path, PAIR_COLUMNS)
    found: dict[tuple[str, ...], DescribedPair] = {}
    for place, row in enumerate(zip(*(map(str, table.columns[name]) for name in PAIR_COLUMNS), strict=True)):
        sample, left, right = row
        unknown = next((side for side in (left, right) if sample not in texts.get(side, {})), None)
        if unknown is not None or left == right or row in found:
            came = f'no description of {sample} by {unknown}' if unknown else f'{left} and {right} for {sample} again'
            came = came if left != right else f'{left} against itself'
            raise ComparisonError(
                expected='two describers of a sample, each pair once',
                came=f'{came} in {table.source.row(place)}',
                todo=f'correct that row; describers are {", ".join(texts)}',
            )
        found[row] = DescribedPair(sample, left, right, texts[left][sample], texts[right][sample])
    return tuple(found.values())


def _of_pairs(path: Path) -> Described:
    table = _with_columns(path, TEXT_COLUMNS)
    columns = table.columns
    size = len(columns['name'])
    left = columns.get('model1', ['a1'] * size)
    right = columns.get('model2', ['a2'] * size)
    refuse_lookalikes((str(name) for side in (left, right) for name in side), table.source, 'describer')
    found: dict[tuple[str, ...], DescribedPair] = {}
    for place in range(size):
        row = tuple(str(one[place]) for one in (columns['name'], left, right))
        if row in found or row[1] == row[2]:
            again = 'again ' if row in found else ''
            raise ComparisonError(
                expected='two describers, once a sample',
                came=f'{row[1]} and {row[2]} for {row[0]} {again}in {table.source.row(place)}',
                todo='correct or remove that row',
            )
        found[row] = DescribedPair(row[0], row[1], row[2], _text(table, 'a1', place), _text(table, 'a2', place))
    preferences = columns.get('preference')
    said = None if preferences is None else tuple(_preference(table, place) for place in range(size))
    return Described(tuple(found.values()), said)


def _preference(table: Table, place: int) -> str:
    word = str(table.columns['preference'][place]).strip().lower()
    if word not in PREFERENCES:
        raise ComparisonError(
            expected=f'a preference among {", ".join(PREFERENCES)}',
            came=f'{word[:40]!r} in {table.source.row(place)}',
            todo='correct that row, or leave the column out',
        )
    return PREFERENCES[word]


def _text(table: Table, name: str, place: int) -> str:
    value = table.columns[name][place]
    if not isinstance(value, str):
        raise ComparisonError(
            expected=f'a text in {name}', came=f'{value!r} in {table.source.row(place)}', todo='correct that row'
        )
    return value


def _with_columns(path: Path, needed: Sequence[str]) -> Table:
    table = comparison_table(path)
    if absent := [name for name in needed if name not in table.columns]:
        raise ComparisonError(
            expected=f'columns {", ".join(needed)}, or a table of descriptions for each of two or more describers',
            came=f'{path.name} without {", ".join(absent)}',
            todo='rename the columns, or name another file',
        )
    return table
