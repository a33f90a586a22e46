"""Faces for the video branch: made-up people to learn from, other made-up people to be read, and a few real clips.

Nobody is twice: every clip for pre-training has a person of its own, and those with labels are other people again, each
of whom shows every emotion. Made-up and real faces are cut out the same way, by the five points of `align_face`: of
made-up ones these follow from the commanded pose, of real ones from the landmarks, which also say what the face does.

Axes: T frames, S pixels of a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from affekt.arrays import Floats
from affekt.clips import Clip, PackedClips
from affekt.face3d import EMOTIONS, Camera, FaceClip, face_model, posed
from affekt.face3d.pictures import FIELD_OF_VIEW_DEG
from affekt.faces import BLENDSHAPES, FaceLandmarker, FaceTracker, align_face
from affekt.faces import five_points as read_points
from affekt.media import Recording

SIZE = 96
DRAWN = 128
"""Side of the pictures that the crops are cut from."""
RATE_HZ = 6.25
"""Every fourth of 25 frames a second, as the published sampling reads them."""
SECONDS = 1.28
"""Eight frames: one window."""
LABELLED_PEOPLE, FOLDS = 48, 6
UNLABELLED_SEED, LABELLED_SEED = 1_000_000, 5_000_000
EVERY = 2
"""Frames of a real clip from one that is looked at to the next."""
READ = ('jawOpen', 'eyeBlink', 'mouthSmile')
"""Curves that are compared on real faces; of the two sides the mean."""


@dataclass(frozen=True, eq=False)
class RealClip:
    """A real clip of one aligned face, and what the landmarker says of each frame.

    Attributes:
        name: of the file.
        frames: (T, S, S, 3).
        stride: from one frame that is read to the next.
        curves: (T, 3) in the order of READ.
    """

    name: str
    frames: np.ndarray
    stride: int
    curves: Floats


def unlabelled_plan(number: int) -> FaceClip:
    """A clip for pre-training."""
    return FaceClip.planned(UNLABELLED_SEED + number, SECONDS, RATE_HZ, DRAWN)


def labelled_plans(people: int = LABELLED_PEOPLE) -> list[tuple[int, FaceClip]]:
    """Clips with labels, each with the number of its person: everybody shows every emotion."""
    plans = []
    for person in range(people):
        for at, emotion in enumerate(EMOTIONS):
            seed = LABELLED_SEED + 1000 * person + at
            plans.append((person, FaceClip.planned(seed, SECONDS, RATE_HZ, DRAWN, emotion=emotion, person=person)))
    return plans


def packed(folder: Path, plans: list[FaceClip]) -> PackedClips:
    """The clips of plans from a cache, drawn where it is absent."""
    if not folder.exists():
        return PackedClips.of(folder, _drawn(plans))
    return PackedClips.open(folder)


def real_clips(folder: Path, out: Path) -> list[RealClip]:
    """The face that is seen first in each video of a folder; kept in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    landmarker, clips = None, []
    for path in sorted([*folder.glob('*.mp4'), *folder.glob('*.mpg')]):
        kept = out / f'{path.stem}.npz'
        if not kept.exists():
            landmarker = landmarker or FaceLandmarker()
            frames, curves, rate_hz = _seen(path, landmarker)
            np.savez(kept, frames=frames, curves=curves, rate_hz=rate_hz)
        with np.load(kept) as stored:
            stride = max(1, round(float(stored['rate_hz']) / RATE_HZ))
            clips.append(RealClip(path.stem, stored['frames'], stride, stored['curves']))
    return clips


def curves_of(names: tuple[str, ...], amounts: Floats) -> Floats:
    """(T, 3) the curves of READ from (T, names) amounts, the mean of left and right."""
    columns = [[at for at, name in enumerate(names) if name.removesuffix('Left').removesuffix('Right') == curve]
               for curve in READ]  # fmt: skip
    return np.stack([amounts[:, column].mean(axis=1) for column in columns], axis=1)


def _drawn(plans: list[FaceClip]) -> Iterator[Clip]:
    for at, plan in enumerate(plans):
        if at % 100 == 0:
            print(f'{at} of {len(plans)} clips drawn', flush=True)
        frames = [align_face(image, points, SIZE, in_colour=True)
                  for image, points in zip(plan, _commanded_points(plan), strict=True)]  # fmt: skip
        yield Clip(str(plan.seed), np.stack(frames), plan.times_s, None)


def _commanded_points(plan: FaceClip) -> Iterator[Floats]:
    """(5, 2) of each frame: where the canonical face at rest has eyes, nose and mouth under the commanded pose."""
    camera, rest = Camera(plan.size, plan.size, FIELD_OF_VIEW_DEG), face_model().mean
    for pose in plan.curves.pose:
        placed = np.zeros((478, 2))
        placed[: len(rest)] = camera.project(posed(rest, pose))[:, :2]
        yield read_points(placed)


def _seen(path: Path, landmarker: FaceLandmarker) -> tuple[np.ndarray, Floats, float]:
    """Aligned frames and curves of every second frame, and how many of those a second has."""
    tracker = FaceTracker(landmarker)
    frames, scores, times = [], [], []
    person = -1
    for frame in islice(Recording.open(path).frames(), 0, None, EVERY):
        times.append(frame.time_s)
        faces = tracker.update(frame.time_s, frame.image)
        if person < 0 and faces:
            person = max(faces, key=lambda face: float(face.box[2] * face.box[3])).person
        for face in faces:
            if face.person == person:
                frames.append(align_face(frame.image, read_points(face.landmarks), SIZE, in_colour=True))
                scores.append(face.blendshapes)
    curves = curves_of(tuple(BLENDSHAPES), np.stack(scores).astype(float))
    return np.stack(frames), curves, 1 / float(np.median(np.diff(times)))
