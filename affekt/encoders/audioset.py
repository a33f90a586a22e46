"""Postprocessing of VGGish: the hop between its spectrograms, and AudioSet's 8-bit form of its states.

T rows.

Source: github.com/tensorflow/models, research/audioset/vggish, vggish_postprocess.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affekt.arrays import Floats, Floats32
from affekt.errors import ArchiveError, WeightsError
from affekt.npz import read_npz

PCA_FILE = 'vggish_pca_params.npz'
"""File beside the network that is needed for AudioSet's 8-bit form."""


def hop_of(is_for_one_row: bool) -> float:
    """Seconds between starts of consecutive spectrograms."""
    return 0.5 if is_for_one_row else 0.05


def read_pca(path: Path) -> tuple[Floats, Floats]:
    """(128, 128) PCA vectors and (128, 1) means from the published file.

    Raises:
        WeightsError: the file is missing, or has other contents.
    """
    try:
        arrays = read_npz(path)
        vectors, means = np.asarray(arrays['pca_eigen_vectors'], float), np.asarray(arrays['pca_means'], float)
        means = means.reshape(-1, 1)
        if vectors.shape != (128, 128) or means.shape != (128, 1):
            raise ValueError(f'{vectors.shape} and {means.shape}')
    except (ArchiveError, KeyError, ValueError) as error:
        raise WeightsError(
            expected=f'{PCA_FILE} of AudioSet beside the network (pca_eigen_vectors, pca_means)',
            came=f'{path}: {error}', todo='put it there, or use the recipe without -pca',
        ) from error  # fmt: skip
    return vectors, means


def eight_bit(rows: Floats32, vectors: Floats, means: Floats) -> Floats32:
    """(T, 128) whole numbers from 0 to 255 as published with AudioSet: whitened, clipped to [-2, 2], scaled."""
    whitened = (vectors @ (rows.T - means)).T
    return ((np.clip(whitened, -2, 2) + 2) * (255 / 4)).astype(np.uint8).astype(np.float32)
