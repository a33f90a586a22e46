"""Joining of tracks that show the same person: a face that leaves and returns, or turns away and back.

The tracker starts a new track where it is uncertain. Each track keeps a few good images, spaced in time; at the end,
tracks with similar faces are joined. Two tracks that were on screen in one frame are never joined, nor two if a third
person is nearly as similar. Nothing is compared with other recordings, and images and vectors are discarded after
joining.

    certainty(d) = 1 / (1 + exp((d - MIDDLE) / SPREAD)),  d the mean distance of all pairs of images

The constants were fitted to the collection with the most similar strangers (the AT&T faces: 40 people, grey, in one
light), and tested on videos and on images taken years apart (measurements/faces_identity.py).

Axes: G groups of tracks, D numbers of a face.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.faces.completion import FaceObservation
from affekt.faces.identity import face_crop
from affekt.faces.readings import READINGS
from affekt.faces.tracking import GAP_S

MIDDLE, SPREAD = 0.519, 0.023
"""Distance at which same and different person are equally likely, and the scale of the change, with a prior of one
half."""
SURE = 0.98
"""Minimum certainty for joining two tracks."""
SURELY_OTHER = 0.05
"""Certainty below which a track that the tracker considered a return is somebody else."""
MARGIN = 0.06
"""Minimum difference in distance from any third track that cannot be the same person."""
MOST_PICTURES = 4
"""Images per track."""
SPACED_S = 0.8
"""Minimum seconds between two of them."""
BETTER = 1.15
"""Minimum ratio of scores for a new image to replace an old one."""
MOST_WAITING = 64
"""Maximum number of crops in memory that wait for the network."""
MOST_KEPT = 3200
"""Maximum number of images over all tracks, which bounds the cost of flicker to a minute."""
MOST_STRETCHES = 800
"""Maximum number of tracks compared, the longest first; others keep the tracker's assignment."""
LEAST_SIZE_PX, LEAST_SHARPNESS, MOST_YAW_DEG = 32.0, 0.03, 50.0
"""Faces smaller, more blurred or further turned than this are not compared: blurred faces look alike."""
_COLUMN = {reading.name: index for index, reading in enumerate(READINGS)}


class IdentityLike(Protocol):
    """The interface of an identity network: a crop from `face_crop` to its (D,) numbers."""

    def vector(self, crop: npt.NDArray[np.uint8]) -> Floats32: ...


@dataclass
class _Image:
    """One image of a track: its crop until the network reads it, then its vector."""

    time_s: float
    score: float
    crop: npt.NDArray[np.uint8] | None
    vector: Floats32 | None = None


@dataclass
class _Track:
    """One track of a face without a cut or a long absence."""

    person: int
    scene: int
    first_s: float
    last_s: float
    frames: int = 0
    pictures: list[_Image] = field(default_factory=list)


@dataclass(frozen=True)
class Joined:
    """The tracks of one person.

    Attributes:
        stretches: track numbers, in order of appearance.
        certainty: certainty by face that they are one person, of the least certain join, in [0, 1]; nan if there
            is one track, or no good image of the others.
        absences: number of times that the person was absent for a while, or was tracked as another person.
    """

    stretches: tuple[int, ...]
    certainty: float
    absences: int = 0


def certainty(distance: float) -> float:
    """Certainty that two tracks at this mean distance are one person, in [0, 1]; 0 if it is nan."""
    return float(1 / (1 + np.exp(min((distance - MIDDLE) / SPREAD, 700.0)))) if distance == distance else 0.0


