"""A ranking as one self-contained HTML page: leaderboard, ties in rank, biases, next pairs.

All content is in the markup; `affekt.pages` restricts what may run on the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affekt.pages import Scale, axis_svg, better_svg, escaped, interval_svg, scale_of, whole_page
from affekt.ranking.biases import Bias
from affekt.ranking.diagnosis import listed
from affekt.ranking.leaderboard import Ranking, Standing
from affekt.runs import write_atomically
from affekt.wording import DASH, percent, signed

MOST_NAMES = 24
"""Maximum number of names in a cell."""
COUNTS = ('comparisons', 'ties', 'items', 'samples', 'raters')
"""Counts of the head, in this order."""
TIE_MODELS = {'half': 'a tie is half a win for each', 'davidson': 'Davidson', 'rao-kupper': 'Rao and Kupper'}


def render_ranking(ranking: Ranking, out: Path, source: Mapping[str, Any] | None = None) -> Path:
    """Write the page, completely or not at all; returns its path.

    Args:
        ranking: ranking to show.
        out: path of the .html file.
        source: provenance, see `ranked_file`; None to leave it out.

    Raises:
        StorageError: the file cannot be written.
    """
    write_atomically(Path(out), ranking_page(ranking, source).encode())
    return Path(out)


def ranking_page(ranking: Ranking, source: Mapping[str, Any] | None = None) -> str:
    """The complete page as HTML; for the arguments see `render_ranking`."""
    source_name = str((source or {}).get('input', 'comparisons'))
    return whole_page(f'Ranking of {source_name}', source_name, page_body(ranking, source))


def page_body(ranking: Ranking, source: Mapping[str, Any] | None = None) -> str:
    """All sections as HTML; every text from outside is escaped. For the arguments see `render_ranking`."""
    return '\n'.join(
        part
        for part in (
            _head(ranking),
            _board(ranking),
            _flagged(ranking),
            _apart(ranking),
            _biases(ranking),
            _next(ranking),
            _made(ranking, source or {}),
        )
        if part
    )


def _head(ranking: Ranking) -> str:
    facts = ranking.facts
    counts = [(f'{facts[name]:,}', name) for name in COUNTS if name in facts]
    fact_list = ''.join(f'<div><dt>{name}</dt><dd>{number}</dd></div>' for number, name in counts)
    notes = ''.join(f'<li>{escaped(_sentence(note))}</li>' for note in ranking.notes)
    note_list = f'<ul class="notes" aria-label="What a reader must know">{notes}</ul>' if notes else ''
    return (
        f'<section class="head"><h1>{escaped(_headline(ranking))}</h1>'
        f'<dl class="facts">{fact_list}</dl>{note_list}</section>'
    )


def _headline(ranking: Ranking) -> str:
    """A sentence that names the item that ranks first, or those that may."""
    first = [standing.item for standing in ranking.standings if standing.best_rank == 1]
    top = ranking.standings[0]
    if len(first) == 1:
        return f'{top.item} is first.'
    if len(first) == len(ranking.standings):
        return 'No item can be told apart from the best.'
    if len(first) <= 3:
        return f'First is {", ".join(first[:-1])} or {first[-1]}: they cannot be told apart.'
    return f'{top.item} leads, but any of {len(first)} items may be first.'


def _board(ranking: Ranking) -> str:
    values = [value for standing in ranking.standings for value in (standing.strength, standing.low, standing.high)]
    scale = scale_of(values)
    rows = ''.join(_row(standing, scale) for standing in ranking.standings)
    level = f'{ranking.settings.level:.0%}'
    left_headers = _headers(
        ('rank', 'Ranks that it may truly have, right for all items at once'),
        ('item', ''),
        ('strength', f'Log-odds against the mean of all items, with {level} interval'),
    )
    right_headers = _headers(
        ('won', 'Share of its comparisons, a tie counting half'),
        ('wins', ''),
        ('losses', ''),
        ('ties', ''),
        ('Elo', 'Depends on the order of the rows; for reference'),
    )
    return (
        '<section class="part"><h2>Leaderboard</h2>'
        f'<p class="soft">Log-odds; 0 is the mean of all items. Bars are {level} {escaped(ranking.settings.intervals)} '
        f'intervals{_clusters(ranking)}. A rank such as 2–4 holds for all items at once.</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Leaderboard"><table class="sortable board">'
        f'<thead><tr>{left_headers}<th scope="col" class="plot">{axis_svg(scale)}</th>{right_headers}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div></section>'
    )


def _flagged(ranking: Ranking) -> str:
    """The leaderboard with and without flagged raters, side by side."""
    if not ranking.without_flagged:
        return ''
    unflagged = {standing.item: standing for standing in ranking.without_flagged}
    rows = ''.join(
        f'<tr><th scope="row">{escaped(standing.item)}</th>'
        + ''.join(
            _number(str(side.rank), side.rank) + _number(_signed(side.strength), side.strength)
            for side in (standing, unflagged[standing.item])
        )
        + '</tr>'
        for standing in ranking.standings
    )
    headers = ''.join(
        f'<th scope="col" class="number">{name}</th>'
        for name in ('rank', 'strength', 'rank without them', 'strength without them')
    )
    listing = '; '.join(f'{rater}: {", ".join(flags)}' for rater, flags in ranking.flagged.items())
    return (
        '<section class="part" id="flagged"><h2>With and without flagged raters</h2>'
        f'<p class="soft">Flagged, and counted above: {escaped(listing)}.</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="With and without flagged raters"><table>'
        f'<thead><tr><th scope="col">item</th>{headers}</tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def _row(standing: Standing, scale: Scale) -> str:
    ranks = (
        f'{standing.best_rank}'
        if standing.best_rank == standing.worst_rank
        else f'{standing.best_rank}–{standing.worst_rank}'
    )
    interval = '' if math.isnan(standing.low) else f'{_signed(standing.low)} to {_signed(standing.high)}'
    label = ', '.join(part for part in (f'{standing.item}: {_signed(standing.strength)}', interval) if part)
    rate = percent(standing.win_rate, 0, '%')
    elo = DASH if math.isnan(standing.elo) else f'{standing.elo:.0f}'
    counts = ''.join(_number(f'{value:,.10g}', value) for value in (standing.wins, standing.losses, standing.ties))
    return (
        f'<tr>{_number(ranks, standing.rank)}<th scope="row">{escaped(standing.item)}</th>'
        f'<td class="strength" data-value="{standing.strength!r}">'
        f'<b>{_signed(standing.strength)}</b> <small>{interval}</small></td>'
        f'<td class="plot">{interval_svg(scale, standing.low, standing.strength, standing.high, label)}</td>'
        f'{_number(rate, standing.win_rate)}{counts}{_number(elo, standing.elo)}</tr>'
    )


def _apart(ranking: Ranking) -> str:
    rows = ''.join(
        f'<tr><th scope="row">{escaped(standing.item)}</th>'
        f'<td>{escaped(listed(standing.not_told_apart, MOST_NAMES)) or "nobody: its rank is sure"}</td></tr>'
        for standing in ranking.standings
    )
    matrix = better_svg([standing.item for standing in ranking.standings], ranking.better)
    figure = (
        '<figure class="scroll" tabindex="0" role="region" aria-label="Who is better than whom">'
        f'{matrix}<figcaption class="soft">Percent sure that the item of the row is truly better than the one of the '
        'column (numbered as the rows), one pair at a time.</figcaption></figure>'
        if matrix
        else ''
    )
    return (
        '<section class="part"><h2>Who cannot be told apart</h2>'
        f'<div class="two"><div class="scroll" tabindex="0" role="region" aria-label="Not told apart"><table>'
        '<thead><tr><th scope="col">item</th><th scope="col">may truly be above or below it</th></tr></thead>'
        f'<tbody>{rows}</tbody></table></div>{figure}</div></section>'
    )


def _biases(ranking: Ranking) -> str:
    if not ranking.biases:
        return (
            '<section class="part"><h2>Possible biases of the verdicts</h2><p class="soft">The comparisons do not '
            'say which side was shown first, nor how long the texts were, so nothing can be said.</p></section>'
        )
    scale = scale_of([value for bias in ranking.biases for value in (bias.effect, bias.low, bias.high)])
    rows = ''.join(_bias_row(bias, scale) for bias in ranking.biases)
    left_headers = _headers(
        ('what', ''), ('its side won', 'Of comparisons with a winner in which one side had more of it')
    )
    right_headers = _headers(
        ('between equals', 'Chance that the favoured of two equally strong items wins, one unit apart')
    )
    return (
        '<section class="part"><h2>Possible biases of the verdicts</h2><p class="soft">Left: how often the side with '
        'more of it won, which is the accuracy of a rule that knows nothing else. Right: its effect between equally '
        'strong items, in log-odds for one unit (being shown first, twice the length, one more).</p>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Biases"><table class="sortable">'
        f'<thead><tr>{left_headers}<th scope="col" class="plot">{axis_svg(scale)}</th>{right_headers}'
        '<th scope="col"></th></tr></thead>'
        f'<tbody>{rows}</tbody></table></div></section>'
    )


def _bias_row(bias: Bias, scale: Scale) -> str:
    share = percent(bias.share, 0, '%') + ('' if math.isnan(bias.share) else f' <small>of {bias.decided:,.10g}</small>')
    interval = f'{_signed(bias.effect)} [{_signed(bias.low)} to {_signed(bias.high)}]'
    plot = '' if bias.note else interval_svg(scale, bias.low, bias.effect, bias.high, f'{bias.name}: {interval}')
    effect = escaped(bias.note) if bias.note else f'<b>{bias.chance:.0%}</b> <small>{interval}</small>'
    return (
        f'<tr><th scope="row">{escaped(bias.name)}</th><td class="number" data-value="{bias.share!r}">{share}</td>'
        f'<td class="plot">{plot}</td><td class="strength" data-value="{bias.effect!r}">{effect}</td>'
        f'<td>{"controlled" if bias.is_controlled else ""}</td></tr>'
    )


def _next(ranking: Ranking) -> str:
    pairs = ''.join(
        f'<li><b>{escaped(pair.left)}</b> against <b>{escaped(pair.right)}</b></li>' for pair in ranking.next_pairs
    )
    rows = ''.join(
        f'<tr><th scope="row">{escaped(standing.item)} and {escaped(next_standing.item)}</th>'
        f'{_number(_more(standing), standing.more_to_next)}</tr>'
        for standing, next_standing in zip(ranking.standings, ranking.standings[1:], strict=False)
        if standing.more_to_next > 0
    )
    table = (
        '<div class="scroll" tabindex="0" role="region" aria-label="How many more"><table><thead><tr>'
        '<th scope="col">to tell apart</th><th scope="col" class="number">more comparisons</th></tr></thead>'
        f'<tbody>{rows}</tbody></table></div>'
        if rows
        else '<p>Neighbours on the board are told apart.</p>'
    )
    return (
        '<section class="part"><h2>What to ask next</h2><div class="two"><div><p class="soft">One more comparison of '
        f'these teaches most about the order.</p><ol class="next">{pairs}</ol></div><div>{table}</div></div></section>'
    )


def _made(ranking: Ranking, source: Mapping[str, Any]) -> str:
    settings = ranking.settings
    diagnosis = '; '.join(ranking.diagnosis.sentences) or 'wins and ties lead from every item to every other'
    tie = '' if ranking.tie_parameter is None else f', parameter {ranking.tie_parameter:.3f} (log)'
    rows: list[tuple[str, object]] = [
        ('diagnosis', diagnosis),
        ('ties', TIE_MODELS.get(settings.ties, settings.ties) + tie),
        ('controlled for', ', '.join((*(['shown first'] if settings.order else []), *settings.control)) or 'nothing'),
        ('prior', 'none' if settings.prior is None else f'Gaussian, {settings.prior:g} log-odds'),
        ('intervals', f'{settings.level:.0%} {settings.intervals}{_clusters(ranking)}'),
        ('seed', settings.seed),
    ]
    rows += [(name, number) for name, number in ranking.facts.items() if name not in COUNTS]
    rows += [(name, source[name]) for name in ('input', 'sha256') if name in source]
    if versions := source.get('versions'):
        rows.append(('versions', ', '.join(f'{name} {number}' for name, number in versions.items())))
    entries = ''.join(f'<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>' for name, value in rows)
    return f'<section class="part"><h2>How this was made</h2><dl class="made">{entries}</dl></section>'


def _headers(*columns: tuple[str, str]) -> str:
    return ''.join(
        f'<th scope="col"{_class(name)}{f" title={chr(34)}{escaped(hint)}{chr(34)}" if hint else ""}>{name}</th>'
        for name, hint in columns
    )


def _class(name: str) -> str:
    return ' class="number"' if name in NUMBERS else ''


NUMBERS = frozenset({'rank', 'won', 'wins', 'losses', 'ties', 'Elo', 'its side won'})


def _number(shown: str, value: float) -> str:
    """A cell with the value by which the column is sorted."""
    return f'<td class="number" data-value="{float(value)!r}">{shown}</td>'


def _more(standing: Standing) -> str:
    return 'no number would' if math.isinf(standing.more_to_next) else f'{standing.more_to_next:,.0f}'


def _clusters(ranking: Ranking) -> str:
    counts = ' and '.join(f'{number:,} {name}s' for name, number in ranking.clusters.items())
    return f', clustered by {escaped(counts)}' if counts else ''


def _signed(value: float) -> str:
    return signed(value, zero_too=True)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ('' if text.endswith('.') else '.')
