"""Pre-trained encoders with their preprocessing: a folder or a file of weights becomes an `Encoder`.

A folder as written by `save_pretrained`, an ONNX file, or a checkpoint of an encoder of clips comes in. Out comes an
object that turns text, audio, images or a clip into rows (`prepare`), rows into states (`forward`) and whole samples
into features (`encode`): used frozen by `features`, trained by `fusion`. Read `encoder.py` first, then `families.py`,
the table of architectures, and `opening.py`. `published.py` and `exported.py` name the encoders of MERBench and the
challenges. torch is imported when a folder is opened.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from affekt.encoders.encoder import LAYERS, Encoded, Encoder, EncoderSettings, Modality, Pictures, clips_of
from affekt.encoders.exported import EXPORTED, ExportedModel, exported_facts
from affekt.encoders.families import CLIPS, FAMILIES, Family, family_of, register_family
from affekt.encoders.folders import (
    PRECISIONS,
    ModelFolder,
    has_extra,
    model_folder,
    open_network,
    open_reader,
    size_of,
)
from affekt.encoders.model_files import RUN_WEIGHTS, checkpoint_at, deciding_files
from affekt.encoders.onnx_models import OnnxModel
from affekt.encoders.onnx_side_files import weights_beside
from affekt.encoders.opening import open_backbone, open_encoder
from affekt.encoders.pooling import batch, legacy_batch, legacy_resampled, padded, pooled, resampled, sum_of_layers
from affekt.encoders.published import OWN, PUBLISHED, PublishedModel

if TYPE_CHECKING:
    from affekt.encoders.backbones import Backbone

__all__ = [
    'CLIPS',
    'EXPORTED',
    'FAMILIES',
    'LAYERS',
    'OWN',
    'PRECISIONS',
    'PUBLISHED',
    'RUN_WEIGHTS',
    'Backbone',
    'Encoded',
    'Encoder',
    'EncoderSettings',
    'ExportedModel',
    'Family',
    'Modality',
    'ModelFolder',
    'OnnxModel',
    'Pictures',
    'PublishedModel',
    'batch',
    'checkpoint_at',
    'clips_of',
    'deciding_files',
    'exported_facts',
    'family_of',
    'has_extra',
    'legacy_batch',
    'legacy_resampled',
    'model_folder',
    'open_backbone',
    'open_encoder',
    'open_network',
    'open_reader',
    'padded',
    'pooled',
    'register_family',
    'resampled',
    'size_of',
    'sum_of_layers',
    'weights_beside',
]


def __getattr__(name: str) -> Any:
    if name == 'Backbone':  # its file needs torch
        return import_module('affekt.encoders.backbones').Backbone
    raise AttributeError(f'module {__name__} has no attribute {name!r}')
