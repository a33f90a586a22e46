"""Readings of every frame: the person of the side, numbered pictures, gaps, and what a voice sounds like in windows."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.corpora import AffWild2Settings, Facts, Manifest, Sample
from affekt.face3d import FaceClip
from affekt.features import RECIPES, Features, Unable
from affekt.features.face_readings import frame_rate_hz
from affekt.media import write_audio, write_video
from affekt.media.writing import write_image
from affekt.weights import MODELS, state

pytestmark = pytest.mark.skipif(
    state(MODELS['face_landmarker.task']) != 'verified', reason='face_landmarker.task is absent (affekt weights get)'
)
ALL = RECIPES['faces-all-frm']
COUNT = 6


def _encoded(folder, *rows):
    return ALL.open(ALL)(Manifest(Facts('toy', root=str(folder)), rows), rows)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A video of two people, of whom the one on the left smiles, and cut-out faces of one in numbered pictures."""
    where = tmp_path_factory.mktemp('every_frame')
    clips = [
        list(FaceClip.planned(seed, COUNT / 10, 10, 160, emotion=emotion, person=person))
        for seed, emotion, person in ((3, 'happiness', 1), (5, 'neutral', 2))
    ]
    both = [np.concatenate(pair, axis=1) for pair in zip(*clips, strict=True)]
    nobody = np.full_like(both[0], 90)
    write_video(where / 'two.mp4', [*both[:3], nobody, *both[3:]], 10)
    (where / 'two_right').mkdir()
    for number, picture in zip((1, 2, 4, 7), clips[1], strict=False):
        write_image(where / 'two_right' / f'{number:05d}.jpg', picture)
    return where


@pytest.fixture(scope='module')
def sides(folder):
    return _encoded(folder, Sample('two_left', video='two.mp4'), Sample('two_right', video='two.mp4'))


def test_every_frame_has_a_row_at_its_number_over_the_rate_and_none_where_nobody_is(sides):
    for each in sides:
        assert np.rint(each.times * 10).tolist() == [0, 1, 2, 4, 5, 6]
        assert each.values.shape == (COUNT, ALL.dimension)
        assert np.isfinite(each.values).all()


def test_the_suffix_of_the_name_chooses_the_person(sides):
    middles = [each.values[:, ALL.columns.index('shape_mouth_left_y')].mean() for each in sides]
    assert middles[0] != pytest.approx(middles[1], abs=1e-3)
    smiles = [each.values[:, ALL.columns.index('mouthSmileLeft')].max() for each in sides]
    assert smiles[0] > smiles[1]


def test_names_of_pictures_are_numbers_of_frames_and_missing_ones_have_no_row(folder):
    (numbered,) = _encoded(folder, Sample('two_right', frames='two_right', video='two.mp4'))
    assert numbered.times.tolist() == pytest.approx([0.0, 0.1, 0.3, 0.6])
    (nominal,) = _encoded(folder, Sample('two_right', frames='two_right'))
    assert nominal.times.tolist() == pytest.approx([0.0, 1 / 30, 0.1, 0.2])


def test_a_damaged_picture_costs_its_own_frame_and_is_named(folder, tmp_path):
    (tmp_path / 'cut').mkdir()
    for picture in (folder / 'two_right').iterdir():
        whole = picture.read_bytes()
        (tmp_path / 'cut' / picture.name).write_bytes(whole[:40] if picture.stem == '00002' else whole)
    (read,) = _encoded(tmp_path, Sample('cut', frames='cut'))
    assert read.times.tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert read.lacking == "1 picture that cannot be read: '00002.jpg'"


def test_pictures_without_numbers_are_refused_with_the_name(folder, tmp_path):
    (tmp_path / 'cut').mkdir()
    (tmp_path / 'cut' / 'face.jpg').write_bytes((folder / 'two_right' / '00001.jpg').read_bytes())
    (outcome,) = _encoded(tmp_path, Sample('cut', frames='cut'))
    assert isinstance(outcome, Unable)
    assert 'face.jpg' in outcome.reason


def test_nobody_and_nothing_have_no_features(folder, tmp_path):
    write_video(tmp_path / 'empty.mp4', [np.full((64, 64, 3), 90, np.uint8)] * 2, 10)
    outcomes = _encoded(tmp_path, Sample('empty', video='empty.mp4'), Sample('gone', video='gone.mp4'), Sample('x'))
    assert [type(each) for each in outcomes] == [Unable] * 3
    assert outcomes[0].reason == 'no face'


def test_the_frame_rate_is_the_videos_or_the_nominal_one(folder):
    manifest = Manifest(Facts('toy', root=str(folder)), ())
    assert frame_rate_hz(manifest, Sample('two', video='two.mp4')) == 10
    assert frame_rate_hz(manifest, Sample('two', frames='two_right')) == 30


def test_a_voice_is_read_in_windows_of_two_seconds(tmp_path):
    recipe = RECIPES['voice-emotion-frm']
    if state(MODELS['whisper-tiny.en']) != 'verified':
        pytest.skip('whisper-tiny.en is absent (affekt weights get)')
    write_audio(tmp_path / 'long.wav', AffWild2Settings(seconds=3).part(0, '').sound(), 16_000)
    write_audio(tmp_path / 'short.wav', AffWild2Settings(seconds=1).part(0, '').sound(), 16_000)
    rows = (Sample('long', audio='long.wav'), Sample('short', audio='short.wav'))
    long, short = recipe.open(recipe)(Manifest(Facts('toy', root=str(tmp_path)), rows), rows)
    assert isinstance(long, Features)
    assert long.times.tolist() == [1.0, 1.5, 2.0]
    assert short.times.tolist() == [0.5]
    assert long.values[:, :8].sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize('name', ['faces-frm', 'faces-utt', 'faces-all-frm'])
def test_a_video_of_which_a_part_is_damaged_gives_features_that_say_so(folder, name):
    content = bytearray((folder / 'two.mp4').read_bytes())
    middle = (content.index(b'mdat') + len(content)) // 2
    content[middle : middle + 600] = bytes(600)
    (folder / 'damaged.mp4').write_bytes(content)
    rows = (Sample('damaged', video='damaged.mp4'), Sample('whole', video='two.mp4'))
    encoder = RECIPES[name].open(RECIPES[name])
    damaged, whole = encoder(Manifest(Facts('toy', root=str(folder)), rows), rows)
    assert damaged.lacking.startswith('not read whole: video: ')
    assert 'declared frames did not decode' in damaged.lacking
    assert whole.lacking == ''
