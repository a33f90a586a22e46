"""Training by reward: answers are sampled, parsed and rewarded; those better than their group become likelier (GRPO).

As in `preference.py` the describer stays near its initial state. The loss is that of trl, which does not support soft
tokens; on text alone they are equal.

Axes: B answers, L positions, P clips, G answers per clip; B = P G.

| here | arXiv:2402.03300 |
|---|---|
| logs | log π(o_t given q, o_<t) |
| before | log π_old |
| reference | log π_ref |
| kl_weight | β |
| clip | ε |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor

from affekt.description.answering import Generated, Limits
from affekt.description.answers import Answer, read_answer
from affekt.description.model import Asked, Describer
from affekt.description.preference import AnswerLogs, Start, answer_logs, modality_gain, reference_logs
from affekt.errors import ShapeError, ValueRangeError

_SMALL = 1e-4
"""Added to standard deviations, as published."""


def group_advantages(rewards: Tensor, *, scaled: bool = True) -> Tensor:
    """Advantage of each answer over the others to the same clip.

    Args:
        rewards: (P, G); nan if an answer cannot be scored.
        scaled: divide by the standard deviation (with G - 1) of the group.

    Returns:
        (P, G); 0 if the reward is nan, or all of a group are equal.

    Raises:
        ShapeError: not two axes, or groups of one.
    """
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        raise ShapeError(
            expected='rewards of shape (clips, answers) with two answers or more', came=f'{tuple(rewards.shape)}',
            todo='draw more answers for each clip',
        )  # fmt: skip
    centred = rewards - rewards.nanmean(dim=1, keepdim=True)
    if scaled:
        count = (~rewards.isnan()).sum(dim=1, keepdim=True)
        centred = centred / ((centred.square().nansum(dim=1, keepdim=True) / (count - 1).clamp(min=1)).sqrt() + _SMALL)
    return centred.nan_to_num(nan=0.0)


def group_loss(
    logs: AnswerLogs, advantages: Tensor, *, before: Tensor | None = None, reference: Tensor | None = None,
    clip: float = 0.2, kl_weight: float = 0.0, over: Literal['answers', 'tokens'] = 'answers',
) -> Tensor:  # fmt: skip
    """The clipped loss of group-relative policy optimisation.

        ratio = exp(logs - before)
        loss = -min(ratio A, clamp(ratio, 1 - clip, 1 + clip) A) + kl_weight KL, averaged as `over` says
        KL = exp(reference - logs) - (reference - logs) - 1

    Args:
        logs: log-probabilities of the sampled answers' tokens.
        advantages: (B,) advantages from `group_advantages`, flattened.
        before: (B, L - 1) logs when the answers were sampled; None if no step was taken since.
        reference: (B, L - 1) logs of the reference model; None only with kl_weight 0.
        clip: largest change of a token's probability ratio from 1 for which its advantage still counts.
        kl_weight: weight of the KL divergence from the reference, >= 0.
        over: `answers` for the mean over the tokens of each answer and then over answers, `tokens` for that over all.

    Raises:
        ValueRangeError: kl_weight is negative, or given without a reference.
    """
    if kl_weight < 0.0 or (kl_weight > 0.0 and reference is None) or not clip > 0.0:
        raise ValueRangeError(
            expected='clip above 0 and kl_weight from 0, with a reference where it is above',
            came=f'{clip}, {kl_weight}', todo='give reference logs',
        )  # fmt: skip
    values, keep = logs.values, logs.keep_mask.float()
    ratio = (values - (values.detach() if before is None else before)).exp()
    gain = advantages.unsqueeze(1)  # (B, 1)
    token_losses = -torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain)  # (B, L - 1)
    if reference is not None and kl_weight > 0.0:
        token_losses = token_losses + kl_weight * kl_of(values, reference)
    if over == 'tokens':
        return (token_losses * keep).sum() / keep.sum().clamp(min=1)
    return ((token_losses * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1)).mean()


def kl_of(values: Tensor, reference: Tensor) -> Tensor:
    """Estimated KL divergence at each sampled token, never negative: exp(r - v) - (r - v) - 1."""
    difference = reference - values
    return difference.exp() - difference - 1


@dataclass(frozen=True)
class GroupSettings:
    """Settings of sampling and rewarding answers.

    Args:
        answers: G, the answers sampled for each clip.
        tokens: maximum tokens of an answer.
        temperature: temperature of sampling.
        clip: see `group_loss`.
        kl_weight: see `group_loss`.
        over: see `group_loss`.
        scaled: see `group_advantages`.
        gain_weight: weight of a modality's gain in log-probability per token; 0 for none.
        gain_limit: nats to which the magnitude of the gain is clamped.

    Raises:
        ValueRangeError: a setting is out of range.
    """

    answers: int = 8
    tokens: int = 128
    temperature: float = 1.0
    clip: float = 0.2
    kl_weight: float = 0.04
    over: Literal['answers', 'tokens'] = 'answers'
    scaled: bool = True
    gain_weight: float = 0.0
    gain_limit: float = 1.0

    def __post_init__(self) -> None:
        if self.answers < 2 or not self.temperature > 0.0 or self.gain_weight < 0.0 or not self.gain_limit > 0.0:
            raise ValueRangeError(
                expected='two answers or more, a temperature and gain_limit above 0, and gain_weight from 0',
                came=f'{self.answers}, {self.temperature}, {self.gain_limit}, {self.gain_weight}',
                todo='choose others',
            )


class GroupStep(NamedTuple):
    """Loss and rewards of one step."""

    loss: Tensor
    rewards: Tensor
    """(P, G); nan if the truth cannot be scored"""
    answers: tuple[tuple[Answer, ...], ...]
    """The parsed answers of each clip."""
    kl: float
    """Mean KL divergence per token from the describer at the start."""


def group_step(
    describer: Describer,
    prompts: Sequence[Asked],
    truths: Sequence[object],
    reward: Callable[[object, object], float],
    settings: GroupSettings | None = None,
    *,
    seed: int = 0,
    lacking: Sequence[Asked] | None = None,
    start: Start | None = None,
) -> GroupStep:
    """Sample, parse and reward answers; returns the loss that makes the better ones likelier.

    1. Sample G answers per clip, each with its own seed. 2. Parse them; a refusal, nonsense or an empty answer has
    reward 0, others that of their labels. 3. With a gain_weight, the modality absent from `lacking` is rewarded if it
    made the answer likelier. 4. Advantages within each group. 5. The loss, with the divergence from the reference.

    Args:
        describer: a describer with adapters.
        prompts: clips; answers in them are ignored.
        truths: true labels of each clip.
        reward: function of (labels, truth), such as `affekt.metrics.open_vocabulary_reward.Reward`, which punishes long
            lists.
        settings: settings of sampling and rewarding; None for the defaults.
        seed: seed of sampling; use another one for each step.
        lacking: the same clips, with prompts without one modality.
        start: reference weights from `started`; None for the describer without adapters.

    Raises:
        ShapeError: the numbers of clips differ, or a gain_weight is given without `lacking`.
        WeightsError: there are no adapters.
    """
    settings = settings or GroupSettings()
    if not prompts or len(truths) != len(prompts) or (lacking is not None and len(lacking) != len(prompts)):
        raise ShapeError(
            expected='a truth for each prompt, and as many prompts without the modality',
            came=f'{len(prompts)}, {len(truths)} and {"none" if lacking is None else len(lacking)}', todo='pair them',
        )  # fmt: skip
    if settings.gain_weight > 0.0 and lacking is None:
        raise ShapeError(
            expected='prompts without a modality for gain_weight',
            came='none',
            todo='give them as lacking, or set it to 0',
        )
    generated = _sampled(describer, prompts, settings, seed)
    batch = [_with_answer(prompts[at // settings.answers], answer) for at, answer in enumerate(generated)]
    parsed = [read_answer(answer.text, is_cut=answer.finish == 'length') for answer in generated]
    rewards = torch.tensor(
        [rewarded(answer, truths[at // settings.answers], reward) for at, answer in enumerate(parsed)],
        device=describer.device,
    )
    if settings.gain_weight > 0.0 and lacking is not None:
        without_modality = [
            _with_answer(lacking[at // settings.answers], answer) for at, answer in enumerate(generated)
        ]
        gain = modality_gain(describer, batch, without_modality).clamp(-settings.gain_limit, settings.gain_limit)
        rewards = rewards + settings.gain_weight * gain
    rewards = rewards.view(len(prompts), settings.answers)  # (P G,) to (P, G)
    reference = reference_logs(describer, batch, temperature=settings.temperature, start=start).values
    logs = answer_logs(describer, batch, temperature=settings.temperature)
    loss = group_loss(
        logs, group_advantages(rewards, scaled=settings.scaled).flatten(), reference=reference, clip=settings.clip,
        kl_weight=settings.kl_weight, over=settings.over,
    )  # fmt: skip
    distance = (kl_of(logs.values.detach(), reference) * logs.keep_mask).sum() / logs.keep_mask.sum()
    groups = tuple(tuple(parsed[at : at + settings.answers]) for at in range(0, len(parsed), settings.answers))
    return GroupStep(loss, rewards, groups, float(distance))


def _sampled(describer: Describer, prompts: Sequence[Asked], settings: GroupSettings, seed: int) -> list[Generated]:
    """P G sampled answers, those of a clip one after another."""
    total = len(prompts) * settings.answers
    repeated = [prompt for prompt in prompts for _ in range(settings.answers)]
    seeds = torch.randint(2**62, (total,), generator=torch.Generator().manual_seed(seed)).tolist()
    return describer.generate(repeated, Limits(settings.tokens, settings.temperature), seeds=cast(list[int], seeds))


def _with_answer(asked: Asked, answer: Generated) -> Asked:
    return Asked(replace(asked.pieces, answer=answer.tokens, weights=()), asked.features)


def rewarded(answer: Answer, truth: object, reward: Callable[[object, object], float]) -> float:
    """The reward of the labels of a parsed answer; a refusal, nonsense or an empty answer has none."""
    labels = [] if answer.form in ('refusal', 'nonsense', 'empty') else list(answer.labels)
    return reward(labels, truth)
