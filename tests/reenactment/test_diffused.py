"""The engine that draws by diffusion: its maps, its square, and whole outputs with small made-up weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from portraits import MadeUpLandmarker, made_up_face, made_up_portrait, moved

from affekt.cli import main
from affekt.errors import RunError, ValueRangeError, WeightsError
from affekt.face3d import ShownFlame, read_flame_reader
from affekt.media import Recording, write_video
from affekt.reenactment import (
    ByEmotion,
    Consent,
    DiffusedEngine,
    Motion,
    MotionFrame,
    PaintSettings,
    reenact_to,
    verify,
)
from affekt.reenactment.diffused import FlameMaps, Square, guidance_maps
from affekt.reenactment.diffused import chosen_maps as diffused_maps
from affekt.workers import STARTED_BY


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A folder of small weights under the published names."""
    pytest.importorskip('torch')
    from filled_nets import write_weights

    return write_weights(tmp_path_factory.mktemp('weights') / 'small')


def _frames(count: int) -> list[MotionFrame]:
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 0.02, (count, 468, 3)).astype(np.float32)
    return [MotionFrame(at / 25, each) for at, each in enumerate(offsets)]


def test_maps_show_the_face_where_the_portrait_has_it():
    portrait = made_up_portrait()
    square = Square.around(portrait)
    (maps,) = guidance_maps(portrait, [MotionFrame(0.0)], square, 64)
    assert {name: image.shape for name, image in maps.items()} == {
        'depth': (64, 64), 'normal': (64, 64, 3), 'render': (64, 64),
    }  # fmt: skip
    covered = maps['depth'] > 0
    nose = (portrait.landmarks[4, :2] - [square.left, square.top]) * 64 / square.side
    assert covered[int(nose[1]), int(nose[0])]
    assert 0.1 < covered.mean() < 0.7
    # the tip of the nose is nearest, and faces the viewer
    rows, columns = np.nonzero(maps['depth'] >= 250)
    assert abs(columns.mean() - nose[0]) < 5
    assert abs(rows.mean() - nose[1]) < 6
    assert maps['normal'][covered][:, 2].mean() > 160


def test_the_range_of_depth_is_that_of_all_frames():
    portrait = made_up_portrait()
    near = MotionFrame(0.04, scale=1.3)
    alone = next(iter(guidance_maps(portrait, [MotionFrame(0.0)], Square.around(portrait), 48)))
    beside = next(iter(guidance_maps(portrait, [MotionFrame(0.0), near], Square.around(portrait), 48)))
    assert alone['depth'].max() > 250
    assert beside['depth'].max() < alone['depth'].max()


def test_a_square_that_was_not_changed_leaves_the_picture_as_it_was():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    square = Square(10, 5, 40)
    assert np.abs(square.laid(image, square.cut(image, 40)).astype(int) - image).max() <= 1
    white = square.laid(np.zeros_like(image), np.full((40, 40, 3), 255, np.uint8))
    assert white[25, 30].tolist() == [255, 255, 255]
    assert white[:5].max() == 0
    assert 0 < white[6, 30, 0] < 200


def test_missing_weights_are_named_before_anything_is_read(tmp_path):
    pytest.importorskip('torch')

    def never():
        raise AssertionError
        yield

    with pytest.raises(WeightsError, match='denoising_unet'):
        DiffusedEngine(made_up_portrait(), Motion(never(), 25.0), tmp_path)


def test_pictures_come_in_any_order_and_the_surroundings_stay(tmp_path, weights, same_process):
    portrait = made_up_portrait()
    from affekt.diffusion import DrawingSettings

    engine = DiffusedEngine(
        portrait, Motion(iter(_frames(3)), 25.0), weights, DrawingSettings(steps=1), folder=tmp_path / 'kept', size=64
    )
    frames = list(engine.motion)
    forward = [engine.picture(frame) for frame in frames]
    backward = [engine.picture(frame) for frame in reversed(frames)][::-1]
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(forward, backward, strict=True))
    square = Square.around(portrait)
    outside = np.ones(portrait.size, bool)
    outside[square.top : square.top + square.side, square.left : square.left + square.side] = False
    assert (forward[0][outside] == portrait.image[outside]).all()
    assert not engine.shows_driver(frames[0])
    assert (tmp_path / 'kept').exists()
    engine.forget()
    assert not (tmp_path / 'kept').exists()


