"""Recordings of which one person is in training and another is judged."""

from __future__ import annotations

import numpy as np

from affekt.frames import TASKS, FrameLabels, FrameTable, shared_by_task, shared_with_judged

FRAMES = 3
RATED, HAPPY = np.zeros((FRAMES, 2)), np.full(FRAMES, 4)


def test_training_videos_are_named_whose_recording_is_judged_in_the_same_task():
    table = FrameTable((
        FrameLabels('a', 'train', affect=RATED), FrameLabels('a_left', 'val', affect=RATED),
        FrameLabels('b_left', 'train', affect=RATED), FrameLabels('b_right', 'test', frames=FRAMES),
        FrameLabels('c_left', 'train', affect=RATED), FrameLabels('c_right', 'val', expression=HAPPY),
        FrameLabels('d_left', 'train', affect=RATED), FrameLabels('d_right', 'train', affect=RATED),
        FrameLabels('e_left', 'val', affect=RATED), FrameLabels('e_right', 'test', frames=FRAMES),
        FrameLabels('f_left', 'train', affect=RATED), FrameLabels('f_right', 'val', affect=RATED * np.nan),
    ))  # fmt: skip
    assert shared_with_judged(table, ('affect',)) == {'a': 'a_left (val)', 'b_left': 'b_right (test)'}
    assert shared_with_judged(table, ('expression',)) == {}
    assert shared_with_judged(table, TASKS) == {
        'a': 'a_left (val)', 'b_left': 'b_right (test)', 'c_left': 'c_right (val)'
    }  # fmt: skip
    assert shared_by_task(table) == (
        'a (train) and a_left (val), for valence and arousal',
        'b_left (train) and b_right (test), for valence and arousal',
        'c_left (train) and c_right (val), for all tasks together',
    )


def test_each_task_has_its_own_split():
    # for valence and arousal both are in training; for expressions one of them is judged
    table = FrameTable((
        FrameLabels('a', 'val', expression=HAPPY, affect=RATED, by_task={'affect': 'train'}),
        FrameLabels('a_left', 'train', expression=HAPPY, affect=RATED),
    ))  # fmt: skip
    assert shared_by_task(table) == ('a_left (train) and a (val), for expressions',)
    assert shared_with_judged(table, ('affect',)) == {}
