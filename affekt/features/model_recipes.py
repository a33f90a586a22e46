"""Recipes of published encoders by name, and what makes one of them whole: the weights that lie in a folder.

    merbench-chinese-hubert-large-utt    as the published program pools it, for UTT: one row a sample
    merbench-chinese-hubert-large-frm    the same before the mean, for FRA
    chinese-hubert-large-utt, …-frm      without what distorts it

A name alone says nothing about numbers: weights differ. `encoder_recipe` therefore opens the folder, holds it against
the published size, and puts the sha256 of every file that is read into the recipe's facts, so that stores of different
weights never mix. The encoders are in `speech_encoders.py`, `text_encoders.py` and `face_encoders.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from affekt.encoders.folders import PRECISIONS, ModelFolder, model_folder, size_of
from affekt.encoders.published import FAMILIES, MODALITY, OWN, PUBLISHED, PublishedModel
from affekt.errors import UnknownNameError, ValueRangeError, WeightsError
from affekt.features.face_encoders import open_faces
from affekt.features.recipes import Encoder, Recipe
from affekt.features.speech_encoders import open_speech, open_whisper
from affekt.features.text_encoders import open_text

PREFIX = 'merbench-'
LEVELS: Mapping[str, str] = {'utt': 'UTT', 'frm': 'FRA'}
"""Ending of a recipe's name to that of the official folder."""
OPEN: Mapping[str, Callable[..., Encoder]] = {
    'speech': open_speech, 'whisper': open_whisper, 'text': open_text, 't5': open_text,
    'clip': open_faces, 'picture': open_faces, 'videomae': open_faces,
}  # fmt: skip
"""Way of running a model to what does it."""
POOLING: Mapping[tuple[str, bool], str] = {
    ('speech', True): 'last four layers summed; chunks of 10 s, the last one filled up with zeros',
    ('speech', False): 'last four layers summed; chunks of 10 s, the last one at its own length',
    ('whisper', True): 'last layer of the decoder at two start tokens; the first 30 s',
    ('whisper', False): 'last layer of the encoder where there is sound; stretches of 30 s',
    ('text', True): 'last four layers summed; tokens between the ends that one Chinese sentence shows',
    ('text', False): 'last four layers summed; tokens that are not special; long texts in windows',
    ('t5', False): 'last four layers of the encoder summed; tokens that are not special; long texts in windows',
    ('clip', True): 'projected picture; every frame',
    ('clip', False): 'projected picture; every frame',
    ('picture', True): 'last layer before the final norm, tokens summed',
    ('picture', False): 'last layer as the network gives it out, mean over patches',
    ('videomae', True): '16 frames, the last one repeated where there are fewer; mean over patches; 8 rows',
    ('videomae', False): '16 frames, all repeated alike where there are fewer; mean over patches; 8 rows',
}
"""Way of running a model, and whether as published, to what becomes of its states before the mean over rows."""
CACHED = (
    ('config.json',),
    ('model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin', 'pytorch_model.bin.index.json'),
)
"""Of each, one file must be in the cache of huggingface_hub for a model to be there."""
BATCH: Mapping[str, int] = {'audio': 8, 'text': 32, 'video': 4}


def encoder_names() -> dict[str, tuple[PublishedModel, bool, str]]:
    """Every recipe's name to its model, whether it is the published form, and its level."""
    return {
        f'{PREFIX if is_published else ""}{model.name}-{level}': (model, is_published, level)
        for model in (*PUBLISHED.values(), *OWN.values())
        for is_published in ((True, False) if model.has_published_form else (False,))
        for level in LEVELS
    }


@dataclass(frozen=True)
class ListedEncoder:
    """What can be said of an encoder before its weights are there."""

    model: str
    names: tuple[str, ...]
    """Of its recipes."""
    modality: str
    dimension: int | None
    layers: int | None
    hub: str
    weights: str
    """Whether they are here, can be fetched, or have to be given."""


def listed_encoders() -> list[ListedEncoder]:
    """All encoders; nothing is fetched, and neither torch nor transformers is imported."""
    from huggingface_hub import try_to_load_from_cache

    names: dict[str, list[str]] = {}
    for name, (model, _, _) in encoder_names().items():
        names.setdefault(model.name, []).append(name)
    found = []
    for model in (*PUBLISHED.values(), *OWN.values()):
        if model.own_program:
            weights = 'want their own program, which is not run'
        elif not model.hub:
            weights = 'give them with --model'
        elif all(any(isinstance(try_to_load_from_cache(model.hub, file), str) for file in some) for some in CACHED):
            weights = f'{model.hub}, fetched before'
        else:
            weights = model.hub
        found.append(
            ListedEncoder(
                model.name, tuple(names[model.name]), model.modality, model.dimension, model.layers, model.hub, weights
            )
        )
    return found


