"""The parts put together as HiCMAE publishes its network: its names load strictly, and its outputs come out."""

from __future__ import annotations

import fusion_reference as reference
import numpy as np
import torch
from torch import Tensor, nn

from affekt.nn import Block, BlockForm, CrossSelfBlock, PatchEmbedding, sinusoids

FORM = BlockForm(width=256, heads=4)


class _Encoder(nn.Module):
    def __init__(self, channels: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.patch_embed = PatchEmbedding(channels, FORM.width, size)
        self.blocks = nn.ModuleList([Block(FORM) for _ in range(10)])
        self.norm = FORM.norm()

    def forward(self, pixels: Tensor) -> Tensor:
        """The normalised output of each block: (10, B, N, D)."""
        tokens = self.patch_embed(pixels)
        tokens = tokens + sinusoids(*tokens.shape[1:])
        layers = []
        for block in self.blocks:
            tokens = block(tokens)
            layers.append(self.norm(tokens))
        return torch.stack(layers)


class _Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([CrossSelfBlock(FORM) for _ in range(2)])
        self.blocks_audio = nn.ModuleList([CrossSelfBlock(FORM) for _ in range(2)])
        self.norm, self.norm_audio = FORM.norm(), FORM.norm()

    def forward(self, video: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        for block, block_audio in zip(self.blocks, self.blocks_audio, strict=True):
            video, audio = block(video, audio), block_audio(audio, video)
        return self.norm(video), self.norm_audio(audio)


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.encoder_audio = _Encoder(3, (2, 16, 16)), _Encoder(1, (16, 16))
        self.encoder_fusion = _Fusion()
        self.video_layer_weights = nn.Parameter(torch.full((10,), 0.1))
        self.audio_layer_weights = nn.Parameter(torch.full((10,), 0.1))
        self.fc_norm, self.head = FORM.norm(4 * FORM.width), nn.Linear(4 * FORM.width, 6)

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        layers, layers_audio = self.encoder(video), self.encoder_audio(audio)  # (10, B, N, D)
        weighed = torch.einsum('l,lbd->bd', self.video_layer_weights.softmax(0), layers.mean(dim=2))
        weighed_audio = torch.einsum('l,lbd->bd', self.audio_layer_weights.softmax(0), layers_audio.mean(dim=2))
        fused = self.encoder_fusion(layers[-1], layers_audio[-1])
        joined = torch.cat([weighed, weighed_audio, *(tokens.mean(dim=1) for tokens in fused)], dim=1)  # (B, 4D)
        return self.head(self.fc_norm(joined))


def test_hicmae_made_of_these_parts_answers_as_published(shared_data):
    # golden values: hicmae_tiny_finetune.npz, the published code under a state filled from its names
    lines = (shared_data / 'vectors' / 'hicmae_tiny_finetune.keys.txt').read_text().splitlines()[1:]
    shapes = {name: tuple(int(n) for n in shape[1:-1].split(',')) for name, shape, _ in (r.split('\t') for r in lines)}
    network = _Network().eval()
    network.load_state_dict({name: reference.filled(name, shape) for name, shape in shapes.items()}, strict=True)
    video = torch.tensor(reference.uniform('video', 2, 3, 16, 160, 160).astype(np.float32))
    audio = torch.tensor(reference.uniform('audio', 2, 1, 256, 128).astype(np.float32))
    with torch.no_grad():
        logits = network(video, audio)
    published = np.load(shared_data / 'vectors' / 'hicmae_tiny_finetune.npz')['logits']
    np.testing.assert_allclose(logits, published, rtol=0, atol=1e-5)
