"""Frame-level models by name, and building one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from affekt.errors import UnknownNameError, ValueRangeError, listed
from affekt.nn import Coverage, load_published
from affekt.sequence_models.attention_sequence import AttentionSequence
from affekt.sequence_models.convolution import TemporalConvolution
from affekt.sequence_models.expression_head import ExpressionHead
from affekt.sequence_models.form import SequenceModel, SequenceShape
from affekt.sequence_models.mctn_sequence import TranslationSequence
from affekt.sequence_models.mfn_sequence import MemorySequence
from affekt.sequence_models.projection import PerFrame
from affekt.sequence_models.transformer import FrameTransformer


def build_sequence_model(name: str, shape: SequenceShape, **options: Any) -> SequenceModel:
    """A model by name, with random weights.

    Args:
        name: a key of `SEQUENCE_MODELS`.
        shape: the sizes that all models need.
        options: further options of this model; see its class.

    Raises:
        UnknownNameError: unknown model, or it has no such option.
        ValueRangeError: the model has no such form or needs more modalities, or an option is out of range or not of the
            type of its default.
    """
    if name not in SEQUENCE_MODELS:
        raise UnknownNameError(
            expected=f'a model among {listed(SEQUENCE_MODELS, most=len(SEQUENCE_MODELS))}',
            came=repr(name),
            todo='choose one',
        )
    model_class = SEQUENCE_MODELS[name]
    defaults = model_class.__init__.__kwdefaults__ or {}
    if not set(options) <= set(defaults):
        raise UnknownNameError(
            expected=f'options of {name} among {listed(sorted(defaults)) or "none"}',
            came=listed(sorted(set(options) - set(defaults))),
            todo='leave them out',
        )
    for option, value in options.items():
        _require_type(option, value, type(defaults[option]))
    model: SequenceModel = model_class(shape, **options)
    return model


def _require_type(option: str, value: object, expected_type: type) -> None:
    """Check an option's type; a whole number is accepted for a float, True and False are not numbers."""
    if type(value) is expected_type or (expected_type is float and type(value) is int):
        return
    names = {bool: 'True or False', int: 'a whole number', float: 'a number'}
    raise ValueRangeError(expected=f'{names[expected_type]} for {option}', came=repr(value), todo='correct it')


def load_published_sequence(model: SequenceModel, state: Mapping[str, Tensor]) -> Coverage:
    """Fill a model of the reference form from a state that the published code saved.

    Returns:
        The coverage: where each tensor went.

    Raises:
        WeightsError: the state is not one of this model.
    """
    return load_published(model, state, model.published_names())


SEQUENCE_MODELS: dict[str, Any] = {
    'attention_sequence': AttentionSequence,
    'mfn_sequence': MemorySequence,
    'mctn_sequence': TranslationSequence,
    'expression_head': ExpressionHead,
    'convolution': TemporalConvolution,
    'transformer': FrameTransformer,
    'per_frame': PerFrame,
}
"""Name of a model to its class."""
