"""Scores as functions of sums over samples, so that intervals and paired tests cost one matrix product.

N samples, K columns, R draws. A `Measure` has (N, K) columns of one system and a function from column sums to all
scores. `measure_intervals` resamples samples, or whole speakers; `compare` tests two systems on the same samples,
`compare_with` several against one, corrected for their number. The scores equal those of `categorical.py`,
`dimensional.py` and `sentiment.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, UnknownNameError
from affekt.metrics.categorical import Classes, label_positions
from affekt.metrics.challenge import combined_score
from affekt.metrics.dimensional import is_constant, paired
from affekt.metrics.intervals import CORRELATION, ERROR, SHARE, UNBOUNDED, Bounds, Interval
from affekt.metrics.resampling import Statistic, holm, intervals, paired_test
from affekt.metrics.sentiment import WAYS


@dataclass(frozen=True)
class Measure:
    """One system's answers as columns whose sums give the scores."""

    columns: Floats = field(repr=False)
    """(N, K) columns to be summed over samples."""
    statistic: Statistic = field(repr=False)
    bounds: Mapping[str, Bounds] = field(default_factory=dict, repr=False)
    """Name of a score to its lowest and highest possible value, for its interval."""

    def scores(self) -> dict[str, float]:
        """All scores on all samples, by name."""
        values = self.statistic(self.columns.sum(axis=0, keepdims=True))
        return {name: float(value[0]) for name, value in values.items()}

    def only(self, name: str) -> Callable[[Floats], Floats]:
        """One score as a function of column sums, as `affekt.benchmarks.rank_systems` needs it.

        Raises:
            UnknownNameError: unknown score.
        """
        known = self.scores()
        if name not in known:
            raise UnknownNameError(expected=f'one of {", ".join(known)}', came=repr(name), todo='name one of these')
        return lambda sums: self.statistic(sums)[name]


@dataclass(frozen=True)
class PairedTest:
    """One score of a system minus that of another on the same samples."""

    difference: Interval
    p: float
    """Two-sided p-value of approximate randomization."""
    p_holm: float
    """p-value after Holm's correction over all tests of the call."""


def categorical_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None) -> Measure:
    """Accuracy (also called WAR), weighted and macro F1, balanced accuracy (UAR).

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: order of the classes; None for those that occur. Two systems to be compared need the same order.

    Raises:
        ShapeError, UnknownNameError: see `confusion`.
    """
    rows, columns, size = label_positions(truth, prediction, classes)
    hits = np.zeros((len(rows), 3, size))
    at = np.arange(len(rows))
    hits[at, 0, rows] = rows == columns
    hits[at, 1, rows] = 1.0
    hits[at, 2, columns] = 1.0

    def statistic(sums: Floats) -> dict[str, Floats]:
        right, true, predicted = np.moveaxis(sums.reshape(-1, 3, size), 1, 0)
        n = true.sum(axis=1)
        f1, recall = _over(2 * right, true + predicted), _over(right, true)
        return {
            'accuracy': _over(right.sum(axis=1), n),
            'weighted_f1': _over(np.nansum(f1 * true, axis=1), n),
            'macro_f1': _mean_defined(f1),
            'balanced_accuracy': _mean_defined(recall),
        }

    scores = ('accuracy', 'weighted_f1', 'macro_f1', 'balanced_accuracy')
    return Measure(hits.reshape(len(rows), 3 * size), statistic, dict.fromkeys(scores, SHARE))


def dimensional_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike, *, ddof: int = 0) -> Measure:
    """Mean absolute and squared error, Pearson's and the concordance correlation.

    Args:
        truth: (N,) ratings.
        prediction: (N,) in the same unit.
        ddof: divisor N - ddof of the moments in the concordance correlation, see `concordance`.

    Raises:
        ShapeError, ValueRangeError: see `concordance`.
    """
    true, predicted = paired(truth, prediction)
    at_t, at_p = middle_of(true), middle_of(predicted)
    error = true - predicted
    t, p = offsets_from(at_t, true, truth), offsets_from(at_p, predicted, prediction)
    columns = np.stack([np.ones_like(t), np.abs(error), error**2, t, p, t * t, p * p, t * p], axis=1)

    def statistic(sums: Floats) -> dict[str, Floats]:
        n, absolute, squared, *moments = sums.T
        return {
            'mae': _over(absolute, n),
            'mse': _over(squared, n),
            **correlations(n, moments, (at_t, at_p), ddof=ddof),
        }

    bounds = {'mae': ERROR, 'mse': ERROR, 'pearson': CORRELATION, 'concordance': CORRELATION}
    return Measure(columns, statistic, bounds)


