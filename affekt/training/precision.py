"""Precision of matrix products: half precision only where the device supports it natively, which is checked.

On a processor without AVX-512-BF16 or AMX, torch computes bfloat16 too, eight times slower than float32.
"""

from __future__ import annotations

import logging
from typing import Literal

import torch

Precision = Literal['float32', 'bfloat16', 'float16']
PRECISIONS: dict[str, torch.dtype] = {
    'float32': torch.float32,
    'bfloat16': torch.bfloat16,
    'float16': torch.float16,
}
"""Name of a precision to its data type."""
LOG = logging.getLogger('affekt')
CPU_FEATURES = {'bfloat16': ('avx512_bf16', 'amx_bf16', 'bf16'), 'float16': ('avx512_fp16', 'amx_fp16')}
"""Precision to processor features, any of which supports it natively; by torch's names."""


def has_precision(device: torch.device | str, precision: Precision) -> bool:
    """Whether the device computes products of this precision natively."""
    device = torch.device(device)
    if precision == 'float32':
        return True
    if device.type == 'cuda':
        if precision == 'bfloat16':
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        return torch.cuda.get_device_capability(device) >= (7, 0)
    if device.type != 'cpu':
        return False
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, 'get_capabilities') else {}
    return any(bool(features.get(name)) for name in CPU_FEATURES[precision])


def usable_precision(device: torch.device | str, requested: Precision) -> Precision:
    """The requested precision where the device supports it; otherwise float32, with a warning.

    Args:
        device: device of the training.
        requested: a key of `PRECISIONS`.
    """
    if has_precision(device, requested):
        return requested
    LOG.warning('%s does not support %s natively and would be slower with it: float32 is used', device, requested)
    return 'float32'
