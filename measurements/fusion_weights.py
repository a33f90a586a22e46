"""How much face, voice and words should count in fusion, and whether together they are worth more than the best alone.

    python measurements/fusion_weights.py --data SHARED_DATA --features VOCAL_FEATURES [--cache DIR] [--out FILE]

VOCAL_FEATURES holds the arrays of `recipes/vocal_emotion` ('clean' copies of RAVDESS and nEMO). Every part reads what
is shipped today: rerun it when a model changes.

What is real here: each source alone on data that it was not fitted to. A voice is read by a head of the shipped kind
fitted on the other corpus; faces are FER2013's private test; words are MELD's training dialogues (the text model
learned from written comments) and GoEmotions' test part. RAVDESS's voices with the two sentences that they speak are
real too: the words carry nothing there, so voice and words must be as good as the voice.

What is synthetic: pairs and triples. A voice, a face and an utterance with the same label are put together by chance;
given the label they are independent, as those of one person are not, so gains of fusion are overstated. Only the
exponents are fitted on them, and each left-out figure comes from exponents fitted on the other voice corpus and the
other text corpus. All figures weigh the categories alike; intervals are left out where sets are synthetic.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from affekt.analysis import fuse as pooling
from affekt.analysis.fuse import Opinion, alone, contradiction, likelihood_ratio, pool
from affekt.analysis.model_choice import trust_of
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.steps import LEAST_SD
from affekt.analysis.utterances import WORD_SD
from affekt.labels import (
    CIRCUMPLEX,
    EKMAN,
    GOEMOTIONS,
    GOEMOTIONS_TO_EKMAN,
    MELD_TO_EKMAN,
    RAVDESS8,
    RAVDESS8_TO_EKMAN,
    affect_sd,
    certainty,
    expected_affect,
)
from affekt.metrics import balanced_accuracy, expected_calibration_error, fit_temperature

SOURCES = ('face', 'voice', 'words')
SUBSETS = tuple(s for size in (1, 2, 3) for s in itertools.combinations(SOURCES, size))
PER_CLASS = 150
SENTENCES = ('Kids are talking by the door.', 'Dogs are sitting by the door.')
"""What RAVDESS's actors say."""
SENTIMENT = {'positive': 1.0, 'neutral': 0.0, 'negative': -1.0}


@dataclass(frozen=True)
class Readings:
    """What one model says of N samples of one corpus: probabilities (N, 7), truth (N,) in EKMAN, group (N,)."""

    probabilities: np.ndarray
    truth: np.ndarray
    group: np.ndarray
    arousal: np.ndarray | None = None
    """(N,) where the source states one that is not derived from the categories."""


def read_faces(data: Path, cache: Path) -> Readings:
    """The private test faces of FER2013, as they came, without blendshapes."""
    path = cache / 'faces.npz'
    if not path.exists():
        sys.path.insert(0, str(Path(__file__).parents[1] / 'recipes' / 'face_expression'))
        from data import load_faces

        from affekt.faces.expression import ExpressionModel

        faces = load_faces(data / 'fer2013', 'test')
        np.savez(path, probabilities=ExpressionModel().probabilities(faces.images), truth=faces.labels)
    with np.load(path) as stored:
        return Readings(stored['probabilities'], stored['truth'], np.arange(len(stored['truth'])))


