"""Folds that no recording crosses, models of each, and what they are together."""

from dataclasses import replace

import numpy as np
import pytest
from frame_cases import TINY, both_sides, videos_of

from affekt.errors import LeakError, ShapeError, UnknownNameError, ValueRangeError, WeightsError
from affekt.frames import recording_of
from affekt.sequence_models import FrameEnsemble, official_scores, recording_folds, train_folds

SETTINGS = replace(TINY, epochs=2)


@pytest.fixture(scope='module')
def sides():
    return both_sides()


@pytest.fixture(scope='module')
def trained(sides, tmp_path_factory):
    """Three folds and their folder."""
    folder = tmp_path_factory.mktemp('folds')
    rows = []
    return train_folds(*sides, SETTINGS, 3, folder=folder, report=rows.append), folder, rows


@pytest.mark.parametrize('count', [2, 3, 7])
def test_folds_keep_recordings_whole_and_are_about_as_long(count):
    rng = np.random.default_rng(0)
    lengths = {f'v{at}{side}': int(rng.integers(50, 3000)) for at in range(30) for side in ('', '_left')[: 1 + at % 2]}
    folds = recording_folds(lengths, count, seed=1)
    assert list(folds) == list(lengths)
    assert len({(recording_of(video), fold) for video, fold in folds.items()}) == 30
    frames = [sum(lengths[video] for video in folds if folds[video] == fold) for fold in range(1, count + 1)]
    assert max(frames) / min(frames) < 1.2
    assert recording_folds(lengths, count, seed=1) == folds


def test_every_fold_has_a_recording_even_where_all_are_empty():
    assert set(recording_folds({'a': 0, 'b': 0, 'c': 0}, 3, seed=0).values()) == {1, 2, 3}
    with pytest.raises(ValueRangeError, match='from 2 folds to as many as there are recordings, 1'):
        recording_folds({'a': 3, 'a_left': 4}, 2, seed=0)


def test_each_model_learns_from_the_other_folds_and_its_own_chooses(trained, sides):
    result, _, rows = trained
    assert [row['fold'] for row in rows] == [1, 1, 2, 2, 3, 3]
    for number, run in enumerate(result.members, 1):
        own = {video for video, fold in result.folds.items() if fold == number}
        assert set(run.predictor.notes['learnt_from']['annotated']) == set(sides[0].names) - own
        own_videos = sides[0].take(own)
        scores = official_scores(own_videos.labels, run.predictor.predict(own_videos, smooth=False), ['affect'])
        assert scores == pytest.approx(dict(run.scores), abs=1e-6)


def test_the_ensemble_is_the_mean_and_is_judged_by_the_official_validation_part(trained, sides):
    result, _, _ = trained
    together = result.ensemble.predict(sides[1], smooth=False)
    parts = [run.predictor.predict(sides[1], smooth=False) for run in result.members]
    wanted = np.mean([each['e'].affect for each in parts], axis=0)
    np.testing.assert_allclose(together['e'].affect, wanted, atol=1e-6)
    assert official_scores(sides[1].labels, together, ['affect']) == pytest.approx(dict(result.scores))
    assert result.smoothing['affect'].before == result.scores['score']
    assert np.isfinite(together['e'].spread).all()


def test_every_training_video_is_answered_by_a_model_that_has_not_seen_it(trained, sides):
    result, _, _ = trained
    answers = {}
    for video, fold in result.folds.items():
        answers |= result.members[fold - 1].predictor.predict(sides[0].take([video]), smooth=False)
    assert official_scores(sides[0].labels, answers, ['affect']) == pytest.approx(dict(result.held_out), abs=1e-6)


def test_a_saved_ensemble_gives_the_same_answers(trained, sides, tmp_path):
    result, folder, _ = trained
    loaded = FrameEnsemble.load(folder / 'ensemble')
    for name, wanted in result.ensemble.predict(sides[1]).items():
        np.testing.assert_array_equal(loaded.predict(sides[1])[name].affect, wanted.affect)
    with pytest.raises(WeightsError, match='an ensemble of models of frames'):
        FrameEnsemble.load(tmp_path)
    with pytest.raises(WeightsError, match='an ensemble of models of frames'):
        FrameEnsemble.load(folder / 'fold1/model')


def test_a_killed_run_goes_on_and_finished_folds_are_not_trained_again(trained, sides, tmp_path):
    result, _, _ = trained

    class Killed(Exception):
        pass

    def at(row):
        if row['fold'] == 2:
            raise Killed

    with pytest.raises(Killed):
        train_folds(*sides, SETTINGS, 3, folder=tmp_path, report=at)
    rows = []
    resumed = train_folds(*sides, SETTINGS, 3, folder=tmp_path, resume=True, report=rows.append)
    assert {row['fold'] for row in rows} == {2, 3}
    assert resumed.scores == result.scores
    assert resumed.held_out == result.held_out


def test_validation_may_choose_but_is_never_learnt_from(sides):
    result = train_folds(*sides, replace(SETTINGS, epochs=1), 2, chooses='validation')
    assert result.members[0].scores == pytest.approx(dict(result.member_scores[0]))
    with pytest.raises(LeakError):
        train_folds(videos_of({'a': 'train', 'b': 'val', 'c': 'train'}), sides[1], SETTINGS, 2)
    with pytest.raises(LeakError, match='d_left in training and validation'):
        train_folds(sides[0], videos_of({'d_left': 'val'}), SETTINGS, 2)
    with pytest.raises(UnknownNameError, match='fold or validation'):
        train_folds(*sides, SETTINGS, 2, chooses='test')


def test_a_fold_without_truth_is_refused_before_any_is_trained(sides):
    bare = videos_of({'c': 'train'}, known=False)
    training = sides[0].take(['a', 'b']).joined(bare)
    rows = []
    with pytest.raises(ValueRangeError, match='truth of affect in the validation videos'):
        train_folds(training, sides[1], SETTINGS, 3, report=rows.append)
    assert not rows


def test_models_of_different_tasks_are_no_ensemble(trained):
    first = trained[0].members[0].predictor
    with pytest.raises(ShapeError, match='one or more models of one task'):
        FrameEnsemble((first, replace(first, settings=replace(first.settings, task='expr'))))
    with pytest.raises(ShapeError, match='one or more models'):
        FrameEnsemble(())
