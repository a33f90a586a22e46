"""Writes media files: frames with their own times, and any number of audio tracks, in constant memory.

`MediaWriter` is the streaming form; `write_video`, `write_audio` and `write_image` are the one-call forms. Files are
written atomically: under a temporary name, then renamed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.files import explained_where_full, part_of

Image = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]

CODECS: dict[str, tuple[str | None, str]] = {
    '.mp4': ('libx264', 'aac'),
    '.m4v': ('libx264', 'aac'),
    '.mov': ('libx264', 'aac'),
    '.mkv': ('libx264', 'aac'),
    '.webm': ('libvpx', 'libopus'),
    '.avi': ('mpeg4', 'pcm_s16le'),
    '.wav': (None, 'pcm_s16le'),
    '.mp3': (None, 'libmp3lame'),
    '.flac': (None, 'flac'),
    '.m4a': (None, 'aac'),
    '.ogg': (None, 'libopus'),
}
"""Extension to the usual video and audio encoders."""

FAST: dict[str, dict[str, str]] = {
    # with macroblock trees, equal frames give different bytes in each process (except with no-asm)
    'libx264': {'preset': 'veryfast', 'crf': '23', 'x264-params': 'mbtree=0'},
    'libvpx': {'deadline': 'realtime', 'cpu-used': '8', 'b': '1M'},
    'libvpx-vp9': {'deadline': 'realtime', 'cpu-used': '8', 'b': '1M'},
    'mpeg4': {'qscale': '3'},
}
"""Encoder to options that favour speed."""
FINE_TICKS_HZ, MPEG4_TICKS_HZ = 16_000, 65_535
"""Ticks per second of the clock of frames with their own times: the largest multiple of the rate's numerator up to the
first number, or that numerator where it exceeds it; and the most that MPEG-4's 16 bits hold."""
OPUS_RATES = (48_000, 24_000, 16_000, 12_000, 8_000)
"""Sample rates that Opus has, in hertz."""
SOUND_CHUNK = 1024
"""Samples encoded at once."""
MAX_PLANES = 7
"""PyAV cannot fill a frame whose eight planes are all used."""


@dataclass(frozen=True)
class PictureStyle:
    """Settings of storing frames."""

    codec: str | None = None
    """FFmpeg encoder; None takes the container's usual one."""
    pixel_format: str = 'yuv420p'
    rotation_deg: int = 0
    """Counter-clockwise rotation for the player to apply; the stored pixels are unchanged."""
    is_mirrored: bool = False
    """Whether the player mirrors left and right."""
    pixel_aspect: Fraction | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Encoder options, in addition to the fast ones."""


@dataclass(frozen=True)
class SoundStyle:
    """Settings of storing one audio track."""

    rate_hz: int = 16_000
    codec: str | None = None
    start_s: float = 0.0
    """Time of the first sample on the file's clock."""
    channels: int = 1
    options: Mapping[str, str] = field(default_factory=dict)


