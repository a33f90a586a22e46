"""Settings of a run for a track, and its clips as a task, checked before anything is trained.

N clips, D features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affekt.challenges.tracks import Track
from affekt.corpora import Manifest
from affekt.errors import CorpusError, UnknownNameError, ValueRangeError, listed
from affekt.experiments import ExperimentSettings, Task, divided, feat_type_of, group_notes, how_made
from affekt.features import Store
from affekt.features.sample_names import near_miss
from affekt.moved_names import with_old_names

if TYPE_CHECKING:
    from affekt.training import SemiSettings

KINDS = ('none', 'pseudo', 'consistency')
"""Uses of unlabelled clips."""
TRAIN, VALIDATION = 'train', 'val'
"""Splits for training and for the choice of settings."""


@with_old_names(batch='batch_size')
@dataclass(frozen=True)
class TrackSettings:
    """Settings of a run, saved with its answers.

    Args:
        model: a key of `affekt.fusion.FUSION_MODELS` that reads one vector per modality.
        semi: use of unlabelled clips: `none`, `pseudo` or `consistency`; see `SemiSettings`.
        thresholds: confidence thresholds, one of which validation chooses.
        shares: `pseudo`: shares of the most confident pseudo-labels, compared together with the thresholds.
        balanced: `pseudo`: limit each category's share of the pseudo-labels to its share of the labelled clips.
        trials: number of configurations of the model, chosen without unlabelled clips.
        folds: number of folds over the labelled clips, if they have no split val.
        seeds: number of runs of the chosen configuration, whose predictions are averaged.
        epochs: maximum number of epochs.
        patience: epochs without a better validation score after which a run stops.
        batch_size: labelled samples per step.
        seed: seed of all draws.
        allow_missing: mask missing modalities of a clip; False makes them an error.
    """

    model: str = 'attention'
    semi: str = 'none'
    thresholds: tuple[float, ...] = (0.5, 0.7, 0.9)
    shares: tuple[float, ...] = ()
    balanced: bool = False
    trials: int = 4
    folds: int = 5
    seeds: int = 1
    epochs: int = 100
    patience: int = 10
    batch_size: int = 32
    seed: int = 0
    allow_missing: bool = False

    def __post_init__(self) -> None:
        if self.semi not in KINDS:
            raise UnknownNameError(expected=f'one of {", ".join(KINDS)}', came=repr(self.semi), todo='choose one')
        if self.semi == 'consistency' and (self.shares or self.balanced):
            raise ValueRangeError(
                expected='thresholds alone for consistency', came='shares, or balanced', todo='choose --semi pseudo'
            )
        if self.semi != 'none' and not (self.thresholds or self.shares):
            raise ValueRangeError(expected='a threshold or a share', came='none', todo='give --threshold or --share')
        if feat_type_of(self.bench('category')) != 'utt':
            raise UnknownNameError(
                expected='a model that reads one vector per modality',
                came=repr(self.model),
                todo='choose another model',
            )

    def bench(self, target: str) -> ExperimentSettings:
        """The corresponding settings of an experiment."""
        names = ('model', 'seeds', 'trials', 'epochs', 'patience', 'batch_size', 'folds', 'seed')
        return ExperimentSettings(target=target, **{name: getattr(self, name) for name in names})

    def tried(self) -> list[SemiSettings]:
        """Semi-supervised settings that validation compares; [] without unlabelled clips."""
        from affekt.training import SemiSettings

        if self.semi == 'none':
            return []
        semi: Any = self.semi
        by_threshold = [
            SemiSettings(semi, threshold=threshold, balanced=self.balanced) for threshold in self.thresholds
        ]
        return by_threshold + [SemiSettings(semi, share=share, balanced=self.balanced) for share in self.shares]


def track_task(
    track: Track,
    labelled: Manifest,
    unlabelled: Manifest,
    stores: Mapping[str, Store],
    unlabelled_stores: Mapping[str, Store],
    settings: TrackSettings,
) -> Task:
    """A task with labelled clips as train and val, and unlabelled ones as the test of all folds.

    Raises:
        UnknownNameError: the track has open-vocabulary labels.
        CorpusError: a clip lacks features or its label, or is both labelled and unlabelled.
    """
    if track.closed is None:
        raise UnknownNameError(expected='a track with categories', came=track.name, todo='choose another track')
    labelled = _in_order_of(track, track.closed.categories, labelled)
    labelled = _labelled_samples(labelled, has_valence=track.closed.valence is not None)
    shared = sorted(set(labelled.names) & set(unlabelled.names))
    if shared or not len(unlabelled):
        raise CorpusError(
            expected='unlabelled clips, none of which is labelled too',
            came=f'{len(shared)} on both sides: {listed(shared)}' if shared else 'none', todo='leave them out',
        )  # fmt: skip
    _require_same(stores, unlabelled_stores)
    empty_column = [None] * len(unlabelled)
    hidden = unlabelled.samples.replaced(
        category=empty_column, valence=empty_column, split=['test'] * len(unlabelled), fold=empty_column
    )
    joined = Manifest(labelled.facts, labelled.samples + hidden)
    divisions = divided(joined, settings.bench('category'))
    target = 'category' if track.closed.valence is None else 'category+valence'
    features, present = {}, {}
    for modality in stores:
        parts = ((stores[modality], labelled), (unlabelled_stores[modality], unlabelled))
        by_part = [_rows(store, manifest, settings.allow_missing) for store, manifest in parts]
        features[modality] = np.concatenate([rows for rows, _ in by_part])
        is_available = np.concatenate([manifest.keep_mask(modality) for _, manifest in parts])
        present[modality] = np.concatenate([stored for _, stored in by_part]) & is_available
    values = None if target == 'category' else joined.column('valence')
    return Task(
        divisions.manifest, features, None, present, joined.labels(), values, target, divisions.fair, (),
        divisions.tests, (*_unlabelled_categories(labelled), *group_notes(labelled)),
    )  # fmt: skip


def _in_order_of(track: Track, categories: Sequence[str], manifest: Manifest) -> Manifest:
    """The manifest with its categories in the track's order.

    Raises:
        CorpusError: there are categories that the track does not have, or none.
    """
    unknown = sorted(set(manifest.facts.categories) - set(categories))
    if unknown or not manifest.facts.categories:
        raise CorpusError(
            expected=f'the categories of {track.name}: {", ".join(categories)}, in any order',
            came=f'{listed(unknown)} among them' if unknown else 'none',
            todo='import the labelled clips of that challenge, or name the categories of your table so',
        )
    facts = dataclasses.replace(manifest.facts, categories=tuple(categories))
    return Manifest(facts, manifest.samples)


def _unlabelled_categories(labelled: Manifest) -> list[str]:
    """Categories of the track without a labelled clip."""
    labelled_categories = set(labelled.coded('category').values)
    missing = [name for name in labelled.facts.categories if name not in labelled_categories]
    return [f'no labelled clip is {listed(missing)}, so that no answer will be'] if missing else []


def _labelled_samples(manifest: Manifest, *, has_valence: bool) -> Manifest:
    """The labelled samples, as train, and val where there is one."""
    if {TRAIN, VALIDATION} & set(manifest.coded('split').values):
        manifest = manifest.where(split=(TRAIN, VALIDATION))
    else:
        manifest = manifest.replaced(split=[TRAIN] * len(manifest))
    is_unlabelled = ~manifest.samples.known('category')
    if has_valence:
        is_unlabelled |= ~manifest.samples.known('valence')
    unlabelled = [manifest.names[index] for index in np.flatnonzero(is_unlabelled)]
    if unlabelled or not len(manifest):
        columns = 'category and valence' if has_valence else 'category'
        raise CorpusError(
            expected=f'{columns} of every labelled clip', came=f'none for {len(unlabelled)} ({listed(unlabelled, 2)})'
            if unlabelled else 'no labelled clips', todo='leave these samples out of the manifest',
        )  # fmt: skip
    return manifest


def _require_same(stores: Mapping[str, Store], others: Mapping[str, Store]) -> None:
    """Check that both sides have the same modalities, each by one recipe."""
    labelled, unlabelled = ({modality: _origin(store) for modality, store in side.items()} for side in (stores, others))
    if labelled != unlabelled:
        differing = sorted(
            modality for modality in {*labelled, *unlabelled} if labelled.get(modality) != unlabelled.get(modality)
        )
        raise CorpusError(
            expected='features of one recipe for labelled and unlabelled clips',
            came=f'others for {", ".join(differing)}', todo='extract both with the same recipe',
        )  # fmt: skip


def _origin(store: Store) -> object:
    """The recipe's hash; for imported features, whose hash is that of their files, the other provenance."""
    return how_made(store) if 'origin' in store.provenance.facts else store.provenance.hash


def _rows(
    store: Store, manifest: Manifest, allow_missing: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(N, D) features, zeros where a clip has none, and (N,) True where it has features."""
    stored = np.array([name in store for name in manifest.names], dtype=bool)
    if not stored.all() and not allow_missing:
        missing = [manifest.names[index] for index in np.flatnonzero(~stored)]
        hint = near_miss(missing, store.names)
        raise CorpusError(
            expected=f'{store.provenance.recipe} for all {len(manifest)} clips of {manifest.facts.corpus}',
            came=f'none for {len(missing)} ({listed(missing, 2)})' + (f'; {hint}' if hint else ''),
            todo='extract them, or let these clips do without with --allow-missing',
        )
    rows = np.zeros((len(manifest), store.dimension), dtype=np.float32)
    if stored.any():
        rows[stored] = store.matrix([name for name, is_stored in zip(manifest.names, stored, strict=True) if is_stored])
    return rows, stored
