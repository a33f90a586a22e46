"""Verbs for the tracks of the MER and ABAW challenges: track train, track write, track check, track score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import SEED, WORD_TABLES, Named, fusion_models, tracks, tracks_of_all
from affekt.cli.group import AS_JSON, main, table_notes
from affekt.terminal import StageBars, plain_table, say, say_json
from affekt.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from affekt.challenges import FrameSubmission, Submission, TrackAnswers, TrackScore
    from affekt.metrics import Interval

PATH = click.Path(path_type=Path)
PARTITIONS = ('train', 'val', 'test')
FRAMES_HELP = 'Frames to answer (ABAW): list of frames, table of frames or its manifest, or folder of face images.'
PARTITION_HELP = 'Partition of that table (default: test if its frames are known, else val).'


@main.group()
def track() -> None:
    """Train for the tracks of the MER challenges; write, check and score submissions of MER and ABAW.

    TRACK is a track of free words (mer2024-ov, mer2025-track2, mer2026-track2), of a category and valence
    (mer2023-multi, mer2023-noise), of a category (mer2023-semi, mer2024-semi, mer2024-noise, mer2025-track1,
    mer2026-track1), or of every frame (abaw6-expr, abaw6-va, abaw6-au, abaw6-mtl).
    """


class Numbers(click.ParamType[tuple[float, ...]]):
    """A parameter that takes numbers separated by commas."""

    name = 'NUMBER[,NUMBER]'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """(0.5, 0.9) from '0.5,0.9'"""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(',') if part)
        except ValueError:
            self.fail(f'{value!r} is not a list of numbers such as 0.5,0.9', param, ctx)


@track.command()
@click.argument('name', metavar='TRACK', type=Named(tracks))
@click.option('--manifest', required=True, type=PATH, help='Manifest of the labelled clips: train, and val if present.')
@click.option(
    '--unlabelled', type=PATH, help='Manifest of the clips to predict (default: the other clips of --manifest).'
)
@click.option('--features', required=True, metavar='STORE[,STORE]', help='Stores, separated by commas.')
@click.option(
    '--unlabelled-features', metavar='STORE[,STORE]', help='Stores of the unlabelled clips, if in separate ones.'
)
@click.option('--candidates', type=PATH, help="List of the challenge's names; only their predictions are written.")
@click.option('--out', required=True, type=PATH, help='Folder for predictions.csv and every finished run.')
@click.option(
    '--model', default='attention', type=Named(fusion_models), metavar='NAME', help='Fusion model (default attention).'
)
@click.option(
    '--semi',
    type=Named(('none', 'pseudo', 'consistency')),
    default='none',
    help='Use of unlabelled clips (default none).',
)
@click.option(
    '--threshold',
    'thresholds',
    type=Numbers(),
    default='0.5,0.7,0.9',
    help='Confidence thresholds of pseudo-labels (default 0.5,0.7,0.9); validation chooses one.',
)
@click.option(
    '--share',
    'shares',
    type=Numbers(),
    default='',
    help='Shares of the most confident clips per category, also tried (pseudo).',
)
@click.option('--balanced', is_flag=True, help='Limit every category to its share of the labelled clips (pseudo).')
@click.option(
    '--trials', type=click.IntRange(1, 10_000), default=4, help='Number of random settings to try (default 4).'
)
@click.option(
    '--folds',
    type=click.IntRange(2, 100),
    default=5,
    help='Folds over the labelled clips, if there is no val (default 5).',
)
@click.option(
    '--seeds', type=click.IntRange(1, 100), default=1, help='Number of seeds for the chosen settings (default 1).'
)
@click.option('--epochs', type=click.IntRange(1, 10_000), default=100, help='Maximum number of epochs (default 100).')
@click.option(
    '--patience',
    type=click.IntRange(1, 10_000),
    default=10,
    help='Epochs without improvement before training stops (default 10).',
)
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
@click.option('--allow-missing', is_flag=True, help='Accept clips without features of a modality.')
@click.option('--resume', is_flag=True, help='Continue the interrupted run in --out.')
@AS_JSON
def train(
    name: str,
    manifest: Path,
    unlabelled: Path | None,
    features: str,
    unlabelled_features: str | None,
    candidates: Path | None,
    out: Path,
    resume: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train on labelled clips, with or without unlabelled ones, and predict all unlabelled ones.

    \b
    affekt track train mer2024-semi --manifest mer2024.parquet \\
        --features features/minilm-utt --semi pseudo --out run
    affekt track write mer2024-semi run/predictions.csv --out submission.csv

    Needs torch.
    """
    from affekt.challenges import TrackSettings, read_candidates, save_track, track_facts, train_track
    from affekt.corpora import Manifest
    from affekt.experiments import open_stores

    settings = TrackSettings(**options)
    labelled = Manifest.load(manifest)
    if unlabelled is None:
        predicted = labelled.take(~labelled.coded('split').where(('train', 'val')))
    else:
        predicted = Manifest.load(unlabelled)
    with table_notes():
        names = read_candidates(candidates) if candidates else None
    with StageBars(name_width=10) as bars:
        trained = train_track(
            name,
            labelled,
            predicted,
            open_stores(features.split(',')),
            settings,
            unlabelled_stores=open_stores(unlabelled_features.split(',')) if unlabelled_features else None,
            folder=out,
            resume=resume,
            progress=bars,
        )
    path = save_track(out, trained, names)
    if as_json:
        say_json(track_facts(trained) | {'predictions': str(path)})
        return
    _show_training(trained, path)


