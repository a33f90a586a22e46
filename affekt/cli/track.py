"""Verbs for the open-vocabulary tracks of the MER challenges: track write, track check, track score."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from affekt.cli.group import main

PATH = click.Path(path_type=Path)


@main.group()
def track() -> None:
    """Write, check and score submissions to the MER challenges.

    TRACK is mer2024-ov, mer2025-track2 or mer2026-track2.
    """


@track.command()
@click.argument('name', metavar='TRACK')
@click.argument('prediction', type=PATH)
@click.option('--out', required=True, type=PATH, help='mer2024-ov: .csv; 2025: …-openset.npz; 2026: either.')
@click.option('--candidates', type=PATH, help="The challenge's list of names; those of the prediction without it.")
@click.option('--allow-empty', is_flag=True, help='Accept answers without a label, which score 0.')
def write(name: str, prediction: Path, out: Path, candidates: Path | None, allow_empty: bool) -> None:
    """Write PREDICTION (name,openset) as a submission, and check it."""
    from affekt.benchmarks import read_candidates, write_submission
    from affekt.labels import read_answers

    names = read_candidates(candidates) if candidates else None
    facts = write_submission(name, read_answers(prediction), out, names, allow_empty=allow_empty)
    click.echo(f'{facts.path}: {facts.rows} answers, {facts.labels_per_answer:.1f} labels each')


@track.command()
@click.argument('name', metavar='TRACK')
@click.argument('file', type=PATH)
@click.option('--candidates', required=True, type=PATH, help="The challenge's list of names.")
@click.option('--allow-empty', is_flag=True, help='Accept answers without a label, which score 0.')
def check(name: str, file: Path, candidates: Path, allow_empty: bool) -> None:
    """Check a submission FILE: every problem at once, with its row."""
    from affekt.benchmarks import check_submission, read_candidates

    facts = check_submission(name, file, read_candidates(candidates), allow_empty=allow_empty)
    order = 'in the order of the candidates' if facts.follows_candidates else 'in another order than the candidates'
    empty = f', {facts.empty_answers} empty' if facts.empty_answers else ''
    click.echo(
        f'{facts.path} is in order: {facts.rows} answers {order}, {facts.labels_per_answer:.1f} labels each{empty}'
    )


@track.command('score')
@click.argument('name', metavar='TRACK')
@click.argument('prediction', type=PATH)
@click.option('--truth', required=True, type=PATH, help='name and openset; its samples alone are scored.')
@click.option('--groups', type=PATH, help='mer2024-ov: stored synonym groups, openset-synonym.zip or name,groups.')
@click.option('--tables', metavar='TABLE', help="Another word table than the challenge's, or a folder that holds it.")
@click.option('--resamples', type=click.IntRange(0, 100_000), default=1000, help='For the intervals (default 1000).')
@click.option('--seed', type=int, default=0, help='Of the resamples (default 0).')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object and nothing else.')
def score_command(
    name: str,
    prediction: Path,
    truth: Path,
    groups: Path | None,
    tables: str | None,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Score PREDICTION as the challenge does."""
    import numpy as np

    from affekt.benchmarks import read_groups, score_track
    from affekt.benchmarks.showing import as_plain, bounds, percent, plain_table, spread
    from affekt.labels import read_answers

    found = score_track(
        name,
        read_answers(truth),
        read_answers(prediction),
        rng=np.random.default_rng(seed),
        table=tables,
        groups=read_groups(groups) if groups else None,
        resamples=resamples,
    )
    if as_json:
        parts = {part: {'value': held.value, 'interval': bounds(held)} for part, held in found.parts.items()}
        facts = {'track': found.track, 'metric': found.metric, 'score': found.score.value}
        facts |= {'interval': bounds(found.score), 'parts': parts, 'samples': found.samples}
        facts |= {'table': found.table, 'table_is_official': found.table_is_official}
        click.echo(json.dumps(as_plain(facts), allow_nan=False))
        return
    console = Console(width=min(Console().width, 100), highlight=False)
    console.print(Text(f'{found.track}, {found.samples} samples'))
    if found.table:
        console.print(Text(f'word table {found.table}', style='' if found.table_is_official else 'yellow'))
    if not found.table_is_official:
        console.print(Text("not the challenge's table: this is not its score", style='yellow'))
    console.print()
    shown = plain_table('', 'value [95 %]')
    shown.add_row(found.metric, spread(found.score.value, found.score), style='bold')
    for part, held in found.parts.items():
        shown.add_row(part, spread(held.value, held) if held.low == held.low else percent(held.value))
    console.print(shown)
