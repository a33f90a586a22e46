"""Comparison of what was decoded with what the file promised: every loss is reported in a sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

SENTENCES_OF_A_TOPIC = 5
CUT_SHORT, DAMAGED, MORE = 'cut short', 'damaged: ', ' more like these'
MARGIN_S = 1.0
"""Seconds around a damaged part that count as damaged: decoders give frames late, and repair them from others."""
NO_LENGTH = 'the file states no length: an end that is missing would not be noticed'


@dataclass
class ContainerReport:
    """Differences between the statements of a container and its content, collected while its parts are read.

    At most five sentences per topic are kept, and one more gives the number of the others: a malicious file must not be
    able to fill a report. Bytes and seconds count all of them.
    """

    lost_bytes: int = 0
    """Bytes that are missing, damaged, or present but not read."""
    lost_s: float = 0.0
    """Duration of these bytes in seconds, as far as the container states it."""
    states_length: bool = True
    """Whether the container states its end anywhere."""
    remarks: list[str] = field(default_factory=list)
    """Sentences on content that is left out on purpose, which is not damage."""
    _sentences: dict[str, list[str]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, topic: str, sentence: str, lost_bytes: int = 0, lost_s: float = 0.0) -> None:
        """Add a sentence with the bytes and seconds that it reports."""
        self._counts[topic] += 1
        self.lost_bytes += max(0, lost_bytes)
        self.lost_s += max(0.0, lost_s)
        sentences = self._sentences.setdefault(topic, [])
        if len(sentences) < SENTENCES_OF_A_TOPIC and sentence not in sentences:
            sentences.append(sentence)

    def cut(self, stated_end: int, size: int, what: str) -> None:
        """Note that `what` should end after the last byte of the file; nothing if it should not."""
        if stated_end > size:
            sentence = f'{CUT_SHORT}: {what} should end at byte {stated_end}, the file has {size}'
            self.add('cut', sentence, stated_end - size)

    @property
    def topics(self) -> frozenset[str]:
        """The topics of the sentences."""
        return frozenset(self._counts)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences in the order of their topics, at most five of each, and the number of the others."""
        lines: list[str] = []
        for topic, sentences in self._sentences.items():
            lines += sentences
            if self._counts[topic] > len(sentences) >= SENTENCES_OF_A_TOPIC:
                lines.append(f'{self._counts[topic] - len(sentences):,}{MORE} ({self._counts[topic]:,} in all)')
        return tuple(lines)


def _counts_others(line: str) -> bool:
    """Whether a sentence is the number of others that are not shown."""
    return MORE in line


def seconds_of(seconds: float) -> str:
    """' (1.20 s)' for a sentence about bytes; '' if the duration is unknown."""
    return f' ({seconds:.2f} s)' if seconds > 0 else ''


def anew_sentence(start: int, size: int, seconds: float) -> str:
    """Sentence on a recording after another one whose parts FFmpeg reads at the times that they state."""
    begins = f'another recording begins at byte {start}, {size:,} bytes{seconds_of(seconds)}'
    return f'{begins}; its times begin anew, so what is not later than the first one is not read'


@dataclass(frozen=True)
class StreamReport:
    """One stream after one pass of `frames` or `samples`.

    All times are in seconds on the recording's clock. A field is None where the file does not state it.
    """

    declared_s: float | None
    """Duration stated by the container for this stream."""
    decoded_s: float
    """Decoded duration: end of the last unit minus start of the first, without gaps."""
    frames: int
    """Number of decoded video frames, or of decoded audio frames (packets of samples)."""
    declared_frames: int | None = None
    """Number of video frames stated by the container."""
    packets: int = 0
    """Number of compressed packets read."""
    damaged_packets: int = 0
    """Number of packets that the decoder or demuxer refused."""
    corrupt_frames: int = 0
    """Number of decoded units that the decoder marked as damaged, or that have impossible values."""
    lost_s: float = 0.0
    """Missing duration: stated or timestamped, but not decoded."""
    gap_s: float = 0.0
    """Duration within the stream that no packet covers (audio: filled with silence)."""
    end_s: float = 0.0
    """Time up to which the stream was decoded."""
    damaged_spans: tuple[tuple[float, float], ...] = ()
    """Start and end of each part in which something was missing or damaged; () if nothing was, or that is unknown."""
    ended_early: bool = False
    """Whether the caller stopped before the end, so that the rest is unknown."""
    notes: tuple[str, ...] = ()
    """Sentences about damage or doubt; () if there is none."""

    @property
    def is_complete(self) -> bool:
        """Whether everything stated was decoded, and nothing was damaged."""
        return not (self.notes or self.ended_early)


