"""Fundamental frequency and harmonicity of a voice, by autocorrelation and a best path through its candidates.

From samples at 16 kHz to one value per 10 ms. Each frame offers a few lags at which it resembles itself; a path
through all frames then avoids octave errors and single-frame changes. The constants are Boersma's.

A shouting woman or a child reaches 1000 Hz, which a ceiling suited to a calm man would halve; a high ceiling lets
single frames of a low voice jump up an octave. So the path is computed twice through the same candidates: up to
1050 Hz, then up to one and a half times the upper quartile of the result, and never below 500 Hz.

The autocorrelation is interpolated exactly, by an inverse transform of eight times the length: the peak of a bright
voice is narrower than a sample, and a parabola through samples would rank the one an octave below higher.
Axes: N samples, T frames, K candidates.

| here | Boersma 1993 |
|---|---|
| _VOICING | VoicingThreshold |
| _SILENCE | SilenceThreshold |
| _OCTAVE_COST, _JUMP_COST, _CHANGE_COST | OctaveCost, OctaveJumpCost, VoicedUnvoicedCost |

Source: Boersma 1993, Proceedings of the Institute of Phonetic Sciences 17, 97-110 (equation numbers below); the two
passes follow De Looze & Hirst 2008, Speech Prosody, 135-138.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.voice.fourier import irfft_of_power, rfft

RATE_HZ = 16000
HOP = 160
"""Samples from one frame to the next, 10 ms."""
LOWEST_HZ = 60.0
HIGHEST_HZ = 1050.0
USUAL_HIGHEST_HZ = 500.0
"""Minimum ceiling of the second pass."""
ABOVE_UPPER_QUARTILE = 1.5

WINDOW = 800  # three periods of the lowest pitch
_FFT = 1080  # at least WINDOW plus the longest lag, so that no lag wraps around
_FINER = 8  # lags per sample
_CHUNK = 32  # frames whose finer autocorrelation is in memory at a time: more take half as long again
_CANDIDATES = 12
_VOICING = 0.45
_SILENCE = 0.03
_OCTAVE_COST = 0.01
_JUMP_COST = 0.35
_CHANGE_COST = 0.14


@dataclass(frozen=True)
class Pitch:
    """Pitch per 10 ms.

    Attributes:
        f0_hz: (T,) in [60, 1050]; nan where unvoiced.
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

    1. Candidates of every frame; 2. the best path up to 1050 Hz; 3. the best path up to the resulting ceiling.

    Args:
        samples: (N,) mono at 16 kHz, any level.

    Returns:
        (T,) values with T = N // 160; all unvoiced for silence.
    """
    frames = windows(samples.astype(np.float32, copy=False), WINDOW)
    if frames.shape[0] == 0:
        return Pitch(np.zeros(0, np.float32), np.zeros(0, np.float32))
    peaks = np.abs(frames).max(axis=1)
    loudest = float(peaks.max())
    relative = peaks / loudest if loudest > 1e-7 else np.zeros_like(peaks)
    chunks = [_candidates(_autocorrelation(frames[i : i + _CHUNK])) for i in range(0, frames.shape[0], _CHUNK)]
    lags, strengths = (np.concatenate(part) for part in zip(*chunks, strict=True))
    first = _pitch_up_to(HIGHEST_HZ, lags, strengths, relative)
    ceiling_hz = second_ceiling(first.f0_hz)
    return first if ceiling_hz == HIGHEST_HZ else _pitch_up_to(ceiling_hz, lags, strengths, relative)


def second_ceiling(f0_hz: Floats32) -> float:
    """The pitch ceiling of the second pass.

        min(max(1.5 * upper quartile, 500), 1050)

    Args:
        f0_hz: (T,) pitch found by the first pass; nan where unvoiced.

    Returns:
        Hz; 500 if no frame is voiced.
    """
    voiced = f0_hz[~np.isnan(f0_hz)]
    ceiling_hz = ABOVE_UPPER_QUARTILE * float(np.percentile(voiced, 75)) if voiced.size else 0.0
    return min(max(ceiling_hz, USUAL_HIGHEST_HZ), HIGHEST_HZ)


def _pitch_up_to(ceiling_hz: float, lags: Floats32, strengths: Floats32, relative: Floats32) -> Pitch:
    """The best path through the candidates up to a ceiling; relative: (T,) peak of each frame over the largest."""
    unvoiced = _VOICING + np.maximum(0.0, 2.0 - relative * (1 + _VOICING) / _SILENCE)  # equation 23
    frequencies = RATE_HZ / lags
    strengths = np.where(frequencies <= ceiling_hz, strengths, 0.0)
    scores = strengths - _OCTAVE_COST * np.log2(LOWEST_HZ / frequencies)  # equation 24
    scores = np.where(strengths > 0, scores, -1e3)
    # (T, 1) and (T, K) to (T, 1 + K): choice 0 is unvoiced
    path = _best_path(np.log2(frequencies), np.concatenate([unvoiced[:, None], scores], axis=1))
    chosen = np.maximum(path - 1, 0)
    rows = np.arange(lags.shape[0])
    voiced = (path > 0) & (relative > 0)
    strength = np.where(voiced, strengths[rows, chosen], strengths.max(axis=1))
    f0_hz = np.where(voiced, frequencies[rows, chosen], np.nan)
    return Pitch(f0_hz.astype(np.float32), np.clip(strength, 0, 1).astype(np.float32))


@lru_cache(maxsize=1)
def _hann() -> tuple[Floats32, Floats32]:
    """The window and its own normalised autocorrelation up to the longest lag, by the finer lags (equation 8)."""
    window = np.hanning(WINDOW + 2)[1:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(window, 2 * WINDOW)) ** 2
    correlation = np.fft.irfft(power, 2 * WINDOW * _FINER)[: _longest() + 2]
    return window, (correlation / correlation[0]).astype(np.float32)


def _longest() -> int:
    """Lag of the lowest pitch, in finer lags."""
    return int(RATE_HZ * _FINER // LOWEST_HZ)


def _autocorrelation(frames: Floats32) -> Floats32:
    """(T, finer lags) normalised autocorrelation, corrected for the window (equation 9)."""
    window, window_correlation = _hann()
    tapered = (frames - frames.mean(axis=1, keepdims=True)) * window
    spectrum = rfft(tapered, _FFT)
    power = spectrum.real**2 + spectrum.imag**2
    power[:, -1] /= 2  # the Nyquist bin becomes two in the longer spectrum
    correlation = irfft_of_power(power, _FFT * _FINER)[:, : _longest() + 2]
    energy = correlation[:, :1]
    # silence: the minimum power of a frame that counts, scaled as in a transform of the original length
    minimum = 1e-12 / _FINER
    return (
        np.where(energy > minimum, correlation / np.maximum(energy, minimum), 0.0).astype(np.float32)
        / window_correlation
    )


def _candidates(correlation: Floats32) -> tuple[Floats32, Floats32]:
    """Lags (T, K) in samples and strengths (T, K) of each frame's strongest peaks; strength 0 beyond the last peak."""
    first = int(np.ceil(RATE_HZ * _FINER / HIGHEST_HZ))
    middle = correlation[:, first:-1]
    is_peak = (middle > correlation[:, first - 1 : -2]) & (middle >= correlation[:, first + 1 :]) & (middle > 0)
    frame, position = np.nonzero(is_peak)  # (P,) peaks of all frames, about twenty of two thousand lags each
    lag = position + first
    left, centre, right = (correlation[frame, lag + step] for step in (-1, 0, 1))
    # long lags are penalised at this stage too, or lower octaves would fill all candidates
    order = np.lexsort((_OCTAVE_COST * np.log2(lag) - centre, frame))
    frame, lag = frame[order], lag[order]
    left, centre, right = left[order], centre[order], right[order]
    # frame 0 0 0 1 1  ->  rank 0 1 2 0 1
    rank = np.arange(frame.size) - np.searchsorted(frame, frame)
    shift = 0.5 * (left - right) / np.minimum(left - 2 * centre + right, -1e-9)
    strength = centre - 0.25 * (left - right) * shift
    strength = np.where(strength > 1, 1 / np.maximum(strength, 1), strength)
    lags = np.full((correlation.shape[0], _CANDIDATES), RATE_HZ / LOWEST_HZ, np.float32)
    strengths = np.zeros_like(lags)
    kept = rank < _CANDIDATES
    lags[frame[kept], rank[kept]] = (lag + shift)[kept] / _FINER
    strengths[frame[kept], rank[kept]] = strength[kept]
    return lags, strengths


def _best_path(octaves: Floats32, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """(T,) the candidate of each frame, 0 for unvoiced, by dynamic programming (equation 27)."""
    count, choices = scores.shape
    predecessor = np.zeros((count, choices), np.int64)
    cost = np.zeros((choices, choices))
    cost[0, 1:] = cost[1:, 0] = _CHANGE_COST
    total = scores[0].astype(np.float64)
    for frame in range(1, count):
        cost[1:, 1:] = _JUMP_COST * np.abs(octaves[frame - 1][:, None] - octaves[frame][None])
        reached = total[:, None] - cost
        predecessor[frame] = reached.argmax(axis=0)
        total = reached[predecessor[frame], np.arange(choices)] + scores[frame]
    path = np.zeros(count, np.int64)
    path[-1] = int(total.argmax())
    for frame in range(count - 1, 0, -1):
        path[frame - 1] = predecessor[frame, path[frame]]
    return path
