"""Reliability of each rater, estimated together with the strengths: the crowd Bradley–Terry model.

A rater of skill q votes according to the strengths with probability q, and the opposite way otherwise:

    p(rater says i beats j) = q p_ij + (1 - q) (1 - p_ij),  p_ij = 1 / (1 + exp(s_j - s_i))

Skill 1 is a rater whose votes follow the strengths, 1/2 one who votes at random, 0 one who reversed the task. Strengths
always have a Gaussian prior and skills a Beta prior: without them every contrary vote can be attributed to its rater,
and strengths diverge.

Source: Chen, Bennett, Collins-Thompson & Horvitz 2013, doi:10.1145/2433396.2433420.

Axes: K items, V distinct votes (pair of items and rater), C cells, R raters, J raters and U units of ratings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, expit

from affekt.arrays import Floats, Ints
from affekt.errors import ComparisonError, UnrankableError, ValueRangeError
from affekt.ranking.comparisons import Comparisons
from affekt.ranking.counts import LEFT, RIGHT, TIE, Cells, count
from affekt.ranking.diagnosis import Diagnosis, diagnose
from affekt.ranking.newton import Likelihood, maximise
from affekt.ranking.ties import Half

SKILL_PRIOR = (10.0, 1.0)
"""Beta parameters of the prior on skills, as in the source: most raters are good."""
MOST_ITERATIONS = 5000
SETTLED = 1e-10
"""Largest change of strengths (log-odds) and skills in the last iteration."""


@dataclass(frozen=True)
class CrowdFit:
    """Strengths of items and skills of raters."""

    items: tuple[str, ...]
    """Names of the items."""
    strengths: Floats
    """(K,) strengths in log-odds; they sum to 0."""
    raters: tuple[str, ...]
    """Names of the raters."""
    skill: Floats
    """(R,) in [0, 1]; nan for a rater without a vote."""
    skill_low: Floats
    """(R,) lower end of the 95 % posterior interval of the skill, the strengths taken as known."""
    skill_high: Floats
    """(R,) upper end of that interval."""
    votes: Floats
    """(R,) weighted votes; a tie counts as one."""
    diagnosis: Diagnosis
    """Reasons why only the prior bounds some strengths."""


def crowd_fit(
    comparisons: Comparisons, *, prior: float = 1.0, skill_prior: tuple[float, float] = SKILL_PRIOR
) -> CrowdFit:
    """Strengths and skills of raters at the maximum of the posterior, by expectation–maximisation.

    Args:
        comparisons: comparisons with raters; a tie is half a win for each side.
        prior: standard deviation of the Gaussian prior on strengths, in log-odds.
        skill_prior: Beta parameters, the first one larger, so that good raters are the rule, which fixes the direction
            of the ranking.

    Raises:
        ComparisonError: the comparisons have no raters.
        ValueRangeError: a prior is out of range.
        UnrankableError: the iteration did not converge.
    """
    if comparisons.rater is None:
        raise ComparisonError(expected='a rater for each comparison', came='none', todo='give a column rater')
    good, bad = skill_prior
    if not (np.isfinite(prior) and prior > 0.0 and np.isfinite(good) and good > bad >= 1.0):
        raise ValueRangeError(
            expected='a prior above 0 and Beta parameters of which the first is larger and none below 1',
            came=f'prior {prior}, skill_prior {skill_prior}',
            todo='use for example 1.0 and (10, 1)',
        )
    cells = count(comparisons)
    cell_of, rater_of, votes = _votes(cells, comparisons, comparisons.rater)
    likelihood = Likelihood(cells, Half(), prior)
    vote_counts = np.asarray(np.bincount(rater_of, votes.sum(axis=0), minlength=len(comparisons.raters)), np.float64)
    parameters, skill = likelihood.start(), np.full(len(vote_counts), good / (good + bad))
    for _ in range(MOST_ITERATIONS):
        probability = expit(likelihood.eta(parameters)[0])[cell_of]
        follows = _followed(probability, skill[rater_of])
        new_skill = (np.bincount(rater_of, (votes * follows).sum(axis=0), minlength=len(vote_counts)) + good - 1.0) / (
            vote_counts + good + bad - 2.0
        )
        left_votes = votes[0] * follows[0] + votes[1] * (1.0 - follows[1])
        left = np.bincount(cell_of, left_votes, minlength=len(cells.left))
        counts = np.stack([left, cells.totals - left, np.zeros_like(left)])[:, None, :]
        new_parameters = maximise(likelihood, np.maximum(counts, 0.0), parameters, tolerance=1e-12).parameters
        change = max(np.abs(new_parameters - parameters).max(), np.abs(new_skill - skill).max())
        parameters, skill = new_parameters, new_skill
        if change < SETTLED:
            break
    else:
        raise UnrankableError(
            expected='strengths and skills that settle',
            came=f'changes after {MOST_ITERATIONS} iterations',
            todo='give a stronger prior, or leave out raters with few votes',
        )
    followed = (skill * (vote_counts + good + bad - 2.0)) - (good - 1.0)
    low, high = (betaincinv(good + followed, bad + vote_counts - followed, tail) for tail in (0.025, 0.975))
    low, high = np.minimum(low, skill), np.maximum(high, skill)
    skill, low, high = (np.where(vote_counts > 0.0, values, np.nan) for values in (skill, low, high))
    return CrowdFit(cells.items, parameters[0], comparisons.raters, skill, low, high, vote_counts, diagnose(cells))


def rater_vote_share(comparisons: Comparisons) -> Floats:
    """Share of each rater's comparisons, ties aside, that the strengths fitted to all other raters predict.

    Returns:
        (R,) in [0, 1]; equal strengths count half. nan for a rater whose comparisons all tied, or where no other
        rater's comparisons are left.

    Raises:
        ComparisonError: the comparisons have no raters.
    """
    if comparisons.rater is None:
        raise ComparisonError(expected='a rater for each comparison', came='none', todo='give a column rater')
    shares = np.full(len(comparisons.raters), np.nan)
    for rater in np.unique(comparisons.rater):
        is_own = comparisons.rater == rater
        if is_own.all():
            continue
        cells = count(replace(comparisons, weight=np.where(is_own, 0.0, comparisons.weight)))
        likelihood = Likelihood(cells, Half(), 1.0)
        strengths = maximise(likelihood, cells.counts[:, None, :], likelihood.start()).parameters[0]
        own = comparisons.take(is_own & (comparisons.outcome != 0))
        lead = np.sign(np.round(strengths[own.left] - strengths[own.right], 12)) * own.outcome
        if own.weight.sum() > 0.0:
            shares[rater] = float(((0.5 + 0.5 * lead) * own.weight).sum() / own.weight.sum())
    return shares


def _votes(cells: Cells, comparisons: Comparisons, rater: Ints) -> tuple[Ints, Ints, Floats]:
    """Cell and rater of each distinct vote, and (2, V) votes for left and right; a tie is half a vote for each."""
    key = cells.cell_of * len(comparisons.raters) + rater
    distinct, vote_of = np.unique(key, return_inverse=True)
    shares = np.stack([cells.outcome_of == LEFT, cells.outcome_of == RIGHT]) + 0.5 * (cells.outcome_of == TIE)
    votes = [np.bincount(vote_of, side * comparisons.weight, minlength=len(distinct)) for side in shares]
    distinct = np.asarray(distinct, np.int64)
    return distinct // len(comparisons.raters), distinct % len(comparisons.raters), np.asarray(votes, np.float64)


def _followed(probability: Floats, skill: Floats) -> Floats:
    """(2, V) probability that a vote for left, and one for right, followed the strengths."""
    sides = np.stack([probability, 1.0 - probability])
    following = skill * sides
    return np.asarray(following / np.maximum(following + (1.0 - skill) * (1.0 - sides), 1e-300))


def ratings_of(comparisons: Comparisons) -> Floats:
    """(J, U) verdicts by rater and unit: 1, 0 or -1 from the side of the item that comes first by name.

    A unit is a sample with a pair of items; without samples, a pair.

    Raises:
        ComparisonError: the comparisons have no raters, or a rater judged a unit twice.
    """
    if comparisons.rater is None:
        raise ComparisonError(expected='a rater for each comparison', came='none', todo='give a column rater')
    low = np.minimum(comparisons.left, comparisons.right)
    sample = np.zeros(len(comparisons), np.int64) if comparisons.sample is None else comparisons.sample
    unit = (sample * len(comparisons.items) + low) * len(comparisons.items) + comparisons.left + comparisons.right - low
    _, unit = np.unique(unit, return_inverse=True)
    key = comparisons.rater * (unit.max() + 1) + unit
    if len(np.unique(key)) < len(key):
        raise ComparisonError(
            expected='one verdict by each rater on each pair of a sample',
            came='a rater who judged one twice',
            todo='keep one of the verdicts, or give each showing a sample of its own',
        )
    ratings = np.full((len(comparisons.raters), unit.max() + 1), np.nan)
    ratings[comparisons.rater, unit] = comparisons.outcome * np.where(comparisons.left == low, 1, -1)
    return ratings
