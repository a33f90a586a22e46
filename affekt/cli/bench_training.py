"""Verbs that train and test on the folds of a corpus: bench merbench, bench finetune, bench dfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.bench import PATH, bench, draw_options, with_notes
from affekt.cli.choices import Named, fusion_models, refuse_unused, refuse_unused_tuning
from affekt.cli.group import table_notes
from affekt.errors import CorpusError, require_torch
from affekt.runs import require_new_run
from affekt.terminal import StageBars, say, say_json

if TYPE_CHECKING:
    from affekt.corpora import Manifest
    from affekt.experiments import Sheet

FORM_NAMES = ('hicmae-tiny', 'hicmae-small', 'hicmae-base', 'svfap-small', 'svfap-base')
"""Names of `affekt.pretraining.FORMS`, repeated here because that room needs torch."""
_CORPUS = click.option(
    '--corpus', required=True, metavar='MANIFEST|NAME', help='Manifest, or a corpus by name with --release.'
)
_RELEASE = click.option('--release', type=PATH, help='Folder of the release, if the corpus is given by name.')
_DEVICE = click.option(
    '--device', default='cpu', metavar='NAME', help='Device to train on: cpu (default), cuda, cuda:1, …'
)
_RESUME = click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
_TARGET = click.option(
    '--target', type=Named(('category', 'sentiment', 'category+valence')), metavar='NAME',
    help='Target: category, sentiment or category+valence (default: what the manifest has).',
)  # fmt: skip


@bench.command()
@_CORPUS
@_RELEASE
@click.option(
    '--features',
    required=True,
    metavar='STORE[,STORE]',
    help='Stores, separated by commas; text=STORE gives the modality if the recipe does not.',
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
@click.option(
    '--trials', type=click.IntRange(1, 10_000), default=8, help='Number of random settings to try (default 8).'
)
@click.option('--epochs', type=click.IntRange(1, 10_000), default=100, help='Maximum number of epochs (default 100).')
@click.option(
    '--patience',
    type=click.IntRange(1, 10_000),
    default=10,
    help='Epochs without improvement before training stops, fair protocol (default 10).',
)
@_TARGET
@click.option(
    '--feat-type',
    type=Named(('utt', 'frm_align', 'frm_unalign')),
    default=None,
    help='Features that the model reads: means, or sequences (default: what it can read).',
)
@click.option('--pairs', is_flag=True, help='Also train on every pair of modalities.')
@click.option(
    '--missing', 'missing_ways', multiple=True, is_flag=False, flag_value='ask', type=Named(('ask', 'mask')),
    help='Missing modalities. mask: mask them for samples without features; ask (or nothing): also test the models of '
    'all modalities with some withheld. Repeatable.',
)  # fmt: skip
@click.option(
    '--cross',
    multiple=True,
    metavar='MANIFEST=STORE[,STORE]',
    help='Another corpus to test on; may be repeated.',
)
@_RESUME
@draw_options
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
    **options: Any,
) -> None:
    """MERBench: a fusion model on your features of a corpus, beside simple baselines.

    \b
    affekt bench merbench --corpus meld.parquet \\
        --features features/minilm-utt --protocol both --out run

    Trains on each modality alone and on all together. Several stores of one modality are compared, each alone and in
    every combination of one per modality. Needs torch.
    """
    from affekt.benchmarks import MerbenchSettings, merbench_facts, merbench_sheet, run_merbench, save_merbench
    from affekt.experiments import open_part, open_stores

    if out is None:
        refuse_unused('--out', 'resume')
    options |= {'missing': 'ask' in missing_ways, 'mask': 'mask' in missing_ways}
    settings = MerbenchSettings(feat_type=feat_type or '', target=target or '', **options)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        manifest = _manifest(corpus, release)
        stores = open_stores(features.split(','), several=True)
        others = [open_part(text) for text in cross]
        outcome = run_merbench(manifest, stores, settings, others, folder=out, resume=resume, progress=bars)
    answer = with_notes(merbench_facts(outcome), notes)
    if out is not None:
        save_merbench(out, outcome, answer)
    _show(answer, merbench_sheet(outcome), as_json)


@bench.command()
@_CORPUS
@_RELEASE
@click.option(
    '--encoder',
    required=True,
    type=PATH,
    help='Folder of a transformers encoder, or a checkpoint of HiCMAE or SVFAP.',
)
@click.option('--layers', type=Named(('last', 'last_four')), default='last', help='Layers to use (default last).')
@click.option(
    '--rates',
    default='1e-3,1e-4,1e-5,1e-6',
    metavar='RATE[,RATE]',
    help='Learning rates of the head to choose from (default 1e-3,1e-4,1e-5,1e-6).',
)
@click.option(
    '--backbone-share', type=float, default=0.1, help="Learning rate of the encoder over the head's (default 0.1)."
)
@click.option(
    '--seeds', type=click.IntRange(1, 100), default=3, help='Number of seeds for the chosen settings (default 3).'
)
@click.option(
    '--trials', type=click.IntRange(1, 10_000), default=4, help='Number of random settings to try (default 4).'
)
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
@_TARGET
@click.option(
    '--precision',
    type=Named(('float32', 'bfloat16')),
    default='float32',
    help='Precision of matrix products (default float32).',
)
@_DEVICE
@_RESUME
@draw_options
def finetune(
    corpus: str,
    release: Path | None,
    encoder: Path,
    rates: str,
    target: str | None,
    resume: bool,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """MERBench's fine-tuning: an encoder trained end to end, beside its frozen vectors.

    \b
    affekt bench finetune --corpus meld.parquet --encoder bert-base-chinese \\
        --column chinese --out run

    The encoder determines the input: text, audio, or images of the face. Needs torch and transformers.
    """
    from affekt.benchmarks import (
        FinetuningSettings,
        finetuning_facts,
        finetuning_sheet,
        rates_of,
        run_finetuning,
        save_finetuning,
    )

    if out is None:
        refuse_unused('--out', 'resume')
    settings = FinetuningSettings(learning_rates=rates_of(rates), target=target or '', **options)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        manifest = _manifest(corpus, release)
        outcome = run_finetuning(manifest, encoder, settings, folder=out, resume=resume, progress=bars)
    answer = with_notes(finetuning_facts(outcome), notes)
    if out is not None:
        save_finetuning(out, outcome, answer)
    _show(answer, finetuning_sheet(outcome), as_json)


@bench.command()
@_CORPUS
@_RELEASE
@click.option(
    '--from', 'checkpoints', multiple=True, type=PATH, metavar='RUN|FILE',
    help='Pre-trained encoder to fine-tune: the folder of a run, or a checkpoint. Repeatable.',
)  # fmt: skip
@click.option(
    '--scratch', is_flag=False, flag_value='same', type=Named(('same', *FORM_NAMES)), metavar='NAME',
    help='Architecture to train from random weights too: that of --from where no NAME follows, or hicmae-tiny …',
)  # fmt: skip
@click.option(
    '--protocol', type=Named(('fair', 'reference', 'both')), default='fair',
    help='Protocol: fair validates on people of the training part (default); reference as published; both.',
)  # fmt: skip
@click.option(
    '--kind', 'method', type=Named(('full', 'lora', 'linear')), default='full',
    help='Weights to train: all (full, default), low-rank adapters, or only the head.',
)  # fmt: skip
@click.option(
    '--modalities', type=Named(('audio', 'video'), several=True), help='Modalities to read (default: all present).'
)
@click.option(
    '--features', metavar='RECIPE|STORE[,…]',
    help='Features of the linear baseline: recipes or stores, or none (default acoustics-utt if audio is read).',
)  # fmt: skip
@click.option('--target', type=Named(('category', 'dimensions')), help='Target (default: what the manifest has).')
@click.option('--epochs', type=click.IntRange(1, 10_000), default=50, help='Maximum number of epochs (default 50).')
@click.option(
    '--patience', type=click.IntRange(1, 10_000), default=15,
    help='Epochs without improvement before training stops, fair protocol (default 15).',
)  # fmt: skip
@click.option('--batch-size', type=click.IntRange(1, 10_000), default=16, help='Clips per step (default 16).')
@click.option(
    '--learning-rate', type=click.FloatRange(0, min_open=True),
    help='Learning rate at 256 clips per step (default 1e-3, adapters 1e-2).',
)  # fmt: skip
@click.option(
    '--stride', type=click.IntRange(1, 100), default=4,
    help='Stride between frames read (default 4; Werewolf-XL 3, FERV39k 1).',
)  # fmt: skip
@click.option('--seeds', type=click.IntRange(1, 100), default=1, help='Runs of each model on each fold (default 1).')
@click.option(
    '--validation-share',
    type=float,
    default=0.2,
    help='Share of the training people used for validation, fair (default 0.2).',
)
@click.option(
    '--crop', type=Named(('faces', 'published', 'none')), default='faces',
    help='Crop of video frames: the face (default), as published for VoxCeleb2, or none.',
)  # fmt: skip
@click.option('--inputs', type=PATH, help='Folder of decoded clips and features, computed once (default beside --out).')
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Number of decoding processes (default 1).')
@click.option(
    '--workers', 'readers', type=click.IntRange(0, 64), default=0, help='Threads that prepare batches (default 0).'
)
@click.option(
    '--precision', type=Named(('float32', 'bfloat16', 'float16')), default='float32',
    help='Precision of matrix products (default float32).',
)  # fmt: skip
@_DEVICE
@_RESUME
@draw_options
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
    """DFER: fine-tune encoders of faces and voices on every published fold.

    \b
    affekt bench dfer --corpus ravdess --release RAVDESS --from run --scratch \\
        --protocol both --out folds

    Compares them with a constant answer, a linear layer on features, and published scores. Without --from and
    --scratch only the baselines run. Needs torch.
    """
    from tempfile import TemporaryDirectory

    from affekt.benchmarks import (
        DferSettings,
        baseline_stores,
        clip_sources,
        corpus_clips,
        dfer_candidates,
        dfer_facts,
        dfer_sheet,
        modalities_of,
        open_dfer,
        run_dfer,
        save_dfer,
    )  # fmt: skip
    from affekt.clips import ClipSettings

    require_torch()
    from affekt.pretraining import TuningSettings

    _require_folder(out, resume)
    _refuse_unused(tuning, protocol, has_model=bool(checkpoints or scratch))
    settings = DferSettings(protocol, seeds, validation_share, target or '', seed=seed, resamples=resamples)
    tuning_settings = TuningSettings(seed=seed, **tuning)
    with table_notes() as notes, TemporaryDirectory() as temporary:
        manifest = _manifest(corpus, release)
        present = modalities_of(manifest, modalities.split(',') if modalities else ())
        candidates = dfer_candidates(checkpoints, scratch or '', present)
        open_dfer(manifest, settings.simple, share=settings.validation_share, target=settings.target)  # before decoding
        folder = inputs or (Path(temporary) if out is None else out.with_name(f'{out.name}-inputs'))
        reads = tuple(name for name in ('video', 'audio') if any(name in candidate.reads for candidate in candidates))
        sources: dict[str, Any] = {}
        features = features or ('acoustics-utt' if 'audio' in (reads or present) else 'none')
        with StageBars(name_width=10) as bars:
            # stores that cannot be read are refused before clips are decoded
            stores = baseline_stores(features, manifest, folder, processes=processes, progress=bars)
            if reads:
                size = max(candidate.form.size for candidate in candidates if candidate.form is not None)
                clip_settings, say_size = ClipSettings(size, crop, reads), partial(say, err=True)
                clips = corpus_clips(manifest, clip_settings, folder, processes=processes, progress=bars, say=say_size)
                sources = clip_sources(clips)
                notes += clips.sentences
            outcome = run_dfer(
                manifest, sources, candidates, settings, tuning_settings, stores=stores, folder=out, resume=resume,
                progress=bars,
            )  # fmt: skip
    answer = with_notes(dfer_facts(outcome), notes)
    if out is not None:
        save_dfer(out, outcome, answer)
    _show(answer, dfer_sheet(outcome), as_json)


def _refuse_unused(tuning: dict[str, Any], protocol: str, *, has_model: bool) -> None:
    """Checks that no option was given that the models of `bench dfer` do not use."""
    if not has_model:
        refuse_unused('--from or --scratch', 'protocol', 'crop', *tuning)
    else:
        refuse_unused_tuning(tuning['method'], '--protocol fair or both' if protocol == 'reference' else '')


def _require_folder(out: Path | None, resume: bool) -> None:
    """Refuses a folder in use, and --resume without a folder, before clips are decoded."""
    if out is None:
        refuse_unused('--out', 'resume')
    else:
        require_new_run(out, resume=resume)


def _manifest(corpus: str, release: Path | None) -> Manifest:
    """The corpus: a manifest, or a release by its name."""
    from affekt.corpora import CORPORA, Manifest, import_corpus

    if release is None and corpus in CORPORA:
        raise CorpusError(
            expected=f'the release of {corpus}', came='its name alone', todo='name its folder with --release'
        )
    return Manifest.load(Path(corpus)) if release is None else import_corpus(corpus, release)


def _show(answer: Mapping[str, Any], sheet: Sheet, as_json: bool) -> None:
    from affekt.cli.bench_tables import sheet_tables

    if as_json:
        say_json(answer)
    else:
        say(sheet_tables(sheet), columns=1000, least=80)
