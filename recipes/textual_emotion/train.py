"""From data to `affekt/models/textual_emotion.npz`, its cards and its figures.

    python recipes/textual_emotion/train.py --data DIR --cache DIR [--variants means,two layers,three layers]

DIR holds `goemotions/original`, `emobank/corpus`, `meld_text` and `merbench`. The encoder is frozen: its states of
every word piece are kept in the cache (about 6 GB), and so is each trained variant, so that a stopped run goes on
where it was. Everything is chosen on the dev splits; the test splits are only scored.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from card import draw_calibration, draw_labels, render_card
from data import States, Texts, read_emobank, read_goemotions, read_meld, states_of
from dialogue import add_dialogue
from evaluate import emobank_metrics, goemotions_metrics, meld_metrics
from fit import (
    any_of,
    best_thresholds,
    categories_of,
    fit_platt,
    folded_categories,
    ridge_path,
    sigmoid,
    single,
)
from net import LABELS, Settings, train_heads

from affekt.arrays import Floats
from affekt.labels import EKMAN, GOEMOTIONS
from affekt.metrics import calibrated, fit_temperature, mean_average_precision, multilabel_macro_f1, pearson
from affekt.text.emotion import AttentiveHead
from affekt.text.sentences import DIMENSIONS, SentenceEncoder

MODELS = Path(__file__).resolve().parents[2] / 'affekt' / 'models'
FIGURES = Path(__file__).resolve().parents[2] / 'docs' / 'figures'
VARIANTS = {
    'means': Settings(attended=()),
    'two layers': Settings(attended=(4, 6)),
    'three layers': Settings(attended=(2, 4, 6)),
}
"""What was tried; the one with the smallest loss on dev is kept."""

OUTPUT_WEIGHT = 5.0
"""The heads' 28 outputs are few beside 2,688 means: standardised and enlarged, the penalty weighs less on them."""

PUBLISHED = {
    'GoEmotions, 28 labels, macro-F1: fine-tuned BERT (arXiv:2005.00547)': 0.46,
    'GoEmotions, 28 labels, macro-F1: biLSTM (arXiv:2005.00547)': 0.41,
    'GoEmotions, 7 categories, multi-label macro-F1: fine-tuned BERT (arXiv:2005.00547)': 0.64,
    'GoEmotions, 7 categories, multi-label macro-F1: biLSTM (arXiv:2005.00547)': 0.53,
    'MELD, weighted F1, trained on MELD with the dialogue: EmotionFlow, RoBERTa-large (ICASSP 2022)': 0.665,
}
"""As their authors report them; nothing here was measured by us."""


DATA = (
    'GoEmotions (arXiv:2005.00547), filtered release; EmoBank (Buechel & Hahn 2017, E17-2092); for the map of spoken '
    'lines the labels of MELD (arXiv:1810.02508) against the outputs of the heads'
)
LICENCE = (
    'weights Apache-2.0; trained on GoEmotions (Apache-2.0) and EmoBank (CC BY-SA 4.0: share alike); 203 numbers '
    'fitted on MELD (repository GPL-3.0; no text of it is contained)'
)


