"""Verbs of features: features list, extract, import, check."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from affekt.cli.choices import Named, recipe_families, recipes
from affekt.cli.group import AS_JSON, end_with, main, table_notes
from affekt.terminal import StageBars, columns_table, say, say_json
from affekt.wording import counted

PATH = click.Path(path_type=Path)


class Shard(click.ParamType[tuple[int, int]]):
    """A parameter for one of n shards, written i/n."""

    name = 'i/n'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(i, n)"""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r'(\d+)/(\d+)', str(value))
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f'{value!r} is not a shard such as 1/4', param, ctx)
        return int(match[1]), int(match[2])


@main.group()
def features() -> None:
    """Extract features of a corpus, import features made elsewhere, check them."""


@features.command('list')
@click.option('--runs', is_flag=True, help='Show only recipes that run here.')
@AS_JSON
def list_recipes(runs: bool, as_json: bool) -> None:
    """List all recipes: what each reads and needs, and whether it runs here."""
    from affekt.features import RECIPES, listed_recipes

    rows = [row for row in listed_recipes() if not runs or row.runs == 'yes']
    if as_json:
        content: dict[str, Any] = {name: vars(row) for row in rows for name in row.names}
        for name, recipe in RECIPES.items():
            if name in content:
                content[name] = content[name] | {'hash': recipe.hash, **recipe.facts}
        say_json(content)
        return
    for kind, title in _KINDS.items():
        for modality in dict.fromkeys(row.modality for row in rows if row.kind == kind):
            table = columns_table(('recipe', 'left'), ('columns', 'right'), ('runs', 'left'), ('needs', 'left'))
            table.columns[-1].overflow = 'fold'
            for row in rows:
                if (row.kind, row.modality) == (kind, modality):
                    name = (
                        row.names[0]
                        if len(row.names) == 1
                        else row.names[0].split('merbench-')[-1].removesuffix('-utt')
                    )
                    table.add_row(name, str(row.dimension or '?'), row.runs, row.needs)
            say()
            say(f'{modality or "cannot be used"}: {title}', style='bold')
            say(table)
    if not runs:
        say('', _RUNS)


_KINDS = {
    'own': 'recipes that bring all they need',
    'opensmile': 'measures of openSMILE',
    'transformers': 'published encoders, NAME-utt and NAME-frm corrected, merbench-NAME-utt and -frm as published',
    'clips': 'encoders of images and audio together: clip, frames, layers; give a checkpoint with --model',
    'exported': 'published encoders whose network you export, NAME-utt and NAME-frm',
    'plugin': 'recipes of other packages that are installed',
}
_RUNS = (
    'runs: yes; fetch, if weights can be fetched or are given with --model; give, if a file is given with --model; '
    'no, before something is installed.'
)


@features.command('extract')
@click.argument('path', metavar='MANIFEST', type=PATH)
@click.option(
    '--recipe',
    'name',
    required=True,
    type=Named(recipes, in_help=recipe_families),
    metavar='NAME',
    help='Recipe; `affekt features list` shows what each needs.',
)
@click.option('--out', required=True, type=PATH, help='Folder of stores; the recipe gets its own folder in it.')
@click.option(
    '--column',
    type=Named(('text', 'chinese', 'english')),
    default='text',
    help='Column that a text recipe reads (default text).',
)
@click.option(
    '--model',
    metavar='FOLDER|FILE|OWNER/NAME',
    help='Weights of the encoder, such as a folder or a checkpoint (default: the published ones).',
)
@click.option('--device', default='cpu', help='Device that the encoder runs on: cpu (default), cuda, cuda:1, …')
@click.option(
    '--precision', type=Named(('float32', 'float16', 'bfloat16')),
    help='Precision of the encoder (default float32; large language models on a GPU float16).',
)  # fmt: skip
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Encoding processes (default 1).')
@click.option(
    '--on', type=Named(('processes', 'ray')), default='processes',
    help='Engine: processes of this machine (default), or Ray (the cluster that RAY_ADDRESS names, else this machine).',
)  # fmt: skip
@click.option(
    '--gpus',
    type=click.FloatRange(0),
    default=0,
    help='GPUs per Ray worker, such as 0.5 (default 0).',
)
@click.option('--shard', type=Shard(), default=(1, 1), help='Shard to extract: the i-th of n (default 1/1).')
@click.option('--batch', type=click.IntRange(1), help='Samples per batch (default: set by the recipe).')
@click.option('--root', type=PATH, help='Folder that the media are in now, if they moved.')
@AS_JSON
def extract_command(
    path: Path,
    name: str,
    out: Path,
    column: str,
    model: str | None,
    device: str,
    precision: str | None,
    processes: int,
    on: str,
    gpus: float,
    shard: tuple[int, int],
    batch: int | None,
    root: Path | None,
    as_json: bool,
) -> None:
    """Run a recipe over the samples of MANIFEST.

    \b
    affekt features extract meld.parquet --recipe minilm-utt --out features
    affekt features extract m.parquet --recipe wavlm-base-utt --out features
    affekt features extract m.parquet --recipe manet --model manet.onnx --out out
    affekt features extract m.parquet --recipe hicmae-utt --model run --out out

    After an interruption, run the same command again: finished batches are kept. Samples without features are listed,
    with the reason.
    """
    from affekt.corpora import Manifest
    from affekt.features import extract, recipe_named

    recipe = recipe_named(name, column, model=model, device=device, precision=precision)
    redirection = contextlib.redirect_stdout(sys.stderr)  # Ray prints on standard output which workers died
    with StageBars(name_width=9) as bars, redirection:
        outcome = extract(
            Manifest.load(path, root), recipe, out, processes=processes, on=on, gpus=gpus, shard=shard, batch=batch,
            progress=bars,
        )  # fmt: skip
    reasons = Counter(reason for name, reason in outcome.missing if name not in outcome.unreadable)
    if as_json:
        content = {
            'out': str(outcome.path),
            'samples': outcome.samples,
            'missing': dict(outcome.missing),
            'partial': dict(outcome.partial),
            'resumed': outcome.resumed,
        }
        say_json(content)
    else:
        say(f'{outcome.path}: {counted(outcome.samples, "sample")}')
        for reason, count in reasons.most_common(5):
            say(f'{count:,} without features: {reason}', style='yellow')
        for reason, count in Counter(reason for _, reason in outcome.partial).most_common(5):
            say(f'{count:,} incomplete: {reason}', style='yellow')
    end_with(outcome.unreadable)


