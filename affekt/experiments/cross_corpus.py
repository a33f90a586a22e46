"""Training on one corpus and testing on others: labels mapped to one scale, sample names made unique.

As published, sentiment of CH-SIMS is multiplied by 3, and categories are happy, sad, neutral and angry, which each
corpus names in its own way; samples of other categories are left out. Corpora with the same set of categories keep all
of them (a noisy version of a corpus is such a case). Corpora that share other categories under the same names are
compared on these. Each further corpus contributes its first test part, or all samples where it has no splits.

Source: MERBench, arXiv:2401.03429, its cross-corpus loaders.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from affekt.corpora import Facts, Manifest, SampleTable
from affekt.errors import CorpusError, UnknownNameError, listed
from affekt.features import Store
from affekt.wording import counted

REACH = 3.0
"""Largest absolute sentiment after rescaling: all corpora lie in [-3, 3]."""
SHARED: Mapping[str, str] = {
    'happy': 'happy', 'happiness': 'happy', 'joy': 'happy', 'sad': 'sad', 'sadness': 'sad', 'neutral': 'neutral',
    'angry': 'angry', 'anger': 'angry',
}  # fmt: skip
"""Category name of a corpus to the shared name."""
FOUR = ('happy', 'sad', 'neutral', 'angry')
"""The published shared categories, in their order."""
TOGETHER = ('speaker', 'dialogue', 'session', 'recording')
"""Columns whose values are unique within one corpus only."""


@dataclass(frozen=True)
class Part:
    """A corpus and its stores of features."""

    manifest: Manifest
    stores: Mapping[str, Store] = field(repr=False)
    """Modality to store."""


@dataclass(frozen=True)
class Crossed:
    """Several corpora merged into one manifest; training samples come from the first."""

    manifest: Manifest
    origin: Mapping[str, tuple[int, str]] = field(repr=False)
    """Merged sample name to (index of its corpus, its name there)."""
    notes: tuple[str, ...] = ()

    def names_by_part(self, manifest: Manifest) -> list[list[str]]:
        """For each corpus, the original names of the manifest's samples that come from it."""
        names: list[list[str]] = [[] for _ in range(1 + max(part for part, _ in self.origin.values()))]
        for name in manifest.names:
            part, original = self.origin[name]
            names[part].append(original)
        return names


def crossed(parts: Sequence[Part], target: str) -> Crossed:
    """Merge corpora into one manifest; a single corpus is returned unchanged.

    Args:
        parts: the first is for training and keeps its test parts; the others contribute their test part alone.
        target: `category`, `sentiment` or `category+valence`.

    Raises:
        CorpusError: a corpus has no samples left, or its features come from another recipe.
        UnknownNameError: the target cannot be compared between these corpora.
    """
    first = parts[0].manifest
    if len(parts) == 1:
        return Crossed(first, {name: (0, name) for name in first.names})
    # 1. Recipes and targets are comparable.
    _require_same_recipes(parts)
    is_same = all(set(part.manifest.facts.categories) == set(first.facts.categories) for part in parts)
    shared = {} if is_same or target == 'sentiment' else _shared(parts)
    if target == 'category+valence' and not is_same:
        raise UnknownNameError(
            expected='category or sentiment between corpora of different categories', came=repr(target),
            todo='choose one of these as --target',
        )  # fmt: skip
    # 2. Rows get unique names and one label scale.
    tables: list[SampleTable] = []
    origin: dict[str, tuple[int, str]] = {}
    notes = []
    for index, part in enumerate(parts):
        corpus = part.manifest.facts.corpus
        name = corpus if index == 0 or corpus != first.facts.corpus else f'{corpus} ({index + 1})'
        used = _used(part.manifest, index)
        categories = used.coded('category')
        compared = [category for category in (*categories.values, None) if _plain(category) in shared]
        kept = used if target == 'sentiment' or is_same else used.take(categories.where(compared))
        if not len(kept):
            raise CorpusError(
                expected=f'samples {"to learn from" if index == 0 else "to test on"} in {corpus}',
                came=f'none with a shared category ({listed(shared.values())})' if shared else 'none',
                todo='see `affekt corpus show`',
            )  # fmt: skip
        unique_names = [f'{name}/{sample}' for sample in kept.column('sample')]
        origin |= {merged: (index, sample) for merged, sample in zip(unique_names, kept.column('sample'), strict=True)}
        columns: dict[str, Any] = {
            column: [None if value is None else f'{corpus}/{value}' for value in kept.column(column)]
            for column in TOGETHER
        }
        if index:
            columns |= {'split': [f'test {name}'] * len(kept), 'fold': [None] * len(kept)}
        if not is_same:
            columns['category'] = [
                None if category is None else shared.get(_plain(category)) for category in kept.column('category')
            ]
        columns['sentiment'] = _factor(part.manifest) * kept.column('sentiment')
        tables.append(kept.replaced(sample=unique_names, **columns))
        dropped = len(used) - len(kept)
        if dropped:
            notes.append(f'{counted(dropped, "sample")} of {name} left out: the category is not compared')
    names = ', '.join(part.manifest.facts.corpus for part in parts[1:])
    facts = Facts(
        f'{first.facts.corpus} to {names}', categories=first.facts.categories if is_same else _order(shared, first),
        language=first.facts.language,
    )  # fmt: skip
    if shared:
        notes.append(f'compared categories: {", ".join(_order(shared, first))}')
    return Crossed(Manifest(facts, functools.reduce(operator.add, tables)), origin, tuple(notes))


