"""scikit-learn's metrics, imported by the first test that needs them: to import them takes seconds."""

from __future__ import annotations

from types import ModuleType

import pytest


@pytest.fixture(scope='session')
def peer() -> ModuleType:
    """scikit-learn's metrics."""
    import sklearn.metrics

    return sklearn.metrics
