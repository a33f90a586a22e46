"""Tables of positions against the published rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from affekt.nn import position_table, sinusoids, sinusoids_in_halves


def test_the_table_of_a_width_of_four_is_worked_out():
    # rates 1 and 1 / 10000**(2/4) = 1/100; row 2 is sin 2, cos 2, sin 0.02, cos 0.02
    assert sinusoids(3, 4)[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    np.testing.assert_allclose(sinusoids(3, 4)[2], [0.9092974, -0.4161468, 0.0199987, 0.9998], atol=1e-7)


@pytest.mark.parametrize(
    ('name', 'count', 'width'), [('rows800_512', 800, 512), ('rows800_384', 800, 384), ('rows128_512', 128, 512)]
)
def test_the_table_is_the_published_one(shared_data, name, count, width):
    rows = np.load(shared_data / 'vectors' / 'sinusoid_pos_embed.npz')[name]
    table = sinusoids(count, width).numpy()
    # each published row is a row of ours to the last bit
    assert all((table == row).all(axis=1).any() for row in rows)


@pytest.mark.parametrize('width', [6, 7])
def test_halves_hold_the_columns_of_the_interleaved_table_in_another_order(width):
    halves = sinusoids_in_halves(torch.zeros(2, 9, width))
    whole = sinusoids(9, width + width % 2).numpy()
    np.testing.assert_allclose(halves, np.concatenate([whole[:, 0::2], whole[:, 1::2]], axis=1)[:, :width], atol=2e-6)
    assert sinusoids_in_halves(torch.zeros(2, 9, width, dtype=torch.float64)).dtype == torch.float64


def test_no_stand_in_of_an_export_stays_among_the_tables():
    with FakeTensorMode():
        assert type(position_table(3, 34, torch.zeros(1))) is not torch.Tensor
    table = position_table(3, 34, torch.zeros(1))
    assert torch.equal(table, sinusoids(3, 34))
    assert position_table(3, 34, torch.zeros(1)) is table
