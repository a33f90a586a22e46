"""Folders of .npy files as distributed by MERBench and the challenges: one file per sample or one folder of frames.

`<model>-UTT` and `<model>-FRA` (some encoders write `_` for `-`) have (D,) or (T, D). A two-dimensional array is kept:
(T, 1) is T rows of one column, except in a folder of utterances, where the published reader takes it as one row. An
empty array means no features.

T time steps, D features.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import AffektError, CorpusError, ShapeError, TableError, listed
from affekt.features.foreign_files import require_known
from affekt.features.sample_names import plain
from affekt.features.sources import OTHERS, ROUNDED, Times, as_float32, is_rounded, require_numbers, two_axes
from affekt.npz import read_array
from affekt.runs import file_sha256, require_regular_file

LEVELS = ('UTT', 'FRA')


def level_of(folder: str) -> tuple[str, str]:
    """Model and level in a folder's name; the level is '' where the name has none.

    >>> level_of('chinese-hubert-large-UTT'), level_of('manet_FRA'), level_of('mine')
    (('chinese-hubert-large', 'UTT'), ('manet', 'FRA'), ('mine', ''))
    """
    parts = re.fullmatch(r'(.+)[-_](UTT|FRA)', folder)
    return (parts[1], parts[2]) if parts else (folder, '')


class NpyFolder:
    """A folder of features.

    Args:
        folder: folder of `.npy` files, or of folders of them.
        wanted: requested samples, which tell a folder of frames from a folder of another recipe's samples.

    Raises:
        CorpusError: the folder has folders of several recipes, or nothing.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, folder: Path, wanted: Collection[str] | None = None) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._paths = self._sample_paths()
        self._level = level_of(folder.name)[1]
        _require_one_recipe(folder, self._paths, wanted)

    @property
    def names(self) -> list[str]:
        """Names of the samples, from their files."""
        return list(self._paths)

    def where(self, name: str) -> str:
        """The sample and its file, for messages."""
        return f'sample {name!r} in {self._paths[name][0]}'

    def shape(self, name: str) -> tuple[int, int]:
        """(T, D), from the file headers; T is 0 for an empty array.

        Raises:
            ShapeError: the array is neither one row nor rows of numbers.
            TableError: a file is damaged.
        """
        paths = self._paths[name]
        shapes = [_array(path, mapped=True).shape for path in paths]
        if len(paths) == 1 and paths[0].parent == self.folder:
            size = two_axes(shapes[0], self.where(name), is_one_row=self._level == 'UTT')
            if self._level == 'FRA' and len(shapes[0]) == 1 and shapes[0][0] > 1 and ONE_ROW not in self.notes:
                self.notes.append(ONE_ROW)
            return size
        if any(0 in shape for shape in shapes):
            return 0, 0
        sizes = {int(np.prod(shape)) if max(shape, default=1) == np.prod(shape) else -1 for shape in shapes}
        if len(sizes) > 1 or -1 in sizes:
            raise ShapeError(
                expected='one row of as many numbers in every frame', came=f'{listed(map(str, dict.fromkeys(shapes)))} '
                f'in {paths[0].parent}', todo='extract it again, one array a sample',
            )  # fmt: skip
        return len(paths), sizes.pop()

    def rows(self, name: str) -> tuple[Floats32, Times | None]:
        """(T, D) values of a sample; the files have no times.

        Raises:
            ValueRangeError: a value is not finite, or too large.
        """
        arrays = []
        for path in self._paths[name]:
            values = _array(path)
            if is_rounded(values) and ROUNDED not in self.notes:
                self.notes.append(ROUNDED)
            arrays.append(as_float32(values.reshape(_matrix(values.shape)), f'sample {name!r} in {path}'))
        joined = np.concatenate([rows.reshape(-1) for rows in arrays])
        return joined.reshape(self.shape(name)), None

    def digest(self, names: Sequence[str]) -> str:
        """Hash of the files of these samples."""
        lines = (f'{name} {" ".join(map(file_sha256, self._paths[name]))}\n' for name in names)
        return hashlib.sha256(''.join(lines).encode()).hexdigest()

    def _sample_paths(self) -> dict[str, list[Path]]:
        """Sample to its file, or to the files of its frames in order."""
        paths: dict[str, list[Path]] = {}
        others: Counter[str] = Counter()
        for entry in sorted(self.folder.iterdir()):
            if entry.name.startswith('.'):
                continue
            if entry.suffix.lower() == '.npy':
                name, files = entry.stem, [entry]
            elif entry.is_dir() and (frames := _frames(entry)):
                name, files = entry.name, frames
            else:
                others[entry.suffix.lower() or 'no ending'] += 1
                continue
            if name in paths:
                raise TableError(
                    expected='one file or folder per sample', came=f'two of {name!r} in {self.folder}',
                    todo='keep the one with its features',
                )  # fmt: skip
            paths[name] = files
        if others and paths:
            endings = ', '.join(f'{count:,} of {ending}' for ending, count in others.most_common(5))
            self.notes.append(f'files and folders without .npy, left out: {endings}')
        return paths


