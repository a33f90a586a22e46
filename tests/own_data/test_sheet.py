"""Sentences on scores: each says what its interval allows, and no more."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from affekt.own_data import (
    AnalysisBenchmark,
    ClipReading,
    LabelledClip,
    LabelledClips,
    ReadClips,
    SourceReading,
    analysis_sheet,
    conclusions,
    scored,
)
from tests.own_data.conftest import shares_of


def _outcome(truth, answers, certainty=0.7, sources=('fused',), speakers=10, **more):
    clips = [
        LabelledClip(
            f'{at}.wav', Path('x'), None, label, '' if label == 'boredom' else label, group=f's{at % speakers}'
        )
        for at, label in enumerate(truth)
    ]
    readings = [
        ClipReading({
            source: SourceReading(tuple(shares_of(answer, certainty)) if answer else (), silent_because='')
            for source, answer in zip(sources, each if isinstance(each, tuple) else (each,), strict=True)
        })
        for each in answers
    ]  # fmt: skip
    scores = scored(clips, readings, rng=np.random.default_rng(0), resamples=200)
    labelled = LabelledClips('own', tuple(clips), 'speaker' if speakers > 1 else '', **more)
    return AnalysisBenchmark(labelled, ReadClips(tuple(readings)), scores, {})


def test_the_first_sentence_says_how_often_it_is_right_where_it_speaks_and_what_it_claims():
    outcome = _outcome(['anger', 'fear', 'anger', 'anger'] * 10, ['anger', 'fear', 'fear', ''] * 10)
    first = conclusions(outcome)[0]
    assert first.startswith("On these 40 clips of 10 speakers affekt's fused category is right 67 % [")
    assert '(on 75 % of them), and says 70 %' in first
    assert "always 'anger' is right 75 %" in first


def test_a_stretch_after_the_end_of_its_file_is_named():
    outcome = _outcome(['anger', 'fear'], ['anger', 'fear'])
    beyond = ClipReading({'fused': SourceReading(silent_because='outside the recording')})
    cut = dataclasses.replace(outcome, clips=ReadClips((outcome.clips.readings[0], beyond)))
    assert '1 clip begins after the end of the file: 1.wav' in cut.notes


def test_without_any_category_there_is_no_table_of_recalls():
    assert not [section for section in analysis_sheet(_outcome(['anger'], [''])).sections if 'Recall' in section.title]


def test_one_clip_is_called_this_clip():
    assert conclusions(_outcome(['anger'], ['anger'], speakers=1))[0].startswith("On this clip affekt's fused")


def test_the_table_of_the_longest_category_fits_eighty_columns():
    outcome = _outcome(['happiness'] * 30 + ['anger'] * 10, ['happiness', 'anger'] * 20)
    section = analysis_sheet(outcome).sections[0]
    rows = [section.heads, *section.cells]
    widths = [max(len(row[column]) for row in rows) for column in range(len(section.heads))]
    assert sum(widths) + len(widths) - 1 <= 80


@pytest.mark.parametrize(('certainty', 'begins'), [(0.95, 'It is overconfident'), (0.3, 'It is underconfident')])
def test_certainty_that_is_off_is_said_to_be_off(certainty, begins):
    truth = ['anger', 'fear', 'anger', 'fear', 'anger'] * 20
    answers = ['anger', 'fear', 'anger', 'anger', 'fear'] * 20  # 3 of 5 right
    assert conclusions(_outcome(truth, answers, certainty, speakers=17))[1].startswith(begins)


def test_of_a_few_clips_nothing_is_concluded():
    sentences = conclusions(_outcome(['anger', 'fear', 'anger'], ['anger', 'anger', 'fear'], speakers=3))
    assert any(sentence.startswith('Too few clips or speakers') for sentence in sentences)


def test_fusion_that_is_worse_than_its_best_source_is_said_to_be():
    truth = ['anger', 'fear'] * 30
    answers = [('anger', label, 'anger') for label in truth]
    sentences = conclusions(_outcome(truth, answers, sources=('fused', 'voice', 'words')))
    assert any('fusion is worse than its best source, the voice alone: −50.0 points' in each for each in sentences)


def test_a_label_without_a_category_says_how_many_are_left_without_one():
    sentences = conclusions(_outcome(['anger'] * 4 + ['boredom'] * 3, ['anger'] * 4 + ['', 'sadness', '']))
    assert any("Of 3 clips labelled 'boredom'" in each and '2 clips are left' in each for each in sentences)


def test_a_source_alone_leads_where_nothing_was_fused():
    sentences = conclusions(_outcome(['anger', 'fear'] * 9, ['anger', 'fear'] * 9, sources=('words',)))
    assert "affekt's category by the words alone is right" in sentences[0]


def test_tables_of_all_categories_fit_80_columns():
    names = ('anger', 'disgust', 'fear', 'happiness', 'sadness', 'surprise', 'neutral')
    outcome = _outcome(list(names) * 9, list(names) * 9)
    for section in analysis_sheet(outcome).sections:
        rows = [section.heads, *section.cells]
        assert sum(max(len(cells[at]) for cells in rows) + 1 for at in range(len(section.heads))) <= 80, section.title


def test_fusion_that_is_silent_where_its_only_source_is_right_is_said_to_be_worse():
    truth = ['anger', 'fear'] * 30
    answers = [('' if at % 3 else label, label) for at, label in enumerate(truth)]
    sentences = conclusions(_outcome(truth, answers, sources=('fused', 'face'), speakers=20))
    (said,) = [each for each in sentences if 'fusion is worse than the face alone: −66.7 points' in each]
    assert said.endswith('on clips for which both name a category, 0.0 points [0.0, 0.0].')


@pytest.mark.parametrize(
    ('answers', 'end'),
    [
        (['anger', 'anger', 'fear', ''], 'as all should be; most of the others are called anger.'),
        (['anger', 'anger', 'fear', 'sadness'], 'as all should be.'),
        (['', '', '', ''], 'as all should be.'),
    ],
)
def test_most_of_the_clips_with_a_label_outside_the_categories_are_more_than_half(answers, end):
    sentences = conclusions(_outcome(['anger', 'fear', *['boredom'] * 4], ['anger', 'fear', *answers]))
    (sentence,) = (sentence for sentence in sentences if 'boredom' in sentence)
    assert sentence.endswith(end)
