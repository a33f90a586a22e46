"""Losses in single precision, whatever autocast says."""

import torch

from affekt.nn import in_single_precision


@in_single_precision
def similarity(first, second, *, factor):
    return (first @ second.t() * factor).sum()


def test_products_of_halves_under_autocast_are_those_of_floats():
    # 1 + 2**-7 is a bfloat16, its square 1 + 2**-6 + 2**-14 is not
    rows = torch.full((1, 1), 1 + 2**-7, dtype=torch.bfloat16)
    with torch.autocast('cpu', torch.bfloat16):
        product = similarity(rows, rows, factor=torch.ones(1, dtype=torch.bfloat16))
        assert (rows @ rows).item() != product.item()
        assert torch.is_autocast_enabled('cpu')
    assert product.dtype == torch.float32
    assert product.item() == 1 + 2**-6 + 2**-14


def test_double_precision_stays():
    rows = torch.ones(2, 3, dtype=torch.float64)
    assert similarity(rows, rows, factor=1).dtype == torch.float64
