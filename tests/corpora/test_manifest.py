"""The manifest itself: what it refuses, columns, selection, and files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from affekt.corpora import Facts, Manifest, Sample, made_up_corpus
from affekt.errors import TableError, UnknownNameError

FACTS = Facts('toy', categories=('sad', 'happy'), ranges={'valence': (-1.0, 1.0)})


@pytest.mark.parametrize(
    ('rows', 'said'),
    [
        ([Sample('a'), Sample('a')], "'a' more than once"),
        ([Sample('')], 'without a name'),
        ([Sample('a', category='cross')], "'cross' for sample 'a'"),
        ([Sample('a', valence=1.5)], "1.5 for sample 'a'"),
        ([Sample('a', arousal=float('nan'))], "nan for sample 'a'"),
        ([Sample('a', start_s=2.0, end_s=1.0)], "2.0 to 1.0 for sample 'a'"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_name(rows, said):
    with pytest.raises(TableError) as raised:
        Manifest(FACTS, tuple(rows))
    assert said in str(raised.value)


def test_columns_are_floats_with_nan_or_objects_with_none():
    manifest = Manifest(FACTS, (Sample('a', valence=0.5, category='happy'), Sample('b', speaker='x')))
    np.testing.assert_array_equal(manifest.column('valence'), [0.5, np.nan])
    assert manifest.column('speaker').tolist() == [None, 'x']
    assert manifest.labels().tolist() == [1, -1]
    with pytest.raises(UnknownNameError, match='speaker'):
        manifest.column('actor')


def test_selection_keeps_order_and_takes_one_value_or_several():
    manifest = made_up_corpus()
    assert {row.split for row in manifest.where(split=('val', 'test')).samples} == {'val', 'test'}
    happy = manifest.where(split='train', category='happy')
    assert len(happy) == 24
    assert list(happy.names) == sorted(happy.names)
    with pytest.raises(UnknownNameError):
        manifest.where(colour='red')


def test_groups_are_the_first_column_that_every_sample_has():
    two = Manifest(FACTS, (Sample('a', speaker='x', dialogue='d'), Sample('b', dialogue='d')))
    assert two.groups().tolist() == ['d', 'd']
    assert Manifest(FACTS, (Sample('a'), Sample('b'))).groups().tolist() == ['a', 'b']
    assert len(set(made_up_corpus().groups())) == 16


def test_the_made_up_corpus_is_balanced_known_and_written_back(tmp_path):
    manifest = made_up_corpus(seed=3, media=tmp_path / 'sound')
    assert np.bincount(manifest.labels()).tolist() == [48, 48, 48]
    assert manifest == made_up_corpus(seed=3, media=tmp_path / 'sound')
    assert all(manifest.media(row, 'audio').is_file() for row in manifest.samples)
    manifest.save(tmp_path / 'm.parquet')
    assert Manifest.load(tmp_path / 'm.parquet') == manifest
    manifest.save(str(tmp_path / 'again.parquet'))
    assert Manifest.load(str(tmp_path / 'again.parquet')) == manifest
    (tmp_path / 'elsewhere').mkdir()
    moved = Manifest.load(tmp_path / 'm.parquet', root=tmp_path / 'elsewhere')
    assert moved.media(moved.samples[0], 'audio').parent == tmp_path / 'elsewhere'


def test_files_that_are_no_manifests_are_refused(tmp_path):
    with pytest.raises(TableError, match='not there'):
        Manifest.load(tmp_path / 'none.parquet')
    parquet.write_table(pyarrow.table({'a': [1]}), tmp_path / 'other.parquet')
    (tmp_path / 'cut.parquet').write_bytes(b'PAR1')
    said = {'other': r'manifest.*other\.parquet: a file that affekt did not write', 'cut': 'manifest'}
    for name in ('other', 'cut'):
        with pytest.raises(TableError, match=said[name]):
            Manifest.load(tmp_path / f'{name}.parquet')


def test_a_manifest_of_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('affekt.corpora.manifest.FORMAT', 2)
    made_up_corpus().save(tmp_path / 'm.parquet')
    monkeypatch.setattr('affekt.corpora.manifest.FORMAT', 1)
    with pytest.raises(TableError, match='newer'):
        Manifest.load(tmp_path / 'm.parquet')


def test_facts_are_kept_with_their_types(tmp_path):
    facts = dataclasses.replace(FACTS, notes=('a is missing',), sources={'label.npz': 'ab'}, published={'': 1})
    Manifest(facts, (Sample('a'),)).save(tmp_path / 'm.parquet')
    assert Manifest.load(tmp_path / 'm.parquet').facts == facts


def test_a_window_cuts_the_recording_itself_and_never_a_clip_that_was_cut_before():
    rows = [
        Sample('a', video='dialogue.avi', recording='dialogue', start_s=1.0, end_s=2.5),
        Sample('b', video='dia0_utt0.mp4', recording='s1e1', start_s=976.0, end_s=978.0),  # MELD
        Sample('c', audio='talk.wav', start_s=3.0, end_s=4.0),
        Sample('d', video='clip.mp4'),
    ]
    manifest = Manifest(FACTS, tuple(rows))
    assert manifest.window_s(rows[0], 'video') == (1.0, 2.5)
    assert manifest.window_s(rows[1], 'video') is None
    assert manifest.window_s(rows[2], 'audio') == (3.0, 4.0)
    assert manifest.window_s(rows[3], 'video') is None
