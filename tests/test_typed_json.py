"""Records to JSON and back: what is written is JSON, and what is read is what was written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from affekt.typed_json import json_file, plain, typed


@dataclass(frozen=True)
class Part:
    name: str
    score: float
    spans: tuple[tuple[float, float], ...] = ()
    picture: bytes | None = None


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    counts: Mapping[str, int]
    best: Part | None = None


WHOLE = Whole((Part('a', 0.1 + 0.2, ((0.0, 1.5),)), Part('b', 1e-300)), {'x': 3}, Part('c', 1.0))


def test_a_record_comes_back_to_the_last_digit():
    assert typed(Whole, json.loads(json.dumps(plain(WHOLE), allow_nan=False))) == WHOLE


def test_nan_is_null_and_null_is_nan_where_a_number_belongs():
    assert plain(Part('a', math.nan))['score'] is None
    assert plain([math.inf, -math.inf]) == [None, None]
    assert math.isnan(typed(Part, {'name': 'a', 'score': None}).score)


def test_arrays_scalars_paths_and_generators_are_plain():
    assert plain({1: np.float32(0.5), 'a': np.arange(2), 'p': Path('x'), 'g': (i for i in range(2))}) == {
        '1': 0.5, 'a': [0, 1], 'p': 'x', 'g': [0, 1]
    }  # fmt: skip
    assert type(plain(np.float64(0.5))) is float
    assert plain(np.array([np.nan, 1.0])) == [None, 1.0]


def test_bytes_of_a_record_are_left_out_and_others_refused():
    assert 'picture' not in plain(Part('a', 1.0, (), b'jpeg'))
    with pytest.raises(TypeError, match='bytes cannot be written as JSON'):
        plain([b'jpeg'])


def test_halves_of_surrogate_pairs_are_written_as_utf8_can_hold_them():
    assert plain({'\udc80': '\ud800'}) == {'\\x80': '\N{REPLACEMENT CHARACTER}'}


@pytest.mark.parametrize(
    ('kind', 'value', 'sentence'),
    [
        (Part, 'text', "Part is 'text'"),
        (Part, {'name': 3, 'score': 1.0}, '3 where a text belongs'),
        (Part, {'name': 'a', 'score': True}, 'True where a number belongs'),
        (tuple[int, ...], {'a': 1}, 'where a list belongs'),
        (Mapping[str, int], [1], 'where a mapping belongs'),
    ],
)
def test_what_does_not_fit_the_type_is_refused_with_a_sentence(kind, value, sentence):
    with pytest.raises(TypeError, match=sentence):
        typed(kind, value)


def test_literals_are_checked_and_unions_of_plain_types_keep_each_as_it_is():
    assert typed(Literal['a', 'b'], 'b') == 'b'
    with pytest.raises(ValueError, match="'c' where one of"):
        typed(Literal['a', 'b'], 'c')
    options = typed(Mapping[str, float | int | bool | str], {'layers': 6, 'share': 0.5, 'causal': True, 'name': 'x'})
    assert [type(value) for value in options.values()] == [int, float, bool, str]
    assert type(typed(float | None, 3)) is float


def test_a_file_of_json_is_indented_ends_its_last_line_and_has_null_for_nan():
    assert json_file({'score': math.nan, 'rows': (1, 2)}) == b'{\n "score": null,\n "rows": [\n  1,\n  2\n ]\n}\n'
