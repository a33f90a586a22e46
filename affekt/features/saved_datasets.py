"""Datasets written by `save_to_disk` of Hugging Face's datasets, read by Arrow alone, without that package.

A dataset has a `state.json`, which lists Arrow streams, and a `dataset_info.json`; several splits are folders beside a
`dataset_dict.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import AffektError, TableError, listed
from affekt.features.feature_tables import NAMES, array_of, samples_of_columns
from affekt.features.sources import Arrays
from affekt.runs import read_regular_file, require_regular_file
from affekt.tables import refuse_doubled, require_bounded_messages

STATE, SPLITS = 'state.json', 'dataset_dict.json'


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (folder / STATE).exists() or (folder / SPLITS).exists()


def dataset_of_samples(folder: Path) -> Arrays:
    """Features of the samples in a saved dataset: one column of lists, or numeric columns.

    Raises:
        TableError: a file is missing, damaged or outside the folder, or the dataset names no samples.
        ValueRangeError: see `samples_of_columns`.
    """
    files = tuple(_files(folder))
    names: list[str] = []
    columns: dict[str, list[Any]] = {}
    for file in files:
        for batch in _batches(file):
            key = _key(batch.schema.names, folder)
            names += ['' if name is None else str(name).strip() for name in _cells(batch.column(key))]
            if columns and set(columns) != set(batch.schema.names) - {key}:
                raise TableError(
                    expected=f'the columns {listed(columns)} in every file of {folder}',
                    came=f'{listed(batch.schema.names)} in {file.name}', todo='save the dataset again',
                )  # fmt: skip
            for header in batch.schema.names:
                if header != key:
                    columns.setdefault(header, []).extend(_cells(batch.column(header)))
    if not names:
        raise TableError(expected=f'samples in {folder}', came='none', todo='save the dataset again with save_to_disk')
    return samples_of_columns(names, columns, files)


def _files(folder: Path) -> Iterator[Path]:
    """Arrow files of all splits, in order."""
    if (folder / SPLITS).exists():
        for split in _list(folder / SPLITS, 'splits'):
            yield from _parts(folder / _file_name(split, folder))
        return
    yield from _parts(folder)


def _parts(folder: Path) -> Iterator[Path]:
    """Arrow files of one split."""
    for entry in _list(folder / STATE, '_data_files'):
        yield folder / _file_name(entry.get('filename') if isinstance(entry, dict) else entry, folder)


def _list(path: Path, name: str) -> list[Any]:
    """The list under a key of a JSON file."""
    entries = _json(path).get(name, [])
    if not isinstance(entries, list):
        raise TableError(
            expected='a dataset as save_to_disk writes it',
            came=f'{path}, whose {name} is not a list',
            todo='save it again',
        )
    return entries


def _file_name(name: object, folder: Path) -> str:
    if not isinstance(name, str) or Path(name).name != name or name in ('', '..'):
        raise TableError(
            expected=f'names of files in {folder}', came=f'{name!r}', todo='save the dataset again with save_to_disk'
        )
    return name


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular_file(path).decode())
        if not isinstance(content, dict):
            raise ValueError('not a JSON object')
        return content
    except (OSError, ValueError, RecursionError) as error:
        came = error.came if isinstance(error, AffektError) else error
        raise TableError(
            expected='a dataset as save_to_disk writes it', came=f'{path}: {came}', todo='save it again'
        ) from error


def _batches(file: Path) -> Iterator[Any]:
    import pyarrow as pa

    try:
        require_regular_file(file)
        require_bounded_messages(file)
        with pa.memory_map(str(file)) as content, pa.ipc.open_stream(content) as reader:
            refuse_doubled(reader.schema.names, file)
            if unsupported := [field.name for field in reader.schema if not _is_plain(field.type, is_cell=True)]:
                raise ValueError(f'columns of types that are not read: {listed(unsupported)}')
            for batch in reader:
                batch.validate(full=True)  # offsets outside the file would crash the process
                yield batch
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        came = error.came if isinstance(error, AffektError) else error
        raise TableError(
            expected='an Arrow stream as save_to_disk writes it', came=f'{file}: {came}', todo='save the dataset again'
        ) from error


def _is_plain(column_type: Any, *, is_cell: bool = False) -> bool:
    """Whether every value of a type has bytes of its own; only whole cells may share texts of a dictionary."""
    import pyarrow as pa

    if isinstance(column_type, pa.ExtensionType):
        return _is_plain(column_type.storage_type, is_cell=is_cell)
    if pa.types.is_dictionary(column_type):
        return is_cell and _is_plain(column_type.value_type)
    if pa.types.is_map(column_type) or pa.types.is_struct(column_type) or _is_list(column_type):
        return all(_is_plain(column_type.field(at).type) for at in range(column_type.num_fields))
    return column_type.num_fields == 0 and not str(column_type).endswith('_view')


def _key(headers: list[str], folder: Path) -> str:
    header_of = {header.strip().lower(): header for header in reversed(headers)}
    key = next((header_of[name] for name in NAMES if name in header_of), None)
    if key is None:
        raise TableError(
            expected=f'a column with the names of the samples ({", ".join(NAMES[:4])})',
            came=f'{folder} with {listed(headers, 6)}', todo='add one: dataset.add_column("name", names)',
        )  # fmt: skip
    return key


def _cells(column: Any) -> list[Any]:
    """Cells as plain values; lists as arrays, which take a tenth of the memory."""
    import pyarrow as pa

    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    if isinstance(storage, pa.DictionaryArray):  # its cells share texts, which may be long
        texts = storage.dictionary.to_pylist()
        return [None if index is None else texts[index] for index in storage.indices.to_pylist()]
    if not _is_list(storage.type):
        return list(storage.to_pylist())
    return [_array(cell) for cell in storage]


def _array(cell: Any) -> npt.NDArray[Any]:
    import pyarrow as pa

    values = cell.values
    if values is None:
        return np.zeros(0)
    is_flat = pa.types.is_floating(values.type) or pa.types.is_integer(values.type)
    if not is_flat or values.null_count:
        return array_of(cell.as_py(), 'a column of the dataset')
    dtype = np.dtype(values.type.to_pandas_dtype())
    return np.frombuffer(values.buffers()[1] or b'', dtype, len(values), values.offset * dtype.itemsize).copy()


def _is_list(storage_type: Any) -> bool:
    import pyarrow as pa

    return any(getattr(pa.types, f'is_{form}')(storage_type) for form in ('list', 'large_list', 'fixed_size_list'))
