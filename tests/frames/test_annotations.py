"""Annotation files: what they say, in every form that releases have, and each fault with its line."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from affekt.frames import ACTION_UNITS, EXPRESSIONS, Faults, annotations, read_annotation, write_annotation
from affekt.frames.annotations import digit_table

CLASSES = 'Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other'


def read(tmp_path, content, task=''):
    """The annotation in a file with this content, and what was wrong with it."""
    path, faults = tmp_path / 'video1.txt', Faults()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_annotation(path, faults, task=task, name='video1.txt'), faults


def values_of(tmp_path, content):
    annotation, faults = read(tmp_path, content)
    assert faults.shown == []
    return annotation.values.tolist()


def faults_of(tmp_path, content, task=''):
    annotation, faults = read(tmp_path, content, task)
    assert annotation is None
    return faults.shown


def test_each_task_is_known_by_its_header(tmp_path):
    assert read(tmp_path, 'valence,arousal\n0.5,-0.25\n')[0].task == 'affect'
    assert read(tmp_path, f'{CLASSES}\n3\n')[0].task == 'expression'
    units = read(tmp_path, ','.join(ACTION_UNITS) + '\n' + ','.join('010101010101') + '\n')[0]
    assert (units.task, units.names, units.values.shape) == ('units', ACTION_UNITS, (1, 12))


def test_frames_without_a_label_stay_in_their_rows(tmp_path):
    affect, _ = read(tmp_path, 'valence,arousal\n0.5,-0.25\n-5,-5\n-5,0.5\n-1,1\n')
    assert np.isnan(affect.values).tolist() == [[False, False], [True, True], [True, False], [False, False]]
    assert affect.values.dtype == np.float32
    assert values_of(tmp_path, f'{CLASSES}\n-1\n7\n') == [-1, 7]
    assert values_of(tmp_path, 'AU1,AU2\n-1,-1\n0,1\n') == [[-1, -1], [0, 1]]


def test_the_first_two_challenges_have_seven_classes_and_eight_units(tmp_path):
    seven, _ = read(tmp_path, 'Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n6\n')
    assert seven.names == EXPRESSIONS[:7]
    assert faults_of(tmp_path, 'Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise\n7\n') == [
        "video1.txt, line 2: class '7' is not a whole number from 0 to 6, nor -1 (no label)"
    ]
    eight, _ = read(tmp_path, 'AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n1,0,1,0,1,0,1,0\n')
    assert eight.names[6] == 'AU20'


@pytest.mark.parametrize(
    'content',
    [
        'valence,arousal\n0.5,-0.25',
        'valence,arousal,\n0.5,-0.25\n',
        'valence,arousal, \n0.5,-0.25\n\n\n',
        '\ufeffvalence,arousal\r\n0.5,-0.25\r\n',
        'valence,arousal\r0.5,-0.25\r',
        'valence,arousal\n0.5, -0.25 \n',
        'valence,arousal,\n0.5,-0.25,\n',
        'Valence, Arousal\n+0.5,-2.5e-1\n',
        'arousal,valence\n-0.25,0.5\n',
    ],
    ids=['no end', 'comma', 'blanks', 'Windows', 'old macOS', 'spaces', 'commas', 'capitals', 'swapped'],
)
def test_forms_that_releases_and_editors_leave_are_read_alike(tmp_path, content):
    assert values_of(tmp_path, content) == [[0.5, -0.25]]


def test_every_wrong_value_of_a_line_is_named(tmp_path):
    assert faults_of(tmp_path, 'valence,arousal\n1.5,-3\n0,0,0\n') == [
        "video1.txt, line 2: valence '1.5' is not a number in [-1, 1], nor -5 (no label); also wrong: arousal '-3'",
        'video1.txt, line 3: 3 values where 2 belong',
    ]
    units = ','.join(ACTION_UNITS) + '\n' + ','.join('2' * 12) + '\n'
    assert faults_of(tmp_path, units) == [
        "video1.txt, line 2: AU1 '2' is not 0 or 1, nor -1 (no label); also wrong: AU2 '2', AU4 '2', AU6 '2' and 8 more"
    ]


def test_probabilities_where_the_number_of_the_class_belongs_are_told_so(tmp_path):
    assert faults_of(tmp_path, f'{CLASSES}\n' + ','.join(['0.125'] * 8) + '\n') == [
        'video1.txt, line 2: 8 values where the number of the class belongs'
    ]
    assert faults_of(tmp_path, 'AU4\n1\n1,0\n') == ['video1.txt, line 3: 2 values where AU4 belongs']


def test_a_file_with_a_header_alone_has_no_frames(tmp_path):
    assert values_of(tmp_path, 'valence,arousal\n') == []
    assert read(tmp_path, ','.join(ACTION_UNITS))[0].values.shape == (0, 12)


def test_every_bad_line_is_named_with_what_is_wrong(tmp_path):
    assert faults_of(tmp_path, 'valence,arousal\n0.1,nan\n\n1.2,0\n3\n0.1,0.2\nx,inf\n') == [
        "video1.txt, line 2: arousal 'nan' is not a number in [-1, 1], nor -5 (no label)",
        'video1.txt, line 3: is blank, and every line is a frame',
        "video1.txt, line 4: valence '1.2' is not a number in [-1, 1], nor -5 (no label)",
        'video1.txt, line 5: 1 value where 2 belong',
        "video1.txt, line 7: valence 'x' is not a number in [-1, 1], nor -5 (no label); also wrong: arousal 'inf'",
    ]


@pytest.mark.parametrize('cell', ['8', '-2', '1.5', '', ' ', 'Anger', '1_0', '0x1', '٣', '300', 'nan', '1,2', '\x00'])
def test_a_class_out_of_range_is_named_with_its_line(tmp_path, cell):
    (fault,) = faults_of(tmp_path, f'{CLASSES}\n0\n{cell}\n1\n')
    assert fault.startswith('video1.txt, line 3: ')


@pytest.mark.parametrize('cells', ['0,2', '0', '0,1,1', '0.5,1', '-5,0', '0,', ',', '0,nan', '0;1'])
def test_an_action_unit_that_is_neither_shown_nor_absent_is_named(tmp_path, cells):
    (fault,) = faults_of(tmp_path, f'AU1,AU2\n{cells}\n1,1\n')
    assert fault.startswith('video1.txt, line 2: ')


def test_numbers_with_a_point_are_numbers_of_classes_too(tmp_path):
    assert values_of(tmp_path, f'{CLASSES}\n1.0\n-1.0\n2\n') == [1, -1, 2]


@pytest.mark.parametrize(
    ('content', 'fault'),
    [
        ('', 'video1.txt: is empty, without even a header'),
        ('v\0a\0l\0', 'video1.txt: is UTF-16 or no text: save it as UTF-8'),
        ('\n\n', 'video1.txt: is empty, without even a header'),
        ('0.1,0.2\n0.3,0.4\n', "video1.txt, line 1: '0.1,0.2' where the header valence,arousal belongs"),
        ('\nvalence,arousal\n', "video1.txt, line 1: '' where the header valence,arousal belongs"),
        (f'{CLASSES}\n1\n', "video1.txt, line 1: 'Neutral,Anger,Disgust,Fear,Happiness,Sa…' where the header"),
    ],
    ids=['empty', 'UTF-16', 'blank', 'no header', 'blank before', 'other task'],
)
def test_a_file_without_its_header_is_refused(tmp_path, content, fault):
    assert faults_of(tmp_path, content, 'affect')[0].startswith(fault)


def test_classes_in_another_order_are_refused(tmp_path):
    assert 'line 1' in faults_of(tmp_path, 'Anger,Neutral,Disgust,Fear,Happiness,Sadness,Surprise,Other\n1\n')[0]


def test_a_file_that_is_not_there_is_a_fault_and_no_error(tmp_path):
    faults = Faults()
    assert read_annotation(tmp_path / 'absent.txt', faults) is None
    assert 'cannot be read' in faults.shown[0]


def test_a_file_of_nothing_but_bad_lines_shows_the_first_twenty(tmp_path):
    _, faults = read(tmp_path, 'valence,arousal\n' + '2,2\n' * 5000)
    assert (len(faults.shown), faults.count) == (20, 5000)
    with pytest.raises(ValueError, match='and 4,980 more'):
        faults.refuse('annotations', 'correct them')


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 40).flatmap(
        lambda frames: st.tuples(
            arrays.arrays(np.float32, (frames, 2), elements=st.floats(-1, 1, width=32)),
            arrays.arrays(np.int8, frames, elements=st.integers(-1, 7)),
            arrays.arrays(np.int8, (frames, 12), elements=st.integers(-1, 1)),
        )
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp('written') / 'video.txt'
    affect, expression, units = labels
    affect[1::3] = np.nan
    for task, values, names in (
        ('affect', affect, ()),
        ('expression', expression, EXPRESSIONS),
        ('units', units, ACTION_UNITS),
    ):
        write_annotation(path, task, values, names)
        back = read_annotation(path, Faults(), task=task)
        assert np.array_equal(back.values, values, equal_nan=task == 'affect')
        assert back.values.dtype == values.dtype


CELLS = st.sampled_from(
    ('0', '1', '-1', '1', '0', '7', '-2', '--1', '1-1', '-', '/', '', ' 1', '01', '1.0', '\x7f', 'é')
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=4).map(','.join), min_size=1, max_size=3).map('\n'.join))
def test_only_lines_of_digits_and_of_minus_one_are_read_as_digits(body):
    line = re.compile(r'(-1|[0-9])(,(-1|[0-9])){2}')
    lines = body.split('\n')
    table = digit_table(body.encode(), 3)
    if all(map(line.fullmatch, lines)):
        assert table.tolist() == [[int(cell) for cell in each.split(',')] for each in lines]
    else:
        assert table is None


def test_files_of_digits_need_no_table_of_text(tmp_path, monkeypatch):
    monkeypatch.setattr(annotations, 'parsed_table', None)
    units = [[1, 0] * 6, [-1] * 12]
    rows = '\n'.join(','.join(map(str, row)) for row in units)
    assert values_of(tmp_path, f'{",".join(ACTION_UNITS)}\n{rows}\n') == units
    assert values_of(tmp_path, f'{CLASSES}\r\n7\r\n-1\r\n0\r\n') == [7, -1, 0]
