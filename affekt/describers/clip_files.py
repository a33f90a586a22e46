"""The media files of a sample, each opened once: what they have, and what a question about the clip may contain of it.

A clip may have its frames in one file and its audio in another, and may be a segment of both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import replace

from affekt.corpora import Manifest, Sample
from affekt.errors import MediaError
from affekt.llm import ClipLimits, MediaForm, Part, clip_parts
from affekt.media import Recording

COLUMNS = {'video': ('video', 'audio'), 'audio': ('audio', 'video')}
"""Modality to the columns of a manifest that may name a file with it; the first that has it is used."""


class ClipFiles:
    """The files of a sample.

    Args:
        manifest: the manifest of the sample.
        sample: a sample with a video, an audio file, both or neither.
    """

    def __init__(self, manifest: Manifest, sample: Sample) -> None:
        self.manifest, self.sample = manifest, sample
        self.withheld = frozenset((sample.missing or '').split(','))
        self._recordings: dict[str, Recording] = {}

    def recording(self, column: str) -> Recording | None:
        """The file of a column; None if the sample has none there.

        Raises:
            MediaError: it cannot be read.
        """
        path = self.manifest.media(self.sample, column)
        if path is not None and column not in self._recordings:
            self._recordings[column] = Recording.open(path)
        return self._recordings.get(column)

    def with_text(self, text: str | None) -> ClipFiles:
        """The same files, with those already opened, for the sample with this transcript."""
        changed = ClipFiles(self.manifest, replace(self.sample, text=text))
        changed._recordings = self._recordings
        return changed

    def window_s(self, column: str) -> tuple[float, float] | None:
        """The segment of the file of a column, in seconds; None for the whole."""
        return self.manifest.window_s(self.sample, column)

    def columns(self, modalities: Collection[str] = tuple(COLUMNS)) -> dict[str, str]:
        """Modality to the column of the file that it is taken from; a modality that no file has, or that the manifest
        withholds, is absent.

        Args:
            modalities: modalities to look for, of `COLUMNS`; files that are not needed for them are not opened.

        Raises:
            MediaError: a file cannot be read.
        """
        columns: dict[str, str] = {}
        for modality in (name for name in modalities if name not in self.withheld):
            for column in COLUMNS[modality]:
                recording = self.recording(column)
                if recording and (recording.audio if modality == 'audio' else recording.video is not None):
                    columns[modality] = column
                    break
        return columns

    def sent_columns(self, limits: ClipLimits) -> dict[str, str]:
        """`columns` of the modalities that the limits allow."""
        allowed = {'video': bool(limits.frames), 'audio': limits.sound}
        return self.columns([name for name in allowed if allowed[name]])

    def parts(self, limits: ClipLimits, form: MediaForm) -> tuple[Part, ...]:
        """The frames and the audio of the clip as message parts; () if it has neither or none is sent.

        Raises:
            MediaError: a file cannot be read, or none of them has anything in this segment.
            LLMError: see `affekt.llm.clip_parts`.
        """
        columns, parts = self.sent_columns(limits), list[Part]()
        files = list(dict.fromkeys(columns.values()))
        for column in files:
            recording = self.recording(column)
            assert recording is not None
            frames = limits.frames if columns.get('video') == column else 0
            own = replace(limits, frames=frames, sound=columns.get('audio') == column)
            may_be_empty = bool(parts) or column != files[-1]
            parts += clip_parts(recording, own, form, window_s=self.window_s(column), may_be_empty=may_be_empty)
        return tuple(parts)


def media_in(clips: Iterable[ClipFiles], limits: ClipLimits) -> tuple[str, ...]:
    """Media in questions about some clips, of `affekt.llm.MEDIA`; clips that cannot be read have none."""
    present: set[str] = set()
    for files in clips:
        with contextlib.suppress(MediaError):
            present |= files.sent_columns(limits).keys()
        if present == {'video', 'audio'}:
            break
    return tuple(medium for medium in limits.media if ('audio' if medium == 'audio' else 'video') in present)
