"""Training speed beside a plain rendering of the published loop, in CPU seconds of one process with one thread.

    python fusion_speed.py [--repeats 3] [--data DIR]

The plain loop is written here from its description: every batch collated from single arrays, evaluation and three test
sets after each epoch, an optimiser without fusion, batches of 32. Ours: tensors that stay in memory, validation alone
each epoch, tests once. Sizes are those of MER2023: 3,373 training samples in five folds, tests of 411, 412 and 834,
features of 1,024, 5,120 and 768, attention with H 128. The numbers are random: time does not depend on them. Epochs of
both loops take turns on one fold; the fastest of each counts, and five folds of 100 epochs are 500 times as much, plus
what each run does once.

The step of MFN (32 samples of 40 steps, H 128) is timed against one written here from the method, a cell a modality and
a step, with the same weights; their outputs and gradients are compared. Folds together against one by one are timed on
ten models.

With the data folder, what bfloat16 products do to the score: attention on the three features of CMU-MOSI, a fifth of
the training videos for validation, ten seeds each way; the difference of weighted F1 with its 95 % interval over seeds.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from affekt.fusion import MODALITIES, FusionShape, build_fusion
from affekt.runs import versions, write_atomically
from affekt.training import SCORES, Samples, Split, TrainingSettings, predict, train, train_together
from affekt.typed_json import json_file

SIZES = {'audio': 1024, 'text': 5120, 'video': 768}
TRAINING, VALIDATION, TESTS = 2699, 674, (411, 412, 834)
CLASSES, FOLDS, EPOCHS = 6, 5, 100
RESULT = Path(__file__).resolve().parent / 'results' / 'fusion_speed.json'


def fastest(jobs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """CPU seconds of each job, the fastest of several rounds in which they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            begun = time.process_time()
            job()
            seconds[name].append(time.process_time() - begun)
    return {name: min(times) for name, times in seconds.items()}


