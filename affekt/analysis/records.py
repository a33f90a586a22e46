"""What one analysis holds: the nouns that the timeline, the report and the exports share.

Times are seconds from the start of the recording. Valence and arousal lie in [-1, 1], certainty and confidence in
[0, 1]. A still picture counts as one second, so that spans, weights and lanes mean the same everywhere.
Evidence points at rows: a table by name, a span of time, and the columns that say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from affekt.wording import counted, signed

LOSS_STARTS = ('Not read: ', 'Missing: ', 'Damaged: ')
"""How the notes of `affekt.media` begin that speak of what the container lost."""
UNCLEAR = 'unclear'
"""The label of a stretch in which no category is likely enough."""


@dataclass(frozen=True)
class Evidence:
    """Where a statement comes from: readings of one source over a span of time."""

    source: str
    """'face', 'voice', 'words' or 'fused'."""
    start_s: float
    end_s: float
    person: str
    """'person 1', a transcript's name, 'voice' (speech of nobody visible), or '' where nobody is named."""
    readings: Mapping[str, float] = field(default_factory=dict)
    """Column name to its mean over the span, as in the tables `faces`, `turns`, `voice` or `utterances`."""
    quote: str = ''
    """The words said, where the source is 'words'."""


@dataclass(frozen=True)
class Lost:
    """What of the file was not read, or could not be: the sentences on it are among the source's notes."""

    bytes: int = 0
    """Bytes that are missing, damaged, or there and not read, as far as the container tells."""
    seconds: float = 0.0
    """The largest loss among container, picture and sound."""
    packets: int = 0
    """Compressed packets that could not be decoded."""
    frames: int = 0
    """Decoded pictures and stretches of sound that are damaged."""
    is_complete: bool = True
    """Nothing that the file could tell of is missing or damaged."""

    @property
    def amounts(self) -> str:
        """What there is of each: '1,234 bytes, 2.1 s'; '' where nothing can be counted."""
        counts = {'byte': self.bytes, 'damaged packet': self.packets, 'damaged frame': self.frames}
        parts = [counted(number, noun) for noun, number in counts.items() if number]
        parts[1:1] = [f'{self.seconds:.1f} s'] if self.seconds >= 0.05 else []
        return ', '.join(parts)


@dataclass(frozen=True)
class Source:
    """The file that was analyzed."""

    name: str
    kind: str
    """'video', 'audio' or 'image'."""
    duration_s: float
    sha256: str
    width: int = 0
    height: int = 0
    rate_hz: float = 0.0
    analyzed_rate_hz: float = 0.0
    notes: tuple[str, ...] = ()
    """Sentences on damage, missing streams, and what was not analyzed."""
    lost: Lost = Lost()
    file: str = ''
    """The path below the folder that was named, with '/' between its parts; '' where the recording was named alone."""

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on what was not read, is missing or damaged; empty where nothing is, as far as the file tells."""
        if self.lost.is_complete:
            return ()
        sentences = tuple(note for note in self.notes if note.startswith(LOSS_STARTS))
        if self.lost.amounts:
            return sentences or (f'Not read whole: {self.lost.amounts}.',)
        return sentences or tuple(note for note in self.notes if note.startswith(('Picture: ', 'Sound: ')))

    @property
    def identity(self) -> dict[str, str]:
        """What tells the recording from others, as columns: file, part1, part2, … (the folders in file), sha256."""
        file = self.file or self.name
        parts = {f'part{number}': part for number, part in enumerate(file.split('/')[:-1], 1)}
        return {'file': file, **parts, 'sha256': self.sha256}


@dataclass(frozen=True, repr=False)
class Stretch:
    """A part of a person's time with one label: the course of a person is a row of them, in order of time."""

    start_s: float
    end_s: float
    label: str
    """One of the EKMAN categories, or UNCLEAR."""
    certainty: float | None
    """Mean fused probability of the label over the time that states categories; None where it is unclear."""
    valence: tuple[float, float, float] | None = None
    """Mean, low, high, as of a `Person`, over the stretch."""
    arousal: tuple[float, float, float] | None = None
    reason: str = ''
    """Why it is unclear: 'unsure'; 'unread', where no model that is loaded reads the voice; 'contradiction' between
    face, voice and words; 'mixed', where most steps are clear and no category prevails; '' where a label is named."""

    def __repr__(self) -> str:
        sure = '' if self.certainty is None else f', certainty {self.certainty:.2f}'
        return f'Stretch({self.label!r}, {self.start_s:.1f}-{self.end_s:.1f} s{sure})'


@dataclass(frozen=True, repr=False)
class Person:
    """One person: seen, heard, or both."""

    name: str
    seen_s: float
    heard_s: float
    thumbnail_jpeg: bytes | None
    categories: Mapping[str, float]
    """Mean fused probability of each EKMAN category; empty where nothing was measured."""
    valence: tuple[float, float, float] | None
    """Mean, low, high (95 %, over seconds)."""
    arousal: tuple[float, float, float] | None
    quality: Mapping[str, float] = field(default_factory=dict)
    """Face size px, blur, head turn degrees, loudness dB, noise dB, as far as measured."""
    course: tuple[Stretch, ...] = ()
    """How the label changes over the person's time; empty where nothing was measured, and in older runs."""
    stretches: int = 1
    """How many stretches of being followed are this person: more than 1 for who left the picture and came back."""
    identity_certainty: float | None = None
    """How sure the face is that they are one person, of the least sure pair, in [0, 1]; None where the face joined
    none."""

    def __repr__(self) -> str:
        likeliest = max(self.categories, key=self.categories.__getitem__, default='nothing measured')
        plane = [f'{axis} {signed(mean[0])}' for axis, mean in self._plane.items() if mean is not None]
        times = f'seen {self.seen_s:.1f} s, heard {self.heard_s:.1f} s'
        return f'Person({self.name!r}, {times}, {", ".join([likeliest, *plane])})'

    @property
    def _plane(self) -> dict[str, tuple[float, float, float] | None]:
        return {'valence': self.valence, 'arousal': self.arousal}


