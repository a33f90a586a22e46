"""Heads that never saw one of the two corpora, to be run end to end on it: the shipped choice, fitted without it.

    python recipes/vocal_emotion/left_out_heads.py --ravdess DIR --nemo DIR --out DIR [--encoder tiny.en]

Writes `without_<corpus>/` below `--out`, a folder that `affekt bench analyze --vocal-head` and
`measurements/carried_over.py --head-without` take. Temperature, threshold and distances come from the other direction,
as in the card; that of short turns from the shipped head.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from features import CORPORA, Store
from heads import fit_heads, rows_of, seven
from measure import DIRECTIONS, KNOTS, threshold_of
from train import COPIES_TRIED, read_left_out, write_head

from affekt.voice.emotion import HEADS
from affekt.weights import PACKAGED


def main() -> None:
    """Fits both heads and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--ravdess', type=Path, required=True, help="folder of RAVDESS's speech with metadata.csv")
    parser.add_argument('--nemo', type=Path, required=True, help='folder of nEMO with metadata.tsv')
    parser.add_argument('--out', type=Path, required=True, help='folder of the recipe, with its features')
    parser.add_argument('--encoder', default='tiny.en', choices=list(HEADS))
    given = parser.parse_args()
    folders = {'ravdess': given.ravdess, 'nemo': given.nemo}
    names = {name: name for name in HEADS}
    stores = {name: Store(read(folders[name]), given.out / 'features', names) for name, read in CORPORA.items()}
    shipped = PACKAGED / f'{HEADS[given.encoder]}.npz'
    choice = json.loads(shipped.with_suffix('.json').read_text())['selection']
    statistics, shares = tuple(choice['statistics']), COPIES_TRIED[choice['copies']]
    heads = {
        target: fit_heads(rows_of(stores[source], given.encoder, statistics, shares), [choice['penalty']])[0]
        for source, target in DIRECTIONS
    }
    unseen = {name: read_left_out(stores[name], given.encoder, head, statistics) for name, head in heads.items()}
    layers = stores['ravdess'].features(given.encoder, 'clean').shape[1] - 1
    with np.load(shipped) as arrays:
        short = {name: arrays[name] for name in ('short_s', 'short_warmth')}
    for source, target in DIRECTIONS:
        other = unseen[source]
        away = float(np.median(other.strangeness))
        settled = {
            'temperature': np.float32(other.temperature),
            'far': np.array([away, away + 1e-3], np.float32),
            'far_warmth': np.ones(2, np.float32),
            'abstains_below': np.float32(threshold_of(seven(other.clean / other.temperature), other.truth)),
            'distances': np.quantile(other.strangeness, np.linspace(0, 1, KNOTS)).astype(np.float32),
            **short,
        }
        folder = given.out / f'without_{target}'
        folder.mkdir(parents=True, exist_ok=True)
        write_head(folder / shipped.name, heads[target], statistics, settled, layers)  # type: ignore[arg-type]
        shutil.copyfile(shipped.with_suffix('.json'), folder / shipped.with_suffix('.json').name)
        print(folder)


if __name__ == '__main__':
    main()
