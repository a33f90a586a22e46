"""Which clips and labels a table means: names of categories, scales, files, speakers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from affekt.corpora import made_up_corpus
from affekt.errors import TableError, UnknownNameError, ValueRangeError
from affekt.labels import EKMAN, ekman_of
from affekt.own_data import labelled_clips, parsed_scales


@pytest.fixture
def table(tmp_path):
    """Writes a table beside some clips, and returns its path."""
    for name in ('a.wav', 'b.wav', 'deep/c.wav', 'd.mp4'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'x')

    def write(text, name='labels.csv'):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ('name', 'category'),
    [
        ('Happy', 'happiness'), ('calm', 'neutral'), ('ANG', 'anger'), ('pleasant_surprise', 'surprise'),
        ('surprised', 'surprise'), ('fearful', 'fear'), ('anxiety/fear', 'fear'), ('joy', 'happiness'),
        ('boredom', None), ('contempt', None), ('amusement', None), ('frustration', None), ('', None), ('x', None),
    ],
)  # fmt: skip
def test_names_of_corpora_mean_one_category_or_none(name, category):
    assert ekman_of(name) == category


def test_every_category_means_itself():
    assert [ekman_of(category) for category in EKMAN] == list(EKMAN)


def test_a_table_gives_categories_files_and_speakers(table):
    labelled = labelled_clips(
        table('file,emotion,speaker\na.wav,Angry,s1\nb.wav,calm,s2\ndeep/c.wav,boredom,s1\nd.mp4,joy,s2\n')
    )
    assert [clip.category for clip in labelled.clips] == ['anger', 'neutral', '', 'happiness']
    assert [clip.label for clip in labelled.clips] == ['Angry', 'calm', 'boredom', 'joy']
    assert [clip.path.name for clip in labelled.clips] == ['a.wav', 'b.wav', 'c.wav', 'd.mp4']
    assert [clip.group for clip in labelled.clips] == ['s1', 's2', 's1', 's2']
    assert labelled.grouped_by == 'speaker'
    assert any('boredom (1 clip)' in note for note in labelled.notes)
    assert any('calm as neutral' in note for note in labelled.notes)


def test_a_clip_that_is_not_there_has_no_path(table):
    labelled = labelled_clips(table('path,emotion\na.wav,angry\nnowhere.wav,sad\n'))
    assert [clip.path is None for clip in labelled.clips] == [False, True]
    assert labelled.grouped_by == ''
    assert any('not every clip has a speaker' in note for note in labelled.notes)


def test_a_name_and_a_path_may_stand_side_by_side(table):
    labelled = labelled_clips(table('id,path,emotion\nfirst,deep/c.wav,angry\nsecond,a.wav,sad\n'))
    assert [(clip.name, clip.path.name) for clip in labelled.clips] == [('first', 'c.wav'), ('second', 'a.wav')]


def test_the_file_that_a_row_names_is_taken_even_where_a_video_has_its_name(table, tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'x')
    labelled = labelled_clips(table('file,emotion\na.wav,angry\n'))
    assert labelled.clips[0].path.name == 'a.wav'


def test_one_file_may_hold_several_clips(table):
    labelled = labelled_clips(table('id,file,start,end,emotion\nx,a.wav,0,2,angry\ny,a.wav,2,3.5,sad\n'))
    assert [clip.window_s for clip in labelled.clips] == [(0.0, 2.0), (2.0, 3.5)]


def test_media_may_lie_elsewhere_than_the_table(table, tmp_path):
    place = tmp_path / 'elsewhere'
    place.mkdir()
    (place / 'labels.csv').write_text('file,emotion\na.wav,angry\n')
    assert labelled_clips(place / 'labels.csv', media=tmp_path).clips[0].path.name == 'a.wav'


def test_a_scale_is_never_guessed(table):
    path = table('file,valence\na.wav,1\nb.wav,5\n')
    with pytest.raises(TableError, match=r'the scale of valence.*--scale valence=1\.\.5'):
        labelled_clips(path)
    labelled = labelled_clips(path, scales=parsed_scales(['1..5']))
    assert [clip.valence for clip in labelled.clips] == [-1.0, 1.0]
    assert labelled.scales == {'valence': (1.0, 5.0)}


def test_the_middle_of_a_scale_is_zero_and_a_rating_outside_is_refused(table):
    path = table('file,arousal\na.wav,3\nb.wav,4\n')
    clips = labelled_clips(path, scales={'arousal': (1.0, 5.0)}).clips
    assert [clip.arousal for clip in clips] == pytest.approx([0.0, 0.5])
    with pytest.raises(ValueRangeError, match=r'from 0 to 3\.5'):
        labelled_clips(path, scales={'arousal': (0.0, 3.5)})


@pytest.mark.parametrize('text', ['5..1', '1-5', 'pleasure=1..5', '1..', '..', 'nan..1', '1..inf', '1..1'])
def test_a_scale_that_is_none_is_refused(text):
    with pytest.raises(ValueRangeError, match='a scale such as'):
        parsed_scales([text])


def test_own_names_go_before_known_ones(table):
    path = table('file,emotion\na.wav,Freude\nb.wav,calm\n')
    clips = labelled_clips(path, names={'Freude': 'happiness', 'calm': ''}).clips
    assert [clip.category for clip in clips] == ['happiness', '']
    with pytest.raises(UnknownNameError, match='Freud'):
        labelled_clips(path, names={'Freud': 'happiness'})
    with pytest.raises(UnknownNameError, match='hapiness'):
        labelled_clips(path, names={'Freude': 'hapiness'})


def test_rows_without_any_label_are_counted_and_a_table_of_them_is_refused(table):
    labelled = labelled_clips(table('file,emotion\na.wav,angry\nb.wav,\n'))
    assert (len(labelled.clips), labelled.unlabelled) == (1, 1)
    with pytest.raises(TableError, match='name the columns emotion'):
        labelled_clips(table('file,emotion\na.wav,\nb.wav,\n', 'other.csv'))


def test_a_split_is_taken_by_name(table):
    path = table('file,emotion,split\na.wav,angry,train\nb.wav,sad,test\n')
    assert [clip.name for clip in labelled_clips(path, split='test').clips] == ['b.wav']
    with pytest.raises(UnknownNameError, match="'tset'"):
        labelled_clips(path, split='tset')


def test_a_manifest_brings_its_own_scale(tmp_path):
    manifest = made_up_corpus(media=tmp_path / 'media')
    manifest.save(tmp_path / 'm.parquet')
    labelled = labelled_clips(tmp_path / 'm.parquet')
    assert len(labelled.clips) == len(manifest)
    assert labelled.scales['valence'] == manifest.facts.ranges['valence']
    assert {clip.category for clip in labelled.clips} == {'neutral', 'happiness', 'sadness'}
    assert max(abs(clip.valence) for clip in labelled.clips) <= 1.0
    bare = dataclasses.replace(manifest.facts, ranges={})
    with pytest.raises(TableError, match='the scale of'):
        labelled_clips(dataclasses.replace(manifest, facts=bare))


def test_drawn_clips_are_some_of_all_in_their_order_and_the_same_for_one_seed(tmp_path):
    labelled = labelled_clips(made_up_corpus())
    few = labelled.drawn(10, np.random.default_rng(3))
    assert [clip for clip in labelled.clips if clip in few.clips] == list(few.clips)
    assert len(few.clips) == 10
    assert few.clips == labelled.drawn(10, np.random.default_rng(3)).clips
    assert labelled.drawn(None, np.random.default_rng(3)) is labelled


def test_a_corpus_that_lies_in_another_coding_than_its_table_names_is_read(table, tmp_path):
    (tmp_path / 'deep' / 'recoded.opus').write_bytes(b'x')
    labelled = labelled_clips(table('file_id\temotion\tspeaker_id\nrecoded.wav\tangry\ts1\n', 'metadata.tsv'))
    assert labelled.clips[0].path.name == 'recoded.opus'
    assert labelled.clips[0].group == 's1'
