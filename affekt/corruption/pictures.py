"""Pictures made worse: blur, a covered part, another brightness, pictures that never arrived.

H, W pixels of an (H, W, 3) uint8 picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.errors import ValueRangeError
from affekt.media import Frame

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Top, left, height, width in pixels."""
COVER = 0
"""The value of covered pixels."""


def gaussian_blurred(image: Image, sigma: float) -> Image:
    """The picture under a Gaussian of `sigma` pixels, cut at 4 sigma; beyond the edge the last row goes on.

    Raises:
        ValueRangeError: sigma is not positive and finite.
    """
    from scipy.ndimage import gaussian_filter1d

    _require('sigma', sigma, 0.0, np.inf)
    soft = image.astype(np.float32)
    for axis in (0, 1):
        soft = gaussian_filter1d(soft, sigma, axis=axis, mode='nearest', truncate=4.0)
    return np.clip(np.rint(soft), 0, 255).astype(np.uint8)


def occlusion_box(height: int, width: int, share: float, rng: np.random.Generator) -> Box:
    """A rectangle of the picture's own shape that covers a share of it, anywhere inside.

    The sides are rounded to pixels: first the height to H sqrt(share), then the width to what comes closest to the
    share.

    Raises:
        ValueRangeError: the share is not in (0, 1].
    """
    _require('share', share, 0.0, 1.0)
    tall = min(height, max(1, round(height * share**0.5)))
    wide = min(width, max(1, round(share * height * width / tall)))
    return int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1)), tall, wide


def covered(image: Image, box: Box) -> Image:
    """The picture with a black rectangle."""
    top, left, tall, wide = box
    found = image.copy()
    found[top : top + tall, left : left + wide] = COVER
    return found


def brightened(image: Image, factor: float) -> tuple[Image, int]:
    """The picture times a factor, and how many values were cut at 255.

    Raises:
        ValueRangeError: the factor is not positive and finite.
    """
    _require('factor', factor, 0.0, np.inf)
    bright = np.rint(image.astype(np.float32) * np.float32(factor))
    return np.clip(bright, 0, 255).astype(np.uint8), int(np.count_nonzero(bright > 255))


@dataclass
class PictureDamage:
    """Damages the pictures of one clip in turn, and counts.

    In this order: a picture that does not arrive is replaced by the one before, as a player shows it, so that times and
    length stay; blur; brightness; the covered part, which stays where it is for the whole clip.
    """

    blur_sigma: float | None = None
    occlude_share: float | None = None
    drop_rate: float | None = None
    """The probability with which each picture but the first does not arrive."""
    brightness: float | None = None
    pictures: int = 0
    dropped: int = 0
    saturated: int = 0
    """Values that the brightness cut at 255."""
    box: Box | None = None

    def __call__(self, frames: Iterable[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """The damaged pictures, with the times they had."""
        last: Image | None = None
        for frame in frames:
            if self.occlude_share is not None and self.box is None:
                self.box = occlusion_box(len(frame.image), frame.image.shape[1], self.occlude_share, rng)
            self.pictures += 1
            if self.drop_rate is not None and rng.random() < self.drop_rate and last is not None:
                self.dropped += 1
            else:
                last = self._damaged(frame.image)
            yield Frame(frame.time_s, last, frame.is_damaged)

    def _damaged(self, image: Image) -> Image:
        if self.blur_sigma is not None:
            image = gaussian_blurred(image, self.blur_sigma)
        if self.brightness is not None:
            image, cut = brightened(image, self.brightness)
            self.saturated += cut
        return image if self.box is None else covered(image, self.box)

    def facts(self) -> dict[str, Any]:
        """What was asked and what was done."""
        found: dict[str, Any] = {'pictures': self.pictures}
        if self.blur_sigma is not None:
            found['blur_sigma'] = self.blur_sigma
        if self.box is not None:
            found['occluded'] = list(self.box)
        if self.drop_rate is not None:
            found |= {'drop_rate': self.drop_rate, 'dropped': self.dropped}
        if self.brightness is not None:
            found |= {'brightness': self.brightness, 'saturated': self.saturated}
        return found


def _require(name: str, value: float, above: float, most: float) -> None:
    if not (above < value <= most and np.isfinite(value)):
        upto = f' and at most {most:g}' if np.isfinite(most) else ''
        raise ValueRangeError(expected=f'{name} above {above:g}{upto}', came=f'{value}', todo='give another value')
