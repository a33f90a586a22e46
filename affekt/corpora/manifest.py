"""Manifests: all metadata of a corpus, one row per sample, in one Parquet file.

A row has the paths of the sample's media, its transcript, its labels, and its groups (speaker, dialogue, session,
recording). Differences between corpora are in `Facts`: no reader of a manifest depends on a corpus's name. Samples are
stored as columns (`sample_table.py`): code that needs one column of all samples requests it, `samples` makes rows on
access.

N samples.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.corpora.sample import COLUMNS, LATER, MEDIA, MODALITIES, NUMBERS, REPEATING, Sample
from affekt.corpora.sample_table import Coded, SampleTable
from affekt.errors import CorpusError, TableError, UnknownNameError, listed
from affekt.runs import file_atomically
from affekt.tables import own_header, require_bounded

__all__ = ['COLUMNS', 'MEDIA', 'MODALITIES', 'NUMBERS', 'Facts', 'Manifest', 'Sample']

TEXTS = ('chinese', 'english')
"""Columns one of which equals `text` where the corpus is in that language; it is stored once."""
ROWS_OF_A_GROUP = 1 << 18
"""Rows per row group of the file; larger groups need more memory."""
FORMAT = 1
"""Format version of the file; a newer one is refused."""


@dataclass(frozen=True)
class Facts:
    """Properties of a corpus as a whole."""

    corpus: str
    """Title of the corpus."""
    version: str = ''
    """Version of the release, or of its layout."""
    language: str = ''
    """Code of the language such as `en`; '' if it has none or several."""
    categories: tuple[str, ...] = ()
    """Categories in the order of the release's numbers; () if samples have no category."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Name of a column to the lowest and highest value of its scale."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Split to its published number of samples; '' is the whole corpus."""
    root: str = ''
    """Folder that paths of media are relative to."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Label file to its sha256."""
    notes: tuple[str, ...] = ()
    """Sentences on what the importer found missing or unusual."""


