"""Which of the faces of a video are those of the person that is meant: on one side, or the one who fills most.

Frame annotations name a person by the side of the picture, `video_left` and `video_right` for a video of two, as the
viewer sees it. Followed faces get a new name after a cut or an absence; what belongs together is put together here.

N rows of faces, one a person and frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError
from affekt.frames.labels import SIDES


def rows_of_person(
    people: Sequence[str], times_s: npt.ArrayLike, boxes: npt.ArrayLike, width: float, side: str = ''
) -> npt.NDArray[np.bool_]:
    """Which rows show the person that is meant; at most one in a frame.

    1. With a side, faces are divided at the middle between the two largest faces of the frames that show two or more;
       where no frame does, at the middle of the picture. A name is on the side where most of its rows are.
    2. Of the names that are left, the one that fills most is taken, and then, by how much they fill, those that are
       never seen in a frame together with a taken one: the same person, followed anew.

    Args:
        people: N names, as followed.
        times_s: (N,) of the frames.
        boxes: (N, 4) x, y, width, height in pixels.
        width: of the picture, pixels.
        side: 'left' or 'right' of the picture; '' for whoever fills most.

    Returns:
        (N,) True where a row is theirs.

    Raises:
        ShapeError: shapes do not fit.
        UnknownNameError: no such side.
    """
    if side and side not in SIDES:
        raise UnknownNameError(expected=f'{" or ".join(SIDES)}, or nothing', came=repr(side), todo='name a side')
    names, times, places = np.asarray(people, dtype=object), np.asarray(times_s), np.asarray(boxes, dtype=np.float64)
    if times.shape != names.shape or places.shape != (*names.shape, 4):
        raise ShapeError(
            expected='N names, N times and boxes (N, 4)', came=f'{names.shape}, {times.shape}, {places.shape}',
            todo='give a row for each face',
        )  # fmt: skip
    meant = {name: names == name for name in dict.fromkeys(names.tolist())}
    centers, areas = places[:, 0] + places[:, 2] / 2, places[:, 2] * places[:, 3]
    if side:
        is_left = centers < _divide(times, centers, areas, width)
        meant = {name: rows for name, rows in meant.items() if (is_left[rows].mean() >= 0.5) == (side == 'left')}
    theirs = np.zeros(len(names), dtype=np.bool_)
    for rows in sorted(meant.values(), key=lambda rows: -float(areas[rows].sum())):
        if not np.isin(times[rows], times[theirs]).any():
            theirs |= rows
    return theirs


def _divide(
    times: npt.NDArray[np.float64], centers: npt.NDArray[np.float64], areas: npt.NDArray[np.float64], width: float
) -> float:
    """Where left ends and right begins, pixels from the left."""
    middles = []
    order = np.lexsort((-areas, times))
    for frame in np.split(order, np.flatnonzero(np.diff(times[order]) > 0) + 1):
        if len(frame) >= 2:
            middles.append(centers[frame[:2]].mean())
    return float(np.median(middles)) if middles else width / 2
