"""An encoder of the transformers library from a local folder, as a part that can be trained with what stands on it.

A folder as `save_pretrained` writes it comes in: `config.json`, safetensors weights, and the tokenizer or preprocessor.
`open_backbone` returns a `Backbone`: `prepare` makes rows of numbers of a text, a sound or the pictures of a face, and
`forward` their states. Nothing is fetched and nothing is unpickled.

Axes: B batch, T rows (tokens, samples of sound, pictures), R numbers a row, S states, D their size.
"""

from __future__ import annotations

import importlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from affekt.encoders.known_words import require_words
from affekt.encoders.model_files import model_files
from affekt.errors import MissingExtraError, ShapeError, UnknownNameError, WeightsError, listed
from affekt.runs import read_regular_file

Layers = Literal['last', 'last_four']
LAYERS = ('last', 'last_four')
SPARE = ('pooler.', 'masked_spec_embed')
"""Parts that a file may lack: nothing here reads them."""
TOKENIZERS = ('tokenizer.json', 'vocab.txt', 'vocab.json', '*.model')
"""Files of which a tokenizer has one."""


class Backbone(nn.Module):
    """An encoder: rows of one modality to states, differentiable.

    Args:
        network: of transformers.
        layers: `last` for the last hidden layer, `last_four` for the sum of the last four, as MERBench reads them.
    """

    modality: ClassVar[str]

    def __init__(self, network: Any, layers: Layers = 'last') -> None:
        super().__init__()
        if getattr(network, 'pooler', None) is not None:
            network.pooler = None  # read by nobody, so it would never learn
        self.network = network
        self.layers = layers
        self.size = int(getattr(network.config, 'hidden_size', 0) or network.config.projection_dim)
        """D"""

    @abstractmethod
    def prepare(self, given: Any) -> npt.NDArray[Any]:
        """(T, R) rows of one sample, T at least 1."""

    @abstractmethod
    def forward(self, rows: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """The (B, S, D) states of (B, T, R) rows, and the (B, S) mask of those that count."""

    def _states(self, answer: Any) -> Tensor:
        """The last layer is the one that the network gives out: some list it without its final norm."""
        last: Tensor = answer.last_hidden_state
        return last if self.layers == 'last' else torch.stack([*answer.hidden_states[-4:-1], last]).sum(dim=0)

    def _asks(self) -> dict[str, bool]:
        return {'output_hidden_states': self.layers == 'last_four', 'return_dict': True}


class TextBackbone(Backbone):
    """Word pieces of a text; marks of beginning and end are read but do not count.

    Args:
        network: of transformers.
        tokenizer: that belongs to it.
        layers: as in `Backbone`.
        longest: word pieces, beyond which a text is cut.
    """

    modality = 'text'
    special: Tensor

    def __init__(self, network: Any, tokenizer: Any, layers: Layers = 'last', longest: int = 128) -> None:
        super().__init__(network, layers)
        self._tokenizer = tokenizer
        self._longest = min(longest, tokenizer.model_max_length)
        marks = sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id})
        self._filler = tokenizer.pad_token_id or 0
        self.register_buffer('special', torch.tensor(marks, dtype=torch.int64), persistent=False)

    def prepare(self, given: str) -> npt.NDArray[np.int64]:
        """The (T, 1) numbers of a text's word pieces; an empty text has its marks, or one filler."""
        pieces = self._tokenizer(given, truncation=True, max_length=self._longest)['input_ids']
        return np.array(pieces or [self._filler], dtype=np.int64)[:, None]

    def forward(self, rows: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """A state for each word piece."""
        pieces = torch.where(keep, rows[..., 0], self._filler)
        answer = self.network(input_ids=pieces, attention_mask=keep.long(), **self._asks())
        spoken = keep & ~torch.isin(pieces, self.special)
        return self._states(answer), torch.where(spoken.any(dim=1, keepdim=True), spoken, keep)


class SoundBackbone(Backbone):
    """Samples of sound at 16 kHz, for wav2vec 2.0, HuBERT, WavLM and their like.

    The masking of stretches while training, which the library draws outside torch's seed, is off. Where the first
    convolution is normalised over time (the base models), the silence that fills a batch up changes a sound's states.

    Args:
        network: of transformers.
        normalise: each sound to mean 0 and deviation 1, as the preprocessor says.
        layers: as in `Backbone`.
        longest_s: seconds, beyond which a sound is cut.
    """

    modality = 'audio'
    RATE_HZ = 16_000

    def __init__(self, network: Any, normalise: bool, layers: Layers = 'last', longest_s: float = 15.0) -> None:
        super().__init__(network, layers)
        network.config.apply_spec_augment = False
        self._normalise, self._longest = normalise, round(longest_s * self.RATE_HZ)
        self._steps = list(zip(network.config.conv_kernel, network.config.conv_stride, strict=True))
        self._shortest = 1
        for kernel, stride in reversed(self._steps):
            self._shortest = (self._shortest - 1) * stride + kernel

    def prepare(self, given: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """The (T, 1) samples of a mono sound at 16 kHz; one too short for a state is filled up with silence."""
        sound = np.asarray(given, dtype=np.float32)[: self._longest]
        if self._normalise and len(sound):
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        return np.pad(sound, (0, max(self._shortest - len(sound), 0)))[:, None]

    def forward(self, rows: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """A state for each 20 ms or so."""
        rows, keep = self._long_enough(rows, keep)
        answer = self.network(rows[..., 0], attention_mask=keep.long(), **self._asks())
        states = self._states(answer)
        lengths = keep.sum(dim=1)
        for kernel, stride in self._steps:
            lengths = torch.div(lengths - kernel, stride, rounding_mode='floor') + 1
        return states, torch.arange(states.shape[1], device=keep.device) < lengths.unsqueeze(1)

    def _long_enough(self, rows: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        more = max(self._shortest - rows.shape[1], 0)
        return nn.functional.pad(rows, (0, 0, 0, more)), nn.functional.pad(keep, (0, more))


class PictureBackbone(Backbone):
    """Pictures one by one, for CLIP, ViT, DINOv2 and their like: a state for each picture.

    CLIP's is its projected embedding, whatever the layers; that of others the mean over a picture's tokens.

    Args:
        network: of transformers.
        facts: of the preprocessor: size, image_mean, image_std.
        layers: as in `Backbone`.
        pictures: at most, evenly spaced.
    """

    modality = 'video'
    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Any, facts: dict[str, Any], layers: Layers = 'last', pictures: int = 8) -> None:
        super().__init__(network, layers)
        self.side = int(network.config.image_size)
        self.pictures = pictures
        if hasattr(network, 'visual_projection'):
            self.size = int(network.config.projection_dim)
        for name, key in (('mean', 'image_mean'), ('deviation', 'image_std')):
            self.register_buffer(name, torch.tensor(facts[key], dtype=torch.float32) * 255, persistent=False)

    def prepare(self, given: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        """(T, side * side * 3) bytes of (height, width, 3) RGB pictures; only those that are chosen are looked at.

        Raises:
            ShapeError: there is no picture, or it is not RGB.
        """
        chosen = [given[at] for at in self._places(len(given))] if len(given) else []
        wrong = [f'{each.dtype} {each.shape}' for each in chosen if each.dtype != np.uint8 or each.shape[2:] != (3,)]
        if wrong or not chosen:
            raise ShapeError(
                expected='pictures (height, width, 3) of bytes, at least one', came=wrong[0] if wrong else 'none',
                todo='give the face of each frame',
            )  # fmt: skip
        size = (self.side, self.side)
        small = [Image.fromarray(each).resize(size, Image.Resampling.BILINEAR) for each in chosen]
        return np.stack([np.asarray(picture).reshape(-1) for picture in small])

    def _places(self, count: int) -> list[int]:
        taken = min(count, self.pictures)
        return [at * count // taken for at in range(taken)]

    def forward(self, rows: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """A state for each picture."""
        pixels = self._pixels(rows)[keep]
        answer = self.network(pixel_values=pixels, **self._asks())
        embedded = getattr(answer, 'image_embeds', None)
        each = self._states(answer).mean(dim=1) if embedded is None else embedded
        states = each.new_zeros((*keep.shape, each.shape[1]))
        states[keep] = each
        return states, keep

    def _pixels(self, rows: Tensor) -> Tensor:
        """(B, T, 3, side, side), standardised."""
        pictures = rows.unflatten(2, (self.side, self.side, 3)).float()
        standard: Tensor = (pictures - self.mean) / self.deviation
        return standard.permute(0, 1, 4, 2, 3)


class ClipBackbone(PictureBackbone):
    """Sixteen pictures of a clip together, for VideoMAE: a state for each tube of pictures and place."""

    def __init__(self, network: Any, facts: dict[str, Any], layers: Layers = 'last') -> None:
        super().__init__(network, facts, layers, int(network.config.num_frames))

    def _places(self, count: int) -> list[int]:
        places = super()._places(count)
        return places + [places[-1]] * (self.pictures - len(places))

    def forward(self, rows: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """The states of whole clips; a clip of which nothing is kept has none that count."""
        states = self._states(self.network(pixel_values=self._pixels(rows), **self._asks()))
        return states, keep.any(dim=1, keepdim=True).expand(states.shape[:2])


def open_backbone(
    folder: Path,
    *,
    layers: Layers = 'last',
    longest: int = 128,
    longest_s: float = 15.0,
    pictures: int = 8,
) -> Backbone:
    """The encoder in a folder, with its weights, on the CPU and in evaluation mode.

    Args:
        folder: as `save_pretrained` writes it.
        layers: what of it is read: a name in `LAYERS`.
        longest: word pieces of a text.
        longest_s: seconds of a sound.
        pictures: of a clip, for encoders that read pictures one by one.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: the folder holds no encoder, no safetensors weights, or weights of another one.
        UnknownNameError: no such layers.
    """
    if layers not in LAYERS:
        raise UnknownNameError(expected=f'layers among {listed(LAYERS)}', came=repr(layers), todo='choose one')
    try:
        transformers = importlib.import_module('transformers')
    except ImportError as error:
        raise MissingExtraError(
            expected='transformers, which holds the encoders', came=str(error), todo='pip install "affekt[encoders]"'
        ) from error
    if not (folder / 'config.json').is_file():
        raise _unusable(folder, 'a folder without config.json' if folder.is_dir() else 'no folder there')
    model_files(folder)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.is_encoder_decoder:
            raise _unusable(folder, f'an encoder with a decoder ({config.model_type})')
        kind = config.model_type
        home = 'CLIPVisionModelWithProjection' if kind.startswith('clip') else 'AutoModel'
        network = _loaded(transformers, getattr(transformers, home), folder)
        if kind in SOUNDS:
            return SoundBackbone(network, bool(_facts(folder)['do_normalize']), layers, longest_s).eval()
        if kind in CLIPS:
            return ClipBackbone(network, _facts(folder), layers).eval()
        if kind in PICTURES:
            return PictureBackbone(network, _facts(folder), layers, pictures).eval()
        if not any(next(folder.glob(pattern), None) for pattern in TOKENIZERS):
            raise _unusable(folder, 'no tokenizer')  # transformers would make an empty one
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        require_words(tokenizer, int(network.get_input_embeddings().num_embeddings), folder)
        return TextBackbone(network, tokenizer, layers, longest).eval()
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise _unusable(folder, f'{type(error).__name__}: {" ".join(str(error).split())[:200]}') from error


def _loaded(transformers: Any, kind: Any, folder: Path) -> Any:
    """The network, every weight of it from the file."""
    says = transformers.utils.logging
    shown, told = says.is_progress_bar_enabled(), says.get_verbosity()
    says.disable_progress_bar()
    says.set_verbosity_error()
    try:
        network, found = kind.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    finally:
        says.set_verbosity(told)
        if shown:
            says.enable_progress_bar()
    absent = [name for name in found['missing_keys'] if not name.startswith(SPARE)]
    if absent:
        raise _unusable(folder, f'weights that lack {len(absent)} tensors ({listed(sorted(absent), 2)})')
    return network


def _facts(folder: Path) -> dict[str, Any]:
    for name in ('preprocessor_config.json', 'processor_config.json'):
        if (folder / name).is_file():
            held: dict[str, Any] = json.loads(read_regular_file(folder / name).decode())
            return held
    raise _unusable(folder, 'no preprocessor_config.json')


def _unusable(folder: Path, came: str) -> WeightsError:
    return WeightsError(
        expected=f'an encoder of transformers in {folder}: config.json, safetensors weights, tokenizer or preprocessor',
        came=came,
        todo='give the folder that save_pretrained wrote; convert weights of the older pickled form first',
    )


SOUNDS: Sequence[str] = ('wav2vec2', 'wav2vec2-conformer', 'hubert', 'wavlm', 'data2vec-audio', 'unispeech-sat')
PICTURES: Sequence[str] = ('clip', 'clip_vision_model', 'vit', 'dinov2', 'beit', 'data2vec-vision', 'deit')
CLIPS: Sequence[str] = ('videomae',)
"""The kinds of encoder, as `model_type` in config.json names them, by what they read; every other reads text."""
