"""The faces of live frames: tracked in each frame, with the search for new faces in parallel.

Tracking a face costs a fraction of a search for new faces. So a search runs in another thread, and
its detections are used in the frame that is current when they are ready: a new face appears some frames later, and no
frame waits. With `is_patient=True`, rows and people equal those of `observe_faces` frame by frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import PIL.Image
import pyarrow as pa

from affekt.arrays import Floats32
from affekt.faces.align import FACE_SIDE
from affekt.faces.completion import Completion, FaceObservation
from affekt.faces.detector import Detection
from affekt.faces.landmarker import MESH_SIDE, SMALLEST_SIDE, FaceLandmarker
from affekt.faces.lookout import Glance
from affekt.faces.mesh import Region
from affekt.faces.rows import NUMBERS, ExpressionLike, FaceRecord, SeenPerson, person_name, with_names
from affekt.faces.same_person import IdentityLike
from affekt.faces.scenes import colour_histogram
from affekt.faces.tracking import FaceTracker
from affekt.labels import EKMAN
from affekt.workers import yields_to_others

_COLUMNS = {name: place for place, name in enumerate(NUMBERS)}
_SHARES = slice(_COLUMNS[EKMAN[0]], _COLUMNS[EKMAN[-1]] + 1)


@dataclass(frozen=True, repr=False)
class SeenFace:
    """One face in one live frame.

    Attributes:
        person: 'person 1', 'person 2', … as assigned by the tracker; somebody who left and came back may have another
            number than after tracks are joined at the end.
        box: (4,) x, y, width, height in pixels of the frame.
        shares: (7,) probabilities in EKMAN order; nan without an expression model.
        valence, arousal: derived from them, in [-1, 1].
        quality: the reading `quality`, in [0, 1].
        numbers: all of NUMBERS.
    """

    person: str
    box: Floats32
    shares: Floats32
    valence: float
    arousal: float
    quality: float
    numbers: Floats32

    def __repr__(self) -> str:
        return f'SeenFace({self.person!r}, valence {self.valence:+.2f}, arousal {self.arousal:+.2f})'


class Searching(Protocol):
    """The interface of a parallel search for faces."""

    def is_free(self, is_urgent: bool) -> bool:
        """Whether a frame can be given; `is_urgent` if no face is tracked."""

    def give(self, image: npt.NDArray[np.uint8], scales: int, is_urgent: bool) -> None:
        """Start the search of a frame; an unfinished one is cancelled."""

    def take(self) -> tuple[int, Sequence[Detection]]:
        """Number of scales and detections of a finished search, once; (0, ()) if none is finished."""

    def close(self) -> None:
        """End the search."""


class _SearchResult(NamedTuple):
    """Result of a search; `rest` is a running search of the other scales, `scales_left` its number of scales."""

    scales: int
    detections: Sequence[Detection]
    rest: Future[_SearchResult] | None = None
    scales_left: int = 0


class SearchAside:
    """Searches one frame at a time in another thread.

    While a face is tracked, the thread has a low priority, so that no frame waits for it. While none is tracked, there
    is nothing to delay, and on a busy machine that thread would take seconds: an urgent search runs in a thread of
    normal priority, and does not wait for the other. It begins with the coarsest scale, a twelfth of the work: a face
    found there is tracked at once, and the other scales are left to the thread of low priority. If nothing found there
    can be tracked, the next search is urgent again, and takes all scales at once: otherwise something that only looks
    like a large face would keep small ones from ever being found.
    """

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self._detectors = {is_urgent: landmarker.another_detector() for is_urgent in (False, True)}
        self._pools = {
            False: ThreadPoolExecutor(1, 'affekt-search', yields_to_others),
            True: ThreadPoolExecutor(1, 'affekt-urgent-search'),
        }
        self._running: Future[_SearchResult] | None = None
        self._is_urgent = False
        self._scales_left = 0

    def is_free(self, is_urgent: bool) -> bool:
        """Whether the result of the last search was taken, or an urgent search may replace it."""
        return self._running is None or (is_urgent and not self._is_urgent)

    def give(self, image: npt.NDArray[np.uint8], scales: int, is_urgent: bool) -> None:
        """Start the search of a frame; an unfinished one is cancelled."""
        if self._running is not None:
            self._running.cancel()
        if is_urgent and not self._scales_left:
            self._running = self._pools[True].submit(self._coarse_first, image, scales)
        else:
            self._running = self._pools[is_urgent].submit(
                self._search_all, image, max(scales, self._scales_left), is_urgent
            )
        self._is_urgent, self._scales_left = is_urgent, 0

    def take(self) -> tuple[int, Sequence[Detection]]:
        """Number of scales and detections of a finished search, once; (0, ()) if none is finished."""
        if self._running is None or not self._running.done():
            return 0, ()
        running, self._running = self._running, None
        result = running.result()
        self._running, self._is_urgent, self._scales_left = result.rest, False, result.scales_left
        return result.scales, result.detections

    def close(self) -> None:
        """Wait for the current searches, and end both threads."""
        for is_urgent in (True, False):  # the urgent one may start another
            self._pools[is_urgent].shutdown(wait=True, cancel_futures=True)

    def _search_all(self, image: npt.NDArray[np.uint8], scales: int, is_urgent: bool) -> _SearchResult:
        return _SearchResult(scales, self._detectors[is_urgent].detect(image, scales))

    def _coarse_first(self, image: npt.NDArray[np.uint8], scales: int) -> _SearchResult:
        detect = self._detectors[True].detect
        detections = detect(image, 1)
        if scales == 1:
            return _SearchResult(1, detections)
        if not detections:
            return _SearchResult(scales, detect(image, scales))
        return _SearchResult(1, detections, self._pools[False].submit(self._search_all, image, scales, False), scales)


class FaceStream:
    """Tracks the faces of one stream of frames.

    Args:
        max_people: maximum number of faces tracked at once, >= 1.
        landmarker: reads the faces; None for one with the published model.
        expression: an expression model; None leaves categories, valence and arousal nan.
        identity: see `observe_faces`; used at the end.
        keep_thumbnails: False keeps no images.
        is_patient: search within the frame, as in `observe_faces`; some tens of milliseconds slower when a search
            is due.
        search: the search; None for one in separate threads.
    """

    def __init__(
        self,
        *,
        max_people: int = 5,
        landmarker: FaceLandmarker | None = None,
        expression: ExpressionLike | None = None,
        identity: IdentityLike | None = None,
        keep_thumbnails: bool = True,
        is_patient: bool = False,
        search: Searching | None = None,
    ) -> None:
        networks = landmarker or FaceLandmarker()
        self._networks, self._expression = networks, expression
        self._tracker = FaceTracker(networks, max_people, searches_itself=is_patient)
        self._completion = Completion(networks)
        self._record = FaceRecord(expression, identity, keep_thumbnails=keep_thumbnails, batch=max_people + 1)
        self._keeps_thumbnails = keep_thumbnails
        self._search = None if is_patient else search or SearchAside(networks)
        self._size: tuple[int, ...] = ()

    def warm_up(self) -> None:
        """Run every network once on dummy data, since first runs are the slowest and no frame should wait for them."""
        grey = np.full((MESH_SIDE, MESH_SIDE, 3), 128, np.uint8)
        self._networks.detect(grey)
        landmarks, _ = self._networks.mesh(grey, Region(MESH_SIDE / 2, MESH_SIDE / 2, MESH_SIDE, 0.0))
        self._networks.blendshapes(landmarks)
        if self._expression is not None:
            self._expression.probabilities(np.zeros((1, FACE_SIDE, FACE_SIDE), np.uint8))
        if self._keeps_thumbnails:
            PIL.Image.preinit()  # loads the JPEG writer before the first thumbnail

    def look(self, time_s: float, image: npt.NDArray[np.uint8]) -> tuple[SeenFace, ...]:
        """The faces of the next frame.

        Args:
            time_s: time of the frame, later than the previous one.
            image: (H, W, 3) RGB uint8 of any size; if the size changes, faces are detected again.

        Raises:
            ShapeError: the image is not uint8 RGB.
            ValueRangeError: the time does not increase.
        """
        if self._size and image.shape != self._size:
            self._tracker.cut()
        self._size = image.shape
        is_small = min(image.shape[:2]) < SMALLEST_SIDE
        faces = [] if is_small else self._observed(time_s, image)
        stretches = self._record.add(faces, image)
        numbers = self._record.latest(len(faces))
        return tuple(_seen_face(stretch, row) for stretch, row in zip(stretches, numbers, strict=True))

    def _observed(self, time_s: float, image: npt.NDArray[np.uint8]) -> list[FaceObservation]:
        glance = Glance(colour_histogram(image))
        if self._search is not None:
            glance = Glance(glance.colours, *_detected(self._search.take()))
        followed = self._tracker.follow(time_s, image, glance)
        is_urgent = not followed
        if (
            self._search is not None
            and self._search.is_free(is_urgent)
            and (scales := self._tracker.scales_due(time_s))
        ):
            self._search.give(image, scales, is_urgent)
        return self._completion.observations(followed, image)

    def taken(self) -> pa.Table:
        """The rows since the last call, of ROW_SCHEMA; `person` is a track number as text."""
        return self._record.taken()

    def concluded(self) -> tuple[tuple[SeenPerson, ...], dict[str, str]]:
        """The people, and track number, as text, to person's name."""
        return self._record.concluded()

    def close(self) -> None:
        """End the search."""
        if self._search is not None:
            self._search.close()

    @staticmethod
    def named(table: pa.Table, names: dict[str, str]) -> pa.Table:
        """Rows with track numbers replaced by people's names."""
        return with_names(table, names)


def _detected(search: tuple[int, Sequence[Detection]]) -> tuple[int, tuple[Detection, ...]]:
    return search[0], tuple(search[1])


def _seen_face(stretch: int, numbers: Floats32) -> SeenFace:
    def number(name: str) -> float:
        return float(numbers[_COLUMNS[name]])

    return SeenFace(
        person_name(stretch), numbers[:4], numbers[_SHARES], number('valence'), number('arousal'), number('quality'),
        numbers,
    )  # fmt: skip
