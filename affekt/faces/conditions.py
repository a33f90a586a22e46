"""Conditions that impair reading a face: it is upside down, partly covered, drawn or blurred.

They are computed from existing measurements: the head's roll, and the aligned grey face of 48 x 48 pixels that the
expression network reads. A covered face lacks texture at eyes, brows, lips and chin, on one side more than on the
other, or has a straight edge across the cheeks. `COVER` weights eleven such measures; the weights were fitted on images
with pasted covers and tested on others (`measurements/faces_conditions.py`). No images of real masks and hands were
available; a beard, plain glasses or hair do not count as covers. A drawn face has few shades in each of its quarters:
flat areas, or lines on a plain background. A painting with the shades of a photograph is not recognised as drawn:
classifiers fitted on photographs with one kind of filter failed on other kinds, so nothing is fitted here.

Axes: 48 x 48 pixels of a crop aligned to `FER_TEMPLATE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats32, moments
from affekt.faces.readings import READINGS, eyes_are_closed

CONDITIONS = ('is_upside_down', 'is_covered', 'is_drawn', 'is_blurred')
"""Columns of the table of faces, in order."""
UPSIDE_DOWN_DEG = 120.0
"""Roll in degrees above which a head is upside down."""
BLURRED_BELOW = 0.08
"""Faces less sharp than this are blurred: 99.4 % of the clear faces of FER2013's training part are above it, and none
that was blurred by a twelfth to a twenty-fifth of its width."""
DRAWN_ABOVE = 0.35
"""A face with a larger value of `few_shades` is drawn; one in two hundred faces of FER2013's training part has one."""
SHADE, LEAST_CONTRAST = 0.06, 12.0
"""Width of a shade in standard deviations of grey, and the minimum standard deviation, in grey levels of 255."""
LEAST_SIZE_PX = 32.0
"""Smaller faces are not tested for cover, blur and drawing; their size lowers the quality already."""
LESS_QUALITY: Mapping[str, float] = {
    'is_upside_down': 0.7, 'is_covered': 0.4, 'is_drawn': 0.5, 'are_eyes_closed': 0.8,
}  # fmt: skip
"""Condition to the factor of quality; blur already lowers quality by sharpness. A convention, not fitted."""
_NAMES = [reading.name for reading in READINGS]
_COLUMNS = [
    _NAMES.index(name)
    for name in ('roll_deg', 'sharpness', 'face_size_px', 'eyes_closed', 'eye_aspect_left', 'eye_aspect_right')
]

_BOXES: Mapping[str, tuple[int, int, int, int]] = {
    'eye_left': (10, 21, 15, 22), 'eye_right': (27, 38, 15, 22), 'brow_left': (10, 21, 11, 15),
    'brow_right': (27, 38, 11, 15), 'lip': (19, 29, 30, 34), 'mouth': (16, 32, 34, 40), 'chin': (17, 31, 41, 47),
}  # fmt: skip
"""Part of a face to the left, right, top and bottom of its box, in pixels of the crop."""

COVER: Mapping[str, float] = {
    '': -4.1605, 'eyes': -2.7834, 'eyes_gap': 0.118, 'brows_gap': 1.0604, 'lip': -0.0979, 'mouth': -2.7083,
    'chin': -0.2541, 'edge_across': 4.1123, 'flat_above': 2.8212, 'flat_below': -4.0429, 'flat_gap': 4.5991,
    'halves_gap': 3.2584,
}  # fmt: skip
"""Measure to its weight in the score of a covered face; '' is the constant."""


@dataclass(frozen=True)
class Conditions:
    """The conditions that impair reading one face, each True where it applies."""

    is_upside_down: bool = False
    is_covered: bool = False
    is_drawn: bool = False
    is_blurred: bool = False
    are_eyes_closed: bool = False
    """No column of its own: the table has the score `eyes_closed`."""

    @property
    def quality(self) -> float:
        """Factor of the face's quality, in (0, 1]: the product of `LESS_QUALITY` over its conditions."""
        return float(np.prod([factor for name, factor in LESS_QUALITY.items() if getattr(self, name)]))

    @property
    def columns(self) -> tuple[bool, ...]:
        """The values of CONDITIONS."""
        return self.is_upside_down, self.is_covered, self.is_drawn, self.is_blurred


