"""A clip as parts of a question: pictures as JPEG and sound as WAV, base64, within stated limits.

At most `frames` pictures, evenly over the clip from its beginning, none with a longer side than `max_side`; sound as
16 kHz mono, the first `longest_sound_s` seconds of it. A clip of any length therefore costs a bounded question.
"""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.errors import MediaError, ValueRangeError

if TYPE_CHECKING:
    from affekt.media import Frame, Recording

Part = dict[str, Any]
RATE_HZ = 16_000
MOST_FRAMES = 64
MOST_UNTIMED = 600
"""Pictures that are looked at, one a second, where a file does not say how long it is."""


@dataclass(frozen=True)
class ClipLimits:
    """How much of a clip a question holds."""

    frames: int = 8
    """Most pictures; 0 sends none."""
    max_side: int = 512
    """Longest side of a picture in pixels."""
    jpeg_quality: int = 85
    sound: bool = False
    """Whether sound goes along; many servers refuse it."""
    longest_sound_s: float = 30.0

    def __post_init__(self) -> None:
        if not (0 <= self.frames <= MOST_FRAMES and self.max_side > 0 and self.longest_sound_s > 0):
            raise ValueRangeError(
                expected=f'0 to {MOST_FRAMES} frames, and a side and seconds above 0',
                came=f'{self.frames}, {self.max_side}, {self.longest_sound_s}',
                todo='give for example 8, 512 and 30',
            )


def clip_parts(path: Path, limits: ClipLimits) -> tuple[Part, ...]:
    """The pictures in order of time, then the sound, as parts of a message.

    Args:
        path: a video, a sound file or a picture.
        limits: how much of it.

    Raises:
        MediaError: the file cannot be read, or nothing in it may be sent under these limits.
    """
    from affekt.media import Recording  # decoders load where a clip is to be read, and not before

    recording = Recording.open(path)
    parts = [_picture(frame.image, limits) for frame in _spread(recording, limits.frames, limits.max_side)]
    if limits.sound and recording.audio:
        parts.append(_sound(recording, limits.longest_sound_s))
    if not parts:
        raise MediaError(
            expected='pictures, or sound that may be sent',
            came=f'{recording.name}, {recording.kind}, with {limits.frames} frames and sound {limits.sound}',
            todo='let sound be sent, or allow pictures',
        )
    return tuple(parts)


def _spread(recording: Recording, most: int, max_side: int) -> Iterator[Frame]:
    """At most so many pictures, evenly from the beginning."""
    if not most or recording.video is None:
        return
    if recording.kind == 'image':
        yield from recording.frames(max_side=max_side)
    elif recording.duration_s:
        yield from islice(recording.frames(most / recording.duration_s, max_side), most)
    else:
        seen = list(islice(recording.frames(1.0, max_side), MOST_UNTIMED))
        for place in np.linspace(0, len(seen), min(most, len(seen)), endpoint=False, dtype=int):
            yield seen[place]


def _picture(image: npt.NDArray[np.uint8], limits: ClipLimits) -> Part:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'JPEG', quality=limits.jpeg_quality)
    return {'type': 'image_url', 'image_url': {'url': f'data:image/jpeg;base64,{_base64(buffer.getvalue())}'}}


def _sound(recording: Recording, longest_s: float) -> Part:
    most, blocks, length = round(longest_s * RATE_HZ), [], 0
    for block in recording.samples(RATE_HZ, stream=recording.audible_stream()):
        blocks.append(block.samples)
        length += len(block.samples)
        if length >= most:
            break
    samples = np.concatenate(blocks)[:most] if blocks else np.zeros(0, np.float32)
    buffer = io.BytesIO()
    with wave.open(buffer, 'wb') as file:
        file.setparams((1, 2, RATE_HZ, 0, 'NONE', ''))
        file.writeframes(np.round(samples * 32767.0).astype('<i2').tobytes())
    return {'type': 'input_audio', 'input_audio': {'data': _base64(buffer.getvalue()), 'format': 'wav'}}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode('ascii')
