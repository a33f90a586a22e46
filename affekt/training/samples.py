"""Samples in memory as tensors: features of several modalities, their presence, and truths.

Sequences of unequal length are concatenated without padding; a batch is padded to its own longest only. Axes: N
samples, B batch, T time, D feature, V values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from affekt.errors import ShapeError, ValueRangeError, listed

UNKNOWN = -1
"""The label of a sample with unknown category; an unknown value is nan."""


@dataclass(frozen=True)
class Sequences:
    """N concatenated sequences.

    Args:
        rows: (ΣT, D) all steps of all sequences, of any numeric type: tokens are integers, images are bytes.
        starts: (N,) start of each.
        lengths: (N,) number of steps of each; 0 if it is missing.
    """

    rows: Tensor
    starts: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, sequences: Sequence[npt.NDArray[Any]]) -> Sequences:
        """Sequences from one (T, D) array per sample: bytes and integers keep their type, others become float32."""
        lengths = torch.tensor([len(sequence) for sequence in sequences])
        joined = np.concatenate(sequences)
        rows = torch.from_numpy(joined if joined.dtype.kind in 'iu' else joined.astype(np.float32, copy=False))
        return cls(rows, torch.cumsum(lengths, 0) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Tensor) -> Sequences:
        """The sequences at `index`; their rows are copied."""
        lengths = self.lengths[index]
        starts = torch.cumsum(lengths, 0) - lengths
        steps = torch.arange(int(lengths.sum()), device=lengths.device)
        rows = torch.repeat_interleave(self.starts[index] - starts, lengths) + steps
        return Sequences(self.rows[rows], starts, lengths)

    def padded(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """(B, T, D) of the samples at `index`, zeros at the end, and their (B, T) mask; T is at least 1.

        The rows behind a sequence are those of the next sample, which may be nan where it is missing.
        """
        lengths = self.lengths[index]
        step = torch.arange(max(int(lengths.max()), 1), device=self.rows.device)
        keep = step < lengths.unsqueeze(1)  # (B, T)
        if not len(self.rows):
            return self.rows.new_zeros((*keep.shape, self.rows.shape[1])), keep
        rows = (self.starts[index].unsqueeze(1) + step).clamp(max=len(self.rows) - 1)  # (B, T)
        return self.rows[rows].masked_fill_(~keep.unsqueeze(2), 0), keep  # (B, T, D)

    def to(self, device: torch.device | str) -> Sequences:
        """The same on another device."""
        return Sequences(self.rows.to(device), self.starts.to(device), self.lengths.to(device))


@dataclass(frozen=True)
class Batch:
    """The input of a model and its loss at one step; `labels` and `values` are None if no sample has them."""

    features: dict[str, Tensor]
    keep_mask: dict[str, Tensor]
    labels: Tensor | None
    values: Tensor | None
    is_known: bool = False
    """Whether all truths are known for certain."""

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))


@dataclass(frozen=True)
class Samples:
    """N samples in memory.

    Args:
        features: modality to (N, D) vectors, (N, T, D) sequences of one length, or `Sequences`.
        labels: (N,) int64 categories, `UNKNOWN` where not known; None for a task without categories.
        values: (N, V) float32, nan where not known; None for a task without values.
        present: modality to (N,) bool; a modality not listed is present wherever it has steps.
        names: N names, for messages; indices if empty.

    Raises:
        ShapeError: not all have N samples, or N = 0.
        ValueRangeError: a feature that is present is not a finite number, or a sample has no modality.
    """

    features: Mapping[str, Tensor | Sequences]
    labels: Tensor | None = None
    values: Tensor | None = None
    present: Mapping[str, Tensor] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = {name: len(value) for name, value in self.features.items()}
        others = {
            'labels': self.labels,
            'values': self.values,
            **{f'present {modality}': mask for modality, mask in self.present.items()},
        }
        counts |= {name: len(value) for name, value in others.items() if value is not None}
        if len(set(counts.values())) != 1 or not len(self):
            raise ShapeError(
                expected='as many features, labels and values as samples, at least one',
                came=str(counts),
                todo='check that every sample has all, or mark a missing modality in `present`',
            )
        if self.values is not None and self.values.ndim != 2:
            raise ShapeError(expected='values (N, V)', came=str(tuple(self.values.shape)), todo='add an axis')
        self._check_numbers()

    def _check_numbers(self) -> None:
        has_any = torch.zeros(len(self), dtype=torch.bool, device=self._device)
        for name, value in self.features.items():
            is_present = self.presence(name)
            has_any |= is_present
            is_invalid = ~_finite(value) & is_present
            if is_invalid.any():
                raise ValueRangeError(
                    expected=f'finite numbers in {name}',
                    came=f'{int(is_invalid.sum())} samples without ({listed(self._named(is_invalid))})',
                    todo='extract them anew, or mark them as missing in `present`',
                )
        if not has_any.all():
            raise ValueRangeError(
                expected='at least one modality of each sample',
                came=f'{int((~has_any).sum())} samples without ({listed(self._named(~has_any))})',
                todo='leave them out',
            )

    def _named(self, where: Tensor) -> list[str]:
        return [self.names[index] if self.names else f'number {index}' for index in where.nonzero().flatten().tolist()]

    @property
    def _device(self) -> torch.device:
        first = next(iter(self.features.values()))
        return first.rows.device if isinstance(first, Sequences) else first.device

    def __len__(self) -> int:
        return len(next(iter(self.features.values()))) if self.features else 0

    def __repr__(self) -> str:
        return f'Samples({len(self)}, {", ".join(self.features)})'

    def presence(self, name: str) -> Tensor:
        """(N,) bool: whether the modality is present."""
        value = self.features[name]
        is_present = torch.ones(len(value), dtype=torch.bool, device=self._device)
        if isinstance(value, Sequences):
            is_present = value.lengths > 0
        return is_present & self.present[name] if name in self.present else is_present

    def lengths(self) -> Tensor:
        """(N,) steps of the longest modality; 1 for vectors."""
        return torch.stack([_lengths(value) for value in self.features.values()]).amax(dim=0)

    @property
    def has_vectors(self) -> bool:
        """Whether all features are (N, D)."""
        return all(isinstance(value, Tensor) and value.ndim == 2 for value in self.features.values())

    @cached_property
    def aligned(self) -> bool:
        """Whether every sample has the same number of steps in all its modalities, so that they may share one clock."""
        lengths = torch.stack([_lengths(value) for value in self.features.values()])
        return bool(((lengths == lengths.amax(dim=0)) | (lengths == 0)).all())

    @cached_property
    def is_known(self) -> bool:
        """Whether all truths are known."""
        return not (
            (self.labels is not None and bool((self.labels == UNKNOWN).any()))
            or (self.values is not None and bool(self.values.isnan().any()))
        )

    def batch(self, index: Tensor | slice) -> Batch:
        """The samples at `index`, each modality padded to its longest; one length for all if they are aligned."""
        features, keep = {}, {}
        for name, value in self.features.items():
            if isinstance(value, Sequences):
                features[name], keep[name] = value.padded(index)
                if name in self.present:
                    keep[name] = keep[name] & self.present[name][index].unsqueeze(1)
            else:
                # indices are drawn on the CPU, and `index_select` needs them where the rows are
                features[name] = (
                    value[index] if isinstance(index, slice) else value.index_select(0, index.to(value.device))
                )
                if name in self.present:
                    keep[name] = _over_steps(self.present[name][index], value)
        if self.aligned:
            _to_one_length(features, keep)
        return Batch(
            features,
            keep,
            None if self.labels is None else self.labels[index],
            None if self.values is None else self.values[index],
            self.is_known,
        )

    def subset(self, index: Tensor) -> Samples:
        """The samples at `index`, in that order."""
        return replace(
            self,
            features={name: value[index] for name, value in self.features.items()},
            labels=None if self.labels is None else self.labels[index],
            values=None if self.values is None else self.values[index],
            present={name: value[index] for name, value in self.present.items()},
            names=tuple(self.names[number] for number in index.tolist()) if self.names else (),
        )

    def steps(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Features and mask of all steps, sequences as one long sample, without padding."""
        features, keep = {}, {}
        for name, value in self.features.items():
            is_present = self.presence(name)
            if isinstance(value, Sequences):
                rows = value.rows if len(value.rows) else value.rows.new_zeros((1, value.rows.shape[1]))
                mask = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
                mask[: len(value.rows)] = torch.repeat_interleave(is_present, value.lengths)
                features[name], keep[name] = rows[None], mask[None]
            else:
                features[name], keep[name] = value, _over_steps(is_present, value)
                if value.ndim == 3:
                    features[name], keep[name] = value.flatten(0, 1)[None], keep[name].flatten()[None]  # (1, N T, D)
        if self.aligned:
            _to_one_length(features, keep)
        return features, keep

    def to(self, device: torch.device | str) -> Samples:
        """The same on another device."""
        if torch.device(device) == self._device:
            return self
        return replace(
            self,
            features={name: value.to(device) for name, value in self.features.items()},
            labels=None if self.labels is None else self.labels.to(device),
            values=None if self.values is None else self.values.to(device),
            present={name: value.to(device) for name, value in self.present.items()},
        )


