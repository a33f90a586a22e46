"""Few weights to learn where clips are few: low-rank additions to a model's own weights.

Every linear map of the blocks (queries, keys, values, projections, perceptrons) gets one, by peft:

    W x  becomes  W x + (alpha / r) B A x        A is (r, inputs), drawn; B is (outputs, r), zero at first

The map itself stays as it is. What is learnt besides: the weights of layers, the last norm and the head. Once learnt,
`merged` adds (alpha / r) B A to W, and the model is one like any other.

Source: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

import torch
from torch import nn

from affekt.errors import missing_extra

ADAPTED = r'.*(attn|cross_attn)\.(qkv|q|kv|proj)|.*blocks.*\.mlp\.fc[12]'
"""Names of the linear maps that get an addition; those of patches and of the head do not."""
WHOLE = ('fc_norm.', 'head.', 'video_layer_weights', 'audio_layer_weights')
"""What is learnt as it is."""


def adapt(model: nn.Module, rank: int, seed: int) -> None:
    """Give the maps of a model's blocks low-rank additions, and let these and the head alone be trained.

    Args:
        model: changed in place; its answers stay the same at first.
        rank: r; alpha is twice as large.
        seed: of the first weights.

    Raises:
        MissingExtraError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise missing_extra('peft, which trains adapters', 'lora', instead='take the method full or linear') from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=ADAPTED)
        inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_('.lora_' in name or name.startswith(WHOLE))


def merged(model: nn.Module) -> None:
    """Add what was learnt to the weights, in place; names and shapes are again those before `adapt`."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, BaseTunerLayer)]
    for name, layer in adapted:
        layer.merge(safe_merge=True)
        parent, _, last = name.rpartition('.')
        setattr(model.get_submodule(parent), last, layer.get_base_layer())
    model.requires_grad_(True)