def read_words(data: Path, cache: Path) -> dict[str, Readings]:
    """4,000 utterances of MELD's training dialogues by chance, and GoEmotions' test comments of one category."""
    texts: dict[str, tuple[list[str], list[int], list[float]]] = {}
    with (data / 'meld_text' / 'train_sent_emo.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    rows = [rows[at] for at in np.sort(np.random.default_rng(12).choice(len(rows), 4000, replace=False))]
    texts['meld'] = (
        [row['Utterance'] for row in rows],
        [EKMAN.index(MELD_TO_EKMAN[row['Emotion']]) for row in rows],
        [SENTIMENT[row['Sentiment']] for row in rows],
    )
    comments: list[str] = []
    labels: list[int] = []
    for line in (data / 'goemotions' / 'original' / 'test.tsv').read_text('utf-8').split('\n'):
        if line:
            text, named, _ = line.split('\t')
            categories = {GOEMOTIONS_TO_EKMAN[GOEMOTIONS[int(label)]] for label in named.split(',')}
            if len(categories) == 1:
                comments.append(text)
                labels.append(EKMAN.index(categories.pop()))
    texts['goemotions'] = (comments, labels, [float('nan')] * len(labels))
    texts['ravdess sentences'] = (list(SENTENCES), [EKMAN.index('neutral')] * 2, [0.0, 0.0])
    read = {}
    for name, (spoken, truth, sentiment) in texts.items():
        path = cache / f'words {name}.npz'
        if not path.exists():
            from affekt.text.emotion import TextEmotion

            readings = TextEmotion().read(spoken)
            np.savez(
                path, probabilities=np.stack([reading.ekman for reading in readings]), truth=np.array(truth),
                valence=np.array([reading.valence for reading in readings]), sentiment=np.array(sentiment),
                named=np.array([not reading.abstains for reading in readings]),
            )  # fmt: skip
        with np.load(path) as stored:
            probabilities = np.where(stored['named'][:, None], stored['probabilities'], np.nan)
            read[name] = Readings(probabilities, stored['truth'], np.arange(len(stored['truth'])))
    return read


def read_voices(features: Path, data: Path, cache: Path, encoder: str = 'tiny.en') -> dict[str, Readings]:
    """Each corpus by a head fitted on the other, with the temperature that the other needed; categories of both."""
    path = cache / 'voices.npz'
    corpora = ('ravdess', 'nemo')
    if not path.exists():
        tables = {name: _voice_table(name, data, features, encoder) for name in corpora}
        shared = np.intersect1d(*(table['truth'] for table in tables.values()))
        scores, rows = {}, {}
        for name, other in itertools.permutations(corpora):
            scores[name] = _scores(tables[other], tables[name])
            rows[name] = np.isin(tables[name]['truth'], shared)
        kept = {}
        for name, other in itertools.permutations(corpora):
            temperature = fit_temperature(scores[other][rows[other]], tables[other]['truth'][rows[other]])
            powers = np.exp(scores[name][rows[name]] / temperature)
            kept[f'{name}.probabilities'] = powers / powers.sum(1, keepdims=True)
            for key in ('truth', 'speaker', 'sentence', 'arousal'):
                kept[f'{name}.{key}'] = tables[name][key][rows[name]]
        np.savez(path, **kept)
    with np.load(path) as stored:
        return {
            name: Readings(
                stored[f'{name}.probabilities'], stored[f'{name}.truth'], stored[f'{name}.speaker'],
                stored[f'{name}.arousal'],
            )
            for name in corpora
        }  # fmt: skip


def _voice_table(name: str, data: Path, features: Path, encoder: str) -> dict[str, np.ndarray]:
    """A corpus's clips that have features."""
    sys.path.insert(0, str(Path(__file__).parents[1] / 'recipes' / 'vocal_emotion'))
    from features import CORPORA

    from affekt.voice.arousal import acoustic_arousal

    folder = {'ravdess': 'ravdess_speech'}.get(name, name)
    clips = CORPORA[name](data / folder)
    pooled = np.load(features / name / f'clean.{encoder}.npy')
    kept = np.flatnonzero(np.isfinite(pooled[:, 1, 0, 0].astype(np.float32)))
    inputs = pooled[kept][:, 1:, :2].reshape(len(kept), -1).astype(np.float32)
    acoustics = np.load(features / name / 'clean.acoustics.npy')[kept]
    # One turn at a time: each clip is a recording of its own.
    arousal = np.array([float(acoustic_arousal(row[None])[0]) for row in acoustics])
    truth = np.array([EKMAN.index(RAVDESS8_TO_EKMAN[RAVDESS8[label]]) for label in clips.truth[kept]])
    return {
        'inputs': inputs, 'truth': truth, 'speaker': clips.speaker[kept],
        'sentence': clips.sentence[kept], 'arousal': arousal,
    }  # fmt: skip


def _scores(fitted_on: dict[str, np.ndarray], read: dict[str, np.ndarray], penalty: float = 0.5) -> np.ndarray:
    """(N, 7) log probabilities by multinomial logistic regression, the categories of the fitted corpus alike."""
    import torch

    centre, scale = fitted_on['inputs'].mean(0), fitted_on['inputs'].std(0) + 1e-6
    inputs, target = torch.from_numpy((fitted_on['inputs'] - centre) / scale), torch.from_numpy(fitted_on['truth'])
    shares = torch.bincount(target, minlength=len(EKMAN)).float()
    balance = torch.where(shares > 0, shares.sum() / shares.clamp(min=1), torch.zeros_like(shares))
    weight = torch.zeros(inputs.shape[1], len(EKMAN), requires_grad=True)
    bias = torch.zeros(len(EKMAN), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=40, line_search_fn='strong_wolfe')

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weight + bias, target, weight=balance)
        value = value + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    scores = ((read['inputs'] - centre) / scale) @ weight.detach().numpy() + bias.detach().numpy()
    scores[:, shares.numpy() == 0] = scores.min() - 20.0  # a category that the other corpus lacks is never named
    return np.asarray(scores - logsumexp(scores, axis=1, keepdims=True), dtype=np.float64)


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


