"""MMIM: fusion trained to keep mutual information with each modality.

Axes: B batch, H hidden. In the paper's symbols, m being a modality:

    codes                   h_m
    joined, fused           [h_t; h_a; h_v] and Z
    bounds                  I_BA: log q(h_m | h_t), a Gaussian of mean μ(h_t) and variance exp(log_variance(h_t))
    predictors              G_φ of each modality, from Z
    contrastive             its s(h_m, Z) and the loss of noise-contrastive estimation
    contrast                α L_CPC, the sum over modalities
    likelihood              β L_BA, the bounds without their entropy
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.fusion.model import FusionModel, FusionShape, Losses, ModalityEncoders, presence
from affekt.nn import Dropout, NameMap, in_single_precision

ORDER = ('text', 'audio', 'video')


class MmimFusion(FusionModel):
    """`mmim`: two tanh layers over the three codes, and losses that tie the result to the codes.

    The published Gaussian bound lacks the term of the log variance, so that a large variance alone minimises it; the
    corrected form has the term.

    Args:
        predictor_layers: number of linear layers of each contrastive predictor.
        contrast: weight of the three contrastive losses.
        likelihood: weight of the two Gaussian bounds.

    Source: Han et al. 2021, arXiv:2109.00412, equations 5 to 10.
    """

    def __init__(
        self, shape: FusionShape, *, predictor_layers: int = 2, contrast: float = 0.1, likelihood: float = 0.1
    ) -> None:
        hidden = shape.hidden
        super().__init__(shape, width=hidden)
        self.weights = {'contrast': contrast, 'likelihood': likelihood}
        self.encoders = ModalityEncoders(shape)
        self.bounds = nn.ModuleDict(
            {name: _GaussianBound(hidden, entropy=not shape.corrected) for name in ('video', 'audio')}
        )
        self.predictors = nn.ModuleDict({name: _predictor(hidden, predictor_layers) for name in ORDER})
        self.dropout = Dropout(shape.dropout)
        self.first = nn.Linear(3 * hidden, hidden)
        self.second = nn.Linear(hidden, hidden)

    def fuse(self, features: dict[str, Tensor], keep: dict[str, Tensor]) -> tuple[Tensor, Losses]:
        """The (B, H) representation; losses contrast and likelihood."""
        codes = self.encoders(features, keep)
        joined = self.dropout(torch.cat([codes[name] for name in ORDER], dim=1))  # (B, 3H)
        fused = torch.tanh(self.second(torch.tanh(self.first(joined))))
        present = presence(keep)
        full = self.shape.corrected
        bounds = [
            bound(codes['text'], codes[name], present['text'] & present[name], full=full)
            for name, bound in self.bounds.items()
        ]
        contrasts = [
            contrastive(predictor(fused), codes[name], present[name], epsilon=1e-6 if full else 0.0)
            for name, predictor in self.predictors.items()
        ]
        return fused, {
            'contrast': self.weights['contrast'] * torch.stack(contrasts).sum(),
            'likelihood': -self.weights['likelihood'] * torch.stack(bounds).sum(),
        }

    def published_names(self) -> NameMap:
        """Published state names to ours."""
        names = dict(super().published_names())
        for name in ('video', 'audio'):
            names |= {
                f'mi_t{name[0]}.mlp_{part}': f'bounds.{name}.{ours}'
                for part, ours in (('mu', 'mean'), ('logvar', 'log_variance'))
            }
            names[f'mi_t{name[0]}.entropy_prj'] = f'bounds.{name}.entropy'
        names |= {f'cpc_z{name[0]}.net': f'predictors.{name}' for name in ORDER}
        return names | {'fusion_prj.linear_1': 'first', 'fusion_prj.linear_2': 'second'}


class _GaussianBound(nn.Module):
    """Mean log density of one code under a Gaussian computed from another.

        -(μ(x) - y)² / 2σ²(x) - log σ²(x) / 2,  the last term in the corrected form alone

    The published file also has a projection for an entropy estimate that is unused without labels; the reference form
    keeps it so that states load.
    """

    def __init__(self, hidden: int, *, entropy: bool) -> None:
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.log_variance = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        if entropy:
            self.entropy = nn.Sequential(nn.Linear(hidden, hidden // 4), nn.Tanh())

    def forward(self, source: Tensor, target: Tensor, rows: Tensor, *, full: bool) -> Tensor:
        """For the (B,) rows that count, from (B, H) x and y: the mean over units where `full`, else their sum."""
        return log_density(self.mean(source), self.log_variance(source), target, rows, full=full)


@in_single_precision
def log_density(mean: Tensor, log_variance: Tensor, target: Tensor, rows: Tensor, *, full: bool) -> Tensor:
    """Mean log density of (B, H) targets under Gaussians of (B, H) means and log variances; see `_GaussianBound`."""
    if full:
        log_variance = log_variance.clamp(-6.0, 6.0)
    density = -((mean - target) ** 2) / (2 * torch.exp(log_variance))
    if full:
        density = density - log_variance / 2
        return _mean(density.mean(dim=1), rows)
    return torch.mean(density.sum(dim=1))


@in_single_precision
def contrastive(predicted: Tensor, code: Tensor, rows: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """Loss of contrastive predictive coding: each code must be closest to its own sample's prediction.

        -mean over i of (c_i · p_i - log Σ_j exp(c_i · p_j)), both sides of length 1

    Args:
        predicted: (B, H).
        code: (B, H).
        rows: (B,) bool, True for samples that count.
        epsilon: smallest length to divide by; 0 for no limit.

    Returns:
        A scalar; 0 where no sample counts.
    """
    predicted = _direction(predicted, epsilon)
    code = _direction(code, epsilon)
    scores = code @ predicted.T  # (B, B), a row for each code
    log_sums = torch.logsumexp(scores.masked_fill(~rows.unsqueeze(0), torch.finfo(scores.dtype).min), dim=1)  # (B,)
    return -_mean(scores.diagonal() - log_sums, rows)


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    """Mean of (B,) values over the rows that count; 0 without any."""
    return torch.sum(values * rows) / rows.sum().clamp(min=1)


def _direction(rows: Tensor, epsilon: float) -> Tensor:
    if epsilon:
        return functional.normalize(rows, dim=1, eps=epsilon)
    direction: Tensor = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return direction


def _predictor(hidden: int, layers: int) -> nn.Sequential:
    """One linear layer; or linear, tanh, and the remaining linear layers."""
    if layers == 1:
        return nn.Sequential(nn.Linear(hidden, hidden))
    later_layers = [nn.Linear(hidden, hidden) for _ in range(layers - 1)]
    return nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), *later_layers)
