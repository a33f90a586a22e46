"""A trial run by one of two protocols. torch is imported where it is used.

`fair_run` chooses its epoch on validation and predicts the test part once, or not at all. `reference_run` is the
published loop, faults included: the test part is predicted after every epoch, gradients are clipped by value, features
are neither standardised nor masked, published splits are read in file order, and a single store fills all three slots.

T tested samples, C classes, V values (0 or 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Ints
from affekt.experiments.settings import MODALITIES, SIMPLE, slot_of
from affekt.experiments.task import Task
from affekt.experiments.trial import Answers, Outputs, Trial, constant_outputs, given_names

if TYPE_CHECKING:
    from affekt.fusion import FusionModel
    from affekt.training import Predicted, Samples

SHAPE = ('hidden', 'dropout')
"""Hyper-parameters of the model's shape."""
TRAINING = ('learning_rate', 'weight_decay', 'clip_value')
"""Hyper-parameters of training; all others are options of the model."""


def fair_run(trial: Trial) -> Answers:
    """Train with early stopping on validation, then predict the test part once."""
    from affekt.training import TrainingSettings, predict, train, train_semi

    task, fold, draw, settings = trial.task, trial.fold, trial.configuration, trial.settings
    network = _built(trial, 'corrected')
    has_modality = _has_modality(trial)

    def part(index: Ints) -> Samples:
        return _samples(task, index[has_modality[index]], trial.modalities, network)

    run_settings = TrainingSettings(
        seed=trial.seed, epochs=settings.epochs, batch_size=settings.batch_size, learning_rate=draw['learning_rate'],
        weight_decay=draw.get('weight_decay', 1e-5), clip_norm=draw['clip_value'] or 1.0, patience=settings.patience,
        score=task.score,
    )  # fmt: skip
    if trial.semi is None:
        trained = train(network, part(fold.train), part(fold.validation), run_settings)
    else:
        trained = train_semi(
            network, part(fold.train), part(fold.test), part(fold.validation), run_settings, trial.semi
        ).best
    answers = Answers(trained.best_score, trained.best_epoch, trained.status, _size(network))
    if not trial.reads_test:
        return answers
    # A sample without any modality gets the constant prediction.
    outputs = constant_outputs(task, fold)
    is_predicted = has_modality[fold.test]
    if is_predicted.any():
        predicted = predict(trained.model, part(fold.test))
        if predicted.is_finite:
            outputs.logits[is_predicted] = predicted.logits.numpy()
            outputs.values[is_predicted] = predicted.values.numpy()
        else:  # the constant prediction stands in their place
            answers = dataclasses.replace(answers, status='not_finite')
    given = _with_missing(trial, trained.model) if trial.withholds else {}
    return dataclasses.replace(answers, test=outputs, given=given)


def _has_modality(trial: Trial) -> npt.NDArray[np.bool_]:
    """(N,) True for samples that have at least one of the modalities."""
    has_modality: npt.NDArray[np.bool_] = np.any([trial.task.present[name] for name in trial.modalities], axis=0)
    return has_modality


def _with_missing(trial: Trial, model: Any) -> dict[str, Outputs]:
    """Reduced input to the predictions of the test part; a sample without any modality left gets the constant one."""
    from affekt.training import missing_modality_answers

    task, fold = trial.task, trial.fold
    has_modality = _has_modality(trial)[fold.test]
    samples = _samples(task, fold.test[has_modality], trial.modalities, model)
    by_input = {}
    for reduced in missing_modality_answers(model, samples, seed=trial.settings.seed):
        outputs = constant_outputs(task, fold)
        rows = np.flatnonzero(has_modality)[reduced.index.numpy()]
        outputs.logits[rows] = reduced.predicted.logits.numpy()
        outputs.values[rows] = reduced.predicted.values.numpy()
        by_input[reduced.name] = outputs
    return {name: by_input[name] for name in given_names(trial.modalities)}


