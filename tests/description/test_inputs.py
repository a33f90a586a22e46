from __future__ import annotations

import numpy as np
import pytest
import torch

from affekt.description import normalised_sound, read_clips, spread, stretches
from affekt.errors import CorpusError, MediaError, ShapeError, ValueRangeError


def test_stretches_start_evenly_from_the_first_possible_to_the_last():
    sound = np.arange(10, dtype=np.float32)
    # 10 samples at 2 Hz are 5 s; stretches of 2 s are 4 samples, so that starts go from 0 to 6
    assert stretches(sound, 2, count=4)[:, 0].tolist() == [0, 2, 4, 6]
    assert stretches(sound, 2).shape == (8, 4)
    assert stretches(sound, 2)[-1].tolist() == [6, 7, 8, 9]


def test_a_short_sound_is_filled_with_zeros_and_channels_are_averaged():
    assert stretches(np.ones(3, np.float32), 2, count=2).tolist() == [[1, 1, 1, 0]] * 2
    six = np.arange(6, dtype=np.float32)[:, None].repeat(8, axis=1)
    assert np.unique(stretches(six, 2)).tolist() == [2.5]
    with pytest.raises(ShapeError, match='leave out'):
        stretches(np.zeros(0, np.float32), 16000)


def test_a_clip_sounds_the_same_whatever_stands_beside_it_unless_as_published():
    batch = torch.randn(3, 8, 50, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 0.1]).view(
        3, 1, 1
    )
    alone = torch.cat([normalised_sound(batch[row : row + 1]) for row in range(3)])
    torch.testing.assert_close(normalised_sound(batch), alone)
    published = normalised_sound(batch, over='batch')
    assert not torch.allclose(published[2], alone[2], atol=0.5)
    torch.testing.assert_close(normalised_sound(batch[:1], over='batch'), alone[:1])  # as published when asked of one
    assert float(published.mean().abs()) < 1e-5


def test_the_published_normalisation_is_that_of_transformers_over_all_numbers():
    from transformers import Wav2Vec2FeatureExtractor

    batch = torch.randn(2, 8, 40, generator=torch.Generator().manual_seed(1)) * 3 + 1
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True).zero_mean_unit_var_norm([batch.numpy().reshape(-1)], None)[0]
    np.testing.assert_allclose(normalised_sound(batch, over='batch').flatten(), theirs, atol=1e-5)


def test_silence_stays_silence():
    assert not normalised_sound(torch.zeros(1, 8, 10)).any()


@pytest.mark.parametrize(('batch', 'over'), [(torch.zeros(8, 10), 'clip'), (torch.zeros(1, 8, 10), 'corpus')])
def test_other_shapes_and_ranges_of_normalisation_are_refused(batch, over):
    with pytest.raises((ShapeError, ValueRangeError)):
        normalised_sound(batch, over=over)


def test_there_are_always_as_many_frames_as_wanted():
    for count in range(1, 400):
        chosen = spread(count)
        assert len(chosen) == 8
        assert chosen == sorted(chosen)
        assert 0 <= chosen[0] <= chosen[-1] < count
    with pytest.raises(ValueRangeError, match='at least one frame to choose'):
        spread(0)


def _read(name: str) -> str:
    if name.startswith('bad'):
        raise MediaError(expected='a face', came='none', todo='look')
    return name.upper()


NAMES = ['a', 'bad1', 'b', 'bad2', 'c']


def test_a_clip_that_cannot_be_read_is_left_out_and_counted():
    outcome = read_clips(NAMES, _read)
    assert outcome.clips == {'a': 'A', 'b': 'B', 'c': 'C'}
    assert list(outcome.failures) == ['bad1', 'bad2']
    assert 'a face' in outcome.failures['bad1']


def test_such_clips_can_be_refused():
    with pytest.raises(CorpusError, match=r'2 that cannot .*bad1.*bad2'):
        read_clips(NAMES, _read, unreadable='refuse')
    with pytest.raises(CorpusError, match='1 that cannot'):
        read_clips(['bad1'], _read)


def test_the_published_replacement_puts_another_clip_under_the_name_and_is_counted():
    outcome = read_clips(NAMES, _read, unreadable='replace', rng=np.random.default_rng(0))
    assert list(outcome.clips) == NAMES
    assert set(outcome.clips.values()) == {'A', 'B', 'C'}
    assert set(outcome.failures) == {'bad1', 'bad2'}
