"""Fixtures for all rooms: the shared data folder, a seeded generator, properties that draw the same every time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from affekt.checkpoints import opening, pickles
from affekt.labels import WordTable, load_table

settings.register_profile('affekt', derandomize=True)  # what fails for one fails for all; none is drawn unseeded
settings.load_profile('affekt')

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
    monkeypatch.setattr(opening, '_index_of_pickles', lambda path: json.loads(pickles.answer(Path(path))))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240417)


@pytest.fixture(scope='session')
def loaded_processes() -> multiprocessing.context.ForkServerContext:
    """Starts processes as copies of one that has loaded torch and what trains, which takes seconds, and no more."""
    made = multiprocessing.get_context('forkserver')
    made.set_forkserver_preload(['torch._dynamo', 'accelerate', 'affekt.training', 'affekt.fusion'])
    return made


@pytest.fixture(scope='session')
def killed_process(loaded_processes) -> Callable[..., None]:
    """Calls a job, of a module's top level, in a process of its own, which the job kills as the system does."""

    def run(job: Callable[..., None], *given: Any) -> None:
        process = loaded_processes.Process(target=job, args=given)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL

    return run


@pytest.fixture(scope='session')
def on_loaded_processes(loaded_processes) -> Callable[..., None]:
    """`on_processes`, whose processes are copies of a loaded one here and are started anew elsewhere."""
    from torch.multiprocessing.spawn import start_processes

    from affekt.training import parallel

    def run(*given: Any, **named: Any) -> None:
        with pytest.MonkeyPatch.context() as changed:
            changed.setattr(parallel, 'spawn', partial(start_processes, start_method='forkserver'))
            parallel.on_processes(*given, **named)

    return run
