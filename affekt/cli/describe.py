"""Verbs that describe in words: describe, and below it inspect and train."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from affekt.cli.choices import SEED, Named, Pairs, recognisers, refuse_unused, servers
from affekt.cli.group import AS_JSON, end_with, main
from affekt.cli.help import OwnArgument, VerbWithVerbs
from affekt.cli.views import described_parts
from affekt.terminal import StageBars, plain_table, say, say_json
from affekt.wording import counted, said_once

if TYPE_CHECKING:
    from affekt.batch import DescribedClip, Describing
    from affekt.description import DescribeSettings, InspectedDescriber
    from affekt.experiments import DescriberForm, LearntDescriber, Rewarding

PATH = click.Path(path_type=Path)
SHOWN = 20
"""Maximum number of clips whose answers are shown in full; for more, one line each."""
SHOWN_REASONS = 5
"""Maximum number of reasons for which left-out clips are counted."""


@main.group('describe', cls=VerbWithVerbs)
@click.argument('paths', cls=OwnArgument, nargs=-1, required=True, type=PATH)
@click.option(
    '--model',
    metavar='PATH|NAME',
    help='Describer: small, plain, a training folder, a published checkpoint, or a model name at the server.',
)
@click.option(
    '--endpoint', default='', metavar='URL', help='Server of a model to ask, such as http://localhost:8000/v1.'
)
@click.option(
    '--server',
    type=Named(servers),
    default='openai',
    help='Kind of server, which decides how media are sent (default openai).',
)
@click.option('--at-once', type=click.IntRange(1, 256), default=4, help='Concurrent requests to it (default 4).')
@click.option('--timeout', 'timeout_s', type=float, default=120.0, help='Seconds to wait for an answer (default 120).')
@click.option(
    '--frames', type=click.IntRange(0, 64), default=8, help='Maximum number of frames to send; 0 for none (default 8).'
)
@click.option('--no-sound', 'is_sound_sent', is_flag=True, default=True, flag_value=False, help='Do not send audio.')
@click.option('--no-probe', 'is_probed', is_flag=True, default=True, flag_value=False,
              help='Do not first check that media reach its model.')  # fmt: skip
@click.option('--trunk', metavar='PATH', help='Language model, if the folder does not name it: folder or GGUF.')
@click.option(
    '--recipe',
    'recipes',
    type=Pairs(),
    multiple=True,
    help='Feature recipe of a source, if the folder does not name it.',
)
@click.option('--question', metavar='TEXT', help='Question, instead of the one used in training.')
@click.option('--transcript', type=PATH, help='Transcript of the one clip: SRT, VTT, TextGrid, ELAN or plain text.')
@click.option(
    '--asr', type=Named(recognisers, others='PATH'), default='tiny.en',
    help='Speech recognition without a transcript: tiny.en (default), base, none, or a path.',
)  # fmt: skip
@click.option('--labels', 'labels_only', is_flag=True, help='Labels only: one line per clip, or a list with --json.')
@click.option('--out', type=PATH, help='Folder for answers and tables.')
@click.option('--resume', is_flag=True, help='Continue an interrupted run in OUT.')
@click.option('--limit', type=click.IntRange(1), metavar='N', help='Maximum number of clips, from the first.')
@click.option('--root', type=PATH, help='Folder that the media of a manifest are in now, if they moved.')
@click.option('--tokens', type=click.IntRange(1), help='Maximum tokens per answer.')
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
    **options: Any,
) -> None:
    """Describe in words how people come across, and by which cues.

    \b
    affekt describe clip.mp4
    affekt describe clips/ --out described --resume
    affekt describe clip.mp4 --model small --labels
    affekt describe clip.mp4 --model run/describer --json
    affekt describe manifest.parquet --model affectgpt.pth --trunk qwen

    PATHS are media files, folders of them, or one manifest. Without --model, or with --model plain, sentences are made
    from measurements. --model small uses the small describer in affekt, and downloads its language model
    (98 MB) if it is absent. --endpoint asks a model on a server (key in AFFEKT_LLM_KEY). Anything that a clip
    lacks is never described. With --out each answer is saved at once; a clip that fails does not affect the others, and
    --resume tries it again.
    """
    from affekt.batch import describe_many, open_describing

    if resume and out is None:
        raise click.UsageError('--resume continues a run in a folder: give --out too')
    settings = _settings_of(options)
    clips: list[DescribedClip] = []
    with contextlib.ExitStack() as stack:
        describer = open_describing(settings)
        if note := getattr(describer, 'note', ''):
            say(note, err=True, style='yellow')
        stack.callback(getattr(describer, 'close', lambda: None))
        bars = stack.enter_context(StageBars(name_width=8))

        def advanced(clip: DescribedClip, done: int, total: int) -> None:
            bars('describe', done, total)

        answers = describe_many(
            paths, settings, out=out, resume=resume, root=root, limit=limit, describer=describer, advanced=advanced
        )
        clips.extend(answers)
    failed = [clip.name for clip in clips if clip.described.failure]
    if as_json:
        say_json({
            'describer': describer.name, 'out': str(out) if out else None, 'failed': len(failed),
            'clips': [_labels_alone(clip) if labels_only else clip.to_dict() for clip in clips],
        })  # fmt: skip
    elif labels_only:
        reasons = _reasons(clips)
        for clip in clips:
            say(f'{clip.name}: {reasons[clip.name] or ", ".join(clip.described.labels) or "no label"}')
    else:
        _say_described(clips, describer.name, out)
    end_with(failed)


def _reasons(clips: Sequence[DescribedClip]) -> dict[str, str]:
    """Clip to the reason why it is not described, each reason in full once; '' for described clips."""
    return said_once({clip.name: clip.described.failure for clip in clips})


def _labels_alone(clip: DescribedClip) -> dict[str, Any]:
    return {'name': clip.name, 'labels': list(clip.described.labels), 'failure': clip.described.failure}


def _settings_of(options: Mapping[str, Any]) -> Describing:
    from affekt.batch import Describing

    named = {name: value for name, value in options.items() if value is not None and name != 'recipes'}
    settings: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}
    return Describing(**settings, recipes=dict(options['recipes']))


def _say_described(clips: Sequence[DescribedClip], name: str, out: Path | None) -> None:
    """Prints each answer as a block, or on one line if there are many clips."""
    reasons = _reasons(clips)
    for clip in clips:
        described = replace(clip.described, failure=reasons[clip.name])
        if len(clips) > SHOWN:
            text = f'not described: {described.failure}' if described.failure else described.text
            say(f'{clip.name}: {text}', style='yellow' if described.failure else '')
            continue
        say()
        say(clip.name, style='bold')
        say(*described_parts(described), columns=80)
    failed = sum(bool(clip.described.failure) for clip in clips)
    say()
    written = f'; {out / "descriptions.csv"}' if out else ''
    failures = f', {failed} failed' if failed else ''
    say(f'{counted(len(clips) - failed, "clip")} described by {name}{failures}{written}', style='dim')


@describe_command.command('train')
@click.option(
    '--stage', type=Named(('single', 'coarse', 'fine', 'prefer', 'reward')), default='single',
    help='Stage: single (default), or coarse and then fine; then prefer (pairs of answers) or reward.',
)  # fmt: skip
@click.option('--manifest', 'path', required=True, type=PATH, help='Manifest of the clips (.parquet).')
@click.option('--root', type=PATH, help='Folder that the media are in now, if they moved.')
@click.option(
    '--features', required=True, multiple=True, metavar='STORE',
    help='Store of features; SOURCE=STORE names its source (default voice, face, sentence). Repeatable.',
)  # fmt: skip
@click.option('--out', required=True, type=PATH, help='Folder of the run: checkpoints, log, curves, describer.')
@click.option('--trunk', default='', metavar='PATH', help='Language model: a folder, a GGUF file or a registered name.')
@click.option('--init', type=PATH, help='Describer to continue from: the folder of the previous stage.')
@click.option('--sources', default='', metavar='NAMES', help='Sources to use, in the order of prompts (default all).')
@click.option('--no-words', is_flag=True, help='Leave spoken words out of prompts.')
@click.option('--descriptions', type=PATH, help='Table of written descriptions, instead of template answers.')
@click.option('--column', metavar='NAME', help='Column of descriptions (default description, reason, english …).')
@click.option('--preference', type=PATH, help='Table of judged pairs of answers (stage prefer).')
@click.option(
    '--validation', default='', metavar='PART',
    help='Validation clips: COLUMN=VALUE, or a share of speakers (default: split=val, else 0.15).',
)  # fmt: skip
@click.option('--steps', type=click.IntRange(1), default=1000, help='Maximum number of steps (default 1000).')
@click.option('--batch-size', type=click.IntRange(1), default=16, help='Maximum examples per batch (default 16).')
@click.option('--batch-tokens', type=click.IntRange(1), help='Maximum tokens of a padded batch.')
@click.option(
    '--sorted-batches', type=click.IntRange(1), default=16,
    help='Number of batches sorted by length together; 1 mixes all (default 16).',
)  # fmt: skip
@click.option('--accumulation', type=click.IntRange(1), default=1, help='Batches per step (default 1).')
@click.option(
    '--learning-rate', type=click.FloatRange(0, min_open=True), default=1e-3,
    help='Learning rate of the soft-token modules (default 1e-3).',
)  # fmt: skip
@click.option(
    '--adapter-rate', type=click.FloatRange(0), default=2e-4, help='Learning rate of the adapters (default 2e-4).'
)
@click.option(
    '--label-weight', type=click.FloatRange(0, min_open=True), default=3.0,
    help='Weight of label words in the loss; others have 1 (default 3).',
)  # fmt: skip
@click.option(
    '--withheld', type=click.FloatRange(0, 1, max_open=True), default=0.1,
    help='Share of examples in which a source, or the words, is withheld (default 0.1).',
)  # fmt: skip
@click.option('--answer-tokens', type=click.IntRange(1), default=64, help='Maximum tokens of answers (default 64).')
@click.option(
    '--score', type=Named(('uar', 'f')), default='uar', help='Label score that chooses the step (default uar).'
)
@click.option('--evaluate-every', type=click.IntRange(1), default=100, help='Steps between evaluations (default 100).')
@click.option('--patience', type=click.IntRange(1), help='Evaluations without improvement before stopping.')
@click.option('--soft-tokens', type=click.IntRange(1), default=1, help='Soft tokens per source (default 1).')
@click.option(
    '--fusion', type=Named(('softmax', 'gated', 'mean', 'published')), default='softmax',
    help='Fusion over the time steps of a source (default softmax).',
)  # fmt: skip
@click.option(
    '--form', type=Named(('affectgpt-2025', 'affectgpt-2023')),
    help='Published form: its fusions, soft tokens, prompts and adapters, for sources voice, face, frame.',
)  # fmt: skip
@click.option('--rank', type=click.IntRange(1), default=16, help='Rank of the adapters (default 16).')
@click.option(
    '--beta',
    type=float,
    default=0.1,
    help='Strength of staying close to the initial describer, in prefer (default 0.1).',
)
@click.option('--draws', type=click.IntRange(2), default=8, help='Answers sampled per clip in reward (default 8).')
@click.option(
    '--kl-weight', type=click.FloatRange(0), default=0.04, help='Weight of the KL divergence in reward (default 0.04).'
)
@click.option('--gain-of', default='', metavar='SOURCE', help='Source, or words, whose contribution is also rewarded.')
@click.option(
    '--gain-weight', type=click.FloatRange(0), help='Weight of that contribution (default 0.1 with --gain-of).'
)
@click.option('--precision', type=Named(('auto', 'float32', 'bfloat16', 'float16')), default='auto',
              help='Precision of products (default auto).')  # fmt: skip
@click.option('--device', default='cpu', help='Device to train on: cpu (default), cuda, cuda:1, …')
@click.option('--seed', type=SEED, default=0, help='Random seed (default 0).')
@click.option('--resume', is_flag=True, help='Continue the run in OUT.')
@AS_JSON
def train_command(
    stage: str,
    path: Path,
    root: Path | None,
    features: Sequence[str],
    out: Path,
    descriptions: Path | None,
    column: str | None,
    preference: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a describer on cached features of a manifest.

    \b
    affekt features extract m.parquet --recipe acoustics-utt --out features
    affekt describe train --stage coarse --manifest m.parquet \\
        --features features/acoustics-utt --out coarse
    affekt describe train --stage fine --manifest m.parquet \\
        --features features/acoustics-utt --init coarse --out fine
    affekt describe clip.mp4 --model fine

    Answers are templates filled from categories and measured readings, or come from --descriptions. Validation is by
    speakers; the step with the best generated labels is kept. After an interruption, add --resume. Several
    devices train together under torchrun or `accelerate launch`.
    """
    from affekt.clips import is_first_process
    from affekt.corpora import Manifest
    from affekt.experiments import learn_describer, named_stores
    from affekt.llm import read_descriptions
    from affekt.preference import read_pairs

    _refuse_options_of_other_stages(stage, options, has_descriptions=descriptions is not None)
    settings, form, rewarding = _training_settings(stage, options)
    stores = named_stores([store.strip() for text in features for store in text.split(',') if store.strip()])
    manifest = Manifest.load(path, root)
    is_first = is_first_process()
    with StageBars(name_width=8) if is_first else contextlib.nullcontext() as bars:
        learnt = learn_describer(
            manifest, stores, settings, folder=out, trunk=options['trunk'], init=options['init'], form=form,
            sources=tuple(name.strip() for name in options['sources'].split(',') if name.strip()),
            words=not options['no_words'], rewarding=rewarding, validation=options['validation'],
            descriptions=read_descriptions(descriptions, column) if descriptions else None,
            pairs=read_pairs(preference, judged=True) if preference else None, resume=options['resume'],
            progress=bars, report=_evaluation_reporter() if is_first else None,
        )  # fmt: skip
    if is_first:
        _say_learnt(learnt, as_json)


