"""MERBench on a made-up corpus whose answers are known. Needs torch; without it the tests are skipped."""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')

from affekt.benchmarks import MerbenchSettings, run_merbench
from affekt.benchmarks import merbench as bench
from affekt.benchmarks.merbench_tables import merbench_facts, merbench_markdown, merbench_page, merbench_sheet
from affekt.cli import main
from affekt.cli.bench_tables import sheet_tables
from affekt.corpora import Manifest, made_up_corpus
from affekt.errors import CorpusError, RunError, TableError, UnknownNameError, ValueRangeError
from affekt.experiments import Part, open_stores, open_task
from affekt.experiments.settings import SIMPLE, SPACES, drawn
from affekt.features import Features, Provenance, Store, legacy_resampled, write_features
from affekt.fusion import FUSION_MODELS

QUICK = MerbenchSettings(seeds=2, trials=1, epochs=8, patience=3, batch_size=16, resamples=100)
CODES = {'neutral': (0.0, 0.0), 'happy': (3.0, 0.0), 'sad': (0.0, 3.0)}


def write_store(path, manifest, values):
    """A store of one row a sample; no check of the numbers."""
    rows = [Features(name, row[None].astype(np.float32)) for name, row in zip(manifest.names, values, strict=True)]
    write_features(path, rows, Provenance('made', 'made' + path.name, values.shape[1], {}))
    return Store(path)


@pytest.fixture(scope='module')
def corpus():
    return made_up_corpus()


@pytest.fixture(scope='module')
def few(corpus):
    """A third of it, for what is to run and has nothing to learn."""
    return corpus.keep(lambda row: row.dialogue.endswith('_d1'))


@pytest.fixture(scope='module')
def told(corpus, tmp_path_factory):
    """Text that tells the category, with noise."""
    spread = np.random.default_rng(7).normal(0, 0.3, (len(corpus), 2))
    values = np.array([CODES[row.category] for row in corpus.samples]) + spread
    return write_store(tmp_path_factory.mktemp('told') / 'told.features.arrow', corpus, values)


@pytest.fixture(scope='module')
def noise(corpus, tmp_path_factory):
    """Audio that tells nothing."""
    values = np.random.default_rng(8).normal(0, 1, (len(corpus), 3))
    return write_store(tmp_path_factory.mktemp('noise') / 'noise.features.arrow', corpus, values)


@pytest.fixture(scope='module')
def by_both(corpus, told, noise):
    """Both modalities by both protocols."""
    return run_merbench(corpus, {'audio': noise, 'text': told}, dataclasses.replace(QUICK, protocol='both'))


@pytest.fixture(scope='module')
def from_text(corpus, told):
    """Text alone, by the protocol that never reads the test."""
    return run_merbench(corpus, {'text': told}, QUICK)


@pytest.fixture
def fewer_beside(monkeypatch):
    """One simple model, the cheapest, beside the one that is asked about."""
    monkeypatch.setattr(bench, 'SIMPLE', ('linear',))


def rows_of(outcome):
    return {('+'.join(row.system.modalities), row.system.name, row.system.protocol): row for row in outcome.rows}


def test_text_that_tells_the_category_is_learnt_and_noise_is_not(by_both):
    rows = rows_of(by_both)
    value = {key: row.scores['weighted_f1'].value for key, row in rows.items()}
    # always one of three equal categories: precision 1/3, recall 1, so F1 1/2 for a third of the samples
    assert value[('', 'constant', '')] == pytest.approx(1 / 6)
    assert value[('text', 'attention', 'fair')] > 0.95
    assert value[('text', 'linear', 'fair')] > 0.95
    assert value[('audio', 'attention', 'fair')] < 0.6
    assert value[('audio+text', 'attention', 'fair')] > 0.9
    assert {key[0] for key in value} == {'', 'audio', 'text', 'audio+text'}


def test_the_same_settings_give_the_same_numbers(corpus, told, from_text):
    first, second = (merbench_facts(outcome) for outcome in (from_text, run_merbench(corpus, {'text': told}, QUICK)))
    for facts in (first, second):
        for row in facts['rows']:
            row.pop('seconds')
    assert first == second


def test_the_best_test_epoch_is_never_below_the_published_choice(by_both):
    rows = rows_of(by_both)
    chosen, leaked = (rows[('audio', 'attention', protocol)].by_seed for protocol in ('reference', bench.ORACLE))
    assert all(high >= low for high, low in zip(leaked, chosen, strict=True))
    assert rows[('audio', 'attention', bench.ORACLE)].gains == ()
    assert rows[('audio', 'attention', 'reference')].gain('simple') is not None


