"""Fusion models of the field, for features of several modalities, at utterance or frame level.

Features by modality and masks of present steps come in; class logits, values (valence) and named auxiliary losses come
out. Each model has a `reference` form with the published wiring, which loads published states, and a `corrected` form,
the default. Read `model.py` first, then `attention.py`. `end_to_end.py` is the exception: it trains an encoder of
transformers (a `Backbone` of `affekt.encoders`) together with a head. Needs torch.
"""

from typing import TYPE_CHECKING

from affekt.fusion.attention import AttentionFusion, TopAttentionFusion
from affekt.fusion.choices import FUSION_MODELS, build_fusion, load_published_fusion
from affekt.fusion.concatenation import EarlyFusion, LateFusion
from affekt.fusion.end_to_end import BackboneHead, EndToEnd, vectors
from affekt.fusion.memory import LETTERS, ORDER, ParallelRecurrences, two_layers
from affekt.fusion.model import MODALITIES, Form, Fused, FusionModel, FusionShape, InputScale, Losses, PerceptronEncoder
from affekt.fusion.products import LowRankFusion, TensorFusion
from affekt.fusion.translation import PublishedTranslator, Translator, translation_error
from affekt.moved_names import moved

if not TYPE_CHECKING:
    __getattr__ = moved(__name__)

__all__ = [
    'FUSION_MODELS',
    'LETTERS',
    'MODALITIES',
    'ORDER',
    'AttentionFusion',
    'BackboneHead',
    'EarlyFusion',
    'EndToEnd',
    'Form',
    'Fused',
    'FusionModel',
    'FusionShape',
    'InputScale',
    'LateFusion',
    'Losses',
    'LowRankFusion',
    'ParallelRecurrences',
    'PerceptronEncoder',
    'PublishedTranslator',
    'TensorFusion',
    'TopAttentionFusion',
    'Translator',
    'build_fusion',
    'load_published_fusion',
    'translation_error',
    'two_layers',
    'vectors',
]
