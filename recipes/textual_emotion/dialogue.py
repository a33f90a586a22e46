"""The map from 28 labels to the categories of spoken lines: fitted on MELD, judged on dialogue that was never seen.

    python recipes/textual_emotion/dialogue.py --data DIR --cache DIR

DIR holds `meld_text` and `merbench`. `train.py` ends by calling this: four arrays are put into the file that it wrote,
`affekt/models/textual_emotion.npz`, and the cards are written anew. What is fitted are 203 numbers, on MELD's
training part: no text of it is kept, and the heads themselves learned nothing from it.

1. *Map*: a multinomial regression of the category on the 28 outputs. Its penalty is the strongest within one standard
   error of the best log loss on MELD's development part: other dialogue differs, and a weak map carries over better.
2. *Prior*: the training shares to the power of one half, scaled to sum to 1: half way between the shares of one comedy
   and equal ones. Taken as it is and not chosen by a score; the card has the scores at other powers.
3. *Abstention*: the most bits up to which naming the likeliest category is right at most two points more often on
   MELD's development part than always naming the commonest.
4. *Carrying over*: the exponent of the evidence with the least log loss on IEMOCAP, which says how much of it the
   fusion should count.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from card import render_card
from data import Texts, read_iemocap, read_meld
from scipy.optimize import minimize

from affekt.arrays import Floats
from affekt.labels import EKMAN, coordinates, read_table
from affekt.labels.everyday_words import EVERYDAY, IN_STATE_ONLY
from affekt.labels.wheels import PACKAGED_TABLE
from affekt.metrics import accuracy, bootstrap_interval, expected_calibration_error, macro_f1, pearson
from affekt.text import TextEmotion
from affekt.text.emotion import evidence_bits

MODELS = Path(__file__).resolve().parents[2] / 'affekt' / 'models'
SEED = 20240417
PENALTIES = (100.0, 1000.0, 10_000.0)
"""Of the squared weights of the map against the sum of log losses over MELD's 9,989 training lines."""
SOFTENED = 0.5
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
MORE_OFTEN_RIGHT = 0.02
SECTORS = {
    'anger': 'anger', 'disgust': 'disgust', 'fear': 'fear', 'joy': 'happiness', 'affection': 'happiness',
    'sadness': 'sadness', 'surprise': 'surprise',
}  # fmt: skip
"""Sector of affekt's own wheel to category, for the list of keywords."""

Arrays = dict[str, npt.NDArray[np.float32]]
Scores = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--cache', type=Path, required=True, help='folder that keeps the outputs of the heads')
    chosen = parser.parse_args()
    add_dialogue(chosen.data, chosen.cache)


