"""Verbs that run benchmarks: unibench, ovmer on predictions; merbench, finetune, dfer train; analyze on own clips."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from affekt.cli.choices import (
    WORD_TABLES,
    Named,
    fusion_models,
    licenses,
    recognisers,
    unibench_key,
    unibench_sets,
)
from affekt.cli.group import AS_JSON, Command, main
from affekt.cli.table_notes import table_notes
from affekt.errors import ValueRangeError
from affekt.terminal import StageBars, say, say_json, show_error

TABLES = Named(WORD_TABLES, others='PATH')
TABLES_HELP = 'Word table: a name, a table file, or a folder with the official files.'
SETS = Named(unibench_sets, spelled=unibench_key)
TARGET = click.option(
    '--target', type=Named(('category', 'sentiment', 'category+valence')), metavar='NAME',
    help='Target: category, sentiment or category+valence (default what the manifest has).',
)  # fmt: skip
PATH = click.Path(path_type=Path)
FORM_NAMES = ('hicmae-tiny', 'hicmae-small', 'hicmae-base', 'svfap-small', 'svfap-base')
"""Those of `affekt.pretraining.FORMS`, which needs torch."""


@main.group()
def bench() -> None:
    """Run a benchmark: affekt on your clips, or your predictions beside published figures."""


def _draw_options(command: Command) -> Command:
    """The options that every benchmark shares."""
    options = [
        click.option(
            '--resamples',
            type=click.IntRange(0, 100_000),
            default=2000,
            help='Resamples of intervals and tests (default 2000).',
        ),
        click.option('--seed', type=int, default=0, help='Random seed (default 0).'),
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
@_draw_options
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
    answer = _with_notes(unibench_facts(outcome), notes)
    settings = {'tables': tables, 'resamples': resamples, 'seed': seed, **chosen}
    _deliver(answer, unibench_tables(outcome), outcome.inputs, 'unibench', settings, out, as_json)


@bench.command()
@click.option(
    '--predictions', required=True, type=PATH, help='Folder of <model>/<mode>.csv or the released one; a file.'
)
@click.option('--truth', required=True, type=PATH, help='Table of the truth with name and openset.')
@click.option('--tables', multiple=True, type=TABLES, help=f'{TABLES_HELP} May be repeated; default all three.')
@_draw_options
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
        _with_notes(ovmer_facts(outcome), notes), ovmer_tables(outcome), outcome.inputs, 'ovmer', settings, out, as_json
    )


@bench.command()
@click.option('--corpus', required=True, metavar='MANIFEST|NAME', help='Manifest, or a corpus by name with --release.')
@click.option('--release', type=PATH, help='Folder of the release, where the corpus is given by name.')
@click.option(
    '--features',
    required=True,
    metavar='STORE[,STORE]',
    help='Stores, with commas between; text=STORE where its recipe does not tell the modality.',
)
@click.option(
    '--model', default='attention', type=Named(fusion_models), metavar='NAME', help='Fusion model (default attention).'
)
@click.option(
    '--protocol',
    type=Named(('fair', 'reference', 'both')),
    default='fair',
    help='Protocol: fair chooses on validation alone (default); reference as published; both shows the difference.',
)
@click.option(
    '--seeds', type=click.IntRange(1, 100), default=3, help='Number of seeds for the chosen settings (default 3).'
)
@click.option('--trials', type=click.IntRange(1, 10_000), default=8, help='Settings drawn and tried (default 8).')
@click.option('--epochs', type=click.IntRange(1, 10_000), default=100, help='Maximum number of epochs (default 100).')
@click.option(
    '--patience',
    type=click.IntRange(1, 10_000),
    default=10,
    help='Epochs without improvement before training stops, fair protocol (default 10).',
)
@TARGET
@click.option(
    '--feat-type',
    type=Named(('utt', 'frm_align', 'frm_unalign')),
    default=None,
    help='Features that the model reads: means, or sequences (default what it can).',
)
@click.option('--pairs', is_flag=True, help='Train every pair of modalities too.')
@click.option(
    '--missing', 'missing_ways', multiple=True, is_flag=False, flag_value='ask', type=Named(('ask', 'mask')),
    help='Missing modalities. mask: samples without features of a modality go without it; ask (or nothing): models of '
    'all modalities are also tested with some missing. Repeatable.',
)  # fmt: skip
@click.option(
    '--cross',
    multiple=True,
    metavar='MANIFEST=STORE[,STORE]',
    help='Another corpus to test on; may be repeated.',
)
@click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
@_draw_options
def merbench(
    corpus: str,
    release: Path | None,
    features: str,
    feat_type: str | None,
    target: str | None,
    cross: Sequence[str],
    missing_ways: Sequence[str],
    resume: bool,
    out: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """MERBench: a fusion model on your features of a corpus, beside simple baselines.

    \b
    affekt bench merbench --corpus meld.parquet \\
        --features features/minilm-utt --protocol both --out run

    Trains on each modality alone and on all together. Several stores of one modality are compared, each alone and in
    every combination of one per modality. Needs torch.
    """
    from affekt.benchmarks import MerbenchSettings, merbench_facts, merbench_sheet, run_merbench, save_merbench
    from affekt.cli.bench_tables import sheet_tables
    from affekt.corpora import Manifest, import_corpus
    from affekt.experiments import open_part, open_stores

    chosen |= {'missing': 'ask' in missing_ways, 'mask': 'mask' in missing_ways}
    settings = MerbenchSettings(feat_type=feat_type or '', target=target or '', **chosen)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        manifest = Manifest.load(Path(corpus)) if release is None else import_corpus(corpus, release)
        stores = open_stores(features.split(','), several=True)
        others = [open_part(each) for each in cross]
        outcome = run_merbench(manifest, stores, settings, others, folder=out, resume=resume, progress=bars)
    answer = _with_notes(merbench_facts(outcome), notes)
    if out is not None:
        save_merbench(out, outcome, answer)
    if as_json:
        say_json(answer)
    else:
        say(sheet_tables(merbench_sheet(outcome)), columns=1000, least=80)


@bench.command()
@click.option('--corpus', required=True, metavar='MANIFEST|NAME', help='Manifest, or a corpus by name with --release.')
@click.option('--release', type=PATH, help='Folder of the release, where the corpus is given by name.')
@click.option(
    '--encoder',
    required=True,
    type=PATH,
    help='Folder of an encoder of transformers, or a checkpoint of HiCMAE or SVFAP.',
)
@click.option(
    '--layers', type=Named(('last', 'last_four')), default='last', help='Layers that are read (default last).'
)
@click.option(
    '--rates', default='1e-3,1e-4,1e-5,1e-6', metavar='RATE[,RATE]', help='Learning rates of the head, to choose from.'
)
@click.option(
    '--backbone-share', type=float, default=0.1, help="Learning rate of the encoder over the head's (default 0.1)."
)
@click.option(
    '--seeds', type=click.IntRange(1, 100), default=3, help='Number of seeds for the chosen settings (default 3).'
)
@click.option('--trials', type=click.IntRange(1, 10_000), default=4, help='Settings drawn and tried (default 4).')
@click.option('--epochs', type=click.IntRange(1, 10_000), default=10, help='Maximum number of epochs (default 10).')
@click.option(
    '--patience',
    type=click.IntRange(1, 10_000),
    default=3,
    help='Epochs without improvement before training stops (default 3).',
)
@click.option(
    '--batch', 'batch_size', type=click.IntRange(1, 10_000), default=32, help='Samples per step (default 32).'
)
@click.option(
    '--column',
    type=Named(('text', 'chinese', 'english')),
    default='text',
    help='Column that a text encoder reads (default text).',
)
@TARGET
@click.option(
    '--precision',
    type=Named(('float32', 'bfloat16')),
    default='float32',
    help='Precision of matrix products (default float32).',
)
@click.option('--device', default='cpu', metavar='NAME', help='Device to train on: cpu (default), cuda, cuda:1, …')
@click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
@_draw_options
def finetune(
    corpus: str,
    release: Path | None,
    encoder: Path,
    rates: str,
    target: str | None,
    resume: bool,
    out: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """MERBench's fine-tuning: an encoder trained end to end, beside its frozen vectors.

    \b
    affekt bench finetune --corpus meld.parquet --encoder bert-base-chinese \\
        --column chinese --out run

    The encoder decides what is read: text, sound, or pictures of the face. Needs torch and transformers.
    """
    from affekt.benchmarks import (
        FinetuningSettings,
        finetuning_facts,
        finetuning_sheet,
        rates_of,
        run_finetuning,
        save_finetuning,
    )
    from affekt.cli.bench_tables import sheet_tables
    from affekt.corpora import Manifest, import_corpus

    settings = FinetuningSettings(learning_rates=rates_of(rates), target=target or '', **chosen)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        manifest = Manifest.load(Path(corpus)) if release is None else import_corpus(corpus, release)
        outcome = run_finetuning(manifest, encoder, settings, folder=out, resume=resume, progress=bars)
    answer = _with_notes(finetuning_facts(outcome), notes)
    if out is not None:
        save_finetuning(out, outcome, answer)
    if as_json:
        say_json(answer)
    else:
        say(sheet_tables(finetuning_sheet(outcome)), columns=1000, least=80)


@bench.command()
@click.option('--corpus', required=True, metavar='MANIFEST|NAME', help='Manifest, or a corpus by name with --release.')
@click.option('--release', type=PATH, help='Folder of the release, where the corpus is given by name.')
@click.option(
    '--from', 'checkpoints', multiple=True, type=PATH, metavar='RUN|FILE',
    help='Pre-trained encoder to tune: the folder of a run, or a checkpoint. Repeatable.',
)  # fmt: skip
@click.option(
    '--scratch', is_flag=False, flag_value='same', type=Named(('same', *FORM_NAMES)), metavar='NAME',
    help='Form that is tuned from random weights beside: that of --from (default of the option), or hicmae-tiny …',
)  # fmt: skip
@click.option(
    '--protocol', type=Named(('fair', 'reference', 'both')), default='fair',
    help='Protocol: fair chooses on people of the training part (default); reference as published; both.',
)  # fmt: skip
@click.option(
    '--kind', 'method', type=Named(('full', 'lora', 'linear')), default='full',
    help='Weights to tune: all of them (full, default), low-rank adapters, or the head alone.',
)  # fmt: skip
@click.option(
    '--modalities', type=Named(('audio', 'video'), several=True), help='Modalities to read (default all there are).'
)
@click.option(
    '--features', metavar='RECIPE|STORE[,…]',
    help='Features of the linear baseline: recipes or stores, or none (default acoustics-utt where sound is read).',
)  # fmt: skip
@click.option('--target', type=Named(('category', 'dimensions')), help='Target (default what the manifest has).')
@click.option('--epochs', type=click.IntRange(1, 10_000), default=50, help='Maximum number of epochs (default 50).')
@click.option(
    '--patience', type=click.IntRange(1, 10_000), default=15,
    help='Epochs without improvement before tuning stops, fair protocol (default 15).',
)  # fmt: skip
@click.option('--batch-size', type=click.IntRange(1, 10_000), default=16, help='Clips per step (default 16).')
@click.option(
    '--learning-rate', type=click.FloatRange(0, min_open=True),
    help='Learning rate at 256 clips a step (default 1e-3, adapters 1e-2).',
)  # fmt: skip
@click.option(
    '--stride', type=click.IntRange(1, 100), default=4,
    help='Frames from one that is read to the next (default 4; Werewolf-XL 3, FERV39k 1).',
)  # fmt: skip
@click.option('--seeds', type=click.IntRange(1, 100), default=1, help='Runs of each model on each fold (default 1).')
@click.option(
    '--validation-share', type=float, default=0.2, help='Share of the people of train that choose, fair (default 0.2).'
)
@click.option(
    '--crop', type=Named(('faces', 'published', 'none')), default='faces',
    help='Part of the pictures of videos: the face (default), as published for VoxCeleb2, or all.',
)  # fmt: skip
@click.option('--inputs', type=PATH, help='Folder of decoded clips and features, made once (default beside --out).')
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Processes that decode (default 1).')
@click.option(
    '--workers', 'readers', type=click.IntRange(0, 64), default=0, help='Threads that prepare batches (default 0).'
)
@click.option(
    '--precision', type=Named(('float32', 'bfloat16', 'float16')), default='float32',
    help='Precision of matrix products (default float32).',
)  # fmt: skip
@click.option('--device', default='cpu', metavar='NAME', help='Device to train on: cpu (default), cuda, cuda:1, …')
@click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
@_draw_options
def dfer(
    corpus: str,
    release: Path | None,
    checkpoints: Sequence[Path],
    scratch: str | None,
    modalities: str | None,
    features: str | None,
    crop: Any,
    inputs: Path | None,
    processes: int,
    protocol: str,
    seeds: int,
    validation_share: float,
    target: str | None,
    resamples: int,
    seed: int,
    resume: bool,
    out: Path | None,
    as_json: bool,
    **tuning: Any,
) -> None:
    """Faces and voices in clips: pre-trained encoders tuned on every published fold.

    \b
    affekt bench dfer --corpus ravdess --release RAVDESS --from run --scratch \\
        --protocol both --out folds

    Beside a constant answer, a linear layer on features, and the published rows of the corpus. Without --from and
    --scratch the baselines alone. Needs torch.
    """
    from tempfile import TemporaryDirectory

    from affekt.benchmarks import (
        DferSettings,
        baseline_stores,
        clip_sources,
        dfer_candidates,
        dfer_facts,
        dfer_sheet,
        modalities_of,
        packed_clips,
        run_dfer,
        save_dfer,
    )
    from affekt.cli.bench_tables import sheet_tables
    from affekt.clips import ClipSettings, PackedClips
    from affekt.corpora import Manifest, import_corpus
    from affekt.errors import require_torch

    require_torch()
    from affekt.pretraining import TuningSettings

    settings = DferSettings(protocol, seeds, validation_share, target or '', seed=seed, resamples=resamples)
    how = TuningSettings(seed=seed, **tuning)
    with table_notes() as notes, TemporaryDirectory() as scrap:
        manifest = Manifest.load(Path(corpus)) if release is None else import_corpus(corpus, release)
        there = modalities_of(manifest, modalities.split(',') if modalities else ())
        candidates = dfer_candidates(checkpoints, scratch or '', there)
        folder = inputs or (Path(scrap) if out is None else out.with_name(f'{out.name}-inputs'))
        reads = tuple(name for name in ('video', 'audio') if any(name in each.reads for each in candidates))
        sources: dict[str, Any] = {}
        if reads:
            made = ClipSettings(crop=crop, modalities=reads)
            say(f'clips: {PackedClips.estimate(manifest, made)}', err=True)
        with StageBars(name_width=10) as bars:
            if reads:
                clips = packed_clips(manifest, made, folder, processes=processes, progress=bars)
                sources = clip_sources(clips)
                notes += clips.sentences
            wanted = features or ('acoustics-utt' if 'audio' in there else 'none')
            stores = baseline_stores(wanted, manifest, folder, processes=processes, progress=bars)
            outcome = run_dfer(
                manifest, sources, candidates, settings, how, stores=stores, folder=out, resume=resume, progress=bars
            )
    answer = _with_notes(dfer_facts(outcome), notes)
    if out is not None:
        save_dfer(out, outcome, answer)
    if as_json:
        say_json(answer)
    else:
        say(sheet_tables(dfer_sheet(outcome)), columns=1000, least=80)


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
@_draw_options
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
        say_json({**_with_notes(benchmark_facts(outcome), notes), 'run': str(folder)})
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


def _with_notes(answer: Mapping[str, Any], notes: Sequence[str]) -> dict[str, Any]:
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