def _show_training(trained: TrackAnswers, path: Path) -> None:
    """Prints the validation scores, notes, and the path of the predictions."""

    def mean(scores: tuple[float, ...]) -> str:
        single_scores = f' ({" ".join(f"{score:z.4f}" for score in scores)})' if len(scores) > 1 else ''
        return f'{sum(scores) / len(scores):z.4f}{single_scores}'

    say(f'{trained.track.score} on the clips that chose the settings, so slightly optimistic:')
    say(f'  labelled clips alone  {mean(trained.labelled_alone)}')
    if trained.semi is not None:
        selection = (
            f'share {trained.semi["share"]:g}' if trained.semi['share'] else f'threshold {trained.semi["threshold"]:g}'
        )
        say(f'  {trained.settings.semi + ", " + selection:<21} {mean(trained.with_unlabelled)}')
        if sum(trained.with_unlabelled) <= sum(trained.labelled_alone):
            say('unlabelled clips did not help on validation; compare --semi none', style='yellow')
    failed_runs = {status: count for status, count in trained.statuses.items() if status != 'healthy'}
    if failed_runs:
        say(', '.join(f'{count} runs {status}' for status, count in failed_runs.items()), style='yellow')
    for modality, count in trained.missing.items():
        say(f'{counted(count, "clip")} without {modality}')
    if trained.unread:
        unread = f'{counted(trained.unread, "clip")} without any features: answered with the most frequent category'
        say(unread, style='yellow')
    for note in trained.notes:
        say(note, style='yellow')
    say(f'{path}: {counted(len(trained.names), "answer")}')


@track.command()
@click.argument('name', metavar='TRACK', type=Named(tracks_of_all))
@click.argument('prediction', type=PATH)
@click.option(
    '--out', required=True, type=PATH, help='Submission: .csv; mer2025-track2: …-openset.npz; mer2026-track2: either.'
)
@click.option('--candidates', type=PATH, help="List of the challenge's names (default: those of the prediction).")
@click.option('--frames', type=PATH, help=FRAMES_HELP)
@click.option('--partition', type=Named(PARTITIONS), help=PARTITION_HELP)
@click.option('--allow-empty', is_flag=True, help='Accept answers without a label, which score 0.')
def write(
    name: str,
    prediction: Path,
    out: Path,
    candidates: Path | None,
    frames: Path | None,
    partition: str | None,
    allow_empty: bool,
) -> None:
    """Write PREDICTION as a submission, and check it.

    PREDICTION has the columns name and openset, or name, discrete and, if the track needs it, valence. For the
    tracks of ABAW it is a table of frames (.parquet).
    """
    from affekt.challenges import FRAME_TRACKS, read_candidates, track_named, write_submission
    from affekt.files import require_own_output

    require_own_output(out, (prediction, candidates, frames))
    if name in FRAME_TRACKS:
        _refuse(name, candidates=candidates, allow_empty=allow_empty or None)
        _write_frames(name, prediction, out, frames, partition or '')
        return
    _refuse(name, frames=frames, partition=partition)

    with table_notes():
        names = read_candidates(candidates) if candidates else None
        answers = track_named(name).read(prediction)
    written = write_submission(name, answers, out, names, allow_empty=allow_empty)
    say(f'{written.path}: {counted(written.rows, "answer")}, {_labels(written)}')


