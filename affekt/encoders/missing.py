"""A check that weights fill the network of config.json and do not belong to a larger one, for all model folders.

transformers draws random values where a tensor is missing, and drops tensors that the network does not have, both
without an error. Here a missing tensor is an error, except where it does not affect the states. A surplus tensor is an
error where it belongs to a layer beyond the last; task heads are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affekt.errors import WeightsError, listed

UNREAD = re.compile(r'(^|\.)(pooler\.|masked_spec_embed$|position_ids$|lm_head\.)')
"""Tensors that do not affect the states, so that they may be missing."""
_LAYER = re.compile(r'(?<=\.)\d+(?=\.)')


def require_whole(network: Any, loading: Mapping[str, Any], path: Path) -> None:
    """Check that every tensor of a network came from its file, and that the file has no further layers.

    Args:
        network: network of transformers.
        loading: report of `from_pretrained(…, output_loading_info=True)`.
        path: folder, for the message.

    Raises:
        WeightsError: the weights belong to another network.
    """
    missing = sorted(name for name in loading['missing_keys'] if not UNREAD.search(name))
    mismatched = sorted(str(name) for name in loading.get('mismatched_keys', ()))
    beyond = _layers_beyond(network, loading.get('unexpected_keys', ()))
    if missing:
        came = f'{len(missing)} missing ({", ".join(missing[:3])})'
    elif mismatched or loading.get('error_msgs'):
        came = f'others ({", ".join(mismatched[:3])})'
    elif beyond:
        came = f'those of a larger one, with layers that config.json does not have ({listed(beyond, 2)})'
    else:
        return
    raise WeightsError(
        expected=f'every tensor of {type(network).__name__}, an encoder of transformers in {path}',
        came=came,
        todo='give the folder of the published model, not of a part of it',
    )


def _layers_beyond(network: Any, unexpected: Iterable[str]) -> list[str]:
    """Names of tensors that differ from those of the network only in the number of their layer."""
    patterns = {_LAYER.sub('#', name) for name in network.state_dict() if _LAYER.search(name)}
    prefix = f'{network.base_model_prefix}.'
    names = (name.removeprefix(prefix) for name in unexpected)
    return sorted(name for name in names if _LAYER.search(name) and _LAYER.sub('#', name) in patterns)
