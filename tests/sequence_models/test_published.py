"""The published models: by parameter count, and by a second rendering that shares nothing with the package."""

import pytest
import torch
from plain_renderings import PlainAttention, PlainMemory, PlainTranslation, plain_attention

from affekt.sequence_models import SequenceShape, build_sequence_model, load_published_sequence

SIZES = {'audio': 5, 'text': 3, 'video': 4}
SHAPE = SequenceShape(SIZES, values=2, hidden=6, dropout=0.0, form='reference')
PUBLISHED_SIZES = {'audio': 1024, 'text': 768, 'video': 768}
"""WavLM-large and CLIP-large, the video feature in the text slot once more."""


def features_of(rows: int, frames: int) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    return {name: torch.randn(rows, frames, size, generator=draws) for name, size in SIZES.items()}


def window(features: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    return {name: value[row] for name, value in features.items()}


def parameters(model: torch.nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def lstm(size: int, hidden: int) -> int:
    """Four gates, each of inputs and states, and two biases."""
    return 4 * hidden * (size + hidden) + 8 * hidden


def linear(size: int, out: int) -> int:
    return size * out + out


def test_attention_has_the_published_number_of_parameters():
    h = 64
    encoders = sum(lstm(size, h) + linear(h, h) for size in PUBLISHED_SIZES.values())
    weigher = linear(3 * h, h) + 2 * linear(h, h) + linear(h, 3)
    expected = encoders + weigher + 2 * lstm(h, h) + linear(2 * h, 2)
    assert expected == 706_048 + 12_480 + 20_867 + 66_560 + 258  # recurrences, their layers, weights, reader, head
    model = build_sequence_model('attention_sequence', SequenceShape(PUBLISHED_SIZES, values=2, form='reference'))
    assert parameters(model) == expected


def test_memory_has_the_published_number_of_parameters():
    h, w = 128, 128
    seen = 6 * h
    recurrences = sum(lstm(size, h) for size in PUBLISHED_SIZES.values())
    reading = linear(seen, h) + linear(h, seen) + linear(seen, h) + linear(h, w)
    gates = 2 * (linear(seen + w, h) + linear(h, w))
    output = linear(3 * h + w, h) + linear(h, h // 2)
    expected = recurrences + reading + gates + output + 2 * lstm(h // 2, h // 2) + linear(h, 2)
    shape = SequenceShape(PUBLISHED_SIZES, values=2, hidden=h, form='reference')
    assert parameters(build_sequence_model('mfn_sequence', shape, memory=w)) == expected


def test_translation_has_the_published_number_of_parameters():
    h, d = 256, 1024

    def translator(source: int) -> int:
        attention = 2 * h * h + h
        return attention + 2 * lstm(source, h) + h * h + 2 * lstm(d + h, h) + linear(2 * h, d)

    expected = translator(d) + translator(h) + 2 * lstm(h, h) + linear(2 * h, 2)
    shape = SequenceShape(PUBLISHED_SIZES, values=2, hidden=h, form='reference')
    with torch.device('meta'):
        assert parameters(build_sequence_model('mctn_sequence', shape)) == expected


def test_the_expression_head_has_the_published_number_of_parameters():
    d, inside, inner = 888, 2 * 64, 512
    attention = d * 3 * inside + linear(inside, d)
    block = 2 * 2 * d + attention + linear(d, inner) + linear(inner, d)
    expected = attention + block + linear(3 * d, 8)
    shape = SequenceShape({'face': d}, classes=8, dropout=0.5, form='reference')
    assert parameters(build_sequence_model('expression_head', shape)) == expected


def test_attention_answers_as_a_plain_rendering_with_the_same_state():
    torch.manual_seed(0)
    plain, ours = PlainAttention(SIZES, 6, 2), build_sequence_model('attention_sequence', SHAPE).eval()
    coverage = load_published_sequence(ours, plain.state_dict())
    assert all(row.ours is not None for row in coverage.rows)
    features = features_of(2, 7)
    answers = ours(features).values
    for row in range(2):
        torch.testing.assert_close(answers[row], plain.window(window(features, row)), rtol=1e-5, atol=1e-6)


def test_the_corrected_attention_weighs_by_a_softmax():
    torch.manual_seed(0)
    plain = PlainAttention(SIZES, 6, 2, softmax=True)
    reference = build_sequence_model('attention_sequence', SHAPE)
    load_published_sequence(reference, plain.state_dict())
    corrected = build_sequence_model('attention_sequence', SequenceShape(SIZES, values=2, hidden=6)).eval()
    corrected.load_state_dict(
        corrected.state_dict() | reference.state_dict()
    )  # besides, scales that change nothing yet
    features = features_of(1, 7)
    torch.testing.assert_close(corrected(features).values[0], plain.window(window(features, 0)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('at_once', [False, True], ids=['one frame after another', 'all frames at once'])
def test_memory_answers_and_learns_as_a_plain_rendering_with_the_same_state(at_once):
    torch.manual_seed(0)
    plain, ours = PlainMemory(SIZES, 6, 5, 2), build_sequence_model('mfn_sequence', SHAPE, memory=5, at_once=at_once)
    load_published_sequence(ours, plain.state_dict())
    features = features_of(2, 7)
    answers = ours(features).values
    expected = torch.stack([plain.window(window(features, row)) for row in range(2)])
    torch.testing.assert_close(answers, expected, rtol=1e-5, atol=1e-6)
    # the gradients are written out in ours
    answers.square().sum().backward()
    expected.square().sum().backward()
    pairs = {
        'lstm_a.weight_hh': 'recurrences.cells.audio.weight_hh',
        'gamma1_fc1.weight': 'retain.0.weight',
        'gamma2_fc2.bias': 'update.3.bias',
        'att1_fc1.weight': 'attend.0.weight',
    }
    for theirs, name in pairs.items():
        expected_gradient = plain.get_parameter(theirs).grad
        torch.testing.assert_close(ours.get_parameter(name).grad, expected_gradient, rtol=1e-4, atol=1e-5)


def test_translation_answers_and_loses_as_a_plain_rendering_with_the_same_state():
    torch.manual_seed(0)
    plain, ours = PlainTranslation(SIZES, 6, 2), build_sequence_model('mctn_sequence', SHAPE, translation=0.5)
    load_published_sequence(ours, plain.state_dict())
    features = features_of(3, 4)
    expected, loss = plain.batch(features, 0.5)
    answers = ours.train()(features)
    torch.testing.assert_close(answers.values, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(sum(answers.losses.values()), loss, rtol=1e-5, atol=1e-6)
    quick = ours.eval()(features)
    torch.testing.assert_close(quick.values, expected, rtol=1e-5, atol=1e-6)
    assert not quick.losses  # the decoders only teach


def test_published_translation_lets_windows_of_a_batch_change_each_other_and_ours_does_not():
    for form, changes in (('reference', True), ('corrected', False)):
        torch.manual_seed(0)
        shape = SequenceShape(SIZES, values=2, hidden=6, dropout=0.0, form=form)
        model, features = build_sequence_model('mctn_sequence', shape).eval(), features_of(3, 4)
        before = model(features).values[0]
        features['text'][2] += 1
        assert (not torch.allclose(before, model(features).values[0], atol=1e-6)) is changes


def test_the_corrected_translation_is_one_over_time():
    torch.manual_seed(0)
    shape = SequenceShape({'text': 3, 'video': 4}, values=2, hidden=6, dropout=0.0)
    model = build_sequence_model('mctn_sequence', shape, teacher_forcing=1.0, translation=1.0).train()
    features = {name: value[:1] for name, value in features_of(1, 5).items() if name != 'audio'}
    answers = model(features)
    first = model.translators[0]

    def translated(source: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of one (T, 4) window, frame by frame, the truth before each given to the decoder, in two passes."""
        ahead, back = first.onward(source[None])[0][0], first.onward_reversed(source.flip(0)[None])[0][0].flip(0)
        joint = ahead + back
        start = torch.tanh(first.start(ahead[-1] + back[0]))
        looking = [start] * len(target)
        for _ in range(2):
            state, carried, given, rows, states = start, torch.zeros(6), torch.zeros(4), [], [start]
            for truth, looks in zip(target, looking, strict=True):
                pairs = [torch.cat([looks, code]) for code in joint]
                scores = [first.attention.v(torch.tanh(first.attention.attn(pair))) for pair in pairs]
                context = torch.softmax(torch.cat(scores), dim=0) @ joint
                state, carried = first.decoder(torch.cat([given, context]), (state, carried))
                rows.append(first.output(torch.cat([state, context])))
                states.append(state)
                given = truth
            looking = states[:-1]
        return joint, torch.stack(rows)

    text, video = torch.nn.functional.pad(features['text'][0], (0, 1)), features['video'][0]
    joint, rebuilt = translated(text, video)
    _, again = translated(rebuilt, text)
    assert answers.losses['video'].item() == pytest.approx((rebuilt - video).square().mean().item(), rel=1e-5)
    assert answers.losses['text'].item() == pytest.approx((again - text)[:, :3].square().mean().item(), rel=1e-5)
    torch.testing.assert_close(answers.values[0], model.value_head(model.reader(joint[None]))[0], rtol=1e-5, atol=1e-6)


def test_the_expression_head_answers_as_a_plain_rendering():
    torch.manual_seed(0)
    shape = SequenceShape({'face': 6}, classes=8, dropout=0.0, form='reference')
    model = build_sequence_model('expression_head', shape, heads=2, head_width=4, inner=5).eval()
    frames = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(0))
    answers = model({'face': frames}).logits
    for row, x in enumerate(frames):
        pooled = plain_attention(model.attention.qkv.weight, model.attention.out, x, 2)
        inner = x + plain_attention(model.block_attention.qkv.weight, model.block_attention.out, model.norm1(x), 2)
        first, second = model.perceptron[0], model.perceptron[3]
        inner = inner + second(torch.nn.functional.gelu(first(model.norm2(inner))))
        expected = model.expression_head(torch.cat([x, pooled, inner], dim=1))
        torch.testing.assert_close(answers[row], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', ['attention_sequence', 'mfn_sequence', 'mctn_sequence', 'expression_head'])
def test_gaps_are_as_if_their_frames_had_never_been(name):
    torch.manual_seed(0)
    model = build_sequence_model(name, SequenceShape(SIZES, values=2, hidden=6, dropout=0.0)).eval()
    features = features_of(1, 9)
    keep = torch.tensor([[True, False, True, True, False, False, True, True, False]])
    short = {name: value[:, keep[0]] for name, value in features.items()}
    torch.testing.assert_close(model(features, keep).values[keep], model(short).values[0], rtol=1e-5, atol=1e-6)


def test_a_frame_that_is_not_kept_has_the_answer_of_its_neighbours():
    """The state before it onward, the state after it backward."""
    torch.manual_seed(0)
    model = build_sequence_model('attention_sequence', SequenceShape(SIZES, values=2, hidden=6, dropout=0.0)).eval()
    keep = torch.tensor([[True, True, False, True, True]])
    states = []
    model.reader.register_forward_hook(lambda _module, _given, output: states.append(output[0]))
    model(features_of(1, 5), keep)
    (frames,) = states
    assert torch.equal(frames[2], torch.cat([frames[1, :6], frames[3, 6:]]))
