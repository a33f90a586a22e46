"""Verbs on the installation: doctor, plugins, notice, weights, completion."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from affekt.cli.choices import SERVER, Named, model_files, refuse_unused
from affekt.cli.group import AS_JSON, main
from affekt.errors import UnknownNameError
from affekt.terminal import StageBars, facts_table, say, say_json
from affekt.wording import listed

if TYPE_CHECKING:
    from affekt.plugins import Listed

SHELLS = ('bash', 'zsh', 'fish')


@main.command()
@click.option('--thorough', is_flag=True, help='Hash every byte of the model files again.')
@click.option('--endpoint', metavar='URL', help='Server of a language model to examine instead.')
@click.option('--model', metavar='NAME', help='Name of the model at the endpoint.')
@SERVER
@AS_JSON
def doctor(thorough: bool, endpoint: str | None, model: str | None, server: str, as_json: bool) -> None:
    """Show what is installed, which model files are verified, and what extras would add.

    With --endpoint and --model: check whether images, audio and video sent to a server reach its model, by asking
    which colour, which tone and which order of colours they contained. A key is read from AFFEKT_LLM_KEY.
    """
    from affekt.doctor import examine, is_healthy, unusable_cache

    if endpoint or model:
        if not (endpoint and model):
            raise click.UsageError('--endpoint and --model belong together.')
        refuse_unused('an examination of this installation (without --endpoint)', 'thorough')
        _examine_endpoint(endpoint, model, server, as_json)
        return
    refuse_unused('--endpoint', 'server')
    examined = examine(thorough=thorough)
    if as_json:
        say_json({**examined, 'healthy': is_healthy(examined)})
    else:
        for rows in examined.values():
            say(facts_table(rows))
            say()
        healthy = (
            'Everything needed is installed.' if is_healthy(examined) else 'Something needed is missing or damaged.'
        )
        say(f'{healthy} Model files that are missing are fetched when they are first used.')
        if reason := unusable_cache():
            say(f'They cannot be kept: {reason}; AFFEKT_CACHE names another folder.', style='yellow')
    sys.exit(0 if is_healthy(examined) else 2)


def _examine_endpoint(url: str, model: str, server: str, as_json: bool) -> None:
    """Prints which media reach a model on a server; exits with 2 if one does not."""
    from rich.text import Text

    from affekt.llm import Endpoint, probe

    with Endpoint(url, model, server=server, api_key=os.environ.get('AFFEKT_LLM_KEY') or None) as endpoint:
        results = probe(endpoint)
    if as_json:
        say_json(
            {
                'endpoint': endpoint.url,
                'model': model,
                'server': server,
                'media': [result.to_dict() for result in results],
            }
        )
    else:
        say(facts_table([{'medium': result.medium, 'state': result.state} for result in results]))
        say(*(Text(f'{result.sentence[:1].upper()}{result.sentence[1:]}.') for result in results), columns=80)
    sys.exit(0 if all(result.state == 'received' for result in results) else 2)


@main.command()
def notice() -> None:
    """Print a text for the people who will be analyzed."""
    from affekt.analysis import NOTICE

    say(*NOTICE.splitlines())


@main.command()
@AS_JSON
def plugins(as_json: bool) -> None:
    """Show what installed packages add: recipes, models, corpora, metrics, judges, exports.

    Exits with 1 if one of them cannot be used, and says how to remove it.
    """
    from affekt.doctor import plugged_in

    rows = plugged_in()
    if as_json:
        say_json([row.to_dict() for row in rows])
    elif rows:
        names = ('package', 'version', 'group', 'name')
        cells = [{name: row.to_dict()[name] for name in names} for row in rows]
        states = [{'state': 'no' if row.error else 'loads'} for row in rows]
        say(facts_table([row_cells | state for row_cells, state in zip(cells, states, strict=True)]))
        say_unusable(rows)
    else:
        say('No installed package adds anything; see docs/architecture.md.')
    sys.exit(1 if any(row.error for row in rows) else 0)


def say_unusable(rows: Iterable[Listed]) -> None:
    """One sentence for each member of another package that cannot be used."""
    for row in rows:
        if row.error is not None:
            say(f'cannot be used: {row.error}', err=True, style='yellow')


@main.group()
def weights() -> None:
    """List, get and verify the model files."""


@weights.command('list')
@AS_JSON
def list_weights(as_json: bool) -> None:
    """List every model file with its licence, size and state."""
    from affekt.weights import MODELS, state

    rows = [
        {
            'model': model.name,
            'state': state(model),
            'size': f'{model.size / 1e6:.1f} MB',
            'licence': model.licence,
        }
        for model in MODELS.values()
    ]
    if as_json:
        details = {
            model.name: {'for': model.role, 'sha256': {part.filename: part.sha256 for part in model.parts}}
            for model in MODELS.values()
        }
        say_json([row | details[row['model']] for row in rows])
    else:
        say(facts_table(rows))


@weights.command('get')
@click.argument('names', nargs=-1, type=Named(model_files), metavar='[NAME]...')
@click.option('--all', 'everything', is_flag=True, help='Fetch every model file except those fetched only by name.')
def get_weights(names: Sequence[str], everything: bool) -> None:
    """Fetch model files by name or, without a name, those that an analysis needs."""
    from affekt.weights import MODELS

    downloadable = [name for name, model in MODELS.items() if not model.by_name_only]
    chosen = downloadable if everything else list(names) or _needed_by_default()
    fetch(chosen)


@weights.command('verify')
def verify_weights() -> None:
    """Hash every byte of the model files present."""
    from affekt.weights import MODELS, state

    rows = [{'model': model.name, 'state': state(model, thorough=True)} for model in MODELS.values()]
    say(facts_table(rows))
    sys.exit(2 if any(row['state'] == 'damaged' for row in rows) else 0)


def fetch(names: Sequence[str], *, required: bool = True) -> None:
    """Fetches missing model files with a progress bar; reports optional ones that stay missing.

    Args:
        names: names of model files.
        required: whether a file that cannot be fetched is an error.

    Raises:
        WeightsError: a required file cannot be fetched.
    """
    from affekt.weights import lookup, model_path, state, wanted_path

    missing = [name for name in names if state(lookup(name)) != 'verified']
    absent = []
    if missing:
        with StageBars(name_width=24, bar_width=28) as bars:
            for name in missing:
                if (model_path if required else wanted_path)(name, bars):
                    bars(name, 1, 1)
                else:
                    absent.append(f'{name} ({lookup(name).role})')
    if absent:
        warning = f'could not be fetched: {listed(absent)}; the analysis goes on without'
        say(f'{warning}, and `affekt weights get` tries again', err=True, style='yellow')


def _needed_by_default() -> list[str]:
    from affekt.analysis import AnalysisSettings, models_needed, models_wanted

    return [*models_needed(AnalysisSettings()), *models_wanted(AnalysisSettings())]


@main.command()
@click.argument('shell', required=False, type=Named(SHELLS))
def completion(shell: str | None) -> None:
    """Print a script for shell completion of verbs, options and names.

    \b
    affekt completion >> ~/.bashrc                                  bash, zsh
    affekt completion fish > ~/.config/fish/completions/affekt.fish

    SHELL is the current one by default. It takes effect in a new terminal.
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
