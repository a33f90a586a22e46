"""Pictures, videos and faces compared: values by hand, against scikit-image, and by their own properties."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics.image import (
    SCALE_WEIGHTS,
    absolute_error,
    expression_distance,
    frechet_distance,
    identity_distance,
    landmark_error,
    multiscale_similarity,
    peak_signal_to_noise,
    pose_distance_deg,
    structural_similarity,
    temporal_flicker,
)

RNG = np.random.default_rng(0)
ROUGH = RNG.integers(0, 256, (48, 56, 3), dtype=np.uint8)
OTHER = np.clip(ROUGH + RNG.normal(0, 20, ROUGH.shape), 0, 255).astype(np.uint8)


def test_a_shift_by_51_of_255_is_a_fifth_of_the_range():
    # squared over 255 squared: 1/25, so 10 log10 25 dB
    light = np.full((12, 12, 3), 51, np.uint8)
    assert absolute_error(np.zeros_like(light), light) == 51
    assert peak_signal_to_noise(np.zeros_like(light), light) == pytest.approx(10 * np.log10(25), abs=1e-12)
    assert peak_signal_to_noise(light, light) == float('inf')


def test_flat_pictures_differ_in_luminance_alone():
    # variances are 0: (2 m1 m2 + c1) / (m1**2 + m2**2 + c1), c1 = 2.55**2
    c1 = 2.55**2
    wanted = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert structural_similarity(np.full((20, 20), 100.0), np.full((20, 20), 150.0)) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize('channel', [None, 2])
def test_ssim_and_psnr_are_those_of_scikit_image(channel):
    metrics = pytest.importorskip('skimage.metrics')
    left, right = (ROUGH, OTHER) if channel else (ROUGH[..., 0], OTHER[..., 0])
    theirs = metrics.structural_similarity(
        left, right, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=channel
    )
    assert structural_similarity(left, right) == pytest.approx(theirs, abs=1e-9)
    psnr = metrics.peak_signal_noise_ratio(left, right, data_range=255)
    assert peak_signal_to_noise(left, right) == pytest.approx(psnr, abs=1e-9)


def test_multiscale_similarity_follows_its_definition_written_out():
    skimage = pytest.importorskip('skimage.metrics')
    rng = np.random.default_rng(1)
    left = rng.uniform(0, 255, (180, 200))
    right = np.clip(left + rng.normal(0, 30, left.shape), 0, 255)
    wanted, a, b = 1.0, left, right
    for scale, weight in enumerate(SCALE_WEIGHTS):
        _, whole = skimage.structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
        )
        # without luminance: divided by its own part, from window means
        from scipy.ndimage import gaussian_filter

        means = [gaussian_filter(each, 1.5, truncate=3.5) for each in (a, b)]
        c1 = 2.55**2
        light = (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
        inner = (slice(5, -5), slice(5, -5))
        wanted *= (whole if scale == 4 else whole / light)[inner].mean() ** weight
        halves = [each[: len(each) // 2 * 2, : each.shape[1] // 2 * 2] for each in (a, b)]
        a, b = ((h[::2, ::2] + h[1::2, ::2] + h[::2, 1::2] + h[1::2, 1::2]) / 4 for h in halves)
    assert multiscale_similarity(left, right) == pytest.approx(wanted, abs=1e-6)
    assert multiscale_similarity(left, left) == pytest.approx(1, abs=1e-12)
    assert multiscale_similarity(left, 255 - left) < 0.2


def test_a_constant_error_does_not_flicker_and_an_alternating_one_does():
    frames = [np.full((4, 4), value) for value in (10.0, 80.0, 30.0)]
    assert temporal_flicker(frames, [each + 7 for each in frames]) == 0
    # errors 2, -2, 2: each step changes by 4
    assert temporal_flicker(frames, [f + s for f, s in zip(frames, (2, -2, 2), strict=True)]) == 4
    assert np.isnan(temporal_flicker(frames[:1], frames[:1]))
    with pytest.raises(ShapeError):
        temporal_flicker(frames, frames[:2])


def test_landmarks_that_lie_three_and_four_pixels_off_are_a_twentieth_of_the_eyes_apart():
    truth = RNG.uniform(0, 200, (478, 3))
    truth[33], truth[263] = (50, 100, 0), (150, 100, 0)
    assert landmark_error(truth, truth + np.array([3, 4, 999])) == pytest.approx(5 / 100, abs=1e-12)
    with pytest.raises(ShapeError):
        landmark_error(truth[:68], truth[:68])


def test_poses_differ_by_the_angle_between_them():
    from scipy.spatial.transform import Rotation

    base = Rotation.from_euler('xyz', [20, -30, 10], degrees=True)
    for angle in (0.0, 1e-6, 5, 90, 179.9):
        turned = base * Rotation.from_rotvec(np.radians(angle) * np.array([0.6, 0, 0.8]))
        assert pose_distance_deg(base.as_matrix(), turned.as_matrix()) == pytest.approx(angle, abs=1e-9)


def test_expressions_and_identities_differ_by_their_numbers():
    assert expression_distance([0.0, 0.5, 1.0], [0.3, 0.5, 0.4]) == pytest.approx(0.3)
    assert np.isnan(expression_distance([], []))
    assert identity_distance([1.0, 2.0], [4.0, 6.0]) == 5
    with pytest.raises(ShapeError):
        expression_distance([0.1], [0.1, 0.2])


def test_the_frechet_distance_of_known_clouds():
    # two points each: means 0 and 3 apart in one axis, variances 2 and 8 there: 9 + 2 + 8 - 2 sqrt(16) = 11
    left = np.array([[-1.0, 0.0], [1.0, 0.0]])
    right = np.array([[1.0, 0.0], [5.0, 0.0]])
    assert frechet_distance(left, right) == pytest.approx(11)
    cloud = RNG.normal(size=(200, 6)) @ RNG.normal(size=(6, 6))
    assert frechet_distance(cloud, cloud) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(cloud, cloud + 2) == pytest.approx(24)


def test_pictures_that_cannot_be_compared_are_refused():
    with pytest.raises(ShapeError):
        structural_similarity(ROUGH, ROUGH[1:])
    with pytest.raises(ShapeError, match='11'):
        structural_similarity(ROUGH[:10], ROUGH[:10])
    with pytest.raises(ShapeError, match='176'):
        multiscale_similarity(ROUGH, ROUGH)
    with pytest.raises(ValueRangeError, match='finite features'):
        frechet_distance(np.zeros((3, 2)), np.full((3, 2), np.nan))


def test_flicker_passes_on_what_a_video_says_of_itself():
    def broken():
        yield np.zeros((2, 2))
        raise ValueRangeError(expected='frames', came='damage', todo='record it again')

    with pytest.raises(ValueRangeError, match='damage'):
        temporal_flicker(broken(), [np.zeros((2, 2))] * 3)
