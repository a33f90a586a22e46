"""Processes that work beside this one: they leave Ctrl-C to it, and end when it ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from affekt.errors import RunError


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


def _open(opening: Callable[..., None], given: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all its processes; the first one decides
    opening(*given)
