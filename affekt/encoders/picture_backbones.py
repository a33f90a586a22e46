"""Vision networks (CLIP, data2vec, DINOv2, VideoMAE): images to one state each, or to states of a clip.

Published: CLIP gives the projected image for every frame. For data2vec and DINOv2 the tokens of the last layer are
summed, so that magnitudes depend on the number of patches; DINOv2 reads 64 frames, in a short clip with the last one
repeated, which then dominates the mean. VideoMAE reads 16 frames; the states of its 8 pairs of frames are averaged over
patches.

Corrected: the mean over patches of the network's output, which is after the final norm but for BEiT and data2vec
(theirs is in a pooler that is not run); a short clip is read once, or all its frames are repeated evenly where a
network needs 16. For CLIP nothing needs correction: both forms give the same features.

Trained: images are resized to squares, and an image's state is the mean over all its tokens.

Axes: B batch, T images, P patches, H W pixels, D size of a state.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools,
MERBench/feature_extraction/visual/extract_vision_huggingface.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from affekt.arrays import Floats32, Ints
from affekt.encoders.backbones import Backbone, as_array
from affekt.encoders.encoder import Encoded, EncoderSettings, Layers, Pictures, encoded_each
from affekt.encoders.families import Family
from affekt.encoders.folders import open_config, open_network, open_reader
from affekt.encoders.framing import PICTURES_AT_ONCE, evenly, uniform
from affekt.errors import ShapeError, WeightsError

Images = Sequence[npt.NDArray[np.uint8]]


class PictureBackbone(Backbone):
    """Single images, for ViT, DINOv2 and similar networks: one state per image.

    Args:
        network: network of transformers.
        processor: its image processor.
        layers: see `Backbone`.
        pictures: maximum number of images, evenly spaced; None for all.
    """

    modality = 'video'
    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Any, processor: Any, layers: Layers = 'last', pictures: int | None = 8) -> None:
        super().__init__(network, layers)
        self._processor = processor
        self.side = int(network.config.image_size)
        self.pictures = pictures
        self._leading = 2 if hasattr(getattr(network, 'embeddings', None), 'distillation_token') else 1
        """Tokens in front of those of the patches."""
        for name, key in (('mean', 'image_mean'), ('deviation', 'image_std')):
            levels = torch.tensor(getattr(processor, key), dtype=torch.float32) * 255
            self.register_buffer(name, levels.to(network.device), persistent=False)

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, family: Family) -> PictureBackbone:
        """The network of a folder with its image processor."""
        _, network = open_network(path, family.loader, settings.device, settings.precision, cls._config(path))
        processor = open_reader(path, 'AutoImageProcessor', backend='pil')  # torchvision has no build for this torch
        return cls(network, processor, settings.layers, settings.pictures).eval()

    @classmethod
    def _config(cls, path: Path) -> Any:
        """Configuration of the network, where that of the folder must be changed; None elsewhere."""
        return None

    def prepare(self, sample: Images) -> npt.NDArray[np.uint8]:
        """(T, side * side * 3) bytes of (H, W, 3) RGB images; only selected images are read.

        Raises:
            ShapeError: there is no image, or one is not RGB.
        """
        selected = [sample[index] for index in self._selection(len(sample))] if len(sample) else []
        refused = [
            f'{image.dtype} {image.shape}' for image in selected if image.dtype != np.uint8 or image.shape[2:] != (3,)
        ]
        if refused or not selected:
            raise ShapeError(
                expected='pictures (height, width, 3) of bytes, at least one', came=refused[0] if refused else 'none',
                todo='give the face of each frame',
            )  # fmt: skip
        size = (self.side, self.side)
        resized = [Image.fromarray(image).resize(size, Image.Resampling.BILINEAR) for image in selected]
        return np.stack([np.asarray(image).reshape(-1) for image in resized])  # (side, side, 3) to (side * side * 3,)

    def _selection(self, count: int) -> Ints:
        """Indices of the images that `prepare` selects, without repetition."""
        return uniform(count, min(count, self.pictures or count))

    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """One state per image."""
        image_states = self._image_states(self._pixels(rows)[keep_mask])  # (images, D)
        states = image_states.new_zeros((*keep_mask.shape, image_states.shape[1]))  # (B, T, D)
        states[keep_mask] = image_states
        return states, keep_mask

    def _image_states(self, pixels: Tensor) -> Tensor:
        """(T, 3, H, W) images to (T, D) states."""
        return self.states(pixel_values=pixels).mean(dim=1)

    def _pixels(self, rows: Tensor) -> Tensor:
        """(B, T, side * side * 3) bytes to (B, T, 3, side, side), standardised."""
        images = rows.unflatten(2, (self.side, self.side, 3)).float()  # (B, T, side, side, 3)
        standardised: Tensor = (images - self.mean) / self.deviation
        return standardised.to(self.network.dtype).permute(0, 1, 4, 2, 3)  # (B, T, 3, side, side)

    def encode(self, samples: Sequence[Pictures], *, is_published: bool = False) -> list[Encoded | str]:
        """(T, D) features of each sample's images."""
        return encoded_each(samples, lambda pictures: self._encoded(pictures, is_published))

    def _encoded(self, pictures: Pictures, is_published: bool) -> Encoded:
        count = self.pictures or len(pictures)
        indices = uniform(len(pictures), count) if is_published else evenly(len(pictures), min(count, len(pictures)))
        chunks = [indices[start : start + PICTURES_AT_ONCE] for start in range(0, len(indices), PICTURES_AT_ONCE)]
        rows = [self._run([pictures.images[index] for index in chunk], is_published) for chunk in chunks]
        return Encoded(np.concatenate(rows), None if pictures.times is None else pictures.times[indices])

    def _run(self, images: Images, is_published: bool) -> Floats32:
        """(rows, D) states of images that are prepared as published."""
        pixels = np.asarray(self._processor(list(images), return_tensors='np')['pixel_values'], np.float32)
        with torch.inference_mode():
            return as_array(self._features(self.as_input(pixels), is_published))

    def _features(self, pixels: Tensor, is_published: bool) -> Tensor:
        """(T, 3, H, W) to (T, D): the sum of a layer's tokens, or the mean of the output patches."""
        output = self.network(pixels, output_hidden_states=is_published)
        if is_published:
            summed: Tensor = output.hidden_states[-1].sum(dim=1)
            return summed
        mean: Tensor = output.last_hidden_state[:, self._leading :].mean(dim=1)
        return mean


