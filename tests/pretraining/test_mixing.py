"""Mixup and CutMix of clips: values by hand, targets that match what is seen and heard, batches of any number."""

from __future__ import annotations

import pytest
import torch

from affekt.errors import ShapeError, ValueRangeError
from affekt.pretraining.batches import ClipBatch
from affekt.pretraining.mixing import Mixing, cut_box, mixed, soft_targets

MIXUP, CUTMIX = Mixing(cutmix=0), Mixing(mixup=0)


def _rng(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _batch(size: int, video: bool = True, audio: bool = True) -> ClipBatch:
    """Clip i holds i everywhere, so that a mean is the share of each."""
    clip = torch.arange(float(size))
    return ClipBatch(
        clip[:, None, None, None, None].expand(size, 3, 2, 20, 20).clone() if video else None,
        clip[:, None, None, None].expand(size, 1, 64, 8).clone() if audio else None,
        torch.full((size,), video),
        torch.full((size,), audio),
    )


def _identity(size: int) -> torch.Tensor:
    return torch.eye(size)


def test_soft_targets_spread_the_smoothing_over_all_classes():
    # .1 / 4 = .025 each, the label 1 - .1 + .025 = .925
    rows = soft_targets(torch.tensor([1, 3]), 4)
    expected = torch.tensor([[0.025, 0.925, 0.025, 0.025], [0.025, 0.025, 0.025, 0.925]])
    torch.testing.assert_close(rows, expected)
    assert soft_targets(torch.tensor([0]), 2, smoothing=0).tolist() == [[1, 0]]


def test_mixup_keeps_a_share_of_pictures_sound_and_target():
    batch, targets = mixed(_batch(4), _identity(4), MIXUP, _rng())
    share = float(targets[0, 0])
    assert 0 < share < 1
    expected = torch.tensor([share * i + (1 - share) * (3 - i) for i in range(4)])
    for part in (batch.video, batch.audio):
        torch.testing.assert_close(part.flatten(1), expected[:, None].expand(4, part[0].numel()))
    torch.testing.assert_close(targets, share * _identity(4) + (1 - share) * _identity(4).flip(0))


@pytest.mark.parametrize('seed', range(8))
def test_cutmix_takes_as_much_of_picture_and_sound_as_the_target_says(seed):
    batch, targets = mixed(_batch(2), _identity(2), CUTMIX, _rng(seed))
    taken = float(targets[0, 1])
    assert float(batch.video[0].mean()) == pytest.approx(taken, abs=1e-6)
    # the stretch of sound is a whole number of its 64 rows
    assert float(batch.audio[0].mean()) == pytest.approx(taken, abs=0.5 / 64 + 1e-6)
    assert set(batch.video.unique().tolist()) <= {0.0, 1.0}
    assert bool((batch.video == batch.video[:, :1, :1]).all())
    assert bool((batch.audio == batch.audio[..., :1]).all())


def test_published_mixing_leaves_the_sound_alone():
    for mixing in (Mixing(cutmix=0, mixes_audio=False), Mixing(mixup=0, mixes_audio=False)):
        batch, targets = mixed(_batch(2), _identity(2), mixing, _rng())
        assert torch.equal(batch.audio, _batch(2).audio)
        assert float(targets[0, 1]) > 0


def test_where_nothing_is_mixed_targets_are_not_either():
    for mixing in (Mixing(cutmix=0, mixes_audio=False), Mixing(mixup=0, mixes_audio=False)):
        batch, targets = mixed(_batch(2, video=False), _identity(2), mixing, _rng())
        assert torch.equal(batch.audio, _batch(2).audio)
        assert torch.equal(targets, _identity(2))


@pytest.mark.parametrize('mixing', [MIXUP, CUTMIX])
def test_of_an_odd_number_the_clip_in_the_middle_stays_itself(mixing):
    batch, targets = mixed(_batch(3), _identity(3), mixing, _rng())
    assert targets[1].tolist() == [0, 1, 0]
    assert batch.video[1].unique().tolist() == batch.audio[1].unique().tolist() == [1]
    assert float(targets[0, 2]) == float(targets[2, 0]) > 0
    alone, target = mixed(_batch(1), _identity(1), mixing, _rng())
    assert torch.equal(alone.video, _batch(1).video)
    assert target.tolist() == [[1]]


@pytest.mark.parametrize('mixing', [MIXUP, CUTMIX])
def test_clips_of_other_modalities_are_not_mixed_with_each_other(mixing):
    batch = _batch(4)._replace(has_audio=torch.tensor([False, True, True, True]))
    result, targets = mixed(batch, _identity(4), mixing, _rng())
    assert torch.equal(targets[[0, 3]], _identity(4)[[0, 3]])
    assert torch.equal(result.video[[0, 3]], batch.video[[0, 3]])
    assert torch.equal(result.audio[[0, 3]], batch.audio[[0, 3]])
    assert float(targets[1, 2]) > 0


@pytest.mark.parametrize('seed', range(4))
def test_sound_alone_is_mixed_to_the_row(seed):
    batch, targets = mixed(_batch(2, video=False), _identity(2), CUTMIX, _rng(seed))
    assert batch.video is None
    assert float(batch.audio[0].mean()) == pytest.approx(float(targets[0, 1]), abs=1e-6)


def test_box_is_cut_off_at_the_edges_and_the_share_is_of_what_is_left():
    # 20 pixels, share .75: sides of 20 · sqrt(.25) = 10, so 5 to both sides of the centre
    generator, seen = _rng(), set()
    for _ in range(200):
        (rows, columns), share = cut_box(20, 20, 0.75, generator)
        seen.add((rows.start, rows.stop))
        assert share == 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / 400
    assert seen == {(max(c - 5, 0), min(c + 5, 20)) for c in range(20)}


def test_half_of_the_batches_are_cut_and_shares_follow_their_distributions():
    # Beta(.8, .8) has variance 1 / (4 · 2.6) = .0962; 400 draws
    generator, cut, shares = _rng(), 0, []
    for _ in range(800):
        batch, targets = mixed(_batch(2), _identity(2), Mixing(), generator)
        is_cut = len(batch.video[0].unique()) > 1 or float(targets[0, 0]) in (0.0, 1.0)
        cut += is_cut
        shares += [] if is_cut else [float(targets[0, 0])]
    assert abs(cut - 400) < 4 * 14.1
    assert float(torch.tensor(shares).var()) == pytest.approx(0.0962, abs=0.015)


def test_a_batch_that_is_not_drawn_stays_as_it_is():
    batch, targets = _batch(2), _identity(2)
    result, same = mixed(batch, targets, Mixing(probability=0), _rng())
    assert result is batch
    assert same is targets


def test_given_tensors_are_not_changed_and_a_seed_decides():
    batch = _batch(4)
    first = mixed(batch, _identity(4), Mixing(), _rng())
    assert torch.equal(batch.video, _batch(4).video)
    second = mixed(batch, _identity(4), Mixing(), _rng())
    assert torch.equal(first[0].video, second[0].video)
    assert torch.equal(first[1], second[1])


def test_mixing_that_cannot_be_is_refused():
    for options in ({'mixup': 0, 'cutmix': 0}, {'mixup': -1}, {'probability': 2}, {'cutmix': float('nan')}):
        with pytest.raises(ValueRangeError, match='not both 0'):
            Mixing(**options)
    for labels in ([-1, 0], [0, 2]):
        with pytest.raises(ValueRangeError, match='labels from 0 to 1'):
            soft_targets(torch.tensor(labels), 2)
    with pytest.raises(ShapeError, match='make labels soft'):
        mixed(_batch(2), torch.tensor([0, 1]), Mixing(), _rng())
