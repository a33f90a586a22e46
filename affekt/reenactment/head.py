"""The surroundings of a face's landmarks: rings of the head, a fixed border, and how far each point moves.

The rings repeat the outline of the face, each larger and further back. They carry hair, ears and neck along with
the head, less the further out; the last ring and the image border stay fixed. So one mesh covers
everything that moves, without a seam: the background stretches a little, and nothing is cut out.

Canonical frame: centimetres, x to the right of the image, y up, z to the viewer. Image: pixels, y down, and depth
away from the viewer. R ring points, B border points, S = 468 + R + B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay

from affekt.arrays import Bools, Floats, Ints
from affekt.reenactment.motion import POINTS

OUTLINE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""Landmarks along the outline of the face, clockwise in the image from the middle of the forehead."""
RINGS = ((1.12, 0.1, 1.0), (1.35, 0.45, 0.95), (1.8, 0.8, 0.55), (2.6, 1.0, 0.2), (3.3, 1.0, 0.0))
"""Of each ring: its size relative to the outline, its depth between that of the outline (0) and BACK_CM (1), and how
far it follows the head. Depths increase gradually, so that what a turn uncovers is stretched over a
wide strip."""
BACK_CM = -5.5
"""Depth of the back of the head, z in the canonical frame."""
SKIN_SHARES = (0.85, 0.5, 0.2, 0.0, 0.0)
"""Share of the outline's expression that each ring follows: an opened jaw draws the neck along."""
MIDDLE_CM = (0.0, 1.0)
"""Middle of the rings, x and y in the canonical frame."""
HAIR_LIFT_CM = 3.0
"""Additional height of a ring above the forehead, per unit of its size beyond the outline's."""
HALF_CM = 6.0
"""Half the height of the face's outline over or below its middle."""
NECK_STAYS = 0.55
"""Reduction of how far a ring follows below the chin, at the neck."""
BORDER_POINTS = 9
"""Number of points along each side of the image."""
CLEARANCE = 0.18
"""Share of the face's height: rings closer to the border than this follow less, down to 0 at the border."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The rings and the border around one face.

    Attributes:
        rings: (R, 3) canonical frame, at rest.
        following: (R,) how far each moves with the head, 0 to 1.
        beside: (R,) the outline landmark next to each ring point.
        sharing: (R,) how far it follows that landmark's expression, 0 to 1.
        border: (B, 2) pixels, on the image border; fixed.
        triangles: (F, 3) between outline, rings and border; indices of landmarks, then rings, then border points.
        reaches_border: whether the image border cuts hair or neck.
    """

    rings: Floats
    following: Floats
    beside: Ints
    sharing: Floats
    border: Floats
    triangles: Ints
    reaches_border: bool
    first_ring: int
    """Number of points of the first ring; these come first."""


def surroundings(canonical: Floats, in_picture: Floats, placed_rings: Floats, size: tuple[int, int]) -> Surroundings:
    """The rings within the image, how far they follow, and triangles to the border.

    Args:
        canonical: (5 * 36, 3) all rings of `head_rings`.
        in_picture: (468, 2) the landmarks, pixels.
        placed_rings: (5 * 36, 2) the rings, pixels.
        size: height and width of the image.
    """
    height, width = size
    x, y = placed_rings[:, 0], placed_rings[:, 1]
    to_border = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y))
    inside = to_border > 2
    face_height = float(np.ptp(in_picture[list(OUTLINE), 1]))
    near_border = np.clip(to_border / (CLEARANCE * face_height), 0, 1)
    following = (ring_following(canonical) * near_border)[inside]
    sharing = (np.repeat(SKIN_SHARES, len(OUTLINE)) * near_border)[inside]
    beside = np.tile(OUTLINE, len(RINGS))[inside]
    border = _border(height, width)
    points_px = np.concatenate([in_picture, placed_rings[inside], border])
    rim = np.concatenate([np.asarray(OUTLINE), np.arange(POINTS, len(points_px))])
    triangles = rim[Delaunay(points_px[rim]).simplices]
    middles = points_px[triangles].mean(axis=1)
    outside = ~inside_polygon(in_picture[list(OUTLINE)], middles)
    second = slice(len(OUTLINE), 2 * len(OUTLINE))
    return Surroundings(
        canonical[inside],
        following,
        beside,
        sharing,
        border,
        triangles[outside],
        bool((to_border[second] <= 2).mean() > 0.15),
        int(inside[: len(OUTLINE)].sum()),
    )


def head_rings(face: Floats) -> Floats:
    """(5 * 36, 3) the rings around a face (468, 3), canonical frame."""
    outline = face[list(OUTLINE)]
    middle = np.array([*MIDDLE_CM, 0.0])
    above = np.clip((outline[:, 1] - middle[1]) / HALF_CM, 0, 1)
    rings = []
    for size, depth, _ in RINGS:
        ring = (outline - middle) * [size, size, 0] + middle
        ring[:, 1] += above * (size - 1) * HAIR_LIFT_CM
        ring[:, 2] = outline[:, 2] + depth * (BACK_CM - outline[:, 2])
        rings.append(ring)
    return np.concatenate(rings)


def ring_following(rings: Floats) -> Floats:
    """(5 * 36,) how far each ring point moves with the head, before the border limits it."""
    shares = []
    for number, (size, _, follow) in enumerate(RINGS):
        ring = rings[number * len(OUTLINE) : (number + 1) * len(OUTLINE)]
        below = np.clip(-(ring[:, 1] - MIDDLE_CM[1]) / size / HALF_CM, 0, 1)
        shares.append(follow * (1 - NECK_STAYS * below * min(1.0, (size - 1) / 0.35)))
    return np.concatenate(shares)


def inside_polygon(corners: Floats, points: Floats) -> Bools:
    """(N,) whether points (N, 2) are within a closed polygon (K, 2), by the even-odd rule."""
    begin, end = corners, np.roll(corners, -1, axis=0)
    y = points[:, 1:2]
    spans = (begin[:, 1] > y) != (end[:, 1] > y)  # (N, K)
    rise = np.where(end[:, 1] == begin[:, 1], 1.0, end[:, 1] - begin[:, 1])
    cut = begin[:, 0] + (y - begin[:, 1]) / rise * (end[:, 0] - begin[:, 0])
    return np.asarray((spans & (points[:, 0:1] < cut)).sum(axis=1) % 2 == 1)


def _border(height: int, width: int) -> Floats:
    steps = np.linspace(0, 1, BORDER_POINTS)
    level, upright = steps * width, steps[1:-1] * height
    return np.concatenate([
        np.column_stack([level, np.zeros(len(level))]), np.column_stack([level, np.full(len(level), float(height))]),
        np.column_stack([np.zeros(len(upright)), upright]),
        np.column_stack([np.full(len(upright), float(width)), upright]),
    ])  # fmt: skip
