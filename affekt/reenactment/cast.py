"""Portraits as the people of a synthetic Aff-Wild2: real faces, moved by commanded curves, so that the truth is known.

    made_up_affwild2(out, settings, cast=PortraitCast.of_folder(Path('portraits'), settings.size, consent))

Commanded amounts are added to what a portrait shows by itself, and limited to what its face can do (`transfer`). The
head rotates relative to the portrait's pose, as a synthetic person's does relative to its own. Nobody is in two
partitions. Every frame carries the visible note, and every video a signed manifest if a statement on the people
was made.

T frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from affekt.arrays import Floats
from affekt.containers import PICTURES
from affekt.corpora import AWAY, AffWild2Settings, Part, Room, Shot, dealt, fewest_people
from affekt.errors import MediaError, PortraitError, listed, shown_faults
from affekt.faces import FaceLandmarker
from affekt.files import file_sha256
from affekt.provenance import Consent, Provenance, sign, usable_credentials, with_note
from affekt.reenactment.amounts import frame_of_amounts
from affekt.reenactment.engine import Engine
from affekt.reenactment.motion import HEAD_CENTER_CM, Motion, MotionFrame
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.transfer import portrait_range, transfer
from affekt.wording import counted

Image = npt.NDArray[np.uint8]
AROUND = 1.6
"""Side of a person's frame over the height of the face, as for synthetic people."""


@dataclass(frozen=True)
class PortraitCast:
    """Portraits that are rendered instead of synthetic people.

    Args:
        portraits: images, each of a different person.
        consent: the statement on these people, which every signed video carries; None for videos that are measured
            where they were made and never passed on, which are not signed.
        left_out: name of each excluded image to the reason.
    """

    portraits: tuple[Path, ...]
    consent: Consent | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path, size: int, consent: Consent | None = None) -> PortraitCast:
        """All images in a folder that show one clear face; the others are listed in `left_out`.

        Args:
            folder: a folder with images of different people; of equal files only one is used.
            size: side of the corpus's frames in pixels, at which a face must be clear enough.
            consent: see the class.

        Raises:
            PortraitError: there is no such image.
            MissingExtraError: there is a statement, and c2pa-python is not installed.
        """
        if consent is not None:
            usable_credentials()
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
        except OSError as error:
            raise PortraitError(
                expected='a folder with portraits', came=f'{folder}: {error.strerror}', todo='name one'
            ) from error
        taken: dict[str, Path] = {}
        left_out: dict[str, str] = {}
        for path in paths:
            try:
                if (duplicate := taken.get(digest := file_sha256(path))) is not None:
                    left_out[path.name] = f'the same image as {duplicate.name}'
                    continue
                _portrait(path, size)
            except (PortraitError, MediaError) as error:
                left_out[path.name] = error.came
            else:
                taken[digest] = path
        if not taken:
            raise PortraitError(
                expected=f'images with one clear face each in {folder}', came='none', todo='add portraits',
                faults=shown_faults([f'{name}: {reason}' for name, reason in left_out.items()]),
            )  # fmt: skip
        return cls(tuple(taken.values()), consent, left_out)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user."""
        if not self.left_out:
            return ()
        excluded = listed([f'{name} ({reason})' for name, reason in self.left_out.items()])
        return (f'{counted(len(self.left_out), "image")} not used: {excluded}',)

    def settings(self, corpus: AffWild2Settings) -> Mapping[str, Any]:
        """The hashes of the portraits and the statement on them, as settings that results depend on.

        Raises:
            PortraitError: there are too few, so that a person would be in two partitions, or twice in a frame.
        """
        needed = fewest_people(corpus)
        if len(self.portraits) < needed:
            raise PortraitError(
                expected=f'at least {needed} portraits, so that nobody is in two partitions or twice in '
                'one frame',
                came=str(len(self.portraits)), todo='add portraits, or make fewer videos',
                faults=shown_faults(list(self.notes)),
            )  # fmt: skip
        consent = {} if self.consent is None else dict(self.consent.as_json())
        consent.pop('stated_at', None)  # restated when a run is resumed
        return {'portraits': {path.name: file_sha256(path) for path in self.portraits}, 'consent': consent}

    def portrait_of(self, part: Part) -> Path:
        """The portrait file of a person of the corpus."""
        return dealt(self.portraits, part.settings)[part.name]

    def shot(self, part: Part, room: Room) -> Shot:
        """Frames of the person's portrait, moved by the commanded curves."""
        portrait = _portrait(self.portrait_of(part), part.settings.size)
        engine = Engine(portrait)
        commanded = Motion(_commanded(part), part.settings.rate_hz)
        moved = iter(transfer(commanded, portrait_range(portrait)))

        def picture(_: int, rng: np.random.Generator) -> Image:
            grain = room.noise * rng.standard_normal(portrait.image.shape, dtype=np.float32)
            return np.asarray(np.clip(engine.picture(next(moved)) + grain, 0, 255).astype(np.uint8))

        return picture

    def marked(self, picture: Image) -> Image:
        """The frame with the note that faces in it were moved by software."""
        return with_note(picture)

    def seal(self, path: Path, parts: Sequence[Part]) -> None:
        """Sign a video with the statement and the portraits in it."""
        if self.consent is None:
            return
        people = {part.name: file_sha256(self.portrait_of(part)) for part in parts}
        settings = {'corpus': 'made-up Aff-Wild2', 'people': people}
        sign(path, Provenance('geometric', self.consent, next(iter(people.values())), settings=settings))


def _commanded(part: Part) -> Iterator[MotionFrame]:
    """The commanded motion in each frame in which the person is present, relative to the person's mean pose."""
    curves = part.curves
    rotations, shifts = curves.pose[:, :3, :3], curves.pose[:, :3, 3]
    calm = _nearest_rotation(rotations.mean(axis=0))
    centers = rotations @ np.array(HEAD_CENTER_CM) + shifts  # (T, 3) centimetres from the camera
    middle = centers.mean(axis=0)
    for number in np.flatnonzero(part.states != AWAY).tolist():
        frame = frame_of_amounts(float(part.times_s[number]), curves.expression[number])
        yield replace(
            frame, rotation=_nearest_rotation(rotations[number] @ calm.T),
            translation=(centers[number] - middle)[:2], scale=float(middle[2] / centers[number, 2]),
        )  # fmt: skip


def _nearest_rotation(matrix: Floats) -> Floats:
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right)


@lru_cache(maxsize=1)
def _landmarker() -> FaceLandmarker:
    return FaceLandmarker()


@lru_cache(maxsize=4)
def _portrait(path: Path, size: int) -> Portrait:
    """A portrait as a square around its face.

    Raises:
        PortraitError, MediaError: see `Portrait.from_picture`.
    """
    whole = Portrait.from_picture(path, _landmarker())
    image, points = whole.image, whole.landmarks[:, :2]
    side = int(min(AROUND * float(np.ptp(points, axis=0).max()), *whole.size))
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    left, top = (
        int(np.clip(coordinate - side / 2, 0, length - side))
        for coordinate, length in zip(middle, whole.size[::-1], strict=True)
    )  # fmt: skip
    square = PillowImage.fromarray(image[top : top + side, left : left + side])
    scaled = np.asarray(square.resize((size, size), PillowImage.Resampling.LANCZOS))
    return Portrait.from_picture(scaled, _landmarker())
