"""The head's mechanics with a small made-up head, then the shipped one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import affekt
from affekt.errors import PurposeError, ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.labels import EKMAN, RAVDESS8
from affekt.voice import HEADS, Encoded, VocalEmotion, WhisperEncoder, acoustic_summary
from affekt.voice.emotion import UNFAMILIAR_FROM, distance_from_speech, expected_affect, pool, seven_categories

MODELS = Path(affekt.__file__).parent / 'models'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A head that reads one layer of width 8 and takes the mean of dimension k for the score of label k."""
    np.savez(
        tmp_path / 'vocal_emotion_tiny_en.npz',
        layers=np.array([1]),
        statistics=np.array(['mean']),
        centre=np.full(8, 1.0, np.float32),
        scale=np.full(8, 2.0, np.float32),
        weight=np.eye(8, dtype=np.float32),
        bias=np.zeros(8, np.float32),
        temperature=np.float32(2.0),
        abstains_below=np.float32(0.5),
        short_s=np.array([0.5, 1.0], np.float32),
        short_warmth=np.array([4.0, 2.0], np.float32),
    )
    card = {'commercial_ok': False, 'licence': 'CC BY-NC-SA 4.0'}
    (tmp_path / 'vocal_emotion_tiny_en.json').write_text(json.dumps(card))
    return tmp_path


@pytest.fixture
def folder_that_knows_speech(folder: Path) -> Path:
    """The same head; speech lies at 0 of the first standardised dimension with spread 1, left-out speech from 1 to 3.

    Scores of what is 3 away are divided by twice as much as those of what is 1 away.
    """
    path = folder / 'vocal_emotion_tiny_en.npz'
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(
        path,
        **arrays,
        speech_axes=np.eye(8, 1, dtype=np.float16),
        speech_middle=np.zeros(1, np.float32),
        speech_spread=np.ones(1, np.float32),
        distances=np.array([1.0, 2.0, 3.0], np.float32),
        far=np.array([1.0, 3.0], np.float32),
        far_warmth=np.array([1.0, 2.0], np.float32),
    )
    return folder


def encoded(layers: np.ndarray) -> Encoded:
    return Encoded(layers.astype(np.float32), layers.shape[1], np.zeros((0, 80), np.float32), 'tiny.en')


def test_scores_are_standardised_weighed_and_cooled(folder):
    # features 1 except 'angry' (index 4), which is 1 + 4 ln 9: (4 ln 9) / 2 / 2 = ln 9 against seven zeros: 9 / 16
    # (3 s of speech, so that shortness plays no part)
    layers = np.ones((2, 150, 8))
    layers[1, :, RAVDESS8.index('angry')] = 1 + 4 * np.log(9)
    reading = VocalEmotion('tiny.en', directory=folder)(encoded(layers))
    assert reading.labels8[RAVDESS8.index('angry')] == pytest.approx(9 / 16, rel=1e-5)
    assert reading.category == 'anger'
    # neutral and calm fall together, and count half: 9 against six of 1
    assert reading.confidence == pytest.approx(9 / 15, rel=1e-5)
    assert reading.categories[EKMAN.index('neutral')] == pytest.approx(1 / 15, rel=1e-5)
    assert reading.categories.sum() == pytest.approx(1)


def test_an_unsure_head_abstains_and_keeps_its_numbers(folder):
    reading = VocalEmotion('tiny.en', directory=folder)(encoded(np.ones((2, 3, 8))))
    assert reading.abstains
    assert reading.category is None
    np.testing.assert_allclose(reading.labels8, 1 / 8, rtol=1e-6)


def test_arousal_weighs_the_categories_as_far_as_they_are_certain(folder):
    head = VocalEmotion('tiny.en', directory=folder)
    flat, angry = np.ones(8, np.float32), np.ones(8, np.float32)
    angry[4] = 1000.0
    assert head.read(flat, 0.8).arousal == pytest.approx(0.8)
    sure = head.read(angry)
    assert sure.certainty == pytest.approx(1.0, abs=1e-6)
    assert head.read(angry, 0.8).arousal == pytest.approx((sure.arousal + 0.8) / 2)
    assert head.read(angry, 0.8).valence == sure.valence


def test_expected_affect_of_a_certain_category_is_its_place():
    certain = np.eye(7)[EKMAN.index('happiness')]
    assert expected_affect(certain) == (pytest.approx(0.81), pytest.approx(0.51))


def test_pooling_follows_its_definitions():
    # frames 0, 1, 2, 3: mean 1.5, sd sqrt(5/4), all changes equal so their sd is 0, percentiles 0.3 and 2.7
    pooled = pool(np.arange(4.0, dtype=np.float32).reshape(1, 4, 1))
    np.testing.assert_allclose(pooled[0, :, 0], [1.5, np.sqrt(1.25), 0.0, 0.3, 2.7], rtol=1e-6)
    with pytest.raises(ShapeError):
        pool(np.zeros((2, 0, 8), np.float32))


