"""From the corpora's files to arrays on disk: the turns, their altered copies, and what each encoder makes of them.

Every file is written once, under a temporary name first, and kept: a run that was stopped goes on where it was.
A copy is all clips altered in one way: 'clean', 'train 0' and on, 'joined 0' and on (every other clip lengthened),
'coded' (through Opus, as nEMO comes), 'whole' (not cut to its speech), a name of HELD_OUT (12 clips of each speaker),
or 'cropped 0.4' (seconds from the middle of the same). `Store.sound` gives its turns, `features` what an encoder makes
of them.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from augment import HELD_OUT, alter, coded_as_opus
from not_speech import Maker

from affekt.arrays import Floats32
from affekt.labels import RAVDESS8
from affekt.voice.acoustics import acoustic_summary
from affekt.voice.emotion import pool
from affekt.voice.encoder import WhisperEncoder
from affekt.voice.speech import RATE_HZ, SpeechDetector, speech_turns


@dataclass(frozen=True)
class Clips:
    """A corpus's table: S clips.

    Attributes:
        name: of the corpus.
        folder: where its files lie.
        files: (S,) relative paths.
        truth: (S,) indices into RAVDESS8.
        speaker: (S,) numbers from 0.
        sentence: (S,) numbers from 0: clips of one number say the same words.
        fold: (S,) numbers from 0; no speaker is in two folds, and each fold has men and women.
        classes: (8,) True for the labels that the corpus has.
    """

    name: str
    folder: Path
    files: list[str]
    truth: npt.NDArray[np.int64]
    speaker: npt.NDArray[np.int64]
    sentence: npt.NDArray[np.int64]
    fold: npt.NDArray[np.int64]

    @property
    def classes(self) -> npt.NDArray[np.bool_]:
        return np.isin(np.arange(len(RAVDESS8)), self.truth)


@dataclass(frozen=True)
class Block:
    """What `speech_turns` reads."""

    start_s: float
    samples: Floats32


def read_ravdess(folder: Path) -> Clips:
    """RAVDESS's speech by its `metadata.csv`; six folds of four neighbouring actors, two of either gender."""
    with (folder / 'metadata.csv').open(newline='') as stream:
        rows = list(csv.DictReader(stream))
    actor = np.array([int(row['actor']) for row in rows]) - 1
    return Clips(
        name='ravdess',
        folder=folder,
        files=[row['file'] for row in rows],
        truth=np.array([RAVDESS8.index(row['emotion']) for row in rows]),
        speaker=actor,
        sentence=np.array([int(row['statement']) for row in rows]) - 1,
        fold=actor // 4,
    )


def read_nemo(folder: Path, most: int = 40) -> Clips:
    """nEMO by its `metadata.tsv`; at most so many clips of each speaker and emotion, by chance.

    Nine speakers say ninety sentences in six emotions: what limits learning is speakers, not clips. Four folds of two
    or three speakers of both genders.
    """
    with (folder / 'metadata.tsv').open(newline='') as stream:
        rows = list(csv.DictReader(stream, delimiter='\t', quoting=csv.QUOTE_NONE))
    rows.sort(key=lambda row: row['file_id'])
    order_of_rows = np.random.default_rng(3).permutation(len(rows))
    seen: dict[tuple[str, str], int] = {}
    chosen = []
    for place in order_of_rows:
        group = (rows[place]['speaker_id'], rows[place]['emotion'])
        seen[group] = seen.get(group, 0) + 1
        if seen[group] <= most:
            chosen.append(int(place))
    rows = [rows[place] for place in sorted(chosen)]
    people = [row['speaker_id'].strip() for row in rows]
    gender = dict(zip(people, (row['gender'] for row in rows), strict=True))
    order = {name: sorted(n for n in gender if gender[n] == gender[name]).index(name) for name in gender}
    sentences = sorted({row['normalized_text'] for row in rows})
    number = {text: place for place, text in enumerate(sentences)}
    return Clips(
        name='nemo',
        folder=folder,
        files=[f'{person}/{Path(row["file_id"]).stem}.opus' for person, row in zip(people, rows, strict=True)],
        truth=np.array([RAVDESS8.index(NEMO_TO_RAVDESS8[row['emotion']]) for row in rows]),
        speaker=np.array([sorted(gender).index(person) for person in people]),
        sentence=np.array([number[row['normalized_text']] for row in rows]),
        fold=np.array([order[person] % 4 for person in people]),
    )


NEMO_TO_RAVDESS8 = {
    'anger': 'angry', 'fear': 'fearful', 'happiness': 'happy', 'neutral': 'neutral', 'sadness': 'sad',
    'surprised': 'surprised',
}  # fmt: skip

CORPORA: dict[str, Callable[[Path], Clips]] = {'ravdess': read_ravdess, 'nemo': read_nemo}
"""From the corpus's name to the reader of its folder."""


def read_sound(path: Path) -> Floats32:
    """(N,) mono at 16 kHz."""
    with av.open(str(path)) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float32)


