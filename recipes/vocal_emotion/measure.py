"""What the scores on unseen actors are worth: UAR, WAR, calibration, coverage, robustness, with intervals by actor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from features import Store

from affekt.labels import CIRCUMPLEX, EKMAN, RAVDESS8, RAVDESS8_TO_EKMAN, fold
from affekt.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap_interval,
    confusion,
    expected_calibration_error,
    per_class_recall,
)
from affekt.voice.acoustics import COLUMNS
from affekt.voice.arousal import acoustic_arousal

Array = npt.NDArray[Any]

RESAMPLES = 2000


def softmax(logits: Array) -> Array:
    """Rows of sum 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def seven(values: Array) -> Array:
    """(N, 8) logits to (N, 7) probabilities, or (N,) RAVDESS8 indices to EKMAN ones."""
    if values.ndim == 1:
        onto = np.array([EKMAN.index(RAVDESS8_TO_EKMAN[label]) for label in RAVDESS8])
        return np.asarray(onto[values])
    return fold(softmax(values), RAVDESS8, RAVDESS8_TO_EKMAN)


def with_interval(metric: Any, truth: Array, prediction: Array, groups: Array) -> dict[str, float]:
    """Value and 95 % interval, actors drawn."""
    found = bootstrap_interval(
        metric, truth, prediction, groups=groups, rng=np.random.default_rng(1), resamples=RESAMPLES
    )
    return {'value': round(found.value, 4), 'low': round(found.low, 4), 'high': round(found.high, 4)}


def measure(scores: Mapping[str, Array], store: Store, held_out: Sequence[str]) -> dict[str, Any]:
    """Everything that the card states."""
    clips = store.clips
    truth, actor = clips.truth, clips.actor
    guess = scores['clean'].argmax(axis=1)
    logits = scores['clean'] / scores['temperature'][:, None]
    categories, target = seven(logits), seven(truth)
    robust = {}
    for kind in ['train 0', *held_out]:
        keep = ~np.isnan(scores[kind][:, 0])
        found = with_interval(balanced_accuracy, truth[keep], scores[kind][keep].argmax(axis=1), actor[keep])
        clean = balanced_accuracy(truth[keep], guess[keep])
        robust['altered as in training' if kind == 'train 0' else kind] = found | {'clean': round(clean, 4)}
    return {
        'headline': {
            'uar': with_interval(balanced_accuracy, truth, guess, actor),
            'war': with_interval(accuracy, truth, guess, actor),
            'uar7': with_interval(balanced_accuracy, target, categories.argmax(axis=1), actor),
            'other_statement_uar': with_interval(
                balanced_accuracy, truth, scores['other statement'].argmax(axis=1), actor
            ),
        },
        'baselines': baselines(truth),
        'recall': dict(zip(RAVDESS8, np.round(per_class_recall(truth, guess), 4).tolist(), strict=True)),
        'confusion': confusion(truth, guess).tolist(),
        'calibration': {
            'ece_before': round(expected_calibration_error(softmax(scores['clean']), truth), 4),
            'ece_after': round(expected_calibration_error(softmax(logits), truth), 4),
        },
        'coverage': coverage(categories, target),
        'abstention': abstention(scores, categories, target),
        'robustness': robust,
        'by_actor': {str(a): round(balanced_accuracy(truth[actor == a], guess[actor == a]), 4) for a in range(1, 25)},
        'own_turns': own_turns(scores['clean'], truth, actor),
        'arousal': arousal(store),
    }


def baselines(truth: Array) -> dict[str, float]:
    """Scores of knowing nothing."""
    return {
        'chance_uar': 1 / len(RAVDESS8),
        'largest_class_war': round(float(np.bincount(truth).max() / truth.size), 4),
        'eGeMAPS, support vector machine (UAR)': 0.472,
        'last layer of tiny.en, mean and sd (UAR)': 0.701,
        'last layer of base, mean and sd (UAR)': 0.714,
    }


