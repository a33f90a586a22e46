"""Verbs that describe in words: describe, and below it inspect and train."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from affekt.cli.choices import Named, recognisers
from affekt.cli.group import AS_JSON, main
from affekt.cli.help import VerbWithVerbs
from affekt.terminal import StageBars, plain_table, say, say_json
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.batch import DescribedClip, Describing
    from affekt.description import InspectedDescriber

PATH = click.Path(path_type=Path)
SHOWN = 20
"""Of so many clips the whole answer is shown; of more a line each."""
USUAL = ('template', 'list', 'free', 'plain')
"""Forms that need no word of their own."""


class Pairs(click.ParamType[tuple[str, str]]):
    """NAME=VALUE."""

    name = 'SOURCE=RECIPE'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """('voice', 'acoustics-utt') from 'voice=acoustics-utt'"""
        if isinstance(value, tuple):
            return value
        name, equals, of = str(value).partition('=')
        if not (name and equals and of):
            self.fail(f'{value!r} is not {self.name}', param, ctx)
        return name, of


@main.group('describe', cls=VerbWithVerbs)
@click.argument('paths', nargs=-1, required=True, type=PATH)
@click.option('--model', type=PATH, help='Describer: a folder that training wrote, or a published checkpoint.')
@click.option('--trunk', metavar='PATH', help='Language model of it, where its folder does not say: folder or GGUF.')
@click.option(
    '--recipe', 'recipes', type=Pairs(), multiple=True, help='Recipe of features of a source, where not noted.'
)
@click.option('--question', metavar='TEXT', help='Question, in place of the one that the describer was trained with.')
@click.option('--transcript', type=PATH, help='Transcript of the one clip: SRT, VTT, TextGrid, ELAN or plain text.')
@click.option(
    '--asr', type=Named(recognisers, others='PATH'), default='tiny.en',
    help='Speech recognition where there is no transcript: tiny.en (default), base, none, or a path.',
)  # fmt: skip
@click.option('--labels', 'labels_only', is_flag=True, help='Labels alone, a line a clip.')
@click.option('--out', type=PATH, help='Folder to keep answers in, with tables of them.')
@click.option('--resume', is_flag=True, help='Continue an interrupted run in OUT.')
@click.option('--limit', type=click.IntRange(1), metavar='N', help='Clips to describe, from the first.')
@click.option('--root', type=PATH, help='Folder that the media of a manifest are in now, if they moved.')
@click.option('--tokens', type=click.IntRange(1), help='Tokens of an answer, at most.')
@click.option('--batch-size', type=click.IntRange(1), default=8, help='Clips answered together (default 8).')
@click.option('--precision', type=Named(('float32', 'float16', 'bfloat16')), help='Precision of the weights.')
@click.option('--device', default='cpu', help='Device to run on: cpu (default), cuda, cuda:1, …')
@AS_JSON
def describe_command(
    paths: Sequence[Path],
    labels_only: bool,
    out: Path | None,
    resume: bool,
    limit: int | None,
    root: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Say in words how people come across, and from which clues.

    \b
    affekt describe clip.mp4
    affekt describe clips/ --out described --resume
    affekt describe clip.mp4 --model run/describer --labels
    affekt describe manifest.parquet --model affectgpt.pth --trunk qwen

    PATHS are media files, folders of them, or one manifest. Without --model the small describer that comes with affekt
    answers, or, where there is none, sentences are made from measurements. What a clip lacks is never described. With
    --out each answer is kept at once; a clip that fails costs no other its answer, and is tried again with --resume.
    """
    from affekt.batch import describe_many, open_describing

    settings = _settings_of(chosen)
    describer = open_describing(settings)
    clips: list[DescribedClip] = []
    with StageBars(name_width=8) as bars:

        def advanced(clip: DescribedClip, done: int, total: int) -> None:
            bars('describe', done, total)

        answers = describe_many(
            paths, settings, out=out, resume=resume, root=root, limit=limit, describer=describer, advanced=advanced
        )
        clips.extend(answers)
    failed = sum(bool(clip.described.failure) for clip in clips)
    if as_json:
        say_json({
            'describer': describer.name, 'out': str(out) if out else None, 'failed': failed,
            'clips': [clip.to_dict() for clip in clips],
        })  # fmt: skip
    elif labels_only:
        for clip in clips:
            say(f'{clip.name}: {clip.described.failure or ", ".join(clip.described.labels) or "no label"}')
    else:
        _say_described(clips, describer.name, out)
    sys.exit(2 if failed else 0)


def _settings_of(chosen: Mapping[str, Any]) -> Describing:
    from affekt.batch import Describing

    named = {name: value for name, value in chosen.items() if value is not None and name != 'recipes'}
    settings: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}
    return Describing(**settings, recipes=dict(chosen['recipes']))


