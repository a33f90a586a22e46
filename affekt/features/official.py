"""Folders of features as MERBench and the challenges hand them round, into a store.

`<model>-UTT` and `<model>-FRA` (some encoders write `_` for `-`) hold one `.npy` a sample: (D,) or (T, D), or a folder
of one `.npy` a frame. What comes is squeezed; an array without values is no features.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.errors import CorpusError, ShapeError, TableError, listed
from affekt.features.recipes import Features, Floats
from affekt.features.store import SUFFIX, Provenance, write_features

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
    missing = [(name, 'no file') for name in wanted if name not in held]
    arrays: dict[str, Floats] = {}
    digest = hashlib.sha256()
    for name in wanted:
        if name in held:
            rows = _read(held[name], digest)
            if rows.size:
                arrays[name] = rows
            else:
                missing.append((name, 'an empty array'))
    if not arrays:
        raise CorpusError(expected='arrays with values', came=f'{folder} with empty ones', todo='extract them again')
    sizes = {name: rows.shape[1] for name, rows in arrays.items()}
    dimension = next(iter(sizes.values()))
    if odd := [f'{name} ({size})' for name, size in sizes.items() if size != dimension]:
        raise ShapeError(
            expected=f'{dimension} columns in every file of {folder}', came=listed(odd), todo='extract these again'
        )
    model, level = level_of(folder.name)
    facts = {
        'origin': 'official folder',
        'model': model,
        'level': level,
        'rate_hz': rate_hz,
        'sha256': digest.hexdigest(),
    }
    told = hashlib.sha256(repr(sorted(facts.items(), key=str)).encode()).hexdigest()
    provenance = Provenance(folder.name, told, dimension, facts, (), corpus, (1, 1), tuple(missing))
    path = out / folder.name / f'shard-1-of-1{SUFFIX}'
    write_features(path, _features(arrays, rate_hz, told), provenance)
    return path, tuple(missing)


def _features(arrays: dict[str, Floats], rate_hz: float | None, told: str) -> Iterator[Features]:
    for name, rows in arrays.items():
        times = None if rate_hz is None else np.asarray((np.arange(len(rows)) + 0.5) / rate_hz, dtype=np.float64)
        yield Features(name, rows, (), times, told)


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


def _read(paths: Sequence[Path], digest: hashlib._Hash) -> Floats:
    """(T, D) of one sample, squeezed and stacked as the published reader does."""
    parts: list[npt.NDArray[np.floating]] = []
    for path in paths:
        try:
            rows = np.load(path)
            rows = np.asarray(rows, dtype=np.float32)
        except (ValueError, OSError, EOFError, TypeError) as error:
            raise TableError(
                expected='an array of numbers', came=f'{path}: {error}', todo='extract it again'
            ) from error
        digest.update(path.stem.encode() + rows.tobytes())
        parts.append(np.squeeze(rows) if rows.size else rows)
    found = parts[0] if len(parts) == 1 else np.stack(parts)
    if not found.size:
        return np.zeros((0, 0), dtype=np.float32)
    found = np.atleast_2d(found)
    if found.ndim != 2:
        raise ShapeError(
            expected='(D,) or (T, D)', came=f'{found.shape} in {paths[0]}', todo='extract it again, one array a sample'
        )
    return np.asarray(found, dtype=np.float32)
