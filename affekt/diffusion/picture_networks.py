"""The user's networks for measuring images: LPIPS of each, FID and FVD of all.

Features are computed a few images at a time, and stored instead of them.

N samples, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats
from affekt.diffusion.perceptual import FeatureNetwork, PerceptualDistance
from affekt.errors import WeightsError
from affekt.files import file_sha256
from affekt.metrics import frechet_distance

Image = npt.NDArray[np.uint8]
SIDES = ('truth', 'made')
"""Images of the video, and images drawn for it."""
AT_ONCE = 8
"""Images per batch of a network of images."""
LEAST = 2
"""Minimum number of samples for a covariance."""


class PictureNetworks:
    """The user's networks for metrics; None leaves a metric out.

    Args:
        lpips: see `PerceptualDistance.of_file`.
        fid: a network of images, such as Inception; see `FeatureNetwork`.
        fvd: a network of videos, such as I3D; likewise.

    Attributes:
        lpips: LPIPS of two images.
        prints: metric to the hash of its file; for a folder, of the files in it.

    Raises:
        WeightsError: a file is missing, cannot be opened, or is a network of another kind.
    """

    def __init__(self, lpips: Path | None = None, fid: Path | None = None, fvd: Path | None = None) -> None:
        paths = {name: path for name, path in (('lpips', lpips), ('fid', fid), ('fvd', fvd)) if path is not None}
        missing = [f'{name}: {path}' for name, path in paths.items() if not path.exists()]
        if missing:
            raise WeightsError(expected='networks that are there', came=', '.join(missing), todo='check the paths')
        self.prints: Mapping[str, str] = {name: _print_of(path) for name, path in paths.items()}
        self.lpips = None if lpips is None else PerceptualDistance.of_file(lpips)
        self._feature_networks = {name: FeatureNetwork(paths[name]) for name in ('fid', 'fvd') if name in paths}
        for name, network in self._feature_networks.items():
            is_of_videos = network.frames is not None
            if is_of_videos != (name == 'fvd'):
                expected_input = 'videos (B, 3, T, H, W)' if name == 'fvd' else 'pictures (B, 3, H, W)'
                raise WeightsError(
                    expected=f'a network of {expected_input} for {name.upper()}',
                    came=f'{paths[name].name}, of {"videos" if is_of_videos else "pictures"}',
                    todo='name the other one',
                )

    def sides(self) -> dict[str, FeaturesOf]:
        """'fid_truth', 'fid_made', 'fvd_truth' and 'fvd_made', for the given networks, each an accumulator."""
        return {
            f'{name}_{side}': FeaturesOf(network) for name, network in self._feature_networks.items() for side in SIDES
        }

    def distances(self, features: Sequence[Mapping[str, Floats]]) -> dict[str, tuple[float, int]]:
        """FID and FVD over all, and the number of samples on each side; nan if fewer than 2.

        Args:
            features: features of each video, by the names of `sides`; videos without them are left out.
        """
        distances = dict[str, tuple[float, int]]()
        for name in self._feature_networks:
            truth, drawn = (_joined([row[f'{name}_{side}'] for row in features if f'{name}_{side}' in row])
                           for side in SIDES)  # fmt: skip
            is_enough = min(len(truth), len(drawn)) >= LEAST
            distances[name] = (frechet_distance(truth, drawn) if is_enough else float('nan'), len(truth))
        return distances


class FeaturesOf:
    """Accumulates features of images, or of segments of them, by one network."""

    def __init__(self, network: FeatureNetwork) -> None:
        self._network, self._pending = network, list[Image]()
        self._rows: list[Floats] = []

    def add(self, image: Image) -> None:
        """Add an image (H, W, 3), scaled to the network's size."""
        fitted = self._network.fitted(image)
        if self._pending and fitted.shape != self._pending[0].shape:
            self._flush()
        self._pending.append(fitted)
        if len(self._pending) == (self._network.frames or AT_ONCE):
            self._flush()

    def all(self) -> Floats:
        """(N, D) of all of them; a last segment too short for a video network is left out."""
        self._flush()
        return _joined(self._rows)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if self._network.frames is not None:
            pending = [np.stack(pending)] if len(pending) == self._network.frames else []
        if pending:
            self._rows.append(self._network.features(pending))


def _joined(rows: Sequence[Floats]) -> Floats:
    """(N, D) features, concatenated; (0, 0) without any."""
    filled = [features for features in rows if features.size]
    return np.concatenate(filled) if filled else np.zeros((0, 0))


def _print_of(path: Path) -> str:
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return '+'.join(file_sha256(file)[:16] for file in files)
