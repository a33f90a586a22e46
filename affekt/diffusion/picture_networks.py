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
AT_ONCE = 8
LEAST = 2
"""Minimum number of samples for a covariance."""


class PictureNetworks:
    """The user's networks for metrics; None leaves a metric out.

    Args:
        lpips: see `PerceptualDistance.of_file`.
        fid: a network of pictures, such as Inception; see `FeatureNetwork`.
        fvd: a network of videos, such as I3D; likewise.

    Attributes:
        lpips: LPIPS of two pictures.
        prints: metric to the hash of its file; for a folder, of the files in it.

    Raises:
        WeightsError: a file is missing, cannot be opened, or is a network of another kind.
    """

    def __init__(self, lpips: Path | None = None, fid: Path | None = None, fvd: Path | None = None) -> None:
        named = {name: path for name, path in (('lpips', lpips), ('fid', fid), ('fvd', fvd)) if path is not None}
        absent = [f'{name}: {path}' for name, path in named.items() if not path.exists()]
        if absent:
            raise WeightsError(expected='networks that are there', came=', '.join(absent), todo='check the paths')
        self.prints: Mapping[str, str] = {name: _print_of(path) for name, path in named.items()}
        self.lpips = None if lpips is None else PerceptualDistance.of_file(lpips)
        self._of_sets = {name: FeatureNetwork(named[name]) for name in ('fid', 'fvd') if name in named}
        for name, network in self._of_sets.items():
            is_of_videos = network.frames is not None
            if is_of_videos != (name == 'fvd'):
                wanted = 'videos (B, 3, T, H, W)' if name == 'fvd' else 'pictures (B, 3, H, W)'
                raise WeightsError(
                    expected=f'a network of {wanted} for {name.upper()}',
                    came=f'{named[name].name}, of {"videos" if is_of_videos else "pictures"}',
                    todo='name the other one',
                )

    def sides(self) -> dict[str, FeaturesOf]:
        """'fid_truth', 'fid_made', 'fvd_truth' and 'fvd_made', for the given networks, each an accumulator."""
        return {f'{name}_{side}': FeaturesOf(network) for name, network in self._of_sets.items() for side in SIDES}

    def distances(self, features: Sequence[Mapping[str, Floats]]) -> dict[str, tuple[float, int]]:
        """FID and FVD over all, and the number of samples on each side; nan if fewer than 2.

        Args:
            features: features of each video, by the names of `sides`; videos without them are left out.
        """
        distances = dict[str, tuple[float, int]]()
        for name in self._of_sets:
            truth, made = (_together([each[f'{name}_{side}'] for each in features if f'{name}_{side}' in each])
                           for side in SIDES)  # fmt: skip
            is_enough = min(len(truth), len(made)) >= LEAST
            distances[name] = (frechet_distance(truth, made) if is_enough else float('nan'), len(truth))
        return distances


class FeaturesOf:
    """Accumulates features of images, or of segments of them, by one network."""

    def __init__(self, network: FeatureNetwork) -> None:
        self._network, self._waiting = network, list[Image]()
        self._rows: list[Floats] = []

    def add(self, picture: Image) -> None:
        """Adds an image (H, W, 3), scaled to the network's size."""
        fitted = self._network.fitted(picture)
        if self._waiting and fitted.shape != self._waiting[0].shape:
            self._take()
        self._waiting.append(fitted)
        if len(self._waiting) == (self._network.frames or AT_ONCE):
            self._take()

    def all(self) -> Floats:
        """(N, D) of all of them; a last segment too short for a video network is left out."""
        self._take()
        return _together(self._rows)

    def _take(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._network.frames is not None:
            waiting = [np.stack(waiting)] if len(waiting) == self._network.frames else []
        if waiting:
            self._rows.append(self._network.features(waiting))


def _together(rows: Sequence[Floats]) -> Floats:
    """(N, D); (0, 0) of none."""
    several = [each for each in rows if each.size]
    return np.concatenate(several) if several else np.zeros((0, 0))


def _print_of(path: Path) -> str:
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    return '+'.join(file_sha256(each)[:16] for each in files)
