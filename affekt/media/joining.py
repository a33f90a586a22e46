"""New files from recordings: two files joined, a copy for browsers, a poster, new audio, subtitles."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from affekt.containers import Limits
from affekt.errors import MediaError, UnknownNameError
from affekt.files import part_of
from affekt.media.probe import VideoStream
from affekt.media.recording import Recording
from affekt.media.subtitles import Subtitle
from affekt.media.writing import SOUND_CHUNK, MediaWriter, PictureStyle, Samples, SoundStyle, even_sided, write_image

Image = npt.NDArray[np.uint8]

COPY_RATE_HZ = 48_000
"""Sample rate of new audio tracks."""
SOUND_BLOCK_S = 0.5
"""Audio read at once, so that frames and audio interleave finely."""
SAME_CLOCK_S = 0.02
"""Largest start time at which a file's own clock counts as the recording's."""
SUBTITLE_CODECS = {'.mp4': 'mov_text', '.mkv': 'subrip'}
"""Extension to the codec of text subtitles."""


def mux(
    video_path: str | os.PathLike[str],
    audio_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    limits: Limits | None = None,
) -> Path:
    """Join the video of one recording with the audio of another; the result is as long as the audio.

    The video is looped if it is shorter, and cut if it is longer. Both are re-encoded (H.264 and AAC mono in mp4). Lips
    and words do not match.

    Returns:
        `out`.

    Raises:
        MediaError: the first has no video, the second no audio, or either is damaged.
    """
    video, audio = Recording.open(video_path, limits), Recording.open(audio_path, limits)
    stream = _video_of(video)
    if not audio.audio:
        raise MediaError(expected='a recording with audio', came=audio.name, todo='pass a file with audio')
    rate_hz = stream.rate_hz or 25.0
    style = SoundStyle(COPY_RATE_HZ, options={'b': '96k'})
    with MediaWriter(out, rate_hz, _even_style(), (style,)) as writer:
        frames = _looped(video, 1 / rate_hz)
        frame_s, image = next(frames)
        for block in audio.samples(COPY_RATE_HZ, SOUND_BLOCK_S):
            audio_end_s = block.start_s + len(block.samples) / COPY_RATE_HZ
            while frame_s < audio_end_s:
                writer.add_picture(even_sided(image), frame_s)
                frame_s, image = next(frames)
            writer.add_sound(block.samples)
    return Path(out)


def web_copy(
    recording: Recording,
    out: str | os.PathLike[str],
    max_height: int = 480,
    max_rate_hz: float = 30.0,
    *,
    whole_height: int | None = None,
    whole_bytes: int | None = None,
) -> Path:
    """A small H.264 and AAC mp4 that browsers play, upright, with the original's clock.

    Frames keep their times, so an instant in the copy is the same instant in the recording. Parts that do not decode
    are not in the copy. A complete file that is already small and playable is copied unchanged, without decoding.

    Args:
        recording: video or audio.
        out: path of the file.
        max_height: maximum height of the copy's frames.
        max_rate_hz: maximum frames per second.
        whole_height: maximum frame height of a file that is copied unchanged; `max_height` if None.
        whole_bytes: its maximum size in bytes; unlimited if None.

    Returns:
        `out`, an .mp4 (or .webm, then VP8 and Opus).

    Raises:
        MediaError: the recording is a photograph, or nothing in it decodes.
    """
    if recording.kind == 'image':
        raise MediaError(expected='a video or audio recording', came=recording.name, todo='use poster for a still')
    path, is_mp4 = recording.path, Path(out).suffix.lower() == '.mp4'
    is_small = path is not None and (whole_bytes is None or path.stat().st_size <= whole_bytes)
    small_height = max_height if whole_height is None else whole_height
    if path is not None and is_small and is_mp4 and _plays_unchanged(recording, small_height):
        return _copied(path, Path(out))
    video = recording.video
    # An integer rate, whose clock is fine enough for phones, whose frames may come faster than their mean rate.
    rate_hz = None if video is None else float(max(1, round(min(video.rate_hz or 25.0, max_rate_hz))))
    audio_styles = (SoundStyle(COPY_RATE_HZ, options={'b': '64k'}),) if recording.audio else ()
    blocks = recording.samples(COPY_RATE_HZ, SOUND_BLOCK_S)
    options = {'preset': 'superfast', 'crf': '28', 'g': '48'} if Path(out).suffix.lower() != '.webm' else {}
    with MediaWriter(out, rate_hz, _even_style(options), audio_styles) as writer:
        if video is not None and rate_hz is not None:
            longest_side = max(2, round(max(video.width, video.height) * min(1.0, max_height / video.height)))
            audio_end_s, size = 0.0, None
            for frame in recording.frames(_copy_rate(video.rate_hz, max_rate_hz), longest_side):
                image = even_sided(frame.image)
                size = size or image.shape
                writer.add_picture(image if image.shape == size else _fitted(image, size), max(0.0, frame.time_s))
                while audio_end_s <= frame.time_s and (block := next(blocks, None)) is not None:
                    writer.add_sound(block.samples)
                    audio_end_s = block.start_s + SOUND_BLOCK_S
        for block in blocks:
            writer.add_sound(block.samples)
    return Path(out)


def poster(recording: Recording, out: str | os.PathLike[str], time_s: float = 0.0, max_side: int = 640) -> Path:
    """The frame on screen at `time_s`, or the last one, as a small image file.

    Raises:
        MediaError: the recording has no video.
    """
    image: Image | None = None
    for frame in recording.frames(max_side=max_side):
        if image is not None and frame.time_s > time_s:
            break
        image = frame.image
    if image is None:
        raise MediaError(expected='a recording with video', came=recording.name, todo='pass a video or a still')
    return write_image(out, image, quality=85)


def with_sound(path: str | os.PathLike[str], samples: Samples, rate_hz: int, out: str | os.PathLike[str]) -> Path:
    """Copy a video stream unchanged into `out` (.mp4 or .mkv), with new audio in AAC.

    Args:
        path: the video.
        samples: (N,) mono, in [-1, 1], starting with the video.
        rate_hz: a sample rate that AAC supports.
        out: path that ends in .mp4 or .mkv.

    Raises:
        MediaError: the file is no video, or one that `out` cannot contain unchanged.
    """
    recording = Recording.open(path)
    _video_of(recording)
    refused = MediaError(
        expected='a video stream that can be copied unchanged', came=recording.name, todo='encode the video again'
    )
    target = Path(out)
    partial = part_of(target, keeps_suffix=True)
    origin_s = Fraction(recording.origin_s).limit_denominator(1_000_000)
    try:
        with av.open(os.fspath(path)) as source, av.open(os.fspath(partial), 'w') as output:
            video: Any = source.streams[recording.video_index or 0]
            copy = output.add_stream_from_template(video)
            audio: Any = output.add_stream('aac', rate=rate_hz, layout='mono')
            audio_packets = _sound_packets(audio, samples, rate_hz)
            audio_packet = next(audio_packets, None)
            for packet in source.demux(video):
                if packet.dts is None or packet.pts is None:
                    continue
                shift = round(origin_s / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                while (
                    audio_packet is not None
                    and audio_packet.pts * audio_packet.time_base <= packet.dts * packet.time_base
                ):
                    output.mux(audio_packet)
                    audio_packet = next(audio_packets, None)
                packet.stream = copy
                output.mux(packet)
            while audio_packet is not None:
                output.mux(audio_packet)
                audio_packet = next(audio_packets, None)
    except (av.error.FFmpegError, ValueError) as error:
        partial.unlink(missing_ok=True)
        raise refused from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    os.replace(partial, target)
    return target


def _video_of(recording: Recording) -> VideoStream:
    """The video stream; MediaError for audio and stills. A cover image is no video."""
    if recording.video is None or recording.kind != 'video':
        raise MediaError(expected='a video', came=f'{recording.name}, {recording.kind}', todo='pass a file with video')
    return recording.video


def _sound_packets(stream: Any, samples: Samples, rate_hz: int) -> Iterator[Any]:
    """Encoded pieces in order."""
    for start in range(0, len(samples), SOUND_CHUNK):
        chunk = np.ascontiguousarray(samples[None, start : start + SOUND_CHUNK], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(chunk, format='fltp', layout='mono')
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def with_subtitles(path: str | os.PathLike[str], lines: Sequence[Subtitle], out: str | os.PathLike[str]) -> Path:
    """Copy a file's streams unchanged into `out` (.mp4 or .mkv) and add a stream of text subtitles.

    Raises:
        UnknownNameError: `out` is neither.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in SUBTITLE_CODECS:
        raise UnknownNameError(expected='.mp4 or .mkv', came=repr(suffix), todo='choose one of them')
    partial = part_of(Path(out), keeps_suffix=True)
    with av.open(os.fspath(path)) as source, av.open(os.fspath(partial), 'w') as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        text = target.add_mux_stream(SUBTITLE_CODECS[suffix])
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
        for line in lines:
            raw = line.text.encode()
            packet = av.Packet(len(raw).to_bytes(2, 'big') + raw if suffix == '.mp4' else raw)
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = round(line.start_s * 1000)
            packet.duration = round((line.end_s - line.start_s) * 1000)
            packet.stream = text
            target.mux(packet)
    os.replace(partial, out)
    return Path(out)


