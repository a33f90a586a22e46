"""A score of one speaker stands without an interval, and says why."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from affekt.typed_json import json_file

RECIPE = Path(__file__).parents[2] / 'recipes' / 'hicmae'
NAMES = ('features', 'probe', 'read', 'speech', 'voices')


@pytest.fixture(scope='module')
def read():
    """The recipe's script as a module, for these tests alone."""
    pytest.importorskip('torch')
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    path = list(sys.path)
    sys.path.insert(0, str(RECIPE))
    try:
        yield __import__('read')
    finally:
        sys.path[:] = path
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def test_a_part_of_one_speaker_has_no_interval_and_says_so(read):
    truth, answers = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    of_one, of_two = (np.array(names) for names in (['a'] * 4, ['a', 'b', 'a', 'b']))
    why = 'speakers are drawn, and there is one'
    # recalls 2/3 and 1; three of four right
    assert read.scored(truth, answers, of_one, 2) == {
        'UAR': {'value': 0.8333, 'no interval': why},
        'accuracy': {'value': 0.75, 'no interval': why},
    }
    assert read.difference(truth, answers, truth, of_one, 2) == {'UAR': -0.1667, 'no interval': why}
    assert set(read.scored(truth, answers, of_two, 2)['UAR']) == {'value', 'low', 'high'}
    json.loads(json_file(read.scored(truth, answers, of_one, 2)), parse_constant=pytest.fail)
