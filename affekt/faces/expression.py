"""From a face to seven categories of expression, and to valence and arousal derived from them.

The input is aligned grey face crops of 48 x 48 pixels and, where they could be read, the 52 blendshapes; the output is
calibrated probabilities in EKMAN order. Two models share one interface: `ExpressionModel`, a small network trained on
FER2013, whose images have no clear licence (card: affekt/models/face_expression.md), and `PrototypeExpression`,
published prototypes over blendshapes, for commercial use. `expression_model(license_)` chooses. They read the look of
a face, not what the person feels.

Axes: N faces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.faces.align import FACE_SIDE
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.faces.prototypes import checked_blendshapes, prototype_probabilities
from affekt.faces.readings import readable_share
from affekt.labels import EKMAN, affect_sd, expected_affect

MODEL_FILE = Path(__file__).parents[1] / 'models' / 'face_expression.onnx'

NEUTRAL_LEAN = 0.54
"""Factor of the correction in `affect` that brings the median valence of the validation faces labelled neutral to 0;
without it 78 % of them are negative (measurements/faces_affect.py)."""
_BATCH = 64


class Expression(Protocol):
    """The interface of both models; `neutral_lean` is its factor for `affect`."""

    name: str
    commercial_ok: bool
    neutral_lean: float

    def probabilities(
        self, crops: npt.ArrayLike, blendshapes: npt.ArrayLike | None = None, *, both_views: bool = True
    ) -> Floats: ...


class ExpressionModel:
    """The trained network over crops and blendshapes, run by onnxruntime on one thread.

    The graph averages the logits of the views of each face, adds those of the blendshapes (0 where they are missing)
    and divides by the temperature fitted on the validation split, so that its probabilities are calibrated for faces
    like those of FER2013.

    Raises:
        WeightsError: the model file is missing, or its sha256 is not that of its card.
    """

    name = 'face_expression'
    commercial_ok = False
    neutral_lean = NEUTRAL_LEAN

    def __init__(self, path: Path = MODEL_FILE) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        content = _verified(path)
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session: Any = InferenceSession(content, options, providers=['CPUExecutionProvider'])

    def probabilities(
        self, crops: npt.ArrayLike, blendshapes: npt.ArrayLike | None = None, *, both_views: bool = True
    ) -> Floats:
        """Calibrated probabilities of the seven categories.

        Args:
            crops: (N, 48, 48) uint8 grey faces aligned to FER_TEMPLATE.
            blendshapes: (N, 52) scores in [0, 1]; a row of nan for a face without; None if no face has any.
            both_views: whether to read a crop and its mirror image, by their mean logits; False reads the crop alone,
                at half the cost.

        Returns:
            (N, 7) in EKMAN order, each row summing to 1; (0, 7) for no faces.

        Raises:
            ShapeError: crops are not (N, 48, 48) uint8, or blendshapes not (N, 52) floats.
            ValueRangeError: a row of blendshapes is partly nan or outside [0, 1].
        """
        faces = _checked_crops(crops)
        if blendshapes is None:
            blendshapes = np.full((len(faces), len(BLENDSHAPES)), np.nan)
        values, present = checked_blendshapes(blendshapes, len(faces))
        result = np.empty((len(faces), len(EKMAN)))
        for start in range(0, len(faces), _BATCH):
            rows = slice(start, start + _BATCH)
            # (N, 48, 48), or (2 N, 48, 48) with the mirror images behind
            views = np.concatenate([faces[rows], faces[rows, :, ::-1]]) if both_views else faces[rows]
            inputs = {
                'views': views.astype(np.float32)[:, None] / np.float32(255),
                'blendshapes': values[rows].astype(np.float32),
                'found': present[rows, None].astype(np.float32),
            }
            result[rows] = self._session.run(['probabilities'], inputs)[0]
        return np.asarray(result / result.sum(axis=1, keepdims=True), dtype=np.float64)


class PrototypeExpression:
    """Published prototypes over blendshapes: no training data, coarser, not calibrated. The crops are not used."""

    name = 'face_prototypes'
    commercial_ok = True
    neutral_lean = 0.0

    def probabilities(
        self, crops: npt.ArrayLike, blendshapes: npt.ArrayLike | None = None, *, both_views: bool = True
    ) -> Floats:
        """Shares of the seven categories by resemblance to EMFACS prototypes.

        Args:
            crops: (N, 48, 48) uint8; only N is used.
            blendshapes: (N, 52) scores in [0, 1]; a row of nan for a face without; None if no face has any.
            both_views: not used.

        Returns:
            (N, 7) in EKMAN order; nan for faces without blendshapes (missing, not neutral).

        Raises:
            ShapeError: crops are not (N, 48, 48) uint8, or blendshapes not (N, 52) floats.
            ValueRangeError: a row of blendshapes is partly nan or outside [0, 1].
        """
        faces = _checked_crops(crops)
        if blendshapes is None:
            return np.full((len(faces), len(EKMAN)), np.nan)
        checked_blendshapes(blendshapes, len(faces))
        return prototype_probabilities(blendshapes)


def affect(
    probabilities: npt.ArrayLike, blendshapes: npt.ArrayLike | None = None, *, neutral_lean: float = NEUTRAL_LEAN
) -> tuple[Floats, Floats]:
    """Valence and arousal of an expression, derived from its categories, not from ratings.

        valence = expected_affect(p) + neutral_lean max(p(neutral) - 1/7, 0) (1 - p(neutral))
        arousal = expected_affect(p)

    A uniform row gives (0, 0), and a certain category its coordinates in the plane. The second term corrects the
    network's bias towards sadness for nearly neutral faces.

    Args:
        probabilities: (N, 7) in EKMAN order, rows summing to 1; nan rows give nan.
        blendshapes: (N, 52) scores in [0, 1], a row all nan where missing; checked, but not used beside the
            categories, as that lowered the agreement with labels (measurements/faces_affect.py).
        neutral_lean: the attribute `neutral_lean` of the model.

    Returns:
        (valence (N,), arousal (N,)), each in [-1, 1].

    Raises:
        ShapeError: an array has another shape.
        ValueRangeError: a row of probabilities does not sum to 1, or blendshapes are out of range.
    """
    shares = _checked_shares(probabilities)
    if blendshapes is not None:
        checked_blendshapes(blendshapes, len(shares))
    return _affect(shares, neutral_lean)


def _affect(shares: Floats, neutral_lean: float) -> tuple[Floats, Floats]:
    """`affect` of checked probabilities."""
    valence, arousal = expected_affect(shares)
    neutral = shares[:, EKMAN.index('neutral')]
    lean = neutral_lean * np.maximum(neutral - 1 / len(EKMAN), 0.0) * (1 - neutral)
    return np.clip(valence + lean, -1.0, 1.0), arousal


def affect_seen(
    probabilities: npt.ArrayLike, quality: npt.ArrayLike, *, neutral_lean: float = NEUTRAL_LEAN
) -> tuple[Floats, Floats, Floats, Floats]:
    """Valence, arousal and their standard deviations, by the quality of the image.

        p' = a p + (1 - a) / 7,    a = readable_share(quality)

    then `affect` and `affect_sd` of p': faces of low quality get values near 0 with large standard deviations.

    Args:
        probabilities: (N, 7) in EKMAN order, rows summing to 1; nan rows give nan.
        quality: (N,) in [0, 1], the reading of this name; nan counts as 1.
        neutral_lean: the attribute `neutral_lean` of the model.

    Returns:
        (valence, arousal, valence_sd, arousal_sd), each (N,); (0, 0, 0.58, 0.45) at quality 0.

    Raises:
        ShapeError: probabilities are not (N, 7), or quality not (N,).
        ValueRangeError: a row of probabilities does not sum to 1.
    """
    shares = _checked_shares(probabilities)
    qualities = np.asarray(quality, dtype=np.float64)
    if qualities.shape != (len(shares),):
        raise ShapeError(
            expected=f'quality of shape ({len(shares)},)', came=f'{qualities.shape}', todo='give one per face'
        )
    weight = readable_share(qualities)[:, None]
    mixed = weight * shares + (1 - weight) / len(EKMAN)
    return (*_affect(mixed, neutral_lean), *affect_sd(mixed))


def _checked_shares(probabilities: npt.ArrayLike) -> Floats:
    shares = np.asarray(probabilities, dtype=np.float64)
    if shares.ndim != 2 or shares.shape[1] != len(EKMAN):
        raise ShapeError(
            expected=f'probabilities of shape (N, {len(EKMAN)})',
            came=f'{shares.shape}',
            todo='give one row per face',
        )
    present = shares[~np.isnan(shares).all(axis=1)]
    if not ((present >= 0).all() and (np.abs(present.sum(axis=1) - 1) <= 1e-3).all()):
        raise ValueRangeError(
            expected='rows of probabilities that are >= 0 and sum to 1, or all nan',
            came='a row that does not',
            todo='divide each row by its sum',
        )
    return shares


def expression_model(license_: str = 'research') -> Expression:
    """The expression model that a licence allows.

    Args:
        license_: 'research' (the trained network) or 'commercial-ok' (prototypes over blendshapes).

    Raises:
        UnknownNameError: another name.
        WeightsError: the network's file is missing or altered.
    """
    if license_ not in EXPRESSION_MODELS:
        raise UnknownNameError(
            expected=f'a licence among {sorted(EXPRESSION_MODELS)}',
            came=repr(license_),
            todo='choose one of these',
        )
    return EXPRESSION_MODELS[license_]()


def _checked_crops(crops: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    faces = np.asarray(crops)
    if faces.dtype != np.uint8 or faces.ndim != 3 or faces.shape[1:] != (FACE_SIDE, FACE_SIDE):
        raise ShapeError(
            expected=f'grey crops of shape (N, {FACE_SIDE}, {FACE_SIDE}) of uint8',
            came=f'{faces.shape} of {faces.dtype}',
            todo='align faces to FER_TEMPLATE first',
        )
    return faces


def _verified(path: Path) -> bytes:
    """The model file's bytes, checked against the sha256 in the card beside it."""
    try:
        content = path.read_bytes()
        card = json.loads(path.with_suffix('.json').read_text('utf-8'))
    except OSError as error:
        raise WeightsError(
            expected=f'the model file {path.name} and its card', came=str(error), todo='install affekt again'
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.get('sha256'):
        raise WeightsError(
            expected=f'{path.name} with sha256 {card.get("sha256")}', came=digest, todo='install affekt again'
        )
    return content


EXPRESSION_MODELS: Mapping[str, Callable[[], Expression]] = {
    'research': ExpressionModel,
    'commercial-ok': PrototypeExpression,
}
"""Licence to the model that it allows."""
