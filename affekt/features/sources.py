"""What features are imported from, in one form: samples by name, each with its rows, read one at a time.

T rows in time, D columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ShapeError, TableError
from affekt.features.numbers import as_float32, is_rounded
from affekt.runs import file_sha256

Times = npt.NDArray[np.float64]


class Source(Protocol):
    """Features of several samples, wherever they lie."""

    @property
    def names(self) -> Sequence[str]:
        """Of its samples, in order."""

    @property
    def columns(self) -> tuple[str, ...]:
        """(D,) names; empty where columns have none."""

    @property
    def notes(self) -> Sequence[str]:
        """What was left out, or taken for something."""

    def where(self, name: str) -> str:
        """The sample's place in words, for messages."""

    def shape(self, name: str) -> tuple[int, int]:
        """(T, D) of a sample; T is 0 where it has no values."""

    def rows(self, name: str) -> tuple[Floats32, Times | None]:
        """(T, D) finite values of a sample, and (T,) seconds where the source tells them."""

    def digest(self, names: Sequence[str]) -> str:
        """A hash of what these samples hold."""


@dataclass
class Arrays:
    """Features that a few files hold together."""

    files: tuple[Path, ...]
    arrays: Mapping[str, npt.NDArray[Any]]
    """Sample to its numbers: (D,) for one row, or (T, D)."""
    columns: tuple[str, ...] = ()
    times: Mapping[str, Times] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Of the samples, in the order of the files."""
        return list(self.arrays)

    def where(self, name: str) -> str:
        """The sample and its file."""
        return f'sample {name!r} of {self.files[0] if len(self.files) == 1 else self.files[0].parent}'

    def shape(self, name: str) -> tuple[int, int]:
        """(T, D), T being 0 for no values."""
        return two_axes(self.arrays[name].shape, self.where(name))

    def rows(self, name: str) -> tuple[Floats32, Times | None]:
        """Finite values, and times where known."""
        values = self.arrays[name]
        if is_rounded(values) and ROUNDED not in self.notes:
            self.notes.append(ROUNDED)
        return as_float32(values, self.where(name)).reshape(self.shape(name)), self.times.get(name)

    def digest(self, names: Sequence[str]) -> str:
        """A hash of the files and of the names that are taken."""
        digest = hashlib.sha256(' '.join(file_sha256(file) for file in self.files).encode())
        digest.update('\n'.join(names).encode())
        return digest.hexdigest()


ROUNDED = 'whole numbers above 16,777,216 are rounded: features are kept in single precision'


def two_axes(shape: tuple[int, ...], where: str, *, is_one_row: bool = False) -> tuple[int, int]:
    """(T, D) of an array: as it stands with two axes, one row with one; axes of length 1 beyond two are dropped.

    Args:
        shape: of the array.
        where: for the message.
        is_one_row: a column of numbers is meant as one row, as published readers take what they call an utterance.

    Raises:
        ShapeError: there are more than two axes longer than 1.
    """
    if 0 in shape:
        return 0, 0
    axes = list(shape)
    while len(axes) > 2 and 1 in axes:
        axes.remove(1)
    if len(axes) > 2:
        raise ShapeError(
            expected='(D,) or (T, D)', came=f'{shape} in {where}', todo='save one array of rows and columns a sample'
        )
    if len(axes) < 2:
        return 1, int(np.prod(axes, dtype=np.int64))
    if is_one_row and axes[1] == 1:
        return 1, axes[0]
    return axes[0], axes[1]


def stacked_rows(rows: Sequence[npt.NDArray[Any]], where: str) -> npt.NDArray[Any]:
    """(T, D) of T arrays of D numbers.

    Raises:
        TableError: they differ in length.
    """
    sizes = [row.size for row in rows]
    if len(set(sizes)) != 1:
        at = next(index for index, size in enumerate(sizes) if size != sizes[0])
        raise TableError(
            expected=f'{sizes[0]} numbers in every row', came=f'{sizes[at]} in row {at} of {where}', todo='correct it'
        )
    return np.stack([row.reshape(-1) for row in rows])
