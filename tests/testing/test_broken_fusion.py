"""A fusion model that breaks one promise is refused, with the sentence on that promise."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch')

from affekt.errors import ContractError  # noqa: E402
from affekt.fusion import FusionModel  # noqa: E402
from affekt.testing import check_fusion  # noqa: E402


class Sum(FusionModel):
    """One linear layer a modality, summed; a learned vector where one is missing."""

    needs_modalities = None
    levels = ('utterance',)

    def __init__(self, shape):
        super().__init__(shape, width=shape.hidden)
        self.layers = torch.nn.ModuleDict({n: torch.nn.Linear(size, shape.hidden) for n, size in shape.sizes.items()})

    def codes(self, features):
        return torch.stack([layer(features[name]) for name, layer in self.layers.items()])

    def fuse(self, features, keep):
        return self.codes(features).tanh().sum(dim=0), {}


class OfTheBatch(Sum):
    def fuse(self, features, keep):
        code = self.codes(features).sum(dim=0)
        return code - code.mean(dim=0), {}


class Draws(Sum):
    def fuse(self, features, keep):
        code = self.codes(features).sum(dim=0)
        return code + torch.rand_like(code), {}


class Unread(Sum):
    def __init__(self, shape):
        super().__init__(shape)
        self.spare = torch.nn.Linear(2, 2)


class Lenient(Sum):
    def load_state_dict(self, state_dict, strict=True, assign=False):
        return super().load_state_dict(state_dict, strict=False, assign=assign)


class Forgets(Sum):
    def __init__(self, shape):
        super().__init__(shape)
        self.shift = float(torch.rand(()))

    def fuse(self, features, keep):
        return self.codes(features).sum(dim=0) + self.shift, {}


class Infinite(Sum):
    def fuse(self, features, keep):
        return self.codes(features).sum(dim=0) / 0.0, {}


class OneVector(Sum):
    def fuse(self, features, keep):
        return self.codes(features).sum(dim=(0, 1)), {}


class Peeks(Sum):
    """Reads what is not kept."""

    def forward(self, features, keep_mask=None):
        fused = super().forward(features, keep_mask)
        return type(fused)(fused.features, fused.logits + features['text'].sum(dim=1, keepdim=True), fused.values)


class SquareRoot(Sum):
    """Has an infinite gradient at 0."""

    def fuse(self, features, keep):
        return (self.codes(features) * 0).sqrt().sum(dim=0) + self.codes(features).sum(dim=0), {}


class FallsOver(Sum):
    def fuse(self, features, keep):
        return features['smell'], {}


class FallsOverWithoutText(Sum):
    def fuse(self, features, keep):
        if not keep['text'].all():
            raise KeyError('text')
        return super().fuse(features, keep)


class NoGradient(Sum):
    def forward(self, features, keep_mask=None):
        with torch.no_grad():
            return super().forward(features, keep_mask)


class NoLevel(Sum):
    levels = ()


BROKEN = {
    'for each sample alone': OfTheBatch,
    'the same answers of Draws at utterance level twice': Draws,
    'a gradient for every parameter': Unread,
    'a state that lacks a tensor to be refused': Lenient,
    'the same answers of Forgets at utterance level from the same state': Forgets,
    'finite answers': Infinite,
    'features (B, F), logits (B, C)': OneVector,
    'to answer, whatever is kept': FallsOver,
    'FallsOverWithoutText at utterance level to answer, whatever is kept': FallsOverWithoutText,
    'a loss of NoGradient at utterance level in training': NoGradient,
    'to change no answer of Peeks': Peeks,
    'finite gradients': SquareRoot,
    'levels of NoLevel': NoLevel,
    'a subclass of FusionModel': torch.nn.Linear,
}


@pytest.mark.parametrize('promise', BROKEN)
def test_a_broken_fusion_model_is_refused(promise):
    with pytest.raises(ContractError) as raised:
        check_fusion(BROKEN[promise])
    assert promise in raised.value.expected


def test_a_plain_sum_keeps_the_contract():
    check_fusion(Sum)