@dataclass(frozen=True, init=False)
class Manifest:
    """N samples of a corpus, checked.

    Args:
        facts: properties of the corpus.
        samples: rows.

    Raises:
        TableError: a name is empty or duplicated, a category is not the corpus's, a value is not finite or out of
            range, or a window ends before it starts; the message names sample and value.
    """

    facts: Facts
    samples: SampleTable = field(repr=False)
    """Behaves as a tuple of `Sample`; each row is made on access."""

    def __init__(self, facts: Facts, samples: Iterable[Sample]) -> None:
        object.__setattr__(self, 'facts', facts)
        object.__setattr__(self, 'samples', SampleTable.of(samples))
        self._require_names()
        if refusal := min(self._refused(), key=lambda refusal: refusal[0], default=None):
            row, expected, came = refusal
            source_name = ', '.join(facts.sources) or facts.corpus
            raise TableError(
                expected=expected, came=f'{came} for sample {self.samples[row].sample!r} of {source_name}',
                todo='correct the label file',
            )  # fmt: skip

    def _require_names(self) -> None:
        hashes = np.fromiter((hash(name) for (name,) in self.samples.cells(('sample',))), np.int64, len(self))
        hashes.sort()
        if self.samples.filled('sample').all() and not (hashes[1:] == hashes[:-1]).any():
            return  # Arrow's own count of different texts takes three times as long, and 200 MB for a million
        repeated = [name for name, count in Counter(name or '' for name in self.names).items() if count > 1 or not name]
        came = 'a row without a name' if '' in repeated else f'{listed(repeated)} more than once'
        if repeated:
            todo = 'give each a name of its own, as in a column `id`'
            raise TableError(expected='every sample once, by name', came=came, todo=todo)

    def _refused(self) -> list[tuple[int, str, str]]:
        """The first row that each check refuses, with what was expected and what came."""
        refusals = []
        categories = self.coded('category')
        if not {*categories.values} <= {*self.facts.categories}:
            row = int(np.argmin(categories.where((None, *self.facts.categories))))
            came = repr(categories.values[categories.codes[row]])
            refusals.append((row, f'a category among {", ".join(self.facts.categories)}', came))
        for name in NUMBERS:
            low, high = self.facts.ranges.get(name, (-math.inf, math.inf))
            values, known = self.samples.floats(name), self.samples.known(name)
            is_invalid = known & ~(np.isfinite(values) & (low <= values) & (values <= high))
            if is_invalid.any():
                row = int(np.argmax(is_invalid))
                expected = f'{name} from {low:g} to {high:g}' if name in self.facts.ranges else f'a finite {name}'
                refusals.append((row, expected, f'{values[row]}'))
        starts, ends = self.samples.floats('start_s'), self.samples.floats('end_s')
        if (is_invalid := ends < starts).any():
            row = int(np.argmax(is_invalid))
            refusals.append((row, 'an end that is not before the start', f'{starts[row]} to {ends[row]}'))
        return refusals

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(N,) names of the samples in order."""
        return tuple(self.samples.table.column('sample').to_pylist())

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column: floats with nan where missing, else text or whole numbers with None.

        Args:
            name: one of `COLUMNS`.

        Returns:
            (N,) float64, or object.

        Raises:
            UnknownNameError: unknown column.
        """
        return self.samples.column(name)

    def coded(self, name: str) -> Coded:
        """One column as its distinct values, in order of first occurrence, and the (N,) index of each sample's value.

        Raises:
            UnknownNameError: unknown column.
        """
        return self.samples.coded(name)

    def labels(self) -> npt.NDArray[np.int64]:
        """(N,) index of each category in `facts.categories`; -1 where a sample has none."""
        index_of = {name: index for index, name in enumerate(self.facts.categories)}
        categories = self.coded('category')
        return np.array([*(index_of[name] for name in categories.values), -1], dtype=np.int64)[categories.codes]

    def where(self, **conditions: object) -> Manifest:
        """The samples whose columns have these values, in order.

        Args:
            conditions: name of a column to one value, or to a tuple of accepted values.

        Raises:
            UnknownNameError: unknown column.
        """
        keep_mask = np.ones(len(self), dtype=np.bool_)
        for name, value in conditions.items():
            keep_mask &= self.coded(name).where(value if isinstance(value, tuple) else (value,))
        return self.take(keep_mask)

    def keep(self, wanted: Callable[[Sample], bool]) -> Manifest:
        """The samples for which `wanted` is true, in order; makes every row, unlike `where` and `take`."""
        return self.take(np.array([bool(wanted(row)) for row in self.samples], dtype=np.bool_))

    def take(self, which: npt.NDArray[Any]) -> Manifest:
        """A selection of samples.

        Args:
            which: (N,) True for selected samples, or (K,) row numbers in any order, without duplicates.

        Raises:
            ShapeError: a mask is not (N,).
            ValueRangeError: a row number is out of range.
            TableError: a row number is duplicated.
        """
        return dataclasses.replace(self, samples=self.samples.take(which))

    def replaced(self, **columns: Sequence[Any] | npt.NDArray[Any]) -> Manifest:
        """The same samples with other values in some columns.

        Args:
            columns: name of a column to its (N,) values; None, and nan among floats, for missing.

        Raises:
            UnknownNameError: unknown column.
            ShapeError: values are not (N,).
            TableError: a value is not of its column's type, or not allowed in the corpus; the message names the sample.
        """
        return dataclasses.replace(self, samples=self.samples.replaced(**columns))

    def media(self, row: Sample, kind: str) -> Path | None:
        """Path of a sample's `video`, `audio` or `frames`; None if the manifest has none."""
        path = getattr(row, kind)
        return Path(self.facts.root, path) if path else None

    def window_s(self, row: Sample, kind: str) -> tuple[float, float] | None:
        """The part of a media file that is the sample, in seconds; None if the sample is the whole file.

        `start_s` and `end_s` are times in the recording. They apply to a file only where it is that recording: has its
        name, or the row names none. A clip that was cut before, such as MELD's, is used whole.

        Args:
            row: row of this manifest.
            kind: `video` or `audio`.
        """
        path = self.media(row, kind)
        if path is None or row.start_s is None or row.end_s is None:
            return None
        is_recording = row.recording is None or path.stem == row.recording
        return (row.start_s, row.end_s) if is_recording else None

    def present(self) -> dict[str, int]:
        """Numbers of samples with text, audio, video and frames."""
        return {column: int(self.samples.filled(column).sum()) for column in ('text', 'audio', 'video', 'frames')}

    def keep_mask(self, modality: str) -> npt.NDArray[np.bool_]:
        """(N,) True where the sample keeps this modality, False where the column `missing` withholds it.

        Raises:
            UnknownNameError: the name is none of `MODALITIES`.
        """
        if modality not in MODALITIES:
            raise UnknownNameError(expected=f'one of {", ".join(MODALITIES)}', came=repr(modality), todo='name one')
        missing = self.coded('missing')
        keeps = [modality not in withheld.split(',') for withheld in missing.values]
        return np.array([*keeps, True], dtype=np.bool_)[missing.codes]

    def groups(self) -> npt.NDArray[Any]:
        """(N,) groups that are resampled together: the speaker, else the dialogue, recording or session, else the
        sample.

        The same kind for all samples: the first of these that every sample has.
        """
        for name in ('speaker', 'dialogue', 'recording', 'session'):
            if len(self) and self.samples.known(name).all():
                coded = self.coded(name)
                return np.array(coded.values)[coded.codes]
        return np.array(self.names)

    def save(self, path: str | Path) -> None:
        """Write the manifest as Parquet, completely or not at all."""
        from pyarrow import parquet

        header = json.dumps({'format': FORMAT, **dataclasses.asdict(self.facts)}, ensure_ascii=False)
        table = self.samples.table
        # without the schema, every reader sees coded texts as plain
        options: dict[str, Any] = {'compression': 'zstd', 'store_schema': False}
        with file_atomically(path) as raw, parquet.ParquetWriter(raw, table.schema, **options) as writer:
            writer.write_table(table, ROWS_OF_A_GROUP)
            writer.add_key_value_metadata({'affekt': header})

    @classmethod
    def load(cls, path: str | Path, root: str | Path | None = None) -> Manifest:
        """Load a manifest.

        Args:
            path: the Parquet file.
            root: current folder of the media, if they were moved; None for the stored one.

        Raises:
            TableError: the file is missing, damaged, not a manifest, or of a newer format.
            CorpusError: `root` is not a folder.
        """
        import pyarrow

        path = Path(path)
        if root is not None and not Path(root).is_dir():
            raise CorpusError(
                expected='a folder that the media of the manifest are in now', came=f'{root}', todo='check the path'
            )
        try:
            require_bounded(path)
            facts, samples = _read(path)
        except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            if isinstance(error, TableError) and 'manifest' in error.expected:
                raise
            came = f'{path}, which is not there' if not path.exists() else getattr(error, 'came', f'{path}: {error}')
            todo = 'write one with `affekt corpus import`'
            raise TableError(expected='a manifest (.parquet)', came=came, todo=todo) from error
        return cls(dataclasses.replace(facts, root=str(root)) if root else facts, samples)


def _read(path: Path) -> tuple[Facts, SampleTable]:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        repeating = [name for name in REPEATING if name in file.schema_arrow.names]
    with parquet.ParquetFile(path, read_dictionary=repeating, pre_buffer=False) as file:
        header = own_header(file.schema_arrow.metadata)
        if header.pop('format') > FORMAT:
            raise TableError(expected=f'a manifest of format {FORMAT}', came=f'{path}, newer', todo='update affekt')
        header['ranges'] = {name: tuple(bounds) for name, bounds in header['ranges'].items()}
        header |= {name: tuple(header[name]) for name in ('categories', 'notes')}
        facts = Facts(**header)
        absent = {name for name in LATER if name not in file.schema_arrow.names}
        columns: dict[str, Any] = {}
        for name in COLUMNS:  # one by one, so that at most one column is copied at a time
            column = (
                pa.nulls(file.metadata.num_rows)
                if name in absent
                else file.read([name], use_threads=False).column(name)
            )
            column.validate(full=True)
            columns[name] = columns['text'] if name in TEXTS and column.equals(columns['text']) else column
    return facts, SampleTable.fitted(pa.Table.from_arrays(list(columns.values()), names=list(columns)))
