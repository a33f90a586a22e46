"""The models of ours: by parameter count, and by a second rendering, one window and one frame at a time."""

import pytest
import torch
from plain_renderings import plain_attention

from affekt.sequence_models import SequenceShape, build_sequence_model

SIZES = {'audio': 5, 'video': 4}
SHAPE = SequenceShape(SIZES, values=2, hidden=8, dropout=0.0)


def built(name: str, **options):
    torch.manual_seed(0)
    model = build_sequence_model(name, SHAPE, **options).eval()
    for each in model.parameters():  # norms and absent modalities begin where nothing would show
        torch.nn.init.normal_(each, std=0.3)
    return model


def features_of(frames: int) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {name: torch.randn(1, frames, size, generator=draws) for name, size in SIZES.items()}


def parameters(model: torch.nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def projected(model, features: dict[str, torch.Tensor]) -> torch.Tensor:
    codes = [model.projection.layers[name](features[name][0]) for name in SIZES]
    return (codes[0] + codes[1]) / 2


def test_the_sizes_of_ours():
    h, tokens = 8, (5 * 8 + 8) + (4 * 8 + 8) + 2 * 8  # a layer and a vector for its absence, a modality
    head = 2 * h + 2
    assert parameters(built('per_frame')) == tokens + h * h + h + head
    block = 2 * h + (3 * h * h + h) + (h * h + h)  # norm, convolution, linear layer
    assert parameters(built('convolution', layers=3, kernel=3)) == tokens + 3 * block + 2 * h + head
    attention = 3 * h * h + 2 * h + h * h + h
    block = 4 * h + attention + (4 * h * h + 4 * h) + (4 * h * h + h)
    assert parameters(built('transformer', layers=2, reach=5)) == tokens + (5 * h + h) + 2 * block + 2 * h + head


def test_per_frame_reads_nothing_but_its_frame():
    model, features = built('per_frame'), features_of(6)
    expected = [
        model.value_head(torch.relu(model.inner(torch.relu(token)))) for token in projected(model, features).unbind()
    ]
    torch.testing.assert_close(model(features).values[0], torch.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('causal', [False, True])
def test_the_convolution_answers_as_a_plain_rendering(causal):
    model, features = built('convolution', layers=3, kernel=3, causal=causal), features_of(11)
    x = projected(model, features)
    for number, block in enumerate(model.blocks):
        normal, dilation = block.norm(x), 2**number
        rows = []
        for t in range(11):
            total = block.convolution.bias.clone()
            for k in range(3):
                at = t + (k - (2 if causal else 1)) * dilation
                if 0 <= at < 11:
                    total = total + block.convolution.weight[:, :, k] @ normal[at]
            rows.append(x[t] + block.linear(torch.nn.functional.gelu(total)))
        x = torch.stack(rows)
    torch.testing.assert_close(model(features).values[0], model.value_head(model.norm(x)), rtol=1e-4, atol=1e-5)


def test_the_transformer_answers_as_a_plain_rendering():
    model, features = built('transformer', layers=2, heads=2, reach=5), features_of(9)
    x = projected(model, features)
    weight, bias = model.positions.weight[:, 0], model.positions.bias  # (H, K), (H,)
    near = [bias + sum(weight[:, k] * x[t + k - 2] for k in range(5) if 0 <= t + k - 2 < 9) for t in range(9)]
    x = x + torch.stack(near)
    for block in model.blocks:
        normal = block.norm1(x)
        # the biases of queries and values, by a unit beside the features that is always 1
        one = torch.cat([normal, torch.ones(9, 1)], dim=1)
        biases = torch.cat([block.attn.q_bias, torch.zeros(8), block.attn.v_bias]).unsqueeze(1)
        x = x + plain_attention(torch.cat([block.attn.qkv.weight, biases], dim=1), block.attn.proj, one, 2)
        x = x + block.mlp.fc2(torch.nn.functional.gelu(block.mlp.fc1(block.norm2(x))))
    torch.testing.assert_close(model(features).values[0], model.value_head(model.norm(x)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', ['convolution', 'transformer'])
def test_a_causal_model_reads_no_frame_ahead(name):
    model, features = built(name, causal=True), features_of(12)
    later = {name: value.clone() for name, value in features.items()}
    later['video'][:, 7:] += 1
    before, after = model(features).values[0], model(later).values[0]
    assert torch.equal(before[:7], after[:7])
    assert not torch.allclose(before[7:], after[7:])


@pytest.mark.parametrize('name', ['convolution', 'transformer'])
def test_an_absent_modality_is_a_learned_vector(name):
    model, features = built(name), features_of(6)
    keep = {'audio': torch.tensor([[True, False, True, True, False, True]])}
    tokens = []
    model.projection.register_forward_hook(lambda _module, _given, output: tokens.append(output[0]))
    model(features, keep)
    video = model.projection.layers['video'](features['video'][0, 1])
    torch.testing.assert_close(tokens[0][1], (video + model.projection.absent['audio']) / 2)
