"""Times, lengths and numbers as they read in sentences."""

from __future__ import annotations

import dataclasses

import pytest

from affekt.analysis.phrases import tone, when
from affekt.analysis.records import Moment
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


@pytest.mark.parametrize(
    ('place', 'words'),
    [
        ((0.0, 0.0), 'even'),
        ((0.5, 0.4), 'positive and lively'),
        ((-0.2, -0.3), 'slightly negative and calm'),
        ((0.0, 0.3), 'lively'),
    ],
)
def test_tone(place, words):
    assert tone(*place) == words


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
        '<1', '0', '73', '100', '99+',
    ]  # fmt: skip
    assert [within('50.00', 0.4, 0.612), within('–', nan, nan)] == ['50.00 [40.0 61.2]', '–']


def test_a_number_has_a_sign_only_where_it_differs_from_zero_unless_asked():
    assert [signed(0.0), signed(-0.001), signed(float('nan'))] == ['0.00', '0.00', '–']
    assert [signed(value, zero_too=True) for value in (0.0, -0.001, 1.0)] == ['+0.00', '−0.00', '+1.00']
