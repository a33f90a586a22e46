"""CSV, TSV, JSON and JSON Lines as utterances, including the JSON of Whisper and related programs.

Columns and keys are found by name, case-insensitively: START, END (or DURATION), TEXT, SPEAKER below list the names.
Times are seconds, or clocks ('00:01:02.5'); names that end in '_ms' mean milliseconds. Whisper,
faster-whisper and WhisperX write `{"segments": [{"start", "end", "text", "words": [{"word", "start", "end",
"probability" or "score"}]}]}`; whisper.cpp `{"transcription": [{"offsets": {"from", "to"}, "text"}]}` in
milliseconds. A list of objects, or one object per line, is a table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affekt.errors import TableError, TranscriptError, raised_as
from affekt.tables import table_of_lines
from affekt.tables.recognition import LINE
from affekt.text.utterances import Utterance, Word
from affekt.wording import counted

START = ('start', 'start_s', 'start_time', 'starttime', 'begin', 'onset', 'from', 'start_ms', 'begin_ms')
END = ('end', 'end_s', 'end_time', 'endtime', 'stop', 'offset', 'to', 'end_ms', 'stop_ms')
DURATION = ('duration', 'duration_s', 'dur', 'duration_ms')
TEXT = ('text', 'utterance', 'transcript', 'transcription', 'sentence', 'caption', 'content', 'subtitle', 'words')
SPEAKER = ('speaker', 'speaker_id', 'person', 'participant', 'speaker_name', 'name')
LISTS = ('segments', 'utterances', 'transcription', 'results', 'chunks', 'cues')
"""Keys of an object that may contain the list of utterances; the tuples above are names of columns, by preference."""

Row = Mapping[str, Any]


def read_table(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The rows of a CSV or TSV with a header; the separator is the one that yields the known columns.

    Raises:
        TranscriptError: a column is missing, a time cannot be parsed, or the table is malformed.

    >>> read_table('start,end,text\\n0.5,1,Hello', None, [])[0].text
    'Hello'
    """
    lines = (match[0] for match in LINE.finditer(text.lstrip('\ufeff')))
    with raised_as(TranscriptError, TableError):
        table = table_of_lines(lines, Path('the table'))
    return _rows(zip(table.rows, table.records(), strict=True), 'the table', notes)


def read_json(text: str, duration_s: float | None, notes: list[str]) -> list[Utterance]:
    """The utterances of a JSON document or of JSON Lines; see the module.

    Raises:
        TranscriptError: the text is not JSON or of an unknown form, a key is missing, or a time cannot be parsed.
    """
    content = _parsed(text.lstrip('\ufeff'))
    if isinstance(content, dict):
        lists = [key for key in LISTS if isinstance(content.get(key), list)]
        content = content[lists[0]] if lists else [content]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise TranscriptError(
            expected=f'a list of utterances, or an object with one under {", ".join(LISTS)}',
            came=type(content).__name__ if not isinstance(content, list) else 'a list of other things',
            todo='export it as Whisper does',
        )
    return _rows(enumerate(map(_flat, content), 1), 'the JSON', notes)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise TranscriptError(expected='JSON', came='one nested too deeply', todo='export it again') from error
    except ValueError as document_error:
        try:
            return [json.loads(line) for line in text.split('\n') if line.strip()]
        except (ValueError, RecursionError):
            raise TranscriptError(
                expected='JSON or JSON Lines', came=f'{document_error}', todo='export it again'
            ) from document_error


def _flat(row: Row) -> dict[str, Any]:
    """A row of whisper.cpp ('offsets') or of a pipeline's chunks ('timestamp') with start and end as plain fields."""
    fields = dict(row)
    offsets, timestamp = row.get('offsets'), row.get('timestamp')
    if isinstance(offsets, dict):
        fields |= {'start_ms': offsets.get('from'), 'end_ms': offsets.get('to')}
    elif isinstance(timestamp, list) and len(timestamp) == 2:
        fields |= {'start': timestamp[0], 'end': timestamp[1]}
    return fields


def _rows(rows: Iterable[tuple[int, Row]], source: str, notes: list[str]) -> list[Utterance]:
    utterances, untimed_words = [], 0
    for number, row in rows:
        cells = {key.strip().lower(): value for key, value in row.items() if isinstance(key, str)}
        row_name = f'row {number} of {source}'
        text = _cell(cells, TEXT, str)
        if text is None:
            raise _missing('a text', TEXT, cells, row_name)
        start_s, end_s = _time(cells, START, row_name), _time(cells, END, row_name)
        if start_s is not None and end_s is None and (seconds := _time(cells, DURATION, row_name)) is not None:
            end_s = start_s + seconds
        if start_s is None or end_s is None:
            if not text.strip():
                continue
            raise _missing('a start and an end', (*START, *END, *DURATION), cells, row_name)
        words, untimed = _words(cells.get('words'), row_name)
        untimed_words += untimed
        utterances.append(Utterance(start_s, end_s, _cell(cells, SPEAKER, object) or '', text.strip(), words))
    if untimed_words:
        notes.append(f'{counted(untimed_words, "word")} without times: in the text, but not among the timed words')
    return utterances


def _cell(row: Row, names: tuple[str, ...], cell_type: type) -> str | None:
    """Text of the first of these columns with a cell of the type; None without one."""
    for name in names:
        if isinstance(value := row.get(name), cell_type) and value is not None:
            return str(value).strip() if cell_type is object else str(value)
    return None


def _time(row: Row, names: tuple[str, ...], where: str) -> float | None:
    """Seconds of the first of these columns with a time; None without one."""
    for name in names:
        value = row.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        seconds = _clock(value)
        if seconds is None or not math.isfinite(seconds):
            raise TranscriptError(
                expected='a time in seconds or as hh:mm:ss', came=f'{str(value)[:30]!r} in {where}', todo='correct it'
            )
        return seconds / 1000.0 if name.endswith('_ms') else seconds
    return None


def _clock(value: object) -> float | None:
    """Seconds of a number or a clock; None for another value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    seconds = 0.0
    try:
        for part in str(value).strip().replace(',', '.').split(':'):
            seconds = seconds * 60 + float(part)
    except (ValueError, OverflowError):
        return None
    return seconds


def _words(value: object, where: str) -> tuple[tuple[Word, ...], int]:
    """The timed words of a Whisper segment, and the number of words without times."""
    if not isinstance(value, list):
        return (), 0
    words, untimed = [], 0
    for entry in value:
        cells = entry if isinstance(entry, dict) else {}
        text = _cell(cells, ('word', 'text'), str) or ''
        start_s, end_s = _time(cells, START, where), _time(cells, END, where)
        if start_s is None or end_s is None:
            untimed += bool(text.strip())
            continue
        confidence = next((cells[key] for key in ('probability', 'score', 'confidence') if key in cells), math.nan)
        words.append(
            Word(start_s, end_s, text.strip(), float(confidence) if isinstance(confidence, int | float) else math.nan)
        )
    return tuple(words), untimed


def _missing(content: str, names: tuple[str, ...], row: Row, where: str) -> TranscriptError:
    return TranscriptError(
        expected=f'{content} under one of {", ".join(names)}',
        came=f'{", ".join(list(row)[:12]) or "nothing"} in {where}',
        todo='rename the column',
    )
