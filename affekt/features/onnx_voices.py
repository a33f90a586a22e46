"""Sound through a network in an ONNX file: VGGish, wav2vec, emotion2vec.

VGGish reads pictures of sound that are made here: at 16 kHz, magnitudes of windows of 25 ms every 10 ms in 64 bands
from 125 to 7,500 Hz, log(x + 0.01), 0.96 s at once, every 0.05 s for FRA and every 0.5 s for UTT; a sound below 1 s is
repeated until it is not. The others read the samples.

S samples, T rows, D columns.

Source: Hershey et al. 2017, arXiv:1609.09430; Schneider et al. 2019, arXiv:1904.05862; Ma et al. 2023,
arXiv:2312.15185; github.com/zeroQiaoba/MERTools, MERBench and MER2024, feature_extraction/audio.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.encoders.onnx_models import OnnxModel
from affekt.errors import ArchiveError, WeightsError
from affekt.features.encoders import RATE_HZ, audio_encoder
from affekt.features.recipes import Encoder, Features, Floats, Recipe
from affekt.npz import read_npz

BANDS, LOWEST_HZ, HIGHEST_HZ, OFFSET = 64, 125.0, 7500.0, 0.01
WINDOW, HOP, FFT = 400, 160, 512
"""Samples."""
EXAMPLE = 96
"""Windows in one picture."""
AT_ONCE = 256
PCA_FILE = 'vggish_pca_params.npz'
"""Lies beside the network where the 8-bit form of AudioSet is wanted."""


@functools.cache
def mel_bands() -> npt.NDArray[np.float64]:
    """(257, 64) weights: triangles at equal distances of 1127 ln(1 + f / 700); none for the lowest bin."""

    def mel(hertz: Any) -> Any:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), BANDS + 2)
    bins = mel(np.linspace(0.0, RATE_HZ / 2, FFT // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def log_mel(sound: Floats) -> npt.NDArray[np.float64]:
    """(T, 64) logarithms of the magnitude in each band, one row every 10 ms.

    Args:
        sound: (S,) at 16 kHz, at least 400 samples.
    """
    windows = np.lib.stride_tricks.sliding_window_view(sound.astype(np.float64), WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / WINDOW * np.arange(WINDOW))
    found: npt.NDArray[np.float64] = np.log(np.abs(np.fft.rfft(windows * hann, FFT)) @ mel_bands() + OFFSET)
    return found


def examples(sound: Floats, hop_s: float) -> tuple[Floats, npt.NDArray[np.float64]]:
    """(T, 96, 64) pictures of sound and (T,) the middle of each in seconds.

    Args:
        sound: (S,) at 16 kHz, S above 0.
        hop_s: from one to the next.
    """
    if len(sound) < RATE_HZ:
        sound = np.tile(sound, -(-RATE_HZ // len(sound)))
    step = round(hop_s * RATE_HZ / HOP)
    held = np.lib.stride_tricks.sliding_window_view(log_mel(sound), EXAMPLE, axis=0)[::step]
    times = np.arange(len(held)) * step * HOP / RATE_HZ + EXAMPLE * HOP / RATE_HZ / 2
    return np.ascontiguousarray(np.moveaxis(held, 2, 1), dtype=np.float32), times


def open_vggish(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of pictures of sound."""
    shapes = [(None, EXAMPLE, BANDS), (None, 1, EXAMPLE, BANDS), (None, EXAMPLE, BANDS, 1)]
    model = OnnxModel(path, shapes, recipe.dimension, recipe.name, device)
    pca = read_pca(path.parent / PCA_FILE) if recipe.facts['pca_sha256'] else None

    def encode(sample: str, sound: Floats) -> Features:
        held, times = examples(sound, recipe.facts['hop_s'])
        shape = [-1, *(size or 1 for size in model.shape[1:])]
        blocks = [held[begin : begin + AT_ONCE] for begin in range(0, len(held), AT_ONCE)]
        rows = np.concatenate([model.run(block.reshape(shape)).reshape(len(block), -1) for block in blocks])
        return _features(recipe, sample, rows if pca is None else eight_bit(rows, *pca), times)

    return audio_encoder(encode)


def read_pca(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(128, 128) vectors and (128, 1) means of the published file.

    Raises:
        WeightsError: the file is missing, or holds something else.
    """
    try:
        held = read_npz(path)
        vectors, means = np.asarray(held['pca_eigen_vectors'], float), np.asarray(held['pca_means'], float)
        means = means.reshape(-1, 1)
        if vectors.shape != (128, 128) or means.shape != (128, 1):
            raise ValueError(f'{vectors.shape} and {means.shape}')
    except (ArchiveError, KeyError, ValueError) as error:
        raise WeightsError(
            expected=f'{PCA_FILE} of AudioSet beside the network (pca_eigen_vectors, pca_means)',
            came=f'{path}: {error}', todo='put it there, or use the recipe without -pca',
        ) from error  # fmt: skip
    return vectors, means


def eight_bit(rows: Floats, vectors: npt.NDArray[np.float64], means: npt.NDArray[np.float64]) -> Floats:
    """(T, 128) whole numbers from 0 to 255 as AudioSet publishes them: whitened, cut off at -2 and 2, scaled."""
    whitened = (vectors @ (rows.T - means)).T
    return ((np.clip(whitened, -2, 2) + 2) * (255 / 4)).astype(np.uint8).astype(np.float32)


def open_samples(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of the samples of a whole sound."""
    model = OnnxModel(path, [(None, None)], recipe.dimension, recipe.name, device)
    hop, field = recipe.facts['hop_samples'], recipe.facts['field_samples']

    def encode(sample: str, sound: Floats) -> Features:
        if recipe.facts['normalised']:
            sound = ((sound - sound.mean()) / np.sqrt(sound.var() + 1e-5)).astype(np.float32)
        found = model.run(sound[None])[0]
        is_columns_first = recipe.facts['columns_first'] if found.ndim == 2 else False
        rows = found.T if is_columns_first else np.atleast_2d(found)
        if rows.shape[1] != recipe.dimension:
            raise WeightsError(
                expected=f'{recipe.dimension} columns {"before" if is_columns_first else "after"} time',
                came=f'{found.shape} in {path}', todo='export the network as it was published',
            )  # fmt: skip
        times = (np.arange(len(rows)) * hop + field / 2) / RATE_HZ
        return _features(recipe, sample, rows, times)

    return audio_encoder(encode)


def _features(recipe: Recipe, sample: str, rows: Floats, times: npt.NDArray[np.float64]) -> Features:
    is_row = recipe.facts['level'] == 'UTT'
    return recipe.features(sample, rows.mean(axis=0) if is_row else rows, None if is_row else times)
