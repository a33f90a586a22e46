"""SubRip, WebVTT and SubStation Alpha as utterances: words, times and named speakers of each cue.

Parsing is as lenient as in players: missing numbers, '.' for ',', missing hours, extra blank lines. A time line that
cannot be parsed is an error that names its line, because skipping it would lose words.
"""

from __future__ import annotations

import re

from affekt.errors import TranscriptError
from affekt.text.speakers import split_cue
from affekt.text.utterances import Utterance

_CLOCK = r'(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?'
_ARROW = re.compile(rf'\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?')
_COMMA = re.compile(rf'\s*{_CLOCK}\s*,\s*{_CLOCK}\s*')  # YouTube's .sbv


def read_srt(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The cues of a SubRip file.

    Raises:
        TranscriptError: there is no time line, or one cannot be parsed.

    >>> read_srt('1\\n00:00:01,500 --> 00:00:02,000\\nHello.\\n', None, [])[0].start_s
    1.5
    """
    return _cues(text.lstrip('\ufeff').split('\n'), 'SubRip')


def read_vtt(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The cues of a WebVTT file; comments, styles and regions are skipped.

    Raises:
        TranscriptError: there is no time line, or one cannot be parsed.
    """
    lines: list[str] = []
    skipping = False
    for line in text.lstrip('\ufeff').split('\n'):
        if not line.strip():
            skipping = False
        elif re.match(r'(NOTE|STYLE|REGION|WEBVTT)(\s|$)', line) and (not lines or not lines[-1].strip()):
            skipping = True
        lines.append('' if skipping else line)
    return _cues(lines, 'WebVTT')


def read_ass(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The dialogue lines of a SubStation Alpha file (.ass, .ssa); comments are skipped.

    Raises:
        TranscriptError: there is no dialogue, or a line lacks fields or times that the format line declares.

    >>> line = 'Dialogue: 0:00:01.50,0:00:02.00,Ann,Hi, you.'
    >>> read_ass(f'[Events]\\nFormat: Start, End, Name, Text\\n{line}', None, [])[0].text
    'Hi, you.'
    """
    fields: tuple[str, ...] = _ASS_FIELDS
    rows: list[Utterance] = []
    for number, line in enumerate(text.lstrip('\ufeff').split('\n'), 1):
        name, _, content = line.partition(':')
        if name.strip().lower() == 'format' and 'text' in content.lower():
            fields = tuple(field.strip().lower() for field in content.split(','))
        elif name.strip().lower() == 'dialogue':
            cells = dict(zip(fields, content.split(',', len(fields) - 1), strict=False))
            clocks = [_ASS_CLOCK.fullmatch(cells.get(side, '').strip()) for side in ('start', 'end')]
            if 'text' not in cells or not all(clocks):
                raise TranscriptError(
                    expected='a dialogue with start, end and text',
                    came=f'"{line.strip()[:60]}" in line {number}',
                    todo='correct that line',
                )
            start_s, end_s = (_seconds(*clock.groups()) for clock in clocks if clock)
            rows.append(Utterance(start_s, end_s, cells.get('name', cells.get('actor', '')).strip(), cells['text']))
    if not rows:
        raise TranscriptError(expected='lines of dialogue', came='none', todo='check the file')
    return rows


_ASS_FIELDS = ('layer', 'start', 'end', 'style', 'name', 'marginl', 'marginr', 'marginv', 'effect', 'text')
"""Fields of a dialogue line where there is no format line."""
_ASS_CLOCK = re.compile(r'(\d{1,3}):(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?')


def _cues(lines: list[str], file_format: str) -> list[Utterance]:
    """The utterances of all cues; each reaches to the time line of the next."""
    times = [
        (index, _span(line, index, file_format))
        for index, line in enumerate(lines)
        if '-->' in line or _COMMA.fullmatch(line)
    ]
    if not times:
        raise TranscriptError(
            expected=f'{file_format} cues with times like 00:00:01,000 --> 00:00:02,000',
            came='none',
            todo='check the file, or rename it to .txt if it is plain text',
        )
    utterances: list[Utterance] = []
    for number, (index, (start_s, end_s)) in enumerate(times):
        if number + 1 < len(times):
            words = _words(lines[index + 1 : times[number + 1][0]], file_format)
        else:
            words = [line for line in lines[index + 1 :] if line.strip()]
        utterances += split_cue(start_s, end_s, words)
    return utterances


def _words(block: list[str], file_format: str) -> list[str]:
    """The lines of a cue, without the number or name of the next cue.

    That follows a blank line; a bare number is also recognised where the file has no blank lines.
    """
    filled = [index for index, line in enumerate(block) if line.strip()]
    if not filled:
        return []
    last = filled[-1]
    is_after_blank = last == 0 or not block[last - 1].strip()
    is_number = block[last].strip().isdigit()
    has_no_blanks = len(filled) == len(block) > 1
    if (is_after_blank and last > 0 and (is_number or file_format == 'WebVTT')) or (is_number and has_no_blanks):
        filled.pop()
    return [block[index] for index in filled]


def _span(line: str, index: int, file_format: str) -> tuple[float, float]:
    match = _ARROW.fullmatch(line) or _COMMA.fullmatch(line)
    if not match:
        raise TranscriptError(
            expected=f'{file_format} times like 00:00:01,000 --> 00:00:02,000',
            came=f'"{line.strip()[:60]}" in line {index + 1}',
            todo='correct that line',
        )
    return _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f'0.{fraction or 0}')
