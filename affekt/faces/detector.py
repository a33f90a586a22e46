"""Face detection: the BlazeFace short-range network, run over one or more scales.

The network reads 128 x 128 pixels and finds faces from about an eighth of that side upward; finer scales, cut into
overlapping windows, find smaller faces in larger images: from 24 pixels at 640 x 360 and 1280 x 720, from 40 at
1920 x 1080 (measurements/faces_limits.py).
Coordinates are continuous pixels of the given image: pixel (0, 0) covers [0, 1) x [0, 1).

Axes: N detections.

Source: Bazarevsky et al. 2019, arXiv:1907.05047; anchors and decoding as configured in MediaPipe,
tasks/cc/vision/face_detector/face_detector_graph.cc (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.arrays import Floats32

Pixels = npt.NDArray[np.uint8]

SIDE = 128
"""Side of the network's square input, pixels."""
LONGEST_STEP = 88
"""Longest step between windows of a finer scale, in input pixels: a face below 40 lies wholly in at least one."""
OVERLAP_LIMIT = 0.3
"""Intersection over union above which two detections are one face (MediaPipe's default)."""
LOGIT_CLIP = 80.0
TIGHT_MARGIN = 1.6
"""Side of the black frame in which an image without a detected face is searched again, relative to the longer side of
the image: the network detects a face that fills the image, or is cut by its edge, if there is room around it."""
FINE_THRESHOLD = 0.65
"""Minimum score in windows of a finer scale, in which hands and patterns reach 0.5 to 0.6."""


@dataclass(frozen=True)
class Detection:
    """One detected face: `score` in [0, 1], `box` (x, y, w, h) and `keypoints` (6, 2) in pixels.

    Keypoints: right eye, left eye, nose tip, mouth, right ear, left ear; sides are the person's own.
    """

    score: float
    box: Floats32
    keypoints: Floats32


def anchor_centers() -> Floats32:
    """(896, 2) centres of the anchors in [0, 1]: 16 x 16 cells with 2 anchors, then 8 x 8 with 6."""
    rows = []
    for cells, anchors in ((16, 2), (8, 6)):
        y, x = np.mgrid[0:cells, 0:cells]
        centers = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells  # (cells**2, 2)
        rows.append(np.repeat(centers, anchors, axis=0))
    return np.concatenate(rows).astype(np.float32)


_ANCHORS = anchor_centers()


def decode(regressors: Floats32, logits: Floats32, threshold: float) -> tuple[Floats32, Floats32]:
    """Boxes and keypoints of the anchors whose score reaches `threshold`, in units of the input side.

    Args:
        regressors: (896, 16) offsets in input pixels: centre x, y, width, height, then six x, y.
        logits: (896,) raw scores.
        threshold: minimum score, in [0, 1].

    Returns:
        (N, 16) corners x0, y0, x1, y1 and six keypoints, and (N,) scores in [0, 1].
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(logits, -LOGIT_CLIP, LOGIT_CLIP)))
    kept = np.flatnonzero(scores >= threshold)
    offsets = regressors[kept] / SIDE
    center = offsets[:, :2] + _ANCHORS[kept]
    half = offsets[:, 2:4] / 2
    points = (offsets[:, 4:].reshape(-1, 6, 2) + _ANCHORS[kept][:, None]).reshape(-1, 12)  # (N, 6, 2) to (N, 12)
    rows = np.concatenate([center - half, center + half, points], axis=1)
    return rows.astype(np.float32), np.asarray(scores[kept], dtype=np.float32)


def overlap(box: Floats32, others: Floats32) -> Floats32:
    """(N,) intersection over union of one box (4,) with (N, 4) others, as corners x0, y0, x1, y1; 0 without overlap."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box[2:] - box[:2])
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(shared / np.maximum(area + areas - shared, 1e-9), dtype=np.float32)


def merge(boxes: Floats32, scores: Floats32) -> tuple[Floats32, Floats32]:
    """Weighted non-maximum suppression: overlapping detections become their mean weighted by score.

    Args:
        boxes: (N, 16) from `decode`, in any unit.
        scores: (N,) in [0, 1].

    Returns:
        (M, 16) and (M,), best first; a group keeps its best score.
    """
    order = np.argsort(-scores, kind='stable')
    merged, best = [], []
    while order.size:
        first = order[0]
        same = overlap(boxes[first, :4], boxes[order, :4]) > OVERLAP_LIMIT
        same[0] = True
        group = order[same]
        weights = scores[group, None]
        merged.append((boxes[group] * weights).sum(axis=0) / weights.sum())
        best.append(scores[first])
        order = order[~same]
    return np.array(merged, dtype=np.float32).reshape(-1, 16), np.array(best, dtype=np.float32)