def _finite(value: Tensor | Sequences) -> Tensor:
    """(N,) bool: all numbers of a sample are finite. A sum is finite only if its terms are, and needs no copy."""
    if not isinstance(value, Sequences):
        finite = value.flatten(1).sum(dim=1).isfinite()  # (N,)
        doubtful = (~finite).nonzero().flatten()  # or only the sum overflowed
        finite[doubtful] = value[doubtful].flatten(1).isfinite().all(dim=1)
        return finite
    sums = torch.zeros(len(value), dtype=torch.float64, device=value.rows.device)
    sample_of_row = torch.repeat_interleave(torch.arange(len(value), device=value.rows.device), value.lengths)
    return sums.index_add(0, sample_of_row, value.rows.sum(dim=1, dtype=torch.float64)).isfinite()


def _lengths(value: Tensor | Sequences) -> Tensor:
    """(N,) steps of each sample, on the CPU."""
    if isinstance(value, Sequences):
        return value.lengths.cpu()
    return torch.full((len(value),), value.shape[1] if value.ndim == 3 else 1)


def _over_steps(mask: Tensor, value: Tensor) -> Tensor:
    """A (N,) mask as that of (N, D) or (N, T, D) features."""
    return mask if value.ndim == 2 else mask.unsqueeze(1).expand(-1, value.shape[1])  # (N,) or (N, T)


