"""Training of few weights on few clips: a linear probe, or low-rank adapters (LoRA) on a model's weights.

A linear probe trains only the head, on features that are computed once, so that it takes seconds. The features are
those before the head, for each view of each clip, standardised over the training views. The head is the one that
minimises

    mean loss + strength / 2 |W|²

for the strength that is best on validation; scale and shift are then merged into its weights.

With adapters, peft adds one to every linear map of the blocks (queries, keys, values, projections, perceptrons):

    W x  becomes  W x + (alpha / r) B A x        A is (r, inputs), initially random; B is (outputs, r), initially zero

The map itself is frozen. The layer weights, the last norm and the head are trained too. After training, `merged`
adds (alpha / r) B A to W, and the model is a plain one.

Axes: V views, F features, K outputs.

Source of the adapters: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from affekt.arrays import Floats32
from affekt.errors import TrainingError, missing_extra
from affekt.nn import read_tensors, save_tensors, seeded
from affekt.pretraining.batches import ClipBatch
from affekt.pretraining.objectives import Goal, LabelledClip, targets_of
from affekt.pretraining.predicting import form_of, head_of, inputs_of, view_means, viewed
from affekt.pretraining.tuning_settings import TuningSettings
from affekt.progress import Progress
from affekt.runs import Run
from affekt.training import LBFGS

ADAPTED = r'.*(attn|cross_attn)\.(qkv|q|kv|proj)|.*blocks.*\.mlp\.fc[12]'
"""Names of the linear maps with an adapter; patch embedding and head have none."""
WHOLE = ('fc_norm.', 'head.', 'video_layer_weights', 'audio_layer_weights')
"""Prefixes of the weights that are trained in full."""

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths of the penalty on |W|² that are tried."""
MIDDLE = 1e-1
"""Strength used where validation does not choose."""
CLIPS_AT_ONCE = 64
"""Number of clips whose features are written together; a kill loses at most these."""
Row = dict[str, float]


@dataclass(frozen=True)
class Probed:
    """The validation score (nan without), one row per strength, and the chosen row, from 1."""

    score: float
    history: tuple[Row, ...]
    number: int


class Views(NamedTuple):
    """The features of the views of some clips."""

    features: Tensor
    """(V, F) float64 features."""
    owners: Tensor
    """(V,) index of each view's clip, rising."""

    def take(self, clips: Sequence[int]) -> Views:
        """The views of the clips at some indices, in that order: of [4, 1], clip 4 becomes 0 and clip 1 becomes 1."""
        index = torch.tensor(clips, dtype=torch.int64)
        first, after = (torch.searchsorted(self.owners, index, right=is_after).tolist() for is_after in (False, True))
        spans = [torch.arange(start, end) for start, end in zip(first, after, strict=True)]
        rows = torch.cat([torch.zeros(0, dtype=torch.int64), *spans])
        owners = torch.repeat_interleave(torch.arange(len(spans)), torch.tensor([len(span) for span in spans]).long())
        return Views(self.features[rows], owners)


