"""Errors say what was expected, what came, and what to do, also after a trip through another process."""

from __future__ import annotations

import inspect
import pickle

import pytest

from affekt import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.AffektError)]


@pytest.mark.parametrize('kind', KINDS)
def test_the_message_holds_all_three_parts_after_pickling(kind):
    error = pickle.loads(pickle.dumps(kind(expected='a cat', came='a dog', todo='look again')))
    assert type(error) is kind
    assert str(error) == 'expected a cat; got a dog; look again'


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind is not errors.AffektError])
def test_every_error_refines_a_built_in_one(kind):
    assert any(base.__module__ == 'builtins' and base is not Exception for base in kind.__mro__[:-3])
