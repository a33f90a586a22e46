"""Records of the faces in a recording: rows of the table, times of each person, best thumbnails.

`FaceRecord.add` takes the faces of one frame, from files (`observe.py`) and from live sources (`stream.py`).
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
from affekt.tables import flag_array, floats, number_array, text_array

BATCH = 4
"""Faces whose expression is evaluated together: more are no faster per face, and delay the other threads."""
_PACK = 1024
_BOX = ('box_x', 'box_y', 'box_width', 'box_height')
_PIXELS = (*_BOX, 'face_size_px')
_AFFECT = ('valence', 'arousal', 'valence_sd', 'arousal_sd')
NUMBERS = (*_BOX, *(reading.name for reading in READINGS), *EKMAN, *_AFFECT)
"""The columns with numbers, in order."""
_NOT_EVALUATED = np.full(len(EKMAN) + len(_AFFECT), np.nan, dtype=np.float32)
_QUALITY = NUMBERS.index('quality')
_QUALITY_READING = _QUALITY - len(_BOX)
TURN_S = 0.25
"""Maximum time between two frames whose faces are read in different views, in seconds."""
ROW_SCHEMA = pa.schema([
    ('time_s', pa.float64()), ('person', pa.string()), ('is_measured', pa.bool_()),
    *[(name, pa.bool_()) for name in CONDITIONS],
    *[(name, pa.float32()) for name in NUMBERS],
])  # fmt: skip
"""The columns of a table of faces; `person` is a track number until tracks are joined to people at the end."""


class ExpressionLike(Protocol):
    """The interface of an expression model: probabilities (N, 7) in EKMAN order."""

    def probabilities(
        self, crops: npt.ArrayLike, blendshapes: npt.ArrayLike | None = None, *, both_views: bool = True
    ) -> Any: ...


@dataclass(frozen=True)
class SeenPerson:
    """One person of a recording: the times with the face, and the best thumbnail.

    Attributes:
        name: 'person 1', 'person 2', … in order of appearance.
        first_s, last_s: times of the first and last frame with the face, in seconds.
        frames: number of frames with the face.
        thumbnail_jpeg: 160 x 160 pixels; None if images are not kept.
        thumbnail_s: time of the thumbnail in seconds; nan without one.
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
        self._previous: tuple[float, bool] | None = None

    def tick(self, time_s: float, has_face: bool, is_small: bool) -> None:
        """Count a frame."""
        if self._previous is not None:
            self._step = time_s - self._previous[0]
            self._seconds += self._step * self._previous[1]
        self._previous = (time_s, has_face)
        self.frames += 1
        self.with_face += has_face
        self.too_small += is_small

    def seconds_with(self) -> float:
        """Seconds with a face so far."""
        last = self._step if self._previous is not None and self._previous[1] else 0.0
        return self._seconds + last


class _People:
    """The times and the best thumbnail of each track."""

    def __init__(self, keep_thumbnails: bool) -> None:
        self._keep = keep_thumbnails
        self._spans: dict[int, list[float]] = {}
        self._thumbnails: dict[int, Thumbnail] = {}

    def meet(self, stretch: int, face: FaceObservation, image: npt.NDArray[np.uint8], values: Floats32) -> None:
        """Note a frame with the face of a track."""
        span = self._spans.setdefault(stretch, [face.time_s, face.time_s, 0])
        span[1], span[2] = face.time_s, span[2] + 1
        if self._keep and face.is_measured:
            self._thumbnails.setdefault(stretch, Thumbnail()).consider(face.time_s, image, face, values)

    def all(self, joined: Sequence[Joined]) -> tuple[SeenPerson, ...]:
        """The people to whom tracks were joined, each with the best thumbnail of their tracks."""
        people = []
        for number, person in enumerate(joined):
            spans = [self._spans[stretch] for stretch in person.stretches]
            thumbnails = [self._thumbnails.get(stretch, Thumbnail()) for stretch in person.stretches]
            best = max(thumbnails, key=lambda thumbnail: thumbnail.score)
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
    """Rows of the table: expression is evaluated in batches, and 1024 rows at a time are packed into Arrow."""

    def __init__(self, expression: ExpressionLike | None, batch: int) -> None:
        self._expression, self._batch = expression, batch
        self._times: list[float] = []
        self._people: list[str] = []
        self._measured: list[bool] = []
        self._conditions: list[tuple[bool, ...]] = []
        self._numbers: list[Floats32] = []
        self._views: list[tuple[npt.NDArray[np.uint8], bool]] = []
        self._blendshapes: list[Floats32] = []
        self._packed: list[pa.RecordBatch] = []

    def append(
        self,
        name: str,
        face: FaceObservation,
        values: Floats32,
        view: tuple[npt.NDArray[np.uint8], bool],
        face_conditions: Conditions,
    ) -> None:
        """Add a row; `view` is a crop for the expression model, and whether its mirror image is to be read too."""
        self._times.append(face.time_s)
        self._people.append(name)
        self._measured.append(face.is_measured)
        self._conditions.append(face_conditions.columns)
        self._numbers.append(np.concatenate([face.box, values, _NOT_EVALUATED]))
        self._views.append(view)
        self._blendshapes.append(face.blendshapes)
        if len(self._views) == self._batch:
            self.evaluate()
        if len(self._times) >= _PACK and not self._views:
            self._pack()

    def latest(self, count: int) -> list[Floats32]:
        """The numbers of the last `count` faces, with their expression; at most those since rows were taken."""
        self.evaluate()
        return self._numbers[len(self._numbers) - count :]

    def taken(self) -> pa.Table:
        """The rows since the last call."""
        self.evaluate()
        self._pack()
        packed, self._packed = self._packed, []
        return pa.Table.from_batches(packed, ROW_SCHEMA)

    def evaluate(self) -> None:
        """Evaluate the expression of the faces that wait for it, and fill in its columns."""
        if self._expression is not None and self._views:
            from affekt.faces.expression import NEUTRAL_LEAN, affect_seen

            blendshapes = np.stack(self._blendshapes)
            crops = np.stack([crop for crop, _ in self._views])
            are_doubled = np.array([is_doubled for _, is_doubled in self._views])
            shares = np.empty((len(crops), len(EKMAN)))
            for both_views in np.unique(are_doubled).tolist():
                rows = are_doubled == both_views
                shares[rows] = self._expression.probabilities(crops[rows], blendshapes[rows], both_views=both_views)
            waiting = self._numbers[-len(shares) :]
            quality = np.array([row[_QUALITY] for row in waiting])
            lean = getattr(self._expression, 'neutral_lean', NEUTRAL_LEAN)
            results = np.column_stack([shares, *affect_seen(shares, quality, neutral_lean=lean)]).astype(np.float32)
            for row, values in zip(waiting, results, strict=True):
                row[-results.shape[1] :] = values
        self._views.clear()
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
        for values in (self._times, self._people, self._measured, self._conditions, self._numbers):
            values.clear()


