"""Fine-tuning of an encoder on a few hundred labelled clips.

    tuned = tune(HicmaeClassifier(form, 6), train, validation, TuningSettings())
    predict_proba(tuned.model, clips)

Validation alone decides which epoch is used and when to stop; test clips are never used. A run in a folder resumes
after a kill with the same results. Read `tune` first; `objectives.py` defines the losses, `adapters.py` trains few
weights.

Axes: N clips, B batch, K outputs.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from affekt.clips import Clip
from affekt.errors import TrainingError
from affekt.pretraining.adapters import Views, adapt, merged, probe
from affekt.pretraining.augmentation import Augmentation, tuning_augmentation
from affekt.pretraining.batches import ClipBatch
from affekt.pretraining.mixing import Mixing, mixed
from affekt.pretraining.objectives import Goal, LabelledClip, targets_of
from affekt.pretraining.predicting import (
    batch_of,
    form_of,
    head_of,
    inputs_of,
    is_readable,
    predict_proba,
    read_by,
    sampling_of,
    views_of,
)
from affekt.pretraining.tuning_settings import TuningSettings
from affekt.pretraining.windows import cut, tuning_window
from affekt.progress import Progress
from affekt.training import AdamW, BestEpoch, Engine, IndexBatches, Ranks, layered_groups, require_finite

TRIES = 4
"""Maximum number of windows drawn from a clip until one is readable."""
Row = dict[str, float]


@dataclass(frozen=True)
class Tuned:
    """A finished run.

    Args:
        model: the model, on the CPU, in evaluation mode, at the chosen epoch.
        best_score: score on validation at that epoch; nan without validation.
        history: one row per epoch, or per strength of a linear probe.
        epoch: the chosen epoch, from 1; for a linear probe the row.
    """

    model: nn.Module
    best_score: float
    history: tuple[Row, ...] = field(repr=False)
    epoch: int = 0


def tune(
    model: nn.Module,
    train: Sequence[LabelledClip],
    validation: Sequence[LabelledClip] | None,
    settings: TuningSettings,
    *,
    folder: Path | None = None,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
    depends_on: Mapping[str, Any] | None = None,
    views: tuple[Views, Views] | None = None,
) -> Tuned:
    """Fine-tune a model on the clips' targets.

    Args:
        model: `HicmaeClassifier` or `SvfapClassifier` with one output per class or value, usually
            with pre-trained weights; changed in place.
        train: training clips.
        validation: clips that choose the epoch; None or empty for the last one.
        settings: all other settings that results depend on.
        folder: folder for checkpoints, the log and its page; None to write nothing.
        resume: continue in the folder of a killed run, or start if there is none; results equal those of an
            uninterrupted run.
        report: called with each row of the history.
        progress: called with 'train', steps done, total steps; by a linear probe with 'features', clips done, total
            clips.
        depends_on: everything else that results depend on, such as the source of the clips; saved with the settings.
        views: features of both parts for a linear probe, if `view_features` has computed them.

    Raises:
        ShapeError, ValueRangeError, UnknownNameError: invalid targets, see `Goal.of`.
        MediaError: a clip has no modality that the model reads.
        RunError: the folder holds another run.
        TrainingError: a loss, a weight or a prediction is not finite, or every epoch's score is undefined.
        MissingExtraError: adapters are requested, and peft is not installed.
    """
    # 1. Check the targets before anything is computed.
    goal = Goal.of(train, head_of(model).out_features, settings)
    validation_clips = validation or ()
    if validation_clips:
        _require_same_type(targets_of(validation_clips, goal.outputs, 'validation')[1], goal)
    depends = {**(depends_on or {}), 'data': _digest(train, validation_clips), 'start': state_digest(model)}
    ranks = _ranks(settings.device)
    if settings.method == 'linear':  # each process does it itself; only the first writes
        probe_folder = folder if ranks.first else None
        outcome = probe(
            model, train, validation_clips, goal, replace(settings, device=ranks.device), folder=probe_folder,
            resume=resume, depends_on={'tuning': asdict(settings), **depends}, progress=progress, views=views,
        )  # fmt: skip
        for row in outcome.history:
            if report:
                report(row)
        return Tuned(model, outcome.score, outcome.history, outcome.number)
    if settings.method == 'lora':
        adapt(model, settings.rank, settings.seed)
    # 2. Batches, and the learning rate of each layer.
    batches = TuningBatches(train, goal, model, settings, ranks)
    engine = _engine(model, goal, batches, settings, ranks)
    # 3. Train; evaluate each epoch on validation.
    judge = _Judge(engine, goal, validation_clips, settings, batches.per_epoch, folder, resume)
    rows = engine.run(
        batches, steps=settings.epochs * batches.per_epoch, folder=folder, resume=resume,
        depends_on={'tuning': asdict(settings), **depends}, report=_epochs_only(report), progress=progress,
        evaluate=judge, is_over=judge.is_over,
    )  # fmt: skip
    history = tuple(row for row in rows if 'epoch' in row)
    # 4. Take the best weights, as a plain model.
    epoch, score = judge.chosen(history)
    if settings.method == 'lora':
        merged(model)
    goal.restored(head_of(model))
    model.to('cpu').eval()
    return Tuned(model, score, history, epoch)


class TuningBatch(NamedTuple):
    """Input of a training step."""

    clips: ClipBatch
    targets: Tensor
    """(B, K) targets."""


class TuningBatches:
    """Batches without end, each drawn from its number alone, so that a run can resume at any of them.

    Args:
        clips: N clips.
        goal: scale and loss of the targets.
        model: the model, whose form determines the modalities.
        settings: settings of fine-tuning.
        ranks: the processes; each reads its own share.
    """

    def __init__(
        self, clips: Sequence[LabelledClip], goal: Goal, model: nn.Module, settings: TuningSettings, ranks: Ranks
    ) -> None:
        self._clips, self._goal, self._settings, self._form = clips, goal, settings, form_of(model)
        truth, _ = targets_of(clips, goal.outputs, 'training')
        self._targets = goal.targets(torch.from_numpy(truth))  # (N, K)
        self._mixing: Mixing | None = settings.used_mixing if goal.is_classes else None
        self._augmentation = _augmentation(settings)
        self._order = IndexBatches(
            len(clips), min(settings.batch_size, max(1, len(clips) // ranks.count)), settings.seed,
            rank=ranks.rank, ranks=ranks.count,
        )  # fmt: skip
        self.accumulation = min(settings.accumulation, self._order.per_epoch)
        self.per_epoch = self._order.per_epoch // self.accumulation
        """Steps per epoch."""
        self.clips_a_step = self._order.batch_size * ranks.count * self.accumulation

    def __iter__(self) -> Iterator[TuningBatch]:
        return self.starting_at(0)

    def starting_at(self, batches: int) -> Iterator[TuningBatch]:
        """The batches after the first `batches`, which are not loaded."""
        numbered = enumerate(self._order.starting_at(batches), batches)
        if not self._settings.readers:
            return (self._batch(number, index.tolist()) for number, index in numbered)
        return self._ahead(numbered)

    def _ahead(self, numbered: Iterator[tuple[int, Tensor]]) -> Iterator[TuningBatch]:
        """The batches, prepared by threads during training steps."""
        with ThreadPoolExecutor(self._settings.readers, 'affekt-clips') as threads:
            pending: deque[Future[TuningBatch]] = deque()
            try:
                for number, index in islice(numbered, 2 * self._settings.readers):
                    pending.append(threads.submit(self._batch, number, index.tolist()))
                while pending:
                    first = pending.popleft()
                    yield first.result()
                    for number, index in islice(numbered, 1):
                        pending.append(threads.submit(self._batch, number, index.tolist()))
            finally:
                for future in pending:
                    future.cancel()

    def _batch(self, number: int, index: list[int]) -> TuningBatch:
        seed, order = self._settings.seed, self._order
        step, place = divmod(number, self.accumulation)
        first = (place * order.ranks + order.rank) * order.batch_size
        # a window depends on its index in the step, so that it is the same for any number of batches and processes
        views = [
            self._window(self._clips[clip_index].opened(), _generator(seed, step, 1 + position))
            for position, clip_index in enumerate(index, first)
        ]
        rng = _generator(seed, number, 0, order.rank)
        batch = batch_of(views, self._form, augmentation=self._augmentation, rng=rng)
        targets = self._targets[index]
        if self._mixing is not None:
            batch, targets = mixed(batch, targets, self._mixing, rng)
        return TuningBatch(batch, targets)

    def _window(self, clip: Clip, rng: torch.Generator) -> Clip:
        """A window of the clip; one of its views if the drawn window has neither frames nor usable audio."""
        reduced, sampling = read_by(clip, self._form), sampling_of(self._form, self._settings.stride)
        for _ in range(TRIES):
            view = cut(reduced, tuning_window(reduced, rng, sampling, reference=self._settings.reference))
            if is_readable(view):
                return view
        return views_of(clip, self._form, stride=self._settings.stride)[0]


class _Judge:
    """Scores on validation after each epoch, and the weights of the best so far."""

    def __init__(
        self,
        engine: Engine,
        goal: Goal,
        validation: Sequence[LabelledClip],
        settings: TuningSettings,
        per_epoch: int,
        folder: Path | None,
        resume: bool,
    ) -> None:
        self._engine, self._goal, self._settings, self._per_epoch = engine, goal, settings, per_epoch
        self._validation = validation
        self._truth = targets_of(validation, goal.outputs, 'validation')[0] if validation else None
        self._chooses = bool(validation) and not settings.takes_last
        self._best = BestEpoch(
            folder if self._chooses else None, resume=resume, patience=settings.patience, writes=engine.ranks.first
        )

    def __call__(self, model: nn.Module) -> Row:
        """The values that are added to an epoch's row."""
        row = {'epoch': float(self._engine.number // self._per_epoch)}
        if self._truth is None:
            return row
        row |= self._goal.scores(self._truth, self._answers(model))
        if self._chooses:
            self._best.offer(model, row['score'])
        return row

    def is_over(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether patience is exhausted."""
        return self._chooses and self._best.is_over(rows)

    def chosen(self, history: Sequence[Row]) -> tuple[int, float]:
        """The chosen epoch and its score, after loading its weights into the model."""
        if self._chooses:
            return self._best.put_into(self._engine.model, history, self._goal.score)
        return len(history), history[-1].get('score', math.nan) if history else math.nan

    def _answers(self, model: nn.Module) -> Any:
        """(N, K) predictions on validation; each process predicts its share."""
        ranks = self._engine.ranks
        shares = [list(range(rank, len(self._validation), ranks.count)) or [0] for rank in range(ranks.count)]
        predictions = predict_proba(
            model, [self._validation[index].clip for index in shares[ranks.rank]], segments=self._settings.segments,
            stride=self._settings.stride, numbers=not self._goal.is_classes,
        )  # fmt: skip
        answers = np.zeros((len(self._validation), self._goal.outputs), dtype=np.float32)
        for share, part in zip(shares, ranks.gathered(predictions), strict=True):
            answers[share] = part
        require_finite([answers])
        return self._goal.answers(answers)


def _generator(*numbers: int) -> torch.Generator:
    """A separate generator for each tuple of numbers."""
    words = np.random.SeedSequence([abs(number) for number in numbers]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))


def _ranks(device: str) -> Ranks:
    ranks = Ranks(device)
    if ranks.spreads:
        raise TrainingError(
            expected='one whole model in each process', came='a launch with FSDP',
            todo='launch without it: each process has room for such a model',
        )  # fmt: skip
    return ranks


def _engine(model: nn.Module, goal: Goal, batches: TuningBatches, settings: TuningSettings, ranks: Ranks) -> Engine:
    """The published optimiser: AdamW with layer-wise learning rate decay, vectors without weight decay."""
    groups = layered_groups(
        model, model.layers_by_depth(), learning_rate=settings.step_rate(batches.clips_a_step),  # type: ignore[operator]
        weight_decay=settings.weight_decay, layer_decay=settings.decay,
    )  # fmt: skip

    def losses(network: nn.Module, batch: TuningBatch) -> dict[str, Tensor]:
        return {'training': goal.loss(network(*inputs_of(batch.clips)), batch.targets)}

    optimiser = AdamW(groups, betas=(0.9, 0.999))
    return Engine(model, optimiser, losses, settings.engine(batches.per_epoch, batches.accumulation), ranks=ranks)


def _augmentation(settings: TuningSettings) -> Augmentation | None:
    return tuning_augmentation(reference=settings.reference) if settings.augments else None


def _epochs_only(report: Callable[[Row], None] | None) -> Callable[[Row], None] | None:
    if report is None:
        return None
    return lambda row: report(row) if 'epoch' in row else None


def _require_same_type(is_classes: bool, goal: Goal) -> None:
    if is_classes != goal.is_classes:
        types = ('numbers', 'classes')
        raise TrainingError(
            expected=f'{types[goal.is_classes]} on validation, as in training', came=types[is_classes],
            todo='give the same targets',
        )  # fmt: skip


def _digest(*parts: Sequence[LabelledClip]) -> str:
    """SHA-256 of the clips' names, where known, and targets."""
    digest = hashlib.sha256()
    for part in parts:
        for labelled in part:
            name = labelled.clip.name if isinstance(labelled.clip, Clip) else ''
            digest.update(f'{name} {np.asarray(labelled.target).tolist()}\n'.encode())
        digest.update(b'\0')
    return digest.hexdigest()


def state_digest(model: nn.Module, *, without: str = '') -> str:
    """SHA-256 of a model's weights, such as those that training begins with.

    Args:
        model: the model.
        without: prefix of names to leave out, such as `head.`; '' for none.
    """
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        if without and name.startswith(without):
            continue
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
