"""Single precision for losses that multiply or take powers of features, which autocast would compute in half precision.

Eight bits of a bfloat16 are too few for a similarity divided by a temperature, or for a fifth moment.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec('P')


def in_single_precision(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """The same function, computed without autocast and with its half-precision tensors in single precision.

    Args:
        loss: function of tensors, the first of which is its first argument.
    """

    @wraps(loss)
    def computed(*inputs: P.args, **named: P.kwargs) -> Tensor:
        first: Any = inputs[0]
        with torch.autocast(first.device.type, enabled=False):
            return loss(*map(_widened, inputs), **{name: _widened(value) for name, value in named.items()})

    return computed


def _widened(value: Any) -> Any:
    is_half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if is_half else value
