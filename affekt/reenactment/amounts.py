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

GAZE_WIDTHS = {'Out': 0.220, 'In': 0.236, 'Up': 0.110, 'Down': 0.166}
"""Way of the iris where an eye looks fully, in widths of the eye: the front of an eyeball of `head_model()`, over the
width of the eye of `face_model()`, 2.66 cm."""


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
        return GAZE_WIDTHS[way] * float(amounts[place[f'eyeLook{way}{side}']])

    return np.array([
        [look('Out', 'Left') - look('In', 'Left'), look('Down', 'Left') - look('Up', 'Left')],
        [look('In', 'Right') - look('Out', 'Right'), look('Down', 'Right') - look('Up', 'Right')],
    ])  # fmt: skip
