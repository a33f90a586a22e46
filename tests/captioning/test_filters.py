"""What is kept of captions and why the rest is not; what captions are like before and after."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from affekt.captioning import (
    FilterSettings,
    SpeakingScore,
    filter_captions,
    read_captions,
    read_left_out,
    read_struck,
    read_votes,
    sentiment_of,
    statistics_of,
    statistics_page,
    with_checks,
    write_filtered,
)
from affekt.captioning.filters import length_limits
from affekt.captioning.statistics import agreement, entropy
from affekt.errors import TableError, ValueRangeError
from affekt.labels import load_table
from affekt.metrics import Interval
from affekt.tables import csv_bytes


@pytest.fixture(scope='module')
def table():
    return load_table('affekt')


def _captions(folder, rows):
    """A table of captions: name, openset, and what else a row gives."""
    heads = ('name', 'openset', 'description', 'status', 'audio_clue', 'visual_clue')
    known = {
        'description': 'The person seems to feel something.',
        'status': 'merged',
        'audio_clue': '',
        'visual_clue': '',
    }
    (folder / 'captions.csv').write_bytes(csv_bytes(heads, [known | row for row in rows]))
    return read_captions(folder / 'captions.csv')


def _write(path, heads, *rows):
    path.write_bytes(csv_bytes(heads, rows))
    return path


def test_votes_of_several_tables_count_together_and_a_tie_is_none(tmp_path):
    first = _write(
        tmp_path / 'a.csv', ('name', 'discrete', 'valence', 'p_happy'), ['x', 'happy', 0.7, 1], ['y', 'sad', -1, 0]
    )
    second = _write(tmp_path / 'b.csv', ('sample', 'emotion'), ['x', 'happy'], ['y', 'angry'])
    third = _write(tmp_path / 'c.csv', ('name', 'sentiment'), ['x', 'negative'], ['z', 'neutral'], ['y', 'nan'])
    votes = read_votes([first, second, third])
    assert votes.voters == 3
    assert [votes.emotion(name) for name in 'xyz'] == ['happy', 'tied', '']
    assert [votes.sentiment(name) for name in 'xyz'] == ['tied', 'negative', 'neutral']


def test_of_a_table_of_predictions_each_fair_system_and_seed_votes_once(tmp_path):
    heads = ('modalities', 'model', 'protocol', 'given', 'test', 'seed', 'sample', 'category', 'value')
    rows = [
        ['audio', 'attention', 'fair', '', 't', 0, 'x', 'sad', -0.5],
        ['audio', 'attention', 'fair', '', 't', 1, 'x', 'sad', -0.1],
        ['audio', 'ridge', 'fair', '', 't', 0, 'x', 'happy', 0.2],
        ['audio', 'attention', 'oracle', '', 't', 0, 'x', 'happy', 0.2],  # chose its epoch on the test part
        ['audio', 'constant', 'fair', '', 't', 0, 'x', 'happy', 0.2],
        ['audio', 'attention', 'fair', 'text', 't', 0, 'x', 'happy', 0.2],  # with a modality missing
    ]
    votes = read_votes([_write(tmp_path / 'predictions.csv', heads, *rows)])
    assert votes.voters == 3
    assert votes.emotions['x'] == {'sad': 2, 'happy': 1}
    assert votes.sentiments['x'] == {'negative': 2, 'positive': 1}


def test_a_table_without_votes_and_an_unknown_sentiment_are_refused(tmp_path):
    with pytest.raises(TableError, match='emotions or sentiments'):
        read_votes([_write(tmp_path / 'a.csv', ('name', 'colour'), ['x', 'red'])])
    with pytest.raises(TableError, match='cheerful'):
        read_votes([_write(tmp_path / 'b.csv', ('name', 'sentiment'), ['x', 'cheerful'])])


def test_labels_must_share_a_sector_with_the_voted_emotion_and_have_the_voted_sentiment(tmp_path, table):
    captions = _captions(
        tmp_path,
        [
            {'name': 'fits', 'openset': '["joyful"]'},
            {'name': 'other', 'openset': '["angry"]'},
            {'name': 'sign', 'openset': '["happy", "devastated", "hopeless"]'},
            {'name': 'empty', 'openset': '[]'},  # counts as neutral
            {'name': 'unseen', 'openset': '["sad"]'},
        ],
    )
    votes = read_votes(
        [
            _write(
                tmp_path / 'v.csv', ('name', 'emotion', 'sentiment'),
                ['fits', 'happy', 'positive'], ['other', 'happy', 'negative'], ['sign', 'happy', 'positive'],
                ['empty', 'neutral', 'neutral'],
            )
        ]
    )  # fmt: skip
    made = filter_captions(captions, FilterSettings(length_sd=0), table, votes=votes)
    assert made.reasons == {
        'fits': (), 'other': ('against the voted emotion',), 'sign': ('against the voted sentiment',), 'empty': (),
        'unseen': ('no vote',),
    }  # fmt: skip
    assert made.counts() == {'no vote': 1, 'against the voted emotion': 1, 'against the voted sentiment': 1}


def test_votes_that_the_table_cannot_place_or_on_other_clips_are_said_with_their_words(tmp_path, table):
    captions = _captions(tmp_path, [{'name': name, 'openset': '["sad"]'} for name in 'abc'])
    settings = FilterSettings(length_sd=0)

    def filtered(*rows):
        votes = read_votes([_write(tmp_path / 'v.csv', ('name', 'emotion'), *rows)])
        return filter_captions(captions, settings, table, votes=votes)

    made = filtered(['a', 'sad'], ['b', 'class 4'], ['c', 'class 4'])
    assert made.counts() == {'unplaced vote': 2}
    assert made.details['b'] == 'unplaced vote: class 4'
    assert made.notes[0].startswith('2 clips left out')
    assert 'class 4 (2)' in made.notes[0]
    with pytest.raises(TableError, match=r'class 4 \(2\), sadnes \(1\)'):
        filtered(['a', 'sadnes'], ['b', 'class 4'], ['c', 'class 4'])
    with pytest.raises(TableError, match=r"such as 'a'; got none; the votes are on .clip_a\.mp4'"):
        filtered(['clip_a.mp4', 'sad'])


def test_lengths_outside_two_standard_deviations_of_the_logarithm_are_left_out(tmp_path, table):
    sizes = [100] * 10 + [10, 1000]
    captions = _captions(
        tmp_path, [{'name': f'c{at}', 'openset': '[]', 'description': 'x' * size} for at, size in enumerate(sizes)]
    )
    # ln sizes: ten of 4.605, and 4.605 -+ 2.303: mean 4.605, sd = 2.303 sqrt(2 / 11) = 0.982; limits 14.04 and 712.4
    assert length_limits(captions, 2.0) == (14, 713)
    made = filter_captions(captions, FilterSettings(), table)
    assert {name: reasons for name, reasons in made.reasons.items() if reasons} == {
        'c10': ('too short',), 'c11': ('too long',)
    }  # fmt: skip
    assert len(filter_captions(captions, FilterSettings(length_sd=0), table).kept) == 12


def test_who_does_not_speak_and_what_was_struck_or_not_described_has_a_reason_in_the_table(tmp_path, table):
    captions = _captions(
        tmp_path,
        [
            {'name': 'speaks', 'openset': '["sad"]'},
            {'name': 'still', 'openset': '["sad"]'},
            {'name': 'dark', 'openset': '["sad"]'},
            {'name': 'struck', 'openset': '["sad"]'},
            {'name': 'refused', 'openset': '[]', 'description': '', 'status': 'refusal'},
        ],
    )
    scores = {
        'speaks': SpeakingScore('speaks', 0.5, 0.6, 0.6, 0.05), 'still': SpeakingScore('still', 0.5, 0.6, 0.6, 0.0),
        'dark': SpeakingScore('dark', why='no face'), 'struck': SpeakingScore('struck', 0.5, 0.6, 0.6, 0.05),
        'refused': SpeakingScore('refused', 0.5, 0.6, -0.1, 0.05),
    }  # fmt: skip
    settings = FilterSettings(speaking=True)
    made = filter_captions(captions, settings, table, speaking=scores, struck={'struck': '2 checked it'})
    write_filtered(tmp_path / 'out', made)
    assert read_left_out(tmp_path / 'out') == {
        'still': 'does not speak', 'dark': 'speaker unknown', 'struck': 'struck', 'refused': 'not described'
    }  # fmt: skip
    assert made.reasons['refused'] == ('not described', 'does not speak')
    assert read_captions(tmp_path / 'out' / 'kept.csv').names == ('speaks',)
    about = json.loads((tmp_path / 'out' / 'filter.json').read_text())
    assert (about['clips'], about['kept'], sum(about['left_out'].values())) == (5, 1, 4)
    with pytest.raises(ValueRangeError, match='affekt caption speaking'):
        filter_captions(captions, settings, table)


def test_checks_of_some_clips_change_these_and_leave_the_others_among_the_captions(tmp_path):
    captions = _captions(tmp_path, [{'name': name, 'openset': '["sad"]'} for name in 'abc'])
    checks = tmp_path / 'checks'
    checks.mkdir()
    heads = ('name', 'description', 'openset', 'checkers', 'verdict')
    _write(
        checks / 'checked.csv', heads, ['b', 'It is told anew.', '["glad"]', 2, 'kept'], ['c', 'x', '[]', 1, 'struck']
    )
    made = with_checks(captions, checks)
    assert made.names == ('a', 'b', 'c')
    assert made.labels == (('sad',), ('glad',), ())
    assert made.columns['description'][1] == 'It is told anew.'
    assert read_struck(checks) == {'c': '1 checked it'}
    _write(checks / 'checked.csv', heads, ['d', 'x', '[]', 1, 'kept'])
    with pytest.raises(TableError, match='1 other clip'):
        with_checks(captions, checks)


def test_clips_that_nobody_checked_keep_a_later_caption(tmp_path):
    captions = _captions(tmp_path, [{'name': name, 'openset': '["glad"]', 'description': 'New.'} for name in 'ab'])
    checks = tmp_path / 'checks'
    checks.mkdir()
    heads = ('name', 'description', 'openset', 'checkers', 'verdict')
    _write(checks / 'checked.csv', heads, ['a', 'Old.', '["sad"]', 1, 'kept'], ['b', 'Old.', '["sad"]', 0, ''])
    made = with_checks(captions, checks)
    assert made.columns['description'] == ('Old.', 'New.')
    assert made.labels == (('sad',), ('glad',))


def test_a_table_with_other_headers_keeps_its_names_and_labels_through_a_filter(tmp_path, table):
    source = _write(
        tmp_path / 'own.csv', ('sample', 'reason', 'labels'), ['c1', 'They are happy.', "['happy', 'calm']"],
        ['c2', 'They are sad.', "['sad']"],
    )  # fmt: skip
    captions = read_captions(source)
    write_filtered(tmp_path / 'out', filter_captions(captions, FilterSettings(length_sd=0), table))
    kept = read_captions(tmp_path / 'out' / 'kept.csv')
    assert kept.names == ('c1', 'c2')
    assert kept.labels == captions.labels == (('happy', 'calm'), ('sad',))


def test_clips_without_a_description_are_not_counted_as_left_out_for_their_vote(tmp_path, table):
    rows = [{'name': 'a', 'openset': '["sad"]'}, {'name': 'b'}, {'name': 'c', 'description': '', 'status': 'refusal'}]
    captions = _captions(tmp_path, rows)
    votes = read_votes([_write(tmp_path / 'v.csv', ('name', 'emotion'), ['a', 'sad'], ['b', 'x'], ['c', 'x'])])
    made = filter_captions(captions, FilterSettings(length_sd=0), table, votes=votes)
    assert made.notes[0].startswith('1 clip left out because')
    assert made.notes[0].endswith('x (1)')


def test_an_export_without_the_last_marks_is_refused(tmp_path):
    with pytest.raises(TableError, match='--export-only'):
        read_struck(tmp_path)
    _write(tmp_path / 'checked.csv', ('name', 'openset', 'checkers', 'verdict'), ['a', '[]', 1, 'struck'])
    marks = tmp_path / 'checks.jsonl'
    marks.write_text('')
    written = (tmp_path / 'checked.csv').stat().st_mtime_ns
    os.utime(marks, ns=(written, written))
    assert read_struck(tmp_path) == {'a': '1 checked it'}
    os.utime(marks, ns=(written + 1_000_000, written + 1_000_000))
    with pytest.raises(TableError, match='older than the last mark'):
        read_struck(tmp_path)


def test_the_sentiment_of_labels_is_the_sign_of_their_mean_valence(table):
    assert sentiment_of(['delighted'], table) == 'positive'
    assert sentiment_of(['slightly sad', 'furious'], table) == 'negative'
    assert sentiment_of(['neutral'], table) == sentiment_of(['no such word'], table) == 'neutral'


def test_statistics_before_and_after_say_what_a_filter_takes_from_the_labels(tmp_path, table):
    captions = _captions(
        tmp_path,
        [
            {'name': 'a', 'openset': '["happy", "proud"]', 'audio_clue': 'Sad.', 'visual_clue': 'They look happy.',
             'description': 'They are happy and proud.'},
            {'name': 'b', 'openset': '["sad"]', 'audio_clue': 'They sound sad.', 'visual_clue': 'Nothing.',
             'description': 'They are sad.'},
            {'name': 'c', 'openset': '[]', 'description': '', 'status': 'refusal'},
        ],
    )  # fmt: skip
    made = statistics_of(
        captions, table, left_out={'a': 'too long', 'c': 'not described'},
        truth={'a': ['happy'], 'b': ['sad']}, rng=np.random.default_rng(0), resamples=100,
    )  # fmt: skip
    assert (made.before.clips, made.before.labels, made.before.types) == (2, 3, 3)
    assert made.before.entropy == pytest.approx(math.log2(3))
    assert (made.after.types, made.after.entropy) == (1, 0.0)
    assert made.left_out == {'too long': 1, 'not described': 1}
    assert made.gain.merged > max(made.gain.audio, made.gain.visual)
    assert any('bits' in note for note in made.notes())
    assert 'classifiers' not in ' '.join(made.notes())  # none voted
    voted = statistics_of(captions, table, left_out={'a': 'against the voted emotion'}, rng=np.random.default_rng(0))
    assert 'classifiers of few emotions' in ' '.join(voted.notes())
    page = statistics_page(made, 'captions')
    assert 'Gain of merging' in page
    assert 'merging: all three texts' in page  # notes stand beside the tables that they explain, and only there
    assert 'agreement of two sets' not in page
    alone = statistics_page(statistics_of(captions, table, rng=np.random.default_rng(0)), 'captions')
    assert 'merging: all three texts' not in alone
    json.dumps(made.to_dict())


def test_merging_that_is_worse_is_not_said_to_have_an_interval_that_contains_zero(tmp_path, table):
    captions = _captions(
        tmp_path,
        [{'name': name, 'openset': '["sad"]', 'audio_clue': 'They are sad.', 'description': 'They are happy.'}
         for name in 'abcd'],
    )  # fmt: skip
    made = statistics_of(captions, table, truth={name: ['sad'] for name in 'abcd'}, rng=np.random.default_rng(0))
    worse = replace(made, gain=replace(made.gain, over_better=Interval(-0.2, -0.3, -0.1)))
    assert list(worse.notes()) == ['merging is worse than the better single clue: the whole interval lies below 0']
    unclear = replace(made, gain=replace(made.gain, over_better=Interval(-0.1, -0.3, 0.1)))
    assert list(unclear.notes()) == [
        'merging is not shown to be better than the better single clue: its interval contains 0'
    ]


def test_truth_of_other_clips_and_a_table_of_no_second_language_are_refused(tmp_path, table):
    captions = _captions(tmp_path, [{'name': 'a', 'openset': '["sad"]'}])
    rng = np.random.default_rng(0)
    with pytest.raises(TableError, match=r'such as .a.; got none; there are labels of .b.'):
        statistics_of(captions, table, truth={'b': ['sad']}, rng=rng)
    other = _write(tmp_path / 'other.csv', ('name', 'emotion'), ['a', 'sad'])
    with pytest.raises(TableError, match='without language, description'):
        statistics_of(captions, table, second=other, rng=rng)


def test_entropy_and_agreement_by_hand():
    assert entropy([2, 2]) == 1.0
    assert math.isnan(entropy([]))
    assert agreement({'a', 'b', 'c'}, {'a'}) == 0.5  # 2 * 1 / (3 + 1)