class FaceDetector:
    """Finds faces with one interpreter of `face_detector.tflite`; not for use from two threads at once."""

    def __init__(self, interpreter: Any, threshold: float = 0.5) -> None:
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]['index']
        outputs = {int(detail['shape'][-1]): detail['index'] for detail in interpreter.get_output_details()}
        self._regressors, self._logits = outputs[16], outputs[1]
        self._threshold = threshold

    def detect(self, image: Pixels, scales: int = 4) -> list[Detection]:
        """Faces in an image, best first.

        Args:
            image: (H, W, 3) RGB, any size.
            scales: number of scales; 1 fits the whole image into the network, and each further one halves the size
                of the smallest face that is found, as far as the resolution of the image allows.

        Returns:
            Detections in pixels of `image`; [] if no face is found.
        """
        boxes, scores = [], []
        threshold = self._threshold
        for window in _windows(image, scales):
            rows, confidence = self._placed(*window, threshold)
            threshold = max(self._threshold, FINE_THRESHOLD)
            boxes.append(rows)
            scores.append(confidence)
        merged, best = merge(np.concatenate(boxes), np.concatenate(scores))
        if not len(best):
            return self.detect_tight(image)
        return [_detection(row, float(score)) for row, score in zip(merged, best, strict=True)]

    def detect_tight(self, image: Pixels) -> list[Detection]:
        """Faces in an image with a black margin around it, best first; see TIGHT_MARGIN."""
        height, width = image.shape[:2]
        factor = TIGHT_MARGIN * max(height, width) / SIDE
        window = _letterbox(Image.fromarray(image), factor)
        merged, best = merge(*self._placed(window, *_margins(width, height, factor), factor, self._threshold))
        return [_detection(row, float(score)) for row, score in zip(merged, best, strict=True)]

    def best_logit(self, window: Pixels) -> float:
        """The highest raw score (logit) in a (128, 128, 3) window: larger where it shows an upright face."""
        self._invoke(window)
        return float(self._interpreter.get_tensor(self._logits).max())

    def _invoke(self, window: Pixels) -> None:
        self._interpreter.set_tensor(self._input, (window.astype(np.float32) / 127.5 - 1.0)[None])
        self._interpreter.invoke()

    def _placed(
        self, window: Pixels, left: float, top: float, factor: float, threshold: float
    ) -> tuple[Floats32, Floats32]:
        """Boxes and keypoints (N, 16) detected in one window, in pixels of the whole image, and their scores (N,)."""
        rows, confidence = self._run(window, threshold)
        rows = rows * np.float32(SIDE)
        rows[:, 0::2] = (rows[:, 0::2] + left) * factor
        rows[:, 1::2] = (rows[:, 1::2] + top) * factor
        return rows, confidence

    def _run(self, window: Pixels, threshold: float) -> tuple[Floats32, Floats32]:
        """Boxes and keypoints (N, 16) in one 128 x 128 window, in units of its side, and their scores (N,)."""
        self._invoke(window)
        regressors = self._interpreter.get_tensor(self._regressors)[0]
        logits = self._interpreter.get_tensor(self._logits)[0, :, 0]
        return decode(regressors, logits, threshold)


def _detection(row: Floats32, score: float) -> Detection:
    corner, size = row[:2], row[2:4] - row[:2]
    return Detection(score, np.concatenate([corner, size]), row[4:].reshape(6, 2))


def _windows(image: Pixels, scales: int) -> Iterator[tuple[Pixels, float, float, float]]:
    """Yield 128 x 128 windows, their left and top edges, and the number of image pixels per window pixel."""
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    long, short = max(height, width), min(height, width)
    factor = long / SIDE
    yield _letterbox(picture, factor), *_margins(width, height, factor), factor
    for level in range(1, scales):
        factor = short / (SIDE * 2 ** (level - 1))
        if factor < 1.0 or factor > 0.8 * long / SIDE:
            continue
        size = (max(SIDE, round(width / factor)), max(SIDE, round(height / factor)))
        small = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
        for top in _starts(size[1]):
            for left in _starts(size[0]):
                yield small[top : top + SIDE, left : left + SIDE], float(left), float(top), factor


def _margins(width: int, height: int, factor: float) -> tuple[float, float]:
    """Left and top edge of the letterboxed window in the scaled image: minus the width of the bars."""
    columns, rows = _fitted(width, height, factor)
    return -float((SIDE - columns) // 2), -float((SIDE - rows) // 2)


def _fitted(width: int, height: int, factor: float) -> tuple[int, int]:
    return max(1, round(width / factor)), max(1, round(height / factor))


def _letterbox(picture: Image.Image, factor: float) -> Pixels:
    """The whole image, scaled to fit and centred on black, as in the network's training."""
    columns, rows = _fitted(*picture.size, factor)
    small = picture.resize((columns, rows), Image.Resampling.BILINEAR, reducing_gap=2.0)
    canvas = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    left, top = (SIDE - columns) // 2, (SIDE - rows) // 2
    canvas[top : top + rows, left : left + columns] = np.asarray(small)
    return canvas


def _starts(length: int) -> list[int]:
    """First pixels of evenly spaced windows that cover `length` input pixels."""
    last = length - SIDE
    steps = -(-last // LONGEST_STEP)
    return [round(last * step / steps) for step in range(steps + 1)] if steps else [0]
