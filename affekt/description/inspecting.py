"""A describer's files, inspected without running it or opening its language model: sources, fusions, adapters, sizes.

Accepts a published checkpoint of AffectGPT, or a folder written by `save_describer`. Every tensor must be known; a
missing, renamed or misshapen one is refused by name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch

from affekt.checkpoints import opened
from affekt.description.published import Official, inspect_official, name_map
from affekt.description.saved import SETTINGS, TENSORS, described_place, parts_of_notes, saved_notes
from affekt.description.sources import Source, SourceReader, source_table
from affekt.description.trunk import Adapters
from affekt.errors import WeightsError, listed
from affekt.nn import renamed

ADAPTERS = 'adapters'


@dataclass(frozen=True)
class InspectedDescriber:
    """A describer as its files describe it.

    Args:
        path: the inspected file or folder.
        form: `published` for a checkpoint of AffectGPT, `affekt` for a folder that affekt wrote.
        trunk: name of the language model; for a published one inferred from its sizes.
        trunk_width: H.
        trunk_layers: number of layers with adapters; 0 if there are none.
        sources: the table of sources.
        adapters: sizes of the trunk's adapters; None for a frozen trunk.
        numbers: source, or `adapters`, to its number of trained parameters.
        tensors: total number of tensors.
        kind: kind of input that it was trained on; '' if not noted.
        question: question that it was trained on; '' if not noted.
        recipes: source to the noted recipe of its features.
        notes: all other notes.
    """

    path: Path
    form: str
    trunk: str
    trunk_width: int
    trunk_layers: int
    sources: tuple[Source, ...]
    adapters: Adapters | None
    numbers: Mapping[str, int]
    tensors: int
    kind: str = ''
    question: str = ''
    recipes: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {**asdict(self), 'path': str(self.path)}


def inspected_describer(path: str | os.PathLike[str]) -> InspectedDescriber:
    """The contents of a file or folder; nothing in it is executed.

    Args:
        path: a checkpoint of AffectGPT, the folder of a describer or of the run that trained it, or `small`.

    Raises:
        WeightsError: it is not a describer, or is incomplete; the message names missing and unknown tensors.
    """
    located = described_place(path)
    return _of_folder(located) if located.is_dir() else _of_checkpoint(located)


def _of_checkpoint(path: Path) -> InspectedDescriber:
    official: Official = inspect_official(path)
    recognition = official.inspection.recognition
    published_names, counts = name_map(official.sources), Counter[str]()
    for row in official.inspection.rows:
        if row.fate == 'ignored':  # a buffer, which no training changes
            continue
        counts[_owner_of(renamed(row.name, published_names) or row.name)] += prod(row.shape)
    return InspectedDescriber(
        path, 'published', recognition.sizes.get('language model', '') if recognition else '', official.trunk_width,
        official.trunk_layers, official.sources, official.adapters, dict(counts), len(official.inspection.rows),
        official.kind,
    )  # fmt: skip


def _of_folder(folder: Path) -> InspectedDescriber:
    content = saved_notes(folder)
    sources, _, adapters = parts_of_notes(content, folder)
    width, shapes = int(content['trunk_width']), opened(folder / TENSORS).shapes
    _require_complete(folder, sources, width, adapters, shapes)
    counts = Counter[str]()
    for name, shape in shapes.items():
        counts[_owner_of(name)] += prod(shape)
    notes = dict(content.get('notes') or {})
    recipes = {source.name: source.recipe for source in sources if source.recipe} | dict(notes.pop('recipes', {}))
    layers = {name.split('.layers.')[1].split('.')[0] for name in shapes if '.lora_A.' in name and '.layers.' in name}
    kind, question = notes.pop('kind', ''), notes.pop('question', '')
    return InspectedDescriber(
        folder, 'affekt', str(content['trunk']), width, len(layers), sources, adapters, dict(counts), len(shapes),
        kind if isinstance(kind, str) else ', '.join(_sources_of(kind)), str(question), recipes, notes,
    )  # fmt: skip


def _sources_of(kind: Any) -> list[str]:
    """Names of the sources of a kind of input that is noted as their list or as a record."""
    blocks = kind.get('blocks', []) if isinstance(kind, Mapping) else kind
    return [str(block.get('source') if isinstance(block, Mapping) else block) for block in blocks]


def _owner_of(name: str) -> str:
    """The source, or `adapters`, to which a tensor of `save_describer` belongs."""
    parts = name.split('.')
    return parts[1] if parts[0] == 'readers' and len(parts) > 1 else ADAPTERS


def _require_complete(
    folder: Path, sources: tuple[Source, ...], width: int, adapters: Adapters | None,
    shapes: Mapping[str, tuple[int, ...]],
) -> None:  # fmt: skip
    """Raise if a tensor is absent, unknown or of another shape, or if an adapter is incomplete."""
    table = source_table(sources)
    with torch.device('meta'):
        expected_shapes = {
            f'readers.{source.name}.{name}': tuple(value.shape)
            for source in sources
            if not source.shares
            for name, value in SourceReader(
                source, [table[joined].width for joined in source.joins or (source.name,)], width
            ).state_dict().items()
        }  # fmt: skip
    low_rank = {name for name in shapes if name.startswith('trunk.') and '.lora_' in name}
    faults = {
        'absent': sorted({*expected_shapes} - {*shapes}),
        'unknown': sorted({*shapes} - {*expected_shapes} - low_rank),
        'of another shape': sorted(
            name for name in {*expected_shapes} & {*shapes} if expected_shapes[name] != shapes[name]
        ),
        'without its other half': sorted(name for name in low_rank if _other_half(name) not in low_rank),
        'of another rank': sorted(
            name for name in low_rank if adapters and adapters.rank not in shapes[name] and len(shapes[name]) == 2
        ),
    }
    if low_rank and adapters is None:
        faults['of adapters, which the settings do not note'] = sorted(low_rank)
    if adapters is not None and not low_rank:
        faults['absent'] += ['trunk.*.lora_A', 'trunk.*.lora_B']
    if came := '; '.join(f'{len(names)} {fault} ({listed(names, 3)})' for fault, names in faults.items() if names):
        raise WeightsError(
            expected=f'the tensors of the sources in {SETTINGS}', came=f'{folder / TENSORS} with {came}',
            todo='get the folder again as it was written',
        )  # fmt: skip


def _other_half(name: str) -> str:
    return name.replace('.lora_A.', '.lora_B.') if '.lora_A.' in name else name.replace('.lora_B.', '.lora_A.')
