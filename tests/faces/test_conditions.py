"""Faces that are upside down, covered or blurred: noticed, counted less, and bare faces left alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from affekt.arrays import moments
from affekt.faces import CONDITIONS, READINGS, FaceLandmarker, align_face, conditions, five_points, observe_faces
from affekt.faces import readings as readings_of
from affekt.faces.conditions import COVER, Conditions, cover_measures, cover_score, few_shades
from affekt.media import Recording

RESULT = Path(__file__).resolve().parents[2] / 'measurements' / 'results' / 'faces_conditions.json'
NAMES = [reading.name for reading in READINGS]


@pytest.fixture(scope='module')
def landmarker(shared_data):
    return FaceLandmarker(shared_data / 'media' / 'face_landmarker.task', threads=1)


@pytest.fixture(scope='module')
def portrait(shared_data):
    return Image.open(shared_data / 'test_media' / 'single_face.jpg').convert('RGB')


def _read(landmarker, image):
    pixels = np.asarray(image)
    face = landmarker.faces(pixels, max_faces=1)[0]
    crop = align_face(pixels, five_points(face.landmarks))
    return face, conditions(crop, readings_of(face, crop))


def _covered(image, face, part):
    """A plain cloth over a part of a face."""
    points, copy = face.landmarks[:, :2], image.copy()
    draw, span = ImageDraw.Draw(copy), float(np.linalg.norm(points[33] - points[263]))
    low, high = points.min(axis=0), points.max(axis=0)
    if part == 'below the nose':
        draw.rectangle([low[0], points[4][1], *high], fill=(180, 200, 190))
    elif part == 'eyes':
        rows = points[[33, 133, 362, 263], 1]
        draw.rectangle([low[0], rows.min() - 0.25 * span, high[0], rows.max() + 0.25 * span], fill=(20, 20, 20))
    else:
        draw.rectangle([low[0], low[1], points[4][0], high[1]], fill=(120, 90, 60))
    return copy


def test_a_bare_face_has_no_condition(landmarker, portrait):
    assert _read(landmarker, portrait)[1] == Conditions()


@pytest.mark.parametrize('part', ['below the nose', 'eyes', 'half'])
def test_a_covered_face_is_noticed(landmarker, portrait, part):
    face, _ = _read(landmarker, portrait)
    assert _read(landmarker, _covered(portrait, face, part))[1].is_covered


def test_a_face_upside_down_is_noticed(landmarker, portrait):
    told = _read(landmarker, portrait.rotate(180))[1]
    assert told.is_upside_down
    assert not told.is_covered


def test_a_blurred_face_is_blurred_and_not_covered(landmarker, portrait):
    face, _ = _read(landmarker, portrait)
    told = _read(landmarker, portrait.filter(ImageFilter.GaussianBlur(float(face.box[2]) / 16)))[1]
    assert told.is_blurred
    assert not told.is_covered


def test_a_face_of_few_colours_with_lines_is_drawn_and_not_covered(landmarker, portrait):
    flat = portrait.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.MedianFilter(5)).quantize(4).convert('RGB')
    told = _read(landmarker, flat)[1]
    assert told.is_drawn
    assert not told.is_covered


def test_a_quarter_with_all_shades_is_no_drawing(rng):
    crop = np.full((48, 48), 200, np.uint8)
    crop[::4] = 40
    assert few_shades(crop) == 1.0
    crop[26:46, 24:44] = rng.integers(0, 256, (20, 20))
    assert few_shades(crop) < 0.2


def test_people_who_talk_are_left_alone(landmarker, shared_data):
    alarms = []
    for path in sorted((shared_data / 'clips').glob('grid_*.mpg'))[:6]:
        for frame in Recording.open(path).frames(rate_hz=2):
            alarms.append(_read(landmarker, Image.fromarray(frame.image))[1] != Conditions())
    assert len(alarms) >= 30
    assert np.mean(alarms) <= 0.02


def test_conditions_lower_the_quality_and_stand_in_the_table(landmarker, portrait):
    class Shot:
        def __init__(self, time_s, image):
            self.time_s, self.image = time_s, np.asarray(image)

    face, _ = _read(landmarker, portrait)
    tables = [
        observe_faces([Shot(0.0, image)], landmarker=landmarker).table
        for image in (portrait, _covered(portrait, face, 'below the nose'), portrait.rotate(180))
    ]
    assert [name for name in tables[0].column_names if name in CONDITIONS] == list(CONDITIONS)
    columns = [{name: table[name][0].as_py() for name in (*CONDITIONS, 'quality')} for table in tables]
    assert [row['is_covered'] for row in columns] == [False, True, False]
    assert [row['is_upside_down'] for row in columns] == [False, False, True]
    assert columns[1]['quality'] < 0.5 * columns[0]['quality']
    assert columns[2]['quality'] < 0.8 * columns[0]['quality']


def test_closed_eyes_lower_the_quality_and_a_squint_does_not():
    values = np.zeros(len(READINGS), dtype=np.float32)
    for name, value in {
        'face_size_px': 10,
        'eyes_closed': 0.6,
        'eye_aspect_left': 0.1,
        'eye_aspect_right': 0.1,
    }.items():
        values[NAMES.index(name)] = value
    crop = np.zeros((48, 48), np.uint8)
    assert conditions(crop, values).quality == pytest.approx(0.8)
    values[NAMES.index('eye_aspect_left')] = 0.4
    assert conditions(crop, values).quality == 1.0
    # a look downward: the score is that of closed eyes, the lids are apart
    values[NAMES.index('eye_aspect_left')], values[NAMES.index('eye_aspect_right')] = 0.16, 0.18
    assert conditions(crop, values).quality == 1.0


def test_of_a_tiny_face_neither_cover_nor_blur_is_told():
    values = np.zeros(len(READINGS), dtype=np.float32)
    values[NAMES.index('face_size_px')] = 20
    assert conditions(np.zeros((48, 48), np.uint8), values) == Conditions()


def test_measures_do_not_change_with_light_or_contrast(rng):
    crop = rng.integers(60, 180, (48, 48)).astype(np.uint8)
    plain, lighter = cover_measures(crop), cover_measures((crop.astype(int) + 40).astype(np.uint8))
    assert plain == pytest.approx(lighter, abs=1e-5)


def test_measures_do_not_change_when_a_face_is_mirrored_but_for_what_is_told_of_one_side(rng):
    crop = rng.integers(0, 256, (48, 48)).astype(np.uint8)
    crop[:, 24:] //= 2
    plain, mirrored = cover_measures(crop), cover_measures(np.ascontiguousarray(crop[:, ::-1]))
    assert plain['halves_gap'] == pytest.approx(mirrored['halves_gap'], abs=0.1)
    assert plain['eyes'] == pytest.approx(mirrored['eyes'], abs=0.2)


def test_the_weights_are_those_that_the_measurement_found_and_bare_faces_hardly_ever_pass():
    result = json.loads(RESULT.read_text())
    assert dict(COVER) == result['weights']
    for part in ('fer test', 'people b'):
        bare = result['shares'][part]['bare']
        assert max(bare[name] for name in ('covered', 'drawn', 'blurred', 'upside_down')) <= 0.03


def test_an_even_grey_has_a_score():
    assert np.isfinite(cover_score(np.full((48, 48), 128, np.uint8)))


@pytest.mark.parametrize('shape', [(1, 1), (46, 46), (48, 48), (6, 14)])
def test_moments_have_the_bits_of_numpy(shape):
    grey = np.random.default_rng(0).integers(0, 256, (60, 60)).astype(np.float32)
    for values in (grey[: shape[0], : shape[1]], np.ascontiguousarray(grey[: shape[0], : shape[1]]), 0 * grey + 77):
        assert moments(values) == (float(values.mean()), float(values.var()))
