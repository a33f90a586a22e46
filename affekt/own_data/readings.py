"""Readings of one clip from its analysis: category, valence and arousal, of each source and of their fusion.

A clip's label is taken as that of the person who is seen and heard longest, whom the report lists first. Readings are
means over time. A source without readings of that person is read for the person with most readings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from affekt.analysis import SOURCES, Analysis, PersonSeries
from affekt.arrays import Floats
from affekt.labels import EKMAN

NOTHING = 'nothing measured'
"""Reason for a source without any reading."""
OUTSIDE = 'outside the recording'
"""Reason of every source for a window that begins after the end of the recording."""
REASONS: Mapping[str, tuple[str, str]] = {'voice': ('turns', 'abstains_because'), 'words': ('utterances', 'reason')}
"""Source to the table and column with its reasons for naming no category."""


@dataclass(frozen=True)
class SourceReading:
    """Reading of one source, or of the fusion ('fused'), for a clip."""

    probabilities: tuple[float, ...] = ()
    """(7,) in EKMAN order, the mean over the time with a category; () where there is none."""
    valence: float = float('nan')
    arousal: float = float('nan')
    silent_because: str = ''
    """Reason for naming no category: 'nothing measured', or the reason for most of the time; '' with a category."""

    @property
    def category(self) -> str:
        """The most probable category; '' if none is named."""
        return EKMAN[int(np.argmax(self.probabilities))] if self.probabilities else ''

    @property
    def certainty(self) -> float:
        """Probability of the most probable category; nan where none is named."""
        return max(self.probabilities) if self.probabilities else float('nan')


@dataclass(frozen=True)
class ClipReading:
    """Readings of one clip."""

    sources: Mapping[str, SourceReading] = field(default_factory=dict)
    """Reading of each of 'fused', 'face', 'voice', 'words'."""

    @property
    def is_outside(self) -> bool:
        """Whether the clip is a window after the end of the recording."""
        return any(reading.silent_because == OUTSIDE for reading in self.sources.values())


def readings_of(analysis: Analysis, window_s: tuple[float, float] | None = None) -> ClipReading:
    """Readings of a whole recording, or of a window of it.

    Args:
        analysis: analysis of the recording.
        window_s: start and end of the window in seconds, None for the whole; fused steps count with their part inside
            it.
    """
    if window_s is not None and window_s[0] >= analysis.source.duration_s:
        return ClipReading(dict.fromkeys(SOURCES, SourceReading(silent_because=OUTSIDE)))
    timeline = analysis.timeline if window_s is None else analysis.timeline.slice(*window_s)
    names = [person.name for person in analysis.lanes]
    by_source = {source: [timeline.series(name, source) for name in names] for source in SOURCES}
    if window_s is not None:  # the person seen and heard longest in the window comes first
        seconds_of = {
            name: sum(_seconds(series[index]) for series in by_source.values()) for index, name in enumerate(names)
        }
        order = sorted(range(len(names)), key=lambda index: -seconds_of[names[index]])
        by_source = {source: [series[index] for index in order] for source, series in by_source.items()}
    sources = {}
    for source, series in by_source.items():
        measured = [candidate for candidate in series if len(candidate)]
        first = series[:1] if series and len(series[0]) else sorted(measured, key=_seconds, reverse=True)[:1]
        reading = _reading(first[0]) if first else SourceReading(silent_because=NOTHING)
        if not reading.category and (reason := _stated_reason(analysis, source, window_s)):
            reading = replace(reading, silent_because=reason)
        sources[source] = reading
    return ClipReading(sources)


def _stated_reason(analysis: Analysis, source: str, window_s: tuple[float, float] | None) -> str:
    """The reason for most of the time in a source's table for naming no category; '' if there is none."""
    name, reason = REASONS.get(source, ('', ''))
    table = analysis.tables.get(name)
    if table is None or not {reason, 'start_s', 'end_s'} <= set(table.column_names):
        return ''
    start_s, end_s = window_s or (-np.inf, np.inf)
    rows = zip(*(table[column].to_pylist() for column in (reason, 'start_s', 'end_s')), strict=True)
    reasons: Counter[str] = Counter()
    for text, start, end in rows:
        if text and start < end_s and end > start_s:
            reasons[text] += min(end, end_s) - max(start, start_s)
    return reasons.most_common(1)[0][0] if reasons else ''


def _reading(series: PersonSeries) -> SourceReading:
    """The means over time of one person's series; without categories, the reason for most of the time."""
    seconds = np.maximum(series.end_s - series.start_s, 0.0)
    has_category = np.isfinite(series.probabilities).all(axis=1) & (seconds > 0)
    valence, arousal = (_mean(series.dimension(name), seconds) for name in ('valence', 'arousal'))
    if not has_category.any():
        reasons: Counter[str] = Counter()
        for reason, length in zip(series.abstained.tolist(), seconds.tolist(), strict=True):
            reasons[reason or 'unsure'] += length
        return SourceReading((), valence, arousal, reasons.most_common(1)[0][0] if reasons else NOTHING)
    mean = seconds[has_category] @ series.probabilities[has_category] / seconds[has_category].sum()
    return SourceReading(tuple((mean / mean.sum()).tolist()), valence, arousal)


def _mean(values: Floats, seconds: Floats) -> float:
    """Mean over time; nan where there are no values."""
    measured = np.isfinite(values) & (seconds > 0)
    return float(seconds[measured] @ values[measured] / seconds[measured].sum()) if measured.any() else float('nan')


def _seconds(series: PersonSeries) -> float:
    return float((series.end_s - series.start_s).sum())
