"""Pictures made worse, by amounts that can be counted in pixels."""

from __future__ import annotations

import numpy as np
import pytest

from affekt.corruption import (
    PictureDamage,
    brightened,
    covered,
    gaussian_blurred,
    occlusion_box,
    pyramid_blurred,
)
from affekt.errors import ValueRangeError
from affekt.media import Frame

OPENCV = {
    2: (
        (8, 10, 3),
        [[105, 109, 117, 129, 136, 131, 121, 115, 112, 111], [115, 118, 123, 130, 132, 126, 118, 117, 117, 118]],
        29824,
    ),
    4: (
        (8, 12, 3),
        [
            [122, 122, 122, 122, 122, 122, 122, 122, 122, 123, 123, 123],
            [122, 122, 122, 122, 122, 122, 122, 123, 123, 123, 123, 123],
        ],
        35609,
    ),
}
"""Rate to shape, rows and sum."""


def test_a_blurred_point_is_the_gaussian_of_that_width():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    # exp(-r²/2σ²) normalised over whole pixels; at σ = 2 the middle weighs 0.19947 by axis, 255 · 0.0398 = 10.1.
    line = np.exp(-(np.arange(-8, 9) ** 2) / 8)
    line /= line.sum()
    wanted = np.rint(255 * np.outer(line, line))
    assert np.abs(gaussian_blurred(image, 2.0)[12:29, 12:29, 1] - wanted).max() <= 1
    assert gaussian_blurred(image, 2.0)[20, 20, 0] == 10


def test_blur_leaves_an_even_picture_alone_to_the_edges():
    image = np.full((9, 12, 3), 77, np.uint8)
    assert (gaussian_blurred(image, 3.0) == 77).all()


def test_a_point_halved_and_doubled_is_worked_out_by_hand():
    image = np.zeros((16, 16, 3), np.uint8)
    image[8, 8] = 255
    # Halved: the 5 x 5 kernel falls on 3 x 3 places, on each axis 1 6 1 of 16; the middle is 255 · 36/256 = 35.86 → 36,
    # beside it 6 of 256 → 6, at the corner 1 of 256 → 1.
    # Doubled: the middle is 36 · 36 + 4 · 6 · 6 + 4 · 1 over 64 = 22.56 → 23.
    made = pyramid_blurred(image, 2)
    assert made.shape == (16, 16, 3)
    assert made[8, 8].tolist() == [23, 23, 23]
    assert (pyramid_blurred(image, 1) == image).all()


@pytest.mark.parametrize('rate', [2, 4])
def test_pyramids_are_those_of_opencv(rate):
    # pyrDown and pyrUp of opencv-python-headless 5.0.0 on the same picture, once and twice each: shapes, the first two
    # rows of green, and the sum of all. Random pictures of 1,875 shapes agreed to the last bit.
    image = (np.arange(7 * 10 * 3).reshape(7, 10, 3) * 37 % 251).astype(np.uint8)
    shape, rows, total = OPENCV[rate]
    made = pyramid_blurred(image, rate)
    assert made.shape == shape
    assert made[:2, :, 1].tolist() == rows
    assert made.sum() == total


def test_a_flat_picture_stays_flat_and_sides_become_multiples_of_the_rate():
    for rate, shape in ((2, (6, 8, 3)), (4, (8, 8, 3)), (8, (8, 8, 3))):
        made = pyramid_blurred(np.full((5, 7, 3), 201, np.uint8), rate)
        assert made.shape == shape
        assert (made == 201).all()


@pytest.mark.parametrize('share', [0.01, 0.1, 0.25, 0.5, 1.0])
def test_the_covered_part_is_the_share_that_was_asked_for(share, rng):
    image = np.full((120, 160, 3), 200, np.uint8)
    for _ in range(20):
        top, left, tall, wide = occlusion_box(120, 160, share, rng)
        assert 0 <= top <= 120 - tall
        assert 0 <= left <= 160 - wide
        black = (covered(image, (top, left, tall, wide)) == 0).all(axis=2)
        assert black.sum() == tall * wide
        # The width is rounded to a pixel: half a column of the box at most.
        assert abs(black.sum() - share * 120 * 160) <= tall / 2
    assert (image == 200).all()


def test_brightness_multiplies_and_counts_what_it_cuts():
    image = np.array([[[100, 200, 0], [127, 128, 255]]], np.uint8)
    made, cut = brightened(image, 2.0)
    assert made.tolist() == [[[200, 255, 0], [254, 255, 255]]]
    # 400, 256 and 510 are beyond 255.
    assert cut == 3
    assert brightened(image, 0.5)[0].tolist() == [[[50, 100, 0], [64, 64, 128]]]


def test_a_rate_of_one_changes_no_picture_and_a_rate_above_does():
    assert not PictureDamage(blur_rate=1).changes
    damage = PictureDamage(blur_rate=4)
    made = next(iter(damage([Frame(0.0, np.zeros((9, 9, 3), np.uint8))], np.random.default_rng(0))))
    assert damage.changes
    assert made.image.shape == (12, 12, 3)
    assert damage.facts() == {'pictures': 1, 'blur_rate': 4}


def _frames(count):
    return [Frame(index / 25, np.full((8, 8, 3), index, np.uint8)) for index in range(count)]


def test_a_picture_that_does_not_arrive_shows_the_one_before_and_times_stay():
    damage = PictureDamage(drop_rate=0.4)
    made = list(damage(_frames(200), np.random.default_rng(3)))
    assert [frame.time_s for frame in made] == [frame.time_s for frame in _frames(200)]
    shown = [int(frame.image[0, 0, 0]) for frame in made]
    frozen = [index for index in range(200) if shown[index] != index]
    assert all(shown[index] == shown[index - 1] for index in frozen)
    assert shown[0] == 0
    assert damage.dropped == len(frozen)
    # Binomial of 199 at 0.4: mean 79.6, standard deviation 6.9.
    assert 59 < damage.dropped < 100


def test_the_cover_stays_in_its_place_and_the_facts_say_where():
    damage = PictureDamage(occlude_share=0.25, brightness=2.0)
    made = list(
        damage([Frame(index / 25, np.full((8, 8, 3), 100, np.uint8)) for index in range(5)], np.random.default_rng(0))
    )
    top, left, tall, wide = damage.facts()['occluded']
    assert (tall, wide) == (4, 4)
    for frame in made:
        assert (frame.image[top : top + tall, left : left + wide] == 0).all()
        assert (frame.image == 0).sum() == 48
    assert damage.facts() == {'pictures': 5, 'occluded': [top, left, 4, 4], 'brightness': 2.0, 'saturated': 0}


def test_values_out_of_range_are_refused(rng):
    image = np.zeros((4, 4, 3), np.uint8)
    for call in (
        lambda: gaussian_blurred(image, 0.0),
        lambda: gaussian_blurred(image, float('nan')),
        lambda: brightened(image, -1.0),
        lambda: brightened(image, float('inf')),
        lambda: occlusion_box(4, 4, 1.5, rng),
    ):
        with pytest.raises(ValueRangeError, match='above 0'):
            call()
    with pytest.raises(ValueRangeError, match='1, 2, 4'):
        pyramid_blurred(image, 3)
