"""A clip: the frames and the sound that a model reads as one sample.

T frames, H rows, W columns, S samples of sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError

SOUND_RATE_HZ = 16_000
"""Of a clip's sound, as both published models read it."""


@dataclass(frozen=True, eq=False)
class Clip:
    """One sample; a modality that is None is missing, and a model masks it.

    Raises:
        ShapeError: an array is empty or not of the shape and type that its field says, or frames and times differ in
            number.
    """

    name: str
    frames: npt.NDArray[np.uint8] | None
    """(T, H, W, 3) RGB."""
    times_s: npt.NDArray[np.float64] | None
    """(T,) when each frame is shown, in seconds from the clip's start; None where nobody knows, as in frame folders."""
    sound: npt.NDArray[np.float32] | None
    """(S,) mono in [-1, 1], `SOUND_RATE_HZ` samples a second, from the same start."""

    def __post_init__(self) -> None:
        if self.frames is not None:
            is_video = self.frames.ndim == 4 and self.frames.shape[3] == 3 and self.frames.dtype == np.uint8
            _require(is_video and self.frames.size > 0, 'frames (T, H, W, 3) of uint8', self.frames)
        if self.times_s is not None:
            frames = 0 if self.frames is None else len(self.frames)
            _require(self.times_s.shape == (frames,), f'times of {frames} frames', self.times_s)
        if self.sound is not None:
            is_sound = self.sound.ndim == 1 and self.sound.dtype == np.float32
            _require(is_sound and self.sound.size > 0, 'sound (S,) of float32', self.sound)

    def __repr__(self) -> str:
        frames = 'no frames' if self.frames is None else 'x'.join(map(str, self.frames.shape)) + ' frames'
        sound = 'no sound' if self.sound is None else f'{len(self.sound) / SOUND_RATE_HZ:.2f} s of sound'
        return f'Clip({self.name!r}, {frames}, {sound})'


def _require(is_so: bool, expected: str, came: npt.NDArray[np.generic]) -> None:
    if not is_so:
        raise ShapeError(
            expected=expected, came=f'{came.shape} of {came.dtype}', todo='make clips with `affekt.pretraining.decoded`'
        )
