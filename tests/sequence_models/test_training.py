"""Training on windows: what is learnt, what chooses, what is refused, and the same numbers after a kill."""

import json
from dataclasses import replace

import frame_cases
import numpy as np
import pytest
import torch
from frame_cases import FRAMES, RATE_HZ, TINY, both_sides, face_of, labels_of, videos_of, voice_of

from affekt.errors import (
    LeakError,
    RunError,
    ShapeError,
    StorageError,
    TrainingError,
    UnknownNameError,
    ValueRangeError,
    WeightsError,
)
from affekt.frames import FrameLabels, overlap_average, windows_over
from affekt.sequence_models import (
    LOSS_SETTINGS,
    SEQUENCE_MODELS,
    FrameLosses,
    FramePredictor,
    FrameTrainingSettings,
    SequenceShape,
    build_sequence_model,
    frame_videos,
    loss_settings,
    mean_prediction,
    official_scores,
    predict_frames,
    train_frames,
)

NAMES = {'expressions': ('calm', 'glad', 'tense', 'keen'), 'action_units': ('AU12', 'AU25')}


@pytest.fixture(scope='module')
def sides():
    return both_sides()


@pytest.fixture(scope='module')
def run(sides, tmp_path_factory):
    """A finished run and its folder."""
    folder = tmp_path_factory.mktemp('run')
    return train_frames(*sides, TINY, folder=folder, notes={'corpus': 'made up'}), folder


def test_curves_are_learnt_and_the_best_epoch_is_taken(run):
    trained, _ = run
    scores = [row['score'] for row in trained.history]
    assert len(scores) == 4
    assert trained.score == max(scores) > 0.5
    assert trained.epoch == 1 + int(np.argmax(scores))
    assert trained.predictor.notes['learnt_from'] == {'annotated': ['a', 'b', 'c', 'd_left', 'd'], 'guessed': []}


def test_the_score_is_official_on_all_frames_of_whole_videos(run, sides):
    trained, _ = run
    predictions = trained.predictor.predict(sides[1], smooth=False)
    truth = np.concatenate([each.affect for each in sides[1].labels]).astype(float)
    answer = np.concatenate([predictions[name].affect for name in sides[1].names]).astype(float)
    known = ~np.isnan(truth).any(axis=1)
    t, p = truth[known], answer[known]
    covariance = ((t - t.mean(axis=0)) * (p - p.mean(axis=0))).mean(axis=0)
    concordances = 2 * covariance / (t.var(axis=0) + p.var(axis=0) + (t.mean(axis=0) - p.mean(axis=0)) ** 2)
    assert trained.score == pytest.approx(concordances.mean(), abs=1e-6)


def test_smoothing_is_reported_before_and_after(run, sides):
    trained, _ = run
    choice = trained.smoothing['affect']
    assert choice.before == trained.score
    assert choice.after == trained.smoothed_score >= choice.before
    predictions = trained.predictor.predict(sides[1])
    assert official_scores(sides[1].labels, predictions, ['affect'])['score'] == pytest.approx(choice.after, abs=1e-6)


@pytest.mark.parametrize(('task', 'score'), [('expr', 'expression_f1'), ('au', 'unit_f1'), ('mtl', 'score')])
def test_every_task_is_learnt(task, score, sides):
    settings = replace(
        TINY, task=task, class_balance=0.9, smoothing=0.1, focal=1.0, unit_balance=True, affect_loss='both', epochs=3
    )
    trained = train_frames(*sides, settings, **NAMES)
    assert trained.scores[score] > {'expr': 0.2, 'au': 0.3, 'mtl': 1.2}[task]
    predictions = trained.predictor.predict(sides[1])
    labels = predictions['e'].labels()
    assert labels.tasks == settings.tasks
    assert all(len(getattr(labels, name)) == 80 for name in labels.tasks)


@pytest.mark.parametrize('name', SEQUENCE_MODELS)
def test_every_model_is_trained_and_loaded_again(name, sides, tmp_path):
    settings = replace(TINY, model=name, options={}, epochs=1, curve_widths=())
    trained = train_frames(*sides, settings, folder=tmp_path / 'run')
    loaded = FramePredictor.load(tmp_path / 'run/model')
    wanted = trained.predictor.predict(sides[1])['f'].affect
    np.testing.assert_array_equal(loaded.predict(sides[1])['f'].affect, wanted)
    assert trained.smoothed_score == trained.score


