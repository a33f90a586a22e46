"""Other heads, and other inputs to the same head, that learn from one corpus and read another, one turn at a time.

Each is a `Method`: a function of (learn, read, value) to scores. It never sees the truth of `read`.
Axes: N clips, L layers, D width, K principal components, 7 categories in EKMAN order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from affekt.labels import EKMAN

Array = npt.NDArray[np.float64]
Scores = Array

KINDS = len(EKMAN)
COMPONENTS = 300
PENALTY = 0.3
"""That of the shipped head over tiny.en."""
ITERATIONS = 150
ABSENT = -30.0
"""Score of a category that the training does not have."""
AROUSED = tuple(EKMAN.index(name) for name in ('anger', 'fear', 'happiness', 'surprise', 'disgust'))


@dataclass(frozen=True, eq=False)
class Corpus:
    """Clips as a head sees them.

    Attributes:
        layers: (N, L, 3, D) mean, standard deviation and change over frames of each layer.
        acoustics: (N, 21) acoustic summary, finite.
        truth: (N,) indices into EKMAN.
        speaker: (N,) numbers from 0.
        sentence: (N,) numbers from 0.
    """

    layers: npt.NDArray[np.float32]
    acoustics: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    speaker: npt.NDArray[np.int64]
    sentence: npt.NDArray[np.int64]

    def rows(self, keep: npt.NDArray[np.generic]) -> Corpus:
        """The clips of a mask or of indices."""
        return Corpus(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


Method = Callable[[Corpus, Corpus, float], Scores]


@dataclass(frozen=True)
class Try:
    """A way to learn from one corpus and read another.

    Attributes:
        method: to scores.
        values: of its one setting.
        uses: what of the read corpus it uses beside a turn: 'alone' for nothing, unlabelled clips of the 'speaker' or
            the 'corpus', or a 'calibration'.
    """

    method: Method
    values: tuple[float, ...] = (0.0,)
    uses: str = 'alone'


def flat(corpus: Corpus, statistics: tuple[int, ...] = (0, 1), layers: tuple[int, ...] | None = None) -> Array:
    """(N, P) chosen statistics of chosen layers."""
    chosen = corpus.layers if layers is None else corpus.layers[:, list(layers)]
    return chosen[:, :, list(statistics)].reshape(len(chosen), -1)


def projected(learn: Array, read: Array, components: int = COMPONENTS) -> tuple[Array, Array]:
    """Both on the first principal components of the standardised `learn`."""
    centre, scale = learn.mean(axis=0), learn.std(axis=0) + 1e-6
    learn, read = (learn - centre) / scale, (read - centre) / scale
    values, vectors = np.linalg.eigh((learn @ learn.T).astype(np.float64))
    values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
    keep = values > 1e-6 * values[0]
    axes = learn.T @ (vectors[:, keep] / np.sqrt(values[keep])).astype(learn.dtype)
    return (learn @ axes).astype(np.float64), (read @ axes).astype(np.float64)


@lru_cache(maxsize=8)
def standard(learn: Corpus, read: Corpus, components: int = COMPONENTS) -> tuple[Array, Array]:
    """`projected` of what the present head sees."""
    return projected(flat(learn), flat(read), components)


def balanced(truth: npt.NDArray[np.int64]) -> Array:
    """(N,) weights of sum 1, each category the same."""
    weight = 1 / np.bincount(truth, minlength=KINDS)[truth]
    return weight / weight.sum()


def softmax_head(
    inputs: Array,
    truth: npt.NDArray[np.int64],
    read: Array,
    penalty: float = PENALTY,
    quadratic: Array | None = None,
) -> Scores:
    """The shipped kind of head: multinomial logistic regression, penalty / 2 * tr(W' Q W) with Q the identity."""
    kinds = np.unique(truth)
    target, share = (truth[:, None] == kinds).astype(float), balanced(truth)[:, None]
    shape = (inputs.shape[1], kinds.size)
    metric = np.ones(shape[0]) if quadratic is None else quadratic

    def loss(flat_weights: Array) -> tuple[float, Array]:
        slopes, bias = flat_weights[: shape[0] * shape[1]].reshape(shape), flat_weights[shape[0] * shape[1] :]
        scores = inputs @ slopes + bias
        scores -= scores.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(scores).sum(axis=1, keepdims=True))
        error = share * (np.exp(scores - log_total) - target)
        bent = metric[:, None] * slopes if metric.ndim == 1 else metric @ slopes
        value = -(share * target * (scores - log_total)).sum() + penalty / 2 * (slopes * bent).sum()
        return value, np.concatenate([(inputs.T @ error + penalty * bent).ravel(), error.sum(axis=0)])

    start = np.zeros(shape[0] * shape[1] + shape[1])
    weights = minimize(loss, start, jac=True, method='L-BFGS-B', options={'maxiter': ITERATIONS}).x
    scores = read @ weights[: shape[0] * shape[1]].reshape(shape) + weights[shape[0] * shape[1] :]
    return spread(scores, kinds)


