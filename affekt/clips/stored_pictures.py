"""Face images as stored in releases: one array per clip, cropped by OpenFace, or a folder of image files.

T images, H rows, W columns; RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.containers import PICTURES
from affekt.errors import TableError, listed
from affekt.media import Recording
from affekt.npz import read_array
from affekt.runs import require_regular_file


def stored_pictures(path: Path) -> Sequence[npt.NDArray[np.uint8]]:
    """Face images of an array file, or of a folder with one such file or many images, each read on access.

    Args:
        path: a `.npy` of (T, H, W, 3) bytes in BGR order; a folder with one; or a folder of images, read in lexical
            order of their names.

    Returns:
        T images (H, W, 3) RGB; those of a folder have the attribute `paths`.

    Raises:
        TableError: nothing exists there, or a stored array does not hold images. An undecodable image raises
            MediaError on access.
    """
    if path.is_file():
        return _ArrayFile(path)
    if not path.is_dir():
        raise TableError(expected='a file or folder of faces', came='frames that are not there', todo='check the paths')
    if arrays := sorted(array for array in path.glob('*.npy') if array.name[0] != '.'):
        namesake = next((array for array in arrays if array.stem == path.name), None)
        if namesake is None and len(arrays) > 1:
            raise TableError(
                expected=f'one array of images in {path.name}, or {path.name}.npy among several',
                came=f'{len(arrays)} ({listed([array.name for array in arrays], 2)})', todo='leave one there',
            )  # fmt: skip
        return _ArrayFile(namesake or arrays[0])
    image_paths = (entry for entry in path.iterdir() if entry.name[0] != '.' and entry.suffix.lower() in PICTURES)
    return _ImageFiles(sorted(image_paths))


class _ArrayFile(Sequence[npt.NDArray[np.uint8]]):
    """Images of one array on disk, blue before red, as RGB."""

    def __init__(self, path: Path) -> None:
        try:
            require_regular_file(path)
            self._array = read_array(path, mapped=True)
        except (OSError, ValueError) as error:
            raise TableError(
                expected='an array of images', came=f'{path.name}: {error}', todo='copy it again'
            ) from error
        shape = self._array.shape
        if self._array.size and (self._array.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3):
            raise TableError(
                expected='(T, H, W, 3) of bytes', came=f'{shape} of {self._array.dtype} in {path.name}',
                todo='store faces as OpenFace cut them',
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self._array) if self._array.size else 0

    def __getitem__(self, index: Any) -> Any:
        return np.ascontiguousarray(self._array[index][..., ::-1])


class _ImageFiles(Sequence[npt.NDArray[np.uint8]]):
    """Images of one folder, in order of their names."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        return next(Recording.open(self.paths[index]).frames()).image