def conditions(crop: npt.NDArray[np.uint8], values: Floats32) -> Conditions:
    """The conditions that impair reading a face.

    Args:
        crop: (48, 48) grey, from `align_face`.
        values: (len(READINGS),) the face's readings.
    """
    roll, sharpness, size, closed, left, right = values[_COLUMNS].tolist()
    is_large = size >= LEAST_SIZE_PX
    is_blurred = bool(is_large and sharpness < BLURRED_BELOW)
    is_clear = is_large and not is_blurred
    is_drawn = bool(is_clear and few_shades(crop) > DRAWN_ABOVE)
    is_covered = bool(is_clear and not is_drawn and cover_score(crop) > 0.0)
    are_eyes_closed = bool(eyes_are_closed(closed, (left + right) / 2))
    return Conditions(bool(abs(roll) > UPSIDE_DOWN_DEG), is_covered, is_drawn, is_blurred, are_eyes_closed)


def few_shades(crop: npt.NDArray[np.uint8]) -> float:
    """Share of the pixels of a quarter of the face that have its three commonest shades; the minimum over the quarters.

    Args:
        crop: (48, 48) grey, from `align_face`.
    """
    grey, deviation = _centred(crop)
    shades = np.floor(grey / max(deviation, LEAST_CONTRAST) / SHADE).astype(np.int64)
    shades -= shades.min()
    quarters = [shades[top : top + 20, left : left + 20].ravel() for top in (6, 26) for left in (4, 24)]
    return float(min(sum(sorted(np.bincount(quarter).tolist())[-3:]) / quarter.size for quarter in quarters))


def cover_score(crop: npt.NDArray[np.uint8]) -> float:
    """Score of a covered face; above 0 if it counts as covered.

    Args:
        crop: (48, 48) grey, from `align_face`.
    """
    values = cover_measures(crop)
    return COVER[''] + sum(COVER[name] * value for name, value in values.items())


def cover_measures(crop: npt.NDArray[np.uint8]) -> dict[str, float]:
    """The measures that distinguish a covered face, by name.

    Texture is the logarithm of the mean slope of grey in a part over that of the whole crop; grey is in standard
    deviations of the crop. A gap is the absolute difference between the left and the right part.

    Args:
        crop: (48, 48) grey, from `align_face`.
    """
    grey, deviation = _centred(crop)
    grey /= max(deviation, 4.0)
    down = np.zeros_like(grey)  # no slope at the lower edge, nor at the right one
    np.abs(grey[1:] - grey[:-1], out=down[:-1])
    slope = down.copy()
    slope[:, :-1] += np.abs(grey[:, 1:] - grey[:, :-1])
    whole_slope = _mean(slope) + _LITTLE
    texture = {name: float(np.log((_mean(_part(slope, box)) + _LITTLE) / whole_slope)) for name, box in _BOXES.items()}
    flat = slope < 0.03
    edges = down[:, 12:36].mean(axis=1)[22:33]
    left, right = _mean(slope[:, 4:22]) + _LITTLE, _mean(slope[:, 26:44]) + _LITTLE
    return {
        'eyes': (texture['eye_left'] + texture['eye_right']) / 2,
        'eyes_gap': abs(texture['eye_left'] - texture['eye_right']),
        'brows_gap': abs(texture['brow_left'] - texture['brow_right']),
        'lip': texture['lip'],
        'mouth': texture['mouth'],
        'chin': float(np.log(_root(moments(_part(grey, _BOXES['chin']))[1]) + 0.05)),
        'edge_across': float(np.log((edges.max() + 1e-3) / (edges.mean() + _LITTLE))),
        'flat_above': _share(flat[4:24]),
        'flat_below': _share(flat[26:46]),
        'flat_gap': abs(_share(flat[:, 4:22]) - _share(flat[:, 26:44])),
        'halves_gap': abs(float(np.log(left / right))),
    }


_LITTLE = 0.02
"""Slope added to each part, so that a part without any has a finite logarithm."""


def _centred(crop: npt.NDArray[np.uint8]) -> tuple[Floats32, float]:
    """The grey of a crop minus its mean, and its standard deviation."""
    grey = crop.astype(np.float32)
    mean, variance = moments(grey)
    grey -= mean
    return grey, float(_root(variance))


def _root(variance: float) -> np.float32:
    return np.float32(np.sqrt(np.float32(variance)))


def _part(values: Floats32, box: tuple[int, int, int, int]) -> Floats32:
    left, right, top, bottom = box
    return values[top:bottom, left:right]


def _mean(values: Floats32) -> float:
    """`values.mean()`, at a third of its cost for so few pixels."""
    return float(np.add.reduce(values, axis=None) / np.float32(values.size))


def _share(flags: Bools) -> float:
    return int(np.count_nonzero(flags)) / flags.size
