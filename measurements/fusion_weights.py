"""How much face, voice and words should count in fusion, and whether together they are worth more than the best alone.

    python measurements/fusion_weights.py --data SHARED_DATA --features VOCAL_FEATURES [--cache DIR] [--out FILE]

VOCAL_FEATURES holds the arrays of `recipes/vocal_emotion` ('clean' copies of RAVDESS and nEMO). Every part reads what
is shipped today: rerun it when a model changes.

What is real here: each source alone on data that it was not fitted to. A voice is read by a head of the shipped kind
fitted on the other corpus; faces are FER2013's private test; words are IEMOCAP's lines and GoEmotions' test comments,
of which the map for spoken lines learned nothing. RAVDESS's voices with the two sentences that they speak are real
too: the words carry nothing there, so voice and words must be as good as the voice.

What is synthetic: pairs and triples. A voice, a face and an utterance with the same label are put together by chance;
given the label they are independent, as those of one person are not, so gains of fusion are overstated. Only the
exponents are fitted on them, and each left-out figure comes from exponents fitted on the other voice corpus and the
other text corpus. All figures weigh the categories alike; intervals are left out where sets are synthetic.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from fusion_readings import Readings, read_faces, read_voices, read_words, sentiment_of_meld
from scipy.optimize import minimize

from affekt.analysis import fuse as pooling
from affekt.analysis.fuse import AGAINST_AT_MOST, Opinion, alone, contradiction, likelihood_ratio, pool
from affekt.analysis.model_choice import trust_of
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.steps import LEAST_SD
from affekt.analysis.utterances import WORD_SD
from affekt.faces.expression import affect
from affekt.labels import (
    CIRCUMPLEX,
    EKMAN,
    affect_sd,
    certainty,
    expected_affect,
)
from affekt.metrics import balanced_accuracy, expected_calibration_error
from affekt.typed_json import json_file

SOURCES = ('face', 'voice', 'words')
SUBSETS = tuple(s for size in (1, 2, 3) for s in itertools.combinations(SOURCES, size))
PER_CLASS = 150
HALF_OF_MELD = (0.127, 0.085, 0.085, 0.159, 0.106, 0.132, 0.307)
"""Half uniform, half the shares of MELD's training utterances: a prior towards neutral, to compare with none."""
HEARD_SD = 0.35
"""About what `affekt.voice.arousal.arousal_sd` says of a clip of two seconds without noise."""


def ratios(readings: Readings, source: str) -> np.ndarray:
    """(N, 7) the log likelihood ratios that fusion pools; 0 where the source abstains."""
    prior = trust_of(AnalysisSettings())[source].prior
    rows = np.zeros_like(readings.probabilities)
    for at, row in enumerate(readings.probabilities):
        if np.isfinite(row).all():
            rows[at] = np.log(likelihood_ratio(Opinion(source, row / row.sum(), prior=prior)))
    return rows


