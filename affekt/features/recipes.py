"""How features are made, by name: what is read, by which model, pooled how. A recipe's hash names its output.

A recipe is a record of plain facts, and a function that opens its encoder; the encoder turns a few samples into
`Features`, or says why it cannot. Third parties pass their own `Recipe` to `extract`.

T rows in time, D columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, ShapeError, UnknownNameError


@dataclass(frozen=True)
class Features:
    """What one recipe says of one sample.

    Raises:
        ShapeError: shapes do not fit together.
    """

    sample: str
    values: Floats32
    """(T, D)"""
    columns: tuple[str, ...] = ()
    """(D,) names; empty where columns have none."""
    times: npt.NDArray[np.float64] | None = None
    """(T,) seconds of each row, its middle; None where a row stands for the whole sample, or nobody knows."""
    recipe: str = ''
    """The recipe's hash."""
    lacking: str = ''
    """What of the sample was not there, so that its columns are 0, and why; '' where all was."""

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
    """Why there are no features of a sample."""

    sample: str
    reason: str


SampleEncoder = Callable[[Manifest, Sequence[Sample]], Sequence[Features | Unable]]
"""From a few samples of a manifest to what became of each, in order."""


def not_finite(features: Features) -> str:
    """The first value of a sample that is nan or infinite, in words; '' where there is none."""
    wrong = ~np.isfinite(features.values)
    if not wrong.any():
        return ''
    row, column = np.argwhere(wrong)[0]
    name = features.columns[column] if features.columns else f'column {column}'
    return f'{features.values[row, column]} in {name}, row {row}'


def outcomes(encoder: SampleEncoder, manifest: Manifest, rows: Sequence[Sample]) -> list[Features | Unable]:
    """What became of each sample, in order; whatever ends the encoder on one of them is the reason of that one alone.

    A sample whose features are not finite has none, for that reason: they would spoil every mean that they enter.

    Raises:
        AffektError: what would meet every sample: a model that is missing, a folder that cannot be written.
    """
    try:
        return [_finite(outcome) for outcome in encoder(manifest, rows)]
    except (AffektError, MemoryError):
        raise
    except Exception as error:  # what a library does with a file that nobody has seen has no common class
        if len(rows) == 1:
            lines = str(error).strip().splitlines() or ['']
            return [Unable(rows[0].sample, f'{type(error).__name__}: {lines[0][:200]}')]
    return [outcome for row in rows for outcome in outcomes(encoder, manifest, [row])]


def _finite(outcome: Features | Unable) -> Features | Unable:
    if isinstance(outcome, Features) and (wrong := not_finite(outcome)):
        return Unable(outcome.sample, f'features that are not finite: {wrong}')
    return outcome


LEVELS: Mapping[str, str] = {'utt': 'UTT', 'frm': 'FRA'}
"""Ending of a recipe's name to that of the official folder: one row a sample, or all rows."""
READS: Mapping[str, tuple[str, ...]] = {'text': ('text',), 'audio': ('audio', 'video'), 'video': ('video', 'frames')}
"""Modality to the columns of a manifest, of which one will do."""


@dataclass(frozen=True)
class Recipe:
    """One way to make features."""

    name: str
    modality: str
    """What a sample must have: one of `READS`."""
    dimension: int
    """D"""
    facts: Mapping[str, Any]
    """All that the values depend on: tool, model and its hash, rate, layer, pooling."""
    open: Callable[[Recipe], SampleEncoder] = field(compare=False, repr=False)
    """Loads what this recipe needs, in the process that encodes; a function at the top of a module or a partial of one,
    so that other processes find it."""
    columns: tuple[str, ...] = ()
    batch: int = 64
    """Samples at once."""
    reads: tuple[str, ...] = ()
    """Columns of a manifest that are read, of which one will do; () for those of the modality."""

    def __post_init__(self) -> None:
        if self.modality not in READS:
            raise UnknownNameError(
                expected=f'one of {", ".join(READS)}', came=repr(self.modality), todo='say what the recipe reads'
            )

    @property
    def media(self) -> tuple[str, ...]:
        """Columns of a manifest that name the files it reads."""
        return () if self.modality == 'text' else self.reads or READS[self.modality]

    @property
    def hash(self) -> str:
        """The sha256 of name, dimension, columns and facts."""
        parts = {'name': self.name, 'dimension': self.dimension, 'columns': self.columns, 'facts': dict(self.facts)}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def features(
        self, sample: str, values: npt.ArrayLike, times: npt.NDArray[np.float64] | None = None, lacking: str = ''
    ) -> Features:
        """Values of a sample as features of this recipe; (D,) stands for one row."""
        rows = np.atleast_2d(np.asarray(values, dtype=np.float32))
        return Features(sample, rows, self.columns, times, self.hash, lacking)
