"""Manifests of the label files that are at hand, against the counts of the papers and of MERBench."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from affekt.corpora import find_leaks, import_corpus, published_folds, require_no_leaks
from affekt.errors import LeakError


@pytest.fixture(scope='session')
def imported(shared_data):
    held = {}

    def manifest(name, folder='merbench'):
        if (name, folder) not in held:
            held[name, folder] = import_corpus(name, shared_data / folder)
        return held[name, folder]

    return manifest


def _counts(manifest, **wanted):
    return dict(Counter(row.category for row in manifest.where(**wanted).samples))


@pytest.mark.parametrize(
    ('name', 'sizes'),
    [
        ('mer2023', {'train': 3373, 'test1': 411, 'test2': 412, 'test3': 834}),
        ('iemocap4', {None: 5531}),
        ('iemocap6', {None: 7433}),
        ('meld', {'train': 9989, 'val': 1109, 'test': 2610}),
        ('mosi', {'train': 1284, 'val': 229, 'test': 686}),
        ('mosei', {'train': 16326, 'val': 1871, 'test': 4659}),
        ('sims', {'train': 1368, 'val': 456, 'test': 457}),
        ('simsv2', {'train': 2722, 'val': 647, 'test': 1034}),
    ],
)
def test_splits_have_their_published_sizes(imported, name, sizes):
    manifest = imported(name)
    assert dict(Counter(row.split for row in manifest.samples)) == sizes
    assert not [note for note in manifest.facts.notes if 'were published' in note]


@pytest.mark.parametrize(
    ('name', 'sizes'),
    [('iemocap4', [1085, 1023, 1151, 1031, 1241]), ('iemocap6', [1373, 1356, 1569, 1512, 1623])],
)
def test_the_folds_of_iemocap_are_its_sessions(imported, name, sizes):
    manifest = imported(name)
    folds = published_folds(manifest)
    assert np.bincount(folds)[1:].tolist() == sizes
    require_no_leaks(manifest, [str(fold) for fold in folds])
    assert len(set(manifest.column('speaker'))) == 10


@pytest.mark.parametrize(
    ('name', 'split', 'counts'),
    [
        ('mer2023', 'train', [871, 822, 689, 383, 462, 146]),
        ('mer2023', 'test1', [88, 105, 93, 50, 57, 18]),
        ('mer2023', 'test2', [123, 98, 87, 40, 52, 12]),
        ('mer2023', 'test3', [166, 183, 169, 257, 45, 14]),
        ('iemocap4', None, [1636, 1084, 1708, 1103]),
        ('iemocap6', None, [648, 1084, 1708, 1103, 1041, 1849]),
        ('meld', 'train', [1109, 1743, 683, 4710, 271, 268, 1205]),
        ('meld', 'test', [345, 402, 208, 1256, 68, 50, 281]),
    ],
)
def test_categories_occur_as_often_as_published(imported, name, split, counts):
    manifest = imported(name)
    held = _counts(manifest, split=split)
    assert [held[category] for category in manifest.facts.categories] == counts


@pytest.mark.parametrize(
    ('name', 'zeros', 'positive', 'negative'),
    [
        ('mosi', [53, 13, 30], 277, 379),
        ('mosei', [3540, 433, 1025], 2284, 1350),
        ('sims', [207, 69, 69], 140, 248),
        ('simsv2', [318, 92, 123], 423, 488),
    ],
)
def test_sentiment_is_zero_positive_and_negative_as_often_as_published(imported, name, zeros, positive, negative):
    values = {split: imported(name).where(split=split).column('sentiment') for split in ('train', 'val', 'test')}
    assert [int((held == 0).sum()) for held in values.values()] == zeros
    assert int((values['test'] > 0).sum()) == positive
    assert int((values['test'] < 0).sum()) == negative


def test_valence_of_mer2023_is_rated_except_in_the_third_test(imported):
    manifest = imported('mer2023')
    train = manifest.where(split='train').column('valence')
    assert (train.min(), train.max()) == (-5.0, 4.25)
    assert np.isnan(manifest.where(split='test3').column('valence')).all()
    assert sum(row.text == '' for row in manifest.samples) == 217


def test_both_releases_of_meld_hold_the_same_labels(imported):
    official, merbench = imported('meld', 'meld_text'), imported('meld')
    assert {row.sample: row.category for row in official.samples} == {
        row.sample: row.category for row in merbench.samples
    }


def test_the_published_splits_of_meld_share_speakers_and_scenes_and_no_dialogue(imported):
    manifest = imported('meld', 'meld_text')
    leaks = find_leaks(manifest)
    kinds = Counter(leak.kind for leak in leaks)
    assert (kinds['speaker'], kinds['window'], kinds['dialogue']) == (82, 53, 0)
    with pytest.raises(LeakError, match='82 speakers'):
        require_no_leaks(manifest)
    # one scene is in both parts, word for word, and not always labelled alike
    rows = {row.sample: row for row in manifest.samples}
    pairs = [tuple(leak.what.split(' and ')) for leak in leaks if leak.kind == 'window']
    scene = [{rows[name].text for name in pair} for pair in pairs if 'test_dia85_utt0' in pair]
    assert scene == [{'But um, I don’t think it’s anything serious.'}]
    assert rows['train_dia12_utt9'].category != rows['test_dia85_utt2'].category


@pytest.mark.parametrize(('name', 'count'), [('sims', 60), ('simsv2', 130), ('mosi', 0), ('mosei', 0)])
def test_recordings_stand_on_both_sides_of_the_published_splits_of_ch_sims_alone(imported, name, count):
    assert sum(leak.kind == 'recording' for leak in find_leaks(imported(name))) == count


def test_ch_sims_lies_wholly_inside_ch_sims_v2(imported):
    small, large = ({row.sample: row for row in imported(name).samples} for name in ('sims', 'simsv2'))
    assert len(small) == 2281
    assert all((large[name].split, large[name].sentiment) == (row.split, row.sentiment) for name, row in small.items())


def test_ravdess_has_sixty_clips_an_actor_and_folds_of_four_actors(imported):
    manifest = imported('ravdess', 'ravdess_speech')
    assert len(manifest) == 1440
    assert set(Counter(manifest.column('speaker')).values()) == {60}
    assert np.bincount(published_folds(manifest))[1:].tolist() == [240] * 6
    counts = _counts(manifest)
    assert counts.pop('neutral') == 96  # neutral has no strong intensity
    assert set(counts.values()) == {192}
    require_no_leaks(manifest)