def pooled(logs: dict[str, np.ndarray], exponents: dict[str, float], sources: tuple[str, ...]) -> np.ndarray:
    """(M, 7) the pool of some sources."""
    total = sum(exponents[source] * logs[source] for source in sources)
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
    pairs = list(itertools.product(voices, ('meld', 'goemotions')))
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
    """What is felt where MELD's words are plain: how much likelier each category becomes, and so the limit of words."""
    prior = trust_of(AnalysisSettings())['words'].prior
    named = np.isfinite(words.probabilities).all(axis=1)
    plain = np.zeros(len(named), bool)
    for at in np.flatnonzero(named):
        row = words.probabilities[at]
        plain[at] = row.argmax() == EKMAN.index('neutral') and row.max() >= 0.6
    rows = {}
    for k, category in enumerate(EKMAN):
        share, usual = float((words.truth[plain] == k).mean()), float((words.truth == k).mean())
        rows[category] = {'usual': round(usual, 4), 'with_plain_words': round(share, 4),
                          'ratio': round(share / usual, 3)}  # fmt: skip
    return {'plain': int(plain.sum()), 'of': len(named), 'limit_used': pooling.AGAINST_AT_MOST['words'],
            'by_category': rows, 'prior': prior}  # fmt: skip


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


def dimensions(faces: Readings, voices: dict[str, Readings], cache: Path) -> dict[str, object]:
    """What each source's valence and arousal explain of the places of the true categories, and what they get wrong.

    `bias_sd`: root mean square over categories (and speakers, where there are any) of the mean error: what stays wrong
    of a person who shows one category throughout, however long. `explained`: 1 - squared error / variance, categories
    weighing alike. `reliability`: the precision that the correlation r is worth, r**2 / (1 - r**2) / variance, over
    the one that fusion would take the readings to have. Words: MELD's sentiment, scaled to deviate as the places do.
    """
    plane = np.array([CIRCUMPLEX[category] for category in EKMAN])
    results: dict[str, object] = {}
    for name, readings in {'face fer2013': faces, **{f'voice {k}': v for k, v in voices.items()}}.items():
        source = name.split()[0]
        prior = trust_of(AnalysisSettings())[source].prior
        posterior = np.stack([alone(Opinion(source, row / row.sum(), prior=prior)) for row in readings.probabilities])
        stated = np.stack(expected_affect(posterior), axis=1)
        if readings.arousal is not None:
            stated[:, 1] = np.where(np.isfinite(readings.arousal), readings.arousal, stated[:, 1])
        deviations = np.maximum(np.stack(affect_sd(posterior), axis=1), LEAST_SD)
        knowing = np.repeat(certainty(posterior)[:, None], 2, axis=1)
        if readings.arousal is not None:
            knowing[:, 1] = 1.0
        group = readings.group if source == 'voice' else None
        results[name] = {
            axis: _explained(stated[:, at], plane[readings.truth, at], readings.truth, group,
                             float((knowing[:, at] / deviations[:, at] ** 2).mean()))
            for at, axis in enumerate(('valence', 'arousal'))
        }  # fmt: skip
    with np.load(cache / 'words meld.npz') as stored:
        value, sentiment = stored['valence'], stored['sentiment']
        known = np.isfinite(value)
        scale = float(np.sqrt((plane[:, 0] ** 2).mean()) / np.sqrt((sentiment[known] ** 2).mean()))
        results['words meld'] = {
            'valence': _explained(value[known], scale * sentiment[known], stored['truth'][known], None, WORD_SD**-2)
        }
    return results


def _explained(
    stated: np.ndarray, truth: np.ndarray, category: np.ndarray, group: np.ndarray | None, precision: float
) -> dict[str, float]:
    weights = 1 / np.bincount(category, minlength=len(EKMAN))[category]
    weights = weights / weights.sum()
    error = stated - truth
    cells = [category] if group is None else [category, group]
    _, cell = np.unique(np.stack(cells, axis=1), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    means = np.bincount(cell, error) / np.bincount(cell)
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
        'bias_sd': round(float(np.sqrt((means**2).mean())), 4),
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
        'dimensions': dimensions(faces, voices, given.cache),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + '\n')
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