@pytest.fixture
def command(tmp_path, weights, shared_data, monkeypatch, same_process):
    """Calls `affekt reenact --engine diffusion` with more options, on a made-up portrait and driver."""
    pytest.importorskip('c2pa', reason='c2pa-python is not installed')
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'config'))
    monkeypatch.setenv('AFFEKT_MODELS', str(shared_data / 'media'))
    picture = made_up_face(size=256)[0]
    Image.fromarray(picture).save(tmp_path / 'portrait.png')
    driver = write_video(tmp_path / 'driver.mp4', [picture] * 2 + [made_up_face(size=256, jaw=0.8)[0]] * 2, 10.0)

    def call(*words):
        return CliRunner().invoke(main, [
            'reenact', str(tmp_path / 'portrait.png'), str(driver), '-o', str(tmp_path / 'out.mp4'), '--engine',
            'diffusion', '--weights', str(weights), '--portrayed', 'nobody', '--painted-size', '64', *words,
        ])  # fmt: skip

    return call


def _answers(monkeypatch, killed_at=0):
    """Counts what the denoising net is asked for, and ends the run at one of the questions."""
    from affekt.diffusion import Drawing

    asked, answer = [], Drawing._velocity

    def counted(*given):
        asked.append(1)
        if len(asked) == killed_at:
            raise KeyboardInterrupt
        return answer(*given)

    monkeypatch.setattr(Drawing, '_velocity', counted)
    return asked


def test_the_command_draws_to_its_end_and_records_how(tmp_path, command):
    result = command('--steps', '2', '--guidance', '1.5', '--seed', '7', '--precision', 'float32')
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / 'out.mp4.json').read_text())
    assert record['engine'] == 'diffusion'
    assert record['settings']['painting'] == {
        'steps': 2, 'guidance': 1.5, 'seed': 7, 'side': 64, 'precision': 'float32',
    }  # fmt: skip
    assert record['weights']['vae'].startswith('diffusion_pytorch_model.safetensors, ')
    assert len(list(Recording.open(tmp_path / 'out.mp4').frames())) == 4
    verdict = verify(tmp_path / 'out.mp4')
    assert verdict.is_intact
    assert verdict.statement['settings']['painting']['guidance'] == 1.5
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_a_killed_drawing_goes_on_or_says_what_was_changed(tmp_path, command, monkeypatch):
    with monkeypatch.context() as changed:
        _answers(changed, killed_at=2)
        assert command('--steps', '2').exit_code != 0
    refused = ' '.join(command('--steps', '3', '--guidance', '2').output.split())
    assert 'steps 2, now 3; guidance 3.5, now 2.0' in refused
    assert '--anew' in refused
    with monkeypatch.context() as changed:
        asked = _answers(changed)
        assert command('--steps', '2').exit_code == 0
        assert len(asked) == 1  # of two steps of one window, the first was there
        _answers(changed, killed_at=1)
        assert command('--steps', '2').exit_code != 0
    with monkeypatch.context() as changed:
        asked = _answers(changed)
        assert command('--steps', '1', '--anew').exit_code == 0
        assert len(asked) == 1
    assert (tmp_path / 'out.mp4').exists()


@pytest.mark.parametrize(('words', 'message'), [
    (('--guidance', '0.5'), '0.5 is not in the range'),
    (('--painted-size', '65'), 'a multiple of 8'),
    (('--steps', '0'), '0 is not in the range'),
])  # fmt: skip
def test_numbers_that_cannot_be_drawn_with_are_refused(command, words, message):
    result = command(*words)
    assert result.exit_code == 2
    assert message in ' '.join(result.output.split())


def test_options_of_networks_need_networks(tmp_path):
    words = ['reenact', 'a.jpg', 'b.mp4', '-o', 'c.mp4', '--steps', '5', '--seed', '1', '--portrayed', 'nobody']
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "'--steps', '--seed' belong to --engine diffusion" in ' '.join(result.output.split())
    with pytest.raises(ValueRangeError, match='steps'):
        PaintSettings(steps=0)


