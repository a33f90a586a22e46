"""Clipping of gradients, also of those that several processes hold in parts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from affekt.training.checkpoints import whole


def clip_gradients(
    parameters: Sequence[nn.Parameter], clip_norm: float | None, clip_value: float | None
) -> Tensor | None:
    """Clip the norm of all gradients to `clip_norm`, then each element to `clip_value`; returns the norm before.

    Args:
        parameters: parameters; those without a gradient are skipped.
        clip_norm: maximum norm; None for no limit, and no measurement.
        clip_value: maximum magnitude; None for no limit.
    """
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    norm = None
    if clip_norm is not None and with_gradient:
        norm = whole(
            nn.utils.get_total_norm([parameter.grad for parameter in with_gradient if parameter.grad is not None])
        )
        if norm.device.type != 'cpu' or not norm + 1e-6 <= clip_norm:
            nn.utils.clip_grads_with_norm_(with_gradient, clip_norm, norm)
    if clip_value is not None:
        nn.utils.clip_grad_value_(with_gradient, clip_value)
    return norm
