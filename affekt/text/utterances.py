"""The records of this room: words and utterances with speaker and times."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word with its times in the recording."""

    start_s: float
    """Seconds from the start of the recording."""
    end_s: float
    text: str
    confidence: float = math.nan
    """Confidence of the recognizer, in [0, 1]; nan where unknown."""


@dataclass(frozen=True)
class Recognition:
    """Confidence measures of a recognizer for one utterance."""

    log_probability: float
    """Mean natural logarithm of the probability of its tokens, at most 0."""
    no_speech: float
    """Probability that there is no speech, in [0, 1]."""
    is_english_only: bool = False
    """Whether the recognizer supports English only, and writes English words for any language."""
    language_probability: float = math.nan
    """Probability of `Utterance.language`, in [0, 1], over all audio so far; nan where none was detected."""


@dataclass(frozen=True)
class Utterance:
    """A stretch of speech by one speaker."""

    start_s: float
    """Seconds from the start of the recording; nan for text without times."""
    end_s: float
    speaker: str
    """Name of the speaker in the transcript; '' if unknown."""
    text: str
    words: tuple[Word, ...] = ()
    """Timed words; () if only the utterance as a whole is timed."""
    language: str = ''
    """Language code such as 'en' or 'zh'; '' if unknown."""
    recognition: Recognition | None = None
    """Confidence measures; None for text from a transcript."""
    reason: str = ''
    """Reason for not using the words: one of `affekt.text.NOT_READ`; '' for none."""

    @property
    def is_timed(self) -> bool:
        """Whether both times are known."""
        return math.isfinite(self.start_s) and math.isfinite(self.end_s)
