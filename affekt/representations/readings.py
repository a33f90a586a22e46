"""Features that a network gives for windows, in groups of columns: per window, per time slice or per layer.

HiCMAE has four groups: the video encoder, the audio encoder, and the two streams of the fusion, video attending to
audio and audio attending to video. A checkpoint of one branch has one group, and so has SVFAP.

Axes: V windows, N tokens, T time slices, L layers, C width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor

from affekt.pretraining import ClipBatch, HicmaeClassifier, HicmaeForm, SvfapClassifier, SvfapForm

Network = HicmaeClassifier | SvfapClassifier
Form = HicmaeForm | SvfapForm


class Inputs(NamedTuple):
    """A batch on the network's device and in its precision; `has_…` is None where every window has the modality."""

    video: Tensor | None
    audio: Tensor | None
    has_video: Tensor | None
    has_audio: Tensor | None

    @classmethod
    def of(cls, batch: ClipBatch, network: torch.nn.Module) -> Inputs:
        """Move a batch to the device and the precision of a network."""
        like = next(network.parameters())
        pixels = [None if part is None else part.to(like.device, like.dtype) for part in (batch.video, batch.audio)]
        masks = [None if bool(has.all()) else has.to(like.device) for has in (batch.has_video, batch.has_audio)]
        return cls(pixels[0], pixels[1], masks[0], masks[1])


def groups(form: Form) -> tuple[str, ...]:
    """The modality of each group of columns."""
    return form.modalities * 2 if len(form.modalities) == 2 else form.modalities


def widths(form: Form, *, each_layer: bool = False) -> tuple[int, ...]:
    """Number of columns of each group."""
    if not each_layer:
        return (form.width,) * len(groups(form))
    if isinstance(form, SvfapForm):
        return (len(form.depths) * form.width,)
    encoders = [form.depth * form.width] * len(form.modalities)
    return (*encoders, *([form.width] * 2 if len(encoders) == 2 else ()))


def of_windows(network: Network, inputs: Inputs) -> list[Tensor | None]:
    """The (V, C) groups of the published feature, before the last norm; None if no window has the modality."""
    features, _ = network.features(*inputs)
    parts = features.split(widths(network.form), dim=1)
    return [part if _has_input(name, inputs) else None for name, part in zip(groups(network.form), parts, strict=True)]


def of_layers(network: Network, inputs: Inputs) -> list[Tensor | None]:
    """The (V, L * C) groups of all layers, concatenated, each averaged over its tokens; for SVFAP, of all stages."""
    return [
        None if part is None else part.mean(dim=2).transpose(0, 1).flatten(1)  # (L, V, C), (V, L, C), (V, L * C)
        for part in _parts(network, inputs, is_whole=True)
    ]


def of_slices(network: Network, inputs: Inputs) -> list[Tensor | None]:
    """The (V, T, C) groups per time slice, layers weighted as in the published feature, which is their mean over time.

    T depends on the group's modality: 8 for video and 16 for audio in HiCMAE, 2 in SVFAP.
    """
    parts = _parts(network, inputs, is_whole=False)
    if isinstance(network, SvfapClassifier):
        return [None if part is None else part[-1] for part in parts]
    weights = [getattr(network, f'{name}_layer_weights').softmax(dim=0) for name in network.form.modalities]
    weighted = [
        None if part is None else torch.einsum('l,lvtc->vtc', weight, part)  # (L,) and (L, V, T, C) to (V, T, C)
        for part, weight in zip(parts, weights, strict=False)
    ]
    return [*weighted, *(None if part is None else part[-1] for part in parts[len(weights) :])]


def _parts(network: Network, inputs: Inputs, *, is_whole: bool) -> list[Tensor | None]:
    """The groups by layer and time slice, (L, V, T, C); T is 1 where `is_whole`."""
    if isinstance(network, SvfapClassifier):
        stages = network.clip_stages(cast(Tensor, inputs.video))  # (V, T, S, C), T halved from stage to stage
        if is_whole:
            return [torch.stack([stage.mean(dim=(1, 2)) for stage in stages]).unsqueeze(2)]  # (L, V, C), (L, V, 1, C)
        return [stages[-1].mean(dim=2).unsqueeze(0)]  # (V, T, C), (1, V, T, C)
    form = network.form
    grids = {'video': form.video_grid[0], 'audio': form.audio_grid[0]}
    slices = {name: 1 if is_whole else grids[name] for name in form.modalities}
    pixels = {'video': inputs.video, 'audio': inputs.audio}
    parts: list[Tensor | None] = []
    last: list[Tensor | None] = []
    for name in form.modalities:
        branch = network.encoder if name == 'video' else network.encoder_audio
        batch = pixels[name]
        part, tokens = (None, None) if batch is None else _sliced(branch.layers(batch), slices[name])
        parts.append(part)
        last.append(tokens)
    if len(form.modalities) == 2:
        fused = network.encoder_fusion(*last, inputs.has_video, inputs.has_audio)
        for tokens, name in zip(fused, form.modalities, strict=True):
            parts.append(None if tokens is None else _sliced([tokens], slices[name])[0])
    return parts


def _sliced(layers: Iterable[Tensor] | Iterator[Tensor], slices: int) -> tuple[Tensor, Tensor]:
    """(L, V, T, C) means over the tokens of each time slice, and the last layer's (V, N, C) tokens."""
    means, tokens = [], None
    for tokens in layers:
        means.append(tokens.unflatten(1, (slices, -1)).mean(dim=2))  # (V, T, N / T, C), then (V, T, C)
    assert tokens is not None
    return torch.stack(means), tokens


def _has_input(name: str, inputs: Inputs) -> bool:
    return (inputs.video if name == 'video' else inputs.audio) is not None
