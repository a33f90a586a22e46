"""From files to a signed file: what is refused, what is made, and what is said of it."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from portraits import made_up_face

from affekt.cli import main
from affekt.errors import (
    ConsentError,
    FileError,
    MediaError,
    PortraitError,
    PurposeError,
    StorageError,
    UnknownNameError,
    ValueRangeError,
)
from affekt.faces import FaceLandmarker
from affekt.media import Recording, write_video
from affekt.reenactment import (
    ByCurves,
    ByEmotion,
    ByTimeline,
    ByVideo,
    Consent,
    Portrait,
    ReenactSettings,
    reenact_to,
    verify,
)

NOBODY = Consent('nobody')


@pytest.fixture(scope='module')
def landmarker(shared_data):
    return FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp('portrait') / 'portrait.png'
    Image.fromarray(made_up_face(size=256)[0]).save(path)
    return path


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory, monkeypatch):
    pytest.importorskip('c2pa', reason='c2pa-python is not installed')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path_factory.mktemp('config')))


def test_an_emotion_becomes_a_signed_video_with_its_record(tmp_path, picture, landmarker):
    out = tmp_path / 'surprise.mp4'
    made = reenact_to(out, picture, ByEmotion('surprise', 0.8, 1.0, 10.0), consent=NOBODY, landmarker=landmarker)
    assert (made.pictures, made.seconds, made.has_sound, made.shows_driver) == (10, 1.0, False, False)
    verdict = verify(out)
    assert verdict.words == 'intact, signer unknown'
    assert verdict.statement['settings']['source']['emotion'] == 'surprise'
    record = json.loads(made.record.read_text())
    assert record['consent']['portrayed'] == 'nobody'
    assert record['portrait_sha256'] == verdict.statement['portrait_sha256']
    frames = [frame.image.astype(int) for frame in Recording.open(out).frames()]
    assert np.abs(frames[5] - frames[0])[60:200, 60:200].mean() > 1


def test_a_face_drives_with_its_sound_and_its_mouth(tmp_path, picture, landmarker):
    closed, wide = made_up_face(size=256)[0], made_up_face(size=256, jaw=0.8)[0]
    tone = np.sin(np.arange(16_000) / 8).astype(np.float32) / 4
    driver = write_video(tmp_path / 'driver.mp4', [closed] * 6 + [wide] * 4, 10.0, tone)
    out = tmp_path / 'out.mp4'
    settings = ReenactSettings(note_off_by='A. Tester', purpose='a test of the engine')
    made = reenact_to(out, picture, ByVideo(driver), consent=NOBODY, settings=settings, landmarker=landmarker)
    assert (made.pictures, made.has_sound, made.shows_driver) == (10, True, True)
    assert verify(out).statement['has_drivers_mouth'] is True
    record = json.loads(made.record.read_text())
    assert record['settings']['note_off_by'] == 'A. Tester'
    assert record['settings']['purpose'] == 'a test of the engine'
    frames = [frame.image for frame in Recording.open(out).frames()]
    faces = [landmarker.faces(frame)[0].landmarks for frame in (frames[2], frames[9])]
    gaps = [np.linalg.norm(points[13, :2] - points[14, :2]) for points in faces]
    assert gaps[1] > gaps[0] + 8


def test_a_still_shows_the_apex_and_carries_a_note_unless_somebody_answers_for_it(tmp_path, picture, landmarker):
    bare = ReenactSettings(note_off_by='A. Tester')
    noted = reenact_to(tmp_path / 'a.png', picture, ByEmotion('anger', 1.0), consent=NOBODY, landmarker=landmarker)
    plain = reenact_to(tmp_path / 'b.png', picture, ByEmotion('anger', 1.0), consent=NOBODY, settings=bare,
                       landmarker=landmarker)  # fmt: skip
    first, second = (np.asarray(Image.open(made.path).convert('RGB')).astype(int) for made in (noted, plain))
    change = np.abs(first - second).max(axis=2)
    assert change[-6:, :60].mean() > 20
    assert change[:200].max() == 0
    assert verify(plain.path).is_intact


def test_without_a_change_the_still_is_the_portrait(tmp_path, picture, landmarker):
    made = reenact_to(tmp_path / 'calm.png', picture, ByEmotion('surprise', 0.0), consent=NOBODY,
                      settings=ReenactSettings(note_off_by='A. Tester'), landmarker=landmarker)  # fmt: skip
    assert np.array_equal(np.asarray(Image.open(made.path).convert('RGB')), np.asarray(Image.open(picture)))


def test_a_large_portrait_is_made_smaller_and_an_odd_one_is_taken(picture, landmarker):
    large = np.asarray(Image.open(picture).resize((515, 515)))
    assert Portrait.from_picture(large, landmarker, max_side=301).size == (301, 301)


@pytest.mark.parametrize(('name', 'words'), [('multi_face.jpg', '5 faces'), ('wall', 'no face')])
def test_a_picture_without_one_clear_face_is_refused(shared_data, landmarker, name, words):
    picture = np.full((120, 160, 3), 180, np.uint8) if name == 'wall' else shared_data / 'test_media' / name
    with pytest.raises(PortraitError, match=words):
        Portrait.from_picture(picture, landmarker)


def test_heads_that_are_turned_tilted_or_small_are_refused_and_a_half_turned_one_is_noted(landmarker):
    turned = made_up_face(yaw_deg=44.0, size=256)[0]
    with pytest.raises(PortraitError, match='turned to the side by at most 30 degrees'):
        Portrait.from_picture(turned, landmarker)
    upright = made_up_face(size=256)[0]
    with pytest.raises(PortraitError, match='tilted'):
        Portrait.from_picture(np.ascontiguousarray(np.rot90(upright)), landmarker)
    with pytest.raises(PortraitError, match='pixels between'):
        Portrait.from_picture(np.asarray(Image.fromarray(upright).resize((48, 48))), landmarker)
    half = Portrait.from_picture(made_up_face(yaw_deg=24.0, size=256)[0], landmarker)
    assert 'far cheek' in ' '.join(half.notes)


def test_hair_or_a_face_at_the_border_is_noted(landmarker):
    image, face = made_up_face(size=256)
    (left, top), (right, bottom) = (np.rint(edge(face.landmarks[:468, :2], axis=0)) for edge in (np.min, np.max))
    close = image[int(top) - 9 : int(bottom) + 9, int(left) - 9 : int(right) + 9]
    (note,) = Portrait.from_picture(np.ascontiguousarray(close), landmarker).notes
    assert note.startswith('Hair or neck reach the border')
    chin = round(float((face.landmarks[17, 1] + face.landmarks[152, 1]) / 2))  # between lower lip and chin
    notes = Portrait.from_picture(np.ascontiguousarray(image[:chin]), landmarker).notes
    assert 'cuts the face' in notes[0]
    assert not any('Hair' in each for each in notes)


def test_what_can_be_refused_is_refused_before_any_work(tmp_path, picture, landmarker):
    def make(out, portrait=picture, source=None):
        return reenact_to(tmp_path / out, portrait, source or ByEmotion('anger'), consent=NOBODY, landmarker=landmarker)

    with pytest.raises(MediaError, match='manifest'):
        make('out.gif')
    with pytest.raises(MediaError, match='a file that is there'):
        make('out.mp4', tmp_path / 'gone.png')
    with pytest.raises(MediaError, match='a file that is there'):
        make('out.mp4', source=ByVideo(tmp_path / 'gone.mp4'))
    with pytest.raises(UnknownNameError, match='still'):
        curve = tmp_path / 'curve.csv'
        curve.write_text('time_s,jawOpen\n0,0\n1,1\n')
        make('out.png', source=ByCurves(curve))
    with pytest.raises(FileError):
        make('out.mp4', tmp_path)
    own = tmp_path / 'own.png'
    shutil.copyfile(picture, own)
    with pytest.raises(FileError, match='output of its own'):
        make('own.png', own)
    table = tmp_path / 'curve.mp4'
    shutil.copyfile(curve, table)
    with pytest.raises(FileError, match='output of its own'):
        make('curve.mp4', source=ByCurves(table))
    (tmp_path / 'folder.mp4').mkdir()
    (tmp_path / 'out.mp4.json').mkdir()
    for name, words in (
        ('folder.mp4', 'Is a directory'),
        ('out.mp4', 'out.mp4.json'),
        (f'{"n" * 251}.mp4', 'too long'),
    ):
        with pytest.raises(StorageError, match=words):
            make(name)
    with pytest.raises(StorageError, match='too long'):
        make(f'{"n" * 300}.mp4')
    with pytest.raises(PurposeError):
        ReenactSettings(purpose='rating employees')
    with pytest.raises(ValueRangeError):
        ReenactSettings(max_side=10)
    with pytest.raises(ConsentError):
        Consent('child')
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        'curve.csv', 'curve.mp4', 'folder.mp4', 'out.mp4.json', 'own.png'
    ]  # fmt: skip


def test_a_video_as_the_portrait_is_refused(tmp_path, picture, landmarker):
    video = write_video(tmp_path / 'portrait.mp4', [np.asarray(Image.open(picture))] * 3, 10.0)
    with pytest.raises(PortraitError, match='a video'):
        Portrait.from_picture(video, landmarker)


@pytest.mark.parametrize(('words', 'said'), [
    (['-o', 'out.mp4'], 'none was named'),
    (['driver.mp4', '--emotion', 'anger', '-o', 'out.mp4'], 'DRIVER and --emotion'),
    (['driver.mp4', '--seconds', '2', '-o', 'out.mp4'], '--seconds belongs to --emotion'),
    (['--emotion', 'anger', '--intensity', 'much', '-o', 'out.mp4'], 'a number such as 0.7'),
    (['--emotion', 'anger', '-o', 'out.mp4'], '--portrayed'),
    (['--emotion', 'angr', '-o', 'out.mp4'], 'anger'),
    (['--emotion', 'anger', '--portrayed', 'agreed', '--age', '9', '-o', 'out.mp4'], 'a child'),
    (['--emotion', 'anger', '--purpose', 'hiring', '--portrayed', 'nobody', '-o', 'out.mp4'], 'work'),
    (['--emotion', 'anger', '--certificate', 'c.pem', '-o', 'out.mp4'], 'belong together'),
    (['driver.mp4', '--engine', 'diffusion', '--portrayed', 'nobody', '-o', 'out.mp4'], '--weights'),
    (['driver.mp4', '--weights', '.', '--portrayed', 'nobody', '-o', 'out.mp4'], '--engine diffusion'),
    (['driver.mp4', '--engine', 'diffusion', '--weights', '.', '--license', 'commercial-ok', '-o', 'out.mp4'],
     'without a licence'),
    (['--emotion', 'anger', '--engine', 'diffusion', '--weights', 'gone', '--portrayed', 'nobody', '-o', 'o.mp4'],
     'published weights'),
])  # fmt: skip
def test_the_command_says_what_is_missing_or_does_not_go_together(picture, words, said):
    result = CliRunner().invoke(main, ['reenact', str(picture), *words])
    assert result.exit_code == 2
    assert said in ' '.join(result.output.split())
    assert 'Traceback' not in result.output


def test_what_an_analysis_holds_belongs_to_what_an_output_depends_on(tmp_path):
    (tmp_path / 'faces.parquet').write_bytes(b'first')
    before = ByTimeline(tmp_path).as_json()
    (tmp_path / 'faces.parquet').write_bytes(b'second')
    assert before != ByTimeline(tmp_path).as_json()
    assert ByTimeline(tmp_path / 'nowhere').as_json()['sha256'] == {}
