"""One run on several devices, by accelerate: every process computes its share of each batch; gradients are averaged.

Under `torchrun` or `accelerate launch` a run joins the other processes automatically, so any script that calls `train`
or `Engine.run` works:

    torchrun --nproc-per-node 2 my_training.py
    accelerate launch --use_fsdp --fsdp_version 2 my_training.py

The first copies the model to each process (DDP), the second shards it over CUDA devices (FSDP2). accelerate does not
shard over CPUs; `Ranks(by_hand=True)` does. CPUs communicate over gloo, CUDA devices (one per process) over NCCL.
`on_processes` starts processes on one machine without either launcher. In a single process nothing changes, and
accelerate is not imported.

A loss that is a mean over samples, or over known truths, equals that of one process. One that compares the samples of a
batch (the contrast of `mmim`, the moments of `misa`) is computed on each share; so are the losses of frames, which are
equal where no truth is unknown.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from affekt.errors import TrainingError
from affekt.nn import require_device
from affekt.workers import STARTED_BY, awaited, launch

T = TypeVar('T')
LOG = logging.getLogger('affekt')

PATIENCE_S = 600.0
"""Seconds that a process waits for the others before it fails."""
PATIENCE = 'AFFEKT_PATIENCE_S'
"""Environment variable that replaces it."""
TALK = ('gloo', 'NCCL', 'nccl', 'Connection', 'Timeout', 'timed out')
"""Words in torch's errors when another process does not answer."""


def is_launched() -> bool:
    """Whether several processes were launched, or one with FSDP."""
    started = launch() if dist.is_available() else None
    return started is not None and (started[1] > 1 or is_spread_wanted())


def is_spread_wanted() -> bool:
    """Whether a configuration of accelerate requests FSDP."""
    return os.environ.get('ACCELERATE_USE_FSDP', '').lower() == 'true'


