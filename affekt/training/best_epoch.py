"""The weights of the best epoch of a run of `Engine`, kept beside its checkpoints, and when to stop waiting for better.

A validation score chooses the epoch. What is kept survives a kill: a resumed run chooses the same epoch.
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


class BestEpoch:
    """What is best so far, by `score` in the rows of epochs.

    Args:
        folder: of the run; None keeps the weights in memory alone.
        resume: begin with what a killed run left there.
        patience: epochs without a better one before `is_over` says so; None for no end.
        writes: this process writes the file; one of several does.
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
        """Keep a copy of what is trained of the model, where its score is above all before."""
        if score > self._score:
            self._score, self._weights = score, _copied(model)
            if self._path and self._writes:
                save_tensors(self._path, self._weights, {'score': repr(score)})

    def is_over(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Validation has waited long enough, by the rows of a log, of which those of epochs have `epoch`."""
        scores = [row.get('score', math.nan) for row in rows if 'epoch' in row]
        return self._patience is not None and len(scores) - 1 - best_of(scores) >= self._patience and bool(scores)

    def put_into(self, model: nn.Module, history: Sequence[Mapping[str, float]], score: str) -> tuple[int, float]:
        """Give the model the best weights; returns their epoch, counted from 1, and its score.

        Args:
            model: that was trained.
            history: the rows of all epochs.
            score: what it is called, for messages.

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
    """The place of the first of the largest scores that are defined; -1 where none is."""
    defined = [(score, -at) for at, score in enumerate(scores) if not math.isnan(score)]
    return -max(defined)[1] if defined else -1


def _copied(model: nn.Module) -> dict[str, Tensor]:
    """What training changes, whole and on the CPU; where it is spread over processes, all of them must ask."""
    return {name: whole(value.detach()).cpu().clone() for name, value in changing(model).items()}
