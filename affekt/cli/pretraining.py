"""Verbs of pre-trained encoders: pretrain, finetune, checkpoint inspect, checkpoint convert."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from affekt.cli.choices import SEED, Named, refuse_unused, refuse_unused_tuning
from affekt.cli.group import AS_JSON, main
from affekt.cli.views import tensor_groups, tensor_table
from affekt.errors import UnknownNameError, ValueRangeError
from affekt.files import require_room_for_folder
from affekt.runs import require_new_run
from affekt.terminal import LINE_S, StageBars, plain_table, say, say_json
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.checkpoints import Inspection
    from affekt.experiments import FinetunedClips
    from affekt.pretraining import Pretrained
    from affekt.training import Pace

PATH = click.Path(path_type=Path)
MOST_ARGUMENTS = 12
"""Maximum number of settings that are shown without --all."""

MOST_GROUPS = 400
"""Maximum number of groups of tensors that are shown without --all; of more, half as many."""


SMALLEST = {'hicmae': 'tiny', 'svfap': 'small'}
"""Default size of a family."""


@main.command('pretrain')
@click.argument('family', type=Named(tuple(SMALLEST)), metavar='{hicmae|svfap}')
@click.option(
    '--manifest', 'path', required=True, type=PATH, help='Manifest of the clips (.parquet); labels are not needed.'
)
@click.option('--root', type=PATH, help='Folder that the media are in now, if they moved.')
@click.option('--out', required=True, type=PATH, help='Folder of the run: checkpoints, log, curves, weights.')
@click.option('--size', type=Named(('tiny', 'small', 'base')), help='Size of the network (default: the smallest).')
@click.option('--frames-size', type=click.IntRange(16), help='Width and height of frames, in pixels (default 160).')
@click.option('--audio-only', is_flag=True, help='Train on audio only (HiCMAE).')
@click.option('--video-only', is_flag=True, help='Train on video only.')
@click.option(
    '--crop', type=Named(('faces', 'published', 'none')), default='faces',
    help='Crop of frames: the aligned face (default), the upper centre as published for VoxCeleb2, or none.',
)  # fmt: skip
@click.option('--cache', type=PATH, help='Folder of decoded clips, which several runs can share (default OUT-clips).')
@click.option('--no-cache', is_flag=True, help='Decode clips anew each epoch, if a cache is too large; not for faces.')
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Number of decoding processes (default 1).')
@click.option('--epochs', type=click.IntRange(1), default=100, help='Passes over all clips (default 100).')
@click.option('--steps', type=click.IntRange(1), help='Number of steps, instead of --epochs.')
@click.option('--batch-size', type=click.IntRange(1), default=32, help='Clips per step over all devices (default 32).')
@click.option('--accumulation', type=click.IntRange(1), default=1, help='Batches per step, to save memory (default 1).')
@click.option('--learning-rate', type=float, default=3e-4, help='Learning rate at 256 clips per step (default 3e-4).')
@click.option(
    '--warm-up-epochs', type=click.FloatRange(0), help='Epochs of warm-up (default 5, or a tenth of short runs).'
)
@click.option(
    '--gather-contrast', 'gathers_contrast', is_flag=True, help='Contrast clips across all devices, not within each.'
)
@click.option(
    '--precision', type=Named(('auto', 'float32', 'bfloat16', 'float16')), default='auto',
    help='Precision of products; auto (default) is bfloat16 if the device supports it natively.',
)  # fmt: skip
@click.option('--device', default='cpu', help='Device to train on: cpu (default), cuda, cuda:1, …')
@click.option('--compile', 'compiled', is_flag=True, help='Compile the blocks of the network.')
@click.option('--workers', type=click.IntRange(0), default=2, help='Threads that prepare batches ahead (default 2).')
@click.option('--save-every', type=click.IntRange(1), default=100, help='Updates between checkpoints (default 100).')
@click.option('--snapshot-every', type=click.IntRange(1), help='Epochs between permanent copies of the weights.')
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
@click.option('--resume', is_flag=True, help='Continue the run in OUT.')
@AS_JSON
def pretrain_command(
    family: str,
    path: Path,
    root: Path | None,
    out: Path,
    size: str | None,
    frames_size: int | None,
    audio_only: bool,
    video_only: bool,
    crop: str,
    cache: Path | None,
    no_cache: bool,
    processes: int,
    resume: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Pre-train an encoder of faces and voices on unlabelled clips.

    \b
    affekt corpus import folder my_clips --out clips.parquet
    affekt pretrain hicmae --size tiny --manifest clips.parquet --out run

    Clips are decoded once. After an interruption, add --resume. On several devices, start it by torchrun:

    \b
    torchrun --nproc-per-node 4 --no-python affekt pretrain hicmae
        --manifest clips.parquet --out run --device cuda
    """
    from affekt.clips import ClipSettings, DecodedClips, PackedClips, is_first_process, packed_clips, require_media
    from affekt.corpora import Manifest
    from affekt.nn import require_device
    from affekt.pretraining import PretrainingSettings, changed_form, form_named, pretrain
    from affekt.training import Pace

    # 1. Settings.
    if audio_only and video_only:
        raise ValueRangeError(expected='one of --audio-only and --video-only', came='both', todo='give one, or neither')
    if no_cache:
        refuse_unused('a cache (without --no-cache)', 'cache', 'processes')
    if audio_only or video_only or family != 'hicmae':
        refuse_unused('HiCMAE of both modalities', 'gathers_contrast')
    reads = ('audio',) if audio_only else ('video',) if video_only else ()
    form = changed_form(form_named(family, size or SMALLEST[family]), frames_size, reads)
    log_every = _log_every(options['save_every'])
    settings = PretrainingSettings(**options, log_every=log_every)
    is_first = is_first_process()
    bars = StageBars(name_width=6) if is_first else contextlib.nullcontext()
    # 2. Clips.
    require_room_for_folder(out)
    if is_first:  # other processes may arrive after the first has begun to write
        require_new_run(out, resume=resume)
    manifest = Manifest.load(path, root)
    require_device(settings.device)
    clip_settings = ClipSettings(form.size, crop, form.modalities)  # type: ignore[arg-type]
    folder = cache or out.with_name(f'{out.name}-clips')
    require_media(manifest, clip_settings)
    settings.require_form(form)
    settings.require_clips(len(manifest))
    clips: DecodedClips | PackedClips
    if no_cache:
        clips = DecodedClips(manifest, clip_settings)
    else:
        with bars as progress:
            clips = packed_clips(
                manifest, folder, clip_settings, processes=processes, progress=progress, say=partial(say, err=True)
            )
        for sentence in clips.sentences if is_first else ():
            say(sentence, err=True)
    # 3. Training.
    pace = Pace(settings.batch_size)
    bars = StageBars(name_width=6) if is_first else contextlib.nullcontext()
    with bars as progress:
        report = _step_reporter(pace)
        outcome = pretrain(form, clips, settings, folder=out, resume=resume, report=report, progress=progress)
    if is_first:
        _say_pretrained(outcome, pace, out, settings.device, as_json)


