"""Pooling opinions: laws of order, absence and agreement, and when to abstain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from affekt.analysis.fuse import (
    CONTRADICTION_ABOVE,
    EVERYDAY_PRIOR,
    UNSURE_BELOW,
    Opinion,
    contradiction,
    fuse,
    jensen_shannon,
    likelihood_ratio,
    pool,
    pool_dimension,
)
from affekt.errors import ShapeError, ValueRangeError
from affekt.labels import EKMAN


def sure(category, top=0.8):
    shares = np.full(7, (1 - top) / 6)
    shares[EKMAN.index(category)] = top
    return shares


simplex = st.lists(st.floats(0.02, 1.0), min_size=7, max_size=7).map(lambda v: np.array(v) / sum(v))
unit = st.floats(0.05, 1.0)


@st.composite
def opinions(draw, source):
    dims = {name: draw(st.floats(-1, 1)) for name in ('valence', 'arousal')}
    dims |= {f'{name}_sd': draw(st.floats(0.05, 1)) for name in ('valence', 'arousal')}
    return Opinion(source, draw(simplex), **dims, reliability=draw(unit), quality=draw(unit), coverage=draw(unit))


@st.composite
def groups(draw):
    names = draw(st.lists(st.sampled_from(['face', 'voice', 'words']), unique=True, min_size=1))
    return [draw(opinions(name)) for name in names]


def assert_close(left, right):
    assert left.weights == pytest.approx(right.weights)
    assert left.abstained == right.abstained
    if left.probabilities is None:
        assert right.probabilities is None
    else:
        assert left.probabilities == pytest.approx(right.probabilities, abs=1e-12)
    for name in ('valence', 'arousal'):
        ours, theirs = getattr(left, name), getattr(right, name)
        pair = [(d.value, d.low, d.high) for d in (ours, theirs)]
        assert pair[0] == pytest.approx(pair[1], abs=1e-9, nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(group=groups())
def test_the_order_of_sources_changes_nothing(group):
    first = fuse(group)
    for order in itertools.permutations(group):
        assert_close(fuse(order), first)


@settings(max_examples=30, deadline=None)
@given(group=groups(), absent=simplex)
def test_a_source_of_weight_zero_is_a_missing_source(group, absent):
    assume(len(group) < 3)
    name = next(n for n in ('face', 'voice', 'words') if n not in {o.source for o in group})
    assert_close(fuse([*group, Opinion(name, absent, coverage=0.0)]), fuse(group))


@settings(max_examples=50, deadline=None)
@given(group=groups(), ally=simplex, weight=unit)
def test_an_ally_never_lowers_the_winners_probability(group, ally, weight):
    before = pool(group)
    # The ally's likelihood ratio is made to peak where the pool does.
    ratio = np.array(ally)
    best, winner = ratio.argmax(), before.argmax()
    ratio[best], ratio[winner] = ratio[winner], ratio[best]
    shares = ratio * np.array([EVERYDAY_PRIOR[k] for k in EKMAN])
    friend = Opinion('ally', shares / shares.sum(), reliability=weight)
    assert likelihood_ratio(friend)[winner] == pytest.approx(likelihood_ratio(friend).max())
    assert pool([*group, friend]).max() >= before.max() - 1e-9


@settings(max_examples=30, deadline=None)
@given(group=groups())
def test_weights_and_probabilities_sum_to_one_and_intervals_hold_their_value(group):
    fused = fuse(group)
    assert sum(fused.weights.values()) == pytest.approx(1.0)
    if fused.probabilities is not None:
        assert fused.probabilities.sum() == pytest.approx(1.0)
        assert fused.confidence >= UNSURE_BELOW
    for dimension in (fused.valence, fused.arousal):
        if not np.isnan(dimension.value):
            assert -1 <= dimension.low <= dimension.value <= dimension.high <= 1


def test_nothing_measured_is_missing_not_neutral():
    assert fuse([]) is None
    assert fuse([Opinion('face')]) is None
    assert fuse([Opinion('face', sure('neutral'), quality=0.0)]) is None


def test_a_perfect_source_without_prior_of_its_own_is_taken_at_its_word():
    # weight 1 and prior_s = prior: prior * (p / prior) = p
    shares = sure('happiness')
    assert fuse([Opinion('face', shares)]).probabilities == pytest.approx(shares)


def test_a_source_of_weight_one_half_counts_as_its_square_root():
    prior = np.array([EVERYDAY_PRIOR[k] for k in EKMAN]) / sum(EVERYDAY_PRIOR.values())
    shares = sure('happiness')
    expected = prior * np.sqrt(shares / prior)
    assert fuse([Opinion('face', shares, quality=0.5)]).probabilities == pytest.approx(expected / expected.sum())


def test_a_models_training_prior_is_divided_out():
    # A model trained where 90 % was neutral and that says 90 % neutral has said nothing: the everyday prior remains.
    trained = {k: 0.9 if k == 'neutral' else 0.1 / 6 for k in EKMAN}
    said = np.array([trained[k] for k in EKMAN])
    prior = np.array([EVERYDAY_PRIOR[k] for k in EKMAN]) / sum(EVERYDAY_PRIOR.values())
    assert pool([Opinion('words', said, prior=trained)]) == pytest.approx(prior)


def test_sure_sources_with_different_emotions_contradict():
    fused = fuse([Opinion('face', sure('happiness')), Opinion('words', sure('anger'))])
    assert (fused.abstained, fused.conflict) == ('contradiction', ('face', 'words'))
    assert fused.probabilities is None
    assert np.isnan(fused.valence.value)
    # by hand: among six emotions p = (.8, .2/6 x5) / (.8 + 5 * .2/6) = (.8276, .0345 x5), q likewise elsewhere
    p, q = np.full(6, 1 / 29), np.full(6, 1 / 29)
    p[3], q[0] = 24 / 29, 24 / 29
    assert fused.divergence == pytest.approx(jensen_shannon(p, q))
    assert fused.divergence > CONTRADICTION_ABOVE


def test_a_neutral_face_does_not_contradict_angry_words():
    assert contradiction([Opinion('face', sure('neutral')), Opinion('words', sure('anger'))]) == (0.0, ())


def test_a_faint_source_cannot_contradict():
    faint = Opinion('words', sure('anger'), quality=0.1)
    assert fuse([Opinion('face', sure('happiness')), faint]).abstained == ''


def test_no_likely_category_abstains_but_keeps_the_dimensions():
    flat = np.array([0.15, 0.15, 0.14, 0.14, 0.14, 0.14, 0.14])
    uniform = dict.fromkeys(EKMAN, 1 / 7)
    level = {'reliability': 1.0, 'prior': uniform}
    unsure = fuse([Opinion('face', flat, 0.2, 0.1, 0.3, 0.3, prior=EVERYDAY_PRIOR)])
    assert unsure.abstained == 'unsure'
    assert unsure.probabilities is None
    assert unsure.valence.value == pytest.approx(0.2)
    assert fuse([Opinion('face', sure('sadness', 0.9), **level)]).abstained == ''


def test_jensen_shannon_is_zero_for_equals_and_one_for_strangers():
    assert jensen_shannon([0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]) == 0.0
    assert jensen_shannon([1, 0], [0, 1]) == 1.0
    # H(3/4, 1/4) - H(1/2, 1/2) / 2 = 0.8112781 - 0.5
    assert jensen_shannon([1, 0], [0.5, 0.5]) == pytest.approx(0.8112781244591328 - 0.5)


def test_dimensions_weigh_by_precision():
    # precisions 1/0.1**2 = 100 and 1/0.2**2 = 25, values close enough that nothing is left between sources:
    # Q = 100 * .02**2 + 25 * .08**2 = 0.2 < 1
    pooled = pool_dimension([(0.5, 0.1, 1.0), (0.6, 0.2, 1.0)])
    assert pooled.value == pytest.approx(0.52)
    assert pooled.high - pooled.value == pytest.approx(1.959964 / np.sqrt(125))


def test_sources_that_disagree_widen_the_interval():
    near, far = (pool_dimension([(0.0, 0.1, 1.0), (x, 0.1, 1.0)]) for x in (0.1, 0.9))
    assert far.high - far.low > 3 * (near.high - near.low)


def test_opinions_that_are_no_distributions_raise():
    with pytest.raises(ShapeError):
        Opinion('face', np.ones(6) / 6)
    with pytest.raises(ValueRangeError, match='sum to 1'):
        Opinion('face', np.ones(7))
    with pytest.raises(ValueRangeError, match='quality'):
        Opinion('face', np.ones(7) / 7, quality=1.2)
