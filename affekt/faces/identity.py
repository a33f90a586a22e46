"""Face identity: 128 numbers per face, close to each other for the same person.

The network is dlib's residual net (29 convolutions, 5.6 million weights) in the 8-bit form of the npm package
@vladmandic/face-api. It was trained on images of people from the web, and is therefore for research only. It runs in
NumPy, since only a few faces per person are read. Nobody is looked up: only faces of one recording are compared, and
the numbers are discarded afterwards.

Axes: H height, W width, C channels.

Source: He et al. 2016, arXiv:1512.03385 (residual layers); King, dlib's face_recognition_model_v1 (the form of the net:
layers, mean colour, padding by zeros in both directions); face-api 1.7.15, src/faceRecognitionNet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ShapeError, WeightsError
from affekt.faces.landmarker import cut
from affekt.faces.mesh import Region
from affekt.runs import read_regular_file

MODEL = 'face-identity'
SIDE = 150
"""Height and width of the network's input, in pixels."""
WIDTH = 128
"""Numbers per face."""
SPAN = 2.6
"""Side of the crop relative to the distance of the outer eye corners."""
_MEAN_COLOUR = np.array([122.782, 117.001, 104.298], dtype=np.float32)
_AROUND = (33, 263, 61, 291, 1)
"""Landmarks whose mean is the centre of the crop: outer eye corners, mouth corners, nose tip."""
_STAGES = (
    ('conv32_1', 'conv32_2', 'conv32_3'),
    ('conv64_down', 'conv64_1', 'conv64_2', 'conv64_3'),
    ('conv128_down', 'conv128_1', 'conv128_2'),
    ('conv256_down', 'conv256_1', 'conv256_2'),
    ('conv256_down_out',),
)
_FILES = ('face_recognition_model.bin', 'face_recognition_model-weights_manifest.json')
_LARGEST_MANIFEST = 1 << 20


def face_crop(image: npt.NDArray[np.uint8], landmarks: Floats32) -> npt.NDArray[np.uint8]:
    """The network's input: a crop (150, 150, 3) uint8 of a face, level with its eyes.

    Args:
        image: (H, W, 3) RGB uint8.
        landmarks: (478, 3) pixels.
    """
    across = landmarks[263] - landmarks[33]
    middle = landmarks[list(_AROUND), :2].mean(axis=0)
    side = max(float(np.hypot(across[0], across[1])) * SPAN, 1.0)
    angle = float(np.arctan2(across[1], across[0]))
    return cut(image, Region(float(middle[0]), float(middle[1]), side, angle), SIDE)


class FaceIdentity:
    """The network, loaded once; weights stay in 8 bits until the first face, since most recordings need none.

    Args:
        folder: folder of its two files; by default the verified ones, downloaded if missing.

    Raises:
        WeightsError: the files are not available, or their arrays are not those of the network.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        path = Path(folder) if folder is not None else _default_folder()
        try:
            self._stored = _stored(*(read_regular_file(path / name) for name in _FILES))
            missing = [part for name in _layer_names() for part in _array_names(name) if part not in self._stored]
            if missing or self._stored['fc'].values.shape != (256, WIDTH):
                raise ValueError(f'no array {missing[0]}' if missing else 'another last layer')
            for name in _layer_names():
                filters, *others = (self._stored[part].values.shape for part in _array_names(name))
                if len(filters) != 4 or any(shape != filters[-1:] for shape in others):
                    raise ValueError(f'filters of {filters} in {name}')
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise WeightsError(
                expected='the network of face identity', came=f'{path}: {str(error)[:200]}',
                todo=f'run `affekt weights get {MODEL}`',
            ) from error  # fmt: skip

    @cached_property
    def _convolutions(self) -> dict[str, tuple[Floats32, Floats32]]:
        """Layer to its filters and bias, scale included."""
        return {
            name: _folded(*(self._stored[part].unpacked() for part in _array_names(name))) for name in _layer_names()
        }

    @cached_property
    def _last(self) -> Floats32:
        """(256, 128) weights of the last layer."""
        return self._stored['fc'].unpacked()

    def vector(self, crop: npt.NDArray[np.uint8]) -> Floats32:
        """(128,) numbers of one face; the Euclidean distance compares faces.

        Args:
            crop: (150, 150, 3) RGB uint8, from `face_crop`.

        Raises:
            ShapeError: another shape or type.
        """
        if crop.shape != (SIDE, SIDE, 3) or crop.dtype != np.uint8:
            raise ShapeError(
                expected=f'a uint8 image ({SIDE}, {SIDE}, 3)', came=f'{crop.dtype} {crop.shape}', todo='use face_crop'
            )
        normalised = (crop.astype(np.float32) - _MEAN_COLOUR) / np.float32(256)
        layer = _largest_of_three(np.maximum(self._convolved(normalised, 'conv32_down', 2, 0), 0))
        for stage in _STAGES:
            for name in stage:
                layer = self._residual(layer, name)
        return np.asarray(layer.mean(axis=(0, 1)) @ self._last, dtype=np.float32)

    def _residual(self, layer: Floats32, name: str) -> Floats32:
        """Two convolutions, added to their input; a name with 'down' halves height and width."""
        halves = 'down' in name
        inner = np.maximum(self._convolved(layer, f'{name}/conv1', *((2, 0) if halves else (1, 1))), 0)
        outer = self._convolved(inner, f'{name}/conv2', 1, 1)
        shortcut = _mean_of_two(layer) if halves else layer
        # both are padded with zeros to the larger height, width and number of channels
        shape = np.maximum(outer.shape, shortcut.shape)
        return np.asarray(np.maximum(_zero_padded(outer, shape) + _zero_padded(shortcut, shape), 0), dtype=np.float32)

    def _convolved(self, layer: Floats32, name: str, step: int, border: int) -> Floats32:
        """A convolution with its scale, before the rectifier: (H, W, C) to (H', W', C')."""
        filters, bias = self._convolutions[name]
        side = filters.shape[0]
        padded = np.pad(layer, ((border, border), (border, border), (0, 0))) if border else layer
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))[::step, ::step]
        height, width = windows.shape[:2]
        # (H', W', C, side, side) to (H' W', side side C)
        columns = windows.transpose(0, 1, 3, 4, 2).reshape(height * width, -1)
        flat = columns @ filters.reshape(columns.shape[1], -1) + bias  # (H' W', C')
        return np.asarray(flat.reshape(height, width, -1), dtype=np.float32)


