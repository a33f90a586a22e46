"""The latent diffusion engine: maps of the moved face, and the published networks that they guide.

A square around the head is drawn at the networks' training size and blended back into the frame with a
soft edge. Every frame depends on its neighbours, so the whole motion is read before the first frame is drawn.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from affekt.arrays import Floats, Floats32, Ints
from affekt.errors import MediaError, ValueRangeError, require_torch
from affekt.face3d import (
    FlameHead,
    FlameReader,
    ShownFlame,
    depth_map,
    normal_map,
    rasterize,
    read_flame_reader,
    shaded_map,
)
from affekt.faces import FaceLandmarker, Region
from affekt.media import Recording
from affekt.progress import Progress
from affekt.reenactment.engine import moved_face, without_mouth
from affekt.reenactment.motion import HEAD_CENTER_CM, POINTS, Motion, MotionFrame
from affekt.reenactment.portrait import FROM_BELOW, Portrait

if TYPE_CHECKING:
    from affekt.diffusion import Drawing, DrawingSettings
    from affekt.training import Ranks

Image = npt.NDArray[np.uint8]
SIDE = 512
"""Side of the drawn square in pixels, as in the published training."""
FACE_WIDTHS = 2.18
"""Side of the square over the width of the face, as published."""
SOFT_SHARE = 0.06
"""Width of the soft edge as a share of the square."""
LEAST_SIDE, SIDE_STEP = 32, 8
"""Least side of the drawn square in pixels, and the number that it must be a multiple of."""
MOST_STEPS = 1000
SAME_TIME_S = 1e-4
"""Difference in seconds up to which two times are of one frame."""
PRECISIONS = ('auto', 'float32', 'bfloat16')


@dataclass(frozen=True)
class PaintSettings:
    """A user's settings of drawing by networks; by default as published.

    Args:
        steps: number of denoising steps, 1 to 1000.
        guidance: scale of classifier-free guidance by the portrait; 1 computes no unguided prediction, and takes
            half the time.
        seed: seed of the noise.
        side: side of the drawn square in pixels, a multiple of 8.
        precision: 'auto', 'float32' or 'bfloat16', which is used only if the device supports it natively.

    Raises:
        ValueRangeError: a setting is out of its range, or the precision is unknown.
    """

    steps: int = 20
    guidance: float = 3.5
    seed: int = 42
    side: int = SIDE
    precision: str = 'auto'

    def __post_init__(self) -> None:
        is_side = self.side >= LEAST_SIDE and self.side % SIDE_STEP == 0
        is_number = 1 <= self.steps <= MOST_STEPS and 1 <= self.guidance < float('inf') and 0 <= self.seed < 1 << 63
        if not (is_side and is_number and self.precision in PRECISIONS):
            raise ValueRangeError(
                expected=f'1 to {MOST_STEPS} steps, guidance of 1 or more, a seed of 0 or more, a side of {LEAST_SIDE} '
                f'pixels or more that is a multiple of {SIDE_STEP}, and a precision among {", ".join(PRECISIONS)}',
                came=f'{self.steps}, {self.guidance}, {self.seed}, {self.side}, {self.precision}', todo='correct them',
            )  # fmt: skip

    def drawing(self) -> DrawingSettings:
        """The settings of a `Drawing`. Needs torch."""
        from affekt.diffusion import DrawingSettings

        return DrawingSettings(steps=self.steps, guidance=self.guidance, seed=self.seed)


def painting_ranks(device: str) -> Ranks | None:
    """This process's rank among those that `torchrun` or `accelerate launch` started; None for one alone.

    Raises:
        MissingExtraError: torch is not installed.
        ValueRangeError: unknown device.
    """
    require_torch()
    from affekt.training import Ranks

    ranks = Ranks(device)
    return ranks if ranks.count > 1 else None


@dataclass(frozen=True)
class Square:
    """The part of a portrait that is drawn: its corner and side in pixels of the portrait."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, portrait: Portrait) -> Square:
        """A square around the face, FACE_WIDTHS wide if the image has room."""
        points = portrait.landmarks[:POINTS, :2]
        low, high = points.min(axis=0), points.max(axis=0)
        height, width = portrait.size
        side = int(min(round(FACE_WIDTHS * float(high[0] - low[0])), height, width))
        middle = (low + high) / 2
        left, top = (
            int(np.clip(round(coordinate - side / 2), 0, length - side))
            for coordinate, length in zip(middle, (width, height), strict=True)
        )
        return cls(left, top, side)

    def scaled(self, points: Floats, size: int) -> Floats:
        """(V, 3) points from pixels of the portrait to pixels of the square at a size; depth in the same unit."""
        return np.asarray((points - [self.left, self.top, 0]) * (size / self.side))

    def cut(self, image: Image, size: int) -> Image:
        """(size, size, 3) the square of an image."""
        return scaled(image[self.top : self.top + self.side, self.left : self.left + self.side], size)

    def laid(self, image: Image, drawn: Image) -> Image:
        """A copy of an image with the drawn square blended in."""
        part = scaled(drawn, self.side).astype(np.float32)
        return self._faded_in(image, part - self.cut(image, self.side))

    def added(self, image: Image, correction: Floats32) -> Image:
        """A copy of an image with grey levels (size, size, 3) added in its square, likewise blended."""
        planes = [PillowImage.fromarray(np.ascontiguousarray(correction[..., channel])) for channel in range(3)]
        size = (self.side, self.side)
        fitted = [np.asarray(plane.resize(size, PillowImage.Resampling.BICUBIC)) for plane in planes]
        return self._faded_in(image, np.stack(fitted, axis=-1))

    def _faded_in(self, image: Image, difference: Floats32) -> Image:
        """A copy of an image plus a (side, side, 3) difference in the square, faded out at edges inside the image."""
        result = image.copy()
        part = result[self.top : self.top + self.side, self.left : self.left + self.side]
        fade = self._fade(image.shape[0], image.shape[1])[..., None]
        part[:] = np.rint(np.clip(part + fade * difference, 0, 255)).astype(np.uint8)
        return result

    def _fade(self, height: int, width: int) -> Floats32:
        """(side, side) 1 in the middle, 0 at edges that lie within the image."""
        distance = (np.arange(self.side, dtype=np.float32) + 0.5) / (SOFT_SHARE * self.side)
        rise, fall = np.minimum(distance, 1), np.minimum(distance[::-1], 1)
        ones = np.ones(self.side, np.float32)
        rows = (rise if self.top else ones) * (fall if self.top + self.side < height else ones)
        columns = (rise if self.left else ones) * (fall if self.left + self.side < width else ones)
        return np.asarray(rows[:, None] * columns)


