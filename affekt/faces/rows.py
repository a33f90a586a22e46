"""Records of the faces in a recording: rows of the table, times of each person, best thumbnails.

`FaceRecord.add` takes the faces of one frame; it is the only place where a face becomes a row, for
files (`observe.py`) and for live sources (`stream.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.arrays import Floats32
from affekt.faces.align import align_face, five_points
from affekt.faces.completion import FaceObservation
from affekt.faces.conditions import CONDITIONS, Conditions, conditions
from affekt.faces.readings import READINGS, readings
from affekt.faces.same_person import IdentityLike, Joined, Sightings
from affekt.faces.thumbnails import Thumbnail
from affekt.faces.track import LandmarkFile, renamed
from affekt.labels import EKMAN
from affekt.tables import flag_array, number_array, text_array

BATCH = 4
"""Faces whose expression is evaluated together: more are no faster per face, and delay the other threads."""
_PACK = 1024
_BOX = ('box_x', 'box_y', 'box_width', 'box_height')
_AFFECT = ('valence', 'arousal', 'valence_sd', 'arousal_sd')
NUMBERS = (*_BOX, *(reading.name for reading in READINGS), *EKMAN, *_AFFECT)
"""The columns of numbers, in order."""
_UNJUDGED = np.full(len(EKMAN) + len(_AFFECT), np.nan, dtype=np.float32)
_QUALITY = NUMBERS.index('quality')
_QUALITY_READING = _QUALITY - len(_BOX)
ROW_SCHEMA = pa.schema([
    ('time_s', pa.float64()), ('person', pa.string()), ('is_measured', pa.bool_()),
    *[(name, pa.bool_()) for name in CONDITIONS],
    *[(name, pa.float32()) for name in NUMBERS],
])  # fmt: skip
"""The columns of a table of faces; `person` is the number of a track until people are determined at the end."""


class ExpressionLike(Protocol):
    """The interface of an expression model: probabilities (N, 7) in EKMAN order."""

    def probabilities(self, crops: npt.ArrayLike, blendshapes: npt.ArrayLike | None = None) -> Any: ...


@dataclass(frozen=True)
class SeenPerson:
    """The times of one person, and the best thumbnail.

    Attributes:
        name: 'person 1', 'person 2', … in order of appearance.
        first_s, last_s: times of the first and last frame with the face.
        frames: number of frames with the face.
        thumbnail_jpeg: 160 x 160 pixels; None if images are not kept.
        thumbnail_s: its time; nan without one.
        stretches: number of tracks of the person; 1 without a long absence.
        identity_certainty: certainty by face that this is one person throughout, in [0, 1]; nan if there was
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


def person_name(number: int) -> str:
    """The name of the tracker's person `number`, counted from 0: 'person 1' for 0."""
    return f'person {number + 1}'


class FaceClock:
    """Counts frames and seconds with a face; a frame lasts until the next, the last as long as the previous one."""

    def __init__(self) -> None:
        self.frames = self.with_face = self.too_small = 0
        self._seconds = self._step = 0.0
        self._before: tuple[float, bool] | None = None

    def tick(self, time_s: float, has_face: bool, is_small: bool) -> None:
        """Counts a frame."""
        if self._before is not None:
            self._step = time_s - self._before[0]
            self._seconds += self._step * self._before[1]
        self._before = (time_s, has_face)
        self.frames += 1
        self.with_face += has_face
        self.too_small += is_small

    def seconds_with(self) -> float:
        """Seconds with a face so far."""
        last = self._step if self._before is not None and self._before[1] else 0.0
        return self._seconds + last


