"""Published checkpoints: opened without running anything in them, recognised, explained, converted.

A .pth, .pt, .bin, .ckpt or .safetensors file comes in. `opened` gives its tensors by name and its metadata; `inspected`
finds family, size and form, and where each tensor goes; `convert` writes safetensors with a card. Read
`opening.py` first, then `pickles.py`, which a separate process runs under limits; `choices.py` lists the families.
Names are imported lazily, so that this process loads no more than it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affekt.checkpoints.choices import FAMILIES, recognised
    from affekt.checkpoints.conversion import DTYPES, Converted, convert
    from affekt.checkpoints.families import Family, Recognised
    from affekt.checkpoints.inspection import CoverageGroup, CoverageRow, Inspection, inspected, require_whole
    from affekt.checkpoints.opening import Checkpoint, StoredTensor, opened

_LATER = {
    'Checkpoint': 'opening',
    'Converted': 'conversion',
    'CoverageGroup': 'inspection',
    'CoverageRow': 'inspection',
    'DTYPES': 'conversion',
    'FAMILIES': 'choices',
    'Family': 'families',
    'Inspection': 'inspection',
    'Recognised': 'families',
    'StoredTensor': 'opening',
    'convert': 'conversion',
    'inspected': 'inspection',
    'opened': 'opening',
    'recognised': 'choices',
    'require_whole': 'inspection',
}
"""Public name to its file."""

__all__ = [
    'DTYPES',
    'FAMILIES',
    'Checkpoint',
    'Converted',
    'CoverageGroup',
    'CoverageRow',
    'Family',
    'Inspection',
    'Recognised',
    'StoredTensor',
    'convert',
    'inspected',
    'opened',
    'recognised',
    'require_whole',
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f'affekt.checkpoints.{_LATER[name]}'), name)
    raise AttributeError(f'module affekt.checkpoints has no attribute {name!r}')
