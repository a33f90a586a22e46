"""A check that this torch can use a device, made before anything long begins."""

from __future__ import annotations

import torch

from affekt.errors import ValueRangeError


def require_device(device: str) -> torch.device:
    """The device, after a test that it works.

    Raises:
        ValueRangeError: torch does not know the device, or this machine does not have it.
    """
    try:
        checked_device = torch.device(device)
        torch.zeros(1, device=checked_device).sum().item()  # fails on a device without data (`meta`) or an absent one
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueRangeError(
            expected='a device that this torch has, such as cpu or cuda:0', came=repr(device),
            todo='leave --device out to run on the CPU',
        ) from error  # fmt: skip
    return checked_device
