"""Self-driven videos, on which networks train, and a personal refiner trained on one.

    driven = self_driven('person.mp4', size=64)
    guided = driven.guided()                                    # an affekt.diffusion.GuidedVideo, for training
    drawn = driven.drawn()                                      # by the geometric engine, to compare with

    trained = train_refiner('person.mp4', 'refiner')            # kept if it helps on held-out frames
    reenact_to('out.mp4', trained.portrait, source, settings=ReenactSettings(refiner=Path('refiner')), consent=…)

The refiner learns to correct geometry's errors within the square around the head. The mouth is always the synthetic
one, with which it was trained: the driver's mouth would be pixels of the target frame.

F frames, S side of the square in pixels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affekt.errors import MediaError, RunError, ValueRangeError, WeightsError, listed, require_torch
from affekt.faces import FaceLandmarker
from affekt.files import file_sha256, require_room_for_folder, require_writable, storage_error
from affekt.media import Recording, write_image
from affekt.progress import Progress
from affekt.reenactment.diffused import SIDE, Square, depth_range, guidance_maps, maps_of_frame, scaled
from affekt.reenactment.driver import DriverSettings, motion_of_video
from affekt.reenactment.engine import Engine, EngineSettings, without_mouth
from affekt.reenactment.motion import MotionFrame
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.transfer import portrait_range, transfer

if TYPE_CHECKING:
    from affekt.diffusion import GuidedVideo, Refiner, RefinerCard, RefinerSettings

Image = npt.NDArray[np.uint8]
REFINED_SIDE = 192
"""Default S; training and drawing time grow with its square."""
MOST_FRAMES = 240
"""Maximum number of frames of a video; a longer one is read at a lower rate."""
RATE_HZ = 25.0
MOST_BYTES = 2 << 30
"""Maximum bytes of a video's frames in memory while a refiner is trained."""


@dataclass(frozen=True, eq=False)
class SelfDriven:
    """One video as its own driver; `self_driven` makes it.

    Attributes:
        name: name of the video.
        portrait: the video's first frame as a portrait.
        frames: F motion frames relative to it; the first is neutral.
        pictures: (F, S, S, 3) the video's own frames, cropped to the square.
        square: the part of the frames that is cropped.
    """

    name: str
    portrait: Portrait
    frames: tuple[MotionFrame, ...]
    pictures: Image
    square: Square

    @property
    def size(self) -> int:
        """S."""
        return int(self.pictures.shape[1])

    def guided(self) -> GuidedVideo:
        """Frames and maps as training data. Needs torch."""
        require_torch()
        from affekt.diffusion import MAPS, GuidedVideo

        frame_maps = list(guidance_maps(self.portrait, self.frames, self.square, self.size))
        return GuidedVideo(
            self.name, self.pictures, {name: np.stack([maps[name] for maps in frame_maps]) for name in MAPS}
        )

    def drawn(self, settings: EngineSettings | None = None) -> Image:
        """(F, S, S, 3) the geometric engine's drawings of the first frame with this motion."""
        engine = Engine(self.portrait, settings)
        return np.stack([self.square.cut(engine.picture(frame), self.size) for frame in self.frames])


def self_driven(
    path: str | os.PathLike[str],
    landmarker: FaceLandmarker | None = None,
    *,
    size: int | None = SIDE,
    rate_hz: float | None = None,
    max_side: int = SIDE,
    with_mouth: bool = False,
) -> SelfDriven:
    """A self-driven video, read once for its frames and once for its motion.

    Args:
        path: a video with one clear face in its first frame.
        landmarker: finds landmarks; None for one with the published model.
        size: S; None keeps the pixels of the square as they are.
        rate_hz: frames per second to read; None reads all.
        max_side: longest side in pixels of the frames from which the square is cropped.
        with_mouth: whether to keep images of the mouth; geometry then draws with pixels of the frame that it is
            compared with.

    Raises:
        PortraitError, MediaError: the first frame shows no such face, or the file cannot be read.
    """
    networks = landmarker or FaceLandmarker()
    truths = Recording.open(path).frames(rate_hz, max_side)
    first = next(truths, None)
    if first is None:
        raise MediaError(expected='a video with frames', came=Path(path).name, todo='choose another')
    portrait = Portrait.from_picture(first.image, networks, max_side=max_side)
    square = Square.around(portrait)
    reading = DriverSettings(calm_at_s=first.time_s, rate_hz=rate_hz, with_mouth=with_mouth)
    motion = transfer(motion_of_video(path, reading, landmarker=networks), portrait_range(portrait))
    frames, pictures, truth = [], [], first
    for frame in motion:
        while truth.time_s < frame.time_s - 1e-6 and (next_truth := next(truths, None)) is not None:
            truth = next_truth
        frames.append(frame if with_mouth else without_mouth(frame))
        pictures.append(square.cut(truth.image, square.side if size is None else size))
    return SelfDriven(Path(path).stem, portrait, tuple(frames), np.stack(pictures), square)


