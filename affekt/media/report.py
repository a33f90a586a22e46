"""What decoding delivered beside what the file promised: nothing is lost without a sentence here."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Sentences about the container: cut short, bytes missing."""

    @property
    def is_complete(self) -> bool:
        """Every stream read so far is complete, and the container is whole."""
        return not self.file_damage and all(s.is_complete for s in (self.video, self.audio) if s is not None)

    @property
    def lost_s(self) -> float:
        """The larger loss of picture and sound, in seconds."""
        return max((s.lost_s for s in (self.video, self.audio) if s is not None), default=0.0)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything worth telling a person, in the order file, picture, sound, remarks."""
        said = list(self.file_damage)
        for name, stream in (('picture', self.video), ('sound', self.audio)):
            if stream is not None:
                said += [f'{name}: {note}' for note in stream.notes]
        return (*said, *self.remarks)
