"""Training in the two published stages, on videos of faces with the maps that guide them.

    nets = train_spatial(nets, videos, StageSettings(steps=100_000), folder=Path('run/spatial')).nets
    nets = train_temporal(nets, videos, StageSettings(steps=50_000, frames=24), folder=Path('run/temporal')).nets

1. Spatial: a frame of a video is drawn from another frame, the portrait, with its own maps. The reference network, the
   guidance encoders and the denoising network without its temporal layers are trained.
2. Temporal: short windows of frames; only the temporal layers are trained.

Both predict the velocity, with its mean squared error at noise levels up to pure noise. For a share of samples the
portrait is left out, to train classifier-free guidance. A killed run resumes to the same values.

`train_autoencoder` serves users without the published autoencoder.

Axes: B samples of a batch, F frames, C channels of a latent, H height, W width.

Source: Zhu et al. 2024, Champ, arXiv:2403.14781, section 4.1 and its published settings (MagicPortrait names none of
its own); Lin et al. 2024, arXiv:2305.08891; Hang et al. 2023, arXiv:2303.09556 (weights of noise levels).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affekt.diffusion.autoencoder import SCALE, Autoencoder
from affekt.diffusion.guidance import MAPS
from affekt.diffusion.layers import Reading
from affekt.diffusion.published import PortraitNets
from affekt.diffusion.schedule import STEPS, signal_shares, velocity_of, with_noise
from affekt.diffusion.unet import UNet, read_portrait
from affekt.errors import ShapeError, ValueRangeError
from affekt.progress import Progress
from affekt.training import AdamW, Engine, EngineSettings, IndexBatches, LoadedBatches, Ranks, Schedule

Images = npt.NDArray[np.uint8]
Row = dict[str, float]
OVER_FRAMES = '.motion_modules.'
"""Substring of the names of temporal layers."""


@dataclass(frozen=True, eq=False)
class GuidedVideo:
    """One person's video: its frames, and the maps of the face in each.

    Attributes:
        name: name of the video.
        pictures: (F, H, W, 3) RGB, with sides divisible by the autoencoder's factor.
        maps: 'depth', 'normal' and 'render', each (F, H, W) or (F, H, W, 3).
    """

    name: str
    pictures: Images
    maps: Mapping[str, Images]

    def __post_init__(self) -> None:
        shape = self.pictures.shape
        unfit = [name for name in MAPS if name not in self.maps or self.maps[name].shape[:3] != shape[:3]]
        if len(shape) != 4 or shape[-1] != 3 or unfit:
            raise ShapeError(
                expected=f'{self.name}: pictures (F, H, W, 3), and {", ".join(MAPS)} of as many frames and their size',
                came=f'pictures {shape}' + (f', without {", ".join(unfit)}' if unfit else ''),
                todo='draw the maps of each frame at the size of the pictures',
            )

    def __len__(self) -> int:
        return len(self.pictures)

    def fingerprint(self) -> str:
        """A hash of first and last frames and maps, which distinguishes videos of equal name and length."""
        digest = hashlib.sha256(repr(self.pictures.shape).encode())
        for images in (self.pictures, *(self.maps[name] for name in MAPS)):
            digest.update(images[:1].tobytes())
            digest.update(images[-1:].tobytes())
        return digest.hexdigest()[:16]

    def frames(self, start: int, stop: int) -> GuidedVideo:
        """The frames from `start` to before `stop`."""
        return replace(
            self,
            pictures=self.pictures[start:stop],
            maps={map_name: images[start:stop] for map_name, images in self.maps.items()},
        )


@dataclass(frozen=True)
class StageSettings:
    """Settings of a training stage; by default as Champ published them.

    Args:
        steps: number of updates.
        batch_size: samples per process.
        learning_rate: learning rate after the warm-up.
        weight_decay: weight decay of AdamW.
        warm_up: steps in which the learning rate rises.
        frames: frames of a window, in the temporal stage.
        stride: distance of neighbouring frames of a window, in frames of the video.
        without_portrait: share of samples that do not attend to the portrait.
        noise_offset: standard deviation of noise that is constant over a window: one value per channel.
        snr_limit: signal-to-noise ratio beyond which a noise level counts less; None weighs all equally.
        clip_norm: largest norm of the gradient.
        seed: seed of all draws.
        log_every: steps per row of the log.
        save_every: steps between checkpoints.
        precision: precision of matrix products.
        device: device of the training.
    """

    steps: int
    batch_size: int = 4
    learning_rate: float = 1e-5
    weight_decay: float = 0.01
    warm_up: int = 1
    frames: int = 24
    stride: int = 4
    without_portrait: float = 0.1
    noise_offset: float = 0.05
    snr_limit: float | None = 5.0
    clip_norm: float = 1.0
    seed: int = 0
    log_every: int = 10
    save_every: int = 1000
    precision: str = 'float32'
    device: str = 'cpu'

    def __post_init__(self) -> None:
        counts = (self.steps, self.batch_size, self.frames, self.stride)
        if min(counts) < 1 or not 0 <= self.without_portrait <= 1 or self.noise_offset < 0:
            raise ValueRangeError(
                expected='counts of 1 or more, a share without portrait from 0 to 1, and no negative noise',
                came=f'{counts}, {self.without_portrait} and {self.noise_offset}', todo='correct them',
            )  # fmt: skip

    def engine(self) -> EngineSettings:
        """Settings of the training engine."""
        schedule = Schedule(warm_up=self.warm_up, steps=max(self.steps, self.warm_up + 1))
        return EngineSettings(
            seed=self.seed, precision=self.precision, clip_norm=self.clip_norm,  # type: ignore[arg-type]
            schedule=schedule, log_every=self.log_every, save_every=self.save_every, device=self.device,
        )  # fmt: skip


@dataclass(frozen=True)
class TrainedStage:
    """A finished stage: the networks, changed, and the log."""

    nets: PortraitNets
    history: tuple[Row, ...]


class Window(NamedTuple):
    """A batch of samples, 0 to 255.

    Attributes:
        portraits: (B, 3, H, W).
        pictures: (B, F, 3, H, W).
        maps: name to (B, F, 3, H, W).
    """

    portraits: Tensor
    pictures: Tensor
    maps: dict[str, Tensor]


class Stage(nn.Module):
    """The networks of a stage as one module; `losses` gives the losses of a batch."""

    def __init__(self, nets: PortraitNets, settings: StageSettings) -> None:
        super().__init__()
        self.reference, self.denoiser = nets.reference, nets.denoiser
        self.guides = nn.ModuleDict(dict(nets.guides))
        self.autoencoder = nets.autoencoder.requires_grad_(requires_grad=False)
        self.register_buffer('text', nets.text.clone().float(), persistent=False)
        self._settings = settings

    def losses(self, batch: Window) -> dict[str, Tensor]:
        """The weighted squared error of the velocity."""
        settings, text = self._settings, self.get_buffer('text')
        count, frames = batch.pictures.shape[:2]
        # 1. Latents and conditions
        with torch.no_grad():
            portraits = self.autoencoder.encode(_signed(batch.portraits))
            clean = self.autoencoder.encode(_signed(batch.pictures.flatten(0, 1)))
        clean = clean.unflatten(0, (count, frames)).transpose(1, 2)  # (B, C, F, H / 8, W / 8)
        guidance = sum_of(self.guides, batch.maps)
        # 2. Noise
        noise = torch.randn_like(clean)
        if settings.noise_offset:
            noise = noise + settings.noise_offset * torch.randn_like(noise[:, :, :1, :1, :1])
        levels = torch.randint(0, STEPS, (count,), device=clean.device)
        # 3. The prediction; samples without the portrait come first
        without_portrait = int((torch.rand(count) < settings.without_portrait).sum())
        texts = text.expand(count, -1, -1)
        reading = Reading(read_portrait(self.reference, portraits, texts), frames, (count - without_portrait) / count)
        prediction = self.denoiser(with_noise(clean, noise, levels), levels, texts, reading, guidance)
        errors = (prediction.float() - velocity_of(clean, noise, levels)).square().flatten(1).mean(dim=1)  # (B,)
        return {'velocity': (errors * _weights(levels, settings.snr_limit)).mean()}


def train_spatial(
    nets: PortraitNets, videos: Sequence[GuidedVideo], settings: StageSettings, *, folder: Path | None = None,
    resume: bool = False, report: Callable[[Row], None] | None = None, progress: Progress | None = None,
) -> TrainedStage:  # fmt: skip
    """The first stage: single frames.

    Args:
        nets: changed in place, except the autoencoder and the unused temporal layers of the denoising network.
        videos: videos of two frames or more each.
        settings: settings of the stage; `frames` and `stride` are not used.
        folder: folder for checkpoints, log and curves; None keeps nothing.
        resume: continue a killed run in this folder, or start if there is none.
        report: called with each row of the log.
        progress: called with `train`, steps done and total steps.

    Raises:
        ValueRangeError: there are too few frames.
        RunError, StorageError, TrainingError: see `Engine.run`.
    """
    spatial = without_motion(nets)
    stage = Stage(spatial, settings)
    for net in (stage.reference, stage.denoiser, stage.guides):
        net.train().requires_grad_()
    history = _run(stage, videos, settings, 1, 'spatial', folder, resume, report, progress)
    # temporal layers, absent in this stage, are kept; a name absent in the whole network is an error
    nets.denoiser.load_state_dict(nets.denoiser.state_dict() | stage.denoiser.state_dict())
    return TrainedStage(nets, tuple(history))


def train_temporal(
    nets: PortraitNets, videos: Sequence[GuidedVideo], settings: StageSettings, *, folder: Path | None = None,
    resume: bool = False, report: Callable[[Row], None] | None = None, progress: Progress | None = None,
) -> TrainedStage:  # fmt: skip
    """The second stage: only the temporal layers. See `train_spatial`.

    Raises:
        ValueRangeError: the denoising network has no temporal layers, or no video is as long as a window.
        RunError, StorageError, TrainingError: see `Engine.run`.
    """
    stage = Stage(nets, settings).requires_grad_(requires_grad=False)
    motion = [weight for name, weight in stage.named_parameters() if OVER_FRAMES in name]
    if not motion:
        raise ValueRangeError(
            expected='a denoising net with layers over frames', came='one without', todo='make it with has_motion'
        )
    for weight in motion:
        weight.requires_grad_()
    history = _run(stage, videos, settings, settings.frames, 'temporal', folder, resume, report, progress)
    return TrainedStage(nets, tuple(history))


def train_autoencoder(
    autoencoder: Autoencoder, videos: Sequence[GuidedVideo], settings: StageSettings, *, folder: Path | None = None,
    resume: bool = False, report: Callable[[Row], None] | None = None,
) -> list[Row]:  # fmt: skip
    """Train an autoencoder with unit-variance latents by the mean absolute error, for users without the published one.

    Args:
        autoencoder: changed in place.
        videos: see `train_spatial`.
        settings: settings of the stage; those of noise, windows and portraits are not used.
        folder: folder for checkpoints, log and curves; None keeps nothing.
        resume: continue a killed run in this folder.
        report: called with each row of the log.

    Raises:
        ValueRangeError: there are too few frames.
        RunError, StorageError, TrainingError: see `Engine.run`.
    """
    optimiser = AdamW(autoencoder.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    history = _engine_run(
        autoencoder, optimiser, _rebuilding, videos, settings, 1, 'autoencoder', folder, resume, report, None
    )
    _to_unit_variance(autoencoder, videos)
    autoencoder.eval().requires_grad_(requires_grad=False)
    return history


def without_motion(nets: PortraitNets) -> PortraitNets:
    """The networks with a denoising network without temporal layers; its other weights are copies."""
    denoiser = UNet(replace(nets.denoiser.sizes, has_motion=False)).to(nets.device)
    state = {name: value for name, value in nets.denoiser.state_dict().items() if OVER_FRAMES not in name}
    denoiser.load_state_dict(state)
    return replace(nets, denoiser=denoiser)


def sum_of(guides: Mapping[str, nn.Module] | nn.ModuleDict, maps: Mapping[str, Tensor]) -> Tensor:
    """(B, width, F, H / 8, W / 8) summed guidance of the maps (B, F, 3, H, W), 0 to 255."""
    guidance: list[Tensor] = [guides[name](maps[name].transpose(1, 2).float() / 255) for name in MAPS]
    return torch.stack(guidance).sum(dim=0)


def _run(
    stage: Stage, videos: Sequence[GuidedVideo], settings: StageSettings, frames: int, name: str, folder: Path | None,
    resume: bool, report: Callable[[Row], None] | None, progress: Progress | None,
) -> list[Row]:  # fmt: skip
    parameters = [weight for weight in stage.parameters() if weight.requires_grad]
    optimiser = AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    history = _engine_run(
        stage, optimiser, _losses, videos, settings, frames, name, folder, resume, report, progress
    )  # fmt: skip
    stage.eval().requires_grad_(requires_grad=False)
    return history


def _engine_run(
    model: nn.Module, optimiser: torch.optim.Optimizer, losses: Callable[..., dict[str, Tensor]],
    videos: Sequence[GuidedVideo], settings: StageSettings, frames: int, name: str, folder: Path | None,
    resume: bool, report: Callable[[Row], None] | None, progress: Progress | None,
) -> list[Row]:  # fmt: skip
    starts = _starts(videos, frames, settings.stride)
    if not starts:
        raise ValueRangeError(
            expected=f'a video of at least {max(2, (frames - 1) * settings.stride + 1)} frames',
            came=f'{len(videos)} videos of at most {max(map(len, videos), default=0)}',
            todo='give longer videos, or choose shorter windows',
        )
    ranks = Ranks(settings.device)
    order = IndexBatches(
        len(starts), min(settings.batch_size, len(starts)), settings.seed, rank=ranks.rank, ranks=ranks.count
    )
    engine = Engine(model, optimiser, losses, settings.engine(), ranks=ranks)
    reader = partial(_read, videos, starts, frames, settings.stride)
    video_identities = {video.name: [len(video), video.fingerprint()] for video in videos}
    depends_on = {'stage': name, 'settings': asdict(settings), 'videos': video_identities}
    return engine.run(
        LoadedBatches(order, reader), steps=settings.steps, folder=folder, resume=resume, depends_on=depends_on,
        report=report, progress=progress,
    )  # fmt: skip


def _starts(videos: Sequence[GuidedVideo], frames: int, stride: int) -> list[tuple[int, int]]:
    """Video and first frame of each window; videos of one frame are left out, since they have no other as portrait."""
    span = (frames - 1) * stride + 1
    return [
        (number, start)
        for number, video in enumerate(videos)
        for start in range(len(video) - span + 1)
        if len(video) > 1
    ]


def _read(
    videos: Sequence[GuidedVideo], starts: Sequence[tuple[int, int]], frames: int, stride: int,
    batches: Iterable[Sequence[int]],
) -> Iterator[Window]:  # fmt: skip
    """Batches; each portrait is any frame of its video, drawn from torch's generator, which checkpoints keep."""
    for batch in batches:
        portraits, pictures, maps = [], [], {name: list[Images]() for name in MAPS}
        for video_index, start in (starts[sample] for sample in batch):
            video = videos[video_index]
            indices = [start + stride * frame for frame in range(frames)]
            portraits.append(video.pictures[int(torch.randint(len(video), ()))])
            pictures.append(video.pictures[indices])
            for name, map_images in maps.items():
                map_images.append(video.maps[name][indices])
        yield Window(
            images_tensor(np.stack(portraits)),
            images_tensor(np.stack(pictures)),
            {name: images_tensor(np.stack(map_images)) for name, map_images in maps.items()},
        )


