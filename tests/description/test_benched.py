"""A describer in a folder, benched as any model: asked once, scored, and the record of its weights beside the score."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from clip_describers import QUESTION, saved_describer
from made_up_sets import made_up_sets

from affekt.cli import main
from affekt.describers import ModelChoice, answered, opened
from affekt.description import open_clip_describer, weights_sha256


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return saved_describer(tmp_path_factory.mktemp('benched'), kind=['voice'])


def test_a_describers_folder_becomes_scores_and_its_weights_are_noted(folder, tmp_path, shared_data):
    labels, media = made_up_sets(tmp_path, size=4)
    words = [
        'bench', 'unibench', '--model', f'tiny={folder}', '--labels', str(labels), '--media', str(media),
        '--tables', str(shared_data / 'wheels' / '2025'), '--set', 'meld', '--resamples', '50',
        '--out', str(tmp_path / 'run'), '--json',
    ]  # fmt: skip
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)['models']['tiny']['record']
    assert record['weights_sha256'] == weights_sha256(open_clip_describer(folder, asr='none').describer)
    assert (record['question'], set(record['recipes']), record['device']) == (QUESTION, {'voice'}, 'cpu')
    assert {'trunk', 'prompt', 'limits', 'precision', 'word_table', 'versions', 'label_reader'} <= set(record)
    written = (tmp_path / 'run' / 'tiny' / 'predictions' / 'meld' / 'answers.csv').read_bytes()
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 0
    assert (tmp_path / 'run' / 'tiny' / 'predictions' / 'meld' / 'answers.csv').read_bytes() == written


def test_what_was_answered_is_not_answered_again(folder, tmp_path):
    from affekt.corpora import Manifest

    _, media = made_up_sets(tmp_path, size=4)
    manifest = Manifest.load(media / 'meld.parquet').where(sample=('meld_dia0_0', 'meld_dia0_1'))
    with opened(ModelChoice('tiny', str(folder)), tmp_path / 'm') as model:
        first = list(answered(model, manifest, tmp_path / 'm' / 'a'))
        model.answers = None  # would fail if anything were asked
        assert list(answered(model, manifest, tmp_path / 'm' / 'a')) == first
