"""How scores of preferences look on a terminal of eighty columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.metrics import Interval
from affekt.terminal import plain_table
from affekt.wording import percent, signed, within

if TYPE_CHECKING:
    from affekt.challenges import PreferScore
    from affekt.preference import JudgeScores, PreferenceEvaluation


def evaluation_tables(evaluation: PreferenceEvaluation) -> Group:
    """Official scores of the judge and of shortcuts, then the balanced views, then what people reach."""
    ties = evaluation.pairs - evaluation.decided
    head = f'{evaluation.pairs:,} pairs of {evaluation.samples:,} samples, {ties:,} of them ties'
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
    """The track's score, and the form in which sides do not matter."""
    table = plain_table('', 'value [95 %]')
    table.add_row('weighted F1, two classes', _spread(score.waf), style='bold')
    table.add_row('accuracy, two classes', _spread(score.accuracy))
    table.add_row('even accuracy', _spread(score.even))
    return Group(Text(f'MER-Prefer, {score.decided:,} pairs; {score.ties:,} ties left out'), Text(''), table)


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
