"""Models of faces and voices on every fold, by a stand-in that learns from its clips at once."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is absent (pip install affekt[encoders])')

from affekt.benchmarks import Candidate, ClipSource, DferSettings, dfer_facts, dfer_sheet, run_dfer, save_dfer
from affekt.benchmarks.dfer_task import category_measure, dimensions_measure, open_dfer
from affekt.clips import Clip
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError, RunError, TableError, UnknownNameError, ValueRangeError
from affekt.experiments import ExperimentSettings, held_out
from affekt.features import Features, Provenance, Store, write_features

CATEGORIES = ('calm', 'glad', 'cross')
QUICK = DferSettings(resamples=50, trials=1)
SIMPLE = ExperimentSettings(model='linear', resamples=50)


@dataclass(frozen=True)
class Tuning:
    """What the stand-in is told."""

    epochs: int = 3
    method: str = 'full'
    batch_size: int = 4
    patience: int | None = 2
    chooses: str | None = None
    reference: bool = False
    segments: int = 2
    stride: int = 4
    seed: int = 0


def corpus(speakers=12, folds=3, **facts):
    """Each speaker shows each category twice; a fold tests whole speakers."""
    samples = [
        Sample(
            f's{speaker:02d}_{name}_{take}', category=name, speaker=f's{speaker:02d}', fold=speaker % folds + 1,
            valence=CATEGORIES.index(name) - 1.0 + 0.1 * take, arousal=0.5 * CATEGORIES.index(name),
        )
        for speaker in range(speakers)
        for name in CATEGORIES
        for take in range(2)
    ]  # fmt: skip
    return Manifest(Facts('made up', categories=CATEGORIES, **facts), samples)


def clips_of(manifest, rng, *, noise=0.1, without=()):
    """Clips whose first sample of sound is the category's number, but for noise."""
    sources = {}
    for row in manifest.samples:
        level = CATEGORIES.index(row.category) + noise * rng.normal()
        clip = Clip(row.sample, None, None, np.full(500, level, dtype=np.float32))
        has = frozenset() if row.sample in without else frozenset({'audio'})
        sources[row.sample] = ClipSource(lambda clip=clip: clip, has)
    return sources


class Nearest:
    """Answers with the category (or value) of the nearest clip that it has learnt from."""

    def __init__(self, outputs, seed):
        self.outputs, self.seed, self.levels, self.targets = outputs, seed, np.zeros(0), []

    def parameters(self):
        return [SimpleNamespace(numel=lambda: 7)]

    def named_parameters(self):
        return [('level', self.parameters()[0])]

    def answer(self, clip):
        target = self.targets[int(np.abs(self.levels - clip.sound[0]).argmin())]
        return np.eye(self.outputs)[target] if np.ndim(target) == 0 else target


@pytest.fixture
def calls(monkeypatch):
    """The stand-in in place of tuning, and what it was called with."""
    made = SimpleNamespace(tuned=[], predicted=[], dies_at=None)

    @dataclass(frozen=True)
    class LabelledClip:
        clip: object
        target: object

    @dataclass
    class Tuned:
        model: object
        best_score: float
        history: tuple
        epoch: int

    def tune(model, train, validation, settings, *, folder=None, resume=False, report=None):
        if made.dies_at is not None and len(made.tuned) >= made.dies_at:
            raise KeyboardInterrupt
        made.tuned.append(SimpleNamespace(train=train, validation=validation, settings=settings, seed=model.seed))
        model.levels = np.array([each.clip().sound[0] for each in train])
        model.targets = [each.target for each in train]
        report({'epoch': settings.epochs})
        return Tuned(model, 0.5 + 0.01 * model.seed, (), 2)

    def predict_proba(model, clips, *, views='distinct', batch_size=8, **more):
        made.predicted.append(views)
        return np.stack([model.answer(clip()) for clip in clips]).astype(np.float32)

    monkeypatch.setattr('affekt.pretraining.LabelledClip', LabelledClip, raising=False)
    monkeypatch.setattr('affekt.pretraining.tune', tune, raising=False)
    monkeypatch.setattr('affekt.pretraining.predict_proba', predict_proba, raising=False)
    return made


@pytest.fixture
def store(tmp_path, rng):
    """Features that hold half of what the clips hold."""
    manifest = corpus()
    rows = [
        Features(row.sample, np.array([[CATEGORIES.index(row.category) == 1, rng.normal()]], dtype=np.float32))
        for row in manifest.samples
    ]
    path = tmp_path / 'made.features.arrow'
    write_features(path, rows, Provenance('acoustics-made', 'abc', 2, {}, modality='audio'))
    return Store(path)


