"""A SMIRK encoder of small random numbers under the published names."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')


def published_shapes(shared_data):
    """Name to shape of SMIRK's tensors, as listed from the published file."""
    text = (shared_data / 'vectors' / 'magicportrait_smirk_encoder.keys.txt').read_text()
    rows = [line.split('\t') for line in text.splitlines() if not line.startswith('#')]
    return {name: [int(length) for length in shape.strip('[]').split(',') if length.strip()] for name, shape, _ in rows}


def made_up(shapes, seed=0):
    """Small random tensors of these shapes, whose normalisations do little."""
    drawn = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if name.endswith(('running_var', 'bn1.weight', 'bn2.weight', 'bn3.weight', 'downsample.1.weight')):
            state[name] = torch.ones(shape)
        elif name.endswith('num_batches_tracked'):
            state[name] = torch.tensor(1)
        else:
            state[name] = torch.randn(shape, generator=drawn) * 0.05
    return state


def head_of(state, name, *values):
    """A head that ignores its features and says these values, then 0."""
    weight = state[f'{name}.0.weight']
    bias = torch.zeros(len(weight))
    bias[: len(values)] = torch.tensor(values)
    return {f'{name}.0.weight': torch.zeros_like(weight), f'{name}.0.bias': bias}
