"""What every encoder offers, whichever library runs its network: samples to rows, rows to states, samples to features.

`prepare` and `forward` are the two halves that training needs: rows of one modality, and states that know how they came
about. `encode` reads whole samples with a frozen network, as the published program does or without what distorts it.

Axes: B batch, T rows (word pieces, samples of sound, pictures), R numbers a row, S states, D their size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats, Floats32
from affekt.errors import UnknownNameError, listed

if TYPE_CHECKING:
    from affekt.clips import ClipSettings

Layers = Literal['last', 'last_four']
LAYERS = ('last', 'last_four')
"""Which layers are read: the last one, or the sum of the last four, as MERBench reads them."""
Modality = Literal['text', 'audio', 'video']


@dataclass(frozen=True)
class Pictures:
    """Pictures of one sample in order of time."""

    images: Sequence[npt.NDArray[np.uint8]] = field(repr=False)
    """T of (H, W, 3), RGB; an array on disk is read as it is asked for."""
    times: Floats | None
    """(T,) seconds; None where nobody knows."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Encoded:
    """What a frozen encoder makes of one sample."""

    rows: Floats32
    """(S, D)"""
    times: Floats | None = None
    """(S,) seconds, the middle of each row; None where nobody knows."""
    lacking: str = ''
    """What of the sample was not there, so that its numbers are 0, and why; '' where all was."""


class Encoder(Protocol):
    """A pretrained network with what prepares its input.

    A sample is a text, the (samples,) sound of one channel at 16 kHz, or pictures: a sequence of (H, W, 3) RGB bytes
    for `prepare`, `Pictures` for `encode`. One with an attribute `clips`, which are `ClipSettings` and not None, reads
    an `affekt.clips.Clip`, pictures and sound together. Networks of torch take and give tensors, those in ONNX files
    arrays.
    """

    modality: Modality
    """What a sample must have; of an encoder of clips that reads both, video."""
    size: int
    """D"""
    rate_hz: float | None
    """States per second; None where a state has no duration: word pieces, pictures."""

    def prepare(self, sample: Any) -> npt.NDArray[Any]:
        """(T, …) rows of one sample, T at least 1."""

    def forward(self, rows: Any, keep_mask: Any) -> tuple[Any, Any]:
        """The states of a batch.

        Args:
            rows: (B, T, …) of `prepare`, filled up behind.
            keep_mask: (B, T) bool, True where a row is real.

        Returns:
            (B, S, D) states, and (B, S) bool, True where a state counts.
        """

    def encode(self, samples: Sequence[Any], *, is_published: bool = False) -> list[Encoded | str]:
        """Features of whole samples, or in words why one has none.

        Args:
            samples: to be read, each to its end.
            is_published: as the published program does it, mistakes included.
        """


def clips_of(encoder: Encoder) -> ClipSettings | None:
    """How clips are made for an encoder that reads clips; None for one that reads texts, sounds or pictures."""
    settings: ClipSettings | None = getattr(encoder, 'clips', None)
    return settings


def encoded_each(samples: Sequence[Any], encode: Callable[[Any], Encoded]) -> list[Encoded | str]:
    """What a network makes of each sound or sequence of pictures; one that holds nothing has no features."""
    return [encode(sample) if len(sample) else 'nothing to read' for sample in samples]


@dataclass(frozen=True)
class EncoderSettings:
    """What of a sample an encoder reads, and how it is run."""

    layers: Layers = 'last'
    longest: int | None = 128
    """Word pieces, beyond which `prepare` cuts a text; None for as many as the network takes."""
    longest_s: float | None = 15.0
    """Seconds, beyond which `prepare` cuts a sound; None for all."""
    pictures: int | None = 8
    """Pictures of a sample, evenly spaced, for networks that read pictures one by one; None for all."""
    tokenizer: str = 'AutoTokenizer'
    """The class of transformers that reads words."""
    is_for_one_row: bool = False
    """Whether the mean of all rows is wanted: exported VideoMAE and VGGish then look at fewer stretches, encoders of
    clips at two windows."""
    each_layer: bool = False
    """Whether an encoder of clips gives all its layers side by side."""
    device: str = 'cpu'
    precision: str = 'float32'

    def __post_init__(self) -> None:
        if self.layers not in LAYERS:
            raise UnknownNameError(expected=f'layers among {listed(LAYERS)}', came=repr(self.layers), todo='choose one')
