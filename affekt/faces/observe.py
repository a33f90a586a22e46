"""The main path of the room: a recording in; one row per person and frame, and each person's best picture, out.

    observed = observe_faces(Recording.open('clip.mp4'), rate_hz=12.5)
    observed.table            # time_s, person, box, READINGS, seven categories, valence, arousal and their deviations
    observed.people           # who was seen when, with a thumbnail
    observed.frames_without   # frames without any face

Three threads share the work, each a few frames ahead of the next: one decodes and looks for new faces when it is time,
one follows the faces by their landmarks, one reads blendshapes, poses, columns and expression. Frames keep their order
and rows are packed as they come, so memory stays flat and the result does not depend on the threads. A frame without a
face has no row; a category that was not evaluated is nan.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.arrays import Floats32
from affekt.errors import RunError, UnknownNameError
from affekt.faces.align import align_face, five_points
from affekt.faces.completion import Completion, FaceObservation, Followed
from affekt.faces.conditions import CONDITIONS, Conditions, conditions
from affekt.faces.landmarker import SMALLEST_SIDE, FaceLandmarker
from affekt.faces.lookout import Glance, Lookout
from affekt.faces.readings import READINGS, readings
from affekt.faces.same_person import IdentityLike, Joined, Sightings
from affekt.faces.thumbnails import Thumbnail
from affekt.faces.track import LandmarkFile, Track, renamed
from affekt.faces.tracking import FaceTracker
from affekt.labels import EKMAN
from affekt.workers import closable, made_ahead

Progress = Callable[[float], None]

BATCH = 4
"""Faces whose expression is evaluated together: more cost the same each, and hold up the threads before."""
AHEAD = 6
"""Frames that wait, at most, between two threads; a search at all scales takes as long as following in three."""
_PACK = 1024
_BOX = ('box_x', 'box_y', 'box_width', 'box_height')
_AFFECT = ('valence', 'arousal', 'valence_sd', 'arousal_sd')
_NUMBERS = (*_BOX, *(reading.name for reading in READINGS), *EKMAN, *_AFFECT)
_QUALITY = _NUMBERS.index('quality')
_QUALITY_READING = _QUALITY - len(_BOX)


class FrameLike(Protocol):
    """What is needed of a frame."""

    @property
    def time_s(self) -> float: ...

    @property
    def image(self) -> npt.NDArray[np.uint8]: ...


class RecordingLike(Protocol):
    """What is needed of a recording."""

    def frames(self, rate_hz: float | None = None) -> Iterator[Any]: ...


class ExpressionLike(Protocol):
    """What is needed of an expression model: probabilities (N, 7) in EKMAN order."""

    def probabilities(self, crops: npt.ArrayLike, blendshapes: npt.ArrayLike | None = None) -> Any: ...


@dataclass(frozen=True)
class SeenPerson:
    """When one person was seen, and the best picture.

    Attributes:
        name: 'person 1', 'person 2', … in order of appearance.
        first_s, last_s: times of the first and last frame with the face.
        frames: how many frames show the face.
        thumbnail_jpeg: 160 x 160 pixels; None where pictures are not kept.
        thumbnail_s: its time; nan without one.
        stretches: how many times the person was followed, 1 for one who was there without a long absence.
        identity_certainty: how sure the face is that this is one person throughout, in [0, 1]; nan where there was
            nothing to compare.
    """

    name: str
    first_s: float
    last_s: float
    frames: int
    thumbnail_jpeg: bytes | None = field(repr=False)
    thumbnail_s: float
    stretches: int = 1
    identity_certainty: float = float('nan')


@dataclass(frozen=True)
class FaceObservations:
    """What was seen of faces in one recording.

    Attributes:
        table: one row per person and frame, by time: time_s (s), person, is_measured (False where the face stood still
            and the reading before was taken over), the CONDITIONS is_upside_down, is_covered, is_drawn and is_blurred,
            box_x, box_y, box_width, box_height (pixels), all READINGS, the seven EKMAN probabilities (nan without an
            expression model or where it was not evaluated), valence and arousal in [-1, 1] and their standard
            deviations, derived.
        people: by order of appearance.
        frames: how many frames were looked at.
        frames_without: how many of them show no face.
        frames_too_small: how many were smaller than 16 pixels and count as without.
        seconds_with: time with a face on screen; each frame counts until the next one.
        landmarks_path: the file with landmarks; None where they were not kept.
    """

    table: pa.Table = field(repr=False)
    people: tuple[SeenPerson, ...]
    frames: int
    frames_without: int
    frames_too_small: int
    seconds_with: float
    landmarks_path: Path | None = None

    def track(self, person: str) -> Track:
        """Everything seen of one person, with landmarks.

        Raises:
            RunError: landmarks were not kept.
            UnknownNameError: nobody has this name.
        """
        names = [known.name for known in self.people]
        if person not in names:
            raise UnknownNameError(expected=f'one of {names}', came=repr(person), todo='choose one of these')
        if self.landmarks_path is None:
            raise RunError(expected='landmarks on disk', came='none', todo='call observe_faces with `spill`')
        return Track.read(self.landmarks_path, person)


def observe_faces(
    recording: RecordingLike | Iterable[FrameLike],
    *,
    rate_hz: float | None = None,
    max_people: int = 5,
    landmarker: FaceLandmarker | None = None,
    expression: ExpressionLike | None = None,
    identity: IdentityLike | None = None,
    still_levels: float = 0.0,
    keep_thumbnails: bool = True,
    spill: Path | None = None,
    progress: Progress | None = None,
) -> FaceObservations:
    """All faces of a recording, each frame's with the person that it belongs to.

    1. Decode and search, in a thread of its own. 2. Follow the faces from frame to frame, in another. 3. Here, complete
    them, read columns, cut the aligned face and evaluate expression. 4. Pack rows; landmarks go to disk. 5. Put
    together who left and came back.

    Args:
        recording: a Recording, or frames with `time_s` and `image` in order of time.
        rate_hz: frames per second to look at; None takes all. Without effect on plain frames.
        max_people: faces followed at once, >= 1.
        landmarker: by default one with the published model.
        expression: an expression model; None leaves categories, valence and arousal nan.
        identity: a `FaceIdentity`, which tells who is back; None leaves persons as the tracker follows them.
        still_levels: see `FaceTracker`; 0 reads every face in every frame.
        keep_thumbnails: False keeps no picture.
        spill: file to which landmarks, blendshapes and poses go; None drops them.
        progress: called with the time of each frame, in seconds.

    Returns:
        The observations; an empty table where no face was seen.

    Raises:
        ValueRangeError: `max_people` < 1, or times do not ascend.
        WeightsError: the model file is missing.
    """
    frames: Iterable[Any] = recording.frames(rate_hz) if hasattr(recording, 'frames') else recording
    networks = landmarker or FaceLandmarker()
    tracker, completion = FaceTracker(networks, max_people, still_levels), Completion(networks)
    clock = _Clock()
    glanced = made_ahead(_glanced(frames, Lookout(networks), tracker), AHEAD)
    followed = made_ahead(_followed(glanced, tracker, clock), AHEAD)
    rows = _Rows(expression)
    sightings = Sightings(identity)
    people = _People(keep_thumbnails)
    landmarks = LandmarkFile(spill) if spill is not None else None
    try:
        for frame, located in followed:
            seen = completion.observations(located, frame.image)
            for face, stretch in zip(seen, sightings.stretches_of(seen), strict=True):
                crop = align_face(frame.image, five_points(face.landmarks))
                values = readings(face, crop)
                keeps_from = conditions(crop, values)
                values[_QUALITY_READING] *= keeps_from.quality
                people.meet(stretch, face, frame.image, values)
                sightings.consider(stretch, face, frame.image, values)
                rows.append(str(stretch), face, values, crop, keeps_from)
                if landmarks is not None:
                    landmarks.append(str(stretch), face)
            if progress is not None:
                progress(float(frame.time_s))
        joined = sightings.people()
        names = {str(stretch): person_name(number) for number, own in enumerate(joined) for stretch in own.stretches}
        if landmarks is not None:
            landmarks.close(names)
    except BaseException:
        if landmarks is not None:
            landmarks.discard()
        raise
    finally:
        followed.close()
    return FaceObservations(
        table=rows.table(names),
        people=people.all(joined),
        frames=clock.frames,
        frames_without=clock.frames - clock.with_face,
        frames_too_small=clock.too_small,
        seconds_with=clock.seconds_with(),
        landmarks_path=spill,
    )


def person_name(number: int) -> str:
    """The name of the tracker's person `number`, which counts from 0: 'person 1' for 0."""
    return f'person {number + 1}'


