"""Blocks against torch's own layers and the published names, and the parts that only training uses."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from affekt.errors import ValueRangeError
from affekt.nn import Block, BlockForm, CrossSelfBlock, DropPath


def _drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _fill(module, seed=1):
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) / 4)
    return module


TORCHS_NAMES = {
    'attn.qkv.weight': 'self_attn.in_proj_weight', 'attn.qkv.bias': 'self_attn.in_proj_bias',
    'attn.proj.weight': 'self_attn.out_proj.weight', 'attn.proj.bias': 'self_attn.out_proj.bias',
    'mlp.fc1.weight': 'linear1.weight', 'mlp.fc1.bias': 'linear1.bias',
    'mlp.fc2.weight': 'linear2.weight', 'mlp.fc2.bias': 'linear2.bias',
}  # fmt: skip


@pytest.mark.parametrize('norm_first', [True, False])
@pytest.mark.parametrize('masked', [True, False])
def test_a_block_is_the_encoder_layer_of_torch_with_the_same_weights(norm_first, masked):
    ours = _fill(Block(BlockForm(12, 3, bias='qkv', norm_first=norm_first)))
    theirs = nn.TransformerEncoderLayer(
        12, 3, 48, 0.0, functional.gelu, layer_norm_eps=1e-6, batch_first=True, norm_first=norm_first
    )
    theirs.load_state_dict({TORCHS_NAMES.get(name, name): value for name, value in ours.state_dict().items()})
    tokens = _drawn(2, 5, 12)
    keep = torch.ones(2, 5, dtype=torch.bool)
    keep[1, 2:] = not masked
    expected = theirs(tokens, src_key_padding_mask=~keep if masked else None)
    torch.testing.assert_close(ours(tokens, keep_mask=keep if masked else None), expected, rtol=0, atol=2e-6)


def test_a_block_that_reads_a_copy_of_its_tokens_is_one_that_reads_itself():
    # what is self and what is context is said by the call, never by which tensor it is
    block = _fill(Block(BlockForm(8, 2)))
    tokens = _drawn(2, 5, 8)
    torch.testing.assert_close(block(tokens), block(tokens, tokens.clone()))
    assert torch.equal(block(tokens, tokens.clone()), block(tokens, tokens))


def test_a_cross_self_block_is_its_three_steps_written_out():
    block = _fill(CrossSelfBlock(BlockForm(8, 2), context_width=6))
    tokens, context = _drawn(2, 5, 8), _drawn(2, 3, 6, seed=2)
    keep = torch.tensor([[True, False, True], [True, True, True]])
    x = tokens + block.cross_attn(block.cross_norm1(tokens), block.cross_norm2(context), keep)
    x = x + block.attn(block.norm1(x))
    x = x + block.mlp(block.norm2(x))
    torch.testing.assert_close(block(tokens, context, keep), x, rtol=0, atol=1e-6)


def test_the_last_tokens_of_a_block_can_be_had_alone():
    block = _fill(CrossSelfBlock(BlockForm(8, 2)))
    tokens, context = _drawn(2, 5, 8), _drawn(2, 3, 8, seed=2)
    for read in (context, None):
        torch.testing.assert_close(block(tokens, read, last=3), block(tokens, read)[:, 2:], rtol=0, atol=1e-6)


def test_without_a_context_a_cross_self_block_is_a_block():
    block, plain = _fill(CrossSelfBlock(BlockForm(8, 2))), Block(BlockForm(8, 2))
    plain.load_state_dict({name: value for name, value in block.state_dict().items() if 'cross' not in name})
    tokens, context = _drawn(2, 5, 8), _drawn(2, 3, 8, seed=2)
    torch.testing.assert_close(block(tokens), plain(tokens), rtol=0, atol=0)
    keep = torch.tensor([[True, False, True], [False, False, False]])  # the second sample has no context
    crossed = block(tokens, context, keep)
    torch.testing.assert_close(crossed[1], plain(tokens)[1], rtol=0, atol=1e-6)
    assert not torch.allclose(crossed[0], plain(tokens)[0], atol=1e-3)


@pytest.mark.parametrize(
    ('layer', 'published'),
    [
        (Block(BlockForm(256, 4)), 'encoder.blocks.0.'),
        (CrossSelfBlock(BlockForm(256, 4)), 'encoder_fusion.blocks.0.'),
    ],
)
def test_states_of_hicmae_load_by_their_own_names(shared_data, layer, published):
    lines = (shared_data / 'vectors' / 'hicmae_tiny_finetune.keys.txt').read_text().splitlines()[1:]
    shapes = {
        name.removeprefix(published): shape for name, shape, _ in (line.split('\t') for line in lines)
        if name.startswith(published)
    }  # fmt: skip
    assert {name: str(list(value.shape)) for name, value in layer.state_dict().items()} == shapes


@pytest.mark.parametrize('layer_scale', [None, 0.1])
@pytest.mark.parametrize('build', [Block, CrossSelfBlock])
def test_every_parameter_gets_a_gradient(build, layer_scale):
    block = build(BlockForm(8, 2, layer_scale=layer_scale))
    (block(_drawn(2, 5, 8), _drawn(2, 3, 8, seed=3)) * _drawn(2, 5, 8, seed=4)).sum().backward()
    assert [n for n, p in block.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    assert sum(name.startswith('gamma') for name, _ in block.named_parameters()) == (
        0 if layer_scale is None else 2 + (build is CrossSelfBlock)
    )


def test_a_layer_scale_of_zero_leaves_the_tokens_as_they_are():
    tokens = _drawn(2, 5, 8)
    block = CrossSelfBlock(BlockForm(8, 2, layer_scale=0.0))
    assert torch.equal(block(tokens, _drawn(2, 3, 8)), tokens)


def test_a_dropped_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    paths = DropPath(0.25)
    dropped = paths(torch.ones(4000, 3, 2))
    # each sample is 0 or 1 / 0.75; the share has a standard deviation of sqrt(0.25 · 0.75 / 4000) = 0.007
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0.0, 4 / 3])
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.04)
    assert torch.equal(paths.eval()(dropped), dropped)


def test_a_block_in_evaluation_draws_nothing():
    block = Block(BlockForm(8, 2, dropout=0.5), drop_path=0.5).eval()
    tokens = _drawn(2, 5, 8)
    assert torch.equal(block(tokens), block(tokens))
    block.train()
    torch.manual_seed(0)
    assert not torch.equal(block(tokens), block(tokens))


def test_forms_that_cannot_be_are_named():
    with pytest.raises(ValueRangeError, match='pre-norm form'):
        CrossSelfBlock(BlockForm(8, 2, norm_first=False))
    with pytest.raises(ValueRangeError, match=r'a share in \[0, 1\)'):
        DropPath(1.0)