def add_dialogue(data: Path, cache: Path) -> None:
    """Fits, judges, and writes the arrays and both cards."""
    path = MODELS / 'textual_emotion.npz'
    with np.load(path) as file:
        arrays: Arrays = {name: file[name] for name in file.files}
    blank = {'dialogue': np.zeros((7, 28)), 'dialogue_bias': np.zeros(7), 'dialogue_prior': np.full(7, 1 / 7)}
    write(
        path,
        arrays | {name: array.astype(np.float32) for name, array in blank.items()} | {'least_evidence': np.zeros(1)},
    )
    reader = TextEmotion()
    # 1. Outputs of the heads
    corpora = {name: read_meld(data / 'meld_text', name) for name in ('train', 'dev', 'test')}
    corpora['iemocap'] = read_iemocap(data / 'merbench' / 'iemocap-process')
    outputs = {name: outputs_of(reader, corpus, cache) for name, corpus in corpora.items()}
    logits = {name: rows[:, :28] for name, rows in outputs.items()}
    truth = {name: corpus.truth.argmax(axis=1) for name, corpus in corpora.items()}
    # 2. Map, prior and abstention, chosen on dev
    shares = np.bincount(truth['train'], minlength=7) / len(truth['train'])
    maps = {penalty: fitted(logits['train'], truth['train'], penalty) for penalty in PENALTIES}
    losses = {penalty: surprises(softmax(logits['dev'] @ w.T + b), truth['dev']) for penalty, (w, b) in maps.items()}
    penalty = strongest_within_one_error(losses)
    weights, bias = maps[penalty]
    prior = softened(shares, SOFTENED)
    bias = bias + np.log(prior / shares)
    bits = evidence_bits(softmax(logits['dev'] @ weights.T + bias), prior)
    named = (logits['dev'] @ weights.T + bias).argmax(axis=1)
    least = least_evidence(bits, named == truth['dev'], truth['dev'] == np.bincount(truth['dev']).argmax())
    added = {'dialogue': weights, 'dialogue_bias': bias, 'dialogue_prior': prior, 'least_evidence': np.array([least])}
    write(path, arrays | {name: np.asarray(array, np.float32) for name, array in added.items()})
    # 3. Judged where nothing was chosen
    reader = TextEmotion()
    card = json.loads((MODELS / 'textual_emotion.json').read_text())
    card['architecture']['bytes'] = path.stat().st_size
    card['sha256'] = hashlib.sha256(path.read_bytes()).hexdigest()
    card['reported_prior'] = {name: round(float(share), 4) for name, share in zip(EKMAN, prior, strict=True)}
    outer = {'iemocap': 'IEMOCAP', 'test': 'MELD test'}
    card['metrics']['dialogue'] = {
        shown: judged(reader, corpora[name], logits[name], prior) for name, shown in outer.items()
    }
    card['metrics']['dialogue_other_direction'] = other_direction(logits, truth)
    card['carries_over'] = exponent(reader.dialogue(logits['iemocap'].astype(np.float32)), truth['iemocap'], prior)
    card['metrics']['dialogue_powers'] = powers(logits, truth, weights, bias, prior, shares)
    card['validation']['dialogue'] = {
        'log_loss_on_dev_by_penalty': {f'{key:g}': round(float(loss.mean()), 4) for key, loss in losses.items()},
        'standard_error': round(float(standard_error(min(losses.values(), key=np.mean))), 4),
        'penalty': penalty,
        'least_evidence_bits': round(least, 3),
    }
    card['validation']['valence_of_spoken_lines'] = {
        shown: valence_scores(outputs[name][:, 28], truth[name])
        for name, shown in (('dev', 'MELD dev'), ('iemocap', 'IEMOCAP'))
    }
    (MODELS / 'textual_emotion.json').write_text(json.dumps(card, indent=1, ensure_ascii=False) + '\n')
    (MODELS / 'textual_emotion.md').write_text(render_card(card))


def outputs_of(reader: TextEmotion, corpus: Texts, cache: Path) -> Floats:
    """(N, 28 + 3) outputs of the heads and dimensions, from the cache where it has these heads and texts."""
    with np.load(MODELS / 'textual_emotion.npz') as file:
        digest = hashlib.sha256(file['whole'].tobytes() + json.dumps(corpus.texts).encode()).hexdigest()
    kept = cache / f'{corpus.name}-{digest[:12]}.npy'
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.hstack(reader.outputs(corpus.texts)))
    return np.asarray(np.load(kept), np.float64)


def write(path: Path, arrays: Arrays) -> None:
    np.savez_compressed(path, **{name: np.asarray(array, np.float32) for name, array in arrays.items()})


def softmax(scores: Floats) -> Floats:
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def softened(shares: Floats, power: float) -> Floats:
    return np.asarray(shares**power / np.sum(shares**power))


