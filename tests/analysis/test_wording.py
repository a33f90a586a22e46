"""Times, lengths and numbers as they read in sentences."""

from __future__ import annotations

import pytest

from affekt.analysis.wording import tone
from affekt.wording import clock, length, listed, opened, signed, stretch


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