def _log_every(save_every: int) -> int:
    """Updates per row of the log: the largest divisor of `save_every` up to 10."""
    return next(count for count in range(10, 0, -1) if save_every % count == 0)


def _step_reporter(pace: Pace) -> Callable[[Mapping[str, float]], None]:
    """A function that prints losses and pace at most once per LINE_S."""
    from affekt.training import losses_in_words

    last = -LINE_S

    def report(row: Mapping[str, float]) -> None:
        nonlocal last
        pace.row(row)
        if time.monotonic() - last >= LINE_S and pace.latest == pace.latest:
            last = time.monotonic()
            say(f'step {row["step"]:,.0f}: {losses_in_words(row)}; {pace.latest:.3g} clips per second', err=True)

    return report


def _say_pretrained(outcome: Pretrained, pace: Pace, out: Path, device: str, as_json: bool) -> None:
    from affekt.training import losses_in_words, peak_memory_bytes

    drawn_counts = outcome.drawn
    memory = peak_memory_bytes(device)
    last = outcome.history[-1]
    if as_json:
        say_json({
            'run': str(out), 'weights': str(outcome.weights), **outcome.survey.counts(), 'last': dict(last),
            'drawn': drawn_counts, 'clips_per_second': pace.mean, 'peak_memory_bytes': memory,
        })  # fmt: skip
        return
    say(str(outcome.survey))
    drawn = ', '.join(f'{count:,} {name.replace("_", " ")}' for name, count in drawn_counts.items() if count)
    if drawn:
        say(f'of the clips as they were drawn: {drawn}; what is missing was masked')
    first = f'{losses_in_words(outcome.history[0])} at first, then ' if len(outcome.history) > 1 else ''
    say(f'{counted(int(last["step"]), "step")}: {first}{losses_in_words(last)}')
    pace_words = f'{pace.mean:.3g} clips per second, ' if pace.mean == pace.mean else ''
    say(f'{pace_words}at most {memory / 1e9:.2f} GB of memory')
    say(f'weights {outcome.weights}')
    say(f'curves {out / "curves.html"}')


