"""MISA: modality-private and shared representations, separated by three losses.

Axes: B batch, H hidden. The six vectors are always in the order private text, video, audio, then shared text, video,
audio. In the paper's symbols, m being a modality:

    plain                           u_m
    private, shared                 h_m^p = E_p(u_m; θ_m^p) and h_m^c = E_c(u_m; θ^c)
    rebuild                         D(h_m^p + h_m^c), which must equal u_m
    tokens, mixed                   M and M̄ = Transformer(M)
    similarity                      α L_sim, with CMD_K for K = 5
    difference                      β L_diff
    reconstruction                  γ L_recon
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affekt.fusion.model import FusionModel, FusionShape, Losses, ModalityEncoders, presence
from affekt.nn import Dropout, NameMap, in_single_precision

ORDER = ('text', 'video', 'audio')
PAIRS = (('text', 'video'), ('text', 'audio'), ('audio', 'video'))
EPSILON = 1e-12
"""Added under square roots in the corrected form: without it the gradient at 0 is nan."""


class MisaFusion(FusionModel):
    """`misa`: private and shared vectors of each modality, mixed by one transformer layer.

    The published form collapses to a constant, then to NaN, at a learning rate of 1e-3: the roots of its central moment
    discrepancy have no epsilon, and its transformer is post-norm. The corrected form has the epsilon, is pre-norm, and
    squashes the vectors by tanh, which is centred at 0, instead of a sigmoid.

    Args:
        similarity: weight of the central moment discrepancy between the shared vectors.
        difference: weight of the correlation between private and shared vectors.
        reconstruction: weight of the error of a modality's vector rebuilt from its private and shared vectors.

    Source: Hazarika et al. 2020, arXiv:2005.03545, equations 5 to 11.
    """

    def __init__(
        self, shape: FusionShape, *, similarity: float = 0.1, difference: float = 0.1, reconstruction: float = 0.1
    ) -> None:
        hidden = shape.hidden
        super().__init__(shape, width=hidden // 2)
        self.weights = {'similarity': similarity, 'difference': difference, 'reconstruction': reconstruction}
        self.encoders = ModalityEncoders(shape)
        self.projections = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.LayerNorm(hidden)) for name in ORDER}
        )
        self.private = nn.ModuleDict({name: nn.Linear(hidden, hidden) for name in ORDER})
        self.shared = nn.Linear(hidden, hidden)
        self.rebuild = nn.ModuleDict({name: nn.Linear(hidden, hidden) for name in ORDER})
        self.mixer = nn.TransformerEncoderLayer(hidden, nhead=2, dropout=0.1, norm_first=shape.corrected)
        self.first = nn.Linear(6 * hidden, 3 * hidden)
        self.dropout = Dropout(shape.dropout)
        self.second = nn.Linear(3 * hidden, hidden // 2)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H / 2) representation; losses similarity, difference, reconstruction."""
        codes = self.encoders(features, keep)
        plain = {name: self.projections[name](codes[name]) for name in ORDER}
        squash = torch.tanh if self.shape.corrected else torch.sigmoid
        private = {name: squash(self.private[name](plain[name])) for name in ORDER}
        shared = {name: squash(self.shared(plain[name])) for name in ORDER}
        tokens = torch.stack([*(private[name] for name in ORDER), *(shared[name] for name in ORDER)])  # (6, B, H)
        mixed = self.mixer(tokens).transpose(0, 1).flatten(1)  # (6, B, H), (B, 6, H), then (B, 6H)
        fused = self.second(torch.relu(self.dropout(self.first(mixed))))
        return fused, self._losses(plain, private, shared, presence(keep))

    def _losses(
        self,
        plain: dict[str, Tensor],
        private: dict[str, Tensor],
        shared: dict[str, Tensor],
        present: dict[str, Tensor],
    ) -> Losses:
        corrected = self.shape.corrected
        epsilon = EPSILON if corrected else 0.0
        rows = {name: present[name].to(plain[name].dtype) for name in ORDER}  # (B,)
        discrepancies = [moment_discrepancy(shared[a], shared[b], rows[a], rows[b], epsilon=epsilon) for a, b in PAIRS]
        correlations = [correlation(private[name], shared[name], rows[name], detached=not corrected) for name in ORDER]
        correlations += [
            correlation(private[a], private[b], rows[a] * rows[b], detached=not corrected) for a, b in PAIRS
        ]
        errors = [
            rebuilding_error(self.rebuild[name](private[name] + shared[name]), plain[name], rows[name])
            for name in ORDER
        ]
        return {
            'similarity': self.weights['similarity'] * torch.stack(discrepancies).mean(),
            'difference': self.weights['difference'] * torch.stack(correlations).sum(),
            'reconstruction': self.weights['reconstruction'] * torch.stack(errors).mean(),
        }

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        names = dict(super().published_names())
        for name in ORDER:
            m = name[0]
            names[f'project_{m}.project_{m}'] = f'projections.{name}.0'
            names[f'project_{m}.project_{m}_layer_norm'] = f'projections.{name}.2'
            names[f'private_{m}.private_{m}_{3 if m == "a" else 1}'] = f'private.{name}'
            names[f'recon_{m}.recon_{m}_1'] = f'rebuild.{name}'
        names |= {'shared.shared_1': 'shared', 'transformer_encoder.layers.0': 'mixer'}
        return names | {'fusion.fusion_layer_1': 'first', 'fusion.fusion_layer_3': 'second'}


