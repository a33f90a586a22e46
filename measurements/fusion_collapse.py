"""Which fusion models end in one answer for all, or in NaN: published and corrected forms on CMU-MOSI's words.

    python fusion_collapse.py --data DIR [--epochs 20]

Each transcript becomes a vector of 512 hashed words and pairs of words, of length 1, or times √512 so that each entry
has about unit variance; the same vector fills all three modalities. H 128, dropout 0.3, Adam in batches of 32, the
epoch that is best on validation; weighted F1 of the sign of the sentiment, test scored once, at the end. One constant
answer scores 0.2507 on test. The corrected forms standardise their inputs, so one scale is enough for them; the
published loader of this corpus does not shuffle, so the reference forms are trained in file order.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import re
import zlib
from pathlib import Path

import numpy as np
import torch

from affekt.fusion import MODALITIES, FusionShape, build_fusion
from affekt.npz import read_npz
from affekt.runs import versions, write_atomically
from affekt.training import Samples, TrainingSettings, predict, train
from affekt.training.scoring import score_of
from affekt.typed_json import json_file

RESULT = Path(__file__).resolve().parent / 'results' / 'fusion_collapse.json'
SIZE = 512
SCALED = float(np.sqrt(SIZE))
NO_LOSSES = {'similarity': 0.0, 'difference': 0.0, 'reconstruction': 0.0}
RUNS: list[tuple[str, str, float, float, dict[str, float]]] = [
    *[(name, 'reference', scale, 1e-3, {}) for name in ('lmf', 'misa', 'attention', 'mmim') for scale in (1.0, SCALED)],
    ('misa', 'reference', SCALED, 1e-4, {}),
    ('misa', 'reference', SCALED, 1e-3, NO_LOSSES),
    *[(name, 'corrected', 1.0, 1e-3, {}) for name in ('lmf', 'misa', 'attention', 'mmim', 'linear', 'gated')],
]
"""Model, form, scale of the features, rate, options."""


def hashed(text: str) -> np.ndarray:
    """Words and pairs of neighbours, hashed with a sign into 512 places, of length 1."""
    words = re.findall(r"[a-z0-9']+|[\u4e00-\u9fff]", text.lower())
    vector = np.zeros(SIZE)
    for gram in (*words, *(f'{first}_{second}' for first, second in itertools.pairwise(words))):
        code = zlib.crc32(gram.encode())
        vector[code % SIZE] += -1.0 if code >> 31 else 1.0
    return (vector / max(np.linalg.norm(vector), 1e-12)).astype(np.float32)


def read(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Part to hashed words and sentiment."""
    with (folder / 'transcription-engchi-polish.csv').open(encoding='utf-8') as file:
        words = {row['name']: row['english'] for row in csv.DictReader(file)}
    labels = read_npz(folder / 'label.npz')
    parts = {}
    for part in ('train', 'val', 'test'):
        corpus = labels[f'{part}_corpus']
        values = np.array([[float(row['val'])] for row in corpus.values()], dtype=np.float32)
        parts[part] = (np.stack([hashed(words[name]) for name in corpus]), values)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--seeds', type=int, default=2)
    parser.add_argument('--out', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = read(options.data / 'merbench' / 'cmumosi-process')
    score, rows = score_of('sign_weighted_f1'), []
    for name, form, scale, rate, own in RUNS:
        samples = {
            part: Samples({m: torch.from_numpy(x * np.float32(scale)) for m in MODALITIES}, values=torch.from_numpy(y))
            for part, (x, y) in parts.items()
        }
        for seed in range(options.seeds):
            torch.manual_seed(seed)
            model = build_fusion(name, FusionShape(dict.fromkeys(MODALITIES, SIZE), 0, form=form), **own)
            settings = TrainingSettings(
                seed,
                options.epochs,
                shuffle=form == 'corrected',
                learning_rate=rate,
                clip_norm=None,
                patience=None,
                score='sign_weighted_f1',
            )
            trained = train(model, samples['train'], samples['val'], settings)
            row = {
                'model': name,
                'form': form,
                'scale': round(scale, 3),
                'rate': rate,
                'options': own,
                'seed': seed,
                'status': trained.status,
                'epochs': len(trained.history),
                'validation': round(trained.best_score, 4) if trained.best_epoch else None,
                'test': round(score(predict(trained.model, samples['test']), samples['test']), 4),
            }
            rows.append(row)
            print(row, flush=True)
    result = {'epochs': options.epochs, 'runs': rows, 'versions': versions() | {'torch': torch.__version__}}
    write_atomically(options.out, json_file(result))


if __name__ == '__main__':
    main()