def test_fair_training_never_sees_the_truth_of_the_test(corpus, told, from_text):
    # other labels on the test part must change no answer
    turned = {'neutral': 'happy', 'happy': 'sad', 'sad': 'neutral'}
    samples = tuple(
        dataclasses.replace(row, category=turned[row.category]) if row.split == 'test' else row
        for row in corpus.samples
    )
    turned_outcome = run_merbench(dataclasses.replace(corpus, samples=samples), {'text': told}, QUICK)
    for left, right in zip(from_text.rows, turned_outcome.rows, strict=True):
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


@pytest.mark.usefixtures('fewer_beside')
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
    settings = dataclasses.replace(QUICK, model='gated', target='sentiment', epochs=40, patience=20, seeds=1)
    row = rows_of(run_merbench(corpus, {'text': told}, settings))
    assert row[('text', 'linear', 'fair')].headline == 'f1_negative_positive'
    assert row[('text', 'gated', 'fair')].scores['f1_negative_positive'].value > 0.95


def test_category_and_valence_are_scored_as_the_challenge_does(corpus, told):
    settings = dataclasses.replace(QUICK, model='gated', target='category+valence', seeds=1)
    rows = rows_of(run_merbench(corpus, {'text': told}, settings))
    scores = {name: held.value for name, held in rows[('text', 'gated', 'fair')].scores.items()}
    assert scores['combined'] == pytest.approx(scores['weighted_f1'] - 0.25 * scores['mse'])


def test_a_killed_run_goes_on_to_the_same_numbers(corpus, told, from_text, tmp_path, monkeypatch):
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
    for left, right in zip(from_text.rows, again.rows, strict=True):
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
def test_every_drawn_option_is_one_that_the_model_has(few, told, noise, model):
    settings = MerbenchSettings(model=model, protocol='both', seeds=1, trials=1, epochs=1, resamples=10)
    outcome = run_merbench(few, {'audio': noise, 'text': told}, settings)
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


def test_the_page_says_what_leaks(by_both):
    page = merbench_markdown(by_both)
    assert 'the test read every epoch' in page
    assert 'What the published protocol adds' in page


@pytest.fixture(scope='module')
def spoken(corpus, tmp_path_factory):
    """Text of 7 to 30 rows, the last of which tell the category."""
    rng, rows = np.random.default_rng(7), []
    for row in corpus.samples:
        values = rng.normal(0, 0.3, (int(rng.integers(7, 31)), 2))
        values[-6:] += CODES[row.category]
        rows.append(Features(row.sample, values.astype(np.float32)))
    path = tmp_path_factory.mktemp('spoken') / 'spoken.features.arrow'
    write_features(path, rows, Provenance('made', 'made spoken', 2, {}))
    return Store(path)


@pytest.mark.parametrize(
    'model', [name for name, kind in FUSION_MODELS.items() if 'frame' in kind.levels and name not in SIMPLE]
)
@pytest.mark.usefixtures('fewer_beside')
def test_every_model_of_sequences_runs_by_both_protocols(few, spoken, noise, model, monkeypatch):
    monkeypatch.setattr(bench, 'drawn', lambda *given: [{**each, 'hidden': 16} for each in drawn(*given)])
    settings = MerbenchSettings(
        model=model, protocol='both', seeds=1, trials=1, epochs=1, resamples=10, feat_type='frm_align'
    )
    outcome = run_merbench(few, {'audio': noise, 'text': spoken}, settings)
    protocols = {(row.system.protocol, row.system.modalities) for row in outcome.rows if row.system.name == model}
    assert len(protocols) == 3 * 3
    assert outcome.task.feat_type == 'frm_align'


@pytest.mark.usefixtures('fewer_beside')
def test_sequences_are_learnt_from_where_they_are_asked_for(corpus, spoken):
    settings = dataclasses.replace(QUICK, feat_type='frm_unalign', epochs=30, patience=15, seeds=1)
    row = rows_of(run_merbench(corpus, {'text': spoken}, settings))[('text', 'attention', 'fair')]
    assert row.scores['weighted_f1'].value > 0.9