def images_tensor(images: Images) -> Tensor:
    """(…, 3, H, W) images from (…, H, W, 3), or from maps (…, H, W) without colours."""
    stacked = torch.from_numpy(np.ascontiguousarray(images))
    if stacked.shape[-1] != 3:
        stacked = stacked[..., None].expand(*stacked.shape, 3)
    return stacked.movedim(-1, -3).contiguous()


def _signed(images: Tensor) -> Tensor:
    """Values from 0 to 255 scaled to the range from -1 to 1."""
    return images.float() / 127.5 - 1


def _losses(model: nn.Module, batch: Window) -> dict[str, Tensor]:
    assert isinstance(model, Stage)
    return model.losses(batch)


def _rebuilding(model: nn.Module, batch: Window) -> dict[str, Tensor]:
    assert isinstance(model, Autoencoder)
    pictures = _signed(batch.pictures.flatten(0, 1))
    return {'rebuilding': (model.decode(model.encode(pictures)) - pictures).abs().mean()}


def _weights(levels: Tensor, limit: float | None) -> Tensor:
    """(B,) weights of noise levels: min(s, limit) / s with s = 1 + the signal-to-noise ratio; 1 at noise alone."""
    if limit is None:
        return torch.ones_like(levels, dtype=torch.float32)
    shares = signal_shares().to(levels.device)[levels]
    ratio = 1 / (1 - shares)  # s = 1 + ᾱ / (1 - ᾱ)
    return ratio.clamp(max=limit) / ratio


