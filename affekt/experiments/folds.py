"""Division of a corpus into training, validation and test.

Published splits where there are any; folds over the training part where there are tests but no validation; published
folds where there are no splits. Each division comes twice: fair, and as published, where a tested fold may also serve
as validation.

N samples.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.arrays import Ints
from affekt.corpora import Manifest, published_folds, seeded_folds, shuffled_folds
from affekt.errors import CorpusError
from affekt.experiments.settings import ExperimentSettings
from affekt.wording import counted

NEARLY_VAL = ('dev', 'devel', 'development', 'valid', 'validation', 'eval')
"""Names that other corpora use for a validation part."""


BELONGS_TOGETHER = ('speaker', 'session', 'dialogue', 'recording')
"""Columns that link samples; the first one that every sample has decides which samples stay together."""


@dataclass(frozen=True)
class Fold:
    """One division: row numbers of training and validation, and the test part."""

    train: Ints
    validation: Ints
    test: Ints


@dataclass(frozen=True)
class Divisions:
    """The samples in use and their division."""

    manifest: Manifest
    """The manifest without samples that are in no part."""
    tests: Mapping[str, Ints]
    """Name of a test part to its row numbers."""
    fair: tuple[Fold, ...]
    reference: tuple[Fold, ...]
    """The same folds, but validated as published."""
    notes: tuple[str, ...] = ()
    """Sentences on the samples that are left out."""


def divided(manifest: Manifest, settings: ExperimentSettings) -> Divisions:
    """Divide a corpus by its splits or folds.

    Args:
        manifest: has splits (train, perhaps val, and parts whose names begin with test), or folds, or folds for
            training beside such test parts.
        settings: folds and seed are read.

    Raises:
        CorpusError: there is no training or no test part, or a part that seems to be validation has another name.
    """
    divisions = _divided(manifest, settings)
    used = set(divisions.manifest.names)
    cells = manifest.samples.cells(('sample', 'split'))
    unused = Counter(split or 'none' for name, split in cells if name not in used)
    notes = tuple(
        f'{counted(count, "sample")} of split {name} {"takes" if count == 1 else "take"} no part'
        for name, count in unused.items()
    )
    return dataclasses.replace(divisions, notes=notes)


def require_trainable(divisions: Divisions) -> None:
    """Check that each fair fold has training samples.

    Raises:
        CorpusError: a fold has no training samples, as with only two folds.
    """
    if any(not len(fold.train) for fold in divisions.fair):
        raise CorpusError(
            expected='samples to learn from beside the fold that is tested and the one that validates',
            came=f'{counted(len(divisions.fair), "fold")} in {divisions.manifest.facts.corpus}',
            todo='make three or more with `affekt corpus folds`',
        )


def held_out(manifest: Manifest, share: float, seed: int, fewest: int = 2) -> tuple[npt.NDArray[np.bool_], str, int]:
    """Select validation samples from a training part: whole groups, about a share of them, balanced over categories.

    Args:
        manifest: manifest of the training part, N samples.
        share: share of the samples, between 0 and 1.
        seed: seed of the draw.
        fewest: minimum number of groups that a column of `BELONGS_TOGETHER` must have.

    Returns:
        (N,) True where a sample is selected; the column whose groups stay whole, '' where single samples are drawn; and
        the number of equal parts that the samples were divided into.
    """
    parts = max(2, round(1 / share))
    for column in BELONGS_TOGETHER:
        groups = len(set(manifest.coded(column).values)) if manifest.samples.known(column).all() else 0
        if groups >= fewest:
            parts = min(parts, groups)
            return seeded_folds(manifest, parts, seed=seed, independent_of=(column,)) == 1, column, parts
    parts = max(2, min(parts, len(manifest)))
    return seeded_folds(manifest, parts, seed=seed, independent_of=()) == 1, '', parts


def _divided(manifest: Manifest, settings: ExperimentSettings) -> Divisions:
    split_names = [name for name in manifest.coded('split').values if name]
    tests = [name for name in split_names if name.startswith('test')]
    has_folds = any(manifest.coded('fold').values)
    if not split_names:
        return _by_fold(manifest)
    if not tests or ('train' not in split_names and not has_folds):
        raise CorpusError(
            expected='splits train and test, with or without val',
            came=f'{", ".join(split_names)} in {manifest.facts.corpus}',
            todo='name the splits so, or give folds instead',
        )
    if 'train' not in split_names:
        return _folds_beside_tests(manifest, tests)
    if 'val' not in split_names and (similar := [name for name in split_names if name.lower() in NEARLY_VAL]):
        raise CorpusError(
            expected='splits train, val and test', came=f'{similar[0]} in {manifest.facts.corpus}',
            todo='name it val, so that it chooses; under another name it would take no part',
        )  # fmt: skip
    manifest = manifest.where(split=('train', 'val', *tests))
    parts = _parts(manifest, ('train', 'val', *tests))
    named_tests = {name: parts[name] for name in tests}
    tested = np.concatenate(list(named_tests.values()))
    if len(parts['val']):
        fold = Fold(parts['train'], parts['val'], tested)
        return Divisions(manifest, named_tests, (fold,), (fold,))
    train = parts['train']
    rows = manifest.where(split='train')
    shuffled = shuffled_folds(len(train), settings.folds, seed=settings.seed)
    knows_speakers = bool(rows.samples.known('speaker').all())
    fair = seeded_folds(rows, settings.folds, seed=settings.seed) if knows_speakers else shuffled
    divisions = [
        tuple(
            Fold(train[fold_numbers != fold_number], train[fold_numbers == fold_number], tested)
            for fold_number in range(1, settings.folds + 1)
        )
        for fold_numbers in (fair, shuffled)
    ]
    return Divisions(manifest, named_tests, divisions[0], divisions[1])


def _by_fold(manifest: Manifest) -> Divisions:
    """Each published fold is tested in turn; validated on the fold before it, or (as published) on the tested one."""
    numbers = published_folds(manifest)
    manifest = manifest.take(numbers != 0)
    numbers = numbers[numbers > 0]
    folds = np.unique(numbers)
    if len(folds) < 2:
        raise CorpusError(
            expected='folds that are tested in turn, two at least',
            came=f'fold {folds[0]} alone in the {len(numbers):,} samples of {manifest.facts.corpus}',
            todo='import the whole release, or make folds of your own with `affekt corpus folds`',
        )
    fair, published = [], []
    for validation_fold, tested_fold in zip(np.roll(folds, 1), folds, strict=True):
        tested = np.flatnonzero(numbers == tested_fold)
        train = np.flatnonzero((numbers != tested_fold) & (numbers != validation_fold))
        fair.append(Fold(train, np.flatnonzero(numbers == validation_fold), tested))
        published.append(Fold(np.flatnonzero(numbers != tested_fold), tested, tested))
    return Divisions(manifest, {'folds': np.arange(len(manifest))}, tuple(fair), tuple(published))


def _folds_beside_tests(manifest: Manifest, tests: list[str]) -> Divisions:
    """Each published fold is validation in turn for models trained on the others; all models predict the test parts."""
    manifest = manifest.take((published_folds(manifest) != 0) | manifest.coded('split').where(tests))
    numbers = np.where(manifest.samples.filled('split'), 0, published_folds(manifest))
    parts = _parts(manifest, tests)
    tested = np.concatenate(list(parts.values()))
    folds = tuple(
        Fold(np.flatnonzero((numbers > 0) & (numbers != fold_number)), np.flatnonzero(numbers == fold_number), tested)
        for fold_number in range(1, int(numbers.max()) + 1)
    )
    return Divisions(manifest, parts, folds, folds)


def _parts(manifest: Manifest, names: tuple[str, ...] | list[str]) -> dict[str, Ints]:
    splits = manifest.coded('split')
    return {name: np.flatnonzero(splits.where([name])) for name in names}
