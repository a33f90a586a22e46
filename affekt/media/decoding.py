"""Packets to decoded units of one stream, counting every refused packet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av.error
from av.stream import Discard

from affekt.containers import Limits, Source, Stalled, WatchedFile
from affekt.containers.frame_chain import is_tag
from affekt.errors import AffektError
from affekt.media.picture_memory import check_parameter_sets, decoder_threads, pictures_held
from affekt.media.probe import Probe, decoder_pixels, open_container

MAX_FAILURES_IN_A_ROW = 64
"""Consecutive damaged packets, before any frame, after which a stream is given up."""
MAX_READ_FAILURES = 8
"""Failed reads of a file after which reading stops."""
STEP_BACK_S = 1.0
"""Seconds; a larger step back is not jitter, but a clock that restarts."""
MAX_BARREN_PACKETS = 5000
"""Maximum number of consecutive packets without output: far above any codec's delay."""
EMPTY_PACKET = 16
"""Size in bytes of a packet that repeats the previous frame."""
STRICT = {'err_detect': 'crccheck+bitstream+buffer'}
"""Decoder options by which damage is refused instead of concealed."""
CHECKSUMMED = frozenset({'flac', 'ac3', 'eac3', 'wavpack', 'tta', 'mlp', 'truehd'})
"""Codecs whose frames carry a checksum. A frame that fails it is refused instead of decoded to noise."""


