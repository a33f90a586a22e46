"""A scripted server, and made-up sets of MER-UniBench with clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_sets import made_up_sets
from scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    made = ScriptedServer()
    yield made
    made.close()


@pytest.fixture
def sets(tmp_path) -> tuple[Path, Path]:
    return made_up_sets(tmp_path)