def test_short_turns_are_believed_less(folder):
    # 4 ln 9 / 2 is 2 ln 9 = ln 81: at 2 s divided by 2, at 1.5 s by 3, at 1 s by 4, at 0.5 s and below by 8
    head = VocalEmotion('tiny.en', directory=folder)
    features = np.ones(8, np.float32)
    features[0] += 4 * np.log(9)
    for speech_s, divisor in ((5.0, 2), (2.0, 2), (1.5, 3), (1.0, 4), (0.5, 8), (0.1, 8)):
        odds = 81 ** (1 / divisor)
        assert head.probabilities(features, speech_s)[0] == pytest.approx(odds / (odds + 7), rel=1e-5)


def test_centring_takes_a_share_of_the_recordings_mean_and_needs_four_turns(folder):
    # rows 2, 3, 4, 5 have the mean 3.5; the head's centre is 1: half of 2.5 is taken off
    head = VocalEmotion('tiny.en', directory=folder)
    rows = np.repeat(np.array([[2.0], [3.0], [4.0], [5.0]], np.float32), 8, axis=1)
    np.testing.assert_allclose(head.centred(rows, 0.5), rows - 1.25)
    np.testing.assert_array_equal(head.centred(rows[:3], 0.5), rows[:3])
    with pytest.raises(ValueRangeError):
        head.centred(rows, 1.5)


def test_wishes_that_cannot_be_met_are_refused(folder):
    with pytest.raises(PurposeError, match='commercial'):
        VocalEmotion('tiny.en', license_='commercial-ok', directory=folder)
    with pytest.raises(UnknownNameError):
        VocalEmotion('small', directory=folder)
    with pytest.raises(WeightsError):
        VocalEmotion('base', directory=folder)
    (folder / 'vocal_emotion_tiny_en.npz').write_bytes(b'not a head')
    with pytest.raises(WeightsError):
        VocalEmotion('tiny.en', directory=folder)


@pytest.mark.parametrize('changed', [
    {'weight': np.eye(7, dtype=np.float32)}, {'bias': np.full(8, np.nan, np.float32)}, {'scale': np.zeros(8)},
    {'temperature': np.float32(0)}, {'temperature': np.ones(3)}, {'statistics': np.array(['mode'])},
    {'bias': np.array(['a'] * 8)}, {'far': np.ones(3)},
])  # fmt: skip
def test_arrays_that_make_no_head_are_refused(folder_that_knows_speech, changed):
    path = folder_that_knows_speech / 'vocal_emotion_tiny_en.npz'
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays | changed)
    with pytest.raises(WeightsError, match='vocal_emotion_tiny_en'):
        VocalEmotion(directory=folder_that_knows_speech)


@pytest.mark.parametrize('keep', [0, 100, -30])
def test_a_head_that_is_cut_short_is_named(folder, keep):
    path = folder / 'vocal_emotion_tiny_en.npz'
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match='vocal_emotion_tiny_en'):
        VocalEmotion(directory=folder)


@pytest.mark.parametrize('card', ['[]', '{}', '{"commercial_ok"'])
def test_a_card_that_states_no_licence_is_refused(folder, card):
    (folder / 'vocal_emotion_tiny_en.json').write_text(card)
    with pytest.raises(WeightsError, match='json'):
        VocalEmotion(directory=folder)


def test_features_of_another_model_or_not_finite_are_refused(folder):
    head = VocalEmotion('tiny.en', directory=folder)
    with pytest.raises(ShapeError):
        head.features(encoded(np.ones((2, 3, 9))))
    with pytest.raises(ShapeError):
        head.features(encoded(np.ones((1, 3, 8))))
    with pytest.raises(ValueRangeError):
        head.probabilities(np.full(8, np.nan, np.float32))


def test_distance_from_speech_is_one_for_the_training_itself_and_grows_with_strangeness():
    rng = np.random.default_rng(0)
    speech = rng.normal(2.0, 3.0, (4000, 5)).astype(np.float32)
    axes, middle, spread = np.eye(5, 3, dtype=np.float32), np.full(3, 2.0, np.float32), np.full(3, 3.0, np.float32)
    distances = distance_from_speech(speech, axes, middle, spread)
    assert np.sqrt(np.mean(distances**2)) == pytest.approx(1.0, abs=0.02)
    # (11 - 2) / 3 = 3 on each of three axes
    assert distance_from_speech(np.full((1, 5), 11.0, np.float32), axes, middle, spread) == pytest.approx(3.0)


def test_unfamiliarity_is_the_rank_among_left_out_corpora(folder_that_knows_speech):
    head = VocalEmotion('tiny.en', directory=folder_that_knows_speech)
    features = np.ones(8, np.float32)
    for standard, rank in ((0.0, 0.0), (1.0, 0.0), (1.5, 0.25), (2.0, 0.5), (3.0, 1.0), (50.0, 1.0), (-2.0, 0.5)):
        features[0] = 1 + 2 * standard
        assert head.unfamiliarity(features) == pytest.approx(rank)
    with pytest.raises(ShapeError):
        head.unfamiliarity(np.ones((2, 8), np.float32))


