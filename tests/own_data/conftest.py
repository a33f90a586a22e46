"""An analyzer that measures nothing: it says of each file what its name says."""

from __future__ import annotations

from typing import ClassVar

import pytest

from affekt.analysis import Analysis, Person, Source, Timeline
from affekt.labels import EKMAN
from affekt.own_data import running
from affekt.runs import file_sha256


def rows(person, source, start_s, end_s, shares=None, valence=None, arousal=None, abstained=''):
    """Rows of one span: categories, or a reason to name none, and dimensions."""
    span = {'start_s': start_s, 'end_s': end_s, 'person': person, 'source': source}
    if shares is not None or abstained:
        for at, name in enumerate(EKMAN):
            value = float('nan') if shares is None else shares[at]
            yield {**span, 'name': name, 'value': value, 'confidence': 0.5, 'abstained': abstained}
    for name, value in (('valence', valence), ('arousal', arousal)):
        if value is not None:
            yield {**span, 'name': name, 'value': value}


def shares_of(category, certainty=0.7):
    """(7,) with so much on one category and the rest spread evenly."""
    rest = (1 - certainty) / (len(EKMAN) - 1)
    return [certainty if name == category else rest for name in EKMAN]


def analysis_of(timeline_rows, people, settings=None, path=None, duration_s=4.0):
    """An analysis with these rows, of people in this order."""
    from affekt.analysis import AnalysisSettings

    source = Source('clip.wav', 'audio', duration_s, file_sha256(path) if path else '')
    persons = tuple(Person(name, 1.0, 1.0, None, {}, None, None) for name in people)
    return Analysis(
        source=source, timeline=Timeline.from_rows(timeline_rows), people=persons, labels=(), moments=(),
        description=(), utterances=(), tables={}, models=(), settings=settings or AnalysisSettings(),
    )  # fmt: skip


class NamedAnalyzer:
    """Says what a file's name says, such as `anger.1.wav`; `wrong` to what it raises for a name."""

    wrong: ClassVar[dict] = {}
    calls: ClassVar[list] = []

    def __init__(self, settings, *, vocal_head=None):
        self.settings = settings

    def analyze(self, path, *, progress=None, spill=None):
        self.calls.append(path.name)
        if path.name in self.wrong:
            raise self.wrong[path.name]
        word = path.name.split('.')[0]
        shares = shares_of(word) if word in EKMAN else None
        reason = '' if shares else 'unsure'
        return analysis_of(
            [
                *rows('voice', 'fused', 0.0, 4.0, shares, 0.2, 0.3, reason),
                *rows('voice', 'voice', 0.0, 4.0, shares, 0.2, 0.3, reason),
            ],
            ['voice'], self.settings, path,
        )  # fmt: skip


@pytest.fixture
def analyzer(monkeypatch):
    monkeypatch.setattr(running, 'Analyzer', NamedAnalyzer)
    monkeypatch.setattr(NamedAnalyzer, 'wrong', {})
    monkeypatch.setattr(NamedAnalyzer, 'calls', [])
    return NamedAnalyzer