def test_predictions_are_the_mean_of_windows_by_hand(run, sides):
    model, validation = run[0].predictor.model, sides[1].take(['e'])
    windows = windows_over({'e': 80}, 32, 16)
    with torch.no_grad():
        parts = [
            (each.begin, model(batch.features, batch.keep_mask).values[0].numpy())
            for each in windows
            for batch in [validation.batch([each])]
        ]
    for overlap in ('flat', 'tapered'):
        predicted = predict_frames(model, validation, window=32, stride=16, overlap=overlap, batch_size=3)['e']
        wanted = overlap_average(80, parts, overlap).clip(-1, 1)
        np.testing.assert_allclose(predicted.affect, wanted, atol=1e-6)
    assert np.isnan(predicted.spread).all()


def test_draws_with_dropout_say_how_sure_a_model_is_and_are_the_same_each_time(run, sides):
    predictor, validation = run[0].predictor, sides[1]
    torch.manual_seed(5)
    plain, drawn = predictor.predict(validation), predictor.predict(validation, draws=3)
    np.testing.assert_array_equal(drawn['e'].affect, plain['e'].affect)
    assert (drawn['e'].spread > 0).all()
    torch.manual_seed(6)
    np.testing.assert_array_equal(predictor.predict(validation, draws=3)['e'].spread, drawn['e'].spread)
    assert not predictor.model.training
    for draws in (1, -1):
        with pytest.raises(ValueRangeError, match='0 draws, or 2 or more'):
            predictor.predict(validation, draws=draws)
    with pytest.raises(ValueRangeError, match='a model with dropout, or an ensemble'):
        replace(predictor, settings=replace(TINY, dropout=0.0)).predict(validation, draws=3)


def test_frames_of_which_nothing_is_seen_have_an_answer_and_no_keep_mask(run):
    videos = videos_of({'e': 'test', 'f': 'test'}, known=False)
    for mask in videos.keep_mask.values():
        mask[10:30] = False
    predicted = run[0].predictor.predict(videos)
    assert np.isfinite(predicted['e'].affect).all()
    assert np.flatnonzero(~predicted['e'].keep_mask).tolist() == list(range(10, 30))


def test_a_modality_that_a_whole_video_lacks_changes_its_answers_and_breaks_nothing(run):
    whole = videos_of({'a': 'test', 'e': 'test'}, known=False)
    lacking = videos_of({'a': 'test', 'e': 'test'}, known=False)
    rows = slice(lacking.starts['e'], None)
    lacking.keep_mask['voice'][rows] = False
    lacking.features['voice'].stored[rows] = torch.nan  # what is not kept is not read
    first, second = run[0].predictor.predict(whole), run[0].predictor.predict(lacking)
    np.testing.assert_array_equal(first['a'].affect, second['a'].affect)
    assert np.isfinite(second['e'].affect).all()
    assert not np.array_equal(first['e'].affect, second['e'].affect)


def test_a_saved_model_gives_the_same_answers(run, sides, tmp_path):
    trained, folder = run
    loaded = FramePredictor.load(folder / 'model')
    assert loaded.settings == TINY
    assert loaded.notes['corpus'] == 'made up'
    for name, wanted in trained.predictor.predict(sides[1]).items():
        np.testing.assert_array_equal(loaded.predict(sides[1])[name].affect, wanted.affect)
    sources = {'face': {'e': face_of('e', 80)}, 'voice': {'e': voice_of('e', 80)}}
    direct = loaded.predict_features(sources, {'e': FRAMES['e']}, RATE_HZ)
    np.testing.assert_allclose(direct['e'].affect, trained.predictor.predict(sides[1])['e'].affect, atol=1e-6)


