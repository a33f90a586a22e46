"""Networks that see (CLIP, data2vec, DINOv2, VideoMAE): pictures of a face to one row a picture, or to eight rows.

Published: CLIP gives the projected picture for every frame. Of data2vec and DINOv2 the tokens of the last layer are
summed, so that sizes follow the number of patches; DINOv2 sees 64 frames, the last one again and again in a short clip,
which then leads the mean. VideoMAE sees 16 frames; the states of its 8 pairs of frames are averaged over patches.

Corrected: the mean over patches as the network gives them out, which is after the final norm but for BEiT and data2vec
(theirs is in a pooler that is not run); a short clip is seen once, or all its frames are repeated alike
where a network wants 16. For CLIP there is nothing to correct: both names give the same numbers.

T pictures, P patches, D columns.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools,
MERBench/feature_extraction/visual/extract_vision_huggingface.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.encoders.folders import open_network, open_reader
from affekt.errors import WeightsError
from affekt.features.face_pictures import FacePictures, Rows, evenly, face_encoder, uniform
from affekt.features.recipes import Encoder, Floats, Recipe

AT_ONCE = 32
"""Pictures in one run of a network, as published."""


def open_faces(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of faces."""
    torch, network = open_network(path, 'AutoModel', device, recipe.facts['precision'])
    processor = open_reader(path, 'AutoImageProcessor', backend='pil')  # torchvision has no build for this torch
    is_published = recipe.facts['form'] == 'published'
    see = SEE[recipe.facts['family']](network, is_published)
    is_film = recipe.facts['family'] == 'videomae'
    wanted: int | None = network.config.num_frames if is_film else recipe.facts['pictures']

    def run(images: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        pixels = torch.tensor(np.asarray(processor(list(images), return_tensors='np')['pixel_values'], np.float32))
        with torch.inference_mode():
            found = see(pixels.to(network.device, network.dtype))
        return np.asarray(found.float().cpu().numpy(), np.float32)

    def rows_of(held: FacePictures) -> Rows:
        """(T, D) and (T,) times."""
        count = wanted or len(held)
        if is_film:
            taken = uniform(len(held), count) if is_published else evenly(len(held), count)
            rows = run([held.images[at] for at in taken])
            times = None if held.times is None else held.times[taken].reshape(len(rows), -1).mean(axis=1)
            return rows, times
        taken = uniform(len(held), count) if is_published else evenly(len(held), min(count, len(held)))
        runs = [taken[begin : begin + AT_ONCE] for begin in range(0, len(taken), AT_ONCE)]
        rows = np.concatenate([run([held.images[at] for at in some]) for some in runs])
        return rows, None if held.times is None else held.times[taken]

    return face_encoder(recipe, rows_of)


def _see_projected(network: Any, is_published: bool) -> Callable[[Any], Any]:
    """(T, 3, H, W) to (T, D): the picture in the space that CLIP shares with words."""

    def see(pixels: Any) -> Any:
        found = network.get_image_features(pixels)
        return getattr(found, 'pooler_output', found)  # older releases of transformers give the tensor itself

    return see


def _see_patches(network: Any, is_published: bool) -> Callable[[Any], Any]:
    """(T, 3, H, W) to (T, D): tokens of the last layer, summed, or the mean of patches that the network gives out."""

    def see(pixels: Any) -> Any:
        if is_published:
            return network(pixels, output_hidden_states=True).hidden_states[-1].sum(dim=1)
        return network(pixels).last_hidden_state[:, 1:].mean(dim=1)

    return see


def _see_film(network: Any, is_published: bool) -> Callable[[Any], Any]:
    """(1, 16, 3, H, W) to (8, D): the mean over patches of each pair of frames."""
    config = network.config
    patches = (config.image_size // config.patch_size) ** 2

    def see(pixels: Any) -> Any:
        states = network(pixels).last_hidden_state
        if states.shape[1] != config.num_frames // config.tubelet_size * patches:
            raise WeightsError(
                expected=f'{patches} patches for each of {config.num_frames // config.tubelet_size} steps',
                came=f'{states.shape[1]} tokens', todo='check the size of pictures in preprocessor_config.json',
            )  # fmt: skip
        return states.reshape(-1, patches, states.shape[-1]).mean(dim=1)

    return see


SEE: dict[str, Callable[[Any, bool], Callable[[Any], Any]]] = {
    'clip': _see_projected, 'picture': _see_patches, 'videomae': _see_film,
}  # fmt: skip