@main.group()
def checkpoint() -> None:
    """Inspect and convert published checkpoints."""


@checkpoint.command('inspect')
@click.argument('file', type=PATH)
@click.option('--all', 'show_all', is_flag=True, help='Show every tensor and setting, not groups.')
@AS_JSON
def inspect_command(file: Path, show_all: bool, as_json: bool) -> None:
    """Show what is in FILE, and where each tensor goes.

    FILE is a .pth, .pt, .bin or .ckpt written by torch, or a .safetensors. Nothing in it is run. HiCMAE,
    SVFAP, AffectGPT, the fusion models of MERBench and the parts of MagicPortrait are known; for any other file the
    tensors are listed. Damaged files and non-finite weights are refused.
    """
    from affekt.checkpoints import inspected

    with StageBars():
        inspection = inspected(file)
    if as_json:
        say_json(inspection.to_dict())
        return
    _say_summary(inspection, show_all)
    say()
    if show_all:
        say(tensor_table(inspection), columns=80)
    else:
        say(tensor_groups(inspection, MOST_GROUPS), columns=80)
        if (count := len(inspection.groups())) > MOST_GROUPS:
            say(f'and {count - MOST_GROUPS // 2:,} more, shown with --all')
    _say_verdict(inspection)


@checkpoint.command('convert')
@click.argument('file', type=PATH)
@click.option('--out', required=True, type=PATH, help='File to write (.safetensors or .onnx); never replaced.')
@click.option(
    '--to', 'kind', type=Named(('safetensors', 'onnx')), help='Format of the file (default by the ending of --out).'
)
@click.option('--licence', default='', metavar='NAME', help='Licence of the weights, as stated by their publisher.')
@click.option(
    '--dtype', type=Named(('float32', 'float16', 'bfloat16', 'int8')),
    help='Number type to write (default as in FILE; for ONNX float32 or int8).',
)  # fmt: skip
@click.option(
    '--reads',
    type=Named(('video', 'audio')),
    help='Modality that an ONNX file reads (default: all that the network reads).',
)
@click.option('--allow-missing', is_flag=True, help='Also write an incomplete state.')
@AS_JSON
def convert_command(
    file: Path,
    out: Path,
    kind: str | None,
    licence: str,
    dtype: str | None,
    reads: str | None,
    allow_missing: bool,
    as_json: bool,
) -> None:
    """Write the model in FILE as safetensors with a card, or as ONNX.

    The card is written beside it as .md: source, its sha256, family, size, epoch, settings, licence. The output is read
    back and compared before it appears. An ONNX file (of HiCMAE or SVFAP) takes any number of windows of any length,
    and is compared with torch at several.
    """
    from affekt.checkpoints import convert

    if kind == 'onnx' or (kind is None and out.suffix == '.onnx'):
        if allow_missing:
            raise UnknownNameError(
                expected='a whole state, for ONNX', came='--allow-missing', todo='leave it out, or add --to safetensors'
            )
        _convert_to_onnx(file, out, licence, dtype, reads, as_json)
        return
    if dtype == 'int8' or reads:
        raise UnknownNameError(
            expected='--to onnx, for int8 and --reads', came='safetensors', todo='leave them out, or add --to onnx'
        )
    with StageBars():
        written = convert(file, out, licence=licence, dtype=dtype or '', allow_missing=allow_missing)
    if as_json:
        say_json({
            'out': str(written.path), 'card': str(written.card), 'tensors': written.tensors, 'bytes': written.size,
            'notes': dict(written.notes),
        })  # fmt: skip
        return
    say(f'{written.path}: {counted(written.tensors, "tensor")}, {written.size:,} bytes, read back and equal')
    say(f'{written.card}: its card')
    if 'family' not in written.notes:
        say('of no known family: written as it is, whether or not tensors are missing', err=True, style='yellow')
    if not licence:
        say('the licence is not stated; give it with --licence as the publisher states it', err=True, style='yellow')


