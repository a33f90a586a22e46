"""The motion of a portrait: one frame, the image of an open mouth, and the stream of frames.

A frame is the difference of a face from its own calm state, without head pose, so that it can be applied to any
other face. The canonical frame is that of `affekt.face3d`: centimetres of the mean face, x to the right of
the image (the person's left), y up, z to the viewer. Left and right are the person's own sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.errors import ShapeError, ValueRangeError
from affekt.face3d import turn

POINTS = 468
DIRECTIONS = 51
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
"""The 20 landmarks around the opening of the mouth, from the person's right corner over the upper lip and back."""
HEAD_CENTER_CM = (0.0, 0.0, -4.0)
"""The rotation centre of the head, in the canonical frame; `translation` moves this point."""
ROTATION_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class MouthPicture:
    """The inside of the driver's mouth in a frame of the video.

    Args:
        image: (H, W, 3) uint8 RGB, the part of the frame around the mouth.
        inner_lips: (20, 2) the landmarks INNER_LIPS in pixels of `image`; x, then y down.
        cheek: (3,) mean RGB of both cheeks in the whole frame, for matching colours; 0 to 255.

    Raises:
        ShapeError: other shapes or types.
    """

    image: npt.NDArray[np.uint8]
    inner_lips: Floats32
    cheek: Floats32

    def __post_init__(self) -> None:
        image = self.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ShapeError(
                expected='an image (H, W, 3) of uint8', came=f'{image.dtype} {image.shape}', todo='cut it from a frame'
            )
        _keep(self, 'inner_lips', (len(INNER_LIPS), 2))
        _keep(self, 'cheek', (3,))

    def __repr__(self) -> str:
        return f'MouthPicture({self.image.shape[1]} x {self.image.shape[0]})'


@dataclass(frozen=True, eq=False)
class MotionFrame:
    """The difference of a face from its calm state at one moment. `MotionFrame(time_s)` is the calm state.

    Args:
        time_s: seconds; for a video, those of its recording, so that its audio stays in sync.
        offsets: (468, 3) displacement of each landmark from the calm face, without head pose and size, in
            centimetres of the canonical frame.
        opening: (2,) opening of the left and the right eye as a share of the calm one, >= 0; 1 is calm, 0 closed.
        gaze: (2, 2) displacement of the left and the right iris from its calm position between the corners of the
            eye, without head pose; x to the right of the image and y down, in eye widths.
        rotation: (3, 3) of the head, in image axes (x right, y up, z to the viewer): rotation now = `rotation` @ the
            calm head's rotation.
        translation: (2,) displacement of HEAD_CENTER_CM in the image, x right and y up, in centimetres at
            the calm size.
        scale: size of the head in the image relative to the calm one, > 0; above 1 it is nearer.
        mouth: image of the inside of the mouth; None if it is closed, or the motion has no video.

    Raises:
        ShapeError: other shapes.
        ValueRangeError: a number is not finite, an opening is below 0, a scale not above 0, or `rotation` is not a
            rotation.
    """

    time_s: float
    offsets: Floats32 = field(default_factory=lambda: np.zeros((POINTS, 3), np.float32))
    opening: Floats32 = field(default_factory=lambda: np.ones(2, np.float32))
    gaze: Floats32 = field(default_factory=lambda: np.zeros((2, 2), np.float32))
    rotation: Floats = field(default_factory=lambda: np.eye(3))
    translation: Floats = field(default_factory=lambda: np.zeros(2))
    scale: float = 1.0
    mouth: MouthPicture | None = None

    def __post_init__(self) -> None:
        _keep(self, 'offsets', (POINTS, 3))
        _keep(self, 'opening', (2,))
        _keep(self, 'gaze', (2, 2))
        _keep(self, 'rotation', (3, 3), np.float64)
        _keep(self, 'translation', (2,), np.float64)
        if not (np.isfinite(self.time_s) and np.isfinite(self.scale) and self.scale > 0):
            raise ValueRangeError(
                expected='a finite time and a scale above 0', came=f'{self.time_s:g} s, scale {self.scale:g}',
                todo='leave out frames without a face',
            )  # fmt: skip
        if (self.opening < 0).any():
            raise ValueRangeError(
                expected='openings of 0 or more', came=f'{self.opening.tolist()}', todo='give 0 for a closed eye'
            )
        require_rotation(self.rotation)

    @property
    def is_neutral(self) -> bool:
        """True if nothing moves: a portrait moved by this frame is unchanged."""
        return bool(
            not self.offsets.any()
            and (self.opening == 1).all()
            and not self.gaze.any()
            and np.array_equal(self.rotation, np.eye(3))
            and not self.translation.any()
            and self.scale == 1
        )

    def __repr__(self) -> str:
        most_mm = 10 * float(np.linalg.norm(self.offsets, axis=1).max())
        return f'MotionFrame({self.time_s:.3f} s, at most {most_mm:.1f} mm)'


