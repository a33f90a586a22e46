"""Transcript and subtitle files of all common formats as utterances with times.

Formats: SubRip (.srt), WebVTT (.vtt), SubStation Alpha (.ass, .ssa), Praat TextGrid, ELAN (.eaf), tables (.csv, .tsv),
JSON and JSON Lines, the JSON of Whisper, faster-whisper, WhisperX and whisper.cpp, and plain text. The format follows
from the contents where they have a signature, else from the file name.

Unusual times are handled as follows, always with a note in `Transcript.notes`:

- An utterance that ends before it starts, starts before 0, or has a time that is not a number is an error.
- Utterances out of order are sorted by start. Overlapping ones are kept, as people do speak simultaneously.
- With a known duration, an end beyond it is clipped, and an utterance that starts beyond it is left out; when none
  remains, the transcript belongs to another recording, which is an error.
- Plain text without times is spread over the duration by characters; without a duration its times are nan.

Bytes are decoded by `affekt.text_encoding`: by their byte-order mark, as UTF-8, or in a legacy encoding (GBK, Big5,
Shift JIS, Windows …) that is recognised with certainty, with a note; else the file is refused until its encoding is
named. Binary files, files larger than `MAX_BYTES` and XML with a document type or entities are refused.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from affekt.errors import TranscriptError
from affekt.runs import read_regular_file, require_regular_file
from affekt.text.annotations import read_eaf, read_textgrid
from affekt.text.plain import read_plain
from affekt.text.speakers import name_speakers, without_markup
from affekt.text.subtitles import read_ass, read_srt, read_vtt
from affekt.text.tables import read_json, read_table
from affekt.text.utterances import Utterance, Word
from affekt.text_encoding import DecodedText, decode_text
from affekt.wording import counted

__all__ = ['MAX_BYTES', 'READERS', 'Transcript', 'Utterance', 'Word', 'open_transcript', 'read_transcript']

MAX_BYTES = 20_000_000
"""Largest size of a file; a transcript of 300 hours of speech has about this size."""


@dataclass(frozen=True)
class Transcript:
    """Contents of a transcript file."""

    kind: str
    """A key of READERS."""
    encoding: str
    """Encoding of the file, such as utf-8."""
    utterances: tuple[Utterance, ...]
    """Utterances by start, at least one."""
    notes: tuple[str, ...]
    """Sentences on what was inferred, moved, clipped or left out."""


def read_transcript(
    path: str | Path, duration_s: float | None = None, *, encoding: str | None = None
) -> tuple[Utterance, ...]:
    """The utterances of a transcript file, by start.

    Args:
        path: a file of one of the kinds above.
        duration_s: length of the recording in seconds, where known.
        encoding: encoding of the file, such as gb18030 or cp1251; None to recognise it.

    Returns:
        At least one utterance.

    Raises:
        TranscriptError: the file is missing, empty, binary, too large or malformed, or its times are invalid.
    """
    return open_transcript(path, duration_s, encoding=encoding).utterances


def open_transcript(path: str | Path, duration_s: float | None = None, *, encoding: str | None = None) -> Transcript:
    """As `read_transcript`, with notes on what was inferred, moved or left out.

    Args:
        path: a file of one of the kinds above.
        duration_s: length of the recording in seconds, where known.
        encoding: encoding of the file, such as gb18030 or cp1251; None to recognise it.

    Returns:
        A Transcript.

    Raises:
        TranscriptError: see `read_transcript`.
    """
    path = Path(path)
    notes: list[str] = []
    # 1. Bytes to text
    decoded = _decoded(path, encoding)
    notes += decoded.notes
    text = decoded.text.replace('\r\n', '\n').replace('\r', '\n')
    # 2. Text to rows
    file_format = _format_of(path, text)
    utterances = READERS[file_format](text, duration_s, notes)
    # 3. Markup and speaker marks
    utterances = name_speakers(
        [dataclasses.replace(utterance, text=without_markup(utterance.text)) for utterance in utterances]
    )
    spoken = [utterance for utterance in utterances if utterance.text]
    if without_words := len(utterances) - len(spoken):
        verb = 'was' if without_words == 1 else 'were'
        notes.append(f'{counted(without_words, "entry", "entries")} without words {verb} left out')
    if not spoken:
        raise TranscriptError(
            expected='at least one utterance', came=f'none in {path.name} ({file_format})', todo='check the file'
        )
    # 4. Times
    timed = _checked_times(spoken, duration_s, notes, path.name)
    return Transcript(file_format, decoded.encoding, tuple(timed), tuple(notes))


def _decoded(path: Path, encoding: str | None) -> DecodedText:
    try:
        size = require_regular_file(path).st_size
        if size > MAX_BYTES:
            raise TranscriptError(
                expected=f'a transcript of at most {MAX_BYTES / 1e6:.0f} MB',
                came=f'{path.name} of {size / 1e6:.0f} MB',
                todo='split it, or give the transcript instead of the recording',
            )
        raw = read_regular_file(path)
    except OSError as error:
        raise TranscriptError(
            expected='a readable transcript file',
            came=f'{path.name} ({error.strerror or error})',
            todo='check the path',
        ) from error
    if not raw.strip():
        raise TranscriptError(expected='a transcript', came=f'the empty file {path.name}', todo='check the file')
    decoded = decode_text(
        raw,
        path.name,
        encoding=encoding,
        error=TranscriptError,
        todo='name it with --encoding, such as gb18030, big5 or cp1251, or save the file as UTF-8',
    )
    if _looks_binary(decoded.text):
        raise TranscriptError(
            expected='text',
            came=f'{path.name}, which looks binary',
            todo='export it as SRT, VTT, TextGrid, EAF or text',
        )
    return decoded


def _looks_binary(text: str) -> bool:
    """Whether control characters occur that are not part of any text, or too many."""
    control = sum(1 for letter in text[:200_000] if letter < ' ' and letter not in '\t\n\r\f\x0b')
    return '\0' in text or control > 0.01 * min(len(text), 200_000)


def _format_of(path: Path, text: str) -> str:
    """Key of READERS for a file, by its contents, then by its name."""
    start = text[:4096].lstrip('\ufeff \t\n')
    if start.startswith('WEBVTT'):
        return 'vtt'
    if start[:13].lower() == '[script info]':
        return 'ass'
    if 'ooTextFile' in start[:200] or start.startswith('"ooTextFile'):
        return 'textgrid'
    if '<ANNOTATION_DOCUMENT' in start or path.suffix.lower() == '.eaf':
        return 'eaf'
    suffix = path.suffix.lower().lstrip('.')
    file_format = {'tab': 'tsv', 'jsonl': 'json', 'ndjson': 'json', 'sbv': 'srt', 'ssa': 'ass'}.get(suffix, suffix)
    if file_format in READERS:
        return file_format
    if '-->' in start:
        return 'srt'
    if start.startswith(('{"', '[{', '{\n', '[\n')):
        return 'json'
    return 'txt'


def _checked_times(
    utterances: list[Utterance], duration_s: float | None, notes: list[str], name: str
) -> list[Utterance]:
    """Utterances sorted by start, within the recording; see the module."""
    for number, utterance in enumerate(utterances, 1):
        if not utterance.is_timed and not (math.isnan(utterance.start_s) and math.isnan(utterance.end_s)):
            raise _wrong_time(name, number, utterance, 'finite times')
        if utterance.is_timed and (utterance.start_s < 0.0 or utterance.end_s < utterance.start_s):
            raise _wrong_time(name, number, utterance, '0 <= start <= end')
    if not all(utterance.is_timed for utterance in utterances):
        return utterances
    by_start = sorted(utterances, key=lambda utterance: utterance.start_s)
    if by_start != utterances:
        notes.append(f'the transcript {name} was out of order and has been sorted by start')
    return by_start if duration_s is None else _within(by_start, duration_s, notes, name)


def _within(utterances: list[Utterance], duration_s: float, notes: list[str], name: str) -> list[Utterance]:
    kept = [utterance for utterance in utterances if utterance.start_s < duration_s or utterance.start_s == 0.0]
    if not kept:
        raise TranscriptError(
            expected=f'times within the {duration_s:.1f} s of the recording',
            came=f'{name}, whose first utterance starts at {utterances[0].start_s:.1f} s',
            todo='check that it is the transcript of this recording',
        )
    if left_out := len(utterances) - len(kept):
        start = 'starts' if left_out == 1 else 'start'
        notes.append(f'{counted(left_out, "utterance")} of {name} {start} after the recording ends: left out')
    cut = [_cut(utterance, duration_s) if utterance.end_s > duration_s else utterance for utterance in kept]
    if beyond := sum(utterance.end_s > duration_s for utterance in kept):
        notes.append(f'{counted(beyond, "utterance")} of {name} ended after the recording: cut at {duration_s:.2f} s')
    return cut


def _cut(utterance: Utterance, duration_s: float) -> Utterance:
    """The utterance and its words cut at the end of the recording."""
    words = tuple(
        dataclasses.replace(word, end_s=min(word.end_s, duration_s))
        for word in utterance.words
        if word.start_s < duration_s
    )
    return dataclasses.replace(utterance, end_s=duration_s, words=words)


def _wrong_time(name: str, number: int, utterance: Utterance, expected: str) -> TranscriptError:
    return TranscriptError(
        expected=f'{expected} (seconds)',
        came=f'{utterance.start_s} to {utterance.end_s} for utterance {number} of {name}, "{utterance.text[:30]}"',
        todo='correct its times',
    )


Reader = Callable[[str, float | None, list[str]], list[Utterance]]

READERS: dict[str, Reader] = {
    'srt': read_srt,
    'vtt': read_vtt,
    'ass': read_ass,
    'textgrid': read_textgrid,
    'eaf': read_eaf,
    'csv': read_table,
    'tsv': read_table,
    'json': read_json,
    'txt': read_plain,
}
"""Format to the function from the text, the duration in seconds or None, and the list of notes to utterances."""
