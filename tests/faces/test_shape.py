"""The shape of a face does not depend on where the head is, how large it is or how it is turned."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError
from affekt.face3d import pose_matrix
from affekt.faces import SHAPE_COLUMNS, face_shapes
from affekt.faces.shape import POINTS


def _pictured(points, pose, scale):
    """Landmarks (478, 3) of points (478, 3) in the face's frame, as pixels with y down and z away."""
    turned = points @ pose[:3, :3].T * scale
    return turned * [1, -1, -1] + [80, 90, 0]


def test_pose_scale_and_place_are_taken_off():
    points = np.random.default_rng(0).normal(0, 5, (478, 3))
    poses = [pose_matrix(), pose_matrix(30, -10, 15), pose_matrix(-20, 5, 0)]
    shapes = face_shapes([_pictured(points, pose, s) for pose, s in zip(poses, (3, 5, 1), strict=True)], poses)
    assert shapes.shape == (3, len(SHAPE_COLUMNS)) == (3, 50)
    assert shapes[1] == pytest.approx(shapes[0], abs=1e-5)
    assert shapes[2] == pytest.approx(shapes[0], abs=1e-5)


def test_a_point_stands_in_units_of_the_eyes_from_their_middle():
    points = np.zeros((478, 3))
    points[33], points[263] = (-4, 0, 0), (4, 0, 0)
    points[POINTS['chin']] = (0, -12, 1)
    shape = face_shapes([_pictured(points, np.eye(4), 2.0)], [np.eye(4)])[0]
    at = SHAPE_COLUMNS.index('shape_chin_x')
    assert shape[at : at + 2].tolist() == pytest.approx([0, -1.5])  # 12 down over 8 across


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError):
        face_shapes(np.zeros((2, 468, 3)), np.zeros((2, 4, 4)))
