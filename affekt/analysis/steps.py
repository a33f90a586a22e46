"""Tables of measurements to opinions, and opinions to a person's fused series and the timeline's rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from affekt.analysis.fuse import Dimension, Fused, Opinion, fuse
from affekt.analysis.observations import LASTS, Observed, Trust, seconds_of_faces
from affekt.analysis.person_series import DIMENSIONS, WEIGHTED, PersonSeries, column, rows_of, time_mean
from affekt.analysis.rows import rows_by_name
from affekt.analysis.timeline import Span, overlap
from affekt.arrays import Floats
from affekt.faces import readable_share
from affekt.labels import EKMAN, affect_sd

LEAST_SD = 0.25
"""Minimum standard deviation of valence or arousal: about the difference between two raters of one second."""
PLAIN_SD = 0.3
"""Standard deviation of a valence or arousal whose model gives none: about the residual of r = 0.6 on ratings of
standard deviation 0.38."""
_Z95 = 1.959964


def steps_of(duration_s: float, step_s: float) -> list[Span]:
    """The steps in which a recording is fused; the last one ends with it."""
    count = max(1, int(np.ceil(duration_s / step_s - 1e-6))) if duration_s > 0 else 0
    return [(index * step_s, min((index + 1) * step_s, duration_s)) for index in range(count)]


def opinions_of(observed: Observed, person: str, steps: Sequence[Span]) -> list[Opinion]:
    """The opinions of each source about a person, ordered by source and time."""
    trust = {source: observed.trust.get(source, Trust(1.0)) for source in WEIGHTED}
    return [
        *_face_opinions(observed, person, steps, trust['face']),
        *_span_opinions(observed.turns, 'turns', 'voice', person, trust['voice']),
        *_span_opinions(observed.utterances, 'utterances', 'words', person, trust['words']),
    ]


def fused_series(person: str, opinions: Sequence[Opinion], steps: Sequence[Span]) -> PersonSeries:
    """The pooled opinions of every step with a measurement.

    Args:
        person: person of the opinions.
        opinions: opinions of that person, by `opinions_of`.
        steps: steps in order, without overlap.
    """
    by_source: dict[str, list[Opinion]] = {}
    for opinion in opinions:
        by_source.setdefault(opinion.source, []).append(opinion)
    cursors = dict.fromkeys(by_source, 0)
    measured: list[tuple[Span, Fused]] = []
    for start, end in steps:
        step_opinions = []
        for source, source_opinions in by_source.items():
            while cursors[source] < len(source_opinions) and source_opinions[cursors[source]].end_s <= start:
                cursors[source] += 1
            overlapping = []
            for candidate in source_opinions[cursors[source] :]:
                if candidate.start_s >= end:
                    break
                overlapping.append(candidate)
            mean = _mean_opinion(overlapping, start, end)
            if mean is not None:
                step_opinions.append(mean)
        fused = fuse(step_opinions)
        if fused is not None:
            measured.append(((start, end), fused))
    return _series(person, measured)


def opinion_rows(opinions: Sequence[Opinion], person: str) -> pa.Table:
    """The timeline's rows of one person's opinions: categories, valence, arousal; for voice also 'speech' and, where a
    person has several turns, 'liveliness'."""
    ones = np.ones(len(opinions), dtype=bool)
    shares = np.array([_or_nan(opinion.probabilities) for opinion in opinions]).reshape(-1, len(EKMAN))  # (N, 7)
    quality = np.array([opinion.quality for opinion in opinions])
    source = np.array([opinion.source for opinion in opinions], dtype=object)
    shared = {
        'start_s': np.array([opinion.start_s for opinion in opinions]),
        'end_s': np.array([opinion.end_s for opinion in opinions]),
        'person': person,
        'source': source,
        'coverage': np.array([opinion.coverage for opinion in opinions]),
        'evidence': np.array([opinion.evidence for opinion in opinions], dtype=object),
        'confidence': quality,
    }
    liveliness = np.array([opinion.liveliness for opinion in opinions])
    names = {
        'speech': (source == 'voice', {'value': ones.astype(float)}),
        'liveliness': (np.isfinite(liveliness), {'value': liveliness}),
    }
    for category, values in zip(EKMAN, shares.T, strict=True):
        names[category] = (~np.isnan(shares).any(axis=1), {'value': values, 'confidence': shares.max(axis=1)})
    for name in DIMENSIONS:
        values = np.array([getattr(opinion, name) for opinion in opinions])
        half_widths = _Z95 * np.array([getattr(opinion, f'{name}_sd') for opinion in opinions])
        low, high = np.clip([values - half_widths, values + half_widths], -1.0, 1.0)
        names[name] = (np.isfinite(values), {'value': values, 'low': low, 'high': high})
    return rows_by_name(shared, names)


def _series(person: str, measured: Sequence[tuple[Span, Fused]]) -> PersonSeries:
    """The fused steps of one person as arrays."""
    fused = [step for _, step in measured]
    spans = np.array([span for span, _ in measured]).reshape(-1, 2)  # (T, 2)

    def weights(field_name: str) -> Floats:
        shares = [[round(getattr(step, field_name).get(source, np.nan), 2) for source in WEIGHTED] for step in fused]
        return np.array(shares).reshape(-1, len(WEIGHTED))  # (T, 3)

    def dimensions(bound: str) -> Floats:
        pairs: list[tuple[Dimension, Dimension]] = [(step.valence, step.arousal) for step in fused]
        return np.array([[getattr(dimension, bound) for dimension in pair] for pair in pairs]).reshape(-1, 2)  # (T, 2)

    return PersonSeries(
        person, 'fused', spans[:, 0], spans[:, 1],
        np.array([_or_nan(step.probabilities) for step in fused]).reshape(-1, len(EKMAN)),  # (T, 7)
        dimensions('value'), dimensions('low'), dimensions('high'),
        np.array([step.confidence for step in fused]), np.array([step.coverage for step in fused]),
        weights('weights'), np.array([step.abstained for step in fused], dtype=object),
        np.array(['; '.join(step.evidence) for step in fused], dtype=object),
        np.stack([weights('valence_weights'), weights('arousal_weights')], axis=1),  # (T, 2, 3)
    )  # fmt: skip


def _face_opinions(observed: Observed, person: str, steps: Sequence[Span], trust: Trust) -> list[Opinion]:
    """The mean face of each step in which the person was seen."""
    names = (*DIMENSIONS, *[f'{name}_sd' for name in DIMENSIONS], 'quality')
    rows = rows_of(observed.faces, person, ('time_s', LASTS, *EKMAN, *names))
    if not rows.num_rows or not steps:
        return []
    times = column(rows, 'time_s')
    step_s = steps[0][1] - steps[0][0]
    index = np.minimum((times / step_s + 1e-9).astype(np.int64), len(steps) - 1)
    shares = np.stack([column(rows, category) for category in EKMAN], axis=1)
    values = {name: column(rows, name) for name in names}
    rate_hz = observed.source.analyzed_rate_hz
    seconds = seconds_of_faces(rows, rate_hz)
    order = np.argsort(index, kind='stable')
    bounds = np.flatnonzero(np.diff(index[order])) + 1
    opinions = []
    for frames in np.split(order, bounds):
        start, end = steps[int(index[frames[0]])]
        coverage = float(seconds[frames].sum()) / (end - start) if rate_hz > 0 else 1.0
        step_values = {name: column_values[frames] for name, column_values in values.items()}
        opinions.append(_face_opinion((start, end), shares[frames], step_values, seconds[frames], coverage, trust))
    return opinions


def _face_opinion(
    span: Span, shares: Floats, values: Mapping[str, Floats], seconds: Floats, coverage: float, trust: Trust
) -> Opinion:
    """The mean over time of a step's frames."""
    mean_shares = time_mean(shares, seconds)  # (7,)
    probabilities = None if np.isnan(mean_shares).any() else _normal(mean_shares)
    dimensions: dict[str, Any] = {}
    derived = [float(sd) for sd in affect_sd(probabilities)] if probabilities is not None else [PLAIN_SD, PLAIN_SD]
    for name, deviation in zip(DIMENSIONS, derived, strict=True):
        mean, stated = (float(time_mean(values[column_name], seconds)) for column_name in (name, f'{name}_sd'))
        dimensions |= {name: mean, f'{name}_sd': max(LEAST_SD, deviation if np.isnan(stated) else stated)}
    quality = float(time_mean(values['quality'], seconds))
    return Opinion(
        'face', probabilities, **dimensions, **_trusted(trust),
        quality=float(readable_share(quality)), coverage=min(1.0, coverage),
        evidence=_evidence('faces', probabilities, span), start_s=span[0], end_s=span[1],
    )  # fmt: skip


