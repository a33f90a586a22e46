"""Nets whose weights follow from their names, as the stored outputs of the published code have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from fusion_reference import filled as parameter
from fusion_reference import uniform
from torch import Tensor, nn

from affekt.diffusion import (
    MAPS,
    Autoencoder,
    AutoencoderSizes,
    DrawingSettings,
    GuidanceEncoder,
    UNet,
    UNetSizes,
)
from affekt.nn import save_tensors

SIDE = 64
SETTINGS = DrawingSettings(steps=2, window=3, overlap=1, maps_at_once=2)
SMALL = {'widths': (32, 64, 64, 64), 'text_width': 48}


def drawn(name: str, *shape: int) -> Tensor:
    return torch.from_numpy(uniform(name, *shape).astype(np.float32))


def filled(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight.copy_(parameter(name, tuple(weight.shape)))
    return net.eval()


def write_weights(folder: Path) -> Path:
    """A folder of small weights under the published names of files and tensors."""
    sizes = UNetSizes(**SMALL)  # type: ignore[arg-type]
    reference = filled(UNet(UNetSizes(**SMALL, is_reference=True)))  # type: ignore[arg-type]
    denoiser = filled(UNet(UNetSizes(**SMALL, has_motion=True)))  # type: ignore[arg-type]
    checkpoints = folder / 'ckpts'
    checkpoints.mkdir(parents=True)
    state = denoiser.state_dict()
    motion = {name: value for name, value in state.items() if '.motion_modules.' in name}
    torch.save({name: v for name, v in state.items() if name not in motion}, checkpoints / 'denoising_unet.pth')
    torch.save({f'module.{name}': v for name, v in motion.items()}, checkpoints / 'motion_module-47360.pth')
    torch.save(reference.state_dict(), checkpoints / 'reference_unet.pth')
    for number, name in enumerate(MAPS):
        guide = filled(GuidanceEncoder(sizes.widths[0]))
        shifted = {key: value + 0.01 * number for key, value in guide.state_dict().items()}
        shifted['guidance_attention.norm.weight'] = torch.ones(256)
        torch.save(shifted, checkpoints / f'guidance_encoder_{name}.pth')
    (folder / 'sd-vae-ft-mse').mkdir()
    autoencoder = filled(Autoencoder(AutoencoderSizes((32, 32, 64, 64))))
    save_tensors(folder / 'sd-vae-ft-mse' / 'diffusion_pytorch_model.safetensors', autoencoder.state_dict())
    save_tensors(folder / 'prompt.safetensors', {'prompt': drawn('txt', 1, 7, 48)})
    return folder


def made_up_portrait() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def made_up_maps(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [
        {
            name: rng.integers(0, 256, (SIDE, SIDE, 3) if name == 'normal' else (SIDE, SIDE), dtype=np.uint8)
            for name in MAPS
        }
        for _ in range(count)
    ]


def paint_shared(portrait: str, weights: str, out: str, folder: str) -> None:
    """The job of one of several processes that `torchrun` started: a whole output, as the command line makes it."""
    import os

    from portraits import MadeUpLandmarker

    from affekt.reenactment import ByEmotion, Consent, PaintSettings, ReenactSettings, reenact_to

    os.environ['AFFEKT_CONFIG'] = folder
    settings = ReenactSettings(
        weights=Path(weights), painting=PaintSettings(steps=2, side=SIDE), note_off_by='A. Tester'
    )
    made = reenact_to(
        out, portrait, ByEmotion('surprise', seconds=1.4, rate_hz=10.0), consent=Consent('nobody'), settings=settings,
        landmarker=MadeUpLandmarker(), # type: ignore[arg-type]
    )  # fmt: skip
    assert made.is_written == (os.environ.get('RANK', '0') == '0')