def _plays_unchanged(recording: Recording, max_height: int) -> bool:
    """Whether every browser plays the file, at a size that is small enough, with the clock that the recording has."""
    video = recording.video
    return (
        video is not None
        and video.codec == 'h264'
        and video.pixel_format == 'yuv420p'
        and video.height <= max_height
        and recording.container == 'mov,mp4,m4a,3gp,3g2,mj2'
        and abs(recording.origin_s) < SAME_CLOCK_S
        and len(recording.audio) <= 1
        and all(stream.codec == 'aac' for stream in recording.audio)
        and recording.decoded.is_complete
    )


def _copied(path: Path, out: Path) -> Path:
    partial = part_of(out, keeps_suffix=True)
    shutil.copyfile(path, partial)
    os.replace(partial, out)
    return out


def _looped(recording: Recording, step_s: float) -> Iterator[tuple[float, Image]]:
    """Times and frames without end; each round begins one step after the last frame of the previous one.

    Raises:
        MediaError: no frame decodes.
    """
    offset_s = 0.0
    while True:
        last_s = -1.0
        for frame in recording.frames():
            last_s = max(0.0, frame.time_s)
            yield offset_s + last_s, frame.image
        if last_s < 0:
            raise MediaError(
                expected='at least one frame that decodes', came=f'none in {recording.name}', todo='pass another video'
            )
        offset_s += last_s + step_s


def _copy_rate(rate_hz: float | None, max_rate_hz: float) -> float | None:
    return max_rate_hz if rate_hz is None or rate_hz > max_rate_hz + 0.5 else None


def _even_style(options: dict[str, str] | None = None) -> PictureStyle:
    return PictureStyle(pixel_format='yuv420p', options=options or {})


def _fitted(image: Image, size: tuple[int, ...]) -> Image:
    """A frame whose size changed midway, scaled to the size of the first."""
    from PIL import Image as PillowImage

    return np.asarray(PillowImage.fromarray(image).resize((size[1], size[0])), np.uint8)
