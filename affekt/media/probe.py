"""Opens a container and reads what it declares: streams, sizes, rates, start times.

Limits are enforced here, before anything is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error

from affekt.containers import Limits, Source, WatchedFile, Window, declared_sizes
from affekt.containers.boxes import track_ends
from affekt.containers.ebml import track_count
from affekt.containers.fragments import first_ticks
from affekt.containers.frame_chain import tag_length, tags_begin
from affekt.containers.mp3_frames import states_length
from affekt.containers.riff import FORMS as CHUNKED
from affekt.containers.riff import end_of_first
from affekt.containers.sample_tables import check_sample_count
from affekt.containers.structure import DEMUXERS
from affekt.containers.tags import check_tag_count
from affekt.errors import AffektError, MediaError
from affekt.media.covers import pixels_while_opening
from affekt.media.picture_memory import check_parameter_sets, check_picture_memory, decoder_threads, pictures_held
from affekt.media.pictures import UPRIGHT, Orientation, collect_listed, orientation_of_frame, upright_size
from affekt.media.still_checks import refuse_animated_bomb, refuse_bomb
from affekt.wording import subject

MAX_SOUND_LEAD_S = 0.2
"""Lead-in of an audio encoder before 0 that does not shift the clock."""
FIRST_PACKETS = 64
"""Packets in which the first frame, with its display matrix, is sought."""
MAX_OPENING_WORK_S = 5.0
"""Maximum CPU seconds for opening; a header of three hours of 4K takes half a second."""
LARGE_TAGS_BYTES = 1 << 15
"""Size from which ID3 tags are skipped."""
LATE_STARTERS = frozenset({'mpegts', 'mpeg'})
"""Demuxers of containers whose clock usually does not start at 0."""
LEAST_AUDIO_RATE_HZ = 1000
"""Declared sample rates below this count as damage: a bandwidth of 500 Hz carries no speech."""
MAX_RATE_HZ = 1000
"""Declared frame rates above this count as damage."""
ESTIMATED = frozenset({'aac', 'mpeg', 'amr', 'asf'})
"""Demuxers whose declared duration is estimated from the bit rate, or includes a lead-in."""

PLAIN_HANDLERS = frozenset(
    {'SoundHandler', 'Core Media Audio', 'Apple Sound Media Handler', 'Mainconcept MP4 Sound Media Handler'}
)
"""Names that writers give to every audio track, which are no titles."""


@dataclass(frozen=True)
class VideoStream:
    """The video stream of a recording as displayed: upright, with square pixels."""

    width: int
    """Width of a yielded frame in pixels, after rotation and aspect correction."""
    height: int
    rate_hz: float | None
    """Declared average frame rate; None for a photograph, or if undeclared."""
    rotation_deg: int
    """Counter-clockwise rotation that makes the coded frame upright: 0, 90, 180 or 270."""
    codec: str
    pixel_aspect: float = 1.0
    """Width of a coded pixel over its height; frames are widened by it."""
    coded_width: int = 0
    coded_height: int = 0
    pixel_format: str = ''
    pictures: int | None = None
    """Declared number of frames; None if undeclared."""


@dataclass(frozen=True)
class AudioStream:
    """One audio stream."""

    index: int
    """Position among the audio streams: the `stream` argument of `Recording.samples`."""
    rate_hz: int
    channels: int
    codec: str
    language: str = ''
    """Language as declared, usually three letters of ISO 639-2; '' if undeclared."""
    is_default: bool = False
    title: str = ''

    def __str__(self) -> str:
        """Number, codec, channels, language and title, to tell one stream from another."""
        channels = 'mono' if self.channels == 1 else f'{self.channels} channels'
        fields = (self.codec, channels, self.language, f'"{self.title}"' if self.title else '')
        all_fields = (*fields, 'default' if self.is_default else '')
        return f'{self.index} ({", ".join(text_field for text_field in all_fields if text_field)})'


@dataclass(frozen=True)
class Probe:
    """Declarations of a container. Times in seconds; `origin_s` is the container time of the recording's 0."""

    demuxer: str
    duration_s: float | None
    duration_is_estimate: bool
    origin_s: float
    video: VideoStream | None
    video_index: int | None
    audio: tuple[AudioStream, ...]
    audio_indices: tuple[int, ...]
    subtitle_indices: tuple[int, ...]
    unreadable: tuple[str, ...] = ()
    """Sentences about video or audio streams that no decoder reads."""
    remarks: tuple[str, ...] = ()
    track_ends_s: Mapping[int, float] = field(default_factory=dict)
    """ISO media: track id to its declared end in seconds."""
    first_ticks: Mapping[int, int] = field(default_factory=dict)
    """Fragmented ISO media: track id to its first tick, which FFmpeg includes in its length."""


