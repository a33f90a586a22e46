"""The outcome of MER-UniBench as tables for a terminal of eighty columns, and as one plain object for JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.benchmarks.predictions import short_name
from affekt.benchmarks.published import published
from affekt.benchmarks.selection import Row
from affekt.benchmarks.sets import UNIBENCH, set_named
from affekt.benchmarks.unibench import UniBench, rivals
from affekt.pages.figures import as_plain, bounds, percent, plain_table, spread

SHORT = {
    'mer2023': 'MER23', 'mer2024': 'MER24', 'meld': 'MELD', 'iemocap': 'IEMO', 'cmumosi': 'MOSI', 'cmumosei': 'MOSEI',
    'sims': 'SIMS', 'simsv2': 'SIMS2', 'ovmerdplus': 'OV+',
}  # fmt: skip
ON_TEST = 'chosen on test data'


def unibench_tables(outcome: UniBench) -> Group:
    """Protocols by set, floors and answers by set, published rows, and what is absent."""
    parts: list[Any] = [Text(f'MER-UniBench, word table {outcome.table}'), Text()]
    parts += [_protocols(outcome), Text()]
    parts += [Text(f'{_titled(row)}: {row.how}', style='dim') for row in outcome.rows]
    parts += [Text(), _answers(outcome), Text(), _beside(outcome)]
    lines = [f'{set_named(key).name} absent: {why}' for key, why in outcome.absent.items()]
    lines += [f'{held.set.name}: {note}' for held in outcome.results.values() for note in held.notes]
    lines += [
        f'{held.set.name}: sentiment {held.sentiment}' for held in outcome.results.values() if 'der' in held.sentiment
    ]
    parts += [Text(), *(Text(line, style='yellow') for line in (*lines, *outcome.notes))]
    return Group(*parts)


def _titled(row: Row) -> str:
    title = row.protocol
    if len(set(row.checkpoints.values())) == 1:
        title += f' {short_name(next(iter(row.checkpoints.values())))}'
    return f'{title} ({ON_TEST})' if row.chosen_on_test else title


def _protocols(outcome: UniBench) -> Table:
    heads = {'fixed': 'fixed [95 %]', 'mean': 'mean ± sd', 'best single': 'single*', 'oracle per set': 'oracle*'}
    names = [
        heads[row.protocol] if row.chosen_on_test or '*' not in heads[row.protocol] else 'single'
        for row in outcome.rows
    ]
    table = plain_table('set', 'metric', 'n', *names, left=2)
    for key, result in outcome.results.items():
        cells = [_cell(row, key, outcome) for row in outcome.rows]
        n = str(result.samples) if result.whole else f'{result.samples}/{result.set.samples}'
        table.add_row(result.set.name, result.set.metric, n, *cells)
    counted = len(outcome.rows[0].counted)
    table.add_row('mean', f'{counted} of {len(UNIBENCH)}', '', *(_mean_cell(row) for row in outcome.rows), style='bold')
    return table


def _cell(row: Row, key: str, outcome: UniBench) -> str:
    value = percent(row.scores[key])
    if row.protocol == 'fixed':
        return spread(row.scores[key], (row.intervals or {}).get(key))
    if row.protocol == 'mean':
        return f'{value} ± {100 * row.sds[key]:.1f}'
    if row.protocol == 'oracle per set':
        return f'{value} @{short_name(row.checkpoints[key])}'
    return value


def _mean_cell(row: Row) -> str:
    if row.protocol == 'fixed':
        return spread(row.mean, row.mean_interval)
    return f'{percent(row.mean)} ± {100 * row.mean_sd:.1f}' if row.protocol == 'mean' else percent(row.mean)


def _answers(outcome: UniBench) -> Table:
    """What the fixed checkpoint's answers look like, and what a constant answer reaches."""
    table = plain_table('set', 'best constant answer', 'labels', 'empty', 'unknown', 'beside it', left=1)
    for key, result in outcome.results.items():
        checkpoint = outcome.rows[0].checkpoints[key]
        facts, scores = result.facts[checkpoint], result.scores[checkpoint]
        if result.set.task == 'sentiment':
            beside = f'accuracy {percent(scores["accuracy"])}'
        elif result.set.task == 'basic':
            beside = f'mscore {percent(scores["HIT mscore"])}'
        else:
            beside = f'P {percent(scores["EW-L1 precision"])} R {percent(scores["EW-L1 recall"])}'
        labels, unknown = facts.get('labels_per_answer'), facts.get('unknown_words')
        table.add_row(
            result.set.name,
            percent(result.floor),
            '' if labels is None else f'{labels:.1f}',
            f'{facts["empty_answers"]:.0f}' if 'empty_answers' in facts else '',
            '' if unknown is None else f'{100 * unknown:.0f} %',
            beside,
        )
    return table


def _beside(outcome: UniBench) -> Group:
    """The published rows on the same whole sets, ours among them, by mean."""
    counted = outcome.rows[0].counted
    ours = [
        (f'yours, {row.protocol.removesuffix(" per set")}', {key: row.scores[key] for key in counted}, row.mean)
        for row in outcome.rows
        if row.protocol in ('fixed', 'oracle per set')
    ]
    theirs = [(f'{model} {inputs}', scores, mean) for model, inputs, scores, mean in rivals(outcome, counted)]
    table = plain_table(f'published, {len(counted)} sets', *(SHORT[key] for key in counted), 'mean')
    table.padding = (0, 1, 0, 0)
    for name, scores, mean in sorted([*theirs, *ours], key=lambda row: -row[2]) if counted else ():
        style = 'bold' if name.startswith('yours') else ''
        table.add_row(name, *(percent(scores[key]) for key in counted), percent(mean), style=style)
    held = published('unibench')
    return Group(table, Text(f'{held.source}; {held.protocol}', style='dim'))


def unibench_facts(outcome: UniBench) -> dict[str, Any]:
    """All of the outcome as plain values; shares, not per cent; None where undefined."""
    return as_plain(
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
    facts = {
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
        facts |= {'sds': dict(row.sds), 'mean_sd': row.mean_sd}
    if row.intervals is not None and row.mean_interval is not None:
        facts['intervals'] = {key: bounds(held) for key, held in row.intervals.items()}
        facts['mean_interval'] = bounds(row.mean_interval)
    return facts
