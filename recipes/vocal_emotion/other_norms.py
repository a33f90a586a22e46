"""The same head with more of what it reads: unlabelled clips of the same corpus or speaker; and the table of all tries.

`TRIED` maps a name to a `Try`: a method, the values that are compared, and what it uses beside a turn.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from other_heads import (
    PENALTY,
    Array,
    Corpus,
    Method,
    Scores,
    Try,
    acoustics_alone,
    agreed_by_speakers,
    arousal_first,
    clipped,
    directions_removed,
    discriminant_of_speakers,
    flat,
    heads_of_layers,
    kernel_ridge,
    ledoit_wolf,
    logged,
    mean_of_layers,
    mixed_speakers,
    moved_speakers,
    of_statistics,
    one_layer,
    present,
    projected,
    prototypes,
    random_parts,
    softmax_head,
    speakers_penalised,
    standard,
    with_acoustics,
)

from affekt.labels import EKMAN


def corpus_centred(learn: Corpus, read: Corpus, value: float) -> Scores:
    """The read corpus moved to the mean of the learned one, and scaled to its spread to the power of the value."""
    x, t = flat(learn), flat(read)
    scale = (x.std(axis=0) + 1e-6) / (t.std(axis=0) + 1e-6)
    x, t = projected(x, (t - t.mean(axis=0)) * scale**value + x.mean(axis=0))
    return softmax_head(x, learn.truth, t)


def coral(learn: Corpus, read: Corpus, value: float) -> Scores:
    """CORAL: the learned covariance turned into the read one (Sun et al. 2016, arXiv:1511.05547), on so many
    components."""
    x, t = standard(learn, read, int(value))
    x, t = x - x.mean(axis=0), t - t.mean(axis=0)
    ridge = 0.1 * np.square(x).mean() * np.eye(x.shape[1])
    x = x @ _power(x.T @ x / len(x) + ridge, -0.5) @ _power(t.T @ t / len(t) + ridge, 0.5)
    return softmax_head(x, learn.truth, t)


def pooled_covariance(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Both corpora centred, then whitened by their pooled covariance to the power of the value."""
    x, t = standard(learn, read, 150)
    x, t = x - x.mean(axis=0), t - t.mean(axis=0)
    both = (x.T @ x / len(x) + t.T @ t / len(t)) / 2
    change = _power(both + 0.01 * np.trace(both) / len(both) * np.eye(len(both)), -value / 2)
    x, t = x @ change, t @ change
    size = np.sqrt(np.square(x).sum(axis=1).mean() / 3000)
    return softmax_head(x / size, learn.truth, t / size)


def _power(matrix: Array, exponent: float) -> Array:
    """A power of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * values**exponent) @ vectors.T)


def prior_shift(learn: Corpus, read: Corpus, value: float) -> Scores:
    """The present head, its prior fitted to the read corpus by EM (Saerens et al. 2002) at temperature `value`."""
    start = logged(present(learn, read, PENALTY) / value)
    kinds = np.unique(learn.truth)
    prior = np.full(kinds.size, 1 / kinds.size)
    for _ in range(50):
        powers = np.exp(start[:, kinds]) * prior
        prior = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    whole = start.copy()
    whole[:, kinds] += np.log(prior)
    return whole


def centred_by_speaker(others: int | None, scaled: bool = False) -> Method:
    """Every speaker's mean taken off: in training all clips, at reading that of so many other clips (None: all).

    The reading's mean is shrunk to that of the training by others / (others + value).
    """

    def method(learn: Corpus, read: Corpus, value: float) -> Scores:
        x, t = flat(learn), flat(read)
        scale = x.std(axis=0) + 1e-6
        middle = x.mean(axis=0)
        own, theirs = np.zeros_like(x), np.zeros_like(t)
        for who in np.unique(learn.speaker):
            clips = learn.speaker == who
            spread_ = x[clips].std(axis=0) + 0.1 * scale if scaled else scale
            own[clips] = (x[clips] - x[clips].mean(axis=0)) / spread_
        for row, clips in _others(read, others):
            share = clips.size / (clips.size + value)
            spread_ = t[clips].std(axis=0) + 0.1 * scale if scaled else scale
            theirs[row] = (t[row] - share * t[clips].mean(axis=0) - (1 - share) * middle) / spread_
        x, t = projected(own, theirs)
        return softmax_head(x, learn.truth, t)

    return method


def _others(read: Corpus, count: int | None) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Each clip with some clips of the same speaker, by chance, without looking at their categories."""
    rng = np.random.default_rng(0)
    for row, who in enumerate(read.speaker):
        clips = np.setdiff1d(np.flatnonzero(read.speaker == who), [row])
        yield row, clips if count is None else rng.choice(clips, min(count, clips.size), replace=False)


