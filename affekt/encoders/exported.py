"""Encoders that transformers does not have: the file that the user must export, and the preparation of its input.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools, feature_extraction/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affekt.encoders.audioset import PCA_FILE, hop_of, read_pca
from affekt.encoders.encoder import Modality
from affekt.encoders.onnx_side_files import weights_beside
from affekt.runs import file_sha256


@dataclass(frozen=True)
class ExportedModel:
    """An encoder whose weights the user exports."""

    name: str
    modality: Modality
    dimension: int
    """D, the size of a state."""
    export: str
    """Shapes of input and output, and the layer that must be exported."""
    weights: str
    """Name of the published weights."""
    facts: Mapping[str, Any]
    """Preparation of the input."""
    family: str
    """One of `FAMILIES`."""


_NO_MEAN, _UNIT_DEVIATION = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
_IMAGENET = {'mean': [0.485, 0.456, 0.406], 'std': [0.229, 0.224, 0.225]}
_IMAGE: Mapping[str, Any] = {
    'resize': [224, 224], 'crop': None, 'interpolation': 'bilinear', 'largest': 1, 'mean': _NO_MEAN,
    'std': _UNIT_DEVIATION, 'colours': 'RGB', 'frames': 'all', 'pooling': 'one row a picture',
}  # fmt: skip
_FER_PLUS: Mapping[str, Any] = {
    **_IMAGE, 'resize': 256, 'crop': 224, 'largest': 255, 'mean': [131.0912, 103.8827, 91.4953],
}  # fmt: skip
_WINDOW: Mapping[str, Any] = {
    **_IMAGE, **_IMAGENET, 'colours': 'BGR', 'frames': '16; every fourth, twice, for UTT; around each for FRA',
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
    model.name: model
    for model in (
        ExportedModel(
            'manet', 'video', 1024, f'{_SIDE224} (N, 1024): both branches before their classes, one after the other',
            'MA-Net, RAF-DB, 88.33 %', _IMAGE, 'exported pictures',
        ),
        ExportedModel(
            'emonet', 'video', 256, '(N, 3, 256, 256) to (N, 256): the pooled layer before emo_fc_2',
            'emonet_8.pth', {**_IMAGE, 'resize': [256, 256]}, 'exported pictures',
        ),
        ExportedModel(
            'resnet50face', 'video', 512, f'{_SIDE224} (N, 512, 7, 7): conv5_3_3x3_relu',
            'resnet50_ferplus_dag.pth', _FER_PLUS, 'exported pictures',
        ),
        ExportedModel(
            'senet50face', 'video', 512, f'{_SIDE224} (N, 512, 7, 7): conv5_3_3x3_relu',
            'senet50_ferplus_dag.pth', _FER_PLUS, 'exported pictures',
        ),
        ExportedModel(
            'msceleb', 'video', 512, f'{_SIDE224} (N, 512): ResNet18 before its classes',
            'resnet18_msceleb.pth', {**_IMAGE, **_IMAGENET}, 'exported pictures',
        ),
        ExportedModel(
            'imagenet', 'video', 512, f'{_SIDE224} (N, 512): ResNet18 before its classes',
            'ResNet18 of torchvision', {**_IMAGE, **_IMAGENET}, 'exported pictures',
        ),
        ExportedModel(
            'eva02_base_patch14_224', 'video', 768, f'{_SIDE224} (N, 768): the pooled layer',
            'eva02_base_patch14_224.mim_in22k of timm',
            {
                **_IMAGE, 'resize': 248, 'crop': 224, 'interpolation': 'bicubic',
                'mean': [0.48145466, 0.4578275, 0.40821073], 'std': [0.26862954, 0.26130258, 0.27577711],
            }, 'exported pictures',
        ),
        ExportedModel(
            'videomae-mer2023', 'video', 768, '(N, 3, 16, 224, 224) to (N, 768): what is saved as feature',
            'videomae-base-K400-mer2023', _WINDOW, 'exported video',
        ),
        ExportedModel(
            'videomae-voxceleb2', 'video', 768, '(N, 3, 16, 160, 160) to (N, 768): what is saved as feature',
            'videomae-base-VoxCeleb2', {**_WINDOW, 'resize': [160, 160]}, 'exported video',
        ),
        ExportedModel(
            'vggish', 'audio', 128, '(N, 96, 64), with or without an axis of 1, to (N, 128): the embedding',
            'vggish_model.ckpt of AudioSet', _VGGISH, 'vggish',
        ),
        ExportedModel(
            'vggish-pca', 'audio', 128, f'as vggish, with {PCA_FILE} beside it',
            'vggish_model.ckpt of AudioSet', _VGGISH, 'vggish',
        ),
        ExportedModel(
            'wav2vec-large-z', 'audio', 512, '(N, samples) to (N, 512, T): the feature extractor', _WAV2VEC,
            _SAMPLES, 'exported sound',
        ),
        ExportedModel(
            'wav2vec-large-c', 'audio', 512, '(N, samples) to (N, 512, T): the feature aggregator', _WAV2VEC,
            _SAMPLES, 'exported sound',
        ),
        ExportedModel(
            'emotion2vec', 'audio', 768, '(N, samples) to (N, T, 768): x without the extra tokens',
            'emotion2vec_base or emotion2vec_base_finetuned of FunASR',
            {
                **_SAMPLES, 'hop_samples': 320, 'field_samples': 400, 'normalised': True, 'columns_first': False,
                'pooling': 'one row for 20 ms',
            }, 'exported sound',
        ),
    )
}  # fmt: skip
"""Name of an encoder, without its level, to its entry."""


def exported_facts(model: ExportedModel, path: Path, *, is_for_one_row: bool) -> dict[str, Any]:
    """Everything that the states of an exported network depend on: input preparation, and the hash of every file.

    Args:
        model: entry of the network.
        path: path of its file; external weights and AudioSet's parameters are beside it.
        is_for_one_row: see `EncoderSettings`.

    Raises:
        WeightsError: the file is not an ONNX file, or a file beside it is missing.
    """
    facts = {'model': model.name, 'sha256': file_sha256(path), **model.facts}
    facts |= {f'sha256 of {file}': digest for file, digest in weights_beside(path).items()}
    if model.family == 'vggish':
        facts['hop_s'] = hop_of(is_for_one_row)
    if model.name == 'vggish-pca':
        read_pca(path.parent / PCA_FILE)
        facts['pca_sha256'] = file_sha256(path.parent / PCA_FILE)
    return facts
