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
    """Share of the recording that each source covers ('face', 'voice', 'words'; 'fused' in whole steps), and in which
    fused rows abstain ('contradiction', 'unsure'), all in [0, 1]."""
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
        """The output of `affekt analyze --json`, as JSON-ready values: people with labels, moments, description."""
        return {
            'source': plain(self.source),
            'people': [self._person_summary(person) for person in self.people],
            'voices': [self._person_summary(voice) for voice in self.voices],
            'moments': [
                {
                    'kind': moment.kind,
                    'time_s': round(moment.time_s, 3),
                    'start_s': round(moment.start_s, 3),
                    'end_s': round(moment.end_s, 3),
                    'when': when(moment),
                    'person': moment.person,
                    'sentence': moment.sentence,
                }
                for moment in self.moments
            ],
            'description': [sentence.text for sentence in self.description],
            **({'described': plain(self.described)} if self.described else {}),
            'coverage': plain(self.coverage),
            'models': [{'name': use.name, 'role': use.role, 'licence': use.licence} for use in self.models],
            'settings': self.settings.to_dict(),
        }

    def _person_summary(self, person: Person) -> dict[str, Any]:
        return {
            **plain(person),
            'headline': headline(person, self.labels),
            'labels': self._label_summaries(person.name),
        }

    def _label_summaries(self, person: str) -> list[dict[str, Any]]:
        """The labels over one person's whole time."""
        return [
            {'word': label.word, 'intensity': round(label.intensity, 3), 'certainty': round(label.certainty, 3)}
            for label in self.labels
            if label.person == person and label.scope == 'whole'
        ]

    def save(self, folder: str | Path) -> Path:
        """Writes the analysis into a folder, created if missing; returns it.

        `analysis.json` is written last, and that of an earlier analysis in the folder removed first, so a folder that
        holds it is complete.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        person_count, moment_count = storage.people_and_moments(target)
        (target / storage.MAIN_FILE).unlink(missing_ok=True)
        write_changes(target, ())  # removes edits to people of an earlier analysis in this folder
        identity = self.source.identity
        timeline = storage.named(self.timeline.to_arrow(), identity, times=2)
        storage.write_table(target / storage.TIMELINE_FILE, timeline)
        for name, table in self.tables.items():
            storage.write_table(target / f'{name}.parquet', storage.named(table, identity))
        thumbnails = {
            number: person.thumbnail_jpeg for number, person in enumerate(self.people, 1) if person.thumbnail_jpeg
        }
        stills = {number: moment.still_jpeg for number, moment in enumerate(self.moments, 1) if moment.still_jpeg}
        storage.write_images(target / 'people', thumbnails, person_count)
        storage.write_images(target / 'moments', stills, moment_count)
        storage.write_json(target / storage.MAIN_FILE, self.to_dict())
        return target

    @classmethod
    def load(cls, folder: str | Path, *, as_analyzed: bool = False) -> Analysis:
        """The analysis that `save` wrote, with people merged and renamed by `affekt people`.

        Args:
            folder: the folder that `save` wrote.
            as_analyzed: whether to ignore edits by `affekt people`.

        Raises:
            RunError: the folder holds no analysis, a damaged one, or edits that do not fit it.
        """
        path = Path(folder)
        content = storage.read_json(path / storage.MAIN_FILE)
        with storage.holds_together(str(path)):
            analysis = cls._from_content(content, path)
        changes = () if as_analyzed else read_changes(path)
        return _with_changes(analysis, changes, path) if changes else analysis

    @classmethod
    def _from_content(cls, content: Mapping[str, Any], path: Path) -> Analysis:
        """The analysis of a folder whose main file holds `content`."""
        people = storage.decoded(tuple[Person, ...], content.get('people'))
        moments = storage.decoded(tuple[Moment, ...], content.get('moments'))
        tables = {name: storage.unnamed(storage.read_table(path / f'{name}.parquet')) for name in TABLES}
        return cls(
            source=_plausible(storage.decoded(Source, content.get('source'))),
            timeline=Timeline(storage.unnamed(storage.read_table(path / storage.TIMELINE_FILE))),
            people=tuple(
                dataclasses.replace(person, thumbnail_jpeg=storage.read_image(path / 'people', number))
                for number, person in enumerate(people, 1)
            ),
            voices=storage.decoded(tuple[Person, ...], content.get('voices', [])),
            labels=storage.decoded(tuple[OpenLabel, ...], content.get('labels')),
            moments=tuple(
                dataclasses.replace(moment, still_jpeg=storage.read_image(path / 'moments', number))
                for number, moment in enumerate(moments, 1)
            ),
            description=storage.decoded(tuple[Sentence, ...], content.get('description')),
            utterances=storage.decoded(tuple[Spoken, ...], content.get('utterances')),
            tables={name: conform(table, name) for name, table in tables.items()},
            models=storage.decoded(tuple[ModelUse, ...], content.get('models')),
            settings=AnalysisSettings.from_dict(content.get('settings') or {}),
            coverage=storage.decoded(Mapping[str, float], content.get('coverage') or {}),
            notice=storage.decoded(str, content.get('notice', NOTICE)),
            recording=recording_of(path),
            described=storage.decoded(tuple[Described, ...], content.get('described', [])),
        )

    def report(self, out: str | Path = 'report.html', media: str | Path | None = None, *, embed: bool = True) -> Path:
        """Writes the report, one self-contained HTML file with the recording inside, and returns its path.

        Args:
            out: the file to write.
            media: the recording, shown beside the timeline. By default the file that was analyzed, if it is still there
                and unchanged. With `settings.keep_frames` False, the report shows neither recording nor stills.
            embed: whether the recording is inside the file; False shows stills only.
        """
        import affekt  # reports are a later room, which this one reaches only through the package

        with storage.holds_together(self.source.name):
            return Path(affekt.render_report(self, Path(out), *self.shown(media, embed=embed)))

    def shown(self, media: str | Path | None = None, *, embed: bool = True) -> tuple[Path | None, str]:
        """The recording to embed in a report and ''; or None and the reason, '' where it was left out on purpose.

        Args:
            media: the recording; None takes the file that was analyzed, if it is unchanged.
            embed: whether a recording is wanted at all.
        """
        if not (embed and self.settings.keep_frames):
            return None, ''
        if media is not None:
            return Path(media), ''
        if self.recording is None:
            return None, ''
        try:
            is_unchanged = file_sha256(self.recording) == self.source.sha256
        except OSError:
            return None, 'It is no longer where it was analyzed.'
        return (self.recording, '') if is_unchanged else (None, 'It has changed since it was analyzed.')


def _with_changes(analysis: Analysis, changes: Sequence[Change], folder: Path) -> Analysis:
    """The analysis with people merged and renamed, by the later room `batch`.

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
    numbers = (source.width, source.height, source.rate_hz, source.analyzed_rate_hz)
    if source.kind not in ('video', 'audio', 'image'):
        raise ValueError(f'kind {source.kind[:20]!r}, not video, audio or image')
    if not (0 <= source.duration_s <= LONGEST_S and all(0 <= number < 1e6 for number in numbers)):
        raise ValueError('a duration, size or rate outside what a recording can have')
    return source