class Ranks:
    """This process's rank among those that train together.

    Args:
        device: device of this process; `cuda` without a number becomes its own.
        by_hand: shard the model if FSDP is requested on CPUs; otherwise each process has the whole model.

    Raises:
        ValueRangeError: the device is not available in this torch.
        TrainingError: another process does not join.
    """

    def __init__(self, device: str = 'cpu', *, by_hand: bool = False) -> None:
        require_device(device)
        self.rank, self.count, self.device = 0, 1, device
        self._spreads_by_hand = False
        self._accelerator: Any = None
        if is_launched():
            from accelerate import Accelerator
            from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

            patience = timedelta(seconds=float(os.environ.get(PATIENCE, PATIENCE_S)))
            handlers = [
                InitProcessGroupKwargs(timeout=patience),
                DistributedDataParallelKwargs(find_unused_parameters=True),
            ]
            os.environ.setdefault('OMP_NUM_THREADS', '1')
            with self._translated_errors():
                is_cpu = torch.device(device).type == 'cpu'
                self._accelerator = Accelerator(
                    cpu=is_cpu,
                    # precision is a setting of the run, except for shards on accelerators
                    mixed_precision='no' if is_cpu or not is_spread_wanted() else None,
                    kwargs_handlers=handlers,
                )
            atexit.register(_leave)
            self.rank, self.count = self._accelerator.process_index, self._accelerator.num_processes
            self.device = str(self._accelerator.device)
            self._spreads_by_hand = by_hand and is_spread_wanted() and not self.spreads and self.count > 1
            if is_spread_wanted() and not self.spreads:
                LOG.warning('FSDP needs CUDA devices: each process on %s has the whole model', self.device)

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    @property
    def spreads(self) -> bool:
        """Whether each process holds only a shard of the model (FSDP)."""
        if self._spreads_by_hand:
            return True
        return self._accelerator is not None and str(self._accelerator.distributed_type).endswith('FSDP')

    @contextlib.contextmanager
    def put_together(self, module: nn.Module) -> Iterator[None]:
        """Context in which parameters outside the layers of a sharded module are whole, so that other methods work.

        Args:
            module: module returned by `joined`; unchanged if it is not sharded.
        """
        if not self.spreads:
            yield
            return
        from torch.distributed.fsdp import FSDPModule  # importing takes 43 MB

        if not isinstance(module, FSDPModule):
            yield
            return
        module.unshard()
        try:
            yield
        finally:
            module.reshard()

    def share(self, index: Tensor) -> tuple[Tensor, float]:
        """This rank's samples of a batch, every `count`-th, and their weight; one of weight 0 if there is none."""
        samples = index[self.rank :: self.count]
        return (samples, len(samples) / len(index)) if len(samples) else (index[:1], 0.0)

    def joined(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The module with gradients averaged over all ranks, which start with the weights of the first.

        Raises:
            TrainingError: another rank died, does not answer, or has a model of another size.
        """
        if self._accelerator is None:
            return module, optimiser
        size = sum(tensor.numel() for tensor in module.state_dict().values())
        sizes = self.gathered(size)
        if len(set(sizes)) > 1:
            raise TrainingError(
                expected='one model in all processes',
                came=f'models of {min(sizes)} to {max(sizes)} numbers',
                todo='build it with the same sizes in each',
            )
        with self._translated_errors():
            if self._spreads_by_hand:
                return exchanging_all(spread_by_layers(module, optimiser)), optimiser
            if self.spreads:
                module, prepared = self._accelerator.prepare(module, optimiser)
                return exchanging_all(module), prepared.optimizer
            is_trained = any(parameter.requires_grad for parameter in module.parameters())
            return (self._accelerator.prepare_model(module) if is_trained else module), optimiser

    @contextlib.contextmanager
    def stepping(self, module: nn.Module, *, is_last: bool) -> Iterator[None]:
        """Context of a forward and backward pass: gradients are averaged in the last one of a step."""
        if self._accelerator is None:
            yield
            return
        with self._translated_errors(), contextlib.nullcontext() if is_last else self._accelerator.no_sync(module):
            yield

    def total(self, numbers: Tensor) -> Tensor:
        """The sum over all ranks.

        Raises:
            TrainingError: another rank died, or does not answer.
        """
        if self.count == 1:
            return numbers
        with self._translated_errors():
            return self._accelerator.reduce(numbers, 'sum')  # type: ignore[no-any-return]

    def all_rows(self, rows: Tensor) -> Tensor:
        """The rows of all ranks in order, with gradients for this rank's own.

        A loss over all rows is the same in every rank, and gradients of parameters are averaged over ranks. The
        gradient of this rank's rows is therefore multiplied by the number of ranks, so that the sum over ranks is that
        of one process with all rows.

        Args:
            rows: (R, D), R >= 0, which may differ between ranks.

        Raises:
            TrainingError: another rank died, or does not answer.
        """
        if self.count == 1:
            return rows
        counts = rows.new_zeros(self.count, dtype=torch.int64)
        counts[self.rank] = len(rows)
        counts = self.total(counts)
        start = int(counts[: self.rank].sum())
        placed = rows.new_zeros(int(counts.sum()), *rows.shape[1:])
        placed[start : start + len(rows)] = rows.detach()
        gathered: Tensor = _AllRows.apply(rows, self.total(placed), start, self.count)  # type: ignore[no-untyped-call]
        return gathered

    def agreed(self, number: float) -> float:
        """The first rank's value, so that all stop at the same epoch."""
        return self.gathered(number)[0]

    def gathered(self, value: T) -> list[T]:
        """One value per rank, in order.

        Raises:
            TrainingError: another rank died, or does not answer.
        """
        if self.count == 1:
            return [value]
        with self._translated_errors():
            values: list[Any] = [None] * self.count
            dist.all_gather_object(values, value)
            return values

    def wait(self) -> None:
        """Wait until all ranks arrive.

        Raises:
            TrainingError: another rank died, or does not answer.
        """
        if self.count > 1:
            with self._translated_errors():
                self._accelerator.wait_for_everyone()

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Context that turns errors of torch about other processes into `TrainingError`."""
        try:
            yield
        except RuntimeError as error:
            is_of_others = isinstance(error, dist.DistError) or any(word in str(error) for word in TALK)
            if isinstance(error, TrainingError) or not is_of_others:
                raise
            raise TrainingError(
                expected=f'an answer from all {os.environ.get("WORLD_SIZE", "")} processes',
                came=f'rank {os.environ.get("RANK", "")} alone: {str(error).splitlines()[0]}',
                todo='see what the others said last, and go on with resume',
            ) from error


def spread_by_layers(module: nn.Module, optimiser: torch.optim.Optimizer) -> nn.Module:
    """The module with its parameters sharded over all processes (FSDP2), one transformer layer at a time.

    As accelerate does on accelerators, but also over gloo. All processes start with the weights of the first.

    Args:
        module: module, whole in each process; its layers are the modules that transformers declares indivisible.
        optimiser: optimiser of its parameters, updated to the sharded ones.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for value in module.state_dict().values():
        dist.broadcast(value, 0)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = [[names[id(parameter)] for parameter in group['params']] for group in optimiser.param_groups]
    indivisible = {
        name for submodule in module.modules() for name in getattr(submodule, '_no_split_modules', None) or ()
    }
    mesh = init_device_mesh(next(module.parameters()).device.type, (dist.get_world_size(),))
    for layer in (submodule for submodule in module.modules() if type(submodule).__name__ in indivisible):
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    parameters = dict(module.named_parameters())
    for group, names_of_group in zip(optimiser.param_groups, groups, strict=True):
        group['params'] = [parameters[name] for name in names_of_group]
    return module


def exchanging_all(module: nn.Module) -> nn.Module:
    """The module, whose processes exchange the gradients of all weights, 0 for those that a batch does not use.

    FSDP2 otherwise joins the gradients that each process happens to have, so that two processes with other losses add
    those of different weights. A layer that is sharded by itself must still run in every process at each step.

    Args:
        module: module; unchanged if it is not sharded by FSDP2.
    """
    from torch.distributed.fsdp import FSDPModule  # importing takes 43 MB

    if isinstance(module, FSDPModule):
        module.set_reduce_scatter_unused_params(True)
    return module


class _AllRows(torch.autograd.Function):
    """All ranks' rows as a function of this rank's."""

    @staticmethod
    def forward(context: Any, rows: Tensor, all_rows: Tensor, start: int, ranks: int) -> Tensor:
        """(ΣR, D) rows of all ranks."""
        context.start, context.length, context.ranks = start, len(rows), ranks
        return all_rows

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """(R, D) gradient of this rank's rows."""
        gradient = gradients[0][context.start : context.start + context.length]
        return gradient * context.ranks, None, None, None


def on_processes(count: int, job: Callable[..., None], *arguments: Any, patience_s: float = PATIENCE_S) -> None:
    """Run `job(*arguments)` in several processes on this machine that train together over gloo, until all are done.

    Args:
        count: number of processes.
        job: a function at a module's top level.
        arguments: its arguments.
        patience_s: seconds that a process waits for the others before it fails.

    Raises:
        torch.multiprocessing.ProcessRaisedException: one failed; the others are terminated.
    """
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    processes = spawn(_run_process, (count, port, patience_s, job, arguments), nprocs=count, join=False)
    awaited(lambda timeout_s: processes.join(timeout=timeout_s))


def _run_process(
    rank: int, count: int, port: int, patience_s: float, job: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    values = (rank, count, rank, '127.0.0.1', port)
    os.environ |= {name: str(value) for name, value in zip(STARTED_BY, values, strict=True)}
    os.environ |= {PATIENCE: str(patience_s), 'LOCAL_WORLD_SIZE': str(count), 'OMP_NUM_THREADS': '1'}
    torch.set_num_threads(1)
    Ranks()
    try:
        job(*arguments)
    finally:
        _leave()
    # Threads of torch that call the interpreter while it shuts down abort the whole process (SIGABRT, now and then
    # on a busy machine) after all work is done; and this process has nothing more to do.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _leave() -> None:
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
