"""The scores of a benchmark as sentences and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from affekt.experiments import Section, Sheet
from affekt.labels import EKMAN
from affekt.metrics import Interval
from affekt.wording import DASH, counted, listed, percent, signed, subject, within

if TYPE_CHECKING:
    from affekt.own_data.outcome import AnalysisBenchmark
    from affekt.own_data.scores import CategoryScore, DimensionScore, Scores

ALONE = {'face': 'the face alone', 'voice': 'the voice alone', 'words': 'the words alone'}
SHORT = {
    'anger': 'anger', 'disgust': 'disgu.', 'fear': 'fear', 'happiness': 'happi.', 'sadness': 'sadn.',
    'surprise': 'surpr.', 'neutral': 'neutr.', '': 'silent',
}  # fmt: skip
"""Short names of categories as headers of narrow columns."""
MOST_NAMED = 5
"""Maximum number of labels outside the categories with sentences of their own."""
TOO_WIDE = 0.4
"""Width of an interval, as a share, above which nothing is concluded about certainty."""


def conclusions(outcome: AnalysisBenchmark) -> list[str]:
    """Conclusions from the scores, as sentences with numbers from the tables."""
    scores = outcome.scores
    return [
        *_on_category(scores, outcome),
        *_on_certainty(scores),
        *_on_gain(scores),
        *(sentence for name in scores.dimensions if (sentence := _on_dimension(scores, name))),
        *_on_strangers(scores),
    ]


def analysis_sheet(outcome: AnalysisBenchmark) -> Sheet:
    """All tables of an outcome, with notes."""
    scores = outcome.scores
    sections = [*_category_sections(scores), *_dimension_sections(scores), *_stranger_sections(scores)]
    title = f'affekt on {outcome.labelled.corpus}: {counted(len(outcome.read), "clip")}'
    if outcome.labelled.grouped_by:
        title += f', {counted(outcome.groups, outcome.labelled.grouped_by)}'
    return Sheet(title, tuple(sections), tuple(outcome.notes))


def _on_category(scores: Scores, outcome: AnalysisBenchmark) -> Iterator[str]:
    fused = scores.categories.get(scores.lead)
    if fused is None:
        return
    quantity = 'fused category' if scores.lead == 'fused' else f'category by {ALONE[scores.lead]}'
    clips = 'this clip' if len(outcome.read) == 1 else f'these {counted(len(outcome.read), "clip")}'
    people = f' of {counted(outcome.groups, outcome.labelled.grouped_by)}' if outcome.labelled.grouped_by else ''
    if not fused.spoken:
        yield f'On {clips}{people} affekt names no category at all.'
        return
    right, says, speaks = (fused.scores[name] for name in ('right', 'says', 'speaks'))
    majority = max(scores.shares, key=lambda name: scores.shares[name])
    others = [
        f'{ALONE[name]} {_whole(score.scores["right"].value)} (speaks on {_whole(score.scores["speaks"].value)})'
        for name, score in scores.categories.items()
        if name in ALONE and name != scores.lead and score.spoken
    ]
    yield (
        f"On {clips}{people} affekt's {quantity} is right {_whole_within(right)} of the time where it speaks "
        f'(on {_whole(speaks.value)} of them), and says {_whole(says.value)}; always {majority!r} is right '
        f'{_whole(scores.categories["majority"].scores["right"].value)}' + (f', {listed(others)}.' if others else '.')
    )


def _on_certainty(scores: Scores) -> Iterator[str]:
    fused = scores.categories.get(scores.lead)
    if fused is None or not fused.spoken:
        return
    excess = fused.scores['excess']
    amount = f'{signed(100 * excess.value, 1)} points{_points(excess)}'
    if math.isnan(excess.low) or excess.high - excess.low > TOO_WIDE:
        yield f'Too few clips or speakers to tell whether its certainty holds: certainty less share right is {amount}.'
    elif excess.low > 0:
        yield f'It is overconfident here: certainty less share right is {amount}.'
    elif excess.high < 0:
        yield f'It is underconfident here: certainty less share right is {amount}.'
    else:
        yield f'Its certainty holds here as far as these clips can tell: certainty less share right is {amount}.'


def _on_gain(scores: Scores) -> Iterator[str]:
    singles = {name: score for name, score in scores.categories.items() if name in ALONE and score.spoken}
    if not singles or not scores.gains:
        return
    best = max(singles, key=lambda name: singles[name].scores['right_of_all'].value)
    gain = scores.gains[best]['of_all']
    amount = f'{signed(100 * gain.value, 1)} points{_points(gain)}'
    verdict = 'is better than' if gain.low > 0 else 'is worse than' if gain.high < 0 else 'cannot be told apart from'
    its_best = 'its best source, ' if len(singles) > 1 else ''
    both = scores.gains[best]['both_speak']
    where_both = f'{signed(100 * both.value, 1)} points{_points(both)}'
    # A source alone names its likeliest category at any certainty; fusion abstains below UNSURE_BELOW.
    comparison = '' if math.isnan(both.value) else f'; on clips for which both name a category, {where_both}'
    yield f'Of all clips, silence counted as wrong, fusion {verdict} {its_best}{ALONE[best]}: {amount}{comparison}.'


def _on_dimension(scores: Scores, name: str) -> str:
    fused = scores.dimensions[name].get(scores.lead)
    if fused is None or not fused.scores:
        return ''
    basis = 'clips whose category lies high from those whose lies low' if fused.from_categories else 'high from low'
    parts = []
    if 'concordance' in fused.scores:
        parts.append(f'agrees with the ratings by a concordance of {_plain(fused.scores["concordance"])}')
    if 'auc' in fused.scores and not math.isnan(fused.scores['auc'].value):
        parts.append(f'tells {basis} with an AUC of {_plain(fused.scores["auc"])} (0.5 knows nothing)')
    start = f'Fused {name}' if scores.lead == 'fused' else f'{name.capitalize()} by {ALONE[scores.lead]}'
    return f'{start} {listed(parts)}.' if parts else ''


def _on_strangers(scores: Scores) -> Iterator[str]:
    for label, by_source in list(scores.strangers.items())[:MOST_NAMED]:
        called = by_source[scores.lead]
        total = sum(called.values())
        named = {name: count for name, count in called.items() if name}
        majority = next((name for name, count in named.items() if 2 * count > sum(named.values())), '')
        others = f'; most of the others are called {majority}' if majority else ''
        silent = subject(called.get('', 0), 'clip')
        yield (
            f'Of {counted(total, "clip")} labelled {label!r}, which is none of its categories, {silent} left without '
            f'a category, as all should be{others}.'
        )


def _category_sections(scores: Scores) -> Iterator[Section]:
    if not scores.categories:
        return
    heads = ('category', 'speaks', 'right where it speaks', 'says', 'UAR', 'F1', 'ECE', 'of all')
    cells = tuple((_named(name, scores), *_category_cells(score)) for name, score in scores.categories.items())
    yield Section('Category', heads, cells, 1)
    recalls = tuple(
        (name, *(percent(score.recall.get(column, math.nan), 0) for column in scores.classes))
        for name, score in scores.categories.items()
        if score.recall and name != 'majority' and score.spoken
    )
    if recalls:
        columns = ('', *(SHORT[name] for name in scores.classes))
        yield Section('Recall of each category, silence counted as wrong', columns, recalls, 1)
    names = (*EKMAN, '')
    yield Section(
        f'{scores.lead.capitalize()}: what clips of each category are called',
        ('', *(SHORT[name] for name in names)),
        tuple(
            (name, *(str(row.get(column, 0)) for column in names))
            for name, row in scores.categories[scores.lead].confusion.items()
        ),
        1,
    )


def _category_cells(score: CategoryScore) -> tuple[str, ...]:
    intervals = score.scores
    if 'right' not in intervals or math.isnan(intervals['right'].value):
        return ('0', *[DASH] * 6)
    calibration = percent(score.calibration_error, 1)
    uar, f1 = (percent(intervals[name].value, 1) if name in intervals else DASH for name in ('uar', 'macro_f1'))
    return (
        percent(intervals['speaks'].value, 0), _with_ends(intervals['right']), percent(intervals['says'].value, 1),
        uar, f1, calibration, percent(intervals['right_of_all'].value, 1),
    )  # fmt: skip


def _named(name: str, scores: Scores) -> str:
    if name == 'majority':
        return f'always {max(scores.shares, key=lambda category: scores.shares[category])}'
    return f'drawn, 1 of {len(scores.classes)}' if name == 'chance' else name


def _dimension_sections(scores: Scores) -> Iterator[Section]:
    for name, by_source in scores.dimensions.items():
        if not by_source:
            continue
        is_by_category = any(score.from_categories for score in by_source.values())
        names = ('auc', 'sign') if is_by_category else ('concordance', 'pearson', 'mae', 'auc', 'sign')
        short = {'concordance': 'CCC', 'pearson': 'r', 'mae': 'error', 'auc': 'AUC', 'sign': 'side'}
        title = f'{name.capitalize()}' + (', high against low told by category' if is_by_category else '')
        cells = tuple((source, *_dimension_cells(score, names)) for source, score in by_source.items())
        yield Section(title, ('', 'clips', *(short[score_name] for score_name in names)), cells, 1)


def _dimension_cells(score: DimensionScore, names: tuple[str, ...]) -> Iterator[str]:
    yield f'{score.clips:,}'
    for name in names:
        interval = score.scores.get(name)
        if interval is None:
            yield DASH
        elif name in ('concordance', 'auc'):
            yield _plain(interval)
        else:
            yield DASH if math.isnan(interval.value) else f'{interval.value:.2f}'


def _stranger_sections(scores: Scores) -> Iterator[Section]:
    if scores.strangers:
        names = ('', *EKMAN)
        yield Section(
            f'Labels that are none of the categories: what their clips are called ({scores.lead})',
            ('', *(SHORT[name] for name in names)),
            tuple(
                (label[:16], *(str(by_source[scores.lead].get(name, 0)) for name in names))
                for label, by_source in scores.strangers.items()
            ),
            1,
        )
    if scores.neutral:
        yield Section(
            'Valence of clips that people called neutral',
            ('', 'clips', 'mean', 'below \N{MINUS SIGN}0.05, %'),
            tuple(
                (source, f'{row["clips"]:,.0f}', signed(row['mean']), percent(row['below'], 0))
                for source, row in scores.neutral.items()
            ),
            1,
        )


def _with_ends(interval: Interval) -> str:
    return within(percent(interval.value, 1), interval.low, interval.high)


def _whole(share: float) -> str:
    return percent(share, 0, ' %')


def _whole_within(interval: Interval) -> str:
    if math.isnan(interval.low):
        return _whole(interval.value)
    return f'{_whole(interval.value)} [{percent(interval.low, 0)}, {percent(interval.high, 0)}]'


def _points(interval: Interval) -> str:
    if math.isnan(interval.low):
        return ''
    return f' [{signed(100 * interval.low, 1)}, {signed(100 * interval.high, 1)}]'


def _plain(interval: Interval) -> str:
    """A correlation with its interval, with two digits."""
    if math.isnan(interval.value):
        return DASH
    ends = '' if math.isnan(interval.low) else f' [{interval.low:.2f} {interval.high:.2f}]'
    return f'{interval.value:.2f}{ends}'.replace('-', '\N{MINUS SIGN}')
