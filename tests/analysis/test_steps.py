"""From tables to opinions: what takes part in which quantity, and who is named as having decided it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from affekt.analysis.assemble import bias_of, mean_interval, summed_up
from affekt.analysis.fuse import Opinion
from affekt.analysis.model_choice import trust_of
from affekt.analysis.observations import SCHEMAS, Observed, Trust, conform
from affekt.analysis.person_series import leading_sources, series_of
from affekt.analysis.records import Source
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.steps import _mean_opinion, fused_series, opinion_rows, opinions_of, steps_of
from affekt.analysis.timeline import Timeline
from affekt.faces.expression import affect
from affekt.labels import EKMAN, expected_affect

PERSON = 'person 1'
SOURCE = Source('a.mp4', 'video', 10.0, 'ab' * 32, 64, 64, 10.0, 10.0)


def owned(rows, name):
    return conform(pa.Table.from_pylist([row | {'person': PERSON} for row in rows]), name)


def fused(observed):
    steps = steps_of(SOURCE.duration_s, 1.0)
    return fused_series(PERSON, opinions_of(observed, PERSON, steps), steps)


def test_an_unfamiliar_turn_counts_for_arousal_alone(make):
    row = make.turn_row(0, 10, 'anger', 0.95)
    known = fused(Observed(SOURCE, turns=owned([row], 'turns')))
    assert known.probabilities[0].argmax() == EKMAN.index('anger')
    for reason in ('unfamiliar', 'unsure'):
        path = fused(Observed(SOURCE, turns=owned([row | {'abstains_because': reason}], 'turns')))
        assert np.isnan(path.probabilities).all()
        assert np.isnan(path.valence).all()
        assert path.arousal[0] == pytest.approx(row['arousal'])


def test_a_loud_voice_has_its_arousal(make):
    row = make.turn_row(0, 10, 'anger') | dict.fromkeys(EKMAN, np.nan) | {'valence': np.nan, 'is_loud_voice': True}
    assert fused(Observed(SOURCE, turns=owned([row], 'turns'))).arousal[0] == pytest.approx(row['arousal'])


def test_liveliness_is_told_in_the_rows_and_not_fused(make):
    turns = [make.turn_row(0, 4, 'anger') | {'liveliness': 0.4}, make.turn_row(5, 9, 'anger') | {'liveliness': np.nan}]
    rows = opinion_rows(opinions_of(Observed(SOURCE, turns=owned(turns, 'turns')), PERSON, []), PERSON)
    assert Timeline(rows).select(name='liveliness', source='voice').column('value').tolist() == [0.4]
    bare = fused(Observed(SOURCE, turns=owned([row | {'liveliness': np.nan} for row in turns], 'turns')))
    told = fused(Observed(SOURCE, turns=owned(turns, 'turns')))
    assert np.array_equal(told.values, bare.values, equal_nan=True)


def test_words_that_were_not_understood_take_no_part(make):
    row = make.utterance_row(0, 10, 'Sie sagte etwas.', 'anger', 0.9)
    assert len(fused(Observed(SOURCE, utterances=owned([row], 'utterances'))))
    assert not len(fused(Observed(SOURCE, utterances=owned([row | {'is_understood': False}], 'utterances'))))


def test_plain_words_leave_a_voice_its_name_and_nearly_its_certainty(make):
    turn, words = make.turn_row(0, 10, 'anger', 0.95), make.utterance_row(0, 10, 'I go there.', 'neutral', 0.9)
    alone = fused(Observed(SOURCE, turns=owned([turn], 'turns')))
    both = fused(Observed(SOURCE, turns=owned([turn], 'turns'), utterances=owned([words], 'utterances')))
    assert both.probabilities[0].argmax() == EKMAN.index('anger')
    assert both.confidence[0] > alone.confidence[0] - 0.05
    assert leading_sources(both) == ('voice',)


def test_words_that_are_too_plain_leave_the_tone_of_a_voice_as_it_is(make):
    plain = make.utterance_row(0, 10, 'Kids are talking.', 'neutral') | dict.fromkeys(EKMAN, np.nan)
    plain |= {'valence': 0.0, 'arousal': 0.0, 'valence_sd': 0.58, 'arousal_sd': 0.45, 'reason': 'unsure'}
    turns = owned([make.turn_row(0, 10, 'anger', 0.8)], 'turns')
    trust = trust_of(AnalysisSettings())
    alone = fused(Observed(SOURCE, turns=turns, trust=trust))
    both = fused(Observed(SOURCE, turns=turns, utterances=owned([plain], 'utterances'), trust=trust))
    assert both.values == pytest.approx(alone.values, abs=1e-4)
    assert leading_sources(both, 'valence') == leading_sources(both, 'arousal') == ('voice',)
    # with nothing beside them they are all there is: about 0, and as wide as the plane
    words = fused(Observed(SOURCE, utterances=owned([plain], 'utterances'), trust=trust))
    assert words.valence[0] == 0.0
    assert (words.high - words.low)[0, 0] > 1.8


def test_what_part_of_a_step_names_counts_as_a_part(make):
    # 0.9 s that abstain and 0.1 s that name anger: less sure than a second of anger
    named = make.turn_row(0.9, 1.0, 'anger', 0.95)
    mute = make.turn_row(0.0, 0.9, 'anger') | dict.fromkeys(EKMAN, np.nan)
    part = fused(Observed(SOURCE, turns=owned([mute, named], 'turns')))
    whole = fused(Observed(SOURCE, turns=owned([named | {'start_s': 0.0}], 'turns')))
    assert part.probabilities[0].max() < whole.probabilities[0].max() - 0.2


def test_weights_of_each_quantity_survive_the_rows(make):
    faces = owned(make.face_rows(PERSON, 0, 10, 'neutral', 0.5), 'faces')
    turns = owned([make.turn_row(0, 10, 'anger', 0.9)], 'turns')
    trust = {'face': Trust(0.8, valence=0.9, arousal=0.1), 'voice': Trust(0.9, valence=0.2, arousal=0.9)}
    path = fused(Observed(SOURCE, faces, turns, trust=trust))
    assert leading_sources(path, 'category') == ('voice',)
    assert leading_sources(path, 'arousal') == ('voice',)
    assert leading_sources(path, 'valence')[0] == 'face'
    back = series_of(Timeline.of_series([path], []).to_arrow(), PERSON, 'fused')
    for quantity in ('category', 'valence', 'arousal'):
        assert np.array_equal(back.weights_for(quantity), path.weights_for(quantity), equal_nan=True)
        assert np.nansum(path.weights_for(quantity), axis=1) == pytest.approx(np.ones(10), abs=0.015)


@pytest.mark.parametrize('reading', ['face', 'voice'])
def test_knowing_nothing_is_the_middle_of_the_plane_and_names_nothing(make, reading):
    flat = dict.fromkeys(EKMAN, 1 / 7)
    valence, arousal = (float(value) for value in expected_affect(np.full(7, 1 / 7)))
    stated = flat | {'valence': valence, 'arousal': arousal}
    faces = [row | stated for row in make.face_rows(PERSON, 0, 10, 'neutral')] if reading == 'face' else []
    turns = [make.turn_row(0, 10, 'neutral') | stated] if reading == 'voice' else []
    observed = Observed(
        SOURCE, *(owned(rows, name) if rows else SCHEMAS[name].empty_table() for rows, name in
                  ((faces, 'faces'), (turns, 'turns'))),
        trust=trust_of(AnalysisSettings()),
    )  # fmt: skip
    observed = dataclasses.replace(
        observed, trust={k: dataclasses.replace(v, prior=None) for k, v in observed.trust.items()}
    )
    path = fused(observed)
    assert (path.abstained == 'unsure').all()
    person = summed_up(observed, Timeline.of_series([path], []), PERSON)
    assert person.categories == {}
    assert person.valence[0] == pytest.approx(0.0, abs=1e-9)
    assert person.arousal[0] == pytest.approx(0.0, abs=1e-9)
    assert person.valence[2] - person.valence[1] > 0.5


def test_a_neutral_face_is_the_middle_of_the_plane(make):
    shares = np.array([[make.shares('neutral', 0.9)[category] for category in EKMAN]])
    valence, arousal = (float(value[0]) for value in affect(shares))
    rows = [row | {'valence': valence, 'arousal': arousal} for row in make.face_rows(PERSON, 0, 10, 'neutral', 0.9)]
    path = fused(Observed(SOURCE, owned(rows, 'faces'), trust=trust_of(AnalysisSettings())))
    assert path.probabilities[0].argmax() == EKMAN.index('neutral')
    assert np.abs(path.values).max() < 0.08


def test_an_angry_voice_over_a_calm_face_and_plain_words_is_not_made_neutral(make):
    faces = owned(make.face_rows(PERSON, 0, 10, 'neutral', 0.5), 'faces')
    turns = owned([make.turn_row(0, 10, 'anger', 0.95) | {'quality': 0.95}], 'turns')
    words = owned([make.utterance_row(0, 10, 'I go there.', 'neutral', 0.9)], 'utterances')
    trust = trust_of(AnalysisSettings())
    path = fused(Observed(SOURCE, turns=turns, utterances=words, trust=trust))
    assert path.probabilities[0, EKMAN.index('anger')] > 0.88
    with_face = fused(Observed(SOURCE, faces, turns, utterances=words, trust=trust))
    assert with_face.probabilities[0].argmax() == EKMAN.index('anger')
    assert leading_sources(with_face)[0] == 'voice'


def looped(make, seconds, trust):
    """A person whose clip of four seconds is shown again and again."""
    source = dataclasses.replace(SOURCE, duration_s=float(seconds))
    rows = [
        row
        for start in range(0, seconds, 4)
        for first, category in ((start, 'happiness'), (start + 2, 'neutral'))
        for row in make.face_rows(PERSON, first, min(first + 2, seconds), category, 0.8)
    ]
    observed = Observed(source, owned(rows, 'faces'), trust=trust)
    steps = steps_of(source.duration_s, 1.0)
    path = fused_series(PERSON, opinions_of(observed, PERSON, steps), steps)
    return path, summed_up(observed, Timeline.of_series([path], []), PERSON)


def test_the_interval_of_a_looped_clip_stays_as_wide_as_the_bias(make):
    trust = {'face': Trust(0.8, valence_bias_sd=0.15, arousal_bias_sd=0.1)}
    widths = {}
    for seconds in (4, 40, 400):
        path, person = looped(make, seconds, trust)
        widths[seconds] = person.valence[2] - person.valence[1]
        assert bias_of(path, 'valence', trust) == pytest.approx(0.15)
    assert widths[4] > widths[40] > widths[400] >= 2 * 1.96 * 0.15
    # without a bias nothing would be left of it
    path, _ = looped(make, 400, trust)
    bare = mean_interval(path, 'valence')
    assert bare[2] - bare[1] < 0.3


@pytest.mark.parametrize('valence', [0.0, 0.7, -0.7])
def test_the_interval_of_one_step_is_that_of_the_person_although_steps_are_cut_at_one(valence):
    # one step of 1 s: the person's mean is its value, and the deviation of the mean is its own
    opinion = Opinion('face', valence=valence, valence_sd=0.25, reliability=0.6, end_s=1.0)
    path = fused_series(PERSON, [opinion], [(0.0, 1.0)])
    assert mean_interval(path, 'valence') == pytest.approx((valence, path.low[0, 0], path.high[0, 0]))


def test_biases_of_sources_add_as_independent_errors(make):
    faces = owned(make.face_rows(PERSON, 0, 10, 'anger', 0.8), 'faces')
    turns = owned([make.turn_row(0, 10, 'anger', 0.8)], 'turns')
    trust = {'face': Trust(0.8, valence_bias_sd=0.2), 'voice': Trust(0.8, valence_bias_sd=0.3)}
    path = fused(Observed(SOURCE, faces, turns, trust=trust))
    face, voice = path.weights_for('valence')[0, :2]
    assert bias_of(path, 'valence', trust) == pytest.approx(np.hypot(0.2 * face, 0.3 * voice), abs=1e-6)


def test_a_small_clear_face_keeps_its_certainty_when_it_is_fused(make):
    def seen(quality):
        rows = [row | {'quality': quality} for row in make.face_rows(PERSON, 0.0, 10.0, 'anger')]
        return fused(Observed(SOURCE, faces=owned(rows, 'faces')))

    assert seen(0.5).confidence[0] == pytest.approx(seen(1.0).confidence[0], abs=0.01)
    assert np.isnan(seen(0.02).probabilities).all()


def test_plain_words_lower_the_certainty_of_a_step_by_their_time_alone(make):
    """Half of a second has plain words: a hundredth of a second more or less must not decide whether words count."""
    weights = []
    for cut in (0.49, 0.51):
        plain = make.utterance_row(0, cut, 'so', 'neutral') | dict.fromkeys(EKMAN, None)
        rows = [plain, make.utterance_row(cut, 1.0, 'wonderful', 'happiness', 0.9)]
        opinions = opinions_of(Observed(SOURCE, utterances=owned(rows, 'utterances')), PERSON, [(0.0, 1.0)])
        step = _mean_opinion(opinions, 0.0, 1.0)
        sure = opinions[1].certainty
        assert step.valence_certainty == pytest.approx((1 - cut) * sure)
        weights.append(step.weight_for('valence'))
    assert weights[0] == pytest.approx(weights[1], rel=0.05)
