"""Sets of stimuli: what is made, what is read back, what is gone on with, what is refused."""

from __future__ import annotations

import csv
import math
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from portraits import made_up_face

from affekt.cli import main, reenact
from affekt.errors import MediaError, RunError, UnknownNameError, ValueRangeError
from affekt.faces import BLENDSHAPES, FaceLandmarker
from affekt.labels import EKMAN
from affekt.reenactment import (
    Consent,
    Design,
    Reader,
    ReenactSettings,
    Stimuli,
    equally_light,
    make_stimuli,
    named_scores,
    verify,
)
from affekt.reenactment.reading_back import LUMINANCE, FaceRead, ReadBack, encoded, face_luminance, linear
from affekt.reenactment.stimuli import _apex, _people, _percent, _pictures

NOBODY = Consent('nobody')
SMALL = Design(('surprise',), (0.0, 1.0), seconds=0.6, rate_hz=10.0)


class Expression:
    """Sees anger in every face, so that no network has to be there."""

    def probabilities(self, crops, blendshapes=None, *, both_views=True):
        shares = np.full((len(crops), 7), 0.05)
        shares[:, EKMAN.index('anger')] = 0.7
        return shares


@pytest.fixture(scope='module')
def landmarker(shared_data):
    return FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory, monkeypatch):
    pytest.importorskip('c2pa', reason='c2pa-python is not installed')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path_factory.mktemp('config')))


@pytest.fixture(scope='module')
def portraits(tmp_path_factory):
    """Two people, one of them in half the light, and a picture of nobody."""
    folder = tmp_path_factory.mktemp('portraits')
    face = made_up_face(size=192)[0]
    Image.fromarray(face).save(folder / 'day.png')
    Image.fromarray(encoded(0.5 * linear(face))).save(folder / 'evening.png')
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(folder / 'wall.png')
    return folder


def test_a_set_holds_every_person_at_every_intensity_equally_light_and_goes_on(tmp_path, portraits, landmarker):
    made = make_stimuli(portraits, tmp_path / 'set', SMALL, consent=NOBODY, landmarker=landmarker,
                        reader=Reader(landmarker, Expression()))  # fmt: skip
    assert (made.clips, made.resumed, list(made.left_out)) == (4, 0, ['wall.png'])
    rows = list(csv.DictReader(made.table.read_text().splitlines()))
    assert [(row['person'], row['intensity']) for row in rows] == [
        ('day', '0.0'), ('day', '1.0'), ('evening', '0.0'), ('evening', '1.0')
    ]  # fmt: skip
    assert {row['frames'] for row in rows} == {'6'}
    light = [float(row['measured_luminance']) for row in rows]
    assert max(light) / min(light) < 1.1  # the portraits were a factor of two apart
    assert float(rows[1]['measured_rise']) > float(rows[0]['measured_rise']) + 0.1
    assert {row['measured_category'] for row in rows} == {'anger'}
    assert verify(made.folder / rows[1]['file']).words == 'intact, signer unknown'
    page = made.page.read_text()
    assert 'surprise' in page
    assert 'wall.png' in page
    # a clip that is lost is made again, and no other; a run with other choices is not mixed in
    (made.folder / rows[2]['file']).unlink()
    again = make_stimuli(portraits, tmp_path / 'set', SMALL, consent=NOBODY, landmarker=landmarker,
                         reader=Reader(landmarker, Expression()))  # fmt: skip
    assert (again.clips, again.resumed) == (4, 3)
    assert verify(made.folder / rows[2]['file']).is_intact
    with pytest.raises(RunError):
        make_stimuli(portraits, tmp_path / 'set', Design(('anger',), (1.0,)), consent=NOBODY, landmarker=landmarker,
                     reader=SimpleNamespace())  # fmt: skip