NEAREST = Candidate('nearest', Nearest, ('audio',), {'from': 'nowhere'})


def by_name(outcome):
    return {(row.system.name, row.system.protocol): row for row in outcome.rows}


def test_folds_are_pooled_and_every_row_stands_beside_trivial_ones(calls, store, rng):
    manifest = corpus()
    outcome = run_dfer(manifest, clips_of(manifest, rng), [NEAREST], QUICK, Tuning(), stores={'audio': store})
    rows = by_name(outcome)
    assert list(rows) == [('constant', ''), ('prior', ''), ('linear', 'fair'), ('nearest', 'fair')]
    assert rows['constant', ''].scores['uar'].value == pytest.approx(1 / 3)  # one of three categories, always
    assert rows['constant', ''].scores['war'].value == pytest.approx(1 / 3)
    assert rows['nearest', 'fair'].scores['uar'].value > 0.95
    assert 0.4 < rows['linear', 'fair'].scores['uar'].value < 0.8  # one category of three is told apart
    (gain,) = rows['nearest', 'fair'].gains
    difference = rows['nearest', 'fair'].scores['uar'].value - rows['linear', 'fair'].scores['uar'].value
    assert (gain.kind, gain.value.value) == ('linear', pytest.approx(difference))
    assert rows['nearest', 'fair'].system.logits.shape == (1, 72, 3)
    assert np.isfinite(rows['nearest', 'fair'].system.logits).all()  # every clip is tested once
    assert calls.predicted == ['distinct'] * 3


def test_a_constant_answer_is_below_chance_where_folds_lean_to_one_category(calls, rng):
    # Folds of 5:1 and 1:5: training on one, the most frequent category is the rare one of the other, 1 of 6 each.
    shown = {1: ['calm'] * 5 + ['glad'], 2: ['calm'] + ['glad'] * 5}
    samples = [
        Sample(f'{fold}{speaker}{at}', category=category, speaker=f's{fold}{speaker}', fold=fold)
        for fold in (1, 2)
        for speaker in range(2)
        for at, category in enumerate(shown[fold])
    ]
    manifest = Manifest(Facts('made up', categories=('calm', 'glad')), samples)
    outcome = run_dfer(manifest, clips_of(manifest, rng), [], QUICK, Tuning())
    assert by_name(outcome)['constant', ''].scores['uar'].value == pytest.approx(1 / 6)


def test_fair_validation_is_whole_people_of_train_and_published_validation_is_the_test(calls, rng):
    manifest = corpus()
    settings = dataclasses.replace(QUICK, protocol='both')
    run_dfer(manifest, clips_of(manifest, rng), [NEAREST], settings, Tuning())
    task = open_dfer(manifest, SIMPLE)
    speakers = np.array([row.speaker for row in task.manifest.samples])
    for fair, published in zip(task.fair, task.reference, strict=True):
        sides = [set(speakers[getattr(fair, side)]) for side in ('train', 'validation', 'test')]
        assert all(sides)
        assert len(set.union(*sides)) == sum(map(len, sides))  # nobody is on two sides
        np.testing.assert_array_equal(np.union1d(fair.train, fair.validation), published.train)
        np.testing.assert_array_equal(published.validation, published.test)
    fair, published = calls.tuned[:3], calls.tuned[3:]
    assert [(call.settings.reference, call.settings.chooses, call.settings.patience) for call in fair] == [
        (False, 'best', 2)
    ] * 3
    assert [len(call.validation) for call in published] == [24] * 6
    assert [(call.settings.reference, call.settings.chooses, call.settings.patience) for call in published] == [
        (True, 'best', None), (True, 'last', None)
    ] * 3  # fmt: skip
    assert calls.predicted[3:] == ['published'] * 6  # the last epoch, and the one that is best on the test


def test_the_truth_of_the_test_changes_no_fair_answer(calls, rng):
    manifest = corpus()
    clips = clips_of(manifest, rng)
    turned = {'calm': 'glad', 'glad': 'cross', 'cross': 'calm'}
    other = manifest.replaced(
        category=[turned[row.category] if row.fold == 1 else row.category for row in manifest.samples]
    )
    one, two = (run_dfer(each, clips, [NEAREST], QUICK, Tuning()) for each in (manifest, other))
    tested = np.array([row.fold == 1 for row in manifest.samples])
    left, right = (by_name(outcome)['nearest', 'fair'].system.logits[0, tested] for outcome in (one, two))
    np.testing.assert_array_equal(left, right)


