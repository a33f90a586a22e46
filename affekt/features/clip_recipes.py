"""Recipes of encoders of video and audio together (HiCMAE, SVFAP), from a given checkpoint.

    affekt features extract m.parquet --recipe hicmae-utt --model run --out features

| suffix | row | columns |
|---|---|---|
| -utt | the clip: two windows averaged, as in the published evaluation | HiCMAE 4C: encoders, then fusion; SVFAP C |
| -frm | a time slice of consecutive windows, with its centre in seconds | the same |
| -layers-utt | the clip | C for each layer of the encoders, then of the fusion; SVFAP C for each stage |

C is the width. A checkpoint of one branch gives C, or C for each of its layers. A name alone does not determine the
features: the sha256 of the checkpoint is among the recipe's facts. If a clip has no frames or no audio, their
columns are 0, and the store records the reason.
"""

from __future__ import annotations

import functools
from pathlib import Path

from affekt.encoders import CLIPS, FAMILIES, EncoderSettings, checkpoint_at, deciding_files, open_encoder
from affekt.errors import UnknownNameError, WeightsError, require_torch
from affekt.features.recipes import LEVELS, Recipe, SampleEncoder
from affekt.features.sample_encoders import with_encoder
from affekt.weights import with_home

NETWORKS = ('hicmae', 'svfap')
CLIP_RECIPES = tuple(f'{name}-{ending}' for name in NETWORKS for ending in ('utt', 'frm', 'layers-utt'))
READS = {
    ('video',): ('video', 'frames'),
    ('audio',): ('audio', 'video'),
    ('video', 'audio'): ('video', 'frames', 'audio'),
}
"""Modalities of a checkpoint to the columns of a manifest that may provide them."""


def clip_recipe(name: str, model: str | None, *, device: str = 'cpu', precision: str | None = None) -> Recipe:
    """A recipe with its checkpoint.

    Args:
        name: one of `CLIP_RECIPES`.
        model: a published file, one written by affekt, or the folder of a run.
        device: torch device.
        precision: float32, float16 or bfloat16, or 'auto' for bfloat16 where the device computes it natively; None for
            float32. A precision that the device lacks becomes float32, which the recipe's facts state.

    Raises:
        UnknownNameError: unknown recipe.
        MissingExtraError: torch is not installed.
        WeightsError: no checkpoint is given, or the checkpoint belongs to another network.
    """
    if name not in CLIP_RECIPES:
        raise UnknownNameError(expected='a known encoder', came=repr(name), todo='see `affekt features list`')
    network, ending = name.split('-', 1)
    path = None if model is None else checkpoint_at(with_home(model, 'a checkpoint for --model'))
    if path is None:
        raise WeightsError(
            expected=f'--model with a checkpoint for {name}: a published file (.pth, .safetensors) or the folder of a '
            'run',
            came='none' if model is None else f'{model}, which is neither',
            todo='name one; `affekt pretrain` makes one',
        )
    require_torch()
    level = ending.rsplit('-', 1)[-1]
    settings = EncoderSettings(
        is_for_one_row=level == 'utt',
        each_layer=ending == 'layers-utt',
        device=device,
        precision=precision or 'float32',
    )
    about = FAMILIES[CLIPS].runner().about(path, settings)
    if about.network != network:
        raise WeightsError(
            expected=f'a checkpoint of {network} for {name}', came=f'one of {about.network}, {path}',
            todo=f'use the recipe {about.network}-{ending}',
        )  # fmt: skip
    facts = {**about.facts, 'level': LEVELS[level], 'files': {'checkpoint': next(iter(deciding_files(path).values()))}}
    modality = 'audio' if about.modalities == ('audio',) else 'video'
    return Recipe(
        name, modality, about.dimension, facts, functools.partial(_open, path, settings), batch=4,
        reads=READS[about.modalities],
    )  # fmt: skip


def _open(path: Path, settings: EncoderSettings, recipe: Recipe) -> SampleEncoder:
    return with_encoder(recipe, open_encoder(path, settings))
