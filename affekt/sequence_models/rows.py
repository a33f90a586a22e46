"""The concatenated features of all frames, with selections that share memory.

F frames, S stored rows, K neighbours, D columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

PIECE = 1 << 14
"""Frames per piece when iterating over all."""


@dataclass(frozen=True, eq=False)
class FrameRows:
    """A feature of F frames, each an index into stored rows.

    Args:
        stored: (S, D) rows, in memory or memory-mapped.
        index: (F,) the row of each frame.
    """

    stored: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, int]:
        """(F, D), the shape of the feature."""
        return len(self.index), self.stored.shape[1]

    def __getitem__(self, frames: Tensor | slice) -> Tensor:
        """(..., D) of these frames, a copy."""
        return self.stored[self.index[frames]]

    def take(self, frames: Tensor) -> FrameRows:
        """The feature of these frames only; stored rows are shared."""
        return replace(self, index=self.index[frames])

    def joined(self, other: FrameRows) -> FrameRows:
        """The feature of these frames, then of others; shared rows are stored once."""
        if self.stored is other.stored:
            return replace(self, index=torch.cat([self.index, other.index]))
        index = torch.cat([self.index, other.index + len(self.stored)])
        return FrameRows(torch.cat([self.stored, other.stored]), index)

    def parts(self) -> Iterator[Tensor]:
        """(at most PIECE, D) features of the frames, one piece at a time."""
        yield from (self[slice(start, start + PIECE)] for start in range(0, len(self), PIECE))


@dataclass(frozen=True, eq=False)
class NeighbourRows:
    """A feature of F frames as the rows around each of them.

    Args:
        rows: (R, D) stored rows.
        index: (F, K) rows around each frame.
        distances: (F, K) steps from the frame to each row, > 0 after it; nan if there is no such row.
    """

    rows: Tensor
    index: Tensor
    distances: Tensor

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, int]:
        """(F, D), the shape of the feature."""
        return len(self.index), self.rows.shape[1]

    def __getitem__(self, frames: Tensor | slice) -> Tensor:
        """(..., K, D + 1) rows around these frames, with their distances in steps in the last column."""
        return torch.cat([self.rows[self.index[frames]], self.distances[frames].unsqueeze(-1)], dim=-1)

    def take(self, frames: Tensor) -> NeighbourRows:
        """The feature of these frames only; the rows are shared."""
        return replace(self, index=self.index[frames], distances=self.distances[frames])

    def parts(self) -> Iterator[Tensor]:
        """All rows from which the values of these frames are computed, one piece at a time."""
        yield from (self[slice(start, start + PIECE)].flatten(1) for start in range(0, len(self), PIECE))

    def joined(self, other: NeighbourRows) -> NeighbourRows:
        """The feature of these frames, then of others; shared rows are stored once."""
        distances = torch.cat([self.distances, other.distances])
        if self.rows is other.rows:
            return replace(self, index=torch.cat([self.index, other.index]), distances=distances)
        index = torch.cat([self.index, other.index + len(self.rows)]).masked_fill(distances.isnan(), 0)
        return NeighbourRows(torch.cat([self.rows, other.rows]), index, distances)