@pytest.fixture(scope='module')
def flame_files(tmp_path_factory, shared_data):
    """A made-up FLAME and SMIRK in the layout of the published files: jaw shut, in the middle of what it sees."""
    torch = pytest.importorskip('torch')
    from made_up_flame import arrays, kept
    from made_up_smirk import head_of, made_up, published_shapes

    folder = tmp_path_factory.mktemp('flame')
    state = made_up(published_shapes(shared_data))
    state |= head_of(state, 'pose_encoder.pose_cam_layers', 0.0, 0.0, 0.0, 8.0, 0.0, 0.0)
    state |= head_of(state, 'shape_encoder.shape_layers') | head_of(state, 'expression_encoder.expression_layers')
    torch.save({f'smirk_encoder.{name}': value for name, value in state.items()}, folder / 'SMIRK_em1.pt')
    return kept(folder, arrays()), folder / 'SMIRK_em1.pt'


def test_the_users_flame_guides_from_the_command_line_and_is_recorded(tmp_path, command, flame_files, monkeypatch):
    from affekt.files import file_sha256
    from affekt.reenactment import diffused

    drawn = []
    draw = diffused._maps
    monkeypatch.setattr(diffused, '_maps', lambda *given: drawn.append(draw(*given)) or drawn[-1])
    model, encoder = flame_files
    result = command('--steps', '1', '--face-model', str(model), '--face-encoder', str(encoder))
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / 'out.mp4.json').read_text())
    assert record['guided_by_sha256'] == [file_sha256(model), file_sha256(encoder)]
    assert (record['settings']['face_model'], record['settings']['face_encoders']) == (model.name, [encoder.name])
    assert len(drawn) == 4
    assert all((maps['depth'] > 0).any() for maps in drawn)


def test_a_face_model_without_its_encoder_or_a_driver_or_of_another_kind_is_refused(tmp_path, command, flame_files):
    model, encoder = map(str, flame_files)
    assert 'go together, with --engine diffusion' in ' '.join(command('--face-model', model).output.split())
    swapped = command('--face-model', encoder, '--face-encoder', model)
    assert swapped.exit_code == 2
    assert 'a checkpoint that holds tensors alone' in ' '.join(swapped.output.split())
    wrong = command('--face-model', encoder, '--face-encoder', encoder)
    assert wrong.exit_code == 2
    assert 'the arrays of FLAME' in ' '.join(wrong.output.split())
    twice = command('--face-model', model, '--face-encoder', encoder, '--face-encoder', encoder)
    assert 'SMIRK and SMIRK' in ' '.join(twice.output.split())
    gone = command('--face-model', str(tmp_path / 'gone.pkl'), '--face-encoder', encoder)
    assert 'gone.pkl' in ' '.join(gone.output.split())
    assert not (tmp_path / 'out.mp4').exists()
    with pytest.raises(ValueRangeError, match='a driving video'):
        diffused_maps(Path(model), [Path(encoder)], None, MadeUpLandmarker())


def test_a_head_of_flame_turns_about_the_point_whose_way_the_motion_holds(flame_files):
    model, encoder = flame_files
    portrait, reader = made_up_portrait(), read_flame_reader(model, [encoder])
    head = reader.head(portrait.image, portrait.landmarks)

    def placed(**movement):
        maps = FlameMaps(reader, Path('driver.mp4'), None)
        return maps._points(portrait, head, moved(**movement), head.shown, Square(0, 0, 64), 64)

    rest, middle = placed(), portrait.center * [1, -1, -1]
    assert rest == pytest.approx(head.points(head.shown), abs=1e-4)
    # a quarter turn anticlockwise brings what lies to the right above; the middle goes one centimetre to the right
    right, down = (rest[:, :2] - middle[:2]).T
    rolled = placed(angles=(0, 0, 90), translation=(1, 0))[:, :2]
    assert rolled == pytest.approx(middle[:2] + np.stack([down + portrait.pixels_per_cm, -right], axis=1), abs=1e-4)
    # what lies nearest goes to the side by as much as the tip of the portrait's nose
    near = middle[2] - portrait.place(portrait.face[:468], np.eye(3), np.zeros(2), 1.0)[:, 2].min()
    tip, turned = rest[:, 2].argmin(), moved(angles=(30, 0, 0)).rotation
    across = turned[0, 0] * right[tip] + turned[0, 2] * near
    assert placed(angles=(30, 0, 0))[tip, 0] == pytest.approx(middle[0] + across, abs=1e-4)


