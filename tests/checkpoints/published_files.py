"""Files with the names and shapes of published checkpoints, a few kilobytes each: a number stands for a tensor."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import Any

import torch

from affekt.checkpoints import Checkpoint, StoredTensor


def published_shapes(shared_data: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Name to shape of a published state, such as `hicmae_tiny_pretrain`."""
    lines = (shared_data / 'vectors' / f'{name}.keys.txt').read_text().splitlines()
    rows = [line.split('\t') for line in lines if not line.startswith('#')]
    return {row[0]: tuple(ast.literal_eval(row[1])) for row in rows}


def stood_for(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Zeros of these shapes that share one number each; buffers of counts are whole numbers."""
    whole = ('position_ids', 'num_batches_tracked')
    return {
        name: torch.zeros((), dtype=torch.int64 if name.endswith(whole) else torch.float32).expand(shape)
        for name, shape in shapes.items()
    }


def unread(shapes: dict[str, tuple[int, ...]]) -> Checkpoint:
    """An opened checkpoint of these shapes whose file is not there: no number of it can be read."""
    tensors = {name: StoredTensor('float32', shape, (0,) * len(shape), 0) for name, shape in shapes.items()}
    return Checkpoint(Path('unread.pth'), 'zip', tensors)


def save_published(path: Path, state: dict[str, torch.Tensor], *, wrapper: str = '', **more: Any) -> Path:
    """A checkpoint as HiCMAE and SVFAP save theirs."""
    settings = argparse.Namespace(model='some_model', lr=1.5e-4, batch_size=40, epochs=100)
    saved = {'model': {f'{wrapper}{name}': value for name, value in state.items()}, 'optimizer': _moments()}
    torch.save(saved | {'epoch': 99, 'scaler': {'scale': 65536.0}, 'args': settings} | more, path)
    return path


def _moments() -> dict[str, Any]:
    return {'state': {0: {'step': 5, 'exp_avg': torch.ones(3)}}, 'param_groups': [{'lr': 1.5e-4, 'params': [0]}]}
