"""Answers without a model of time: constants, means, and readings that hold where no face is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from affekt.errors import UnknownNameError
from affekt.frames import ACTION_UNITS, EXPRESSIONS, UNIT_SHAPES, FrameLabels
from affekt.labels import EKMAN
from affekt.sequence_models import (
    FrameVideos,
    constant_predictions,
    mean_predictions,
    read_predictions,
    reading_modality,
)

TASKS = ('expression', 'affect', 'units')
COLUMNS = (*EKMAN, *UNIT_SHAPES)


def _videos(rows, keep):
    """One video of as many frames, with features of a face."""
    labels = FrameLabels('v', 'test', frames=len(rows))
    features = torch.tensor(np.asarray(rows), dtype=torch.float32)
    return FrameVideos((labels,), {'face': features}, {'face': torch.tensor(keep)}, torch.ones(len(rows)))


def _row(look, **shapes):
    return [1.0 if name == look else 0.0 for name in EKMAN] + [shapes.get(name, 0.0) for name in UNIT_SHAPES]


def test_constants_are_the_most_frequent_class_zero_and_every_unit():
    training = [
        FrameLabels('a', 'train', np.array([4, 4, 0, -1], np.int8), np.array([[1, 0], [0, 0.5], [0.5, 0], [0, 0]])),
        FrameLabels('b', 'train', units=np.array([[1, 0], [0, 0], [-1, -1]], np.int8)),
    ]
    videos = _videos([_row('anger')] * 2, [True, True])
    constant = constant_predictions(training, videos, TASKS)['v']
    assert constant.expression.argmax(axis=1).tolist() == [4, 4]
    assert constant.affect.tolist() == [[0, 0]] * 2
    assert constant.units.tolist() == [[1, 1]] * 2
    mean = mean_predictions(training, videos, TASKS)['v']
    assert mean.expression[0] == pytest.approx([1 / 3, 0, 0, 0, 2 / 3, 0, 0, 0])
    assert mean.affect[0] == pytest.approx([1.5 / 4, 0.5 / 4])
    assert mean.units[0] == pytest.approx([0.5, 0])  # the frame without a label does not count


def test_readings_are_taken_as_they_are_and_held_where_no_face_is_seen():
    # a mean of 0.25 over both sides is where AU12 begins: half of it is 0.5
    rows = [_row('happiness', mouthSmileLeft=0.3, mouthSmileRight=0.2), _row('x'), _row('x'), _row('fear')]
    answer = read_predictions(_videos(rows, [True, False, False, True]), {'face': COLUMNS}, TASKS)['v']
    names = [EXPRESSIONS[at] for at in answer.expression.argmax(axis=1)]
    assert names == ['Happiness', 'Happiness', 'Fear', 'Fear']
    assert answer.units[:, ACTION_UNITS.index('AU12')] == pytest.approx([0.5, 0.5, 0, 0])
    assert answer.affect[0] == pytest.approx([0.81, 0.51])  # happiness on the plane
    assert answer.keep_mask.tolist() == [True, False, False, True]


def test_a_video_without_any_face_is_neutral():
    answer = read_predictions(_videos([_row('x')] * 2, [False, False]), {'face': COLUMNS}, TASKS)['v']
    assert answer.expression[:, 0].tolist() == [1, 1]
    assert answer.affect == pytest.approx(np.zeros((2, 2)))


def test_only_what_is_asked_for_is_answered():
    answer = read_predictions(_videos([_row('anger')], [True]), {'face': COLUMNS}, ('units',), ('AU26', 'AU1'))['v']
    assert (answer.expression.shape, answer.affect.shape, answer.units.shape) == ((1, 0), (1, 0), (1, 2))


def test_features_without_readings_are_known_and_refused():
    assert reading_modality({'sound': ('a', 'b'), 'face': COLUMNS}) == 'face'
    assert reading_modality({'sound': ('a', 'b')}) is None
    with pytest.raises(UnknownNameError, match='faces-all-frm'):
        read_predictions(_videos([_row('anger')], [True]), {'face': COLUMNS[:5]}, TASKS)
