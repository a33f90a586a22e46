"""Training of a describer on examples with the engine of `affekt.training`, evaluated by its generated labels.

    train_describer(describer, coarse.examples, validation.examples, DescribeSettings('coarse'), folder=first)
    train_describer(describer, fine.examples, validation.examples, DescribeSettings('fine'), folder=second)

The adapters of the trunk and the weights that turn sources into soft tokens are trained. Features are cached: no
encoder runs. A killed run resumes with the same losses. The step that is kept is the one whose *generated* labels are
best on validation, since a loss over a whole answer is mostly that of the sentence around them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from affekt.description.answering import Limits
from affekt.description.batches import ExampleBatches
from affekt.description.describing import weights_sha256
from affekt.description.examples import Example, digest_of
from affekt.description.model import Asked, Describer
from affekt.description.questions import Kind, kind_of
from affekt.description.saved import save_describer
from affekt.description.scoring import generated_answers, label_scores
from affekt.description.settings import DescribeSettings
from affekt.errors import LeakError, TrainingError, UnknownNameError, ValueRangeError, listed
from affekt.progress import Progress
from affekt.training import AdamW, BestEpoch, Engine, Ranks, whole

Row = dict[str, float]
SMALLEST_DEVIATION = 1e-6
"""Minimum standard deviation for division, so that a column that is constant in training is not amplified."""


@dataclass(frozen=True)
class TrainedDescriber:
    """Result of training.

    Args:
        describer: the describer with the weights of the best step; after a launch with FSDP its weights are sharded
            over the processes, and it has to be opened again from the folder.
        step: number of the best step.
        scores: scores of its generated labels on validation, see `label_scores`.
        history: the rows of all evaluations.
    """

    describer: Describer
    step: int
    scores: Row
    history: tuple[Row, ...]


def train_describer(
    describer: Describer,
    training: Sequence[Example],
    validation: Sequence[Example],
    settings: DescribeSettings | None = None,
    *,
    kind: Kind | str | None = None,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    notes: Mapping[str, Any] | None = None,
) -> TrainedDescriber:
    """Train a describer on examples; returns it at the step with the best generated labels.

    Args:
        describer: the describer, changed in place.
        training: training examples.
        validation: examples of other clips; those with labels choose the step.
        settings: all other settings that results depend on.
        kind: sources of the prompts; None for all of the table, then the words.
        folder: folder for checkpoints, the log and its page, and the describer in `describer`; None to write nothing.
        resume: continue in the folder of a killed run, or start if there is none; results equal those of an
            uninterrupted run.
        report: called with each row of the log.
        progress: called with 'train', steps done, total steps.
        notes: data saved with the describer, such as the source of its examples.

    Raises:
        LeakError: a clip is in both training and validation.
        ValueRangeError: training or validation is empty, no validation label can be scored, or an example does not fit.
        ShapeError, UnknownNameError: features do not fit the sources of the describer.
        RunError: the folder holds another run.
        TrainingError: a loss or a weight is not finite.
    """
    # 1. Check the examples before anything is computed.
    settings = settings or DescribeSettings()
    if settings.stage not in ('single', 'coarse', 'fine'):
        raise UnknownNameError(
            expected='the stage single, coarse or fine', came=repr(settings.stage),
            todo='call train_preferred or train_rewarded for the others',
        )  # fmt: skip
    judged, known = _checked(training, validation)
    kind = kind or kind_of(tuple(describer.table))
    initial = weights_sha256(describer)
    if settings.stage != 'fine':
        standardise(describer, training)
    # 2. Take steps, and evaluate generated labels every few.
    ranks = Ranks(settings.device, by_hand=True)
    batches = ExampleBatches(describer, training, kind, settings, ranks.rank, ranks.count)

    def judge(network: Describer) -> Row:
        answers = generated_answers(
            network, judged, kind, Limits(settings.answer_tokens), batch_size=settings.batch_size
        )
        scores = label_scores(judged, answers, known)
        return {'score': scores[settings.score], **scores}

    return run_stage(
        describer, batches, _losses, settings, judge=judge, scores=('uar', 'f', 'valid'), weigh=_weight_of, ranks=ranks,
        kind=kind, data=digest_of(training, validation), initial=initial, folder=folder, resume=resume, report=report,
        progress=progress, notes=notes,
    )  # fmt: skip


def whole_models(settings: DescribeSettings) -> Ranks:
    """The ranks that train together, each with the whole describer.

    Raises:
        TrainingError: the launch shards the describer over processes.
    """
    ranks = Ranks(settings.device)
    if ranks.spreads:
        raise TrainingError(
            expected=f'one whole model in each process for stage {settings.stage}', came='a launch with FSDP',
            todo='launch without it: answers are drawn in each process by itself',
        )  # fmt: skip
    return ranks


def run_stage(
    describer: Describer,
    batches: Any,
    losses: Callable[[nn.Module, Any], dict[str, torch.Tensor]],
    settings: DescribeSettings,
    *,
    judge: Callable[[Describer], Row],
    scores: Sequence[str],
    ranks: Ranks,
    kind: Kind | str,
    data: str,
    initial: str,
    weigh: Callable[[Any], float] | None = None,
    more: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    notes: Mapping[str, Any] | None = None,
) -> TrainedDescriber:
    """Train a describer with the engine; returns it at the step with the best score.

    Args:
        describer: the describer, changed in place.
        batches: endless batches; see `Engine.run`.
        losses: function of the describer and a batch to its losses by name.
        settings: settings of the run.
        judge: function of the describer to its `score` and other values; the step with the largest score is kept.
        scores: names of the values stored with the describer.
        ranks: the processes.
        kind: kind of input.
        data: digest of the training data.
        initial: digest of the initial weights.
        weigh: function of a batch to its weight in the mean; None for equal weights.
        more: further values that results depend on.
        folder, resume, report, progress, notes: see `train_describer`.
    """
    optimiser = AdamW(parameter_groups(describer, settings), fused=True)
    engine = Engine(describer, optimiser, losses, settings.engine(), weigh=weigh, ranks=ranks)
    best = BestEpoch(folder, resume=resume, patience=settings.patience, writes=ranks.first)

    def evaluate(network: nn.Module) -> Row:
        assert isinstance(network, Describer)
        row = judge(network)
        row['score'] = ranks.agreed(row['score'])  # gathering weights needs all processes to agree
        best.offer(network, row['score'])
        return row

    hooks = ExitStack()
    # layers must exchange gradients in the same order in all processes, even if a batch has no soft token
    if ranks.spreads:
        embeddings = describer.trunk.get_input_embeddings()  # type: ignore[operator]
        hooks.callback(embeddings.register_forward_hook(_with_gradient).remove)
    with hooks:
        rows = engine.run(
            batches, steps=settings.steps, folder=folder, resume=resume, report=report, progress=progress,
            evaluate=evaluate, is_over=best.is_over,
            depends_on={
                'describing': asdict(settings), 'data': data, 'initial': initial,
                'kind': asdict(kind) if isinstance(kind, Kind) else kind, 'trunk': describer.trunk_name,
                'sources': [asdict(source) for source in describer.table.values()],
                'prompts': asdict(describer.settings), **(more or {}),
            },
        )  # fmt: skip
    history = tuple(row for row in rows if 'score' in row)
    best_row, _ = best.put_into(describer, history, settings.score)
    chosen = history[best_row - 1]
    reached = {name: chosen[name] for name in scores}
    describer.eval()
    learnt = {name: whole(value) for name, value in describer.learnt().items()}  # all processes take part
    if folder and ranks.first:
        records = {
            'stage': settings.stage, 'step': int(chosen['step']), 'validation': reached, 'training': asdict(settings),
        }  # fmt: skip
        save_describer(describer, folder / 'describer', notes={**(notes or {}), **records}, learnt=learnt)
    return TrainedDescriber(describer, int(chosen['step']), reached, history)


def _checked(training: Sequence[Example], validation: Sequence[Example]) -> tuple[list[Example], set[str]]:
    """The validation examples that have labels, and the labels of training and validation."""
    if shared := sorted({example.name for example in training} & {example.name for example in validation}):
        raise LeakError(
            expected='validation clips that are not trained on', came=f'{listed(shared, 3)} on both sides',
            todo='split by clips, better by speakers',
        )  # fmt: skip
    judged = [example for example in validation if example.labels]
    if not training or not judged:
        raise ValueRangeError(
            expected='examples to train on, and examples with labels that choose the step',
            came=f'{len(training):,} and {len(judged):,}', todo='add some',
        )  # fmt: skip
    trained_labels, judged_labels = (
        {label.lower() for example in part for label in example.labels} for part in (training, judged)
    )
    if trained_labels.isdisjoint(judged_labels):
        raise ValueRangeError(
            expected='validation labels that occur in training',
            came=f'{listed(sorted(trained_labels), 3)} in training, {listed(sorted(judged_labels), 3)} in validation',
            todo='choose other clips for validation (--validation), whose labels occur in training too',
        )  # fmt: skip
    return judged, trained_labels | judged_labels


def _losses(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
    return {'answer': model(batch, is_whole=False).loss}


def _with_gradient(module: nn.Module, inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
    """Embedded words with a gradient, as soft tokens have."""
    return embedded.requires_grad_(True) if torch.is_grad_enabled() else embedded


def _weight_of(batch: Sequence[Asked]) -> float:
    """Sum of the weights of the answers' tokens: the loss of a batch is their weighted mean."""
    return float(sum(sum(asked.pieces.weights) or len(asked.pieces.answer) for asked in batch))


