"""A tiny masked reconstruction, as pretraining does it, and jobs that other processes run."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import torch
from torch import nn

from affekt.errors import TrainingError
from affekt.training.engine import Engine
from affekt.training.order import IndexBatches, LoadedBatches
from affekt.training.parallel import Ranks
from affekt.training.schedules import Schedule, layered_groups
from affekt.training.settings import EngineSettings

ROWS = torch.randn(64, 6, generator=torch.Generator().manual_seed(3))
SETTINGS = EngineSettings(
    accumulation=2, clip_norm=1.0, schedule=Schedule('cosine', 4, 24), average_decay=0.9, log_every=2, save_every=4,
)  # fmt: skip


class Autoencoder(nn.Module):
    """Two layers with dropout and a buffer."""

    def __init__(self, seed: int = 0, dropout: float = 0.3) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 6)
        self.norm = nn.BatchNorm1d(8) if dropout else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows):
        return self.second(self.dropout(self.norm(torch.tanh(self.first(rows)))))


def masked_loss(model, rows):
    """Of entries that are hidden at random, by generators of torch, NumPy and Python."""
    hidden = torch.rand(rows.shape) < 0.5
    noise = np.random.standard_normal() + random.random()
    return {'masked': ((model(rows * ~hidden) - rows)[hidden]).square().mean(), 'noise': rows.new_tensor(noise)}


def plain_loss(model, rows):
    return {'square': (model(rows) - rows).square().mean()}


class Stateful:
    """Batches that give their place themselves."""

    def __init__(self) -> None:
        self.place = 0

    def __iter__(self):
        while True:
            self.place += 1
            yield ROWS[torch.arange(self.place, self.place + 8) % 64]

    def state_dict(self):
        return {'place': self.place}

    def load_state_dict(self, state):
        self.place = state['place']


def batches(kind: str):
    """Endless ones whose place is reached at once, those that give it themselves, and a plain iterable."""
    order = IndexBatches(len(ROWS), 8, seed=5)
    if kind == 'order':
        return LoadedBatches(order, lambda order: torch.utils.data.DataLoader(ROWS, batch_sampler=order))
    return Stateful() if kind == 'stateful' else [ROWS[index] for index in IndexBatches(64, 8, seed=5, epochs=6)]


def engine(seed: int = 0, settings: EngineSettings = SETTINGS, losses=masked_loss, dropout: float = 0.3, **named):
    model = Autoencoder(seed, dropout)
    groups = layered_groups(model, [model.first], learning_rate=1e-2, weight_decay=0.1, layer_decay=0.5)
    return Engine(model, torch.optim.AdamW(groups), losses, settings, **named)


def killed_at(kind: str, folder: str, step: int) -> None:
    """Run in a folder and kill this process, as the system does, behind that step."""
    torch.set_num_threads(1)

    def die(_, done, total):
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    engine().run(batches(kind), steps=24, folder=Path(folder), progress=die)


def apart(folder: str) -> None:
    """Errors of each rank: of uneven batches, with and without a weight, and of a checkpoint that one alone has."""
    ranks, said = Ranks(), []
    uneven = [ROWS[:8]] * (4 if ranks.first else 3)
    for weigh, log_every in ((None, 1), (None, 5), (len, 1)):
        settings = EngineSettings(log_every=log_every, save_every=None)
        try:
            engine(0, settings, plain_loss, dropout=0.0, weigh=weigh, ranks=ranks).run(iter(uneven), steps=9)
        except TrainingError as error:
            said.append(str(error))
    one_sided = {'always': 3.0, 'of the first': 2.0 if ranks.first else None, 'of none': None}

    def losses(model, rows):
        zero = model(rows).sum() * 0.0
        return {name: None if value is None else zero + value for name, value in one_sided.items()}

    (row,) = engine(0, EngineSettings(log_every=1), losses, ranks=ranks).run([ROWS[:8]], steps=1)
    (Path(folder) / f'row-{ranks.rank}.json').write_text(json.dumps(row))
    own, settings = Path(folder) / str(ranks.rank), EngineSettings(log_every=1)
    for resume in (False, True):
        try:
            engine(0, settings, plain_loss, dropout=0.0).run([ROWS[:8]] * 2, steps=2, folder=own, resume=resume)
        except TrainingError as error:
            said.append(str(error))
    (Path(folder) / f'{ranks.rank}.json').write_text(json.dumps(said))


class Spread(Ranks):
    """Ranks that hold a part of the model each, as FSDP2 under accelerate has it on CUDA devices, here on CPUs."""

    @property
    def spreads(self) -> bool:
        return True

    def joined(self, module, optimiser):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh('cpu', (self.count,))
        groups = [[id(p) for p in group['params']] for group in optimiser.param_groups]
        names = {id(p): name for name, p in module.named_parameters()}
        for layer in (module.model.first, module.model.second, module):
            fully_shard(layer, mesh=mesh)
        parameters = dict(module.named_parameters())
        for group, old in zip(optimiser.param_groups, groups, strict=True):
            group['params'] = [parameters[names[number]] for number in old]
        return module, optimiser


def on_ranks(folder: str) -> None:
    """Train on this rank's samples with the whole model, then with a part of it: half a run and the rest of it."""
    settings = EngineSettings(clip_norm=0.1, log_every=1, save_every=3, average_decay=0.9)

    class Stopped(Exception):
        pass

    def stop(_, done, total):
        if done == 3:
            raise Stopped

    for name, ranks in (('copied', Ranks()), ('spread', Spread())):
        order = IndexBatches(64, 4, seed=5, rank=ranks.rank, ranks=ranks.count)
        for resume in (False, True):
            # Weights of other ranks must come from the first, those of the second run from the checkpoint.
            seed = 7 + ranks.rank if resume else ranks.rank if name == 'copied' else 0
            rows = LoadedBatches(order, lambda order: (ROWS[index] for index in order))
            own = engine(seed, settings, plain_loss, dropout=0.0, ranks=ranks)
            with contextlib.suppress(Stopped):
                progress = None if resume else stop
                own.run(rows, steps=6, folder=Path(folder) / name, resume=resume, progress=progress)
            ranks.wait()


class TwoHeads(nn.Module):
    """Two heads of equal size on one trunk."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.left, self.right = (nn.Linear(6, 6) for _ in range(3))

    def forward(self, rows, head):
        return getattr(self, head)(torch.tanh(self.trunk(rows))).square().mean()


def with_other_losses(folder: str) -> None:
    """Train two heads where each process has other losses, with the whole model in each, then with a part of it."""
    for name in ('whole', 'parts'):
        ranks = Ranks(by_hand=True)
        assert ranks.spreads == (name == 'parts')
        for first, second in (('left', 'right'), ('left right', 'left'), ('left right', '')):
            has = (first if ranks.first else second).split()

            def losses(model, rows, has=has):
                return {head: model(rows, head) if head in has else None for head in ('left', 'right')}

            model = TwoHeads()
            optimiser = torch.optim.SGD(model.parameters(), 0.1)
            own = Engine(model, optimiser, losses, EngineSettings(log_every=1), ranks=ranks)
            own.run([ROWS[:8] + ranks.rank] * 3, steps=3)
            state, _ = own.state()
            if ranks.first:
                torch.save(state, Path(folder) / f'{name} {first}, {second}.pt')
        os.environ['ACCELERATE_USE_FSDP'] = 'true'


def on_ranks_and_apart(folder: str) -> None:
    """All jobs of several processes."""
    on_ranks(folder)
    apart(folder)
    with_other_losses(folder)
