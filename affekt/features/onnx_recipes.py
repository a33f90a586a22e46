"""Recipes of published encoders that transformers does not have: the user exports the network, the rest is built in.

    affekt features extract meld.parquet --recipe manet-utt --model manet.onnx --out features

A name alone does not determine the features; the file's sha256 is in the recipe's facts, so that stores of different
files never mix. `affekt.encoders.exported` defines the required contents of the file.
"""

from __future__ import annotations

import functools
from pathlib import Path

from affekt.encoders import EXPORTED, EncoderSettings, exported_facts, open_encoder
from affekt.errors import UnknownNameError, WeightsError
from affekt.features.recipes import LEVELS, Recipe, SampleEncoder
from affekt.features.sample_encoders import with_encoder
from affekt.weights import with_home


def exported_names() -> tuple[str, ...]:
    """Names of the recipes that need an exported network."""
    return tuple(f'{name}-{level}' for name in EXPORTED for level in LEVELS)


def exported_recipe(name: str, model: str | None, *, device: str = 'cpu') -> Recipe:
    """The recipe of an exported network.

    Args:
        name: one of `exported_names()`.
        model: path of the ONNX file.
        device: cpu, cuda or cuda:N.

    Raises:
        UnknownNameError: unknown recipe.
        ValueRangeError: this onnxruntime has no such device.
        WeightsError: no file is given, the file is not a network, or its inputs or outputs differ.
    """
    if name not in exported_names():
        raise UnknownNameError(expected='a known encoder', came=repr(name), todo='see `affekt features list`')
    short, level = name.rsplit('-', 1)
    exported = EXPORTED[short]
    if model is None:
        raise WeightsError(
            expected=f'--model FILE.onnx for {name}: {exported.export}', came='none',
            todo=f'export {exported.weights} with the program that it was published with',
        )  # fmt: skip
    # A link may name the file, with its weights beside the link.
    path = with_home(model, 'a file for --model').absolute()
    if path.is_dir() or not path.exists():
        came = f'{model}, {"a folder" if path.is_dir() else "which does not exist"}'
        raise WeightsError(expected=f'an ONNX file for {name}: {exported.export}', came=came, todo='check --model')
    facts = {'tool': 'onnxruntime', **exported_facts(exported, path, is_for_one_row=level == 'utt')}
    facts['level'] = LEVELS[level]
    facts['pooling'] += '; mean over rows' if level == 'utt' else '; all rows'
    recipe = Recipe(name, exported.modality, exported.dimension, facts, functools.partial(_open, path, device), batch=8)
    recipe.open(recipe)  # a network that does not fit raises before anything runs
    return recipe


def _open(path: Path, device: str, recipe: Recipe) -> SampleEncoder:
    settings = EncoderSettings(is_for_one_row=recipe.facts['level'] == 'UTT', device=device)
    return with_encoder(recipe, open_encoder(path, settings, name=recipe.facts['model']))
