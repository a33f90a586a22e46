"""Training on few labelled samples and many without truth: guesses in rounds, or consistency of disturbed copies.

Read `train_semi` first; `unlabelled.py` holds what a step does. Validation alone chooses epoch and round.

M unlabelled samples, C classes.

Source: Lee 2013 (pseudo-labels); Zou et al. 2018 (the surest of each class), arXiv:1810.07911; Sohn et al. 2020
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
    """One trained model, and what it learnt from besides labelled samples."""

    trained: Trained
    guessed: tuple[int, ...] = ()
    """Unlabelled samples learnt from by guessed category; () where there were no guesses, or a guess at each step."""
    least: float = float('nan')
    """The least probability among the guesses."""


@dataclass(frozen=True)
class SemiTrained:
    """All rounds: the first of `pseudo` learnt from labelled samples alone."""

    rounds: tuple[Round, ...]

    @property
    def best(self) -> Trained:
        """The round that is best on validation: a healthy one where there is one, the earlier of equals."""
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
    labelled ones; then, each round, the best model so far guesses, the sure guesses are kept, and a new model learns
    from both, until no guess is sure. Each round starts from the weights that the model came with.

    Args:
        model: as for `train`; left as it is.
        labelled: what has truth. The scale of inputs is taken from these.
        unlabelled: labels and values that they may have are not read.
        validation: what decides when to stop, which epoch and which round is best.
        settings: of every round.
        semi: how unlabelled samples are learnt from.
        folder: keeps a checkpoint of each round in a folder of its own.
        resume: go on in a folder that a killed run left; the numbers are those of a run that was not killed.
        report: called with each epoch's row, which has its `round`.

    Raises:
        UnknownNameError: guesses in rounds for a model without categories.
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
    """The unlabelled samples that a model is sure of, with its answers for truth, and the least probability among them.

    None where it is sure of none.

    Args:
        model: trained.
        unlabelled: M samples.
        labelled: whose shares of categories cap those of the guesses where `balanced`.
        semi: `threshold`, `share` and `balanced` are read.
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
    """Index of what reaches the threshold, or of the share of each category that is surest; in rising order."""
    if semi.share is None:
        return (sure >= semi.threshold).nonzero().flatten()
    parts = []
    for label in labels.unique():
        own = (labels == label).nonzero().flatten()
        order = torch.argsort(sure[own], descending=True, stable=True)
        parts.append(own[order[: max(1, round(semi.share * len(own)))]])
    return torch.cat(parts).sort().values


def _capped(chosen: Tensor, sure: Tensor, labels: Tensor, truths: Tensor) -> Tensor:
    """The chosen without the least sure of each category that has more than its share of the labelled samples."""
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
