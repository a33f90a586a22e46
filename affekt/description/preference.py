"""Training by preference: of two answers to a clip the better one becomes likelier (DPO).

For answers that are sampled and rewarded instead, see `groups.py`.

The reference is the describer at the start (`started`), or, if nothing was trained before, without adapters. The
weights that turn sources into soft tokens should be frozen (`describer.readers.requires_grad_(False)`), or else a
reference without adapters changes with them. Losses are those of trl, which does not support soft tokens; on text
alone they are equal.

Axes: B answers, L positions, V vocabulary.

| here | arXiv:2305.18290 |
|---|---|
| chosen, rejected | log π(y_w given x), log π(y_l given x) |
| reference | log π_ref |
| beta | β |
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from affekt.description.model import NO_LABEL, Asked, Describer
from affekt.errors import ShapeError, ValueRangeError, WeightsError


class AnswerLogs(NamedTuple):
    """Log-probabilities of the tokens of answers."""

    values: Tensor
    """(B, L - 1); 0 outside the answers' tokens"""
    keep_mask: Tensor
    """bool (B, L - 1)"""

    def sums(self) -> Tensor:
        """(B,) sums over whole answers."""
        return self.values.sum(dim=1)

    def means(self) -> Tensor:
        """(B,) means per token; 0 for an empty answer."""
        return self.sums() / self.keep_mask.sum(dim=1).clamp(min=1)


def answer_logs(describer: Describer, batch: Sequence[Asked], *, temperature: float = 1.0) -> AnswerLogs:
    """Log-probabilities of the answers in a batch, with gradient.

    Args:
        describer: a describer in either mode, training or evaluation.
        batch: clips, each with its answer.
        temperature: divisor of the logits, the same as when the answers were sampled.

    Raises:
        ShapeError: a clip has no answer.
    """
    if not all(asked.pieces.answer for asked in batch):
        raise ShapeError(
            expected='clips with an answer each', came='clips without one', todo='make their prompts with answer='
        )
    _, logits, embedded = describer(batch)
    return token_logs(logits / temperature, embedded.labels)


def token_logs(logits: Tensor, labels: Tensor) -> AnswerLogs:
    """Log-probability of each label given the logits of the position before it.

    Args:
        logits: (B, L, V) logits.
        labels: (B, L) token ids, `NO_LABEL` for none.
    """
    keep_mask = labels[:, 1:] != NO_LABEL
    # (B, L - 1, V) to (B, V, L - 1), then (B, L - 1)
    values = -functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels[:, 1:], ignore_index=NO_LABEL, reduction='none'
    )
    return AnswerLogs(values, keep_mask)


@contextlib.contextmanager
def adapters_off(describer: Describer) -> Iterator[None]:
    """Context in which the describer's adapters are disabled.

    Raises:
        WeightsError: the describer has no adapters.
    """
    if describer.adapters is None:
        raise WeightsError(
            expected='a describer with adapters, to be compared with itself without them', came='none',
            todo='open its trunk and add them with with_adapters',
        )  # fmt: skip
    with describer.trunk.disable_adapter():  # type: ignore[operator]
        yield


@contextlib.contextmanager
def _evaluating(describer: Describer) -> Iterator[None]:
    """Context in which the describer has no dropout and no gradients."""
    was_training = describer.training
    describer.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        describer.train(was_training)


Start = Mapping[str, Tensor]
"""Weights by name, from `started`."""


def started(describer: Describer) -> dict[str, Tensor]:
    """A copy of all current trainable weights: the reference for later training."""
    return {name: value.detach().clone() for name, value in describer.named_parameters() if value.requires_grad}


@contextlib.contextmanager
def as_started(describer: Describer, start: Start) -> Iterator[None]:
    """Context in which the describer has the weights of `started`.

    Weights are swapped, not overwritten, so that gradients of an earlier forward pass stay valid.
    """
    parameters = {name: value for name, value in describer.named_parameters() if name in start}
    current = {name: value.data for name, value in parameters.items()}
    try:
        for name, value in parameters.items():
            value.data = start[name].to(value.device)
        yield
    finally:
        for name, value in parameters.items():
            value.data = current[name]


def reference_logs(
    describer: Describer, batch: Sequence[Asked], *, temperature: float = 1.0, start: Start | None = None
) -> AnswerLogs:
    """Log-probabilities as in `answer_logs`, without dropout or gradients, by the describer at the start.

    Args:
        describer: the describer in training.
        batch: clips, each with its answer.
        temperature: see `answer_logs`.
        start: weights at the start, from `started`; None for the describer without adapters.

    Raises:
        WeightsError: there are no adapters and no `start`.
        ShapeError: a clip has no answer.
    """
    with _evaluating(describer), adapters_off(describer) if start is None else as_started(describer, start):
        return answer_logs(describer, batch, temperature=temperature)