def test_what_the_tested_fold_chose_is_named_so(calls, rng):
    manifest = corpus()
    outcome = run_dfer(
        manifest, clips_of(manifest, rng), [NEAREST], dataclasses.replace(QUICK, protocol='both'), Tuning()
    )
    assert [key[1] for key in by_name(outcome) if key[0] == 'nearest'] == ['fair', 'reference', 'best test']
    sheet = dfer_sheet(outcome)
    assert any('calls "val": no result' in line for line in sheet.lines)
    (leak,) = [section for section in sheet.sections if section.title == 'What the published protocol adds']
    assert leak.cells[0][0] == 'nearest'
    assert not by_name(outcome)['nearest', 'best test'].gains


def test_dimensions_are_scored_by_both_correlations(calls, rng):
    manifest = corpus()
    settings = dataclasses.replace(QUICK, target='dimensions')
    outcome = run_dfer(manifest, clips_of(manifest, rng), [NEAREST], settings, Tuning())
    rows = by_name(outcome)
    assert outcome.task.dimensions == ('arousal', 'valence')
    assert rows['nearest', 'fair'].headline == 'ccc'
    assert rows['nearest', 'fair'].scores['ccc_valence'].value > 0.9
    # each fold's constant is the mean of its own train part, all of which are the same here
    assert rows['constant', ''].scores['ccc'].value == pytest.approx(0.0, abs=0.02)
    assert rows['nearest', 'fair'].system.values.shape == (1, 72, 2)
    dfer_sheet(outcome)


def test_a_run_that_was_killed_goes_on_to_the_same_rows(calls, store, rng, tmp_path):
    manifest = corpus()
    clips = clips_of(manifest, rng)
    settings = dataclasses.replace(QUICK, seeds=2)

    def run(**more):
        return run_dfer(manifest, clips, [NEAREST], settings, Tuning(), stores={'audio': store}, **more)

    def facts(outcome):
        plain = dfer_facts(outcome)
        for row in plain['rows']:
            row.pop('seconds')
        return plain

    whole = facts(run())
    calls.dies_at = len(calls.tuned) + 4
    with pytest.raises(KeyboardInterrupt):
        run(folder=tmp_path / 'run')
    calls.dies_at = None
    with pytest.raises(RunError):
        run(folder=tmp_path / 'run')
    before = len(calls.tuned)
    assert facts(run(folder=tmp_path / 'run', resume=True)) == whole
    assert len(calls.tuned) - before == 2 * 3 - 4
    with pytest.raises(RunError, match='tuning'):
        run_dfer(
            manifest, clips, [NEAREST], settings, Tuning(epochs=9), stores={'audio': store}, folder=tmp_path / 'run',
            resume=True,
        )  # fmt: skip


def test_clips_of_which_nothing_is_there_are_counted_and_answered_as_the_most_frequent(calls, rng):
    manifest = corpus()
    lost = tuple(row.sample for row in manifest.samples if row.speaker == 's01')
    outcome = run_dfer(manifest, clips_of(manifest, rng, without=lost), [NEAREST], QUICK, Tuning())
    assert any('6 clips without audio, not learnt from' in note for note in outcome.notes)
    names = np.array(manifest.names)
    answered = by_name(outcome)['nearest', 'fair'].system.logits[0][np.isin(names, lost)].argmax(axis=1)
    assert len(set(answered)) == 1
    assert all(len(call.train) + len(call.validation) in (42, 48) for call in calls.tuned)


def test_a_clip_that_lacks_one_of_two_modalities_is_masked_and_counted(calls, rng):
    manifest = corpus()
    clips = clips_of(manifest, rng)
    first = manifest.names[0]
    clips[first] = dataclasses.replace(clips[first], has=frozenset({'audio', 'video'}))
    outcome = run_dfer(manifest, clips, [dataclasses.replace(NEAREST, reads=('video', 'audio'))], QUICK, Tuning())
    assert 'nearest: 71 clips without video, masked' in outcome.notes
    assert not any('not learnt from' in note for note in outcome.notes)
    assert by_name(outcome)['nearest', 'fair'].scores['uar'].value > 0.95


def test_published_rows_stand_beside_ours_and_say_where_they_were_read(calls, rng):
    manifest = corpus()
    categories = ('neutral', 'calm', 'happy', 'sad', 'angry', 'fearful', 'disgust', 'surprised')
    facts = Facts('RAVDESS, speech', categories=categories)
    samples = [dataclasses.replace(row, category=categories[at % 8]) for at, row in enumerate(manifest.samples)]
    outcome = run_dfer(Manifest(facts, samples), clips_of(manifest, rng), [NEAREST], QUICK, Tuning())
    (table,) = [section for section in dfer_sheet(outcome).sections if section.title.startswith('Beside published')]
    cells = {line[0]: line for line in table.cells}
    assert cells['HiCMAE-B'] == ('HiCMAE-B', 'AV', '87.96', '87.99', 'quoted')
    assert cells['SVFAP-B'][4] == 'read'
    assert cells['yours: nearest'][1] == 'A'
    wars = [float(line[3]) for line in table.cells]
    assert wars == sorted(wars, reverse=True)
    facts = dfer_facts(outcome)
    assert facts['published']['rows'][0]['second_hand'] is True