_OF_OTHER_STAGES: Mapping[str, tuple[str, ...]] = {
    'single, coarse or fine': ('label_weight', 'score', 'withheld'),
    'single, coarse, fine or reward': ('descriptions', 'column', 'answer_tokens'),
    'prefer': ('preference', 'beta'),
    'reward': ('draws', 'kl_weight', 'gain_of', 'gain_weight'),
}
"""Stages in words, to the options that no other stage reads."""


def _refuse_options_of_other_stages(stage: str, options: Mapping[str, Any], *, has_descriptions: bool) -> None:
    """Checks that each given option affects this stage."""
    for stages, names in _OF_OTHER_STAGES.items():
        if stage not in stages.replace(' or ', ', ').split(', '):
            refuse_unused(f'--stage {stages}', *names)
    if options['init'] is not None:
        refuse_unused('a new describer (without --init)', 'soft_tokens', 'fusion', 'rank', 'form')
    if options['form'] is not None:
        refuse_unused('a form of your own (without --form)', 'soft_tokens', 'fusion', 'rank')
    if not has_descriptions:
        refuse_unused('--descriptions', 'column')
    if not options['gain_of']:
        refuse_unused('--gain-of', 'gain_weight')


def _training_settings(stage: str, options: Mapping[str, Any]) -> tuple[DescribeSettings, DescriberForm, Rewarding]:
    from affekt.description import DescribeSettings
    from affekt.experiments import DescriberForm, Rewarding

    steps = options['steps']
    evaluate_every = min(options['evaluate_every'], steps)
    log_every = next(count for count in range(10, 0, -1) if evaluate_every % count == 0)
    names = (
        'batch_size', 'batch_tokens', 'sorted_batches', 'accumulation', 'learning_rate', 'adapter_rate', 'label_weight',
        'withheld', 'answer_tokens', 'score', 'patience', 'precision', 'device', 'seed',
    )  # fmt: skip
    named: dict[str, Any] = {name: options[name] for name in names}
    settings = DescribeSettings(stage, steps=steps, evaluate_every=evaluate_every, log_every=log_every, **named)  # type: ignore[arg-type]
    form = DescriberForm(
        soft_tokens=options['soft_tokens'],
        fusion=options['fusion'],
        rank=options['rank'],
        published=options['form'] or '',
    )
    weight = options['gain_weight']
    rewarding = Rewarding(
        options['draws'], options['kl_weight'], gain_of=options['gain_of'], beta=options['beta'],
        gain_weight=(0.1 if options['gain_of'] else 0.0) if weight is None else weight,
    )  # fmt: skip
    return settings, form, rewarding


