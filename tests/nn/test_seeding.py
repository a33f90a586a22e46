"""Drawing from torch's own generator by a seed, and going on as if nothing had been drawn."""

from __future__ import annotations

import pytest

pytest.importorskip('torch', reason='torch is absent (pip install affekt[torch])')

import torch

from affekt.nn import seed_torch, seeded


def test_draws_are_those_of_torchs_own_seed_and_the_generator_stands_where_it_stood():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(11)
    following = torch.rand(3)

    torch.manual_seed(11)
    with seeded(5):
        assert torch.equal(torch.rand(3), expected)
    assert torch.equal(torch.rand(3), following)
    seed_torch(5)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.skipif(torch.accelerator.is_available(), reason='an accelerator is seeded with the processor')
def test_seeding_keeps_nothing_for_an_accelerator_that_is_not_here():
    waiting = len(torch.cuda._queued_calls)
    for seed in range(20):
        with seeded(seed):
            torch.rand(1)
    assert len(torch.cuda._queued_calls) == waiting