def view_features(
    model: nn.Module,
    clips: Sequence[LabelledClip],
    settings: TuningSettings,
    *,
    folder: Path | None = None,
    depends_on: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Views:
    """The features of clips for several linear probes on one encoder, such as those of all folds.

    Args:
        model: the model, left on the settings' device; its head is not used.
        clips: clips; their targets are not used.
        settings: settings of fine-tuning; segments, stride, reference and device are used.
        folder: folder for the features, so that a killed run resumes.
        depends_on: everything that the features depend on; saved in the folder.
        progress: called with 'features', clips done, total clips.

    Raises:
        MediaError: a clip has no modality that the model reads.
        RunError: the folder holds features that depend on something else.
    """
    model.to(settings.device)
    if folder is None:
        return _features(model, (clips,), settings, None, progress)[0]
    with Run(folder, depends_on or {}, resume=folder.exists()) as run:
        return _features(model, (clips,), settings, run, progress)[0]


def probed_answers(model: nn.Module, views: Views, *, numbers: bool) -> Floats32:
    """`predict_proba` from features: (N, K) float32 probabilities or values, the mean over each clip's views."""
    with torch.no_grad():
        outputs = head_of(model)(views.features.float())  # (V, K)
    return view_means(outputs if numbers else outputs.softmax(dim=1), views.owners)


def probe(
    model: nn.Module,
    train: Sequence[LabelledClip],
    validation: Sequence[LabelledClip],
    goal: Goal,
    settings: TuningSettings,
    *,
    folder: Path | None = None,
    resume: bool = False,
    depends_on: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    views: tuple[Views, Views] | None = None,
) -> Probed:
    """Fit a model's head, in place; the rest of the model is unchanged.

    Args:
        model: the model; afterwards on the CPU, in evaluation mode.
        train: training clips.
        validation: clips that choose the strength; empty for the middle one, which `reference` also takes.
        goal: scale and loss of the targets.
        settings: settings of fine-tuning; segments, stride, reference, chooses and device are used.
        folder: folder for features, so that a killed run resumes and another strength costs nothing.
        resume: continue in the folder.
        depends_on: everything the features depend on, settings included; saved in the folder.
        progress: called with 'features', clips done, total clips.
        views: features of the training and of the validation clips, if `view_features` has computed them.

    Raises:
        TrainingError: the validation score is undefined at every strength.
        RunError: the folder holds features that depend on something else.
    """
    model.to(settings.device)
    parts: Sequence[Views]
    if views is not None:
        parts = views
    elif folder is None:
        parts = _features(model, (train, validation), settings, None, progress)
    else:
        with Run(folder, depends_on or {}, resume=resume) as run:
            parts = _features(model, (train, validation), settings, run, progress)
    (weight, bias), rows = _fitted(parts, train, validation, goal, settings)
    with torch.no_grad():
        head_of(model).weight.copy_(weight)
        head_of(model).bias.copy_(bias)
    goal.restored(head_of(model))
    model.to('cpu').eval()
    scores = [row.get('score', math.nan) for row in rows]
    number = _chosen(rows, bool(validation) and not settings.takes_last)
    return Probed(scores[number], tuple(rows), number + 1)


def _fitted(
    parts: Sequence[Views],
    train: Sequence[LabelledClip],
    validation: Sequence[LabelledClip],
    goal: Goal,
    settings: TuningSettings,
) -> tuple[tuple[Tensor, Tensor], list[Row]]:
    """Weight (K, F) and bias (K,) of the head at the best strength, and a row for each."""
    training_views, validation_views = parts
    deviation, mean = torch.std_mean(training_views.features, dim=0, correction=0)
    deviation = deviation.clamp(min=1e-6)
    features = (training_views.features - mean) / deviation
    truth, _ = targets_of(train, goal.outputs, 'training')
    unsmoothed = Goal(goal.outputs, goal.is_classes, goal.objective, goal.score, 0.0, None, goal.mean, goal.deviation)
    targets = unsmoothed.targets(torch.from_numpy(truth)).double()[training_views.owners]  # (V, K)
    shares = 1.0 / torch.bincount(training_views.owners)[training_views.owners].double()
    rows, heads = [], []
    for strength in STRENGTHS:
        weight, bias = _minimum(features, targets, shares, strength, goal)
        head = weight / deviation, bias - weight @ (mean / deviation)
        row = {'strength': strength, 'training': float(_loss(features @ weight.T + bias, targets, shares, goal))}
        if validation:
            outputs = _means(validation_views.features @ head[0].T + head[1], validation_views.owners, goal)
            row |= goal.scores(targets_of(validation, goal.outputs, 'validation')[0], goal.answers(outputs))
        rows.append(row)
        heads.append(head)
    return heads[_chosen(rows, bool(validation) and not settings.takes_last)], rows


def _chosen(rows: Sequence[Row], is_judged: bool) -> int:
    """Index of the largest strength among those with the best validation score."""
    if not is_judged:
        return STRENGTHS.index(MIDDLE)
    scores = [row['score'] for row in rows]
    if all(math.isnan(score) for score in scores):
        raise TrainingError(
            expected='a score on validation that is defined', came='one value alone, among answers or truth',
            todo='give validation clips of several classes or values',
        )  # fmt: skip
    return max(range(len(rows)), key=lambda row: (-math.inf if math.isnan(scores[row]) else scores[row], row))


def _minimum(features: Tensor, targets: Tensor, shares: Tensor, strength: float, goal: Goal) -> tuple[Tensor, Tensor]:
    """Weight (K, F) and bias (K,) that minimise the loss, by L-BFGS."""
    weight = torch.zeros(targets.shape[1], features.shape[1], dtype=torch.float64, requires_grad=True)
    if goal.objective in ('ccc', 'pcc'):  # a constant output has no correlation
        with torch.no_grad():
            weight.copy_(targets.T @ features / len(features))
    bias = torch.zeros(targets.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = LBFGS(
        [weight, bias], max_iter=200, tolerance_grad=1e-7, tolerance_change=1e-10, line_search_fn='strong_wolfe'
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = _loss(features @ weight.T + bias, targets, shares, goal) + strength / 2 * weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return weight.detach(), bias.detach()


def _loss(outputs: Tensor, targets: Tensor, shares: Tensor, goal: Goal) -> Tensor:
    """The mean loss over clips, each clip's weight divided among its views; for correlations, over all views."""
    if goal.objective in ('ccc', 'pcc'):
        return goal.loss(outputs, targets)
    if goal.objective == 'mse':
        losses = (outputs - targets).square().mean(dim=1)
    else:
        weighted = targets if goal.weights is None else targets * goal.weights.double()
        losses = -(weighted * outputs.log_softmax(dim=1)).sum(dim=1)
    return (losses * shares).sum() / shares.sum()


def _means(outputs: Tensor, owners: Tensor, goal: Goal) -> Floats32:
    """(N, K) probabilities or values, the mean over each clip's views."""
    return view_means(outputs.softmax(dim=1) if goal.is_classes else outputs, owners)


def _features(
    model: nn.Module,
    parts: Sequence[Sequence[LabelledClip]],
    settings: TuningSettings,
    run: Run | None,
    progress: Progress | None,
) -> list[Views]:
    """The features of each part; those written by a killed run are read."""
    total, done = sum(map(len, parts)), 0
    views = []
    for number, clips in enumerate(parts):
        features, owners = [], []
        for first in range(0, len(clips), CLIPS_AT_ONCE):
            group = clips[first : first + CLIPS_AT_ONCE]
            key = f'features-{number}-{first:07d}.safetensors'
            if run is None or run.finished(key) is None:
                tensors = _view_features(model, group, settings)
                if run is not None:
                    save_tensors(run.folder / key, tensors)
                    run.note(key, key)
            else:
                tensors, _ = read_tensors(run.folder / key)
            features.append(tensors['features'].double())
            owners.append(tensors['owners'] + first)
            done += len(group)
            if progress:
                progress('features', done, total)
        width = head_of(model).in_features
        views.append(
            Views(torch.cat(features), torch.cat(owners))
            if features
            else Views(torch.zeros(0, width, dtype=torch.float64), torch.zeros(0, dtype=torch.int64))
        )
    return views


def _view_features(model: nn.Module, clips: Sequence[LabelledClip], settings: TuningSettings) -> dict[str, Tensor]:
    """Features of the views of some clips, and the index of each view's clip."""

    def features_of(batch: ClipBatch) -> Tensor:
        features: Tensor = model.normalised(*model.features(*inputs_of(batch.to(settings.device))))  # type: ignore[operator]
        return features.float().cpu()

    views = viewed(
        model, [labelled.clip for labelled in clips], form_of(model), features_of, segments=settings.segments,
        stride=settings.stride, views='published' if settings.reference else 'distinct',
    )  # fmt: skip
    owners, rows = zip(*views, strict=True)
    return {'features': torch.stack(rows), 'owners': torch.tensor(owners)}


def adapt(model: nn.Module, rank: int, seed: int) -> None:
    """Add low-rank adapters to the linear maps of a model's blocks; only these and `WHOLE` stay trainable.

    Args:
        model: the model, changed in place; its outputs are the same at first.
        rank: r; alpha is twice as large.
        seed: seed of the initial weights of the adapters.

    Raises:
        MissingExtraError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise missing_extra('peft, which trains adapters', 'torch', instead='take the method full or linear') from error
    with seeded(seed):
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=ADAPTED)
        inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_('.lora_' in name or name.startswith(WHOLE))


def merged(model: nn.Module) -> None:
    """Merge the trained adapters into the weights, in place; names and shapes are then as before `adapt`."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)]
    for name, layer in adapted:
        layer.merge(safe_merge=True)
        parent, _, last = name.rpartition('.')
        setattr(model.get_submodule(parent), last, layer.get_base_layer())
    model.requires_grad_(True)
