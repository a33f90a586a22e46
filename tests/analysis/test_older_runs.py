"""Runs as affekt 0.1.0 first wrote them, with the weights of the sources as text: they open, report and export as then.

`data/run_with_text_weights` is the made-up recording of `conftest.py`, analyzed before weights were columns of numbers.
`expected_of_text_weights.json` is what that program exported (as sha256) and drew. Only the captions differ: they leave
out 'calm', which was 0.3 sure; the other exports keep it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from affekt.analysis import LEAST_TOLD, Analysis, Timeline, export
from affekt.cli import main
from affekt.report.payload import report_payload

DATA = Path(__file__).parent / 'data'
NAME = 'made-up-0123456789ab'
EXPECTED = json.loads((DATA / 'expected_of_text_weights.json').read_text())
NO_MEDIA = {'kind': 'none', 'mime': '', 'sound': False, 'note': ''}


@pytest.fixture
def run(tmp_path) -> Path:
    return Path(shutil.copytree(DATA / 'run_with_text_weights', tmp_path / 'run'))


def test_the_run_has_its_weights_as_text(run):
    assert 'weights' in pq.read_schema(run / NAME / 'timeline.parquet').names


def test_weights_of_an_older_run_are_numbers_when_it_is_opened(run):
    opened = Analysis.load(run / NAME)
    weights = opened.timeline.series('person 1').weights
    torn = opened.timeline.series('person 1').start_s == 22.0
    # Three sources take part from 20 to 25 s; where the face is alone it has the whole weight.
    assert weights[torn].sum() == pytest.approx(1.0, abs=0.015)
    assert weights[0, 0] == 1.0
    assert np.isnan(weights[0, 1:]).all()
    # Older runs weighed each source once, for everything.
    assert np.array_equal(opened.timeline.series('person 1').weights_for('arousal'), weights, equal_nan=True)


@pytest.mark.parametrize('to', sorted(EXPECTED['exports']))
def test_an_older_run_is_exported_to_the_byte_as_then(run, tmp_path, to):
    out = export(run / NAME, to, tmp_path / 'out')
    assert hashlib.sha256(out.read_bytes()).hexdigest() == EXPECTED['exports'][to]


def test_words_that_captions_leave_out_stay_in_the_other_exports(run, tmp_path):
    (label,) = [x for x in Analysis.load(run / NAME).labels if x.word == 'calm' and x.scope == 'span' and x.start_s < 1]
    assert label.certainty < LEAST_TOLD
    captions, tiers = (export(run / NAME, to, tmp_path / to).read_text() for to in ('vtt', 'textgrid'))
    assert 'calm' not in captions
    assert f'calm {label.certainty:.2f}' in tiers


def test_an_older_run_is_drawn_as_then(run):
    payload = report_payload(Analysis.load(run / NAME), NO_MEDIA)
    assert {person['name']: person['series'] for person in payload['people']} == EXPECTED['series']
    assert payload['coverage'] == EXPECTED['coverage']


def test_an_older_run_saved_again_has_numbers_and_exports_the_same(run, tmp_path):
    folder = Analysis.load(run / NAME).save(tmp_path / 'again')
    names = pq.read_schema(folder / 'timeline.parquet').names
    assert {'weight_face', 'weight_voice', 'weight_words'} <= set(names)
    assert 'weights' not in names
    out = export(folder, 'csv', tmp_path / 'out.csv')
    assert hashlib.sha256(out.read_bytes()).hexdigest() == EXPECTED['exports']['csv']


def test_an_exported_timeline_is_read_back_with_its_weights(run, tmp_path):
    out = export(run / NAME, 'parquet', tmp_path / 'out.parquet')
    assert Timeline.read_parquet(out) == Analysis.load(run / NAME).timeline


def test_report_and_export_of_an_older_run_from_the_command_line(run):
    for command in (['report', str(run)], ['export', str(run), '--to', 'vtt']):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    assert (run / NAME / 'report.html').is_file()
    assert (run / NAME / 'exported.vtt').read_text().startswith('WEBVTT')
