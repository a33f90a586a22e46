"""Scores as functions of sums over samples, so that intervals and paired tests cost one matrix product.

A `Measure` has (N, K) columns of one system and a function from column sums to all scores. `measure_intervals`
resamples samples, or whole groups; `compare` tests two systems on the same samples, `compare_with` several against one,
corrected for their number. The scores equal those of `categorical.py`, `dimensional.py` and `sentiment.py`.

Axes: N samples, K columns, R draws, C classes.
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
    """One system's predictions as columns whose sums give the scores."""

    columns: Floats = field(repr=False)
    """(N, K) columns to be summed over samples."""
    statistic: Statistic = field(repr=False)
    """Function from (R, K) sums to (R,) values of each named score, valid for every system on the same samples."""
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
        scores = self.scores()
        if name not in scores:
            raise UnknownNameError(expected=f'one of {", ".join(scores)}', came=repr(name), todo='name one of these')
        return lambda sums: self.statistic(sums)[name]


@dataclass(frozen=True)
class PairedTest:
    """One score of a system minus that of another on the same samples."""

    difference: Interval
    """The difference with its interval."""
    p: float
    """Two-sided p-value of approximate randomization; nan where the difference is undefined."""
    p_holm: float
    """p-value after Holm's correction over all tests of the call."""


def categorical_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike, classes: Classes = None) -> Measure:
    """Measure of `accuracy` (also called WAR), `weighted_f1`, `macro_f1` and `balanced_accuracy` (UAR).

    Args:
        truth: (N,) labels.
        prediction: (N,) labels of the same kind.
        classes: order of the classes; None for those that occur. Two systems to be compared need the same order.

    Raises:
        ShapeError, UnknownNameError, ValueRangeError: see `confusion`.
    """
    rows, columns, size = label_positions(truth, prediction, classes)
    flags = np.zeros((len(rows), 3, size))  # (N, 3, C): correct, true, predicted
    samples = np.arange(len(rows))
    flags[samples, 0, rows] = rows == columns
    flags[samples, 1, rows] = 1.0
    flags[samples, 2, columns] = 1.0

    def statistic(sums: Floats) -> dict[str, Floats]:
        right, true, predicted = np.moveaxis(sums.reshape(len(sums), 3, size), 1, 0)  # (R, C) each
        n = true.sum(axis=1)
        f1, recall = quotient(2 * right, true + predicted), quotient(right, true)
        return {
            'accuracy': quotient(right.sum(axis=1), n),
            'weighted_f1': quotient(np.nansum(f1 * true, axis=1), n),
            'macro_f1': row_means(f1),
            'balanced_accuracy': row_means(recall),
        }

    scores = ('accuracy', 'weighted_f1', 'macro_f1', 'balanced_accuracy')
    return Measure(flags.reshape(len(rows), 3 * size), statistic, dict.fromkeys(scores, SHARE))


def dimensional_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike, *, ddof: int = 0) -> Measure:
    """Measure of `mae` and `mse` (mean absolute and squared error), `pearson` and `concordance`.

    Args:
        truth: (N,) ratings.
        prediction: (N,) in the same unit.
        ddof: divisor N - ddof of the moments in the concordance correlation, see `concordance`.

    Raises:
        ShapeError, ValueRangeError: see `concordance`.
    """
    true, predicted = paired(truth, prediction)
    middle = middle_of(true)
    error = true - predicted
    t, p = offsets_from(middle, true, truth), offsets_from(middle, predicted, prediction)
    columns = np.stack([np.ones_like(t), np.abs(error), error**2, t, p, t * t, p * p, t * p], axis=1)

    def statistic(sums: Floats) -> dict[str, Floats]:
        n, absolute, squared, *moments = sums.T
        return {
            'mae': quotient(absolute, n),
            'mse': quotient(squared, n),
            **correlations(n, moments, middle, ddof=ddof),
        }

    bounds = {'mae': ERROR, 'mse': ERROR, 'pearson': CORRELATION, 'concordance': CORRELATION}
    return Measure(columns, statistic, bounds)


