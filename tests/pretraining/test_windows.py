"""Which frames and samples a window takes, by hand for clips of every length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from affekt.clips import Clip
from affekt.errors import ValueRangeError
from affekt.pretraining.windows import (
    Sampling,
    cut,
    evaluation_windows,
    pretraining_window,
    tuning_window,
)


def _rng(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _clip(frames: int = 0, samples: int = 0, fps: float | None = None, start_s: float = 0.0) -> Clip:
    video = np.arange(frames, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 3), np.uint8)
    times = start_s + np.arange(frames) / fps if fps else None
    sound = np.arange(samples, dtype=np.float32)
    return Clip('clip', video if frames else None, times, sound if samples else None)


def _drawn(choose, clip: Clip, times: int = 300, **options) -> list:
    rng = _rng()
    return [choose(clip, rng, **options) for _ in range(times)]


def test_pretraining_takes_16_frames_at_stride_4_from_every_possible_start():
    # 70 - 64 = 6 leaves starts 0 to 6, each as likely
    windows = _drawn(pretraining_window, _clip(70))
    starts = [int(window.frames[0]) for window in windows]
    assert all(np.array_equal(window.frames, window.frames[0] + 4 * np.arange(16)) for window in windows)
    counts = np.bincount(starts, minlength=7)
    assert len(counts) == 7
    assert counts.min() > 300 / 7 - 4 * np.sqrt(300 * 6 / 49)


def test_pretraining_sound_ends_with_the_frame_one_stride_after_the_last():
    # 25 frames a second, 640 samples each; start s: frames s … s + 60, sound to the end of frame s + 64
    for window in _drawn(pretraining_window, _clip(80, 51200, fps=25), 20):
        start = int(window.frames[0])
        assert (window.sound.start, window.sound.stop) == (640 * start, min(640 * (start + 65), 51200))


def test_pretraining_repeats_the_last_frame_of_a_short_clip():
    window = pretraining_window(_clip(10, 6400, fps=25), _rng())
    assert window.frames.tolist() == [0, 4, 8, *[9] * 13]
    assert window.sound == slice(0, 6400)


def test_tuning_draws_windows_of_64_frames_and_takes_16_even_points():
    # end drawn from 64 to 69: linspace(end - 64, end, 16) steps by 64/15 = 4.267; the last point is cut to end - 1
    from_zero = [0, 4, 8, 12, 17, 21, 25, 29, 34, 38, 42, 46, 51, 55, 59, 63]
    windows = _drawn(tuning_window, _clip(70))
    assert {int(window.frames[0]) for window in windows} == {0, 1, 2, 3, 4, 5}
    assert all((window.frames - window.frames[0]).tolist() == from_zero for window in windows)


@pytest.mark.parametrize(
    ('frames', 'expected'),
    [
        # linspace(0, 64, 16) steps by 4.267, the last cut to 63
        (64, [0, 4, 8, 12, 17, 21, 25, 29, 34, 38, 42, 46, 51, 55, 59, 63]),
        # 21 // 4 = 5 points on [0, 21] step by 5.25; 11 times the last frame
        (21, [0, 5, 10, 15, 20, *[20] * 11]),
        # 7 // 4 = 1 point, the first
        (7, [0, *[6] * 15]),
        (3, [2] * 16),
        (1, [0] * 16),
    ],
)
def test_tuning_fills_clips_up_to_64_frames_with_their_last(frames, expected):
    assert tuning_window(_clip(frames), _rng()).frames.tolist() == expected


def test_published_tuning_spreads_frames_evenly_over_the_sound():
    # 101 frames over 100,000 samples: frame i at 1,000 i; from the first frame to the 64th after it
    for reference, fps in ((True, 25.0), (True, None), (False, None)):
        for window in _drawn(tuning_window, _clip(101, 100_000, fps), 20, reference=reference):
            start = int(window.frames[0])
            assert window.sound == slice(1000 * start, 1000 * (start + 64))


def test_tuning_cuts_sound_by_the_times_of_frames_where_they_are_known():
    # 25 frames a second are 640 samples a frame, though the sound goes on for two seconds more
    for window in _drawn(tuning_window, _clip(101, 100_000, fps=25, start_s=0.5), 20):
        start = int(window.frames[0])
        assert window.sound == slice(8000 + 640 * start, 8000 + 640 * (start + 64))


def test_a_clip_of_at_most_64_frames_is_heard_to_the_end_of_its_last_frame():
    assert tuning_window(_clip(50, 32_000), _rng()).sound == slice(0, 32_000)
    assert tuning_window(_clip(50, 32_000, fps=25), _rng()).sound == slice(0, 32_000)
    assert tuning_window(_clip(50, 60_000, fps=25), _rng()).sound == slice(0, 32_000)


def test_evaluation_takes_the_first_and_the_last_16_of_every_fourth_frame():
    # 101 frames: 0, 4, …, 100 are 26; segments at 0 and 10; sound by 1,000 samples a frame, to 4 frames after the last
    first, last = evaluation_windows(_clip(101, 100_000))
    assert first.frames.tolist() == list(range(0, 64, 4))
    assert last.frames.tolist() == list(range(40, 104, 4))
    assert (first.sound, last.sound) == (slice(0, 64_000), slice(40_000, 100_000))


def test_published_evaluation_runs_two_identical_crops_of_each_segment():
    windows = evaluation_windows(_clip(101, 100_000), reference=True)
    assert [int(window.frames[0]) for window in windows] == [0, 0, 40, 40]
    assert [int(window.frames[0]) for window in evaluation_windows(_clip(30), reference=True)] == [0, 0, 0, 0]


def test_a_clip_whose_segments_are_the_same_is_evaluated_once():
    (window,) = evaluation_windows(_clip(30, 30_000))
    assert window.frames.tolist() == [*range(0, 30, 4), *[28] * 8]
    assert window.sound == slice(0, 30_000)
    # 17 sampled frames leave room for one step: five segments begin at 0, 0, 0, 0 and 1
    assert [int(w.frames[0]) for w in evaluation_windows(_clip(66), segments=5)] == [0, 4]


def test_other_strides_and_lengths_follow_the_same_rules():
    # stride 1 (FERV39k): span 16; 20 frames: end from 16 to 19, linspace(s, s + 16, 16) steps by 16/15
    sampling = Sampling(stride=1)
    window = tuning_window(_clip(20), _rng(), sampling)
    assert (window.frames - window.frames[0]).tolist() == [*range(15), 15]
    assert [int(w.frames[0]) for w in evaluation_windows(_clip(20), sampling)] == [0, 4]
    assert pretraining_window(_clip(9), _rng(), Sampling(4, 2)).frames[-1] <= 8


def test_a_stretch_of_1024_samples_gives_way_to_a_whole_short_sound():
    # two of 33 frames over 2,048 samples are 64 samples a frame: frames 0 to 15 with stride 1 sound for 16 · 64 = 1,024
    short, sampling = _clip(33, 2_048), Sampling(stride=1)
    assert evaluation_windows(short, sampling)[0].sound == slice(0, 2_048)
    longer = _clip(33, 2_080)  # 65 samples a frame: 1,040
    assert evaluation_windows(longer, sampling)[0].sound == slice(0, 1_040)


def test_a_stretch_too_short_of_a_long_sound_is_a_masked_sample():
    assert tuning_window(_clip(3, 50_000), _rng()).sound is None
    assert tuning_window(_clip(3, 40_959), _rng()).sound == slice(0, 40_959)
    assert tuning_window(_clip(100, 1_024), _rng()).sound is None
    assert tuning_window(_clip(100), _rng()).sound is None


def test_all_of_a_sound_goes_with_a_single_picture():
    clip = _clip(1, 50_000, fps=25)
    for part in (clip, _clip(1, 50_000)):
        windows = [pretraining_window(part, _rng()), tuning_window(part, _rng()), *evaluation_windows(part)]
        assert [window.sound for window in windows] == [slice(0, 50_000)] * 3
    assert tuning_window(clip, _rng(), reference=True).sound == slice(0, 50_000)


def test_a_sound_that_ends_before_the_frames_do_is_masked_where_nothing_sounds():
    first, last = evaluation_windows(_clip(200, 48_000, fps=25))
    assert (first.sound, last.sound) == (slice(0, 40_960), None)


def test_clips_without_pictures_are_cut_to_stretches_of_256_rows():
    for choose in (pretraining_window, tuning_window):
        starts = [window.sound.start for window in _drawn(choose, _clip(0, 60_000), 100)]
        assert 0 <= min(starts) < 2_000 < 17_000 < max(starts) <= 19_040
        assert choose(_clip(0, 30_000), _rng()).sound == slice(0, 30_000)
    assert [w.sound for w in evaluation_windows(_clip(0, 60_000))] == [slice(0, 40_960), slice(19_040, 60_000)]
    assert [w.sound for w in evaluation_windows(_clip(0, 30_000))] == [slice(0, 30_000)]


def test_a_cut_clip_has_the_frames_times_and_sound_of_its_window():
    clip = _clip(80, 51_200, fps=25)
    window = pretraining_window(clip, _rng())
    part = cut(clip, window)
    assert part.frames[:, 0, 0, 0].tolist() == window.frames.tolist()
    assert part.times_s.tolist() == (window.frames / 25).tolist()
    assert part.sound[0] == window.sound.start
    assert len(part.sound) == 65 * 640
    assert cut(_clip(0, 9_000), tuning_window(_clip(0, 9_000), _rng())).frames is None


def test_a_seed_decides_the_windows():
    starts = [[int(w.frames[0]) for w in _drawn(tuning_window, _clip(200), 5)] for _ in range(2)]
    assert starts[0] == starts[1]
    assert len(set(starts[0])) > 1


def test_samplings_that_cannot_be_are_refused():
    with pytest.raises(ValueRangeError, match='stride of one'):
        Sampling(stride=0)
    with pytest.raises(ValueRangeError, match='one segment'):
        evaluation_windows(_clip(30), segments=0)
