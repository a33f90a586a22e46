"""Which models an analysis needs and names, and how far each is believed."""

from __future__ import annotations

import pytest

from affekt.analysis.model_choice import (
    CARRIED_OVER,
    TRAINED_ON,
    WRITTEN_RELIABILITY,
    card_of,
    licence_notes,
    models_needed,
    models_used,
    models_wanted,
    register_of,
    softened,
    trust_of,
)
from affekt.analysis.settings import AnalysisSettings
from affekt.labels import EKMAN
from affekt.weights import MODELS


@pytest.mark.parametrize(
    ('given', 'whisper'),
    [({}, {'whisper-tiny.en'}), ({'asr': 'base'}, {'whisper-base'}), ({'asr': 'none'}, {'whisper-tiny.en'}),
     ({'asr': 'none', 'license': 'commercial-ok'}, set())],
)  # fmt: skip
def test_the_needed_files_follow_the_settings(given, whisper):
    needed = set(models_needed(AnalysisSettings(**given)))
    assert needed <= set(MODELS)
    assert {'face_landmarker.task', 'silero_vad.onnx'} <= needed
    assert {name for name in needed if name.startswith('whisper')} == whisper


def test_faces_are_compared_for_research_only():
    assert 'use-multilingual-3' not in models_wanted(AnalysisSettings(asr='base', transcript='words.srt'))
    assert 'face-identity' in models_wanted(AnalysisSettings())
    assert 'face-identity' not in models_wanted(AnalysisSettings(license='commercial-ok'))
    allowed = [MODELS[name] for name in models_wanted(AnalysisSettings(license='commercial-ok'))]
    assert all(model.commercial_ok for model in allowed)


def test_every_trained_model_has_training_shares_over_all_categories():
    for shares in TRAINED_ON.values():
        assert tuple(shares) == EKMAN
        assert sum(shares.values()) == pytest.approx(1.0, abs=5e-3)


def test_softened_shares_lie_half_way_to_uniform():
    # disgust 0.015: (0.015 + 1/7) / 2
    assert softened(TRAINED_ON['face_expression'])['disgust'] == pytest.approx((0.015 + 1 / 7) / 2)


def test_sources_are_believed_as_far_as_their_evidence_carries():
    trust = trust_of(AnalysisSettings())
    assert set(trust) == {'face', 'voice', 'words'}
    for source, model in trust.items():
        assert 0 < model.reliability <= 1
        if 'carries_over' not in card_of({'face': 'face_expression', 'words': 'textual_emotion'}.get(source, '')):
            assert model.reliability <= CARRIED_OVER[source].reliability
    assert trust_of(AnalysisSettings(license='commercial-ok'))['face'].prior is None


def test_the_words_are_corrected_for_the_very_prior_that_they_are_stated_under():
    reported = card_of('textual_emotion')['reported_prior']
    assert trust_of(AnalysisSettings())['words'].prior == reported
    assert sum(reported.values()) == pytest.approx(1.0, abs=1e-3)


def test_models_name_their_licence_and_hash():
    used = models_used(AnalysisSettings(), saw=True, heard=True, read=True, recognized=True)
    names = [use.name for use in used]
    assert {'face_landmarker.task', 'silero_vad.onnx', 'whisper-tiny.en', 'minilm-l6-int8.onnx'} <= set(names)
    assert all(len(use.sha256) == 64 and use.licence for use in used)
    assert models_used(AnalysisSettings(), saw=False, heard=False, read=False, recognized=False) == ()


def test_a_commercial_licence_leaves_out_models_that_forbid_it():
    used = models_used(AnalysisSettings(license='commercial-ok'), saw=True, heard=True, read=True, recognized=True)
    assert all(use.card.get('commercial_ok', True) for use in used)


def test_what_a_commercial_licence_costs_is_told_where_it_matters():
    commercial = AnalysisSettings(license='commercial-ok')
    assert licence_notes(AnalysisSettings(), saw=True, heard=True) == []
    assert licence_notes(commercial, saw=False, heard=False) == []
    faces, voices = licence_notes(commercial, saw=True, heard=True)
    assert 'prototypes' in faces
    assert 'vocal emotion' in voices
    assert licence_notes(commercial, saw=False, heard=True) == [voices]
    assert 'written comments' in licence_notes(commercial, saw=False, heard=False, read=True)[0]


def test_what_was_learned_from_meld_is_left_out_where_the_licence_setting_says_so():
    commercial = AnalysisSettings(license='commercial-ok')
    assert (register_of(AnalysisSettings()), register_of(commercial)) == ('dialogue', 'written')
    assert (
        trust_of(commercial)['words'].reliability
        == WRITTEN_RELIABILITY
        < trust_of(AnalysisSettings())['words'].reliability
    )
    assert trust_of(commercial)['words'].prior != trust_of(AnalysisSettings())['words'].prior