@dataclass(frozen=True)
class DecodeReport:
    """Report of what a recording yielded so far; a stream is None until it has been read."""

    video: StreamReport | None = None
    audio: StreamReport | None = None
    remarks: tuple[str, ...] = ()
    """Sentences about the whole file that do not report damage, such as a wrong extension."""
    file_damage: tuple[str, ...] = ()
    """Sentences about the container: cut short, bytes missing, a second recording that is not read."""
    unread_bytes: int = 0
    """Bytes in the sentences of `file_damage`: missing, damaged, or present but not read."""
    unread_s: float = 0.0
    """Duration of these bytes in seconds, as far as the container states it."""

    @property
    def is_complete(self) -> bool:
        """Whether every stream read so far is complete, and the container is intact."""
        return not self.file_damage and all(s.is_complete for s in (self.video, self.audio) if s is not None)

    @property
    def lost_s(self) -> float:
        """The largest loss among container, video and audio, in seconds."""
        return max((self.unread_s, *(s.lost_s for s in (self.video, self.audio) if s is not None)))

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences for the user, in the order file, video, audio, remarks."""
        return (*self.damage, *self.remarks)

    @property
    def damage(self) -> tuple[str, ...]:
        """Sentences on what is missing, damaged or not read, in the order file, video, audio; () if nothing is."""
        streams = (('video', self.video), ('audio', self.audio))
        notes = [f'{name}: {note}' for name, stream in streams if stream is not None for note in stream.notes]
        return (*self.file_damage, *notes)

    def damage_within(self, window_s: tuple[float, float] | None) -> tuple[str, ...]:
        """The sentences of `damage` that may concern a part of the recording.

        Left out are sentences on an end that is missing after the part, on a stream whose damaged parts all lie
        elsewhere, and on damaged frames or pages of which each left a damaged part elsewhere. Other damage of the
        container may lie anywhere.

        Args:
            window_s: start and end of the part in seconds; None for the whole recording.
        """
        if window_s is None:
            return self.damage
        start_s, end_s = window_s

        def touches(spans: Sequence[tuple[float, float]]) -> bool:
            return any(begin < end_s + MARGIN_S and end > start_s - MARGIN_S for begin, end in spans)

        streams = [(name, stream) for name, stream in (('video', self.video), ('audio', self.audio)) if stream]
        reached_s = min((stream.end_s for _, stream in streams), default=0.0)
        inner = [span for _, stream in streams for span in stream.damaged_spans if span[0] > 0 and span[1] < math.inf]
        is_located = sum(sentence.startswith(DAMAGED) for sentence in self.file_damage) <= len(inner)
        is_later = end_s <= reached_s
        is_elsewhere = is_located and not touches(inner) and not any(map(_counts_others, self.file_damage))
        excluded = [start for start, is_excluded in ((CUT_SHORT, is_later), (DAMAGED, is_elsewhere)) if is_excluded]
        sentences = [sentence for sentence in self.file_damage if not sentence.startswith(tuple(excluded))]
        for name, stream in streams:
            if touches(stream.damaged_spans or ((0.0, math.inf),)):
                sentences += [f'{name}: {note}' for note in stream.notes]
        return tuple(sentences)
