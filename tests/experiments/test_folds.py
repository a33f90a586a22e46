"""Published folds become tests in turn, and notes on what the parts share."""

import importlib

import numpy as np
import pytest

from affekt.corpora import Facts, Manifest, Sample, made_up_corpus
from affekt.errors import CorpusError, ValueRangeError
from affekt.experiments import ExperimentSettings, Fold, open_task, task_notes
from affekt.experiments.folds import divided


def manifest_of(folds: list[int]) -> Manifest:
    samples = [
        Sample(sample=f's{number}', category=('sad', 'happy')[number % 2], fold=k) for number, k in enumerate(folds)
    ]
    return Manifest(Facts('made up', categories=('sad', 'happy')), samples)


def test_folds_are_tested_in_turn_and_the_one_before_validates_however_they_are_numbered():
    # folds 1, 3 and 7 of two samples each: 7 comes before 1
    divisions = divided(manifest_of([1, 1, 3, 3, 7, 7]), ExperimentSettings())
    parts = [(list(fold.train), list(fold.validation), list(fold.test)) for fold in divisions.fair]
    assert parts == [([2, 3], [4, 5], [0, 1]), ([4, 5], [0, 1], [2, 3]), ([0, 1], [2, 3], [4, 5])]


def test_two_folds_leave_the_fair_protocol_nothing_to_learn_from_which_is_said_before_features_are_read():
    manifest, settings = manifest_of([1, 1, 2, 2]), ExperimentSettings()
    assert [len(fold.train) for fold in divided(manifest, settings).reference] == [2, 2]
    with pytest.raises(CorpusError, match='the one that validates; got 2 folds in made up; make three or more'):
        open_task(manifest, {'text': None}, settings)


def test_one_fold_cannot_be_tested_in_turn():
    with pytest.raises(CorpusError, match='two at least; got fold 2 alone'):
        divided(manifest_of([2, 2]), ExperimentSettings())


def test_every_name_of_the_room_exists():
    room = importlib.import_module('affekt.experiments')
    assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_fewer_than_two_folds_are_refused():
    for folds in (1, 0, -3):
        with pytest.raises(ValueRangeError, match="'folds'"):
            ExperimentSettings(folds=folds)


def test_samples_without_features_are_not_taken_for_copies_of_each_other(rng):
    corpus = made_up_corpus()
    size = len(corpus)
    fold = Fold(np.arange(size // 2), np.arange(size // 2, size // 2 + 2), np.arange(size // 2 + 2, size))
    rows, present = rng.normal(size=(size, 2)).astype(np.float32), np.ones(size, bool)
    rows[[0, -1]], present[[0, -1]] = 0.0, False
    given = corpus, [fold], None, {'text': rows}, {'text': present}
    assert not any('very features' in note for note in task_notes(*given))
    rows[-1], present[-1] = rows[1], True
    assert any('1 tested sample with the very features' in note for note in task_notes(*given))
