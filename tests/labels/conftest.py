"""A word table small enough to fold by hand, and the official ones."""

from __future__ import annotations

import pytest
from made_up_table import SMALL

from affekt.labels import WordTable, load_table


@pytest.fixture
def small_table() -> WordTable:
    return SMALL


@pytest.fixture(scope='session', params=['2025', '2026'])
def official(request, shared_data) -> WordTable:
    """The official tables, from the copy among the real data."""
    return load_table(shared_data / 'wheels' / request.param)
