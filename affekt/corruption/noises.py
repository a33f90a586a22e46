"""Sources of noise: coloured noise, babble of other voices, or a folder of recordings.

A source returns N samples at a given rate, drawn by the sample's own generator, and their origin. Power spectra fall
with frequency f as 1 (white), 1/f (pink), 1/f**2 (brown).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from affekt.containers import AUDIO
from affekt.corpora import Manifest, Sample
from affekt.corruption.sound import Sound, active_power
from affekt.errors import CorpusError, MediaError, ShapeError, UnknownNameError, ValueRangeError
from affekt.media import Recording

COLOURS: Mapping[str, float] = {'white': 0.0, 'pink': 1.0, 'brown': 2.0}
"""Colour to the exponent of the decrease of power with frequency."""
BABBLE = 'babble'
NAMED = (*COLOURS, BABBLE)
"""Built-in sources of noise."""
TALKERS = 6
"""Default number of voices of the babble."""
KEPT_SOUNDS = 64
"""Maximum number of decoded files kept in memory."""

Noise = Callable[[Sample, int, int, np.random.Generator], tuple[Sound, dict[str, Any]]]
"""Function from sample, N, sampling rate in Hz and generator to noise (N,) and its origin, of plain values."""


def coloured_noise(colour: str, size: int, rng: np.random.Generator) -> Sound:
    """Gaussian noise of a colour; pink and brown noise have a mean of 0.

    Args:
        colour: one of `COLOURS`.
        size: N.
        rng: generator of the noise.

    Returns:
        (N,) with a mean square of 1.

    Raises:
        UnknownNameError: unknown colour.
        ValueRangeError: fewer than 2 samples.
    """
    if colour not in COLOURS:
        raise UnknownNameError(expected=f'one of {", ".join(COLOURS)}', came=repr(colour), todo='name one of these')
    if size < 2:
        raise ValueRangeError(expected='at least 2 samples', came=f'{size}', todo='leave the sample out')
    noise = rng.normal(size=size)
    if (exponent := COLOURS[colour]) > 0:
        spectrum = np.fft.rfft(noise)
        spectrum[0] = 0.0
        spectrum[1:] *= np.arange(1, len(spectrum)) ** (-exponent / 2)
        noise = np.fft.irfft(spectrum, size)
    scaled: Sound = noise / np.sqrt(np.mean(np.square(noise)))
    return scaled


def babble(voices: Sequence[Sound], size: int, rate_hz: int, rng: np.random.Generator) -> Sound:
    """Several voices at once, each equally loud while it speaks, from random starts, repeated as needed.

    Args:
        voices: (M,) recordings of any length; silent ones are ignored.
        size: N.
        rate_hz: sampling rate of all voices, in Hz.
        rng: generator of the starts.

    Returns:
        (N,) samples.

    Raises:
        ShapeError: there are no voices, or only silent ones.
    """
    audible = [voice for voice in voices if voice.size and np.any(voice)]
    if not audible:
        raise ShapeError(expected='voices that can be heard', came=f'{len(voices)} silent ones', todo='give speech')
    mixed = np.zeros(size)
    for voice in audible:
        mixed += _looped(voice, size, rng) / np.sqrt(active_power(voice, rate_hz))
    return mixed


def noise_named(name: str, manifest: Manifest, talkers: int = TALKERS) -> Noise:
    """The source of noise with a name, such as 'pink' or a folder's path.

    Args:
        name: one of `COLOURS`, `babble`, or a folder of audio files.
        manifest: manifest whose other samples are the voices of the babble.
        talkers: number of voices of the babble.

    Raises:
        UnknownNameError: the name is neither known nor a folder.
        CorpusError: the folder has no audio, or the manifest has no other voices.
    """
    if name in COLOURS:
        return lambda sample, size, rate_hz, rng: (coloured_noise(name, size, rng), {})
    if name == BABBLE:
        return _Babble(manifest, talkers)
    folder = Path(name)
    if not folder.is_dir():
        builtin = ', '.join(NAMED)
        raise UnknownNameError(expected=f'{builtin} or a folder of recordings', came=repr(name), todo='check the path')
    return _Folder(folder)


class _Babble:
    """Babble from other samples of a manifest, of other speakers where speakers are known."""

    def __init__(self, manifest: Manifest, talkers: int) -> None:
        self.manifest, self.talkers = manifest, talkers
        has_audio = manifest.samples.filled('audio') | manifest.samples.filled('video')
        names = manifest.samples.column('sample')
        # In the order of names, so that draws do not depend on the order of rows.
        by_name = np.flatnonzero(has_audio)[np.argsort(names[has_audio], kind='stable')]
        self.voices = manifest.samples.take(by_name)
        self.names, self.speakers = self.voices.column('sample'), self.voices.column('speaker')
        if len(self.voices) < 2:
            raise CorpusError(
                expected='at least two samples with audio to make babble from',
                came=f'{len(self.voices)} in {manifest.facts.corpus}', todo='choose another --noise',
            )  # fmt: skip

    def __call__(
        self, sample: Sample, size: int, rate_hz: int, rng: np.random.Generator
    ) -> tuple[Sound, dict[str, Any]]:
        is_same_speaker = self.voices.known('speaker') & (self.speakers == sample.speaker)
        others = np.flatnonzero((self.names != sample.sample) & ~is_same_speaker)
        if not len(others):
            raise CorpusError(
                expected=f'other speakers than {sample.speaker}', came='none', todo='choose another --noise'
            )
        talkers = self.voices.take(others[rng.permutation(len(others))[: self.talkers]])
        sounds = [read_sound(path, rate_hz) for row in talkers if (path := sound_file(self.manifest, row))]
        return babble(sounds, size, rate_hz, rng), {'voices': [row.sample for row in talkers]}


class _Folder:
    """Recordings of a folder, in the order of their paths, joined at random to the required length."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = sound_files(folder)
        if not self.files:
            raise CorpusError(
                expected=f'recordings ({", ".join(AUDIO)})', came=f'none in {folder}', todo='choose another --noise'
            )

    def __call__(
        self, sample: Sample, size: int, rate_hz: int, rng: np.random.Generator
    ) -> tuple[Sound, dict[str, Any]]:
        pieces: list[Sound] = []
        names: list[str] = []
        size_so_far = 0
        while size_so_far < size:
            path = self.files[int(rng.integers(len(self.files)))]
            piece = read_sound(path, rate_hz)
            if not piece.size or not np.any(piece):
                raise MediaError(expected='noise that can be heard', came=f'{path}, silent', todo='remove the file')
            pieces.append(piece)
            names.append(str(path.relative_to(self.folder)))
            size_so_far += len(piece)
        joined = np.concatenate(pieces)
        start = int(rng.integers(size_so_far - size + 1))
        return joined[start : start + size], {'files': names, 'start': start}