@in_single_precision
def moment_discrepancy(
    first: Tensor,
    second: Tensor,
    first_rows: Tensor,
    second_rows: Tensor,
    *,
    moments: int = 5,
    epsilon: float = EPSILON,
) -> Tensor:
    """Central moment discrepancy of two sets of vectors: √epsilon per moment where the first `moments` of them agree.

        |E x - E y| + Σ_k |E (x - E x)**k - E (y - E y)**k|,  k from 2 to `moments`

    Args:
        first: (B, H) x.
        second: (B, H) y.
        first_rows: (B,) weight of each row of `first`, 1 or 0.
        second_rows: (B,) weight of each row of `second`, 1 or 0.
        moments: highest moment.
        epsilon: added under each root.

    Source: Zellinger et al. 2017, arXiv:1702.08811, definition 2.
    """
    first_mean, second_mean = _mean_rows(first, first_rows), _mean_rows(second, second_rows)
    total = _length(first_mean - second_mean, epsilon)
    for order in range(2, moments + 1):
        first_moment = _mean_rows((first - first_mean) ** order, first_rows)  # (H,)
        total = total + _length(first_moment - _mean_rows((second - second_mean) ** order, second_rows), epsilon)
    return total


@in_single_precision
def correlation(first: Tensor, second: Tensor, rows: Tensor, *, detached: bool = False) -> Tensor:
    """Mean squared entry of the (H, H) product of two centred sets with rows of length 1.

    Args:
        first: (B, H).
        second: (B, H).
        rows: (B,) weight of each row, 1 or 0.
        detached: lengths get no gradient, as published.
    """
    normalised = []
    for matrix in (first, second):
        centred = (matrix - _mean_rows(matrix, rows)) * rows.unsqueeze(-1)  # (B, H), rows as (B, 1)
        squared = centred.square().sum(dim=1, keepdim=True)
        length = squared.sqrt().detach() if detached else (squared + EPSILON).sqrt()
        normalised.append(centred / (length + 1e-6))
    return (normalised[0].T @ normalised[1]).square().mean()  # (H, H), then one number


@in_single_precision
def rebuilding_error(rebuilt: Tensor, plain: Tensor, rows: Tensor) -> Tensor:
    """Mean squared error of (B, H) rebuilt vectors over the (B,) rows of weight 1."""
    return _mean_rows((rebuilt - plain).square().mean(dim=1), rows)


def _mean_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Mean over the rows of weight 1; 0 without any."""
    weights = rows.reshape(-1, *[1] * (values.ndim - 1))  # (B,) or (B, 1)
    return (values * weights).sum(dim=0) / rows.sum().clamp(min=1.0)


def _length(vector: Tensor, epsilon: float) -> Tensor:
    return (vector.square().sum() + epsilon).sqrt()
