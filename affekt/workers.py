"""Worker processes and threads, which ignore Ctrl-C and end with the main process, and interruptible waiting."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

from affekt.errors import RunError

Item = TypeVar('Item')
Result = TypeVar('Result')
AWAKE_S = 0.1
"""Longest uninterrupted wait of the main thread in seconds, and so the delay of Ctrl-C."""
BEHIND = 10
"""Steps of niceness by which a thread yields to others."""
STARTED_BY = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
"""Environment variables that torchrun and similar launchers set, all of them."""


def launch() -> tuple[int, int] | None:
    """Rank of this process and number of processes that were launched together; None for a process on its own.

    Schedulers and notebooks set some of the variables, such as WORLD_SIZE, without launching anything.
    """
    if any(name not in os.environ for name in STARTED_BY):
        return None
    return int(os.environ['RANK']), int(os.environ['WORLD_SIZE'])


def awaited(attempt: Callable[[float], Result], *not_yet: type[Exception]) -> Result:
    """The result of an attempt that is repeated every `AWAKE_S` seconds until it succeeds.

    Python handles a signal that arrives just before the main thread waits only after that wait: without a timeout,
    Ctrl-C would take effect only when the result is there.

    Args:
        attempt: takes a timeout in seconds; returns a false value where there is no result yet.
        not_yet: exceptions that it raises where there is no result yet.
    """
    while True:
        with contextlib.suppress(*not_yet):
            if result := attempt(AWAKE_S):
                return result


def as_finished(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], at_once: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result in order of completion; at most twice `at_once` items are submitted at a time.

    Raises:
        Exception: an item failed; the exception is that of `work`.
    """
    remaining = iter(items)
    running: dict[Future[Result], Item] = {pool.submit(work, item): item for item in islice(remaining, 2 * at_once)}
    while running:
        for future in awaited(lambda timeout_s: wait(running, timeout_s, FIRST_COMPLETED).done):
            yield running.pop(future), future.result()
            for item in islice(remaining, 1):
                running[pool.submit(work, item)] = item


def made_ahead(items: Iterable[Item], depth: int) -> Generator[Item]:
    """Yield the items in order, computed ahead by a thread of their own.

    Nested stages, `made_ahead(second(made_ahead(first(), 2)), 2)`, run in parallel as far as they spend their time in
    native code. An exception while computing an item is raised in place of that item. When the consumer stops early,
    for example by closing this iterator, the thread ends after its current item, and the iterable is closed too.

    Args:
        items: used only in the new thread.
        depth: maximum number of finished items that wait, >= 1; one more may be in progress.
    """
    # a SimpleQueue waits in C, a semaphore in Python code: a stage waits a thousand times a minute
    free_slots, ready = queue.SimpleQueue[None](), queue.SimpleQueue[tuple[str, Any]]()
    for _ in range(depth):
        free_slots.put(None)
    is_over = threading.Event()

    def make() -> None:
        try:
            with contextlib.closing(closable(items)) as produced:
                for item in produced:
                    free_slots.get()
                    if is_over.is_set():
                        return
                    ready.put(('item', item))
            ready.put(('end', None))
        except BaseException as error:  # raised in the thread that waits for the item
            ready.put(('error', error))

    thread = threading.Thread(target=make, name='affekt-ahead', daemon=True)
    thread.start()
    try:
        while True:
            event, item = awaited(lambda timeout_s: ready.get(timeout=timeout_s), queue.Empty)
            if event == 'end':
                return
            if event == 'error':
                raise item
            free_slots.put(None)
            yield item
    finally:
        is_over.set()
        free_slots.put(None)
        thread.join()


