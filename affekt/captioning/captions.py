"""The captions of clips: one `Caption` per clip, its line in the journal, and the tables of all of them.

A folder of captions holds

    captions.csv, captions.parquet   one row per clip in the order of the manifest, identical however often the run was
                                     killed: name, description, openset (its labels), both clues, subtitle, status, …
    use.csv                          one row per clip and step: calls, tokens, and seconds, which differ between runs
    clips.csv                        the paths of each clip, and its segment of each file
    shard-i-of-n/                    the run itself: settings, journal, and every raw answer

`status` is one of `STATUSES`; a clip without labels has an openset of `[]`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

from affekt.errors import TableError
from affekt.runs import file_atomically
from affekt.tables import csv_line, read_columns, storable

MERGED, KEPT, UNJUDGED, FAILED = 'merged', 'kept', 'unjudged', 'failed'
OK = 'ok'
REFUSED = 'refused'
UNUSABLE = ('refusal', 'nonsense', 'empty', 'dropped', REFUSED)
"""Statuses of unusable answers: a refusal, nonsense, an empty answer, one from a model that did not receive the media,
or a question that a server refused while it answers others."""
ABSENT = ('absent', 'withheld', 'unreadable')
"""Statuses of clues that were not asked for: the clip has no such media, they are withheld, or unreadable."""
STATUSES: Mapping[str, str] = {
    MERGED: 'both clues, or one of them, and the words were merged by the model',
    KEPT: 'nothing is said in the clip: the clues are not merged',
    UNJUDGED: 'there is no clue: the description is the sentence that says so',
    'refusal': 'the merging model refused',
    'nonsense': 'the answer of the merging model was nonsense',
    'empty': 'the answer of the merging model was empty',
    REFUSED: 'the server of the merging model answers others and refuses this question',
    FAILED: 'there was no answer; the next run asks again',
}
"""Status of a caption to its meaning."""
DESCRIBED = (MERGED, KEPT)
"""Statuses of captions that describe a clip."""
STEPS = ('audio', 'visual', 'merge', 'labels', 'translate', 'second_labels')
TABLE, TABLE_CSV, USE, CLIPS = 'captions.parquet', 'captions.csv', 'use.csv', 'clips.csv'
WINDOW, AUDIO_WINDOW = ('start_s', 'end_s'), ('audio_start_s', 'audio_end_s')
"""Columns of `clips.csv` with the segment of a clip in its video (without one, in its audio), and in an audio file
beside a video, which may be cut otherwise."""
SECOND = 'second_language.csv'
COLUMNS = (
    'name', 'description', 'openset', 'audio_clue', 'visual_clue', 'subtitle', 'status', 'audio_status',
    'visual_status', 'label_status', 'why', 'models', 'calls', 'prompt_tokens', 'answer_tokens',
)  # fmt: skip
SPELLINGS: Mapping[str, Sequence[str]] = {
    'name': ('name', 'sample', 'names'),
    'openset': ('openset', 'labels', 'label'),
    'description': ('description', 'reason', 'reasons', 'english'),
}
"""Column to its headers in tables of others, the first that a table has."""
ROWS_A_GROUP = 2_000
"""Rows per group in the Parquet file."""
NUMBERS = ('calls', 'prompt_tokens', 'answer_tokens')
USE_COLUMNS = ('name', 'step', 'model', 'calls', 'prompt_tokens', 'answer_tokens', 'uncounted', 'seconds')
SECOND_COLUMNS = ('name', 'language', 'description', 'labels_ee', 'labels_ce', 'labels_cc', 'labels_ec')


@dataclass(frozen=True)
class Use:
    """Calls, tokens and time of one step of one clip."""

    model: str = ''
    calls: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    uncounted: int = 0
    """Calls whose tokens the server did not count."""
    seconds: float = 0.0
    """Seconds spent waiting for answers."""

    def __add__(self, other: Use) -> Use:
        return Use(
            self.model or other.model, self.calls + other.calls, self.prompt_tokens + other.prompt_tokens,
            self.answer_tokens + other.answer_tokens, self.uncounted + other.uncounted, self.seconds + other.seconds,
        )  # fmt: skip


@dataclass(frozen=True)
class SecondLanguage:
    """A description in a second language, and the labels of both versions in both languages."""

    language: str
    description: str = ''
    labels_ee: tuple[str, ...] = ()
    """English labels of the English description."""
    labels_ce: tuple[str, ...] = ()
    """English labels of the description in the second language."""
    labels_cc: tuple[str, ...] = ()
    """Labels of the description in the second language, in that language."""
    labels_ec: tuple[str, ...] = ()
    """Labels of the English description, in the second language."""


@dataclass(frozen=True)
class Caption:
    """The caption of one clip."""

    name: str
    status: str
    """Status of the caption, one of `STATUSES`."""
    description: str = ''
    labels: tuple[str, ...] = ()
    audio_clue: str = ''
    visual_clue: str = ''
    subtitle: str = ''
    audio_status: str = ''
    """Status of the audio clue: `ok`, one of `UNUSABLE`, or one of `ABSENT`."""
    visual_status: str = ''
    label_status: str = ''
    """How the labels were read, as `affekt.llm.Extraction.how`; '' if there was nothing to read."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Step to the reason why it has no result."""
    use: Mapping[str, Use] = field(default_factory=dict)
    """Step to its calls, tokens and time."""
    second: SecondLanguage | None = None
    seconds: float = 0.0
    """Seconds from the first byte read to the last answer."""
    media: Mapping[str, int] = field(default_factory=dict)
    """Medium to the size of its file in bytes, by which a clip that was cut again is noticed."""

    @property
    def openset(self) -> str:
        """The labels as a JSON list, which the published parsers of this field accept too."""
        return json.dumps(self.labels, ensure_ascii=False)

    @property
    def unreadable(self) -> str:
        """The reason why its files cannot be read; '' if they can."""
        clues = {'audio': self.audio_status, 'visual': self.visual_status}
        return '; '.join(dict.fromkeys(self.why.get(step, '') for step, status in clues.items() if status == ABSENT[2]))

    @property
    def total(self) -> Use:
        """The use summed over all steps."""
        return sum(self.use.values(), Use())

    def to_dict(self) -> dict[str, Any]:
        """The caption as a line of the journal."""
        return asdict(self)

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Caption:
        """The caption in a line of a journal.

        Raises:
            ValueError, TypeError, LookupError: the line is not a caption.
        """
        field_names = {column.name for column in fields(cls)}
        parts = {name: value for name, value in line.items() if name in field_names}
        parts['labels'] = tuple(parts['labels'])
        parts['use'] = {step: Use(**use) for step, use in parts['use'].items()}
        if parts.get('second') is not None:
            second: dict[str, Any] = {
                name: tuple(cell) if isinstance(cell, list) else cell for name, cell in parts['second'].items()
            }
            parts['second'] = SecondLanguage(**second)
        return cls(**parts)


