from __future__ import annotations

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
