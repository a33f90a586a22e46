"""Recovery of known curves: the concordance of each curve, over all frames of all videos together.

Task: curves of V videos, such as commanded intensities, and a model's estimates, both (T, K) per video. Every frame
counts, also those without a visible face. Intervals resample whole videos: give the measure to `frame_intervals`.

Axes: V videos, T frames of a video, K curves, R draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics.frames import FrameMeasure
from affekt.metrics.intervals import CORRELATION
from affekt.metrics.measures import correlations

_MOMENTS = 6
"""Sums per curve: n, t, p, tt, pp, tp; see `correlations`."""


def curve_measure(
    truth: Sequence[npt.NDArray[np.floating]], prediction: Sequence[npt.NDArray[np.floating]], names: Sequence[str]
) -> FrameMeasure:
    """Measure of `ccc`, the mean concordance of all curves, and of `ccc NAME` for each; videos without frames drop out.

    A curve that is constant and equal in truth and prediction has no concordance and is left out of the mean.

    Args:
        truth: (T, K) of each video.
        prediction: (T, K) of each video.
        names: names of the K curves.

    Raises:
        ShapeError: the two sides differ in shape, or there are not K names.
        ValueRangeError: a value is not finite.
    """
    shapes, predicted_shapes = ([curves.shape for curves in side] for side in (truth, prediction))
    if shapes != predicted_shapes or any(len(shape) != 2 or shape[1] != len(names) for shape in shapes):
        raise ShapeError(
            expected=f'truth and prediction (T, {len(names)}) of the same videos',
            came=f'{shapes[:2]} … and {predicted_shapes[:2]} …',
            todo='give a row for every frame on both sides',
        )  # fmt: skip
    if not all(np.isfinite(side).all() for side in (*truth, *prediction)):
        raise ValueRangeError(
            expected='finite curves', came='nan or infinity', todo='give every frame a value on both sides'
        )
    rows = []
    for true, predicted in zip(truth, prediction, strict=True):
        t, p = true.astype(np.float64), predicted.astype(np.float64)
        sums = [side.sum(axis=0) for side in (np.ones_like(t), t, p, t * t, p * p, t * p)]
        rows.append(np.concatenate(sums))
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), _MOMENTS * len(names))

    def statistic(sums: Floats) -> dict[str, Floats]:
        moments = sums.reshape(len(sums), _MOMENTS, len(names))  # (R, 6, K)
        by_name = {}
        for curve, name in enumerate(names):
            n, *others = (moments[:, index, curve] for index in range(_MOMENTS))
            by_name[f'ccc {name}'] = correlations(n, others, 0.0)['concordance']
        scores = np.array(list(by_name.values())).reshape(len(names), len(sums))
        defined = ~np.isnan(scores)
        mean = np.where(defined.any(axis=0), np.nansum(scores, axis=0) / np.maximum(defined.sum(axis=0), 1), np.nan)
        return {'ccc': mean, **by_name}

    sizes = np.array([shape[0] for shape in shapes], dtype=np.int64)
    filled = np.flatnonzero(sizes)
    bounds = {'ccc': CORRELATION, **{f'ccc {name}': CORRELATION for name in names}}
    return FrameMeasure(columns[filled], statistic, bounds, sizes[filled], filled, len(shapes))
