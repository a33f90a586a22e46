"""Published changes of clips: boxes, mirroring, erasing, shift, gain, hidden stretches; drawn from one generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from affekt.clips import Clip
from affekt.errors import ValueRangeError
from affekt.pretraining.augmentation import (
    Augmentation,
    ScaledCrop,
    SoundChanges,
    TuningPictures,
    cropped_box,
    evaluation_augmentation,
    pretraining_augmentation,
    tuning_augmentation,
    with_noise,
)
from affekt.pretraining.batches import collate, normalised_frames
from affekt.pretraining.spectrograms import FILLED


def _rng(seed: int = 11) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _frames(rng, count: int = 3, size: int = 32) -> torch.Tensor:
    return torch.from_numpy(rng.integers(0, 256, (count, 3, size, size), np.uint8))


def test_boxes_of_pretraining_have_the_published_sides_and_13_places():
    # of 160: 160, 140, 120 and int(105.6) = 105; neighbours in this list go together: 4 + 2 · 3 = 10 pairs
    generator = _rng()
    boxes = {ScaledCrop().box(160, 160, 160, generator) for _ in range(4000)}
    sides = {(height, width) for _, _, height, width in boxes}
    assert sides == {
        (160, 160), (160, 140), (140, 160), (140, 140), (140, 120), (120, 140), (120, 120), (120, 105), (105, 120),
        (105, 105),
    }  # fmt: skip
    # of 120 there is room for 40, in quarters of 10
    places = {(top, left) for top, left, *side in boxes if side == [120, 120]}
    corners = {(row, column) for row in (0, 20, 40) for column in (0, 20, 40)}
    assert places == corners | {(10, 10), (10, 30), (30, 10), (30, 30)}


def test_a_side_within_two_pixels_of_the_size_becomes_the_size():
    assert {ScaledCrop(scales=(1.0,)).box(162, 170, 160, _rng(seed))[2:] for seed in range(5)} == {(160, 160)}
    assert ScaledCrop(scales=(1.0,)).box(163, 170, 160, _rng())[2:] == (163, 163)


@pytest.mark.parametrize('side', [159, 158, 1])
def test_a_box_lies_within_frames_that_are_smaller_than_the_size(side):
    generator = _rng()
    for top, left, height, width in {ScaledCrop().box(side, side + 1, 160, generator) for _ in range(200)}:
        assert 0 <= top <= side - height < side
        assert 0 <= left <= side + 1 - width <= side


def test_a_box_is_resized_as_pillow_does(rng):
    frames, crop = _frames(rng, size=64), ScaledCrop()
    for seed in range(6):
        top, left, height, width = crop.box(64, 64, 48, _rng(seed))
        expected = [
            np.asarray(
                Image.fromarray(frame.permute(1, 2, 0).numpy())
                .crop((left, top, left + width, top + height))
                .resize((48, 48), Image.Resampling.BILINEAR)
            )
            for frame in frames
        ]
        planes = torch.from_numpy(np.stack(expected).transpose(0, 3, 1, 2).copy())
        apart = crop(frames, 48, _rng(seed)) - normalised_frames(planes)
        assert float(apart.abs().max()) <= 1.01 / (255 * 0.224)


def test_boxes_of_tuning_have_8_to_100_percent_of_the_area():
    generator = _rng()
    boxes = [cropped_box(160, 160, (0.08, 1.0), (3 / 4, 4 / 3), generator) for _ in range(500)]
    areas = np.array([height * width / 160**2 for _, _, height, width in boxes])
    ratios = np.array([width / height for _, _, height, width in boxes])
    assert (areas.min() > 0.07, areas.min() < 0.12, areas.max() <= 1, areas.max() > 0.9) == (True,) * 4
    assert (ratios.min() > 0.72, ratios.max() < 1.38) == (True, True)
    assert all(0 <= top <= 160 - height and 0 <= left <= 160 - width for top, left, height, width in boxes)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.06)  # uniform on [.08, 1], but large oblong boxes do not fit


def test_a_box_that_never_fits_is_the_largest_in_the_middle():
    # 10 x 100: at a ratio of width to height up to 2 the widest box is 20, from (100 - 20) / 2 = 40 on
    assert cropped_box(10, 100, (0.99, 1.0), (0.5, 2.0), _rng()) == (0, 40, 10, 20)
    assert cropped_box(100, 10, (0.99, 1.0), (0.5, 2.0), _rng()) == (40, 0, 20, 10)


def test_without_other_changes_a_clip_is_the_box_or_its_mirror_image(rng):
    frames = _frames(rng)
    whole = {'changes': None, 'areas': (1.0, 1.0), 'ratios': (1.0, 1.0), 'erased': 0.0}
    same = TuningPictures(**whole, mirrored=0.0)(frames, 32, _rng())
    torch.testing.assert_close(same, normalised_frames(frames))
    mirrored = TuningPictures(**whole, mirrored=1.0)(frames, 32, _rng())
    torch.testing.assert_close(mirrored, normalised_frames(frames.flip(-1)))


def test_a_block_of_noise_goes_through_all_frames():
    generator, areas = _rng(), []
    for _ in range(40):
        video = with_noise(torch.full((3, 4, 40, 40), 9.0), generator)
        changed = video != 9.0
        assert torch.equal(changed, changed[:1, :1].expand_as(changed))
        areas.append(float(changed[0, 0].float().mean()))
        noise = video[changed]
        assert abs(float(noise.mean())) < 5 / np.sqrt(len(noise))
    assert 0.015 < min(areas) < max(areas) < 0.35


def test_shift_turns_the_sound_round_and_gain_is_near_one():
    sound, generator = torch.arange(1.0, 2001.0), _rng()
    gains = []
    for _ in range(200):
        changed = SoundChanges()(sound, generator)
        gain = float(changed.max()) / 2000
        gains.append(gain)
        torch.testing.assert_close(changed.sort().values / gain, sound)
    # Beta(10, 10) has variance 1 / (4 · 21) = .0119, deviation .109, around 1 after .5 is added
    assert np.mean(gains) == pytest.approx(1.0, abs=0.03)
    assert np.std(gains) == pytest.approx(0.109, abs=0.02)
    assert int(changed.argmax()) != 1999


def test_published_sound_is_never_shifted_and_louder_or_softer_in_evaluation_too():
    sound = torch.arange(1.0, 2001.0)
    for augmentation in (
        pretraining_augmentation(reference=True),
        tuning_augmentation(reference=True),
        evaluation_augmentation(reference=True),
    ):
        changed = augmentation.sound(sound, _rng())
        assert int(changed.argmax()) == 1999
        assert float(changed[-1]) not in (0.0, 2000.0)
    assert evaluation_augmentation() is None


def test_hidden_stretches_are_what_lies_beyond_the_end_of_a_sound():
    spectrogram, generator = torch.zeros(60, 20), _rng()
    changes, rows, bands = SoundChanges(hidden_rows=12, hidden_bands=5), set(), set()
    for _ in range(200):
        is_hidden = changes.hidden(spectrogram, generator) == torch.tensor(FILLED)
        rows.add(int(is_hidden.all(dim=1).sum()))
        bands.add(int(is_hidden.all(dim=0).sum()))
    assert rows == set(range(12))
    assert bands == set(range(5))
    assert SoundChanges().hidden(spectrogram, generator) is spectrogram
    assert float(spectrogram.abs().max()) == 0.0
    wide = SoundChanges(hidden_rows=500).hidden(spectrogram, generator)
    assert wide.shape == (60, 20)
    with pytest.raises(ValueRangeError, match='widths'):
        SoundChanges(hidden_rows=-1)


def test_an_augmentation_without_changes_is_none(rng):
    clip = Clip('a', rng.integers(0, 256, (2, 16, 16, 3), np.uint8), None, rng.normal(size=4000).astype(np.float32))
    plain, empty = collate([clip], size=16), collate([clip], Augmentation(), _rng(), size=16)
    assert torch.equal(plain.video, empty.video)
    assert torch.equal(plain.audio, empty.audio)


@pytest.mark.parametrize('augmentation', [pretraining_augmentation(), tuning_augmentation()])
def test_a_seed_decides_a_batch(rng, augmentation):
    clip = Clip('a', rng.integers(0, 256, (2, 40, 40, 3), np.uint8), None, rng.normal(size=4000).astype(np.float32))
    batches = [collate([clip, clip], augmentation, _rng(seed), size=32) for seed in (1, 1, 2)]
    assert batches[0].video.shape == (2, 3, 2, 32, 32)
    assert torch.equal(batches[0].video, batches[1].video)
    assert torch.equal(batches[0].audio, batches[1].audio)
    assert not torch.equal(batches[0].audio, batches[2].audio)
    assert not torch.equal(batches[0].audio[0], batches[0].audio[1])
