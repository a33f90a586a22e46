"""The log-mel spectrogram that Whisper was trained on, in NumPy.

From 16 kHz mono samples to 80 mel bands at 100 frames a second: a periodic Hann window of 25 ms every 10 ms, the power
spectrum, Slaney's mel filters with unit area, log10, values clipped to 8 decades below the maximum, then (x + 4) / 4.
Axes: N samples, F frames of 10 ms, M mel bands.

Source: Radford et al. 2022, arXiv:2212.04356, section 2.2; the filters follow Slaney's Auditory Toolbox (1998).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ShapeError
from affekt.voice.fourier import rfft

RATE_HZ = 16000
WINDOW = 400
HOP = 160
BANDS = 80


_LINEAR_STEP_HZ = 200.0 / 3.0
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def hz_from_mel(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Frequencies in Hz on Slaney's scale: linear below 1 kHz, logarithmic above."""
    break_mel = _BREAK_HZ / _LINEAR_STEP_HZ
    return np.where(
        mel < break_mel,
        mel * _LINEAR_STEP_HZ,
        _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, break_mel) - break_mel)),
    )


@lru_cache(maxsize=2)
def mel_filters(bands: int = BANDS) -> Floats32:
    """Triangular filters of unit area between 0 Hz and 8 kHz.

    Args:
        bands: number of filters, >= 1.

    Returns:
        (M, 201) weights for the bins of a 400-point spectrum at 16 kHz.
    """
    top_mel = _BREAK_HZ / _LINEAR_STEP_HZ + np.log(RATE_HZ / 2 / _BREAK_HZ) / _LOG_STEP
    edges_hz = hz_from_mel(np.linspace(0.0, top_mel, bands + 2))
    bins_hz = np.fft.rfftfreq(WINDOW, 1.0 / RATE_HZ)
    lower, centre, upper = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - lower) / (centre - lower)
    falling = (upper - bins_hz) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (upper - lower))).astype(np.float32)


@lru_cache(maxsize=1)
def _window() -> Floats32:
    """(400,) periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def log_mel(samples: Floats32, bands: int = BANDS) -> Floats32:
    """Whisper's log-mel spectrogram of a recording at its own length.

    Args:
        samples: (N,) mono in [-1, 1] at 16 kHz.
        bands: 80, or 128 for Whisper large-v3.

    Returns:
        (F, M) float32 with F = N // 160; (0, M) for fewer than 160 samples.

    Raises:
        ShapeError: the samples are not (N,).
    """
    if samples.ndim != 1:
        raise ShapeError(expected='samples of shape (N,)', came=f'{samples.shape}', todo='mix the channels down to one')
    count = samples.shape[0] // HOP
    if count == 0:
        return np.zeros((0, bands), np.float32)
    half = WINDOW // 2
    samples = samples.astype(np.float32, copy=False)
    padded = np.pad(samples, half, mode='reflect') if samples.shape[0] > half else np.pad(samples, half)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]  # (F, 400)
    spectrum = rfft(frames * _window())  # (F, 201)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    mel = np.log10(np.maximum(power @ mel_filters(bands).T, 1e-10))
    mel = np.maximum(mel, mel.max() - 8.0)
    return np.asarray((mel + 4.0) / 4.0, dtype=np.float32)
