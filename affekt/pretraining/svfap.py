"""SVFAP: a face-video encoder whose later stages halve time and read each time slice through a few bottleneck tokens.

Names and shapes are those of the published states, which load strictly.

| here | paper |
|---|---|
| `temporal_downsamples` | temporal pyramid |
| `Summary`, `spatial_downsamples` | spatial bottleneck tokens |
| last block of a stage | reverse cross-attention, from bottleneck tokens back to all |

Axes: B clips, T time slices, S tokens of a slice, G bottleneck tokens of a slice, C width, D width of the decoder.

Source: Sun et al. 2024, arXiv:2401.00416.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.errors import ShapeError
from affekt.nn import Block, CrossSelfBlock, Linear, PatchEmbedding, position_table, rising
from affekt.pretraining.first_weights import draw_normal, draw_xavier
from affekt.pretraining.forms import TUBE, SvfapForm
from affekt.pretraining.rebuilding import rebuilding_error, split_tokens, taken, tubes, video_truth


class _Scores(nn.Module):
    """(…, C) tokens to (…, G) scores."""

    def __init__(self, form: SvfapForm) -> None:
        super().__init__()
        self.fc1 = nn.Linear(form.width, form.summary_width)
        self.fc2 = nn.Linear(form.summary_width, form.summaries)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return scores


class Summary(nn.Module):
    """(B, T, S, C) tokens to the (B, T * G, C) bottleneck tokens: weighted means of each time slice."""

    def __init__(self, form: SvfapForm) -> None:
        super().__init__()
        self.norm = form.blocks().norm()
        self.mlp = _Scores(form)

    def forward(self, tokens: Tensor) -> Tensor:
        """The bottleneck tokens, slice after slice."""
        weights = self.mlp(self.norm(tokens)).softmax(dim=2)  # (B, T, S, G)
        return torch.einsum('btsg,btsc->btgc', weights, tokens).flatten(1, 2)  # (B, T, G, C), then (B, T * G, C)


class Pyramid(nn.Module):
    """Three stages of blocks over the tokens of a clip."""

    def __init__(self, form: SvfapForm, drop_path: float = 0.0) -> None:
        super().__init__()
        shares = rising(drop_path, sum(form.depths))
        first = form.depths[0]
        self.depths = form.depths
        self.patch_embed = PatchEmbedding(3, form.width, TUBE)
        plain = [Block(form.blocks(), share) for share in shares[:first]]
        crossing = [CrossSelfBlock(form.blocks(), drop_path=share) for share in shares[first:]]
        self.blocks = nn.ModuleList([*plain, *crossing])
        later = range(len(form.depths) - 1)
        self.temporal_downsamples = nn.ModuleList([nn.Conv1d(form.width, form.width, 2, stride=2) for _ in later])
        self.spatial_downsamples = nn.ModuleList([Summary(form) for _ in later])

    def stages(self, tokens: Tensor, every: Tensor | None = None) -> list[Tensor]:
        """The (B, T, S, C) output of each stage.

        Args:
            tokens: (B, T, S, C) with their positions.
            every: (B, N, C) tokens that the last block of a later stage reads, in the published wiring of
                pre-training; None for the bottleneck tokens.
        """
        blocks = iter(self.blocks)
        # 1. All tokens attend to each other.
        slices = tokens.shape[1]
        flat = tokens.flatten(1, 2)  # (B, T * S, C)
        for _ in range(self.depths[0]):
            flat = next(blocks)(flat)
        outputs = [flat.unflatten(1, (slices, -1))]  # (B, T, S, C)
        # 2. Half as many slices; bottleneck tokens attend to all tokens, then all to the bottleneck tokens.
        later_stages = zip(self.depths[1:], self.temporal_downsamples, self.spatial_downsamples, strict=True)
        for depth, halve, summarise in later_stages:
            tokens = _halved(outputs[-1], halve)
            flat, summaries = tokens.flatten(1, 2), summarise(tokens)  # (B, T * S, C), (B, T * G, C)
            for _ in range(depth - 1):
                summaries = next(blocks)(summaries, flat)
            flat = next(blocks)(flat, summaries if every is None else every)
            outputs.append(flat.unflatten(1, tokens.shape[1:3]))  # (B, T, S, C)
        return outputs


class SvfapClassifier(Pyramid):
    """A network from (B, 3, T, Y, X) clips to the outputs of a task.

    Args:
        form: the size.
        outputs: K, the number of outputs: classes or values.
        drop_path: probability of dropping a path in the last block; it rises evenly from 0 in the first.
    """

    def __init__(self, form: SvfapForm, outputs: int, drop_path: float = 0.1) -> None:
        super().__init__(form, drop_path)
        self.form = form
        self.apply(draw_normal)
        self.fc_norm = form.blocks().norm()
        self.head = nn.Linear(form.width, outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        with torch.no_grad():
            self.head.weight.mul_(0.001)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        has_video: Tensor | None = None,
        has_audio: Tensor | None = None,
    ) -> Tensor:
        """The (B, K) outputs; see `HicmaeClassifier`. Audio is ignored."""
        outputs: Tensor = self.head(self.normalised(*self.features(video, audio, has_video, has_audio)))
        return outputs

    def features(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        has_video: Tensor | None = None,
        has_audio: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The (B, C) mean over the tokens of the last stage, before the last norm; and None, as all values count.

        Raises:
            ShapeError: the batch has no video, or a clip of it has none.
        """
        if video is None or (has_video is not None and not has_video.all()):
            raise ShapeError(expected='clips with video', came='clips without', todo='leave them out')
        return self.clip_stages(video)[-1].mean(dim=(1, 2)), None

    def normalised(self, features: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """The (B, C) features through the last norm."""
        normal: Tensor = self.fc_norm(features)
        return normal

    def clip_stages(self, video: Tensor) -> list[Tensor]:
        """The (B, T, S, C) output of each stage for (B, 3, T, Y, X) frames."""
        tokens = self.patch_embed(video)
        tokens = tokens + position_table(tokens.shape[1], tokens.shape[2], tokens)
        slices = video.shape[2] // TUBE[0]
        return self.stages(tokens.unflatten(1, (slices, -1)))  # (B, T, S, C)

    def layers_by_depth(self) -> list[nn.Module]:
        """The embedding and the blocks from input to output: see `layered_groups`."""
        return [self.patch_embed, *self.blocks]


class _Encoder(Pyramid):
    """The encoder as saved by pre-training: with its own norm."""

    def __init__(self, form: SvfapForm) -> None:
        super().__init__(form)
        self.norm = form.blocks().norm()


class _Decoder(nn.Module):
    def __init__(self, form: SvfapForm) -> None:
        super().__init__()
        blocks = form.decoder_blocks()
        self.blocks = nn.ModuleList([Block(blocks) for _ in range(form.decoder_depth)])
        self.norm = blocks.norm()
        self.head = Linear(form.decoder_width, 3 * TUBE[0] * TUBE[1] * TUBE[2])

    def forward(self, tokens: Tensor, masked: int) -> Tensor:
        """The last `masked` of (B, N, D) tokens as (B, M, D), from which the head predicts patches."""
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens)
        # the last block's output for visible tokens is not used
        hidden: Tensor = self.norm(last(tokens[:, -masked:], tokens))
        return hidden