def scaled(image: Image, size: int) -> Image:
    """(size, size, 3) a square image resized; unchanged if it has that size."""
    if image.shape[:2] == (size, size):
        return image.copy()
    return np.asarray(PillowImage.fromarray(image).resize((size, size), PillowImage.Resampling.LANCZOS))


Maps = Mapping[str, Image]
"""'depth', 'normal' and 'render', each (size, size) or (size, size, 3)."""
DrawsMaps = Callable[[Portrait, Motion, Square, int], Iterator[Maps]]
"""Makes the maps that guide the networks, from a motion that can be read twice: `mesh_maps`, or `FlameMaps`."""


def mesh_maps(portrait: Portrait, motion: Motion, square: Square, size: int) -> Iterator[Maps]:
    """`guidance_maps` of a motion."""
    return guidance_maps(portrait, list(motion), square, size)


def guidance_maps(
    portrait: Portrait, frames: Sequence[MotionFrame], square: Square, size: int = SIDE
) -> Iterator[Maps]:
    """Depth, normals and shading of the moved face, each (size, size) or (size, size, 3), frame by frame.

    The depth range covers all frames, so that brightness does not flicker with the mesh.

    Args:
        portrait: the portrait whose face moves.
        frames: the frames of its motion.
        square: the part of the portrait that is drawn.
        size: side of the maps in pixels.
    """
    near, far = depth_range(portrait, frames, square, size)
    for frame in frames:
        yield maps_of_frame(portrait, frame, square, size, near, far)


def depth_range(
    portrait: Portrait, frames: Sequence[MotionFrame], square: Square, size: int = SIDE
) -> tuple[float, float]:
    """The nearest and the farthest depth of the face over all frames, in pixels; 0 and 1 for no frames."""
    depths = [float(depth) for frame in frames for depth in _extent(_points(portrait, frame, square, size)[:, 2])]
    return min(depths, default=0.0), max(depths, default=1.0)


def maps_of_frame(portrait: Portrait, frame: MotionFrame, square: Square, size: int, near: float, far: float) -> Maps:
    """The maps of one frame, with depth between two bounds; see `guidance_maps` and `depth_range`."""
    triangles = portrait.triangles[(portrait.triangles < POINTS).all(axis=1)]
    return _maps(_points(portrait, frame, square, size), triangles, size, near, far)


def _maps(points: Floats, triangles: Ints, size: int, near: float, far: float) -> Maps:
    """The maps of a surface in pixels of the square."""
    raster = rasterize(points, triangles, (size, size))
    upright = points * FROM_BELOW
    return {
        'depth': depth_map(raster, near, far),
        'normal': normal_map(raster, triangles, upright),
        'render': shaded_map(raster, triangles, upright),
    }


