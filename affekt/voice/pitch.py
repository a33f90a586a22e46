"""Fundamental frequency and harmonicity of a voice, by autocorrelation and a best path through its candidates.

Samples at 16 kHz in, one value each 10 ms out. Each frame offers a few lags at which it resembles itself; a path
through all frames then avoids octave errors and single-frame changes. The constants are Boersma's.
Axes: N samples, T frames, K candidates.

Source: Boersma 1993, Proceedings of the Institute of Phonetic Sciences 17, 97-110 (equation numbers below).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32

RATE_HZ = 16000
HOP = 160
LOWEST_HZ = 60.0
HIGHEST_HZ = 500.0

WINDOW = 800  # three periods of the lowest pitch
_FFT = 1080  # at least WINDOW plus the longest lag
_CANDIDATES = 5
_VOICING = 0.45
_SILENCE = 0.03
_OCTAVE_COST = 0.01
_JUMP_COST = 0.35
_CHANGE_COST = 0.14


@dataclass(frozen=True)
class Pitch:
    """Pitch per 10 ms.

    Attributes:
        f0_hz: (T,) in [60, 500]; nan where unvoiced.
        strength: (T,) the autocorrelation at the chosen lag in [0, 1]; at the best lag where unvoiced.
    """

    f0_hz: Floats32
    strength: Floats32

    @property
    def voiced(self) -> npt.NDArray[np.bool_]:
        """(T,) True where a pitch was found."""
        return ~np.isnan(self.f0_hz)

    @property
    def hnr_db(self) -> Floats32:
        """(T,) harmonics-to-noise ratio in [-40, 40] dB (equation 4); nan where unvoiced."""
        share = np.clip(self.strength, 1e-4, 1 - 1e-4)
        return np.where(self.voiced, 10 * np.log10(share / (1 - share)), np.nan).astype(np.float32)


def windows(samples: Floats32, width: int) -> Floats32:
    """(T, width) views centred on the middle of each 10 ms, zeros beyond the ends; T = N // 160."""
    count = samples.shape[0] // HOP
    padded = np.pad(samples, (width // 2 - HOP // 2, width))
    return np.lib.stride_tricks.sliding_window_view(padded, width)[::HOP][:count]


def find_pitch(samples: Floats32) -> Pitch:
    """The pitch of a turn.

    Args:
        samples: (N,) mono at 16 kHz, any level.

    Returns:
        (T,) values with T = N // 160; all unvoiced for silence.
    """
    frames = windows(samples.astype(np.float32, copy=False), WINDOW)
    if frames.shape[0] == 0:
        return Pitch(np.zeros(0, np.float32), np.zeros(0, np.float32))
    peaks = np.abs(frames).max(axis=1)
    lags, strengths = _candidates(_autocorrelation(frames))
    loudest = float(peaks.max())
    relative = peaks / loudest if loudest > 1e-7 else np.zeros_like(peaks)
    unvoiced = _VOICING + np.maximum(0.0, 2.0 - relative * (1 + _VOICING) / _SILENCE)  # equation 23
    frequencies = RATE_HZ / lags
    scores = strengths - _OCTAVE_COST * np.log2(LOWEST_HZ / frequencies)  # equation 24
    scores = np.where(strengths > 0, scores, -1e3)
    path = _best_path(np.log2(frequencies), np.concatenate([unvoiced[:, None], scores], axis=1))
    chosen = np.maximum(path - 1, 0)
    rows = np.arange(frames.shape[0])
    voiced = (path > 0) & (relative > 0)
    strength = np.where(voiced, strengths[rows, chosen], strengths.max(axis=1))
    f0_hz = np.where(voiced, frequencies[rows, chosen], np.nan)
    return Pitch(f0_hz.astype(np.float32), np.clip(strength, 0, 1).astype(np.float32))


@lru_cache(maxsize=1)
def _hann() -> tuple[Floats32, Floats32]:
    """The window and its own normalised autocorrelation up to the longest lag (equation 8)."""
    window = np.hanning(WINDOW + 2)[1:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(window, 2 * WINDOW)) ** 2
    correlation = np.fft.irfft(power)[: _longest() + 2]
    return window, (correlation / correlation[0]).astype(np.float32)


def _longest() -> int:
    """Lag of the lowest pitch, in samples."""
    return int(RATE_HZ // LOWEST_HZ)


def _autocorrelation(frames: Floats32) -> Floats32:
    """(T, lags) normalised autocorrelation, corrected for the window (equation 9)."""
    from scipy.fft import irfft, rfft  # several times faster than NumPy's on many short float32 frames

    window, expected = _hann()
    tapered = (frames - frames.mean(axis=1, keepdims=True)) * window
    spectrum = rfft(tapered, _FFT, axis=1)
    correlation = irfft(spectrum.real**2 + spectrum.imag**2, _FFT, axis=1)[:, : _longest() + 2]
    power = correlation[:, :1]
    return np.where(power > 1e-12, correlation / np.maximum(power, 1e-12), 0.0).astype(np.float32) / expected


def _candidates(correlation: Floats32) -> tuple[Floats32, Floats32]:
    """The lags (T, K) of the strongest peaks, refined by a parabola, and their strengths (T, K); 0 where fewer."""
    first = int(np.ceil(RATE_HZ / HIGHEST_HZ))
    middle = correlation[:, first:-1]
    before, after = correlation[:, first - 1 : -2], correlation[:, first + 1 :]
    is_peak = (middle > before) & (middle >= after) & (middle > 0)
    # long lags pay a little at this stage too, or octaves below fill all places
    ranked = np.where(is_peak, middle - _OCTAVE_COST * np.log2(np.arange(first, first + middle.shape[1])), -np.inf)
    best = np.argpartition(ranked, -_CANDIDATES, axis=1)[:, -_CANDIDATES:]
    left, centre, right = (np.take_along_axis(part, best, axis=1) for part in (before, middle, after))
    is_candidate = np.take_along_axis(is_peak, best, axis=1)
    curvature = np.where(is_candidate, left - 2 * centre + right, -1.0)
    shift = np.where(is_candidate, 0.5 * (left - right) / np.minimum(curvature, -1e-9), 0.0)
    strength = np.where(is_candidate, centre - 0.25 * (left - right) * shift, 0.0)
    strength = np.where(strength > 1, 1 / np.maximum(strength, 1), strength)
    return (best + first + shift).astype(np.float32), strength.astype(np.float32)


def _best_path(octaves: Floats32, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """(T,) the candidate of each frame, 0 for unvoiced, by dynamic programming (equation 27)."""
    count, choices = scores.shape
    back = np.zeros((count, choices), np.int64)
    change = np.zeros((choices, choices))
    change[0, 1:] = change[1:, 0] = _CHANGE_COST
    total = scores[0].astype(np.float64)
    for frame in range(1, count):
        change[1:, 1:] = _JUMP_COST * np.abs(octaves[frame - 1][:, None] - octaves[frame][None])
        reached = total[:, None] - change
        back[frame] = reached.argmax(axis=0)
        total = reached[back[frame], np.arange(choices)] + scores[frame]
    path = np.zeros(count, np.int64)
    path[-1] = int(total.argmax())
    for frame in range(count - 1, 0, -1):
        path[frame - 1] = back[frame, path[frame]]
    return path