class FaceRecord:
    """Collects the faces of one recording.

    Args:
        expression: an expression model; None leaves categories, valence and arousal nan.
        identity: see `observe_faces`.
        keep_thumbnails: False keeps no images.
        landmarks: the file to which landmarks go; None drops them.
        both_views: see `observe_faces`.
        batch: faces whose expression is evaluated together.
    """

    def __init__(
        self,
        expression: ExpressionLike | None,
        identity: IdentityLike | None = None,
        *,
        keep_thumbnails: bool = True,
        landmarks: LandmarkFile | None = None,
        both_views: bool = False,
        batch: int = BATCH,
    ) -> None:
        self._rows = _Rows(expression, batch)
        self._sightings = Sightings(identity)
        self._people = _People(keep_thumbnails)
        self._landmarks = landmarks
        self._both_views, self._previous_s, self._is_mirrored = both_views, -np.inf, False

    def add(self, faces: Sequence[FaceObservation], image: npt.NDArray[np.uint8]) -> list[int]:
        """Add the faces of one frame; returns the track number of each."""
        stretches = self._sightings.stretches_of(faces)
        both_views = self._both_views
        if faces:
            both_views |= faces[0].time_s - self._previous_s > TURN_S
            self._previous_s, self._is_mirrored = faces[0].time_s, not self._is_mirrored
        for face, stretch in zip(faces, stretches, strict=True):
            crop = align_face(image, five_points(face.landmarks))
            values = readings(face, crop)
            face_conditions = conditions(crop, values)
            values[_QUALITY_READING] *= face_conditions.quality
            self._people.meet(stretch, face, image, values)
            self._sightings.consider(stretch, face, image, values)
            view = crop[:, ::-1] if self._is_mirrored and not both_views else crop
            self._rows.append(str(stretch), face, values, (view, both_views), face_conditions)
            if self._landmarks is not None:
                self._landmarks.append(str(stretch), face)
        return stretches

    def latest(self, count: int) -> list[Floats32]:
        """The numbers of the last `count` faces, each in the order of NUMBERS; at most those since rows were taken."""
        return self._rows.latest(count)

    def taken(self) -> pa.Table:
        """The rows since the last call, of ROW_SCHEMA, with track numbers for people."""
        return self._rows.taken()

    def concluded(self) -> tuple[tuple[SeenPerson, ...], dict[str, str]]:
        """The people after joining tracks, and track number, as text, to person's name."""
        joined = self._sightings.people()
        names = {
            str(stretch): person_name(number) for number, person in enumerate(joined) for stretch in person.stretches
        }
        if self._landmarks is not None:
            self._landmarks.close(names)
        return self._people.all(joined), names


def in_source_pixels(table: pa.Table, scale: float) -> pa.Table:
    """A table of faces with its columns in pixels multiplied by `scale`, source pixels per pixel of the frames read."""
    if scale == 1.0:
        return table
    for name in _PIXELS:
        values = floats(table[name]).astype(np.float32) * np.float32(scale)
        table = table.set_column(table.column_names.index(name), name, number_array(values))
    return table


def with_names(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """A table of faces with track numbers replaced by people's names."""
    return table.set_column(1, 'person', renamed(table['person'], names))
