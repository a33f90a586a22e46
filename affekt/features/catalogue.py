"""All recipes by name with their weights, and a list with the input, requirements and availability of each.

Kinds, in this order: recipes without requirements; measures of openSMILE; encoders of transformers; encoders of clips;
encoders whose network the user exports; recipes of other packages.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from affekt.encoders import EXPORTED, has_extra
from affekt.errors import UnknownNameError
from affekt.features.builtin_recipes import RECIPES
from affekt.features.clip_recipes import CLIP_RECIPES, clip_recipe
from affekt.features.model_recipes import encoder_names, encoder_recipe, listed_encoders
from affekt.features.onnx_recipes import exported_names, exported_recipe
from affekt.features.recipes import LEVELS, Recipe
from affekt.features.smile_recipes import OWN, SETS, has_smile, smile_names, smile_recipe
from affekt.weights import MODELS, state

FILES: Mapping[str, tuple[str, ...]] = {
    'minilm-utt': ('minilm-l6-int8.onnx', 'minilm-tokenizer.json'),
    'minilm-layers-utt': ('minilm-l6-int8.onnx', 'minilm-tokenizer.json'),
    'faces-utt': ('face_landmarker.task',),
    'faces-frm': ('face_landmarker.task',),
    'faces-all-frm': ('face_landmarker.task',),
    'text-emotion-utt': ('minilm-l6-int8.onnx', 'minilm-tokenizer.json'),
    'voice-emotion-frm': ('whisper-tiny.en',),
    'voice-layers-utt': ('whisper-tiny.en', 'silero_vad.onnx'),
    'speech-acoustics-utt': ('silero_vad.onnx',),
}
"""Recipe to the model files that it opens."""
TEXTS = ('text', 'chinese', 'english')
"""Columns of a manifest that a recipe of text can read."""
STATES = ('yes', 'fetch', 'give', 'no')
"""Availability of a recipe: `yes`, it can run; `fetch`, it downloads its weights; `give`, it needs a file given by
--model; `no`, something has to be installed."""


@dataclass(frozen=True)
class ListedRecipe:
    """Properties of a recipe that are known before it is opened."""

    kind: str
    """One of 'own', 'opensmile', 'transformers', 'clips', 'exported', 'plugin'."""
    names: tuple[str, ...]
    """Names of recipes that differ in level or form alone."""
    modality: str
    """Modality; '' for a recipe of a package that cannot be loaded."""
    dimension: int | None
    """Number of features of the first recipe; None if unknown."""
    needs: str
    """Requirements in words; '' for none."""
    runs: str
    """One of `STATES`."""


def listed_recipes(*, added: bool = True) -> tuple[ListedRecipe, ...]:
    """All recipes with their requirements.

    Args:
        added: include those of other packages, which loads them.
    """
    return (*_own(), *_smile(), *_encoders(), *_clips(), *_exported(), *(_added() if added else ()))


def modality_of(recipe: str) -> str | None:
    """Modality of a store's recipe by its name: audio, text or video; None for one that is not listed.

    Names of official folders (`chinese-hubert-large-UTT`) count as those of the corresponding recipes.
    """
    name = recipe.removesuffix('-chinese').removesuffix('-english')
    for ending, ours in (('-UTT', '-utt'), ('-FRA', '-frm'), ('_UTT', '-utt'), ('_FRA', '-frm')):
        name = name.removesuffix(ending) + ours if name.endswith(ending) else name
    modalities = {recipe_name: listed.modality for listed in listed_recipes() for recipe_name in listed.names}
    return modalities.get(name) or modalities.get(name.replace('-4-', '-')) or None


def recipe_named(
    name: str,
    column: str = 'text',
    *,
    model: str | None = None,
    device: str = 'cpu',
    precision: str | None = None,
) -> Recipe:
    """The recipe of a name, with its weights.

    Args:
        name: name of the recipe; that of an encoder may lack its suffix, which is then -utt.
        column: column of the manifest that a recipe of text reads: text, chinese or english. A column other than text
            makes a separate recipe, `NAME-COLUMN`.
        model: weights of an encoder: a folder, a checkpoint, an exported ONNX file, or `owner/name` on the hub; None
            for the place of their publication.
        device: torch device of an encoder.
        precision: precision of an encoder; see `encoder_recipe`.

    Raises:
        UnknownNameError: unknown recipe or column, or the recipe does not read text or takes no model.
        MissingExtraError: the recipe is an encoder, and torch or transformers is not installed.
        WeightsError: an encoder's weights cannot be found, or belong to another model.
    """
    encoders = encoder_names()
    if name in RECIPES:
        if model is not None or precision is not None or device != 'cpu':
            raise UnknownNameError(
                expected='an encoder, for --model, --device and --precision', came=f'{name}, which has its own model',
                todo='leave these options out',
            )  # fmt: skip
        recipe = RECIPES[name]
    elif (encoder_name := name if name in encoders else f'{name}-utt') in encoders:
        recipe = encoder_recipe(encoder_name, model, device=device, precision=precision)
    elif (clip_name := name if name in CLIP_RECIPES else f'{name}-utt') in CLIP_RECIPES:
        recipe = clip_recipe(clip_name, model, device=device, precision=precision)
    elif (exported_name := name if name in exported_names() else f'{name}-utt') in exported_names():
        if precision is not None:
            raise UnknownNameError(
                expected='an encoder of torch, for --precision', came=f'{name}, whose file decides', todo='leave it out'
            )
        recipe = exported_recipe(exported_name, model, device=device)
    elif (smile_name := name if name in smile_names() else f'{name}-utt') in smile_names():
        if precision is not None or device != 'cpu':
            raise UnknownNameError(
                expected='an encoder, for --device and --precision', came=f'{name}, which openSMILE measures',
                todo='leave these options out',
            )  # fmt: skip
        recipe = smile_recipe(smile_name, model)
    else:
        similar = difflib.get_close_matches(
            name, (*RECIPES, *encoders, *CLIP_RECIPES, *exported_names(), *smile_names()), n=3
        )
        raise UnknownNameError(
            expected=f'one of {", ".join(similar or RECIPES)}', came=repr(name), todo='see `affekt features list`'
        )
    if column == 'text':
        return recipe
    if recipe.modality != 'text' or column not in TEXTS:
        raise UnknownNameError(
            expected=f'one of {", ".join(TEXTS)}, for a recipe that reads text', came=f'{column!r} for {name}',
            todo='leave the column out',
        )  # fmt: skip
    return dataclasses.replace(recipe, name=f'{recipe.name}-{column}', facts={**recipe.facts, 'column': column})


def _own() -> list[ListedRecipe]:
    rows = []
    for name, recipe in RECIPES.own.items():
        files = FILES.get(name, ())
        missing = [file for file in files if state(MODELS[file]) != 'verified']
        needs = f'{", ".join(files)}{" (affekt weights get)" if missing else ""}'
        rows.append(ListedRecipe('own', (name,), recipe.modality, recipe.dimension, needs, 'no' if missing else 'yes'))
    return rows


def _added() -> list[ListedRecipe]:
    rows = []
    for listed in RECIPES.listed():
        plugin, name = listed.plugin, listed.plugin.name
        if listed.error is None:
            recipe = RECIPES[name]
            needs = f'{plugin.package} {plugin.version}, which is installed'
            rows.append(ListedRecipe('plugin', (name,), recipe.modality, recipe.dimension, needs, 'yes'))
        else:
            rows.append(ListedRecipe('plugin', (name,), '', None, str(listed.error), 'no'))
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
            'transformers', row.names, row.modality, row.dimension, f'{extra}{row.weights}',
            'no' if not is_here else 'yes' if 'fetched before' in row.weights
            else 'fetch' if row.hub and row.hub in row.weights else 'give',
        )
        for row in listed_encoders()
    ]  # fmt: skip


def _clips() -> list[ListedRecipe]:
    is_here = importlib.util.find_spec('torch') is not None
    needs = 'a checkpoint: a published file, or the folder of a run' + (
        '' if is_here else " (pip install 'affekt[torch]')"
    )
    return [ListedRecipe('clips', (name,), 'video', None, needs, 'give' if is_here else 'no') for name in CLIP_RECIPES]


def _exported() -> list[ListedRecipe]:
    return [
        ListedRecipe(
            'exported', _levels(name), model.modality, model.dimension, f'{model.weights}: {model.export}', 'give'
        )
        for name, model in EXPORTED.items()
    ]


def _levels(name: str) -> tuple[str, ...]:
    return tuple(f'{name}-{level}' for level in LEVELS)
