"""A person's course as stretches with one label each: 'sad until 0:06, unclear, happy from 0:10'.

The labels are the likeliest path through the fused steps (Viterbi): each second contributes the logarithm of its
probability, and each change of label costs as much as a few clear seconds:

    sum over steps t of seconds_t * log p_t(label_t)  -  CHANGE_COST * changes

`unclear` is a label like the others: it contributes log(1/7), the value of chance, where a step states categories, and
beats all of them where a step abstains. So a blip is not a stretch, a flicker between two labels is one stretch, and a
step counts by its length. A stretch shorter than `least_stretch_s` joins its neighbour, and every stretch takes the
label of its own mean. A stretch among several is named only if its label is likelier than all others together; a single
stretch, if its probability is at least UNSURE_BELOW. T steps, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from affekt.analysis.fuse import UNSURE_BELOW
from affekt.analysis.person_series import PersonSeries, time_mean
from affekt.analysis.records import UNCLEAR, Stretch
from affekt.arrays import Bools, Floats, Ints
from affekt.labels import EKMAN

CHANGE_COST = 2.0
"""Nats that a change of label costs: it pays after two seconds of 0.7 against 0.26, or one of 0.8 against 0.1."""
ABSTAINING = 1.0
"""Nats per second by which an abstaining step supports `unclear`."""
LEAST_OF_PART = 0.5
"""Least mean probability of the label of one stretch among several."""
LEAST_STRETCH_S = 2.0
"""Shortest stretch of a short course in seconds."""
LEAST_SHARE, MOST_LEAST_S = 0.05, 10.0
"""Shortest stretch of a long course as a share of its length, and the upper bound of that in seconds."""
BRIDGED_S = 5.0
"""Longest gap in seconds within a stretch, such as a pause between turns; longer gaps end it."""
FACE_GAP_S = 0.6
"""A face unseen for longer than this is not known to have done the same in between."""
_LEAST_PROBABILITY = 1e-4
"""Probabilities below this count as this much, so that their logarithm is finite."""


def course_of(series: PersonSeries) -> tuple[Stretch, ...]:
    """The stretches of a person's fused steps, sorted by time, without valence and arousal; () for no steps.

    1. Cut at long gaps. 2. Find the likeliest labels of each piece. 3. Join short stretches.
    4. Label each stretch by its mean, and join equal neighbours. 5. Where several are left, withdraw guesses.
    """
    if not len(series):
        return ()
    least_s = least_stretch_s(float(series.end_s[-1] - series.start_s[0]))
    pieces = [series.where(_within(len(series), first, last)) for first, last in _pieces(series)]
    edges = [_edges(piece, least_s) for piece in pieces]
    for least in (UNSURE_BELOW, LEAST_OF_PART):
        edges = [_without_equal_neighbours(*piece, least) for piece in zip(pieces, edges, strict=True)]
        stretches = [part for piece in zip(pieces, edges, strict=True) for part in _stretches(*piece, least)]
        if len({part.label for part in stretches}) == 1:
            # A single stretch needs only UNSURE_BELOW, also where it is left after guesses were withdrawn.
            stretches = [part for piece in zip(pieces, edges, strict=True) for part in _stretches(*piece, UNSURE_BELOW)]
            return tuple(stretches)
    edges = [_with_abstaining_ends_moved(*piece, least_s) for piece in zip(pieces, edges, strict=True)]
    return tuple(part for piece in zip(pieces, edges, strict=True) for part in _stretches(*piece, LEAST_OF_PART))


def least_stretch_s(whole_s: float) -> float:
    """The shortest reported stretch, in seconds, of a course of this length."""
    return float(np.clip(LEAST_SHARE * whole_s, LEAST_STRETCH_S, MOST_LEAST_S))


def steps_within(series: PersonSeries, stretch: Stretch) -> Bools:
    """(T,) True for the steps within a stretch."""
    return np.asarray((series.start_s >= stretch.start_s - 1e-9) & (series.end_s <= stretch.end_s + 1e-9))


def _pieces(series: PersonSeries) -> list[tuple[int, int]]:
    """Steps [first, last) between gaps longer than BRIDGED_S."""
    cuts = (np.flatnonzero(series.start_s[1:] - series.end_s[:-1] > BRIDGED_S) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(series)], strict=True))


def _within(count: int, first: int, last: int) -> Bools:
    return np.asarray((np.arange(count) >= first) & (np.arange(count) < last))


def _edges(series: PersonSeries, least_s: float) -> list[int]:
    """The steps at which the stretches of a path without long gaps begin, and its end."""
    labels = _likeliest_labels(_label_values(series))
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(series)]
    return _without_short(series, edges, least_s)


def _stretches(series: PersonSeries, edges: Sequence[int], least: float) -> list[Stretch]:
    return [_stretch(series, first, last, least) for first, last in pairwise(edges)]


def _without_equal_neighbours(series: PersonSeries, edges: list[int], least: float) -> list[int]:
    """The edges without those between stretches of one label, and the end."""
    while len(firsts := _first_of_each_run(_stretches(series, edges, least))) < len(edges) - 1:
        edges = [edges[k] for k in firsts] + [len(series)]
    return edges


def _with_abstaining_ends_moved(series: PersonSeries, edges: list[int], least_s: float) -> list[int]:
    """The edges, moved so that abstaining steps at either end of a named stretch go to an unclear neighbour."""
    has_categories = np.asarray(np.isfinite(series.probabilities).all(axis=1))
    stretches = _stretches(series, edges, LEAST_OF_PART)
    edges = list(edges)
    for k, (before, after) in enumerate(pairwise(stretches), 1):
        if (before.label == UNCLEAR) == (after.label == UNCLEAR):
            continue
        direction, offset = (1, 0) if before.label == UNCLEAR else (-1, -1)
        first, last = (k, k + 1) if direction > 0 else (k - 1, k)
        while (
            not has_categories[edges[k] + offset]
            and _duration_s(series, edges[first] + (direction > 0), edges[last] - (direction < 0)) >= least_s
        ):
            edges[k] += direction
    return edges


def _duration_s(series: PersonSeries, first: int, last: int) -> float:
    """Seconds from the start of the first step to the end of the last; 0 for no steps."""
    return float(series.end_s[last - 1] - series.start_s[first]) if last > first else 0.0


def _first_of_each_run(stretches: Sequence[Stretch]) -> list[int]:
    """Indices of the stretches whose label differs from the previous one's."""
    return [k for k in range(len(stretches)) if k == 0 or not _has_same_label(stretches[k - 1], stretches[k])]


