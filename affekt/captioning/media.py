"""The audio and the frames of a manifest's sample, as parts of a question.

Audio comes from the audio file, or else from the video; frames from the video, or else from the folder of frames.
Media that the manifest withholds (`missing`) are not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affekt.captioning.captions import ABSENT
from affekt.clips import stored_pictures
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError
from affekt.llm import ClipLimits, MediaForm, Part, clip_parts, picture_part

ABSENT_, WITHHELD, UNREADABLE = ABSENT
AUDIO, VISUAL = 'audio', 'visual'
SOURCES = {AUDIO: ('audio', 'video'), VISUAL: ('video', 'frames')}
"""Step to the columns of a manifest that it reads, the first that a sample has is used."""
_MODALITY = {AUDIO: 'audio', VISUAL: 'video'}


@dataclass(frozen=True)
class Sent:
    """The media of a sample in a question."""

    parts: tuple[Part, ...] = ()
    status: str = ''
    """The reason why there are no parts, one of `ABSENT`; '' if there are."""
    why: str = ''


def source_of(manifest: Manifest, row: Sample, step: str) -> tuple[str, Path] | None:
    """The column and the file or folder that a step reads of a sample; None if it has none."""
    for column in SOURCES[step]:
        if (path := manifest.media(row, column)) is not None:
            return column, path
    return None


def media_sizes(manifest: Manifest, row: Sample) -> dict[str, int]:
    """Step to the size of its file in bytes; -1 if the file is missing."""
    sizes = {}
    for step in SOURCES:
        if (source := source_of(manifest, row, step)) is not None:
            sizes[step] = source[1].stat().st_size if source[1].is_file() else -1
    return sizes


def parts_for(manifest: Manifest, row: Sample, step: str, limits: ClipLimits, form: MediaForm) -> Sent:
    """The audio of a sample (`audio`) or its frames (`visual`), within limits.

    Args:
        manifest: the manifest of the sample.
        row: the sample.
        step: `audio` or `visual`.
        limits: limits of the media; only those of the step's medium are used.
        form: media form of the server to be asked.
    """
    if _MODALITY[step] in (row.missing or '').split(','):
        return Sent(status=WITHHELD, why=f'the manifest withholds {_MODALITY[step]}')
    source = source_of(manifest, row, step)
    if source is None:
        return Sent(status=ABSENT_, why=f'the manifest names no {" or ".join(SOURCES[step])}')
    column, path = source
    try:
        if column == 'frames':
            return Sent(_folder_parts(path, limits, form))
        from affekt.media import Recording

        recording = Recording.open(path)
        if not (recording.audio if step == AUDIO else recording.video):
            return Sent(status=ABSENT_, why=f'{path.name} has no {"audio" if step == AUDIO else "images"}')
        return Sent(clip_parts(path, limits, form, window_s=manifest.window_s(row, column)))
    except AffektError as error:
        if type(error).__name__ == 'LLMError':  # the server has no format for this medium, whatever the clip
            raise
        return Sent(status=UNREADABLE, why=error.came)


def _folder_parts(folder: Path, limits: ClipLimits, form: MediaForm) -> tuple[Part, ...]:
    """Images of a folder or a stored array as parts, evenly spaced from the first."""
    images = stored_pictures(folder)
    indices = np.linspace(0, len(images), min(limits.frames, len(images)), endpoint=False, dtype=int)
    return tuple(
        picture_part(np.asarray(images[int(index)]), form, jpeg_quality=limits.jpeg_quality) for index in indices
    )
