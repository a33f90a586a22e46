"""Consistent open-vocabulary scores: by hand, by brute force, and what must hold for any answer."""

from __future__ import annotations

import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_table import SMALL

from affekt.errors import TableError, UnknownNameError, ValueRangeError
from affekt.labels import load_table
from affekt.metrics import compare_open_vocabulary, score_open_vocabulary
from affekt.metrics.open_vocabulary_consistent import Closeness, best_matching
from affekt.metrics.open_vocabulary_reward import Reward

WORDS = ['fury', 'furious', 'annoyed', 'annoying', 'glad', 'gladly', 'fearless', 'scared', 'neutral', 'odd', 'strange']
SETS = ('M1', 'own-L2', 'own-L1', 'W1-L1', 'W1-L2')


def _scores(truth, prediction, trivial=False):
    rng = np.random.default_rng(0)
    return score_open_vocabulary(truth, prediction, SMALL, rng=rng, resamples=0, trivial=trivial)


def _values(truth, prediction):
    scored = _scores(truth, prediction)
    return {f'{row} {part}': i.value for row, parts in scored.metrics.items() for part, i in parts.items()}


def test_three_samples_by_hand():
    # own-L1. a: Y {anger, joy}, H {anger}: P 1, R 1/2, F1 2/3. b: Y {neutral}, H {neutral}: 1, 1, 1.
    # c: Y {odd} (a stranger), H {joy, odd}: P 1/2, R 1, F1 2/3. Micro: 2 * 3 / (3 + 5 - 1) = 6/8; by group
    # anger 1, joy 0 of one true and one predicted, neutral 1: macro 2/3, the stranger is no group of the table.
    truth = {'a': 'fury, glad', 'b': 'neutral', 'c': 'odd'}
    values = _values(truth, {'a': 'annoyed', 'b': 'neutral', 'c': 'glad, odd'})
    assert values['own-L1 precision'] == pytest.approx(2.5 / 3)
    assert values['own-L1 recall'] == pytest.approx(2.5 / 3)
    assert values['own-L1 f1'] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    assert values['own-L1 micro f1'] == pytest.approx(6 / 8)
    assert values['own-L1 macro f1'] == pytest.approx(2 / 3)


def test_near_misses_by_hand():
    # On the own wheel: fury and annoyed share a sector (2 rings, 1/2), fury and scared lie in neighbouring sectors
    # (3 rings, 1/4), fury and glad do not meet (0). One to one: {annoyed, scared} against {fury}: 1/2.
    values = _values({'a': 'fury'}, {'a': 'annoyed, scared'})
    assert values['near precision'] == pytest.approx(1 / 4)
    assert values['near recall'] == pytest.approx(1 / 2)
    assert values['near f1'] == pytest.approx(1 / 3)
    # intensities 0.9 and 0.4: 1/2 * (1 - 0.5); 0.9 and 0.6: 1/4 * 0.7; the better one counts
    assert values['near+intensity recall'] == pytest.approx(1 / 4)


def test_synonyms_of_one_true_word_earn_once():
    one, five = _values({'a': 'fury'}, {'a': 'furious'}), _values({'a': 'fury'}, {'a': 'furious, annoyed, scared'})
    assert one['near f1'] == 1.0
    assert five['near recall'] == 1.0
    assert five['near precision'] == pytest.approx(1 / 3)


def test_a_sample_without_truth_is_left_out_and_counted():
    scored = _scores({'a': 'glad', 'b': ''}, {'a': 'glad', 'b': 'fury'})
    assert (scored.samples, scored.skipped) == (2, 1)
    assert scored.value('own-L1', 'f1').value == 1.0


def test_the_best_matching_is_that_of_every_assignment(rng):
    for _ in range(50):
        credit = rng.random((rng.integers(1, 4), rng.integers(1, 4)))
        small, large = sorted(credit.shape)
        table = credit if credit.shape[0] == small else credit.T
        best = max(sum(table[i, j] for i, j in enumerate(order)) for order in permutations(range(large), small))
        assert best_matching(credit) == pytest.approx(best, abs=1e-12)


def test_closeness_is_symmetric_and_full_for_equal_words_only():
    closeness = Closeness(SMALL, WORDS)
    every = np.arange(len(closeness.names))
    credit = closeness.between(every, every)
    assert np.array_equal(credit, credit.T)
    assert np.array_equal(credit == 1.0, np.eye(len(every), dtype=bool))
    assert credit.min() >= 0.0


_answer = st.lists(st.sampled_from(WORDS), max_size=4)
_true = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)
_corpus = st.lists(st.tuples(_true, _answer), min_size=1, max_size=6)