def _has_same_label(stretch: Stretch, other: Stretch) -> bool:
    return (stretch.label, stretch.reason) == (other.label, other.reason)


def _label_values(series: PersonSeries) -> Floats:
    """(T, K + 1) value of each label in each step in nats; `unclear` is last."""
    has_categories = np.isfinite(series.probabilities).all(axis=1)
    values = np.zeros((len(series), len(EKMAN) + 1))
    values[has_categories, :-1] = np.log(np.maximum(series.probabilities[has_categories], _LEAST_PROBABILITY))
    values[has_categories, -1] = -np.log(len(EKMAN))
    values[~has_categories, -1] = ABSTAINING
    return np.asarray(values * (series.end_s - series.start_s)[:, None])


def _likeliest_labels(values: Floats) -> Ints:
    """(T,) labels of the path with the largest total value minus the cost of changes; the first of equals."""
    total = values[0]
    previous = np.zeros(values.shape, dtype=np.int64)
    for t in range(1, len(values)):
        best = int(total.argmax())
        changed = total[best] - CHANGE_COST
        previous[t] = np.where(total >= changed, np.arange(values.shape[1]), best)
        total = np.maximum(total, changed) + values[t]
    labels = np.zeros(len(values), dtype=np.int64)
    labels[-1] = int(total.argmax())
    for t in range(len(values) - 1, 0, -1):
        labels[t - 1] = previous[t, labels[t]]
    return labels


def _without_short(series: PersonSeries, edges: list[int], least_s: float) -> list[int]:
    """Edges between stretches of at least `least_s`: the shortest joins the longer of its neighbours first."""
    edges = list(edges)
    while len(edges) > 2:
        lengths = [float(series.end_s[b - 1] - series.start_s[a]) for a, b in pairwise(edges)]
        shortest = int(np.argmin(lengths))
        if lengths[shortest] >= least_s - 1e-9:
            break
        joins_later = shortest == 0 or (shortest + 1 < len(lengths) and lengths[shortest + 1] > lengths[shortest - 1])
        del edges[shortest + 1 if joins_later else shortest]
    return edges