def open_container(source: Source, limits: Limits) -> tuple[Any, WatchedFile]:
    """PyAV's container for the source, which may open no other file or address.

    Raises:
        MediaError: the content is of an unknown kind, or too damaged to open.
    """
    file = source.open(limits.max_stall_s)
    file.skip(_tags_in_front(source))
    file.end_at(_end_of_first_recording(source))
    file.limit_work(MAX_OPENING_WORK_S)
    options = {
        'format_whitelist': ','.join(DEMUXERS),
        'max_streams': str(limits.max_streams + 1),
        'max_pixels': str(pixels_while_opening(source, decoder_pixels(limits))),
        'enable_drefs': '0',
    }
    try:
        container = av.open(
            file, 'r', options=options, metadata_errors='replace', buffer_size=1 << 16, io_open=_refuse_other_files,
            timeout=(limits.max_stall_s, limits.max_stall_s),
        )  # fmt: skip
    except Exception as error:
        file.close()
        if file.failure is not None:
            raise file.failure from error
        raise MediaError(
            expected='a video, audio or image file of a known format',
            came=f'{source.name}, which cannot be opened ({_reason(error)})',
            todo='check that it plays elsewhere; if it was cut off while recording, repair or convert it first',
        ) from error
    file.limit_work(None)
    if file.failure is not None:
        container.close()
        file.close()
        raise file.failure
    return container, file


def _tags_in_front(source: Source) -> int:
    """Size in bytes of ID3 tags before the audio; 0 if they are small.

    FFmpeg compares every tag with every other, which takes a minute for a few megabytes. affekt does not use them.
    """
    size = tag_length(source)
    return size if LARGE_TAGS_BYTES < size < source.size else 0


def _end_of_first_recording(source: Source) -> int:
    """The byte at which the first recording of a file ends, if FFmpeg would read what follows as its audio.

    For tags after an MP3 or AAC without a container (a cover in them would add seconds to the length) and for other
    files after a chunked one. The file's size for everything else.
    """
    head = source.head(4)
    if head in CHUNKED:
        return end_of_first(source)
    if head[:3] != b'ID3' and not (head[:1] == b'\xff' and head[1:2] >= b'\xe0'):
        return source.size
    with Window(source) as window:
        tags_start = tags_begin(window)
    return tags_start if tags_start > 0 else source.size


def probe(source: Source, limits: Limits) -> Probe:
    """Read the headers and check them against the limits.

    Raises:
        MediaError: unknown kind, damaged beyond opening, or contains neither video nor audio.
        LimitError: the headers declare more than `limits` allow.
    """
    check_sample_count(source, limits)
    check_tag_count(source)
    for width, height in declared_sizes(source):
        limits.check('max_pixels', width * height, f'a {width}x{height} frame declared in {source.name}')
        refuse_bomb(source, width * height)
    refuse_animated_bomb(source)
    container, file = open_container(source, limits)
    try:
        return _describe(container, source, limits)
    finally:
        container.close()
        file.close()


