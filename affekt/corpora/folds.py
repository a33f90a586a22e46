"""New folds of a corpus: seeded, with no speaker or dialogue in both training and test.

Samples that share a speaker (dialogue, session …) form one group, groups with common members are merged, and whole
groups are assigned to folds so that every fold has about the same number of samples of each category.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from affekt.corpora.manifest import Manifest
from affekt.errors import CorpusError, ShapeError, ValueRangeError, listed
from affekt.wording import counted

Folds = npt.NDArray[np.int64]


def published_folds(manifest: Manifest) -> Folds:
    """(N,) published fold of each sample, from 1; 0 for samples in none.

    Raises:
        CorpusError: the manifest has no folds.
    """
    published = manifest.coded('fold')
    folds = np.array([*published.values, 0], dtype=np.int64)[published.codes]
    if not folds.any():
        raise CorpusError(
            expected='published folds',
            came=f'{manifest.facts.corpus} without',
            todo='make some with `affekt corpus folds`',
        )
    return folds


def with_folds(manifest: Manifest, folds: Folds, note: str) -> Manifest:
    """The manifest with these folds, and a note on their origin.

    Args:
        manifest: manifest of the samples.
        folds: (N,) from 1; 0 for samples in none.
        note: sentence on how the folds were made.

    Raises:
        ShapeError: folds are not (N,).
    """
    if folds.shape != (len(manifest),):
        raise ShapeError(expected=f'{len(manifest)} folds', came=f'{folds.shape}', todo='give one for each sample')
    facts = dataclasses.replace(manifest.facts, notes=(*manifest.facts.notes, note))
    return Manifest(facts, manifest.samples.replaced(fold=[fold or None for fold in folds.tolist()]))


def seeded_folds(manifest: Manifest, count: int, *, seed: int, independent_of: Sequence[str] = ('speaker',)) -> Folds:
    """Folds that no speaker (dialogue, session, recording) crosses, balanced over categories.

    Groups are shuffled by the seed and assigned, the largest first, each to the fold whose counts of the group's
    categories are furthest below their share; samples without a category count as one more category.

    Args:
        manifest: manifest of the samples.
        count: number of folds, at least 2.
        seed: seed of the order of groups of equal size.
        independent_of: columns that must not cross folds; () for single samples.

    Returns:
        (N,) folds from 1 to count.

    Raises:
        CorpusError: a sample lacks one of the columns.
        ValueRangeError: there are fewer than 2 folds, or fewer groups than folds.
    """
    groups = _groups(manifest, independent_of)
    group_count = int(groups.max()) + 1 if len(groups) else 0
    if count < 2 or group_count < count:
        shared = ' and '.join(independent_of) or 'sample'
        raise ValueRangeError(
            expected=f'at least 2 folds, and no more than there are groups by {shared}',
            came=f'{count} folds of {counted(group_count, "group")}',
            todo='ask for fewer folds, or for independence of less',
        )  # fmt: skip
    labels = manifest.labels()
    labels = labels - labels.min() if len(labels) else labels
    counts = np.zeros((group_count, int(labels.max()) + 1))  # (groups, categories)
    np.add.at(counts, (groups, labels), 1)
    order = np.random.default_rng(seed).permutation(group_count)
    order = order[np.argsort(-counts[order].sum(axis=1), kind='stable')]
    target = np.maximum(counts.sum(axis=0) / count, 1e-9)
    fold_counts, fold_of = np.zeros((count, counts.shape[1])), np.zeros(group_count, dtype=np.int64)
    for remaining, group in zip(range(group_count, 0, -1), order, strict=True):
        deficit = ((1 - fold_counts / target) * counts[group]).sum(axis=1)
        is_empty = ~fold_counts.any(axis=1)
        if is_empty.sum() >= remaining:  # the last groups fill empty folds
            deficit[~is_empty] = -np.inf
        fold = int(np.argmax(deficit))
        fold_of[group], fold_counts[fold] = fold + 1, fold_counts[fold] + counts[group]
    return fold_of[groups]


def shuffled_folds(size: int, count: int, *, seed: int) -> Folds:
    """Folds of floor(size / count) samples each, the remainder in the last, after Python's own shuffle.

    MER2023 and MER2024 divide their training part like this, ignoring speakers; their scripts draw without a seed.

    Returns:
        (size,) folds from 1 to count.

    Raises:
        ValueRangeError: there are fewer than 2 folds, or fewer samples than folds.

    >>> np.bincount(shuffled_folds(3373, 5, seed=0))[1:].tolist()
    [674, 674, 674, 674, 677]
    """
    if not 2 <= count <= size:
        raise ValueRangeError(expected=f'from 2 to {size} folds', came=f'{count}', todo='ask for fewer folds')
    order = list(range(size))
    random.Random(seed).shuffle(order)
    folds = np.empty(size, dtype=np.int64)
    folds[order] = np.minimum(np.arange(size) // (size // count), count - 1) + 1
    return folds


def _groups(manifest: Manifest, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """(N,) group numbers: samples connected, directly or indirectly, by equal values in any column."""
    groupings = []
    for column in columns:
        coded = manifest.coded(column)
        if (coded.codes < 0).any():
            names = [manifest.names[index] for index in np.flatnonzero(coded.codes < 0)]
            raise CorpusError(
                expected=f'a {column} for every sample of {manifest.facts.corpus}',
                came=f'none for {listed(names, 2)}',
                todo='divide by another column, or by single samples with --by sample',
            )
        groupings.append(coded.codes)
    if len(groupings) == 1:  # values are numbered by first occurrence already
        return groupings[0]
    return _joined(len(manifest), groupings)


def _joined(size: int, groupings: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """(N,) numbers of the groups that several groupings connect, by union and find with path halving.

    Args:
        size: N, the number of samples.
        groupings: (N,) group numbers of each grouping, from 0.
    """
    parent = list(range(size))

    def root(sample: int) -> int:
        while parent[sample] != sample:
            parent[sample] = parent[parent[sample]]
            sample = parent[sample]
        return sample

    for codes in groupings:
        order = np.argsort(codes, kind='stable')
        for members in np.split(order, np.cumsum(np.bincount(codes))[:-1]) if size else ():
            first, *others = members.tolist()
            for sample in others:
                parent[root(sample)] = root(first)
    _, numbers = np.unique([root(sample) for sample in range(size)], return_inverse=True)
    return np.asarray(numbers, dtype=np.int64)
