"""A clip: the frames and the audio that a model reads as one sample, and how it is made from media.

    clip = decoded('interview.mp4')                    # the aligned face; audio at 16 kHz
    clip = decoded('voxceleb.mp4', crop='published')   # the part of the frame that the published code reads

The recording is decoded once. Frames keep the recording's own times, so a frame without a face leaves a gap and shifts
nothing. A missing modality is None, with the reason in `missing`; models mask it.

T frames, H rows, W columns, S samples of audio.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.arrays import Floats, Floats32
from affekt.errors import LimitError, MediaError, ShapeError, UnknownNameError, ValueRangeError
from affekt.media import AUDIBLE_RMS, Frame, Recording

if TYPE_CHECKING:
    from affekt.faces import FaceLandmarker

Pixels = npt.NDArray[np.uint8]
Crop = Literal['faces', 'published', 'none']

SOUND_RATE_HZ = 16_000
"""Sampling rate of a clip's audio, as both published models read it."""
SIZE = 160
"""Width and height of the frames that both published models read, pixels."""
CROPS: tuple[Crop, ...] = ('faces', 'published', 'none')
"""The face, turned and scaled; the upper centre of VoxCeleb2's 224 x 224, as published; the whole frame, scaled."""
MODALITIES = ('video', 'audio')
"""Modalities of a clip."""
LONGEST_S = 300.0
"""Longest duration of a clip in seconds, since it is held in memory."""
MOST_FRAMES = 30_000
"""Maximum number of frames of a clip, 100 per second of LONGEST_S; 2.3 GB at the published size."""
SHORTEST_SAMPLES = 400
"""One frame of the spectrogram, 25 ms; less audio than this cannot be read."""
PUBLISHED_SIDE = 224
"""Width and height of the frames in VoxCeleb2's release, pixels."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One sample; a modality that is None is missing, and a model masks it.

    Raises:
        ShapeError: an array is empty or has another shape or type than its field states, or frames and times differ in
            number.
    """

    name: str
    frames: Pixels | None
    """(T, H, W, 3) RGB."""
    times_s: Floats | None
    """(T,) time of each frame in seconds from the clip's start; None where unknown, as in frame folders."""
    sound: Floats32 | None
    """(S,) mono in [-1, 1], `SOUND_RATE_HZ` samples per second, from the same start."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Requested modality to the reason why it is None."""
    notes: tuple[str, ...] = ()
    """Sentences on losses in the modalities present, such as frames without a face."""
    damage: tuple[str, ...] = ()
    """The notes on what of the file is missing, damaged or not read."""

    def __post_init__(self) -> None:
        if self.frames is not None:
            is_video = self.frames.ndim == 4 and self.frames.shape[3] == 3 and self.frames.dtype == np.uint8
            _require(is_video and self.frames.size > 0, 'frames (T, H, W, 3) of uint8', self.frames)
        if self.times_s is not None:
            frames = 0 if self.frames is None else len(self.frames)
            _require(self.times_s.shape == (frames,), f'times of {frames} frames', self.times_s)
        if self.sound is not None:
            is_sound = self.sound.ndim == 1 and self.sound.dtype == np.float32
            _require(is_sound and self.sound.size > 0, 'audio (S,) of float32', self.sound)

    def __repr__(self) -> str:
        frames = 'no frames' if self.frames is None else 'x'.join(map(str, self.frames.shape)) + ' frames'
        audio = 'no audio' if self.sound is None else f'{len(self.sound) / SOUND_RATE_HZ:.2f} s of audio'
        return f'Clip({self.name!r}, {frames}, {audio})'


def _require(is_valid: bool, expected: str, came: npt.NDArray[Any]) -> None:
    if not is_valid:
        raise ShapeError(
            expected=expected, came=f'{came.shape} of {came.dtype}', todo='make clips with `affekt.clips.decoded`'
        )


