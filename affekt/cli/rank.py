"""The verb that ranks: rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from affekt.cli.choices import Named, interval_methods, tie_models
from affekt.cli.group import AS_JSON, main
from affekt.cli.ranking_tables import leaderboard
from affekt.terminal import say, say_json


@main.command()
@click.argument('file', type=click.Path(path_type=Path))
@click.option('--ties', default='half', type=Named(tie_models), help='Model of ties (default half).')
@click.option(
    '--control',
    multiple=True,
    metavar='NAME',
    help='Covariate whose effect is taken out: length, or NAME of left_NAME and right_NAME. Repeatable.',
)
@click.option('--order', is_flag=True, help='Take out the effect of being shown first.')
@click.option(
    '--prior',
    type=float,
    metavar='SD',
    help='Standard deviation of a Gaussian prior on log-odds, for thin data; 1.0 is usual.',
)
@click.option(
    '--cluster',
    type=Named(('sample', 'rater', 'both', 'none')),
    help='Clusters of the intervals (default those that repeat).',
)
@click.option(
    '--intervals', default='profile', type=Named(interval_methods), help='Method of the intervals (default profile).'
)
@click.option('--level', type=float, default=0.95, metavar='SHARE', help='Coverage of the intervals (default 0.95).')
@click.option('--seed', type=int, default=0, metavar='N', help='Random seed of bootstrap and ranks (default 0).')
@AS_JSON
@click.option('--html', type=click.Path(path_type=Path), metavar='OUT', help='Self-contained page to write as well.')
def rank(file: Path, as_json: bool, html: Path | None, cluster: str | None, **chosen: Any) -> None:
    """Rank items by who beat whom, with intervals.

    FILE is a table (csv, xlsx, json, jsonl or parquet), or a folder of affekt annotate.

    \b
    left,right,outcome[,sample,rater,order,weight]    outcome: left, right, tie
    model_a,model_b,winner                            arena
    name,a1,a2,preference,model1,model2               EmoPrefer
    """
    from affekt.annotation import left_out_notes, votes_table
    from affekt.ranking import ranked_file, render_ranking

    with votes_table(file) as table:
        for note in left_out_notes(file) if table != file else ():
            say(note, err=True, style='yellow')
        ranking, source = ranked_file(table, cluster=cluster, **chosen)
    if html:
        render_ranking(ranking, html, source)
    if as_json:
        say_json({**source, **ranking.to_dict()})
    else:
        say(leaderboard(ranking), columns=80)
