"""Patches as tokens, as targets, and put together again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from affekt.errors import ShapeError, ValueRangeError
from affekt.nn import PatchEmbedding, from_patches, planes, standardised_patches, to_patches

IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1, 1)
IMAGENET_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1, 1)


def test_a_picture_of_two_by_four_is_cut_as_documented():
    # a b c d / e f g h becomes (a b e f), (c d g h)
    patches = to_patches(torch.arange(8.0).view(1, 1, 2, 4), (2, 2))
    assert patches.squeeze(3).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]]]


def test_channels_of_a_cell_stand_together():
    pixels = torch.stack([torch.arange(4.0), torch.arange(4.0) + 10]).view(1, 2, 2, 2)
    assert to_patches(pixels, (2, 2)).flatten(2).tolist() == [[[0, 10, 1, 11, 2, 12, 3, 13]]]


def test_each_channel_of_what_was_cut_lies_in_one_piece():
    pixels = torch.stack([torch.arange(4.0), torch.arange(4.0) + 10]).view(1, 2, 2, 2)
    for patches in (to_patches(pixels, (2, 2)), standardised_patches(to_patches(pixels, (2, 2)))):
        assert planes(patches).is_contiguous()
    assert planes(to_patches(pixels, (2, 2))).tolist() == [[[[0, 1, 2, 3], [10, 11, 12, 13]]]]


@pytest.mark.parametrize(
    ('pixels', 'size', 'grid'),
    [((2, 3, 6, 8), (3, 2), (2, 4)), ((2, 3, 4, 6, 10), (2, 3, 5), (2, 2, 2)), ((1, 1, 16, 8), (16, 8), (1, 1))],
)
def test_patches_put_together_are_what_was_cut(pixels, size, grid):
    drawn = torch.randn(*pixels, generator=torch.Generator().manual_seed(0))
    patches = to_patches(drawn, size)
    assert patches.shape == (pixels[0], np.prod(grid), np.prod(size), pixels[1])
    assert torch.equal(from_patches(patches, size, grid), drawn)


@pytest.mark.parametrize(('pixels', 'size'), [((2, 1, 32, 16), (16, 8)), ((2, 3, 4, 6, 8), (2, 3, 4))])
def test_the_embedding_is_one_linear_map_of_the_cut_patches(pixels, size):
    torch.manual_seed(0)
    embedding = PatchEmbedding(pixels[1], 5, size)
    drawn = torch.randn(*pixels)
    weight = to_patches(embedding.proj.weight, size)[:, 0]  # (D, P, C): the kernel is one patch
    expected = torch.einsum('bnpc,dpc->bnd', to_patches(drawn, size), weight) + embedding.proj.bias
    torch.testing.assert_close(embedding(drawn), expected, rtol=0, atol=1e-5)
    embedding(drawn).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in embedding.parameters())


def test_the_embedding_has_the_published_names_and_shapes():
    video, audio = PatchEmbedding(3, 6, (2, 16, 16)), PatchEmbedding(1, 6, (16, 16))
    assert {name: tuple(value.shape) for name, value in video.state_dict().items()} == {
        'proj.weight': (6, 3, 2, 16, 16), 'proj.bias': (6,),
    }  # fmt: skip
    assert audio.proj.weight.shape == (6, 1, 16, 16)
    assert audio(torch.zeros(1, 1, 256, 128)).shape == (1, 128, 6)


def test_a_standardised_patch_has_mean_zero_and_deviation_one_in_each_channel():
    patches = 3 * torch.randn(2, 4, 50, 3, generator=torch.Generator().manual_seed(0)) + 7
    standard = standardised_patches(patches)
    torch.testing.assert_close(standard.mean(dim=2), torch.zeros(2, 4, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(standard.std(dim=2), torch.ones(2, 4, 3), rtol=0, atol=1e-5)
    assert (standardised_patches(torch.full((1, 1, 4, 1), 5.0)) == 0).all()


def test_targets_are_those_of_the_published_pretraining(shared_data):
    from fusion_reference import uniform

    published = np.load(shared_data / 'vectors' / 'hicmae_tiny_pretrain.npz')
    video = torch.tensor(uniform('video', 2, 3, 16, 160, 160).astype(np.float32))
    audio = torch.tensor(uniform('audio', 2, 1, 256, 128).astype(np.float32))
    pixels = video * IMAGENET_DEVIATION + IMAGENET_MEAN
    masked = torch.from_numpy(published['mask_audio'])
    targets = standardised_patches(to_patches(audio, (16, 16))).flatten(2)
    targets = targets[masked].view(2, -1, 256)[:, :4, :64]
    np.testing.assert_allclose(targets, published['target_audio_slice'], atol=1e-5)
    masked = torch.from_numpy(published['mask_video'])
    targets = standardised_patches(to_patches(pixels, (2, 16, 16))).flatten(2)
    targets = targets[masked].view(2, -1, 1536)[:, :4, :64]
    np.testing.assert_allclose(targets, published['target_video_slice'], atol=1e-5)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r'each a multiple of its patch \(16, 16\)'):
        to_patches(torch.zeros(1, 1, 30, 32), (16, 16))
    with pytest.raises(ShapeError, match='2 of them'):
        to_patches(torch.zeros(1, 1, 2, 16, 16), (16, 16))
    with pytest.raises(ShapeError, match='3 channels'):
        PatchEmbedding(3, 4, (2, 2))(torch.zeros(1, 1, 2, 2))
    with pytest.raises(ShapeError, match=r'\(B, 4, 4, C\)'):
        from_patches(torch.zeros(1, 2, 4, 1), (2, 2), (2, 2))
    with pytest.raises(ValueRangeError, match='two or three sizes'):
        PatchEmbedding(3, 4, (2,))
