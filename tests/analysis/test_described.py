"""What a model says of a recording stands beside the description from measurements, and never in its place."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from affekt.analysis import Analysis, AnalysisSettings, Analyzer, Described, DescribedClue, described_by, export
from affekt.analysis import analyzer as module
from affekt.batch import with_changes
from affekt.people import Rename
from affekt.report.payload import report_payload

NO_MEDIA = {'kind': 'none', 'mime': '', 'sound': False, 'note': ''}
SAID = Described(
    'small one', 'She seems sad --> and low.', ('sad',), 'template', (DescribedClue('Her voice is low.', ('voice',)),),
    (DescribedClue('She smiles.', ('face',)),), {'face': 'no picture'}, 'Well.', '', 'ab' * 32,
)  # fmt: skip


@pytest.fixture
def recording(tmp_path):
    with wave.open(str(tmp_path / 'a.wav'), 'wb') as file:
        file.setparams((1, 2, 16_000, 0, 'NONE', ''))
        file.writeframes(np.zeros(8_000, '<i2').tobytes())
    return tmp_path / 'a.wav'


@pytest.fixture
def analysis(recording, monkeypatch):
    asked = []

    def open_model_words(model):
        asked.append(model)
        return lambda path, spoken: dataclasses.replace(SAID, words=f'{path.name}:{spoken}')

    monkeypatch.setattr(module, 'open_model_words', open_model_words)
    analyzer = Analyzer(AnalysisSettings(asr='none', describe_model='run'))
    made = analyzer.analyze(recording)
    analyzer.analyze(recording)
    assert asked == ['run']  # opened once
    return made


def test_it_stands_beside_the_description_and_is_read_back(analysis, recording, tmp_path):
    plain = Analyzer(AnalysisSettings(asr='none')).analyze(recording)
    assert analysis.description == plain.description
    assert plain.described == ()
    assert analysis.described[0].words == 'a.wav:'
    loaded = Analysis.load(analysis.save(tmp_path / 'run'))
    assert loaded.described == analysis.described
    assert loaded.summary()['described'][0]['evidence'] == [{'text': 'Her voice is low.', 'of': ['voice']}]
    assert 'described' not in plain.summary()
    assert 'described' not in plain.to_dict()


def test_it_stays_when_people_are_renamed(analysis, observed):
    from affekt.analysis.assemble import assemble

    made = dataclasses.replace(assemble(observed, AnalysisSettings()), described=(SAID,))
    person = made.people[0].name
    assert with_changes(made, [Rename(person, 'Ada')]).described == (SAID,)


def test_exports_say_whose_words_they_are(analysis, tmp_path):
    assert json.loads(export(analysis, 'json', tmp_path / 'a.json').read_text())['described'][0]['labels'] == ['sad']
    for form in ('eaf', 'textgrid'):
        text = export(analysis, form, tmp_path / f'a.{form}').read_text()
        assert 'described by model small one' in text
        assert 'She seems sad' in text
    captions = export(analysis, 'vtt', tmp_path / 'a.vtt').read_text()
    assert captions.startswith('WEBVTT')
    assert 'NOTE described by model small one: She seems sad -> and low.' in captions


def test_the_report_has_it_apart(analysis):
    payload = report_payload(analysis, NO_MEDIA)
    assert payload['described'][0]['by'] == 'small one'
    assert ['Struck out', 'She smiles. (face not perceived)'] in payload['described'][0]['facts']
    assert ['Voice', 'Her voice is low.'] in payload['described'][0]['facts']
    assert all('sad' not in sentence['text'] for sentence in payload['sentences'])


def test_settings_of_runs_without_a_describer_are_saved_as_before(tmp_path):
    assert not {'describe', 'describe_model'} & AnalysisSettings().recorded().keys()
    (tmp_path / 'describer.json').write_text('{}')
    recorded = AnalysisSettings(describe_model=str(tmp_path)).recorded()
    assert recorded['describe'] is True
    assert recorded['describe_files'].keys() == {'describer.json'}


def test_what_a_describer_answers_becomes_a_record():
    answer = SimpleNamespace(
        text='Sad.', labels=('sad',), form='list', evidence=(SimpleNamespace(text='Low.', of=('voice',)),), invented=()
    )
    clip = SimpleNamespace(lacking={'face': 'none'}, words='Well.')
    record = described_by('x', clip, SimpleNamespace(answer=answer, failure=''), 'cd')
    assert record == Described(
        'x', 'Sad.', ('sad',), 'list', (DescribedClue('Low.', ('voice',)),), (), {'face': 'none'}, 'Well.', '', 'cd'
    )


def test_the_small_describer_is_asked_where_none_is_named():
    assert AnalysisSettings(describe=True).describe_model == 'small'
    assert AnalysisSettings(describe_model=Path('small')).describe_model == str(Path.cwd() / 'small')  # a folder
    assert (AnalysisSettings().describe_model, AnalysisSettings(describe_model='run').describe) == ('', True)


def test_the_main_job_loads_nothing_of_describers_without_being_asked():
    code = """
import sys
from affekt.analysis import Analyzer, AnalysisSettings
Analyzer(AnalysisSettings(asr='none'))
import affekt.batch, affekt.report, affekt.cli
print({'torch', 'transformers', 'peft', 'affekt.description'} & set(sys.modules))
"""
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == 'set()'
