"""Embedded text subtitles (mov_text, SubRip, WebVTT, ASS) as times and plain text."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import av.error
from av.stream import Discard

from affekt.media.limits import Limits
from affekt.media.probe import Probe, open_container
from affekt.media.source import Source

TEXT_CODECS = frozenset({'mov_text', 'subrip', 'srt', 'webvtt', 'ass', 'ssa', 'text'})
ASS_TAG = re.compile(r'\{[^}]*\}')
HTML_TAG = re.compile(r'</?[A-Za-z][^>]*>')
ASS_FIELDS_BEFORE_TEXT = 8
MAX_SUBTITLES = 200_000


class Subtitle(NamedTuple):
    """One line of subtitles."""

    start_s: float
    end_s: float
    text: str


def embedded_subtitles(source: Source, probe: Probe, limits: Limits) -> list[Subtitle] | None:
    """The first text stream's lines in order of time; None where every stream is pictures (DVD, Blu-ray).

    Lines that do not decode are left out; a subtitle without a duration ends where the next begins.
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
            return _closed_gaps(sorted(_lines(container, stream, file, probe.origin_s)))
        return None
    finally:
        container.close()
        file.close()


def _lines(container: Any, stream: Any, file: Any, origin_s: float) -> list[Subtitle]:
    lines: list[Subtitle] = []
    try:
        for packet in container.demux(stream):
            file.touch()
            if packet.pts is None or not packet.size or len(lines) >= MAX_SUBTITLES:
                continue
            start_s = float(packet.pts * packet.time_base) - origin_s
            end_s = start_s + float((packet.duration or 0) * packet.time_base)
            text = _text_of(packet)
            if text:
                lines.append(Subtitle(max(0.0, start_s), max(0.0, end_s), text))
    except (av.error.FFmpegError, ValueError, OverflowError):
        return lines
    return lines


def _text_of(packet: Any) -> str:
    """Plain text of a packet; ASS events carry eight fields before the text, and \\N for a new line."""
    try:
        events = packet.decode()
    except (av.error.FFmpegError, ValueError, UnicodeDecodeError):
        return ''
    parts = []
    for event in events:
        raw = getattr(event, 'ass', None) or getattr(event, 'text', b'')
        text = raw.decode('utf-8', 'replace') if isinstance(raw, bytes) else str(raw)
        if hasattr(event, 'ass') and text.count(',') >= ASS_FIELDS_BEFORE_TEXT:
            text = text.split(',', ASS_FIELDS_BEFORE_TEXT)[-1]
        text = HTML_TAG.sub('', ASS_TAG.sub('', text))
        parts.append(text.replace('\\N', '\n').replace('\\n', '\n').replace('\\h', ' ').strip())
    return '\n'.join(part for part in parts if part)


def _closed_gaps(lines: list[Subtitle]) -> list[Subtitle]:
    closed = []
    for position, line in enumerate(lines):
        if line.end_s > line.start_s:
            closed.append(line)
            continue
        following = lines[position + 1].start_s if position + 1 < len(lines) else line.start_s + 2.0
        closed.append(line._replace(end_s=max(following, line.start_s)))
    return closed