@dataclass(frozen=True, eq=False)
class FaceState:
    """Expression and pose of a still face, to compare two faces' calm states. `FaceState()` shows nothing.

    Args:
        amounts: (51,) how far it shows each named direction, in the order of `affekt.face3d.face_model().directions`.
        rotation: (3, 3) of the head, in image axes; the identity matrix looks straight ahead.
        opening: (2,) height over width of the left and the right eye; nan where unknown.
        gaze: (2, 2) position of the left and the right iris relative to the middle of the eye's corners, in widths of
            the eye; x right, y down.
    """

    amounts: Floats = field(default_factory=lambda: np.zeros(DIRECTIONS))
    rotation: Floats = field(default_factory=lambda: np.eye(3))
    opening: Floats = field(default_factory=lambda: np.full(2, np.nan))
    gaze: Floats = field(default_factory=lambda: np.zeros((2, 2)))

    def __post_init__(self) -> None:
        _keep(self, 'amounts', (DIRECTIONS,), np.float64)
        _keep(self, 'rotation', (3, 3), np.float64)
        _keep(self, 'opening', (2,), np.float64, may_be_unknown=True)
        _keep(self, 'gaze', (2, 2), np.float64)
        require_rotation(self.rotation)

    def __repr__(self) -> str:
        return f'FaceState({int((self.amounts > 0).sum())} of {DIRECTIONS} directions shown)'


@dataclass(frozen=True, eq=False)
class Motion:
    """A stream of frames, sorted by time, that can be iterated once and is not stored.

    Args:
        frames: frames sorted by time; their times may be uneven, as in a phone's video.
        rate_hz: frames per second, on average if they are uneven; > 0.
        count: number of frames, if known beforehand; for a video, as declared.
        sound: a file whose audio belongs to the motion, on the clock of the frames; None for none.
        calm: the calm state of the face that moves.
        calm_at_s: time of the calm face in the recording, in seconds; None without a video.
        notes: sentences for the user about what was interpolated, limited or left out; complete when the last frame
            has been read.

    Raises:
        ValueRangeError: the rate is not above 0, or the count below 0.
    """

    frames: Iterable[MotionFrame]
    rate_hz: float
    count: int | None = None
    sound: Path | None = None
    calm: FaceState = field(default_factory=FaceState)
    notes: list[str] = field(default_factory=list)
    calm_at_s: float | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0) or (self.count is not None and self.count < 0):
            raise ValueRangeError(
                expected='frames per second above 0 and a count of 0 or more',
                came=f'{self.rate_hz:g} per second, {self.count} frames', todo='correct them',
            )  # fmt: skip

    def __iter__(self) -> Iterator[MotionFrame]:
        return iter(self.frames)

    def __repr__(self) -> str:
        return f'Motion({"?" if self.count is None else self.count} frames at {self.rate_hz:g} per second)'


def require_rotation(matrix: Floats) -> None:
    """Raise ValueRangeError if a (3, 3) matrix is not a proper rotation."""
    is_orthogonal = np.abs(matrix @ matrix.T - np.eye(3)).max() <= ROTATION_TOLERANCE
    if not (is_orthogonal and np.linalg.det(matrix) > 0):
        raise ValueRangeError(
            expected='a rotation (3, 3)', came=f'{np.round(matrix, 3).tolist()}', todo='divide the scale out first'
        )


def blended(first: MotionFrame, second: MotionFrame, share: float, time_s: float) -> MotionFrame:
    """A frame between two others, without an image of the mouth: share 0 gives the first, 1 the second.

    Rotation is interpolated about one axis, size geometrically, everything else linearly.
    """
    difference = rotation_vector(second.rotation @ first.rotation.T)
    return MotionFrame(
        time_s,
        first.offsets + np.float32(share) * (second.offsets - first.offsets),
        np.maximum(first.opening + np.float32(share) * (second.opening - first.opening), 0),
        first.gaze + np.float32(share) * (second.gaze - first.gaze),
        turn(share * difference) @ first.rotation,
        first.translation + share * (second.translation - first.translation),
        float(first.scale * (second.scale / first.scale) ** share),
    )


def rotation_vector(rotation: Floats) -> Floats:
    """(3,) axis of a rotation times its angle in radians, below pi."""
    sine_axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0],
                          rotation[1, 0] - rotation[0, 1]]) / 2  # fmt: skip
    sine, cosine = float(np.linalg.norm(sine_axis)), (float(np.trace(rotation)) - 1) / 2
    if sine < 1e-9:
        return sine_axis
    return np.asarray(sine_axis * (np.arctan2(sine, cosine) / sine))


def _keep(
    record: object, name: str, shape: tuple[int, ...], dtype: type = np.float32, may_be_unknown: bool = False
) -> None:
    """Store a field as an array of a dtype, checked for shape and for finite values."""
    values: npt.NDArray[np.floating] = np.asarray(getattr(record, name), dtype=dtype)
    if values.shape != shape:
        raise ShapeError(expected=f'{name} of shape {shape}', came=f'{values.shape}', todo='give those of one face')
    if not (np.isfinite(values) | (may_be_unknown & np.isnan(values))).all():
        raise ValueRangeError(expected=f'finite {name}', came='nan or inf', todo='leave out frames without a face')
    object.__setattr__(record, name, values)
