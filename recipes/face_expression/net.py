"""The network of the face expression model and its training loop.

In: FER2013 splits as arrays. Out: averaged weights of the last epoch, one log line an epoch, a checkpoint
an epoch. The net standardises each face by its own mean and deviation, so exposure hardly matters. B
batch, C channels.
"""

from __future__ import annotations

import copy
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data import SIDE, Faces, augment, to_batch
from torch import nn
from torch.nn import functional

CATEGORIES = 7


@dataclass(frozen=True)
class Training:
    """Settings of one run.

    The rate is flat after a warm-up of 2 epochs, then falls linearly to 0 over the last share ``cooling`` of the
    run. Up to each progress in ``sides`` faces are shrunk to that many pixels, as small ones cost less than half
    (after Tan & Le 2021, arXiv:2104.00298). A share ``framed`` of the faces is seen aligned as at run time, the
    others as they came. ``minutes`` > 0 measures progress by the clock instead of by epochs.
    """

    epochs: int = 30
    minutes: float = 0.0
    width: int = 56
    batch: int = 128
    rate: float = 0.08
    decay: float = 5e-4
    cooling: float = 0.55
    sides: tuple[tuple[float, int], ...] = ((0.68, 32), (0.86, 40), (1.0, SIDE))
    smoothing: float = 0.1
    framed: float = 0.8
    average: float = 0.999
    seed: int = 7
    threads: int = 1


def convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Gate(nn.Module):
    """Squeeze-and-excitation: each channel times a weight in (0, 1) read from all channel means.

    Source: Hu et al. 2018, doi:10.1109/CVPR.2018.00745.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 8, 1)
        self.excite = nn.Conv2d(channels // 8, channels, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        means = maps.mean((2, 3), keepdim=True)
        return maps * torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; (B, C, H, W) to (B, C', H/stride, W/stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, gated: bool = True) -> None:
        super().__init__()
        self.first = convolve(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.gate = Gate(outputs) if gated else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            project = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.shortcut = nn.Sequential(nn.AvgPool2d(stride), project, nn.BatchNorm2d(outputs))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.gate(self.second(self.first(maps))) + self.shortcut(maps))


class ExpressionNet(nn.Module):
    """(B, 1, 48, 48) grey faces in [0, 1] to (B, 7) logits in EKMAN order; about 2 M parameters at width
    56."""

    def __init__(self, width: int = 56) -> None:
        super().__init__()
        one, two, four = width, 2 * width, 4 * width
        stem = nn.Conv2d(1, one, 6, 2, 2, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(one), nn.ReLU(inplace=True))
        self.body = nn.Sequential(
            Residual(one, one, gated=False),  # 24 x 24
            Residual(one, two, 2),  # 12 x 12
            Residual(two, two),
            Residual(two, four, 2),  # 6 x 6
            Residual(four, four),
        )
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(four, CATEGORIES)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        centred = faces - faces.mean((2, 3), keepdim=True)
        deviation = (centred * centred).mean((2, 3), keepdim=True).add(1e-4).sqrt()
        maps = self.body(self.stem(centred / deviation))
        return self.head(self.drop(maps.mean((2, 3))))


def rate_at(progress: float, training: Training) -> float:
    """Learning rate at ``progress`` in [0, 1]: linear warm-up, flat, linear fall to 0."""
    warm = 2 / training.epochs
    rising = min(1.0, (progress + 1e-6) / warm)
    return training.rate * min(rising, (1 - progress) / training.cooling, 1.0)


def logits_of(net: nn.Module, images: np.ndarray, mirrored: bool = True) -> np.ndarray:
    """(N, 7) float64 logits of uint8 images, averaged with those of the mirrored faces when ``mirrored``."""
    net.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 256):
            faces = to_batch(images[start : start + 256]).contiguous(memory_format=torch.channels_last)
            with torch.autocast('cpu', torch.bfloat16):
                logits = net(faces).float()
                if mirrored:
                    logits = (logits + net(faces.flip(3)).float()) / 2
            parts.append(logits.double().numpy())
    return np.concatenate(parts)


def score(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and mean recall."""
    hit = logits.argmax(1) == labels
    return float(hit.mean()), float(np.mean([hit[labels == c].mean() for c in range(CATEGORIES)]))


def follow(average: nn.Module, net: nn.Module, step: int, decay: float) -> None:
    """Moves the averaged weights towards the net's; early steps average over fewer."""
    keep = min(decay, (step + 1) / (step + 10))
    with torch.no_grad():
        for slow, fast in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
            if slow.dtype.is_floating_point:
                slow.lerp_(fast, 1 - keep)
            else:
                slow.copy_(fast)


