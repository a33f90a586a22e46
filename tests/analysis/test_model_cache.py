from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from affekt.analysis import AnalysisSettings, model_cache
from affekt.analysis.model_cache import LONG_S, LoadedModels


@pytest.fixture
def made(monkeypatch):
    """Names of the models that were loaded, in order."""
    names = []
    for name in ('landmarker', 'text'):
        monkeypatch.setitem(model_cache.LOADERS, name, lambda settings, name=name: names.append(name) or name)
    return names


def test_short_recordings_leave_their_models_for_the_next(made):
    models = LoadedModels(AnalysisSettings())
    assert models.get('text') == 'text'
    models.done_with(LONG_S - 0.1, 'text')
    models.get('text')
    assert made == ['text']


def test_long_recordings_give_their_models_back(made):
    models = LoadedModels(AnalysisSettings())
    models.get('text'), models.get('landmarker')
    models.done_with(LONG_S, 'text')
    models.get('text'), models.get('landmarker')
    assert made == ['text', 'landmarker', 'text']


def test_who_analyzes_one_recording_keeps_no_models(made):
    models = LoadedModels(AnalysisSettings(), long_s=0.0)
    models.get('text')
    models.done_with(0.5, 'text')
    models.get('text')
    assert made == ['text', 'text']


def test_a_model_does_not_wait_for_another_that_is_loading(made, monkeypatch):
    has_begun, is_other_there = threading.Event(), threading.Event()
    monkeypatch.setitem(
        model_cache.LOADERS, 'text', lambda settings: has_begun.set() or is_other_there.wait(timeout=20)
    )
    models = LoadedModels(AnalysisSettings())
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(models.get, 'text')
        assert has_begun.wait(timeout=20)
        quick = pool.submit(models.get, 'landmarker')
        quick.add_done_callback(lambda done: is_other_there.set())
        assert slow.result() is True
        assert quick.result() == 'landmarker'


@pytest.mark.parametrize('error', [OSError, TypeError])
def test_systems_without_the_call_load_models_all_the_same(made, monkeypatch, error):
    """On Windows ctypes.CDLL looks for a slash in the name, which None does not have."""

    def cdll(name):
        raise error

    monkeypatch.setattr(model_cache.ctypes, 'CDLL', cdll)
    assert LoadedModels(AnalysisSettings()).get('text') == 'text'
