"""The state of a run: its best epoch so far, whether it may be reported, and the content of a checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from affekt.errors import TrainingError
from affekt.training.checkpoints import changing
from affekt.training.samples import Samples
from affekt.training.scoring import Predicted, is_constant
from affekt.training.settings import TrainingSettings

CHECKPOINT = 'checkpoint.safetensors'
"""File of a run's state in its folder."""
Status = Literal['healthy', 'constant', 'not_finite']
Row = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """A finished run; its model has the weights of the best epoch.

    Args:
        model: the model, on the CPU, in evaluation mode.
        best_epoch: counted from 1.
        best_score: its score on validation.
        history: one row per epoch: losses by name, and `score`.
        status: `constant` if the best epoch gives every sample one answer, `not_finite` if training broke down before
            any epoch was good.
    """

    model: nn.Module
    best_epoch: int
    best_score: float
    history: tuple[Row, ...]
    status: Status

    def __repr__(self) -> str:
        return f'Trained(epoch {self.best_epoch} of {len(self.history)}, score {self.best_score:z.4f}, {self.status})'

    def healthy(self) -> Trained:
        """The run itself, if it may be reported.

        Raises:
            TrainingError: the run may not be reported.
        """
        if self.status != 'healthy':
            raise TrainingError(
                expected='a run whose answers vary and whose numbers are finite',
                came=f'{self.status} at epoch {self.best_epoch} of {len(self.history)}',
                todo='lower the rate, standardise the inputs, or report the run as failed',
            )
        return self


@dataclass
class Standing:
    """The state of a run after an epoch: its best weights so far, and whether the last epoch broke down."""

    best: dict[str, Tensor]
    best_epoch: int = 0
    best_score: float = -math.inf
    constant: bool = True
    broken: bool = False
    history: list[Row] | None = None

    def rows(self) -> list[Row]:
        """One row for each epoch so far."""
        if self.history is None:
            self.history = []
        return self.history

    def notes(self) -> dict[str, Any]:
        """Everything except the weights, for a checkpoint."""
        return {name: getattr(self, name) for name in ('best_epoch', 'best_score', 'constant', 'broken', 'history')}

    def restore(self, notes: dict[str, Any], best: dict[str, Tensor]) -> None:
        """Restore the state of a checkpoint."""
        self.best = best
        for name, value in notes.items():
            setattr(self, name, value)

    def trained(self, model: nn.Module) -> Trained:
        """The finished run, with the model at the best epoch."""
        model.load_state_dict(model.state_dict() | self.best)
        model.to('cpu').eval()
        status: Status = 'not_finite' if not self.best_epoch else 'constant' if self.constant else 'healthy'
        return Trained(model, self.best_epoch, self.best_score, tuple(self.rows()), status)


def judge(standing: Standing, model: nn.Module, row: Row, predicted: Predicted, validation: Samples) -> None:
    """Keep the epoch if it is the best so far; one that broke down never is."""
    standing.rows().append(row)
    finite = math.isfinite(row['score']) and math.isfinite(row['training_loss'])
    standing.broken = not finite or not all(bool(parameter.isfinite().all()) for parameter in model.parameters())
    if not standing.broken and row['score'] > standing.best_score:
        standing.best_score, standing.best_epoch, standing.best = row['score'], int(row['epoch']), state_of(model)
        standing.constant = is_constant(predicted, validation)


def ended(standing: Standing, epoch: int, settings: TrainingSettings) -> bool:
    """Whether the run stops before this epoch: it broke down, or patience is exhausted."""
    waited = epoch - 1 - standing.best_epoch
    return standing.broken or (settings.patience is not None and waited >= settings.patience)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the tensors that training changes."""
    return {name: value.detach().clone() for name, value in changing(model).items()}
