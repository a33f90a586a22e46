"""Optimisation steps over any batches: the basis of all training here, from a head on features to a pretrained encoder.

The input is a model, an optimiser and a function from a batch to named losses; `Engine.run` takes a number of steps, or
one for each batch. It saves checkpoints, resumes after a kill at any moment with the same results, and writes a log and
a page of curves. `Engine.steps` is the bare loop, for callers that save their own checkpoints.

    engine = Engine(model, AdamW(layered_groups(model, model.blocks, learning_rate=1e-4)), losses, settings)
    engine.run(LoadedBatches(order, loader), steps=100_000, folder=Path('runs/pretraining'), resume=True)

Under torchrun or `accelerate launch` all processes train one model; see `parallel.py`. L losses, K steps.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from affekt.errors import TrainingError, ValueRangeError, listed
from affekt.progress import Progress
from affekt.runs import Run
from affekt.training.averages import WeightAverage
from affekt.training.checkpoints import (
    below,
    changing,
    counts_of,
    described,
    fitting,
    kept_steps,
    last_step,
    moments_of,
    random_states,
    random_states_kept,
    restore_moments,
    restore_random_states,
    save_step,
    seed_all,
    spread_like,
    whole,
)
from affekt.training.clipping import clip_gradients
from affekt.training.curves import LOG_FILE, ScalarLog, write_curves
from affekt.training.objective import Losses, Objective, trained_parameters
from affekt.training.order import IndexBatches, LoadedBatches
from affekt.training.parallel import Ranks
from affekt.training.precision import Precision, usable_precision
from affekt.training.samples import epoch_seed
from affekt.training.settings import EngineSettings

Row = dict[str, float]
CURVES_FILE = 'curves.html'
"""File of the page of curves in a run's folder."""
STEADIER = 'lower the learning rate, clip gradients or lengthen the warm-up, in a new folder'
"""Advice if numbers are not finite."""


@dataclass(frozen=True)
class Step:
    """One optimisation step.

    Args:
        number: number of the step, counted from 1.
        names: names of the L losses.
        losses: (L,) their means over this process's batches, times the weight of these among all processes.
        shares: (2, L) share, among all processes, of this process's batches with each loss, and of those without it.
        weight: weight of the step in a mean over steps.
        norm: norm of the gradient before clipping; None if it was not measured.
    """

    number: int
    names: tuple[str, ...]
    losses: Tensor
    shares: Tensor
    weight: float
    norm: Tensor | None


class _Group(NamedTuple):
    """The batches of a step, the share of each among all processes, and their total weight."""

    batches: list[Any]
    shares: list[float]
    loss_shares: dict[str, list[float]]
    """The same in the mean of a loss with weights of its own."""
    weight: float

    def shares_of(self, index: int, names: Sequence[str]) -> list[float]:
        """The share of a batch in the mean of each loss."""
        return [self.loss_shares.get(name, self.shares)[index] for name in names]


