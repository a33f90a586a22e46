"""Leaderboards from comparisons: strengths with intervals, ranks, diagnosis, biases and the next pairs to compare.

`rank` is the main path; each of its steps is a function of another file of this room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats
from affekt.errors import AffektError, UnknownNameError, ValueRangeError
from affekt.ranking.biases import Bias, biases
from affekt.ranking.bootstrap import bootstrap, percentile_intervals
from affekt.ranking.bradley_terry import Fit, fit
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.counts import count
from affekt.ranking.diagnosis import Diagnosis
from affekt.ranking.ranks import Places, better, places, silent_pairs
from affekt.ranking.reading import read_comparisons
from affekt.ranking.references import elo, tallies, win_rates
from affekt.ranking.schedule import Pair, more_needed, next_pairs
from affekt.ranking.ties import tie_model
from affekt.ranking.uncertainty import CLUSTERS, METHODS, Bounds, Spread, intervals, spread, strength_contrasts
from affekt.runs import file_sha256, versions
from affekt.typed_json import plain

FEWEST_CLUSTERS = 10
"""Minimum number of samples or raters for robust intervals; with fewer, 'auto' does not cluster by them."""
MOST_PROFILED, MOST_PROFILED_ENTRIES = 150, 600_000
"""Number of items, and of items times cells, up to which profile intervals take seconds."""
MOST_IN_NOTE = 10
"""Maximum number of items that a note names."""
BOOTSTRAP = 'bootstrap'
"""Intervals from resamples."""
AUTO = 'auto'
"""Clusters chosen by the comparisons."""


@dataclass(frozen=True)
class RankSettings:
    """Settings of a ranking."""

    ties: str = 'half'
    """half, davidson or rao-kupper."""
    control: tuple[str, ...] = ()
    """Covariates whose effect is removed from the strengths."""
    order: bool = False
    """Whether the effect of being shown first is removed as well."""
    prior: float | None = None
    """Standard deviation, in log-odds, of a Gaussian prior; None for plain maximum likelihood."""
    cluster: tuple[str, ...] | str = AUTO
    """'sample', 'rater', a tuple of both, or () for independent comparisons; 'auto' for those that repeat, with at
    least 10. One name is stored as a tuple."""
    intervals: str = 'profile'
    """profile, sandwich or bootstrap."""
    level: float = 0.95
    """Coverage of intervals and of sets of ranks, in (0, 1)."""
    resamples: int = 1000
    """Number of resamples of the bootstrap."""
    seed: int = 0
    """Seed of resamples and of the sets of ranks."""

    def __post_init__(self) -> None:
        tie_model(self.ties)
        if isinstance(self.cluster, str) and self.cluster != AUTO:
            object.__setattr__(self, 'cluster', (self.cluster,))
        if self.intervals not in (*METHODS, BOOTSTRAP):
            raise UnknownNameError(
                expected=f'intervals among {", ".join((*METHODS, BOOTSTRAP))}',
                came=repr(self.intervals),
                todo='choose one of these',
            )
        if not 0.0 < self.level < 1.0:
            raise ValueRangeError(
                expected='a level between 0 and 1', came=f'{self.level}', todo='give for example 0.95'
            )
        if self.intervals == BOOTSTRAP and self.prior is not None:
            raise ValueRangeError(
                expected='profile or sandwich intervals with a prior',
                came='a bootstrap, whose percentiles then hold the truth in 79 % instead of 95 %',
                todo='choose profile, or leave the prior out',
            )
        if self.intervals == BOOTSTRAP and self.cluster != AUTO and len(self.cluster) > 1:
            raise ValueRangeError(
                expected='one kind of cluster for a bootstrap',
                came=', '.join(self.cluster),
                todo='choose sample or rater, or use profile intervals',
            )


@dataclass(frozen=True)
class Standing:
    """One row of the leaderboard."""

    rank: int
    """Rank by strength, from 1; equal strengths share it."""
    best_rank: int
    """Best rank of the confidence set, from `best_rank` to `worst_rank`; the sets hold for all items together."""
    worst_rank: int
    """Worst rank of the confidence set."""
    item: str
    """Name of the item."""
    strength: float
    """Log-odds; 0 is the mean of all items."""
    low: float
    """Lower end of the interval; nan where the uncertainty is unknown."""
    high: float
    """Upper end of the interval."""
    wins: float
    """Weighted comparisons that it won."""
    losses: float
    """Weighted comparisons that it lost."""
    ties: float
    """Weighted comparisons that tied."""
    win_rate: float
    """Wins and half the ties over all of its comparisons; nan without any."""
    elo: float
    """Elo rating, which depends on the order of the rows; nan where single rows count for too many comparisons."""
    not_told_apart: tuple[str, ...]
    """Items that may truly rank above or below it."""
    more_to_next: float
    """Further comparisons with the next item that would tell the two apart, see `more_needed`; nan for the last."""


@dataclass(frozen=True)
class Ranking:
    """A leaderboard with its diagnosis, biases and settings."""

    standings: tuple[Standing, ...]
    """Rows, strongest first; equal strengths by name."""
    better: Floats
    """(K, K) probability that the item of the row is truly stronger than that of the column, ordered as `standings`."""
    biases: tuple[Bias, ...]
    """Influences on the verdicts besides the items."""
    diagnosis: Diagnosis
    """Reasons why the prior alone bounds some strengths."""
    tie_parameter: float | None
    """log nu of Davidson, log theta of Rao and Kupper; None without a tie model or without ties."""
    clusters: Mapping[str, int]
    """Clustering of the intervals (`sample`, `rater`) to the number of clusters."""
    next_pairs: tuple[Pair, ...]
    """Pairs to compare next."""
    notes: tuple[str, ...]
    """Sentences that are needed for reading the leaderboard."""
    facts: Mapping[str, int]
    """Numbers of comparisons, ties, samples and raters, and counts from reading."""
    settings: RankSettings
    """Settings of the ranking."""
    flagged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Raters whose votes count although they are flagged, with their flags."""
    without_flagged: tuple[Standing, ...] = ()
    """The leaderboard without flagged raters; () if there are none, or the other raters' votes cannot be ranked."""

    def rows(self) -> list[dict[str, Any]]:
        """The leaderboard as plain dictionaries."""
        return [asdict(standing) for standing in self.standings]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, nan and infinity as None: ready for JSON."""
        content: dict[str, Any] = plain(
            {
                'standings': self.rows(),
                'better': self.better.tolist(),
                'biases': [{**asdict(bias), 'chance': bias.chance} for bias in self.biases],
                'diagnosis': self.diagnosis.to_dict(),
                'tie_parameter': self.tie_parameter,
                'clusters': dict(self.clusters),
                'next_pairs': [asdict(pair) for pair in self.next_pairs],
                'notes': list(self.notes),
                'facts': dict(self.facts),
                'settings': asdict(self.settings),
                'flagged': {rater: list(flags) for rater, flags in self.flagged.items()},
                'without_flagged': [asdict(standing) for standing in self.without_flagged],
            }
        )
        return content


def rank(comparisons: Comparisons, settings: RankSettings | None = None) -> Ranking:
    """The leaderboard of comparisons.

    Args:
        comparisons: the verdicts.
        settings: settings of the ranking; None for the defaults.

    Returns:
        A Ranking. With a prior it may include items that comparisons alone cannot rank; its notes name them.

    Raises:
        UnrankableError: there are no finite strengths and no prior, or the items determine an effect completely.
        UnknownNameError: a setting names something that does not exist.
        ComparisonError: the comparisons lack the sample or rater to cluster by.

    >>> votes = Comparisons.of(['a', 'a', 'b', 'b'], ['b', 'b', 'a', 'c'], ['left'] * 4)
    >>> rank(votes, RankSettings(prior=1.0)).notes[0]
    'only the prior holds them: c is without a win or tie'
    """
    used = settings or RankSettings()
    # 1. Counts and fit; data that cannot be ranked raise an error here.
    cells = count(comparisons, control=used.control, order=used.order)
    fitted = fit(cells, ties=used.ties, prior=used.prior)
    # 2. Uncertainty.
    cluster, notes = _clusters(comparisons, used)
    covariance = spread(fitted, comparisons, cluster)
    if cluster and not fitted.is_tied_throughout and _is_partly_silent(fitted, covariance):
        notes.append(f'not clustered by {" and ".join(cluster)}: all of them say the same of some items')
        cluster = ()
        covariance = spread(fitted, comparisons)
    bounds, interval_notes = _bounds(fitted, comparisons, covariance, used, cluster)
    # 3. Ranks and pairwise probabilities.
    ranks = places(fitted, covariance, rng=np.random.default_rng(used.seed), level=used.level)
    strengths = np.round(fitted.strengths, 9).tolist()
    order = sorted(range(len(strengths)), key=lambda item: (-strengths[item], fitted.items[item]))
    standings = _standings(comparisons, fitted, covariance, bounds, ranks, order, used.level)
    # 4. Biases, flagged raters and the next pairs.
    unflagged, flag_notes = _without_flagged(comparisons, used)
    return Ranking(
        standings=standings,
        better=better(fitted, covariance)[np.ix_(order, order)],
        biases=biases(comparisons, fitted, cluster=cluster, level=used.level),
        diagnosis=fitted.diagnosis,
        tie_parameter=fitted.tau,
        clusters=covariance.clusters,
        next_pairs=tuple(next_pairs(fitted, number=3)),
        notes=(
            *_prior_notes(fitted),
            *_tie_notes(fitted),
            *notes,
            *interval_notes,
            *_elo_notes(standings),
            *flag_notes,
            *comparisons.notes,
        ),
        facts=_facts(comparisons),
        settings=used,
        flagged=dict(comparisons.rater_flags),
        without_flagged=unflagged,
    )


def ranked_file(path: Path, *, cluster: str | None = None, **settings: Any) -> tuple[Ranking, dict[str, Any]]:
    """The leaderboard of a file, with its provenance.

    Args:
        path: see `read_comparisons`.
        cluster: 'sample', 'rater', 'both', 'none', or None for 'auto'.
        settings: fields of RankSettings.

    Returns:
        The Ranking, and the provenance: name and sha256 of the file, versions of the software.

    Raises:
        AffektError: see `read_comparisons` and `rank`.
    """
    cluster_names: dict[str | None, tuple[str, ...] | str] = {
        None: AUTO,
        AUTO: AUTO,
        'none': (),
        'both': CLUSTERS,
        **{name: (name,) for name in CLUSTERS},
    }
    if cluster not in cluster_names:
        raise UnknownNameError(
            expected=f'a cluster among {", ".join(CLUSTERS)}, both, none, {AUTO}',
            came=repr(cluster),
            todo='choose one of these',
        )
    used = RankSettings(cluster=cluster_names[cluster], **settings)
    ranking = rank(read_comparisons(path), used)
    return ranking, {'input': path.name, 'sha256': file_sha256(path), 'versions': versions()}


def _without_flagged(comparisons: Comparisons, settings: RankSettings) -> tuple[tuple[Standing, ...], list[str]]:
    """The leaderboard without flagged raters, and notes on them; empty where nobody is flagged."""
    flags = comparisons.rater_flags
    if not flags or comparisons.rater is None:
        return (), []
    is_flagged = np.isin(comparisons.rater, [number for number, name in enumerate(comparisons.raters) if name in flags])
    counts = {name: int((comparisons.rater == comparisons.raters.index(name)).sum()) for name in flags
              if name in comparisons.raters}  # fmt: skip
    listing = '; '.join(f'{name} ({", ".join(flags[name])}), {number:,} comparisons' for name, number in counts.items())
    if not is_flagged.any():
        return (), []
    notes = [f'counted although flagged: {listing}']
    if is_flagged.all():
        return (), [*notes, 'without flagged raters nothing is left to rank']
    try:
        ranking = rank(replace(comparisons.take(~is_flagged), rater_flags={}), settings)
    except AffektError as error:
        return (), [*notes, f'without flagged raters nothing can be ranked: {error.came}']
    return ranking.standings, notes


def _clusters(comparisons: Comparisons, settings: RankSettings) -> tuple[tuple[str, ...], list[str]]:
    """Clusters to use, and notes on those that are not used."""
    if settings.cluster != AUTO:
        return tuple(settings.cluster), []
    clusters, notes = [], []
    for name in CLUSTERS:
        labels = comparisons.sample if name == 'sample' else comparisons.rater
        if labels is None:
            continue
        number = len(np.unique(labels))
        if number < FEWEST_CLUSTERS:
            notes.append(f'intervals say nothing about other {name}s: there {"is" if number == 1 else "are"} {number}')
        elif number < len(comparisons):
            clusters.append(name)
    return (tuple(clusters[:1]) if settings.intervals == BOOTSTRAP else tuple(clusters)), notes


def _bounds(
    fitted: Fit, comparisons: Comparisons, covariance: Spread, settings: RankSettings, cluster: Sequence[str]
) -> tuple[Bounds, list[str]]:
    """Intervals of the strengths, and notes on their method."""
    contrasts = strength_contrasts(fitted)
    items = len(fitted.items)
    if settings.intervals == 'profile' and (
        items > MOST_PROFILED or items * len(fitted.cells.left) > MOST_PROFILED_ENTRIES
    ):
        note = 'too many items or kinds of comparisons for profile intervals: these are sandwich intervals'
        return intervals(fitted, covariance, contrasts, level=settings.level, method='sandwich'), [note]
    if settings.intervals != BOOTSTRAP:
        return intervals(fitted, covariance, contrasts, level=settings.level, method=settings.intervals), []
    draws = bootstrap(
        fitted,
        comparisons,
        rng=np.random.default_rng(settings.seed),
        resamples=settings.resamples,
        cluster=cluster[0] if cluster else None,
    )
    notes = [f'{draws.unbounded} of {settings.resamples} resamples had no finite strengths'] if draws.unbounded else []
    return percentile_intervals(fitted, draws, contrasts, level=settings.level), notes


def _standings(
    comparisons: Comparisons,
    fitted: Fit,
    covariance: Spread,
    bounds: Bounds,
    ranks: Places,
    order: Sequence[int],
    level: float,
) -> tuple[Standing, ...]:
    items, strengths = fitted.items, np.round(fitted.strengths, 9)
    wins, losses, tie_counts = tallies(fitted.cells)
    rates, ratings = win_rates(fitted.cells), elo(comparisons)
    next_item = dict(pairwise(order))
    is_undecided = ~(ranks.beats | ranks.beats.T) & ~np.eye(len(items), dtype=bool)
    return tuple(
        Standing(
            rank=1 + int((strengths > strengths[item]).sum()),
            best_rank=int(ranks.best[item]),
            worst_rank=int(ranks.worst[item]),
            item=items[item],
            strength=float(bounds.value[item]),
            low=float(bounds.low[item]),
            high=float(bounds.high[item]),
            wins=float(wins[item]),
            losses=float(losses[item]),
            ties=float(tie_counts[item]),
            win_rate=float(rates[item]),
            elo=float(ratings[item]),
            not_told_apart=tuple(items[other] for other in order if is_undecided[item, other]),
            more_to_next=more_needed(fitted, covariance, items[item], items[next_item[item]], level=level)
            if item in next_item
            else math.nan,
        )
        for item in order
    )


def _prior_notes(fitted: Fit) -> list[str]:
    if fitted.prior is None:
        return []
    note = f'a prior of {fitted.prior:g} log-odds pulls strengths together'
    if fitted.diagnosis.is_rankable:
        return [note]
    return ['only the prior holds them: ' + '; '.join(fitted.diagnosis.sentences), note]


def _is_partly_silent(fitted: Fit, covariance: Spread) -> bool:
    """Whether clusters leave no variance in some difference of two items."""
    unknown = silent_pairs(fitted, covariance)
    return int(unknown.sum()) > len(fitted.items)


def _elo_notes(standings: Sequence[Standing]) -> list[str]:
    is_left_out = any(math.isnan(standing.elo) for standing in standings)
    return ['Elo is left out: single rows count for too many comparisons'] if is_left_out else []


def _tie_notes(fitted: Fit) -> list[str]:
    if fitted.is_tied_throughout:
        return ['all comparisons are ties, which do not say how far strengths could be off: '
                + ('no intervals' if fitted.prior is None else 'the intervals are those of the prior')]  # fmt: skip
    if fitted.ties != 'half' and fitted.tau is None:
        return [f'nothing tied, so {fitted.ties} is the model without ties']
    return []


def _facts(comparisons: Comparisons) -> dict[str, int]:
    counts = {
        'items': len(comparisons.items),
        'comparisons': len(comparisons),
        'ties': int((comparisons.outcome == 0).sum()),
    }
    for name, labels in (('samples', comparisons.sample), ('raters', comparisons.rater)):
        if labels is not None:
            counts[name] = len(np.unique(labels))
    return {**counts, **comparisons.facts}
