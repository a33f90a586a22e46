"""The visible note that a face was moved by software."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError

NOTE = 'Face animated by software (affekt)'
SHORT_NOTE = 'AI · affekt'
"""Note for images in which the full note would be too small to read."""
_LEAST_PX = 9
"""Minimum legible height of letters in pixels."""
_SHARE = 0.032
"""Height of letters relative to the image."""

Image = npt.NDArray[np.uint8]


def with_note(image: Image) -> Image:
    """A copy of the image with the note in its lower left corner, white on a darkened strip.

    Args:
        image: (H, W, 3) RGB.

    Raises:
        ShapeError: another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(expected='(H, W, 3) uint8', came=f'{image.dtype} {image.shape}', todo='convert the image')
    letters, strip = _note_of(image.shape[0], image.shape[1])
    height, width = letters.shape
    marked = image.copy()
    corner = marked[image.shape[0] - height :, :width].astype(np.float32)
    dark = corner * (1 - strip)[..., None]
    marked[image.shape[0] - height :, :width] = (dark + (255 - dark) * letters[..., None] + 0.5).astype(np.uint8)
    return marked


@lru_cache(maxsize=8)
def _note_of(height: int, width: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Opacity of the letters and of the strip behind them, for an image of this size."""
    from PIL import Image as PillowImage
    from PIL import ImageDraw, ImageFont

    size = max(_LEAST_PX, round(_SHARE * height))
    text = NOTE
    font = ImageFont.load_default(size)
    if font.getlength(text) + size > width:
        text = SHORT_NOTE
    while size > 4 and font.getlength(text) + size > width:
        size -= 1
        font = ImageFont.load_default(size)
    strip_width = min(width, round(font.getlength(text) + size))
    strip_height = min(height, round(1.7 * size))
    canvas = PillowImage.new('L', (strip_width, strip_height), 0)
    ImageDraw.Draw(canvas).text((size / 2, strip_height / 2), text, fill=255, font=font, anchor='lm')
    letters = np.asarray(canvas, dtype=np.float32) / np.float32(255)
    return letters, np.full((strip_height, strip_width), 0.55, dtype=np.float32)
