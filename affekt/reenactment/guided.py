"""A video whose face moves its own first frame: pictures and maps to learn from, and what geometry draws of it.

    video = self_driven('person.mp4', size=64)
    guided = video.guided()                                     # an affekt.diffusion.GuidedVideo, for training
    drawn = video.drawn()                                       # by the geometric engine, to compare with

F frames, S pixels of a side of the square around the head.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affekt.errors import MediaError, require_torch
from affekt.faces import FaceLandmarker
from affekt.media import Recording
from affekt.reenactment.diffused import SIDE, Square, guidance_maps
from affekt.reenactment.driver import DriverSettings, motion_of_video
from affekt.reenactment.engine import Engine, EngineSettings, without_mouth
from affekt.reenactment.motion import MotionFrame
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.transfer import portrait_range, transfer

if TYPE_CHECKING:
    from affekt.diffusion import GuidedVideo

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SelfDriven:
    """One video as its own driver; `self_driven` makes it.

    Attributes:
        name: of the video.
        portrait: its first frame.
        frames: F movements of the face from there, the first of them none.
        pictures: (F, S, S, 3) the video's own pictures, cut to the square.
        square: the part of the pictures that is cut out.
    """

    name: str
    portrait: Portrait
    frames: tuple[MotionFrame, ...]
    pictures: Images
    square: Square

    @property
    def size(self) -> int:
        """S."""
        return int(self.pictures.shape[1])

    def guided(self) -> GuidedVideo:
        """Pictures and maps as training takes them. Needs torch."""
        require_torch()
        from affekt.diffusion import MAPS, GuidedVideo

        each = list(guidance_maps(self.portrait, self.frames, self.square, self.size))
        return GuidedVideo(self.name, self.pictures, {name: np.stack([maps[name] for maps in each]) for name in MAPS})

    def drawn(self, settings: EngineSettings | None = None) -> Images:
        """(F, S, S, 3) what the geometric engine draws of the first frame under these movements."""
        engine = Engine(self.portrait, settings)
        return np.stack([self.square.cut(engine.picture(frame), self.size) for frame in self.frames])


def self_driven(
    path: str | os.PathLike[str],
    landmarker: FaceLandmarker | None = None,
    *,
    size: int = SIDE,
    rate_hz: float | None = None,
    max_side: int = SIDE,
    with_mouth: bool = False,
) -> SelfDriven:
    """A video, read once for its pictures and once for its motion.

    Args:
        path: a video with one clear face in its first frame.
        landmarker: by default one with the published model.
        size: S.
        rate_hz: frames per second to read; None reads all.
        max_side: longest side of the pictures that the square is cut from.
        with_mouth: keep the pictures of the mouth: geometry then draws with pixels of the frame that it is compared
            with.

    Raises:
        PortraitError, MediaError: the first frame shows no such face, or the file cannot be read.
    """
    networks = landmarker or FaceLandmarker()
    truths = Recording.open(path).frames(rate_hz, max_side)
    first = next(truths, None)
    if first is None:
        raise MediaError(expected='a video with pictures', came=Path(path).name, todo='choose another')
    portrait = Portrait.from_picture(first.image, networks, max_side=max_side)
    square = Square.around(portrait)
    reading = DriverSettings(calm_at_s=first.time_s, rate_hz=rate_hz, with_mouth=with_mouth)
    motion = transfer(motion_of_video(path, reading, landmarker=networks), portrait_range(portrait))
    frames, pictures, truth = [], [], first
    for frame in motion:
        while truth.time_s < frame.time_s - 1e-6 and (later := next(truths, None)) is not None:
            truth = later
        frames.append(frame if with_mouth else without_mouth(frame))
        pictures.append(square.cut(truth.image, size))
    return SelfDriven(Path(path).stem, portrait, tuple(frames), np.stack(pictures), square)
