"""Shapes of tables of comparisons and of pairs of descriptions: the meaning of their columns.

Start at `SHAPES`, at the bottom. `rank` reads verdicts by the names of the items; `affekt.preference.read_pairs`
reads the two texts from the same tables. A new shape is one more entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SKIP = 'skip'
"""Verdict of a rater who did not choose."""
ORDERS = {'left': 1, 'right': -1, 'lr': 1, 'rl': -1, '1': 1, '-1': -1, '0': 0, '': 0}
"""Side shown first, as written in lower case, to its code."""
PLAIN_WORDS = {'left': 'left', 'right': 'right', 'tie': 'tie', '1': 'left', '-1': 'right', '0': 'tie', SKIP: SKIP}
EMOPREFER_WORDS = {'a1': 'left', 'a2': 'right', 'same': 'tie', 'tie': 'tie'}
_ARENA_WORDS = {
    'model_a': 'left',
    'model_b': 'right',
    'tie': 'tie',
    'tie (bothbad)': 'tie: both bad',
    'bothbad': 'tie: both bad',
    'both_bad': 'tie: both bad',
}


@dataclass(frozen=True)
class Shape:
    """Columns of a table and the meaning of its verdicts."""

    left: str
    """Column of the left item's name; with `joined`, of both names."""
    right: str
    """Column of the right item's name."""
    outcome: tuple[str, ...]
    """Column of the verdict; several where each rater has a column."""
    words: Mapping[str, str] = field(default_factory=lambda: PLAIN_WORDS)
    """Verdict as written, in lower case, to left, right, tie, skip, or a kind of tie ('tie: both bad')."""
    joined: str = ''
    """Separator of the two names where one column holds both; '' otherwise."""
    sample: tuple[str, ...] = ('sample',)
    """Columns that may name the sample; the first one present is used."""
    rater: tuple[str, ...] = ('rater',)
    """Columns that may name the rater; the first one present is used."""
    left_text: str = 'left_text'
    """Column of the left item's text."""
    right_text: str = 'right_text'
    """Column of the right item's text."""
    writers: tuple[tuple[str, str], ...] = ()
    """Further columns that may name the authors of the two texts."""
    prompt: tuple[str, ...] = ('prompt',)
    """Columns of the question; all that are present are joined."""

    @property
    def needed(self) -> set[str]:
        """Columns that a table of comparisons of this shape must have."""
        return {self.left, self.right, *self.outcome}

    @property
    def texts(self) -> tuple[str, str]:
        """Columns of the two texts."""
        return self.left_text, self.right_text

    @property
    def describers(self) -> tuple[tuple[str, ...], ...]:
        """Columns that may name the authors of the two texts: pairs of columns, or single ones with both names."""
        own = (self.left,) if self.joined else (self.left, self.right)
        return tuple(columns for columns in (*self.writers, own) if set(columns).isdisjoint(self.texts))


def as_word(cell: object) -> str:
    """A cell in the form of the keys of `words`: whole numbers without decimal point, text in lower case."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip().lower()


def shape_of_comparisons(columns: Iterable[str]) -> Shape | None:
    """The first shape whose columns of names and verdicts exist; None if there is none."""
    present = set(columns)
    return next((shape for shape in SHAPES.values() if shape.needed <= present), None)


def shape_of_pairs(columns: Iterable[str]) -> Shape | None:
    """The first shape whose columns of texts exist, preferably those of names and verdicts too; None without one."""
    present = set(columns)
    shapes = [shape for shape in SHAPES.values() if present.issuperset(shape.texts)]
    return next((shape for shape in shapes if shape.needed <= present), shapes[0] if shapes else None)


SHAPES: dict[str, Shape] = {
    'plain': Shape('left', 'right', ('outcome',), writers=(('left_source', 'right_source'),)),
    'emoprefer': Shape(
        'model1', 'model2', ('preference',), EMOPREFER_WORDS, sample=('name',), left_text='a1', right_text='a2'
    ),
    'emoprefer without models': Shape(
        'a1', 'a2', ('preference',), EMOPREFER_WORDS, sample=('name',), left_text='a1', right_text='a2',
        writers=(('model1', 'model2'),),
    ),
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
        prompt=('instruction', 'input'),
    ),
    'numbered': Shape(
        'name1', 'name2', ('preference',), {**PLAIN_WORDS, '2': 'right'}, sample=('sample', 'name'),
        left_text='text1', right_text='text2',
    ),
    'answers': Shape('left', 'right', ('preference',), left_text='answer1', right_text='answer2'),
}  # fmt: skip
"""Name of a shape to its definition, in the order in which they are tried."""
