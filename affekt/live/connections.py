"""Cameras, network streams and pipes, read by PyAV with as little buffering as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

from affekt.arrays import Floats32
from affekt.containers import DEMUXERS
from affekt.errors import MediaError
from affekt.live.clocks import SteadyClock
from affekt.live.feeds import BLOCK, RATE_HZ, StreamFrame, Thinned, no_stream_error
from affekt.live.settings import StreamSettings
from affekt.media import Block, Limits
from affekt.media.picture_memory import check_parameter_sets, check_picture_memory, pictures_held
from affekt.media.pictures import Orientations, to_rgb, upright_size
from affekt.media.probe import decoder_pixels, usable_aspect

DRIFT_S = 0.25
"""Maximum difference, in seconds, of counted samples from timestamps; beyond it, blocks begin at a timestamp again, or
samples are left out."""
PROBING = {'probesize': '60000', 'analyzeduration': '100000'}
"""Probing of a live stream before decoding: 60 kB or a tenth of a second. FFmpeg's default is 5 s."""
LOW_DELAY = {'flags': 'low_delay'}
"""Options that make FFmpeg's decoders return each frame at once."""
_RAW = ('h264', 'hevc', 'mjpeg', 'mpjpeg', 'm4v', 'ivf', 'nut', 'yuv4mpegpipe')
PIPED = {'format_whitelist': ','.join((*DEMUXERS, *_RAW)), 'enable_drefs': '0'}
"""Formats allowed in a pipe: recordings and raw video, but none that makes FFmpeg open other files."""
MOST_DAMAGED = 300
"""Maximum number of consecutive packets that do not decode."""


@dataclass
class LazyFrame:
    """A decoded frame, converted to RGB on first access.

    Attributes:
        time_s: time on the stream's clock.
        convert: returns the (H, W, 3) image.
        full_side: the longer side of the source's own frames, in pixels.
        read_s: the machine's clock when its packet was read.
    """

    time_s: float
    convert: Callable[[], npt.NDArray[np.uint8]]
    full_side: int = 0
    read_s: float = 0.0
    _image: npt.NDArray[np.uint8] | None = None

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """(H, W, 3) RGB uint8, upright."""
        if self._image is None:
            self._image = self.convert()
        return self._image


@dataclass(frozen=True)
class Opening:
    """PyAV's arguments to open a source.

    Attributes:
        what: name in messages.
        file: a name, an address, or an object with `read`.
        format: of the input device; None lets FFmpeg detect it.
        options: demuxer options.
        is_finite, slack_s: see `Feed`; None for `is_finite` if the container shows it.
    """

    name: str
    file: Any
    format: str | None = None
    options: Mapping[str, str] | None = None
    is_finite: bool | None = None
    slack_s: float | None = None


class ConnectedFeed:
    """A camera, a network stream or a pipe, read by PyAV.

    Args:
        opening: arguments to open it.
        settings: settings of the stream.
        clock: clock of its timestamps; continues from the previous connection.
        now: the machine's clock.

    Raises:
        MediaError: it cannot be opened, or has none of the requested streams.
    """

    def __init__(
        self, opening: Opening, settings: StreamSettings, clock: SteadyClock, now: Callable[[], float]
    ) -> None:
        self._name, self._settings, self._clock, self._now = opening.name, settings, clock, now
        self._limits = Limits()
        self._todo = 'check its sender'
        if hasattr(opening.file, 'read'):
            self._todo += '; an mp4 file that keeps its index at the end cannot be read from a pipe: name the file'
        self._container: Any = _opened(opening, settings)
        if str(opening.file).startswith('http') and 'mp4' in self._container.format.name:
            self._todo += '; an mp4 file that keeps its index at the end needs a server that answers for byte ranges'
        try:
            self._choose_streams(opening)
        except BaseException:
            self._container.close()
            raise
        self._blocks = _Blocks()
        self._thinned = Thinned(settings.fps)
        self._orientations = Orientations()

    def _choose_streams(self, opening: Opening) -> None:
        streams = self._container.streams
        videos = [stream for stream in streams.video if not stream.disposition & Disposition.attached_pic]
        self._video: Any = videos[0] if videos and self._settings.faces else None
        self._audio: Any = next(iter(streams.audio), None) if self._settings.voice else None
        if self._video is None and self._audio is None:
            raise no_stream_error(self._settings, self._name)
        if self._video is not None:
            codec = self._video.codec_context
            self._limits.check(
                'max_pixels', codec.width * codec.height, f'a {codec.width}x{codec.height} frame of {self._name}'
            )
            check_picture_memory(
                codec.width, codec.height, codec.pix_fmt, codec.name, self._name, self._limits, pictures_held(codec)
            )
            codec.options = {'max_pixels': str(decoder_pixels(self._limits))}
            self._video.thread_type = 'SLICE'  # frame threading would delay each frame by some frames
        has_end = _has_end(self._container)  # a source with an end is a file, wherever it comes from
        self.is_finite = has_end if opening.is_finite is None else opening.is_finite
        self.slack_s = 0.0 if has_end and opening.slack_s is not None else opening.slack_s
        self.has_pictures, self.has_sound = self._video is not None, self._audio is not None
        self.rate_hz = float(self._video.average_rate or 0.0) if self._video is not None else 0.0

    def __iter__(self) -> Iterator[StreamFrame | Block]:
        streams = [stream for stream in (self._video, self._audio) if stream is not None]
        damaged = 0
        try:
            for packet in self._container.demux(*streams):
                read_s = self._now()
                if packet.stream is self._video and packet.size:
                    check_parameter_sets(self._video.codec_context, bytes(packet), self._name, self._limits)
                try:
                    units = packet.decode()
                except (av.error.InvalidDataError, av.error.UndefinedError) as error:
                    damaged += 1
                    if damaged > MOST_DAMAGED:
                        raise MediaError(
                            expected='a stream that decodes', came=f'{self._name}: {error}', todo='check its sender'
                        ) from error
                    continue
                for unit in units:
                    damaged = 0
                    yield from self._timed(unit, read_s)
        except MediaError:
            raise
        except (av.error.EOFError, StopIteration):
            return
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(
                expected='a stream that goes on',
                came=f'{self._name}: {_reason(error, self._settings.patience_s)}',
                todo=self._todo,
            ) from error
        yield from self._blocks.flush()

    def _timed(self, unit: Any, read_s: float) -> Iterator[StreamFrame | Block]:
        """The frame with its time, unless it is thinned out; of audio, the blocks that are full."""
        stamp_s = None if unit.pts is None or unit.time_base is None else float(unit.pts * unit.time_base)
        if isinstance(unit, av.AudioFrame):
            time_s = self._clock.at(stamp_s, 'sound', self._now())
            if time_s is not None:
                yield from self._blocks.add(unit, time_s, is_stamped=stamp_s is not None)
            return
        self._limits.check(
            'max_pixels', unit.width * unit.height, f'a {unit.width}x{unit.height} frame of {self._name}'
        )
        time_s = self._clock.at(stamp_s, 'pictures', self._now())
        if time_s is None or not self._thinned.takes(time_s):
            return
        aspect = usable_aspect(self._video.sample_aspect_ratio)
        orientation = self._orientations.of(unit)
        full_side = max(upright_size(unit.width, unit.height, aspect, orientation))
        yield LazyFrame(time_s, lambda: to_rgb(unit, orientation, aspect, self._settings.max_side), full_side, read_s)

    def close(self) -> None:
        """Closes the connection."""
        self._container.close()