def caption_row(caption: Caption) -> dict[str, Any]:
    """A caption as a row of the table."""
    total = caption.total
    return {
        'name': caption.name, 'description': caption.description, 'openset': caption.openset,
        'audio_clue': caption.audio_clue, 'visual_clue': caption.visual_clue, 'subtitle': caption.subtitle,
        'status': caption.status, 'audio_status': caption.audio_status, 'visual_status': caption.visual_status,
        'label_status': caption.label_status, 'why': _stated(caption.why),
        'models': _stated({step: use.model for step, use in caption.use.items() if use.model}),
        'calls': total.calls, 'prompt_tokens': total.prompt_tokens, 'answer_tokens': total.answer_tokens,
    }  # fmt: skip


def _stated(texts: Mapping[str, str]) -> str:
    return '; '.join(f'{name}: {text}' for name, text in texts.items() if text)


def write_tables(folder: Path, captions: Iterable[Caption], *, raw_csv: bool = False) -> None:
    """Write the tables of a folder of captions, row by row; `captions.parquet` last, so that its presence means that
    all are complete.

    Args:
        folder: folder of captions.
        captions: captions in the order of the tables; iterated, so that at most `ROWS_A_GROUP` are in memory.
        raw_csv: write texts that a spreadsheet would take for formulas as they are, without a leading apostrophe.

    Raises:
        StorageError: the folder cannot be written.
    """
    with contextlib.ExitStack() as files:  # closed from last to first; each gets its final name on closing
        add_row = files.enter_context(_parquet_rows(folder / TABLE))
        table, use = (files.enter_context(file_atomically(folder / name)) for name in (TABLE_CSV, USE))
        table.write(csv_line(COLUMNS, raw=raw_csv))
        use.write(csv_line(USE_COLUMNS, raw=raw_csv))
        second: IO[bytes] | None = None
        for caption in captions:
            row = caption_row(caption)
            add_row(row, caption.labels)
            table.write(csv_line([row[name] for name in COLUMNS], raw=raw_csv))
            for step, step_use in caption.use.items():
                cells = {'name': caption.name, 'step': step, **asdict(step_use), 'seconds': round(step_use.seconds, 4)}
                use.write(csv_line([cells[name] for name in USE_COLUMNS], raw=raw_csv))
            if caption.second is not None:
                if second is None:
                    second = files.enter_context(file_atomically(folder / SECOND))
                    second.write(csv_line(SECOND_COLUMNS, raw=raw_csv))
                cells = _second_row(caption)
                second.write(csv_line([cells[name] for name in SECOND_COLUMNS], raw=raw_csv))