@track.command()
@click.argument('name', metavar='TRACK', type=Named(tracks_of_all))
@click.argument('file', type=PATH)
@click.option('--candidates', type=PATH, help="List of the challenge's names; needed by the tracks of MER.")
@click.option('--frames', type=PATH, help=FRAMES_HELP)
@click.option('--partition', type=Named(PARTITIONS), help=PARTITION_HELP)
@click.option('--allow-empty', is_flag=True, help='Accept answers without a label, which score 0.')
def check(
    name: str, file: Path, candidates: Path | None, frames: Path | None, partition: str | None, allow_empty: bool
) -> None:
    """Check a submission FILE: every problem at once, with its row or line.

    Without --frames the lines of an ABAW submission are checked, but not whether every frame is answered.
    """
    from affekt.challenges import FRAME_TRACKS, check_submission, read_candidates

    if name in FRAME_TRACKS:
        _refuse(name, candidates=candidates, allow_empty=allow_empty or None)
        _check_frames(name, file, frames, partition or '')
        return
    _refuse(name, frames=frames, partition=partition)
    if candidates is None:
        raise click.MissingParameter(param_type='option', param_hint="'--candidates'")
    with table_notes():
        checked = check_submission(name, file, read_candidates(candidates), allow_empty=allow_empty)
    order = 'in the order of the candidates' if checked.follows_candidates else 'in another order than the candidates'
    empty = f', {checked.empty_answers} empty' if checked.empty_answers else ''
    say(f'{checked.path} is in order: {counted(checked.rows, "answer")} {order}, {_labels(checked)}{empty}')


def _refuse(track_name: str, **options: object) -> None:
    """Refuses options that are not None, since the track does not use them."""
    for name, value in options.items():
        if value is not None:
            option = f'--{name.replace("_", "-")}'
            raise click.BadOptionUsage(option, f'{option} is not for {track_name}')


def _write_frames(name: str, prediction: Path, out: Path, frames: Path | None, partition: str) -> None:
    from affekt.challenges import frames_to_answer, write_frame_submission
    from affekt.frames import FrameTable

    required_frames = frames_to_answer(name, frames, partition) if frames else None
    written = write_frame_submission(name, FrameTable.load(prediction), out, required_frames)
    say(f'{written.path}: {_of_frames(written)}')


def _check_frames(name: str, file: Path, frames: Path | None, partition: str) -> None:
    from affekt.challenges import check_frame_submission, frames_to_answer

    if frames is None and partition:
        raise click.BadOptionUsage('--partition', '--partition selects within the table of --frames: give both')
    required_frames = None if frames is None else frames_to_answer(name, frames, partition)
    checked = check_frame_submission(name, file, required_frames)
    if frames is None:
        say(f'{checked.path}: every line is in order: {_of_frames(checked)}')
        say('note: missing frames were not checked for: name the frames with --frames', style='yellow')
    else:
        order = 'in the order' if checked.follows_frames else 'in another order than that'
        say(f'{checked.path} is in order: {_of_frames(checked)}, {order} of {frames}')
    if not checked.has_last_line_end:
        say('note: the last line has no line end: check that the file is not truncated', style='yellow')


def _of_frames(submission: FrameSubmission) -> str:
    counts = ''.join(f', {name} {count:,}' for name, count in submission.counts.items())
    return f'{counted(submission.rows, "frame")} of {counted(submission.videos, "video")}{counts}'


def _labels(submission: Submission) -> str:
    """The count of each category, or the mean number of labels per answer."""
    if submission.counts:
        return ', '.join(
            f'{name} {count}' for name, count in sorted(submission.counts.items(), key=lambda item: -item[1])
        )
    return f'{submission.labels_per_answer:.1f} labels each'


