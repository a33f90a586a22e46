"""Pairs of descriptions of one sample, as models learn from them, judges judge them and raters see them.

`affekt.preference.read_pairs` reads tables of pairs; `read_describers` reads tables of one describer each, whose
descriptions are paired. Both drop the reasoning (thinking) of describers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from affekt.errors import ComparisonError
from affekt.labels import FinalAnswer, note_thinking, without_thinking
from affekt.llm import read_descriptions

LEFT, RIGHT, TIE = 'left', 'right', 'tie'


@dataclass(frozen=True)
class DescribedPair:
    """Two descriptions of one sample, without their describers' reasoning."""

    sample: str
    """Name of the clip."""
    left: str
    """Name of the left text's describer, which is never shown to a judge."""
    right: str
    """Name of the right text's describer."""
    left_text: str
    right_text: str
    media: Path | None = None
    """Path of the clip; None if there is none."""
    outcome: str = ''
    """left, right or tie; '' if the pair has not been judged."""
    rater: str = ''
    """Name of the rater; '' if unknown."""
    first: str = ''
    """Side shown first to the rater; '' for side by side, or where unknown."""
    has_thinking: tuple[bool, ...] = field(default=(), compare=False, repr=False)
    """Whether the left and the right text included reasoning; () to find out, and to remove it."""

    def __post_init__(self) -> None:
        if self.has_thinking:
            return
        left, right = without_thinking(self.left_text), without_thinking(self.right_text)
        object.__setattr__(self, 'left_text', left.text)
        object.__setattr__(self, 'right_text', right.text)
        object.__setattr__(self, 'has_thinking', (left.has_thinking, right.has_thinking))

    def shown(self, order: str) -> tuple[str, str]:
        """The two texts in the order shown.

        Args:
            order: left or right, the side that is shown first.
        """
        return (self.left_text, self.right_text) if order == LEFT else (self.right_text, self.left_text)

    @cached_property
    def key(self) -> str:
        """Identifier of the pair, whichever file it comes from: 16 hexadecimal digits."""
        parts = [self.sample, self.left, self.right, self.left_text, self.right_text]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:16]

    @cached_property
    def describers(self) -> tuple[str, str]:
        """Names of the two describers, in alphabetical order."""
        return (self.left, self.right) if self.left <= self.right else (self.right, self.left)

    @property
    def pair(self) -> tuple[str, str]:
        """Former name of `describers`."""
        return self.describers

    @property
    def gold(self) -> str:
        """Former name of `outcome`."""
        return self.outcome


def read_describers(
    paths: Sequence[Path], column: str | None = None, *, notes: bool = False
) -> dict[str, dict[str, FinalAnswer]]:
    """Each describer's descriptions by sample, in the order of the files.

    Args:
        paths: one table per describer, named after the file.
        column: column of descriptions, if not a usual name.
        notes: add a note on the number of texts with a describer's reasoning to the notes of reading a table.

    Raises:
        TableError: a table cannot be read, or lacks a column.
        ComparisonError: two files have the same name.
    """
    names = [path.stem for path in paths]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise ComparisonError(
            expected='a file name of its own for each describer', came=f'{repeated[0]} twice', todo='rename a file'
        )
    answers: dict[str, dict[str, FinalAnswer]] = {}
    for name, path in zip(names, paths, strict=True):
        texts = read_descriptions(path, column)
        answers[name] = {sample: without_thinking(text) for sample, text in texts.items()}
        if notes:
            with_thinking = {text for sample, text in texts.items() if answers[name][sample].has_thinking}
            note_thinking(len(with_thinking), path.name)
    return answers


def paired(sample: str, left: str, right: str, answers: Mapping[str, Mapping[str, FinalAnswer]]) -> DescribedPair:
    """The pair of two describers' descriptions of a sample.

    Args:
        sample: name of the sample.
        left, right: names of the two describers.
        answers: descriptions from `read_describers`, by describer and sample.

    Raises:
        KeyError: a describer has no description of the sample.
    """
    first, second = answers[left][sample], answers[right][sample]
    has_thinking = first.has_thinking, second.has_thinking
    return DescribedPair(sample, left, right, first.text, second.text, has_thinking=has_thinking)