ONE_ROW = 'arrays of one axis are one row each; if they are T rows of one column, save them as (T, 1)'


def _frames(folder: Path) -> list[Path]:
    """The files of a folder in order: by number if names are numbers, so that 2 comes before 10; else by name."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == '.npy' and path.name[0] != '.')
        if _are_numbered([path.stem for path in paths]):
            paths.sort(key=lambda path: int(re.findall('[0-9]+', path.stem)[-1]))
        return paths
    except OSError as error:
        raise TableError(
            expected='a folder that can be read', came=f'{folder}: {error.strerror}', todo='allow it, or take it out'
        ) from error


def _require_one_recipe(folder: Path, paths: Mapping[str, Sequence[Path]], wanted: Collection[str] | None) -> None:
    """Check that the folders below this one are samples of frames, not recipes of samples.

    Raises:
        CorpusError: the folders are recipes, or ambiguous.
    """
    folders = {name: files for name, files in paths.items() if files[0].parent != folder}
    are_named = any(level_of(name)[1] for name in folders)
    if not are_named and (not folders or len(folders) < len(paths) or level_of(folder.name)[1]):
        return
    stems = {name: [path.stem for path in files] for name, files in folders.items()}
    if wanted is not None:
        names = {plain(name) for name in wanted}
        if names & {plain(name) for name in folders}:
            return
        are_recipes = any(names & {plain(stem) for stem in files} for files in stems.values())
    else:
        sets = {tuple(files) for files in stems.values()}
        are_alike = len(sets) == 1  # samples seldom have equal numbers of frames; recipes have equal samples
        are_frames = all(_are_numbered(files) for files in stems.values())
        are_recipes = are_named or are_alike or not are_frames
    if are_recipes:
        first = next(iter(folders))
        raise CorpusError(
            expected=f'.npy files of the samples in {folder}',
            came=f'folders of samples, as several recipes have: {listed(folders, 3)}',
            todo=f'import each by itself, such as {folder / first}; where a folder is one sample and its files are '
            'frames, name the samples with --manifest',
        )


def _are_numbered(stems: Sequence[str]) -> bool:
    """Whether all names are numbers after one common prefix."""
    ends = [re.fullmatch(r'(.*?)[0-9]{1,18}', stem) for stem in stems]
    return None not in ends and len({end[1] for end in ends if end}) == 1


def _matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without axes of length 1 beyond two axes, for positions in messages."""
    axes = list(shape)
    while len(axes) > 2 and 1 in axes:
        axes.remove(1)
    return tuple(axes)


def _array(path: Path, *, mapped: bool = False) -> npt.NDArray[Any]:
    """The array in a file.

    Raises:
        TableError: the file is damaged, or has no numbers.
    """
    try:
        require_regular_file(path)
        require_known(path)
        values = read_array(path, mapped=mapped)
    except (AffektError, OSError) as error:
        if isinstance(error, TableError):
            raise
        came = f'{path}: {error.came if isinstance(error, AffektError) else error.strerror}'
        is_object = 'Python objects' in came
        todo = OTHERS['O'] if is_object else 'save it again: numpy.save(path, array.astype("float32"))'
        raise TableError(expected='an array of numbers', came=came, todo=todo) from error
    require_numbers(values, str(path))
    return values