def _shared(parts: Sequence[Part]) -> dict[str, str]:
    """Shared category to its name in the merged corpus: the published four, else every category that all corpora have.

    Raises:
        CorpusError: fewer than two are shared.
    """
    first, *others = ({_plain(name): name for name in part.manifest.facts.categories} for part in parts)
    common = {key: name for key, name in first.items() if all(key in other for other in others)}
    if len(common) < 2:
        categories = '; '.join(
            f'{part.manifest.facts.corpus}: {", ".join(part.manifest.facts.categories) or "none"}' for part in parts
        )
        raise CorpusError(
            expected='at least two categories that the corpora share',
            came=f'none with a shared category ({categories})'
            if not common
            else f'{listed(common.values())} alone ({categories})',
            todo='call the same categories alike in both tables, or choose --target sentiment',
        )
    return {name: name for name in FOUR} if set(FOUR) <= set(common) else common


def _order(shared: Mapping[str, str], first: Manifest) -> tuple[str, ...]:
    """Shared category names, in the published order or in that of the first corpus."""
    if set(shared) == set(FOUR):
        return FOUR
    return tuple(dict.fromkeys(shared[_plain(name)] for name in first.facts.categories if _plain(name) in shared))


def _plain(name: str | None) -> str:
    """A category's name for comparison: lower case, the published four mapped to one word each."""
    folded = (name or '').casefold()
    return SHARED.get(folded, folded)


def _used(manifest: Manifest, index: int) -> SampleTable:
    """Samples used: all of the training corpus; of another its first test part, or all where it has no splits."""
    tests = sorted(name for name in manifest.coded('split').values if name.startswith('test'))
    return manifest.samples if index == 0 or not tests else manifest.where(split=tests[0]).samples


def _factor(manifest: Manifest) -> float:
    """Factor that scales a corpus's sentiment to [-3, 3]."""
    low, high = manifest.facts.ranges.get('sentiment', (-REACH, REACH))
    return REACH / max(abs(low), abs(high))


def _require_same_recipes(parts: Sequence[Part]) -> None:
    """All corpora have the same modalities by the same recipes; the text column that a recipe reads may differ."""
    for part in parts[1:]:
        corpus = part.manifest.facts.corpus
        if set(part.stores) != set(parts[0].stores):
            raise CorpusError(
                expected=f'features of {listed(parts[0].stores)} of {corpus}', came=listed(part.stores),
                todo='give a store of each modality',
            )  # fmt: skip
        for name, store in part.stores.items():
            if how_made(parts[0].stores[name]) != how_made(store):
                raise CorpusError(
                    expected=f'{parts[0].stores[name].provenance.recipe} of {corpus}',
                    came=f'{store.provenance.recipe}, made otherwise',
                    todo='extract both corpora by one recipe, or import both from folders or files of one name',
                )


def how_made(store: Store) -> dict[str, Any]:
    """Provenance of features, without the column that was read and without the hash of an imported folder."""
    facts = {**store.provenance.facts, 'column': '', 'dimension': store.dimension, 'columns': store.provenance.columns}
    if 'origin' in facts:
        del facts['sha256']
    for name in ('media_sizes', 'media_sha256'):  # older stores lack them, and no two corpora have the same files
        facts.pop(name, None)
    return facts
