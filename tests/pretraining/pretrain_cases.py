"""Made-up clips, a tiny form, and jobs that other processes run."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner

from affekt.cli import main
from affekt.clips import Clip
from affekt.corpora import Facts, Manifest, Sample
from affekt.media import write_audio, write_video
from affekt.media.synthetic import numbered_images, tone
from affekt.pretraining import forms
from affekt.pretraining.forms import HicmaeForm, SvfapForm
from affekt.pretraining.masked_settings import PretrainingSettings
from affekt.pretraining.masked_training import pretrain

FORM = HicmaeForm(16, 2, 16, 2, depth=4, decoder_depth=3, fusion_depth=1, frames=4, size=32, steps=64)
FACES = SvfapForm(16, 2, 16, 2, depths=(2, 2), decoder_depth=1, summary_width=8, summaries=2, frames=8, size=48)
SETTINGS = PretrainingSettings(
    epochs=4, batch_size=4, log_every=1, save_every=2, video_mask=0.5, snapshot_every=1, workers=2
)


def clips(count: int = 12, video: bool = True, audio: bool = True, size: int = 32) -> list[Clip]:
    """Noise of unequal lengths."""
    made = []
    for number in range(count):
        rng = np.random.default_rng(number)
        length = 12 + 5 * number
        frames = rng.integers(0, 256, (length, size, size, 3), dtype=np.uint8) if video else None
        sound = (0.1 * rng.standard_normal(length * 640)).astype(np.float32) if audio else None
        made.append(Clip(f'clip {number}', frames, np.arange(length) / 25 if video else None, sound))
    return made


def mixed_clips(count: int = 12) -> list[Clip]:
    """Both, pictures alone and sound alone in turn."""
    lacking = [{}, {'sound': None}, {'frames': None, 'times_s': None}]
    return [replace(clip, **lacking[number % 3]) for number, clip in enumerate(clips(count))]


def corpus_in(root: Path) -> Path:
    """A manifest of four videos, one of them silent, a voice, and a file that is no video."""
    for number in range(4):
        sound = tone(0.9, 200 + 100 * number) if number else None
        write_video(root / f'v{number}.mkv', numbered_images(12), 12.5, sound)
    write_audio(root / 'voice.wav', tone(0.9), 16_000)
    (root / 'broken.mp4').write_bytes(b'no video')
    rows = [Sample(f'v{number}', video=f'v{number}.mkv') for number in range(4)]
    rows += [Sample('voice', audio='voice.wav'), Sample('broken', video='broken.mp4')]
    Manifest(Facts('made up', root=str(root)), rows).save(root / 'clips.parquet')
    return root / 'clips.parquet'


def killed_after(folder: str, step: int) -> None:
    """Run in a folder and kill this process, as the system does, after a step."""
    torch.set_num_threads(1)

    def die(_, done, total):
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    pretrain(FORM, mixed_clips(), SETTINGS, folder=Path(folder), progress=die)


def on_ranks(folder: str, words: list[str]) -> None:
    """Pre-train with this process's share of each batch, the contrast within it and gathered; then run the command."""
    rank = os.environ['RANK']
    for name, gathers in (('own', False), ('gathered', True)):
        settings = replace(SETTINGS, epochs=2, gathers_contrast=gathers, contrast_weight=0.5)
        done = pretrain(FORM, clips(), settings, folder=Path(folder) / name)
        (Path(folder) / f'{name}-{rank}.json').write_text(json.dumps(done.history))
    settings = replace(SETTINGS, epochs=2, gathers_contrast=True, contrast_weight=0.5)
    pretrain(FORM, mixed_clips(), settings, folder=Path(folder) / 'mixed')
    os.chdir(folder)
    forms.FORMS['hicmae-tiny'] = lambda: FORM
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 0, answer.output
    Path(f'stdout-{rank}.txt').write_text(answer.stdout)
