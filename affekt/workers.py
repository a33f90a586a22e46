"""Processes and threads beside this one: they leave Ctrl-C to it, and end when it ends; and how to wait for them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from affekt.errors import RunError

Item = TypeVar('Item')
Result = TypeVar('Result')
AWAKE_S = 0.1
"""Longest wait of the main thread at a time."""
BEHIND = 10
"""Niceness of a thread that lets others go first."""


def awaited(attempt: Callable[[float], Result], *not_yet: type[Exception]) -> Result:
    """What an attempt gives at last, begun anew every `AWAKE_S`.

    Python sees a signal that comes just before the main thread waits only when that wait is over: without an end of its
    own, Ctrl-C would be seen as late as the result.

    Args:
        attempt: waits for at most so many seconds; what it returns is false where there is nothing yet.
        not_yet: what it raises where there is nothing yet.
    """
    while True:
        with contextlib.suppress(*not_yet):
            if result := attempt(AWAKE_S):
                return result


def as_finished(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], at_once: int
) -> Iterator[tuple[Item, Result]]:
    """Each item with its result, as they are done; the pool has at most twice `at_once` of them at a time.

    Raises:
        Exception: what the work raised, where one has failed.
    """
    left = iter(items)
    running: dict[Future[Result], Item] = {pool.submit(work, item): item for item in islice(left, 2 * at_once)}
    while running:
        for future in awaited(lambda timeout_s: wait(running, timeout_s, FIRST_COMPLETED).done):
            yield running.pop(future), future.result()
            for item in islice(left, 1):
                running[pool.submit(work, item)] = item


def made_ahead(items: Iterable[Item], depth: int) -> Generator[Item]:
    """The items in their order, made by a thread of their own while those before them are used.

    Stages put one into another, `made_ahead(second(made_ahead(first(), 2)), 2)`, work side by side wherever their time
    goes to native code. What making an item raises is raised in its place. Where the use ends early, as when this
    iterator is closed, the thread ends after the item that it is at, and the iterable is closed too.

    Args:
        items: used in the new thread alone.
        depth: how many are ready at most, >= 1; one more may be in the making.
    """
    # queues and not semaphores, which Python's own code locks and wakes: a stage waits a thousand times a minute
    room, ready = queue.SimpleQueue[None](), queue.SimpleQueue[tuple[str, Any]]()
    for _ in range(depth):
        room.put(None)
    is_over = threading.Event()

    def make() -> None:
        try:
            with contextlib.closing(closable(items)) as made:
                for item in made:
                    room.get()
                    if is_over.is_set():
                        return
                    ready.put(('item', item))
            ready.put(('end', None))
        except BaseException as error:  # whatever it is, it belongs to the thread that waits for the item
            ready.put(('error', error))

    thread = threading.Thread(target=make, name='affekt-ahead', daemon=True)
    thread.start()
    try:
        while True:
            what, item = awaited(lambda timeout_s: ready.get(timeout=timeout_s), queue.Empty)
            if what == 'end':
                return
            if what == 'error':
                raise item
            room.put(None)
            yield item
    finally:
        is_over.set()
        room.put(None)
        thread.join()


def yields_to_others() -> None:
    """Lets other threads of this process go first where both want the same core; without effect where only whole
    processes have a priority."""
    if sys.platform == 'linux':
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)


def closable(items: Iterable[Item]) -> Generator[Item]:
    """The items by a generator, whose end closes theirs."""
    iterator = iter(items)
    try:
        yield from iterator
    finally:
        close = getattr(iterator, 'close', None)
        if close is not None:
            close()


@contextlib.contextmanager
def workers(
    count: int, opening: Callable[..., None], given: Sequence[Any], *, todo: str
) -> Iterator[ProcessPoolExecutor]:
    """A pool of new processes, each opened once.

    Where the block ends early, by Ctrl-C or because nobody wants more results, the processes are ended at once: what
    they have at work is not waited for.

    Args:
        count: of processes.
        opening: a function at the top of a module, called in each process before its first work.
        given: what it is called with.
        todo: the advice where a process dies.

    Raises:
        RunError: a process died.
    """
    spawn = multiprocessing.get_context('spawn')
    pool = ProcessPoolExecutor(count, spawn, _open, (opening, tuple(given)))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise RunError(
            expected='workers that live', came='one that died (killed, or out of memory)', todo=todo
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def each_done(work: Callable[[Item], object], items: Sequence[Item], processes: int, *, todo: str) -> Iterator[Item]:
    """Each item when its work is done, here where one process is enough, else by new ones.

    Args:
        work: can be pickled, such as `functools.partial` of a function at the top of a module.
        items: what is worked on; can be pickled.
        processes: that work.
        todo: the advice where a process dies.

    Raises:
        RunError: a process died.
    """
    if processes == 1 or len(items) < 2:
        for item in items:
            work(item)
            yield item
        return
    with workers(min(processes, len(items)), _open_nothing, (), todo=todo) as pool:
        yield from (item for item, _ in as_finished(pool, work, items, processes))


def _open_nothing() -> None:
    pass


def surviving(
    count: int,
    opening: Callable[..., None],
    given: Sequence[Any],
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    todo: str,
) -> Iterator[tuple[Item, Result | None]]:
    """Each item with its result, as they are done; an item that ends the process that works on it costs itself alone.

    Where a process dies, the items that were begun are done again one by one, each in a process of its own, and the
    others go on in a new pool.

    Args:
        count: of processes.
        opening: see `workers`.
        given: what it is called with.
        work: never returns None.
        items: each of which can be told from the others by identity.
        todo: the advice where it is not the items that processes die of.

    Returns:
        Items with None are those whose process died.

    Raises:
        RunError: of several items that were begun, every one ended its process.
    """
    left = list(items)
    while left:
        done: set[int] = set()
        try:
            with workers(min(count, len(left)), opening, given, todo=todo) as pool:
                for item, result in as_finished(pool, work, left, count):
                    done.add(id(item))
                    yield item, result
            return
        except RunError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            begun = [item for item in left[: len(done) + 2 * count] if id(item) not in done]
            fatal: list[Item] = []
            for item in begun:
                try:
                    with workers(1, opening, given, todo=todo) as pool:
                        ((_, result),) = as_finished(pool, work, [item], 1)
                    yield item, result
                except RunError as again:
                    if not isinstance(again.__cause__, BrokenProcessPool):
                        raise
                    fatal.append(item)
            if len(fatal) == len(begun) > 1:
                raise
            yield from ((item, None) for item in fatal)
            over = done | {id(item) for item in begun}
            left = [item for item in left if id(item) not in over]


def _open(opening: Callable[..., None], given: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all its processes; the first one decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    opening(*given)


def _end_with_parent() -> None:
    """End this process when the one that began it is gone: a killed one tells nobody, and work would be waited for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
