"""Files beside an ONNX file that contain weights of it, found in its protobuf without loading a tensor.

An ONNX file may store the values of any tensor in another file and refer to it by path. A recipe's hash must cover
everything that affects its output, so all such files are collected: from initialisers, attributes of nodes, functions
and subgraphs at any depth.

Source: onnx/onnx.proto of github.com/onnx/onnx; the wire format of protobuf.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

from affekt.errors import WeightsError
from affekt.runs import file_sha256, only_regular

DEEPEST = 64
"""Largest depth of nested messages; networks have a dozen."""
MOST_FIELDS = 5_000_000
"""Maximum number of fields in a file; a language model has some hundred thousand."""
LONGEST_NAME = 4096
"""Largest length of a path, in bytes."""
TENSOR = 'tensor'
INSIDE: Mapping[str, Mapping[int, str]] = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'graph': {1: 'node', 5: TENSOR, 15: 'sparse'},
    'function': {7: 'node', 11: 'attribute'},
    'node': {5: 'attribute'},
    'attribute': {5: TENSOR, 6: 'graph', 10: TENSOR, 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: TENSOR, 2: TENSOR},
}
"""Message to the fields that may contain tensors: field number to message."""
EXTERNAL_DATA, DATA_LOCATION, EXTERNAL = 13, 14, 1
"""Field numbers of a tensor: entries of key and value, location of the data; and the value for external data."""
Field = tuple[int, int, int, int]
"""Field number, wire type, start and end of the content; for a number, its value and 0."""


def weights_beside(path: Path) -> dict[str, str]:
    """Name of each file beside an ONNX file that contains its weights, as in the file, to its sha256.

    Raises:
        WeightsError: the file is not an ONNX file; a file that it names is missing, or outside its folder.
    """
    hashes = {}
    for name in sorted(external_names(path)):
        if not _is_inside(name):
            raise WeightsError(
                expected=f'weights beside {path.name}, in its own folder', came=f'{path} with weights in {name!r}',
                todo='export it again with its weights in one file, or in files beside it',
            )  # fmt: skip
        weights_path = path.parent / name
        if not weights_path.is_file():
            raise WeightsError(
                expected=f'the weights that {path.name} names beside it', came=f'no {name}',
                todo='copy both files, or export into one',
            )  # fmt: skip
        hashes[name] = file_sha256(weights_path)
    return hashes


def external_names(path: Path) -> set[str]:
    """Paths under which an ONNX file stores values of its tensors.

    Raises:
        WeightsError: the file is missing, or not an ONNX file.
    """
    if not path.is_file():
        came = f'{path}, {"which is not there" if not path.exists() else "which is no file"}'
        raise WeightsError(expected='an ONNX file', came=came, todo='check the path')
    try:
        with open(path, 'rb', opener=only_regular) as file:
            if not file.read(1):
                raise ValueError('it is empty')
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _Walk(content).names()
    except (ValueError, OSError) as error:
        raise WeightsError(
            expected='an ONNX file', came=f'{path}: {error}', todo='export it again, or copy it anew'
        ) from error


class _Walk:
    """One pass through the messages that may contain tensors; all others are skipped."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._fields_left = MOST_FIELDS

    def names(self) -> set[str]:
        """The paths that tensors refer to."""
        names: set[str] = set()
        pending = [('model', 0, len(self._content), 0)]
        while pending:
            message, begin, end, depth = pending.pop()
            if depth > DEEPEST:
                raise ValueError(f'messages more than {DEEPEST} deep')
            if message == TENSOR:
                names |= self._tensor(begin, end)
                continue
            for number, wire, start, stop in self._fields(begin, end):
                if wire == 2 and (inner_message := INSIDE[message].get(number)):
                    pending.append((inner_message, start, stop, depth + 1))
        return names

    def _tensor(self, begin: int, end: int) -> set[str]:
        """Paths that one tensor refers to; empty where its values are in the file itself."""
        is_external, names = False, set()
        for number, wire, start, stop in self._fields(begin, end):
            if number == DATA_LOCATION and wire == 0:
                is_external = start == EXTERNAL
            elif number == EXTERNAL_DATA and wire == 2:
                texts = {
                    key: (text_start, text_stop)
                    for key, text_wire, text_start, text_stop in self._fields(start, stop)
                    if text_wire == 2
                }
                if {1, 2} <= set(texts) and self._text(*texts[1]) == 'location':
                    names.add(self._text(*texts[2]))
        if is_external and not names:
            raise ValueError('a tensor whose values lie in a file without a name')
        return names if is_external else set()

    def _text(self, begin: int, end: int) -> str:
        if end - begin > LONGEST_NAME:
            raise ValueError(f'a name of {end - begin} bytes')
        return self._content[begin:end].decode()

    def _fields(self, begin: int, end: int) -> Iterator[Field]:
        """The fields of a message."""
        position = begin
        while position < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise ValueError(f'more than {MOST_FIELDS} fields')
            key, position = self._number(position, end)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, position = self._number(position, end)
                yield number, wire, value, 0
                continue
            if wire == 2:
                size, position = self._number(position, end)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                raise ValueError(f'no field at byte {position}')
            if position + size > end:
                raise ValueError(f'it ends within the field at byte {position}')
            yield number, wire, position, position + size
            position += size

    def _number(self, position: int, end: int) -> tuple[int, int]:
        """A variable-length integer (7 bits per byte), and its end."""
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                raise ValueError(f'it ends within a number at byte {position}')
            byte = self._content[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        raise ValueError(f'no number at byte {position}')


def _is_inside(name: str) -> bool:
    """Whether a path stays inside its folder, on every operating system."""
    paths = PurePosixPath(name), PureWindowsPath(name)
    return bool(name) and not any(path.is_absolute() or path.anchor or '..' in path.parts for path in paths)
