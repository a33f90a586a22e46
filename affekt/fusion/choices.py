"""Fusion models by name, and loading of published states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from affekt.errors import UnknownNameError, listed
from affekt.fusion.attention import AttentionFusion, TopAttentionFusion
from affekt.fusion.concatenation import EarlyFusion, LateFusion
from affekt.fusion.crossmodal import CrossmodalFusion
from affekt.fusion.factors import FactorFusion
from affekt.fusion.graph_memory import GraphMemoryFusion
from affekt.fusion.memory import MemoryFusion
from affekt.fusion.misa import MisaFusion
from affekt.fusion.mmim import MmimFusion
from affekt.fusion.model import FusionModel, FusionShape
from affekt.fusion.products import LowRankFusion, TensorFusion
from affekt.fusion.simple import GatedFusion, LinearFusion
from affekt.fusion.translation import TranslationFusion
from affekt.nn import Coverage, load_published
from affekt.plugins import Members


def build_fusion(name: str, shape: FusionShape, **options: Any) -> FusionModel:
    """A fusion model by name, with random weights.

    Args:
        name: a key of `FUSION_MODELS`.
        shape: the sizes that all models need.
        options: further options of this model, see its class.

    Raises:
        UnknownNameError: unknown model, or it has no such option.
    """
    if name not in FUSION_MODELS:
        raise UnknownNameError(
            expected=f'a model among {listed(FUSION_MODELS, most=len(FUSION_MODELS))}',
            came=repr(name),
            todo='choose one',
        )
    model_class = FUSION_MODELS[name]
    option_names = set(model_class.__init__.__kwdefaults__ or {})
    if not set(options) <= option_names:
        raise UnknownNameError(
            expected=f'options of {name} among {listed(sorted(option_names)) or "none"}',
            came=listed(sorted(set(options) - option_names)),
            todo='leave them out',
        )
    model: FusionModel = model_class(shape, **options)
    return model


def load_published_fusion(model: FusionModel, state: Mapping[str, Tensor]) -> Coverage:
    """Fill a model of the reference form from a state saved by the published code.

    Returns:
        Table of where each tensor went.

    Raises:
        WeightsError: the state is not one of this model.
    """
    return load_published(model, state, model.published_names())


def _why_no_model(name: str, model: object) -> str:
    """Description of an object that a package offers and that is not a fusion model; '' for a fusion model."""
    return '' if isinstance(model, type) and issubclass(model, FusionModel) else 'no subclass of FusionModel'


FUSION_MODELS: Members[Any] = Members('fusion', {
    'attention': AttentionFusion,
    'attention_topn': TopAttentionFusion,
    'lf_dnn': LateFusion,
    'ef_lstm': EarlyFusion,
    'tfn': TensorFusion,
    'lmf': LowRankFusion,
    'misa': MisaFusion,
    'mmim': MmimFusion,
    'mfn': MemoryFusion,
    'graph_mfn': GraphMemoryFusion,
    'mfm': FactorFusion,
    'mctn': TranslationFusion,
    'mult': CrossmodalFusion,
    'linear': LinearFusion,
    'gated': GatedFusion,
}, _why_no_model)  # fmt: skip
"""Name to class; other packages add theirs as `affekt.fusion`."""
