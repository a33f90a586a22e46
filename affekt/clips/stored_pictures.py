"""Face images as stored in releases: one array per clip, cropped by OpenFace, or a folder of image files.

T images, H high, W wide; RGB.
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
        path: a `.npy` of (T, H, W, 3) bytes in BGR order; a folder with one; or a folder of images, read in
            lexical order of their names.

    Returns:
        T images (H, W, 3) RGB; those of a folder have the attribute `paths`.

    Raises:
        TableError: nothing exists there, or a stored array does not hold images. An undecodable image raises
            MediaError on access.
    """
    if path.is_file():
        return _Stacked(path)
    if not path.is_dir():
        raise TableError(expected='a file or folder of faces', came='frames that are not there', todo='check the paths')
    if stacks := sorted(stack for stack in path.glob('*.npy') if stack.name[0] != '.'):
        named = next((stack for stack in stacks if stack.stem == path.name), None)
        if named is None and len(stacks) > 1:
            raise TableError(
                expected=f'one array of pictures in {path.name}, or {path.name}.npy among several',
                came=f'{len(stacks)} ({listed([stack.name for stack in stacks], 2)})', todo='leave one there',
            )  # fmt: skip
        return _Stacked(named or stacks[0])
    pictures = (entry for entry in path.iterdir() if entry.name[0] != '.' and entry.suffix.lower() in PICTURES)
    return _Files(sorted(pictures))


class _Stacked(Sequence[npt.NDArray[np.uint8]]):
    """Pictures of one array on disk, blue before red, as RGB."""

    def __init__(self, path: Path) -> None:
        try:
            require_regular_file(path)
            self._array = read_array(path, mapped=True)
        except (OSError, ValueError) as error:
            raise TableError(
                expected='an array of pictures', came=f'{path.name}: {error}', todo='copy it again'
            ) from error
        shape = self._array.shape
        if self._array.size and (self._array.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3):
            raise TableError(
                expected='(T, H, W, 3) of bytes', came=f'{shape} of {self._array.dtype} in {path.name}',
                todo='store faces as OpenFace cut them',
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self._array) if self._array.size else 0

    def __getitem__(self, at: Any) -> Any:
        return np.ascontiguousarray(self._array[at][..., ::-1])


class _Files(Sequence[npt.NDArray[np.uint8]]):
    """Pictures of one folder, in order of their names."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, at: Any) -> Any:
        return next(Recording.open(self.paths[at]).frames()).image
