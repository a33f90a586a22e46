"""What one analysis holds: the nouns that the timeline, the report and the exports share.

Times are seconds from the start of the recording. Valence and arousal lie in [-1, 1], certainty and confidence in
[0, 1]. A still picture counts as one second, so that spans, weights and lanes mean the same everywhere.
Evidence points at rows: a table by name, a span of time, and the columns that say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    file: str = ''
    """The path below the folder that was named, with '/' between its parts; '' where the recording was named alone."""

    @property
    def identity(self) -> dict[str, str]:
        """What tells the recording from others, as columns: file, part1, part2, … (the folders in file), sha256."""
        file = self.file or self.name
        parts = {f'part{number}': part for number, part in enumerate(file.split('/')[:-1], 1)}
        return {'file': file, **parts, 'sha256': self.sha256}


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class SpokenWord:
    """One word that was said; confidence is nan where the transcript gives none."""

    start_s: float
    end_s: float
    text: str
    confidence: float


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Sentence:
    """One sentence of the description and the rows that it rests on."""

    text: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class ModelUse:
    """One model file that took part."""

    name: str
    role: str
    licence: str
    sha256: str
    card: Mapping[str, object] = field(default_factory=dict)
    """The committed card of a model trained here; empty for third-party files."""
