"""An analysis, a stream, a corpus and a checkpoint on a terminal of eighty columns.

People with their strongest moments; live: who is seen, the last 30 seconds, the voice, and the delay; the samples and
labelled frames of a manifest, counted; and where the tensors of a checkpoint go.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from affekt.terminal import columns_table, plain_table
from affekt.wording import clock, counted, opened, percent, signed

if TYPE_CHECKING:
    from affekt.analysis import Analysis, Described, Moment, Person
    from affekt.checkpoints import Inspection
    from affekt.corpora import Manifest
    from affekt.frames import FrameTable
    from affekt.live import LatencyReport, LiveFace, LiveReading, LiveVoice

SPAN = 30
"""Length of the curves in seconds, one character each."""
MOST_PEOPLE = 4
"""Maximum number of faces shown."""
STRONGEST = 3
"""Number of categories shown per face."""
LEVELS = '▁▂▃▄▅▆▇█'
NAME = 11
"""Characters of the first column."""
BAR = 20
"""Characters of the level of the voice."""
QUIETEST_DB = -60.0
"""Level at which that bar is empty, dB of full scale."""


def interval(bounds: tuple[float, float, float] | None) -> str:
    """Mean and 95 % interval, or a dash if nothing was measured."""
    if bounds is None:
        return '–'
    mean, low, high = bounds
    return signed(mean) if low != low else f'{signed(mean)} [{signed(low)} {signed(high)}]'


def people_table(analysis: Analysis) -> Group | Text:
    """A row per person: seen, heard, the course or three words, valence, arousal, and the strongest moment below."""
    if not analysis.lanes:
        return Text('Nobody was seen or heard.')
    kind = analysis.source.kind
    table = plain_table(width=80)
    table.add_column('person', overflow='fold', max_width=24)
    table.add_column('seen', justify='right', no_wrap=True)
    table.add_column('heard', justify='right', no_wrap=True)
    table.add_column('comes across as', ratio=1)
    table.add_column('valence, arousal', no_wrap=True)
    for person in analysis.lanes:
        table.add_row(
            person.name.removeprefix('person '),
            {'image': 'image', 'audio': '–'}.get(kind, f'{person.seen_s:.1f} s'),
            '–' if kind == 'image' else f'{person.heard_s:.1f} s',
            '\n'.join(_comes_across(analysis, person)),
            f'V {interval(person.valence)}\nA {interval(person.arousal)}',
        )
    lines = [Text.assemble((f'{_when(moment)}  ', 'bold'), moment.sentence) for moment in _strongest_moments(analysis)]
    return Group(table, Text(''), *lines) if lines else Group(table)


USUAL_FORMS = ('template', 'list', 'free', 'plain')
"""Forms of an answer that need no word of their own."""


def described_lines(analysis: Analysis) -> list[Text | Table]:
    """The answers of describers about a recording, under a heading that separates them from measurements."""
    lines: list[Text | Table] = []
    for described in analysis.described:
        heading = f'described by model {described.describer}; words, not measurements'
        lines += [Text(''), Text(heading, style='dim'), *described_parts(described)]
    return lines


def described_parts(described: Described) -> list[Text | Table]:
    """An answer, then its labels, its clues by their source, and the missing inputs."""
    if described.failure:
        return [Text(f'not described: {described.failure}', style='yellow')]
    first, *others = described.labels or ('none',)
    rows = [('labels', ', '.join([first + _share(described.certainty), *others]))]
    if described.form not in USUAL_FORMS:
        rows.append(('form', described.form))
    if described.form != 'plain':
        rows += [(', '.join(clue.of), clue.text) for clue in described.evidence]
    rows += [('without', f'{part}: {reason}') for part, reason in described.lacking.items()]
    rows += [('struck out', f'{clue.text} ({", ".join(clue.of)} not perceived)') for clue in described.invented]
    table = plain_table(width=80, show_header=False)
    table.add_column(style='dim', no_wrap=True)
    table.add_column(overflow='fold', ratio=1)
    for heading, text in rows:
        table.add_row(heading, text)
    return [Text(described.text or 'The answer is empty.'), Text(''), table]


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


class Recent:
    """Valence and arousal of everybody, averaged over each of the last 30 seconds, and the last words."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, dict[str, list[float]]]] = deque(maxlen=SPAN)
        self.words = ''

    def add(self, reading: LiveReading) -> None:
        """Adds a reading to the means of its second."""
        self.words = reading.words or self.words
        second = int(reading.time_s)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, {}))
        sums = self._seconds[-1][1]
        for face in reading.faces:
            if math.isnan(face.valence):
                continue
            total = sums.setdefault(face.person, [0.0, 0.0, 0.0])
            for index, value in enumerate((face.valence, face.arousal, 1.0)):
                total[index] += value

    def curve(self, person: str, dimension: int) -> str:
        """One character per second, the newest last; a blank where the person was not seen.

        Args:
            person: name of the person.
            dimension: 0 for valence, 1 for arousal.
        """
        if not self._seconds:
            return ' ' * SPAN
        now = self._seconds[-1][0]
        by_second = dict(self._seconds)
        characters = ''
        for second in range(now - SPAN + 1, now + 1):
            total = by_second.get(second, {}).get(person)
            characters += _character(total[dimension] / total[2]) if total else ' '
        return characters


