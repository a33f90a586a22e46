"""From answers to verdicts: the published reading, ours, and swap consistency."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affekt.judging.answers import FIRST, SAME, SECOND, UNSURE, Reading, official_verdict, read_verdict
from affekt.preference.scores import swap_consistency, verdicts


@pytest.fixture(scope='module')
def vectors(shared_data):
    return json.loads((shared_data / 'vectors' / 'ov' / 'edge_cases.json').read_text())


def test_the_published_reading_is_reproduced(vectors):
    cases = vectors['preference_parse']
    assert [official_verdict(case['in']) for case in cases] == [case['ok'] for case in cases]


def test_the_published_swap_consistency_is_reproduced(vectors):
    for case in vectors['swap_consistency']:
        found = swap_consistency(verdicts(case['forward_pred']), verdicts(case['swapped_pred']))
        assert found == pytest.approx(case['swap_consistency'], abs=1e-15)


@pytest.mark.parametrize(
    ('answer', 'verdict', 'how'),
    [
        ('{"verdict": "a1"}', FIRST, 'json'),
        ('{"verdict": " A2 ", "why": "it fits"}', SECOND, 'json'),
        ('{"verdict": "tie"}', SAME, 'json'),
        ('{"verdict": "unsure"}', UNSURE, 'json'),
        ('Sure! ```json\n{"verdict": "same"}\n``` Hope it helps', SAME, 'embedded json'),
        ('{"thought": {"verdict": "a2"}} {"verdict": "a1"}', FIRST, 'embedded json'),
        ('{"verdict": "a1"} and then {"verdict": "a2"}', UNSURE, 'contradictory'),
        ('{"verdict": "a1"}{"verdict": "a1"}', FIRST, 'embedded json'),
        ('{"verdict": 1}', UNSURE, 'unread'),
        ('{"verdict": "a3"}', UNSURE, 'unread'),
        ('{"verdict": ["a1"]}', FIRST, 'conclusion'),
        ('{"verdict": "a1"', FIRST, 'conclusion'),
        ('<think>a1? no, a2. {"verdict": "a2"}</think>{"verdict": "a1"}', FIRST, 'json'),
        ('The verdict is **a2**.', SECOND, 'conclusion'),
        ('a1 names the smile and a2 the voice. Answer: a1', FIRST, 'conclusion'),
        ('a1 is clearly better than a2.', FIRST, 'conclusion'),
        ('a2 seems better; a1 is not better', SECOND, 'conclusion'),
        ('a1 is better here, a2 is better there', UNSURE, 'contradictory'),
        ('Neither a1 nor a2 is better.', UNSURE, 'contradictory'),
        ('It is hard to say whether a1 or a2 is better.', UNSURE, 'contradictory'),
        ('Which is better, a1 or a2?', UNSURE, 'contradictory'),
        ('Either a1 or\na2 is better.', UNSURE, 'contradictory'),
        ('Answer: a1, or a2', UNSURE, 'contradictory'),
        ('Verdict: a1/a2/same/unsure', UNSURE, 'contradictory'),
        ('Neither **A1** nor **A2** is better.', UNSURE, 'contradictory'),
        ("Answer: 'a1' or 'a2'", UNSURE, 'contradictory'),
        ('**A2** is better than **A1**', SECOND, 'conclusion'),
        ('a1/a2 is better', UNSURE, 'contradictory'),
        ('The case for A1 is better than that of a2.', FIRST, 'conclusion'),
        ('Which is better, a1 or a2? a2 is better.', SECOND, 'conclusion'),
        ('a2', SECOND, 'text'),
        ('A2!', SECOND, 'text'),
        ('I prefer A1 over the rest', FIRST, 'text'),
        ('a1 names the smile, a2 does not', UNSURE, 'contradictory'),
        ('Both are the same, but a1 is slightly better', FIRST, 'conclusion'),
        ('neither', UNSURE, 'unread'),
        ('extra1 data2 samey', UNSURE, 'unread'),
        ('', UNSURE, 'empty'),
        ('<think>hm</think>', UNSURE, 'empty'),
        ('I am sorry, I cannot judge people.', UNSURE, 'unread'),
        ('{' * 5000, UNSURE, 'unread'),
        ('{"verdict": "a1"}' + ' ' * 30_000 + '{"verdict": "a2"}', FIRST, 'json'),
    ],
)
def test_an_answer_is_read_or_said_to_be_unreadable(answer, verdict, how):
    assert read_verdict(answer) == Reading(verdict, how)


@given(st.text(alphabet='a12 {}":verdictsameunsure,\n', max_size=80))
def test_no_answer_breaks_the_reading_and_what_is_read_stands_in_the_answer(answer):
    reading = read_verdict(answer)
    assert reading.verdict in (FIRST, SECOND, SAME, UNSURE)
    if reading.verdict in (FIRST, SECOND):
        assert reading.verdict in answer.lower()
    assert official_verdict(answer) in (FIRST, SECOND, SAME)


@given(st.sampled_from(['a1', 'a2', 'same', 'unsure']), st.text(alphabet='xyz .,\n', max_size=30))
def test_a_json_answer_is_read_whatever_stands_around_it(verdict, around):
    assert read_verdict(f'{around}{{"verdict": "{verdict}"}}{around}').verdict == verdict


def test_every_form_of_thinking_is_left_out_of_a_verdict():
    for text in (
        '◁think▷a1? a2?◁/think▷{"verdict": "a2"}',
        'a1 is better</think>a2',
        '<REASONING>a1</REASONING><answer>a2</answer>',
    ):
        assert read_verdict(text).verdict == SECOND
    assert read_verdict('<think>a1 is better, surely').how == 'empty'
