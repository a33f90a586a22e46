"""Names that moved are the same objects under both rooms."""

from __future__ import annotations

from importlib import import_module

import pytest

from affekt.moved_names import MOVED

NAMES = [(old, home, name) for old, homes in MOVED.items() for home, names in homes.items() for name in names.split()]


@pytest.mark.parametrize(('old', 'home', 'name'), NAMES, ids=lambda text: text)
def test_an_old_name_is_the_new_one_and_says_so(old, home, name):
    if home.endswith('backbones'):
        pytest.importorskip('torch')
    with pytest.warns(FutureWarning, match=rf'{old}\.{name} is now {home}\.{name}'):
        former = getattr(import_module(old), name)
    assert former is getattr(import_module(home), name)


def test_an_unknown_name_of_a_room_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'rnak'"):
        _ = import_module('affekt.ranking').rnak
