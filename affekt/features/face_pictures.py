"""Images of the face in a sample: from a file of the corpus, or cut out of its video.

Official releases have one array per sample, (T, 112, 112, 3) uint8 in BGR order, as cut by OpenFace 2; MER2023 has
image files instead. If a sample refers to none, faces are detected in its video, and those of the person whose faces
cover the largest area are rotated, scaled and cut to 112 x 112 with eyes, nose and mouth at their positions in FER2013:
similar to OpenFace's images, not identical. Images are (H, W, 3) RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.clips import stored_pictures
from affekt.corpora import Manifest, Sample
from affekt.encoders import Pictures
from affekt.errors import AffektError
from affekt.features.recipes import Unable, unreadable
from affekt.media import Recording

SIDE = 112
"""Width and height of a face cut out here, in pixels."""


def face_pictures(
    manifest: Manifest, row: Sample, landmarker: Any = None, damage: list[str] | None = None
) -> Pictures | Unable:
    """The faces of a sample, or the reason why there are none.

    Args:
        manifest: manifest of the sample.
        row: the sample.
        landmarker: an open `FaceLandmarker`; None to open the published one if a video must be read.
        damage: list to which sentences on unreadable parts of a video are added.
    """
    frames, video = manifest.media(row, 'frames'), manifest.media(row, 'video')
    try:
        if frames is not None:
            images = stored_pictures(frames)
            return Pictures(images, None) if len(images) else Unable(row.sample, 'no face')
        if video is None:
            return Unable(row.sample, 'no images: it has neither a video nor frames')
        return _cut_out(row.sample, video, manifest.window_s(row, 'video'), landmarker, damage)
    except AffektError as error:
        return unreadable(row.sample, error.came)


def _cut_out(
    sample: str, video: Path, window: tuple[float, float] | None, landmarker: Any, damage: list[str] | None
) -> Pictures | Unable:
    from affekt.faces import FaceLandmarker, FaceTracker, align_face, five_points

    tracker = FaceTracker(landmarker or FaceLandmarker(), 5, 0.0)
    faces_of: dict[int, list[tuple[float, float, npt.NDArray[np.uint8]]]] = {}
    """Person to time in seconds, area in square pixels and image, one triple per frame."""
    recording = Recording.open(video)
    for frame in _frames(recording, window):
        for face in tracker.update(frame.time_s, frame.image):
            image = align_face(frame.image, five_points(face.landmarks), SIDE, in_colour=True)
            area = float(face.box[2] * face.box[3])
            faces_of.setdefault(face.person, []).append((frame.time_s, area, image))
    if damage is not None:
        damage += recording.decoded.damage_within(window)
    if not faces_of:
        return Unable(sample, 'no face')
    largest = max(faces_of.values(), key=lambda rows: sum(area for _, area, _ in rows))
    return Pictures([image for _, _, image in largest], np.array([time for time, _, _ in largest]))


def _frames(recording: Recording, window: tuple[float, float] | None) -> Iterator[Any]:
    """Frames of a video that may show a face, within a window in seconds."""
    from affekt.faces.landmarker import SMALLEST_SIDE

    for frame in recording.frames():
        if window is not None and frame.time_s >= window[1]:
            return
        is_small = min(frame.image.shape[:2]) < SMALLEST_SIDE
        if not is_small and (window is None or frame.time_s >= window[0]):
            yield frame