def test_categories_that_no_clip_shows_are_not_among_the_answers_and_published_rows_are_not_beside_fewer(calls, rng):
    manifest = corpus()
    facts = Facts('RAVDESS, speech', categories=('neutral', *CATEGORIES, 'surprised'))
    outcome = run_dfer(Manifest(facts, manifest.samples), clips_of(manifest, rng), [NEAREST], QUICK, Tuning())
    assert outcome.task.outputs == 3
    assert "no clip shows 'neutral', 'surprised': models answer with the other categories" in outcome.task.notes
    assert not any(section.title.startswith('Beside published') for section in dfer_sheet(outcome).sections)


def test_pages_are_written_and_fit_the_terminal(calls, store, rng, tmp_path):
    from rich.console import Console

    from affekt.cli.bench_tables import sheet_tables

    manifest = corpus()
    outcome = run_dfer(
        manifest, clips_of(manifest, rng), [NEAREST], dataclasses.replace(QUICK, protocol='both', seeds=2), Tuning(),
        stores={'audio': store}, folder=tmp_path / 'run',
    )  # fmt: skip
    save_dfer(tmp_path / 'run', outcome, dfer_facts(outcome))
    names = {path.name for path in (tmp_path / 'run').iterdir()}
    assert names >= {'dfer.json', 'dfer.md', 'dfer.html', 'rows.parquet', 'predictions.parquet'}
    assert json.loads((tmp_path / 'run' / 'dfer.json').read_text())['corpus'] == 'made up'
    console = Console(width=80, record=True)
    with console.capture() as shown:
        console.print(sheet_tables(dfer_sheet(outcome)))
    assert max(map(len, shown.get().splitlines())) <= 80
    assert '…' not in shown.get()


def test_category_scores_of_six_clips_by_hand():
    # recalls 2/3, 1/2, 1: UAR 13/18, WAR 4/6. F1 of a: 2*2/(3+2) = 4/5; of b: 2*1/(2+2) = 1/2; of c: 2*1/(1+2) = 2/3
    scores = category_measure([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], 3).scores()
    assert scores['uar'] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores['war'] == scores['micro_f1'] == pytest.approx(4 / 6)
    assert scores['macro_f1'] == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert scores['weighted_f1'] == pytest.approx((3 * 4 / 5 + 2 * 1 / 2 + 2 / 3) / 6)


def test_scores_of_dimensions_equal_the_stored_vectors(shared_data):
    stored = json.loads((shared_data / 'vectors' / 'regression_metrics.json').read_text())['metrics']
    truth, prediction = _reference_pair()
    scores = dimensions_measure(truth, prediction, ('a', 'b', 'c')).scores()
    for name, (mean, each) in stored.items():
        # their mean squared error is over all numbers at once, and its root that of each dimension
        assert scores[name] == pytest.approx(mean, abs=1e-12), name
        assert [scores[f'{name}_{dimension}'] for dimension in 'abc'] == pytest.approx(each, abs=1e-12)


def _reference_pair():
    """y is u('y', 300) as (100, 3), p is 0.6 y + 0.4 u('p', 300) + 0.1; u as the README of the vectors says."""
    from fusion_reference import uniform

    truth = uniform('y', 300).reshape(100, 3)
    return truth, 0.6 * truth + 0.4 * uniform('p', 300).reshape(100, 3) + 0.1


def test_people_are_kept_whole_where_known_and_the_lack_is_stated_where_not():
    manifest = corpus()
    choosing, column, parts = held_out(manifest, 0.25, seed=0)
    speakers = np.array([row.speaker for row in manifest.samples])
    assert not set(speakers[choosing]) & set(speakers[~choosing])
    assert (len(set(speakers[choosing])), column, parts) == (3, 'speaker', 4)  # a quarter of twelve
    assert (
        'fair: validation has whole speakers of the training part, about one in 4'
        in open_dfer(manifest, SIMPLE, share=0.25).notes
    )
    unknown = manifest.replaced(speaker=[None] * len(manifest))
    choosing, column, _ = held_out(unknown, 0.25, seed=0)
    assert (choosing.sum(), column) == (18, '')
    assert any(
        'a person may be in both training and validation' in note
        for note in open_dfer(unknown, SIMPLE, share=0.25).notes
    )


