"""The command `affekt` itself: where every verb hangs, and what happens to an error."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import click

from affekt import __version__
from affekt.cli.help import HAS_RESUME, VerbGroup
from affekt.cli.stopping import SIGINT_CODE, say_kept, say_stopped, signals_raised, with_streams, without_readers
from affekt.errors import AffektError, LimitError, StorageError
from affekt.files import storage_error
from affekt.plugins import blamed
from affekt.terminal import SaidWarnings, say, show_error

# Faces and voice have a thread each; a pool inside the matrix products only makes them wait for each other.
for _pool in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ.setdefault(_pool, '1')

Command = Callable[..., Any]

AS_JSON = click.option('--json', 'as_json', is_flag=True, help='One JSON object on standard output and nothing else.')
"""Progress, warnings and errors go to standard error as ever, so that `--json > FILE` shows how far the work is."""

SECTIONS = {
    'Recordings': ('analyze', 'stream', 'people', 'report', 'export', 'demo'),
    'Emotion words': ('extract', 'score'),
    'Benchmarks and challenges': ('corpus', 'features', 'corrupt', 'bench', 'track'),
    'Pre-trained encoders': ('pretrain', 'finetune', 'checkpoint'),
    'Comparing describers': ('rank', 'judge', 'annotate', 'prefer'),
    'This installation': ('doctor', 'plugins', 'weights', 'notice', 'completion'),
}
"""The order of `affekt --help`."""


@contextlib.contextmanager
def table_notes() -> Iterator[list[str]]:
    """The notes of the tables read within the block, said on standard error at its end, an error's too."""
    from affekt.tables import reading_notes

    with reading_notes() as notes:
        try:
            yield notes
        finally:
            for note in notes:
                say(note, err=True, style='yellow')


class Affekt(VerbGroup):
    """Turns every error that a person can do something about into two lines and exit code 2.

    That holds for deliberate errors and for those of the system, whatever verb meets them: a full disk, a path that
    cannot be written, too little memory. Ctrl-C and SIGTERM say what is kept and how to go on.
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
            if (blame := blamed(error)) is None:
                raise
            show_error(blame)
            ctx.exit(2)

    @staticmethod
    def has_resume(ctx: click.Context) -> bool:
        """Whether the verb that ran goes on with --resume, rather than by itself."""
        return bool(ctx.meta.get(HAS_RESUME))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; what click says of wrong usage is shown as it stands."""
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
            say('stopped before anything was begun', err=True)
            sys.exit(SIGINT_CODE if isinstance(error.__cause__, KeyboardInterrupt) else 1)
        finally:
            warnings.removeHandler(handler)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=Affekt, context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 80})
@click.version_option(__version__, prog_name='affekt')
def main() -> None:
    """Sees, hears and reads how people come across in a recording.

    \b
    affekt demo                 a real clip, nothing to prepare
    affekt analyze clip.mp4     your own
    """
