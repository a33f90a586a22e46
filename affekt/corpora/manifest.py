"""A manifest: what a corpus is to everything else, one row a sample, in one Parquet file.

A row says where the sample's media lie, what was said, what it was labelled, and with whom it belongs together
(speaker, dialogue, session, recording). What differs from corpus to corpus is in `Facts`: nothing that reads a manifest
looks at a corpus's name.

N samples.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt

from affekt.errors import TableError, UnknownNameError, listed
from affekt.runs import write_atomically
from affekt.tables import require_bounded

FORMAT = 1
"""Of the file; a newer one is refused."""
MEDIA = ('video', 'audio', 'frames')
MODALITIES = ('audio', 'video', 'text')


@dataclass(frozen=True, slots=True)
class Sample:
    """One row; None where the release says nothing."""

    sample: str
    """Its name, once in a manifest."""
    video: str | None = None
    """A file below the manifest's root, or an absolute path."""
    audio: str | None = None
    frames: str | None = None
    """A folder of pictures, or a file of stacked ones."""
    text: str | None = None
    """What was said, in the language of the corpus; '' where nothing was understood."""
    chinese: str | None = None
    english: str | None = None
    category: str | None = None
    """One of the corpus's categories."""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    sentiment: float | None = None
    """From negative to positive, within the range of the corpus."""
    speaker: str | None = None
    dialogue: str | None = None
    session: str | None = None
    recording: str | None = None
    """What `start_s` and `end_s` count in."""
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None
    """As published."""
    fold: int | None = None
    """The published fold in which the sample is tested."""
    missing: str | None = None
    """What is withheld of it, of `MODALITIES`, by commas; media and text stay named, so that features are made once."""
    corruption: str | None = None
    """What was done to its media on purpose, as JSON; None for nothing."""


COLUMNS = tuple(part.name for part in dataclasses.fields(Sample))
LATER = ('missing', 'corruption')
"""Columns that older files of the same format lack."""
NUMBERS = tuple(name for name, kind in get_type_hints(Sample).items() if kind == float | None)
"""Columns that hold a float."""


@dataclass(frozen=True)
class Facts:
    """What a corpus is, beside its samples."""

    corpus: str
    version: str = ''
    """Of the release, or of its layout."""
    language: str = ''
    categories: tuple[str, ...] = ()
    """In the order in which the release counts them; empty where samples have no category."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Column to the least and largest value that the scale allows."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Split to its published number of samples; '' is the whole corpus."""
    root: str = ''
    """The folder that paths of media are below."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Label file to its sha256."""
    notes: tuple[str, ...] = ()
    """What the importer found missing or odd."""