@dataclass(frozen=True)
class Corpus:
    """A corpus with what the encoder makes of it."""

    texts: Texts
    states: States
    means: npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--cache', type=Path, required=True)
    parser.add_argument('--variants', default=','.join(VARIANTS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    # 1. Texts and states
    encoder = SentenceEncoder()
    corpora = {texts.name: texts for texts in all_texts(chosen.data)}
    ready = {name: prepared(texts, encoder, chosen.cache) for name, texts in corpora.items()}
    # 2. Heads for labels and categories, chosen on dev
    variants = {name: trained(name, ready, chosen.cache) for name in chosen.variants.split(',')}
    compared = {name: dev_scores(outputs['dev'], ready['goemotions-dev'].texts) for name, outputs in variants.items()}
    best = min(compared, key=lambda name: compared[name]['loss'])
    heads = variants[best]
    # 3. Calibration and thresholds, on dev
    arrays, choices = calibrate(heads, ready['goemotions-dev'].texts)
    # 4. Valence, arousal, dominance, chosen on dev
    dimensions, path = fit_dimensions(ready, arrays)
    arrays |= dimensions
    saved = MODELS / 'textual_emotion.npz'
    np.savez_compressed(saved, **{name: array for name, array in arrays.items() if not name.startswith('group_')})
    # 5. Test, once
    card = describe(saved, best, compared, choices, path, corpora)
    card['metrics'] = {
        'goemotions': goemotions_metrics(ready['goemotions-test'].texts, heads['test'], arrays),
        'emobank': emobank_metrics(
            ready['emobank-test'],
            outputs_of(arrays, ready['emobank-test'].states),
            ready['emobank-train'].texts,
            arrays,
        ),
        'meld': meld_metrics(ready['meld-test'].texts, heads['meld'], arrays),
    }
    # 6. Cards and figures
    (MODELS / 'textual_emotion.json').write_text(json.dumps(card, indent=1, ensure_ascii=False) + '\n')
    (MODELS / 'textual_emotion.md').write_text(render_card(card))
    FIGURES.mkdir(parents=True, exist_ok=True)
    (FIGURES / 'textual_emotion_labels.svg').write_text(draw_labels(card))
    (FIGURES / 'textual_emotion_calibration.svg').write_text(draw_calibration(card))
    # 7. Categories of spoken lines
    add_dialogue(chosen.data, chosen.cache)


def all_texts(folder: Path) -> list[Texts]:
    splits = ('train', 'dev', 'test')
    return [
        *(read_goemotions(folder / 'goemotions' / 'original', split) for split in splits),
        *(read_emobank(folder / 'emobank' / 'corpus', split) for split in splits),
        read_meld(folder / 'meld_text', 'test'),
    ]


def prepared(texts: Texts, encoder: SentenceEncoder, cache: Path) -> Corpus:
    """The states of a corpus, and their means, from the cache where they are there."""
    states = states_of(texts, encoder, cache)
    means_at = cache / f'{texts.name}-means.npy'
    if not means_at.exists():
        np.save(means_at, states.means())
    return Corpus(texts, states, np.load(means_at))


def trained(name: str, ready: dict[str, Corpus], cache: Path) -> dict[str, npt.NDArray[np.float32]]:
    """A variant's folded arrays and its outputs for GoEmotions dev and test and for MELD."""
    settings = VARIANTS[name]
    key = hashlib.sha256(json.dumps(asdict(settings)).encode()).hexdigest()[:12]
    kept = cache / f'heads-{key}.npz'
    if not kept.exists():
        train = ready['goemotions-train']
        truth = train.texts.truth
        heads = train_heads(
            train.states, train.means, truth, categories_of(truth), settings, lambda line: print(f'{name}: {line}')
        ).folded()
        outputs = {
            short: outputs_of(heads, ready[corpus].states)
            for short, corpus in (('dev', 'goemotions-dev'), ('test', 'goemotions-test'), ('meld', 'meld-test'))
        }
        np.savez(kept, **heads, **outputs)
    with np.load(kept) as file:
        return {name: file[name] for name in file.files}


def outputs_of(heads: dict[str, npt.NDArray[np.float32]], states: States) -> npt.NDArray[np.float32]:
    """(N, 35) or (N, 28) outputs of the heads as they run in affekt, for every text of a corpus."""
    head = AttentiveHead(*(heads[part] for part in ('whole', 'query', 'value', 'bias')))
    rows = (states.values[begin:end][None].astype(np.float32) for begin, end in pairwise(states.starts))
    return np.concatenate([head(row) for row in rows])


def dev_scores(outputs: npt.NDArray[np.float32], dev: Texts) -> dict[str, float]:
    """Losses and scores on dev; macro-F1 with calibration and thresholds of the other half of dev."""
    logits, truth = outputs[:, :LABELS].astype(np.float64), dev.truth
    chances = sigmoid(logits)
    even = np.arange(len(truth)) % 2 == 0
    decided = np.zeros(truth.shape, bool)
    for half in (even, ~even):
        slope, offset = fit_platt(logits[~half], truth[~half])
        fitted = sigmoid(logits * slope + offset)
        decided[half] = fitted[half] >= best_thresholds(fitted[~half])
    surprise = -(truth * np.log(chances) + (1 - truth) * np.log(1 - chances)).mean()
    categories = calibrated(outputs[:, LABELS:], 1.0)
    return {
        'loss': float(surprise),
        'mean_average_precision': mean_average_precision(truth, chances),
        'macro_f1_cross': multilabel_macro_f1(truth, decided),
        'categories_loss': float(-(categories_of(truth) * np.log(categories)).sum(axis=1).mean()),
    }


def calibrate(
    heads: dict[str, npt.NDArray[np.float32]], dev: Texts
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, object]]:
    """Slope and offset of each label, thresholds, and the temperature of the categories; and what was compared."""
    logits, truth = heads['dev'].astype(np.float64), dev.truth
    slope, offset = fit_platt(logits[:, :LABELS], truth)
    chances = sigmoid(logits[:, :LABELS] * slope + offset)
    group_slope, group_offset = fit_platt(any_of(chances), np.ceil(categories_of(truth)))
    sums, apart = np.log(folded_categories(chances)), logits[:, LABELS:]
    rows = single(truth)
    temperature = fit_temperature(sums[rows], categories_of(truth)[rows].argmax(axis=1))
    choices = {
        'categories_on_dev': {
            'sums of the labels': category_scores(sums, truth),
            'head of their own': category_scores(apart, truth),
        },
        'temperature': round(temperature, 4),
    }
    arrays = {name: heads[name][:LABELS] for name in ('whole', 'query', 'value', 'bias')}
    arrays |= {'slope': slope, 'offset': offset, 'thresholds': best_thresholds(chances)}
    arrays |= {'temperature': np.array([temperature])}
    arrays |= {'group_slope': group_slope, 'group_offset': group_offset}
    arrays |= {'group_thresholds': best_thresholds(sigmoid(any_of(chances) * group_slope + group_offset))}
    return {name: array.astype(np.float32) for name, array in arrays.items()}, choices


def category_scores(logits: Floats, truth: npt.NDArray[np.float32]) -> dict[str, float]:
    """Log-loss and accuracy on comments of one category, at the best temperature."""
    rows = single(truth)
    classes = categories_of(truth)[rows].argmax(axis=1)
    categories = calibrated(logits[rows], fit_temperature(logits[rows], classes))
    return {
        'loss': round(float(-np.log(categories[np.arange(len(classes)), classes]).mean()), 4),
        'accuracy': round(float((categories.argmax(axis=1) == classes).mean()), 4),
    }


def fit_dimensions(
    ready: dict[str, Corpus], heads: dict[str, npt.NDArray[np.float32]]
) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, dict[str, list[float]]]]:
    """Ridge regression of valence, arousal, dominance; its inputs and penalty by the mean correlation on dev."""
    train, dev = ready['emobank-train'], ready['emobank-dev']
    wide = {corpus.texts.name: np.hstack([corpus.means, outputs_of(heads, corpus.states)]) for corpus in (train, dev)}
    width = train.means.shape[1]
    importance = np.where(np.arange(wide[train.texts.name].shape[1]) < width, 1.0, OUTPUT_WEIGHT)
    tried: dict[str, dict[str, list[float]]] = {}
    best = (-1.0, np.zeros((3, 0)), np.zeros(3))
    for name, columns in (
        ('last layer', slice(width - DIMENSIONS, width)),
        ('all layers', slice(0, width)),
        ('all layers and the outputs of the heads', slice(0, None)),
    ):
        tried[name] = {}
        inputs = wide[train.texts.name][:, columns]
        for penalty, weights, bias in ridge_path(inputs, train.texts.truth, importance[columns]):
            found = wide[dev.texts.name][:, columns] @ weights.T + bias
            scores = [pearson(dev.texts.truth[:, k], found[:, k]) for k in range(3)]
            tried[name][f'{penalty:g}'] = [round(score, 4) for score in scores]
            if np.mean(scores) > best[0]:
                full = np.zeros((3, wide[dev.texts.name].shape[1]))
                full[:, columns] = weights
                best = (float(np.mean(scores)), full, bias)
    arrays = {
        'dimensions': best[1][:, :width],
        'dimensions_of_logits': best[1][:, width:],
        'dimensions_bias': best[2],
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}, tried


