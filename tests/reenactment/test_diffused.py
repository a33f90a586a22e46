"""The engine that draws by diffusion: its maps, its square, and a whole output with small made-up weights."""

from __future__ import annotations

import numpy as np
import pytest
from portraits import made_up_portrait

from affekt.errors import WeightsError
from affekt.reenactment import DiffusedEngine, Motion, MotionFrame
from affekt.reenactment.diffused import Square, guidance_maps


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


def test_pictures_come_in_any_order_and_the_surroundings_stay(tmp_path):
    pytest.importorskip('torch')
    from filled_nets import write_weights

    folder = write_weights(tmp_path / 'weights')
    portrait = made_up_portrait()
    from affekt.diffusion import DrawingSettings

    engine = DiffusedEngine(
        portrait, Motion(iter(_frames(3)), 25.0), folder, DrawingSettings(steps=1), folder=tmp_path / 'kept', size=64
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
