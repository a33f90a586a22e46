"""The best thumbnail of each person: large, sharp, frontal, eyes open, certainly a face."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from affekt.faces.mesh import Face
from affekt.faces.readings import READINGS

SIDE = 160
"""Height and width of a thumbnail, pixels."""
BETTER = 1.1
"""Minimum ratio of scores for a new image to replace the current one."""
_MARGIN = 1.7
_COLUMN = {reading.name: index for index, reading in enumerate(READINGS)}


@dataclass
class Thumbnail:
    """One person's best image so far."""

    score: float = 0.0
    time_s: float = float('nan')
    jpeg: bytes | None = None

    def consider(
        self, time_s: float, image: npt.NDArray[np.uint8], face: Face, values: npt.NDArray[np.float32]
    ) -> None:
        """Keep this image if its score is at least `BETTER` times the current one; `values` are the face's readings."""
        score = picture_score(values)
        if self.jpeg is not None and not score > BETTER * self.score:
            return
        self.score, self.time_s, self.jpeg = score, time_s, thumbnail_jpeg(image, face)


def picture_score(values: npt.NDArray[np.float32]) -> float:
    """Score of an image of a face, >= 0: quality, times size up to 160 pixels, times eye opening."""
    quality, size, closed = (float(values[_COLUMN[name]]) for name in ('quality', 'face_size_px', 'eyes_closed'))
    return quality * min(size / SIDE, 1.0) * (1.0 - 0.7 * min(max(closed, 0.0), 1.0))


def thumbnail_jpeg(image: npt.NDArray[np.uint8], face: Face) -> bytes:
    """The face with some room around it as a JPEG of 160 x 160 pixels; black beyond the image."""
    x, y, width, height = (float(value) for value in face.box)
    side = max(8.0, _MARGIN * max(width, height))
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2 - 0.08 * side
    left = min(max(left, 0.0), image.shape[1] - side) if side <= image.shape[1] else left
    top = min(max(top, 0.0), image.shape[0] - side) if side <= image.shape[0] else top
    box = (round(left), round(top), round(left + side), round(top + side))
    rows, columns = slice(max(box[1], 0), max(box[3], 0)), slice(max(box[0], 0), max(box[2], 0))
    canvas = Image.new('RGB', (box[2] - box[0], box[3] - box[1]))
    part = image[rows, columns]
    if part.size:
        canvas.paste(Image.fromarray(part), (columns.start - box[0], rows.start - box[1]))
    buffer = io.BytesIO()
    canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(buffer, format='JPEG', quality=85)
    return buffer.getvalue()
