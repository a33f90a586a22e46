"""The lists of folds that HiCMAE and SVFAP publish, against the rules that they follow."""

from __future__ import annotations

from collections import Counter

import layouts
import pytest
from layouts import folds_listed, write

from affekt.corpora import ListedClip, PathsBelow, import_corpus, listed_clips
from affekt.corpora.acted import CREMAD6, cremad_fold, ravdess_fold
from affekt.errors import TableError
from affekt.labels import RAVDESS8

CREMAD_SIZES = {1: 1463, 2: 1470, 3: 1475, 4: 1474, 5: 1555}
DROPPED = ('1076_MTI_NEU_XX', '1076_MTI_SAD_XX', '1064_TIE_SAD_XX', '1064_IEO_DIS_MD')


@pytest.fixture(scope='module')
def lists(shared_data):
    """Corpus and fold to the lines of the published test list."""

    def lines(corpus, fold):
        path = shared_data / 'splits' / f'{corpus}_split{fold:02d}_test.csv'
        return listed_clips(path.read_text(), path.name)

    return lines


def test_the_folds_of_ravdess_are_the_published_ones(lists, shared_data):
    manifest = import_corpus('ravdess', shared_data / 'ravdess_speech')
    ours = {row.sample: (row.fold, row.category) for row in manifest.samples}
    published = {}
    for fold in range(1, 7):
        for clip in lists('ravdess', fold):
            name = clip.path.rsplit('/', 1)[1].removeprefix('02-')
            assert clip.audio.endswith(f'/03-{name}.wav')
            published[name] = (fold, RAVDESS8[int(clip.labels[0])])
    assert ours == published
    assert {ravdess_fold(actor) for actor in range(1, 25)} == set(range(1, 7))


def test_the_folds_of_crema_d_are_the_published_ones(lists, tmp_path):
    published = {}
    for fold, size in CREMAD_SIZES.items():
        clips = lists('cremad', fold)
        assert len(clips) == size
        published |= {clip.path.rsplit('/', 1)[1]: (fold, CREMAD6[int(clip.labels[0])]) for clip in clips}
    assert not published.keys() & set(DROPPED)
    (tmp_path / 'AudioWAV').mkdir()
    for name in (*published, *DROPPED):
        (tmp_path / 'AudioWAV' / f'{name}.wav').touch()
    ours = {row.sample: (row.fold, row.category) for row in import_corpus('cremad', tmp_path).samples}
    assert {name: ours.pop(name)[0] for name in DROPPED} == dict.fromkeys(DROPPED)
    assert ours == published
    assert Counter(map(cremad_fold, published)) == CREMAD_SIZES


def test_lists_and_release_give_the_same_samples(tmp_path):
    at = '/data/someone/RAVDESS'
    names = ('05-02-01-01-01', '01-01-02-02-05')
    lines = [
        [f'{at}/face_aligned/Actor_{name[-2:]}/02-01-{name} {at}/audio_16k/Actor_{name[-2:]}/03-01-{name}.wav {label}']
        for name, label in zip(names, (4, 0), strict=True)
    ]
    folds_listed(tmp_path / 'lists', lines)
    for name in names:
        write(tmp_path / 'lists' / 'audio_16k' / f'Actor_{name[-2:]}' / f'03-01-{name}.wav')
        write(tmp_path / 'release' / f'Actor_{name[-2:]}' / f'03-01-{name}.wav')
    listed, released = (import_corpus('ravdess', tmp_path / place) for place in ('lists', 'release'))
    for left, right in zip(listed.samples, released.samples, strict=True):
        assert (left.sample, left.category, left.fold, left.speaker, left.text) == (
            right.sample, right.category, right.fold, right.speaker, right.text,
        )  # fmt: skip
        assert left.audio == f'audio_16k/{right.audio}'
    assert listed.facts.version == 'split lists'


