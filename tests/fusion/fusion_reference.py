"""The reference vectors of the published fusion models: states and inputs made from their names, and outputs."""

from __future__ import annotations

import json
import zlib
from functools import cache
from math import prod
from pathlib import Path

import numpy as np
import torch

from affekt.fusion import FusionModel, FusionShape, build_fusion

SIZES = {'audio': 12, 'text': 20, 'video': 16}
TOP_SIZES = {f'feat{i}': size for i, size in enumerate((12, 20, 16, 10, 14))}
OPTIONS = {
    'ef_lstm': {'layers': 2},
    'lmf': {'rank': 3},
    'misa': {'similarity': 0.1, 'difference': 0.2, 'reconstruction': 0.3},
    'mmim': {'predictor_layers': 2, 'contrast': 0.1, 'likelihood': 0.2},
    'mfn': {'memory': 8},
    'graph_mfn': {'memory': 8},
    'mfm': {'memory': 8, 'text': 0.5, 'audio': 0.1, 'video': 1.0, 'prior': 0.0},
    'mctn': {'teacher_forcing': 0.3, 'translation': 0.5},
    'mult': {'layers': 2, 'heads': 8, 'kernel': 3},
}


def uniform(name: str, *shape: int) -> np.ndarray:
    """Doubles in [-1, 1) that depend on name and position alone (the README beside the vectors)."""
    h = np.arange(prod(shape), dtype=np.uint32)  # products and sums modulo 2**32
    h *= np.uint32(2654435761)
    h += np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    values = h / 2.0**31
    values -= 1
    return values.reshape(shape)


def filled(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A parameter of the published model under its published name."""
    values = uniform(name, *shape)
    if len(shape) >= 2:
        values /= np.sqrt(prod(shape[1:]))
    elif name.endswith('.weight'):
        values = 1 + 0.1 * values
    else:
        values = 0.1 * values
    return torch.from_numpy(values.astype(np.float32))


@cache
def published_models(shared_data: Path) -> dict:
    return json.loads((shared_data / 'vectors' / 'fusion_reference.json').read_text())


def configurations() -> list[tuple[str, str]]:
    both = ('attention', 'lf_dnn', 'lmf', 'misa', 'mmim', 'tfn')
    frames = ('mfn', 'graph_mfn', 'ef_lstm', 'mfm', 'mctn', 'mult')
    pairs = [(name, level) for name in both for level in ('utt', 'frm_align')]
    return [*pairs, *((name, 'frm_align') for name in frames), ('mult', 'frm_unalign'), ('attention_topn', 'utt')]


def published_shape(name: str, level: str, **changes) -> FusionShape:
    sizes = TOP_SIZES if name == 'attention_topn' else SIZES
    settings = {'sizes': sizes, 'classes': 6, 'values': 1, 'hidden': 16, 'dropout': 0.3, 'form': 'reference'}
    return FusionShape(**(settings | {'level': 'utterance' if level == 'utt' else 'frame'} | changes))


def model_of(name: str, level: str, **changes) -> FusionModel:
    return build_fusion(name, published_shape(name, level, **changes), **OPTIONS.get(name, {})).eval()


def inputs(name: str, level: str) -> dict[str, torch.Tensor]:
    if name == 'attention_topn':
        return {slot: torch.tensor(uniform(slot, 4, size).astype(np.float32)) for slot, size in TOP_SIZES.items()}
    steps = {'utt': None, 'frm_align': (6, 6, 6), 'frm_unalign': (9, 6, 7)}[level]
    features = {}
    for i, (modality, size) in enumerate(SIZES.items()):
        shape = (4, size) if steps is None else (4, steps[i], size)
        features[modality] = torch.tensor(uniform(f'{modality}s', *shape).astype(np.float32))
    return features


def published_state(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """A filled state; a tensor saved under several names is filled by the name it has as a parameter."""
    return {name: filled(_parameter_name(name), tuple(shape)) for name, shape in shapes.items()}


def _parameter_name(name: str) -> str:
    for number in '12':
        name = name.replace(f'seq2seq{number}.encoder.', f'encoder{number}.')
        name = name.replace(f'seq2seq{number}.decoder.', f'decoder{number}.')
        name = name.replace(f'decoder{number}.attention.', f'attn{number}.')
    return name