def against_own_neutral(learn: Corpus, read: Corpus, value: float) -> Scores:
    """Every speaker's neutral clips (known as such, a calibration) taken off; they count as read in any case."""
    x, t = flat(learn), flat(read)
    neutral = EKMAN.index('neutral')

    def relative(rows: Array, corpus: Corpus) -> Array:
        result = rows.copy()
        for row, who in enumerate(corpus.speaker):
            clips = (corpus.speaker == who) & (corpus.truth == neutral)
            clips[row] = False
            result[row] -= rows[clips].mean(axis=0)
        return result

    x, t = projected(relative(x, learn), relative(t, read))
    return softmax_head(x, learn.truth, t)


def acoustics_by_speaker(learn: Corpus, read: Corpus, value: float) -> Scores:
    """The acoustic descriptors, standardised by speaker on both sides; the value is the penalty."""

    def own(corpus: Corpus) -> Array:
        rows = corpus.acoustics.astype(np.float64)
        for who in np.unique(corpus.speaker):
            clips = corpus.speaker == who
            rows[clips] = (rows[clips] - rows[clips].mean(axis=0)) / (rows[clips].std(axis=0) + 1e-6)
        return rows

    return softmax_head(own(learn), learn.truth, own(read), value)


TRIED: dict[str, Try] = {
    'the present head: mean and deviation, all layers': Try(present, (PENALTY,)),
    'other penalties': Try(present, (3.0, 1.0, 0.1, 0.03, 0.01)),
    'means alone': Try(of_statistics(0), (1.0, 0.3, 0.1)),
    'mean, deviation and change': Try(of_statistics(0, 1, 2), (1.0, 0.3, 0.1)),
    'one layer': Try(one_layer, (1.0, 2.0, 3.0, 4.0)),
    'features averaged over layers': Try(mean_of_layers, (1.0, 0.3, 0.1)),
    'a head for each layer, averaged': Try(heads_of_layers),
    'heads on random parts of features and speakers': Try(random_parts, (0.1, 0.3)),
    'features weighted by agreement between speakers': Try(agreed_by_speakers, (0.5, 1.0, 2.0)),
    'features held within bounds': Try(clipped, (1.0, 2.0, 3.0)),
    'speaker directions removed': Try(directions_removed('speaker'), (1.0, 2.0, 3.0, 5.0, 8.0)),
    'sentence directions removed': Try(directions_removed('sentence'), (1.0, 5.0, 20.0)),
    'speaker directions penalised': Try(speakers_penalised, (1.0, 10.0, 100.0)),
    'discriminant analysis, Ledoit-Wolf': Try(ledoit_wolf, (50.0, 150.0, 300.0)),
    'discriminant analysis, speakers count more': Try(discriminant_of_speakers, (1.0, 5.0, 20.0, 100.0)),
    'kernel ridge': Try(kernel_ridge, (0.1, 0.3, 1.0, 3.0)),
    'prototypes': Try(prototypes, (0.0, 0.5, 1.0)),
    'mixup between speakers': Try(mixed_speakers, (1.0,)),
    'clips moved between speakers': Try(moved_speakers, (1.0, 2.0)),
    'arousal first, then categories': Try(arousal_first, (0.0, 0.5, 1.0)),
    'acoustic descriptors alone': Try(acoustics_alone, (0.1, 0.01, 0.001)),
    'with acoustic descriptors': Try(with_acoustics, (0.25, 0.5, 0.75)),
    'moved to the mean of the corpus': Try(corpus_centred, (0.0, 0.5, 1.0), 'corpus'),
    'CORAL': Try(coral, (30.0, 60.0, 120.0), 'corpus'),
    'whitened by the pooled covariance': Try(pooled_covariance, (0.0, 0.5, 1.0), 'corpus'),
    'prior fitted to the corpus': Try(prior_shift, (1.0, 2.0, 4.0), 'corpus'),
    'speaker mean removed, 3 other clips': Try(centred_by_speaker(3), (0.0, 3.0, 10.0), 'speaker'),
    'speaker mean removed, 10 other clips': Try(centred_by_speaker(10), (0.0, 3.0, 10.0), 'speaker'),
    'speaker mean removed, all other clips': Try(centred_by_speaker(None), (0.0,), 'speaker'),
    'speaker mean and deviation, all other clips': Try(centred_by_speaker(None, True), (0.0,), 'speaker'),
    'acoustic descriptors by speaker': Try(acoustics_by_speaker, (0.1, 0.01, 0.001), 'speaker'),
    "relative to the speaker's known neutral clips": Try(against_own_neutral, (0.0,), 'calibration'),
}
