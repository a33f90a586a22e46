"""Personal refiners: kept where they help on held-out frames, used on their own portrait, and on no other."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from portraits import made_up_face

from affekt.cli import main
from affekt.errors import RunError, StorageError, ValueRangeError, WeightsError
from affekt.faces import FaceLandmarker
from affekt.media import Recording, write_video
from affekt.reenactment import (
    ByEmotion,
    Consent,
    Portrait,
    ReenactSettings,
    reenact_to,
    self_driven,
    train_refiner,
    verify,
)
from affekt.reenactment.diffused import Square

torch = pytest.importorskip('torch')

from affekt.diffusion import RefinerSettings, read_refiner, read_refiner_card  # noqa: E402

QUICK = RefinerSettings(steps=30, width=8, batch_size=4, stretch=2, log_every=10)
NOBODY = Consent('nobody')


def _darker(count=24, by=12, size=192):
    """A person who sits still while it gets darker at once behind the first frame: geometry knows nothing of that."""
    first = made_up_face(size=size)[0]
    later = np.clip(first.astype(int) - by, 0, 255).astype(np.uint8)
    return [first, *[later] * (count - 1)]


@pytest.fixture(scope='module')
def landmarker(shared_data):
    return FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')


@pytest.fixture(scope='module')
def helpful(tmp_path_factory, landmarker):
    """A folder of a refiner that helps, by the function that the command calls."""
    root = tmp_path_factory.mktemp('refiner')
    video = write_video(root / 'person.mp4', _darker(), 25.0)
    return train_refiner(video, root / 'refiner', QUICK, size=48, landmarker=landmarker)


def test_a_refiner_that_helps_is_kept_with_what_it_brings(helpful):
    card = read_refiner_card(helpful.folder)
    # 24 frames: 14 learnt from, 2 between, 8 judged
    assert (card.is_kept, card.judged['frames'], card.size) == (True, 8, 48)
    # the square around the head is 12 levels too bright: 20 log10(255 / 12) = 26.5 dB
    assert card.judged['before']['psnr_db'] == pytest.approx(26.5, abs=0.8)
    assert card.judged['psnr_gain_db']['low'] > 1
    assert card.judged['ssim_gain']['low'] > 0
    assert {path.name for path in helpful.folder.iterdir()} == {'card.json', 'refiner.safetensors', 'portrait.png'}


def test_it_corrects_its_own_portrait_and_no_other(tmp_path, helpful, landmarker, monkeypatch):
    pytest.importorskip('c2pa', reason='c2pa-python is not installed')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'config'))
    refined = ReenactSettings(refiner=helpful.folder, note_off_by='A. Tester')

    def still(name, settings, portrait=helpful.portrait):
        made = reenact_to(tmp_path / name, portrait, ByEmotion('neutral'), consent=NOBODY, settings=settings,
                          landmarker=landmarker)  # fmt: skip
        return made, np.asarray(Image.open(made.path).convert('RGB')).astype(int)

    _, plain = still('plain.png', ReenactSettings(note_off_by='A. Tester'))
    made, corrected = still('refined.png', refined)
    square = Square.around(Portrait.from_picture(helpful.portrait, landmarker))
    middle = np.s_[square.top + 30 : square.top + square.side - 30, square.left + 30 : square.left + square.side - 30]
    assert (corrected - plain)[middle].mean() == pytest.approx(-12, abs=4)
    outside = np.ones(plain.shape[:2], bool)
    outside[square.top : square.top + square.side, square.left : square.left + square.side] = False
    assert (corrected == plain)[outside].all()
    sha256 = read_refiner_card(helpful.folder).weights_sha256
    assert json.loads(made.record.read_text())['refiner_sha256'] == sha256
    assert verify(made.path).statement['settings']['learnt'] == {'refiner_sha256': sha256}
    other = tmp_path / 'other.png'
    Image.fromarray(made_up_face(yaw_deg=10.0)[0]).save(other)
    with pytest.raises(WeightsError, match=r'another one, other\.png.*move .*portrait\.png'):
        still('other_out.png', refined, other)
    with pytest.raises(ValueRangeError, match='both'):
        ReenactSettings(refiner=helpful.folder, weights=tmp_path)


def test_one_that_does_not_help_is_not_kept_and_cannot_be_used(tmp_path, landmarker):
    still = write_video(tmp_path / 'still.mp4', [made_up_face()[0]] * 24, 25.0)
    trained = train_refiner(still, tmp_path / 'refiner', QUICK, size=48, landmarker=landmarker)
    assert not trained.card.is_kept
    assert {path.name for path in trained.folder.iterdir()} == {'card.json', 'portrait.png'}
    with pytest.raises(WeightsError, match='whose card says that it does not'):
        read_refiner_card(trained.folder)


def test_weights_that_are_not_those_of_the_card_are_refused(tmp_path, helpful):
    import shutil

    folder = tmp_path / 'changed'
    shutil.copytree(helpful.folder, folder)
    with (folder / 'refiner.safetensors').open('r+b') as file:
        file.seek(-1, 2)
        file.write(b'\xff')
    with pytest.raises(WeightsError, match='as the card'):
        read_refiner_card(folder)
    card = json.loads((folder / 'card.json').read_text())
    for change in ({'size': 0}, {'size': float('inf')}, {'depth': [float('nan'), 1.0]}):
        (folder / 'card.json').write_text(json.dumps(card | change))
        with pytest.raises(WeightsError, match='train-refiner'):
            read_refiner_card(folder)
    shutil.copy(helpful.folder / 'refiner.safetensors', folder)
    for width in (8.5, 16, 10**6, 10**12, 10**30):
        (folder / 'card.json').write_text(json.dumps(card | {'settings': card['settings'] | {'width': width}}))
        with pytest.raises(WeightsError):
            read_refiner(folder)
    (folder / 'card.json').write_text('{"form": 1}')
    with pytest.raises(WeightsError, match='train-refiner'):
        read_refiner_card(folder)
    with pytest.raises(WeightsError, match='train-refiner'):
        read_refiner_card(tmp_path / 'nowhere')


def test_training_refuses_a_folder_of_something_else_and_a_short_video(tmp_path, landmarker):
    video = write_video(tmp_path / 'short.mp4', _darker(6), 25.0)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes.txt').write_text('mine')
    with pytest.raises(RunError, match=r'notes\.txt'):
        train_refiner(video, tmp_path / 'mine', QUICK, landmarker=landmarker)
    with pytest.raises(StorageError, match='a file stands where a folder should be'):
        train_refiner(video, video, QUICK, landmarker=landmarker)
    with pytest.raises(ValueRangeError, match='longer video'):
        train_refiner(video, tmp_path / 'new' / 'refiner', QUICK, landmarker=landmarker)
    assert not (tmp_path / 'new').exists()


def test_the_commands_train_one_and_use_it(tmp_path, shared_data, monkeypatch):
    pytest.importorskip('c2pa', reason='c2pa-python is not installed')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'config'))
    monkeypatch.setenv('AFFEKT_MODELS', str(shared_data / 'media'))
    video = write_video(tmp_path / 'person.mp4', _darker(40, by=30, size=256), 25.0)
    folder, out = tmp_path / 'refiner', tmp_path / 'out.mp4'
    words = ['reenact', 'train-refiner', str(video), '-o', str(folder), '--steps', '30', '--refined-size', '32']
    trained = CliRunner().invoke(main, words)
    assert trained.exit_code == 0, trained.output
    text = ' '.join(trained.output.split())
    assert 'judged on 11 later frames of person.mp4' in text
    assert f'kept: {folder}' in text
    words = [
        'reenact', str(folder / 'portrait.png'), '--emotion', 'surprise', '--seconds', '1', '--fps', '4', '--refine',
        str(folder), '-o', str(out), '--portrayed', 'nobody',
    ]  # fmt: skip
    made = CliRunner().invoke(main, words)
    assert made.exit_code == 0, made.output
    assert len(list(Recording.open(out).frames())) == 4
    refused = CliRunner().invoke(main, [*words, '--engine', 'diffusion', '--weights', str(folder)])
    assert refused.exit_code == 2
    assert '--refine corrects drawings of --engine geometric' in ' '.join(refused.output.split())


def test_a_video_keeps_its_own_pixels_where_no_size_is_asked_for(tmp_path, landmarker):
    video = write_video(tmp_path / 'person.mp4', _darker(4), 25.0)
    driven = self_driven(video, landmarker, size=None)
    assert driven.size == driven.square.side
    first = next(Recording.open(video).frames()).image
    square = driven.square
    assert np.array_equal(
        driven.pictures[0], first[square.top : square.top + square.side, square.left : square.left + square.side]
    )


def test_a_folder_that_cannot_be_written_and_pictures_beyond_memory_are_said_before_anything_is_read(
    tmp_path, monkeypatch
):
    from affekt.reenactment import refining

    video = write_video(tmp_path / 'person.mp4', _darker(3), 25.0)
    monkeypatch.setattr(refining, 'self_driven', None)  # nothing is read
    (tmp_path / 'file').write_bytes(b'x')
    with pytest.raises(StorageError, match='file'):
        train_refiner(video, tmp_path / 'file' / 'refiner', QUICK)
    # 4 frames of 192 x 192: two squares and four tenths of a picture each are 3 * 4 * 2.4 * 192**2 = 1.06 MB
    monkeypatch.setattr(refining, 'MOST_BYTES', 1_000_000)
    with pytest.raises(ValueRangeError, match=r'0\.0 GB for person\.mp4.*--size 186 or less'):
        train_refiner(video, tmp_path / 'refiner', QUICK)
    assert not (tmp_path / 'refiner').exists()