class Engine:
    """Optimises one model.

    Args:
        model: the model, changed in place and moved to the device.
        optimiser: optimiser of its parameters.
        losses: maps the model and a batch to losses by name, the same names at each step: each a mean over the batch,
            or None if there is nothing in it to compute it from. Their sum is minimised.
        settings: everything else that results depend on.
        weigh: weight of a batch within a step, such as its number of samples, or of tokens if a loss is a mean over
            these; None for equal weights.
        weigh_losses: name of a loss to its own weight of a batch, such as the number of samples with a known truth,
            if it is a mean over these. Then several batches, of one process or more, give that of all their samples.
        ranks: rank of this process; None to join the others if there are any.

    Raises:
        TrainingError: every weight of the model is frozen, or another process does not join.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        losses: Losses,
        settings: EngineSettings,
        *,
        weigh: Callable[[Any], float] | None = None,
        weigh_losses: Mapping[str, Callable[[Any], float]] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks(settings.device)
        self.settings, self.device = settings, torch.device(self.ranks.device)
        self.model = model.to(self.device)
        trained_parameters(model)
        self.number = 0
        self._weigh, self._weigh_losses = weigh, dict(weigh_losses or {})
        self._objective = Objective(model, losses, usable_precision(self.device, settings.precision), self.device)
        self._joined, self.optimiser = self.ranks.joined(self._objective, optimiser)
        self._parameters = list(self._joined.parameters())
        self._rates = [group['lr'] for group in self.optimiser.param_groups]
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._objective.precision == 'float16')
        self.average = WeightAverage(model, settings.average_decay) if settings.average_decay else None

    @property
    def precision(self) -> Precision:
        """Precision of matrix products: the requested one if the device supports it."""
        return self._objective.precision

    def steps(self, batches: Iterable[Any]) -> Iterator[Step]:
        """One step for every `accumulation` batches, and one for the remaining ones.

        Draws from the caller's global random generators.

        Args:
            batches: batches of this process; tensors, also in containers, are moved to the device.

        Raises:
            TrainingError: other processes have more or fewer batches, or a process died.
        """
        self.model.train()
        iterator, is_even = iter(batches), _is_even(batches)
        while (group := self._group(iterator, is_even)).batches:
            yield self._step(group)

    def run(
        self,
        batches: Iterable[Any],
        *,
        steps: int,
        folder: Path | None = None,
        resume: bool = False,
        depends_on: Mapping[str, Any] | None = None,
        report: Callable[[Row], None] | None = None,
        progress: Progress | None = None,
        evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
        is_over: Callable[[Sequence[Row]], bool] | None = None,
    ) -> list[Row]:
        """Take steps until there are `steps` of them, no batch is left, or `is_over` returns true.

        Args:
            batches: batches, finite or endless. A resumed run continues them by `starting_at(number)` (as
                `IndexBatches` has it), or by `load_state_dict` of what `state_dict` returned, or else iterates over
                the earlier ones, whose order must not depend on random draws during training.
            steps: maximum number of steps, those before a kill included.
            folder: folder for checkpoints, the log and its page; None to write nothing.
            resume: continue in the folder of a killed run, or start if there is none; results equal those of an
                uninterrupted run.
            depends_on: everything else that results depend on, such as the model's sizes and the data; saved with the
                settings and those of the optimiser.
            report: called with each row of the log.
            progress: called in every process with `train`, steps done and total steps; `affekt.terminal.StageBars`
                shows the time left.
            evaluate: returns what to add to a row, from the model with averaged weights if there are any.
            is_over: called with the rows so far, after each row and on resuming; its result must depend on them alone.

        Returns:
            The rows of the log: `step`, the losses of `mean_losses` since the previous row, `learning_rate` of the
            first group, and `gradient_norm` if gradients are clipped.

        Raises:
            RunError: the folder holds another run, or one of other settings or another number of processes.
            StorageError: the folder cannot be written, as on a full disk; what was written before stays.
            TrainingError: a loss or a weight is not finite, losses are not numbers with the same names at each step, or
                another process died or has more or fewer batches. Earlier checkpoints stay.
        """
        saved = asdict(self.settings) | {
            'steps': steps, 'processes': self.ranks.count, 'optimiser': described(self.optimiser, self._rates),
            'depends_on': dict(depends_on or {}),
        }  # fmt: skip
        with (
            random_states_kept(self.device),
            run_folder(folder, saved, resume, self.ranks, kept=kept_steps) as run_path,
        ):
            # 1. Start or resume.
            seed_all(epoch_seed(self.settings.seed, 0, 1 + self.ranks.rank))
            start = last_step(run_path) if run_path and resume else None
            log = ScalarLog(run_path / LOG_FILE if run_path and self.ranks.first else None)
            batches_taken, iterator = self._begin(batches, start)
            log.cut(self.number)
            # 2. Take steps and log rows.
            latest: list[Step] = []
            self.model.train()
            is_even, is_ended = _is_even(batches), self._agreed(is_over, log)
            while not is_ended and self.number < steps and (group := self._group(iterator, is_even)).batches:
                latest.append(self._step(group))
                batches_taken += len(group.batches)
                if self.number % self.settings.log_every == 0 or self.number == steps:
                    self._row(latest, log, report, evaluate, steps)
                    latest, is_ended = [], self._agreed(is_over, log)
                # 3. Save before the next step.
                if run_path and self.settings.save_every and self.number % self.settings.save_every == 0:
                    self._save(run_path, batches, batches_taken, log)
                if progress:
                    progress('train', self.number, steps)
            if latest:
                self._row(latest, log, report, evaluate, steps)
            if run_path:
                self._save(run_path, batches, batches_taken, log)
        return log.rows

    def _agreed(self, is_over: Callable[[Sequence[Row]], bool] | None, log: ScalarLog) -> bool:
        """Whether the run ends here, as decided by the first process, which has the log."""
        return is_over is not None and bool(self.ranks.agreed(float(self.ranks.first and is_over(log.rows))))

    def mean_losses(self, steps: Sequence[Step]) -> Row:
        """The mean of each loss over steps and processes, and `loss`, the mean of their sum, which is minimised.

        The mean of a loss is over the batches that have it, by their weights; nan if none has it. To the sum, a batch
        without a loss adds 0.
        """
        weights = torch.tensor([step.weight for step in steps], dtype=torch.float64)
        weights /= sum(step.weight for step in steps)
        numbers = [torch.cat([step.losses.unsqueeze(0), step.shares.to(step.losses)]) for step in steps]
        totals = self.ranks.total(torch.stack(numbers)).double().cpu()  # (K, 3, L)
        minimised, present, absent = (totals * weights[:, None, None]).sum(dim=0)  # (L,) each
        means = minimised / torch.where(absent > 0, present, 1.0)  # 0 / 0 = nan
        return dict(zip([*steps[0].names, 'loss'], [*means.tolist(), minimised.sum().item()], strict=True))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Model, optimiser and mean of weights for a checkpoint; all processes must call it."""
        tensors = {f'model.{name}': value for name, value in changing(self.model).items()} | moments_of(self.optimiser)
        notes: dict[str, Any] = {'step': self.number, 'scaler': self._scaler.state_dict()}
        notes['optimiser'] = counts_of(self.optimiser)
        if self.average:
            tensors |= {f'average.{name}': value for name, value in self.average.tensors.items()}
            notes['average_steps'] = self.average.steps
        return {name: whole(value) for name, value in tensors.items()}, notes

    def restore(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
        """Restore a `state`; from an older checkpoint, model and optimiser only.

        Raises:
            TrainingError: the state is from another model or optimiser.
        """
        current, trained = self.model.state_dict(), changing(self.model)
        frozen = {name: value for name, value in current.items() if name not in trained}
        loaded = below(tensors, 'model.')
        # names of older versions are handled by the model itself
        loaded = {
            name: spread_like(value, current[name]) if name in current else value for name, value in loaded.items()
        }
        with fitting('model'):
            self.model.load_state_dict(frozen | loaded)
        with fitting('optimiser'):
            restore_moments(self.optimiser, tensors, notes.get('optimiser', {}))
            self.number = int(notes.get('step', 0))
            if notes.get('scaler'):
                self._scaler.load_state_dict(notes['scaler'])
        if self.average:
            with fitting('mean of weights'):
                self.average.steps = int(notes['average_steps'])
                averages = below(tensors, 'average.')
                for name, value in self.average.tensors.items():
                    value.copy_(spread_like(averages[name], value))

    def _group(self, iterator: Iterator[Any], is_even: bool) -> _Group:
        """The batches of the next step, equally many in every process; none at the end.

        If their number and weights are known to be equal, processes do not wait for each other here.
        """
        batches = list(islice(iterator, self.settings.accumulation))
        weighs = (self._weigh or _equally, *self._weigh_losses.values())
        weights = [[float(weigh(batch)) for batch in batches] for weigh in weighs]
        totals = [sum(of_batches) for of_batches in weights]
        if is_even and self._weigh is None and not self._weigh_losses:
            totals = [totals[0] * self.ranks.count]
        elif self.ranks.count > 1:
            numbers = [*totals, len(batches), len(batches) ** 2]
            sums = self.ranks.total(torch.tensor(numbers, dtype=torch.float64, device=self.device)).tolist()
            *totals, batch_count, squares = sums
            # Cauchy-Schwarz: unequal if and only if counts differ, which all processes see
            if self.ranks.count * squares != batch_count**2:
                raise TrainingError(
                    expected='as many batches in every process',
                    came=f'{len(batches)} for step {self.number + 1} in rank {self.ranks.rank}, '
                    f'{batch_count:.0f} in all {self.ranks.count}',
                    todo='leave out the rest, as IndexBatches does, or repeat some',
                )
        total = totals[0]
        if batches and not total > 0:
            raise ValueRangeError(expected='batches that count', came=f'a step of weight {total}', todo='leave it out')
        shares = [weight / total for weight in weights[0]]
        loss_shares = {
            # a loss that no batch has gets the common shares, so that it counts as absent
            name: [weight / loss_total for weight in loss_weights] if loss_total > 0 else shares
            for name, loss_weights, loss_total in zip(self._weigh_losses, weights[1:], totals[1:], strict=True)
        }
        return _Group(batches, shares, loss_shares, total)

    def _step(self, group: _Group) -> Step:
        """One update from the batches of a group."""
        for parameter in self._parameters:
            parameter.grad = None
        if self.settings.schedule:
            factor = self.settings.schedule.share(self.number + 1)
            for parameters, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
                parameters['lr'] = rate * factor
        total: Tensor | None = None
        presence = torch.zeros(())
        for index, batch in enumerate(group.batches):
            with self.ranks.stepping(self._joined, is_last=index + 1 == len(group.batches)):
                losses: Tensor = self._joined(on_device(batch, self.device))  # (L,)
                shares = torch.tensor(group.shares_of(index, self._objective.names))  # (L,)
                # gradients are averaged over processes, so multiply by their number
                loss = _times(losses, shares * self.ranks.count).sum()
                (self._scaler.scale(loss) if self._scaler.is_enabled() else loss).backward()
            weighted = _times(losses.detach(), shares)
            total = weighted if total is None else total + weighted
            presence = presence + shares * self._objective.presence  # (2, L)
        assert total is not None
        norm = self._update()
        self.number += 1
        if self.average:
            self.average.follow(self.model)
        return Step(self.number, self._objective.names, total, presence, group.weight, norm)

    def _update(self) -> Tensor | None:
        if not self._scaler.is_enabled():
            norm = clip_gradients(self._parameters, self.settings.clip_norm, self.settings.clip_value)
            self.optimiser.step()
            return norm
        self._scaler.unscale_(self.optimiser)
        norm = clip_gradients(self._parameters, self.settings.clip_norm, self.settings.clip_value)
        self._scaler.step(self.optimiser)
        self._scaler.update()
        return norm

    def _begin(
        self, batches: Iterable[Any], start: tuple[dict[str, Tensor], dict[str, Any]] | None
    ) -> tuple[int, Iterator[Any]]:
        """The batches taken so far, and an iterator over those that follow. Generators are set last: loaders draw."""
        steps = self.ranks.gathered(None if start is None else start[1].get('step'))
        if len(set(steps)) > 1:
            raise TrainingError(
                expected='one checkpoint for all processes',
                came=f'those of steps {steps}',
                todo='put the folder where all processes read the same files',
            )
        if start is None:
            return 0, iter(batches)
        tensors, notes = start
        self.restore(tensors, notes)
        rank = self.ranks.rank
        with fitting('run'):
            batches_taken, loader_state, states = int(notes['batches']), notes['places'][rank], notes['random'][rank]
        if hasattr(batches, 'starting_at'):
            iterator = iter(batches.starting_at(batches_taken))
        elif hasattr(batches, 'load_state_dict'):
            batches.load_state_dict(loader_state)
            iterator = iter(batches)
        else:
            iterator = iter(batches)
            next(islice(iterator, batches_taken, batches_taken), None)
        with fitting('run'):
            restore_random_states(self.device, below(tensors, f'random.{rank}.'), states)
        return batches_taken, iterator

    def _row(
        self,
        steps: Sequence[Step],
        log: ScalarLog,
        report: Callable[[Row], None] | None,
        evaluate: Callable[[nn.Module], Mapping[str, float]] | None,
        steps_in_all: int,
    ) -> None:
        row = {'step': float(self.number), **self.mean_losses(steps)}
        row['learning_rate'] = float(self.optimiser.param_groups[0]['lr'])
        norm = steps[-1].norm
        if norm is not None:
            row['gradient_norm'] = float(norm)
        if evaluate and (self.number == steps_in_all or self.number % (self.settings.evaluate_every or 1) == 0):
            applied = self.average.applied(self.model) if self.average else contextlib.nullcontext()
            with applied, self.ranks.put_together(self._joined), torch.no_grad():
                self.model.eval()
                row |= evaluate(self.model)
            self.model.train()
        log.add(row)
        if not math.isfinite(row['loss']):
            raise TrainingError(
                expected='finite losses',
                came=f'{row["loss"]} up to step {self.number}',
                todo=STEADIER,
            )
        if report and self.ranks.first:
            report(row)

    def _save(self, folder: Path, batches: Any, batches_taken: int, log: ScalarLog) -> None:
        tensors, notes = self.state()
        trained = [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        broken = [name for name in trained if not bool(tensors[f'model.{name}'].isfinite().all())]
        if broken:
            raise TrainingError(expected='finite weights', came=f'others in {listed(broken)}', todo=STEADIER)
        generator_tensors, generator_notes = random_states(self.device)
        loader_state = batches.state_dict() if hasattr(batches, 'state_dict') else None
        all_ranks = self.ranks.gathered((generator_tensors, generator_notes, loader_state))
        for rank, (rank_tensors, _, _) in enumerate(all_ranks):
            tensors |= {f'random.{rank}.{name}': value for name, value in rank_tensors.items()}
        notes |= {
            'batches': batches_taken,
            'random': [rank_notes for _, rank_notes, _ in all_ranks],
            'places': [rank_loader for _, _, rank_loader in all_ranks],
        }
        if self.ranks.first:
            write_curves(log.rows, folder / CURVES_FILE, title=folder.name)
            save_step(folder, self.number, tensors, notes, self.settings.keep)  # last: it says that a step is done
        self.ranks.wait()


def _equally(batch: Any) -> float:
    """The weight of any batch."""
    return 1.0


def _times(losses: Tensor, factors: Tensor) -> Tensor:
    """(L,) losses times (L,) factors, which are on the CPU; themselves if all factors are 1."""
    return losses if bool((factors == 1.0).all()) else losses * factors.to(losses)


def _is_even(batches: Iterable[Any]) -> bool:
    """Whether every process has equally many batches by construction."""
    return isinstance(batches, IndexBatches | LoadedBatches)


def on_device(batch: Any, device: torch.device) -> Any:
    """A batch with all its tensors on the device: in tuples, lists and mappings, or in objects with a `to` method."""
    if hasattr(batch, 'to'):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: on_device(part, device) for name, part in batch.items()}
    if isinstance(batch, list | tuple):
        parts = [on_device(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, '_fields') else type(batch)(parts)
    return batch


@contextlib.contextmanager
def run_folder(
    folder: Path | None,
    saved: Mapping[str, Any],
    resume: bool,
    ranks: Ranks,
    renamed: Mapping[str, str] | None = None,
    kept: Callable[[Path], str] | None = None,
) -> Iterator[Path | None]:
    """A run's folder, written by the first rank only; the others read its checkpoint.

    Args:
        folder: None for none.
        saved: settings, which must be the same on resuming.
        resume: continue in it.
        ranks: the processes, which wait until it exists.
        renamed: old to new names of settings.
        kept: function from the folder to a sentence on what an interrupted run leaves there; None for finished results.
    """
    with contextlib.ExitStack() as stack:
        if folder and ranks.first:
            run = stack.enter_context(Run(folder, saved, resume=resume, renamed=renamed or {}))
            if kept is not None:
                run.kept = partial(kept, folder)
        ranks.wait()
        yield folder
