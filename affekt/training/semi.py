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
        every = (each.trained for each in self.rounds)
        return max(every, key=lambda trained: (trained.status == 'healthy', trained.best_score))


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
    bare = replace(unlabelled, labels=None, values=None)

    def run(number: int, beside: Samples | None) -> Trained:
        tell = None if report is None else lambda row: report(row | {'round': float(number)})
        place = None if folder is None else folder / f'round{number}'
        learnt = None if beside is None else Unlabelled(beside, semi)
        own = copy.deepcopy(model)
        return train(own, labelled, validation, settings, folder=place, resume=resume, report=tell, unlabelled=learnt)

    if semi.kind == 'consistency':
        return SemiTrained((Round(run(1, bare)),))
    _require_categories(model, labelled)
    rounds = [Round(run(0, None))]
    for number in range(1, semi.rounds + 1):
        pseudo = pseudo_labelled(SemiTrained(tuple(rounds)).best.model, bare, labelled, semi)
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
    answer = predict(model, unlabelled)
    sure, labels = torch.softmax(answer.logits, dim=1).max(dim=1)
    chosen = _surest(sure, labels, semi)
    if semi.balanced and labelled.labels is not None:
        chosen = _capped(chosen, sure, labels, labelled.labels.cpu())
    if not len(chosen):
        return None
    values = answer.values[chosen] if answer.values.shape[1] else None
    return replace(unlabelled.subset(chosen), labels=labels[chosen], values=values), float(sure[chosen].min())


def _surest(sure: Tensor, labels: Tensor, semi: SemiSettings) -> Tensor:
    """Sorted indices of samples above the threshold, or of the given share of most confident ones per category."""
    if semi.share is None:
        return (sure >= semi.threshold).nonzero().flatten()
    parts = []
    for label in labels.unique():
        own = (labels == label).nonzero().flatten()
        order = torch.argsort(sure[own], descending=True, stable=True)
        parts.append(own[order[: max(1, round(semi.share * len(own)))]])
    return torch.cat(parts).sort().values


def _capped(chosen: Tensor, sure: Tensor, labels: Tensor, truths: Tensor) -> Tensor:
    """The chosen indices, without the least confident of categories that exceed their share of labelled samples."""
    known = truths[truths != UNKNOWN]
    parts = []
    for label in labels[chosen].unique():
        own = chosen[labels[chosen] == label]
        most = max(1, round(len(chosen) * float((known == label).double().mean())))
        order = torch.argsort(sure[own], descending=True, stable=True)
        parts.append(own[order[:most]])
    return torch.cat(parts).sort().values if parts else chosen


def _require_categories(model: nn.Module, labelled: Samples) -> None:
    part = labelled.batch(torch.arange(1))
    with torch.no_grad():
        was_training = model.training
        classes = model.eval()(part.features, part.keep_mask).logits.shape[1]
        model.train(was_training)
    if not classes or labelled.labels is None:
        raise UnknownNameError(
            expected='a model and samples with categories for kind pseudo',
            came='values alone, whose guesses have no probability',
            todo='choose kind consistency',
        )
