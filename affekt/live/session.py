"""The main path: a source in, a reading for every frame that could be read in time out.

    with LiveSession(0) as session:
        for reading in session:
            print(reading)
        session.save('run')

A thread reads the source, another hears its sound; faces are read in the thread that asks for the next reading, from
the newest frame there is. So a reading is never older than its own work and one frame, however slow its user is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.analysis.model_cache import LoadedModels
from affekt.faces import FaceStream, SeenFace, readable_share
from affekt.labels import EKMAN
from affekt.live.clocks import MachineClock
from affekt.live.feeds import Picture
from affekt.live.latency import Delays
from affekt.live.readings import LatencyReport, LiveFace, LiveReading
from affekt.live.settings import StreamSettings
from affekt.live.smoothing import SteadyFaces
from affekt.live.sources import Arrived, LiveSource, Named

Subscriber = Callable[[LiveReading, npt.NDArray[np.uint8] | None], None]


class LiveSession:
    """Reads one source, once.

    Args:
        source: see `LiveSource`.
        settings: the defaults when None.
        clock: the machine's; another one for tests.
    """

    def __init__(
        self, source: Named, settings: StreamSettings | None = None, *, clock: MachineClock | None = None
    ) -> None:
        self.settings = settings or StreamSettings()
        self._clock = clock or MachineClock()
        self.source = LiveSource(source, self.settings, self._clock)
        self._models = LoadedModels(self.settings.analysis())
        self._subscribers: list[Subscriber] = []
        self._delays = Delays()
        self._steady = SteadyFaces(self.settings.smoothing)
        self._faces: FaceStream | None = None
        self._is_started = self._is_stopped = False

    @property
    def latency(self) -> LatencyReport:
        """How late the readings came so far."""
        p50, p95, p99 = (self._delays.quantile(share) for share in (0.5, 0.95, 0.99))
        source = self.source
        return LatencyReport(
            p50, p95, p99, self._delays.count, source.pictures.dropped, source.reconnects, source.sound_dropped_s
        )

    def subscribe(self, callback: Subscriber) -> None:
        """Calls this with each reading and its frame, (H, W, 3) RGB uint8, None for sound alone.

        It is called in the thread that iterates, before the reading is yielded: what takes long belongs elsewhere.
        """
        self._subscribers.append(callback)

    def start(self) -> None:
        """Loads the models, opens the source and begins to read it; without effect the second time.

        Raises:
            MediaError, LimitError: the source cannot be opened.
            WeightsError: a model file cannot be had.
        """
        if self._is_started:
            return
        self._is_started = True
        if self.settings.faces:
            self._faces = FaceStream(
                max_people=self.settings.max_people,
                landmarker=self._models.get('landmarker'),
                expression=self._models.get('expression'),
                keep_thumbnails=self.settings.keep_frames,
                is_patient=self.settings.is_patient,
            )
        try:
            self.source.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the stream after the reading that is under way; may be called from any thread."""
        self._is_stopped = True
        self.source.stop()

    def __enter__(self) -> LiveSession:
        self.start()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream and its threads."""
        self.stop()
        if self._faces is not None:
            self._faces.close()

    def __iter__(self) -> Iterator[LiveReading]:
        """A reading for each frame that is read, until the source is over or `stop` is called.

        Raises:
            MediaError: what ended the source, where that was no end.
        """
        self.start()
        pictures = self.source.pictures
        while not self._is_stopped:
            arrived = pictures.take()
            if arrived is not None:
                yield self._read(arrived)
            elif pictures.is_over:
                break
        if self.source.error is not None and not self._is_stopped:
            raise self.source.error

    def _read(self, arrived: Arrived[Picture]) -> LiveReading:
        """The reading of one frame, told to whoever subscribed."""
        time_s, image = float(arrived.unit.time_s), arrived.unit.image
        seen = self._faces.look(time_s, image) if self._faces is not None else ()
        faces = tuple(self._live_face(time_s, face) for face in seen)
        dropped = self.source.pictures.dropped
        reading = LiveReading(time_s, self._clock.now() - arrived.read_s, dropped, faces)
        for callback in self._subscribers:
            callback(reading, image)
        self._delays.add(self._clock.now() - arrived.read_s)
        return reading

    def _live_face(self, time_s: float, face: SeenFace) -> LiveFace:
        """The face as it is shown: steady over time."""
        values = self._steady.steadied(time_s, face.person, face.shares.astype(np.float64), face.valence, face.arousal)
        x, y, width, height = (float(value) for value in face.box)
        shares = values[:-2]
        known = float(readable_share(face.quality))
        confidence = known * float(shares.max()) + (1 - known) / len(EKMAN)
        expression = dict(zip(EKMAN, shares.tolist(), strict=True))
        return LiveFace(
            face.person, (x, y, width, height), expression, float(values[-2]), float(values[-1]), confidence
        )

    def save(self, folder: str | Path) -> Path:
        """Writes the run folder that an analysis of the stream would have."""
        raise NotImplementedError


def stream(source: Named, *, settings: StreamSettings | None = None, **named: Any) -> Iterator[LiveReading]:
    """The readings of a source, while it happens.

    Args:
        source: see `LiveSource`.
        settings: the defaults when None.
        named: settings by name, such as `fps=5, voice=False`; they go before `settings`.

    Yields:
        A reading for each frame that could be read in time.

    Raises:
        UnknownNameError: no setting of this name.
        MediaError, LimitError, WeightsError: see `LiveSession`.
    """
    chosen = (settings or StreamSettings()).changed(named)

    def readings() -> Iterator[LiveReading]:
        with LiveSession(source, chosen) as session:
            yield from session

    return readings()
