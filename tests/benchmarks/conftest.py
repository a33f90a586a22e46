"""Made-up folders of predictions and labels for all nine sets, and the stored answers as released folders."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from affekt.benchmarks import UNIBENCH, UniBenchSet

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('angry', 'happy', 'sad', 'worried', 'surprised')


def write_table(path: Path, **columns: list[object]) -> Path:
    """A csv of the columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', encoding='utf-8', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def made_up_truth(each: UniBenchSet, size: int) -> dict[str, object]:
    """Labels that go round, by names such as the set's own."""
    names = [f'{each.prefix}{each.key}_dia{index // 4}_{index}' for index in range(size)]
    if each.task == 'sentiment':
        return {name: (-1.0, 0.0, 1.0, 0.5)[index % 4] for index, name in enumerate(names)}
    if each.task == 'fine-grained':
        return {name: f"['{CLASSES[index % 5]}']" for index, name in enumerate(names)}
    return {name: each.emotions[index % len(each.emotions)] for index, name in enumerate(names)}


def perfect(each: UniBenchSet, truth: dict[str, object]) -> dict[str, str]:
    """Answers that are the truth."""
    if each.task == 'sentiment':
        return {name: '[happy]' if value > 0 else '[sad]' for name, value in truth.items()}
    return {name: f'[{str(value).strip("[]")}]' for name, value in truth.items()}


def write_sets(folder: Path, sizes: dict[str, int]) -> tuple[Path, Path]:
    """Predictions and labels: checkpoint 1 is right everywhere, checkpoint 2 always says *angry*."""
    for each in (each for each in UNIBENCH if each.key in sizes):
        truth = made_up_truth(each, sizes[each.key])
        header = {'sentiment': 'sentiment', 'fine-grained': 'openset', 'basic': 'label'}[each.task]
        write_table(folder / 'labels' / f'{each.key}.csv', **{'name': list(truth), header: list(truth.values())})
        right = perfect(each, truth)
        for number, answers in (('1', right), ('2', dict.fromkeys(truth, '[angry]'))):
            path = folder / 'predictions' / each.key / f'checkpoint_{number}.csv'
            write_table(path, name=list(answers), openset=list(answers.values()))
    return folder / 'predictions', folder / 'labels'


@pytest.fixture(scope='session')
def nine(tmp_path_factory) -> tuple[Path, Path]:
    """All nine sets at their published sizes."""
    return write_sets(tmp_path_factory.mktemp('nine'), {each.key: each.samples for each in UNIBENCH})


@pytest.fixture
def three(tmp_path) -> tuple[Path, Path]:
    """MER2023 and CH-SIMS as a whole, twelve samples of MELD; a test may spoil them."""
    return write_sets(tmp_path, {'mer2023': 411, 'sims': 457, 'meld': 12})


@pytest.fixture(scope='session')
def stored(shared_data, tmp_path_factory) -> Path:
    """The stored answers in the layout of the releases."""
    folder = tmp_path_factory.mktemp('stored')
    spec = importlib.util.spec_from_file_location('import_vectors', ROOT / 'measurements' / 'import_vectors.py')
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.import_vectors(shared_data / 'vectors' / 'ov', folder)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
