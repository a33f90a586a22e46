"""The known families, in the order in which they are tried."""

from __future__ import annotations

import contextlib

from affekt.checkpoints.affectgpt import AFFECTGPT
from affekt.checkpoints.families import Family, Recognised, State
from affekt.checkpoints.fusion_states import FUSION
from affekt.checkpoints.hicmae import HICMAE
from affekt.checkpoints.magicportrait import MAGICPORTRAIT
from affekt.checkpoints.svfap import SVFAP

FAMILIES: dict[str, Family] = {
    'hicmae': HICMAE,
    'svfap': SVFAP,
    'affectgpt': AFFECTGPT,
    'magicportrait': MAGICPORTRAIT,
    'fusion': FUSION,
}
"""Name to family; each recognises its own states by names and shapes."""


def recognised(state: State) -> Recognised | None:
    """The family and form of a state; None if unknown.

    Args:
        state: published name to shape, without the prefix of a wrapper.
    """
    for family in FAMILIES.values():
        with contextlib.suppress(IndexError):  # a tensor of the family's name with fewer axes
            recognition = family.recognise(state)
            if recognition is not None:
                return recognition
    return None
