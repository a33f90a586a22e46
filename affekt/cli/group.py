"""The command `affekt` itself: its verbs, error handling, and signals."""

from __future__ import annotations

import atexit
import contextlib
import errno
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

import click

from affekt import __version__
from affekt.cli.help import HAS_RESUME, VerbGroup
from affekt.errors import AffektError, LimitError, StorageError
from affekt.files import storage_error
from affekt.plugins import blamed
from affekt.terminal import SaidWarnings, say, show_error
from affekt.wording import said_once

# Faces and voice have a thread each; a pool inside the matrix products only makes them wait for each other.
for _pool in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ.setdefault(_pool, '1')
# torch's C++ code writes warnings, such as that the first step left no weight unused, to standard error, past logging.
os.environ.setdefault('TORCH_CPP_LOG_LEVEL', 'ERROR')

Command = Callable[..., Any]

AS_JSON = click.option(
    '--json', 'as_json', is_flag=True, help='Print one JSON object on standard output and nothing else.'
)
"""Progress, warnings and errors still go to standard error, so that `--json > FILE` shows progress."""

SECTIONS = {
    'Recordings': ('analyze', 'stream', 'people', 'report', 'export', 'demo'),
    'In words': ('describe', 'caption', 'extract', 'score'),
    'Benchmarks and challenges': ('corpus', 'features', 'corrupt', 'bench', 'track'),
    'Pre-trained encoders': ('pretrain', 'finetune', 'checkpoint'),
    'Comparing describers': ('rank', 'judge', 'annotate', 'prefer'),
    'Portraits': ('reenact', 'verify'),
    'This installation': ('doctor', 'plugins', 'weights', 'notice', 'completion'),
}
"""Sections of `affekt --help` to their verbs, in order."""


SIGTERM_CODE, SIGINT_CODE = 143, 130
"""128 plus the signal number, as in a shell."""


class Terminated(KeyboardInterrupt):
    """SIGTERM was received: everything is closed as for Ctrl-C."""


AGAIN_S = 0.01
"""Seconds after which a signal is sent again, if it arrived where an exception would be lost."""
SOURCE_MODULE, CALLED_METHODS = 'affekt.containers.source', frozenset({'read', 'seek', 'tell'})
"""Module of the files that FFmpeg reads through, and their methods that it calls: PyAV prints an exception raised there
that is not an `Exception`, and continues."""


def is_deaf(frame: FrameType | None) -> bool:
    """Whether an exception raised in a frame would be lost, because FFmpeg calls it to read a file."""
    while frame is not None:
        caller = frame.f_back
        if (
            _module_of(frame) == SOURCE_MODULE
            and frame.f_code.co_name in CALLED_METHODS
            and _module_of(caller) != SOURCE_MODULE
        ):
            return True  # in other functions of the module, such as the hash of a whole file, nothing is lost
        frame = caller
    return False


def _module_of(frame: FrameType | None) -> object:
    return None if frame is None else frame.f_globals.get('__name__')


@contextlib.contextmanager
def signals_raised() -> Iterator[None]:
    """A context in which the first SIGTERM or SIGINT raises an exception, and the second ends the process at once.

    Where an exception would be lost (see `is_deaf`), or was lost in a finaliser, it is raised a moment later. A library
    that is interrupted while it is imported says that it cannot be; the signal is raised instead of that, unless the
    ImportError is caught before. A signal that the parent process set to be ignored stays ignored, as for a background
    command.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        if is_deaf(frame):
            _send_again(number)
            return
        for caught_number in caught:
            signal.signal(caught_number, signal.SIG_DFL)
        raised.append(KeyboardInterrupt if number == signal.SIGINT else Terminated)
        raise raised[-1]

    raised: list[type[KeyboardInterrupt]] = []
    caught = [number for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)]
    hook = sys.unraisablehook

    def on_unraisable(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            hook(unraisable)
            return
        for caught_number in caught:
            signal.signal(caught_number, stop)
        _send_again(signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT)

    try:
        for number in caught:
            signal.signal(number, stop)
        sys.unraisablehook = on_unraisable
    except ValueError:  # not the main thread, so the caller handles signals
        caught = []
    try:
        yield
    except ImportError as error:
        if not raised:
            raise
        stopped = raised[-1]()
        for note in getattr(error, '__notes__', ()):
            stopped.add_note(note)
        raise stopped from error
    finally:
        sys.unraisablehook = hook
        for number in caught:
            signal.signal(number, handlers[number])


def _send_again(number: int) -> None:
    timer = threading.Timer(AGAIN_S, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


@contextlib.contextmanager
def signals_asking(stop: Callable[[], None]) -> Iterator[None]:
    """A context in which the first SIGINT or SIGTERM calls `stop`, for work without an end.

    The second one ends the process at once. A signal that the parent process set to be ignored stays ignored.

    Args:
        stop: must return at once: it is called between any two steps of the main thread.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    caught = [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]

    def on_signal(number: int, frame: FrameType | None) -> None:
        for caught_number in caught:
            signal.signal(caught_number, signal.SIG_DFL)
        stop()

    with signals_raised():  # restores the handlers
        for number in caught:
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(number, on_signal)
        yield


