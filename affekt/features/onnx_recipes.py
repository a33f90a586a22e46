"""Recipes of published encoders that transformers does not have: the user exports the network, all else is given.

    affekt features extract meld.parquet --recipe manet-utt --model manet.onnx --out features

A name alone says nothing about numbers; the file's sha256 goes into the recipe's facts, so that stores of different
files never mix. `export` says what the file has to hold.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools, feature_extraction/.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.encoders.onnx_side_files import weights_beside
from affekt.errors import UnknownNameError, WeightsError
from affekt.features.onnx_faces import open_films, open_pictures
from affekt.features.onnx_voices import PCA_FILE, open_samples, open_vggish, read_pca
from affekt.features.recipes import Encoder, Recipe
from affekt.runs import file_sha256

LEVELS: Mapping[str, str] = {'utt': 'UTT', 'frm': 'FRA'}
"""Ending of a recipe's name to that of the official folder."""


@dataclass(frozen=True)
class ExportedModel:
    """One encoder whose weights the user exports."""

    name: str
    modality: str
    dimension: int
    """D"""
    export: str
    """What goes in, and which layer comes out."""
    weights: str
    """Which were published."""
    facts: Mapping[str, Any]
    """How its input is prepared."""
    open: Callable[[Path, str, Recipe], Encoder]