def _say_described(clips: Sequence[DescribedClip], name: str, out: Path | None) -> None:
    """Each answer as a block; of many clips one line each."""
    for clip in clips:
        described = clip.described
        if len(clips) > SHOWN:
            said = f'not described: {described.failure}' if described.failure else described.text
            say(f'{clip.name}: {said}', style='yellow' if described.failure else '')
            continue
        say()
        say(clip.name, style='bold')
        if described.failure:
            say(Text(f'not described: {described.failure}', style='yellow'), columns=80)
            continue
        say(Text(described.text or 'The answer is empty.'), columns=80)
        rows = _rows_of(clip)
        if rows:
            say()
            table = plain_table(width=80, show_header=False)
            table.add_column(style='dim', no_wrap=True)
            table.add_column(overflow='fold', ratio=1)
            for heading, text in rows:
                table.add_row(heading, text)
            say(table, columns=80)
    failed = sum(bool(clip.described.failure) for clip in clips)
    say()
    kept = f'; {out / "descriptions.csv"}' if out else ''
    failures = f', {failed} failed' if failed else ''
    say(f'{counted(len(clips) - failed, "clip")} described by {name}{failures}{kept}', style='dim')


def _rows_of(clip: DescribedClip) -> list[tuple[str, str]]:
    """What stands below an answer: labels, clues by what they speak of, and what was not there."""
    described = clip.described
    rows = [('labels', ', '.join(described.labels) or 'none')]
    if described.form not in USUAL:
        rows.append(('form', described.form))
    if described.form != 'plain':
        rows += [(', '.join(clue.of), clue.text) for clue in described.evidence]
    rows += [('without', f'{part}: {reason}') for part, reason in described.lacking.items()]
    rows += [('struck out', f'{clue.text} ({", ".join(clue.of)} not perceived)') for clue in described.invented]
    return rows


@describe_command.command('inspect')
@click.argument('path', type=PATH)
@AS_JSON
def inspect_command(path: Path, as_json: bool) -> None:
    """Say which sources, fusions, adapters and sizes a describer has.

    \b
    affekt describe inspect affectgpt.pth
    affekt describe inspect run/describer --json

    PATH is a checkpoint of AffectGPT as published, or a folder that training wrote. Nothing in it is run. A tensor that
    is absent, renamed or of another shape is named, and the file refused.
    """
    from affekt.description import inspected_describer

    inspected = inspected_describer(path)
    if as_json:
        say_json(inspected.to_dict())
    else:
        _say_inspected(inspected)


def _say_inspected(inspected: InspectedDescriber) -> None:
    form = {'published': 'a checkpoint of AffectGPT, as published', 'affekt': 'a describer that affekt trained'}
    say(f'{inspected.path.name}: {form[inspected.form]}', style='bold')
    adapters = inspected.adapters
    rows = {'language model': inspected.trunk or f'of width {inspected.trunk_width:,}'}
    if adapters:
        maps = ', '.join(name.removesuffix('_proj') for name in adapters.maps)
        rows['adapters'] = f'rank {adapters.rank}, alpha {adapters.alpha}, {inspected.trunk_layers} layers, on {maps}'
    else:
        rows['adapters'] = 'none: the language model is frozen'
    rows |= {'inputs': inspected.kind} if inspected.kind else {}
    rows |= {'question': inspected.question} if inspected.question else {}
    rows |= {f'recipe of {source}': recipe for source, recipe in inspected.recipes.items()}
    for name in ('stage', 'step', 'validation'):
        if name in inspected.notes:
            rows[name] = _in_words(inspected.notes[name])
    table = plain_table(width=80, show_header=False)
    table.add_column(style='dim', no_wrap=True)
    table.add_column(overflow='fold', ratio=1)
    for heading, text in rows.items():
        table.add_row(heading, text)
    say(table, columns=80)
    say()
    table = plain_table('source', 'width', 'tokens', 'numbers', left=1)
    table.add_column('fusion', overflow='fold')
    for source in inspected.sources:
        own = f'shared with {source.shares}' if source.shares else f'{inspected.numbers.get(source.name, 0):,}'
        joins = f' of {" and ".join(source.joins)}' if source.joins else ''
        table.add_row(source.name, f'{source.width:,}', str(source.tokens), own, f'{_fusion(source.fusion)}{joins}')
    if adapters:
        table.add_row('adapters', '', '', f'{inspected.numbers.get("adapters", 0):,}', '')
    say(table, columns=80)
    say()
    say(f'{sum(inspected.numbers.values()):,} numbers in {counted(inspected.tensors, "tensor")}')


def _fusion(name: str) -> str:
    """A fusion in words; the published one has weights over time that no softmax bounds."""
    return {'published': 'attention without softmax', 'softmax': 'attention', 'qformer': 'Q-Former'}.get(name, name)


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ', '.join(f'{name} {part:.3g}' if isinstance(part, float) else f'{name} {part}'
                         for name, part in value.items())  # fmt: skip
    return str(value)
