"""Verbs for preferences between descriptions, prefer train, evaluate, predict, check; and their printed scores."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.cli.choices import SEED
from affekt.cli.group import AS_JSON, main, table_notes
from affekt.terminal import plain_table, say, say_json
from affekt.wording import counted, percent, signed, within

if TYPE_CHECKING:
    from affekt.challenges import PreferScore
    from affekt.metrics import Interval
    from affekt.preference import JudgeScores, PreferenceEvaluation

PATH = click.Path(path_type=Path)
FEATURES = click.option(
    '--features', type=PATH, metavar='NPZ', help='Features of the clips: one array per sample, (F,) or (T, F).'
)


@main.group()
def prefer() -> None:
    """Learn and predict which of two descriptions people prefer.

    \b
    name,a1,a2,preference[,model1,model2]             EmoPrefer, MER-Prefer
    left_text,right_text,outcome[,sample,prompt,left_source,right_source]
    """


@prefer.command()
@click.argument('pairs', type=PATH)
@click.option('--out', required=True, type=PATH, help='New folder for the model.')
@click.option('--validation', type=PATH, help='Pairs to choose settings on (default: folds over the samples).')
@click.option(
    '--control', default='', metavar='NAMES', help='Cues that the model must not use: length, source or length,source.'
)
@FEATURES
def train(pairs: Path, out: Path, validation: Path | None, control: str, features: Path | None) -> None:
    """Train on the judged PAIRS of a file."""
    from affekt.preference import train_file

    with table_notes():
        model = train_file(
            pairs,
            out,
            validation=validation,
            control=[name.strip() for name in control.split(',') if name.strip()],
            features=features,
        )
    settings = model.settings
    say(f'{out / "preference.npz"}: {model.facts["pairs"]} pairs of {model.facts["samples"]} samples')
    say(f'chosen: {", ".join(settings.blocks)}; penalty {settings.penalty:g}')
    if settings.control:
        say(f'may not use: {", ".join(settings.control)}')


@prefer.command()
@click.argument('judge', metavar='MODEL|VERDICTS', type=PATH)
@click.argument('pairs', type=PATH)
@click.option('--swapped', type=PATH, help='Verdicts on the swapped pairs, in the order shown.')
@click.option('--learned-from', type=PATH, help='Training pairs, from which shortcuts learn the usual winner.')
@FEATURES
@click.option(
    '--resamples', type=click.IntRange(0, 100_000), default=1000, help='Resamples of the intervals (default 1000).'
)
@click.option('--seed', type=SEED, default=0, help='Random seed of the resamples (default 0).')
@AS_JSON
def evaluate(
    judge: Path,
    pairs: Path,
    swapped: Path | None,
    learned_from: Path | None,
    features: Path | None,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Score a model, or verdicts, on judged PAIRS.

    Verdicts are a table of name,preference.

    Rules that ignore emotion are shown beside it: the longer text, the source that usually wins, always the same side.
    """
    from affekt.preference import evaluate_file

    with table_notes() as notes:
        evaluation = evaluate_file(
            judge,
            pairs,
            swapped=swapped,
            learned_from=learned_from,
            features=features,
            resamples=resamples,
            seed=seed,
        )
    if as_json:
        say_json(asdict(evaluation) | {'notes': notes})
    else:
        say(evaluation_tables(evaluation), columns=80)


@prefer.command()
@click.argument('model', type=PATH)
@click.argument('pairs', type=PATH)
@click.option('--out', required=True, type=PATH, help='Table of name,preference to write, in the order of the pairs.')
@click.option('--ties', is_flag=True, help='Answer same where that is likeliest; it counts as a1 in the challenge.')
@FEATURES
def predict(model: Path, pairs: Path, out: Path, ties: bool, features: Path | None) -> None:
    """Write a MODEL's preferences on PAIRS for MER-Prefer."""
    from affekt.challenges import write_prefer_submission
    from affekt.files import require_own_output
    from affekt.preference import predict_file

    require_own_output(out, (model, pairs, features))

    with table_notes():
        pair_table, readings = predict_file(model, pairs, features=features)
    written = write_prefer_submission(pair_table.names, readings.verdicts(ties=ties), out)
    counts = ', '.join(f'{count} {word}' for word, count in written.answers.items())
    say(f'{written.path}: {written.rows} preferences, {counts}')


@prefer.command()
@click.argument('file', type=PATH)
@click.option('--candidates', required=True, type=PATH, help="Table of the challenge's pairs (name,a1,a2).")
def check(file: Path, candidates: Path) -> None:
    """Check a submission FILE to MER-Prefer.

    Every problem is reported at once, with its row.
    """
    from affekt.challenges import check_prefer_submission
    from affekt.preference import read_pairs

    with table_notes():
        checked = check_prefer_submission(file, read_pairs(candidates).names)
    counts = ', '.join(f'{count} {word}' for word, count in checked.answers.items())
    say(f'{checked.path} is in order: {checked.rows} preferences, {counts}')


