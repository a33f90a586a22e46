"""The example that shows the whole of affekt on one screen runs, and leaves what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_from_clips_to_a_benchmark_and_a_leaderboard_on_one_screen(tmp_path):
    pytest.importorskip('torch')
    beside = {'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}', 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(
        [ROOT / 'examples' / 'whole.sh', tmp_path / 'run'], env=os.environ | beside, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pages = [tmp_path / 'run' / name for name in ('bench/merbench.html', 'ranking.html')]
    assert [page.read_text().count('</html>') for page in pages] == [1, 1]
    assert 'undefeated' in done.stdout  # the longest description always wins before a judge that looks at length alone


def test_the_example_fits_one_screen():
    assert len((ROOT / 'examples' / 'whole.sh').read_text().splitlines()) <= 45
