"""Anyone's numbers as float32, or a refusal that says which number and where: nothing becomes infinite in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import TableError, ValueRangeError

EXACT = 1 << 24
"""Whole numbers up to here are themselves in float32; larger ones are rounded."""
OTHERS = {
    'b': 'save them as numbers: array.astype("float32")',
    'c': 'save real and imaginary parts as columns of their own',
    'O': 'save one array of numbers for each sample: numpy.asarray(rows, "float32")',
    'U': 'save numbers, not texts: array.astype("float32")',
    'S': 'save numbers, not texts: array.astype("float32")',
}
"""Kinds of values that are no numbers, and what to do with them where they were made."""


def as_float32(values: npt.NDArray[Any], where: str) -> Floats32:
    """The same numbers in single precision.

    Args:
        values: of any shape.
        where: file and sample, for messages.

    Raises:
        TableError: they are no real numbers.
        ValueRangeError: one is not finite, or too large for float32; names its place.
    """
    require_numbers(values, where)
    with np.errstate(over='ignore', invalid='ignore'):
        rows = values.astype(np.float32)
    wrong = ~np.isfinite(rows)
    if wrong.any():
        at = tuple(int(index) for index in np.argwhere(wrong)[0])
        came = f'{values[at]} in {place(at)} of {where}'
        if np.isfinite(values[at]):
            raise ValueRangeError(
                expected=f'numbers up to {np.finfo(np.float32).max:.1e}, which features are kept in',
                came=came + _more(int(wrong.sum())), todo='scale them down where they were made, or take logarithms',
            )  # fmt: skip
        raise ValueRangeError(
            expected='finite features', came=came + _more(int(wrong.sum())),
            todo='leave that sample out, or correct what made it',
        )  # fmt: skip
    return rows


def require_numbers(values: npt.NDArray[Any], where: str) -> None:
    """Values are real numbers.

    Raises:
        TableError: they are not.
    """
    if values.dtype.kind not in 'fiu':
        todo = OTHERS.get(values.dtype.kind, 'save them as float32')
        raise TableError(expected='an array of numbers', came=f'{values.dtype} in {where}', todo=todo)


def is_rounded(values: npt.NDArray[Any]) -> bool:
    """Whether whole numbers among these are too large to stay themselves."""
    return values.dtype.kind in 'iu' and values.size > 0 and int(max(abs(int(values.min())), int(values.max()))) > EXACT


def place(at: tuple[int, ...]) -> str:
    """Where a number stands in an array, counted from 0.

    >>> place((3, 5)), place((4,))
    ('row 3, column 5', 'place 4')
    """
    if len(at) == 2:
        return f'row {at[0]}, column {at[1]}'
    return f'place {", ".join(map(str, at))}' if at else 'its only number'


def _more(count: int) -> str:
    return f', and {count - 1} more there' if count > 1 else ''
