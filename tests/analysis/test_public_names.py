"""What somebody meets who tries the package at a prompt: names, short texts of objects, settings and people by name."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from made_up import made_up

import affekt
from affekt.analysis import Analysis, AnalysisSettings, Timeline, analyzer
from affekt.errors import UnknownNameError, ValueRangeError, did_you_mean


@pytest.fixture(scope='module')
def analysis():
    return made_up(12.0)


def test_dir_shows_the_public_names():
    assert {'Analysis', 'Recording', 'Timeline', 'analyze'} <= set(dir(affekt))
    assert all(hasattr(affekt, name) for name in dir(affekt))


def test_an_analysis_its_people_and_moments_print_in_a_few_lines(analysis):
    for thing in (
        analysis, analysis.people, analysis.moments, analysis.labels, analysis.description, analysis.utterances,
        analysis.models, analysis.timeline, analysis.source,
    ):  # fmt: skip
        each = thing if isinstance(thing, tuple) else (thing,)
        assert all(len(repr(part)) < 400 for part in each), thing
        assert 'xff' not in repr(thing)
        assert 'b"' not in repr(thing)
    assert 'person 1' in repr(analysis.people)
    assert ' 1 person, ' in repr(made_up(0.0, 1, 'image'))


@pytest.mark.parametrize('person', [1, '1', 'person 1', 'Person 1', ' person 1 ', ['1'], [1], np.int64(1)])
def test_a_person_is_known_by_number_and_by_the_name_of_the_report(analysis, person):
    chosen = analysis.timeline.select(person=person)
    assert chosen.people == ('person 1',)
    assert len(chosen) == len(analysis.timeline.select(person='person 1'))


@pytest.mark.parametrize('person', ['voice', 'The voice', 'A voice, face unknown', 'a voice'])
def test_speech_of_nobody_visible_is_known_by_what_the_report_calls_it(person):
    row = {'start_s': 0.0, 'end_s': 1.0, 'person': 'voice', 'source': 'voice', 'name': 'speech', 'value': 1.0}
    assert len(Timeline.from_rows([row]).select(person=person)) == 1


@pytest.mark.parametrize(
    ('asked', 'known'),
    [({'source': 'fusd'}, "did you mean 'fused'"), ({'person': 'person 9'}, "'person 1', 'person 2'"),
     ({'person': 9}, 'person 2'), ({'person': True}, 'person 2'), ({'name': 'valense'}, "did you mean 'valence'"),
     ({'name': ['valence', 'happy']}, 'happiness'), ({'source': ''}, 'face')],
)  # fmt: skip
def test_unknown_names_are_refused_with_the_known_ones(analysis, asked, known):
    with pytest.raises(UnknownNameError) as caught:
        analysis.timeline.select(**asked)
    assert known in str(caught.value)


def test_a_misspelt_recogniser_is_corrected():
    with pytest.raises(UnknownNameError, match=r"did you mean 'tiny\.en'"):
        AnalysisSettings(asr='tny.en')


def test_a_person_of_the_analysis_can_be_given_itself(analysis):
    assert analysis.timeline.select(person=analysis.people[0]).people == (analysis.people[0].name,)


def test_known_names_without_rows_give_an_empty_timeline(analysis):
    face = analysis.timeline.select(source='face', person=1)
    assert len(face.select(person=2)) == 0
    assert len(face.select(source='words')) == 0
    assert len(analysis.timeline.slice(0.0, 0.0).select(person=2)) == 0
    assert len(analysis.timeline.select(name='speech', person=1)) >= 0


def test_names_that_differ_in_capitals_alone_are_told_apart():
    row = {'start_s': 0.0, 'end_s': 1.0, 'source': 'voice', 'name': 'speech', 'value': 1.0}
    both = Timeline.from_rows([{**row, 'person': 'Anna'}, {**row, 'person': 'anna'}])
    assert [both.select(person=name).people for name in ('Anna', 'anna')] == [('Anna',), ('anna',)]


def test_what_is_made_of_a_timeline_knows_the_same_people(analysis):
    one = analysis.timeline.select(person=1)
    for made in (one.shift(1.0), one.joined(), one.resample(1.0), one.slice(0.0, 1.0)):
        assert len(made.select(person=2)) == 0


def test_settings_are_taken_by_name_and_typos_refused(monkeypatch):
    seen = []

    class Remembering:
        def __init__(self, settings, *, keep_models):
            seen.append(settings)

        def analyze(self, path, *, progress=None):
            return None

    monkeypatch.setattr(analyzer, 'Analyzer', Remembering)
    affekt.analyze('clip.mp4', fps=5, asr='base')
    affekt.analyze('clip.mp4', fps=np.float64(5), transcript=Path('words.srt'))
    assert type(seen.pop().fps) is float
    affekt.analyze('clip.mp4', settings=AnalysisSettings(fps=2, max_people=3), fps=4)
    assert [(s.fps, s.asr, s.max_people) for s in seen] == [(5, 'base', 5), (4, 'tiny.en', 3)]
    with pytest.raises(UnknownNameError, match="did you mean 'fps'"):
        affekt.analyze('clip.mp4', fsp=5)
    for wrong in ({'fps': -1}, {'fps': '5'}, {'max_people': 2.5}, {'subtitles': 'yes'}, {'asr': None}, {'fps': True}):
        with pytest.raises(ValueRangeError, match=next(iter(wrong))):
            affekt.analyze('clip.mp4', **wrong)


def test_the_nearest_name_is_advised():
    assert did_you_mean('Fused ', ['face', 'fused']) == "did you mean 'fused'?"
    assert did_you_mean('zzz', ['face', 'fused']) == 'choose one of them'


def test_a_report_holds_the_recording_that_was_analyzed_while_it_is_unchanged(shared_data, tmp_path):
    clip = tmp_path / 'clip.jpg'
    clip.write_bytes((shared_data / 'test_media' / 'single_face.jpg').read_bytes())
    analysis = made_up(0.0, 1, 'image')
    source = dataclasses.replace(analysis.source, sha256=hashlib.sha256(clip.read_bytes()).hexdigest())
    analysis = dataclasses.replace(analysis, source=source, recording=clip)
    page = analysis.report(tmp_path / 'a.html')
    assert b'id="media"' in page.read_bytes()
    assert b'id="media">' not in analysis.report(tmp_path / 'b.html', embed=False).read_bytes()
    clip.write_bytes(clip.read_bytes() + b'\0')
    text = analysis.report(tmp_path / 'c.html').read_text()
    assert 'id="media">' not in text
    assert 'has changed since' in text
    clip.unlink()
    assert 'no longer where it was' in analysis.report(tmp_path / 'd.html').read_text()


def test_a_loaded_analysis_has_no_recording_unless_a_run_says_where_it_lay(analysis, tmp_path):
    assert Analysis.load(analysis.save(tmp_path / 'alone')).recording is None
