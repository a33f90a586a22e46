"""Masked pre-training of an encoder on clips without labels, with checkpoints and a log.

    clips = PackedClips.open(Path('clips'))
    pretrain(hicmae_tiny(), clips, PretrainingSettings(epochs=20, batch_size=32), folder=Path('run'))

Everything is as published unless the machine requires otherwise: AdamW, warm-up and half-cosine decay, masks of fixed
counts, mean squared errors of hidden patches, and the contrast of both modalities. The same call with `resume=True`
continues a killed run with the same results; under torchrun all processes train one model. A form of one modality
reads only that; if a clip lacks one of two, training uses the other, and the clip is counted.

Source: Sun et al. 2024, arXiv:2401.05698, section 4.1; Sun et al. 2024, arXiv:2401.00416, section 4.1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affekt.encoders import RUN_WEIGHTS
from affekt.errors import CorpusError, ShapeError
from affekt.nn import Block, CrossSelfBlock, save_tensors, seeded
from affekt.pretraining.forms import MODALITIES, Form, HicmaeForm, SvfapForm
from affekt.pretraining.hicmae import HicmaePretraining
from affekt.pretraining.masked_batches import Clips, EpochBatches, MaskedBatch, MaskedClips, Survey, surveyed
from affekt.pretraining.masked_settings import BETAS, PretrainingSettings, decay_groups
from affekt.pretraining.rebuilding import contrast
from affekt.pretraining.spectrograms import BANDS
from affekt.pretraining.svfap import SvfapPretraining
from affekt.progress import Progress
from affekt.training import (
    AdamW,
    Engine,
    EngineSettings,
    LoadedBatches,
    Ranks,
    epoch_seed,
    has_precision,
    last_weights,
    whole,
)

Row = dict[str, float]
Network = HicmaePretraining | SvfapPretraining
SNAPSHOT = 'weights-epoch-{:04d}.safetensors'
COUNTS = ('without_video', 'without_audio', 'unread')
"""Columns of the log: clips with missing modalities since the previous row, in all processes."""


@dataclass(frozen=True)
class Pretrained:
    """A finished run."""

    model: Network
    history: tuple[Row, ...]
    survey: Survey
    weights: Path
    """File of the weights of the last step; `pretraining_from` opens it."""

    @property
    def drawn(self) -> dict[str, int]:
        """Counts of drawn clips with missing modalities, by the names of `COUNTS`."""
        return {name: int(sum(row[name] for row in self.history)) for name in COUNTS}


def pretrain(
    form: Form,
    clips: Clips,
    settings: PretrainingSettings | None = None,
    *,
    folder: Path,
    resume: bool = False,
    report: Callable[[Row], None] | None = None,
    progress: Progress | None = None,
) -> Pretrained:
    """Pre-train a network on clips.

    Args:
        form: form of the network.
        clips: any sequence of clips.
        settings: settings of the run; None for the published ones.
        folder: folder for settings, log, curves, checkpoints, snapshots and the weights.
        resume: continue in the folder of a killed run, or start if there is none.
        report: called with each row of the log.
        progress: called with `train`, steps done and total steps.

    Returns:
        The network with its last weights, also stored in the folder as `RUN_WEIGHTS`; and a row of the log for each
        `log_every` steps: `step`, the losses, `loss`, `learning_rate` and `COUNTS`. A loss is nan where no clip since
        the previous row has what it is computed from.

    Raises:
        CorpusError: no clip has a modality that the form reads.
        ValueRangeError: there are too few clips for a batch, or settings conflict.
        RunError, StorageError, TrainingError: see `Engine.run`.
    """
    settings = settings or PretrainingSettings()
    _require_bands(form)
    # 1. Survey the clips.
    survey = surveyed(clips, form)
    settings.require_form(form)
    settings.require_clips(len(survey.readable))
    ranks = Ranks(settings.device)
    order = EpochBatches(
        len(survey.readable), settings.per_process(ranks.count), settings.seed, rank=ranks.rank, ranks=ranks.count
    )
    steps, per_epoch = settings.steps_of(len(survey.readable))
    # 2. Create the network and its optimiser.
    gather = ranks.all_rows if settings.gathers_contrast and ranks.count > 1 else None
    model = new_network(form, settings, gather)
    counts = _Counts(ranks)
    optimiser = AdamW(decay_groups(model, settings), betas=BETAS, fused=True)
    engine = Engine(
        model, optimiser, counts.losses, _engine_settings(settings, ranks, steps, per_epoch),
        weigh_losses=clip_counts(model, ranks), ranks=ranks,
    )  # fmt: skip
    if settings.compiled:
        compile_blocks(model)
    # 3. Take steps.
    snapshots = _Snapshots(model, folder, ranks, settings, per_epoch, notes_of(form, settings, survey))
    if resume:
        snapshots.make_up()
    masked_clips = MaskedClips(form, clips, survey.readable, settings)

    def advanced(stage: str, done: float, total: float) -> None:
        snapshots.after(int(done))
        if progress:
            progress(stage, done, total)

    history = engine.run(
        LoadedBatches(order, masked_clips.batches),
        steps=steps,
        folder=folder,
        resume=resume,
        depends_on={'form': form_notes(form), 'pretraining': settings.numbers(), 'clips': survey.counts()},
        report=report,
        progress=advanced,
        evaluate=counts.row,
    )
    # 4. Save the weights.
    snapshots.write(RUN_WEIGHTS, engine.number)
    return Pretrained(model, tuple(history), survey, folder / RUN_WEIGHTS)


def new_network(form: Form, settings: PretrainingSettings, every: Callable[[Tensor], Tensor] | None = None) -> Network:
    """A network with weights initialised from a seed; torch's global generator is not changed."""
    with seeded(epoch_seed(settings.seed, 0, 0)):
        if isinstance(form, SvfapForm):
            return SvfapPretraining(form)
        return HicmaePretraining(
            form, is_difference=settings.is_difference, contrast_weight=settings.contrast_weight, every=every
        )


