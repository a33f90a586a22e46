"""Attention against torch's own, its masks and its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.nn import Attention, CrossAttention, attend

FUSED = pytest.mark.parametrize('fused', [True, False])


def _drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _fill(module, seed=1):
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) / 4)
    return module


def _torchs(ours: Attention) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(ours.proj.in_features, ours.heads, batch_first=True)
    state = {'in_proj_weight': ours.qkv.weight, 'in_proj_bias': ours.qkv.bias}
    state |= {'out_proj.weight': ours.proj.weight, 'out_proj.bias': ours.proj.bias}
    theirs.load_state_dict(state)
    return theirs.eval()


@FUSED
@pytest.mark.parametrize('read', ['itself', 'a context'])
def test_attention_is_that_of_torch_with_the_same_weights(fused, read):
    ours = _fill(Attention(12, 3, bias='qkv', fused=fused))
    tokens, context = _drawn(2, 5, 12), _drawn(2, 7, 12, seed=2)
    source = tokens if read == 'itself' else context
    keep = torch.ones(2, source.shape[1], dtype=torch.bool)
    keep[0, 3:] = False
    expected, _ = _torchs(ours)(tokens, source, source, key_padding_mask=~keep)
    answer = ours(tokens, None if read == 'itself' else context, keep)
    torch.testing.assert_close(answer, expected, rtol=0, atol=1e-6)


@FUSED
def test_a_mask_of_four_axes_hides_single_pairs(fused):
    # step 0 may read step 0 alone, so it takes the value of step 0 whatever the scores say
    queries, keys, values = _drawn(1, 2, 3, 4), _drawn(1, 2, 3, 4, seed=1), _drawn(1, 2, 3, 4, seed=2)
    past = torch.ones(3, 3, dtype=torch.bool).tril()[None, None]
    read = attend(queries, keys, values, past, fused=fused)
    torch.testing.assert_close(read[:, :, 0], values[:, :, 0])


@FUSED
def test_what_is_not_kept_changes_nothing_and_with_nothing_kept_the_reading_is_zero(fused):
    queries, keys, values = _drawn(2, 2, 3, 4), _drawn(2, 2, 5, 4, seed=1), _drawn(2, 2, 5, 4, seed=2)
    keep = torch.tensor([[True, False, True, True, False], [False] * 5])
    queries.requires_grad_(True)
    read = attend(queries, keys, values, keep, fused=fused)
    gone = ~keep[:, None, :, None]
    assert torch.equal(
        read, attend(queries, keys.masked_fill(gone, 1e3), values.masked_fill(gone, 1e3), keep, fused=fused)
    )
    assert (read[1] == 0).all()
    read.sum().backward()
    assert torch.isfinite(queries.grad).all()


def test_both_forms_agree():
    queries, keys, values = _drawn(2, 2, 30, 8), _drawn(2, 2, 50, 8, seed=1), _drawn(2, 2, 50, 8, seed=2)
    keep = torch.rand(2, 50, generator=torch.Generator().manual_seed(3)) > 0.3
    for mask in (None, keep):
        written_out = attend(queries, keys, values, mask, fused=False)
        torch.testing.assert_close(attend(queries, keys, values, mask), written_out, rtol=0, atol=1e-6)


def test_a_bias_of_the_keys_would_change_nothing():
    # q·(k + b) adds q·b to every score of a token alike: 'qv' is 'qkv' with any bias at the keys
    without = _fill(Attention(8, 2, bias='qv'))
    with_keys = Attention(8, 2, bias='qkv')
    state = {name: value for name, value in without.state_dict().items() if '_bias' not in name}
    state['qkv.bias'] = torch.cat([without.q_bias, torch.full((8,), 0.7), without.v_bias])
    with_keys.load_state_dict(state)
    tokens = _drawn(2, 5, 8)
    torch.testing.assert_close(without(tokens), with_keys(tokens), rtol=0, atol=1e-6)


def test_a_cross_attention_with_one_projection_cut_in_two_is_attention_to_a_context():
    one = _fill(Attention(8, 2))
    two = CrossAttention(8, 2)
    two.load_state_dict(
        {'q.weight': one.qkv.weight[:8], 'kv.weight': one.qkv.weight[8:], 'q_bias': one.q_bias, 'v_bias': one.v_bias}
        | {f'proj.{name}': value for name, value in one.proj.state_dict().items()}
    )
    tokens, context = _drawn(2, 5, 8), _drawn(2, 3, 8, seed=4)
    keep = torch.tensor([[True, True, False], [True, False, True]])
    assert torch.equal(one(tokens, context, keep), two(tokens, context, keep))


@pytest.mark.parametrize('bias', ['qv', 'qkv', 'none'])
def test_every_parameter_gets_a_gradient(bias):
    attention = Attention(8, 2, bias=bias)
    (attention(_drawn(2, 5, 8)) * _drawn(2, 5, 8, seed=5)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in attention.parameters())
    # the keys' third of a full bias has none but rounding
    names = {'qv': {'q_bias', 'v_bias'}, 'qkv': {'qkv.bias'}, 'none': set()}[bias]
    assert set(dict(attention.named_parameters())) == {'qkv.weight', 'proj.weight', 'proj.bias'} | names


def test_every_parameter_of_a_cross_attention_gets_a_gradient_whatever_the_width_of_the_context():
    attention = CrossAttention(8, 2, 6)
    (attention(_drawn(2, 5, 8), _drawn(2, 3, 6)) * _drawn(2, 5, 8, seed=5)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in attention.parameters())
    assert attention.kv.weight.shape == (16, 6)


def test_models_of_attention_written_out_run_together_under_vmap():
    attention = _fill(Attention(8, 2, fused=False))
    tokens, keep = _drawn(3, 2, 5, 8), torch.ones(3, 2, 5, dtype=torch.bool)
    keep[1, 0, 2:] = False
    together = torch.vmap(lambda x, k: attention(x, keep_mask=k))(tokens, keep)
    alone = torch.stack([attention(x, keep_mask=k) for x, k in zip(tokens, keep, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_wrong_sizes_and_masks_are_named():
    with pytest.raises(ValueRangeError, match='multiple of heads; got width 8, 3 heads'):
        Attention(8, 3)
    with pytest.raises(UnknownNameError, match='qv, qkv or none'):
        Attention(8, 2, bias='kv')
    with pytest.raises(ShapeError, match='a boolean keep_mask'):
        Attention(8, 2)(_drawn(2, 5, 8), keep_mask=torch.ones(2, 5))
    with pytest.raises(ShapeError, match='a boolean keep_mask'):
        Attention(8, 2)(_drawn(2, 5, 8), keep_mask=torch.ones(2, 5, 5, dtype=torch.bool))
