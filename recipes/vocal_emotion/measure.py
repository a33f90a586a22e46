"""What the heads are worth: on a corpus that was left out, on speakers that were, on short turns, on what is no speech.

Every figure of a left-out corpus uses the temperature and the threshold of the other direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from features import Clips, Store
from heads import ONTO_EKMAN, Head, fit_heads, known_rows, pooled, rows_of, seven, together
from not_speech import NOT_SPEECH

from affekt.arrays import Floats32
from affekt.labels import EKMAN, RAVDESS8
from affekt.metrics import accuracy, balanced_accuracy, bootstrap_interval, expected_calibration_error
from affekt.voice.emotion import UNFAMILIAR_FROM

Array = npt.NDArray[Any]

DIRECTIONS = (('ravdess', 'nemo'), ('nemo', 'ravdess'))
RESAMPLES = 1000
SHORT_S = (0.4, 0.7, 1.0, 1.5)
TEMPERATURES = np.exp(np.linspace(-1.5, 2.5, 121))
KNOTS = 51


@dataclass(frozen=True)
class LeftOut:
    """Scores of a head on a corpus that it never saw.

    Attributes:
        rows: (N,) of the corpus's clips whose category the head knows.
        clips: the corpus.
        clean: (N, 8) logits.
        altered: (N, 8) logits of an altered copy.
        strangeness: (N,) distances from the training's speech.
        head: the head.
    """

    rows: npt.NDArray[np.int64]
    clips: Clips
    clean: Floats32
    altered: Floats32
    strangeness: Floats32
    head: Head

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(N,) indices into EKMAN."""
        return np.asarray(ONTO_EKMAN[self.clips.truth[self.rows]])

    @property
    def temperature(self) -> float:
        """Fitted here, to be used on other corpora."""
        return fitted_temperature(np.concatenate([self.clean, self.altered]), np.tile(self.truth, 2))


def settled(directions: Mapping[str, LeftOut], speakers: Mapping[str, Any], short: Any) -> dict[str, Floats32]:
    """Temperatures, threshold and distances of the shipped head.

    Unseen speakers of the corpora set the temperature; corpora that were left out set by how much it rises where a
    turn is as far from the training's speech as they are, and the threshold. The more careful of the two directions
    counts for both, so that what is named is right as often as stated on either.
    """
    near = float(np.exp(np.mean([np.log(each['temperature_of_its_own']) for each in speakers.values()])))
    away = max(each.temperature for each in directions.values())
    near_distance = float(np.mean([each['median_distance'] for each in speakers.values()]))
    far_distance = float(np.mean([np.median(each.strangeness) for each in directions.values()]))
    threshold = max(threshold_of(seven(each.clean / away), each.truth) for each in directions.values())
    ranks = np.linspace(0, 1, KNOTS)
    distances = np.mean([np.quantile(each.strangeness, ranks) for each in directions.values()], axis=0)
    return {
        'temperature': np.float32(near),
        'far': np.array([near_distance, max(far_distance, near_distance + 1e-3)], np.float32),
        'far_warmth': np.array([1.0, max(1.0, away / near)], np.float32),
        'abstains_below': np.float32(threshold),
        'short_s': np.array(SHORT_S, np.float32),
        'short_warmth': np.array([row['warmth'] for row in short], np.float32),
        'distances': distances.astype(np.float32),
    }  # type: ignore[dict-item]


