"""Face tracking: the faces of each frame, assigned to people.

A known face is read at the position predicted from its last landmarks at constant velocity; the detector
runs only to find new or lost faces. People who come close are distinguished by predicted position and
appearance. A face that is not seen is absent: nothing is filled in. Coordinates are pixels, times seconds.

Source: Kuhn 1955, doi:10.1002/nav.3800020109 (assignment); Bewley et al. 2016, arXiv:1602.00763 (tracking by
prediction and assignment).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.errors import ValueRangeError
from affekt.faces.appearance import SAME, SURELY_SAME, Gallery, Look, difference, look
from affekt.faces.completion import Completion, FaceObservation, Followed
from affekt.faces.detector import Detection
from affekt.faces.landmarker import FaceLandmarker, checked_image
from affekt.faces.lookout import SEARCH_EVERY_S, Glance, Searches
from affekt.faces.mesh import DUPLICATE_OVERLAP, Mesh, Region, box_overlap, is_duplicate, is_part
from affekt.faces.scenes import SceneCuts, colour_histogram
from affekt.faces.stillness import Stillness

RECOVER_EVERY_S = 0.25
"""Seconds between searches at all scales after a face was lost; the coarsest scale is searched at every frame."""
GAP_S = 3.0
"""Longest absence, in seconds, after which position and look identify a face; later, only a certain look does."""
LOOK_EVERY_S = 0.5
NEAR = 1.5
"""Distance of two faces, in face sizes, below which looks decide identity."""
TOUCHING = 1.0
"""Distance of two faces, in face sizes, below which a look may mix both and is not kept."""
JUMP = 4.2
"""Difference of looks within LOOK_EVERY_S that excludes the same person."""
MOST_REMEMBERED = 60


@dataclass
class _Person:
    """The tracker's state of one person; `seen_s` and `look_s` are times of the last face and of the last kept look."""

    number: int
    face: Mesh
    seen_s: float
    scene: int
    velocity: Floats = field(default_factory=lambda: np.zeros(2))
    gallery: Gallery = field(default_factory=Gallery)
    look_s: float = float('-inf')
    is_followed: bool = True

    def expected_region(self, time_s: float) -> Region:
        """The square in which the face is expected at a time."""
        region = Region.from_landmarks(self.face.landmarks)
        x, y = (float(step) for step in self.expected_center(time_s) - self.face.center)
        return Region(region.center_x + x, region.center_y + y, region.side, region.angle_rad)

    def expected_center(self, time_s: float) -> Floats:
        """(2,) expected centre of the face: moved at its velocity for at most a second, and by at most its own size."""
        step = self.velocity * min(time_s - self.seen_s, 1.0)
        length, size = _length(step), self.face.size
        return self.face.center + step * min(1.0, size / max(length, 1e-9))


