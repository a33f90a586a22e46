"""Descriptions by describers as pairs to be judged.

Two or more tables, one per describer (a column of names and one of descriptions, see `llm.read_descriptions`; the
describer is named after the file): every two describers on every sample, or the pairs that a file lists. Or one table
of pairs, in any shape that `affekt.preference.read_pair_table` knows, with people's verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from affekt.errors import ComparisonError, MediaError
from affekt.labels import FinalAnswer
from affekt.preference import DescribedPair, paired, read_describers, read_pair_table
from affekt.ranking import comparison_table, refuse_lookalikes

PAIR_COLUMNS = ('sample', 'left', 'right')
"""Columns of a table that lists the pairs to judge."""
SHOWN_NAMES = 3
"""Number of names that a message lists."""


@dataclass(frozen=True)
class Described:
    """Pairs to be judged, with people's verdicts where there are any."""

    pairs: tuple[DescribedPair, ...]
    is_judged: bool = False
    """Whether people have judged the pairs."""
    left_out: int = 0
    """Number of pairs that could not be made because one describer has no description of the sample."""

    @property
    def preferences(self) -> tuple[str, ...] | None:
        """left, right or tie for each pair; None if people have not judged."""
        return tuple(pair.outcome for pair in self.pairs) if self.is_judged else None


def read_described(
    paths: Sequence[Path],
    *,
    column: str | None = None,
    pairs: Path | None = None,
    media: Path | None = None,
) -> Described:
    """The pairs from files of descriptions.

    Args:
        paths: two or more tables of descriptions, or one table of pairs.
        column: column of descriptions, if not a usual name.
        pairs: a table with columns sample, left, right that lists the pairs to judge, by names of describers.
        media: folder of the clips; a clip has the sample's name, with any extension.

    Raises:
        TableError: a table of descriptions cannot be read.
        ComparisonError: there are no pairs, one describer only, an unknown name, or an invalid row.
        MediaError: the folder, or the clip of a sample, is missing, or a sample has two clips.
    """
    if len(paths) == 1:
        if pairs is not None:
            raise ComparisonError(
                expected='tables of descriptions to take pairs from',
                came=f'one table of pairs, {paths[0].name}',
                todo='leave --pairs out, or name a table for each describer',
            )
        described = _of_pairs(paths[0])
    else:
        described = _of_describers(paths, column, pairs)
    if not described.pairs:
        raise ComparisonError(
            expected='a sample that two describers describe', came='none', todo='check the names of the samples'
        )
    return described if media is None else replace(described, pairs=with_media(described.pairs, media))


def with_media(pairs: Sequence[DescribedPair], folder: Path) -> tuple[DescribedPair, ...]:
    """The pairs with their clips: files of a folder with the sample's name, with or without extension.

    Args:
        pairs: pairs without clips.
        folder: folder of the clips; hidden files are ignored.

    Raises:
        MediaError: there is no such folder, or a sample has no clip or two.
    """
    if not folder.is_dir():
        raise MediaError(expected='a folder of clips', came=str(folder), todo='check --media')
    clips: dict[str, list[Path]] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith('.')):
        for name in {path.name, path.stem}:
            clips.setdefault(name, []).append(path)
    samples = list(dict.fromkeys(pair.sample for pair in pairs))
    for expected, amount, affected in (
        ('a clip for each sample', 'no', [sample for sample in samples if sample not in clips]),
        ('one clip for each sample', 'several', [sample for sample in samples if len(clips.get(sample, ())) > 1]),
    ):
        if affected:
            raise MediaError(
                expected=expected,
                came=f'{amount} clips for {len(affected)} of {len(samples)} '
                f'({", ".join(affected[:SHOWN_NAMES])}) in {folder}',
                todo='name clips after their samples',
            )
    return tuple(replace(pair, media=clips[pair.sample][0]) for pair in pairs)


def _of_describers(paths: Sequence[Path], column: str | None, pairs: Path | None) -> Described:
    """Pairs of every two describers, or those that a file lists."""
    refuse_lookalikes([path.stem for path in dict.fromkeys(paths)], 'the names of the files', 'describer')
    texts = read_describers(paths, column)
    if pairs is not None:
        return Described(_named_pairs(pairs, texts))
    samples = list(dict.fromkeys(sample for answers in texts.values() for sample in answers))
    candidates = [(sample, left, right) for sample in samples for left, right in combinations(texts, 2)]
    described = [
        paired(sample, left, right, texts)
        for sample, left, right in candidates
        if sample in texts[left] and sample in texts[right]
    ]
    return Described(tuple(described), left_out=len(candidates) - len(described))


Texts = Mapping[str, Mapping[str, FinalAnswer]]
"""Describer to sample to description."""


def _named_pairs(path: Path, texts: Texts) -> tuple[DescribedPair, ...]:
    """The pairs that a file lists by sample and describers."""
    table = comparison_table(path)
    if missing := [name for name in PAIR_COLUMNS if name not in table]:
        raise ComparisonError(
            expected=f'columns {", ".join(PAIR_COLUMNS)}',
            came=f'{path.name} without {", ".join(missing)}',
            todo='rename the columns, or name another file',
        )
    pairs: dict[tuple[str, ...], DescribedPair] = {}
    for index, row in enumerate(zip(*(map(str, table[name]) for name in PAIR_COLUMNS), strict=True)):
        sample, left, right = row
        unknown = next((side for side in (left, right) if sample not in texts.get(side, {})), None)
        if unknown is not None or left == right or row in pairs:
            came = f'no description of {sample} by {unknown}' if unknown else f'{left} and {right} for {sample} again'
            came = came if left != right else f'{left} against itself'
            raise ComparisonError(
                expected='two describers of a sample, each pair once',
                came=f'{came} in {table.row(index)}',
                todo=f'correct that row; describers are {", ".join(texts)}',
            )
        pairs[row] = paired(sample, left, right, texts)
    return tuple(pairs.values())


def _of_pairs(path: Path) -> Described:
    """The pairs of a table of pairs."""
    table = read_pair_table(path)
    table.refuse_lookalikes()
    if not table.names_samples:
        raise ComparisonError(
            expected='a column that names the sample of each pair',
            came=f'{path.name} without one',
            todo='add the column name',
        )
    previous: set[tuple[str, ...]] = set()
    for index, pair in enumerate(table.pairs):
        row = pair.sample, pair.left, pair.right
        if row in previous or pair.left == pair.right:
            again = 'again ' if row in previous else ''
            raise ComparisonError(
                expected='two describers, each pair once per sample',
                came=f'{pair.left} and {pair.right} for {pair.sample} {again}in {table.source.row(index)}',
                todo='correct or remove that row',
            )
        previous.add(row)
    return Described(table.pairs, is_judged=table.is_judged and not table.votes)
