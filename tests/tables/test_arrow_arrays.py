"""Values as Arrow arrays and back by buffers, held against pyarrow's own conversion."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import affekt
from affekt.errors import ValueRangeError
from affekt.tables import arrow_array, empty_table, flag_array, flags, floats, number_array, text_array, text_scalar

NAN = float('nan')
OF_THE_MAIN_JOB = ('analysis', 'faces', 'voice', 'report')
LOADS_PANDAS = ('array', 'scalar', 'to_numpy', 'empty_table')


@pytest.mark.parametrize(
    ('values', 'dtype'),
    [
        ([1.5, NAN, -2.0], pa.float64()),
        ([1.5, None, 3], pa.float64()),
        ([1, 2], pa.float64()),
        (np.array([1.0, NAN], dtype=np.float32), pa.float64()),
        (np.array([3, -1]), pa.int64()),
        (['a', None, 'ß'], pa.string()),
        (np.array(['a', ''], dtype=object), pa.string()),
        ([True, None, False], pa.bool_()),
        (np.arange(11) % 3 == 0, pa.bool_()),
        ([], pa.float64()),
        ([], pa.string()),
        ([], pa.bool_()),
    ],
)
def test_values_become_the_array_that_pyarrow_makes(values, dtype):
    ours, theirs = arrow_array(values, dtype), pa.array(values, dtype)
    ours.validate(full=True)
    assert ours.type == theirs.type
    assert ours.null_count == theirs.null_count
    np.testing.assert_equal(ours.to_pylist(), theirs.to_pylist())


@pytest.mark.parametrize(
    ('values', 'dtype'),
    [(['0.5'], pa.float64()), ([False, True], pa.float64()), ([[1.0]], pa.float64()), ([3], pa.string()),
     ([1], pa.bool_())],
)  # fmt: skip
def test_values_of_another_kind_are_refused(values, dtype):
    with pytest.raises(ValueRangeError, match='convert it first'):
        arrow_array(values, dtype)


def test_a_column_of_several_parts_comes_back_as_one_array():
    numbers = pa.chunked_array([pa.array([1, None]), pa.array([3])])
    np.testing.assert_array_equal(floats(numbers), [1.0, NAN, 3.0])
    answers = pa.chunked_array([pa.array([True, None]), pa.array([False, True])])
    assert flags(answers).tolist() == [True, False, False, True]
    assert floats(number_array(np.arange(5.0)).slice(1, 2)).tolist() == [1.0, 2.0]
    assert flags(flag_array(np.array([True, False, True])).slice(1)).tolist() == [False, True]


def test_a_table_without_rows_has_the_columns_of_its_schema():
    schema = pa.schema([('name', pa.string()), ('value', pa.float64()), ('is_known', pa.bool_())])
    assert empty_table(schema).equals(schema.empty_table())


def test_a_text_is_found_in_a_column():
    assert flags(pa.compute.equal(text_array(['a', 'b', 'a']), text_scalar('a'))).tolist() == [True, False, True]


def test_no_room_of_the_main_job_converts_by_what_loads_pandas():
    package = Path(affekt.__file__).parent
    calls = [
        f'{path.relative_to(package)}:{node.lineno} {node.func.attr}'
        for room in OF_THE_MAIN_JOB
        for path in sorted((package / room).glob('*.py'))
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOADS_PANDAS
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == 'np')
    ]  # fmt: skip
    assert calls == []