def failed_in(folder: Path) -> dict[str, Caption]:
    """The failed clips of a folder's table, which are in no journal."""
    import pyarrow.compute as pc
    import pyarrow.parquet

    columns = ['name', 'status', 'subtitle', 'why']
    table = pyarrow.parquet.read_table(folder / TABLE, columns=columns)
    rows = table.filter(pc.equal(table['status'], FAILED)).to_pylist()
    return {
        row['name']: Caption(
            row['name'], FAILED, subtitle=row['subtitle'], why={FAILED: row['why'].removeprefix(f'{FAILED}: ')}
        )
        for row in rows
    }


def _second_row(caption: Caption) -> dict[str, Any]:
    assert caption.second is not None
    cells = {'name': caption.name, **asdict(caption.second)}
    return {
        name: json.dumps(cell, ensure_ascii=False) if isinstance(cell, (tuple, list)) else cell
        for name, cell in cells.items()
    }


@contextlib.contextmanager
def _parquet_rows(path: Path) -> Iterator[Callable[[Mapping[str, Any], Sequence[str]], None]]:
    """Yield a function that adds a row and its labels to a Parquet file, which appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet

    columns = [(name, pa.int64() if name in NUMBERS else pa.string()) for name in COLUMNS]
    schema = pa.schema([*columns, ('labels', pa.list_(pa.string()))])
    waiting: list[tuple[Mapping[str, Any], Sequence[str]]] = []
    with file_atomically(path) as sink, pyarrow.parquet.ParquetWriter(sink, schema) as writer:

        def write() -> None:
            cells = {
                name: [row[name] if name in NUMBERS else storable(row[name]) for row, _ in waiting] for name in COLUMNS
            }
            labels = [[storable(label) for label in row_labels] for _, row_labels in waiting]
            writer.write_table(pa.table({**cells, 'labels': labels}, schema=schema))
            waiting.clear()

        def add(row: Mapping[str, Any], labels: Sequence[str]) -> None:
            waiting.append((row, labels))
            if len(waiting) >= ROWS_A_GROUP:
                write()

        yield add
        write()


@dataclass(frozen=True)
class CaptionTable:
    """The captions of a folder or a table, as other commands read them: text columns, and parsed labels."""

    path: Path
    names: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    """Each of `COLUMNS` to its cells; empty texts if the table lacks it."""
    labels: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str) -> dict[str, str]:
        """Sample to cell."""
        return dict(zip(self.names, self.columns[name], strict=True))

    @property
    def by_name(self) -> dict[str, tuple[str, ...]]:
        """Sample to labels."""
        return dict(zip(self.names, self.labels, strict=True))


def caption_file(path: Path) -> Path:
    """The path of the table in a folder of captions, or of the table itself.

    Raises:
        TableError: the folder has no table.
    """
    if not path.is_dir():
        return path
    for name in (TABLE, TABLE_CSV):
        if (path / name).is_file():
            return path / name
    is_begun = any(path.glob('shard-*-of-*'))
    raise TableError(
        expected=f'a folder of captions, with {TABLE}',
        came=f'{path}, whose run is not finished' if is_begun else f'{path} without it',
        todo='run the same `affekt caption` command again: it resumes'
        if is_begun
        else 'write one with `affekt caption`',
    )


def read_captions(path: Path) -> CaptionTable:
    """The captions of a folder, or of any table with a column of names and one of descriptions or labels.

    Raises:
        TableError: the table is missing or cannot be read.
    """
    from affekt.labels import read_labels

    file = caption_file(path)
    columns = read_columns(file)
    lower = {name.lower(): name for name in columns}
    headers = {
        column: next((lower[name] for name in SPELLINGS.get(column, (column,)) if name in lower), None)
        for column in COLUMNS
    }
    names, answers, descriptions = (
        None if (header := headers[column]) is None else columns[header]
        for column in ('name', 'openset', 'description')
    )
    if names is None or (answers is None and descriptions is None):
        raise TableError(
            expected='columns name, and description or openset', came=f'{file} with {columns.seen()}',
            todo='give a folder or table that `affekt caption` wrote',
        )  # fmt: skip
    samples = tuple(str(name).strip() for name in names)
    if len(set(samples)) < len(samples):
        raise TableError(expected='every clip once, by name', came=f'{file} with a name twice', todo='keep one row')
    cells = {
        name: tuple(
            '' if cell is None or cell != cell else str(cell)
            for cell in ([''] * len(samples) if header is None else columns[header])
        )
        for name, header in headers.items()
    }
    cells['name'] = samples
    labels = tuple(() if answer is None else read_labels(answer).labels for answer in answers or [None] * len(samples))
    return CaptionTable(file, samples, cells, labels)
