"""Verbs that score: bench unibench and bench ovmer on predictions, bench analyze on labelled clips.

`comparing.py`, `bench_frames.py` and `bench_training.py` add the other benchmarks, with the options that are here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import (
    SEED,
    WORD_TABLES,
    Named,
    licenses,
    recognisers,
    refuse_unused,
    unibench_key,
    unibench_sets,
)
from affekt.cli.group import AS_JSON, Command, end_with, main, table_notes
from affekt.errors import ValueRangeError
from affekt.terminal import StageBars, say, say_json, show_error

if TYPE_CHECKING:
    from affekt.describers import ModelChoice
    from affekt.llm import LabelExtractor

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
        click.option('--seed', type=SEED, default=0, help='Random seed (default 0).'),
        click.option('--out', type=PATH, help='Folder for results and settings.'),
        AS_JSON,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def model_query_options(command: Command) -> Command:
    """Options on how models are asked and how labels are read from their answers."""
    options = [
        click.option('--served', multiple=True, metavar='NAME=MODEL', help='Server-side name of model NAME.'),
        click.option(
            '--server', 'servers', multiple=True, metavar='[NAME=]SERVER',
            help='Server of the models: openai (default), vllm, transformers, llama.cpp. Repeatable.',
        ),
        click.option('--trunk', metavar='PATH', help='Language model of describers, if their folder does not name it.'),
        click.option('--device', default='cpu', help='Device of describers: cpu (default), cuda, …'),
        click.option(
            '--frames', type=click.IntRange(0, 64), default=8, help='Maximum number of frames per clip (default 8).'
        ),
        click.option('--no-sound', is_flag=True, help='Do not send audio to servers.'),
        click.option(
            '--tokens', type=click.IntRange(1), default=400, help="Maximum tokens of a server's answer (default 400)."
        ),
        click.option('--no-probe', is_flag=True, help="Do not first check that media reach a server's model."),
        click.option('--reader', metavar='URL', help='Server of a model that reads labels (default: word table).'),
        click.option('--reader-model', metavar='NAME', help='Name of that model.'),
        click.option('--at-once', type=click.IntRange(1, 256), default=4, help='Concurrent requests (default 4).'),
        click.option('--timeout', 'timeout_s', type=float, default=120.0, help='Seconds per answer (default 120).'),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


OF_SERVERS = ('served', 'servers', 'tokens')
OF_CLIPS_SENT = ('frames', 'no_sound', 'no_probe')
"""Options on the media sent to a model on a server, whether it describes or judges."""
OF_DESCRIBERS = ('trunk', 'device')
OF_READERS = ('reader', 'reader_model', 'at_once', 'timeout_s')


def refuse_unused_model_options(
    choices: Sequence[ModelChoice], *, asks_a_server: bool, shows_a_judge: bool = False
) -> None:
    """Checks that a named model uses each given option on how models are asked.

    Args:
        choices: the models.
        asks_a_server: whether a judge or a reader of labels is on one.
        shows_a_judge: whether clips are shown to a judge.
    """
    forms = {choice.form for choice in choices}
    if 'served' not in forms:
        refuse_unused('a model on a server', *OF_SERVERS)
        if not shows_a_judge:
            refuse_unused('a model on a server that is shown clips', *OF_CLIPS_SENT)
        if not asks_a_server:
            refuse_unused('a model on a server', 'at_once', 'timeout_s')
    if 'describer' not in forms:
        refuse_unused("a describer's folder", *OF_DESCRIBERS)


@bench.command()
@click.option('--predictions', type=PATH, help='Folder of results-<set>/… or <set>/<checkpoint>.csv.')
@click.option(
    '--model', 'models', multiple=True, metavar='NAME=WHERE',
    help="Model to ask: a describer's folder or small, a server's address, or predictions. Repeatable. With "
    '--predictions: the subfolder of each set, if there are several.',
)  # fmt: skip
@click.option('--labels', required=True, type=PATH, help='Folder of releases (meld-process/label.npz) or meld.csv …')
@click.option('--media', type=PATH, help='Folder of clips: releases, <set>.parquet or <set>.csv (name, text, file).')
@click.option('--tables', default='2025', type=TABLES, help=f'{TABLES_HELP} Default 2025, as published.')
@click.option('--set', 'sets', multiple=True, type=SETS, help='Set to score; may be repeated (default all).')
@click.option(
    '--checkpoint', metavar='NAME', help='Checkpoint declared beforehand, by name or number (default the last).'
)
@click.option('--dev', type=SETS, help='Set that chooses the best single checkpoint; left out of its mean.')
@click.option('--limit', type=click.IntRange(1), metavar='N', help='Maximum number of clips per set, for a trial.')
@click.option('--check-sound', is_flag=True, help='Ask again without audio, and report what changes.')
@model_query_options
@draw_options
def unibench(
    predictions: Path | None,
    models: Sequence[str],
    labels: Path,
    media: Path | None,
    tables: str,
    sets: Sequence[str],
    checkpoint: str | None,
    dev: str | None,
    limit: int | None,
    check_sound: bool,
    resamples: int,
    seed: int,
    out: Path | None,
    as_json: bool,
    **model_options: Any,
) -> None:
    """MER-UniBench: nine sets of emotion and sentiment.

    \b
    affekt bench unibench --predictions output --labels MERBench/dataset
    affekt bench unibench --model mine=run --labels L --media M --out bench
    affekt bench unibench --model qwen=http://localhost:8000/v1 --server vllm \\
        --model mine=run --labels L --media M --out bench

    With --model every clip is sent once and each answer stored in OUT; the same command continues after an
    interruption. OUT also gets record.json with everything the scores depend on and, for several models,
    comparisons.csv for affekt rank. A key for servers is read from AFFEKT_LLM_KEY.
    """
    import numpy as np

    from affekt.benchmarks import run_unibench, unibench_facts
    from affekt.cli.bench_tables import unibench_tables

    if predictions is None:
        if not models:
            raise click.UsageError('Give --model, or --predictions.')
        refuse_unused('--predictions', 'checkpoint', 'dev')
        _unibench_of_models(
            models, labels, media, out, as_json, tables=tables, sets=sets, limit=limit, check_sound=check_sound,
            resamples=resamples, seed=seed, **model_options,
        )  # fmt: skip
        return
    refuse_unused(
        '--model without --predictions', 'media', 'limit', 'check_sound',
        *OF_SERVERS, *OF_CLIPS_SENT, *OF_DESCRIBERS, *OF_READERS,
    )  # fmt: skip
    if len(models) > 1:
        raise click.UsageError('With --predictions, --model names one folder below each set.')
    selection: dict[str, Any] = {
        'sets': tuple(sets),
        'model': models[0] if models else None,
        'checkpoint': checkpoint,
        'dev': dev,
    }
    rng = np.random.default_rng(seed)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        outcome = run_unibench(
            predictions, labels, rng=rng, table=tables, resamples=resamples, progress=bars, **selection
        )
    answer = with_notes(unibench_facts(outcome), notes)
    settings = {'tables': tables, 'resamples': resamples, 'seed': seed, **selection}
    _deliver(answer, unibench_tables(outcome), outcome.inputs, 'unibench', settings, out, as_json)


def _unibench_of_models(
    models: Sequence[str], labels: Path, media: Path | None, out: Path | None, as_json: bool, *, tables: str,
    sets: Sequence[str], limit: int | None, check_sound: bool, resamples: int, seed: int, **model_options: Any,
) -> None:  # fmt: skip
    """Asks the models, and scores and compares their answers."""
    import numpy as np

    from affekt.cli.bench_tables import sheet_tables
    from affekt.describers import bench_facts, bench_models, bench_sheet, limited_labels, model_choices

    choices = model_choices(models, served=model_options.pop('served'), servers=model_options.pop('servers'))
    refuse_unused_model_options(choices, asks_a_server=bool(model_options['reader']))
    folder = out or Path('unibench-run')
    settings = {'models': list(models), 'tables': tables, 'sets': list(sets), 'limit': limit, 'resamples': resamples,
                'seed': seed,
                **{name: value for name, value in model_options.items() if name != 'timeout_s'}}  # fmt: skip
    with table_notes() as notes, StageBars(name_width=14) as bars, label_reader(folder, **model_options) as extractor:
        labels = limited_labels(labels, folder / 'labels', limit, sets) if limit else labels
        bench, absent = bench_models(
            choices, folder, labels=labels, media=media, open_model=opening(model_options), extractor=extractor,
            rng=np.random.default_rng(seed), table=tables, sets=sets, at_once=model_options['at_once'],
            check_sound=check_sound, resamples=resamples, progress=bars,
        )  # fmt: skip
    inputs = [path for model in bench.models for path in model.outcome.inputs]
    answer = {**with_notes(bench_facts(bench), notes), 'absent': absent, 'run': str(folder)}
    _deliver(answer, sheet_tables(bench_sheet(bench, absent)), inputs, 'unibench', settings, folder, as_json)
    if not as_json and bench.comparisons is not None:
        say('', f'affekt rank {bench.comparisons} --control length')
    end_with({f'{model.name}, {sample}': reason for model in bench.models for sample, reason in model.failures.items()})


def opening(model_options: Mapping[str, Any]) -> Any:
    """A function that opens a model with these options."""
    from functools import partial

    from affekt.describers import opened
    from affekt.llm import ClipLimits

    limits = ClipLimits(frames=model_options['frames'], sound=not model_options['no_sound'])
    return partial(
        opened, limits=limits, trunk=model_options['trunk'], device=model_options['device'],
        at_once=model_options['at_once'], timeout_s=model_options['timeout_s'], tokens=model_options['tokens'],
        is_probed=not model_options['no_probe'],
    )  # fmt: skip


@contextlib.contextmanager
def label_reader(
    folder: Path, reader: str | None, reader_model: str | None, timeout_s: float, **_: Any
) -> Iterator[LabelExtractor]:
    """The reader of labels from answers: affekt's word table, or a model with stored answers."""
    from affekt.labels import load_table
    from affekt.llm import Endpoint, LanguageModelExtractor, LexiconExtractor, RememberingChat, ReplayCache

    if not reader and not reader_model:
        yield LexiconExtractor(load_table('affekt'))
        return
    if not (reader and reader_model):
        raise click.UsageError('--reader and --reader-model belong together.')
    key = os.environ.get('AFFEKT_LLM_KEY') or None
    with (
        ReplayCache(folder / 'labels_read') as answers,
        Endpoint(reader, reader_model, api_key=key, timeout_s=timeout_s) as chat,
    ):
        yield LanguageModelExtractor(RememberingChat(chat, answers))


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
    """OV-MER: rank systems that name emotions in free words.

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
@click.option('--media', type=PATH, help='Folder that paths are relative to (default: that of the manifest).')
@click.option(
    '--scale', 'scales', multiple=True, metavar='LOW..HIGH',
    help='Range of the rating scale: 1..5 for both, arousal=1..9 for one. Repeatable.',
)  # fmt: skip
@click.option(
    '--label', 'names', multiple=True, metavar='LABEL=CATEGORY',
    help="Category of a label whose name is unknown; LABEL= for none. Repeatable.",
)  # fmt: skip
@click.option('--split', default='', metavar='NAME', help='Split to use (default: all clips).')
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
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Number of analyzing processes (default 1).')
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
    **analysis_options: Any,
) -> None:
    """Score affekt on labelled clips: run this before trusting it on your data.

    \b
    affekt bench analyze --manifest clips.csv --scale 1..5 --out run

    Analyzes every clip as `affekt analyze` does, and scores category, valence, arousal, abstention and certainty, for
    each source and fused, beside constant answers, with intervals by speaker.
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
    fetch_models(analysis_options)
    folder = out or run_folder(f'bench-{manifest.stem}', resume)
    with StageBars(name_width=10) as bars:
        outcome = bench_analysis(
            labelled, folder, settings_of(analysis_options), vocal_head=vocal_head, processes=processes, resume=resume,
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
    end_with([*outcome.clips.failed, *outcome.clips.missing])


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
    """The results with further notes of table reading, each once."""
    return {**answer, 'notes': list(dict.fromkeys([*answer['notes'], *notes]))}


def _deliver(
    answer: Mapping[str, Any],
    tables: Any,
    inputs: Sequence[Path],
    name: str,
    settings: Mapping[str, Any],
    out: Path | None,
    as_json: bool,
) -> None:
    """Saves the results if `out` is given, and prints them as JSON or tables."""
    if out is not None:
        from affekt.benchmarks import save_outcome

        save_outcome(out, name, answer, settings, inputs)
    if as_json:
        say_json(answer)
    else:
        say(tables)