def _evaluation_reporter() -> Callable[[Mapping[str, float]], None]:
    """A function that prints the scores of each evaluation."""

    def report(row: Mapping[str, float]) -> None:
        if 'score' in row:
            say(f'step {row["step"]:,.0f}: loss {row["loss"]:.3f}, {_scores_in_words(row)} on validation', err=True)

    return report


def _scores_in_words(scores: Mapping[str, float]) -> str:
    names = {
        'mean_reward': 'reward', 'uar': 'recall of labels', 'f': 'F', 'valid': 'valid form',
        'judged_loss': 'loss of pairs', 'accuracy': 'pairs right',
    }  # fmt: skip
    return ', '.join(f'{words} {scores[name]:z.3f}' for name, words in names.items() if name in scores)


def _say_learnt(learnt: LearntDescriber, as_json: bool) -> None:
    trained = learnt.trained
    if as_json:
        say_json({
            'describer': str(learnt.folder), 'step': trained.step, 'scores': dict(trained.scores),
            'clips': dict(learnt.clips), 'validation': learnt.chosen_by, 'left_out': dict(learnt.left_out),
            'notes': list(learnt.notes), 'history': [dict(row) for row in trained.history],
        })  # fmt: skip
        return
    counts = ', '.join(f'{counted(count, "clip")} of {part}' for part, count in learnt.clips.items())
    say(f'{counts} ({learnt.chosen_by})')
    for note in learnt.notes:
        say(note, style='yellow')
    reasons = Counter(learnt.left_out.values())
    for reason, count in reasons.most_common(SHOWN_REASONS):
        say(f'left out: {counted(count, "clip")} ({reason})', style='yellow')
    say(f'kept step {trained.step:,}: {_scores_in_words(trained.scores)} on validation')
    say(f'describer {learnt.folder}')
    say(f'affekt describe clip.mp4 --model {learnt.folder}', style='dim')


