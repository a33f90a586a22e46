"""From data to `measurements/results/preference.json`: can a text-only model predict which description is preferred?

    python recipes/preference/train.py --data DIR --cache DIR

DIR holds `preferences/pandalm_testset-v1.json` and `mer2024_ov/final-EMER-reason.csv`. Two tasks:

- *PandaLM*: 999 pairs of answers to instructions, three annotators each (Apache-2.0). Split by instruction into train,
  validation and test, by hash. About answers, not emotion: it is the one set with texts and people's choices here.
- *Controlled errors*: 332 descriptions of real clips (EMER), each against itself with other feelings. Samples whose
  name hashes to an odd first digit are test; of the others, a quarter is validation. *Reworded*: the right description
  has words exchanged too, for others of the same feeling, so that traces of the exchange do not tell.

Everything is chosen on validation; test is only scored. A model would be worth shipping if it beats the longer text on
all test pairs of PandaLM with an interval above 0.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from affekt.preference.controlled_errors import controlled_errors
from affekt.preference.embedding import CachedEmbedder, SentenceEmbedder
from affekt.preference.evaluation import PreferenceEvaluation, answers_of, evaluate_preferences
from affekt.preference.features import raw_features
from affekt.preference.model import (
    PreferenceModel,
    PreferenceSettings,
    fit_preferences,
    held_out_samples,
    train_preferences,
)
from affekt.preference.pairs import Pairs, read_pairs
from affekt.runs import file_sha256, versions, write_atomically
from affekt.typed_json import json_file

RESULTS = Path(__file__).resolve().parents[2] / 'measurements' / 'results' / 'preference.json'
PANDALM, EMER = 'preferences/pandalm_testset-v1.json', 'mer2024_ov/final-EMER-reason.csv'
SEED = 20240417
CONTROLS = {'free': (), 'length controlled': ('length',), 'length and source controlled': ('length', 'source')}
ERROR_GRID = tuple(
    PreferenceSettings(blocks, directions=64, crossed=crossed, penalty=penalty)
    for blocks, crossed in (
        (('surface',), 12),
        (('emotion',), 12),
        (('surface', 'emotion', 'embedding'), 12),
        (('surface', 'emotion', 'embedding', 'crossed'), 24),
    )
    for penalty in (1.0, 3.0, 10.0, 30.0, 100.0)
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--cache', type=Path, required=True)
    chosen = parser.parse_args()
    embedder = CachedEmbedder(SentenceEmbedder(), chosen.cache / 'preference-vectors.npz')
    found = {
        'versions': versions(),
        'inputs': {Path(name).name: file_sha256(chosen.data / name) for name in (PANDALM, EMER)},
        'embedder': embedder.name,
        'seed': SEED,
        'pandalm': pandalm(chosen.data / PANDALM, embedder),
        'controlled_errors': emotion_errors(chosen.data / EMER, embedder),
        'controlled_errors_reworded': emotion_errors(chosen.data / EMER, embedder, reworded=True),
    }
    write_atomically(RESULTS, json_file(found))


def pandalm(path: Path, embedder: CachedEmbedder) -> dict[str, Any]:
    """Free and controlled models, chosen on validation, scored once on test."""
    pairs = read_pairs(path, judged=True)
    is_test = held_out_samples(pairs, 0.4)
    rest, test = pairs.take(~is_test), pairs.take(is_test)
    is_validation = held_out_samples(rest, 0.25)
    train, validation = rest.take(~is_validation), rest.take(is_validation)
    found: dict[str, Any] = {'split': sizes(train=train, validation=validation, test=test), 'models': {}}
    for name, control in CONTROLS.items():
        model = train_preferences(train, validation, embedder=embedder, control=control)
        evaluation = scored(model, test, train)
        found['models'][name] = {'chosen': asdict(model.settings), 'tried': tried(model), **compact(evaluation)}
        show(f'PandaLM, {name}', evaluation)
    found['rules'] = rules(evaluation)
    found['annotators'] = dict(evaluation.annotators)
    lead = found['models']['free']['lead over longer text']['all pairs']
    found['worth_shipping'] = bool(lead[1] > 0.0)
    return found


def emotion_errors(path: Path, embedder: CachedEmbedder, *, reworded: bool = False) -> dict[str, Any]:
    """The model chosen on validation, and what each kind of feature reaches alone, on test."""
    with path.open(encoding='utf-8-sig', newline='') as file:
        descriptions = {row['name']: row['english'] for row in csv.DictReader(file)}
    digits = {name: hashlib.sha256(name.encode()).hexdigest()[:2] for name in descriptions}
    parts: dict[str, dict[str, str]] = {'train': {}, 'validation': {}, 'test': {}}
    for name, text in descriptions.items():
        first, second = (int(digit, 16) for digit in digits[name])
        parts['test' if first % 2 else 'validation' if second < 4 else 'train'][name] = text
    rng = np.random.default_rng(SEED)
    train, validation, test = (
        controlled_errors(parts[part], rng=rng, versions=versions_each, reworded=reworded)
        for part, versions_each in (('train', 4), ('validation', 3), ('test', 2))
    )
    found: dict[str, Any] = {'split': sizes(train=train, validation=validation, test=test), 'models': {}}
    best = train_preferences(train, validation, embedder=embedder, grid=ERROR_GRID)
    found['chosen'] = asdict(best.settings)
    found['tried'] = tried(best)
    seen = raw_features(train, embedder)
    losses = {entry['log_loss']: entry['settings'] for entry in best.facts['tried']}
    for blocks in dict.fromkeys(one.blocks for one in ERROR_GRID):
        least = min(loss for loss, settings in losses.items() if tuple(settings['blocks']) == blocks)
        settings = next(one for one in ERROR_GRID if asdict(one) == losses[least])
        model = fit_preferences(train, seen, settings, embedder)
        evaluation = scored(model, test, train)
        found['models'][', '.join(blocks)] = {'penalty': settings.penalty, **compact(evaluation)}
        show(f'{"reworded" if reworded else "plain"} errors, {", ".join(blocks)}', evaluation)
    found['rules'] = rules(evaluation)
    return found


def scored(model: PreferenceModel, test: Pairs, train: Pairs) -> PreferenceEvaluation:
    rng = np.random.default_rng(SEED)
    return evaluate_preferences(test, answers_of(model, test), rng=rng, learned_from=train, resamples=2000)


def sizes(**parts: Pairs) -> dict[str, Any]:
    return {name: {'pairs': len(held), 'samples': len(set(held.groups.tolist()))} for name, held in parts.items()}


def tried(model: PreferenceModel) -> list[dict[str, Any]]:
    return [
        {
            'blocks': entry['settings']['blocks'],
            'penalty': entry['settings']['penalty'],
            'validation log loss': round(entry['log_loss'], 4),
        }
        for entry in model.facts['tried']
    ]


def compact(found: PreferenceEvaluation) -> dict[str, Any]:
    """Scores as [value, low, high] by view."""
    judge = found.judge
    rule = found.shortcuts['longer text']
    return {
        'scores': {view: listed(held) for view, held in judge.views.items()},
        'lead over longer text': listed(rule.lead),
        'takes the longer text': round(judge.longer, 4),
        'swap_consistency': judge.swap_consistency,
        'against each annotator': round(judge.against_annotators, 4),
    }


def rules(found: PreferenceEvaluation) -> dict[str, Any]:
    held = {name: {view: listed(scores) for view, scores in one.views.items()} for name, one in found.shortcuts.items()}
    return {'views': [asdict(view) for view in found.views], 'scores': held}


def listed(scores: Any) -> dict[str, Sequence[float]]:
    return {name: [round(v, 4) for v in (held.value, held.low, held.high)] for name, held in scores.items()}


def show(title: str, found: PreferenceEvaluation) -> None:
    print(title)
    for view, held in found.judge.views.items():
        print(f'  {view:18} {held["even"]}   longer text {found.shortcuts["longer text"].views[view]["even"]}')


if __name__ == '__main__':
    main()