def _describe(container: Any, source: Source, limits: Limits) -> Probe:
    streams = list(container.streams)
    limits.check('max_streams', len(streams), f'the streams of {source.name}')
    video_streams = [stream for stream in streams if stream.type == 'video' and not _is_cover(stream)]
    decodable = [stream for stream in video_streams if stream.codec_context is not None]
    audio_streams = [stream for stream in streams if stream.type == 'audio' and _is_readable_audio(stream)]
    if not decodable and not audio_streams:
        raise MediaError(
            expected='video or audio', came=f'neither in {source.name}', todo='check that it is the right file'
        )
    video_stream = _chosen(decodable)
    video = None if video_stream is None else _describe_video(container, video_stream, source, limits)
    audio = tuple(_describe_audio(position, stream, source, limits) for position, stream in enumerate(audio_streams))
    duration_s = _positive(container.duration, Fraction(1, 1_000_000))
    demuxer = container.format.name
    first_tick_of = first_ticks(source) if demuxer.startswith('mov') else {}
    lengths = [_length(stream, first_tick_of) for stream in (*decodable, *audio_streams)]
    if first_tick_of and any(lengths):
        duration_s = None  # FFmpeg computes it from the ends
    longest_s = max((seconds for seconds in (duration_s, *lengths) if seconds is not None), default=None)
    if longest_s is not None:
        limits.check('max_duration_s', longest_s, f'the length of {source.name} in seconds')
    origin_s = _origin([stream for stream in (video_stream, *audio_streams) if stream is not None])
    return Probe(
        demuxer=demuxer,
        duration_s=longest_s if duration_s is None else duration_s,
        duration_is_estimate=demuxer in ESTIMATED or (demuxer == 'mp3' and not states_length(source)),
        origin_s=origin_s,
        video=video,
        video_index=None if video_stream is None else video_stream.index,
        audio=audio,
        audio_indices=tuple(stream.index for stream in audio_streams),
        subtitle_indices=tuple(stream.index for stream in streams if stream.type == 'subtitle'),
        unreadable=_unreadable_streams(
            streams, {stream.index for stream in (*decodable, *audio_streams)}, track_count(source)
        ),
        remarks=_remarks(streams, origin_s, demuxer),
        track_ends_s=track_ends(source) if demuxer.startswith('mov') else {},
        first_ticks=first_tick_of,
    )


def _length(stream: Any, first_tick_of: Mapping[int, int]) -> float | None:
    """Seconds that the container states for a stream; None if it does not."""
    ticks = stream.duration
    return _positive(None if ticks is None else ticks - first_tick_of.get(int(stream.id), 0), stream.time_base)


def _is_readable_audio(stream: Any) -> bool:
    context = stream.codec_context
    return context is not None and context.sample_rate >= LEAST_AUDIO_RATE_HZ and bool(context.channels)


def _unreadable_streams(streams: list[Any], readable: set[int], declared: int) -> tuple[str, ...]:
    """Sentences about video or audio streams without a decoder, and about tracks that did not become a stream."""
    names = {'video': 'video', 'audio': 'audio'}
    remarks = [
        f'damaged or unknown: {names[stream.type]} stream {stream.index} cannot be read'
        for stream in streams
        if stream.type in names and stream.index not in readable and not _is_cover(stream)
    ]
    usable = sum(stream.type != 'attachment' and not _is_cover(stream) for stream in streams)
    if usable < declared:
        remarks.append(f'damaged or unknown: {declared - usable} of {declared} tracks cannot be read')
    return tuple(remarks)


def _remarks(streams: list[Any], origin_s: float, demuxer: str) -> tuple[str, ...]:
    """Sentences about streams of other kinds, and about a clock that does not begin near 0 where it usually does."""
    remarks = []
    other_streams = [stream for stream in streams if stream.type not in {'video', 'audio', 'subtitle', 'attachment'}]
    if other_streams:
        verb = 'is' if len(other_streams) == 1 else 'are'
        remarks.append(
            f'{subject(len(other_streams), "stream")} neither video, audio nor subtitles and {verb} not read'
        )
    if abs(origin_s) > MAX_SOUND_LEAD_S and demuxer not in LATE_STARTERS:
        remarks.append(f'the first timestamp is {origin_s:.2f} s: the clock starts there')
    rates = [
        stream.average_rate
        for stream in streams
        if stream.type == 'video' and stream.frames > 2 and stream.average_rate
    ]
    if impossible := [rate for rate in rates if rate > MAX_RATE_HZ]:
        remarks.append(f'the file states {float(impossible[0]):,.0f} frames per second: their times mean nothing')
    return tuple(remarks)


def _describe_video(container: Any, stream: Any, source: Source, limits: Limits) -> VideoStream:
    context = stream.codec_context
    width, height = int(context.width), int(context.height)
    limits.check('max_pixels', width * height, f'a {width}x{height} frame of {source.name}')
    check_picture_memory(width, height, context.pix_fmt, context.name, source.name, limits, pictures_held(context))
    orientation = _first_orientation(container, stream, source, limits)
    collect_listed()
    aspect = usable_aspect(stream.sample_aspect_ratio)
    upright = upright_size(width, height, aspect, orientation)
    rate = stream.average_rate or stream.guessed_rate
    return VideoStream(
        width=upright[0],
        height=upright[1],
        rate_hz=float(rate) if rate and 0 < rate <= MAX_RATE_HZ else None,
        rotation_deg=orientation.rotation_deg,
        codec=context.name,
        pixel_aspect=float(aspect),
        coded_width=width,
        coded_height=height,
        pixel_format=str(context.pix_fmt or ''),
        pictures=int(stream.frames) or None,
    )


