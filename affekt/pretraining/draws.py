"""Single values drawn from a torch generator, the source of all randomness of a clip."""

from __future__ import annotations

import numpy as np
import torch


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    """A uniform draw from `low` up to `high`."""
    return low + (high - low) * float(torch.rand((), generator=rng, dtype=torch.float64))


def whole(count: int, rng: torch.Generator) -> int:
    """A uniform whole number from 0 to count - 1."""
    return int(torch.randint(count, (), generator=rng))


def happens(probability: float, rng: torch.Generator) -> bool:
    """True with the given probability."""
    return uniform(0.0, 1.0, rng) < probability


def normal(mean: float, deviation: float, rng: torch.Generator) -> float:
    """A draw from a normal distribution."""
    return mean + deviation * float(torch.randn((), generator=rng, dtype=torch.float64))


def beta(first: float, second: float, rng: torch.Generator) -> float:
    """A draw in [0, 1] from a beta distribution, which torch itself draws from its global generator only."""
    seed = int(torch.randint(2**62, (), generator=rng))
    return float(np.random.default_rng(seed).beta(first, second))
