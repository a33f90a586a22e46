"""Every recipe there is: what it reads, what it needs, and whether that is here now. Nothing is fetched or opened.

Kinds, in this order: recipes that bring all they need; measures of openSMILE; encoders of transformers; encoders whose
network the user exports; recipes of other packages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from affekt.encoders.folders import has_extra
from affekt.features.encoders import RECIPES
from affekt.features.model_recipes import listed_encoders
from affekt.features.onnx_recipes import EXPORTED, LEVELS
from affekt.features.smile_recipes import OWN, SETS, has_smile
from affekt.weights import MODELS, state

FILES: Mapping[str, tuple[str, ...]] = {
    'minilm-utt': ('minilm-l6-int8.onnx', 'minilm-tokenizer.json'),
    'minilm-layers-utt': ('minilm-l6-int8.onnx', 'minilm-tokenizer.json'),
    'faces-utt': ('face_landmarker.task',),
    'faces-frm': ('face_landmarker.task',),
}
"""Recipe to the model files that it opens."""
STATES = ('yes', 'fetch', 'give', 'no')
"""Whether a recipe runs: as it is; when its weights are fetched, which it does, or given; when a file is given with
--model; not before something is installed."""


@dataclass(frozen=True)
class ListedRecipe:
    """What can be said of a recipe before it is opened."""

    kind: str
    """One of 'own', 'opensmile', 'transformers', 'exported', 'plugin'."""
    names: tuple[str, ...]
    """Recipes that differ in level or form alone."""
    modality: str
    """'' for one of a package that cannot be loaded."""
    dimension: int | None
    """Of the first; None where nobody knows."""
    needs: str
    """In words; '' for nothing."""
    runs: str
    """One of `STATES`."""


def listed_recipes(*, added: bool = True) -> tuple[ListedRecipe, ...]:
    """All recipes, each with what it needs.

    Args:
        added: those of other packages too, which loads them.
    """
    return (*_own(), *_smile(), *_encoders(), *_exported(), *(_added() if added else ()))


def modality_of(recipe: str) -> str | None:
    """What a store's recipe reads, by its name: audio, text or video; None for one that is not listed.

    Names of official folders (`chinese-hubert-large-UTT`) count as those of their recipes.
    """
    name = recipe.removesuffix('-chinese').removesuffix('-english')
    for ending, ours in (('-UTT', '-utt'), ('-FRA', '-frm'), ('_UTT', '-utt'), ('_FRA', '-frm')):
        name = name.removesuffix(ending) + ours if name.endswith(ending) else name
    every = {each: listed.modality for listed in listed_recipes() for each in listed.names}
    return every.get(name) or every.get(name.replace('-4-', '-'))


def _own() -> list[ListedRecipe]:
    found = []
    for name, recipe in RECIPES.own.items():
        files = FILES.get(name, ())
        lost = [file for file in files if state(MODELS[file]) != 'verified']
        needs = f'{", ".join(files)}{" (affekt weights get)" if lost else ""}'
        found.append(ListedRecipe('own', (name,), recipe.modality, recipe.dimension, needs, 'no' if lost else 'yes'))
    return found


def _added() -> list[ListedRecipe]:
    rows = []
    for each in RECIPES.listed():
        of, name = each.plugin, each.plugin.name
        if each.error is None:
            recipe = RECIPES[name]
            needs = f'{of.package} {of.version}, which is here'
            rows.append(ListedRecipe('plugin', (name,), recipe.modality, recipe.dimension, needs, 'yes'))
        else:
            rows.append(ListedRecipe('plugin', (name,), '', None, str(each.error), 'no'))
    return rows


def _smile() -> list[ListedRecipe]:
    is_here = has_smile()
    needs = 'openSMILE, free for research' + ('' if is_here else " (pip install 'affekt[opensmile]')")
    rows = [
        ListedRecipe('opensmile', (f'{name}-{level}',), 'audio', size, needs, 'yes' if is_here else 'no')
        for name, (_, functionals, measures) in SETS.items()
        for level, size in (('utt', functionals), ('frm', measures))
    ]
    own = ListedRecipe(
        'opensmile', _levels(OWN), 'audio', None, f'{needs}; a configuration', 'give' if is_here else 'no'
    )
    return [*rows, own]


def _encoders() -> list[ListedRecipe]:
    is_here = has_extra()
    extra = '' if is_here else "torch and transformers (pip install 'affekt[encoders]'); "
    return [
        ListedRecipe(
            'transformers', one.names, one.modality, one.dimension, f'{extra}{one.weights}',
            'no' if not is_here else 'yes' if 'fetched before' in one.weights
            else 'fetch' if one.hub and one.hub in one.weights else 'give',
        )
        for one in listed_encoders()
    ]  # fmt: skip


def _exported() -> list[ListedRecipe]:
    return [
        ListedRecipe('exported', _levels(name), one.modality, one.dimension, f'{one.weights}: {one.export}', 'give')
        for name, one in EXPORTED.items()
    ]


def _levels(name: str) -> tuple[str, ...]:
    return tuple(f'{name}-{level}' for level in LEVELS)
