from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from affekt.faces import READINGS, Face
from affekt.faces.thumbnails import Thumbnail, picture_score, thumbnail_jpeg

NAMES = [reading.name for reading in READINGS]


def face(x, y, size):
    return Face(
        box=np.array([x, y, size, size], np.float32),
        landmarks=np.zeros((478, 3), np.float32),
        blendshapes=np.zeros(52, np.float32),
        pose=np.eye(4, dtype=np.float32),
        presence=1.0,
    )


def values(quality=1.0, size=160.0, closed=0.0):
    row = np.zeros(len(READINGS), np.float32)
    for name, value in (('quality', quality), ('face_size_px', size), ('eyes_closed', closed)):
        row[NAMES.index(name)] = value
    return row


def opened(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert('RGB')).astype(int)


def test_a_face_in_the_corner_of_a_wide_image_has_no_black_border():
    image = np.full((300, 400, 3), 200, np.uint8)
    for x, y in ((0, 0), (340, 240), (340, 0), (-30, 100)):
        assert opened(thumbnail_jpeg(image, face(x, y, 60))).min() > 190


def test_a_face_larger_than_the_image_is_shown_whole_with_black_beside_it():
    picture = opened(thumbnail_jpeg(np.full((100, 40, 3), 200, np.uint8), face(0, 20, 40)))
    assert picture.shape == (160, 160, 3)
    assert picture[80, 80].min() > 190
    assert picture[80, 2].max() < 20


def test_open_eyes_quality_and_size_make_a_better_picture():
    assert picture_score(values()) == pytest.approx(1.0)
    assert picture_score(values(quality=0.5, size=80)) == pytest.approx(0.25)
    # closed eyes cost 0.7
    assert picture_score(values(closed=1.0)) == pytest.approx(0.3)


def test_only_a_clearly_better_picture_takes_the_place_of_the_one_kept():
    kept = Thumbnail()
    image = np.full((200, 200, 3), 90, np.uint8)
    for time_s, quality in ((0.0, 0.5), (1.0, 0.54), (2.0, 0.9), (3.0, 0.2)):
        kept.consider(time_s, image, face(50, 50, 80), values(quality))
    assert kept.time_s == 2.0