def _trusted(trust: Trust) -> dict[str, Any]:
    """The fields of an opinion that give the reliability of its model."""
    return {
        'reliability': trust.reliability, 'prior': trust.prior, 'valence_reliability': trust.valence,
        'arousal_reliability': trust.arousal,
    }  # fmt: skip


def _span_opinions(table: pa.Table, name: str, source: str, person: str, trust: Trust) -> list[Opinion]:
    """One opinion per row of `turns` or `utterances` that belongs to the person; none of words not understood.

    A turn of a kind that the head does not know, or is not sure of, has neither categories nor the valence derived from
    them. Its arousal stands: loud and high is lively in any language.
    """
    rows = rows_of(table, person)
    names = ('start_s', 'end_s', 'quality', *DIMENSIONS, *[f'{name}_sd' for name in DIMENSIONS])
    columns = {name: column(rows, name).tolist() for name in names}
    liveliness = column(rows, 'liveliness').tolist()
    shares = np.stack([column(rows, category) for category in EKMAN], axis=1)
    is_understood = (
        rows['is_understood'].to_pylist() if 'is_understood' in rows.column_names else [True] * rows.num_rows
    )
    abstains = rows['abstains_because'].to_pylist() if 'abstains_because' in rows.column_names else [''] * rows.num_rows
    opinions = []
    for row in range(rows.num_rows):
        start, end, quality, valence, arousal, valence_sd, arousal_sd = (columns[name][row] for name in names)
        if not (math.isfinite(start) and math.isfinite(end) and end > start and is_understood[row]):
            continue
        probabilities = None if abstains[row] else _normal(shares[row])
        valence = float('nan') if abstains[row] else valence
        deviations = _deviation(valence_sd), _deviation(arousal_sd)
        # Plain words know nothing of valence either; the arousal of a voice is heard, not derived from categories.
        word_certainty = 0.0 if source == 'words' and probabilities is None else None
        quality = 1.0 if np.isnan(quality) else float(np.clip(quality, 0.0, 1.0))
        opinion = Opinion(
            source, probabilities, valence, arousal, *deviations, quality=quality, **_trusted(trust),
            valence_certainty=word_certainty, arousal_certainty=1.0 if source == 'voice' else word_certainty,
            evidence=_evidence(name, probabilities, (start, end)), start_s=start, end_s=end,
            liveliness=liveliness[row],
        )  # fmt: skip
        opinions.append(opinion)
    return opinions


