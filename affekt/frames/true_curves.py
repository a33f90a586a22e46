"""The commanded curves of every frame of a synthetic corpus, from `key/curves.parquet`.

T frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import TableError
from affekt.frames.labels import EXPRESSIONS
from affekt.frames.units import UNIT_SHAPES, unit_amounts
from affekt.tables import require_bounded

STATES = ('seen', 'away', 'covered')
"""States of a person's face in a frame."""


class TrueCurves(NamedTuple):
    """The commanded curves of one video."""

    affect: Floats32
    """(T, 2) valence and arousal without a rater's noise or delay."""
    expression: Floats32
    """(T, 7) intensity of each of EXPRESSIONS except the first, in [0, 1]."""
    units: Floats32
    """(T, 12) half of `affekt.frames.unit_amounts`, at most 1: a unit is active from 0.5 on."""
    is_seen: npt.NDArray[np.bool_]
    """(T,) False where the person is away or covered."""


def true_curves(path: Path) -> dict[str, TrueCurves]:
    """The curves of every video of a synthetic Aff-Wild2, from `key/curves.parquet`.

    Raises:
        TableError: it is not such a file.
    """
    from pyarrow import ArrowException, parquet

    intensities = [f'shows_{name.lower()}' for name in EXPRESSIONS[1:]]
    try:
        require_bounded(path)
        table = parquet.read_table(path, columns=['video', 'state', 'valence', 'arousal', *intensities, *UNIT_SHAPES])
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
    except (ArrowException, OSError, ValueError) as error:
        raise TableError(
            expected='curves.parquet of a synthetic Aff-Wild2', came=f'{path}: {error}', todo='give the file in its key'
        ) from error
    affect = np.stack([columns['valence'], columns['arousal']], axis=1)
    expression = np.stack([columns[name] for name in intensities], axis=1)
    units = np.clip(unit_amounts(columns) / 2, 0, 1).astype(np.float32)
    curves = {}
    for name in dict.fromkeys(columns['video'].tolist()):
        rows = columns['video'] == name
        curves[name] = TrueCurves(affect[rows], expression[rows], units[rows], columns['state'][rows] == STATES[0])
    return curves
