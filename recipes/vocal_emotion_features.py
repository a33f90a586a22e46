"""From RAVDESS's files to arrays on disk: the turns, their altered copies, and what each encoder makes of them.

Every file is written once, under a temporary name first, and kept: a run that was stopped goes on where it was.
`Copies` names one altered copy of all clips; `frames` gives its encoder layers, `samples` its sound.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from vocal_emotion_augment import HELD_OUT, alter

from affekt.labels import RAVDESS8
from affekt.voice.encoder import WhisperEncoder
from affekt.voice.speech import RATE_HZ, SpeechDetector, speech_turns

FloatArray = npt.NDArray[np.float32]


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
    samples: FloatArray


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


def read_sound(path: Path) -> FloatArray:
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

    def sound(self, copy: str) -> list[FloatArray]:
        """The turns of one copy: 'clean', 'train 0' and on, or a name of HELD_OUT. Made when absent."""
        path = self.folder / f'{_plain(copy)}.sound.npz'
        if not path.exists():
            turns = self._alter(copy)
            pcm = np.concatenate([np.clip(t * 32767, -32768, 32767).astype(np.int16) for t in turns])
            _save(path, pcm=pcm, lengths=np.array([t.shape[0] for t in turns]))
        with np.load(path) as stored:
            lengths, pcm = stored['lengths'], stored['pcm']
        return [piece.astype(np.float32) / 32767 for piece in np.split(pcm, np.cumsum(lengths)[:-1])]

    def frames(self, encoder: str, copy: str) -> list[npt.NDArray[np.float16]]:
        """Per clip (L+1, T, D) float16 by memory map. Made when absent."""
        path = self.folder / f'{_plain(copy)}.{encoder}.f16'
        index = path.with_suffix('.json')
        if not index.exists():
            self._encode(encoder, copy, path, index)
        shapes = json.loads(index.read_text())
        flat = np.memmap(path, np.float16, 'r')
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        return [flat[end - int(np.prod(shape)) : end].reshape(shape) for shape, end in zip(shapes, ends, strict=True)]

    def _encode(self, encoder: str, copy: str, path: Path, index: Path) -> None:
        whisper = WhisperEncoder(self.encoders[encoder])
        shapes = []
        with path.with_suffix('.part').open('wb') as stream:
            for samples in self.sound(copy):
                encoded = whisper(samples)
                layers = encoded.layers[:, : encoded.speech_frames].astype(np.float16)
                stream.write(layers.tobytes())
                shapes.append(layers.shape)
        os.replace(path.with_suffix('.part'), path)
        index.write_text(json.dumps(shapes))

    def _alter(self, copy: str) -> list[FloatArray]:
        spans = self.spans()
        clean = [read_sound(self.data / name) for name in self.clips.files]
        turns = []
        for row, (samples, (begin, end)) in enumerate(zip(clean, spans, strict=True)):
            if copy == 'clean':
                turns.append(samples[begin:end])
                continue
            rng = np.random.default_rng([20, row, *copy.encode()])
            if copy in HELD_OUT:
                changed = HELD_OUT[copy](samples, rng)
            else:
                same_fold = np.flatnonzero(self.clips.fold == self.clips.fold[row])
                others = [clean[i] for i in rng.choice(same_fold, 8, replace=False)]
                changed = alter(samples, others, rng)
            stretch = changed.shape[0] / samples.shape[0]
            margin = rng.integers(-1600, 4800, 2) if copy not in HELD_OUT else np.zeros(2, int)
            first = int(np.clip(begin * stretch - margin[0], 0, changed.shape[0] - 4800))
            turns.append(changed[first : max(first + 4800, int(end * stretch + margin[1]))])
        return turns

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


def _plain(copy: str) -> str:
    """A file name."""
    return ''.join(c if c.isalnum() else '_' for c in copy)


def _save(path: Path, **arrays: npt.NDArray[np.generic]) -> None:
    """Compressed arrays, all or nothing."""
    temporary = path.with_suffix('.part.npz')
    np.savez_compressed(temporary, **arrays)
    os.replace(temporary, path)
