"""Every acoustic reading beside what is known of a sound, and beside Praat, openSMILE and pyloudnorm.

    python measurements/readings.py --data ../shared/data

Known: tones, sawtooths, pulses and vowels of 100 to 1000 Hz; noise in known amounts; sines of known loudness; swellings
in known number. Peers (`pip install -c constraints.txt praat-parselmouth pyloudnorm opensmile`; Praat is under the GPL,
so it is measured against and never a part): eight actors of RAVDESS, four women and four men, strong anger, strong fear
and calm. Praat takes the same two passes (60 to 800 Hz, then up to one and a half times the upper quartile, at least
500 Hz); `one pass` is affekt up to 500 Hz. Writes measurements/results/readings.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import av
import numpy as np
import numpy.typing as npt

from affekt.runs import write_atomically
from affekt.typed_json import json_file
from affekt.voice import COLUMNS, Pitch, acoustic_summary, find_pitch, integrated_loudness

Sound = npt.NDArray[np.float32]

RATE_HZ = 16000
RESULT = Path(__file__).with_name('results') / 'readings.json'
PITCHES_HZ = (100, 147, 220, 311, 440, 523, 622, 740, 880, 1000)
ACTORS = ((2, 8, 6, 14), (1, 7, 11, 19))
"""Of RAVDESS: four women, two of whom shout above 500 Hz, and four men."""
PLAYED = {'calm': ('02', '01'), 'strong anger': ('05', '02'), 'strong fear': ('06', '02')}
SLOWEST_HZ = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--out', type=Path, default=RESULT)
    chosen = parser.parse_args()
    result = {
        'known': {
            'pitch': known_pitch(),
            'harmonicity': known_harmonicity(),
            'loudness': known_loudness(),
            'rate': known_rate(),
        },
        'peers': beside_peers(chosen.data / 'ravdess_speech'),
    }
    write_atomically(chosen.out, json_file(result))


# Sounds of which all is known


def harmonics(frequency_hz: float, weight: Callable[[npt.NDArray[np.int64]], Any], seconds: float = 1.0) -> Sound:
    """All harmonics below 7.8 kHz, each of weight(k), at a power of 1/8."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    numbers = np.arange(1, int(7800 // frequency_hz) + 1)
    wave = np.sin(2 * np.pi * frequency_hz * np.outer(time, numbers)) @ np.broadcast_to(weight(numbers), numbers.shape)
    return np.asarray(wave * np.sqrt(0.125 / np.mean(wave**2)), np.float32)


def vowel_weight(numbers: npt.NDArray[np.int64], frequency_hz: float) -> npt.NDArray[np.float64]:
    """Amplitudes of harmonics of an open vowel: a source falling by 6 dB per octave, formants at 850, 1600, 2900 Hz."""
    hz = numbers * frequency_hz
    amplitude = 1 / numbers
    for centre, width in ((850, 90), (1600, 120), (2900, 180)):
        amplitude = amplitude * centre**2 / np.hypot(centre**2 - hz**2, width * hz)
    return np.asarray(amplitude)


SOURCES: dict[str, Callable[[float], Sound]] = {
    'sine': lambda hz: harmonics(hz, lambda k: k == 1),
    'sawtooth': lambda hz: harmonics(hz, lambda k: 1 / k),
    'pulses': lambda hz: harmonics(hz, lambda k: 1.0),
    'vowel': lambda hz: harmonics(hz, partial(vowel_weight, frequency_hz=hz)),
}


def known_pitch() -> list[dict[str, Any]]:
    """A row per source: the worst of all pitches, with two passes and with one."""
    rows = []
    for source, sound_of in SOURCES.items():
        row: dict[str, Any] = {'source': source}
        for passes in ('two passes', 'one pass'):
            shares, errors, harmonicity = [], [], []
            for hz in PITCHES_HZ:
                pitch = two_passes(sound_of(hz)) if passes == 'two passes' else one_pass(sound_of(hz))
                right = np.abs(pitch.f0_hz / hz - 1) < 0.02
                shares.append(float(right.mean()))
                errors.append(float(np.abs(pitch.f0_hz[right] / hz - 1).max(initial=0.0)))
                harmonicity.append(float(np.nanmedian(pitch.hnr_db)))
            row[passes] = {
                'frames within 2 %, mean over pitches': round(float(np.mean(shares)), 4),
                'largest error of these': round(max(errors), 6),
                'median harmonicity, lowest over pitches, dB': round(min(harmonicity), 1),
            }
        rows.append(row)
    return rows


def two_passes(samples: Sound) -> Pitch:
    """Pitch as affekt reads it."""
    return find_pitch(samples)


