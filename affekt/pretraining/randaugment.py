"""RandAugment of a whole clip: fifteen colour and geometric transforms, the same for all frames, as tensor operations.

Each maps (T, 3, H, W) uint8 to the same shape and equals the Pillow operation that published code runs frame by frame:
image statistics (extremes, histogram, mean) are computed per frame; only the last bit may differ, where Pillow computes
in double precision. Uncovered areas are filled with grey 128.

`rand-m7-n4-mstd0.5-inc1` means: draw one of the fifteen four times, with repetition; each is then applied with
probability one half, at a level drawn from N(7, .5) and clipped to [0, 10]; the strength grows with the level, which
`arguments` converts to degrees, shares or shades.

Axes: T frames, H, W pixels, P = 3 T planes, N = H W pixels of a plane, K taps.

Source: Cubuk et al. 2020, arXiv:1909.13719; the levels as in timm (github.com/huggingface/pytorch-image-models).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from affekt.errors import ValueRangeError
from affekt.pretraining.draws import happens, normal, whole

FILL = 128
"""Value of uncovered pixels, in all channels."""
HIGHEST_LEVEL = 10.0
_LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in a grey image, out of 65,536."""


def auto_contrasted(frames: Tensor) -> Tensor:
    """Every colour channel of every frame stretched from its minimum and maximum to 0 and 255."""
    low, high = torch.aminmax(frames.flatten(2), dim=2, keepdim=True)  # (T, 3, 1)
    scale = 255.0 / (high.double() - low.double())
    shades = torch.arange(256, dtype=torch.float64)
    spread = (shades * scale - low.double() * scale).clamp(0, 255).to(torch.uint8)  # (T, 3, 256)
    return _looked_up(frames, torch.where(high > low, spread, shades.to(torch.uint8)))


