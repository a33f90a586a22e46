"""Captions on Ray Data with two workers on this machine: nothing is lost with who dies, and the tables are the same.

Ray runs in processes of its own: it warns of itself, and its threads outlive a test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from caption_runs import settings_for

from affekt.captioning import caption

if find_spec('ray') is None:  # to import it takes seconds, in each process that collects tests
    pytest.skip('Ray is absent (pip install affekt[ray])', allow_module_level=True)
HERE = Path(__file__).parent
_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != 'RAY_ADDRESS'},
    'PYTHONPATH': os.pathsep.join([str(HERE), os.environ.get('PYTHONPATH', '')]),
    'RAY_worker_niceness': '0',  # beside other tests Ray's workers would hardly ever have their turn
}
_DEATHS = """
import os, sys
from pathlib import Path
from affekt.captioning import CaptionSettings, Models, caption
from affekt.corpora import Manifest
from affekt.features import ray_data
from caption_runs import DyingPlace

folder, url = Path(sys.argv[1]), sys.argv[2]
manifest = Manifest.load(folder / 'media' / 'clips.parquet')

def settings(marker):
    place = DyingPlace(url, 'clip-1', pause_s=0.01, marker=str(folder / marker), spared=os.getpid())
    return CaptionSettings(Models(place, place, place))

def end(stage, done, count):
    if done >= 6:
        os.kill(os.getpid(), 9)

with ray_data(2):
    caption(manifest, settings('died'), folder / 'killed', on='ray', at_once=2, first=2, progress=end)
"""


def test_neither_a_dead_worker_nor_a_dead_program_loses_a_clip(corpus, serve, tmp_path):
    manifest, server = corpus(12), serve()
    ran = subprocess.run(
        [sys.executable, '-c', _DEATHS, str(tmp_path), server.url],
        env=_ENVIRONMENT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == -9, ran.stderr
    assert (tmp_path / 'died').exists(), ran.stderr

    resumed = caption(manifest, settings_for(server), tmp_path / 'killed')
    assert resumed.resumed >= 6
    caption(manifest, settings_for(server), tmp_path / 'plain')
    for name in ('captions.csv', 'captions.parquet'):
        assert (tmp_path / 'killed' / name).read_bytes() == (tmp_path / 'plain' / name).read_bytes()