@dataclass
class Tally:
    """Counts of one pass, filled while it runs."""

    packets: int = 0
    damaged_packets: int = 0
    sizeable_packets: int = 0
    """Packets that contain more than a repetition."""
    marked_packets: int = 0
    """Packets that the demuxer marked as truncated or following a gap."""
    corrupt_frames: int = 0
    frames: int = 0
    discarded: int = 0
    read_failures: int = 0
    damaged_s: float = 0.0
    clock_restarts: bool = False
    """True if times stepped far back; what was left out since is then another recording, not a repetition."""
    notes: list[str] = field(default_factory=list)

    def add_note(self, sentence: str) -> None:
        """Add a sentence unless it is there already."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def note_step_back(self, clock_s: float, time_s: float) -> None:
        """Note where the times restart."""
        if clock_s - time_s > STEP_BACK_S and not self.clock_restarts:
            self.clock_restarts = True
            self.add_note(f'the times begin anew after {clock_s:.2f} s, as where recordings are joined')


class DamagedSpans:
    """Parts of a stream in which a count of its damage rose, as (start, end) in seconds; close ones are joined."""

    MOST = 10_000
    """Maximum number of spans; the last one grows beyond it."""

    def __init__(self) -> None:
        self._counts: tuple[Any, ...] = ()
        self.spans: list[tuple[float, float]] = []

    def note(self, begin_s: float, end_s: float, *counts: float) -> None:
        """Note the counts after the part from `begin_s` to `end_s` was decoded."""
        if counts == self._counts or not (self._counts or any(counts)):
            return
        self._counts = counts
        if self.spans and (begin_s - self.spans[-1][1] < 1.0 or len(self.spans) == self.MOST):
            self.spans[-1] = (self.spans[-1][0], max(end_s, self.spans[-1][1]))
        else:
            self.spans.append((begin_s, end_s))


@dataclass
class OpenStream:
    """One stream of an opened container."""

    container: Any
    stream: Any
    file: WatchedFile
    source: Source
    pictures_held: int = 0
    """Number of decoded frames held at once."""

    def close(self) -> None:
        """Close container and stream and release the decoder's reference frames.

        PyAV's container and streams refer to each other, and would hold 100 MB of 4K frames until a garbage collection.
        """
        context = self.stream.codec_context
        if self.stream.type == 'video' and context is not None and context.is_open:
            context.flush_buffers()
        self.container.close()
        self.file.close()


def open_stream(source: Source, index: int, limits: Limits) -> OpenStream:
    """The stream at container position `index`, with all other streams discarded unread and a strict decoder."""
    container, file = open_container(source, limits)
    stream = container.streams[index]
    for unused in container.streams:
        if unused.index != index:
            unused.discard = Discard.all
    options = dict(STRICT)
    if stream.codec_context.name in CHECKSUMMED:
        options['err_detect'] += '+explode'
    if stream.type == 'video':
        options['max_pixels'] = str(decoder_pixels(limits))
        stream.thread_type = 'AUTO'
        stream.codec_context.thread_count = decoder_threads(stream.codec_context, limits)
    stream.codec_context.options = options
    pictures = pictures_held(stream.codec_context) if stream.type == 'video' else 0
    return OpenStream(container, stream, file, source, pictures)


SEEKABLE = ('mov', 'matroska', 'wav')
"""Prefixes of demuxers whose files index times by byte; others guess, which makes their times inexact."""


def stream_from(source: Source, index: int, limits: Limits, probe: Probe, from_s: float) -> tuple[OpenStream, bool]:
    """The stream at container position `index`, positioned at or before a time, and whether it was moved.

    It stays at its beginning if the file does not index that point exactly, or if the first frame decoded from there is
    later.

    Args:
        source, index, limits: as for `open_stream`.
        probe: declarations of the file.
        from_s: seconds on the recording's clock.
    """
    if from_s > 0 and probe.demuxer.startswith(SEEKABLE) and _decodes_by(source, index, limits, probe, from_s):
        opened = open_stream(source, index, limits)
        _seek(opened, probe, from_s)
        return opened, True
    return open_stream(source, index, limits), False


def _decodes_by(source: Source, index: int, limits: Limits, probe: Probe, from_s: float) -> bool:
    """Whether the first unit that decodes after moving is at or before a time."""
    opened = open_stream(source, index, limits)
    try:
        _seek(opened, probe, from_s)
        base = opened.stream.time_base or Fraction(1, 1000)
        for unit in decoded_units(opened, Tally(), limits):
            return unit.pts is not None and 0 <= float(unit.pts * base) - probe.origin_s <= from_s
        return False
    except (av.FFmpegError, Stalled, ValueError, OverflowError):
        return False
    finally:
        opened.close()


def _seek(opened: OpenStream, probe: Probe, from_s: float) -> None:
    base = opened.stream.time_base or Fraction(1, 1000)
    opened.container.seek(int((from_s + probe.origin_s) / float(base)), stream=opened.stream, backward=True)


def decoded_units(opened: OpenStream, tally: Tally, limits: Limits) -> Iterator[Any]:
    """Decoded frames in the decoder's order. Refused packets are counted, not raised as errors.

    Raises:
        Stalled: no output for `limits.max_stall_s` of work.
        LimitError: a packet declares larger frames, or more reference frames, than the limits allow.
    """
    failures_in_a_row = without_output = 0
    # other demuxers mark the last packet of a file without a declared length
    counts_packets = opened.container.format.name == 'mpegts'
    may_pack_tags = opened.container.format.name in ('mp3', 'aac')
    for packet in _packets(opened, tally):
        opened.file.check()
        is_flush = packet.size == 0 and packet.dts is None
        if not is_flush:
            tally.packets += 1
            tally.marked_packets += int(counts_packets and bool(packet.is_corrupt))
            tally.sizeable_packets += int(packet.size > EMPTY_PACKET)
            tally.discarded += int(bool(packet.is_discard))
            if opened.stream.type == 'video':
                check_parameter_sets(opened.stream.codec_context, bytes(packet), opened.source.name, limits)
        units, failed = _decode(packet, opened, is_flush)
        if failed and not (may_pack_tags and is_tag(bytes(packet))):
            failures_in_a_row += 1
            tally.damaged_packets += 1
            tally.damaged_s += float((packet.duration or 0) * (packet.time_base or 0))
            if failures_in_a_row > MAX_FAILURES_IN_A_ROW and not tally.frames:
                tally.add_note(f'gave up after {failures_in_a_row} damaged packets in a row')
                return
        without_output += 1
        if without_output > MAX_BARREN_PACKETS:
            tally.add_note(f'gave up after {without_output} packets that held nothing')
            return
        units.reverse()
        while units:
            failures_in_a_row = without_output = 0
            tally.frames += 1
            yield units.pop()  # no local name: a large frame is freed before the next is decoded
            opened.file.touch()


def _decode(packet: Any, opened: OpenStream, is_flush: bool) -> tuple[list[Any], bool]:
    """The units of one packet and whether the decoder refused it; a flush is repeated after an error."""
    units: list[Any] = []
    failed = False
    for _ in range(MAX_FAILURES_IN_A_ROW if is_flush else 1):
        try:
            units += packet.decode()
            break
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            if opened.file.failure is not None:
                raise opened.file.failure from error
            if isinstance(error, av.error.EOFError):
                break
            failed = True
    return units, failed


def _packets(opened: OpenStream, tally: Tally) -> Iterator[Any]:
    """All packets, then the flush; a failed read is repeated a few times, since the next packet may be intact."""
    while True:
        try:
            yield from opened.container.demux(opened.stream)
            return
        except AffektError:
            raise
        except IndexError:
            opened.file.check()  # a packet of a stream that is not in the header, which PyAV does not know
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            if opened.file.failure is not None:
                raise opened.file.failure from error
            tally.read_failures += 1
            if tally.read_failures > MAX_READ_FAILURES:
                tally.add_note(f'reading stopped for good after {tally.read_failures} failures')
                return


def declared_seconds(probe: Probe, stream: Any) -> float | None:
    """The length that the container declares for this stream alone; None if only the file's length is known.

    If two header fields disagree, the longer counts, so that a damaged table does not hide a loss.
    """
    start_s = max(0.0, float((stream.start_time or 0) * (stream.time_base or 0)))
    if stream.duration is not None and stream.duration > 0 and stream.time_base:
        length_s = float((stream.duration - probe.first_ticks.get(int(stream.id), 0)) * stream.time_base)
        return max(length_s, probe.track_ends_s.get(int(stream.id), 0.0) - start_s)
    parts = stream.metadata.get('DURATION', '').split(':')
    with suppress(ValueError):
        hours, minutes, seconds = (float(part) for part in parts)
        length_s = hours * 3600 + minutes * 60 + seconds - start_s  # Matroska's tag counts from 0
        return length_s if length_s > 0 else None
    return None
