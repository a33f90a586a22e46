"""Size of a cache of clips, estimated from the headers of the recordings before anything is decoded or written."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from affekt.clips.cache_files import SoundType
from affekt.clips.clip import SOUND_RATE_HZ, ClipSettings, opened
from affekt.clips.frame_folders import picture_count
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError
from affekt.media import Recording
from affekt.wording import counted

LOOKED_AT = 256
"""Maximum number of clips whose headers an estimate reads."""


@dataclass(frozen=True)
class CacheEstimate:
    """Estimated size of a cache, from headers; frames without a face are counted as well."""

    clips: int
    frames: int
    frame_bytes: int
    sound_bytes: int
    looked_at: int
    """Clips whose headers were read; the others count as the mean of these."""
    unreadable: int
    """Number of those whose headers could not be read."""

    @property
    def bytes(self) -> int:
        """Bytes of frames, their times, and audio."""
        return self.frame_bytes + 8 * self.frames + self.sound_bytes

    def __str__(self) -> str:
        parts = f'{in_words(self.frame_bytes)} of frames and {in_words(self.sound_bytes)} of audio'
        basis = '' if self.looked_at == self.clips else f', judging by {self.looked_at:,} of them'
        unreadable = f'; {self.unreadable:,} of these cannot be read' if self.unreadable else ''
        size = f'{counted(self.clips, "clip")}, {self.frames:,} frames: about {in_words(self.bytes)}'
        return f'{size} ({parts}){basis}{unreadable}'


def in_words(count: int) -> str:
    """A number of bytes as text, in GB from 0.1 GB on, otherwise in MB."""
    return f'{count / 1e9:,.1f} GB' if count >= 1e8 else f'{count / 1e6:,.1f} MB'


def estimate(
    manifest: Manifest, settings: ClipSettings | None = None, *, sound: SoundType = 'int16', most: int = LOOKED_AT
) -> CacheEstimate:
    """The size of the clips of a manifest, from the headers of at most `most` of them; nothing is decoded.

    Args:
        manifest: manifest of the corpus.
        settings: settings of the clips; None for the published size.
        sound: type of a stored audio sample.
        most: maximum number of clips to read, evenly over the manifest.
    """
    settings = settings or ClipSettings()
    indices = np.unique(np.linspace(0, max(len(manifest) - 1, 0), min(most, len(manifest))).astype(np.int64))
    frames, seconds, unreadable = 0.0, 0.0, 0
    for row in (manifest.samples[int(index)] for index in indices):
        try:
            row_frames, row_seconds = _declared(manifest, row, settings)
        except AffektError:
            unreadable += 1
            continue
        frames, seconds = frames + row_frames, seconds + row_seconds
    share = len(manifest) / max(len(indices), 1)
    total = round(frames * share)
    width = np.dtype(sound).itemsize
    sound_bytes = round(seconds * share * SOUND_RATE_HZ) * width
    return CacheEstimate(len(manifest), total, total * settings.size**2 * 3, sound_bytes, len(indices), unreadable)


def _declared(manifest: Manifest, row: Sample, settings: ClipSettings) -> tuple[float, float]:
    """Numbers of frames and of seconds of audio that the headers of a row's files declare."""
    frames = seconds = 0.0
    folder, video, audio = (manifest.media(row, column) for column in ('frames', 'video', 'audio'))
    withheld = (row.missing or '').split(',')
    if 'video' in settings.modalities and 'video' not in withheld:
        if folder is not None:
            frames = picture_count(folder)
        elif video is not None:
            recording = opened(video)
            rate_hz = (recording.video.rate_hz if recording.video else 0.0) or 0.0
            frames = ceil(_seconds(recording, manifest.window_s(row, 'video'), settings) * rate_hz)
    if 'audio' in settings.modalities and 'audio' not in withheld and (audio or video):
        column = 'audio' if audio else 'video'
        recording = opened(audio or video)  # type: ignore[arg-type]
        seconds = _seconds(recording, manifest.window_s(row, column), settings) if recording.audio else 0.0
    return frames, seconds


def _seconds(recording: Recording, window_s: tuple[float, float] | None, settings: ClipSettings) -> float:
    start_s, end_s = window_s or (0.0, float('inf'))
    length_s = max(0.0, min(end_s, recording.duration_s or 0.0) - start_s)
    return length_s if length_s <= settings.longest_s else 0.0
