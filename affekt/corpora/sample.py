"""The row of a manifest for one sample, and the types of its columns."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import get_type_hints

MEDIA = ('video', 'audio', 'frames')
"""Columns with paths of media."""
MODALITIES = ('audio', 'video', 'text')
"""Modalities that the column `missing` can withhold; `video` includes `frames`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row; a field is None if the release has no value for it."""

    sample: str
    """Name of the sample, unique in a manifest."""
    video: str | None = None
    """Path of a file below the manifest's root, or an absolute path."""
    audio: str | None = None
    """Path of an audio file, likewise."""
    frames: str | None = None
    """Path of a folder of images, or of a file of stacked ones."""
    text: str | None = None
    """Transcript in the language of the corpus; '' if nothing was understood."""
    chinese: str | None = None
    english: str | None = None
    category: str | None = None
    """One of the corpus's categories."""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    sentiment: float | None = None
    """Sentiment from negative to positive, within the range of the corpus."""
    speaker: str | None = None
    dialogue: str | None = None
    session: str | None = None
    recording: str | None = None
    """Name of the recording that `start_s` and `end_s` refer to."""
    start_s: float | None = None
    end_s: float | None = None
    """End of the sample in its recording, in seconds; not before `start_s`."""
    split: str | None = None
    """Published split."""
    fold: int | None = None
    """Published fold in which the sample is tested."""
    missing: str | None = None
    """Withheld modalities, separated by commas; media and text are kept, so that features can be extracted once."""
    corruption: str | None = None
    """Deliberate corruption of its media, as JSON; None for none."""
    description: str | None = None
    """Description of the person's emotion and its clues, in English or in the only language of the release."""
    chinese_description: str | None = None
    """The description in Chinese, where the release has both."""
    openset: str | None = None
    """Open-vocabulary emotion labels, as a JSON list; `labels` parses it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions in `openset`; () if there are none."""
        return tuple(json.loads(self.openset)) if self.openset else ()


COLUMNS = tuple(column.name for column in dataclasses.fields(Sample))
LATER = ('missing', 'corruption', 'description', 'chinese_description', 'openset')
"""Columns that older files of the same format lack."""
NUMBERS = tuple(name for name, hint in get_type_hints(Sample).items() if hint == float | None)
"""Columns of floats."""
WHOLE = ('fold',)
"""Columns of whole numbers."""
REPEATING = ('category', 'speaker', 'dialogue', 'session', 'recording', 'split', 'missing')
"""Columns with few distinct texts, each of which is stored once."""
