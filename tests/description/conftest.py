"""A describer on a tiny trunk, and clips whose sources are missing here and there; torch is imported when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from affekt.description import Asked, Describer

WORDS = ('', 'I am fine.', 'No! No, I do not want that at all, leave me alone.', 'So what?')


@pytest.fixture(scope='session')
def describer() -> Describer:
    import torch
    from tiny_describers import SOURCES

    from affekt.description import Adapters, Describer, DescriberSettings, tiny_trunk, with_adapters

    trunk = with_adapters(tiny_trunk(max_position_embeddings=4096), Adapters(rank=2))
    describer = Describer(trunk, SOURCES, DescriberSettings())
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():  # adapters that change something, and a trunk that does not say one thing over and over
        for parameter in describer.parameters():
            if parameter.ndim > 1:
                parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return describer.eval()


@pytest.fixture(scope='session')
def clips(describer) -> list[Asked]:
    """Sixteen: lengths and words differ, and each source is missing in some."""
    import torch
    from tiny_describers import KIND

    generator = torch.Generator().manual_seed(3)
    clips = []
    for number in range(16):
        features = {
            'voice': torch.randn(1 + number % 5, 6, generator=generator),
            'face': torch.randn(2 + number % 3, 4, generator=generator),
            'frame': torch.randn(1 + number % 2, 4, generator=generator),
            'pose': torch.randn(2, 3, generator=generator),
        }
        for at, name in enumerate(tuple(features)):
            if (number >> at) & 1:
                del features[name]
        words = WORDS[number % 4] or 'Hm.' * (not features)
        clips.append(describer.prompt(features, KIND, 'What does the person feel?', words=words))
    return clips
