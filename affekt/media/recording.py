"""A media file with streams and one clock: frames and audio are read in constant memory, losses are reported.

    recording = Recording.open('clip.mp4')
    for frame in recording.frames(rate_hz=10):
        ...
    for block in recording.samples():
        ...
    print(recording.decoded.sentences)

Every pass reopens the file, so passes can interleave and repeat.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from affekt.containers import (
    ContainerReport,
    DecodeReport,
    Limits,
    Source,
    StreamReport,
    extension_remark,
    missing_bytes,
    still_format,
)
from affekt.containers.losses import NO_LENGTH
from affekt.errors import MediaError, UnknownNameError, ValueRangeError
from affekt.media.frames import Frame, VideoPass
from affekt.media.probe import AudioStream, Probe, VideoStream, probe
from affekt.media.samples import AudioPass, Block
from affekt.media.stills import describe_still, read_still
from affekt.media.subtitles import EmbeddedSubtitles, Subtitle, embedded_subtitles

Kind = Literal['video', 'audio', 'image']
AUDIBLE_RMS = 1e-3
"""-60 dB; audio that never exceeds it counts as silence."""


class Recording:
    """One media file. Make it with `Recording.open`.

    Times are seconds from the recording's start, the earliest video or audio of the container. The lead-in of an audio
    encoder (less than 0.2 s before 0) does not shift the clock.
    """

    def __init__(
        self, source: Source, limits: Limits, described: Probe | VideoStream, remarks: tuple[str, ...]
    ) -> None:
        self._source, self._limits = source, limits
        self._probe = described if isinstance(described, Probe) else None
        self._still = described if isinstance(described, VideoStream) else None
        self._remarks = remarks
        self._video_pass: VideoPass | None = None
        self._audio_pass: AudioPass | None = None
        self._still_report: StreamReport | None = None
        self._audible: int | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str] | bytes | BinaryIO, limits: Limits | None = None) -> Recording:
        """Read the headers of a file, of bytes, or of a seekable binary file object. The content decides the format,
        not the name.

        Video (mp4, mov, mkv, webm, avi, …), audio (wav, mp3, flac, m4a, ogg, …), photographs (jpg, png, heic, avif, …).
        Animated GIF and PNG and image sequences of HEIF or AVIF are video.

        Raises:
            MediaError: the file is missing, empty, not a file, an address, a playlist, of unknown kind, or too damaged
                to open.
            LimitError: the headers declare more than `limits` allow; nothing was decoded.
        """
        limits = limits or Limits()
        source = Source(path, limits)
        image_format = still_format(source)
        if image_format is not None:
            still, remarks = describe_still(source, image_format, limits)
            return cls(source, limits, still, (*extension_remark(source, image_format), *remarks))
        described = probe(source, limits)
        return cls(source, limits, described, (*extension_remark(source, described.demuxer), *described.remarks))

    @property
    def path(self) -> Path | None:
        """The file's path; None for bytes and file objects."""
        return self._source.path

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self._source.name

    @property
    def limits(self) -> Limits:
        """The limits that this recording was opened with."""
        return self._limits

    @property
    def kind(self) -> Kind:
        """'video' if it has video (with or without audio), 'audio' if not, 'image' for a photograph."""
        if self._still is not None:
            return 'image'
        return 'audio' if self.video is None else 'video'

    @property
    def is_still(self) -> bool:
        """Whether it is a photograph, which has no duration."""
        return self._still is not None

    @property
    def duration_s(self) -> float | None:
        """Declared length in seconds; 0 for a photograph; None if undeclared."""
        return 0.0 if self._probe is None else self._probe.duration_s

    @property
    def video(self) -> VideoStream | None:
        """The video stream, or None."""
        return self._still if self._probe is None else self._probe.video

    @property
    def video_index(self) -> int | None:
        """Index of the video stream among all streams of the container, where a cover may come first; None without."""
        return None if self._probe is None else self._probe.video_index

    @property
    def audio(self) -> tuple[AudioStream, ...]:
        """The audio streams, in the container's order."""
        return () if self._probe is None else self._probe.audio

    @property
    def container(self) -> str:
        """FFmpeg's name of the container, such as 'wav' or 'matroska,webm'; 'still' for a photograph."""
        return 'still' if self._probe is None else self._probe.demuxer

    @property
    def origin_s(self) -> float:
        """The container's time, in seconds, of the recording's 0."""
        return 0.0 if self._probe is None else self._probe.origin_s

    def sha256(self) -> str:
        """The hash of the file's bytes, in hex."""
        return self._source.sha256()

    def frames(self, rate_hz: float | None = None, max_side: int | None = None, from_s: float = 0.0) -> Iterator[Frame]:
        """Frames sorted by time, one at a time; none for a recording without video.

        Args:
            rate_hz: frames per second: for each grid time 0, 1/r, 2/r, … the frame on screen, never the same one
                twice. None yields every frame.
            max_side: longest side in pixels; larger frames are scaled down in conversion.
            from_s: start in seconds: of the grid or, without a rate, of the frames. Earlier parts are
                not decoded if the file has an index; `decoded` then says nothing about losses.

        Raises:
            ValueRangeError: `rate_hz` or `max_side` not positive, or `from_s` not finite.
            MediaError: no frame decodes, and there is no audio. With audio, `decoded` reports it.
            LimitError: a frame is larger, or later, than the limits allow.
        """
        _require_positive('rate_hz', rate_hz)
        _require_positive('max_side', max_side)
        _require_finite('from_s', from_s)
        if self._still is not None:
            return self._still_frame(max_side)
        if self._probe is None or self._probe.video is None:
            return iter(())
        has_sound = bool(self.audio) and not _yielded_nothing(self._audio_pass)
        self._video_pass = VideoPass(self._source, self._probe, self._limits, must_decode=not has_sound)
        return self._video_pass.frames(rate_hz, max_side, from_s)

    @property
    def pictures_end_s(self) -> float:
        """End of the last frame that the latest pass decoded, picked or not, in seconds.

        0 before the first pass and for a photograph.
        """
        return 0.0 if self._video_pass is None else self._video_pass.end_s

    def _still_frame(self, max_side: int | None) -> Iterator[Frame]:
        image_format = 'JPEG' if self._still is None else self._still.codec.upper()
        image, notes = read_still(self._source, image_format, self._limits, max_side)
        self._still_report = StreamReport(
            declared_s=0.0,
            decoded_s=0.0,
            frames=1,
            declared_frames=1,
            packets=1,
            corrupt_frames=len(notes),
            notes=notes,
        )
        yield Frame(0.0, image, bool(notes))

    def samples(
        self, rate_hz: int = 16_000, block_s: float = 10.0, stream: int | None = None, from_s: float = 0.0
    ) -> Iterator[Block]:
        """Mono audio in contiguous blocks; none for a recording without audio.

        Sample n over all blocks is at n / rate_hz seconds after the start of the first block, which is
        0 unless `from_s` is given: audio that begins late is preceded by silence.

        Args:
            rate_hz: sample rate of the output.
            block_s: length of a block; the last one may be shorter.
            stream: index into `audio`; None for that of `audible_stream`.
            from_s: the first block begins at or before this time, in seconds. Earlier parts are not decoded if the file
                has an index; `decoded` then says nothing about losses.

        Raises:
            ValueRangeError: `rate_hz` or `block_s` not positive, or `from_s` not finite.
            UnknownNameError: the recording has audio, but no such stream.
            MediaError: no audio decodes, and there is no video. With video, `decoded` reports it.
            LimitError: the audio is longer than the limits allow.
        """
        _require_positive('rate_hz', rate_hz)
        _require_positive('block_s', block_s)
        _require_finite('from_s', from_s)
        if self._probe is None or not self.audio:
            return iter(())
        stream = self.audible_stream() if stream is None else self.sound_stream(stream)
        has_pictures = self.video is not None and not _yielded_nothing(self._video_pass)
        self._audio_pass = AudioPass(self._source, self._probe, self._limits, stream, must_decode=not has_pictures)
        return self._audio_pass.blocks(int(rate_hz), block_s, from_s)

    def audible_stream(self, seconds: float = 600.0) -> int:
        """The audio stream that is read by default: the default one, or an audible one if that is silent.

        Streams are tried in this order: those that the file marks as default, then the others. The first one
        whose first `seconds` exceed -60 dB is chosen; if all are silent, the first in this order.

        Raises:
            MediaError: the recording has no audio.
        """
        if self._probe is None or not self.audio:
            raise MediaError(expected='a recording with audio', came=self.name, todo='check `audio` first')
        order = sorted(self.audio, key=lambda stream: not stream.is_default)
        if self._audible is None and len(order) > 1:
            self._audible = next((s.index for s in order if self._is_audible(s.index, seconds)), order[0].index)
        return order[0].index if self._audible is None else self._audible

    def _is_audible(self, stream: int, seconds: float) -> bool:
        """Whether the first `seconds` of a stream are audible; False for a stream that does not decode."""
        if self._probe is None:
            return False
        one_pass = AudioPass(self._source, self._probe, self._limits, stream, must_decode=False)
        for block in one_pass.blocks(16_000, 1.0):
            if float(np.sqrt(np.mean(np.square(block.samples)))) > AUDIBLE_RMS:
                return True
            if block.start_s >= seconds:
                break
        return False

    def sound_stream(self, number: int) -> int:
        """The number, if the recording has an audio stream of that number.

        Raises:
            UnknownNameError: it has none; the error lists its streams.
        """
        if 0 <= number < len(self.audio):
            return number
        streams = '; '.join(str(stream) for stream in self.audio) or 'no audio at all'
        raise UnknownNameError(
            expected=f'an audio stream of {self.name}: {streams}',
            came=f'number {number}',
            todo='name one of them, or none to take the default one' if self.audio else 'leave the number out',
        )

    def subtitles(self) -> list[Subtitle] | None:
        """The first embedded text subtitles as (start_s, end_s, text), or None if there are none."""
        track = self.open_subtitles()
        return None if track is None else track.lines

    def open_subtitles(self, encoding: str | None = None) -> EmbeddedSubtitles | None:
        """The first embedded text subtitles and notes on their encoding, or None if there are none.

        The notes say how lines that are not UTF-8 were decoded, and how many were left out.

        Args:
            encoding: encoding of lines that are not UTF-8; None to recognise it.
        """
        if self._probe is None or not self._probe.subtitle_indices:
            return None
        return embedded_subtitles(self._source, self._probe, self._limits, encoding)

    @property
    def decoded(self) -> DecodeReport:
        """Report of what the latest passes decoded, compared with what the file declares."""
        container = self._container_report
        # FFmpeg also marks packets where the segments of a broadcast were joined, which is no loss
        trusts_marks = bool(container.topics)
        video = self._still_report if self._video_pass is None else self._video_pass.report(trusts_marks)
        audio = None if self._audio_pass is None else self._audio_pass.report(trusts_marks)
        remarks = (*self._remarks, *container.remarks)
        if self._audio_pass is not None:
            remarks = (*remarks, *self._stream_choice(self._audio_pass))
        if not container.states_length:
            remarks = (*remarks, NO_LENGTH)
        damage = container.sentences if self._probe is None else (*container.sentences, *self._probe.unreadable)
        return DecodeReport(video, audio, remarks, damage, container.lost_bytes, container.lost_s)

    @cached_property
    def _container_report(self) -> ContainerReport:
        """Report of what the container declares and the file lacks, computed once."""
        if self._probe is None:
            return ContainerReport()
        return missing_bytes(self._source, self._probe.demuxer, tuple(stream.codec for stream in self._probe.audio))

    def _stream_choice(self, one_pass: AudioPass) -> list[str]:
        """Sentences on which of several streams is read, and which of several channels."""
        notes = []
        if len(self.audio) > 1:
            default = next((stream for stream in self.audio if stream.is_default), self.audio[0])
            was_silent = one_pass.stream == self._audible != default.index
            reason = f', for the first choice, number {default}, is silent' if was_silent else ''
            notes.append(f'{len(self.audio)} audio streams; number {self.audio[one_pass.stream]} is read{reason}')
        if one_pass.rescue:
            notes.append(f'in the audio, {one_pass.rescue}')
        return notes

    def __repr__(self) -> str:
        length = 'unknown length' if self.duration_s is None else f'{self.duration_s:.2f} s'
        return f'Recording({self.name!r}, {self.kind}, {length})'


def _yielded_nothing(one_pass: VideoPass | AudioPass | None) -> bool:
    return one_pass is not None and one_pass.is_over and not one_pass.tally.frames


def _require_positive(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < float('inf'):
        raise ValueRangeError(expected=f'{name} above 0', came=repr(value), todo='give a positive number')


def _require_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ValueRangeError(expected=f'a finite {name}', came=repr(value), todo='give a time in seconds')
