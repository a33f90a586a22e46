"""Nobody who is learnt from is held out as well; numbers that are not there are written as such."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

RECIPE = Path(__file__).parents[2] / 'recipes' / 'magicportrait'
NAMES = ('data', 'page', 'train')


@pytest.fixture(scope='module')
def recipe():
    """The recipe's files as modules, for these tests alone."""
    pytest.importorskip('torch')
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    path = list(sys.path)
    sys.path.insert(0, str(RECIPE))
    try:
        yield SimpleNamespace(**{name: __import__(name) for name in NAMES})
    finally:
        sys.path[:] = path
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def _faces(places):
    """Videos of people whose numbers lie at these places on a line."""
    return [
        SimpleNamespace(video=SimpleNamespace(name=f'video{at}'), identity=np.array([place, 0.0]))
        for at, place in enumerate(places)
    ]


def test_videos_of_one_person_are_found_by_way_of_others(recipe):
    def numbers(places):
        return recipe.data.persons([face.identity for face in _faces(places)], same=0.35)

    assert numbers([0.0, 1.0, 0.3, 0.8]) == [0, 1, 0, 1]
    assert numbers([0.0, 1.0, 0.3, 0.8, 0.55]) == [0, 0, 0, 0, 0]  # 0.3, 0.55 and 0.8 are steps of 0.25


def test_every_fourth_person_is_held_out_with_all_videos(recipe):
    # persons 0, 1, 2 and 3, of whom the fourth has two videos, far apart in the list; then 5, 6, 7 and 8
    every = _faces([0, 10, 20, 30, 30.1, 40, 50, 60, 70])
    known, unknown = recipe.train.sides(every)
    assert [face.video.name for face in unknown] == ['video3', 'video4', 'video8']
    assert recipe.data.require_apart(known, unknown) == pytest.approx(9.9)
    with pytest.raises(SystemExit, match='video3, which is learnt from, and video4, held out'):
        recipe.data.require_apart([*known, every[3]], [every[4]])
    with pytest.raises(SystemExit, match='3 videos to learn from and 0 held out'):
        recipe.data.require_apart(*recipe.train.sides(_faces([0, 10, 20])))


def test_results_hold_no_number_that_json_does_not_know():
    for name in ('stages', 'refiners'):

        def refuse(constant):
            raise AssertionError(constant)

        json.loads((RECIPE / 'results' / f'{name}.json').read_text(), parse_constant=refuse)


def test_an_interval_without_ends_is_shown_as_such(recipe):
    assert recipe.page._cell({'value': 1.5, 'low': None, 'high': None}, 2) == '1.50 [–, –]'