@describe_command.command('inspect')
@click.argument('path')
@AS_JSON
def inspect_command(path: str, as_json: bool) -> None:
    """Show sources, fusions, adapters and sizes of a describer.

    \b
    affekt describe inspect affectgpt.pth
    affekt describe inspect run/describer --json

    PATH is a published checkpoint of AffectGPT, a training folder, or small. Nothing in it is run. A
    tensor that is absent, renamed or of another shape is named, and the file refused.
    """
    from affekt.description import inspected_describer

    inspected = inspected_describer(path)
    if as_json:
        say_json(inspected.to_dict())
    else:
        _say_inspected(inspected)


def _say_inspected(inspected: InspectedDescriber) -> None:
    form = {'published': 'a checkpoint of AffectGPT, as published', 'affekt': 'a describer that affekt trained'}
    name = str(inspected.notes.get('name') or inspected.path.name)
    say(f'{name}: {form[inspected.form]}', style='bold')
    adapters = inspected.adapters
    rows = {'language model': inspected.trunk or f'of width {inspected.trunk_width:,}'}
    if adapters:
        maps = ', '.join(name.removesuffix('_proj') for name in adapters.maps)
        rows['adapters'] = f'rank {adapters.rank}, alpha {adapters.alpha}, {inspected.trunk_layers} layers, on {maps}'
    else:
        rows['adapters'] = 'none: the language model is frozen'
    rows |= {'inputs': inspected.kind} if inspected.kind else {}
    if isinstance(questions := inspected.notes.get('questions'), Mapping):
        rows['questions'] = ', '.join(f'{text} ({name})' for name, text in questions.items())
    elif inspected.question:
        rows['question'] = inspected.question
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
        number_text = f'shared with {source.shares}' if source.shares else f'{inspected.numbers.get(source.name, 0):,}'
        joins = f' of {" and ".join(source.joins)}' if source.joins else ''
        table.add_row(
            source.name, f'{source.width:,}', str(source.tokens), number_text, f'{_fusion(source.fusion)}{joins}'
        )
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
