"""Valence and arousal of faces against their labels: are neutral faces in the middle, and does it help to weigh more?

    python measurements/faces_affect.py --data DIR --cache DIR

Reads FER2013's validation faces (PublicTest), from which `NEUTRAL_LEAN` is fitted, and its test faces (PrivateTest), on
which nothing is chosen, as the recipe of the expression model aligns them. A label's place on the circumplex stands in
for a rating, as FER2013 has none: agreement is Lin's concordance over faces weighted so that each category counts
alike. Writes results/faces_affect.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from affekt.faces import affect, expression_model
from affekt.faces.align import FER_TEMPLATE
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.labels import EKMAN, coordinates, expected_affect
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'recipes' / 'face_expression'))
NEUTRAL = EKMAN.index('neutral')
EVIDENCE_SHARE = 0.25


def weighted_concordance(truth: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    """Lin's concordance with a weight for each pair."""
    truth_mean, mean = np.average(truth, weights=weights), np.average(values, weights=weights)
    covariance = np.average((truth - truth_mean) * (values - mean), weights=weights)
    variances = [np.average((part - part_mean) ** 2, weights=weights)
                 for part, part_mean in ((truth, truth_mean), (values, mean))]  # fmt: skip
    return float(2 * covariance / (sum(variances) + (truth_mean - mean) ** 2))


def described(values: np.ndarray, axis: int, labels: np.ndarray) -> dict[str, object]:
    """Agreement with the labels' places, and what each category comes out as."""
    weights = 1 / np.bincount(labels, minlength=len(EKMAN))[labels]
    neutral = values[labels == NEUTRAL]
    return {
        'concordance': round(weighted_concordance(coordinates(EKMAN)[labels, axis], values, weights), 3),
        'neutral_median': round(float(np.median(neutral)), 3),
        'neutral_share_negative': round(float(np.mean(neutral < 0)), 3),
        'mean_of': {name: round(float(values[labels == k].mean()), 3) for k, name in enumerate(EKMAN)},
    }


def lean_of(shares: np.ndarray, labels: np.ndarray) -> float:
    """The lean at which the median valence of neutral faces is 0."""
    neutral = shares[labels == NEUTRAL]
    leans = np.linspace(0, 2, 201)
    return float(min(leans, key=lambda lean: abs(np.median(affect(neutral, neutral_lean=lean)[0]))))


def with_movements(shares: np.ndarray, blendshapes: np.ndarray) -> np.ndarray:
    """(N, 2) affect with a quarter of what single movements say: smile against frown, lowered brow and wrinkled nose;
    open jaw, wide eyes and raised inner brow."""
    scores = dict(zip(BLENDSHAPES, np.nan_to_num(blendshapes).T, strict=True))

    def both(stem: str) -> np.ndarray:
        return (scores[f'{stem}Left'] + scores[f'{stem}Right']) / 2

    pleasant = both('mouthSmile') - np.max([both('mouthFrown'), both('browDown'), both('noseSneer')], axis=0)
    stirred = np.max([scores['jawOpen'], both('eyeWide'), scores['browInnerUp']], axis=0)
    plain = np.stack(affect(shares), axis=1)
    mixed = (1 - EVIDENCE_SHARE) * plain + EVIDENCE_SHARE * np.stack([pleasant, stirred], axis=1)
    return np.where(np.isnan(blendshapes).all(axis=1)[:, None], plain, mixed)


def split_result(shares: np.ndarray, blendshapes: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    ways = {
        'plain expectation': shares @ coordinates(EKMAN),
        'against knowing nothing': np.stack(expected_affect(shares), axis=1),
        'and with the lean taken off, as shipped': np.stack(affect(shares), axis=1),
        'and a quarter of single movements': with_movements(shares, blendshapes),
    }
    return {
        name: {'valence': described(values[:, 0], 0, labels), 'arousal': described(values[:, 1], 1, labels)}
        for name, values in ways.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with labels.csv and fer2013_jpg.zip')
    parser.add_argument('--cache', type=Path, required=True, help='folder for what the landmarker reads')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'faces_affect.json')
    options = parser.parse_args()
    from data import load_faces
    from landmarks import framed, read_split

    options.cache.mkdir(parents=True, exist_ok=True)
    model = expression_model()
    result: dict[str, object] = {}
    for split in ('validation', 'test'):
        faces = load_faces(options.data, split)
        seen = read_split(faces.images, options.cache / f'landmarks_{split}.npz')
        aligned = framed(faces, seen, FER_TEMPLATE).framed
        shares = np.asarray(model.probabilities(aligned, seen.blendshapes))
        if split == 'validation':
            result['neutral_lean_fitted'] = round(lean_of(shares, faces.labels), 2)
        result[split] = {'faces': len(faces), **split_result(shares, seen.blendshapes, faces.labels)}
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
