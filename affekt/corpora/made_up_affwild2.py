"""A synthetic Aff-Wild2: videos with audio, annotations in the official layout of ABAW6, and the true curves.

People of `affekt.face3d` show one emotion after another while they speak, blink and look about; another `Cast` has
other faces, driven by the same curves. The annotations follow from the commanded curves by one rule (`frame_truth`);
valence and arousal may have a rater's noise and delay.
Some videos show two people side by side, some are short, and now and then a person is away (annotated as invalid) or
covered (still annotated, as in the real corpus). The audio is tones in phrases, or given speech: pitch and level
follow arousal while the person speaks. No person is in two partitions.

    videos/                       <video>.mp4
    6th ABAW Annotations/         three challenges, each with Train_Set and Validation_Set
    test_names/                   the names of the test videos, one list per challenge
    key/                          annotations of the test videos; curves.parquet, one row per frame of every video

T frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.errors import ValueRangeError
from affekt.files import file_atomically, file_sha256
from affekt.frames import ACTION_UNITS, EXPRESSIONS, STATES, unit_amounts, write_annotation
from affekt.progress import Progress, with_progress
from affekt.runs import Run, write_atomically
from affekt.workers import each_done

if TYPE_CHECKING:
    import pyarrow

    from affekt.face3d import Light, Person, SceneCurves
    from affekt.voice import BorrowedSpeech

SHOWN_FROM = 0.3
"""Minimum intensity of an emotion to become the frame's expression; below, the frame is neutral."""
RATE_HZ = 16_000
MOST_VIDEOS = 100_000
SHORT_S = 3.0
"""Length of the short videos in seconds."""
SPEECH_GAIN = 3.0
"""Gain of recorded speech that makes it about as loud as the tones."""
SALT = 0x61626177
"""Separates the random seeds of these videos from those of other synthetic corpora."""
DEALT = 0x706F7274
"""Separates the random seed by which portraits and recordings are assigned to people."""
PARTS = {'train': 'Train_Set', 'val': 'Validation_Set', 'test': 'Test_Set'}
CHALLENGES = {
    'affect': ('VA_Estimation_Challenge', ()), 'expression': ('EXPR_Recognition_Challenge', EXPRESSIONS),
    'units': ('AU_Detection_Challenge', ACTION_UNITS),
}  # fmt: skip
"""Task to the folder of its challenge, and the names in the header."""
VIDEOS, ANNOTATIONS, KEY, CURVES = 'videos', '6th ABAW Annotations', 'key', 'curves.parquet'
ADVICE = 'go on with --resume: finished videos are kept; fewer --processes need less memory'
Picture = npt.NDArray[np.uint8]
SEEN, AWAY, COVERED = range(len(STATES))
"""Indices in `STATES`: visible, out of the frame, and covered by a board."""


class FrameTruth(NamedTuple):
    """The true annotation of every frame of one person."""

    expression: npt.NDArray[np.int8]
    """(T,) index in EXPRESSIONS."""
    affect: Floats32
    """(T, 2) valence and arousal in [-1, 1]."""
    units: npt.NDArray[np.int8]
    """(T, 12) 1 where an action unit is active, else 0."""


def frame_truth(curves: SceneCurves) -> FrameTruth:
    """The annotation derived from commanded curves.

    1. Expression: the emotion with the largest intensity, if that is at least SHOWN_FROM; otherwise neutral.
    2. Valence and arousal: as commanded (`affekt.face3d.made_up_scene`).
    3. Action units: active where `affekt.frames.unit_amounts` of the commanded shapes is 1 or more.
    """
    from affekt.face3d import SHOWN, face_model

    shapes = dict(zip(face_model().directions, curves.expression.T, strict=True))
    intensity = np.array([curves.by_emotion[emotion] for emotion in SHOWN])
    expression_of = np.array([EXPRESSIONS.index(emotion.capitalize()) for emotion in SHOWN])
    expression = np.where(intensity.max(axis=0) >= SHOWN_FROM, expression_of[intensity.argmax(axis=0)], 0)
    return FrameTruth(
        expression.astype(np.int8),
        np.stack([curves.valence, curves.arousal], axis=1).astype(np.float32),
        (unit_amounts(shapes) >= 1).astype(np.int8),
    )


