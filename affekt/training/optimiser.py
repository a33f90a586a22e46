"""torch's optimisers without their calls to its compiler, and Adam with one native call per step.

Nothing here compiles an optimiser. torch's own import the compiler all the same, only to tell it to leave them alone,
which takes longer than importing the rest of torch.

On a CPU a step of a small model takes longer to prepare than to compute, except in one call. It relies on a private
function of torch. Where that is missing or has other parameters, torch's own step is used, with the same results but
more slowly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

FUNCTION = '_fused_adam_'
"""Name of torch's private function."""
PARAMETERS = (
    'self', 'grads', 'exp_avgs', 'exp_avg_sqs', 'max_exp_avg_sqs', 'state_steps', 'lr', 'beta1', 'beta2',
    'weight_decay', 'eps', 'amsgrad', 'maximize', 'grad_scale', 'found_inf',
)  # fmt: skip
"""Parameters of torch's private function for which this module was written."""


def one_call() -> Callable[..., Any] | None:
    """torch's private function for a whole step; None if it is missing or has other parameters."""
    function: Callable[..., Any] | None = getattr(torch, FUNCTION, None)
    try:
        schema = getattr(torch.ops.aten, FUNCTION).default._schema
    except (AttributeError, RuntimeError):
        return None
    return function if tuple(argument.name for argument in schema.arguments) == PARAMETERS else None


def _step_of(kind: type[Optimizer]) -> Any:
    """torch's step of a kind of optimiser, without its compiler and without gradients through the step itself."""
    return torch.no_grad()(unwrap(kind.step))


class Uncompiled(Optimizer):
    """An optimiser whose methods do not import torch's compiler; the classes below add `step`."""

    add_param_group: Any = unwrap(Optimizer.add_param_group)
    load_state_dict: Any = unwrap(Optimizer.load_state_dict)
    state_dict: Any = unwrap(Optimizer.state_dict)
    zero_grad: Any = unwrap(Optimizer.zero_grad)


class AdamW(Uncompiled, torch.optim.AdamW):
    """torch's AdamW, without its compiler."""

    step: Any = _step_of(torch.optim.AdamW)


class LBFGS(Uncompiled, torch.optim.LBFGS):
    """torch's L-BFGS, without its compiler."""

    step: Any = _step_of(torch.optim.LBFGS)


class PlainAdam(Uncompiled, torch.optim.Adam):
    """torch's Adam, without its compiler."""

    step: Any = _step_of(torch.optim.Adam)


class Adam(PlainAdam):
    """Adam with the results and the saved state of torch's fused Adam.

    Args:
        parameters: parameters of one model on one device, or groups of them with a learning rate each, for which
            torch's own step is used.
        learning_rate: step size.
        weight_decay: L2 penalty.
    """

    def __init__(
        self, parameters: Iterable[Tensor] | Iterable[dict[str, Any]], learning_rate: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, learning_rate, weight_decay=weight_decay, fused=True)
        self._one_call = one_call()
        self._ready: list[Tensor] | None = None
        """Parameters whose moments are at the same step; they share its count."""
        self._moments: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])

    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient."""
        if self._one_call is None or len(self.param_groups) > 1:
            return super().step(closure)
        parameters: list[Tensor] = [p for p in self.param_groups[0]['params'] if p.grad is not None]
        if self._ready is None or list(map(id, parameters)) != list(map(id, self._ready)):
            self._forget()
            loss = super().step(closure)
            self._prepare(parameters)
            return loss
        settings = self.param_groups[0]
        means, squares, counts = self._moments
        counts[0].add_(1)
        with torch.no_grad():
            self._one_call(
                parameters, [p.grad for p in parameters if p.grad is not None], means, squares, [], counts,
                lr=settings['lr'], beta1=settings['betas'][0], beta2=settings['betas'][1],
                weight_decay=settings['weight_decay'], eps=settings['eps'], amsgrad=False, maximize=False,
            )  # fmt: skip
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self._ready = None
        super().load_state_dict(state_dict)

    def _prepare(self, parameters: list[Tensor]) -> None:
        """Prepare the moments for the native call if all parameters are on the CPU and at the same step."""
        states = [self.state[parameter] for parameter in parameters]
        if not parameters or any(parameter.device.type != 'cpu' for parameter in parameters):
            return
        if len({float(state['step']) for state in states}) != 1:
            return
        for state in states[1:]:
            state['step'] = states[0]['step']
        self._ready = parameters
        self._moments = (
            [state['exp_avg'] for state in states],
            [state['exp_avg_sq'] for state in states],
            [state['step'] for state in states],
        )

    def _forget(self) -> None:
        """Give each parameter its own step count again."""
        for parameter in self._ready or []:
            self.state[parameter]['step'] = self.state[parameter]['step'].clone()
        self._ready = None
