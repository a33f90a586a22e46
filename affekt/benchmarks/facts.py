"""The outcomes of MER-UniBench and OV-MER as plain objects for JSON, and the writing of any outcome to disk.

Saved scores come with settings, versions and hashes of the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affekt.benchmarks.comparisons import Ranking
from affekt.benchmarks.ovmer import Ovmer
from affekt.benchmarks.published import published
from affekt.benchmarks.selection import Row
from affekt.benchmarks.sets import UNIBENCH
from affekt.benchmarks.unibench import UniBench, rivals
from affekt.pages.figures import bounds
from affekt.runs import file_sha256, record_beside, versions, write_atomically
from affekt.typed_json import json_file, plain


def save_outcome(
    folder: Path, name: str, facts: Mapping[str, Any], settings: Mapping[str, Any], inputs: Sequence[Path]
) -> None:
    """Write `<name>.json` and `settings.json` into a folder, which is created where missing.

    Settings that are recorded beside an input are included.

    Raises:
        StorageError: the folder cannot be written.
    """
    run_record = {
        'settings': dict(settings),
        'versions': versions(),
        'inputs': {str(path): file_sha256(path) for path in dict.fromkeys(inputs)},
        'records': {str(path): record for path in dict.fromkeys(inputs) if (record := record_beside(path))},
    }
    for stem, saved in ((name, facts), ('settings', run_record)):
        write_atomically(folder / f'{stem}.json', json_file(saved))


def unibench_facts(outcome: UniBench) -> dict[str, Any]:
    """All fields of the outcome as plain values; shares, not per cent; None if undefined."""
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


def ovmer_facts(outcome: Ovmer) -> dict[str, Any]:
    """All fields of the outcome as plain values; shares, not per cent; None if undefined."""
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