@dataclass(frozen=True)
class AffWild2Settings:
    """Size, timing and annotation noise of a synthetic Aff-Wild2.

    Args:
        videos: number of videos; three in five are for training, one each for validation and test.
        seconds: length of a video in seconds; one in eight has at most SHORT_S.
        rate_hz: frames per second.
        size: height and width of one person's image in pixels, even.
        noise: standard deviation of a rater's valence and arousal around the true ones.
        delay_s: delay in seconds by which a rater follows them.
        seed: seed of all randomness.
    """

    videos: int = 40
    seconds: float = 20.0
    rate_hz: float = 25.0
    size: int = 160
    noise: float = 0.05
    delay_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = (
            (5 <= self.videos <= MOST_VIDEOS, f'5 to {MOST_VIDEOS:,} videos', self.videos),
            (0.2 <= self.seconds <= 3600, '0.2 to 3,600 seconds', self.seconds),
            (1 <= self.rate_hz <= 120, '1 to 120 frames per second', self.rate_hz),
            (32 <= self.size <= 1024 and not self.size % 2, 'an even size from 32 to 1024', self.size),
            (0 <= self.noise <= 1, 'noise from 0 to 1', self.noise),
            (0 <= self.delay_s <= 5, 'a delay of 0 to 5 seconds', self.delay_s),
            (self.seed >= 0, 'a seed of 0 or more', self.seed),
        )
        for fits, expected, came in ranges:
            if not fits:
                raise ValueRangeError(expected=expected, came=f'{came}', todo='give another number')

    def name(self, number: int) -> str:
        """Name of a video by its index, from 0."""
        return f'video{number:03d}'

    def split(self, number: int) -> str:
        """Partition of a video: train, val or test."""
        return ('train', 'train', 'train', 'val', 'test')[number % 5]

    def sides(self, number: int) -> tuple[str, ...]:
        """Suffixes of the annotations of a video: two if it shows two people."""
        return ('_left', '_right') if number % 7 == 2 else ('',)

    def times_s(self, number: int) -> Floats:
        """(T,) times of the frames in seconds."""
        seconds = min(SHORT_S, self.seconds) if number % 8 == 1 else self.seconds
        return np.arange(max(1, round(seconds * self.rate_hz))) / self.rate_hz

    def part(self, number: int, side: str) -> Part:
        """One person's part of a video."""
        return Part(self, number, side)

    def parts(self) -> Iterator[Part]:
        """Every person in every video."""
        for number in range(self.videos):
            yield from (self.part(number, side) for side in self.sides(number))


