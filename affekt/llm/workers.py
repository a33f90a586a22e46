"""Concurrent work in threads that are not waited for when the consumer stops.

`concurrent.futures` joins its threads when a loop is left and when the process ends; a thread that waits for a server
then delays Ctrl-C for as long as the server takes. Here, leaving the loop does not wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from affekt.workers import awaited

Item = TypeVar('Item')
Result = TypeVar('Result')
NO_ITEM = -1
"""Index of the last message of a thread."""


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], at_once: int, name: str = 'work'
) -> Iterator[Result]:
    """Yield the result of each item, in order; at most `at_once` items are processed at a time.

    After the loop is left (Ctrl-C), no further item is started; items in progress continue in daemon threads, which end
    with the process, and their results are dropped. When an item raises an error, no further one is started, those in
    progress are finished, and then the first error is raised.

    Args:
        work: function of an item, called from several threads.
        items: items, taken one at a time.
        at_once: number of threads.
        name: name of the threads.

    >>> list(in_order(lambda number: number * 2, [1, 2, 3], at_once=2))
    [2, 4, 6]
    """
    waiting = enumerate(items)
    guard, stopped = threading.Lock(), threading.Event()
    finished: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()

    def process_items() -> None:
        try:
            while not stopped.is_set():
                with guard:
                    entry = next(waiting, None)
                if entry is None:
                    break
                index, item = entry
                finished.put((index, work(item), None))
        except BaseException as error:  # passed to the loop, which raises it
            stopped.set()
            finished.put((NO_ITEM, None, error))
            return
        finished.put((NO_ITEM, None, None))

    threads = [
        threading.Thread(target=process_items, name=f'{name} {index}', daemon=True) for index in range(max(1, at_once))
    ]
    for thread in threads:
        thread.start()
    try:
        yield from _sorted(finished, len(threads))
    finally:
        stopped.set()


def _sorted(finished: SimpleQueue[tuple[int, Any, BaseException | None]], running: int) -> Iterator[Any]:
    """Yield the results by index until no thread is running.

    Raises:
        BaseException: the first error of a thread.
    """
    results: dict[int, Any] = {}
    next_index, first_error = 0, None
    while running:
        index, result, error = awaited(lambda timeout_s: finished.get(timeout=timeout_s), Empty)
        running -= index == NO_ITEM
        first_error = first_error or error
        results[index] = result
        while next_index in results and first_error is None:
            yield results.pop(next_index)
            next_index += 1
    if first_error is not None:
        raise first_error