@pytest.mark.parametrize('method', ['mean', 'learned'])
def test_a_recording_without_a_voice_is_answered_for_as_one_whose_voice_is_not_kept(method):
    faces = {name: face_of(name, FRAMES[name]) for name in 'ae'}
    voices = {name: voice_of(name, FRAMES[name]) for name in 'ae'}
    training, validation = (
        frame_videos(
            [labels_of(name, part, FRAMES[name])], {'face': faces, 'voice': voices}, RATE_HZ, methods={'voice': method}
        )
        for name, part in (('a', 'train'), ('e', 'val'))
    )
    predictor = train_frames(training, validation, replace(TINY, epochs=1)).predictor
    silent = predictor.predict_features({'face': faces, 'voice': {}}, {'e': FRAMES['e']}, RATE_HZ)['e']
    validation.keep_mask['voice'][:] = False
    np.testing.assert_allclose(silent.affect, predictor.predict(validation)['e'].affect, atol=1e-6)


@pytest.mark.parametrize('fault', ['absent', 'truncated', 'other sizes', 'newer', 'no json', 'foreign setting'])
def test_a_damaged_model_is_refused(fault, run, tmp_path):
    run[0].predictor.save(tmp_path / 'model')
    weights, settings = tmp_path / 'model/weights.safetensors', tmp_path / 'model/settings.json'
    said = json.loads(settings.read_text())
    if fault == 'absent':
        weights.unlink()
    elif fault == 'truncated':
        weights.write_bytes(weights.read_bytes()[:-9])
    elif fault == 'no json':
        settings.write_text('{')
    else:
        change = {'other sizes': {'sizes': {'face': 4, 'voice': 1}}, 'newer': {'format': 99}}
        said |= change.get(fault, {'settings': said['settings'] | {'task': 'mood'}})
        settings.write_text(json.dumps(said))
    with pytest.raises(WeightsError, match='a trained model of frames in'):
        FramePredictor.load(tmp_path / 'model')


def test_other_features_than_those_of_training_are_refused(run, sides):
    only_face = replace(
        sides[1],
        features={'face': sides[1].features['face']}, keep_mask={'face': sides[1].keep_mask['face']},
    )  # fmt: skip
    with pytest.raises(ShapeError, match=r"features .'face': 3, 'voice': 1."):
        run[0].predictor.predict(only_face)
    with pytest.raises(ShapeError, match='extract the same features of all'):
        train_frames(sides[0], only_face, TINY)


def test_other_ways_to_the_frames_than_those_of_training_are_refused(run, sides):
    sources = {'face': {'e': face_of('e', 80)}, 'voice': {'e': voice_of('e', 80)}}
    linear = frame_videos([labels_of('e', 'val', 80)], sources, RATE_HZ)
    with pytest.raises(ShapeError, match='the same methods for all videos'):
        run[0].predictor.predict(linear)
    with pytest.raises(ShapeError, match='the same methods for all videos'):
        train_frames(sides[0], linear, TINY)


def test_nothing_of_one_recording_stands_on_both_sides(sides):
    with pytest.raises(LeakError, match='d / d_left in training and validation'):
        train_frames(videos_of({'a': 'train', 'd': 'train'}), videos_of({'d_left': 'val'}), TINY)


@pytest.mark.parametrize('partition', ['val', 'test'])
def test_an_official_validation_or_test_video_is_never_learnt_from(partition, sides):
    with pytest.raises(LeakError, match=rf'1 of other parts: .a \({partition}\)'):
        train_frames(videos_of({'a': partition, 'b': 'train'}), sides[1], TINY)


def test_a_test_video_never_chooses(sides):
    with pytest.raises(LeakError, match=r'no test part.*1 of one: .e \(test\)'):
        train_frames(sides[0], videos_of({'e': 'test', 'f': 'val'}), TINY)


def test_predictions_that_overflow_end_the_run_with_what_to_do_about_it(sides):
    with pytest.raises(TrainingError, match='finite predictions on validation; got nan or infinity; lower the learn'):
        train_frames(*sides, replace(TINY, learning_rate=1e15, batch_size=16, epochs=1))


def test_a_class_without_a_name_is_refused(sides):
    with pytest.raises(ValueRangeError, match='classes from 0 to 1'):
        train_frames(*sides, replace(TINY, task='expr'), expressions=('calm', 'glad'))


