"""Camera, depth, normals and shade: values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ValueRangeError
from affekt.face3d import Camera, depth_map, face_model, normal_map, point_normals, pose_matrix, rasterize, shaded_map
from affekt.faces import euler_angles_deg

SQUARE = np.array([[0, 0, 0], [8, 0, 0], [8, 8, 0], [0, 8, 0.0]])
HALVES = [[0, 1, 2], [0, 2, 3]]


def seen(points, size=(8, 8)):
    """A raster of points whose y grows upwards, from 0 to 8."""
    return rasterize(np.column_stack([points[:, 0], size[0] - points[:, 1], -points[:, 2]]), HALVES, size)


def test_a_point_at_half_a_metre_falls_where_the_lens_says():
    # a field of view of 90 degrees: at 50 cm the picture is 100 cm high, 100 pixels
    camera = Camera(100, 200, 90)
    assert camera.project([[10, 20, -50]])[0] == pytest.approx([110, 30, 50])
    with pytest.raises(ValueRangeError):
        camera.project([[0, 0, 1]])


def test_the_angles_of_a_pose_are_read_back():
    assert euler_angles_deg(pose_matrix(20, -10, 5)) == pytest.approx([20, -10, 5])


def test_normals_of_a_square_face_the_viewer_and_a_lone_point_has_none():
    normals = point_normals(np.vstack([SQUARE, [[1, 1, 1]]]), HALVES)
    assert normals[:4] == pytest.approx(np.tile([0, 0, 1], (4, 1)))
    assert normals[4] == pytest.approx([0, 0, 0])


def test_normals_keep_their_signs():
    # a slope that rises to the right faces to the left: (-1, 0, 1) / sqrt 2; 127.5 - 127.5 / sqrt 2 = 37
    slope = SQUARE + np.array([[0, 0, 0], [0, 0, 8], [0, 0, 8], [0, 0, 0]])
    colors = normal_map(seen(slope), HALVES, slope)
    assert colors[4, 4].tolist() == [37, 128, 218]


def test_depth_is_white_at_the_nearest_and_steady_when_its_range_is_given():
    slope = SQUARE + np.array([[0, 0, 0], [0, 0, 8], [0, 0, 8], [0, 0, 0]])
    raster = seen(slope)
    own = depth_map(raster)
    assert (own.min(), own.max()) == (1, 255)
    # depth -(x + 0.5) at column x; near = -8, far = 0: 1 + 254 * 4.5 / 8 = 143.9
    assert depth_map(raster, -8, 0)[3, 4] == 144
    with pytest.raises(ValueRangeError):
        depth_map(raster, 0, -8)


def test_a_flat_surface_is_white():
    assert np.unique(depth_map(seen(SQUARE))).tolist() == [255]


def test_shade_is_full_in_the_light_and_ambient_behind():
    raster = seen(SQUARE)
    assert np.unique(shaded_map(raster, HALVES, SQUARE, (0, 0, 1))).tolist() == [255]
    assert np.unique(shaded_map(raster, HALVES, SQUARE, (0, 0, -1))).tolist() == [76]  # 0.3 * 255


def test_nothing_is_black_and_a_face_is_drawn_the_right_way_round():
    camera, model = Camera(64, 64, 30), face_model()
    points = model.vertices(pose=pose_matrix(yaw_deg=25, shift_cm=(0, 0, -45)))
    raster = rasterize(camera.project(points), model.triangles, (64, 64), front_only=True)
    assert 0.2 < raster.covered.mean() < 0.9
    normals = normal_map(raster, model.triangles, points)
    assert not normals[~raster.covered].any()
    # what is seen faces the viewer
    assert normals[raster.covered][:, 2].mean() > 190
    other = model.vertices(pose=pose_matrix(yaw_deg=-25, shift_cm=(0, 0, -45)))
    mirrored = rasterize(camera.project(other), model.triangles, (64, 64), front_only=True)
    assert (mirrored.covered[:, ::-1] == raster.covered).mean() > 0.99
    empty = rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), (4, 4))
    assert not depth_map(empty).any()
