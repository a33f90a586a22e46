"""The reading yielded for each frame: faces, voice and words at one time, and their latency."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from affekt.typed_json import plain
from affekt.wording import counted


@dataclass(frozen=True, repr=False)
class LiveFace:
    """One person's face.

    Attributes:
        person: 'person 1', 'person 2', … in order of appearance. Somebody who left and came back may get another
            number; the saved run joins both if the face is certainly the same.
        box: x, y, width, height in pixels of the source.
        expression: EKMAN category to its probability, sum 1, smoothed over time; nan where it cannot be read.
        valence, arousal: in [-1, 1], derived from the categories, smoothed likewise.
        confidence: the probability of the likeliest category, reduced where the face is poorly visible, in [0, 1].
    """

    person: str
    box: tuple[float, float, float, float]
    expression: Mapping[str, float]
    valence: float
    arousal: float
    confidence: float

    @property
    def likeliest(self) -> str:
        """The category of largest probability; 'unreadable' if none can be read."""
        name = max(self.expression, key=self.expression.__getitem__)
        return 'unreadable' if math.isnan(self.expression[name]) else name

    def __repr__(self) -> str:
        return f'LiveFace({self.person!r}, {self.likeliest}, valence {self.valence:+.2f}, arousal {self.arousal:+.2f})'


@dataclass(frozen=True, repr=False)
class LiveVoice:
    """The voice, whoever speaks.

    Attributes:
        is_speech: whether somebody speaks now.
        valence: of the current turn, over its last seconds, in [-1, 1]; nan if nobody speaks or the head abstains.
        arousal: of the same seconds, in [-1, 1]; nan if nobody speaks or nothing has been read yet.
        emotion: EKMAN category to its probability over the same seconds; empty if nobody speaks or the head
            abstains.
        level_db: level of the last tenth of a second, dB of full scale, at least -120.
    """

    is_speech: bool
    valence: float = float('nan')
    arousal: float = float('nan')
    emotion: Mapping[str, float] = field(default_factory=dict)
    level_db: float = -120.0

    def __repr__(self) -> str:
        return f'LiveVoice({"speech" if self.is_speech else "no speech"}, {self.level_db:.0f} dB)'


@dataclass(frozen=True, repr=False)
class LiveReading:
    """The reading of one time.

    Attributes:
        time_s: seconds from the start of the stream, by its own timestamps.
        latency_s: seconds from reading the frame from the source to this finished reading.
        dropped: frames dropped so far, because newer ones had arrived.
        faces: by person; empty if no face is seen.
        voice: None without audio, or before its first tenth of a second was read.
        words: words recognised since the previous reading; '' for none.
    """

    time_s: float
    latency_s: float
    dropped: int
    faces: tuple[LiveFace, ...] = ()
    voice: LiveVoice | None = None
    words: str = ''

    def as_dict(self) -> dict[str, Any]:
        """The reading as JSON values; nan becomes None."""
        content: dict[str, Any] = plain(self)
        return content

    def __repr__(self) -> str:
        return f'LiveReading({self.time_s:.2f} s, latency {1000 * self.latency_s:.0f} ms, {self.faces}, {self.voice})'


@dataclass(frozen=True)
class LatencyReport:
    """Latency of the readings: seconds from reading a frame from the source to its finished reading.

    Attributes:
        p50_s, p95_s, p99_s: rounded to half a millisecond; nan before the first reading.
        frames: number of readings: one per frame read, or, while no frames come, per tenth of a second of audio.
        dropped: number of frames dropped because newer ones had arrived.
        reconnects: how often the source was reopened.
        sound_dropped_s: seconds of audio dropped.
    """

    p50_s: float
    p95_s: float
    p99_s: float
    frames: int
    dropped: int
    reconnects: int = 0
    sound_dropped_s: float = 0.0

    @property
    def sentence(self) -> str:
        """The report in words, for a terminal and the notes of a run."""
        if not self.frames:
            return 'nothing was read'
        quantiles = ', '.join(
            f'{name} {1000 * value:.0f}'
            for name, value in (('p50', self.p50_s), ('p95', self.p95_s), ('p99', self.p99_s))
        )
        parts = [
            f'latency {quantiles} ms; {counted(self.frames, "reading")}',
            f'{counted(self.dropped, "frame")} dropped',
        ]
        if self.reconnects:
            parts.append(counted(self.reconnects, 'reconnect'))
        if self.sound_dropped_s:
            parts.append(f'{self.sound_dropped_s:.1f} s of audio dropped')
        return ', '.join(parts)
