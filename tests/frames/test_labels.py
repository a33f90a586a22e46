"""Labels of frames and the table of all videos."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet
import pytest

from affekt.errors import ShapeError, TableError, UnknownNameError, ValueRangeError
from affekt.frames import ACTION_UNITS, EXPRESSIONS, FrameLabels, FrameTable, recording_and_side

AFFECT = np.array([[0.5, -0.25], [np.nan, np.nan], [1, -1]], dtype=np.float32)
UNITS = np.tile(np.array([[0], [1], [-1]], dtype=np.int8), (1, 12))


def table():
    """Three videos: one with all tasks, one divided otherwise in one task, one of which only its length is known."""
    return FrameTable(
        (
            FrameLabels('video1_left', 'train', np.array([0, 7, -1]), AFFECT, UNITS),
            FrameLabels('video2', 'val', np.array([1]), AFFECT[:1], by_task={'affect': 'train'}),
            FrameLabels('video3', 'test', frames=4),
        ),
        notes=('something odd',),
    )


def test_a_table_is_the_same_after_it_was_saved(tmp_path):
    table().save(tmp_path / 'frames.parquet')
    back = FrameTable.load(tmp_path / 'frames.parquet')
    assert (back.names, back.frames, back.notes) == (table().names, 8, ('something odd',))
    assert (back.expressions, back.action_units) == (EXPRESSIONS, ACTION_UNITS)
    for left, right in zip(back, table(), strict=True):
        assert (left.partition, left.by_task, left.frames, left.tasks) == (
            right.partition,
            right.by_task,
            right.frames,
            right.tasks,
        )
        for task in left.tasks:
            assert np.array_equal(getattr(left, task), getattr(right, task), equal_nan=task == 'affect')
            assert getattr(left, task).dtype == getattr(right, task).dtype


def test_other_programs_see_a_row_a_frame_and_no_label_as_null(tmp_path):
    table().save(tmp_path / 'frames.parquet')
    read = pyarrow.parquet.read_table(tmp_path / 'frames.parquet').to_pydict()
    assert read['video'] == ['video1_left'] * 3 + ['video2'] + ['video3'] * 4
    assert read['frame'] == [1, 2, 3, 1, 1, 2, 3, 4]
    assert read['partition'][3:5] == ['val', 'test']
    assert read['expression'][:5] == [0, 7, None, 1, None]
    assert read['valence'][:4] == [0.5, None, 1.0, 0.5]
    assert read['AU26'][:4] == [0, 1, None, None]


def test_an_empty_table_can_be_saved(tmp_path):
    FrameTable(()).save(tmp_path / 'frames.parquet')
    assert len(FrameTable.load(tmp_path / 'frames.parquet')) == 0


@pytest.mark.parametrize('content', [b'', b'PAR1 nonsense', None])
def test_a_file_that_is_no_table_of_frames_is_refused(tmp_path, content):
    path = tmp_path / 'frames.parquet'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TableError, match='a table of labels by frame'):
        FrameTable.load(path)


def test_a_parquet_file_of_something_else_is_refused(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({'a': [1]}), tmp_path / 'other.parquet')
    with pytest.raises(TableError, match='a table of labels by frame'):
        FrameTable.load(tmp_path / 'other.parquet')


def test_a_header_that_is_nested_without_end_is_refused(tmp_path):
    of_frames = pyarrow.table({'expression': [1]}).replace_schema_metadata({'affekt': '[' * 100_000})
    pyarrow.parquet.write_table(of_frames, tmp_path / 'deep.parquet')
    with pytest.raises(TableError, match='nested too deeply'):
        FrameTable.load(tmp_path / 'deep.parquet')


def test_a_side_is_told_from_the_end_of_the_name_alone():
    assert recording_and_side('10-60-1280x720_left') == ('10-60-1280x720', 'left')
    assert recording_and_side('left_turn') == ('left_turn', '')
    assert recording_and_side('_left') == ('_left', '')
    assert recording_and_side('video_left_right') == ('video_left', 'right')
    assert table()['video1_left'].side == 'left'
    assert table()['video1_left'].recording == 'video1'


def test_one_task_alone_has_its_own_partition():
    affect = table().only('affect')
    assert [(each.video, each.partition) for each in affect] == [('video1_left', 'train'), ('video2', 'train')]
    assert affect['video2'].expression is None
    assert [each.partition for each in table().only('expression')] == ['train', 'val']
    assert table().part('val').names == ('video2',)
    assert table().part('train', 'test').names == ('video1_left', 'video3')


def test_a_frame_counts_as_labelled_where_its_label_is_whole():
    labels = table()['video1_left']
    assert labels.labelled('expression').tolist() == [True, True, False]
    assert labels.labelled('affect').tolist() == [True, False, True]
    assert labels.labelled('units').tolist() == [True, True, False]
    assert table()['video3'].labelled('units').tolist() == [False] * 4


@pytest.mark.parametrize(
    ('labels', 'error'),
    [
        ({'expression': [0, 1], 'affect': AFFECT}, ShapeError),
        ({'affect': AFFECT.T}, ShapeError),
        ({'expression': [[0]]}, ShapeError),
        ({'affect': AFFECT, 'frames': 5}, ShapeError),
        ({'affect': AFFECT * 2}, ValueRangeError),
        ({'affect': [[np.inf, 0]]}, ValueRangeError),
        ({'expression': [-2]}, ValueRangeError),
        ({'expression': [0.5]}, ValueRangeError),
        ({'expression': [300]}, ValueRangeError),
        ({'expression': [np.nan]}, ValueRangeError),
        ({'units': [[2]]}, ValueRangeError),
        ({'by_task': {'affect': 'dev'}}, UnknownNameError),
    ],
)
def test_labels_that_cannot_be_are_refused_with_the_video(labels, error):
    with pytest.raises(error, match='video1'):
        FrameLabels('video1', 'train', **labels)


def test_a_table_refuses_what_its_names_do_not_cover():
    with pytest.raises(TableError, match='video1'):
        FrameTable((FrameLabels('video1', 'train'), FrameLabels('video1', 'val')))
    with pytest.raises(ShapeError, match='12 action units'):
        FrameTable((FrameLabels('video1', 'train', units=np.zeros((1, 8))),))
    with pytest.raises(ValueRangeError, match='from 0 to 7'):
        FrameTable((FrameLabels('video1', 'train', expression=np.array([8])),))
    with pytest.raises(UnknownNameError, match='nobody'):
        table()['nobody']
    with pytest.raises(UnknownNameError, match='dev'):
        table().part('dev')
    with pytest.raises(UnknownNameError, match='smile'):
        table().only('smile')


def test_videos_are_taken_in_the_order_in_which_they_are_named():
    assert table().take(['video3', 'video1_left']).names == ('video3', 'video1_left')
    assert 'video2' in table()
    assert 'video2' not in table().take(['video3'])
