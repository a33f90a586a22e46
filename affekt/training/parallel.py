"""One run on several devices: every process takes its share of each batch, gradients are averaged.

Started by `on_processes` on one machine, or by `torchrun` with a script that first calls `init_process_group` of
`torch.distributed`, on any backend. Without either there is one rank and nothing changes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from affekt.errors import ShapeError


class Ranks:
    """This process's place among those that train together."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.count = dist.get_world_size() if together else 1

    @property
    def first(self) -> bool:
        """It is the one that writes."""
        return self.rank == 0

    def share(self, index: Tensor) -> Tensor:
        """This rank's samples of a batch: every `count`-th.

        Raises:
            ShapeError: the batch has fewer samples than there are ranks.
        """
        if len(index) < self.count:
            raise ShapeError(
                expected=f'at least {self.count} samples in every batch',
                came=f'{len(index)}',
                todo='choose another batch size, or fewer processes',
            )
        return index[self.rank :: self.count]

    def average_gradients(self, model: nn.Module, mine: int, every: int) -> None:
        """Make all gradients those of the whole batch, from means over each rank's share."""
        if self.count == 1:
            return
        held = [p for p in model.parameters() if p.grad is not None]
        flat = torch.cat([p.grad.flatten() for p in held if p.grad is not None]) * (mine / every)
        dist.all_reduce(flat)
        for parameter, part in zip(held, flat.split([p.numel() for p in held]), strict=True):
            parameter.grad = part.view_as(parameter)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.count > 1:
            dist.barrier()


def on_processes(count: int, job: Callable[..., None], *given: Any) -> None:
    """Run `job(*given)` in processes of this machine that train together over gloo; returns when all are done.

    Args:
        count: of processes.
        job: a function at a module's top level.
        given: what it is called with.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    spawn(_joined, (count, port, job, given), nprocs=count)


def _joined(rank: int, count: int, port: int, job: Callable[..., None], given: tuple[Any, ...]) -> None:
    os.environ |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=count)
    try:
        job(*given)
    finally:
        dist.destroy_process_group()
