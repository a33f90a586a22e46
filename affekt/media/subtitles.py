"""Embedded text subtitles (mov_text, SubRip, WebVTT, ASS) as times and plain text.

FFmpeg decodes only UTF-8 lines. Others are read from their packets, in the encoding that `affekt.text_encoding`
recognises in all lines together; if it is uncertain they are left out, with a note.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import av.error
from av.stream import Discard

from affekt.containers import Limits, Source
from affekt.errors import MediaError
from affekt.media.probe import Probe, open_container
from affekt.text_encoding import decode_text
from affekt.wording import counted

TEXT_CODECS = frozenset({'mov_text', 'subrip', 'srt', 'webvtt', 'ass', 'ssa', 'text'})
ASS_TAG = re.compile(r'\{[^}]*\}')
HTML_TAG = re.compile(r'</?[A-Za-z][^>]*>')
ASS_FIELDS_BEFORE_TEXT = 8
MAX_SUBTITLES = 200_000
"""Subtitles after which further ones are ignored."""


class Subtitle(NamedTuple):
    """One subtitle, with its times in seconds."""

    start_s: float
    end_s: float
    text: str


class EmbeddedSubtitles(NamedTuple):
    """The subtitles of a stream, with notes on their encoding."""

    lines: list[Subtitle]
    """Sorted by start time."""
    notes: tuple[str, ...]
    """Sentences on the recognised encoding and on the number of lines left out."""


class _Packet(NamedTuple):
    start_s: float
    end_s: float
    text: str | None
    """None if FFmpeg cannot decode it."""
    raw: bytes


def embedded_subtitles(
    source: Source, probe: Probe, limits: Limits, encoding: str | None = None
) -> EmbeddedSubtitles | None:
    """The subtitles of the first text stream by time; None if all streams are images (DVD, Blu-ray).

    A subtitle without a duration ends where the next one begins. `encoding` is that of lines that are not UTF-8; None
    to recognise it.
    """
    container, file = open_container(source, limits)
    try:
        for index in probe.subtitle_indices:
            stream = container.streams[index]
            if stream.codec_context is None or stream.codec_context.name not in TEXT_CODECS:
                continue
            for other in container.streams:
                if other.index != index:
                    other.discard = Discard.all
            packets = _packets(container, stream, file, probe.origin_s)
            texts, notes = _texts(packets, encoding)
            lines = [
                Subtitle(packet.start_s, packet.end_s, text)
                for packet, text in zip(packets, texts, strict=True)
                if text
            ]
            return EmbeddedSubtitles(_closed_gaps(sorted(lines)), notes)
        return None
    finally:
        container.close()
        file.close()


def _packets(container: Any, stream: Any, file: Any, origin_s: float) -> list[_Packet]:
    packets: list[_Packet] = []
    try:
        for packet in container.demux(stream):
            file.touch()
            if packet.pts is None or not packet.size or len(packets) >= MAX_SUBTITLES:
                continue
            start_s = float(packet.pts * packet.time_base) - origin_s
            end_s = start_s + float((packet.duration or 0) * packet.time_base)
            raw = _payload(bytes(packet), stream.codec_context.name)
            packets.append(_Packet(max(0.0, start_s), max(0.0, end_s), _text_of(packet, raw), raw))
    except (av.error.FFmpegError, ValueError, OverflowError):
        return packets
    return packets


def _texts(packets: Sequence[_Packet], encoding: str | None) -> tuple[list[str], tuple[str, ...]]:
    """The text of each packet, '' for none, and notes."""
    if all(packet.text is not None for packet in packets):
        return [packet.text or '' for packet in packets], ()
    lost = sum(packet.text is None for packet in packets)
    try:
        joined = b'\n'.join(packet.raw for packet in packets)
        decoded = decode_text(joined, 'the subtitles inside the file', encoding=encoding, error=MediaError)
        texts = [
            _plain(packet.raw.decode(decoded.encoding)) if packet.text is None else packet.text for packet in packets
        ]
    except (MediaError, UnicodeError):
        note = (
            f'{counted(lost, "line")} of the subtitles inside the file {"is" if lost == 1 else "are"} left out: not '
            'UTF-8, and in no recognisable encoding; name it with --encoding'
        )
        return [packet.text or '' for packet in packets], (note,)
    return texts, decoded.notes


def _payload(raw: bytes, codec: str) -> bytes:
    """The text of a packet as stored, without the data around it."""
    if codec == 'mov_text':  # preceded by its length, followed by styles
        return raw[2 : 2 + int.from_bytes(raw[:2], 'big')]
    return raw.split(b',', ASS_FIELDS_BEFORE_TEXT)[-1] if codec in ('ass', 'ssa') else raw


def _text_of(packet: Any, raw: bytes) -> str | None:
    """The plain text of a packet; None if FFmpeg cannot decode it."""
    if raw.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):  # mov_text allows it, but FFmpeg cannot read it
        with contextlib.suppress(UnicodeDecodeError):
            return _plain(raw.decode('utf-16'))
        return None
    try:
        texts = [_plain(_event_text(event)) for event in packet.decode()]
    except (av.error.FFmpegError, ValueError):
        return None
    return '\n'.join(text for text in texts if text)


def _event_text(event: Any) -> str:
    """The text of a decoded line; ASS events have eight fields before it."""
    coded = getattr(event, 'ass', None) or getattr(event, 'text', b'')
    text = coded.decode() if isinstance(coded, bytes) else str(coded)
    return text.split(',', ASS_FIELDS_BEFORE_TEXT)[-1] if hasattr(event, 'ass') else text


def _plain(text: str) -> str:
    """A line without markup; \\N is a new line."""
    text = HTML_TAG.sub('', ASS_TAG.sub('', text))
    return text.replace('\\N', '\n').replace('\\n', '\n').replace('\\h', ' ').strip()


def _closed_gaps(lines: list[Subtitle]) -> list[Subtitle]:
    """The lines, each without a duration lasting until the next one, the last one for two seconds."""
    closed = []
    for position, line in enumerate(lines):
        if line.end_s > line.start_s:
            closed.append(line)
            continue
        following = lines[position + 1].start_s if position + 1 < len(lines) else line.start_s + 2.0
        closed.append(line._replace(end_s=max(following, line.start_s)))
    return closed