def test_the_partition_of_the_task_counts_and_not_that_of_others(sides):
    labels = tuple(replace(each, partition='val', by_task={'affect': 'train'}) for each in sides[0].labels)
    assert train_frames(replace(sides[0], labels=labels), sides[1], replace(TINY, epochs=1)).score > 0
    with pytest.raises(LeakError):
        train_frames(replace(sides[0], labels=labels), sides[1], replace(TINY, task='expr'))


def test_a_side_without_truth_of_the_task_is_refused(sides):
    with pytest.raises(ValueRangeError, match='truth of affect in the validation videos'):
        train_frames(sides[0], videos_of({'e': 'val'}, known=False), TINY)


def test_a_killed_run_goes_on_to_the_same_numbers(run, sides, killed_process, tmp_path):
    trained, _ = run
    killed_process(frame_cases.train_and_die, str(tmp_path / 'run'), 13)
    assert list((tmp_path / 'run').glob('step-*.safetensors'))
    resumed = train_frames(*sides, TINY, folder=tmp_path / 'run', resume=True, notes={'corpus': 'made up'})
    assert resumed.history == trained.history
    assert resumed.scores == trained.scores
    for name, value in trained.predictor.model.state_dict().items():
        assert torch.equal(resumed.predictor.model.state_dict()[name], value), name


def test_other_settings_or_other_videos_do_not_go_on_with_a_run(run, sides, tmp_path):
    _, folder = run
    with pytest.raises(RunError, match=r'frames\.learning_rate'):
        train_frames(*sides, replace(TINY, learning_rate=0.02), folder=folder, resume=True, notes={'corpus': 'made up'})
    with pytest.raises(RunError, match='data'):
        train_frames(sides[0], sides[1].take(['e']), TINY, folder=folder, resume=True, notes={'corpus': 'made up'})
    with pytest.raises(RunError, match='resume'):
        train_frames(*sides, TINY, folder=folder)


def test_the_scale_of_inputs_is_that_of_training_frames_alone(run, sides):
    scale = run[0].predictor.model.scales['face']
    torch.testing.assert_close(scale.mean, sides[0].features['face'][sides[0].keep_mask['face']].mean(dim=0))


def test_a_modality_called_as_a_task_leaves_the_loss_of_the_task_alone():
    sources = {name: {'a': face_of('a', 100)} for name in ('affect', 'voice')}
    videos = frame_videos([labels_of('a', 'train', 100)], sources, RATE_HZ)
    shape = SequenceShape(videos.sizes, values=2, hidden=8, dropout=0.0)
    model = build_sequence_model('mctn_sequence', shape)
    batch = videos.batch(windows_over({'a': 100}, 20, 20))
    losses = FrameLosses(replace(TINY, affect_loss='mse'), videos, 0)
    wanted = losses(model.eval(), batch)['affect']
    while_training = losses(model.train(), batch)
    assert set(while_training) == {'affect', 'model_affect', 'model_voice'}
    torch.testing.assert_close(while_training['affect'], wanted)


def test_a_video_without_frames_has_an_answer_without_frames(run, sides):
    empty = FrameLabels('z', 'val', affect=np.zeros((0, 2), np.float32))
    sources = {'face': {'e': face_of('e', 80)}, 'voice': {'e': voice_of('e', 80)}}
    videos = frame_videos([empty, labels_of('e', 'val', 80)], sources, RATE_HZ, methods={'voice': 'mean'})
    predictions = run[0].predictor.predict(videos)
    assert predictions['z'].affect.shape == (0, 2)
    assert run[0].predictor.predict(videos.take(['z']))['z'].keep_mask.shape == (0,)
    assert (
        official_scores(videos.labels, predictions, ['affect'])['score']
        == official_scores(videos.labels[1:], predictions, ['affect'])['score']
    )


def test_a_model_that_fails_is_left_in_the_mode_that_it_was_in(sides):
    class Failing(torch.nn.Linear):
        def forward(self, *_):
            raise KeyboardInterrupt

    model = Failing(1, 1)
    with pytest.raises(KeyboardInterrupt):
        predict_frames(model, sides[1], window=8, stride=8)
    assert model.training