class MediaWriter:
    """Encodes frames and audio as they come. A context manager; leaving it without an error publishes the file."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        rate_hz: float | None = None,
        picture: PictureStyle | None = None,
        sounds: Sequence[SoundStyle] = (),
        container_options: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a file of the format given by its extension.

        Args:
            path: the file; its folder exists.
            rate_hz: nominal frame rate; None for audio alone.
            picture: how frames are stored.
            sounds: one entry per audio track.
            container_options: options of FFmpeg's muxer.

        Raises:
            UnknownNameError: no encoder is known for the extension.
            ValueRangeError: a rate that is not positive.
        """
        self.path = Path(path)
        self._suffix = self.path.suffix.lower()
        if self._suffix not in CODECS:
            raise UnknownNameError(
                expected=f'one of {", ".join(CODECS)}', came=repr(self._suffix), todo='choose another extension'
            )
        if rate_hz is not None and not 0 < rate_hz <= 1000:
            raise ValueRangeError(expected='rate_hz in (0, 1000]', came=repr(rate_hz), todo='give a frame rate')
        self._rate_hz, self._style, self._sounds = rate_hz, picture or PictureStyle(), tuple(sounds)
        self._partial = part_of(self.path, keeps_suffix=True)
        options = {'movflags': '+faststart'} if self._suffix in {'.mp4', '.m4a', '.mov', '.m4v'} else {}
        self._container = av.open(os.fspath(self._partial), 'w', options={**options, **(container_options or {})})
        self._picture: Any = None
        self._tracks = [self._sound_stream(style) for style in self._sounds]
        self._written = [round(style.start_s * style.rate_hz) for style in self._sounds]
        self._pending: list[list[Any]] = []
        self._size: tuple[int, int] | None = None
        self._last_pts = -1
        if rate_hz is None:
            self._container.start_encoding()

    def __enter__(self) -> MediaWriter:
        return self

    def __exit__(self, error_class: type[BaseException] | None, *_: object) -> None:
        try:
            if error_class is None:
                self.close()
        except BaseException:
            self._discard()
            raise
        if error_class is not None:
            self._discard()

    def _discard(self) -> None:
        """Remove what was written."""
        with suppress(Exception):
            self._container.close()
        self._partial.unlink(missing_ok=True)

    def add_picture(self, image: Image, time_s: float | None = None) -> None:
        """Encode one frame.

        Args:
            image: (H, W, 3) RGB or (H, W) grey, the same size every time.
            time_s: its time in seconds; None for one step after the previous. Times increase.

        Raises:
            ShapeError: another size or type.
            ValueRangeError: a time that does not increase.
        """
        self._prepare_picture(image)
        base = self._picture.codec_context.time_base
        pts = self._last_pts + self._step(base) if time_s is None else round(time_s / base)
        if self._last_pts < 0 and time_s is None:
            pts = 0
        if pts <= self._last_pts:
            todo = 'sort the frames' + (', or write mp4 or mkv: an avi has no times' if self._suffix == '.avi' else '')
            raise ValueRangeError(expected='times that increase', came=f'{time_s} s', todo=todo)
        pixel_format = 'gray' if image.ndim == 2 else 'rgb24'
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=pixel_format)
        frame = _converted(frame, self._style.pixel_format)
        frame.pts, frame.time_base = pts, base
        self._last_pts = pts
        self._mux(self._picture.encode(frame))

    def add_sound(self, samples: Samples, track: int = 0) -> None:
        """Encode the next samples of a track.

        Args:
            samples: (N,) or (channels, N), -1 to 1; float values pass unclipped into float encoders.
            track: index into `sounds`.
        """
        style, stream = self._sounds[track], self._tracks[track]
        channels = np.atleast_2d(np.asarray(samples, np.float32))
        if channels.shape[0] != style.channels:
            raise ShapeError(
                expected=f'({style.channels}, N) samples', came=f'{channels.shape}', todo='give one row per channel'
            )
        sample_format = stream.codec_context.format.name
        for start in range(0, channels.shape[1], SOUND_CHUNK):
            chunk = channels[:, start : start + SOUND_CHUNK]
            frame = _sound_frame(chunk, sample_format, style)
            frame.pts, frame.time_base = self._written[track], Fraction(1, style.rate_hz)
            self._written[track] += chunk.shape[1]
            self._mux(stream.encode(frame))

    def close(self) -> None:
        """Flush the encoders and publish the file.

        Raises:
            ShapeError: it is a video, and no frame was added.
        """
        if self._rate_hz is not None and self._picture is None:
            raise ShapeError(expected=f'at least one frame of {self.path.name}', came='none', todo='give frames')
        for stream in (self._picture, *self._tracks):
            if stream is not None:
                self._mux(stream.encode(None))
        self._container.close()
        os.replace(self._partial, self.path)

    def _prepare_picture(self, image: Image) -> None:
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
            raise ShapeError(
                expected='(H, W, 3) or (H, W) uint8', came=f'{image.dtype} {image.shape}', todo='convert the frame'
            )
        size = (int(image.shape[1]), int(image.shape[0]))
        if self._size is None:
            self._size = size
            self._picture = self._picture_stream(*size)
        if size != self._size:
            raise ShapeError(expected=f'{self._size} pixels', came=f'{size}', todo='scale every frame to one size')

    def _picture_stream(self, width: int, height: int) -> Any:
        name = self._style.codec or CODECS[self._suffix][0]
        if name is None or self._rate_hz is None:
            raise UnknownNameError(
                expected='a container for video and a rate_hz', came=self._suffix, todo='write mp4, mkv, webm or avi'
            )
        options = {**FAST.get(name, {}), **self._style.options}
        if name == 'libx264' and self._style.pixel_format == 'yuv420p' and (width % 2 or height % 2):
            raise ShapeError(
                expected='an even width and height, as H.264 has', came=f'{width} x {height}',
                todo='cut or add a line, or write webm or avi',
            )  # fmt: skip
        rate = Fraction(self._rate_hz).limit_denominator(1001)
        stream = self._container.add_stream(name, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, self._style.pixel_format
        stream.codec_context.time_base = 1 / rate if self._suffix == '.avi' else _fine_base(rate, name)
        if self._style.pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = self._style.pixel_aspect
        if self._style.rotation_deg or self._style.is_mirrored:
            stream.set_display_rotation(self._style.rotation_deg, hflip=self._style.is_mirrored)
        return stream

    def _sound_stream(self, style: SoundStyle) -> Any:
        name = style.codec or CODECS[self._suffix][1]
        if name == 'libopus' and style.rate_hz not in OPUS_RATES:
            raise ValueRangeError(
                expected=f'a rate of {OPUS_RATES} Hz for Opus', came=str(style.rate_hz), todo='resample first'
            )
        layout = {1: 'mono', 2: 'stereo'}.get(style.channels, f'{style.channels}c')
        return self._container.add_stream(name, rate=style.rate_hz, layout=layout, options=dict(style.options))

    def _step(self, base: Fraction) -> int:
        return max(1, round(1 / (Fraction(self._rate_hz or 1).limit_denominator(1001) * base)))

    def _mux(self, packets: list[Any]) -> None:
        if self._rate_hz is not None and self._picture is None:
            self._pending.append(packets)  # audio before the first frame: the video stream must exist first
            return
        for held_back in self._pending:
            self._container.mux(held_back)
        self._pending.clear()
        self._container.mux(packets)


def write_video(
    path: str | os.PathLike[str],
    images: Iterable[Image],
    rate_hz: float,
    samples: Samples | Iterable[Samples] | None = None,
    sample_rate_hz: int = 16_000,
    times_s: Iterable[float] | None = None,
    picture: PictureStyle | None = None,
    sound: SoundStyle | None = None,
) -> Path:
    """Write a video file from frames and one audio track, read from iterators as needed.

    Args:
        path: .mp4, .mov, .mkv, .webm or .avi, which also chooses the encoders.
        images: (H, W, 3) RGB, all of equal size, at least one.
        rate_hz: frame rate; nominal if `times_s` is given.
        samples: (N,) mono, or an iterator of such pieces; None writes a silent video.
        sample_rate_hz: sample rate; ignored if `sound` is given.
        times_s: one time per frame, for a variable rate.
        picture: codec, pixel format, rotation, aspect.
        sound: codec, rate, start.

    Returns:
        The path.

    Raises:
        ShapeError, ValueRangeError, UnknownNameError: as `MediaWriter`.
    """
    style = sound or SoundStyle(sample_rate_hz)
    pieces = _pieces(np.zeros(0, np.float32) if samples is None else samples)
    audio_end_s = style.start_s
    times = None if times_s is None else iter(times_s)
    with MediaWriter(path, rate_hz, picture, () if samples is None else (style,)) as writer:
        for number, image in enumerate(images):
            time_s = None if times is None else next(times, math.nan)
            if time_s is not None and math.isnan(time_s):
                raise ShapeError(expected='one time per frame', came=f'{number} times', todo='give a time for each')
            writer.add_picture(image, time_s)
            frame_s = number / rate_hz if time_s is None else time_s
            while audio_end_s <= frame_s and (piece := next(pieces, None)) is not None:
                writer.add_sound(piece)
                audio_end_s += piece.shape[-1] / style.rate_hz
        for piece in pieces:
            writer.add_sound(piece)
    return Path(path)


def write_audio(
    path: str | os.PathLike[str], samples: Samples | Iterable[Samples], rate_hz: int, sound: SoundStyle | None = None
) -> Path:
    """Write an audio file.

    Args:
        path: .wav, .mp3, .flac, .m4a or .ogg, which chooses the encoder unless `sound` names one.
        samples: (N,) mono in [-1, 1], or an iterator of such pieces.
        rate_hz: sample rate; ignored if `sound` is given.
        sound: codec, rate, start.

    Returns:
        The path.

    Raises:
        ShapeError, ValueRangeError, UnknownNameError: as `MediaWriter`.
    """
    with MediaWriter(path, None, None, (sound or SoundStyle(rate_hz),)) as writer:
        for piece in _pieces(samples):
            writer.add_sound(piece)
    return Path(path)


def write_image(path: str | os.PathLike[str], image: Image, quality: int = 90) -> Path:
    """Write an (H, W, 3) RGB or (H, W) grey image as .jpg, .png, .webp or .bmp.

    Raises:
        StorageError: the file cannot be written, as on a full disk.
    """
    from PIL import Image as PillowImage

    target = Path(path)
    partial = part_of(target, keeps_suffix=True)
    try:
        with explained_where_full(target):
            PillowImage.fromarray(np.ascontiguousarray(image)).save(partial, quality=quality)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


def even_sided(image: Image) -> Image:
    """An image (H, W, …) with even width and height, as H.264 needs: an odd last row or column is doubled."""
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        return np.pad(image, ((0, height % 2), (0, width % 2), *([(0, 0)] * (image.ndim - 2))), mode='edge')
    return image


def _pieces(samples: Samples | Iterable[Samples]) -> Iterator[Samples]:
    if not isinstance(samples, np.ndarray):
        yield from samples
        return
    step = 16 * SOUND_CHUNK
    for start in range(0, samples.shape[-1], step):
        yield samples[..., start : start + step]


def _fine_base(rate: Fraction, codec: str) -> Fraction:
    """A clock that holds both the steps of the rate exactly and other times finely."""
    ticks_hz = rate.numerator * max(1, FINE_TICKS_HZ // rate.numerator)
    return 1 / rate if codec == 'mpeg4' and ticks_hz > MPEG4_TICKS_HZ else Fraction(1, ticks_hz)


def _converted(frame: Any, pixel_format: str) -> Any:
    """In the stored format: full range for RGB and JPEG formats, BT.601 studio range else (BT.709 from 720 rows)."""
    is_full = pixel_format.startswith(('yuvj', 'rgb', 'bgr', 'gbr', 'pal', 'argb'))
    matrix = 'ITU709' if frame.height >= 720 else 'ITU601'
    return frame.reformat(
        format=pixel_format, dst_colorspace=matrix, dst_color_range='JPEG' if is_full else 'MPEG', threads=1
    )


def _sound_frame(chunk: Samples, sample_format: str, style: SoundStyle) -> Any:
    layout = {1: 'mono', 2: 'stereo'}.get(style.channels, f'{style.channels}c')
    base_format = sample_format.removesuffix('p')
    if style.channels > MAX_PLANES:
        sample_format = base_format  # packed; the encoder's own resampler converts it to planes
    if base_format == 's16':
        raw: npt.NDArray[Any] = np.clip(np.round(chunk * 32767), -32768, 32767).astype(np.int16)
    elif base_format == 's32':
        raw = np.clip(np.round(chunk.astype(np.float64) * (2**31 - 1)), -(2**31), 2**31 - 1).astype(np.int32)
    elif base_format == 'u8':
        raw = np.clip(np.round(chunk * 127 + 128), 0, 255).astype(np.uint8)
    elif base_format == 'dbl':
        raw = chunk.astype(np.float64)
    else:
        raw = chunk
    if not sample_format.endswith('p'):
        raw = raw.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(raw), format=sample_format, layout=layout)
    frame.sample_rate = style.rate_hz
    return frame
