"""Benchmark results on a terminal of eighty columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.benchmarks import PAPER_MODE, UNIBENCH, published, rivals, set_named, short_name
from affekt.pages.figures import spread
from affekt.terminal import plain_table
from affekt.wording import counted, percent_in_five

if TYPE_CHECKING:
    from affekt.benchmarks import Ovmer, UniBench
    from affekt.benchmarks.ovmer import Agreement, View
    from affekt.benchmarks.selection import Row
    from affekt.experiments import Section, Sheet

SHORT = {
    'mer2023': 'MER23', 'mer2024': 'MER24', 'meld': 'MELD', 'iemocap': 'IEMO', 'cmumosi': 'MOSI', 'cmumosei': 'MOSEI',
    'sims': 'SIMS', 'simsv2': 'SIMS2', 'ovmerdplus': 'OV+',
}  # fmt: skip
ON_TEST = 'chosen on test data'
MODE_TITLES = {
    'nosubtitle-addsub': 'clues first, subtitle merged later (as in the paper)',
    'subtitle': 'with the subtitle',
    'nosubtitle': 'without the subtitle',
    '': 'all systems',
}
SHOWN_METRICS = ('M1 f', 'M2 f', 'EW-L1 f', 'EW-L2 f', 'M-avg f')


def sheet_tables(sheet: Sheet) -> Group:
    """All tables of an experiment, and its notes."""
    parts: list[Any] = [Text(sheet.title)]
    for section in sheet.sections:
        parts += [Text(), Text(section.title), _section_table(section)]
    return Group(*parts, Text(), *(Text(line, style='dim') for line in sheet.lines))


def _section_table(section: Section) -> Table:
    table = plain_table(*section.heads, left=section.left, gap=1)
    for cells in section.cells:
        table.add_row(*cells)
    return table


def unibench_tables(outcome: UniBench) -> Group:
    """Protocols by set, constant answers and label counts by set, published rows, and absent sets."""
    parts: list[Any] = [Text(f'MER-UniBench, word table {outcome.table}'), Text()]
    parts += [_unibench_protocols(outcome), Text()]
    parts += [Text(f'{_titled(row)}: {row.how}', style='dim') for row in outcome.rows]
    parts += [Text(), _unibench_answers(outcome)]
    if outcome.rows[0].counted:
        parts += [Text(), _published_comparison(outcome)]
    lines = [f'{set_named(key).name} absent: {why}' for key, why in outcome.absent.items()]
    lines += [f'{result.set.name}: {note}' for result in outcome.results.values() for note in result.notes]
    lines += [
        f'{result.set.name}: sentiment {result.sentiment}'
        for result in outcome.results.values()
        if 'der' in result.sentiment
    ]
    parts += [Text(), *(Text(line, style='yellow') for line in (*lines, *outcome.notes))]
    return Group(*parts)


def _titled(row: Row) -> str:
    title = row.protocol
    if len(set(row.checkpoints.values())) == 1:
        title += f' {short_name(next(iter(row.checkpoints.values())))}'
    return f'{title} ({ON_TEST})' if row.chosen_on_test else title


def _unibench_protocols(outcome: UniBench) -> Table:
    heads = {'fixed': 'fixed [95 %]', 'mean': 'mean ± sd', 'best single': 'single*', 'oracle per set': 'oracle*'}
    names = [
        heads[row.protocol] if row.chosen_on_test or '*' not in heads[row.protocol] else 'single'
        for row in outcome.rows
    ]
    table = plain_table('set', 'metric', 'n', *names, left=2)
    for key, result in outcome.results.items():
        cells = [_cell(row, key, outcome) for row in outcome.rows]
        sample_count = str(result.samples) if result.whole else f'{result.samples}/{result.set.samples}'
        table.add_row(result.set.name, result.set.metric, sample_count, *cells)
    set_count = len(outcome.rows[0].counted)
    table.add_row(
        'mean', f'{set_count} of {len(UNIBENCH)}', '', *(_mean_cell(row) for row in outcome.rows), style='bold'
    )
    return table


def _cell(row: Row, key: str, outcome: UniBench) -> str:
    value = percent_in_five(row.scores[key])
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
    value = percent_in_five(row.mean)
    return f'{value} ± {100 * row.mean_sd:.1f}' if row.protocol == 'mean' and row.counted else value


def _unibench_answers(outcome: UniBench) -> Table:
    """Label counts of the fixed checkpoint's answers, and the score of the best constant answer."""
    table = plain_table('set', 'best constant answer', 'labels', 'empty', 'unknown', 'beside it', left=1)
    for key, result in outcome.results.items():
        checkpoint = outcome.rows[0].checkpoints[key]
        counts, scores = result.facts[checkpoint], result.scores[checkpoint]
        if result.set.task == 'sentiment':
            further_score = f'accuracy {percent_in_five(scores["accuracy"])}'
        elif result.set.task == 'basic':
            further_score = f'mscore {percent_in_five(scores["HIT mscore"])}'
        else:
            further_score = (
                f'P {percent_in_five(scores["EW-L1 precision"])} R {percent_in_five(scores["EW-L1 recall"])}'
            )
        labels, unknown = counts.get('labels_per_answer'), counts.get('unknown_words')
        table.add_row(
            result.set.name,
            percent_in_five(result.floor),
            '' if labels is None else f'{labels:.1f}',
            f'{counts["empty_answers"]:.0f}' if 'empty_answers' in counts else '',
            '' if unknown is None else f'{100 * unknown:.0f} %',
            further_score,
        )
    return table