@torch.no_grad()
def _to_unit_variance(autoencoder: Autoencoder, videos: Sequence[GuidedVideo], most_frames: int = 64) -> None:
    """Scale the layers between encoder and decoder so that latents have mean 0 and variance 1; images stay the same."""
    ends = np.cumsum([len(video) for video in videos])
    indices = np.unique(np.linspace(0, ends[-1] - 1, most_frames).astype(int))  # over all frames of all videos
    video_indices = np.searchsorted(ends, indices, side='right')
    images = [
        videos[video_index].pictures[index - ends[video_index]]
        for video_index, index in zip(video_indices, indices, strict=True)
    ]
    device = next(autoencoder.parameters()).device
    encoded = [autoencoder.encode(_signed(images_tensor(image[None])).to(device)) for image in images]
    latents = torch.cat([latent.flatten(2) for latent in encoded], dim=2)  # (1, C, N H W), also of several sizes
    width = latents.shape[1]
    mean, deviation = latents.mean(dim=(0, 2)), latents.std(dim=(0, 2)).clamp(min=1e-6)
    encode_layer, decode_layer = autoencoder.quant_conv, autoencoder.post_quant_conv
    assert encode_layer.bias is not None
    assert decode_layer.bias is not None
    # encode gives S (W x + b); the target is (S (W x + b) - mean) / deviation
    encode_layer.bias[:width] = (encode_layer.bias[:width] - mean / SCALE) / deviation
    encode_layer.weight[:width] /= deviation[:, None, None, None]
    # decode takes V (z / S) + c, with z now deviation * z + mean
    decode_layer.bias += decode_layer.weight[:, :, 0, 0] @ (mean / SCALE)
    decode_layer.weight *= deviation[None, :, None, None]
