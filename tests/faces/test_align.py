from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from affekt.errors import ShapeError, ValueRangeError
from affekt.faces.align import FER_TEMPLATE, align_face, five_points, similarity_2d

POINTS = np.array([[10.0, 12], [40, 11], [25, 30], [14, 44], [37, 43]])


def test_the_similarity_of_points_to_themselves_is_the_identity():
    assert similarity_2d(POINTS, POINTS) == pytest.approx(np.array([[1, 0, 0], [0, 1, 0]]), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 9), st.floats(-3.1, 3.1), st.floats(-99, 99), st.floats(-99, 99))
def test_a_known_turn_scale_and_shift_is_recovered(scale, angle, x, y):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity_2d(POINTS, POINTS @ turn.T + [x, y])
    assert found == pytest.approx(np.column_stack([turn, [x, y]]), abs=1e-8)


def test_mirrored_points_are_not_mirrored_back():
    found = similarity_2d(POINTS, POINTS * [-1, 1])
    assert np.linalg.det(found[:, :2]) >= 0


def test_coinciding_points_are_refused():
    with pytest.raises(ValueRangeError, match='coincide'):
        similarity_2d(np.ones((5, 2)), FER_TEMPLATE)


def test_a_face_that_already_lies_on_the_template_comes_back_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    assert np.abs(align_face(image, FER_TEMPLATE).astype(int) - image).max() <= 1


@pytest.mark.parametrize('scale', [0.7, 1.5, 3.0, 4.6, 9.0])
def test_blobs_on_the_five_points_land_on_the_template_at_any_scale(scale):
    # soft dark blobs drawn on the points; their centres of mass in the crop must lie on the template
    angle, shift = 0.3, np.array([60.0, 45.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = FER_TEMPLATE @ turn.T + shift * scale
    side = int(110 * scale)
    y, x = np.mgrid[0:side, 0:side] + 0.5
    image = np.zeros((side, side))
    for px, py in points:
        image += 200 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (1.2 * scale) ** 2))
    crop = align_face(np.minimum(image, 255).astype(np.uint8), points).astype(float)
    for px, py in FER_TEMPLATE:
        rows, columns = slice(int(py) - 4, int(py) + 4), slice(int(px) - 4, int(px) + 4)
        patch = crop[rows, columns]
        yy, xx = np.mgrid[rows, columns] + 0.5
        center = np.array([(patch * xx).sum(), (patch * yy).sum()]) / patch.sum()
        assert np.abs(center - [px, py]).max() < 0.35


def test_fine_stripes_average_to_grey_when_the_face_shrinks():
    # one-pixel stripes 0, 255 seen from six times as far hold no detail: all near 127.5
    image = np.tile(np.array([0, 255], np.uint8), (480, 240))
    crop = align_face(image, FER_TEMPLATE * 6.0 + 60)
    assert np.abs(crop.astype(float) - 127.5).max() < 25


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(-500, 500), st.floats(0.05, 30))
def test_any_image_and_place_gives_a_crop_between_its_darkest_and_lightest_pixel(height, width, shift, scale):
    image = np.random.default_rng(height * width).integers(40, 200, (height, width), dtype=np.uint8)
    crop = align_face(image, FER_TEMPLATE * scale + shift)
    assert crop.shape == (48, 48)
    assert crop.min() >= image.min()
    assert crop.max() <= image.max()


def test_the_five_points_are_ordered_as_the_picture_shows_them(shared_data):
    from affekt.faces import FaceLandmarker

    landmarker = FaceLandmarker(shared_data / 'media' / 'face_landmarker.task')
    image = np.asarray(Image.open(shared_data / 'test_media' / 'single_face.jpg').convert('RGB'))
    left_eye, right_eye, nose, left_mouth, right_mouth = five_points(landmarker.faces(image)[0].landmarks)
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]


def test_landmarks_of_another_count_are_refused():
    with pytest.raises(ShapeError, match='478'):
        five_points(np.zeros((68, 3)))


def test_colours_are_cut_as_grey_is(rng):
    image = rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    points = np.array([[100, 80], [150, 82], [126, 110], [105, 130], [148, 131]], dtype=np.float64)
    colours = align_face(image, points, 60, in_colour=True)
    for at in range(3):
        assert np.array_equal(colours[..., at], align_face(np.ascontiguousarray(image[..., at]), points, 60))