def _mean_opinion(parts: Sequence[Opinion], start_s: float, end_s: float) -> Opinion | None:
    """One source's opinions in a step as one: means weighted by shared time; None if there are none.

    What only some of them state counts by the root of their share of the time, as a part of the step would. Where a
    dimension of some was derived from less than that of others, its certainty is the mean.
    """
    seconds = np.array([overlap((start_s, end_s), (part.start_s, part.end_s)) for part in parts])
    if not parts or seconds.sum() <= 0 or end_s <= start_s:
        return None
    shares = seconds / seconds.sum()
    with_categories = [index for index, part in enumerate(parts) if part.probabilities is not None]
    probabilities, category_share = None, 1.0
    if with_categories:
        category_share = float(shares[with_categories].sum())
        weights = shares[with_categories] / category_share
        mean = weights @ np.stack([np.asarray(parts[index].probabilities) for index in with_categories])
        probabilities = mean / mean.sum()
    longest = parts[int(seconds.argmax())]
    dimensions: dict[str, Any] = dict.fromkeys((*DIMENSIONS, *[f'{name}_sd' for name in DIMENSIONS]), float('nan'))
    for name in DIMENSIONS:
        pairs = np.array([(getattr(part, name), getattr(part, f'{name}_sd')) for part in parts])  # (P, 2)
        has_dimension = np.isfinite(pairs).all(axis=1)
        if has_dimension.any():
            dimension_share = float(shares[has_dimension].sum())
            value, deviation = (shares[has_dimension] / dimension_share) @ pairs[has_dimension]
            dimensions |= {name: float(value), f'{name}_sd': float(deviation)}
            reliability = getattr(longest, f'{name}_reliability')
            reliability = longest.reliability if reliability is None else reliability
            dimensions[f'{name}_reliability'] = reliability * min(1.0, dimension_share) ** 0.5
            dimensions[f'{name}_certainty'] = _mean_certainty(
                longest, probabilities, [getattr(part, f'{name}_certainty') for part in parts], shares * has_dimension
            )
    measured_s = seconds @ np.array([part.coverage for part in parts])
    return dataclasses.replace(
        longest, probabilities=probabilities, **dimensions,
        reliability=longest.reliability * min(1.0, category_share) ** 0.5,
        quality=float(np.clip(shares @ np.array([part.quality for part in parts]), 0.0, 1.0)),
        coverage=float(np.clip(measured_s / (end_s - start_s), 0.0, 1.0)), start_s=start_s, end_s=end_s,
    )  # fmt: skip