@dataclass(frozen=True)
class ClipSettings:
    """Settings of making clips from media.

    Raises:
        UnknownNameError: unknown crop or modality.
        ValueRangeError: a size below 16, or a longest duration that is not above 0.
    """

    size: int = SIZE
    """Width and height of the frames, pixels."""
    crop: Crop = 'faces'
    """Part of the frames that is kept, one of `CROPS`."""
    modalities: tuple[str, ...] = MODALITIES
    """Requested modalities; others are not decoded."""
    longest_s: float = LONGEST_S
    """Maximum duration in seconds; longer clips are refused."""

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UnknownNameError(expected=f'one of {", ".join(CROPS)}', came=repr(self.crop), todo='name one of them')
        if not self.modalities or not set(self.modalities) <= set(MODALITIES):
            came = ', '.join(map(repr, self.modalities)) or 'none'
            raise UnknownNameError(expected='video, audio or both', came=came, todo='name what is to be read')
        if self.size < 16 or not self.longest_s > 0:
            came = f'{self.size} pixels and {self.longest_s:g} s'
            raise ValueRangeError(expected='frames of at least 16 pixels, and some time', came=came, todo='give more')


class VideoPart(NamedTuple):
    """The frames of a clip, or the reason why there are none."""

    frames: Pixels | None
    times_s: Floats | None
    reason: str = ''
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    """The notes on what of the file is missing, damaged or not read."""


class AudioPart(NamedTuple):
    """The audio of a clip, or the reason why there is none."""

    sound: Floats32 | None
    reason: str = ''
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    """The notes on what of the file is missing, damaged or not read."""


def decoded(
    path: str | os.PathLike[str],
    size: int = SIZE,
    crop: Crop = 'faces',
    *,
    audio: str | os.PathLike[str] | None = None,
    window_s: tuple[float, float] | None = None,
    modalities: Sequence[str] = MODALITIES,
    longest_s: float = LONGEST_S,
    landmarker: FaceLandmarker | None = None,
) -> Clip:
    """A clip from a video with or without audio, or from audio alone; named as the file.

    Args:
        path: video or audio file.
        size: width and height of the frames, pixels.
        crop: part of the frames that is kept, one of `CROPS`.
        audio: the file that has the audio; None for the same.
        window_s: start and end in the recording, seconds; None for the whole.
        modalities: requested modalities, of `MODALITIES`.
        longest_s: maximum duration in seconds; longer clips are refused.
        landmarker: finds the faces; None opens the published one if needed.

    Returns:
        The clip; for each modality that is None, `missing` has the reason.

    Raises:
        MediaError: a file cannot be read, is a photograph, or has neither usable frames nor audio.
        LimitError: the clip is longer than `longest_s`, or has more than `MOST_FRAMES`.
        ValueRangeError: the window begins before 0 s, or does not end after it begins; see also `ClipSettings`, as for
            UnknownNameError.
    """
    settings = ClipSettings(size, crop, tuple(modalities), longest_s)
    recording = opened(path)
    video_part, audio_part = VideoPart(None, None), AudioPart(None)
    if 'video' in settings.modalities:
        video_part = frames_of(recording, settings, window_s, landmarker)
    if 'audio' in settings.modalities:
        audio_part = sound_of(recording if audio is None else opened(audio), window_s, longest_s)
    return clip_of(Path(path).stem, video_part, audio_part)


def clip_of(name: str, video: VideoPart, audio: AudioPart) -> Clip:
    """The frames and the audio as one clip.

    Raises:
        MediaError: there is neither.
    """
    missing = {modality: part.reason for modality, part in (('video', video), ('audio', audio)) if part.reason}
    if video.frames is None and audio.sound is None:
        reasons = '; '.join(f'{modality}: {reason}' for modality, reason in missing.items()) or 'neither'
        names = {'video': 'frames', 'audio': 'audio'}
        expected = [names[modality] for modality in missing or names]
        raise MediaError(
            expected=f'{" or ".join(expected)} that can be used in {name}',
            came=missing['video'] if len({*missing.values()}) == 1 < len(missing) else reasons,
            todo='choose another file'
            + (', or another crop where faces are not needed' if 'frames' in expected else ''),
        )
    notes = dict.fromkeys((*video.notes, *audio.notes))  # both state the damage of a file that they share
    damage = dict.fromkeys((*video.damage, *audio.damage))
    return Clip(name, video.frames, video.times_s, audio.sound, missing, tuple(notes), tuple(damage))


