"""The noise schedule: zero-terminal-SNR noise levels and deterministic DDIM steps on velocities.

| here | paper |
|---|---|
| signal_shares[t] | ᾱ_t: the remaining share of the signal's variance at step t |
| velocity | v = √ᾱ ε - √(1 - ᾱ) x₀ |
| clean, noise | x₀, ε |

Source: Song et al. 2021, arXiv:2010.02502, equation 12; Salimans & Ho 2022, arXiv:2202.00512, appendix D; Lin et al.
2024, arXiv:2305.08891, algorithm 1 (rescaling) and section 3.3 (trailing steps).
"""

from __future__ import annotations

import functools
from fractions import Fraction

import torch
from torch import Tensor

from affekt.errors import ValueRangeError

STEPS = 1000
"""Number of noise levels in training."""
FIRST_VARIANCE, LAST_VARIANCE = 0.00085, 0.012
"""β at the first and last level; linear in between, as in the published code."""


@functools.lru_cache(maxsize=1)
def signal_shares() -> Tensor:
    """(1000,) ᾱ: from 0.99915 down to 0, so that the last level is pure noise."""
    variances = torch.linspace(FIRST_VARIANCE, LAST_VARIANCE, STEPS, dtype=torch.float32)
    amplitudes = torch.cumprod(1 - variances, dim=0).sqrt()
    first, last = amplitudes[0].clone(), amplitudes[-1].clone()
    rescaled = ((amplitudes - last) * (first / (first - last))) ** 2
    # computed through β in float32, as in the published code, so that rounding is the same
    ratios = rescaled[1:] / rescaled[:-1]
    betas = 1 - torch.cat([rescaled[:1], ratios])
    return torch.cumprod(1 - betas, dim=0)


def timesteps(count: int) -> list[int]:
    """Noise levels of a drawing in `count` steps, evenly spaced from the last down: 999, 949, … for 20.

    Raises:
        ValueRangeError: fewer than 1 or more than 1000.
    """
    if not 1 <= count <= STEPS:
        raise ValueRangeError(expected=f'1 to {STEPS} steps', came=str(count), todo='20 is usual')
    return list(_levels(count))


@functools.cache
def _levels(count: int) -> tuple[int, ...]:
    """Levels in exact arithmetic: a sum of rounded parts ends with one level too many for 61 steps."""
    return tuple(round(Fraction(STEPS * (count - number), count)) - 1 for number in range(count))


def level_after(timestep: int, count: int) -> int | None:
    """The noise level that follows in a drawing of `count` steps; None after the last one.

    For a level outside the drawing's own, the next is 1000 / count lower. The published code always uses that, which
    departs from its own levels if 1000 / count is not an integer.

    >>> level_after(949, 20), level_after(49, 20), level_after(666, 3)
    (899, None, 332)
    """
    levels = timesteps(count)
    if timestep in levels:
        position = levels.index(timestep) + 1
        return levels[position] if position < count else None
    lower = timestep - STEPS // count
    return lower if lower >= 0 else None


def ddim_step(noisy: Tensor, velocity: Tensor, timestep: int, count: int) -> Tensor:
    """The latents after one denoising step.

        x₀ = √ᾱ x - √(1 - ᾱ) v,   ε = √ᾱ v + √(1 - ᾱ) x,   x' = √ᾱ' x₀ + √(1 - ᾱ') ε

    Args:
        noisy: x, any shape.
        velocity: v, as the network predicted it.
        timestep: the noise level of x.
        count: steps of the drawing, which decide the next level; see `level_after`.
    """
    shares = signal_shares()
    next_level = level_after(timestep, count)
    share = shares[timestep].to(noisy.device)
    next_share = torch.ones((), device=noisy.device) if next_level is None else shares[next_level].to(noisy.device)
    clean = share.sqrt() * noisy - (1 - share).sqrt() * velocity
    noise = share.sqrt() * velocity + (1 - share).sqrt() * noisy
    return (next_share.sqrt() * clean + (1 - next_share).sqrt() * noise).to(noisy.dtype)


def with_noise(clean: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
    """√ᾱ x₀ + √(1 - ᾱ) ε, for training.

    Args:
        clean: (B, …) x₀.
        noise: (B, …) ε.
        steps: (B,) noise levels.
    """
    shares = _shares_at(steps, clean)
    return shares.sqrt() * clean + (1 - shares).sqrt() * noise


def velocity_of(clean: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
    """√ᾱ ε - √(1 - ᾱ) x₀, the network's target; arguments as in `with_noise`."""
    shares = _shares_at(steps, clean)
    return shares.sqrt() * noise - (1 - shares).sqrt() * clean


def _shares_at(steps: Tensor, like: Tensor) -> Tensor:
    """(B, 1, …) ᾱ of the steps."""
    shares = signal_shares().to(like.device)[steps]
    return shares.reshape(-1, *[1] * (like.ndim - 1))
