"""Masks of pre-training: fixed numbers, tubes through time, and the rule by which the stored masks were drawn."""

from __future__ import annotations

import fusion_reference as reference
import numpy as np
import pytest
import torch

from affekt.errors import ValueRangeError
from affekt.pretraining.masking import (
    cell_mask,
    in_all_slices,
    mask_of_noise,
    masked_count,
    tube_mask,
)
from affekt.pretraining.rebuilding import split_tokens


def _seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_cells_of_the_smallest_noise_stay_visible_in_all_slices():
    noise = torch.tensor([[0.8, 0.1, 0.5, 0.9]])
    mask = in_all_slices(mask_of_noise(noise, 3), 2)
    assert mask.int().tolist() == [[1, 0, 1, 1, 1, 0, 1, 1]]


def test_of_equal_noise_the_first_stay_visible():
    assert mask_of_noise(torch.zeros(1, 4), 3).int().tolist() == [[0, 1, 1, 1]]


@pytest.mark.parametrize('size', ['tiny', 'small', 'base'])
def test_masks_equal_the_stored_ones(shared_data, size):
    stored = np.load(shared_data / 'vectors' / f'hicmae_{size}_pretrain.npz')
    video = torch.stack([torch.from_numpy(reference.uniform(f'vmask{b}', 100)) for b in range(2)])
    audio = torch.stack([torch.from_numpy(reference.uniform(f'amask{b}', 128)) for b in range(2)])
    video_mask = in_all_slices(mask_of_noise(video, masked_count(100, 0.9)), 8)
    audio_mask = mask_of_noise(audio, masked_count(128, 0.8))
    assert np.array_equal(video_mask, stored['mask_video'].reshape(2, 800))
    assert np.array_equal(audio_mask, stored['mask_audio'].reshape(2, 128))


def test_published_counts_are_90_of_100_cells_and_102_of_128():
    assert (masked_count(100, 0.9), masked_count(128, 0.8)) == (90, 102)
    mask, mask_audio = tube_mask(3, rng=_seeded()), cell_mask(3, rng=_seeded())
    assert (mask.shape, mask.sum(dim=1).tolist()) == ((3, 800), [720] * 3)
    assert (mask_audio.shape, mask_audio.sum(dim=1).tolist()) == ((3, 128), [102] * 3)


def test_a_tube_hides_the_same_cells_in_every_slice_and_other_cells_in_every_clip():
    mask = tube_mask(4, (4, 6, 6), 0.75, rng=_seeded()).unflatten(1, (4, 36))
    assert bool((mask == mask[:, :1]).all())
    assert len(mask[:, 0].unique(dim=0)) == 4


def test_every_cell_is_hidden_as_often_as_any_other():
    # 2,000 draws of 4 of 5: binomial, deviation sqrt(2000 · .8 · .2) = 18 around 1,600
    counts = cell_mask(2000, (1, 5), 0.8, rng=_seeded()).sum(dim=0)
    assert bool(((counts - 1600).abs() < 4 * 18).all())


def test_a_seed_decides_the_masks():
    assert torch.equal(tube_mask(2, rng=_seeded()), tube_mask(2, rng=_seeded()))
    assert not torch.equal(tube_mask(2, rng=_seeded()), tube_mask(2, rng=_seeded(4)))


def test_networks_gather_what_the_mask_selects():
    mask, tokens = tube_mask(2, rng=_seeded()), torch.arange(1600).reshape(2, 800)
    visible, masked = split_tokens(mask)
    assert torch.equal(torch.take_along_dim(tokens, visible, 1), tokens[~mask].reshape(2, 80))
    assert torch.equal(torch.take_along_dim(tokens, masked, 1), tokens[mask].reshape(2, 720))


def test_shares_that_cannot_be_are_refused():
    for ratio in (0.0, 1.0, -0.5, float('nan'), 0.001):
        with pytest.raises(ValueRangeError, match='hides one at least'):
            tube_mask(1, ratio=ratio, rng=_seeded())