def end_beside_threads(code: object) -> None:
    """End the process at once if daemon threads still work, after everything that is due at exit; else return.

    Python would end such a thread where it next needs the interpreter: inside a library in C++, which then aborts
    the process (exit code 134).

    Args:
        code: the exit code; returns if it is no number.
    """
    if not isinstance(code, int) or not any(thread.daemon for thread in threading.enumerate()):
        return
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the other threads, as at any exit
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
            stream.flush()
    os._exit(code)


def say_stopped(error: KeyboardInterrupt, has_resume: bool) -> int:
    """Print what is kept and how to continue; returns the exit code."""
    is_sigterm = isinstance(error, Terminated)
    say(f'stopped by {"SIGTERM" if is_sigterm else "Ctrl-C"}', err=True, style='yellow')
    say_kept(error, has_resume)
    return SIGTERM_CODE if is_sigterm else SIGINT_CODE


def say_kept(error: BaseException, has_resume: bool) -> None:
    """Print what is on disk, according to the error's notes, and how to continue."""
    kept = list(dict.fromkeys(getattr(error, '__notes__', ())))
    if not kept:
        say('no incomplete files were left; run the same command again', err=True)
        return
    say(*kept, f'to continue, run the same command again{" with --resume" if has_resume else ""}', err=True)


def without_readers() -> None:
    """Discards remaining output, since the program that read it has ended."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
            continue
        with contextlib.suppress(AttributeError, OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def with_streams() -> None:
    """Gives a process without standard output or standard error streams that discard."""
    for name in ('stdout', 'stderr'):
        if getattr(sys, name) is None:
            stream: Any = open(os.devnull, 'w', encoding='utf-8')  # noqa: SIM115
            setattr(sys, name, stream)


@contextlib.contextmanager
def table_notes() -> Iterator[list[str]]:
    """A context that collects the notes of tables read in it, and prints them on standard error at its end."""
    from affekt.tables import reading_notes

    with reading_notes() as notes:
        try:
            yield notes
        finally:
            for note in notes:
                say(note, err=True, style='yellow')


def end_with(unusable: Collection[object]) -> None:
    """End the verb with exit code 2 if some of its inputs gave no result: the rule of docs/exit_codes.md.

    Args:
        unusable: inputs that cannot be read, or that a model refuses. A mapping to reasons is printed on standard
            error, each reason in full once; others must have been printed before.
    """
    if isinstance(unusable, Mapping):
        for name, reason in said_once(unusable).items():
            say(f'{name}: {reason}', err=True, style='yellow')
    if unusable:
        click.get_current_context().exit(2)


def _of_system(error: Exception) -> OSError | None:
    """The error of the system behind a RuntimeError of Python's library, or None."""
    if isinstance(looped := error.__context__, OSError) and looped.errno == errno.ELOOP:  # of Path.resolve
        return looped
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return None


class Affekt(VerbGroup):
    """Turns every error that a user can fix into two lines and exit code 2.

    That holds for deliberate errors and for those of the system in any verb: a full disk, an unwritable
    path, too little memory. Ctrl-C and SIGTERM print what is kept and how to continue.
    """

    sections = SECTIONS

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            with signals_raised():
                result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            without_readers()
            ctx.exit(1)
        except KeyboardInterrupt as error:
            ctx.exit(say_stopped(error, self.has_resume(ctx)))
        except StorageError as error:
            show_error(error)
            if hasattr(error, '__notes__'):
                say_kept(error, self.has_resume(ctx))
            ctx.exit(2)
        except AffektError as error:
            show_error(error)
            ctx.exit(2)
        except OSError as error:
            show_error(storage_error(error))
            if hasattr(error, '__notes__'):
                say_kept(error, self.has_resume(ctx))
            without_readers()
            ctx.exit(2)
        except MemoryError:
            show_error(
                LimitError(
                    expected='enough memory', came='less than this needs',
                    todo='give fewer or smaller files at once, or fewer --processes',
                )
            )  # fmt: skip
            ctx.exit(2)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if (of_system := _of_system(error)) is not None:
                show_error(storage_error(of_system))
                if hasattr(error, '__notes__'):
                    say_kept(error, self.has_resume(ctx))
                ctx.exit(2)
            if (blame := blamed(error)) is None:
                raise
            show_error(blame)
            ctx.exit(2)

    @staticmethod
    def has_resume(ctx: click.Context) -> bool:
        """Whether the verb continues with --resume, rather than by itself."""
        return bool(ctx.meta.get(HAS_RESUME))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line as a program; see `end_beside_threads`."""
        try:
            return self.main(*args, **kwargs)
        except SystemExit as ended:
            end_beside_threads(ended.code)
            raise

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; click's usage errors are shown unchanged."""
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        with_streams()
        warnings, handler = logging.getLogger('affekt'), SaidWarnings()
        warnings.addHandler(handler)
        try:
            code: Any = run()
        except click.ClickException as error:
            shown = io.StringIO()
            error.show(shown)
            say(*shown.getvalue().rstrip('\n').split('\n'), err=True)
            sys.exit(error.exit_code)
        except click.Abort as error:  # Ctrl-C before a verb has begun
            say('stopped before anything was started', err=True)
            sys.exit(SIGINT_CODE if isinstance(error.__cause__, KeyboardInterrupt) else 1)
        finally:
            warnings.removeHandler(handler)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=Affekt, context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 80})
@click.version_option(__version__, prog_name='affekt')
def main() -> None:
    """Sees, hears and reads how people come across in a recording.

    \b
    affekt demo                 a real clip, no preparation
    affekt analyze clip.mp4     your own
    """
