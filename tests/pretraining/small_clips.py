"""Clips of a few small frames and a tone, whose class shows and sounds, for tests of tuning."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch

from affekt.clips import Clip
from affekt.nn import save_tensors
from affekt.pretraining import HicmaeClassifier, HicmaeForm, LabelledClip, SvfapForm, Tuned, TuningSettings, tune

SMALL = HicmaeForm(32, 2, 16, 2, depth=2, fusion_depth=1, decoder_depth=2, frames=4, size=32, steps=64, bands=128)
FACES = SvfapForm(32, 2, 16, 2, depths=(2, 2), decoder_depth=1, summary_width=8, frames=4, size=32)


def clip(name: str, shade: float, pitch_hz: float, *, seed: int = 0, frames: int = 12, has: str = 'video audio'):
    """Frames of about one shade in [0, 1] and a tone, at 12 frames a second."""
    rng = np.random.default_rng(seed)
    pixels = np.clip(255 * shade + rng.normal(0, 20, (frames, 32, 32, 3)), 0, 255).astype(np.uint8)
    times_s = np.arange(frames) / 12
    tone = np.sin(2 * np.pi * pitch_hz * np.arange(frames * 16_000 // 12) / 16_000)
    sound = (0.3 * tone + rng.normal(0, 0.01, len(tone))).astype(np.float32)
    is_seen, is_heard = 'video' in has, 'audio' in has
    return Clip(name, pixels if is_seen else None, times_s if is_seen else None, sound if is_heard else None)


def labelled(count: int, classes: int = 3, *, seed: int = 0, has: str = 'video audio') -> list[LabelledClip]:
    """As many clips of each class in turn; classes differ in shade and pitch."""
    return [
        LabelledClip(
            clip(f'{seed}-{at}', (1 + at % classes) / (classes + 1), 300.0 * 2 ** (at % classes),
                 seed=1000 * seed + at, has=has),
            at % classes,
        )
        for at in range(count)
    ]  # fmt: skip


def rated(count: int, *, seed: int = 0) -> list[LabelledClip]:
    """Clips with two numbers on scales of their own, which shade and pitch show."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 1, (count, 2))
    return [
        LabelledClip(clip(f'{seed}-{at}', a, 200 + 2000 * b, seed=1000 * seed + at), np.array([1 + 8 * a, 100 * b]))
        for at, (a, b) in enumerate(values)
    ]


def lacking(count: int) -> list[LabelledClip]:
    """Clips of which some have video alone, and some audio alone."""
    return [labelled(count, has=('video audio', 'video', 'audio', 'audio')[at % 4])[at] for at in range(count)]


def tuned_without_draws(batch_size: int, drop_path: float = 0.0, *, train: list[LabelledClip] | None = None,
                        **changes) -> Tuned:  # fmt: skip
    """A small network tuned without mixing and augmentation, on clips of one window each."""
    torch.manual_seed(0)
    settings = TuningSettings(
        epochs=3, batch_size=batch_size, learning_rate=0.05, warm_up=1, stride=1, mixing=None, augments=False, **changes
    )
    training = labelled(12) if train is None else train
    return tune(HicmaeClassifier(SMALL, 3, drop_path=drop_path), training, labelled(7, seed=1), settings)


def tuned_on_ranks(folder: str) -> None:
    """Tune with this process's half of each batch of six, without and with drop path."""
    rank = os.environ['RANK']
    for name, drop_path in (('plain', 0.0), ('dropped', 0.5)):
        tuned = tuned_without_draws(3, drop_path)
        Path(folder, f'{name}-{rank}.json').write_text(json.dumps(tuned.history))
        save_tensors(Path(folder, f'{name}-{rank}.safetensors'), tuned.model.state_dict(), {})
