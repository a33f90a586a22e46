"""Both stages of training and the personal refiner, on made-up videos at toy size."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from affekt.diffusion import (  # noqa: E402
    MAPS,
    Autoencoder,
    AutoencoderSizes,
    GuidanceEncoder,
    GuidedVideo,
    PortraitNets,
    RefinerSettings,
    StageSettings,
    UNet,
    UNetSizes,
    fit_refiner,
    train_autoencoder,
    train_spatial,
    train_temporal,
)
from affekt.errors import ShapeError, ValueRangeError  # noqa: E402

SIDE = 16
SETTINGS = StageSettings(
    steps=6, batch_size=2, learning_rate=3e-3, frames=3, stride=1, log_every=1, save_every=2, without_portrait=0.3
)


def _video(name: str, frames: int = 6, side: int = SIDE, seed: int = 0) -> GuidedVideo:
    """A bright disc that moves, with maps that show where it is."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    color = rng.integers(100, 255, 3)
    inside = np.stack(
        [(rows - side / 2) ** 2 + (columns - side / 3 - at % 6) ** 2 < (side / 3) ** 2 for at in range(frames)]
    )
    pictures = (inside[..., None] * color).astype(np.uint8)
    shade = (inside * 200).astype(np.uint8)
    return GuidedVideo(name, pictures, {'depth': shade, 'normal': np.repeat(shade[..., None], 3, 3), 'render': shade})


def _nets() -> PortraitNets:
    torch.manual_seed(0)
    sizes = {'widths': (32,), 'layers': 1, 'text_width': 8, 'groups': 8}
    return PortraitNets(
        reference=UNet(UNetSizes(**sizes, is_reference=True)),
        denoiser=UNet(UNetSizes(**sizes, has_motion=True)),
        guides={name: GuidanceEncoder(32, (8, 8), groups=8) for name in MAPS},
        autoencoder=Autoencoder(AutoencoderSizes((8, 8), layers=1, groups=8)),
        text=torch.zeros(1, 2, 8),
        coverage={},
    )


def _weights(nets: PortraitNets) -> dict[str, torch.Tensor]:
    parts = {'reference': nets.reference, 'denoiser': nets.denoiser, 'autoencoder': nets.autoencoder, **nets.guides}
    return {f'{part}.{name}': value.clone() for part, net in parts.items() for name, value in net.state_dict().items()}


def _moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


VIDEOS = [_video('first'), _video('second', seed=1)]


def test_frames_by_themselves_teach_all_but_the_layers_over_frames_and_the_autoencoder():
    nets = _nets()
    before = _weights(nets)
    history = train_spatial(
        nets, VIDEOS, StageSettings(**{**vars(SETTINGS), 'steps': 20, 'log_every': 5, 'save_every': 5})
    ).history
    assert history[-1]['loss'] < 0.9 * history[0]['loss']
    moved = _moved(before, _weights(nets))
    assert {name.split('.')[0] for name in moved} == {'reference', 'denoiser', *MAPS}
    assert not any('motion_modules' in name for name in moved)


def test_windows_teach_the_layers_over_frames_alone():
    nets = _nets()
    before = _weights(nets)
    history = train_temporal(nets, VIDEOS, SETTINGS).history
    assert len(history) == SETTINGS.steps
    moved = _moved(before, _weights(nets))
    assert moved
    assert all('motion_modules' in name for name in moved)


@pytest.mark.parametrize('stage', [train_spatial, train_temporal])
def test_a_killed_stage_goes_on_to_the_same_numbers(tmp_path, stage):
    whole_nets, killed_nets = _nets(), _nets()
    whole = stage(whole_nets, VIDEOS, SETTINGS, folder=tmp_path / 'whole').history

    def killed(row):
        if row['step'] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(killed_nets, VIDEOS, SETTINGS, folder=tmp_path / 'killed', report=killed)
    again = _nets()
    resumed = stage(again, VIDEOS, SETTINGS, folder=tmp_path / 'killed', resume=True).history
    assert [row['loss'] for row in resumed] == [row['loss'] for row in whole]
    assert _moved(_weights(whole_nets), _weights(again)) == set()


def test_an_autoencoder_learns_pictures_and_its_latents_have_unit_variance():
    autoencoder = _nets().autoencoder
    history = train_autoencoder(autoencoder, VIDEOS, StageSettings(**{**vars(SETTINGS), 'steps': 30}))
    assert history[-1]['loss'] < 0.8 * history[0]['loss']
    signed = [torch.from_numpy(video.pictures).permute(0, 3, 1, 2) / 127.5 - 1 for video in VIDEOS]
    with torch.no_grad():
        latents = autoencoder.encode(torch.cat(signed))
        error = (autoencoder.decode(latents) - torch.cat(signed)).abs().mean()
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert (latents.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3
    assert float(error) == pytest.approx(history[-1]['loss'], rel=0.35)  # scaling changes no picture


def test_videos_without_maps_or_shorter_than_a_window_are_refused():
    with pytest.raises(ShapeError, match='render'):
        GuidedVideo('bare', VIDEOS[0].pictures, {name: VIDEOS[0].maps[name] for name in ('depth', 'normal')})
    with pytest.raises(ValueRangeError, match='video of at least 21 frames'):
        train_temporal(_nets(), VIDEOS, StageSettings(steps=1, frames=6, stride=4))


def test_a_refiner_is_kept_where_it_helps_on_later_frames():
    video = _video('person', frames=24)
    drawn = (video.pictures * 0.7).astype(np.uint8)  # too dark, everywhere alike
    settings = RefinerSettings(steps=80, width=8, stretch=2)
    refinement = fit_refiner(video, drawn, settings)
    assert refinement.is_kept
    assert refinement.frames == 8  # of 24, 14 are learnt from and 2 left out
    assert refinement.after[0] == pytest.approx(refinement.before[0] + refinement.psnr_gain_db.value)


def test_a_refiner_of_a_perfect_drawing_is_not_kept():
    video = _video('person', frames=24)
    refinement = fit_refiner(video, video.pictures, RefinerSettings(steps=3, width=8, stretch=2))
    assert not refinement.is_kept
