"""Checkpoints: the tensors and JSON notes of a step in one file, written atomically; the last few are kept.

Tensors that are sharded over processes are saved whole, so that one process alone can read them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from affekt.errors import AffektError, TrainingError, WeightsError
from affekt.files import part_of
from affekt.nn import read_tensors, save_tensors, seed_torch

T = TypeVar('T')
LOG = logging.getLogger('affekt')
NAME = 'step-{:09d}.safetensors'
"""Pattern of a checkpoint's file name."""
_STEP = re.compile(r'step-\d{9,}\.safetensors')
FORMAT = 1
"""Version of the notes; increased when older ones can no longer be read."""


def save_step(folder: Path, step: int, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], keep: int) -> None:
    """Write a step's file, then remove all others except the `keep` - 1 before it.

    A file of a later step is removed too: it could not be read, or the run would have continued from it.

    Raises:
        StorageError: the file cannot be written, as on a full disk; earlier files stay.
    """
    current = folder / NAME.format(step)
    save_tensors(current, tensors, {'notes': json.dumps({**notes, 'format': FORMAT})})
    kept = [path for path in step_files(folder) if path.name <= current.name][-keep:]
    others = [path for path in step_files(folder) if path not in kept]
    for path in [*others, *folder.glob(part_of(folder / 'step-*.safetensors').name)]:
        path.unlink(missing_ok=True)  # incomplete files of a killed run, too


def step_files(folder: Path) -> list[Path]:
    """The checkpoint files in the order of their steps; files with similar names are ignored."""
    return sorted(path for path in folder.glob('step-*.safetensors') if _STEP.fullmatch(path.name))


def kept_steps(folder: Path) -> str:
    """A sentence on the checkpoints of an interrupted run."""
    files = step_files(folder)
    if not files:
        return f'no checkpoint is written yet in {folder}'
    return f'the checkpoint of step {int(files[-1].stem.removeprefix("step-")):,} is kept in {folder}'


def last_step(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensors and notes of the last step with a complete file; None if there is none.

    Raises:
        TrainingError: the file was written by another version of affekt.
    """
    for path in reversed(step_files(folder)):
        try:
            tensors, notes = _read(path)
        except (WeightsError, KeyError, ValueError, RecursionError):
            LOG.warning('%s cannot be read; the run goes on from the checkpoint before', path)
            continue
        if notes.get('format') != FORMAT:
            raise TrainingError(
                expected=f'a checkpoint of format {FORMAT}',
                came=f'format {notes.get("format")} in {path.name}',
                todo='go on with the version of affekt that wrote it, or start anew in another folder',
            )
        return tensors, notes
    return None


def last_weights(folder: Path) -> tuple[dict[str, Tensor], int] | None:
    """The trained weights at the last checkpoint in a run's folder, and its step; None if there is none.

    Raises:
        TrainingError: see `last_step`.
    """
    start = last_step(folder)
    return None if start is None else (below(start[0], 'model.'), int(start[1]['step']))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, header = read_tensors(path)
    notes = json.loads(header['notes'])
    if not isinstance(notes, dict):
        raise ValueError(f'notes are {type(notes).__name__}')
    return tensors, notes


@contextlib.contextmanager
def fitting(subject: str) -> Iterator[None]:
    """Context that reports any failure to load as a checkpoint that does not fit.

    Raises:
        TrainingError: loading failed.
    """
    try:
        yield
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, AffektError):
            raise
        raise TrainingError(
            expected=f'a checkpoint of this {subject}',
            came=' '.join(str(error).split()),
            todo='build it as it was when the run began, or start anew in another folder',
        ) from error


def changing(model: nn.Module) -> dict[str, Tensor]:
    """A model's weights and buffers without frozen parameters."""
    parameters = model.named_parameters(remove_duplicate=False)
    frozen = {name for name, parameter in parameters if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def moments_of(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimiser's state, by name."""
    return {name: value for name, value in _memory(optimiser).items() if isinstance(value, Tensor)}


def counts_of(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """The rest of an optimiser's state, by name: some count their steps in plain numbers."""
    return {name: value for name, value in _memory(optimiser).items() if not isinstance(value, Tensor)}


def _memory(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    state = optimiser.state_dict()['state']
    return {f'optimiser.{i}.{name}': value for i, moments in state.items() for name, value in moments.items()}


def restore_moments(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], counts: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Restore an optimiser's state.

    Args:
        optimiser: optimiser with the same parameters in the same order.
        tensors: tensors that include those of `moments_of`.
        counts: result of `counts_of`.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group['params']]
    state: dict[int, dict[str, Any]] = {}
    for name, value in (below(tensors, 'optimiser.') | below(counts, 'optimiser.')).items():
        index, moment = name.split('.')
        placed = spread_like(value, parameters[int(index)]) if isinstance(value, Tensor) else value
        state.setdefault(int(index), {})[moment] = placed
    optimiser.load_state_dict({'state': state, 'param_groups': optimiser.state_dict()['param_groups']})


def described(optimiser: torch.optim.Optimizer, rates: Sequence[float]) -> dict[str, Any]:
    """An optimiser's name and the settings of its groups, as a run saves them.

    Args:
        optimiser: any optimiser.
        rates: the learning rate of each group before any schedule.
    """
    groups = [
        {name: value for name, value in group.items() if isinstance(value, bool | int | float | str)}
        | {name: [float(part) for part in value] for name, value in group.items() if isinstance(value, tuple)}
        | {'lr': float(rate), 'parameters': len(group['params'])}
        for group, rate in zip(optimiser.param_groups, rates, strict=True)
    ]
    return {'name': type(optimiser).__name__, 'groups': groups}


def below(tensors: Mapping[str, T], prefix: str) -> dict[str, T]:
    """The tensors whose names start with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor sharded over processes, in each of them."""
    return tensor.full_tensor() if hasattr(tensor, 'full_tensor') else tensor


def spread_like(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor sharded over processes like another of its shape."""
    if not hasattr(like, 'full_tensor') or value.shape != like.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def random_states(device: torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The states of all global random generators: torch's, NumPy's and Python's."""
    tensors = {'cpu': torch.get_rng_state()}
    if device.type == 'cuda':
        tensors['cuda'] = torch.cuda.get_rng_state(device)
    name, numbers, *rest = np.random.get_state(legacy=True)
    return tensors, {'numpy': [name, np.asarray(numbers).tolist(), *rest], 'python': random.getstate()}


def seed_all(seed: int) -> None:
    """Seed all global random generators."""
    seed_torch(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def restore_random_states(device: torch.device, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Restore the states of all global random generators."""
    torch.set_rng_state(tensors['cpu'])
    if device.type == 'cuda' and 'cuda' in tensors:
        torch.cuda.set_rng_state(tensors['cuda'], device)
    name, numbers, *rest = notes['numpy']
    np.random.set_state((name, np.array(numbers, dtype=np.uint32), *rest))
    version, state, gauss = notes['python']
    random.setstate((version, tuple(state), gauss))


@contextlib.contextmanager
def random_states_kept(device: torch.device) -> Iterator[None]:
    """Context that restores all global random generators after the block."""
    states = random_states(device)
    try:
        yield
    finally:
        restore_random_states(device, *states)