@dataclass(frozen=True, repr=False)
class OpenLabel:
    """One word for how a person comes across, over a span."""

    word: str
    person: str
    intensity: float
    certainty: float
    valence: float
    arousal: float
    evidence: tuple[Evidence, ...]
    start_s: float = 0.0
    end_s: float = 0.0
    scope: str = 'span'
    """'whole' for the words over all of a person's time, 'span' for those of [start_s, end_s)."""

    def __repr__(self) -> str:
        return (
            f'OpenLabel({self.word!r}, {self.person!r}, certainty {self.certainty:.2f}, {self.scope} '
            f'{self.start_s:.1f}-{self.end_s:.1f} s)'
        )


@dataclass(frozen=True, repr=False)
class Moment:
    """A point worth looking at: a peak, a turn, or a contradiction between sources."""

    kind: str
    """'peak', 'change', 'disagreement', 'smile', … as listed by `MOMENT_KINDS` in moments.py."""
    time_s: float
    start_s: float
    end_s: float
    person: str
    strength: float
    sentence: str
    evidence: tuple[Evidence, ...]
    still_jpeg: bytes | None = None

    def __repr__(self) -> str:
        span = f'{self.start_s:.1f}-{self.end_s:.1f} s'
        return f'Moment({self.kind!r}, {span}, {self.person!r}, strength {self.strength:.2f}, {self.sentence!r})'


@dataclass(frozen=True)
class SpokenWord:
    """One word that was said; confidence is nan where the transcript gives none."""

    start_s: float
    end_s: float
    text: str
    confidence: float


@dataclass(frozen=True, repr=False)
class Spoken:
    """One utterance, and whose lane it belongs to."""

    start_s: float
    end_s: float
    person: str
    """As in the timeline."""
    speaker: str
    """The name that the transcript gives; '' where it gives none."""
    text: str
    words: tuple[SpokenWord, ...] = ()
    language: str = ''
    """A code such as 'en'; '' where it is not known."""
    reason: str = ''
    """Why the words are not read: 'not understood', 'language', or ''."""

    @property
    def shown(self) -> str:
        """The text, marked where it was not understood."""
        return f'[not understood] {self.text}' if self.reason == 'not understood' else self.text

    def __repr__(self) -> str:
        return f'Spoken({self.start_s:.1f}-{self.end_s:.1f} s, {self.person!r}, {self.text!r})'


@dataclass(frozen=True, repr=False)
class Sentence:
    """One sentence of the description and the rows that it rests on."""

    text: str
    evidence: tuple[Evidence, ...]

    def __repr__(self) -> str:
        return f'Sentence({self.text!r}, {counted(len(self.evidence), "piece")} of evidence)'


@dataclass(frozen=True)
class DescribedClue:
    """A clause of a description that says what was perceived."""

    text: str
    of: tuple[str, ...]
    """'voice', 'face', 'body', 'words'; of the plain description the sources that it rests on."""


@dataclass(frozen=True, repr=False)
class Described:
    """What a describer says of a clip: words of a model, apart from everything that was measured."""

    describer: str
    """What it is called."""
    text: str
    """'' where there is no answer."""
    labels: tuple[str, ...] = ()
    form: str = 'free'
    """'template', 'list', 'free', 'refusal', 'nonsense' or 'empty'; 'plain' for sentences from measurements."""
    evidence: tuple[DescribedClue, ...] = ()
    invented: tuple[DescribedClue, ...] = ()
    """Clauses on what the clip does not have; in neither text nor labels."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """What it could not use of the clip, and why."""
    words: str = ''
    """What was spoken, as it read it."""
    failure: str = ''
    """Why there is no answer; '' where there is."""
    weights_sha256: str = ''
    """Of the describer with its language model; '' where it has none."""
    certainty: float | None = None
    """Of the first label, in [0, 1]; None where it is not known."""

    def __repr__(self) -> str:
        said = self.failure or self.text
        return f'Described({self.describer!r}, {said[:60]!r})'


@dataclass(frozen=True, repr=False)
class ModelUse:
    """One model file that took part."""

    name: str
    role: str
    licence: str
    sha256: str
    card: Mapping[str, object] = field(default_factory=dict)
    """The committed card of a model trained here; empty for third-party files."""

    def __repr__(self) -> str:
        return f'ModelUse({self.name!r}, {self.role!r}, {self.licence!r})'


def parts_of(file: str) -> tuple[str, ...]:
    """The folders in a clip's path.

    >>> parts_of('happy/session 1/a.wav')
    ('happy', 'session 1')
    """
    return tuple(file.split('/')[:-1])
