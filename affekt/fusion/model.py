"""The base of all fusion models: features of several modalities in, class logits and values out.

Every model has two forms. `reference` is the published wiring, faults included, for comparisons. `corrected`, the
default, standardises its inputs (`standardise_on`), reads only kept steps, and gives a sample the same output whatever
else is in its batch. Source of the wiring: MERBench, Lian et al. 2024, arXiv:2401.03429.

Axes: B batch, T time, D feature of one modality, H hidden, C classes, V values. An utterance-level feature is (B, D),
its mask (B,); a frame-level one (B, T, D), its mask (B, T). A modality without any kept step is missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError, listed
from affekt.nn import Dropout, NameMap, kept_first, last_kept, linear

Level = Literal['utterance', 'frame']
Form = Literal['reference', 'corrected']
Features = Mapping[str, Tensor]
Losses = dict[str, Tensor]

MODALITIES = ('audio', 'text', 'video')


@dataclass(frozen=True)
class FusionShape:
    """Sizes and options that all fusion models have.

    Args:
        sizes: modality to feature size; models of three modalities take audio, text and video.
        classes: number of categories, 0 for none.
        values: number of continuous values (valence), 0 for none.
        level: `utterance`, one vector per modality; or `frame`, a sequence per modality.
        form: `corrected`, or `reference` for the published wiring.
        hidden: hidden width H.
        dropout: dropout probability.
    """

    sizes: Mapping[str, int]
    classes: int
    values: int = 1
    level: Level = 'utterance'
    form: Form = 'corrected'
    hidden: int = 128
    dropout: float = 0.3

    def __post_init__(self) -> None:
        ordered = {name: self.sizes[name] for name in MODALITIES if name in self.sizes}
        object.__setattr__(self, 'sizes', ordered | dict(self.sizes))  # a fixed order, independent of the caller
        if self.level not in ('utterance', 'frame'):
            raise UnknownNameError(expected='level utterance or frame', came=repr(self.level), todo='choose one')
        if self.form not in ('reference', 'corrected'):
            raise UnknownNameError(expected='form reference or corrected', came=repr(self.form), todo='choose one')
        if not self.sizes or min(self.sizes.values()) < 1 or min(self.classes, self.values) < 0 or self.hidden < 1:
            raise ValueRangeError(
                expected='at least one modality, positive sizes, and classes and values of 0 or more',
                came=f'sizes {dict(self.sizes)}, {self.classes} classes, {self.values} values, hidden {self.hidden}',
                todo='correct the sizes',
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ValueRangeError(expected='dropout in [0, 1)', came=f'{self.dropout}', todo='choose another')

    @property
    def corrected(self) -> bool:
        """Whether the form is the corrected one."""
        return self.form == 'corrected'


@dataclass(frozen=True)
class Fused:
    """Output of a fusion model for a batch.

    Args:
        features: (B, F) representation before the heads.
        logits: (B, C) class logits.
        values: (B, V) continuous values.
        losses: auxiliary losses by name, already weighted; their sum is added to the task's loss.
    """

    features: Tensor
    logits: Tensor
    values: Tensor
    losses: Losses = field(default_factory=dict)

    @property
    def auxiliary(self) -> Tensor:
        """Sum of the auxiliary losses, 0 without any."""
        return torch.stack(list(self.losses.values())).sum() if self.losses else self.features.new_zeros(())

    def __repr__(self) -> str:
        shapes = f'features {tuple(self.features.shape)}, logits {tuple(self.logits.shape)}'
        return f'Fused({shapes}, values {tuple(self.values.shape)}, losses {list(self.losses)})'


class Kept(dict[str, Tensor]):
    """Masks by modality; `whole` names the modalities that are kept completely, which need no masking."""

    whole: frozenset[str] = frozenset()


class FusionModel(nn.Module, ABC):
    """Base of the fusion models: checks and prepares inputs, calls `fuse`, applies the two heads.

    Args:
        shape: sizes and options.
        width: size F of the output of `fuse`.
    """

    needs_modalities: ClassVar[tuple[str, ...] | None] = MODALITIES
    """The modalities that the model requires; None for any."""
    levels: ClassVar[tuple[Level, ...]] = ('utterance', 'frame')
    aligned: ClassVar[bool] = False
    """Whether its modalities must be aligned in time."""
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {'hidden': (64, 128), 'dropout': (0.2, 0.3, 0.4, 0.5)}
    """Search space for benchmarks that have none for this model: its options, `hidden`, `dropout`."""

    def __init__(self, shape: FusionShape, width: int) -> None:
        super().__init__()
        self._check_shape(shape)
        self.shape = shape
        self._scales_inputs = shape.corrected
        self.emotion_head = nn.Linear(width, shape.classes) if shape.classes else None
        self.value_head = nn.Linear(width, shape.values) if shape.values else None
        if shape.corrected:
            self.scales = nn.ModuleDict({name: InputScale(size) for name, size in shape.sizes.items()})

    def _check_shape(self, shape: FusionShape) -> None:
        if self.needs_modalities is not None and set(shape.sizes) != set(self.needs_modalities):
            raise UnknownNameError(
                expected=f'modalities {", ".join(self.needs_modalities)}',
                came=listed(shape.sizes),
                todo='give all three; a missing one is marked in keep_mask',
            )
        if shape.level not in self.levels:
            raise UnknownNameError(
                expected=f'level {" or ".join(self.levels)} for {type(self).__name__}',
                came=repr(shape.level),
                todo='choose another level or model',
            )

    def published_names(self) -> NameMap:
        """Published state names to ours, by prefix."""
        return published_three_encoders(self.shape.level)

    @abstractmethod
    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """(B, F) representation and auxiliary losses, from prepared features and masks."""

    def forward(self, features: Features, keep_mask: Features | None = None) -> Fused:
        """Fuse one batch.

        Args:
            features: modality to (B, D), or (B, T, D) at frame level.
            keep_mask: modality to (B,) bool, or (B, T) bool; modalities that it lacks are kept completely. The
                reference form has no masks: steps that are not kept are set to 0, as a loader would pad them.

        Raises:
            UnknownNameError: the modalities differ from those of the model.
            ShapeError: a feature or a mask has another shape.
        """
        prepared, keep = self._prepared(features, keep_mask or {})
        representation, losses = self.fuse(prepared, keep)
        empty = representation.new_zeros((len(representation), 0))
        return Fused(
            representation,
            self.emotion_head(representation) if self.emotion_head is not None else empty,
            self.value_head(representation) if self.value_head is not None else empty,
            losses,
        )

    def standardise_on(self, features: Features, keep_mask: Features | None = None) -> None:
        """Compute mean and standard deviation of each feature from training data; no effect in the reference form."""
        if not self.shape.corrected:
            return
        for name, keep in self._masks(features, keep_mask or {}).items():
            scale = self.scales[name]
            assert isinstance(scale, InputScale)
            # (N, D) kept rows of all samples and steps
            scale.fit(features[name].flatten(0, -2) if keep.all() else features[name][keep])

    def standardised(self, features: Features) -> Features:
        """The features as scaled by the model, for steps under `without_scaling`."""
        if not self.shape.corrected:
            return features
        return {name: self.scales[name](value) for name, value in features.items()}

    @contextmanager
    def without_scaling(self) -> Iterator[None]:
        """Context in which the model expects features that are already standardised."""
        self._scales_inputs = False
        try:
            yield
        finally:
            self._scales_inputs = self.shape.corrected

    def _prepared(self, features: Features, keep_mask: Features) -> tuple[dict[str, Tensor], Kept]:
        keep = self._masks(features, keep_mask)
        prepared = {name: features[name] for name in self.shape.sizes}
        if self._scales_inputs:
            prepared = {name: self.scales[name](value) for name, value in prepared.items()}
        for name in keep_mask:
            prepared[name] = torch.where(keep[name].unsqueeze(-1), prepared[name], 0.0)  # a mask of (B, 1) or (B, T, 1)
        return prepared, keep

    def _masks(self, features: Features, keep_mask: Features) -> Kept:
        """A mask for each modality, after a check of names and shapes."""
        if set(features) != set(self.shape.sizes) or not set(keep_mask) <= set(features):
            raise UnknownNameError(
                expected=f'features of {listed(self.shape.sizes)} and masks of no other',
                came=f'features of {listed(features)}, masks of {listed(keep_mask) or "none"}',
                todo='give every modality; a missing one is filled with anything and marked in keep_mask',
            )
        axes = 2 if self.shape.level == 'utterance' else 3
        rows = {len(value) for value in features.values()}
        for name, size in self.shape.sizes.items():
            value = features[name]
            if value.ndim != axes or value.shape[-1] != size or len(rows) != 1 or 0 in value.shape:
                raise ShapeError(
                    expected=f'{name} of shape {"(B, T, D)" if axes == 3 else "(B, D)"} with D = {size}, one B for all',
                    came=str(tuple(value.shape)),
                    todo='check the level and the feature size that the model was built with',
                )
            mask = keep_mask.get(name)
            if mask is not None and (mask.dtype != torch.bool or mask.shape != value.shape[:-1]):
                raise ShapeError(
                    expected=f'a boolean mask of shape {tuple(value.shape[:-1])} for {name}',
                    came=f'{mask.dtype} {tuple(mask.shape)}',
                    todo='give True where a step is kept',
                )
        if self.aligned and len({features[name].shape[1] for name in features}) != 1:
            raise ShapeError(
                expected=f'equally many steps in every modality for {type(self).__name__}',
                came=str({name: value.shape[1] for name, value in features.items()}),
                todo='align the modalities to one clock first',
            )
        missing = [name for name in self.shape.sizes if name not in keep_mask]
        whole = {name: features[name].new_ones(features[name].shape[:-1], dtype=torch.bool) for name in missing}
        kept = Kept({name: whole[name] if name in whole else keep_mask[name] for name in self.shape.sizes})
        kept.whole = frozenset(whole)
        return kept


class InputScale(nn.Module):
    """Features minus their mean, divided by their standard deviation over the training data; identity before `fit`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(size))
        self.register_buffer('deviation', torch.ones(size))

    def fit(self, rows: Tensor) -> None:
        """Compute mean and standard deviation over (N, D) rows; a constant feature keeps deviation 1."""
        if len(rows) == 0:
            return
        pieces = rows.split(max(2**18 // rows.shape[1], 1))  # summed in double precision, in pieces that fit the cache
        mean = torch.stack([piece.double().sum(dim=0) for piece in pieces]).sum(dim=0) / len(rows)  # (D,)
        squares = torch.stack([(piece - mean).square_().sum(dim=0) for piece in pieces]).sum(dim=0)  # (D,)
        deviation = (squares / len(rows)).sqrt()
        varies = deviation > 1e-6 * mean.abs().clamp(min=1e-6)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(varies, deviation, 1.0))

    def forward(self, features: Tensor) -> Tensor:
        """The (…, D) standardised features."""
        return (features - self.mean).div_(self.deviation)


class PerceptronEncoder(nn.Module):
    """(B, D) to (B, H): dropout on the input, then three linear layers with ReLU.

    Args:
        size: D.
        hidden: H.
        dropout: dropout probability of the inputs.
    """

    def __init__(self, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList([nn.Linear(size, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)])

    def forward(self, features: Tensor, keep: Tensor | None = None) -> Tensor:
        """The (B, H) code; the mask has no effect here."""
        code = torch.relu(linear(self.dropout(features), self.layers[0]))
        for layer in self.layers[1:]:
            code = torch.relu(layer(code))
        return code


class RecurrentEncoder(nn.Module):
    """(B, T, D) to (B, H): the last state of an LSTM, dropout, one linear layer.

    With a mask, the last state is that of the last kept step: other steps have no effect.

    Args:
        size: D.
        hidden: H.
        dropout: dropout probability of the last state.
    """

    def __init__(self, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.recurrence = nn.LSTM(size, hidden, batch_first=True)
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(hidden, hidden)

    def forward(self, sequence: Tensor, keep: Tensor | None = None) -> Tensor:
        """The (B, H) code."""
        if keep is None:
            last = self.recurrence(sequence)[1][0][-1]  # (B, H): the state of the only layer, (1, B, H)
        else:
            sequence, keep = kept_first(sequence, keep)
            last = last_kept(self.recurrence(sequence)[0], keep)  # (B, T, H), then (B, H)
        code: Tensor = self.linear(self.dropout(last))
        return code


class ModalityEncoders(nn.Module):
    """One encoder per modality; in the corrected form a missing modality becomes a learned vector."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        encoder_class = PerceptronEncoder if shape.level == 'utterance' else RecurrentEncoder
        self.encoders = nn.ModuleDict(
            {name: encoder_class(size, shape.hidden, shape.dropout) for name, size in shape.sizes.items()}
        )
        self.absent = (
            nn.ParameterDict({name: nn.Parameter(torch.zeros(shape.hidden)) for name in shape.sizes})
            if shape.corrected
            else None
        )

    def forward(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> dict[str, Tensor]:
        """(B, H) code of each modality."""
        if self.absent is None:
            return {name: encoder(features[name]) for name, encoder in self.encoders.items()}
        whole = keep.whole if isinstance(keep, Kept) else frozenset()
        codes = {}
        for name, encoder in self.encoders.items():
            if name in whole:
                codes[name] = encoder(features[name])
                continue
            is_present = presence({name: keep[name]})[name].unsqueeze(-1)  # (B, 1)
            codes[name] = torch.where(is_present, encoder(features[name], keep[name]), self.absent[name])
        return codes


def presence(keep: dict[str, Tensor]) -> dict[str, Tensor]:
    """Modality to (B,) bool, True where at least one step is kept."""
    return {name: mask if mask.ndim == 1 else mask.any(dim=1) for name, mask in keep.items()}


def published_heads() -> dict[str, str | None]:
    """Map of the names of the two heads, the same in every published model."""
    return {'fc_out_1': 'emotion_head', 'fc_out_2': 'value_head'}


def published_encoders(theirs: str, ours: str) -> dict[str, str | None]:
    """Map of the names of one published encoder, perceptron or recurrent."""
    layers: dict[str, str | None] = {f'{theirs}.linear_{i + 1}': f'{ours}.layers.{i}' for i in range(3)}
    return layers | {f'{theirs}.rnn': f'{ours}.recurrence'}


def published_three_encoders(level: Level) -> dict[str, str | None]:
    """Map of the names of the encoders of audio, text and video, and of the two heads."""
    names = published_heads()
    for modality in MODALITIES:
        ours = f'encoders.encoders.{modality}'
        names |= published_encoders(f'{modality}_encoder', ours)
        if level == 'frame':
            names[f'{modality}_encoder.linear_1'] = f'{ours}.linear'
    return names
