"""A prediction task from a manifest and stores of features, checked completely before anything is trained.

The target follows from the manifest: categories, or sentiment where it has none. `folds.py` divides the samples,
`cross_corpus.py` adds test parts of other corpora.

N samples, D features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32, Ints
from affekt.corpora import Manifest
from affekt.errors import CorpusError, TableError, UnknownNameError, ValueRangeError, listed
from affekt.experiments.cross_corpus import Part, crossed
from affekt.experiments.folds import Fold, divided, require_trainable
from affekt.experiments.notes import store_notes, task_notes
from affekt.experiments.sequences import FrameInputs
from affekt.experiments.settings import MODALITIES, ExperimentSettings, slot_of
from affekt.features import Store, require_any_features, require_features
from affekt.metrics import Measure, categorical_measure, challenge_measure, sentiment_measure

TARGETS = ('category', 'sentiment', 'category+valence')
"""Predictable targets."""


@dataclass(frozen=True)
class Task:
    """A corpus ready for training: labels, features and folds."""

    manifest: Manifest = field(repr=False)
    features: Mapping[str, Floats32] = field(repr=False)
    """Modality to (N, D) float32, means over time."""
    frames: FrameInputs | None = field(repr=False)
    """Sequences, where the model reads them; None if it reads vectors."""
    present: Mapping[str, npt.NDArray[np.bool_]] = field(repr=False)
    """Modality to (N,), False where the manifest withholds it or features are missing."""
    labels: Ints | None
    """(N,) int64 categories; None for a task without categories."""
    values: npt.NDArray[np.float64] | None
    """(N,) sentiment or valence, or (N, V) several dimensions, nan where unknown; None for a task without values."""
    target: str
    fair: tuple[Fold, ...]
    reference: tuple[Fold, ...]
    """The same folds, validated as published, where a tested fold may also be validation."""
    tests: Mapping[str, Ints]
    """Name of a test part to the row numbers of its samples."""
    notes: tuple[str, ...]

    @property
    def feat_type(self) -> str:
        """Input of the model: `utt`, `frm_align` or `frm_unalign`; our simple models read `utt`."""
        return 'utt' if self.frames is None else self.frames.feat_type

    @property
    def classes(self) -> int:
        """Number of categories; 0 for a task without."""
        return len(self.manifest.facts.categories) if self.labels is not None else 0

    @property
    def width(self) -> int:
        """V, the number of predicted values; 0 for a task without."""
        if self.values is None:
            return 0
        return 1 if self.values.ndim == 1 else self.values.shape[1]

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of the V values."""
        return () if self.values is None else ('sentiment' if self.labels is None else 'valence',)

    @property
    def score(self) -> str:
        """Name of the validation score: a key of `affekt.training.SCORES`."""
        return {
            'category': 'weighted_f1', 'sentiment': 'sign_weighted_f1',
            'category+valence': 'weighted_f1_less_quarter_squared_error',
        }[self.target]  # fmt: skip

    @property
    def groups(self) -> npt.NDArray[Any]:
        """(N,) group of each sample (speaker, dialogue or recording, where known); resampling draws whole groups."""
        return self.manifest.groups()

    @property
    def part_sizes(self) -> dict[str, int]:
        """Number of samples of training, in the first fold, and of every test part."""
        return {'train': len(self.fair[0].train), **{name: len(index) for name, index in self.tests.items()}}

    @property
    def part_groups(self) -> dict[str, int]:
        """Name of a test part to its number of groups."""
        groups = self.groups
        return {name: len(set(groups[index])) for name, index in self.tests.items()}

    def headline(self, test: str) -> str:
        """Name of the headline score of a test part."""
        if self.target == 'sentiment':
            return 'f1_negative_positive'
        return 'combined' if self._has_valence(self.tests[test]) else 'weighted_f1'

    def _has_valence(self, index: Ints) -> bool:
        return self.values is not None and self.labels is not None and bool(np.isfinite(self.values[index]).all())

    def measure(self, test: str, logits: npt.NDArray[Any], values: npt.NDArray[Any]) -> Measure:
        """The measure of predictions of one test part.

        Args:
            test: name of the part.
            logits: (T, C) class logits of its samples.
            values: (T, V) predicted values, V 0 where there are none.
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


def open_task(
    manifest: Manifest, stores: Mapping[str, Store], settings: ExperimentSettings, others: Sequence[Part] = ()
) -> Task:
    """Read manifest and stores into arrays and divide the samples.

    Args:
        manifest: manifest of the corpus.
        stores: modality to its store of features.
        settings: target, feature type, folds and seed are read.
        others: further corpora to test on.

    Raises:
        CorpusError: folds leave no training samples; a sample lacks features or its label; another corpus lacks
            features of the same recipe, or has labels of another kind.
        ValueRangeError: a feature is not finite; the message names sample and file.
        UnknownNameError: unknown target, or the model does not read the feature type.
    """
    # 1. Target, input of the model and samples in use.
    target = _target(manifest, settings.target)
    feat_type = feat_type_of(settings)
    parts = [Part(manifest, stores), *others]
    merged = crossed(parts, target)
    divisions = divided(merged.manifest, settings)
    require_trainable(divisions)
    manifest = divisions.manifest
    labels = manifest.labels() if target != 'sentiment' else None
    column = {'category': None, 'sentiment': 'sentiment', 'category+valence': 'valence'}[target]
    values = manifest.column(column) if column else None
    # 2. Every sample has a label and finite features.
    _require_truth(manifest, labels, values, divisions.tests, target)
    names = merged.names_by_part(manifest)
    has_features = {name: _in_store(name, parts, names, masks=settings.mask) for name in stores}
    features = {
        name: np.concatenate([_matrix(part.stores[name], owned) for part, owned in zip(parts, names, strict=True)])
        for name in stores
    }
    frames = None
    if feat_type != 'utt':
        sequences = {
            name: [
                _sequence(part.stores[name], sample)
                for part, owned in zip(parts, names, strict=True)
                for sample in owned
            ]
            for name in stores
        }
        frames = FrameInputs(sequences, feat_type, manifest.column('split').tolist())
    # 3. Every part can be trained on or scored.
    present = {name: manifest.keep_mask(slot_of(name)) & has_features[name] for name in stores}
    task = Task(
        manifest, features, frames, present, labels, values, target, divisions.fair, divisions.reference,
        divisions.tests, (),
    )  # fmt: skip
    require_variety(task)
    _require_presence(task)
    of_stores = store_notes(parts, has_features)
    of_task = task_notes(manifest, task.fair, labels, features, present)
    return dataclasses.replace(task, notes=(*merged.notes, *divisions.notes, *of_stores, *of_task))


def _in_store(
    name: str, parts: Sequence[Part], names: Sequence[Sequence[str]], *, masks: bool
) -> npt.NDArray[np.bool_]:
    """(N,) True for samples that have features of a set.

    Raises:
        CorpusError: a sample lacks them and `masks` is False, or no sample of a corpus has any.
    """
    for part, part_names in zip(parts, names, strict=True):
        name_set = set(part_names)
        requested = part.manifest.take(np.array([name in name_set for name in part.manifest.names], dtype=np.bool_))
        (require_any_features if masks else require_features)(part.stores[name], requested)
    pairs = zip(parts, names, strict=True)
    return np.array(
        [sample in part.stores[name] for part, part_names in pairs for sample in part_names], dtype=np.bool_
    )


def feat_type_of(settings: ExperimentSettings) -> str:
    """Input of the model: the requested type, else vectors, else sequences.

    Raises:
        UnknownNameError: the model does not read the requested type.
    """
    from affekt.fusion import FUSION_MODELS

    model = FUSION_MODELS[settings.model]
    frames = ('frm_align',) if model.aligned else ('frm_align', 'frm_unalign')
    types_of_levels = tuple(('utt',) if level == 'utterance' else frames for level in model.levels)
    known = tuple(name for types in types_of_levels for name in types)
    if settings.feat_type and settings.feat_type not in known:
        raise UnknownNameError(
            expected=f'a feature type that {settings.model} reads: {", ".join(known)}', came=repr(settings.feat_type),
            todo='choose one of these, or another model',
        )  # fmt: skip
    return settings.feat_type or known[-1 if known[0] != 'utt' else 0]


def open_stores(features: Sequence[str], *, several: bool = False) -> dict[str, Store]:
    """Stores of features by modality.

    Args:
        features: `PATH` or `MODALITY=PATH`; without a modality, the one stated in the store counts.
        several: allow several sets per modality, which are then named `text1:recipe`, `text2:other`, in this order.

    Raises:
        UnknownNameError: a modality is none of audio, text and video, is not stated, or comes twice.
        TableError: a store is missing or damaged.
    """
    sets: dict[str, list[Store]] = {name: [] for name in MODALITIES}
    for text in features:
        prefix, has_name, path = text.partition('=')
        store = Store(Path(path if has_name else text))
        name = prefix if has_name else store.modality or '?'
        if name not in MODALITIES or (sets[name] and not several):
            problem = 'whose modality nobody told' if name == '?' else f'of {name}'
            raise UnknownNameError(
                expected=f'one store each of {", ".join(MODALITIES)}',
                came=f'{text!r}, ' + (f'which is a second one of {name}' if name in sets else problem),
                todo='write for example text=features/minilm-utt',
            )
        if any(store.provenance.hash == other.provenance.hash for other in sets[name]):
            raise UnknownNameError(
                expected=f'different features of {name}', came=f'{text!r} twice', todo='name each store once'
            )
        sets[name].append(store)
    if not features:
        raise UnknownNameError(expected='at least one store of features', came='none', todo='name one')
    return {
        name if len(stores) == 1 else f'{name}{number}:{store.provenance.recipe}': store
        for name, stores in sets.items()
        for number, store in enumerate(stores, 1)
    }


def open_part(text: str) -> Part:
    """Open another corpus and its features.

    Args:
        text: `MANIFEST=STORE,STORE`.

    Raises:
        UnknownNameError: the text is not of that form; or see `open_stores`.
        TableError: the manifest or a store is missing or damaged.
    """
    path, _, stores = text.partition('=')
    if not stores:
        raise UnknownNameError(
            expected='MANIFEST=STORE or MANIFEST=STORE,STORE', came=repr(text),
            todo='write for example iemocap.parquet=features/minilm-utt',
        )  # fmt: skip
    return Part(Manifest.load(Path(path)), open_stores(stores.split(','), several=True))


def _target(manifest: Manifest, requested: str) -> str:
    target = requested or ('category' if manifest.facts.categories else 'sentiment')
    if target not in TARGETS:
        raise UnknownNameError(expected=f'a target among {", ".join(TARGETS)}', came=repr(requested), todo='choose one')
    if target != 'sentiment' and not manifest.facts.categories:
        raise CorpusError(
            expected='a manifest with categories', came=manifest.facts.corpus, todo='choose the target sentiment'
        )
    return target


def _require_truth(
    manifest: Manifest,
    labels: Ints | None,
    values: npt.NDArray[np.float64] | None,
    tests: Mapping[str, Ints],
    target: str,
) -> None:
    is_unlabelled = np.zeros(len(manifest), dtype=bool)
    if labels is not None:
        is_unlabelled |= labels < 0
    if values is not None:
        is_unknown = np.isnan(values)
        for index in tests.values() if labels is not None else ():
            if is_unknown[index].all():  # a test part without any valence is scored by its categories
                is_unknown[index] = False
        is_unlabelled |= is_unknown
    if is_unlabelled.any():
        rows = manifest.samples.take(is_unlabelled)
        names = [f'{row.sample} ({row.split or "no split"})' for row in rows]
        raise CorpusError(
            expected=f'{target} of every sample of {manifest.facts.corpus}',
            came=f'none for {len(names)} ({listed(names, 2)})',
            todo='leave these samples out of the manifest',
        )


def _matrix(store: Store, names: Sequence[str]) -> Floats32:
    """(N, D) means over time, zeros where a sample has no features."""
    stored = [name for name in names if name in store]
    means = np.array(store.matrix(stored), dtype=np.float32)
    is_invalid = ~np.isfinite(means).all(axis=1)
    if is_invalid.any():
        invalid = [stored[row] for row in np.flatnonzero(is_invalid).tolist()]
        raise ValueRangeError(
            expected=f'finite features in {store.path}',
            came=f'nan or infinity for {len(invalid)} samples ({listed(invalid, 2)})',
            todo='extract them again',
        )
    if len(stored) == len(names):
        return means
    rows = np.zeros((len(names), store.dimension), dtype=np.float32)
    rows[[name in store for name in names]] = means
    return rows


def _sequence(store: Store, name: str) -> Floats32:
    """(T, D) of a sample, one row of zeros where it has no features."""
    return store.values(name) if name in store else np.zeros((1, store.dimension), dtype=np.float32)


def require_variety(task: Task) -> None:
    """Check that no part is empty, and that training has two classes, values of two signs, or two of each dimension.

    Raises:
        TableError: a part is empty, of one class, or of one value of a dimension; the message names the part.
    """
    corpus = task.manifest.facts.corpus
    for folds in (task.fair, task.reference):
        for number, fold in enumerate(folds, 1):
            for name in ('train', 'validation', 'test'):
                index = getattr(fold, name)
                part = f'{name} part of {corpus}' + (f', fold {number}' if len(folds) > 1 else '')
                if not len(index):
                    raise TableError(
                        expected=f'samples in the {name} part',
                        came=f'an empty {part}',
                        todo='check the splits or folds of the manifest',
                    )
                if name != 'test':
                    _require_two(task, index, name, part)


def _require_two(task: Task, index: Ints, name: str, part: str) -> None:
    """Check that a part has two classes, signs, or values of each dimension."""
    if task.labels is None and task.target != 'sentiment':
        assert task.values is not None
        constant = np.ptp(task.values[index].reshape(len(index), -1), axis=0) == 0  # (V,)
        if constant.any():
            raise TableError(
                expected=f'values that differ in the {name} part',
                came=f'one value of {listed(np.array(task.value_names)[constant].tolist())} in the {part}',
                todo='leave that column out of the manifest, or divide the corpus anew',
            )  # fmt: skip
        return
    if task.labels is not None:
        classes = len(np.unique(task.labels[index]))
    else:
        assert task.values is not None
        classes = len(np.unique(np.sign(task.values[index][task.values[index] != 0])))
    if classes < 2:
        raise TableError(
            expected=f'two classes in the {name} part', came=f'{classes} in the {part}',
            todo='check the labels, or divide the corpus anew',
        )  # fmt: skip


def _require_presence(task: Task) -> None:
    """Check that each modality exists for some samples of training and of validation."""
    for name, present in task.present.items():
        for number, fold in enumerate(task.fair, 1):
            for part in ('train', 'validation'):
                if not present[getattr(fold, part)].any():
                    raise CorpusError(
                        expected=f'{name} of some samples of the {part} part',
                        came=f'{task.manifest.facts.corpus}, which withholds it from all of fold {number}',
                        todo='leave this modality out, or withhold less',
                    )
