"""The test figures, each beside its trivial baseline. Read by `train.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from data import Texts
from fit import Floats, any_of, categories_of, folded_categories, sigmoid, single

from affekt.labels import EKMAN, GOEMOTIONS
from affekt.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    calibrated,
    concordance,
    confusion,
    event_calibration_error,
    expected_calibration_error,
    mean_average_precision,
    multilabel_macro_f1,
    multilabel_micro_f1,
    pearson,
    per_label_average_precision,
    per_label_f1,
    weighted_f1,
)

if TYPE_CHECKING:
    from train import Corpus

SEED = 20240417
Arrays = dict[str, npt.NDArray[np.float32]]
Found = dict[str, object]


def interval(metric: Callable[..., float], *arrays: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Found:
    """A metric with its 95 % bootstrap interval."""
    found = bootstrap_interval(metric, *arrays, groups=groups, rng=np.random.default_rng(SEED), resamples=500)
    return {'value': round(found.value, 4), 'low': round(found.low, 4), 'high': round(found.high, 4)}


def goemotions_metrics(test: Texts, outputs: npt.NDArray[np.float32], arrays: Arrays) -> Found:
    """28 labels and seven categories on the official test split."""
    logits, truth = outputs.astype(np.float64), test.truth > 0
    chances = sigmoid(logits[:, :28] * arrays['slope'] + arrays['offset'])
    decided = chances >= arrays['thresholds']
    neutral = np.zeros_like(truth)
    neutral[:, GOEMOTIONS.index('neutral')] = True
    drawn = np.random.default_rng(SEED).random(truth.shape) < truth.mean(axis=0)
    return {
        'n': len(truth),
        'labels': {
            'macro_f1': interval(multilabel_macro_f1, truth, decided),
            'micro_f1': interval(multilabel_micro_f1, truth, decided),
            'mean_average_precision': interval(mean_average_precision, truth, chances),
        },
        'baselines': {
            'always neutral': {
                'macro_f1': round(multilabel_macro_f1(truth, neutral), 4),
                'micro_f1': round(multilabel_micro_f1(truth, neutral), 4),
            },
            'drawn by frequency': {
                'macro_f1': round(multilabel_macro_f1(truth, drawn), 4),
                'micro_f1': round(multilabel_micro_f1(truth, drawn), 4),
                'mean_average_precision': round(float(truth.mean()), 4),
            },
        },
        'per_label': {
            label: {'f1': round(f1, 4), 'average_precision': round(ap, 4), 'positives': int(count)}
            for label, f1, ap, count in zip(
                GOEMOTIONS,
                per_label_f1(truth, decided),
                per_label_average_precision(truth, chances),
                truth.sum(axis=0),
                strict=True,
            )
        },
        'calibration_of_labels': {
            'ece_before': round(event_calibration_error(sigmoid(logits[:, :28]).ravel(), truth.ravel()), 4),
            'ece_after': round(event_calibration_error(chances.ravel(), truth.ravel()), 4),
        },
        'categories': category_metrics(chances, test, arrays),
    }


def category_metrics(chances: Floats, test: Texts, arrays: Arrays) -> Found:
    """The seven categories: as one answer, and as the multi-label task of the paper."""
    wanted = categories_of(test.truth) > 0
    temperature = float(arrays['temperature'][0])
    rows = single(test.truth)
    truth = wanted[rows].argmax(axis=1)
    raw = folded_categories(chances)
    found = calibrated(np.log(raw), temperature)
    strongest, sure = found.argmax(axis=1), found.max(axis=1)
    right = wanted[np.arange(len(wanted)), strongest]
    grouped = sigmoid(any_of(chances) * arrays['group_slope'] + arrays['group_offset']) >= arrays['group_thresholds']
    return {
        'multilabel_macro_f1': interval(multilabel_macro_f1, wanted, grouped),
        'strongest_is_right': interval(lambda hits: float(hits.mean()), right),
        'single_category': {
            'n': int(rows.sum()),
            'accuracy': interval(accuracy, truth, strongest[rows]),
            'balanced_accuracy': interval(balanced_accuracy, truth, strongest[rows]),
            'majority_accuracy': round(float((truth == EKMAN.index('neutral')).mean()), 4),
        },
        'calibration': {
            'temperature': round(temperature, 4),
            'ece_before': round(expected_calibration_error(raw[rows], truth), 4),
            'ece_after': round(expected_calibration_error(found[rows], truth), 4),
            'bins': reliability(sure[rows], strongest[rows] == truth),
        },
        'below_0.30': {'share': round(float((sure < 0.3).mean()), 4), 'right': mean_or_none(right[sure < 0.3])},
    }


def reliability(sure: Floats, right: npt.NDArray[np.bool_], bins: int = 10) -> list[Found]:
    """Per bin of stated confidence: how many, stated, and right."""
    which = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return [
        {
            'n': int((which == k).sum()),
            'stated': mean_or_none(sure[which == k]),
            'right': mean_or_none(right[which == k]),
        }
        for k in range(bins)
    ]


def mean_or_none(values: npt.NDArray[np.generic]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None


def emobank_metrics(test: Corpus, outputs: npt.NDArray[np.float32], train: Texts, arrays: Arrays) -> Found:
    """Valence, arousal and dominance on the official test split, intervals by document."""
    found = test.means @ arrays['dimensions'].T + outputs @ arrays['dimensions_of_logits'].T + arrays['dimensions_bias']
    metrics: Found = {'n': len(found), 'documents': len(np.unique(test.texts.groups))}
    for k, name in enumerate(('valence', 'arousal', 'dominance')):
        truth, groups = test.texts.truth[:, k], test.texts.groups
        metrics[name] = {
            'pearson': interval(pearson, truth, found[:, k], groups=groups),
            'concordance': interval(concordance, truth, found[:, k], groups=groups),
            'error': round(float(np.sqrt(np.mean((truth - found[:, k]) ** 2))), 4),
            'error_of_the_mean': round(float(np.sqrt(np.mean((truth - train.truth[:, k].mean()) ** 2))), 4),
            'middle_90_percent': [round(float(q), 3) for q in (np.quantile(found[:, k], [0.05, 0.95]) - 3) / 2],
        }
    return metrics


def meld_metrics(test: Texts, outputs: npt.NDArray[np.float32], arrays: Arrays) -> Found:
    """Seven categories on dialogue of a TV series, on which nothing was trained; intervals by dialogue."""
    truth = test.truth.argmax(axis=1)
    chances = sigmoid(outputs[:, :28].astype(np.float64) * arrays['slope'] + arrays['offset'])
    found = calibrated(np.log(folded_categories(chances)), float(arrays['temperature'][0]))
    answer, neutral = found.argmax(axis=1), np.full(len(truth), EKMAN.index('neutral'))
    scores = {
        name: interval(metric, truth, answer, groups=test.groups)
        for name, metric in (
            ('accuracy', accuracy),
            ('weighted_f1', weighted_f1),
            ('balanced_accuracy', balanced_accuracy),
        )
    }
    return {
        'n': len(truth),
        'dialogues': len(np.unique(test.groups)),
        **scores,
        'baselines': {
            'always neutral': {
                'accuracy': round(accuracy(truth, neutral), 4),
                'weighted_f1': round(weighted_f1(truth, neutral), 4),
                'balanced_accuracy': round(balanced_accuracy(truth, neutral), 4),
            },
        },
        'calibration': {'ece_after': round(expected_calibration_error(found, truth), 4)},
        'confusion': confusion(truth, answer, len(EKMAN)).tolist(),
    }
