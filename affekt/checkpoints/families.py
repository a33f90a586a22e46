"""Which published system a state belongs to, told by its names and shapes; one entry a family.

An entry recognises its own (`Family.recognise`) and gives a `Recognised`: size and form, the names and shapes that a
whole state of that size has, where each goes in affekt's model, and what fine-tuning keeps of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, ...]
State = Mapping[str, Shape]
"""Name to shape."""

TOLERATED = re.compile(r'(^|\.)(relative_position_index|position_ids|num_batches_tracked|version)$')
"""Buffers that some versions of a library save and others do not; nothing is read from them."""
POSITIONS = re.compile(r'(^|\.)pos_embed$')
"""A table of positions that was learned; the published ones are fixed and in no file."""


@dataclass(frozen=True)
class Recognised:
    """What a state is.

    Args:
        family: a key of `FAMILIES`.
        title: the family as its authors write it.
        form: pretrain, finetune or encoder; for others the part or the model.
        size: as published (tiny, small, base), or 'custom'.
        expected: published name to shape of a whole state of this form and size; empty where nobody can know.
        sizes: what the shapes tell: width, blocks, classes and the like.
        model: the class of affekt that it fills, '' where there is none.
        renamed: published name to that of affekt's model, where it is another.
        kept: of a pre-training state: published name to that in the fine-tuning form; what is absent is left out.
        new: names of the fine-tuning form that no pre-training state has.
        meaning: prefix of names to what these tensors are.
        count: how many tensors a whole state has, where no more than that is known; else 0.
    """

    family: str
    title: str
    form: str
    size: str
    expected: State = field(default_factory=dict)
    sizes: Mapping[str, Any] = field(default_factory=dict)
    model: str = ''
    renamed: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    meaning: Mapping[str, str] = field(default_factory=dict)
    count: int = 0

    def __str__(self) -> str:
        return f'{self.title} {self.size}, {self.form}' if self.size else f'{self.title}, {self.form}'

    def ours(self, name: str) -> str:
        """A published name as affekt's model has it."""
        return self.renamed.get(name, name)


@dataclass(frozen=True)
class Family:
    """A published system whose files are known.

    Args:
        title: as its authors write it.
        source: where its code is.
        recognise: a state to what it is; None for a state of another family.
    """

    title: str
    source: str
    recognise: Callable[[State], Recognised | None]


def depth(state: State, prefix: str) -> int:
    """How many numbered parts a list has: 10 where `PREFIX.9.` is the last one."""
    pattern = re.compile(re.escape(prefix) + r'\.(\d{1,4})\.')
    return max((int(match[1]) + 1 for name in state if (match := pattern.match(name))), default=0)
