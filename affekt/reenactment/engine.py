"""A portrait and a motion in, pictures out: one after the other, in constant memory.

    for picture in reenact(portrait, motion):
        ...

Read `portrait.py` for the mesh, `warp.py` for how it is drawn, then `eyes.py` and `mouth.py`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ValueRangeError
from affekt.reenactment.eyes import Eyes, move_eyes
from affekt.reenactment.motion import POINTS, Motion, MotionFrame
from affekt.reenactment.mouth import Mouth
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.warp import Warp

Image = npt.NDArray[np.uint8]
Item = TypeVar('Item')
AHEAD = 4
"""Frames that the reading of the driver may be ahead of the drawing."""


@dataclass(frozen=True)
class EngineSettings:
    """How a portrait is drawn."""

    driver_mouth: bool = True
    """Show the inside of the driver's mouth; False takes a made-up one."""
    lashes: bool = True
    """Darken the line where lids meet."""

    @property
    def shows_driver(self) -> bool:
        """Whether pixels of the driver may be in the pictures."""
        return self.driver_mouth


class Engine:
    """Draws one portrait under any motion frame."""

    def __init__(self, portrait: Portrait, settings: EngineSettings | None = None) -> None:
        self.portrait, self._settings = portrait, settings or EngineSettings()
        self._warp, self._eyes, self._mouth = Warp(portrait), Eyes(portrait), Mouth(portrait)

    def picture(self, frame: MotionFrame) -> Image:
        """(H, W, 3) the portrait moved by one frame; the portrait itself where nothing moves."""
        if not self._settings.driver_mouth and frame.mouth is not None:
            frame = without_mouth(frame)
        # 1. The face in its own frame, then the whole mesh in the picture.
        face = moved_face(self.portrait, frame)
        target = self.portrait.mesh(face, frame.rotation, frame.translation, frame.scale)
        # 2. Skin, hair and background; then what lies behind the lids and lips.
        picture = self._warp.picture(target)
        self._eyes.draw(picture, face, target[: len(face)], frame)
        self._mouth.draw(picture, face, target[: len(face)], frame)
        # 3. What the movement adds.
        if self._settings.lashes:
            self._eyes.draw_lashes(picture, target[: len(face)], frame)
        return picture


def reenact(portrait: Portrait, motion: Motion, settings: EngineSettings | None = None) -> Iterator[Image]:
    """Pictures of the portrait, one for each frame of the motion, which is read in a thread of its own.

    Args:
        portrait: who moves.
        motion: how.
        settings: how it is drawn.
    """
    engine = Engine(portrait, settings)
    with closing(Ahead(motion)) as frames:
        for frame in frames:
            yield engine.picture(frame)


def moved_face(portrait: Portrait, frame: MotionFrame) -> Floats:
    """(478, 3) the face of the portrait moved by one frame, canonical frame."""
    face = portrait.face.copy()
    face[:POINTS] += frame.offsets
    move_eyes(face, portrait, frame)
    return face


def without_mouth(frame: MotionFrame) -> MotionFrame:
    """The frame without the picture of the driver's mouth."""
    return MotionFrame(
        frame.time_s, frame.offsets, frame.opening, frame.gaze, frame.rotation, frame.translation, frame.scale
    )


class Ahead(Generic[Item]):
    """Items of an iterable, taken by a thread of its own up to `most` ahead; errors come out where they belong."""

    def __init__(self, items: Iterable[Item], most: int = AHEAD) -> None:
        if most < 1:
            raise ValueRangeError(expected='at least 1 item ahead', came=f'{most}', todo='give 1 or more')
        self._items = items
        self._queue: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(most)
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name='affekt-ahead', daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            is_item, item = self._queue.get()
            if is_item:
                yield item  # type: ignore[misc]
            elif item is None:
                return
            else:
                raise item  # type: ignore[misc]

    def close(self) -> None:
        """Stop taking items, and wait until the thread has ended."""
        self._is_closed.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue

    def _fill(self) -> None:
        try:
            for item in self._items:
                if not self._put(True, item):
                    return
            self._put(False, None)
        except BaseException as error:
            self._put(False, error)

    def _put(self, is_item: bool, item: Item | BaseException | None) -> bool:
        while not self._is_closed.is_set():
            try:
                self._queue.put((is_item, item), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
