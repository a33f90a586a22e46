"""Amounts of the named directions to a frame of motion: what a face does that nobody was filmed doing.

Lids: the offsets hold them as the directions move them, and `opening` says the same as a share, measured on the mean
face. Gaze: a full look to the side or up moves the middle of the iris as it does on the open head (0.61 and 0.30 cm of
an eye 2.66 cm wide).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.face3d import face_model, pose_matrix
from affekt.reenactment.canonical import LID_PAIRS
from affekt.reenactment.motion import MotionFrame

GAZE_WIDTHS = (0.228, 0.114)
"""Way of the iris at a full look to the side and up or down, in widths of the eye: the eyeballs of `head_model()` under
eyeLookOut and eyeLookUp, over the width of the eye of `face_model()`."""
REACH_DEG = 30.0
"""Angle of a full look; the convention of `affekt.faces.readings`."""


@cache
def directions() -> Floats:
    """(51, 468, 3) all directions at 1, centimetres."""
    model = face_model()
    return np.stack([model.direction(name) for name in model.directions])


@cache
def columns() -> dict[str, int]:
    """Direction to its place."""
    return {name: place for place, name in enumerate(face_model().directions)}


def frame_of_amounts(
    time_s: float,
    amounts: npt.ArrayLike,
    head_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> MotionFrame:
    """The motion of a face that shows each direction by an amount.

    Args:
        time_s: seconds.
        amounts: (51,) in the order of `face_model().directions`.
        head_deg: yaw, pitch and roll away from the calm head, as `affekt.faces.euler_angles_deg` reads them.
    """
    shown = np.asarray(amounts, dtype=np.float64)
    moved = np.einsum('k,kvd->vd', shown, directions())
    rotation = pose_matrix(*head_deg)[:3, :3] if any(head_deg) else np.eye(3)
    return MotionFrame(
        time_s, moved.astype(np.float32), _opening(moved).astype(np.float32), _gaze(shown).astype(np.float32), rotation
    )


def _opening(moved: Floats) -> Floats:
    """(2,) height between the lids over that at rest, left and right."""
    shares = []
    for pairs in LID_PAIRS:
        upper, lower = np.array(pairs).T
        rest = face_model().mean[upper, 1] - face_model().mean[lower, 1]
        shares.append(float((rest + moved[upper, 1] - moved[lower, 1]).sum() / rest.sum()))
    return np.maximum(shares, 0.0)


def _gaze(amounts: Floats) -> Floats:
    """(2, 2) way of the left and the right iris, x right and y down, in eye widths."""
    place = columns()

    def look(way: str, side: str) -> float:
        return float(amounts[place[f'eyeLook{way}{side}']])

    across, down = GAZE_WIDTHS
    return np.array([
        [across * (look('Out', 'Left') - look('In', 'Left')), down * (look('Down', 'Left') - look('Up', 'Left'))],
        [across * (look('In', 'Right') - look('Out', 'Right')), down * (look('Down', 'Right') - look('Up', 'Right'))],
    ])  # fmt: skip


def look_amounts(yaw_deg: float, pitch_deg: float) -> dict[str, float]:
    """Direction to its amount, of both eyes that look by some angles; yaw > 0 to the person's left, pitch > 0 up."""
    across, up = yaw_deg / REACH_DEG, pitch_deg / REACH_DEG
    return {
        'eyeLookOutLeft': max(across, 0.0), 'eyeLookInRight': max(across, 0.0),
        'eyeLookInLeft': max(-across, 0.0), 'eyeLookOutRight': max(-across, 0.0),
        **{f'eyeLookUp{side}': max(up, 0.0) for side in ('Left', 'Right')},
        **{f'eyeLookDown{side}': max(-up, 0.0) for side in ('Left', 'Right')},
    }  # fmt: skip
