"""What becomes a guess, by hand; where guesses come from; and that no validation video is ever guessed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from frame_cases import TINY, both_sides, videos_of

from affekt.errors import LeakError, ShapeError, UnknownNameError, ValueRangeError
from affekt.sequence_models import (
    Alignment,
    FramePrediction,
    PseudoLabelSettings,
    pseudo_labelled,
    train_frames,
    train_with_pseudo_labels,
)

SETTINGS = PseudoLabelSettings(least_probability=0.8, most_spread=0.05, weight=0.25)
NAMES = {'expressions': ('calm', 'glad'), 'action_units': ('AU12', 'AU25')}


class Oracle:
    """Answers for three frames of each video, of which the last is not seen."""

    def __init__(self):
        self.notes = {'epoch': 3}

    def predict(self, videos, *, smooth=True, draws=0):
        return {
            name: FramePrediction(
                name,
                np.array([[0.9, 0.1], [0.3, 0.7], [0.0, 1.0]], np.float32),
                np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], np.float32),
                np.array([[0.85, 0.5], [0.1, 0.2], [1.0, 1.0]], np.float32),
                np.array([True, True, False]),
                np.array([0.01, np.nan, 0.0], np.float32),
            )
            for name in videos.names
        }


def three_frames(partition):
    videos = videos_of({'a': partition}, known=False)
    labels = replace(videos.labels[0], frames=3)
    return replace(
        videos, labels=(labels,), weights=videos.weights[:3],
        features={name: value[:3] for name, value in videos.features.items()},
        keep_mask={name: mask[:3] for name, mask in videos.keep_mask.items()},
    )  # fmt: skip


def test_what_a_model_is_sure_of_becomes_a_label_that_counts_for_less():
    guessed, card = pseudo_labelled(
        Oracle(), three_frames('test'), SETTINGS, tasks=('expression', 'affect', 'units'), never=['e'], **NAMES,
        source={'round': 0},
    )  # fmt: skip
    assert guessed.labels[0].expression.tolist() == [0, -1, -1]
    np.testing.assert_array_equal(
        guessed.labels[0].affect, np.array([[0.1, 0.2], [np.nan] * 2, [np.nan] * 2], np.float32)
    )
    assert guessed.labels[0].units.tolist() == [[1, -1], [0, 0], [-1, -1]]
    assert guessed.weights.tolist() == [0.25] * 3
    assert guessed.guessed == {'a'}
    assert card.videos == {'a': {'partition': 'test', 'expression': 1, 'affect': 1, 'units': 2}}
    assert card.counts == {'calm': 1, 'AU12': 1}
    assert card.frames == {'expression': 1, 'affect': 1, 'units': 2}
    assert card.source == {'epoch': 3, 'round': 0}


def test_a_video_of_which_nothing_is_sure_is_left_out():
    strict = replace(SETTINGS, least_probability=0.95)
    guessed, card = pseudo_labelled(Oracle(), three_frames('train'), strict, tasks=('expression',), never=[], **NAMES)
    assert guessed.names == ()
    assert card.frames['expression'] == 0


@pytest.mark.parametrize(
    ('partition', 'never', 'sentence'),
    [
        ('val', [], r'of no validation part.*1 of one: .a.'),
        ('test', ['a'], 'a in validation and videos to guess'),
        ('train', ['a_left'], 'a_left / a in validation and videos to guess'),
    ],
)
def test_a_validation_video_or_another_person_of_it_is_never_guessed(partition, never, sentence):
    with pytest.raises(LeakError, match=sentence):
        pseudo_labelled(Oracle(), three_frames(partition), SETTINGS, tasks=('affect',), never=never, **NAMES)
    if never:
        training, validation = both_sides()
        with pytest.raises(LeakError, match='in validation and videos to guess'):
            train_with_pseudo_labels(training.take(['b']), validation, validation, TINY, SETTINGS)


def test_rounds_learn_from_guesses_and_keep_where_they_come_from(tmp_path):
    training, validation = both_sides()
    unlabelled = training.take(['a', 'c'])  # their labels are not read
    settings, pseudo = replace(TINY, epochs=2), PseudoLabelSettings(most_spread=1.0, rounds=2)
    trained = train_with_pseudo_labels(
        training.take(['b', 'd', 'd_left']), unlabelled, validation, settings, pseudo, folder=tmp_path / 'run'
    )
    assert len(trained.rounds) == 3
    assert trained.best.score == max(each.score for each in trained.rounds)
    assert trained.cards[0].videos == {
        name: {'partition': 'train', 'expression': 0, 'affect': frames, 'units': 0}
        for name, frames in {'a': 100, 'c': 20}.items()
    }
    assert trained.cards[0].source['round'] == 0
    notes = trained.rounds[1].predictor.notes
    assert notes['learnt_from'] == {'annotated': ['b', 'd', 'd_left'], 'guessed': ['a', 'c']}
    card = json.loads((tmp_path / 'run/round1/pseudo_labels.json').read_text())
    assert card['videos'] == trained.cards[0].videos
    assert card['settings']['most_spread'] == 1.0
    again = train_with_pseudo_labels(
        training.take(['b', 'd', 'd_left']),
        unlabelled,
        validation,
        settings,
        pseudo,
        folder=tmp_path / 'run',
        resume=True,
    )
    assert [each.history for each in again.rounds] == [each.history for each in trained.rounds]


@pytest.mark.parametrize('wrong', ['a video of the training', 'other features'])
def test_what_the_second_round_cannot_learn_from_stops_the_first(wrong):
    training, validation = both_sides()
    unlabelled = training.take(['a'])
    error = UnknownNameError
    if wrong == 'other features':
        error, unlabelled = ShapeError, replace(unlabelled, alignment=Alignment())
    rows = []
    with pytest.raises(error):
        train_with_pseudo_labels(training, unlabelled, validation, TINY, SETTINGS, report=rows.append)
    assert not rows


def test_nothing_sure_means_no_further_round():
    training, validation = both_sides()
    trained = train_with_pseudo_labels(
        training.take(['b', 'd']), training.take(['a']), validation, replace(TINY, epochs=1),
        PseudoLabelSettings(most_spread=1e-9),
    )  # fmt: skip
    assert len(trained.rounds) == 1
    assert trained.cards == ()


def test_guesses_for_validation_videos_do_not_judge():
    training, validation = both_sides()
    guesses = validation.relabelled(validation.labels, validation.weights * 0.5)
    with pytest.raises(LeakError, match='what people annotated'):
        train_frames(training, guesses, TINY)


@pytest.mark.parametrize(
    'wrong',
    [{'least_probability': 0.5}, {'most_spread': 0.0}, {'weight': 1.0}, {'weight': 0.0}, {'rounds': 0}, {'draws': 1}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueRangeError, match='weight in'):
        PseudoLabelSettings(**wrong)