def _points(portrait: Portrait, frame: MotionFrame, square: Square, size: int) -> Floats:
    """(468, 3) the moved face in pixels of the square, with depth in the same unit."""
    face = moved_face(portrait, frame)[:POINTS]
    return square.scaled(portrait.place(face, frame.rotation, frame.translation, frame.scale), size)


def _extent(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())


class FlameMaps:
    """Maps of a FLAME head, as in the training of the published networks, by the user's model and encoders.

    Identity and camera are read from the portrait, expression from the driver, frame by
    frame. Rotation, translation and size of the head are those of the motion, with its limits. Where no face is seen,
    the head keeps its last expression.

    Args:
        reader: reads FLAME parameters with the user's files.
        driver: the video of the motion.
        networks: face detector and landmarks for the driver.
        intensity: factor of the expression.
        absolute: take the driver's expression itself instead of its difference from the calm face.
    """

    def __init__(
        self,
        reader: FlameReader,
        driver: Path,
        networks: FaceLandmarker,
        *,
        intensity: float = 1.0,
        absolute: bool = False,
    ) -> None:
        self._reader, self._driver, self._networks = reader, driver, networks
        self._intensity, self._absolute = intensity, absolute

    def __call__(self, portrait: Portrait, motion: Motion, square: Square, size: int) -> Iterator[Maps]:
        """Yield the maps of each frame; see `guidance_maps`.

        Raises:
            MediaError: the driver shows no face.
        """
        frames = list(motion)
        head = self._reader.head(portrait.image, portrait.landmarks)
        expressions = self._laid_on(
            head.shown, *self._shown([frame.time_s for frame in frames], motion.calm_at_s or 0.0)
        )
        depths = [
            float(depth)
            for frame, expression in zip(frames, expressions, strict=True)
            for depth in _extent(self._points(portrait, head, frame, expression, square, size)[:, 2])
        ]
        for frame, expression in zip(frames, expressions, strict=True):
            points = self._points(portrait, head, frame, expression, square, size)
            yield _maps(points, head.model.triangles, size, min(depths), max(depths))

    def _points(
        self, portrait: Portrait, head: FlameHead, frame: MotionFrame, expression: ShownFlame, square: Square, size: int
    ) -> Floats:
        """(V, 3) the head in pixels of the square, turned about the point that `frame.translation` moves."""
        points = head.points(expression)
        open_mesh = portrait.place(np.array([HEAD_CENTER_CM, *portrait.face[:POINTS]]), np.eye(3), np.zeros(2), 1.0)
        middle = open_mesh[0]
        middle[2] += points[:, 2].min() - open_mesh[1:, 2].min()  # the tips of both noses are equally near
        turned = frame.rotation * np.outer(FROM_BELOW, FROM_BELOW)  # in image axes
        moved = middle + frame.scale * (points - middle) @ turned.T
        moved[:, :2] += portrait.pixels_per_cm * frame.translation * FROM_BELOW[:2]
        return square.scaled(moved, size)

    def _shown(self, times_s: Sequence[float], calm_at_s: float) -> tuple[list[ShownFlame], ShownFlame]:
        """The expression of the driver's face at each time, and in its calm frame."""
        networks, region = self._networks, None
        read: list[tuple[float, ShownFlame]] = []
        wanted_times_s = np.array([*times_s, calm_at_s])
        for frame in Recording.open(self._driver).frames():
            if np.abs(wanted_times_s - frame.time_s).min() > SAME_TIME_S:
                continue
            face = None if region is None else networks.read(frame.image, region)
            if face is None:
                face = next(iter(networks.faces(frame.image, max_faces=1)), None)
            region = None if face is None else Region.from_landmarks(face.landmarks)
            if face is not None:
                read.append((frame.time_s, self._reader.shown(frame.image, face.landmarks)))
        if not read:
            raise MediaError(expected='a driver with a face', came=self._driver.name, todo='choose another')
        read_times_s = np.array([time_s for time_s, _ in read])
        last = np.maximum(np.searchsorted(read_times_s, np.array(times_s) + SAME_TIME_S, side='right') - 1, 0)
        calm = int(np.argmin(np.abs(read_times_s - calm_at_s)))
        return [read[index][1] for index in last.tolist()], read[calm][1]

    def _laid_on(
        self, portrait_expression: ShownFlame, driver_expressions: Sequence[ShownFlame], calm: ShownFlame
    ) -> list[ShownFlame]:
        """The expressions of the portrait's head that follow from the driver's."""
        if self._absolute:
            return [expression.scaled(self._intensity) for expression in driver_expressions]
        return [expression.beside(calm, portrait_expression, self._intensity) for expression in driver_expressions]


