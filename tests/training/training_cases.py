"""Small seeded samples with something to learn, and jobs that other processes run."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from affekt.errors import TrainingError
from affekt.fusion import FusionShape, build_fusion
from affekt.training import Samples, SemiSettings, Sequences, Split, TrainingSettings, train, train_semi, train_together

SIZES = {'audio': 5, 'text': 7, 'video': 6}


def samples(count: int = 90, seed: int = 0, level: str = 'utterance') -> Samples:
    """Labels and values that a linear function of the features gives."""
    rng = np.random.default_rng(seed)
    held = {name: rng.standard_normal((count, size)).astype(np.float32) for name, size in SIZES.items()}
    plane = np.random.default_rng(99).standard_normal((sum(SIZES.values()), 3))
    scores = np.concatenate(list(held.values()), axis=1) @ plane
    features: dict = {name: torch.from_numpy(value) for name, value in held.items()}
    if level == 'frame':
        lengths = rng.integers(1, 9, count)
        features = {
            name: Sequences.of(
                [np.repeat(row[None], length, axis=0) for row, length in zip(value, lengths, strict=True)]
            )
            for name, value in held.items()
        }
    values = torch.tensor(scores[:, :1] / 4, dtype=torch.float32)
    return Samples(features, torch.tensor(scores.argmax(axis=1)), values, names=tuple(f'clip{i}' for i in range(count)))


def model(name: str = 'attention', seed: int = 0, **changes):
    torch.manual_seed(seed)
    options = changes.pop('options', {})
    shape = {'sizes': SIZES, 'classes': 3, 'values': 1, 'hidden': 16, 'dropout': 0.2}
    return build_fusion(name, FusionShape(**(shape | changes)), **options)


def partly_known() -> Samples:
    """The samples without two thirds of their categories and half of their values, at other places."""
    whole = samples()
    number = torch.arange(len(whole))
    assert whole.labels is not None
    assert whole.values is not None
    labels = torch.where(number % 3 == 0, whole.labels, -1)
    return replace(whole, labels=labels, values=torch.where((number % 2 == 0)[:, None], whole.values, torch.nan))


SETTINGS = TrainingSettings(epochs=6, batch_size=16, learning_rate=3e-3, patience=None)


def killed_after(folder: str, epoch: int) -> None:
    """Train in a folder and kill this process, as the system does, once that epoch is on disk."""
    torch.set_num_threads(1)

    def die(row):
        if row['epoch'] == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    train(model(), samples(), samples(40, 1), SETTINGS, folder=Path(folder), report=die)


def several() -> dict:
    """Three models, their splits and settings, for `train_together`: rates differ, and the last batches' sizes."""
    order = torch.randperm(90, generator=torch.Generator().manual_seed(4))
    return {
        'samples': samples(90),
        'splits': [Split(order[30:], order[:30]), Split(order[:55], order[55:]), Split(order[:61], order[61:])],
        'settings': [replace(SETTINGS, seed=i, learning_rate=rate) for i, rate in enumerate((3e-3, 1e-3, 1e-4))],
    }


def together_killed_after(folder: str, epoch: int) -> None:
    """Train three models as one in a folder and kill this process once that epoch is on disk."""
    torch.set_num_threads(1)

    def die(rows):
        if rows[0]['epoch'] == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    train_together([model(seed=i) for i in range(3)], **several(), folder=Path(folder), report=die)


def on_some_ranks(folder: str, *batches: int, partly: bool = False) -> None:
    """Train on this rank's share, from weights of its own; the first rank writes what came out, a file a batch size."""
    torch.set_num_threads(1)
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else int(os.environ['RANK'])
    for batch in batches or (16,):
        settings = replace(SETTINGS, batch_size=batch, score='weighted_f1')
        start = model(seed=rank, dropout=0.0)
        name = f'{batch}{"partly" if partly else ""}'
        training = partly_known() if partly else samples()
        trained = train(start, training, samples(40, 1), settings, folder=Path(folder) / f'run{name}')
        if rank == 0:
            found = json.dumps([list(trained.history), trained.best_score])
            (Path(folder) / f'found{name}.json').write_text(found)


def leaves_the_first_alone() -> None:
    """The second rank never trains."""
    if torch.distributed.get_rank() == 0:
        train(model(), samples(), samples(40, 1), SETTINGS)


def breaks_on_the_second() -> None:
    """The second rank fails before it trains."""
    if torch.distributed.get_rank() == 1:
        raise ValueError('the second rank is broken')
    train(model(), samples(), samples(40, 1), SETTINGS)


def with_unequal_models(folder: str) -> None:
    """Every rank builds another model, and writes what it hears of it."""
    rank = torch.distributed.get_rank()
    try:
        train(model(hidden=8 + 4 * rank), samples(), samples(40, 1), SETTINGS)
    except TrainingError as error:
        (Path(folder) / f'unequal{rank}.txt').write_text(str(error))


def semi_run(kind: str, report=None, folder: Path | None = None, resume: bool = False, weight: float = 1.0):
    """Learn from 30 labelled and 90 unlabelled samples."""
    semi = SemiSettings(kind, threshold=0.4, weight=weight)
    parts = samples(30), samples(90, 1), samples(40, 2)
    return train_semi(model(), *parts, SETTINGS, semi, folder=folder, resume=resume, report=report)


def semi_killed(kind: str, folder: str, number: int, epoch: int) -> None:
    """The same, killed as the system does once that epoch of that round is on disk."""
    torch.set_num_threads(1)

    def die(row):
        if (row['round'], row['epoch']) == (number, epoch):
            os.kill(os.getpid(), signal.SIGKILL)

    semi_run(kind, die, Path(folder))


def semi_on_two_ranks(folder: str) -> None:
    """Train on this rank's share of labelled and unlabelled samples; each rank writes what it then holds."""
    trained = semi_run('consistency').best
    found = {'weights': float(sum(value.sum() for value in trained.model.state_dict().values()))}
    found |= {'score': trained.best_score, 'sure': trained.history[-1]['sure']}
    rank = torch.distributed.get_rank()
    found['sure'] = min(found['sure'], 1e-9)  # each has its own share of samples
    (Path(folder) / f'{rank}.json').write_text(json.dumps(found))


def all_on_two_ranks(folder: str) -> None:
    """Everything of two processes that leaves them together."""
    on_some_ranks(folder, 16, 89)
    on_some_ranks(folder, 4, 89, partly=True)
    semi_on_two_ranks(folder)
    with_unequal_models(folder)


if __name__ == '__main__':
    on_some_ranks(sys.argv[1])
