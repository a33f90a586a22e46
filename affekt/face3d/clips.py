"""Clips of synthetic people with known curves: identity, expression, pose and light, seeded, of any length.

`made_up_faces(seed)` renders a whole clip at once, `FaceClip.planned(seed)` renders frames while they are iterated.
The same seed gives the same person, curves and images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import UnknownNameError, ValueRangeError
from affekt.face3d.curves import EMOTIONS, Curves, made_up_curves
from affekt.face3d.models import face_model
from affekt.face3d.persons import Person, made_up_person
from affekt.face3d.pictures import FIELD_OF_VIEW_DEG, Image, Studio, made_up_background, made_up_light

SMALLEST, LARGEST = 32, 1024
"""Range of the width and height of an image in pixels."""
FRAME_CM = (25.0, 34.0)
"""Range of the view's height at the distance of the face, in centimetres; a head is about 25 cm high."""
MOST_RATE_HZ = 240.0
"""Maximum frame rate."""
MOST_FRAMES = 1_000_000
"""Maximum number of frames: eleven hours at 25 Hz; the curves of all are kept in memory."""
MOST_BYTES = 1 << 31
"""Maximum size of the frames of a clip that is rendered at once."""
PEOPLE = 0x70656F70
"""Separates the seeds of people from those of clips."""


@dataclass(frozen=True, eq=False)
class FaceClip:
    """One synthetic person in one clip; iterating renders its frames.

    Attributes:
        seed: seed of everything random.
        rate_hz: frames per second.
        size: height and width, pixels.
        times_s: (T,) times of the frames in seconds.
        names: names of the 51 expressions.
        emotion: the emotion shown, one of EMOTIONS.
        curves: the commanded curves.
    """

    seed: int
    rate_hz: float
    size: int
    times_s: Floats
    names: tuple[str, ...]
    emotion: str
    curves: Curves
    _person: np.random.SeedSequence
    _looks: np.random.SeedSequence

    @cached_property
    def person(self) -> Person:
        """The visible person."""
        return made_up_person(np.random.default_rng(self._person))

    @classmethod
    def planned(
        cls, seed: int, seconds: float = 2.56, rate_hz: float = 25.0, size: int = 160, *,
        emotion: str | None = None, person: int | None = None,
    ) -> FaceClip:  # fmt: skip
        """A clip without its images; arguments as in `made_up_faces`."""
        _require(seconds, rate_hz, size, emotion)
        _require_seeds(seed, person)
        # separate streams, so that the person does not depend on the other draws
        person_seed, curves_seed, looks_seed = np.random.SeedSequence(seed).spawn(3)
        rng = np.random.default_rng(curves_seed)
        random_emotion = str(rng.choice(EMOTIONS))
        times_s = np.arange(_frames(seconds, rate_hz)) / rate_hz
        distance = rng.uniform(*FRAME_CM) / (2 * np.tan(np.radians(FIELD_OF_VIEW_DEG) / 2))
        shown_emotion = random_emotion if emotion is None else emotion
        return cls(
            seed=seed,
            rate_hz=rate_hz,
            size=size,
            times_s=times_s,
            names=face_model().directions,
            emotion=shown_emotion,
            curves=made_up_curves(rng, times_s, shown_emotion, distance_cm=float(distance)),
            _person=person_seed if person is None else np.random.SeedSequence((PEOPLE, person)),
            _looks=looks_seed,
        )

    def __len__(self) -> int:
        return len(self.times_s)

    def __repr__(self) -> str:
        return f'FaceClip(seed {self.seed}, {self.emotion}, {len(self)} frames of {self.size} x {self.size})'

    def __iter__(self) -> Iterator[Image]:
        """(size, size, 3) uint8 sRGB, frame after frame."""
        rng = np.random.default_rng(self._looks)
        light, background = made_up_light(rng), made_up_background(rng, self.size)
        studio = Studio(self.person, light, background, noise=float(rng.uniform(0, 4)))
        for expression, pose in zip(self.curves.expression, self.curves.pose, strict=True):
            yield studio.picture(expression, pose, rng)