def encoder_recipe(name: str, model: str | None = None, *, device: str = 'cpu', precision: str | None = None) -> Recipe:
    """A recipe with its weights.

    Args:
        name: one of `encoder_names()`.
        model: folder of the weights, or `owner/name` on the hub; None for where they were published.
        device: of torch.
        precision: one of `PRECISIONS`; None for float16 where a large language model runs on a GPU, as published, and
            for float32 elsewhere.

    Raises:
        UnknownNameError: no such recipe or precision, or the weights need a program of their own.
        ValueRangeError: weights are published nowhere that they could be run from, and none are given.
        MissingExtraError: torch or transformers is not installed.
        WeightsError: weights cannot be found, or are not those of this model.
    """
    known = encoder_names()
    if name not in known:
        raise UnknownNameError(expected='a known encoder', came=repr(name), todo='see `affekt features list`')
    if precision is not None and precision not in PRECISIONS:
        raise UnknownNameError(expected=f'one of {", ".join(PRECISIONS)}', came=repr(precision), todo='name one')
    published, is_published, level = known[name]
    if model is None:
        model = _published_place(name, published)
    folder = model_folder(model)
    family = _family(name, published, folder)
    dimension, layers = size_of(folder)
    wanted = (published.dimension, published.layers)
    if None not in wanted and wanted != (dimension, layers):
        raise WeightsError(
            expected=f'{published.name}, {wanted[0]} columns from {wanted[1]} layers',
            came=f'{dimension} columns from {layers} layers in {folder.path}',
            todo=f'give its own folder, or use the recipe own-{published.modality}-{level} for any model',
        )
    if family in ('speech', 'text', 't5') and layers < 3:
        raise WeightsError(
            expected='at least three layers, of which four states are summed', came=f'{layers} in {folder.path}',
            todo='use a larger model',
        )  # fmt: skip
    used = precision or ('float16' if published.is_large and device.startswith('cuda') else 'float32')
    facts = {
        'model': published.name, 'architecture': folder.architecture, 'layers': layers, 'precision': used,
        'form': 'published' if is_published else 'corrected', 'level': LEVELS[level], 'family': family,
        'pooling': f'{POOLING[family, is_published]}; {"mean over rows" if level == "utt" else "all rows"}',
        'files': dict(folder.files), **_reading(published),
    }  # fmt: skip
    opening = functools.partial(OPEN[family], folder.path, device)
    return Recipe(name, published.modality, dimension, facts, opening, batch=BATCH[published.modality])


def _reading(published: PublishedModel) -> dict[str, Any]:
    """How a sample is read before the network sees it."""
    if published.modality == 'audio':
        return {'rate_hz': 16_000}
    if published.modality == 'text':
        return {'column': 'text', 'tokenizer': published.tokenizer}
    return {'pictures': published.pictures, 'faces': 'of the manifest, else cut out by affekt.faces'}


def _published_place(name: str, published: PublishedModel) -> str:
    if published.own_program:
        raise UnknownNameError(
            expected='a model that transformers runs by itself',
            came=f'{published.name}, whose repository {published.hub} wants its own program to be run',
            todo='such programs are never run; give a converted folder with --model, or bring published features in by '
            '`affekt features import`',
        )
    if not published.hub:
        raise ValueRangeError(
            expected=f'--model with the folder of the weights for {name}', came='none',
            todo='name a folder, or owner/name on the hub',
        )  # fmt: skip
    return published.hub


def _family(name: str, published: PublishedModel, folder: ModelFolder) -> str:
    """The way in which the folder's architecture is run.

    Raises:
        WeightsError: it reads something else than the recipe, or the published program does not run it.
    """
    told = folder.architecture
    found = next((family for family, members in FAMILIES.items() if told in members), 'text')
    is_own = published.name in OWN
    if (MODALITY[found] == published.modality) if is_own else (found == published.family):
        if (found, name.startswith(PREFIX)) not in POOLING:
            raise WeightsError(
                expected=f'a model that the published program runs, for {name}', came=f'{told} in {folder.path}',
                todo=f'use the recipe {name.removeprefix(PREFIX)}',
            )  # fmt: skip
        return found
    wanted = [family for family in FAMILIES if MODALITY[family] == published.modality] if is_own else [published.family]
    members = [member for family in wanted for member in FAMILIES[family]]
    raise WeightsError(
        expected=f'a network for {name}' + (f' ({", ".join(members)})' if members and 'text' not in wanted else ''),
        came=f'{told} in {folder.path}',
        todo='check --model, or use another recipe',
    )
