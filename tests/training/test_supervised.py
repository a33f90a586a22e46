"""The loop learns, stops by validation, notices what went wrong, and goes on after a kill to the same numbers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import training_cases as cases

from affekt.errors import RunError, TrainingError, UnknownNameError, ValueRangeError
from affekt.training import Predicted, Samples, TrainingSettings, predict, train
from affekt.training.precision import has_precision
from affekt.training.scoring import is_constant


@pytest.mark.parametrize('name', ['attention', 'gated', 'linear'])
def test_a_model_learns_what_a_linear_function_of_the_features_says(name):
    settings = replace(cases.SETTINGS, epochs=25, score='weighted_f1', learning_rate=1e-2)
    trained = train(cases.model(name), cases.samples(300), cases.samples(100, 1), settings)
    assert trained.healthy().best_score > 0.85
    assert not trained.model.training


def test_frames_of_unequal_length_are_learned_from():
    settings = replace(cases.SETTINGS, epochs=25, score='weighted_f1', learning_rate=1e-2)
    model = cases.model('mfn', level='frame', dropout=0.0, options={'memory': 8})
    trained = train(model, cases.samples(200, level='frame'), cases.samples(60, 1, level='frame'), settings)
    assert trained.healthy().best_score > 0.7


def test_one_seed_gives_one_result_and_another_seed_another():
    first, second, other = (
        train(cases.model(), cases.samples(), cases.samples(40, 1), replace(cases.SETTINGS, seed=seed)).history
        for seed in (5, 5, 6)
    )
    assert first == second
    assert first != other


def test_whoever_asks_the_model_after_an_epoch_gets_answers_to_features_as_they_are():
    model, validation, asked = cases.model(), cases.samples(40, 1), []
    moved = replace(validation, features={name: 300 * value + 7 for name, value in validation.features.items()})
    held = cases.samples()
    training = replace(held, features={name: 300 * value + 7 for name, value in held.features.items()})

    def ask(row):
        loss = torch.nn.functional.cross_entropy(predict(model, moved).logits, validation.labels)
        loss += torch.nn.functional.mse_loss(predict(model, moved).values, validation.values)
        asked.append(-loss.item())

    trained = train(model, training, moved, cases.SETTINGS, report=ask)
    assert asked == pytest.approx([row['score'] for row in trained.history], abs=1e-5)


def test_training_leaves_the_callers_random_state_alone():
    torch.manual_seed(8)
    expected = torch.rand(1)
    model, state = cases.model(), torch.manual_seed(8)
    train(model, cases.samples(), cases.samples(40, 1), replace(cases.SETTINGS, epochs=1))
    assert torch.rand(1) == expected
    assert state is not None


def test_a_run_killed_at_any_epoch_goes_on_to_the_same_numbers(tmp_path, killed_process):
    whole = train(cases.model(), cases.samples(), cases.samples(40, 1), cases.SETTINGS)
    killed_process(cases.killed_after, str(tmp_path / 'run'), 3)
    other = cases.model(seed=77)  # its weights must come from the checkpoint
    resumed = train(other, cases.samples(), cases.samples(40, 1), cases.SETTINGS, folder=tmp_path / 'run', resume=True)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_a_finished_run_is_read_and_not_repeated(tmp_path):
    first = train(cases.model(), cases.samples(), cases.samples(40, 1), cases.SETTINGS, folder=tmp_path)
    rows = []
    again = train(
        cases.model(),
        cases.samples(),
        cases.samples(40, 1),
        cases.SETTINGS,
        folder=tmp_path,
        resume=True,
        report=rows.append,
    )
    assert rows == []
    assert again.history == first.history
    settings = json.loads((tmp_path / 'settings.json').read_text())['settings']
    assert settings['learning_rate'] == cases.SETTINGS.learning_rate


def test_a_run_is_not_gone_on_with_other_settings(tmp_path):
    train(cases.model(), cases.samples(), cases.samples(40, 1), cases.SETTINGS, folder=tmp_path)
    with pytest.raises(RunError, match='other values for learning_rate'):
        train(
            cases.model(),
            cases.samples(),
            cases.samples(40, 1),
            replace(cases.SETTINGS, learning_rate=0.5),
            folder=tmp_path,
            resume=True,
        )


def test_a_run_is_not_gone_on_with_another_model(tmp_path):
    once = replace(cases.SETTINGS, epochs=1)
    train(cases.model(), cases.samples(), cases.samples(40, 1), once, folder=tmp_path)
    for other in (cases.model(hidden=24), cases.model('lf_dnn')):
        with pytest.raises(
            TrainingError, match=r'expected a checkpoint of this model; got .*(size mismatch|Missing key)'
        ):
            train(other, cases.samples(), cases.samples(40, 1), once, folder=tmp_path, resume=True)


def test_training_stops_when_validation_no_longer_improves_and_returns_the_best_epoch():
    # truths of the training part are noise to validation: more epochs make validation worse
    noise = cases.samples(60)
    noise = replace(noise, labels=noise.labels[torch.randperm(60, generator=torch.Generator().manual_seed(0))])
    validation = cases.samples(60, 1)
    trained = train(
        cases.model(), noise, validation, TrainingSettings(epochs=200, learning_rate=1e-2, batch_size=16, patience=4)
    )
    assert len(trained.history) == trained.best_epoch + 4
    assert trained.best_score == max(row['score'] for row in trained.history)
    predicted = predict(trained.model, validation)
    loss = torch.nn.functional.cross_entropy(predicted.logits, validation.labels)
    loss += torch.nn.functional.mse_loss(predicted.values, validation.values)
    assert trained.best_score == pytest.approx(-loss.item(), abs=1e-6)


class _Fixed(torch.nn.Module):
    """Answers everybody alike, or not with a number."""

    def __init__(self, answer: float) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.tensor([answer, 0.0, 0.0]))

    def forward(self, features, keep_mask=None):
        from affekt.fusion import Fused

        rows = len(features['text'])
        return Fused(features['text'], self.bias.expand(rows, 3), self.bias[:1].expand(rows, 1))


def test_a_model_that_answers_everybody_alike_is_not_reported():
    trained = train(_Fixed(0.1), cases.samples(), cases.samples(40, 1), replace(cases.SETTINGS, epochs=2))
    assert trained.status == 'constant'
    with pytest.raises(TrainingError, match='got constant at epoch'):
        trained.healthy()


def test_a_loss_that_is_no_number_ends_the_run_at_once():
    trained = train(_Fixed(math.nan), cases.samples(), cases.samples(40, 1), cases.SETTINGS)
    assert trained.status == 'not_finite'
    assert len(trained.history) == 1
    with pytest.raises(TrainingError, match='not_finite'):
        trained.healthy()


@pytest.mark.parametrize('score', ['weighted_f1', 'concordance'])
def test_predictions_that_are_no_numbers_are_never_healthy(score):
    # as of a validation sample whose features overflow; the largest of logits that are nan is a category too
    class Overflows(_Fixed):
        def forward(self, features, keep_mask=None):
            fused = super().forward(features)
            extra = features['text'][:, :3] + (0.0 if self.training else math.nan)
            return replace(fused, logits=fused.logits + extra, values=fused.values + extra[:, :1])

    trained = train(Overflows(0.0), cases.samples(), cases.samples(40, 1), replace(cases.SETTINGS, score=score))
    assert trained.status == 'not_finite'
    assert math.isfinite(trained.history[0]['training_loss'])


def test_weights_that_break_down_later_leave_the_best_epoch_before():
    class Breaks(_Fixed):
        def forward(self, features, keep_mask=None):
            fused = super().forward(features)
            self.calls = getattr(self, 'calls', 0) + 1
            return replace(
                fused, logits=fused.logits + features['text'][:, :3] + (math.nan if self.calls > 20 else 0.0)
            )

    trained = train(Breaks(0.0), cases.samples(), cases.samples(40, 1), cases.SETTINGS)
    assert trained.status == 'healthy'
    assert len(trained.history) > trained.best_epoch
    assert any(math.isnan(value) for value in trained.history[-1].values())


@pytest.mark.skipif(not has_precision('cpu', 'bfloat16'), reason='this processor does not support bfloat16 natively')
def test_half_precision_products_end_near_full_precision():
    scores = [
        train(cases.model(), cases.samples(), cases.samples(40, 1), replace(cases.SETTINGS, precision=p)).best_score
        for p in ('float32', 'bfloat16')
    ]
    assert scores[0] != scores[1]
    assert scores[0] == pytest.approx(scores[1], abs=0.05)


def test_unknown_truths_change_nothing():
    known = cases.samples(40)
    more = cases.samples(80)
    labels, values = more.labels.clone(), more.values.clone()
    labels[40:], values[40:] = -1, math.nan
    from affekt.training.scoring import task_losses

    half = replace(more, labels=labels, values=values)
    model = cases.model(dropout=0.0).eval()
    index = torch.arange(80)
    batch, first = half.batch(index), known.batch(torch.arange(40))
    del first
    whole = task_losses(model(batch.features), batch)
    part = half.batch(index[:40])
    alone = task_losses(model(part.features), part)
    for name in alone:
        torch.testing.assert_close(whole[name], alone[name])


def test_a_loss_without_any_known_truth_is_none_and_such_a_validation_has_no_score():
    from affekt.training.scoring import SCORES, task_sums, truth_losses

    unknown = Samples({'a': torch.zeros(2, 1)}, torch.tensor([-1, -1]), torch.full((2, 1), math.nan))
    logits, values = torch.zeros(2, 3), torch.ones(2, 1)
    assert truth_losses(logits, values, unknown.batch(torch.arange(2))) == {'category': None, 'value': None}
    assert math.isnan(SCORES['loss'](Predicted(logits, values), unknown))
    half = replace(unknown, labels=torch.tensor([-1, 2]))
    # the cross-entropy of three equal logits is log 3
    assert truth_losses(logits, values, half.batch(torch.arange(2)))['category'].item() == pytest.approx(math.log(3))
    assert SCORES['loss'](Predicted(logits, values), half) == pytest.approx(-math.log(3))
    answer = SimpleNamespace(logits=logits, values=values, losses={})
    sums = task_sums(answer, unknown.batch(torch.arange(2)))
    assert {name: loss.item() for name, loss in sums.items()} == {'category': 0.0, 'value': 0.0}


@pytest.mark.parametrize('kind', ['norm', 'value'])
def test_gradients_are_clipped(kind):
    from affekt.training.clipping import clip_gradients

    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.grad = torch.tensor([[3.0, 4.0]])  # of length 5
    settings = {'norm': {'clip_norm': 1.0}, 'value': {'clip_norm': None, 'clip_value': 3.5}}[kind]
    clip_gradients(list(model.parameters()), settings['clip_norm'], settings.get('clip_value'))
    expected = {'norm': [[0.6, 0.8]], 'value': [[3.0, 3.5]]}[kind]
    torch.testing.assert_close(model.weight.grad, torch.tensor(expected), rtol=0, atol=1e-5)


def test_predictions_come_in_the_order_of_the_samples():
    held = cases.samples(50, level='frame')
    model = cases.model('attention', level='frame').eval()
    together = predict(model, held, batch=7)
    for i in (0, 13, 49):
        part = held.batch(torch.tensor([i]))
        with torch.no_grad():
            torch.testing.assert_close(together.logits[i], model(part.features, part.keep_mask).logits[0])


def test_wrong_settings_are_named():
    with pytest.raises(ValueRangeError, match="'learning_rate': 0"):
        TrainingSettings(learning_rate=0)
    with pytest.raises(ValueRangeError, match='weight_decay'):
        TrainingSettings(weight_decay=-1)
    with pytest.raises(UnknownNameError, match='precision'):
        TrainingSettings(precision='float8')
    with pytest.raises(UnknownNameError, match='a score among'):
        train(cases.model(), cases.samples(), cases.samples(), TrainingSettings(score='luck'))
    bare = Samples(cases.samples().features, labels=cases.samples().labels)
    with pytest.raises(UnknownNameError, match='samples with values'):
        train(cases.model(), bare, bare, replace(cases.SETTINGS, score='squared_error'))


def test_one_category_for_every_sample_is_a_constant_answer():
    truth = cases.samples(40, 1)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(40, 3, generator=rng)
    values = torch.zeros(40, 0)
    assert not is_constant(Predicted(logits, values), truth)
    assert is_constant(Predicted(logits + torch.tensor([0.0, 9.0, 0.0]), values), truth)


def test_unknown_values_do_not_widen_the_truth_that_an_answer_is_compared_with():
    values = 100 + torch.linspace(-1, 1, 40).unsqueeze(1)
    known = values.masked_fill(torch.arange(40).unsqueeze(1) < 20, torch.nan)
    truth = Samples(cases.samples(40, 1).features, values=known)
    assert not is_constant(Predicted(torch.zeros(40, 0), 0.2 * values), truth)
    assert is_constant(Predicted(torch.zeros(40, 0), 0.001 * values), truth)


def test_without_half_precision_on_the_device_full_precision_is_taken_and_a_warning_says_so(monkeypatch, caplog):
    monkeypatch.setattr('affekt.training.precision.has_precision', lambda device, precision: precision == 'float32')
    settings = replace(cases.SETTINGS, epochs=2)
    half, full = (
        train(cases.model(), cases.samples(), cases.samples(40, 1), replace(settings, precision=precision)).history
        for precision in ('bfloat16', 'float32')
    )
    assert half == full
    assert caplog.text.count('does not support bfloat16 natively') == 1


@pytest.mark.parametrize('name', ['patience', 'clip_norm', 'clip_value'])
def test_no_limit_is_none_and_a_limit_of_zero_is_refused(name):
    assert getattr(TrainingSettings(**{name: None}), name) is None
    with pytest.raises(ValueRangeError, match=f"'{name}': 0"):
        TrainingSettings(**{name: 0})
