"""HiCMAE: two encoders, of faces and of voices, and a fusion encoder; pre-trained by reconstructing masked patches.

Names and shapes are those of the published states, which load strictly. `HicmaePretraining` returns the three losses,
`HicmaeClassifier` the outputs of a task, from both modalities or the one that a clip has: a missing modality is masked,
never read as zeros.

| here | paper |
|---|---|
| `Branch` | E_v, E_a, the two modality-specific encoders |
| `Fusion` | E_f, the cross-modal fusion encoder |
| `Decoder` | D_v, D_a, with hierarchical skip connections |
| `contrast` at `kept_layers` | hierarchical cross-modal contrastive learning |
| `video_layer_weights` | hierarchical feature fusion |

Axes: B clips, N tokens (V visible, M masked), L layers, C width, D width of a decoder, K outputs.

Source: Sun et al. 2024, arXiv:2401.05698.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from affekt.errors import ShapeError
from affekt.nn import Block, CrossSelfBlock, Linear, PatchEmbedding, position_table, rising
from affekt.pretraining.first_weights import draw_normal, draw_xavier
from affekt.pretraining.forms import TILE, TUBE, HicmaeForm
from affekt.pretraining.rebuilding import (
    audio_truth,
    contrast,
    rebuilding_error,
    split_tokens,
    taken,
    tiles,
    tubes,
    video_truth,
)

CONTRAST_WEIGHT = 0.0025
"""Weight of the contrast among the losses; the published default of 0.1 lets the encoders collapse."""
CHANNELS = {'video': 3, 'audio': 1}
PATCHES = {'video': TUBE, 'audio': TILE}


class Branch(nn.Module):
    """The encoder of one modality: patches, positions, blocks, and one norm shared by all layers' outputs."""

    def __init__(self, form: HicmaeForm, modality: str, drop_path: float = 0.0) -> None:
        super().__init__()
        shares = rising(drop_path, form.depth)
        self.patch_embed = PatchEmbedding(CHANNELS[modality], form.width, PATCHES[modality])
        self.blocks = nn.ModuleList([Block(form.blocks(), share) for share in shares])
        self.norm = form.blocks().norm()

    def layers(self, pixels: Tensor) -> Iterator[Tensor]:
        """The normalised (B, N, C) output of each block, one after another, from frames or spectrograms."""
        tokens = self.patch_embed(pixels)
        yield from map(self.norm, self._through(tokens + position_table(tokens.shape[1], tokens.shape[2], tokens)))

    def visible_layers(self, patches: Tensor, visible: Tensor, kept: Collection[int]) -> list[Tensor]:
        """The kept layers, (B, V, C) each, from the visible patches of (B, N, P, channels) at (B, V) indices."""
        count = patches.shape[1]
        tokens = self.patch_embed.of_patches(taken(patches, visible))  # (B, V, C)
        through = self._through(tokens + position_table(count, tokens.shape[2], tokens)[visible])
        return [self.norm(layer) for depth, layer in enumerate(through) if depth in kept]

    def _through(self, tokens: Tensor) -> Iterator[Tensor]:
        for block in self.blocks:
            tokens = block(tokens)
            yield tokens


