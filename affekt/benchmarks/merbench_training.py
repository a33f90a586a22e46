"""One model trained on one division by one protocol. torch is imported where it is used.

`fair_run` chooses its epoch on validation and reads the test once, or not at all. `reference_run` is the published
loop, faults included: every epoch reads the test, gradients are clipped by value, nothing is standardised or masked,
divisions that are split are read in file order, and one store stands in all three slots.

T tested samples, C classes, V values (0 or 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.benchmarks.merbench_inputs import Index, Task, Turn
from affekt.benchmarks.merbench_settings import MODALITIES, MerbenchSettings

if TYPE_CHECKING:
    from affekt.fusion import FusionModel
    from affekt.training import Predicted, Samples

Floats = npt.NDArray[np.float32]
SHAPE = ('hidden', 'dropout')
TRAINING = ('rate', 'decay', 'clip_value')


@dataclass(frozen=True)
class Answers:
    """What one run says."""

    score: float
    """On what chose the epoch; higher is better."""
    epoch: int
    status: str
    """`healthy`, `constant` or `not_finite`."""
    parameters: int
    logits: Floats | None = field(default=None, repr=False)
    """(T, C); None where the test was not read."""
    values: Floats | None = field(default=None, repr=False)
    """(T, V)"""
    oracle_logits: Floats | None = field(default=None, repr=False)
    """(T, C) of the epoch that is best on the test itself; the published loop alone knows it."""
    oracle_values: Floats | None = field(default=None, repr=False)


def fair_run(
    task: Task,
    turn: Turn,
    modalities: Sequence[str],
    model: str,
    draw: Mapping[str, Any],
    settings: MerbenchSettings,
    *,
    seed: int,
    reads_test: bool,
) -> Answers:
    """Train with early stopping on validation.

    Args:
        task: features and truth.
        turn: the division.
        modalities: that the model is given; others that it has slots for are masked.
        model: a key of `FUSION_MODELS`.
        draw: its hyper-parameters.
        settings: epochs, patience and batch are read.
        seed: of weights, order and dropout.
        reads_test: answer the test at the end.
    """
    from affekt.training import TrainingSettings, predict, train

    network = _built(task, modalities, model, draw, seed, 'corrected')
    trained = train(
        network,
        _samples(task, turn.train, modalities, network),
        _samples(task, turn.validation, modalities, network),
        TrainingSettings(
            seed=seed, epochs=settings.epochs, batch=settings.batch, rate=draw['rate'], decay=draw.get('decay', 1e-5),
            clip_norm=draw['clip_value'] or 1.0, patience=settings.patience, score=task.score,
        ),
    )  # fmt: skip
    told = (trained.best_score, trained.best_epoch, trained.status, _size(network))
    if not reads_test:
        return Answers(*told)
    answer = predict(trained.model, _samples(task, turn.test, modalities, network))
    return Answers(*told, answer.logits.numpy(), answer.values.numpy())


def reference_run(
    task: Task,
    turn: Turn,
    modalities: Sequence[str],
    model: str,
    draw: Mapping[str, Any],
    settings: MerbenchSettings,
    *,
    seed: int,
) -> Answers:
    """The published loop: all epochs, the test read at each, the best by what chooses.

    Source: MERBench, arXiv:2401.03429, its training script; the seed is ours, it had none.
    """
    import torch

    from affekt.training import SCORES, predict, task_losses

    network = _built(task, modalities, model, draw, seed, 'reference')
    parts = [_samples(task, index, modalities, network) for index in (turn.train, turn.validation, turn.test)]
    training, choosing, tested = parts
    optimiser = torch.optim.Adam(network.parameters(), draw['rate'], weight_decay=1e-5)
    order = torch.Generator().manual_seed(seed)
    best: tuple[float, int, Predicted | None] = (-np.inf, 0, None)
    oracle = best
    score = SCORES[task.score]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(1, settings.epochs + 1):
            # 1. one pass, shuffled only where the division is by folds
            network.train()
            is_shuffled = len(task.reference) > 1
            index = torch.randperm(len(training), generator=order) if is_shuffled else torch.arange(len(training))
            for chosen in index.split(settings.batch):
                batch = training.batch(chosen)
                optimiser.zero_grad()
                loss = torch.stack(list(task_losses(network(batch.features), batch).values())).sum()
                loss.backward()
                if draw['clip_value'] is not None:
                    torch.nn.utils.clip_grad_value_(network.parameters(), draw['clip_value'])
                optimiser.step()
            # 2. what chooses and the test are both read
            answer = predict(network, tested)
            best = _better(best, score(predict(network, choosing), choosing), epoch, answer)
            oracle = _better(oracle, score(answer, tested), epoch, answer)
    kept, leaked = best[2], oracle[2]
    if kept is None or leaked is None:
        return Answers(float('-inf'), 0, 'not_finite', _size(network))
    status = 'constant' if _is_constant(kept) else 'healthy'
    return Answers(
        best[0], best[1], status, _size(network), kept.logits.numpy(), kept.values.numpy(),
        leaked.logits.numpy(), leaked.values.numpy(),
    )  # fmt: skip


def constant_answers(task: Task, turn: Turn) -> tuple[Floats, Floats]:
    """(T, C) and (T, V): the most frequent category and the mean value of train, for every tested sample."""
    size = len(turn.test)
    logits = np.zeros((size, task.classes), dtype=np.float32)
    if task.labels is not None:
        logits[:, np.bincount(task.labels[turn.train]).argmax()] = 1.0
    if task.values is None:
        return logits, np.zeros((size, 0), dtype=np.float32)
    return logits, np.full((size, 1), task.values[turn.train].mean(), dtype=np.float32)


def _better(
    best: tuple[float, int, Predicted | None], score: float, epoch: int, answer: Predicted
) -> tuple[float, int, Predicted | None]:
    return (score, epoch, answer) if score > best[0] else best


def _is_constant(answer: Predicted) -> bool:
    held = answer.logits if answer.logits.shape[1] else answer.values
    return bool((held.std(dim=0, correction=0) < 1e-4).all())


def _built(
    task: Task, modalities: Sequence[str], model: str, draw: Mapping[str, Any], seed: int, form: Any
) -> FusionModel:
    import torch

    from affekt.fusion import FUSION_MODELS, FusionShape, build_fusion

    sizes = {name: task.features[name].shape[1] for name in modalities}
    if FUSION_MODELS[model].needs_modalities is not None:
        for slot in MODALITIES:
            sizes.setdefault(slot, sizes[modalities[0]] if form == 'reference' else 1)
    shape = FusionShape(
        sizes, task.classes, values=0 if task.values is None else 1, form=form,
        **{name: draw[name] for name in SHAPE if name in draw},
    )  # fmt: skip
    options = {name: held for name, held in draw.items() if name not in (*SHAPE, *TRAINING)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_fusion(model, shape, **options)


def _samples(task: Task, index: Index, modalities: Sequence[str], network: FusionModel) -> Samples:
    """The samples at `index`; a slot without a modality is masked, or (reference) repeats the first one."""
    import torch

    from affekt.training import Samples

    features, present, names = {}, {}, task.manifest.names
    for slot, size in network.shape.sizes.items():
        if slot in modalities or not network.shape.corrected:
            held = task.features[slot if slot in modalities else modalities[0]]
            features[slot] = torch.from_numpy(held[index])
        else:
            features[slot] = torch.zeros(len(index), size)
            present[slot] = torch.zeros(len(index), dtype=torch.bool)
    return Samples(
        features,
        None if task.labels is None else torch.from_numpy(task.labels[index]),
        None if task.values is None else torch.from_numpy(task.values[index]).float().unsqueeze(1),
        present,
        tuple(names[i] for i in index),
    )


def _size(network: FusionModel) -> int:
    return sum(held.numel() for held in network.parameters())
