"""Which weight suits the probabilities that the expression network gives a face of some quality.

    python measurements/faces_quality.py --data DIR [--faces 1100]

Reads pictures of FER2013's validation part (PublicTest) as `affekt analyze` reads a picture. For faces of similar
quality, the exponent under which their probabilities predict the labels best (log loss) is compared with the weights
that could be given by rule: quality itself, its root, and `readable_share`. What each would say, and be right about, is
beside it. DIR holds `labels.csv` and `fer2013_jpg.zip`. Writes results/faces_quality.json.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import tempfile
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from affekt.analysis.fuse import UNSURE_BELOW
from affekt.faces import FaceLandmarker, expression_model, observe_faces, readable_share
from affekt.labels import EKMAN, ekman_of
from affekt.media import Recording
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
EDGES = (0.0, 0.3, 0.4, 0.5, 0.6, 1.0)
EXPONENTS = np.round(np.arange(0.1, 1.31, 0.05), 2)


def read_faces(data: Path, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (N, 7), quality (N,) and labels (N,) of the best face of each picture that has one."""
    with open(data / 'labels.csv', newline='') as table:
        rows = [row for row in csv.DictReader(table) if row['split'] == 'validation']
    chosen = np.random.default_rng(0).permutation(len(rows))[:most]
    landmarker, network = FaceLandmarker(), expression_model()
    shares, quality, labels = [], [], []
    with zipfile.ZipFile(data / 'fer2013_jpg.zip') as archive, tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / 'face.png'
        for row in (rows[index] for index in chosen):
            Image.open(io.BytesIO(archive.read(row['file']))).save(picture)
            table = observe_faces(
                Recording.open(picture), rate_hz=None, landmarker=landmarker, expression=network, keep_thumbnails=False
            ).table
            if table.num_rows:
                best = int(np.argmax(table['quality'].to_numpy()))
                shares.append([table[category][best].as_py() for category in EKMAN])
                quality.append(table['quality'][best].as_py())
                labels.append(EKMAN.index(ekman_of(row['emotion'])))
    return np.array(shares), np.array(quality), np.array(labels)


def weighed(shares: np.ndarray, weights: np.ndarray | float) -> np.ndarray:
    """(N, 7) probabilities to the power of a weight each, normal again."""
    powers = np.maximum(shares, 1e-4) ** np.reshape(weights, (-1, 1))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss(shares: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log of what the label got."""
    return float(-np.log(shares[np.arange(len(labels)), labels]).mean())


def measure(shares: np.ndarray, quality: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Best exponents by quality, and what each rule would do on all faces."""
    by_quality = []
    for low, high in pairwise(EDGES):
        own = (quality >= low) & (quality < high)
        losses = [log_loss(weighed(shares[own], exponent), labels[own]) for exponent in EXPONENTS]
        by_quality.append({
            'quality': [low, high], 'faces': int(own.sum()), 'best_exponent': float(EXPONENTS[int(np.argmin(losses))]),
            'readable_share': round(float(readable_share(quality[own]).mean()), 3),
        })  # fmt: skip
    rules = {'quality': quality, 'its root': quality**0.5, 'readable_share': readable_share(quality), 'always 1': 1.0}
    return {'faces': len(labels), 'by_quality': by_quality,
            'rules': {name: _outcome(weighed(shares, weights), labels) for name, weights in rules.items()}}  # fmt: skip


def _outcome(shares: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    named, right = shares.max(axis=1) >= UNSURE_BELOW, shares.argmax(axis=1) == labels
    return {
        'log_loss': round(log_loss(shares, labels), 4),
        'speaks': round(float(named.mean()), 3),
        'right_where_it_speaks': round(float(right[named].mean()), 3),
        'says': round(float(shares.max(axis=1)[named].mean()), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder of FER2013')
    parser.add_argument('--faces', type=int, default=1100, help='pictures that are drawn')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'faces_quality.json')
    given = parser.parse_args()
    result = measure(*read_faces(given.data, given.faces))
    given.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
