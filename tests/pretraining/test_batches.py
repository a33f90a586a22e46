"""Batches: normalised values, missing modalities as masked samples, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from affekt.clips import Clip
from affekt.errors import ShapeError, ValueRangeError
from affekt.pretraining.batches import ClipBatch, collate, normalised_frames, resized
from affekt.pretraining.spectrograms import filterbank


def _planes(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))


def _clip(rng, name='a', frames=4, size=8, samples=4000) -> Clip:
    video = rng.integers(0, 256, (frames, size, size, 3), np.uint8) if frames else None
    sound = rng.uniform(-0.5, 0.5, samples).astype(np.float32) if samples else None
    return Clip(name, video, None, sound)


def test_pixels_are_normalised_by_imagenets_statistics(rng):
    # (255 / 255 - .485) / .229 = 2.24891; (0 - .456) / .224 = -2.03571; (51 / 255 - .406) / .225 = -.91556
    frames = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 1, 1)
    assert normalised_frames(frames)[:, 0, 0, 0].tolist() == pytest.approx([2.24891, -2.03571, -0.91556], abs=1e-5)
    frames = torch.from_numpy(rng.integers(0, 256, (2, 3, 4, 5), np.uint8))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (frames.permute(0, 2, 3, 1) / 255 - mean) / deviation  # (2, 4, 5, 3)
    torch.testing.assert_close(normalised_frames(frames), expected.permute(3, 0, 1, 2))


def test_clips_become_one_batch(rng):
    clips = [_clip(rng, 'a'), _clip(rng, 'b', samples=50000)]
    batch = collate(clips, size=8)
    assert (batch.video.shape, batch.audio.shape, batch.size) == ((2, 3, 4, 8, 8), (2, 1, 256, 128), 2)
    assert batch.has_video.tolist() == batch.has_audio.tolist() == [True, True]
    for i, clip in enumerate(clips):
        torch.testing.assert_close(batch.video[i], normalised_frames(_planes(clip.frames)))
        torch.testing.assert_close(batch.audio[i, 0], filterbank(clip.sound), atol=1e-5, rtol=0)


def test_a_missing_modality_is_a_masked_sample(rng):
    batch = collate([_clip(rng, frames=0), _clip(rng), _clip(rng, samples=0)], size=8, rows=16)
    assert batch.has_video.tolist() == [False, True, True]
    assert batch.has_audio.tolist() == [True, True, False]
    assert batch.audio.shape == (3, 1, 16, 128)


def test_a_modality_that_no_clip_has_is_no_tensor(rng):
    batch = collate([_clip(rng, frames=0), _clip(rng, frames=0)])
    assert batch.video is None
    assert batch.has_video.tolist() == [False, False]
    assert collate([_clip(rng, samples=0)], size=8).audio is None


@pytest.mark.parametrize(
    'sound', [np.zeros(8000, np.float32), np.full(8000, 0.1, np.float32), np.ones(399, np.float32)]
)
def test_silence_and_sound_shorter_than_a_frame_count_as_none(rng, sound):
    batch = collate([Clip('silent', _clip(rng).frames, None, sound), _clip(rng)], size=8)
    assert batch.has_audio.tolist() == [False, True]


def test_frames_of_another_size_are_resized_as_pillow_does(rng):
    frames = rng.integers(0, 256, (2, 30, 20, 3), np.uint8)
    batch = collate([Clip('large', frames, None, None)], size=12)
    expected = np.stack([np.asarray(Image.fromarray(f).resize((12, 12), Image.Resampling.BILINEAR)) for f in frames])
    assert np.abs(resized(_planes(frames), 12).permute(0, 2, 3, 1).numpy().astype(int) - expected).max() <= 1
    assert batch.video.shape == (1, 3, 2, 12, 12)


def test_a_batch_moves_and_keeps_what_is_absent(rng):
    batch = collate([_clip(rng, frames=0)]).pin().to('meta')
    assert isinstance(batch, ClipBatch)
    assert (batch.video, batch.audio.device.type, batch.has_audio.device.type) == (None, 'meta', 'meta')


class _Louder:
    def video(self, frames, size, rng):
        return normalised_frames(255 - frames)

    def sound(self, sound, rng):
        return 2 * sound

    def spectrogram(self, spectrogram, rng):
        return spectrogram + torch.rand((), generator=rng)


def test_an_augmentation_changes_frames_sound_and_spectrogram(rng):
    clip = _clip(rng)
    batch = collate([clip], _Louder(), torch.Generator().manual_seed(1), size=8)
    shift = torch.rand((), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(batch.audio[0, 0], filterbank(2 * clip.sound) + shift, atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.video[0], normalised_frames(_planes(255 - clip.frames)))


def test_batches_that_cannot_be_are_refused(rng):
    with pytest.raises(ValueRangeError, match='0 clips'):
        collate([])
    with pytest.raises(ValueRangeError, match='generator'):
        collate([_clip(rng)], _Louder(), size=8)
    with pytest.raises(ValueRangeError, match='neither in mute'):
        collate([Clip('mute', None, None, np.zeros(8000, np.float32))])
    with pytest.raises(ValueRangeError, match='finite samples; got others in broken'):
        collate([Clip('broken', None, None, np.full(8000, np.nan, np.float32))])
    with pytest.raises(ShapeError, match='in long'):
        collate([_clip(rng), _clip(rng, 'long', frames=5)], size=8)
