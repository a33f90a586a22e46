"""AffectGPT at the tiny size of the stored arrays: its describer filled by published names, inputs and prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from fusion_reference import filled as parameter
from fusion_reference import uniform

from affekt.description import (
    AS_PUBLISHED,
    Adapters,
    Asked,
    Describer,
    Pieces,
    Queries,
    Trunk,
    name_map,
    published_sources,
    tiny_trunk,
    with_adapters,
)

QFORMERS = {
    'video_fusion': 'qformer', 'audio_fusion': 'qformer', 'multi_fusion': 'qformer', 'image_fusion': 'steps',
    'tokens': {'video': 8, 'audio': 4, 'multi': 4, 'image': 3},
}  # fmt: skip
MEANS = {'video_fusion': 'mean', 'audio_fusion': 'mean', 'tokens': {'video': 2, 'audio': 2, 'multi': 2}}
TAGS = {
    'qwen2_attention': {},
    'llama_attention': {},
    'qwen2_attention_vis4': {},
    'qwen2_mean': MEANS,
    'qwen2_qformer': QFORMERS,
    'qwen2_qformer_vis4': QFORMERS,
}
"""Tag of the arrays to how its sources differ from the default."""
PLACEHOLDERS = {300: 'image', 301: 'voice', 302: 'frame', 303: 'face', 304: 'multi'}


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """u(name) in C order, as the README of the arrays defines it."""
    return uniform(name, *shape)


def published_name(ours: str, names: dict[str, str | None]) -> str:
    """The published name of one of ours."""
    prefixes = sorted(((here, there) for there, here in names.items() if here), key=lambda pair: -len(pair[0]))
    return next(there + ours[len(here) :] for here, there in prefixes if ours == here or ours.startswith(f'{here}.'))


def tiny_language_model(tag: str) -> Trunk:
    """The trunk of a tag, with weights of its own."""
    family = tag.split('_')[0]
    return tiny_trunk(
        family, vocabulary=320, hidden_size=64, intermediate_size=128, rms_norm_eps=1e-6, max_position_embeddings=512,
        rope_parameters={'rope_type': 'default', 'rope_theta': 1e6 if family == 'qwen2' else 5e5},
    )  # fmt: skip


@cache
def tiny_affectgpt(tag: str) -> Describer:
    """The whole model of a tag, filled."""
    trunk = with_adapters(tiny_language_model(tag), Adapters(rank=4, alpha=32))
    trunk = replace(trunk, vocabulary=replace(trunk.vocabulary, first=1, end=2))
    sources = published_sources(24, 32, queries=Queries(48, 4, 96, 2), **TAGS[tag])
    describer = Describer(trunk, sources, AS_PUBLISHED).eval()
    names = name_map(sources)
    state = describer.state_dict()
    describer.load_state_dict({n: parameter(published_name(n, names), tuple(v.shape)) for n, v in state.items()})
    return describer


def inputs(tag: str) -> dict[str, torch.Tensor]:
    """Features of the two samples."""
    vectors = (3,) if tag.endswith('vis4') else ()
    shapes = {'face': (2, 5, *vectors, 24), 'frame': (2, 5, *vectors, 24), 'image': (2, 1, *vectors, 24)}
    features = {name: drawn(name, shape) for name, shape in shapes.items()} | {'voice': drawn('audio', (2, 4, 32))}
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in features.items()}


def prompts(folder: Path, tag: str) -> dict[str, list[Asked]]:
    """Kind of input to the batch of two."""
    stored = json.loads((folder / 'affectgpt_tiny.json').read_text())['prompts']
    batches = {}
    for key, prompt in stored.items():
        of_tag, kind = key.split('/')
        if of_tag != tag:
            continue
        begin = next(at for at, label in enumerate(prompt['labels']) if label != -100)
        pieces: list[tuple[int, ...] | str] = []
        for number in prompt['input_ids'][:begin]:
            name = PLACEHOLDERS.get(number)
            if name == 'multi' and kind.startswith('multiframe'):
                name = 'multi_frame'
            if name and (not pieces or pieces[-1] != name):
                pieces.append(name)
            elif not name:
                if not pieces or isinstance(pieces[-1], str):
                    pieces.append(())
                pieces[-1] += (number,)
        answer = tuple(prompt['input_ids'][begin:])
        batches[kind] = [
            Asked(Pieces(tuple(pieces), answer), {name: values[row] for name, values in inputs(tag).items()})
            for row in range(2)
        ]
    return batches
