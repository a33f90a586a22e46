"""MERBench on a made-up corpus whose answers are known. Needs torch; without it the tests are skipped."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')

from affekt.benchmarks import MerbenchSettings, run_merbench
from affekt.benchmarks import merbench as bench
from affekt.benchmarks.merbench_inputs import open_stores, open_task
from affekt.benchmarks.merbench_saving import merbench_facts
from affekt.benchmarks.merbench_settings import SPACES, drawn
from affekt.benchmarks.merbench_tables import merbench_markdown
from affekt.cli import main
from affekt.corpora import made_up_corpus
from affekt.errors import CorpusError, RunError, TableError, UnknownNameError, ValueRangeError
from affekt.features import Features, Provenance, Store, write_features
from affekt.fusion import FUSION_MODELS

QUICK = MerbenchSettings(seeds=2, trials=1, epochs=12, patience=4, batch=16, resamples=100)
CODES = {'neutral': (0.0, 0.0), 'happy': (3.0, 0.0), 'sad': (0.0, 3.0)}


def write_store(path, manifest, values):
    """A store of one row a sample; no check of the numbers."""
    rows = [Features(name, row[None].astype(np.float32)) for name, row in zip(manifest.names, values, strict=True)]
    write_features(path, rows, Provenance('made', 'made' + path.name, values.shape[1], {}))
    return Store(path)


@pytest.fixture
def corpus():
    return made_up_corpus()


@pytest.fixture
def told(corpus, tmp_path, rng):
    """Text that tells the category, with noise."""
    values = np.array([CODES[row.category] for row in corpus.samples]) + rng.normal(0, 0.3, (len(corpus), 2))
    return write_store(tmp_path / 'told.features.arrow', corpus, values)


@pytest.fixture
def noise(corpus, tmp_path, rng):
    """Audio that tells nothing."""
    return write_store(tmp_path / 'noise.features.arrow', corpus, rng.normal(0, 1, (len(corpus), 3)))


def rows_of(outcome):
    return {('+'.join(row.system.modalities), row.system.name, row.system.protocol): row for row in outcome.rows}


def test_text_that_tells_the_category_is_learnt_and_noise_is_not(corpus, told, noise):
    rows = rows_of(run_merbench(corpus, {'audio': noise, 'text': told}, QUICK))
    value = {key: row.scores['weighted_f1'].value for key, row in rows.items()}
    # always one of three equal categories: precision 1/3, recall 1, so F1 1/2 for a third of the samples
    assert value[('', 'constant', '')] == pytest.approx(1 / 6)
    assert value[('text', 'attention', 'fair')] > 0.95
    assert value[('text', 'linear', 'fair')] > 0.95
    assert value[('audio', 'attention', 'fair')] < 0.6
    assert value[('audio+text', 'attention', 'fair')] > 0.9
    assert {key[0] for key in value} == {'', 'audio', 'text', 'audio+text'}


def test_the_same_settings_give_the_same_numbers(corpus, told):
    one, two = (merbench_facts(run_merbench(corpus, {'text': told}, QUICK)) for _ in range(2))
    for facts in (one, two):
        for row in facts['rows']:
            row.pop('seconds')
    assert one == two


def test_the_best_test_epoch_is_never_below_the_published_choice(corpus, noise):
    settings = dataclasses.replace(QUICK, protocol='both')
    rows = rows_of(run_merbench(corpus, {'audio': noise}, settings))
    chosen, leaked = (rows[('audio', 'attention', protocol)].by_seed for protocol in ('reference', bench.ORACLE))
    assert all(high >= low for high, low in zip(leaked, chosen, strict=True))
    assert rows[('audio', 'attention', bench.ORACLE)].gains == ()
    assert rows[('audio', 'attention', 'reference')].gain('simple') is not None


def test_fair_training_never_sees_the_truth_of_the_test(corpus, told, tmp_path):
    # other labels on the test part must change no answer
    turned = {'neutral': 'happy', 'happy': 'sad', 'sad': 'neutral'}
    samples = tuple(
        dataclasses.replace(row, category=turned[row.category]) if row.split == 'test' else row
        for row in corpus.samples
    )
    one = run_merbench(corpus, {'text': told}, QUICK)
    two = run_merbench(dataclasses.replace(corpus, samples=samples), {'text': told}, QUICK)
    for left, right in zip(one.rows, two.rows, strict=True):
        np.testing.assert_array_equal(left.system.logits, right.system.logits)


def test_without_splits_a_tested_fold_neither_trains_nor_chooses(corpus, told):
    samples = tuple(dataclasses.replace(row, split=None) for row in corpus.samples)
    task = open_task(dataclasses.replace(corpus, samples=samples), {'text': told}, QUICK)
    assert len(task.fair) == 4
    for turn, published in zip(task.fair, task.reference, strict=True):
        assert not set(turn.test) & (set(turn.train) | set(turn.validation))
        assert not set(turn.train) & set(turn.validation)
        assert set(published.validation) == set(published.test) == set(turn.test)
    assert sorted(np.concatenate([turn.test for turn in task.fair])) == list(range(144))
    assert task.notes == ()


def test_without_validation_folds_of_train_choose_and_their_answers_are_one(corpus, told):
    samples = tuple(
        dataclasses.replace(row, split='train' if row.split == 'val' else row.split) for row in corpus.samples
    )
    settings = dataclasses.replace(QUICK, folds=3, seeds=1)
    manifest = dataclasses.replace(corpus, samples=samples)
    assert len(open_task(manifest, {'text': told}, settings).fair) == 3
    row = rows_of(run_merbench(manifest, {'text': told}, settings))[('text', 'attention', 'fair')]
    assert row.scores['weighted_f1'].value > 0.95
    # a mean of probabilities sums to one
    tested = row.system.logits[0][~np.isnan(row.system.logits[0]).any(axis=1)]
    assert tested.shape == (36, 3)
    np.testing.assert_allclose(tested.sum(axis=1), 1.0, atol=1e-5)


def test_sentiment_without_categories_is_scored_by_its_sign(corpus, told):
    row = rows_of(
        run_merbench(corpus, {'text': told}, dataclasses.replace(QUICK, target='sentiment', epochs=40, patience=20))
    )
    assert row[('text', 'linear', 'fair')].headline == 'f1_negative_positive'
    assert row[('text', 'gated', 'fair')].scores['f1_negative_positive'].value > 0.95


def test_category_and_valence_are_scored_as_the_challenge_does(corpus, told):
    rows = rows_of(run_merbench(corpus, {'text': told}, dataclasses.replace(QUICK, target='category+valence')))
    scores = {name: held.value for name, held in rows[('text', 'gated', 'fair')].scores.items()}
    assert scores['combined'] == pytest.approx(scores['weighted_f1'] - 0.25 * scores['mse'])


def test_a_killed_run_goes_on_to_the_same_numbers(corpus, told, tmp_path, monkeypatch):
    whole = run_merbench(corpus, {'text': told}, QUICK)
    calls = []

    def dies(*given, **named):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(given)
        return real(*given, **named)

    real = bench.fair_run
    monkeypatch.setattr(bench, 'fair_run', dies)
    with pytest.raises(KeyboardInterrupt):
        run_merbench(corpus, {'text': told}, QUICK, folder=tmp_path / 'run')
    monkeypatch.setattr(bench, 'fair_run', real)
    with pytest.raises(RunError):
        run_merbench(corpus, {'text': told}, QUICK, folder=tmp_path / 'run')
    counted = []
    monkeypatch.setattr(bench, 'fair_run', lambda *given, **named: counted.append(1) or real(*given, **named))
    again = run_merbench(corpus, {'text': told}, QUICK, folder=tmp_path / 'run', resume=True)
    assert len(counted) == 3 * (QUICK.trials + QUICK.seeds) - 4
    for left, right in zip(whole.rows, again.rows, strict=True):
        np.testing.assert_array_equal(left.system.logits, right.system.logits)
        assert left.scores == right.scores
    with pytest.raises(RunError, match='settings'):
        run_merbench(corpus, {'text': told}, dataclasses.replace(QUICK, seed=1), folder=tmp_path / 'run', resume=True)


def test_what_cannot_be_trained_on_is_refused_before_training(corpus, told, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, 'fair_run', lambda *_, **__: pytest.fail('trained'))

    def refused(kind, manifest, words, store=told):
        with pytest.raises(kind, match=words):
            run_merbench(manifest, {'text': store}, QUICK)

    def changed(**new):
        return dataclasses.replace(corpus, samples=(dataclasses.replace(corpus.samples[0], **new), *corpus.samples[1:]))

    refused(CorpusError, changed(sample='stranger'), 'stranger')
    refused(CorpusError, changed(category=None), 'pair01_d1_t0')
    refused(TableError, corpus.where(split=('train', 'test'), category='happy'), '1 in the train part')
    refused(CorpusError, corpus.where(split=('train', 'val')), 'train, val')
    few = corpus.keep(lambda row: row.split != 'val' or row.category == 'sad')
    refused(TableError, few, '1 in the validation part')


def test_a_store_with_nan_is_named_with_sample_and_file(corpus, told, monkeypatch):
    real = Store.matrix

    def spoilt(self, names):
        found = np.array(real(self, names))
        found[3] = np.nan
        return found

    monkeypatch.setattr(Store, 'matrix', spoilt)
    with pytest.raises(ValueRangeError, match=r'told\.features\.arrow.*pair01_d1_t3'):
        run_merbench(corpus, {'text': told}, QUICK)


def test_draws_are_distinct_and_the_same_for_a_seed():
    for model in SPACES:
        one = drawn(model, 12, 3)
        assert one == drawn(model, 12, 3)
        assert len({json.dumps(each, sort_keys=True) for each in one}) == len(one)
    assert len(drawn('tfn', 1000, 0)) == 2 * 4 * 2  # hidden, dropout, rate
    assert set(SPACES) == set(FUSION_MODELS)


@pytest.mark.parametrize('model', ['lf_dnn', 'lmf', 'misa', 'mmim'])
def test_every_drawn_option_is_one_that_the_model_has(corpus, told, noise, model):
    settings = MerbenchSettings(model=model, protocol='both', seeds=1, trials=1, epochs=1, resamples=10)
    outcome = run_merbench(corpus, {'audio': noise, 'text': told}, settings)
    assert {row.system.name for row in outcome.rows} == {'constant', 'linear', 'gated', model}


def test_unknown_names_are_refused(told):
    with pytest.raises(UnknownNameError, match='model'):
        MerbenchSettings(model='nothing')
    with pytest.raises(UnknownNameError, match='protocol'):
        MerbenchSettings(protocol='best')
    with pytest.raises(UnknownNameError, match='modality'):
        open_stores([str(told.path)])
    assert set(open_stores([f'video={told.path}'])) == {'video'}


def test_the_command_prints_and_saves_what_the_function_gives(corpus, told, tmp_path):
    corpus.save(tmp_path / 'made.parquet')
    given = ['bench', 'merbench', '--corpus', str(tmp_path / 'made.parquet'), '--features', f'text={told.path}']
    given += ['--seeds', '1', '--trials', '1', '--epochs', '3', '--resamples', '50', '--protocol', 'both']
    out = tmp_path / 'run'
    done = CliRunner().invoke(main, [*given, '--out', str(out), '--json'])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    saved = json.loads((out / 'merbench.json').read_text())
    assert saved['rows'] == facts['rows']
    assert 'torch' in saved['versions']
    assert '| T | attention | reference |' in (out / 'merbench.md').read_text()
    from pyarrow import parquet

    predictions = parquet.read_table(out / 'predictions.parquet').to_pylist()
    assert len(predictions) == 36 * len(facts['rows'])
    refused = CliRunner().invoke(main, [*given, '--out', str(out)])
    assert refused.exit_code == 2
    assert '--resume' in refused.output


def test_the_page_says_what_leaks(corpus, told):
    page = merbench_markdown(run_merbench(corpus, {'text': told}, dataclasses.replace(QUICK, protocol='both')))
    assert 'the test read every epoch' in page
    assert 'What the published protocol adds' in page
