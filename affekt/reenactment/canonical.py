"""A face in an image in canonical coordinates: its shape in centimetres, and rotation and position of the head.

The camera is assumed to be far away (weak perspective), so pixels become centimetres by one rotation, one
scale and one shift: those that map 33 points that hardly move in expressions onto the mean face, or onto the same
face at rest. Image axes here are x right, y up, z to the viewer, all in pixels.

Source of the points and their weights: MediaPipe's geometry_pipeline_metadata (Apache-2.0), as in `affekt.faces`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError
from affekt.faces import CanonicalFace, similarity
from affekt.reenactment.motion import HEAD_CENTER_CM

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EyePoints:
    """Landmarks of an eye."""

    outer: int
    inner: int
    lower: tuple[int, ...]
    """Landmarks of the lower lid, from the outer corner to the inner one."""
    upper: tuple[int, ...]
    """Landmarks of the upper lid, each above its partner in `lower`."""
    iris: tuple[int, ...]
    """Landmarks of the iris: its middle, then four on the rim."""

    @property
    def ring(self) -> tuple[int, ...]:
        """Landmarks all around the opening."""
        return (self.outer, *self.lower, self.inner, *reversed(self.upper))


EYES = (
    EyePoints(
        263, 362, (249, 390, 373, 374, 380, 381, 382), (466, 388, 387, 386, 385, 384, 398), (473, 474, 475, 476, 477)
    ),
    EyePoints(
        33, 133, (7, 163, 144, 145, 153, 154, 155), (246, 161, 160, 159, 158, 157, 173), (468, 469, 470, 471, 472)
    ),
)  # fmt: skip
"""The left eye, then the right one."""
EYE_CORNERS = ((263, 362), (33, 133))
"""Outer and inner corner of the left and of the right eye."""
IRIS_CENTERS = (473, 468)
LID_PAIRS = (((386, 374), (385, 380), (387, 373)), ((159, 145), (158, 153), (160, 144)))
"""Upper and lower lid of the left and of the right eye, the middle first."""
IRIS_SIZES = np.arange(0.85, 1.65, 0.05)
"""Radii of circles in which an iris is sought, over that of its landmarks."""
IRIS_SHIFTS = np.linspace(-0.3, 0.3, 7)
"""Their horizontal distance from the iris of the landmarks, over the same radius."""
ARCS = np.radians(np.add.outer([0.0, 180.0], np.linspace(-30, 30, 13)))
"""Angles on both sides of an iris at which its edge is sought: above and below, lids hide it."""
LEAST_VISIBLE = 4
"""Least number of angles on each side at which the edge is between the lids."""
EDGE_WIDE = 0.12
"""Distance of the two circles whose brightness is compared from the edge between them, over its radius."""
LEAST_EDGE, EDGE_SHARE = 20.0, 0.5
"""Least difference in brightness across the edge of an iris, in levels, and over that of the clearest circle, which may
be the pupil."""
LARGE = 1.3
"""Size from which an iris counts as larger than its landmarks, whose size is that of a human one."""
LEAST_RADIUS_PX = 8.0
"""Least radius of an iris whose size is measured."""


@dataclass(frozen=True, eq=False)
class LaidFace:
    """One face of one image in canonical coordinates.

    Attributes:
        points: (478, 3) centimetres: identity and expression, without head pose and size.
        rotation: (3, 3) of the head, in image axes; the identity matrix looks straight ahead.
        pixels_per_cm: size of the head in the image.
        center: (3,) position of the head centre, HEAD_CENTER_CM, in the image; y up, pixels.
    """

    points: Floats
    rotation: Floats
    pixels_per_cm: float
    center: Floats

    def in_picture(self, points: npt.ArrayLike) -> Floats:
        """(..., 3) pixels of canonical points: x, y down, and depth away from the viewer, as for landmarks."""
        turned = (np.asarray(points, dtype=np.float64) - HEAD_CENTER_CM) @ self.rotation.T * self.pixels_per_cm
        return np.asarray((turned + self.center) * [1.0, -1.0, -1.0])

    @property
    def eye_widths(self) -> Floats:
        """(2,) distance of the corners of the left and the right eye, centimetres."""
        return np.array([np.linalg.norm(self.points[a] - self.points[b]) for a, b in EYE_CORNERS])

    @property
    def eye_openings(self) -> Floats:
        """(2,) distance of the lids over the width of the left and the right eye, mean of three pairs of lid points.

        Source: Soukupová & Čech 2016, Real-time eye blink detection using facial landmarks, equation 1.
        """
        gaps = [np.mean([np.linalg.norm(self.points[a] - self.points[b]) for a, b in pairs]) for pairs in LID_PAIRS]
        return np.asarray(np.array(gaps) / self.eye_widths)

    @property
    def gaze(self) -> Floats:
        """(2, 2) offset of the left and the right iris from the middle of its eye's corners, in eye widths; x right, y
        down."""
        middles = [(self.points[a] + self.points[b]) / 2 for a, b in EYE_CORNERS]
        offsets = self.points[list(IRIS_CENTERS), :2] - np.array(middles)[:, :2]
        return np.asarray(offsets / self.eye_widths[:, None] * [1.0, -1.0])


def laid_face(landmarks: npt.ArrayLike, canonical: CanonicalFace, own: Floats | None = None) -> LaidFace:
    """A face in canonical coordinates from its landmarks.

    Args:
        landmarks: (478, 3) x, y down and depth in pixels, as `affekt.faces` reads them.
        canonical: the mean face, and the points that determine head pose.
        own: (478, 3) the same person's points at rest, from this function; pose is fitted to them, which
            separates pose from identity better. None fits to the mean face.

    Raises:
        ShapeError: not (478, 3).
        ValueRangeError: the landmarks are not finite, or all one point.
    """
    points_px = np.asarray(landmarks, dtype=np.float64)
    if points_px.shape != (478, 3):
        raise ShapeError(expected='landmarks (478, 3)', came=f'{points_px.shape}', todo='give those of one face')
    points_px = points_px * [1.0, -1.0, -1.0]
    target = (canonical.vertices if own is None else own)[canonical.basis]
    to_canonical = similarity(points_px[canonical.basis], target, canonical.weights)
    if not np.isfinite(to_canonical).all():
        raise ValueRangeError(
            expected='landmarks of a face', came='points that are not finite, or all one', todo='leave the frame out'
        )
    cm_per_pixel = float(np.linalg.norm(to_canonical[:3, 0]))
    rotation = (to_canonical[:3, :3] / cm_per_pixel).T
    center = rotation @ (np.array(HEAD_CENTER_CM) - to_canonical[:3, 3]) / cm_per_pixel
    return LaidFace(
        points_px @ to_canonical[:3, :3].T + to_canonical[:3, 3], rotation, 1 / cm_per_pixel, center
    )  # fmt: skip


def has_large_irises(image: Image, landmarks: npt.ArrayLike) -> bool:
    """Whether the irises in an image are larger than those of its landmarks, which are of human size.

    Args:
        image: (H, W, 3) RGB.
        landmarks: (478, 3) pixels.
    """
    points_px = np.asarray(landmarks, dtype=np.float64)
    return any(_has_large_iris(image, points_px, eye) for eye in EYES)  # one may be hidden by its lids


def _has_large_iris(image: Image, points_px: Floats, eye: EyePoints) -> bool:
    """Whether a circle of at least LARGE has a clear edge on both sides, and is darker within than beyond.

    Source: the search for an edge is that of Daugman 1993, doi:10.1109/34.244676, equation 1.
    """
    middle = points_px[eye.iris[0], :2]
    radius = float(np.linalg.norm(points_px[list(eye.iris[1:]), :2] - middle, axis=1).mean())
    if radius < LEAST_RADIUS_PX:
        return False
    shifts, sizes = (grid.ravel() for grid in np.meshgrid(IRIS_SHIFTS, IRIS_SIZES))
    middles = middle + radius * np.column_stack([shifts, np.zeros_like(shifts)])
    beyond, within = (
        _brightness(image, middles, radius * sizes * share, points_px, eye) for share in (1 + EDGE_WIDE, 1 - EDGE_WIDE)
    )
    rises, is_visible = beyond - within, np.isfinite(beyond - within)  # (K, 2, A)
    counts = is_visible.sum(axis=2)
    arcs = np.where(
        counts >= LEAST_VISIBLE, np.where(is_visible, rises, 0).sum(axis=2) / np.maximum(counts, 1), -np.inf
    )
    edges = arcs.min(axis=1)
    clear = edges >= max(LEAST_EDGE, EDGE_SHARE * float(edges.max()))
    return bool((clear & (sizes >= LARGE)).any())


def _brightness(image: Image, middles: Floats, radii: Floats, points_px: Floats, eye: EyePoints) -> Floats:
    """(K, 2, A) brightness of an eye at ARCS on circles, (K, 2) and (K,); nan beyond its lids and corners."""
    x = middles[:, 0, None, None] + radii[:, None, None] * np.cos(ARCS)
    y = middles[:, 1, None, None] + radii[:, None, None] * np.sin(ARCS)
    corners = [eye.outer, eye.inner]
    lids = [points_px[[eye.outer, *lid, eye.inner], :2] for lid in (eye.upper, eye.lower)]
    above, below = (np.interp(x, *lid[np.argsort(lid[:, 0])].T) for lid in lids)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    is_visible = (y > above) & (y < below) & (x > points_px[corners, 0].min()) & (x < points_px[corners, 0].max())
    is_visible &= (column >= 0) & (column < image.shape[1]) & (row >= 0) & (row < image.shape[0])
    grey = image[np.where(is_visible, row, 0), np.where(is_visible, column, 0)].mean(axis=-1)
    return np.where(is_visible, grey, np.nan)
