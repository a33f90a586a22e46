from __future__ import annotations

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from affekt.errors import WeightsError
from affekt.faces.headpose import CanonicalFace, euler_angles_deg, head_pose, similarity

WIDTH, HEIGHT = 640, 360


@pytest.fixture(scope='module')
def canonical(shared_data):
    with zipfile.ZipFile(shared_data / 'media' / 'face_landmarker.task') as archive:
        return CanonicalFace.parse(archive.read('geometry_pipeline_metadata_landmarks.binarypb'))


def turned(yaw, pitch, roll):
    return Rotation.from_euler('YXZ', [yaw, -pitch, roll], degrees=True).as_matrix()


def photographed(points, pose):
    """Pixels and depth of canonical points under a pose, as a mesh network would report them: weak perspective."""
    seen = points @ pose[:3, :3].T + pose[:3, 3]
    focal = HEIGHT / 2 / np.tan(np.radians(63) / 2)
    distance = -pose[2, 3]
    x = WIDTH / 2 + focal * seen[:, 0] / -seen[:, 2]
    y = HEIGHT / 2 - focal * seen[:, 1] / -seen[:, 2]
    return np.column_stack([x, y, focal * (-seen[:, 2] - distance) / distance])


def test_the_canonical_face_has_468_points_898_triangles_and_33_weighted_ones(canonical):
    assert canonical.vertices.shape == (468, 3)
    assert canonical.triangles.shape == (898, 3)
    assert canonical.basis.shape == canonical.weights.shape == (33,)
    assert canonical.triangles.max() == 467


def test_the_canonical_face_is_the_size_of_a_head(canonical):
    # outer eye corners of adults lie about 9 cm apart
    assert np.linalg.norm(canonical.vertices[33] - canonical.vertices[263]) == pytest.approx(9, abs=1)


@settings(max_examples=40, deadline=None)
@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-170, 170))
def test_angles_put_in_come_out(yaw, pitch, roll):
    pose = np.eye(4)
    pose[:3, :3] = 1.1 * turned(yaw, pitch, roll)
    assert euler_angles_deg(pose) == pytest.approx([yaw, pitch, roll], abs=1e-6)


def test_a_head_facing_the_camera_has_no_angles():
    assert euler_angles_deg(np.eye(4)) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize('angles', [(0, 0, 0), (25, 0, 0), (0, 20, 0), (0, 0, 30), (-20, 10, -15)])
def test_a_photographed_canonical_face_gives_its_pose_back(canonical, angles):
    pose = np.eye(4)
    pose[:3, :3] = turned(*angles)
    pose[:3, 3] = [6, -4, -60]
    found = head_pose(photographed(canonical.vertices, pose), WIDTH, HEIGHT, canonical)
    assert euler_angles_deg(found) == pytest.approx(angles, abs=3)
    assert found[:3, 3] == pytest.approx(pose[:3, 3], rel=0.06, abs=0.5)


def test_the_similarity_of_moved_points_is_the_move():
    rng = np.random.default_rng(0)
    points, weights = rng.normal(size=(10, 3)), rng.uniform(0.1, 1, 10)
    move = np.eye(4)
    move[:3, :3] = 2.5 * turned(30, -20, 70)
    move[:3, 3] = [1, 2, 3]
    found = similarity(points, points @ move[:3, :3].T + move[:3, 3], weights)
    assert found == pytest.approx(move, abs=1e-9)


def test_landmarks_that_are_one_point_have_no_pose(canonical):
    assert np.isnan(similarity(np.ones((4, 3)), np.ones((4, 3)), np.ones(4))).all()


def test_metadata_of_another_kind_is_refused():
    with pytest.raises(WeightsError, match='468'):
        CanonicalFace.parse(b'\x08\x01')
