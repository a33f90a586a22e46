"""From tables of measurements to opinions per step, and to the timeline's rows of each source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from affekt.analysis.fuse import Fused, Opinion, fuse
from affekt.analysis.observations import Observed, Trust
from affekt.analysis.person_series import column, rows_of
from affekt.analysis.spans import overlap
from affekt.labels import CIRCUMPLEX, EKMAN

Floats = npt.NDArray[np.float64]
Row = dict[str, object]

LEAST_SD = 0.25
"""Least deviation of any valence or arousal: two people who rate one second differ by about as much."""
MODEL_SD = 0.12
"""Deviation added to that of derived valence and arousal for what their coordinates leave out."""
PLAIN_SD = 0.3
"""Deviation of a valence or arousal whose model states none: about the residual of r = 0.6 on ratings of sd 0.38."""
_COORDINATES = np.array([CIRCUMPLEX[category] for category in EKMAN])
_Z95 = 1.959964


@dataclass(frozen=True)
class Segment:
    """What one source says about a person over one span."""

    source: str
    start_s: float
    end_s: float
    probabilities: Floats | None
    dimensions: Mapping[str, tuple[float, float]]
    """'valence' and 'arousal' to value and deviation; nan where unknown."""
    quality: float
    coverage: float
    evidence: str


def steps_of(duration_s: float, step_s: float) -> list[tuple[float, float]]:
    """The spans that a recording is fused over; the last one ends with it."""
    count = max(1, int(np.ceil(duration_s / step_s - 1e-6))) if duration_s > 0 else 0
    return [(k * step_s, min((k + 1) * step_s, duration_s)) for k in range(count)]


def face_segments(observed: Observed, person: str, steps: list[tuple[float, float]]) -> list[Segment]:
    """The mean face of each step in which the person was seen."""
    rows = rows_of(observed.faces, person, ('time_s', *EKMAN, 'valence', 'arousal', 'quality'))
    if not rows.num_rows or not steps:
        return []
    times = column(rows, 'time_s')
    step_s = steps[0][1] - steps[0][0]
    index = np.minimum((times / step_s + 1e-9).astype(np.int64), len(steps) - 1)
    shares = np.stack([column(rows, category) for category in EKMAN], axis=1)
    values = {name: column(rows, name) for name in ('valence', 'arousal', 'quality')}
    rate = observed.source.analyzed_rate_hz
    order = np.argsort(index, kind='stable')
    bounds = np.flatnonzero(np.diff(index[order])) + 1
    found = []
    for part in np.split(order, bounds):
        start, end = steps[int(index[part[0]])]
        expected = max(1.0, (end - start) * rate) if rate > 0 else 1.0
        found.append(
            _face_segment(start, end, shares[part], {k: v[part] for k, v in values.items()}, len(part) / expected)
        )
    return found


def span_segments(table: pa.Table, source: str, person: str) -> list[Segment]:
    """One segment per row of `turns` or `utterances` that belongs to the person."""
    rows = rows_of(table, person)
    names = ('start_s', 'end_s', 'quality', 'valence', 'arousal', 'valence_sd', 'arousal_sd')
    columns = {name: column(rows, name) for name in names}
    shares = np.stack([column(rows, category) for category in EKMAN], axis=1) if rows.num_rows else np.empty((0, 7))
    found = []
    for row in range(rows.num_rows):
        start, end = float(columns['start_s'][row]), float(columns['end_s'][row])
        if not (np.isfinite(start) and np.isfinite(end) and end > start):
            continue
        probabilities = _normal(shares[row])
        dimensions = {
            name: (float(columns[name][row]), _deviation(float(columns[f'{name}_sd'][row])))
            for name in ('valence', 'arousal')
        }
        quality = columns['quality'][row]
        quality = 1.0 if np.isnan(quality) else float(np.clip(quality, 0.0, 1.0))
        where = {'voice': 'turns', 'words': 'utterances'}[source]
        evidence = f'{where}:{_top(probabilities)}@{start:.2f}-{end:.2f}'
        found.append(Segment(source, start, end, probabilities, dimensions, quality, 1.0, evidence))
    return found


def fused_steps(
    segments: list[Segment], steps: list[tuple[float, float]], trust: Mapping[str, Trust]
) -> Iterator[tuple[float, float, Fused]]:
    """The pooled opinions of every step that anything was measured in."""
    by_source: dict[str, list[Segment]] = {}
    for segment in segments:
        by_source.setdefault(segment.source, []).append(segment)
    cursors = dict.fromkeys(by_source, 0)
    for start, end in steps:
        opinions = []
        for source, parts in by_source.items():
            while cursors[source] < len(parts) and parts[cursors[source]].end_s <= start:
                cursors[source] += 1
            here = []
            for part in parts[cursors[source] :]:
                if part.start_s >= end:
                    break
                here.append(part)
            opinion = _opinion(source, here, start, end, trust.get(source, Trust(1.0)))
            if opinion is not None:
                opinions.append(opinion)
        fused = fuse(opinions)
        if fused is not None:
            yield start, end, fused


def source_rows(segment: Segment, person: str) -> Iterator[Row]:
    """The timeline rows of one segment: categories, valence, arousal; for voice also 'speech'."""
    base: Row = {
        'start_s': segment.start_s, 'end_s': segment.end_s, 'person': person, 'source': segment.source,
        'coverage': segment.coverage, 'evidence': segment.evidence,
    }  # fmt: skip
    if segment.source == 'voice':
        yield {**base, 'name': 'speech', 'value': 1.0, 'confidence': segment.quality}
    if segment.probabilities is not None:
        confidence = float(segment.probabilities.max())
        for category, share in zip(EKMAN, segment.probabilities.tolist(), strict=True):
            yield {**base, 'name': category, 'value': share, 'confidence': confidence}
    for name, (value, deviation) in segment.dimensions.items():
        if np.isfinite(value):
            low, high = np.clip([value - _Z95 * deviation, value + _Z95 * deviation], -1.0, 1.0).tolist()
            yield {**base, 'name': name, 'value': value, 'confidence': segment.quality, 'low': low, 'high': high}


def fused_rows(start_s: float, end_s: float, fused: Fused, person: str) -> Iterator[Row]:
    """The timeline rows of one fused step; those that abstain have the value nan and a reason."""
    base: Row = {
        'start_s': start_s, 'end_s': end_s, 'person': person, 'source': 'fused', 'coverage': fused.coverage,
        'evidence': '; '.join(fused.evidence),
        'weights': ', '.join(f'{source} {share:.2f}' for source, share in fused.weights.items()),
    }  # fmt: skip
    if fused.probabilities is not None or fused.abstained:
        shares = fused.probabilities.tolist() if fused.probabilities is not None else [float('nan')] * len(EKMAN)
        for category, share in zip(EKMAN, shares, strict=True):
            yield {
                **base, 'name': category, 'value': share, 'confidence': fused.confidence, 'abstained': fused.abstained,
            }  # fmt: skip
    for name, dimension in (('valence', fused.valence), ('arousal', fused.arousal)):
        torn = fused.abstained == 'contradiction'
        if np.isfinite(dimension.value) or torn:
            yield {
                **base, 'name': name, 'value': dimension.value, 'low': dimension.low, 'high': dimension.high,
                'confidence': fused.confidence, 'abstained': 'contradiction' if torn else '',
            }  # fmt: skip


def _opinion(source: str, parts: list[Segment], start_s: float, end_s: float, trust: Trust) -> Opinion | None:
    """One source's segments in a step as one opinion: means weighted by shared time."""
    seconds = np.array([overlap((start_s, end_s), (part.start_s, part.end_s)) for part in parts])
    if not parts or seconds.sum() <= 0 or end_s <= start_s:
        return None
    shares = seconds / seconds.sum()
    with_categories = [k for k, part in enumerate(parts) if part.probabilities is not None]
    probabilities = None
    if with_categories:
        weights = shares[with_categories] / shares[with_categories].sum()
        probabilities = weights @ np.stack([np.asarray(parts[k].probabilities) for k in with_categories])
    dimensions = {}
    for name in ('valence', 'arousal'):
        pairs = np.array([part.dimensions[name] for part in parts])
        known = np.isfinite(pairs).all(axis=1)
        if known.any():
            dimensions[name], dimensions[f'{name}_sd'] = (shares[known] / shares[known].sum()) @ pairs[known]
    longest = parts[int(seconds.argmax())]
    measured = seconds @ np.array([part.coverage for part in parts])
    return Opinion(
        source, probabilities, **{key: float(value) for key, value in dimensions.items()},
        reliability=trust.reliability, prior=trust.prior,
        quality=float(np.clip(shares @ np.array([part.quality for part in parts]), 0.0, 1.0)),
        coverage=float(np.clip(measured / (end_s - start_s), 0.0, 1.0)), evidence=longest.evidence,
    )  # fmt: skip


