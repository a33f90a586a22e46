"""Judges that ask no language model: people's verdicts from a file, a learned model, and references that read nothing.

A judge is worth something where it does better than the references: the longer text, the first text shown, a coin.
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
    """Says left, whatever it is shown first."""

    name = 'always left'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """Left."""
        return Verdict(LEFT, order)


class FirstShown:
    """Says the side that it is shown first: pure position bias."""

    name = 'first shown'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The side shown first."""
        return Verdict(order, order)


class LongerText:
    """Says the side with more characters, white space at the ends left out; equal ones tie."""

    name = 'longer text'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The longer side."""
        left, right = len(pair.left_text.strip()), len(pair.right_text.strip())
        return Verdict(TIE if left == right else LEFT if left > right else RIGHT, order)


class Coin:
    """Says left or right at random, the same each time for one seed, sample, pair and order.

    Args:
        seed: of the draw.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self.name = f'random, seed {seed}'

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """Left or right, half of the time each."""
        drawn = hashlib.sha256('\0'.join((str(self._seed), pair.sample, pair.left, pair.right, order)).encode())
        return Verdict(LEFT if drawn.digest()[0] & 1 else RIGHT, order)


class RecordedJudge:
    """Verdicts that were given before, by people or by anything else, in any file that `read_comparisons` reads.

    A verdict is given for the order in which the pair was shown, and for both where it was shown side by side. A pair
    that was not judged gives None.

    Args:
        comparisons: with samples, and with raters where several are held.
        rater: whose verdicts; None where there is one rater, or none is named.

    Raises:
        ComparisonError: no samples, several raters and none was named, or one judged a pair twice in one order.
        UnknownNameError: no such rater.
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
        wanted = None if rater is None else comparisons.raters.index(rater)
        self._held: dict[tuple[str, str, str, str], str] = {}
        for row in range(len(comparisons)):
            if wanted is None or (comparisons.rater is not None and comparisons.rater[row] == wanted):
                self._note(comparisons, row, comparisons.samples[comparisons.sample[row]])

    def _note(self, comparisons: Comparisons, row: int, sample: str) -> None:
        left, right = (comparisons.items[side[row]] for side in (comparisons.left, comparisons.right))
        outcome = {1: LEFT, -1: RIGHT, 0: TIE}[int(comparisons.outcome[row])]
        orders = {1: (LEFT,), -1: (RIGHT,), 0: (LEFT, RIGHT)}[int(comparisons.first[row])]
        for order in orders:
            for key, said in (
                ((sample, left, right, order), outcome),
                ((sample, right, left, OTHER_SIDE[order]), OTHER_SIDE[outcome]),
            ):
                if self._held.setdefault(key, said) != said:
                    raise ComparisonError(
                        expected='one verdict of a rater on a pair in one order',
                        came=f'two on {left} and {right} for {sample}',
                        todo='keep one of them',
                    )

    def verdict(self, pair: DescribedPair, order: str) -> Verdict | None:
        """The recorded verdict; None where there is none."""
        said = self._held.get((pair.sample, pair.left, pair.right, order))
        return None if said is None else Verdict(said, order)


class Chances(Protocol):
    """What a learned model says of N pairs."""

    @property
    def chances(self) -> npt.NDArray[np.float64]:
        """(N, 3) probabilities of left, tie and right."""


class PairPredictor(Protocol):
    """A learned preference model, whatever learned it; `PreferenceModel` is one."""

    def predict_pairs(self, pairs: Sequence[tuple[str, str]]) -> Chances:
        """The chances of pairs of (left, right) texts."""


class PreferenceJudge:
    """A learned preference model; it is asked in both orders, which shows whether it is antisymmetric.

    Args:
        model: anything with `predict_pairs`, such as what `train_preferences` and `load_preferences` give.
        name: the rater's name.
        ties: say tie where that is likeliest; otherwise only where both sides are equally likely.
    """

    def __init__(self, model: PairPredictor, name: str = 'preference model', *, ties: bool = False) -> None:
        self._model, self.name, self._ties = model, name, ties

    def verdict(self, pair: DescribedPair, order: str) -> Verdict:
        """The likelier side.

        Raises:
            ValueRangeError: the model gave no probabilities.
        """
        chances = np.asarray(self._model.predict_pairs([pair.shown(order)]).chances, np.float64).reshape(-1)
        if chances.shape != (3,) or not ((chances >= 0.0) & (chances <= 1.0)).all():
            raise ValueRangeError(
                expected='probabilities of left, tie and right',
                came=f'{chances.tolist()} for {pair.sample}',
                todo='check the preference model',
            )
        first, tie, second = chances
        if first == second or (self._ties and tie > max(first, second)):
            return Verdict(TIE, order)
        return Verdict(order if first > second else OTHER_SIDE[order], order)


REFERENCES: Members[Callable[[], Judge]] = Members('judges', {
    'always left': AlwaysLeft,
    'first shown': FirstShown,
    'longer text': LongerText,
    'random': Coin,
}, called)  # fmt: skip
"""Judges that need no input but the pair, by what makes one; other packages add theirs as `affekt.judges`."""
TO_BEAT = ('first shown', 'longer text', 'random')
"""What stands beside a judge's agreement with people."""


def reference_judge(name: str) -> Judge:
    """The reference of that name.

    Raises:
        UnknownNameError: no such reference.
    """
    if name not in REFERENCES:
        raise UnknownNameError(
            expected=f'a reference among {", ".join(REFERENCES)}', came=repr(name), todo='choose one of these'
        )
    return REFERENCES[name]()
