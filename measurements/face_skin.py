"""How skin goes along with brows and jaw in real faces, beside the directions that move portraits without a driver.

    python measurements/face_skin.py --fer2013 DIR [--faces 250]

Landmarks of faces of FER2013's validation part (PublicTest) that are named surprised, angry or neutral are laid on the
canonical face, pose taken out; means by name, less the neutral mean, say how far each row of skin goes for each
centimetre of the upper edge of the brows, and each part of the upper face for each of the lower lip. Intervals are 95 %
percentiles of a bootstrap over faces. Writes results/face_skin.json.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from affekt.face3d import face_model
from affekt.faces import FaceLandmarker, euler_angles_deg
from affekt.reenactment import laid_face
from affekt.reenactment.amounts import BELOW_BROWS, BROW_EDGES, CREASES, columns, directions, skin_directions
from affekt.typed_json import json_file

RESULT = Path(__file__).parent / 'results' / 'face_skin.json'
NAMES = {'surprise': 'surprised', 'angry': 'angry', 'neutral': 'neutral'}
ENLARGED, MOST_YAW_DEG, MOST_PITCH_DEG, DRAWS = 192, 15.0, 20.0, 1000
CORNERS = (33, 133, 362, 263)
UPPER_EDGES = ((300, 293, 334, 296, 336), (70, 63, 105, 66, 107))
ROWS = {'lower edge of the brow': BROW_EDGES, 'skin below the brow': BELOW_BROWS, 'crease of the lid': CREASES}
BELOW_NOSE, UPPER_LIP, MOUTH_CORNERS, LOWER_LIP = (2,), (0, 13), (61, 291), (14,)
OF_JAW = {'below the nose': BELOW_NOSE, 'upper lip': UPPER_LIP, 'corners of the mouth': MOUTH_CORNERS}


def along_with_brows(moved: np.ndarray) -> dict[str, float]:
    """Way of each row for each centimetre of the upper edge of the brows, of movements (468, 3)."""

    def up(rows: tuple[tuple[int, ...], ...]) -> float:
        return float(np.mean([moved[list(row), 1].mean() for row in rows]))

    return {name: up(rows) / up(UPPER_EDGES) for name, rows in ROWS.items()}


def along_with_lip(moved: np.ndarray) -> dict[str, float]:
    """Way of each part for each centimetre of the lower lip, of movements (468, 3)."""
    return {name: float(moved[list(part), 1].mean() / moved[LOWER_LIP[0], 1]) for name, part in OF_JAW.items()}


def read(folder: Path, faces: int, networks: FaceLandmarker) -> dict[str, np.ndarray]:
    """Name to (N, 468, 3) points of as many faces, seen from the front, in the order of a fixed shuffle."""
    with (folder / 'labels.csv').open(encoding='utf-8') as table:
        rows = [row for row in csv.DictReader(table) if row['split'].startswith('val') and row['emotion'] in NAMES]
    np.random.default_rng(0).shuffle(rows)
    points: dict[str, list[np.ndarray]] = {name: [] for name in NAMES.values()}
    with zipfile.ZipFile(folder / 'fer2013_jpg.zip') as pictures:
        for row in rows:
            kept = points[NAMES[row['emotion']]]
            if len(kept) == faces:
                continue
            small = Image.open(io.BytesIO(pictures.read(row['file']))).convert('RGB')
            face = networks.read_filling(np.asarray(small.resize((ENLARGED, ENLARGED), Image.Resampling.BICUBIC)))
            if face is None:
                continue
            yaw, pitch, _ = (abs(float(angle)) for angle in euler_angles_deg(face.pose))
            if yaw <= MOST_YAW_DEG and pitch <= MOST_PITCH_DEG:
                kept.append(laid_face(face.landmarks, networks.canonical).points[:468])
    return {name: np.stack(each) for name, each in points.items()}


def moved(points: dict[str, np.ndarray], name: str, rng: np.random.Generator | None = None) -> np.ndarray:
    """(468, 3) mean of a name less the neutral mean, beside the corners of the eyes; of a resample where drawn."""
    drawn = (points[each] for each in (name, 'neutral'))
    there, rest = (
        (each if rng is None else each[rng.integers(0, len(each), len(each))]).mean(axis=0) for each in drawn
    )
    way = there - rest
    way[:, 1] -= way[list(CORNERS), 1].mean()
    return np.asarray(way)


def measured(points: dict[str, np.ndarray], name: str, shares: Any) -> dict[str, dict[str, float]]:
    """What `shares` says of a name, with intervals."""
    value, rng = shares(moved(points, name)), np.random.default_rng(0)
    drawn = [shares(moved(points, name, rng)) for _ in range(DRAWS)]
    return {
        part: {
            'value': round(value[part], 3),
            'low': round(float(np.quantile([each[part] for each in drawn], 0.025)), 3),
            'high': round(float(np.quantile([each[part] for each in drawn], 0.975)), 3),
        }
        for part in value
    }


def of_directions(moved_by: np.ndarray) -> dict[str, dict[str, float]]:
    """The same of directions (51, 468, 3)."""
    place = columns()

    def total(*stems: str) -> np.ndarray:
        return np.asarray(sum(moved_by[place[name]] for name in face_model().directions if name.startswith(stems)))

    every = {
        'brows up': along_with_brows(total('browInnerUp', 'browOuterUp')),
        'brows down': along_with_brows(total('browDown')), 'jaw': along_with_lip(total('jawOpen')),
    }  # fmt: skip
    return {name: {part: round(share, 3) for part, share in each.items()} for name, each in every.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--fer2013', type=Path, required=True, help='folder with labels.csv and fer2013_jpg.zip')
    parser.add_argument('--faces', type=int, default=250, help='of each name, at most (default 250)')
    parser.add_argument('--out', type=Path, default=RESULT)
    chosen = parser.parse_args()
    points = read(chosen.fer2013, chosen.faces, FaceLandmarker())
    result = {
        'faces': {name: len(each) for name, each in points.items()},
        'measured': {
            'brows up': measured(points, 'surprised', along_with_brows),
            'brows down': measured(points, 'angry', along_with_brows),
            'jaw': measured(points, 'surprised', along_with_lip),
        },
        'directions': of_directions(directions()),
        'put_right': of_directions(skin_directions()),
    }
    chosen.out.write_bytes(json_file(result))


if __name__ == '__main__':
    main()
