"""A leaderboard of describers as one self-contained HTML page: the leaders by each score, biases, and every table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from affekt.describers.board import Board, Verdicts
from affekt.describers.board_tables import UNKNOWN, bias_rows, board_sheet, headline
from affekt.describers.tables import short
from affekt.experiments import Section
from affekt.metrics import Interval
from affekt.pages import Scale, axis_svg, escaped, interval_svg, scale_of, whole_page
from affekt.ranking import Standing
from affekt.wording import signed

LONGEST_EXAMPLE = 600
"""Maximum characters of a description on the page."""
DRAWN = ('Labels against', 'Verdicts of')
"""Beginnings of the titles of sections that the page draws as plots."""
NUMBERS = frozenset({'rank', 'won', 'group'})
LONGER = 'A judge whose winner is nearly always the longer text may judge by length alone.'


def board_page(board: Board) -> str:
    """The whole page; every text from outside is escaped."""
    sheet = board_sheet(board)
    others = [section for section in sheet.sections if section.title != 'At a glance']
    notes = ''.join(f'<li>{escaped(note)}</li>' for note in sheet.lines)
    body = [
        _head(board),
        *_labels(board),
        *_verdicts(board),
        *(_table(_with_names(section, board)) for section in others if not section.title.startswith(DRAWN)),
        _examples(board),
        f'<section class="part"><h2>How to read it</h2><ul class="soft">{notes}</ul></section>',
        _records(board),
    ]
    names = ' and '.join(describer.name for describer in board.describers[:3])
    page = whole_page(f'Describers compared: {names}', names, '\n'.join(body))
    return page.replace(' %', '\N{NO-BREAK SPACE}%')


def _head(board: Board) -> str:
    counts = {
        'describers': len(board.describers), 'clips': board.clips, 'described by all': len(board.shared),
        'sources of verdicts': sum(not verdicts.is_reference for verdicts in board.verdicts),
    }  # fmt: skip
    cells = ''.join(f'<div><dt>{escaped(name)}</dt><dd>{count:,}</dd></div>' for name, count in counts.items())
    remarks = ''.join(f'<li>{escaped(note)}</li>' for note in board.notes)
    notes = f'<ul class="notes" aria-label="Remarks on the results">{remarks}</ul>' if remarks else ''
    return f'<section class="head"><h1>{escaped(headline(board))}</h1><dl class="facts">{cells}</dl>{notes}</section>'


def _labels(board: Board) -> list[str]:
    """The section of label scores, plotted as points above the best constant answer; [] without a truth."""
    ranking = board.by_sample
    if ranking is None or board.constant is None:
        return []
    words, baseline = board.constant
    ends = {name: [100 * end for end in _ends(ranking.scores[name])] for name in ranking.order}
    scale = scale_of([end - 100 * baseline for interval_ends in ends.values() for end in interval_ends])
    rows = []
    for name, (low, value, high) in ends.items():
        reach = f' <small>{low:.1f} to {high:.1f}</small>' if math.isfinite(low) else ''
        points = [end - 100 * baseline for end in (low, value, high)]
        label = f'{name}: {value:.1f} per cent, {points[1]:+z.1f} points above the best constant answer'
        rows.append(
            f'<tr><td class="number">{_rank_range(*ranking.ranks[name][1:])}</td><th scope="row">{escaped(name)}</th>'
            f'<td class="strength"><b>{value:.1f}</b>{reach}</td>'
            f'<td class="plot">{interval_svg(scale, points[0], points[1], points[2], label)}</td>'
            f'<td class="number">{escaped(ranking.letters(name))}</td></tr>'
        )
    heads = _heads('rank', 'describer', 'score', axis_svg(scale), 'group')
    return [
        '<section class="part"><h2>Labels against the truth</h2><p class="soft">F1 per clip, in per cent, with 95 % '
        'intervals: labels in the inner sectors of five wheels; a label too many costs. Describers that share a letter '
        f'cannot be told apart. Plotted: points above the best constant answer, <i>{escaped(words)}</i> for '
        f'every clip, with {100 * baseline:.1f}.</p>{_scroll("Labels against the truth", heads, rows)}</section>'
    ]


def _verdicts(board: Board) -> list[str]:
    """A section per source of verdicts: strengths as they are, and controlled for length and order."""
    parts = []
    for verdicts in (standing for standing in board.verdicts if not standing.is_reference):
        rankings = {'Not controlled': verdicts.plain}
        if verdicts.controlled is not None:
            rankings[f'Controlled for {verdicts.controlled_for}'] = verdicts.controlled
        scale = scale_of([
            end for ranking in rankings.values() for standing in ranking.standings
            for end in (standing.low, standing.strength, standing.high)
        ])  # fmt: skip
        tables = ''.join(
            f'<h3>{title}</h3>{_strengths(ranking.standings, scale, f"{verdicts.source}: {title}")}'
            for title, ranking in rankings.items()
        )
        parts.append(
            f'<section class="part"><h2>Verdicts of {escaped(verdicts.source)}</h2><p class="soft">Log-odds against '
            f'the mean of all describers, with 95 % intervals. {escaped(_biases(verdicts))}</p>{tables}</section>'
        )
    return parts


def _biases(verdicts: Verdicts) -> str:
    """Sentences on ties, the text shown first, agreement of both orders, and length; unknown shares are left out."""
    _, _, ties, longer, first, agree = bias_rows([verdicts])[0]
    sentences = [f'{ties} are ties.']
    if first != UNKNOWN:
        sentences.append(f'The text shown first won {first} of decided verdicts.')
    if agree != UNKNOWN:
        sentences.append(f'Both orders agree in {agree}.')
    if longer != UNKNOWN:
        sentences.append(f'The longer text won {longer} of decided verdicts. {LONGER}')
    return ' '.join(sentences)


def _strengths(standings: Sequence[Standing], scale: Scale, label: str) -> str:
    rows = []
    for standing in standings:
        # + 0.0 makes a zero of -0.0, so that what rounds to zero has a plus
        value, low, high = (
            signed(round(end, 2) + 0.0, zero_too=True) for end in (standing.strength, standing.low, standing.high)
        )
        ends = f'{low} to {high}' if math.isfinite(standing.low) else ''
        plot = interval_svg(scale, standing.low, standing.strength, standing.high, f'{standing.item}: {value}, {ends}')
        rows.append(
            f'<tr><td class="number">{_rank_range(standing.best_rank, standing.worst_rank)}</td>'
            f'<th scope="row">{escaped(standing.item)}</th>'
            f'<td class="strength"><b>{value}</b> <small>{ends}</small></td><td class="plot">{plot}</td>'
            f'<td class="number">{100 * standing.win_rate:.0f} %</td></tr>'
        )
    return _scroll(label, _heads('rank', 'describer', 'strength', axis_svg(scale), 'won'), rows)


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.low, interval.value, interval.high


def _rank_range(low: int, high: int) -> str:
    return f'{low}' if low == high else f'{low}–{high}'


def _heads(*names: str) -> str:
    return ''.join(f'<th scope="col"{_class(name)}>{name}</th>' for name in names)


def _class(name: str) -> str:
    return ' class="plot"' if '<svg' in name else ' class="number"' if name in NUMBERS else ''


def _scroll(label: str, heads: str, rows: list[str]) -> str:
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(label)}"><table class="board">'
        f'<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _with_names(section: Section, board: Board) -> Section:
    """A section of `board_sheet` whose first column has whole names instead of shortened ones."""
    all_names = dict.fromkeys([*(each.name for each in board.describers), *(each.source for each in board.verdicts)])
    counts = Counter(short(name) for name in all_names)
    names = [name for name in all_names if counts[short(name)] == 1]  # a shortened name of two stays as it is
    plain_names = {short(name): name for name in names}
    pair_names = {f'{short(a)} over {short(b)}': f'{a} over {b}' for a in names for b in names}
    rule_names = {f'{cell} (rule)': f'{name} (rule)' for cell, name in plain_names.items()}
    full_names = {**plain_names, **pair_names, **rule_names}
    return replace(section, cells=tuple((full_names.get(row[0], row[0]), *row[1:]) for row in section.cells))


def _table(section: Section) -> str:
    heads = ''.join(
        f'<th scope="col"{"" if at < section.left else " class=number"}>{escaped(name)}</th>'
        for at, name in enumerate(section.heads)
    )
    rows = [
        '<tr>' + ''.join(
            f'<td{"" if at < section.left else " class=number"}>{escaped(cell)}</td>' for at, cell in enumerate(cells)
        ) + '</tr>'
        for cells in section.cells
    ]  # fmt: skip
    return (
        f'<section class="part"><h2>{escaped(section.title)}</h2>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(section.title)}"><table>'
        f'<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )


def _examples(board: Board, most: int = 3) -> str:
    """Descriptions and labels of the first clips by each describer."""
    blocks = []
    for name in board.shared[:most]:
        descriptions = ''.join(
            f'<div><dt>{escaped(describer.name)}</dt><dd>{escaped(describer.texts[name][:LONGEST_EXAMPLE])}'
            f'<br><small>{escaped(", ".join(describer.labels[name].labels) or "no label")}</small></dd></div>'
            for describer in board.describers
        )
        blocks.append(f'<h3>{escaped(name)}</h3><dl class="made">{descriptions}</dl>')
    return f'<section class="part"><h2>Examples</h2>{"".join(blocks)}</section>'


def _records(board: Board) -> str:
    """A line per describer: weights, model, server, prompt, device and precision, as far as noted."""
    fields = ('weights_sha256', 'model', 'endpoint', 'server', 'trunk', 'prompt', 'device', 'precision', 'table')
    rows = []
    for describer in board.describers:
        noted = [f'{name} {describer.record[name]}' for name in fields if isinstance(describer.record.get(name), str)]
        rows.append(f'<div><dt>{escaped(describer.name)}</dt><dd>{escaped("; ".join(noted) or "not noted")}</dd></div>')
    return (
        '<section class="part"><h2>What the answers depend on</h2><p class="soft">In full in board.json.</p>'
        f'<dl class="made">{"".join(rows)}</dl></section>'
    )