class _Blocks:
    """Decoded audio to mono blocks of a tenth of a second at 16 kHz, timed by counting samples."""

    def __init__(self) -> None:
        self._resampler: Any = None
        self._pieces: list[Floats32] = []
        self._length = 0
        self._start_s: float | None = None

    def add(self, unit: Any, time_s: float, *, is_stamped: bool = True) -> Iterator[Block]:
        """The blocks that this unit completes.

        Args:
            unit: PyAV's audio frame.
            time_s: its begin in seconds.
            is_stamped: whether that is from its timestamp; otherwise counted samples alone tell the time.
        """
        lead_s = 0.0 if self._start_s is None else self._start_s + self._length / RATE_HZ - time_s
        if is_stamped and lead_s > DRIFT_S:
            return  # left out, since blocks cannot go back in time
        if self._start_s is None or (is_stamped and -lead_s > DRIFT_S):
            yield from self.flush()
            self._start_s = time_s
        self._take(unit)
        yield from self._full()

    def _take(self, unit: Any) -> None:
        if self._resampler is None:
            self._resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        try:
            pieces = self._resampler.resample(unit)
        except ValueError:  # the sender changed rate or channels
            self._resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
            pieces = self._resampler.resample(unit)
        for piece in pieces:
            samples = piece.to_ndarray().reshape(-1).astype(np.float32)
            self._pieces.append(np.clip(np.nan_to_num(samples), -1.0, 1.0))
            self._length += len(samples)

    def _full(self) -> Iterator[Block]:
        if self._length < BLOCK or self._start_s is None:
            return
        joined = np.concatenate(self._pieces)
        complete = len(joined) // BLOCK * BLOCK
        start_s = self._start_s
        self._pieces, self._length = [joined[complete:]], len(joined) - complete
        self._start_s = start_s + complete / RATE_HZ
        for start in range(0, complete, BLOCK):
            yield Block(start_s + start / RATE_HZ, joined[start : start + BLOCK])

    def flush(self) -> Iterator[Block]:
        """The samples left over, as a last, shorter block."""
        if self._length and self._start_s is not None:
            yield Block(self._start_s, np.concatenate(self._pieces))
        self._pieces, self._length, self._start_s = [], 0, None


def _opened(opening: Opening, settings: StreamSettings) -> Any:
    """PyAV's container of a source."""
    try:
        return av.open(
            opening.file,
            format=opening.format,
            options=dict(opening.options or {}),
            timeout=None if hasattr(opening.file, 'read') else settings.patience_s,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            expected='a source that can be opened',
            came=f'{opening.name}: {_reason(error, settings.patience_s)}',
            todo=_advice(error),
        ) from error


def _has_end(container: Any) -> bool:
    """Whether a container states its duration, or its server the size of the file.

    The size of a playlist is not that of its stream.
    """
    duration_s = (container.duration or 0) / av.time_base
    is_playlist = container.format.name.split(',')[0] in ('hls', 'dash')
    return 0 < duration_s < 1e6 or (not is_playlist and container.size > 0)


def _reason(error: BaseException, patience_s: float) -> str:
    if isinstance(error, av.error.ExitError):
        return f'no answer for {patience_s:g} s'
    return str(getattr(error, 'strerror', None) or error)


def _advice(error: BaseException) -> str:
    if isinstance(error, PermissionError):
        return 'let this user read it; a camera belongs to the group video'
    if getattr(error, 'errno', None) == 16:
        return 'close the program that uses it'
    return 'check that it is available and sends video or audio'