class PlainAttention(nn.Module):
    """The attention model in a plain form of its own: nothing of ours is timed on the other side."""

    def __init__(self, hidden: int = 128) -> None:
        super().__init__()

        def perceptron(size: int) -> nn.Sequential:
            layers = [nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
            return nn.Sequential(nn.Dropout(0.3), *layers, nn.Linear(hidden, hidden), nn.ReLU())

        self.encoders = nn.ModuleDict({name: perceptron(size) for name, size in SIZES.items()})
        self.weigher = perceptron(3 * hidden)
        self.weights, self.emotion, self.value = nn.Linear(hidden, 3), nn.Linear(hidden, CLASSES), nn.Linear(hidden, 1)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        codes = [self.encoders[name](batch[name]) for name in SIZES]
        weights = self.weights(self.weigher(torch.cat(codes, dim=1)))
        fused = (torch.stack(codes, dim=2) @ weights.unsqueeze(2)).squeeze(2)
        return self.emotion(fused), self.value(fused)


def arrays(count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """One dict of arrays a sample, as a loader of single files holds them."""
    return [
        {name: rng.standard_normal(size, dtype=np.float32) for name, size in SIZES.items()}
        | {'emotion': int(rng.integers(CLASSES)), 'valence': float(rng.standard_normal())}
        for _ in range(count)
    ]


def plain_pass(model: nn.Module, samples: list[dict[str, Any]], optimiser: torch.optim.Optimizer | None) -> list[Any]:
    """One pass in batches of 32, collated from single arrays; trains where there is an optimiser, keeps all outputs."""
    model.train(optimiser is not None)
    kept = []
    order = np.random.default_rng(0).permutation(len(samples))
    for start in range(0, len(order), 32):
        rows = [samples[i] for i in order[start : start + 32]]
        batch = {name: torch.FloatTensor(np.array([row[name] for row in rows])) for name in SIZES}
        emotion = torch.LongTensor([row['emotion'] for row in rows])
        valence = torch.FloatTensor([row['valence'] for row in rows])
        with torch.set_grad_enabled(optimiser is not None):
            logits, value = model(batch)
            loss = nn.functional.cross_entropy(logits, emotion) + nn.functional.mse_loss(value.squeeze(1), valence)
        if optimiser is not None:
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        kept.append((logits.detach().numpy(), value.detach().numpy(), emotion.numpy()))
    return kept


def random_samples(count: int, sizes: dict[str, int], seed: int) -> Samples:
    """Samples in memory."""
    draws = torch.Generator().manual_seed(seed)
    features = {name: torch.randn(count, size, generator=draws) for name, size in sizes.items()}
    labels = torch.randint(CLASSES, (count,), generator=draws)
    return Samples(features, labels, torch.randn(count, 1, generator=draws))


def training_speed(repeats: int) -> dict[str, Any]:
    """CPU seconds of an epoch of one fold, and of five folds of 100 epochs."""
    rng = np.random.default_rng(0)
    training, validation = arrays(TRAINING, rng), arrays(VALIDATION, rng)
    tests = [arrays(count, rng) for count in TESTS]
    model = PlainAttention()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3, weight_decay=1e-5)

    def plain() -> None:
        plain_pass(model, training, optimiser)
        for part in (validation, *tests):
            plain_pass(model, part, None)

    parts = [random_samples(count, SIZES, i) for i, count in enumerate((TRAINING, VALIDATION, sum(TESTS)))]

    def ours(form: str, batch: int, precision: str) -> tuple[float, float]:
        """CPU seconds of the fastest of three epochs, and of all that is done once."""
        ends = [time.process_time()]
        settings = TrainingSettings(epochs=3, batch_size=batch, patience=None, clip_norm=None, precision=precision)
        model = build_fusion('attention', FusionShape(SIZES, CLASSES, form=form))
        train(model, parts[0], parts[1], settings, report=lambda _: ends.append(time.process_time()))
        each = [after - before for before, after in itertools.pairwise(ends)]
        predict(model, parts[2])
        return min(each[1:]), max(each[0] - min(each[1:]), 0.0) + time.process_time() - ends[-1]

    plain()  # the first pass of a process pays for loading what torch loads late
    ours('reference', 32, 'float32')
    kinds = [(form, batch, 'float32') for form in ('reference', 'corrected') for batch in (32, 256)]
    kinds += [(form, batch, 'bfloat16') for form in ('reference', 'corrected') for batch in (32, 256)]
    seconds, once = {'plain': float('inf')}, dict[str, float]()
    for _ in range(repeats):
        seconds['plain'] = min(seconds['plain'], fastest({'plain': plain}, 1)['plain'])
        for combination in kinds:
            name = '-'.join(map(str, combination))
            for least, value in zip((seconds, once), ours(*combination), strict=True):
                least[name] = min(least.get(name, float('inf')), value)
    whole = FOLDS * EPOCHS * seconds['plain']
    rows = {}
    for name, spent in once.items():
        total = FOLDS * (EPOCHS * seconds[name] + spent)
        rows[name] = {
            'epoch_s': seconds[name],
            'once_s': spent,
            'five_folds_100_epochs_s': total,
            'times_fewer': whole / total,
        }
    return {'plain': {'epoch_s': seconds['plain'], 'five_folds_100_epochs_s': whole}, **rows}


def plain_memory_step(model: Any, features: dict[str, Tensor]) -> Tensor:
    """MFN written from the method: a cell a modality and a step, nothing batched; with the weights of ours."""
    loop, order = model.loop, ('text', 'audio', 'video')
    rows, hidden = len(features['text']), model.shape.hidden
    state = {name: (torch.zeros(rows, hidden), torch.zeros(rows, hidden)) for name in order}
    memory = torch.zeros(rows, loop.memory_width)
    for t in range(features['text'].shape[1]):
        new = {name: loop.recurrences.cells[name](features[name][:, t], state[name]) for name in order}
        change = torch.cat([state[name][1] for name in order] + [new[name][1] for name in order], dim=1)
        seen = torch.softmax(loop.attend(change), dim=1) * change
        both = torch.cat([seen, memory], dim=1)
        proposed = torch.tanh(loop.propose(seen))
        memory = torch.sigmoid(loop.retain(both)) * memory + torch.sigmoid(loop.update(both)) * proposed
        state = new
    fused: Tensor = model.output(torch.cat([*(state[name][0] for name in order), memory], dim=1))
    return fused


def memory_speed(repeats: int) -> dict[str, Any]:
    """CPU seconds of one training step of MFN, plain and ours, and how far outputs and gradients lie apart."""
    draws = torch.Generator().manual_seed(0)
    features = {name: torch.randn(32, 40, size, generator=draws) for name, size in SIZES.items()}
    labels = torch.randint(CLASSES, (32,), generator=draws)
    torch.manual_seed(0)
    shape = FusionShape(SIZES, CLASSES, level='frame', form='reference', dropout=0.0)
    model = build_fusion('mfn', shape)

    def step(forward: Callable[[], Tensor]) -> None:
        model.zero_grad()
        nn.functional.cross_entropy(model.emotion_head(forward()), labels).backward()

    ways = {'plain': lambda: plain_memory_step(model, features), 'ours': lambda: model(features).features}
    outputs, gradients = {}, {}
    for name, forward in ways.items():
        step(forward)
        outputs[name] = forward().detach()
        gradients[name] = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    seconds = fastest({name: lambda forward=forward: step(forward) for name, forward in ways.items()}, 3 * repeats)
    return {
        'plain_step_s': seconds['plain'],
        'ours_step_s': seconds['ours'],
        'times_faster': seconds['plain'] / seconds['ours'],
        'largest_output_difference': (outputs['plain'] - outputs['ours']).abs().max().item(),
        'largest_gradient_difference': (gradients['plain'] - gradients['ours']).abs().max().item(),
    }


def together_speed() -> list[dict[str, Any]]:
    """CPU seconds of an epoch of one of ten models (five folds, two draws of the rate), alone and together."""
    rows = []
    for name, hidden, size in (
        ('attention', 64, 512),
        ('lmf', 64, 512),
        ('attention', 128, 512),
        ('attention', 128, 1024),
    ):
        samples = random_samples(1284, dict.fromkeys(MODALITIES, size), 0)
        folds = torch.randperm(1284, generator=torch.Generator().manual_seed(0)).split(257)
        splits = 2 * [Split(torch.cat([f for f in folds if f is not fold]), fold) for fold in folds]
        settings = TrainingSettings(epochs=4, patience=None)
        drawn = [replace(settings, seed=i, learning_rate=(1e-3, 1e-4)[i // 5]) for i in range(10)]
        shape = FusionShape(dict.fromkeys(MODALITIES, size), CLASSES, hidden=hidden)
        models = [build_fusion(name, shape) for _ in splits]
        ends: list[float] = []
        train_together(models, samples, splits, drawn, report=lambda _, ends=ends: ends.append(time.process_time()))
        together = min(b - a for a, b in itertools.pairwise(ends)) / len(splits)
        ends = []
        parts = samples.subset(splits[0].training), samples.subset(splits[0].validation)
        train(models[0], *parts, settings, report=lambda _, ends=ends: ends.append(time.process_time()))
        alone = min(b - a for a, b in itertools.pairwise(ends))
        row = {'model': name, 'hidden': hidden, 'feature_size': size, 'models': len(splits)}
        rows.append(row | {'alone_s': alone, 'together_s': together, 'times_fewer': alone / together})
    return rows


def mosi_samples(folder: Path) -> dict[str, Samples]:
    """CMU-MOSI's features of utterances, and whether each is positive, by part."""
    with (folder / 'transcripts.csv').open(encoding='utf-8', newline='') as file:
        videos = [row[0].rsplit('_', 1)[0] for row in csv.reader(file)]
    parts = {}
    for part in ('train', 'test'):
        tables = {
            name: np.loadtxt(folder / name / f'{name}_{part}0.csv', delimiter=',', dtype=np.float32, quotechar='"')
            for name in MODALITIES
        }
        labels = torch.from_numpy(tables['text'][:, -1]).long()
        parts[part] = Samples({name: torch.from_numpy(rows[:, :-1].copy()) for name, rows in tables.items()}, labels)
    numbers = np.loadtxt(folder / 'text_train.csv', delimiter=',', usecols=0, dtype=str, quotechar='"').astype(int)
    every = sorted({videos[number] for number in numbers})
    is_held_out = torch.tensor([videos[number] in every[::5] for number in numbers])
    whole = parts.pop('train')
    parts['training'] = whole.subset((~is_held_out).nonzero().flatten())
    parts['validation'] = whole.subset(is_held_out.nonzero().flatten())
    return parts


def precision_effect(folder: Path, seeds: int = 10) -> dict[str, Any]:
    """Weighted F1 with bfloat16 products less that without, seed by seed, and its interval over seeds."""
    parts = mosi_samples(folder)
    sizes = {name: value.shape[1] for name, value in parts['training'].features.items()}
    scores: dict[str, list[tuple[float, float]]] = {}
    for precision in ('float32', 'bfloat16'):
        scores[precision] = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            settings = TrainingSettings(seed, epochs=30, patience=8, score='weighted_f1', precision=precision)
            model = build_fusion('attention', FusionShape(sizes, 2, values=0))
            trained = train(model, parts['training'], parts['validation'], settings)
            test = SCORES['weighted_f1'](predict(trained.model, parts['test']), parts['test'])
            scores[precision].append((trained.best_score, test))
    result: dict[str, Any] = {'seeds': seeds}
    for column, part in enumerate(('validation', 'test')):
        each = {precision: np.array(pairs)[:, column] for precision, pairs in scores.items()}
        change = each['bfloat16'] - each['float32']
        half = float(stats.t.ppf(0.975, seeds - 1) * change.std(ddof=1) / np.sqrt(seeds))
        result[part] = {precision: float(values.mean()) for precision, values in each.items()}
        result[part] |= {'difference': float(change.mean()), 'low': change.mean() - half, 'high': change.mean() + half}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--data', type=Path, default=None)
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        'training': training_speed(options.repeats),
        'memory_fusion': memory_speed(options.repeats),
        'together': together_speed(),
        'versions': versions() | {'torch': torch.__version__},
    }
    if options.data is not None:
        result['precision'] = precision_effect(options.data / 'cmu_mosi_feats')
    write_atomically(options.out, json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
