"""Folders of features as MERBench and the challenges hand them round, into a store.

`<model>-UTT` and `<model>-FRA` (some encoders write `_` for `-`) hold one `.npy` a sample: (D,) or (T, D), or a folder
of one `.npy` a frame. What comes is squeezed; an array without values is no features.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.errors import CorpusError, ShapeError, TableError, listed
from affekt.features.recipes import Features
from affekt.features.store import SUFFIX, Provenance, write_features
from affekt.runs import file_sha256, require_regular_file

LEVELS = ('UTT', 'FRA')


def level_of(folder: str) -> tuple[str, str]:
    """Model and level of a folder's name; the level is '' where the name has none.

    >>> level_of('chinese-hubert-large-UTT'), level_of('manet_FRA'), level_of('mine')
    (('chinese-hubert-large', 'UTT'), ('manet', 'FRA'), ('mine', ''))
    """
    found = re.fullmatch(r'(.+)[-_](UTT|FRA)', folder)
    return (found[1], found[2]) if found else (folder, '')


def import_official(
    folder: Path, out: Path, *, names: Sequence[str] | None = None, rate_hz: float | None = None, corpus: str = ''
) -> tuple[Path, tuple[tuple[str, str], ...]]:
    """One folder of features as a store of one shard.

    Args:
        folder: of `.npy` files, or of folders of them.
        out: folder of stores; the new one is called as the folder.
        names: the samples that are wanted, in order; None for all. Those without a file are named as missing.
        rate_hz: rows a second, for their times; None where nobody knows.
        corpus: its name, for the header.

    Returns:
        The store's file, and the samples without features with the reason.

    Raises:
        CorpusError: there is no features file, or none of the wanted ones.
        ShapeError: samples differ in D; names one.
        TableError: a file is damaged, or holds anything but numbers.
        ValueRangeError: a value is not finite; names the sample.
    """
    held = _files(folder)
    wanted = list(held) if names is None else list(names)
    if not any(name in held for name in wanted):
        raise CorpusError(
            expected=f'.npy files of the samples in {folder}',
            came=f'{len(held)} others ({listed(held, 2)})' if held else 'none',
            todo='name the folder of one model, such as features/chinese-hubert-large-UTT',
        )
    here = {name: held[name] for name in wanted if name in held}
    shapes = {name: _shape(paths) for name, paths in here.items()}
    missing = [(name, 'no file') for name in wanted if name not in held]
    missing += [(name, 'an empty array') for name, shape in shapes.items() if not shape[0]]
    sizes = {name: shape[1] for name, shape in shapes.items() if shape[0]}
    if not sizes:
        raise CorpusError(expected='arrays with values', came=f'{folder} with empty ones', todo='extract them again')
    dimension = next(iter(sizes.values()))
    if odd := [f'{name} ({size})' for name, size in sizes.items() if size != dimension]:
        raise ShapeError(
            expected=f'{dimension} columns in every file of {folder}', came=listed(odd), todo='extract these again'
        )
    model, level = level_of(folder.name)
    content = hashlib.sha256(''.join(f'{name} {_digest(here[name])}\n' for name in sizes).encode()).hexdigest()
    facts = {'origin': 'official folder', 'model': model, 'level': level, 'rate_hz': rate_hz, 'sha256': content}
    told = hashlib.sha256(repr(sorted(facts.items(), key=str)).encode()).hexdigest()
    provenance = Provenance(folder.name, told, dimension, facts, (), corpus, (1, 1), tuple(missing))
    path = out / folder.name / f'shard-1-of-1{SUFFIX}'
    write_features(path, (_features(name, here[name], rate_hz, told) for name in sizes), provenance)
    return path, tuple(missing)


def _features(name: str, paths: Sequence[Path], rate_hz: float | None, told: str) -> Features:
    rows = np.stack([_squeezed(path) for path in paths]) if len(paths) > 1 else _squeezed(paths[0])
    rows = np.atleast_2d(np.asarray(rows, dtype=np.float32))
    times = None if rate_hz is None else np.asarray((np.arange(len(rows)) + 0.5) / rate_hz, dtype=np.float64)
    return Features(name, rows, (), times, told)


def _files(folder: Path) -> dict[str, list[Path]]:
    """Sample to its file, or to the files of its frames in order."""
    if not folder.is_dir():
        raise CorpusError(expected='a folder of .npy files', came=f'{folder}', todo='check the path')
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == '.npy':
            found[path.stem] = [path]
        elif path.is_dir() and (frames := sorted(path.glob('*.npy'))):
            found[path.name] = frames
    return found


def _shape(paths: Sequence[Path]) -> tuple[int, int]:
    """(T, D) of one sample, from the headers; T is 0 for an empty array.

    Raises:
        ShapeError: it is not one row, or rows of numbers.
        TableError: a file is damaged.
    """
    shapes = [_squeezed(path, only_shape=True).shape for path in paths]
    if any(0 in shape for shape in shapes):
        return 0, 0
    if len(paths) > 1 and len(set(shapes)) == 1 and len(shapes[0]) <= 1:
        return len(paths), int(np.prod(shapes[0]))
    if len(paths) > 1 or len(shapes[0]) > 2:
        raise ShapeError(
            expected='(D,) or (T, D)', came=f'{shapes[0]} in {paths[0]}', todo='extract it again, one array a sample'
        )
    return (1, int(np.prod(shapes[0]))) if len(shapes[0]) < 2 else (shapes[0][0], shapes[0][1])


def _squeezed(path: Path, *, only_shape: bool = False) -> npt.NDArray[np.floating]:
    """An array as the published reader takes it; only its shape is read where no more is asked for.

    Raises:
        TableError: the file is damaged, or holds no numbers.
    """
    try:
        require_regular_file(path)
        rows = np.load(path, mmap_mode='r' if only_shape else None)
        if rows.dtype.kind not in 'fiu':
            raise ValueError(f'values of {rows.dtype}')
    except (ValueError, OSError, EOFError) as error:
        raise TableError(expected='an array of numbers', came=f'{path}: {error}', todo='extract it again') from error
    return np.squeeze(rows) if rows.size else np.zeros((0, 0))


def _digest(paths: Sequence[Path]) -> str:
    return ' '.join(file_sha256(path) for path in paths)
