"""Test media with known content: frames that show their own number, audio with clicks at known times.

A numbered frame shows its number as a 4 x 5 grid of black and white cells (20 bits, the lowest one in the top left
cell) within a border whose corners are red (top left), green (top right), blue (bottom left) and grey (bottom right). A
test can thus read from any decoded frame its number and its orientation, after any codec.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, ValueRangeError

Image = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.float32]

ROWS, COLUMNS = 4, 5
BITS = ROWS * COLUMNS
SMALLEST = 48
"""Minimum width and height of a numbered frame, in pixels."""
MARGIN = 6
"""Ratio of a side of the frame to the width of its border."""
CORNERS = {
    'top left': (220, 30, 30),
    'top right': (30, 200, 30),
    'bottom left': (30, 30, 220),
    'bottom right': (128, 128, 128),
}
CLICK_S = 0.004
CLICK_HZ = 2000.0


def numbered_image(number: int, width: int = 160, height: int = 120) -> Image:
    """(height, width, 3) RGB frame that shows `number`, 0 to 2**20 - 1.

    Raises:
        ValueRangeError: the number is out of range.
        ShapeError: a side is shorter than 48 pixels.
    """
    if not 0 <= number < 2**BITS:
        raise ValueRangeError(expected=f'a number in [0, {2**BITS})', came=str(number), todo='use fewer frames')
    if min(width, height) < SMALLEST:
        raise ShapeError(expected=f'sides of at least {SMALLEST}', came=f'{width}x{height}', todo='draw it larger')
    image = np.full((height, width, 3), 60, np.uint8)
    margin_y, margin_x = height // MARGIN, width // MARGIN
    for (vertical, horizontal), colour in zip(((0, 0), (0, 1), (1, 0), (1, 1)), CORNERS.values(), strict=True):
        rows = slice(height - margin_y, height) if vertical else slice(0, margin_y)
        columns = slice(width - margin_x, width) if horizontal else slice(0, margin_x)
        image[rows, columns] = colour
    for bit in range(BITS):
        top, bottom, start, end = _cell(bit, width, height)
        image[top:bottom, start:end] = 235 if number >> bit & 1 else 20
    return image


def read_number(image: Image) -> int:
    """The number in a frame made by `numbered_image`, at any size."""
    height, width = image.shape[:2]
    number = 0
    for bit in range(BITS):
        top, bottom, start, end = _cell(bit, width, height)
        inset_y, inset_x = (bottom - top) // 4, (end - start) // 4
        cell = image[top + inset_y : bottom - inset_y, start + inset_x : end - inset_x]
        number |= int(cell.mean() > 127) << bit
    return number


def upright_corner(image: Image) -> str:
    """The corner with the red mark: 'top left' if the frame is upright."""
    height, width = image.shape[:2]
    margin_y, margin_x = max(1, height // MARGIN // 2), max(1, width // MARGIN // 2)
    patches = {
        'top left': image[:margin_y, :margin_x],
        'top right': image[:margin_y, -margin_x:],
        'bottom left': image[-margin_y:, :margin_x],
        'bottom right': image[-margin_y:, -margin_x:],
    }
    redness = {name: float(patch[..., 0].mean() - patch[..., 1:].mean()) for name, patch in patches.items()}
    return max(redness, key=lambda name: redness[name])


def numbered_images(count: int, width: int = 160, height: int = 120, first: int = 0) -> Iterator[Image]:
    """`count` numbered frames from number `first` on."""
    return (numbered_image(number, width, height) for number in range(first, first + count))


def clicks(length_s: float, times_s: Sequence[float], rate_hz: int = 16_000, loudness: float = 0.8) -> Samples:
    """(N,) silence with a click of 4 ms (a decaying 2 kHz tone that starts with its peak) at each time."""
    samples = np.zeros(round(length_s * rate_hz), np.float32)
    t = np.arange(round(CLICK_S * rate_hz)) / rate_hz
    shape = (loudness * np.cos(2 * np.pi * CLICK_HZ * t) * np.exp(-t / 0.002)).astype(np.float32)
    for time_s in times_s:
        start = round(time_s * rate_hz)
        end = min(len(samples), start + len(shape))
        samples[start:end] += shape[: end - start]
    return samples


def find_clicks(samples: Samples, rate_hz: int = 16_000, loudness: float = 0.8) -> list[float]:
    """Start times of clicks in seconds: the audio exceeds a third of their loudness after 50 ms below it."""
    loud = np.flatnonzero(np.abs(samples) > loudness / 3)
    if not len(loud):
        return []
    is_start = np.concatenate(([True], np.diff(loud) > 0.05 * rate_hz))
    return [float(position) / rate_hz for position in loud[is_start]]


def tone(length_s: float, frequency_hz: float = 440.0, rate_hz: int = 16_000, loudness: float = 0.3) -> Samples:
    """(N,) sine that starts at 0."""
    t = np.arange(round(length_s * rate_hz)) / rate_hz
    return (loudness * np.sin(2 * np.pi * frequency_hz * t)).astype(np.float32)


def _cell(bit: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Rows and columns of a bit's cell: top, bottom, start, end."""
    row, column = divmod(bit, COLUMNS)
    margin_y, margin_x = height / MARGIN, width / MARGIN
    cell_height, cell_width = (height - 2 * margin_y) / ROWS, (width - 2 * margin_x) / COLUMNS
    return (
        round(margin_y + row * cell_height),
        round(margin_y + (row + 1) * cell_height),
        round(margin_x + column * cell_width),
        round(margin_x + (column + 1) * cell_width),
    )
