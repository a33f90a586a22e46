"""The weights of the best epoch of an `Engine` run, stored with its checkpoints, and early stopping.

The epoch is chosen by validation score. The state survives a kill: a resumed run chooses the same epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from affekt.errors import TrainingError
from affekt.nn import read_tensors, save_tensors
from affekt.training.checkpoints import changing, spread_like, whole

BEST = 'best.safetensors'
"""File in a run's folder with the weights of the best epoch so far."""


class BestEpoch:
    """The best epoch so far, by `score` in the rows of epochs.

    Args:
        folder: folder of the run; None to keep the weights in memory only.
        resume: continue from the state of a killed run.
        patience: epochs without improvement before `is_over` is true; None for no limit.
        writes: whether this process writes the file; exactly one of several does.
    """

    def __init__(
        self, folder: Path | None, *, resume: bool = False, patience: int | None = None, writes: bool = True
    ) -> None:
        self._path, self._patience, self._writes = folder / BEST if folder else None, patience, writes
        self._weights: dict[str, Tensor] = {}
        self._score = -math.inf
        if self._path and resume and self._path.exists():
            self._weights, notes = read_tensors(self._path)
            self._score = float(notes.get('score', -math.inf))

    def offer(self, model: nn.Module, score: float) -> None:
        """Store a copy of the trained weights if the score is the best so far."""
        if score > self._score:
            self._score, self._weights = score, _copied(model)
            if self._path and self._writes:
                save_tensors(self._path, self._weights, {'score': repr(score)})

    def is_over(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether patience is exhausted, by the rows of a log; those of evaluations have a `score`."""
        scores = [row['score'] for row in rows if 'score' in row]
        return self._patience is not None and len(scores) - 1 - best_of(scores) >= self._patience and bool(scores)

    def put_into(self, model: nn.Module, history: Sequence[Mapping[str, float]], score: str) -> tuple[int, float]:
        """Load the best weights into the model; returns their epoch, counted from 1, and its score.

        Args:
            model: the trained model.
            history: rows of all epochs.
            score: name of the score, for messages.

        Raises:
            TrainingError: the score was undefined after every epoch.
        """
        scores = [row.get('score', math.nan) for row in history]
        if not self._weights:
            raise TrainingError(
                expected='a score on validation that is defined after some epoch',
                came=f'{score} undefined after all {len(scores)}: one value alone, among answers or truth',
                todo='train longer, raise the learning rate, or choose another score',
            )
        with torch.no_grad():
            for name, value in model.state_dict().items():
                if name in self._weights:
                    value.copy_(spread_like(self._weights[name], value))
        best = best_of(scores)
        return best + 1, scores[best]


def best_of(scores: Sequence[float]) -> int:
    """Index of the first maximum of the defined scores; -1 if none is defined."""
    defined = [(score, -index) for index, score in enumerate(scores) if not math.isnan(score)]
    return -max(defined)[1] if defined else -1


def _copied(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that training changes, whole and on the CPU; if sharded, all processes must call this."""
    return {name: whole(value.detach()).cpu().clone() for name, value in changing(model).items()}
