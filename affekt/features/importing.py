"""Import of features from elsewhere into a store: folders of .npy, tables, archives, saved datasets.

Samples are matched by name and never by order, every value is checked in the conversion to float32, and everything that
is left out or reinterpreted is noted.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.errors import CorpusError, ShapeError, TableError, UnknownNameError, ValueRangeError, listed
from affekt.features.catalogue import modality_of
from affekt.features.feature_tables import table_of_one_sample, table_of_samples
from affekt.features.foreign_files import WAYS, foreign
from affekt.features.npy_folders import NpyFolder, level_of
from affekt.features.recipes import READS, Features
from affekt.features.sample_names import matched, near_miss, same_but_for_form
from affekt.features.saved_datasets import dataset_of_samples, is_saved_dataset
from affekt.features.sources import Arrays, Source
from affekt.features.store import SUFFIX, Provenance, Store, write_features
from affekt.runs import require_regular_file
from affekt.wording import counted

TABLES = ('.csv', '.tsv', '.jsonl', '.json', '.parquet', '.xlsx', '.npz')
"""Extensions of a file with all samples, or of the files of a folder with one file per sample."""


@dataclass(frozen=True)
class Imported:
    """Result of an import."""

    path: Path
    """Path of the store's file."""
    missing: tuple[tuple[str, str], ...]
    """Samples without features, with the reason."""
    modality: str | None
    """audio, text or video; None if it is neither given nor known from the name."""
    notes: tuple[str, ...]
    """Sentences on what was left out, or reinterpreted."""


def import_features(
    given: Path,
    out: Path,
    *,
    names: Sequence[str] | None = None,
    rate_hz: float | None = None,
    corpus: str = '',
    modality: str | None = None,
) -> Imported:
    """Import features of one recipe as a store of one shard.

    Args:
        given: a folder of `.npy` files, of folders of them, or of tables, one per sample; a table or an `.npz` of all
            samples; or a folder written by `save_to_disk` of Hugging Face's datasets.
        out: folder of stores; the new one is named after `given`, without its extension.
        names: names of the wanted samples, in order; None for all. Those without features are listed as missing.
        rate_hz: rows per second, for their times; None if unknown, or where the source has times.
        corpus: name of the corpus, for the header.
        modality: audio, text or video; None for that of a known recipe of this name.

    Raises:
        CorpusError: there are no features, none of the wanted samples, or those of several recipes; or the store
            already has other features.
        ShapeError: samples differ in D; the message names one.
        TableError, ArchiveError: a file is damaged, has other contents than numbers, or names no samples.
        ValueRangeError: a value is not finite or too large, or the rate is invalid; the message names the position.
        UnknownNameError: unknown modality.
    """
    _require_choices(rate_hz, modality)
    source = _opened(given, names)
    pairs, notes = _matched_names(source, names, given)
    shapes = {name: source.shape(source_name) for name, source_name in pairs.items()}
    requested = list(source.names) if names is None else list(names)
    missing = [(name, 'no file' if given.is_dir() else 'no row') for name in requested if name not in pairs]
    missing += [(name, 'an empty array') for name, (rows, _) in shapes.items() if not rows]
    pairs = {name: source_name for name, source_name in pairs.items() if shapes[name][0]}
    dimension = _one_dimension({name: shapes[name] for name in pairs}, given)
    name = given.resolve().name
    name = name.removesuffix(Path(name).suffix) if given.is_file() else name
    model, level = level_of(name)
    facts: dict[str, Any] = {
        'origin': 'official folder' if isinstance(source, NpyFolder) else 'table', 'model': model, 'level': level,
        'rate_hz': rate_hz, 'sha256': source.digest(list(pairs.values())),
    }  # fmt: skip
    recipe = hashlib.sha256(repr(sorted(facts.items(), key=str)).encode()).hexdigest()
    facts['source'] = given.resolve().name
    known_modality = modality or modality_of(name)
    provenance = Provenance(
        name, recipe, dimension, facts, source.columns, corpus, missing=tuple(missing), modality=known_modality
    )
    path = out / name / f'shard-1-of-1{SUFFIX}'
    _require_own_place(path, provenance, list(pairs), given)
    write_features(path, _features(source, pairs, rate_hz, recipe), provenance)
    return Imported(path, tuple(missing), known_modality, (*source.notes, *notes))


