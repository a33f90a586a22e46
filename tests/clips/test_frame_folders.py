"""Clips of official releases: folders of frames, OpenFace's folders, and the lists that name them."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.clips import folder_clip, read_split, sample_clip, split_manifest
from affekt.errors import CorpusError, MediaError, TableError, UnknownNameError
from affekt.media import write_audio
from affekt.media.synthetic import numbered_image, read_number, tone
from affekt.media.writing import write_image


def _folder(path, numbers, name='{:05d}.png'):
    path.mkdir(parents=True)
    for number in numbers:
        write_image(path / name.format(number), numbered_image(number, 112, 112))
    return path


def _numbers(clip):
    return [read_number(frame) for frame in clip.frames]


def test_frames_of_a_folder_come_in_lexical_order_and_of_one_size(tmp_path):
    folder = _folder(tmp_path / 'clip 7', [3, 1, 2])
    (folder / 'notes.txt').write_text('no picture')
    (folder / '._00001.png').write_bytes(b'left by another system')
    clip = folder_clip(folder, size=96)
    assert (clip.name, clip.frames.shape, clip.times_s, clip.notes) == ('clip 7', (3, 96, 96, 3), None, ())
    assert _numbers(clip) == [1, 2, 3]


def test_numbers_that_are_not_padded_are_taken_as_published_and_told(tmp_path):
    clip = folder_clip(_folder(tmp_path / 'clip', [2, 10], 'frame_{}.png'))
    assert _numbers(clip) == [10, 2]
    assert clip.notes == ('names are not in the order of their numbers: lexical order is taken, as published',)


def test_a_picture_that_does_not_decode_is_left_out_and_counted(tmp_path):
    folder = _folder(tmp_path / 'clip', range(4))
    (folder / '00002.png').write_bytes(b'damaged')
    clip = folder_clip(folder)
    assert _numbers(clip) == [0, 1, 3]
    assert clip.notes == ('1 of 4 images do not decode and are left out',)


def test_sound_of_a_folder_is_brought_to_16_khz_where_published_code_stops(tmp_path):
    wav = write_audio(tmp_path / 'clip.wav', tone(1.0, 440.0, 48_000), 48_000)
    clip = folder_clip(_folder(tmp_path / 'clip', [0]), audio=wav)
    assert len(clip.sound) == pytest.approx(16_000, abs=2)
    assert int(np.abs(np.fft.rfft(clip.sound, 16_000)).argmax()) == 440


def test_a_folder_that_is_not_there_or_empty_is_an_error_and_with_sound_a_missing_modality(tmp_path):
    with pytest.raises(MediaError, match='which is not there; check the path; OpenFace writes clip_aligned'):
        folder_clip(tmp_path / 'clip')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(MediaError, match='no images in the folder'):
        folder_clip(tmp_path / 'empty')
    clip = folder_clip(tmp_path / 'empty', audio=write_audio(tmp_path / 'a.wav', tone(1.0), 16_000))
    assert clip.missing == {'video': 'no images in the folder'}


OPENFACE = (
    'frame, face_id, timestamp, confidence, success\n1, 0, 0.000, 0.98, 1\n2, 0, 0.040, 0.10, 0\n3, 0, 0.080, 0.97, 1\n'
)


def test_openface_tells_times_and_which_pictures_show_no_face(tmp_path):
    _folder(tmp_path / 'clip_aligned', [1, 2, 3], 'frame_det_00_{:06d}.png')
    (tmp_path / 'clip.csv').write_text(OPENFACE)
    clip = folder_clip(tmp_path / 'clip')  # named as the lists do
    assert clip.name == 'clip'
    assert _numbers(clip) == [1, 3]
    assert clip.times_s.tolist() == [0.0, 0.08]
    assert clip.notes == ('1 of 3 images without a tracked face by OpenFace are left out',)


def test_of_several_faces_of_openface_the_one_with_most_pictures_is_read(tmp_path):
    folder = _folder(tmp_path / 'clip_aligned', [1, 2], 'frame_det_00_{:06d}.png')
    for number in (1, 2, 3):
        write_image(folder / f'frame_det_01_{number:06d}.png', numbered_image(100 + number, 112, 112))
    clip = folder_clip(folder)
    assert (_numbers(clip), clip.times_s) == ([101, 102, 103], None)
    assert clip.notes == ('2 faces in the folder; number 1 is read, which has 3 images',)


@pytest.fixture
def release(tmp_path):
    """Two clips as a release has them, and lists with the paths of another machine."""
    root, lists = tmp_path / 'my data', tmp_path / 'lists'
    for at, name in enumerate(('Actor_01/02-01', 'Actor_02/02-01')):
        _folder(root / 'RAVDESS' / 'face aligned' / name, [at])
        (root / 'RAVDESS' / 'audio_16k' / name).parent.mkdir(parents=True)
        write_audio(root / 'RAVDESS' / 'audio_16k' / f'{name}.wav', tone(0.5), 16_000)
    lists.mkdir()
    return root, lists


def _line(actor, label, quoted=True):
    frames, wav = (f'/data/x/RAVDESS/{part}/Actor_0{actor}/02-01' for part in ('face aligned', 'audio_16k'))
    return f'"{frames}" {wav}.wav {label}\n' if quoted else f'{frames} {wav}.wav {label}\n'


def test_paths_of_another_machine_are_looked_for_below_your_folder(release):
    root, lists = release
    (lists / 'train.csv').write_text(_line(1, 0))
    (lists / 'test.csv').write_text(_line(2, 3, quoted=False))
    manifest = split_manifest(lists, root, corpus='ravdess', categories=('neutral', 'calm', 'happy', 'sad'))
    rows = [(row.sample, row.split, row.category, row.frames) for row in manifest.samples]
    assert rows == [
        ('Actor_01/02-01', 'train', 'neutral', 'RAVDESS/face aligned/Actor_01/02-01'),
        ('Actor_02/02-01', 'test', 'sad', 'RAVDESS/face aligned/Actor_02/02-01'),
    ]
    assert manifest.facts.notes == ()
    clip = sample_clip(manifest, manifest.samples[1])
    assert (_numbers(clip), len(clip.sound)) == ([1], 8_000)


def test_a_validation_list_that_is_the_test_list_is_told_and_is_none(release):
    root, lists = release
    (lists / 'train.csv').write_text(_line(1, 0))
    for part in ('val', 'test'):
        (lists / f'{part}.csv').write_text(_line(2, 1))
    manifest = split_manifest(lists, root)
    assert [row.split for row in manifest.samples] == ['train', 'test']
    (note,) = manifest.facts.notes
    assert note.startswith('val.csv holds the same 1 clip as test.csv: there is no val part')


def test_clips_that_stand_in_training_and_test_are_told(release):
    _, lists = release
    (lists / 'train.csv').write_text(_line(1, 0) + _line(2, 1))
    (lists / 'test.csv').write_text(_line(2, 1))
    manifest = split_manifest(lists)
    assert [row.split for row in manifest.samples] == ['train', 'test']
    assert manifest.facts.notes == ('1 clip of train.csv also in test.csv, and taken from there',)


def test_a_clip_that_is_not_there_is_counted_and_all_of_them_are_an_error(release, tmp_path):
    root, lists = release
    (lists / 'test.csv').write_text(_line(1, 0) + _line(9, 0))
    assert split_manifest(lists, root).facts.notes == (
        f'1 of 2 clips are not below {root}',
        f'1 of 2 audio files are not below {root}',
    )
    with pytest.raises(CorpusError, match='not one of 2'):
        split_manifest(lists, tmp_path / 'lists')


def test_lists_have_folders_alone_or_three_ratings(tmp_path):
    path = tmp_path / 'a.csv'
    path.write_text('/d/frames/00012 3\n/d/frames/00013 0\n')
    assert next((line.path, line.audio, line.labels) for line in read_split(path)) == ('/d/frames/00012', None, (3.0,))
    path.write_text('/d/a_aligned /d/a.wav -0.5 0.25 1\n/d/b_aligned /d/b.wav 0 1 2\n')
    first, _ = split_manifest(path, ratings=('valence', 'arousal', 'dominance')).samples
    assert (first.sample, first.valence, first.arousal, first.dominance, first.category) == ('a', -0.5, 0.25, 1.0, None)
    with pytest.raises(UnknownNameError, match='in any order'):
        split_manifest(path, ratings=('joy', 'valence', 'arousal'))


def test_a_video_of_voxceleb_finds_the_sound_that_is_handed_round_apart(tmp_path):
    wav = tmp_path / 'audio' / 'dev' / 'aac' / 'id00012' / 'x' / '00001.wav'
    wav.parent.mkdir(parents=True)
    write_audio(wav, tone(0.5), 16_000)
    path = tmp_path / 'train.csv'
    path.write_text('/their/video/dev/mp4/id00012/x/00001.mp4 0\n/their/video/dev/mp4/id00012/y/00001.mp4 0\n')
    video = tmp_path / 'video' / 'dev' / 'mp4' / 'id00012' / 'x' / '00001.mp4'
    video.parent.mkdir(parents=True)
    video.write_bytes(b'')
    first, second = split_manifest(path, tmp_path).samples
    assert (first.sample, first.video) == ('x/00001', 'video/dev/mp4/id00012/x/00001.mp4')
    assert (first.audio, second.audio) == ('audio/dev/aac/id00012/x/00001.wav', None)


@pytest.mark.parametrize(
    'path', ['/d/' + 'a' * 300, '/d/' + 'a/' * 3000, '../secret', '/d/../../secret', 'd\\..\\..\\secret']
)
def test_a_path_that_no_file_can_have_or_that_leads_out_of_your_folder_is_not_there(tmp_path, path):
    root = tmp_path / 'data'
    _folder(root / 'clip', [0])
    _folder(tmp_path / 'secret', [1])
    (tmp_path / 'a.csv').write_text(f'{path} 0\n/d/clip 1\n')
    manifest = split_manifest(tmp_path / 'a.csv', root)
    assert manifest.facts.notes == (f'1 of 2 clips are not below {root}',)
    assert _numbers(sample_clip(manifest, manifest.samples[1])) == [0]
    with pytest.raises(MediaError, match='which is not there'):
        sample_clip(manifest, manifest.samples[0])


@pytest.mark.parametrize(
    ('text', 'match'),
    [
        ('', 'which is empty'),
        ('/d/a /d/a.wav\n', r'line 1 of a\.csv without'),
        ('my clips/a b/c.wav 0\n', r'line 1 of a\.csv, with more spaces; put paths with spaces in quotes'),
        ('/d/a 0\n/d/a 1\n', "'a' with 0 and with 1"),
        ('/d/a nan\n', r'line 1 of a\.csv without'),
        ('/d/a -1\n', '-1 for a'),
        ('/d/a 1e300\n', r'1e\+300 for a'),
    ],
)
def test_a_list_that_cannot_be_understood_says_where(tmp_path, text, match):
    path = tmp_path / 'a.csv'
    path.write_text(text)
    with pytest.raises(TableError, match=match):
        split_manifest(path)


def test_the_official_lists_are_read_as_folds(shared_data):
    for corpus, sizes in {'ravdess': [240] * 6, 'cremad': [1463, 1470, 1475, 1474, 1555]}.items():
        manifest = split_manifest(sorted((shared_data / 'splits').glob(f'{corpus}_split*_test.csv')))
        folds = manifest.column('fold')
        assert [int((folds == fold).sum()) for fold in range(1, len(sizes) + 1)] == sizes
        assert len(manifest.facts.categories) == {'ravdess': 8, 'cremad': 6}[corpus]
    assert manifest.names[0] == '1001_DFA_ANG_XX'
