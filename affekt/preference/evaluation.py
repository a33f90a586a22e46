"""Evaluation of preference models and judges: scores with intervals, compared with shortcuts and people.

`evaluate_preferences` takes pairs and the verdicts of one judge, and computes for it and for every shortcut
1. the official scores, and even ones that treat both sides alike (`scores.py`);
2. the same on views in which a shortcut is worthless (`views.py`);
3. how often a swapped pair gets the same answer;
4. the judge's lead over each shortcut with its paired interval, and the agreement among annotators.

Intervals resample whole samples, and balanced views are reweighted in every resample.

Axes: N pairs, R resamples, G strata.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from affekt.arrays import Floats, Ints
from affekt.errors import ComparisonError, ShapeError
from affekt.metrics import UNBOUNDED, Interval, Statistic
from affekt.metrics.resampling import intervals
from affekt.preference.features import SampleFeatures
from affekt.preference.model import PreferenceModel
from affekt.preference.pairs import Pairs
from affekt.preference.scores import confusion_scores, swap_consistency
from affekt.preference.shortcuts import Answers, against_annotators, annotator_agreement, shortcuts
from affekt.preference.views import SHORTCUTS, cell_weights, cells

ALL = 'all pairs'
"""Name of the view with all pairs."""
UNCERTAIN_BELOW = 30.0
"""Effective number of pairs below which a view is too uncertain; its scores are reported nevertheless."""
_SWAPPED = (2, 1, 0)
"""Order of the classes a1, same, a2 after the sides are swapped."""


@dataclass(frozen=True)
class View:
    """A selection or weighting of the pairs."""

    name: str
    pairs: int
    """Number of decided pairs with positive weight."""
    effective: float
    """(sum of weights)² / sum of squared weights: number of unweighted pairs with the same uncertainty."""


@dataclass(frozen=True)
class JudgeScores:
    """Scores of a judge or rule."""

    views: Mapping[str, Mapping[str, Interval]]
    """View to waf2, acc2, even (and on all pairs waf3, acc3, even_waf3, even_acc3), all in [0, 1]."""
    lead: Mapping[str, Interval]
    """View to the evaluated judge's even accuracy minus this one's; empty for the judge itself."""
    swap_consistency: float
    """Share of pairs with the same answer after swapping; nan if swapped pairs were not asked."""
    ties: float
    """Share of answers that are *same*."""
    longer: float
    """Share of answers for the longer text, among pairs of different lengths with an answer for a side."""
    against_annotators: float
    """Even accuracy against each annotator, averaged; nan without votes."""


@dataclass(frozen=True)
class PreferenceEvaluation:
    """Scores of a judge, of shortcuts and of annotators."""

    pairs: int
    """Number of pairs."""
    decided: int
    """Number of pairs of which one text was preferred."""
    samples: int
    """Number of samples, or of prompts where there are any."""
    views: tuple[View, ...]
    judge: JudgeScores
    shortcuts: Mapping[str, JudgeScores]
    """Name of a shortcut to its scores."""
    in_hindsight: bool
    """Whether shortcuts used the winners of these same pairs."""
    annotators: Mapping[str, float]
    """Agreement among annotators, see `annotator_agreement`."""
    level: float
    """Coverage of the intervals."""


def answers_of(model: PreferenceModel, pairs: Pairs, samples: SampleFeatures | None = None) -> Answers:
    """A model's verdicts on the pairs and on the swapped pairs; the latter are the negated former.

    Args:
        model: a trained model.
        pairs: pairs to answer.
        samples: name of a sample to the features of its clip, if the model was trained with them.

    Raises:
        ShapeError: features or prompts that the model was trained on are missing.
    """
    return Answers(
        model.predict_pairs(pairs, samples).verdicts(), model.predict_pairs(pairs.swapped(), samples).verdicts()
    )


def evaluate_preferences(
    pairs: Pairs,
    answers: Answers,
    *,
    rng: np.random.Generator,
    learned_from: Pairs | None = None,
    resamples: int = 1000,
    level: float = 0.95,
) -> PreferenceEvaluation:
    """Scores of a judge with intervals, compared with those of shortcuts and annotators.

    Args:
        pairs: judged pairs, some of them decided.
        answers: the judge's verdicts on them.
        rng: generator of the resamples; all judges get the same ones.
        learned_from: training pairs from which shortcuts learn who usually wins; None for the judged pairs, in
            hindsight.
        resamples: number of resamples for the intervals; 0 for none.
        level: coverage of the intervals, in (0, 1).

    Raises:
        ComparisonError: the pairs have no verdicts, or every pair is a tie.
        ShapeError: there is not one answer per pair.
    """
    if not pairs.truth.any():
        raise ComparisonError(
            expected='pairs of which one text was preferred', came=f'{pairs.source} with ties only', todo='give others'
        )
    for verdicts in (answers.forward, answers.swapped):
        if verdicts is not None and (verdicts.shape != (len(pairs),) or not np.isin(verdicts, (1, -1, 0)).all()):
            raise ShapeError(
                expected=f'{len(pairs)} verdicts of 1, -1 and 0',
                came=f'shape {verdicts.shape}',
                todo='answer every pair',
            )
    seed = int(rng.integers(2**63))
    views = _views(pairs)
    rules = shortcuts(pairs, learned_from)

    def intervals_of(columns: Floats, statistic: Statistic) -> dict[str, Interval]:
        repeated_rng = np.random.default_rng(seed)
        return intervals(
            columns, statistic, rng=repeated_rng, resamples=resamples, level=level, groups=pairs.groups,
            bounds={'lead': UNBOUNDED},
        )  # fmt: skip

    def lead_of(columns: Floats, statistic: Statistic) -> Interval:
        """The interval of a difference of two shares, which may include 0 even where every resample is above it."""
        interval = intervals_of(columns, statistic)['lead']
        return replace(interval, low=max(interval.low, -1.0), high=min(interval.high, 1.0))

    def scores(judged: Answers, reference: Answers | None) -> JudgeScores:
        by_view: dict[str, Mapping[str, Interval]] = {}
        lead: dict[str, Interval] = {}
        for name, view in views.items():
            own = view.columns(pairs.truth, judged)
            by_view[name] = intervals_of(own, view.statistic)
            if reference is not None:
                joined = np.concatenate([view.columns(pairs.truth, reference), own], axis=1)
                lead[name] = lead_of(joined, view.lead)
        return JudgeScores(
            views=by_view,
            lead=lead,
            swap_consistency=math.nan if judged.swapped is None else swap_consistency(judged.forward, judged.swapped),
            ties=float(np.mean(judged.forward == 0)),
            longer=_share_longer(pairs, judged.forward),
            against_annotators=against_annotators(pairs, judged.forward),
        )

    return PreferenceEvaluation(
        pairs=len(pairs),
        decided=int(np.sum(pairs.truth != 0)),
        samples=len(set(pairs.groups.tolist())),
        views=tuple(view.facts(name, pairs.truth) for name, view in views.items()),
        judge=scores(answers, None),
        shortcuts={name: scores(rule, answers) for name, rule in rules.items()},
        in_hindsight=learned_from is None,
        annotators=annotator_agreement(pairs),
        level=level,
    )


def _share_longer(pairs: Pairs, forward: Ints) -> float:
    """Share of answers for the longer text, among pairs of different lengths and answers for a side; nan for none."""
    differences = np.array([len(a.strip()) - len(b.strip()) for a, b in zip(pairs.left, pairs.right, strict=True)])
    agrees = (np.sign(differences) * forward)[(differences != 0) & (forward != 0)]
    return float(np.mean(agrees > 0)) if len(agrees) else math.nan


def _one_hot(truth: Ints, prediction: Ints) -> Floats:
    """(N, 3, 3) one-hot: truth, then verdict, in the order a1, same, a2."""
    return np.asarray(np.eye(9)[(1 - truth) * 3 + (1 - prediction)].reshape(-1, 3, 3))


def _even(truth: Ints, answers: Answers) -> Floats:
    """(N, 3, 3) one-hot, averaged over both orders of sides and over the mirror image of each."""
    table = _one_hot(truth, answers.forward)
    if answers.swapped is not None:
        table = (table + _one_hot(truth, -answers.swapped)) / 2.0
    return np.asarray((table + table[:, _SWAPPED][:, :, _SWAPPED]) / 2.0)


def _two_class_even(confusions: Floats) -> tuple[Floats, Floats]:
    """Correct answers and decided pairs of (…, 3, 3) confusions, *same* counted as half correct."""
    correct = confusions[..., 0, 0] + confusions[..., 2, 2] + (confusions[..., 0, 1] + confusions[..., 2, 1]) / 2.0
    return correct, confusions[..., 0, :].sum(axis=-1) + confusions[..., 2, :].sum(axis=-1)


def _official_two(confusions: Floats) -> Floats:
    """(…, 3, 3) to (…, 2, 2): tied truths dropped, a predicted *same* counted as a1."""
    decided = confusions[..., [0, 2], :]
    return np.stack([decided[..., 0] + decided[..., 1], decided[..., 2]], axis=-1)


@dataclass(frozen=True)
class _AllPairs:
    """All pairs with equal weight: 9 columns of the official confusion, 9 of the even one."""

    def columns(self, truth: Ints, answers: Answers) -> Floats:
        parts = _one_hot(truth, answers.forward), _even(truth, answers)
        return np.concatenate([part.reshape(len(truth), 9) for part in parts], axis=1)

    def statistic(self, sums: Floats) -> dict[str, Floats]:
        official, even = (columns.reshape(-1, 3, 3) for columns in (sums[:, :9], sums[:, 9:18]))
        waf2, acc2 = confusion_scores(_official_two(official))
        waf3, acc3 = confusion_scores(official)
        even_waf3, even_acc3 = confusion_scores(even)
        correct, total = _two_class_even(even)
        with np.errstate(invalid='ignore', divide='ignore'):
            two_classes = {'waf2': waf2, 'acc2': acc2, 'even': correct / total}
        return {**two_classes, 'waf3': waf3, 'acc3': acc3, 'even_waf3': even_waf3, 'even_acc3': even_acc3}

    def lead(self, sums: Floats) -> dict[str, Floats]:
        other, mine = (self.statistic(part)['even'] for part in np.split(sums, 2, axis=1))
        return {'lead': other - mine}

    def facts(self, name: str, truth: Ints) -> View:
        decided = int(np.sum(truth != 0))
        return View(name, decided, float(decided))


@dataclass(frozen=True)
class _Balanced:
    """A balanced view: count of each cell, the official two-class confusion, and correct answers."""

    number: Ints
    """(N,) cell of each pair, -1 outside the view."""
    strata: int
    """Number of strata G; each has three cells."""
    weights: Floats
    """(N,) weight of each pair."""

    def columns(self, truth: Ints, answers: Answers) -> Floats:
        is_inside = self.number >= 0
        entries = np.concatenate(
            [
                is_inside[:, None],
                _official_two(_one_hot(truth, answers.forward)).reshape(-1, 4),
                _two_class_even(_even(truth, answers))[0][:, None],
            ],
            axis=1,
        )
        columns = np.zeros((len(truth), 3 * self.strata, 6))
        columns[is_inside, self.number[is_inside]] = entries[is_inside]
        return columns.reshape(len(truth), -1)

    def statistic(self, sums: Floats) -> dict[str, Floats]:
        per_stratum = sums.reshape(len(sums), self.strata, 3, 6)  # (R, G, cells, columns)
        weighted = per_stratum * cell_weights(per_stratum[..., 0])[..., None]
        total = weighted.sum(axis=(1, 2))
        waf2, acc2 = confusion_scores(total[:, 1:5].reshape(-1, 2, 2))
        with np.errstate(invalid='ignore', divide='ignore'):
            return {'waf2': waf2, 'acc2': acc2, 'even': total[:, 5] / total[:, 0]}

    def lead(self, sums: Floats) -> dict[str, Floats]:
        other, mine = (self.statistic(part)['even'] for part in np.split(sums, 2, axis=1))
        return {'lead': other - mine}

    def facts(self, name: str, truth: Ints) -> View:
        squares = float((self.weights**2).sum())
        effective = float(self.weights.sum()) ** 2 / squares if squares else 0.0
        return View(name, int(np.sum(self.weights > 0.0)), effective)


def _views(pairs: Pairs) -> dict[str, _AllPairs | _Balanced]:
    """All pairs, then a view per shortcut that the pairs allow, then one for all shortcuts together."""
    available = [name for name in SHORTCUTS if name != 'source' or pairs.left_source]
    views: dict[str, _AllPairs | _Balanced] = {ALL: _AllPairs()}
    for by in ([name] for name in available):
        views[f'{by[0]}-balanced'] = _balanced(pairs, by)
    if len(available) > 1:
        views['balanced by both'] = _balanced(pairs, available)
    return views


def _balanced(pairs: Pairs, by: list[str]) -> _Balanced:
    """The view that is balanced for these shortcuts, with its strata renumbered without gaps."""
    strata = cells(pairs, by)
    occurring, number = np.unique(strata.stratum[strata.stratum >= 0], return_inverse=True)
    stratum = np.full(len(pairs), -1)
    stratum[strata.stratum >= 0] = number
    cell = np.where(stratum < 0, -1, 3 * stratum + strata.favours + 1)
    return _Balanced(cell, len(occurring), strata.weights())