def masked_losses(model: Network, batch: MaskedBatch) -> dict[str, Tensor | None]:
    """The losses of a batch, each a mean over the clips with its modalities; None if there are none.

    Args:
        model: the network.
        batch: this process's clips of a batch.
    """
    sums: dict[str, list[Tensor]] = {name: [] for name in _loss_names(model)}
    clips: dict[str, float] = dict.fromkeys(sums, 0)
    for part in batch.parts:
        for name, loss in model.losses(*part).items():
            sums[name].append(loss * part.size)
            clips[name] += part.size
    if _gathers(model) and 'contrast' in sums and not clips['contrast']:  # others wait for it
        gathered = _contrast_of_none(model)
        sums['contrast'] += [] if gathered is None else [gathered]
        clips['contrast'] = 1
    return {name: torch.stack(losses).sum() / clips[name] if losses else None for name, losses in sums.items()}


def clip_counts(model: Network, ranks: Ranks) -> dict[str, Callable[[MaskedBatch], float]]:
    """For each loss, a function from a batch to the number of clips that the loss is a mean over.

    Args:
        model: the network.
        ranks: the processes. A gathered contrast is the same in each of them, over the clips of all.
    """

    def everywhere(modalities: Collection[str], batch: MaskedBatch) -> float:
        return float(ranks.total(torch.tensor(float(batch.with_all(modalities)), device=ranks.device)))

    counts: dict[str, Callable[[MaskedBatch], float]] = {}
    for name in _loss_names(model):
        modalities = MODALITIES if name == 'contrast' else (name,)
        is_shared = name == 'contrast' and _gathers(model)
        counts[name] = partial(everywhere if is_shared else _count, modalities)
    return counts


def _count(modalities: Collection[str], batch: MaskedBatch) -> float:
    return batch.with_all(modalities)


def _gathers(model: Network) -> bool:
    """Whether clips are contrasted with those of all processes."""
    return isinstance(model, HicmaePretraining) and model.every is not None


def _loss_names(model: Network) -> list[str]:
    names = [name for name in MODALITIES if name in model.form.modalities]
    is_contrasted = len(names) == 2 and isinstance(model, HicmaePretraining) and model.contrast_weight
    return [*names, 'contrast'] if is_contrasted else names


def _contrast_of_none(model: Network) -> Tensor | None:
    """The contrast of the clips of the other processes, as computed there; None if they have none either."""
    assert isinstance(model, HicmaePretraining)
    assert model.every is not None
    trained = next(parameter for parameter in model.parameters() if parameter.requires_grad)
    # gradients are averaged once every process has one, and this may be the only loss here
    none = trained.sum() * trained.new_zeros(0, model.form.width)
    pairs = [(model.every(none), model.every(none)) for _ in model.form.kept_layers]
    if not len(pairs[0][0]):
        return None
    terms = [contrast(video, audio) for video, audio in pairs]
    return model.contrast_weight * torch.stack(terms).sum()