def _character(value: float) -> str:
    """The bar of a value in [-1, 1]."""
    return LEVELS[max(0, min(len(LEVELS) - 1, int((value + 1) / 2 * len(LEVELS))))]


def live_screen(title: str, reading: LiveReading, recent: Recent, latency: LatencyReport) -> Group:
    """The content of the terminal at one time.

    Args:
        title: name of the source.
        reading: the newest reading.
        recent: means of the last 30 seconds.
        latency: latency of all readings so far.
    """
    lines = [
        Text.assemble(('● ', 'red'), (clock(reading.time_s), 'bold'), '  ', title, no_wrap=True, overflow='ellipsis'),
        Text(),
    ]
    for face in reading.faces[:MOST_PEOPLE]:
        lines += _face_lines(face, recent)
    if more := len(reading.faces) - MOST_PEOPLE:
        lines += [Text(f'and {counted(more, "more face")}', style='dim')] if more > 0 else []
    if not reading.faces:
        lines.append(_row('face', 'none in view'))
    lines.append(_row('voice', 'no audio' if reading.voice is None else _voice_text(reading.voice)))
    if recent.words:
        lines.append(_row('words', recent.words))
    counts = f'{latency.frames:,} read, {latency.dropped:,} dropped'
    lines += [_row('latency', f'{_delays(latency)}; {counts}'), Text('Ctrl-C ends the stream.', style='dim')]
    return Group(*lines)


def live_line(reading: LiveReading) -> str:
    """A reading in one line, for output without a terminal."""
    faces = [
        f'{face.person} {_strongest(face.expression, 1)}, V {signed(face.valence)}, A {signed(face.arousal)}'
        for face in reading.faces
    ]
    voice = [] if reading.voice is None else [_voice_summary(reading.voice)]
    return '; '.join([clock(reading.time_s), *(faces or ['no face']), *voice, f'{1000 * reading.latency_s:.0f} ms'])


def summary_lines(latency: LatencyReport) -> list[str]:
    """The summary at the end: latency, and the numbers of readings."""
    lines = [
        f'latency  {_delays(latency)}' if latency.frames else 'latency  nothing was read',
        f'readings {latency.frames:,}, {counted(latency.dropped, "frame")} dropped; '
        f'{counted(latency.reconnects, "reconnect")}',
    ]
    return [*lines, *([f'audio    {latency.sound_dropped_s:.1f} s dropped'] if latency.sound_dropped_s else [])]


def _delays(latency: LatencyReport) -> str:
    shares = {'p50': latency.p50_s, 'p95': latency.p95_s, 'p99': latency.p99_s}
    return ', '.join(f'{name} {1000 * delay_s:.0f} ms' for name, delay_s in shares.items() if not math.isnan(delay_s))


def _row(name: str, content: str) -> Text:
    return Text.assemble((f'{name:<{NAME}}', 'bold'), content, no_wrap=True, overflow='ellipsis')


def _face_lines(face: LiveFace, recent: Recent) -> list[Text]:
    rows = [_row(face.person, _strongest(face.expression, STRONGEST))]
    for dimension, (name, value) in enumerate((('valence', face.valence), ('arousal', face.arousal))):
        text = f'{"":<{NAME}}{name} {signed(value, zero_too=True):>5}  '
        style = 'blue' if dimension == 0 else 'yellow'
        curve = (recent.curve(face.person, dimension), style)
        rows.append(Text.assemble(text, ('▕', 'dim'), curve, ('▏', 'dim'), f' {SPAN} s', no_wrap=True))
    return rows