@dataclass(frozen=True, eq=False)
class Part:
    """One person in one video; `name` is that of the annotation file."""

    settings: AffWild2Settings
    number: int
    side: str

    @property
    def name(self) -> str:
        """Name of the annotation: that of the video, with the side if it shows two people."""
        return self.settings.name(self.number) + self.side

    def rng(self, stream: int) -> np.random.Generator:
        """One random stream for each purpose, so that a person does not depend on other draws."""
        side = ('', '_left', '_right').index(self.side)
        return np.random.default_rng((SALT, self.settings.seed, self.number, side, stream))

    @cached_property
    def times_s(self) -> Floats:
        """(T,) times of the frames in seconds."""
        return self.settings.times_s(self.number)

    @cached_property
    def curves(self) -> SceneCurves:
        """The commanded curves."""
        from affekt.face3d import made_up_scene

        rng = self.rng(0)
        return made_up_scene(rng, self.times_s, distance_cm=float(rng.uniform(58, 74)))

    @cached_property
    def states(self) -> npt.NDArray[np.int8]:
        """(T,) SEEN, AWAY or COVERED: about every 13 s a person is away or covered for 0.8 to 2 s."""
        rng, states = self.rng(1), np.zeros(len(self.times_s), dtype=np.int8)
        onset_s = float(rng.exponential(8.0)) + 2.0
        while onset_s < self.times_s[-1]:
            length_s = float(rng.uniform(0.8, 2.0))
            states[(self.times_s >= onset_s) & (self.times_s < onset_s + length_s)] = (
                AWAY if rng.random() < 0.5 else COVERED
            )
            onset_s += length_s + 4.0 + float(rng.exponential(8.0))
        return states

    def person(self) -> Person:
        """The visible person."""
        from affekt.face3d import made_up_person

        return made_up_person(self.rng(2))

    def annotated(self) -> FrameTruth:
        """The truth as annotated by a rater: valence and arousal late and noisy, nan and -1 while a person is away."""
        from affekt.face3d import wander

        settings, truth = self.settings, frame_truth(self.curves)
        rng, away = self.rng(3), self.states == AWAY
        late = self.times_s - settings.delay_s
        affect = np.stack([
            np.interp(late, self.times_s, truth.affect[:, axis]) + settings.noise * wander(rng, self.times_s, 0.5)
            for axis in range(2)
        ], axis=1)  # fmt: skip
        rated = np.round(np.clip(affect, -1, 1), 3).astype(np.float32)
        rated[away] = np.nan
        return FrameTruth(
            np.where(away, -1, truth.expression).astype(np.int8), rated,
            np.where(away[:, None], -1, truth.units).astype(np.int8),
        )  # fmt: skip

    def sound(self, speech: BorrowedSpeech | None = None) -> Floats32:
        """(N,) samples at RATE_HZ: a voice whose pitch and level follow arousal.

        Args:
            speech: recordings to use; None for a voice of twelve harmonics in syllables.
        """
        rng, curves = self.rng(4), self.curves
        time = np.arange(round(len(self.times_s) / self.settings.rate_hz * RATE_HZ)) / RATE_HZ
        arousal = np.interp(time, self.times_s, curves.arousal)
        speaks = np.interp(time, self.times_s, curves.speaking * (self.states != AWAY))
        level = 10 ** ((-24 + 12 * arousal) / 20)
        if speech is not None:
            voice = speech.spoken(dealt(speech.recordings, self.settings)[self.name], arousal, rng)
            hiss = 0.001 * rng.standard_normal(len(time))
            return np.asarray(np.clip(SPEECH_GAIN * voice * level * speaks + hiss, -1, 1), dtype=np.float32)
        pitch_hz = float(rng.uniform(95, 210)) * 2 ** (0.7 * arousal)
        phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
        weights = rng.uniform(0.5, 1.0, 12) / np.arange(1, 13)
        voice = sum(weight * np.sin((harmonic + 1) * phase) for harmonic, weight in enumerate(weights)) / weights.sum()
        syllables = 0.3 + 0.7 * np.abs(np.sin(np.pi * rng.uniform(4, 5.2) * time))
        hiss = 0.001 * rng.standard_normal(len(time))
        return np.asarray(np.clip(voice * syllables * level * speaks + hiss, -1, 1), dtype=np.float32)

    def pictures(self, cast: Cast | None = None) -> Iterator[Picture]:
        """(size, size, 3) uint8 sRGB, one image per frame.

        Args:
            cast: renders the person; by default `MadeUpCast`.
        """
        from affekt.face3d import made_up_background, made_up_light

        room = np.random.default_rng((SALT, self.settings.seed, self.number))  # the same for both people
        background, light, noise = made_up_background(room, self.settings.size), made_up_light(room), room.uniform(0, 4)
        if self.side == '_right':
            background = np.ascontiguousarray(background[:, ::-1])
        rng = self.rng(5)
        shot = (cast or MadeUpCast()).shot(self, Room(background, light, float(noise)))
        board = rng.integers(30, 226, 3)
        for number, state in enumerate(self.states.tolist()):
            if state == AWAY:
                grain = noise * rng.standard_normal(background.shape, dtype=np.float32)
                image = np.clip(background + grain, 0, 255).astype(np.uint8)
            else:
                image = shot(number, rng)
            if state == COVERED:
                edge = self.settings.size // 12
                image = image.copy()
                image[edge:, edge:-edge] = board
            yield image


class Room(NamedTuple):
    """The surroundings of a person."""

    background: Picture
    """(size, size, 3) uint8 sRGB, seen while the person is away."""
    light: Light
    noise: float
    """Standard deviation of the noise of a pixel, in 8-bit levels."""


Shot = Callable[[int, np.random.Generator], Picture]
"""Function from a frame's index (from 0, ascending) and a random generator to its (size, size, 3) image with noise."""


