"""Linear maps: the same numbers whichever library multiplies."""

from importlib import import_module

import pytest
import torch
from torch.nn import functional

from affekt.nn import Linear, product
from affekt.nn.linear import prefers_onednn

linear_maps = import_module('affekt.nn.linear')  # a function of the room has the module's name
has_operator = hasattr(torch.ops.mkldnn, '_linear_pointwise')


@pytest.fixture
def by_onednn(monkeypatch):
    """Products of any size go by oneDNN, whoever made this processor; says which did."""
    if not has_operator:
        pytest.skip('this torch has no product of oneDNN')
    asked = []
    apply = linear_maps._Product.apply
    monkeypatch.setattr(linear_maps, 'LEAST_WORK', 0)
    monkeypatch.setattr(linear_maps, 'prefers_onednn', lambda: True)
    monkeypatch.setattr(linear_maps._Product, 'apply', lambda *parts: asked.append(1) or apply(*parts))
    return asked


def drawn(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).requires_grad_()


@pytest.mark.parametrize('has_bias', [True, False])
def test_answers_and_gradients_are_those_of_torch(by_onednn, has_bias):
    rows, weight, bias, ways = drawn(3, 7, 20), drawn(12, 20), drawn(12) if has_bias else None, []
    for multiply in (product, functional.linear):
        answer = multiply(rows, weight, bias)
        answer.square().sum().backward()
        learnt = [part for part in (rows, weight, bias) if part is not None]
        ways.append([answer.detach(), *(part.grad.clone() for part in learnt)])
        for part in learnt:
            part.grad = None
    assert by_onednn
    torch.testing.assert_close(*ways, rtol=1e-5, atol=1e-4)


def test_rows_that_do_not_lie_together_and_weights_that_lie_turned_are_read_as_they_are(by_onednn):
    rows, weight = drawn(4, 9, 16)[:, 3:], drawn(16, 10).t()
    torch.testing.assert_close(product(rows, weight), functional.linear(rows, weight), rtol=1e-5, atol=1e-5)
    assert by_onednn


def test_a_gradient_of_a_gradient_is_that_of_torch(by_onednn):
    rows, weight, seconds = drawn(5, 6), drawn(4, 6), []
    for multiply in (product, functional.linear):
        (first,) = torch.autograd.grad(multiply(rows, weight).pow(3).sum(), rows, create_graph=True)
        seconds.append(torch.autograd.grad(first.square().sum(), (rows, weight)))
    torch.testing.assert_close(*seconds, rtol=1e-4, atol=1e-3)


def test_other_numbers_and_what_is_compiled_are_torchs_own(by_onednn):
    layer, rows = Linear(8, 8), drawn(3, 8)
    with torch.autocast('cpu', torch.bfloat16):
        assert layer(rows).dtype == torch.bfloat16
    layer.double()(rows.double())
    torch.export.export(Linear(8, 8), (rows,))
    Linear(8, 8, fused=False)(rows)
    assert not by_onednn


@pytest.mark.skipif(not has_operator, reason='this torch has no product of oneDNN')
@pytest.mark.parametrize(
    ('vendor', 'capability', 'is_preferred'),
    [('AuthenticAMD', 'AVX512', True), ('AuthenticAMD', 'AVX2', False), ('GenuineIntel', 'AVX512', False)],
)
def test_onednn_is_preferred_on_amds_processors_with_avx512(monkeypatch, tmp_path, vendor, capability, is_preferred):
    (tmp_path / 'cpuinfo').write_text(f'vendor_id : {vendor}\n')
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)
    monkeypatch.setattr(linear_maps.platform, 'processor', lambda: '')
    monkeypatch.setattr(linear_maps, 'Path', lambda _: tmp_path / 'cpuinfo')
    assert prefers_onednn.__wrapped__() is is_preferred


def test_who_made_the_processor_is_asked_once():
    prefers_onednn.cache_clear()
    assert prefers_onednn() is prefers_onednn()
    assert prefers_onednn.cache_info().misses == 1
