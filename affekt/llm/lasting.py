"""Distinguishes servers that fail on media for good from those that fail for a moment: both may answer HTTP 500.

A failure of a question with media counts as lasting after some failures in a row, if no question with such media was
ever answered and plain words are. Later questions with these media are sent once, until one is answered. All other
failures are transient.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

LASTING_AFTER = 3
"""Number of failures in a row of one question after which plain words are asked."""
INTERNAL = 500
"""HTTP status code of a failure without a known reason."""


class MediaFailures:
    """Media of answered questions, and media on which a server fails for good; usable from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._answered: set[frozenset[str]] = set()
        self._lasting: set[frozenset[str]] = set()

    def note_answer(self, media: frozenset[str]) -> None:
        """Note that a question with these media was answered."""
        with self._guard:
            self._answered.add(media)
            self._lasting = {failing for failing in self._lasting if not failing <= media}

    def is_lasting(self, media: frozenset[str], failed: int, is_plain_answered: Callable[[], bool]) -> bool:
        """Whether a question with these media fails for good.

        Args:
            media: media of the question.
            failed: number of its failures in a row.
            is_plain_answered: asks plain words once, and returns whether they were answered.
        """
        with self._guard:
            if not media or any(media <= answered for answered in self._answered):
                return False
            if media in self._lasting:
                return True
        if failed < LASTING_AFTER or not is_plain_answered():
            return False
        with self._guard:
            self._lasting.add(media)
        return True
