"""Verbs that score frame by frame: bench abaw and bench reenact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.bench import PATH, bench, draw_options, with_notes
from affekt.cli.choices import (
    SEED,
    Named,
    frame_clocks,
    frame_loss_values,
    frame_losses,
    refuse_unused,
    sequence_models,
)
from affekt.cli.group import AS_JSON, end_with, table_notes
from affekt.cli.installation import fetch
from affekt.cli.reenact import (
    AGE_OPTION,
    CONSENT_NOTE_OPTION,
    ENGINES,
    PORTRAYED_OPTION,
    asked_cast,
    asked_consent,
    asked_painting,
    asked_speech,
    cast_options,
    painting_options,
)
from affekt.errors import UnknownNameError, require_torch
from affekt.terminal import StageBars, say, say_json
from affekt.typed_json import plain
from affekt.wording import counted

if TYPE_CHECKING:
    from affekt.benchmarks import Abaw

TASKS = ('expr', 'va', 'au', 'mtl')
OF_MADE_UP = ('portraits', 'speech', 'videos', 'seconds', 'processes')
"""Options of a synthetic corpus."""


@bench.command()
@click.option('--corpus', type=PATH, metavar='MANIFEST', help='Manifest from corpus import affwild2.')
@click.option('--made-up', is_flag=True, help='Make a synthetic corpus and its features in --out first.')
@click.option(
    '--features', multiple=True, metavar='STORE',
    help='Store with rows in time, or NAME=STORE; several separated by commas, or repeated.',
)  # fmt: skip
@click.option('--labels', type=PATH, help='Table of frames (default: the one beside the manifest).')
@click.option('--key', type=PATH, metavar='FOLDER', help='Annotations of the test videos, if known.')
@click.option(
    '--task', 'tasks', type=Named(TASKS, several=True), default=','.join(TASKS),
    help='Tasks, separated by commas (default all).',
)  # fmt: skip
@click.option(
    '--model', 'models', type=Named(sequence_models, several=True), metavar='NAME[,NAME]',
    default='convolution,transformer,attention_sequence',
    help='Sequence models (default convolution,transformer,attention_sequence).',
)  # fmt: skip
@click.option('--window', type=click.IntRange(1), default=300, help='Frames of a window (default 300).')
@click.option('--stride', type=click.IntRange(1), default=150, help='Frames between windows (default 150).')
@click.option('--epochs', type=click.IntRange(1), default=40, help='Maximum number of epochs (default 40).')
@click.option(
    '--patience', type=click.IntRange(1), default=10, help='Epochs without improvement before stopping (default 10).'
)
@click.option('--batch', 'batch_size', type=click.IntRange(1), default=4, help='Windows per step (default 4).')
@click.option('--hidden', type=click.IntRange(1), default=64, help='Width of the models (default 64).')
@click.option('--rate', 'learning_rate', type=float, default=2e-3, help='Learning rate (default 0.002).')
@click.option(
    '--clock', 'clocks', type=Named(frame_clocks, others='NAME=METHOD', several=True), default='linear',
    help='Method that resamples features to frames, for all or by name (default linear).',
)  # fmt: skip
@click.option(
    '--loss', 'losses', metavar='NAME=VALUE',
    type=Named(frame_losses, others='NAME=VALUE', several=True, in_help=frame_loss_values),
    help='Training loss, where not the default: focal=2,smoothing=0.1; separate with commas.',
)  # fmt: skip
@click.option(
    '--folds', type=click.IntRange(2), help='Folds of the training part; one model per fold, predictions averaged.'
)
@click.option('--pseudo-labels', is_flag=True, help='Also train on confident predictions for unannotated videos.')
@click.option('--unlabelled', type=PATH, metavar='MANIFEST', help='More videos for --pseudo-labels.')
@click.option(
    '--unlabelled-features', multiple=True, metavar='STORE', help='Features of these videos, named as in --features.'
)
@click.option(
    '--labelled', type=float, default=1.0, metavar='SHARE',
    help='Share of the training recordings whose annotations are used (default 1).',
)  # fmt: skip
@click.option(
    '--seeds', type=click.IntRange(1), default=1, help='Number of seeds of the models, from --seed on (default 1).'
)
@click.option(
    '--leave-out-shared', is_flag=True, help='Leave out training videos whose recording is in validation or test too.'
)
@click.option('--carried-over', type=PATH, metavar='RUN', help='Also score the models of an earlier run.')
@click.option('--videos', type=click.IntRange(5), default=40, help='Number of videos of --made-up (default 40).')
@click.option('--seconds', type=float, default=20.0, help='Length of each video of --made-up (default 20).')
@click.option(
    '--processes', type=click.IntRange(1, 256), default=1, help='Number of processes of --made-up (default 1).'
)
@cast_options
@click.option('--device', default='cpu', metavar='NAME', help='Device to train on: cpu (default), cuda, cuda:1, …')
@click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
@draw_options
def abaw(
    corpus: Path | None,
    made_up: bool,
    features: Sequence[str],
    labels: Path | None,
    key: Path | None,
    tasks: str,
    models: str,
    videos: int,
    seconds: float,
    processes: int,
    clocks: str,
    losses: str | None,
    folds: int | None,
    unlabelled: Path | None,
    unlabelled_features: Sequence[str],
    carried_over: Path | None,
    resume: bool,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """ABAW: emotion of every frame by sequence models, beside baselines without time.

    \b
    affekt bench abaw --corpus affwild2.parquet \\
        --features features/faces-all-frm,features/acoustics-frm --out run
    affekt bench abaw --made-up --out run
    affekt bench abaw --made-up --portraits faces --portrayed agreed --out run

    Official scores of expression (expr), valence and arousal (va), action units (au) and all together (mtl), on whole
    videos. The validation part chooses epoch and smoothing. Needs torch.

    --folds, --pseudo-labels and --clock learned change how every model is trained, never what is scored: no recording
    is in two parts, and pseudo-labels are made only for videos outside validation and test.
    """
    from affekt.benchmarks import (
        MADE_UP_FEATURES,
        AbawSettings,
        abaw_facts,
        abaw_inputs,
        abaw_sheet,
        made_up_inputs,
        require_trainable,
        save_abaw,
        unlabelled_inputs,
    )
    from affekt.cli.bench_tables import sheet_tables
    from affekt.corpora import AffWild2Settings

    files = {'--corpus': corpus, '--features': features, '--labels': labels, '--key': key}
    _require_one_source(made_up, out, [option for option, value in files.items() if value])
    corpus_settings = AffWild2Settings(videos, seconds, seed=options['seed'])
    cast, speech = asked_cast(options, corpus_settings.size), asked_speech(options)
    options |= {'clock': _clocks(clocks), 'folds': folds or 0, 'losses': _losses(losses or '')}
    settings = AbawSettings(tuple(tasks.split(',')), tuple(models.split(',')), **options)
    _require_pseudo_labels(settings.pseudo_labels, unlabelled, unlabelled_features)
    require_trainable(settings, MADE_UP_FEATURES if made_up else None, carried_over)
    with table_notes() as notes, StageBars(name_width=10) as bars:
        extra = unlabelled_inputs(unlabelled, _comma_separated(unlabelled_features)) if unlabelled else None
        if made_up and out is not None:
            inputs = made_up_inputs(out, corpus_settings, cast=cast, speech=speech, processes=processes, progress=bars)
        else:
            inputs = abaw_inputs(Path(corpus or ''), _comma_separated(features), labels=labels, key=key)
        folder = None if out is None else out / 'training'
        keywords: dict[str, Any] = {'carried_over': carried_over, 'folder': folder, 'resume': resume}
        outcome = inputs.run(settings, unlabelled=extra, progress=bars, **keywords)
    answer = with_notes(abaw_facts(outcome), notes)
    if out is not None:
        save_abaw(out, outcome, answer)
    unsubmitted = [] if out is None else _written_submissions(outcome, out / 'submissions')
    if as_json:
        say_json(answer)
        return
    say(sheet_tables(abaw_sheet(outcome)), columns=80)
    if out is not None:
        say(f'page {out / "abaw.html"}')
    if unsubmitted:
        reason = 'other classes or action units than the challenge has'
        say(f'no submission to {", ".join(unsubmitted)}: {reason}', style='yellow')


def _written_submissions(outcome: Abaw, folder: Path) -> list[str]:
    """Writes the predictions in the official format; returns the tracks that cannot be submitted."""
    from affekt.challenges import write_answers

    written = {submission.track for submission in write_answers(outcome.answers, folder)}
    answered = {f'abaw6-{task}' for (task, _), table in outcome.answers.items() if len(table)}
    return sorted(answered - written)


def _comma_separated(texts: Sequence[str]) -> list[str]:
    return [part for text in texts for part in text.split(',') if part]


def _clocks(text: str) -> Any:
    """One method for all features, or a mapping from feature to method.

    Raises:
        UnknownNameError: both are given.
    """
    parts = text.split(',')
    if parts == [text] and '=' not in text:
        return text
    if bare := [part for part in parts if '=' not in part]:
        raise UnknownNameError(
            expected='--clock with one method, or NAME=METHOD with commas between', came=f'{bare[0]!r} in {text!r}',
            todo='name the feature of this method',
        )  # fmt: skip
    return {name: method for name, _, method in (part.partition('=') for part in parts)}


def _losses(text: str) -> dict[str, Any]:
    """Loss setting to its value.

    Raises:
        UnknownNameError: a setting without a value, or twice; or see `loss_settings`.
        MissingExtraError: torch is missing.
    """
    if not text:
        return {}
    require_torch()
    from affekt.sequence_models import loss_settings

    pairs = [(name.strip(), value.strip()) for name, _, value in (part.partition('=') for part in text.split(','))]
    names = [name for name, _ in pairs]
    if invalid := [name for name, value in pairs if not value or names.count(name) > 1]:
        raise UnknownNameError(
            expected='--loss with NAME=VALUE, each name once', came=f'{invalid[0]!r} in {text!r}',
            todo='give each setting one value',
        )  # fmt: skip
    return loss_settings(dict(pairs))


def _require_pseudo_labels(pseudo_labels: bool, unlabelled: Path | None, features: Sequence[str]) -> None:
    options = {'--pseudo-labels': pseudo_labels, '--unlabelled': unlabelled, '--unlabelled-features': features}
    if (unlabelled is not None and not pseudo_labels) or (unlabelled is None) != (not features):
        raise UnknownNameError(
            expected='--pseudo-labels, and for other videos --unlabelled with --unlabelled-features',
            came=' and '.join(option for option, value in options.items() if value), todo='give them together',
        )  # fmt: skip


def _require_one_source(made_up: bool, out: Path | None, given: Sequence[str]) -> None:
    """Checks that either files or --made-up are given, and no option of the other."""
    if made_up and (given or out is None):
        raise UnknownNameError(
            expected='--made-up with --out, and no files',
            came=f'--made-up with {" and ".join(given)}' if given else '--made-up without --out',
            todo='leave the files out: the synthetic corpus and its features are written to --out',
        )
    if not made_up and not {'--corpus', '--features'} <= set(given):
        raise UnknownNameError(
            expected='--corpus and --features, or --made-up', came=' and '.join(given) or 'neither',
            todo='import the corpus and extract features first, or try --made-up',
        )  # fmt: skip
    if not made_up:
        refuse_unused('--made-up', *OF_MADE_UP)
    if out is None:
        refuse_unused('--out', 'resume')


@bench.command('reenact')
@click.option('--pairs', 'table', required=True, type=PATH, help='Table with the columns driver and portrait.')
@click.option('--out', default='reenactment', type=PATH, help='Folder for tables, sheet, page (default reenactment).')
@click.option('--fps', 'rate_hz', type=float, default=5.0, help='Frames measured per second (default 5).')
@click.option('--engine', type=Named(ENGINES), help='Engine that draws (default geometric; diffusion with --weights).')
@painting_options
@click.option(
    '--lpips', type=PATH, metavar='FILE', help="Weights for LPIPS: lpips.LPIPS(net='alex') as saved by torch."
)
@click.option('--fid', type=PATH, metavar='FILE', help='Image network in ONNX for FID, such as Inception.')
@click.option('--fvd', type=PATH, metavar='FILE', help='Video network in ONNX for FVD, such as I3D.')
@click.option(
    '--without-identity', is_flag=True, help='Do not use the face identity network, which is for research only.'
)
@click.option('--seed', type=SEED, default=0, help='Random seed of the intervals (default 0).')
@click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
@PORTRAYED_OPTION
@CONSENT_NOTE_OPTION
@AGE_OPTION
@AS_JSON
def bench_reenact_command(
    table: Path,
    out: Path,
    rate_hz: float,
    without_identity: bool,
    lpips: Path | None,
    fid: Path | None,
    fvd: Path | None,
    seed: int,
    resume: bool,
    portrayed: str | None,
    consent_note: str,
    age_years: float | None,
    engine: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Reenact every pair of a table and measure the results.

    \b
    affekt bench reenact --pairs pairs.csv --portrayed agreed
    affekt bench reenact --pairs pairs.csv --lpips lpips.pth --out run --resume

    A row without a portrait animates the driver's own first frame:
    each frame is then compared with the driver's. Means over pairs come with
    intervals over pairs, a signed contact sheet and a page. FID and FVD are
    computed over all such frames, and comparable only at equal numbers of them.
    """
    from affekt.faces import FaceIdentity
    from affekt.reenactment import ReenactSettings, compare_reenactment, read_pairs

    is_painted = engine == 'diffusion' or (engine is None and options['weights'] is not None)
    settings = ReenactSettings(**asked_painting(options, is_painted=is_painted))
    pairs = read_pairs(table)
    networks = None
    if lpips or fid or fvd:
        require_torch()
        from affekt.diffusion import PictureNetworks

        networks = PictureNetworks(lpips, fid, fvd)
    consent = asked_consent(portrayed, consent_note, age_years)
    fetch(['face_landmarker.task'] if without_identity else ['face_landmarker.task', 'face-identity'])
    with StageBars() as bars:
        outcome = compare_reenactment(
            pairs, out, consent=consent, settings=settings, rate_hz=rate_hz, seed=seed, progress=bars,
            identity=None if without_identity else FaceIdentity(), networks=networks,
            resume=resume,
        )  # fmt: skip
    if as_json:
        summary = {
            name: {metric: [pooled.value, pooled.low, pooled.high] for metric, pooled in metrics.items()}
            for name, metrics in outcome.summary.items()
        }
        say_json({
            'out': str(outcome.folder), 'pairs': len(outcome.pairs), 'left_out': dict(outcome.left_out),
            'summary': summary,
            'resumed': outcome.resumed,
            'sets': plain({name: {'value': value, 'samples': count} for name, (value, count) in outcome.sets.items()}),
        })  # fmt: skip
        end_with(outcome.left_out)
        return
    for name, metrics in outcome.summary.items():
        say('self-reenactment:' if name == 'self' else 'cross-reenactment:')
        for metric, interval in metrics.items():
            say(f'  {metric:22}{interval}')
    for name, (value, count) in outcome.sets.items():
        samples = f'{counted(count, "sample")} a side'
        value_text = f'{value:.4g}, {samples}' if math.isfinite(value) else f'unknown: {samples}, where 2 are needed'
        say(f'{name.upper()} {value_text}')
    resumed_text = f', {outcome.resumed:,} of them from an earlier run' if outcome.resumed else ''
    say(f'{counted(len(outcome.pairs), "pair")}{resumed_text}: {outcome.folder / "page.html"}')
    end_with(outcome.left_out)
