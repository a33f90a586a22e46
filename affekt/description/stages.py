"""Stages after supervised training of a describer: preference pairs (DPO), and rewards (GRPO).

    train_preferred(describer, pairs, judged, DescribeSettings('prefer', learning_rate=1e-5), folder=runs / 'prefer')
    train_rewarded(describer, examples, validation, DescribeSettings('reward'), reward=Reward(), folder=runs / 'reward')

Both use the engine of `affekt.training`, resume after a kill with the same values, and stay near the initial describer:
the weights that turn sources into soft tokens are frozen, only the adapters are trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from affekt.arrays import Floats32
from affekt.description.answering import Generated, Limits
from affekt.description.answers import read_answer
from affekt.description.batches import tensors_of
from affekt.description.describing import weights_sha256
from affekt.description.examples import Example, digest_of
from affekt.description.groups import GroupSettings, group_step, rewarded
from affekt.description.model import Asked, Describer
from affekt.description.preference import preference_step, reference_logs, started
from affekt.description.questions import WORDS, Kind, kind_of
from affekt.description.scoring import generated_answers, label_scores
from affekt.description.settings import DescribeSettings
from affekt.description.training import Row, TrainedDescriber, run_stage, whole_models
from affekt.errors import LeakError, UnknownNameError, ValueRangeError, listed
from affekt.progress import Progress
from affekt.training import IndexBatches, epoch_seed

RewardOf = Callable[[object, object], float]


@dataclass(frozen=True, eq=False)
class PreferredAnswer:
    """A clip with a question and two answers.

    Args:
        name: name of the clip; several pairs may share a clip.
        sources: source to its (D,), (T, D) or (T, Q, D) features.
        transcript: the spoken words; '' if there are none.
        question: text of the question.
        chosen: the better answer.
        rejected: the worse answer.

    Raises:
        ValueRangeError: an answer is empty, or both are equal.
    """

    name: str
    sources: Mapping[str, Floats32]
    transcript: str
    question: str
    chosen: str
    rejected: str

    def __post_init__(self) -> None:
        if not self.chosen.strip() or not self.rejected.strip() or self.chosen.strip() == self.rejected.strip():
            raise ValueRangeError(
                expected=f'two different answers on {self.name!r}',
                came='an empty one, or two equal ones',
                todo='leave the pair out',
            )


def train_preferred(
    describer: Describer,
    training: Sequence[PreferredAnswer],
    validation: Sequence[PreferredAnswer],
    settings: DescribeSettings,
    *,
    beta: float = 0.1,
    flipped: float = 0.0,
    kind: Kind | str | None = None,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    notes: Mapping[str, Any] | None = None,
) -> TrainedDescriber:
    """Train a describer on preferred answers (DPO); returns it at its best step on validation.

    The log-probabilities under the reference, the describer before its first step, are computed once for every pair.

    Args:
        describer: a trained describer with adapters, changed in place.
        training: pairs to train on.
        validation: pairs on other clips, whose mean loss chooses the step.
        settings: settings of stage `prefer`, such as `adapter_rate`, `batch_size` and `steps`.
        beta, flipped: see `preference_loss`.
        kind, folder, resume, report, progress, notes: see `train_describer`.

    Raises:
        LeakError: a clip is in both training and validation.
        ValueRangeError: training or validation is empty.
        WeightsError: there are no adapters.
        RunError, TrainingError: see `train_describer`.
    """
    _require_stage(settings, 'prefer')
    _require_disjoint(training, validation)
    kind, initial = kind or kind_of(tuple(describer.table)), weights_sha256(describer)
    ranks = whole_models(settings)
    describer.to(ranks.device)
    describer.readers.requires_grad_(False)
    start = started(describer)
    pairs = _Pairs(describer, training, kind)
    reference_sums = _reference(describer, pairs, start, settings.batch_size)
    judged_pairs = _Pairs(describer, validation, kind)
    judged_sums = _reference(describer, judged_pairs, start, settings.batch_size)
    order = IndexBatches(len(training), settings.batch_size, settings.seed, rank=ranks.rank, ranks=ranks.count)

    def losses(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        assert isinstance(model, Describer)
        indices = batch.tolist()
        reference = (reference_sums[0][indices].to(model.device), reference_sums[1][indices].to(model.device))
        step = preference_step(model, *pairs.of(indices), beta=beta, flipped=flipped, reference=reference)
        return {'preference': step.loss}

    def judge(model: Describer) -> Row:
        total, correct = 0.0, 0.0
        for indices in _index_batches(len(validation), settings.batch_size):
            reference = (judged_sums[0][indices].to(model.device), judged_sums[1][indices].to(model.device))
            step = preference_step(model, *judged_pairs.of(indices), beta=beta, flipped=flipped, reference=reference)
            total, correct = total + float(step.loss) * len(indices), correct + step.accuracy * len(indices)
        loss, accuracy = total / len(validation), correct / len(validation)
        return {'score': -loss, 'judged_loss': loss, 'accuracy': accuracy}

    return run_stage(
        describer, order, losses, settings, judge=judge, scores=('judged_loss', 'accuracy'), ranks=ranks, kind=kind,
        data=_digest(training, validation), initial=initial, more={'beta': beta, 'flipped': flipped}, folder=folder,
        resume=resume, report=report, progress=progress, notes=notes,
    )  # fmt: skip


class _Pairs:
    """Prompts of pairs, made on demand."""

    def __init__(self, describer: Describer, pairs: Sequence[PreferredAnswer], kind: Kind | str) -> None:
        self._describer, self._pairs, self._kind = describer, pairs, kind

    def __len__(self) -> int:
        return len(self._pairs)

    def of(self, numbers: Sequence[int]) -> tuple[list[Asked], list[Asked]]:
        """The prompts with the chosen and with the rejected answers of these pairs."""
        return tuple([self._asked(self._pairs[at], side) for at in numbers] for side in ('chosen', 'rejected'))  # type: ignore[return-value]

    def _asked(self, pair: PreferredAnswer, side: str) -> Asked:
        features = {
            name: torch.tensor(np.asarray(values), dtype=torch.float32) for name, values in pair.sources.items()
        }
        return self._describer.prompt(
            features, self._kind, pair.question, words=pair.transcript, answer=getattr(pair, side)
        )  # fmt: skip


def _reference(
    describer: Describer, pairs: _Pairs, start: Mapping[str, Tensor], batch_size: int
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(N,) log-probabilities of chosen and of rejected answers at the start."""
    sums: list[list[Tensor]] = [[], []]
    for at in _index_batches(len(pairs), batch_size):
        for side, batch in zip(sums, pairs.of(at), strict=True):
            side.append(reference_logs(describer, batch, start=start).sums().cpu())
    return torch.cat(sums[0]), torch.cat(sums[1])