def spread(scores: Array, kinds: npt.NDArray[np.int64]) -> Scores:
    """(N, 7) scores, ABSENT for categories without one."""
    whole = np.full((len(scores), KINDS), ABSENT)
    whole[:, kinds] = scores - scores.max(axis=1, keepdims=True)
    return np.maximum(whole, ABSENT)


def logged(scores: Scores) -> Scores:
    """Log probabilities."""
    scores = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))


def means_of(inputs: Array, groups: npt.NDArray[np.int64]) -> Array:
    """(G, K) mean of each group."""
    return np.stack([inputs[groups == group].mean(axis=0) for group in np.unique(groups)])


def without_category(inputs: Array, truth: npt.NDArray[np.int64]) -> Array:
    """Each category's mean taken off."""
    rest = inputs.copy()
    for kind in np.unique(truth):
        rest[truth == kind] -= inputs[truth == kind].mean(axis=0)
    return rest


def scatter_of(inputs: Array, learn: Corpus) -> tuple[Array, Array, Array]:
    """(C, K) category means, and (K, K) covariances within categories: between speakers, and within a speaker."""
    rest = without_category(inputs, learn.truth)
    between = means_of(rest, learn.speaker)
    within = rest - between[np.searchsorted(np.unique(learn.speaker), learn.speaker)]
    return means_of(inputs, learn.truth), between.T @ between / len(between), within.T @ within / len(within)


def shrunk(covariance: Array, rows: Array) -> Array:
    """Ledoit & Wolf's shrinkage to a multiple of the identity (2004, doi:10.1016/S0047-259X(03)00096-4)."""
    count, size = rows.shape
    mean = np.trace(covariance) / size
    distance = np.square(covariance).sum() / size - mean**2
    error = (np.square(np.square(rows).sum(axis=1)).sum() / count - np.square(covariance).sum()) / count / size
    share = float(np.clip(error / distance, 0, 1))
    return (1 - share) * covariance + share * mean * np.eye(size)


def discriminant(means: Array, covariance: Array, kinds: npt.NDArray[np.int64], read: Array) -> Scores:
    """Linear discriminant scores with equal priors."""
    solved = np.linalg.solve(covariance, means.T)  # (K, C)
    return spread(read @ solved - 0.5 * np.einsum('ck,kc->c', means, solved), kinds)


def of_statistics(*statistics: int) -> Method:
    """The present head on other statistics; the value is its penalty."""

    def method(learn: Corpus, read: Corpus, value: float) -> Scores:
        x, t = projected(flat(learn, statistics), flat(read, statistics))
        return softmax_head(x, learn.truth, t, value)

    return method


def one_layer(learn: Corpus, read: Corpus, value: float) -> Scores:
    """A single layer, counted from 1."""
    x, t = projected(flat(learn, layers=(int(value) - 1,)), flat(read, layers=(int(value) - 1,)))
    return softmax_head(x, learn.truth, t)