@dataclass(frozen=True, eq=False)
class MadeUpFaces:
    """A clip with its frames.

    Attributes:
        frames: (T, size, size, 3) uint8 sRGB.
        times_s: (T,) times of the frames in seconds.
        names: names of the 51 expressions, as `affekt.faces.BLENDSHAPES` without '_neutral'.
        curves: (T, 51) commanded amounts in [0, 1].
        pose: (T, 4, 4) canonical face to camera.
        emotion: the emotion shown.
        intensity: (T,) intensity of the emotion, in [0, 1].
        valence: (T,) in [-1, 1]; arousal likewise.
    """

    frames: npt.NDArray[np.uint8]
    times_s: Floats
    names: tuple[str, ...]
    curves: Floats
    pose: Floats
    emotion: str
    intensity: Floats
    valence: Floats
    arousal: Floats

    def __repr__(self) -> str:
        return f'MadeUpFaces({self.emotion}, {"x".join(map(str, self.frames.shape))})'


def made_up_faces(
    seed: int, seconds: float = 2.56, rate_hz: float = 25.0, size: int = 160, *,
    emotion: str | None = None, person: int | None = None,
) -> MadeUpFaces:  # fmt: skip
    """A clip of a synthetic person's face, with its commanded curves.

    Args:
        seed: seed of the person, the expressions, the light and the camera.
        seconds: length, > 0; rounded to whole frames, at least one.
        rate_hz: frames per second, in (0, 240].
        size: height and width of the images, 32 to 1024.
        emotion: the emotion to show, one of EMOTIONS; None chooses one at random.
        person: seed of the person alone, for several clips of one person; None chooses one at random.

    Raises:
        ValueRangeError: a length, rate, size or seed out of range, or more than 2 GiB of frames.
        UnknownNameError: an emotion not in EMOTIONS.
    """
    _require(seconds, rate_hz, size, emotion)
    count = _frames(seconds, rate_hz)
    if count * size**2 * 3 > MOST_BYTES:
        raise ValueRangeError(
            expected='at most 2 GiB of frames', came=f'{count:,} frames of {size} x {size}',
            todo='iterate over FaceClip.planned(...), which draws one at a time',
        )  # fmt: skip
    clip = FaceClip.planned(seed, seconds, rate_hz, size, emotion=emotion, person=person)
    frames = np.empty((len(clip), size, size, 3), dtype=np.uint8)
    for index, frame in enumerate(clip):
        frames[index] = frame
    curves = clip.curves
    return MadeUpFaces(
        frames, clip.times_s, clip.names, curves.expression, curves.pose, clip.emotion, curves.intensity,
        curves.valence, curves.arousal,
    )  # fmt: skip


def _frames(seconds: float, rate_hz: float) -> int:
    return max(1, round(seconds * rate_hz))


def _require(seconds: float, rate_hz: float, size: int, emotion: str | None) -> None:
    if not (0 < seconds < float('inf')):
        raise ValueRangeError(expected='seconds > 0', came=f'{seconds}', todo='give the length of the clip')
    if not 0 < rate_hz <= MOST_RATE_HZ:
        raise ValueRangeError(
            expected=f'rate_hz in (0, {MOST_RATE_HZ:g}]', came=f'{rate_hz}', todo='give frames per second'
        )
    if not seconds * rate_hz <= MOST_FRAMES:
        raise ValueRangeError(
            expected=f'at most {MOST_FRAMES:,} frames', came=f'{seconds:g} s at {rate_hz:g} Hz',
            todo='make several clips of one person',
        )  # fmt: skip
    if not SMALLEST <= size <= LARGEST:
        raise ValueRangeError(
            expected=f'a size from {SMALLEST} to {LARGEST} pixels', came=f'{size}', todo='choose one of these'
        )
    if emotion is not None and emotion not in EMOTIONS:
        raise UnknownNameError(
            expected=f'one of {", ".join(EMOTIONS)}', came=repr(emotion), todo='name one of these, or none'
        )


def _require_seeds(*seeds: int | None) -> None:
    for seed in seeds:
        if seed is not None and seed < 0:
            raise ValueRangeError(expected='a seed of 0 or more', came=f'{seed}', todo='give another number')
