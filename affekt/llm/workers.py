"""Work side by side in threads that nobody has to wait for.

`concurrent.futures` joins its threads when a loop is left and when the process ends; one that waits for a server then
holds up Ctrl-C for as long as the server likes. Here, leaving the loop waits for nobody.
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
"""Index of what a thread says last."""


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], at_once: int, name: str = 'work'
) -> Iterator[Result]:
    """The result of each item, in the order of the items; at most `at_once` are in work at one time.

    Where the loop is left (Ctrl-C), no further item is begun; what is in work goes on in daemon threads, which end with
    the process, and its results are dropped. Where an item raises, no further one is begun, those in work are finished,
    and then the first error is raised.

    Args:
        work: called from several threads.
        items: taken one by one.
        at_once: threads.
        name: of the threads.

    >>> list(in_order(lambda number: number * 2, [1, 2, 3], at_once=2))
    [2, 4, 6]
    """
    waiting = enumerate(items)
    guard, stopped = threading.Lock(), threading.Event()
    finished: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()

    def labour() -> None:
        try:
            while not stopped.is_set():
                with guard:
                    entry = next(waiting, None)
                if entry is None:
                    break
                index, item = entry
                finished.put((index, work(item), None))
        except BaseException as error:  # handed to the loop, which raises it
            stopped.set()
            finished.put((NO_ITEM, None, error))
            return
        finished.put((NO_ITEM, None, None))

    threads = [threading.Thread(target=labour, name=f'{name} {index}', daemon=True) for index in range(max(1, at_once))]
    for thread in threads:
        thread.start()
    try:
        yield from _sorted(finished, len(threads))
    finally:
        stopped.set()


def _sorted(finished: SimpleQueue[tuple[int, Any, BaseException | None]], running: int) -> Iterator[Any]:
    """The results by index, until no thread is running.

    Raises:
        BaseException: the first that was put.
    """
    results: dict[int, Any] = {}
    due, first_error = 0, None
    while running:
        index, result, error = awaited(lambda timeout_s: finished.get(timeout=timeout_s), Empty)
        running -= index == NO_ITEM
        first_error = first_error or error
        results[index] = result
        while due in results and first_error is None:
            yield results.pop(due)
            due += 1
    if first_error is not None:
        raise first_error