def coverage(categories: Array, target: Array) -> list[dict[str, float]]:
    """Accuracy among the surest clips, by share kept."""
    order = np.argsort(-categories.max(axis=1))
    right = (categories.argmax(axis=1) == target)[order]
    shares = np.linspace(0.1, 1.0, 19)
    kept = [max(1, round(share * right.size)) for share in shares]
    return [
        {'coverage': round(float(s), 3), 'accuracy': round(float(right[:k].mean()), 4)}
        for s, k in zip(shares, kept, strict=True)
    ]


def abstention(scores: Mapping[str, Array], categories: Array, target: Array) -> dict[str, float]:
    """What the thresholds chosen on other actors do, on clean and altered clips."""
    found = {}
    for name, kind in (('clean', 'clean'), ('altered', 'train 0')):
        probabilities = categories if kind == 'clean' else seven(scores[kind] / scores['temperature'][:, None])
        named = probabilities.max(axis=1) >= scores['threshold']
        right = probabilities.argmax(axis=1) == target
        found[f'{name}_coverage'] = round(float(named.mean()), 4)
        found[f'{name}_accuracy_where_named'] = round(float(right[named].mean()), 4)
        found[f'{name}_accuracy_of_all'] = round(float(right.mean()), 4)
    return found


def own_turns(scores: Array, truth: Array, actor: Array) -> list[dict[str, float | str | int]]:
    """What centring a recording's scores on their own mean would change: recordings of mixed, and of one emotion.

    Centring the features of a linear head by recording is the same as centring its scores. `alpha` is the share of the
    recording's mean that is taken off. The head is used without (alpha 0): see the last rows.
    """
    rng = np.random.default_rng(5)
    overall = scores.mean(axis=0)
    rows: list[dict[str, float | str | int]] = []
    for mixture in ('mixed', 'one emotion'):
        for alpha in (0.0, 0.25, 0.5, 1.0):
            guesses, targets = [], []
            for person in range(1, 25):
                own = np.flatnonzero(actor == person)
                if mixture == 'mixed':
                    groups = np.array_split(rng.permutation(own), len(own) // 8)
                else:
                    groups = [own[truth[own] == label] for label in range(len(RAVDESS8))]
                for group in groups:
                    shifted = scores[group] - alpha * (scores[group].mean(axis=0) - overall)
                    guesses.append(shifted.argmax(axis=1))
                    targets.append(truth[group])
            value = balanced_accuracy(np.concatenate(targets), np.concatenate(guesses))
            rows.append({'recordings': mixture, 'alpha': alpha, 'uar': round(float(value), 4)})
    return rows


def arousal(store: Store) -> dict[str, float]:
    """Acoustic arousal against the circumplex arousal of the acted category, and normal against strong intensity."""
    clips = store.clips
    summaries = store.acoustics('clean')
    stated = np.array([CIRCUMPLEX[RAVDESS8_TO_EKMAN[RAVDESS8[label]]][1] for label in clips.truth])
    alone = np.concatenate([acoustic_arousal(row[None]) for row in summaries])
    among = np.zeros_like(alone)
    for person in range(1, 25):
        own = clips.actor == person
        among[own] = acoustic_arousal(summaries[own])
    strong = np.array([name.rsplit('/', 1)[-1].split('-')[3] == '02' for name in clips.files])
    expressive = clips.truth != RAVDESS8.index('neutral')
    found = {}
    for name, values in (('against calm speech', alone), ('among own turns', among)):
        usable = np.isfinite(values)
        found[f'{name}: correlation with the category'] = round(
            float(np.corrcoef(values[usable], stated[usable])[0, 1]), 3
        )
        keep = usable & expressive
        found[f'{name}: strong above normal (AUC)'] = round(_auc(values[keep], strong[keep]), 3)
    loudness = summaries[:, COLUMNS.index('loudness_lufs')]
    found['loudness alone: strong above normal (AUC)'] = round(_auc(loudness[expressive], strong[expressive]), 3)
    return found


def _auc(values: Array, positive: Array) -> float:
    """The chance that a positive outranks a negative."""
    ranks = np.empty(values.size)
    ranks[np.argsort(values)] = np.arange(1, values.size + 1)
    count = positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (values.size - count)))
