"""Index of files written by torch (zip since 2020, one stream of pickles before), without running anything in them.

The unpickler supports what torch's own `weights_only` reader supports in plain checkpoints, and `argparse.Namespace`:
each allowed name gets a stand-in (`stand_ins.py`), any other is refused by name. No tensor is built: the
index gives the position of its bytes in the file. All of this runs in a separate process with limits of memory and time
(`main`), whose output is JSON, in which `opening.py` checks every number again.

Source: the formats as `torch.serialization` documents them, version 3 of the zip form and protocol 1001 of the stream.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pickle
import signal
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from affekt.checkpoints.sizes import SIZES, TIME_S
from affekt.checkpoints.stand_ins import Dtype, Namespace, Placed, Refused, Unpickler
from affekt.errors import AffektError
from affekt.files import only_regular

MEMORY_BYTES = 3 << 30
"""Address space of the process that reads pickles."""
LARGEST_PICKLE = 256 << 20
"""Bytes of names, shapes and plain values; a file with 100,000 tensors has about 20 MB."""
MOST_TENSORS = 200_000
"""Maximum number of tensors of a file."""
MOST_VALUES = 1_000_000
"""Maximum number of values visited, each as often as it occurs: nested lists may double at each level."""
DEEPEST, LONGEST_NAME = 32, 1_000
"""Maximum depth of keys to a tensor, and their total length: keeps the output small."""
NOTES, NOTE_VALUES, NOTE_DEPTH, NOTE_TEXT = 64, 2_000, 8, 500
"""Limits of other content (epoch, arguments): entries, plain values, depth, characters per text."""
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""Numbers that a stream of pickles begins with."""