def _convert_to_onnx(file: Path, out: Path, licence: str, dtype: str | None, reads: str | None, as_json: bool) -> None:
    from affekt.representations import export_onnx

    with StageBars() as bars:
        exported = export_onnx(
            file, out, modalities=(reads,) if reads else None, precision=dtype or 'float32', licence=licence,
            progress=bars,
        )  # fmt: skip
    if as_json:
        shapes = {'inputs': dict(exported.inputs), 'outputs': dict(exported.outputs)}
        say_json({'out': str(exported.path), 'bytes': exported.path.stat().st_size, 'apart': exported.apart, **shapes})
        return
    for name, shape in (*exported.inputs.items(), *exported.outputs.items()):
        say(f'{name}: {" x ".join(map(str, shape))}')
    size = f'{exported.path.stat().st_size:,} bytes'
    say(f'{exported.path}: {size}, apart from torch by {exported.apart:.1e} of the largest value')


def _say_summary(inspection: Inspection, show_all: bool) -> None:
    """Prints family, summary and settings of the file."""
    say(f'{inspection.checkpoint.path.name}: {inspection.recognition or "of no known family"}', style='bold')
    rows, settings = inspection.summary(), list(inspection.arguments.items())
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


def _say_verdict(inspection: Inspection) -> None:
    """Prints the conclusion from the coverage table."""
    if sentences := inspection.verdict():
        say()
    for sentence in sentences:
        say(Text(sentence, style='yellow' if inspection.faults and sentence is sentences[0] else ''), columns=80)


@main.command('finetune')
@click.option('--from', 'source', required=True, type=PATH, help='Checkpoint, or the folder of a run.')
@click.option('--manifest', 'path', required=True, type=PATH, help='Manifest of labelled clips (.parquet).')
@click.option('--root', type=PATH, help='Folder that the media are in now, if they moved.')
@click.option('--out', required=True, type=PATH, help='Folder for the model, its scores and its card.')
@click.option(
    '--label', default='emotion', metavar='NAME',
    help='Label to learn: emotion (default), or numbers: valence, arousal, dominance, sentiment, separated by commas.',
)  # fmt: skip
@click.option('--kind', 'method', type=Named(('full', 'lora', 'linear')), default='full',
              help='Weights to train: all (full, default), low-rank adapters, or only the head.')  # fmt: skip
@click.option('--modalities', default='', metavar='NAMES', help='video, audio or video,audio (default: those present).')
@click.option(
    '--validation', default='', metavar='PART',
    help='Validation clips: COLUMN=VALUE, or a share of speakers (default: split=val, else 0.15).',
)  # fmt: skip
@click.option(
    '--test', default='', metavar='PART', help='Test clips, scored only at the end, likewise (default: split=test).'
)
@click.option('--crop', type=Named(('faces', 'published', 'none')), default='faces',
              help='Crop of frames: aligned face (default), upper centre of VoxCeleb2, or none.')  # fmt: skip
@click.option('--cache', type=PATH, help='Folder of decoded clips, which several runs can share (default OUT/clips).')
@click.option('--processes', type=click.IntRange(1, 256), default=1, help='Number of decoding processes (default 1).')
@click.option('--objective', type=Named(('cross_entropy', 'mse', 'ccc', 'pcc')), help='Loss (default by the label).')
@click.option('--epochs', type=click.IntRange(1), default=50, help='Maximum number of epochs (default 50).')
@click.option('--patience', type=click.IntRange(1), default=15, help='Epochs without improvement to wait (default 15).')
@click.option('--last', is_flag=True, help='Keep the last epoch, not the best on validation.')
@click.option('--batch-size', type=click.IntRange(1), default=16, help='Clips per batch and device (default 16).')
@click.option('--accumulation', type=click.IntRange(1), default=1, help='Batches per step (default 1).')
@click.option('--learning-rate', type=click.FloatRange(0, min_open=True),
              help='Learning rate at 256 clips per step (default 1e-3, adapters 1e-2).')  # fmt: skip
@click.option('--layer-decay', type=click.FloatRange(0, 1, min_open=True),
              help="Ratio of each layer's rate to the next layer's (default 0.75, adapters 1).")  # fmt: skip
@click.option('--drop-path', type=click.FloatRange(0, 1, max_open=True), default=0.1,
              help='Drop-path rate of the last block (default 0.1).')  # fmt: skip
