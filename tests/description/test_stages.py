"""Stages after a describer can answer: pairs and rewards on the engine, what they stay near, and several processes."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_describers import FELT, toy_describer, toy_examples

import affekt.description
from affekt.description import (
    DescribeSettings,
    GroupSettings,
    PreferredAnswer,
    Source,
    answer_logs,
    as_started,
    group_step,
    preference_step,
    reference_logs,
    started,
    train_describer,
    train_preferred,
    train_rewarded,
)
from affekt.errors import LeakError, RunError, UnknownNameError, ValueRangeError
from affekt.nn import read_tensors
from affekt.training.curves import read_log

TRAINING, VALIDATION = toy_examples(12, 0, seed=0), toy_examples(6, 100, seed=1)
PREFER = DescribeSettings('prefer', steps=4, batch_size=4, evaluate_every=2, log_every=1, adapter_rate=5e-3)
REWARD = DescribeSettings(
    'reward', steps=4, batch_size=3, evaluate_every=2, log_every=1, answer_tokens=4, adapter_rate=1e-2
)
GROUPS = GroupSettings(answers=2, tokens=4)


class Killed(Exception):
    """Stands for the end of a process."""


def _moved():
    """A describer whose adapters have learnt something."""
    describer = toy_describer()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in describer.named_parameters():
            if '.lora_B.' in name:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return describer.eval()


def _pairs(examples):
    others = {label: FELT[(at + 1) % len(FELT)] for at, label in enumerate(FELT)}
    return [
        PreferredAnswer(
            each.name, each.sources, '', each.question, each.answer, f'{others[each.labels[0]].capitalize()}.'
        )
        for each in examples
    ]


def _asked(describer, examples):
    return [
        describer.prompt(
            {name: torch.tensor(values) for name, values in each.sources.items()}, 'audioonly', each.question,
            answer=each.answer,
        )
        for each in examples
    ]  # fmt: skip


def reward(labels, truth):
    """The share of the truth that is named."""
    return float(len({*labels} & {*truth})) / len(truth)


def test_a_trained_describer_is_compared_with_what_it_was_and_not_with_its_bare_trunk():
    describer = _moved()
    chosen, rejected = _asked(describer, TRAINING[:3]), _asked(describer, TRAINING[3:6])
    rejected = [dataclasses.replace(other, features=own.features) for own, other in zip(chosen, rejected, strict=True)]
    start = started(describer)
    near = tuple(reference_logs(describer, side, start=start).sums() for side in (chosen, rejected))
    first = preference_step(describer, chosen, rejected, reference=near)
    assert float(first.loss.detach()) == pytest.approx(math.log(2), abs=1e-6)
    with torch.no_grad():
        bare, own = reference_logs(describer, chosen).sums(), answer_logs(describer, chosen).sums()
    assert not torch.allclose(bare, own, atol=1e-3)
    step = group_step(describer, chosen, [['sad']] * 3, reward, GROUPS, start=start)
    assert step.kl == pytest.approx(0.0, abs=1e-6)
    assert group_step(describer, chosen, [['sad']] * 3, reward, GROUPS).kl > 1e-4


def test_looking_back_changes_neither_weights_nor_gradients():
    describer = _moved()
    start = {name: torch.zeros_like(value) for name, value in started(describer).items() if '.lora_B.' in name}
    chosen = _asked(describer, TRAINING[:3])
    before = {name: value.clone() for name, value in started(describer).items()}
    wanted = torch.autograd.grad(answer_logs(describer, chosen).sums().sum(), _adapters(describer))
    loss = answer_logs(describer, chosen).sums().sum()
    with as_started(describer, start), torch.no_grad():
        looked = answer_logs(describer, chosen).sums()
    torch.testing.assert_close(looked, reference_logs(describer, chosen).sums())
    for own, other in zip(torch.autograd.grad(loss, _adapters(describer)), wanted, strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)
    for name, value in started(describer).items():
        assert torch.equal(value, before[name])


def _adapters(describer):
    return [parameter for name, parameter in describer.named_parameters() if '.lora_' in name]


def test_pairs_are_learnt_and_a_killed_run_goes_on_to_the_same_losses(tmp_path):
    pairs, judged = _pairs(TRAINING), _pairs(VALIDATION)
    whole, rows = [], []
    done = train_preferred(_moved(), pairs, judged, PREFER, folder=tmp_path / 'whole', report=whole.append)

    def killed_at_three(row):
        rows.append(row)
        if row['step'] == 3:
            raise Killed

    with pytest.raises(Killed):
        train_preferred(_moved(), pairs, judged, PREFER, folder=tmp_path / 'killed', report=killed_at_three)
    torch.rand(3)
    del rows[2:]
    train_preferred(_moved(), pairs, judged, PREFER, folder=tmp_path / 'killed', resume=True, report=rows.append)
    assert [row['loss'] for row in rows] == pytest.approx([row['loss'] for row in whole], abs=1e-6)
    assert whole[0]['loss'] == pytest.approx(math.log(2), abs=1e-6)
    assert done.scores.keys() == {'judged_loss', 'accuracy'}
    with pytest.raises(RunError):
        train_preferred(_moved(), pairs[:-1], judged, PREFER, folder=tmp_path / 'killed', resume=True)


def test_rewards_resume_to_the_same_losses_and_readers_stay(tmp_path):
    whole, rows = [], []
    describer = _moved()
    reader = describer.reader('voice').project.weight.detach().clone()
    train_rewarded(describer, TRAINING, VALIDATION, REWARD, reward=reward, groups=GROUPS, folder=tmp_path / 'a',
                   report=whole.append)  # fmt: skip
    assert torch.equal(describer.reader('voice').project.weight, reader)

    def killed_at_two(row):
        rows.append(row)
        if row['step'] == 3:
            raise Killed

    again = {'reward': reward, 'groups': GROUPS, 'folder': tmp_path / 'b'}
    with pytest.raises(Killed):
        train_rewarded(_moved(), TRAINING, VALIDATION, REWARD, report=killed_at_two, **again)
    del rows[2:]
    train_rewarded(_moved(), TRAINING, VALIDATION, REWARD, resume=True, report=rows.append, **again)
    assert [row['loss'] for row in rows] == pytest.approx([row['loss'] for row in whole], abs=1e-6)
    assert {'mean_reward', 'uar', 'valid'} <= whole[1].keys()


def test_a_gain_can_be_rewarded_where_something_else_is_left():
    spoken = [dataclasses.replace(each, transcript='Well.' * (at % 2)) for at, each in enumerate(TRAINING)]
    groups = dataclasses.replace(GROUPS, gain_weight=0.5)
    settings = dataclasses.replace(REWARD, steps=2)
    done = train_rewarded(_moved(), spoken, VALIDATION, settings, reward=reward, groups=groups, gain_of='voice')
    assert all(math.isfinite(row['loss']) for row in done.history)
    with pytest.raises(UnknownNameError, match='gain'):
        train_rewarded(_moved(), spoken, VALIDATION, settings, reward=reward, groups=groups, gain_of='smell')


def test_what_cannot_be_learnt_is_refused():
    pairs, judged = _pairs(TRAINING), _pairs(VALIDATION)
    with pytest.raises(ValueRangeError, match='differ'):
        dataclasses.replace(pairs[0], rejected=pairs[0].chosen)
    with pytest.raises(LeakError):
        train_preferred(_moved(), pairs, pairs[:2], PREFER)
    with pytest.raises(ValueRangeError):
        train_preferred(_moved(), pairs, [], PREFER)
    with pytest.raises(UnknownNameError, match='stage prefer'):
        train_preferred(_moved(), pairs, judged, REWARD)
    with pytest.raises(UnknownNameError, match='train_preferred'):
        train_describer(_moved(), TRAINING, VALIDATION, PREFER)
    bare = [dataclasses.replace(each, labels=()) for each in TRAINING]
    with pytest.raises(ValueRangeError, match='labels'):
        train_rewarded(_moved(), bare, VALIDATION, REWARD, reward=reward)


def _train_together(folder):
    settings = DescribeSettings(steps=2, batch_size=3, evaluate_every=2, log_every=1, answer_tokens=4, withheld=0.2)
    done = train_describer(toy_describer(), TRAINING, VALIDATION, settings, folder=folder)
    pairs = dataclasses.replace(PREFER, steps=2, batch_size=3)
    train_preferred(done.describer, _pairs(TRAINING), _pairs(VALIDATION), pairs, folder=folder / 'prefer')


def _launched_environment() -> dict[str, str]:
    """The variables that `accelerate launch --config_file affekt/description/fsdp2.yaml` gives to processes."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    settings = Path(affekt.description.__file__).with_name('fsdp2.yaml')
    words = ['--config_file', str(settings), '--main_process_port', '0', '-m', 'affekt']
    parsed, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert (parsed.num_processes, parsed.use_fsdp, parsed.module) == (2, True, True)
    return {name: value for name, value in prepare_multi_gpu_env(parsed).items() if name not in os.environ}


