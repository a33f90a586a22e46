"""Networks of transformers as encoders: differentiable where they are trained, run in batches where they are frozen.

`Backbone` calls the network and chooses its layers; `text_backbones.py`, `sound_backbones.py` and
`picture_backbones.py` say how samples become rows. `affekt.encoders.open_encoder` opens one.

Axes: B batch, T rows (tokens, samples of sound, pictures), R numbers a row, S states, D their size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affekt.arrays import Floats32
from affekt.encoders.encoder import Encoded, EncoderSettings, Layers, Modality
from affekt.encoders.families import Family
from affekt.encoders.pooling import sum_of_layers

if TYPE_CHECKING:
    from affekt.clips import ClipSettings


class Backbone(nn.Module):
    """An `Encoder` of torch: rows of one modality to states, differentiable.

    Args:
        network: of transformers.
        layers: `last` for the last hidden layer, `last_four` for the sum of the last four, as MERBench reads them.
        size: D; None for what the network's configuration says.
    """

    modality: Modality
    rate_hz: float | None = None
    """States per second; None where a state has no duration."""
    clips: ClipSettings | None = None
    """How its samples are made where they are clips."""

    def __init__(self, network: Any, layers: Layers = 'last', size: int | None = None) -> None:
        super().__init__()
        if getattr(network, 'pooler', None) is not None:
            network.pooler = None  # read by nobody, so it would never learn
        self.network = network
        self.layers = layers
        self.size = size or int(getattr(network.config, 'hidden_size', 0) or network.config.projection_dim)
        """D"""

    @property
    def architecture(self) -> str:
        """The network's, as `families.py` lists it."""
        return str(self.network.config.model_type)

    @classmethod
    @abstractmethod
    def open(cls, path: Path, settings: EncoderSettings, family: Family) -> Backbone:
        """The encoder in a folder, in evaluation mode.

        Args:
            path: of the folder.
            settings: what of a sample is read, and how it is run.
            family: says which class of transformers reads it.

        Raises:
            WeightsError: it cannot be opened, or is of another kind.
        """

    @abstractmethod
    def prepare(self, sample: Any) -> npt.NDArray[Any]:
        """(T, R) rows of one sample, T at least 1."""

    @abstractmethod
    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The (B, S, D) states of (B, T, R) rows, and the (B, S) mask of those that count."""

    @abstractmethod
    def encode(self, samples: Sequence[Any], *, is_published: bool = False) -> list[Encoded | str]:
        """Features of whole samples, or in words why one has none: see `Encoder.encode`."""

    def states(self, **inputs: Tensor) -> Tensor:
        """(B, S, D): the layers that are read, of what the network makes of its inputs.

        The last layer is the state that the network gives out: what newer releases of transformers list as the last
        hidden state of large HuBERT, wav2vec 2.0 and WavLM lacks the final norm that it had when features were
        published, and is larger by far than the other three.
        """
        answer = self.network(**inputs, output_hidden_states=self.layers == 'last_four', return_dict=True)
        last: Tensor = answer.last_hidden_state
        return last if self.layers == 'last' else sum_of_layers([*answer.hidden_states[-4:-1], last])

    def given(self, values: npt.NDArray[Any]) -> Tensor:
        """Real numbers as the network takes them: on its device, in its precision."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.network.device, self.network.dtype)


def as_array(states: Tensor) -> Floats32:
    """The same numbers, single precision, off the device."""
    return np.asarray(states.float().cpu().numpy(), np.float32)