def test_dimensions_are_read_with_sound_and_pictures_where_they_are(tmp_path):
    layouts.werewolf_xl(tmp_path)
    first, second = import_corpus('werewolf-xl', tmp_path).samples
    assert (first.arousal, first.valence, first.dominance, first.fold) == (0.5, 0.75, 0.0, 1)
    assert (first.speaker, first.session) == ('01_02', '01')
    assert (first.frames, first.audio) == ('openface/01_02_366/01_02_366_aligned', 'audio_16k/01_02_366.wav')
    assert (second.sample, second.frames, second.audio) == ('07_03_78', None, None)


def test_media_further_down_are_found_once_and_for_all(tmp_path):
    layouts.werewolf_xl(tmp_path / 'lists')
    (tmp_path / 'lists' / 'openface').rename(tmp_path / 'lists' / 'media')
    (tmp_path / 'lists' / 'media').rename(tmp_path / 'lists' / 'kept')
    first = import_corpus('werewolf-xl', tmp_path / 'lists').samples[0]
    assert first.frames == 'kept/01_02_366/01_02_366_aligned'


def test_the_longest_end_of_a_path_that_is_there_is_its_place(tmp_path):
    for name in ('a/clip.wav', 'b/a/clip.wav', 'b/other.wav'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    below = PathsBelow(tmp_path)
    assert below.find('/home/them/b/a/clip.wav') == 'b/a/clip.wav'
    assert below.find('C:\\them\\b\\other.wav') == 'b/other.wav'
    assert below.find('/home/them/b/a/absent.wav') is None
    assert below.find('/elsewhere/a/clip.wav') == 'a/clip.wav'
    assert below.find('/home/../b/other.wav') is None


def test_a_clip_that_was_found_by_its_name_alone_takes_no_other_ones_place(tmp_path):
    for name in ('1.wav', 'b/1.wav', 'c/b/1.wav'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    below = PathsBelow(tmp_path)
    places = [below.find(f'/home/them/{folder}/1.wav') for folder in ('a', 'b', 'c/b', 'a')]
    assert places == ['1.wav', 'b/1.wav', 'c/b/1.wav', '1.wav']


def test_names_without_a_folder_are_found_where_the_first_of_them_was(tmp_path):
    for name in ('first', 'second'):
        (tmp_path / 'deep' / 'down').mkdir(parents=True, exist_ok=True)
        (tmp_path / 'deep' / 'down' / f'{name}.wav').touch()
    below = PathsBelow(tmp_path)
    below.learn('first.wav', 'deep/down/first.wav')
    assert below.find('second.wav') == 'deep/down/second.wav'


def test_msp_improv_gives_consensus_means_and_sessions(tmp_path):
    layouts.msp_improv(tmp_path)
    manifest = import_corpus('msp-improv', tmp_path)
    first, second = manifest.samples
    assert any('1 turn without a consensus' in note for note in manifest.facts.notes)
    assert (first.sample, first.category, first.fold) == ('MSP-IMPROV-S01A-F01-P-FM01', 'neutral', 1)
    assert (first.arousal, first.valence, first.dominance) == (2.571429, 3.0, 2.857143)
    assert (first.session, first.speaker) == ('session1', None)
    assert first.audio == 'Audio/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav'
    assert (second.category, second.dominance, second.fold) == ('happiness', None, 6)
    assert second.video == 'Video/session6/S20H/T/UTD-IMPROV-S20H-M06-T-MM01.avi'


def test_ferv39k_is_listed_by_part(tmp_path):
    at = '/data/someone/FERV39k/2_ClipsforFaceCrop'
    write(tmp_path / 'all_scenes' / 'train.csv', f'{at}/Interview/Happy/0118 0\n{at}/Action/Fear/0001 6\n')
    write(tmp_path / 'all_scenes' / 'test.csv', f'{at}/Action/Sad/0002 1\n')
    rows = import_corpus('ferv39k', tmp_path).samples
    assert [(row.sample, row.category, row.split, row.session) for row in rows] == [
        ('Interview/Happy/0118', 'Happy', 'train', 'Interview'), ('Action/Fear/0001', 'Fear', 'train', 'Action'),
        ('Action/Sad/0002', 'Sad', 'test', 'Action'),
    ]  # fmt: skip


def test_absolute_paths_may_hold_spaces_and_frames_may_stand_alone():
    assert listed_clips('/my disk/face/a /my disk/wav/a.wav 2\n\n/d/b 0', 'test.csv') == [
        ListedClip('/my disk/face/a', '/my disk/wav/a.wav', (2.0,)), ListedClip('/d/b', None, (0.0,)),
    ]  # fmt: skip


def test_ratings_are_as_many_as_a_corpus_has():
    (clip,) = listed_clips('/d/a_aligned /d/a.wav 0.5 -1\n', 'test.csv', labels=2)
    assert (clip.path, clip.audio, clip.labels) == ('/d/a_aligned', '/d/a.wav', (0.5, -1.0))
    with pytest.raises(TableError, match=r'3 ratings at the end of every line; got line 2 of test\.csv without'):
        listed_clips('/d/a 0.5 -1 1\n/d/b 0.5 -1\n', 'test.csv', labels=3)


@pytest.mark.parametrize(
    ('lines', 'said'),
    [
        (['/d/1001_DFA_ANG_XX'], 'a label at the end of every line'),
        (['/d/1001_DFA_ANG_XX /d/a.wav /d/b.wav 0'], 'paths with spaces in quotes'),
        (['/d/1001_DFA_ANG_XX 6'], 'a label from 0 to 5'),
        (['/d/1001_DFA_ANG_XX 0.5'], 'a label from 0 to 5'),
        (['/d/1001_DFA_ANG_XX happy'], 'a label at the end of every line'),
        (['/d/somebody 0'], 'a clip of CREMA-D'),
        (['/d/1001_DFA_ANG_XX 0', '/e/1001_DFA_ANG_XX 1'], 'every clip once'),
    ],
)
def test_a_list_that_cannot_be_is_refused_in_one_sentence(tmp_path, lines, said):
    folds_listed(tmp_path, [lines])
    with pytest.raises(TableError, match=said):
        import_corpus('cremad', tmp_path)


def test_a_clip_that_two_lists_test_is_refused(tmp_path):
    folds_listed(tmp_path, [['/d/1001_DFA_ANG_XX 0'], ['/d/1001_DFA_ANG_XX 0']])
    with pytest.raises(TableError, match='tested once'):
        import_corpus('cremad', tmp_path)


def test_lists_of_several_corpora_ask_for_one(tmp_path):
    folds_listed(tmp_path / 'somewhere' / 'a', [['/d/1001_DFA_ANG_XX 0']])
    folds_listed(tmp_path / 'somewhere' / 'b', [['/d/1001_DFA_DIS_XX 0']])
    with pytest.raises(TableError, match='lists of one corpus'):
        import_corpus('cremad', tmp_path)


@pytest.mark.parametrize('before', ['/d/../..', '/d/' + 'a' * 300, '/d' + '/a' * 3000])
def test_a_path_that_leaves_the_release_or_that_no_file_can_have_names_no_media(tmp_path, before):
    folds_listed(tmp_path / 'lists', [[f'{before}/1001_DFA_ANG_XX 0']])
    (tmp_path / '1001_DFA_ANG_XX').mkdir()
    (row,) = import_corpus('cremad', tmp_path / 'lists').samples
    assert row.frames is None


def test_faces_beside_a_release_are_its_frames(tmp_path):
    layouts.cremad(tmp_path / 'cremad')
    layouts.ravdess(tmp_path / 'ravdess')
    (tmp_path / 'cremad' / 'face_aligned' / '1001_DFA_ANG_XX').mkdir(parents=True)
    (tmp_path / 'ravdess' / 'face_aligned' / 'Actor_01' / '02-01-05-02-01-01-01').mkdir(parents=True)
    rows = {row.sample: row.frames for row in import_corpus('cremad', tmp_path / 'cremad').samples}
    assert rows['1001_DFA_ANG_XX'] == 'face_aligned/1001_DFA_ANG_XX'
    (clip,) = [row for row in import_corpus('ravdess', tmp_path / 'ravdess').samples if row.speaker == '01']
    assert clip.frames == 'face_aligned/Actor_01/02-01-05-02-01-01-01'
    assert clip.video == 'Actor_01/01-01-05-02-01-01-01.mp4'
