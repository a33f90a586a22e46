"""An analysis in the formats of other programs.

    parquet   the timeline, all rows and columns, and what identifies the recording: file (its path relative to the
              analyzed folder), part1, part2, … (the folders in that path), sha256
    csv       the same with start and end for start_s and end_s, as in audformat's segmented tables; an empty cell where
              nothing was measured
    json      everything except images
    eaf       ELAN: per person a tier of the course, words, face, voice, fused categories, labels; one of moments
    textgrid  Praat TextGrid: the same tiers
    vtt       WebVTT: utterances as cues, with speaker and impression

Intervals of a tier cannot overlap: overlapping rows share an interval, their texts joined by ' / '.
"""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from affekt.analysis import storage
from affekt.analysis.analysis import Analysis
from affekt.analysis.phrases import LEAST_TOLD
from affekt.analysis.records import Source, Stretch, parts_of
from affekt.analysis.rows import weights_as_text
from affekt.analysis.timeline import overlap
from affekt.errors import UnknownNameError
from affekt.files import place_atomically
from affekt.labels import EKMAN
from affekt.plugins import Members, called
from affekt.tables import spreadsheet_safe, text_array
from affekt.typed_json import plain

Interval = tuple[float, float, str]
_UNPRINTABLE = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]')
MOMENT_TIER = 'moments'
DESCRIBED_BY = 'described by model'
"""Prefix of the tier, and of the caption note, that holds a describer's answer."""
ELAN_TYPES = {
    '.wav': 'audio/x-wav', '.wave': 'audio/x-wav', '.mp3': 'audio/mpeg', '.m4a': 'audio/mp4', '.aac': 'audio/aac',
    '.flac': 'audio/flac', '.ogg': 'audio/ogg', '.oga': 'audio/ogg', '.opus': 'audio/ogg', '.aif': 'audio/x-aiff',
    '.aiff': 'audio/x-aiff', '.wma': 'audio/x-ms-wma', '.mka': 'audio/x-matroska', '.mp4': 'video/mp4',
    '.m4v': 'video/mp4', '.mov': 'video/quicktime', '.qt': 'video/quicktime', '.mpg': 'video/mpeg',
    '.mpeg': 'video/mpeg', '.avi': 'video/x-msvideo', '.mkv': 'video/x-matroska', '.webm': 'video/webm',
    '.ogv': 'video/ogg', '.wmv': 'video/x-ms-wmv', '.flv': 'video/x-flv', '.3gp': 'video/3gpp', '.ts': 'video/mp2t',
    '.mts': 'video/mp2t', '.m2ts': 'video/mp2t', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg', '.png': 'image/png',
    '.gif': 'image/gif', '.webp': 'image/webp', '.bmp': 'image/bmp', '.tif': 'image/tiff', '.tiff': 'image/tiff',
    '.heic': 'image/heic', '.heif': 'image/heif', '.avif': 'image/avif',
}  # fmt: skip
"""File extension to MIME type as ELAN writes it; audio/x-wav makes ELAN draw a waveform."""
FALLBACK_S = 1.0
"""Length in seconds of an exported file for a recording without length."""


def export(
    analysis: Analysis | str | Path, to: str, out: str | Path, *, raw_csv: bool = False, least_parts: int = 0
) -> Path:
    """Writes an analysis in another format; atomically.

    Args:
        analysis: the analysis, or the folder that holds it.
        to: a key of EXPORTS.
        out: the file to write.
        raw_csv: whether a CSV keeps texts that a spreadsheet would run as formulas; False puts an apostrophe in front.
        least_parts: minimum number of columns part1, part2, …, so that the tables of a run have equal columns.

    Returns:
        The file's path.

    Raises:
        UnknownNameError: unknown format.
        RunError: the folder holds no analysis, or the file cannot be written.
    """
    if to not in EXPORTS:
        raise UnknownNameError(expected=f'a format among {sorted(EXPORTS)}', came=f'{to!r}', todo='choose one of them')
    loaded = analysis if isinstance(analysis, Analysis) else Analysis.load(analysis)
    target = Path(out)
    writer = partial(write_csv, raw=raw_csv, least_parts=least_parts) if to == 'csv' else EXPORTS[to]
    writer = partial(write_parquet, least_parts=least_parts) if to == 'parquet' else writer
    with place_atomically(target) as temporary, storage.holds_together(loaded.source.name), EXPORTS.blaming(to):
        writer(loaded, temporary)
    return target


