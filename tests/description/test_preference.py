from __future__ import annotations

import importlib.util
import math

import pytest
import torch
import trl_losses
from tiny_describers import KIND, SOURCES

from affekt.description import (
    Adapters,
    AnswerLogs,
    Asked,
    Describer,
    GroupSettings,
    Pieces,
    adapters_off,
    answer_logs,
    group_advantages,
    group_loss,
    group_step,
    kl_of,
    modality_gain,
    preference_loss,
    preference_step,
    reference_logs,
    tiny_trunk,
    token_logs,
    with_adapters,
)
from affekt.errors import ShapeError, ValueRangeError, WeightsError
from affekt.metrics.open_vocabulary_reward import Reward

STORED = {
    'dpo': (0.53443825, 8.72900581),
    'robust': (0.24843711, 28.99774551),
    'grpo': (0.16623169, 27.14357948),
    'bnpo': (1.27069628, 99.22713470),
}
"""Loss, and norm of its gradient over adapters, that `trl_losses.py` prints."""


def _text_only(answers):
    return [Asked(Pieces((prompt,), answer=answer)) for prompt, answer in zip(trl_losses.PROMPTS, answers, strict=True)]


def _pairs(describer, **settings):
    return preference_step(describer, _text_only(trl_losses.CHOSEN), _text_only(trl_losses.REJECTED), **settings).loss


def _groups(describer, *, temperature=1.3, **settings):
    batch = _text_only(trl_losses.CHOSEN)
    logs = answer_logs(describer, batch, temperature=temperature)
    shifts = torch.zeros_like(logs.values)
    for row, mask in zip(shifts, logs.keep_mask, strict=True):
        count = int(mask.sum())
        row[mask] = trl_losses.SHIFTS * (-1.0) ** torch.arange(count)
    reference = reference_logs(describer, batch, temperature=temperature).values
    return group_loss(
        logs, torch.tensor(trl_losses.ADVANTAGES), before=logs.values.detach() + shifts, reference=reference, **settings
    )


OURS = {
    'dpo': _pairs,
    'robust': lambda describer: _pairs(describer, beta=0.3, flipped=0.1),
    'grpo': lambda describer: _groups(describer, kl_weight=0.04),
    'bnpo': lambda describer: _groups(describer, kl_weight=0.2, over='tokens'),
}
TRL = {
    'dpo': trl_losses.trl_pairs,
    'robust': lambda network: trl_losses.trl_pairs(network, beta=0.3, loss='robust', flipped=0.1),
    'grpo': trl_losses.trl_groups,
    'bnpo': lambda network: trl_losses.trl_groups(network, loss='bnpo', kl_weight=0.2),
}


@pytest.fixture(scope='module')
def text_describer():
    return Describer(trl_losses.filled_trunk(), ()).eval()


@pytest.fixture(scope='module')
def learner():
    describer = Describer(with_adapters(tiny_trunk(), Adapters(rank=2, dropout=0.0)), SOURCES)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in describer.parameters():
            if parameter.ndim > 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    describer.readers.requires_grad_(False)
    return describer


@pytest.mark.parametrize('name', STORED)
def test_losses_and_gradients_are_those_of_trl(text_describer, name):
    loss = OURS[name](text_describer)
    stored = STORED[name]
    assert float(loss.detach()) == pytest.approx(stored[0], abs=1e-5)
    assert float(trl_losses.slope(loss, text_describer.trunk)) == pytest.approx(stored[1], rel=1e-5)


@pytest.mark.skipif(importlib.util.find_spec('trl') is None, reason='trl is not installed')
@pytest.mark.filterwarnings('ignore:.*is_gradient_checkpointing:FutureWarning')  # trl reads an attribute's old name
@pytest.mark.parametrize('name', STORED)
def test_trl_still_gives_what_is_stored(name):
    network = trl_losses.filled_trunk().network
    loss = TRL[name](network)
    assert float(loss.detach()) == pytest.approx(STORED[name][0], abs=1e-5)
    assert float(trl_losses.slope(loss, network)) == pytest.approx(STORED[name][1], rel=1e-5)


# By hand


