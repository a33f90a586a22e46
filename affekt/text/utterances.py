"""What was said, by whom, from when to when: the nouns of this room."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word and its place in the recording."""

    start_s: float
    end_s: float
    text: str
    confidence: float = math.nan
    """In [0, 1] as the recognizer states it; nan where nobody does."""


@dataclass(frozen=True)
class Recognition:
    """How surely a recognizer heard an utterance."""

    log_probability: float
    """Mean natural logarithm of the probability of its tokens, at most 0."""
    no_speech: float
    """Probability in [0, 1] that nobody speaks."""
    is_english_only: bool = False
    """Whether the recognizer knows nothing but English, and writes English words for any language."""
    language_probability: float = math.nan
    """Of `Utterance.language`, in [0, 1], over all that was heard so far; nan where none was detected."""


@dataclass(frozen=True)
class Utterance:
    """What one speaker said in one go."""

    start_s: float
    """Seconds from the start of the recording; nan for text without times."""
    end_s: float
    speaker: str
    """As the transcript names them; '' where it does not."""
    text: str
    words: tuple[Word, ...] = ()
    """Empty where only the whole is timed."""
    language: str = ''
    """A code such as 'en' or 'zh'; '' where it is not known."""
    recognition: Recognition | None = None
    """None for text that was given, not recognized."""
    reason: str = ''
    """Why the words should not be read: one of `affekt.text.NOT_READ`, or ''."""

    @property
    def is_timed(self) -> bool:
        """Whether both times are known."""
        return math.isfinite(self.start_s) and math.isfinite(self.end_s)