class Sightings:
    """Collects the tracks of one recording.

    Args:
        identity: the identity network; without it each of the tracker's people is one track, and nothing is joined.
    """

    def __init__(self, identity: IdentityLike | None) -> None:
        self._identity = identity
        self._stretches: list[_Track] = []
        self._current: dict[int, int] = {}
        self._together: set[tuple[int, int]] = set()
        self._waiting = self._kept = 0

    def stretches_of(self, faces: Sequence[FaceObservation]) -> list[int]:
        """The track number of each face of a frame."""
        numbers = [self._stretch_of(face) for face in faces]
        if self._identity is not None:
            self._together |= {(number, other) for number in numbers for other in numbers if number < other}
        return numbers

    def consider(self, stretch: int, face: FaceObservation, image: npt.NDArray[np.uint8], values: Floats32) -> None:
        """Keep this image if it is among the good ones of its track.

        Args:
            stretch: number of the track.
            face: the observed face.
            image: (H, W, 3) RGB uint8 frame.
            values: (len(READINGS),) readings of the face.
        """
        if self._identity is None or not face.is_measured:
            return
        score = _score(values)
        pictures = self._stretches[stretch].pictures
        if not score > 0:
            return
        recent = [picture for picture in pictures if face.time_s - picture.time_s < SPACED_S]
        if not recent and len(pictures) < MOST_PICTURES:
            if self._kept == MOST_KEPT:
                return
            self._kept += 1
            pictures.append(_Image(face.time_s, score, face_crop(image, face.landmarks)))
            self._waiting += 1
        else:
            replaced = recent[-1] if recent else min(pictures, key=lambda picture: picture.score)
            if score <= BETTER * replaced.score:
                return
            self._waiting += replaced.crop is None
            replaced.time_s = face.time_s if not recent else replaced.time_s
            replaced.score, replaced.crop, replaced.vector = score, face_crop(image, face.landmarks), None
        if self._waiting > MOST_WAITING:
            self._read_all()

    def people(self) -> list[Joined]:
        """The people, by first appearance, each with its tracks."""
        count = len(self._stretches)
        # nothing to join: no track, one track, or all pairs of tracks seen in one frame
        if self._identity is None or 2 * len(self._together) == count * (count - 1):
            return [Joined((number,), float('nan')) for number in range(count)]
        self._read_all()
        vectors = [[p.vector for p in stretch.pictures if p.vector is not None] for stretch in self._stretches]
        order = np.argsort([-stretch.frames for stretch in self._stretches], kind='stable')
        compared = set(order[:MOST_STRETCHES].tolist())
        vectors = [track_vectors if number in compared else [] for number, track_vectors in enumerate(vectors)]
        people = joined(vectors, [stretch.person for stretch in self._stretches], self._together)
        return [dataclasses.replace(person, absences=self._absences(person.stretches)) for person in people]

    def _absences(self, numbers: Sequence[int]) -> int:
        tracks = [self._stretches[number] for number in numbers]
        return sum(
            later.person != earlier.person or later.first_s - earlier.last_s > GAP_S
            for earlier, later in pairwise(tracks)
        )

    def _stretch_of(self, face: FaceObservation) -> int:
        number = self._current.get(face.person)
        current = None if number is None else self._stretches[number]
        is_away = current is not None and (current.scene != face.scene or face.time_s - current.last_s > GAP_S)
        if number is None or (is_away and self._identity is not None):
            number = self._current[face.person] = len(self._stretches)
            self._stretches.append(_Track(face.person, face.scene, face.time_s, face.time_s))
        stretch = self._stretches[number]
        stretch.last_s = face.time_s
        stretch.frames += 1
        return number

    def _read_all(self) -> None:
        """Replace all waiting crops by their vectors."""
        for stretch in self._stretches:
            for picture in stretch.pictures:
                if picture.crop is not None and self._identity is not None:
                    picture.vector, picture.crop = self._identity.vector(picture.crop), None
        self._waiting = 0


def joined(
    vectors: Sequence[Sequence[Floats32]], tracked: Sequence[int], together: Iterable[tuple[int, int]]
) -> list[Joined]:
    """People as groups of tracks, joined from the nearest pair on, by mean distance, while that is certain enough.

    1. Start from the tracker's people, without tracks whose face is certainly that of another person. 2. Join the two
    groups with the nearest faces, unless they were on screen together or a third is nearly as close to one and was on
    screen with the other. 3. Repeat until no join is certain. 4. Sort people by their first track.

    Args:
        vectors: per track the vectors of its images, each (D,); may be empty.
        tracked: per track the tracker's person.
        together: pairs of tracks seen in one frame.

    Returns:
        People, in the order of their first tracks.
    """
    # 1. The tracker's people.
    tracks, sureness = _as_tracked(vectors, tracked)
    known = [[vector for number in group for vector in vectors[number]] for group in tracks]
    unseen = [
        Joined(tuple(group), float('nan'))
        for group, group_vectors in zip(tracks, known, strict=True)
        if not group_vectors
    ]
    groups = [group for group, group_vectors in zip(tracks, known, strict=True) if group_vectors]
    sure = [least for least, group_vectors in zip(sureness, known, strict=True) if group_vectors]
    known = [group_vectors for group_vectors in known if group_vectors]
    count = np.array([len(group_vectors) for group_vectors in known], dtype=np.float64)
    sums = _summed_distances(known)
    apart = _apart(groups, together)
    blocked = np.eye(len(groups), dtype=bool) | apart
    # 2. and 3. The nearest pair, while it is certain.
    while True:
        with np.errstate(invalid='ignore', divide='ignore'):
            mean = np.where(count[:, None] * count[None] > 0, sums / (count[:, None] * count[None]), np.inf)
        open_pairs = np.where(blocked, np.inf, mean)
        if not open_pairs.size:
            break
        first, second = sorted(divmod(int(open_pairs.argmin()), len(groups)))
        nearest = float(open_pairs[first, second])
        if not certainty(nearest) >= SURE:
            break
        if _has_rival(first, second, mean, apart, nearest):
            blocked[first, second] = blocked[second, first] = True
            continue
        groups[first] = sorted([*groups[first], *groups[second]])
        sure[first] = min(sure[first], sure[second], certainty(nearest))
        sums[first] += sums[second]
        sums[:, first] += sums[:, second]
        count[first] += count[second]
        apart[first] |= apart[second]
        apart[:, first] |= apart[:, second]
        blocked[first] |= apart[first]
        blocked[:, first] |= apart[:, first]
        groups[second], count[second] = [], 0
        blocked[second], blocked[:, second] = True, True
        apart[second], apart[:, second] = False, False
    # 4. People, those without any good image included.
    people = [
        Joined(tuple(group), group_vectors if group_vectors <= 1 else float('nan'))
        for group, group_vectors in zip(groups, sure, strict=True)
        if group
    ]
    return sorted([*people, *unseen], key=lambda person: person.stretches[0])