def middle_of(values: Floats) -> float:
    """The upper median of (N,) values, 0 without any: sums of offsets from it keep digits where values are large.

    Taken of the truth, it serves predictions up to about 1e5 of their standard deviations away from it.
    """
    return float(np.partition(values, len(values) // 2)[len(values) // 2]) if len(values) else 0.0


def offsets_from(middle: float, values: Floats, original: npt.ArrayLike) -> Floats:
    """(N,) offsets from a middle, all equal where values are constant up to rounding, see `is_constant`."""
    if len(values) and is_constant(values, original):
        return np.full(len(values), middle_of(values) - middle)
    return values - middle


def correlations(n: Floats, moments: Iterable[Floats], middle: float, *, ddof: int = 0) -> dict[str, Floats]:
    """(R,) values of `pearson` and `concordance` from sums over samples; nan where undefined.

    Args:
        n: (R,) number of samples.
        moments: (R,) each, sums of t, p, tt, pp and tp, where t and p are truth and prediction minus `middle`.
        middle: middle of the truth, see `middle_of`. It must not depend on the prediction: paired tests exchange
            samples between systems before they are summed.
        ddof: divisor N - ddof of the moments in the concordance correlation, see `concordance`.
    """
    t, p, tt, pp, tp = moments
    mean_t, mean_p = quotient(t, n), quotient(p, n)
    var_t, var_p = _variance(quotient(tt, n), mean_t), _variance(quotient(pp, n), mean_p)
    cov = np.where((var_t > 0) & (var_p > 0), quotient(tp, n) - mean_t * mean_p, 0.0 * var_t * var_p)  # nan stays
    mean_gap = mean_t - mean_p
    mean_gap = np.where(np.abs(mean_gap) > 1e-12 * (np.abs(mean_t + middle) + np.abs(mean_p + middle)), mean_gap, 0.0)
    return {
        'pearson': np.clip(quotient(cov, np.sqrt(var_t * var_p)), -1.0, 1.0),
        # Numerator and denominator are multiplied by (N - ddof) / N, since the moments above divide by N.
        'concordance': quotient(2 * cov, var_t + var_p + mean_gap**2 * quotient(n - ddof, n)),
    }


def sentiment_measure(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> Measure:
    """Measure of binary accuracy and weighted F1 by both conventions, Acc-5, Acc-7, and those of `dimensional_measure`.

    Args:
        truth: (N,) ratings in [-3, 3].
        prediction: (N,) ratings.

    Raises:
        ShapeError, ValueRangeError: see `sentiment_report`.
    """
    true, predicted = paired(truth, prediction)
    sides = {WAYS[0]: (true > 0, predicted > 0, true != 0), WAYS[1]: (true >= 0, predicted >= 0, np.isfinite(true))}
    # (N, 4) each: hit, false alarm, miss, correct rejection
    cells = [np.stack([t & p, ~t & p, t & ~p, ~t & ~p], axis=1) * mask[:, None] for t, p, mask in sides.values()]
    rounded = [np.round(np.clip(true, -k, k)) == np.round(np.clip(predicted, -k, k)) for k in (2, 3)]
    numbers = dimensional_measure(true, predicted)
    columns = np.concatenate([*cells, np.stack(rounded, axis=1), numbers.columns], axis=1).astype(np.float64)

    def statistic(sums: Floats) -> dict[str, Floats]:
        values: dict[str, Floats] = {}
        for index, way in enumerate(WAYS):
            hits, false_alarms, misses, rejections = sums[:, 4 * index : 4 * index + 4].T
            n = hits + false_alarms + misses + rejections
            positive, negative = hits + misses, rejections + false_alarms
            f1 = np.nan_to_num(quotient(2 * hits, 2 * hits + false_alarms + misses)) * positive
            f1 = f1 + np.nan_to_num(quotient(2 * rejections, 2 * rejections + false_alarms + misses)) * negative
            values[f'accuracy_{way}'] = quotient(hits + rejections, n)
            values[f'f1_{way}'] = quotient(f1, n)
        values['accuracy_5'], values['accuracy_7'] = (
            quotient(sums[:, 8], sums[:, 10]),
            quotient(sums[:, 9], sums[:, 10]),
        )
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
    """Measure of all scores of `categorical_measure`, those of `dimensional_measure` (of valence), and `combined`.

    Args:
        truth: (N,) categories.
        prediction: (N,) categories.
        true_valence: (N,) ratings.
        predicted_valence: (N,) in the same unit.
        classes: see `categorical_measure`.

    Raises:
        ShapeError, UnknownNameError, ValueRangeError: see `emotion_valence_score`.
    """
    categories = categorical_measure(truth, prediction, classes)
    valence = dimensional_measure(true_valence, predicted_valence)
    if len(categories.columns) != len(valence.columns):
        raise ShapeError(
            expected='categories and valence of the same samples',
            came=f'{len(categories.columns)} and {len(valence.columns)}',
            todo='give one of each per sample',
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
        resamples: number of resamples; 0 for the scores alone.
        level: coverage of the interval, in (0, 1).

    Raises:
        ShapeError: groups are not (N,).
        ValueRangeError: resamples or level is out of range, or a sample has no group.
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
        right: measure of the other system, on the same samples in the same order, with the same classes.
        rng: generator of resamples and exchanges.
        groups: (N,) group of each sample; whole groups are resampled and exchanged then.
        resamples: number of resamples, and of exchanges.
        level: coverage of the interval, in (0, 1).

    Raises:
        ShapeError: the systems differ in the number of samples or classes, or groups are not (N,).
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
    score_of = baseline.only(score)
    tests = {}
    for name, system in systems.items():
        tests[name] = paired_test(
            system.columns, baseline.columns, lambda sums: {score: score_of(sums)},
            rng=rng, resamples=resamples, level=level, groups=groups, bounds=baseline.bounds,
        )[score]  # fmt: skip
    corrected = holm([p for _, p in tests.values()])
    return {name: PairedTest(*test, adjusted) for (name, test), adjusted in zip(tests.items(), corrected, strict=True)}


def quotient(numerator: Floats, denominator: Floats) -> Floats:
    """Element-wise quotient; nan where the denominator is not above 0."""
    is_defined = np.asarray(denominator) > 0
    result: Floats = np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=is_defined)
    return result


def _variance(mean_square: Floats, mean: Floats) -> Floats:
    """mean_square - mean**2, exactly 0 where the difference is rounding error."""
    variance = mean_square - mean**2
    return np.where(variance > 1e-12 * mean_square, variance, 0.0)


def row_means(values: Floats) -> Floats:
    """(R,) mean of each row without nan; nan where the whole row is nan."""
    defined = ~np.isnan(values)
    return quotient(np.where(defined, values, 0.0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
