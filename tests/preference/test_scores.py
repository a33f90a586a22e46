"""Scores of preferences: stored values of the published scorer, values by hand, balanced views, shortcuts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_preferences import emoprefer_like

from affekt.errors import ComparisonError, ShapeError, UnknownNameError
from affekt.preference.evaluation import evaluate_preferences
from affekt.preference.pairs import Pairs
from affekt.preference.scores import even_accuracy, official_scores, swap_consistency, verdicts
from affekt.preference.shortcuts import Answers, against_annotators, annotator_agreement, shortcuts
from affekt.preference.views import cells

SIDES = st.lists(st.sampled_from([(t, p) for t in (1, 0, -1) for p in (1, 0, -1)]), min_size=1, max_size=40)


@pytest.fixture(scope='module')
def stored(shared_data):
    path = shared_data / 'vectors' / 'ov' / 'edge_cases.json'
    if not path.exists():
        pytest.skip('the stored values are absent')
    return json.loads(path.read_text())


def test_scores_equal_those_of_the_published_scorer(stored):
    assert stored['preference_metrics']
    for case in stored['preference_metrics']:
        found = official_scores(verdicts(case['gt']), verdicts(case['pred']))
        assert [found.waf2, found.acc2] == pytest.approx(case['twoclass_waf_acc'], abs=1e-12)
        assert [found.waf3, found.acc3] == pytest.approx(case['threeclass_waf_acc'], abs=1e-12)


def test_swap_consistency_equals_that_of_the_published_scorer(stored):
    assert stored['swap_consistency']
    for case in stored['swap_consistency']:
        found = swap_consistency(verdicts(case['forward_pred']), verdicts(case['swapped_pred']))
        assert found == pytest.approx(case['swap_consistency'], abs=1e-12)


def test_a_predicted_tie_counts_as_the_first_text_officially_and_as_half_evenly():
    truth, said = [1, -1, -1, 0], [0, 0, -1, 1]
    # decided: a1->a1, a2->a1, a2->a2: acc 2/3; F1 of a1 2/3, of a2 2/3, so WAF 2/3
    found = official_scores(truth, said)
    assert found.acc2 == pytest.approx(2 / 3, abs=1e-15)
    assert found.waf2 == pytest.approx(2 / 3, abs=1e-15)
    assert found.acc3 == pytest.approx(1 / 4, abs=1e-15)  # one of four is the same word
    assert even_accuracy(truth, said) == pytest.approx((0.5 + 0.5 + 1) / 3, abs=1e-15)


def test_always_left_is_half_right_over_both_orders_and_never_consistent():
    truth, left = [1, 1, 1, -1], [1, 1, 1, 1]
    assert even_accuracy(truth, left) == 0.75
    assert even_accuracy(truth, left, left) == 0.5
    assert swap_consistency(left, left) == 0.0


@given(SIDES)
def test_even_accuracy_does_not_change_when_sides_are_exchanged(pairs):
    truth, said = np.array(pairs).T
    if truth.any():
        assert even_accuracy(truth, said) == pytest.approx(even_accuracy(-truth, -said), abs=1e-15)
    else:
        assert np.isnan(even_accuracy(truth, said))


@settings(deadline=None)
@given(SIDES)
def test_the_evaluation_gives_the_scores_of_the_plain_functions(pairs):
    truth, said = np.array(pairs).T
    if not truth.any():
        return
    held = Pairs.of(['x'] * len(truth), ['xy'] * len(truth), truth)
    found = evaluate_preferences(held, Answers(said, -said), rng=np.random.default_rng(0), resamples=0)
    values, plain = found.judge.views['all pairs'], official_scores(truth, said)
    for name in ('waf2', 'acc2', 'waf3', 'acc3'):
        assert values[name].value == pytest.approx(getattr(plain, name), abs=1e-12)
    assert values['even'].value == pytest.approx(even_accuracy(truth, said), abs=1e-12)
    # symmetrised by hand: both orders stacked; F1 of the two sides is then one number, the accuracy
    both = official_scores(np.concatenate([truth, -truth]), np.concatenate([said, -said]))
    assert values['even_acc3'].value == pytest.approx(both.acc3, abs=1e-12)
    assert values['even_waf3'].value == pytest.approx(both.waf3, abs=1e-12)


def test_no_decided_pair_has_no_two_class_score():
    found = official_scores([0, 0], [0, 1])
    assert np.isnan(found.waf2)
    assert np.isnan(found.acc2)
    assert found.acc3 == 0.5


def test_balanced_weights_by_hand():
    # longer wins three times and loses once: the three weigh 1/3 each; equal lengths keep 1, ties 0
    pairs = Pairs.of(
        ['long text', 'long text', 'short', 'short', 'same', 'long text'],
        ['short', 'short', 'long text', 'long text', 'ever', 'short'],
        [1, 1, -1, 1, 1, 0],
    )
    weights = cells(pairs, ['length']).weights()
    assert weights == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1, 1, 0], abs=1e-15)


@pytest.mark.parametrize('by', [['length'], ['source'], ['length', 'source'], ['source', 'length']])
def test_a_shortcut_is_right_as_often_as_wrong_in_its_balanced_view(by):
    pairs = emoprefer_like(300, 9)
    weights, rules = cells(pairs, by).weights(), shortcuts(pairs)
    for name in by:
        said = rules['longer text' if name == 'length' else 'source that wins'].forward
        assert (weights * said * pairs.truth).sum() == pytest.approx(0.0, abs=1e-9)
    assert weights[pairs.truth == 0].sum() == 0.0
    assert np.array_equal(cells(pairs.swapped(), by).weights(), weights)


def test_intervals_hold_the_value_and_the_same_seed_gives_the_same():
    pairs = emoprefer_like(120, 3)
    said = np.where(np.random.default_rng(0).random(120) < 0.7, pairs.truth, -pairs.truth)
    twice = [
        evaluate_preferences(pairs, Answers(said, -said), rng=np.random.default_rng(4), resamples=300) for _ in range(2)
    ]
    assert repr(twice[0]) == repr(twice[1])  # by repr, as nan differs from itself
    even = twice[0].judge.views['all pairs']['even']
    assert even.low < even.value < even.high
    # a binomial interval of the same share, for width
    assert even.high - even.low == pytest.approx(2 * 1.96 * np.sqrt(even.value * (1 - even.value) / 118), rel=0.25)


def test_whole_samples_are_drawn():
    pairs = emoprefer_like(60, 3)
    tripled = pairs.take(np.repeat(np.arange(60), 3))
    said = np.where(np.random.default_rng(0).random(60) < 0.7, pairs.truth, -pairs.truth)
    one, three = (
        evaluate_preferences(held, Answers(answer, -answer), rng=np.random.default_rng(4), resamples=400)
        for held, answer in ((pairs, said), (tripled, np.repeat(said, 3)))
    )
    widths = [
        held.judge.views['all pairs']['even'].high - held.judge.views['all pairs']['even'].low for held in (one, three)
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.15)


def test_what_annotators_reach_among_themselves():
    # votes by pair: (1, 1, -1), (1, 1, 1). One against each other: pair 1 agrees for 2 of 6 orders, pair 2 for 6 of 6
    pairs = Pairs.of(['a', 'b'], ['c', 'd'], votes=[[1, 1, -1], [1, 1, 1]])
    found = annotator_agreement(pairs)
    assert found['another annotator'] == pytest.approx((2 / 6 + 1) / 2, abs=1e-15)
    assert found['the majority'] == pytest.approx((2 / 3 + 1) / 2, abs=1e-15)
    assert annotator_agreement(Pairs.of(['a'], ['b'], [1])) == {}


def test_an_annotator_who_decided_nothing_does_not_hide_what_the_others_reach():
    pairs = Pairs.of(['a', 'b'], ['c', 'd'], votes=[[1, 1, 0], [1, -1, 0]])
    # the first two agree on one pair of two; against a third who says *same* each is right by half
    assert annotator_agreement(pairs)['another annotator'] == pytest.approx(0.5, abs=1e-15)
    assert against_annotators(pairs, np.array([1, 1])) == pytest.approx((1 + 0.5) / 2, abs=1e-15)


def test_shortcuts_learn_who_wins_from_other_pairs():
    train, test = emoprefer_like(200, 1), emoprefer_like(100, 2)
    rules = shortcuts(test, train)
    verbose_is_left = np.array([source == 'verbose' for source in test.left_source])
    assert np.array_equal(rules['source that wins'].forward, np.where(verbose_is_left, 1, -1))
    assert np.array_equal(rules['opening that wins'].forward, np.where(verbose_is_left, 1, -1))
    assert set(rules['always a2'].forward) == {-1}


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        (lambda: verdicts(['a1', 'both']), UnknownNameError),
        (lambda: official_scores([1, 0], [1]), ShapeError),
        (lambda: official_scores([1, 2], [1, 1]), ShapeError),
        (lambda: cells(Pairs.of(['a'], ['b'], [1]), ['source']), ComparisonError),
        (lambda: cells(Pairs.of(['a'], ['b'], [1]), ['mood']), UnknownNameError),
        (
            lambda: evaluate_preferences(
                Pairs.of(['a'], ['b'], [0]), Answers(np.array([1])), rng=np.random.default_rng(0)
            ),
            ComparisonError,
        ),
        (
            lambda: evaluate_preferences(
                Pairs.of(['a'], ['b'], [1]), Answers(np.array([1, 1])), rng=np.random.default_rng(0)
            ),
            ShapeError,
        ),
    ],
)
def test_wrong_input_is_one_clear_error(wrong, error):
    with pytest.raises(error):
        wrong()


def test_a_lead_that_comes_from_one_sample_of_three_may_be_none():
    # Leads over the rule, which ties: 0.1, 0.1 and 0.5 in ten pairs each. Every resample has a lead above 0, but
    # Student's t with two degrees of freedom reaches far below.
    truth = np.ones(30, np.int64)
    judge = np.array([1] * 6 + [-1] * 4 + [1] * 6 + [-1] * 4 + [1] * 10)
    pairs = Pairs.of(['a'] * 30, ['b'] * 30, truth, names=np.repeat(['x', 'y', 'z'], 10).tolist())
    found = evaluate_preferences(pairs, Answers(judge, -judge), rng=np.random.default_rng(0), resamples=200)
    lead = found.shortcuts['longer text'].lead['all pairs']
    assert lead.value == pytest.approx(7 / 30, abs=1e-12)
    assert -1.0 <= lead.low < 0.0 < lead.high <= 1.0
