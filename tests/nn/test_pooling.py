from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError
from affekt.nn import POOLINGS, Prefusion, QueryFormer, QueryPrefusion, pooling_of


def _scored(name: str, weight: list[float], bias: float):
    pooling = pooling_of(name, len(weight))
    with torch.no_grad():
        pooling.score.weight.copy_(torch.tensor([weight]))
        pooling.score.bias.fill_(bias)
    return pooling


STEPS = torch.tensor([[[1.0, 0.0], [3.0, 4.0]]])


def test_published_weights_are_the_scores_themselves():
    # scores 1·1 + 0·0 - 2 = -1 and 3 + 0 - 2 = 1, so -(1, 0) + (3, 4) = (2, 4)
    assert _scored('published', [1.0, 0.0], -2.0)(STEPS).tolist() == [[2.0, 4.0]]


def test_softmax_weights_are_shares_of_exponentials():
    share = math.exp(1) / (math.exp(1) + math.exp(-1))
    expected = torch.tensor([[1 - share + 3 * share, 4 * share]])
    torch.testing.assert_close(_scored('softmax', [1.0, 0.0], -2.0)(STEPS), expected)


def test_gated_weights_are_shares_of_sigmoids():
    first, second = 1 / (1 + math.exp(1)), 1 / (1 + math.exp(-1))  # their sum is 1
    torch.testing.assert_close(
        _scored('gated', [1.0, 0.0], -2.0)(STEPS), torch.tensor([[first + 3 * second, 4 * second]])
    )


@pytest.mark.parametrize('name', POOLINGS)
def test_steps_that_are_left_out_change_nothing(name):
    torch.manual_seed(0)
    pooling, steps = pooling_of(name, 4), torch.randn(3, 5, 4)
    keep_mask = torch.arange(5) < torch.tensor([[5], [2], [0]])
    pooled = pooling(steps, keep_mask)
    torch.testing.assert_close(pooled[0], pooling(steps[:1])[0])
    torch.testing.assert_close(pooled[1], pooling(steps[1:2, :2])[0])
    assert not pooled[2].any()
    steps[1, 2:] = 1e6
    torch.testing.assert_close(pooling(steps, keep_mask)[1], pooled[1])


@pytest.mark.parametrize('name', POOLINGS)
def test_several_vectors_of_a_step_are_averaged_first(name):
    torch.manual_seed(0)
    pooling, steps = pooling_of(name, 4), torch.randn(2, 5, 3, 4)
    torch.testing.assert_close(pooling(steps), pooling(steps.mean(2)))


@pytest.mark.parametrize('name', POOLINGS)
def test_order_of_steps_is_nothing_to_pooling(name):
    torch.manual_seed(0)
    pooling, steps = pooling_of(name, 4), torch.randn(2, 5, 4)
    torch.testing.assert_close(pooling(steps.flip(1)), pooling(steps))


def test_poolings_and_shapes_that_do_not_exist_are_refused():
    with pytest.raises(UnknownNameError, match='softmax'):
        pooling_of('softmaxx', 4)
    with pytest.raises(ShapeError):
        pooling_of('mean', 4)(torch.zeros(5, 4))
    with pytest.raises(ShapeError, match='keep_mask'):
        pooling_of('mean', 4)(torch.zeros(1, 5, 4), torch.ones(1, 5))


def test_prefusion_is_the_published_sum_by_hand():
    torch.manual_seed(1)
    fusion = Prefusion((4, 6), 5, 'published')
    face, voice = torch.randn(2, 3, 4), torch.randn(2, 7, 6)
    both = [fusion.embed[0](face.mean(1)), fusion.embed[1](voice.mean(1))]
    weights = fusion.score(fusion.mix(torch.cat(both, 1)))
    torch.testing.assert_close(fusion((face, voice)), weights[:, :1] * both[0] + weights[:, 1:] * both[1])
    with pytest.raises(ShapeError, match='2 modalities'):
        fusion((face,))


@pytest.mark.parametrize('weighing', ['softmax', 'gated', 'mean'])
def test_weights_of_modalities_come_to_one_unless_as_published(weighing):
    fusion = Prefusion((4, 4), 5, weighing)
    with torch.no_grad():
        for embed in fusion.embed:
            embed.weight.zero_()
            embed.bias.fill_(3.0)
    torch.testing.assert_close(fusion((torch.randn(2, 3, 4), torch.randn(2, 1, 4))), torch.full((2, 5), 3.0))


def _reader(**more):
    torch.manual_seed(2)
    reader = QueryFormer(3, 8, 6, heads=2, between=16, positions=20, **more).eval()
    with torch.no_grad():  # weights as first drawn are so small that nothing would differ
        for weight in reader.parameters():
            weight.mul_(25.0 if weight.ndim > 1 else 1.0)
    return reader


def test_a_query_former_is_the_attention_of_torch_by_hand():
    reader, context = _reader(layers=1), torch.randn(2, 5, 6)
    (layer,) = reader.layers
    queries = reader.norm(reader.queries).expand(2, -1, -1)
    for block, source in ((layer.own, None), (layer.context, context + reader.positions.weight[:5])):
        source = queries if source is None else source
        heads = [
            part.unflatten(2, (2, 4)).transpose(1, 2)
            for part in (block.query(queries), block.key(source), block.value(source))
        ]
        scores = (heads[0] @ heads[1].transpose(2, 3) / 2).softmax(3)
        queries = block.norm(queries + block.output((scores @ heads[2]).transpose(1, 2).flatten(2)))
    queries = layer.norm(queries + layer.fc2(functional.gelu(layer.fc1(queries))))
    torch.testing.assert_close(reader(context), queries)


def test_a_query_former_knows_the_order_of_steps_and_not_what_is_left_out():
    reader, context = _reader(), torch.randn(2, 5, 6)
    assert not torch.allclose(reader(context), reader(context.flip(1)))
    keep_mask = torch.arange(5) < torch.tensor([[5], [3]])
    torch.testing.assert_close(reader(context, keep_mask)[1], reader(context[1:, :3])[0])


def test_vectors_of_one_step_share_its_position():
    reader, context = _reader(), torch.randn(1, 4, 3, 6)
    torch.testing.assert_close(reader(context), reader(context.flip(2)))
    keep_mask = torch.tensor([[True, True, False, False]])
    torch.testing.assert_close(reader(context, keep_mask), reader(context[:, :2]))


def test_padding_of_one_modality_moves_no_step_of_the_next():
    torch.manual_seed(3)
    fusion = QueryPrefusion((4, 5), 6, _reader()).eval()
    face, voice = torch.randn(2, 4, 4), torch.randn(2, 3, 5)
    keep_mask = torch.arange(4) < torch.tensor([[4], [2]])
    together = fusion((face, voice), (keep_mask, None))
    torch.testing.assert_close(together[1:], fusion((face[1:, :2], voice[1:])))
    torch.testing.assert_close(together[:1], fusion((face[:1], voice[:1])))


def test_more_steps_than_positions_and_impossible_heads_are_refused():
    with pytest.raises(ShapeError, match='at most 20 steps'):
        _reader()(torch.zeros(1, 21, 6))
    with pytest.raises(ValueRangeError, match='multiple of heads'):
        QueryFormer(3, 8, 6, heads=3, between=16)


def test_every_weight_of_fusions_learns():
    fusion = QueryPrefusion((4, 5), 6, _reader(dropout=0.0))
    fusion((torch.randn(2, 3, 4), torch.randn(2, 3, 5))).square().sum().backward()
    names = {name for name, weight in fusion.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert names == set()