def test_no_two_cells_of_a_design_share_a_file():
    assert [_percent(each) for each in (0, 0.5, 1, 0.251, 0.254, 0.12345, 1e-6)] == [
        '000', '050', '100', '025.1', '025.4', '012.345', '000.0001'
    ]  # fmt: skip
    assert Design(('anger',), (0.5, 0.5 + 1e-9, 0.25)).cells == (('anger', 0.5), ('anger', 0.25))


def test_a_folder_without_a_face_is_refused(tmp_path, portraits, landmarker):
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(MediaError, match='without an image'):
        make_stimuli(empty, tmp_path / 'out', SMALL, consent=NOBODY, landmarker=landmarker)
    for name in ('a.png', 'b.png'):
        shutil.copy(portraits / 'wall.png', empty / name)
    with pytest.raises(MediaError, match='one clear face'):
        make_stimuli(empty, tmp_path / 'out', SMALL, consent=NOBODY, landmarker=landmarker)


def test_what_is_said_of_a_portrait_is_said_of_the_set(tmp_path, landmarker):
    face = made_up_face(size=192)[0].copy()
    face[:, :96] = 20
    Image.fromarray(face).save(tmp_path / 'half.png')
    one = Design(('surprise',), (0.0,), 0.2, 5.0)
    made = make_stimuli(tmp_path / 'half.png', tmp_path / 'set', one, consent=NOBODY, landmarker=landmarker,
                        reader=Reader(landmarker, Expression()))  # fmt: skip
    assert list(made.notes) == ['half']
    assert 'looks covered' in made.notes['half']
    assert made.notes['half'] in made.page.read_text()


def test_what_is_no_picture_in_a_folder_of_portraits_is_named(tmp_path, portraits, landmarker):
    shutil.copy(portraits / 'day.png', tmp_path / 'day.png')
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'dangling.png').symlink_to('gone')
    (tmp_path / b'caf\xe9.png'.decode('utf-8', 'surrogateescape')).write_bytes(b'no picture')
    (tmp_path / 'notes.txt').touch()
    people, left_out = _people(_pictures(tmp_path), landmarker, ReenactSettings())
    assert (list(people), set(left_out)) == (['day'], {'pipe.png', 'dangling.png', r'caf\xe9.png'})
    assert 'pipe' in left_out['pipe.png']


def test_a_design_without_cells_or_beyond_its_range_is_refused():
    for wrong in ({'emotions': ()}, {'intensities': (1.5,)}, {'seconds': 0}, {'intensities': ()}):
        with pytest.raises(ValueRangeError):
            Design(**wrong)
    with pytest.raises(UnknownNameError):
        Design(('joy',))
    assert Design(('anger', 'anger'), (0, 0.0, 1)).cells == (('anger', 0), ('anger', 1))


def test_the_apex_of_a_short_clip_has_a_frame_too():
    # 0.4 s at 25 per second: 0.36 s from the first to the last, of which a fifth is the apex
    (begin, end), rate_hz = _apex(Design(seconds=0.4), 'happiness')
    assert rate_hz == 25
    assert np.any((np.arange(10) / 25 >= begin) & (np.arange(10) / 25 <= end))
    (begin, end), rate_hz = _apex(Design(), 'happiness')
    assert rate_hz == 8
    # rest of 0.2 s and onset of 0.6 s, offset of 0.8 s before the rest at the end, half a frame on both sides
    assert (begin, end) == pytest.approx((0.8 - 0.064, 2.96 - 1.0 + 0.064), abs=0.001)


def test_light_is_multiplied_until_the_face_has_the_wanted_mean():
    image, landmarks = np.full((40, 40, 3), 100, np.uint8), np.zeros((478, 3))
    image[:, 20:] = 180
    corners = np.array([[5, 5], [35, 5], [35, 35], [5, 35]])
    landmarks[:, :2] = corners[np.arange(478) % 4]
    goal = 0.3
    lit, gain = equally_light(image, landmarks, goal)
    before = face_luminance(image, landmarks)
    assert gain == pytest.approx(goal / before, rel=0.01)
    assert face_luminance(lit, landmarks) == pytest.approx(goal, rel=0.01)
    # more light than its limit is not added
    assert equally_light(image, landmarks, 1.0)[1] == pytest.approx(2.5)