class FaceTracker:
    """Tracks up to `max_people` faces; call it with the frames of one recording in order.

    Args:
        landmarker: reads the faces; used by this tracker alone.
        max_people: maximum number of faces tracked at once, >= 1.
        still_levels: mean change, in grey levels of 255, below which a face counts as still and its last reading is
            reused (for at most a quarter second); 0 reads every face in every frame.
        scales: search depth of the detector, see `FaceDetector.detect`.
        searches_itself: run due searches within the frame; False to take detections from an external search.

    Raises:
        ValueRangeError: `max_people` < 1 or `still_levels` < 0.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        max_people: int = 5,
        still_levels: float = 0.0,
        scales: int = 4,
        *,
        searches_itself: bool = True,
    ) -> None:
        if max_people < 1 or not still_levels >= 0:
            raise ValueRangeError(
                expected='max_people >= 1 and still_levels >= 0',
                came=f'{max_people} and {still_levels}',
                todo='choose others',
            )
        self._landmarker, self._max_people, self._scales = landmarker, max_people, scales
        self._searches_itself = searches_itself
        self._completion = Completion(landmarker)
        self._stillness = Stillness(still_levels)
        self._cuts = SceneCuts()
        self._persons: list[_Person] = []
        self._sights: dict[int, tuple[Mesh, Look]] = {}
        self._people = self._scene = 0
        self._time_s = self._search_s = self._deep_s = float('-inf')
        self._searches = Searches(self._search_s, self._deep_s, waits=False)

    @property
    def people(self) -> int:
        """Number of people seen so far."""
        return self._people

    def update(self, time_s: float, image: npt.NDArray[np.uint8]) -> list[FaceObservation]:
        """The faces of the next frame, by person number.

        Args:
            time_s: time of the frame, later than the previous one.
            image: (H, W, 3) RGB uint8, H, W >= 16.

        Returns:
            One observation per visible person; [] if no face is seen.

        Raises:
            ShapeError: the image is not uint8 RGB of at least 16 x 16.
            ValueRangeError: the time does not increase.
        """
        return self._completion.observations(self.follow(time_s, image), image)

    @property
    def searches(self) -> Searches:
        """The state of searches, for a `Lookout`; thread-safe."""
        return self._searches

    def follow(self, time_s: float, image: npt.NDArray[np.uint8], glance: Glance | None = None) -> list[Followed]:
        """`update` without blendshapes and poses, which tracking does not need; see `Completion`.

        Args:
            time_s, image: as for `update`.
            glance: a `Lookout`'s result for this frame, which saves time but changes nothing. If the tracker does not
                search itself: detections of this frame or of a recent one whose search has finished.
        """
        checked_image(image)
        if not time_s > self._time_s:
            raise ValueRangeError(
                expected=f'a time after {self._time_s} s', came=f'{time_s} s', todo='feed frames in order'
            )
        # 1. A new scene: nobody keeps their position.
        glance = glance or Glance(colour_histogram(image))
        if self._cuts.is_cut_to(glance.colours):
            self.cut()
        # 2. Read known faces at predicted positions; resolve identities where they meet.
        self._sights.clear()
        followed, faces = self._follow(time_s, image)
        seen = followed | self._settle(time_s, image, set(followed), faces)
        for person in self._persons:
            person.is_followed = person.number in seen
        # 3. Search for unassigned faces.
        if self._searches_itself and self._is_search_due(len(seen), time_s):
            seen |= self._search(time_s, image, seen, glance)
        elif not self._searches_itself and glance.scales and len(seen) < self._max_people:
            seen |= self._adopt(time_s, image, seen, glance.detections)
        # 4. Update the state.
        for person in self._persons:
            person.is_followed = person.number in seen
        for person in self._persons:
            if person.is_followed and person.number not in followed:
                self._remember(person, time_s, image, seen[person.number])
        self._time_s = time_s
        waits = 0 < len(seen) < self._max_people and not self._misses_someone(time_s)
        self._searches = Searches(self._search_s, self._deep_s, waits)
        scene = self._cuts.suspected
        return [Followed(seen[number], time_s, number, number not in followed, scene) for number in sorted(seen)]

    def cut(self) -> None:
        """Start a new scene: positions are forgotten, and a search is due at once."""
        self._scene += 1
        self._search_s = self._deep_s = float('-inf')
        for person in self._persons:
            person.is_followed = False

    def scales_due(self, time_s: float) -> int:
        """Number of scales at which an external search is due now; 0 for none.

        A due search counts as done at this time.
        """
        seen = sum(person.is_followed for person in self._persons)
        return self._depth(time_s, seen > 0) if self._is_search_due(seen, time_s) else 0

    def _follow(self, time_s: float, image: npt.NDArray[np.uint8]) -> tuple[dict[int, Mesh], list[Mesh]]:
        """Person to face, for faces that have not moved, and the faces read at the expected positions of the others."""
        followed: dict[int, Mesh] = {}
        faces: list[Mesh] = []
        for person in self._persons:
            if not person.is_followed:
                continue
            is_crowded = self._is_crowded(person, time_s, NEAR)
            if not is_crowded and self._stillness.is_still(person.number, time_s, image):
                followed[person.number] = person.face
                continue
            face = self._landmarker.locate(image, person.expected_region(time_s))
            if face is None or not _is_plausible(face, person, time_s) or is_duplicate(face, faces):
                continue
            if not is_crowded and self._is_someone_else(person, time_s, image, face):
                self._search_s = self._deep_s = float('-inf')
                continue
            faces.append(face)
        return followed, faces

    def _settle(
        self, time_s: float, image: npt.NDArray[np.uint8], followed: set[int], faces: list[Mesh]
    ) -> dict[int, Mesh]:
        """Person to face, by the assignment with the lowest total cost.

        Where people are close, looks count in addition to positions, and people who were lost there may
        return.
        """
        persons = [p for p in self._persons if p.number not in followed and (p.is_followed or self._is_lost(p, time_s))]
        cost = np.full((len(persons), len(faces)), np.inf)
        for row, person in enumerate(persons):
            is_crowded = self._is_crowded(person, time_s, NEAR)
            for column, face in enumerate(faces):
                if is_crowded:
                    cost[row, column] = self._cost(person, face, self._sight(image, face), time_s)
                elif person.is_followed and _distance(face, person, time_s) < NEAR:
                    cost[row, column] = _distance(face, person, time_s)
        return {persons[row].number: faces[column] for row, column in _assign(cost)}

    def _cost(self, person: _Person, face: Mesh, sight: Look, time_s: float) -> float:
        """Cost of a face for a person who was in this scene a moment ago; infinity if it is too far away."""
        look_difference = person.gallery.difference(sight) if person.gallery.looks else SAME
        distance = _distance(face, person, time_s)
        return look_difference + distance / 2 if distance < NEAR + 3 * (time_s - person.seen_s) else float('inf')

    def _is_lost(self, person: _Person, time_s: float) -> bool:
        """Whether a person is not tracked but was seen in this scene at most `GAP_S` ago."""
        return not person.is_followed and person.scene == self._scene and time_s - person.seen_s <= GAP_S

    def _is_crowded(self, person: _Person, time_s: float, reach: float) -> bool:
        """Whether another person is, or is expected, within `reach` face sizes."""
        others = [p for p in self._persons if p is not person and (p.is_followed or self._is_lost(p, time_s))]
        if not others:
            return False
        center, size = person.expected_center(time_s), person.face.size
        return any(_length(other.expected_center(time_s) - center) < reach * size for other in others)

    def _is_someone_else(self, person: _Person, time_s: float, image: npt.NDArray[np.uint8], face: Mesh) -> bool:
        """Whether a face resembles none of the person's looks, as after a cut that was not noticed."""
        latest = person.gallery.latest
        if time_s - person.look_s < LOOK_EVERY_S or latest is None:
            return False
        sight = self._sight(image, face)
        return min(difference(latest, sight), person.gallery.difference(sight)) > JUMP

    def _is_search_due(self, seen: int, time_s: float) -> bool:
        """Whether nobody is seen, somebody was just lost, or the last search was a while ago."""
        if seen >= self._max_people:
            return False
        return not seen or self._misses_someone(time_s) or time_s - self._search_s >= SEARCH_EVERY_S

    def _misses_someone(self, time_s: float) -> bool:
        return any(self._is_lost(person, time_s) for person in self._persons)

    def _search(
        self, time_s: float, image: npt.NDArray[np.uint8], seen: dict[int, Mesh], glance: Glance
    ) -> dict[int, Mesh]:
        """`_adopt` with the detections of the glance, or, if they are of other scales, of a search now."""
        scales = self._depth(time_s, bool(seen))
        is_foreseen = glance.scales == scales
        detections = glance.detections if is_foreseen else self._landmarker.detect(image, scales)
        return self._adopt(time_s, image, seen, detections)

    def _adopt(
        self, time_s: float, image: npt.NDArray[np.uint8], seen: dict[int, Mesh], detections: Sequence[Detection]
    ) -> dict[int, Mesh]:
        """Person to face, for detected faces that no tracked person has: of people lost before, or of new ones."""
        # 1. Candidates: detections away from tracked faces, confirmed by a second reading.
        candidates = self._candidates(image, list(seen.values()), detections)
        # 2. People seen a moment ago, by position and look; others only by a certain look.
        absent = [person for person in self._persons if person.number not in seen]
        cost = np.full((len(absent), len(candidates)), np.inf)
        for row, person in enumerate(absent):
            for column, face in enumerate(candidates):
                cost[row, column] = self._return_cost(person, face, self._sight(image, face), time_s)
        pairs = _assign(cost)
        adopted = {absent[row].number: candidates[column] for row, column in pairs}
        # 3. New people, largest first, up to the maximum.
        taken = {column for _, column in pairs}
        known = [*seen.values(), *adopted.values()]
        new_faces = [face for column, face in enumerate(candidates) if column not in taken]
        new_faces = [face for face in new_faces if not self._may_be_half_hidden(face, known, time_s)]
        room = max(0, self._max_people - len(seen) - len(adopted))
        for face in sorted(new_faces, key=lambda face: -face.size)[:room]:
            person = _Person(self._people, face, time_s, self._scene)
            self._people += 1
            self._persons = [*self._persons, person][-MOST_REMEMBERED:]
            adopted[person.number] = face
        return adopted

    def _depth(self, time_s: float, sees_someone: bool) -> int:
        """Number of scales to search now, from 1 to all, by the times since the last searches; notes the search."""
        misses = self._misses_someone(time_s)
        every_s = RECOVER_EVERY_S if misses else SEARCH_EVERY_S
        if time_s - self._deep_s >= (every_s if misses or not sees_someone else 3 * every_s):
            self._deep_s = self._search_s = time_s
            return self._scales
        if time_s - self._search_s >= every_s:
            self._search_s = time_s
            return min(2, self._scales)
        return 1

    def _may_be_half_hidden(self, face: Mesh, known: list[Mesh], time_s: float) -> bool:
        """Whether a face is near a tracked one behind which a lost person may be reappearing."""
        touched = any(_away(face.center, other) < NEAR for other in known)
        return touched and any(
            self._is_lost(person, time_s) and _distance(face, person, time_s) < 2 * NEAR for person in self._persons
        )

    def _candidates(
        self, image: npt.NDArray[np.uint8], known: list[Mesh], detections: Sequence[Detection]
    ) -> list[Mesh]:
        """Detected faces that are none of the known ones, each confirmed by a second reading."""
        candidates: list[Mesh] = []
        for detection in detections:
            if any(_lies_in(detection.box, face) for face in known):
                continue
            face = self._confirmed(image, Region.from_detection(detection))
            others = [*known, *candidates]
            if face is not None and not is_duplicate(face, others) and not is_part(face, others):
                candidates.append(face)
            if len(candidates) >= 2 * self._max_people:
                break
        return candidates

    def _confirmed(self, image: npt.NDArray[np.uint8], region: Region) -> Mesh | None:
        """The face read again around its own landmarks; None if the two readings disagree."""
        first = self._landmarker.locate_found(image, region)
        if first is None:
            return None
        second = self._landmarker.locate(image, Region.from_landmarks(first.landmarks))
        if second is None or box_overlap(first, second) < DUPLICATE_OVERLAP:
            return None
        return second

    def _return_cost(self, person: _Person, face: Mesh, sight: Look, time_s: float) -> float:
        """Cost of a detected face for a person who is absent; infinity if it cannot be that person."""
        look_difference = person.gallery.difference(sight)
        if person.scene == self._scene and time_s - person.seen_s <= GAP_S:
            return self._cost(person, face, sight, time_s) if look_difference < SAME else float('inf')
        others = [other for other in self._persons if other is not person]
        rival = min((other.gallery.difference(sight) for other in others), default=float('inf'))
        return 10 + look_difference if look_difference < SURELY_SAME and rival > look_difference + 0.5 else float('inf')

    def _sight(self, image: npt.NDArray[np.uint8], face: Mesh) -> Look:
        """The look of a face in this frame, computed once."""
        if id(face) not in self._sights:
            self._sights[id(face)] = (face, look(image, face))
        return self._sights[id(face)][1]

    def _remember(self, person: _Person, time_s: float, image: npt.NDArray[np.uint8], face: Mesh) -> None:
        """Update a person's face, velocity, scene and looks with the face of this frame."""
        elapsed = time_s - person.seen_s
        if 0 < elapsed < 0.5:
            speed = (face.center - person.face.center) / elapsed
            person.velocity = 0.5 * person.velocity + 0.5 * speed
        else:
            person.velocity = np.zeros(2)
        person.face, person.seen_s, person.scene = face, time_s, self._scene
        self._stillness.remember(person.number, time_s, image, face.box)
        is_first = not person.gallery.looks
        is_due = time_s - person.look_s >= LOOK_EVERY_S and not self._is_crowded(person, time_s, TOUCHING)
        if is_first or is_due:
            person.gallery.add(self._sight(image, face))
            person.look_s = time_s


