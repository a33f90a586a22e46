"""Where torch's own generator begins, for code that draws from it without naming one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_torch(seed: int) -> None:
    """Let torch's own generators begin by `seed`, on the CPU and on accelerators.

    The numbers are those after `torch.manual_seed`. Where there is no accelerator, that function keeps the stack of
    every call for one that may yet come, which takes milliseconds a call and memory that is never given back.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """What draws inside depends on `seed` alone; behind it, torch's own generators stand where they stood before.

    Args:
        seed: where drawing begins.
        device: an accelerator whose generator is put back too; the CPU's always is.
    """
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == 'cuda' else []):
        seed_torch(seed)
        yield
