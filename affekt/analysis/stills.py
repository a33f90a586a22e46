"""One small frame per second, kept on disk while faces are read, so that moments are shown without a second pass."""

from __future__ import annotations

import bisect
import io
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.media import Frame, Recording

EVERY_S = 1.0
"""Minimum distance of two stills, seconds."""
WIDTH = 480
"""Longest side of a still, pixels."""
QUALITY = 80
"""JPEG quality of a still."""


class Stills:
    """Small frames of a recording about a second apart, in a temporary file; each needs a few bytes of memory."""

    def __init__(self) -> None:
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._times: list[float] = []
        self._extents: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._times)

    def offer(self, time_s: float, image: npt.NDArray[np.uint8]) -> None:
        """Keeps the frame (H, W, 3) if the last one kept is at least EVERY_S older."""
        if self._times and time_s < self._times[-1] + EVERY_S - 1e-6:
            return
        content = still_jpeg(image)
        offset = self._file.seek(0, io.SEEK_END)
        self._file.write(content)
        self._times.append(time_s)
        self._extents.append((offset, len(content)))

    def at(self, time_s: float) -> bytes | None:
        """The JPEG nearest to a time; None if none was kept."""
        if not self._times:
            return None
        right = bisect.bisect_left(self._times, time_s)
        neighbours = [index for index in (right - 1, right) if 0 <= index < len(self._times)]
        offset, size = self._extents[min(neighbours, key=lambda index: abs(self._times[index] - time_s))]
        self._file.seek(offset)
        return bytes(self._file.read(size))

    def close(self) -> None:
        """Removes the file; `at` must not be called afterwards."""
        self._file.close()


class Watched:
    """A recording's frames, scaled down where they are larger than needed, with stills kept on the way.

    It stands in for the recording where faces are observed. `scale` is the factor from analyzed to original pixels.
    """

    def __init__(self, recording: Recording, max_side: int, stills: Stills | None) -> None:
        self._recording, self._max_side, self._stills = recording, max_side, stills
        self.first_s: float | None = None
        self.last_s = 0.0
        self.frames_seen = 0
        self.scale = 1.0

    def frames(self, rate_hz: float | None = None) -> Iterator[Frame]:
        """The recording's frames; see `Recording.frames`."""
        for frame in self._recording.frames(rate_hz, self._max_side):
            if self.first_s is None:
                self.first_s = frame.time_s
                video = self._recording.video
                if video is not None:
                    self.scale = max(video.width, video.height) / max(frame.image.shape[:2])
            self.last_s = frame.time_s
            self.frames_seen += 1
            if self._stills is not None:
                self._stills.offer(frame.time_s, frame.image)
            yield frame


def still_jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    """The image (H, W, 3) as a JPEG whose longest side is at most WIDTH pixels."""
    from PIL import Image

    still = Image.fromarray(image)
    still.thumbnail((WIDTH, WIDTH), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    still.save(buffer, format='JPEG', quality=QUALITY)
    return buffer.getvalue()
