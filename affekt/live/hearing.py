"""The threads that hear a stream's sound, while another reads its pictures."""

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
"""Turns that wait to be read; where more come, their sound waits, and is dropped in the end."""


class Hearer:
    """Hears blocks as they come; `voice` is what is known now.

    One thread tells speech from silence, which is never late; another reads how turns sound and what is said in them,
    which takes as long as it takes.

    Args:
        sound: where the blocks come from.
        voice: hears them.
        journal: gets the rows.
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
        """Begins to hear."""
        for thread in self._threads:
            thread.start()

    @property
    def heard_s(self) -> float:
        """Seconds of sound that were heard."""
        return self._stream.heard_s

    @property
    def voice(self) -> LiveVoice | None:
        """What is known now; None before the first block."""
        now, (voice, emotion) = self._now, self._emotion
        if now is None:
            return None
        return live_voice(now, emotion if now.is_speech and voice == now.voice else None)

    def news(self, timeout_s: float) -> tuple[float, float] | None:
        """The time up to which was heard since this was last asked, and when it was read; None where nothing was."""
        return self._heard.take(timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether all sound was heard."""
        return self._heard.is_over

    def words(self) -> str:
        """What was recognised since this was last asked."""
        with self._lock:
            words, self._words = self._words, []
        return ' '.join(words)

    def require_sound(self) -> None:
        """Raises what ended hearing before the sound ended."""
        if self.error is not None:
            raise self.error

    def join(self) -> None:
        """Waits until all sound that waits was heard and the last turn is read."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # it belongs to the thread that reads the pictures
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
        yields_to_others()
        while self._work.get():
            if (window := self._windows.take(0.0)) is not None:
                self._emotion = window[0], self._stream.read(window[1])
            elif (turn := self._turns.take(0.0)) is not None:
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
    """What is shown of what was heard; a head that abstains names nothing, and its arousal stands."""
    if emotion is None:
        return LiveVoice(now.is_speech, level_db=now.level_db)
    shares = {} if emotion.abstains else dict(zip(EKMAN, map(float, emotion.categories), strict=True))
    valence = float('nan') if emotion.abstains else emotion.valence
    return LiveVoice(now.is_speech, valence, emotion.arousal, shares, now.level_db)
