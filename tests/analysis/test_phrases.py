"""Times, lengths and numbers as they read in sentences."""

from __future__ import annotations

import dataclasses

import pytest

from affekt.analysis.fuse import UNSURE_BELOW
from affekt.analysis.phrases import LEAST_TOLD, headline, named, told_course, told_words, tone, when
from affekt.analysis.records import Moment, OpenLabel, Person, Stretch
from affekt.wording import (
    clock,
    counted,
    is_single,
    length,
    listed,
    opened,
    percent,
    percent_in_five,
    percent_never_sure,
    signed,
    stretch,
    within,
)


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0, '0:00'), (12.9, '0:12'), (59.9999999, '1:00'), (754, '12:34'), (3723, '1:02:03'), (-1, '0:00')],
)
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.4, '0.4 seconds'), (1.0, '1 second'), (3.0, '3 seconds'), (12.2, '12 seconds'), (119, '119 seconds'),
     (180, '3 minutes'), (3600, '1 hour'), (3900, '1 hour and 5 minutes'), (7260, '2 hours and 1 minute')],
)  # fmt: skip
def test_length(seconds, text):
    assert length(seconds) == text


def test_signed_has_a_real_minus_and_no_negative_zero():
    assert [signed(x) for x in (0.314, -0.2, -0.001)] == ['+0.31', '−0.20', '0.00']


def test_lists_and_capitals():
    assert listed([]) == ''
    assert listed(['a']) == 'a'
    assert listed(['a', 'b', 'c']) == 'a, b and c'
    assert opened('élan vital') == 'Élan vital'
    assert stretch(7.2, 7.9) == 'at 0:07'
    assert stretch(7.2, 12.9) == 'from 0:07 to 0:12'


def around(mean, half=0.1):
    return (mean, mean - half, mean + half)


@pytest.mark.parametrize(
    ('valence', 'arousal', 'words'),
    [
        (around(0.0), around(0.0), 'even'),
        (around(0.5), around(0.4), 'positive and lively'),
        (around(-0.2), around(-0.3), 'slightly negative and calm'),
        (around(0.0), around(0.3), 'neutral and lively'),
        (None, around(0.4), 'lively'),
        (around(0.5), None, 'positive'),
        (None, None, ''),
        # whom raters call neutral comes out at -0.17: the interval reaches over 0
        (around(-0.17, 0.3), around(0.0), 'even'),
        (around(-0.17, 0.3), around(0.4), 'neutral and lively'),
        (around(0.2, 0.3), None, 'neutral'),
        (around(-0.3, 0.5), around(0.4), 'lively'),  # neither surely negative nor near 0
        (around(-0.4, 0.5), around(0.53, 0.66), 'probably negative and probably lively'),
        (around(-0.03, 0.9), around(0.06, 0.77), ''),  # a face of which nothing is known
        (around(-0.12, 0.68), around(0.04, 0.66), ''),  # one picture of a neutral face
        ((-0.18, -0.9, 0.5), around(0.4, 0.3), 'lively'),  # an angry voice: not neutral, for all that is known
        # so wide that neither a tone nor the absence of one is known
        (around(0.3, 0.6), around(0.2, 0.7), ''),
        (around(0.3, 0.6), around(-0.4), 'calm'),
    ],
)
def test_a_tone_is_told_only_where_its_interval_says_so(valence, arousal, words):
    assert tone(valence, arousal) == words


@pytest.mark.parametrize(
    ('certainties', 'text'),
    [
        ((0.91, 0.9, 0.41), 'a (91 % sure), b and perhaps c'),
        ((0.53, 0.42, 0.4), 'a (53 % sure), perhaps b and c'),
        ((0.42, 0.4, 0.36), 'perhaps a (42 % sure), b and c'),
        ((0.7, 0.6, 0.5), 'a (70 % sure), b and c'),
        ((0.7, 0.3), 'a (70 % sure)'),
    ],
)
def test_words_that_are_not_sure_are_told_with_perhaps_once(certainties, text):
    words = [word(letter, 'person 1', share) for letter, share in zip('abc', certainties, strict=False)]
    assert headline(person('person 1', HAPPY), words) == f'person 1 comes across as {text}'


