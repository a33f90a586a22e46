"""What the rooms observed in one recording, before anything is concluded: four tables on one clock, and their trust."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from affekt.analysis.records import ModelUse, Source, Spoken
from affekt.labels import EKMAN, GOEMOTIONS
from affekt.people import Returned
from affekt.tables import arrow_array, empty_table, text_array

_MEASURES = [(category, pa.float64()) for category in EKMAN]
_MEASURES += [(name, pa.float64()) for name in ('valence', 'arousal', 'quality')]
_DEVIATIONS = [(name, pa.float64()) for name in ('valence_sd', 'arousal_sd')]

FACES = pa.schema([('time_s', pa.float64()), ('person', pa.string()), *_MEASURES])
"""Least columns of the table `faces`: one row per person and analyzed frame in which the face was seen. EKMAN
categories are probabilities, nan where only the landmarks could be read; quality in [0, 1]. Further columns are
readings."""

TURNS = pa.schema([
    ('start_s', pa.float64()), ('end_s', pa.float64()), ('person', pa.string()), *_MEASURES, *_DEVIATIONS,
    ('unfamiliarity', pa.float64()), ('abstains_because', pa.string()), ('is_loud_voice', pa.bool_()),
    ('liveliness', pa.float64()),
])  # fmt: skip
"""Least columns of `turns`: one row per stretch of speech; categories nan where vocal emotion abstains.

unfamiliarity: in [0, 1], how unlike the speech that the head learned from. abstains_because: '', 'unsure' or
'unfamiliar'; such a turn counts for arousal alone. is_loud_voice: found by loud periodic voicing, not by the speech
detector. arousal: absolute; liveliness: against this person's own usual, in [-1, 1], told and not fused."""

VOICE = pa.schema([('time_s', pa.float64()), ('loudness_db', pa.float64()), ('f0_hz', pa.float64())])
"""Least columns of `voice`: ten rows per second of speech."""

GOEMOTION_COLUMNS = tuple(f'goemotions.{label}' for label in GOEMOTIONS)

UTTERANCES = pa.schema([
    ('start_s', pa.float64()), ('end_s', pa.float64()), ('person', pa.string()), ('speaker', pa.string()),
    ('text', pa.string()), *_MEASURES, *_DEVIATIONS, *[(name, pa.float64()) for name in GOEMOTION_COLUMNS],
    ('is_understood', pa.bool_()), ('language', pa.string()), ('reason', pa.string()),
])  # fmt: skip
"""Least columns of `utterances`: one row per utterance; `goemotions.…` are independent probabilities.

is_understood: what is not, is shown and takes no part in anything. language: BCP-47 or ''. reason: '' or why the
utterance is not read."""

SCHEMAS: Mapping[str, pa.Schema] = {'faces': FACES, 'turns': TURNS, 'voice': VOICE, 'utterances': UTTERANCES}
MOUTH_COLUMNS = ('jaw_open', 'mouth_opening')
"""Columns of `faces` that tell how far the mouth is open; the first that exists is read."""


@dataclass(frozen=True)
class Trust:
    """How far a source's model is to be believed, in each of the quantities that it states.

    reliability: how much of its advantage over chance survives outside its training data, in [0, 1], for categories.
    prior: shares of the categories that it was trained for; None where each counted the same. valence, arousal: as
    reliability, for these; None for the same. valence_bias_sd, arousal_bias_sd: by how much the model is off for one
    person over a whole recording, as a standard deviation: that part of its error does not average out.
    """

    reliability: float
    prior: Mapping[str, float] | None = None
    valence: float | None = None
    arousal: float | None = None
    valence_bias_sd: float = 0.0
    arousal_bias_sd: float = 0.0


@dataclass(frozen=True)
class Observed:
    """Everything that was measured.

    Tables have at least the columns of SCHEMAS; `person` is '' in turns and utterances until somebody is found.
    """

    source: Source
    faces: pa.Table = field(default_factory=lambda: empty_table(FACES))
    turns: pa.Table = field(default_factory=lambda: empty_table(TURNS))
    voice: pa.Table = field(default_factory=lambda: empty_table(VOICE))
    utterances: pa.Table = field(default_factory=lambda: empty_table(UTTERANCES))
    spoken: tuple[Spoken, ...] = ()
    """The utterances with their words, in the order of the table."""
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    """Person to JPEG."""
    returned: Mapping[str, Returned] = field(default_factory=dict)
    """Person to what was put together, for those who left the picture and came back."""
    speakers: tuple[str, ...] = ()
    """Who speaks in each turn by voice alone, where nobody is seen: '' where it is not sure, none where not asked."""
    trust: Mapping[str, Trust] = field(default_factory=dict)
    """Source ('face', 'voice', 'words') to how far it is believed; an absent one counts in full."""
    models: tuple[ModelUse, ...] = ()
    still_at: Callable[[float], bytes | None] = lambda time_s: None
    """The JPEG of what is on screen at a time; None where pictures are not kept."""

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The four tables by name."""
        return {'faces': self.faces, 'turns': self.turns, 'voice': self.voice, 'utterances': self.utterances}


def conform(table: pa.Table, name: str) -> pa.Table:
    """The table with the least columns of SCHEMAS[name] first, absent ones filled with nan, '' or False (True for
    `is_understood`), others behind.

    Number columns are made float32 where they were narrower, else float64; the least columns are float64.
    """
    columns: dict[str, pa.Array] = {}
    for part in SCHEMAS[name]:
        if part.name in table.column_names:
            columns[part.name] = table[part.name].cast(part.type)
        else:
            columns[part.name] = arrow_array([_filler(part)] * table.num_rows, part.type)
    for part in table.schema:
        columns.setdefault(part.name, table[part.name])
    return pa.table(columns)


def _filler(part: pa.Field) -> object:
    """What an absent column is filled with: nan, '', or that nothing is out of the ordinary."""
    if part.type == pa.bool_():
        return part.name == 'is_understood'
    return '' if part.type == pa.string() else float('nan')


def with_people(table: pa.Table, people: list[str]) -> pa.Table:
    """The table with its column `person` replaced."""
    return table.set_column(table.column_names.index('person'), 'person', text_array(people))