def _glanced(frames: Iterable[Any], lookout: Lookout, tracker: FaceTracker) -> Generator[tuple[Any, Glance | None]]:
    """Each frame with what can be seen in it ahead; nothing in a frame too small to hold a face."""
    with closing(closable(frames)) as made:
        for frame in made:
            is_small = min(frame.image.shape[:2]) < SMALLEST_SIDE
            yield frame, None if is_small else lookout.glance(float(frame.time_s), frame.image, tracker.searches)


def _followed(
    glanced: Generator[tuple[Any, Glance | None]], tracker: FaceTracker, clock: _Clock
) -> Generator[tuple[Any, list[Followed]]]:
    """Each frame with its faces."""
    with closing(glanced):
        for frame, glance in glanced:
            yield frame, _faces_of(frame, glance, tracker, clock)


def _faces_of(frame: FrameLike, glance: Glance | None, tracker: FaceTracker, clock: _Clock) -> list[Followed]:
    """The faces of one frame, counted; none in a frame too small to hold one."""
    is_small = glance is None
    seen = [] if is_small else tracker.follow(float(frame.time_s), frame.image, glance)
    clock.tick(float(frame.time_s), bool(seen), is_small)
    return seen


class _Clock:
    """Counts frames and seconds with a face; a frame lasts until the next, the last as long as the one before."""

    def __init__(self) -> None:
        self.frames = self.with_face = self.too_small = 0
        self._seconds = self._step = 0.0
        self._before: tuple[float, bool] | None = None

    def tick(self, time_s: float, has_face: bool, is_small: bool) -> None:
        if self._before is not None:
            self._step = time_s - self._before[0]
            self._seconds += self._step * self._before[1]
        self._before = (time_s, has_face)
        self.frames += 1
        self.with_face += has_face
        self.too_small += is_small

    def seconds_with(self) -> float:
        last = self._step if self._before is not None and self._before[1] else 0.0
        return self._seconds + last


