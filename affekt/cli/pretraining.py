"""Verbs of pre-trained encoders: checkpoint inspect, checkpoint convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from affekt.cli.choices import Named
from affekt.cli.group import AS_JSON, main
from affekt.terminal import plain_table, say, say_json
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.checkpoints import Inspection

PATH = click.Path(path_type=Path)
MOST_ARGUMENTS = 12
"""Settings that are shown without --all."""


@main.group()
def checkpoint() -> None:
    """Look into checkpoints that others published, and convert them."""


@checkpoint.command('inspect')
@click.argument('file', type=PATH)
@click.option('--all', 'show_all', is_flag=True, help='Every tensor and every setting, not groups.')
@AS_JSON
def inspect_command(file: Path, show_all: bool, as_json: bool) -> None:
    """Say what is in FILE, and where each tensor goes.

    FILE is a .pth, .pt, .bin or .ckpt that torch wrote, or a .safetensors. Nothing in it is run. Known are HiCMAE,
    SVFAP, AffectGPT, the fusion models of MERBench and the parts of MagicPortrait; of any other file the tensors are
    listed. Damaged files, and weights that are no numbers, are refused.
    """
    from affekt.checkpoints import inspected

    inspection = inspected(file)
    if as_json:
        say_json(inspection.to_dict())
        return
    _say_what(inspection, show_all)
    say()
    (_say_tensors if show_all else _say_groups)(inspection)
    _say_faults(inspection)


@checkpoint.command('convert')
@click.argument('file', type=PATH)
@click.option('--out', required=True, type=PATH, help='File to write (.safetensors); never replaced.')
@click.option('--licence', default='', metavar='NAME', help='Licence of the weights, as their publisher states it.')
@click.option('--dtype', type=Named(('float32', 'float16', 'bfloat16')), help='Numbers to write (default as in FILE).')
@click.option('--allow-missing', is_flag=True, help='Write a state that is not whole, too.')
@AS_JSON
def convert_command(file: Path, out: Path, licence: str, dtype: str | None, allow_missing: bool, as_json: bool) -> None:
    """Write the model in FILE as safetensors, with a card.

    The card lies beside it as .md: source, its sha256, family, size, epoch, settings, licence. What was written is read
    back and compared before it appears.
    """
    from affekt.checkpoints import convert

    written = convert(file, out, licence=licence, dtype=dtype or '', allow_missing=allow_missing)
    if as_json:
        say_json({
            'out': str(written.path), 'card': str(written.card), 'tensors': written.tensors, 'bytes': written.size,
            'notes': dict(written.notes),
        })  # fmt: skip
        return
    say(f'{written.path}: {counted(written.tensors, "tensor")}, {written.size:,} bytes, read back and equal')
    say(f'{written.card}: its card')
    if not licence:
        say('the licence is not stated; give it with --licence as the publisher states it', err=True, style='yellow')


def _say_what(inspection: Inspection, show_all: bool) -> None:
    """What the file is: a line each."""
    source, known = inspection.checkpoint, inspection.recognition
    say(f'{source.path.name}: {known or "of no known family"}', style='bold')
    place = [source.form] + [f'model under {source.key!r}'] * bool(source.key)
    place += [f'prefix {source.prefix!r} taken off'] * bool(source.prefix)
    rows = {'written as': ', '.join(place)}
    rows |= {name: str(value) for name, value in (known.sizes if known else {}).items()}
    if 'epoch' in source.notes:
        rows['epoch'] = str(source.notes['epoch'])
    dtypes = ', '.join(sorted({row.dtype for row in inspection.rows}))
    rows['parameters'] = f'{source.numbers:,} in {counted(len(inspection.rows), "tensor")}, {dtypes}'
    for name, (count, size) in source.others.items():
        rows[f'beside: {name}'] = f'{counted(count, "tensor")}, {size:,} bytes'
    settings = list(inspection.arguments.items())
    for name, value in settings if show_all else settings[:MOST_ARGUMENTS]:
        rows[f'setting {name}'] = str(value)
    if len(settings) > MOST_ARGUMENTS and not show_all:
        rows['settings'] = f'{len(settings) - MOST_ARGUMENTS} more, shown with --all'
    table = plain_table(width=80, show_header=False)
    table.add_column(overflow='fold', max_width=32)
    table.add_column(overflow='fold', ratio=1)
    for name, value in rows.items():
        table.add_row(name, value)
    say(table, columns=80)


def _say_groups(inspection: Inspection) -> None:
    """The coverage table, a row a group."""
    groups, known = inspection.groups(), inspection.recognition
    has_tuned = bool(known and known.kept)
    table = plain_table(width=80)
    table.add_column('in the file', overflow='fold', max_width=32)
    table.add_column('tensors', justify='right', no_wrap=True)
    table.add_column('numbers', justify='right', no_wrap=True)
    table.add_column('goes to' if known and known.model else 'what it is', overflow='fold', ratio=1)
    if has_tuned:
        table.add_column('when fine-tuned', overflow='fold', max_width=16)
    for group in groups:
        place = group.ours if known and known.model else ', '.join(filter(None, (group.meaning, group.ours)))
        cells = [group.name, str(len(group.rows)), f'{group.numbers:,}', place]
        table.add_row(*cells, *[group.tuned] * has_tuned)
    say(table, columns=80)


def _say_tensors(inspection: Inspection) -> None:
    """The coverage table, a row a tensor."""
    table = plain_table(width=80)
    for heading in ('in the file', 'goes to'):
        table.add_column(heading, overflow='fold', ratio=1)
    table.add_column('shape', overflow='fold', max_width=18)
    for row in inspection.rows:
        place = row.ours if row.fate == 'loads' and row.ours else row.fate if inspection.recognition else ''
        table.add_row(row.name, 'same' if place == row.name else place, '×'.join(map(str, row.shape)) or '1')
    say(table, columns=80)


def _say_faults(inspection: Inspection) -> None:
    """What the table comes to."""
    known = inspection.recognition
    if known is None:
        return
    say()
    if inspection.faults:
        lines = [f'not whole: {"; ".join(inspection.faults)}']
    else:
        where = f', and fills {known.model}' if known.model else ''
        lines = [f'a whole state: all {counted(len(inspection.rows), "tensor")} have their place{where}']
    if known.kept:
        kept = sum(row.tuned is not None for row in inspection.rows)
        lines.append(f'fine-tuning keeps {kept:,} of {len(inspection.rows):,}; new there: {", ".join(known.new)}')
    for line in lines:
        say(Text(line, style='yellow' if line.startswith('not') else ''), columns=80)