class _People:
    """The times of each person, and the best thumbnails."""

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

    def __init__(self, expression: ExpressionLike | None, batch: int) -> None:
        self._expression, self._batch = expression, batch
        self._times: list[float] = []
        self._people: list[str] = []
        self._measured: list[bool] = []
        self._conditions: list[tuple[bool, ...]] = []
        self._numbers: list[Floats32] = []
        self._crops: list[npt.NDArray[np.uint8]] = []
        self._blendshapes: list[Floats32] = []
        self._packed: list[pa.RecordBatch] = []

    def append(
        self, name: str, face: FaceObservation, values: Floats32, crop: npt.NDArray[np.uint8], keeps_from: Conditions
    ) -> None:
        self._times.append(face.time_s)
        self._people.append(name)
        self._measured.append(face.is_measured)
        self._conditions.append(keeps_from.columns)
        self._numbers.append(np.concatenate([face.box, values, _UNJUDGED]))
        self._crops.append(crop)
        self._blendshapes.append(face.blendshapes)
        if len(self._crops) == self._batch:
            self.judge()
        if len(self._times) >= _PACK and not self._crops:
            self._pack()

    def latest(self, count: int) -> list[Floats32]:
        """The numbers of the last faces, which are judged for it; so many were appended since rows were taken."""
        self.judge()
        return self._numbers[len(self._numbers) - count :]

    def taken(self) -> pa.Table:
        """The rows so far, which are kept here no longer."""
        self.judge()
        self._pack()
        packed, self._packed = self._packed, []
        return pa.Table.from_batches(packed, ROW_SCHEMA)

    def judge(self) -> None:
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
        columns = [number_array(np.array(self._times)), text_array(self._people)]
        columns.append(flag_array(np.array(self._measured)))
        columns += [flag_array(np.array(flags)) for flags in zip(*self._conditions, strict=True)]
        columns += [number_array(numbers[:, index]) for index in range(numbers.shape[1])]
        self._packed.append(pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA))
        for waiting in (self._times, self._people, self._measured, self._conditions, self._numbers):
            waiting.clear()


class FaceRecord:
    """Collects the faces of one recording.

    Args:
        expression: an expression model; None leaves categories, valence and arousal nan.
        identity: see `observe_faces`.
        keep_thumbnails: False keeps no images.
        landmarks: the file to which landmarks go; None drops them.
        batch: faces whose expression is evaluated together.
    """

    def __init__(
        self,
        expression: ExpressionLike | None,
        identity: IdentityLike | None = None,
        *,
        keep_thumbnails: bool = True,
        landmarks: LandmarkFile | None = None,
        batch: int = BATCH,
    ) -> None:
        self._rows = _Rows(expression, batch)
        self._sightings = Sightings(identity)
        self._people = _People(keep_thumbnails)
        self._landmarks = landmarks

    def add(self, seen: Sequence[FaceObservation], image: npt.NDArray[np.uint8]) -> list[int]:
        """Adds the faces of one frame; returns the track number of each."""
        stretches = self._sightings.stretches_of(seen)
        for face, stretch in zip(seen, stretches, strict=True):
            crop = align_face(image, five_points(face.landmarks))
            values = readings(face, crop)
            keeps_from = conditions(crop, values)
            values[_QUALITY_READING] *= keeps_from.quality
            self._people.meet(stretch, face, image, values)
            self._sightings.consider(stretch, face, image, values)
            self._rows.append(str(stretch), face, values, crop, keeps_from)
            if self._landmarks is not None:
                self._landmarks.append(str(stretch), face)
        return stretches

    def latest(self, count: int) -> list[Floats32]:
        """The numbers, in the order of NUMBERS, of the last faces added since rows were taken."""
        return self._rows.latest(count)

    def taken(self) -> pa.Table:
        """The rows since the last call, of ROW_SCHEMA, with track numbers for people."""
        return self._rows.taken()

    def concluded(self) -> tuple[tuple[SeenPerson, ...], dict[str, str]]:
        """The people after joining tracks, and the name of each track."""
        joined = self._sightings.people()
        names = {str(stretch): person_name(number) for number, own in enumerate(joined) for stretch in own.stretches}
        if self._landmarks is not None:
            self._landmarks.close(names)
        return self._people.all(joined), names


def with_names(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """A table of faces with track numbers replaced by people's names."""
    return table.set_column(1, 'person', renamed(table['person'], names))