class SvfapPretraining(nn.Module):
    """Reconstructs the hidden patches of a clip from the tokens of three stages, upsampled in time and added.

    Args:
        form: the size.
    """

    def __init__(self, form: SvfapForm) -> None:
        super().__init__()
        self.form = form
        self.encoder = _Encoder(form)
        self.encoder_to_decoder = Linear(form.width, form.decoder_width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, form.decoder_width))
        self.decoder = _Decoder(form)
        self.apply(draw_xavier)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, video: Tensor, video_mask: Tensor) -> Tensor:
        """The (B, M, 1536) reconstructed hidden patches.

        Args:
            video: (B, 3, T, Y, X) frames, normalised by the statistics of ImageNet.
            video_mask: (B, N) bool, True where hidden: the same cells in each time slice, equally many in each clip.
        """
        rebuilt: Tensor = self.decoder.head(self._hidden(tubes(video), *self._split(video_mask)))
        return rebuilt

    def losses(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        video_mask: Tensor | None = None,
        audio_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """`video`, the mean squared error of a batch; audio is ignored. See `HicmaePretraining.losses`."""
        if video is None or video_mask is None:
            raise ShapeError(expected='clips with video, and a mask', came='none', todo='give both')
        patches, (visible, masked) = tubes(video), self._split(video_mask)
        hidden, truth = self._hidden(patches, visible, masked), partial(video_truth, is_difference=False)
        return {'video': rebuilding_error(self.decoder.head, hidden, patches, masked, truth)}

    def encoded(self, patches: Tensor, visible: Tensor) -> Tensor:
        """The (B, V, C) visible tokens: the normalised sum of all stages, upsampled to the slices of the first."""
        encoder, count = self.encoder, patches.shape[1]
        table = position_table(count, self.form.width, patches)
        if self.form.is_published_wiring:
            all_tokens = encoder.patch_embed.of_patches(patches) + table  # (B, N, C)
            tokens = taken(all_tokens, visible)  # (B, V, C)
        else:
            all_tokens = None
            tokens = encoder.patch_embed.of_patches(taken(patches, visible)) + table[visible]
        slices = self.form.video_grid[0]
        stages = encoder.stages(tokens.unflatten(1, (slices, -1)), all_tokens)  # each (B, T, S, C)
        total = stages[0].flatten(1, 2)  # (B, T * S, C)
        for number, stage in enumerate(stages[1:], 1):
            if self.form.is_published_wiring:  # reshaped as the previous stage's slices, each half as large
                stage = stage.flatten(1, 2).unflatten(1, (2 * stage.shape[1], -1))  # (B, 2T, S / 2, C)
            total = total + stage.repeat_interleave(2**number, dim=1).flatten(1, 2)
        normal: Tensor = encoder.norm(total)
        return normal

    def _hidden(self, patches: Tensor, visible: Tensor, masked: Tensor) -> Tensor:
        """The (B, M, D) tokens of the hidden patches."""
        narrow = self.encoder_to_decoder(self.encoded(patches, visible))  # (B, V, D)
        table = position_table(patches.shape[1], narrow.shape[2], narrow)
        sequence = torch.cat([narrow + table[visible], self.mask_token.to(narrow.dtype) + table[masked]], dim=1)
        hidden: Tensor = self.decoder(sequence, masked.shape[1])
        return hidden

    def _split(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Visible and hidden tokens.

        Raises:
            ShapeError: the mask has another grid, or differs between time slices.
        """
        slices, *plane = self.form.video_grid
        cells = plane[0] * plane[1]
        is_tube = mask.ndim == 2 and mask.shape[1] == slices * cells
        if not is_tube or (mask.unflatten(1, (slices, cells)) != mask[:, None, :cells]).any():  # (B, slices, cells)
            raise ShapeError(
                expected=f'a mask of {slices} time slices of {cells} tokens that hides the same in each',
                came=f'{tuple(mask.shape)}',
                todo='draw a tube mask for the grid of the form',
            )
        return split_tokens(mask)


def _halved(tokens: Tensor, halve: nn.Module) -> Tensor:
    """(B, T, S, C) to (B, T / 2, S, C) by a convolution in time of stride 2 for each token."""
    clips = tokens.shape[0]
    series = tokens.permute(0, 2, 3, 1).flatten(0, 1)  # (B, S, C, T), then (B * S, C, T)
    halved: Tensor = halve(series).unflatten(0, (clips, -1))  # (B * S, C, T / 2), then (B, S, C, T / 2)
    return halved.permute(0, 3, 1, 2)  # (B, T / 2, S, C)
