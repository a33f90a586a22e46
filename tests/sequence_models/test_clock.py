"""A learned clock by hand and by a plain loop, what it can learn that a fixed rule cannot, and rows that are lost."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from frame_cases import FRAMES, RATE_HZ, TINY, face_of, labels_of, voice_of

from affekt.errors import UnknownNameError, ValueRangeError
from affekt.features import Features
from affekt.sequence_models import FramePredictor, LearnedClock, NeighbourRows, frame_videos, train_frames


def learned_videos(parts, **options):
    faces = {name: face_of(name, FRAMES[name]) for name in parts}
    voices = {name: voice_of(name, FRAMES[name]) for name in parts if name != 'b'}
    labels = [labels_of(name, part, FRAMES[name]) for name, part in parts.items()]
    methods = {'voice': 'learned'}
    return frame_videos(labels, {'face': faces, 'voice': voices}, RATE_HZ, methods=methods, **options)


def test_rows_count_by_a_bell_over_their_distance_at_first():
    clock = LearnedClock(1, 2)
    around = torch.tensor([[[3.0, -0.5], [5.0, 0.25]]])  # rows 3 and 5, half a step before and a quarter after
    weights = [math.exp(-2 * 0.25), math.exp(-2 * 0.0625)]
    wanted = (3 * weights[0] + 5 * weights[1]) / sum(weights)
    assert clock(around).item() == pytest.approx(wanted, rel=1e-6)


def test_a_row_that_is_absent_or_too_far_away_counts_for_nothing():
    clock = LearnedClock(2, 2)
    around = torch.tensor([[[3.0, 4.0, 0.1], [9.0, 9.0, math.nan]], [[3.0, 4.0, -2.5], [1.0, 2.0, 7.0]]])
    torch.testing.assert_close(clock(around), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    clock(around).sum().backward()
    assert clock.table.grad.isfinite().all()


def test_a_learned_clock_equals_a_plain_loop():
    torch.manual_seed(0)
    clock = LearnedClock(6, 4)
    torch.nn.init.normal_(clock.table)
    around = torch.randn(3, 4, 7)
    answers = clock(around)
    for frame in range(3):
        for column in range(6):
            kernel = clock.table.detach()[:, column]  # six columns have a kernel each
            sums, total = 0.0, 0.0
            for row in range(4):
                place = (around[frame, row, 6].item() + clock.reach) * 4
                left = min(int(place), len(kernel) - 2)
                weight = math.exp(kernel[left] * (left + 1 - place) + kernel[left + 1] * (place - left))
                sums, total = sums + weight * around[frame, row, column].item(), total + weight
            assert answers[frame, column].item() == pytest.approx(sums / total, abs=1e-5)


def test_a_clock_learns_to_read_a_feature_that_is_late():
    # rows say at each time what was true two frames before: linear interpolation can only be wrong
    rng = np.random.default_rng(0)
    curve = np.convolve(rng.normal(size=420), np.ones(5) / 5, mode='valid')[:400]
    late = Features('a', curve[:-2, None].astype(np.float32), times=np.arange(2, 400) / RATE_HZ)
    labels = labels_of('a', 'train', 398)
    rows = frame_videos([labels], {'late': {'a': late}}, RATE_HZ, methods='learned').features['late']
    truth = torch.from_numpy(curve[4:390].astype(np.float32))
    clock = LearnedClock(1, 8)
    optimiser = torch.optim.Adam(clock.parameters(), lr=0.2)
    errors = []
    for _ in range(60):
        loss = (clock(rows[slice(4, 390)])[:, 0] - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    assert errors[-1] < 0.05 * errors[0]


def test_videos_hold_the_rows_around_each_frame_with_the_mask_of_any_clock():
    videos = learned_videos({'a': 'train', 'b': 'train', 'c': 'train'})
    assert videos.sizes == {'face': 3, 'voice': 1}
    rows = videos.features['voice']
    assert isinstance(rows, NeighbourRows)
    voice = voice_of('c', FRAMES['c'])
    begin = videos.starts['c']
    around = rows[slice(begin, begin + 20)]  # 50 Hz rows, K = 8: four before and four after
    assert around.shape == (20, 8, 2)
    torch.testing.assert_close(around[10, :, 0], torch.from_numpy(voice.values[16:24, 0]))
    # row 20 is at .41 s and frame 10 at .40 s: a quarter of the frames' step of .04 s
    assert around[10, 4, 1].item() == pytest.approx(0.25)
    of_b = slice(videos.starts['b'], videos.starts['b'] + FRAMES['b'])
    assert rows[of_b][..., -1].isnan().all()
    assert not videos.keep_mask['voice'][of_b].any()
    assert videos.keep_mask['voice'][begin : begin + 20].all()


def test_videos_with_learned_clocks_are_taken_and_joined():
    videos = learned_videos({'a': 'train', 'b': 'train', 'c': 'train'})
    again = videos.take(['b', 'c']).joined(videos.take(['a']))
    for name in 'abc':
        old = slice(videos.starts[name], videos.starts[name] + FRAMES[name])
        new = slice(again.starts[name], again.starts[name] + FRAMES[name])
        distances = videos.features['voice'][old][..., -1]
        torch.testing.assert_close(again.features['voice'][new][..., -1], distances, equal_nan=True)
        there = ~distances.isnan()
        torch.testing.assert_close(
            again.features['voice'][new][..., 0][there], videos.features['voice'][old][..., 0][there]
        )


def test_a_model_with_a_learned_clock_is_trained_saved_and_gone_on_with(tmp_path):
    training = learned_videos(dict.fromkeys('abcd', 'train'))
    validation = learned_videos({'e': 'val', 'f': 'val'})
    settings = replace(TINY, epochs=3)
    trained = train_frames(training, validation, settings, folder=tmp_path / 'run')
    table = trained.predictor.model.clocks['voice'].table
    assert not torch.equal(table, LearnedClock(1, 8).table)
    loaded = FramePredictor.load(tmp_path / 'run/model')
    wanted = trained.predictor.predict(validation)['e'].affect
    np.testing.assert_array_equal(loaded.predict(validation)['e'].affect, wanted)
    sources = {'face': {'e': face_of('e', 80)}, 'voice': {'e': voice_of('e', 80)}}
    direct = loaded.predict_features(sources, {'e': 80}, RATE_HZ)
    np.testing.assert_allclose(direct['e'].affect, wanted, atol=1e-6)
    again = train_frames(training, validation, settings, folder=tmp_path / 'run', resume=True)
    assert again.history == trained.history


def test_an_odd_number_of_neighbours_and_an_unknown_clock_are_refused():
    with pytest.raises(ValueRangeError, match='even number of neighbours'):
        learned_videos({'a': 'train'}, around=3)
    with pytest.raises(UnknownNameError, match='learned'):
        frame_videos([labels_of('a', 'train', 9)], {'face': {'a': face_of('a', 9)}}, RATE_HZ, methods='cubic')
