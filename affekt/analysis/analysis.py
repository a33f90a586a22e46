"""The result of analyzing one recording: what was seen, heard and read, and what follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from affekt.analysis import stored
from affekt.analysis.purpose import NOTICE
from affekt.analysis.result import ModelUse, Moment, OpenLabel, Person, Sentence, Source, Spoken
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.timeline import Timeline

TABLES = ('faces', 'turns', 'voice', 'utterances')
"""What was measured: face readings per frame, speech per turn, voice readings ten times a second, utterances."""


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """Everything that is known about one recording.

    `analyze` makes it; `save` and `load` keep it; `report` shows it.
    """

    source: Source
    timeline: Timeline
    """What each source and all of them together say, per person and span."""
    people: tuple[Person, ...]
    """In order of time seen and heard, longest first."""
    labels: tuple[OpenLabel, ...]
    """Words for how people come across: per person over all ('whole') and over spans."""
    moments: tuple[Moment, ...]
    """Points worth looking at, in order of time."""
    description: tuple[Sentence, ...]
    utterances: tuple[Spoken, ...]
    tables: Mapping[str, pa.Table]
    """Name to table, for the names in TABLES; a table that nothing was measured for has no rows."""
    models: tuple[ModelUse, ...]
    settings: AnalysisSettings
    coverage: Mapping[str, float] = field(default_factory=dict)
    """Share of the recording that each source covers ('face', 'voice', 'words', 'fused'), and that abstains
    ('contradiction', 'unsure'), all in [0, 1]."""
    notice: str = NOTICE

    def __repr__(self) -> str:
        said = ', '.join(label.word for label in self.labels if label.scope == 'whole') or 'no labels'
        return (
            f'Analysis({self.source.name!r}, {self.source.kind}, {self.source.duration_s:.1f} s, '
            f'{len(self.people)} people, {len(self.moments)} moments, {said})'
        )

    @property
    def text(self) -> str:
        """The description as one paragraph."""
        return ' '.join(sentence.text for sentence in self.description)

    def to_dict(self) -> dict[str, Any]:
        """All but tables, timeline and pictures as JSON-ready values."""
        parts = ('source', 'people', 'labels', 'moments', 'description', 'utterances', 'models', 'coverage', 'notice')
        plain = {name: stored.encoded(getattr(self, name)) for name in parts}
        return {'format': stored.FORMAT, **plain, 'settings': self.settings.to_dict()}

    def summary(self) -> dict[str, Any]:
        """What a program that called `affekt analyze --json` needs first: people, labels, moments, description."""
        return {
            'source': stored.encoded(self.source),
            'people': [{**stored.encoded(person), 'labels': self._words(person.name)} for person in self.people],
            'moments': [
                {'kind': m.kind, 'time_s': round(m.time_s, 3), 'person': m.person, 'sentence': m.sentence}
                for m in self.moments
            ],
            'description': [sentence.text for sentence in self.description],
            'coverage': stored.encoded(self.coverage),
            'models': [{'name': m.name, 'role': m.role, 'licence': m.licence} for m in self.models],
            'settings': self.settings.to_dict(),
        }

    def _words(self, person: str) -> list[dict[str, Any]]:
        """The labels over all of one person's time."""
        return [
            {'word': x.word, 'intensity': round(x.intensity, 3), 'certainty': round(x.certainty, 3)}
            for x in self.labels
            if x.person == person and x.scope == 'whole'
        ]

    def save(self, folder: str | Path) -> Path:
        """Writes the analysis into a folder, made where missing; returns it.

        `analysis.json` is written last, so a folder that holds it is whole.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        people, moments = stored.counted(target)
        stored.write_table(target / stored.TIMELINE_FILE, self.timeline.to_arrow())
        for name, table in self.tables.items():
            stored.write_table(target / f'{name}.parquet', table)
        thumbnails = {i: p.thumbnail_jpeg for i, p in enumerate(self.people, 1) if p.thumbnail_jpeg}
        stills = {i: m.still_jpeg for i, m in enumerate(self.moments, 1) if m.still_jpeg}
        stored.write_pictures(target / 'people', thumbnails, people)
        stored.write_pictures(target / 'moments', stills, moments)
        stored.write_json(target / stored.MAIN_FILE, self.to_dict())
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Analysis:
        """The analysis that `save` wrote.

        Raises:
            RunError: the folder holds none, or a damaged one.
        """
        place = Path(folder)
        content = stored.read_json(place / stored.MAIN_FILE)
        people = stored.decoded(tuple[Person, ...], content.get('people'))
        moments = stored.decoded(tuple[Moment, ...], content.get('moments'))
        return cls(
            source=stored.decoded(Source, content.get('source')),
            timeline=Timeline.read_parquet(place / stored.TIMELINE_FILE),
            people=tuple(
                dataclasses.replace(p, thumbnail_jpeg=stored.read_picture(place / 'people', i))
                for i, p in enumerate(people, 1)
            ),
            labels=stored.decoded(tuple[OpenLabel, ...], content.get('labels')),
            moments=tuple(
                dataclasses.replace(m, still_jpeg=stored.read_picture(place / 'moments', i))
                for i, m in enumerate(moments, 1)
            ),
            description=stored.decoded(tuple[Sentence, ...], content.get('description')),
            utterances=stored.decoded(tuple[Spoken, ...], content.get('utterances')),
            tables={name: stored.read_table(place / f'{name}.parquet') for name in TABLES},
            models=stored.decoded(tuple[ModelUse, ...], content.get('models')),
            settings=AnalysisSettings.from_dict(content.get('settings') or {}),
            coverage=stored.decoded(Mapping[str, float], content.get('coverage') or {}),
            notice=str(content.get('notice', NOTICE)),
        )

    def report(self, out: str | Path = 'report.html', media: str | Path | None = None) -> Path:
        """Writes the report, one self-contained HTML file, and returns its path.

        Args:
            out: the file to write.
            media: the recording, for the report to show beside the timeline; None, or settings without frames, shows
                stills only.
        """
        from affekt.analysis.report import render_report

        shown = Path(media) if media is not None and self.settings.keep_frames else None
        return Path(render_report(self, Path(out), shown))