@click.option('--rank', type=click.IntRange(1), default=8, help='Rank of adapters (default 8).')
@click.option('--balanced', is_flag=True, help='Give classes equal weight, whatever their number of clips.')
@click.option('--no-augmentation', is_flag=True, help='Do not augment or mix frames and audio.')
@click.option('--stride', type=click.IntRange(1), default=4, help='Stride between frames read (default 4).')
@click.option('--reference', is_flag=True, help='Published behaviour: audio not mixed, last epoch, no balance.')
@click.option('--precision', type=Named(('float32', 'bfloat16', 'float16')), default='float32',
              help='Precision of products (default float32).')  # fmt: skip
@click.option('--device', default='cpu', help='Device to train on: cpu (default), cuda, cuda:1, …')
@click.option('--workers', type=click.IntRange(0), default=0, help='Threads that prepare batches ahead (default 0).')
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
@click.option('--resume', is_flag=True, help='Continue the run in OUT.')
@AS_JSON
def finetune_command(
    source: Path,
    path: Path,
    root: Path | None,
    out: Path,
    modalities: str,
    last: bool,
    no_augmentation: bool,
    workers: int,
    objective: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fine-tune an encoder of faces and voices on labelled clips.

    The epoch is chosen on validation alone. OUT holds the model (weights.safetensors, labels.json), card.md with data,
    scores and intervals by speaker, predictions.csv and history.html; affekt.pretraining.predict(OUT, FILE) predicts
    one recording. After an interruption, add --resume.
    """
    from affekt.clips import is_first_process
    from affekt.corpora import Manifest
    from affekt.experiments import finetune_clips
    from affekt.pretraining import Mixing, TuningSettings

    if options['method'] != 'lora':
        refuse_unused('--kind lora', 'rank')
    keeps_last = last or options['reference']
    refuse_unused_tuning(options['method'], 'the best epoch (without --last or --reference)' if keeps_last else '')
    if options['reference']:
        refuse_unused("affekt's own training (without --reference)", 'balanced')
    run = {
        name: options.pop(name)
        for name in ('label', 'validation', 'test', 'crop', 'drop_path', 'cache', 'processes', 'resume')
    }
    settings = TuningSettings(
        **options, objective=objective or '', chooses='last' if last else None, readers=workers,  # type: ignore[arg-type]
        augments=not no_augmentation, mixing=None if no_augmentation else Mixing(),
    )  # fmt: skip
    modality_names = tuple(name.strip() for name in modalities.split(',') if name.strip())
    is_first = is_first_process()
    with StageBars(name_width=8) if is_first else contextlib.nullcontext() as bars:
        outcome = finetune_clips(
            source, Manifest.load(path, root), settings, folder=out, modalities=modality_names, progress=bars,
            report=_epoch_reporter() if is_first else None,
            say=(lambda text: say(*text.splitlines(), err=True)) if is_first else None, **run,
        )  # fmt: skip
    if is_first:
        _say_finetuned(outcome, as_json)


def _epoch_reporter() -> Callable[[Mapping[str, float]], None]:
    """A function that prints the scores of an epoch at most once per LINE_S."""
    last = -LINE_S

    def report(row: Mapping[str, float]) -> None:
        nonlocal last
        if 'epoch' in row and time.monotonic() - last >= LINE_S:
            last = time.monotonic()
            shown = [name for name in ('uar', 'ccc') if name in row]
            score = ''.join(f', {name.upper()} {row[name]:z.3f} on validation' for name in shown)
            say(f'epoch {row["epoch"]:.0f}: loss {row["training"]:.3f}{score}', err=True)

    return report


def _say_finetuned(outcome: FinetunedClips, as_json: bool) -> None:
    from affekt.experiments import score_notes

    if as_json:
        say_json({
            'out': str(outcome.folder), 'names': list(outcome.model.names), 'epoch': outcome.epoch,
            'parts': {name: len(index) for name, index in outcome.parts.parts.items()},
            'scores': [
                {'part': row.part, 'score': row.title, 'value': row.interval.value, 'low': row.interval.low,
                 'high': row.interval.high, 'baseline': row.baseline}
                for row in outcome.rows
            ],
            'notes': list(outcome.notes),
        })  # fmt: skip
        return
    table = plain_table(width=80)
    for heading in ('part', 'score', 'value [95 %]', 'constant answer'):
        table.add_column(heading, justify='left' if heading in ('part', 'score') else 'right')
    for row in outcome.rows:
        table.add_row(row.part, row.title, str(row.interval), f'{row.baseline:z.3f}')
    say(table, columns=80)
    say(*score_notes(outcome))
    say(f'{outcome.folder}: weights.safetensors, labels.json, card.md, predictions.csv, history.html')