def one_pass(samples: Sound) -> Pitch:
    """Pitch up to 500 Hz, whatever the voice."""
    with patch('affekt.voice.pitch.HIGHEST_HZ', 500.0):
        return find_pitch(samples)


def known_harmonicity() -> list[dict[str, float]]:
    """Noise of known power in vowels of 150, 300 and 600 Hz: the mean error in dB."""
    rng = np.random.default_rng(7)
    rows = []
    for ratio_db in (0, 5, 10, 15, 20):
        errors = []
        for hz in (150.0, 300.0, 600.0):
            clean = harmonics(hz, partial(vowel_weight, frequency_hz=hz), 3.0)
            noise = rng.standard_normal(clean.shape[0]) * np.sqrt(0.125 / 10 ** (ratio_db / 10))
            measured = find_pitch((clean + noise).astype(np.float32)).hnr_db
            errors.append(float(np.nanmean(measured)) - ratio_db)
        rows.append({'ratio_db': ratio_db, 'error_db': round(float(np.mean(errors)), 2)})
    return rows


def known_loudness() -> list[dict[str, float]]:
    """Sines of power 1/8 against the response of the standard's filters at 48 kHz, in dB."""
    rows = []
    for hz in (60, 150, 440, 997, 2000, 4000, 7000):
        measured = integrated_loudness(harmonics_of_one(hz))
        rows.append({'hz': hz, 'error_db': round(measured - (-0.691 + 10 * np.log10(0.125) + gain_db(hz)), 3)})
    return rows


def harmonics_of_one(hz: float) -> Sound:
    """A sine of power 1/8, three seconds."""
    return np.asarray(0.5 * np.sin(2 * np.pi * hz * np.arange(3 * RATE_HZ) / RATE_HZ), np.float32)


def gain_db(hz: float) -> float:
    """Of the two filters of BS.1770-4 at 48 kHz."""
    from scipy.signal import freqz

    total = 0.0
    for front, back in (
        ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585]),
        ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621]),
    ):
        total += float(20 * np.log10(np.abs(freqz(front, back, worN=[hz], fs=48000)[1][0])))
    return total


def known_rate() -> list[dict[str, float]]:
    """Swellings per second, with silence on either side."""
    rows = []
    for per_second in (2, 4, 6):
        for silence_s in (0.0, 0.2, 1.0):
            voice = harmonics(130, lambda k: 1 / k, 4.0)
            voice = voice * (1 - np.cos(2 * np.pi * per_second * np.arange(voice.shape[0]) / RATE_HZ)) / 2
            silence = np.zeros(round(silence_s * RATE_HZ))
            row = acoustic_summary(np.concatenate([silence, voice, silence]).astype(np.float32))
            measured = float(row[COLUMNS.index('syllables_per_s')])
            rows.append({'per_second': per_second, 'silence_s': silence_s, 'measured': round(measured, 3)})
    return rows


# Speech, beside the peers


def beside_peers(data: Path) -> dict[str, Any]:
    """Per sex and way of playing: agreement of pitch and harmonicity; over all: spectral measures and loudness."""
    pitches: dict[str, Any] = {}
    summaries, smiles, loudness = [], [], []
    for sex, actors in zip(('women', 'men'), ACTORS, strict=True):
        for played, (emotion, strength) in PLAYED.items():
            sounds = [
                read_sound(data / f'Actor_{actor:02}' / f'03-01-{emotion}-{strength}-{sentence}-01-{actor:02}.flac')
                for actor in actors
                for sentence in ('01', '02')
            ]
            pitches[f'{sex}, {played}'] = pitch_agreement(sounds)
            summaries += [acoustic_summary(sound) for sound in sounds]
            smiles += [egemaps(sound) for sound in sounds]
            loudness += [loudness_difference(sound) for sound in sounds]
    table = np.stack(summaries)
    return {
        'versions': {name: version(name) for name in ('praat-parselmouth', 'opensmile', 'pyloudnorm')},
        'clips': len(summaries),
        'pitch and harmonicity beside Praat': pitches,
        'beside eGeMAPSv02': {
            name: correlation(name, table[:, COLUMNS.index(name)], np.array([smile[feature] for smile in smiles]))
            for name, feature in EGEMAPS.items()
        },
        'loudness less that of pyloudnorm, dB': {
            name: {'mean': round(float(np.mean(values)), 3), 'largest': round(float(np.abs(values).max()), 3)}
            for name, values in zip(('DeMan', 'K-weighting'), np.array(loudness).T, strict=True)
        },
    }


EGEMAPS = {
    'f0_mean_hz': 'F0semitoneFrom27.5Hz_sma3nz_amean',
    'alpha_ratio_db': 'alphaRatioV_sma3nz_amean',
    'hammarberg_db': 'hammarbergIndexV_sma3nz_amean',
    'hnr_db': 'HNRdBACF_sma3nz_amean',
    'slope_low_db_khz': 'slopeV0-500_sma3nz_amean',
    'slope_mid_db_khz': 'slopeV500-1500_sma3nz_amean',
}


