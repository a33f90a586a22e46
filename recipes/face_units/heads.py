"""The whole head beside the mesh of landmarks: skin, eyes, teeth, tongue and lashes, its expressions and shapes.

Everything lies in the frame of the canonical face (centimetres, x to the picture's right, y up, z to the viewer), so
that one pose serves both meshes. Shapes that move the whole head are freed of the position and the size that they also
change: a shape is what is left when the face itself has been laid back on the face.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from marking import Marks
from sources import Source

from affekt.face3d import point_normals, rasterize
from affekt.faces.headpose import CanonicalFace, similarity

LOWEST = 5.0
"""Height at which the body is cut off, decimetres: the shoulders."""
PEOPLE = ('african', 'asian', 'caucasian')
LOCAL = ('head', 'forehead', 'eyebrows', 'eyes', 'nose', 'cheek', 'mouth', 'chin', 'ears')
ONE_SIDED = ('-trans-in', '-trans-out')
"""Shapes of the middle of the face that move it to one side."""
MOVES_ALL = ('head-trans',)
BROW_UPPER, BROW_LOWER = (70, 63, 105, 66, 107), (46, 53, 52, 65, 55)
"""The person's right brow, from the temple to the nose."""
VIEWS, VIEW_SIDE = 120, 192


def named_shapes(
    source: Source, marks: Marks, canonical: CanonicalFace, to_cm: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and (19158, 3) movement, centimetres, of every shape of the head that is a matter of identity."""
    for people in PEOPLE:
        for sex in ('female', 'male'):
            for age in ('young', 'old'):
                name = f'{people}-{sex}-{age}'
                yield name, _laid_back(source.shape(f'macrodetails/{name}'), source, marks, canonical, to_cm)
    for folder in LOCAL:
        for name in source.shapes(folder):
            short = name.split('/')[1]
            if short.startswith(('r-', *MOVES_ALL)) or (short.endswith(ONE_SIDED) and not short.startswith('l-')):
                continue
            moved = source.shape(name)
            if short.startswith('l-'):
                short = short.removeprefix('l-')
                moved = moved + source.shape(f'{folder}/r-{short}')
            if folder == 'head':
                yield short, _laid_back(moved, source, marks, canonical, to_cm)
            else:
                yield short, moved @ to_cm[:3, :3].T


def _laid_back(
    moved: np.ndarray, source: Source, marks: Marks, canonical: CanonicalFace, to_cm: np.ndarray
) -> np.ndarray:
    """The shape without the turn, the size and the shift of the face that it also brings."""
    at_rest = source.points @ to_cm[:3, :3].T + to_cm[:3, 3]
    shaped = at_rest + moved @ to_cm[:3, :3].T
    basis = canonical.basis
    back = similarity(marks.of(shaped)[basis], marks.of(at_rest)[basis], canonical.weights)
    return shaped @ back[:3, :3].T + back[:3, 3] - at_rest


def openness(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,) how much of the light from all around reaches each point past the rest of the head, from 0 to 1."""
    normals = point_normals(points, triangles)
    reached, possible = np.zeros(len(points)), np.zeros(len(points))
    span = np.linalg.norm(np.ptp(points, axis=0))
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    for direction in _directions(VIEWS):
        right = np.cross([0.0, 1.0, 0.0], direction)
        right /= np.linalg.norm(right)
        axes = np.stack([right, -np.cross(direction, right), -direction])
        placed = (points - middle) @ axes.T
        placed[:, :2] = (placed[:, :2] / span + 0.5) * VIEW_SIDE
        depth = rasterize(placed, triangles, (VIEW_SIDE, VIEW_SIDE)).depth
        column, row = np.clip(placed[:, :2].astype(int), 0, VIEW_SIDE - 1).T
        is_seen = placed[:, 2] < depth[row, column] + 0.02 * span
        share = np.maximum(normals @ direction, 0)
        reached += share * is_seen
        possible += share
    return reached / np.maximum(possible, 1e-9)


def _directions(count: int) -> np.ndarray:
    """(count, 3) evenly on the sphere, along a spiral."""
    along = np.arange(count) + 0.5
    height = 1 - 2 * along / count
    turn = np.pi * (1 + 5**0.5) * along
    ring = np.sqrt(1 - height**2)
    return np.column_stack([ring * np.cos(turn), height, ring * np.sin(turn)])


def regions(
    source: Source, points: np.ndarray, marks: np.ndarray, is_skin: np.ndarray, opened: np.ndarray
) -> dict[str, np.ndarray]:
    """Name to (V,) how far each point is of lips, brows, scalp, beard, lids, cheeks, the mouth's inside; 0 to 1."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    masks = {
        name: source.mask(file) for name, file in (('lips', 'lips'), ('lids', 'eyelids'), ('mouth', 'inside-mouth'))
    }
    # the picture of the mouth's inside also touches points of the neck, whose place in the texture is a seam
    masks['mouth'] *= np.linalg.norm(points - marks[14], axis=1) < 7.0
    masks['brows'] = _brows(points, marks)
    masks['scalp'] = _scalp(source, points, marks, is_skin, opened)
    ears = points[source.mask('ears') > 0.5]
    mouth, nose, chin = marks[[61, 291]].mean(axis=0), marks[2], marks[152]
    low = _soft(mouth[1] + 0.35 * (nose[1] - mouth[1]) + 0.32 * np.maximum(x - 2.2, 0) ** 1.15 - y, 0.7)
    moustache = _soft(nose[1] - 0.35 - y, 0.4) * _soft(3.0 - x, 0.8)
    under = _soft(y - (chin[1] - 2.2), 1.2) * _soft(z - ears[:, 2].max() - 1.0, 0.8)
    masks['beard'] = np.maximum(low, moustache) * under * (1 - masks['lips'])
    cheek = np.array([abs(marks[205][0]), marks[205][1] + 0.6])
    masks['cheeks'] = np.exp(-((x - cheek[0]) ** 2 + (y - cheek[1]) ** 2) / 3.0) * _soft(z - marks[205][2] + 3, 1.0)
    return {name: np.where(is_skin, mask, 0.0) for name, mask in masks.items()}


def _scalp(
    source: Source, points: np.ndarray, marks: np.ndarray, is_skin: np.ndarray, opened: np.ndarray
) -> np.ndarray:
    """What lies behind the hairline: over the forehead, down the temples to the ears, behind them to the nape."""
    y, z = points[:, 1], points[:, 2]
    ears = points[source.mask('ears') > 0.5]
    front, back = ears[:, 2].max(), ears[:, 2].mean()
    mouth_y, brow_y, top_y = marks[61][1], marks[105][1], marks[10][1]
    forehead_y = top_y + 0.25 * (points[is_skin, 1].max() - top_y)
    heights = [mouth_y - 0.5, mouth_y, ears[:, 1].mean() - 1.5, ears[:, 1].mean(), brow_y, top_y, forehead_y]
    line_z = np.interp(y, heights, [-25, back, back, front + 0.3, front + 2.2, front + 4.5, front + 9.5])
    line_z = np.where(y > forehead_y, front + 9.5 + 6 * (y - forehead_y), line_z)
    return _soft(line_z - z, 0.5) * (1 - source.mask('ears')) * (opened > 0.15)


def _brows(points: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Nearness to the line in the middle of the brow, within its breadth."""
    upper, lower = marks[list(BROW_UPPER)], marks[list(BROW_LOWER)]
    line, breadth = (upper + lower) / 2, np.linalg.norm(upper - lower, axis=1) / 2
    share = np.linspace(0, len(line) - 1, 60)
    dense = np.stack([np.interp(share, range(len(line)), line[:, axis]) for axis in range(3)], axis=1)
    wide = np.interp(share, range(len(line)), breadth) * np.interp(share, [0, 1, 4], [0.55, 0.9, 1.0])
    folded = points * [1, 1, 1]
    folded[:, 0] = -np.abs(points[:, 0])
    apart = np.linalg.norm(folded[:, None, :] - dense, axis=2) / np.maximum(wide, 0.12)
    return np.clip(1.35 - apart.min(axis=1), 0, 1)


def _soft(value: np.ndarray, breadth: float) -> np.ndarray:
    """0 well below zero, 1 well above, smooth between."""
    share = np.clip(value / (2 * breadth) + 0.5, 0, 1)
    return share**2 * (3 - 2 * share)