def test_models_of_one_name_or_of_a_baseline_are_refused(calls, rng):
    manifest = corpus()
    for names in (('nearest', 'nearest'), ('linear',)):
        models = [dataclasses.replace(NEAREST, name=name) for name in names]
        with pytest.raises(ValueRangeError, match=names[-1]):
            run_dfer(manifest, clips_of(manifest, rng), models, QUICK, Tuning())


def test_clips_that_were_made_in_another_way_are_another_run(calls, rng, tmp_path):
    manifest = corpus()
    clips = clips_of(manifest, rng)
    run_dfer(manifest, clips, [NEAREST], QUICK, Tuning(), folder=tmp_path / 'run')
    other = {name: dataclasses.replace(source, made='crop none') for name, source in clips.items()}
    with pytest.raises(RunError, match='clips'):
        run_dfer(manifest, other, [NEAREST], QUICK, Tuning(), folder=tmp_path / 'run', resume=True)


def test_a_model_that_was_fine_tuned_before_is_noted(calls, rng):
    manifest = corpus()
    tuned = dataclasses.replace(NEAREST, facts={'stage': 'finetune'})
    outcome = run_dfer(manifest, clips_of(manifest, rng), [tuned], QUICK, Tuning())
    assert any(note.startswith('nearest was fine-tuned before') for note in outcome.notes)


def test_a_corpus_with_one_test_part_is_tested_once(calls, rng):
    manifest = corpus()
    parts = ['test' if row.fold == 1 else 'train' for row in manifest.samples]
    divided = manifest.replaced(split=parts, fold=[None] * len(manifest))
    outcome = run_dfer(divided, clips_of(manifest, rng), [NEAREST], QUICK, Tuning())
    assert len(calls.tuned) == 1
    assert len(outcome.task.tests['test']) == 24
    assert not any(section.title.startswith('Each fold') for section in dfer_sheet(outcome).sections)


@pytest.mark.parametrize(
    ('changed', 'error', 'said'),
    [
        ({'category': ['calm'] * 72}, TableError, 'two classes'),
        ({'category': [None] * 36 + ['calm', 'glad'] * 18}, CorpusError, 'category of every clip'),
        ({'fold': [None] * 72}, CorpusError, 'published folds'),
        ({'category': ['glad'] * 6 + ['calm', 'cross'] * 33}, CorpusError, "none of 'glad' in fold 1"),
    ],
)
def test_a_corpus_that_cannot_be_trained_on_is_refused_before_training(calls, rng, changed, error, said):
    manifest = corpus()
    with pytest.raises(error, match=said):
        run_dfer(manifest.replaced(**changed), clips_of(manifest, rng), [NEAREST], QUICK, Tuning())
    assert not calls.tuned


@pytest.mark.parametrize('part', ['train', 'validation'])
def test_a_dimension_of_one_value_is_named_and_refused_before_training(calls, rng, part):
    # valence differs everywhere; arousal is the same in all clips, or in those that choose the epoch of the first fold
    manifest = corpus()
    arousal = np.full(len(manifest), 0.5)
    if part == 'validation':
        fold = open_dfer(manifest, SIMPLE, target='dimensions').fair[0]
        arousal = np.arange(len(manifest)) * 1.0
        arousal[fold.validation] = 0.5
    with pytest.raises(
        TableError, match=f"differ in the {part} part; got one value of 'arousal' in the {part} part of made up, fold 1"
    ):
        run_dfer(
            manifest.replaced(arousal=arousal.tolist()), clips_of(manifest, rng), [NEAREST],
            dataclasses.replace(QUICK, target='dimensions'), Tuning(),
        )  # fmt: skip
    assert not calls.tuned


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(UnknownNameError, match='protocol'):
        DferSettings(protocol='fare')
    with pytest.raises(ValueRangeError, match='share'):
        DferSettings(validation_share=0.9)
    with pytest.raises(ValueRangeError):
        DferSettings(seeds=0)
    with pytest.raises(CorpusError, match='arousal'):
        samples = [dataclasses.replace(row, arousal=None, valence=None) for row in corpus().samples]
        open_dfer(Manifest(Facts('made up', categories=CATEGORIES), samples), SIMPLE, target='dimensions')
    with pytest.raises(CorpusError, match='folds that are tested in turn, two at least; got fold 3 alone'):
        open_dfer(
            Manifest(
                Facts('made up', categories=CATEGORIES), [dataclasses.replace(row, fold=3) for row in corpus().samples]
            ),
            SIMPLE,
        )
