"""Weights fill the network that config.json describes, and are of no larger one: one rule for all folders.

transformers draws random numbers where a tensor is missing, and drops what the network has no place for; both go on
without an error. Here a missing tensor is one, except where no state passes through it. A tensor too many is one where
it belongs to a layer beyond the last: heads of the task that the weights were made for do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affekt.errors import WeightsError, listed

UNREAD = re.compile(r'(^|\.)(pooler\.|masked_spec_embed$|position_ids$|lm_head\.)')
"""Tensors that no state passes through, so that they may be missing."""
_LAYER = re.compile(r'(?<=\.)\d+(?=\.)')


def require_whole(network: Any, loading: Mapping[str, Any], path: Path) -> None:
    """Every tensor of a network came from its file, and the file holds no further layers.

    Args:
        network: of transformers.
        loading: what `from_pretrained(…, output_loading_info=True)` says.
        path: the folder, for the message.

    Raises:
        WeightsError: they are weights of another network.
    """
    missing = sorted(name for name in loading['missing_keys'] if not UNREAD.search(name))
    other = sorted(str(name) for name in loading.get('mismatched_keys', ()))
    beyond = _layers_beyond(network, loading.get('unexpected_keys', ()))
    if missing:
        came = f'{len(missing)} missing ({", ".join(missing[:3])})'
    elif other or loading.get('error_msgs'):
        came = f'others ({", ".join(other[:3])})'
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
    """Tensors that have a place in the network but for the number of their layer."""
    places = {_LAYER.sub('#', name) for name in network.state_dict() if _LAYER.search(name)}
    prefix = f'{network.base_model_prefix}.'
    names = (name.removeprefix(prefix) for name in unexpected)
    return sorted(name for name in names if _LAYER.search(name) and _LAYER.sub('#', name) in places)
