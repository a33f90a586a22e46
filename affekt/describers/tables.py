"""Models on MER-UniBench as tables and as plain values: published score and accuracy side by side, and baselines."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from affekt.benchmarks import UNIBENCH, Ranking, set_named, unibench_facts
from affekt.describers.unibench import ModelsBench, ModelScores
from affekt.experiments import Section, Sheet
from affekt.metrics import Interval
from affekt.pages.figures import bounds, spread
from affekt.typed_json import plain
from affekt.wording import percent_in_five, signed

SHORT = {
    'mer2023': 'MER23', 'mer2024': 'MER24', 'meld': 'MELD', 'iemocap': 'IEMO', 'cmumosi': 'MOSI', 'cmumosei': 'MOSEI',
    'sims': 'SIMS', 'simsv2': 'SIMS2', 'ovmerdplus': 'OV+',
}  # fmt: skip
LONGEST_NAME = 14
NAMED_SETS = 4
"""Sets that a line names."""


def bench_sheet(bench: ModelsBench, absent: Mapping[str, Mapping[str, str]] | None = None) -> Sheet:
    """All tables of models on MER-UniBench."""
    sections = [_headlines(bench), *_classes(bench), *_signs(bench), _answers(bench)]
    sections += _without_sound(bench)
    if bench.ranking is not None:
        sections += ranking_sections(bench.ranking, 'Score per sample: who can be told apart')
    table = bench.models[0].outcome.table
    lines = [
        f'Word table {table}; HIT for emotions, weighted F1 for sentiment, EW-L1 F for open labels, in per cent.',
        'HIT counts any correct label, however many are named: read it beside accuracy, labels per answer and the best '
        'constant answer.',
        'Accuracy: the class of the first label that has one. Beside each mean: the number of sets, of nine.',
        *dict.fromkeys(
            f'{set_named(key).name}: {note}'
            for model in bench.models
            for key, result in model.outcome.results.items()
            for note in result.notes
        ),
        *_absent_lines(absent or {}),
    ]
    return Sheet('MER-UniBench', tuple(sections), tuple(lines))


def _keys(bench: ModelsBench) -> list[str]:
    present = {key for model in bench.models for key in model.outcome.results}
    return [unibench_set.key for unibench_set in UNIBENCH if unibench_set.key in present]


def _headlines(bench: ModelsBench) -> Section:
    keys = _keys(bench)
    cells = []
    for model in bench.models:
        row = model.outcome.rows[0]
        set_count = f'{len(row.counted)} of {len(UNIBENCH)}'
        mean = spread(row.mean, row.mean_interval) if row.counted else 'no whole set'
        values = [percent_in_five(row.scores[key]) if key in row.scores else '' for key in keys]
        cells.append((short(model.name), mean, set_count, *values))
    baselines = [max(model.outcome.results[key].floor for model in bench.models if key in model.outcome.results)
              for key in keys]  # fmt: skip
    cells.append(('best constant', '', '', *map(percent_in_five, baselines)))
    return Section('Published scores', ('model', 'mean [95 %]', 'sets', *(SHORT[key] for key in keys)), tuple(cells), 1)


def _classes(bench: ModelsBench) -> list[Section]:
    keys = [key for key in _keys(bench) if set_named(key).task == 'basic']
    if not keys:
        return []
    heads = ('set', 'model', 'HIT [95 %]', 'accuracy', 'recall', 'no class', 'labels')
    cells = []
    for key in keys:
        for model in (model for model in bench.models if key in model.accuracy):
            row, accuracy = model.outcome.rows[0], model.accuracy[key]
            facts = model.outcome.results[key].facts[row.checkpoints[key]]
            cells.append((
                set_named(key).name, short(model.name), spread(row.scores[key], (row.intervals or {}).get(key)),
                percent_in_five(accuracy.accuracy), percent_in_five(accuracy.unweighted_recall),
                percent_in_five(accuracy.without_class), f'{facts["labels_per_answer"]:.1f}',
            ))  # fmt: skip
        majority = next(model.accuracy[key].majority for model in bench.models if key in model.accuracy)
        cells.append((set_named(key).name, 'majority class', '', percent_in_five(majority), '', '', ''))
    return [Section('Hits and accuracy', heads, tuple(cells), 2)]


def _signs(bench: ModelsBench) -> list[Section]:
    """Weighted F1 and accuracy of sentiment, with the best constant answer; [] without such sets."""
    cells = []
    for key in (key for key in _keys(bench) if set_named(key).task == 'sentiment'):
        for model in (model for model in bench.models if key in model.outcome.results):
            row, result = model.outcome.rows[0], model.outcome.results[key]
            scores = result.scores[row.checkpoints[key]]
            cells.append((
                set_named(key).name, short(model.name), spread(row.scores[key], (row.intervals or {}).get(key)),
                percent_in_five(scores['accuracy']), percent_in_five(result.floor),
            ))  # fmt: skip
    heads = ('set', 'model', 'WAF [95 %]', 'accuracy', 'best constant WAF')
    return [Section('Sentiment', heads, tuple(cells), 2)] if cells else []


def _answers(bench: ModelsBench) -> Section:
    """Numbers of answers, failures and answers without labels, and median length."""
    heads = ('set', 'model', 'answers', 'failed', 'no label', 'characters')
    cells = []
    for key in _keys(bench):
        for model in (model for model in bench.models if key in model.lengths):
            counts = model.counts[key]
            sizes = list(model.lengths[key].values())
            median = f'{np.median(sizes):,.0f}' if sizes else ''
            cells.append((
                set_named(key).name, short(model.name), f'{len(sizes):,}', f'{counts["failed"]:,}',
                f'{counts["without_label"]:,}', median,
            ))  # fmt: skip
    return Section('Answers', heads, tuple(cells), 2)


def _without_sound(bench: ModelsBench) -> list[Section]:
    """Scores of the same models with and without audio; [] if that was not checked."""
    heads = ('set', 'model', 'with audio', 'without', 'answers changed')
    cells = tuple(
        (
            set_named(key).name, short(model.name), percent_in_five(model.outcome.rows[0].scores[key]),
            percent_in_five(values['headline']), percent_in_five(values['changed']),
        )
        for model in bench.models
        for key, values in model.without_sound.items()
    )  # fmt: skip
    return [Section('Is the audio used?', heads, cells, 2)] if cells else []


def ranking_sections(ranking: Ranking, title: str) -> list[Section]:
    """Two sections: scores with intervals and ranks, and the difference of every pair."""
    board = tuple(
        (
            short(name),
            spread(ranking.scores[name].value, ranking.scores[name]),
            _range(*ranking.ranks[name][1:]),
            ranking.letters(name),
        )
        for name in ranking.order
    )
    pairs = tuple(
        (
            f'{short(left)} over {short(right)}',
            _points(gap.difference.value),
            _reach(gap.difference),
            f'{gap.p_holm:.3f}',
        )
        for (left, right), gap in ranking.gaps.items()
    )
    return [
        Section(title, ('model', 'score [95 %]', 'rank', 'group'), board, 1),
        Section('Differences', ('pair', 'points', '95 %', 'p (Holm)'), pairs, 1),
    ]


def _points(share: float) -> str:
    """A difference as points with a sign; a plus for what rounds to zero."""
    return signed(round(100 * share, 1) + 0.0, 1, zero_too=True)


def _reach(interval: Interval) -> str:
    """The interval of a difference in points; one value if the difference has no interval."""
    low, high = _points(interval.low), _points(interval.high)
    return low if math.isnan(interval.low) else f'{low} to {high}'


def _range(low: int, high: int) -> str:
    return f'{low}' if low == high else f'{low}–{high}'


def _absent_lines(absent: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A line per absent set and reason, with the names of the models unless the set is absent for all."""
    models: dict[tuple[str, str], list[str]] = {}
    for model, sets in absent.items():
        for key, reason in sets.items():
            models.setdefault((key, reason), []).append(model)
    return [
        f'{set_named(key).name} absent{"" if len(names) == len(absent) else " for " + ", ".join(names)}: {reason}'
        for (key, reason), names in models.items()
    ]


