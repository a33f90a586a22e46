"""A queue between a reading and a working thread: the newest item wins, and the reader never waits."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar('Item')
WAKES_EVERY_S = 0.1
"""Longest single wait, so that a stop is noticed."""


class Mailbox(Generic[Item]):
    """Holds at most `depth` items; if one more comes, the oldest is dropped and counted.

    Args:
        depth: >= 1; 1 for frames, where only the newest counts.
        is_patient: `put` waits for room instead, and nothing is dropped.
    """

    def __init__(self, depth: int = 1, *, is_patient: bool = False) -> None:
        self._items: deque[Item] = deque()
        self._depth, self._is_patient = depth, is_patient
        self._changed = threading.Condition()
        self._is_closed = False
        self.dropped = 0

    @property
    def is_over(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._is_closed and not self._items

    def put(self, item: Item) -> Item | None:
        """Adds an item; returns the one dropped for it. A closed box ignores it."""
        with self._changed:
            while self._is_patient and len(self._items) >= self._depth and not self._is_closed:
                self._changed.wait(WAKES_EVERY_S)
            if self._is_closed:
                return None
            lost = self._items.popleft() if len(self._items) >= self._depth else None
            self.dropped += lost is not None
            self._items.append(item)
            self._changed.notify_all()
            return lost

    def take(self, timeout_s: float = WAKES_EVERY_S) -> Item | None:
        """The oldest item; None if none came in time, or none will come."""
        with self._changed:
            if not self._items and not self._is_closed:
                self._changed.wait(timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self, *, drops: bool = False) -> None:
        """Accepts no more items; with `drops`, discards waiting ones."""
        with self._changed:
            self._is_closed = True
            if drops:
                self._items.clear()
            self._changed.notify_all()
