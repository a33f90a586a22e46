"""Tiny checkpoints with weights from a seed, made-up clips, and a corpus of them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from affekt.clips import Clip
from affekt.corpora import Manifest, made_up_corpus
from affekt.nn import save_tensors
from affekt.pretraining import HicmaeClassifier, HicmaeForm, SvfapClassifier, SvfapForm
from affekt.pretraining.masked_training import form_notes

BOTH = HicmaeForm(16, 2, 16, 2, depth=4, decoder_depth=3, fusion_depth=1, frames=16, size=32)
AUDIO, VIDEO = replace(BOTH, modalities=('audio',)), replace(BOTH, modalities=('video',))
FACES = SvfapForm(16, 2, 16, 2, depths=(2, 2, 2), decoder_depth=1, summary_width=8, summaries=2, frames=16, size=48)
FORMS = {'both': BOTH, 'audio': AUDIO, 'video': VIDEO, 'svfap': FACES}
BRIGHTNESS = {'neutral': 128, 'happy': 220, 'sad': 30}


def network(form, seed: int = 0):
    """A fine-tuning network whose every weight is drawn, biases and weights of layers too."""
    torch.manual_seed(seed)
    made = SvfapClassifier(form, 5, 0.0) if isinstance(form, SvfapForm) else HicmaeClassifier(form, 5, 0.0)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made.eval()


def run_folder(folder: Path, form, seed: int = 0) -> Path:
    """A folder as a run leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = network(form, seed).state_dict()
    save_tensors(folder / 'weights.safetensors', state, {'notes': json.dumps(form_notes(form))})
    return folder


def noise(frames: int, seed: int = 0, rate_hz: float = 25.0, size: int = 32) -> Clip:
    """Pictures and sound of a clip."""
    rng = np.random.default_rng(seed)
    return Clip(
        f'{frames} frames', rng.integers(0, 256, (frames, size, size, 3), dtype=np.uint8), np.arange(frames) / rate_hz,
        (0.1 * rng.standard_normal(round(16_000 * frames / rate_hz))).astype(np.float32),
    )  # fmt: skip


def deaf(clip: Clip) -> Clip:
    """Without its sound."""
    return replace(clip, sound=None, missing={'audio': 'the file has no audio'})


def blind(clip: Clip) -> Clip:
    """Without its pictures."""
    return replace(clip, frames=None, times_s=None, missing={'video': 'no face in 9 frames'})


def corpus_of_clips(folder: Path) -> Manifest:
    """A quarter of the made-up corpus: its sounds, and pictures as bright as the category but for the first sample."""
    corpus = made_up_corpus(media=folder)
    for category, level in BRIGHTNESS.items():
        (folder / category).mkdir()
        for number in range(4):
            picture = np.full((32, 32, 3), level + number, dtype=np.uint8)
            Image.fromarray(picture).save(folder / category / f'{number}.png')
    first, *rest = tuple(corpus.samples)[::4]
    return Manifest(corpus.facts, (first, *(dataclasses.replace(row, frames=row.category) for row in rest)))
