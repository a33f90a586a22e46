"""The audio front end: equal to stored rows of Kaldi's filterbank, and its rules one by one."""

from __future__ import annotations

import fusion_reference as reference
import numpy as np
import pytest
import torch

from affekt.errors import ShapeError, ValueRangeError
from affekt.pretraining.spectrograms import (
    DEVIATION,
    FILLED,
    MEAN,
    filterbank,
    filterbanks,
    frame_count,
    log_mel,
    mel_weights,
)

ROWS_STORED = [0, 1, 50, 99, 100, 200, 255]


def _signal(name: str, samples: int) -> np.ndarray:
    if name == 'noise':
        return (0.2 * reference.uniform('noise', samples)).astype(np.float32)
    t = np.arange(samples) / 16000
    tones = 0.3 * np.sin(2 * np.pi * 220 * t) + 0.2 * np.sin(2 * np.pi * 1000 * t)
    return (tones + 0.1 * np.sin(2 * np.pi * (300 + 900 * t) * t)).astype(np.float32)


@pytest.mark.parametrize(
    ('name', 'samples', 'frames'),
    [('tones', 40960, 254), ('tones', 20000, 123), ('noise', 50000, 311), ('noise', 16000, 98)],
)
def test_spectrogram_equals_kaldis_filterbank(shared_data, name, samples, frames):
    stored = np.load(shared_data / 'vectors' / 'fbank_kaldi_128x256.npz')
    prefix, sound = f'{name}_{samples}', _signal(name, samples)
    raw, rows = log_mel(sound), filterbank(sound)
    assert len(raw) == frames == int(stored[f'{prefix}_nframes'])
    # float32 transforms differ between processors, by up to 6e-4 in the logarithm where there is hardly any energy
    for ours, kaldis in (
        (raw[:3].numpy(), stored[f'{prefix}_raw_first3']),
        (raw[-1].numpy(), stored[f'{prefix}_raw_last']),
    ):
        np.testing.assert_allclose(np.exp(ours), np.exp(kaldis), rtol=5e-5, atol=1e-8)
        np.testing.assert_allclose(ours, kaldis, atol=1e-3)
    np.testing.assert_allclose(rows[ROWS_STORED], stored[f'{prefix}_norm_rows'], atol=1e-4)
    mean, deviation = stored[f'{prefix}_norm_stats'][:2]
    assert (float(rows.mean()), float(rows.std())) == pytest.approx((mean, deviation), abs=1e-5)


def test_fourth_triangle_lies_between_two_bins_and_the_last_bin_is_in_none():
    weights = mel_weights()
    assert weights.shape == (257, 128)
    assert torch.nonzero(weights.sum(dim=0) == 0).flatten().tolist() == [3]
    assert float(weights[-1].abs().max()) == 0.0


def test_bin_of_1_khz_is_shared_by_its_two_triangles_by_distance_in_mel():
    # mel(20) = 31.7486, mel(8000) = 2840.0377, 129 steps of 21.7697; mel(1000) = 999.9907 is 44.4766 steps above the
    # lowest edge: triangle 43, which peaks at step 44, has 1 - .4766 of it, and triangle 44 has .4766
    row = mel_weights()[32]
    assert torch.nonzero(row).flatten().tolist() == [43, 44]
    assert row[[43, 44]].tolist() == pytest.approx([0.5234, 0.4766], abs=1e-4)


def test_frames_lie_wholly_within_the_sound():
    # 400 samples a frame, 160 apart: 719 = 400 + 160 + 159 holds two, one sample more a third
    assert [frame_count(n) for n in (0, 399, 400, 559, 560, 719, 720)] == [0, 0, 1, 1, 2, 2, 3]


def test_rows_beyond_the_end_are_zero_before_normalisation():
    rows = filterbank(_signal('noise', 560))
    # (0 + 4.2677393) / (2 · 4.5689974) = .46703
    assert rows[2:].unique().tolist() == pytest.approx([0.46703], abs=1e-5)
    assert pytest.approx(0.46703, abs=1e-5) == FILLED
    assert not bool((rows[:2] == rows[2]).all())


def test_silence_lies_at_the_floor():
    # ln 2**-23 = -15.9424, normalised (-15.9424 + 4.2677) / 9.1380 = -1.27760
    rows = filterbank(np.zeros(720, np.float32))
    assert rows[:3].unique().tolist() == pytest.approx([-1.27760], abs=1e-4)


def test_a_constant_added_to_a_sound_changes_nothing():
    sound = _signal('noise', 8000)
    torch.testing.assert_close(filterbank(sound + np.float32(0.25)), filterbank(sound), atol=1e-3, rtol=0)


def test_twice_the_amplitude_adds_log_of_four_to_every_band():
    sound = _signal('noise', 8000)
    rise = log_mel(2 * sound) - log_mel(sound)
    filled = mel_weights().sum(dim=0) > 0
    torch.testing.assert_close(rise[:, filled], torch.full_like(rise[:, filled], 1.3862944), atol=1e-4, rtol=0)


def test_of_a_long_sound_the_first_rows_are_taken_but_the_mean_of_all_is_taken_away():
    sound = _signal('noise', 50000)
    torch.testing.assert_close(filterbank(sound)[:256], (log_mel(sound)[:256] - MEAN) / (2 * DEVIATION))


def test_sounds_of_any_lengths_at_once_are_the_same_as_each_alone():
    sounds = [_signal('noise', samples) for samples in (8000, 100, 50000)]
    together = filterbanks(sounds, rows=64)
    assert together.shape == (3, 64, 128)
    for rows, sound in zip(together, sounds, strict=True):
        torch.testing.assert_close(rows, filterbank(sound, rows=64), atol=1e-5, rtol=0)


def test_wrong_sounds_are_refused():
    with pytest.raises(ShapeError, match='mix the channels down'):
        filterbank(np.zeros((2, 8000), np.float32))
    with pytest.raises(ValueRangeError, match='0 rows'):
        filterbank(np.zeros(8000, np.float32), rows=0)
    with pytest.raises(ValueRangeError, match='for 0 clips'):
        filterbanks([])
