"""The interface of all encoders, whichever library runs the network: samples to rows, rows to states, or to features.

`prepare` and `forward` are the two halves that training needs: rows of one modality, and differentiable states.
`encode` reads whole samples with a frozen network, as the published program does or without its distortions.

Axes: B batch, T rows (word pieces, audio samples, images), R values per row, S states, D their size.
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
"""Layers that are read: the last one, or the sum of the last four, as in MERBench."""
Modality = Literal['text', 'audio', 'video']


@dataclass(frozen=True)
class Pictures:
    """Images of one sample in order of time."""

    images: Sequence[npt.NDArray[np.uint8]] = field(repr=False)
    """T images (H, W, 3), RGB; arrays on disk are read when accessed."""
    times: Floats | None
    """(T,) times in seconds; None where unknown."""

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Encoded:
    """Features of one sample from a frozen encoder."""

    rows: Floats32
    """(S, D) features."""
    times: Floats | None = None
    """(S,) centre of each row in seconds; None where unknown."""
    lacking: str = ''
    """Missing part of the sample, whose features are 0, with the reason; '' if nothing is missing."""


class Encoder(Protocol):
    """A pre-trained network with its preprocessing.

    A sample is text, (samples,) mono audio at 16 kHz, or images: a sequence of (H, W, 3) RGB uint8 arrays for
    `prepare`, `Pictures` for `encode`. An encoder whose attribute `clips` is a `ClipSettings` reads an
    `affekt.clips.Clip`, frames and audio together. Networks of torch take and return tensors, those in ONNX files
    arrays.
    """

    modality: Modality
    """Modality that a sample must have; video for encoders of clips that read both."""
    size: int
    """D, the size of a state."""
    rate_hz: float | None
    """States per second; None if a state has no duration: word pieces, images."""

    def prepare(self, sample: Any) -> npt.NDArray[Any]:
        """(T, …) rows of a sample, T at least 1."""

    def forward(self, rows: Any, keep_mask: Any) -> tuple[Any, Any]:
        """The states of a batch.

        Args:
            rows: (B, T, …) from `prepare`, padded at the end.
            keep_mask: (B, T) bool, True where a row is real.

        Returns:
            (B, S, D) states, and (B, S) bool, True where a state is real.
        """

    def encode(self, samples: Sequence[Any], *, is_published: bool = False) -> list[Encoded | str]:
        """Features of whole samples, or the reason why a sample has none.

        Args:
            samples: samples, which are read completely.
            is_published: encode as the published program does, errors included.
        """


def clips_of(encoder: Encoder) -> ClipSettings | None:
    """How clips are prepared for an encoder of clips; None for one of text, audio or images."""
    settings: ClipSettings | None = getattr(encoder, 'clips', None)
    return settings


def encoded_each(samples: Sequence[Any], encode: Callable[[Any], Encoded]) -> list[Encoded | str]:
    """Features of each audio or sequence of images; an empty one has a reason instead."""
    return [encode(sample) if len(sample) else 'nothing to read' for sample in samples]


@dataclass(frozen=True)
class EncoderSettings:
    """Input limits, layers, device and precision of an encoder."""

    layers: Layers = 'last'
    longest: int | None = 128
    """Number of word pieces after which `prepare` cuts a text; None for the network's limit."""
    longest_s: float | None = 15.0
    """Seconds after which `prepare` cuts audio; None for no limit."""
    pictures: int | None = 8
    """Images per sample, evenly spaced, for networks that read images one by one; None for all."""
    tokenizer: str = 'AutoTokenizer'
    """Class of transformers that loads the tokenizer."""
    is_for_one_row: bool = False
    """Whether one feature per sample is needed: exported VideoMAE and VGGish then read fewer windows, encoders of clips
    two windows."""
    each_layer: bool = False
    """Whether an encoder of clips returns all its layers, concatenated."""
    device: str = 'cpu'
    precision: str = 'float32'

    def __post_init__(self) -> None:
        if self.layers not in LAYERS:
            raise UnknownNameError(expected=f'layers among {listed(LAYERS)}', came=repr(self.layers), todo='choose one')