def opened(path: str | os.PathLike[str]) -> Recording:
    """A recording with a duration.

    Raises:
        MediaError: it cannot be read, or is a photograph.
    """
    recording = Recording.open(path)
    if recording.is_still:
        todo = 'give a video or audio; images of one clip go into a folder of their own'
        raise MediaError(
            expected='a recording that lasts some time', came=f'the photograph {recording.name}', todo=todo
        )
    return recording


def frames_of(
    recording: Recording,
    settings: ClipSettings,
    window_s: tuple[float, float] | None = None,
    landmarker: FaceLandmarker | None = None,
) -> VideoPart:
    """The frames of a recording, cropped by the settings, at its own times.

    Raises:
        MediaError: no frame decodes and there is no audio either, or the crop does not fit the frames.
        LimitError: the clip is longer, or has more frames, than allowed.
        ValueRangeError: the window begins before 0 s, or does not end after it begins.
    """
    if recording.video is None:
        return VideoPart(None, None, 'the file has no video')
    frames = _within(recording, _checked(window_s), settings.longest_s)
    if settings.crop == 'faces':
        video_part = _faces(frames, settings.size, landmarker)
    else:
        crop = _published if settings.crop == 'published' else resized
        images, times = [], []
        for frame in frames:
            images.append(crop(frame.image, settings.size))
            times.append(frame.time_s)
        video_part = VideoPart(np.stack(images), np.array(times)) if images else VideoPart(None, None, NO_FRAME)
    if video_part.reason == NO_FRAME and window_s and recording.pictures_end_s:
        video_part = video_part._replace(reason=f'no frame from {window_s[0]:g} s to {window_s[1]:g} s')
    damage = recording.decoded.damage_within(window_s)
    return video_part._replace(notes=(*video_part.notes, *damage), damage=damage)


NO_FRAME = 'no frame decodes'


def _checked(window_s: tuple[float, float] | None) -> tuple[float, float]:
    """Start and end of a window in seconds; (0, infinity) without one."""
    start_s, end_s = window_s or (0.0, float('inf'))
    if not 0 <= start_s < end_s:
        raise ValueRangeError(
            expected='a window that begins at 0 s or later and ends after it begins',
            came=f'{start_s:g} s to {end_s:g} s', todo='correct start and end',
        )  # fmt: skip
    return start_s, end_s


def _within(recording: Recording, window_s: tuple[float, float], longest_s: float) -> Iterator[Frame]:
    """The frames of a window, with times from its start."""
    start_s, end_s = window_s
    count = 0
    for frame in recording.frames():
        if frame.time_s >= end_s:
            return
        if frame.time_s >= start_s:
            time_s = frame.time_s - start_s
            count += 1
            _require_short(time_s, longest_s, recording.name)
            require_few_frames(count, recording.name)
            yield Frame(time_s, frame.image, frame.is_damaged)


def require_few_frames(count: int, name: str) -> None:
    """Require that a clip with this many frames fits in memory.

    Raises:
        LimitError: it has more than `MOST_FRAMES`.
    """
    if count > MOST_FRAMES:
        raise LimitError(
            expected=f'at most {MOST_FRAMES:,} frames a clip', came=f'more in {name}', todo='cut it into clips'
        )


def _require_short(time_s: float, longest_s: float, name: str) -> None:
    if time_s > longest_s:
        raise LimitError(
            expected=f'a clip of at most {longest_s:g} s', came=f'more in {name}',
            todo='cut it into clips, by files or by start and end in a manifest',
        )  # fmt: skip


