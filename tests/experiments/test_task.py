"""Features and labels as they come to MERBench: what is refused, what is noted, and what does without."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner

from affekt.benchmarks import MerbenchSettings
from affekt.benchmarks.dfer_task import open_dfer
from affekt.benchmarks.merbench import run_merbench
from affekt.benchmarks.merbench_tables import lines
from affekt.cli import main
from affekt.corpora import Facts, Manifest, Sample, made_up_corpus
from affekt.errors import CorpusError, UnknownNameError
from affekt.experiments import (
    ExperimentSettings,
    Part,
    System,
    Trial,
    constant_outputs,
    fair_run,
    initials,
    open_stores,
    open_task,
    reference_run,
    scored_rows,
)
from affekt.features import Features, Provenance, Store, write_features

QUICK = MerbenchSettings(model='linear', seeds=1, trials=1, epochs=6, patience=3, batch_size=16, resamples=50)


def write_store(path, names, values, *, recipe='made', corpus='', modality=None):
    rows = [Features(name, row[None].astype(np.float32)) for name, row in zip(names, values, strict=True)]
    facts = {} if modality is None else {'modality': modality}
    write_features(path, rows, Provenance(recipe, path.name, values.shape[1], facts, corpus=corpus))
    return Store(path)


@pytest.fixture
def corpus():
    return made_up_corpus()


@pytest.fixture
def text(corpus, tmp_path, rng):
    codes = {'neutral': (0.0, 0.0), 'happy': (3.0, 0.0), 'sad': (0.0, 3.0)}
    values = np.array([codes[row.category] for row in corpus.samples]) + rng.normal(0, 0.3, (len(corpus), 2))
    return write_store(tmp_path / 'told.features.arrow', corpus.names, values, modality='text')


def audio_of(corpus, path, rng, *, without=()):
    names = [name for name in corpus.names if name not in without]
    return write_store(path, names, rng.normal(0, 1, (len(names), 3)), modality='audio')


def test_samples_without_features_are_refused_or_do_without(corpus, text, tmp_path, rng):
    lost = corpus.names[3:9]
    stores = {'audio': audio_of(corpus, tmp_path / 'a.features.arrow', rng, without=lost), 'text': text}
    with pytest.raises(CorpusError, match='--missing mask'):
        open_task(corpus, stores, QUICK)
    task = open_task(corpus, stores, dataclasses.replace(QUICK, mask=True))
    present = dict(zip(task.manifest.names, task.present['audio'].tolist(), strict=True))
    assert [name for name, is_there in present.items() if not is_there] == list(lost)
    assert not task.features['audio'][~task.present['audio']].any()
    assert '6 samples without features of audio' in task.notes
    outcome = run_merbench(corpus, stores, dataclasses.replace(QUICK, mask=True, model='attention'))
    assert all(np.isfinite(row.scores['weighted_f1'].value) for row in outcome.rows)


def test_a_store_of_other_names_says_how_they_differ(corpus, tmp_path, rng):
    values = rng.normal(0, 1, (len(corpus), 2))
    for mask in (False, True):
        store = write_store(tmp_path / 'm.features.arrow', [f'{name}.mp4' for name in corpus.names], values)
        with pytest.raises(CorpusError, match=r'names differ in folder or ending; import them again with --manifest'):
            open_task(corpus, {'text': store}, dataclasses.replace(QUICK, mask=mask))


def test_several_sets_of_one_modality_are_compared(corpus, text, tmp_path, rng):
    other = write_store(
        tmp_path / 'o.features.arrow', corpus.names, rng.normal(0, 1, (len(corpus), 3)), recipe='other', modality='text'
    )
    audio = audio_of(corpus, tmp_path / 'a.features.arrow', rng)
    with pytest.raises(UnknownNameError, match='a second one of text'):
        open_stores([str(text.path), str(other.path)])
    with pytest.raises(UnknownNameError, match='twice'):
        open_stores([str(text.path), str(text.path)], several=True)
    stores = open_stores([str(text.path), str(other.path), str(audio.path)], several=True)
    assert tuple(stores) == ('audio', 'text1:made', 'text2:other')
    outcome = run_merbench(corpus, stores, dataclasses.replace(QUICK, model='attention'))
    asked = [row for row in outcome.rows if row.system.name == 'attention' and row.system.protocol == 'fair']
    assert [initials(row.system.modalities) for row in asked] == ['A', 'T1', 'T2', 'A+T1', 'A+T2']
    scores = {initials(row.system.modalities): row.scores['weighted_f1'].value for row in asked}
    assert scores['T1'] > 0.9 > scores['T2']
    assert 'on: A audio, T1 text made, T2 text other' in lines(outcome)
    with pytest.raises(UnknownNameError, match='one set of features a modality'):
        run_merbench(corpus, stores, dataclasses.replace(QUICK, missing=True))


def test_a_modality_is_what_the_store_remembers(corpus, tmp_path, rng):
    values = rng.normal(0, 1, (len(corpus), 2))
    store = write_store(tmp_path / 'mine.features.arrow', corpus.names, values, recipe='mine', modality='video')
    assert tuple(open_stores([str(store.path)])) == ('video',)
    unknown = write_store(tmp_path / 'none.features.arrow', corpus.names, values, recipe='mine')
    with pytest.raises(UnknownNameError, match='whose modality nobody told'):
        open_stores([str(unknown.path)])


def relabelled(corpus, categories, change):
    facts = dataclasses.replace(corpus.facts, categories=categories)
    rows = tuple(dataclasses.replace(row, category=change(row)) for row in corpus.samples)
    return dataclasses.replace(corpus, facts=facts, samples=rows)


def test_a_category_that_is_never_learnt_from_is_noted(corpus, text):
    odd = {row.sample for row in [row for row in corpus.samples if row.split == 'test'][:3]}
    made = relabelled(
        corpus, (*corpus.facts.categories, 'bored'), lambda row: 'bored' if row.sample in odd else row.category
    )
    notes = open_task(made, {'text': text}, QUICK).notes
    assert "category 'bored' is never learnt from, so that 3 answers are wrong beforehand" in notes


def test_parts_that_take_no_part_are_noted_and_one_that_should_choose_is_refused(corpus, text):
    spare = tuple(dataclasses.replace(row, split='spare') if at < 4 else row for at, row in enumerate(corpus.samples))
    notes = open_task(dataclasses.replace(corpus, samples=spare), {'text': text}, QUICK).notes
    assert '4 samples of split spare take no part' in notes
    dev = tuple(dataclasses.replace(row, split='dev' if row.split == 'val' else row.split) for row in corpus.samples)
    with pytest.raises(CorpusError, match='name it val'):
        open_task(dataclasses.replace(corpus, samples=dev), {'text': text}, QUICK)


def test_what_features_do_not_tell_and_whose_they_are_is_noted(corpus, tmp_path):
    same = write_store(tmp_path / 's.features.arrow', corpus.names, np.ones((len(corpus), 2)), corpus='another')
    notes = open_task(corpus, {'text': same}, QUICK).notes
    assert 'features of text are the same for all samples: they tell nothing' in notes
    assert any(note.startswith('features of text were made of another') for note in notes)
    assert any('with the very features of one that is learnt from' in note for note in notes)


def test_unknown_speakers_are_noted(corpus, text):
    bare = tuple(
        dataclasses.replace(row, speaker=None, dialogue=None, recording=None, session=None, start_s=None, end_s=None)
        for row in corpus.samples
    )
    notes = open_task(dataclasses.replace(corpus, samples=bare), {'text': text}, QUICK).notes
    assert any(note.startswith('no speaker') for note in notes)


def german(name, categories, tmp_path, rng):
    splits = ('train', 'val', 'test')
    rows = tuple(
        Sample(f'{name}{at}', category=categories[at % len(categories)], split=splits[at % 3 if at % 5 else 0])
        for at in range(60)
    )  # fmt: skip
    manifest = Manifest(Facts(name, categories=categories), rows)
    return Part(
        manifest, {'text': write_store(tmp_path / 'x.features.arrow', manifest.names, rng.normal(0, 1, (60, 2)))}
    )


def test_categories_that_corpora_share_under_any_name_are_compared(tmp_path, rng):
    first = german('a', ('froh', 'traurig', 'wütend', 'müde'), tmp_path, rng)
    second = german('b', ('Wütend', 'froh', 'traurig', 'neutral'), tmp_path, rng)
    task = open_task(first.manifest, first.stores, QUICK, [second])
    assert task.manifest.facts.categories == ('froh', 'traurig', 'wütend')
    assert 'compared categories: froh, traurig, wütend' in task.notes
    turned = german('c', ('müde', 'wütend', 'traurig', 'froh'), tmp_path, rng)
    assert open_task(first.manifest, first.stores, QUICK, [turned]).classes == 4
    with pytest.raises(CorpusError, match=r"'froh' alone \(a: froh, traurig, wütend, müde; d: froh, ruhig\)"):
        open_task(first.manifest, first.stores, QUICK, [german('d', ('froh', 'ruhig'), tmp_path, rng)])


def test_a_published_category_that_one_corpus_lacks_is_not_compared(tmp_path, rng):
    first = german('a', ('happy', 'sad', 'neutral', 'angry'), tmp_path, rng)
    second = german('b', ('joy', 'fear', 'sadness', 'neutral'), tmp_path, rng)
    task = open_task(first.manifest, first.stores, QUICK, [second])
    assert task.manifest.facts.categories == ('happy', 'sad', 'neutral')
    assert 'compared categories: happy, sad, neutral' in task.notes
    assert '15 samples of a left out: the category is not compared' in task.notes  # 60 samples, every fourth angry
    assert open_task(second.manifest, second.stores, QUICK, [first]).manifest.facts.categories == (
        'joy', 'sadness', 'neutral',
    )  # fmt: skip
    double = german('c', ('joy', 'sad', 'happiness', 'fear'), tmp_path, rng)
    assert open_task(double.manifest, double.stores, QUICK, [first]).classes == 2


def test_the_command_masks_and_asks(corpus, text, tmp_path, rng):
    corpus.save(tmp_path / 'm.parquet')
    audio = audio_of(corpus, tmp_path / 'a.features.arrow', rng, without=corpus.names[:2])
    words = ['bench', 'merbench', '--corpus', str(tmp_path / 'm.parquet'), '--features', f'{text.path},{audio.path}',
             '--model', 'linear', '--seeds', '1', '--trials', '1', '--epochs', '1', '--resamples', '2']  # fmt: skip
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 2
    assert '--missing mask' in refused.stderr
    masked = CliRunner().invoke(main, [*words, '--missing', 'mask', '--missing', '--json'])
    assert masked.exit_code == 0, masked.output
    assert '2 samples without features of audio' in masked.stdout
    assert '"given": "text"' in masked.stdout


def test_a_share_is_no_way_to_treat_what_is_missing():
    refused = CliRunner().invoke(
        main, ['bench', 'merbench', '--corpus', 'c.parquet', '--features', 'f', '--missing', '0.3']
    )
    assert refused.exit_code == 2
    assert "expected one of ask, mask; got '0.3' for --missing" in refused.stderr


def test_a_gain_of_which_nothing_can_be_said_stands_without_an_interval():
    from types import SimpleNamespace

    from affekt.experiments.tables import with_ends
    from affekt.metrics import Interval

    assert with_ends(SimpleNamespace(value=Interval(0.0, float('nan'), float('nan')))) == '0.00'
    assert with_ends(SimpleNamespace(value=Interval(0.1, 0.05, 0.2))) == '+10.00 [+5.0 +20.0]'


@pytest.mark.parametrize('verb', [('merbench', '--features', 'none'), ('finetune', '--encoder', 'none')])
def test_what_reading_a_table_took_for_granted_is_said(verb, tmp_path):
    (tmp_path / 'samples.csv').write_text(',sample,category\n0,a,happy\n1,b,sad\n')
    command = ['bench', *verb, '--corpus', 'folder', '--release', str(tmp_path)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert 'the first column of samples.csv, which counts the rows and has no name, is left out' in ' '.join(
        result.stderr.split()
    )


@pytest.mark.parametrize('target', ['category', 'sentiment'])
def test_a_published_run_that_diverges_is_named_and_scored_as_the_constant_answer(tmp_path, target, rng):
    rows = [
        Sample(
            f's{row}', sentiment=float(rng.normal()), category='ab'[row % 2], split=('train', 'val', 'test1')[row % 3]
        )
        for row in range(60)
    ]
    manifest = Manifest(Facts('made up', categories=('a', 'b'), ranges={'sentiment': (-3.0, 3.0)}), rows)
    store = write_store(tmp_path / 't.features.arrow', manifest.names, rng.normal(size=(60, 4)), modality='text')
    settings = ExperimentSettings('lf_dnn', seeds=1, epochs=2, batch_size=8, resamples=20, target=target)
    task = open_task(manifest, {'text': store}, settings)
    draw = {'learning_rate': 1e20, 'clip_value': None, 'hidden': 8, 'dropout': 0.2}
    answers = reference_run(Trial(task, task.reference[0], ('text',), 'lf_dnn', draw, settings, 1))
    assert answers.status == 'not_finite'
    system = System(('text',), 'lf_dnn', 'reference', answers.test.logits[None], answers.test.values[None])
    everywhere = dataclasses.replace(
        system, logits=np.zeros((1, 60, task.classes)), values=np.zeros((1, 60, task.width))
    )
    everywhere.logits[:, task.fair[0].test], everywhere.values[:, task.fair[0].test] = system.logits, system.values
    constant, diverged = scored_rows(task, [everywhere], settings, beside=lambda *_: [])
    assert diverged.by_seed == constant.by_seed


def test_a_fair_run_whose_test_predictions_overflow_is_named_and_scored_as_the_constant_answer(tmp_path, rng):
    rows = [Sample(f's{row}', category='ab'[row % 2], split=('train', 'val', 'test1')[row % 3]) for row in range(60)]
    manifest = Manifest(Facts('made up', categories=('a', 'b')), rows)
    values = rng.normal(size=(60, 4)).astype(np.float32)
    values[2] = 3e38  # finite, of a test sample: products with it are not
    store = write_store(tmp_path / 't.features.arrow', manifest.names, values, modality='text')
    settings = ExperimentSettings('lf_dnn', seeds=1, epochs=2, batch_size=8, resamples=20, target='category')
    task = open_task(manifest, {'text': store}, settings)
    draw = {'learning_rate': 1e-3, 'clip_value': None, 'hidden': 8, 'dropout': 0.2}
    answers = fair_run(Trial(task, task.fair[0], ('text',), 'lf_dnn', draw, settings, 1))
    assert answers.status == 'not_finite'
    assert np.array_equal(answers.test.logits, constant_outputs(task, task.fair[0]).logits)


def test_a_speaker_who_is_shared_in_every_fold_is_one_speaker():
    # each of two speakers is in all three folds; a third is in one alone
    rows = [
        Sample(f's{row}', category='ab'[row // 3 % 2], speaker=f'p{row // 6}', fold=row % 3 + 1) for row in range(12)
    ]
    rows.append(Sample('alone', category='a', speaker='p2', fold=1))
    manifest = Manifest(Facts('made up', categories=('a', 'b')), rows)
    notes = open_dfer(manifest, ExperimentSettings(model='linear')).notes
    assert [note for note in notes if 'division' in note] == ['2 speakers on more than one side of the division']
