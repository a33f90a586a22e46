"""FLAME heads read from images by the user's own encoders: identity, and expression.

    reader = read_flame_reader('generic_model.pkl', ['SMIRK_em1.pt', 'deca_model.tar'])
    head = reader.head(portrait, landmarks)               # identity and expression of the portrait
    shown = reader.shown(frame, landmarks)                # expression of another face
    points = head.points(shown)                           # (V, 3) the head with that expression, pixels of the portrait

As published, DECA estimates identity and camera, and SMIRK the expression; if only one is given, it estimates both.
SMIRK's eyelids are left out, since FLAME has no direction that moves them.

Source: MagicPortrait, arXiv:2504.21497, and its code (identity and camera of the portrait, expression and jaw of the
driver).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ValueRangeError
from affekt.face3d.flame import FlameModel, read_flame
from affekt.face3d.flame_encoders import DECA, SMIRK, FlameEncoder, SeenFlame, read_flame_encoder


@dataclass(frozen=True, eq=False)
class ShownFlame:
    """Expression and jaw of a face, in FLAME's terms.

    Attributes:
        expression: (E,) amounts of the model's expressions.
        jaw_deg: (2,) degrees by which the jaw is opened, and turned to the person's left.
    """

    expression: Floats
    jaw_deg: Floats

    def beside(self, calm: ShownFlame, own: ShownFlame, intensity: float) -> ShownFlame:
        """The difference from a calm face, added to another face's expression: own + intensity (this - calm)."""
        return ShownFlame(
            own.expression + intensity * (self.expression - calm.expression),
            own.jaw_deg + intensity * (self.jaw_deg - calm.jaw_deg),
        )

    def scaled(self, intensity: float) -> ShownFlame:
        """Expression and jaw multiplied by an intensity."""
        return ShownFlame(intensity * self.expression, intensity * self.jaw_deg)


@dataclass(frozen=True, eq=False)
class FlameHead:
    """A person in an image, in FLAME's terms; `FlameReader.head` returns one.

    Attributes:
        model: the user's FLAME.
        seen: identity, head rotation and camera, with the square crop.
        shown: expression and jaw of the face in the image.
    """

    model: FlameModel
    seen: SeenFlame
    shown: ShownFlame

    def points(self, shown: ShownFlame) -> Floats:
        """(V, 3) the head with an expression, in pixels of the image, y down, with depth; less depth is nearer."""
        parameters = self.seen.parameters
        opening, sideways = shown.jaw_deg
        shaped = self.model.vertices(
            parameters.identity_of(0, self.model), shown.expression, jaw_deg=(max(float(opening), 0.0), float(sideways))
        )
        return self.seen.placed(self.model, shaped)


class FlameReader:
    """FLAME with encoders of its parameters; `read_flame_reader` returns one.

    Args:
        model: the user's FLAME.
        who: encoder of identity, head rotation and camera.
        what: encoder of expression and jaw.
    """

    def __init__(self, model: FlameModel, who: FlameEncoder, what: FlameEncoder) -> None:
        self.model, self._identity_encoder, self._expression_encoder = model, who, what

    def head(self, image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike) -> FlameHead:
        """The head in an image (H, W, 3), by landmarks (478, 3) in pixels, with its expression and jaw."""
        return FlameHead(self.model, self._identity_encoder.read_face(image, landmarks), self.shown(image, landmarks))

    def shown(self, image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike) -> ShownFlame:
        """Expression and jaw of the face in an image."""
        parameters = self._expression_encoder.read_face(image, landmarks).parameters
        return ShownFlame(parameters.expression_of(0, self.model), np.array(parameters.jaw_deg(0)))


def read_flame_reader(model: str | os.PathLike[str], encoders: Sequence[str | os.PathLike[str]]) -> FlameReader:
    """FLAME and its encoders from the user's files; nothing in them is executed.

    Args:
        model: see `read_flame`.
        encoders: the checkpoints: SMIRK, DECA, or both.

    Raises:
        MissingExtraError: torch is not installed.
        WeightsError: a file is missing, damaged, or not the expected one.
        ValueRangeError: no encoder, more than two, or two of one kind.
    """
    opened = [read_flame_encoder(path) for path in encoders]
    by_name = {encoder.name: encoder for encoder in opened}
    if not by_name or len(by_name) != len(opened):
        raise ValueRangeError(
            expected=f'the checkpoint of {SMIRK}, of {DECA}, or one of each',
            came=' and '.join(encoder.name for encoder in opened) or 'none', todo='name each once',
        )  # fmt: skip
    first = opened[0]
    return FlameReader(read_flame(model), by_name.get(DECA, first), by_name.get(SMIRK, first))