def test_a_folder_that_cannot_be_made_is_named(run, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(StorageError, match='file'):
        run[0].predictor.save(tmp_path / 'file' / 'model')


def test_a_guess_counts_by_its_weight_and_apart_from_the_truth(sides, run):
    model, training = run[0].predictor.model, sides[0]
    settings = replace(TINY, affect_loss='mse')
    losses = FrameLosses(settings, training, 0)
    windows = windows_over({'a': 100, 'd': 60}, 30, 30)
    batch = training.batch(windows)
    guessed = torch.arange(len(windows)) >= 4  # those of d
    half = batch._replace(weights=torch.where(guessed[:, None], 0.25, batch.weights))

    def loss_of(chosen):
        keep = {name: mask & chosen[:, None] for name, mask in batch.keep_mask.items()}
        return losses(model, batch._replace(keep_mask=keep))['affect']

    known = ~batch.affect.isnan().any(dim=2)
    n, m = int(known[~guessed].sum()), int(known[guessed].sum())
    with torch.no_grad():
        wanted = (n * loss_of(~guessed) + 0.25 * m * loss_of(guessed)) / (n + 0.25 * m)
        torch.testing.assert_close(losses(model, half)['affect'], wanted)


def test_a_class_and_a_frame_without_truth_lose_nothing(sides, run):
    losses = FrameLosses(TINY, sides[0], 0)
    batch = sides[0].batch(windows_over({'a': 100}, 30, 30))
    empty = batch._replace(affect=torch.full_like(batch.affect, torch.nan))
    assert losses(run[0].predictor.model, empty)['affect'] is None


def test_means_of_models_and_their_spread_by_hand(run, sides):
    first = run[0].predictor.predict(sides[1])['e']
    second = first.with_curves({'affect': first.affect + np.float32(0.2)})
    mean = mean_prediction([first, second])
    np.testing.assert_allclose(mean.affect, first.affect + 0.1, atol=1e-6)
    np.testing.assert_allclose(mean.spread, 0.1, atol=1e-6)  # of two values .2 apart
    assert mean_prediction([first]) is first


@pytest.mark.parametrize(
    ('wrong', 'error'),
    [
        ({'task': 'mood'}, UnknownNameError),
        ({'affect_loss': 'mae'}, UnknownNameError),
        ({'stride': 33}, ValueRangeError),
        ({'epochs': 0}, ValueRangeError),
        ({'smoothing': 1.0}, ValueRangeError),
        ({'learning_rate': float('nan')}, ValueRangeError),
        ({'class_balance': 1.5}, ValueRangeError),
        ({'curve_widths': (0,)}, ValueRangeError),
        ({'patience': 0}, ValueRangeError),
    ],
)
def test_settings_out_of_range_are_refused(wrong, error):
    with pytest.raises(error):
        replace(TINY, **wrong)
    assert FrameTrainingSettings('mtl').tasks == ('expression', 'affect', 'units')


def test_losses_are_named_in_text():
    given = {'focal': '2', 'affect_loss': 'mse', 'unit_balance': 'No', 'class_balance': '.999'}
    assert loss_settings(given) == {'focal': 2.0, 'affect_loss': 'mse', 'unit_balance': False, 'class_balance': 0.999}
    assert loss_settings({}) == {}
    fields = FrameTrainingSettings.__dataclass_fields__
    assert set(LOSS_SETTINGS) <= set(fields)
    for wrong, error in (
        ({'hidden': '8'}, UnknownNameError), ({'affect_loss': 'mae'}, UnknownNameError),
        ({'focal': 'nan'}, ValueRangeError), ({'divergence': '2'}, ValueRangeError),
        ({'unit_balance': '1'}, ValueRangeError), ({'focal': ''}, ValueRangeError),
    ):  # fmt: skip
        with pytest.raises(error):
            loss_settings(wrong)
    with pytest.raises(ValueRangeError, match=r'exponents of 0 or more.*; got focal -1\.0'):
        loss_settings({'focal': '-1'})


def test_labels_of_other_units_than_are_named_are_refused(sides):
    with pytest.raises(ShapeError, match='names of 2 action units'):
        train_frames(*sides, replace(TINY, task='au'))
    assert labels_of('a', 'train', 8).units.shape == (8, 2)
