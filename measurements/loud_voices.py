"""Shouts that are heard, and sounds that nobody speaks: how many turns come of each, with and without the witness.

    python measurements/loud_voices.py --data ../shared/data [--sounds FOLDER]

Shouts: all 96 clips of strong anger and strong fear by the twelve women of RAVDESS, and the same of the twelve men.
Sounds: made here (tones, chords, melodies of four instruments, sirens, horns, chirps, engines, hum, noise, applause, a
crowd), and a folder of sound effects and music where one is given. The rules of `affekt/voice/loud_voice.py` were set
on the clips of women 6, 14, 18 and 20, on the sounds made here and on the music behind five videos. The other women and
the men judge them. The folder does so only in part: its sounds were looked at while the rules were set.
Writes measurements/results/loud_voices.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from affekt.runs import write_atomically
from affekt.typed_json import json_file
from affekt.voice import SpeechDetector, speech_turns

Sound = npt.NDArray[np.floating]

RATE_HZ = 16000
RESULT = Path(__file__).with_name('results') / 'loud_voices.json'
SET_ON = (6, 14, 18, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--sounds', type=Path, help='folder of sound effects and music, whose name is not recorded')
    parser.add_argument('--out', type=Path, default=RESULT)
    chosen = parser.parse_args()
    detector = SpeechDetector()
    corpus = chosen.data / 'ravdess_speech'
    women, men = range(2, 25, 2), range(1, 25, 2)
    result = {
        'shouts': {
            'women that the rules were set on': counted(shouts(corpus, SET_ON), detector),
            'other women': counted(shouts(corpus, [actor for actor in women if actor not in SET_ON]), detector),
            'men': counted(shouts(corpus, men), detector),
        },
        'nobody speaks': {'made here': counted(((name, level(x)) for name, x in sounds().items()), detector)},
    }
    if chosen.sounds:
        paths = sorted(path for path in chosen.sounds.rglob('*') if path.suffix in ('.wav', '.mp3', '.ogg', '.flac'))
        effects = ((path.name, read_sound(path)) for path in paths)
        result['nobody speaks']['effects and music of a game library'] = counted(effects, detector)
    write_atomically(chosen.out, json_file(result))


def counted(named: Iterable[tuple[str, Sound]], detector: SpeechDetector) -> dict[str, Any]:
    """Recordings, those with a turn by the detector alone, with the witness, and those with a loud voice."""
    counts = {
        'recordings': 0,
        'with a turn, detector alone': 0,
        'with a turn': 0,
        'with a loud voice': 0,
        'minutes': 0.0,
    }
    for _, samples in named:
        block = SimpleNamespace(start_s=0.0, samples=samples.astype(np.float32))
        alone = list(speech_turns([block], detector, hears_shouts=False))
        both = list(speech_turns([block], detector))
        counts['recordings'] += 1
        counts['with a turn, detector alone'] += bool(alone)
        counts['with a turn'] += bool(both)
        counts['with a loud voice'] += any(turn.is_loud_voice for turn in both)
        counts['minutes'] += samples.shape[0] / RATE_HZ / 60
    return counts | {'minutes': round(counts['minutes'], 1)}


def shouts(corpus: Path, actors: Iterable[int]) -> Iterator[tuple[str, Sound]]:
    """Strong anger and fear, both statements, both repetitions."""
    for actor in actors:
        for emotion in ('05', '06'):
            for path in sorted((corpus / f'Actor_{actor:02}').glob(f'03-01-{emotion}-02-*.flac')):
                yield path.name, read_sound(path)


def read_sound(path: Path) -> Sound:
    """(N,) mono at 16 kHz."""
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return np.concatenate(pieces)


# Sounds that nobody makes with a voice


def clock(seconds: float) -> Sound:
    """Times of samples."""
    return np.asarray(np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def source(f0_hz: Sound, weights: Iterable[float]) -> Sound:
    """Harmonics of a pitch that moves."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    return np.asarray(sum(weight * np.sin(k * phase) for k, weight in enumerate(weights, 1)))


def steady(hz: float, weights: Iterable[float], seconds: float = 4.0) -> Sound:
    """A tone."""
    return source(np.full(round(seconds * RATE_HZ), hz), weights)


def note(hz: float, seconds: float, harmonics: int, tilt: float, vibrato: float, decay: float) -> Sound:
    """A note of an instrument."""
    time = clock(seconds)
    weights = [1 / k**tilt for k in range(1, harmonics + 1) if k * hz < 7500]
    shape = np.minimum(1, time / 0.01) * np.exp(-decay * time) * np.minimum(1, (seconds - time) / 0.02)
    return source(hz * (1 + vibrato * np.sin(2 * np.pi * 5.5 * time)), weights) * shape


INSTRUMENTS = {
    'plucked': (10, 1.2, 0.0, 5.0, 220.0),
    'organ': (10, 0.8, 0.0, 0.2, 220.0),
    'bowed': (20, 0.7, 0.012, 0.3, 330.0),
    'flute': (3, 1.5, 0.006, 0.3, 523.0),
}
"""Harmonics, tilt, vibrato, decay, lowest pitch."""
SCALE = (0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 17, 19, 21, 23, 24)


def melody(seed: int, instrument: str) -> Sound:
    """Sixteen notes."""
    rng = np.random.default_rng(seed)
    harmonics, tilt, vibrato, decay, lowest_hz = INSTRUMENTS[instrument]
    pitches = lowest_hz * 2 ** (rng.choice(SCALE, 16) / 12)
    return np.concatenate([note(hz, rng.uniform(0.12, 0.45), harmonics, tilt, vibrato, decay) for hz in pitches])