@dataclass
class Index:
    """Positions of a file's tensors, and its other content.

    Args:
        tensors: path of keys to dtype, shape, strides, offset in the file, bytes to the end of its storage.
        notes: everything that is not a tensor, as JSON values.
        form: format of the file.
        checksums: offset of a storage to its size and CRC-32, if the file has them.
    """

    form: str
    tensors: list[tuple[list[str], str, tuple[int, ...], tuple[int, ...], int, int]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    checksums: dict[int, tuple[int, int]] = field(default_factory=dict)


def indexed(path: Path) -> Index:
    """The index of a file written by torch.

    Raises:
        Refused: it asks for more than tensors and plain values, or is inconsistent.
        OSError: it cannot be read.
    """
    with open(path, 'rb', opener=only_regular) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(4) == b'PK\x03\x04':
            try:
                return _index_of_zip(file, size)
            except zipfile.BadZipFile as error:
                raise Refused('a truncated or damaged archive') from error
        file.seek(0)
        return _index_of_stream(file, size)


def _index_of_zip(file: IO[bytes], size: int) -> Index:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        root = next((name.removesuffix('data.pkl') for name in members if name.endswith('/data.pkl')), None)
        if any(name.endswith('constants.pkl') or '/code/' in f'/{name}' for name in members):
            raise Refused('a TorchScript archive, which is a program')
        if root is None or root.count('/') > 1:
            raise Refused('a zip archive that torch did not write')
        if compressed := [name for name, info in members.items() if info.compress_type != zipfile.ZIP_STORED]:
            raise Refused(f'{compressed[0][:80]!r} compressed, which torch never does')
        byte_order = members.get(f'{root}byteorder')
        if byte_order is not None and byte_order.file_size <= 16 and archive.read(byte_order) != b'little':
            raise Refused('numbers of a machine with another byte order')
        if members[f'{root}data.pkl'].file_size > min(LARGEST_PICKLE, size):
            raise Refused(f'{members[f"{root}data.pkl"].file_size:,} bytes of names and plain values')
        unpickler = Unpickler(io.BytesIO(archive.read(f'{root}data.pkl')))
    content = unpickler.load()
    spans: dict[str, tuple[int, int]] = {}
    checksums: dict[int, tuple[int, int]] = {}
    for key, (dtype, numbers) in unpickler.storages.items():
        info = members.get(f'{root}data/{key}')
        if info is None:
            raise Refused(f'no bytes for the storage {key[:40]!r}')
        if info.file_size < numbers * SIZES[dtype]:
            raise Refused(f'{info.file_size:,} bytes where {numbers:,} numbers of {dtype} are announced')
        begin = _begin_of(file, info, size)
        spans[key] = begin, info.file_size
        if info.CRC:
            checksums[begin] = info.file_size, info.CRC
    index = Index('zip', checksums=checksums)
    _fill(index, content, spans)
    return index


def _begin_of(file: IO[bytes], info: zipfile.ZipInfo, size: int) -> int:
    """Offset of a stored member's bytes, after its own header, whose length the directory does not state."""
    file.seek(info.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b'PK\x03\x04':
        raise Refused('a damaged archive')
    name_length, extra_length = struct.unpack('<HH', header[26:30])
    begin = info.header_offset + 30 + int(name_length) + int(extra_length)
    if begin + info.file_size > size:
        raise Refused('a truncated archive')
    return begin


def _index_of_stream(file: IO[bytes], size: int) -> Index:
    if Unpickler(file).load() != _MAGIC:
        raise Refused('a pickle that torch did not write')
    if Unpickler(file).load() != _PROTOCOL:
        raise Refused('an unknown version of the format')
    machine = Unpickler(file).load()
    if not isinstance(machine, dict) or not machine.get('little_endian', True):
        raise Refused('numbers of a machine with another byte order')
    unpickler = Unpickler(file)
    content = unpickler.load()
    keys = Unpickler(file).load()
    if not isinstance(keys, list) or file.tell() > LARGEST_PICKLE:
        raise Refused('no list of storages')
    spans: dict[str, tuple[int, int]] = {}
    for key in map(str, keys):
        if key not in unpickler.storages:
            raise Refused(f'a storage {key[:40]!r} that nothing uses')
        count_bytes = file.read(8)
        numbers = struct.unpack('<q', count_bytes)[0] if len(count_bytes) == 8 else -1
        length = numbers * SIZES[unpickler.storages[key][0]]
        if numbers < 0 or file.tell() + length > size:
            raise Refused('a truncated file')
        spans[key] = file.tell(), length
        file.seek(length, os.SEEK_CUR)
    index = Index('stream of pickles, as torch wrote before 2020')
    _fill(index, content, spans)
    return index


def _fill(index: Index, content: Any, spans: Mapping[str, tuple[int, int]]) -> None:
    """Add every tensor in the content to the index, and everything else as notes."""
    for path, placed in _tensors_below(content):
        width = SIZES[placed.dtype]
        begin, length = spans.get(placed.storage.key, (0, -1))
        offset = placed.offset * width
        last = sum((side - 1) * step for side, step in zip(placed.shape, placed.stride, strict=True))
        end = offset + (last + 1) * width if all(placed.shape) else offset
        if length < 0 or (end > length and all(placed.shape)):
            raise Refused(f'{".".join(path)[:120]!r} past the end of its storage')
        index.tensors.append((path, placed.dtype, placed.shape, placed.stride, begin + offset, length - offset))
    if isinstance(content, dict):
        parts = [(key, part) for key, part in content.items() if not isinstance(part, Placed)][:NOTES]
        index.notes = {_name(key)[:NOTE_TEXT]: plain_note(part) for key, part in parts}


def _tensors_below(content: Any) -> Iterator[tuple[list[str], Placed]]:
    visits = tensors = 0
    stack: list[tuple[tuple[str, ...], Any]] = [((), content)]
    while stack:
        path, value = stack.pop()
        visits += 1
        if visits > MOST_VALUES or len(path) > DEEPEST:
            raise Refused('values nested or repeated without end')
        if isinstance(value, Placed):
            tensors += 1
            if tensors > MOST_TENSORS:
                raise Refused(f'more than {MOST_TENSORS:,} tensors')
            if len(value.shape) != len(value.stride):
                raise Refused('a tensor whose shape and strides differ in length')
            if sum(map(len, path)) > LONGEST_NAME:
                raise Refused(f'a tensor with a name of more than {LONGEST_NAME:,} characters')
            yield list(path), value
        elif isinstance(value, dict):
            if len(value) > MOST_VALUES:
                raise Refused('values without end')
            stack += [((*path, _name(key)), part) for key, part in reversed(value.items())]
        elif isinstance(value, list | tuple):
            if len(value) > MOST_VALUES:
                raise Refused('values without end')
            stack += [((*path, str(index)), part) for index, part in reversed([*enumerate(value)])]


def _name(key: Any) -> str:
    return key if isinstance(key, str) else str(key)[:80] if isinstance(key, int | float | bool) else '?'


def plain_note(value: Any) -> Any:
    """A value as JSON, cut if it is long or deep."""
    return _plain(value, [NOTE_VALUES], 0)


def _plain(value: Any, budget: list[int], depth: int) -> Any:
    budget[0] -= 1
    if budget[0] < 0 or depth > NOTE_DEPTH:
        return '…'
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else '…'
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value[:NOTE_TEXT].decode('latin-1')
        text = text.encode('utf-8', 'backslashreplace').decode()
        return text if len(text) <= NOTE_TEXT else text[:NOTE_TEXT] + '…'
    if isinstance(value, Placed):
        return '(tensor)'
    if isinstance(value, Dtype):
        return value.name
    parts = vars(value) if isinstance(value, Namespace) else value
    if isinstance(parts, dict):
        pairs = [pair for pair in islice(parts.items(), NOTE_VALUES) if not isinstance(pair[1], Placed)]
        return {_name(key)[:NOTE_TEXT]: _plain(part, budget, depth + 1) for key, part in pairs if budget[0] > 0}
    if isinstance(parts, list | tuple | set | frozenset):
        return [_plain(part, budget, depth + 1) for part in islice(parts, NOTE_VALUES) if budget[0] > 0]
    return '…'


# The separate process


def main() -> None:
    """Print the index of the file given as the first argument."""
    _limit()
    text = answer(Path(sys.argv[1]))
    with contextlib.suppress(BrokenPipeError), open(1, 'w', encoding='utf-8', closefd=False) as answers:
        answers.write(text)


def answer(path: Path) -> str:
    """The index of a file, or the reason for none, as one line of JSON."""
    try:
        index = indexed(path)
        return json.dumps({
            'form': index.form, 'tensors': index.tensors, 'notes': index.notes,
            'checksums': [[begin, *rest] for begin, rest in index.checksums.items()],
        })  # fmt: skip
    except Refused as error:
        return _refused(str(error))
    except MemoryError:
        return _refused(f'one that asks for more than {MEMORY_BYTES >> 30} GiB of memory')
    except OSError as error:
        if isinstance(error, AffektError):
            parts = [error.expected, error.came, error.todo]
        else:
            parts = ['a checkpoint', f'{path.name}: {error.strerror or error}', 'check the path']
        return json.dumps({'error': parts})
    except _DAMAGE as error:
        return _refused(f'a damaged or foreign file ({" ".join(str(error).split())[:160] or type(error).__name__})')


def _refused(came: str) -> str:
    return json.dumps({'refused': came})


_DAMAGE: tuple[type[Exception], ...] = (
    ValueError, TypeError, LookupError, AttributeError, EOFError, OverflowError, RecursionError, AssertionError,
    NotImplementedError, RuntimeError, ImportError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
"""Exceptions that reading damaged bytes can raise."""


def _limit() -> None:
    """Bound memory and time, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        limits: list[tuple[int, int]] = [
            (resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, TIME_S), (resource.RLIMIT_CORE, 0),
        ]  # fmt: skip
        for limit, maximum in limits:
            soft, hard = resource.getrlimit(limit)
            allowed = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
            resource.setrlimit(limit, (allowed if soft == resource.RLIM_INFINITY else min(allowed, soft), hard))
    if hasattr(signal, 'alarm'):
        signal.alarm(2 * TIME_S)