def grouped(net: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay on convolution and linear weights only, not on norms and biases."""
    heavy = [p for p in net.parameters() if p.ndim > 1]
    light = [p for p in net.parameters() if p.ndim <= 1]
    return [{'params': heavy, 'weight_decay': decay}, {'params': light, 'weight_decay': 0.0}]


def write_checkpoint(path: Path, state: dict[str, object]) -> None:
    temporary = path.with_suffix('.part')
    torch.save(state, temporary)
    os.replace(temporary, path)


class Run:
    """One training run: the net, its average, the optimizer, and how far it has come (``progress`` in [0, 1])."""

    def __init__(self, out: Path, training: Training, resume: bool) -> None:
        self.path, self.log = out / 'checkpoint.pt', out / 'train_log.tsv'
        self.net = ExpressionNet(training.width).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        groups = grouped(self.net, training.decay)
        self.optimizer = torch.optim.SGD(groups, training.rate, momentum=0.9, nesterov=True)
        self.epoch, self.progress = 0, 0.0
        if resume and self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.net.load_state_dict(state['net'])
            self.average.load_state_dict(state['average'])
            self.optimizer.load_state_dict(state['optimizer'])
            self.epoch, self.progress = state['epoch'], state['progress']
        else:
            self.log.write_text('epoch\trate\tloss\tseconds\tside\tval_accuracy\tval_balanced\n')

    def save(self, columns: list[str]) -> None:
        """Checkpoint and log line of a finished epoch."""
        state = {
            'net': self.net.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'epoch': self.epoch,
            'progress': self.progress,
        }
        write_checkpoint(self.path, state)
        with open(self.log, 'a') as handle:
            handle.write('\t'.join(columns) + '\n')


def train(train_faces: Faces, validation: Faces, out: Path, training: Training, resume: bool) -> nn.Module:
    """The averaged net at the end; ``out`` gets checkpoint.pt and train_log.tsv, both after each epoch.

    With ``training.minutes`` the run ends by the clock, and a resumed one gets that many minutes for what is left.
    """
    torch.set_num_threads(training.threads)
    torch.manual_seed(training.seed)
    run, steps = Run(out, training, resume), len(train_faces) // training.batch
    started, behind = time.perf_counter(), run.progress
    while run.progress < 1:
        began, rng = time.perf_counter(), torch.Generator().manual_seed(training.seed * 1000 + run.epoch)
        torch.manual_seed(training.seed * 1000 + run.epoch)
        order, losses, rate, side = torch.randperm(len(train_faces), generator=rng).numpy(), [], 0.0, SIDE
        run.net.train()
        for step in range(steps):
            if training.minutes:
                spent = (time.perf_counter() - started) / 60 / training.minutes
                run.progress = min(1.0, behind + (1 - behind) * spent)
            else:
                run.progress = min(1.0, (run.epoch + step / steps) / training.epochs)
            if run.progress >= 1:
                break
            side = next(side for until, side in training.sides if run.progress < until)
            rate = rate_at(run.progress, training)
            picked = order[step * training.batch : (step + 1) * training.batch]
            losses.append(learn(run.net, run.optimizer, train_faces, picked, rate, side, training, rng))
            follow(run.average, run.net, run.epoch * steps + step, training.average)
        if not np.isfinite(losses).all():
            raise FloatingPointError(f'the loss became infinite in epoch {run.epoch}; start again with a lower rate')
        run.epoch += 1
        if not training.minutes:
            run.progress = run.epoch / training.epochs
        kept = score(logits_of(run.average, validation.framed, mirrored=False), validation.labels)
        columns = [f'{run.epoch}', f'{rate:.5f}', f'{np.mean(losses or [np.nan]):.4f}']
        columns += [f'{time.perf_counter() - began:.1f}', f'{side}', *(f'{value:.4f}' for value in kept)]
        run.save(columns)
    return run.average


def learn(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    faces: Faces,
    picked: np.ndarray,
    rate: float,
    side: int,
    training: Training,
    rng: torch.Generator,
) -> float:
    """One step on the picked faces, shrunk to `side` pixels; the loss before it."""
    for group in optimizer.param_groups:
        group['lr'] = rate
    aligned = torch.rand(len(picked), generator=rng).numpy() < training.framed
    images = np.where(aligned[:, None, None], faces.framed[picked], faces.images[picked])
    batch = augment(to_batch(images), rng)
    if side < SIDE:
        batch = functional.interpolate(batch, size=(side, side), mode='area')
    batch = batch.contiguous(memory_format=torch.channels_last)
    truth = torch.from_numpy(faces.labels[picked])
    with torch.autocast('cpu', torch.bfloat16):
        logits = net(batch)
    loss = functional.cross_entropy(logits.float(), truth, label_smoothing=training.smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss.detach())
