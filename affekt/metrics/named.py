"""Metrics by name: those of this room that need only truth and prediction, and those of other packages.

N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.errors import UnknownNameError, ValueRangeError, did_you_mean
from affekt.metrics.agreement import cohen_kappa, spearman
from affekt.metrics.categorical import accuracy, balanced_accuracy, macro_f1, weighted_f1
from affekt.metrics.dimensional import concordance, mean_absolute_error, mean_squared_error, pearson
from affekt.metrics.intervals import CORRELATION, ERROR, SHARE, UNBOUNDED, Bounds, Interval, bootstrap_interval
from affekt.plugins import Members

READS = ('categories', 'values')
"""Types of labels."""


@dataclass(frozen=True)
class Metric:
    """A score of predictions against the truth."""

    score: Callable[[npt.NDArray[np.generic], npt.NDArray[np.generic]], float]
    """Function of truth and prediction, (N,) each; nan where undefined, for example without samples."""
    reads: str
    """`categories`, given as texts, or `values`, given as floats."""
    bounds: Bounds = UNBOUNDED
    """Lowest and highest possible value."""
    is_error: bool = False
    """Whether lower is better."""

    def __post_init__(self) -> None:
        if self.reads not in READS:
            raise UnknownNameError(
                expected=f'one of {", ".join(READS)}', came=repr(self.reads), todo='say what it reads'
            )
        low, high = self.bounds
        if not low < high:
            raise ValueRangeError(
                expected='bounds of which the first is lower', came=f'{low} and {high}', todo='correct them'
            )


@dataclass(frozen=True)
class MetricScore:
    """A metric with its interval, beside the value of a constant answer."""

    name: str
    interval: Interval
    constant: float
    """The metric of a constant answer (the most frequent category, or the mean value); nan where undefined."""

    def to_dict(self) -> dict[str, float]:
        """Value, interval and constant answer as plain values."""
        interval = self.interval
        return {'value': interval.value, 'low': interval.low, 'high': interval.high, 'constant': self.constant}


def metric_named(name: str) -> Metric:
    """The metric with a name, such as 'macro_f1'.

    Raises:
        UnknownNameError: unknown metric.
        PluginError: the metric belongs to a package that cannot be loaded.
    """
    if name not in METRICS:
        raise UnknownNameError(
            expected=f'a metric among {", ".join(METRICS)}', came=repr(name), todo=did_you_mean(name, METRICS)
        )
    return METRICS[name]


def score_labels(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    metrics: Sequence[str] = (),
    *,
    rng: np.random.Generator,
    groups: npt.ArrayLike | None = None,
    resamples: int = 1000,
) -> tuple[MetricScore, ...]:
    """All metrics with intervals, beside those of a constant answer.

    Args:
        truth: (N,) categories as texts, or values.
        prediction: (N,) of the same type.
        metrics: keys of `METRICS`; () for all built-in ones of that type.
        rng: generator of the resamples.
        groups: (N,) group of each sample, such as its speaker; whole groups are resampled then.
        resamples: number of resamples; 0 for no intervals.

    Raises:
        UnknownNameError: unknown metric, or it reads the other type.
        ShapeError, ValueRangeError: see the metrics.
    """
    true, predicted = np.asarray(truth), np.asarray(prediction)
    reads = 'values' if true.dtype.kind in 'fiu' and predicted.dtype.kind in 'fiu' else 'categories'
    selected = {name: metric_named(name) for name in metrics} or {
        name: metric for name, metric in METRICS.own.items() if metric.reads == reads
    }
    if mismatched := [name for name, metric in selected.items() if metric.reads != reads]:
        raise UnknownNameError(
            expected=f'metrics of {reads}, which these are',
            came=', '.join(mismatched),
            todo='choose others, or other columns',
        )
    constant = _constant(true)
    return tuple(
        MetricScore(
            name, _interval(metric, true, predicted, rng, groups, resamples), float(metric.score(true, constant))
        )
        for name, metric in selected.items()
    )


def _constant(truth: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """(N,) the most frequent category, or the mean value."""
    if not len(truth) or truth.dtype.kind in 'fiu':
        return np.full(len(truth), truth.mean() if len(truth) else 0.0)
    names, counts = np.unique(truth, return_counts=True)
    return np.full(len(truth), names[counts.argmax()])


def _interval(
    metric: Metric,
    truth: npt.NDArray[np.generic],
    prediction: npt.NDArray[np.generic],
    rng: np.random.Generator,
    groups: npt.ArrayLike | None,
    resamples: int,
) -> Interval:
    if not resamples:
        return Interval(float(metric.score(truth, prediction)), float('nan'), float('nan'))
    return bootstrap_interval(
        metric.score, truth, prediction, groups=groups, rng=rng, resamples=resamples, bounds=metric.bounds
    )


def _unlike_metric(name: str, metric: object) -> str:
    """Description of an object that a package offers and that is not a metric; '' for a metric."""
    return '' if isinstance(metric, Metric) else f'an object of type {type(metric).__name__}, not Metric'


METRICS: Members[Metric] = Members('metrics', {
    'weighted_f1': Metric(weighted_f1, 'categories', SHARE),
    'macro_f1': Metric(macro_f1, 'categories', SHARE),
    'accuracy': Metric(accuracy, 'categories', SHARE),
    'balanced_accuracy': Metric(balanced_accuracy, 'categories', SHARE),
    'cohen_kappa': Metric(cohen_kappa, 'categories', CORRELATION),
    'concordance': Metric(concordance, 'values', CORRELATION),
    'pearson': Metric(pearson, 'values', CORRELATION),
    'spearman': Metric(spearman, 'values', CORRELATION),
    'mae': Metric(mean_absolute_error, 'values', ERROR, is_error=True),
    'mse': Metric(mean_squared_error, 'values', ERROR, is_error=True),
}, _unlike_metric)  # fmt: skip
"""Name to metric; other packages add theirs as `affekt.metrics`."""
