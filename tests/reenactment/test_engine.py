"""A portrait that does nothing stays as it is; one that moves, moves as it is told."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFilter
from portraits import canonical, made_up_face, made_up_portrait, moved
from scipy.ndimage import binary_dilation

from affekt.face3d import interpolate, rasterize
from affekt.reenactment.amounts import frame_of_amounts
from affekt.reenactment.emotions import RECIPES
from affekt.reenactment.engine import Engine, EngineSettings, moved_face, reenact
from affekt.reenactment.eyes import EYES, _around, _disc, _with_whole_irises, white_of_eyes
from affekt.reenactment.head import OUTLINE
from affekt.reenactment.motion import Motion, MotionFrame, MouthPicture
from affekt.reenactment.mouth import LIPS, _inwards, _opening, _placed_between
from affekt.reenactment.portrait import Portrait
from affekt.reenactment.sampling import sample
from affekt.reenactment.warp import (
    BLUR_MARGIN,
    STEP_PX,
    Box,
    Warp,
    _hold_border,
    _with_outlines,
    polygon_mask,
    softened,
    way_in_box,
)
from affekt.workers import done_in_order

MOVEMENTS = {
    'a turn': moved(angles=(20, 0, 0)),
    'a nod': moved(angles=(0, -12, 0)),
    'a tilt': moved(angles=(0, 0, 15)),
    'a step aside': moved(translation=(2, 1)),
    'a step nearer': moved(scale=1.2),
    'an open jaw': moved(jawOpen=0.8),
}


@pytest.fixture(scope='module')
def engine():
    return Engine(made_up_portrait())


def test_a_motion_that_does_nothing_gives_the_portrait_back(engine):
    assert np.array_equal(engine.picture(MotionFrame(0.0)), engine.portrait.image)


def test_a_portrait_with_an_open_mouth_comes_back_too():
    portrait = made_up_portrait(jaw=0.4)
    assert np.array_equal(Engine(portrait).picture(MotionFrame(0.0)), portrait.image)


@pytest.mark.parametrize('name', MOVEMENTS)
def test_the_border_of_the_picture_stays_and_the_face_moves(engine, name):
    made = engine.picture(MOVEMENTS[name]).astype(int)
    change = np.abs(made - engine.portrait.image)
    assert max(change[0].max(), change[-1].max(), change[:, 0].max(), change[:, -1].max()) <= 1
    assert change.mean() > 0.5


def test_shut_lids_meet_and_cover_the_eyes(engine):
    face = moved_face(engine.portrait, moved(opening=(0, 0.5)))
    for eye, share in zip(EYES, (0, 0.5), strict=True):
        gap = face[list(eye.upper), 1] - face[list(eye.lower), 1]
        calm = engine.portrait.face[list(eye.upper), 1] - engine.portrait.face[list(eye.lower), 1]
        assert gap == pytest.approx(share * calm, abs=1e-6)


def test_one_eye_shut_leaves_the_other_as_it_is(engine):
    made, portrait = engine.picture(moved(opening=(0, 1))), engine.portrait
    change = np.abs(made.astype(int) - portrait.image).sum(axis=2)
    left, right = (portrait.landmarks[list(eye.ring), :2].mean(axis=0).astype(int) for eye in EYES)
    assert change[left[1] - 3 : left[1] + 3, left[0] - 6 : left[0] + 6].mean() > 20
    assert change[right[1] - 4 : right[1] + 4, right[0] - 7 : right[0] + 7].max() == 0


def test_irises_move_by_widths_of_the_eye_and_not_out_of_it(engine):
    rest = engine.portrait.face
    for gaze, expected in ((0.1, 0.1), (3.0, 0.25)):
        face = moved_face(engine.portrait, moved(gaze=((gaze, 0), (gaze, 0))))
        for eye in EYES:
            wide = np.linalg.norm(rest[eye.outer] - rest[eye.inner])
            assert (face - rest)[eye.iris[0]] == pytest.approx([expected * wide, 0, 0], abs=1e-6)


def _drawn_eye():
    """Ring and iris (21, 2) of an eye 40 pixels wide whose upper lid hides the upper third of the iris."""
    across = np.linspace(-20, 20, 9)
    lower, upper = 6 - 6 * (across / 20) ** 2, -4 + 4 * (across / 20) ** 2
    ring = [(-20, 0), *zip(across[1:8], lower[1:8], strict=True), (20, 0)]
    ring += zip(across[7:0:-1], upper[7:0:-1], strict=True)
    return np.array([*ring, (0, 0), (8, 0), (0, -8), (-8, 0), (0, 8)], dtype=np.float64) + 30


@pytest.mark.parametrize(('size', 'is_large'), [(0.8, False), (1.0, False), (1.5, True)])
def test_irises_of_drawn_figures_look_aside_only_a_little(size, is_large):
    image, face = made_up_face(size=768)
    drawn = image.copy()
    for eye in EYES:
        lids, iris = face.landmarks[list(eye.ring), :2], face.landmarks[list(eye.iris), :2].astype(np.float64)
        box = Box.around(lids, image.shape[:2], 2)
        x, y = np.arange(box.left, box.right) + 0.5, np.arange(box.top, box.bottom)[:, None] + 0.5
        distance = np.hypot(x - iris[0, 0], y - iris[0, 1]) / np.linalg.norm(iris[1:] - iris[0], axis=1).mean()
        eyeball = np.where(distance < 0.4, 20, np.where(distance < size, 110, 220))  # pupil, iris, white
        drawn[box.cut] = np.where(polygon_mask(lids, box) > 0.5, eyeball, 90)[..., None]
    portrait = Portrait.from_face(drawn, face, canonical())
    assert portrait.large_irises == is_large
    assert any('larger than human' in note for note in portrait.notes) == is_large
    wide_open = moved_face(portrait, moved(opening=(1.5, 1.5), gaze=((0.2, 0.1), (0.2, 0.1))))
    aside = wide_open - portrait.face
    for eye in EYES:
        wide = np.linalg.norm(portrait.face[eye.outer] - portrait.face[eye.inner])
        assert aside[eye.iris[0], :2] / wide == pytest.approx((0.05, -0.04) if is_large else (0.2, -0.1), abs=1e-6)
        gap, calm = (face[eye.upper[3], 1] - face[eye.lower[3], 1] for face in (wide_open, portrait.face))
        assert gap / calm == pytest.approx(1.2 if is_large else 1.5)


def test_an_iris_stays_round_where_the_lid_goes_up():
    rest = _drawn_eye()
    raised = rest.copy()
    raised[9:16, 1] -= 4
    box = Box(5, 15, 55, 42)
    places, share = _disc(raised, rest, box)

    def at(x, y):
        return int(y - box.top), int(x - box.left)

    for y in (30.5, 26.5, 24.5):  # the middle of the pupil, and what the portrait's lid hides, whose edge is at 26
        assert places[:, *at(30.5, y)] == pytest.approx([30.5, y], abs=1e-4)
        assert share[at(30.5, y)] == 1
    # lashes reach 0.04 of the 40 pixels of the eye, 1.6, below the raised lid at 22.01
    assert share[at(30.5, 22.5)] == pytest.approx(0.49 / 1.6, abs=0.01)
    assert not share[:, 0].any()  # the white is left to the mesh
    assert not _disc(rest + 3, rest, box)[1].any()  # an eye that only goes along with the head


def test_what_a_lid_hides_of_an_iris_has_its_colours_and_not_those_of_a_reflection():
    rest = _drawn_eye()
    y, x = np.mgrid[:60, :60] + 0.5
    above = np.interp(x[0], np.sort(rest[[0, *range(9, 16), 8], 0]), rest[[0, *range(15, 8, -1), 8], 1])
    image = np.full((60, 60, 3), (200, 150, 120), np.uint8)
    is_eye = (y > above) & (y < 36)
    image[is_eye] = 240
    image[is_eye & (np.hypot(x - 30, y - 30) < 8)] = iris = (60, 40, 20)
    image[28:32, 27:29] = 255
    whole = _with_whole_irises(image, [rest])
    for row in (23, 24, 25):  # above the lid
        assert whole[row, 30] == pytest.approx(iris, abs=2)
    assert np.array_equal(whole[29:31, 24:36], image[29:31, 24:36])
    assert np.array_equal(whole[:, :18], image[:, :18])


def test_no_white_is_drawn_around_the_part_of_an_iris_that_a_lid_hides():
    rest = _drawn_eye()
    x, y = np.arange(60) + 0.5, np.arange(60)[:, None] + 0.5
    distance = np.hypot(x - 30, y - 30)
    hidden = y < np.interp(x, *rest[[0, *range(15, 8, -1), 8]].T)
    image = np.where(distance < 8, 60, np.where(hidden, 30, 230)).astype(np.uint8)
    whole = _with_whole_irises(np.repeat(image[..., None], 3, axis=2), [rest])
    rim = whole[hidden & (distance > 8.5) & (distance < 9) & (y < 24)]
    assert len(rim) > 4
    assert rim.max() <= 80


def test_the_hidden_edge_of_an_iris_has_no_colour_of_what_lies_around_it():
    rest = _drawn_eye()
    x, y = np.arange(60) + 0.5, np.arange(60)[:, None] + 0.5
    distance = np.hypot(x - 30, y - 30)  # of an iris of 8 pixels, brighter than the eyeball around it
    image = np.where(distance < 8, 200, 60).astype(np.uint8)
    whole = _with_whole_irises(np.repeat(image[..., None], 3, axis=2), [rest])
    rim = whole[(distance > 6.5) & (distance < 7.5) & (y < 24)]
    assert len(rim) > 4
    assert rim.min() >= 195


def test_the_soft_edge_of_an_eye_shows_the_eye_under_a_turned_head(engine):
    frame = moved(opening=(1.4, 1.4), angles=(18, 5, 8))
    face = moved_face(engine.portrait, frame)
    target = engine.portrait.mesh(face, frame.rotation, frame.translation, frame.scale)
    for eye, triangles, ball in zip(EYES, engine._eyes._triangles, engine._eyes._balls(face, frame), strict=True):
        box = Box.around(target[list(eye.ring)], engine.portrait.size, 3)
        rest = engine._eyes._rest[list(eye.ring + eye.iris)]
        covered = way_in_box(_around(rest, ball), triangles, np.ones((37, 2)), box)[0]
        assert covered[polygon_mask(target[list(eye.ring), :2], box) > 0] == pytest.approx(1, abs=1e-5)


def test_a_driver_that_turns_its_head_turns_the_portrait_by_as_much(engine):
    target = engine.portrait.mesh(engine.portrait.face, moved(angles=(0, 0, 90)).rotation, np.zeros(2), 1.0)
    # a quarter turn anticlockwise: what lay to the right of the middle lies above it
    rest = engine.portrait.rest
    right = rest[263, :2] - rest[33, :2]
    assert target[263, :2] - target[33, :2] == pytest.approx([right[1], -right[0]], abs=1e-6)


def test_the_drivers_mouth_is_shown_in_the_colours_of_the_portrait(engine):
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[..., 1] = 200
    lips = np.column_stack([40 + 30 * np.cos(np.linspace(np.pi, 3 * np.pi, 20, endpoint=False)),
                            30 + 20 * -np.sin(np.linspace(np.pi, -np.pi, 20, endpoint=False))])  # fmt: skip
    mouth = MouthPicture(picture, lips, np.full(3, 255.0))
    open_wide = moved(jawOpen=0.9, mouth=mouth)
    filmed = engine.picture(open_wide).astype(int)
    made_up = Engine(engine.portrait, EngineSettings(driver_mouth=False)).picture(open_wide).astype(int)
    target = engine.portrait.mesh(moved_face(engine.portrait, open_wide), np.eye(3), np.zeros(2), 1.0)
    x, y = target[LIPS, :2].mean(axis=0).astype(int)
    assert filmed[y, x, 1] > filmed[y, x, [0, 2]].max() + 40
    assert made_up[y, x, 1] <= made_up[y, x, 0]
    assert engine.shows_driver(open_wide)
    assert not engine.shows_driver(moved(jawOpen=0.9))


def test_a_motion_gives_a_picture_for_each_frame_and_ends(engine):
    pictures = list(reenact(engine.portrait, Motion((moved(time_s=t) for t in (0.0, 0.1, 0.3)), 10.0)))
    assert len(pictures) == 3
    assert all(np.array_equal(picture, engine.portrait.image) for picture in pictures)


@pytest.mark.parametrize('jaw', [0.0, 0.4])
def test_two_threads_draw_what_one_draws(jaw):
    frames = [frame for share in (0.3, 0.7, 1.0) for frame in (
        moved(jawOpen=share, opening=(1 - share, 1)), moved(angles=(20 * share, -8 * share, 3), mouthSmileLeft=share),
        moved(gaze=((0.1 * share, 0.05), (0.1 * share, 0.05))), *MOVEMENTS.values(),
    )]  # fmt: skip
    engine = Engine(made_up_portrait(jaw=jaw))
    at_once = list(done_in_order(engine.picture, frames, 2))
    assert engine.threads == 2
    for picture, frame in zip(at_once, frames, strict=True):
        assert np.array_equal(picture, engine.picture(frame))


def test_an_error_of_the_motion_comes_out_of_the_pictures(engine):
    def frames():
        yield moved()
        raise OSError('the driver ends in noise')

    with pytest.raises(OSError, match='noise'):
        list(reenact(engine.portrait, Motion(frames(), 10.0)))


def test_the_face_is_drawn_as_the_exact_raster_of_the_whole_mesh_says(engine):
    portrait = engine.portrait
    frame = moved(browInnerUp=0.8, mouthUpperUpLeft=0.7, translation=(0.6, 0.3))
    target = portrait.mesh(moved_face(portrait, frame), frame.rotation, frame.translation, frame.scale)
    raster = rasterize(target, portrait.triangles, portrait.size)
    way = interpolate(raster, portrait.triangles, portrait.rest - target)
    y, x = np.mgrid[: portrait.size[0], : portrait.size[1]].astype(np.float32) + np.float32(0.5)
    apart = Warp(portrait).picture(target).astype(int) - sample(portrait.image, x + way[..., 0], y + way[..., 1])
    is_face = raster.face < len(canonical().triangles)
    assert (np.abs(apart[is_face]).max(axis=1) <= 2).mean() >= 0.999


def test_edges_are_sought_only_where_the_displacement_has_steps(engine):
    warp = Warp(engine.portrait)
    sought = 0
    for frame in (*MOVEMENTS.values(), moved(translation=(40, 0)), moved()):
        target = engine.portrait.mesh(
            moved_face(engine.portrait, frame), frame.rotation, frame.translation, frame.scale
        )
        shift, uneven = warp._shift(target, warp._uncovered(target))
        _hold_border(shift, warp._box, engine.portrait.size)
        shift[:, *uneven.grown(-1).cut] = np.nan  # a pair of which one is outside has no edge either
        assert not (np.abs(np.diff(shift, axis=1)) > STEP_PX).any()
        assert not (np.abs(np.diff(shift, axis=2)) > STEP_PX).any()
        sought += uneven.width * uneven.height / shift[0].size
    assert sought < len(MOVEMENTS)  # not the whole each time


@pytest.mark.parametrize('width', [0.7, 2.3, 6.1])
def test_a_blur_reaches_no_farther_than_the_margin_that_is_cut_around_it(width):
    mask = np.zeros((90, 110), np.float32)
    mask[40:52, 50:60] = np.random.default_rng(0).uniform(size=(12, 10))
    box = Box(0, 0, 110, 90)
    cut = Box(50, 40, 60, 52).grown(3 * math.ceil(width) + BLUR_MARGIN).cut_to(box).cut
    blurred = softened(mask, width)
    assert np.array_equal(blurred[cut], softened(mask[cut], width))
    blurred[cut] = 0
    assert not blurred.any()


def _with_white_eyes(portrait, color):
    image = portrait.image.copy()
    for eye in EYES:
        lids, iris = portrait.landmarks[list(eye.ring), :2], portrait.landmarks[list(eye.iris), :2]
        left, top = lids.min(axis=0).astype(int) - 1
        right, bottom = lids.max(axis=0).astype(int) + 2
        image[top:bottom, left:right] = color
        x, y = iris[0].astype(int)
        image[y - 2 : y + 3, x - 2 : x + 3] = (40, 30, 20)
    return replace(portrait, image=image)


def test_the_white_of_the_eyes_is_what_lies_beside_the_irises():
    portrait = made_up_portrait(size=384)
    assert white_of_eyes(_with_white_eyes(portrait, (230, 220, 190))) == pytest.approx([230, 220, 190])
    assert white_of_eyes(replace(portrait, landmarks=portrait.landmarks / 8)) is None


def test_made_up_teeth_are_as_bright_as_the_white_of_the_eyes_and_yellower():
    portrait = _with_white_eyes(made_up_portrait(size=384), (236, 228, 214))
    open_mouth = moved(jawOpen=0.9, mouthUpperUpLeft=0.8, mouthUpperUpRight=0.8)
    picture, face = Engine(portrait).picture(open_mouth), moved_face(portrait, open_mouth)
    lips = portrait.place(face, np.eye(3), np.zeros(2), 1.0)[LIPS][:, :2]
    box = Box.around(lips, portrait.size)
    inside = picture[box.top : box.bottom, box.left : box.right][polygon_mask(lips, box) == 1].astype(float)
    teeth = inside[inside.mean(axis=1) >= np.quantile(inside.mean(axis=1), 0.95)].mean(axis=0)
    assert teeth.mean() == pytest.approx(226, rel=0.15)
    assert teeth[0] > teeth[1] > teeth[2]


def test_skin_that_a_turn_spreads_over_many_pixels_has_grain_like_other_skin_and_no_streaks():
    grain = np.random.default_rng(5).normal(0, 14, (384, 384, 1))
    portrait = made_up_portrait(size=384)
    portrait = replace(portrait, image=np.clip(portrait.image + grain, 0, 255).astype(np.uint8))
    turned = Engine(portrait).picture(moved(angles=(22, 0, 0))).astype(float)
    face = portrait.place(moved_face(portrait, moved()), moved(angles=(22, 0, 0)).rotation, np.zeros(2), 1.0)

    def rough(landmark, axis):
        x, y = face[landmark, :2].astype(int)
        patch = turned[y - 6 : y + 7, x - 3 : x + 4].mean(axis=2)
        return float(np.abs(np.diff(patch, axis=axis)).mean())

    uncovered, nose = (rough(landmark, axis=0) for landmark in (234, 4))
    assert uncovered == pytest.approx(nose, rel=0.35)
    assert rough(234, axis=1) == pytest.approx(uncovered, rel=0.35)  # streaks would be smooth along rows
    assert nose > 8


def test_a_far_cheek_that_turns_into_view_shows_skin_and_no_background():
    portrait = made_up_portrait(yaw_deg=26, size=384)
    green = np.array([0, 255, 0], np.uint8)
    turned = []
    for backdrop in (portrait.image, np.where(outside_of_face(portrait)[..., None], green, portrait.image)):
        frame = moved(angles=(-12, 0, 0))
        engine = Engine(replace(portrait, image=backdrop))
        turned.append(engine.picture(frame).astype(int))
        face = portrait.place(moved_face(portrait, frame), frame.rotation, np.zeros(2), 1.0)[:, :2]
    inside = polygon_mask(0.97 * face[list(OUTLINE)] + 0.03 * face[4], Box(0, 0, 384, 384)) == 1
    assert np.abs(turned[0] - turned[1])[inside].max() <= 60  # a streak of the background would differ by 200


def outside_of_face(portrait):
    """(H, W) what lies outside of the face, or on its outermost two pixels, where landmarks are often off."""
    height, width = portrait.size
    rest = portrait.rest[:468]
    triangles = portrait.triangles[(portrait.triangles < 468).all(axis=1)]
    (covered,) = way_in_box(rest, triangles, np.ones((468, 1)), Box(0, 0, width, height))
    return binary_dilation(covered == 0, iterations=2)


def test_no_skin_shows_between_the_lips_of_a_portrait_with_an_open_mouth():
    portrait = made_up_portrait(jaw=0.4, size=384)
    own = polygon_mask(portrait.rest[LIPS, :2], Box(0, 0, 384, 384)) > 0
    image = np.where(own[..., None], portrait.image, np.array([0, 255, 0], np.uint8))  # green skin and lips
    frame = frame_of_amounts(0.0, RECIPES['sadness'].amounts())
    face = moved_face(portrait, frame)
    lips = portrait.place(face, np.eye(3), np.zeros(2), 1.0)[LIPS, :2]
    made = Engine(replace(portrait, image=image)).picture(frame).astype(int)
    between = polygon_mask(lips, Box(0, 0, 384, 384)) == 1
    assert between.sum() > 100
    assert (made[between][:, 1] - made[between][:, 0]).max() < 100


def test_an_image_of_a_mouth_is_blurred_before_it_is_made_smaller():
    stripes = np.zeros((90, 90, 3), np.uint8)
    stripes[np.arange(90) % 6 < 3] = 255
    around = np.column_stack([np.cos(np.linspace(0, 6, 20)), np.sin(np.linspace(0, 6, 20))])
    mouth = MouthPicture(stripes, (45 + 40 * around).astype(np.float32), np.full(3, 128, np.float32))
    small, as_large = (
        _placed_between(mouth, size + size * around, Box(0, 0, 2 * size, 2 * size))[size // 2 : -size // 2]
        for size in (10, 40)
    )
    assert np.abs(small.astype(int) - 128).max() < 40
    assert np.ptp(as_large) > 200


def test_a_round_mouth_is_shown_without_the_lips_on_which_its_landmarks_lie():
    angles = -np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    y, x = np.mgrid[:100, :100] + 0.5
    distance = np.hypot(x - 50, y - 50)[..., None]
    picture = np.where(distance < 28, (70, 20, 25), (220, 130, 120)).astype(np.uint8)

    def mouth(radius, height=1.0):
        return MouthPicture(
            picture, (50 + radius * circle * [1, height]).astype(np.float32), np.full(3, 128, np.float32)
        )

    target = np.column_stack([60 + 40 * circle, np.zeros(20)])
    made = _placed_between(mouth(35), target, Box(0, 0, 120, 120))
    row, column = np.mgrid[:120, :120] + 0.5
    # the opening ends at 28 of 35; steps of 0.05 find it at 0.8, and 0.03 of 70 pixels may be left
    assert made[np.hypot(column - 60, row - 60) < 36, 0].max() < 80
    for exact in (mouth(28), mouth(35, height=0.3)):  # landmarks within the lips, and a mouth that is not round
        assert np.array_equal(_opening(exact), exact.inner_lips)


def test_a_picture_of_a_mouth_of_another_shape_is_moved_to_its_opening():
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    edge = 10 * np.column_stack([np.cos(angles), np.sin(angles)])
    # 2 beyond the edge, of which 0.03 of the width of 20 are within what landmarks allow
    assert np.allclose(_inwards(edge, 1.2 * edge), -0.14 * edge)
    assert not _inwards(edge, 0.9 * edge).any()


def test_hair_over_skin_is_not_smoothed(engine):
    portrait = engine.portrait
    image = np.full_like(portrait.image, (200, 150, 130))
    row, column = portrait.landmarks[10, [1, 0]].astype(int)
    image[row - 10 : row + 10, column - 1 : column + 2] = 20
    drawn = replace(portrait, image=image)
    blur = ImageFilter.GaussianBlur(4)
    smooth = np.asarray(PillowImage.fromarray(image).filter(blur))
    made = _with_outlines(drawn, smooth, blur).astype(int)
    assert np.abs(made - image)[row - 5 : row + 5, column].max() <= 2
    assert np.abs(smooth.astype(int) - image)[row - 5 : row + 5, column].min() > 60
    assert np.array_equal(made[row + 40], smooth[row + 40])
