"""Untrusted checkpoints, opened without running anything in them: tensors by name, read on demand.

Files of torch are indexed by a separate process (`pickles`), under limits of memory and time; a safetensors file has
a JSON index. Neither is trusted: every offset is checked against the file, and the total of the tensors
against its size. Only then are values read, one tensor at a time, directly from the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import affekt
from affekt.checkpoints.pickles import plain_note
from affekt.checkpoints.sizes import SIZES, TIME_S
from affekt.errors import AffektError, UnknownNameError, WeightsError, did_you_mean, listed, require_torch
from affekt.files import only_regular

if TYPE_CHECKING:
    from torch import Tensor

FREE_BYTES, BYTES_PER_BYTE = 2 << 30, 2
"""The tensors of a file of N bytes may total 2 GiB + 2 N bytes: some are stored as one repeated value."""
LARGEST_HEADER = 25 << 20
"""Maximum bytes of the index of a safetensors file."""
MODEL_KEYS = ('model', 'module', 'state_dict', 'model_state_dict', 'model_state', 'net', 'weights')
"""Keys of the model's tensors in published files; the first that exists is used."""
WRAPPERS = ('module.', '_orig_mod.', 'model.')
"""Prefixes that wrappers (several devices, compilation, a trainer) add to every name."""
SAFE_DTYPES = {
    'F64': 'float64', 'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16', 'I64': 'int64', 'I32': 'int32',
    'I16': 'int16', 'I8': 'int8', 'U8': 'uint8', 'BOOL': 'bool', 'F8_E4M3': 'float8_e4m3fn', 'F8_E5M2': 'float8_e5m2',
    'U16': 'uint16', 'U32': 'uint32', 'U64': 'uint64', 'C64': 'complex64',
}  # fmt: skip
_FOREIGN = (
    (0, b'GGUF', 'a GGUF file'),
    (0, b'\x93NUMPY', 'a NumPy array'),
    (0, b'\x89HDF', 'an HDF5 file'),
    (0, b'\x1f\x8b', 'a gzip archive'),
    (0, b'7z\xbc\xaf', 'a 7z archive'),
    (0, b'Rar!', 'a RAR archive'),
    (0, b'version https://git-lfs', 'a pointer of Git LFS, not the file it stands for'),
    (0, b'<', 'a page, not the file it was to be'),
    (0, b'{', 'JSON, such as the index of a model in several files: open one of them'),
    (257, b'ustar', 'a tar archive, as torch wrote before 2017'),
)
"""Offset, bytes and name of file types often mistaken for checkpoints."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: its dtype, shape, strides, and the offset of its bytes."""

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    begin: int

    @property
    def numbers(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def extent(self) -> int:
        """Bytes from its first value to its last one."""
        if not self.numbers:
            return 0
        return (1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))) * SIZES[self.dtype]


