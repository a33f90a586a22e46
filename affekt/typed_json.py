"""Records as JSON values and back, including dataclasses, tuples and nan, which JSON lacks.

`plain` converts a record to values that `json.dumps` accepts with `allow_nan=False`; `typed` converts them back and
raises an error that says where a value does not fit its type.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, overload

from affekt.tables import storable

_NAMED: Mapping[type, str] = {str: 'a text', int: 'a whole number', bool: 'true or false'}
"""Type to its name in messages."""


@overload
def plain(value: Mapping[Any, Any]) -> dict[str, Any]: ...
@overload
def plain(value: Any) -> Any: ...
def plain(value: Any) -> Any:
    """Convert a value to dicts, lists, strings, numbers, booleans and None.

    Dataclasses become dicts without their fields of bytes; mappings get string keys; other iterables and arrays become
    lists; nan and infinities become None; NumPy scalars become Python's; strings keep only what UTF-8 can encode.

    Raises:
        TypeError: the value holds another type, such as bytes.
    """
    if value is None or isinstance(value, (bool, str, PurePath)):
        return value if value is None or isinstance(value, bool) else storable(str(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: plain(part) for name, part in fields.items() if not isinstance(part, bytes)}
    if isinstance(value, Mapping):
        return {storable(str(key)): plain(part) for key, part in value.items()}
    if hasattr(value, 'tolist'):  # an array or a NumPy scalar
        return plain(value.tolist())
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [plain(part) for part in value]
    raise TypeError(f'{type(value).__name__} cannot be written as JSON')


def json_file(value: Any) -> bytes:
    """The value as indented JSON with a final newline, encoded as UTF-8.

    Args:
        value: a value that `plain` accepts.
    """
    return (json.dumps(plain(value), indent=1, allow_nan=False) + '\n').encode()


def typed(hint: Any, value: Any) -> Any:
    """Convert the output of `plain` back to a type; None becomes nan where a float is expected.

    Args:
        hint: a dataclass, str, int, bool, float, a literal, or an optional, tuple or mapping of these; in a union of
            plain types, a value of one of them is returned unchanged.
        value: the JSON value.

    Raises:
        TypeError, ValueError, LookupError: the value does not fit the type; the message says where.
    """
    origin = typing.get_origin(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _record(hint, value)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if type(value) in options and type(value) in (str, int, bool, float):
            return value
        return None if value is None else typed(options[0], value)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise ValueError(f'{brief(value)} where one of {typing.get_args(hint)} belongs')
        return value
    if origin is tuple:
        return _tuple(typing.get_args(hint), value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise TypeError(f'{brief(value)} where a mapping belongs')
        return {str(key): typed(typing.get_args(hint)[1], part) for key, part in value.items()}
    if hint is float:
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise TypeError(f'{brief(value)} where a number belongs')
        return math.nan if value is None else float(value)
    if hint in _NAMED and type(value) is not hint:
        raise TypeError(f'{brief(value)} where {_NAMED[hint]} belongs')
    return value


def _record(hint: type, value: Any) -> Any:
    """A dataclass from a mapping; optional fields of bytes, which JSON does not hold, are None."""
    if not isinstance(value, Mapping):
        raise TypeError(f'{hint.__name__} is {brief(value)}')
    field_types = typing.get_type_hints(hint)
    names = [field.name for field in dataclasses.fields(hint)]
    values = {name: typed(field_types[name], value[name]) for name in names if name in value}
    absent = {name: None for name in names if name not in value and field_types[name] == bytes | None}
    return hint(**values, **absent)


def _tuple(options: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f'{brief(value)} where a list belongs')
    if len(options) == 2 and options[1] is Ellipsis:
        return tuple(typed(options[0], part) for part in value)
    return tuple(typed(option, part) for option, part in zip(options, value, strict=True))


def brief(value: Any) -> str:
    """The `repr` of a value, cut to at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:59]}…'