def _index_batches(count: int, size: int) -> list[list[int]]:
    return [list(range(first, min(first + size, count))) for first in range(0, count, size)]


def _digest(*parts: Sequence[PreferredAnswer]) -> str:
    digest = hashlib.sha256()
    for pairs in parts:
        digest.update(f'{len(pairs)}'.encode())
        for pair in pairs:
            digest.update(repr((pair.name, pair.transcript, pair.question, pair.chosen, pair.rejected)).encode())
            for name, values in sorted(pair.sources.items()):
                digest.update(f'{name} {values.shape}'.encode() + np.ascontiguousarray(values, np.float32).tobytes())
    return digest.hexdigest()


# Training by reward


@dataclass(frozen=True)
class _Draw:
    """Indices of the clips of a step, and the seed of their sampled answers."""

    seed: int
    numbers: list[int]


@dataclass(frozen=True)
class _Draws:
    """Batches of clips, each with a seed that depends on its index."""

    order: IndexBatches
    seed: int

    def __iter__(self) -> Iterator[_Draw]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[_Draw]:
        """The batches after the first `batches`."""
        for number, numbers in enumerate(self.order.starting_at(batches), batches):
            yield _Draw(epoch_seed(self.seed, number * self.order.ranks + self.order.rank, 5), numbers.tolist())