def _train_spread(folder):
    """The stages of `_train_together`, whole in each process and then with a part of the model in each."""
    _train_together(folder / 'whole')
    os.environ |= _launched_environment()
    assert (os.environ['ACCELERATE_USE_FSDP'], os.environ['FSDP_VERSION']) == ('true', '2')
    settings = DescribeSettings(steps=2, batch_size=3, evaluate_every=2, log_every=1, answer_tokens=4, withheld=0.2)
    done = train_describer(toy_describer(), TRAINING, VALIDATION, settings, folder=folder / 'spread')
    held, every = (sum(count(each) for each in done.describer.parameters())
                   for count in (lambda each: each.to_local().numel(), lambda each: each.numel()))  # fmt: skip
    assert held < 0.6 * every
    hooks = done.describer.trunk.get_input_embeddings()._forward_hooks.values()
    assert not [hook for hook in hooks if hook.__module__ == train_describer.__module__]
    # processes whose clips have other sources, or none, exchange gradients all the same
    voice = Source('voice', len(FELT), standardised=True, scaled=True)
    face = {'face': np.ones((1, 3), np.float32)}
    seen = [
        [dataclasses.replace(each, transcript='Well.', sources={**each.sources, **face}) for each in side]
        for side in (TRAINING, VALIDATION)
    ]
    some = dataclasses.replace(settings, steps=4, batch_size=2, withheld=0.7)
    train_describer(toy_describer(voice, Source('face', 3, fusion='gated')), *seen, some, folder=folder / 'some')


def test_two_processes_train_one_describer_whether_each_has_it_whole_or_a_part(tmp_path, on_loaded_processes):
    on_loaded_processes(2, _train_spread, tmp_path)
    assert (tmp_path / 'whole' / 'prefer' / 'describer' / 'describer.json').exists()
    whole, spread = (read_tensors(tmp_path / name / 'describer' / 'describer.safetensors')[0]
                     for name in ('whole', 'spread'))  # fmt: skip
    assert whole.keys() == spread.keys()
    assert all('.lora_' in name or not name.startswith('trunk.') for name in spread)
    for name, value in whole.items():
        torch.testing.assert_close(spread[name], value, rtol=1e-4, atol=1e-5)
    rows = [read_log(tmp_path / name / 'log.jsonl') for name in ('whole', 'spread')]
    assert [row['loss'] for row in rows[1]] == pytest.approx([row['loss'] for row in rows[0]], abs=1e-5)
    assert len(read_log(tmp_path / 'some' / 'log.jsonl')) == 4