@dataclass(frozen=True)
class Manifest:
    """N samples of a corpus, checked.

    Raises:
        TableError: a name is empty or stands twice, a category is not the corpus's, a value is not finite or out of
            range, or a window ends before it begins; names sample and value.
    """

    facts: Facts
    samples: tuple[Sample, ...] = field(repr=False)

    def __post_init__(self) -> None:
        twice = [name for name, times in Counter(row.sample for row in self.samples).items() if times > 1 or not name]
        if twice:
            came = 'a row without a name' if '' in twice else f'{listed(twice)} more than once'
            raise TableError(expected='every sample once, by name', came=came, todo='correct the label file')
        known, ranges = {None, *self.facts.categories}, dict(self.facts.ranges)
        for row in self.samples:
            if row.category not in known:
                raise self._wrong(row, f'a category among {", ".join(self.facts.categories)}', repr(row.category))
            for name in NUMBERS:
                value = getattr(row, name)
                low, high = ranges.get(name, (-math.inf, math.inf))
                if value is not None and not (math.isfinite(value) and low <= value <= high):
                    raise self._wrong(row, f'{name} from {low:g} to {high:g}', f'{value}')
            if row.start_s is not None and row.end_s is not None and row.end_s < row.start_s:
                raise self._wrong(row, 'an end that is not before the start', f'{row.start_s} to {row.end_s}')

    def _wrong(self, row: Sample, expected: str, came: str) -> TableError:
        where = ', '.join(self.facts.sources) or self.facts.corpus
        return TableError(
            expected=expected, came=f'{came} for sample {row.sample!r} of {where}', todo='correct the label file'
        )

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(N,) the samples' names in order."""
        return tuple(row.sample for row in self.samples)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column: floats with nan where there is none, else text or whole numbers with None.

        Args:
            name: one of `COLUMNS`.

        Returns:
            (N,) float64, or object.

        Raises:
            UnknownNameError: no such column.
        """
        if name not in COLUMNS:
            raise UnknownNameError(expected=f'one of {", ".join(COLUMNS)}', came=repr(name), todo='name one of these')
        values = [getattr(row, name) for row in self.samples]
        if name in NUMBERS:
            return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return found

    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) the position of each category in `facts.categories`; -1 where a sample has none."""
        at = {name: index for index, name in enumerate(self.facts.categories)}
        return np.array([-1 if row.category is None else at[row.category] for row in self.samples], dtype=np.int64)

    def where(self, **wanted: object) -> Manifest:
        """The samples whose columns have these values, in order.

        Args:
            wanted: column to one value, or to a tuple of values of which any will do.

        Raises:
            UnknownNameError: no such column.
        """
        sets = {name: set(value) if isinstance(value, tuple) else {value} for name, value in wanted.items()}
        for name in sets:
            self.column(name)
        return self.keep(lambda row: all(getattr(row, name) in values for name, values in sets.items()))

    def keep(self, wanted: Callable[[Sample], bool]) -> Manifest:
        """The samples for which `wanted` is true, in order."""
        return dataclasses.replace(self, samples=tuple(row for row in self.samples if wanted(row)))

    def media(self, row: Sample, kind: str) -> Path | None:
        """Where a sample's `video`, `audio` or `frames` lie; None where the manifest names none."""
        held = getattr(row, kind)
        return Path(self.facts.root, held) if held else None

    def window_s(self, row: Sample, kind: str) -> tuple[float, float] | None:
        """The stretch of a media file that is the sample, in seconds; None where the file holds nothing else.

        `start_s` and `end_s` count in the recording. They cut a file only where it is that recording: named as it is,
        or any file where the row names none. A clip that was cut before, such as MELD's, is whole.

        Args:
            row: of this manifest.
            kind: `video` or `audio`.
        """
        path = self.media(row, kind)
        if path is None or row.start_s is None or row.end_s is None:
            return None
        is_recording = row.recording is None or path.stem == row.recording
        return (row.start_s, row.end_s) if is_recording else None

    def present(self) -> dict[str, int]:
        """How many samples have text, audio, video and frames."""
        kinds = ('text', 'audio', 'video', 'frames')
        return {kind: sum(bool(getattr(row, kind)) for row in self.samples) for kind in kinds}

    def keep_mask(self, modality: str) -> npt.NDArray[np.bool_]:
        """(N,) True where the sample keeps this modality, False where the column `missing` withholds it.

        Raises:
            UnknownNameError: none of `MODALITIES`.
        """
        if modality not in MODALITIES:
            raise UnknownNameError(expected=f'one of {", ".join(MODALITIES)}', came=repr(modality), todo='name one')
        return np.array([modality not in (row.missing or '').split(',') for row in self.samples], dtype=np.bool_)

    def groups(self) -> npt.NDArray[Any]:
        """(N,) what is drawn together for intervals: the speaker, else the dialogue, recording or session, else itself.

        One kind for all samples: the first of these that every sample has.
        """
        for name in ('speaker', 'dialogue', 'recording', 'session'):
            held = self.column(name)
            if len(held) and not any(value is None for value in held):
                return held.astype(str)
        return np.array(self.names)

    def save(self, path: Path) -> None:
        """Write the manifest as Parquet, whole or not at all."""
        import pyarrow
        from pyarrow import parquet

        kinds = get_type_hints(Sample)
        types = {str | None: pyarrow.string(), str: pyarrow.string(), float | None: pyarrow.float64()}
        schema = pyarrow.schema(
            [(name, types.get(kinds[name], pyarrow.int32())) for name in COLUMNS],
            metadata={'affekt': json.dumps({'format': FORMAT, **dataclasses.asdict(self.facts)}, ensure_ascii=False)},
        )
        columns = {name: [getattr(row, name) for row in self.samples] for name in COLUMNS}
        sink = pyarrow.BufferOutputStream()
        parquet.write_table(pyarrow.table(columns, schema=schema), sink, compression='zstd')
        write_atomically(path, sink.getvalue().to_pybytes())

    @classmethod
    def load(cls, path: Path, root: Path | None = None) -> Manifest:
        """Read a manifest back.

        Args:
            path: the Parquet file.
            root: where the media lie now, if they moved.

        Raises:
            TableError: the file is missing, damaged, no manifest, or of a newer format.
        """
        import pyarrow
        from pyarrow import parquet

        try:
            require_bounded(path)
            table = parquet.read_table(path, partitioning=None)
            held = json.loads((table.schema.metadata or {})[b'affekt'])
            if held.pop('format') > FORMAT:
                raise TableError(expected=f'a manifest of format {FORMAT}', came=f'{path}, newer', todo='update affekt')
            held['ranges'] = {name: tuple(ends) for name, ends in held['ranges'].items()}
            held |= {name: tuple(held[name]) for name in ('categories', 'notes')}
            facts = Facts(**held)
            nothing = [None] * len(table)
            columns = (
                nothing if name in LATER and name not in table.column_names else table.column(name).to_pylist()
                for name in COLUMNS
            )  # fmt: skip
            rows = zip(*columns, strict=True)
        except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, TableError) and 'manifest' in error.expected:
                raise
            came = f'{path}, which is not there' if not path.exists() else getattr(error, 'came', f'{path}: {error}')
            todo = 'write one with `affekt corpus import`'
            raise TableError(expected='a manifest (.parquet)', came=came, todo=todo) from error
        facts = dataclasses.replace(facts, root=str(root)) if root else facts
        return cls(facts, tuple(Sample(*row) for row in rows))