@prefer.command('score')
@click.argument('file', type=PATH)
@click.option('--truth', required=True, type=PATH, help='Table of name and preference; only its samples are scored.')
@click.option(
    '--resamples', type=click.IntRange(1, 100_000), default=1000, help='Resamples of the intervals (default 1000).'
)
@click.option('--seed', type=SEED, default=0, help='Random seed of the resamples (default 0).')
@AS_JSON
def score_command(file: Path, truth: Path, resamples: int, seed: int, as_json: bool) -> None:
    """Score a FILE of name,preference as MER-Prefer does."""
    import numpy as np

    from affekt.challenges import read_preferences, score_prefer

    with table_notes() as notes:
        true, answered = read_preferences(truth), read_preferences(file)
    score = score_prefer(true, answered, rng=np.random.default_rng(seed), resamples=resamples)
    if as_json:
        say_json(asdict(score) | {'notes': notes})
    else:
        say(score_table(score), columns=80)


def evaluation_tables(evaluation: PreferenceEvaluation) -> Group:
    """Scores of the judge and of shortcuts, official and on balanced views, and the agreement of annotators."""
    ties = evaluation.pairs - evaluation.decided
    head = f'{counted(evaluation.pairs, "pair")} of {counted(evaluation.samples, "sample")}, {ties:,} of them ties'
    parts: list[Text | Table] = [
        Text(head, style='bold'),
        Text(''),
        _official(evaluation),
        Text(''),
        _views(evaluation),
    ]
    notes = [f'{view.name}: as certain as {view.effective:.0f} unweighted pairs' for view in evaluation.views[1:]]
    if not math.isnan(evaluation.judge.longer):
        notes.append(f'this judge takes the longer text in {percent(evaluation.judge.longer, 1)} % of its answers')
    if evaluation.in_hindsight:
        notes.append('shortcuts know the winners of these very pairs (without --learned-from)')
    if evaluation.annotators:
        people = evaluation.annotators['another annotator']
        notes.append(
            f'against each annotator: this judge {percent(evaluation.judge.against_annotators, 1)}, '
            f'another annotator {percent(people, 1)}'
        )
    parts += [Text(''), *(Text(note, style='dim') for note in notes)]
    if (best := _best_shortcut(evaluation)) is not None:
        name, lead = best
        verdict = 'better than' if lead.low > 0.0 else 'worse than' if lead.high < 0.0 else 'not told apart from'
        points = [signed(100 * value, 1) for value in (lead.value, lead.low, lead.high)]
        sentence = f'on all pairs {verdict} {name}: {points[0]} [{points[1]} {points[2]}]'
        parts.append(Text(sentence, style='green' if lead.low > 0.0 else 'yellow'))
    return Group(*parts)


def score_table(score: PreferScore) -> Group:
    """The scores of the track, and the accuracy that does not depend on sides."""
    table = plain_table('', 'value [95 %]')
    table.add_row('weighted F1, two classes', _spread(score.waf), style='bold')
    table.add_row('accuracy, two classes', _spread(score.accuracy))
    table.add_row('even accuracy', _spread(score.even))
    return Group(Text(f'MER-Prefer, {counted(score.decided, "pair")}; {score.ties:,} ties left out'), Text(''), table)


def _official(evaluation: PreferenceEvaluation) -> Table:
    table = plain_table('all pairs', 'WAF 2', 'ACC 2', 'WAF 3', 'ACC 3', 'even [95 %]', 'same', 'swap')
    for name, judged in _rows(evaluation):
        scores = judged.views[evaluation.views[0].name]
        table.add_row(
            name,
            *(percent(scores[key].value, 1) for key in ('waf2', 'acc2', 'waf3', 'acc3')),
            _spread(scores['even']),
            percent(judged.ties, 0, ' %'),
            percent(judged.swap_consistency, 0, ' %'),
            style='bold' if judged is evaluation.judge else '',
        )
    return table


def _views(evaluation: PreferenceEvaluation) -> Table:
    table = plain_table('even [95 %]', *(view.name for view in evaluation.views[1:]))
    for name, judged in _rows(evaluation):
        cells = [_spread(judged.views[view.name]['even']) for view in evaluation.views[1:]]
        table.add_row(name, *cells, style='bold' if judged is evaluation.judge else '')
    return table


def _rows(evaluation: PreferenceEvaluation) -> list[tuple[str, JudgeScores]]:
    return [('this judge', evaluation.judge), *evaluation.shortcuts.items()]


def _best_shortcut(evaluation: PreferenceEvaluation) -> tuple[str, Interval] | None:
    view = evaluation.views[0].name
    if not evaluation.shortcuts:
        return None
    name = max(evaluation.shortcuts, key=lambda rule: evaluation.shortcuts[rule].views[view]['even'].value)
    lead = evaluation.shortcuts[name].lead[view]
    return None if math.isnan(lead.low) else (name, lead)


def _spread(interval: Interval) -> str:
    return within(percent(interval.value, 1), interval.low, interval.high)
