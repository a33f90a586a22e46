"""Words for impressions: the table's facts, the choice of several, and when none fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affekt.analysis.open_labels import (
    CUE_COLUMNS,
    Impression,
    certainty_of,
    cue_levels,
    describe_impression,
    segments,
    word_table,
)
from affekt.labels import CIRCUMPLEX, EKMAN, GOEMOTIONS

COORDINATES = np.array([CIRCUMPLEX[k] for k in EKMAN])


PLACES = {
    'happy': (0.81, 0.51, 'norm'), 'content': (0.70, -0.10, 'near'), 'relieved': (0.68, -0.30, 'near'),
    'serious': (0.0, 0.05, 'near'), 'surprised': (0.40, 0.67, 'norm'), 'confused': (-0.53, 0.27, 'norm'),
    'anxious': (-0.45, 0.59, 'near'), 'annoyed': (-0.45, 0.35, 'near'), 'angry': (-0.51, 0.59, 'norm'),
    'disgusted': (-0.60, 0.35, 'norm'), 'sad': (-0.63, -0.27, 'norm'), 'bored': (-0.65, -0.62, 'norm'),
    'longing': (0.05, 0.25, 'near'),
}  # fmt: skip
"""Norms of Russell & Mehrabian 1977, and words placed between them."""


def impression(said=None, cues=None, confidence=None, **weights):
    shares = np.array([weights.get(k, 0.0) for k in EKMAN])
    rest = 1 - shares.sum()
    shares = np.where(shares == 0, rest / max(1, (shares == 0).sum()), shares)
    valence, arousal = shares @ COORDINATES
    return Impression(
        'person 1', 0.0, 5.0, shares, valence, arousal, confidence or shares.max(), said or {}, cues or {}
    )


def words(given):
    return [label.word for label in describe_impression(given)]


def test_the_word_table_holds_facts_in_range():
    table = word_table()
    assert 60 <= len(table) <= 150
    assert len({entry.word for entry in table}) == len(table)
    for entry in table:
        assert -1 <= entry.valence <= 1
        assert -1 <= entry.arousal <= 1
        assert entry.origin in ('norm', 'near')
        assert 0 < entry.affinity.max() <= 1
        assert set(entry.goemotions) <= set(GOEMOTIONS)
        assert set(entry.cues) <= set(CUE_COLUMNS)
        assert 0 <= entry.least < entry.most <= 1


def test_words_lie_where_the_norms_put_them():
    table = {entry.word: (entry.valence, entry.arousal, entry.origin) for entry in word_table()}
    assert {word: table[word] for word in PLACES} == PLACES


@pytest.mark.parametrize(
    ('weights', 'expected'),
    [
        ({'happiness': 0.9}, {'happy', 'cheerful', 'joyful', 'excited', 'elated'}),
        ({'sadness': 0.8}, {'sad', 'downcast', 'discouraged', 'disappointed'}),
        ({'anger': 0.85}, {'angry', 'furious', 'frustrated', 'irritated'}),
        ({'fear': 0.85}, {'fearful', 'anxious', 'nervous'}),
        ({'disgust': 0.85}, {'disgusted'}),
        ({'surprise': 0.85}, {'surprised', 'astonished'}),
        ({'neutral': 0.9}, {'matter-of-fact', 'composed', 'serious', 'calm'}),
    ],
)
def test_a_clear_category_gets_a_word_of_its_kind(weights, expected):
    assert words(impression(**weights))[0] in expected


def test_a_mixed_state_gets_words_of_both_kinds():
    found = describe_impression(impression(happiness=0.45, fear=0.4))
    assert {int(np.sign(x.valence)) for x in found} == {1, -1}


def test_spoken_labels_bring_in_words_that_a_face_cannot_show():
    assert 'grateful' not in words(impression(happiness=0.7))
    assert 'grateful' in words(impression(happiness=0.7, said={'gratitude': 0.6}))


def test_a_lowered_brow_speaks_for_concentration():
    entry = next(e for e in word_table() if e.word == 'concentrated')
    plain = certainty_of(entry, impression(neutral=0.7, cues={'brow_lower': 0.0, 'squint': 0.0}))
    assert certainty_of(entry, impression(neutral=0.7, cues={'brow_lower': 1.0, 'squint': 0.0})) > plain


def test_fury_takes_more_than_irritation():
    table = {e.word: e for e in word_table()}
    mild, strong = impression(anger=0.45, neutral=0.4), impression(anger=0.95)
    assert certainty_of(table['irritated'], mild) > certainty_of(table['furious'], mild)
    assert certainty_of(table['furious'], strong) > certainty_of(table['irritated'], strong)


simplex = st.lists(st.floats(0.01, 1.0), min_size=7, max_size=7).map(lambda v: np.array(v) / sum(v))


@settings(max_examples=50, deadline=None)
@given(shares=simplex, confidence=st.floats(0.1, 1.0), said=st.floats(0, 1))
def test_certainties_stay_below_the_fused_confidence_and_fall_along_the_list(shares, confidence, said):
    valence, arousal = shares @ COORDINATES
    given_impression = Impression('p', 0, 1, shares, valence, arousal, confidence, dict.fromkeys(GOEMOTIONS, said))
    found = describe_impression(given_impression)
    certainties = [x.certainty for x in found]
    assert certainties == sorted(certainties, reverse=True)
    assert all(0 <= c <= confidence + 1e-4 for c in certainties)
    assert len({x.word for x in found}) == len(found) <= 3
    assert found == describe_impression(given_impression)


def test_no_confidence_no_words():
    assert describe_impression(impression(happiness=0.9, confidence=0.05)) == ()


def test_cue_levels_run_from_start_to_full_and_leave_out_what_was_not_measured():
    # brow_lower starts at 0.15 and is full at 0.6: 0.375 lies half way
    assert cue_levels({'brow_lower': 0.375, 'smile': float('nan')}) == {'brow_lower': pytest.approx(0.5)}


def test_segments_join_equal_neighbours_and_swallow_blips():
    starts, ends = np.arange(10.0), np.arange(1.0, 11.0)
    winners = [1, 1, 1, 1, 2, 1, 1, -1, 3, 3]
    # the blip at 4 is shorter than 3 s and goes to its neighbours; step 7 abstains; 8-10 stands alone
    assert segments(starts, ends, winners) == [(0, 7), (8, 10)]


def test_segments_end_at_gaps_and_are_cut_when_long():
    assert segments([0, 1, 5, 6], [1, 2, 6, 7], [1, 1, 1, 1]) == [(0, 2), (2, 4)]
    assert segments(np.arange(40.0), np.arange(1.0, 41.0), [1] * 40) == [(0, 20), (20, 40)]
    assert segments([], [], []) == []
