"""A personal refiner: a small network that corrects geometry's drawings of one person, kept only if it helps.

It is trained on the first part of one video of the person and evaluated on the rest of the same video, after a gap,
since neighbouring frames are nearly equal. It is kept if both PSNR and SSIM rise there, with intervals over blocks of
frames above 0. `fit_refiner` does both; use `learn_refiner` and `judge_refiner` to evaluate at another size.
`refiner_files.py` stores one in a folder.

Axes: F frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.arrays import Floats32
from affekt.diffusion.guidance import MAPS
from affekt.diffusion.training import GuidedVideo, images_tensor
from affekt.errors import ShapeError, ValueRangeError
from affekt.metrics import Interval, bootstrap_interval, peak_signal_to_noise, structural_similarity
from affekt.nn import seeded
from affekt.progress import Progress
from affekt.training import AdamW, Engine, EngineSettings, IndexBatches, LoadedBatches, Schedule, epoch_seed

Images = npt.NDArray[np.uint8]
Row = dict[str, float]
DILATIONS = (1, 2, 4, 2, 1)
"""Dilations of its layers: each position sees 10 pixels to all sides, and two more through the first and last layer."""
AT_ONCE = 16
"""Frames corrected at once."""


@dataclass(frozen=True)
class RefinerSettings:
    """Settings of training and evaluating a refiner.

    Args:
        steps: number of updates.
        width: channels of its layers.
        batch_size: frames per update.
        learning_rate: initial learning rate; it falls by half a cosine.
        learnt_share: share of the video, from its start, used for training.
        stretch: frames of a block that counts as one for the intervals; as many are left out between training and
            evaluation.
        seed: seed of weights, order and resamples.
        log_every: steps per row of the log.
    """

    steps: int = 250
    width: int = 24
    batch_size: int = 6
    learning_rate: float = 3e-3
    learnt_share: float = 0.6
    stretch: int = 5
    seed: int = 0
    log_every: int = 10

    def __post_init__(self) -> None:
        if min(self.steps, self.width, self.batch_size, self.stretch) < 1 or not 0 < self.learnt_share < 1:
            raise ValueRangeError(
                expected='counts of 1 or more, and a share between 0 and 1', came=str(asdict(self)), todo='correct them'
            )

    def parts(self, frames: int) -> tuple[int, int]:
        """The number of training frames, and the index of the first evaluation frame.

        >>> RefinerSettings(learnt_share=0.6, stretch=5).parts(75)
        (45, 50)
        """
        training_frames = int(self.learnt_share * frames)
        return training_frames, training_frames + self.stretch


class Refiner(nn.Module):
    """A network from a drawing and its maps to a corrected image; at first it changes nothing."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * (1 + len(MAPS)), width, 3, padding=1)
        self.layers = nn.ModuleList(
            [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS]
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, drawn: Tensor, maps: Tensor) -> Tensor:
        """(F, 3, H, W) corrected images, from drawings of that shape and maps (F, 9, H, W), all from 0 to 1."""
        hidden = functional.silu(self.first(torch.cat([drawn, maps], dim=1)))
        for layer in self.layers:
            hidden = hidden + functional.silu(layer(hidden))
        corrected: Tensor = drawn + self.last(hidden)
        return corrected

    @torch.no_grad()
    def pictures(self, drawn: Images, video: GuidedVideo) -> Images:
        """(F, H, W, 3) corrected images, from geometry's drawings and the maps of a video."""
        chunks = []
        for start in range(0, len(drawn), AT_ONCE):
            frames = range(start, min(start + AT_ONCE, len(drawn)))
            pixels = self(*_inputs(drawn, video.maps, frames)).clamp(0, 1) * 255
            chunks.append(pixels.round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
        return np.concatenate(chunks)

    @torch.no_grad()
    def correction(self, drawn: Images, maps: Mapping[str, Images]) -> Floats32:
        """(H, W, 3) correction, in grey levels, of one drawing.

        Args:
            drawn: (H, W, 3) drawing, to which the correction is added.
            maps: its maps, (H, W) or (H, W, 3) each.
        """
        drawing, map_tensor = _inputs(drawn[None], {name: maps[name][None] for name in MAPS}, [0])
        difference = 255 * (self(drawing, map_tensor) - drawing)
        return np.asarray(difference[0].permute(1, 2, 0).numpy(), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Refinement:
    """A refiner and its gains on held-out frames.

    Attributes:
        refiner: the network.
        psnr_gain_db: gain in PSNR, with its interval.
        ssim_gain: gain in SSIM, with its interval.
        before: PSNR and SSIM of geometry's drawings.
        after: PSNR and SSIM of the corrected images.
        frames: number of evaluation frames.
        history: rows of the log.
    """

    refiner: Refiner
    psnr_gain_db: Interval
    ssim_gain: Interval
    before: tuple[float, float]
    after: tuple[float, float]
    frames: int
    history: tuple[Row, ...]

    @property
    def is_kept(self) -> bool:
        """Whether both rise, with intervals above 0."""
        return bool(self.psnr_gain_db.low > 0 and self.ssim_gain.low > 0)


def fit_refiner(
    video: GuidedVideo, drawn: Images, settings: RefinerSettings | None = None, *, folder: Path | None = None,
    resume: bool = False, report: Callable[[Row], None] | None = None,
) -> Refinement:  # fmt: skip
    """Train a refiner on a video, and evaluate it on later frames of that video.

    Args:
        video: the video's frames and maps.
        drawn: (F, H, W, 3) geometry's drawings of the same frames.
        settings: settings of training and evaluation; None for the defaults.
        folder: folder for checkpoints and log; None keeps nothing.
        resume: continue a killed run in this folder.
        report: called with each row of the log.

    Raises:
        ShapeError: the numbers or sizes of the images differ.
        ValueRangeError: the video is too short for training and evaluation.
        RunError, StorageError, TrainingError: see `affekt.training.Engine.run`.
    """
    settings = settings or RefinerSettings()
    refiner, history = learn_refiner(video, drawn, settings, folder=folder, resume=resume, report=report)
    _, first = settings.parts(len(video))
    later = video.frames(first, len(video))
    corrected = refiner.pictures(drawn[first:], later)
    return judge_refiner(refiner, later.pictures, drawn[first:], corrected, settings, history)


def learn_refiner(
    video: GuidedVideo, drawn: Images, settings: RefinerSettings, *, folder: Path | None = None, resume: bool = False,
    report: Callable[[Row], None] | None = None, progress: Progress | None = None,
) -> tuple[Refiner, tuple[Row, ...]]:  # fmt: skip
    """A refiner trained on the first frames of a video, and its log. See `fit_refiner`.

    Args:
        progress: called with `train`, steps done and total steps.
    """
    if drawn.shape != video.pictures.shape:
        raise ShapeError(
            expected=f'drawn pictures {video.pictures.shape}',
            came=str(drawn.shape),
            todo='draw each frame of the video',
        )
    training_frames, later = settings.parts(len(video))
    if training_frames < settings.batch_size or len(video) - later < 2 * settings.stretch:
        raise ValueRangeError(
            expected=f'at least {settings.batch_size} frames to learn from, {settings.stretch} between, and '
            f'{2 * settings.stretch} to judge by',
            came=f'{training_frames} and {max(0, len(video) - later)} of {video.name}', todo='give a longer video',
        )  # fmt: skip
    with seeded(epoch_seed(settings.seed, 0, 0)):
        refiner = Refiner(settings.width)
    engine = Engine(
        refiner,
        AdamW(refiner.parameters(), settings.learning_rate, weight_decay=0.01),
        _losses,
        EngineSettings(
            seed=settings.seed,
            clip_norm=1.0,
            log_every=settings.log_every,
            save_every=settings.log_every * 10,
            schedule=Schedule('cosine', warm_up=min(10, settings.steps - 1), steps=settings.steps),
        ),
    )
    truth = images_tensor(video.pictures[:training_frames])
    order = IndexBatches(training_frames, settings.batch_size, settings.seed)
    batches = LoadedBatches(
        order,
        lambda index_batches: (
            (*_inputs(drawn, video.maps, indices), truth[indices].float() / 255) for indices in index_batches
        ),
    )
    history = engine.run(
        batches, steps=settings.steps, folder=folder, resume=resume, report=report, progress=progress,
        depends_on={'refiner': asdict(settings), 'video': [video.name, len(video), video.fingerprint()]},
    )  # fmt: skip
    return refiner.eval(), tuple(history)


def judge_refiner(
    refiner: Refiner, truth: Iterable[Images], drawn: Iterable[Images], corrected: Iterable[Images],
    settings: RefinerSettings, history: tuple[Row, ...] = (),
) -> Refinement:  # fmt: skip
    """The gains of a refiner on held-out frames.

    Args:
        refiner: the refiner that corrected them.
        truth: frames (H, W, 3) of the video.
        drawn: geometry's drawings of these frames.
        corrected: the same drawings, corrected.
        settings: settings of its training.
        history: rows of the log of its training.
    """
    scores = np.array(
        [
            [_score(target, drawing), _score(target, image)]
            for target, drawing, image in zip(truth, drawn, corrected, strict=True)
        ]
    )  # (F, before and after, PSNR and SSIM)
    blocks = np.arange(len(scores)) // settings.stretch
    psnr, ssim = (
        bootstrap_interval(
            lambda values: float(np.mean(values)), scores[:, 1, score] - scores[:, 0, score], groups=blocks,
            rng=np.random.default_rng(settings.seed), bounds=(-np.inf, np.inf),
        )
        for score in range(2)
    )  # fmt: skip
    (psnr_before, ssim_before), (psnr_after, ssim_after) = scores.mean(axis=0).tolist()
    return Refinement(
        refiner, psnr, ssim, (psnr_before, ssim_before), (psnr_after, ssim_after), len(scores), history
    )  # fmt: skip


def _score(truth: Images, picture: Images) -> tuple[float, float]:
    """PSNR, clipped at 100 dB, and SSIM."""
    return min(peak_signal_to_noise(truth, picture), 100.0), structural_similarity(truth, picture)


def _inputs(drawn: Images, maps: Mapping[str, Images], frames: Iterable[int]) -> tuple[Tensor, Tensor]:
    """Images (F, 3, H, W) and maps (F, 9, H, W) of some frames, 0 to 1."""
    indices = list(frames)
    joined = torch.cat([images_tensor(maps[name][indices]) for name in MAPS], dim=1)
    return images_tensor(drawn[indices]).float() / 255, joined.float() / 255


def _losses(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    drawn, maps, truth = batch
    errors = model(drawn, maps) - truth
    return {'difference': errors.abs().mean() + errors.square().mean()}