def _first_orientation(container: Any, stream: Any, source: Source, limits: Limits) -> Orientation:
    """The display matrix of the first frame that decodes, where PyAV exposes it; upright where none does."""
    stream.codec_context.options = {'max_pixels': str(decoder_pixels(limits))}
    stream.codec_context.thread_count = decoder_threads(stream.codec_context, limits)
    try:
        for packet_index, packet in enumerate(container.demux(stream)):
            check_parameter_sets(stream.codec_context, bytes(packet), source.name, limits)
            with suppress(av.error.FFmpegError, ValueError):
                for frame in packet.decode():
                    return orientation_of_frame(frame)
            if packet_index > FIRST_PACKETS:
                break
    except AffektError:
        raise
    except (av.error.FFmpegError, ValueError, IndexError):
        return UPRIGHT
    return UPRIGHT


def _describe_audio(position: int, stream: Any, source: Source, limits: Limits) -> AudioStream:
    context = stream.codec_context
    channels = int(context.channels or 0)
    limits.check('max_audio_channels', channels, f'the channels of {source.name}')
    limits.check('max_audio_rate_hz', int(context.sample_rate or 0), f'the sample rate of {source.name}')
    return AudioStream(
        index=position,
        rate_hz=int(context.sample_rate or 0),
        channels=channels,
        codec=context.name,
        language=str(stream.language or '').replace('und', ''),
        is_default=_has_disposition(stream, 'default'),
        title=_title(stream),
    )


def _title(stream: Any) -> str:
    """The title of a stream as in the file, in one short line; '' if it is only the name of a program."""
    metadata = stream.metadata
    title = str(metadata.get('title') or metadata.get('handler_name') or '')
    return '' if title in PLAIN_HANDLERS else ' '.join(title.split())[:80]


def decoder_pixels(limits: Limits) -> int:
    """FFmpeg's own pixel limit: slightly higher, since decoders pad frames to whole blocks."""
    return limits.max_pixels + limits.max_pixels // 8 + 65_536


def usable_aspect(aspect: Fraction | None) -> Fraction:
    """The pixel aspect if it is between 1/4 and 4; else 1."""
    if aspect is None or not aspect or not Fraction(1, 4) <= aspect <= 4:
        return Fraction(1)
    return Fraction(aspect)


def _chosen(streams: list[Any]) -> Any | None:
    """The default video stream, else the first; streams of one frame count only if there are no others."""
    if any(stream.frames > 1 for stream in streams):
        streams = [stream for stream in streams if stream.frames > 1]
    for stream in streams:
        if _has_disposition(stream, 'default'):
            return stream
    return streams[0] if streams else None


def _is_cover(stream: Any) -> bool:
    return _has_disposition(stream, 'attached_pic') or _has_disposition(stream, 'timed_thumbnails')


def _has_disposition(stream: Any, name: str) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition[name])


def _origin(streams: list[Any]) -> float:
    """The earliest start of video or audio. An audio encoder's lead-in (less than 0.2 s before 0) does not count."""
    starts = []
    for stream in streams:
        if stream.start_time is None:
            continue
        start_s = float(stream.start_time * stream.time_base)
        is_lead_in = stream.type == 'audio' and -MAX_SOUND_LEAD_S < start_s < 0
        starts.append(0.0 if is_lead_in else start_s)
    return min(starts, default=0.0)


def _positive(ticks: int | None, base: Fraction | None) -> float | None:
    if ticks is None or base is None or ticks <= 0:
        return None
    return float(ticks * base)


def _reason(error: Exception) -> str:
    text = ''
    with suppress(Exception):
        text = str(getattr(error, 'strerror', '') or error)
    return (text or type(error).__name__).splitlines()[0][:120]


def _refuse_other_files(url: str, flags: int, options: dict[str, str]) -> None:
    raise PermissionError(f'a media file may not open another file ({url[:80]!r})')
