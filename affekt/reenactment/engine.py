"""A portrait and a motion to frames, one at a time, in constant memory.

    for picture in reenact(portrait, motion):
        ...

Read `portrait.py` for the mesh, `warp.py` for how it is drawn, then `eyes.py` and `mouth.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, keep_freed_memory
from affekt.reenactment.eyes import Eyes, move_eyes
from affekt.reenactment.motion import POINTS, Motion, MotionFrame
from affekt.reenactment.mouth import Mouth, part_lips
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.warp import Warp
from affekt.workers import made_ahead

Image = npt.NDArray[np.uint8]
AHEAD = 4
"""Maximum number of frames that the driver is read ahead of drawing."""
THREADS = 2
"""Threads that draw at once. Beside reading and encoding, more gain nothing on two cores."""


@dataclass(frozen=True)
class EngineSettings:
    """Settings of drawing a portrait."""

    driver_mouth: bool = True
    """Show the inside of the driver's mouth; False uses a synthetic one."""
    lashes: bool = True
    """Darken the line where lids meet."""


class Engine:
    """Draws one portrait moved by any motion frame; several threads may draw at once."""

    threads = THREADS

    def __init__(self, portrait: Portrait, settings: EngineSettings | None = None) -> None:
        keep_freed_memory()  # returning the arrays of every image to the system would take a fifth of the time
        self.portrait, self._settings = portrait, settings or EngineSettings()
        self._warp, self._eyes, self._mouth = Warp(portrait), Eyes(portrait), Mouth(portrait)

    def shows_driver(self, frame: MotionFrame) -> bool:
        """Whether this drawn frame has pixels of the driver's mouth."""
        return self._settings.driver_mouth and frame.mouth is not None

    def picture(self, frame: MotionFrame) -> Image:
        """(H, W, 3) the portrait moved by one frame; the portrait itself if nothing moves."""
        if not self._settings.driver_mouth and frame.mouth is not None:
            frame = without_mouth(frame)
        # 1. The face in canonical coordinates, then the whole mesh in the image.
        face = moved_face(self.portrait, frame)
        target = self.portrait.mesh(face, frame.rotation, frame.translation, frame.scale)
        # 2. Skin, hair and background; then eyes and mouth behind lids and lips.
        image = self._warp.picture(target)
        self._eyes.draw(image, face, target[: len(face)], frame)
        self._mouth.draw(image, face, target[: len(face)], frame)
        # 3. Details that depend on the movement.
        if self._settings.lashes:
            self._eyes.draw_lashes(image, target[: len(face)], frame)
        return image


def reenact(portrait: Portrait, motion: Motion, settings: EngineSettings | None = None) -> Iterator[Image]:
    """Yield an image of the portrait for each frame of the motion, which is read in a separate thread.

    Args:
        portrait: the portrait.
        motion: motion of the portrait.
        settings: settings of drawing; None for the defaults.
    """
    engine = Engine(portrait, settings)
    with closing(made_ahead(motion, AHEAD)) as frames:
        for frame in frames:
            yield engine.picture(frame)


def moved_face(portrait: Portrait, frame: MotionFrame) -> Floats:
    """(478, 3) the face of the portrait moved by one frame, canonical frame."""
    face = portrait.face.copy()
    face[:POINTS] += frame.offsets
    part_lips(face, portrait)
    move_eyes(face, portrait, frame)
    return face


def without_mouth(frame: MotionFrame) -> MotionFrame:
    """The frame without the image of the driver's mouth."""
    return MotionFrame(
        frame.time_s, frame.offsets, frame.opening, frame.gaze, frame.rotation, frame.translation, frame.scale
    )
