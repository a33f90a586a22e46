"""Published folds become tests in turn."""

import pytest

from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import CorpusError
from affekt.experiments import ExperimentSettings, open_task
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
