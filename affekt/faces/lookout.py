"""Work on a frame that does not depend on the previous frame's faces, done ahead so that tracking waits less.

Colours reveal cuts; the detector finds faces anywhere. Both depend only on the frame, so another thread can compute
them ahead: the tracker uses them where it needs them, and computes them itself where the prediction was wrong.
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
    """When frames were last searched, at some fine scale and at the finest, and whether the next search waits:
    it does while somebody is tracked, nobody was just lost and more people may appear."""

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

    colours: (4, 64), as `colour_histogram` counts them. scales: 0 if the frame was not searched.
    """

    colours: npt.NDArray[np.float64]
    scales: int = 0
    detections: tuple[Detection, ...] = ()


class Lookout:
    """Processes frames in order, ahead of a tracker.

    Args:
        landmarker: the tracker's; its detector is loaded again, since one cannot serve two threads.
        scales: search depth of the tracker's detector.
    """

    def __init__(self, landmarker: FaceLandmarker, scales: int = 4) -> None:
        self._landmarker, self._scales = landmarker, scales
        self._detector: FaceDetector | None = None
        self._planned = Searches(float('-inf'), float('-inf'), waits=False)

    def glance(self, time_s: float, image: npt.NDArray[np.uint8], searches: Searches) -> Glance:
        """The glance at an (H, W, 3) image.

        Args:
            time_s: time of the frame.
            image: RGB uint8.
            searches: the tracker's current state, some frames earlier.

        Raises:
            ShapeError: the image is not uint8 RGB of at least 16 x 16.
        """
        checked_image(image)
        # The tracker has not yet reached the last planned searches.
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
