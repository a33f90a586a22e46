"""Readings of a face in named columns: movements, gaze, head, and quality.

`READINGS` lists the columns in order, each with name, unit, range, model, definition and source; `readings` computes
their values for one face. The 51 blendshapes come first under their official names, then measures on the landmarks,
then columns named after the facial action units (AU) of FACS. A column that cannot be measured is nan, never 0.

AU columns are *AU-like*: blendshape scores of a network, under the name of the action unit that moves the
same skin. They are not ratings of a certified FACS coder, and were not compared with any.

Source: Ekman, Friesen & Hager 2002, Facial Action Coding System; Apple, ARFaceAnchor.BlendShapeLocation (what
each blendshape moves); Ozel, ARKit to FACS cheat sheet, melindaozel.com/arkit-to-facs-cheat-sheet
(correspondence).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats32, moments
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.faces.headpose import euler_angles_deg
from affekt.faces.mesh import Face

BLENDSHAPE_MODEL = 'face_landmarker.task: blendshapes'
MESH_MODEL = 'face_landmarker.task: landmarks'
POSE_MODEL = 'face_landmarker.task: canonical face'
PIXELS = 'pixels'
GAZE_REACH_DEG = 30.0
"""Eye-in-head angle of a full gaze blendshape; a convention, not calibrated."""
GAZE_BIAS_DEG = 3.6
"""Bias of the network's yaw for eyes that look ahead: half the sum of the readings of an image and its mirror image,
which is 0 for a network that treats both sides alike (measurements/faces_gaze.py)."""
CLOSED_SCORE, CLOSED_ASPECT = 0.5, 0.15
"""Eyes are closed if the blendshape score reaches the first value and the distance of the lids is below the second, as
a share of the eye's width. Eyes that look down, or that a smile narrows, have scores as high, but lids further
apart. An eye whose own score reaches the first value has no gaze."""
QUALITY_SCALE = 0.1
"""Quality at which 63 % of an expression can be read: faces of 24 and 16 pixels, quality 0.3 and 0.2, keep 0.95 and
0.84 of the accuracy above chance that large ones have (the card's table of degradations)."""
_ARKIT = 'Apple, ARFaceAnchor.BlendShapeLocation'
_FACS = 'FACS 2002; correspondence by anatomy, compare Ozel, ARKit to FACS'


@dataclass(frozen=True)
class Reading:
    """One column: `low` and `high` bound its values; `action_unit` is the FACS number, if any."""

    name: str
    unit: str
    low: float
    high: float
    model: str
    definition: str
    source: str
    action_unit: int | None = None


_BOTH: Mapping[str, tuple[str, str, int | None]] = {
    'smile': ('mouthSmile', 'mouth corners pulled up', 12),
    'frown': ('mouthFrown', 'mouth corners pulled down', 15),
    'brow_raise_outer': ('browOuterUp', 'outer brows raised', 2),
    'brow_lower': ('browDown', 'brows lowered', 4),
    'eyes_wide': ('eyeWide', 'upper lids raised', 5),
    'eyes_closed': ('eyeBlink', 'lids closed', 43),
    'squint': ('eyeSquint', 'lids tightened', 7),
    'lip_press': ('mouthPress', 'lips pressed together', 24),
    'nose_wrinkle': ('noseSneer', 'nose wrinkled', 9),
}
_ONE: Mapping[str, tuple[str, str, int | None]] = {
    'brow_raise_inner': ('browInnerUp', 'inner brows raised', 1),
    'jaw_open': ('jawOpen', 'jaw dropped', 26),
}

ACTION_UNITS: Mapping[int, tuple[str, tuple[str, ...]]] = {
    1: ('inner brow raiser', ('browInnerUp',)),
    2: ('outer brow raiser', ('browOuterUpLeft', 'browOuterUpRight')),
    4: ('brow lowerer', ('browDownLeft', 'browDownRight')),
    5: ('upper lid raiser', ('eyeWideLeft', 'eyeWideRight')),
    6: ('cheek raiser', ('cheekSquintLeft', 'cheekSquintRight')),
    7: ('lid tightener', ('eyeSquintLeft', 'eyeSquintRight')),
    9: ('nose wrinkler', ('noseSneerLeft', 'noseSneerRight')),
    10: ('upper lip raiser', ('mouthUpperUpLeft', 'mouthUpperUpRight')),
    12: ('lip corner puller', ('mouthSmileLeft', 'mouthSmileRight')),
    14: ('dimpler', ('mouthDimpleLeft', 'mouthDimpleRight')),
    15: ('lip corner depressor', ('mouthFrownLeft', 'mouthFrownRight')),
    16: ('lower lip depressor', ('mouthLowerDownLeft', 'mouthLowerDownRight')),
    17: ('chin raiser', ('mouthShrugLower',)),
    18: ('lip pucker', ('mouthPucker',)),
    20: ('lip stretcher', ('mouthStretchLeft', 'mouthStretchRight')),
    22: ('lip funneler', ('mouthFunnel',)),
    24: ('lip pressor', ('mouthPressLeft', 'mouthPressRight')),
    26: ('jaw drop', ('jawOpen',)),
    28: ('lip suck', ('mouthRollLower', 'mouthRollUpper')),
    34: ('cheek puff', ('cheekPuff',)),
    43: ('eye closure', ('eyeBlinkLeft', 'eyeBlinkRight')),
}
"""Action unit to its FACS name and the blendshapes whose mean replaces it. The network hardly ever reports cheeks,
so AU06 stays near 0 even where AU07 is high. AU23 and AU45 have no blendshape of their own: lip tightening
appears as AU24, a blink as a short AU43."""


_GAZE = 'eye in head, mean of the gaze blendshapes of the open eyes times 30, not calibrated; nan if both are closed'
_LEVEL = 'corrected for the bias of the network to one side'
_EAR = 'lid distance over eye width, mean of two lid pairs; open about 0.3, closed below 0.15'
_EAR_SOURCE = 'Soukupová & Čech 2016, Real-time eye blink detection using facial landmarks, equation 1'
_IRIS = "iris centre between the eye corners: -1 at the corner on the person's right, 1 at the one on the left"
_CAMERA = 'MediaPipe face geometry; assumed vertical field of view 63 degrees'
_SHARP = 'variance of the Laplacian over the variance of the aligned 48-pixel face; blurred below about 0.15'
_BLUR = 'Pech-Pacheco et al. 2000, doi:10.1109/ICPR.2000.903548; division by the variance added'
_HERE = 'affekt'
_QUALITY = (
    'product of presence, size (full from 80 pixels), frontal view (cosines of yaw and pitch), light (full from 0.08 '
    'to 0.92) and sharpness (full from 0.15); a convention, not fitted'
)
_MEASURES = (
    Reading('eye_aspect_left', 'ratio', 0, 1, MESH_MODEL, _EAR, _EAR_SOURCE),
    Reading('eye_aspect_right', 'ratio', 0, 1, MESH_MODEL, _EAR, _EAR_SOURCE),
    Reading('iris_left', 'ratio', -1.5, 1.5, MESH_MODEL, _IRIS, _HERE),
    Reading('iris_right', 'ratio', -1.5, 1.5, MESH_MODEL, _IRIS, _HERE),
    Reading(
        'gaze_yaw_deg', 'degree', -30, 30, BLENDSHAPE_MODEL, f"> 0 to the person's left; {_GAZE}; {_LEVEL}", _ARKIT
    ),
    Reading('gaze_pitch_deg', 'degree', -30, 30, BLENDSHAPE_MODEL, f'> 0 upward; {_GAZE}', _ARKIT),
    Reading('mouth_opening', 'ratio', 0, 3, MESH_MODEL, 'inner lip distance over inner mouth width', _HERE),
    Reading('mouth_width', 'ratio', 0, 3, MESH_MODEL, 'mouth width over the distance of the eye centres', _HERE),
    Reading('smile_asymmetry', 'score', -1, 1, BLENDSHAPE_MODEL, 'mouthSmileLeft - mouthSmileRight', _ARKIT),
    Reading('yaw_deg', 'degree', -180, 180, POSE_MODEL, "turn, > 0 to the person's left", _CAMERA),
    Reading('pitch_deg', 'degree', -90, 90, POSE_MODEL, 'nod, > 0 with the chin lifted', _CAMERA),
    Reading('roll_deg', 'degree', -180, 180, POSE_MODEL, 'tilt, > 0 anticlockwise in the image', _CAMERA),
    Reading('head_x_cm', 'cm', -10000, 10000, POSE_MODEL, 'position, > 0 to the right of the image', _CAMERA),
    Reading('head_y_cm', 'cm', -10000, 10000, POSE_MODEL, 'position, > 0 upward', _CAMERA),
    Reading('head_distance_cm', 'cm', 0, 20000, POSE_MODEL, "distance along the camera's axis", _CAMERA),
    Reading('face_size_px', 'pixel', 1, 100000, MESH_MODEL, 'geometric mean of the sides of the box', _HERE),
    Reading('sharpness', 'ratio', 0, 20, PIXELS, _SHARP, _BLUR),
    Reading('brightness', 'share', 0, 1, PIXELS, 'mean grey of the aligned face', 'ITU-R BT.601'),
    Reading('contrast', 'share', 0, 0.5, PIXELS, 'standard deviation of grey of the aligned face', 'ITU-R BT.601'),
    Reading('presence', 'score', 0, 1, MESH_MODEL, 'confidence that this is a face', 'arXiv:1907.06724'),
    Reading('quality', 'share', 0, 1, 'rule', _QUALITY, _HERE),
)


def _columns() -> tuple[Reading, ...]:
    columns = [Reading(name, 'score', 0, 1, BLENDSHAPE_MODEL, f'blendshape {name}', _ARKIT) for name in BLENDSHAPES[1:]]
    for name, (stem, movement, unit) in _BOTH.items():
        definition = f'{movement}: mean of {stem}Left and {stem}Right'
        columns.append(Reading(name, 'score', 0, 1, BLENDSHAPE_MODEL, definition, _ARKIT, unit))
    for name, (shape, movement, unit) in _ONE.items():
        columns.append(Reading(name, 'score', 0, 1, BLENDSHAPE_MODEL, f'{movement}: {shape}', _ARKIT, unit))
    columns += _MEASURES
    for unit, (title, shapes) in ACTION_UNITS.items():
        definition = f'AU-like {title}: mean of {", ".join(shapes)}'
        columns.append(Reading(f'AU{unit:02d}', 'score', 0, 1, BLENDSHAPE_MODEL, definition, _FACS, unit))
    return tuple(columns)


READINGS = _columns()
"""The columns of `readings`, in order."""

_INDEX = {name: index for index, name in enumerate(BLENDSHAPES)}


def _mixing() -> Floats32:
    """(columns from blendshapes, 52) weights by which each column averages scores."""
    rows = [(name,) for name in BLENDSHAPES[1:]]
    both = [(f'{stem}Left', f'{stem}Right') for stem, _, _ in _BOTH.values()]
    single = [(shape,) for shape, _, _ in _ONE.values()]
    units = [shapes for _, shapes in ACTION_UNITS.values()]
    parts = [*rows, *both, *single, *units]
    weights = np.zeros((len(parts), len(BLENDSHAPES)), dtype=np.float32)
    for row, shapes in enumerate(parts):
        weights[row, [_INDEX[shape] for shape in shapes]] = 1 / len(shapes)
    return weights


_MIXING = _mixing()
_MOVEMENTS = len(BLENDSHAPES) - 1 + len(_BOTH) + len(_ONE)
_RIGHT_LIDS = (33, 160, 158, 133, 153, 144)
_LEFT_LIDS = (362, 385, 387, 263, 373, 380)
"""Corner, two upper points, corner, two lower points."""
_MOUTH = ((13, 14), (78, 308), (61, 291))
"""Inner lips, inner mouth corners, mouth corners."""
_LENGTHS = np.array(
    [pair for a, b, c, d, e, f in (_RIGHT_LIDS, _LEFT_LIDS) for pair in ((a, d), (b, f), (c, e))] + list(_MOUTH)
).T
"""(2, 9) end points of measured lengths: of each eye its width and two heights, then of the mouth."""
_IRISES = np.array([(473, 362, 263), (468, 33, 133)]).T
"""(3, 2) iris, right and left eye corner of the left and the right eye."""


def readings(face: Face, crop: npt.NDArray[np.uint8] | None = None) -> Floats32:
    """The values of all READINGS for one face.

    Args:
        face: a face, or an observation of one.
        crop: (48, 48) grey, the face aligned by `align_face`; without it the columns on pixels are nan, and quality
            leaves light and sharpness out.

    Returns:
        (len(READINGS),) float32, each value within its column's range or nan.
    """
    mixed = _MIXING @ face.blendshapes
    points = face.landmarks
    yaw, pitch, roll = (float(angle) for angle in euler_angles_deg(face.pose))
    x, y, z = (float(value) for value in face.pose[:3, 3])
    right_eye, left_eye, (lips, inner_mouth, mouth) = _lengths(points)
    left_aspect, right_aspect = _eye_aspect(*left_eye), _eye_aspect(*right_eye)
    look_x, look_y = _gaze_deg(face.blendshapes, (left_aspect + right_aspect) / 2)
    width = right_eye[0] / 2 + left_eye[0] / 2
    right_middle, left_middle = (points[[33, 362], :2] + points[[133, 263], :2]) / 2
    eyes = float(np.linalg.norm(right_middle - left_middle))
    iris_left, iris_right = _irises(points)
    size = float(np.sqrt(max(float(face.box[2] * face.box[3]), 1.0)))
    sharpness, brightness, contrast = (float('nan'),) * 3 if crop is None else _pixels(crop)
    measured = [
        left_aspect,
        right_aspect,
        iris_left,
        iris_right,
        look_x,
        look_y,
        min(lips / max(inner_mouth, 1e-6), 3.0),
        min(mouth / max(eyes, width / 10, 1e-6), 3.0),
        float(face.blendshapes[_INDEX['mouthSmileLeft']] - face.blendshapes[_INDEX['mouthSmileRight']]),
        yaw,
        pitch,
        roll,
        _within(x, -1e4, 1e4),
        _within(y, -1e4, 1e4),
        _within(-z, 0.0, 2e4),
        min(size, 1e5),
        sharpness,
        brightness,
        contrast,
        face.presence,
        _quality(face.presence, size, yaw, pitch, brightness, sharpness),
    ]
    values = np.concatenate([mixed[:_MOVEMENTS], np.array(measured, dtype=np.float32), mixed[_MOVEMENTS:]])
    return values.astype(np.float32)


def readable_share(quality: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Readable share of an expression at a given quality: 1 - exp(-quality / 0.1), in [0, 1).

    The best weight of the network's probabilities, by log loss on the validation faces of FER2013, is close to this
    share; quality itself as a weight leaves half of the faces without a category (`measurements/faces_quality.py`).

    Args:
        quality: the reading of this name, any shape; nan counts as 1.
    """
    qualities = np.nan_to_num(np.asarray(quality, dtype=np.float64), nan=1.0)
    return np.asarray(-np.expm1(-np.clip(qualities, 0.0, 1.0) / QUALITY_SCALE))


def _lengths(points: Floats32) -> tuple[list[float], list[float], list[float]]:
    """Width and two heights of the right eye, those of the left eye, and the lengths of _MOUTH, in the image plane."""
    starts, ends = _LENGTHS
    across = points[starts, :2] - points[ends, :2]  # (9, 2)
    lengths: list[float] = np.sqrt(across[:, 0] ** 2 + across[:, 1] ** 2).tolist()
    return lengths[:3], lengths[3:6], lengths[6:]


def _eye_aspect(width: float, outer_height: float, inner_height: float) -> float:
    return min((outer_height + inner_height) / max(2 * width, 1e-6), 1.0)


def _irises(points: Floats32) -> list[float]:
    """Positions of the left and the right iris between the corners of its eye: -1 at the right one, 1 at the left."""
    iris, right, left = (points[index, :2] for index in _IRISES)  # (2, 2) each
    axis, offset = left - right, iris - right
    along = (offset[:, 0] * axis[:, 0] + offset[:, 1] * axis[:, 1]).tolist()
    squared = (axis[:, 0] ** 2 + axis[:, 1] ** 2).tolist()
    return [
        _within(2 * (projection / max(squared_length, 1e-9)) - 1, -1.5, 1.5)
        for projection, squared_length in zip(along, squared, strict=True)
    ]


def _within(value: float, low: float, high: float) -> float:
    """The value limited to a range; nan stays nan."""
    return low if value < low else high if value > high else value


def eyes_are_closed(score: npt.ArrayLike, aspect: npt.ArrayLike) -> Bools:
    """Whether eyes are closed, of one face or many.

    Args:
        score: (...) the reading `eyes_closed`.
        aspect: (...) mean of the readings `eye_aspect_left` and `eye_aspect_right`.
    """
    return np.asarray((np.asarray(score) >= CLOSED_SCORE) & (np.asarray(aspect) < CLOSED_ASPECT))


def _gaze_deg(scores: Floats32, aspect: float) -> tuple[float, float]:
    """Eye-in-head yaw and pitch in degrees, from the gaze blendshapes of the open eyes; nan if none is open."""
    lids = {side: float(scores[_INDEX[f'eyeBlink{side}']]) for side in ('Left', 'Right')}
    sides = [side for side, score in lids.items() if score < CLOSED_SCORE]
    if not sides or eyes_are_closed(sum(lids.values()) / 2, aspect):
        return float('nan'), float('nan')

    def score(direction: str, side: str) -> float:
        return float(scores[_INDEX[f'eyeLook{direction}{side}']])

    sign = {'Left': 1, 'Right': -1}  # an eye that looks out looks to its own side
    yaw = sum(sign[side] * (score('Out', side) - score('In', side)) for side in sides) / len(sides)
    pitch = sum(score('Up', side) - score('Down', side) for side in sides) / len(sides)
    return level_yaw_deg(GAZE_REACH_DEG * yaw), GAZE_REACH_DEG * pitch


def level_yaw_deg(yaw_deg: float, bias_deg: float = GAZE_BIAS_DEG) -> float:
    """The eyes' yaw corrected for the network's bias; the correction fades towards the ends of the range."""
    return yaw_deg - bias_deg * (1 - abs(yaw_deg) / GAZE_REACH_DEG)


def _pixels(crop: npt.NDArray[np.uint8]) -> tuple[float, float, float]:
    """Sharpness, brightness and contrast of an aligned grey face."""
    grey = crop.astype(np.float32)
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    mean, variance = moments(grey)
    sharpness = min(moments(edges)[1] / variance, 20.0) if variance > 1e-6 else 0.0
    return sharpness, mean / 255, min(variance**0.5 / 255, 0.5)


def _quality(presence: float, size: float, yaw: float, pitch: float, brightness: float, sharpness: float) -> float:
    frontal = max(float(np.cos(np.radians(yaw))), 0.0) * max(float(np.cos(np.radians(pitch))), 0.0)
    quality = presence * min(size / 80, 1.0) * (frontal if np.isfinite(frontal) else 0.0)
    if np.isfinite(brightness):
        quality *= min(1.0, brightness / 0.08, (1 - brightness) / 0.08) * min(1.0, sharpness / 0.15)
    return float(min(max(quality, 0.0), 1.0))
