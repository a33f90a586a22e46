"""The official open-vocabulary scores: derived by hand, and equal to the stored values of the published code."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from made_up_table import SMALL

from affekt.errors import TableError, ValueRangeError
from affekt.labels import load_table
from affekt.metrics import (
    grouped_scores,
    hit_rates,
    score_open_vocabulary,
    sentiment_scores,
    set_scores,
    shares_any_group,
)


@pytest.fixture
def small_table():
    return SMALL


STORED_NAMES = {'M1': 'case1', 'M2': 'case2', 'EW-L1': 'EW_level1', 'EW-L2': 'EW_level2', 'M-avg': 'M_avg12'}


def _stored_name(row):
    return STORED_NAMES.get(row) or f'case3_wheel{row[1]}_level{row[-1]}'


@pytest.fixture(scope='module')
def tables(shared_data):
    return {year: load_table(shared_data / 'wheels' / year) for year in ('2025', '2026')}


@pytest.fixture(scope='module')
def stored(shared_data):
    return lambda name: json.loads((shared_data / 'vectors' / 'ov' / f'{name}.json').read_text(encoding='utf-8'))


def _largest_deviation(truth, prediction, expected, tables):
    deviations = []
    for year, table in tables.items():
        for row, score in set_scores(truth, prediction, table).items():
            wanted = expected[year][_stored_name(row)]
            if row == 'M-avg':
                deviations.append(abs(score.f - wanted))
            else:
                deviations += [abs(getattr(score, part) - value) for part, value in wanted.items()]
    return max(deviations)


def test_all_ten_systems_in_three_modes_equal_the_stored_scores(stored, tables):
    held = stored('ovmer_baselines')
    assert len(held['runs']) == 30
    for run in held['runs'].values():
        assert _largest_deviation(held['gt'], run['pred'], run['expected'], tables) < 1e-12


def test_seven_checkpoints_on_the_public_part_of_ovmerd_plus_equal_the_stored_scores(stored, tables):
    held = stored('ovmerdplus_public332')
    for checkpoint in held['checkpoints'].values():
        assert _largest_deviation(held['gt'], checkpoint['openset'], checkpoint['expected'], tables) < 1e-12


def test_the_files_of_mer2024_equal_the_stored_scores(stored, tables):
    held = stored('mer2024_ov')
    assert _largest_deviation(held['gt'], held['pred'], held['expected']['ew'], tables) < 1e-12


def test_the_grouped_score_of_mer2024_equals_the_published_one(stored):
    held = stored('mer2024_ov')
    score = grouped_scores(held['gt'], held['pred'], held['gpt_groups_raw'])
    wanted = held['expected']['gpt_set_level']
    assert (score.n, score.precision, score.recall, score.mean) == pytest.approx(
        (332, wanted['precision'], wanted['recall'], wanted['avg']), abs=1e-12
    )


@pytest.mark.parametrize('name', ['mer2023', 'meld'])
def test_hit_rates_equal_the_stored_ones(stored, tables, name):
    held = stored(f'unibench_{name}')
    for checkpoint in held['checkpoints'].values():
        for year, table in tables.items():
            hits, wanted = hit_rates(held['gt'], checkpoint['openset'], table), checkpoint['expected'][year]
            assert hits['HIT'].hit_rate == pytest.approx(wanted['hitrate'], abs=1e-12)
            assert hits['HIT'].mscore == pytest.approx(wanted['mscore'], abs=1e-12)
            for index, wheel in enumerate(wanted['per_wheel'], 1):
                row = hits[f'W{index}-L1']
                assert row.n == wheel['n']
                assert row.hit_rate == pytest.approx(wheel['hitrate'], abs=1e-12)
                assert row.mscore == pytest.approx(wheel['mscore'], abs=1e-12)


@pytest.mark.parametrize('name', ['cmumosi', 'sims'])
def test_sentiment_scores_equal_the_stored_ones(stored, name):
    held = stored(f'unibench_{name}')
    for checkpoint in held['checkpoints'].values():
        score, wanted = sentiment_scores(held['gt'], checkpoint['sentiment']), checkpoint['expected']
        assert score.n == wanted['n_nonzero']
        assert score.weighted_f1 == pytest.approx(wanted['waf'], abs=1e-12)
        assert score.accuracy == pytest.approx(wanted['acc'], abs=1e-12)


def test_two_samples_by_hand(small_table):
    # M1: a: Y {furious, glad}, H {furious}: P 1, R 1/2; b: Y {annoyed}, H {glad}: 0, 0; c: Y is empty, skipped.
    # P = 1/2, R = 1/4, F = 2 (1/8) / (3/4) = 1/3
    truth = {'a': '[fury, gladly]', 'b': 'annoyed', 'c': 'neutral'}
    prediction = {'a': "['furious', 'nonsense']", 'b': 'glad', 'c': 'glad'}
    score = set_scores(truth, prediction, small_table)['M1']
    assert (score.n, score.precision, score.recall) == (2, 0.5, 0.25)
    assert score.f == pytest.approx(1 / 3, abs=1e-15)
    # W1-L1: fury and annoyed fold to mad, glad to happy: a 1, 1/2; b 0, 0 again
    assert set_scores(truth, prediction, small_table)['W1-L1'].recall == 0.25


def test_case_space_order_and_repeats_do_not_matter(small_table):
    truth = {'a': '[fury, gladly]', 'b': 'annoyed'}
    plain = set_scores(truth, {'a': '[glad, annoyed]', 'b': '[fury]'}, small_table)
    assert plain == set_scores(truth, {'a': '[ ANNOYED,Glad , glad ]', 'b': "['fury','Fury']"}, small_table)


def test_without_a_sample_that_folds_the_score_is_undefined(small_table):
    score = set_scores({'a': 'neutral'}, {'a': 'neutral'}, small_table)['M1']
    assert score.n == 0
    assert math.isnan(score.precision)
    assert math.isnan(score.f)


def test_nothing_right_is_zero_not_undefined(small_table):
    assert set_scores({'a': 'glad'}, {'a': ''}, small_table)['M1'].f == 0.0


def test_a_missing_prediction_is_named(small_table):
    with pytest.raises(TableError, match="none for 'b'"):
        set_scores({'a': 'glad', 'b': 'glad'}, {'a': 'glad'}, small_table)
    with pytest.raises(TableError, match="none for 'b'"):
        grouped_scores({'a': 'x'}, {'a': 'x'}, {'b': '[]'})


def test_a_group_stands_for_its_words_and_a_word_without_one_for_itself():
    # groups [glad happy] and [sad]: Y {glad, rage}, H {glad, sad}: P = R = 1/2
    score = grouped_scores({'a': '[happy, rage]'}, {'a': '[glad, sad]'}, {'a': "[['glad', 'happy'], ['sad']]"})
    assert (score.precision, score.recall, score.mean) == (0.5, 0.5, 0.5)


def test_a_hit_costs_nothing_for_extra_labels_but_mscore_shows_them(small_table):
    truth = {'a': 'glad', 'b': 'fury', 'c': 'neutral'}
    every = dict.fromkeys(truth, '[glad, fury]')
    hit = hit_rates(truth, every, small_table)['W1-L1']
    assert (hit.n, hit.hit_rate, hit.mscore) == (2, 1.0, 0.5)


def test_sharing_a_sector_on_any_wheel_is_a_hit(small_table):
    assert shares_any_group('[fury, glad]', 'annoyed', small_table)
    assert not shares_any_group('fury', 'glad', small_table)
    assert shares_any_group('', 'neutral', small_table)
    assert not shares_any_group('', 'glad', small_table)


def test_neutral_and_unreadable_sentiment_count_as_negative():
    # truth + - (0 is dropped); predicted positive, not positive: all right
    score = sentiment_scores({'a': 1.0, 'b': -0.2, 'c': 0.0}, {'a': 'Positive', 'b': 'mixed', 'c': 'positive'})
    assert (score.n, score.weighted_f1, score.accuracy, score.unread) == (2, 1.0, 1.0, 1)


def test_one_label_a_sample_adds_hit_rates_with_the_interval_of_recall(stored, tables):
    held = stored('unibench_mer2023')
    prediction = held['checkpoints']['000050']['openset']
    scored = score_open_vocabulary(held['gt'], prediction, tables['2025'], 'official', rng=np.random.default_rng(0))
    hit = scored.value(*scored.headline)
    assert scored.headline == ('HIT', 'hit rate')
    assert hit.value == pytest.approx(held['checkpoints']['000050']['expected']['2025']['hitrate'], abs=1e-12)
    assert hit.value - hit.low == pytest.approx(0.04, abs=0.01)  # 1.96 sqrt(0.785 0.215 / 411) = 0.040
    assert scored.trivial['six basic words']['HIT hit rate'] == pytest.approx(1.0)


def test_a_missing_sentiment_is_refused_and_does_not_count_as_negative():
    with pytest.raises(ValueRangeError, match='b'):
        sentiment_scores({'a': 1.0, 'b': float('nan')}, {'a': 'positive', 'b': 'negative'})
