"""The command `affekt` itself: where every verb hangs, and what happens to an error."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from affekt import __version__
from affekt.cli.help import VerbGroup
from affekt.errors import AffektError
from affekt.terminal import say, show_error

# Faces and voice have a thread each; a pool inside the matrix products only makes them wait for each other.
for _pool in ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
    os.environ.setdefault(_pool, '1')

Command = Callable[..., Any]

SECTIONS = {
    'Recordings': ('analyze', 'report', 'export', 'demo'),
    'Emotion words': ('extract', 'score'),
    'Benchmarks and challenges': ('corpus', 'features', 'corrupt', 'bench', 'track'),
    'Comparing describers': ('rank', 'judge', 'annotate', 'prefer'),
    'This installation': ('doctor', 'weights', 'notice', 'completion'),
}
"""The order of `affekt --help`."""


class Affekt(VerbGroup):
    """Turns every deliberate error into two lines and exit code 2."""

    sections = SECTIONS

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except AffektError as error:
            show_error(error)
            ctx.exit(2)

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
        try:
            code: Any = run()
        except click.ClickException as error:
            shown = io.StringIO()
            error.show(shown)
            say(*shown.getvalue().rstrip('\n').split('\n'), err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            say('Aborted!', err=True)
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=Affekt, context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 80})
@click.version_option(__version__, prog_name='affekt')
def main() -> None:
    """Sees, hears and reads how people come across in a recording.

    \b
    affekt demo                 a real clip, nothing to prepare
    affekt analyze clip.mp4     your own
    """
