"""What a linear map reads from windows of faces: features of a network or of plain pixels, and a ridge regression.

Axes: W windows, T frames, S time slices of a window (two frames each), N tokens of a slice, P features, K targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from affekt.arrays import Floats, Floats32
from affekt.clips import Clip
from affekt.metrics import mean_squared_error
from affekt.pretraining import HicmaePretraining, collate

BATCH = 32
PIXELS = 16
"""Side of the plain pictures."""
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
FEATURES = ('pooled', 'by place')
Frames = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class WindowFeatures:
    """The same windows as a network, or nobody, sees them.

    Attributes:
        clips: (W, P) of a window.
        slices: (W, S, P') of its time slices.
    """

    clips: Floats32
    slices: Floats32


def network_features(model: HicmaePretraining, windows: Sequence[Frames]) -> dict[str, WindowFeatures]:
    """Two readings of the encoder.

    `pooled`: mean and deviation over tokens of each layer, as of voices. `by place`: tokens of the last layer, each
    cell of the picture by itself, a mean over time for a whole window.
    """
    model.eval()
    pooled, pooled_slices, places = [], [], []
    slices = model.form.video_grid[0]
    for start in range(0, len(windows), BATCH):
        batch = collate([_clip(window) for window in windows[start : start + BATCH]], size=model.form.size)
        with torch.inference_mode():
            layers = list(model.encoder.layers(batch.video))  # (B, S * N, C) each
        pooled.append(torch.cat([_moments(layer) for layer in layers], dim=1))  # (B, 2 * L * C)
        split = [layer.unflatten(1, (slices, -1)) for layer in layers]  # (B, S, N, C)
        pooled_slices.append(torch.cat([_moments(layer) for layer in split], dim=2))  # (B, S, 2 * L * C)
        places.append(split[-1].flatten(2))  # (B, S, N * C)
    by_place = torch.cat(places)
    return {
        'pooled': WindowFeatures(torch.cat(pooled).numpy(), torch.cat(pooled_slices).numpy()),
        'by place': WindowFeatures(by_place.mean(dim=1).numpy(), by_place.numpy()),
    }


def pixel_features(windows: Sequence[Frames]) -> WindowFeatures:
    """Small grey pictures: the mean and the mean change of a window, or of the two frames of a slice."""
    grey = np.stack(windows).mean(axis=-1)  # (W, T, H, W)
    side = grey.shape[2] // PIXELS
    small = grey.reshape(*grey.shape[:2], PIXELS, side, PIXELS, side).mean(axis=(3, 5)) / 255  # (W, T, 16, 16)
    changes = np.abs(np.diff(small, axis=1)).mean(axis=1)
    clips = np.stack([small.mean(axis=1), changes], axis=1).reshape(len(small), -1)
    pairs = small.reshape(len(small), -1, 2, PIXELS * PIXELS)  # (W, S, 2, 256)
    slices = np.concatenate([pairs.mean(axis=2), pairs[:, :, 1] - pairs[:, :, 0]], axis=2)
    return WindowFeatures(clips.astype(np.float32), slices.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear map of standardised features, with its own penalty for each target."""

    mean: Floats
    deviation: Floats
    weights: Floats
    """(P, K)"""
    biases: Floats

    def __call__(self, rows: Floats32) -> Floats:
        """(n, K)"""
        return np.asarray((rows - self.mean) / self.deviation @ self.weights + self.biases)


def ridge(rows: Floats32, truth: Floats, validation: npt.NDArray[np.bool_]) -> Ridge:
    """The map of all rows, with the penalties that read those for validation best from the others.

    Args:
        rows: (n, P).
        truth: (n, K).
        validation: (n,) the rows of some people.
    """
    trials = _solved(rows[~validation], truth[~validation])
    errors = np.array(
        [[mean_squared_error(truth[validation, k], trial(rows[validation])[:, k]) for k in range(truth.shape[1])]
         for trial in trials]
    )  # fmt: skip
    best = errors.argmin(axis=0)  # (K,)
    final = _solved(rows, truth)
    weights = np.stack([final[at].weights[:, k] for k, at in enumerate(best)], axis=1)
    return Ridge(final[0].mean, final[0].deviation, weights, final[0].biases)


def cross_regressed(rows: Floats32, truth: Floats, fold: npt.NDArray[np.int64]) -> Floats:
    """(n, K) read by maps that were fitted without a row's fold; the fold after it chooses the penalty."""
    predicted = np.empty_like(truth)
    folds = np.unique(fold)
    for at, test in enumerate(folds):
        inner = fold != test
        validation = fold[inner] == folds[(at + 1) % len(folds)]
        predicted[fold == test] = ridge(rows[inner], truth[inner], validation)(rows[fold == test])
    return predicted


def _solved(rows: Floats32, truth: Floats) -> list[Ridge]:
    """A map for each penalty, by the (n, n) products of rows, whose mean square is 1."""
    mean, deviation = rows.mean(axis=0).astype(float), rows.std(axis=0).astype(float) + 1e-6
    normal, biases = (rows - mean) / deviation, truth.mean(axis=0)
    values, vectors = np.linalg.eigh(normal @ normal.T / normal.shape[1])
    turned = vectors.T @ (truth - biases)  # (n, K)
    maps = []
    for penalty in PENALTIES:
        dual = vectors @ (turned / (np.maximum(values, 0) + penalty)[:, None])  # (n, K)
        maps.append(Ridge(mean, deviation, normal.T @ dual / normal.shape[1], biases))
    return maps


def _clip(window: Frames) -> Clip:
    return Clip('', window, None, None)


def _moments(tokens: torch.Tensor) -> torch.Tensor:
    """(…, 2C) mean and deviation over the last axis but one."""
    return torch.cat([tokens.mean(dim=-2), tokens.std(dim=-2)], dim=-1)