class _People:
    """Who was seen when, and the best picture of each."""

    def __init__(self, keep_thumbnails: bool) -> None:
        self._keep = keep_thumbnails
        self._spans: dict[int, list[float]] = {}
        self._pictures: dict[int, Thumbnail] = {}

    def meet(self, stretch: int, face: FaceObservation, image: npt.NDArray[np.uint8], values: Floats32) -> None:
        """Notes a sight in a stretch of being followed."""
        span = self._spans.setdefault(stretch, [face.time_s, face.time_s, 0])
        span[1], span[2] = face.time_s, span[2] + 1
        if self._keep and face.is_measured:
            self._pictures.setdefault(stretch, Thumbnail()).consider(face.time_s, image, face, values)

    def all(self, joined: Sequence[Joined]) -> tuple[SeenPerson, ...]:
        """The persons that the stretches were put together to, each with the best of their pictures."""
        people = []
        for number, person in enumerate(joined):
            spans = [self._spans[stretch] for stretch in person.stretches]
            pictures = [self._pictures.get(stretch, Thumbnail()) for stretch in person.stretches]
            best = max(pictures, key=lambda picture: picture.score)
            first, last = min(span[0] for span in spans), max(span[1] for span in spans)
            frames = int(sum(span[2] for span in spans))
            people.append(
                SeenPerson(
                    person_name(number),
                    first,
                    last,
                    frames,
                    best.jpeg,
                    best.time_s,
                    person.absences + 1,
                    person.certainty,
                )
            )
        return tuple(people)


