"""The purpose gate: what is refused, what is accepted, and what is recorded."""

from __future__ import annotations

import pytest

from affekt.analysis.settings import AnalysisSettings
from affekt.errors import PurposeError, UnknownNameError, ValueRangeError
from affekt.purpose import NOTICE, PROHIBITED_PURPOSES, check_purpose, stated_grounds


@pytest.mark.parametrize('word', [word for words in PROHIBITED_PURPOSES.values() for word in words])
def test_every_listed_word_is_refused_and_a_safety_ground_lifts_it(word):
    with pytest.raises(PurposeError, match='Article 5'):
        check_purpose(f'for the {word.upper()}, please')
    assert check_purpose(f'{word}: safety') == f'{word}: safety'


@pytest.mark.parametrize(
    'purpose',
    ['Monitoring of EMPLOYEES', 'hiring', 'job-interview scoring', 'exam proctoring', 'ecole primaire',
     'Vorstellungsgespräch', 'human\nresources', 'workplace_mood', 'unsafe workplace study'],
)  # fmt: skip
def test_work_and_education_are_refused_in_any_spelling(purpose):
    with pytest.raises(PurposeError):
        check_purpose(purpose)


@pytest.mark.parametrize(
    'purpose',
    ['', 'film study', 'usability test of a game', 'preschooler toys', 'the network works', 'workshop recordings',
     'a staffless shop', 'homework', 'teacher in a feature film', 'scholastic history'],
)  # fmt: skip
def test_other_purposes_pass_even_where_a_word_holds_a_listed_one(purpose):
    assert check_purpose(purpose) == purpose


def test_a_stated_ground_is_recorded_with_the_settings():
    settings = AnalysisSettings(purpose='  workplace: safety —  driver drowsiness ')
    assert settings.purpose == 'workplace: safety — driver drowsiness'
    assert stated_grounds(settings.purpose) == ('safety',)
    assert stated_grounds('medizinische Studie') == ('medical',)


def test_settings_refuse_what_purpose_refuses():
    with pytest.raises(PurposeError, match='workplace'):
        AnalysisSettings(purpose='workplace mood')


@pytest.mark.parametrize(
    ('field', 'error'),
    [({'fps': 0.0}, ValueRangeError), ({'fps': float('nan')}, ValueRangeError), ({'max_people': 0}, ValueRangeError),
     ({'step_s': 0.0}, ValueRangeError), ({'license': 'any'}, UnknownNameError), ({'asr': 'huge'}, UnknownNameError)],
)  # fmt: skip
def test_settings_out_of_range_raise(field, error):
    with pytest.raises(error):
        AnalysisSettings(**field)


def test_settings_survive_a_round_trip_even_without_their_model_directory(tmp_path):
    (tmp_path / 'whisper').mkdir()
    settings = AnalysisSettings(asr=str(tmp_path / 'whisper'), fps=None, keep_frames=False)
    (tmp_path / 'whisper').rmdir()
    assert AnalysisSettings.from_dict(settings.to_dict()).to_dict() == settings.to_dict()


def test_the_notice_says_what_is_measured_and_what_is_not():
    for needed in ('face', 'voice', 'words', 'does not measure what a person feels', 'deleted'):
        assert needed in NOTICE
