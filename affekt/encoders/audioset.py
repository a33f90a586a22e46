"""What VGGish has besides its network: the step between its pictures of sound, and AudioSet's 8-bit form of states.

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
"""Lies beside the network where the 8-bit form of AudioSet is wanted."""


def hop_of(is_for_one_row: bool) -> float:
    """Seconds from one picture of sound to the next."""
    return 0.5 if is_for_one_row else 0.05


def read_pca(path: Path) -> tuple[Floats, Floats]:
    """(128, 128) vectors and (128, 1) means of the published file.

    Raises:
        WeightsError: the file is missing, or holds something else.
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
    """(T, 128) whole numbers from 0 to 255 as AudioSet publishes them: whitened, cut off at -2 and 2, scaled."""
    whitened = (vectors @ (rows.T - means)).T
    return ((np.clip(whitened, -2, 2) + 2) * (255 / 4)).astype(np.uint8).astype(np.float32)
