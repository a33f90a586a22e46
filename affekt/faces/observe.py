"""A recording to one row per person and frame, and each person's best thumbnail.

    observed = observe_faces(Recording.open('clip.mp4'), rate_hz=12.5)
    observed.table            # time_s, person, box, READINGS, seven categories, valence, arousal and their deviations
    observed.people           # people with times and thumbnails
    observed.frames_without   # frames without any face

Three threads share the work, each a few frames ahead of the next: one decodes and searches for new faces,
one tracks faces by their landmarks, one reads blendshapes, poses, columns and expression. Frames keep their order, so
that the result does not depend on timing, and rows are packed at once, so that memory stays flat. A frame without a
face has no row; a category that was not evaluated is nan.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.errors import RunError, UnknownNameError
from affekt.faces.completion import Completion, Followed
from affekt.faces.landmarker import SMALLEST_SIDE, FaceLandmarker
from affekt.faces.lookout import Glance, Lookout
from affekt.faces.rows import ExpressionLike, FaceClock, FaceRecord, SeenPerson, with_names
from affekt.faces.same_person import IdentityLike
from affekt.faces.track import LandmarkFile, Track
from affekt.faces.tracking import FaceTracker
from affekt.workers import closable, made_ahead

Progress = Callable[[float], None]

AHEAD = 6
"""Maximum number of frames waiting between two threads; a full search takes as long as tracking in three frames."""


class FrameLike(Protocol):
    """The interface of a frame."""

    @property
    def time_s(self) -> float: ...

    @property
    def image(self) -> npt.NDArray[np.uint8]: ...


class RecordingLike(Protocol):
    """The interface of a recording."""

    def frames(self, rate_hz: float | None = None) -> Iterator[Any]: ...


@dataclass(frozen=True)
class FaceObservations:
    """The faces observed in one recording.

    Attributes:
        table: one row per person and frame, by time: time_s (s), person, is_measured (False if the face stood still
            and the previous reading was reused), the CONDITIONS is_upside_down, is_covered, is_drawn and is_blurred,
            box_x, box_y, box_width, box_height (pixels), all READINGS, the seven EKMAN probabilities (nan without an
            expression model or if not evaluated), valence and arousal in [-1, 1] and their standard
            deviations, derived.
        people: by order of appearance.
        frames: number of frames read.
        frames_without: number of these without a face.
        frames_too_small: number of these smaller than 16 pixels, which count as without a face.
        seconds_with: time with a face on screen; each frame counts until the next one.
        landmarks_path: the file with landmarks; None if they were not kept.
    """

    table: pa.Table = field(repr=False)
    people: tuple[SeenPerson, ...]
    frames: int
    frames_without: int
    frames_too_small: int
    seconds_with: float
    landmarks_path: Path | None = None

    def track(self, person: str) -> Track:
        """One person's track, with landmarks.

        Raises:
            RunError: landmarks were not kept.
            UnknownNameError: unknown person.
        """
        names = [seen_person.name for seen_person in self.people]
        if person not in names:
            raise UnknownNameError(expected=f'one of {names}', came=repr(person), todo='choose one of these')
        if self.landmarks_path is None:
            raise RunError(expected='landmarks on disk', came='none', todo='call observe_faces with spill=PATH')
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
    both_views: bool = False,
    progress: Progress | None = None,
) -> FaceObservations:
    """All faces of a recording, assigned to people.

    1. Decode and search, in one thread. 2. Track the faces from frame to frame, in another. 3. Here, complete
    them, read columns, align the face and evaluate expression. 4. Pack rows; landmarks go to disk. 5. Join
    tracks of people who left and came back.

    Args:
        recording: a Recording, or frames with `time_s` and `image` sorted by time.
        rate_hz: frames read per second; None reads all. No effect on plain frames.
        max_people: maximum number of faces tracked at once, >= 1.
        landmarker: reads the faces; None for one with the published model.
        expression: an expression model; None leaves categories, valence and arousal nan.
        identity: a `FaceIdentity`, which recognises returning people; None keeps the tracker's people.
        still_levels: see `FaceTracker`; 0 reads every face in every frame.
        keep_thumbnails: False keeps no images.
        spill: file to which landmarks, blendshapes and poses go; None drops them.
        both_views: whether the expression of every face is the mean of two views, as it is and mirrored. Otherwise
            frames at most 0.25 s apart are read in one view, in turn, at half the cost: means over a second hardly
            differ, single frames slightly (measurements/faces_views.py).
        progress: called with the time of each frame, in seconds.

    Returns:
        The observations; an empty table if no face was seen.

    Raises:
        ValueRangeError: `max_people` < 1, or times do not ascend.
        WeightsError: the model file is missing.
    """
    frames: Iterable[Any] = recording.frames(rate_hz) if hasattr(recording, 'frames') else recording
    networks = landmarker or FaceLandmarker()
    tracker, completion = FaceTracker(networks, max_people, still_levels), Completion(networks)
    clock = FaceClock()
    glanced = made_ahead(_glanced(frames, Lookout(networks), tracker), AHEAD)
    followed = made_ahead(_followed(glanced, tracker, clock), AHEAD)
    landmarks = LandmarkFile(spill) if spill is not None else None
    record = FaceRecord(
        expression, identity, keep_thumbnails=keep_thumbnails, landmarks=landmarks, both_views=both_views
    )
    try:
        for frame, located in followed:
            record.add(completion.observations(located, frame.image), frame.image)
            if progress is not None:
                progress(float(frame.time_s))
        people, names = record.concluded()
    except BaseException:
        if landmarks is not None:
            landmarks.discard()
        raise
    finally:
        followed.close()
    return FaceObservations(
        table=with_names(record.taken(), names),
        people=people,
        frames=clock.frames,
        frames_without=clock.frames - clock.with_face,
        frames_too_small=clock.too_small,
        seconds_with=clock.seconds_with(),
        landmarks_path=spill,
    )


def _glanced(frames: Iterable[Any], lookout: Lookout, tracker: FaceTracker) -> Generator[tuple[Any, Glance | None]]:
    """Yield each frame with its glance; None for a frame too small for a face."""
    with closing(closable(frames)) as all_frames:
        for frame in all_frames:
            is_small = min(frame.image.shape[:2]) < SMALLEST_SIDE
            yield frame, None if is_small else lookout.glance(float(frame.time_s), frame.image, tracker.searches)


def _followed(
    glanced: Generator[tuple[Any, Glance | None]], tracker: FaceTracker, clock: FaceClock
) -> Generator[tuple[Any, list[Followed]]]:
    """Yield each frame with its tracked faces."""
    with closing(glanced):
        for frame, glance in glanced:
            yield frame, _faces_of(frame, glance, tracker, clock)


def _faces_of(frame: FrameLike, glance: Glance | None, tracker: FaceTracker, clock: FaceClock) -> list[Followed]:
    """The tracked faces of one frame, noted in the clock; [] for a frame too small for a face."""
    is_small = glance is None
    tracked_faces = [] if is_small else tracker.follow(float(frame.time_s), frame.image, glance)
    clock.tick(float(frame.time_s), bool(tracked_faces), is_small)
    return tracked_faces