def _default_folder() -> Path:
    from affekt.weights import model_path

    return model_path(MODEL)


class _Stored(NamedTuple):
    """An array as stored; a stored byte b means b * scale + least."""

    values: npt.NDArray[Any]
    scale: float
    least: float

    def unpacked(self) -> Floats32:
        """The array as float32."""
        values = self.values.astype(np.float32)
        if self.values.dtype == np.uint8:
            values = values * np.float32(self.scale) + np.float32(self.least)
        return values


def _stored(content: bytes, manifest: bytes) -> dict[str, _Stored]:
    """Name to array, from the bytes of the two files; values are views, not copies."""
    if len(manifest) > _LARGEST_MANIFEST:
        raise ValueError(f'a manifest of {len(manifest)} bytes')
    arrays: dict[str, _Stored] = {}
    start = 0
    entries: list[Mapping[str, Any]] = json.loads(manifest)[0]['weights']
    for entry in entries:
        shape = [int(length) for length in entry['shape']]
        count = int(np.prod(shape, dtype=np.int64))
        packed = entry.get('quantization')
        values = np.frombuffer(content, np.uint8 if packed else np.dtype('<f4'), count, start).reshape(shape)
        scale, least = (float(packed['scale']), float(packed['min'])) if packed else (1.0, 0.0)
        arrays[str(entry['name'])] = _Stored(values, scale, least)
        start += count * (1 if packed else 4)
    if start != len(content):
        raise ValueError(f'{len(content)} bytes, of which the manifest lists {start}')
    return arrays


def _layer_names() -> list[str]:
    return ['conv32_down', *(f'{name}/conv{part}' for stage in _STAGES for name in stage for part in (1, 2))]


def _array_names(name: str) -> tuple[str, str, str, str]:
    """Names of the arrays of a layer: filters, bias, and the factor and summand of its scale."""
    return f'{name}/conv/filters', f'{name}/conv/bias', f'{name}/scale/weights', f'{name}/scale/biases'


def _folded(filters: Floats32, bias: Floats32, scale: Floats32, shift: Floats32) -> tuple[Floats32, Floats32]:
    """Filters (side, side, C in, C out) and bias (C out,) of a layer, with its scale multiplied in."""
    return np.ascontiguousarray(filters * scale), bias * scale + shift


def _largest_of_three(layer: Floats32) -> Floats32:
    """The maximum over 3 x 3 at every second position: (H, W, C) to about (H / 2, W / 2, C)."""
    windows = np.lib.stride_tricks.sliding_window_view(layer, (3, 3), axis=(0, 1))[::2, ::2]
    return np.asarray(windows.max(axis=(3, 4)), dtype=np.float32)


def _mean_of_two(layer: Floats32) -> Floats32:
    """The mean over 2 x 2: (H, W, C) to (H // 2, W // 2, C); a last odd row or column is left out."""
    height, width, channels = layer.shape[0] // 2, layer.shape[1] // 2, layer.shape[2]
    blocks = layer[: 2 * height, : 2 * width].reshape(height, 2, width, 2, channels)  # (H // 2, 2, W // 2, 2, C)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _zero_padded(layer: Floats32, shape: npt.NDArray[np.int64]) -> Floats32:
    """The layer (H, W, C), padded with zeros at the end of each axis up to a shape."""
    return np.pad(layer, [(0, int(target) - length) for length, target in zip(layer.shape, shape, strict=True)])
