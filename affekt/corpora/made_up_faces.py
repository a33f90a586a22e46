"""A corpus of videos of synthetic faces, whose curves are known because they were commanded.

Clips are those of `affekt.face3d`: synthetic people who show an emotion, speak, blink and look around, in all poses and
lights. Beside the videos are `manifest.parquet` (a row per clip: emotion, mean valence and arousal, person, split) and
`curves.parquet` (a row per frame: 51 expressions, head pose, intensity, valence, arousal). Each person is in one split
only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from affekt.corpora.manifest import Facts, Manifest, Sample
from affekt.errors import ValueRangeError
from affekt.files import file_atomically
from affekt.progress import Progress, with_progress
from affekt.runs import Run
from affekt.workers import each_done

if TYPE_CHECKING:
    import pyarrow

    from affekt.face3d import FaceClip

MANIFEST, CURVES = 'manifest.parquet', 'curves.parquet'
MOST_CLIPS = 1_000_000
HELD_OUT = 0.15
"""Share of the people in the validation split, and in the test split."""
SALT = 0x66616365
"""Separates the seeds of these clips from those of `made_up_faces(seed)`."""
ADVICE = 'go on with --resume: finished clips are kept; fewer --processes need less memory'


@dataclass(frozen=True)
class FaceCorpus:
    """Settings of a corpus of synthetic faces."""

    clips: int = 100
    people: int = 20
    seconds: float = 2.56
    """Length of a clip."""
    rate_hz: float = 25.0
    """Frames per second."""
    size: int = 160
    """Height and width of a frame in pixels, even."""
    seed: int = 0
    """Seed of people, curves and splits."""

    def __post_init__(self) -> None:
        if not 1 <= self.clips <= MOST_CLIPS:
            raise ValueRangeError(
                expected=f'1 to {MOST_CLIPS:,} clips', came=f'{self.clips}', todo='give another number'
            )
        if not 1 <= self.people <= self.clips:
            raise ValueRangeError(
                expected=f'1 to {self.clips} people for {self.clips} clips', came=f'{self.people}',
                todo='give fewer people, or more clips',
            )  # fmt: skip
        if self.size % 2:
            raise ValueRangeError(expected='an even size, as videos have', came=f'{self.size}', todo='add a pixel')
        if self.seed < 0:
            raise ValueRangeError(expected='a seed of 0 or more', came=f'{self.seed}', todo='give another number')

    def name(self, number: int) -> str:
        """Name of a clip, numbered from 0."""
        return f'face_{number:06d}'

    def person(self, number: int) -> int:
        """Number of the person in a clip; people take turns."""
        return number % self.people

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Split of each person; where there are fewer than three, all are for training."""
        splits = ['train'] * self.people
        if self.people >= 3:
            size = max(1, round(HELD_OUT * self.people))
            order = np.random.default_rng((SALT, self.seed)).permutation(self.people).tolist()
            for person in order[:size]:
                splits[person] = 'test'
            for person in order[size : 2 * size]:
                splits[person] = 'val'
        return tuple(splits)

    def clip(self, number: int) -> FaceClip:
        """The plan of a clip, whose frames are rendered during iteration. Emotions take turns."""
        from affekt.face3d import EMOTIONS, FaceClip  # takes as long to load as all corpora together

        person = self.person(number)
        emotion = EMOTIONS[(number // self.people + person) % len(EMOTIONS)]
        clip_seed, person_seed = _seed(self.seed, 0, number), _seed(self.seed, 1, person)
        return FaceClip.planned(clip_seed, self.seconds, self.rate_hz, self.size, emotion=emotion, person=person_seed)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence((SALT, *numbers)).generate_state(1)[0])


def made_up_face_corpus(
    out: Path, corpus: FaceCorpus, *, processes: int = 1, resume: bool = False, progress: Progress | None = None
) -> Manifest:
    """Write videos, manifest and curves into a new folder.

    Args:
        out: folder of the corpus.
        corpus: settings of the corpus.
        processes: number of processes that render clips; 1 for this one. The files do not depend on it.
        resume: continue in the folder of an interrupted run.
        progress: called with 'faces', clips done and total clips.

    Returns:
        The manifest, saved as manifest.parquet.

    Raises:
        ValueRangeError: a length, rate or size is out of range, or there is less than one process.
        RunError: the folder has other contents, or a run with other settings.
        StorageError: the folder cannot be written.
    """
    if processes < 1:
        raise ValueRangeError(expected='at least one process', came=f'{processes}', todo='give another number')
    corpus.clip(0)  # refuses what cannot be drawn before anything is written
    with Run(out, asdict(corpus), resume=resume) as run:
        remaining = [number for number in range(corpus.clips) if run.finished(corpus.name(number)) is None]
        written = each_done(partial(_write, corpus, out), remaining, processes, todo=ADVICE)
        for number in with_progress(written, progress, 'faces', corpus.clips, done=corpus.clips - len(remaining)):
            run.note(corpus.name(number), f'{corpus.name(number)}.mp4')
        _save_curves(corpus, out / CURVES)
        manifest = Manifest(_facts(corpus, out), _samples(corpus))
        manifest.save(out / MANIFEST)
    return manifest


def _write(corpus: FaceCorpus, out: Path, number: int) -> None:
    from affekt.media import write_video

    write_video(out / f'{corpus.name(number)}.mp4', corpus.clip(number), corpus.rate_hz)


def _facts(corpus: FaceCorpus, out: Path) -> Facts:
    from affekt.face3d import EMOTIONS

    published = Counter(corpus.splits[corpus.person(number)] for number in range(corpus.clips))
    return Facts(
        corpus='made-up faces', version='1', language='', categories=EMOTIONS,
        ranges={'valence': (-1.0, 1.0), 'arousal': (-1.0, 1.0)}, published=dict(published), root=str(out.resolve()),
        sources={}, notes=('computer graphics, not people: curves are commanded, see curves.parquet',),
    )  # fmt: skip


def _samples(corpus: FaceCorpus) -> Iterator[Sample]:
    for number in range(corpus.clips):
        clip, person = corpus.clip(number), corpus.person(number)
        yield Sample(
            corpus.name(number), video=f'{corpus.name(number)}.mp4', category=clip.emotion,
            valence=round(float(clip.curves.valence.mean()), 4), arousal=round(float(clip.curves.arousal.mean()), 4),
            speaker=f'person{person:05d}', split=corpus.splits[person],
        )  # fmt: skip


def _save_curves(corpus: FaceCorpus, path: Path) -> None:
    """Write a row per frame, with a row group per clip."""
    from pyarrow import parquet

    with file_atomically(path) as file:
        writer: Any = None
        for number in range(corpus.clips):
            table = _curves(corpus.name(number), corpus.clip(number))
            writer = parquet.ParquetWriter(file, table.schema) if writer is None else writer
            writer.write_table(table)
        writer.close()


def _curves(name: str, clip: FaceClip) -> pyarrow.Table:
    import pyarrow

    from affekt.faces import euler_angles_deg

    angles = euler_angles_deg(clip.curves.pose)
    columns: dict[str, Any] = {
        'sample': pyarrow.array([name] * len(clip)).dictionary_encode(),
        'time_s': clip.times_s,
        'intensity': clip.curves.intensity.astype(np.float32),
        'valence': clip.curves.valence.astype(np.float32),
        'arousal': clip.curves.arousal.astype(np.float32),
        **{f'{axis}_deg': angles[:, index].astype(np.float32) for index, axis in enumerate(('yaw', 'pitch', 'roll'))},
        **{shape: clip.curves.expression[:, index].astype(np.float32) for index, shape in enumerate(clip.names)},
    }
    return pyarrow.table(columns)