_NONE, _WHOLE = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
_IMAGENET = {'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225]}
_PICTURE: Mapping[str, Any] = {
    'resize': [224, 224], 'crop': None, 'interpolation': 'bilinear', 'largest': 1, 'mean': _NONE, 'std': _WHOLE,
    'colours': 'RGB', 'frames': 'all', 'pooling': 'one row a picture',
}  # fmt: skip
_FER_PLUS: Mapping[str, Any] = {
    **_PICTURE, 'resize': 256, 'crop': 224, 'largest': 255, 'mean': [131.0912, 103.8827, 91.4953],
}  # fmt: skip
_FILM: Mapping[str, Any] = {
    **_PICTURE, **_IMAGENET, 'colours': 'BGR', 'frames': '16; every fourth, twice, for UTT; around each for FRA',
    'pooling': 'one row for 16 pictures',
}  # fmt: skip
_SAMPLES: Mapping[str, Any] = {
    'rate_hz': 16_000, 'hop_samples': 160, 'field_samples': 465, 'normalised': False, 'columns_first': True,
    'pooling': 'one row for 10 ms',
}  # fmt: skip
_VGGISH: Mapping[str, Any] = {
    'rate_hz': 16_000, 'bands': '64 from 125 to 7500 Hz, log(x + 0.01)', 'window_s': 0.025, 'step_s': 0.01,
    'example_s': 0.96, 'pca_sha256': None, 'pooling': 'one row for 0.96 s',
}  # fmt: skip
_SIDE224 = '(N, 3, 224, 224) to'
_WAV2VEC = 'wav2vec_large.pt of fairseq 0.10.1'

EXPORTED: Mapping[str, ExportedModel] = {
    one.name: one
    for one in (
        ExportedModel(
            'manet', 'video', 1024, f'{_SIDE224} (N, 1024): both branches before their classes, one after the other',
            'MA-Net, RAF-DB, 88.33 %', _PICTURE, open_pictures,
        ),
        ExportedModel(
            'emonet', 'video', 256, '(N, 3, 256, 256) to (N, 256): the pooled layer before emo_fc_2',
            'emonet_8.pth', {**_PICTURE, 'resize': [256, 256]}, open_pictures,
        ),
        ExportedModel(
            'resnet50face', 'video', 512, f'{_SIDE224} (N, 512, 7, 7): conv5_3_3x3_relu',
            'resnet50_ferplus_dag.pth', _FER_PLUS, open_pictures,
        ),
        ExportedModel(
            'senet50face', 'video', 512, f'{_SIDE224} (N, 512, 7, 7): conv5_3_3x3_relu',
            'senet50_ferplus_dag.pth', _FER_PLUS, open_pictures,
        ),
        ExportedModel(
            'msceleb', 'video', 512, f'{_SIDE224} (N, 512): ResNet18 before its classes',
            'resnet18_msceleb.pth', {**_PICTURE, **_IMAGENET}, open_pictures,
        ),
        ExportedModel(
            'imagenet', 'video', 512, f'{_SIDE224} (N, 512): ResNet18 before its classes',
            'ResNet18 of torchvision', {**_PICTURE, **_IMAGENET}, open_pictures,
        ),
        ExportedModel(
            'eva02_base_patch14_224', 'video', 768, f'{_SIDE224} (N, 768): the pooled layer',
            'eva02_base_patch14_224.mim_in22k of timm',
            {
                **_PICTURE, 'resize': 248, 'crop': 224, 'interpolation': 'bicubic',
                'mean': [0.48145466, 0.4578275, 0.40821073], 'std': [0.26862954, 0.26130258, 0.27577711],
            }, open_pictures,
        ),
        ExportedModel(
            'videomae-mer2023', 'video', 768, '(N, 3, 16, 224, 224) to (N, 768): what is saved as feature',
            'videomae-base-K400-mer2023', _FILM, open_films,
        ),
        ExportedModel(
            'videomae-voxceleb2', 'video', 768, '(N, 3, 16, 160, 160) to (N, 768): what is saved as feature',
            'videomae-base-VoxCeleb2', {**_FILM, 'resize': [160, 160]}, open_films,
        ),
        ExportedModel(
            'vggish', 'audio', 128, '(N, 96, 64), with or without an axis of 1, to (N, 128): the embedding',
            'vggish_model.ckpt of AudioSet', _VGGISH, open_vggish,
        ),
        ExportedModel(
            'vggish-pca', 'audio', 128, f'as vggish, with {PCA_FILE} beside it',
            'vggish_model.ckpt of AudioSet', _VGGISH, open_vggish,
        ),
        ExportedModel(
            'wav2vec-large-z', 'audio', 512, '(N, samples) to (N, 512, T): the feature extractor', _WAV2VEC,
            _SAMPLES, open_samples,
        ),
        ExportedModel(
            'wav2vec-large-c', 'audio', 512, '(N, samples) to (N, 512, T): the feature aggregator', _WAV2VEC,
            _SAMPLES, open_samples,
        ),
        ExportedModel(
            'emotion2vec', 'audio', 768, '(N, samples) to (N, T, 768): x without the extra tokens',
            'emotion2vec_base or emotion2vec_base_finetuned of FunASR',
            {
                **_SAMPLES, 'hop_samples': 320, 'field_samples': 400, 'normalised': True, 'columns_first': False,
                'pooling': 'one row for 20 ms',
            }, open_samples,
        ),
    )
}  # fmt: skip
"""Name without its level to the encoder."""


def exported_names() -> tuple[str, ...]:
    """The recipes that want an exported network."""
    return tuple(f'{name}-{level}' for name in EXPORTED for level in LEVELS)


def exported_recipe(name: str, model: str | None, *, device: str = 'cpu') -> Recipe:
    """A recipe with its network.

    Args:
        name: one of `exported_names()`.
        model: path of the ONNX file.
        device: cpu, cuda or cuda:N.

    Raises:
        UnknownNameError: no such recipe.
        ValueRangeError: this onnxruntime has no such device.
        WeightsError: no file is given, it is no network, or one that takes or gives something else.
    """
    if name not in exported_names():
        raise UnknownNameError(expected='a known encoder', came=repr(name), todo='see `affekt features list`')
    short, level = name.rsplit('-', 1)
    held = EXPORTED[short]
    if model is None:
        raise WeightsError(
            expected=f'--model FILE.onnx for {name}: {held.export}', came='none',
            todo=f'export {held.weights} with the program that it was published with',
        )  # fmt: skip
    path = Path(model).expanduser().absolute()  # a link may name the file, with its weights beside the link
    if path.is_dir() or not path.exists():
        came = f'{model}, {"a folder" if path.is_dir() else "which is not there"}'
        raise WeightsError(expected=f'an ONNX file for {name}: {held.export}', came=came, todo='check --model')
    facts = {
        'tool': 'onnxruntime', 'model': short, 'sha256': file_sha256(path), **held.facts, 'level': LEVELS[level],
    }  # fmt: skip
    facts |= {f'sha256 of {file}': digest for file, digest in weights_beside(path).items()}
    if held.open is open_vggish:
        facts['hop_s'] = 0.5 if level == 'utt' else 0.05
    if short == 'vggish-pca':
        read_pca(path.parent / PCA_FILE)
        facts['pca_sha256'] = file_sha256(path.parent / PCA_FILE)
    facts['pooling'] += '; mean over rows' if level == 'utt' else '; all rows'
    recipe = Recipe(name, held.modality, held.dimension, facts, functools.partial(held.open, path, device), batch=8)
    recipe.open(recipe)  # a network that does not fit is told before anything runs
    return recipe