def _length(step: Floats) -> float:
    """Length of a vector, without the checks of `np.linalg.norm`, which take ten times as long."""
    return math.sqrt(step @ step)


def _away(point: Floats, face: Mesh) -> float:
    """Distance of a point from a face's centre, in face sizes."""
    return _length(point - face.center) / face.size


def _distance(face: Mesh, person: _Person, time_s: float) -> float:
    """Distance of a face from a person's expected position, in face sizes."""
    return _length(face.center - person.expected_center(time_s)) / person.face.size


def _is_plausible(face: Mesh, person: _Person, time_s: float) -> bool:
    """Whether a face has about the expected size and position of a person's."""
    ratio = face.size / person.face.size
    return 0.6 < ratio < 1.67 and _distance(face, person, time_s) < 1.0


def _lies_in(box: Floats32, face: Mesh) -> bool:
    """Whether the centre of a detection's box (x, y, w, h) lies inside a face's box."""
    center = box[:2] + box[2:] / 2
    return bool(((center >= face.box[:2]) & (center <= face.box[:2] + face.box[2:])).all())


def _assign(cost: Floats) -> list[tuple[int, int]]:
    """Pairs of row and column with the lowest total cost; pairs of infinite cost are left out."""
    if not np.isfinite(cost).any():
        return []
    return [(r, c) for r, c in assignment(np.where(np.isfinite(cost), cost, 1e6)) if np.isfinite(cost[r, c])]


