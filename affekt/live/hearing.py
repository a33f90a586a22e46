"""The threads that read a stream's audio, while another reads its frames."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from affekt.arrays import Floats32
from affekt.labels import EKMAN
from affekt.live.clocks import MachineClock
from affekt.live.journal import Journal
from affekt.live.latency import Delays
from affekt.live.mailbox import Mailbox
from affekt.live.readings import LiveVoice
from affekt.live.sources import Arrived
from affekt.media import Block
from affekt.voice import EmotionReading, HeardNow, Turn, VoiceStream
from affekt.workers import yields_to_others

TURNS_WAIT = 8
"""Maximum number of turns that wait to be read; beyond that their audio waits, and is eventually dropped."""
VOICE_NICENESS = 3
"""Niceness of the thread for vocal emotion and words: frames go first, but beside other programs it still gets half of
what one of them gets; with 10 it would get a tenth, and words would be three times as late (`measurements/live.py`)."""


class Hearer:
    """Reads blocks of audio as they arrive; `voice` is the current reading.

    One thread detects speech, which is never late; another reads emotion and words of turns,
    which may take longer.

    Args:
        blocks: receives the blocks of audio.
        voice: reads the blocks.
        journal: receives the rows.
        clock: the machine's clock.
    """

    def __init__(
        self, blocks: Mailbox[Arrived[Block]], voice: VoiceStream, journal: Journal, clock: MachineClock
    ) -> None:
        self._blocks, self._stream, self._journal, self._clock = blocks, voice, journal, clock
        self._progress: Mailbox[tuple[float, float]] = Mailbox(1)
        self._turns: Mailbox[Turn] = Mailbox(TURNS_WAIT, is_patient=True)
        self._windows: Mailbox[tuple[int, Floats32]] = Mailbox(1)
        self._work = queue.SimpleQueue[bool]()
        self._lock = threading.Lock()
        self._words: list[str] = []
        self._latest: HeardNow | None = None
        self._emotion: tuple[int, EmotionReading | None] = 0, None
        self.delays = Delays()
        self.error: BaseException | None = None
        self._threads = (
            threading.Thread(target=self._guarded, args=(self._detect_speech,), name='affekt-hearer', daemon=True),
            threading.Thread(target=self._guarded, args=(self._read_turns,), name='affekt-voice', daemon=True),
        )

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    @property
    def heard_s(self) -> float:
        """Seconds of audio that were read."""
        return self._stream.heard_s

    @property
    def voice(self) -> LiveVoice | None:
        """The current reading; None before the first block."""
        latest, (voice, emotion) = self._latest, self._emotion
        if latest is None:
            return None
        return live_voice(latest, emotion if latest.is_speech and voice == latest.voice else None)

    def news(self, timeout_s: float) -> tuple[float, float] | None:
        """The stream's time up to which audio was read, and the machine's time of reading; None for no new audio."""
        return self._progress.take(timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether all audio was read."""
        return self._progress.is_over

    def words(self) -> str:
        """The words recognised since the last call."""
        with self._lock:
            words, self._words = self._words, []
        return ' '.join(words)

    def raise_failure(self) -> None:
        """Raises the error that ended reading before the audio ended."""
        if self.error is not None:
            raise self.error

    def join(self) -> None:
        """Waits until all buffered audio and the last turn are read."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # raised in the thread that reads the frames
            self.error = error
            self._turns.close(drops=True)
        finally:
            if work == self._detect_speech:
                self._turns.close()
                self._work.put(False)
                self._progress.close()

    def _detect_speech(self) -> None:
        while True:
            arrived = self._blocks.take()
            if arrived is not None:
                self._read_block(arrived)
            elif self._blocks.is_over:
                break
        self._queue_turns(self._stream.finish())

    def _read_block(self, arrived: Arrived[Block]) -> None:
        block = arrived.unit
        latest = self._stream.hear(block.start_s, block.samples)
        self._latest = latest
        self._queue_turns(latest.turns)
        if latest.turn_so_far is not None:
            self._windows.put((latest.voice, latest.turn_so_far))
            self._work.put(True)
        self.delays.add(self._clock.now() - arrived.read_s)
        self._progress.put((latest.time_s, arrived.read_s))

    def _queue_turns(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._turns.put(turn)
            self._work.put(True)

    def _read_turns(self) -> None:
        yields_to_others(VOICE_NICENESS)
        is_turn_first = False  # alternates: if a window were always due, finished turns would never be read
        while self._work.get():
            turn = self._turns.take(0.0) if is_turn_first else None
            window = self._windows.take(0.0) if turn is None else None
            is_turn_first = window is not None
            if window is not None:
                self._emotion = window[0], self._stream.read(window[1])
            elif turn is not None or (turn := self._turns.take(0.0)) is not None:
                self._store_turn(turn)

    def _store_turn(self, turn: Turn) -> None:
        """Writes the rows and words of a finished turn to disk."""
        utterance: Any = self._stream.add(turn)
        turns, frames = self._stream.taken()
        self._journal.write('turns', turns)
        self._journal.write('voice', frames)
        if utterance is not None:
            self._journal.add_words(utterance)
            if not utterance.reason:
                with self._lock:
                    self._words.append(utterance.text)


def live_voice(now: HeardNow, emotion: EmotionReading | None) -> LiveVoice:
    """The displayed voice reading; if the head abstains, only its arousal is kept."""
    if emotion is None:
        return LiveVoice(now.is_speech, level_db=now.level_db)
    shares = {} if emotion.abstains else dict(zip(EKMAN, map(float, emotion.categories), strict=True))
    valence = float('nan') if emotion.abstains else emotion.valence
    return LiveVoice(now.is_speech, valence, emotion.arousal, shares, now.level_db)
