"""Several processes train as one, under torchrun too, and a process that is left alone says so."""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed.run
import training_cases as cases
from torch.multiprocessing import ProcessRaisedException

from affekt.training import parallel, train
from affekt.training.parallel import Ranks


def _compare(folder: Path, batch: int, partly: bool = False) -> None:
    settings = replace(cases.SETTINGS, batch_size=batch, score='weighted_f1')
    training = cases.partly_known() if partly else cases.samples()
    alone = train(cases.model(dropout=0.0), training, cases.samples(40, 1), settings)
    history, best = json.loads((folder / f'found{batch}{"partly" if partly else ""}.json').read_text())
    assert best == pytest.approx(alone.best_score, abs=1e-9)
    assert len(history) == len(alone.history)
    for ours, theirs in zip(history, alone.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)  # sums in another order


@pytest.fixture(scope='module')
def of_two_processes(tmp_path_factory, on_loaded_processes) -> Path:
    """What two processes wrote."""
    folder = tmp_path_factory.mktemp('ranks')
    on_loaded_processes(2, cases.all_on_two_ranks, str(folder))
    return folder


def test_two_processes_train_as_one(of_two_processes):
    # 90 samples: batches of 16 leave 10, of 89 leave one, for which the second rank has no sample
    for batch in (16, 89):
        _compare(of_two_processes, batch)


def test_two_processes_train_as_one_where_truths_are_unknown(of_two_processes):
    # of four samples, two a rank, often one rank alone knows a category or a value, or neither does
    for batch in (4, 89):
        _compare(of_two_processes, batch, partly=True)


def test_two_processes_learn_from_unlabelled_samples_too(of_two_processes):
    first, second = (json.loads((of_two_processes / f'{rank}.json').read_text()) for rank in (0, 1))
    assert first == second
    assert first['sure'] > 0


def test_other_programs_start_processes_anew():
    assert parallel.spawn is torch.multiprocessing.spawn  # these tests start copies of a loaded process


def test_models_that_differ_in_size_are_named_in_every_process(of_two_processes):
    for rank in (0, 1):
        assert re.search('models of [0-9]+ to [0-9]+ numbers', (of_two_processes / f'unequal{rank}.txt').read_text())


def _torchrun(words: list[str]) -> None:
    os.environ['OMP_NUM_THREADS'] = '1'
    torch.distributed.run.main(words)


def test_torchrun_needs_no_more_than_a_call_of_train(tmp_path, loaded_processes):
    script = Path(__file__).with_name('training_cases.py')
    words = ['--nproc-per-node', '2', '--standalone', str(script), str(tmp_path)]
    launch = loaded_processes.Process(target=_torchrun, args=(words,))
    launch.start()
    launch.join()
    assert launch.exitcode == 0
    _compare(tmp_path, 16)


def _steps_under(precision: str, port: int, folder: str) -> None:
    values = {'RANK': 0, 'WORLD_SIZE': 1, 'LOCAL_RANK': 0, 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
    os.environ |= {name: str(value) for name, value in values.items()}
    os.environ |= {'ACCELERATE_USE_FSDP': 'true', 'ACCELERATE_MIXED_PRECISION': precision}
    module, rows = torch.nn.Linear(6, 4), torch.randn(3, 6)
    expected = module(rows)
    joined, _ = Ranks().joined(module, torch.optim.SGD(module.parameters(), 0.1))
    Path(folder, 'found.json').write_text(json.dumps(torch.equal(joined(rows), expected)))


def test_the_precision_of_a_launch_does_not_replace_that_of_the_run(tmp_path, loaded_processes):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    process = loaded_processes.Process(target=_steps_under, args=('bf16', port, str(tmp_path)))
    process.start()
    process.join()
    assert json.loads((tmp_path / 'found.json').read_text()) is True


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
    ],
)
def test_a_failure_of_one_process_ends_all_with_its_reason(job, said, on_loaded_processes):
    with pytest.raises(ProcessRaisedException, match=said):
        on_loaded_processes(2, job, patience_s=60.0)