class Store:
    """The folder of one corpus's arrays."""

    def __init__(self, clips: Clips, folder: Path, encoders: dict[str, str]) -> None:
        """Opens it; `encoders` maps a short name to what `WhisperEncoder` takes."""
        self.clips, self.folder, self.encoders = clips, folder / clips.name, encoders
        self._clean: list[Floats32] = []
        self.folder.mkdir(parents=True, exist_ok=True)

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

    def of_sounds(self, encoder: str, name: str, maker: Maker, others: list[Floats32]) -> npt.NDArray[np.float16]:
        """(24, L+1, 5, D) statistics of made-up sounds that are no speech. Made when absent."""
        path = self.folder / f'{_plain(name)}.sounds.{encoder}.npy'
        if not path.exists():
            whisper, rng = WhisperEncoder(self.encoders[encoder]), np.random.default_rng([5, *name.encode()])
            encoded = [whisper(maker(rng, others)) for _ in range(24)]
            rows = [pool(each.layers[:, : each.speech_frames]).astype(np.float16) for each in encoded]
            temporary = path.with_suffix('.part.npy')
            np.save(temporary, np.stack(rows))
            os.replace(temporary, path)
        return np.asarray(np.load(path))

    def acoustics(self, copy: str) -> Floats32:
        """(S, 22) acoustic summaries. Made when absent."""
        path = self.folder / f'{_plain(copy)}.acoustics.npy'
        if not path.exists():
            np.save(path, np.stack([acoustic_summary(samples) for samples in self.sound(copy)]))
        return np.asarray(np.load(path))

    def clean(self) -> list[Floats32]:
        """All clips as recorded, read once."""
        if not self._clean:
            self._clean = [read_sound(self.clips.folder / name) for name in self.clips.files]
        return self._clean

    def _alter(self, copy: str) -> list[Floats32]:
        """The turns of a copy; empty ones where it leaves a clip out."""
        spans, clean = self.spans(), self.clean()
        is_sampled = copy in HELD_OUT or copy.startswith('cropped')
        kept = set(self.sampled_rows().tolist()) if is_sampled else set(range(len(spans)))
        turns = []
        for row, (begin, end) in enumerate(spans):
            if row not in kept:
                turns.append(np.zeros(0, np.float32))
            elif copy == 'clean':
                turns.append(clean[row][begin:end])
            elif copy == 'whole':
                turns.append(clean[row])
            elif copy == 'coded':
                turns.append(coded_as_opus(clean[row])[begin:end])
            elif copy.startswith('cropped'):
                turns.append(_middle(clean[row][begin:end], float(copy.split()[1])))
            else:
                turns.append(self._changed(copy, row, clean, spans))
        return turns

    def _changed(self, copy: str, row: int, clean: list[Floats32], spans: npt.NDArray[np.int64]) -> Floats32:
        """One turn, altered at random and cut a little wider or closer than the detector would."""
        rng = np.random.default_rng([20, row, *copy.encode()])
        samples, (begin, end), margin = clean[row], spans[row], rng.integers(-1600, 4800, 2)
        if copy in HELD_OUT:
            changed, margin = HELD_OUT[copy](samples, rng), np.zeros(2, np.int64)
        else:
            if copy.startswith('joined') and row % 2 == 0:
                samples, (begin, end) = self._joined(row, clean, spans, rng)
            same_fold = np.flatnonzero(self.clips.fold == self.clips.fold[row])
            changed = alter(samples, [clean[i] for i in rng.choice(same_fold, 8, replace=False)], rng)
        stretch = changed.shape[0] / samples.shape[0]
        first = int(np.clip(begin * stretch - margin[0], 0, max(0, changed.shape[0] - 4800)))
        return changed[first : max(first + 4800, int(end * stretch + margin[1]))]

    def _joined(
        self, row: int, clean: list[Floats32], spans: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Floats32, tuple[int, int]]:
        """A long turn: two to four clips of one speaker and emotion, with short pauses between."""
        table = self.clips
        alike = (table.speaker == table.speaker[row]) & (table.truth == table.truth[row])
        chosen = rng.permutation(np.flatnonzero(alike))[: rng.integers(2, 5)]
        pieces = []
        for i in chosen:
            pieces += [clean[i][spans[i, 0] : spans[i, 1]], np.zeros(int(rng.integers(0, 4800)), np.float32)]
        whole = np.concatenate(pieces[:-1])[: 14 * RATE_HZ]
        return whole, (0, whole.shape[0])

    def sampled_rows(self) -> npt.NDArray[np.int64]:
        """Clips on which the held-out alterations are measured: 12 of each speaker by chance."""
        rng = np.random.default_rng(7)
        speakers = np.unique(self.clips.speaker)
        rows = [rng.choice(np.flatnonzero(self.clips.speaker == who), 12, replace=False) for who in speakers]
        return np.sort(np.concatenate(rows))

    def spans(self) -> npt.NDArray[np.int64]:
        """(S, 2) first and last sample of speech in each clean clip, padding included."""
        path = self.folder / 'spans.npy'
        if not path.exists():
            detector = SpeechDetector()
            spans = []
            for samples in self.clean():
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
    """Arrays, all or nothing."""
    temporary = path.with_suffix('.part.npz')
    np.savez(temporary, **arrays)
    os.replace(temporary, path)
