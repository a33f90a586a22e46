"""Order of samples over epochs, with random access for resuming; also for data that does not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from affekt.errors import ValueRangeError
from affekt.training.samples import epoch_seed


@dataclass(frozen=True)
class IndexBatches:
    """Batches of sample indices in an order that depends on seed and epoch alone.

    Samples at the end of an epoch that do not fill a batch in every process are left out of that epoch.

    Args:
        count: number of samples.
        batch_size: samples per batch of one process.
        seed: seed of the order.
        epochs: number of epochs; None for no end.
        shuffle: draw a new order each epoch; False keeps the order of the samples.
        rank: index of this process, from 0.
        ranks: number of processes, each of which reads its own samples.

    Raises:
        ValueRangeError: there are too few samples for one batch in every process.
    """

    count: int
    batch_size: int
    seed: int = 0
    epochs: int | None = None
    shuffle: bool = True
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size * self.ranks <= self.count or not 0 <= self.rank < self.ranks:
            raise ValueRangeError(
                expected='a batch of 1 or more samples in every process, and enough samples for all',
                came=f'{self.count:,} samples, {self.ranks} x {self.batch_size:,} a batch, rank {self.rank}',
                todo='lower batch_size',
            )

    @property
    def per_epoch(self) -> int:
        """Batches per epoch."""
        return self.count // (self.batch_size * self.ranks)

    def __len__(self) -> int:
        if self.epochs is None:
            raise TypeError('these batches have no end')
        return self.epochs * self.per_epoch

    def __iter__(self) -> Iterator[Tensor]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[Tensor]:
        """The batches after the first `batches`, reached without iterating over those."""
        epoch, start = divmod(batches, self.per_epoch)
        while self.epochs is None or epoch < self.epochs:
            order = torch.arange(self.count)
            if self.shuffle:
                rng = torch.Generator().manual_seed(epoch_seed(self.seed, epoch + 1, 0))
                order = torch.randperm(self.count, generator=rng)
            for index in range(start, self.per_epoch):
                first = (index * self.ranks + self.rank) * self.batch_size
                yield order[first : first + self.batch_size]
            epoch, start = epoch + 1, 0


@dataclass(frozen=True)
class LoadedBatches:
    """Loaded batches in an order of indices, possibly prefetched by worker processes.

        LoadedBatches(order, lambda order: DataLoader(clips, batch_sampler=order, num_workers=4))

    For a resumed run to give the same results, random draws while loading must depend on the sample alone.

    Args:
        order: order of the sample indices.
        opened: makes an iterable of loaded batches from one of batches of indices.
    """

    order: IndexBatches
    opened: Callable[[Any], Iterable[Any]]

    def __iter__(self) -> Iterator[Any]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[Any]:
        """The batches after the first `batches`, which are not loaded."""
        return iter(self.opened(_OrderFrom(self.order, batches)))


@dataclass(frozen=True)
class _OrderFrom:
    """An order from some batch on that can be iterated over several times, as data loaders require."""

    order: IndexBatches
    batches: int

    def __iter__(self) -> Iterator[list[int]]:
        return (index.tolist() for index in self.order.starting_at(self.batches))
