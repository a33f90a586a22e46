"""Small made-up videos whose valence and arousal, expression and units follow from curves that features show."""

import os
import signal
from pathlib import Path

import numpy as np
import torch

from affekt.features import Features
from affekt.frames import FrameLabels
from affekt.sequence_models import FrameTrainingSettings, frame_videos, train_frames

RATE_HZ = 25.0
TINY = FrameTrainingSettings(
    'va', hidden=8, dropout=0.1, options={'layers': 2, 'kernel': 3}, window=32, stride=16, batch_size=4, epochs=4,
    learning_rate=0.01, curve_widths=(5,),
)  # fmt: skip


def curves_of(video: str, frames: int) -> np.ndarray:
    """(T, 2) slow curves in [-1, 1], others for each video."""
    rng = np.random.default_rng(sum(map(ord, video)))
    phases, speeds = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.03, 0.08, 2)
    return np.sin(phases + np.arange(frames)[:, None] * speeds) * 0.8


def labels_of(video: str, partition: str, frames: int, *, known: bool = True) -> FrameLabels:
    """Labels of all tasks; every seventh frame has none."""
    if not known:
        return FrameLabels(video, partition, frames=frames)
    affect = curves_of(video, frames).astype(np.float32)
    expression = (affect[:, 0] > 0).astype(np.int8) + 2 * (affect[:, 1] > 0).astype(np.int8)
    units = (affect > 0.2).astype(np.int8)
    affect[::7], expression[::7], units[::7] = np.nan, -1, -1
    return FrameLabels(video, partition, expression, affect, units)


def face_of(video: str, frames: int, noise: float = 0.3) -> Features:
    """Noisy curves at every second frame."""
    rng = np.random.default_rng(1 + sum(map(ord, video)))
    values = 100 + 5 * np.concatenate([curves_of(video, frames), rng.normal(size=(frames, 1))], axis=1)
    values = values[::2] + rng.normal(size=(len(values[::2]), 3)) * noise * 5
    return Features(video, values.astype(np.float32), times=np.arange(0, frames, 2) / RATE_HZ)


def voice_of(video: str, frames: int) -> Features:
    """One column at twice the rate, in the middles of its rows."""
    rng = np.random.default_rng(2 + sum(map(ord, video)))
    times = (np.arange(2 * frames) + 0.5) / RATE_HZ / 2
    arousal = np.interp(times, np.arange(frames) / RATE_HZ, curves_of(video, frames)[:, 1])
    return Features(video, (arousal + rng.normal(size=len(times)) * 0.3)[:, None].astype(np.float32), times=times)


FRAMES = {'a': 100, 'b': 75, 'c': 20, 'd_left': 90, 'd': 60, 'e': 80, 'f': 50}
"""Videos and their frames; c is shorter than a window."""


def videos_of(parts: dict[str, str], *, known: bool = True, noise: float = 0.3):
    """Videos with faces and, but for b, voices.

    Args:
        parts: video to its partition.
        known: they have labels.
        noise: of the faces.
    """
    faces = {name: face_of(name, FRAMES[name], noise) for name in parts}
    voices = {name: voice_of(name, FRAMES[name]) for name in parts if name != 'b'}
    labels = [labels_of(name, part, FRAMES[name], known=known) for name, part in parts.items()]
    return frame_videos(labels, {'face': faces, 'voice': voices}, RATE_HZ, methods={'voice': 'mean'})


def both_sides(noise: float = 0.3):
    """Training and validation videos."""
    training = videos_of(dict.fromkeys(['a', 'b', 'c', 'd_left', 'd'], 'train'), noise=noise)
    return training, videos_of(dict.fromkeys(['e', 'f'], 'val'), noise=noise)


def train_and_die(folder: str, step: int) -> None:
    """Train in a folder and kill this process, as the system does, at that step."""
    torch.set_num_threads(1)

    def die(_, done, total):
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    train_frames(*both_sides(), TINY, folder=Path(folder), notes={'corpus': 'made up'}, progress=die)
