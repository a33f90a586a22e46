from __future__ import annotations

import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import pytest

from affekt.clips import is_first_process, process_count
from affekt.errors import RunError
from affekt.workers import STARTED_BY, done_in_order, each_done, launch, made_ahead, surviving, yields_to_others


def names_of_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_items_made_ahead_come_in_their_order_and_all_of_them():
    assert list(made_ahead((n * n for n in range(1000)), 3)) == [n * n for n in range(1000)]
    assert list(made_ahead([], 1)) == []


def test_items_are_made_in_another_thread_and_stages_nest():
    makers = list(made_ahead((threading.get_ident() for _ in made_ahead(range(3), 1)), 2))
    assert len(set(makers)) == 1
    assert makers[0] != threading.get_ident()


def test_no_more_items_are_made_than_may_wait():
    made = []

    def items():
        for n in count():
            made.append(n)
            yield n

    ahead = made_ahead(items(), 2)
    assert [next(ahead) for _ in range(5)] == list(range(5))
    ahead.close()
    # five were taken, two may wait, and one is in the making
    assert len(made) <= 8


def test_an_error_comes_in_the_place_of_its_item():
    def items():
        yield 1
        raise OSError('the disk is gone')

    ahead = made_ahead(items(), 4)
    assert next(ahead) == 1
    with pytest.raises(OSError, match='the disk is gone'):
        next(ahead)
    assert 'affekt-ahead' not in names_of_threads()


def test_where_the_use_ends_early_thread_and_iterable_end_too():
    closed = []

    def items(name):
        try:
            yield from count()
        finally:
            closed.append(name)

    inner = made_ahead(items('inner'), 1)
    outer = made_ahead((n for n in inner), 1)
    assert next(outer) == 0
    outer.close()
    inner.close()
    assert closed == ['inner']
    assert 'affekt-ahead' not in names_of_threads()


def test_results_of_several_threads_come_in_the_order_of_their_items():
    # The first of each pair waits for the second: with one thread, or results in order of completion, this would hang
    # or be reversed.
    is_done = [threading.Event() for _ in range(10)]

    def work(n):
        if n % 2 == 0:
            assert is_done[n + 1].wait(30)
        is_done[n].set()
        return n, threading.current_thread().name

    made = list(done_in_order(work, range(10), 2))
    assert [n for n, _ in made] == list(range(10))
    assert len({name for _, name in made}) == 2
    assert list(done_in_order(str, [], 2)) == []
    assert list(done_in_order(lambda _: threading.get_ident(), range(2), 1)) == [threading.get_ident()] * 2


@pytest.mark.parametrize('threads', [1, 2])
@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_an_error_of_work_or_of_its_items_comes_after_the_results_before_it(threads, error):
    def items():
        yield from range(3)
        raise OSError('the disk is gone')

    def work(n):
        if n == 2 and error is KeyboardInterrupt:
            raise KeyboardInterrupt
        return n

    done = []
    with pytest.raises(error):
        for n in done_in_order(work, items(), threads):
            done.append(n)
    assert done == ([0, 1] if error is KeyboardInterrupt else [0, 1, 2])
    assert not any(name.startswith('affekt-in-order') for name in names_of_threads())


def test_where_the_use_of_results_ends_early_threads_end_and_little_was_begun():
    given, closed = [], []

    def items():
        try:
            for n in count():
                given.append(n)
                yield n
        finally:
            closed.append(True)

    results = done_in_order(lambda n: n, items(), 2)
    assert [next(results) for _ in range(5)] == list(range(5))
    results.close()
    assert closed == [True]
    assert len(given) <= 8  # five were taken, two more begun, one waits
    assert not any(name.startswith('affekt-in-order') for name in names_of_threads())


def test_an_iterator_that_nobody_reads_starts_no_thread():
    made_ahead(count(), 1).close()
    assert 'affekt-ahead' not in names_of_threads()


def _nothing():
    """Opens a process."""


def _square_unless_fatal(number):
    if number in (3, 5):
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def _write_process(folder, number):
    (folder / f'{number}').write_text(f'{os.getpid()}')


@pytest.mark.parametrize('processes', [1, 2])
def test_work_on_items_is_done_here_where_one_process_is_enough_and_else_by_new_ones(tmp_path, processes):
    done = each_done(partial(_write_process, tmp_path), range(3), processes, todo='')
    assert sorted(done) == [0, 1, 2]
    at_work = {path.read_text() for path in tmp_path.iterdir()}
    assert (f'{os.getpid()}' in at_work) == (processes == 1)


def test_an_item_that_ends_its_process_costs_itself_alone():
    results = dict(surviving(2, _nothing, (), _square_unless_fatal, [1, 2, 3, 4], todo='fix it'))
    assert results == {1: 1, 2: 4, 3: None, 4: 16}


def test_where_every_item_ends_its_process_it_is_not_the_items():
    with pytest.raises(RunError, match='fix it'):
        list(surviving(2, _nothing, (), _square_unless_fatal, [3, 5], todo='fix it'))


@pytest.mark.skipif(sys.platform != 'linux', reason='threads have a priority of their own on Linux')
def test_a_thread_yields_with_the_threads_that_it_starts_and_no_other_does():
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def yielding() -> list[int]:
        yields_to_others(2)
        with ThreadPoolExecutor(1) as inner:
            return [niceness(), inner.submit(niceness).result()]

    before = niceness()
    with ThreadPoolExecutor(1) as outer:
        lowered = outer.submit(yielding).result()
    assert lowered == [min(before + 2, 19)] * 2
    assert niceness() == before


def test_a_process_is_launched_only_where_a_launcher_set_all_variables(monkeypatch):
    for name in STARTED_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('WORLD_SIZE', '4')  # as schedulers set it around one process
    monkeypatch.setenv('RANK', '2')
    assert (launch(), process_count(), is_first_process()) == (None, 1, True)
    for name, value in zip(STARTED_BY, ('2', '4', '0', '127.0.0.1', '29500'), strict=True):
        monkeypatch.setenv(name, value)
    assert (launch(), process_count(), is_first_process()) == ((2, 4), 4, False)
