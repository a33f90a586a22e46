"""The losses of frame-level models, each over kept frames with known truth.

Unknown is -1 for an expression or an action unit and nan for a value. A loss without any such frame is 0, with a
gradient of 0.

Axes: B windows, T frames, N any leading axes, C classes, V values, U action units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from affekt.errors import ShapeError, UnknownNameError, ValueRangeError

Moments = Literal['population', 'published']
Across = Literal['window', 'batch']

EPSILON = 1e-8
"""Added to a sum of variances, so that a constant against itself scores 0, not nan."""
PUBLISHED_EPSILON = 1e-10
"""The constant of the published code, beside a product of standard deviations and in the denominator."""


def concordance_loss(
    values: Tensor,
    truth: Tensor,
    keep_mask: Tensor | None = None,
    *,
    moments: Moments = 'population',
    across: Across = 'window',
) -> Tensor:
    """1 - CCC, the mean over windows and values.

        1 - 2 cov(t, v) / (var(t) + var(v) + (mean(t) - mean(v))**2)

    The official score is computed over all frames together, so `across='batch'` is closer to it; the published entry
    minimises one per window: its `2 - (CCC_v + CCC_a)` is V times this mean.

    Args:
        values: (B, T, V) predictions.
        truth: (B, T, V); nan where unknown.
        keep_mask: (B, T) bool; None keeps all.
        moments: `population` divides all moments by the number n of frames, as the score does; `published` divides the
            covariance by n but variances by n - 1, so that the loss of a perfect prediction is 1 / n.
        across: `window` for one score per window, `batch` for one of all frames of the batch.

    Returns:
        A scalar; 1 for a window whose truth or prediction is constant. A window without any known frame does not count.

    Raises:
        ShapeError: the shapes differ, or the mask is not a (B, T) bool.
        UnknownNameError: unknown `moments` or `across`.

    Source: Lin 1989, doi:10.2307/2532051.
    """
    if moments not in ('population', 'published') or across not in ('window', 'batch'):
        raise UnknownNameError(
            expected='moments population or published, across window or batch', came=f'{moments!r}, {across!r}',
            todo='choose one of each',
        )  # fmt: skip
    known = _known(~truth.isnan(), keep_mask, values)
    if across == 'batch':
        values, truth, known = (tensor.flatten(0, 1).unsqueeze(0) for tensor in (values, truth, known))  # (1, B·T, V)
    values = torch.where(known, values.float(), 0.0)
    truth = torch.where(known, truth.float(), 0.0)
    count = known.sum(dim=1).clamp(min=1)  # (B, V)
    values_mean, truth_mean = values.sum(dim=1) / count, truth.sum(dim=1) / count
    values_offsets = torch.where(known, values - values_mean.unsqueeze(1), 0.0)  # (B, T, V), the mean as (B, 1, V)
    truth_offsets = torch.where(known, truth - truth_mean.unsqueeze(1), 0.0)
    covariance = (values_offsets * truth_offsets).sum(dim=1) / count
    shift = (values_mean - truth_mean).square()
    divisor = count if moments == 'population' else (count - 1).clamp(min=1)
    values_variance = values_offsets.square().sum(dim=1) / divisor
    truth_variance = truth_offsets.square().sum(dim=1) / divisor
    if moments == 'published':  # r of the code, cov / (s_v s_t + ε), times s_v s_t again
        product = (values_variance * truth_variance).clamp(min=PUBLISHED_EPSILON**2).sqrt()
        covariance = covariance * product / (product + PUBLISHED_EPSILON)
    epsilon = EPSILON if moments == 'population' else PUBLISHED_EPSILON
    scores = 2 * covariance / (values_variance + truth_variance + shift + epsilon)  # (B, V)
    return _mean(1 - scores, known.any(dim=1))


def squared_loss(values: Tensor, truth: Tensor, keep_mask: Tensor | None = None) -> Tensor:
    """The mean squared error over known values; shapes as in `concordance_loss`."""
    known = _known(~truth.isnan(), keep_mask, values)
    return _mean((values.float() - truth.float().nan_to_num()).square(), known)


@dataclass(frozen=True)
class ExpressionLoss:
    """The loss of expressions; with the defaults, plain cross-entropy.

        q_c = (1 - smoothing) [c = label] + smoothing / C
        (1 - divergence) mean of w alpha (1 - p_label)**gamma (-Σ_c q_c log p_c)
            + divergence mean of w Σ_c q_c log(q_c / p_c)

    Means are weighted by the weights w of the labels, and divide by their sum.

    Args:
        smoothing: share of the truth that is spread evenly over all classes, in [0, 1).
        alpha: factor of the focal term.
        gamma: focal exponent, which reduces the weight of frames whose true class is already probable; 0 for none.
        divergence: share in [0, 1] of the Kullback-Leibler divergence from the smoothed truth.
        weights: weight of each class, see `class_weights`; () for none.

    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7 (smoothing); Lin et al. 2017, arXiv:1708.02002, equation 5
    (focal); their sum with a divergence is that of Huynh et al.'s entry to the third ABAW competition.
    """

    smoothing: float = 0.0
    alpha: float = 1.0
    gamma: float = 0.0
    divergence: float = 0.0
    weights: tuple[float, ...] = field(default=())

    def __post_init__(self) -> None:
        in_range = 0 <= self.smoothing < 1 and self.alpha > 0 and self.gamma >= 0 and 0 <= self.divergence <= 1
        if not in_range or min(self.weights, default=0.0) < 0:
            raise ValueRangeError(
                expected='smoothing in [0, 1), alpha above 0, gamma and weights of 0 or more, divergence in [0, 1]',
                came=str(self),
                todo='choose others',
            )

    def __call__(self, logits: Tensor, labels: Tensor, keep_mask: Tensor | None = None) -> Tensor:
        """The loss, a scalar.

        Args:
            logits: (N, C) logits.
            labels: (N) whole numbers, -1 where unknown.
            keep_mask: (N) bool; None keeps all.

        Raises:
            ShapeError: the shapes differ.
            ValueRangeError: a label is not a class, or the number of weights differs from that of classes.
        """
        classes = logits.shape[-1]
        if labels.shape != logits.shape[:-1] or (keep_mask is not None and keep_mask.shape != labels.shape):
            raise ShapeError(
                expected=f'labels and a mask of shape {tuple(logits.shape[:-1])}',
                came=f'{tuple(labels.shape)}, {None if keep_mask is None else tuple(keep_mask.shape)}',
                todo='give one label a frame',
            )
        if labels.numel() and (labels.max() >= classes or labels.min() < -1):
            raise ValueRangeError(
                expected=f'labels from 0 to {classes - 1}, or -1 where unknown',
                came=f'labels from {int(labels.min())} to {int(labels.max())}',
                todo='check which annotation they are of',
            )
        if self.weights and len(self.weights) != classes:
            raise ValueRangeError(
                expected=f'{classes} class weights', came=f'{len(self.weights)}', todo='give one a class'
            )
        known = labels >= 0 if keep_mask is None else (labels >= 0) & keep_mask
        log_shares = torch.log_softmax(torch.where(known.unsqueeze(-1), logits.float(), 0.0), dim=-1)  # (N, C)
        label = labels.clamp(min=0).long()
        weights = known.float()
        if self.weights:
            weights = weights * torch.tensor(self.weights, device=logits.device)[label]
        entropy = self.cross_entropy(log_shares, label)
        if self.gamma or self.alpha != 1:
            entropy = entropy * self.focal_factor(log_shares, label)
        if self.divergence:
            entropy = (1 - self.divergence) * entropy + self.divergence * self.divergences(log_shares, label)
        total = weights.sum()
        return (weights * entropy).sum() / torch.where(total > 0, total, 1.0)

    def cross_entropy(self, log_shares: Tensor, label: Tensor) -> Tensor:
        """(N) cross-entropies with the smoothed truth, from (N, C) logarithms of probabilities and (N) labels."""
        log_share = log_shares.gather(-1, label.unsqueeze(-1)).squeeze(-1)
        return -(1 - self.smoothing) * log_share - self.smoothing * log_shares.mean(dim=-1)

    def focal_factor(self, log_shares: Tensor, label: Tensor) -> Tensor:
        """(N) factors alpha (1 - p_label)**gamma."""
        log_share = log_shares.gather(-1, label.unsqueeze(-1)).squeeze(-1)
        # a power of 0 may have no gradient
        doubt = (-torch.expm1(log_share)).clamp(min=torch.finfo(log_share.dtype).tiny)
        factor: Tensor = self.alpha * torch.pow(doubt, self.gamma)
        return factor

    def divergences(self, log_shares: Tensor, label: Tensor) -> Tensor:
        """(N) Kullback-Leibler divergences of the prediction from the smoothed truth."""
        classes = log_shares.shape[-1]
        spread = self.smoothing / classes
        largest = 1 - self.smoothing + spread
        negative_entropy = largest * math.log(largest)  # Σ q log q, of every frame
        if spread:
            negative_entropy += (classes - 1) * spread * math.log(spread)
        return self.cross_entropy(log_shares, label) + negative_entropy


PUBLISHED_EXPRESSION_LOSS = ExpressionLoss(smoothing=0.1, alpha=0.9, gamma=2.0, divergence=0.2)
"""The loss of the published entry, which computes class weights and uses none."""


def class_weights(counts: Tensor, beta: float = 1.0) -> tuple[float, ...]:
    """Weights that make rare classes count as much as frequent ones.

        w_c ∝ (1 - beta) / (1 - beta**n_c), towards 1 / n_c as beta goes to 1; their mean over the frames is 1

    Args:
        counts: (C,) frames n_c of each class in the training part.
        beta: in [0, 1]; 0 gives equal weights, and so, approximately, does any value below 1 if all classes have far
            more than 1 / (1 - beta) frames.

    Returns:
        C weights; 0 for a class without any frame.

    Raises:
        ValueRangeError: there is no frame, a count is negative, or beta is out of range.

    Source: Cui et al. 2019, arXiv:1901.05555, equation 4.
    """
    numbers = counts.double()
    if numbers.ndim != 1 or numbers.sum() <= 0 or numbers.min() < 0 or not 0 <= beta <= 1:
        raise ValueRangeError(
            expected='counts of 0 or more, one above 0, and beta in [0, 1]', came=f'{counts.tolist()}, beta {beta}',
            todo='count the frames of each class in the training part',
        )  # fmt: skip
    effective = numbers if beta == 1 else (1 - beta**numbers) / (1 - beta)
    raw = torch.where(numbers > 0, 1 / effective.clamp(min=1e-300), 0.0)
    return tuple((raw * numbers.sum() / (raw * numbers).sum()).tolist())


def unit_loss(
    logits: Tensor, units: Tensor, keep_mask: Tensor | None = None, *, positive_weights: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of action units, the mean over known labels.

        -(w_u y log σ(x) + (1 - y) log(1 - σ(x)))

    Args:
        logits: (B, T, U).
        units: (B, T, U) of 0 and 1, -1 where unknown.
        keep_mask: (B, T) bool; None keeps all.
        positive_weights: (U,) weights w of frames with the unit active, see `balanced_units`; None for 1.

    Raises:
        ShapeError: the shapes differ, or the mask is not a (B, T) bool.
    """
    known = _known(units >= 0, keep_mask, logits)
    losses = functional.binary_cross_entropy_with_logits(
        torch.where(known, logits.float(), 0.0), units.clamp(min=0).float(), reduction='none',
        pos_weight=None if positive_weights is None else positive_weights.to(logits.device).float(),
    )  # fmt: skip
    return _mean(losses, known)