def describe(
    saved: Path,
    best: str,
    compared: dict[str, dict[str, float]],
    choices: dict[str, object],
    path: dict[str, dict[str, list[float]]],
    corpora: dict[str, Texts],
) -> dict[str, object]:
    """The card without its test figures."""
    return {
        'name': 'textual_emotion',
        'task': 'Emotion of English sentences: 28 labels, seven categories, valence, arousal, dominance',
        'data': DATA,
        'licence': LICENCE,
        'commercial_ok': True,
        'split': {'note': 'official splits', **{name: len(texts.texts) for name, texts in corpora.items()}},
        'selection': (
            'variant, calibration, thresholds and penalty on the dev splits; no choice looked at a test split, '
            'though test was scored in two full runs of the recipe; the map of spoken lines on MELD alone'
        ),
        'inputs': {'states': 'float32 (N, T, 2688): all layers of minilm-l6-int8.onnx, for each of T word pieces'},
        'outputs': {
            'labels': '28 probabilities, each on its own, with a threshold each',
            'categories': '7 probabilities that sum to 1: sums of the labels, sharpened by the temperature',
            'dimensions': "valence, arousal, dominance on EmoBank's scale of 1 to 5; (x - 3) / 2 in affekt",
        },
        'labels': {'labels': list(GOEMOTIONS), 'categories': list(EKMAN)},
        'published': PUBLISHED,
        'architecture': {'chosen': best, 'settings': asdict(VARIANTS[best]), 'bytes': saved.stat().st_size},
        'validation': {'goemotions': compared, **choices, 'emobank_pearson_by_penalty': path},
        'limits': [
            'Reads what is written, not what is felt: irony, quotation and politeness are taken as they stand.',
            'English only; other languages are told by their letters and commonest words, and abstained from.',
            'Made from comments on Reddit of 2005 to 2019: short, informal, mostly young men; see its paper on bias.',
            'One sentence at a time: what was said before is not known, though people judge by it.',
            'Grief, relief, pride, nervousness and embarrassment are rare (6 to 37 test comments): figures are loose.',
            'Certainty is calibrated on comments and one comedy; on other dialogue it is a little too high (IEMOCAP).',
            'Most spoken lines are worded plainly: it abstains from them, and voice and face have to tell.',
            'Valence, arousal, dominance are means of readers on EmoBank, drawn to the middle: small numbers count.',
            'Fairness across ages, genders and dialects was not measured: the corpora do not say.',
        ],
        'sha256': hashlib.sha256(saved.read_bytes()).hexdigest(),
        'recipe': 'recipes/textual_emotion/train.py',
    }


if __name__ == '__main__':
    main()
