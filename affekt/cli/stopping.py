"""What ends a command before its end: an error of the system, a signal, a reader that goes away."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from affekt.terminal import say

SIGTERM_CODE, SIGINT_CODE = 143, 130
"""128 and the number of the signal, as a shell has it."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what is open is closed as at Ctrl-C."""


@contextlib.contextmanager
def signals_raised() -> Iterator[None]:
    """Within the block SIGTERM and SIGINT raise an exception, once; the second one ends the process at once.

    A signal that whoever started us wants ignored stays ignored, as for a command in the background.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    chosen = [number for number, answer in before.items() if answer not in (signal.SIG_IGN, None)]
    try:
        for number in chosen:
            signal.signal(number, stop)
    except ValueError:  # not the main thread: whoever runs us there decides
        chosen = []
    try:
        yield
    finally:
        for number in chosen:
            signal.signal(number, before[number])


@contextlib.contextmanager
def signals_asking(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first SIGINT or SIGTERM calls `stop`, for work that has no end of its own.

    The second one ends the process at once. A signal that whoever started us wants ignored stays ignored.

    Args:
        stop: returns at once and waits for nothing: it is called between any two steps of the main thread.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def asked(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        stop()

    with signals_raised():  # puts back what was there
        for number, answer in before.items():
            if answer not in (signal.SIG_IGN, None):
                with contextlib.suppress(ValueError):  # not the main thread
                    signal.signal(number, asked)
        yield


def say_stopped(error: KeyboardInterrupt, has_resume: bool) -> int:
    """Say what is kept and how to go on; returns the exit code."""
    is_sigterm = isinstance(error, Terminated)
    say(f'stopped by {"SIGTERM" if is_sigterm else "Ctrl-C"}', err=True, style='yellow')
    say_kept(error, has_resume)
    return SIGTERM_CODE if is_sigterm else SIGINT_CODE


def say_kept(error: BaseException, has_resume: bool) -> None:
    """What the error's notes say is on disk, and how to go on with it."""
    kept = list(dict.fromkeys(getattr(error, '__notes__', ())))
    if not kept:
        say('nothing was left half written; give the same command again', err=True)
        return
    say(*kept, f'to go on, give the same command again{" with --resume" if has_resume else ""}', err=True)


def without_readers() -> None:
    """Let what is still to be printed go nowhere: the program that read it has ended."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
            continue
        with contextlib.suppress(AttributeError, OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def with_streams() -> None:
    """Give a process that was started without output one that goes nowhere."""
    for name in ('stdout', 'stderr'):
        if getattr(sys, name) is None:
            stream: Any = open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115
            setattr(sys, name, stream)
