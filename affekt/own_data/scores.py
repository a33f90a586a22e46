"""Agreement of readings of clips with their labels: categories, abstention, certainty, valence and arousal, by source.

N clips, K categories that occur among the labels, R draws. A source that names no category for a clip abstains there.
*Where it speaks*, abstentions are skipped; *of all*, an abstention counts as wrong, so that a source gains nothing by
abstaining. A named category that no label has is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from affekt.analysis import SOURCES
from affekt.arrays import Bools, Floats, Ints
from affekt.labels import CIRCUMPLEX, EKMAN
from affekt.metrics import (
    Interval,
    Measure,
    bootstrap_interval,
    dimensional_measure,
    event_calibration_error,
    measure_intervals,
)
from affekt.own_data.labelled import DIMENSIONS, LabelledClip
from affekt.own_data.readings import NOTHING, ClipReading, SourceReading

SILENT = len(EKMAN)
"""Index used for an abstention."""
ORDER = (SOURCES[-1], *SOURCES[:-1])
"""The fusion of all first, then each source alone."""
CALIBRATION_BINS = 10
"""Number of bins of the expected calibration error."""
HIGH, LOW = 0.5, 0.0
"""Arousal on the circumplex from which a category counts as high, and up to which as low."""
CLEARLY = 0.05
"""Magnitude from which a valence below 0 counts as negative; the report rounds smaller ones to 0.0."""
_LEAST_PROBABILITY = 1e-4


@dataclass(frozen=True)
class CategoryScore:
    """Scores of a source, or of a trivial answer, on categories."""

    clips: int
    spoken: int
    """Clips for which a category is named."""
    scores: Mapping[str, Interval]
    """'speaks', 'right', 'says' (mean certainty), 'excess' (says minus right), 'uar' and 'macro_f1' where it speaks;
    'right_of_all' and 'uar_of_all' with abstentions as wrong."""
    calibration_error: float = float('nan')
    """Expected calibration error over 10 bins, where it speaks."""
    log_loss: float = float('nan')
    """Log loss where it speaks; compared with those of the label shares and of seven equal shares on the same clips."""
    log_loss_of_shares: float = float('nan')
    log_loss_of_uniform: float = float('nan')
    recall: Mapping[str, float] = field(default_factory=dict)
    """Category to the share of its clips that are named correctly."""
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Category to the named categories of its clips, with counts; '' for none."""
    silent_because: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of clips."""


@dataclass(frozen=True)
class DimensionScore:
    """Scores of a source on valence or arousal."""

    clips: int
    """Clips with a rating and a reading."""
    rated: int
    scores: Mapping[str, Interval]
    """'concordance', 'pearson', 'mae' against ratings; 'auc' of high against low, 'sign' the mean share of high and of
    low clips on the right side of 0."""
    from_categories: bool = False
    """Whether 'high' and 'low' come from the category's position on the circumplex, without ratings; only 'auc' and
    'sign'."""


@dataclass(frozen=True)
class Scores:
    """All scores on one set of clips."""

    classes: tuple[str, ...]
    """Categories that occur among the labels, in EKMAN order."""
    shares: Mapping[str, float]
    categories: Mapping[str, CategoryScore]
    """Source to score; then 'majority' and 'chance'."""
    gains: Mapping[str, Mapping[str, Interval]]
    """Source to the gain of the fusion over it: 'of_all', 'both_speak'."""
    dimensions: Mapping[str, Mapping[str, DimensionScore]]
    """'valence' and 'arousal' to source to score."""
    strangers: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """Label that is not a category, to source, to the named categories of its clips, with counts; '' for none."""
    neutral: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Source to mean valence of the clips labelled neutral and the share of them below -0.05."""

    @property
    def lead(self) -> str:
        """The source that sentences are about: 'fused', or the only one."""
        present = [source for source in ORDER if source in self.categories or source in self.dimensions['valence']]
        return present[0] if present else ORDER[0]


