"""Bilinear sampling of images, by the fastest installed backend.

OpenCV is fastest (`pip install 'affekt[reenact]'`), then torch if already loaded, ONNX Runtime, and NumPy.
They agree within a few levels: OpenCV rounds positions to 1/32 of a pixel.

Positions are continuous: pixel (0, 0) covers [0, 1) x [0, 1), so that its middle is (0.5, 0.5). H, W of the source; h,
w of the result; C channels.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from affekt.arrays import Floats32

Image = npt.NDArray[np.uint8]
Sampler = Callable[[Image, Floats32, Floats32], Image]


def sample(image: Image, x: Floats32, y: Floats32) -> Image:
    """(h, w, C) values of an image at positions; the border is repeated beyond itself.

    Args:
        image: (H, W, C) uint8.
        x: (h, w) columns; y: (h, w) rows.
    """
    return SAMPLERS[fastest_sampler()](image, x, y)


@cache
def fastest_sampler() -> str:
    """The first of SAMPLERS that can be used here."""
    if importlib.util.find_spec('cv2') is not None:
        return 'opencv'
    return 'torch' if 'torch' in sys.modules else 'onnxruntime'


def enlarged(plane: Floats32, times: int) -> Floats32:
    """(times H, times W) a plane (H, W) at a multiple of its size, bilinear; the border is repeated beyond itself."""
    height, width = plane.shape
    if fastest_sampler() == 'opencv':
        import cv2

        return np.asarray(cv2.resize(plane, (times * width, times * height), interpolation=cv2.INTER_LINEAR))
    resized = PillowImage.fromarray(plane).resize((times * width, times * height), PillowImage.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def by_opencv(image: Image, x: Floats32, y: Floats32) -> Image:
    """`sample` by OpenCV's remap."""
    import cv2

    half = np.float32(0.5)
    sampled = cv2.remap(
        image, np.subtract(x, half, dtype=np.float32), np.subtract(y, half, dtype=np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(sampled, dtype=np.uint8)


def by_torch(image: Image, x: Floats32, y: Floats32) -> Image:
    """`sample` by torch's grid_sample."""
    import torch

    grid = torch.from_numpy(_grid(image, x, y))
    planes = torch.from_numpy(_planes(image))
    with torch.inference_mode():
        sampled = torch.nn.functional.grid_sample(planes, grid, padding_mode='border', align_corners=False)
    return _rounded(sampled.numpy())


def by_onnxruntime(image: Image, x: Floats32, y: Floats32) -> Image:
    """`sample` by ONNX Runtime's GridSample."""
    sampled = _grid_sample_session().run(None, {'X': _planes(image), 'G': _grid(image, x, y)})[0]
    return _rounded(sampled)


def by_numpy(image: Image, x: Floats32, y: Floats32) -> Image:
    """`sample` by NumPy."""
    height, width = image.shape[:2]
    columns = np.clip(x - np.float32(0.5), 0, width - 1)
    rows = np.clip(y - np.float32(0.5), 0, height - 1)
    left, top = columns.astype(np.intp), rows.astype(np.intp)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    share_x, share_y = (columns - left)[..., None], (rows - top)[..., None]
    flat = image.reshape(height * width, -1)
    upper = _between(flat[top * width + left], flat[top * width + right], share_x)
    lower = _between(flat[below * width + left], flat[below * width + right], share_x)
    return np.asarray(np.rint(upper + (lower - upper) * share_y).astype(np.uint8))


SAMPLERS: dict[str, Sampler] = {
    'opencv': by_opencv,
    'torch': by_torch,
    'onnxruntime': by_onnxruntime,
    'numpy': by_numpy,
}


def _between(first: Image, second: Image, share: Floats32) -> Floats32:
    start = first.astype(np.float32)
    return np.asarray(start + (second.astype(np.float32) - start) * share)


def _planes(image: Image) -> Floats32:
    return np.ascontiguousarray(np.moveaxis(image, 2, 0)[None], dtype=np.float32)


def _grid(image: Image, x: Floats32, y: Floats32) -> Floats32:
    """(1, h, w, 2) places from -1 to 1, edge to edge."""
    height, width = image.shape[:2]
    return np.stack([x * (2 / width) - 1, y * (2 / height) - 1], axis=-1)[None].astype(np.float32)


def _rounded(planes: Floats32) -> Image:
    return np.ascontiguousarray(np.moveaxis(np.rint(planes[0]).astype(np.uint8), 0, 2))


@cache
def _grid_sample_session() -> Any:
    """A model of one node, so small that its protocol buffer is written by hand (onnx.proto3, opset 16)."""
    import onnxruntime

    def field(number: int, content: bytes | str) -> bytes:
        raw = content.encode() if isinstance(content, str) else content
        return bytes([number << 3 | 2, len(raw)]) + raw

    def number(field_number: int, value: int) -> bytes:
        return bytes([field_number << 3, value])

    def value_info(name: str, rank: int) -> bytes:
        shape = b''.join(field(1, field(2, f'{name}{axis}')) for axis in range(rank))
        return field(1, name) + field(2, field(1, number(1, 1) + field(2, shape)))

    def attribute(name: str, content: bytes, type_code: int) -> bytes:
        return field(5, field(1, name) + content + bytes([20 << 3 & 127 | 128, 20 << 3 >> 7, type_code]))

    node = field(1, 'X') + field(1, 'G') + field(2, 'Y') + field(4, 'GridSample')
    node += attribute('mode', field(4, 'bilinear'), 3) + attribute('padding_mode', field(4, 'border'), 3)
    graph = field(1, node) + field(2, 'sampling') + field(11, value_info('X', 4)) + field(11, value_info('G', 4))
    graph += field(12, value_info('Y', 4))
    model = number(1, 8) + bytes([7 << 3 | 2, len(graph) & 127 | 128, len(graph) >> 7]) + graph
    model += field(8, field(1, '') + number(2, 16))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
