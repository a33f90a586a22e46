"""Who speaks, as the text itself says: 'ANNA:', '<v Anna>', '- '; and the words without markup.

A mark in capitals ('ANNA:', 'MAN 2:') always names a speaker. One in mixed case ('Anna:') does where it opens
at least two utterances of the file, or all of two and more, because sentences may also start so ('Listen: …').
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections import Counter
from collections.abc import Sequence

from affekt.text.utterances import Utterance

_TAGS = re.compile(r'</?[a-zA-Z][^<>]{0,200}>|<\d[\d:.]{3,20}>|</>')  # <i>, <font …>, <c.loud>, <00:01.000>
_OVERRIDES = re.compile(r'\{\\[^{}]{0,200}\}')  # {\an8}
_BREAKS = re.compile(r'\\[Nnh]')
_NOTES = re.compile(r'[♩♪♫♬]+')
_SOUND_ONLY = re.compile(r'\s*[-–]?\s*(\[[^\[\]]*\]|\([^()]*\)|\*[^*]*\*)\s*')  # [door slams]
_CAPITALS = re.compile(r"\s*([A-Z][A-Z0-9 .'’&/-]{0,30}):\s+(?=\S)")
_MIXED = re.compile(r"\s*([A-ZÀ-Þ][\w.'’-]{0,20}(?: [A-ZÀ-Þ0-9][\w.'’-]{0,20}){0,2}):\s+(?=\S)")
_DASH = re.compile(r'\s*[-–—]\s*(?=\S)')
_VOICE = re.compile(r'<v(?:\.[^ <>\t]*)?[ \t]+([^<>]{1,100})>')


def without_markup(text: str) -> str:
    """The words alone: no tags, overrides, entities or notes of music; a bare description of a sound becomes ''.

    >>> without_markup('{\\\\an8}<i>I&amp;you</i>')
    'I&you'
    >>> without_markup('[DOOR SLAMS]')
    ''
    """
    bare = html.unescape(_TAGS.sub('', _OVERRIDES.sub('', text)))
    bare = ' '.join(_NOTES.sub(' ', _BREAKS.sub(' ', bare)).split())
    return '' if _SOUND_ONLY.fullmatch(bare) else bare


def name_speakers(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Marks at the start of unnamed utterances moved from the text into `speaker`.

    >>> [(row.speaker, row.text) for row in name_speakers([Utterance(0, 1, '', 'ANNA: Hello.')])]
    [('ANNA', 'Hello.')]
    """
    others = [row.text for row in utterances if not row.speaker and not _CAPITALS.match(row.text)]
    opening = Counter(match[1] for text in others if (match := _MIXED.match(text)))
    all_marked = len(others) > 1 and sum(opening.values()) == len(others)
    named = []
    for row in utterances:
        match = None if row.speaker else _CAPITALS.match(row.text) or _MIXED.match(row.text)
        if match and (_CAPITALS.match(row.text) or all_marked or opening[match[1]] >= 2):
            row = dataclasses.replace(row, speaker=match[1].strip(), text=row.text[match.end() :])
        named.append(row)
    return named


def split_cue(start_s: float, end_s: float, lines: Sequence[str]) -> list[Utterance]:
    """One subtitle to the utterances in it: `<v Anna>` tags and two or more lines that open with a dash part it.

    Parts share the time by their number of characters: a cue says no more.
    """
    text = '\n'.join(lines)
    voices = list(_VOICE.finditer(text))
    if voices:
        ends = [match.start() for match in voices[1:]] + [len(text)]
        parts = [(m[1].strip(), text[m.end() : end]) for m, end in zip(voices, ends, strict=True)]
        if text[: voices[0].start()].strip():
            parts.insert(0, ('', text[: voices[0].start()]))
    else:
        parts = [('', part) for part in _dashed(lines)]
    return shared_out(start_s, end_s, [(name, ' '.join(part.split())) for name, part in parts])


def shared_out(start_s: float, end_s: float, parts: Sequence[tuple[str, str]]) -> list[Utterance]:
    """(speaker, text) pairs put one after another into a span, each as long as its characters say."""
    sizes = [max(1, len(text)) for _, text in parts]
    rows, done = [], 0
    for (speaker, text), size in zip(parts, sizes, strict=True):
        begin = start_s + (end_s - start_s) * done / sum(sizes)
        done += size
        rows.append(Utterance(begin, start_s + (end_s - start_s) * done / sum(sizes), speaker, text))
    return rows


def _dashed(lines: Sequence[str]) -> list[str]:
    """Lines joined to one part, or to one part for each line that opens with a dash, where two or more do."""
    bare = [_OVERRIDES.sub('', _TAGS.sub('', line)) for line in lines]
    dashes = [_DASH.match(line) for line in bare]
    if sum(dash is not None for dash in dashes) < 2:
        first = bare[0][dashes[0].end() :] if bare and dashes[0] else bare[0] if bare else ''
        return [' '.join([first, *bare[1:]])]
    parts: list[str] = []
    for line, dash in zip(bare, dashes, strict=True):
        if dash or not parts:
            parts.append(line[dash.end() :] if dash else line)
        else:
            parts[-1] += f' {line}'
    return parts