def balanced_units(units: Tensor) -> Tensor:
    """(U,) weights of active units: frames without the unit divided by frames with it.

    Args:
        units: (N, U) truths of 0 and 1; -1, which does not count, where unknown.

    Returns:
        (U,) weights; 1 for a unit that is active in no frame or in all.
    """
    active, inactive = (units == 1).flatten(0, -2).sum(dim=0), (units == 0).flatten(0, -2).sum(dim=0)
    return torch.where((active > 0) & (inactive > 0), inactive / active.clamp(min=1), 1.0)


def _known(known: Tensor, keep_mask: Tensor | None, predictions: Tensor) -> Tensor:
    """(B, T, V) bool: known and kept, after a check of the shapes."""
    if known.shape != predictions.shape or known.ndim != 3:
        raise ShapeError(
            expected='answers and truth of one shape (B, T, V)',
            came=f'{tuple(predictions.shape)}, {tuple(known.shape)}',
            todo='give one truth for each answer',
        )
    if keep_mask is None:
        return known
    if keep_mask.dtype != torch.bool or keep_mask.shape != known.shape[:2]:
        raise ShapeError(
            expected=f'a boolean mask of shape {tuple(known.shape[:2])}',
            came=f'{keep_mask.dtype} {tuple(keep_mask.shape)}',
            todo='give True where a frame is kept',
        )
    return known & keep_mask.unsqueeze(2)  # (B, T, 1)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of the values that count; 0 if none does."""
    return torch.where(counted, values, 0.0).sum() / counted.sum().clamp(min=1)
