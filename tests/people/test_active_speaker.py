"""Turns tied to faces by moving mouths, on synthetic mouths and sound."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.people import Mouth, attribute_turns, match_speakers, score_turn

RATE = 12.5
TIMES = np.arange(0, 10, 1 / RATE)
LASTING = np.full(len(TIMES), 1 / RATE)
SOUND_TIMES = np.arange(0, 10, 0.1)
SYLLABLES = 0.5 + 0.5 * np.sin(2 * np.pi * 2.0 * SOUND_TIMES)
LOUDNESS = -50 + 30 * SYLLABLES


def talking(person='person 1', size=0.2, lag_s=0.0):
    """A mouth that opens with the sound."""
    return Mouth(person, TIMES, size * np.interp(TIMES - lag_s, SOUND_TIMES, SYLLABLES), LASTING)


def still(person='person 2'):
    return Mouth(person, TIMES, 0.02 + 0.003 * np.sin(TIMES * 7), LASTING)


def chewing(person='person 2'):
    """A mouth that moves as much as a talker's, at its own pace."""
    return Mouth(person, TIMES, 0.1 + 0.1 * np.sin(2 * np.pi * 0.7 * TIMES + 1.0), LASTING)


def who(mouths, turns=((1.0, 4.0),)):
    return [s.person for s in attribute_turns(turns, mouths, SOUND_TIMES, LOUDNESS)]


def test_the_mouth_that_moves_speaks():
    assert who([talking(), still()]) == ['person 1']
    assert who([still('person 1'), talking('person 2')]) == ['person 2']


def test_rhythm_tells_a_talker_from_a_chewer():
    assert who([chewing(), talking()]) == ['person 1']


def test_a_mouth_up_to_a_fifth_of_a_second_late_still_fits():
    late = score_turn(1.0, 4.0, talking(lag_s=0.15), SOUND_TIMES, LOUDNESS)
    assert late == pytest.approx(score_turn(1.0, 4.0, talking(), SOUND_TIMES, LOUDNESS), abs=0.15)


def test_two_mouths_alike_leave_the_turn_to_nobody():
    assert who([talking(), talking('person 2')]) == ['']


def test_a_lone_face_with_a_still_mouth_is_not_the_speaker():
    assert who([still('person 1')]) == ['']
    assert who([talking('person 1')]) == ['person 1']


def test_the_usual_speaker_needs_less_for_a_mumbled_turn():
    # Full movement until 6 s, then hardly any: 0.02 * sd(sine) / 0.06 * (1 + 1) / 2 is about 0.24, below 0.3.
    mouth = talking(size=0.2)
    mumbled = np.where(TIMES < 6, mouth.opening, mouth.opening * 0.2)
    faint = Mouth('person 1', TIMES, mumbled, LASTING)
    assert who([faint], turns=((6.5, 9.0),)) == ['']
    assert who([faint], turns=((1.0, 5.0), (6.5, 9.0))) == ['person 1', 'person 1']


def test_without_faces_nobody_visible_speaks():
    assert who([], turns=((0.0, 1.0), (2.0, 3.0))) == ['', '']


def test_a_face_seen_for_a_fifth_of_the_turn_does_not_count():
    early = talking()
    first = slice(int(1.6 * RATE))
    part = Mouth('person 1', early.times_s[first], early.opening[first], LASTING[first])
    assert who([part]) == ['']


def test_scores_stay_between_zero_and_one_and_ignore_missing_readings():
    mouth = talking(size=0.9)
    holes = np.where(np.arange(len(TIMES)) % 3 == 0, np.nan, mouth.opening)
    assert 0 < score_turn(1, 4, Mouth('p', TIMES, holes, LASTING), SOUND_TIMES, LOUDNESS) <= 1


def test_a_turn_without_sound_readings_falls_back_to_motion():
    speakers = attribute_turns([(1.0, 4.0)], [talking(), still()], np.array([]), np.array([]))
    assert speakers[0].person == 'person 1'
    assert speakers[0].scores['person 1'] == pytest.approx(0.5 * 37 / 37.5)  # 37 of 37.5 frames, motion 1, rhythm 0


def test_a_transcript_name_belongs_to_the_person_with_most_of_its_time():
    matched = match_speakers(
        ['Ann', 'Ann', 'Bob', 'Bob', ''],
        [(0, 4), (5, 6), (6, 7), (8, 12), (12, 13)],
        ['person 1', 'person 2', 'person 1', 'person 2', 'person 1'],
    )
    # Ann: 4 s of 5 on person 1; Bob: 4 of 5 on person 2.
    assert matched == {'Ann': 'person 1', 'Bob': 'person 2'}


def test_a_name_spread_over_people_belongs_to_nobody():
    assert match_speakers(['Ann', 'Ann'], [(0, 1), (1, 2)], ['person 1', 'person 2']) == {}


def test_two_names_on_one_person_give_it_to_the_longer():
    assert match_speakers(['Ann', 'Bob'], [(0, 1), (1, 4)], ['person 1', 'person 1']) == {'Bob': 'person 1'}
