"""Models that answer for every frame: expression, valence and arousal, and action units over time.

Features of several modalities on the clock of the video come in, in windows; an answer for each frame comes out. Read
`form.py` first, then `attention_sequence.py`; `losses.py` is what they minimise and `choices.py` their list. Needs
torch.
"""

from affekt.sequence_models.attention_sequence import AttentionSequence
from affekt.sequence_models.choices import SEQUENCE_MODELS, build_sequence_model, load_published_sequence
from affekt.sequence_models.convolution import TemporalConvolution
from affekt.sequence_models.expression_head import ExpressionHead
from affekt.sequence_models.form import FrameAnswers, KeepMask, SequenceModel, SequenceShape
from affekt.sequence_models.losses import (
    PUBLISHED_EXPRESSION_LOSS,
    ExpressionLoss,
    balanced_units,
    class_weights,
    concordance_loss,
    squared_loss,
    unit_loss,
)
from affekt.sequence_models.mctn_sequence import TranslationSequence
from affekt.sequence_models.mfn_sequence import MemorySequence
from affekt.sequence_models.projection import PerFrame
from affekt.sequence_models.transformer import FrameTransformer

__all__ = [
    'PUBLISHED_EXPRESSION_LOSS',
    'SEQUENCE_MODELS',
    'AttentionSequence',
    'ExpressionHead',
    'ExpressionLoss',
    'FrameAnswers',
    'FrameTransformer',
    'KeepMask',
    'MemorySequence',
    'PerFrame',
    'SequenceModel',
    'SequenceShape',
    'TemporalConvolution',
    'TranslationSequence',
    'balanced_units',
    'build_sequence_model',
    'class_weights',
    'concordance_loss',
    'load_published_sequence',
    'squared_loss',
    'unit_loss',
]