class Cast(Protocol):
    """Renders the people of a corpus; must be picklable, as it is sent to other processes."""

    def settings(self, corpus: AffWild2Settings) -> Mapping[str, Any]:
        """Settings that the videos depend on besides those of the corpus, as JSON values.

        Raises:
            AffektError: the cast cannot render this corpus.
        """

    def shot(self, part: Part, room: Room) -> Shot:
        """A function that renders the frames of a person."""

    def marked(self, picture: Picture) -> Picture:
        """A frame of the finished video, with its identifying mark."""

    def seal(self, path: Path, parts: Sequence[Part]) -> None:
        """Complete a finished video file, for example by a manifest."""


class MadeUpCast:
    """Renders synthetic people."""

    def settings(self, corpus: AffWild2Settings) -> Mapping[str, Any]:
        """No settings besides those of the corpus."""
        return {}

    def shot(self, part: Part, room: Room) -> Shot:
        """Renders frames from the person's commanded curves and pose."""
        from affekt.face3d import Studio

        studio, curves = Studio(part.person(), room.light, room.background, noise=room.noise), part.curves
        return lambda number, rng: studio.picture(curves.expression[number], curves.pose[number], rng)

    def marked(self, picture: Picture) -> Picture:
        """The image unchanged: it cannot be mistaken for a photograph."""
        return picture

    def seal(self, path: Path, parts: Sequence[Part]) -> None:
        """Does nothing."""


def fewest_people(settings: AffWild2Settings) -> int:
    """Minimum number of people such that nobody is in two partitions or twice in one video."""
    return sum(_most_per_video(settings).values())


def _most_per_video(settings: AffWild2Settings) -> dict[str, int]:
    """Partition to the maximum number of people in one of its videos."""
    largest = dict.fromkeys(PARTS, 1)
    for number in range(settings.videos):
        split = settings.split(number)
        largest[split] = max(largest[split], len(settings.sides(number)))
    return largest


@lru_cache(maxsize=8)
def dealt(given: tuple[Path, ...], settings: AffWild2Settings) -> dict[str, Path]:
    """Person to portrait or recording; each partition has its own, about as many per person in each.

    Args:
        given: files of at least `fewest_people` different people.
        settings: settings of the corpus; the assignment depends on their seed.
    """
    people = Counter(settings.split(part.number) for part in settings.parts())
    counts = _most_per_video(settings)
    for _ in range(len(given) - sum(counts.values())):
        counts[max(PARTS, key=lambda split: people[split] / counts[split])] += 1
    shuffled = [given[index] for index in np.random.default_rng((DEALT, settings.seed)).permutation(len(given))]
    ends = dict(zip(PARTS, np.cumsum(list(counts.values())).tolist(), strict=True))
    assigned: Counter[str] = Counter()
    of_person = {}
    for part in settings.parts():
        split = settings.split(part.number)
        of_person[part.name] = shuffled[ends[split] - counts[split] + assigned[split] % counts[split]]
        assigned[split] += 1
    return of_person


def made_up_affwild2(
    out: Path, settings: AffWild2Settings, *, cast: Cast | None = None, speech: BorrowedSpeech | None = None,
    processes: int = 1, resume: bool = False, progress: Progress | None = None,
) -> tuple[Part, ...]:  # fmt: skip
    """Write videos, annotations, names of the test videos, and the key to a new folder.

    Args:
        out: folder of the corpus.
        settings: size, timing and annotation noise.
        cast: renders the people; by default `MadeUpCast`.
        speech: recordings for the audio; None for tones.
        processes: number of processes that render videos; 1 for this one. The files are the same for any number.
        resume: continue in the folder of an interrupted run.
        progress: called with 'videos', the videos done and the number of videos.

    Returns:
        Every person in every video.

    Raises:
        ValueRangeError: `processes` is less than one, or there are too few recordings of speech.
        RunError: the folder holds something else, or a run with other settings.
        StorageError: the folder cannot be written.
    """
    if processes < 1:
        raise ValueRangeError(expected='at least one process', came=f'{processes}', todo='give another number')
    cast = cast or MadeUpCast()
    inputs = {**asdict(settings), **cast.settings(settings), **_speech_settings(speech, settings)}
    with Run(out, inputs, resume=resume) as run:
        (out / VIDEOS).mkdir(exist_ok=True)
        remaining = [number for number in range(settings.videos) if run.finished(settings.name(number)) is None]
        written = each_done(partial(_write_video, settings, out, cast, speech), remaining, processes, todo=ADVICE)
        for number in with_progress(
            written, progress, 'videos', settings.videos, done=settings.videos - len(remaining)
        ):
            run.note(settings.name(number), f'{VIDEOS}/{settings.name(number)}.mp4')
        _write_annotations(settings, out)
        _write_curves(settings, out / KEY / CURVES)
    return tuple(settings.parts())


