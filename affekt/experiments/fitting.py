"""One model trained on one division by one protocol. torch is imported where it is used.

`fair_run` chooses its epoch on validation and reads the test once, or not at all. `reference_run` is the published
loop, faults included: every epoch reads the test, gradients are clipped by value, nothing is standardised or masked,
divisions that are split are read in file order, and one store stands in all three slots.

T tested samples, C classes, V values (0 or 1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.experiments.folds import Index, Turn
from affekt.experiments.settings import MODALITIES, SIMPLE, MerbenchSettings, slot_of
from affekt.experiments.task import Task

if TYPE_CHECKING:
    from affekt.fusion import FusionModel
    from affekt.training import Predicted, Samples, SemiSettings

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
    gap_logits: Floats | None = field(default=None, repr=False)
    """(T, G C) with modalities missing, in the order of `gap_names`; None where nobody asked."""
    gap_values: Floats | None = field(default=None, repr=False)
    """(T, G V)"""


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
    gaps: bool = False,
    semi: SemiSettings | None = None,
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
        gaps: answer it also with modalities missing.
        semi: learn from the samples of the test besides, without their truth; for a challenge's unlabelled clips alone.
    """
    from affekt.training import TrainingSettings, predict, train, train_semi

    network = _built(task, modalities, model, draw, seed, 'corrected')
    able = np.any([task.present[name] for name in modalities], axis=0)

    def part(index: Index) -> Samples:
        return _samples(task, index[able[index]], modalities, network)

    how = TrainingSettings(
        seed=seed, epochs=settings.epochs, batch_size=settings.batch, learning_rate=draw['rate'],
        weight_decay=draw.get('decay', 1e-5),
        clip_norm=draw['clip_value'] or 1.0, patience=settings.patience, score=task.score,
    )  # fmt: skip
    if semi is None:
        trained = train(network, part(turn.train), part(turn.validation), how)
    else:
        trained = train_semi(network, part(turn.train), part(turn.test), part(turn.validation), how, semi).best
    told = (trained.best_score, trained.best_epoch, trained.status, _size(network))
    if not reads_test:
        return Answers(*told)
    # A sample of which nothing is known is answered without looking at it.
    logits, values = constant_answers(task, turn)
    known = able[turn.test]
    if known.any():
        answer = predict(trained.model, part(turn.test))
        logits[known], values[known] = answer.logits.numpy(), answer.values.numpy()
    if not gaps:
        return Answers(*told, logits, values)
    return Answers(*told, logits, values, None, None, *_with_gaps(task, turn, modalities, trained.model, settings))


def gap_names(modalities: Sequence[str]) -> tuple[str, ...]:
    """G names: every smaller set of modalities, then the rates of gaps at random."""
    from affekt.training.absent import RATES

    sets = ['+'.join(each) for size in range(1, len(modalities)) for each in combinations(modalities, size)]
    return (*sets, *(f'any:{rate:g}' for rate in RATES))


def _with_gaps(
    task: Task, turn: Turn, modalities: Sequence[str], model: Any, settings: MerbenchSettings
) -> tuple[Floats, Floats]:
    """(T, G C) and (T, G V); a sample of which nothing is left is answered without looking at it."""
    from affekt.training import missing_modality_answers

    able = np.any([task.present[name] for name in modalities], axis=0)[turn.test]
    found = {}
    tested = _samples(task, turn.test[able], modalities, model)
    for each in missing_modality_answers(model, tested, seed=settings.seed):
        logits, values = constant_answers(task, turn)
        places = np.flatnonzero(able)[each.index.numpy()]
        logits[places], values[places] = each.predicted.logits.numpy(), each.predicted.values.numpy()
        found[each.name] = logits, values
    chosen = [found[name] for name in gap_names(modalities)]
    return np.concatenate([one for one, _ in chosen], axis=1), np.concatenate([one for _, one in chosen], axis=1)


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

    from affekt.training import SCORES, task_losses
    from affekt.training.scoring import is_constant

    network = _built(task, modalities, model, draw, seed, 'reference')
    training, choosing, tested = (
        _published_samples(task, index, modalities, network, settings.batch)
        for index in (turn.train, turn.validation, turn.test)
    )
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
            learnt = training.parts[0]
            index = torch.randperm(len(learnt), generator=order) if is_shuffled else torch.arange(len(learnt))
            for chosen in index.split(settings.batch):
                batch = learnt.batch(chosen)
                optimiser.zero_grad()
                loss = torch.stack(list(task_losses(network(batch.features), batch).values())).sum()
                loss.backward()
                if draw['clip_value'] is not None:
                    torch.nn.utils.clip_grad_value_(network.parameters(), draw['clip_value'])
                optimiser.step()
            # 2. what chooses and the test are both read
            answer = tested.answered(network)
            best = _better(best, score(choosing.answered(network), choosing.truth), epoch, answer)
            oracle = _better(oracle, score(answer, tested.truth), epoch, answer)
    kept, leaked = best[2], oracle[2]
    if kept is None or leaked is None:
        return Answers(float('-inf'), 0, 'not_finite', _size(network))
    status = 'constant' if is_constant(kept, tested.truth) else 'healthy'
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