def test_what_is_far_from_the_training_is_believed_less(folder_that_knows_speech, folder):
    # the first score is 2 ln 9 where standardised 2 ln 9 = 4.39: beyond 3, so divided by 2 x 2 instead of 2
    head = VocalEmotion('tiny.en', directory=folder_that_knows_speech)
    features = np.ones(8, np.float32)
    features[0] += 4 * np.log(9)
    odds = 81 ** (1 / 4)
    assert head.probabilities(features)[0] == pytest.approx(odds / (odds + 7), rel=1e-4)
    np.testing.assert_allclose(head.probabilities(np.stack([features] * 2))[1], head.probabilities(features), rtol=1e-5)


def test_an_unfamiliar_turn_is_not_named_and_says_nearly_nothing(folder_that_knows_speech):
    head = VocalEmotion('tiny.en', directory=folder_that_knows_speech)
    features = np.ones(8, np.float32)
    features[0] = 400.0
    features[4] = 400.0
    reading = head.read(features)
    assert reading.unfamiliarity >= UNFAMILIAR_FROM
    assert (reading.abstains_because, reading.category) == ('unfamiliar', None)
    assert reading.categories.max() < 0.25
    assert abs(reading.valence) < 0.06
    assert reading.valence_sd > 0.5


def test_a_familiar_turn_says_why_it_is_not_named(folder_that_knows_speech):
    head = VocalEmotion('tiny.en', directory=folder_that_knows_speech)
    flat = np.ones(8, np.float32)
    assert head.read(flat).abstains_because == 'unsure'
    angry = flat.copy()
    angry[4] = 60.0
    assert head.read(angry).abstains_because == ''
    assert head.read(angry).category == 'anger'


def test_a_head_without_a_description_of_speech_does_not_know_what_is_unfamiliar(folder):
    reading = VocalEmotion('tiny.en', directory=folder).read(np.full(8, 60.0, np.float32))
    assert np.isnan(reading.unfamiliarity)
    assert reading.abstains_because == 'unsure'


def test_knowing_nothing_gives_each_category_the_same_and_the_middle_of_the_plane(folder):
    # calm and neutral together have twice the share of another label: half of it counts
    np.testing.assert_allclose(seven_categories(np.full(8, 1 / 8, np.float32)), 1 / 7, rtol=1e-6)
    reading = VocalEmotion('tiny.en', directory=folder).read(np.ones(8, np.float32))
    assert reading.valence == pytest.approx(0.0, abs=1e-6)
    assert reading.arousal == pytest.approx(0.0, abs=1e-6)
    assert (reading.valence_sd, reading.arousal_sd) == (pytest.approx(0.577, abs=1e-3), pytest.approx(0.445, abs=1e-3))


@pytest.mark.parametrize('name', list(HEADS))
def test_the_shipped_heads_are_the_ones_of_their_cards_and_small(name):
    path = MODELS / f'{HEADS[name]}.npz'
    card = json.loads(path.with_suffix('.json').read_text())
    assert card['sha256'] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_size < 2_500_000
    assert card['commercial_ok'] is False
    assert 'NC' in card['licence']
    for figures in card['metrics']['left_out_corpus'].values():
        assert figures['uar']['low'] > figures['chance_uar']
        assert figures['ece'] <= 0.10
    for figures in card['metrics']['as_shipped'].values():
        assert figures['ece'] <= 0.10
        assert figures['accuracy_where_named'] >= figures['confidence_where_named']
    assert 'nEMO' in card['data']


@pytest.mark.parametrize('name', list(HEADS))
def test_the_shipped_heads_do_not_name_music_or_noise(name):
    from sounds import needs

    needs({'tiny.en': 'whisper-tiny.en', 'base': 'whisper-base'}[name])
    encoder, head = WhisperEncoder(name), VocalEmotion(name)
    time, rng = np.arange(2 * 16000) / 16000, np.random.default_rng(0)
    chord = sum(np.sin(2 * np.pi * 220 * ratio * time) for ratio in (1, 1.25, 1.5)) * np.exp(-3 * (time % 0.5)) * 0.1
    for samples in (chord, rng.normal(0, 0.05, time.shape)):
        reading = head(encoder(samples.astype(np.float32)))
        assert reading.abstains_because == 'unfamiliar'
        assert reading.categories.max() < 0.3


@pytest.mark.parametrize('name', list(HEADS))
def test_the_shipped_heads_tell_a_shout_from_a_murmur(name, shared_data, sentence):
    # mechanics only: the head was trained on these clips
    from sounds import needs, read_sound

    needs({'tiny.en': 'whisper-tiny.en', 'base': 'whisper-base'}[name])
    encoder, head = WhisperEncoder(name), VocalEmotion(name)
    shout = read_sound(shared_data / 'ravdess_speech' / 'Actor_01' / '03-01-05-02-01-01-01.flac')[14000:54000]
    murmur = sentence[14000:44000]
    readings = [head(encoder(samples), acoustic_summary(samples)) for samples in (shout, murmur)]
    assert [reading.category for reading in readings] == ['anger', 'neutral']
    assert readings[0].arousal > readings[1].arousal
    assert readings[0].valence < readings[1].valence