def _speech_settings(speech: BorrowedSpeech | None, settings: AffWild2Settings) -> dict[str, Any]:
    if speech is None:
        return {}
    if len(speech.recordings) < fewest_people(settings):
        raise ValueRangeError(
            expected=f'at least {fewest_people(settings)} recordings of speech, so that nobody is heard in two '
            'partitions or twice at once',
            came=str(len(speech.recordings)), todo='add recordings of other people, or make fewer videos',
        )  # fmt: skip
    return {'speech': {path.name: file_sha256(path) for path in speech.recordings}}


def _write_video(settings: AffWild2Settings, out: Path, cast: Cast, speech: BorrowedSpeech | None, number: int) -> None:
    from affekt.media import write_video

    parts = [settings.part(number, side) for side in settings.sides(number)]
    paired_images = zip(*(part.pictures(cast) for part in parts), strict=True)
    frames = (cast.marked(np.concatenate(images, axis=1)) for images in paired_images)
    audio = np.clip(np.sum([part.sound(speech) for part in parts], axis=0), -1, 1).astype(np.float32)
    path = out / VIDEOS / f'{settings.name(number)}.mp4'
    write_video(path, frames, settings.rate_hz, audio, RATE_HZ)
    cast.seal(path, parts)


def _write_annotations(settings: AffWild2Settings, out: Path) -> None:
    test_names = ''
    for part in settings.parts():
        split = settings.split(part.number)
        test_names += f'{part.name}\n' if split == 'test' else ''
        annotated = part.annotated()
        for task, (challenge, names) in CHALLENGES.items():
            folder = (out / KEY if split == 'test' else out) / ANNOTATIONS / challenge / PARTS[split]
            folder.mkdir(parents=True, exist_ok=True)
            write_annotation(folder / f'{part.name}.txt', task, getattr(annotated, task), names)
    for challenge, _ in CHALLENGES.values():
        write_atomically(out / 'test_names' / f'{challenge}_test_set_release.txt', test_names.encode())


def _write_curves(settings: AffWild2Settings, path: Path) -> None:
    """One row per frame, one row group per person."""
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    with file_atomically(path) as file:
        writer: Any = None
        for part in settings.parts():  # created anew, since a part caches its curves
            table = _curves(part)
            writer = parquet.ParquetWriter(file, table.schema) if writer is None else writer
            writer.write_table(table)
        writer.close()


def _curves(part: Part) -> pyarrow.Table:
    import pyarrow

    from affekt.face3d import face_model

    curves, truth = part.curves, frame_truth(part.curves)
    numbers = {
        'valence': truth.affect[:, 0], 'arousal': truth.affect[:, 1], 'intensity': curves.intensity,
        'speaking': curves.speaking, 'energy': curves.energy,
        **{f'shows_{emotion}': values for emotion, values in curves.by_emotion.items()},
        **{name: curves.expression[:, index] for index, name in enumerate(face_model().directions)},
    }  # fmt: skip
    columns: dict[str, Any] = {
        'video': pyarrow.array([part.name] * len(part.times_s)).dictionary_encode(),
        'partition': pyarrow.array([part.settings.split(part.number)] * len(part.times_s)).dictionary_encode(),
        'frame': np.arange(1, len(part.times_s) + 1, dtype=np.int32),
        'time_s': part.times_s,
        'state': pyarrow.array([STATES[state] for state in part.states]).dictionary_encode(),
        'expression': truth.expression,
        **{unit: truth.units[:, index] for index, unit in enumerate(ACTION_UNITS)},
        **{name: np.asarray(values, dtype=np.float32) for name, values in numbers.items()},
    }
    return pyarrow.table(columns)