class _Counts:
    """Counts missing modalities while losses are computed, for the log."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._since = torch.zeros(len(COUNTS) + 1, dtype=torch.float64)

    def losses(self, model: nn.Module, batch: MaskedBatch) -> dict[str, Tensor | None]:
        """See `masked_losses`."""
        self._since += torch.tensor([getattr(batch, name) for name in (*COUNTS, 'clips')], dtype=torch.float64)
        assert isinstance(model, HicmaePretraining | SvfapPretraining)
        return masked_losses(model, batch)

    def row(self, model: nn.Module) -> Row:
        """Counts over all processes since the last call.

        Raises:
            CorpusError: no clip could be read, for example because the media were removed.
        """
        *total, clips = self._ranks.total(self._since.to(self._ranks.device)).tolist()
        self._since.zero_()
        counts = dict(zip(COUNTS, total, strict=True))
        if counts['unread'] == clips:
            raise CorpusError(
                expected='clips that can be read', came=f'none of the last {clips:,.0f}',
                todo='see that the files are still there, then go on with resume',
            )  # fmt: skip
        return counts


class _Snapshots:
    """Permanent copies of the weights, by epoch."""

    def __init__(
        self, model: Network, folder: Path, ranks: Ranks, settings: PretrainingSettings, per_epoch: float,
        notes: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self._model, self._folder, self._ranks, self._notes, self._per_epoch = model, folder, ranks, notes, per_epoch
        self._every = settings.snapshot_every

    def after(self, step: int) -> None:
        """Write a copy if an epoch that gets one ends with this step."""
        if epoch := self._epoch_of(step):
            self.write(SNAPSHOT.format(epoch), step)

    def make_up(self) -> None:
        """Write the copy that is missing after a kill between checkpoint and copy."""
        last = last_weights(self._folder) if self._ranks.first and self._every else None
        epoch = self._epoch_of(last[1]) if last else 0
        if last and epoch and not (path := self._folder / SNAPSHOT.format(epoch)).exists():
            save_tensors(path, last[0], self._header(last[1]))

    def write(self, name: str, step: int) -> None:
        """Write the current weights; all processes must call this."""
        tensors = {name: whole(value) for name, value in self._model.state_dict().items()}
        if self._ranks.first:
            save_tensors(self._folder / name, tensors, self._header(step))

    def _epoch_of(self, step: int) -> int:
        """The epoch that ends with a step, if it gets a copy; otherwise 0."""
        if self._every is None:
            return 0
        epoch = round(step / self._per_epoch)
        is_end = epoch > 0 and step == int(epoch * self._per_epoch)
        return epoch if is_end and epoch % self._every == 0 else 0

    def _header(self, step: int) -> dict[str, str]:
        return {'notes': json.dumps({**self._notes, 'step': step, 'epoch': round(step / self._per_epoch, 4)})}


def notes_of(form: Form, settings: PretrainingSettings, survey: Survey) -> dict[str, Any]:
    """The notes in a file of weights: family, form, settings and clips."""
    return {**form_notes(form), 'stage': 'pretraining', 'settings': asdict(settings), 'clips': survey.counts()}


def form_notes(form: Form) -> dict[str, Any]:
    """A form as JSON values."""
    return {'family': 'svfap' if isinstance(form, SvfapForm) else 'hicmae', 'form': asdict(form)}


def _engine_settings(settings: PretrainingSettings, ranks: Ranks, steps: int, per_epoch: float) -> EngineSettings:
    precision = settings.precision
    if precision == 'auto':
        precision = 'bfloat16' if has_precision(ranks.device, 'bfloat16') else 'float32'
    return EngineSettings(
        seed=settings.seed, accumulation=settings.accumulation, precision=precision, clip_norm=settings.clip_norm,
        schedule=settings.schedule(steps, per_epoch), log_every=settings.log_every, save_every=settings.save_every,
        keep=settings.keep, device=settings.device,
    )  # fmt: skip


def compile_blocks(model: nn.Module) -> None:
    """Compile each block separately with torch; names of weights stay the same."""
    for module in model.modules():
        if isinstance(module, Block | CrossSelfBlock):
            module.compile()


def _require_bands(form: Form) -> None:
    if isinstance(form, HicmaeForm) and form.bands != BANDS:
        raise ShapeError(
            expected=f'a form of {BANDS} mel bands, as spectrograms have', came=f'{form.bands}', todo='take that many'
        )
