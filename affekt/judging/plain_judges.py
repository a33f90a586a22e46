"""Judges without a language model: people's verdicts from a file, a trained model, and baselines that do not read.

A judge is useful if it does better than the baselines: the longer text, the first text shown, a coin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from affekt.errors import ComparisonError, UnknownNameError, ValueRangeError
from affekt.judging.judge import OTHER_SIDE, Judge, Verdict
from affekt.plugins import Members, called
from affekt.preference import LEFT, RIGHT, TIE, DescribedPair
from affekt.ranking import Comparisons


class AlwaysLeft:
    """Always answers left, whichever side is shown first."""

    name = 'always left'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The verdict: left."""
        return Verdict(LEFT, order)


class FirstShown:
    """Answers the side that is shown first: pure position bias."""

    name = 'first shown'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The verdict: the side shown first."""
        return Verdict(order, order)


class LongerText:
    """Answers the side with more characters, without white space at the ends; equal lengths tie."""

    name = 'longer text'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The verdict: the longer side."""
        left, right = len(pair.left_text.strip()), len(pair.right_text.strip())
        return Verdict(TIE if left == right else LEFT if left > right else RIGHT, order)


class Coin:
    """Answers left or right at random, the same each time for one seed, sample, pair and order.

    Args:
        seed: seed of the draw.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self.name = f'random, seed {seed}'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The verdict: left or right, with equal probability."""
        drawn_hash = hashlib.sha256('\0'.join((str(self._seed), pair.sample, pair.left, pair.right, order)).encode())
        return Verdict(LEFT if drawn_hash.digest()[0] & 1 else RIGHT, order)


class RecordedJudge:
    """Verdicts that already exist, by people or other judges, in any file that `read_comparisons` reads.

    A verdict counts for the order in which the pair was shown, or for both if it was shown side by side. A pair
    without a verdict gives None.

    Args:
        comparisons: comparisons with samples, and with raters where there are several.
        rater: name of the rater; None if there is one rater, or none is named.

    Raises:
        ComparisonError: there are no samples, several raters without a choice, or two different verdicts of one rater
            on a pair in one order.
        UnknownNameError: unknown rater.
    """

    def __init__(self, comparisons: Comparisons, rater: str | None = None) -> None:
        if comparisons.sample is None:
            raise ComparisonError(expected='the sample of each comparison', came='none', todo='give a column sample')
        if rater is None and len(comparisons.raters) > 1:
            raise ComparisonError(
                expected='one rater', came=f'{len(comparisons.raters)}', todo='name the one whose verdicts count'
            )
        if rater is not None and rater not in comparisons.raters:
            raise UnknownNameError(
                expected=f'a rater among {", ".join(comparisons.raters)}', came=repr(rater), todo='choose one of these'
            )
        self.name = rater or (comparisons.raters[0] if comparisons.raters else 'people')
        rater_index = None if rater is None else comparisons.raters.index(rater)
        self._recorded: dict[tuple[str, str, str, str], str] = {}
        for row in range(len(comparisons)):
            if rater_index is None or (comparisons.rater is not None and comparisons.rater[row] == rater_index):
                self._record(comparisons, row, comparisons.samples[comparisons.sample[row]])

    def _record(self, comparisons: Comparisons, row: int, sample: str) -> None:
        left, right = (comparisons.items[side[row]] for side in (comparisons.left, comparisons.right))
        outcome = {1: LEFT, -1: RIGHT, 0: TIE}[int(comparisons.outcome[row])]
        orders = {1: (LEFT,), -1: (RIGHT,), 0: (LEFT, RIGHT)}[int(comparisons.first[row])]
        for order in orders:
            for key, recorded in (
                ((sample, left, right, order), outcome),
                ((sample, right, left, OTHER_SIDE[order]), OTHER_SIDE[outcome]),
            ):
                if self._recorded.setdefault(key, recorded) != recorded:
                    raise ComparisonError(
                        expected='one verdict of a rater on a pair in one order',
                        came=f'two on {left} and {right} for {sample}',
                        todo='keep one of them',
                    )

    def verdict(self, pair: DescribedPair, order: str) -> Verdict | None:
        """The recorded verdict; None if there is none."""
        outcome = self._recorded.get((pair.sample, pair.left, pair.right, order))
        return None if outcome is None else Verdict(outcome, order)


class Chances(Protocol):
    """Answers of a trained model on N pairs."""

    @property
    def chances(self) -> npt.NDArray[np.float64]:
        """(N, 3) probabilities of left, tie and right."""


class PairPredictor(Protocol):
    """A trained preference model of any kind; `PreferenceModel` is one."""

    def predict_pairs(self, pairs: Sequence[tuple[str, str]]) -> Chances:
        """Probabilities for N pairs of (left, right) texts."""


class PreferenceJudge:
    """A trained preference model, asked in both orders, which shows whether it is antisymmetric.

    Args:
        model: object with `predict_pairs`, for example from `train_preferences` or `load_preferences`.
        name: name of the rater.
        ties: answer tie where that is most probable; otherwise only where both sides are equally probable.
    """

    def __init__(self, model: PairPredictor, name: str = 'preference model', *, ties: bool = False) -> None:
        self._model, self.name, self._ties = model, name, ties

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The more probable side.

        Raises:
            ValueRangeError: the model returned no probabilities.
        """
        probabilities = np.asarray(self._model.predict_pairs([pair.shown(order)]).chances, np.float64).reshape(-1)
        if probabilities.shape != (3,) or not ((probabilities >= 0.0) & (probabilities <= 1.0)).all():
            raise ValueRangeError(
                expected='probabilities of left, tie and right',
                came=f'{probabilities.tolist()} for {pair.sample}',
                todo='check the preference model',
            )
        first, tie, second = probabilities
        if first == second or (self._ties and tie > max(first, second)):
            return Verdict(TIE, order)
        return Verdict(order if first > second else OTHER_SIDE[order], order)


REFERENCES: Members[Callable[[], Judge]] = Members('judges', {
    'always left': AlwaysLeft,
    'first shown': FirstShown,
    'longer text': LongerText,
    'random': Coin,
}, called)  # fmt: skip
"""Name of a reference to its constructor; other packages add theirs as `affekt.judges`."""
TO_BEAT = ('first shown', 'longer text', 'random')
"""References shown beside a judge's agreement with people."""


def reference_judge(name: str) -> Judge:
    """The reference judge with a name, such as 'longer text'.

    Raises:
        UnknownNameError: unknown reference.
    """
    if name not in REFERENCES:
        raise UnknownNameError(
            expected=f'a reference among {", ".join(REFERENCES)}', came=repr(name), todo='choose one of these'
        )
    return REFERENCES[name]()
