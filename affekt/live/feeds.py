"""Frames and audio of one source, in order of arrival: of a file, a camera, a network stream, a pipe.

A feed yields `affekt.media.Frame`s, or frames that are converted on access, and `affekt.media.Block`s
of a tenth of a second, each with its time on one monotonic clock. Files are read by `affekt.media.Recording`, as
in an analysis; live sources by `connections.py`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affekt.errors import MediaError
from affekt.live.settings import StreamSettings
from affekt.media import Block, Recording

RATE_HZ = 16000
"""Sampling rate of the audio that is read."""
BLOCK = 1600
"""Samples per block: a tenth of a second."""


class StreamFrame(Protocol):
    """The interface of a frame: `affekt.media.Frame`, or one that is converted on access."""

    @property
    def time_s(self) -> float: ...

    @property
    def image(self) -> npt.NDArray[np.uint8]: ...


class Feed(Protocol):
    """A source of frames and audio.

    Attributes:
        is_finite: it ends by itself, so that its end is not a lost connection.
        slack_s: maximum lead over the clock if it is paced by its timestamps; None if it comes at
            its own pace.
        has_pictures, has_sound: whether video, and audio, is expected.
        rate_hz: declared frames per second; 0 if undeclared.
    """

    is_finite: bool
    slack_s: float | None
    has_pictures: bool
    has_sound: bool
    rate_hz: float

    def __iter__(self) -> Iterator[StreamFrame | Block]: ...

    def close(self) -> None: ...


class FileFeed:
    """A recording, read as in an analysis.

    Args:
        path: path of the file.
        settings: settings of the stream.

    Raises:
        MediaError, LimitError: see `Recording.open`.
    """

    is_finite = True
    slack_s: float | None = 0.0

    def __init__(self, path: Path, settings: StreamSettings) -> None:
        self.recording = Recording.open(path)
        if self.recording.is_still:
            raise MediaError(
                expected='a stream', came=f'an image: {path.name}', todo='read images with `affekt analyze`'
            )
        self._settings = settings
        self.has_pictures = settings.faces and self.recording.video is not None
        self.has_sound = settings.voice and bool(self.recording.audio)
        if not (self.has_pictures or self.has_sound):
            raise no_stream_error(settings, path.name)
        video = self.recording.video
        self.rate_hz = float(video.rate_hz or 0.0) if video else 0.0
        self.full_side = max(video.width, video.height) if video else 0

    def __iter__(self) -> Iterator[StreamFrame | Block]:
        iterators: list[Iterator[StreamFrame | Block]] = []
        if self.has_pictures:
            iterators.append(self.recording.frames(self._settings.fps, self._settings.max_side))
        if self.has_sound:
            iterators.append(self.recording.samples(RATE_HZ, BLOCK / RATE_HZ))
        return merged(iterators)

    def close(self) -> None:
        """Does nothing: no resource is open."""


class Thinned:
    """Limits the frame rate: takes the first frame after each time of a grid.

    Args:
        rate_hz: maximum frames per second; None takes all.
    """

    def __init__(self, rate_hz: float | None) -> None:
        self._rate_hz = rate_hz
        self._next = 0

    def takes(self, time_s: float) -> bool:
        """Whether the frame of this time is taken; times ascend."""
        if self._rate_hz is None:
            return True
        slot = math.floor(time_s * self._rate_hz + 1e-6)
        if slot < self._next:
            return False
        self._next = slot + 1
        return True


class GivenFeed:
    """Frames and blocks made by the caller: `affekt.media.Frame`s and `Block`s, or objects with their attributes."""

    def __init__(self, units: Iterable[StreamFrame | Block], settings: StreamSettings) -> None:
        self._units, self._thinned = units, Thinned(settings.fps)
        self.is_finite, self.rate_hz = True, 0.0
        self.slack_s: float | None = 0.0
        self.has_pictures, self.has_sound = settings.faces, settings.voice

    def __iter__(self) -> Iterator[StreamFrame | Block]:
        for unit in self._units:
            if hasattr(unit, 'samples'):
                if self.has_sound:
                    yield unit
            elif not (hasattr(unit, 'time_s') and hasattr(unit, 'image')):
                raise MediaError(
                    expected='frames with `time_s` and `image`, and blocks with `start_s` and `samples`',
                    came=f'{type(unit).__name__}',
                    todo='give affekt.media.Frame and Block, or objects with their attributes',
                )
            elif not math.isfinite(unit.time_s):
                raise MediaError(
                    expected='frames with times in seconds', came=f'{unit.time_s}', todo='give each frame its time'
                )
            elif self.has_pictures and self._thinned.takes(unit.time_s):
                yield unit

    def close(self) -> None:
        """Closes the caller's generator."""
        close = getattr(self._units, 'close', None)
        if close is not None:
            with contextlib.suppress(ValueError, RuntimeError):  # it is running in another thread
                close()


def no_stream_error(settings: StreamSettings, name: str) -> MediaError:
    """The error for a source without any requested stream."""
    requested = [stream for stream, is_on in (('video', settings.faces), ('audio', settings.voice)) if is_on]
    return MediaError(
        expected=f'{" or ".join(requested)} in {name}',
        came='none',
        todo='name another source, or read its other streams',
    )


def ends_at(unit: StreamFrame | Block) -> float:
    """The time of a frame, or of the end of a block, in seconds."""
    own: Any = unit  # a caller's own objects have these attributes, and no type that tells them apart
    return float(own.start_s + len(own.samples) / RATE_HZ if hasattr(own, 'samples') else own.time_s)


def merged(iterators: Iterable[Iterator[StreamFrame | Block]]) -> Iterator[StreamFrame | Block]:
    """The units of several iterators, each sorted by time, as one sorted by time."""
    heads = [(unit, iterator) for iterator in iterators if (unit := next(iterator, None)) is not None]
    while heads:
        earliest = min(range(len(heads)), key=lambda index: ends_at(heads[index][0]))
        unit, iterator = heads[earliest]
        yield unit
        following = next(iterator, None)
        heads[earliest : earliest + 1] = [] if following is None else [(following, iterator)]
