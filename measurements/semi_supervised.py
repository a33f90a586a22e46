"""What unlabelled clips give: few labels alone against guesses in rounds and consistency, on real data.

    python measurements/semi_supervised.py [--data DIR] [--work DIR] [--only CORPUS,…] [--out FILE]

MELD (published splits) through a sentence encoder (MiniLM), RAVDESS (by actors) through acoustic functionals. Of the
train part a share of each category keeps its labels, another draw each seed (one seed with all labels); the rest, and
the tested clips, are unlabelled, as in a challenge whose test lies among its unlabelled clips. Each way has six tries:
labels alone spend them on linear and gated models; guesses and consistency take the best of the first three of these
and spend the others on thresholds. Validation alone chooses, and it keeps all its labels, which at 5 % are more than
those that are learnt from: a real corpus of that size would choose worse. On the test only what was chosen is scored.
Differences are paired, over speakers or dialogues, p by Holm over all. A killed run goes on with the same --work. Needs
torch, on the CPU.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affekt.corpora import import_corpus
from affekt.experiments import (
    Answers,
    ExperimentSettings,
    FinishedRuns,
    Fold,
    Task,
    Trial,
    fair_run,
    mean_over_seeds,
    open_task,
)
from affekt.features import Store, extract
from affekt.metrics import Measure, categorical_measure, holm, measure_intervals
from affekt.metrics.resampling import paired_test
from affekt.runs import write_atomically
from affekt.training import SemiSettings
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
CORPORA = {
    'meld': ('merbench', 'minilm-utt', 'text'),
    'ravdess': ('ravdess_speech', 'acoustics-utt', 'audio'),
}
SHARES = (0.05, 0.1, 1.0)
SEEDS = (1, 2, 3)
DRAWS: list[tuple[str, dict[str, Any]]] = [
    ('linear', {'learning_rate': 3e-3, 'clip_value': None, 'dropout': 0.3, 'weight_decay': 1e-2}),
    ('gated', {'learning_rate': 1e-3, 'clip_value': None, 'hidden': 64, 'dropout': 0.3, 'weight_decay': 1e-3}),
    ('gated', {'learning_rate': 1e-3, 'clip_value': None, 'hidden': 64, 'dropout': 0.5, 'weight_decay': 1e-2}),
    ('linear', {'learning_rate': 3e-3, 'clip_value': None, 'dropout': 0.0, 'weight_decay': 1e-1}),
    ('linear', {'learning_rate': 3e-3, 'clip_value': None, 'dropout': 0.6, 'weight_decay': 1e-2}),
    ('gated', {'learning_rate': 3e-3, 'clip_value': None, 'hidden': 128, 'dropout': 0.5, 'weight_decay': 1e-2}),
]
FIRST = range(3)
"""The draws that guesses and consistency choose from; labels alone choose from all."""
WAYS = {
    'pseudo': [
        SemiSettings('pseudo', threshold=0.5, rounds=1), SemiSettings('pseudo', threshold=0.8, rounds=1),
        SemiSettings('pseudo', share=0.5, balanced=True, rounds=1),
    ],
    'consistency': [
        SemiSettings('consistency', threshold=0.5), SemiSettings('consistency', threshold=0.8),
        SemiSettings('consistency', threshold=0.8, teacher_decay=0.99),
    ],
}  # fmt: skip
RESAMPLES = 2000


def settings_for(labelled: int, share: float) -> ExperimentSettings:
    """Batches and patience in steps, so that few labels do not mean little training."""
    batch = 32 if share == 1 else 16
    steps = max(labelled // batch, 1)
    epochs, patience = (15, 4) if share == 1 else (max(800 // steps, 15), max(100 // steps, 4))
    return ExperimentSettings(epochs=epochs, patience=patience, batch_size=batch)


def hidden(task: Task, fold: Fold, share: float, seed: int) -> Fold:
    """The division in which a share of each category of train, at least one clip, keeps its label."""
    if share == 1:
        return fold
    rng = np.random.default_rng([seed, len(fold.train), int(1000 * share)])
    assert task.labels is not None
    kept = []
    for label in np.unique(task.labels[fold.train]):
        own = fold.train[task.labels[fold.train] == label]
        kept.append(rng.permutation(own)[: max(1, round(share * len(own)))])
    chosen = np.sort(np.concatenate(kept))
    rest = np.setdiff1d(fold.train, chosen)
    return Fold(chosen, fold.validation, np.concatenate([fold.test, rest]))


def shown(semi: SemiSettings) -> str:
    """What sets a try apart."""
    cut = f'share {semi.share:g}, balanced' if semi.share else f'threshold {semi.threshold:g}'
    return cut + (f', teacher {semi.teacher_decay:g}' if semi.teacher_decay else '')


def run_division(
    task: Task, fold: Fold, share: float, seed: int, runs: FinishedRuns, key: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Way to logits (T, C) of the tested clips, and what each chose."""
    part, modality = hidden(task, fold, share, seed), tuple(task.features)
    how = settings_for(len(part.train), share)

    def answers(name: str, at: int, semi: SemiSettings | None) -> Answers:
        model, draw = DRAWS[at]
        return runs.answers(f'{key}/{name}', Trial(task, part, modality, model, draw, how, seed, semi=semi), fair_run)

    alone = [answers(f'draw{at}', at, None) for at in range(len(DRAWS))]
    best = max(range(len(DRAWS)), key=lambda at: alone[at].score)
    tested, chosen = len(fold.test), {'labels alone': alone[best]}
    row: dict[str, Any] = {'labelled': len(part.train), 'labels alone': [DRAWS[best][0], alone[best].score]}
    if share < 1:
        first = max(FIRST, key=lambda at: alone[at].score)
        for way, tries in WAYS.items():
            candidates = [answers(f'{way}{number}', first, semi) for number, semi in enumerate(tries)]
            at = max(range(len(tries)), key=lambda number: candidates[number].score)
            chosen[way] = candidates[at]
            row[way] = [shown(tries[at]), candidates[at].score]
    logits = {way: each.test.logits[:tested] for way, each in chosen.items() if each.test is not None}
    return logits, row