def parameter_groups(describer: Describer, settings: DescribeSettings) -> list[dict[str, Any]]:
    """Trainable parameters grouped for AdamW: adapters and readers by learning rate, vectors without weight decay."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in describer.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(('.lora_' in name, parameter.ndim < 2), []).append(parameter)
    return [
        {
            'params': parameters,
            'lr': settings.adapter_rate if is_adapter else settings.learning_rate,
            'weight_decay': 0.0 if is_vector else settings.weight_decay,
        }
        for (is_adapter, is_vector), parameters in groups.items()
    ]


def standardise(describer: Describer, examples: Sequence[Example]) -> None:
    """Measure mean and deviation of each column over the steps of all clips, for sources that are standardised.

    Args:
        describer: the describer; its readers receive mean and deviation.
        examples: training examples; a clip counts once.
    """
    for source in describer.table.values():
        if not source.standardised or source.joins or source.shares:
            continue
        names = {source.name, *(each.name for each in describer.table.values() if each.shares == source.name)}
        clips = {(each.name, name): each.sources[name] for each in examples for name in names & each.sources.keys()}
        if not clips:
            continue
        count, total, squares = 0, np.zeros(source.width), np.zeros(source.width)
        centre = np.asarray(next(iter(clips.values())), np.float64).reshape(-1, source.width).mean(axis=0)
        for values in clips.values():
            # a sum of squares of values far from 0 would lose precision
            shifted = np.asarray(values, np.float64).reshape(-1, source.width) - centre  # (T, D)
            count += len(shifted)
            total, squares = total + shifted.sum(axis=0), squares + (shifted**2).sum(axis=0)
        deviation = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0))
        reader = describer.reader(source.name)
        with torch.no_grad():
            reader.mean.copy_(torch.from_numpy(centre + total / count))
            reader.deviation.copy_(torch.from_numpy(np.where(deviation > SMALLEST_DEVIATION, deviation, 1.0)))