@dataclass(frozen=True, eq=False)
class TrainedRefiner:
    """The result of training a refiner.

    Attributes:
        folder: the folder with card.json, portrait.png and, if it helps, the weights.
        portrait: the file of the portrait that it corrects.
        card: its gains on held-out frames; `is_kept` says whether it helps.
    """

    folder: Path
    portrait: Path
    card: RefinerCard


class RefinedEngine:
    """Draws by geometry, then corrects the square around the head.

    Args:
        engine: engine of the portrait.
        refiner: refiner of the same portrait.
        size: S.
        depth: nearest and farthest depth of maps, pixels of the square of S.
    """

    threads = 1

    def __init__(self, engine: Engine, refiner: Refiner, size: int, depth: tuple[float, float]) -> None:
        self._engine, self._refiner, self._size, self._depth = engine, refiner, size, depth
        self._square = Square.around(engine.portrait)

    @classmethod
    def of_folder(cls, engine: Engine, folder: str | os.PathLike[str]) -> RefinedEngine:
        """The refiner of a folder; see `affekt.diffusion.read_refiner`. Needs torch."""
        require_torch()
        from affekt.diffusion import read_refiner

        refiner, card = read_refiner(folder)
        return cls(engine, refiner, card.size, card.depth)

    def shows_driver(self, frame: MotionFrame) -> bool:
        """False: the mouth is synthetic."""
        return False

    def picture(self, frame: MotionFrame) -> Image:
        """(H, W, 3) the portrait moved by one frame, corrected."""
        plain = without_mouth(frame)
        return self.corrected(self._engine.picture(plain), plain)

    def corrected(self, image: Image, frame: MotionFrame) -> Image:
        """(H, W, 3) geometry's drawing of a frame without the driver's mouth, corrected."""
        maps = maps_of_frame(self._engine.portrait, frame, self._square, self._size, *self._depth)
        correction = self._refiner.correction(self._square.cut(image, self._size), maps)
        return self._square.added(image, correction)


def require_refined(folder: Path, portrait: Path) -> None:
    """Require that the refiner of a folder helps and belongs to this portrait. Needs torch.

    Raises:
        WeightsError: it belongs to another portrait, did not help, or is missing.
    """
    require_torch()
    from affekt.diffusion import PORTRAIT_FILE, read_refiner_card

    card = read_refiner_card(folder)
    if file_sha256(portrait) != card.portrait_sha256:
        raise WeightsError(
            expected=f'the portrait that the refiner in {folder} learnt to correct',
            came=f'another one, {portrait.name}',
            todo=f'move {folder / PORTRAIT_FILE}, or draw without the refiner',
        )  # fmt: skip


