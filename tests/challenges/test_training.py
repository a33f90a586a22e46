"""From a labelled and an unlabelled manifest to a submission. Needs torch; without it the tests are skipped."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')

from affekt.challenges import TrackSettings, train_track
from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError, RunError, UnknownNameError, ValueRangeError
from affekt.features import Features, Provenance, Store, write_features

SIX = ('neutral', 'angry', 'happy', 'sad', 'worried', 'surprise')
QUICK = TrackSettings('gated', trials=1, folds=2, epochs=15, batch_size=8, thresholds=(0.7,), seed=4)
FACTS = Facts('made up', categories=SIX, ranges={'valence': (-5.0, 5.0)})


def clips(prefix, count, split=None):
    """Categories in turn; the valence is that of their place."""
    rows = tuple(
        Sample(f'{prefix}{at}', category=SIX[at % 6], valence=float(at % 6) - 2, split=split) for at in range(count)
    )
    return Manifest(FACTS, rows)


def stored(path, *manifests, modality, spread=0.5, without=()):
    """A store in which each category is a cloud."""
    rng = np.random.default_rng(len(modality))
    centres = np.random.default_rng(5).normal(0, 2, (6, 4))
    rows = [
        Features(row.sample, (centres[SIX.index(row.category)] + rng.normal(0, spread, 4))[None].astype(np.float32))
        for manifest in manifests
        for row in manifest.samples
        if row.sample not in without
    ]
    write_features(path, rows, Provenance(f'made-{modality}', f'hash-{modality}', 4, {}))
    return Store(path)


@pytest.fixture
def parts(tmp_path):
    labelled, unlabelled = clips('l', 36), clips('u', 120)
    stores = {
        modality: stored(tmp_path / f'{modality}.features.arrow', labelled, unlabelled, modality=modality)
        for modality in ('audio', 'text')
    }
    return labelled, unlabelled, stores


@pytest.mark.parametrize('semi', ['none', 'pseudo', 'consistency'])
def test_clouds_are_named_whatever_the_truth_of_unlabelled_clips_says(semi, parts):
    labelled, unlabelled, stores = parts
    settings = dataclasses.replace(QUICK, semi=semi)
    found = train_track('mer2023-semi', labelled, unlabelled, stores, settings)
    right = [cells[0] == row.category for cells, row in zip(found.answers().values(), unlabelled.samples, strict=True)]
    assert np.mean(right) > 0.85
    assert len(found.labelled_alone) == 2
    assert len(found.with_unlabelled) == (2 if semi != 'none' else 0)
    blank = tuple(dataclasses.replace(row, category='sad', valence=None) for row in unlabelled.samples)
    few = dataclasses.replace(settings, epochs=2)
    told, untold = (
        train_track('mer2023-semi', labelled, dataclasses.replace(unlabelled, samples=samples), stores, few)
        for samples in (unlabelled.samples, blank)
    )
    np.testing.assert_array_equal(told.probabilities, untold.probabilities)


def test_valence_is_answered_where_the_track_asks_for_it(parts):
    labelled, unlabelled, stores = parts
    found = train_track('mer2023-multi', labelled, unlabelled, stores, dataclasses.replace(QUICK, semi='consistency'))
    truth = unlabelled.column('valence')
    assert np.corrcoef(truth, found.valence)[0, 1] > 0.5
    assert np.abs(found.valence).max() <= 5
    assert all(len(cells) == 2 for cells in found.answers().values())


def test_a_model_of_three_modalities_and_clips_without_a_face(parts, tmp_path):
    labelled, unlabelled, stores = parts
    lost = [f'l{at}' for at in range(6)] + [f'u{at}' for at in range(10)]
    seen = stored(tmp_path / 'v.features.arrow', labelled, unlabelled, modality='video', without=lost)
    settings = dataclasses.replace(QUICK, model='lf_dnn', semi='pseudo', epochs=3)
    with pytest.raises(CorpusError, match=r"none for 6 \('l0', 'l1' .*--allow-missing"):
        train_track('mer2023-semi', labelled, unlabelled, {**stores, 'video': seen}, settings)
    allowed = dataclasses.replace(settings, allow_missing=True)
    found = train_track('mer2023-semi', labelled, unlabelled, {**stores, 'video': seen}, allowed)
    assert found.missing == {'video': 16}
    alone = train_track(
        'mer2023-semi', labelled, unlabelled, {'video': seen}, dataclasses.replace(allowed, model='linear')
    )
    assert alone.unread == 10
    assert len(alone.answers()) == 120
    assert (alone.probabilities[:10] == alone.probabilities[0]).all()


def test_the_command_goes_from_manifests_to_a_submission_and_on_after_a_kill(parts, tmp_path, monkeypatch):
    labelled, unlabelled, _ = parts
    labelled.save(tmp_path / 'l.parquet')
    unlabelled.save(tmp_path / 'u.parquet')
    (tmp_path / 'candidates.csv').write_text('name\n' + '\n'.join(f'u{at}' for at in range(30, 0, -1)) + '\n')
    words = [
        'track', 'train', 'mer2024-semi', '--manifest', str(tmp_path / 'l.parquet'), '--unlabelled',
        str(tmp_path / 'u.parquet'), '--features', ','.join(f'{m}={tmp_path}/{m}.features.arrow' for m in
        ('audio', 'text')), '--semi', 'pseudo', '--threshold', '0.4,0.999', '--share', '0.5', '--trials', '1',
        '--folds', '2', '--epochs', '4', '--candidates', str(tmp_path / 'candidates.csv'), '--json',
    ]  # fmt: skip
    run = CliRunner()
    whole = run.invoke(main, [*words, '--out', str(tmp_path / 'whole')])
    assert whole.exit_code == 0, whole.output
    facts = json.loads(whole.stdout)
    assert facts['answers'] == 120
    assert facts['semi']['kind'] == 'pseudo'
    from affekt.challenges import training as track_training

    done = []

    def stopped(*given, real=track_training.fair_run, **named):
        if len(done) == 5:
            raise KeyboardInterrupt
        done.append(1)
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(track_training, 'fair_run', stopped)
        cut = run.invoke(main, [*words, '--out', str(tmp_path / 'cut')])
    assert '5 finished results are kept' in cut.stderr
    assert not (tmp_path / 'cut' / 'predictions.csv').exists()
    again = run.invoke(main, [*words, '--out', str(tmp_path / 'cut'), '--resume'])
    assert again.exit_code == 0, again.output
    assert (tmp_path / 'cut' / 'predictions.csv').read_bytes() == (tmp_path / 'whole' / 'predictions.csv').read_bytes()
    made = tmp_path / 'submission.csv'
    wrote = run.invoke(
        main,
        ['track', 'write', 'mer2024-semi', facts['predictions'], '--candidates', str(tmp_path / 'candidates.csv'),
         '--out', str(made)],
    )  # fmt: skip
    assert (wrote.exit_code, '30 answers' in wrote.stdout) == (0, True), wrote.output
    with made.open(newline='') as file:
        assert [row['name'] for row in csv.DictReader(file)] == [f'u{at}' for at in range(30, 0, -1)]


def test_the_command_says_what_was_chosen_and_takes_the_other_splits_of_one_manifest(parts, tmp_path):
    labelled, unlabelled, _ = parts
    rows = [dataclasses.replace(row, split='train' if at % 3 else 'val') for at, row in enumerate(labelled.samples)]
    hidden = [dataclasses.replace(row, split='candidates', category=None, valence=None) for row in unlabelled.samples]
    Manifest(FACTS, (*rows, *hidden)).save(tmp_path / 'all.parquet')
    words = [
        'track', 'train', 'mer2025-track1', '--manifest', str(tmp_path / 'all.parquet'), '--features',
        f'text={tmp_path}/text.features.arrow', '--model', 'linear', '--semi', 'consistency', '--trials', '1',
        '--epochs', '5', '--out', str(tmp_path / 'run'),
    ]  # fmt: skip
    ended = CliRunner().invoke(main, words)
    assert ended.exit_code == 0, ended.output
    assert 'weighted F1 on the clips that chose the settings, so slightly optimistic' in ended.stdout
    assert 'labelled clips alone' in ended.stdout
    assert 'consistency, threshold' in ended.stdout
    assert '120 answers' in ended.stdout


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'track': 'mer2024-ov'}, 'a track with categories'),
        ({'labelled': 'blank'}, 'category of every labelled clip; got none for 1'),
        ({'unlabelled': 'labelled'}, '36 on both sides'),
        ({'labelled': 'other'}, 'the categories of mer2023-semi'),
        ({'unlabelled_stores': 'fewer'}, 'others for audio'),
    ],
)
def test_what_cannot_be_trained_on_is_refused(wrong, said, parts):
    labelled, unlabelled, stores = parts
    given = {'track': 'mer2023-semi', 'labelled': labelled, 'unlabelled': unlabelled, 'unlabelled_stores': None}
    first = dataclasses.replace(labelled.samples[0], category=None)
    held = {
        'blank': dataclasses.replace(labelled, samples=(first, *labelled.samples[1:])),
        'labelled': labelled,
        'other': Manifest(Facts('x', categories=('a', 'b')), (Sample('l0', category='a'),)),
        'fewer': {'text': stores['text']},
    }
    given |= {key: held.get(value, value) for key, value in wrong.items()}
    with pytest.raises((CorpusError, UnknownNameError), match=said):
        train_track(
            given['track'], given['labelled'], given['unlabelled'], stores, QUICK,
            unlabelled_stores=given['unlabelled_stores'],
        )  # fmt: skip


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        ({'semi': 'magic'}, UnknownNameError),
        ({'model': 'mfn'}, UnknownNameError),
        ({'semi': 'consistency', 'shares': (0.5,)}, ValueRangeError),
        ({'semi': 'pseudo', 'thresholds': ()}, ValueRangeError),
        ({'trials': 0}, ValueRangeError),
    ],
)
def test_wrong_settings_are_named(wrong, error):
    with pytest.raises(error):
        TrackSettings(**wrong)


def test_imported_folders_of_one_name_are_one_recipe_and_absent_categories_are_noted(tmp_path):
    from affekt.features import import_features

    labelled, unlabelled = clips('l', 36), clips('u', 12)
    rows = tuple(dataclasses.replace(row, category='sad' if row.category == 'happy' else row.category)
                 for row in labelled.samples)  # fmt: skip
    stores = []
    for side, manifest in (('a', labelled), ('b', unlabelled)):
        (tmp_path / side / 'mine-UTT').mkdir(parents=True)
        for at, name in enumerate(manifest.names):
            np.save(tmp_path / side / 'mine-UTT' / f'{name}.npy', np.eye(6)[at % 6])
        made = import_features(tmp_path / side / 'mine-UTT', tmp_path / f'{side}-stores', modality='text')
        stores.append({'text': Store(made.path)})
    settings = dataclasses.replace(QUICK, epochs=1)
    labelled = dataclasses.replace(labelled, samples=rows)
    answers = train_track(
        'mer2024-semi', labelled, unlabelled, stores[0], settings, unlabelled_stores=stores[1], folder=tmp_path / 'run'
    )
    assert "no labelled clip is 'happy', so that no answer will be" in answers.notes
    assert any(note.startswith('no speaker') for note in answers.notes)
    np.save(tmp_path / 'b' / 'mine-UTT' / f'{unlabelled.names[0]}.npy', np.eye(6)[5])
    changed = import_features(tmp_path / 'b' / 'mine-UTT', tmp_path / 'changed', modality='text')
    with pytest.raises(RunError):
        train_track(
            'mer2024-semi', labelled, unlabelled, stores[0], settings,
            unlabelled_stores={'text': Store(changed.path)}, folder=tmp_path / 'run', resume=True,
        )  # fmt: skip


def test_the_right_categories_are_taken_in_any_order(parts):
    labelled, unlabelled, stores = parts
    few = dataclasses.replace(QUICK, epochs=3)
    sorted_facts = dataclasses.replace(FACTS, categories=tuple(sorted(SIX)))
    expected = train_track('mer2023-semi', labelled, unlabelled, stores, few)
    found = train_track('mer2023-semi', Manifest(sorted_facts, labelled.samples), unlabelled, stores, few)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    fewer = labelled.keep(lambda row: row.category != 'sad')
    five = Manifest(dataclasses.replace(FACTS, categories=tuple(sorted(set(SIX) - {'sad'}))), fewer.samples)
    assert any("'sad'" in note for note in train_track('mer2023-semi', five, unlabelled, stores, few).notes)
