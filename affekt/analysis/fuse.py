"""Fusion of face, voice and words of one person in one time step.

Each source gives an `Opinion`: calibrated probabilities of the seven categories, valence and arousal with a standard
deviation, and weights for each. `fuse` pools the categories by a log-linear opinion pool with a uniform prior,

    p(k) ~ product over sources of (p_s(k) / prior_s(k)) ** w_s
    w_s  = reliability * quality * sqrt(coverage)

(naive Bayes with discounted exponents: a source counts in full only if its model is perfect, its input clean and the
step wholly covered; by the root, a source that covers half of a step loses less than half of its weight). Valence and
arousal are pooled likewise, as normal distributions: a source adds to the precision

    w_s * c_s / (sd_s**2 + between)        c_s: certainty of what the number was derived from, 0 for a flat posterior

each with its own reliability in w_s. A source that is absent equals one of weight 0, and so does one whose posterior
equals its prior. The order of sources never matters. A source whose likelihood ratio peaks at the pool's winner never
lowers its probability; in a linear pool an uncertain source would.

If two sources are each sure of different emotions, the step abstains. K categories (7), S sources.

Source: Genest & Zidek 1986, doi:10.1214/ss/1177013825 (pools); Lin 1991, doi:10.1109/18.61115 (Jensen-Shannon);
DerSimonian & Kacker 2007, doi:10.1016/j.cct.2006.04.004, equation 6 (variance between sources, any weights).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError
from affekt.labels import CIRCUMPLEX, EKMAN, certainty

REFERENCE_PRIOR: Mapping[str, float] = dict.fromkeys(EKMAN, 1 / len(EKMAN))
"""Prior of the pool: uniform. Class frequencies of one television series say little about another
recording. A prior towards neutral costs faces 1.4 points of balanced accuracy, and would only compensate for voice
heads that hardly name neutral in another corpus (`measurements/fusion_weights.py`), which is to be fixed in those
heads."""

QUANTITIES = ('category', 'valence', 'arousal')
"""Quantities for which a source has a weight."""

AGAINST_AT_MOST: Mapping[str, float] = {'words': 1.5}
"""Source to the largest factor by which it can lower emotions that it does not name, and raise neutral. Emotionally
neutral words occur in every tone: in MELD they make surprise 0.69 times as likely as usual, neutral 1.15 times, and the
other emotions 0.8 to 1.03 times (`measurements/fusion_weights.py`)."""

UNSURE_BELOW = 0.35
"""A step whose likeliest category is below this probability abstains; chance is 0.14."""

CONTRADICTION_ABOVE = 0.45
"""Jensen-Shannon divergence, in bits, between two sources' emotions above which they contradict; 1 if they share
nothing. Two sources with 0.7 on different emotions and the rest spread evenly reach 0.46; with 0.65, 0.39."""

CONTRADICTION_EMOTION = 0.6
"""Minimum probability of one emotion (not neutral), by a source alone, to take part in a contradiction: a calm face
with angry words is restraint. At this value, faces and voices of different emotions contradict each other three times
as often as those of the same emotion."""

CONTRADICTION_WEIGHT = 0.15
"""Minimum weight of a source to take part in a contradiction."""

_LEAST_PROBABILITY = 1e-4
"""Probabilities below this count as this much in ratios."""
_ROUNDING = 1e-12
"""Probabilities whose sum is this close to 1 are not normalised again."""
_Z95 = 1.959964
_SPREAD = {
    'valence': float(np.sqrt(np.mean([CIRCUMPLEX[category][0] ** 2 for category in EKMAN]))),
    'arousal': float(np.sqrt(np.mean([CIRCUMPLEX[category][1] ** 2 for category in EKMAN]))),
}
"""Root mean square of a dimension over the categories: its standard deviation without any reading."""


@dataclass(frozen=True)
class Opinion:
    """The output of one source for one person over one span: a turn, an utterance, a step.

    Raises:
        ShapeError: probabilities are not (7,).
        ValueRangeError: they do not sum to 1, or a weight or dimension is out of range.
    """

    source: str
    """'face', 'voice' or 'words'."""
    probabilities: Floats | None = None
    """(7,) in EKMAN order, calibrated; None if the source gives no categories."""
    valence: float = float('nan')
    arousal: float = float('nan')
    valence_sd: float = float('nan')
    arousal_sd: float = float('nan')
    """Standard deviations of the dimensions; a dimension counts only where both it and its deviation are known."""
    reliability: float = 1.0
    """Share of the model's advantage over chance that remains outside its training data, in [0, 1], for categories."""
    quality: float = 1.0
    """Quality of the input (size, blur, head rotation; loudness over noise; certainty of the words), in [0, 1]."""
    coverage: float = 1.0
    """Share of the step that the source measured, in [0, 1]."""
    prior: Mapping[str, float] | None = None
    """The model's training prior over EKMAN; None for REFERENCE_PRIOR (nothing to correct)."""
    evidence: str = ''
    start_s: float = 0.0
    """Start of the span in seconds; not used when one step is fused."""
    end_s: float = 0.0
    valence_reliability: float | None = None
    """Reliability for valence; None for the same as for categories."""
    arousal_reliability: float | None = None
    valence_certainty: float | None = None
    """Certainty of what the valence was derived from, in [0, 1]; None: that of the probabilities, or 1 without."""
    arousal_certainty: float | None = None
    liveliness: float = float('nan')
    """Liveliness of a voice relative to this person's other turns, in [-1, 1]: reported, but not fused."""

    def __post_init__(self) -> None:
        if self.probabilities is not None:
            probabilities = np.asarray(self.probabilities, dtype=np.float64)
            if probabilities.shape != (len(EKMAN),):
                raise ShapeError(expected='probabilities (7,)', came=f'{probabilities.shape}', todo='use EKMAN order')
            if not (np.all(probabilities >= 0) and abs(probabilities.sum() - 1) < 1e-3):
                raise ValueRangeError(
                    expected='probabilities that sum to 1',
                    came=f'{probabilities.sum()}',
                    todo='normalise them, or leave them out',
                )
            is_normal = abs(probabilities.sum() - 1) < _ROUNDING
            object.__setattr__(
                self, 'probabilities', probabilities if is_normal else probabilities / probabilities.sum()
            )
        for name in _SHARE_FIELDS:
            share = getattr(self, name)
            if share is not None and not 0.0 <= share <= 1.0:
                raise ValueRangeError(expected=f'{name} in [0, 1]', came=f'{share}', todo='clip or leave it out')

    @property
    def weight(self) -> float:
        """reliability * quality * sqrt(coverage), w_s above: the weight for categories."""
        return self.reliability * self.quality * math.sqrt(self.coverage)

    def weight_for(self, quantity: str) -> float:
        """Weight for one of QUANTITIES; 0 if the source has no value for it."""
        if quantity == 'category':
            return self.weight if self.probabilities is not None else 0.0
        value, deviation = getattr(self, quantity), getattr(self, f'{quantity}_sd')
        if not (math.isfinite(value) and math.isfinite(deviation) and deviation > 0):
            return 0.0
        reliability = getattr(self, f'{quantity}_reliability')
        reliability = self.reliability if reliability is None else reliability
        sureness = getattr(self, f'{quantity}_certainty')
        if sureness is None:
            sureness = self.certainty
        return float(reliability * self.quality * math.sqrt(self.coverage) * max(sureness, _LEAST_CERTAINTY))

    @cached_property
    def ratio(self) -> Floats:
        """See `likelihood_ratio`."""
        return likelihood_ratio(self)

    @cached_property
    def certainty(self) -> float:
        """Certainty of the probabilities; 1 without them."""
        return 1.0 if self.probabilities is None else float(certainty(alone(self)))

    @property
    def confidence(self) -> float:
        """The probability of the likeliest category; nan without categories."""
        return float(self.probabilities.max()) if self.probabilities is not None else float('nan')


