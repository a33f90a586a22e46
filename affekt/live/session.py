"""The main path: a source in, a reading out for every frame that can be read in time.

    with LiveSession(0) as session:
        for reading in session:
            print(reading)
        session.save('run')

A thread reads the source, another its audio; faces are read in the thread that requests the next reading, from
the newest frame. So a reading is never older than its own computation and one frame, however slow its user is.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.analysis.model_cache import LoadedModels
from affekt.analysis.stills import Stills
from affekt.errors import MediaError, RunError
from affekt.faces import FaceStream, SeenFace, readable_share
from affekt.labels import EKMAN
from affekt.live.clocks import MachineClock
from affekt.live.feeds import StreamFrame
from affekt.live.hearing import Hearer
from affekt.live.latency import Delays, LatencyBudget
from affekt.live.mailbox import WAKES_EVERY_S
from affekt.live.readings import LatencyReport, LiveFace, LiveReading
from affekt.live.saving import Kept
from affekt.live.settings import StreamSettings
from affekt.live.smoothing import SteadyFaces
from affekt.live.sources import Arrived, LiveSource, SourceLike, require_source
from affekt.live.store import Store
from affekt.voice import VoiceStream

STALLED_S = 1.0
"""After this many seconds without a frame, readings have only the voice."""

Subscriber = Callable[[LiveReading, npt.NDArray[np.uint8] | None], None]


class LiveSession:
    """One live analysis of one source.

    Args:
        source: see `LiveSource`.
        settings: the defaults if None.
        out: a run folder. Rows are written to it as they come, so that they survive this process, and `save` puts the
            result there; rows of an earlier, interrupted stream are saved first. None keeps rows in a
            temporary folder until they are saved.
        clock: the machine's clock; replaced in tests.
    """

    def __init__(
        self,
        source: SourceLike,
        settings: StreamSettings | None = None,
        *,
        out: str | Path | None = None,
        clock: MachineClock | None = None,
    ) -> None:
        self.settings = settings or StreamSettings()
        self._clock = clock or MachineClock()
        self._given_source = source
        self.source = LiveSource(source, self.settings, self._clock)
        self._models = LoadedModels(self.settings.analysis())
        self._subscribers: list[Subscriber] = []
        self._delays, self._budget, self._late_frames = Delays(), LatencyBudget(self.settings.latency_budget_s), 0
        self._steady = SteadyFaces(self.settings.smoothing)
        self._store = Store(None if out is None else Path(out), self.settings)
        self._faces: FaceStream | None = None
        self._hearer: Hearer | None = None
        self._stills: Stills | None = None
        self.frame_scale = 1.0
        """Source pixels per pixel of the current frame."""
        self._is_started = self._is_stopped = self._is_closed = False

    @property
    def latency(self) -> LatencyReport:
        """The latency of the readings so far."""
        p50, p95, p99 = (self._delays.quantile(share) for share in (0.5, 0.95, 0.99))
        source = self.source
        return LatencyReport(
            p50, p95, p99, self._delays.count, self._dropped, source.reconnects, source.sound_dropped_s
        )

    @property
    def _dropped(self) -> int:
        """Number of frames dropped: replaced by newer ones before they were taken, or too old then."""
        return self.source.pictures.dropped + self._late_frames

    @property
    def recovered(self) -> tuple[Path, ...]:
        """Results of earlier, interrupted streams in the same run folder that were finished at the start."""
        return self._store.recovered

    def subscribe(self, callback: Subscriber) -> None:
        """Registers a callback for each reading and its frame, (H, W, 3) RGB uint8, or None for audio alone.

        The longer side of the frame is at most `max_side` pixels; boxes are in pixels of the source, `frame_scale` per
        frame pixel. It is called in the iterating thread before the reading is yielded, so it must be fast.
        """
        self._subscribers.append(callback)

    def start(self) -> None:
        """Loads the models, opens the source and starts to read it; no effect the second time.

        Immediate errors of a source, such as a missing file, are raised before models are loaded. A session that is
        stopped while its source is awaited has no readings.

        Raises:
            MediaError, LimitError: the source cannot be opened.
            WeightsError: a model file is not available.
            RunError, StorageError: the run folder cannot be used, or the session has ended.
        """
        if self._is_closed:
            raise RunError(expected='a session that has not ended', came='one that has ended', todo='make another one')
        if self._is_started:
            return
        require_source(self._given_source, self.settings)
        self._is_started = True
        try:
            self._store.open(self._models)
            voice = self._load()
            try:
                self.source.open()
            except MediaError:
                if self._is_stopped:
                    return
                raise
            self._store.begin(self.source)
            if self.source.has_sound and voice is not None:
                self._hearer = Hearer(self.source.sound, voice, self._store.journal, self._clock)
                self._hearer.start()
            self.source.start()  # last, since frames do not wait from now on
        except BaseException:
            self.close()
            raise

    def _load(self) -> VoiceStream | None:
        """Loads the models before anything is read, so that no frame waits for them; returns the reader of audio."""
        settings, models = self.settings, self._models
        if settings.faces:
            if settings.keep_frames:
                self._stills = Stills()
                weakref.finalize(self, self._stills.close)
            self._faces = FaceStream(
                max_people=settings.max_people,
                landmarker=models.get('landmarker'),
                expression=models.get('expression'),
                keep_thumbnails=settings.keep_frames,
                is_patient=settings.is_patient,
            )
            self._faces.warm_up()
        if not settings.voice:
            return None
        emotion = models.get('vocal')
        recognizes = settings.words != 'none'
        voice = VoiceStream(
            models.fresh_detector(),
            encoder=models.get('encoder') if emotion is not None or recognizes else None,
            emotion=emotion,
            recognizer=models.get('recognizer') if recognizes else None,
            window_s=settings.voice_window_s,
            every_s=settings.voice_every_s,
        )
        voice.warm_up()
        return voice

    def stop(self) -> None:
        """Ends the stream after the current reading; may be called from any thread."""
        self._is_stopped = True
        self.source.stop()

    def __enter__(self) -> LiveSession:
        self.start()
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if error is not None and self._store.is_kept:
            error.add_note(f'the rows read so far are kept in {self._store.journal.folder}')

    def close(self) -> None:
        """Ends the stream and its threads, and writes all rows to disk; they can still be saved."""
        if self._is_closed:
            return
        self._is_closed = True
        self.stop()
        if self._hearer is not None:
            self._hearer.join()
        try:
            if self._faces is not None:
                self._store.keep_faces(self._faces)
        finally:  # even a full disk leaves no thread and no lock
            if self._faces is not None:
                self._faces.close()
            self._store.close()

    def __iter__(self) -> Iterator[LiveReading]:
        """A reading for each frame, or for each tenth of a second where no frames come, until the source
        ends or `stop` is called; then one more for words that are recognised later.

        A camera or network stream that is lost and does not come back also ends the readings, so that they can be
        saved; `source.loss` says so.

        Raises:
            MediaError: the source failed.
        """
        self.start()
        last = None
        for last in self._readings_of_frames() if self.source.has_pictures else self._readings_of_audio():
            yield last
        if last is not None and (words := self._last_words()):
            last = dataclasses.replace(last, faces=(), words=words)
            for callback in self._subscribers:
                callback(last, None)
            yield last
        if self.source.error is not None and not self._is_stopped:
            raise self.source.error
        if self._hearer is not None:
            self._hearer.raise_failure()

    def _last_words(self) -> str:
        """The words of turns that were still being read when the readings ended."""
        if self._hearer is None or self.settings.words == 'none' or self.source.error is not None:
            return ''
        self.source.stop()
        self._hearer.join()
        return self._hearer.words()

    def _readings_of_frames(self) -> Iterator[LiveReading]:
        frames, last_read_s = self.source.pictures, self._clock.now()
        late: Arrived[StreamFrame] | None = None  # a frame that is dropped once a newer one comes
        while not self._is_stopped:
            arrived = frames.take()
            may_drop = arrived is not None and not self.settings.is_patient
            if arrived is None:
                arrived, late = late, None
            elif late is not None:
                late, self._late_frames = None, self._late_frames + 1
            if arrived is None:
                if frames.is_over:
                    return
                if self._faces is not None:
                    self._store.keep_faces_at_intervals(self._faces, self._clock.now())
                if self._hearer is not None:
                    self._hearer.raise_failure()  # the reader may wait for it, and then no frame comes
                has_stalled = self._clock.now() - last_read_s > STALLED_S and not self.settings.is_patient
                if has_stalled and self._hearer is not None and (progress := self._hearer.news(0.0)) is not None:
                    yield self._published(*progress, (), None)
                continue
            taken_s = self._clock.now()
            last_read_s = arrived.read_s
            if may_drop and self._budget.drops(arrived.read_s, taken_s, frames.dropped):
                late = arrived
                continue
            image = arrived.unit.image
            scale = self.source.scale_of(arrived.unit, image)
            if scale != self.frame_scale and self._faces is not None:
                self._store.keep_faces(self._faces)  # earlier rows are in pixels of the previous size
            self.frame_scale = scale
            reading = self._reading(arrived, image)
            self._budget.add(self._clock.now() - taken_s)
            if self._faces is not None:
                self._store.add_frame(image, reading, scale)  # before the reader may leave the loop
            yield reading
            self._keep(image, reading)

    def _readings_of_audio(self) -> Iterator[LiveReading]:
        hearer = self._hearer
        while hearer is not None and not self._is_stopped:
            progress = hearer.news(WAKES_EVERY_S)
            if progress is None:
                if hearer.is_over:
                    return
                continue
            yield self._published(*progress, (), None)

    def _reading(self, arrived: Arrived[StreamFrame], image: npt.NDArray[np.uint8]) -> LiveReading:
        """The reading of one frame, already passed to the subscribers."""
        time_s = float(arrived.unit.time_s)
        faces = self._faces.look(time_s, image) if self._faces is not None else ()
        return self._published(time_s, arrived.read_s, tuple(self._live_face(time_s, face) for face in faces), image)

    def _published(
        self, time_s: float, read_s: float, faces: tuple[LiveFace, ...], image: npt.NDArray[np.uint8] | None
    ) -> LiveReading:
        voice, words = None, ''
        if self._hearer is not None:
            self._hearer.raise_failure()
            voice, words = self._hearer.voice, self._hearer.words()
        latency_s = self._clock.now() - read_s
        reading = LiveReading(time_s, latency_s, self._dropped, faces, voice, words)
        for callback in self._subscribers:
            callback(reading, image)
        self._delays.add(self._clock.now() - read_s)
        return reading

    def _keep(self, image: npt.NDArray[np.uint8], reading: LiveReading) -> None:
        """After a reading was yielded, writes rows to disk at intervals, and keeps a still per second."""
        if self._faces is None:
            return
        if self._stills is not None:
            self._stills.offer(reading.time_s, image)
        self._store.keep_faces_at_intervals(self._faces, self._clock.now())

    def _live_face(self, time_s: float, face: SeenFace) -> LiveFace:
        """The face as displayed, smoothed over time."""
        values = self._steady.steadied(time_s, face.person, face.shares.astype(np.float64), face.valence, face.arousal)
        x, y, width, height = (float(value) * self.frame_scale for value in face.box)
        shares = values[:-2]
        readable = float(readable_share(face.quality))
        confidence = readable * float(shares.max()) + (1 - readable) / len(EKMAN)
        expression = dict(zip(EKMAN, shares.tolist(), strict=True))
        return LiveFace(
            face.person, (x, y, width, height), expression, float(values[-2]), float(values[-1]), confidence
        )

    def save(self, folder: str | Path | None = None) -> Path:
        """Ends the stream and saves it as an analysis would: a run folder with one result.

        Args:
            folder: the run folder; by default the session's. An existing one with the same
                settings gets another result.

        Returns:
            The folder of the result, inside the run folder.

        Raises:
            RunError: nothing was read, or the folder holds something else.
            StorageError: it cannot be written, as on a full disk; the rows remain and can be saved elsewhere.
        """
        self.close()
        if not self._delays.count and (self._hearer is None or not self._hearer.heard_s):
            self._store.discard()
            raise RunError(expected='a stream with at least one reading', came='none', todo='check the source')
        people, names = self._faces.concluded() if self._faces is not None else ((), {})
        stills = self._stills.at if self._stills is not None else lambda time_s: None
        kept = Kept(people, names, tuple(self.source.notes), self.latency, stills)
        result = self._store.save(None if folder is None else Path(folder), kept, self._models)
        if self._stills is not None:
            self._stills.close()
        return result

    def remove_empty_run(self) -> None:
        """Ends a stream without readings, and removes its run folder unless others have files in it."""
        if not self._delays.count:
            self.close()
            self._store.remove_empty_run()

    def discard(self) -> None:
        """Ends the stream and deletes unsaved rows."""
        self.close()
        self._store.discard()
        if self._stills is not None:
            self._stills.close()


def stream(source: SourceLike, *, settings: StreamSettings | None = None, **named: Any) -> Iterator[LiveReading]:
    """The live readings of a source.

    Args:
        source: see `LiveSource`.
        settings: the defaults if None.
        named: settings by name, such as `fps=5, voice=False`; they override `settings`.

    Yields:
        A reading for each frame that could be read in time.

    Raises:
        UnknownNameError: unknown setting.
        MediaError: the source does not exist, or was lost and did not come back.
        LimitError, WeightsError: see `LiveSession`.
    """
    merged_settings = (settings or StreamSettings()).changed(named)
    require_source(source, merged_settings)

    def readings() -> Iterator[LiveReading]:
        session = LiveSession(source, merged_settings)
        try:
            with session:
                yield from session
        finally:
            session.discard()  # it can no longer be saved
        if session.source.loss:
            raise MediaError(
                expected=f'{session.source.name} until it is stopped',
                came=f'a source that {session.source.loss}',
                todo='check its connection',
            )

    return readings()
