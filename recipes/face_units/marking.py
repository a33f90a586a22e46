"""Where the 468 landmarks lie on the head: it is rendered, and affekt's own landmarker marks it.

1. The head is rendered from five sides at rest and from three with the jaw open, lit from the front.
2. A landmark is the frontmost point of skin within five pixels of where the network puts it. Its places in the rest
   position are averaged over the views by how squarely each sees it; points of the sides count only in the views that
   face them, as they would slide onto the neck, and points of the lips only with the mouth open.
3. The two sides are made mirror images, and every point is moved to the nearest point of the surface; upper and lower
   lip, which touch at rest, are told apart by how far the jaw moves them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from sources import Source

from affekt.face3d import Raster, interpolate, point_normals, rasterize
from affekt.faces import FaceLandmarker

SIDE, SCALE, CENTER_Y, EYE_DISTANCE = 1024, 430.0, 7.05, 6.0
LOWER_LIP = [
    14, 15, 16, 17, 84, 85, 86, 87, 88, 89, 90, 91, 95, 96, 146, 77, 178, 179, 180, 181, 314, 315, 316, 317, 318, 319,
    320, 321, 324, 325, 375, 307, 402, 403, 404, 405,
]  # fmt: skip
UPPER_LIP = [
    0, 11, 12, 13, 37, 38, 39, 40, 41, 42, 72, 73, 74, 80, 81, 82, 184, 185, 183, 191, 267, 268, 269, 270, 271, 272,
    302, 303, 304, 310, 311, 312, 407, 408, 409, 415,
]  # fmt: skip
CORNERS = [61, 62, 76, 78, 291, 292, 306, 308]
LOWEST_OF_FACE = 5.6
REACH = 5
"""Pixels around a landmark in which its point of the surface is looked for."""
SIDES = (-0.5, -0.25, 0.0, 0.25, 0.5)
OPEN_SIDES, OPEN = (-0.2, 0.0, 0.2), (0.35, 0.6)
SIDEWAYS_CM = 4.0
"""Distance from the middle from which a landmark is of one side."""


@dataclass(frozen=True)
class Marks:
    """Where each of the 468 landmarks lies on the surface of the head."""

    triangles: np.ndarray
    """(468, 3) the points of the triangle that it lies in."""
    weights: np.ndarray
    """(468, 3) of those points."""
    snapped_mm: float
    """How far the marks were moved to the surface, on average."""

    def of(self, points: np.ndarray) -> np.ndarray:
        """(468, 3) their places on points (or movements of points) of the head."""
        return (self.weights[:, :, None] * points[self.triangles]).sum(axis=1)


def mark(source: Source, landmarker: FaceLandmarker) -> Marks:
    """The 468 landmarks on the surface of the head at rest."""
    mirror = mirrored(landmarker.canonical.vertices)
    jaw = source.unit('jawOpen')
    across = np.concatenate([landmarker.canonical.vertices[:, 0], np.zeros(10)])

    def may_count(yaw: float) -> np.ndarray:
        return (np.abs(across) < SIDEWAYS_CM) | (across * yaw <= 0)

    at_rest = _averaged([(*_seen(source, landmarker, source.points, yaw), may_count(yaw)) for yaw in SIDES])
    opened = _averaged(
        [
            (*_seen(source, landmarker, source.points + share * jaw, yaw), np.full(478, True))
            for yaw in OPEN_SIDES
            for share in OPEN
        ]
    )
    lips = sorted({*LOWER_LIP, *UPPER_LIP, *CORNERS})
    at_rest[lips] = opened[lips]
    marks = at_rest[:468]
    return _snapped(source, (marks + marks[mirror] * [-1, 1, 1]) / 2)


def mirrored(canonical: np.ndarray) -> np.ndarray:
    """(468,) which landmark lies on the other side of the face."""
    return cKDTree(canonical * [-1, 1, 1]).query(canonical)[1]


def render(source: Source, points: np.ndarray, yaw: float) -> tuple[np.ndarray, Raster, np.ndarray]:
    """The head from one side: the picture, its raster, and the normals of the points."""
    triangles, _ = _rendered(source)
    moved = points - [0.0, CENTER_Y, 1.0]
    cos, sin = np.cos(yaw), np.sin(yaw)
    turned = np.column_stack(
        [cos * moved[:, 0] + sin * moved[:, 2], moved[:, 1], cos * moved[:, 2] - sin * moved[:, 0]]
    )
    near = EYE_DISTANCE / (EYE_DISTANCE - turned[:, 2])
    placed = np.column_stack(
        [SIDE / 2 + turned[:, 0] * SCALE * near, SIDE / 2 - turned[:, 1] * SCALE * near, -turned[:, 2]]
    )
    used = np.unique(triangles)
    placed[np.setdiff1d(np.arange(len(placed)), used)] = 0.0
    raster = rasterize(placed, triangles, (SIDE, SIDE))
    light = np.array([0.25, 0.35, 0.9]) / np.linalg.norm([0.25, 0.35, 0.9])
    shade = 0.35 + 0.7 * np.clip(point_normals(turned, triangles) @ light, 0, 1)
    picture = interpolate(raster, triangles, np.clip(_colors(source) * shade[:, None], 0, 255))
    picture[~raster.covered] = [120, 130, 140]
    normals = point_normals(placed * [1, -1, -SCALE], triangles)
    return picture.astype(np.uint8), raster, normals


def _rendered(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and parts of what the landmarker is shown: lashes, as plates without hairs, would hide the lids."""
    triangles, parts = source.triangles(LOWEST_OF_FACE)
    return triangles[parts != 'lashes'], parts[parts != 'lashes']