def equalized(frames: Tensor) -> Tensor:
    """Histogram equalisation of every colour channel of every frame."""
    indices = _table_indices(frames)
    counts = torch.bincount(indices, minlength=frames.shape[0] * 3 * 256).view(*frames.shape[:2], 256)
    filled = counts > 0
    last = 255 - filled.flip(2).to(torch.uint8).argmax(dim=2, keepdim=True)  # (T, 3, 1): the highest shade that occurs
    step = (counts.sum(dim=2, keepdim=True) - counts.gather(2, last)) // 255
    before = counts.cumsum(dim=2) - counts
    spread = ((step // 2 + before) // step.clamp(min=1)).clamp(max=255)
    identity = torch.arange(256).expand_as(spread)
    return _from_table(indices, torch.where(step > 0, spread, identity).to(torch.uint8), frames)


def inverted(frames: Tensor) -> Tensor:
    """255 minus every value."""
    return ~frames


def posterized(frames: Tensor, bits: int) -> Tensor:
    """Every value reduced to its highest bits."""
    return frames.bitwise_and(256 - 2 ** (8 - bits))


def solarized(frames: Tensor, threshold: int) -> Tensor:
    """Values from the threshold on inverted."""
    return torch.where(frames < threshold, frames, ~frames) if threshold < 256 else frames


def solar_added(frames: Tensor, more: int) -> Tensor:
    """Values below 128 increased by `more`, to 255 at most."""
    return torch.where(frames < 128, (frames.to(torch.int16) + more).clamp(max=255).to(torch.uint8), frames)


def coloured(frames: Tensor, factor: float) -> Tensor:
    """Saturation scaled by a factor: 0 is grey, 1 unchanged."""
    return _blended(_grey(frames), frames, factor)


def contrasted(frames: Tensor, factor: float) -> Tensor:
    """Contrast to the frame's mean shade scaled by a factor."""
    mean = (_grey(frames).flatten(1).double().mean(dim=1) + 0.5).floor()  # (T,)
    return _blended(mean.view(-1, 1, 1, 1), frames, factor)


def brightened(frames: Tensor, factor: float) -> Tensor:
    """Brightness scaled by a factor."""
    return _blended(torch.zeros(1, 1, 1, 1), frames, factor)


def sharpened(frames: Tensor, factor: float) -> Tensor:
    """Difference from the smoothed frame scaled by a factor; the outermost pixels stay."""
    values = frames.to(torch.int16)
    across = values[..., :-2] + values[..., 1:-1] + values[..., 2:]
    around = across[..., :-2, :] + across[..., 1:-1, :] + across[..., 2:, :]
    inner = (around + 4 * values[..., 1:-1, 1:-1]).float()  # eight neighbours once and the pixel five times
    smooth = frames.float()
    smooth[..., 1:-1, 1:-1] = (inner / 13 + 0.5).floor()
    return _blended(smooth, frames, factor)


def rotated(frames: Tensor, degrees: float) -> Tensor:
    """Rotated about the centre, counter-clockwise."""
    height, width = frames.shape[-2:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = width / 2, height / 2
    return _moved(frames, (cosine, -sine, x - cosine * x + sine * y), (sine, cosine, y - sine * x - cosine * y))


def sheared_x(frames: Tensor, share: float) -> Tensor:
    """Every row shifted by a share of its height."""
    return _moved(frames, (1, share, 0), (0, 1, 0))


def sheared_y(frames: Tensor, share: float) -> Tensor:
    """Every column shifted by a share of its distance from the left."""
    return _moved(frames, (1, 0, 0), (share, 1, 0))


def translated_x(frames: Tensor, share: float) -> Tensor:
    """Shifted to the left by a share of the width."""
    return _moved(frames, (1, 0, share * frames.shape[-1]), (0, 1, 0))


def translated_y(frames: Tensor, share: float) -> Tensor:
    """Shifted up by a share of the height."""
    return _moved(frames, (1, 0, 0), (0, 1, share * frames.shape[-2]))


CHANGES: dict[str, Callable[..., Tensor]] = {
    'AutoContrast': auto_contrasted,
    'Equalize': equalized,
    'Invert': inverted,
    'Rotate': rotated,
    'PosterizeIncreasing': posterized,
    'SolarizeIncreasing': solarized,
    'SolarizeAdd': solar_added,
    'ColorIncreasing': coloured,
    'ContrastIncreasing': contrasted,
    'BrightnessIncreasing': brightened,
    'SharpnessIncreasing': sharpened,
    'ShearX': sheared_x,
    'ShearY': sheared_y,
    'TranslateXRel': translated_x,
    'TranslateYRel': translated_y,
}
"""Name in timm to the transform."""
_STRENGTHS = {
    'Rotate': (0.0, 30.0),
    'ColorIncreasing': (1.0, 0.9),
    'ContrastIncreasing': (1.0, 0.9),
    'BrightnessIncreasing': (1.0, 0.9),
    'SharpnessIncreasing': (1.0, 0.9),
    'ShearX': (0.0, 0.3),
    'ShearY': (0.0, 0.3),
    'TranslateXRel': (0.0, 0.45),
    'TranslateYRel': (0.0, 0.45),
}
"""Neutral argument, and its distance from that of the highest level, in either direction."""


@dataclass(frozen=True)
class RandAugment:
    """Randomly drawn transforms, the same for all frames of a clip.

    Raises:
        ValueRangeError: a number outside its range.
    """

    level: float = 7.0
    """Mean level of the transforms, in [0, 10]."""
    count: int = 4
    """Number of transforms drawn."""
    deviation: float = 0.5
    """Standard deviation of the level."""
    probability: float = 0.5
    """Probability that a drawn transform is applied."""

    def __post_init__(self) -> None:
        is_valid = 0 <= self.level <= HIGHEST_LEVEL and self.count >= 0 and self.deviation >= 0
        if not is_valid or not 0 <= self.probability <= 1:
            raise ValueRangeError(
                expected='a level from 0 to 10, a count and a deviation of 0 or more, a probability from 0 to 1',
                came=f'{self}', todo='give others',
            )  # fmt: skip

    @classmethod
    def named(cls, name: str) -> RandAugment:
        """RandAugment by a name such as `rand-m7-n4-mstd0.5-inc1`; it must end in inc1, since the other variant is not
        supported.

        Raises:
            ValueRangeError: the name has another form.
        """
        match = re.fullmatch(r'rand-m(\d+)-n(\d+)-mstd(\d+(?:\.\d+)?)-inc1', name)
        if match is None:
            raise ValueRangeError(
                expected='a name like rand-m7-n4-mstd0.5-inc1', came=name, todo='give level, count and deviation so'
            )
        return cls(float(match[1]), int(match[2]), float(match[3]))

    def __call__(self, frames: Tensor, rng: torch.Generator) -> Tensor:
        """(T, 3, H, W) uint8 frames after the changes that were drawn."""
        for name in [list(CHANGES)[whole(len(CHANGES), rng)] for _ in range(self.count)]:
            if happens(self.probability, rng):
                level = min(max(normal(self.level, self.deviation, rng), 0.0), HIGHEST_LEVEL)
                frames = CHANGES[name](frames, *arguments(name, level, is_reversed=happens(0.5, rng)))
        return frames


def arguments(name: str, level: float, *, is_reversed: bool = False) -> tuple[float, ...]:
    """The arguments of a transform at a level.

    Args:
        name: key of `CHANGES`.
        level: strength of the transform, in [0, 10].
        is_reversed: whether to use the opposite direction, if there are two.
    """
    share = level / HIGHEST_LEVEL
    if name in _STRENGTHS:
        neutral, reach = _STRENGTHS[name]
        return (neutral + (-share if is_reversed else share) * reach,)
    if name == 'PosterizeIncreasing':
        return (max(4 - int(share * 4), 1),)  # published code keeps no bit at the highest level, which leaves black
    if name == 'SolarizeIncreasing':
        return (256 - int(share * 256),)
    if name == 'SolarizeAdd':
        return (int(share * 110),)
    return ()


def _table_indices(frames: Tensor) -> Tensor:
    """(P N,) int32 of each value in a table of 256 shades a plane."""
    starts = torch.arange(0, frames.shape[0] * 3 * 256, 256, dtype=torch.int32)  # (P,)
    return (frames + starts.view(*frames.shape[:2], 1, 1)).flatten()  # (T, 3, H, W), then (P N,)


def _looked_up(frames: Tensor, table: Tensor) -> Tensor:
    """Frames through a (T, 3, 256) table."""
    return _from_table(_table_indices(frames), table, frames)


def _from_table(indices: Tensor, table: Tensor, frames: Tensor) -> Tensor:
    return table.flatten().index_select(0, indices).view_as(frames)  # (P 256,), then (T, 3, H, W)


def _grey(frames: Tensor) -> Tensor:
    """(T, 1, H, W) float32 whole shades of grey, as Pillow's mode L."""
    red, green, blue = (frames[:, i : i + 1].to(torch.int32) * part for i, part in enumerate(_LUMA))
    return ((red + green + blue + 0x8000) >> 16).float()


def _blended(degenerate: Tensor, frames: Tensor, factor: float) -> Tensor:
    """degenerate + factor (frames - degenerate), clipped to [0, 255] and truncated to whole numbers."""
    return frames.float().sub_(degenerate).mul_(factor).add_(degenerate).clamp_(0, 255).to(torch.uint8)


def _moved(frames: Tensor, x_of: tuple[float, ...], y_of: tuple[float, ...]) -> Tensor:
    """Frames whose pixel (x, y) is read at x_of · (x, y, 1) and y_of · (x, y, 1), from 4 x 4 pixels around it.

    The cubic is Pillow's for transforms, with a = -1: its weights of the pixels before, at, after, and two after a
    point, which lies d behind the second, are

        -d + 2d² - d³    1 - 2d² + d³    d + d² - d³    -d² + d³

    Edge pixels are repeated beyond the edge; a point outside is grey. All planes have the same weights, so that one
    weighted sum of rows of P values computes all.
    """
    count, _, height, width = frames.shape
    column = torch.arange(width, dtype=torch.float64) + 0.5
    row = torch.arange(height, dtype=torch.float64).unsqueeze(1) + 0.5  # (H, 1)
    x = (x_of[0] * column + x_of[1] * row + x_of[2]).flatten()  # (N,)
    y = (y_of[0] * column + y_of[1] * row + y_of[2]).flatten()
    columns, weights_x = _taps(x, width)
    rows, weights_y = _taps(y, height)
    pixels = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).flatten(1)  # (N, 4, 4) to (N, K)
    weights = (weights_y.unsqueeze(2) * weights_x.unsqueeze(1)).flatten(1)
    used = (weights != 0).any(dim=0)  # along a single axis four of the sixteen
    table = frames.reshape(-1, height * width).t().contiguous().float()  # (P, N) to (N, P)
    values = torch.nn.functional.embedding_bag(pixels[:, used], table, per_sample_weights=weights[:, used], mode='sum')
    values = (values + 1e-3).clamp_(0, 255).to(torch.uint8)  # keeps integers despite rounded weights
    values[(x < 0) | (x >= width) | (y < 0) | (y >= height)] = FILL
    return values.view(height, width, count, 3).permute(2, 3, 0, 1).contiguous()  # (T, 3, H, W)


def _taps(points: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """(N, 4) pixels around each point and their weights."""
    first = (points - 0.5).floor()
    d = (points - 0.5 - first).float()
    square, cube = d * d, d * d * d
    weights = torch.stack([2 * square - d - cube, 1 - 2 * square + cube, d + square - cube, cube - square], dim=1)
    pixels = (first.int().unsqueeze(1) + torch.arange(-1, 3, dtype=torch.int32)).clamp(0, length - 1)
    return pixels, weights
