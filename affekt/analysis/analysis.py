"""The result of analyzing one recording: what was seen, heard and read, and what follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from affekt.analysis import storage
from affekt.analysis.observations import conform
from affekt.analysis.phrases import UNSEEN, headline, when
from affekt.analysis.records import Described, ModelUse, Moment, OpenLabel, Person, Sentence, Source, Spoken
from affekt.analysis.results import recording_of
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.timeline import Timeline
from affekt.people import Change, fitting, read_changes, write_changes
from affekt.purpose import NOTICE
from affekt.runs import file_sha256
from affekt.typed_json import plain
from affekt.wording import counted

LONGEST_S = 1e6
"""Upper bound of a plausible duration in seconds: eleven days."""
TABLES = ('faces', 'turns', 'voice', 'utterances')
"""Tables of measurements: face readings per frame, speech per turn, voice readings at 10 Hz, utterances."""


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """The result of analyzing one recording.

    `analyze` makes it; `save` writes and `load` reads it; `report` shows it.
    """

    source: Source
    timeline: Timeline
    """Readings of each source and of all fused, per person and span."""
    people: tuple[Person, ...]
    """Sorted by time seen and heard, longest first."""
    labels: tuple[OpenLabel, ...]
    """Words for how people come across: per person over the whole time ('whole') and over spans."""
    moments: tuple[Moment, ...]
    """Points worth looking at, sorted by time."""
    description: tuple[Sentence, ...]
    utterances: tuple[Spoken, ...]
    tables: Mapping[str, pa.Table]
    """Name to table, for the names in TABLES; a table without measurements has no rows."""
    models: tuple[ModelUse, ...]
    settings: AnalysisSettings
    coverage: Mapping[str, float] = field(default_factory=dict)
    """Share of the recording that each source covers ('face', 'voice', 'words', 'fused'), and in which fused rows
    abstain ('contradiction', 'unsure'), all in [0, 1]."""
    notice: str = NOTICE
    recording: Path | None = None
    """Path of the recording when it was analyzed; not stored with the analysis."""
    voices: tuple[Person, ...] = ()
    """Speech that belongs to no known person, summarised as people are: a voice without a face is not a person."""
    described: tuple[Described, ...] = ()
    """Answers of describers, in addition to the description above; empty where none was asked."""

    def __post_init__(self) -> None:
        voices = (*(person for person in self.people if person.name == UNSEEN), *self.voices)
        object.__setattr__(self, 'people', tuple(person for person in self.people if person.name != UNSEEN))
        object.__setattr__(self, 'voices', voices)
        object.__setattr__(self, 'timeline', self.timeline.knowing(lane.name for lane in self.lanes))

    def __repr__(self) -> str:
        words = ', '.join(label.word for label in self.labels if label.scope == 'whole') or 'no labels'
        return (
            f'Analysis({self.source.name!r}, {self.source.kind}, {self.source.duration_s:.1f} s, '
            f'{counted(len(self.people), "person", "people")}, {counted(len(self.moments), "moment")}, {words})'
        )

    @property
    def lanes(self) -> tuple[Person, ...]:
        """Everybody with a lane in the timeline: people, then voices."""
        return (*self.people, *self.voices)

    @property
    def text(self) -> str:
        """The description as one paragraph."""
        return ' '.join(sentence.text for sentence in self.description)

    def to_dict(self) -> dict[str, Any]:
        """Everything except tables, timeline and images, as JSON-ready values."""
        parts = (
            'source',
            'people',
            'voices',
            'labels',
            'moments',
            'description',
            'utterances',
            'models',
            'coverage',
            'notice',
        )
        content = {name: plain(getattr(self, name)) for name in parts}
        content |= {'described': plain(self.described)} if self.described else {}
        return {'format': storage.FORMAT, **content, 'settings': self.settings.to_dict()}

    def summary(self) -> dict[str, Any]:
        """The output of `affekt analyze --json`: people, labels, moments, description."""
        return {
            'source': plain(self.source),
            'people': [self._summed_up(person) for person in self.people],
            'voices': [self._summed_up(voice) for voice in self.voices],
            'moments': [
                {
                    'kind': m.kind,
                    'time_s': round(m.time_s, 3),
                    'start_s': round(m.start_s, 3),
                    'end_s': round(m.end_s, 3),
                    'when': when(m),
                    'person': m.person,
                    'sentence': m.sentence,
                }
                for m in self.moments
            ],
            'description': [sentence.text for sentence in self.description],
            **({'described': plain(self.described)} if self.described else {}),
            'coverage': plain(self.coverage),
            'models': [{'name': m.name, 'role': m.role, 'licence': m.licence} for m in self.models],
            'settings': self.settings.to_dict(),
        }

    def _summed_up(self, person: Person) -> dict[str, Any]:
        return {**plain(person), 'headline': headline(person, self.labels), 'labels': self._words(person.name)}

    def _words(self, person: str) -> list[dict[str, Any]]:
        """The labels over one person's whole time."""
        return [
            {'word': x.word, 'intensity': round(x.intensity, 3), 'certainty': round(x.certainty, 3)}
            for x in self.labels
            if x.person == person and x.scope == 'whole'
        ]

    def save(self, folder: str | Path) -> Path:
        """Writes the analysis into a folder, created if missing; returns it.

        `analysis.json` is written last, so a folder that holds it is complete.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        write_changes(target, ())  # removes edits to people of an earlier analysis in this folder
        people, moments = storage.counted(target)
        identity = self.source.identity
        timeline = storage.named(self.timeline.to_arrow(), identity, times=2)
        storage.write_table(target / storage.TIMELINE_FILE, timeline)
        for name, table in self.tables.items():
            storage.write_table(target / f'{name}.parquet', storage.named(table, identity))
        thumbnails = {i: p.thumbnail_jpeg for i, p in enumerate(self.people, 1) if p.thumbnail_jpeg}
        stills = {i: m.still_jpeg for i, m in enumerate(self.moments, 1) if m.still_jpeg}
        storage.write_pictures(target / 'people', thumbnails, people)
        storage.write_pictures(target / 'moments', stills, moments)
        storage.write_json(target / storage.MAIN_FILE, self.to_dict())
        return target

    @classmethod
    def load(cls, folder: str | Path, *, as_analyzed: bool = False) -> Analysis:
        """The analysis that `save` wrote, with people merged and renamed by `affekt people`.

        Args:
            folder: of the analysis.
            as_analyzed: ignore edits by `affekt people`.

        Raises:
            RunError: the folder holds no analysis, a damaged one, or edits that do not fit it.
        """
        place = Path(folder)
        content = storage.read_json(place / storage.MAIN_FILE)
        with storage.holds_together(str(place)):
            analysis = cls._made_of(content, place)
        changes = () if as_analyzed else read_changes(place)
        return _with_changes(analysis, changes, place) if changes else analysis

    @classmethod
    def _made_of(cls, content: Mapping[str, Any], place: Path) -> Analysis:
        """The analysis of a folder whose main file holds `content`."""
        people = storage.decoded(tuple[Person, ...], content.get('people'))
        moments = storage.decoded(tuple[Moment, ...], content.get('moments'))
        tables = {name: storage.unnamed(storage.read_table(place / f'{name}.parquet')) for name in TABLES}
        return cls(
            source=_plausible(storage.decoded(Source, content.get('source'))),
            timeline=Timeline(storage.unnamed(storage.read_table(place / storage.TIMELINE_FILE))),
            people=tuple(
                dataclasses.replace(p, thumbnail_jpeg=storage.read_picture(place / 'people', i))
                for i, p in enumerate(people, 1)
            ),
            voices=storage.decoded(tuple[Person, ...], content.get('voices', [])),
            labels=storage.decoded(tuple[OpenLabel, ...], content.get('labels')),
            moments=tuple(
                dataclasses.replace(m, still_jpeg=storage.read_picture(place / 'moments', i))
                for i, m in enumerate(moments, 1)
            ),
            description=storage.decoded(tuple[Sentence, ...], content.get('description')),
            utterances=storage.decoded(tuple[Spoken, ...], content.get('utterances')),
            tables={name: conform(table, name) for name, table in tables.items()},
            models=storage.decoded(tuple[ModelUse, ...], content.get('models')),
            settings=AnalysisSettings.from_dict(content.get('settings') or {}),
            coverage=storage.decoded(Mapping[str, float], content.get('coverage') or {}),
            notice=storage.decoded(str, content.get('notice', NOTICE)),
            recording=recording_of(place),
            described=storage.decoded(tuple[Described, ...], content.get('described', [])),
        )

    def report(self, out: str | Path = 'report.html', media: str | Path | None = None, *, embed: bool = True) -> Path:
        """Writes the report, one self-contained HTML file with the recording inside, and returns its path.

        Args:
            out: the file to write.
            media: the recording, shown beside the timeline. By default the file that was analyzed, if it is still there
                and unchanged. Settings without frames show neither.
            embed: False leaves the recording out and shows stills only.
        """
        import affekt  # a later room makes pages: it is asked through the package's face

        with storage.holds_together(self.source.name):
            return Path(affekt.render_report(self, Path(out), *self.shown(media, embed=embed)))

    def shown(self, media: str | Path | None = None, *, embed: bool = True) -> tuple[Path | None, str]:
        """The recording to embed in a report, or None and the reason."""
        if not (embed and self.settings.keep_frames):
            return None, ''
        if media is not None:
            return Path(media), ''
        if self.recording is None:
            return None, ''
        try:
            same = file_sha256(self.recording) == self.source.sha256
        except OSError:
            return None, 'It is no longer where it was analyzed.'
        return (self.recording, '') if same else (None, 'It has changed since it was analyzed.')


def _with_changes(analysis: Analysis, changes: Sequence[Change], folder: Path) -> Analysis:
    """The analysis with people merged and renamed, which a later room does.

    Raises:
        RunError: the changes do not fit its people.
    """
    with storage.holds_together(str(folder)), fitting(folder):
        changed: Analysis = import_module('affekt.batch').with_changes(analysis, changes)
        return changed


def _plausible(source: Source) -> Source:
    """The source, if its values are plausible.

    Raises:
        ValueError: they are not.
    """
    sizes = (source.width, source.height, source.rate_hz, source.analyzed_rate_hz)
    if source.kind not in ('video', 'audio', 'image'):
        raise ValueError(f'{source.kind[:20]!r} is no kind of recording')
    if not (0 <= source.duration_s <= LONGEST_S and all(0 <= size < 1e6 for size in sizes)):
        raise ValueError('a length, size or rate that no recording has')
    return source
