"""FER2013 as arrays, and the ways a video spoils a face, as batch operations.

Task: seven-category facial expression (EKMAN order) from a 48x48 grey face.
In: a folder with ``labels.csv`` (file, emotion, split) and ``fer2013_jpg.zip``. Out: uint8 arrays per split.
Axes: N images, B batch, H = W = 48 pixels. Pixel values are uint8 in files and float32 in [0, 1] in batches.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

SIDE = 48
EKMAN_OF_FER = {'angry': 0, 'disgust': 1, 'fear': 2, 'happy': 3, 'sad': 4, 'surprise': 5, 'neutral': 6}
SPLITS = ('train', 'validation', 'test')

# Luminance quantisation table of JPEG at quality 50 (ITU-T T.81, Annex K.1).
JPEG_LUMINANCE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)


@dataclass(frozen=True)
class Faces:
    """One split: ``images`` and ``framed`` (N, 48, 48) uint8, ``labels`` (N,) int64 in EKMAN order.

    ``framed`` holds the same faces aligned as at run time (as they came where no face was read).
    """

    images: np.ndarray
    labels: np.ndarray
    framed: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def load_faces(data: Path, split: str) -> Faces:
    """One official split, decoded; training faces that are blank or repeated in another split are left out.

    Args:
        data: folder with ``labels.csv`` and ``fer2013_jpg.zip``.
        split: 'train', 'validation' (PublicTest) or 'test' (PrivateTest).
    """
    with open(data / 'labels.csv', newline='') as handle:
        rows = [(row['file'], EKMAN_OF_FER[row['emotion']], row['split']) for row in csv.DictReader(handle)]
    held_out: set[bytes] = set()
    images, labels = [], []
    with zipfile.ZipFile(data / 'fer2013_jpg.zip') as archive:
        if split == 'train':
            held_out = {archive.read(name) for name, _, where in rows if where != 'train'}
        for name, label, where in rows:
            if where != split:
                continue
            packed = archive.read(name)
            image = np.asarray(Image.open(io.BytesIO(packed)).convert('L'), np.uint8)
            if split == 'train' and (packed in held_out or image.std() < 2.0):
                continue
            images.append(image)
            labels.append(label)
    stacked = np.stack(images)
    return Faces(stacked, np.asarray(labels, np.int64), stacked)


def to_batch(images: np.ndarray) -> torch.Tensor:
    """(N, 48, 48) uint8 to (N, 1, 48, 48) float32 in [0, 1]."""
    return torch.from_numpy(images).float().div_(255.0).unsqueeze(1)


def uniform(count: int, low: float, high: float, rng: torch.Generator) -> torch.Tensor:
    return torch.rand(count, generator=rng) * (high - low) + low


def peaked(count: int, low: float, high: float, rng: torch.Generator) -> torch.Tensor:
    """Triangular draws: mostly near the middle of the range."""
    return (uniform(count, low, high, rng) + uniform(count, low, high, rng)) / 2


def chosen(count: int, share: float, rng: torch.Generator) -> torch.Tensor:
    """Indices of a random subset: each of ``count`` items with probability ``share``."""
    return torch.nonzero(torch.rand(count, generator=rng) < share).flatten()


def warp(faces: torch.Tensor, homography: torch.Tensor, padding: str = 'border') -> torch.Tensor:
    """Each face sampled at its homography (B, 3, 3) of output coordinates in [-1, 1]."""
    line = (torch.arange(SIDE, dtype=torch.float32) + 0.5) * 2 / SIDE - 1
    y, x = torch.meshgrid(line, line, indexing='ij')
    base = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1)
    moved = homography @ base
    grid = (moved[:, :2] / moved[:, 2:].clamp_min(0.2)).transpose(1, 2).reshape(-1, SIDE, SIDE, 2)
    return functional.grid_sample(faces, grid, padding_mode=padding, align_corners=False)


def random_homographies(count: int, rng: torch.Generator) -> torch.Tensor:
    """Flip, rotation +-20 deg, scale 0.8-1.2, shift +-7 %, shear and keystone (small head turns)."""
    angle = peaked(count, -20, 20, rng) * math.pi / 180
    scale = torch.exp(peaked(count, math.log(0.8), math.log(1.2), rng))
    stretch = torch.exp(uniform(count, -0.1, 0.1, rng))
    mirror = (torch.rand(count, generator=rng) < 0.5).float() * -2 + 1
    shear = uniform(count, -0.12, 0.12, rng)
    matrix = torch.zeros(count, 3, 3)
    matrix[:, 0, 0] = mirror * scale * stretch * angle.cos()
    matrix[:, 0, 1] = -scale * stretch * angle.sin() + shear
    matrix[:, 1, 0] = mirror * scale / stretch * angle.sin()
    matrix[:, 1, 1] = scale / stretch * angle.cos()
    matrix[:, 0, 2] = uniform(count, -0.14, 0.14, rng)
    matrix[:, 1, 2] = uniform(count, -0.14, 0.14, rng)
    matrix[:, 2, 0] = uniform(count, -0.15, 0.15, rng)
    matrix[:, 2, 1] = uniform(count, -0.1, 0.1, rng)
    matrix[:, 2, 2] = 1
    return matrix


def blur(faces: torch.Tensor, sigma: float, stretch: float = 1.0, angle_rad: float = 0.0) -> torch.Tensor:
    """Gaussian blur; ``stretch`` > 1 lengthens it along ``angle_rad`` as motion does. ``sigma`` in pixels."""
    radius = max(1, math.ceil(2.5 * sigma * stretch))
    line = torch.arange(-radius, radius + 1, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing='ij')
    along = x * math.cos(angle_rad) + y * math.sin(angle_rad)
    across = -x * math.sin(angle_rad) + y * math.cos(angle_rad)
    kernel = torch.exp(-0.5 * ((along / (sigma * stretch)) ** 2 + (across / sigma) ** 2))
    padded = functional.pad(faces, [radius] * 4, mode='replicate')
    return functional.conv2d(padded, (kernel / kernel.sum())[None, None])


def shrink(faces: torch.Tensor, side: int) -> torch.Tensor:
    """What is left of a face that was only ``side`` pixels wide: down by area, up by bilinear."""
    small = functional.interpolate(faces, size=(side, side), mode='area')
    return functional.interpolate(small, size=(SIDE, SIDE), mode='bilinear', align_corners=False)


def compress(faces: torch.Tensor, quality: float) -> torch.Tensor:
    """JPEG's loss at ``quality`` (1-100): 8x8 cosine transform, rounded by the luminance table, and back."""
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    table = (JPEG_LUMINANCE * scale).clamp_min(1.0)
    k = torch.arange(8, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) * math.sqrt(2 / 8)
    basis[0] /= math.sqrt(2)
    blocks = (faces * 255 - 128).reshape(-1, 6, 8, 6, 8).transpose(2, 3)  # (B, 6, 6, 8, 8)
    rounded = torch.round(basis @ blocks @ basis.T / table) * table
    return (((basis.T @ rounded @ basis).transpose(2, 3).reshape(faces.shape) + 128) / 255).clamp(0, 1)


