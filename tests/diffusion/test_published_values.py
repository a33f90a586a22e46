"""Nets, schedule and windows against stored outputs of the published code."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from filled_nets import drawn, filled  # noqa: E402

from affekt.diffusion import (  # noqa: E402
    Autoencoder,
    AutoencoderSizes,
    GuidanceEncoder,
    Reading,
    UNet,
    UNetSizes,
    ddim_step,
    denoising_unet,
    read_portrait,
    reference_unet,
    signal_shares,
    timesteps,
    velocity_of,
    windows,
    with_noise,
)
from affekt.diffusion.guidance import UNUSED  # noqa: E402

TINY = {'widths': (32, 64, 64, 64), 'text_width': 48, 'groups': 8}


@pytest.fixture(scope='module')
def stored(shared_data):
    return lambda name: shared_data / 'vectors' / f'magicportrait_{name}'


@pytest.mark.parametrize(
    ('name', 'make'),
    [
        ('reference_unet2d', reference_unet),
        ('denoising_unet3d', denoising_unet),
        ('guidance_encoder', GuidanceEncoder),
        ('tiny_unet2d', lambda: UNet(UNetSizes(**TINY, is_reference=True))),
        ('tiny_unet3d', lambda: UNet(UNetSizes(**TINY, has_motion=True))),
    ],
)
def test_every_tensor_has_its_published_name_and_shape(stored, name, make):
    rows = [line.split('\t') for line in stored(f'{name}.keys.txt').read_text().splitlines()[1:]]
    published = {key: tuple(json.loads(shape)) for key, shape, *_ in rows}
    with torch.device('meta'):
        net = make()
    unused = tuple(f'{prefix}.' for prefix in UNUSED) if name == 'guidance_encoder' else ('none',)
    wanted = {key: shape for key, shape in published.items() if not key.startswith(unused)}
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == wanted


def test_reference_and_denoising_nets_give_the_published_outputs(stored):
    outputs = np.load(stored('tiny_unets.npz'))
    reader = filled(UNet(UNetSizes(**TINY, is_reference=True)))
    denoiser = filled(UNet(UNetSizes(**TINY, has_motion=True)))
    text = drawn('txt', 1, 7, 48)
    with torch.no_grad():
        reference = read_portrait(reader, drawn('ref', 1, 4, 16, 16), text)
        first = reference.tokens[0][0, :4, :16].numpy()
        assert np.abs(first - outputs['bank_first_slice']).max() < 1e-5
        latents, guidance = drawn('lat', 1, 4, 3, 16, 16), 0.1 * drawn('gf', 1, 32, 3, 16, 16)
        for _ in range(2):  # the second time with the keys that the first one made
            given = denoiser(
                latents.repeat(2, 1, 1, 1, 1), 500, text.repeat(2, 1, 1), Reading(reference, 3, 0.5),
                guidance.repeat(2, 1, 1, 1, 1),
            )  # fmt: skip
            assert np.abs(given.numpy() - outputs['out']).max() < 1e-5
        alone = denoiser(latents, 500, text, Reading(reference, 3), guidance)
        assert np.abs(alone.numpy() - outputs['out'][1:]).max() < 1e-5


def test_the_guidance_encoder_gives_the_published_output(stored):
    outputs = np.load(stored('guidance_encoder.npz'))
    with torch.no_grad():
        given = filled(GuidanceEncoder())((drawn('guid', 1, 3, 2, 64, 64) + 1) / 2)
    assert np.abs(given[0, :32, :, :4, :4].numpy() - outputs['out_slice']).max() < 1e-5
    stats = [given.mean(), given.std(), given.abs().double().sum(), given.min(), given.max()]
    np.testing.assert_allclose([float(each) for each in stats], outputs['out_stats'], rtol=1e-5)


def test_noise_levels_and_steps_are_the_published_ones(stored):
    outputs = np.load(stored('ddim_zerosnr_linear.npz'))
    # roots of MKL differ between processors: equal to the last bit on some, five units in the last place on others
    np.testing.assert_allclose(signal_shares().numpy(), outputs['alphas_cumprod'], rtol=0, atol=4e-7)
    assert signal_shares()[-1] == 0
    assert timesteps(20) == outputs['timesteps20'].tolist()
    noisy, velocity = drawn('x_t', 1, 4, 2, 4, 4), drawn('v', 1, 4, 2, 4, 4)
    for level in (999, 949, 49):
        np.testing.assert_allclose(ddim_step(noisy, velocity, level, 20).numpy(), outputs[f'prev_{level}'], atol=2e-6)


def test_windows_are_the_published_ones(stored):
    for name, wanted in json.loads(stored('context_windows.json').read_text()).items():
        frames, size, spreads, overlap = map(int, re.findall(r'\d+', name))
        assert windows(frames, size, overlap, is_closed=True, spreads=spreads) == wanted


@pytest.mark.parametrize(('frames', 'size', 'overlap'), [(1, 12, 1), (13, 12, 1), (100, 12, 4), (23, 12, 1), (7, 3, 2)])
def test_open_windows_cover_each_frame_in_order_and_never_wrap(frames, size, overlap):
    each = windows(frames, size, overlap)
    assert {at for window in each for at in window} == set(range(frames))
    assert all(window == list(range(window[0], window[0] + len(window))) for window in each)
    assert all(len(window) == min(size, frames) for window in each)
    assert all(b[0] <= a[-1] + 1 - overlap for a, b in pairwise(each))


def test_noise_and_velocity_give_the_picture_back():
    # x0 = sqrt(a) x - sqrt(1 - a) v: a step to no noise from the right velocity ends at the picture
    clean, noise = drawn('clean', 2, 4, 3, 3), drawn('noise', 2, 4, 3, 3)
    levels = torch.tensor([0, 49])
    noisy, velocity = with_noise(clean, noise, levels), velocity_of(clean, noise, levels)
    given = ddim_step(noisy[1:], velocity[1:], 49, 20)  # 50 levels lower is below 0
    torch.testing.assert_close(given, clean[1:], atol=1e-5, rtol=0)


def test_the_autoencoder_gives_what_diffusers_gives():
    # diffusers 0.42.1: AutoencoderKL, channels (32, 32, 64, 64), 8 groups, filled alike; equal to the last bit here
    net = filled(Autoencoder(AutoencoderSizes((32, 32, 64, 64), 2, 8)))
    with torch.no_grad():
        latents = net.encode(drawn('pictures', 1, 3, 48, 32))
        pictures = net.decode(drawn('latents', 1, 4, 6, 4))
    torch.testing.assert_close(
        latents.flatten()[:4], torch.tensor([0.012553941, 0.014450912, -0.014669753, 0.034824841]), atol=1e-6, rtol=0
    )
    assert float(latents.double().abs().sum()) == pytest.approx(2.2956596, abs=1e-5)
    torch.testing.assert_close(
        pictures.flatten()[:4], torch.tensor([0.162299037, 0.129296809, 0.140411615, 0.219829947]), atol=1e-5, rtol=0
    )
    assert float(pictures.double().abs().sum()) == pytest.approx(1161.8577, abs=1e-2)


def test_tiles_meet_without_a_seam():
    net = filled(Autoencoder(AutoencoderSizes((32, 32, 64, 64), 2, 8)))
    with torch.no_grad():
        flat = torch.full((1, 4, 20, 12), 0.1)
        whole, tiled = net.decode(flat), net.decode(flat, tile=8)
    assert tiled.shape == whole.shape
    middle = tiled[:, :, 48:-48, 24:-24]
    steps = (middle.diff(dim=2).abs().max(), middle.diff(dim=3).abs().max())
    assert max(steps) <= 2 * whole.diff(dim=2).abs().max()