def train_refiner(
    video: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: RefinerSettings | None = None,
    *,
    size: int = REFINED_SIDE,
    max_side: int = SIDE,
    landmarker: FaceLandmarker | None = None,
    progress: Progress | None = None,
) -> TrainedRefiner:
    """Train a refiner on a video of a person; it is kept only if it helps on the video's later frames.

    Args:
        video: a video with one clear face in its first frame, which becomes the portrait.
        out: folder, created if missing; that of an earlier training is overwritten.
        settings: settings of training and evaluation; None for the defaults.
        size: S, at most the side of the square around the head.
        max_side: longest side of the portrait, pixels.
        landmarker: finds landmarks; None for one with the published model.
        progress: called with `train`, steps done, number of all.

    Raises:
        PortraitError, MediaError: the first frame shows no such face, or the file cannot be read.
        ValueRangeError: the video is too short, the size too small, or so large that frames would not fit in memory.
        RunError: the folder holds other files.
        StorageError: the folder cannot be created.
        MissingExtraError: torch is not installed.
    """
    require_torch()
    from affekt.diffusion import (
        MAPS,
        PORTRAIT_FILE,
        GuidedVideo,
        RefinerSettings,
        judge_refiner,
        learn_refiner,
        save_refiner,
    )

    source, folder, chosen = Path(video), Path(out), settings or RefinerSettings()
    if size < 32:
        raise ValueRangeError(expected='a square of 32 pixels or more', came=str(size), todo='leave it out')
    _require_own(folder)
    rate_hz = _rate_hz(source)
    _require_memory(source, rate_hz, max_side, chosen.learnt_share)
    _require_writable(folder / PORTRAIT_FILE)
    # 1. The video, and geometry's drawings of its first frame moved by it
    driven = self_driven(source, landmarker, size=None, rate_hz=rate_hz, max_side=max_side)
    square, frames, portrait = driven.square, driven.frames, driven.portrait
    size = min(size, square.side)
    engine = Engine(portrait)
    depth = depth_range(portrait, frames, square, size)
    _, first = chosen.parts(len(frames))
    maps = [maps_of_frame(portrait, frame, square, size, *depth) for frame in frames]
    guided = GuidedVideo(
        driven.name, np.stack([scaled(image, size) for image in driven.pictures]),
        {name: np.stack([of_frame[name] for of_frame in maps]) for name in MAPS},
    )  # fmt: skip
    drawn, later = _drawn_and_later(engine, frames, first, square, size)
    # 2. A refiner, evaluated on later frames at display size
    refiner, history = learn_refiner(guided, np.stack(drawn), chosen, progress=progress)
    refined = RefinedEngine(engine, refiner, size, depth)
    drawings = (square.cut(image, square.side) for image in later)
    corrected = (
        square.cut(refined.corrected(image, frame), square.side)
        for image, frame in zip(later, frames[first:], strict=True)
    )
    refinement = judge_refiner(refiner, driven.pictures[first:], drawings, corrected, chosen, history)
    # 3. Kept if it helps
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    write_image(folder / PORTRAIT_FILE, portrait.image)
    card = save_refiner(folder, refinement, video=source, size=size, depth=depth, settings=chosen)
    return TrainedRefiner(folder, folder / PORTRAIT_FILE, card)


def _require_writable(path: Path) -> None:
    """Require that a file can be written; missing folders are created only to test this, and removed again."""
    missing = [folder for folder in path.parents if not folder.exists()]
    require_writable(path)
    for folder in missing:
        folder.rmdir()


def _drawn_and_later(
    engine: Engine, frames: Sequence[MotionFrame], first: int, square: Square, size: int
) -> tuple[list[Image], list[Image]]:
    """The drawn square around the head in all frames, and whole drawn images from frame `first` on."""
    drawn, later_images = [], []
    for number, frame in enumerate(frames):
        image = engine.picture(frame)
        drawn.append(square.cut(image, size))
        if number >= first:
            later_images.append(image)
    return drawn, later_images


def _rate_hz(video: Path) -> float:
    """Frames per second to read, so that a long video gives no more than MOST_FRAMES."""
    seconds = Recording.open(video).duration_s or 0.0
    return min(RATE_HZ, MOST_FRAMES / seconds) if seconds else RATE_HZ


def _require_memory(video: Path, rate_hz: float, max_side: int, learnt_share: float) -> None:
    """Require that a video's frames fit in memory: the squares around the head twice, and whole frames for evaluation.

    Raises:
        ValueRangeError: they take more than MOST_BYTES.
    """
    recording = Recording.open(video)
    if recording.video is None:
        return  # the reader of its frames reports this
    height, width = recording.video.height, recording.video.width
    scale = min(1.0, max_side / max(height, width))
    frames = min(MOST_FRAMES, 1 + rate_hz * (recording.duration_s or MOST_FRAMES / rate_hz))
    square, frame = (scale * min(height, width)) ** 2, scale**2 * height * width
    needed = 3 * frames * (2 * square + (1 - learnt_share) * frame)
    if needed > MOST_BYTES:
        largest_side = int(scale * max(height, width) * (MOST_BYTES / needed) ** 0.5)
        raise ValueRangeError(
            expected=f'frames that take at most {MOST_BYTES / 1e9:.1f} GB of memory',
            came=f'{needed / 1e9:.1f} GB for {video.name} with a longest side of {max_side} pixels',
            todo=f'give --size {largest_side} or less; 512 is usual',
        )  # fmt: skip


def _require_own(folder: Path) -> None:
    """Require that the folder is new, empty, or of an earlier training.

    Raises:
        RunError: it holds something else.
        StorageError: a file stands there.
    """
    from affekt.diffusion import REFINER_FILES

    require_room_for_folder(folder)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    others = [name for name in names if name not in REFINER_FILES and not name.startswith('.')]
    if others:
        raise RunError(
            expected='an empty folder, or one of an earlier training', came=f'{folder} with {listed(sorted(others))}',
            todo='choose another one',
        )  # fmt: skip
