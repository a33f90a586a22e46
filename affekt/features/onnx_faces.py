"""Pictures of a face through a network in an ONNX file, prepared as the program that published the features did.

Colours are red, green, blue except where facts say BGR: the program of MER2024 for VideoMAE hands its network the files
of OpenFace as they are, blue before red. EmoNet's program scales with OpenCV, this one with Pillow: up from the 112
pixels of stored faces they differ by rounding alone.

T pictures, D columns, S pixels a side.

Source: github.com/zeroQiaoba/MERTools, MERBench and MER2024, feature_extraction/visual.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.encoders.onnx_models import OnnxModel
from affekt.features.face_pictures import FacePictures, Rows, face_encoder
from affekt.features.recipes import Encoder, Floats, Recipe

AT_ONCE = 32
"""Pictures in one run of a network, as published."""
CLIP, STRIDE = 16, 4
"""Pictures that VideoMAE sees, and of how many one is taken."""


def prepared(image: npt.NDArray[np.uint8], facts: Any) -> Floats:
    """One picture as a network wants it.

    Args:
        image: (H, W, 3), RGB.
        facts: of a recipe: `resize` is [S, S], or one number for the shorter side; `crop` the side of the middle that
            is kept, or None; `interpolation`; `largest` what 255 becomes; `mean` and `std` are taken off and divided
            by after that; `colours` is RGB or BGR.

    Returns:
        (3, S, S)
    """
    from PIL import Image

    if facts['colours'] == 'BGR':
        image = np.ascontiguousarray(image[..., ::-1])
    filters = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}
    high, wide = image.shape[:2]
    if isinstance(facts['resize'], int):
        short = facts['resize']
        wide, high = (short, int(short * high / wide)) if wide <= high else (int(short * wide / high), short)
    else:
        high, wide = facts['resize']
    resized = np.asarray(Image.fromarray(image).resize((wide, high), filters[facts['interpolation']]), np.float32)
    if side := facts['crop']:
        top, left = round((high - side) / 2), round((wide - side) / 2)
        resized = resized[top : top + side, left : left + side]
    mean, std = (np.array(facts[name], np.float32) for name in ('mean', 'std'))
    return np.moveaxis((resized * np.float32(facts['largest'] / 255) - mean) / std, -1, 0)


def open_pictures(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of every picture by itself; its mean for UTT."""
    side = recipe.facts['crop'] or recipe.facts['resize'][0]
    model = OnnxModel(path, [(None, 3, side, side)], recipe.dimension, recipe.name, device)

    def rows_of(held: FacePictures) -> Rows:
        rows = []
        for begin in range(0, len(held), AT_ONCE):
            some = range(begin, min(begin + AT_ONCE, len(held)))
            rows.append(_pooled(model.run(np.stack([prepared(held.images[at], recipe.facts) for at in some]))))
        return np.concatenate(rows), held.times

    return face_encoder(recipe, rows_of)


def open_films(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of stretches of 16 pictures.

    UTT: of every fourth picture, the last one repeated up to 16, the first 16 and the last 16; the mean of both. FRA:
    for each picture the 16 around it (the first 16 for the first ten, and for the last ten the 16 before the last).
    """
    side = recipe.facts['resize'][0]
    model = OnnxModel(path, [(None, 3, CLIP, side, side)], recipe.dimension, recipe.name, device)

    def see(held: FacePictures, taken: npt.NDArray[np.int64]) -> Floats:
        film = np.stack([prepared(held.images[at], recipe.facts) for at in taken], axis=1)  # (3, 16, S, S)
        return _pooled(model.run(film[None]))

    def rows_of(held: FacePictures) -> Rows:
        if recipe.facts['level'] == 'UTT':
            taken = stretches(len(held))
        else:
            taken = [around(len(held), at) for at in range(len(held))]
        return np.concatenate([see(held, one) for one in taken]), held.times

    return face_encoder(recipe, rows_of)


def stretches(count: int) -> list[npt.NDArray[np.int64]]:
    """Which of `count` pictures VideoMAE sees for one row a sample, twice.

    >>> [one[[0, -1]].tolist() for one in stretches(100)], stretches(9)[0].tolist()[:5]
    ([[0, 60], [36, 96]], [0, 4, 8, 8, 8])
    """
    taken = np.arange(0, count, STRIDE)
    taken = np.concatenate([taken, np.full(max(CLIP - len(taken), 0), taken[-1])])
    return [taken[:CLIP], taken[-CLIP:]]


def around(count: int, at: int) -> npt.NDArray[np.int64]:
    """Which of `count` pictures VideoMAE sees for picture `at`.

    >>> [around(40, at)[[0, -1]].tolist() for at in (3, 20, 35)], around(5, 4).tolist()[:7]
    ([[0, 15], [12, 27], [23, 38]], [0, 1, 2, 3, 4, 4, 4])
    """
    begin = 0 if at < 10 else count - CLIP - 1 if at > count - 10 else at - CLIP // 2
    return np.clip(np.arange(max(begin, 0), max(begin, 0) + CLIP), 0, count - 1)


def _pooled(found: Floats) -> Floats:
    """(T, D); what has height and width yet is averaged over them and cut off below 0, as published."""
    if found.ndim <= 2:
        return found
    if found.ndim == 4:
        return np.maximum(found.mean(axis=(2, 3)), 0) if found.shape[2] > 1 else found[:, :, 0, 0]
    return found.reshape(len(found), -1)
