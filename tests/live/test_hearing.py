"""The thread for vocal emotion and words: how far it stands behind the frames."""

from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from affekt.live.clocks import MachineClock
from affekt.live.hearing import VOICE_NICENESS, Hearer
from affekt.live.mailbox import Mailbox


@pytest.mark.skipif(sys.platform != 'linux', reason='threads have a priority of their own on Linux')
def test_voices_yield_to_frames_but_not_so_far_that_other_programs_stop_them():
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before, seen = niceness(), []
    voice = SimpleNamespace(read=lambda window: seen.append(niceness()))
    hearer = Hearer(Mailbox(1), voice, SimpleNamespace(), MachineClock())
    hearer._windows.put((0, np.zeros(1, np.float32)))
    for goes_on in (True, False):
        hearer._work.put(goes_on)
    thread = threading.Thread(target=hearer._read_turns)
    thread.start()
    thread.join()
    assert seen == [before + VOICE_NICENESS]
    assert 0.8**VOICE_NICENESS > 0.5  # the share that is left beside another program: each step leaves four fifths
    assert niceness() == before