def _face_segment(start_s: float, end_s: float, shares: Floats, values: Mapping[str, Floats], seen: float) -> Segment:
    """The mean of a step's frames."""
    known = ~np.isnan(shares).any(axis=1)
    probabilities = _normal(shares[known].mean(axis=0)) if known.any() else None
    dimensions = {}
    for axis, name in enumerate(('valence', 'arousal')):
        measured = values[name][~np.isnan(values[name])]
        deviation = PLAIN_SD
        if probabilities is not None:
            centre = float(probabilities @ _COORDINATES[:, axis])
            spread = float(probabilities @ (_COORDINATES[:, axis] - centre) ** 2)
            deviation = max(LEAST_SD, float(np.hypot(np.sqrt(spread), MODEL_SD)))
        dimensions[name] = (float(measured.mean()) if measured.size else float('nan'), deviation)
    quality = values['quality'][~np.isnan(values['quality'])]
    good = float(np.clip(quality.mean(), 0.0, 1.0)) if quality.size else 1.0
    evidence = f'faces:{_top(probabilities)}@{start_s:.2f}-{end_s:.2f}'
    return Segment('face', start_s, end_s, probabilities, dimensions, good, min(1.0, seen), evidence)


def _normal(shares: Floats) -> Floats | None:
    """Shares that sum to 1; None where one is missing or all are 0."""
    if np.isnan(shares).any() or shares.min() < 0 or shares.sum() <= 0:
        return None
    return np.asarray(shares / shares.sum())


def _deviation(value: float) -> float:
    return max(LEAST_SD, value) if np.isfinite(value) and value > 0 else PLAIN_SD


def _top(probabilities: Floats | None) -> str:
    """The likeliest category's name, for evidence strings; 'readings' where there is none."""
    return EKMAN[int(probabilities.argmax())] if probabilities is not None else 'readings'
