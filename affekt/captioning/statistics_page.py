"""Statistics of captions as tables of text, for the terminal, and as one HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from affekt.captioning.captions import STATUSES
from affekt.captioning.filters import REASONS
from affekt.captioning.statistics import PUBLISHED, CaptionStatistics, LabelSpace
from affekt.experiments import Section, Sheet, plain_sheet_page
from affekt.metrics import Interval
from affekt.wording import percent, signed

_ON_LABELS = (
    "bits: the entropy of the labels, and of the inner sectors of affekt's wheel that they fall in",
    'without: clips whose description has no label',
)
_ON_MERGING = (
    'merging: all three texts read by the same word list; F over the inner rings of the five wheels, 95 % intervals'
)
_ON_AGREEMENT = 'agreement of two sets of labels: 2 |A and B| / (|A| + |B|), 1 where both are empty; mean over clips'


def statistics_sheet(statistics: CaptionStatistics) -> Sheet:
    """All statistics as tables."""
    sections = [
        Section('Captions', ('status', 'meaning', 'clips'), _counted(statistics.statuses, STATUSES), 2),
        _clues(statistics),
        _labels(statistics),
        _frequent(statistics),
        _lengths(statistics),
    ]
    if statistics.left_out is not None:
        kept = sum(statistics.statuses.values()) - sum(statistics.left_out.values())
        reasons = {'kept': kept} | {
            reason: statistics.left_out.get(reason, 0) for reason in REASONS if reason in statistics.left_out
        }
        sections.insert(
            1, Section('The filter', ('', 'meaning', 'clips'), _counted(reasons, {'kept': '', **REASONS}), 2)
        )
    reading = list(_ON_LABELS)
    if statistics.gain is not None:
        sections.append(_gain(statistics))
        reading.append(_ON_MERGING)
    if statistics.agreements:
        sections.append(_agreements(statistics))
        reading.append(_ON_AGREEMENT)
    return Sheet('Captions', tuple(sections), (*statistics.notes(), *reading))


def statistics_page(statistics: CaptionStatistics, captions: str) -> str:
    """All statistics as one HTML page.

    Args:
        statistics: the statistics.
        captions: source of the captions.
    """
    sheet = statistics_sheet(statistics)
    counts = {'clips': sum(statistics.statuses.values()), 'described': statistics.before.clips}
    return plain_sheet_page('Captions', captions, sheet, list(statistics.notes()), counts)


def _counted(counts: Mapping[str, int], meanings: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Rows of a name, its meaning and its count, without counts of 0."""
    return tuple(
        (name or 'unknown', meanings.get(name, ''), f'{number:,}') for name, number in counts.items() if number
    )


def _clues(statistics: CaptionStatistics) -> Section:
    names = list(dict.fromkeys(name for counts in statistics.clue_statuses.values() for name in counts))
    rows = tuple(
        (step, *(f'{counts.get(name, 0):,}' for name in names)) for step, counts in statistics.clue_statuses.items()
    )
    return Section('Clues', ('clue', *(name or 'unknown' for name in names)), rows, 1)


def _spaces(statistics: CaptionStatistics) -> list[tuple[str, LabelSpace]]:
    return [('all', statistics.before)] + ([('kept', statistics.after)] if statistics.after is not None else [])


def _labels(statistics: CaptionStatistics) -> Section:
    rows = tuple(
        (
            name, f'{space.clips:,}', f'{space.labels:,}', f'{space.types:,}', _number(space.per_clip),
            f'{space.without:,}', _number(space.entropy), f'{space.sectors:,}', _number(space.sector_entropy),
        )
        for name, space in _spaces(statistics)
    )  # fmt: skip
    heads = ('', 'clips', 'labels', 'types', 'per clip', 'without', 'bits', 'sectors', 'their bits')
    before, after = PUBLISHED['label types']
    return Section(f'Labels (MER-Caption: {before:,} types, {after:,} after its filter)', heads, rows, 1)


def _frequent(statistics: CaptionStatistics) -> Section:
    rows = tuple(
        (name, ', '.join(f'{word} {count:,}' for word, count in space.most)) for name, space in _spaces(statistics)
    )
    return Section('Most frequent labels', ('', 'labels'), rows, 2)


def _lengths(statistics: CaptionStatistics) -> Section:
    lengths = statistics.lengths
    cells = (
        f'{lengths.count:,}', _number(lengths.mean, 0), _number(lengths.standard_deviation, 0),
        f'{lengths.shortest:,}', f'{lengths.longest:,}', _number(lengths.log_mean),
        _number(lengths.log_standard_deviation),
    )  # fmt: skip
    heads = ('descriptions', 'mean', 'sd', 'shortest', 'longest', 'mean of log', 'sd of log')
    return Section('Lengths, characters', heads, (cells,), 0)


def _gain(statistics: CaptionStatistics) -> Section:
    gain = statistics.gain
    assert gain is not None
    low, high = PUBLISHED['gain of merging over the better clue']
    cells = (
        f'{gain.clips:,}', percent(gain.audio), percent(gain.visual), percent(gain.merged),
        f'{signed(100 * gain.over_better.value)} {_bounds(gain.over_better)}', f'{gain.p:.4f}',
    )  # fmt: skip
    heads = ('clips', 'audio clue', 'visual clue', 'merged', f'over the {gain.better} clue', 'p')
    return Section(f'Gain of merging, F of the wheels in % (published: {low:g} to {high:g} points)', heads, (cells,), 0)


def _agreements(statistics: CaptionStatistics) -> Section:
    rows = tuple(
        (pair.name, f'{pair.clips:,}', _share(pair.words), '' if pair.groups is None else _share(pair.groups))
        for pair in statistics.agreements
    )
    published = ', '.join(f'{value:g}' for value in PUBLISHED['agreement of two languages'])
    title = f'Two languages: English and {statistics.language} (published for four pairs: {published})'
    return Section(title, ('labels', 'clips', 'same words', 'same groups'), rows, 1)


def _share(interval: Interval) -> str:
    bounds = '' if math.isnan(interval.low) else f' [{interval.low:z.2f}, {interval.high:z.2f}]'
    return f'{_number(interval.value)}{bounds}'


def _bounds(interval: Interval) -> str:
    return f'[{signed(100 * interval.low)}, {signed(100 * interval.high)}]' if not math.isnan(interval.low) else ''


def _number(value: float, digits: int = 2) -> str:
    return '–' if math.isnan(value) else f'{value:,.{digits}f}'