def tiers(analysis: Analysis) -> dict[str, list[Interval]]:
    """Tier name to intervals (start_s, end_s, text), sorted, without overlap; empty tiers are left out."""
    by_tier: dict[str, list[Interval]] = {}
    for person in analysis.lanes:
        name = person.name
        by_tier[f'{name} course'] = [(x.start_s, x.end_s, _course_text(x)) for x in person.course]
        by_tier[f'{name} words'] = [(x.start_s, x.end_s, x.shown) for x in analysis.utterances if x.person == name]
        for source in ('face', 'voice', 'fused'):
            by_tier[f'{name} {source}'] = _categories(analysis, name, source)
        spans = {(x.start_s, x.end_s) for x in analysis.labels if x.person == name and x.scope == 'span'}
        by_tier[f'{name} labels'] = [
            (start, end, _labels(analysis, name, start, end, exactly=True)) for start, end in sorted(spans)
        ]
    for described in analysis.described:
        text = described.text or f'not described: {described.failure}'
        by_tier[f'{DESCRIBED_BY} {described.describer}'] = [(0.0, analysis.source.duration_s, text)]
    by_tier[MOMENT_TIER] = [
        (moment.start_s, moment.end_s, f'{moment.kind}: {moment.sentence}') for moment in analysis.moments
    ]
    flattened_tiers = {name: flattened(intervals, analysis.source.duration_s) for name, intervals in by_tier.items()}
    return {name: intervals for name, intervals in flattened_tiers.items() if intervals}


def _course_text(stretch: Stretch) -> str:
    """'sadness 0.54', or 'unclear (contradiction)'."""
    if stretch.certainty is None:
        return f'{stretch.label} ({stretch.reason})' if stretch.reason else stretch.label
    return f'{stretch.label} {stretch.certainty:.2f}'


def length_ms(duration_s: float) -> int:
    """Length of an exported file in milliseconds, that of FALLBACK_S for a recording without length."""
    return round(max(duration_s, 0.0) * 1000) or round(FALLBACK_S * 1000)


def flattened(intervals: Iterable[Interval], duration_s: float) -> list[Interval]:
    """The intervals without overlap, inside the recording, in seconds rounded to milliseconds, each text on one line.

    Where several overlap, their texts are joined in order of start; touching intervals with equal texts become one.
    """
    limit = length_ms(duration_s)
    clipped = [
        (min(round(start * 1000), limit - 1), min(max(round(end * 1000), round(start * 1000) + 1), limit), clean(text))
        for start, end, text in intervals
        if np.isfinite(start) and np.isfinite(end) and start >= 0
    ]
    clipped = sorted((start, end, text) for start, end, text in clipped if text and end > start)
    edges = sorted({edge for start, end, _ in clipped for edge in (start, end)})
    result: list[tuple[int, int, str]] = []
    first = 0
    for low, high in pairwise(edges):
        while first < len(clipped) and clipped[first][1] <= low:
            first += 1
        active = [text for start, end, text in clipped[first:] if start <= low and end >= high]
        if not active:
            continue
        text = ' / '.join(dict.fromkeys(active))
        if result and result[-1][2] == text and result[-1][1] == low:
            result[-1] = (result[-1][0], high, text)
        else:
            result.append((low, high, text))
    return [(start / 1000, end / 1000, text) for start, end, text in result]


def clean(text: str) -> str:
    """The text on one line, without characters that XML forbids."""
    return ' '.join(_UNPRINTABLE.sub(' ', text).split())


def _categories(analysis: Analysis, person: str, source: str) -> list[Interval]:
    """The likeliest category of each step or turn; abstentions with their reason."""
    series = analysis.timeline.series(person, source)
    intervals = []
    for step in range(len(series)):
        shares = series.probabilities[step]
        if not np.isnan(shares).any():
            text = EKMAN[int(shares.argmax())]
        elif series.abstained[step]:
            text = f'({series.abstained[step]})'
        else:
            continue
        intervals.append((float(series.start_s[step]), float(series.end_s[step]), text))
    return intervals


def _labels(
    analysis: Analysis, person: str, start_s: float, end_s: float, *, exactly: bool = False, least: float = 0.0
) -> str:
    """The labels of a person's span, or of the spans that overlap it most: 'amused 0.62, tense 0.30'."""
    words: dict[str, float] = {}
    for label in analysis.labels:
        if label.person != person or label.scope != 'span' or label.certainty < least:
            continue
        is_same_span = (label.start_s, label.end_s) == (start_s, end_s)
        shared_s = overlap((label.start_s, label.end_s), (start_s, end_s))
        if is_same_span or (not exactly and shared_s >= 0.5 * (end_s - start_s)):
            words[label.word] = max(words.get(label.word, 0.0), label.certainty)
    return ', '.join(f'{word} {certainty:.2f}' for word, certainty in words.items())


def with_identity(analysis: Analysis, least_parts: int = 0) -> pa.Table:
    """The timeline with columns that identify the recording: file first; part1, part2, … and sha256 after the times."""
    table = weights_as_text(analysis.timeline.to_arrow())
    return storage.named(table, analysis.source.identity, least_parts, times=2)


def write_parquet(analysis: Analysis, out: Path, *, least_parts: int = 0) -> None:
    """The timeline with the identity of the recording, as one Parquet file."""
    pq.write_table(with_identity(analysis, least_parts), out, compression='zstd')


def write_csv(analysis: Analysis, out: Path, *, raw: bool = False, least_parts: int = 0) -> None:
    """The identity of the recording, then the timeline with start and end in seconds, as CSV."""
    table = with_identity(analysis, least_parts)
    names = ['start' if name == 'start_s' else 'end' if name == 'end_s' else name for name in table.column_names]
    for index, column in enumerate(table.schema):
        if pa.types.is_floating(column.type):
            values = table.column(index)
            table = table.set_column(index, column.name, pc.if_else(pc.is_nan(values), None, values))
        elif column.type == pa.string() and not raw:
            texts = table.column(index).combine_chunks().dictionary_encode()
            safe = text_array([spreadsheet_safe(text) for text in texts.dictionary.to_pylist()])
            table = table.set_column(index, column.name, safe.take(texts.indices))
    pa_csv.write_csv(table.rename_columns(names), out)