def _as_tracked(vectors: Sequence[Sequence[Floats32]], tracked: Sequence[int]) -> tuple[list[list[int]], list[float]]:
    """Tracks grouped by the tracker's person, and the certainty of each group; infinity if nothing was compared.

    A track whose face is certainly that of another person starts a new group.
    """
    groups: list[list[int]] = []
    certainties: list[float] = []
    latest: dict[int, int] = {}
    for number, person in enumerate(tracked):
        group = latest.get(person)
        sureness = float('inf')
        if group is not None:
            earlier_vectors = [vector for earlier_track in groups[group] for vector in vectors[earlier_track]]
            if earlier_vectors and len(vectors[number]):
                sureness = certainty(mean_distance(earlier_vectors, vectors[number]))
        if group is None or sureness < SURELY_OTHER:
            group = latest[person] = len(groups)
            groups.append([number])
            certainties.append(float('inf'))
        else:
            groups[group].append(number)
            certainties[group] = min(certainties[group], sureness)
    return groups, certainties


def mean_distance(ours: Sequence[Floats32], theirs: Sequence[Floats32]) -> float:
    """The mean Euclidean distance of all pairs; nan if one side is empty."""
    if not ours or not theirs:
        return float('nan')
    return float(_distances(np.stack(ours), np.stack(theirs)).mean())


def _distances(ours: Floats32, theirs: Floats32) -> Floats:
    """(N, M) Euclidean distances of (N, D) and (M, D)."""
    squares = np.square(ours).sum(axis=1)[:, None] + np.square(theirs).sum(axis=1) - 2 * (ours @ theirs.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), dtype=np.float64)


def _summed_distances(vectors: Sequence[Sequence[Floats32]]) -> Floats:
    """(G, G) sums of distances over all pairs of images of two groups."""
    owner = np.array([group for group, group_vectors in enumerate(vectors) for _ in group_vectors], dtype=np.int64)
    sums = np.zeros((len(vectors), len(vectors)))
    if len(owner):
        flat = np.stack([vector for group_vectors in vectors for vector in group_vectors])
        np.add.at(sums, (owner[:, None], owner[None]), _distances(flat, flat))
    return sums


def _apart(groups: Sequence[Sequence[int]], together: Iterable[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """bool (G, G), True for two groups that were on screen in one frame."""
    owner: Mapping[int, int] = {number: group for group, numbers in enumerate(groups) for number in numbers}
    apart = np.zeros((len(groups), len(groups)), dtype=bool)
    for earlier, later in together:
        if earlier in owner and later in owner:
            apart[owner[earlier], owner[later]] = apart[owner[later], owner[earlier]] = True
    return apart


def _has_rival(first: int, second: int, mean: Floats, apart: npt.NDArray[np.bool_], nearest: float) -> bool:
    """Whether a group that was on screen with one of the two is nearly as close to the other."""
    near = mean < nearest + MARGIN
    return bool((apart[second] & near[first]).any() or (apart[first] & near[second]).any())


def _score(values: Floats32) -> float:
    """Suitability of an image for comparison, >= 0: its quality; 0 if the face is too small, blurred or turned."""
    size, sharpness, yaw, quality = (
        float(values[_COLUMN[name]]) for name in ('face_size_px', 'sharpness', 'yaw_deg', 'quality')
    )
    is_clear = size >= LEAST_SIZE_PX and sharpness >= LEAST_SHARPNESS and abs(yaw) <= MOST_YAW_DEG
    return quality if is_clear and quality > 0 else 0.0
