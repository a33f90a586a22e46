"""The verb `finetune`: one line of options to a folder, and errors as sentences."""

from __future__ import annotations

import json
import wave

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_clips import SMALL

from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample
from affekt.nn import save_tensors
from affekt.pretraining import HicmaePretraining
from affekt.pretraining.masked_training import form_notes


@pytest.fixture
def place(tmp_path):
    """A manifest of 12 tones by four speakers, and a checkpoint."""
    rows = []
    for at in range(12):
        tone = 0.3 * np.sin(2 * np.pi * (300, 3000)[at % 2] * np.arange(12_000) / 16_000)
        with wave.open(str(tmp_path / f's{at}.wav'), 'wb') as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes((tone * 32767).astype('<i2').tobytes())
        rows.append(Sample(f's{at}', audio=f's{at}.wav', category=('low', 'high')[at % 2], speaker=f'p{at // 3}'))
    Manifest(Facts('tones', categories=('low', 'high'), root=str(tmp_path)), rows).save(tmp_path / 'm.parquet')
    torch.manual_seed(0)
    notes = {'notes': json.dumps(form_notes(SMALL))}
    save_tensors(tmp_path / 'run.safetensors', HicmaePretraining(SMALL).state_dict(), notes)
    return tmp_path


def run(place, *options):
    source, manifest = str(place / 'run.safetensors'), str(place / 'm.parquet')
    return CliRunner().invoke(main, ['finetune', '--from', source, '--manifest', manifest, *options])


def test_a_corpus_without_pictures_tunes_the_branch_of_sound(place):
    out = place / 'tuned'
    done = run(place, '--out', str(out), '--kind', 'linear', '--test', 'speaker=p0', '--json')
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts['parts'] == {'train': 6, 'validation': 3, 'test': 3}
    assert {row['score']: row['value'] for row in facts['scores'] if row['part'] == 'test'}['UAR'] == 1.0
    assert '| reads | audio |' in (out / 'card.md').read_text()
    assert 'clips in' in done.stderr
    again = run(place, '--out', str(out), '--kind', 'linear', '--test', 'speaker=p0')
    assert again.exit_code == 2
    assert 'add --resume' in again.stderr
    shown = run(place, '--out', str(out), '--kind', 'linear', '--test', 'speaker=p0', '--resume')
    assert shown.exit_code == 0
    assert 'constant answer' in shown.stdout


def test_wrong_options_are_sentences(place):
    for options, words in (
        (('--label', 'arousal'), 'clips with arousal; got none among the 12'),
        (('--label', 'joy'), 'emotion, or some of valence'),
        (('--modalities', 'smell'), 'modalities that the checkpoint reads'),
        (('--validation', 'split=val'), 'values of the column split'),
        (('--objective', 'ccc'), 'objective of classes: cross_entropy; got ccc'),
    ):
        done = run(place, '--out', str(place / 'out'), *options)
        assert done.exit_code == 2, options
        assert words in ' '.join(done.stderr.split()), options
        assert 'Traceback' not in done.output
