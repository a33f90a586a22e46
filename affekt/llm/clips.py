"""A clip as message parts, in the server's format, within stated limits.

If the server takes video, one part of at most `video_frames` frames that cover the whole clip at their own times,
without audio; otherwise at most `frames` images, evenly spaced from the start of the clip. The longer side is at
most `max_side`. Audio is a separate part: 16 kHz mono WAV of the first `longest_sound_s` seconds. The cost of a
question is therefore bounded for clips of any length.
"""

from __future__ import annotations

import io
import math
import tempfile
import wave
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import MediaError, ValueRangeError
from affekt.llm.forms import DEFAULT_SERVER, SERVERS, MediaForm, Part

if TYPE_CHECKING:
    from affekt.media import Frame, Recording

RATE_HZ = 16_000
MOST_FRAMES = 64
MOST_VIDEO_FRAMES = 512
MOST_UNTIMED = 600
"""Maximum number of frames read, one per second, from a file of undeclared length."""


LEFT_OUT_BY: Mapping[str, str] = {'image': '--frames 0', 'video': '--frames 0', 'audio': '--no-sound'}
"""Medium to the command-line option that leaves it out of questions about clips."""


@dataclass(frozen=True)
class ClipLimits:
    """Limits of a clip in a question."""

    frames: int = 8
    """Maximum number of images; 0 sends no images and no video."""
    max_side: int = 512
    """Longest side of an image in pixels."""
    jpeg_quality: int = 85
    sound: bool = False
    """Whether to send audio; many servers refuse it."""
    longest_sound_s: float = 30.0
    video_fps: float = 4.0
    """Frames per second of a video part, if `video_frames` allows it."""
    video_frames: int = 64
    """Maximum number of frames of a video part."""

    def __post_init__(self) -> None:
        if not (0 <= self.frames <= MOST_FRAMES and self.max_side > 0 and self.longest_sound_s > 0):
            raise ValueRangeError(
                expected=f'0 to {MOST_FRAMES} frames, and a side and seconds above 0',
                came=f'{self.frames}, {self.max_side}, {self.longest_sound_s}',
                todo='give for example 8, 512 and 30',
            )
        if not (0 < self.video_fps <= 60 and 0 < self.video_frames <= MOST_VIDEO_FRAMES):
            raise ValueRangeError(
                expected=f'up to 60 frames per second and {MOST_VIDEO_FRAMES} frames of a video, above 0',
                came=f'{self.video_fps:g}, {self.video_frames}',
                todo='give for example 4 and 64',
            )

    @property
    def media(self) -> tuple[str, ...]:
        """The media, of `affekt.llm.MEDIA`, that a question may contain and that must be probed before."""
        visible = ('image', 'video') if self.frames else ()
        return (*visible, *(('audio',) if self.sound else ()))


def clip_parts(
    clip: Path | Recording,
    limits: ClipLimits,
    form: MediaForm = SERVERS[DEFAULT_SERVER],
    *,
    window_s: tuple[float, float] | None = None,
    may_be_empty: bool = False,
) -> tuple[Part, ...]:
    """The video, or images sorted by time, then the audio, as message parts.

    Args:
        clip: a video, an audio file or an image, by its path or opened.
        limits: limits of the parts.
        form: media format of the server.
        window_s: the segment of the file, in seconds; None for the whole.
        may_be_empty: return () if nothing in the file may be sent, because another file of the clip has parts.

    Raises:
        MediaError: the file cannot be read, or nothing in it may be sent under these limits and it may not be empty.
        LLMError: the server does not take images or audio that are to be sent.
    """
    from affekt.media import Recording  # decoders are loaded only when needed

    recording = clip if isinstance(clip, Recording) else Recording.open(clip)
    parts = _visual_parts(recording, limits, form, window_s)
    if limits.sound and recording.audio:
        samples = _samples(recording, limits.longest_sound_s, window_s)
        if len(samples):  # no part for a segment without audio, since a model answers about an empty one too
            parts.append(sound_part(samples, form))
    if not parts and not may_be_empty:
        span = f' from {window_s[0]:g} to {window_s[1]:g} s' if window_s else ''
        raise MediaError(
            expected='images, or audio that may be sent',
            came=f'{recording.name}{span}, {recording.kind}, of which {limits.frames or "no"} frames and '
            f'{"" if limits.sound else "no "}audio may be sent',
            todo='let audio be sent, or allow images' + (', or check the times of the segment' if span else ''),
        )
    return tuple(parts)


