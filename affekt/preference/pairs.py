"""Pairs of descriptions as columns, with verdicts: the data of preference models.

`Pairs` has many `DescribedPair`s as columns; besides the texts it has the authors (`left_source`), the `prompt`, and
each annotator's vote. Verdicts are 1 for the left text (a1), -1 for the right one (a2), 0 for neither (same).

Axes: N pairs, J annotators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.arrays import Ints
from affekt.errors import ComparisonError, short
from affekt.labels import final_texts
from affekt.preference.described_pairs import LEFT, RIGHT, TIE
from affekt.preference.pair_tables import WORDS, PairTable, read_pair_table
from affekt.ranking import refuse_lookalikes, refuse_rows
from affekt.tables import Source

VERDICTS = {word: {LEFT: 1, RIGHT: -1, TIE: 0}[side] for word, side in WORDS.items()}
"""Word for a verdict, in lower case, to 1, -1 or 0."""
OFFICIAL = {1: 'a1', -1: 'a2', 0: 'same'}
"""Verdict to its word in the files of the challenges."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts; build them with `Pairs.of` or `read_pairs`."""

    names: tuple[str, ...]
    """(N,) sample (clip) of each pair; several pairs may share one."""
    left: tuple[str, ...]
    """(N,) left texts."""
    right: tuple[str, ...]
    """(N,) right texts."""
    outcome: Ints | None = None
    """(N,) 1, -1 or 0; None if the pairs have not been judged."""
    votes: Ints | None = None
    """(N, J) verdict of each annotator; None where unknown."""
    left_source: tuple[str, ...] = ()
    """(N,) author of the left text; () where unknown."""
    right_source: tuple[str, ...] = ()
    """(N,) author of the right text; () where unknown."""
    prompt: tuple[str, ...] = ()
    """(N,) prompt of each pair; () without prompts."""
    source: Source = field(default_factory=lambda: Source('the pairs'))

    def __len__(self) -> int:
        return len(self.left)

    def __repr__(self) -> str:
        judged = 'not judged' if self.outcome is None else f'{int(np.sum(self.outcome == 0))} ties'
        return f'Pairs({len(self)} of {len(set(self.names))} samples, {judged})'

    @classmethod
    def of(
        cls,
        left: Sequence[str],
        right: Sequence[str],
        outcome: Sequence[object] | Ints | None = None,
        *,
        names: Sequence[str] | None = None,
        votes: npt.ArrayLike | None = None,
        sources: tuple[Sequence[str], Sequence[str]] | None = None,
        prompt: Sequence[str] | None = None,
        source: Source | str = 'the pairs',
    ) -> Pairs:
        """Pairs from columns, checked row by row.

        Args:
            left, right: (N,) texts; blank if a describer wrote nothing. A model's reasoning is dropped.
            outcome: (N,) 'a1', 'a2', 'same', 'left', 'right', 'tie', or 1, -1, 0; without it, the majority of votes.
            names: (N,) samples; None to number them.
            votes: (N, J) of 1, -1, 0.
            sources: authors of the left and of the right texts, N names each.
            prompt: (N,) prompts.
            source: name of the data in messages.

        Raises:
            ComparisonError: there are no rows, columns differ in length, a cell is not text, or a verdict is unknown;
                the message names the first bad row.
        """
        source = Source(source) if isinstance(source, str) else source
        size = len(left)
        columns = {'right': right, 'outcome': outcome, 'names': names, 'votes': votes, 'prompt': prompt}
        columns |= dict(zip(('left_source', 'right_source'), sources or (None, None), strict=True))
        lengths = {name: len(column) for name, column in columns.items() if column is not None and len(column) != size}  # type: ignore[arg-type]
        if lengths or size == 0:
            raise ComparisonError(
                expected='at least one pair, and as many entries in every column',
                came=f'{source} with {size} in left'
                + ''.join(f', {length} in {name}' for name, length in lengths.items()),
                todo='give columns of one length',
            )
        for side in (left, right):
            is_invalid = np.asarray([not isinstance(text, str) for text in side], np.bool_)
            refuse_rows(is_invalid, source, 'a text on both sides', lambda row, side=side: repr(side[row]))
        texts = final_texts((*left, *right), source)
        verdicts = None if votes is None else _votes(votes, source)
        refuse_lookalikes((str(name) for side in sources or () for name in side), source, 'writer')
        return cls(
            names=tuple(map(str, names)) if names is not None else tuple(str(number) for number in range(1, size + 1)),
            left=tuple(texts[:size]),
            right=tuple(texts[size:]),
            outcome=_judged(outcome, verdicts, source),
            votes=verdicts,
            left_source=tuple(map(str, sources[0])) if sources else (),
            right_source=tuple(map(str, sources[1])) if sources else (),
            prompt=tuple(prompt) if prompt is not None else (),
            source=source,
        )

    @classmethod
    def of_table(cls, table: PairTable) -> Pairs:
        """The pairs of a table as columns.

        Raises:
            ComparisonError: the table has no pairs.
        """
        if not table.pairs:
            raise ComparisonError(
                expected='at least one pair', came=f'{table.source} without any', todo='give rows of two descriptions'
            )
        table.refuse_lookalikes()
        described = table.pairs
        verdicts = [pair.outcome for pair in described] if table.is_judged and not table.votes else None
        votes = np.array([[VERDICTS[word] for word in row] for row in table.votes], np.int64) if table.votes else None
        return cls(
            names=tuple(pair.sample for pair in described),
            left=tuple(pair.left_text for pair in described),
            right=tuple(pair.right_text for pair in described),
            outcome=_judged(verdicts, votes, table.source),
            votes=votes,
            left_source=tuple(pair.left for pair in described) if table.names_describers else (),
            right_source=tuple(pair.right for pair in described) if table.names_describers else (),
            prompt=table.prompts,
            source=table.source,
        )

    @cached_property
    def groups(self) -> npt.NDArray[np.str_]:
        """(N,) groups that must stay in one part of a split: each pair's prompt if it has one, otherwise its sample."""
        prompts = self.prompt or ('',) * len(self.names)
        return np.asarray([prompt or name for prompt, name in zip(prompts, self.names, strict=True)])

    @property
    def truth(self) -> Ints:
        """(N,) verdicts.

        Raises:
            ComparisonError: the pairs have not been judged.
        """
        if self.outcome is None:
            raise ComparisonError(
                expected='pairs with a preference', came=f'{self.source} without', todo='add the column preference'
            )
        return self.outcome

    def take(self, chosen: npt.ArrayLike) -> Pairs:
        """The pairs at (M,) indices, or where a mask (N,) is True."""
        indices = np.arange(len(self))[np.asarray(chosen)]
        texts = ('names', 'left', 'right', 'left_source', 'right_source', 'prompt')
        columns = {name: getattr(self, name) for name in texts}
        taken = {name: tuple(column[index] for index in indices) if column else () for name, column in columns.items()}
        rows = indices + 1 if self.source.rows is None else self.source.rows[indices]
        return replace(
            self,
            **taken,
            outcome=None if self.outcome is None else self.outcome[indices],
            votes=None if self.votes is None else self.votes[indices],
            source=Source(self.source.name, rows),
        )

    def swapped(self) -> Pairs:
        """The same pairs with left and right swapped."""
        return replace(
            self,
            left=self.right,
            right=self.left,
            left_source=self.right_source,
            right_source=self.left_source,
            outcome=None if self.outcome is None else -self.outcome,
            votes=None if self.votes is None else -self.votes,
        )


