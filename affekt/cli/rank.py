"""The verb rank, and rankings and a judge's verdicts on a terminal of eighty columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.cli.choices import SEED, Named, interval_methods, tie_models
from affekt.cli.group import AS_JSON, main
from affekt.terminal import facts_table, plain_table, say, say_json
from affekt.wording import counted, percent, signed

if TYPE_CHECKING:
    from affekt.judging import Agreement, JudgeReport
    from affekt.metrics import Interval
    from affekt.ranking import Bias, Ranking


@main.command()
@click.argument('file', type=click.Path(path_type=Path))
@click.option('--ties', default='half', type=Named(tie_models), help='Model of ties (default half).')
@click.option(
    '--control',
    multiple=True,
    metavar='NAME',
    help='Covariate whose effect is removed: length, own_model (raters that are items), or NAME of left_NAME and '
    'right_NAME. Repeatable.',
)
@click.option('--order', is_flag=True, help='Remove the effect of being shown first.')
@click.option(
    '--prior',
    type=float,
    metavar='SD',
    help='Standard deviation of a Gaussian prior on log-odds, for thin data; 1.0 is usual.',
)
@click.option(
    '--cluster',
    type=Named(('sample', 'rater', 'both', 'none')),
    help='Clusters of the intervals (default: columns with repeated values).',
)
@click.option(
    '--intervals', default='profile', type=Named(interval_methods), help='Method of the intervals (default profile).'
)
@click.option('--level', type=float, default=0.95, metavar='SHARE', help='Coverage of the intervals (default 0.95).')
@click.option('--seed', type=SEED, default=0, metavar='N', help='Random seed of bootstrap and ranks (default 0).')
@AS_JSON
@click.option('--html', type=click.Path(path_type=Path), metavar='OUT', help='Self-contained page to write as well.')
def rank(file: Path, as_json: bool, html: Path | None, cluster: str | None, **options: Any) -> None:
    """Rank items by pairwise comparisons, with intervals.

    FILE is a table (csv, xlsx, json, jsonl or parquet), or a folder of affekt annotate.

    \b
    left,right,outcome[,sample,rater,order,weight]    outcome: left, right, tie
    model_a,model_b,winner                            arena
    name,a1,a2,preference,model1,model2               EmoPrefer
    """
    from affekt.annotation import left_out_notes, votes_table
    from affekt.files import require_own_output
    from affekt.ranking import ranked_file, render_ranking
    from affekt.runs import JOURNAL

    if html:
        require_own_output(html, (file, file / JOURNAL))  # a table, or the votes of a study's folder
    with votes_table(file) as table:
        for note in left_out_notes(file) if table != file else ():
            say(note, err=True, style='yellow')
        ranking, source = ranked_file(table, cluster=cluster, **options)
    if html:
        render_ranking(ranking, html, source)
    if as_json:
        say_json({**source, **ranking.to_dict()})
    else:
        say(leaderboard(ranking), columns=80)


def leaderboard(ranking: Ranking) -> Group:
    """Ranks, strengths with intervals drawn on one scale, biases of the verdicts, and pairs to ask about next."""
    facts, settings = ranking.facts, ranking.settings
    clusters = ' and '.join(counted(number, name) for name, number in ranking.clusters.items())
    size = f'{counted(facts["comparisons"], "comparison")} of {facts["items"]} items, {counted(facts["ties"], "tie")}'
    method = f'{settings.level:.0%} {settings.intervals} intervals' + (f', clustered by {clusters}' if clusters else '')
    parts: list[Text | Table] = [Text(size, style='bold'), Text(method, style='dim'), Text(''), _board(ranking)]
    parts += [Text(''), _flagged_table(ranking)] if ranking.without_flagged else []
    parts += [Text(''), _bias_table(ranking.biases)] if ranking.biases else []
    if ranking.next_pairs:
        pair_counts = Counter((pair.left, pair.right) for pair in ranking.next_pairs)
        lines = [
            f'{_cut(left, 28)} against {_cut(right, 28)}' + (f', {times} times' if times > 1 else '')
            for (left, right), times in pair_counts.items()
        ]
        parts += [Text(''), Text.assemble(('ask next  ', 'bold'), f'\n{"":10}'.join(lines))]
    parts += [Text(note, style='yellow') for note in ranking.notes]
    return Group(*parts)


def _board(ranking: Ranking) -> Table:
    ends = [
        value
        for standing in ranking.standings
        for value in (standing.strength, standing.low, standing.high)
        if isfinite(value)
    ]
    low, high = min(*ends, -0.1), max(*ends, 0.1)
    table = plain_table()
    table.add_column('rank', justify='right', no_wrap=True)
    table.add_column('item', no_wrap=True, max_width=22, overflow='ellipsis')
    table.add_column('strength', no_wrap=True)
    table.add_column(_scale(low, high), no_wrap=True)
    table.add_column('won', justify='right', no_wrap=True)
    for standing in ranking.standings:
        bounds = '' if isnan(standing.low) else f' {signed(standing.low)} {signed(standing.high)}'
        table.add_row(
            f'{standing.best_rank}'
            if standing.best_rank == standing.worst_rank
            else f'{standing.best_rank}–{standing.worst_rank}',
            standing.item,
            Text.assemble((signed(standing.strength), 'bold'), (bounds, 'dim')),
            _whisker(standing.low, standing.strength, standing.high, low, high),
            percent(standing.win_rate, 0, '%'),
        )
    return table


def _flagged_table(ranking: Ranking) -> Table:
    """Rank and strength of each item with and without the votes of flagged raters."""
    table = plain_table()
    table.add_column('flagged raters', no_wrap=True, max_width=22, overflow='ellipsis')
    table.add_column('counted', justify='right', no_wrap=True)
    table.add_column('left out', justify='right', no_wrap=True)
    without = {standing.item: standing for standing in ranking.without_flagged}
    for standing in ranking.standings:
        cells = [f'{entry.rank}  {signed(entry.strength)}' for entry in (standing, without[standing.item])]
        table.add_row(standing.item, *cells)
    return table


def _bias_table(biases: Sequence[Bias]) -> Table:
    table = plain_table()
    table.add_column('possible bias', no_wrap=True, max_width=22, overflow='ellipsis')
    table.add_column('wins', justify='right', no_wrap=True)
    table.add_column('between equals')
    table.add_column('', no_wrap=True)
    for bias in biases:
        effect = f'{bias.chance:.0%}, {signed(bias.effect)} [{signed(bias.low)} {signed(bias.high)}]'
        table.add_row(
            f'twice the {bias.name}' if bias.name == 'length' else bias.name,
            percent(bias.share, 0, '%'),
            bias.note or effect,
            'controlled' if bias.is_controlled else '',
        )
    return table


def judge_tables(report: JudgeReport) -> Group:
    """Outcomes, biases and cost of the judge, and its agreement with people, compared with judges that read nothing."""
    decided = report.outcomes['left'] + report.outcomes['right']
    size = f'{counted(report.pairs, "pair")} in both orders by {report.judge}'
    ends = f'{decided} decided, {report.outcomes["tie"]} tied ({report.disagreeing_orders} of them by order), '
    parts: list[Text | Table] = [Text(size, style='bold'), Text(f'{ends}{report.outcomes["abstain"]} abstained')]
    if report.left_out:
        parts.append(Text(f'{counted(report.left_out, "pair")} left out: one of the two does not describe the sample'))
    parts += [Text(''), _wins_table(report), Text(''), facts_table(_judge_facts(report))]
    if report.agreement:
        parts += [Text(''), _agreement_table(report.agreement, 'as published: left first, same counts as a1', True)]
        parts += [Text(''), _agreement_table(report.agreement, 'both orders: a tie counts half for each side', False)]
        parts += [Text(''), Text(f'kappa with people {_plain_interval(report.agreement[0].kappa, 1.0, 2, 2)}')]
    return Group(*parts)


def _wins_table(report: JudgeReport) -> Table:
    table = plain_table()
    table.add_column('describer', no_wrap=True, max_width=30, overflow='ellipsis')
    for name in ('won', 'lost', 'tied', 'no verdict'):
        table.add_column(name, justify='right', no_wrap=True)
    for name, counts in sorted(report.wins.items(), key=lambda item: (-item[1][0], item[0])):
        table.add_row(name, *(f'{number:,}' for number in counts))
    return table


def _judge_facts(report: JudgeReport) -> list[dict[str, str]]:
    rows = {
        'first shown wins': f'{_plain_interval(report.first_wins)}  of decided showings; 50 % is no bias',
        'orders agree': f'{_plain_interval(report.consistency)}  of pairs with two verdicts',
    }
    if report.official_consistency == report.official_consistency:
        rows['as published'] = f'{100 * report.official_consistency:.1f} %, unreadable answers taken as same'
    if report.read_as:
        rows['read as'] = ', '.join(f'{parser} {number}' for parser, number in report.read_as.items())
    if report.descriptions_with_thinking:
        described = counted(report.descriptions_with_thinking, 'description')
        rows['thought aloud'] = f'{described}; what was thought aloud was not judged'
    if report.with_thinking:
        answers = counted(report.with_thinking, 'answer')
        rows['with thinking'] = f'{answers}; what was thought aloud was left out'
    for use in report.use:
        cost = '' if use.cost != use.cost else f', cost {use.cost:.4g}'
        tokens = f'{use.prompt_tokens:,} + {use.answer_tokens:,} tokens'
        rows[f'asked {use.model}'] = f'{use.questions:,} questions, {tokens}, {use.seconds:.1f} s{cost}'
    return [{'what': _cut(what, 24), 'value': value} for what, value in rows.items()]


def _agreement_table(agreements: Sequence[Agreement], heading: str, is_published: bool) -> Table:
    table = plain_table(title=heading, title_justify='left')
    table.title_style = 'bold'
    table.add_column('judge', no_wrap=True, max_width=16, overflow='ellipsis')
    figures = {'waf2': 'WAF, 2', 'acc2': 'ACC, 2', 'waf3': 'WAF, 3', 'acc3': 'ACC, 3'}
    for name in figures.values():
        table.add_column(name, no_wrap=True)
    for agreement in agreements:
        values = agreement.published if is_published else agreement.both_orders
        table.add_row(agreement.judge, *(_plain_interval(values[name]) for name in figures))
    return table


def _plain_interval(interval: Interval, scale: float = 100.0, digits: int = 1, bounds: int = 0) -> str:
    """A value and its interval, both times `scale`, in per cent by default; a dash where it is undefined."""
    if interval.value != interval.value:
        return '–'
    low, high = scale * interval.low, scale * interval.high
    if low != low:
        return f'{scale * interval.value:.{digits}f}'
    return f'{scale * interval.value:.{digits}f} [{low:.{bounds}f} {high:.{bounds}f}]'


SCALE_WIDTH = 22
"""Characters of the drawn scale."""


def _column(value: float, low: float, high: float) -> int:
    return round((min(max(value, low), high) - low) / (high - low) * (SCALE_WIDTH - 1))


def _scale(low: float, high: float) -> Text:
    """A header that marks 0, the mean of all items."""
    cells = [' '] * SCALE_WIDTH
    cells[_column(0.0, low, high)] = '0'
    return Text(''.join(cells))


def _whisker(left: float, middle: float, right: float, low: float, high: float) -> Text:
    cells = [' '] * SCALE_WIDTH
    cells[_column(0.0, low, high)] = '┊'
    if not (isnan(left) or isnan(right)):
        begin, end = _column(left, low, high), _column(right, low, high)
        cells[begin : end + 1] = '─' * (end + 1 - begin)
    cells[_column(middle, low, high)] = '●'
    return Text(''.join(cells))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + '…'