class ProjectedPictureBackbone(PictureBackbone):
    """Single images, for CLIP: each in the space that CLIP shares with text; `layers` is ignored."""

    def __init__(self, network: Any, processor: Any, layers: Layers = 'last', pictures: int | None = 8) -> None:
        super().__init__(network, processor, layers, pictures)
        self.size = int(network.config.projection_dim)

    @classmethod
    def _config(cls, path: Path) -> Any:
        config = open_config(path)
        tower = getattr(config, 'vision_config', config)
        tower.projection_dim = config.projection_dim  # the tower defaults to that of the smallest CLIP
        return tower

    def _image_states(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.network(pixel_values=pixels).image_embeds
        return embedded

    def _features(self, pixels: Tensor, is_published: bool) -> Tensor:
        return self._image_states(pixels)


class VideoMaeBackbone(PictureBackbone):
    """Sixteen frames of a clip together, for VideoMAE: one state per tube of frames and patch."""

    def __init__(self, network: Any, processor: Any, layers: Layers = 'last', pictures: int | None = None) -> None:
        super().__init__(network, processor, layers, int(network.config.num_frames))
        config = network.config
        self._steps = config.num_frames // config.tubelet_size
        self._patches = (config.image_size // config.patch_size) ** 2

    def _selection(self, count: int) -> Ints:
        """Indices of the frames that `prepare` selects, the last one repeated where there are too few."""
        return uniform(count, self.network.config.num_frames)

    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """States of whole clips; all states of a clip without any kept frame are masked."""
        states = self.states(pixel_values=self._pixels(rows))  # (B, steps * P, D)
        return states, keep_mask.any(dim=1, keepdim=True).expand(states.shape[:2])

    def _encoded(self, pictures: Pictures, is_published: bool) -> Encoded:
        """(steps, D) features: one row per pair of frames."""
        select = uniform if is_published else evenly
        indices = select(len(pictures), self.network.config.num_frames)
        rows = self._run([pictures.images[index] for index in indices], is_published)
        if pictures.times is None:
            return Encoded(rows)
        return Encoded(rows, pictures.times[indices].reshape(len(rows), -1).mean(axis=1))  # (16,) to (8, 2)

    def _features(self, pixels: Tensor, is_published: bool) -> Tensor:
        """(1, 16, 3, H, W) to (8, D): the mean over the patches of each pair of frames."""
        states = self.network(pixels).last_hidden_state
        if states.shape[1] != self._steps * self._patches:
            raise WeightsError(
                expected=f'{self._patches} patches for each of {self._steps} steps', came=f'{states.shape[1]} tokens',
                todo='check the size of pictures in preprocessor_config.json',
            )  # fmt: skip
        rows: Tensor = states.reshape(-1, self._patches, states.shape[-1]).mean(dim=1)  # (steps, P, D) to (steps, D)
        return rows
