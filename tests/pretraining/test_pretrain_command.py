"""The verb `pretrain`, the examples of its page, and the recipe of the published scale."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pretrain_cases as cases
import pytest
import torch
from click.testing import CliRunner

from affekt.checkpoints import opened
from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample
from affekt.nn import read_tensors
from affekt.pretraining import forms

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'pretraining.md').read_text()


@pytest.fixture(scope='module')
def corpus(tmp_path_factory) -> Path:
    return cases.corpus_in(tmp_path_factory.mktemp('corpus'))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A network of 30,000 numbers under the name of the smallest."""
    monkeypatch.setitem(forms.FORMS, 'hicmae-tiny', lambda: cases.FORM)


def called(*words: object):
    return CliRunner().invoke(main, ['pretrain', *map(str, words)])


def test_a_run_says_what_it_learnt_from_and_goes_on(corpus, tmp_path):
    out = tmp_path / 'run'
    words = ('hicmae', '--manifest', corpus, '--out', out, '--crop', 'none', '--batch-size', 5, '--epochs', 4)
    done = called(*words, '--save-every', 2, '--snapshot-every', 2)
    assert done.exit_code == 0, done.output
    sizes, answer = done.stderr, done.stdout
    assert re.search(r'clips in .*run-clips: 6 clips, .* 1 of these cannot be read', sizes)
    assert sizes.index('run-clips') < sizes.index('5 of 6 clips, 4 with frames and 4 with audio')
    assert '5 clips: 4 with frames, 4 with audio, 3 with both' in answer
    assert 'of the clips as they were drawn: 4 without video, 4 without audio; what is missing was masked' in answer
    assert re.search(r'4 steps: loss .*GB of memory', answer, flags=re.DOTALL)
    assert (out / 'curves.html').is_file()
    assert opened(out / 'weights-epoch-0002.safetensors').notes['epoch'] == 2.0
    again = called(*words, '--save-every', 2, '--snapshot-every', 2, '--resume', '--json')
    assert again.exit_code == 0, again.output
    told = json.loads(again.stdout)
    assert (told['clips'], told['unread'], told['drawn']) == (
        5,
        0,
        {'without_video': 4, 'without_audio': 4, 'unread': 0},
    )
    refused = called(*words, '--cache', tmp_path / 'another')
    assert refused.exit_code == 2
    assert '--resume' in refused.stderr
    assert not (tmp_path / 'another').exists()  # nothing is decoded for a run that cannot begin


def test_one_modality_is_learnt_from_alone(corpus, tmp_path):
    common = ('--manifest', corpus, '--crop', 'none', '--batch-size', 4, '--steps', 1, '--frames-size', 48)
    for word, expected in (('--audio-only', 'encoder_audio'), ('--video-only', 'encoder')):
        extra = ('--no-cache',) if word == '--audio-only' else ()
        out = tmp_path / word.strip('-')
        done = called('hicmae', *common, '--out', out, word, *extra)
        assert (tmp_path / f'{out.name}-clips').exists() != bool(extra)
        assert done.exit_code == 0, done.output
        branches = {name.split('.')[0] for name in read_tensors(out / 'weights.safetensors')[0] if 'blocks' in name}
        assert branches == {expected, expected.replace('encoder', 'decoder')}


def test_what_cannot_be_learnt_from_is_refused_in_a_sentence(corpus, tmp_path):
    root = corpus.parent
    empty, wordy = tmp_path / 'empty.parquet', tmp_path / 'words.parquet'
    Manifest(Facts('made up', root=str(root)), []).save(empty)
    Manifest(Facts('made up', root=str(root)), [Sample('a', text='words')]).save(wordy)
    faceless = tmp_path / 'gone.parquet'
    Manifest(Facts('made up', root=str(root)), [Sample('gone', video='gone.mp4')]).save(faceless)
    cases = {
        (empty,): 'expected a manifest with samples; got an empty one',
        (wordy,): 'expected samples with video or frames or audio; got 1 with .text',
        (faceless, '--crop', 'none', '--batch-size', 1): 'expected clips that can be used; got 0 of 1 clips',
        (corpus, '--audio-only', '--video-only'): 'got both',
        (corpus, '--crop', 'none', '--batch-size', 99): 'as many clips as a batch has, 99; got',
        (corpus, '--crop', 'none', '--batch-size', 3, '--learning-rate', 0): 'learning_rate',
        (corpus, '--crop', 'none', '--batch-size', 3, '--accumulation', 2): 'share evenly; got 3',
        (corpus, '--crop', 'none', '--batch-size', 3, '--warm-up-epochs', 100): 'a warm-up shorter than the run',
        (corpus, '--frames-size', 16, '--batch-size', 3): 'a share of 1 tokens that hides one',
        (corpus, '--device', 'tpu'): "a device that this torch has, .* got 'tpu'",
        (corpus, '--no-cache', '--batch-size', 1): "the crop 'published' or 'none'",
        (tmp_path / 'nowhere.parquet',): 'which is not there',
    }
    for number, ((manifest, *words), sentence) in enumerate(cases.items()):
        done = called('hicmae', '--manifest', manifest, '--out', tmp_path / f'out{number}', *words)
        assert done.exit_code == 2, done.output
        assert re.search(sentence, done.stderr), done.stderr
        assert 'Traceback' not in done.output
        assert 'clips in' not in done.stderr or manifest == faceless  # nothing was decoded
    done = called('svfap', '--manifest', corpus, '--out', tmp_path / 'x', '--audio-only')
    assert 'such as hicmae' in done.stderr
    assert 'hicmae-tiny' in called('svfap', '--size', 'tiny', '--manifest', corpus, '--out', tmp_path / 'x').stderr


def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    (example,) = re.findall(r'```python\n(.*?)```', PAGE, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(example, names)
    assert len(names['coverage'].rows) == len(names['model'].state_dict())
    assert torch.equal(names['model'].mask_token, names['done'].model.mask_token)