def as_shipped(directions: Mapping[str, LeftOut], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What the shipped temperature and threshold would do on each left-out corpus, which helped to choose them."""
    away, figures = float(arrays['temperature'] * arrays['far_warmth'][1]), {}
    for name, each in directions.items():
        probabilities = seven(each.clean / away)
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == each.truth
        named = sure >= arrays['abstains_below']
        figures[name] = {
            'ece': round(expected_calibration_error(probabilities, each.truth), 4),
            'share_named': round(float(named.mean()), 4),
            'accuracy_where_named': round(float(right[named].mean()), 4),
            'confidence_where_named': round(float(sure[named].mean()), 4),
        }
    return figures


def fitted_temperature(logits: Array, truth: Array) -> float:
    """The temperature with the least mean surprise at the true category, each category weighing the same."""
    share = 1 / np.bincount(truth, minlength=len(EKMAN))[truth]
    losses = []
    for temperature in TEMPERATURES:
        chosen = seven(logits / temperature)[np.arange(truth.size), truth]
        losses.append(float(np.average(-np.log(np.maximum(chosen, 1e-9)), weights=share)))
    return float(TEMPERATURES[int(np.argmin(losses))])


def threshold_of(probabilities: Array, truth: Array, least: int = 40) -> float:
    """The lowest confidence from which on named clips are right at least as often as their mean confidence says.

    From the surest clip down, as long as the running accuracy is at least the running mean confidence and one half.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    order = np.argsort(-confidence)
    count = np.arange(1, order.size + 1)
    accurate, stated = np.cumsum(right[order]) / count, np.cumsum(confidence[order]) / count
    is_last_of_ties = np.diff(confidence[order], append=-1.0) < 0
    enough = np.flatnonzero((accurate >= np.maximum(stated, 0.5)) & (count >= least) & is_last_of_ties)
    return float(confidence[order][enough[-1]]) if enough.size else 1.0


def with_interval(metric: Any, truth: Array, prediction: Array, groups: Array) -> dict[str, float]:
    """Value and 95 % interval, speakers drawn."""
    drawn = bootstrap_interval(
        metric, truth, prediction, groups=groups, rng=np.random.default_rng(1), resamples=RESAMPLES
    )
    return {'value': round(drawn.value, 4), 'low': round(drawn.low, 4), 'high': round(drawn.high, 4)}


def left_out_figures(directions: Mapping[str, LeftOut]) -> dict[str, Any]:
    """Per left-out corpus: UAR, accuracy, calibration and abstention, with the settings of the other direction."""
    figures = {}
    for source, target in DIRECTIONS:
        here, other = directions[target], directions[source]
        temperature = other.temperature
        threshold = threshold_of(seven(other.clean / temperature), other.truth)
        probabilities, truth = seven(here.clean / temperature), here.truth
        guess, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
        speaker, named = here.clips.speaker[here.rows], sure >= threshold
        counts = np.bincount(truth, minlength=len(EKMAN))
        figures[target] = {
            'learned_from': source,
            'clips': int(truth.size),
            'uar': with_interval(balanced_accuracy, truth, guess, speaker),
            'uar_altered': with_interval(balanced_accuracy, truth, seven(here.altered).argmax(axis=1), speaker),
            'accuracy': with_interval(accuracy, truth, guess, speaker),
            'chance_uar': round(1 / int((counts > 0).sum()), 4),
            'largest_class_accuracy': round(float(counts.max() / truth.size), 4),
            'ece_before': round(expected_calibration_error(seven(here.clean), truth), 4),
            'ece': round(expected_calibration_error(probabilities, truth), 4),
            'mean_confidence': round(float(sure.mean()), 4),
            'temperature': round(temperature, 4),
            'temperature_of_its_own': round(here.temperature, 4),
            'abstains_below': round(threshold, 4),
            'share_named': round(float(named.mean()), 4),
            'accuracy_where_named': round(float((guess == truth)[named].mean()), 4) if named.any() else None,
            'confidence_where_named': round(float(sure[named].mean()), 4) if named.any() else None,
            'recall': {
                EKMAN[k]: round(float((guess[truth == k] == k).mean()), 4) for k in range(len(EKMAN)) if counts[k]
            },
            'confusion': [
                [int(((truth == row) & (guess == column)).sum()) for column in range(len(EKMAN))]
                for row in range(len(EKMAN))
            ],
        }
    return figures


def short_figures(
    directions: Mapping[str, LeftOut], stores: Mapping[str, Store], encoder: str, statistics: Sequence[str]
) -> list[dict[str, float]]:
    """How much warmer short turns of a left-out corpus need to be, and what is then right."""
    rows = []
    for seconds in SHORT_S:
        warmths, accuracies, sures, strange = [], [], [], []
        for each in directions.values():
            store = stores[each.clips.name]
            sampled = np.intersect1d(store.sampled_rows(), each.rows)
            features = pooled(store, encoder, f'cropped {seconds}', statistics)[sampled]
            logits, truth = each.head.logits(features), ONTO_EKMAN[each.clips.truth[sampled]]
            warmths.append(max(1.0, fitted_temperature(logits, truth) / each.temperature))
            probabilities = seven(logits / (each.temperature * warmths[-1]))
            accuracies.append(float((probabilities.argmax(axis=1) == truth).mean()))
            sures.append(float(probabilities.max(axis=1).mean()))
            limit = np.quantile(each.strangeness, UNFAMILIAR_FROM)
            strange.append(float((each.head.strangeness(features) >= limit).mean()))
        rows.append({
            'seconds': seconds,
            'warmth': round(float(np.mean(warmths)), 3),
            'accuracy': round(float(np.mean(accuracies)), 4),
            'mean_confidence': round(float(np.mean(sures)), 4),
            'called_unfamiliar': round(float(np.mean(strange)), 4),
        })  # fmt: skip
    return rows


def unfamiliar_figures(
    directions: Mapping[str, LeftOut], stores: Mapping[str, Store], encoder: str, statistics: Sequence[str]
) -> dict[str, Any]:
    """How well sounds that are no spoken sentence are told from a corpus of speech that was left out."""
    figures: dict[str, Any] = {'sounds': {}}
    others = stores['ravdess'].sound('clean')
    made = {name: stores['ravdess'].of_sounds(encoder, name, maker, others) for name, maker in NOT_SPEECH.items()}
    for name, array in made.items():
        areas, called = [], []
        for each in directions.values():
            distances = each.head.strangeness(chosen_statistics(array, statistics))
            limit = np.quantile(each.strangeness, UNFAMILIAR_FROM)
            areas.append(area_above(each.strangeness, distances))
            called.append(float((distances >= limit).mean()))
        figures['sounds'][name] = {'auc': round(min(areas), 3), 'called_unfamiliar': round(min(called), 3)}
    for source, target in DIRECTIONS:
        # the limit that the other direction would set, on this one's speech
        limit = np.quantile(directions[source].strangeness, UNFAMILIAR_FROM)
        figures[f'speech of {target} called unfamiliar, limit from the other corpus'] = round(
            float((directions[target].strangeness >= limit).mean()), 4
        )
        altered = directions[target].head.strangeness(
            pooled(stores[target], encoder, 'train 0', statistics)[directions[target].rows]
        )
        own = np.quantile(directions[target].strangeness, UNFAMILIAR_FROM)
        figures[f'altered speech of {target} called unfamiliar'] = round(float((altered >= own).mean()), 4)
    return figures


def chosen_statistics(array: Array, statistics: Sequence[str]) -> Floats32:
    """(N, P) of (N, L+1, 5, D)."""
    from affekt.voice.emotion import STATISTICS

    places = [STATISTICS.index(name) for name in statistics]
    return np.asarray(array[:, 1:][:, :, places].reshape(array.shape[0], -1).astype(np.float32))


def unknown_emotions(
    store: Store, encoder: str, statistics: Sequence[str], shares: dict[str, float], penalty: float
) -> dict[str, dict[str, float]]:
    """How well clips of an emotion that no clip of the training had are told from the known ones, on unseen actors.

    By the distance from speech, and by how low the confidence is: areas under the curve, one half for knowing nothing.
    """
    clips, figures = store.clips, {}
    test = clips.fold >= 4
    for label in range(len(RAVDESS8)):
        train = ~test & (clips.truth != label)
        (head,) = fit_heads(rows_of(store, encoder, statistics, {'clean': shares['clean']}, train), [penalty])
        features = pooled(store, encoder, 'clean', statistics)[test]
        unknown = clips.truth[test] == label
        strange, unsure = head.strangeness(features), -seven(head.logits(features)).max(axis=1)
        figures[RAVDESS8[label]] = {
            'by distance': round(area_above(strange[~unknown], strange[unknown]), 3),
            'by low confidence': round(area_above(unsure[~unknown], unsure[unknown]), 3),
        }
    return figures


def in_corpus(
    stores: Mapping[str, Store], encoder: str, statistics: Sequence[str], shares: dict[str, float], penalty: float
) -> dict[str, Any]:
    """Of each corpus's own speakers that took no part: a head learned from all others of both corpora."""
    figures: dict[str, Any] = {}
    distances: dict[str, list[float]] = {}
    logits = {
        name: np.full((store.clips.truth.size, len(RAVDESS8)), np.nan, np.float32) for name, store in stores.items()
    }
    for fold in range(max(int(store.clips.fold.max()) for store in stores.values()) + 1):
        parts = [rows_of(s, encoder, statistics, shares, s.clips.fold != fold) for s in stores.values()]
        (head,) = fit_heads(together(parts), [penalty])
        for name, store in stores.items():
            test = store.clips.fold == fold
            if test.any():
                features = pooled(store, encoder, 'clean', statistics)[test]
                logits[name][test] = head.logits(features)
                distances.setdefault(name, []).extend(head.strangeness(features).tolist())
    for name, store in stores.items():
        clips = store.clips
        own = np.where(clips.classes, logits[name], -1e9)
        truth, probabilities = ONTO_EKMAN[clips.truth], seven(logits[name])
        figures[name] = {
            'uar_of_its_own_labels': with_interval(balanced_accuracy, clips.truth, own.argmax(axis=1), clips.speaker),
            'uar_seven_categories': with_interval(
                balanced_accuracy, truth, probabilities.argmax(axis=1), clips.speaker
            ),
            'labels': int(clips.classes.sum()),
            'median_distance': round(float(np.median(distances[name])), 4),
            'temperature_of_its_own': round(fitted_temperature(logits[name], truth), 4),
        }
    return figures


def tried(stores: Mapping[str, Store], encoder: str, penalty: float) -> list[dict[str, Any]]:
    """What was compared by leaving one corpus out and is not in use, and the settings of the head before this one."""
    rows = []
    plain = {'clean': 1.0}
    settings: dict[str, tuple[tuple[str, ...], dict[str, float], float, str]] = {
        'plain: clean copies alone': (('mean', 'sd'), plain, penalty, ''),
        'as shipped before: altered copies weigh as much, penalty 0.5': (
            ('mean', 'sd'), {'clean': 1.0, 'train 0': 1.0}, 0.5, '',
        ),
        'strong penalty 10': (('mean', 'sd'), plain, 10.0, ''),
        'mean alone': (('mean',), plain, penalty, ''),
        'standard deviation alone': (('sd',), plain, penalty, ''),
        'all five statistics': (('mean', 'sd', 'change', 'low', 'high'), plain, penalty, ''),
        'features centred by corpus': (('mean', 'sd'), plain, penalty, 'corpus'),
        'features centred by speaker, all emotions there': (('mean', 'sd'), plain, penalty, 'speaker'),
        'features centred by speaker in training alone': (('mean', 'sd'), plain, penalty, 'training'),
    }  # fmt: skip
    for name, (statistics, shares, weight, centring) in settings.items():
        row: dict[str, Any] = {'what': name}
        for source, target in DIRECTIONS:
            train = rows_of(stores[source], encoder, statistics, shares)
            features = pooled(stores[target], encoder, 'clean', statistics)
            if centring in ('speaker', 'training'):
                train.features[:] = centred(train.features, stores[source].clips.speaker)
            if centring == 'speaker':
                features = centred(features, stores[target].clips.speaker)
            if centring in ('corpus', 'speaker'):
                features = features - features.mean(axis=0) + train.features.mean(axis=0)
            (head,) = fit_heads(train, [weight])
            keep = known_rows(stores[target].clips, head.classes)
            truth = ONTO_EKMAN[stores[target].clips.truth[keep]]
            row[target] = round(balanced_accuracy(truth, seven(head.logits(features[keep])).argmax(axis=1)), 4)
        rows.append(row)
    return rows


def centred(features: Floats32, groups: Array) -> Floats32:
    """Each group's mean moved to the mean of all."""
    result, middle = features.copy(), features.mean(axis=0)
    for group in np.unique(groups):
        result[groups == group] += middle - features[groups == group].mean(axis=0)
    return result


def area_above(negative: Array, positive: Array) -> float:
    """The chance that a positive outranks a negative."""
    values = np.concatenate([negative, positive])
    ranks = np.empty(values.size)
    ranks[np.argsort(values)] = np.arange(1, values.size + 1)
    count = positive.size
    return float((ranks[negative.size :].sum() - count * (count + 1) / 2) / (count * negative.size))