def _mean_certainty(
    opinion: Opinion, probabilities: Floats | None, certainties: Sequence[float | None], shares: Floats
) -> float | None:
    """The mean certainty of what a dimension was derived from; None if it is that of the categories everywhere.

    Args:
        opinion: an opinion of the source.
        probabilities: (7,) mean categories of the parts that have any.
        certainties: of each part; None for that of its categories.
        shares: (P,) time of each part that states the dimension, 0 for others.
    """
    stated = [certainty for certainty, share in zip(certainties, shares.tolist(), strict=True) if share > 0]
    if all(certainty is None for certainty in stated):
        return None
    derived = dataclasses.replace(opinion, probabilities=probabilities).certainty
    known = np.array([derived if certainty is None else certainty for certainty in certainties])
    return float(np.clip(shares @ known / shares.sum(), 0.0, 1.0))


def _normal(shares: Floats) -> Floats | None:
    """Shares that sum to 1; None if one is missing or all are 0."""
    if np.isnan(shares).any() or shares.min() < 0 or shares.sum() <= 0:
        return None
    return np.asarray(shares / shares.sum())


def _deviation(value: float) -> float:
    return max(LEAST_SD, value) if math.isfinite(value) and value > 0 else PLAIN_SD


def _or_nan(probabilities: Floats | None) -> Floats:
    return np.full(len(EKMAN), np.nan) if probabilities is None else probabilities


def _evidence(table: str, probabilities: Floats | None, span: Span) -> str:
    """The rows of an opinion: 'faces:happiness@12.00-13.00', or 'faces:readings@…' if it has no categories."""
    top = EKMAN[int(probabilities.argmax())] if probabilities is not None else 'readings'
    return f'{table}:{top}@{span[0]:.2f}-{span[1]:.2f}'
