"""Log-mel spectrograms as HiCMAE's input: Kaldi's filterbank of 16 kHz, 256 rows of 10 ms by 128 bands.

The input is audio in [-1, 1] at 16 kHz; frames of 25 ms start every 10 ms and lie wholly within it. The mean of the
whole audio is subtracted first, then that of each frame; then follow pre-emphasis, a symmetric Hann window, the power
spectrum of 512 points, 128 triangles on Kaldi's mel scale from 20 Hz to 8 kHz (not scaled to equal area; the fourth
lies between two bins and is empty), and the natural logarithm with a floor. Rows are cut at 256 or padded with zeros
*before* AudioSet's mean and standard deviation are applied, as published: a padded row becomes +0.467.

Axes: S samples, F frames, R rows (256), M bands (128), B batch.

Source: github.com/kaldi-asr/kaldi, feat/feature-fbank.cc; statistics from Gong et al. 2021, arXiv:2104.01778.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from affekt.arrays import Floats32
from affekt.errors import ShapeError, ValueRangeError

RATE_HZ = 16000
WINDOW, HOP, POINTS = 400, 160, 512
"""Samples of a frame and between frames; points of its spectrum."""
ROWS, BANDS = 256, 128
LOWEST_HZ, HIGHEST_HZ = 20.0, 8000.0
PRE_EMPHASIS = 0.97
FLOOR = float(np.finfo(np.float32).eps)
MEAN, DEVIATION = -4.2677393, 4.5689974
"""Mean and standard deviation of AudioSet, which is scaled to a standard deviation of one half."""
FILLED = (0.0 - MEAN) / (2 * DEVIATION)
"""Value of a row beyond the end of the audio: 0.467."""


def mel_from_hz(hz: Tensor) -> Tensor:
    """Kaldi's scale, the same as HTK's: 1127 ln(1 + f / 700)."""
    return 1127.0 * (1.0 + hz / 700.0).log()


@lru_cache(maxsize=1)
def mel_weights() -> Tensor:
    """(257, 128) weights of the bins of a power spectrum; the last bin, 8 kHz, belongs to no triangle.

    The bins are placed in single precision, as Kaldi does, so that the weights are its own to the last bit.
    """
    lowest, highest = mel_from_hz(torch.tensor([LOWEST_HZ, HIGHEST_HZ], dtype=torch.float64)).tolist()
    step = (highest - lowest) / (BANDS + 1)
    band = torch.arange(BANDS)
    left, centre, right = (lowest + (band + i) * step for i in (0.0, 1.0, 2.0))
    bins = mel_from_hz(RATE_HZ / POINTS * torch.arange(POINTS // 2)).unsqueeze(1)  # (256, 1)
    triangles = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0.0)
    return torch.nn.functional.pad(triangles, (0, 0, 0, 1))  # (257, 128)


@lru_cache(maxsize=1)
def _window() -> Tensor:
    return torch.hann_window(WINDOW, periodic=False)


def frame_count(samples: int) -> int:
    """Number of frames that lie wholly within the given number of samples.

    >>> frame_count(399), frame_count(400), frame_count(16000)
    (0, 1, 98)
    """
    return 1 + (samples - WINDOW) // HOP if samples >= WINDOW else 0


def log_energies(frames: Tensor) -> Tensor:
    """(F, 128) natural logarithms of band energies, at least ln 1.19e-7 = -15.94.

    Args:
        frames: (F, 400) samples of each frame, after subtraction of the mean of the whole audio.
    """
    if not len(frames):  # Fourier transforms reject empty input
        return frames.new_zeros(0, BANDS)
    frames = frames - frames.mean(dim=1, keepdim=True)
    previous = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)  # (F, 400) one sample earlier, the first repeated
    frames = (frames - PRE_EMPHASIS * previous) * _window().to(frames.device)
    spectrum = torch.view_as_real(torch.fft.rfft(frames, n=POINTS))  # (F, 257, 2)
    energies = spectrum.square().sum(dim=2) @ mel_weights().to(frames.device)  # (F, 257) to (F, 128)
    return energies.clamp(min=FLOOR).log()


def log_mel(sound: Tensor | Floats32) -> Tensor:
    """(F, 128) log-mel spectrogram of whole audio, neither cut nor normalised; (0, 128) below 400 samples.

    Raises:
        ShapeError: the audio is not (S,).
    """
    return log_energies(_frames(sound, None))


def filterbank(sound: Tensor | Floats32, rows: int = ROWS) -> Tensor:
    """(R, 128) spectrogram of audio, as the audio encoder reads it.

    Args:
        sound: (S,) in [-1, 1] at 16 kHz.
        rows: R; longer audio is cut.

    Raises:
        ShapeError: the audio is not (S,).
        ValueRangeError: `rows` is below 1.
    """
    return filterbanks([sound], rows)[0]


def filterbanks(sounds: Sequence[Tensor | Floats32], rows: int = ROWS) -> Tensor:
    """(B, R, 128) spectrograms of audio of any lengths, all frames computed at once.

    Raises:
        ShapeError: the audio of a clip is not (S,).
        ValueRangeError: fewer than one row, or no audio.
    """
    if rows < 1 or not sounds:
        raise ValueRangeError(
            expected='one row and the audio of one clip at least', came=f'{rows} rows for {len(sounds)} clips',
            todo='give more',
        )  # fmt: skip
    parts = [_frames(sound, rows) for sound in sounds]
    energies = log_energies(torch.cat(parts))  # (ΣF, 128)
    spectrograms = energies.new_zeros(len(parts), rows, BANDS)
    for spectrogram, part in zip(spectrograms, energies.split([len(part) for part in parts]), strict=True):
        spectrogram[: len(part)] = part
    return normalised(spectrograms)


def normalised(spectrogram: Tensor) -> Tensor:
    """Log energies by AudioSet's statistics: (x + 4.2677393) / (2 · 4.5689974)."""
    return (spectrogram - MEAN) / (2 * DEVIATION)


def _frames(sound: Tensor | Floats32, rows: int | None) -> Tensor:
    """(F, 400) views of the audio without its mean, at most `rows` of them."""
    wave = torch.as_tensor(sound, dtype=torch.float32)
    if wave.ndim != 1:
        raise ShapeError(expected='audio (S,)', came=f'{tuple(wave.shape)}', todo='mix the channels down to one')
    count = frame_count(len(wave))
    count = count if rows is None else min(count, rows)
    if count == 0:
        return wave.new_zeros(0, WINDOW)
    needed = (count - 1) * HOP + WINDOW
    return (wave[:needed] - wave.mean()).unfold(0, WINDOW, HOP)
