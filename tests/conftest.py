"""Fixtures for all rooms: the shared data folder, and a seeded generator."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from affekt.checkpoints import opening, pickles
from affekt.labels import WordTable, load_table

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get('AFFEKT_SHARED_DATA', ROOT.parent / 'shared' / 'data'))


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip('real test data is absent (set AFFEKT_SHARED_DATA to its folder)')
    return SHARED


@pytest.fixture(scope='session')
def table_2025(shared_data) -> WordTable:
    return load_table(shared_data / 'wheels' / '2025')


@pytest.fixture(scope='session')
def table_2026(shared_data) -> WordTable:
    return load_table(shared_data / 'wheels' / '2026')


@pytest.fixture
def same_process(monkeypatch) -> None:
    """Checkpoints are indexed in this process: most tests of them need no process of its own, nor wait for one."""
    monkeypatch.setattr(opening, '_asked', lambda path: json.loads(pickles.answer(Path(path))))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240417)