def test_the_published_loaders_pad_each_split_to_its_own_longest(corpus, spoken):
    task = open_task(corpus, {'text': spoken}, dataclasses.replace(QUICK, feat_type='frm_align'))
    turn = task.fair[0]
    mixed = np.concatenate([turn.test[::-1], turn.train[:3]])
    found = task.frames.published(('text',), mixed)
    assert [len(index) for index, _ in found] == [len(turn.test), 3]
    for index, slots in found:
        split = corpus.samples[int(index[0])].split
        longest = max(-(-len(spoken.values(row.sample)) // 6) for row in corpus.samples if row.split == split)
        assert np.array_equal(slots['audio'], slots['text'])
        assert slots['text'].shape == (len(index), longest, 2)
        for number, rows in zip(index, slots['text'], strict=True):
            length = -(-len(spoken.values(corpus.samples[number].sample)) // 6)
            assert not rows[: longest - length].any()
            np.testing.assert_allclose(
                rows[longest - length :],
                legacy_resampled(spoken.values(corpus.samples[number].sample), length),
                rtol=1e-6,
            )


def test_feature_types_that_a_model_does_not_read_are_refused(corpus, told):
    for model, feat_type in (('attention_topn', 'frm_align'), ('mfn', 'frm_unalign'), ('mfn', 'utt')):
        with pytest.raises(UnknownNameError, match='feature type'):
            open_task(corpus, {'text': told}, dataclasses.replace(QUICK, model=model, feat_type=feat_type))
    for model, feat_type in (('attention', 'utt'), ('mfn', 'frm_align'), ('mult', 'frm_unalign')):
        assert open_task(corpus, {'text': told}, dataclasses.replace(QUICK, model=model)).feat_type == feat_type


def test_several_modalities_are_tested_against_the_best_one(by_both):
    together = [row for row in by_both.rows if len(row.system.modalities) > 1 and row.system.protocol == 'fair']
    gains = {row.system.name: row.gain('alone') for row in together}
    assert set(gains) == {'linear', 'gated', 'attention'}
    for name, gain in gains.items():
        assert (gain.over.name, gain.over.modalities) == (name, ('text',))
        assert gain.p_holm >= gain.p
    assert 'What more than one modality adds' in merbench_markdown(by_both)


@pytest.mark.parametrize(('pairs', 'sizes'), [(False, {1: 3, 3: 1}), (True, {1: 3, 2: 3, 3: 1})])
def test_pairs_of_modalities_are_planned_where_they_are_asked_for(pairs, sizes):
    plan = bench._plan(('audio', 'text', 'video'), dataclasses.replace(QUICK, pairs=pairs))
    assert Counter(len(each) for each, name, _ in plan if name == 'attention') == sizes


@pytest.mark.usefixtures('fewer_beside')
def test_a_withheld_modality_counts_for_nothing(corpus, told, noise):
    # half of the samples have no audio: theirs is as it comes, and must not be read
    rows = tuple(
        dataclasses.replace(row, missing='audio' if number % 2 else None) for number, row in enumerate(corpus.samples)
    )
    manifest = dataclasses.replace(corpus, samples=rows)
    settings = dataclasses.replace(
        QUICK, protocol='both', seeds=1, epochs=12
    )  # half of the sound is less to learn from
    found = run_merbench(manifest, {'audio': noise, 'text': told}, settings)
    one = rows_of(found)
    for protocol in ('fair', 'reference'):
        assert one[('audio+text', 'attention', protocol)].scores['weighted_f1'].value > 0.9
    # alone, what is withheld is answered as by the constant
    tested = found.task.tests['test']
    logits = one[('audio', 'attention', 'fair')].system.logits[0][tested]
    withheld = ~found.task.present['audio'][tested]
    assert len(np.unique(logits[withheld], axis=0)) == 1
    assert len(np.unique(logits[~withheld], axis=0)) > 1
    with pytest.raises(CorpusError, match='withholds'):
        gone = tuple(dataclasses.replace(row, missing='audio') for row in corpus.samples)
        open_task(dataclasses.replace(corpus, samples=gone), {'audio': noise, 'text': told}, QUICK)


def other_corpus(corpus, **facts):
    """The corpus under another name, with other words for its categories."""
    words = {'neutral': 'neutral', 'happy': 'joy', 'sad': 'sadness'}
    rows = tuple(
        dataclasses.replace(row, sample=f'other {row.sample}', category=words[row.category]) for row in corpus.samples
    )
    named = dataclasses.replace(corpus.facts, corpus='another', categories=('joy', 'sadness', 'neutral', 'disgust'))
    return dataclasses.replace(corpus, facts=dataclasses.replace(named, **facts), samples=rows)


def test_another_corpus_is_tested_on_the_categories_that_both_have(corpus, told, tmp_path, rng):
    other = other_corpus(corpus)
    values = np.array([CODES[row.category] for row in corpus.samples]) + rng.normal(0, 0.3, (len(corpus), 2))
    store = write_store(tmp_path / 'other.features.arrow', other, values)
    outcome = run_merbench(corpus, {'text': told}, QUICK, [Part(other, {'text': store})])
    assert set(outcome.task.tests) == {'test', 'test another'}
    assert outcome.task.manifest.facts.categories == ('neutral', 'happy', 'sad')  # neither corpus has angry
    found = {(row.test, row.system.name): row.scores['weighted_f1'].value for row in outcome.rows}
    assert found['test another', 'attention'] > 0.9
    assert found['test', 'attention'] > 0.9
    assert len(outcome.task.tests['test another']) == sum(row.split == 'test' for row in other.samples)


def test_without_splits_folds_choose_and_all_of_another_corpus_is_tested(corpus, told, tmp_path, rng):
    without = dataclasses.replace(corpus, samples=tuple(dataclasses.replace(row, split=None) for row in corpus.samples))
    other = other_corpus(without)
    store = write_store(tmp_path / 'other.features.arrow', other, rng.normal(0, 1, (len(other), 2)))
    task = open_task(without, {'text': told}, QUICK, [Part(other, {'text': store})])
    assert set(task.tests) == {'test another'}
    assert len(task.tests['test another']) == len(other)
    assert len(task.fair) == 4
    for turn in task.fair:
        assert len(turn.train) + len(turn.validation) == len(corpus)
        assert not set(turn.test) & (set(turn.train) | set(turn.validation))


def test_sentiment_of_corpora_is_brought_to_one_scale(corpus, told, tmp_path, rng):
    far = tuple(dataclasses.replace(row, category=None, sentiment=3 * row.sentiment) for row in corpus.samples)
    wide = dataclasses.replace(corpus.facts, corpus='wide', categories=(), ranges={'sentiment': (-3.0, 3.0)})
    other = dataclasses.replace(corpus, facts=wide, samples=far)
    store = write_store(tmp_path / 'wide.features.arrow', other, rng.normal(0, 1, (len(other), 2)))
    settings = dataclasses.replace(QUICK, target='sentiment')
    task = open_task(corpus, {'text': told}, settings, [Part(other, {'text': store})])
    here, there = (task.values[task.tests[name]] for name in ('test', 'test wide'))
    np.testing.assert_allclose(here, there)
    assert np.abs(here).max() > 1


def test_another_corpus_must_have_the_same_features(corpus, told, noise):
    for stores, words in (({'text': noise}, 'made otherwise'), ({'audio': told}, 'audio')):
        with pytest.raises(CorpusError, match=words):
            open_task(corpus, {'text': told}, QUICK, [Part(other_corpus(corpus), stores)])
    calm = dataclasses.replace(corpus.facts, corpus='strange', categories=('calm',))
    rows = tuple(dataclasses.replace(row, category='calm') for row in corpus.samples)
    with pytest.raises(CorpusError, match='none with a shared category'):
        open_task(corpus, {'text': told}, QUICK, [Part(Manifest(calm, rows), {'text': told})])


def test_the_table_fits_eighty_columns_and_the_page_loads_nothing(by_both):
    console = Console(width=80, highlight=False, file=io.StringIO())
    console.print(sheet_tables(merbench_sheet(by_both)))
    shown = console.file.getvalue()
    assert '…' not in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    page = merbench_page(by_both)
    assert page.count('class="dot"') == len(by_both.rows)
    assert 'http' not in page.replace('http-equiv', '')


def test_models_are_asked_with_modalities_missing(corpus, told, noise, tmp_path):
    settings = dataclasses.replace(QUICK, missing=True, protocol='both', seeds=1)
    stores = {'audio': noise, 'text': told}
    outcome = run_merbench(corpus, stores, settings, folder=tmp_path / 'run')
    gone = {(row.system.name, row.system.given): row for row in outcome.rows if row.system.given}
    assert {name for name, _ in gone} == {'linear', 'gated', 'attention'}
    assert len({given for _, given in gone}) == 2 + 7
    value = {key: row.scores['weighted_f1'].value for key, row in gone.items()}
    assert value['attention', 'text'] > 0.9 > 0.6 > value['attention', 'audio']
    assert value['attention', 'text'] > value['attention', 'any:0.5'] > value['attention', 'audio'] - 0.1
    assert not any(row.gains for row in gone.values())
    page = merbench_markdown(outcome)
    assert '| 50 % missing |' in page
    again = run_merbench(corpus, stores, settings, folder=tmp_path / 'run', resume=True)
    assert [row.scores for row in again.rows] == [row.scores for row in outcome.rows]
