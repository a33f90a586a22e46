"""Records of one analysis, shared by timeline, report and exports.

Times are seconds from the start of the recording. Valence and arousal lie in [-1, 1], certainty and confidence in
[0, 1]. A photograph counts as one second, so that spans, weights and lanes have the same meaning everywhere.
Evidence refers to rows: a table by name, a span of time, and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from affekt.wording import counted, signed

LOSS_STARTS = ('Not read: ', 'Missing: ', 'Damaged: ')
"""Beginnings of the notes of `affekt.media` about losses in the container."""
STREAM_LOSS_STARTS = ('Picture: ', 'Sound: ', 'Video: ', 'Audio: ')
"""Beginnings of the notes about losses in video or audio; stored analyses have the first two."""
UNCLEAR = 'unclear'
"""The label of a stretch without a sufficiently likely category."""


@dataclass(frozen=True)
class Evidence:
    """Evidence of a statement: readings of one source over a span of time."""

    source: str
    """'face', 'voice', 'words' or 'fused'."""
    start_s: float
    end_s: float
    person: str
    """'person 1', a transcript's name, 'voice' (speech of nobody visible), or '' for nobody in particular."""
    readings: Mapping[str, float] = field(default_factory=dict)
    """Column name to its mean over the span; columns of the tables `faces`, `turns`, `voice` or `utterances`."""
    quote: str = ''
    """The words said, where the source is 'words'."""


@dataclass(frozen=True)
class Lost:
    """Losses of the file: parts not read, missing or damaged; the source's notes describe them."""

    bytes: int = 0
    """Bytes that are missing, damaged, or present but not read, as far as the container shows."""
    seconds: float = 0.0
    """Seconds lost: the largest loss among container, video and audio."""
    packets: int = 0
    """Compressed packets that could not be decoded."""
    frames: int = 0
    """Decoded frames of video or audio that are damaged."""
    is_complete: bool = True
    """True if nothing is missing or damaged, as far as the file shows."""

    @property
    def amounts(self) -> str:
        """The losses in words: '1,234 bytes, 2.1 s'; '' if nothing can be counted."""
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
    """The path relative to the given folder, with '/' as separator; '' if the recording itself was given."""

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on what was not read, is missing or damaged; () if nothing is, as far as the file shows."""
        if self.lost.is_complete:
            return ()
        sentences = tuple(note for note in self.notes if note.startswith(LOSS_STARTS))
        if self.lost.amounts:
            return sentences or (f'Not read whole: {self.lost.amounts}.',)
        return sentences or tuple(note for note in self.notes if note.startswith(STREAM_LOSS_STARTS))

    @property
    def identity(self) -> dict[str, str]:
        """The columns that identify the recording: file, part1, part2, … (the folders in file), sha256."""
        file = self.file or self.name
        parts = {f'part{number}': part for number, part in enumerate(file.split('/')[:-1], 1)}
        return {'file': file, **parts, 'sha256': self.sha256}


@dataclass(frozen=True, repr=False)
class Stretch:
    """A part of a person's time with one label; a person's course is a sequence of them."""

    start_s: float
    end_s: float
    label: str
    """One of the EKMAN categories, or UNCLEAR."""
    certainty: float | None
    """Mean fused probability of the label over the time that states categories; None if it is unclear."""
    valence: tuple[float, float, float] | None = None
    """Mean, low, high over the stretch, as for a `Person`."""
    arousal: tuple[float, float, float] | None = None
    reason: str = ''
    """Why it is unclear: 'unsure'; 'unread', if no loaded model reads the voice; 'contradiction' between
    face, voice and words; 'mixed', if most steps are clear but no category prevails; '' if a label is named."""

    def __repr__(self) -> str:
        certainty = '' if self.certainty is None else f', certainty {self.certainty:.2f}'
        return f'Stretch({self.label!r}, {self.start_s:.1f}-{self.end_s:.1f} s{certainty})'


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
    """Face size in pixels, blur, head turn in degrees, loudness and noise in dB, as far as measured."""
    course: tuple[Stretch, ...] = ()
    """How the label changes over the person's time; empty where nothing was measured, and in older runs."""
    stretches: int = 1
    """Number of tracks joined as this person: more than 1 if the person left the frame and came back."""
    identity_certainty: float | None = None
    """Certainty by face that the tracks are one person, of the least certain pair, in [0, 1]; None if no tracks were
    joined by face."""

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
    """'whole' for the words for a person's whole time, 'span' for those of [start_s, end_s)."""

    def __repr__(self) -> str:
        return (
            f'OpenLabel({self.word!r}, {self.person!r}, certainty {self.certainty:.2f}, {self.scope} '
            f'{self.start_s:.1f}-{self.end_s:.1f} s)'
        )


@dataclass(frozen=True, repr=False)
class Moment:
    """A point worth looking at, such as a peak, a change, or a contradiction between sources."""

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
    """One spoken word; confidence is nan if the transcript gives none."""

    start_s: float
    end_s: float
    text: str
    confidence: float


@dataclass(frozen=True, repr=False)
class Spoken:
    """One utterance and its lane."""

    start_s: float
    end_s: float
    person: str
    """As in the timeline."""
    speaker: str
    """The transcript's name for the speaker; '' if it has none."""
    text: str
    words: tuple[SpokenWord, ...] = ()
    language: str = ''
    """A code such as 'en'; '' if unknown."""
    reason: str = ''
    """Why the words are not read: 'not understood', 'language', or ''."""

    @property
    def shown(self) -> str:
        """The text, marked if it was not understood."""
        return f'[not understood] {self.text}' if self.reason == 'not understood' else self.text

    def __repr__(self) -> str:
        return f'Spoken({self.start_s:.1f}-{self.end_s:.1f} s, {self.person!r}, {self.text!r})'


@dataclass(frozen=True, repr=False)
class Sentence:
    """One sentence of the description and its evidence."""

    text: str
    evidence: tuple[Evidence, ...]

    def __repr__(self) -> str:
        return f'Sentence({self.text!r}, {counted(len(self.evidence), "piece")} of evidence)'


@dataclass(frozen=True)
class DescribedClue:
    """A clause of a description about something perceived."""

    text: str
    of: tuple[str, ...]
    """'voice', 'face', 'body', 'words'; for the plain description, its sources."""


@dataclass(frozen=True, repr=False)
class Described:
    """A describer's answer about a clip: text of a model, kept apart from all measurements."""

    describer: str
    """Its name."""
    text: str
    """'' if there is no answer."""
    labels: tuple[str, ...] = ()
    form: str = 'free'
    """'template', 'list', 'free', 'refusal', 'nonsense' or 'empty'; 'plain' for sentences from measurements."""
    evidence: tuple[DescribedClue, ...] = ()
    invented: tuple[DescribedClue, ...] = ()
    """Clauses about inputs that the clip lacks; excluded from text and labels."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Input (such as 'video') to the reason why it could not be used."""
    words: str = ''
    """The spoken words in its prompt."""
    failure: str = ''
    """Why there is no answer; '' if there is one."""
    weights_sha256: str = ''
    """Hash of the describer with its language model; '' if it has none."""
    certainty: float | None = None
    """Certainty of the first label, in [0, 1]; None if unknown."""

    def __repr__(self) -> str:
        text = self.failure or self.text
        return f'Described({self.describer!r}, {text[:60]!r})'


@dataclass(frozen=True, repr=False)
class ModelUse:
    """One model file that was used."""

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
