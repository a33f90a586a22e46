"""Where a run stands: its best epoch so far, what of that may be reported, and what a checkpoint must hold."""

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
Status = Literal['healthy', 'constant', 'not_finite']
Row = dict[str, float]


@dataclass(frozen=True)
class Trained:
    """A finished run: its model holds the weights of the best epoch.

    Args:
        model: on the CPU, in evaluation mode.
        best_epoch: counted from 1.
        best_score: on validation.
        history: one row an epoch: losses by name, and `score`.
        status: `constant` where the best epoch gives every sample one answer, `not_finite` where training broke
            down before any epoch was good.
    """

    model: nn.Module
    best_epoch: int
    best_score: float
    history: tuple[Row, ...]
    status: Status

    def __repr__(self) -> str:
        return f'Trained(epoch {self.best_epoch} of {len(self.history)}, score {self.best_score:z.4f}, {self.status})'

    def healthy(self) -> Trained:
        """Itself.

        Raises:
            TrainingError: the run is not one to report.
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
    """Where a run stands after an epoch: its best weights so far, and whether its last epoch broke down."""

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
        """All but the weights, for a checkpoint."""
        return {name: getattr(self, name) for name in ('best_epoch', 'best_score', 'constant', 'broken', 'history')}

    def restore(self, noted: dict[str, Any], best: dict[str, Tensor]) -> None:
        """Stand where a checkpoint stood."""
        self.best = best
        for name, value in noted.items():
            setattr(self, name, value)

    def trained(self, model: nn.Module) -> Trained:
        """The finished run, its model at the best epoch."""
        model.load_state_dict(model.state_dict() | self.best)
        model.to('cpu').eval()
        status: Status = 'not_finite' if not self.best_epoch else 'constant' if self.constant else 'healthy'
        return Trained(model, self.best_epoch, self.best_score, tuple(self.rows()), status)


def judge(standing: Standing, model: nn.Module, row: Row, predicted: Predicted, validation: Samples) -> None:
    """Keep the epoch where it is the best so far; a broken one never is."""
    standing.rows().append(row)
    finite = math.isfinite(row['score']) and math.isfinite(row['training_loss'])
    standing.broken = not finite or not all(bool(p.isfinite().all()) for p in model.parameters())
    if not standing.broken and row['score'] > standing.best_score:
        standing.best_score, standing.best_epoch, standing.best = row['score'], int(row['epoch']), state_of(model)
        standing.constant = is_constant(predicted, validation)


def ended(standing: Standing, epoch: int, settings: TrainingSettings) -> bool:
    """The run stops before this epoch: it broke down, or waited long enough for a better one."""
    waited = epoch - 1 - standing.best_epoch
    return standing.broken or (settings.patience is not None and waited >= settings.patience)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of what training changes."""
    return {name: value.detach().clone() for name, value in changing(model).items()}