_SHARE_FIELDS = (
    'reliability', 'quality', 'coverage', 'valence_reliability', 'arousal_reliability', 'valence_certainty',
    'arousal_certainty',
)  # fmt: skip
_LEAST_CERTAINTY = 1e-6
"""A value derived from a flat posterior counts less than any other reading, but is not absent."""


def alone(opinion: Opinion) -> Floats:
    """(7,) the pool if this opinion were the only one with categories, at full weight."""
    odds = opinion.ratio * _REFERENCE
    return np.asarray(odds / odds.sum())


def likelihood_ratio(opinion: Opinion) -> Floats:
    """(7,) an opinion's probabilities divided by its model's training prior.

    Where AGAINST_AT_MOST has a limit L for the source, no emotion falls below 1 / L, and neutral exceeds neither L nor
    the likeliest emotion, whichever is higher.
    """
    shares = np.maximum(np.asarray(opinion.probabilities), _LEAST_PROBABILITY)
    ratio = np.asarray(shares / (_prior(opinion.prior) if opinion.prior else _REFERENCE))
    limit = AGAINST_AT_MOST.get(opinion.source)
    if limit is not None:
        emotions = np.maximum(ratio[:-1], 1 / limit)
        ratio = np.append(emotions, min(ratio[-1], max(limit, emotions.max())))
    return ratio


@dataclass(frozen=True)
class Dimension:
    """A pooled valence or arousal with its 95 % interval; nan where no source had one."""

    value: float = float('nan')
    low: float = float('nan')
    high: float = float('nan')