def reference_run(trial: Trial) -> Answers:
    """The published loop: all epochs, the test part predicted after each, the best epoch by validation.

    Where the predictions of that epoch are not finite numbers, the status is `not_finite`, and the constant prediction
    stands in their place: nan has no score, and would spoil the mean over folds.

    Source: MERBench, arXiv:2401.03429, its training script, which set no seed; here the trial's seed is used.
    """
    import torch

    from affekt.nn import seeded
    from affekt.training import SCORES, PlainAdam, is_constant, task_sums

    task, fold, configuration, settings = trial.task, trial.fold, trial.configuration, trial.settings
    network = _built(trial, 'reference')
    training, validation, tested = (
        _published_samples(trial, index, network) for index in (fold.train, fold.validation, fold.test)
    )
    optimiser = PlainAdam(network.parameters(), configuration['learning_rate'], weight_decay=1e-5)
    order = torch.Generator().manual_seed(trial.seed)
    best: tuple[float, int, Predicted | None] = (-np.inf, 0, None)
    oracle = best
    score = SCORES[task.score]
    with seeded(trial.seed):
        for epoch in range(1, settings.epochs + 1):
            # 1. one epoch, shuffled only where the division is by folds
            network.train()
            is_shuffled = len(task.reference) > 1
            part = training.parts[0]
            index = torch.randperm(len(part), generator=order) if is_shuffled else torch.arange(len(part))
            for step_index in index.split(settings.batch_size):
                batch = part.batch(step_index)
                optimiser.zero_grad()
                loss = torch.stack(list(task_sums(network(batch.features), batch).values())).sum()
                loss.backward()
                if configuration['clip_value'] is not None:
                    torch.nn.utils.clip_grad_value_(network.parameters(), configuration['clip_value'])
                optimiser.step()
            # 2. validation and test are both predicted
            prediction = tested.answered(network)
            best = _better(best, score(validation.answered(network), validation.truth), epoch, prediction)
            oracle = _better(oracle, score(prediction, tested.truth), epoch, prediction)
    chosen = best[2]
    if chosen is None or not chosen.is_finite:
        status = 'not_finite'
    else:
        status = 'constant' if is_constant(chosen, tested.truth) else 'healthy'
    constant = constant_outputs(task, fold)
    outputs, oracle_outputs = (
        outputs_of(prediction) if prediction is not None and prediction.is_finite else constant
        for prediction in (chosen, oracle[2])
    )
    return Answers(best[0], best[1], status, _size(network), outputs, oracle_outputs)


def outputs_of(predicted: Predicted) -> Outputs:
    """A model's predictions as arrays."""
    return Outputs(predicted.logits.numpy(), predicted.values.numpy())


def _better(
    best: tuple[float, int, Predicted | None], score: float, epoch: int, prediction: Predicted
) -> tuple[float, int, Predicted | None]:
    return (score, epoch, prediction) if score > best[0] else best


def _built(trial: Trial, form: Any) -> FusionModel:
    from affekt.fusion import FUSION_MODELS, FusionShape, build_fusion
    from affekt.nn import seeded

    task, model, modalities, configuration = trial.task, trial.model, trial.modalities, trial.configuration
    level: Any = 'frame' if task.frames is not None and model not in SIMPLE else 'utterance'
    sizes = {slot_of(name): task.features[name].shape[1] for name in modalities}
    if form == 'reference' or FUSION_MODELS[model].needs_modalities is not None:
        for slot in MODALITIES:
            sizes.setdefault(slot, sizes[slot_of(modalities[0])] if form == 'reference' else 1)
    shape = FusionShape(
        sizes, task.classes, values=task.width, form=form, level=level,
        **{name: configuration[name] for name in SHAPE if name in configuration},
    )  # fmt: skip
    options = {name: value for name, value in configuration.items() if name not in (*SHAPE, *TRAINING)}
    with seeded(trial.seed):
        return build_fusion(model, shape, **options)


