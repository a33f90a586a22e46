"""The contract of recipes of features.

T time steps, D features.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from affekt.corpora import Manifest, Sample, made_up_corpus
from affekt.features import Features, Recipe, Unable, recipe_named
from affekt.testing.contract import promised, require

SAMPLES = 4
Outcomes = Sequence[Features | Unable]


def check_recipe(recipe: Recipe | str, manifest: Manifest | None = None, *, tolerance: float = 1e-5) -> None:
    """Check that a recipe identifies its output and is reproducible.

    1. Its facts are plain JSON, its hash is the sha256 of them, and a copy sent to another process is the same recipe.
    2. Its encoder returns one outcome per sample, in order: `Features`, or `Unable` with a reason.
    3. Features are finite float32 (T, D), D as declared, with the recipe's hash and column names; times increase. A
       recipe whose name ends in -utt gives one row.
    4. A second encoder gives bit-identical values; the order of samples and the rest of the batch have no effect beyond
       the tolerance.
    5. A sample without the recipe's input is `Unable`, and the others are unaffected.

    Args:
        recipe: recipe, or its name.
        manifest: samples that it can encode, the first four of which are used; None for synthetic words and tones,
            which recipes of faces cannot read.
        tolerance: largest difference between orders and batches, as a share of a feature's range; int8 networks, whose
            scale is that of a batch, need more than the default.

    Raises:
        ContractError: a check fails.
    """
    with promised('a recipe of that name'):
        recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    require(isinstance(recipe, Recipe), 'a Recipe', f'an object of type {type(recipe).__name__}')
    _check_identity(recipe)
    with TemporaryDirectory() as folder:
        sounds = None if recipe.modality == 'text' else Path(folder)
        _check_outcomes(recipe, manifest or made_up_corpus(media=sounds), tolerance)


def _check_identity(recipe: Recipe) -> None:
    name = recipe.name
    with promised(f'facts of {name} that are plain JSON, such as texts and numbers'):
        facts = json.loads(json.dumps(dict(recipe.facts), allow_nan=False))
    with promised(
        f'{name} to be sent to another process: `open` at the top of a module, or a partial of such a function'
    ):
        copy = pickle.loads(pickle.dumps(recipe))
    again = dataclasses.replace(recipe, facts=facts)
    same = recipe.hash == copy.hash == again.hash
    require(same, f'one hash of {name}, of its copy, and of its facts read back', 'different ones')
    require(recipe.dimension > 0, f'a dimension of {name} above 0', f'{recipe.dimension}')
    count = len(recipe.columns)
    require(count in (0, recipe.dimension), f'{recipe.dimension} column names of {name}, or none', f'{count}')
    require(len(set(recipe.columns)) == count, f'every column name of {name} once', 'one of them twice')
    require(recipe.batch > 0, f'{name} to take one sample at once, or more', f'{recipe.batch}')


def _check_outcomes(recipe: Recipe, manifest: Manifest, tolerance: float) -> None:
    rows = list(manifest.samples[:SAMPLES])
    with promised(f'an encoder of {recipe.name} that opens and encodes'):
        encoder = recipe.open(recipe)
        whole = encoder(manifest, rows)
    _require_order(recipe, rows, whole)
    made = {each.sample: each for each in whole if isinstance(each, Features)}
    reasons = '; '.join(each.reason for each in whole if isinstance(each, Unable))
    require(
        bool(made), f'features of {recipe.name} for one sample at least', reasons, 'give a manifest that it can read'
    )
    for each in made.values():
        _require_shape(recipe, each)
    with promised(f'{recipe.name} to encode again, in another order, and one by one'):
        second = recipe.open(recipe)
        again, turned = second(manifest, rows), encoder(manifest, rows[::-1])
        alone = [outcome for row in rows for outcome in encoder(manifest, [row])]
    _require_order(recipe, rows[::-1], turned)
    _require_same(recipe, made, again, 0.0, 'to the bit in a second run')
    _require_same(recipe, made, turned, tolerance, 'in another order')
    _require_same(recipe, made, alone, tolerance, 'alone')
    bare = Sample('without anything', split=rows[0].split)
    with promised(f'{recipe.name} to say Unable for a sample without {recipe.modality}'):
        beside = encoder(Manifest(manifest.facts, (bare, *rows)), [bare, *rows])
    _require_order(recipe, [bare, *rows], beside)
    require(
        isinstance(beside[0], Unable), f'Unable from {recipe.name} for a sample without {recipe.modality}', 'features'
    )
    _require_same(recipe, made, beside[1:], tolerance, 'beside a sample without any')


def _require_order(recipe: Recipe, rows: Sequence[Sample], outcomes: Outcomes) -> None:
    names, came = [row.sample for row in rows], [getattr(each, 'sample', each) for each in outcomes]
    require(came == names, f'one outcome of {recipe.name} a sample, in their order', f'{came} for {names}')
    for each in outcomes:
        is_known = isinstance(each, Features) or (isinstance(each, Unable) and bool(each.reason))
        require(is_known, f'Features from {recipe.name}, or Unable with a reason', repr(each))


def _require_shape(recipe: Recipe, made: Features) -> None:
    name, values = recipe.name, made.values
    require(values.dtype == np.float32, f'float32 from {name}', str(values.dtype))
    rows, width = values.shape
    require(width == recipe.dimension, f'{recipe.dimension} columns from {name}, as it declares', f'{width}')
    require(rows == 1 or not name.endswith('-utt'), f'one row from {name}, by its ending', f'{rows}')
    require(bool(np.isfinite(values).all()), f'finite values from {name}', f'nan or infinity for {made.sample}')
    require(
        made.recipe == recipe.hash, f'the hash of {name} in its features', repr(made.recipe), 'use `recipe.features`'
    )
    require(
        made.columns == recipe.columns, f'the column names of {name}', f'{made.columns[:3]} …', 'use `recipe.features`'
    )
    if made.times is not None:
        rises = bool((np.diff(made.times) >= 0).all() and np.isfinite(made.times).all())
        require(rises, f'times from {name} that rise, in seconds', f'others for {made.sample}')


def _require_same(recipe: Recipe, made: dict[str, Features], outcomes: Outcomes, tolerance: float, when: str) -> None:
    others = {each.sample: each for each in outcomes if isinstance(each, Features)}
    kept = {name: each for name, each in others.items() if name in made}
    require(set(kept) == set(made), f'the same samples to have features of {recipe.name} {when}', f'{sorted(kept)}')
    most = max(float(np.abs(each.values).max()) for each in made.values()) or 1.0
    for name, first in made.items():
        same_shape = first.values.shape == kept[name].values.shape
        apart = float(np.abs(first.values - kept[name].values).max()) / most if same_shape else math.inf
        require(
            apart <= tolerance,
            f'the same features from {recipe.name} {when}',
            f'{name} apart by {apart:.2g} of the range',
        )
