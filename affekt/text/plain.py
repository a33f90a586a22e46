"""Plain text as utterances, with or without times and speakers.

Three forms, distinguished by the content:

- Lines that begin with a time ('00:01:02', '[01:02.5]', '(1:02 - 1:05)') are utterances. Each lasts to its own end,
  else to the next time, else to the end of the recording, else as long as its characters take at `SPEED`; a line
  without a time continues the previous one.
- Otherwise, with a known duration, each non-empty line (or each sentence, where the text is one line) is an utterance,
  and they share the duration by their characters. A note says that these times are estimates.
- Without a duration the times are nan.
"""

from __future__ import annotations

import math
import re

from affekt.errors import TranscriptError
from affekt.text.speakers import shared_out
from affekt.text.utterances import Utterance
from affekt.wording import counted

SPEED = 15.0
"""Characters per second of conversational English; used only where the end of the last utterance is unknown."""

_CLOCK = r'(?:\d{1,3}:)?\d{1,3}:\d{2}(?:[.,]\d{1,3})?'
_MARK = re.compile(rf'\s*[\[(<]?\s*({_CLOCK})(?:\s*(?:-->|[-–—])\s*({_CLOCK}))?\s*[\])>]?(?=\s|$)\s*[-–—:]?\s*')
_INNER = re.compile(rf'^([^\[\]()<>]{{1,40}}?):?\s*[\[(]({_CLOCK})[\])]:?\s*')  # Anna [00:12]: …
_SENTENCES = re.compile(r'(?<=[.!?…])["\'”’)]*\s+(?=\S)')


def read_plain(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The utterances of plain text; see the module.

    Args:
        text: contents of the file.
        duration_s: duration of the recording in seconds; None where unknown.
        notes: list to which sentences on estimated times are appended.

    Raises:
        TranscriptError: an end time is before its start.

    >>> [(row.start_s, row.text) for row in read_plain('[00:01] Hi.\\n[00:04] Bye.', 9.0, [])]
    [(1.0, 'Hi.'), (4.0, 'Bye.')]
    """
    lines = [line.strip() for line in text.lstrip('\ufeff').replace('\f', '\n').split('\n') if line.strip()]
    marked = [_marked(line) for line in lines]
    if sum(mark is not None for mark in marked) >= max(1, 0.3 * len(lines)):
        return _timed(lines, marked, duration_s, notes)
    parts = lines if len(lines) > 1 else [part for part in _SENTENCES.split(lines[0] if lines else '') if part]
    if duration_s is None:
        notes.append('the text has no times: they are nan')
        return [Utterance(math.nan, math.nan, '', part) for part in parts]
    notes.append('the text has no times: they are estimated from the length of each line')
    return shared_out(0.0, duration_s, [('', part) for part in parts])


def _marked(line: str) -> tuple[float, float | None, str, str] | None:
    """(start, end or None, speaker, words) of a line that begins with a time; None for another line."""
    if match := _MARK.match(line):
        return _seconds(match[1]), _seconds(match[2]) if match[2] else None, '', line[match.end() :]
    if match := _INNER.match(line):
        return _seconds(match[2]), None, match[1].strip(), line[match.end() :]
    return None


def _timed(
    lines: list[str],
    marked: list[tuple[float, float | None, str, str] | None],
    duration_s: float | None,
    notes: list[str],
) -> list[Utterance]:
    """The utterances of lines of which some begin with a time."""
    entries: list[tuple[float, float | None, str, list[str]]] = []
    skipped = 0
    for line, mark in zip(lines, marked, strict=True):
        if mark:
            entries.append((mark[0], mark[1], mark[2], [mark[3]]))
        elif entries:
            entries[-1][3].append(line)
        else:
            skipped += 1
    if skipped:
        notes.append(f'{counted(skipped, "line")} before the first time {"was" if skipped == 1 else "were"} left out')
    starts = sorted(start_s for start_s, _, _, _ in entries)
    utterances, estimated = [], 0
    for start_s, end_s, speaker, parts in entries:
        words = ' '.join(part for part in parts if part)
        if end_s is not None and end_s < start_s:
            raise TranscriptError(
                expected='a start before its end', came=f'{start_s} to {end_s} s at "{words[:30]}"', todo='correct it'
            )
        if end_s is None:
            end_s = next((next_start_s for next_start_s in starts if next_start_s > start_s), None)
        if end_s is None:
            estimated += duration_s is None
            spoken_s = len(words) / SPEED
            end_s = max(duration_s, start_s) if duration_s is not None else start_s + spoken_s
        utterances.append(Utterance(start_s, end_s, speaker, words))
    if estimated:
        notes.append('the end of the last line is estimated from its length')
    return utterances


def _seconds(clock: str) -> float:
    seconds = 0.0
    for part in clock.replace(',', '.').split(':'):
        seconds = seconds * 60 + float(part)
    return seconds