class Fusion(nn.Module):
    """Two streams that attend to each other's previous layer."""

    def __init__(self, form: HicmaeForm, drop_path: float = 0.0) -> None:
        super().__init__()
        shares = rising(drop_path, form.fusion_depth)
        self.blocks = nn.ModuleList([CrossSelfBlock(form.blocks(), drop_path=share) for share in shares])
        self.blocks_audio = nn.ModuleList([CrossSelfBlock(form.blocks(), drop_path=share) for share in shares])
        self.norm, self.norm_audio = form.blocks().norm(), form.blocks().norm()

    def forward(
        self, video: Tensor | None, audio: Tensor | None, has_video: Tensor | None, has_audio: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Both streams' (B, N, C) tokens; a clip without the other modality uses only its own."""
        for block, block_audio in zip(self.blocks, self.blocks_audio, strict=True):
            was_video, was_audio = video, audio
            if was_video is not None:
                video = block(was_video, was_audio, _kept(was_audio, has_audio))
            if was_audio is not None:
                audio = block_audio(was_audio, was_video, _kept(was_video, has_video))
        return (
            None if video is None else self.norm(video),
            None if audio is None else self.norm_audio(audio),
        )


class Decoder(nn.Module):
    """A decoder from visible tokens to the hidden patches; every block but the first attends to a layer of the
    encoder."""

    def __init__(self, form: HicmaeForm, outputs: int) -> None:
        super().__init__()
        blocks = form.decoder_blocks()
        crossing = [CrossSelfBlock(blocks) for _ in range(form.decoder_depth - 1)]
        self.blocks = nn.ModuleList([Block(blocks), *crossing])
        self.norm = blocks.norm()
        self.head = Linear(form.decoder_width, outputs)

    def forward(self, tokens: Tensor, skips: list[Tensor], masked: int) -> Tensor:
        """The (B, M, D) tokens of hidden patches, from which the head predicts patches.

        Args:
            tokens: (B, N, D), the visible ones first.
            skips: (B, V, D) layers of the encoder, the last one last.
            masked: M, the number of hidden tokens.
        """
        first, *crossing = self.blocks
        tokens = first(tokens)
        for block, skip in zip(crossing, reversed(skips), strict=True):
            # the last block's output for visible tokens is not used
            tokens = block(tokens, skip, last=masked if block is crossing[-1] else None)
        hidden: Tensor = self.norm(tokens[:, -masked:])
        return hidden


class Rebuilt(NamedTuple):
    """Outputs of pre-training for a batch; None for a modality that the form or the batch lacks."""

    video: Tensor | None
    """(B, M, 1536) reconstructed video patches; within the network their (B, M, D) tokens before the head."""
    audio: Tensor | None
    """(B, M, 256) reconstructed audio patches, likewise."""
    video_layers: list[Tensor]
    """(B, C) mean of the visible tokens at each kept layer."""
    audio_layers: list[Tensor]
    """The same of the audio."""


class HicmaePretraining(nn.Module):
    """Reconstructs masked patches of both modalities, and contrasts the two at three depths.

    Args:
        form: sizes of the network.
        is_difference: reconstruct the second frame of each patch as its difference from the first, as published.
        contrast_weight: weight of the contrast among the losses.
        every: see `contrast`.
    """

    def __init__(
        self,
        form: HicmaeForm,
        *,
        is_difference: bool = True,
        contrast_weight: float = CONTRAST_WEIGHT,
        every: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.form, self.is_difference = form, is_difference
        self.contrast_weight, self.every = contrast_weight, every
        if 'video' in form.modalities:
            self.mask_token = nn.Parameter(torch.zeros(1, 1, form.decoder_width))
            self.encoder = Branch(form, 'video')
            self.encoder_to_decoder = Linear(form.width, form.decoder_width, bias=False)
            self.decoder = Decoder(form, CHANNELS['video'] * TUBE[0] * TUBE[1] * TUBE[2])
        if 'audio' in form.modalities:
            self.mask_token_audio = nn.Parameter(torch.zeros(1, 1, form.decoder_width))
            self.encoder_audio = Branch(form, 'audio')
            self.encoder_to_decoder_audio = Linear(form.width, form.decoder_width, bias=False)
            self.decoder_audio = Decoder(form, TILE[0] * TILE[1])
        if len(form.modalities) == 2:
            self.encoder_fusion = Fusion(form)
        self.apply(draw_xavier)
        for name, parameter in self.named_parameters():
            if name.startswith('mask_token'):
                nn.init.trunc_normal_(parameter, std=0.02)

    def forward(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        video_mask: Tensor | None = None,
        audio_mask: Tensor | None = None,
    ) -> Rebuilt:
        """The reconstructed patches.

        Args:
            video: (B, 3, T, Y, X) frames, normalised by the statistics of ImageNet.
            audio: (B, 1, steps, bands) normalised spectrograms.
            video_mask: (B, N) bool, True where hidden, equally many in each clip.
            audio_mask: (B, N) bool, True where audio tokens are hidden, equally many in each clip.

        Raises:
            ShapeError: the batch has no modality that the form reads, or a mask does not fit it.
        """
        hidden = self._hidden(*self._input('video', video, video_mask), *self._input('audio', audio, audio_mask))
        return hidden._replace(
            video=None if hidden.video is None else self.decoder.head(hidden.video),
            audio=None if hidden.audio is None else self.decoder_audio.head(hidden.audio),
        )

    def losses(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        video_mask: Tensor | None = None,
        audio_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The scalar losses of a batch by name, each with its weight; their sum is minimised.

        Args:
            video, audio, video_mask, audio_mask: as for `forward`.

        Returns:
            `video` and `audio` (mean squared errors) and `contrast`, for the modalities of the batch.
        """
        video_patches, video_split = self._input('video', video, video_mask)
        audio_patches, audio_split = self._input('audio', audio, audio_mask)
        hidden = self._hidden(video_patches, video_split, audio_patches, audio_split)
        losses: dict[str, Tensor] = {}
        if video_patches is not None and video_split and hidden.video is not None:
            truth = partial(video_truth, is_difference=self.is_difference)
            losses['video'] = rebuilding_error(self.decoder.head, hidden.video, video_patches, video_split[1], truth)
        if audio_patches is not None and audio_split and hidden.audio is not None:
            head = self.decoder_audio.head
            losses['audio'] = rebuilding_error(head, hidden.audio, audio_patches, audio_split[1], audio_truth)
        # an empty list where the batch lacks a modality or the contrast has no weight: then nothing is gathered either
        pairs = zip(hidden.video_layers, hidden.audio_layers, strict=False) if self.contrast_weight else ()
        if terms := [contrast(video_means, audio_means, every=self.every) for video_means, audio_means in pairs]:
            losses['contrast'] = self.contrast_weight * torch.stack(terms).sum()
        return losses

    def _input(
        self, modality: str, pixels: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
        """Patches of a modality, and which are visible and which hidden; None if the form does not read it."""
        if pixels is None or modality not in self.form.modalities:
            return None, None
        patches = tubes(pixels) if modality == 'video' else tiles(pixels)
        if mask is None or mask.shape != patches.shape[:2]:
            raise ShapeError(
                expected=f'a mask of {tuple(patches.shape[:2])} tokens',
                came='none' if mask is None else f'{tuple(mask.shape)}',
                todo='draw one for the grid of the form',
            )
        return patches, split_tokens(mask)

    def _hidden(
        self,
        video_patches: Tensor | None,
        video_split: tuple[Tensor, Tensor] | None,
        audio_patches: Tensor | None,
        audio_split: tuple[Tensor, Tensor] | None,
    ) -> Rebuilt:
        """The result of `forward` before the heads."""
        if video_patches is None and audio_patches is None:
            raise _nothing_to_read(self.form)
        # 1. Each modality alone, visible tokens only.
        video_layers = self._layers(self.encoder, video_patches, video_split) if video_patches is not None else []
        audio_layers = self._layers(self.encoder_audio, audio_patches, audio_split) if audio_patches is not None else []
        # 2. Both together.
        video, audio = (layers[-1] if layers else None for layers in (video_layers, audio_layers))
        if len(self.form.modalities) == 2:
            video, audio = self.encoder_fusion(video, audio, None, None)
        # 3. Reconstruct hidden tokens from visible ones.
        hidden_video = hidden_audio = None
        if video is not None and video_split:
            hidden_video = _decoded(
                self.decoder, self.encoder_to_decoder, self.mask_token, video, video_layers, video_split
            )
        if audio is not None and audio_split:
            hidden_audio = _decoded(
                self.decoder_audio,
                self.encoder_to_decoder_audio,
                self.mask_token_audio,
                audio,
                audio_layers,
                audio_split,
            )
        return Rebuilt(
            hidden_video,
            hidden_audio,
            [layer.mean(dim=1) for layer in video_layers],
            [layer.mean(dim=1) for layer in audio_layers],
        )

    def _layers(self, branch: Branch, patches: Tensor, split: tuple[Tensor, Tensor] | None) -> list[Tensor]:
        """The kept layers of an encoder."""
        assert split is not None
        return branch.visible_layers(patches, split[0], self.form.kept_layers)


class HicmaeClassifier(nn.Module):
    """A network from clips to the outputs of a task: classes, or values of a regression.

    Args:
        form: sizes of the network.
        outputs: K, the number of outputs.
        drop_path: probability of dropping a path in the last block; it rises evenly from 0 in the first.
    """

    def __init__(self, form: HicmaeForm, outputs: int, drop_path: float = 0.1) -> None:
        super().__init__()
        self.form = form
        if 'video' in form.modalities:
            self.encoder = Branch(form, 'video', drop_path)
            self.video_layer_weights = nn.Parameter(torch.full((form.depth,), 1 / form.depth))
        if 'audio' in form.modalities:
            self.encoder_audio = Branch(form, 'audio', drop_path)
            self.audio_layer_weights = nn.Parameter(torch.full((form.depth,), 1 / form.depth))
        self.apply(draw_normal)
        if len(form.modalities) == 2:
            self.encoder_fusion = Fusion(form, drop_path)
            self.encoder_fusion.apply(draw_xavier)
        self.fc_norm = form.blocks().norm(form.feature_size)
        self.head = nn.Linear(form.feature_size, outputs)

    def forward(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        has_video: Tensor | None = None,
        has_audio: Tensor | None = None,
    ) -> Tensor:
        """The (B, K) outputs.

        Args:
            video: (B, 3, T, Y, X) frames, normalised by the statistics of ImageNet; None if no clip has any.
            audio: (B, 1, steps, bands) normalised spectrograms; None if no clip has any.
            has_video: (B,) bool, False for clips whose frames are to be ignored; None if all count.
            has_audio: (B,) bool, False for clips whose audio is to be ignored; None if all count.

        Raises:
            ShapeError: the batch, or a clip of it, has no modality that the form reads.
        """
        outputs: Tensor = self.head(self.normalised(*self.features(video, audio, has_video, has_audio)))
        return outputs

    def features(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        has_video: Tensor | None = None,
        has_audio: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The features of each clip, before the last norm.

        Returns:
            (B, 4C): the weighted layers of the video encoder, those of the audio encoder, and both streams of the
            fusion, each a mean over tokens; (B, C) of a form of one modality. Then a (B, 4C) bool, True where a value
            comes from a modality that the clip has, or None if all do.
        """
        is_bimodal = len(self.form.modalities) == 2
        video = _blanked(video, has_video) if 'video' in self.form.modalities else None
        audio = _blanked(audio, has_audio) if 'audio' in self.form.modalities else None
        if video is None and audio is None:
            raise _nothing_to_read(self.form)
        video_mean = audio_mean = video_tokens = audio_tokens = None
        if video is not None:
            video_mean, video_tokens = self._weighted(self.encoder.layers(video), self.video_layer_weights)
        if audio is not None:
            audio_mean, audio_tokens = self._weighted(self.encoder_audio.layers(audio), self.audio_layer_weights)
        if not is_bimodal:
            feature, has = (video_mean, has_video) if audio_mean is None else (audio_mean, has_audio)
            assert feature is not None
            if has is not None and not has.all():
                modality = self.form.modalities[0]
                raise ShapeError(expected=f'clips with {modality}', came='one without', todo='leave it out')
            return feature, None
        fused = self.encoder_fusion(video_tokens, audio_tokens, has_video, has_audio)
        parts = [video_mean, audio_mean, *(None if tokens is None else tokens.mean(dim=1) for tokens in fused)]
        present = [has_video, has_audio, has_video, has_audio]
        return _joined(parts, present)

    def normalised(self, features: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """The (B, F) features through the last norm, over those that count; the others are 0."""
        if keep_mask is None:
            normal: Tensor = self.fc_norm(features)
            return normal
        count = keep_mask.sum(dim=1, keepdim=True)
        mean = features.masked_fill(~keep_mask, 0.0).sum(dim=1, keepdim=True) / count  # (B, 1)
        centred = (features - mean).masked_fill(~keep_mask, 0.0)
        standard = centred * torch.rsqrt(centred.square().sum(dim=1, keepdim=True) / count + self.fc_norm.eps)
        return (standard * self.fc_norm.weight + self.fc_norm.bias).masked_fill(~keep_mask, 0.0)

    def layers_by_depth(self) -> list[nn.Module]:
        """Embeddings, blocks of the encoders and of the fusion, from input to output: see `layered_groups`."""
        branches = [
            branch for branch in (getattr(self, 'encoder', None), getattr(self, 'encoder_audio', None)) if branch
        ]
        layers: list[nn.Module] = [nn.ModuleList([branch.patch_embed for branch in branches])]
        layers += [nn.ModuleList([branch.blocks[depth] for branch in branches]) for depth in range(self.form.depth)]
        if len(self.form.modalities) == 2:
            fusion = self.encoder_fusion
            pairs = zip(fusion.blocks, fusion.blocks_audio, strict=True)
            layers += [nn.ModuleList(pair) for pair in pairs]
        return layers

    @staticmethod
    def _weighted(layers: Iterator[Tensor], weights: Tensor) -> tuple[Tensor, Tensor]:
        """The (B, C) weighted mean over layers and tokens; and the last layer's (B, N, C) tokens."""
        means, last = [], None
        for tokens in layers:
            means.append(tokens.mean(dim=1))
            last = tokens
        assert last is not None
        return torch.einsum('l,lbc->bc', weights.softmax(dim=0), torch.stack(means)), last  # (L, B, C) to (B, C)


def _decoded(
    decoder: Decoder,
    projection: nn.Linear,
    mask_token: Tensor,
    tokens: Tensor,
    layers: list[Tensor],
    split: tuple[Tensor, Tensor],
) -> Tensor:
    """The (B, M, D) tokens of hidden patches from (B, V, C) visible tokens and the encoder's kept layers."""
    visible, masked = split
    narrow = projection(tokens)  # (B, V, D)
    table = position_table(visible.shape[1] + masked.shape[1], narrow.shape[2], narrow)
    at_visible, at_masked = table[visible], table[masked]  # (B, V, D), (B, M, D)
    sequence = torch.cat([narrow + at_visible, mask_token.to(narrow.dtype) + at_masked], dim=1)  # (B, N, D)
    skips = [projection(layer) + at_visible for layer in layers]
    hidden: Tensor = decoder(sequence, skips, masked.shape[1])
    return hidden


def _joined(parts: list[Tensor | None], present: list[Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """The (B, C) parts concatenated, and a mask of the values that count; None if all count."""
    like = next(part for part in parts if part is not None)
    if all(part is not None for part in parts) and all(has is None for has in present):
        return torch.cat([part for part in parts if part is not None], dim=1), None
    features, masks = [], []
    for part, has in zip(parts, present, strict=True):
        features.append(torch.zeros_like(like) if part is None else part)
        if part is None:
            has = torch.zeros(like.shape[0], dtype=torch.bool, device=like.device)
        elif has is None:
            has = torch.ones(like.shape[0], dtype=torch.bool, device=like.device)
        masks.append(has.unsqueeze(1).expand_as(like))
    keep_mask = torch.cat(masks, dim=1)  # (B, 4C)
    if not torch.compiler.is_exporting() and not keep_mask.any(dim=1).all():
        raise ShapeError(expected='clips with video or audio', came='one with neither', todo='leave it out')
    return torch.cat(features, dim=1), keep_mask


def _nothing_to_read(form: HicmaeForm) -> ShapeError:
    """The error for a batch without any modality that the form reads."""
    came = 'neither' if len(form.modalities) == 2 else 'none'
    return ShapeError(expected=f'clips with {" or ".join(form.modalities)}', came=came, todo='check the batch')


def _blanked(pixels: Tensor | None, has: Tensor | None) -> Tensor | None:
    """(B, …) with zeros where a clip lacks the modality: nan there would make gradients nan."""
    if pixels is None or has is None:
        return pixels
    return pixels.masked_fill(~has.view(-1, *[1] * (pixels.ndim - 1)), 0.0)  # (B, 1, …)


def _kept(tokens: Tensor | None, has: Tensor | None) -> Tensor | None:
    """(B, N) bool of a context, False for clips that lack it."""
    return None if tokens is None or has is None else has.unsqueeze(1).expand(tokens.shape[:2])