def _stretch(series: PersonSeries, first: int, last: int, least: float) -> Stretch:
    """Steps [first, last) as a stretch with the label of their mean, if that is at least as probable as `least`."""
    inside = slice(first, last)
    seconds = series.seconds[inside]
    shares = time_mean(series.probabilities[inside], seconds)
    has_categories = np.isfinite(series.probabilities[inside]).all(axis=1)
    lengths = (series.end_s - series.start_s)[inside]
    start, end = float(series.start_s[first]), float(series.end_s[last - 1])
    is_mostly_stated = lengths[has_categories].sum() >= lengths.sum() / 2
    if is_mostly_stated and float(shares.max()) >= least:
        best = int(shares.argmax())
        return Stretch(start, end, EKMAN[best], round(float(shares[best]), 4))
    is_clear = np.nan_to_num(series.probabilities[inside]).max(axis=1) >= LEAST_OF_PART
    is_mixed = lengths[is_clear].sum() > lengths.sum() / 2 and float(shares.max()) < UNSURE_BELOW
    contradiction_s = float(lengths[series.abstained[inside] == 'contradiction'].sum())
    reason = 'contradiction' if contradiction_s > lengths.sum() / 2 else 'mixed' if is_mixed else 'unsure'
    return Stretch(start, end, UNCLEAR, None, reason=reason)


def breaks_of(ends: Floats, starts: Floats, most_s: float) -> Bools:
    """(T,) True for steps that follow a gap longer than `most_s` seconds; never the first.

    Args:
        ends: (T - 1,) end of each step but the last, seconds.
        starts: (T - 1,) start of each step but the first, seconds.
        most_s: longest gap within a run.
    """
    return np.concatenate([[False], starts - ends > most_s])


def breaks_of_frames(times: Floats) -> Bools:
    """(N,) True for frames that follow a gap longer than FACE_GAP_S and than 2.5 median frame intervals."""
    steps = np.diff(times)
    return breaks_of(times[:-1], times[1:], max(FACE_GAP_S, 2.5 * float(np.median(steps)) if steps.size else 0.0))


def runs_of(flags: Bools, sides: Floats, breaks: Bools) -> list[tuple[int, int]]:
    """[first, last) of each run of True with constant `sides` and without a break; all three are (T,)."""
    runs, start = [], -1
    for t in range(len(flags) + 1):
        inside = t < len(flags) and bool(flags[t])
        if start >= 0 and (not inside or sides[t] != sides[start] or breaks[t]):
            runs.append((start, t))
            start = -1
        if inside and start < 0:
            start = t
    return runs


def runs_in_time(times: Floats, flags: Bools, least_s: float) -> list[tuple[float, float]]:
    """First and last time of each run of True of at least `least_s`; a gap ends a run.

    Args:
        times: (N,) of frames, ascending, seconds.
        flags: (N,).
        least_s: 0 takes single frames too.
    """
    runs = runs_of(flags, np.zeros(len(flags)), breaks_of_frames(times))
    spans = [(float(times[first]), float(times[last - 1])) for first, last in runs]
    return [(start, end) for start, end in spans if end - start >= least_s]


def step_sizes(values: Floats, side: int) -> Floats:
    """(T,) mean of the `side` values from t on minus mean of those before t; 0 where either side lacks values."""
    sizes = np.zeros(len(values))
    for t in range(side, len(values) - side + 1):
        before, after = values[t - side : t], values[t : t + side]
        if not (np.isnan(before).any() or np.isnan(after).any()):
            noise = np.sqrt((before.var() + after.var()) / 2) + 0.02
            size = float(after.mean() - before.mean())
            sizes[t] = size if abs(size) >= 1.5 * noise else 0.0
    return sizes


def local_maxima(values: Floats, side: int) -> list[int]:
    """Indices of values that are positive and the largest within `side` on either side; the first of equals."""
    indices = []
    for t in np.flatnonzero(values > 0).tolist():
        low = max(0, t - side)
        window = values[low : t + side + 1]
        if int(window.argmax()) + low == t:
            indices.append(t)
    return indices