def import_official(
    folder: Path, out: Path, *, names: Sequence[str] | None = None, rate_hz: float | None = None, corpus: str = ''
) -> tuple[Path, tuple[tuple[str, str], ...]]:
    """The store's file, and the samples without features with the reason; see `import_features` for a known recipe."""
    imported = import_features(folder, out, names=names, rate_hz=rate_hz, corpus=corpus)
    return imported.path, imported.missing


def _require_own_place(path: Path, provenance: Provenance, names: Sequence[str], given: Path) -> None:
    """Refuse to overwrite other features, such as those of another table of the same name.

    The same source may be imported again, corrected or with more samples.
    """
    for existing in sorted(path.parent.glob(f'*{SUFFIX}')):
        store = Store(existing, partial=True)
        old = store.provenance
        is_same_source = old.facts.get('source') == provenance.facts['source'] and old.modality == provenance.modality
        is_same = existing == path and is_same_source
        if store.provenance.hash != provenance.hash and not (is_same and set(store.names) <= set(names)):
            raise CorpusError(
                expected=f'no other features in {path.parent}',
                came=f'{existing.name} from {old.facts.get("source", "another source")} with other content',
                todo=f'give another --out, rename {given.name}, or remove that folder where it is no longer wanted',
            )


def _require_choices(rate_hz: float | None, modality: str | None) -> None:
    if modality is not None and modality not in READS:
        raise UnknownNameError(expected=f'one of {", ".join(READS)}', came=repr(modality), todo='name one of these')
    if rate_hz is not None and not 0 < rate_hz < np.inf:
        raise ValueRangeError(expected='rows a second, above 0', came=f'{rate_hz}', todo='leave --rate-hz out')


def _opened(given: Path, names: Sequence[str] | None) -> Source:
    """The features at a path: a table, an archive, a saved dataset, or a folder of arrays or tables."""
    if not given.exists():
        raise CorpusError(
            expected='a folder of .npy files, or a table of features', came=f'{given}, which does not exist',
            todo='check the path',
        )  # fmt: skip
    if not given.is_dir():
        require_regular_file(given)
        if given.suffix.lower() in WAYS:
            raise foreign(given)
        return table_of_samples(given)
    if is_saved_dataset(given):
        return dataset_of_samples(given)
    folder = NpyFolder(given, names)
    if folder.names:
        return folder
    files = [path for path in sorted(given.iterdir()) if path.is_file() and not path.name.startswith('.')]
    endings = Counter(path.suffix.lower() for path in files)
    ending = next((suffix for suffix, _ in endings.most_common() if suffix in TABLES), '')
    if ending:
        return _folder_of_tables([path for path in files if path.suffix.lower() == ending], len(files))
    if files and (unopenable := next((path for path in files if path.suffix.lower() in WAYS), None)):
        raise foreign(unopenable)
    entries = sorted(path.name for path in given.iterdir())
    raise CorpusError(
        expected=f'.npy files of the samples in {given}',
        came=f'{len(entries)} others ({listed(entries, 2)})' if entries else 'none',
        todo='name the folder of one model, such as features/chinese-hubert-large-UTT',
    )


