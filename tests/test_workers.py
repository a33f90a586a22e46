"""Waiting for work of other threads and processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from affekt.workers import as_finished, awaited


def test_a_wait_is_begun_anew_until_there_is_a_result():
    waits: list[float] = []

    def third_time(timeout_s):
        waits.append(timeout_s)
        if len(waits) == 1:
            raise Empty
        return 'result' if len(waits) == 3 else None

    assert awaited(third_time, Empty) == 'result'
    assert all(0 < wait_s <= 0.5 for wait_s in waits)


def test_an_error_that_means_no_waiting_is_raised():
    def broken(timeout_s):
        raise ValueError('broken')

    with pytest.raises(ValueError, match='broken'):
        awaited(broken, Empty)


def test_a_signal_that_comes_just_before_a_wait_ends_it():
    """The signal is blocked until the wait goes on, so that it interrupts no wait of the system."""
    queue: SimpleQueue[int] = SimpleQueue()

    def get(timeout_s):
        try:
            return queue.get(timeout=timeout_s)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # other threads do not block it
            awaited(get, Empty)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, before)


def test_results_come_as_they_are_finished_with_at_most_twice_as_many_in_the_pool():
    gate, begun = threading.Event(), []

    def work(number):
        begun.append(number)
        return number * number if number else gate.wait(30)

    class Counting(ThreadPoolExecutor):
        unfinished = most = 0

        def submit(self, *given):
            future: Future = super().submit(*given)
            self.unfinished += 1
            self.most = max(self.most, self.unfinished)
            return future

    with Counting(2) as pool:
        results = {}
        for number, result in as_finished(pool, work, range(20), at_once=2):
            results[number] = result
            pool.unfinished -= 1
            if len(results) == 19:
                gate.set()
    assert list(results)[-1] == 0
    assert results == {0: True} | {number: number * number for number in range(1, 20)}
    assert pool.most <= 4


def test_an_error_of_the_work_is_raised():
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        list(as_finished(pool, lambda number: 1 // number, [1, 0, 2], at_once=1))


def test_no_items_give_no_results():
    with ThreadPoolExecutor(1) as pool:
        assert list(as_finished(pool, str, [], at_once=1)) == []


KILLED = """
import os, signal, sys
from affekt.workers import workers

if __name__ == '__main__':
    with workers(2, os.getpid, (), todo='') as pool:
        pool.submit(os.getpid).result()
        with open(sys.argv[1], 'w') as file:
            print(*pool._processes, file=file)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='processes are looked up under /proc')
def test_workers_end_with_a_process_that_is_killed(tmp_path):
    (tmp_path / 'killed.py').write_text(KILLED)
    here = {'PYTHONPATH': str(Path(__file__).resolve().parents[1])}
    listed = tmp_path / 'children'
    killed = subprocess.run([sys.executable, tmp_path / 'killed.py', listed], env=os.environ | here)
    children = [int(number) for number in listed.read_text().split()]
    assert killed.returncode == -signal.SIGKILL
    assert children
    end = time.monotonic() + 30
    while left := [child for child in children if _lives(child)]:
        assert time.monotonic() < end, left
        time.sleep(0.05)


def _lives(process: int) -> bool:
    """Whether a process still runs; one that ended and was asked by nobody does not."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False