def test_who_is_mostly_unclear_is_so_and_does_not_come_across_as_it():
    parts = [(20, 'unclear', None), HAPPY, (20, 'unclear', None), SAD, (20, 'unclear', None)]
    assert headline(person('person 1', *parts), ()) == (
        'person 1 is mostly unclear, with a happy stretch from 0:20 to 0:30 (79 % sure), '
        'and a sad stretch from 0:50 to 0:56 (54 % sure)'
    )


def test_one_scale_of_certainty_in_all_sentences():
    assert [named('happy', share) for share in (0.23, 0.349, 0.35, 0.49, 0.5, 0.9, float('nan'))] == [
        'unclear', 'unclear', 'perhaps happy', 'perhaps happy', 'happy', 'happy', 'unclear',
    ]  # fmt: skip
    assert LEAST_TOLD == UNSURE_BELOW


def stretches(*parts):
    """Touching stretches from (seconds, label, certainty)."""
    made, start = [], 0.0
    for seconds, label, certainty in parts:
        made.append(Stretch(start, start + seconds, label, certainty, reason='' if certainty else 'unsure'))
        start += seconds
    return tuple(made)


SAD, UNSURE, HAPPY = (6, 'sadness', 0.54), (4, 'unclear', None), (10, 'happiness', 0.79)


@pytest.mark.parametrize(
    ('parts', 'text'),
    [
        ([HAPPY], 'happy (79 % sure)'),
        ([SAD, HAPPY], 'sad until 0:06 (54 % sure), happy from 0:06 (79 % sure)'),
        ([SAD, UNSURE, HAPPY], 'sad until 0:06 (54 % sure), unclear, happy from 0:10 (79 % sure)'),
        (
            [SAD, UNSURE, HAPPY, (5, 'anger', 0.4)],
            'sad until 0:06 (54 % sure), unclear until 0:10, happy (79 % sure), perhaps angry from 0:20 (40 % sure)',
        ),
        (
            [SAD, HAPPY, SAD, UNSURE, SAD, (30, 'anger', 0.6), SAD],
            'most often angry (60 % sure), with sad stretches, the longest from 0:00 to 0:06 (54 % sure), '
            'and a happy stretch from 0:06 to 0:16 (79 % sure)',
        ),
        ([(60, 'neutral', 0.7), *[HAPPY, (3, 'neutral', 0.5)] * 3],
         'mostly neutral (67 % sure), with happy stretches, the longest from 1:00 to 1:10 (79 % sure)'),
    ],
)  # fmt: skip
def test_a_course_reads_in_at_most_four_parts(parts, text):
    assert ', '.join(map(str, told_course(stretches(*parts)))) == text


def test_stretches_that_do_not_touch_are_told_from_start_to_end():
    course = (Stretch(0.0, 5.0, 'sadness', 0.6), Stretch(20.0, 31.0, 'happiness', 0.8))
    assert ', '.join(map(str, told_course(course))) == (
        'sad from 0:00 to 0:05 (60 % sure), happy from 0:20 to 0:31 (80 % sure)'
    )


def person(name, *parts, seen_s=20.0):
    return Person(name, seen_s, 5.0, None, {}, None, None, course=stretches(*parts))


def word(text, name, certainty):
    return OpenLabel(text, name, 0.5, certainty, 0.0, 0.0, (), scope='whole')


def test_a_headline_tells_the_course_or_the_words_for_who_stays_the_same():
    words = [word('amused', 'person 1', 0.62), word('at ease', 'person 1', 0.48)]
    assert headline(person('person 1', HAPPY), words) == (
        'person 1 comes across as amused (62 % sure) and perhaps at ease'
    )
    assert headline(person('person 1', SAD, HAPPY), words) == (
        'person 1 comes across as sad until 0:06 (54 % sure), happy from 0:06 (79 % sure)'
    )
    assert headline(person('voice', HAPPY, seen_s=0.0), words) == 'the voice sounds happy (79 % sure)'
    assert headline(person('speaker 1', HAPPY, seen_s=0.0), words) == 'speaker 1 sounds happy (79 % sure)'
    # a word that is not sure enough is not told: the category is
    assert headline(person('person 1', (9, 'surprise', 0.45)), [word('amused', 'person 1', 0.23)]) == (
        'person 1 comes across as perhaps surprised (45 % sure)'
    )


