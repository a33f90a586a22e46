"""The outcome of MER-UniBench as one plain object for JSON."""

from __future__ import annotations

from typing import Any

from affekt.benchmarks.published import published
from affekt.benchmarks.selection import Row
from affekt.benchmarks.sets import UNIBENCH
from affekt.benchmarks.unibench import UniBench, rivals
from affekt.pages.figures import bounds
from affekt.typed_json import plain


def unibench_facts(outcome: UniBench) -> dict[str, Any]:
    """All of the outcome as plain values; shares, not per cent; None where undefined."""
    return plain(
        {
            'benchmark': 'MER-UniBench',
            'table': outcome.table,
            'checkpoints': list(outcome.checkpoints),
            'sets': {
                key: {
                    'name': result.set.name,
                    'metric': result.set.metric,
                    'samples': result.samples,
                    'published_samples': result.set.samples,
                    'scored': result.scored,
                    'sentiment': result.sentiment,
                    'floor': result.floor,
                    'floors': dict(result.floors),
                    'checkpoints': {
                        name: {
                            'headline': result.headlines[name],
                            'scores': dict(scores),
                            'answers': dict(result.facts[name]),
                        }
                        for name, scores in result.scores.items()
                    },
                    'notes': list(result.notes),
                }
                for key, result in outcome.results.items()
            },
            'absent': dict(outcome.absent),
            'rows': [_row_facts(row) for row in outcome.rows],
            'published': {
                'source': published('unibench').source,
                'protocol': published('unibench').protocol,
                'rows': [
                    {'model': model, 'inputs': inputs, **scores, 'mean_of_the_same_sets': mean}
                    for model, inputs, scores, mean in rivals(outcome, outcome.rows[0].counted)
                ],
            },
            'notes': list(outcome.notes),
        }
    )


def _row_facts(row: Row) -> dict[str, Any]:
    content = {
        'protocol': row.protocol,
        'how': row.how,
        'chosen_on_test': row.chosen_on_test,
        'checkpoints': dict(row.checkpoints),
        'scores': dict(row.scores),
        'mean': row.mean,
        'mean_of': f'{len(row.counted)} of {len(UNIBENCH)}',
        'counted': list(row.counted),
    }
    if row.sds:
        content |= {'sds': dict(row.sds), 'mean_sd': row.mean_sd}
    if row.intervals is not None and row.mean_interval is not None:
        content['intervals'] = {key: bounds(interval) for key, interval in row.intervals.items()}
        content['mean_interval'] = bounds(row.mean_interval)
    return content
