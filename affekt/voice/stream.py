"""The voice in live audio: whether somebody speaks, how loud, and the emotion of the turn so far.

The input is blocks of about a tenth of a second; `hear` returns at once what needs no large network. A continuing voice
is analyzed every half second over its last seconds, short pauses included; a finished turn is analyzed as a whole, with
the same rows as in `observe_voice`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from affekt.arrays import Floats32
from affekt.voice.acoustics import acoustic_summary
from affekt.voice.emotion import EmotionReading, VocalEmotion
from affekt.voice.encoder import WhisperEncoder
from affekt.voice.loud_voice import LoudVoice
from affekt.voice.observe import RATE_HZ, Hearing, Spoken, VoiceRecord
from affekt.voice.speech import FRAME, FRAME_S, SpeechDetector, Turn, TurnFinder, TurnRules

GAP_S = 0.05
"""A jump of the clock by more than this ends a turn, as in a recording."""
QUIET_S = 0.3
"""Speech ends after this long below the lower threshold, seconds."""
PAUSE_S = 1.0
"""A shorter pause does not end a voice, in seconds: speech before and after it is analyzed together."""
LEAST_READ_S = 1.0
"""Minimum duration of a voice for analysis, in seconds: shorter ones are hardly better than chance."""
SILENCE_DB = -120.0


@dataclass(frozen=True)
class HeardNow:
    """State at the end of a block.

    Attributes:
        time_s: end of the block in seconds.
        is_speech: whether somebody speaks.
        level_db: level of the block, dB of full scale, at least -120.
        turns: finished turns, for `VoiceStream.add`.
        turn_so_far: (N,) the last samples of a continuing voice, for `VoiceStream.read`, when it is due; otherwise
            None.
        voice: number of that voice; it increases after a longer pause.
    """

    time_s: float
    is_speech: bool
    level_db: float
    turns: tuple[Turn, ...] = field(default=(), repr=False)
    turn_so_far: Floats32 | None = field(default=None, repr=False)
    voice: int = 0


class VoiceStream:
    """Analyzes one stream of audio.

    The fast methods (`hear` and `finish`) and the slow ones (`read`, `add` and `taken`) may be called from two
    different threads.

    Args:
        detector: speech detector; used by this stream alone.
        encoder: encoder for `emotion` and `recognizer`.
        emotion: emotion head; None for no emotion.
        recognizer: recogniser of finished turns' words; None for no words.
        window_s: seconds of a continuing voice to analyze.
        every_s: seconds between analyses.
        rules: thresholds of turns.
    """

    def __init__(
        self,
        detector: SpeechDetector,
        *,
        encoder: WhisperEncoder | None = None,
        emotion: VocalEmotion | None = None,
        recognizer: Hearing | None = None,
        window_s: float = 3.0,
        every_s: float = 0.5,
        rules: TurnRules | None = None,
    ) -> None:
        self._finder = TurnFinder(detector, rules, witness=LoudVoice(detector))
        self._record = VoiceRecord(encoder, emotion, recognizer)
        self._encoder, self._emotion = encoder, emotion
        self._window, self._every_s = round(window_s * RATE_HZ), every_s
        self._is_begun = self._is_speech = self._goes_on = False
        self._voice = 0
        self._quiet_s = self._heard_s = 0.0
        self._recent: Floats32 = np.zeros(0, np.float32)
        self._read_s = float('-inf')
        if recognizer is not None:
            recognizer.start()

    def warm_up(self) -> None:
        """Run every network once on noise, since first runs are the slowest."""
        noise = np.random.default_rng(0).normal(0.0, 0.01, RATE_HZ).astype(np.float32)
        self._finder.detector.apart(noise[:FRAME])
        self.read(noise)

    @property
    def heard_s(self) -> float:
        """Seconds of audio processed."""
        return self._heard_s

    def hear(self, start_s: float, samples: Floats32) -> HeardNow:
        """Process the next block.

        Args:
            start_s: time of its first sample in seconds; a gap ends the previous turn.
            samples: (N,) mono at 16 kHz.

        Raises:
            ShapeError, ValueRangeError: as for `TurnFinder.push`.
        """
        turns: list[Turn] = []
        if not self._is_begun or start_s - self._finder.clock_s > GAP_S:
            turns += self._finder.restart(start_s)
            self._is_begun = True
            self._forget_voice()
        turns += self._finder.push(samples)
        self._heard_s += len(samples) / RATE_HZ
        self._follow(samples)
        now_s = self._finder.clock_s
        window = None
        if self._is_read_due(now_s):
            window, self._read_s = self._recent, now_s
        return HeardNow(now_s, self._is_speech, level_db(samples), tuple(turns), window, self._voice)

    def finish(self) -> tuple[Turn, ...]:
        """End the stream; returns the turns that this closes."""
        return tuple(self._finder.finish())

    def read(self, turn_so_far: Floats32) -> EmotionReading | None:
        """The emotion of a turn so far; None without a head."""
        if self._encoder is None or self._emotion is None:
            return None
        return self._emotion(self._encoder(turn_so_far), acoustic_summary(turn_so_far))

    def add(self, turn: Turn) -> Spoken | None:
        """Analyze a finished turn; returns its words, if a recogniser finds any."""
        return self._record.add(turn)

    def taken(self) -> tuple[pa.Table, pa.Table]:
        """Return and drop the rows of turns and of tenths of seconds since the last call."""
        turns, frames, _ = self._record.taken()
        return turns, frames

    def _follow(self, samples: Floats32) -> None:
        """Update whether somebody speaks, by the detector alone, and the last samples of a continuing voice."""
        rules = self._finder.rules
        for probability in self._finder.heard:
            if probability >= rules.enter:
                self._is_speech = self._goes_on = True
                self._quiet_s = 0.0
            elif probability < rules.leave:
                self._quiet_s += FRAME_S
        self._is_speech = self._is_speech and self._quiet_s < QUIET_S
        if self._goes_on and self._quiet_s >= PAUSE_S:
            self._forget_voice()
        kept_samples = self._window if self._goes_on else len(samples)
        self._recent = np.concatenate([self._recent, samples])[-kept_samples:]

    def _forget_voice(self) -> None:
        self._is_speech = self._goes_on = False
        self._quiet_s, self._read_s, self._voice = 0.0, float('-inf'), self._voice + 1

    def _is_read_due(self, now_s: float) -> bool:
        is_long = len(self._recent) >= LEAST_READ_S * RATE_HZ
        return self._emotion is not None and self._is_speech and is_long and now_s - self._read_s >= self._every_s


def level_db(samples: Floats32) -> float:
    """The level of samples in dB of full scale, at least -120, which is the value of no samples."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(SILENCE_DB, 10 * np.log10(power)) if power > 0 else SILENCE_DB
