"""A tiny describer in a folder, with its trunk, and media for it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from affekt.description import Adapters, Describer, Source, open_trunk, save_describer, tiny_trunk, with_adapters
from affekt.features import Features, Recipe, Unable

QUESTION = 'What does the person feel?'


def saved_trunk(folder: Path) -> Path:
    """A tiny language model as `save_pretrained` writes it."""
    trunk = tiny_trunk('qwen2', seed=4, max_position_embeddings=4096)
    trunk.network.save_pretrained(folder / 'trunk')
    trunk.vocabulary.tokenizer.save(str(folder / 'trunk' / 'tokenizer.json'))
    return folder / 'trunk'


def saved_describer(folder: Path, **notes: object) -> Path:
    """Hears by `acoustics-utt`, sees by a recipe that its folder does not note, and answers shortly."""
    trunk = saved_trunk(folder)
    sources = (Source('voice', 21, tokens=2, scaled=True), Source('face', 21, fusion='gated'))
    describer = Describer(with_adapters(open_trunk(trunk), Adapters(rank=2)), sources, seed=1)
    noted = {'recipes': {'voice': 'acoustics-utt'}, 'question': QUESTION, 'training': {'answer_tokens': 6}, **notes}
    save_describer(describer.eval(), folder / 'describer', notes=noted)
    return folder / 'describer'


def one_face(width: int = 21, name: str = 'faces') -> Recipe:
    """A recipe of faces that sees none in a sound."""

    def encoder(manifest, samples):
        return [
            Features(row.sample, np.ones((3, width), np.float32)) if row.video else Unable(row.sample, 'no picture')
            for row in samples
        ]

    return Recipe(f'test-{name}', 'video', width, {'tool': 'test'}, lambda recipe: encoder)


def one_text() -> Recipe:
    """A recipe of the encoder of sentences that opens no model."""

    def encoder(manifest, samples):
        return [Features(row.sample, np.ones((1, 31), np.float32)) for row in samples]

    return Recipe('test-text', 'text', 31, {'model': 'minilm-l6-int8.onnx'}, lambda recipe: encoder)


def tone(seconds: float = 1.0, pitch_hz: float = 180.0) -> np.ndarray:
    """Something voiced: harmonics of a pitch that falls a little."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 - 0.1 * time)) / 16_000
    return (0.2 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray) -> None:
    """16 kHz mono."""
    with wave.open(str(path), 'wb') as file:
        file.setparams((1, 2, 16_000, 0, 'NONE', ''))
        file.writeframes(np.round(32767 * samples).astype('<i2').tobytes())
