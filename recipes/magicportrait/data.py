"""Videos of faces, each cut to a square around the head, with maps and with what geometry draws; read once and kept.

Every video moves its own first frame. The driver's mouth is left out: it would be the frame that is to be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.diffusion import MAPS, GuidedVideo
from affekt.errors import AffektError
from affekt.faces import FaceLandmarker
from affekt.media import Recording
from affekt.reenactment import self_driven

SIZE = 64
ENDINGS = ('.mp4', '.mpg')
MOST_FRAMES = 100
"""Of a video; longer ones are read at a lower rate."""
EVERY_HZ = 25.0


@dataclass(frozen=True, eq=False)
class Face:
    """One video: the pictures and maps of its frames, and (F, S, S, 3) what geometry draws."""

    video: GuidedVideo
    drawn: npt.NDArray[np.uint8]


def faces(folders: list[Path], kept: Path, size: int = SIZE) -> list[Face]:
    """All readable videos of some folders, in the order of their names; files in `kept` spare a second reading."""
    kept.mkdir(parents=True, exist_ok=True)
    landmarker, read = None, []
    for path in sorted(path for folder in folders for path in folder.iterdir() if path.suffix in ENDINGS):
        place = kept / f'{path.stem}-{size}.npz'
        if not place.exists():
            landmarker = landmarker or FaceLandmarker()
            try:
                _keep(path, place, landmarker, size)
            except AffektError as error:
                print(f'{path.name} is left out: {error}', flush=True)
                continue
        with np.load(place) as stored:
            video = GuidedVideo(path.stem, stored['pictures'], {name: stored[name] for name in MAPS})
            read.append(Face(video, stored['drawn']))
    return read


def _keep(path: Path, place: Path, landmarker: FaceLandmarker, size: int) -> None:
    seconds = Recording.open(path).duration_s or 0.0
    rate_hz = EVERY_HZ if seconds * EVERY_HZ <= MOST_FRAMES else MOST_FRAMES / seconds
    driven = self_driven(path, landmarker, size=size, rate_hz=rate_hz)
    np.savez(place, pictures=driven.pictures, drawn=driven.drawn(), **driven.guided().maps)
    print(f'{path.name}: {len(driven.frames)} frames', flush=True)