def test_linear_light_of_bytes_goes_there_and_back():
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(encoded(linear(every)), every)
    # IEC 61966-2-1: 188 is half the light of white to within a percent
    assert linear(np.uint8(188)) == pytest.approx(0.5029, abs=1e-4)
    assert LUMINANCE.sum() == pytest.approx(1)


def read(jaw=0.0, identity=None):
    scores = np.zeros(52, np.float32)
    scores[BLENDSHAPES.index('jawOpen')] = jaw
    return FaceRead(scores, np.eye(7)[0], 0.1, 0.2, identity, 0.4)


def test_a_row_is_the_mean_of_the_apex_and_the_largest_distance_of_all():
    faces = (read(0.1, np.full(128, 0.05)), read(0.5, np.zeros(128)), read(0.7, np.zeros(128)))
    back = ReadBack(read(0.1, np.zeros(128)), faces, 4, 'surprise', np.array([False, True, True]))
    row = back.as_row()
    assert row['measured_rise'] == pytest.approx(0.5)  # 0.6 - 0.1 of the jaw
    assert row['measured_identity_distance'] == pytest.approx(0.05 * np.sqrt(128))
    assert row['frames_without_face'] == 1
    nothing = ReadBack(read(), (), 3, 'surprise', np.zeros(0, dtype=bool)).as_row()
    assert math.isnan(nothing['measured_rise'])
    assert nothing['frames_without_face'] == 3


def test_scores_that_the_network_hardly_gives_are_not_asked_for():
    assert 'jawOpen' in named_scores('surprise')
    assert not [name for name in named_scores('disgust') if name.startswith(('noseSneer', 'mouthFrown'))]
    assert named_scores('neutral') == ()


def test_the_command_makes_a_set_of_a_folder_and_says_what_does_not_belong_to_one(tmp_path, portraits, monkeypatch):
    monkeypatch.setattr(reenact, 'fetch', lambda names, required=True: None)
    made = {}

    def kept(folder, out, design, **more):
        made.update(design=design, portrayed=more['consent'].portrayed)
        return Stimuli(out, out / 'stimuli.csv', out / 'report.html', 4, 1, {'wall.png': 'no face'}, {})

    monkeypatch.setattr('affekt.reenactment.make_stimuli', kept)
    asked = ['reenact', str(portraits), '--emotion', 'all', '--intensity', '0,0.5', '-o', str(tmp_path / 'set')]
    told = CliRunner().invoke(main, [*asked, '--portrayed', 'nobody', '--seconds', '2'])
    assert told.exit_code == 2, told.output
    assert made['design'] == Design(intensities=(0.0, 0.5), seconds=2.0)
    assert '4 clips, 1 of them from an earlier run' in told.output
    assert told.stdout.endswith(f'table {tmp_path}/set/stimuli.csv\npage {tmp_path}/set/report.html\n')
    assert 'wall.png: no face' in told.stderr
    for wrong, message in (
        (['--curve', 'x.csv'], '--curve does not apply to a set'), (['--calm-at', '1'], '--calm-at'),
        (['-o', str(tmp_path / 'set.mp4')], 'goes into a folder'),
    ):  # fmt: skip
        stated = asked[: asked.index('-o')] if wrong[0] == '-o' else asked
        refused = CliRunner().invoke(main, [*stated, '--portrayed', 'nobody', *wrong])
        assert refused.exit_code == 2
        assert message in refused.output
    nothing = CliRunner().invoke(main, ['reenact', str(portraits), '-o', 'set', '--portrayed', 'nobody'])
    assert 'made of emotions' in nothing.output
