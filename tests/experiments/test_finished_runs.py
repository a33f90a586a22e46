"""Runs that an earlier affekt wrote go on, and what was given is named. Skipped without torch."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')

from affekt.benchmarks import FinetuningSettings, MerbenchSettings, merbench, run_merbench
from affekt.challenges import TrackSettings, train_track, training
from affekt.corpora import Facts, Manifest, Sample, made_up_corpus
from affekt.experiments import Answers, ExperimentSettings, FinishedRuns, Outputs, Trial, open_task
from affekt.experiments.trial import given_names
from affekt.features import Features, Provenance, Store, write_features

DATA = Path(__file__).parent / 'data'
"""Folders as an affekt wrote them that called the batch size `batch` and kept the answers with modalities missing side
by side, without names; beside them what it made of them."""
CODES = {'neutral': (0.0, 0.0), 'happy': (3.0, 0.0), 'sad': (0.0, 3.0)}


def stored(path, names, values, recipe='made', digest=''):
    rows = [Features(name, row[None].astype(np.float32)) for name, row in zip(names, values, strict=True)]
    write_features(path, rows, Provenance(recipe, digest or 'made' + path.name, values.shape[1], {}))
    return Store(path)


@pytest.fixture
def corpus():
    return made_up_corpus()


@pytest.fixture
def stores(corpus, tmp_path):
    rng = np.random.default_rng(7)
    told = np.array([CODES[row.category] for row in corpus.samples]) + rng.normal(0, 0.3, (len(corpus), 2))
    text = stored(tmp_path / 'text.features.arrow', corpus.names, told)
    audio = stored(tmp_path / 'audio.features.arrow', corpus.names, rng.normal(0, 1, (len(corpus), 3)))
    return {'audio': audio, 'text': text}


def forbidden(trial):
    pytest.fail(f'trained {trial}')


def test_a_merbench_run_of_an_earlier_version_is_read_and_not_trained_again(corpus, stores, tmp_path, monkeypatch):
    shutil.copytree(DATA / 'merbench_run', tmp_path / 'run')
    monkeypatch.setattr(merbench, 'fair_run', forbidden)
    monkeypatch.setattr(merbench, 'reference_run', forbidden)
    settings = MerbenchSettings(
        protocol='both', seeds=1, trials=1, epochs=2, patience=1, batch_size=16, resamples=20, missing=True,
        target='category+valence',
    )  # fmt: skip
    outcome = run_merbench(corpus, stores, settings, folder=tmp_path / 'run', resume=True)
    rows = [
        ['+'.join(row.system.modalities), row.system.name, row.system.protocol, row.system.given,
         {name: row.scores[name].value for name in ('combined', 'weighted_f1', 'mse')}] for row in outcome.rows
    ]  # fmt: skip
    assert rows == json.loads((DATA / 'merbench_run_scores.json').read_text())


def test_a_track_run_of_an_earlier_version_is_read_and_not_trained_again(tmp_path, monkeypatch):
    six = ('neutral', 'angry', 'happy', 'sad', 'worried', 'surprise')

    def clips(prefix, count):
        rows = tuple(Sample(f'{prefix}{at}', category=six[at % 6], valence=float(at % 6) - 2) for at in range(count))
        return Manifest(Facts('made up', categories=six, ranges={'valence': (-5.0, 5.0)}), rows)

    labelled, unlabelled = clips('l', 24), clips('u', 12)
    names = [*labelled.names, *unlabelled.names]
    stores = {
        modality: stored(tmp_path / f'{modality}.features.arrow', names, np.ones((36, 4)), f'made-{modality}',
                         f'hash-{modality}')
        for modality in ('audio', 'text')
    }  # fmt: skip
    shutil.copytree(DATA / 'track_run', tmp_path / 'run')
    monkeypatch.setattr(training, 'fair_run', forbidden)
    settings = TrackSettings(
        'gated', semi='pseudo', trials=1, folds=2, epochs=2, batch_size=4, thresholds=(0.7,), seed=4
    )  # fmt: skip
    track = train_track('mer2023-multi', labelled, unlabelled, stores, settings, folder=tmp_path / 'run', resume=True)
    answers = {name: list(cells) for name, cells in track.answers().items()}
    assert {
        'answers': answers, 'labelled_alone': list(track.labelled_alone),
        'with_unlabelled': list(track.with_unlabelled),
    } == json.loads((DATA / 'track_run_answers.json').read_text())  # fmt: skip


@pytest.mark.parametrize('target', ['category', 'sentiment', 'category+valence'])
def test_answers_with_modalities_missing_come_back_under_their_names(corpus, stores, tmp_path, target, rng):
    settings = ExperimentSettings(target=target)
    task = open_task(corpus, stores, settings)
    trial = Trial(task, task.fair[0], ('audio', 'text'), 'linear', {}, settings, 1, withholds=True)
    size, width = len(trial.fold.test), 0 if task.values is None else 1

    def made():
        return Outputs(
            rng.normal(size=(size, task.classes)).astype(np.float32), rng.normal(size=(size, width)).astype(np.float32)
        )

    names = given_names(trial.modalities)
    assert names == ('audio', 'text', 'any:0.1', 'any:0.2', 'any:0.3', 'any:0.4', 'any:0.5', 'any:0.6', 'any:0.7')
    answers = Answers(0.5, 3, 'healthy', 7, made(), None, {name: made() for name in reversed(names)})
    for resume in (False, True):
        with FinishedRuns(tmp_path / 'run', {'seed': 1}, resume=resume) as runs:
            again = runs.answers('all/linear/seed1', trial, (lambda _: answers) if not resume else forbidden)
    assert dataclasses.replace(again, test=None, given={}) == dataclasses.replace(answers, test=None, given={})
    assert again.oracle is None
    assert tuple(again.given) == names
    for name, outputs in {'': again.test, **again.given}.items():
        expected = answers.given[name] if name else answers.test
        np.testing.assert_array_equal(outputs.logits, expected.logits)
        np.testing.assert_array_equal(outputs.values, expected.values)


def test_answers_of_something_else_are_done_again_and_said(corpus, stores, tmp_path, caplog):
    task = open_task(corpus, stores, ExperimentSettings())
    trial = Trial(task, task.fair[0], ('audio', 'text'), 'linear', {}, ExperimentSettings(), 1)
    size = len(trial.fold.test)

    def run(rows, columns):
        outputs = Outputs(np.ones((rows, columns), np.float32), np.ones((rows, 0), np.float32))
        return lambda _: Answers(0.5, 1, 'healthy', 1, outputs)

    for number, (rows, columns) in enumerate([(size, 2), (size - 1, 3), (size, 3)]):
        with FinishedRuns(tmp_path / f'run{number}', {}, resume=False) as runs:
            runs.answers('one', trial, run(rows, columns))
        calls = []
        with FinishedRuns(tmp_path / f'run{number}', {}, resume=True) as runs:
            again = runs.answers('one', trial, lambda _: calls.append(1) or run(size, 3)(_))  # noqa: B023
        assert again.test.logits.shape == (size, 3)
        assert len(calls) == (0 if (rows, columns) == (size, 3) else 1)
    assert caplog.text.count('is done again') == 2
    # a trial that withholds is not answered by one that did not
    caplog.clear()
    asking = dataclasses.replace(trial, withholds=True)
    with FinishedRuns(tmp_path / 'run2', {}, resume=True) as runs:
        runs.answers('one', asking, run(size, 3))
    assert 'answers to 0 of 9 ways of withholding' in caplog.text


@pytest.mark.parametrize('settings', [MerbenchSettings, ExperimentSettings, TrackSettings, FinetuningSettings])
def test_settings_still_take_their_old_names(settings):
    with pytest.warns(FutureWarning, match='batch is now batch_size'):
        made = settings(batch=7)
    assert made == settings(batch_size=7)
    with pytest.warns(FutureWarning, match='batch is now batch_size'):
        assert dataclasses.replace(made, batch=9).batch_size == 9
    with pytest.warns(FutureWarning, match='batch is now batch_size'):
        assert made.batch == 7


def test_learning_rates_of_fine_tuning_still_take_their_old_names():
    with pytest.warns(FutureWarning, match='rates is now'):
        made = FinetuningSettings(rates=(1e-2,), frozen_rates=(1e-3,))
    assert (made.learning_rates, made.frozen_learning_rates) == ((1e-2,), (1e-3,))
