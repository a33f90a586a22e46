"""Scores of the blendshape network to amounts of the directions: one gain for each, measured on real video.

A score of 0.5 is not half of a direction: the network responds to smiles before they are wide, and to lids late. The
gains are slopes, through 0, of the amounts that explain the landmarks (`fitting.py`) against the scores of the same
frames, shared by both sides of a face (measurements/face_gains.py). Where the network hardly responds, as for cheeks,
noses and lowered mouth corners, no gain can be measured, and the amount is taken to be 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError
from affekt.face3d.models import face_model

FILE = Path(__file__).with_name('gains.json')
"""The measured gains."""


@dataclass(frozen=True)
class Gain:
    """The gain from a score of one direction to its amount.

    Attributes:
        gain: amount per score; 0 if none could be measured.
        correlation: correlation of amount and score over the measured frames; nan if there are none.
        frames: number of measured frames.
    """

    gain: float
    correlation: float
    frames: int

    @property
    def is_measured(self) -> bool:
        """Whether the gain was measured on video."""
        return self.frames > 0


@cache
def face_gains() -> Mapping[str, Gain]:
    """Direction to its measured gain; the card next to the file names the data."""
    content: dict[str, Any] = json.loads(FILE.read_text('utf-8'))
    return {
        name: Gain(float(entry['gain']), float(entry['correlation'] or 'nan'), int(entry['frames']))
        for name, entry in content['gains'].items()
    }


def shown_amounts(scores: npt.ArrayLike) -> Floats:
    """Amount of each direction, from the scores of the network: gain times score, at most 1.

    Args:
        scores: (..., 52) in the order of `affekt.faces.BLENDSHAPES`.

    Returns:
        (..., 51) in the order of `face_model().directions`.

    Raises:
        ShapeError: not 52 scores.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape[-1:] != (52,):
        raise ShapeError(expected='scores (..., 52)', came=f'{values.shape}', todo='give BLENDSHAPES in order')
    gains = face_gains()
    by_direction = np.array([gains[name].gain for name in face_model().directions])
    return np.asarray(np.minimum(values[..., 1:] * by_direction, 1.0), dtype=np.float64)