def read_sound(path: Path) -> Sound:
    """(N,) mono at 16 kHz."""
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float32)


def pitch_agreement(sounds: Iterable[Sound]) -> dict[str, Any]:
    """Of the frames that Praat and affekt call voiced."""
    rows: dict[str, list[npt.NDArray[Any]]] = {'two passes': [], 'one pass': []}
    harmonicity: list[npt.NDArray[Any]] = []
    for sound in sounds:
        times = (np.arange(sound.shape[0] // 160) + 0.5) / 100
        truth, strength = praat(sound, times)
        for name, finder in (('two passes', two_passes), ('one pass', one_pass)):
            pitch = finder(sound)
            rows[name].append(np.stack([truth, pitch.f0_hz]))
            if name == 'two passes':
                both = pitch.voiced & np.isfinite(strength) & (strength > -100)
                harmonicity.append(np.stack([strength[both], pitch.hnr_db[both]]))
    pooled = np.concatenate(harmonicity, axis=1)
    result: dict[str, Any] = {}
    for name, parts in rows.items():
        truth, measured = np.concatenate(parts, axis=1)
        both = np.isfinite(truth) & np.isfinite(measured)
        ratio = measured[both] / truth[both]
        result[name] = {
            'voiced alike': round(float(np.mean(np.isfinite(truth) == np.isfinite(measured))), 4),
            'within 3 %': round(float(np.mean(np.abs(ratio - 1) < 0.03)), 4),
            'an octave low': round(float(np.mean(np.abs(ratio - 0.5) < 0.03)), 4),
            'an octave high': round(float(np.mean(np.abs(ratio - 2) < 0.12)), 4),
        }
    result['harmonicity'] = {
        'r': round(float(np.corrcoef(pooled)[0, 1]), 3),
        'mean difference, dB': round(float(np.mean(pooled[1] - pooled[0])), 2),
    }
    return result


def praat(samples: Sound, times: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pitch in Hz (nan where unvoiced) and harmonicity in dB at these times, by Praat's autocorrelation."""
    import parselmouth

    sound = parselmouth.Sound(samples.astype(np.float64), RATE_HZ)

    def passed(ceiling_hz: float) -> npt.NDArray[np.float64]:
        pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=SLOWEST_HZ, pitch_ceiling=ceiling_hz)
        return np.array([pitch.get_value_at_time(time) for time in times])

    first = passed(800.0)
    voiced = first[np.isfinite(first)]
    upper = float(np.percentile(voiced, 75)) if voiced.size else 0.0
    harmonicity = sound.to_harmonicity_ac(time_step=0.01, minimum_pitch=SLOWEST_HZ, periods_per_window=3.0)
    # the nearest frame: Praat interpolates between a voiced frame and the -200 dB of an unvoiced one
    nearest = np.abs(np.asarray(harmonicity.xs())[None] - times[:, None]).argmin(axis=1)
    return passed(min(max(1.5 * upper, 500.0), 1050.0)), harmonicity.values[0][nearest]


def egemaps(samples: Sound) -> dict[str, float]:
    """openSMILE's functionals."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    return {name: float(value) for name, value in smile.process_signal(samples, RATE_HZ).iloc[0].items()}


def loudness_difference(samples: Sound) -> tuple[float, float]:
    """affekt's loudness less that of pyloudnorm's two filter classes at 48 kHz, ungated, in dB."""
    import pyloudnorm
    from scipy.signal import resample_poly

    differences = []
    for filter_class in ('DeMan', 'K-weighting'):
        weighted = resample_poly(samples.astype(np.float64), 3, 1)
        for stage in pyloudnorm.Meter(3 * RATE_HZ, filter_class)._filters.values():
            weighted = stage.apply_filter(weighted)
        differences.append(integrated_loudness(samples) - (-0.691 + 10 * float(np.log10(np.mean(weighted**2)))))
    return differences[0], differences[1]


def correlation(name: str, values: npt.NDArray[np.floating], peer: npt.NDArray[np.floating]) -> dict[str, float]:
    """Pearson's r and the mean difference: pitch in semitones above 27.5 Hz, all else in dB, slopes in dB per kHz."""
    if name == 'f0_mean_hz':
        values = 12 * np.log2(values / 27.5)
    if name.startswith('slope'):
        peer = peer * 1000
    return {
        'r': round(float(np.corrcoef(values, peer)[0, 1]), 3),
        'mean difference': round(float(np.mean(values - peer)), 2),
    }


if __name__ == '__main__':
    main()