def write_json(analysis: Analysis, out: Path) -> None:
    """Everything except images, as JSON; the timeline as a list of rows, nan as null."""
    rows = plain(weights_as_text(analysis.timeline.to_arrow()).to_pylist())
    identity = analysis.source.identity
    content = {'file': identity['file'], 'parts': list(parts_of(identity['file'])), 'sha256': identity['sha256']}
    content |= {**analysis.to_dict(), 'timeline': rows}
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
    out.write_text(text, encoding='utf-8')


def write_eaf(analysis: Analysis, out: Path) -> None:
    """An ELAN file with one tier per person and source."""
    from pympi.Elan import Eaf

    document = Eaf(author='affekt')
    document.remove_tier('default')
    for name, intervals in tiers(analysis).items():
        document.add_tier(name)
        for start, end, text in intervals:
            document.add_annotation(name, round(start * 1000), round(end * 1000), text)
    if not document.get_tier_names():
        document.add_tier('default')
    name = clean(analysis.source.name)
    document.add_linked_file(name, relpath=name, mimetype=elan_type(analysis.source))
    with tempfile.TemporaryDirectory() as folder:  # pympi would rename an existing file
        document.to_file(str(Path(folder) / 'whole.eaf'))
        out.write_bytes((Path(folder) / 'whole.eaf').read_bytes())


def elan_type(source: Source) -> str:
    """The MIME type under which ELAN opens a recording."""
    suffix = PurePath(source.name).suffix.lower()
    fallback = {'audio': 'audio/*', 'image': 'image/*'}.get(source.kind, 'video/*')
    return ELAN_TYPES.get(suffix, fallback)


def write_textgrid(analysis: Analysis, out: Path) -> None:
    """A Praat TextGrid with the same tiers; an analysis without any has one empty tier."""
    from praatio import textgrid

    length_s = length_ms(analysis.source.duration_s) / 1000
    grid = textgrid.Textgrid(0.0, length_s)
    for name, intervals in (tiers(analysis) or {MOMENT_TIER: []}).items():
        grid.addTier(textgrid.IntervalTier(name, intervals or [(0.0, length_s, '')], 0.0, length_s))
    grid.save(str(out), format='long_textgrid', includeBlankSpaces=True)


def write_vtt(analysis: Analysis, out: Path) -> None:
    """WebVTT cues: each utterance with its speaker's voice tag, and its impression in brackets."""
    from webvtt import Caption, WebVTT

    captions = WebVTT()
    for spoken in analysis.utterances:
        text = clean(spoken.shown)
        if not text or not np.isfinite([spoken.start_s, spoken.end_s]).all():
            continue
        # A caption has no room for certainties, so it has only words certain enough for a sentence.
        words = _labels(analysis, spoken.person, spoken.start_s, spoken.end_s, least=LEAST_TOLD)
        labels = re.sub(r' \d\.\d+', '', words)
        label_text = f' [{labels}]' if labels else ''
        name = clean(spoken.person).replace('>', '').replace('&', '&amp;').replace('<', '&lt;')
        end = max(spoken.end_s, spoken.start_s + 0.001)
        line = f'<v {name}>{html.escape(text + label_text, quote=False)}'
        captions.captions.append(Caption(_stamp(spoken.start_s), _stamp(end), line))
    with out.open('w', encoding='utf-8') as file:
        captions.write(file)
        for described in analysis.described:  # notes are comments, which no player shows
            answer = described.text or f'not described: {described.failure}'
            file.write(f'\n\nNOTE {_note(f"{DESCRIBED_BY} {described.describer}: {answer}")}\n')


def _note(text: str) -> str:
    """The text as a WebVTT comment, without sequences that would end it."""
    return clean(text).replace('-->', '->')


def _stamp(time_s: float) -> str:
    """hh:mm:ss.mmm."""
    ticks = max(0, round(time_s * 1000))
    return f'{ticks // 3_600_000:02d}:{ticks // 60_000 % 60:02d}:{ticks // 1000 % 60:02d}.{ticks % 1000:03d}'


EXPORTS: Members[Callable[[Analysis, Path], None]] = Members('exports', {
    'parquet': write_parquet,
    'csv': write_csv,
    'eaf': write_eaf,
    'textgrid': write_textgrid,
    'vtt': write_vtt,
    'json': write_json,
}, called)  # fmt: skip
"""Format to the function that writes it; other packages add theirs as `affekt.exports`."""
SUFFIXES: Mapping[str, str] = {
    'parquet': '.parquet', 'csv': '.csv', 'eaf': '.eaf', 'textgrid': '.TextGrid', 'vtt': '.vtt', 'json': '.json',
}  # fmt: skip
"""Format to its file extension; for formats of other packages, the name itself."""
