"""Architectures of new describers, by sizes of your own choice or as published, and the kinds of input that they read.

Needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from affekt.description import (
    CORRECTED,
    KINDS,
    PUBLISHED,
    Adapters,
    Describer,
    DescriberSettings,
    Kind,
    Source,
    Trunk,
    kind_of,
    open_trunk,
    present,
    with_adapters,
)
from affekt.errors import UnknownNameError, did_you_mean, listed
from affekt.features import Store


@dataclass(frozen=True)
class DescriberForm:
    """Architecture of a new describer.

    Args:
        soft_tokens: number of soft tokens per source.
        fusion: fusion of the time steps of a source; a source with one step needs none.
        dropout: dropout rate of the features.
        rank: rank of the LoRA adapters; alpha is twice that.
        longest_prompt: longest prompt, in tokens.
        published: name in `affekt.description.PUBLISHED` of a form whose fusions, soft tokens, prompts and adapters
            are used instead of all others here, for sources of its names; '' for none.
    """

    soft_tokens: int = 1
    fusion: str = 'softmax'
    dropout: float = 0.1
    rank: int = 16
    longest_prompt: int = 1024
    published: str = ''

    def built(self, trunk: str, stores: Mapping[str, Store], *, device: str, seed: int) -> Describer:
        """A new describer on a language model, with one source per store.

        Raises:
            LLMError: the language model cannot be opened.
            UnknownNameError: there is no published form of that name, or a store has the name of none of its sources.
        """
        if self.published:
            if self.published not in PUBLISHED:
                raise UnknownNameError(
                    expected=f'a published form among {listed(PUBLISHED)}', came=repr(self.published),
                    todo=did_you_mean(self.published, PUBLISHED),
                )  # fmt: skip
            return _as_published(self.published, open_trunk(trunk, device=device), stores, seed)
        adapters = Adapters(rank=self.rank, alpha=2 * self.rank)
        adapted = with_adapters(open_trunk(trunk, device=device), adapters, seed=seed)
        sources = [
            Source(
                name, store.dimension, tokens=self.soft_tokens, recipe=store.provenance.recipe, dropout=self.dropout,
                fusion=self.fusion if _has_steps(store) else 'mean', standardised=True, scaled=True,
            )
            for name, store in stores.items()
        ]  # fmt: skip
        return Describer(adapted, sources, DescriberSettings(longest_prompt=self.longest_prompt), seed=seed)


def _as_published(name: str, trunk: Trunk, stores: Mapping[str, Store], seed: int) -> Describer:
    """A describer of a published form: its sources at the width of each store, and those that join them."""
    form = PUBLISHED[name]()
    rows = {source.name: source for source in form.sources}
    separate = [name for name, source in rows.items() if not source.joins]
    if unknown := sorted({*stores} - {*separate}):
        raise UnknownNameError(
            expected=f'stores of the sources of {name}: {listed(separate)}', came=listed(unknown),
            todo='name them as SOURCE=FOLDER, or choose another form',
        )  # fmt: skip
    sources: list[Source] = []
    for source in form.sources:
        if source.joins and {*source.joins} <= {*stores}:
            sources.append(replace(source, width=max(stores[joined].dimension for joined in source.joins)))
        elif source.name in stores:
            store = stores[source.name]
            sources.append(replace(source, width=store.dimension, recipe=store.provenance.recipe))
    widths = {source.name: source.width for source in sources}
    # weights are shared only between sources of one width
    sources = [
        source if widths.get(source.shares) == source.width else replace(source, shares='') for source in sources
    ]
    adapted = with_adapters(trunk, form.adapters, seed=seed) if form.adapters else trunk
    return Describer(adapted, sources, form.settings, seed=seed)


def kind_of_input(describer: Describer, stores: Iterable[str], *, words: bool) -> Kind:
    """The kind of input that a describer reads: with published prompts a published kind, otherwise all stores in order.

    Of several published kinds, the one with the most sources that join the stores; kinds without the opening are not
    used.

    Args:
        describer: the describer, whose sources have the names of the stores.
        stores: names of the stores, in the order of the prompt.
        words: whether the transcript is in the prompt.
    """
    stores = tuple(stores)
    in_order = kind_of(stores, words=words)
    if describer.settings.family != CORRECTED.family:
        return in_order
    table, names = describer.table, present(describer.table, stores)
    published = [
        kind
        for kind in KINDS.values()
        if kind.opened and kind.words == words and {*kind.sources} <= names
        and {name for name in kind.sources if not table[name].joins} == {*stores}
    ]  # fmt: skip
    return max(published, key=lambda kind: len(kind.sources), default=in_order)


def _has_steps(store: Store) -> bool:
    names = store.names[:100]
    return bool(len(names)) and int(store.lengths(names).max()) > 1
