"""`affekt bench dfer` with real clips, a real checkpoint and real tuning, all of them tiny. Needs torch."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')

import torch
from small_clips import labelled

from affekt.benchmarks import (
    DferSettings,
    clip_sources,
    corpus_clips,
    dfer_candidates,
    modalities_of,
    narrowed_form,
    pretrained,
    run_dfer,
    scratch,
)
from affekt.benchmarks.dfer import _last_model
from affekt.cli import main
from affekt.cli.bench_training import FORM_NAMES
from affekt.clips import ClipSettings
from affekt.corpora import Manifest, made_up_corpus
from affekt.errors import CorpusError, UnknownNameError, WeightsError
from affekt.nn import save_tensors
from affekt.pretraining import (
    FORMS,
    HicmaeClassifier,
    HicmaeForm,
    HicmaePretraining,
    LabelledClip,
    TuningSettings,
    predict_proba,
    tune,
)
from affekt.pretraining.adapters import MIDDLE, STRENGTHS

SMALL = HicmaeForm(32, 2, 16, 2, depth=2, fusion_depth=1, decoder_depth=2, frames=4, size=32, steps=64, bands=128)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A run of pre-training, as far as its weights go: of both modalities, fresh."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp('pretrained')
    notes = {'family': 'hicmae', 'form': dataclasses.asdict(SMALL)}
    tensors = HicmaePretraining(SMALL).state_dict()
    save_tensors(folder / 'weights.safetensors', tensors, {'notes': json.dumps(notes)})
    return folder


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    """Forty-eight clips of one second of sound, whose pitch tells the category; four folds of pairs of speakers."""
    folder = tmp_path_factory.mktemp('corpus')
    few = made_up_corpus(media=folder / 'wav').keep(lambda row: row.dialogue.endswith('d1'))
    few = few.replaced(split=[None] * len(few), fold=[1 if row.fold < 3 else 2 for row in few.samples])
    few.save(folder / 'few.parquet')
    return folder / 'few.parquet'


def run(*words):
    return CliRunner().invoke(main, ['bench', 'dfer', *map(str, words)])


def test_the_command_tunes_every_fold_keeps_the_run_and_goes_on(checkpoint, corpus, tmp_path):
    words = [
        '--corpus', corpus, '--from', checkpoint, '--scratch', '--epochs', '1', '--batch-size', '12',
        '--features', 'none', '--resamples', '20', '--out', tmp_path / 'run',
    ]  # fmt: skip
    done = run(*words, '--json')
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert 'run-inputs/clips-audio: 48 clips, 0 frames' in done.stderr  # the size is told before anything is decoded
    name = checkpoint.name
    assert [row['model'] for row in facts['rows']] == ['constant', 'prior', name, 'scratch']
    row = facts['rows'][2]
    assert (row['headline'], row['modalities']) == ('uar', ['audio'])  # the branch of what the corpus has
    assert row['gain_over_scratch']['over']['model'] == 'scratch'
    assert np.isfinite([each['mean'] for each in facts['rows']]).all()
    assert facts['models'][name]['form']['modalities'] == ['audio']
    assert len(facts['models'][name]['sha256']) == 64
    assert {path.name for path in (tmp_path / 'run').iterdir()} >= {'dfer.json', 'dfer.md', 'dfer.html'}
    assert '<dt>samples in folds</dt><dd>48</dd>' in (tmp_path / 'run' / 'dfer.html').read_text()
    assert not list((tmp_path / 'run' / 'running').glob('*'))
    again = run(*words, '--resume')
    assert again.exit_code == 0, again.output
    assert 'clips-audio' not in again.stderr  # nothing is decoded again
    assert 'UAR and WAR, all folds together' in again.stdout
    assert max(map(len, again.stdout.splitlines())) <= 80
    other = run(*words[:-6], '--epochs', '2', *words[-6:], '--resume')
    assert other.exit_code == 2
    assert 'tuning' in other.output
    refused = run(*words, '--inputs', tmp_path / 'inputs')
    assert refused.exit_code == 2
    assert 'add --resume' in refused.output
    assert not (tmp_path / 'inputs').exists()  # nothing is decoded for a run that cannot begin


@pytest.mark.parametrize('protocol', ['fair', 'reference'])
def test_features_of_linear_probes_are_computed_once_for_all_folds(protocol, checkpoint, corpus, tmp_path, monkeypatch):
    manifest, settings = Manifest.load(corpus), DferSettings(protocol, resamples=20)
    clips = corpus_clips(manifest, ClipSettings(32, 'none', ('audio',)), tmp_path / 'inputs')
    sources, candidate = clip_sources(clips), pretrained(checkpoint, ('audio',))
    tuning, reads = TuningSettings(method='linear'), []
    counted = {
        name: dataclasses.replace(source, load=lambda name=name, source=source: reads.append(name) or source.load())
        for name, source in sources.items()
    }
    folder = tmp_path / 'run'
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr('affekt.benchmarks.dfer.constant_outputs', _interrupted)  # a kill before the first result
        run_dfer(manifest, counted, [candidate], settings, tuning, folder=folder)
    outcome = run_dfer(manifest, counted, [candidate], settings, tuning, folder=folder, resume=True)
    assert sorted(reads) == sorted(manifest.names)  # each once, also after the interruption
    # each fold alone
    task = outcome.task
    expected = np.zeros((len(manifest), task.classes), dtype=np.float32)
    for fold in task.fair if protocol == 'fair' else task.reference:
        train, validation = (
            [LabelledClip(sources[manifest.names[clip]].load, int(task.labels[clip])) for clip in index.tolist()]
            for index in (fold.train, fold.validation)
        )
        is_reference = protocol == 'reference'
        own = dataclasses.replace(tuning, seed=1, reference=is_reference)
        alone = tune(candidate.open(task.outputs, 1), train, validation, own)
        expected[fold.test] = predict_proba(
            alone.model, [sources[manifest.names[clip]].load for clip in fold.test.tolist()],
            views='published' if is_reference else 'distinct',
        )  # fmt: skip
    row = next(row for row in outcome.rows if row.system.name == candidate.name)
    np.testing.assert_allclose(row.system.logits[0], expected, atol=1e-5)
    assert not (folder / 'running').exists()
    if protocol == 'reference':  # the tested fold chooses no strength but that of the oracle
        assert row.system.chosen == ({'epochs': [STRENGTHS.index(MIDDLE) + 1]},) * len(task.reference)
        oracle = next(row for row in outcome.rows if row.system.protocol == 'best test')
        assert oracle.scores['uar'].value >= row.scores['uar'].value


def _interrupted(*_):
    raise KeyboardInterrupt


def test_without_a_model_the_baselines_stand_alone(corpus, tmp_path):
    done = run('--corpus', corpus, '--features', 'none', '--resamples', '20', '--json')
    assert done.exit_code == 0, done.output
    assert [row['model'] for row in json.loads(done.stdout)['rows']] == ['constant', 'prior']


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--scratch'], 'no --from'),
        (['--modalities', 'video'], 'names audio alone'),
        (['--scratch', 'svfap-small'], 'clips with video'),
        (['--from', 'nowhere'], 'nowhere'),
        (['--protocol', 'fare'], "'fare' for --protocol"),
        (['--features', 'acoustic-utt'], 'acoustic-utt'),
        (['--scratch', 'hicmae-tiny', '--out', 'run', '--features', 'acoustics-utt,acoustic-utt'], 'got acoustic-utt'),
    ],
)
def test_what_cannot_be_run_is_one_sentence_and_exit_code_2(corpus, words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run('--corpus', corpus, *words)
    assert done.exit_code == 2
    assert said in ' '.join(done.output.split())
    assert 'Traceback' not in done.output
    assert not (tmp_path / 'run-inputs').exists()  # nothing is decoded or extracted


def test_forms_of_the_command_are_those_that_there_are():
    assert tuple(FORMS) == FORM_NAMES


def test_a_checkpoint_is_taken_with_the_branches_that_the_corpus_has(checkpoint):
    both, heard = pretrained(checkpoint), pretrained(checkpoint, ('audio',), name='heard')
    assert (both.reads, heard.reads, heard.name) == (('video', 'audio'), ('audio',), 'heard')
    first, second = heard.open(3, 1), heard.open(3, 2)
    assert first.head.out_features == 3
    assert not hasattr(first, 'encoder_fusion')
    # the encoder is the checkpoint's whatever the seed, the head is the seed's
    left, right = (dict(model.named_parameters()) for model in (first, second))
    same = {name for name in left if torch.equal(left[name], right[name])}
    assert any(name.startswith('encoder_audio.') and name.endswith('weight') for name in same)
    assert 'head.weight' not in same


def test_two_checkpoints_of_one_name_and_a_form_from_random_weights_are_told_apart(checkpoint):
    models = dfer_candidates([checkpoint, checkpoint], 'same', ('audio',))
    name = checkpoint.name
    assert [(model.name, model.beside) for model in models] == [
        (f'{name} 1', ('scratch',)), (f'{name} 2', ('scratch',)), ('scratch', ())
    ]  # fmt: skip
    assert models[2].form == models[0].form
    with pytest.raises(UnknownNameError):
        dfer_candidates([], 'same', ('audio',))


def test_a_fine_tuned_checkpoint_gives_its_encoders_and_not_its_head(tmp_path):
    form = dataclasses.replace(SMALL, modalities=('audio',))
    torch.manual_seed(5)
    tuned = HicmaeClassifier(form, 3)
    notes = {'family': 'hicmae', 'form': dataclasses.asdict(form)}
    save_tensors(tmp_path / 'weights.safetensors', tuned.state_dict(), {'notes': json.dumps(notes)})
    candidate = pretrained(tmp_path, name='tuned')
    assert candidate.facts['stage'] == 'finetune'
    model = candidate.open(3, 1)
    assert torch.equal(model.encoder_audio.patch_embed.proj.weight, tuned.encoder_audio.patch_embed.proj.weight)
    assert not torch.equal(model.head.weight, tuned.head.weight)


def test_a_folder_with_the_name_of_a_baseline_is_numbered(checkpoint, tmp_path):
    folder = tmp_path / 'linear'
    folder.mkdir()
    (folder / 'weights.safetensors').symlink_to(checkpoint / 'weights.safetensors')
    models = dfer_candidates([folder], 'same', ('audio',))
    assert [model.name for model in models] == ['linear 1', 'scratch']


def test_the_last_epoch_is_that_of_a_run_that_takes_the_last(tmp_path):
    small = dataclasses.replace(SMALL, modalities=('audio',))
    clips = labelled(12, has='audio')
    settings = TuningSettings(epochs=2, batch_size=6, warm_up=0.0, reference=True, patience=None)

    def tuned(chooses, folder):
        model = scratch(small).open(3, 1)
        return tune(model, clips[:9], clips[9:], dataclasses.replace(settings, chooses=chooses), folder=folder)

    best, last = tuned('best', tmp_path / 'best'), tuned('last', None)
    kept = _last_model(best, tmp_path / 'best').state_dict()
    assert all(torch.equal(kept[name], value) for name, value in last.model.state_dict().items())
    assert _last_model(best, None) is None


def test_random_weights_follow_the_seed():
    candidate = scratch(dataclasses.replace(SMALL, modalities=('audio',)))
    one, same, other = (candidate.open(2, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one['head.weight'], other['head.weight'])


def test_forms_and_corpora_that_do_not_meet_are_refused(corpus, tmp_path):
    with pytest.raises(CorpusError, match='svfap-small reads'):
        narrowed_form('svfap-small', ('audio',))
    with pytest.raises(CorpusError, match='names none'):
        modalities_of(made_up_corpus())
    with pytest.raises(WeightsError):
        pretrained(tmp_path / 'absent.pth')