def test_the_loss_of_a_pair_by_hand():
    # margin = 0.5 ((-2 + 3) - (-4 + 2)) = 1.5; -log sigmoid(1.5) = log(1 + e^-1.5)
    logs = [torch.tensor([value]) for value in (-2.0, -4.0, -3.0, -2.0)]
    assert float(preference_loss(*logs, beta=0.5)) == pytest.approx(math.log1p(math.exp(-1.5)), abs=1e-6)
    # (0.9 log(1 + e^-1.5) - 0.1 log(1 + e^1.5)) / 0.8
    expected = (0.9 * math.log1p(math.exp(-1.5)) - 0.1 * math.log1p(math.exp(1.5))) / 0.8
    assert float(preference_loss(*logs, beta=0.5, flipped=0.1)) == pytest.approx(expected, abs=1e-6)
    assert float(preference_loss(*[torch.zeros(3)] * 4)) == pytest.approx(math.log(2), abs=1e-6)
    with pytest.raises(ValueRangeError):
        preference_loss(*logs, beta=0.0)
    with pytest.raises(ValueRangeError):
        preference_loss(*logs, flipped=0.5)


def test_log_probabilities_by_hand():
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]]))
    logs = token_logs(logits, torch.tensor([[-100, 1, 2]]))
    torch.testing.assert_close(logs.values, torch.log(torch.tensor([[0.25, 0.7]])))
    assert float(logs.means()) == pytest.approx(math.log(0.25 * 0.7) / 2, abs=1e-6)
    empty = token_logs(logits, torch.full((1, 3), -100))
    assert float(empty.sums()) == float(empty.means()) == 0.0


def test_advantages_by_hand():
    # (0, 1, 2): mean 1, deviation 1; (3, 3, 3): no advantage; nan takes no part: mean 1.5, deviation sqrt(1/2)
    rewards = torch.tensor([[0.0, 1.0, 2.0], [3.0, 3.0, 3.0], [1.0, math.nan, 2.0], [math.nan] * 3])
    expected = [
        [-1 / 1.0001, 0, 1 / 1.0001],
        [0, 0, 0],
        [-0.5 / (0.5**0.5 + 1e-4), 0, 0.5 / (0.5**0.5 + 1e-4)],
        [0] * 3,
    ]
    torch.testing.assert_close(group_advantages(rewards), torch.tensor(expected))
    torch.testing.assert_close(group_advantages(rewards, scaled=False)[0], torch.tensor([-1.0, 0.0, 1.0]))
    with pytest.raises(ShapeError):
        group_advantages(torch.zeros(3, 1))


def test_a_ratio_counts_up_to_the_clip():
    values = torch.log(torch.tensor([[1.5, 1.1], [0.5, 1.0]]))
    logs = AnswerLogs(values, torch.tensor([[True, True], [True, False]]))
    # first, A = 2: min(1.5, 1.2) 2 = 2.4 and 1.1 x 2 = 2.2, mean 2.3; second, A = -1: min(-0.5, -0.8) = -0.8
    loss = group_loss(logs, torch.tensor([2.0, -1.0]), before=torch.zeros(2, 2))
    assert float(loss) == pytest.approx((-2.3 + 0.8) / 2, abs=1e-6)
    loss = group_loss(logs, torch.tensor([2.0, -1.0]), before=torch.zeros(2, 2), over='tokens')
    assert float(loss) == pytest.approx((-2.4 - 2.2 + 0.8) / 3, abs=1e-6)
    with pytest.raises(ValueRangeError):
        group_loss(logs, torch.tensor([2.0, -1.0]), kl_weight=0.1)


def test_the_distance_is_never_negative_and_zero_for_the_same():
    values = torch.linspace(-5, 0, 11)
    assert (kl_of(values, values.flip(0)) >= 0).all()
    assert not kl_of(values, values).any()


# With soft tokens


def _clip(describer, answer, *names):
    generator = torch.Generator().manual_seed(1)
    widths = {source.name: source.width for source in SOURCES}
    features = {name: torch.randn(2, widths[name], generator=generator) for name in names}
    return describer.prompt(features, KIND, 'What?', words='So.', answer=answer)


def test_without_adapters_the_describer_is_as_before_and_returns(learner):
    clip = _clip(learner, 'sad', 'voice')
    learner.eval()
    with torch.no_grad():
        whole = answer_logs(learner, [clip]).values
        with adapters_off(learner):
            bare = answer_logs(learner, [clip]).values
        torch.testing.assert_close(reference_logs(learner, [clip]).values, bare)
        torch.testing.assert_close(answer_logs(learner, [clip]).values, whole)
    assert not torch.allclose(whole, bare)
    assert any(parameter.requires_grad for name, parameter in learner.named_parameters() if '.lora_' in name)
    with pytest.raises(WeightsError, match='adapters'), adapters_off(Describer(tiny_trunk(), SOURCES)):
        pass
    with pytest.raises(ShapeError, match='answer'):
        answer_logs(learner, [_clip(learner, None, 'voice')])


