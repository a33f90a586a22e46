"""Model states by name: published names mapped to ours, loaded strictly, with a table of where each tensor went.

A map is a plain dict from a published prefix to ours; the longest dotted prefix wins, None says that a tensor is
deliberately unused, and a name without a rule stays as it is. Files are safetensors, written atomically.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from affekt.errors import WeightsError, listed
from affekt.runs import require_regular_file, write_atomically

NameMap = Mapping[str, str | None]
M = TypeVar('M', bound=nn.Module)


@dataclass(frozen=True)
class CoverageRow:
    """A published tensor: its name, our name for it (None where unused), and its shape."""

    published: str
    ours: str | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Coverage:
    """Our name for every tensor of a published state; loading raises unless all of our tensors are filled."""

    rows: tuple[CoverageRow, ...]

    def __str__(self) -> str:
        width = max((len(row.published) for row in self.rows), default=0)
        lines = [f'{row.published:<{width}}  {row.ours or "(unused)"}  {list(row.shape)}' for row in self.rows]
        unused = sum(row.ours is None for row in self.rows)
        return '\n'.join([*lines, f'{len(self.rows) - unused} tensors loaded, {unused} unused'])


def renamed(name: str, names: NameMap) -> str | None:
    """Our name for a published name; None if the map says that it is unused.

    >>> renamed('encoder.linear_1.weight', {'encoder': 'audio', 'encoder.linear_1': 'audio.layers.0'})
    'audio.layers.0.weight'
    """
    parts = name.split('.')
    for end in range(len(parts), 0, -1):
        prefix = '.'.join(parts[:end])
        if prefix in names:
            ours = names[prefix]
            return None if ours is None else '.'.join([ours, *parts[end:]])
    return name


def load_published(
    model: nn.Module, state: Mapping[str, Tensor], names: NameMap, *, part: Collection[str] | None = None
) -> Coverage:
    """Fill a model from a state saved under published names: every tensor is used or named as unused.

    Args:
        model: filled in place, all or nothing.
        state: published name to tensor; a leading `module.` or `model.` common to all names is ignored.
        names: the map of this model.
        part: our names that the state must fill, such as the trained part of a model; None for all.

    Returns:
        Where each tensor went.

    Raises:
        WeightsError: a tensor is unknown, missing or of the wrong shape, a weight is not finite, or two tensors that
            must be equal differ.
    """
    state = _without_wrapper(state)
    expected = {name: value for name, value in model.state_dict().items() if part is None or name in part}
    rows = tuple(CoverageRow(name, renamed(name, names), tuple(value.shape)) for name, value in state.items())
    unknown = [row.published for row in rows if row.ours is not None and row.ours not in expected]
    absent = sorted(set(expected) - {row.ours for row in rows})
    if unknown or absent:
        raise WeightsError(
            expected=f'a state of {type(model).__name__}',
            came=f'{len(unknown)} unknown tensors ({listed(unknown)}), {len(absent)} absent ({listed(absent)})',
            todo='build the model with the sizes and the form that the file was saved with',
        )
    filled: dict[str, Tensor] = {}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}  # a buffer may mask by -inf
    for row in rows:
        if row.ours is None:
            continue
        value = state[row.published]
        if value.shape != expected[row.ours].shape:
            raise WeightsError(
                expected=f'{row.published} of shape {list(expected[row.ours].shape)}',
                came=f'{row.published} of shape {list(value.shape)}',
                todo='build the model with the sizes that the file was saved with',
            )
        value = value.to(expected[row.ours].dtype)  # where it may overflow; `isfinite` does not know every float8
        if row.ours in parameters and not value.is_meta and not bool(torch.isfinite(value).all()):
            raise WeightsError(
                expected='weights that are finite numbers', came=f'nan or infinity in {row.published}',
                todo='get the file again; training that diverged leaves such weights',
            )  # fmt: skip
        if row.ours in filled and not torch.equal(filled[row.ours], value):
            raise WeightsError(
                expected=f'{row.published} equal to the tensor that it is tied to',
                came='other values',
                todo='check the file: the published model saves one tensor under several names',
            )
        filled[row.ours] = value
    is_meta = any(value.is_meta for value in expected.values())
    # all names were checked above: only tensors outside `part` may keep their values
    model.load_state_dict(filled, strict=part is None, assign=is_meta)
    return Coverage(rows)


def built(make: Callable[[], M], state: Mapping[str, Tensor], names: NameMap) -> tuple[M, Coverage]:
    """Build a model without initial weights and fill it once from a state saved under published names.

    Args:
        make: makes the model; nothing is drawn or allocated for it, so a buffer that is not in its state must be
            computed when it is used.
        state: see `load_published`; the model takes over the tensors themselves where the precision is the same, so
            each model needs its own state.
        names: the map of this model.

    Returns:
        The model, in training mode, and where each tensor went.

    Raises:
        WeightsError: see `load_published`.
    """
    with torch.device('meta'):
        model = make()
    coverage = load_published(model, state, names)
    return model, coverage


def _without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    unwrapped = dict(state)
    for wrapper in ('module.', 'model.'):
        if unwrapped and all(name.startswith(wrapper) for name in unwrapped):
            unwrapped = {name.removeprefix(wrapper): value for name, value in unwrapped.items()}
    return unwrapped


def save_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Write tensors as a safetensors file, completely or not at all.

    Args:
        path: path of the file; an existing file is replaced.
        tensors: name to tensor; moved to the CPU.
        notes: metadata for the file's header, texts by name.
    """
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_atomically(path, save(copies, dict(notes or {})))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and notes of a safetensors file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    try:
        require_regular_file(path)
        with safe_open(path, framework='pt') as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        damage = f'another file, or a damaged one ({error})'
        came = (error.strerror or str(error)) if isinstance(error, OSError) else damage
        raise WeightsError(
            expected=f'a safetensors file at {path}', came=came, todo='check the path, or save it again'
        ) from error
