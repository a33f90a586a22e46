"""One seed per sample and step, so that results depend neither on the order of samples nor on interruptions."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_of(seed: int, sample: str, step: str) -> int:
    """The first 8 bytes of the SHA-256 of seed, sample and step, as an integer.

    >>> seed_of(0, 'a', 'sound') == seed_of(0, 'a', 'sound') != seed_of(0, 'b', 'sound')
    True
    """
    return int.from_bytes(hashlib.sha256(f'{seed}\0{sample}\0{step}'.encode()).digest()[:8], 'big')


def rng_of(seed: int, sample: str, step: str) -> np.random.Generator:
    """Generator for one step of one sample: `default_rng` of `seed_of`, which is stored beside the result."""
    return np.random.default_rng(seed_of(seed, sample, step))
