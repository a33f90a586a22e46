"""What a row of a manifest says of one sample, and how its columns are kept."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import get_type_hints

MEDIA = ('video', 'audio', 'frames')
MODALITIES = ('audio', 'video', 'text')


@dataclass(frozen=True, slots=True)
class Sample:
    """One row; None where the release says nothing."""

    sample: str
    """Its name, once in a manifest."""
    video: str | None = None
    """A file below the manifest's root, or an absolute path."""
    audio: str | None = None
    frames: str | None = None
    """A folder of pictures, or a file of stacked ones."""
    text: str | None = None
    """What was said, in the language of the corpus; '' where nothing was understood."""
    chinese: str | None = None
    english: str | None = None
    category: str | None = None
    """One of the corpus's categories."""
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    sentiment: float | None = None
    """From negative to positive, within the range of the corpus."""
    speaker: str | None = None
    dialogue: str | None = None
    session: str | None = None
    recording: str | None = None
    """What `start_s` and `end_s` count in."""
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None
    """As published."""
    fold: int | None = None
    """The published fold in which the sample is tested."""
    missing: str | None = None
    """What is withheld of it, of `MODALITIES`, by commas; media and text stay named, so that features are made once."""
    corruption: str | None = None
    """What was done to its media on purpose, as JSON; None for nothing."""
    description: str | None = None
    """How the person comes across and from which clues, in English or in the one language that there is."""
    chinese_description: str | None = None
    """The same in Chinese, where the release has both."""
    openset: str | None = None
    """Emotions in free words, as a list in JSON; `labels` reads it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions of `openset`; () where there are none."""
        return tuple(json.loads(self.openset)) if self.openset else ()


COLUMNS = tuple(part.name for part in dataclasses.fields(Sample))
LATER = ('missing', 'corruption', 'description', 'chinese_description', 'openset')
"""Columns that older files of the same format lack."""
NUMBERS = tuple(name for name, hint in get_type_hints(Sample).items() if hint == float | None)
"""Columns that hold a float."""
WHOLE = ('fold',)
"""Columns that hold a whole number."""
REPEATING = ('category', 'speaker', 'dialogue', 'session', 'recording', 'split', 'missing')
"""Columns in which few texts stand for many samples; each text is kept once."""