def _published_comparison(outcome: UniBench) -> Group:
    """The published rows and those of the outcome on the same whole sets, sorted by mean."""
    keys = outcome.rows[0].counted
    own_rows = [
        (f'yours, {row.protocol.removesuffix(" per set")}', {key: row.scores[key] for key in keys}, row.mean)
        for row in outcome.rows
        if row.protocol in ('fixed', 'oracle per set')
    ]
    published_rows = [(f'{model} {inputs}', scores, mean) for model, inputs, scores, mean in rivals(outcome, keys)]
    title = f'published, {counted(len(keys), "set")}'
    table = plain_table(title, *(SHORT[key] for key in keys), 'mean', gap=1)
    for name, scores, mean in sorted([*published_rows, *own_rows], key=lambda row: -row[2]):
        style = 'bold' if name.startswith('yours') else ''
        table.add_row(name, *(percent_in_five(scores[key]) for key in keys), percent_in_five(mean), style=style)
    paper = published('unibench')
    return Group(table, Text(f'{paper.source}; {paper.protocol}', style='dim'))


def ovmer_tables(outcome: Ovmer) -> Group:
    """A ranking for each mode, agreement with the published grouping, changes of rank, baselines and notes."""
    parts: list[Any] = [
        Text(f'OV-MER, {counted(outcome.samples, "sample")}, {counted(len(outcome.systems), "prediction")}'),
        Text(),
    ]
    for view in outcome.views:
        parts.append(Text(f'{view.name}: {view.rule}, ranked by {view.headline}; table {view.table}', style='dim'))
    for mode in sorted(outcome.views[0].rankings, key=list(MODE_TITLES).index):
        parts += [Text(), Text(MODE_TITLES[mode], style='bold'), _ranking(outcome, mode)]
    parts.append(Text('apart: systems that share no letter differ, paired tests with Holm correction', style='dim'))
    if len(outcome.agreements) > 1:
        parts += [Text(), _agreement(outcome)]
    parts += [Text(), *(Text(line) for line in _moves(outcome))]
    parts += [Text(_baseline_line(view)) for view in outcome.views]
    parts += [Text(note, style='yellow') for note in outcome.notes]
    return Group(*parts)


def _ranking(outcome: Ovmer, mode: str) -> Table:
    first, *others = outcome.views
    published_scores = {row.model: row.scores for row in published('ovmer').rows} if mode == PAPER_MODE else {}
    is_official = first.rule == 'official'
    extra_metrics = ('EW-L1',) if is_official else ()
    heads = [f'{first.name} [95 %]', 'apart', *extra_metrics, *(view.name for view in others), 'labels']
    table = plain_table('', 'model', *heads, *(['paper'] if published_scores else []), left=2, gap=1)
    ranking = first.rankings[mode]
    for model in ranking.order:
        scores = first.scores[mode][model]
        cells = [spread(ranking.scores[model].value, ranking.scores[model]), ranking.letters(model)]
        cells += [percent_in_five(scores[f'{row} f']) for row in extra_metrics]
        cells += [_score_and_rank(view, mode, model) for view in others]
        cells.append(f'{outcome.answers[mode][model]["labels_per_answer"]:.1f}')
        if published_scores:
            cells.append(percent_in_five(published_scores[model]['M-avg']) if model in published_scores else '–')
        table.add_row(str(ranking.ranks[model][0]), model, *cells)
    return table


def _score_and_rank(view: View, mode: str, model: str) -> str:
    ranking = view.rankings[mode]
    return f'{percent_in_five(ranking.scores[model].value)} {ranking.ranks[model][0]:>2}'


def _agreement(outcome: Ovmer) -> Table:
    """Pearson and Spearman with GPT, a column for each view."""
    names = list(outcome.agreements)
    models = [next(iter(metrics.values())).models for metrics in outcome.agreements.values()]
    heads = [
        f'{"paper" if name.startswith("published") else name} ({size})'
        for name, size in zip(names, models, strict=True)
    ]
    table = plain_table('r and rho with GPT', *heads)
    for metric in SHOWN_METRICS:
        table.add_row(metric.removesuffix(' f'), *(_pair(metrics, metric) for metrics in outcome.agreements.values()))
    for view in outcome.views:
        if view.rule == 'consistent' and view.name in outcome.agreements:
            table.add_row(view.headline, *(_pair(metrics, view.headline) for metrics in outcome.agreements.values()))
    return table


def _pair(metrics: Mapping[str, Agreement], metric: str) -> str:
    """Two correlations of a metric, which may have one of three names; '' if it is absent."""
    key = next((name for name in (metric, metric.removesuffix(' f'), f'{metric}1') if name in metrics), None)
    return '' if key is None else ' '.join(_short(value) for value in (metrics[key].pearson, metrics[key].spearman))


def _short(value: float) -> str:
    """The value in at most four characters, since five columns share a line: .886, 1.00, -.50, -1.0."""
    texts = (f'{value:.{digits}f}'.replace('0.', '.', 1) for digits in (3, 2, 1))
    return next(text for text in texts if len(text) <= 4)


def _moves(outcome: Ovmer) -> list[str]:
    lines = []
    for move in outcome.moves:
        moved = (
            ', '.join(f'{model} {old_rank} to {new_rank}' for model, (old_rank, new_rank) in move.moved.items())
            or 'none'
        )
        mode = f' ({move.mode})' if move.mode else ''
        lines.append(f'ranks from {move.before} to {move.after}{mode}: Kendall {move.kendall:.2f}, moved: {moved}')
    return lines


def _baseline_line(view: View) -> str:
    words, value = view.floor
    return f'{view.name}: answering "{words}" every time reaches {percent_in_five(value)}'