@features.command('import')
@click.argument('source', metavar='FOLDER|FILE', type=PATH)
@click.option('--out', required=True, type=PATH, help='Folder of stores.')
@click.option('--manifest', type=PATH, help='Manifest of the samples to import (default: all samples).')
@click.option('--modality', type=Named(('audio', 'text', 'video')), help='Modality of the features; stored with them.')
@click.option('--rate-hz', type=float, help='Rows per second, from which times follow.')
@AS_JSON
def import_command(
    source: Path, out: Path, manifest: Path | None, modality: str | None, rate_hz: float | None, as_json: bool
) -> None:
    """Import features made elsewhere into a store.

    Takes a folder of .npy files, one per sample, (D,) or (T, D), or a folder of frames per sample; a .csv, .tsv,
    .jsonl, .parquet or .xlsx with a column of names and columns of numbers; an .npz with one array per sample; a folder
    of such files, one per sample; or a dataset saved by save_to_disk of Hugging Face.
    """
    from affekt.corpora import Manifest
    from affekt.features import Store, import_features

    corpus = Manifest.load(manifest) if manifest else None
    with table_notes() as notes:
        imported = import_features(
            source, out, names=corpus.names if corpus else None, rate_hz=rate_hz,
            corpus=corpus.facts.corpus if corpus else '', modality=modality,
        )  # fmt: skip
    store = Store(imported.path)
    if as_json:
        answer = {
            'out': str(imported.path),
            'samples': len(store),
            'dimension': store.dimension,
            'modality': imported.modality,
        }
        say_json(answer | {'missing': dict(imported.missing), 'notes': [*imported.notes, *notes]})
        return
    say(f'{imported.path}: {counted(len(store), "sample")} of {counted(store.dimension, "column")}')
    for note in imported.notes:
        say(f'note: {note}', style='yellow')
    if imported.modality is None:
        say('note: the modality is unknown; name it with --modality, or later as text=STORE', style='yellow')
    _print_missing(dict(imported.missing))


@features.command()
@click.argument('path', metavar='STORE', type=PATH)
@click.option('--manifest', type=PATH, help='Manifest whose samples should be there.')
@click.option('--partial', is_flag=True, help='Check the shards present even if others are missing.')
@AS_JSON
def check(path: Path, manifest: Path | None, partial: bool, as_json: bool) -> None:
    """Check a STORE (a folder of one recipe): nan, zeros, shapes, missing samples.

    Exits with 1 if values are not finite, or the samples differ from those of the manifest.
    """
    from affekt.corpora import Manifest
    from affekt.features import Store, check_store

    store = Store(path, partial=partial)
    checked = check_store(store, Manifest.load(manifest) if manifest else None)
    if as_json:
        content = {
            'recipe': store.provenance.recipe, 'hash': store.provenance.hash, 'modality': store.modality,
            'samples': checked.samples, 'dimension': checked.dimension, 'rows': checked.rows,
            'longest': checked.longest,
            'not_finite': list(checked.not_finite), 'zero': list(checked.zero),
            'constant_columns': checked.constant_columns, 'missing': dict(checked.missing),
            'strangers': list(checked.strangers), 'hint': checked.hint, 'is_sound': checked.is_sound,
        }  # fmt: skip
        say_json(content)
    else:
        provenance = store.provenance
        say(
            f'{provenance.recipe} of {provenance.corpus or "unknown samples"}, recipe {provenance.hash[:12]}',
            style='bold',
        )
        table = columns_table(('', 'left'), ('', 'right'))
        for label, number in (
            ('samples', checked.samples), ('columns', checked.dimension), ('rows', checked.rows),
            ('rows of the longest sample', checked.longest), ('samples with nan or infinity', len(checked.not_finite)),
            ('samples of zeros', len(checked.zero)), ('constant columns', checked.constant_columns),
            ('samples without features', len(checked.missing)),
            ('samples outside the manifest', len(checked.strangers)),
        ):  # fmt: skip
            table.add_row(label, f'{number:,}')
        say(table)
        _print_missing(dict(checked.missing))
        if checked.hint:
            say(f'{checked.hint}; import them again with --manifest, which finds such names', style='yellow')
    if not checked.is_sound:
        click.get_current_context().exit(1)


def _print_missing(missing: dict[str, str], most: int = 5) -> None:
    for name, reason in list(missing.items())[:most]:
        say(f'missing: {name} ({reason})', style='yellow')
    if len(missing) > most:
        say(f'and {len(missing) - most:,} more (--json has all)', style='yellow')
