"""Colours and detections of a frame, computed ahead of the tracker in another thread.

Both depend on the frame alone, not on the faces of the previous one. The tracker uses them to notice cuts and new
faces; a search that was not planned ahead, it runs itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.faces.detector import Detection, FaceDetector
from affekt.faces.landmarker import FaceLandmarker, checked_image
from affekt.faces.scenes import colour_histogram

SEARCH_EVERY_S = 1.0
"""Seconds between searches for untracked faces; every third one includes the finest scale."""


@dataclass(frozen=True)
class Searches:
    """The state of a tracker's searches.

    Attributes:
        latest_s: time of the last search at a fine scale.
        deepest_s: time of the last search at all scales.
        waits: whether the next search is due only after a while: somebody is tracked, nobody was just lost, and more
            people may appear.
    """

    latest_s: float
    deepest_s: float
    waits: bool

    def scales_at(self, time_s: float, most: int) -> int:
        """Number of scales to search at a time, as currently planned; 0 for none."""
        if not self.waits or time_s - self.latest_s < SEARCH_EVERY_S:
            return 0
        return most if time_s - self.deepest_s >= 3 * SEARCH_EVERY_S else min(2, most)


@dataclass(frozen=True)
class Glance:
    """A frame's colours, and its detections if a search was planned.

    Attributes:
        colours: (4, 64) from `colour_histogram`.
        scales: number of scales that were searched; 0 for none.
        detections: faces detected at these scales.
    """

    colours: npt.NDArray[np.float64]
    scales: int = 0
    detections: tuple[Detection, ...] = ()


class Lookout:
    """Processes frames in order, ahead of a tracker.

    Args:
        landmarker: the landmarker of the tracker; its detector is loaded again, since one cannot serve two threads.
        scales: search depth of the tracker's detector.
    """

    def __init__(self, landmarker: FaceLandmarker, scales: int = 4) -> None:
        self._landmarker, self._scales = landmarker, scales
        self._detector: FaceDetector | None = None
        self._planned = Searches(float('-inf'), float('-inf'), waits=False)

    def glance(self, time_s: float, image: npt.NDArray[np.uint8], searches: Searches) -> Glance:
        """The colours of an (H, W, 3) image, and its detections if a search is due.

        Args:
            time_s: time of the frame.
            image: RGB uint8.
            searches: the tracker's current state, some frames earlier.

        Raises:
            ShapeError: the image is not uint8 RGB of at least 16 x 16.
        """
        checked_image(image)
        # planned searches count as done, although the tracker has not reached their frames yet
        latest = max(searches.latest_s, self._planned.latest_s)
        deepest = max(searches.deepest_s, self._planned.deepest_s)
        scales = Searches(latest, deepest, searches.waits).scales_at(time_s, self._scales)
        colours = colour_histogram(image)
        if not scales:
            return Glance(colours)
        self._planned = Searches(time_s, time_s if scales == self._scales else deepest, waits=True)
        if self._detector is None:
            self._detector = self._landmarker.another_detector()
        return Glance(colours, scales, tuple(self._detector.detect(image, scales)))
