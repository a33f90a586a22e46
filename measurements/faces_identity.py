"""How surely a face says that a person is back: `python measurements/faces_identity.py --data DIR [--pictures DIR …]`.

Writes results/faces_identity.json. Pairs of stretches of one to four pictures each, of one person (parts of all
pictures of that person; in films, of one film) and of two. Collections: the films of the shared data, and any folder
with one folder of pictures per person (here the AT&T faces, 40 people with 10 grey pictures each, and the pictures of
eight people in the examples of face-api.js, taken years apart).

    certainty(d) = 1 / (1 + exp((d - middle) / spread)), of pairs that are one person half the time

is fitted to each collection alone and judged on all of them: `wrong` is the share of pairs of two people that would be
joined, `right` that of pairs of one person. The constants in use are those of the collection whose strangers are most
alike, so that the others judge them unseen. Trivial baselines: joining nothing is wrong 0 and right 0, joining all 1
and 1. `degraded` shows what small and blurred pictures do to the distances of two people.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy.optimize import minimize

from affekt.faces import FaceLandmarker
from affekt.faces.identity import SIDE, FaceIdentity, face_crop
from affekt.faces.same_person import SURE, mean_distance
from affekt.media import Recording
from affekt.typed_json import json_file

ONE_PERSON = {'grid_id2_vcd_swwp2s': 'grid_pwij3p'}
"""Two films of one speaker, seen by eye."""
FILM_PICTURES = 12
FILM_RATE_HZ = 1.7
ROUNDS = 8
SMALLEST = 250
"""Pictures smaller than this are enlarged three times, as the landmarker reads faces of about that size best."""


def films(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    paths = [
        *sorted((data / 'clips').glob('*.mp*')),
        data / 'media' / 'driving.mp4',
        data / 'test_media' / 'single_face.mp4',
    ]
    for path in paths:
        frames = Recording.open(path).frames(rate_hz=FILM_RATE_HZ)
        for _, frame in zip(range(FILM_PICTURES), frames, strict=False):
            yield ONE_PERSON.get(path.stem, path.stem), frame.image


def pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for path in sorted(folder.glob('*/*')):
        if path.suffix.lower() in {'.pgm', '.png', '.jpg', '.jpeg'}:
            picture = Image.open(path).convert('RGB')
            if max(picture.size) < SMALLEST:
                picture = picture.resize((3 * picture.width, 3 * picture.height), Image.Resampling.BICUBIC)
            yield path.parent.name, np.asarray(picture)


def crops_of(landmarker: FaceLandmarker, source: Iterator[tuple[str, np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Crops of the largest face of each picture, by person."""
    crops: dict[str, list[np.ndarray]] = {}
    for person, image in source:
        for face in landmarker.faces(image, 1):
            crops.setdefault(person, []).append(face_crop(image, face.landmarks))
    return crops


def pairs(vectors: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean distances of pairs of stretches, and whether each pair is one person."""
    distances, same = [], []
    for size in (1, 2, 4):
        for own in vectors.values():
            for _ in range(ROUNDS):
                order = rng.permutation(len(own))
                count = min(size, len(own) // 2)
                if count:
                    distances.append(mean_distance(list(own[order[:count]]), list(own[order[count : 2 * count]])))
                    same.append(True)
        for first, other in combinations(vectors.values(), 2):
            ours, theirs = rng.permutation(first)[:size], rng.permutation(other)[:size]
            distances.append(mean_distance(list(ours), list(theirs)))
            same.append(False)
    return np.array(distances), np.array(same)


def fitted(distances: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Middle and spread of least log loss, where half of all weight is on pairs of one person."""

    def loss(given: np.ndarray) -> float:
        logits = (given[0] - distances) / np.exp(given[1])
        own = np.logaddexp(0, np.where(same, -logits, logits))
        return float(own[same].mean() + own[~same].mean())

    middle, log_spread = minimize(loss, np.array([0.5, np.log(0.04)]), method='Nelder-Mead').x
    return float(middle), float(np.exp(log_spread))


def judged(distances: np.ndarray, same: np.ndarray, middle: float, spread: float) -> dict[str, float]:
    reach = middle - spread * float(np.log(SURE / (1 - SURE)))
    return {
        'joined_below': round(reach, 3),
        'wrong': round(float((distances[~same] < reach).mean()), 5),
        'right': round(float((distances[same] < reach).mean()), 4),
        'pairs_of_two': int((~same).sum()),
        'pairs_of_one': int(same.sum()),
    }


def degraded(crop: np.ndarray, side: int, blur: float) -> np.ndarray:
    picture = Image.fromarray(crop)
    if blur:
        picture = picture.filter(ImageFilter.GaussianBlur(blur))
    if side:
        picture = picture.resize((side, side), Image.Resampling.BOX).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder with clips/, test_media/ and media/')
    parser.add_argument(
        '--pictures', type=Path, nargs='*', default=[], help='folders with a folder of pictures a person'
    )
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'faces_identity.json')
    chosen = parser.parse_args()
    landmarker, network = FaceLandmarker(), FaceIdentity()
    crops = {'films': crops_of(landmarker, films(chosen.data))}
    crops |= {folder.name: crops_of(landmarker, pictures(folder)) for folder in chosen.pictures}
    vectors = {
        name: {person: np.stack([network.vector(crop) for crop in own]) for person, own in people.items()}
        for name, people in crops.items()
    }
    measured = {name: pairs(people, np.random.default_rng(7)) for name, people in vectors.items()}
    fits = {name: fitted(*pair) for name, pair in measured.items()}
    result: dict[str, object] = {
        'sure': SURE,
        'fitted_on': {
            name: {
                'middle': round(fit[0], 4), 'spread': round(fit[1], 4),
                'judged_on': {other: judged(*pair, *fit) for other, pair in measured.items()},
            }
            for name, fit in fits.items()
        },
    }  # fmt: skip
    rows = []
    few = {name: {person: own[:3] for person, own in people.items()} for name, people in crops.items()}
    for side, blur in ((0, 0), (46, 0), (28, 0), (20, 0), (0, 2), (0, 4), (0, 8)):
        for name, people in few.items():
            worse = {p: np.stack([network.vector(degraded(c, side, blur)) for c in own]) for p, own in people.items()}
            others = np.array([
                mean_distance([a], [b]) for own, other in combinations(worse.values(), 2) for a in own for b in other
            ])  # fmt: skip
            low, middle_one = (round(float(q), 3) for q in np.quantile(others, [0.005, 0.5]))
            rows.append(
                {'collection': name, 'side_px': side or SIDE, 'blur_px': blur, 'of_two_low': low, 'of_two': middle_one}
            )
    result['degraded'] = rows
    chosen.out.write_bytes(json_file(result))


if __name__ == '__main__':
    main()
