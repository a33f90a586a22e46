"""Verbs that score: bench unibench and bench ovmer on predictions, bench analyze on labelled clips."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from affekt.cli.choices import (
    WORD_TABLES,
    Named,
    licenses,
    recognisers,
    unibench_key,
    unibench_sets,
)
from affekt.cli.group import AS_JSON, Command, main, table_notes
from affekt.errors import ValueRangeError
from affekt.terminal import StageBars, say, say_json, show_error

TABLES = Named(WORD_TABLES, others='PATH')
TABLES_HELP = 'Word table: a name, a table file, or a folder with the official files.'
SETS = Named(unibench_sets, spelled=unibench_key)
PATH = click.Path(path_type=Path)


@main.group()
def bench() -> None:
    """Run a benchmark: affekt on your clips, or your predictions beside published figures."""


def draw_options(command: Command) -> Command:
    """The options that every benchmark shares."""
    options = [
        click.option(
            '--resamples',
            type=click.IntRange(0, 100_000),
            default=2000,
            help='Resamples of intervals and tests (default 2000).',
        ),
        click.option('--seed', type=click.IntRange(0), default=0, help='Random seed (default 0).'),
        click.option('--out', type=PATH, help='Folder for the outcome and its settings.'),
        AS_JSON,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@bench.command()
@click.option('--predictions', required=True, type=PATH, help='Folder of results-<set>/… or <set>/<checkpoint>.csv.')
@click.option('--labels', required=True, type=PATH, help='Folder of releases (meld-process/label.npz) or meld.csv …')
@click.option('--tables', default='2025', type=TABLES, help=f'{TABLES_HELP} Default 2025, as published.')
@click.option('--set', 'sets', multiple=True, type=SETS, help='Set to score; may be repeated (default all).')
@click.option('--model', metavar='NAME', help='Folder below each set, where there are several.')
@click.option(
    '--checkpoint', metavar='NAME', help='Checkpoint declared beforehand, by name or number (default the last).'
)
@click.option('--dev', type=SETS, help='Set that chooses the best single checkpoint; left out of its mean.')
@draw_options
def unibench(
    predictions: Path,
    labels: Path,
    tables: str,
    resamples: int,
    seed: int,
    out: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """MER-UniBench: nine sets of emotion and sentiment.

    \b
    affekt bench unibench --predictions output --labels MERBench/dataset
    """
    import numpy as np

    from affekt.benchmarks import run_unibench, unibench_facts
    from affekt.cli.bench_tables import unibench_tables

    rng = np.random.default_rng(seed)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        outcome = run_unibench(predictions, labels, rng=rng, table=tables, resamples=resamples, progress=bars, **chosen)
    answer = with_notes(unibench_facts(outcome), notes)
    settings = {'tables': tables, 'resamples': resamples, 'seed': seed, **chosen}
    _deliver(answer, unibench_tables(outcome), outcome.inputs, 'unibench', settings, out, as_json)


@bench.command()
@click.option(
    '--predictions', required=True, type=PATH, help='Folder of <model>/<mode>.csv or the released one; a file.'
)
@click.option('--truth', required=True, type=PATH, help='Table of the truth with name and openset.')
@click.option('--tables', multiple=True, type=TABLES, help=f'{TABLES_HELP} May be repeated; default all three.')
@draw_options
def ovmer(
    predictions: Path,
    truth: Path,
    tables: Sequence[str],
    resamples: int,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """OV-MER: systems that name emotions in free words, ranked.

    \b
    affekt bench ovmer --predictions output --truth check-openset.csv
    """
    import numpy as np

    from affekt.benchmarks import ovmer_facts, run_ovmer
    from affekt.cli.bench_tables import ovmer_tables

    rng = np.random.default_rng(seed)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        outcome = run_ovmer(predictions, truth, rng=rng, tables=tables, resamples=resamples, progress=bars)
    settings = {'tables': list(tables), 'resamples': resamples, 'seed': seed}
    _deliver(
        with_notes(ovmer_facts(outcome), notes), ovmer_tables(outcome), outcome.inputs, 'ovmer', settings, out, as_json
    )


@bench.command()
@click.option(
    '--manifest', required=True, type=PATH, help='Manifest (.parquet), or a table with file, emotion, speaker …'
)
@click.option('--media', type=PATH, help='Folder that paths are below (default: where the manifest says).')
@click.option(
    '--scale', 'scales', multiple=True, metavar='LOW..HIGH',
    help='Ends of the scale of ratings: 1..5 for both, arousal=1..9 for one. Repeatable.',
)  # fmt: skip
@click.option(
    '--label', 'names', multiple=True, metavar='LABEL=CATEGORY',
    help="Label's category, where its name does not say; LABEL= for none. Repeatable.",
)  # fmt: skip
@click.option('--split', default='', metavar='NAME', help='Split to take (default: all clips).')
@click.option('--limit', type=click.IntRange(min=1), metavar='N', help='Maximum number of clips, drawn at random.')
@click.option('--fps', type=float, help='Frames analyzed per second of video (default 12.5).')
@click.option(
    '--asr', type=Named(recognisers, others='PATH'),
    help='Speech recognition: tiny.en (default, English), base (99 languages), none, or a path.',
)  # fmt: skip
@click.option('--license', type=Named(licenses), help='Licence of the models: research (default), or commercial-ok.')
@click.option(
    '--vocal-head', type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the voice's model, as its recipe writes it (default: the packaged one).",
)  # fmt: skip
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Processes that analyze at once (default 1).')
@click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
@draw_options
def analyze(
    manifest: Path,
    media: Path | None,
    scales: Sequence[str],
    names: Sequence[str],
    split: str,
    limit: int | None,
    vocal_head: Path | None,
    processes: int,
    resume: bool,
    resamples: int,
    seed: int,
    out: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """affekt itself on labelled clips: what to run before trusting it on your data.

    \b
    affekt bench analyze --manifest clips.csv --scale 1..5 --out run

    Analyzes every clip as `affekt analyze` does, and scores category, valence, arousal, abstention and certainty, for
    each source and all together, beside constant answers, with intervals by speaker.
    """
    import numpy as np
    from rich.text import Text

    from affekt.cli.bench_tables import sheet_tables
    from affekt.cli.recordings import fetch_models, run_folder, settings_of
    from affekt.own_data import (
        analysis_sheet,
        bench_analysis,
        benchmark_facts,
        conclusions,
        labelled_clips,
        parsed_scales,
        save_analysis_benchmark,
    )

    with table_notes() as notes:
        labelled = labelled_clips(
            manifest, media=media, scales=parsed_scales(scales), names=_pairs(names), split=split
        ).drawn(limit, np.random.default_rng(seed))
    fetch_models(chosen)
    folder = out or run_folder(f'bench-{manifest.stem}', resume)
    with StageBars(name_width=10) as bars:
        outcome = bench_analysis(
            labelled, folder, settings_of(chosen), vocal_head=vocal_head, processes=processes, resume=resume,
            resamples=resamples, seed=seed, progress=bars,
        )  # fmt: skip
    save_analysis_benchmark(outcome, folder)
    for name, error in outcome.clips.failed.items():
        say(name, style='bold', err=True)
        show_error(error)
    if as_json:
        say_json({**with_notes(benchmark_facts(outcome), notes), 'run': str(folder)})
    else:
        say(sheet_tables(analysis_sheet(outcome)), columns=80)
        for sentence in conclusions(outcome):
            say(Text(), Text(sentence), columns=80)
        say()
        say(f'page {folder / "results.html"}')
    sys.exit(0 if outcome.is_whole else 2)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """LABEL=CATEGORY as a mapping.

    Raises:
        ValueRangeError: there is no '='.
    """
    for text in texts:
        if '=' not in text:
            raise ValueRangeError(
                expected='a label and its category, such as Freude=happiness', came=repr(text), todo='put = between'
            )
    return {label: category for label, _, category in (text.rpartition('=') for text in texts)}


def with_notes(answer: Mapping[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """The facts with the notes of table reading that they do not have yet."""
    return {**answer, 'notes': list(dict.fromkeys([*answer['notes'], *notes]))}


def _deliver(
    answer: Mapping[str, Any],
    shown: Any,
    inputs: Sequence[Path],
    name: str,
    settings: Mapping[str, Any],
    out: Path | None,
    as_json: bool,
) -> None:
    """Save the outcome where asked, and print it."""
    if out is not None:
        from affekt.benchmarks import save_outcome

        save_outcome(out, name, answer, settings, inputs)
    if as_json:
        say_json(answer)
    else:
        say(shown)
