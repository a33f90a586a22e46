"""Recipes of features by name: input, model and pooling. A recipe's hash identifies its output.

A recipe is a record of plain facts with a function that opens its encoder; the encoder turns a few samples into
`Features`, or gives the reason why it cannot. Third parties pass their own `Recipe` to `extract`.

Axes: T time steps, D features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, ShapeError, UnknownNameError


@dataclass(frozen=True)
class Features:
    """Features of one sample by one recipe.

    Raises:
        ShapeError: shapes are inconsistent.
    """

    sample: str
    values: Floats32
    """(T, D) values."""
    columns: tuple[str, ...] = ()
    """(D,) column names; () where there are none."""
    times: npt.NDArray[np.float64] | None = None
    """(T,) centre of each row in seconds; None if a row is of the whole sample, or times are unknown."""
    recipe: str = ''
    """Hash of the recipe."""
    lacking: str = ''
    """Missing modality, whose columns are 0, or unreadable parts of the file; '' if nothing is missing."""

    def __post_init__(self) -> None:
        shape = self.values.shape
        fits = self.values.ndim == 2 and shape[0] > 0 and len(self.columns) in (0, shape[1])
        if not fits or (self.times is not None and self.times.shape != shape[:1]):
            times = None if self.times is None else self.times.shape
            raise ShapeError(
                expected='values (T, D) with T above 0, D column names, T times',
                came=f'{shape}, {len(self.columns)} names, times {times} for sample {self.sample!r}',
                todo='check the encoder',
            )

    def __repr__(self) -> str:
        return f'Features({self.sample!r}, {self.values.shape[0]} x {self.values.shape[1]}, recipe {self.recipe[:8]})'


@dataclass(frozen=True)
class Unable:
    """The reason why a sample has no features."""

    sample: str
    reason: str


UNREADABLE = 'unreadable: '
"""Start of the reason if a file is unreadable, as opposed to lacking what the recipe measures."""


def unreadable(sample: str, came: str) -> Unable:
    """A sample of which a file cannot be read."""
    return Unable(sample, f'{UNREADABLE}{came}')


def not_whole(outcome: Features | Unable, damage: Sequence[str]) -> Features | Unable:
    """The result of a sample, with sentences on missing or damaged parts of its file in `lacking`.

    Args:
        outcome: result from what could be read.
        damage: sentences on what could not be read; () if the file is whole.
    """
    if isinstance(outcome, Unable) or not damage:
        return outcome
    stated = [*damage[:SENTENCES], *([f'{len(damage) - SENTENCES} more'] if len(damage) > SENTENCES else [])]
    return replace(outcome, lacking='; '.join(filter(None, (outcome.lacking, f'not read whole: {"; ".join(stated)}'))))


SENTENCES = 3
"""Maximum number of sentences on the damage of one file."""

SampleEncoder = Callable[[Manifest, Sequence[Sample]], Sequence[Features | Unable]]
"""Function from a few samples of a manifest to the result of each, in order."""


def not_finite(features: Features) -> str:
    """Description of the first value of a sample that is nan or infinite; '' if there is none."""
    is_faulty = ~np.isfinite(features.values)
    if not is_faulty.any():
        return ''
    row, column = np.argwhere(is_faulty)[0]
    name = features.columns[column] if features.columns else f'column {column}'
    return f'{features.values[row, column]} in {name}, row {row}'


def outcomes(encoder: SampleEncoder, manifest: Manifest, rows: Sequence[Sample]) -> list[Features | Unable]:
    """Result of each sample, in order; an exception at one sample becomes the reason of that one alone.

    Features that are not finite are discarded: they would invalidate every mean.

    Raises:
        AffektError: an error that would recur for every sample: a missing model, a folder that cannot be written.
    """
    try:
        return [_finite(outcome) for outcome in encoder(manifest, rows)]
    except (AffektError, MemoryError):
        raise
    except Exception as error:  # libraries raise anything on unusual files
        if len(rows) == 1:
            lines = str(error).strip().splitlines() or ['']
            return [unreadable(rows[0].sample, f'{type(error).__name__}: {lines[0][:200]}')]
    return [outcome for row in rows for outcome in outcomes(encoder, manifest, [row])]


def _finite(outcome: Features | Unable) -> Features | Unable:
    if isinstance(outcome, Features) and (fault := not_finite(outcome)):
        return Unable(outcome.sample, f'features that are not finite: {fault}')
    return outcome


LEVELS: Mapping[str, str] = {'utt': 'UTT', 'frm': 'FRA'}
"""Suffix of a recipe's name to that of the official folder: one row per sample, or all rows."""
READS: Mapping[str, tuple[str, ...]] = {'text': ('text',), 'audio': ('audio', 'video'), 'video': ('video', 'frames')}
"""Modality to the columns of a manifest, one of which is sufficient."""


@dataclass(frozen=True)
class Recipe:
    """A way to compute features."""

    name: str
    modality: str
    """Modality that a sample must have: one of `READS`."""
    dimension: int
    """D, the number of features."""
    facts: Mapping[str, Any]
    """Everything that the values depend on: tool, model and its hash, rate, layer, pooling."""
    open: Callable[[Recipe], SampleEncoder] = field(compare=False, repr=False)
    """Function that loads the encoder, in the process that encodes; it must be picklable: at the top level of a module,
    or a partial of such a function."""
    columns: tuple[str, ...] = ()
    batch: int = 64
    """Samples per batch."""
    reads: tuple[str, ...] = ()
    """Columns of a manifest, one of which is sufficient; () for those of the modality."""

    def __post_init__(self) -> None:
        if self.modality not in READS:
            raise UnknownNameError(
                expected=f'one of {", ".join(READS)}', came=repr(self.modality), todo='say what the recipe reads'
            )

    @property
    def media(self) -> tuple[str, ...]:
        """Columns of a manifest that refer to the files it reads."""
        return () if self.modality == 'text' else self.reads or READS[self.modality]

    @property
    def hash(self) -> str:
        """SHA-256 of name, dimension, columns and facts."""
        parts = {'name': self.name, 'dimension': self.dimension, 'columns': self.columns, 'facts': dict(self.facts)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def features(
        self, sample: str, values: npt.ArrayLike, times: npt.NDArray[np.float64] | None = None, lacking: str = ''
    ) -> Features:
        """Values of a sample as features of this recipe; (D,) means one row."""
        rows = np.atleast_2d(np.asarray(values, dtype=np.float32))
        return Features(sample, rows, self.columns, times, self.hash, lacking)
