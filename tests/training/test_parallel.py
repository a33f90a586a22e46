"""Several processes train as one, under torchrun too, and a process that is left alone says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import training_cases as cases
from torch.multiprocessing import ProcessRaisedException

from affekt.training import on_processes, train
from affekt.training.parallel import Ranks


def _compare(folder: Path, batch: int) -> None:
    settings = replace(cases.SETTINGS, batch_size=batch, score='weighted_f1')
    alone = train(cases.model(dropout=0.0), cases.samples(), cases.samples(40, 1), settings)
    history, best = json.loads((folder / f'found{batch}.json').read_text())
    assert best == pytest.approx(alone.best_score, abs=1e-9)
    assert len(history) == len(alone.history)
    for ours, theirs in zip(history, alone.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)  # sums in another order


def test_two_processes_train_as_one(tmp_path):
    # 90 samples: batches of 16 leave 10, of 89 leave one, for which the second rank has no sample
    on_processes(2, cases.on_some_ranks, str(tmp_path), 16, 89)
    for batch in (16, 89):
        _compare(tmp_path, batch)


def test_torchrun_needs_no_more_than_a_call_of_train(tmp_path):
    launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--standalone']
    done = subprocess.run(
        [*launch, str(Path(__file__).with_name('training_cases.py')), str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {'OMP_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    _compare(tmp_path, 16)


def test_a_share_is_every_other_sample_and_never_empty():
    ranks = Ranks()
    ranks.rank, ranks.count = 1, 2
    share, weight = ranks.share(torch.tensor([4, 5, 6]))
    assert share.tolist() == [5]
    assert weight == pytest.approx(1 / 3)
    share, weight = ranks.share(torch.tensor([7]))
    assert share.tolist() == [7]
    assert weight == 0.0


@pytest.mark.parametrize(
    ('job', 'said'),
    [
        (cases.leaves_the_first_alone, 'an answer from all 2 processes'),
        (cases.breaks_on_the_second, 'the second rank is broken|an answer from all 2 processes'),
        (cases.with_unequal_models, 'models of [0-9]+ to [0-9]+ numbers'),
    ],
)
def test_a_failure_of_one_process_ends_all_with_its_reason(job, said):
    with pytest.raises(ProcessRaisedException, match=said):
        on_processes(2, job, patience_s=60.0)
