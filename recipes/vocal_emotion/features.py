"""From RAVDESS's files to arrays on disk: the turns, their altered copies, and what each encoder makes of them.

Every file is written once, under a temporary name first, and kept: a run that was stopped goes on where it was.
A copy is all clips altered in one way: 'clean', 'train 0' and on, 'joined 0' and on (every other clip lengthened), a
name of HELD_OUT (288 clips), or 'cropped 0.4' (seconds from the middle of the same 288). `Store.sound` gives its turns,
`features` what an encoder makes of them.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from augment import HELD_OUT, alter

from affekt.arrays import Floats32
from affekt.labels import RAVDESS8
from affekt.voice.acoustics import acoustic_summary
from affekt.voice.emotion import pool
from affekt.voice.encoder import WhisperEncoder
from affekt.voice.speech import RATE_HZ, SpeechDetector, speech_turns


@dataclass(frozen=True)
class Clips:
    """The corpus's table: S clips.

    Attributes:
        files: relative paths.
        truth: (S,) indices into RAVDESS8.
        actor: (S,) 1 to 24.
        statement: (S,) 1 or 2.
        fold: (S,) 0 to 5: four neighbouring actors, two of either gender.
    """

    files: list[str]
    truth: npt.NDArray[np.int64]
    actor: npt.NDArray[np.int64]
    statement: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """What `speech_turns` reads."""

    start_s: float
    samples: Floats32


def read_clips(data: Path) -> Clips:
    """The table of `metadata.csv`."""
    with (data / 'metadata.csv').open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    actor = np.array([int(row['actor']) for row in rows])
    return Clips(
        files=[row['file'] for row in rows],
        truth=np.array([RAVDESS8.index(row['emotion']) for row in rows]),
        actor=actor,
        statement=np.array([int(row['statement']) for row in rows]),
        fold=(actor - 1) // 4,
    )


def read_sound(path: Path) -> Floats32:
    """(N,) mono at 16 kHz."""
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float32)


class Store:
    """The folder of arrays."""

    def __init__(self, data: Path, folder: Path, encoders: dict[str, str]) -> None:
        """Opens it; `encoders` maps a short name to what `WhisperEncoder` takes."""
        self.data, self.folder, self.encoders = data, folder, encoders
        self.clips = read_clips(data)
        folder.mkdir(parents=True, exist_ok=True)

    def sound(self, copy: str) -> list[Floats32]:
        """The turns of one copy, empty where it leaves a clip out. Made when absent."""
        path = self.folder / f'{_plain(copy)}.sound.npz'
        if not path.exists():
            turns = self._alter(copy)
            pcm = np.concatenate([np.clip(t * 32767, -32768, 32767).astype(np.int16) for t in turns])
            _save(path, pcm=pcm, lengths=np.array([t.shape[0] for t in turns]))
        with np.load(path) as stored:
            lengths, pcm = stored['lengths'], stored['pcm']
        return [piece.astype(np.float32) / 32767 for piece in np.split(pcm, np.cumsum(lengths)[:-1])]

    def features(self, encoder: str, copy: str) -> npt.NDArray[np.float16]:
        """(S, L+1, 5, D) statistics of each layer, nan for clips that the copy leaves out. Made when absent."""
        path = self.folder / f'{_plain(copy)}.{encoder}.npy'
        if not path.exists():
            whisper = WhisperEncoder(self.encoders[encoder])
            rows = []
            for samples in self.sound(copy):
                encoded = whisper(samples) if samples.size else None
                rows.append(pool(encoded.layers[:, : encoded.speech_frames]).astype(np.float16) if encoded else None)
            blank = np.full_like(next(row for row in rows if row is not None), np.nan)
            temporary = path.with_suffix('.part.npy')
            np.save(temporary, np.stack([blank if row is None else row for row in rows]))
            os.replace(temporary, path)
        return np.asarray(np.load(path))

    def acoustics(self, copy: str) -> Floats32:
        """(S, 22) acoustic summaries. Made when absent."""
        path = self.folder / f'{_plain(copy)}.acoustics.npy'
        if not path.exists():
            np.save(path, np.stack([acoustic_summary(samples) for samples in self.sound(copy)]))
        return np.asarray(np.load(path))

    def _alter(self, copy: str) -> list[Floats32]:
        """The turns of a copy; empty ones where it leaves a clip out."""
        spans = self.spans()
        is_sampled = copy in HELD_OUT or copy.startswith('cropped')
        kept = set(self.sampled_rows().tolist()) if is_sampled else set(range(len(spans)))
        blank = np.zeros(0, np.float32)
        clean = [read_sound(self.data / name) if row in kept else blank for row, name in enumerate(self.clips.files)]
        if copy == 'clean':
            return [samples[begin:end] for samples, (begin, end) in zip(clean, spans, strict=True)]
        turns = []
        for row, (begin, end) in enumerate(spans):
            if row not in kept:
                turns.append(blank)
                continue
            if copy.startswith('cropped'):
                turns.append(_middle(clean[row][begin:end], float(copy.split()[1])))
                continue
            rng = np.random.default_rng([20, row, *copy.encode()])
            samples, margin = clean[row], rng.integers(-1600, 4800, 2)
            if copy in HELD_OUT:
                changed, margin = HELD_OUT[copy](samples, rng), np.zeros(2, np.int64)
            else:
                if copy.startswith('joined') and row % 2 == 0:
                    samples, (begin, end) = self._joined(row, clean, spans, rng)
                same_fold = np.flatnonzero(self.clips.fold == self.clips.fold[row])
                changed = alter(samples, [clean[i] for i in rng.choice(same_fold, 8, replace=False)], rng)
            stretch = changed.shape[0] / samples.shape[0]
            first = int(np.clip(begin * stretch - margin[0], 0, changed.shape[0] - 4800))
            turns.append(changed[first : max(first + 4800, int(end * stretch + margin[1]))])
        return turns

    def _joined(
        self, row: int, clean: list[Floats32], spans: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Floats32, tuple[int, int]]:
        """A long turn: two to four clips of one actor, emotion and statement, with short pauses between."""
        table = self.clips
        alike = (table.actor == table.actor[row]) & (table.truth == table.truth[row])
        alike &= table.statement == table.statement[row]
        chosen = rng.permutation(np.flatnonzero(alike))[: rng.integers(2, 5)]
        pieces = []
        for i in chosen:
            pieces += [clean[i][spans[i, 0] : spans[i, 1]], np.zeros(int(rng.integers(0, 4800)), np.float32)]
        whole = np.concatenate(pieces[:-1])[: 14 * RATE_HZ]
        return whole, (0, whole.shape[0])

    def sampled_rows(self) -> npt.NDArray[np.int64]:
        """(288,) clips on which the held-out alterations are measured: 12 of each actor by chance."""
        rng = np.random.default_rng(7)
        rows = [rng.choice(np.flatnonzero(self.clips.actor == actor), 12, replace=False) for actor in range(1, 25)]
        return np.sort(np.concatenate(rows))

    def spans(self) -> npt.NDArray[np.int64]:
        """(S, 2) first and last sample of speech in each clean clip, padding included."""
        path = self.folder / 'spans.npy'
        if not path.exists():
            detector = SpeechDetector()
            spans = []
            for name in self.clips.files:
                samples = read_sound(self.data / name)
                turns = list(speech_turns([Block(0.0, samples)], detector))
                span = (turns[0].start_s, turns[-1].end_s) if turns else (0.0, samples.shape[0] / RATE_HZ)
                spans.append([round(span[0] * RATE_HZ), round(span[1] * RATE_HZ)])
            np.save(path, np.array(spans))
        return np.asarray(np.load(path))


def _middle(samples: Floats32, seconds: float) -> Floats32:
    """So many seconds from the middle, or all."""
    count = min(samples.shape[0], round(seconds * RATE_HZ))
    first = (samples.shape[0] - count) // 2
    return samples[first : first + count]


def _plain(copy: str) -> str:
    """A file name."""
    return ''.join(c if c.isalnum() else '_' for c in copy)


def _save(path: Path, **arrays: npt.NDArray[np.generic]) -> None:
    """Compressed arrays, all or nothing."""
    temporary = path.with_suffix('.part.npz')
    np.savez_compressed(temporary, **arrays)
    os.replace(temporary, path)
