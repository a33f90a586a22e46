"""What an analysis says of a clip: means over time, of whom, and why nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from affekt.own_data import readings_of
from tests.own_data.conftest import analysis_of, rows, shares_of


def test_a_reading_is_the_mean_over_time_not_over_steps():
    analysis = analysis_of(
        [
            *rows('person 1', 'fused', 0.0, 3.0, shares_of('anger', 0.9), -0.4, 0.4),
            *rows('person 1', 'fused', 3.0, 3.1, shares_of('fear', 0.9), 0.8, 0.0),
        ],
        ['person 1'],
    )
    fused = readings_of(analysis).sources['fused']
    assert fused.category == 'anger'
    # (3 * 0.9 + 0.1 * 0.1 / 6) / 3.1
    assert fused.certainty == pytest.approx((3 * 0.9 + 0.1 * 0.1 / 6) / 3.1)
    assert fused.valence == pytest.approx((3 * -0.4 + 0.1 * 0.8) / 3.1)
    assert fused.arousal == pytest.approx(3 * 0.4 / 3.1)


def test_steps_that_name_nothing_are_left_out_and_the_reason_is_told_where_all_do():
    steps = [
        *rows('person 1', 'fused', 0.0, 1.0, shares_of('anger', 0.8), 0.1),
        *rows('person 1', 'fused', 1.0, 2.0, None, 0.3, abstained='unsure'),
    ]
    fused = readings_of(analysis_of(steps, ['person 1'])).sources['fused']
    assert (fused.category, fused.certainty) == ('anger', pytest.approx(0.8))
    assert fused.valence == pytest.approx(0.2)
    steps = [
        *rows('person 1', 'fused', 0.0, 1.0, None, 0.3, abstained='contradiction'),
        *rows('person 1', 'fused', 1.0, 3.0, None, 0.3, abstained='unsure'),
    ]
    fused = readings_of(analysis_of(steps, ['person 1'])).sources['fused']
    assert (fused.category, fused.silent_because) == ('', 'unsure')
    assert np.isnan(fused.certainty)


def test_the_reason_in_a_table_is_the_one_for_most_of_the_time_in_the_window():
    turns = pa.table(
        {
            'abstains_because': ['too short', 'too short', 'crying', ''],
            'start_s': [0.0, 1.0, 2.0, 4.0],
            'end_s': [0.25, 1.25, 4.0, 9.0],
        }
    )
    analysis = dataclasses.replace(analysis_of([], []), tables={'turns': turns})
    assert readings_of(analysis).sources['voice'].silent_because == 'crying'
    assert readings_of(analysis, (0.0, 2.25)).sources['voice'].silent_because == 'too short'


def test_the_first_person_is_read_and_another_only_where_a_source_never_speaks_of_them():
    analysis = analysis_of(
        [
            *rows('person 1', 'fused', 0.0, 2.0, shares_of('anger')),
            *rows('person 1', 'face', 0.0, 2.0, shares_of('anger')),
            *rows('voice', 'fused', 0.0, 4.0, shares_of('fear')),
            *rows('voice', 'voice', 0.0, 4.0, shares_of('fear')),
        ],
        ['person 1', 'voice'],
    )
    sources = readings_of(analysis).sources
    assert {name: reading.category for name, reading in sources.items()} == {
        'face': 'anger', 'voice': 'fear', 'words': '', 'fused': 'anger',
    }  # fmt: skip
    assert sources['words'].silent_because == 'nothing measured'


def test_a_stretch_of_a_recording_is_read_alone():
    analysis = analysis_of(
        [
            *rows('person 1', 'fused', 0.0, 2.0, shares_of('anger')),
            *rows('person 2', 'fused', 2.0, 4.0, shares_of('fear')),
        ],
        ['person 1', 'person 2'],
    )
    assert readings_of(analysis, (0.0, 2.0)).sources['fused'].category == 'anger'
    assert readings_of(analysis, (2.0, 4.0)).sources['fused'].category == 'fear'
    outside = readings_of(analysis, (analysis.source.duration_s, analysis.source.duration_s + 1))
    assert outside.is_outside
    assert {reading.silent_because for reading in outside.sources.values()} == {'outside the recording'}
    assert not readings_of(analysis, (2.0, 99.0)).is_outside


def test_nobody_is_no_reading():
    assert {reading.category for reading in readings_of(analysis_of([], [])).sources.values()} == {''}


def test_a_silent_source_says_why_as_its_table_does():
    steps = [*rows('voice', 'fused', 0.0, 4.0, shares_of('fear')), *rows('voice', 'voice', 0.0, 4.0, None, 0.0)]
    turns = pa.table({
        'start_s': [0.0, 1.0, 2.0], 'end_s': [1.0, 2.0, 3.0],
        'abstains_because': ['unfamiliar', 'unfamiliar', 'unsure'],
    })  # fmt: skip
    utterances = pa.table({'start_s': [0.0], 'end_s': [2.0], 'reason': ['not understood']})
    analysis = dataclasses.replace(analysis_of(steps, ['voice']), tables={'turns': turns, 'utterances': utterances})
    sources = readings_of(analysis).sources
    assert sources['voice'].silent_because == 'unfamiliar'
    assert sources['words'].silent_because == 'not understood'
    assert readings_of(analysis, (2.0, 3.0)).sources['voice'].silent_because == 'unsure'
