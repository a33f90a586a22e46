"""Fusion by products: all products of units of different modalities, in full or at low rank.

Axes: B batch, H hidden, R rank, O = H / 2 output of `lmf`. In the papers' symbols, m being a, v or l:

    codes, with a 1 before          z_m with a 1 appended
    product of TensorFusion         the tensor Z = z_a ⊗ z_v ⊗ z_l, before it is flattened
    factors[m][r]                   w_m^(r), the r-th factor of modality m
    product of LowRankFusion        Λ_m w_m^(r)·z_m, for each r
    weights, bias                   of the sum over r, which is unweighted in the paper
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.fusion.model import MODALITIES, FusionModel, FusionShape, Losses, ModalityEncoders
from affekt.nn import Dropout, NameMap


class TensorFusion(FusionModel):
    """`tfn`: the outer product of the three codes, each with a 1 prepended, then two layers with ReLU.

    It has (H + 1)³ H parameters: 276 million at H = 128.

    Source: Zadeh et al. 2017, arXiv:1707.07250.
    """

    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape, width=shape.hidden)
        self.encoders = ModalityEncoders(shape)
        self.dropout = Dropout(shape.dropout)
        self.first = nn.Linear((shape.hidden + 1) ** 3, shape.hidden)
        self.second = nn.Linear(shape.hidden, shape.hidden)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) code; no auxiliary loss."""
        codes = {name: _with_one(code) for name, code in self.encoders(features, keep).items()}  # (B, H + 1)
        product = torch.einsum('bi,bj,bk->bijk', codes['audio'], codes['video'], codes['text'])  # (B, H+1, H+1, H+1)
        product = product.flatten(1)  # (B, (H+1)³)
        return torch.relu(self.second(torch.relu(self.first(self.dropout(product))))), {}

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        layers = {'post_fusion_layer_1': 'first', 'post_fusion_layer_2': 'second'}
        return {**super().published_names(), **layers}


class LowRankFusion(FusionModel):
    """`lmf`: the same product by factors of rank R, at the cost of three matrix products.

        h = Σ_r weights_r (w_a^(r)·z_a ∘ w_v^(r)·z_v ∘ w_l^(r)·z_l) + bias

    The corrected form standardises its inputs and normalises each code before the product: otherwise the product of
    three small codes is so small that training collapses to a constant.

    Args:
        rank: R, the number of factors per modality.

    Source: Liu et al. 2018, arXiv:1806.00064, equation 8.
    """

    def __init__(self, shape: FusionShape, *, rank: int = 4) -> None:
        super().__init__(shape, width=shape.hidden // 2)
        self.encoders = ModalityEncoders(shape)
        out = shape.hidden // 2
        self.factors = nn.ParameterDict(
            {name: nn.Parameter(torch.empty(rank, shape.hidden + 1, out)) for name in MODALITIES}
        )
        self.weights = nn.Parameter(torch.empty(1, rank))
        self.bias = nn.Parameter(torch.zeros(1, out))
        for parameter in (*self.factors.values(), self.weights):
            if not parameter.is_meta:  # a meta tensor has no values, and drawing would load the compiler
                nn.init.xavier_normal_(parameter)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H / 2) code; no auxiliary loss."""
        codes = self.encoders(features, keep)
        product = torch.ones((), device=self.bias.device, dtype=self.bias.dtype)
        for name in MODALITIES:
            code = codes[name]
            if self.shape.corrected:
                code = functional.layer_norm(code, code.shape[-1:])
            product = product * torch.einsum('bi,rio->rbo', _with_one(code), self.factors[name])  # (R, B, O)
        return torch.einsum('r,rbo->bo', self.weights[0], product) + self.bias, {}  # (B, O)

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        factors = {f'{name}_factor': f'factors.{name}' for name in MODALITIES}
        return {**super().published_names(), **factors, 'fusion_weights': 'weights', 'fusion_bias': 'bias'}


def _with_one(code: Tensor) -> Tensor:
    """(B, H) to (B, H + 1), with a 1 prepended."""
    return functional.pad(code, (1, 0), value=1.0)