class _Rows:
    """Rows of the table: expression in batches, packed into Arrow 1024 at a time."""

    def __init__(self, expression: ExpressionLike | None) -> None:
        self._expression = expression
        self._times: list[float] = []
        self._people: list[str] = []
        self._measured: list[bool] = []
        self._conditions: list[tuple[bool, ...]] = []
        self._numbers: list[Floats32] = []
        self._crops: list[npt.NDArray[np.uint8]] = []
        self._blendshapes: list[Floats32] = []
        self._packed: list[pa.RecordBatch] = []
        self._schema = pa.schema([
            ('time_s', pa.float64()), ('person', pa.string()), ('is_measured', pa.bool_()),
            *[(name, pa.bool_()) for name in CONDITIONS],
            *[(name, pa.float32()) for name in _NUMBERS],
        ])  # fmt: skip

    def append(
        self, name: str, face: FaceObservation, values: Floats32, crop: npt.NDArray[np.uint8], keeps_from: Conditions
    ) -> None:
        self._times.append(face.time_s)
        self._people.append(name)
        self._measured.append(face.is_measured)
        self._conditions.append(keeps_from.columns)
        judged = np.full(len(EKMAN) + len(_AFFECT), np.nan, dtype=np.float32)
        self._numbers.append(np.concatenate([face.box, values, judged]))
        self._crops.append(crop)
        self._blendshapes.append(face.blendshapes)
        if len(self._crops) == BATCH:
            self._judge()
        if len(self._times) >= _PACK and not self._crops:
            self._pack()

    def table(self, names: Mapping[str, str]) -> pa.Table:
        """All rows, each with the name that its stretch's person has."""
        self._judge()
        self._pack()
        table = pa.Table.from_batches(self._packed, self._schema)
        return table.set_column(1, 'person', renamed(table['person'], names))

    def _judge(self) -> None:
        """Fills in the expression of the faces that wait for it."""
        if self._expression is not None and self._crops:
            from affekt.faces.expression import NEUTRAL_LEAN, affect_seen

            blendshapes = np.stack(self._blendshapes)
            shares = np.asarray(self._expression.probabilities(np.stack(self._crops), blendshapes))
            waiting = self._numbers[-len(shares) :]
            quality = np.array([row[_QUALITY] for row in waiting])
            lean = getattr(self._expression, 'neutral_lean', NEUTRAL_LEAN)
            judged = np.column_stack([shares, *affect_seen(shares, quality, neutral_lean=lean)]).astype(np.float32)
            for row, values in zip(waiting, judged, strict=True):
                row[-judged.shape[1] :] = values
        self._crops.clear()
        self._blendshapes.clear()

    def _pack(self) -> None:
        if not self._times:
            return
        numbers = np.stack(self._numbers)
        columns = [pa.array(self._times, pa.float64()), pa.array(self._people, pa.string())]
        columns.append(pa.array(self._measured, pa.bool_()))
        columns += [pa.array(flags, pa.bool_()) for flags in zip(*self._conditions, strict=True)]
        columns += [pa.array(np.ascontiguousarray(numbers[:, index])) for index in range(numbers.shape[1])]
        self._packed.append(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        for waiting in (self._times, self._people, self._measured, self._conditions, self._numbers):
            waiting.clear()