def done_in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Generator[Result]:
    """Yield `work(item)` of each item in the order of the items, by threads that work ahead.

    An exception is raised in place of its result, after the results before it. When the consumer stops early, work that
    has not begun is left out, threads end after their current item, and the iterable is closed.

    Args:
        work: function of one item that several threads may call at once; with one thread, the consumer's own calls it.
        items: used only in the consumer's thread.
        threads: number of threads, >= 1; at most one item more than there are threads is begun or waits.
    """
    with contextlib.closing(closable(items)) as source:
        if threads == 1:
            yield from map(work, source)
            return
        pool = ThreadPoolExecutor(threads, 'affekt-in-order')
        try:
            waiting = deque[Future[Result]]()
            for future in _begun(pool, work, source):
                waiting.append(future)
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _begun(pool: Executor, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Future[Result]]:
    """The future of each item, submitted when it is requested; an exception of `items` is that of one last future."""
    try:
        for item in items:
            yield pool.submit(work, item)
    except Exception as error:
        failed = Future[Result]()
        failed.set_exception(error)
        yield failed


def yields_to_others(niceness: int = BEHIND) -> None:
    """Lower the priority of this thread, and of those that it starts, against others of its process.

    No effect where only processes have a priority.

    Args:
        niceness: number of steps, >= 1; beside a busy thread, each step leaves about four fifths of the time.
    """
    if sys.platform == 'linux':
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + niceness)


def closable(items: Iterable[Item]) -> Generator[Item]:
    """The items as a generator; closing it closes `items`."""
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
    """A pool of new processes, each initialized once.

    When the block ends early, by Ctrl-C or because no more results are wanted, the processes are killed without waiting
    for their current work.

    Args:
        count: number of processes.
        opening: top-level function of a module, called in each process before its first work.
        given: arguments of `opening`.
        todo: advice in the error where a process dies.

    Raises:
        RunError: a process died.
    """
    spawn = multiprocessing.get_context('spawn')
    pool = ProcessPoolExecutor(count, spawn, _open, (opening, tuple(given)))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise RunError(
            expected='worker processes that keep running', came='one that died (killed, or out of memory)', todo=todo
        ) from error
    except (KeyboardInterrupt, GeneratorExit):
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def each_done(work: Callable[[Item], object], items: Sequence[Item], processes: int, *, todo: str) -> Iterator[Item]:
    """Yield each item when its work is done: in this process if one is enough, otherwise in new ones.

    Args:
        work: a picklable function, such as `functools.partial` of a top-level function of a module.
        items: picklable arguments of `work`.
        processes: number of processes.
        todo: advice in the error where a process dies.

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
    """Yield each item with its result in order of completion; an item that kills its process loses only its own result.

    When a process dies, the items in progress are repeated one by one, each in a process of its own, and the others
    continue in a new pool.

    Args:
        count: number of processes.
        opening: as for `workers`.
        given: arguments of `opening`.
        work: function of one item; never returns None.
        items: items that differ by identity.
        todo: advice in the error where the items are not the cause.

    Returns:
        Pairs of item and result; the result is None where the item's process died.

    Raises:
        RunError: all of several items in progress killed their processes.
    """
    remaining = list(items)
    while remaining:
        done: set[int] = set()
        try:
            with workers(min(count, len(remaining)), opening, given, todo=todo) as pool:
                for item, result in as_finished(pool, work, remaining, count):
                    done.add(id(item))
                    yield item, result
            return
        except RunError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            in_progress = [item for item in remaining[: len(done) + 2 * count] if id(item) not in done]
            fatal: list[Item] = []
            for item in in_progress:
                try:
                    with workers(1, opening, given, todo=todo) as pool:
                        ((_, result),) = as_finished(pool, work, [item], 1)
                    yield item, result
                except RunError as second_error:
                    if not isinstance(second_error.__cause__, BrokenProcessPool):
                        raise
                    fatal.append(item)
            if len(fatal) == len(in_progress) > 1:
                raise
            yield from ((item, None) for item in fatal)
            settled = done | {id(item) for item in in_progress}
            remaining = [item for item in remaining if id(item) not in settled]


def _open(opening: Callable[..., None], given: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the main one decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    opening(*given)


def _end_with_parent() -> None:
    """End this process when its parent is gone: a killed parent sends no message, and this process would run on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