def _both(corpus):
    return (
        {str(index): list(true) for index, (true, _) in enumerate(corpus)},
        {str(index): list(predicted) for index, (_, predicted) in enumerate(corpus)},
    )


@settings(max_examples=60, deadline=None)
@given(_corpus, st.randoms())
def test_order_repeats_case_and_spacing_never_matter(corpus, random):
    truth, prediction = _both(corpus)
    changed = {}
    for name, labels in prediction.items():
        mixed = [random.choice([label, label.upper(), f'  {label.title()} ']) for label in [*labels, *labels[:1]]]
        random.shuffle(mixed)
        changed[name] = mixed
    names = list(truth)
    random.shuffle(names)
    first, second = _values(truth, prediction), _values({name: truth[name] for name in names}, changed)
    assert first == pytest.approx(second, abs=1e-12, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(_corpus, st.sampled_from(WORDS))
def test_a_wrong_word_never_raises_precision_and_a_right_one_never_lowers_recall(corpus, word):
    truth, prediction = _both(corpus)
    before, after = _values(truth, prediction), _values(truth, prediction | {'0': [*prediction['0'], word]})
    for row in SETS:
        fold = SMALL.fold(row, 'consistent')
        true_groups = {fold.get(label, f'?{label}') for label in truth['0']}
        if fold.get(word, f'?{word}') not in true_groups:
            assert after[f'{row} precision'] <= before[f'{row} precision'] + 1e-12
        else:
            assert after[f'{row} recall'] >= before[f'{row} recall'] - 1e-12
    for row in ('near', 'near+intensity'):
        assert after[f'{row} recall'] >= before[f'{row} recall'] - 1e-12
    closeness = Closeness(SMALL, WORDS)
    numbers = closeness.bases[[WORDS.index(label) for label in truth['0']]]
    if closeness.between(closeness.bases[[WORDS.index(word)]], numbers).max() == 0:
        assert after['near precision'] <= before['near precision'] + 1e-12


@settings(max_examples=40, deadline=None)
@given(_corpus)
def test_scores_lie_in_the_unit_interval_and_are_full_for_the_truth_itself(corpus):
    truth, prediction = _both(corpus)
    for value in _values(truth, prediction).values():
        assert math.isnan(value) or 0.0 <= value <= 1.0 + 1e-12
    for name, value in _values(truth, truth).items():
        assert math.isnan(value) or value == pytest.approx(1.0), name


def _every_constant(words):
    return [list(chosen) for size in range(len(words) + 1) for chosen in combinations(words, size)]


@settings(max_examples=6, deadline=None)
@given(st.lists(_true, min_size=1, max_size=5))
def test_no_constant_answer_beats_the_stated_ceiling(truths):
    truth = {str(index): true for index, true in enumerate(truths)}
    ceiling = _scores(truth, truth, trivial=True).ceiling
    best: dict[str, float] = {}
    for constant in _every_constant(['fury', 'annoyed', 'glad', 'fearless', 'scared', 'neutral', 'odd', 'strange']):
        for name, value in _values(truth, dict.fromkeys(truth, constant)).items():
            if not math.isnan(value):
                best[name] = max(best.get(name, 0.0), value)
    for name, value in best.items():
        assert value <= ceiling.values[name] + 1e-9, name
    for row in SETS:  # for sets the ceiling is attained, not only a bound
        assert best[f'{row} f1'] == pytest.approx(ceiling.values[f'{row} f1'], abs=1e-9)
        assert best[f'{row} micro f1'] == pytest.approx(ceiling.values[f'{row} micro f1'], abs=1e-9)
        assert best[f'{row} precision'] == pytest.approx(ceiling.values[f'{row} precision'], abs=1e-9)


def test_no_trivial_answer_beats_the_ceiling_on_the_real_truth(shared_data):
    from affekt.labels import read_answers

    truth = read_answers(shared_data / 'mer2024_ov' / 'check-openset.csv')
    prediction = read_answers(shared_data / 'mer2024_ov' / 'predict-openset.csv')
    scored = score_open_vocabulary(truth, prediction, load_table('affekt'), rng=np.random.default_rng(0), resamples=200)
    assert scored.headline == ('near+intensity', 'f1')
    for values in scored.trivial.values():
        for name, ceiling in scored.ceiling.values.items():
            assert values[name] <= ceiling + 1e-9
    headline = scored.value(*scored.headline)
    assert headline.low < headline.value < headline.high
    assert scored.truth.share > 0.97


def test_intervals_hold_the_value_and_are_the_same_again_with_the_same_seed():
    truth = {str(index): ['glad'] for index in range(40)}
    prediction = {name: ['glad'] if int(name) % 3 else ['fury'] for name in truth}
    first, second = (
        score_open_vocabulary(truth, prediction, SMALL, rng=np.random.default_rng(7), resamples=300, trivial=False)
        for _ in range(2)
    )
    interval = first.value('own-L1', 'f1')
    assert interval == second.value('own-L1', 'f1')
    # 26 of 40 right; the standard error is sqrt(0.65 0.35 / 40) = 0.0754
    assert interval.value == pytest.approx(26 / 40)
    assert interval.low == pytest.approx(0.65 - 1.96 * 0.0754, abs=0.04)
    assert interval.high == pytest.approx(0.65 + 1.96 * 0.0754, abs=0.04)


def test_a_paired_test_tells_systems_apart_only_where_they_differ(rng):
    truth = {str(index): ['glad'] for index in range(60)}
    good = {name: ['glad'] if int(name) % 10 else ['fury'] for name in truth}
    bad = {name: ['glad'] if int(name) % 2 else ['fury'] for name in truth}
    gap, p = compare_open_vocabulary(truth, good, bad, SMALL, rng=rng)['own-L1 f1']
    assert gap.value == pytest.approx(54 / 60 - 30 / 60)
    assert gap.low > 0
    assert p < 0.01
    same, p_same = compare_open_vocabulary(truth, good, dict(good), SMALL, rng=rng)['own-L1 f1']
    assert (same.value, p_same) == (0.0, 1.0)


def test_bad_input_is_one_clear_error(rng):
    with pytest.raises(TableError, match='at least one sample'):
        score_open_vocabulary({}, {}, SMALL, rng=rng)
    with pytest.raises(TableError, match='true labels'):
        score_open_vocabulary({'a': ''}, {'a': 'glad'}, SMALL, rng=rng)
    with pytest.raises(UnknownNameError, match='official or consistent'):
        score_open_vocabulary({'a': 'glad'}, {'a': 'glad'}, SMALL, 'strict', rng=rng)


def test_a_report_is_plain_values():
    scored = _scores({'a': 'glad'}, {'a': 'odd'}, trivial=True)
    held = json.loads(json.dumps(scored.to_dict()))
    assert held['table_sha256'] == SMALL.sha256
    assert held['prediction']['unknown'] == {'odd': 1}
    assert held['trivial']['six basic words']['words'][0] == 'happy'
    assert 'near+intensity f1' in held['ceiling_of_constants']


def test_the_reward_is_f1_less_a_price_for_length():
    reward = Reward(length_weight=0.25, length_slack=1)
    assert reward('[happy]', '[happy]') == 1.0
    assert reward('[sad]', '[happy]') == 0.0
    # four words of one sector against one: F1 is 1, and two labels beyond the slack cost 0.25 each
    assert reward('[happy, glad, joyful, cheerful]', '[happy]') == pytest.approx(0.5)
    assert reward('', '[happy]') == 0.0
    assert math.isnan(reward('[happy]', ''))


def test_the_reward_of_a_long_list_falls_to_nothing():
    basic = 'happy, angry, sad, worried, surprised, neutral, disgusted, proud, ashamed, calm, curious, loving'
    assert Reward()(basic, '[happy]') < Reward()('[happy, surprised]', '[happy]')
    assert Reward()(basic, '[happy]') == 0.0


def test_the_reward_travels_through_pickle_and_threads():
    reward = pickle.loads(pickle.dumps(Reward()))
    assert reward == Reward()
    with ThreadPoolExecutor(4) as pool:
        values = list(pool.map(lambda _: reward('[happy, worried]', '[joyful]'), range(200)))
    assert set(values) == {Reward()('[happy, worried]', '[joyful]')}


def test_a_reward_with_impossible_settings_is_refused():
    with pytest.raises(ValueRangeError, match='length_weight'):
        Reward(length_weight=-1)


def test_the_official_reward_is_the_mean_f1_of_the_five_wheels(shared_data):
    table = str(shared_data / 'wheels' / '2026')
    reward = Reward(table, 'official', length_weight=0.0)
    folds = [load_table(table).fold(f'W{index}-L1') for index in range(1, 6)]
    # anger and happy share no sector on any wheel; the answer holds both, the truth one: F1 = 2/3 on each wheel
    assert all(fold['angry'] != fold['happy'] for fold in folds)
    assert reward('[angry, happy]', '[angry]') == pytest.approx(2 / 3)
