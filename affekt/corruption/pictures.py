"""Corruption of frames: blur, occlusion, brightness, dropped frames.

H, W pixels of an (H, W, 3) uint8 image.
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
"""Value of occluded pixels."""
BLUR_RATES = (1, 2, 4, 8, 16, 32, 64)
"""Factors by which a pyramid reduces an image before enlarging it again."""


def gaussian_blurred(image: Image, sigma: float) -> Image:
    """The image blurred by a Gaussian of `sigma` pixels, truncated at 4 sigma; edges are extended by repetition.

    Raises:
        ValueRangeError: sigma is not positive and finite.
    """
    from scipy.ndimage import gaussian_filter1d

    _require('sigma', sigma, 0.0, np.inf)
    soft = image.astype(np.float32)
    for axis in (0, 1):
        soft = gaussian_filter1d(soft, sigma, axis=axis, mode='nearest', truncate=4.0)
    return np.clip(np.rint(soft), 0, 255).astype(np.uint8)


def pyramid_blurred(image: Image, rate: int) -> Image:
    """The image halved log2(rate) times and doubled as often, as the MER challenges blur.

    Halving smooths by [1 4 6 4 1] / 16 along both axes and keeps every second row and column; doubling inserts zeros
    and smooths by twice that kernel. Edges are mirrored (in doubling, far edges are repeated). Identical to OpenCV's
    `pyrDown` and `pyrUp`, bit for bit.

    Args:
        image: (H, W, 3).
        rate: one of `BLUR_RATES`; 1 returns the image unchanged.

    Returns:
        The image, its sides rounded up to a multiple of the rate.

    Raises:
        ValueRangeError: there is no such rate.

    Source: Burt & Adelson 1983, doi:10.1109/TCOM.1983.1095851.
    """
    if rate not in BLUR_RATES:
        raise ValueRangeError(
            expected=f'a blur rate among {", ".join(map(str, BLUR_RATES))}', came=f'{rate}', todo='give another value'
        )
    steps = BLUR_RATES.index(rate)
    for _ in range(steps):
        # The kernel sums to 16 along each axis: 255 * 16 * 16 < 2**16.
        wide = image.astype(np.uint16)
        image = ((_halved(_halved(wide, 0), 1) + 128) >> 8).astype(np.uint8)
    for _ in range(steps):
        wide = image.astype(np.uint16)
        # Both kernels of `_doubled` sum to 8 along each axis: 255 * 8 * 8 < 2**16.
        image = ((_doubled(_doubled(wide, 0), 1) + 32) >> 6).astype(np.uint8)
    return image


def _halved(image: npt.NDArray[np.uint16], axis: int) -> npt.NDArray[np.uint16]:
    """Every second row or column after smoothing by [1 4 6 4 1], times 16."""
    along = np.moveaxis(image, axis, 0)
    size = (len(along) + 1) // 2
    padded = np.pad(along, ((2, 2), *[(0, 0)] * (along.ndim - 1)), mode='reflect')
    taps = [padded[offset : offset + 2 * size : 2] for offset in range(5)]
    return np.moveaxis(taps[0] + 4 * taps[1] + 6 * taps[2] + 4 * taps[3] + taps[4], 0, axis)


def _doubled(image: npt.NDArray[np.uint16], axis: int) -> npt.NDArray[np.uint16]:
    """Twice as many rows or columns, times 8.

    Rows a b c become 6 a + 2 b, 4 a + 4 b, a + 6 b + c, 4 b + 4 c, b + 7 c, 8 c:
    the near edge is mirrored (b a b c), the far edge repeated (a b c c).
    """
    along = np.moveaxis(image, axis, 0)
    before = np.concatenate([along[1:2] if len(along) > 1 else along[:1], along[:-1]])
    after = np.concatenate([along[1:], along[-1:]])
    pairs = np.stack([before + 6 * along + after, 4 * (along + after)], axis=1)  # (L, 2, ...), L rows or columns
    return np.moveaxis(pairs.reshape(2 * len(along), *along.shape[1:]), 0, axis)


def occlusion_box(height: int, width: int, share: float, rng: np.random.Generator) -> Box:
    """A rectangle with the image's aspect ratio that covers a share of it, at a random position.

    The sides are rounded to pixels: first the height to H sqrt(share), then the width to the value that comes closest
    to the share.

    Raises:
        ValueRangeError: the share is not in (0, 1].
    """
    _require('share', share, 0.0, 1.0)
    box_height = min(height, max(1, round(height * share**0.5)))
    box_width = min(width, max(1, round(share * height * width / box_height)))
    return int(rng.integers(height - box_height + 1)), int(rng.integers(width - box_width + 1)), box_height, box_width


def covered(image: Image, box: Box) -> Image:
    """A copy of the image with the box in black."""
    top, left, height, width = box
    occluded = image.copy()
    occluded[top : top + height, left : left + width] = COVER
    return occluded


def brightened(image: Image, factor: float) -> tuple[Image, int]:
    """The image times a factor, and the number of values clipped at 255.

    Raises:
        ValueRangeError: the factor is not positive and finite.
    """
    _require('factor', factor, 0.0, np.inf)
    bright = np.rint(image.astype(np.float32) * np.float32(factor))
    return np.clip(bright, 0, 255).astype(np.uint8), int(np.count_nonzero(bright > 255))


@dataclass
class PictureDamage:
    """Corrupts the frames of one clip in order, and counts them.

    Steps per frame: a dropped frame is replaced by the previous one, as a player shows it, so that times and duration
    stay; blur; brightness; occlusion at a position that is fixed for the whole clip. The first five fields are
    settings, None for a step that is left out.
    """

    blur_sigma: float | None = None
    """Standard deviation of `gaussian_blurred`, in pixels."""
    occlude_share: float | None = None
    """Share of the image's area that is occluded, in (0, 1]."""
    drop_rate: float | None = None
    """Probability that a frame, except the first, is dropped."""
    brightness: float | None = None
    """Factor on pixel values."""
    blur_rate: int | None = None
    """Rate of `pyramid_blurred`, applied before the Gaussian."""
    pictures: int = 0
    """Number of frames so far."""
    dropped: int = 0
    """Number of dropped frames."""
    saturated: int = 0
    """Number of values clipped at 255 by the brightness."""
    box: Box | None = None
    """Occluded area; None before the first frame, and without occlusion."""

    @property
    def changes(self) -> bool:
        """Whether frames change at all."""
        settings = (self.blur_sigma, self.occlude_share, self.drop_rate, self.brightness)
        return self.blur_rate not in (None, 1) or any(value is not None for value in settings)

    def __call__(self, frames: Iterable[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """The corrupted frames with their original times."""
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
        if self.blur_rate is not None:
            image = pyramid_blurred(image, self.blur_rate)
        if self.blur_sigma is not None:
            image = gaussian_blurred(image, self.blur_sigma)
        if self.brightness is not None:
            image, clipped = brightened(image, self.brightness)
            self.saturated += clipped
        return image if self.box is None else covered(image, self.box)

    def facts(self) -> dict[str, Any]:
        """Requested and applied changes as plain values."""
        entries: dict[str, Any] = {'pictures': self.pictures}
        if self.blur_rate is not None:
            entries['blur_rate'] = self.blur_rate
        if self.blur_sigma is not None:
            entries['blur_sigma'] = self.blur_sigma
        if self.box is not None:
            entries['occluded'] = list(self.box)
        if self.drop_rate is not None:
            entries |= {'drop_rate': self.drop_rate, 'dropped': self.dropped}
        if self.brightness is not None:
            entries |= {'brightness': self.brightness, 'saturated': self.saturated}
        return entries


def _require(name: str, value: float, lower: float, upper: float) -> None:
    if not (lower < value <= upper and np.isfinite(value)):
        upper_bound = f' and at most {upper:g}' if np.isfinite(upper) else ''
        raise ValueRangeError(
            expected=f'{name} above {lower:g}{upper_bound}', came=f'{value}', todo='give another value'
        )
