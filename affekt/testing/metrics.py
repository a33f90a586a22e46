"""The contract of metrics, on synthetic answers.

N samples.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from affekt.metrics import Metric, metric_named
from affekt.testing.contract import promised, refuses, require

Labels = npt.NDArray[np.generic]
SAMPLES = 60


def check_metric(metric: Metric | str) -> None:
    """Check that a metric is a number within its bounds that depends on the answers alone, and is best for perfect
    ones.

    1. It returns one number, the same each time, within its bounds, and does not change its arguments.
    2. The order of the samples has no effect.
    3. No answer scores better than the truth itself, and a shuffled truth scores worse.
    4. A constant answer, a constant truth, a single sample and no samples give a number within the bounds or nan,
       without an error; no samples give nan.
    5. Truth and prediction of different lengths are refused.

    Args:
        metric: metric, or its name.

    Raises:
        ContractError: a check fails.
    """
    with promised('a metric of that name'):
        member = metric_named(metric) if isinstance(metric, str) else metric
    require(isinstance(member, Metric), 'a Metric', f'an object of type {type(member).__name__}')
    rng = np.random.default_rng(20240417)
    name = metric if isinstance(metric, str) else getattr(member.score, '__name__', 'the metric')
    truth, near, shuffled = _answers(member.reads, rng)
    _check_numbers(member, name, truth, near, rng)
    _check_perfect(member, name, truth, (near, shuffled))
    _check_edges(member, name, truth, near)
    refuses(f'{name} to refuse truth and prediction of different lengths', member.score, truth, near[:-1])


def _answers(reads: str, rng: np.random.Generator) -> tuple[Labels, Labels, Labels]:
    """(N,) a truth, a mostly correct answer, and the shuffled truth."""
    if reads == 'categories':
        truth = rng.choice(np.array(['angry', 'happy', 'neutral', 'sad']), SAMPLES)
        near = np.where(rng.random(SAMPLES) < 0.7, truth, rng.choice(truth, SAMPLES))
        return truth, near, np.roll(np.sort(truth), SAMPLES // 4)[np.argsort(np.argsort(truth, kind='stable'))]
    values = rng.uniform(-1.0, 1.0, SAMPLES)
    return values, values + rng.normal(0.0, 0.2, SAMPLES), rng.permutation(values)


def _number(metric: Metric, name: str, truth: Labels, prediction: Labels, what: str) -> float:
    with promised(f'a number from {name} for {what}'):
        value = metric.score(truth, prediction)
    is_number = isinstance(value, float | np.floating) or (isinstance(value, int) and not isinstance(value, bool))
    require(is_number, f'a number from {name} for {what}', f'an object of type {type(value).__name__}')
    low, high = metric.bounds
    within = math.isnan(value) or low - 1e-12 <= value <= high + 1e-12
    require(within, f'a value of {name} from {low:g} to {high:g}', f'{value:g} for {what}')
    return float(value)


def _check_numbers(metric: Metric, name: str, truth: Labels, near: Labels, rng: np.random.Generator) -> None:
    before = truth.copy(), near.copy()
    value = _number(metric, name, truth, near, 'a usual answer')
    require(not math.isnan(value), f'a value of {name} for a usual answer', 'nan')
    same = np.array_equal(before[0], truth) and np.array_equal(before[1], near)
    require(same, f'truth and prediction to stay as they are after {name}', 'others')
    require(_number(metric, name, truth, near, 'the same again') == value, f'the same value of {name} twice', 'another')
    order = rng.permutation(len(truth))
    turned = _number(metric, name, truth[order], near[order], 'another order')
    close = math.isclose(turned, value, rel_tol=1e-9, abs_tol=1e-12)
    require(close, f'a value of {name} that does not depend on the order of samples', f'{value:g} and {turned:g}')


def _check_perfect(metric: Metric, name: str, truth: Labels, others: tuple[Labels, Labels]) -> None:
    sign = -1.0 if metric.is_error else 1.0
    perfect = sign * _number(metric, name, truth, truth, 'the truth itself')
    near, shuffled = (sign * _number(metric, name, truth, other, 'an answer') for other in others)
    best = perfect >= near - 1e-12 and perfect >= shuffled - 1e-12
    better = 'less' if metric.is_error else 'more'
    todo = 'say is_error where less is better'
    require(best, f'no answer to have a {name} better ({better}) than the truth itself', 'one that has', todo)
    require(perfect > shuffled, f'a shuffled answer to have a worse {name} than the truth itself', 'the same', todo)


def _check_edges(metric: Metric, name: str, truth: Labels, near: Labels) -> None:
    constant = np.repeat(truth[:1], len(truth))
    _number(metric, name, truth, constant, 'a constant answer')
    _number(metric, name, constant, near, 'a constant truth')
    _number(metric, name, constant, constant, 'a constant truth and answer')
    _number(metric, name, truth[:1], near[:1], 'one sample')
    value = _number(metric, name, truth[:0], near[:0], 'no sample')
    require(math.isnan(value), f'nan from {name} without samples', f'{value:g}')
