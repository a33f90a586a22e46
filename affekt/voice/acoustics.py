"""How a voice sounds: pitch, loudness, spectral balance, harmonicity and speech rate, each with its definition.

The input is a turn at 16 kHz; `acoustic_frames` returns one row per 10 ms, `acoustic_summary` one row per turn, whose
columns `READINGS` describes. No model is involved: every number follows from a published formula.
Axes: N samples, T frames of 10 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ShapeError, ValueRangeError
from affekt.voice.fourier import quick_length, rfft
from affekt.voice.pitch import HOP, RATE_HZ, find_pitch, windows

FRAME_S = HOP / RATE_HZ
SILENCE_DB = -120.0

_K_FILTERS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)
"""The shelf and the high-pass of BS.1770 at 48 kHz: coefficients of 1, 1/z and 1/z**2, numerator and denominator."""

_SPECTRUM_WINDOW = 512
_INTENSITY_WINDOW = 1024


@dataclass(frozen=True)
class Reading:
    """The meaning of a column.

    Attributes:
        name: name of the column.
        unit: unit of its values.
        low, high: range of its values.
        definition: one sentence.
        source: source of the definition.
    """

    name: str
    unit: str
    low: float
    high: float
    definition: str
    source: str


_BOERSMA = 'Boersma 1993'
_EGEMAPS = 'Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417'
_NUCLEI = 'de Jong & Wempe 2009, doi:10.3758/BRM.41.2.385'
_BS1770 = 'ITU-R BS.1770-4'

READINGS: tuple[Reading, ...] = (
    Reading('f0_mean_hz', 'Hz', 60, 1050, 'geometric mean of the pitch of voiced frames', _BOERSMA),
    Reading('f0_sd_st', 'semitones', 0, 50, 'standard deviation of the pitch of voiced frames', _EGEMAPS),
    Reading('f0_low_st', 'semitones', -50, 0, 'tenth percentile of the pitch, against its mean', _EGEMAPS),
    Reading('f0_high_st', 'semitones', 0, 50, 'ninetieth percentile of the pitch, against its mean', _EGEMAPS),
    Reading('f0_slope_st_s', 'semitones/s', -400, 400, 'straight line fitted to the pitch over the turn', _EGEMAPS),
    Reading('f0_change_st', 'semitones', 0, 50, 'mean change of pitch between voiced neighbours', _EGEMAPS),
    Reading('loudness_lufs', 'LUFS', -130, 10, 'K-weighted level of the whole turn, ungated', _BS1770),
    Reading('loudness_sd_db', 'dB', 0, 60, 'standard deviation of the level of speech frames', _EGEMAPS),
    Reading('loudness_range_db', 'dB', 0, 120, 'level of speech frames, 95th minus 5th percentile', _EGEMAPS),
    Reading('loudness_slope_db_s', 'dB/s', -400, 400, 'straight line fitted to the level of speech frames', _EGEMAPS),
    Reading('alpha_ratio_db', 'dB', -90, 90, 'energy of 1-5 kHz over 50 Hz-1 kHz, mean over voiced frames', _EGEMAPS),
    Reading('alpha_ratio_sd_db', 'dB', 0, 90, 'its standard deviation', _EGEMAPS),
    Reading('hammarberg_db', 'dB', -90, 90, 'highest peak of 0-2 kHz over that of 2-5 kHz, mean over voiced', _EGEMAPS),
    Reading('slope_low_db_khz', 'dB/kHz', -400, 400, 'slope of the log spectrum over 0-500 Hz, voiced', _EGEMAPS),
    Reading('slope_mid_db_khz', 'dB/kHz', -400, 400, 'slope of the log spectrum over 500-1500 Hz, voiced', _EGEMAPS),
    Reading('flux', '1', 0, 2, 'mean squared change of the normalised magnitude spectrum', _EGEMAPS),
    Reading('hnr_db', 'dB', -40, 40, 'harmonics-to-noise ratio, mean over voiced frames', _BOERSMA),
    Reading('hnr_sd_db', 'dB', 0, 40, 'its standard deviation', _BOERSMA),
    Reading(
        'voiced_share', '1', 0, 1, 'voiced frames among all frames from the first to the last that sounds', _EGEMAPS
    ),
    Reading('voiced_stretch_s', 's', 0, 28, 'mean length of uninterrupted voicing', _EGEMAPS),
    Reading('syllables_per_s', '1/s', 0, 20, 'voiced intensity peaks with dips of 2 dB, per second of speech', _NUCLEI),
    Reading('words_per_s', '1/s', 0, 20, 'recognised words per second of speech; nan without words', 'counted'),
)
"""The columns of `acoustic_summary`, in order. Those of voiced frames are nan if a turn has none."""

COLUMNS = tuple(reading.name for reading in READINGS)


@dataclass(frozen=True)
class AcousticFrames:
    """Acoustic measures of a turn per 10 ms; `time_s` counts from the turn's first sample.

    Attributes:
        time_s: (T,) the middle of each frame.
        f0_hz: (T,) in [60, 1050]; nan where unvoiced.
        hnr_db: (T,) in [-40, 40]; nan where unvoiced.
        loudness_db: (T,) RMS level in dB of full scale over 32 ms, -120 or more.
        alpha_ratio_db, hammarberg_db, slope_low_db_khz, slope_mid_db_khz: (T,) see READINGS; nan in silence.
        flux: (T,) spectral change since the previous frame; 0 for the first.
    """

    time_s: Floats32
    f0_hz: Floats32
    hnr_db: Floats32
    loudness_db: Floats32
    alpha_ratio_db: Floats32
    hammarberg_db: Floats32
    slope_low_db_khz: Floats32
    slope_mid_db_khz: Floats32
    flux: Floats32

    @property
    def voiced(self) -> npt.NDArray[np.bool_]:
        """(T,) True where a pitch was found."""
        return ~np.isnan(self.f0_hz)

    def between(self, first: int, last: int) -> AcousticFrames:
        """Frames `first` up to `last` (exclusive), with times counted from the first."""
        parts = {column.name: getattr(self, column.name)[first:last] for column in fields(self)}
        return replace(self, **parts | {'time_s': parts['time_s'] - np.float32(first * FRAME_S)})


def acoustic_frames(samples: Floats32) -> AcousticFrames:
    """Acoustic measures of a turn per 10 ms.

    Args:
        samples: (N,) mono at 16 kHz in [-1, 1].

    Returns:
        T = N // 160 frames.

    Raises:
        ShapeError: the samples are not (N,).
        ValueRangeError: a sample is not finite.
    """
    if samples.ndim != 1:
        raise ShapeError(expected='samples (N,)', came=f'{samples.shape}', todo='mix the channels down to one')
    if not np.isfinite(samples).all():
        raise ValueRangeError(expected='finite samples', came='nan or infinity', todo='leave the block out')
    pitch = find_pitch(samples)
    frames = windows(samples.astype(np.float32, copy=False), _SPECTRUM_WINDOW)  # (T, 512)
    level = _decibel(np.einsum('tn,tn->t', frames, frames) / _SPECTRUM_WINDOW)  # (T,)
    spectrum = rfft(frames * np.hanning(_SPECTRUM_WINDOW).astype(np.float32))  # (T, 257)
    power = spectrum.real**2 + spectrum.imag**2
    audible = level > SILENCE_DB + 10
    decibel = _decibel(power)

    def heard(values: Floats32) -> Floats32:
        return np.where(audible, values, np.nan).astype(np.float32)

    low, high = _bins(50, 1000), _bins(1000, 5000)
    return AcousticFrames(
        time_s=((np.arange(level.shape[0]) + 0.5) * FRAME_S).astype(np.float32),
        f0_hz=pitch.f0_hz,
        hnr_db=pitch.hnr_db,
        loudness_db=level,
        alpha_ratio_db=heard(np.clip(_decibel(power[:, high].sum(1)) - _decibel(power[:, low].sum(1)), -90, 90)),
        hammarberg_db=heard(np.clip(decibel[:, _bins(0, 2000)].max(1) - decibel[:, _bins(2000, 5000)].max(1), -90, 90)),
        slope_low_db_khz=heard(_slope(decibel, _bins(0, 500))),
        slope_mid_db_khz=heard(_slope(decibel, _bins(500, 1500))),
        flux=_flux(np.sqrt(power)),
    )


def acoustic_summary(samples: Floats32, frames: AcousticFrames | None = None, words: int | None = None) -> Floats32:
    """Acoustic measures of a turn in one row.

    Rates and shares count from the first to the last frame within 30 dB of the loud ones: silence at either end is not
    a pause of the speaker.

    Args:
        samples: (N,) mono at 16 kHz: the speech, without padding if that is known (`speech_only`).
        frames: frames of these samples; computed if None.
        words: number of recognised words; None if unknown.

    Returns:
        (22,) in the order of READINGS; columns that need voiced or audible frames are nan without them.

    Raises:
        ShapeError, ValueRangeError: as for `acoustic_frames`.
    """
    frames = frames or acoustic_frames(samples)
    voiced = frames.voiced
    speech = frames.loudness_db > max(SILENCE_DB, _percentile(frames.loudness_db, 95) - 30)
    level = frames.loudness_db[speech]
    active = _first_to_last(speech)
    seconds = (active.stop - active.start) * FRAME_S
    voiced_lengths = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(np.int8), [0]]))))[::2]
    row = [
        *_pitch_columns(frames.f0_hz, frames.time_s),
        integrated_loudness(samples),
        _of(np.std, level),
        _percentile(level, 95) - _percentile(level, 5),
        _trend(frames.time_s[speech], level),
        _of(np.mean, frames.alpha_ratio_db[voiced]),
        _of(np.std, frames.alpha_ratio_db[voiced]),
        _of(np.mean, frames.hammarberg_db[voiced]),
        _of(np.mean, frames.slope_low_db_khz[voiced]),
        _of(np.mean, frames.slope_mid_db_khz[voiced]),
        _of(np.mean, frames.flux[speech]),
        _of(np.mean, frames.hnr_db[voiced]),
        _of(np.std, frames.hnr_db[voiced]),
        _of(np.mean, voiced[active].astype(np.float32)),
        _of(np.mean, voiced_lengths * FRAME_S),
        syllable_nuclei(samples, voiced) / seconds if seconds > 0 else np.nan,
        words / seconds if words is not None and seconds > 0 else np.nan,
    ]
    low = np.array([reading.low for reading in READINGS])
    high = np.array([reading.high for reading in READINGS])
    return np.clip(np.array(row, np.float64), low, high).astype(np.float32)


def integrated_loudness(samples: Floats32) -> float:
    """K-weighted loudness of a whole turn in LUFS, without gates.

        -0.691 + 10 log10(mean of the squared, K-weighted samples)

    The mean square is taken over the spectrum (Parseval), weighted by the response of the standard's own filters
    at 48 kHz: the same filters redesigned for 16 kHz differ by 0.05 to 0.15 dB.

    Args:
        samples: (N,) mono at 16 kHz.

    Returns:
        LUFS; -120.691 for silence and for no samples. A gain of g dB adds g.

    Source: ITU-R BS.1770-4, annex 1, tables 1 and 2.
    """
    count = samples.shape[0]
    if count == 0:
        return SILENCE_DB - 0.691
    # a quarter of a second of zeros, in which the filters ring out
    length = quick_length(count + RATE_HZ // 4)
    spectrum = rfft(samples.astype(np.float64), length)
    power = (spectrum.real**2 + spectrum.imag**2) * _k_weighting(length)
    sides = 2 * power.sum() - power[0] - (power[-1] if length % 2 == 0 else 0)
    return -0.691 + float(_decibel(np.asarray([sides / length / count]))[0])


def syllable_nuclei(samples: Floats32, voiced: npt.NDArray[np.bool_]) -> int:
    """Estimated number of syllables in a turn: voiced peaks of intensity, each after a dip of 2 dB.

    Args:
        samples: (N,) mono at 16 kHz.
        voiced: (T,) whether each frame of the turn is voiced.

    Returns:
        A count, 0 for silence.

    Source: de Jong & Wempe 2009, doi:10.3758/BRM.41.2.385; their threshold is the 99th percentile less 25 dB.
    """
    frames = windows(samples, _INTENSITY_WINDOW)
    if frames.shape[0] < 3:
        return 0
    taper = np.hanning(_INTENSITY_WINDOW).astype(np.float32)
    intensity = _decibel(np.square(frames) @ (taper / taper.sum()))
    threshold = max(SILENCE_DB + 10, float(np.percentile(intensity, 99)) - 25)
    return int(np.count_nonzero(voiced[prominent_peaks(intensity, threshold, 2.0)]))


def prominent_peaks(values: npt.NDArray[np.floating], height: float, prominence: float) -> npt.NDArray[np.int64]:
    """Positions of peaks, equal to those of `scipy.signal.find_peaks`, whose import alone takes half a second.

    Args:
        values: (T,) finite.
        height: minimum height of a peak.
        prominence: minimum descent from a peak before values can rise higher than it.

    Returns:
        (P,) indices in order; the middle of a flat peak.
    """
    if len(values) < 3:
        return np.zeros(0, dtype=np.int64)
    changes = np.flatnonzero(np.diff(values)) + 1
    starts, ends = np.append(0, changes), np.append(changes, len(values))  # of runs of equal values
    level = values[starts]
    is_peak = (level[1:-1] > level[:-2]) & (level[1:-1] > level[2:]) & (level[1:-1] >= height)
    peaks = ((starts + ends - 1) // 2)[1:-1][is_peak]

    def stands_out(peak: int) -> bool:
        higher = np.flatnonzero(values > values[peak])
        after = int(np.searchsorted(higher, peak))
        left = values[higher[after - 1] + 1 if after else 0 : peak + 1].min()
        right = values[peak : higher[after] if after < len(higher) else len(values)].min()
        return bool(values[peak] - max(left, right) >= prominence)

    return np.array([peak for peak in peaks.tolist() if stands_out(peak)], dtype=np.int64)


def stacked(rows: Sequence[Floats32]) -> Floats32:
    """(K, 22) from K summaries; (0, 22) from none."""
    return np.stack(rows) if len(rows) else np.zeros((0, len(READINGS)), np.float32)


def _pitch_columns(f0_hz: Floats32, time_s: Floats32) -> list[float]:
    """The six columns of pitch; nan if no frame is voiced."""
    voiced = ~np.isnan(f0_hz)
    if not voiced.any():
        return [np.nan] * 6
    semitones = 12 * np.log2(f0_hz[voiced])
    mean = float(semitones.mean())
    neighbours = np.diff(np.flatnonzero(voiced)) == 1
    return [
        2 ** (mean / 12),
        float(semitones.std()),
        min(0.0, _percentile(semitones, 10) - mean),
        max(0.0, _percentile(semitones, 90) - mean),
        _trend(time_s[voiced], semitones),
        _of(np.mean, np.abs(np.diff(semitones))[neighbours]),
    ]


def _bins(low_hz: float, high_hz: float) -> slice:
    """Bins of the 512-point spectrum from one frequency to another, both included."""
    step = RATE_HZ / _SPECTRUM_WINDOW
    return slice(round(low_hz / step), round(high_hz / step) + 1)


def _decibel(power: npt.NDArray[np.floating]) -> Floats32:
    """10 log10, at least -120."""
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10))), dtype=np.float32)


def _slope(decibel: Floats32, band: slice) -> Floats32:
    """(T,) dB per kHz of a straight line through a band of each spectrum."""
    levels = decibel[:, band]
    khz = np.arange(levels.shape[1], dtype=np.float32) * (RATE_HZ / _SPECTRUM_WINDOW / 1000)
    khz -= khz.mean()
    return (levels @ khz / (khz @ khz)).astype(np.float32)


def _flux(magnitude: Floats32) -> Floats32:
    """(T,) squared distance between neighbouring spectra of unit length."""
    length = np.sqrt(np.einsum('tb,tb->t', magnitude, magnitude))[:, None]  # (T, 1)
    unit = magnitude / np.maximum(length, 1e-9)
    change = np.zeros(magnitude.shape[0], np.float32)
    change[1:] = np.square(np.diff(unit, axis=0)).sum(axis=1)
    return change


def _k_weighting(length: int) -> npt.NDArray[np.float64]:
    """(length // 2 + 1,) squared magnitude of the two filters of BS.1770 at the bins of a spectrum at 16 kHz."""
    z = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length * (RATE_HZ / 48000))
    gain = np.ones(z.shape)
    for numerator, denominator in _K_FILTERS:
        ratio = np.polyval(numerator[::-1], z) / np.polyval(denominator[::-1], z)
        gain *= ratio.real**2 + ratio.imag**2
    return gain


def _first_to_last(speech: npt.NDArray[np.bool_]) -> slice:
    """Frames from the first to the last True, with 20 ms more on either side; empty if there is no True."""
    indices = np.flatnonzero(speech)
    return slice(max(0, int(indices[0]) - 2), min(speech.size, int(indices[-1]) + 3)) if indices.size else slice(0, 0)


def _of(statistic: Callable[[npt.NDArray[np.floating]], np.floating], values: npt.NDArray[np.floating]) -> float:
    """A statistic of the finite values; nan if there are none."""
    usable = values[np.isfinite(values)]
    return float(statistic(usable)) if usable.size else float('nan')


def _percentile(values: npt.NDArray[np.floating], share: float) -> float:
    """A percentile of values; nan if there are none."""
    return float(np.percentile(values, share)) if values.size else float('nan')


def _trend(time_s: Floats32, values: npt.NDArray[np.floating]) -> float:
    """Slope per second of a straight line fitted to values; nan for fewer than three."""
    if values.size < 3:
        return float('nan')
    centred = time_s - time_s.mean()
    return float(centred @ (values - values.mean()) / (centred @ centred))
