"""What decoding delivered beside what the file promised: nothing is lost without a sentence here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SENTENCES_OF_A_TOPIC = 5
NO_LENGTH = 'the file states no length: an end that is missing would not be noticed'


@dataclass
class ContainerReport:
    """What a container states and the file does not bear out, gathered while its parts are walked through.

    At most five sentences of one topic are kept, and one more says how many there are: a hostile file must not
    write its own length into a report. Bytes and seconds count all of them.
    """

    lost_bytes: int = 0
    """Bytes that are missing, damaged, or there and not read."""
    lost_s: float = 0.0
    """Seconds that they hold, as far as the container tells."""
    states_length: bool = True
    """Whether the container says anywhere where it ends."""
    remarks: list[str] = field(default_factory=list)
    """Sentences on what is there and left out on purpose: no damage."""
    _sentences: dict[str, list[str]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, topic: str, sentence: str, lost_bytes: int = 0, lost_s: float = 0.0) -> None:
        """Note a sentence, and the bytes and seconds that it speaks of."""
        self._counts[topic] += 1
        self.lost_bytes += max(0, lost_bytes)
        self.lost_s += max(0.0, lost_s)
        sentences = self._sentences.setdefault(topic, [])
        if len(sentences) < SENTENCES_OF_A_TOPIC and sentence not in sentences:
            sentences.append(sentence)

    def cut(self, stated_end: int, size: int, what: str) -> None:
        """Note that `what` should end behind the last byte; nothing where it does not."""
        if stated_end > size:
            sentence = f'cut short: {what} should end at byte {stated_end}, the file has {size}'
            self.add('cut', sentence, stated_end - size)

    @property
    def topics(self) -> frozenset[str]:
        """What the sentences are about."""
        return frozenset(self._counts)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences in the order of their topics, five of each, and how many more there are."""
        lines: list[str] = []
        for topic, sentences in self._sentences.items():
            lines += sentences
            if self._counts[topic] > len(sentences) >= SENTENCES_OF_A_TOPIC:
                lines.append(
                    f'{self._counts[topic] - len(sentences):,} more of this kind ({self._counts[topic]:,} in all)'
                )
        return tuple(lines)


def seconds_of(seconds: float) -> str:
    """' (1.20 s)' for a sentence about bytes; nothing where the container does not tell."""
    return f' ({seconds:.2f} s)' if seconds > 0 else ''


def anew_sentence(start: int, size: int, seconds: float) -> str:
    """On a recording behind another in a container whose parts FFmpeg reads on, each at the time that it states."""
    begins = f'another recording begins at byte {start}, {size:,} bytes{seconds_of(seconds)}'
    return f'{begins}; its times begin anew, so what is not later than the first one is not read'


@dataclass(frozen=True)
class StreamReport:
    """One stream after one pass of `frames` or `samples`.

    All seconds are on the recording's clock. A field is None where the file does not say.
    """

    declared_s: float | None
    """Length that the container declares for this stream."""
    decoded_s: float
    """Length that came out: end of the last unit minus start of the first, without gaps."""
    frames: int
    """Decoded pictures, or decoded sound frames (packets of samples)."""
    declared_frames: int | None = None
    """Pictures that the container declares."""
    packets: int = 0
    """Compressed packets read."""
    damaged_packets: int = 0
    """Packets that the decoder or the demuxer refused."""
    corrupt_frames: int = 0
    """Decoded units that the decoder marked as damaged, or that hold impossible values."""
    lost_s: float = 0.0
    """Seconds missing: declared or timestamped, but not decoded."""
    gap_s: float = 0.0
    """Seconds inside the stream that no packet covers (sound: filled with silence)."""
    ended_early: bool = False
    """The caller stopped before the end: no statement about the rest."""
    notes: tuple[str, ...] = ()
    """Sentences about damage or doubt. Empty where all is well."""

    @property
    def is_complete(self) -> bool:
        """Everything declared was decoded, and nothing was damaged."""
        return not (self.notes or self.ended_early)


@dataclass(frozen=True)
class DecodeReport:
    """What a recording yielded so far; a stream is None until it was read."""

    video: StreamReport | None = None
    audio: StreamReport | None = None
    remarks: tuple[str, ...] = ()
    """Sentences about the file as a whole, such as a wrong extension: no damage."""
    file_damage: tuple[str, ...] = ()
    """Sentences about the container: cut short, bytes missing, a second recording that is not read."""
    unread_bytes: int = 0
    """Bytes that `file_damage` speaks of: missing, damaged, or there and not read."""
    unread_s: float = 0.0
    """Seconds in these bytes, as far as the container tells."""

    @property
    def is_complete(self) -> bool:
        """Every stream read so far is complete, and the container is whole."""
        return not self.file_damage and all(s.is_complete for s in (self.video, self.audio) if s is not None)

    @property
    def lost_s(self) -> float:
        """The largest loss among container, picture and sound, in seconds."""
        return max((self.unread_s, *(s.lost_s for s in (self.video, self.audio) if s is not None)))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything worth telling a person, in the order file, picture, sound, remarks."""
        said = list(self.file_damage)
        for name, stream in (('picture', self.video), ('sound', self.audio)):
            if stream is not None:
                said += [f'{name}: {note}' for note in stream.notes]
        return (*said, *self.remarks)
