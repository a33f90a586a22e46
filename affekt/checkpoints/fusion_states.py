"""States of the published fusion models (MERBench), and of affekt's own: sizes are found by building the model.

A model is built on the meta device with sizes that no other number in its shapes equals; wherever its shapes have one
of them, the file's shapes give the actual size. Rebuilt with those sizes, a complete state matches entirely.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from affekt.checkpoints.families import TOLERATED, Family, Recognised, State
from affekt.errors import AffektError, require_torch

if TYPE_CHECKING:
    from affekt.nn import NameMap

HEADS = {
    'fc_out_1.weight': 'classes',
    'fc_out_2.weight': 'values',
    'emotion_head.weight': 'classes',
    'value_head.weight': 'values',
}
"""Published and our names of the two heads."""
PROBE = {'audio': 1009, 'text': 1013, 'video': 1019, 'hidden': 1048, 'classes': 997, 'values': 991}
"""Sizes for the probe: primes, except the width, which must be divisible by the heads."""
TOP = tuple(1103 + 2 * at for at in range(32))
"""Sizes of the inputs in the probe of a model with any number of inputs."""
PROBED_OPTIONS = {
    'lmf': ('rank', 1301),
    'mfn': ('memory', 1303),
    'graph_mfn': ('memory', 1303),
    'mfm': ('memory', 1303),
}
"""Model to its option that is found like a size, and the size for the probe."""
COUNTED_OPTIONS = {'ef_lstm': 'layers', 'mmim': 'predictor_layers', 'mult': 'layers'}
"""Model to its option that counts layers, which is found by building with each count that its names allow."""
MOST_LAYERS = 8
"""Maximum number of layers tried."""
MOST_DIFFERENT = 0.2
"""Maximum share of names that may be missing or foreign in a state that still counts as one of the model."""


@dataclass(frozen=True)
class _Plan:
    """The model to build: its name, sizes and options, as pairs."""

    model: str
    level: str
    form: str
    sizes: tuple[tuple[str, int], ...]
    numbers: tuple[tuple[str, int], ...]
    options: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class _Built:
    """A built model: its class, published names to ours, names to shapes."""

    model: str
    names: NameMap
    shapes: State


@lru_cache(maxsize=256)
def _built(plan: _Plan) -> _Built | None:
    """The model on the meta device, where nothing is stored; None if there is no such one."""
    import torch

    from affekt.fusion import FusionShape, build_fusion

    impossible = (AffektError, ValueError, AssertionError, RuntimeError, OverflowError, ZeroDivisionError)
    with contextlib.suppress(*impossible), torch.device('meta'):
        sizes: Any = dict(plan.numbers)
        shape = FusionShape(dict(plan.sizes), level=plan.level, form=plan.form, **sizes)  # type: ignore[arg-type]
        model = build_fusion(plan.model, shape, **dict(plan.options))
        names = model.published_names() if plan.form == 'reference' else {}
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        return _Built(type(model).__name__, names, shapes)
    return None


def recognise(state: State) -> Recognised | None:
    """A state of a fusion model, under the published names or under ours."""
    heads = [HEADS[name] for name in HEADS if name in state]
    if not heads or len(state) > 2000:
        return None
    require_torch()
    form = 'corrected' if 'emotion_head.weight' in state or 'value_head.weight' in state else 'reference'
    nearest: tuple[int, Recognised] | None = None
    for probe in _probes(state, form, heads):
        recognition = _matched(probe, state)
        if recognition is None:
            continue
        wrong = sum(state.get(name) != shape for name, shape in recognition.expected.items())
        wrong += sum(name not in recognition.expected and not TOLERATED.search(name) for name in state)
        if not wrong:
            return recognition
        if nearest is None or wrong < nearest[0]:
            nearest = wrong, recognition
    return nearest[1] if nearest else None


def _probes(state: State, form: str, heads: list[str]) -> Iterator[_Plan]:
    from affekt.fusion import FUSION_MODELS, MODALITIES

    numbers = {
        'hidden': PROBE['hidden'],
        **{name: PROBE[name] if name in heads else 0 for name in ('classes', 'values')},
    }
    digits = {int(digit) for name in state for digit in re.findall(r'\d', name)}
    counts = [count for count in range(1, MOST_LAYERS + 1) if {count, count - 1} & digits]
    for model, model_class in FUSION_MODELS.items():
        if model == 'attention_topn':
            count = sum(
                f'encoder{index}.linear_1.weight' in state or f'encoders.encoders.feat{index}.layers.0.weight' in state
                for index in range(len(TOP))
            )
            sizes = {f'feat{index}': TOP[index] for index in range(count)}
        else:
            sizes = {name: PROBE[name] for name in MODALITIES}
        choices: list[dict[str, int]] = [{}]
        if model in PROBED_OPTIONS:
            choices = [dict([PROBED_OPTIONS[model]])]
        elif model in COUNTED_OPTIONS:
            choices = [{COUNTED_OPTIONS[model]: count} for count in counts]
        for level in model_class.levels if sizes else ():
            for options in choices:
                yield _Plan(model, level, form, _pairs(sizes), _pairs(numbers), _pairs(options))


def _matched(probe: _Plan, state: State) -> Recognised | None:
    """The recognition of a state whose names are those of a model, its sizes from the state's shapes."""
    from affekt.nn import renamed

    model = _built(probe)
    if model is None:
        return None
    ours = {name: new for name in state if (new := renamed(name, model.names)) is not None}
    shapes = model.shapes
    unknown = {name for name, new in ours.items() if new not in shapes and not TOLERATED.search(name)}
    absent = set(shapes) - set(ours.values())
    if len(unknown) + len(absent) > len(shapes) * MOST_DIFFERENT:
        return None
    actual_sides: dict[int, int] = {}
    for name, new in ours.items():
        for axis, side in enumerate(shapes.get(new, ())):
            if axis < len(state[name]):
                actual_sides.setdefault(side, state[name][axis])
    sizes, determined = _input_sizes(dict(probe.sizes), actual_sides)
    numbers = {name: actual_sides.get(side, 0) if side else 0 for name, side in probe.numbers}
    options = {name: actual_sides.get(side, side) for name, side in probe.options}
    built = _built(replace(probe, sizes=_pairs(sizes), numbers=_pairs(numbers), options=_pairs(options)))
    if built is None:
        return None
    complete = built.shapes
    expected = {name: complete[new] for name, new in ours.items() if new in complete}
    expected |= {name: complete[name] for name in absent if name in complete}
    heads = {name: number for name in ('classes', 'values') if (number := numbers[name])}
    details = {'level': probe.level, **determined, 'width': numbers['hidden'], **heads, **options}
    return Recognised(
        'fusion', 'Fusion model', probe.model, '' if probe.form == 'reference' else probe.form, expected, details,
        built.model, {name: new for name, new in ours.items() if name != new}, meaning={'': probe.model},
    )  # fmt: skip


def _pairs(numbers: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(numbers.items())


def _input_sizes(probe: Mapping[str, int], sides: Mapping[int, int]) -> tuple[dict[str, int], dict[str, int]]:
    """Sizes of the inputs to build with, and those that shapes determine: of some models only the sum or the widest."""
    count = len(probe)
    if all(side in sides for side in probe.values()):
        sizes = {name: sides[side] for name, side in probe.items()}
        return sizes, {f'{name} size': size for name, size in sizes.items()}
    total = sides.get(sum(probe.values()), 0)
    if total >= count:
        return {name: 1 if index else total - count + 1 for index, name in enumerate(probe)}, {'sizes together': total}
    widest = sides.get(max(probe.values()), 0)
    return dict.fromkeys(probe, widest), {'widest size': widest}


FUSION = Family('Fusion models', 'github.com/zeroQiaoba/MERTools', recognise)