def picture_part(image: npt.NDArray[np.uint8], form: MediaForm, *, jpeg_quality: int = 85) -> Part:
    """An (H, W, 3) RGB image as a part."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'JPEG', quality=jpeg_quality)
    return form.part('image', buffer.getvalue())


def sound_part(samples: Floats32, form: MediaForm) -> Part:
    """(N,) samples at 16 kHz as a part."""
    buffer = io.BytesIO()
    with wave.open(buffer, 'wb') as file:
        file.setparams((1, 2, RATE_HZ, 0, 'NONE', ''))
        file.writeframes(np.round(samples * 32767.0).astype('<i2').tobytes())
    return form.part('audio', buffer.getvalue())


def video_part(
    images: Iterable[npt.NDArray[np.uint8]], rate_hz: float, form: MediaForm, times_s: Iterable[float] | None = None
) -> Part:
    """(H, W, 3) RGB frames with even sides as one silent video.

    Args:
        images: sorted by time, all of equal size.
        rate_hz: frame rate; nominal if times are given.
        form: media format of the server.
        times_s: time of each frame.
    """
    from affekt.media import write_video

    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / 'clip.mp4', images, rate_hz, times_s=times_s)
        return form.part('video', path.read_bytes())


def _visual_parts(
    recording: Recording, limits: ClipLimits, form: MediaForm, window_s: tuple[float, float] | None
) -> list[Part]:
    """The visible parts of a clip: a video if the server takes one and the clip is no image, else images."""
    if not limits.frames or recording.video is None:
        return []
    if recording.kind != 'image' and form.takes('video'):
        frames = list(_spread(recording, limits.video_frames, limits.max_side, window_s, limits.video_fps))
        times_s = [frame.time_s - frames[0].time_s for frame in frames]
        images = (_even(frame.image) for frame in frames)
        return [video_part(images, limits.video_fps, form, times_s)] if frames else []
    return [
        picture_part(frame.image, form, jpeg_quality=limits.jpeg_quality)
        for frame in _spread(recording, limits.frames, limits.max_side, window_s)
    ]


def _even(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An image with even sides, which H.264 needs: a last odd row or column is left out."""
    return image[: image.shape[0] // 2 * 2 or None, : image.shape[1] // 2 * 2 or None]


def _spread(
    recording: Recording,
    most: int,
    max_side: int,
    window_s: tuple[float, float] | None,
    fastest_hz: float = math.inf,
) -> Iterator[Frame]:
    """Yield at most `most` frames, evenly spaced from the beginning, at most `fastest_hz` per second."""
    if recording.kind == 'image':
        yield from recording.frames(max_side=max_side)
    elif window_s is not None:
        start, end = window_s
        rate_hz = min(fastest_hz, most / max(end - start, 1e-3))
        begin = max(0.0, start - 1 / rate_hz)
        frames = (
            frame for frame in recording.frames(rate_hz, max_side, begin) if frame.time_s >= start - 0.5 / rate_hz
        )
        yield from islice(takewhile(lambda frame: frame.time_s < end, frames), most)
    elif recording.duration_s:
        yield from islice(recording.frames(min(fastest_hz, most / recording.duration_s), max_side), most)
    else:
        untimed = list(islice(recording.frames(1.0, max_side), MOST_UNTIMED))
        for index in np.linspace(0, len(untimed), min(most, len(untimed)), endpoint=False, dtype=int):
            yield untimed[index]


def _samples(recording: Recording, longest_s: float, window_s: tuple[float, float] | None) -> Floats32:
    """(N,) the first `longest_s` seconds of the audio at 16 kHz, of a stream that is not silent."""
    start_s, end_s = window_s or (0.0, math.inf)
    first, last = (round(time_s * RATE_HZ) for time_s in (start_s, min(end_s, start_s + longest_s)))
    blocks: list[Floats32] = []
    for block in recording.samples(RATE_HZ, stream=recording.audible_stream(), from_s=start_s):
        begin = round(block.start_s * RATE_HZ)
        blocks.append(block.samples[max(0, first - begin) :])
        if begin + len(block.samples) >= last:
            break
    return np.concatenate(blocks)[: last - first] if blocks else np.zeros(0, np.float32)
