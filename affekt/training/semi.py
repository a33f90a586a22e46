"""Semi-supervised training: pseudo-labels in rounds, or consistency between perturbed copies.

Read `train_semi` first; `unlabelled.py` has the losses of a step. Validation alone selects epoch and round.

M unlabelled samples, C classes.

Source: Lee 2013 (pseudo-labels); Zou et al. 2018 (class-balanced selection), arXiv:1810.07911; Sohn et al. 2020
(FixMatch), arXiv:2001.07685.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from affekt.errors import UnknownNameError
from affekt.training.samples import UNKNOWN, Samples
from affekt.training.settings import SemiSettings, TrainingSettings
from affekt.training.standing import Row, Trained
from affekt.training.supervised import predict, train
from affekt.training.unlabelled import Unlabelled


@dataclass(frozen=True)
class Round:
    """One trained model, and the pseudo-labels used in its training."""

    trained: Trained
    guessed: tuple[int, ...] = ()
    """Unlabelled samples used per pseudo-label category; () without pseudo-labels, or with predictions at each step."""
    least: float = float('nan')
    """Minimum probability among the pseudo-labels; nan without any."""


@dataclass(frozen=True)
class SemiTrained:
    """All rounds; the first one of `pseudo` used labelled samples only."""

    rounds: tuple[Round, ...]

    @property
    def best(self) -> Trained:
        """The round with the best validation score, among healthy ones if there are any; of equals the earlier."""
        runs = (entry.trained for entry in self.rounds)
        return max(runs, key=lambda trained: (trained.status == 'healthy', trained.best_score))


def train_semi(
    model: nn.Module,
    labelled: Samples,
    unlabelled: Samples,
    validation: Samples,
    settings: TrainingSettings,
    semi: SemiSettings,
    *,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
) -> SemiTrained:
    """Train on labelled and unlabelled samples.

    `consistency` is one run of `train` in which each step adds losses of unlabelled samples. `pseudo` trains on the
    labelled samples first; then, in each round, the best model so far predicts pseudo-labels, the confident ones are
    selected, and a new model is trained on both, until no prediction is confident. Each round starts from the initial
    weights of the model.

    Args:
        model: initial model, as for `train`; it is not changed.
        labelled: samples with truth; inputs are scaled by their statistics.
        unlabelled: samples whose labels and values, if any, are not read.
        validation: samples for early stopping and for selecting epoch and round.
        settings: training settings of every round.
        semi: settings of the use of unlabelled samples.
        folder: folder for the checkpoints, with a subfolder for each round.
        resume: continue in a folder that an interrupted run left; results equal those of an uninterrupted run.
        report: called with the log row of each epoch, which includes its `round`.

    Raises:
        UnknownNameError: `pseudo` was requested for a model without categories.
        RunError: the folder holds another run.
    """
    without_truth = replace(unlabelled, labels=None, values=None)

    def run(number: int, extra: Samples | None) -> Trained:
        round_report = None if report is None else lambda row: report(row | {'round': float(number)})
        round_folder = None if folder is None else folder / f'round{number}'
        unlabelled_part = None if extra is None else Unlabelled(extra, semi)
        network = copy.deepcopy(model)
        return train(
            network,
            labelled,
            validation,
            settings,
            folder=round_folder,
            resume=resume,
            report=round_report,
            unlabelled=unlabelled_part,
        )

    if semi.kind == 'consistency':
        return SemiTrained((Round(run(1, without_truth)),))
    _require_categories(model, labelled)
    rounds = [Round(run(0, None))]
    for number in range(1, semi.rounds + 1):
        pseudo = pseudo_labelled(SemiTrained(tuple(rounds)).best.model, without_truth, labelled, semi)
        if pseudo is None:
            break
        guessed, least = pseudo
        assert guessed.labels is not None
        rounds.append(Round(run(number, guessed), tuple(torch.bincount(guessed.labels).tolist()), least))
    return SemiTrained(tuple(rounds))


def pseudo_labelled(
    model: nn.Module, unlabelled: Samples, labelled: Samples, semi: SemiSettings
) -> tuple[Samples, float] | None:
    """Unlabelled samples with confident predictions as their truth, and the minimum probability among them.

    Returns None if no prediction is confident.

    Args:
        model: trained model.
        unlabelled: the M samples to predict.
        labelled: samples whose category shares limit those of the pseudo-labels if `balanced`.
        semi: its `threshold`, `share` and `balanced` are used.
    """
    predicted = predict(model, unlabelled)
    confidence, labels = torch.softmax(predicted.logits, dim=1).max(dim=1)
    selected = _confident(confidence, labels, semi)
    if semi.balanced and labelled.labels is not None:
        selected = _capped(selected, confidence, labels, labelled.labels.cpu())
    if not len(selected):
        return None
    values = predicted.values[selected] if predicted.values.shape[1] else None
    return replace(unlabelled.subset(selected), labels=labels[selected], values=values), float(
        confidence[selected].min()
    )


def _confident(confidence: Tensor, labels: Tensor, semi: SemiSettings) -> Tensor:
    """Sorted indices of samples above the threshold, or of the given share of most confident ones per category."""
    if semi.share is None:
        return (confidence >= semi.threshold).nonzero().flatten()
    selected = []
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        order = torch.argsort(confidence[members], descending=True, stable=True)
        selected.append(members[order[: max(1, round(semi.share * len(members)))]])
    return torch.cat(selected).sort().values


def _capped(selected: Tensor, confidence: Tensor, labels: Tensor, truths: Tensor) -> Tensor:
    """The selected indices, less the least confident of categories above their share of the labelled samples."""
    known = truths[truths != UNKNOWN]
    parts = []
    for label in labels[selected].unique():
        members = selected[labels[selected] == label]
        limit = max(1, round(len(selected) * float((known == label).double().mean())))
        order = torch.argsort(confidence[members], descending=True, stable=True)
        parts.append(members[order[:limit]])
    return torch.cat(parts).sort().values if parts else selected


def _require_categories(model: nn.Module, labelled: Samples) -> None:
    batch = labelled.batch(torch.arange(1))
    with torch.no_grad():
        was_training = model.training
        classes = model.eval()(batch.features, batch.keep_mask).logits.shape[1]
        model.train(was_training)
    if not classes or labelled.labels is None:
        raise UnknownNameError(
            expected='a model and samples with categories for kind pseudo',
            came='values alone, whose guesses have no probability',
            todo='choose kind consistency',
        )
