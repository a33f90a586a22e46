"""Networks of transformers as encoders: differentiable for training, batched when frozen.

`Backbone` calls the network and chooses its layers; `text_backbones.py`, `sound_backbones.py` and
`picture_backbones.py` define how samples become rows. `affekt.encoders.open_encoder` opens one.

Axes: B batch, T rows (tokens, audio samples, images), R values per row, S states, D their size.
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
    """An `Encoder` in torch: rows of one modality to states, differentiable.

    Args:
        network: network of transformers.
        layers: `last` for the last hidden layer, `last_four` for the sum of the last four, as MERBench reads them.
        size: D; None for the size in the network's configuration.
    """

    modality: Modality
    rate_hz: float | None = None
    """States per second; None if a state has no duration."""
    clips: ClipSettings | None = None
    """How clips are prepared; None for encoders of text, audio or images."""

    def __init__(self, network: Any, layers: Layers = 'last', size: int | None = None) -> None:
        super().__init__()
        if getattr(network, 'pooler', None) is not None:
            network.pooler = None  # unused, so it would get no gradient
        self.network = network
        self.layers = layers
        self.size = size or int(getattr(network.config, 'hidden_size', 0) or network.config.projection_dim)
        """D"""

    @property
    def architecture(self) -> str:
        """Architecture of the network, as in `families.py`."""
        return str(self.network.config.model_type)

    @classmethod
    @abstractmethod
    def open(cls, path: Path, settings: EncoderSettings, family: Family) -> Backbone:
        """The encoder of a folder, in evaluation mode.

        Args:
            path: path of the folder.
            settings: input limits, layers, device and precision.
            family: family, which names the class of transformers that loads it.

        Raises:
            WeightsError: the encoder cannot be opened, or is not of this family.
        """

    @abstractmethod
    def prepare(self, sample: Any) -> npt.NDArray[Any]:
        """(T, R) rows of a sample, T at least 1."""

    @abstractmethod
    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, S, D) states of (B, T, R) rows, and their (B, S) mask."""

    @abstractmethod
    def encode(self, samples: Sequence[Any], *, is_published: bool = False) -> list[Encoded | str]:
        """Features of whole samples, or the reason why a sample has none: see `Encoder.encode`."""

    def states(self, **inputs: Tensor) -> Tensor:
        """(B, S, D) states from the chosen layers of the network.

        The last layer is the network's output: what newer releases of transformers list as the last hidden state of
        large HuBERT, wav2vec 2.0 and WavLM lacks the final norm that it had when features were published, and is far
        larger than the three layers before.
        """
        output = self.network(**inputs, output_hidden_states=self.layers == 'last_four', return_dict=True)
        last: Tensor = output.last_hidden_state
        return last if self.layers == 'last' else sum_of_layers([*output.hidden_states[-4:-1], last])

    def as_input(self, values: npt.NDArray[Any]) -> Tensor:
        """Real values as a tensor on the network's device and in its precision."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.network.device, self.network.dtype)


def as_array(states: Tensor) -> Floats32:
    """States as a float32 array in memory."""
    return np.asarray(states.float().cpu().numpy(), np.float32)
