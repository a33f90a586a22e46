"""What can be seen in a frame before the faces of the frame before it are known, so that following waits for less.

The colours tell cuts; the detector finds faces wherever they are. Both depend on the frame alone, so they may be worked
out ahead, in another thread: the tracker takes them where it needs them, and where the guess was wrong looks itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.faces.detector import Detection, FaceDetector
from affekt.faces.landmarker import FaceLandmarker, checked_image
from affekt.faces.scenes import colour_histogram

SEARCH_EVERY_S = 1.0
"""How often the frame is searched for faces not yet followed; at the finest scale every third time."""


@dataclass(frozen=True)
class Searches:
    """When the frame was last searched, at some fine scale and at the finest, and whether the next waits for its time:
    it does while somebody is followed, nobody has just been lost and more people are looked for."""

    latest_s: float
    deepest_s: float
    waits: bool

    def scales_at(self, time_s: float, most: int) -> int:
        """How many scales will be searched at a time, as things stand; 0 where none will."""
        if not self.waits or time_s - self.latest_s < SEARCH_EVERY_S:
            return 0
        return most if time_s - self.deepest_s >= 3 * SEARCH_EVERY_S else min(2, most)


@dataclass(frozen=True)
class Glance:
    """A frame's colours, and its detections where a search at so many scales was foreseen.

    colours: (4, 64), as `colour_histogram` counts them. scales: 0 where the frame was not searched.
    """

    colours: npt.NDArray[np.float64]
    scales: int = 0
    detections: tuple[Detection, ...] = ()


class Lookout:
    """Looks at frames in order, ahead of a tracker.

    Args:
        landmarker: the tracker's; its detector is loaded a second time, as one is not for two threads.
        scales: search depth of the tracker's detector.
    """

    def __init__(self, landmarker: FaceLandmarker, scales: int = 4) -> None:
        self._landmarker, self._scales = landmarker, scales
        self._detector: FaceDetector | None = None
        self._planned = Searches(float('-inf'), float('-inf'), waits=False)

    def glance(self, time_s: float, image: npt.NDArray[np.uint8], searches: Searches) -> Glance:
        """What an (H, W, 3) image shows at a time.

        Args:
            time_s: of the frame.
            image: RGB uint8.
            searches: the tracker's, as they are now, some frames before.

        Raises:
            ShapeError: the image is not uint8 RGB of at least 16 x 16.
        """
        checked_image(image)
        # The tracker has not come to the searches that were planned last.
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
