"""Constants of the pickle reader and its caller: sizes of dtypes, and the time limit."""

from __future__ import annotations

SIZES = {
    'float64': 8, 'float32': 4, 'float16': 2, 'bfloat16': 2, 'int64': 8, 'int32': 4, 'int16': 2, 'int8': 1, 'uint8': 1,
    'bool': 1, 'float8_e4m3fn': 1, 'float8_e5m2': 1, 'uint16': 2, 'uint32': 4, 'uint64': 8, 'complex64': 8,
    'complex128': 16,
}  # fmt: skip
"""Bytes per value by dtype."""
TIME_S = 60
"""Maximum CPU seconds; twice that in wall time."""