@track.command('score')
@click.argument('name', metavar='TRACK', type=Named(tracks_of_all))
@click.argument('prediction', type=PATH)
@click.option(
    '--truth',
    required=True,
    type=PATH,
    help="Table with the track's columns; only its samples are scored. ABAW: a table of frames, its manifest, or a "
    "release's folder.",
)
@click.option('--partition', type=Named(PARTITIONS), help='Partition to score (ABAW; default: test, or val).')
@click.option('--groups', type=PATH, help='Stored synonym groups for mer2024-ov: openset-synonym.zip or name,groups.')
@click.option(
    '--tables',
    type=Named(WORD_TABLES, others='PATH'),
    help="Word table, if not the challenge's, or a folder that holds it.",
)
@click.option(
    '--resamples', type=click.IntRange(0, 100_000), default=1000, help='Resamples of the intervals (default 1000).'
)
@click.option('--seed', type=SEED, default=0, help='Random seed of the resamples (default 0).')
@AS_JSON
def score_command(
    name: str,
    prediction: Path,
    truth: Path,
    partition: str | None,
    groups: Path | None,
    tables: str | None,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Score PREDICTION as the challenge does."""
    import numpy as np

    from affekt.challenges import FRAME_TRACKS, read_groups, score_track, track_named
    from affekt.pages.figures import bounds

    rng = np.random.default_rng(seed)
    if name in FRAME_TRACKS:
        _refuse(name, groups=groups, tables=tables)
    else:
        _refuse(name, partition=partition)
    with table_notes() as notes:
        if name in FRAME_TRACKS:
            scored = _scored_frames(name, truth, prediction, partition or '', rng, resamples)
        else:
            track = track_named(name)
            scored = score_track(
                name,
                track.read(truth),
                track.read(prediction),
                rng=rng,
                table=tables,
                groups=read_groups(groups) if groups else None,
                resamples=resamples,
            )
    if as_json:
        parts = {
            part: {'value': interval.value, 'interval': bounds(interval)} for part, interval in scored.parts.items()
        }
        answer = {'track': scored.track, 'metric': scored.metric, 'score': scored.score.value}
        answer |= {'interval': bounds(scored.score), 'parts': parts, 'samples': scored.samples}
        answer |= {'table': scored.table, 'table_is_official': scored.table_is_official}
        say_json(answer | {'notes': notes})
        return
    say(f'{scored.track}, {scored.samples:,} {"frames" if name in FRAME_TRACKS else "samples"}')
    if scored.table:
        say(f'word table {scored.table}', style='' if scored.table_is_official else 'yellow')
    if name in FRAME_TRACKS and resamples and scored.score.low != scored.score.low:
        say('note: no interval, since that needs labelled frames of at least two recordings', style='yellow')
    if not scored.table_is_official:
        say("not the challenge's table: this is not its score", style='yellow')
    say()
    result_table = plain_table('', 'value [95 %]')
    metric_name = scored.metric if name in FRAME_TRACKS else ''
    result_table.add_row(scored.metric, _value(metric_name, scored.score), style='bold')
    for part, interval in scored.parts.items():
        result_table.add_row(part, _value(part, interval))
    say(result_table)


def _scored_frames(
    name: str, truth: Path, prediction: Path, partition: str, rng: np.random.Generator, resamples: int
) -> TrackScore:
    from affekt.challenges import read_frame_answers, read_frame_truth, score_frames

    frame_truth, answers = read_frame_truth(name, truth), read_frame_answers(name, prediction)
    return score_frames(name, frame_truth, answers, rng=rng, partition=partition, resamples=resamples)


def _value(part: str, interval: Interval) -> str:
    """A share in per cent; an error, a correlation or a sum of scores in its own unit."""
    from affekt.pages.figures import spread

    if not any(word in part.lower() for word in ('error', 'ccc', 'pearson', 'sum')):
        return spread(interval.value, interval)
    bounds_text = '' if interval.low != interval.low else f' [{interval.low:z.3f} {interval.high:z.3f}]'
    return f'{interval.value:z.4f}{bounds_text}'.replace('-', '\N{MINUS SIGN}')