def middle_of(values: Floats) -> float:
    """A central value of one side: sums of offsets from it lose no digits where values are large."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2]) if len(values) else 0.0


def offsets_from(middle: float, values: Floats, given: npt.ArrayLike) -> Floats:
    """Offsets from a central value; exactly 0 where values are constant up to the rounding of the given type."""
    return np.zeros(len(values)) if len(values) and is_constant(values, given) else values - middle


def correlations(
    n: Floats, moments: Iterable[Floats], middles: tuple[float, float], *, ddof: int = 0
) -> dict[str, Floats]:
    """`pearson` and `concordance` from sums over samples.

    Args:
        n: (R,) number of samples.
        moments: (R,) each, sums of t, p, tt, pp and tp, where t and p are truth and prediction minus their central
            values.
        middles: central values of truth and prediction, see `middle_of`.
        ddof: divisor N - ddof of the moments in the concordance correlation, see `concordance`.
    """
    (t, p, tt, pp, tp), (at_t, at_p) = moments, middles
    mean_t, mean_p = _over(t, n), _over(p, n)
    var_t, var_p = _variance(_over(tt, n), mean_t), _variance(_over(pp, n), mean_p)
    cov = _over(tp, n) - mean_t * mean_p
    apart = (mean_t + at_t) - (mean_p + at_p)
    apart = np.where(np.abs(apart) > 1e-12 * (np.abs(mean_t + at_t) + np.abs(mean_p + at_p)), apart, 0.0)
    return {
        'pearson': np.clip(_over(cov, np.sqrt(var_t * var_p)), -1.0, 1.0),
        # the moments above divide by N; (N - ddof) / N makes the squared distance of means match them
        'concordance': _over(2 * cov, var_t + var_p + apart**2 * _over(n - ddof, n)),
    }


def sentiment_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> Measure:
    """Accuracy and weighted F1 of two classes by both conventions, Acc-5, Acc-7, and those of `dimensional_measure`.

    Args:
        truth: (N,) ratings in [-3, 3].
        prediction: (N,) ratings.

    Raises:
        ShapeError, ValueRangeError: see `sentiment_report`.
    """
    true, predicted = paired(truth, prediction)
    sides = {WAYS[0]: (true > 0, predicted > 0, true != 0), WAYS[1]: (true >= 0, predicted >= 0, np.isfinite(true))}
    cells = [np.stack([t & p, ~t & p, t & ~p, ~t & ~p], axis=1) * kept[:, None] for t, p, kept in sides.values()]
    rounded = [np.round(np.clip(true, -k, k)) == np.round(np.clip(predicted, -k, k)) for k in (2, 3)]
    numbers = dimensional_measure(true, predicted)
    columns = np.concatenate([*cells, np.stack(rounded, axis=1), numbers.columns], axis=1).astype(np.float64)

    def statistic(sums: Floats) -> dict[str, Floats]:
        values: dict[str, Floats] = {}
        for index, way in enumerate(WAYS):
            hit, false_alarm, miss, rest = sums[:, 4 * index : 4 * index + 4].T
            n = hit + false_alarm + miss + rest
            positive, negative = hit + miss, rest + false_alarm
            f1 = np.nan_to_num(_over(2 * hit, 2 * hit + false_alarm + miss)) * positive
            f1 = f1 + np.nan_to_num(_over(2 * rest, 2 * rest + false_alarm + miss)) * negative
            values[f'accuracy_{way}'] = _over(hit + rest, n)
            values[f'f1_{way}'] = _over(f1, n)
        values['accuracy_5'], values['accuracy_7'] = _over(sums[:, 8], sums[:, 10]), _over(sums[:, 9], sums[:, 10])
        return values | dict(numbers.statistic(sums[:, 10:]))

    shares = [f'{score}_{way}' for score in ('accuracy', 'f1') for way in WAYS] + ['accuracy_5', 'accuracy_7']
    return Measure(columns, statistic, dict.fromkeys(shares, SHARE) | dict(numbers.bounds))


def challenge_measure(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    true_valence: npt.ArrayLike,
    predicted_valence: npt.ArrayLike,
    classes: Classes = None,
) -> Measure:
    """The scores of both `categorical_measure` and `dimensional_measure` (of valence), and `combined`.

    Raises:
        ShapeError, UnknownNameError, ValueRangeError: see `emotion_valence_score`.
    """
    categories = categorical_measure(truth, prediction, classes)
    valence = dimensional_measure(true_valence, predicted_valence)
    if len(categories.columns) != len(valence.columns):
        raise ShapeError(
            expected='categories and valence of the same samples',
            came=f'{len(categories.columns)} and {len(valence.columns)}',
            todo='give one of each a sample',
        )
    width = categories.columns.shape[1]

    def statistic(sums: Floats) -> dict[str, Floats]:
        values = dict(categories.statistic(sums[:, :width])) | dict(valence.statistic(sums[:, width:]))
        return values | {'combined': combined_score(values['weighted_f1'], values['mse'])}

    bounds = {**categories.bounds, **valence.bounds, 'combined': UNBOUNDED}
    return Measure(np.concatenate([categories.columns, valence.columns], axis=1), statistic, bounds)


def measure_intervals(
    measure: Measure,
    *,
    rng: np.random.Generator,
    groups: npt.ArrayLike | None = None,
    resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """All scores with intervals over samples, or groups of samples; nan bounds where there are fewer than two.

    Args:
        measure: measure of one system.
        rng: generator of the resamples.
        groups: (N,) group of each sample, such as its speaker; whole groups are resampled then.
        resamples: number of resamples.
        level: coverage of the interval, in (0, 1).

    Raises:
        ShapeError: groups are not (N,).
    """
    return intervals(
        measure.columns, measure.statistic, rng=rng, resamples=resamples, level=level, groups=groups,
        bounds=measure.bounds,
    )  # fmt: skip


def compare(
    left: Measure,
    right: Measure,
    *,
    rng: np.random.Generator,
    groups: npt.ArrayLike | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> dict[str, PairedTest]:
    """All scores of one system minus those of another on the same samples, p-values corrected over the scores.

    Args:
        left: measure of one system.
        right: measure of the other system, on the same samples in the same order.
        rng: generator of resamples and exchanges.
        groups: (N,) group of each sample; whole groups are resampled and exchanged then.
        resamples: number of resamples, and of exchanges.
        level: coverage of the interval, in (0, 1).

    Raises:
        ShapeError: the systems were not measured on the same samples and classes, or groups are not (N,).
    """
    tests = paired_test(
        left.columns, right.columns, left.statistic, rng=rng, resamples=resamples, level=level, groups=groups,
        bounds=left.bounds,
    )  # fmt: skip
    corrected = holm([p for _, p in tests.values()])
    return {name: PairedTest(*test, adjusted) for (name, test), adjusted in zip(tests.items(), corrected, strict=True)}


def compare_with(
    baseline: Measure,
    systems: Mapping[str, Measure],
    score: str,
    *,
    rng: np.random.Generator,
    groups: npt.ArrayLike | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> dict[str, PairedTest]:
    """One score of several systems minus that of a baseline, p-values corrected over the systems by Holm.

    Args:
        baseline: measure of the baseline.
        systems: name of a system to its measure on the same samples.
        score: name of the score.
        rng: generator of resamples and exchanges, which are drawn anew for each system.
        groups: (N,) see `compare`.
        resamples: number of resamples, and of exchanges.
        level: coverage of the interval, in (0, 1).

    Raises:
        ShapeError: see `compare`.
        UnknownNameError: unknown score.
    """
    only = baseline.only(score)
    tests = {}
    for name, system in systems.items():
        tests[name] = paired_test(
            system.columns, baseline.columns, lambda sums: {score: only(sums)},
            rng=rng, resamples=resamples, level=level, groups=groups, bounds=baseline.bounds,
        )[score]  # fmt: skip
    corrected = holm([p for _, p in tests.values()])
    return {name: PairedTest(*test, adjusted) for (name, test), adjusted in zip(tests.items(), corrected, strict=True)}


def _over(top: Floats, bottom: Floats) -> Floats:
    quotient: Floats = np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=np.asarray(bottom) > 0)
    return quotient


def _variance(mean_square: Floats, mean: Floats) -> Floats:
    """mean_square - mean**2, exactly 0 where the difference is rounding error."""
    variance = mean_square - mean**2
    return np.where(variance > 1e-12 * mean_square, variance, 0.0)


def _mean_defined(values: Floats) -> Floats:
    """(R,) mean of (R, C) over classes, without nan."""
    defined = ~np.isnan(values)
    return _over(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
