"""Motion of one face fitted to another: scaling, calm state, and the limits of that face.

    moved = transfer(motion, portrait_range(portrait), TransferSettings(intensity=0.8))

1. Relative (the default): the driver's deviation from its own calm face is added to the portrait's expression.
Absolute: the portrait takes the driver's expression, gaze and pose, and loses its own. 2. The expression is
multiplied by the intensity; blinks, gaze and head motion are not. 3. Each direction stays within the range that the
portrait has left (a face that already smiles cannot add a whole smile), each region within that of its directions. 4.
The head motion is limited: the mesh has no back. `notes` says what was limited.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

import numpy as np

from affekt.arrays import Floats, Floats32
from affekt.errors import ValueRangeError
from affekt.face3d import ExpressionFit, face_model, pose_matrix, shown_amounts, turn
from affekt.faces import euler_angles_deg
from affekt.reenactment.amounts import skin_directions
from affekt.reenactment.canonical import LaidFace
from affekt.reenactment.motion import POINTS, FaceState, Motion, MotionFrame, rotation_vector
from affekt.wording import counted

REGIONS = {
    'brows': ('brow',), 'eyes': ('eye',), 'nose': ('nose',), 'cheeks': ('cheek',), 'mouth and jaw': ('mouth', 'jaw'),
}  # fmt: skip
"""Region to the prefixes of its directions' names."""
FULL = 1.1
"""Maximum amount of a direction, including the portrait's own."""
LESS = 0.3
"""Amount by which a direction may fall below its calm state even if the portrait's scores are 0: calm faces are not at
the end of their range, and scores do not detect everything."""
WIDEST = 2.0
"""Bounds of the amounts that explain a movement before the range is applied."""
SEEN_CM = 0.15
"""Minimum reduction of a point's movement, in centimetres, that is reported."""
BEYOND = 1.25
"""Largest movement of a region relative to that of its largest single direction, since several add up."""
YAW_DEG = 22.0
"""Largest turn of a head to each side: the recognition network takes each degree as a step towards another person,
which begins at 0.5. With this limit no frame of two portraits driven by another person exceeds 0.49
(measurements/results/reenact_closed_loop.json)."""
TOTAL_YAW_DEG = 32.0
"""Maximum total turn of a portrait that is itself turned."""
FAR_CHEEK = 0.7
"""Degrees by which turning back is reduced per degree of the portrait's turn: its far cheek has few
pixels, which would be spread over much skin."""
KNEE = 0.75
"""Share of a limit up to which an angle is unchanged; beyond, it approaches the limit asymptotically."""
BLINK_FROM, BLINK_WHOLE = 0.6, 0.25
"""Openings between which squinting (scaled by intensity) becomes a blink (not scaled)."""
GAZE_LIMIT = 0.3
OPENING_LIMIT = 1.8
EYES_DIFFER = (0.6, 1.6)
"""Range of the ratio of two people's calm eye openings that the absolute form follows."""