def test_nobody_who_is_unclear_gets_words():
    words = [word('matter-of-fact', 'voice', 0.5)]
    assert told_words(person('voice', UNSURE), words) == []
    assert told_words(person('voice', HAPPY), words) == words
    assert headline(person('voice', UNSURE, seen_s=0.0), words) == 'the voice is too unclear to name an emotion'


def test_a_headline_says_what_is_unclear():
    assert headline(person('voice', UNSURE, seen_s=0.0), ()) == 'the voice is too unclear to name an emotion'
    assert headline(person('person 2', UNSURE), ()) == ('the expression of person 2 is too unclear to name an emotion')
    assert headline(person('person 2', UNSURE, HAPPY), ()) == (
        'person 2 is unclear until 0:04, then comes across as happy from 0:04 (79 % sure)'
    )
    torn = dataclasses.replace(stretches(UNSURE)[0], reason='contradiction')
    assert headline(dataclasses.replace(person('person 2'), course=(torn,)), ()) == (
        'face, voice and words of person 2 contradict each other'
    )
    unseen = dataclasses.replace(person('Anna', seen_s=0.0), course=(torn,))
    assert headline(unseen, ()) == 'voice and words of Anna contradict each other'
    assert headline(person('person 2'), ()) == ''


def test_no_number_of_any_digits_is_a_negative_zero():
    assert [signed(x, 1) for x in (-0.04, 0.04, -0.05001)] == ['0.0', '0.0', '−0.1']
    assert signed(-0.0) == '0.00'


def test_nouns_and_verbs_agree_with_their_number():
    assert [counted(n, 'file') for n in (0, 1, 2, 1234)] == ['0 files', '1 file', '2 files', '1,234 files']
    assert [is_single(s) for s in (0.4, 0.98, 1.0, 1.4, 2.0, 60.0, 3600.0)] == [
        False, True, True, False, False, False, True,
    ]  # fmt: skip


def test_a_moment_is_told_by_its_span_and_never_by_its_strongest_instant():
    smile = Moment('smile', 14.6, 12.9, 18.1, 'person 1', 0.5, 'Person 1 smiles.', ())
    assert when(smile) == 'from 0:12 to 0:18'
    assert when(dataclasses.replace(smile, kind='change')) == 'at 0:14'
    assert when(dataclasses.replace(smile, end_s=12.95)) == 'at 0:12'


def test_shares_read_as_per_cent_with_a_dash_where_there_is_none():
    nan = float('nan')
    assert [percent(share) for share in (0.5, 1.0, nan)] == ['50.00', '100.00', '–']
    assert [percent(0.725, 1), percent(0.725, 0, '%'), percent(1.0, 0, ' %'), percent(nan, 0, ' %')] == [
        '72.5', '72%', '100 %', '–',
    ]  # fmt: skip
    assert [percent_in_five(share) for share in (0.7346, 0.99994, 0.99995, 1.0, nan)] == [
        '73.46', '99.99', '100.0', '100.0', '–',
    ]  # fmt: skip
    assert [percent_never_sure(chance) for chance in (0.001, 0.005, 0.73, 0.995, 0.999)] == [
        '<1', '<1', '73', '99+', '99+',
    ]  # fmt: skip
    assert [within('50.00', 0.4, 0.612), within('–', nan, nan)] == ['50.00 [40.0 61.2]', '–']


def test_a_number_has_a_sign_only_where_it_differs_from_zero_unless_asked():
    assert [signed(0.0), signed(-0.001), signed(float('nan'))] == ['0.00', '0.00', '–']
    assert [signed(value, zero_too=True) for value in (0.0, -0.001, 1.0)] == ['+0.00', '−0.00', '+1.00']
