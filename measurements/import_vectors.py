"""Write stored answers and labels (JSON) as the folders that `affekt bench` reads, in the layout of the releases.

python measurements/import_vectors.py --vectors ../shared/data/vectors/ov --out FOLDER

FOLDER then holds, for each set, `predictions/results-<set>/AffectGPT/checkpoint_<number>-openset.npz` (for sentiment
also `…-openset-sentiment.npz`) and `labels/<set>.csv`; and `ovmer/truth.csv` with
`ovmer/results-ovmerd/<model>/output-reason-7b-<mode>-eng-openset.npz`. Labels of corpora are not ours to pass on: keep
FOLDER out of the repository.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SETS = {'mer2023': 'label', 'meld': 'label', 'cmumosi': 'sentiment', 'sims': 'sentiment'}
"""Stored sets, and what their truth is."""


def import_vectors(vectors: Path, out: Path) -> None:
    """Write everything below `out`."""
    for key, column in SETS.items():
        released = _read(vectors / f'unibench_{key}.json')
        _write_table(out / 'labels' / f'{key}.csv', column, released['gt'])
        _write_checkpoints(out / 'predictions' / f'results-{key}' / 'AffectGPT', released['checkpoints'])
    public = _read(vectors / 'ovmerdplus_public332.json')
    _write_table(out / 'labels' / 'ovmerdplus.csv', 'openset', public['gt'])
    _write_checkpoints(out / 'predictions' / 'results-ovmerdplus' / 'AffectGPT', public['checkpoints'])
    systems = _read(vectors / 'ovmer_baselines.json')
    _write_table(out / 'ovmer' / 'truth.csv', 'openset', systems['gt'])
    for name, run in systems['runs'].items():
        model, mode = name.split('/')
        folder = out / 'ovmer' / 'results-ovmerd' / model
        _write_archive(folder / f'output-reason-7b-{mode}-eng-openset.npz', run['pred'])


def _write_checkpoints(folder: Path, checkpoints: Mapping[str, Any]) -> None:
    for number, answers in checkpoints.items():
        _write_archive(folder / f'checkpoint_{number}-openset.npz', answers['openset'])
        if 'sentiment' in answers:
            _write_archive(folder / f'checkpoint_{number}-openset-sentiment.npz', answers['sentiment'])


def _write_archive(path: Path, answers: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, filenames=np.array(list(answers)), fileitems=np.array(list(answers.values()), dtype=str))


def _write_table(path: Path, column: str, truth: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', encoding='utf-8', newline='') as file:
        csv.writer(file).writerows([('name', column), *truth.items()])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding='utf-8'))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--vectors', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    options = parser.parse_args()
    import_vectors(options.vectors, options.out)
