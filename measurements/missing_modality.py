"""What missing modalities cost, and what training with gaps gives back: CMU-MOSI in three modalities, on its test.

    python measurements/missing_modality.py [--data DIR] [--work DIR] [--out FILE]

The released utterance features of CMU-MOSI (binary sentiment; audio 73, text 100, video 100 columns). Its text and
video columns were learnt by others on the same train part, with labels. Each model is trained on complete samples, and
on four copies of each with half of what there is missing at random. A fifth of the train part, by recording, chooses
the epoch (on complete samples). Weighted F1, mean of three seeds: complete, the mean over the six smaller sets of
modalities, the mean over random rates from 0.1 to 0.7 (0.7 stands for two thirds). Differences are paired, over
recordings. Needs torch, on the CPU.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from merbench import three_modalities
from semi_supervised import DATA, HERE, RESAMPLES

from affekt.experiments import ExperimentSettings, Task, mean_over_seeds, open_task, task_samples
from affekt.fusion import FusionShape, build_fusion
from affekt.metrics import Measure, categorical_measure, holm, measure_intervals
from affekt.metrics.resampling import paired_test
from affekt.runs import write_atomically
from affekt.training import Samples, TrainingSettings, missing_modality_answers, train, with_gaps
from affekt.typed_json import json_file

MODELS = ('linear', 'gated', 'attention')
WAYS = ('complete', 'with gaps')
SEEDS = (1, 2, 3)
COPIES, GAPS = 4, 0.5


def samples_of(task: Task, index: np.ndarray) -> Samples:
    return task_samples(task, index, {name: torch.from_numpy(rows[index]) for name, rows in task.features.items()})


def answers(task: Task, name: str, way: str, seed: int) -> dict[str, tuple[str, np.ndarray]]:
    """What is kept to its kind and the (T,) categories of the tested samples."""
    fold = task.fair[0]
    learnt, choosing, tested = (samples_of(task, part) for part in (fold.train, fold.validation, fold.test))
    if way == 'with gaps':
        learnt = with_gaps(learnt.subset(torch.arange(len(learnt)).repeat(COPIES)), GAPS, seed=seed)
    torch.manual_seed(seed)
    sizes = {modality: rows.shape[1] for modality, rows in task.features.items()}
    model = build_fusion(name, FusionShape(sizes, 2, values=0, hidden=64))
    epochs = 20 if way == 'with gaps' else 20 * COPIES  # as many steps
    settings = TrainingSettings(
        seed, epochs, learning_rate=1e-3, weight_decay=1e-3, patience=epochs // 4, score='weighted_f1'
    )
    best = train(model, learnt, choosing, settings).healthy()
    return {
        each.name: (each.kind, each.predicted.logits.argmax(dim=1).numpy())
        for each in missing_modality_answers(best.model, tested)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--work', type=Path, default=HERE.parent / '.semi')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'missing_modality.json')
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = open_task(*three_modalities(options.data, options.work), ExperimentSettings())
    assert task.labels is not None
    index = task.fair[0].test
    truth, groups, rng = task.labels[index], task.manifest.groups()[index], np.random.default_rng(0)
    result: dict[str, Any] = {'tested': len(index), 'groups': len(set(groups)), 'models': {}}
    tests = []
    for name in MODELS:
        kinds: dict[str, dict[str, Measure]] = {}
        row: dict[str, Any] = {}
        for way in WAYS:
            each: dict[str, list[Measure]] = {}
            for seed in SEEDS:
                for kept, (pattern, predicted) in answers(task, name, way, seed).items():
                    measure = categorical_measure(truth, predicted, 2)
                    for key in (kept, pattern) if pattern != kept else (kept,):
                        each.setdefault(key, []).append(measure)
            kinds[way] = {key: mean_over_seeds(each[key]) for key in ('complete', 'fixed', 'random')}
            row[way] = {
                key: round(mean_over_seeds(measures).scores()['weighted_f1'], 4) for key, measures in each.items()
            }
            for key, seeds_mean in kinds[way].items():
                interval = measure_intervals(seeds_mean, rng=rng, groups=groups, resamples=RESAMPLES)['weighted_f1']
                row[way][f'{key} interval'] = [round(interval.low, 4), round(interval.high, 4)]
            print(name, way, row[way], flush=True)
        row['gain of gaps'] = {}
        for key in ('complete', 'fixed', 'random'):
            gapped, complete = kinds['with gaps'][key], kinds['complete'][key]
            gain, p = paired_test(
                gapped.columns, complete.columns, gapped.statistic, rng=rng, groups=groups, resamples=RESAMPLES
            )['weighted_f1']  # fmt: skip
            row['gain of gaps'][key] = {'value': [round(v, 4) for v in (gain.value, gain.low, gain.high)], 'p': p}
            tests.append(row['gain of gaps'][key])
        result['models'][name] = row
    for test, adjusted in zip(tests, holm([test['p'] for test in tests]), strict=True):
        test['p_holm'] = adjusted
    write_atomically(options.out, json_file(result))


if __name__ == '__main__':
    main()
