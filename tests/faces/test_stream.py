"""The search for new faces beside live frames: its priority, and what waits for what."""

from __future__ import annotations

import os
import sys
import threading

from affekt.faces.stream import SearchAside
from affekt.workers import BEHIND


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if sys.platform == 'linux' else 0


class _Detectors:
    """Detectors whose searches of two scales take until `may_end` is set; each answers its thread's niceness.

    Args:
        found_at: the scales whose searches find a face.
    """

    def __init__(self, found_at: tuple[int, ...] = (1, 2, 4)) -> None:
        self.may_end, self.found_at = threading.Event(), found_at

    def another_detector(self):
        return self

    def detect(self, image, scales):
        if scales == 2:
            assert self.may_end.wait(30)
        return [_niceness()] * (scales in self.found_at)


def _taken(search: SearchAside) -> tuple[int, tuple[int, ...]]:
    """Scales and niceness of the search that was given last."""
    search._running.result(30)
    scales, detections = search.take()
    return scales, tuple(detections)


BEHIND_HERE = BEHIND if sys.platform == 'linux' else 0


def test_an_urgent_search_has_normal_priority_and_does_not_wait_for_one_that_yields():
    detectors = _Detectors(found_at=(2, 4))
    search = SearchAside(detectors)
    search.give(None, 2, is_urgent=False)
    assert search.take() == (0, ())
    assert not search.is_free(is_urgent=False)
    assert search.is_free(is_urgent=True)
    search.give(None, 4, is_urgent=True)
    assert not search.is_free(is_urgent=True)
    assert _taken(search) == (4, (_niceness(),))
    detectors.may_end.set()
    assert search.take() == (0, ())  # the given up search says nothing
    search.give(None, 2, is_urgent=False)
    assert _taken(search) == (2, (_niceness() + BEHIND_HERE,))
    search.close()


def test_an_urgent_search_says_what_its_coarsest_scale_found_and_leaves_the_others_to_the_thread_that_yields():
    detectors = _Detectors(found_at=(1, 2))
    search = SearchAside(detectors)
    search.give(None, 2, is_urgent=True)
    assert _taken(search) == (1, (_niceness(),))
    assert search.take() == (0, ())
    assert not search.is_free(is_urgent=False)  # the other scales are under way
    assert search.is_free(is_urgent=True)
    detectors.may_end.set()
    assert _taken(search) == (2, (_niceness() + BEHIND_HERE,))
    assert search.is_free(is_urgent=False)
    search.close()


def test_what_only_looks_like_a_large_face_keeps_no_small_one_from_being_found():
    detectors = _Detectors(found_at=(1, 4))
    search = SearchAside(detectors)
    search.give(None, 2, is_urgent=False)  # the thread that yields is busy
    search.give(None, 4, is_urgent=True)
    assert _taken(search) == (1, (_niceness(),))
    others = search._running
    search.give(None, 1, is_urgent=True)  # nothing could be tracked
    assert others.cancelled()
    assert _taken(search) == (4, (_niceness(),))
    search.give(None, 1, is_urgent=True)
    assert _taken(search) == (1, (_niceness(),))
    detectors.may_end.set()
    search.close()
