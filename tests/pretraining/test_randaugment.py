"""RandAugment's fifteen changes against Pillow, frame by frame, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from affekt.errors import ValueRangeError
from affekt.pretraining.randaugment import CHANGES, RandAugment, arguments

WIDTH, HEIGHT = 53, 41
GREY = (128, 128, 128)
ENHANCERS = {
    'ColorIncreasing': ImageEnhance.Color,
    'ContrastIncreasing': ImageEnhance.Contrast,
    'BrightnessIncreasing': ImageEnhance.Brightness,
    'SharpnessIncreasing': ImageEnhance.Sharpness,
}


def _rng(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pictures(rng) -> list[Image.Image]:
    """Smooth, narrow in contrast, of one colour, and noise: what each frame measures of itself differs."""
    noise = rng.integers(0, 256, (3, 12, 12, 3), np.uint8)
    smooth = [Image.fromarray(picture).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for picture in noise[:2]]
    narrow = Image.fromarray(np.asarray(smooth[1]) // 3 + 40)
    plain = Image.new('RGB', (WIDTH, HEIGHT), (90, 200, 7))
    return [smooth[0], narrow, plain, Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))]


def _tensor(pictures: list[Image.Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures]).transpose(0, 3, 1, 2).copy())


def _moved(picture: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GREY)


def _by_pillow(name: str, picture: Image.Image, value: float | None) -> Image.Image:
    if name in ENHANCERS:
        return ENHANCERS[name](picture).enhance(value)
    return {
        'AutoContrast': lambda: ImageOps.autocontrast(picture),
        'Equalize': lambda: ImageOps.equalize(picture),
        'Invert': lambda: ImageOps.invert(picture),
        'PosterizeIncreasing': lambda: ImageOps.posterize(picture, value),
        'SolarizeIncreasing': lambda: ImageOps.solarize(picture, value),
        'SolarizeAdd': lambda: picture.point([min(255, i + value) if i < 128 else i for i in range(256)] * 3),
        'Rotate': lambda: picture.rotate(value, Image.Resampling.BICUBIC, fillcolor=GREY),
        'ShearX': lambda: _moved(picture, (1, value, 0, 0, 1, 0)),
        'ShearY': lambda: _moved(picture, (1, 0, 0, value, 1, 0)),
        'TranslateXRel': lambda: _moved(picture, (1, 0, value * WIDTH, 0, 1, 0)),
        'TranslateYRel': lambda: _moved(picture, (1, 0, 0, 0, 1, value * HEIGHT)),
    }[name]()


COLOURS = [
    *((name, None) for name in ('AutoContrast', 'Equalize', 'Invert')),
    *(('PosterizeIncreasing', bits) for bits in (1, 2, 4)),
    *(('SolarizeIncreasing', threshold) for threshold in (0, 77, 255, 256)),
    *(('SolarizeAdd', more) for more in (0, 77, 110)),
    *((name, factor) for name in ENHANCERS for factor in (0.1, 0.37, 1.0, 1.63, 1.9)),
]
MOVES = [
    *(('Rotate', degrees) for degrees in (21.3, -17.0, 0.5, 30.0)),
    *((name, share) for name in ('ShearX', 'ShearY') for share in (0.21, -0.3, 0.0)),
    *((name, share) for name in ('TranslateXRel', 'TranslateYRel') for share in (0.315, -0.2, 0.0, 1.0)),
]


@pytest.mark.parametrize(('name', 'value'), COLOURS)
def test_changes_of_colour_equal_pillow(rng, name, value):
    pictures = _pictures(rng)
    changed = CHANGES[name](_tensor(pictures), *([] if value is None else [value]))
    assert changed.dtype == torch.uint8
    assert torch.equal(changed, _tensor([_by_pillow(name, picture, value) for picture in pictures]))


@pytest.mark.parametrize(('name', 'value'), MOVES)
def test_moves_equal_pillow_but_for_the_last_bit_of_some_pixels(rng, name, value):
    pictures = _pictures(rng)
    changed = CHANGES[name](_tensor(pictures), value)
    apart = (changed.int() - _tensor([_by_pillow(name, picture, value) for picture in pictures]).int()).abs()
    assert int(apart.max()) <= 1
    assert float((apart > 0).float().mean()) < 0.005
    assert int(apart[2].max()) == 0  # one colour and grey stay as they are


def test_every_change_is_compared():
    assert {name for name, _ in COLOURS + MOVES} == set(CHANGES)
    assert len(CHANGES) == 15


def test_level_7_means_what_the_published_numbers_say():
    # 7 of 10: 30 · .7 degrees; 1 ± .9 · .7; .3 · .7; .45 · .7; 4 - int(2.8); 256 - int(179.2); int(77.0)
    expected = {
        'Rotate': 21.0, 'ShearX': 0.21, 'ShearY': 0.21, 'TranslateXRel': 0.315, 'TranslateYRel': 0.315,
        'PosterizeIncreasing': 2, 'SolarizeIncreasing': 77, 'SolarizeAdd': 77,
        **dict.fromkeys(ENHANCERS, 1.63),
    }  # fmt: skip
    for name, value in expected.items():
        assert arguments(name, 7.0) == pytest.approx((value,))
    assert arguments('Rotate', 7.0, is_reversed=True) == pytest.approx((-21.0,))
    assert arguments('ColorIncreasing', 7.0, is_reversed=True) == pytest.approx((0.37,))
    assert arguments('AutoContrast', 7.0) == arguments('Invert', 7.0) == ()
    assert arguments('PosterizeIncreasing', 10.0) == (1,)


def test_all_frames_are_moved_alike(rng):
    frames = _tensor(_pictures(rng)[:1]).expand(5, 3, HEIGHT, WIDTH)
    for seed in range(20):
        changed = RandAugment(count=6, probability=1.0)(frames, _rng(seed))
        assert torch.equal(changed, changed[:1].expand_as(changed))


def test_of_the_changes_drawn_one_half_happen(rng, monkeypatch):
    # 300 clips of 4: 600 expected, deviation sqrt(1200 / 4) = 17; each of 15 about 40
    counts = dict.fromkeys(CHANGES, 0)

    def counting(name):
        def change(frames, *values):
            counts[name] += 1
            return frames

        return change

    for name in list(CHANGES):
        monkeypatch.setitem(CHANGES, name, counting(name))
    generator, frames = _rng(), _tensor(_pictures(rng)[:1])
    for _ in range(300):
        RandAugment()(frames, generator)
    assert abs(sum(counts.values()) - 600) < 4 * 17
    assert min(counts.values()) > 40 - 4 * 6.2


def test_a_name_says_level_count_and_deviation():
    assert RandAugment.named('rand-m7-n4-mstd0.5-inc1') == RandAugment(7.0, 4, 0.5, 0.5)
    for name in ('rand-m7-n4-mstd0.5', 'original', 'rand-m11-n4-mstd0.5-inc1'):
        with pytest.raises(ValueRangeError):
            RandAugment.named(name)
