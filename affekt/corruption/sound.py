"""Mixing of speech and noise at an exact ratio.

    SNR = 10 log10( P(speech) / (g**2 P(noise)) ),   mixture = level (speech + g noise)

P is the mean square, of the whole clip or of its active part. The ratio is exact for the resulting floats; 16-bit files
round by up to half a step. Where the sum exceeds full scale, the whole mixture is attenuated, which keeps the ratio;
the factor, and the number of samples that would have been clipped, are returned.

N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

Sound = npt.NDArray[np.float64]
POWERS = ('whole', 'active')
"""Definitions of the power of speech, see `mix_at_snr`."""
FRAME_S = 0.02
"""Length of the frames of `active_power`, in seconds."""
MARGIN_DB = 15.9
"""Level below the active level at which a frame still counts as speech, in dB: P.56's margin."""
MOST_DB = 200.0
"""Largest absolute SNR that is accepted, in dB."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of speech and noise, with its parameters."""

    samples: Sound
    """(N,) samples from -1 to 1."""
    noise_gain: float
    """Factor on the noise."""
    level: float
    """Factor on the sum: 1, or 1 / peak where the peak exceeds full scale."""
    peak: float
    """Largest absolute value of the sum before scaling."""
    clipped: int
    """Number of samples of the sum beyond full scale, which would have been clipped."""

    def __repr__(self) -> str:
        return f'Mixture({len(self.samples)} samples, level {self.level:.3f})'


def mix_at_snr(
    speech: npt.ArrayLike, noise: npt.ArrayLike, snr_db: float, rate_hz: int, power: str = 'whole'
) -> Mixture:
    """Mix speech and noise at a ratio of their powers.

    Args:
        speech: (N,) samples from -1 to 1.
        noise: (N,) samples in any unit.
        snr_db: speech over noise, in decibels.
        rate_hz: sampling rate of both, in Hz.
        power: power of speech over the `whole` clip, as in the MER challenges, or over its `active` part, so that
            pauses do not reduce the noise. The noise's power is always that of the whole clip.

    Raises:
        ShapeError: the two are not (N,) with at least one sample.
        ValueRangeError: speech or noise is silent or not finite, or the ratio is not from -200 to 200 dB.
        UnknownNameError: unknown power.
    """
    speech_samples, noise_samples = np.asarray(speech, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    if speech_samples.ndim != 1 or speech_samples.shape != noise_samples.shape or not speech_samples.size:
        raise ShapeError(
            expected='speech and noise of one length',
            came=f'{speech_samples.shape} and {noise_samples.shape}',
            todo='repeat or cut the noise',
        )
    if not abs(snr_db) <= MOST_DB:
        raise ValueRangeError(expected='an SNR from -200 to 200 dB', came=f'{snr_db}', todo='give decibels')
    gain = float(
        np.sqrt(_power(speech_samples, rate_hz, power, 'speech') / _power(noise_samples, rate_hz, 'whole', 'noise'))
    )
    gain *= 10.0 ** (-snr_db / 20.0)
    mixed = speech_samples + gain * noise_samples
    peak = float(np.abs(mixed).max())
    level = 1.0 / peak if peak > 1.0 else 1.0
    return Mixture(mixed * level, gain, level, peak, int(np.count_nonzero(np.abs(mixed) > 1.0)))


def snr_db_of(speech: npt.ArrayLike, noise: npt.ArrayLike, rate_hz: int, power: str = 'whole') -> float:
    """The speech-to-noise ratio in decibels; for arguments and errors see `mix_at_snr`.

    >>> round(snr_db_of([0.5, -0.5], [0.05, 0.05], 16_000), 9)
    20.0
    """
    speech_samples, noise_samples = np.asarray(speech, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    ratio = _power(speech_samples, rate_hz, power, 'speech') / _power(noise_samples, rate_hz, 'whole', 'noise')
    return float(10.0 * np.log10(ratio))


def active_power(sound: npt.ArrayLike, rate_hz: int) -> float:
    """Mean square of the frames with speech.

    Frames of 20 ms are active where their power is less than 15.9 dB below the mean power of the active frames, by
    iteration from all frames until nothing changes. (The margin is that of P.56; its envelope and hangover are left
    out, so that frames do not overlap and the level can be computed by hand.)

    Args:
        sound: (N,) samples; a shorter last frame counts with its own length.
        rate_hz: sampling rate, in Hz.

    Returns:
        Power, never below the mean square of the whole; 0 for silence.

    Source: after ITU-T P.56 (2011), method B.
    """
    squares = np.square(np.asarray(sound, dtype=np.float64))
    starts = np.arange(0, len(squares), max(1, round(FRAME_S * rate_hz)))
    sums, sizes = np.add.reduceat(squares, starts), np.diff(np.append(starts, len(squares)))
    active = np.ones(len(starts), dtype=np.bool_)
    while True:
        level = float(sums[active].sum() / sizes[active].sum())
        # The level only rises, so frames only drop out; the loudest one stays.
        louder = sums / sizes >= level * 10.0 ** (-MARGIN_DB / 10.0)
        if (louder == active).all():
            return level
        active = louder


def _power(sound: Sound, rate_hz: int, power: str, signal: str) -> float:
    """Power of a signal by one of POWERS; an error, with the signal's name, where it is 0 or not finite."""
    if power not in POWERS:
        raise UnknownNameError(expected=f'one of {", ".join(POWERS)}', came=repr(power), todo='name one of these')
    measured = active_power(sound, rate_hz) if power == 'active' else float(np.mean(np.square(sound)))
    if not (np.isfinite(measured) and measured > 0.0):
        came = f'{signal} that is silent' if measured == 0.0 else f'{signal} with nan or infinity'
        raise ValueRangeError(expected=f'{signal} that can be heard', came=came, todo='leave the sample out')
    return measured
