"""Clips: what they hold, and how they come out of media."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError
from affekt.pretraining import Clip


def test_a_clip_of_one_modality_says_that_the_other_is_missing():
    clip = Clip('a', None, None, np.zeros(8_000, np.float32))
    assert repr(clip) == "Clip('a', no frames, 0.50 s of sound)"


def test_frames_of_another_type_or_number_than_their_times_are_refused():
    with pytest.raises(ShapeError, match='of uint8'):
        Clip('a', np.zeros((2, 4, 4, 3), np.float32), None, None)
    with pytest.raises(ShapeError, match='times of 2 frames'):
        Clip('a', np.zeros((2, 4, 4, 3), np.uint8), np.zeros(3), None)