def test_a_head_of_flame_goes_on_with_what_the_driver_showed_last_and_begins_with_what_it_shows_first(tmp_path):
    levels = (0, 50, 100, 0, 150)  # no face in black
    driver = write_video(tmp_path / 'driver.mp4', [np.full((64, 64, 3), level, np.uint8) for level in levels], 25.0)

    class Sees(MadeUpLandmarker):
        def read(self, image, region):
            return self._face if image.mean() > 20 else None

        def faces(self, image, max_faces=4):
            return [self._face] if image.mean() > 20 else []

    reader = SimpleNamespace(shown=lambda image, landmarks: ShownFlame(np.array([image.mean()]), np.zeros(2)))
    shown, calm = FlameMaps(reader, driver, Sees())._shown([at / 25 for at in range(5)], 2 / 25)
    assert [each.expression[0] for each in shown] == pytest.approx([50, 50, 100, 100, 150], abs=4)
    assert calm.expression[0] == pytest.approx(100, abs=4)
    every_second, _ = FlameMaps(reader, driver, Sees())._shown([2 / 25, 4 / 25], 2 / 25)
    assert [each.expression[0] for each in every_second] == pytest.approx([100, 150], abs=4)


def test_what_a_driver_shows_is_laid_on_the_portraits_own_face_or_taken_as_it_is():
    own, calm, now = (ShownFlame(np.full(2, each), np.full(2, each)) for each in (0.5, 1.0, 3.0))
    relative = FlameMaps(None, Path('driver.mp4'), None, intensity=0.5)
    assert relative._laid_on(own, [now, calm], calm)[0].expression.tolist() == [1.5, 1.5]  # 0.5 + 0.5 (3 - 1)
    assert relative._laid_on(own, [now, calm], calm)[1].jaw_deg.tolist() == [0.5, 0.5]
    absolute = FlameMaps(None, Path('driver.mp4'), None, intensity=0.5, absolute=True)
    assert absolute._laid_on(own, [now], calm)[0].expression.tolist() == [1.5, 1.5]  # 0.5 * 3


def test_two_processes_paint_what_one_paints(tmp_path, weights, on_loaded_processes, monkeypatch):
    pytest.importorskip('c2pa', reason='c2pa-python is not installed')
    from filled_nets import paint_shared

    Image.fromarray(made_up_face()[0]).save(tmp_path / 'portrait.png')
    given = [str(tmp_path / 'portrait.png'), str(weights)]
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path / 'config'))
    paint_shared(*given, str(tmp_path / 'alone.mp4'), str(tmp_path / 'config'))
    on_loaded_processes(2, paint_shared, *given, str(tmp_path / 'shared.mp4'), str(tmp_path / 'config'))
    pictures = [
        np.stack([frame.image for frame in Recording.open(tmp_path / f'{name}.mp4').frames()])
        for name in ('alone', 'shared')
    ]
    assert pictures[0].shape[0] == 14  # two windows of 12, one for each process
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 3  # sums in another order, encoded
    assert (tmp_path / 'shared.mp4.json').exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.')]


def test_what_one_process_does_is_refused_in_several(tmp_path, monkeypatch):
    for name, value in zip(STARTED_BY, ('1', '2', '1', '127.0.0.1', '9'), strict=True):
        monkeypatch.setenv(name, value)
    Image.fromarray(made_up_face()[0]).save(tmp_path / 'portrait.png')
    with pytest.raises(RunError, match='without torchrun'):
        reenact_to(tmp_path / 'out.mp4', tmp_path / 'portrait.png', ByEmotion('anger'), consent=Consent('nobody'))
