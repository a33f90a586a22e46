"""Servers that judge: one that does what a script says, and a real one with a small language model."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_server import ScriptedServer

from affekt.weights import MODELS, location, state

collect_ignore = ['llama_server.py']  # it is a program, and imports what may be absent
SMALL_MODEL = 'smollm2-135m-instruct.gguf'
LONGEST_START_S = 60.0


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    made = ScriptedServer()
    yield made
    made.close()


@pytest.fixture(scope='session')
def small_model() -> Path:
    """The file of the small language model; the test skips where it is absent."""
    model = MODELS[SMALL_MODEL]
    if state(model) != 'verified':
        pytest.skip(f'the small language model is absent (run `affekt weights get {SMALL_MODEL}`)')
    return location(model) / model.parts[0].filename


@pytest.fixture(scope='session')
def real_server(small_model) -> Iterator[str]:
    """The address of llama.cpp's chat server with the small model; the test skips where cyllama is absent."""
    if importlib.util.find_spec('cyllama') is None:
        pytest.skip('cyllama is absent (install affekt[test])')
    words = [sys.executable, str(Path(__file__).with_name('llama_server.py')), str(small_model), '0']
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, 'OMP_NUM_THREADS': '1'}
    )
    try:
        ready, _, _ = select.select([process.stdout], [], [], LONGEST_START_S)
        line = process.stdout.readline() if ready else ''
        assert line, 'the server did not start'
        yield json.loads(line)['url']
    finally:
        process.kill()
        process.communicate()
