"""How people and the strongest moments of an analysis look on a terminal of eighty columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from affekt.terminal import plain_table
from affekt.wording import opened, percent, signed

if TYPE_CHECKING:
    from affekt.analysis import Analysis, Moment, Person


def interval(bounds: tuple[float, float, float] | None) -> str:
    """Mean and 95 % interval, or a dash where nothing was measured."""
    if bounds is None:
        return '–'
    mean, low, high = bounds
    return signed(mean) if low != low else f'{signed(mean)} [{signed(low)} {signed(high)}]'


def people_table(analysis: Analysis) -> Group | Text:
    """A row per person: seen, heard, the course or three words, valence, arousal, and the strongest moment below."""
    if not analysis.lanes:
        return Text('Nobody was seen or heard.')
    table = plain_table(width=80)
    table.add_column('person', overflow='fold', max_width=24)
    table.add_column('seen', justify='right', no_wrap=True)
    table.add_column('heard', justify='right', no_wrap=True)
    table.add_column('comes across as', ratio=1)
    table.add_column('valence, arousal', no_wrap=True)
    for person in analysis.lanes:
        table.add_row(
            person.name.removeprefix('person '),
            'picture' if analysis.source.kind == 'image' else f'{person.seen_s:.1f} s',
            '–' if analysis.source.kind == 'image' else f'{person.heard_s:.1f} s',
            '\n'.join(_comes_across(analysis, person)),
            f'V {interval(person.valence)}\nA {interval(person.arousal)}',
        )
    lines = [Text.assemble((f'{_when(m)}  ', 'bold'), m.sentence) for m in _strongest_moments(analysis)]
    return Group(table, Text(''), *lines) if lines else Group(table)


def _comes_across(analysis: Analysis, person: Person) -> list[str]:
    """A line for each part of the course, or for each word where the person stays the same."""
    from affekt.analysis import named, told_course, told_words

    labels = told_words(person, analysis.labels)
    words = [named(label.word, label.certainty) + _share(label.certainty) for label in labels]
    parts = told_course(person.course)
    lines = [f'{part.word} {part.times}'.rstrip() + _share(part.certainty) for part in parts]
    return words or lines or ['too unsure to say']


def _share(certainty: float | None) -> str:
    return '' if certainty is None else f' ({percent(certainty, 0, " %")})'


def _when(moment: Moment) -> str:
    from affekt.analysis import when

    return opened(when(moment))


def _strongest_moments(analysis: Analysis) -> list[Moment]:
    strongest: dict[str, Moment] = {}
    for moment in sorted(analysis.moments, key=lambda moment: -moment.strength):
        strongest.setdefault(moment.person, moment)
    return [strongest[person.name] for person in analysis.lanes if person.name in strongest]