def chords(seed: int, decay: float) -> Sound:
    """Eight major chords."""
    rng = np.random.default_rng(seed)
    roots = 220 * 2 ** (rng.integers(-5, 12, 8) / 12)
    return np.concatenate(
        [np.sum([note(root * 2 ** (k / 12), 0.6, 8, 1.0, 0.0, decay) for k in (0, 4, 7, 12)], axis=0) for root in roots]
    )


def siren(low_hz: float, high_hz: float, per_second: float, harmonics: int, *, is_sudden: bool) -> Sound:
    """A pitch that goes up and down."""
    time = per_second * clock(5)
    course = time % 1 if is_sudden else 0.5 - 0.5 * np.cos(2 * np.pi * time)
    return source(low_hz + (high_hz - low_hz) * course, [1 / k for k in range(1, harmonics + 1)])


def bursts(seed: int, low_hz: float, high_hz: float, per_second: float, seconds: float = 6.0) -> Sound:
    """Claps at random."""
    rng = np.random.default_rng(seed)
    band = butter(4, [low_hz, high_hz], 'band', fs=RATE_HZ, output='sos')
    sound = np.zeros(round(seconds * RATE_HZ))
    for begin in rng.integers(0, sound.size - 800, round(per_second * seconds)):
        sound[begin : begin + 800] += sosfilt(band, rng.standard_normal(800)) * np.exp(-np.arange(800) / 150)
    return sound


def chirps(seed: int, low_hz: float, octaves: float) -> Sound:
    """Calls of a bird or a dog, with pauses."""
    rng = np.random.default_rng(seed)
    pieces = []
    for _ in range(12):
        count = round(rng.uniform(0.08, 0.25) * RATE_HZ)
        bend = rng.uniform(-octaves, octaves) * np.sin(np.pi * np.arange(count) / count)
        call = source(rng.uniform(low_hz, 1.6 * low_hz) * 2**bend, [1, 0.6, 0.4, 0.2])
        pieces += [call * np.hanning(count), np.zeros(round(rng.uniform(0.03, 0.3) * RATE_HZ))]
    return np.concatenate(pieces)


def sounds() -> dict[str, Sound]:
    """All of them by name."""
    rng = np.random.default_rng(0)
    falling = [1 / k for k in range(1, 8)]
    named: dict[str, Sound] = {}
    for hz in (100, 220, 440, 600, 800, 1000):
        named |= {
            f'sine {hz}': steady(hz, [1]),
            f'sawtooth {hz}': steady(hz, [1 / k for k in range(1, 7500 // hz + 1)]),
        }
    for hz in (300, 500, 700):
        time = clock(4)
        named[f'switched tone {hz}'] = steady(hz, falling) * (np.sin(2 * np.pi * 4 * time) > 0)
        named[f'swelling tone {hz}'] = steady(hz, falling) * (1 + np.sin(2 * np.pi * 4 * time))
        named[f'trembling tone {hz}'] = source(hz * (1 + 0.03 * np.sin(2 * np.pi * 5.5 * time)), falling)
    for seed in range(4):
        named |= {f'{name} melody {seed}': melody(seed, name) for name in INSTRUMENTS}
        named |= {f'plucked chords {seed}': chords(seed, 1.5), f'organ chords {seed}': chords(seed, 0.1)}
    for low, high, rate, harmonics in ((300, 1000, 1, 6), (500, 900, 4, 6), (400, 1000, 0.25, 10), (200, 700, 2, 10)):
        for is_sudden in (False, True):
            named[f'siren {low} {rate} {is_sudden}'] = siren(low, high, rate, harmonics, is_sudden=is_sudden)
    for low, high in ((440, 585), (660, 880), (500, 600)):
        named[f'horn {low}'] = source(np.where(clock(5) % 1 < 0.5, low, high), falling)
    named['car horn'] = steady(400, falling) + steady(500, falling)
    named['beeps'] = steady(900, [1, 0.3]) * ((clock(4) * 3) % 1 < 0.3)
    named |= {f'hum {hz}': steady(hz, falling) for hz in (50, 60)}
    named |= {f'chirps {seed}': chirps(seed, 500, 0.6) for seed in range(3)}
    named |= {f'barks {seed}': chirps(seed, 400, 0.4) for seed in range(2)}
    named['white noise'] = rng.standard_normal(4 * RATE_HZ)
    named['applause'], named['sparse applause'] = bursts(1, 800, 3500, 150), bursts(2, 800, 3500, 12)
    crowd = [bursts(seed, 200 + 30 * seed, 900 + 80 * seed, 40) for seed in range(12)]
    named['crowd'] = np.sum(crowd, axis=0)
    engine = [1 / k**0.7 for k in range(1, 20)]
    named['engine'] = source(90 + 40 * np.sin(2 * np.pi * 0.3 * clock(5)), engine) + 0.3 * rng.standard_normal(
        5 * RATE_HZ
    )
    named['racing'] = source(350 + 200 * np.sin(2 * np.pi * 0.4 * clock(5)), engine) + 0.2 * rng.standard_normal(
        5 * RATE_HZ
    )
    return named


def level(samples: Sound) -> Sound:
    """With a peak of 0.8 and half a second of silence around."""
    return np.pad(samples / np.abs(samples).max() * 0.8, RATE_HZ // 2)


if __name__ == '__main__':
    main()