@dataclass(frozen=True)
class Fused:
    """All sources of one step, pooled."""

    probabilities: Floats | None
    """(7,) in EKMAN order; None where no source had categories or the step abstains."""
    valence: Dimension
    arousal: Dimension
    weights: Mapping[str, float]
    """Source to its contribution to the odds of the likeliest category, as shares that sum to 1."""
    abstained: str = ''
    """'', 'contradiction' (the valence is withheld too) or 'unsure' (dimensions may still be known)."""
    divergence: float = 0.0
    """Largest divergence between two sources that are sure of an emotion, bits."""
    conflict: tuple[str, ...] = ()
    """The two sources of a contradiction; () for none."""
    coverage: float = 0.0
    """Largest coverage among the sources."""
    evidence: tuple[str, ...] = field(default=())
    valence_weights: Mapping[str, float] = field(default_factory=dict)
    """Source to its share of the pooled valence; empty if none has one."""
    arousal_weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def confidence(self) -> float:
        """The probability of the likeliest category; nan where there is none."""
        return float(self.probabilities.max()) if self.probabilities is not None else float('nan')


def fuse(opinions: Sequence[Opinion]) -> Fused | None:
    """Pool the opinions of one step; None if nothing was measured (the step is then missing, not neutral).

    1. Leave out opinions of weight 0. 2. Pool categories. 3. Pool dimensions. 4. Abstain where they contradict.
    5. Abstain from categories where none is likely enough.

    Args:
        opinions: at most one per source; the order does not matter.
    """
    present = sorted(
        (opinion for opinion in opinions if any(opinion.weight_for(quantity) > 0 for quantity in QUANTITIES)),
        key=lambda opinion: opinion.source,
    )
    if not present:
        return None
    with_categories = [opinion for opinion in present if opinion.weight_for('category') > 0]
    coverage = max(opinion.coverage for opinion in present)
    evidence = tuple(opinion.evidence for opinion in present if opinion.evidence)
    probabilities = pool(with_categories)
    valence, valence_weights = _dimension(present, 'valence')
    arousal, arousal_weights = _dimension(present, 'arousal')
    divergence, conflict = contradiction(with_categories)
    abstained = ''
    if divergence > CONTRADICTION_ABOVE:
        abstained, valence = 'contradiction', Dimension()
    elif probabilities is not None and probabilities.max() < UNSURE_BELOW:
        abstained, conflict = 'unsure', ()
    else:
        conflict = ()
    # In a contradiction no category wins, and each source keeps its own weight.
    contributed = (
        {opinion.source: opinion.weight for opinion in with_categories} if conflict else contributions(with_categories)
    )
    weights = _shares(contributed) or valence_weights or arousal_weights
    return Fused(
        None if abstained else probabilities, valence, arousal, weights, abstained, divergence, conflict, coverage,
        evidence, valence_weights, arousal_weights,
    )  # fmt: skip


def pool(opinions: Sequence[Opinion]) -> Floats | None:
    """(7,) the log-linear pool of the opinions that have categories; None where none has."""
    stating = [opinion for opinion in opinions if opinion.probabilities is not None]
    if not stating:
        return None
    scores = np.log(_REFERENCE)
    for opinion in sorted(stating, key=lambda item: item.source):
        scores = scores + opinion.weight * np.log(opinion.ratio)
    odds = np.exp(scores - scores.max())
    return np.asarray(odds / odds.sum())


def contributions(opinions: Sequence[Opinion]) -> dict[str, float]:
    """Source to its contribution to the log odds of the pool's likeliest category over the others,
    at least 0. If no source contributes, each has its weight."""
    pooled = pool(opinions)
    if pooled is None:
        return {}
    winner = int(pooled.argmax())
    others = np.where(np.arange(len(pooled)) == winner, 0.0, np.maximum(pooled, _LEAST_PROBABILITY))
    others /= others.sum()
    contributed = {}
    for opinion in opinions:
        log_ratio = np.log(opinion.ratio)
        contributed[opinion.source] = max(0.0, opinion.weight * float(log_ratio[winner] - others @ log_ratio))
    return (
        contributed
        if sum(contributed.values()) > _ROUNDING
        else {opinion.source: opinion.weight for opinion in opinions}
    )


