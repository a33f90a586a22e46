"""Evaluation of a trained model with missing modalities: every subset of the modalities, and random gaps.

M modalities; a sample with none of the modalities kept gets no prediction, and a score without predictions is nan.

Source: Zhao et al. 2021 (MMIN), doi:10.18653/v1/2021.acl-long.203; Lian et al. 2023 (GCNet), arXiv:2203.02177.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import Tensor, nn

from affekt.corruption import rng_of, withheld_cells
from affekt.errors import ValueRangeError
from affekt.training.samples import Samples
from affekt.training.scoring import Predicted, score_of
from affekt.training.supervised import predict

COMPLETE = 'complete'
"""Name of the predictions with all modalities."""
RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""The usual missing rates; with three modalities 0.7 means two thirds, the maximum that leaves one in every sample."""


@dataclass(frozen=True)
class PartlyAnswered:
    """A model's predictions with some modalities missing."""

    name: str
    """`complete`; the modalities kept, such as `audio+text`; or `any:0.3` for random gaps at rate 0.3."""
    kind: str
    """`complete`, `fixed` or `random`."""
    index: Tensor
    """(K,) indices of the samples with predictions."""
    predicted: Predicted
    """Predictions for these K samples."""


@dataclass(frozen=True)
class MissingScores:
    """Scores with missing modalities."""

    score: str
    complete: float
    fixed: dict[str, float]
    """Modalities kept to score, for every proper subset."""
    random: dict[str, float]
    """`any:RATE` to score."""
    answered: dict[str, int]
    """Name to the number of samples with any of the modalities kept."""

    @property
    def fixed_mean(self) -> float:
        """Mean over the subsets with a defined score; nan with one modality."""
        return _mean_of_defined(self.fixed.values())

    @property
    def random_mean(self) -> float:
        """Mean over the rates with a defined score; nan with one modality."""
        return _mean_of_defined(self.random.values())


def _mean_of_defined(scores: Iterable[float]) -> float:
    """Mean of the scores that are not nan; nan without any."""
    defined = [score for score in scores if score == score]
    return float(np.mean(defined)) if defined else float('nan')


def missing_modality_scores(
    model: nn.Module, samples: Samples, score: str, *, rates: Sequence[float] = RATES, seed: int = 0
) -> MissingScores:
    """Score a trained model on every subset of the modalities and with random gaps.

    Args:
        model: trained model that accepts a keep mask.
        samples: test samples with truth.
        score: a key of `SCORES`.
        rates: shares of the present modalities to remove, in (0, 1).
        seed: seed of the gaps, which depend on sample names and not on their order.

    Raises:
        UnknownNameError: the score is unknown, or the samples lack its truth.
        ValueRangeError: a rate is out of range.
    """
    measure = score_of(score)
    parts = list(missing_modality_answers(model, samples, rates=rates, seed=seed))
    scores = {
        answer.name: measure(answer.predicted, samples.subset(answer.index)) if len(answer.index) else float('nan')
        for answer in parts
    }
    kinds = {
        kind: {answer.name: scores[answer.name] for answer in parts if answer.kind == kind}
        for kind in ('fixed', 'random')
    }
    answered = {answer.name: len(answer.index) for answer in parts}
    return MissingScores(score, scores[COMPLETE], kinds['fixed'], kinds['random'], answered)


def missing_modality_answers(
    model: nn.Module, samples: Samples, *, rates: Sequence[float] = RATES, seed: int = 0
) -> Iterator[PartlyAnswered]:
    """A model's predictions with all modalities, with every proper subset, and with random gaps.

    Args:
        model: trained model that accepts a keep mask.
        samples: samples to predict; their truth is not read.
        rates: as for `missing_modality_scores`.
        seed: seed of the gaps.

    Raises:
        ValueRangeError: a rate is out of range.
    """
    invalid = [rate for rate in rates if not 0 < rate < 1]
    if invalid:
        raise ValueRangeError(expected='rates above 0 and below 1', came=f'{invalid}', todo='correct them')
    names = tuple(samples.features)
    present = torch.stack([samples.presence(name) for name in names], dim=1).cpu()  # (N, M)
    complete = _answered(model, samples, COMPLETE, 'complete', names, present)
    yield complete
    none = Predicted(complete.predicted.logits[:0], complete.predicted.values[:0])
    for size in range(1, len(names)):
        for subset in combinations(range(len(names)), size):
            kept = torch.zeros_like(present)
            kept[:, list(subset)] = True
            kept &= present
            name = '+'.join(names[column] for column in subset)
            if kept.any():
                yield _answered(model, samples, name, 'fixed', names, kept)
            else:
                yield PartlyAnswered(name, 'fixed', torch.zeros(0, dtype=torch.int64), none)
    for rate in rates if len(names) > 1 else ():
        yield _answered(model, samples, f'any:{rate:g}', 'random', names, _kept(samples, present, rate, seed))


def with_gaps(samples: Samples, rate: float, *, seed: int = 0) -> Samples:
    """The samples with a share of their modalities missing at random, to train a robust model.

    Args:
        samples: each keeps at least one modality; a sample that occurs several times has different gaps each time.
        rate: share of the present modalities to remove, in (0, 1).
        seed: seed of the gaps.

    Raises:
        ValueRangeError: the rate is out of range.
    """
    if not 0 < rate < 1:
        raise ValueRangeError(expected='a rate above 0 and below 1', came=f'{rate}', todo='correct it')
    present = torch.stack([samples.presence(name) for name in samples.features], dim=1)  # (N, M)
    kept = _kept(samples, present.cpu(), rate, seed).to(present.device)
    return replace(samples, present={name: kept[:, column] for column, name in enumerate(samples.features)})


def _kept(samples: Samples, present: Tensor, rate: float, seed: int) -> Tensor:
    """(N, M) bool, True where kept; gaps are drawn in the order of the sample names."""
    order = sorted(range(len(samples)), key=lambda index: samples.names[index] if samples.names else index)
    gaps = withheld_cells(present[order].numpy(), rate, rng_of(seed, f'any:{rate:g}', 'missing'))
    kept = present.clone()
    kept[order] &= torch.from_numpy(~gaps)
    return kept


def _answered(
    model: nn.Module, samples: Samples, name: str, kind: str, modalities: Sequence[str], kept: Tensor
) -> PartlyAnswered:
    """Predictions for the samples that keep any modality; missing features are replaced by zeros."""
    index = kept.any(dim=1).nonzero().flatten()
    part = samples.subset(index)
    present = {
        modality: kept[index, column].to(part.presence(modality).device) for column, modality in enumerate(modalities)
    }
    return PartlyAnswered(name, kind, index, predict(model, replace(part, present=present)))
