"""Selection of the annotated person among a video's faces: on one side, or the largest.

Frame annotations name a person by the side of the image, `video_left` and `video_right` in a video of two, as the
viewer sees it. Tracked faces get new names after a cut or an absence; here they are joined.

N rows of faces, one per person and frame.
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
    """The rows of the annotated person; at most one per frame.

    1. With a side, faces are divided at the middle between the two largest faces of frames with two or more;
       without such frames, at the middle of the image. A name belongs to the side with most of its rows.
    2. Of the remaining names, the one that fills most area is chosen, then, in order of area, those
       never in a frame together with a chosen one: the same person, tracked again.

    Args:
        people: N names, as tracked.
        times_s: (N,) times of the frames.
        boxes: (N, 4) x, y, width, height in pixels.
        width: width of the image in pixels.
        side: 'left' or 'right' of the image; '' for the largest face.

    Returns:
        (N,) True for the person's rows.

    Raises:
        ShapeError: shapes do not match.
        UnknownNameError: unknown side.
    """
    if side and side not in SIDES:
        raise UnknownNameError(expected=f'{" or ".join(SIDES)}, or nothing', came=repr(side), todo='name a side')
    names, times, box_array = np.asarray(people, dtype=object), np.asarray(times_s), np.asarray(boxes, dtype=np.float64)
    if times.shape != names.shape or box_array.shape != (*names.shape, 4):
        raise ShapeError(
            expected='N names, N times and boxes (N, 4)', came=f'{names.shape}, {times.shape}, {box_array.shape}',
            todo='give a row for each face',
        )  # fmt: skip
    rows_by_name = {name: names == name for name in dict.fromkeys(names.tolist())}
    centers, areas = box_array[:, 0] + box_array[:, 2] / 2, box_array[:, 2] * box_array[:, 3]
    if side:
        is_left = centers < _divide(times, centers, areas, width)
        rows_by_name = {
            name: rows for name, rows in rows_by_name.items() if (is_left[rows].mean() >= 0.5) == (side == 'left')
        }
    is_person = np.zeros(len(names), dtype=np.bool_)
    for rows in sorted(rows_by_name.values(), key=lambda rows: -float(areas[rows].sum())):
        if not np.isin(times[rows], times[is_person]).any():
            is_person |= rows
    return is_person


def _divide(
    times: npt.NDArray[np.float64], centers: npt.NDArray[np.float64], areas: npt.NDArray[np.float64], width: float
) -> float:
    """The border between left and right, in pixels from the left edge."""
    middles = []
    order = np.lexsort((-areas, times))
    for frame in np.split(order, np.flatnonzero(np.diff(times[order]) > 0) + 1):
        if len(frame) >= 2:
            middles.append(centers[frame[:2]].mean())
    return float(np.median(middles)) if middles else width / 2
