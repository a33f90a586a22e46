"""Recipes of published encoders by name, completed by the weights in a folder.

    merbench-chinese-hubert-large-utt    pooled as by the published program, for UTT: one row per sample
    merbench-chinese-hubert-large-frm    the same before the mean, for FRA
    chinese-hubert-large-utt, …-frm      without distortions

A name alone does not determine the features: weights differ. `encoder_recipe` therefore opens the folder, checks it
against the published size, and records the sha256 of every file that is read in the recipe's facts, so that stores of
different weights never mix. `affekt.encoders.families` defines how each is run.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.encoders import (
    FAMILIES,
    OWN,
    PRECISIONS,
    PUBLISHED,
    EncoderSettings,
    Family,
    ModelFolder,
    PublishedModel,
    family_of,
    model_folder,
    open_encoder,
    size_of,
)  # fmt: skip
from affekt.errors import UnknownNameError, ValueRangeError, WeightsError
from affekt.features.recipes import LEVELS, Recipe, SampleEncoder
from affekt.features.sample_encoders import with_encoder

PREFIX = 'merbench-'
CACHED = (
    ('config.json',),
    ('model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin', 'pytorch_model.bin.index.json'),
)
"""Groups of files, one of each of which must be in the cache of huggingface_hub for a model to be available."""
BATCH: Mapping[str, int] = {'audio': 8, 'text': 32, 'video': 4}


def encoder_names() -> dict[str, tuple[PublishedModel, bool, str]]:
    """Name of every recipe to its model, whether it is the published form, and its level."""
    return {
        f'{PREFIX if is_published else ""}{model.name}-{level}': (model, is_published, level)
        for model in (*PUBLISHED.values(), *OWN.values())
        for is_published in ((True, False) if model.has_published_form else (False,))
        for level in LEVELS
    }


@dataclass(frozen=True)
class ListedEncoder:
    """Properties of an encoder that are known without its weights."""

    model: str
    names: tuple[str, ...]
    """Names of its recipes."""
    modality: str
    dimension: int | None
    layers: int | None
    hub: str
    weights: str
    """Whether the weights are available, can be downloaded, or must be given."""


def listed_encoders() -> list[ListedEncoder]:
    """All encoders; downloads nothing, and imports neither torch nor transformers."""
    from huggingface_hub import try_to_load_from_cache

    names: dict[str, list[str]] = {}
    for name, (model, _, _) in encoder_names().items():
        names.setdefault(model.name, []).append(name)
    rows = []
    for model in (*PUBLISHED.values(), *OWN.values()):
        if model.own_program:
            weights = 'need their own program, which is not run'
        elif not model.hub:
            weights = 'give them with --model'
        elif all(
            any(isinstance(try_to_load_from_cache(model.hub, file), str) for file in alternatives)
            for alternatives in CACHED
        ):
            weights = f'{model.hub}, fetched before'
        else:
            weights = model.hub
        rows.append(
            ListedEncoder(
                model.name, tuple(names[model.name]), model.modality, model.dimension, model.layers, model.hub, weights
            )
        )
    return rows


def encoder_recipe(name: str, model: str | None = None, *, device: str = 'cpu', precision: str | None = None) -> Recipe:
    """The recipe of an encoder with its weights.

    Args:
        name: one of `encoder_names()`.
        model: folder of the weights, or `owner/name` on the hub; None for the place of their publication.
        device: torch device.
        precision: one of `PRECISIONS`; None for float16 where a large language model runs on a GPU, as published, and
            for float32 elsewhere.

    Raises:
        UnknownNameError: unknown recipe or precision, or the weights require their own program.
        ValueRangeError: no runnable weights are published, and none are given.
        MissingExtraError: torch or transformers is not installed.
        WeightsError: weights cannot be found, or belong to another model.
    """
    recipes = encoder_names()
    if name not in recipes:
        raise UnknownNameError(expected='a known encoder', came=repr(name), todo='see `affekt features list`')
    if precision is not None and precision not in PRECISIONS:
        raise UnknownNameError(expected=f'one of {", ".join(PRECISIONS)}', came=repr(precision), todo='name one')
    published, is_published, level = recipes[name]
    if model is None:
        model = _published_place(name, published)
    folder = model_folder(model)
    family = _family(name, published, folder)
    dimension, layers = size_of(folder)
    expected_size = (published.dimension, published.layers)
    if None not in expected_size and expected_size != (dimension, layers):
        raise WeightsError(
            expected=f'{published.name}, {expected_size[0]} columns from {expected_size[1]} layers',
            came=f'{dimension} columns from {layers} layers in {folder.path}',
            todo=f'give its own folder, or use the recipe own-{published.modality}-{level} for any model',
        )
    if layers < family.least_layers:
        raise WeightsError(
            expected='at least three layers, of which four states are summed', came=f'{layers} in {folder.path}',
            todo='use a larger model',
        )  # fmt: skip
    used = precision or ('float16' if published.is_large and device.startswith('cuda') else 'float32')
    facts = {
        'model': published.name, 'architecture': folder.architecture, 'layers': layers, 'precision': used,
        'form': 'published' if is_published else 'corrected', 'level': LEVELS[level], 'family': family.name,
        'pooling': f'{family.pooling(is_published)}; {"mean over rows" if level == "utt" else "all rows"}',
        'files': dict(folder.files), **_reading(published),
    }  # fmt: skip
    opening = functools.partial(_open, folder.path, device)
    return Recipe(name, published.modality, dimension, facts, opening, batch=BATCH[published.modality])


def _reading(published: PublishedModel) -> dict[str, Any]:
    """Facts on the input of the network."""
    if published.modality == 'audio':
        return {'rate_hz': 16_000}
    if published.modality == 'text':
        return {'column': 'text', 'tokenizer': published.tokenizer}
    return {'pictures': published.pictures, 'faces': 'of the manifest, else cut out by affekt.faces'}


def _published_place(name: str, published: PublishedModel) -> str:
    if published.own_program:
        raise UnknownNameError(
            expected='a model that transformers runs by itself',
            came=f'{published.name}, whose repository {published.hub} needs its own program',
            todo='such programs are never run; give a converted folder with --model, or import published features with '
            '`affekt features import`',
        )
    if not published.hub:
        raise ValueRangeError(
            expected=f'--model with the folder of the weights for {name}', came='none',
            todo='name a folder, or owner/name on the hub',
        )  # fmt: skip
    return published.hub


def _family(name: str, published: PublishedModel, folder: ModelFolder) -> Family:
    """The family of the folder's architecture.

    Raises:
        WeightsError: the family reads another modality than the recipe, or the published program does not run it.
    """
    family, is_own = family_of(folder.architecture), published.name in OWN
    if (family.modality == published.modality) if is_own else (family.name == published.family):
        if not family.pooling(name.startswith(PREFIX)):
            raise WeightsError(
                expected=f'a model that the published program runs, for {name}',
                came=f'{folder.architecture} in {folder.path}', todo=f'use the recipe {name.removeprefix(PREFIX)}',
            )  # fmt: skip
        return family
    candidates = [candidate for candidate in FAMILIES.values() if candidate.modality == published.modality]
    allowed = candidates if is_own else [FAMILIES[published.family]]
    names = [name for candidate in allowed for name in candidate.architectures]
    takes_all = FAMILIES['text'] in allowed
    raise WeightsError(
        expected=f'a network for {name}' + (f' ({", ".join(names)})' if names and not takes_all else ''),
        came=f'{folder.architecture} in {folder.path}',
        todo='check --model, or use another recipe',
    )


def _open(path: Path, device: str, recipe: Recipe) -> SampleEncoder:
    """The encoder of a recipe, for whole samples."""
    settings = EncoderSettings(
        layers='last_four', longest=None, longest_s=None, pictures=recipe.facts.get('pictures'),
        tokenizer=recipe.facts.get('tokenizer', 'AutoTokenizer'), device=device, precision=recipe.facts['precision'],
    )  # fmt: skip
    return with_encoder(recipe, open_encoder(path, settings))
