"""One run on several devices: every process takes its share of each batch, gradients and losses are averaged.

Under `torchrun` (or `accelerate launch`) `train` joins the other processes by itself, so that any script that calls it
will do:

    torchrun --nproc-per-node 2 my_training.py

CPUs talk over gloo, CUDA devices (one a process) over NCCL. `on_processes` starts processes on one machine without
either. In one process nothing changes.

Losses over a whole batch (the contrast of `mmim`, the moments of `misa`) are those of each share; an average over known
truths is one over shares. Both are the batch's own where no truth is unknown and the loss is a mean over samples.
"""

from __future__ import annotations

import atexit
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from affekt.errors import TrainingError
from affekt.workers import awaited

PATIENCE_S = 600.0
"""How long a process waits for the others before it gives up."""
STARTED_BY = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
"""What torchrun and its like leave in the environment of each process."""


def join_launched(device: str) -> str:
    """Join the processes that torchrun started beside this one, if it did; returns this process's device.

    Args:
        device: `cuda` without a number becomes that of this process.
    """
    launched = dist.is_available() and all(name in os.environ for name in STARTED_BY)
    if not launched or int(os.environ['WORLD_SIZE']) < 2:
        return device
    if device == 'cuda':
        device = f'cuda:{os.environ["LOCAL_RANK"]}'
    if not dist.is_initialized():
        kind = torch.device(device).type
        if kind == 'cuda':
            torch.cuda.set_device(device)
        dist.init_process_group('nccl' if kind == 'cuda' else 'gloo', timeout=timedelta(seconds=PATIENCE_S))
        atexit.register(_leave)
    return device


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


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

    def share(self, index: Tensor) -> tuple[Tensor, float]:
        """This rank's samples of a batch, every `count`-th, and what they weigh; one of weight 0 where none is left."""
        own = index[self.rank :: self.count]
        return (own, len(own) / len(index)) if len(own) else (index[:1], 0.0)

    def averaged(self, model: nn.Module, losses: Tensor, weight: float) -> Tensor:
        """Make all gradients those of the whole batch, from means over each rank's share; returns its losses.

        Raises:
            TrainingError: another rank is gone, or does not answer.
        """
        if self.count == 1:
            return losses
        held = [p for p in model.parameters() if p.grad is not None]
        flat = torch.cat([*(p.grad.flatten() for p in held if p.grad is not None), losses])
        flat = flat * weight if weight else torch.zeros_like(flat)
        self._together(lambda: dist.all_reduce(flat))
        *gradients, losses = flat.split([*(p.numel() for p in held), len(losses)])
        for parameter, part in zip(held, gradients, strict=True):
            parameter.grad = part.view_as(parameter)
        return losses

    def same(self, model: nn.Module) -> None:
        """Give every rank the weights and buffers of the first.

        Raises:
            TrainingError: another rank is gone, does not answer, or has a model of another size.
        """
        if self.count == 1:
            return
        tensors = list(model.state_dict().values())
        sizes = torch.tensor([sum(tensor.numel() for tensor in tensors)], device=tensors[0].device)
        largest = sizes.clone()
        self._together(lambda: dist.all_reduce(largest, dist.ReduceOp.MAX))
        smallest = sizes.clone()
        self._together(lambda: dist.all_reduce(smallest, dist.ReduceOp.MIN))
        if largest != smallest:
            raise TrainingError(
                expected='one model in all processes',
                came=f'models of {int(smallest)} to {int(largest)} numbers',
                todo='build it with the same sizes in each',
            )
        for tensor in tensors:
            self._together(partial(dist.broadcast, tensor, 0))

    def agreed(self, number: float, device: str) -> float:
        """What the first rank says, so that all stop at the same epoch."""
        if self.count == 1:
            return number
        told = torch.tensor([number], dtype=torch.float64, device=device)
        self._together(lambda: dist.broadcast(told, 0))
        return float(told)

    def wait(self) -> None:
        """Until all ranks are here.

        Raises:
            TrainingError: another rank is gone, or does not answer.
        """
        if self.count > 1:
            self._together(dist.barrier)

    def _together(self, job: Callable[[], Any]) -> None:
        try:
            job()
        except RuntimeError as error:
            raise TrainingError(
                expected=f'an answer from all {self.count} processes',
                came=f'rank {self.rank} alone: {str(error).splitlines()[0]}',
                todo='see what the others said last, and go on with resume',
            ) from error


def on_processes(count: int, job: Callable[..., None], *given: Any, patience_s: float = PATIENCE_S) -> None:
    """Run `job(*given)` in processes of this machine that train together over gloo; returns when all are done.

    Args:
        count: of processes.
        job: a function at a module's top level.
        given: what it is called with.
        patience_s: how long one waits for the others before it gives up.

    Raises:
        torch.multiprocessing.ProcessRaisedException: one failed; the others are ended.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    together = spawn(_joined, (count, port, patience_s, job, given), nprocs=count, join=False)
    awaited(lambda timeout_s: together.join(timeout=timeout_s))


def _joined(
    rank: int, count: int, port: int, patience_s: float, job: Callable[..., None], given: tuple[Any, ...]
) -> None:
    os.environ |= {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=count, timeout=timedelta(seconds=patience_s))
    try:
        job(*given)
    finally:
        dist.destroy_process_group()
