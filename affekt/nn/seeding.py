"""Seeding of torch's default generators, for code that draws from them without passing a generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_torch(seed: int) -> None:
    """Seed torch's default generators, on the CPU and on accelerators.

    Draws equal those after `torch.manual_seed`. Without an accelerator, that function stores the stack of every call
    for an accelerator that may be initialised later, which takes milliseconds per call and memory that is never freed.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Context in which random draws depend on `seed` alone; torch's default generators are restored after it.

    Args:
        seed: seed of the draws within the context.
        device: a CUDA device whose generator is restored too; the CPU's always is.
    """
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == 'cuda' else []):
        seed_torch(seed)
        yield