def _to_one_length(features: dict[str, Tensor], keep: dict[str, Tensor]) -> None:
    """Pad all sequences to the longest, since a modality that is missing from a batch has a length of its own."""
    longest = max((value.shape[1] for value in features.values() if value.ndim == 3), default=0)
    for name, value in list(features.items()):
        missing_steps = longest - value.shape[1] if value.ndim == 3 else 0
        if missing_steps:
            mask = keep.get(name, torch.ones(value.shape[:2], dtype=torch.bool, device=value.device))
            features[name] = torch.nn.functional.pad(value, (0, 0, 0, missing_steps))
            keep[name] = torch.nn.functional.pad(mask, (0, missing_steps))


def epoch_seed(seed: int, epoch: int, use: int) -> int:
    """One number for each seed, epoch and use, below 2**63, the limit of torch."""
    return ((seed * 1_000_003 + epoch) * 1_009 + use) % (1 << 63)


def epoch_batches(
    index: Tensor, lengths: Tensor, size: int, rng: torch.Generator, *, shuffle: bool = True
) -> list[Tensor]:
    """One epoch's batches: all of `index` once, shuffled; sequences of similar length together.

    Args:
        index: (M,) samples to train on.
        lengths: (N,) steps of every sample.
        size: samples per batch.
        rng: decides the order.
        shuffle: False keeps the order.

    Returns:
        Index tensors of at most `size`, in shuffled order. If lengths differ, samples are sorted within shuffled blocks
        of 16 batches, so that batches stay random and padding small.
    """
    if not shuffle:
        return list(index.split(size))
    order = index[torch.randperm(len(index), generator=rng)]
    if lengths[index].min() == lengths[index].max():
        return list(order.split(size))
    blocks = [block[torch.argsort(lengths[block], stable=True)] for block in order.split(16 * size)]
    batches = [batch for block in blocks for batch in block.split(size)]
    return [batches[number] for number in torch.randperm(len(batches), generator=rng).tolist()]
