"""Whether this torch has a device, asked before anything long begins."""

from __future__ import annotations

import torch

from affekt.errors import ValueRangeError


def require_device(device: str) -> torch.device:
    """The device.

    Raises:
        ValueRangeError: this torch has none of that name, or there is none in this machine.
    """
    try:
        place = torch.device(device)
        torch.zeros(1, device=place).sum().item()  # a device without numbers, or one that is not here, fails
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueRangeError(
            expected='a device that this torch has, such as cpu or cuda:0', came=repr(device),
            todo='leave --device out to run on the CPU',
        ) from error  # fmt: skip
    return place