def _strongest(shares: Mapping[str, float], most: int) -> str:
    """The strongest categories with their shares."""
    finite = sorted(((share, name) for name, share in shares.items() if not math.isnan(share)), reverse=True)
    return '  '.join(f'{name} {percent(share, 0, " %")}' for share, name in finite[:most]) or 'not readable'


def _voice_summary(voice: LiveVoice) -> str:
    return f'{"speech" if voice.is_speech else "no speech"}, {_decibels(voice.level_db)}'


def _decibels(level_db: float) -> str:
    return f'{level_db:z.0f} dB'.replace('-', '\N{MINUS SIGN}')


def _voice_text(voice: LiveVoice) -> str:
    share = (max(QUIETEST_DB, min(0.0, voice.level_db)) - QUIETEST_DB) / -QUIETEST_DB
    filled = round(BAR * share)
    parts = [f'{"speech" if voice.is_speech else "no speech":<9}', '█' * filled + '░' * (BAR - filled)]
    parts.append(f'{_decibels(voice.level_db):>6}')
    if voice.emotion:
        parts.append(_strongest(voice.emotion, 1))
    return '  '.join(parts)


def sample_counts(manifest: Manifest, sides: Sequence[str]) -> Table:
    """Samples of a manifest: a row per category, a column per split or fold, and totals."""
    names = sorted(set(sides), key=_side_order)
    counts = Counter(zip(sides, manifest.column('category').tolist(), strict=True))
    table = columns_table(('', 'left'), *((name.replace('fold ', '') or 'none', 'right') for name in names))
    categories = [*manifest.facts.categories, None] if manifest.facts.categories else []
    for category in categories:
        row = [counts[name, category] for name in names]
        if any(row) or category:
            table.add_row(category or 'no label', *(f'{count:,}' if count else '–' for count in row))
    totals = Counter(sides)
    table.add_row('all', *(f'{totals[name]:,}' for name in names), style='bold')
    return table


def frame_counts(frames: FrameTable) -> Table:
    """Labelled frames: a row per class, dimension or action unit, a column per partition of its task."""
    from affekt.frames import PARTITIONS

    counts = frames.counts()
    totals = {part: frames.part(part).frames for part in PARTITIONS}
    parts = [part for part in PARTITIONS if totals[part] or any(row[part] for row in counts.values())]
    table = columns_table(('frames', 'left'), *((part, 'right') for part in parts))
    for name, row in counts.items():
        if any(row.values()):
            table.add_row(name, *(f'{row[part]:,}' if row[part] else '–' for part in parts))
    table.add_row('all', *(f'{totals[part]:,}' for part in parts), style='bold')
    return table


def tensor_groups(inspection: Inspection, most: int) -> Table:
    """The coverage of a checkpoint: a row per group of tensors; of more than `most` groups, half as many."""
    groups, recognition = inspection.groups(), inspection.recognition
    has_tuned = bool(recognition and recognition.kept)
    table = plain_table(width=80)
    table.add_column('in the file', overflow='fold', max_width=32)
    table.add_column('tensors', justify='right', no_wrap=True)
    table.add_column('numbers', justify='right', no_wrap=True)
    table.add_column('goes to' if recognition and recognition.model else 'what it is', overflow='fold', ratio=1)
    if has_tuned:
        table.add_column('when fine-tuned', overflow='fold', max_width=16)
    for group in groups if len(groups) <= most else groups[: most // 2]:
        target = (
            group.ours if recognition and recognition.model else ', '.join(filter(None, (group.meaning, group.ours)))
        )
        cells = [group.name, str(len(group.rows)), f'{group.numbers:,}', target]
        table.add_row(*cells, *[group.tuned] * has_tuned)
    return table


def tensor_table(inspection: Inspection) -> Table:
    """The coverage of a checkpoint: a row per tensor."""
    table = plain_table(width=80)
    is_known = inspection.recognition is not None
    for heading in ('in the file', 'goes to')[: 1 + is_known]:
        table.add_column(heading, overflow='fold')
    table.add_column('shape', overflow='fold', max_width=18)
    for row in inspection.rows:
        target = row.ours if row.fate == 'loads' and row.ours else row.fate
        cells = ['same' if target == row.name else target] * is_known
        table.add_row(row.name, *cells, '×'.join(map(str, row.shape)) or '1')
    return table


def _side_order(name: str) -> tuple[int, str]:
    usual_order = ('train', 'val', 'test')
    return (usual_order.index(name) if name in usual_order else len(usual_order) + (not name), name.rjust(12))