def modality_gain(describer: Describer, batch: Sequence[Asked], lacking: Sequence[Asked]) -> Tensor:
    """Gain in log-probability per token of each answer due to a modality, in nats.

        mean over tokens of log π(token, all of the clip) - log π(token, the clip without the modality)

    Args:
        describer: a describer in either mode; dropout and gradients are disabled.
        batch: clips with their answers.
        lacking: the same clips with the same answers, with prompts without the modality.

    Returns:
        (B,) gains, positive if the modality supports the answer.

    Raises:
        ShapeError: the answers differ.
    """
    if [asked.pieces.answer for asked in batch] != [asked.pieces.answer for asked in lacking]:
        raise ShapeError(
            expected='the same answers with and without the modality', came='other ones', todo='pair the same clips'
        )
    with _evaluating(describer):
        return answer_logs(describer, batch).means() - answer_logs(describer, lacking).means()


def preference_loss(
    chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, *,
    beta: float = 0.1, flipped: float = 0.0,
) -> Tensor:  # fmt: skip
    """The loss of direct preference optimisation, a mean over pairs.

        margin = beta ((chosen - reference_chosen) - (rejected - reference_rejected))
        loss = (-(1 - flipped) log sigmoid(margin) + flipped log sigmoid(-margin)) / (1 - 2 flipped)

    Args:
        chosen: (B,) log-probabilities of the better answers, summed over tokens.
        rejected: (B,) log-probabilities of the worse answers.
        reference_chosen: (B,) log-probabilities of the better answers under the reference model.
        reference_rejected: (B,) log-probabilities of the worse answers under the reference model.
        beta: strength of the pull toward the reference, > 0; larger values keep the model nearer to it.
        flipped: assumed share of pairs with the wrong preference, in [0, 0.5).

    Returns:
        A scalar; log 2 if nothing differs from the reference.

    Raises:
        ValueRangeError: beta is not positive, or flipped is outside [0, 0.5).

    Source: Rafailov et al. 2023, arXiv:2305.18290, eq. 7; flipped: Chowdhury et al. 2024, arXiv:2403.00409.
    """
    if not beta > 0.0 or not 0.0 <= flipped < 0.5:
        raise ValueRangeError(
            expected='beta above 0 and flipped from 0 to below 0.5', came=f'{beta}, {flipped}',
            todo='use for example 0.1 and 0',
        )  # fmt: skip
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    losses = -(1 - flipped) * functional.logsigmoid(margin) + flipped * functional.logsigmoid(-margin)
    return losses.mean() / (1 - 2 * flipped)


class PreferenceStep(NamedTuple):
    """Loss and margins of a batch of pairs."""

    loss: Tensor
    margins: Tensor
    """(B,) gain in log-probability of the chosen over the rejected answers, without gradient"""

    @property
    def accuracy(self) -> float:
        """Share of pairs in which the chosen answer became likelier than the rejected one."""
        return float((self.margins > 0).float().mean())


def preference_step(
    describer: Describer,
    chosen: Sequence[Asked],
    rejected: Sequence[Asked],
    *,
    beta: float = 0.1,
    flipped: float = 0.0,
    reference: tuple[Tensor, Tensor] | None = None,
) -> PreferenceStep:
    """The loss of pairs of answers to the same clips; its gradient reaches adapters and all other trainable weights.

    Args:
        describer: a describer with adapters.
        chosen: clips with the better answers.
        rejected: the same clips with the worse answers, in the same order.
        beta: see `preference_loss`.
        flipped: see `preference_loss`.
        reference: (B,) log-probabilities of chosen and rejected answers, if known; None to compute them now,
            with adapters disabled.

    Raises:
        ShapeError: the numbers of answers differ, or a clip has none.
        WeightsError: there are no adapters, and no reference is given.
    """
    if not chosen or len(chosen) != len(rejected):
        raise ShapeError(
            expected='a rejected answer for each chosen one', came=f'{len(chosen)} and {len(rejected)}',
            todo='give pairs of the same clips',
        )  # fmt: skip
    both = [*chosen, *rejected]
    logs = answer_logs(describer, both).sums()  # (2 B,)
    if reference is None:
        reference_sums = reference_logs(describer, both).sums()
        reference = (reference_sums[: len(chosen)], reference_sums[len(chosen) :])
    better, worse = logs[: len(chosen)], logs[len(chosen) :]
    loss = preference_loss(better, worse, *reference, beta=beta, flipped=flipped)
    margins = (better - reference[0]) - (worse - reference[1])
    return PreferenceStep(loss, margins.detach())
