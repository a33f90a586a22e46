"""Scores of readings against labels: by hand, and beside plain second implementations."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.labels import EKMAN
from affekt.metrics import balanced_accuracy
from affekt.own_data import ClipReading, LabelledClip, SourceReading, scored
from affekt.own_data.scores import area_under_curve


def _clip(number, category='', speaker='a', label='', valence=np.nan, arousal=np.nan):
    return LabelledClip(f'{number}.wav', None, None, label or category, category, valence, arousal, speaker)


def _says(category='', certainty=0.7, valence=np.nan, arousal=np.nan):
    if not category:
        return SourceReading((), valence, arousal, 'unsure')
    rest = (1 - certainty) / (len(EKMAN) - 1)
    shares = tuple(certainty if name == category else rest for name in EKMAN)
    return SourceReading(shares, valence, arousal)


def _scored(truth, answers, resamples=50, **more):
    clips = [_clip(at, category, f's{at % 3}') for at, category in enumerate(truth)]
    readings = [ClipReading({'fused': _says(*answer)}) for answer in answers]
    return scored(clips, readings, rng=np.random.default_rng(0), resamples=resamples, **more)


def test_silence_is_left_out_where_a_source_speaks_and_wrong_of_all():
    score = _scored(
        ['anger', 'anger', 'fear', 'fear'], [('anger', 0.8), ('fear', 0.6), ('fear', 0.7), ('',)]
    ).categories['fused']
    values = {name: interval.value for name, interval in score.scores.items()}
    assert values['speaks'] == 0.75
    assert values['right'] == pytest.approx(2 / 3)
    assert values['says'] == pytest.approx(0.7)  # (0.8 + 0.6 + 0.7) / 3
    assert values['excess'] == pytest.approx(0.7 - 2 / 3)
    assert values['uar'] == pytest.approx((1 / 2 + 1) / 2)  # anger 1 of 2; fear 1 of the 1 that it speaks on
    # F1 where it speaks: anger 2*1/(2+1), fear 2*1/(1+2)
    assert values['macro_f1'] == pytest.approx(2 / 3)
    assert values['right_of_all'] == 0.5
    assert values['uar_of_all'] == 0.5
    assert score.silent_because == {'unsure': 1}
    assert score.confusion['fear'] == {**dict.fromkeys(EKMAN, 0), 'fear': 1, '': 1}


def test_a_category_that_no_clip_has_is_wrong_and_has_no_recall_of_its_own():
    score = _scored(['anger', 'fear'], [('anger', 0.6), ('surprise', 0.6)]).categories['fused']
    assert score.scores['uar'].value == 0.5
    assert score.scores['macro_f1'].value == 0.5
    assert set(score.recall) == {'anger', 'fear'}


def test_recall_is_that_of_the_plain_metric_on_random_answers(rng):
    truth, answers = rng.choice(EKMAN[:5], 200).tolist(), rng.choice(EKMAN, 200).tolist()
    score = _scored(truth, [(answer, 0.5) for answer in answers]).categories['fused']
    assert score.scores['uar'].value == pytest.approx(balanced_accuracy(truth, answers), abs=1e-12)


def test_constant_answers_stand_beside_every_source():
    scores = _scored(['anger', 'anger', 'anger', 'fear'], [('anger', 0.6)] * 4)
    assert scores.categories['majority'].scores['right'].value == 0.75
    assert scores.categories['majority'].scores['uar'].value == 0.5
    assert scores.categories['chance'].scores['right'].value == 0.5
    assert scores.shares == {'anger': 0.75, 'fear': 0.25}


def test_certainty_that_comes_true_has_no_calibration_error_and_certainty_that_does_not_has_its_gap():
    truth = ['anger'] * 6 + ['fear'] * 4
    true = _scored(truth, [('anger', 0.6)] * 10).categories['fused']
    assert true.calibration_error == pytest.approx(0.0, abs=1e-12)
    false = _scored(truth, [('anger', 0.95)] * 10).categories['fused']
    assert false.calibration_error == pytest.approx(0.35)
    assert false.scores['excess'].value == pytest.approx(0.35)


def test_log_loss_of_equal_shares_is_that_of_knowing_nothing():
    score = _scored(['anger', 'fear'], [('anger', 1 / 7 + 1e-9), ('fear', 1 / 7 + 1e-9)]).categories['fused']
    assert score.log_loss == pytest.approx(np.log(7), abs=1e-6)
    assert score.log_loss_of_uniform == pytest.approx(np.log(7))
    assert score.log_loss_of_shares == pytest.approx(np.log(2))


def test_intervals_are_of_speakers_and_one_speaker_has_none():
    truth = ['anger', 'fear'] * 20
    answers = [('anger', 0.7)] * 40
    assert not np.isnan(_scored(truth, answers).categories['fused'].scores['right'].low)
    clips = [_clip(at, category) for at, category in enumerate(truth)]
    readings = [ClipReading({'fused': _says(*answer)}) for answer in answers]
    alone = scored(clips, readings, rng=np.random.default_rng(0), resamples=50)
    assert np.isnan(alone.categories['fused'].scores['right'].low)


def test_fusion_is_compared_with_each_source_on_all_clips_and_where_both_speak():
    clips = [_clip(at, 'anger', f's{at}') for at in range(4)]
    fused = ['anger', 'anger', 'fear', '']
    voice = ['anger', 'fear', 'anger', 'anger']
    readings = [
        ClipReading({'fused': _says(ours), 'voice': _says(theirs)}) for ours, theirs in zip(fused, voice, strict=True)
    ]
    gains = scored(clips, readings, rng=np.random.default_rng(0), resamples=50).gains
    assert set(gains) == {'voice'}
    assert gains['voice']['of_all'].value == pytest.approx((2 - 3) / 4)
    assert gains['voice']['both_speak'].value == pytest.approx((2 - 2) / 3)


def test_ratings_are_scored_by_agreement_and_by_high_against_low():
    ratings, values = [-1.0, -0.5, 0.0, 0.5, 1.0], [-0.5, 0.1, 0.0, 0.2, 0.4]
    clips = [_clip(at, speaker=f's{at}', arousal=rating) for at, rating in enumerate(ratings)]
    readings = [ClipReading({'fused': _says(arousal=value)}) for value in values]
    score = scored(clips, readings, rng=np.random.default_rng(0), resamples=50).dimensions['arousal']['fused']
    assert score.clips == 5
    assert not score.from_categories
    assert score.scores['mae'].value == pytest.approx((0.5 + 0.6 + 0.0 + 0.3 + 0.6) / 5)
    assert score.scores['auc'].value == 1.0  # both high ones above both low ones
    assert score.scores['sign'].value == pytest.approx((1.0 + 0.5) / 2)


def test_without_ratings_arousal_is_told_by_what_the_categories_mean():
    clips = [_clip(at, category, f's{at}') for at, category in enumerate(('anger', 'sadness', 'disgust', 'neutral'))]
    readings = [ClipReading({'fused': _says(arousal=value)}) for value in (0.5, -0.2, 0.9, 0.6)]
    score = scored(clips, readings, rng=np.random.default_rng(0), resamples=50).dimensions['arousal']['fused']
    assert score.from_categories
    assert score.clips == 3  # disgust lies between
    assert score.scores['auc'].value == 0.5
    assert set(score.scores) == {'auc', 'sign'}


def test_a_label_that_is_no_category_is_not_scored_and_says_what_its_clips_are_called():
    clips = [_clip(0, 'anger'), *(_clip(at, label='boredom') for at in (1, 2, 3))]
    readings = [ClipReading({'fused': _says(name)}) for name in ('anger', '', 'sadness', '')]
    scores = scored(clips, readings, rng=np.random.default_rng(0), resamples=10)
    assert scores.categories['fused'].clips == 1
    assert scores.strangers['boredom']['fused'] == {'': 2, 'sadness': 1}


def test_valence_of_neutral_clips_is_told():
    clips = [_clip(at, 'neutral') for at in range(4)]
    readings = [ClipReading({'fused': _says('neutral', valence=value)}) for value in (-0.2, -0.01, 0.1, np.nan)]
    told = scored(clips, readings, rng=np.random.default_rng(0), resamples=10).neutral['fused']
    assert told == {'clips': 3.0, 'mean': pytest.approx(-0.11 / 3), 'below': pytest.approx(1 / 3)}


def test_the_area_under_the_curve_counts_pairs(rng):
    is_high, values = rng.random(60) < 0.4, rng.integers(0, 8, 60) / 8
    pairs = [float(high > low) + 0.5 * float(high == low) for high in values[is_high] for low in values[~is_high]]
    assert area_under_curve(is_high, values) == pytest.approx(np.mean(pairs), abs=1e-12)


def test_clips_without_any_category_still_have_dimensions():
    clips = [_clip(at, speaker=f's{at}', valence=value) for at, value in enumerate((-1.0, 1.0))]
    readings = [ClipReading({'fused': _says(valence=value)}) for value in (-0.3, 0.4)]
    scores = scored(clips, readings, rng=np.random.default_rng(0), resamples=10)
    assert scores.categories == {}
    assert scores.gains == {}
    assert scores.dimensions['valence']['fused'].scores['auc'].value == 1.0
