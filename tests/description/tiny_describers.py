"""Describers for tests: sources with each fusion, one that joins and one that shares weights; and a toy to learn."""

from __future__ import annotations

import numpy as np
import torch

from affekt.description import (
    Adapters,
    Describer,
    Example,
    Queries,
    Source,
    Trunk,
    kind_of,
    tiny_trunk,
    with_adapters,
)

SOURCES = (
    Source('voice', 6, tokens=2, scaled=True),
    Source('face', 4, fusion='gated'),
    Source('frame', 4, fusion='gated', shares='face'),
    Source('multi', 8, fusion='qformer', joins=('face', 'voice'), queries=Queries(12, 3, 16, 2, positions=24)),
    Source('pose', 3, tokens=2, fusion='steps'),
)
KIND = kind_of(('multi', 'voice', 'face', 'frame', 'pose'))
FELT = ('sad', 'mad', 'glad')


def toy_examples(count: int, first: int, seed: int) -> list[Example]:
    """Clips whose voice says what is felt: the column of that label is larger by 2 than the noise of the others."""
    rng = np.random.default_rng(seed)
    examples = []
    for number in range(count):
        label = FELT[number % len(FELT)]
        voice = 0.3 * rng.standard_normal((1 + number % 3, len(FELT))).astype(np.float32)
        voice[:, number % len(FELT)] += 2.0
        answer = f'{label.capitalize()}.'
        examples.append(Example(f'clip{first + number}', {'voice': voice}, '', 'Which emotion?', answer, (label,)))
    return examples


def toy_describer(*sources: Source, dropout: float = 0.0) -> Describer:
    """With a voice of many tokens, since a drawn trunk attends to all alike."""
    voice = Source('voice', len(FELT), tokens=24, fusion='mean', standardised=True, scaled=True)
    return Describer(with_adapters(toy_trunk(), Adapters(rank=8, dropout=dropout)), sources or (voice,))


def toy_trunk() -> Trunk:
    """Drawn, with words that are far apart, so that adapters can choose among them."""
    trunk = tiny_trunk()
    with torch.no_grad():
        for module in (trunk.network.get_input_embeddings(), trunk.network.get_output_embeddings()):
            module.weight.mul_(25.0)
    return trunk
