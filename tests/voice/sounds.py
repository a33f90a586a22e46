"""Sounds as blocks, and whether the models are there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from affekt.weights import MODELS, state


@dataclass(frozen=True)
class Block:
    start_s: float
    samples: np.ndarray


def needs(*names: str) -> None:
    missing = [name for name in names if state(MODELS[name]) != 'verified']
    if missing:
        pytest.skip(f'model files are absent: {", ".join(missing)} (run `affekt weights get`)')


def blocks(samples: np.ndarray, size: int = 32000) -> list[Block]:
    """The samples in blocks of `size`."""
    return [Block(begin / 16000, samples[begin : begin + size]) for begin in range(0, len(samples), size)]


def read_sound(path: Path) -> np.ndarray:
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=16000)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return np.concatenate(pieces)
