"""Sounds that are no spoken sentence, made by formula: what an emotion head must call unfamiliar.

`NOT_SPEECH` maps a name to a maker of 3 s at 16 kHz. Voiced ones come from a source-filter vowel (Rosenberg-like pulses
through four resonances), so that a singer or a laugh differs from speech by its course, not by its timbre alone.
Nothing is trained on them: the score of unfamiliarity sees speech only, and these measure it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from augment import RATE_HZ, band, coloured, level, room
from scipy import signal

from affekt.arrays import Floats32

Maker = Callable[[np.random.Generator, Sequence[Floats32]], Floats32]

SECONDS = 3.0
COUNT = int(SECONDS * RATE_HZ)
TIME = np.arange(COUNT) / RATE_HZ

VOWELS = {
    'a': (800, 1200, 2600, 3500),
    'e': (450, 2000, 2700, 3500),
    'i': (300, 2300, 3000, 3600),
    'o': (450, 800, 2500, 3400),
    'u': (320, 700, 2400, 3300),
}
"""Formants in Hz, about those of Peterson & Barney 1952."""


def vowel(f0_hz: npt.NDArray[np.float64], gain: npt.NDArray[np.float64], formants: Sequence[float]) -> Floats32:
    """A voice on one vowel: pulses at f0 (N,), filtered by resonances, times a gain (N,)."""
    phase = np.cumsum(f0_hz) / RATE_HZ
    pulses = np.diff(np.floor(phase), prepend=0.0)
    source = signal.lfilter([1.0], [1.0, -0.97], pulses) - 0.02
    for centre in formants:
        radius = np.exp(-np.pi * (60 + 0.04 * centre) / RATE_HZ)
        angle = 2 * np.pi * centre / RATE_HZ
        source = signal.lfilter([1 - radius], [1.0, -2 * radius * np.cos(angle), radius**2], source)
    return levelled_voice(source * gain)


def levelled_voice(samples: npt.NDArray[np.float64]) -> Floats32:
    """At a root mean square of 0.05."""
    voice = np.asarray(samples, np.float32)
    return (voice * np.float32(0.05 / level(voice))).astype(np.float32)


def _singing(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """A melody of held vowels with vibrato."""
    notes = rng.choice([0, 2, 4, 5, 7, 9, 12], 6)
    base, note = rng.uniform(140, 420), np.minimum((TIME / 0.55).astype(int), 5)
    semitones = notes[note] + 0.35 * np.sin(2 * np.pi * 5.5 * TIME)
    chosen = rng.choice(list(VOWELS), 6)
    f0, gain = base * 2 ** (semitones / 12), np.ones(COUNT)
    voices = {name: vowel(f0, gain, VOWELS[name]) for name in set(chosen)}
    return np.choose(note, [voices[name] for name in chosen]).astype(np.float32)


def _laughter(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """Breathy bursts on one vowel, about five a second, falling in pitch within each bout."""
    pace = rng.uniform(4, 6)
    place = (TIME * pace) % 1.0
    bout = np.floor(TIME * pace / 6)
    f0 = rng.uniform(200, 450) * (1.15 - 0.06 * ((TIME * pace) % 6)) * (1 + 0.05 * np.sin(bout))
    gain = np.where(place < 0.45, np.sin(np.pi * place / 0.45), 0.0)
    breath = band(coloured(COUNT, 0.5, rng), 500, 4000) * np.where(place < 0.6, 1.0, 0.1)
    voiced = vowel(f0, gain, VOWELS[str(rng.choice(['a', 'e', 'o']))])
    return (voiced + breath * (0.3 * level(voiced) / level(breath))).astype(np.float32)


def _crying(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """Long wails that rise and fall, with a tremor."""
    f0 = rng.uniform(350, 600) * 2 ** (0.4 * np.sin(2 * np.pi * TIME / rng.uniform(0.9, 1.6)) - 0.1 * TIME)
    gain = np.maximum(0.0, np.sin(2 * np.pi * TIME / 1.5)) * (1 + 0.3 * np.sin(2 * np.pi * 9 * TIME))
    return vowel(f0, gain, VOWELS['a'])


def _chords(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """Plucked chords that change every 0.4 s."""
    tune = np.zeros(COUNT)
    for begin in np.arange(0, SECONDS, 0.4):
        since = np.maximum(TIME - begin, 0)
        for note in rng.choice([0, 3, 4, 7, 10, 12, 16], 3, replace=False):
            pitch = rng.choice([110, 220]) * 2 ** (note / 12)
            wave = sum(np.sin(2 * np.pi * pitch * k * since) / k**1.5 for k in range(1, 7))
            tune += np.where(begin <= TIME, wave * np.exp(-3 * since), 0)
    return levelled_voice(tune)


def _band_music(rng: np.random.Generator, others: Sequence[Floats32]) -> Floats32:
    """Chords, a bass and drums."""
    beat = (TIME * rng.uniform(1.6, 2.6)) % 1.0
    drums = coloured(COUNT, 0, rng) * np.exp(-18 * beat) * 0.08
    bass = 0.05 * np.sin(2 * np.pi * 55 * 2 ** (np.floor(TIME / 0.75) % 4 / 12) * TIME)
    return levelled_voice(_chords(rng, others) + drums + bass)


def _tone(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """A beep with harmonics, on and off."""
    wave = sum(np.sin(2 * np.pi * rng.uniform(300, 1200) * k * TIME) / k for k in (1, 2, 3))
    return levelled_voice(wave * ((TIME * 2) % 1 < 0.6))


def _noise(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """Coloured noise that swells."""
    return levelled_voice(coloured(COUNT, rng.uniform(0, 2), rng) * (1 + 0.6 * np.sin(2 * np.pi * 0.7 * TIME)))


def _applause(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """Some two hundred claps a second in a room."""
    claps = np.zeros(COUNT)
    np.add.at(claps, rng.integers(0, COUNT, 600), rng.uniform(0.3, 1, 600))
    burst = coloured(480, 0, rng) * np.exp(-np.arange(480) / 60)
    return levelled_voice(
        room(band(signal.fftconvolve(claps, burst)[:COUNT].astype(np.float32), 500, 5000), 0.6, 3, rng)
    )


def _crowd(rng: np.random.Generator, others: Sequence[Floats32]) -> Floats32:
    """Sixteen people at once in a hall."""
    voices = [np.resize(np.roll(others[i], rng.integers(4000)), COUNT) for i in rng.integers(0, len(others), 16)]
    together = np.sum([voice / level(voice) for voice in voices], axis=0).astype(np.float32)
    return levelled_voice(room(together, 1.2, 0, rng))


def _backwards(rng: np.random.Generator, others: Sequence[Floats32]) -> Floats32:
    """A sentence played backwards."""
    return levelled_voice(np.resize(others[rng.integers(0, len(others))][::-1], COUNT))


def _almost_silence(rng: np.random.Generator, _: Sequence[Floats32]) -> Floats32:
    """A recorder's own noise at -80 dBFS."""
    return (coloured(COUNT, 1, rng) * np.float32(1e-4 / level(coloured(COUNT, 1, rng)))).astype(np.float32)


NOT_SPEECH: dict[str, Maker] = {
    'singing': _singing,
    'laughter': _laughter,
    'crying': _crying,
    'chords': _chords,
    'band music': _band_music,
    'beeps': _tone,
    'noise': _noise,
    'applause': _applause,
    'crowd': _crowd,
    'speech backwards': _backwards,
    'almost silence': _almost_silence,
}
