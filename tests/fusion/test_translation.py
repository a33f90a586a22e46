"""Decoders that read codes by attention: of all steps at once, beside a loop."""

import pytest
import torch

from affekt.fusion import Translator, additive_attention
from affekt.fusion.additive_attention import AdditiveAttention
from affekt.sequence_models import SequenceShape

ROWS, STEPS, ANSWER, HIDDEN = 3, 9, 5, 4


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def looped(translator, joint, start, given, keep, seen) -> tuple[torch.Tensor, torch.Tensor]:
    """Answers and states by the formulas, step by step.

    Args:
        given: (B, T, D), each of which is read at the next step.
        seen: (B, T, H) the states that attend.
    """
    state, carried, before, answers, states = start, torch.zeros_like(start), torch.zeros(ROWS, ANSWER), [], []
    for step in range(STEPS):
        pairs = torch.cat([seen[:, step].unsqueeze(1).expand_as(joint), joint], dim=2)
        scores = translator.attention.v(torch.tanh(translator.attention.attn(pairs))).squeeze(2)
        context = (torch.softmax(scores.masked_fill(~keep, -1e9), dim=1).unsqueeze(2) * joint).sum(dim=1)
        state, carried = translator.decoder(torch.cat([before, context], dim=1), (state, carried))
        answers.append(translator.output(torch.cat([state, context], dim=1)))
        states.append(state)
        before = given[:, step]
    return torch.stack(answers, dim=1), torch.stack(states, dim=1)


@pytest.mark.parametrize('forcing', [0.0, 0.4, 1.0])
def test_all_steps_at_once_are_two_passes_of_a_loop_and_so_are_their_gradients(forcing):
    torch.manual_seed(0)
    shape = SequenceShape({'text': ANSWER, 'video': ANSWER}, values=2, hidden=HIDDEN, dropout=0.0)
    translator = Translator(ANSWER, ANSWER, shape, forcing, at_once=True)
    source, truth = draw(ROWS, STEPS, ANSWER).requires_grad_(), draw(ROWS, STEPS, ANSWER, seed=1).requires_grad_()
    keep = torch.arange(STEPS) < torch.tensor([[STEPS], [STEPS - 1], [2]])
    torch.manual_seed(1)
    _, answers = translator(source, truth, keep)
    torch.manual_seed(1)
    forced = (torch.rand(STEPS, ROWS, 1) < forcing).transpose(0, 1)
    joint, start = translator.encode(source, keep)
    with torch.no_grad():
        first, states = looped(translator, joint, start, truth, keep, start.unsqueeze(1).expand(-1, STEPS, -1))
    seen = torch.cat([start.unsqueeze(1), states[:, :-1]], dim=1)
    expected, _ = looped(translator, joint, start, torch.where(forced, truth, first), keep, seen)
    torch.testing.assert_close(answers, expected, rtol=1e-5, atol=1e-6)
    leaves = [source, *translator.parameters()]
    wanted, given = (torch.autograd.grad(each.square().sum(), leaves) for each in (expected, answers))
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('block', [1, 40, 2**20], ids=['a state a block', 'some states', 'all rows'])
@pytest.mark.parametrize('strength', [1.0, 60.0], ids=['usual weights', 'weights beyond what exp can hold'])
def test_attention_over_pairs_is_its_formula_and_so_are_its_gradients(monkeypatch, block, strength):
    monkeypatch.setattr(additive_attention, 'BLOCK', block)
    torch.manual_seed(0)
    attention = AdditiveAttention(HIDDEN)
    attention.attn.weight.data *= strength
    states, codes = draw(2, 6, HIDDEN).requires_grad_(), draw(2, 5, HIDDEN, seed=1).requires_grad_()
    keep = torch.tensor([[True] * 5, [True, True, False, True, False]])
    pairs = torch.cat([states.unsqueeze(2).expand(2, 6, 5, HIDDEN), codes.unsqueeze(1).expand(2, 6, 5, HIDDEN)], dim=3)
    scores = attention.v(torch.tanh(attention.attn(pairs))).squeeze(3).masked_fill(~keep.unsqueeze(1), -1e9)
    expected = torch.softmax(scores, dim=2) @ codes
    contexts = attention(states, codes, attention.project(codes), keep)
    torch.testing.assert_close(contexts, expected, rtol=1e-4, atol=1e-5)
    leaves = [states, codes, *attention.parameters()]
    wanted, given = (torch.autograd.grad(each.square().sum(), leaves) for each in (expected, contexts))
    torch.testing.assert_close(given, wanted, rtol=1e-3, atol=2e-5)