def sound_files(folder: Path) -> list[Path]:
    """All audio files below a folder, by path."""
    return sorted(path for path in folder.rglob('*') if path.suffix.lower() in AUDIO and path.is_file())


def digest_of_folder(folder: Path) -> str:
    """SHA-256 of the paths and sizes of a folder's audio files, which a resumed run must find unchanged."""
    listed_files = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in sound_files(folder)]
    return hashlib.sha256(json.dumps(listed_files).encode()).hexdigest()


def sound_file(manifest: Manifest, row: Sample) -> Path | None:
    """Path of a sample's audio: its audio file, else its video."""
    return manifest.media(row, 'audio') or manifest.media(row, 'video')


@lru_cache(maxsize=KEPT_SOUNDS)
def read_sound(path: Path, rate_hz: int) -> Sound:
    """(N,) mono samples of a file, read-only; empty where the file has no audio.

    Args:
        path: path of an audio or video file.
        rate_hz: sampling rate of the result, in Hz.

    Raises:
        MediaError: the file is missing or damaged.
    """
    blocks = [block.samples for block in Recording.open(path).samples(rate_hz)]
    sound = np.concatenate(blocks).astype(np.float64) if blocks else np.zeros(0)
    sound.flags.writeable = False
    return sound


def _looped(sound: Sound, size: int, rng: np.random.Generator) -> Sound:
    """(size,) samples from a random start, repeated as needed."""
    looped: Sound = np.resize(np.roll(sound, -int(rng.integers(len(sound)))), size)
    return looped
