"""The outcome of OV-MER as one plain object for JSON."""

from __future__ import annotations

from typing import Any

from affekt.benchmarks.comparisons import Ranking
from affekt.benchmarks.ovmer import Ovmer
from affekt.benchmarks.published import published
from affekt.pages.figures import bounds
from affekt.typed_json import plain


def ovmer_facts(outcome: Ovmer) -> dict[str, Any]:
    """All of the outcome as plain values; shares, not per cent; None where undefined."""
    paper = published('ovmer')
    return plain(
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
                    metric: {'models': agreed.models, 'pearson': agreed.pearson, 'spearman': agreed.spearman}
                    for metric, agreed in metrics.items()
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
