"""Videos of faces, each cut to a square around the head, with maps and with what geometry draws; read once and kept.

Every video moves its own first frame. The driver's mouth is left out: it would be the frame that is to be drawn.
Who is the same person in several videos is found by the network of identity, not by file names: `persons` groups them,
so that nobody who is learnt from is held out as well, and `require_apart` checks that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.diffusion import MAPS, GuidedVideo
from affekt.errors import AffektError
from affekt.faces import FaceIdentity, FaceLandmarker, face_crop
from affekt.files import file_atomically
from affekt.media import Recording
from affekt.metrics import identity_distance
from affekt.reenactment import self_driven

SIZE = 64
ENDINGS = ('.mp4', '.mpg')
MOST_FRAMES = 100
"""Of a video; longer ones are read at a lower rate."""
EVERY_HZ = 25.0
SAME_PERSON = 0.5
"""Distance of identity below which two videos show one person: pictures of one lie up to 0.49 apart, and where two
people are taken for one, only the choice of videos to hold out is smaller."""


@dataclass(frozen=True, eq=False)
class Face:
    """One video: the pictures and maps of its frames, (F, S, S, 3) what geometry draws, (D,) numbers of the person."""

    video: GuidedVideo
    drawn: npt.NDArray[np.uint8]
    identity: npt.NDArray[np.float32]


def faces(folders: list[Path], kept: Path, size: int = SIZE) -> list[Face]:
    """All readable videos of some folders, in the order of their names; files in `kept` spare a second reading."""
    kept.mkdir(parents=True, exist_ok=True)
    networks: tuple[FaceLandmarker, FaceIdentity] | None = None
    read = []
    for path in sorted(path for folder in folders for path in folder.iterdir() if path.suffix in ENDINGS):
        place = kept / f'{path.stem}-{size}.npz'
        if not place.exists():
            networks = networks or (FaceLandmarker(), FaceIdentity())
            try:
                _keep(path, place, *networks, size)
            except AffektError as error:
                print(f'{path.name} is left out: {error}', flush=True)
                continue
        with np.load(place, allow_pickle=False) as stored:
            video = GuidedVideo(path.stem, stored['pictures'], {name: stored[name] for name in MAPS})
            read.append(Face(video, stored['drawn'], stored['identity']))
    return read


def _keep(path: Path, place: Path, landmarker: FaceLandmarker, identity: FaceIdentity, size: int) -> None:
    seconds = Recording.open(path).duration_s or 0.0
    rate_hz = EVERY_HZ if seconds * EVERY_HZ <= MOST_FRAMES else MOST_FRAMES / seconds
    driven = self_driven(path, landmarker, size=size, rate_hz=rate_hz)
    crop = face_crop(driven.portrait.image, driven.portrait.landmarks.astype(np.float32))
    with file_atomically(place) as file:
        np.savez(
            file, pictures=driven.pictures, drawn=driven.drawn(), identity=identity.vector(crop),
            **driven.guided().maps,
        )  # fmt: skip
    print(f'{path.name}: {len(driven.frames)} frames', flush=True)


def persons(identities: Sequence[npt.NDArray[np.float32]], same: float = SAME_PERSON) -> list[int]:
    """The number of the person in each video: videos nearer than `same` are of one, by way of others too.

    Videos at 0, 1, 0.3 and 0.8 with same=0.35 are of the persons 0, 1, 0 and 1; one more at 0.6 makes all of them 0.
    """
    numbers = list(range(len(identities)))
    for left in range(len(identities)):
        for right in range(left):
            if identity_distance(identities[left], identities[right]) < same:
                joined = {numbers[left], numbers[right]}
                numbers = [min(joined) if number in joined else number for number in numbers]
    return numbers


def require_apart(known: Sequence[Face], unknown: Sequence[Face], same: float = SAME_PERSON) -> float:
    """The least distance of identity between videos learnt from and held out.

    Raises:
        SystemExit: somebody is on both sides, or a side is empty.
    """
    pairs = [(identity_distance(a.identity, b.identity), a.video.name, b.video.name) for a in known for b in unknown]
    if not pairs:
        raise SystemExit(f'{len(known)} videos to learn from and {len(unknown)} held out: give videos of more persons')
    nearest, learnt, held_out = min(pairs)
    if nearest < same:
        raise SystemExit(f'{learnt}, which is learnt from, and {held_out}, held out, show one person: {nearest:.2f}')
    return nearest