def short(name: str) -> str:
    """A name of at most `LONGEST_NAME` characters, shortened with an ellipsis."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'


def bench_facts(bench: ModelsBench) -> dict[str, Any]:
    """The whole benchmark as plain values; each model with the record of what its scores depend on."""
    facts: dict[str, Any] = plain({
        'benchmark': 'MER-UniBench',
        'models': {model.name: model_facts(model) for model in bench.models},
        'compared_sets': list(bench.compared),
        'ranking': None if bench.ranking is None else ranking_facts(bench.ranking),
        'comparisons': None if bench.comparisons is None else str(bench.comparisons),
        'notes': [],
    })  # fmt: skip
    return facts


def model_facts(model: ModelScores) -> dict[str, Any]:
    """One model's scores, accuracy, answers and record."""
    return {
        **unibench_facts(model.outcome),
        'accuracy': {key: dataclasses.asdict(accuracy) for key, accuracy in model.accuracy.items()},
        'answers': {key: dict(counts) for key, counts in model.counts.items()},
        'without_sound': {key: dict(values) for key, values in model.without_sound.items()},
        'record': dict(model.record),
    }


def ranking_facts(ranking: Ranking) -> dict[str, Any]:
    """A ranking of systems as plain values."""
    return {
        'order': list(ranking.order),
        'systems': {
            name: {
                'score': ranking.scores[name].value, 'interval': bounds(ranking.scores[name]),
                'rank': ranking.ranks[name][0], 'rank_interval': list(ranking.ranks[name][1:]),
                'group': ranking.letters(name),
            }
            for name in ranking.order
        },
        'pairs': [
            {
                'better': left, 'worse': right, 'difference': gap.difference.value,
                'interval': bounds(gap.difference), 'p': gap.p, 'p_holm': gap.p_holm,
            }
            for (left, right), gap in ranking.gaps.items()
        ],
    }  # fmt: skip
