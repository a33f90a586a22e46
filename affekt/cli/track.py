"""Verbs for the tracks of the MER challenges: track write, track check, track score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from affekt.cli.group import main

if TYPE_CHECKING:
    from affekt.benchmarks import Submission
    from affekt.metrics import Interval

PATH = click.Path(path_type=Path)


@main.group()
def track() -> None:
    """Write, check and score submissions to the MER challenges.

    TRACK is one of free words (mer2024-ov, mer2025-track2, mer2026-track2), of a category and valence (mer2023-multi,
    mer2023-noise), or of a category (mer2023-semi, mer2024-semi, mer2024-noise, mer2025-track1, mer2026-track1).
    """


@track.command()
@click.argument('name', metavar='TRACK')
@click.argument('prediction', type=PATH)
@click.option('--out', required=True, type=PATH, help='A .csv; mer2025-track2: …-openset.npz; mer2026-track2: either.')
@click.option('--candidates', type=PATH, help="The challenge's list of names; those of the prediction without it.")
@click.option('--allow-empty', is_flag=True, help='Accept answers without a label, which score 0.')
def write(name: str, prediction: Path, out: Path, candidates: Path | None, allow_empty: bool) -> None:
    """Write PREDICTION as a submission, and check it.

    PREDICTION has the columns name and openset, or name, discrete and, where the track asks for it, valence.
    """
    from affekt.benchmarks import read_candidates, track_named, write_submission

    names = read_candidates(candidates) if candidates else None
    facts = write_submission(name, track_named(name).read(prediction), out, names, allow_empty=allow_empty)
    click.echo(f'{facts.path}: {facts.rows} answers, {_labels(facts)}')


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
    click.echo(f'{facts.path} is in order: {facts.rows} answers {order}, {_labels(facts)}{empty}')


def _labels(facts: Submission) -> str:
    """How often each category stands, or how many labels an answer has."""
    if facts.counts:
        return ', '.join(f'{name} {count}' for name, count in sorted(facts.counts.items(), key=lambda one: -one[1]))
    return f'{facts.labels_per_answer:.1f} labels each'


@track.command('score')
@click.argument('name', metavar='TRACK')
@click.argument('prediction', type=PATH)
@click.option('--truth', required=True, type=PATH, help="The track's columns; its samples alone are scored.")
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

    from affekt.benchmarks import read_groups, score_track, track_named
    from affekt.benchmarks.showing import as_plain, bounds, plain_table, spread

    track = track_named(name)
    found = score_track(
        name,
        track.read(truth),
        track.read(prediction),
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
        shown.add_row(part, _value(part, held))
    console.print(shown)


def _value(part: str, held: Interval) -> str:
    """A share in per cent, or an error in its own unit."""
    from affekt.benchmarks.showing import spread

    if 'error' not in part:
        return spread(held.value, held)
    between = '' if held.low != held.low else f' [{held.low:.3f} {held.high:.3f}]'
    return f'{held.value:.4f}{between}'
