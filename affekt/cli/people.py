"""The verb on people of a run: who there is, who is one, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.group import AS_JSON, main
from affekt.cli.people_table import people_table
from affekt.terminal import say, say_json

if TYPE_CHECKING:
    from affekt.batch import ChangedPeople


@main.command()
@click.argument('run', type=click.Path(path_type=Path))
@click.option('--file', metavar='NAME', help='File of the run, where it has several.')
@click.option('--merge', nargs=2, multiple=True, metavar='A B', help='Person B is person A; may be given again.')
@click.option(
    '--name', 'names', nargs=2, multiple=True, metavar='PERSON NAME', help='Name of a person; may be given again.'
)
@click.option('--reset', is_flag=True, help='Forget what was merged and named before.')
@AS_JSON
def people(
    run: Path,
    file: str | None,
    merge: Sequence[tuple[str, str]],
    names: Sequence[tuple[str, str]],
    reset: bool,
    as_json: bool,
) -> None:
    """Merge and rename the people of a run, in report and exports.

    \b
    affekt people study                             who there is
    affekt people study --merge 1 3 --name 1 "A."   1 and 3 are one, called A.
    affekt people study --file b.mp4 --name 2 "B."  of a run with several files
    affekt people study --reset                     as analyzed

    People are named by number or name; merges come before names. The results stay as they were analyzed: what is said
    here is kept beside them and applied whenever they are read.
    """
    from affekt.batch import change_people
    from affekt.people import Change, Merge, Rename

    changes: list[Change] = [Merge(*pair) for pair in merge]
    changes += [Rename(*pair) for pair in names]
    changed = change_people(run, changes, file=file, reset=reset)
    if as_json:
        say_json(_as_json(changed))
        return
    say(people_table(changed.analysis), columns=80)
    for page in changed.pages:
        say()
        say(f'report {page}')
    for remark in changed.remarks:
        say(f'{remark}.', err=True, style='yellow')


def _as_json(changed: ChangedPeople) -> dict[str, Any]:
    from affekt.people import Merge

    return {
        'results': str(changed.folder),
        'file': changed.analysis.source.file or changed.analysis.source.name,
        'changes': [
            {'merge': [each.into, each.person]} if isinstance(each, Merge) else {'name': [each.person, each.name]}
            for each in changed.changes
        ],
        'report': [str(page) for page in changed.pages],
        'remarks': list(changed.remarks),
        'people': changed.analysis.summary()['people'],
    }
