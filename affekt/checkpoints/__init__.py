"""Checkpoints that others published: opened without running anything, recognised, explained, converted.

A .pth, .pt, .bin, .ckpt or .safetensors file comes in. `opened` gives its tensors by name and its notes; `inspected`
says which family, size and form it is and where each tensor goes; `convert` writes safetensors with a card. Read
`opening.py` first, then `pickles.py`, which a process of its own runs under limits; `choices.py` lists the families.
"""

from affekt.checkpoints.choices import FAMILIES, recognised
from affekt.checkpoints.conversion import DTYPES, Converted, convert
from affekt.checkpoints.families import Family, Recognised
from affekt.checkpoints.inspection import CoverageGroup, CoverageRow, Inspection, inspected, require_whole
from affekt.checkpoints.opening import Checkpoint, StoredTensor, opened

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
