"""Fourier transforms of many short frames at once, in the precision of the frames.

NumPy's transforms take two to three times as long on float32 frames. SciPy's are used, but without importing its
package: that loads special functions, test tools and a Fortran parser, which takes as long as the transforms of five
minutes of speech. If SciPy keeps its compiled kernel elsewhere, the package is imported; the values are the same.

Axes: any number of leading ones, N samples last, K = N // 2 + 1 frequencies.
"""

from __future__ import annotations

from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32

Real = npt.NDArray[np.floating]
KERNEL = 'pypocketfft'
_PLAIN, _BY_LENGTH = 0, 2  # divisor of a transform: none, its length


def rfft(frames: Real, length: int | None = None) -> npt.NDArray[np.complexfloating]:
    """The (..., K) spectrum of (..., N) frames.

    Args:
        frames: float32 or float64.
        length: length of the last axis after zero-padding, >= N; None for N.

    Returns:
        complex64 for float32, complex128 for float64; K = N // 2 + 1, or length // 2 + 1.
    """
    if length is not None and length > frames.shape[-1]:
        frames = np.pad(frames, [(0, 0)] * (frames.ndim - 1) + [(0, length - frames.shape[-1])])
    kernel = _kernel()
    if kernel is None:
        from scipy.fft import rfft as by_scipy

        return np.asarray(by_scipy(frames, axis=-1))
    return np.asarray(kernel.r2c(frames, (-1,), True, _PLAIN, None, 1))


def irfft_of_power(power: Floats32, length: int) -> Floats32:
    """The (..., length) inverse of real (..., K) spectra, zero-padded to length // 2 + 1."""
    wide = np.zeros((*power.shape[:-1], length // 2 + 1), np.result_type(power.dtype, np.complex64))
    wide[..., : power.shape[-1]] = power
    kernel = _kernel()
    if kernel is None:
        from scipy.fft import irfft

        return np.asarray(irfft(wide, length, axis=-1))
    return np.asarray(kernel.c2r(wide, (-1,), length, False, _BY_LENGTH, None, 1))


def quick_length(least: int) -> int:
    """The smallest length >= `least` with no prime factors but 2, 3 and 5, whose real transform is fast."""
    kernel = _kernel()
    if kernel is None:
        from scipy.fft import next_fast_len

        return int(next_fast_len(least, real=True))
    return int(kernel.good_size(least, True))


@cache
def _kernel() -> Any:
    """SciPy's compiled transforms; None if they are not in their usual place, or do not work as expected."""
    package = find_spec('scipy')
    for folder in (package and package.submodule_search_locations) or ():
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder) / 'fft' / '_pocketfft' / f'{KERNEL}{suffix}'
            if path.is_file() and (kernel := _loaded(path)) is not None:
                return kernel
    return None


def _loaded(path: Path) -> Any:
    """The compiled module at a path; None if it cannot be loaded, or its results are not the expected ones."""
    spec = spec_from_file_location(KERNEL, path)
    if spec is None or spec.loader is None:
        return None
    try:
        kernel = module_from_spec(spec)
        spec.loader.exec_module(kernel)
        answer = kernel.r2c(np.ones((1, 2), np.float32), (-1,), True, _PLAIN, None, 1)
        back = kernel.c2r(answer, (-1,), 2, False, _BY_LENGTH, None, 1)
        is_known = answer.dtype == np.complex64 and answer.tolist() == [[2, 0]] and back.tolist() == [[1, 1]]
        return kernel if is_known and kernel.good_size(7, True) == 8 else None
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
