"""Spectra of audio as defined by librosa: power in 128 mel bands, and 40 cepstral coefficients with two deltas.

As published with MERBench: audio at 16 kHz resampled to 22.05 kHz, windows of 25 ms every 10 ms in an FFT of 2,048
samples, ends mirrored, Slaney's mel bands of equal area.

Axes: S samples of audio, T windows.

Source: McFee et al. 2015, doi:10.25080/Majora-7b98e3ed-003; Slaney 1998, Auditory Toolbox, Interval TR 1998-010;
github.com/zeroQiaoba/MERTools, MERBench/feature_extraction/audio/handcrafted_feature_func.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.features.recipes import Features, Recipe, SampleEncoder, Unable
from affekt.features.sample_encoders import audio_encoder

GIVEN_HZ, RATE_HZ = 16_000, 22_050
WINDOW, HOP, FFT, BANDS, COEFFICIENTS = 551, 220, 2_048, 128, 40
"""Window (25 ms), hop (10 ms) and FFT in samples; number of bands; number of coefficients that are kept."""
WIDTH = 9
"""Number of windows over which a delta is taken."""
_LINEAR_HZ, _STEP = 1_000.0, 200 / 3
"""Below _LINEAR_HZ mels are linear, one per 66.7 Hz; above, one is a factor of 6.4^(1/27)."""
_FACTOR = np.log(6.4) / 27


def mel_of(hertz: npt.ArrayLike) -> Floats:
    """Slaney's mels of frequencies in Hz.

    >>> mel_of([0.0, 1000.0, 6400.0]).round(6).tolist()
    [0.0, 15.0, 42.0]
    """
    frequencies = np.asarray(hertz, np.float64)
    above = _LINEAR_HZ / _STEP + np.log(np.maximum(frequencies, _LINEAR_HZ) / _LINEAR_HZ) / _FACTOR
    return np.where(frequencies < _LINEAR_HZ, frequencies / _STEP, above)


def hertz_of(mel: npt.ArrayLike) -> Floats:
    """Frequencies in Hz of Slaney's mels."""
    mels = np.asarray(mel, np.float64)
    linear_mels = _LINEAR_HZ / _STEP
    return np.where(
        mels < linear_mels, mels * _STEP, _LINEAR_HZ * np.exp(_FACTOR * (np.maximum(mels, linear_mels) - linear_mels))
    )


@functools.cache
def mel_bands() -> Floats:
    """(1025, 128) weights: triangles between neighbouring centres, of area 1 per hertz."""
    edges = hertz_of(np.linspace(0.0, float(mel_of(RATE_HZ / 2)), BANDS + 2))
    bins = np.linspace(0.0, RATE_HZ / 2, FFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins) / np.diff(edges)[1:]
    weights: Floats = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))
    return weights


def mel_power(sound: Floats32) -> Floats:
    """(T, 128) power in each band.

    Args:
        sound: (S,) at 22.05 kHz, S above 0.
    """
    from scipy.signal import get_window

    window = np.zeros(FFT)
    left = (FFT - WINDOW) // 2
    window[left : left + WINDOW] = get_window('hann', WINDOW)
    ends = np.pad(sound.astype(np.float64), FFT // 2, mode='reflect')
    frames = np.lib.stride_tricks.sliding_window_view(ends, FFT)[::HOP]  # (S + FFT,) to (T, FFT)
    blocks = [np.abs(np.fft.rfft(frames[at : at + 512] * window)) ** 2 for at in range(0, len(frames), 512)]
    power: Floats = np.concatenate(blocks) @ mel_bands()  # (T, 1025) to (T, 128)
    return power


def cepstra(sound: Floats32) -> Floats:
    """(T, 120): 40 cepstral coefficients, their slopes, and the slopes of those.

        coefficients = DCT-II of power in dB over bands, clipped 80 dB below the maximum

    A slope is that of a straight line through 9 windows; at both ends that through the outermost 9.

    Args:
        sound: (S,) at 22.05 kHz, long enough for 9 windows.
    """
    from scipy.fft import dct
    from scipy.signal import savgol_filter

    decibels = 10 * np.log10(np.maximum(mel_power(sound), 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    first = dct(decibels, axis=1, norm='ortho')[:, :COEFFICIENTS]
    second = savgol_filter(first, WIDTH, 1, deriv=1, axis=0, mode='interp')
    third = savgol_filter(second, WIDTH, 1, deriv=1, axis=0, mode='interp')
    return np.concatenate([first, second, third], axis=1)  # three of (T, 40) to (T, 120)


def _open(recipe: Recipe, measure: Callable[[Floats32], Floats]) -> SampleEncoder:
    def encode(sample: str, sound: Floats32) -> Features | Unable:
        import soxr

        resampled = soxr.resample(sound, GIVEN_HZ, RATE_HZ)
        if len(resampled) < (WIDTH - 1) * HOP:
            return Unable(sample, f'{len(sound) / GIVEN_HZ:.2f} s of audio')
        rows = measure(resampled)
        if recipe.facts['level'] == 'UTT':
            return recipe.features(sample, rows.mean(axis=0))
        return recipe.features(sample, rows, np.arange(len(rows)) * HOP / RATE_HZ)

    return audio_encoder(encode)


def _open_mel(recipe: Recipe) -> SampleEncoder:
    return _open(recipe, mel_power)


def _open_cepstra(recipe: Recipe) -> SampleEncoder:
    return _open(recipe, cepstra)


_FACTS: dict[str, Any] = {
    'tool': 'affekt.features.spectra', 'version': 1, 'rate_hz': RATE_HZ, 'given_hz': GIVEN_HZ, 'window': WINDOW,
    'hop': HOP, 'fft': FFT, 'bands': BANDS,
}  # fmt: skip


def _recipe(name: str, dimension: int, opening: Callable[[Recipe], SampleEncoder], level: str, content: str) -> Recipe:
    pooled = 'mean over windows' if level == 'UTT' else 'all windows'
    return Recipe(
        name, 'audio', dimension, {**_FACTS, 'level': level, 'pooling': f'{content}; {pooled}'}, opening, batch=8
    )


SPECTRA = tuple(
    _recipe(f'{name}-{ending}', dimension, opening, level, what)
    for name, dimension, opening, what in (
        ('mel-spec', BANDS, _open_mel, 'power'),
        ('mfcc', 3 * COEFFICIENTS, _open_cepstra, 'coefficients and two slopes'),
    )
    for ending, level in (('utt', 'UTT'), ('frm', 'FRA'))
)
