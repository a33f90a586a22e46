"""Which faces are those of the person that is meant: by side, by size, and again after an absence."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, UnknownNameError
from affekt.frames import rows_of_person


def _rows(*seen):
    """Names, times and boxes of faces given as (name, time, left, side of the square)."""
    names, times, left, size = zip(*seen, strict=True)
    boxes = np.array([(x, 10, s, s) for x, s in zip(left, size, strict=True)], dtype=float)
    return names, np.array(times), boxes


def test_two_people_are_told_apart_by_the_side_of_the_picture():
    rows = _rows(('b', 0, 200, 50), ('a', 0, 10, 40), ('b', 1, 200, 50), ('a', 1, 10, 40))
    assert rows_of_person(*rows, 320, 'left').tolist() == [False, True, False, True]
    assert rows_of_person(*rows, 320, 'right').tolist() == [True, False, True, False]


def test_sides_are_those_of_the_two_where_both_sit_in_one_half_of_the_picture():
    rows = _rows(('a', 0, 10, 40), ('b', 0, 90, 40), ('a', 1, 12, 40))
    assert rows_of_person(*rows, 320, 'right').tolist() == [False, True, False]


def test_without_a_side_the_one_who_fills_most_is_taken():
    rows = _rows(('a', 0, 10, 40), ('b', 0, 200, 60), ('a', 1, 10, 40))
    assert rows_of_person(*rows, 320).tolist() == [False, True, False]


def test_a_person_who_comes_back_under_another_name_is_the_same():
    rows = _rows(('a', 0, 10, 60), ('a', 1, 10, 60), ('c', 5, 12, 60), ('b', 5, 200, 30), ('b', 0, 200, 30))
    assert rows_of_person(*rows, 320).tolist() == [True, True, True, False, False]
    assert rows_of_person(*rows, 320, 'left').tolist() == [True, True, True, False, False]


def test_one_alone_is_on_the_side_of_the_middle_and_nobody_is_on_the_other():
    rows = _rows(('a', 0, 10, 40), ('a', 1, 12, 40))
    assert rows_of_person(*rows, 320, 'left').all()
    assert not rows_of_person(*rows, 320, 'right').any()


def test_no_faces_are_nobody():
    assert rows_of_person([], np.zeros(0), np.zeros((0, 4)), 320, 'left').shape == (0,)


def test_unknown_sides_and_shapes_that_do_not_fit_are_refused():
    with pytest.raises(UnknownNameError, match='middle'):
        rows_of_person(*_rows(('a', 0, 10, 40)), 320, 'middle')
    with pytest.raises(ShapeError):
        rows_of_person(['a'], np.zeros(2), np.zeros((1, 4)), 320)