def pool_dimension(parts: Sequence[tuple[float, float, float]], spread: float = _SPREAD['valence']) -> Dimension:
    """The precision-weighted mean of valence or arousal, with its 95 % interval.

    Precision is weight / (sd**2 + between), where `between` is the variance between sources beyond their own
    deviations. The interval rests on the sum of the precisions and the prior precision, 1 / spread**2: the less
    reliable the sources, the wider it is, up to the spread of the dimension itself.

    Args:
        parts: (value in [-1, 1], standard deviation > 0, weight in [0, 1]) per source; nan values do not count.
        spread: standard deviation of the dimension without any reading.

    Returns:
        Value and interval inside [-1, 1]; nan for no parts.
    """
    values, precision = _precisions(parts)
    if not values.size:
        return Dimension()
    mean = float(precision @ values / precision.sum())
    half_width = _Z95 / float(np.sqrt(precision.sum() + 1 / spread**2))
    return Dimension(*(min(max(value, -1.0), 1.0) for value in (mean, mean - half_width, mean + half_width)))


def _precisions(parts: Sequence[tuple[float, float, float]]) -> tuple[Floats, Floats]:
    """(S,) values and precisions of the parts without nan, the variance between sources included."""
    measured = sorted((v, sd, w) for v, sd, w in parts if np.isfinite(v) and np.isfinite(sd) and sd > 0 and w > 0)
    if not measured:
        return np.zeros(0), np.zeros(0)
    values, deviations, weights = (np.array(column, dtype=np.float64) for column in zip(*measured, strict=True))
    precision = weights / deviations**2
    mean = float(precision @ values / precision.sum())
    spread = float(precision @ (values - mean) ** 2)
    scale = precision.sum() - (precision**2).sum() / precision.sum()
    expected = float(weights @ (1 - precision / precision.sum()))
    between = max(0.0, (spread - expected) / scale) if len(values) > 1 and scale > _ROUNDING else 0.0
    # With two sources, the distance is uninformative if one hardly counts.
    between *= min(1.0, precision.sum() ** 2 / (precision**2).sum() - 1)
    return values, weights / (deviations**2 + between)


def _dimension(opinions: Sequence[Opinion], name: str) -> tuple[Dimension, dict[str, float]]:
    """The pooled dimension, and each source's share in it."""
    parts = sorted(
        (getattr(opinion, name), getattr(opinion, f'{name}_sd'), opinion.weight_for(name), opinion.source)
        for opinion in opinions
        if opinion.weight_for(name) > 0
    )
    values = [part[:3] for part in parts]
    precisions = _precisions(values)[1].tolist()  # in the order of the parts, which are sorted here as there
    shares = {part[3]: precision for part, precision in zip(parts, precisions, strict=True)}
    return pool_dimension(values, _SPREAD[name]), _shares(dict(sorted(shares.items())))


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    """The amounts over their sum."""
    total = sum(amounts.values())
    return {source: amount / total for source, amount in amounts.items()} if total > 0 else {}


def contradiction(opinions: Sequence[Opinion]) -> tuple[float, tuple[str, ...]]:
    """The largest divergence between two sources that are both sure of an emotion, and their names.

    Only sources with at least CONTRADICTION_WEIGHT and at least CONTRADICTION_EMOTION on one emotion other than neutral
    count, and only pairs whose likeliest emotions differ; emotions are renormalised without neutral.

    Returns:
        Bits in [0, 1] and two names; 0 and () where no two sources qualify.
    """
    candidates: list[tuple[str, Floats]] = []
    for opinion in sorted(opinions, key=lambda item: item.source):
        if opinion.probabilities is None or opinion.weight < CONTRADICTION_WEIGHT:
            continue
        emotions = alone(opinion)[:-1]
        if emotions.max() >= CONTRADICTION_EMOTION:
            candidates.append((opinion.source, emotions / emotions.sum()))
    largest = 0.0
    pair: tuple[str, ...] = ()
    for index, (left, left_shares) in enumerate(candidates):
        for right, right_shares in candidates[index + 1 :]:
            if left_shares.argmax() == right_shares.argmax():
                continue
            divergence = jensen_shannon(left_shares, right_shares)
            if divergence > largest:
                largest, pair = divergence, (left, right)
    return largest, pair


def jensen_shannon(left: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """The Jensen-Shannon divergence of two distributions in bits: 0 if they are equal, 1 if they share nothing.

        H((p + q) / 2) - (H(p) + H(q)) / 2

    Args:
        left: (K,) summing to 1.
        right: (K,) summing to 1.

    Raises:
        ShapeError: the shapes differ.
    """
    p, q = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 1:
        raise ShapeError(expected='two arrays (K,)', came=f'{p.shape} and {q.shape}', todo='use one label order')
    return float(np.clip(_entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2, 0.0, 1.0))


def _entropy(shares: Floats) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log2(positive)).sum())


def _prior(shares: Mapping[str, float]) -> Floats:
    """(7,) in EKMAN order, summing to 1."""
    values = np.maximum(np.array([shares.get(category, 0.0) for category in EKMAN]), _LEAST_PROBABILITY)
    return np.asarray(values / values.sum())


_REFERENCE = _prior(REFERENCE_PRIOR)
