"""Array types for signatures, by element type; docstrings give shape and unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
LARGE_BLOCK = 31 << 20
"""Bytes, just below the 32 MiB up to which glibc adapts its threshold to returned blocks."""


def moments(values: Floats32) -> tuple[float, float]:
    """Mean and variance: the bits of `values.mean()` and `values.var()`, which cost three times as much for few values.

    Args:
        values: any shape, not empty.
    """
    count = np.float32(values.size)
    mean = np.add.reduce(values, axis=None) / count
    deviations = values - mean
    deviations *= deviations
    return float(mean), float(np.add.reduce(deviations, axis=None) / count)


def keep_freed_memory() -> None:
    """Let the C library keep up to 62 MiB of freed memory for the next arrays.

    glibc returns freed memory above a threshold to the system, and every page that comes back costs a page fault. The
    threshold is twice the largest block that was ever returned, of at most 32 MiB. Other C libraries are not affected.
    """
    block = np.empty(LARGE_BLOCK, dtype=np.uint8)  # no page of it is touched
    del block
