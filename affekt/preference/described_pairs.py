"""Two descriptions of one sample: the one noun that is learned from, judged by models and shown to raters.

`affekt.preference.read_pairs` reads tables of pairs; `read_describers` reads tables of one describer each, whose
descriptions are paired. What describers thought aloud is dropped in both, and is no part of a pair.
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
    """Two descriptions of one sample, without what their describers thought aloud."""

    sample: str
    """Name of the clip."""
    left: str
    """Name of the describer; who judges by reading never sees it."""
    right: str
    left_text: str
    right_text: str
    media: Path | None = None
    """The clip, where there is one."""
    outcome: str = ''
    """left, right or tie; '' where nobody has judged."""
    rater: str = ''
    """Who judged; '' where nobody is named."""
    first: str = ''
    """The side that the rater was shown first; '' for side by side, or where nobody knows."""
    has_thinking: tuple[bool, ...] = field(default=(), compare=False, repr=False)
    """Whether the left and the right describer thought aloud; given where the texts are to be taken as they are."""

    def __post_init__(self) -> None:
        if self.has_thinking:
            return
        left, right = without_thinking(self.left_text), without_thinking(self.right_text)
        object.__setattr__(self, 'left_text', left.text)
        object.__setattr__(self, 'right_text', right.text)
        object.__setattr__(self, 'has_thinking', (left.has_thinking, right.has_thinking))

    def shown(self, order: str) -> tuple[str, str]:
        """The two texts in the order in which they are shown.

        Args:
            order: left or right, the side that comes first.
        """
        return (self.left_text, self.right_text) if order == LEFT else (self.right_text, self.left_text)

    @cached_property
    def key(self) -> str:
        """Says which pair this is, whatever file it comes from: 16 hex digits."""
        parts = [self.sample, self.left, self.right, self.left_text, self.right_text]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:16]

    @cached_property
    def describers(self) -> tuple[str, str]:
        """The two describers by name."""
        return (self.left, self.right) if self.left <= self.right else (self.right, self.left)

    @property
    def pair(self) -> tuple[str, str]:
        """The old name of `describers`."""
        return self.describers

    @property
    def gold(self) -> str:
        """The old name of `outcome`."""
        return self.outcome


def read_describers(
    paths: Sequence[Path], column: str | None = None, *, notes: bool = False
) -> dict[str, dict[str, FinalAnswer]]:
    """What each describer says of each sample, in the order of the files.

    Args:
        paths: a table for each describer, who is called as the file is.
        column: the column of descriptions, where it has another name.
        notes: note, with the other notes of reading a table, how many texts held what a describer thought aloud.

    Raises:
        TableError: a table cannot be read, or lacks a column.
        ComparisonError: two files have one name.
    """
    names = [path.stem for path in paths]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ComparisonError(
            expected='a file name of its own for each describer', came=f'{twice[0]} twice', todo='rename a file'
        )
    answers: dict[str, dict[str, FinalAnswer]] = {}
    for name, path in zip(names, paths, strict=True):
        texts = read_descriptions(path, column)
        answers[name] = {sample: without_thinking(text) for sample, text in texts.items()}
        if notes:
            thought = {text for sample, text in texts.items() if answers[name][sample].has_thinking}
            note_thinking(len(thought), path.name)
    return answers


def paired(sample: str, left: str, right: str, answers: Mapping[str, Mapping[str, FinalAnswer]]) -> DescribedPair:
    """What two describers say of a sample.

    Args:
        answers: by `read_describers`.
    """
    first, second = answers[left][sample], answers[right][sample]
    thinking = first.has_thinking, second.has_thinking
    return DescribedPair(sample, left, right, first.text, second.text, has_thinking=thinking)
