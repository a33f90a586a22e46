"""The verb that asks people: annotate."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from affekt.cli.group import main
from affekt.terminal import say, say_json
from affekt.wording import counted, subject


@main.command()
@click.argument('pairs', nargs=-1, type=click.Path(path_type=Path))
@click.option('--media', type=click.Path(path_type=Path), metavar='DIR', help='Folder of clips, found by name.')
@click.option('--without-media', is_flag=True, help='Show texts alone where a clip is missing.')
@click.option('--gold', type=click.Path(path_type=Path), metavar='FILE', help='Pairs with known verdicts.')
@click.option('--out', type=click.Path(path_type=Path), metavar='DIR', help='Folder of votes (default PAIRS-votes).')
@click.option('--resume', is_flag=True, help='Continue in that folder, with the same votes and links.')
@click.option('--export-only', is_flag=True, help='Write the votes of --out as files and stop.')
@click.option(
    '--test-items', type=int, default=12, metavar='N', help='Gold items that a rater starts with (default 12).'
)
@click.option(
    '--test-share',
    type=float,
    default=0.75,
    metavar='SHARE',
    help='Share of gold items to answer correctly (default 0.75).',
)
@click.option(
    '--gold-every',
    type=int,
    default=10,
    metavar='N',
    help='Votes from one later gold item to the next; 0 for none (default 10).',
)
@click.option(
    '--floor', type=int, default=2, metavar='N', help='Minimum number of votes per pair of describers (default 2).'
)
@click.option(
    '--seed', type=click.IntRange(0), default=0, metavar='N', help='Random seed of orders and sides (default 0).'
)
@click.option(
    '--host', default='127.0.0.1', metavar='ADDRESS', help='Address to listen on (default 127.0.0.1: this machine).'
)
@click.option('--port', type=int, default=0, metavar='N', help='Port to listen on; 0 takes any free one (default 0).')
@click.option('--token', metavar='TEXT', help='Token that raters need (default: a random one).')
@click.option('--json', 'as_json', is_flag=True, help='Print the links as one JSON object.')
@click.option('--raw-csv', is_flag=True, help='Texts like =1+1 as they are, without an apostrophe for spreadsheets.')
def annotate(
    pairs: tuple[Path, ...], out: Path | None, export_only: bool, as_json: bool, host: str, port: int,
    token: str | None, raw_csv: bool, **chosen: Any,
) -> None:  # fmt: skip
    """Ask people which of two descriptions fits a clip better, on a local
    web page.

    \b
    PAIRS  name,a1,a2[,model1,model2]                 EmoPrefer
           name,left,right,left_text,right_text
           several files of descriptions (name,text), one for each describer
           tasks.json, .csv                           from Label Studio
    """
    from affekt.annotation import StudySettings, export_notes, export_votes, prepare
    from affekt.annotation import annotate as serve
    from affekt.serve import require_serving_parts

    if not pairs and not (export_only and out):
        raise click.UsageError('give PAIRS, or --export-only with --out')
    folder = out or pairs[0].with_name(f'{pairs[0].stem}-votes')
    chosen['without_media'] |= export_only
    names = [field.name for field in fields(StudySettings)]
    settings = StudySettings(**{name: chosen.pop(name) for name in names if name in chosen})
    if export_only and (not pairs or (folder.exists() and not chosen['resume'])):
        if pairs:
            say(f'{folder} holds a study, so PAIRS are not read; --resume reads them', err=True, style='yellow')
        written = export_votes(folder, raw=raw_csv)
    else:
        if not export_only:
            require_serving_parts()
        prepared = prepare(pairs, folder, settings=settings, **chosen)
        if export_only:
            prepared.study.close()
            for note in prepared.notes:
                say(note, err=True, style='yellow')
            written = export_votes(folder, raw=raw_csv)
        else:
            started = partial(_show, as_json=as_json)
            written = serve(prepared, host=host, port=port, token=token, started=started, raw_csv=raw_csv)
            say(f'every vote is kept in {folder}; the same command with --resume goes on', err=True)
    for path in written:
        say(str(path), err=as_json)
    for note in export_notes(folder):
        say(note, err=True, style='yellow')


def _show(links: Any, as_json: bool) -> None:
    if as_json:
        say_json(links.to_dict())
        return
    test = f', a test of {links.test_items}' if links.test_items else ', no test (no --gold)'
    say(f'{counted(links.pairs, "pair")}, {links.gold} gold{test}; votes in {links.out}')
    if links.without_clip:
        say(f'{subject(links.without_clip, "clip")} missing; texts are shown alone there')
    for note in links.notes:
        say(note, style='yellow')
    say(f'raters       {links.raters}')
    say(f'leaderboard  {links.board}')
    if links.is_open:
        say('other machines reach this page, unencrypted: use it in a network that you trust')
    say('Ctrl-C stops; --resume goes on.')
