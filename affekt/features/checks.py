"""Checks of a store before training: values are finite and vary, and no sample of a manifest is missing."""

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
    """Result of checking a store."""

    samples: int
    dimension: int
    rows: int
    longest: int
    """Number of rows of the longest sample."""
    not_finite: tuple[str, ...]
    """Samples with nan or infinity."""
    zero: tuple[str, ...]
    """Samples with zeros alone."""
    constant_columns: int
    """Number of columns that are constant over all rows."""
    missing: Mapping[str, str]
    """Samples of the manifest (or those that the store lists) without features, with the reason."""
    strangers: tuple[str, ...]
    """Samples of the store that the manifest does not have."""
    hint: str = ''
    """A pair of names of store and manifest that differ in spelling alone, with the difference; '' for none."""

    @property
    def is_sound(self) -> bool:
        """Whether the store can be used for training; samples of zeros and missing samples are allowed."""
        return not self.not_finite and self.samples > 0 and not self.strangers


def check_store(store: Store, manifest: Manifest | None = None) -> StoreCheck:
    """Check a store, reading every value once.

    Args:
        store: store to check.
        manifest: manifest whose samples it should have; None for none.
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
        requested = set(manifest.names)
        missing = {name: store.missing.get(name, 'not extracted') for name in manifest.names if name not in store}
        strangers = tuple(name for name in store.names if name not in requested)
        hint = near_miss(missing, strangers)
    return StoreCheck(
        len(store), store.dimension, rows, longest, tuple(not_finite), tuple(zero), int((low == high).sum()), missing,
        strangers, hint,
    )  # fmt: skip


def require_features(store: Store, manifest: Manifest) -> None:
    """Check before training that every sample of a manifest has features.

    Raises:
        CorpusError: a sample has none; the message names the first one with its reason.
    """
    lost = [f'{name}: {store.missing.get(name, "not extracted")}' for name in manifest.names if name not in store]
    if lost:
        hint = near_miss((name for name in manifest.names if name not in store), store.names)
        raise CorpusError(
            expected=f'{store.provenance.recipe} for all {len(manifest)} samples of {manifest.facts.corpus}',
            came=f'none for {len(lost)} ({listed(lost, 2)})' + (f'; {hint}' if hint else ''),
            todo='import them again with --manifest, which finds such names' if hint
            else 'extract them, leave these samples out of the manifest, or mask them with --missing mask',
        )  # fmt: skip


def require_any_features(store: Store, manifest: Manifest) -> None:
    """Check that at least one sample of a manifest has features, for training in which others are masked.

    Raises:
        CorpusError: no sample has features.
    """
    if not any(name in store for name in manifest.names):
        hint = near_miss(manifest.names, store.names)
        raise CorpusError(
            expected=f'{store.provenance.recipe} of samples of {manifest.facts.corpus}',
            came=f'none of {listed(manifest.names, 2)}, but of {listed(store.names, 2)}'
            + (f'; {hint}' if hint else ''),
            todo='import them again with --manifest, or name the features of this corpus',
        )