def run_corpus(name: str, data: Path, work: Path, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Scores of each share and way, with paired differences."""
    release, recipe, modality = CORPORA[name]
    manifest = import_corpus(name, data / release)
    store = Store(extract(manifest, recipe, work / 'features' / name).path)
    task = open_task(manifest, {modality: store}, ExperimentSettings())
    assert task.labels is not None
    tested = np.concatenate([fold.test for fold in task.fair])
    groups, folder = task.manifest.groups()[tested], work / 'semi' / name
    rng = np.random.default_rng(0)
    result: dict[str, Any] = {'clips': len(manifest), 'tested': len(tested), 'groups': len(set(groups)), 'shares': {}}
    settings = {'draws': DRAWS, 'ways': {way: [asdict(each) for each in tries] for way, tries in WAYS.items()}}
    with FinishedRuns(folder, settings, resume=folder.exists()) as runs:
        for share in SHARES:
            measures: dict[str, list[Measure]] = {}
            chosen = []
            used = seeds if share < 1 else seeds[:1]
            for seed in used:
                logits: dict[str, list[np.ndarray]] = {}
                for t, fold in enumerate(task.fair):
                    fold_logits, how = run_division(task, fold, share, seed, runs, f'{share}/{seed}/{t}')
                    chosen.append(how)
                    print(name, share, seed, t, {way: entry[1] for way, entry in how.items() if way != 'labelled'},
                          flush=True)  # fmt: skip
                    for way, each in fold_logits.items():
                        logits.setdefault(way, []).append(each)
                for way, parts in logits.items():
                    answer = np.concatenate(parts).argmax(axis=1)
                    measures.setdefault(way, []).append(categorical_measure(task.labels[tested], answer, task.classes))
            whole = {way: mean_over_seeds(seed_measures) for way, seed_measures in measures.items()}
            row: dict[str, Any] = {
                'labelled': sorted({how['labelled'] for how in chosen}), 'seeds': len(used), 'chosen': chosen,
                'scores': {}, 'gains': {},
            }  # fmt: skip
            for way, mean_measure in whole.items():
                scores = measure_intervals(mean_measure, rng=rng, groups=groups, resamples=RESAMPLES)
                row['scores'][way] = {
                    score: [round(value, 4) for value in (each.value, each.low, each.high)]
                    for score, each in scores.items() if score in ('weighted_f1', 'balanced_accuracy')
                } | {'by_seed': [round(each.scores()['weighted_f1'], 4) for each in measures[way]]}  # fmt: skip
                if way == 'labels alone':
                    continue
                gain, p = paired_test(
                    mean_measure.columns, whole['labels alone'].columns, mean_measure.statistic, rng=rng, groups=groups,
                    resamples=RESAMPLES,
                )['weighted_f1']  # fmt: skip
                row['gains'][way] = {'weighted_f1': [round(v, 4) for v in (gain.value, gain.low, gain.high)], 'p': p}
            result['shares'][str(share)] = row
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--work', type=Path, default=HERE.parent / '.semi')
    parser.add_argument('--only', default=','.join(CORPORA))
    parser.add_argument('--seeds', type=int, default=len(SEEDS))
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'semi_supervised.json')
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.only.split(','):
        results[name] = run_corpus(name, options.data, options.work, SEEDS[: options.seeds])
        tests = [gain for each in results.values() for row in each['shares'].values() for gain in row['gains'].values()]
        for gain, adjusted in zip(tests, holm([gain['p'] for gain in tests]), strict=True):
            gain['p_holm'] = adjusted
        write_atomically(options.out, json_file(results))
        for share, row in results[name]['shares'].items():
            print(name, share, row['scores'], row['gains'])


if __name__ == '__main__':
    main()