def darken(faces: torch.Tensor, gain: float, noise: float, rng: torch.Generator) -> torch.Tensor:
    """A dim room: exposure times ``gain``, sensor noise of ``noise`` (in [0, 1] units), 8-bit rounding."""
    dark = faces * gain + torch.randn(faces.shape, generator=rng) * noise
    return (dark.clamp(0, 1) * 255).round() / 255


def spoil_light(faces: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Gamma, exposure and contrast of each face; some in a dim room, some with a noisy sensor."""
    count = len(faces)
    column = (count, 1, 1, 1)
    faces = faces.clamp_min(1e-4) ** torch.exp(peaked(count, -0.6, 0.6, rng)).reshape(column)
    middle = faces.mean((2, 3), keepdim=True)
    faces = (faces - middle) * uniform(count, 0.5, 1.4, rng).reshape(column) + middle
    faces = faces + uniform(count, -0.15, 0.15, rng).reshape(column)
    ramp = torch.linspace(-1, 1, SIDE).reshape(1, 1, 1, SIDE)  # light from one side
    faces = faces * (1 + ramp * peaked(count, -0.35, 0.35, rng).reshape(column))
    dim = chosen(count, 0.12, rng)
    faces[dim] *= uniform(len(dim), 0.1, 0.7, rng).reshape(-1, 1, 1, 1)
    noisy = chosen(count, 0.2, rng)
    noise = torch.randn(len(noisy), 1, SIDE, SIDE, generator=rng)
    faces[noisy] += noise * uniform(len(noisy), 0.0, 0.06, rng).reshape(-1, 1, 1, 1)
    return (faces.clamp(0, 1) * 255).round() / 255


def erase(faces: torch.Tensor, share: float, rng: torch.Generator) -> torch.Tensor:
    """A grey rectangle of 4-18 pixels a side over a random ``share`` of the faces (hands, hair,
    microphones)."""
    for index in chosen(len(faces), share, rng).tolist():
        tall, wide = torch.randint(4, 19, (2,), generator=rng).tolist()
        top = int(torch.randint(0, SIDE - tall + 1, (1,), generator=rng))
        left = int(torch.randint(0, SIDE - wide + 1, (1,), generator=rng))
        faces[index, :, top : top + tall, left : left + wide] = torch.rand(1, generator=rng)
    return faces


def augment(faces: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """A training batch as a video might have delivered it: turned, shrunk, blurred, dim, compressed,
    covered."""
    count = len(faces)
    padding = 'zeros' if float(torch.rand(1, generator=rng)) < 0.25 else 'border'
    faces = warp(faces, random_homographies(count, rng), padding)
    small = chosen(count, 0.15, rng)
    if len(small):
        faces[small] = shrink(faces[small], int(torch.randint(16, 40, (1,), generator=rng)))
    soft = chosen(count, 0.15, rng)
    if len(soft):
        sigma, stretch, angle = (float(uniform(1, *span, rng)) for span in ((0.4, 1.5), (1, 2), (0, math.pi)))
        faces[soft] = blur(faces[soft], sigma, stretch, angle)
    faces = spoil_light(faces, rng)
    packed = chosen(count, 0.15, rng)
    if len(packed):
        faces[packed] = compress(faces[packed], float(uniform(1, 10, 70, rng)))
    return erase(faces, 0.25, rng)