def synthetic(parts: dict[str, Readings], seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Source to (M, 7) log ratios, and (M,) labels: PER_CLASS samples of each category that all sources have."""
    rng = np.random.default_rng([12, seed])
    shared = [k for k in range(len(EKMAN)) if all((part.truth == k).sum() >= 20 for part in parts.values())]
    rows = {source: ratios(part, source) for source, part in parts.items()}
    drawn = {
        source: np.concatenate([rows[source][rng.choice(np.flatnonzero(part.truth == k), PER_CLASS)] for k in shared])
        for source, part in parts.items()
    }
    return drawn, np.repeat(shared, PER_CLASS)


def pooled(
    logs: dict[str, np.ndarray], exponents: dict[str, float], sources: tuple[str, ...], prior: tuple[float, ...] = ()
) -> np.ndarray:
    """(M, 7) the pool of some sources, from equal shares or from a prior."""
    total = sum(exponents[source] * logs[source] for source in sources) + (np.log(prior) if prior else 0.0)
    powers = np.exp(total - total.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit(sets: list[tuple[dict[str, np.ndarray], np.ndarray]]) -> dict[str, float]:
    """The exponents in [0, 1] of least log loss, over every subset of the sources alike."""

    def loss(values: np.ndarray) -> float:
        exponents = dict(zip(SOURCES, values.tolist(), strict=True))
        picked = [
            np.log(np.maximum(pooled(logs, exponents, subset)[np.arange(len(truth)), truth], 1e-9)).mean()
            for logs, truth in sets
            for subset in SUBSETS
        ]
        return -float(np.mean(picked))

    best = minimize(loss, np.full(3, 0.6), bounds=[(0.0, 1.0)] * 3, method='L-BFGS-B')
    return {source: round(float(value), 3) for source, value in zip(SOURCES, best.x, strict=True)}


def scored(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Balanced accuracy, log loss, calibration, and how often what is named is right beside how sure it is."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    named = sure >= pooling.UNSURE_BELOW
    return {
        'uar': round(float(balanced_accuracy(truth, probabilities.argmax(axis=1))), 4),
        'log_loss': round(float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-9)).mean()), 4),
        'ece': round(float(expected_calibration_error(probabilities, truth)), 4),
        'named': round(float(named.mean()), 4),
        'right_where_named': round(float(right[named].mean()), 4) if named.any() else float('nan'),
        'sure_where_named': round(float(sure[named].mean()), 4) if named.any() else float('nan'),
    }


def left_out(faces: Readings, voices: dict[str, Readings], words: dict[str, Readings]) -> dict[str, object]:
    """Every pair of corpora judged with exponents fitted on the other two, and the exponents of all together."""
    pairs = list(itertools.product(voices, ('iemocap', 'goemotions')))
    sets = {
        pair: synthetic({'face': faces, 'voice': voices[pair[0]], 'words': words[pair[1]]}, seed)
        for seed, pair in enumerate(pairs)
    }
    judged = {}
    for voice, text in pairs:
        exponents = fit([sets[pair] for pair in pairs if pair[0] != voice and pair[1] != text])
        logs, truth = sets[voice, text]
        judged[f'{voice} x fer2013 x {text}'] = {
            'synthetic': True,
            'exponents_fitted_elsewhere': exponents,
            'majority_uar': round(1 / len(np.unique(truth)), 4),
            **{'+'.join(subset): scored(pooled(logs, exponents, subset), truth) for subset in SUBSETS},
        }
    shipped = {source: trust.reliability for source, trust in trust_of(AnalysisSettings()).items()}
    return {
        'left_out': judged,
        'exponents_of_all': fit(list(sets.values())),
        'shipped': shipped,
        'with_shipped': {
            '+'.join(subset): round(
                float(np.mean([scored(pooled(*_of(sets[pair], shipped), subset), sets[pair][1])['uar']
                               for pair in pairs])), 4)
            for subset in SUBSETS
        },
        'with_shipped_and_a_prior_towards_neutral': {
            '+'.join(subset): round(
                float(np.mean([scored(pooled(*_of(sets[pair], shipped), subset, HALF_OF_MELD), sets[pair][1])['uar']
                               for pair in pairs])), 4)
            for subset in SUBSETS
        },
        'reliability_with_shipped': _reliability([
            (pooled(logs, shipped, subset), truth) for logs, truth in sets.values() for subset in SUBSETS
        ]),
    }  # fmt: skip


def _of(drawn: tuple[dict[str, np.ndarray], np.ndarray], exponents: dict[str, float]) -> tuple:
    return drawn[0], exponents


def _reliability(parts: list[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, float]]:
    """How often the likeliest category is right, by how sure it is."""
    sure = np.concatenate([p.max(axis=1) for p, _ in parts])
    right = np.concatenate([p.argmax(axis=1) == truth for p, truth in parts])
    rows = []
    for low in np.arange(0.15, 1.0, 0.05):
        inside = (sure >= low) & (sure < low + 0.05 + 1e-9 * (low > 0.94))
        if inside.sum() >= 30:
            rows.append({'sure': round(float(sure[inside].mean()), 3), 'right': round(float(right[inside].mean()), 3),
                         'n': int(inside.sum())})  # fmt: skip
    return rows


def _opinion(source: str, row: np.ndarray) -> Opinion:
    """A reading as it enters fusion today."""
    trust = trust_of(AnalysisSettings())[source]
    return Opinion(source, row / row.sum(), reliability=trust.reliability, prior=trust.prior)


def spoken_sentences(voice: Readings, sentences: Readings, which: np.ndarray) -> dict[str, object]:
    """RAVDESS's voices alone and with the sentences that they speak, through `fuse`: real, and without gain."""
    alone_rows, both_rows, changed = [], [], 0
    for row, sentence in zip(voice.probabilities, which, strict=True):
        heard = _opinion('voice', row)
        parts = [heard]
        if np.isfinite(sentences.probabilities[sentence]).all():
            parts.append(_opinion('words', sentences.probabilities[sentence]))
        alone_rows.append(pool([heard]))
        both_rows.append(pool(parts))
        changed += int(alone_rows[-1].argmax() != both_rows[-1].argmax())
    return {
        'synthetic': False, 'clips': len(which), 'majority_uar': round(1 / 7, 4),
        'voice': scored(np.stack(alone_rows), voice.truth), 'voice+words': scored(np.stack(both_rows), voice.truth),
        'share_whose_name_changed': round(changed / len(which), 4),
    }  # fmt: skip


def plain_wording(words: Readings) -> dict[str, object]:
    """What is felt where MELD's words say nothing or name neutral: how much likelier each category becomes by that."""
    abstaining = ~np.isfinite(words.probabilities).all(axis=1)
    rows = np.stack([np.exp(row) for row in ratios(words, 'words')])
    plain = abstaining | (rows.argmax(axis=1) == EKMAN.index('neutral'))
    table = {}
    for k, category in enumerate(EKMAN):
        share, usual = float((words.truth[plain] == k).mean()), float((words.truth == k).mean())
        table[category] = {'usual': round(usual, 4), 'with_plain_words': round(share, 4),
                          'ratio': round(share / usual, 3)}  # fmt: skip
    return {
        'lines': len(plain), 'plain': int(plain.sum()), 'of_which_the_model_abstains': int(abstaining.sum()),
        'limit_used': AGAINST_AT_MOST['words'], 'by_category': table,
    }  # fmt: skip


def contradictions(faces: Readings, voices: dict[str, Readings]) -> dict[str, object]:
    """How often face and voice are called contradictory where their labels are the same, and where they differ."""
    rng = np.random.default_rng(12)
    results: dict[str, object] = {}
    for name, voice in voices.items():
        emotional = np.flatnonzero(voice.truth != EKMAN.index('neutral'))
        counts = {'same': [0, 0, 0], 'different': [0, 0, 0]}
        for at in rng.choice(emotional, 600):
            for case in counts:
                fits = faces.truth == voice.truth[at]
                if case == 'different':
                    fits = ~fits & (faces.truth != EKMAN.index('neutral'))
                face = faces.probabilities[rng.choice(np.flatnonzero(fits))]
                pair = [_opinion('face', face), _opinion('voice', voice.probabilities[at])]
                divergence, _ = contradiction(pair)
                if divergence > pooling.CONTRADICTION_ABOVE:
                    counts[case][0] += 1
                    counts[case][1] += int(pool(pair).argmax() == voice.truth[at])
                counts[case][2] += 1
        results[name] = {
            'called_where_labels_are_the_same': round(counts['same'][0] / counts['same'][2], 4),
            'pool_right_in_these': round(counts['same'][1] / max(1, counts['same'][0]), 4),
            'called_where_labels_differ': round(counts['different'][0] / counts['different'][2], 4),
        }
    return results


def dimensions(faces: Readings, voices: dict[str, Readings], words: Readings, data: Path) -> dict[str, object]:
    """What each source's valence and arousal explain of the places of the true categories, and what they get wrong.

    `bias_sd`: what stays wrong of a person who shows one category throughout, however long: the root mean square, over
    categories (and speakers, where there are any), of the distance between true place and mean reading, in the
    reading's own units (places divided by the slope of places on readings: how far apart the words for emotions lie is
    not how strongly somebody shows them). `person_sd`: the part of it by which speakers differ within a category.
    `explained`: 1 - squared error / variance, categories
    weighing alike. `reliability`: the precision that the correlation r is worth, r**2 / (1 - r**2) / variance, over
    the one that fusion would take the readings to have. Words: MELD's sentiment, scaled to deviate as the places do.
    """
    plane = np.array([CIRCUMPLEX[category] for category in EKMAN])
    results: dict[str, object] = {}
    for name, readings in {'face fer2013': faces, **{f'voice {k}': v for k, v in voices.items()}}.items():
        source = name.split()[0]
        prior = trust_of(AnalysisSettings())[source].prior
        posterior = np.stack([alone(Opinion(source, row / row.sum(), prior=prior)) for row in readings.probabilities])
        derived = affect(readings.probabilities) if source == 'face' else expected_affect(readings.probabilities)
        stated = np.stack(derived, axis=1)
        if readings.arousal is not None:
            heard = np.isfinite(readings.arousal)
            stated[heard, 1] = (stated[heard, 1] + readings.arousal[heard]) / 2  # as a turn has it
        deviations = np.maximum(np.stack(affect_sd(posterior), axis=1), LEAST_SD)
        knowing = np.repeat(certainty(posterior)[:, None], 2, axis=1)
        if readings.arousal is not None:
            knowing[:, 1], deviations[:, 1] = 1.0, (deviations[:, 1] + HEARD_SD) / 2
        group = readings.group if source == 'voice' else None
        results[name] = {
            axis: _explained(stated[:, at], plane[readings.truth, at], readings.truth, group,
                             float((knowing[:, at] / deviations[:, at] ** 2).mean()))
            for at, axis in enumerate(('valence', 'arousal'))
        }  # fmt: skip
    value, truth = np.asarray(words.valence), words.truth
    known = np.isfinite(value) & np.isfinite(words.probabilities).all(axis=1)
    sentiment = sentiment_of_meld(data)[words.group]
    scale = float(np.sqrt((plane[:, 0] ** 2).mean()) / np.sqrt((sentiment**2).mean()))
    results['words meld'] = {
        'valence': _explained(value[known], scale * sentiment[known], truth[known], None, WORD_SD[0] ** -2)
    }
    return results


def _explained(
    stated: np.ndarray, truth: np.ndarray, category: np.ndarray, group: np.ndarray | None, precision: float
) -> dict[str, float]:
    weights = 1 / np.bincount(category, minlength=len(EKMAN))[category]
    weights = weights / weights.sum()
    error = stated - truth
    cells = np.stack([category, np.zeros_like(category) if group is None else group], axis=1)
    cells, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    means, places = (np.bincount(cell, values) / np.bincount(cell) for values in (stated, truth))
    slope = float(means @ places / (means @ means))
    usual = np.array([means[cells[:, 0] == k].mean() for k in cells[:, 0]])
    centre, middle = float(weights @ truth), float(weights @ stated)
    variance = float(weights @ (truth - centre) ** 2)
    covariance = float(weights @ ((truth - centre) * (stated - middle)))
    squared = covariance**2 / (variance * float(weights @ (stated - middle) ** 2))
    worth = squared / (1 - squared) / variance
    return {
        'n': len(truth),
        'error_sd': round(float(np.sqrt(weights @ error**2)), 4),
        'explained': round(1 - float(weights @ error**2) / variance, 4),
        'correlation': round(float(np.sign(covariance) * np.sqrt(squared)), 4),
        'precision_measured': round(worth, 3),
        'precision_stated': round(precision, 3),
        'reliability': round(float(min(1.0, worth / precision)), 3),
        'slope': round(slope, 3),
        'bias_sd': round(float(np.sqrt(np.square(places / slope - means).mean())), 4),
        'person_sd': round(float(np.sqrt(np.square(means - usual).mean())), 4),
        'mean_of_neutral': round(float(stated[category == EKMAN.index('neutral')].mean()), 4),
        'neutral_below_minus_0.05': round(float((stated[category == EKMAN.index('neutral')] < -0.05).mean()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with fer2013, meld_text, goemotions, …')
    parser.add_argument('--features', type=Path, required=True, help='arrays of recipes/vocal_emotion')
    parser.add_argument('--cache', type=Path, required=True, help='folder for readings; empty it when a model changes')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'fusion_weights.json')
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    faces = read_faces(given.data, given.cache)
    words = read_words(given.data, given.cache)
    voices = read_voices(given.features, given.data, given.cache)
    with np.load(given.cache / 'voices.npz') as stored:
        which = stored['ravdess.sentence']
    result = {
        'note': 'pairs and triples are synthetic: same label, drawn by chance, independent given the label',
        **left_out(faces, voices, words),
        'ravdess_with_its_own_sentences': spoken_sentences(voices['ravdess'], words['ravdess sentences'], which),
        'plain_wording_in_meld': plain_wording(words['meld']),
        'contradictions_of_face_and_voice': contradictions(faces, voices),
        'dimensions': dimensions(faces, voices, words['meld'], given.data),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
