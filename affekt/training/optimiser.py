"""Adam with one call a step on a CPU: a small model's step otherwise costs more in preparation than in arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Adam(torch.optim.Adam):
    """The numbers and the saved state of torch's fused Adam.

    Args:
        parameters: of one model, on one device; or groups of them with a rate each, which torch's own step then takes.
        rate: step size.
        decay: weight decay (L2).
    """

    def __init__(self, parameters: Iterable[Tensor] | Iterable[dict[str, Any]], rate: float, decay: float) -> None:
        super().__init__(parameters, rate, weight_decay=decay, fused=True)
        self._ready: list[Tensor] | None = None
        """Parameters whose moments are at the same step; they share its count."""
        self._moments: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])

    def step(self, closure: Any = None) -> Any:
        """One update of every parameter that has a gradient."""
        if len(self.param_groups) > 1:
            return super().step(closure)
        held: list[Tensor] = [p for p in self.param_groups[0]['params'] if p.grad is not None]
        if self._ready is None or list(map(id, held)) != list(map(id, self._ready)):
            self._forget()
            found = super().step(closure)
            self._prepare(held)
            return found
        settings = self.param_groups[0]
        means, squares, counts = self._moments
        counts[0].add_(1)
        with torch.no_grad():
            torch._fused_adam_(
                held, [p.grad for p in held if p.grad is not None], means, squares, [], counts,
                lr=settings['lr'], beta1=settings['betas'][0], beta2=settings['betas'][1],
                weight_decay=settings['weight_decay'], eps=settings['eps'], amsgrad=False, maximize=False,
            )  # fmt: skip
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._ready = None
        super().load_state_dict(state_dict)

    def _prepare(self, held: list[Tensor]) -> None:
        """Keep the moments at hand where all parameters are on the CPU and at the same step."""
        states = [self.state[p] for p in held]
        if not held or any(p.device.type != 'cpu' for p in held) or len({float(each['step']) for each in states}) != 1:
            return
        for each in states[1:]:
            each['step'] = states[0]['step']
        self._ready = held
        self._moments = (
            [each['exp_avg'] for each in states],
            [each['exp_avg_sq'] for each in states],
            [each['step'] for each in states],
        )

    def _forget(self) -> None:
        """Give each parameter its own count again."""
        for p in self._ready or []:
            self.state[p]['step'] = self.state[p]['step'].clone()
        self._ready = None
