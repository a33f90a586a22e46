"""The shape of a face in few numbers: landmarks rotated to the front and scaled, without pose and distance.

25 of the 478 landmarks, those of brows, lids, nose, lips, chin and cheeks, in units of the distance between the outer
corners of the eyes. The origin is between these corners; x points to the right of the image, y up.

Axes: T faces, K points.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ShapeError

POINTS = {
    'brow_right_outer': 70, 'brow_right_middle': 105, 'brow_right_inner': 107,
    'brow_left_inner': 336, 'brow_left_middle': 334, 'brow_left_outer': 300,
    'lid_right_upper': 159, 'lid_right_lower': 145, 'lid_left_upper': 386, 'lid_left_lower': 374,
    'nose_right': 129, 'nose_left': 358,
    'mouth_right': 61, 'mouth_left': 291, 'lip_top': 0, 'lip_upper': 13, 'lip_lower': 14, 'lip_bottom': 17,
    'lip_top_right': 37, 'lip_top_left': 267, 'lip_bottom_right': 84, 'lip_bottom_left': 314,
    'chin': 152, 'cheek_right': 205, 'cheek_left': 425,
}  # fmt: skip
"""Name to index of the landmark; right and left are the person's own."""
SHAPE_COLUMNS = tuple(f'shape_{name}_{axis}' for name in POINTS for axis in 'xy')
OUTER_CORNERS = (33, 263)


def face_shapes(landmarks: npt.ArrayLike, poses: npt.ArrayLike) -> Floats32:
    """Landmarks of faces turned to the front and scaled, as x and y.

        ((R^T (p - middle of the eyes)) / distance of the outer corners of the eyes)[x, y]

    Args:
        landmarks: (T, 478, 3) pixels, y down, z growing away from the camera.
        poses: (T, 4, 4) canonical face to camera; its rotation R is used.

    Returns:
        (T, 2 K) in the order of SHAPE_COLUMNS.

    Raises:
        ShapeError: other shapes.
    """
    points, transforms = np.asarray(landmarks, dtype=np.float64), np.asarray(poses, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (478, 3) or transforms.shape != (len(points), 4, 4):
        raise ShapeError(
            expected='landmarks (T, 478, 3) and poses (T, 4, 4)', came=f'{points.shape} and {transforms.shape}',
            todo='give those of one track',
        )  # fmt: skip
    points = points * [1.0, -1.0, -1.0]  # to the camera's axes: y up, z towards the viewer
    right, left = points[:, OUTER_CORNERS[0]], points[:, OUTER_CORNERS[1]]
    eye_distance = np.maximum(np.linalg.norm(left - right, axis=1), 1e-6)[:, None, None]
    chosen = (points[:, list(POINTS.values())] - ((left + right) / 2)[:, None]) / eye_distance  # (T, K, 3)
    front = np.einsum('tji,tkj->tki', transforms[:, :3, :3], chosen)  # (T, K, 3): R^T of each point
    return np.ascontiguousarray(front[:, :, :2].reshape(len(points), -1), dtype=np.float32)  # (T, 2 K)
