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
    """Reads blocks as they come; `voice` is the current reading.

    One thread detects speech, which is never late; another reads emotion and words of turns,
    which may take longer.

    Args:
        sound: the source of blocks.
        voice: reads them.
        journal: receives the rows.
        clock: the machine's.
    """

    def __init__(
        self, sound: Mailbox[Arrived[Block]], voice: VoiceStream, journal: Journal, clock: MachineClock
    ) -> None:
        self._sound, self._stream, self._journal, self._clock = sound, voice, journal, clock
        self._heard: Mailbox[tuple[float, float]] = Mailbox(1)
        self._turns: Mailbox[Turn] = Mailbox(TURNS_WAIT, is_patient=True)
        self._windows: Mailbox[tuple[int, Floats32]] = Mailbox(1)
        self._work = queue.SimpleQueue[bool]()
        self._lock = threading.Lock()
        self._words: list[str] = []
        self._now: HeardNow | None = None
        self._emotion: tuple[int, EmotionReading | None] = 0, None
        self.delays = Delays()
        self.error: BaseException | None = None
        self._threads = (
            threading.Thread(target=self._guarded, args=(self._listen,), name='affekt-hearer', daemon=True),
            threading.Thread(target=self._guarded, args=(self._judge,), name='affekt-voice', daemon=True),
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
        now, (voice, emotion) = self._now, self._emotion
        if now is None:
            return None
        return live_voice(now, emotion if now.is_speech and voice == now.voice else None)

    def news(self, timeout_s: float) -> tuple[float, float] | None:
        """The time up to which audio was read since the last call, and when; None if none was."""
        return self._heard.take(timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether all audio was read."""
        return self._heard.is_over

    def words(self) -> str:
        """The words recognised since the last call."""
        with self._lock:
            words, self._words = self._words, []
        return ' '.join(words)

    def require_sound(self) -> None:
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
            if work == self._listen:
                self._turns.close()
                self._work.put(False)
                self._heard.close()

    def _listen(self) -> None:
        while True:
            arrived = self._sound.take()
            if arrived is not None:
                self._hear(arrived)
            elif self._sound.is_over:
                break
        self._give(self._stream.finish())

    def _hear(self, arrived: Arrived[Block]) -> None:
        block = arrived.unit
        now = self._stream.hear(block.start_s, block.samples)
        self._now = now
        self._give(now.turns)
        if now.turn_so_far is not None:
            self._windows.put((now.voice, now.turn_so_far))
            self._work.put(True)
        self.delays.add(self._clock.now() - arrived.read_s)
        self._heard.put((now.time_s, arrived.read_s))

    def _give(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._turns.put(turn)
            self._work.put(True)

    def _judge(self) -> None:
        yields_to_others(VOICE_NICENESS)
        is_turn_first = False  # alternates: if a window were always due, finished turns would never be read
        while self._work.get():
            turn = self._turns.take(0.0) if is_turn_first else None
            window = self._windows.take(0.0) if turn is None else None
            is_turn_first = window is not None
            if window is not None:
                self._emotion = window[0], self._stream.read(window[1])
            elif turn is not None or (turn := self._turns.take(0.0)) is not None:
                self._keep(turn)

    def _keep(self, turn: Turn) -> None:
        """Rows of a turn that is over, and its words, to disk."""
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
