"""A video of a face to its motion: the difference, frame by frame, from its own calm state.

    motion = motion_of_video('driver.mp4')
    for frame in motion: ...
    motion.notes                    # what was interpolated or left out

1. The largest face is tracked. 2. The calm frame is searched in the first seconds, which are kept: the one in which
jaw, smile, brows and lids move least and the head has its usual pose; never simply the first. 3. Every frame is aligned
to the calm one. 4. Where no face is seen, the motion is interpolated, or returns to rest. 5. A one-euro filter removes
jitter. Only the first seconds and one second of a gap are held, so memory does not grow with the video.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.errors import MediaError, ValueRangeError
from affekt.face3d import shown_amounts
from affekt.faces import BLENDSHAPES, CanonicalFace, FaceLandmarker, FaceTracker, euler_angles_deg
from affekt.media import Recording
from affekt.reenactment.canonical import LaidFace, laid_face
from affekt.reenactment.motion import (
    INNER_LIPS,
    POINTS,
    FaceState,
    Motion,
    MotionFrame,
    MouthPicture,
    blended,
)
from affekt.reenactment.steadying import Steadying, steadied
from affekt.wording import counted
from affekt.workers import made_ahead

AHEAD = 4
"""Maximum number of frames that wait between decoding and tracking."""
CALM_TERMS = tuple(
    name for name in BLENDSHAPES
    if name.startswith(('jawOpen', 'mouthSmile', 'eyeBlink', 'eyeSquint', 'eyeWide', 'brow', 'mouthPucker',
                        'mouthFunnel', 'mouthUpperUp', 'mouthLowerDown', 'mouthStretch'))
)  # fmt: skip
"""Scores whose sum is smallest in a calm face."""
PER_DEGREE = 0.02
"""Penalty per degree of head rotation from its usual pose, on the scale of these scores."""
TURNED_FROM_DEG, PER_DEGREE_TURNED = 10.0, 0.04
"""Yaw beyond which a face is seen less well, whatever its usual pose, and the penalty per further degree."""
PER_GAP = 10.0
"""Weight of the gap between the lips relative to the eye distance: after a calm frame with an open mouth, the face
would seem to close it ever after, which a portrait with closed lips cannot follow. The jaw score alone does not detect
it."""
CLOSED = 0.17
"""Lid distance of a closed eye as a share of the calm one, since landmarks of shut lids stay apart: lower quartile of
430 eyes whose blink score is above 0.6 (measurements/face_gains.py)."""
GAZE_FROM = 0.45
"""Opening below which the iris is hidden and gaze is held."""
PARTED = 0.02
"""Minimum distance of the inner lips, relative to that of the outer eye corners, of an open mouth."""
CHEEKS = (205, 425)
MOST_BRIDGED_S = 1.0
"""Longest gap without a face, in seconds, that is interpolated."""
SETTLES_S = 0.4
"""Time in seconds in which a face returns to rest in a longer gap, and from rest after it."""
AFTER_END_S = 0.1
"""Tolerance in seconds of `calm_at_s` beyond the last frame: about its duration."""
USUAL_RATE_HZ = 25.0
USUAL_STEADYING = Steadying()


@dataclass(frozen=True)
class DriverSettings:
    """Settings of reading a driving video.

    Args:
        steadying: the filter against jitter; None does not filter.
        calm_within_s: length of the initial part, in seconds, in which the calm frame is searched, > 0.
        calm_at_s: time of the calm frame; None searches for it.
        rate_hz: frames per second to read; None reads all, with their own times.
        with_mouth: whether to keep images of the open mouth.

    Raises:
        ValueRangeError: a number is out of range.
    """

    steadying: Steadying | None = USUAL_STEADYING
    calm_within_s: float = 10.0
    calm_at_s: float | None = None
    rate_hz: float | None = None
    with_mouth: bool = True

    def __post_init__(self) -> None:
        if not self.calm_within_s > 0 or (self.calm_at_s is not None and not self.calm_at_s >= 0):
            raise ValueRangeError(
                expected='calm_within_s above 0 and calm_at_s of 0 or more, or None',
                came=f'{self.calm_within_s} and {self.calm_at_s}', todo='give seconds from the start of the video',
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sighting:
    """The face in one frame of the driver.

    Attributes:
        time_s: time of the frame in seconds.
        landmarks: (478, 3) pixels; None where no face is seen.
        scores: (52,) BLENDSHAPES; None after the calm frame was chosen.
        mouth: the open mouth; None if the lips are closed.
    """

    time_s: float
    landmarks: Floats32 | None
    scores: Floats32 | None = None
    mouth: MouthPicture | None = None


class FrameLike(Protocol):
    """A frame with its time and image."""

    @property
    def time_s(self) -> float: ...

    @property
    def image(self) -> npt.NDArray[np.uint8]: ...


def motion_of_video(
    path: str | os.PathLike[str], settings: DriverSettings | None = None, *, landmarker: FaceLandmarker | None = None
) -> Motion:
    """The motion of the largest face of a video, with the video's audio.

    The first seconds are read at once, the rest as the motion is iterated.

    Args:
        path: a video; a photograph gives one frame, the calm one.
        settings: settings of reading; None for the defaults.
        landmarker: finds landmarks; None for one with the published model.

    Raises:
        MediaError: not a video, or its first seconds show no face.
    """
    settings = settings or DriverSettings()
    recording = Recording.open(path)
    if recording.video is None:
        raise MediaError(
            expected='a driver with video', came=f'{path}, which has only audio', todo='give a video of a face'
        )
    networks = landmarker or FaceLandmarker()
    motion = motion_of_frames(
        recording.frames(settings.rate_hz), settings, landmarker=networks, name=str(path),
        rate_hz=settings.rate_hz or recording.video.rate_hz,
    )  # fmt: skip
    if recording.is_still:
        motion.notes.append(
            f'{Path(path).name} is a photograph, which does not move: only the absolute transfer applies its '
            'expression to a portrait'
        )
    sound = Path(path) if recording.audio else None
    pictures = None if settings.rate_hz else recording.video.pictures
    return Motion(
        motion.frames, motion.rate_hz, 1 if recording.is_still else pictures, sound, motion.calm, motion.notes,
        motion.calm_at_s,
    )  # fmt: skip


def motion_of_frames(
    frames: Iterable[FrameLike],
    settings: DriverSettings | None = None,
    *,
    landmarker: FaceLandmarker | None = None,
    name: str = 'the driver',
    rate_hz: float | None = None,
) -> Motion:
    """`motion_of_video` for frames sorted by time, without audio.

    Args:
        frames: each with `time_s` and `image`.
        settings, landmarker: see `motion_of_video`.
        name: name of the source, for messages.
        rate_hz: frames per second, if known; None measures it in the first seconds.

    Raises:
        MediaError: there is no frame, or no face in the first seconds.
    """
    settings, networks, notes = settings or DriverSettings(), landmarker or FaceLandmarker(), list[str]()
    watched = _watched(made_ahead(frames, AHEAD), networks, settings, notes)
    try:
        return motion_of_sightings(watched, networks.canonical, settings, name=name, rate_hz=rate_hz, notes=notes)
    except BaseException:
        watched.close()
        raise


def motion_of_sightings(
    sightings: Iterator[Sighting],
    canonical: CanonicalFace,
    settings: DriverSettings | None = None,
    *,
    name: str = 'the driver',
    rate_hz: float | None = None,
    notes: list[str] | None = None,
) -> Motion:
    """Motion from landmarks: steps 2 to 5 of the module docstring.

    Args:
        sightings: sightings sorted by time; those of the first seconds have scores.
        canonical: the mean face.
        settings, name, rate_hz: see `motion_of_frames`.
        notes: list to which sentences for the user are added.

    Raises:
        MediaError: there is no sighting, or none with a face in the first seconds.
    """
    settings, notes = settings or DriverSettings(), [] if notes is None else notes
    first = _first_seconds(sightings, settings)
    index = calm_place(first, settings.calm_at_s, name)
    calm = first[index]
    first_fit = laid_face(_landmarks(calm), canonical)
    rest = laid_face(_landmarks(calm), canonical, first_fit.points)
    yaw_deg = float(_angles_deg(rest.rotation)[0])
    if abs(yaw_deg) > 30:
        notes.append(
            f'even at its calmest, at {calm.time_s:.2f} s, the face of {name} is turned by {abs(yaw_deg):.0f} degrees: '
            'one side of it is hardly visible, and its movement is a guess'
        )
    state = FaceState(
        np.zeros(51) if calm.scores is None else shown_amounts(calm.scores), rest.rotation, rest.eye_openings, rest.gaze
    )
    measured = _with_held_gaze(
        (calm.time_s, MotionFrame(calm.time_s, mouth=calm.mouth))  # exactly neutral, without rounding errors
        if sighting is calm
        else _measured(sighting, rest, canonical)
        for sighting in chain(first, sightings)
    )
    if settings.steadying is not None:
        measured = steadied(measured, settings.steadying)
    bridged = _bridged(measured, notes, name)
    return Motion(bridged, rate_hz or _rate_hz(first), None, None, state, notes, calm.time_s)


def calm_place(sightings: list[Sighting], at_s: float | None, name: str) -> int:
    """Index of the calm frame among the first sightings.

        argmin  sum of CALM_TERMS + PER_DEGREE (|yaw - median yaw| + |pitch - median pitch|)
                + PER_DEGREE_TURNED (|yaw| - TURNED_FROM_DEG)+ + PER_GAP (gap - PARTED)+

    The first frame is used only if there is no other: that a recording begins there is no reason.

    Args:
        sightings: sightings, with scores if they show a face.
        at_s: time of the calm frame in seconds, if given; the nearest face is used.
        name: name of the source, for the message.

    Raises:
        MediaError: none shows a face.
        ValueRangeError: `at_s` is after the last of them.
    """
    candidates = [index for index, sighting in enumerate(sightings) if sighting.landmarks is not None]
    if not candidates:
        if not sightings:
            raise MediaError(
                expected='a driver with frames that decode', came=f'{name} without any',
                todo='copy the file again, or give another video',
            )  # fmt: skip
        raise MediaError(
            expected='a driver that shows a face in its first seconds',
            came=f'{name}: no face in {counted(len(sightings), "frame", "frames")}',
            todo='cut its beginning off, or give another video',
        )  # fmt: skip
    if at_s is not None:
        last_s = sightings[-1].time_s
        if at_s > last_s + AFTER_END_S:
            raise ValueRangeError(
                expected=f'a time of the calm face within {name}, which ends at {last_s:.2f} s', came=f'{at_s:g} s',
                todo='give a time at which the face rests',
            )  # fmt: skip
        return min(candidates, key=lambda index: abs(sightings[index].time_s - at_s))
    if len(candidates) > 1 and candidates[0] == 0:
        candidates = candidates[1:]
    columns = [BLENDSHAPES.index(term) for term in CALM_TERMS]
    scores = [sightings[index].scores for index in candidates]
    expression = np.array([0.0 if values is None else float(values[columns].sum()) for values in scores])
    angles_deg = np.array([_rough_turn(sightings[index].landmarks) for index in candidates])
    from_usual = np.abs(angles_deg - np.median(angles_deg, axis=0)).sum(axis=1)
    parted = np.array([max(_lip_gap(sightings[index].landmarks) - PARTED, 0.0) for index in candidates])
    excess_yaw_deg = np.maximum(np.abs(angles_deg[:, 0]) - TURNED_FROM_DEG, 0.0)
    return candidates[
        int(np.argmin(expression + PER_DEGREE * from_usual + PER_DEGREE_TURNED * excess_yaw_deg + PER_GAP * parted))
    ]


def _landmarks(sighting: Sighting) -> Floats32:
    if sighting.landmarks is None:
        raise MediaError(expected='a frame with a face', came='one without', todo='choose another')
    return sighting.landmarks


def _lip_gap(landmarks: Floats32 | None) -> float:
    """Distance of the inner lips over that of the outer corners of the eyes."""
    points = np.asarray(landmarks, dtype=np.float64)
    return float(np.linalg.norm(points[13, :2] - points[14, :2]) / np.linalg.norm(points[263] - points[33]))


def _rough_turn(landmarks: Floats32 | None) -> Floats:
    """(2,) yaw and pitch in degrees, by the slopes of the lines between the temples and from brow to chin."""
    points = np.asarray(landmarks, dtype=np.float64)
    across, down = points[454] - points[234], points[152] - points[10]
    return np.degrees([np.arctan2(across[2], across[0]), np.arctan2(down[2], down[1])])


def _angles_deg(rotation: Floats) -> Floats:
    """(3,) yaw, pitch and roll."""
    pose = np.eye(4)
    pose[:3, :3] = rotation
    return euler_angles_deg(pose)


def _first_seconds(sightings: Iterator[Sighting], settings: DriverSettings) -> list[Sighting]:
    length_s = max(settings.calm_within_s, (settings.calm_at_s or 0.0) + 0.1)
    first: list[Sighting] = []
    for sighting in sightings:
        first.append(sighting)
        if sighting.time_s - first[0].time_s >= length_s:
            break
    return first


def _rate_hz(first: list[Sighting]) -> float:
    seconds = first[-1].time_s - first[0].time_s
    return (len(first) - 1) / seconds if seconds > 0 else USUAL_RATE_HZ


def _watched(
    frames: Generator[Any], networks: FaceLandmarker, settings: DriverSettings, notes: list[str]
) -> Generator[Sighting]:
    """The tracked largest face of each frame; scores are read only while the calm frame is searched."""
    tracker = FaceTracker(networks, max_people=1)
    begin_s: float | None = None
    person: int | None = None
    scored_s = max(settings.calm_within_s, (settings.calm_at_s or 0.0) + 0.1)
    with closing(frames):
        for frame in frames:
            begin_s = frame.time_s if begin_s is None else begin_s
            followed = tracker.follow(frame.time_s, frame.image) if min(frame.image.shape[:2]) >= 16 else []
            if not followed:
                yield Sighting(frame.time_s, None)
                continue
            mesh = followed[0].mesh
            if person is None:
                others = len(networks.faces(frame.image, max_faces=5)) - 1
                if others > 0:
                    notes.append(f'the largest of {others + 1} faces drives; the others are left out')
            elif followed[0].person != person:
                notes.append(f'from {frame.time_s:.2f} s on another face is seen, and drives')
            person = followed[0].person
            is_early = frame.time_s - begin_s <= scored_s
            scores = networks.blendshapes(mesh.landmarks) if is_early else None
            mouth = mouth_picture(frame.image, mesh.landmarks) if settings.with_mouth else None
            yield Sighting(frame.time_s, mesh.landmarks, scores, mouth)


def mouth_picture(image: npt.NDArray[np.uint8], landmarks: Floats32) -> MouthPicture | None:
    """The inside of an open mouth with a margin, copied from the frame; None if the lips are closed."""
    points = landmarks[:, :2].astype(np.float64)
    between_eyes = float(np.linalg.norm(points[263] - points[33]))
    if np.linalg.norm(points[13] - points[14]) < PARTED * between_eyes:
        return None
    lips = points[list(INNER_LIPS)]
    height, width = image.shape[:2]
    margin = 3 + 0.08 * between_eyes
    left, top = np.maximum(np.floor(lips.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(lips.max(axis=0) + margin) + 1, [width, height]).astype(int)
    if right - left < 3 or bottom - top < 3:
        return None
    reach = max(1, round(0.04 * between_eyes))
    cheeks = []
    for x, y in points[list(CHEEKS)].astype(int):
        patch = image[max(y - reach, 0) : max(y + reach + 1, 0), max(x - reach, 0) : max(x + reach + 1, 0)]
        if patch.size:
            cheeks.append(patch.reshape(-1, 3).mean(axis=0))
    if not cheeks:
        return None
    return MouthPicture(
        image[top:bottom, left:right].copy(), (lips - [left, top]).astype(np.float32), np.mean(cheeks, axis=0)
    )


def _measured(sighting: Sighting, rest: LaidFace, canonical: CanonicalFace) -> tuple[float, MotionFrame | None]:
    """A sighting laid on the calm face; None if there is no face."""
    if sighting.landmarks is None:
        return sighting.time_s, None
    posed = laid_face(sighting.landmarks, canonical, rest.points)
    share = posed.eye_openings / np.maximum(rest.eye_openings, 1e-3)
    translation = (posed.center - rest.center)[:2] / rest.pixels_per_cm
    return sighting.time_s, MotionFrame(
        sighting.time_s,
        (posed.points - rest.points)[:POINTS].astype(np.float32),
        np.maximum((share - CLOSED) / (1 - CLOSED), 0).astype(np.float32),
        (posed.gaze - rest.gaze).astype(np.float32),
        posed.rotation @ rest.rotation.T,
        translation,
        posed.pixels_per_cm / rest.pixels_per_cm,
        sighting.mouth,
    )


def _with_held_gaze(
    measured: Iterable[tuple[float, MotionFrame | None]],
) -> Iterator[tuple[float, MotionFrame | None]]:
    """Motion in which closed eyes keep their last gaze, since the iris behind a lid is not visible."""
    gaze = np.zeros((2, 2), np.float32)
    for time_s, frame in measured:
        if frame is not None:
            gaze = np.where((frame.opening >= GAZE_FROM)[:, None], frame.gaze, gaze)
            frame = replace(frame, gaze=gaze)
        yield time_s, frame


def _bridged(
    measured: Iterable[tuple[float, MotionFrame | None]], notes: list[str], name: str
) -> Generator[MotionFrame]:
    """A frame for every time; without a face, interpolated, or on its way to rest and back."""
    last: MotionFrame | None = None  # the last frame with a face
    lost_times: list[float] = []  # times since then, to be interpolated
    is_resting, back_s, missing = False, -np.inf, 0
    for time_s, frame in measured:
        if frame is None:
            missing += 1
            lost_times.append(time_s)
            if last is None or is_resting or time_s - last.time_s > MOST_BRIDGED_S:
                yield from (_coming_to_rest(last, lost_s) for lost_s in lost_times)
                lost_times, is_resting = [], True
            continue
        if last is not None and lost_times:
            span_s = time_s - last.time_s
            yield from (blended(last, frame, (lost_s - last.time_s) / span_s, lost_s) for lost_s in lost_times)
        if is_resting:
            back_s = time_s
        last, lost_times, is_resting = frame, [], False
        share = _smooth((time_s - back_s) / SETTLES_S)
        yield frame if share == 1 else replace(blended(MotionFrame(time_s), frame, share, time_s), mouth=frame.mouth)
    yield from (_coming_to_rest(last, lost_s) for lost_s in lost_times)
    if missing:
        notes.append(
            f'{counted(missing, "frame", "frames")} of {name} without a face: the motion is interpolated, and comes '
            f'to rest where the face is absent for more than {MOST_BRIDGED_S:g} s'
        )


def _coming_to_rest(last: MotionFrame | None, time_s: float) -> MotionFrame:
    """The frame at a time after the last face, as it returns to rest."""
    share = 1.0 if last is None else _smooth((time_s - last.time_s) / SETTLES_S)
    return MotionFrame(time_s) if last is None or share == 1 else blended(last, MotionFrame(time_s), share, time_s)


def _smooth(share: float) -> float:
    clipped = min(max(share, 0.0), 1.0)
    return clipped**2 * (3 - 2 * clipped)
