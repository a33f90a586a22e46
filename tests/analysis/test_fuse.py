"""Pooling opinions: laws of order, absence and agreement, and when to abstain."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from affekt.analysis.fuse import (
    AGAINST_AT_MOST,
    CONTRADICTION_ABOVE,
    UNSURE_BELOW,
    Opinion,
    alone,
    contradiction,
    contributions,
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
    friend = Opinion('ally', ratio, reliability=weight)
    assert likelihood_ratio(friend)[winner] == pytest.approx(likelihood_ratio(friend).max())
    assert pool([*group, friend]).max() >= before.max() - 1e-9


@settings(max_examples=30, deadline=None)
@given(group=groups())
def test_weights_and_probabilities_sum_to_one_and_intervals_hold_their_value(group):
    fused = fuse(group)
    for shares in (fused.weights, fused.valence_weights, fused.arousal_weights):
        assert sum(shares.values()) == pytest.approx(1.0)
        assert min(shares.values()) >= 0
    if fused.probabilities is not None:
        assert fused.probabilities.sum() == pytest.approx(1.0)
        assert fused.confidence >= UNSURE_BELOW
    for dimension in (fused.valence, fused.arousal):
        if not np.isnan(dimension.value):
            assert -1 <= dimension.low <= dimension.value <= dimension.high <= 1


def test_shares_of_a_dimension_explain_its_value_where_sources_disagree():
    # precisions w / (sd**2 + between): of 0.9 / 0.0625 and 0.4 / 0.1849 without `between`, the face had 0.87
    face = Opinion('face', valence=0.7, valence_sd=0.25, reliability=0.9)
    words = Opinion('words', valence=-0.7, valence_sd=0.43, reliability=0.4)
    fused = fuse([face, words])
    shares = fused.valence_weights
    assert shares['face'] * 0.7 - shares['words'] * 0.7 == pytest.approx(fused.valence.value, abs=1e-12)
    assert shares['face'] == pytest.approx(0.758, abs=1e-3)
    assert fuse([words, face]).valence_weights == shares


def test_nothing_measured_is_missing_not_neutral():
    assert fuse([]) is None
    assert fuse([Opinion('face')]) is None
    assert fuse([Opinion('face', sure('neutral'), quality=0.0)]) is None


@settings(max_examples=50, deadline=None)
@given(group=groups(), weight=unit)
def test_a_flat_opinion_changes_nothing(group, weight):
    assume(len(group) < 3 and all(o.weight_for('valence') > 0.01 for o in group))
    name = next(n for n in ('face', 'voice', 'words') if n not in {o.source for o in group})
    flat = Opinion(name, np.full(7, 1 / 7), 0.0, 0.0, 0.58, 0.45, reliability=weight)
    before, after = fuse(group), fuse([*group, flat])
    assert after.abstained == before.abstained
    if before.probabilities is not None:
        assert after.probabilities == pytest.approx(before.probabilities, abs=1e-9)
    for name in ('valence', 'arousal'):
        ours, theirs = ((d.value, d.low, d.high) for d in (getattr(before, name), getattr(after, name)))
        assert ours == pytest.approx(theirs, abs=1e-3, nan_ok=True)


def test_a_flat_opinion_alone_is_the_middle_of_the_plane_and_as_wide_as_the_plane():
    fused = fuse([Opinion('face', np.full(7, 1 / 7), 0.0, 0.0, 0.58, 0.45)])
    assert fused.abstained == 'unsure'
    for dimension in (fused.valence, fused.arousal):
        assert dimension.value == 0.0
        assert dimension.high - dimension.low > 1.8


@pytest.mark.parametrize('plain', [0.4, 0.6, 0.8, 0.95, 1.0])
@pytest.mark.parametrize('emotion', EKMAN[:-1])
def test_plain_words_leave_a_sure_voice_as_it_is(emotion, plain):
    # odds of the voice 0.95 / 0.05, neutral raised and the emotion lowered by 1.5 at most:
    # 0.95 / 1.5 / (0.95 / 1.5 + 0.0083 * 1.5 + 0.0417 ... ) > 0.92
    fused = fuse([Opinion('voice', sure(emotion, 0.95)), Opinion('words', sure('neutral', plain))])
    assert fused.probabilities.argmax() == EKMAN.index(emotion)
    assert fused.confidence >= 0.9


@settings(max_examples=50, deadline=None)
@given(shares=simplex)
def test_words_speak_against_an_emotion_by_no_more_than_their_limit_and_keep_their_order(shares):
    limit = AGAINST_AT_MOST['words']
    ratio = likelihood_ratio(Opinion('words', shares))
    assert ratio[:-1].min() >= 1 / limit - 1e-12
    assert ratio[-1] <= max(limit, ratio[:-1].max()) + 1e-12
    assert ratio[shares.argmax()] == pytest.approx(ratio.max())


def test_words_that_name_an_emotion_count_in_full():
    words = sure('anger', 0.9)
    assert fuse([Opinion('words', words)]).probabilities.argmax() == EKMAN.index('anger')
    assert likelihood_ratio(Opinion('words', words))[0] == pytest.approx(0.9 * 7)


def test_a_perfect_source_without_prior_of_its_own_is_taken_at_its_word():
    # weight 1 and nothing known before: uniform * (p / uniform) = p
    shares = sure('happiness')
    assert fuse([Opinion('face', shares)]).probabilities == pytest.approx(shares)


def test_a_source_of_weight_one_half_counts_as_its_square_root():
    expected = np.sqrt(sure('happiness'))
    assert fuse([Opinion('face', sure('happiness'), quality=0.5)]).probabilities == pytest.approx(
        expected / expected.sum()
    )


def test_a_models_training_prior_is_divided_out():
    # A model trained where 90 % was neutral and that says 90 % neutral has said nothing: all are as likely as before.
    trained = {k: 0.9 if k == 'neutral' else 0.1 / 6 for k in EKMAN}
    said = np.array([trained[k] for k in EKMAN])
    assert pool([Opinion('face', said, prior=trained)]) == pytest.approx(np.full(7, 1 / 7))


def test_each_quantity_has_a_weight_of_its_own():
    # the voice is believed for arousal alone, the face for valence alone; both count for the category
    face = Opinion('face', sure('happiness'), 0.6, 0.6, 0.3, 0.3, valence_reliability=0.8, arousal_reliability=0.0)
    voice = Opinion('voice', sure('happiness'), -0.6, -0.6, 0.3, 0.3, valence_reliability=0.0, arousal_reliability=0.8)
    fused = fuse([face, voice])
    assert (fused.valence_weights, fused.arousal_weights) == ({'face': 1.0}, {'voice': 1.0})
    assert fused.weights == pytest.approx({'face': 0.5, 'voice': 0.5})
    assert fused.valence.value == pytest.approx(0.6)
    assert fused.arousal.value == pytest.approx(-0.6)


def test_weights_name_what_decided_the_category_not_what_counts_most():
    # the face weighs more and is torn; the voice names the emotion
    torn = np.full(7, 0.02) + np.array([0.43, 0, 0, 0, 0.43, 0, 0])
    opinions = [Opinion('face', torn), Opinion('voice', sure('anger', 0.9), reliability=0.6)]
    assert fuse(opinions).probabilities.argmax() == EKMAN.index('anger')
    added = contributions(opinions)
    # against its rival, sadness, the face adds log(0.45 / 0.45) = 0, the voice 0.6 log(0.9 / 0.0167) = 2.4
    assert added['voice'] > 2 * added['face']
    assert fuse(opinions).weights['voice'] > 0.6


def test_a_source_against_the_winner_contributed_nothing_to_it():
    opinions = [Opinion('face', sure('anger', 0.4), reliability=0.3), Opinion('voice', sure('fear', 0.7))]
    assert contributions(opinions)['face'] == 0.0
    assert fuse(opinions).weights == pytest.approx({'face': 0.0, 'voice': 1.0})


def test_the_less_a_source_is_believed_the_wider_its_interval():
    widths = []
    for quality in (1.0, 0.5, 0.1):
        valence = fuse([Opinion('face', sure('happiness', 0.9), 0.4, 0.3, 0.3, 0.3, quality=quality)]).valence
        assert valence.value == pytest.approx(0.4)
        widths.append(valence.high - valence.low)
    assert widths == sorted(widths)
    assert widths[2] > 1.3 * widths[0]


def test_a_contradiction_withholds_category_and_valence_and_keeps_the_arousal():
    face = Opinion('face', sure('happiness', 0.9), 0.7, 0.4, 0.3, 0.3)
    fused = fuse([face, Opinion('voice', sure('anger', 0.9), -0.5, 0.6, 0.3, 0.3)])
    assert fused.abstained == 'contradiction'
    assert np.isnan(fused.valence.value)
    assert 0.4 <= fused.arousal.value <= 0.6


def test_knowledge_of_a_reading_is_that_of_what_it_was_derived_from():
    assert alone(Opinion('face', sure('anger'))) == pytest.approx(sure('anger'))
    certain = Opinion('face', sure('anger', 1.0), -0.5, 0.6, 0.3, 0.3)
    assert certain.weight_for('valence') == pytest.approx(1.0, abs=1e-3)
    assert Opinion('face', np.full(7, 1 / 7), 0.0, 0.0, 0.5, 0.5).weight_for('valence') == pytest.approx(0.0, abs=1e-5)
    stated = Opinion('voice', np.full(7, 1 / 7), 0.0, 0.5, 0.5, 0.5, arousal_certainty=1.0)
    assert stated.weight_for('arousal') == 1.0
    assert Opinion('voice', None, arousal=0.5, arousal_sd=0.3).weight_for('category') == 0.0


def test_sure_sources_with_different_emotions_contradict():
    fused = fuse([Opinion('face', sure('happiness')), Opinion('voice', sure('anger'))])
    assert (fused.abstained, fused.conflict) == ('contradiction', ('face', 'voice'))
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
    unsure = fuse([Opinion('face', flat, 0.2, 0.1, 0.3, 0.3)])
    assert unsure.abstained == 'unsure'
    assert unsure.probabilities is None
    assert unsure.valence.value == pytest.approx(0.2)
    assert fuse([Opinion('face', sure('sadness', 0.9))]).abstained == ''


def test_jensen_shannon_is_zero_for_equals_and_one_for_strangers():
    assert jensen_shannon([0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]) == 0.0
    assert jensen_shannon([1, 0], [0, 1]) == 1.0
    # H(3/4, 1/4) - H(1/2, 1/2) / 2 = 0.8112781 - 0.5
    assert jensen_shannon([1, 0], [0.5, 0.5]) == pytest.approx(0.8112781244591328 - 0.5)


def test_dimensions_weigh_by_precision():
    # precisions 1/0.1**2 = 100 and 1/0.2**2 = 25, values close enough that nothing is left between sources:
    # Q = 100 * .02**2 + 25 * .08**2 = 0.2 < 1; knowing nothing adds 1 / 0.5**2 = 4
    pooled = pool_dimension([(0.5, 0.1, 1.0), (0.6, 0.2, 1.0)], spread=0.5)
    assert pooled.value == pytest.approx(0.52)
    assert pooled.high - pooled.value == pytest.approx(1.959964 / np.sqrt(129))


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
