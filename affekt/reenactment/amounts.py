"""Amounts of the named directions to a frame of motion, for motion without a driver.

Directions are transferred from another head by deformation gradients. For brows and jaw they disagree with landmarks of
250 named real faces (`measurements/face_skin.py`), and `skin_directions` corrects that: skin between brow and lid
moves with a brow, instead of doubling in height, while the lids stay; and an opening jaw nearly leaves nose, cheeks
and upper lip in place.

| vertical movement per centimetre of | measured | directions | corrected |
|---|---|---|---|
| raised brows, upper edge: skin below the brow | 0.72 | 0.21 | 0.64 |
| likewise: crease of the lid | 0.60 | -0.11 | 0.42 |
| lowered brows, upper edge: skin below the brow | 0.62 | 0.35 | 0.62 |
| likewise: crease of the lid | 0.48 | 0.11 | 0.21 |
| the lower lip: the skin below the nose | 0.07 | 0.19 | 0 |
| likewise: upper lip | 0.11 | 0.36 | 0.17 |

Lids: the offsets keep them as the directions move them, and `opening` gives the same as a share, measured on the mean
face. Gaze: a full look to the side or up moves the iris as on the open head (0.61 and 0.30 cm for
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
"""Movement of the iris in a full look, in eye widths: that of the front of an eyeball of `head_model()`, over the
width of the eye of `face_model()`, 2.66 cm."""
BROW_EDGES = ((276, 283, 282, 295, 285), (46, 53, 52, 65, 55))
"""Lower edge of the left and the right brow."""
BELOW_BROWS = ((441, 442, 443, 444, 445), (221, 222, 223, 224, 225))
CREASES = ((286, 258, 257, 259, 260), (56, 28, 27, 29, 30))
"""Landmarks of the skin below the left and the right brow, and of the creases of both lids."""
LIDS = (
    (466, 388, 387, 386, 385, 384, 398, 249, 390, 373, 374, 380, 381, 382),
    (246, 161, 160, 159, 158, 157, 173, 7, 163, 144, 145, 153, 154, 155),
)
BELOW_SHARE, CREASE_SHARE, PRESSED_SHARE = 0.75, 0.5, 0.25
"""Shares of the movement of a brow's lower edge that the skin below it and the lid crease follow; a crease that is
pressed down meets the lid sooner than in real faces, whose lids move down with it."""
BELOW_NOSE = 2
JAW_CM = (1.0, 2.0)
"""Downward movement at an amount of 1: below the first, a point is of the upper face; above the second, of the lower
lip."""


@cache
def directions() -> Floats:
    """(51, 468, 3) displacements of all directions at 1 of the face model, in centimetres."""
    model = face_model()
    return np.stack([model.direction(name) for name in model.directions])


@cache
def skin_directions() -> Floats:
    """(51, 468, 3) displacements of all directions at 1, corrected by real faces, in centimetres."""
    corrected = directions().copy()
    for name, column in columns().items():
        if name.startswith('brow'):
            _move_skin_below(corrected[column])
    _leave_nose(corrected[columns()['jawOpen']])
    return corrected


def _move_skin_below(moved: Floats) -> None:
    """Move the skin between brow and lid along with the brow, in place; the lids stay."""
    across = face_model().mean[:, 0]
    for edge, below, crease, lids in zip(BROW_EDGES, BELOW_BROWS, CREASES, LIDS, strict=True):
        by_column = sorted(edge, key=lambda point: float(across[point]))
        for group, share in ((below, BELOW_SHARE), (crease, CREASE_SHARE)):
            rise = np.interp(across[list(group)], across[by_column], moved[by_column, 1])
            moved[list(group), 1] = (
                np.where(rise < 0, min(share, PRESSED_SHARE if group is crease else share), share) * rise
            )
        moved[list(lids)] = 0


def _leave_nose(moved: Floats) -> None:
    """Subtract the movement of the point below the nose from the upper face, in place; the lower lip keeps its own."""
    drop = -moved[:, 1]
    upper = np.clip((JAW_CM[1] - drop) / (JAW_CM[1] - JAW_CM[0]), 0, 1)
    moved[:, 1] += upper * np.clip(drop, 0, -moved[BELOW_NOSE, 1])


@cache
def columns() -> dict[str, int]:
    """Direction to its index."""
    return {name: column for column, name in enumerate(face_model().directions)}


def frame_of_amounts(
    time_s: float,
    amounts: npt.ArrayLike,
    head_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> MotionFrame:
    """The motion frame of given amounts of the directions.

    Args:
        time_s: seconds.
        amounts: (51,) in the order of `face_model().directions`.
        head_deg: yaw, pitch and roll relative to the calm head, as `affekt.faces.euler_angles_deg` reads them.
    """
    values = np.asarray(amounts, dtype=np.float64)
    offsets = np.einsum('k,kvd->vd', values, skin_directions())
    rotation = pose_matrix(*head_deg)[:3, :3] if any(head_deg) else np.eye(3)
    return MotionFrame(
        time_s,
        offsets.astype(np.float32),
        _opening(offsets).astype(np.float32),
        _gaze(values).astype(np.float32),
        rotation,
    )


def _opening(moved: Floats) -> Floats:
    """(2,) height between the left and the right lids over that at rest."""
    shares = []
    for pairs in LID_PAIRS:
        upper, lower = np.array(pairs).T
        rest = face_model().mean[upper, 1] - face_model().mean[lower, 1]
        shares.append(float((rest + moved[upper, 1] - moved[lower, 1]).sum() / rest.sum()))
    return np.maximum(shares, 0.0)


def _gaze(amounts: Floats) -> Floats:
    """(2, 2) displacement of the left and the right iris, x right and y down, in eye widths."""
    column_of = columns()

    def look(direction: str, side: str) -> float:
        return GAZE_WIDTHS[direction] * float(amounts[column_of[f'eyeLook{direction}{side}']])

    return np.array([
        [look('Out', 'Left') - look('In', 'Left'), look('Down', 'Left') - look('Up', 'Left')],
        [look('In', 'Right') - look('Out', 'Right'), look('Down', 'Right') - look('Up', 'Right')],
    ])  # fmt: skip
