"""Recognition of published systems by tensor names and shapes; one entry per family.

An entry recognises its own states (`Family.recognise`) and returns a `Recognised`: size and form, names and shapes of a
complete state of that size, where each tensor goes in affekt's model, and what fine-tuning keeps of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from affekt.wording import counted

Shape = tuple[int, ...]
State = Mapping[str, Shape]
"""Name to shape."""

TOLERATED = re.compile(r'(^|\.)(relative_position_index|position_ids|num_batches_tracked|version)$')
"""Buffers that some versions of a library save and others do not; they are not read."""
POSITIONS = re.compile(r'(^|\.)pos_embed$')
"""A learned table of positions; the published ones are fixed and not in files."""


@dataclass(frozen=True)
class Recognised:
    """The identity of a state.

    Args:
        family: a key of `FAMILIES`.
        title: the family's name as its authors write it.
        form: pretrain, finetune or encoder; for others the part or the model.
        size: as published (tiny, small, base), or 'custom'.
        expected: published name to shape in a complete state of this form and size; empty if unknown.
        sizes: sizes from the shapes: width, blocks, classes and the like.
        model: affekt's class for it; '' if there is none.
        renamed: published name to that of affekt's model, if different.
        kept: for a pre-training state: published name to that in the fine-tuning form; others are left out.
        new: names in the fine-tuning form that pre-training states lack.
        meaning: prefix of names to the meaning of these tensors.
        count: number of tensors of a complete state, if only that is known; else 0.
        differs: how a custom size differs from the published one of its width; '' if in more than block counts.
        is_cut: whether it would have a published size if its last blocks were not missing. Shapes do not distinguish
            this from a shallower network.
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
    differs: str = ''
    is_cut: bool = False

    def __str__(self) -> str:
        name = f'{self.title} {self.size}, {self.form}' if self.size else f'{self.title}, {self.form}'
        return f'{name} ({self.differs})' if self.differs else name

    def ours(self, name: str) -> str:
        """The name in affekt's model for a published name."""
        return self.renamed.get(name, name)


@dataclass(frozen=True)
class Family:
    """A published system with known files.

    Args:
        title: its name as its authors write it.
        source: address of its code.
        recognise: function from a state to its identity; None for another family.
    """

    title: str
    source: str
    recognise: Callable[[State], Recognised | None]


MOST_BLOCKS = 9999
"""Maximum number of blocks of a state; a file that notes more is not followed."""


def depth(state: State, prefix: str) -> int:
    """Number of entries of a module list: 10 if `PREFIX.9.` is the last one."""
    pattern = re.compile(re.escape(prefix) + r'\.(\d{1,4})\.')
    return max((int(match[1]) + 1 for name in state if (match := pattern.match(name))), default=0)


def differing_blocks(size: str, counts: Mapping[str, tuple[int, int]]) -> str:
    """Differences of a state from a published size: 'like tiny, but with 9 audio blocks instead of 10'; '' for none.

    Args:
        size: name of the published size.
        counts: name of a part to its number of blocks in the state, and in the published size.
    """
    differences = [
        f'{counted(count, f"{block} block")} instead of {published}'
        for block, (count, published) in counts.items()
        if count != published
    ]
    return f'like {size}, but with {" and ".join(differences)}' if differences else ''


def has_fewer(counts: Mapping[str, tuple[int, int]]) -> bool:
    """Whether a state has fewer blocks than a published size, and of no kind more; see `differing_blocks`."""
    numbers = list(counts.values())
    return all(count <= published for count, published in numbers) and any(
        count < published for count, published in numbers
    )