def test_pairs_with_soft_tokens_are_learnt(learner):
    chosen = [_clip(learner, 'sad', 'voice'), _clip(learner, 'calm', 'face')]
    rejected = [_clip(learner, 'happy', 'voice'), _clip(learner, 'angry', 'face')]
    saved = {name: value.clone() for name, value in learner.learnt().items()}
    near = tuple(reference_logs(learner, answers).sums() for answers in (chosen, rejected))
    adapters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(adapters, 0.02)
    first = preference_step(learner, chosen, rejected)
    torch.testing.assert_close(preference_step(learner, chosen, rejected, reference=near).loss, first.loss)
    for _ in range(8):
        optimiser.zero_grad()
        preference_step(learner, chosen, rejected, reference=near).loss.backward()
        optimiser.step()
    last = preference_step(learner, chosen, rejected, reference=near)
    assert last.loss < first.loss
    assert last.accuracy == 1.0
    learner.fill(saved)
    with pytest.raises(ShapeError):
        preference_step(learner, chosen, rejected[:1])


def test_a_modality_that_is_not_there_gains_nothing(learner):
    batch = [_clip(learner, 'sad', 'voice', 'face'), _clip(learner, 'sad', 'face')]
    lacking = [_clip(learner, 'sad', 'face'), _clip(learner, 'sad', 'face')]
    learner.train()
    gain = modality_gain(learner, batch, lacking)
    assert learner.training
    learner.eval()
    with torch.no_grad():
        expected = answer_logs(learner, batch[:1]).means() - answer_logs(learner, lacking[:1]).means()
    assert float(gain[0]) == pytest.approx(float(expected), abs=1e-5)
    assert float(gain[0]) != 0.0
    assert float(gain[1]) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ShapeError):
        modality_gain(learner, batch, [_clip(learner, 'happy', 'face')] * 2)


def test_rewarded_answers_become_likelier(learner):
    prompts = [_clip(learner, None, 'voice'), _clip(learner, None, 'face')]
    saved = {name: value.clone() for name, value in learner.learnt().items()}
    settings = GroupSettings(answers=4, tokens=5, kl_weight=0.01)
    letters = lambda labels, truth: sum(len(label) for label in labels) + 0.0  # noqa: E731
    learner.eval()
    step = group_step(learner, prompts, ['x', 'x'], letters, settings, seed=1)
    again = group_step(learner, prompts, ['x', 'x'], letters, settings, seed=1)
    assert step.answers == again.answers
    assert step.rewards.shape == (2, 4)
    assert step.answers != group_step(learner, prompts, ['x', 'x'], letters, settings, seed=2).answers
    step.loss.backward()
    assert all(parameter.grad is not None for parameter in learner.parameters() if parameter.requires_grad)
    assert step.kl > 0.0
    learner.zero_grad(set_to_none=True)
    learner.fill(saved)


class _Saying:
    """Gives these answers whatever it is asked."""

    def __init__(self, *texts):
        self.texts = texts

    def __call__(self, batch, limits, seeds):
        from affekt.description import Generated

        return [Generated(text, (70, 257), 'end') for text in self.texts]


def test_refusals_and_long_lists_are_not_rewarded(learner, monkeypatch):
    texts = 'happy', 'happy, sad, angry, afraid, bored', "I'm sorry, but I can't tell if she is happy.", 'happy ' * 20
    monkeypatch.setattr(learner, 'generate', _Saying(*texts))
    step = group_step(learner, [_clip(learner, None, 'voice')], ['happy'], Reward(), GroupSettings(answers=4))
    rewards = step.rewards[0].tolist()
    assert rewards[0] == 1.0
    assert 0.0 <= rewards[1] < 0.4
    assert rewards[2:] == [0.0, 0.0]
    assert [answer.form for answer in step.answers[0]] == ['list', 'list', 'refusal', 'nonsense']


def test_a_gain_is_added_within_its_limit(learner, monkeypatch):
    monkeypatch.setattr(learner, 'generate', _Saying('happy', 'sad'))
    prompts, lacking = [_clip(learner, None, 'voice', 'face')], [_clip(learner, None, 'face')]
    plain, limited = (
        group_step(
            learner, prompts, ['happy'], Reward(), GroupSettings(answers=2, gain_weight=weight, gain_limit=0.001),
            lacking=lacking,
        ).rewards
        for weight in (0.0, 2.0)
    )  # fmt: skip
    assert (limited - plain).abs().flatten().tolist() == pytest.approx([0.002] * 2, abs=1e-6)
    with pytest.raises(ShapeError, match='gain_weight'):
        group_step(learner, prompts, ['happy'], Reward(), GroupSettings(answers=2, gain_weight=1.0))
    with pytest.raises(ValueRangeError):
        GroupSettings(answers=1)
