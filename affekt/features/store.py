"""Features of a whole corpus in a few memory-mapped files: nothing is loaded before it is accessed.

One folder per recipe, with one Arrow file per shard. A file has the samples' names, their values one after the other
and the times of rows; its header has the recipe, the origin of the samples, and the samples without features with
reasons (`arrow_files.py`).

Axes: B samples, T time steps, D features.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.encoders import padded
from affekt.errors import TableError, UnknownNameError, ValueRangeError, listed
from affekt.features.arrow_files import SUFFIX, FeatureFile, Piece, Provenance, write_features
from affekt.features.catalogue import modality_of
from affekt.features.recipes import Features

__all__ = ['SUFFIX', 'Provenance', 'Store', 'write_features']


class Store:
    """The features of one recipe, from all its files.

    Args:
        path: a folder of files, or one file.
        partial: open it even if shards are missing.

    Raises:
        TableError: there are no files, one is damaged, they are of different recipes, a sample is in two, or a shard of
            several is missing.
    """

    def __init__(self, path: str | Path, *, partial: bool = False) -> None:
        path = Path(path)
        is_folder = path.is_dir()
        files = sorted(file for file in path.glob(f'*{SUFFIX}') if file.name[0] != '.') if is_folder else [path]
        if not files:
            below = sorted({file.parent.name for file in path.glob(f'*/*{SUFFIX}')})
            raise TableError(
                expected=f'files that end in {SUFFIX}',
                came=f'{path} with stores of several recipes: {listed(below, 3)}' if below else f'{path} without any',
                todo=f'name one of them, such as {path / below[0]}' if below else 'run `affekt features extract`',
            )
        self.path = path
        self._files = [FeatureFile(file) for file in files]
        self.parts = tuple(file.provenance for file in self._files)
        self._require_one_recipe()
        self._pieces = [piece for file in self._files for piece in file.pieces]
        self._starts = [0, *accumulate(len(piece.offsets) - 1 for piece in self._pieces)]
        if len(self._files) > 1 and len(self._row) != len(self.names):  # a single file has no duplicates
            repeated = [name for name, times in Counter(self.names).items() if times > 1]
            raise TableError(
                expected=f'every sample in one file of {path}',
                came=f'{listed(repeated)} in two',
                todo='remove the older file',
            )
        if not partial:
            self._require_all_shards()

    @property
    def provenance(self) -> Provenance:
        """Provenance of the first file; recipe, hash and columns are the same in all."""
        return self.parts[0]

    @property
    def modality(self) -> str | None:
        """Modality of the features: audio, text or video; None if unknown.

        As stated in the file; for older files without a statement, that of the recipe of this name.
        """
        return self.provenance.modality or modality_of(self.provenance.recipe)

    @property
    def dimension(self) -> int:
        """D, the number of features."""
        return self.provenance.dimension

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Samples that have features, in the order of the files."""
        return tuple(chain.from_iterable(names.to_pylist() for file in self._files for names in file.samples))

    @property
    def missing(self) -> dict[str, str]:
        """Samples without features, with the reason."""
        entries = [entry for part in self.parts for entry in part.missing]
        return {name: reason for name, reason in entries if name not in self._row}

    @property
    def partial(self) -> dict[str, str]:
        """Samples that lack a modality, whose columns are then 0, or a part of their file, with the reason."""
        return {name: reason for part in self.parts for name, reason in part.missing if name in self._row}

    def __len__(self) -> int:
        return self._starts[-1]

    def __contains__(self, name: object) -> bool:
        return name in self._row

    def __repr__(self) -> str:
        files, missing = len(self._files), len(self.missing)
        return f'Store({self.provenance.recipe}, {len(self)} x {self.dimension}, {files} files, {missing} missing)'

    def values(self, name: str) -> Floats32:
        """(T, D) values of one sample, a view of the file.

        Raises:
            UnknownNameError: the sample has no features; the message gives the reason where the file has it.
        """
        piece, row = self._place(name)
        return piece.values(row)

    def __getitem__(self, name: str) -> Features:
        """Features of one sample, as views of the file.

        Raises:
            UnknownNameError: the sample has no features.
        """
        piece, row = self._place(name)
        return Features(name, piece.values(row), self.provenance.columns, piece.times_of(row), self.provenance.hash)

    def lengths(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """(B,) number of rows of each sample."""
        return np.array([len(self.values(name)) for name in names], dtype=np.int64)

    def matrix(self, names: Sequence[str]) -> Floats32:
        """(B, D): the single row of each sample, or the mean over its rows.

        Samples in the order of the file give a read-only view without cost; others a copy.

        Raises:
            UnknownNameError: a sample has no features.
        """
        return self.rows(self.numbers(names))

    def numbers(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """(B,) index of each sample in `names`, for `rows`: looked up once, used in every epoch.

        Raises:
            UnknownNameError: a sample has no features.
        """
        try:
            return np.fromiter(map(self._row.__getitem__, names), dtype=np.int64, count=len(names))
        except KeyError as error:
            raise self._lacks(error.args[0]) from None

    def rows(self, numbers: npt.NDArray[np.int64]) -> Floats32:
        """As `matrix`, for samples by index.

        Args:
            numbers: (B,) indices from 0 to `len(self)` - 1, in any order.

        Raises:
            ValueRangeError: an index is out of range.
        """
        if len(numbers) and not (int(numbers.min()) >= 0 and int(numbers.max()) < len(self)):
            raise ValueRangeError(
                expected=f'numbers of samples from 0 to {len(self) - 1}',
                came=f'{int(numbers.min())} to {int(numbers.max())}', todo='take them from `numbers`',
            )  # fmt: skip
        if len(self._pieces) == 1 and len(numbers):
            return self._pieces[0].means(numbers)
        pieces = np.searchsorted(self._starts, numbers, side='right') - 1
        used = np.unique(pieces)
        if len(used) == 1:
            return self._pieces[int(used[0])].means(numbers - self._starts[int(used[0])])
        means = np.empty((len(numbers), self.dimension), dtype=np.float32)
        for piece in used:
            positions = np.flatnonzero(pieces == piece)
            means[positions] = self._pieces[piece].means(numbers[positions] - self._starts[piece])
        return means

    def batch(self, names: Sequence[str]) -> tuple[Floats32, npt.NDArray[np.bool_]]:
        """(B, max T, D) and (B, max T) `keep_mask`, True where a row is real.

        Raises:
            UnknownNameError: a sample has no features.
            ShapeError: there are no names.
        """
        return padded([self.values(name) for name in names])

    def _place(self, name: str) -> tuple[Piece, int]:
        number = self._row.get(name)
        if number is None:
            raise self._lacks(name)
        piece = bisect_right(self._starts, number) - 1
        return self._pieces[piece], number - self._starts[piece]

    @cached_property
    def _row(self) -> dict[str, int]:
        """Sample to its index over all record batches; built at the first access to a single sample."""
        return dict(zip(self.names, range(len(self)), strict=True))

    def _lacks(self, name: str) -> UnknownNameError:
        return UnknownNameError(
            expected=f'a sample with features of {self.provenance.recipe}',
            came=f'{name!r}: {self.missing.get(name, "it was not extracted")}',
            todo='leave it out of the manifest, or extract it',
        )

    def _require_one_recipe(self) -> None:
        if len({(part.hash, part.dimension, part.columns) for part in self.parts}) != 1:
            recipes = sorted({f'{part.recipe} {part.hash[:8]} of {part.dimension} columns' for part in self.parts})
            raise TableError(
                expected=f'one recipe in {self.path}',
                came=', '.join(recipes),
                todo='keep each recipe in its own folder',
            )

    def _require_all_shards(self) -> None:
        count = self.parts[0].shard[1]
        present = {part.shard[0] for part in self.parts}
        absent = [f'{number}/{count}' for number in range(1, count + 1) if number not in present]
        if absent or len({part.shard[1] for part in self.parts}) != 1:
            counts = sorted({part.shard[1] for part in self.parts})
            came = (
                f'shards of {" and of ".join(map(str, counts))}' if len(counts) > 1 else f'none of {listed(absent, 3)}'
            )
            raise TableError(
                expected=f'all {count} shards in {self.path}',
                came=came,
                todo='extract the missing ones; `affekt features check --partial` shows what is there',
            )