def mean_of_layers(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Features averaged over layers that were standardised one by one."""

    def averaged(corpus: Corpus) -> Array:
        return np.mean([(flat(corpus, layers=(i,)) - centre[i]) / scale[i] for i in range(count)], axis=0)

    count = learn.layers.shape[1]
    centre = [flat(learn, layers=(i,)).mean(axis=0) for i in range(count)]
    scale = [flat(learn, layers=(i,)).std(axis=0) + 1e-6 for i in range(count)]
    x, t = projected(averaged(learn), averaged(read))
    return softmax_head(x, learn.truth, t, value)


def heads_of_layers(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Mean log probabilities of a head on each layer."""
    return np.mean([logged(one_layer(learn, read, i + 1)) for i in range(learn.layers.shape[1])], axis=0)


def random_parts(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Mean log probabilities of heads, each on a random share of the features and half of the speakers."""
    rng, total = np.random.default_rng(0), np.zeros((len(read.truth), KINDS))
    x, t = flat(learn), flat(read)
    speakers = np.unique(learn.speaker)
    for _ in range(6):
        columns = rng.random(x.shape[1]) < value
        some = np.isin(learn.speaker, rng.choice(speakers, max(3, speakers.size // 2), replace=False))
        total += logged(softmax_head(*_pair(learn.truth[some], *projected(x[some][:, columns], t[:, columns], 150))))
    return total / 6


def _pair(truth: npt.NDArray[np.int64], x: Array, t: Array) -> tuple[Array, npt.NDArray[np.int64], Array]:
    return x, truth, t


def agreed_by_speakers(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Features weighted by how well speakers agree on them: (F / (1 + F)) ** value.

    F is the variance of the categories' means over the mean square of how speakers deviate from them.
    """
    x, t = flat(learn), flat(read)
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, t = (x - centre) / scale, (t - centre) / scale
    own = x - means_of(x, learn.speaker)[np.searchsorted(np.unique(learn.speaker), learn.speaker)]
    cells = learn.speaker * KINDS + learn.truth
    means = means_of(own, cells)
    kind = np.unique(cells) % KINDS
    signal = means_of(means, kind)
    ratio = signal.var(axis=0) / np.square(without_category(means, kind)).mean(axis=0)
    weight = (ratio / (1 + ratio)) ** value
    axes = np.linalg.svd(x * weight, full_matrices=False)[2][:COMPONENTS].T
    x, t = (x * weight) @ axes, (t * weight) @ axes
    size = np.sqrt(np.square(x).sum(axis=1).mean() / weight.size)
    return softmax_head(x / size, learn.truth, t / size)


def clipped(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Standardised features held within plus and minus the value."""
    x, t = flat(learn), flat(read)
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    x, t = (np.clip((each - centre) / scale, -value, value) for each in (x, t))
    x, t = projected(x, t)
    return softmax_head(x, learn.truth, t)


def differing_axes(inputs: Array, learn: Corpus, of: str, count: int) -> Array:
    """(K, count) orthonormal directions in which the means of speakers, or of sentences, differ most.

    Categories are taken off first; before sentences are compared, speakers are as well.
    """
    rest = without_category(inputs, learn.truth)
    if of == 'sentence':
        rest -= means_of(rest, learn.speaker)[np.searchsorted(np.unique(learn.speaker), learn.speaker)]
    means = means_of(rest, getattr(learn, of))
    return np.asarray(np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][:count].T)


def directions_removed(of: str) -> Method:
    """Nuisance attribute projection: so many of the `differing_axes` are taken out."""

    def method(learn: Corpus, read: Corpus, value: float) -> Scores:
        x, t = standard(learn, read)
        axes = differing_axes(x, learn, of, int(value))
        return softmax_head(x - x @ axes @ axes.T, learn.truth, t - t @ axes @ axes.T)

    return method


def speakers_penalised(learn: Corpus, read: Corpus, value: float) -> Scores:
    """The head's penalty grows along directions in which speakers differ: Q = I + value * between / mean within."""
    x, t = standard(learn, read)
    _, between, within = scatter_of(x, learn)
    metric = np.eye(x.shape[1]) + value * between / (np.trace(within) / len(within))
    return softmax_head(x, learn.truth, t, quadratic=metric)


def ledoit_wolf(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Linear discriminant analysis with Ledoit-Wolf shrinkage on the first components."""
    x, t = standard(learn, read, int(value))
    rest = without_category(x, learn.truth)
    covariance = shrunk(rest.T @ rest / len(rest), rest)
    return discriminant(means_of(x, learn.truth), covariance, np.unique(learn.truth), t)


def discriminant_of_speakers(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Linear discriminant analysis in which the covariance between speakers counts so many times."""
    x, t = standard(learn, read, 150)
    means, between, within = scatter_of(x, learn)
    rest = without_category(x, learn.truth)
    return discriminant(means, shrunk(within, rest) + value * between, np.unique(learn.truth), t)


def kernel_ridge(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Kernel ridge regression on the categories, Gaussian kernel; the value is gamma times the mean square norm."""
    x, t = standard(learn, read)
    size = np.sqrt(np.square(x).sum(axis=1).mean())
    x, t = x / size, t / size
    square = np.square(x).sum(axis=1)
    kinds = np.unique(learn.truth)
    target = (learn.truth[:, None] == kinds) - 1 / kinds.size
    weight = balanced(learn.truth) * len(x)
    gram = np.exp(-value * (square[:, None] + square - 2 * x @ x.T))
    cross = np.exp(-value * (np.square(t).sum(axis=1)[:, None] + square - 2 * t @ x.T))
    return spread(cross @ np.linalg.solve(gram + 0.3 * np.diag(1 / weight), target) * 5, kinds)


def prototypes(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Cosine to category means, averaged over speakers, on components that were whitened to the power of the value."""
    x, t = standard(learn, read, 150)
    scale = x.std(axis=0) ** value
    x, t = x / scale, t / scale
    x, t = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (x, t))
    cells = learn.truth * 1000 + learn.speaker
    means = means_of(means_of(x, cells), np.unique(cells) // 1000)
    means = means - means.mean(axis=0)
    return spread(10 * t @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T, np.unique(learn.truth))


def mixed_speakers(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Each clip also mixed with one of the same category by another speaker (mixup within categories)."""
    rng, x = np.random.default_rng(0), flat(learn)
    rows, truths = [x], [learn.truth]
    for _ in range(int(value)):
        partner = np.array([
            rng.choice(np.flatnonzero((learn.truth == kind) & (learn.speaker != who)))
            for kind, who in zip(learn.truth, learn.speaker, strict=True)
        ])  # fmt: skip
        share = rng.uniform(0.3, 0.7, (len(x), 1))
        rows.append(share * x + (1 - share) * x[partner])
        truths.append(learn.truth)
    inputs, t = projected(np.concatenate(rows), flat(read))
    return softmax_head(inputs, np.concatenate(truths), t)


def moved_speakers(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Each clip also moved by the value times the difference of two speakers' means: people whom nobody heard."""
    rng, x = np.random.default_rng(0), flat(learn)
    means = means_of(without_category(x, learn.truth), learn.speaker)
    one, other = rng.integers(0, len(means), (2, len(x)))
    inputs, t = projected(np.concatenate([x, x + value * (means[one] - means[other])]), flat(read))
    return softmax_head(inputs, np.tile(learn.truth, 2), t)


def acoustics_alone(learn: Corpus, read: Corpus, value: float) -> Scores:
    """The acoustic descriptors without layers; the value is the penalty."""
    x, t = learn.acoustics.astype(np.float64), read.acoustics.astype(np.float64)
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    return softmax_head((x - centre) / scale, learn.truth, np.clip((t - centre) / scale, -3, 3), value)


def with_acoustics(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Mean log probabilities of the present head and the acoustic one, the latter weighing the value."""
    layers, acoustics = present(learn, read, PENALTY), acoustics_alone(learn, read, 0.01)
    return (1 - value) * logged(layers) + value * logged(acoustics)


def arousal_first(learn: Corpus, read: Corpus, value: float) -> Scores:
    """High or low arousal from acoustics and layers, then a head for the categories of each."""
    is_aroused = np.isin(learn.truth, AROUSED).astype(np.int64)
    x, t = standard(learn, read)
    whole = np.zeros((len(t), KINDS))
    half = replace(learn, truth=is_aroused)
    gate = logged(value * acoustics_alone(half, read, 0.01) + (1 - value) * softmax_head(x, is_aroused, t))
    for group in (0, 1):
        some = is_aroused == group
        scores = logged(softmax_head(x[some], learn.truth[some], t))
        kinds = np.unique(learn.truth[some])
        whole[:, kinds] = scores[:, kinds] + gate[:, group, None] + np.log(kinds.size)
    missing = np.setdiff1d(np.arange(KINDS), learn.truth)
    whole[:, missing] = ABSENT
    return whole


present: Method = of_statistics(0, 1)