@dataclass(frozen=True)
class TransferSettings:
    """Settings of fitting motion to a portrait.

    Args:
        intensity: factor of the expression, 0 to 2; 1 is the driver's own.
        absolute: take the driver's expression, gaze and pose themselves instead of their difference from the calm face.
        head: share of the head's movement, 0 to 1.
        yaw_deg: largest turn of the head to each side, above 0 and at most 30. pitch_deg, roll_deg likewise.
        shift_cm: largest translation of the head, in centimetres.
        size: largest factor by which the head grows or shrinks; 1 or more.
        is_clamped: stay within the portrait's own range.

    Raises:
        ValueRangeError: a number is out of range.
    """

    intensity: float = 1.0
    absolute: bool = False
    head: float = 1.0
    yaw_deg: float = YAW_DEG
    pitch_deg: float = 20.0
    roll_deg: float = 25.0
    shift_cm: float = 6.0
    size: float = 1.25
    is_clamped: bool = True

    def __post_init__(self) -> None:
        angles = (self.yaw_deg, self.pitch_deg, self.roll_deg)
        if not (0 <= self.intensity <= 2 and 0 <= self.head <= 1):
            raise ValueRangeError(
                expected='an intensity from 0 to 2 and a share of the head from 0 to 1',
                came=f'{self.intensity:g} and {self.head:g}', todo='give 1 for the driver unchanged',
            )  # fmt: skip
        if not (all(0 < angle <= 30 for angle in angles) and self.shift_cm >= 0 and self.size >= 1):
            raise ValueRangeError(
                expected='limits of the head above 0 and up to 30 degrees, a shift from 0 and a size from 1 on',
                came=f'{angles}, {self.shift_cm:g} cm, {self.size:g}',
                todo='the mesh has no sides of the head to show beyond 30 degrees',
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class PortraitRange:
    """The calm state of a portrait, which determines its remaining range of movement.

    Attributes:
        own: the portrait's expression, pose, eyes and gaze.
        points: (468, 3) its landmarks in the canonical frame.
    """

    own: FaceState
    points: Floats

    @property
    def lowest(self) -> Floats:
        """(51,) lowest amounts that may be added: what it shows, and a little more, can be removed."""
        return np.asarray(-(self.own.amounts + LESS))

    @property
    def highest(self) -> Floats:
        """(51,) largest amounts that may be added."""
        return np.asarray(np.maximum(FULL - self.own.amounts, 0))


class PortraitLike(Protocol):
    """A portrait's face, rotation and scores."""

    @property
    def face(self) -> Floats: ...
    @property
    def rotation(self) -> Floats: ...
    @property
    def blendshapes(self) -> Floats32: ...


def portrait_range(portrait: PortraitLike) -> PortraitRange:
    """The range of a portrait by its landmarks in the canonical frame (478, 3), its rotation and its 52 scores."""
    laid = LaidFace(portrait.face, portrait.rotation, 1.0, np.zeros(3))
    amounts = shown_amounts(portrait.blendshapes)
    return PortraitRange(FaceState(amounts, portrait.rotation, laid.eye_openings, laid.gaze), portrait.face[:POINTS])


def transfer(motion: Motion, target: PortraitRange, settings: TransferSettings | None = None) -> Motion:
    """The motion for one portrait; frames and notes are computed as it is iterated.

    Args:
        motion: motion of a driver, an emotion or curves; it is consumed.
        target: the portrait's range.
        settings: settings of the transfer; None for the defaults.
    """
    chosen = settings or TransferSettings()
    return replace(motion, frames=_Transfer(motion, target, chosen).frames())


class _Transfer:
    """The transfer of one motion to one portrait, with counts of what was limited."""

    def __init__(self, motion: Motion, target: PortraitRange, settings: TransferSettings) -> None:
        self._motion, self._target, self._settings = motion, target, settings
        self._fit = ExpressionFit(target.points, skin_directions()) if settings.is_clamped else None
        self._last: Floats | None = None
        self._frames = self._turned = self._cut = 0
        self._largest_deg = 0.0
        own, calm = target.own, motion.calm
        self._instead = np.einsum('k,kvd->vd', calm.amounts - own.amounts, skin_directions()).astype(np.float32)
        self._shown = np.einsum('k,kvd->vd', own.amounts, skin_directions())
        is_known = np.isfinite(calm.opening) & np.isfinite(own.opening) & (own.opening > 0)
        shares = np.divide(calm.opening, own.opening, out=np.ones(2), where=is_known)
        self._opening = np.clip(shares, *EYES_DIFFER)

    def frames(self) -> Iterator[MotionFrame]:
        for frame in self._motion:
            self._frames += 1
            yield self._moved(frame)
        notes = self._motion.notes
        if self._turned:
            notes.append(
                f'The head turns by up to {self._largest_deg:.0f} degrees; in {self._turned} of '
                f'{counted(self._frames, "frame", "frames")} it was limited to what the portrait can turn'
            )
        if self._cut:
            notes.append(
                f'In {self._cut} of {counted(self._frames, "frame", "frames")} the expression reached the end of the '
                "portrait's own range"
            )

    def _moved(self, frame: MotionFrame) -> MotionFrame:
        if frame.is_neutral and not self._settings.absolute:
            return frame
        settings, own, calm = self._settings, self._target.own, self._motion.calm
        offsets, gaze, opening, rotation = frame.offsets, frame.gaze, frame.opening, frame.rotation
        if settings.absolute:
            offsets = offsets + self._instead
            gaze = gaze + (calm.gaze - own.gaze).astype(np.float32)
            opening = opening * self._opening.astype(np.float32)
            rotation = rotation @ calm.rotation @ own.rotation.T
        offsets = offsets * np.float32(settings.intensity)
        if self._fit is not None and offsets.any():
            offsets = self._within_range(offsets)
        return MotionFrame(
            frame.time_s,
            offsets,
            np.minimum(scaled_opening(opening, settings.intensity), OPENING_LIMIT).astype(np.float32),
            np.clip(gaze, -GAZE_LIMIT, GAZE_LIMIT),
            self._limited_turn(rotation),
            np.clip(settings.head * frame.translation, -settings.shift_cm, settings.shift_cm),
            float(np.clip(frame.scale**settings.head, 1 / settings.size, settings.size)),
            frame.mouth,
        )

    def _within_range(self, offsets: Floats32) -> Floats32:
        """(468, 3) offsets limited to the range of each direction, then of each region."""
        assert self._fit is not None
        amounts = self._fit.amounts(offsets, -WIDEST, WIDEST, self._last)
        self._last = amounts
        is_cut = False
        if (amounts < self._target.lowest).any() or (amounts > self._target.highest).any():
            # directions overlap, so the nearest allowed movement is another mixture, not each direction clipped
            allowed = self._fit.amounts(offsets, self._target.lowest, self._target.highest, amounts)
            excess = np.einsum('k,kvd->vd', amounts - allowed, skin_directions()).astype(np.float32)
            offsets = offsets - excess
            is_cut = bool(np.linalg.norm(excess, axis=1).max() > SEEN_CM)
        # a region's points, including their own expression, move no farther than its directions
        weights, reach = _regions()
        distances = np.linalg.norm(offsets + self._shown, axis=1)
        largest = np.max(np.where(weights > 0.5, distances, 0), axis=1)  # (R,)
        share = np.minimum(1, reach / np.maximum(largest, 1e-9))
        if (share < 1).any():
            is_cut = True
            by_point = (weights * share[:, None]).sum(axis=0) / weights.sum(axis=0)
            offsets = offsets * by_point[:, None].astype(np.float32)
        self._cut += is_cut
        return np.asarray(offsets, dtype=np.float32)

    def _limited_turn(self, rotation: Floats) -> Floats:
        """(3, 3) the head's rotation within the limits, which depend on the portrait's own yaw."""
        settings = self._settings
        scaled_turn = turn(settings.head * rotation_vector(rotation)) if settings.head != 1 else rotation
        if np.array_equal(scaled_turn, np.eye(3)):
            return scaled_turn
        angles = _angles_deg(scaled_turn)
        own_yaw = float(_angles_deg(self._target.own.rotation)[0])
        turning_back_deg = settings.yaw_deg - FAR_CHEEK * abs(own_yaw)
        most_left = max(min(settings.yaw_deg if own_yaw > 0 else turning_back_deg, TOTAL_YAW_DEG - own_yaw), 1.0)
        most_right = max(min(settings.yaw_deg if own_yaw < 0 else turning_back_deg, TOTAL_YAW_DEG + own_yaw), 1.0)
        limits = (most_left if angles[0] > 0 else most_right, settings.pitch_deg, settings.roll_deg)
        yaw, pitch, roll = (soft_limit(angle, limit) for angle, limit in zip(angles.tolist(), limits, strict=True))
        if any(abs(angle) > limit for angle, limit in zip(angles, limits, strict=True)):
            self._turned += 1
            self._largest_deg = max(self._largest_deg, float(np.abs(angles).max()))
        if np.allclose((yaw, pitch, roll), angles, atol=1e-9):
            return scaled_turn
        return np.asarray(pose_matrix(yaw, pitch, roll)[:3, :3])


def soft_limit(value: float, limit: float) -> float:
    """A soft limit: unchanged up to KNEE of the limit, then approaching it.

    sign(v) (k + (m - k) tanh((|v| - k) / (m - k)))  with k = KNEE m, where |v| > k
    """
    knee = KNEE * limit
    if abs(value) <= knee:
        return value
    return math.copysign(knee + (limit - knee) * math.tanh((abs(value) - knee) / (limit - knee)), value)


def scaled_opening(opening: Floats32, intensity: float) -> Floats32:
    """(2,) openings of eyes under an intensity: widening and squinting are scaled, a blink stays a blink.

    1 + (o - 1) (b + (1 - b) intensity),  b = 0 from BLINK_FROM on up, 1 from BLINK_WHOLE on down
    """
    share = np.clip((BLINK_FROM - opening) / (BLINK_FROM - BLINK_WHOLE), 0, 1)
    blink = share**2 * (3 - 2 * share)
    return np.asarray(np.maximum(1 + (opening - 1) * (blink + (1 - blink) * intensity), 0), dtype=np.float32)


def _angles_deg(rotation: Floats) -> Floats:
    pose = np.eye(4)
    pose[:3, :3] = rotation
    return euler_angles_deg(pose)


@cache
def _regions() -> tuple[Floats, Floats]:
    """(R, 468) weight of each point in a region, 0 to 1, and (R,) largest movement of a region in centimetres."""
    weights, reach = [], []
    for stems in REGIONS.values():
        columns = [column for column, name in enumerate(face_model().directions) if name.startswith(stems)]
        largest = np.linalg.norm(skin_directions()[columns], axis=2).max(axis=0)  # (468,)
        weights.append(largest / largest.max() + 1e-6)
        reach.append(BEYOND * largest.max())
    return np.array(weights), np.array(reach)
