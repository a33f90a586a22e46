"""Images of a face through a network in an ONNX file, prepared like the published features.

Colours are red, green, blue except where the entry says BGR: the program of MER2024 for VideoMAE passes the files of
OpenFace to the network unchanged, blue before red. EmoNet's program scales with OpenCV, this one with Pillow: when
enlarging the 112 pixels of stored faces they differ by rounding alone.

Axes: B batch, T images, D features, S pixels per side.

Source: github.com/zeroQiaoba/MERTools, MERBench and MER2024, feature_extraction/visual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Bools, Floats, Floats32, Ints
from affekt.encoders.encoder import Encoded, EncoderSettings, Modality, Pictures, encoded_each
from affekt.encoders.exported import ExportedModel
from affekt.encoders.framing import PICTURES_AT_ONCE, TUBE, around, two_windows
from affekt.encoders.onnx_models import OnnxModel

Images = Sequence[npt.NDArray[np.uint8]]


def prepared(image: npt.NDArray[np.uint8], preparation: Mapping[str, Any]) -> Floats32:
    """One image as input of a network.

    Args:
        image: (H, W, 3), RGB.
        preparation: `facts` of an `ExportedModel`: `resize` is [S, S], or the length of the shorter side; `crop` the
            side of the centre crop, or None; `interpolation`; `largest` the value that 255 maps to; `mean` and `std`
            standardise after that; `colours` is RGB or BGR.

    Returns:
        (3, S, S) float32.
    """
    from PIL import Image

    if preparation['colours'] == 'BGR':
        image = np.ascontiguousarray(image[..., ::-1])
    filters = {'bilinear': Image.Resampling.BILINEAR, 'bicubic': Image.Resampling.BICUBIC}
    height, width = image.shape[:2]
    if isinstance(preparation['resize'], int):
        shorter = preparation['resize']
        width, height = (
            (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
        )
    else:
        height, width = preparation['resize']
    resized = np.asarray(
        Image.fromarray(image).resize((width, height), filters[preparation['interpolation']]), np.float32
    )
    if side := preparation['crop']:
        top, left = round((height - side) / 2), round((width - side) / 2)
        resized = resized[top : top + side, left : left + side]
    mean, std = (np.array(preparation[name], np.float32) for name in ('mean', 'std'))
    return np.moveaxis((resized * np.float32(preparation['largest'] / 255) - mean) / std, -1, 0)


class OnnxPictures:
    """An `Encoder` of single images.

    Args:
        network: network with input (N, 3, S, S).
        model: entry of the network.
    """

    modality: Modality = 'video'
    rate_hz: float | None = None

    def __init__(self, network: OnnxModel, model: ExportedModel) -> None:
        self._network, self._facts = network, model.facts
        self.size = model.dimension

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, model: ExportedModel) -> OnnxPictures:
        """The encoder of a file.

        Raises:
            WeightsError: the file is not an ONNX file, or its network has other inputs or outputs.
        """
        side = model.facts['crop'] or model.facts['resize'][0]
        return cls(OnnxModel(path, [(None, 3, side, side)], model.dimension, model.name, settings.device), model)

    def prepare(self, sample: Images) -> Floats32:
        """(T, 3, S, S) from (H, W, 3) RGB images."""
        return np.stack([prepared(image, self._facts) for image in sample])

    def forward(self, rows: Floats32, keep_mask: Bools) -> tuple[Floats32, Bools]:
        """One state per image."""
        states = np.zeros((*keep_mask.shape, self.size), np.float32)  # (B, T, D)
        states[keep_mask] = _one_vector(self._network.run(rows[keep_mask]))  # of (images, 3, S, S)
        return states, keep_mask

    def encode(self, samples: Sequence[Pictures], *, is_published: bool = False) -> list[Encoded | str]:
        """(T, D) features of each sample's images; `is_published` makes no difference."""
        return encoded_each(samples, lambda pictures: Encoded(self._rows(pictures), pictures.times))

    def _rows(self, pictures: Pictures) -> Floats32:
        rows = []
        for begin in range(0, len(pictures), PICTURES_AT_ONCE):
            indices = range(begin, min(begin + PICTURES_AT_ONCE, len(pictures)))
            rows.append(_one_vector(self._network.run(self.prepare([pictures.images[index] for index in indices]))))
        return np.concatenate(rows)


class OnnxVideo:
    """An `Encoder` of windows of 16 frames.

    For one row: of every fourth frame, the last one repeated up to 16, the first 16 and the last 16; the mean of both.
    For all rows: for each frame the 16 around it (the first 16 for the first ten, and for the last nine the 16 before
    the last).

    Args:
        network: network with input (N, 3, 16, S, S).
        model: entry of the network.
        is_for_one_row: see `EncoderSettings`.
    """

    modality: Modality = 'video'
    rate_hz: float | None = None

    def __init__(self, network: OnnxModel, model: ExportedModel, is_for_one_row: bool) -> None:
        self._network, self._facts, self._is_for_one_row = network, model.facts, is_for_one_row
        self.size = model.dimension

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, model: ExportedModel) -> OnnxVideo:
        """The encoder of a file.

        Raises:
            WeightsError: the file is not an ONNX file, or its network has other inputs or outputs.
        """
        side = model.facts['resize'][0]
        network = OnnxModel(path, [(None, 3, TUBE, side, side)], model.dimension, model.name, settings.device)
        return cls(network, model, settings.is_for_one_row)

    def prepare(self, sample: Images) -> Floats32:
        """(T, 3, 16, S, S): the frames of each window."""
        return np.stack([self._window(sample, indices) for indices in self._windows(len(sample))])

    def _windows(self, count: int) -> list[Ints]:
        return two_windows(count) if self._is_for_one_row else [around(count, frame) for frame in range(count)]

    def _window(self, images: Images, indices: Ints) -> Floats32:
        """(3, 16, S, S) frames of a window."""
        return np.stack([prepared(images[index], self._facts) for index in indices], axis=1)

    def forward(self, rows: Floats32, keep_mask: Bools) -> tuple[Floats32, Bools]:
        """One state per window."""
        states = np.zeros((*keep_mask.shape, self.size), np.float32)  # (B, T, D)
        states[keep_mask] = _one_vector(self._network.run(rows[keep_mask]))  # of (windows, 3, 16, S, S)
        return states, keep_mask

    def encode(self, samples: Sequence[Pictures], *, is_published: bool = False) -> list[Encoded | str]:
        """(T, D) features, one row per window; `is_published` makes no difference."""
        return encoded_each(samples, lambda pictures: Encoded(self._rows(pictures.images), self._times(pictures)))

    def _rows(self, images: Images) -> Floats32:
        windows = self._windows(len(images))
        return np.concatenate(
            [_one_vector(self._network.run(self._window(images, indices)[None])) for indices in windows]
        )

    def _times(self, pictures: Pictures) -> Floats | None:
        return None if self._is_for_one_row else pictures.times


def _one_vector(states: Floats32) -> Floats32:
    """(T, D) states; maps with height and width are averaged over them and clipped below 0, as published."""
    if states.ndim <= 2:
        return states
    if states.ndim == 4:  # (T, D, height, width)
        return np.maximum(states.mean(axis=(2, 3)), 0) if states.shape[2] > 1 else states[:, :, 0, 0]
    return states.reshape(len(states), -1)
