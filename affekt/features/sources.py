"""Sources of imported features in a common form: samples by name, each with its rows, read one at a time.

Values become float32, or an error names the value and its position: none becomes infinite silently.

Axes: T time steps, D features.
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
from affekt.errors import ShapeError, TableError, ValueRangeError
from affekt.runs import file_sha256

Times = npt.NDArray[np.float64]
EXACT = 1 << 24
"""Largest whole number up to which all are exact in float32."""
OTHERS = {
    'b': 'save them as numbers: array.astype("float32")',
    'c': 'save real and imaginary parts as columns of their own',
    'O': 'save one array of numbers for each sample: numpy.asarray(rows, "float32")',
    'U': 'save numbers, not texts: array.astype("float32")',
    'S': 'save numbers, not texts: array.astype("float32")',
}
"""Kind of a NumPy type that is not numeric to advice for saving it."""


class Source(Protocol):
    """Features of several samples."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the samples, in order."""

    @property
    def columns(self) -> tuple[str, ...]:
        """(D,) column names; () where there are none."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on what was left out, or reinterpreted."""

    def where(self, name: str) -> str:
        """The sample and its file, for messages."""

    def shape(self, name: str) -> tuple[int, int]:
        """(T, D) of a sample; T is 0 where it has no values."""

    def rows(self, name: str) -> tuple[Floats32, Times | None]:
        """(T, D) finite values of a sample, and (T,) times in seconds where the source has them."""

    def digest(self, names: Sequence[str]) -> str:
        """Hash of the contents of these samples."""


@dataclass
class Arrays:
    """Features that a few files contain together."""

    files: tuple[Path, ...]
    arrays: Mapping[str, npt.NDArray[Any]]
    """Sample to its values: (D,) for one row, or (T, D)."""
    columns: tuple[str, ...] = ()
    times: Mapping[str, Times] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Names of the samples, in the order of the files."""
        return list(self.arrays)

    def where(self, name: str) -> str:
        """The sample and its file, for messages."""
        return f'sample {name!r} of {self.files[0] if len(self.files) == 1 else self.files[0].parent}'

    def shape(self, name: str) -> tuple[int, int]:
        """(T, D) of a sample; T is 0 where it has no values."""
        return two_axes(self.arrays[name].shape, self.where(name))

    def rows(self, name: str) -> tuple[Floats32, Times | None]:
        """(T, D) finite values of a sample, and (T,) times where known."""
        values = self.arrays[name]
        if is_rounded(values) and ROUNDED not in self.notes:
            self.notes.append(ROUNDED)
        return as_float32(values, self.where(name)).reshape(self.shape(name)), self.times.get(name)

    def digest(self, names: Sequence[str]) -> str:
        """Hash of the files and of the names that are used."""
        digest = hashlib.sha256(' '.join(file_sha256(file) for file in self.files).encode())
        digest.update('\n'.join(names).encode())
        return digest.hexdigest()


ROUNDED = 'whole numbers above 16,777,216 are rounded: features are kept in single precision'


def two_axes(shape: tuple[int, ...], where: str, *, is_one_row: bool = False) -> tuple[int, int]:
    """(T, D) of an array: unchanged with two axes, one row with one; further axes of length 1 are dropped.

    Args:
        shape: shape of the array.
        where: place of the array, for the message.
        is_one_row: a column of numbers is one row, as in published readers of utterances.

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
    """(T, D) from T arrays of D values.

    Raises:
        TableError: the arrays differ in length.
    """
    sizes = [row.size for row in rows]
    if len(set(sizes)) != 1:
        at = next(index for index, size in enumerate(sizes) if size != sizes[0])
        raise TableError(
            expected=f'{sizes[0]} numbers in every row', came=f'{sizes[at]} in row {at} of {where}', todo='correct it'
        )
    return np.stack([row.reshape(-1) for row in rows])


def as_float32(values: npt.NDArray[Any], where: str) -> Floats32:
    """Values in single precision.

    Args:
        values: array of any shape.
        where: file and sample, for messages.

    Raises:
        TableError: the values are not real numbers.
        ValueRangeError: a value is not finite, or too large for float32; the message names its position.
    """
    require_numbers(values, where)
    with np.errstate(over='ignore', invalid='ignore'):
        rows = values.astype(np.float32)
    is_faulty = ~np.isfinite(rows)
    if is_faulty.any():
        at = tuple(int(index) for index in np.argwhere(is_faulty)[0])
        came = f'{values[at]} in {place(at)} of {where}'
        if np.isfinite(values[at]):
            raise ValueRangeError(
                expected=f'numbers up to {np.finfo(np.float32).max:.1e}, which features are kept in',
                came=came + _more(int(is_faulty.sum())), todo='scale them down before the import, or take logarithms',
            )  # fmt: skip
        raise ValueRangeError(
            expected='finite features', came=came + _more(int(is_faulty.sum())),
            todo='leave that sample out, or correct its extraction',
        )  # fmt: skip
    return rows


def require_numbers(values: npt.NDArray[Any], where: str) -> None:
    """Check that values are real numbers.

    Raises:
        TableError: the values are not real numbers.
    """
    if values.dtype.kind not in 'fiu':
        todo = OTHERS.get(values.dtype.kind, 'save them as float32')
        raise TableError(expected='an array of numbers', came=f'{values.dtype} in {where}', todo=todo)


def is_rounded(values: npt.NDArray[Any]) -> bool:
    """Whether whole numbers among these are too large to be exact in float32."""
    return values.dtype.kind in 'iu' and values.size > 0 and int(max(abs(int(values.min())), int(values.max()))) > EXACT


def place(at: tuple[int, ...]) -> str:
    """Description of a position in an array, counted from 0.

    >>> place((3, 5)), place((4,))
    ('row 3, column 5', 'position 4')
    """
    if len(at) == 2:
        return f'row {at[0]}, column {at[1]}'
    return f'position {", ".join(map(str, at))}' if at else 'its only number'


def _more(count: int) -> str:
    return f', and {count - 1} more there' if count > 1 else ''
