"""A folder run that is killed at random moments and resumed: nothing lost, nothing twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import wave

import numpy as np
import pytest

from affekt.analysis import Analysis
from affekt.runs import read_journal
from affekt.weights import MODELS, state

FILES = 4
KILLS = 3


@pytest.fixture
def clips(tmp_path):
    if any(state(MODELS[name]) != 'verified' for name in ('face_landmarker.task', 'silero_vad.onnx')):
        pytest.skip('model files are absent (run `affekt weights get`)')
    folder = tmp_path / 'clips'
    folder.mkdir()
    for number in range(FILES):
        samples = (800 * np.sin(2 * np.pi * (200 + 20 * number) * np.arange(16000) / 16000)).astype('<i2')
        with wave.open(str(folder / f'{number}.wav'), 'wb') as file:
            file.setparams((1, 2, 16000, 0, 'NONE', ''))
            file.writeframes(samples.tobytes())
    return folder


def _start(clips, run):
    words = [sys.executable, '-m', 'affekt.cli', 'analyze', clips, '--out', run, '--resume', '--asr', 'none']
    return subprocess.Popen([str(w) for w in words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_resumes_without_loss_or_repetition(clips, tmp_path):
    run, draw = tmp_path / 'run', random.Random(11)
    done_before: dict[str, int] = {}
    for _ in range(KILLS):
        process = _start(clips, run)
        # wait for the next finished file, then a random moment more, so that kills fall everywhere in a file's work
        finished = len(list(read_journal(run))) + 1
        while process.poll() is None and len(list(read_journal(run))) < min(finished, FILES):
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.25))
        process.kill()
        process.communicate()
        for entry in read_journal(run):
            result = run / entry.folder / 'analysis.json'
            assert done_before.setdefault(entry.key, result.stat().st_mtime_ns) == result.stat().st_mtime_ns
    process = _start(clips, run)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    keys = [entry.key for entry in read_journal(run)]
    assert len(keys) == len(set(keys)) == FILES
    folders = sorted(path.name for path in run.iterdir() if path.is_dir())
    assert folders == sorted(entry.folder for entry in read_journal(run))
    assert all(Analysis.load(run / folder).source.kind == 'audio' for folder in folders)
    assert list(run.glob('.*-*')) == []
