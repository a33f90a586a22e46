"""The contract of fusion models, on tiny synthetic features.

B batch, T time, D feature, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from affekt.errors import ContractError, MissingExtraError
from affekt.testing.contract import promised, refuses, require

if TYPE_CHECKING:
    from torch import Tensor

    from affekt.fusion import Fused, FusionModel

SIZES = {'audio': 5, 'text': 7, 'video': 6}
ROWS, STEPS, CLASSES = 6, 4, 3
TOLERANCE = 1e-4
Batch = dict[str, 'Tensor']


def check_fusion(model: type[FusionModel] | str, **options: Any) -> None:
    """Check that a fusion model's corrected form answers each sample by its own present modalities, and that it trains.

    At each of its levels:

    1. It returns (B, F) features, (B, C) logits and (B, V) values, all finite; no logits without classes, no values
       without values; the same seed gives the same weights.
    2. In evaluation, it gives the same output twice; the order of the samples and the rest of the batch have no
       effect.
    3. Inputs that are not kept change no output in any bit, for every set of modalities; a missing modality does change
       outputs that depend on it.
    4. Every parameter gets a gradient from the task and the model's own losses, and all gradients are finite.
    5. Its state loads strictly into another instance, which then gives the same output; a state that lacks a tensor is
       refused.
    6. Features of another size are refused.

    Args:
        model: a subclass of `FusionModel`, or its name.
        options: options of the model besides its `FusionShape`.

    Raises:
        ContractError: a check fails.
        MissingExtraError: torch is not installed.
    """
    try:
        from affekt.fusion import FUSION_MODELS, FusionModel
    except ImportError as error:
        raise MissingExtraError(
            expected='torch, for fusion models', came='none', todo="install it: pip install 'affekt[torch]'"
        ) from error
    with promised('a fusion model of that name'):
        model = cast('type[FusionModel]', FUSION_MODELS[model] if isinstance(model, str) else model)
    is_model = isinstance(model, type) and issubclass(model, FusionModel)
    require(is_model, 'a subclass of FusionModel', repr(model))
    known = set(model.levels) <= {'utterance', 'frame'} and bool(model.levels)
    require(known, f'levels of {model.__name__}, utterance or frame or both', repr(model.levels))
    for level in model.levels:
        _Case(model, level, options).check()


class _Case:
    """One model at one level."""

    def __init__(self, model: type[FusionModel], level: str, options: Mapping[str, Any]) -> None:
        self.model, self.level, self.options = model, level, options
        self.label = f'{model.__name__} at {level} level'
        needs = model.needs_modalities or tuple(SIZES)
        self.sizes = {name: SIZES.get(name, 4) for name in needs}

    def check(self) -> None:
        """Run all checks in order."""
        with promised(f'{self.label} to be built, and to answer'):
            network, batch = self.built(), self.batch()
            self._check_shapes(network, batch)
        self._check_batches(network, batch)
        self._check_masks(network, batch)
        self._check_gradients()
        self._check_state(network, batch)
        wrong = {name: value[..., :-1] for name, value in batch.items()}
        refuses(f'features of another size to be refused by {self.label}', network, wrong)

    def built(self, classes: int = CLASSES, values: int = 1, seed: int = 3) -> FusionModel:
        """The model, without dropout, in evaluation mode."""
        from affekt.fusion import FusionShape
        from affekt.nn import seeded

        shape = FusionShape(self.sizes, classes, values, cast(Any, self.level), hidden=16, dropout=0.0)
        with seeded(seed):
            return self.model(shape, **self.options).eval()

    def batch(self, rows: int = ROWS) -> Batch:
        """Modality to (B, D), or (B, T, D), of synthetic features."""
        import torch

        draws = torch.Generator().manual_seed(0)
        axes = (rows,) if self.level == 'utterance' else (rows, STEPS)
        return {name: torch.randn(*axes, size, generator=draws) for name, size in self.sizes.items()}

    def kept(self, batch: Batch) -> Batch:
        """Masks that keep everything."""
        return {name: value.new_ones(value.shape[:-1]).bool() for name, value in batch.items()}

    def _answer(self, network: FusionModel, batch: Batch, keep: Batch | None = None) -> Fused:
        import torch

        with promised(f'{self.label} to answer, whatever is kept'), torch.no_grad():
            return cast('Fused', network(batch, keep))

    def _check_shapes(self, network: FusionModel, batch: Batch) -> None:
        import torch

        fused = self._answer(network, batch)
        shapes = (fused.features.ndim, len(fused.features), tuple(fused.logits.shape), tuple(fused.values.shape))
        wanted = (2, ROWS, (ROWS, CLASSES), (ROWS, 1))
        require(shapes == wanted, f'features (B, F), logits (B, C) and values (B, V) from {self.label}', repr(fused))
        finite = all(bool(torch.isfinite(part).all()) for part in (fused.features, fused.logits, fused.values))
        require(finite, f'finite answers from {self.label}', 'nan or infinity')
        bare = self._answer(self.built(classes=0), batch).logits, self._answer(self.built(values=0), batch).values
        empty = tuple(part.shape[1] for part in bare) == (0, 0)
        require(empty, f'no logits from {self.label} without classes, and no values without values', 'some')
        same = _same(self.built().state_dict(), network.state_dict())
        require(same, f'the same weights of {self.label} from the same seed', 'others')

    def _check_batches(self, network: FusionModel, batch: Batch) -> None:
        import torch

        whole = self._answer(network, batch).logits
        again = self._answer(network, batch).logits
        require(bool(torch.equal(whole, again)), f'the same answers of {self.label} twice', 'others')
        turned = self._answer(network, {name: value.flip(0) for name, value in batch.items()}).logits.flip(0)
        require(_close(whole, turned), f'answers of {self.label} that do not depend on order', _apart(whole, turned))
        each = [self._answer(network, {name: value[i : i + 1] for name, value in batch.items()}) for i in range(ROWS)]
        alone = torch.cat([one.logits for one in each])
        require(_close(whole, alone), f'answers of {self.label} for each sample alone', _apart(whole, alone))

    def _check_masks(self, network: FusionModel, batch: Batch) -> None:
        import torch

        for subset in product((True, False), repeat=len(batch)):
            if not any(subset):
                continue
            keep = self.kept(batch)
            for name, is_kept in zip(batch, subset, strict=True):
                keep[name][1::2] &= is_kept
            junk = {name: torch.where(keep[name].unsqueeze(-1), value, 1e3) for name, value in batch.items()}
            first, second = self._answer(network, batch, keep), self._answer(network, junk, keep)
            same = torch.equal(first.logits, second.logits) and torch.equal(first.values, second.values)
            gone = [name for name, is_kept in zip(batch, subset, strict=True) if not is_kept]
            promise = f'what is not kept of {" and ".join(gone) or "nothing"} to change no answer of {self.label}'
            require(bool(same and torch.isfinite(first.logits).all()), promise, _apart(first.logits, second.logits))
        code = self._answer(network, batch).features
        changed = {name: self._answer(network, {**batch, name: value + 1.0}).features for name, value in batch.items()}
        read = [name for name, other in changed.items() if not torch.equal(code, other)]
        require(bool(read), f'answers of {self.label} that depend on its features', 'others')
        for name in read if len(batch) > 1 else ():
            keep = self.kept(batch)
            keep[name][:] = False
            noticed = not torch.allclose(code, self._answer(network, batch, keep).features, atol=1e-6)
            require(noticed, f'{self.label} to notice that {name} is missing', 'the same answer as with it')

    def _check_gradients(self) -> None:
        import torch

        from affekt.nn import seeded

        network, batch = self.built().train(), self.batch(12)
        keep = self.kept(batch)
        for place, name in enumerate(batch if len(batch) > 1 else ()):
            keep[name][9 + place % 3] = False
        with promised(f'a loss of {self.label} in training, and its gradients'), seeded(3):
            fused = network(batch, keep)
            loss = torch.nn.functional.cross_entropy(fused.logits, torch.arange(12) % CLASSES)
            loss = loss + fused.values.squeeze(1).sub(torch.linspace(-1, 1, 12)).square().mean() + fused.auxiliary
            loss.backward()
        optional = 'absent' if len(batch) == 1 else '\0'  # a single modality is never missing
        gradients = {name: p.grad for name, p in network.named_parameters() if p.requires_grad and optional not in name}
        broken = [name for name, grad in gradients.items() if grad is not None and not bool(torch.isfinite(grad).all())]
        require(not broken, f'finite gradients of {self.label}', f'nan or infinity in {", ".join(broken[:5])}')
        without = [name for name, grad in gradients.items() if grad is None or not bool(grad.abs().sum() > 0)]
        require(not without, f'a gradient for every parameter of {self.label}', f'none for {", ".join(without[:5])}')

    def _check_state(self, network: FusionModel, batch: Batch) -> None:
        import torch

        other, state = self.built(seed=4), network.state_dict()
        with promised(f'the state of {self.label} to load strictly into another one'):
            other.load_state_dict(state, strict=True)
        first, second = self._answer(network, batch).logits, self._answer(other, batch).logits
        require(bool(torch.equal(first, second)), f'the same answers of {self.label} from the same state', 'others')
        _require_strict(other.load_state_dict, state, self.label)


def _require_strict(load: Callable[[dict[str, Any]], Any], state: Mapping[str, Any], label: str) -> None:
    part = dict(state)
    part.pop(next(iter(part)))
    try:
        load(part)
    except RuntimeError:
        return
    raise ContractError(
        expected=f'a state that lacks a tensor to be refused by {label}', came='a model',
        todo='leave load_state_dict as it is',
    )  # fmt: skip


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return set(first) == set(second) and all(bool((first[name] == second[name]).all()) for name in first)


def _close(first: Any, second: Any) -> bool:
    import torch

    return torch.allclose(first, second, rtol=TOLERANCE, atol=TOLERANCE / 10)


def _apart(first: Any, second: Any) -> str:
    return f'answers apart by up to {float((first - second).abs().max()):.2g}'
