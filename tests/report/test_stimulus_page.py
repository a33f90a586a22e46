"""The page of a set of stimuli."""

from __future__ import annotations

import re

import numpy as np

from affekt.report import stimulus_page
from affekt.report.stimulus_page import SHOWN


def row(**values):
    blank = {name: 0.0 if format_spec else 'x' for name, _, format_spec in SHOWN}
    return {**blank, 'person': 'day', 'emotion': 'anger', **values}


def test_signed_numbers_have_a_minus_sign_and_zero_has_none():
    rows = [row(measured_rise=-0.004, measured_valence=-0.25, measured_arousal=0.5, measured_share=np.nan)]
    page = stimulus_page(rows, {'day': np.zeros((8, 8, 3), np.uint8)}, {}, 'set')
    cells = re.findall(r'<td>(.*?)</td>', page)
    assert cells == [
        '0.00',
        'day',
        'anger',
        '0.00',
        '0.00',
        '',
        'x',
        '\N{MINUS SIGN}0.25',
        '+0.50',
        '0.000',
        '0.00',
        'x',
    ]


def test_sentences_on_portraits_stand_with_their_person():
    page = stimulus_page(
        [row()], {'day': np.zeros((8, 8, 3), np.uint8)}, {}, 'set', {'day': 'Part of <it> is covered.'}
    )
    assert '<ul class="notes" aria-label="Portraits"><li>day: Part of &lt;it&gt; is covered.</li></ul>' in page
