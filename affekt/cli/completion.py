"""The verb that teaches a shell to complete affekt's words: completion."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from affekt.cli.choices import Named
from affekt.cli.group import main
from affekt.errors import UnknownNameError
from affekt.terminal import say

SHELLS = ('bash', 'zsh', 'fish')


@main.command()
@click.argument('shell', required=False, type=Named(SHELLS))
def completion(shell: str | None) -> None:
    """Print what makes a shell complete verbs, options and names.

    \b
    affekt completion >> ~/.bashrc                                  bash, zsh
    affekt completion fish > ~/.config/fish/completions/affekt.fish

    Without SHELL the one that you are in. A new terminal then knows it.
    """
    chosen = shell or Path(os.environ.get('SHELL', '')).name
    writer = get_completion_class(chosen) if chosen in SHELLS else None
    if writer is None:
        raise UnknownNameError(
            expected=f'one of {", ".join(SHELLS)}', came=repr(chosen or 'no shell'),
            todo='name one: affekt completion bash',
        )  # fmt: skip
    for line in writer(main, {}, 'affekt', '_AFFEKT_COMPLETE').source().splitlines():
        say(line)
