"""What face, voice and words say together about one person during one step of time.

Each source gives an `Opinion`: calibrated probabilities of the seven categories, valence and arousal with a standard
deviation, and how much it should count. `fuse` pools the categories by a log-linear opinion pool against a shared prior

    p(k) ~ prior(k) * product over sources of (p_s(k) / prior_s(k)) ** w_s
    w_s  = reliability * quality * sqrt(coverage)

(naive Bayes with discounted exponents: a source counts in full only if its model is perfect, its input clean and the
step wholly covered; of half a second, less than half is lost), and the dimensions by a precision-weighted mean with a
between-source variance (random effects). A source that is absent equals one of weight 0; the order never matters; a
source whose likelihood ratio peaks at the pool's own winner never lowers its probability. A linear pool would break the
last of these: a hesitant ally would cost confidence.

Where two sources are each sure of an emotion and not of the same, the step abstains. K categories (7), S sources.

Source: Genest & Zidek 1986, doi:10.1214/ss/1177013825 (pools); Lin 1991, doi:10.1109/18.61115 (Jensen-Shannon);
DerSimonian & Laird 1986, doi:10.1016/0197-2456(86)90046-2 (variance between sources).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.errors import ShapeError, ValueRangeError
from affekt.labels import EKMAN

EVERYDAY_PRIOR: Mapping[str, float] = {
    'anger': 0.127, 'disgust': 0.085, 'fear': 0.085, 'happiness': 0.159, 'sadness': 0.106, 'surprise': 0.132,
    'neutral': 0.307,
}  # fmt: skip
"""How often each category is met before anything is seen: half uniform, half the shares of MELD's 9,989 training
utterances (anger .111, disgust .027, fear .027, joy .174, sadness .068, surprise .121, neutral .472)."""

UNSURE_BELOW = 0.35
"""A step whose likeliest category stays below this probability abstains; always guessing neutral would reach 0.31."""

CONTRADICTION_ABOVE = 0.45
"""Jensen-Shannon divergence, in bits, between two sources' emotions above which they contradict; 1 where they share
nothing. Two sources with 0.7 on different emotions and the rest spread evenly reach 0.46; with 0.65, 0.39."""

CONTRADICTION_EMOTION = 0.5
"""Least probability of any emotion (not neutral) for a source to take part in a contradiction: a calm face under angry
words is restraint, not contradiction."""

CONTRADICTION_WEIGHT = 0.15
"""Least weight of a source to take part in a contradiction."""

_FLOOR = 1e-4
_ROUNDING = 1e-12
"""Probabilities this near to a sum of 1 stay as they are: what is normal already is not divided again."""
_Z95 = 1.959964


@dataclass(frozen=True)
class Opinion:
    """What one source says about one person over one span: a turn, an utterance, a step.

    Raises:
        ShapeError: probabilities are not (7,).
        ValueRangeError: they do not sum to 1, or a weight or dimension is out of range.
    """

    source: str
    """'face', 'voice' or 'words'."""
    probabilities: Floats | None = None
    """(7,) in EKMAN order, calibrated; None where the source has no say on categories."""
    valence: float = float('nan')
    arousal: float = float('nan')
    valence_sd: float = float('nan')
    arousal_sd: float = float('nan')
    """Standard deviations of the dimensions; a dimension counts only where both it and its deviation are known."""
    reliability: float = 1.0
    """How much of the model's advantage over chance survives outside its training data, in [0, 1]."""
    quality: float = 1.0
    """How clean the input was (size, blur, head turn; loudness over noise; words heard surely), in [0, 1]."""
    coverage: float = 1.0
    """Which part of the step the source measured, in [0, 1]."""
    prior: Mapping[str, float] | None = None
    """The model's training prior over EKMAN; None for EVERYDAY_PRIOR (nothing to correct)."""
    evidence: str = ''
    start_s: float = 0.0
    """The span that it is about; of no weight in the fusion of one step."""
    end_s: float = 0.0

    def __post_init__(self) -> None:
        if self.probabilities is not None:
            given = np.asarray(self.probabilities, dtype=np.float64)
            if given.shape != (len(EKMAN),):
                raise ShapeError(expected='probabilities (7,)', came=f'{given.shape}', todo='use EKMAN order')
            if not (np.all(given >= 0) and abs(given.sum() - 1) < 1e-3):
                raise ValueRangeError(
                    expected='probabilities that sum to 1', came=f'{given.sum()}', todo='leave the source out instead'
                )
            is_normal = abs(given.sum() - 1) < _ROUNDING
            object.__setattr__(self, 'probabilities', given if is_normal else given / given.sum())
        for name in ('reliability', 'quality', 'coverage'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueRangeError(
                    expected=f'{name} in [0, 1]', came=f'{getattr(self, name)}', todo='clip or leave the source out'
                )

    @property
    def weight(self) -> float:
        """reliability times quality times the root of coverage."""
        return self.reliability * self.quality * float(np.sqrt(self.coverage))

    @property
    def confidence(self) -> float:
        """The probability of the likeliest category; nan without categories."""
        return float(self.probabilities.max()) if self.probabilities is not None else float('nan')


@dataclass(frozen=True)
class Dimension:
    """A pooled valence or arousal with its 95 % interval; nan where no source had one."""

    value: float = float('nan')
    low: float = float('nan')
    high: float = float('nan')


@dataclass(frozen=True)
class Fused:
    """What all sources say together.

    probabilities: (7,) or None where no source had categories or the step abstains. abstained: '', 'contradiction'
    (between `conflict`) or 'unsure' (dimensions may still be known). weights: share of each source, summing to 1.
    """

    probabilities: Floats | None
    valence: Dimension
    arousal: Dimension
    weights: Mapping[str, float]
    abstained: str = ''
    divergence: float = 0.0
    """Largest divergence between two sources that are sure of an emotion, bits."""
    conflict: tuple[str, ...] = ()
    coverage: float = 0.0
    """The widest coverage among the sources."""
    evidence: tuple[str, ...] = field(default=())

    @property
    def confidence(self) -> float:
        """The probability of the likeliest category; nan where there is none."""
        return float(self.probabilities.max()) if self.probabilities is not None else float('nan')


def fuse(opinions: Sequence[Opinion]) -> Fused | None:
    """What the opinions say together; None where nothing was measured (the step is then missing, not neutral).

    1. Leave out opinions of weight 0. 2. Pool categories. 3. Pool dimensions. 4. Abstain where they contradict.
    5. Abstain from categories where none is likely enough.

    Args:
        opinions: at most one per source; the order does not matter.
    """
    heard = sorted((o for o in opinions if o.weight > 0 and _says_something(o)), key=lambda o: o.source)
    if not heard:
        return None
    total = sum(opinion.weight for opinion in heard)
    weights = {opinion.source: opinion.weight / total for opinion in heard}
    coverage = max(opinion.coverage for opinion in heard)
    evidence = tuple(opinion.evidence for opinion in heard if opinion.evidence)
    divergence, conflict = contradiction(heard)
    if divergence > CONTRADICTION_ABOVE:
        return Fused(None, Dimension(), Dimension(), weights, 'contradiction', divergence, conflict, coverage, evidence)
    probabilities = pool(heard)
    valence = pool_dimension([(o.valence, o.valence_sd, o.weight) for o in heard])
    arousal = pool_dimension([(o.arousal, o.arousal_sd, o.weight) for o in heard])
    unsure = probabilities is not None and probabilities.max() < UNSURE_BELOW
    return Fused(
        None if unsure else probabilities, valence, arousal, weights, 'unsure' if unsure else '', divergence, (),
        coverage, evidence,
    )  # fmt: skip


def pool(opinions: Sequence[Opinion]) -> Floats | None:
    """(7,) the log-linear pool of the opinions that have categories; None where none has."""
    voices = [opinion for opinion in opinions if opinion.probabilities is not None]
    if not voices:
        return None
    scores = np.log(_prior(EVERYDAY_PRIOR))
    for opinion in sorted(voices, key=lambda o: o.source):
        scores = scores + opinion.weight * np.log(likelihood_ratio(opinion))
    odds = np.exp(scores - scores.max())
    return np.asarray(odds / odds.sum())


def likelihood_ratio(opinion: Opinion) -> Floats:
    """(7,) an opinion's probabilities over its model's training prior; how much more likely each became."""
    shares = np.maximum(np.asarray(opinion.probabilities), _FLOOR)
    return np.asarray(shares / _prior(opinion.prior or EVERYDAY_PRIOR))


def pool_dimension(parts: Sequence[tuple[float, float, float]]) -> Dimension:
    """The precision-weighted mean of valence or arousal, with its 95 % interval.

    Precision is weight / (sd**2 + between), where `between` is what the sources differ by beyond their own deviations.
    The interval is that of the weighted mean, for sources whose errors are independent.

    Args:
        parts: (value in [-1, 1], standard deviation > 0, weight in [0, 1]) per source; nan values do not count.

    Returns:
        Value and interval inside [-1, 1]; nan for no parts.
    """
    known = sorted((v, sd, w) for v, sd, w in parts if np.isfinite(v) and np.isfinite(sd) and sd > 0 and w > 0)
    if not known:
        return Dimension()
    values, deviations, weights = (np.array(column, dtype=np.float64) for column in zip(*known, strict=True))
    precision = weights / deviations**2
    centre = float(precision @ values / precision.sum())
    spread = float(precision @ (values - centre) ** 2)
    scale = precision.sum() - (precision**2).sum() / precision.sum()
    between = max(0.0, (spread - (len(values) - 1)) / scale) if len(values) > 1 and scale > 0 else 0.0
    precision = weights / (deviations**2 + between)
    shares = precision / precision.sum()
    centre = float(shares @ values)
    reach = _Z95 * float(np.sqrt(shares**2 @ (deviations**2 + between)))
    return Dimension(*(float(np.clip(value, -1.0, 1.0)) for value in (centre, centre - reach, centre + reach)))


def contradiction(opinions: Sequence[Opinion]) -> tuple[float, tuple[str, ...]]:
    """The largest divergence between two sources that are both sure of an emotion, and which two.

    Only sources with at least CONTRADICTION_WEIGHT and at least CONTRADICTION_EMOTION on emotions other than neutral
    count, and only pairs whose likeliest emotions differ; emotions are compared as they are among themselves.

    Returns:
        Bits in [0, 1] and two names; 0 and () where no two sources qualify.
    """
    sure: list[tuple[str, Floats]] = []
    for opinion in sorted(opinions, key=lambda o: o.source):
        if opinion.probabilities is None or opinion.weight < CONTRADICTION_WEIGHT:
            continue
        emotions = np.asarray(opinion.probabilities)[:-1]
        if emotions.sum() >= CONTRADICTION_EMOTION:
            sure.append((opinion.source, emotions / emotions.sum()))
    largest = 0.0
    pair: tuple[str, ...] = ()
    for index, (left, ours) in enumerate(sure):
        for right, theirs in sure[index + 1 :]:
            if ours.argmax() == theirs.argmax():
                continue
            divergence = jensen_shannon(ours, theirs)
            if divergence > largest:
                largest, pair = divergence, (left, right)
    return largest, pair


def jensen_shannon(left: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """The Jensen-Shannon divergence of two distributions in bits: 0 where they are equal, 1 where they share nothing.

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


def _says_something(opinion: Opinion) -> bool:
    dimensions = ((opinion.valence, opinion.valence_sd), (opinion.arousal, opinion.arousal_sd))
    return opinion.probabilities is not None or any(np.isfinite(v) and np.isfinite(sd) for v, sd in dimensions)


def _prior(shares: Mapping[str, float]) -> Floats:
    """(7,) in EKMAN order, summing to 1."""
    values = np.maximum(np.array([shares.get(category, 0.0) for category in EKMAN]), _FLOOR)
    return np.asarray(values / values.sum())