def _folder_of_tables(files: Sequence[Path], count: int) -> Arrays:
    """Features of a folder with one table per sample, whose rows are time steps."""
    arrays, times, notes = {}, {}, []
    columns: tuple[str, ...] = ()
    for file in files:
        if file.stem in arrays:
            raise TableError(
                expected='one file per sample', came=f'two of {file.stem!r} in {file.parent}',
                todo='keep the one with its features',
            )  # fmt: skip
        if file.suffix.lower() == '.npz':
            (array,) = _only_array(file)
            arrays[file.stem] = array
            continue
        arrays[file.stem], own_columns, file_times, remarks = table_of_one_sample(file)
        notes += [note for note in remarks if note not in notes]
        if columns and own_columns != columns:
            differing = [name for name in {*columns, *own_columns} if (name in columns) != (name in own_columns)]
            raise ShapeError(
                expected=f'the columns of {files[0].name} in every file',
                came=f'others in {file}: {listed(sorted(differing)) or "the same in another order"}',
                todo='write all files with the same columns',
            )
        columns = own_columns
        if file_times is not None:
            times[file.stem] = file_times
    if count > len(files):
        notes.append(f'{counted(count - len(files), "file")} of other kinds than {files[0].suffix}, left out')
    if 0 < len(times) < len(arrays):
        without = [name for name in arrays if name not in times]
        notes.append(f'times left out, since {counted(len(without), "file")} have none: {listed(without, 2)}')
    return Arrays(tuple(files), arrays, columns, times if len(times) == len(arrays) else {}, notes)


def _only_array(file: Path) -> list[Any]:
    from affekt.npz import read_npz

    arrays = read_npz(file)
    if len(arrays) != 1 or not isinstance(next(iter(arrays.values())), np.ndarray):
        raise TableError(
            expected='one array of numbers in each .npz of a folder', came=f'{listed(arrays)} in {file}',
            todo='save one array a sample with numpy.save, or one .npz of all samples by name',
        )  # fmt: skip
    return list(arrays.values())


def _matched_names(source: Source, names: Sequence[str] | None, given: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Requested sample to its name in the source, and notes on names that were matched approximately."""
    source_names = list(source.names)
    if ambiguous := same_but_for_form(source_names):
        raise TableError(
            expected='names that differ', came=f'{listed(ambiguous, 4)} in {given}, which look the same',
            todo='rename them: spaces and Unicode forms do not tell samples apart',
        )  # fmt: skip
    if names is None:
        if not source_names:
            raise CorpusError(expected=f'samples in {given}', came='none', todo='check the path')
        return {name: name for name in source_names}, ()
    pairs, notes = matched(names, source_names)
    if not pairs:
        hint = near_miss(names, source_names)
        raise CorpusError(
            expected=f'.npy files of the samples in {given}' if given.is_dir() else f'rows of the samples in {given}',
            came=f'{len(source_names)} others ({listed(source_names, 2)}), none of {listed(names, 2)}'
            + (f'; {hint}' if hint else ''),
            todo='name the folder of one model, such as features/chinese-hubert-large-UTT, of this corpus',
        )
    unused = len(source_names) - len(pairs)
    return pairs, (
        *notes,
        *((f'{counted(unused, "sample")} that the manifest does not have, left out',) if unused else ()),
    )


def _one_dimension(shapes: dict[str, tuple[int, int]], given: Path) -> int:
    """D, the same in every sample.

    Raises:
        CorpusError: there are no values.
        ShapeError: samples differ in D.
    """
    if not shapes:
        raise CorpusError(expected='arrays with values', came=f'{given} with empty ones', todo='extract them again')
    dimension = next(iter(shapes.values()))[1]
    differing = [f'{name} ({size})' for name, (_, size) in shapes.items() if size != dimension]
    if differing and all(rows == 1 for rows, _ in shapes.values()):
        todo = 'extract these again; where each is a sequence of single numbers, save it as (T, 1) in a folder …-FRA'
    else:
        todo = 'extract these again'
    if differing:
        raise ShapeError(expected=f'{dimension} columns in every file of {given}', came=listed(differing), todo=todo)
    return dimension


def _features(source: Source, pairs: dict[str, str], rate_hz: float | None, recipe: str) -> Iterator[Features]:
    for name, source_name in pairs.items():
        rows, times = source.rows(source_name)
        if rate_hz is not None:
            times = np.asarray((np.arange(len(rows)) + 0.5) / rate_hz, dtype=np.float64)
        yield Features(name, rows, source.columns, times, recipe)