def surprises(posterior: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    """(N,) -log of the probability of what was true."""
    return np.asarray(-np.log(np.maximum(posterior[np.arange(len(truth)), truth], 1e-12)))


def standard_error(losses: Floats) -> float:
    return float(losses.std(ddof=1) / np.sqrt(len(losses)))


def fitted(logits: Floats, truth: npt.NDArray[np.int64], penalty: float, classes: int = 7) -> tuple[Floats, Floats]:
    """Weights (K, 28) and bias (K,) of the multinomial regression with half the penalty on squared weights."""
    wanted = np.eye(classes)[truth]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights, bias = flat[:-classes].reshape(classes, -1), flat[-classes:]
        posterior = softmax(logits @ weights.T + bias)
        value = surprises(posterior, truth).sum() + penalty / 2 * np.square(weights).sum()
        slope = posterior - wanted
        return float(value), np.concatenate([(slope.T @ logits + penalty * weights).ravel(), slope.sum(axis=0)])

    start = np.zeros(classes * (logits.shape[1] + 1))
    best = minimize(loss, start, jac=True, method='L-BFGS-B', options={'maxiter': 2000}).x
    return best[:-classes].reshape(classes, -1), best[-classes:]


def strongest_within_one_error(losses: dict[float, Floats]) -> float:
    """The largest penalty whose mean loss lies within one standard error of the least (Breiman et al. 1984)."""
    best = min(losses.values(), key=np.mean)
    limit = best.mean() + standard_error(best)
    return max(penalty for penalty, loss in losses.items() if loss.mean() <= limit)


def least_evidence(bits: Floats, right: npt.NDArray[np.bool_], commonest: npt.NDArray[np.bool_]) -> float:
    """The most bits up to which the named category is right hardly more often than the commonest one."""
    order = np.argsort(bits)
    ahead = np.cumsum(right[order].astype(float) - commonest[order]) / np.arange(1, len(order) + 1)
    return float(bits[order][np.flatnonzero(ahead <= MORE_OFTEN_RIGHT)[-1]])


def exponent(posterior: Floats, truth: npt.NDArray[np.int64], prior: Floats) -> float:
    """The power of the likelihood ratio with the least log loss against equal shares of the classes that occur."""
    present = np.unique(truth)
    ratio = np.log(posterior[:, present] / prior[present])
    classes = np.searchsorted(present, truth)
    grid = np.round(np.arange(0.05, 1.01, 0.05), 2)
    return float(min(grid, key=lambda power: surprises(softmax(power * ratio), classes).mean()))


def judged(reader: TextEmotion, corpus: Texts, logits: Floats, prior: Floats) -> Scores:
    """Scores of the dialogue reading on one corpus over the categories that it has, beside what is trivial."""
    truth = corpus.truth.argmax(axis=1)
    posterior = reader.dialogue(logits.astype(np.float32))
    speaks = evidence_bits(posterior, prior) >= reader.least_evidence
    present = np.unique(truth)
    classes = np.searchsorted(present, truth)
    own = np.bincount(classes) / len(classes)
    written = reader.probabilities(logits.astype(np.float32))[1]
    words = keywords(corpus.texts, present)
    rows = {
        'this model': scores(posterior, classes, present, corpus.groups),
        'this model, where it speaks': scores(posterior[speaks], classes[speaks], present, corpus.groups[speaks]),
        'its register for written text': scores(written, classes, present, corpus.groups),
        'always neutral': {
            'accuracy': round(accuracy(truth, np.full(len(truth), EKMAN.index('neutral'))), 4),
            'macro_f1': round(macro_f1(truth, np.full(len(truth), EKMAN.index('neutral')), present.tolist()), 4),
        },
        'keywords of affekt’s word table': {
            'accuracy': round(accuracy(truth, words), 4),
            'macro_f1': round(macro_f1(truth, words, present.tolist()), 4),
        },
        'the prior alone': {'log_loss': constant(prior[present] / prior[present].sum(), classes)},
        'the shares of this very set': {'log_loss': constant(own, classes)},
    }
    return {
        'n': len(truth),
        'categories': [EKMAN[k] for k in present],
        'coverage': round(float(speaks.mean()), 4),
        'rows': rows,
    }


def scores(posterior: Floats, classes: npt.NDArray[np.int64], present: npt.NDArray[np.int64], groups: Floats) -> Scores:
    """Accuracy, macro-F1 with its interval, log loss, calibration error; over the categories that occur."""
    shares = posterior[:, present] / posterior[:, present].sum(axis=1, keepdims=True)
    answer = shares.argmax(axis=1)
    names = list(range(len(present)))
    spread = bootstrap_interval(
        lambda truth, prediction: macro_f1(truth, prediction, names), classes, answer, groups=groups,
        rng=np.random.default_rng(SEED), resamples=200,
    )  # fmt: skip
    return {
        'accuracy': round(accuracy(classes, answer), 4),
        'macro_f1': round(spread.value, 4),
        'macro_f1_low': round(spread.low, 4),
        'macro_f1_high': round(spread.high, 4),
        'log_loss': round(float(surprises(shares, classes).mean()), 4),
        'calibration_error': round(expected_calibration_error(shares, classes), 4),
        'stated': round(float(shares.max(axis=1).mean()), 4),
    }


def constant(shares: Floats, classes: npt.NDArray[np.int64]) -> float:
    return round(float(-np.log(shares)[classes].mean()), 4)


def keywords(texts: Sequence[str], present: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The category among `present` with most words in affekt's own table of emotion words; neutral without any."""
    sectors = read_table(PACKAGED_TABLE).fold('affekt-L1')
    known = {
        form: EKMAN.index(SECTORS[sector])
        for form, sector in sectors.items()
        if sector in SECTORS and form not in EVERYDAY and form not in IN_STATE_ONLY
    }
    answers = []
    for text in texts:
        counts = np.zeros(len(EKMAN))
        for word in re.findall(r"[a-z']+", text.casefold()):
            if word in known:
                counts[known[word]] += 1
        counts = np.where(np.isin(np.arange(len(EKMAN)), present), counts, 0.0)
        answers.append(int(counts.argmax()) if counts.any() else EKMAN.index('neutral'))
    return np.array(answers)


def valence_scores(ratings: Floats, truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """Read valence against the place of the true category: correlation, residual, and the mean over neutral lines."""
    valence, place = (ratings - 3.0) / 2.0, coordinates(EKMAN)[truth, 0]
    slope, offset = np.polyfit(valence, place, 1)
    return {
        'pearson': round(pearson(place, valence), 3),
        'residual_sd': round(float((place - slope * valence - offset).std()), 3),
        'sd_of_places': round(float(place.std()), 3),
        'mean_where_neutral': round(float(valence[truth == EKMAN.index('neutral')].mean()), 3),
    }


def other_direction(logits: dict[str, Floats], truth: dict[str, npt.NDArray[np.int64]]) -> Scores:
    """A check: the same map fitted on IEMOCAP's four categories, judged on MELD's test lines of these."""
    present = np.unique(truth['iemocap'])
    rows = np.isin(truth['test'], present)
    weights, bias = fitted(logits['iemocap'], np.searchsorted(present, truth['iemocap']), PENALTIES[1], len(present))
    own = np.bincount(np.searchsorted(present, truth['iemocap'])) / len(truth['iemocap'])
    prior = softened(own, SOFTENED)
    posterior = softmax(logits['test'][rows] @ weights.T + bias + np.log(prior / own))
    classes = np.searchsorted(present, truth['test'][rows])
    everyone = np.arange(len(classes))
    row = scores(posterior, classes, np.arange(len(present)), everyone)
    return {
        'n': int(rows.sum()),
        'categories': [EKMAN[k] for k in present],
        **row,
        'prior_log_loss': constant(prior, classes),
    }


def powers(
    logits: dict[str, Floats],
    truth: dict[str, npt.NDArray[np.int64]],
    weights: Floats,
    bias: Floats,
    prior: Floats,
    shares: Floats,
) -> dict[str, dict[str, dict[str, float]]]:
    """Macro-F1, log loss and calibration error at other powers of the training shares."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for power in POWERS:
        other = softened(shares, power)
        table[f'{power:g}'] = {}
        for name, shown in (('dev', 'MELD dev'), ('test', 'MELD test'), ('iemocap', 'IEMOCAP')):
            present = np.unique(truth[name])
            posterior = softmax(logits[name] @ weights.T + bias + np.log(other / prior))[:, present]
            posterior /= posterior.sum(axis=1, keepdims=True)
            classes = np.searchsorted(present, truth[name])
            table[f'{power:g}'][shown] = {
                'macro_f1': round(macro_f1(classes, posterior.argmax(axis=1), list(range(len(present)))), 3),
                'log_loss': round(float(surprises(posterior, classes).mean()), 3),
                'calibration_error': round(expected_calibration_error(posterior, classes), 3),
            }
    return table


if __name__ == '__main__':
    main()