def _faces(frames: Iterator[Frame], size: int, landmarker: FaceLandmarker | None) -> VideoPart:
    """The face of the person who fills most of the frames, aligned; frames in which it is not seen are left out."""
    from affekt.faces import FaceLandmarker, FaceTracker, align_face, five_points

    tracker = FaceTracker(landmarker or FaceLandmarker(), SEARCHED_PEOPLE, 0.0)
    people: dict[int, list[tuple[float, float, Pixels]]] = {}
    """Person to time, area and image of each face."""
    frame_count = 0
    for frame in frames:
        frame_count += 1
        if min(frame.image.shape[:2]) < SMALLEST_SIDE:
            continue
        for face in tracker.update(frame.time_s, frame.image):
            image = align_face(frame.image, five_points(face.landmarks), size, in_colour=True)
            people.setdefault(face.person, []).append((frame.time_s, float(face.box[2] * face.box[3]), image))
    if not frame_count:
        return VideoPart(None, None, NO_FRAME)
    if not people:
        return VideoPart(None, None, f'no face in {frame_count:,} frames')
    largest = max(people.values(), key=lambda rows: sum(area for _, area, _ in rows))
    left_out = frame_count - len(largest)
    notes = (f'{left_out:,} of {frame_count:,} frames do not show the face and are left out',) if left_out else ()
    return VideoPart(np.stack([image for *_, image in largest]), np.array([row[0] for row in largest]), '', notes)


SEARCHED_PEOPLE = 5
"""Maximum number of faces tracked to find that of the clip."""
SMALLEST_SIDE = 16
"""Minimum side of frames for face detection, in pixels."""


def _published(image: Pixels, size: int) -> Pixels:
    """The upper centre: rows 0:160 and columns 32:192 of 224 x 224; 0:192 and 16:208 for a size of 192."""
    if image.shape[:2] != (PUBLISHED_SIDE, PUBLISHED_SIDE):
        raise MediaError(
            expected=f'frames of {PUBLISHED_SIDE} x {PUBLISHED_SIDE} pixels, as in the release of VoxCeleb2',
            came=f'frames of {image.shape[1]} x {image.shape[0]}',
            todo="choose the crop 'faces' for other recordings",
        )  # fmt: skip
    side = size if size in (160, 192) else SIZE
    left = (PUBLISHED_SIDE - side) // 2
    return resized(image[:side, left : left + side], size)


def resized(image: Pixels, size: int) -> Pixels:
    """The image as (size, size, 3), bilinear, averaged when shrinking; other shapes are squeezed, as published."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def sound_of(
    recording: Recording, window_s: tuple[float, float] | None = None, longest_s: float = LONGEST_S
) -> AudioPart:
    """The audio of a recording, resampled to `SOUND_RATE_HZ`.

    Raises:
        MediaError: no audio decodes and there are no frames either.
        LimitError: the clip is longer than allowed.
        ValueRangeError: the window begins before 0 s, or does not end after it begins.
    """
    if not recording.audio:
        return AudioPart(None, 'the file has no audio')
    start_s, end_s = _checked(window_s)
    blocks, is_decoded = [], False
    for block in recording.samples(SOUND_RATE_HZ):
        is_decoded = True
        if block.start_s >= end_s:
            break
        first = max(0, round((start_s - block.start_s) * SOUND_RATE_HZ))
        last = min(len(block.samples), round(min(end_s - block.start_s, 1e6) * SOUND_RATE_HZ))
        if first < last:
            _require_short(block.start_s + last / SOUND_RATE_HZ - start_s, longest_s, recording.name)
            blocks.append(block.samples[first:last])
    audio = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    damage = recording.decoded.damage_within(window_s)
    if len(audio) < SHORTEST_SAMPLES:
        reason = f'only {1000 * len(audio) / SOUND_RATE_HZ:.0f} ms of audio' if len(audio) else 'no audio decodes'
        if is_decoded and not len(audio):
            reason = f'no audio from {start_s:g} s to {end_s:g} s'
        return AudioPart(None, reason, damage, damage)
    return AudioPart(None, 'silent', damage, damage) if is_silent(audio) else AudioPart(audio, '', damage, damage)


def is_silent(audio: Floats32) -> bool:
    """Whether no tenth of a second is louder than -60 dB; a constant offset is not heard."""
    step = SOUND_RATE_HZ // 10
    centred = audio - audio.mean() if len(audio) else audio
    padded = np.pad(centred, (0, -len(audio) % step)).reshape(-1, step)  # (S / step, step)
    return bool((np.square(padded).mean(axis=1) <= AUDIBLE_RMS**2).all())