def train_rewarded(
    describer: Describer,
    training: Sequence[Example],
    validation: Sequence[Example],
    settings: DescribeSettings,
    *,
    reward: RewardOf,
    groups: GroupSettings | None = None,
    gain_of: str = '',
    kind: Kind | str | None = None,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    notes: Mapping[str, Any] | None = None,
) -> TrainedDescriber:
    """Train a describer by rewards for its own answers (GRPO); returns it at the step with the best validation reward.

    Args:
        describer: a trained describer with adapters, changed in place.
        training: clips with labels; their answers are not used.
        validation: other clips with labels.
        settings: settings of stage `reward`; `batch_size` counts clips, each with `groups.answers` answers.
        reward: function of (labels, truth), such as `affekt.metrics.open_vocabulary_reward.Reward()`.
        groups: settings of sampling and rewarding answers.
        gain_of: the source, or `words`, whose gain in log-probability is rewarded if `groups.gain_weight` is above
            0; clips that lack it, or have nothing else, have no gain.
        kind, folder, resume, report, progress, notes: see `train_describer`.

    Raises:
        LeakError: a clip is in both training and validation.
        ValueRangeError: training or validation is empty, clips have no labels, or there is a gain weight without
            `gain_of`.
        UnknownNameError: `gain_of` is not a source.
        WeightsError: there are no adapters.
        RunError, TrainingError: see `train_describer`.
    """
    _require_stage(settings, 'reward')
    groups = groups or GroupSettings(tokens=settings.answer_tokens)
    training, validation = _labelled(training), _labelled(validation)
    _require_disjoint(training, validation)
    kind, initial = kind or kind_of(tuple(describer.table)), weights_sha256(describer)
    if groups.gain_weight > 0:
        _require_source(describer, gain_of)
    ranks = whole_models(settings)
    describer.to(ranks.device)
    describer.readers.requires_grad_(False)
    start = started(describer)
    order = IndexBatches(len(training), settings.batch_size, settings.seed, rank=ranks.rank, ranks=ranks.count)
    labels = {label.lower() for example in (*training, *validation) for label in example.labels}

    def losses(model: nn.Module, drawing: _Draw) -> dict[str, Tensor]:
        assert isinstance(model, Describer)
        examples = [training[at] for at in drawing.numbers]
        prompts = [_prompt(model, example, kind) for example in examples]
        lacking = None
        if groups.gain_weight > 0:
            lacking = [
                _without(model, example, kind, gain_of) or whole
                for example, whole in zip(examples, prompts, strict=True)
            ]
        step = group_step(
            model, prompts, [list(example.labels) for example in examples], reward, groups, seed=drawing.seed,
            lacking=lacking, start=start,
        )  # fmt: skip
        return {'reward': step.loss}

    def judge(model: Describer) -> Row:
        limits = Limits(groups.tokens)
        answers = generated_answers(model, validation, kind, limits, batch_size=settings.batch_size)
        mean = _mean_reward(answers, validation, reward)
        return {'score': mean, 'mean_reward': mean, **label_scores(validation, answers, labels)}

    return run_stage(
        describer, _Draws(order, settings.seed), losses, settings, judge=judge,
        scores=('mean_reward', 'uar', 'f', 'valid'), ranks=ranks, kind=kind, data=digest_of(training, validation),
        initial=initial, more={'groups': asdict(groups), 'gain_of': gain_of, 'reward': repr(reward)}, folder=folder,
        resume=resume, report=report, progress=progress, notes=notes,
    )  # fmt: skip


def _labelled(examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.labels]


def _require_source(describer: Describer, gain_of: str) -> None:
    if gain_of not in (WORDS, *describer.table):
        raise UnknownNameError(
            expected=f'a source whose gain is rewarded, among {listed((WORDS, *describer.table))}', came=repr(gain_of),
            todo='name one, or set gain_weight to 0',
        )  # fmt: skip


def _mean_reward(answers: Sequence[Generated], examples: Sequence[Example], reward: RewardOf) -> float:
    """The mean reward of the answers that can be scored; nan if none can."""
    rewards = [
        rewarded(read_answer(answer.text, is_cut=answer.finish == 'length'), list(example.labels), reward)
        for answer, example in zip(answers, examples, strict=True)
    ]
    return float(np.nanmean(rewards)) if not np.all(np.isnan(rewards)) else float('nan')


def _prompt(describer: Describer, example: Example, kind: Kind | str) -> Asked:
    return describer.prompt(tensors_of(example), kind, example.question, words=example.transcript)


def _without(describer: Describer, example: Example, kind: Kind | str, part: str) -> Asked | None:
    """The prompt without a source or the words; None if the clip lacks it, or has nothing else."""
    has_words = bool(example.transcript.strip())
    if (part == WORDS and not has_words) or (part != WORDS and part not in example.sources):
        return None
    if part == WORDS:
        return _prompt(describer, replace(example, transcript=''), kind) if example.sources else None
    others = {name: values for name, values in example.sources.items() if name != part}
    return _prompt(describer, replace(example, sources=others, cites=()), kind) if others or has_words else None


def _require_stage(settings: DescribeSettings, stage: str) -> None:
    if settings.stage != stage:
        raise UnknownNameError(expected=f'the stage {stage}', came=repr(settings.stage), todo=f'set stage={stage!r}')


def _require_disjoint(training: Sequence[Any], validation: Sequence[Any]) -> None:
    if not training or not validation:
        raise ValueRangeError(
            expected='clips to train on, and others that choose the step', came=f'{len(training)} and '
            f'{len(validation)}', todo='add some; a reward needs clips with labels',
        )  # fmt: skip
    if shared := sorted({clip.name for clip in training} & {clip.name for clip in validation}):
        raise LeakError(
            expected='validation clips that are not trained on', came=f'{listed(shared, 3)} on both sides',
            todo='split by clips, better by speakers',
        )  # fmt: skip
