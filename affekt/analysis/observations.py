"""The measurements of one recording before fusion: four tables on one clock, and the trust in each source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from affekt.analysis.records import ModelUse, Source, Spoken
from affekt.arrays import Floats
from affekt.labels import EKMAN, GOEMOTIONS
from affekt.people import Returned
from affekt.tables import arrow_array, empty_table, floats, text_array

_MEASURES = [(category, pa.float64()) for category in EKMAN]
_MEASURES += [(name, pa.float64()) for name in ('valence', 'arousal', 'quality')]
_DEVIATIONS = [(name, pa.float64()) for name in ('valence_sd', 'arousal_sd')]

FACES = pa.schema([('time_s', pa.float64()), ('person', pa.string()), *_MEASURES])
"""Minimum columns of the table `faces`: one row per person and analyzed frame with a visible face. EKMAN
categories are probabilities, nan where only the landmarks could be read; quality in [0, 1]. Further columns are
readings."""

TURNS = pa.schema([
    ('start_s', pa.float64()), ('end_s', pa.float64()), ('person', pa.string()), *_MEASURES, *_DEVIATIONS,
    ('unfamiliarity', pa.float64()), ('abstains_because', pa.string()), ('is_loud_voice', pa.bool_()),
    ('liveliness', pa.float64()),
])  # fmt: skip
"""Minimum columns of `turns`: one row per turn of speech; categories nan where vocal emotion abstains.

unfamiliarity: distance from the head's training speech, in [0, 1]. abstains_because: '', 'unsure' or
'unfamiliar'; such a turn counts only for arousal. is_loud_voice: found by loud periodic voicing, not by the speech
detector. arousal: absolute; liveliness: relative to this person's usual, in [-1, 1], reported but not fused."""

VOICE = pa.schema([('time_s', pa.float64()), ('loudness_db', pa.float64()), ('f0_hz', pa.float64())])
"""Minimum columns of `voice`: ten rows per second of speech."""

GOEMOTION_COLUMNS = tuple(f'goemotions.{label}' for label in GOEMOTIONS)

UTTERANCES = pa.schema([
    ('start_s', pa.float64()), ('end_s', pa.float64()), ('person', pa.string()), ('speaker', pa.string()),
    ('text', pa.string()), *_MEASURES, *_DEVIATIONS, *[(name, pa.float64()) for name in GOEMOTION_COLUMNS],
    ('is_understood', pa.bool_()), ('language', pa.string()), ('reason', pa.string()),
])  # fmt: skip
"""Minimum columns of `utterances`: one row per utterance; `goemotions.…` are independent probabilities.

is_understood: False for words that are shown but not used. language: BCP-47 or ''. reason: '' or why the
utterance is not read."""

LASTS = 'lasts_s'
"""Column of `faces` for unevenly spaced frames, as of a stream that dropped some: seconds that a row's frame stands
for."""

SCHEMAS: Mapping[str, pa.Schema] = {'faces': FACES, 'turns': TURNS, 'voice': VOICE, 'utterances': UTTERANCES}
MOUTH_COLUMNS = ('jaw_open', 'mouth_opening')
"""Columns of `faces` that measure mouth opening; the first that exists is used."""


@dataclass(frozen=True)
class Trust:
    """The reliability of a source's model, for each quantity.

    reliability: share of its advantage over chance that remains outside its training data, in [0, 1], for categories.
    prior: class frequencies that it was trained for; None for equal ones. valence, arousal: reliability
    for these; None for the same. valence_bias_sd, arousal_bias_sd: standard deviation of the model's mean error for one
    person over a whole recording: this part of its error does not average out.
    """

    reliability: float
    prior: Mapping[str, float] | None = None
    valence: float | None = None
    arousal: float | None = None
    valence_bias_sd: float = 0.0
    arousal_bias_sd: float = 0.0


@dataclass(frozen=True)
class Observed:
    """All measurements of one recording.

    Tables have at least the columns of SCHEMAS; `person` is '' in turns and utterances until it is assigned.
    """

    source: Source
    faces: pa.Table = field(default_factory=lambda: empty_table(FACES))
    turns: pa.Table = field(default_factory=lambda: empty_table(TURNS))
    voice: pa.Table = field(default_factory=lambda: empty_table(VOICE))
    utterances: pa.Table = field(default_factory=lambda: empty_table(UTTERANCES))
    spoken: tuple[Spoken, ...] = ()
    """The utterances with their words, in the order of their table."""
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    """Person to JPEG."""
    returned: Mapping[str, Returned] = field(default_factory=dict)
    """Person to the tracks that were joined, for people who left the frame and came back."""
    speakers: tuple[str, ...] = ()
    """The speaker of each turn by voice alone, where nobody is seen: '' if uncertain; () if not determined."""
    trust: Mapping[str, Trust] = field(default_factory=dict)
    """Source ('face', 'voice', 'words') to its trust; an absent source counts in full."""
    models: tuple[ModelUse, ...] = ()
    still_at: Callable[[float], bytes | None] = lambda time_s: None
    """The JPEG of the frame at a time; None if images are not kept."""

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The four tables by name."""
        return {'faces': self.faces, 'turns': self.turns, 'voice': self.voice, 'utterances': self.utterances}


def conform(table: pa.Table, name: str) -> pa.Table:
    """The table with the minimum columns of SCHEMAS[name] first, absent ones filled with nan, '' or False (True for
    `is_understood`), followed by all others.

    The minimum columns get the types of the schema; others keep theirs.
    """
    columns: dict[str, pa.Array] = {}
    for column in SCHEMAS[name]:
        if column.name in table.column_names:
            columns[column.name] = table[column.name].cast(column.type)
        else:
            columns[column.name] = arrow_array([_filler(column)] * table.num_rows, column.type)
    for column in table.schema:
        columns.setdefault(column.name, table[column.name])
    return pa.table(columns)


def _filler(column: pa.Field) -> object:
    """The value of an absent column: nan, '', or the ordinary one."""
    if column.type == pa.bool_():
        return column.name == 'is_understood'
    return '' if column.type == pa.string() else float('nan')


def seconds_of_faces(rows: pa.Table, rate_hz: float) -> Floats:
    """(N,) seconds that each row of `faces` stands for: until the next frame, or one period of an even rate.

    Args:
        rows: rows of `faces`.
        rate_hz: analyzed frames per second; 0 where unknown, which gives 0 seconds.
    """
    if LASTS in rows.column_names:
        return floats(rows[LASTS])
    return np.full(rows.num_rows, 1 / rate_hz if rate_hz > 0 else 0.0)


def seconds_seen(rows: pa.Table, rate_hz: float, duration_s: float) -> float:
    """Seconds of a recording with at least one face: each frame counts once, for as long as it lasts.

    Args:
        rows: rows of `faces`.
        rate_hz: analyzed frames per second; 0 where unknown, which counts the whole recording where there is a face.
        duration_s: length of the recording.
    """
    if not rows.num_rows or rate_hz <= 0:
        return float(rows.num_rows > 0) * duration_s
    _, first = np.unique(floats(rows['time_s']), return_index=True)
    return min(duration_s, float(seconds_of_faces(rows, rate_hz)[first].sum()))


def with_people(table: pa.Table, people: list[str]) -> pa.Table:
    """The table with its column `person` replaced."""
    return table.set_column(table.column_names.index('person'), 'person', text_array(people))