@dataclass(frozen=True)
class PublishedSamples:
    """A part as the published loaders give it: sequences are padded to one length per split, which differs by split."""

    parts: tuple[Samples, ...]
    truth: Samples
    """All samples, in the requested order; only their labels are read."""
    back: Ints
    """Permutation from the order of `parts` to the requested order."""
    batch: int
    """Batch size, equal to that of training: the predictions of one published model depend on the rest of the batch."""

    def answered(self, network: FusionModel) -> Predicted:
        """A model's predictions in the requested order."""
        import torch

        from affekt.training import Predicted, predict

        by_part = [predict(network, part, batch=self.batch) for part in self.parts]
        logits, values = (torch.cat([getattr(part, name) for part in by_part]) for name in ('logits', 'values'))
        return Predicted(logits[self.back], values[self.back])


def _published_samples(trial: Trial, index: Ints, network: FusionModel) -> PublishedSamples:
    """The samples at `index`; a slot without a modality of its own repeats the first modality."""
    import torch

    task, modalities = trial.task, trial.modalities
    names = {slot_of(name): name for name in modalities}
    slots = {slot: names.get(slot, modalities[0]) for slot in network.shape.sizes}
    if network.shape.level == 'utterance':
        by_split = [(index, {slot: task.features[name][index] for slot, name in slots.items()})]
    else:
        assert task.frames is not None
        by_split = task.frames.published(modalities, index)
    parts = []
    for split_index, features in by_split:
        # Withheld features become zeros: the published models have no masks.
        is_present = {slot: task.present[slots[slot]][split_index] for slot in features}
        # (n,) to (n, 1), or (n, 1, 1) for sequences
        masked = {slot: rows * is_present[slot].reshape(-1, *[1] * (rows.ndim - 1)) for slot, rows in features.items()}
        parts.append(task_samples(task, split_index, {slot: torch.from_numpy(rows) for slot, rows in masked.items()}))
    order = np.concatenate([split_index for split_index, _ in by_split])
    sorter = np.argsort(order)
    back = sorter[np.searchsorted(order[sorter], index)]
    return PublishedSamples(
        tuple(parts),
        task_samples(task, index, {'none': torch.zeros(len(index), 1)}),
        back,
        trial.settings.batch_size,
    )


def _samples(task: Task, index: Ints, modalities: Sequence[str], network: FusionModel) -> Samples:
    """The samples at `index`; a slot without a modality is masked."""
    import torch

    from affekt.training import Sequences

    rows = torch.from_numpy(index)
    is_frame = network.shape.level == 'frame'
    features: dict[str, Any] = {}
    present = {}
    names = {slot_of(name): name for name in modalities}
    for slot, size in network.shape.sizes.items():
        if slot not in names:
            zeros = torch.zeros(len(index), dtype=torch.int64)
            features[slot] = (
                Sequences(torch.zeros(0, size), zeros, zeros) if is_frame else torch.zeros(len(index), size)
            )
            present[slot] = zeros.bool()
            continue
        present[slot] = torch.from_numpy(task.present[names[slot]][index])
        if not is_frame:
            features[slot] = torch.from_numpy(task.features[names[slot]][index])
            continue
        assert task.frames is not None
        frames = task.frames.whole(tuple(modalities))[slot]
        lengths = torch.from_numpy(frames.lengths)
        features[slot] = Sequences(torch.from_numpy(frames.rows), torch.cumsum(lengths, 0) - lengths, lengths)[rows]
    return task_samples(task, index, features, {slot: mask for slot, mask in present.items() if not bool(mask.all())})


def task_samples(
    task: Task, index: Ints, features: Mapping[str, Any], present: Mapping[str, Any] | None = None
) -> Samples:
    """Samples of a task with their names and truths, as models are trained on them.

    Args:
        task: holds the truths.
        index: (n,) row numbers of the samples.
        features: modality to the model's input, one row per sample.
        present: modality to (n,), False where a sample lacks it; None if every sample has every modality.
    """
    import torch

    from affekt.training import Samples

    names = task.manifest.names
    return Samples(
        features,
        None if task.labels is None else torch.from_numpy(task.labels[index]),
        # (n,) to (n, 1); several dimensions are (n, V)
        None if task.values is None else torch.from_numpy(task.values[index].reshape(len(index), -1)).float(),
        present or {},
        tuple(names[i] for i in index),
    )


def _size(network: FusionModel) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
