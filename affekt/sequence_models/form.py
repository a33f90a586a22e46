"""The interface of all frame models: from features of several modalities on one clock to an output per frame.

Every model has two forms. `reference` is the published wiring: it has no masks, masked inputs are set to 0. In
`corrected`, the default, inputs are standardised (`standardise_on`), and a masked frame does not change the output of
any other frame. Our own models have only the corrected form.

Axes: B batch of windows, T frames, D feature of one modality, F representation of a frame, C classes, V values,
U action units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, listed
from affekt.fusion import MODALITIES, Form, InputScale, Losses
from affekt.nn import NameMap

Features = Mapping[str, Tensor]
KeepMask = Tensor | Mapping[str, Tensor] | None
"""(B, T) bool for all modalities, or one for each by name (others are kept); None keeps all."""


@dataclass(frozen=True)
class SequenceShape:
    """The sizes that every frame model needs.

    Args:
        sizes: modality to feature size; any number of modalities, with any names.
        classes: number of expressions, 0 for none.
        values: number of continuous values (valence and arousal: 2), 0 for none.
        units: number of action units, 0 for none.
        hidden: width H.
        dropout: dropout probability.
        form: corrected, or reference for the published wiring.
    """

    sizes: Mapping[str, int]
    classes: int = 0
    values: int = 0
    units: int = 0
    hidden: int = 64
    dropout: float = 0.4
    form: Form = 'corrected'

    def __post_init__(self) -> None:
        ordered = {name: self.sizes[name] for name in MODALITIES if name in self.sizes}
        object.__setattr__(self, 'sizes', ordered | dict(self.sizes))  # a fixed order, independent of the caller
        if self.form not in ('reference', 'corrected'):
            raise UnknownNameError(expected='form reference or corrected', came=repr(self.form), todo='choose one')
        tasks = (self.classes, self.values, self.units)
        if not self.sizes or min(self.sizes.values()) < 1 or min(tasks) < 0 or sum(tasks) < 1 or self.hidden < 1:
            raise ValueRangeError(
                expected='at least one modality, positive sizes, and a class, value or action unit to answer',
                came=f'sizes {dict(self.sizes)}, {self.classes} classes, {self.values} values, {self.units} units, '
                f'hidden {self.hidden}',
                todo='correct the sizes',
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueRangeError(expected='dropout in [0, 1)', came=f'{self.dropout}', todo='choose another')
        containers = nn.ModuleDict(), nn.ParameterDict()
        invalid = [
            name
            for name in self.sizes
            if not name or '.' in name or any(hasattr(container, name) for container in containers)
        ]
        if invalid:
            raise UnknownNameError(
                expected='names of modalities without a dot, and none that torch has for itself',
                came=listed(invalid),
                todo='rename them',
            )

    @property
    def corrected(self) -> bool:
        """Whether the form is the corrected one."""
        return self.form == 'corrected'


class FrameAnswers(NamedTuple):
    """Predictions of a model for every frame; the last axis is empty if a task is absent."""

    logits: Tensor
    """(B, T, C) logits of the expressions, before any softmax."""
    values: Tensor
    """(B, T, V) continuous values, not clipped to any range."""
    units: Tensor
    """(B, T, U) logits of the action units, before any sigmoid."""
    losses: Mapping[str, Tensor] = MappingProxyType({})
    """Auxiliary losses by name, already weighted; most models have none."""

    def __repr__(self) -> str:
        shapes = f'logits {tuple(self.logits.shape)}, values {tuple(self.values.shape)}'
        return f'FrameAnswers({shapes}, units {tuple(self.units.shape)}, losses {list(self.losses)})'


@dataclass(frozen=True)
class Kept:
    """The frames of a batch that are kept.

    Args:
        frames: (B, T) bool: the frame is kept in at least one modality.
        of: modality to its (B, T) bool.
        whole: every frame of every modality is kept, so that no masking is needed.
    """

    frames: Tensor
    of: Mapping[str, Tensor]
    whole: bool


class SequenceModel(nn.Module, ABC):
    """Base of the models: checks and prepares inputs, calls `read`, applies a head for each task.

    Args:
        shape: the common sizes.
        width: size F of what `read` returns.
    """

    forms: ClassVar[tuple[Form, ...]] = ('reference', 'corrected')
    """Forms that the model has."""
    fewest_modalities: ClassVar[int] = 1
    """Minimum number of modalities."""

    def __init__(self, shape: SequenceShape, width: int) -> None:
        super().__init__()
        if shape.form not in self.forms or len(shape.sizes) < self.fewest_modalities:
            raise ValueRangeError(
                expected=f'form {" or ".join(self.forms)} and at least {self.fewest_modalities} modalities for '
                f'{type(self).__name__}',
                came=f'form {shape.form}, modalities {listed(shape.sizes)}',
                todo='choose another form or model',
            )
        self.shape = shape
        self.expression_head = nn.Linear(width, shape.classes) if shape.classes else None
        self.value_head = nn.Linear(width, shape.values) if shape.values else None
        self.unit_head = nn.Linear(width, shape.units) if shape.units else None
        if shape.corrected:
            self.scales = nn.ModuleDict({name: InputScale(size) for name, size in shape.sizes.items()})

    @abstractmethod
    def read(self, features: dict[str, Tensor], kept: Kept) -> tuple[Tensor, Losses]:
        """The (B, T, F) representation and auxiliary losses, from prepared features."""

    def published_names(self) -> NameMap:
        """Published state names to ours, by prefix; empty for our own models."""
        return {}

    def forward(self, features: Features, keep_mask: KeepMask = None) -> FrameAnswers:
        """Predict every frame of a batch of windows.

        Args:
            features: modality to (B, T, D); masked entries may have any values, nan included.
            keep_mask: see `KeepMask`. The prediction for a masked frame is inferred from its neighbours, and less
                reliable.

        Raises:
            UnknownNameError: the modalities differ from those of the model.
            ShapeError: a feature or a mask has another shape.
        """
        kept = self._kept(features, keep_mask)
        prepared = {name: features[name] for name in self.shape.sizes}
        if self.shape.corrected:
            prepared = {name: self.scales[name](value) for name, value in prepared.items()}
        if not kept.whole:
            prepared = {
                name: torch.where(kept.of[name].unsqueeze(2), value, 0.0)  # the mask as (B, T, 1)
                for name, value in prepared.items()
            }
        representation, losses = self.read(prepared, kept)
        empty = representation.new_zeros((*representation.shape[:2], 0))
        heads = (self.expression_head, self.value_head, self.unit_head)
        logits, values, units = (empty if head is None else head(representation) for head in heads)
        return FrameAnswers(logits, values, units, losses)

    def standardise_on(self, features: Features, keep_mask: KeepMask = None) -> None:
        """Compute mean and standard deviation of each feature from training data; no effect in the reference form.

        Args:
            features: modality to (B, T, D) windows, or (N, D) frames with masks of (N,).
            keep_mask: see `KeepMask`; only kept frames count.
        """
        if not self.shape.corrected:
            return
        for name in self.shape.sizes:
            scale, value = self.scales[name], features[name]
            assert isinstance(scale, InputScale)
            keep = keep_mask.get(name) if isinstance(keep_mask, Mapping) else keep_mask
            scale.fit(value.flatten(0, -2) if keep is None else value[keep])  # (N, D) kept frames

    def _kept(self, features: Features, keep_mask: KeepMask) -> Kept:
        """The masks, after a check of names and shapes."""
        named_masks = keep_mask if isinstance(keep_mask, Mapping) else {}
        if set(features) != set(self.shape.sizes) or not set(named_masks) <= set(features):
            raise UnknownNameError(
                expected=f'features of {listed(self.shape.sizes)} and masks of no other',
                came=f'features of {listed(features)}, masks of {listed(named_masks) or "none"}',
                todo='give every modality; a missing one is filled with anything and marked in keep_mask',
            )
        windows = next(iter(features.values())).shape[:2]
        for name, size in self.shape.sizes.items():
            value = features[name]
            if value.ndim != 3 or value.shape != (*windows, size) or 0 in value.shape:
                raise ShapeError(
                    expected=f'{name} of shape (B, T, D) with D = {size}, B and T the same for all modalities',
                    came=listed(f'{of} {tuple(each.shape)}' for of, each in features.items()),
                    todo='bring all features to the clock of the frames first',
                )
        masks = dict.fromkeys(self.shape.sizes, keep_mask) if isinstance(keep_mask, Tensor) else dict(named_masks)
        for name, mask in masks.items():
            if mask.dtype != torch.bool or mask.shape != windows:
                raise ShapeError(
                    expected=f'a boolean mask of shape {tuple(windows)} for {name}',
                    came=f'{mask.dtype} {tuple(mask.shape)}',
                    todo='give True where a frame is kept',
                )
        all_kept = next(iter(features.values())).new_ones(windows, dtype=torch.bool)
        of = {name: masks.get(name, all_kept) for name in self.shape.sizes}
        if isinstance(keep_mask, Tensor):
            return Kept(keep_mask, of, bool(keep_mask.all()))
        is_kept = torch.stack(list(of.values())).any(dim=0)  # (M, B, T) of M modalities, then (B, T)
        return Kept(is_kept, of, all(bool(mask.all()) for mask in masks.values()))


def published_reader(theirs: str, ours: str = 'reader') -> dict[str, str | None]:
    """Map of the names of a published bidirectional recurrence, one module there and two here."""
    names: dict[str, str | None] = {}
    for part in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'):
        names[f'{theirs}.{part}_l0'] = f'{ours}.onward.{part}_l0'
        names[f'{theirs}.{part}_l0_reverse'] = f'{ours}.backward.{part}_l0'
    return names