@dataclass(frozen=True)
class Checkpoint:
    """A file of tensors, opened.

    Args:
        path: path of the file.
        form: its format: zip, stream of pickles, safetensors.
        tensors: the model's tensors, by name without the prefix of a wrapper.
        notes: other content as plain data: epoch, args, config; for a safetensors file its metadata.
        key: key of the model in the file's dictionary; '' if the file is the model.
        prefix: prefix of a wrapper, removed from every name.
        others: tensors and bytes outside the model, by first key: optimiser and the like.
        checksums: offset of a storage to its size and CRC-32.
    """

    path: Path
    form: str
    tensors: Mapping[str, StoredTensor]
    notes: Mapping[str, Any] = field(default_factory=dict)
    key: str = ''
    prefix: str = ''
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    checksums: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f'Checkpoint({self.path.name}: {len(self.tensors):,} tensors, {self.numbers:,} numbers)'

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape."""
        return {name: stored.shape for name, stored in self.tensors.items()}

    @property
    def numbers(self) -> int:
        """Number of values in all tensors of the model."""
        return sum(stored.numbers for stored in self.tensors.values())

    def tensor(self, name: str) -> Tensor:
        """One tensor of the model, read from the file.

        Raises:
            UnknownNameError: unknown tensor.
            WeightsError: the file has been truncated.
        """
        require_torch()
        import torch

        if name not in self.tensors:
            raise UnknownNameError(
                expected=f'a tensor of {self.path.name}', came=repr(name), todo=did_you_mean(name, self.tensors)
            )
        stored = self.tensors[name]
        dtype: torch.dtype = getattr(torch, stored.dtype)
        if not stored.numbers:
            return torch.empty(stored.shape, dtype=dtype)
        flat = torch.from_numpy(self._read(stored)).view(dtype)
        placed = flat.as_strided(stored.shape, stored.stride)
        if stored.stride == contiguous(stored.shape):
            return placed
        # `contiguous()` would leave a stride of 0 where an axis has length 1
        return torch.empty_like(placed, memory_format=torch.contiguous_format).copy_(placed)

    def state(self) -> dict[str, Tensor]:
        """All tensors of the model by name."""
        return {name: self.tensor(name) for name in self.tensors}

    def _read(self, stored: StoredTensor) -> npt.NDArray[np.uint8]:
        """The bytes of a tensor, from its first value to its last.

        Raises:
            WeightsError: the file is shorter than when it was opened, or cannot be read.
        """
        try:
            with open(self.path, 'rb', opener=only_regular) as file:
                file.seek(stored.begin)
                content = np.fromfile(file, np.uint8, stored.extent)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if len(content) < stored.extent:
            raise refusal(self.path, 'a file that became shorter while it was read')
        return content

    def check_values(self) -> None:
        """Read every value of the model once.

        Raises:
            WeightsError: some are not finite, or bytes changed since the file was written.
        """
        not_finite = [name for name, stored in self.tensors.items() if not self._is_finite(stored)]
        if not_finite:
            raise WeightsError(
                expected='weights that are numbers',
                came=f'nan or infinity in {len(not_finite):,} of {len(self.tensors):,} tensors of {self.path.name} '
                f'({listed(not_finite, 3)})',
                todo='take a checkpoint of an earlier step: training had diverged',
            )
        for begin, (size, checksum) in self.checksums.items():
            if _checksum(self.path, begin, size) != checksum:
                raise refusal(self.path, 'bytes that changed since they were written (their checksum differs)')

    def _is_finite(self, stored: StoredTensor) -> bool:
        if stored.dtype not in _NOT_FINITE or not stored.numbers:
            return True
        width, bits = _NOT_FINITE[stored.dtype]
        words = np.frombuffer(self._read(stored), f'<u{width}')
        mask = words.dtype.type(bits)
        return not any(((part & mask) == mask).any() for part in np.array_split(words, 1 + len(words) // (1 << 22)))


_NOT_FINITE = {
    'float64': (8, 0x7FF0 << 48), 'float32': (4, 0x7F80 << 16), 'float16': (2, 0x7C00), 'bfloat16': (2, 0x7F80),
    'float8_e5m2': (1, 0x7C), 'float8_e4m3fn': (1, 0x7F), 'complex64': (4, 0x7F80 << 16),
    'complex128': (8, 0x7FF0 << 48),
}  # fmt: skip
"""Word size by dtype, and the bits that are all set only in nan and infinity."""


def opened(path: str | os.PathLike[str]) -> Checkpoint:
    """Open an untrusted checkpoint; nothing in it is run.

    Args:
        path: .pth, .pt, .bin or .ckpt written by torch, or .safetensors; recognised by content.

    Returns:
        The model's tensors by name, read on demand, and other content.

    Raises:
        WeightsError: the file is missing, of another kind, damaged, or asks for more than tensors and plain values.
        FileError: the path names a folder, a pipe or a device.
    """
    path = Path(path)
    try:
        with open(path, 'rb', opener=only_regular) as file:
            head, size = file.read(512), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if not size:
        raise refusal(path, 'an empty file')
    if head[8:10] in (b'{"', b'{}', b'{ '):
        return _opened_safetensors(path, size)
    for offset, magic, name in _FOREIGN:
        if head[offset : offset + len(magic)] == magic:
            raise refusal(path, name)
    return _opened_pickles(path, size)


def _opened_safetensors(path: Path, size: int) -> Checkpoint:
    with open(path, 'rb', opener=only_regular) as file:
        length = int.from_bytes(file.read(8), 'little')
        if length > size - 8:
            raise refusal(path, 'a truncated safetensors file')
        if length > LARGEST_HEADER:
            raise refusal(path, f'an index of {length:,} bytes')
        header = file.read(length)
    try:
        entries = json.loads(header, object_pairs_hook=_unique)
        metadata = entries.pop('__metadata__', {})
        rows = [
            ([name], SAFE_DTYPES[entry['dtype']], tuple(entry['shape']), None, 8 + length + entry['data_offsets'][0],
             entry['data_offsets'][1] - entry['data_offsets'][0])
            for name, entry in entries.items()
        ]  # fmt: skip
        if not isinstance(metadata, dict):
            raise ValueError('notes that are no table')
        _require_adjoining(rows, 8 + length, size)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        came = f'a safetensors file with a damaged index ({" ".join(str(error).split())[:120]})'
        raise refusal(path, came) from error
    notes = {name: _noted(text) for name, text in metadata.items() if isinstance(text, str)}
    inner = notes.pop('notes') if isinstance(notes.get('notes'), dict) else {}  # affekt's own runs write it
    notes = {**inner, **notes}
    return _checkpoint(path, size, 'safetensors', rows, notes, {})


def _require_adjoining(rows: list[tuple[Any, ...]], begin: int, size: int) -> None:
    """Require that tensors fill the file from `begin` to its end without overlap or gap, as the format demands."""
    end, last_name = begin, ''
    for (name,), *_, offset, length in sorted(rows, key=lambda row: (row[4], row[5])):
        if length < 0:
            raise ValueError(f'{name!r} ends before it begins')
        if offset != end:
            previous = repr(last_name) if last_name else 'the index'
            raise ValueError(f'{name!r} {"overlaps" if offset < end else "leaves a gap to"} {previous}')
        end, last_name = offset + length, name
    if end < size:
        raise ValueError(f'{size - end:,} bytes after the last tensor')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose names must differ."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError('one name twice')
    return entries


def _noted(text: str) -> Any:
    """The value of a note in a safetensors file, which can only be text: parsed JSON, or the text itself."""
    try:
        return plain_note(json.loads(text))
    except (ValueError, RecursionError):
        return plain_note(text)


def _opened_pickles(path: Path, size: int) -> Checkpoint:
    answer = _index_of_pickles(path)
    if 'refused' in answer:
        raise refusal(path, str(answer['refused']))
    if 'error' in answer:
        expected, came, todo = answer['error']
        raise WeightsError(expected=expected, came=came, todo=todo)
    notes = dict(answer['notes'])
    checksums = {begin: (length, checksum) for begin, length, checksum in answer['checksums']}
    rows = [
        (keys, dtype, tuple(shape), tuple(stride), begin, length)
        for keys, dtype, shape, stride, begin, length in answer['tensors']
    ]
    return _checkpoint(path, size, answer['form'], rows, notes, checksums)


def _index_of_pickles(path: Path) -> dict[str, Any]:
    """The answer of the process that reads pickles: an index, `refused` with a reason, or `error` with three texts."""
    # -I and -S: neither the current folder, which may hold modules of any name, nor installed packages are looked into;
    # the reader needs the standard library alone, and starts in a third of the time.
    package_folder = str(Path(affekt.__file__).resolve().parents[1])
    code = f'import sys; sys.path.append({package_folder!r}); from affekt.checkpoints.pickles import main; main()'
    try:
        process = subprocess.run(
            [sys.executable, '-I', '-S', '-c', code, os.path.abspath(path)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * TIME_S + 10, check=False,
        )  # fmt: skip
        answer = json.loads(process.stdout)
    except (subprocess.TimeoutExpired, ValueError, RecursionError) as error:
        raise refusal(path, 'one that needs more memory or time than opening a checkpoint may') from error
    if not isinstance(answer, dict):
        raise refusal(path, 'an index that cannot be read')
    return answer


def _checkpoint(
    path: Path, size: int, form: str, rows: list[tuple[Any, ...]], notes: dict[str, Any],
    checksums: dict[int, tuple[int, int]],
) -> Checkpoint:  # fmt: skip
    """A checkpoint of checked tensors: those of the model by name, the others counted."""
    stored = [(names, _checked(path, size, dtype, *rest)) for names, dtype, *rest in rows]
    total = sum(tensor.numbers * SIZES[tensor.dtype] for _, tensor in stored)
    if total > FREE_BYTES + BYTES_PER_BYTE * size:
        raise refusal(path, f'{size:,} bytes that stand for {total:,} bytes of tensors')
    first_keys = {names[0] for names, _ in stored if len(names) > 1}
    key = next((name for name in MODEL_KEYS if name in first_keys), '')
    model = {'.'.join(names[1:] if key else names): tensor for names, tensor in stored if not key or names[0] == key}
    if len(model) < sum(not key or names[0] == key for names, _ in stored):
        raise refusal(path, 'two tensors of one name')
    others: dict[str, tuple[int, int]] = {}
    for names, tensor in stored:
        if key and names[0] != key:
            count, length = others.get(names[0], (0, 0))
            others[names[0]] = count + 1, length + tensor.numbers * SIZES[tensor.dtype]
    if not model or '' in model:
        raise refusal(path, 'one tensor without a name' if model else 'a file without any tensor')
    prefix, tensors = unwrapped(model)
    kept_notes = {name: note for name, note in notes.items() if name not in first_keys}
    return Checkpoint(path, form, tensors, kept_notes, key, prefix, others, checksums)


def _checked(
    path: Path, size: int, dtype: str, shape: tuple[Any, ...], stride: tuple[Any, ...] | None, begin: Any, room: Any
) -> StoredTensor:
    """A tensor whose every number lies in the file."""
    numbers = (*shape, *(stride or ()), begin, room)
    if dtype not in SIZES or not all(type(side) is int and 0 <= side < 1 << 62 for side in numbers):
        raise refusal(path, 'a tensor of an impossible size')
    if stride is None:
        stride = contiguous(shape)
        if prod(shape) * SIZES[dtype] != room:
            raise refusal(path, f'{room:,} bytes for a tensor of shape {list(shape)}')
    stored = StoredTensor(dtype, shape, stride, begin)
    if len(shape) != len(stride) or stored.extent > room or begin + stored.extent > size:
        raise refusal(path, 'a truncated file: a tensor lies past its end')
    return stored


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def unwrapped(tensors: Mapping[str, StoredTensor]) -> tuple[str, dict[str, StoredTensor]]:
    """The prefix that wrappers add to every name, and the tensors without it."""
    prefix, names = '', dict(tensors)
    while names:
        wrapper = next((wrapper for wrapper in WRAPPERS if all(name.startswith(wrapper) for name in names)), None)
        if wrapper is None:
            break
        prefix, names = prefix + wrapper, {name.removeprefix(wrapper): tensor for name, tensor in names.items()}
    return prefix, names


def _checksum(path: Path, begin: int, size: int) -> int:
    checksum = 0
    with open(path, 'rb', opener=only_regular) as file:
        file.seek(begin)
        for part in _parts(file, size):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _parts(file: Any, size: int) -> Iterator[bytes]:
    while size > 0 and (part := file.read(min(size, 1 << 22))):
        size -= len(part)
        yield part


def refusal(path: Path, came: str) -> WeightsError:
    """The error for a file that is not a checkpoint of tensors and plain values."""
    return WeightsError(
        expected='a checkpoint of tensors and plain values (.pth, .pt, .bin, .ckpt or .safetensors)',
        came=f'{path.name}: {came}',
        todo='get it again from its source, or have it saved as a state dict: torch.save(model.state_dict(), FILE)',
    )


def _unreadable(path: Path, error: OSError) -> AffektError:
    if isinstance(error, AffektError):
        return error
    return WeightsError(expected='a checkpoint', came=f'{path}: {error.strerror or error}', todo='check the path')