def assignment(cost: Floats) -> list[tuple[int, int]]:
    """The pairs of `scipy.optimize.linear_sum_assignment`, by row.

    SciPy takes half a second to load, seconds on a busy machine, in which tracking cannot be stopped.

    Args:
        cost: (R, C) finite.

    Returns:
        min(R, C) pairs of row and column, each at most once, with the lowest total cost.

    Source: Crouse 2016, doi:10.1109/TAES.2016.140952 (shortest augmenting paths).
    """
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in assignment(cost.T))
    costs, width = cost.tolist(), cost.shape[1]
    row_price, column_price = [0.0] * len(costs), [0.0] * width
    row_of, column_of = [-1] * width, [-1] * len(costs)
    for first in range(len(costs)):
        # 1. The cheapest augmenting path from this row to a free column.
        shortest, came_from = [math.inf] * width, [-1] * width
        unvisited = list(range(width - 1, -1, -1))
        reached: list[int] = []
        row, length, column = first, 0.0, -1
        while column < 0 or row_of[column] >= 0:
            row = first if column < 0 else row_of[column]
            for candidate in unvisited:
                through = length + costs[row][candidate] - row_price[row] - column_price[candidate]
                if through < shortest[candidate]:
                    shortest[candidate], came_from[candidate] = through, row
            length = min(shortest[candidate] for candidate in unvisited)
            nearest = [candidate for candidate in unvisited if shortest[candidate] == length]
            column = next((column_index for column_index in reversed(nearest) if row_of[column_index] < 0), nearest[0])
            reached.append(column)
            unvisited[unvisited.index(column)] = unvisited[-1]
            unvisited.pop()
        # 2. Prices (dual variables) under which the pairs so far remain optimal.
        row_price[first] += length
        for column_index in reached[:-1]:
            row_price[row_of[column_index]] += length - shortest[column_index]
            column_price[column_index] -= length - shortest[column_index]
        # 3. Along the path, each row takes the next column.
        while column >= 0:
            row = row_of[column] = came_from[column]
            column, column_of[row] = column_of[row], column
    return list(enumerate(column_of))
