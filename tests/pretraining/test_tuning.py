"""Fine-tuning: it learns, resumes to the same numbers, and validation alone chooses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fusion_reference import uniform
from small_clips import FACES, SMALL, clip, labelled, lacking, rated, tuned_on_ranks, tuned_without_draws

from affekt.errors import AffektError, MediaError, ShapeError, TrainingError, UnknownNameError, ValueRangeError
from affekt.nn import read_tensors
from affekt.pretraining import HicmaeClassifier, LabelledClip, SvfapClassifier, TuningSettings, predict_proba, tune
from affekt.pretraining.objectives import Goal, concordance_loss, correlation_loss, soft_cross_entropy
from affekt.pretraining.tuning import TuningBatches

QUICK = TuningSettings(
    epochs=4, batch_size=6, learning_rate=0.05, warm_up=1, stride=1, mixing=None, augments=False, patience=None
)


def network(outputs: int = 3, form=SMALL):
    torch.manual_seed(0)
    return (HicmaeClassifier if form is not FACES else SvfapClassifier)(form, outputs)


def state(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_small_model_learns_what_shows_and_sounds():
    tuned = tune(network(), labelled(18), labelled(9, seed=1), replace(QUICK, epochs=8))
    assert tuned.best_score == 1.0
    answers = predict_proba(tuned.model, [each.clip for each in labelled(9, seed=2)], stride=1)
    assert answers.argmax(axis=1).tolist() == [0, 1, 2] * 3
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize('has', ['video', 'audio'])
def test_one_modality_suffices(has):
    form = replace(SMALL, modalities=(has,))
    tuned = tune(network(form=form), labelled(18), labelled(9, seed=1, has=has), replace(QUICK, epochs=8))
    assert tuned.best_score > 0.6


def test_clips_that_lack_a_modality_are_learnt_from():
    mixed = labelled(6) + labelled(6, seed=3, has='video') + labelled(6, seed=4, has='audio')
    tuned = tune(network(), mixed, labelled(9, seed=1), replace(QUICK, epochs=1))
    assert math.isfinite(tuned.history[0]['training'])


def test_numbers_are_answered_in_their_own_unit():
    tuned = tune(network(2), rated(24), rated(12, seed=1), replace(QUICK, epochs=10))
    truth = np.stack([each.target for each in rated(12, seed=1)])
    answers = predict_proba(tuned.model, [each.clip for each in rated(12, seed=1)], stride=1, numbers=True)
    assert tuned.best_score > 0.5
    assert (np.abs(answers - truth).mean(axis=0) < truth.std(axis=0)).all()


def test_the_best_epoch_on_validation_is_taken_and_waiting_ends_the_run():
    train, validation = labelled(12), labelled(9, seed=1)
    turned = [LabelledClip(each.clip, (each.target + 1) % 3) for each in validation]  # learning makes these worse
    tuned = tune(network(), train, turned, replace(QUICK, epochs=12, patience=3))
    scores = [row['score'] for row in tuned.history]
    assert tuned.epoch == 1 + scores.index(max(scores))
    assert len(scores) == tuned.epoch + 3 < 12
    answers = predict_proba(tuned.model, [each.clip for each in turned], stride=1).argmax(axis=1)
    truth = np.array([each.target for each in turned])
    assert np.mean([np.mean(answers[truth == each] == each) for each in range(3)]) == pytest.approx(max(scores))


def test_for_reference_the_last_epoch_is_taken():
    tuned = tune(network(), labelled(12), labelled(9, seed=1), replace(QUICK, reference=True))
    assert tuned.epoch == len(tuned.history) == 4


@pytest.mark.parametrize('method', ['full', 'lora', 'linear'])
def test_a_run_that_was_killed_goes_on_to_the_same_numbers(tmp_path, monkeypatch, method):
    settings = replace(QUICK, method=method, mixing=TuningSettings().mixing)
    train, validation = labelled(12), labelled(6, seed=1)
    whole = tune(network(), train, validation, settings, folder=tmp_path / 'whole')

    seen = []

    def kill(stage, done, total):
        seen.append(stage)
        if len(seen) == (8 if method != 'linear' else 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(network(), train, validation, settings, folder=tmp_path / 'cut', progress=kill)
    again = tune(network(), train, validation, settings, folder=tmp_path / 'cut', resume=True)
    assert again.history == whole.history
    assert again.best_score == whole.best_score
    for name, value in state(whole.model).items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_a_finished_run_that_was_stopped_by_validation_takes_no_more_steps(tmp_path):
    settings = replace(QUICK, epochs=12, patience=1)
    turned = [LabelledClip(each.clip, (each.target + 1) % 3) for each in labelled(9, seed=1)]
    first = tune(network(), labelled(12), turned, settings, folder=tmp_path / 'run')
    again = tune(network(), labelled(12), turned, settings, folder=tmp_path / 'run', resume=True)
    assert again.history == first.history
    assert len(first.history) < 12


def test_threads_that_read_ahead_change_no_number():
    settings = replace(QUICK, epochs=2)
    plain = tune(network(), labelled(12), None, settings)
    ahead = tune(network(), labelled(12), None, replace(settings, readers=3))
    assert plain.history == ahead.history
    assert math.isnan(plain.best_score)


def test_two_processes_read_what_one_reads():
    clips = [LabelledClip(clip(str(at), 0.5, 300, seed=at, frames=40), at % 3) for at in range(12)]
    goal = Goal.of(clips, 3, QUICK)

    def batches(rank, count):
        settings = replace(QUICK, batch_size=6 // count)
        return iter(TuningBatches(clips, goal, network(), settings, SimpleNamespace(rank=rank, count=count)))

    together, first, second = batches(0, 1), batches(0, 2), batches(1, 2)
    for _ in range(3):
        whole, parts = next(together), (next(first), next(second))
        assert torch.equal(whole.clips.video, torch.cat([part.clips.video for part in parts]))
        assert torch.equal(whole.targets, torch.cat([part.targets for part in parts]))
        torch.testing.assert_close(whole.clips.audio, torch.cat([part.clips.audio for part in parts]))


def test_two_processes_tune_as_one_where_neither_draws(tmp_path, on_loaded_processes):
    on_loaded_processes(2, tuned_on_ranks, str(tmp_path))
    for name, drop_path in (('plain', 0.0), ('dropped', 0.5)):
        alone = tuned_without_draws(6, drop_path)
        rows = [json.loads((tmp_path / f'{name}-{rank}.json').read_text()) for rank in (0, 1)]
        weights = [read_tensors(tmp_path / f'{name}-{rank}.safetensors')[0] for rank in (0, 1)]
        assert rows[0] == rows[1]
        assert all(torch.equal(weights[1][key], value) for key, value in weights[0].items())
        apart = max(float((weights[0][key] - value).abs().max()) for key, value in state(alone.model).items())
        if drop_path:  # drawn in each process
            assert apart > 1e-3
        else:
            assert apart < 1e-5  # sums in another order
            for ours, theirs in zip(rows[0], alone.history, strict=True):
                assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize('balanced', [False, True])
def test_accumulated_batches_are_one_batch_also_of_clips_that_lack_a_modality(balanced):
    train = lacking(12)
    one = tuned_without_draws(6, train=train, balanced=balanced)
    several = tuned_without_draws(2, train=train, balanced=balanced, accumulation=3)
    for ours, theirs in zip(several.history, one.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    for key, value in state(one.model).items():
        assert torch.allclose(several.model.state_dict()[key], value, atol=1e-5, rtol=0.0), key


def test_predictions_that_overflow_end_the_run_with_what_to_do_about_it():
    # the first step's loss is finite, and its weights are; what they predict is not
    wild = replace(QUICK, learning_rate=1e30, batch_size=24, warm_up=0)
    with pytest.raises(TrainingError, match='finite predictions on validation; got nan or infinity; lower the learn'):
        tune(network(2), rated(24), rated(12, seed=1), wild)


def test_clips_are_opened_when_they_are_needed():
    opened = []

    def late(each):
        def open_it():
            opened.append(each.clip.name)
            return each.clip

        return LabelledClip(open_it, each.target)

    train = [late(each) for each in labelled(6)]
    assert not opened
    tune(network(), train, None, replace(QUICK, epochs=2))
    assert sorted(opened) == sorted(2 * [each.clip.name for each in labelled(6)])


def test_losses_of_numbers_are_the_published_ones(shared_data):
    stored = json.loads((shared_data / 'vectors' / 'regression_metrics.json').read_text())
    truth = torch.from_numpy(uniform('y', 300).reshape(100, 3)).double()
    said = 0.6 * truth + 0.4 * torch.from_numpy(uniform('p', 300).reshape(100, 3)).double() + 0.1
    assert float(concordance_loss(said, truth)) == pytest.approx(stored['ccc_loss'], abs=1e-6)
    assert float(correlation_loss(said, truth)) == pytest.approx(stored['pcc_loss'], abs=1e-6)
    goal = Goal(3, False, 'mse', 'ccc')
    scores = goal.scores(truth.numpy(), said.numpy())
    assert scores['ccc'] == pytest.approx(stored['metrics']['ccc'][0], abs=1e-6)
    assert scores['pcc'] == pytest.approx(stored['metrics']['pcc'][0], abs=1e-6)
    assert -scores['negative_mse'] == pytest.approx(stored['metrics']['mse'][0], abs=1e-6)


def test_cross_entropy_of_soft_targets_weighs_classes():
    # logits 0: log softmax is -log 2 for both; (.75 * 1 + .25 * 3) log 2
    loss = soft_cross_entropy(torch.zeros(1, 2), torch.tensor([[0.75, 0.25]]), torch.tensor([1.0, 3.0]))
    assert float(loss) == pytest.approx(1.5 * math.log(2))


def test_balanced_classes_weigh_alike():
    clips = labelled(2) + [LabelledClip(each.clip, 0) for each in labelled(2)]  # three of class 0, one of class 1
    goal = Goal.of(clips, 2, replace(QUICK, balanced=True))
    assert goal.weights.tolist() == pytest.approx([4 / 6, 2.0])  # 4 / (2 * 3) and 4 / (2 * 1)


def test_rates_are_the_published_ones():
    settings = TuningSettings(batch_size=56)
    assert settings.step_rate(56) == pytest.approx(1e-3 * 56 / 256)
    engine = settings.engine(per_epoch=10, accumulation=1)
    assert engine.schedule.warm_up == 50
    assert engine.schedule.share(50) == 1.0
    assert engine.schedule.share(500) == pytest.approx(1e-3)
    assert TuningSettings(reference=True).used_mixing.mixes_audio is False
    assert TuningSettings().used_mixing.mixes_audio is True


BAD = {
    'no clip': ([], ValueRangeError, 'training clips'),
    'one class': ([LabelledClip(clip('a', 0.5, 300), 1)] * 4, ValueRangeError, 'none of 2 classes: 0, 2'),
    'an absent class': (labelled(4, classes=2), ValueRangeError, 'none of 1 class: 2'),
    'a class too many': (labelled(8, classes=4), ValueRangeError, 'classes from 0 to 2'),
    'no label': ([*labelled(3), LabelledClip(clip('a', 0.5, 300), -1)], ValueRangeError, '-1'),
    'nan': ([LabelledClip(clip('a', 0.5, 300), np.array([0, np.nan, 1]))] * 4, ValueRangeError, 'nan or infinity'),
    'two sorts': ([*labelled(3), LabelledClip(clip('a', 0.5, 300), np.zeros(3))], ShapeError, 'either classes'),
    'other numbers': ([LabelledClip(clip('a', 0.5, 300), np.zeros(2))] * 4, ShapeError, '3 numbers'),
    'all the same': ([LabelledClip(clip('a', 0.5, 300), np.ones(3))] * 4, ValueRangeError, 'numbers that differ'),
    'nothing': ([*labelled(3), LabelledClip(clip('a', 0.5, 300), None)], ShapeError, 'classes'),
}


@pytest.mark.parametrize('case', BAD)
def test_targets_that_cannot_be_learnt_are_refused_before_anything_is_computed(case):
    clips, error, words = BAD[case]
    with pytest.raises(error, match=words):
        tune(network(), clips, None, QUICK)


def test_a_clip_without_anything_that_the_model_reads_is_named():
    form = replace(SMALL, modalities=('audio',))
    with pytest.raises(MediaError, match='audio in 0-'):
        tune(network(form=form), labelled(6, has='video'), None, QUICK)
    with pytest.raises(MediaError, match='video in 0-0'):
        predict_proba(network(form=FACES), [labelled(1, has='audio')[0].clip], stride=1)


def test_sound_that_is_mute_counts_as_none():
    mute = replace(clip('mute', 0.5, 300), sound=np.zeros(16_000, np.float32))
    train = [*labelled(6), LabelledClip(mute, 0)]
    tune(network(), train, None, replace(QUICK, epochs=1))
    with pytest.raises(MediaError, match='mute'):
        tune(network(form=replace(SMALL, modalities=('audio',))), train, None, replace(QUICK, batch_size=7))


def test_a_clip_shorter_than_a_window_is_learnt_from():
    short = LabelledClip(clip('short', 0.5, 300, frames=2), 0)
    tuned = tune(network(form=replace(SMALL, modalities=('video',))), [*labelled(5), short], None, QUICK)
    assert math.isfinite(tuned.history[-1]['training'])


@pytest.mark.parametrize(
    'changes',
    [
        {'method': 'magic'}, {'objective': 'hinge'}, {'score': 'f2'}, {'epochs': 0}, {'learning_rate': 0.0},
        {'layer_decay': 1.5}, {'smoothing': 1.0}, {'patience': 0}, {'learning_rate': math.nan}, {'least_rate': 1.0},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(AffektError):
        TuningSettings(**changes)


def test_an_objective_of_numbers_is_none_for_classes():
    with pytest.raises(UnknownNameError, match='cross_entropy'):
        tune(network(), labelled(6), None, replace(QUICK, objective='ccc'))