def scored(
    clips: Sequence[LabelledClip],
    readings: Sequence[ClipReading],
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Scores:
    """Every score, with 95 % intervals over the clips' groups.

    Args:
        clips: N labelled clips.
        readings: readings of the same clips.
        rng: generator of the resamples.
        resamples: number of resamples.
    """
    groups = np.array([clip.group for clip in clips])
    truth = np.array([EKMAN.index(clip.category) if clip.category else SILENT for clip in clips], dtype=np.int64)
    is_labelled = truth != SILENT
    sources = [source for source in ORDER if any(source in reading.sources for reading in readings)]
    by_source = {source: [reading.sources.get(source, _ABSENT) for reading in readings] for source in sources}
    answers = {source: _answers(source_readings) for source, source_readings in by_source.items()}
    named = {source: answer[is_labelled] for source, answer in answers.items()}
    classes = tuple(EKMAN[index] for index in np.unique(truth[is_labelled]))
    draw = {'rng': rng, 'resamples': resamples}
    categories: dict[str, CategoryScore] = {}
    if is_labelled.any():
        for source, source_readings in by_source.items():
            labelled = [reading for reading, is_known in zip(source_readings, is_labelled, strict=True) if is_known]
            categories[source] = _category_score(truth[is_labelled], labelled, groups[is_labelled], **draw)
        categories |= _trivial(truth[is_labelled], groups[is_labelled], **draw)
    singles = ORDER[1:] if 'fused' in by_source else ()
    spoken = [source for source in singles if source in by_source and (answers[source] != SILENT).any()]
    gains = {
        source: _gain(truth[is_labelled], named['fused'], named[source], groups[is_labelled], **draw)
        for source in spoken
    } if is_labelled.any() else {}  # fmt: skip
    dimensions = {
        name: {
            source: _dimension_score(clips, source_readings, name, groups, **draw)
            for source, source_readings in by_source.items()
        }
        for name in DIMENSIONS
    }
    shares = np.bincount(truth[is_labelled], minlength=len(EKMAN)) / max(1, int(is_labelled.sum()))
    return Scores(
        classes, {name: float(shares[EKMAN.index(name)]) for name in classes}, categories, gains,
        {name: {source: score for source, score in by.items() if score.clips} for name, by in dimensions.items()},
        _strangers(clips, answers), _neutral(clips, by_source),
    )  # fmt: skip


_ABSENT = SourceReading(silent_because=NOTHING)


def _answers(readings: Sequence[SourceReading]) -> Ints:
    """(N,) the number of the named category, SILENT for none."""
    return np.array([EKMAN.index(reading.category) if reading.category else SILENT for reading in readings])


def _category_score(
    truth: Ints, readings: Sequence[SourceReading], groups: npt.NDArray[np.str_], **draw: object
) -> CategoryScore:
    answers = _answers(readings)
    certainty = np.array([reading.certainty for reading in readings])
    speaks = answers != SILENT
    intervals = measure_intervals(clip_measure(truth, answers, certainty), groups=groups, **draw)  # type: ignore[arg-type]
    reasons = Counter(reading.silent_because for reading in readings if not reading.category)
    loss: dict[str, float] = {}
    if speaks.any():
        probabilities = np.array([reading.probabilities for reading in readings if reading.category])
        shares = np.bincount(truth, minlength=len(EKMAN)) / len(truth)
        named_truth = truth[speaks]
        loss = {
            'log_loss': -float(
                np.log(np.maximum(probabilities[np.arange(len(named_truth)), named_truth], _LEAST_PROBABILITY)).mean()
            ),
            'log_loss_of_shares': -float(np.log(shares[named_truth]).mean()),
            'log_loss_of_uniform': float(np.log(len(EKMAN))),
            'calibration_error': event_calibration_error(
                np.clip(certainty[speaks], 0.0, 1.0), answers[speaks] == named_truth, CALIBRATION_BINS
            ),
        }
    return CategoryScore(
        len(truth), int(speaks.sum()), intervals, **loss, recall=_recall(truth, answers),
        confusion=_confusion(truth, answers), silent_because=dict(reasons.most_common()),
    )  # fmt: skip


def clip_measure(truth: Ints, answers: Ints, certainty: Floats) -> Measure:
    """All scores of categories as functions of sums over clips.

    Args:
        truth: (N,) indices in EKMAN.
        answers: (N,) indices in EKMAN, SILENT for abstentions.
        certainty: (N,) certainty of the named category; ignored for abstentions.

    >>> truth, answers = np.array([0, 0, 3, 3]), np.array([0, 3, 3, SILENT])
    >>> scores = clip_measure(truth, answers, np.array([0.5, 0.7, 0.9, np.nan])).scores()
    >>> [round(scores[name], 3) for name in ('speaks', 'right', 'says', 'uar', 'right_of_all', 'uar_of_all')]
    [0.75, 0.667, 0.7, 0.75, 0.5, 0.5]
    """
    size, width = len(truth), len(EKMAN)
    rows, speaks = np.arange(size), answers != SILENT
    right = speaks & (answers == truth)
    columns = np.zeros((size, 3 + 4 * (width + 1)))
    columns[:, 0], columns[:, 1] = 1.0, speaks
    columns[:, 2] = np.where(speaks, np.nan_to_num(certainty), 0.0)
    # (N, 4, 8), a view: of each category all clips, those with an answer, those right, and those named so
    cells = columns[:, 3:].reshape(size, 4, width + 1)
    cells[rows, 0, truth] = 1.0
    cells[rows, 1, truth] = speaks
    cells[rows, 2, truth] = right
    cells[rows, 3, answers] = 1.0
    occurs = np.bincount(truth, minlength=width + 1)[:-1] > 0

    def statistic(sums: Floats) -> dict[str, Floats]:
        every, spoken, certain = sums[:, :3].T
        of_class, spoken_of, right_of, named = np.moveaxis(sums[:, 3:].reshape(-1, 4, width + 1)[:, :, :-1], 1, 0)
        hits = right_of.sum(axis=1)
        share, says = _over(hits, spoken), _over(certain, spoken)
        return {
            'speaks': _over(spoken, every),
            'right': share,
            'says': says,
            'excess': says - share,
            'uar': _mean_over(_over(right_of, spoken_of), occurs),
            'macro_f1': _mean_over(_over(2 * right_of, spoken_of + named), occurs),
            'right_of_all': _over(hits, every),
            'uar_of_all': _mean_over(_over(right_of, of_class), occurs),
        }

    names = ('speaks', 'right', 'says', 'uar', 'macro_f1', 'right_of_all', 'uar_of_all')
    return Measure(columns, statistic, dict.fromkeys(names, (0.0, 1.0)) | {'excess': (-1.0, 1.0)})


def _trivial(truth: Ints, groups: npt.NDArray[np.str_], **draw: object) -> dict[str, CategoryScore]:
    """The scores of always naming the most frequent category, and the expected scores of a uniform draw."""
    counts = np.bincount(truth, minlength=len(EKMAN))
    majority = np.full(len(truth), int(counts.argmax()))
    shares = counts / counts.sum()
    measure = clip_measure(truth, majority, np.full(len(truth), float(shares.max())))
    intervals = measure_intervals(measure, groups=groups, **draw)  # type: ignore[arg-type]
    size = int((counts > 0).sum())
    exact = dict.fromkeys(('right', 'says', 'uar', 'right_of_all', 'uar_of_all'), _exactly(1 / size))
    return {
        'majority': CategoryScore(
            len(truth), len(truth), intervals,
            recall=_recall(truth, majority), confusion=_confusion(truth, majority),
        ),
        'chance': CategoryScore(len(truth), len(truth), exact | {'speaks': _exactly(1.0)}),
    }  # fmt: skip


def _exactly(value: float) -> Interval:
    return Interval(value, float('nan'), float('nan'))


def _gain(truth: Ints, fused: Ints, alone: Ints, groups: npt.NDArray[np.str_], **draw: object) -> dict[str, Interval]:
    """The gain in accuracy of the fusion over one source alone: of all clips, and where both name a category."""
    fused_right, alone_right = fused == truth, alone == truth
    both_speak = (fused != SILENT) & (alone != SILENT)
    columns = np.stack(
        [
            np.ones(len(truth)),
            fused_right * 1.0 - alone_right,
            both_speak * 1.0,
            both_speak * (fused_right * 1.0 - alone_right),
        ],
        axis=1,
    )

    def statistic(sums: Floats) -> dict[str, Floats]:
        every, gain, shared, gain_shared = sums.T
        return {'of_all': _over(gain, every), 'both_speak': _over(gain_shared, shared)}

    measure = Measure(columns, statistic, dict.fromkeys(('of_all', 'both_speak'), (-1.0, 1.0)))
    return measure_intervals(measure, groups=groups, **draw)  # type: ignore[arg-type]


def _dimension_score(
    clips: Sequence[LabelledClip], readings: Sequence[SourceReading], name: str, groups: npt.NDArray[np.str_],
    **draw: object,
) -> DimensionScore:  # fmt: skip
    ratings = np.array([getattr(clip, name) for clip in clips])
    values = np.array([getattr(reading, name) for reading in readings])
    is_rated = bool(np.isfinite(ratings).any())
    if not is_rated:
        ratings = _sides_of_categories(clips, name)
    measured = np.isfinite(ratings) & np.isfinite(values)
    rated = int(np.isfinite(ratings).sum())
    if not measured.any():
        return DimensionScore(0, rated, {}, not is_rated)
    truth, value, group = ratings[measured], values[measured], groups[measured]
    scores = {}
    if is_rated:
        measure = dimensional_measure(truth, value)
        scores = measure_intervals(measure, groups=group, **draw)  # type: ignore[arg-type]
        scores.pop('mse', None)
    is_sided = truth != 0
    if is_sided.any():
        options = {**draw, 'groups': group[is_sided]}
        for score, function in (('auc', area_under_curve), ('sign', _sign_agreement)):
            scores[score] = bootstrap_interval(
                function, truth[is_sided] > 0, value[is_sided], bounds=(0.0, 1.0), **options,
            )  # fmt: skip
    return DimensionScore(int(measured.sum()), rated, scores, not is_rated)


def _sides_of_categories(clips: Sequence[LabelledClip], name: str) -> Floats:
    """(N,) 1 where a clip's category is high on the dimension, -1 where low, nan in between or without a category."""
    ratings = np.full(len(clips), np.nan)
    for index, clip in enumerate(clips):
        if clip.category:
            valence, arousal = CIRCUMPLEX[clip.category]
            if name == 'valence' and clip.category not in ('neutral', 'surprise'):
                ratings[index] = 1.0 if valence > 0 else -1.0
            if name == 'arousal' and not LOW < arousal < HIGH:
                ratings[index] = 1.0 if arousal >= HIGH else -1.0
    return ratings


def area_under_curve(is_high: Bools, values: Floats) -> float:
    """Probability that a high clip has a larger value than a low one; ties count half.

        (pairs of a high and a low one in which the high one is larger + half of the ties) / (H L)

    Args:
        is_high: (N,) True where the clip is high.
        values: (N,) values of any unit.

    Returns:
        A float in [0, 1]; nan if there are no high or no low ones.

    Source: Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    >>> area_under_curve(np.array([True, True, False]), np.array([0.9, 0.2, 0.5]))
    0.5
    """
    high = int(is_high.sum())
    low = len(is_high) - high
    if not high or not low:
        return float('nan')
    lows = np.sort(values[~is_high])
    lower, no_higher = (np.searchsorted(lows, values[is_high], side) for side in ('left', 'right'))
    return float((lower + no_higher).sum() / (2 * high * low))


def _sign_agreement(is_high: Bools, values: Floats) -> float:
    """The mean of the shares of high clips above 0 and of low clips below; nan where there are none of one."""
    if is_high.all() or not is_high.any():
        return float('nan')
    return float(((values[is_high] > 0).mean() + (values[~is_high] < 0).mean()) / 2)


def _strangers(clips: Sequence[LabelledClip], answers: Mapping[str, Ints]) -> dict[str, dict[str, dict[str, int]]]:
    """Label that is no category, to source, to the named categories of its clips, with counts."""
    labels = sorted({clip.label for clip in clips if clip.label and not clip.category})
    names = (*EKMAN, '')
    table: dict[str, dict[str, dict[str, int]]] = {}
    for label in labels:
        indices = [index for index, clip in enumerate(clips) if clip.label == label]
        table[label] = {
            source: dict(Counter(names[answer] for answer in source_answers[indices].tolist()).most_common())
            for source, source_answers in answers.items()
        }
    return table


def _neutral(
    clips: Sequence[LabelledClip], by_source: Mapping[str, Sequence[SourceReading]]
) -> dict[str, dict[str, float]]:
    """Source to number, mean valence and share below -CLEARLY of clips labelled neutral, whose true valence is 0."""
    summary = {}
    indices = [index for index, clip in enumerate(clips) if clip.category == 'neutral']
    for source, readings in by_source.items():
        values = np.array([readings[index].valence for index in indices])
        values = values[np.isfinite(values)]
        if len(values):
            summary[source] = {
                'clips': float(len(values)),
                'mean': float(values.mean()),
                'below': float((values < -CLEARLY).mean()),
            }
    return summary


def _recall(truth: Ints, answers: Ints) -> dict[str, float]:
    return {
        EKMAN[category]: float((answers[truth == category] == category).mean())
        for category in np.unique(truth).tolist()
    }


def _confusion(truth: Ints, answers: Ints) -> dict[str, dict[str, int]]:
    names = (*EKMAN, '')
    return {
        EKMAN[category]: {
            names[answer]: count
            for answer, count in enumerate(np.bincount(answers[truth == category], minlength=SILENT + 1).tolist())
        }
        for category in np.unique(truth).tolist()
    }


def _over(numerator: Floats, denominator: Floats) -> Floats:
    quotient: Floats = np.divide(
        numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=np.asarray(denominator) > 0
    )
    return quotient


def _mean_over(values: Floats, columns: Bools) -> Floats:
    """(R,) mean over the selected columns of (R, C), without nan; nan where all are."""
    kept = values[:, columns]
    defined = ~np.isnan(kept)
    return _over(np.where(defined, kept, 0.0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