def _judged(outcome: Sequence[object] | Ints | None, votes: Ints | None, source: Source) -> Ints | None:
    """(N,) verdicts: the outcomes, else the majority of the votes; None without both."""
    if outcome is not None:
        return _outcomes(outcome, VERDICTS, source)
    return None if votes is None else majority(votes)


def majority(votes: Ints) -> Ints:
    """(N,) verdict of more than half of the (N, J) votes; 0 if there is none."""
    half = votes.shape[1] / 2.0
    is_left, is_right = ((votes == verdict).sum(axis=1) > half for verdict in (1, -1))
    return np.asarray(is_left.astype(np.int64) - is_right, np.int64)


def read_pairs(path: str | Path, *, judged: bool = False) -> Pairs:
    """The pairs in a file.

        name,a1,a2[,preference][,model1,model2]                             EmoPrefer, MER-Prefer
        idx,instruction,input,response1,response2,annotator1…annotator3     PandaLM
        left_text,right_text[,outcome][,sample][,left,right][,prompt]       and the other shapes of `affekt.ranking`

    Args:
        path: any table that `affekt.tables.read_table` reads.
        judged: refuse pairs without a verdict.

    Raises:
        ComparisonError: the file is missing, empty, damaged or of no known shape, or a row is invalid: the message
            names it.
    """
    table = read_pair_table(Path(path))
    table.note_thinking()
    pairs = Pairs.of_table(table)
    if judged:
        _ = pairs.truth
    return pairs


def _outcomes(column: Sequence[object] | Ints, words: Mapping[str, int], source: Source) -> Ints:
    """Verdicts from words, or from 1, -1 and 0 where those are not among the words."""
    codes_by_word: Mapping[str, int] = {'1': 1, '-1': -1, '0': 0, **words}
    values = list(column)
    codes = np.array([codes_by_word.get(str(value).strip().lower(), 2) for value in values], np.int64)
    expected = f'a preference among {", ".join(words)}'
    refuse_rows(codes == 2, source, expected, lambda row: repr(short(str(values[row]))))
    return codes


def _votes(votes: npt.ArrayLike, source: Source) -> Ints:
    checked = np.asarray(votes, np.int64)
    if checked.ndim != 2 or not checked.shape[1] or not np.isin(checked, (-1, 0, 1)).all():
        raise ComparisonError(
            expected='votes of shape (N, J), each 1, -1 or 0',
            came=f'shape {checked.shape} in {source}',
            todo='give one column for each annotator',
        )
    return checked