def _colors(source: Source) -> np.ndarray:
    triangles, parts = _rendered(source)
    colors = np.tile([205.0, 160.0, 135.0], (len(source.points), 1))
    for side in ('left eye', 'right eye'):
        eye = np.unique(triangles[parts == side])
        colors[eye] = 235
        at = source.points[eye]
        middle = at.mean(axis=0)
        radius = np.linalg.norm(at[:, :2] - middle[:2], axis=1)
        colors[eye[(at[:, 2] > middle[2]) & (radius < 0.055)]] = [50, 35, 25]
    for part, color in (('teeth', [225, 220, 205]), ('tongue', [150, 70, 70])):
        colors[np.unique(triangles[parts == part])] = color
    return colors


def _seen(source: Source, landmarker: FaceLandmarker, points: np.ndarray, yaw: float) -> tuple[np.ndarray, np.ndarray]:
    """(478, 3) the landmarks of one view, at rest, nan where none was picked; (478,) how squarely each is seen."""
    triangles, parts = _rendered(source)
    picture, raster, normals = render(source, points, yaw)
    (face,) = landmarker.faces(picture)
    is_skin = raster.covered & (parts == 'skin')[np.maximum(raster.face, 0)]
    picked, weight = np.full((478, 3), np.nan), np.zeros(478)
    for landmark, (x, y) in enumerate(face.landmarks[:, :2].astype(int)):
        rows = slice(max(y - REACH, 0), min(y + REACH + 1, SIDE))
        columns = slice(max(x - REACH, 0), min(x + REACH + 1, SIDE))
        if not is_skin[rows, columns].any():
            continue
        across, down = np.meshgrid(np.arange(SIDE)[columns] - x, np.arange(SIDE)[rows] - y)
        cost = raster.depth[rows, columns].astype(np.float64) + (across**2 + down**2) / 2500
        cost[~is_skin[rows, columns]] = np.inf
        row, column = np.unravel_index(np.argmin(cost), cost.shape)
        pixel = rows.start + row, columns.start + column
        corners, weights = triangles[raster.face[pixel]], raster.barycentric[pixel]
        picked[landmark] = weights @ source.points[corners]
        weight[landmark] = max(0.0, abs(weights @ normals[corners, 2]) - 0.1) ** 2 + 1e-4
    return picked, weight


def _averaged(views: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    total, weights = np.zeros((478, 3)), np.zeros(478)
    for picked, weight, counts in views:
        good = counts & ~np.isnan(picked[:, 0])
        total[good] += weight[good, None] * picked[good]
        weights[good] += weight[good]
    with np.errstate(invalid='ignore'):  # a landmark that no view saw
        return total / weights[:, None]


def _snapped(source: Source, marks: np.ndarray) -> Marks:
    """The nearest of 45 points in each triangle of the front of the head."""
    triangles, parts = _rendered(source)
    skin = triangles[parts == 'skin']
    middles = source.points[skin].mean(axis=1)
    skin = skin[(middles[:, 2] > -0.7) & (middles[:, 1] > 5.9)]
    grid = np.array([[a, b, 8 - a - b] for a in range(9) for b in range(9 - a)]) / 8
    corners, weights = np.repeat(skin, len(grid), axis=0), np.tile(grid, (len(skin), 1))
    points = (weights[:, :, None] * source.points[corners]).sum(axis=1)
    moves = (weights * np.linalg.norm(source.unit('jawOpen'), axis=1)[corners]).sum(axis=1)
    at_mouth = (np.abs(points[:, 1] - 6.62) < 0.35) & (np.abs(points[:, 0]) < 0.45)
    choices = {
        'lower': ~at_mouth | (moves > 0.12),
        'upper': ~at_mouth | (moves < 0.09),
        'any': np.full(len(points), True),
    }
    chosen, far = np.zeros(468, int), np.zeros(468)
    lip = {**dict.fromkeys(LOWER_LIP, 'lower'), **dict.fromkeys(UPPER_LIP, 'upper')}
    places = {name: np.flatnonzero(which) for name, which in choices.items()}
    trees = {name: cKDTree(points[which]) for name, which in places.items()}
    for landmark in range(468):
        which = lip.get(landmark, 'any')
        far[landmark], nearest = trees[which].query(marks[landmark])
        chosen[landmark] = places[which][nearest]
    return Marks(corners[chosen], weights[chosen], 100 * float(far.mean()))
