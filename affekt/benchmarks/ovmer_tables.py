"""The outcome of OV-MER as tables for a terminal of eighty columns, and as one plain object for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.benchmarks.comparisons import Ranking
from affekt.benchmarks.ovmer import PAPER_MODE, Agreement, Ovmer, View
from affekt.benchmarks.published import published
from affekt.pages.figures import as_plain, bounds, percent, plain_table, spread

MODE_TITLES = {
    'nosubtitle-addsub': 'clues first, subtitle merged later (as in the paper)',
    'subtitle': 'with the subtitle',
    'nosubtitle': 'without the subtitle',
    '': 'all systems',
}
SHOWN_METRICS = ('M1 f', 'M2 f', 'EW-L1 f', 'EW-L2 f', 'M-avg f')


def ovmer_tables(outcome: Ovmer) -> Group:
    """A ranking for each mode, agreement with the published grouping, moves, floors, and what is left out."""
    parts: list[Any] = [Text(f'OV-MER, {outcome.samples} samples, {len(outcome.systems)} predictions'), Text()]
    for view in outcome.views:
        parts.append(Text(f'{view.name}: {view.rule}, ranked by {view.headline}; table {view.table}', style='dim'))
    for mode in sorted(outcome.views[0].rankings, key=list(MODE_TITLES).index):
        parts += [Text(), Text(MODE_TITLES[mode], style='bold'), _ranking(outcome, mode)]
    parts.append(Text('apart: systems that share no letter differ, paired tests with Holm correction', style='dim'))
    if len(outcome.agreements) > 1:
        parts += [Text(), _agreement(outcome)]
    parts += [Text(), *(Text(line) for line in _moves(outcome))]
    parts += [Text(_floor(view)) for view in outcome.views]
    parts += [Text(note, style='yellow') for note in outcome.notes]
    return Group(*parts)


def _ranking(outcome: Ovmer, mode: str) -> Table:
    first, *others = outcome.views
    theirs = {row.model: row.scores for row in published('ovmer').rows} if mode == PAPER_MODE else {}
    official = first.rule == 'official'
    inner = ('EW-L1',) if official else ()
    heads = [f'{first.name} [95 %]', 'apart', *inner, *(view.name for view in others), 'labels']
    table = plain_table('', 'model', *heads, *(['paper'] if theirs else []), left=2)
    table.padding = (0, 1, 0, 0)
    ranking = first.rankings[mode]
    for model in ranking.order:
        scores = first.scores[mode][model]
        cells = [spread(ranking.scores[model].value, ranking.scores[model]), ranking.letters(model)]
        cells += [percent(scores[f'{row} f']) for row in inner]
        cells += [_placed(view, mode, model) for view in others]
        cells.append(f'{outcome.answers[mode][model]["labels_per_answer"]:.1f}')
        if theirs:
            cells.append(percent(theirs[model]['M-avg']) if model in theirs else '–')
        table.add_row(str(ranking.ranks[model][0]), model, *cells)
    return table


def _placed(view: View, mode: str, model: str) -> str:
    ranking = view.rankings[mode]
    return f'{percent(ranking.scores[model].value)} {ranking.ranks[model][0]:>2}'


def _agreement(outcome: Ovmer) -> Table:
    """Pearson and Spearman with GPT, a column for each view."""
    names = list(outcome.agreements)
    models = [next(iter(held.values())).models for held in outcome.agreements.values()]
    heads = [
        f'{"paper" if name.startswith("published") else name} ({size})'
        for name, size in zip(names, models, strict=True)
    ]
    table = plain_table('r and rho with GPT', *heads)
    for metric in SHOWN_METRICS:
        table.add_row(metric.removesuffix(' f'), *(_pair(held, metric) for held in outcome.agreements.values()))
    for view in outcome.views:
        if view.rule == 'consistent' and view.name in outcome.agreements:
            table.add_row(view.headline, *(_pair(held, view.headline) for held in outcome.agreements.values()))
    return table


def _pair(held: Mapping[str, Agreement], metric: str) -> str:
    """Two correlations of a metric, whichever of its names is held."""
    key = next((name for name in (metric, metric.removesuffix(' f'), f'{metric}1') if name in held), None)
    return '' if key is None else ' '.join(_short(value) for value in (held[key].pearson, held[key].spearman))


def _short(value: float) -> str:
    return f'{value:.3f}'.replace('0.', '.', 1)


def _moves(outcome: Ovmer) -> list[str]:
    lines = []
    for move in outcome.moves:
        moved = ', '.join(f'{model} {a} to {b}' for model, (a, b) in move.moved.items()) or 'none'
        mode = f' ({move.mode})' if move.mode else ''
        lines.append(f'ranks from {move.before} to {move.after}{mode}: Kendall {move.kendall:.2f}, moved: {moved}')
    return lines


def _floor(view: View) -> str:
    words, value = view.floor
    return f'{view.name}: answering "{words}" every time reaches {percent(value)}'


def ovmer_facts(outcome: Ovmer) -> dict[str, Any]:
    """All of the outcome as plain values; shares, not per cent; None where undefined."""
    paper = published('ovmer')
    return as_plain(
        {
            'benchmark': 'OV-MER',
            'samples': outcome.samples,
            'answers': outcome.answers,
            'views': [
                {
                    'name': view.name,
                    'table': view.table,
                    'rule': view.rule,
                    'headline': view.headline,
                    'scores': view.scores,
                    'rankings': {mode: _ranking_facts(ranking) for mode, ranking in view.rankings.items()},
                    'floors': view.floors,
                }
                for view in outcome.views
            ],
            'moves': [
                {
                    'mode': move.mode,
                    'before': move.before,
                    'after': move.after,
                    'kendall': move.kendall,
                    'moved': move.moved,
                }
                for move in outcome.moves
            ],
            'agreement_with_gpt': {
                name: {
                    metric: {'models': held.models, 'pearson': held.pearson, 'spearman': held.spearman}
                    for metric, held in metrics.items()
                }
                for name, metrics in outcome.agreements.items()
            },
            'published': {
                'source': paper.source,
                'protocol': paper.protocol,
                'rows': [{'model': row.model, **row.scores} for row in paper.rows],
            },
            'notes': outcome.notes,
        }
    )


def _ranking_facts(ranking: Ranking) -> dict[str, Any]:
    return {
        'order': ranking.order,
        'systems': {
            name: {
                'score': ranking.scores[name].value,
                'interval': bounds(ranking.scores[name]),
                'rank': ranking.ranks[name][0],
                'rank_interval': ranking.ranks[name][1:],
                'letters': ranking.letters(name),
            }
            for name in ranking.order
        },
        'not_told_apart': ranking.groups,
        'pairs': [
            {
                'better': left,
                'worse': right,
                'difference': gap.difference.value,
                'interval': bounds(gap.difference),
                'p': gap.p,
                'p_holm': gap.p_holm,
            }
            for (left, right), gap in ranking.gaps.items()
        ],
    }
