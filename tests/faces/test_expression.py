"""The trained expression network: its contract, its card, and how well it does on real faces."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.faces.blendshapes import BLENDSHAPES
from affekt.faces.expression import (
    EXPRESSION_MODELS,
    MODEL_FILE,
    ExpressionModel,
    PrototypeExpression,
    affect,
    affect_seen,
    expression_model,
)
from affekt.labels import CIRCUMPLEX, EKMAN, FER2013_TO_EKMAN


@pytest.fixture(scope='module')
def model() -> ExpressionModel:
    return ExpressionModel()


@pytest.fixture(scope='module')
def card() -> dict[str, object]:
    return json.loads(MODEL_FILE.with_suffix('.json').read_text('utf-8'))


@pytest.fixture
def crops(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (5, 48, 48), dtype=np.uint8)


def blendshapes(count: int = 1, **scores: float) -> np.ndarray:
    """Rows at rest but for the named scores."""
    rows = np.zeros((count, len(BLENDSHAPES)), np.float32)
    for name, value in scores.items():
        rows[:, BLENDSHAPES.index(name)] = value
    return rows


def one_hot(category: str) -> np.ndarray:
    return (np.array(EKMAN) == category)[None].astype(float)


def test_probabilities_are_a_distribution_for_any_picture(model, crops):
    found = model.probabilities(crops)
    assert found.shape == (5, 7)
    assert found.dtype == np.float64
    assert (found > 0).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-12)


def test_a_flat_grey_picture_still_gets_a_distribution(model):
    # A deviation of 0 must not divide by zero.
    for level in (0, 128, 255):
        found = model.probabilities(np.full((1, 48, 48), level, np.uint8))
        assert np.isfinite(found).all()


def test_the_mirror_image_gets_the_same_answer(model, crops):
    mirrored = crops[:, :, ::-1].copy()
    assert model.probabilities(mirrored) == pytest.approx(model.probabilities(crops), abs=1e-5)


def test_the_mean_logits_of_single_views_are_those_of_both(model, crops):
    readings = [model.probabilities(view, both_views=False) for view in (crops, crops[:, :, ::-1])]
    logits = np.mean(np.log(readings), axis=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(readings[0] - readings[1]).max() > 0.01
    np.testing.assert_allclose(model.probabilities(crops), expected, atol=1e-5)


def test_swapping_left_and_right_blendshapes_changes_nothing(model, crops):
    left = blendshapes(5, mouthSmileLeft=0.6, browDownLeft=0.3)
    right = blendshapes(5, mouthSmileRight=0.6, browDownRight=0.3)
    assert model.probabilities(crops, left) == pytest.approx(model.probabilities(crops, right), abs=1e-5)


def test_exposure_and_contrast_hardly_matter(model, crops):
    # Each face is standardised by its own mean and deviation: half the exposure is the same picture, up to rounding.
    dim = (crops // 2).astype(np.uint8)
    assert np.abs(model.probabilities(dim) - model.probabilities(crops)).max() < 0.05


def test_faces_do_not_depend_on_their_company(model, rng):
    many = rng.integers(0, 256, (70, 48, 48), dtype=np.uint8)  # more than one batch
    together = model.probabilities(many)
    alone = np.concatenate([model.probabilities(many[i : i + 1]) for i in (0, 63, 64, 69)])
    assert together[[0, 63, 64, 69]] == pytest.approx(alone, abs=1e-5)


def test_missing_blendshapes_leave_the_picture_to_speak(model, crops):
    rows = np.full((5, 52), np.nan, np.float32)
    assert np.array_equal(model.probabilities(crops, rows), model.probabilities(crops))


def test_only_the_rows_that_are_there_are_used(model, crops):
    rows = blendshapes(5, mouthSmileLeft=0.9, mouthSmileRight=0.9)
    rows[2] = np.nan
    mixed, without = model.probabilities(crops, rows), model.probabilities(crops)
    assert mixed[2] == pytest.approx(without[2], abs=1e-6)
    assert np.abs(mixed[[0, 1, 3, 4]] - without[[0, 1, 3, 4]]).max() > 1e-4


def test_no_faces_give_no_rows(model):
    assert model.probabilities(np.zeros((0, 48, 48), np.uint8)).shape == (0, 7)
    assert PrototypeExpression().probabilities(np.zeros((0, 48, 48), np.uint8)).shape == (0, 7)


@pytest.mark.parametrize(
    'wrong',
    [
        np.zeros((2, 48, 48), np.float32),
        np.zeros((48, 48), np.uint8),
        np.zeros((2, 48, 48, 3), np.uint8),
        np.zeros((2, 64, 64), np.uint8),
    ],
)
@pytest.mark.parametrize('licence', sorted(EXPRESSION_MODELS))
def test_crops_of_another_shape_or_type_are_refused(licence, wrong):
    with pytest.raises(ShapeError, match='48, 48'):
        expression_model(licence).probabilities(wrong)


@pytest.mark.parametrize('rows', [np.zeros((5, 51)), np.zeros((4, 52)), np.zeros(52), np.zeros((5, 52), int)])
def test_blendshapes_of_another_shape_or_type_are_refused(model, crops, rows):
    with pytest.raises(ShapeError, match='blendshapes'):
        model.probabilities(crops, rows)


@pytest.mark.parametrize('value', [np.nan, np.inf, -0.5, 1.5])
def test_a_row_that_is_partly_missing_or_out_of_range_is_refused(model, crops, value):
    rows = blendshapes(5)
    rows[1, 7] = value
    with pytest.raises(ValueRangeError, match=r'\[0, 1\]'):
        model.probabilities(crops, rows)


def test_an_altered_model_file_is_refused(tmp_path: Path):
    path = tmp_path / MODEL_FILE.name
    content = bytearray(MODEL_FILE.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    path.with_suffix('.json').write_bytes(MODEL_FILE.with_suffix('.json').read_bytes())
    with pytest.raises(WeightsError, match='sha256'):
        ExpressionModel(path)


def test_a_missing_model_file_is_refused(tmp_path: Path):
    with pytest.raises(WeightsError, match=r'nothing\.onnx'):
        ExpressionModel(tmp_path / 'nothing.onnx')


def test_the_licence_chooses_the_model():
    assert isinstance(expression_model(), ExpressionModel)
    free = expression_model('commercial-ok')
    assert isinstance(free, PrototypeExpression)
    assert free.commercial_ok
    assert not ExpressionModel.commercial_ok
    with pytest.raises(UnknownNameError, match='research'):
        expression_model('public-domain')


def test_the_card_describes_the_file(card):
    content = MODEL_FILE.read_bytes()
    assert card['sha256'] == hashlib.sha256(content).hexdigest()
    assert len(content) < 5_000_000
    assert card['labels'] == list(EKMAN)
    assert card['commercial_ok'] is False
    assert str(card['sha256']) in MODEL_FILE.with_suffix('.md').read_text('utf-8')


def test_derived_affect_of_a_certain_category_is_its_place_on_the_circumplex():
    for category in EKMAN:
        valence, arousal = affect(one_hot(category))
        assert (valence[0], arousal[0]) == pytest.approx(CIRCUMPLEX[category])


def test_knowing_nothing_is_the_middle_of_the_plane():
    valence, arousal = affect(np.full((1, 7), 1 / 7))
    assert (valence[0], arousal[0]) == pytest.approx((0, 0), abs=1e-12)


def test_the_doubts_of_an_almost_neutral_face_are_not_taken_for_sadness():
    # 0.7 neutral, 0.05 each else: a mixture of neutral with 0.35 of knowing nothing, so 0 but for the lean,
    # 0.54 (0.7 - 1/7) 0.3 = 0.0903
    shares = np.full((1, 7), 0.05)
    shares[0, EKMAN.index('neutral')] = 0.7
    assert affect(shares)[0][0] == pytest.approx(0.0903, abs=1e-4)
    assert affect(shares, neutral_lean=0.0)[0][0] == pytest.approx(0, abs=1e-12)
    assert affect(shares)[1][0] == pytest.approx(0, abs=1e-12)


def test_blendshapes_are_not_weighed_beside_the_categories():
    rows = blendshapes(mouthSmileLeft=0.8, mouthSmileRight=0.8, jawOpen=0.6)
    assert affect(one_hot('fear'), rows) == affect(one_hot('fear'))


def test_what_is_hardly_seen_says_little_with_wide_intervals():
    happy = np.repeat(one_hot('happiness'), 4, axis=0)
    valence, arousal, valence_sd, arousal_sd = affect_seen(happy, np.array([1.0, 0.2, 0.05, 0.0]))
    # exp(-10) of knowing nothing is left at full quality, exp(-2) at 0.2: 0.81 (1 - 0.135) = 0.70
    assert valence == pytest.approx([0.81, 0.70, 0.81 * (1 - np.exp(-0.5)), 0.0], abs=1e-3)
    assert (valence_sd[1:] > 2 * valence_sd[0]).all()
    assert (arousal_sd[1:] > arousal_sd[0]).all()
    assert (valence_sd[-1], arousal_sd[-1]) == pytest.approx((0.58, 0.45), abs=0.01)
    assert arousal[-1] == pytest.approx(0, abs=1e-12)


def test_affect_of_a_quality_that_was_not_measured_is_not_shrunk():
    seen = affect_seen(one_hot('sadness'), np.array([np.nan]))
    assert (seen[0][0], seen[1][0]) == pytest.approx(CIRCUMPLEX['sadness'], abs=1e-3)
    with pytest.raises(ShapeError, match='one per face'):
        affect_seen(one_hot('sadness'), np.ones(2))


def test_neutral_faces_are_as_often_positive_as_negative(model, shared_data):
    faces = [image for image, label in validation_faces(shared_data, 2000) if label == 'neutral']
    valence, _ = affect(model.probabilities(np.stack(faces)))
    # half of about 340 faces, within four standard errors, and what no alignment costs
    assert np.mean(valence < 0) == pytest.approx(0.5, abs=0.11)
    assert abs(np.median(valence)) < 0.05


def test_derived_affect_without_a_reading_falls_back_to_the_categories_alone():
    valence, arousal = affect(one_hot('fear'), np.full((1, 52), np.nan))
    assert (valence[0], arousal[0]) == pytest.approx(CIRCUMPLEX['fear'])


def test_derived_affect_of_missing_probabilities_is_missing():
    valence, arousal = affect(np.full((1, 7), np.nan), blendshapes())
    assert np.isnan(valence[0])
    assert np.isnan(arousal[0])


def test_derived_affect_refuses_what_is_no_distribution():
    with pytest.raises(ValueRangeError, match='sum to 1'):
        affect(np.full((1, 7), 0.5))
    with pytest.raises(ShapeError, match=r'\(N, 7\)'):
        affect(np.ones((1, 6)) / 6)


def test_the_fallback_leaves_faces_without_blendshapes_missing(crops):
    free = PrototypeExpression()
    assert np.isnan(free.probabilities(crops)).all()
    rows = blendshapes(5)
    rows[3] = np.nan
    found = free.probabilities(crops, rows)
    assert np.isnan(found[3]).all()
    assert found[[0, 1, 2, 4]].sum(axis=1) == pytest.approx(np.ones(4))


def validation_faces(shared_data, count):
    """(48, 48) grey faces of FER2013's validation split with their labels, seeded."""
    folder = shared_data / 'fer2013'
    with open(folder / 'labels.csv', newline='') as handle:
        rows = [row for row in csv.DictReader(handle) if row['split'] == 'validation']
    picked = [rows[place] for place in np.random.default_rng(3).choice(len(rows), count, replace=False)]
    with zipfile.ZipFile(folder / 'fer2013_jpg.zip') as archive:
        faces = [np.asarray(Image.open(io.BytesIO(archive.read(row['file']))).convert('L')) for row in picked]
    return [(face, FER2013_TO_EKMAN[row['emotion']]) for face, row in zip(faces, picked, strict=True)]


def test_on_validation_faces_the_network_does_what_its_card_says(model, card, shared_data):
    """300 seeded validation faces, not aligned and without blendshapes: within 4.5 standard errors of the card."""
    faces, names = zip(*validation_faces(shared_data, 300), strict=True)
    truth = [EKMAN.index(name) for name in names]
    share = float(np.mean(model.probabilities(np.stack(faces)).argmax(axis=1) == truth))
    stated = card['validation']['compared']['averaged weights, mirrored, not aligned']['accuracy']
    assert abs(share - stated) < 4.5 * np.sqrt(stated * (1 - stated) / 300)