def chosen_maps(
    model: Path | None, encoders: Sequence[Path], driver: Path | None, networks: FaceLandmarker,
    *, intensity: float = 1.0, absolute: bool = False,
) -> DrawsMaps:  # fmt: skip
    """The maps that guide the networks: of the user's FLAME if given, else of the open mesh.

    Args:
        model, encoders: see `affekt.face3d.read_flame_reader`.
        driver, networks, intensity, absolute: see `FlameMaps`.

    Raises:
        WeightsError, MissingExtraError: as `read_flame_reader`.
        ValueRangeError: a model is given, but there is no driving video for its encoders.
    """
    if model is None:
        return mesh_maps
    if driver is None:
        raise ValueRangeError(
            expected='a driving video, in which the encoders of a face model read what its face does',
            came='a motion without a driving video', todo='name a video, or leave face model and encoders out',
        )  # fmt: skip
    return FlameMaps(read_flame_reader(model, encoders), driver, networks, intensity=intensity, absolute=absolute)


class DiffusedEngine:
    """Draws the frames of one motion with published weights; use its `motion` in place of the given one.

    Args:
        portrait: the portrait.
        motion: motion of the portrait; read to its end at once, without images of the driver's mouth.
        weights: the folder with the published weights.
        settings: drawing settings.
        device: such as cpu or cuda.
        precision: `auto`, `float32` or `bfloat16`.
        folder: stores finished windows, so that a killed run resumes; None stores nothing.
        progress: called with `windows`, number done, number of all.
        size: side of the drawn square in pixels.
        ranks: the processes that share the windows; only this process if None.
        maps: makes the maps that guide the networks; by default of the open mesh.

    Raises:
        WeightsError: files are missing, or not the published ones.
        MissingExtraError: torch is not installed.
        MediaError: the motion has no frame.
        RunError: the folder holds windows of a drawing with other settings.
    """

    threads = 1

    def __init__(
        self,
        portrait: Portrait,
        motion: Motion,
        weights: str | os.PathLike[str],
        settings: DrawingSettings | None = None,
        *,
        device: str = 'cpu',
        precision: str = 'auto',
        folder: Path | None = None,
        progress: Progress | None = None,
        size: int = SIDE,
        ranks: Ranks | None = None,
        maps: DrawsMaps = mesh_maps,
    ) -> None:
        require_torch()
        from affekt.diffusion import (
            Drawing,
            DrawingSettings,
            load_nets,
            on_device,
            require_same_drawing,
            weight_files,
        )

        # 1. Missing files, and differences from an earlier run, are reported before the driver is read
        weight_files(weights)
        settings = settings or DrawingSettings()
        if folder is not None:
            require_same_drawing(folder, {'settings': asdict(settings)})
        # 2. The whole motion, and the networks
        self.portrait = portrait
        self._square = Square.around(portrait)
        self._frames = [without_mouth(frame) for frame in motion]
        if not self._frames:
            raise MediaError(expected='a motion of at least one frame', came='none', todo='give a longer driver')
        self.motion = replace(motion, frames=self._frames, count=len(self._frames))
        self._size, self._progress = size, progress
        self._ranks, self._maps = ranks, maps
        nets = on_device(load_nets(weights), device if ranks is None else ranks.device, precision)
        self._drawing: Drawing = Drawing(nets, self._square.cut(portrait.image, size), settings, folder, ranks)
        self._numbers = {frame.time_s: number for number, frame in enumerate(self._frames)}
        self._latents: Any = None
        self._decoded: dict[int, Image] = {}

    def shows_driver(self, frame: MotionFrame) -> bool:
        """False: the networks draw the mouth."""
        return False

    def picture(self, frame: MotionFrame) -> Image:
        """(H, W, 3) of one frame of `motion`."""
        number = self._numbers[frame.time_s]
        if number not in self._decoded:
            latents = self._all_latents()
            count = self._drawing.settings.decoded_at_once
            images = self._drawing.pictures(latents[:, :, number : number + count])
            self._decoded = {number + offset: image for offset, image in enumerate(images)}
        return self._square.laid(self.portrait.image, self._decoded[number])

    @property
    def writes(self) -> bool:
        """Whether this process has the frames: the only one, or the first of several."""
        return self._ranks is None or self._ranks.first

    def share(self) -> None:
        """Draw this process's part of the windows, for the process that writes."""
        self._all_latents()

    def forget(self) -> None:
        """Remove the finished windows, once the output is complete."""
        self._drawing.forget()

    def _all_latents(self) -> Any:
        if self._latents is None:
            maps = self._maps(self.portrait, self.motion, self._square, self._size)
            progress = self._progress
            self._latents = self._drawing.latents(
                maps, None if progress is None else lambda done, total: progress('windows', done, total)
            )
        return self._latents
