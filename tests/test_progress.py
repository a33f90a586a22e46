"""Progress of long work: what is reported before the first unit and after each."""

from __future__ import annotations

from affekt.progress import with_progress


def test_the_stage_is_reported_before_its_first_unit():
    reports: list[tuple[str, float, float]] = []
    units = with_progress(['a', 'b'], lambda *report: reports.append(report), 'videos', 5, done=3)
    assert next(units) == 'a'
    assert reports == [('videos', 3, 5)]
    assert list(units) == ['b']
    assert reports == [('videos', 3, 5), ('videos', 4, 5), ('videos', 5, 5)]


def test_units_without_a_callback_pass_through():
    assert list(with_progress('ab', None, 'videos', 2)) == ['a', 'b']


def test_a_stage_without_units_left_is_reported_once():
    reports: list[tuple[str, float, float]] = []
    assert list(with_progress([], lambda *report: reports.append(report), 'videos', 2, done=2)) == []
    assert reports == [('videos', 2, 2)]
