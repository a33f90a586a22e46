"""Whether a store is fit to train on: finite, varied, and complete for a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from affekt.corpora import Manifest
from affekt.errors import CorpusError, listed
from affekt.features.sample_names import near_miss
from affekt.features.store import Store


@dataclass(frozen=True)
class StoreCheck:
    """What a check found."""

    samples: int
    dimension: int
    rows: int
    longest: int
    """Rows of the longest sample."""
    not_finite: tuple[str, ...]
    """Samples with nan or infinity."""
    zero: tuple[str, ...]
    """Samples whose every value is 0."""
    constant_columns: int
    """Columns that are the same in every row."""
    missing: Mapping[str, str]
    """Samples of the manifest (or those that the store knows of) without features, and why."""
    strangers: tuple[str, ...]
    """Samples that the manifest does not have."""
    hint: str = ''
    """Where names of both differ in writing alone: one pair, and how."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong that would spoil training; samples of zeros and missing ones may be meant."""
        return not self.not_finite and self.samples > 0 and not self.strangers


def check_store(store: Store, manifest: Manifest | None = None) -> StoreCheck:
    """Read every value once.

    Args:
        store: to check.
        manifest: whose samples it should hold; None for none in particular.
    """
    not_finite, zero, rows, longest = [], [], 0, 0
    low = np.full(store.dimension, np.inf)
    high = np.full(store.dimension, -np.inf)
    for name in store.names:
        values = store.values(name)
        rows, longest = rows + len(values), max(longest, len(values))
        if not np.isfinite(values).all():
            not_finite.append(name)
            continue
        if not values.any():
            zero.append(name)
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    missing = dict(store.missing)
    strangers: tuple[str, ...] = ()
    hint = ''
    if manifest is not None:
        wanted = set(manifest.names)
        missing = {name: store.missing.get(name, 'not extracted') for name in manifest.names if name not in store}
        strangers = tuple(name for name in store.names if name not in wanted)
        hint = near_miss(missing, strangers)
    return StoreCheck(
        len(store), store.dimension, rows, longest, tuple(not_finite), tuple(zero), int((low == high).sum()), missing,
        strangers, hint,
    )  # fmt: skip


def require_features(store: Store, manifest: Manifest) -> None:
    """Every sample of a manifest has features: before training starts.

    Raises:
        CorpusError: some have none; names the first and why.
    """
    lost = [f'{name}: {store.missing.get(name, "not extracted")}' for name in manifest.names if name not in store]
    if lost:
        hint = near_miss((name for name in manifest.names if name not in store), store.names)
        raise CorpusError(
            expected=f'{store.provenance.recipe} for all {len(manifest)} samples of {manifest.facts.corpus}',
            came=f'none for {len(lost)} ({listed(lost, 2)})' + (f'; {hint}' if hint else ''),
            todo='import them again with --manifest, which finds such names' if hint
            else 'extract them, leave these samples out of the manifest, or let them do without with --missing mask',
        )  # fmt: skip


def require_any_features(store: Store, manifest: Manifest) -> None:
    """Some samples of a manifest have features, where the others may do without.

    Raises:
        CorpusError: none has.
    """
    if not any(name in store for name in manifest.names):
        hint = near_miss(manifest.names, store.names)
        raise CorpusError(
            expected=f'{store.provenance.recipe} of samples of {manifest.facts.corpus}',
            came=f'none of {listed(manifest.names, 2)}, but of {listed(store.names, 2)}'
            + (f'; {hint}' if hint else ''),
            todo='import them again with --manifest, or name the features of this corpus',
        )