def _built(
    task: Task, modalities: Sequence[str], model: str, draw: Mapping[str, Any], seed: int, form: Any
) -> FusionModel:
    import torch

    from affekt.fusion import FUSION_MODELS, FusionShape, build_fusion

    level: Any = 'frame' if task.frames is not None and model not in SIMPLE else 'utterance'
    sizes = {slot_of(name): task.features[name].shape[1] for name in modalities}
    if form == 'reference' or FUSION_MODELS[model].needs_modalities is not None:
        for slot in MODALITIES:
            sizes.setdefault(slot, sizes[slot_of(modalities[0])] if form == 'reference' else 1)
    shape = FusionShape(
        sizes, task.classes, values=0 if task.values is None else 1, form=form, level=level,
        **{name: draw[name] for name in SHAPE if name in draw},
    )  # fmt: skip
    options = {name: held for name, held in draw.items() if name not in (*SHAPE, *TRAINING)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_fusion(model, shape, **options)


@dataclass(frozen=True)
class PublishedSamples:
    """A part as the published loaders give it: sequences of each split have one length, splits differ."""

    parts: tuple[Samples, ...]
    truth: Samples
    """All of them, in their order; their features are not read."""
    back: Index
    """From the order of the parts to that of the samples that were asked for."""
    batch: int
    """As in training: one published model's answers depend on who else is in the batch."""

    def answered(self, network: FusionModel) -> Predicted:
        """A model's answers in the order that was asked for."""
        import torch

        from affekt.training import Predicted, predict

        held = [predict(network, part, batch=self.batch) for part in self.parts]
        logits, values = (torch.cat([getattr(one, name) for one in held]) for name in ('logits', 'values'))
        return Predicted(logits[self.back], values[self.back])


def _published_samples(
    task: Task, index: Index, modalities: Sequence[str], network: FusionModel, batch: int
) -> PublishedSamples:
    """The samples at `index` with every slot filled: one without a modality repeats the first one."""
    import torch

    names = {slot_of(name): name for name in modalities}
    slots = {slot: names.get(slot, modalities[0]) for slot in network.shape.sizes}
    if network.shape.level == 'utterance':
        each = [(index, {slot: task.features[name][index] for slot, name in slots.items()})]
    else:
        assert task.frames is not None
        each = task.frames.published(tuple(modalities), index)
    parts = []
    for chosen, features in each:
        # What is withheld is zeros: the published form has no masks.
        kept = {slot: task.present[slots[slot]][chosen] for slot in features}
        held = {slot: rows * kept[slot].reshape(-1, *[1] * (rows.ndim - 1)) for slot, rows in features.items()}
        parts.append(_with_truth(task, chosen, {slot: torch.from_numpy(rows) for slot, rows in held.items()}, {}))
    order = np.concatenate([chosen for chosen, _ in each])
    sorter = np.argsort(order)
    back = sorter[np.searchsorted(order[sorter], index)]
    return PublishedSamples(
        tuple(parts), _with_truth(task, index, {'none': torch.zeros(len(index), 1)}, {}), back, batch
    )


def _samples(task: Task, index: Index, modalities: Sequence[str], network: FusionModel) -> Samples:
    """The samples at `index`; a slot without a modality is masked."""
    import torch

    from affekt.training import Sequences

    chosen = torch.from_numpy(index)
    is_frame = network.shape.level == 'frame'
    features: dict[str, Any] = {}
    present = {}
    names = {slot_of(name): name for name in modalities}
    for slot, size in network.shape.sizes.items():
        if slot not in names:
            nothing = torch.zeros(len(index), dtype=torch.int64)
            features[slot] = (
                Sequences(torch.zeros(0, size), nothing, nothing) if is_frame else torch.zeros(len(index), size)
            )
            present[slot] = nothing.bool()
            continue
        present[slot] = torch.from_numpy(task.present[names[slot]][index])
        if not is_frame:
            features[slot] = torch.from_numpy(task.features[names[slot]][index])
            continue
        assert task.frames is not None
        held = task.frames.whole(tuple(modalities))[slot]
        lengths = torch.from_numpy(held.lengths)
        features[slot] = Sequences(torch.from_numpy(held.rows), torch.cumsum(lengths, 0) - lengths, lengths)[chosen]
    return _with_truth(task, index, features, {slot: held for slot, held in present.items() if not bool(held.all())})


def _with_truth(task: Task, index: Index, features: Mapping[str, Any], present: Mapping[str, Any]) -> Samples:
    import torch

    from affekt.training import Samples

    names = task.manifest.names
    return Samples(
        features,
        None if task.labels is None else torch.from_numpy(task.labels[index]),
        None if task.values is None else torch.from_numpy(task.values[index]).float().unsqueeze(1),
        present,
        tuple(names[i] for i in index),
    )


def _size(network: FusionModel) -> int:
    return sum(held.numel() for held in network.parameters())
