"""What MERBench trains and tests on: a manifest and stores as arrays, checked wholly before anything is trained.

What is predicted follows from the manifest: its categories, or its sentiment where it has none. How it is divided also:
published splits; folds over train where there are tests but no validation; published folds where there are no splits.

N samples, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.benchmarks.merbench_settings import MODALITIES, MerbenchSettings
from affekt.corpora import Manifest, find_leaks, published_folds, seeded_folds, shuffled_folds
from affekt.errors import CorpusError, TableError, UnknownNameError, ValueRangeError, listed
from affekt.features import RECIPES, Store, require_features
from affekt.metrics import Measure, categorical_measure, challenge_measure, sentiment_measure

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
TARGETS = ('category', 'sentiment', 'category+valence')


@dataclass(frozen=True)
class Turn:
    """One division: what is learnt from, what chooses, what is told at the end."""

    train: Index
    validation: Index
    test: Index


@dataclass(frozen=True)
class Task:
    """A corpus ready to be trained on."""

    manifest: Manifest = field(repr=False)
    features: Mapping[str, Floats] = field(repr=False)
    """Modality to (N, D) float32."""
    labels: Index | None
    """(N,) int64 categories; None for a task of values alone."""
    values: npt.NDArray[np.float64] | None
    """(N,) sentiment or valence, nan where there is none; None for categories alone."""
    target: str
    fair: tuple[Turn, ...]
    reference: tuple[Turn, ...]
    """The same with the published choice: a tested fold also chooses."""
    tests: Mapping[str, Index]
    """Name of a test part to its samples."""
    notes: tuple[str, ...]
    inputs: tuple[Path, ...]

    @property
    def classes(self) -> int:
        """Number of categories, 0 for none."""
        return len(self.manifest.facts.categories) if self.labels is not None else 0

    @property
    def score(self) -> str:
        """What chooses on validation: a key of `affekt.training.SCORES`."""
        return {
            'category': 'weighted_f1', 'sentiment': 'sign_weighted_f1',
            'category+valence': 'weighted_f1_less_quarter_squared_error',
        }[self.target]  # fmt: skip

    def headline(self, test: str) -> str:
        """The score that counts on a test part: a name in its measure."""
        if self.target == 'sentiment':
            return 'f1_negative_positive'
        return 'combined' if self._has_valence(self.tests[test]) else 'weighted_f1'

    def _has_valence(self, index: Index) -> bool:
        return self.values is not None and self.labels is not None and bool(np.isfinite(self.values[index]).all())

    def measure(self, test: str, logits: npt.NDArray[Any], values: npt.NDArray[Any]) -> Measure:
        """The measure of answers to one test part.

        Args:
            test: its name.
            logits: (T, C) of its samples.
            values: (T, 0 or 1).
        """
        index = self.tests[test]
        if self.labels is None:
            assert self.values is not None
            return sentiment_measure(self.values[index], values[:, 0])
        if self._has_valence(index):
            assert self.values is not None
            return challenge_measure(
                self.labels[index], logits.argmax(axis=1), self.values[index], values[:, 0], self.classes
            )
        return categorical_measure(self.labels[index], logits.argmax(axis=1), self.classes)


def open_task(manifest: Manifest, stores: Mapping[str, Store], settings: MerbenchSettings) -> Task:
    """Arrays of a manifest and its stores, and how they are divided.

    Args:
        manifest: of the corpus.
        stores: modality to its store.
        settings: target, folds and seed are read.

    Raises:
        CorpusError: a sample lacks features or its label, or a part is empty or of one class only.
        ValueRangeError: a feature is not a finite number; names sample and file.
        UnknownNameError: no such target.
    """
    # 1. What is predicted, and which samples take part.
    target = _target(manifest, settings.target)
    manifest, tests, fair, reference = _divided(manifest, settings)
    labels = manifest.labels() if target != 'sentiment' else None
    column = {'category': None, 'sentiment': 'sentiment', 'category+valence': 'valence'}[target]
    values = manifest.column(column) if column else None
    # 2. Every sample has a truth and finite features.
    _require_truth(manifest, labels, values, tests, target)
    for store in stores.values():
        require_features(store, manifest)
    features = {name: _matrix(store, manifest.names) for name, store in stores.items()}
    # 3. Every part has what it takes to train and to score.
    task = Task(
        manifest, features, labels, values, target, fair, reference, tests, _notes(manifest, fair),
        tuple(file for store in stores.values() for file in _files(store)),
    )  # fmt: skip
    _require_variety(task)
    return task


def open_stores(features: Sequence[str]) -> dict[str, Store]:
    """Stores by modality.

    Args:
        features: `PATH` or `MODALITY=PATH`; without a modality that of the store's recipe counts.

    Raises:
        UnknownNameError: the modality is none of audio, text and video, is not known, or comes twice.
        TableError: a store is missing or damaged.
    """
    found: dict[str, Store] = {}
    for each in features:
        before, has_name, path = each.partition('=')
        store = Store(Path(path if has_name else each))
        recipe = RECIPES.get(store.provenance.recipe.split('-chinese')[0].split('-english')[0])
        name = before if has_name else recipe.modality if recipe else '?'
        if name not in MODALITIES or name in found:
            raise UnknownNameError(
                expected=f'one store each of {", ".join(MODALITIES)}',
                came=f'{each!r}, which is {"a second one of " + name if name in found else "of modality " + name}',
                todo='write for example text=features/minilm-utt',
            )
        found[name] = store
    if not found:
        raise UnknownNameError(expected='at least one store of features', came='none', todo='name one')
    return {name: found[name] for name in MODALITIES if name in found}


def _target(manifest: Manifest, wanted: str) -> str:
    found = wanted or ('category' if manifest.facts.categories else 'sentiment')
    if found not in TARGETS:
        raise UnknownNameError(expected=f'a target among {", ".join(TARGETS)}', came=repr(wanted), todo='choose one')
    if found != 'sentiment' and not manifest.facts.categories:
        raise CorpusError(
            expected='a manifest with categories', came=manifest.facts.corpus, todo='choose the target sentiment'
        )
    return found


def _divided(
    manifest: Manifest, settings: MerbenchSettings
) -> tuple[Manifest, dict[str, Index], tuple[Turn, ...], tuple[Turn, ...]]:
    """The samples in use, tests by name, and the turns of the fair and of the published division."""
    held = [row.split for row in manifest.samples]
    named = list(dict.fromkeys(split for split in held if split))
    tests = [name for name in named if name.startswith('test')]
    if not named:
        return _by_fold(manifest)
    if 'train' not in named or not tests:
        raise CorpusError(
            expected='splits train and test, with or without val', came=f'{", ".join(named)} in {_called(manifest)}',
            todo='name the splits so, or give folds instead',
        )  # fmt: skip
    manifest = manifest.where(split=('train', 'val', *tests))
    at = np.array([row.split for row in manifest.samples])
    parts = {name: np.flatnonzero(at == name) for name in ('train', 'val', *tests)}
    every = np.concatenate([parts[name] for name in tests])
    named_tests = {name: parts[name] for name in tests}
    if len(parts['val']):
        turn = Turn(parts['train'], parts['val'], every)
        return manifest, named_tests, (turn,), (turn,)
    train = parts['train']
    rows = manifest.keep(lambda row: row.split == 'train')
    speakers = not any(row.speaker is None for row in rows.samples)
    fair = (
        seeded_folds(rows, settings.folds, seed=settings.seed)
        if speakers
        else shuffled_folds(len(train), settings.folds, seed=settings.seed)
    )
    shuffled = shuffled_folds(len(train), settings.folds, seed=settings.seed)
    both = [
        tuple(Turn(train[folds != k], train[folds == k], every) for k in range(1, settings.folds + 1))
        for folds in (fair, shuffled)
    ]
    return manifest, named_tests, both[0], both[1]


def _by_fold(manifest: Manifest) -> tuple[Manifest, dict[str, Index], tuple[Turn, ...], tuple[Turn, ...]]:
    """Each published fold is tested in turn; the one before it chooses, or (as published) the tested one itself."""
    folds = published_folds(manifest)
    manifest = manifest.keep(lambda row: bool(row.fold))
    folds = folds[folds > 0]
    count = int(folds.max())
    fair, published = [], []
    for k in range(1, count + 1):
        before = (k - 2) % count + 1
        tested = np.flatnonzero(folds == k)
        learnt = np.flatnonzero((folds != k) & (folds != before))
        fair.append(Turn(learnt, np.flatnonzero(folds == before), tested))
        published.append(Turn(np.flatnonzero(folds != k), tested, tested))
    return manifest, {'folds': np.arange(len(manifest))}, tuple(fair), tuple(published)


def _called(manifest: Manifest) -> str:
    return manifest.facts.corpus


def _require_truth(
    manifest: Manifest,
    labels: Index | None,
    values: npt.NDArray[np.float64] | None,
    tests: Mapping[str, Index],
    target: str,
) -> None:
    lacking = np.zeros(len(manifest), dtype=bool)
    if labels is not None:
        lacking |= labels < 0
    if values is not None:
        absent = np.isnan(values)
        for index in tests.values() if labels is not None else ():
            if absent[index].all():  # a test part without any valence is scored by its categories
                absent[index] = False
        lacking |= absent
    if lacking.any():
        rows = [manifest.samples[i] for i in np.flatnonzero(lacking)]
        names = [f'{row.sample} ({row.split or "no split"})' for row in rows]
        raise CorpusError(
            expected=f'{target} of every sample of {_called(manifest)}',
            came=f'none for {len(names)} ({listed(names, 2)})',
            todo='leave these samples out of the manifest',
        )


def _matrix(store: Store, names: Sequence[str]) -> Floats:
    found = np.array(store.matrix(names), dtype=np.float32)
    wrong = ~np.isfinite(found).all(axis=1)
    if wrong.any():
        bad = [names[i] for i in np.flatnonzero(wrong).tolist()]
        raise ValueRangeError(
            expected=f'finite features in {store.path}',
            came=f'nan or infinity for {len(bad)} samples ({listed(bad, 2)})',
            todo='extract them again',
        )
    return found


def _require_variety(task: Task) -> None:
    """No part is empty; what is learnt from has two classes, or two values, at least."""
    where = _called(task.manifest)
    for turns in (task.fair, task.reference):
        for number, turn in enumerate(turns, 1):
            for name in ('train', 'validation', 'test'):
                index = getattr(turn, name)
                part = f'{name} part of {where}' + (f', fold {number}' if len(turns) > 1 else '')
                if not len(index):
                    raise TableError(
                        expected=f'samples in the {name} part',
                        came=f'an empty {part}',
                        todo='check the splits or folds of the manifest',
                    )
                if task.labels is not None:
                    kinds = len(np.unique(task.labels[index]))
                else:
                    assert task.values is not None
                    kinds = len(np.unique(np.sign(task.values[index][task.values[index] != 0])))
                if kinds < 2 and name != 'test':
                    raise TableError(
                        expected=f'two classes in the {name} part', came=f'{kinds} in the {part}',
                        todo='check the labels, or divide the corpus anew',
                    )  # fmt: skip


def _notes(manifest: Manifest, turns: Sequence[Turn]) -> tuple[str, ...]:
    """Who stands on both sides of the fair division."""
    found: dict[str, int] = {}
    for turn in turns:
        sides = np.full(len(manifest), '', dtype=object)
        for name in ('train', 'validation', 'test'):
            sides[getattr(turn, name)] = name
        for leak in find_leaks(manifest, list(sides), ('speaker', 'dialogue', 'window')):
            found[leak.kind] = found.get(leak.kind, 0) + 1
    return tuple(f'{count} {kind}s stand on more than one side of the division' for kind, count in found.items())


def _files(store: Store) -> list[Path]:
    return sorted(store.path.glob('*.features.arrow')) if store.path.is_dir() else [store.path]
