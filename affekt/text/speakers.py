"""Speakers that are marked in the text ('ANNA:', '<v Anna>', '- '), and removal of markup.

A mark in capitals ('ANNA:', 'MAN 2:') always names a speaker. One in mixed case ('Anna:') does where it begins at least
two utterances of the file, or all of at least two, because sentences may also begin like that ('Listen: …').
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
_MUSIC = re.compile(r'[♩♪♫♬]+')
_DESCRIPTION_ONLY = re.compile(r'\s*[-–]?\s*(\[[^\[\]]*\]|\([^()]*\)|\*[^*]*\*)\s*')  # [door slams]
_CAPITALS = re.compile(r"\s*([A-Z][A-Z0-9 .'’&/-]{0,30}):\s+(?=\S)")
_MIXED = re.compile(r"\s*([A-ZÀ-Þ][\w.'’-]{0,20}(?: [A-ZÀ-Þ0-9][\w.'’-]{0,20}){0,2}):\s+(?=\S)")
_DASH = re.compile(r'\s*[-–—]\s*(?=\S)')
_VOICE = re.compile(r'<v(?:\.[^ <>\t]*)?[ \t]+([^<>]{1,100})>')


def without_markup(text: str) -> str:
    """Text without tags, overrides, entities or musical notes; a mere description of a sound becomes ''.

    >>> without_markup('{\\\\an8}<i>I&amp;you</i>')
    'I&you'
    >>> without_markup('[DOOR SLAMS]')
    ''
    """
    bare = html.unescape(_TAGS.sub('', _OVERRIDES.sub('', text)))
    bare = ' '.join(_MUSIC.sub(' ', _BREAKS.sub(' ', bare)).split())
    return '' if _DESCRIPTION_ONLY.fullmatch(bare) else bare


def name_speakers(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Utterances with the speaker marks at their start moved from the text into `speaker`.

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
    """The utterances of one subtitle: split at `<v Anna>` tags, or at dashes that begin two or more lines.

    Parts share the time by their number of characters, since a cue has no inner times.

    Args:
        start_s, end_s: times of the subtitle in seconds.
        lines: its lines of text.
    """
    text = '\n'.join(lines)
    voices = list(_VOICE.finditer(text))
    if voices:
        ends = [match.start() for match in voices[1:]] + [len(text)]
        parts = [(match[1].strip(), text[match.end() : end]) for match, end in zip(voices, ends, strict=True)]
        if text[: voices[0].start()].strip():
            parts.insert(0, ('', text[: voices[0].start()]))
    else:
        parts = [('', part) for part in _dashed(lines)]
    return shared_out(start_s, end_s, [(name, ' '.join(part.split())) for name, part in parts])


def shared_out(start_s: float, end_s: float, parts: Sequence[tuple[str, str]]) -> list[Utterance]:
    """Utterances of (speaker, text) pairs in sequence, which share a span by their numbers of characters.

    Args:
        start_s, end_s: span in seconds.
        parts: speaker and text of each utterance.
    """
    lengths = [max(1, len(text)) for _, text in parts]
    utterances, before = [], 0
    for (speaker, text), length in zip(parts, lengths, strict=True):
        from_s = start_s + (end_s - start_s) * before / sum(lengths)
        before += length
        utterances.append(Utterance(from_s, start_s + (end_s - start_s) * before / sum(lengths), speaker, text))
    return utterances


def _dashed(lines: Sequence[str]) -> list[str]:
    """Lines joined to one text, or to one text per line that begins with a dash, where at least two do."""
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
