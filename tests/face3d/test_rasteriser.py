"""Which face every pixel shows: by hand, against a search in fractions, and at the edges that two faces share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.face3d import drawn_attribute, interpolate, rasterize


def searched(points, triangles, size):
    """The same answer pixel by pixel and face by face, in fractions: no rounding, no spans."""
    corner = [(round(x * 256), round(y * 256), Fraction(z)) for x, y, z in points.tolist()]
    faces = np.full(size, -1)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y, nearest = 256 * column + 128, 256 * row + 128, None
            for face, (a, b, c) in enumerate(triangles.tolist()):
                (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corner[a], corner[b], corner[c]
                area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
                if area == 0:
                    continue
                first = Fraction((bx - x) * (cy - y) - (cx - x) * (by - y), area)
                second = Fraction((cx - x) * (ay - y) - (ax - x) * (cy - y), area)
                third = 1 - first - second
                if min(first, second, third) < 0:
                    continue
                depth = first * az + second * bz + third * cz
                if nearest is None or depth < nearest:
                    nearest, faces[row, column] = depth, face
    return faces


@pytest.mark.parametrize('seed', range(100))
def test_faces_of_pixels_are_those_of_an_exact_search(seed):
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-3, 11, (9, 2)), rng.integers(0, 40, 9)])
    if seed % 2:
        points[:, :2] = np.round(points[:, :2] * 2) / 2  # corners and edges on pixel centres
    triangles = rng.integers(0, 9, (12, 3))
    assert np.array_equal(rasterize(points, triangles, (8, 7)).face, searched(points, triangles, (8, 7)))


def test_a_triangle_of_legs_two_covers_the_three_centres_on_and_above_its_long_side():
    # centres (0.5, 0.5), (1.5, 0.5), (0.5, 1.5): x + y <= 2 holds for all three, with equality for two
    raster = rasterize([[0, 0, 5], [2, 0, 5], [0, 2, 5]], [[0, 1, 2]], (3, 3))
    assert np.argwhere(raster.covered).tolist() == [[0, 0], [0, 1], [1, 0]]
    assert raster.barycentric[0, 0] == pytest.approx([0.5, 0.25, 0.25])
    assert raster.depth[0, 0] == 5
    assert np.isinf(raster.depth[2, 2])


def test_of_two_faces_equally_near_the_lower_number_wins_on_their_shared_edge_and_where_one_lies_on_the_other():
    square = [[0, 0, 1], [4, 0, 2], [4, 4, 3], [0, 4, 2]]
    halves = [[0, 1, 2], [0, 2, 3]]
    assert np.diagonal(rasterize(square, halves, (4, 4)).face).tolist() == [0] * 4
    assert np.diagonal(rasterize(square, halves[::-1], (4, 4)).face).tolist() == [0] * 4
    assert np.unique(rasterize(square, halves * 3, (4, 4)).face).tolist() == [0, 1]


def test_a_grid_of_triangles_leaves_no_gap(rng):
    side = 12
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) * 5.0
    inner = ((grid > 0) & (grid < 55)).all(axis=1)
    grid[inner] += rng.uniform(-2, 2, (inner.sum(), 2))
    at = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    triangles = np.concatenate([np.stack([at, at + 1, at + side], 1), np.stack([at + 1, at + side + 1, at + side], 1)])
    points = np.column_stack([grid, np.zeros(len(grid))])
    assert rasterize(points, triangles, (55, 55)).covered.all()


def test_only_faces_that_turn_anticlockwise_for_a_viewer_are_in_front():
    points = [[0, 0, 1], [4, 0, 1], [0, 4, 1]]
    assert not rasterize(points, [[0, 1, 2]], (4, 4), front_only=True).covered.any()
    assert rasterize(points, [[0, 2, 1]], (4, 4), front_only=True).covered.any()


def test_an_attribute_that_is_linear_in_the_picture_comes_back_at_every_centre():
    points = np.array([[0, 0, 1], [9, 0, 1], [0, 9, 1.0]])
    raster = rasterize(points, [[0, 1, 2]], (6, 6))
    back = interpolate(raster, [[0, 1, 2]], points[:, :2], empty=-1)
    row, column = np.nonzero(raster.covered)
    assert back[row, column] == pytest.approx(np.column_stack([column + 0.5, row + 0.5]), abs=1e-5)
    assert (back[~raster.covered] == -1).all()


@pytest.mark.parametrize('seed', range(20))
def test_an_attribute_drawn_at_once_is_that_of_the_raster(seed):
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-9, 49, (40, 2)), rng.uniform(0, 9, 40)])
    triangles, values = rng.integers(0, 40, (30, 3)), rng.normal(size=(40, 2))
    by_raster = interpolate(rasterize(points, triangles, (33, 40)), triangles, values)
    drawn = drawn_attribute(points, triangles, values, (33, 40))
    assert drawn.shape == (2, 33, 40)
    assert np.moveaxis(drawn, 0, 2) == pytest.approx(by_raster, abs=1e-4)


def test_an_attribute_of_no_faces_is_nothing_and_one_of_other_points_is_refused():
    assert not drawn_attribute(np.zeros((3, 3)), np.zeros((0, 3), int), np.ones((3, 2)), (3, 4)).any()
    with pytest.raises(ShapeError, match=r'values \(3, C\)'):
        drawn_attribute(np.zeros((3, 3)), [[0, 1, 2]], np.ones((4, 2)), (3, 4))


def test_no_faces_and_faces_out_of_sight_give_an_empty_picture():
    assert not rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), (3, 4)).covered.any()
    assert not rasterize([[50, 50, 1], [60, 50, 1], [50, 60, 1]], [[0, 1, 2]], (3, 4)).covered.any()


@pytest.mark.parametrize(
    ('points', 'triangles', 'error'),
    [
        ([[0, 0]], [[0, 0, 0]], ShapeError),
        ([[0, 0, 0]], [[0, 0]], ShapeError),
        ([[0, 0, np.nan]], [[0, 0, 0]], ValueRangeError),
        ([[1e6, 0, 0]], [[0, 0, 0]], ValueRangeError),
        ([[0, 0, 0]], [[0, 0, 1]], ValueRangeError),
    ],
)
def test_what_is_no_mesh_is_refused(points, triangles, error):
    with pytest.raises(error):
        rasterize(points, triangles, (4, 4))
