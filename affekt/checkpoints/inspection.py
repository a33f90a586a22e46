"""Inspection of a checkpoint: its identity, and a coverage table with missing and foreign tensors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from affekt.checkpoints.choices import recognised
from affekt.checkpoints.families import POSITIONS, TOLERATED, Recognised
from affekt.checkpoints.opening import Checkpoint, opened
from affekt.errors import WeightsError, listed
from affekt.wording import counted

NUMBER = re.compile(r'[0-9]{1,9}')
"""A part of a name that counts blocks or layers."""

Fate = Literal['loads', 'known', 'other shape', 'unknown', 'ignored', 'positions']


@dataclass(frozen=True)
class CoverageRow:
    """One tensor of a file.

    Args:
        name: name without the prefix of a wrapper.
        shape: shape in the file.
        dtype: dtype in the file.
        fate: loads; known, if affekt has no model for it; other shape than in a complete state of this size;
            unknown to the family; ignored, a buffer that nothing reads; positions, a learned table of positions,
            which the published models do not have.
        ours: its name in affekt's model; None if it has no place there.
        wanted: the expected shape; None if unknown.
        tuned: its name in the fine-tuning form; None if fine-tuning leaves it out, or if this is not a pre-training
            state.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    fate: Fate
    ours: str | None = None
    wanted: tuple[int, ...] | None = None
    tuned: str | None = None


@dataclass(frozen=True)
class CoverageGroup:
    """Rows that belong together, such as all blocks of an encoder: `encoder.blocks.0-9`."""

    name: str
    rows: tuple[CoverageRow, ...]
    ours: str
    tuned: str
    meaning: str

    @property
    def numbers(self) -> int:
        """Number of values in its tensors."""
        return sum(prod(row.shape) for row in self.rows)


@dataclass(frozen=True)
class Inspection:
    """A checkpoint, its identity, and where its tensors go.

    Args:
        checkpoint: the opened file.
        recognition: None if unknown.
        rows: one per tensor, in the file's order.
        missing: names of a complete state of this size that the file lacks.
    """

    checkpoint: Checkpoint
    recognition: Recognised | None
    rows: tuple[CoverageRow, ...]
    missing: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """Why the file is not a complete state of its family, one sentence each; [] for a complete one."""
        if self.recognition is None:
            return []
        faults = []
        if self.missing:
            faults.append(f'{counted(len(self.missing), "tensor")} missing ({listed(self.missing, 3)})')
        for fate, noun, plural in _WRONG:
            names = [row.name for row in self.rows if row.fate == fate]
            if names:
                faults.append(f'{counted(len(names), noun, plural)} ({listed(names, 3)})')
        if self.recognition.is_cut and not isinstance(self.checkpoint.notes.get('form'), dict):
            faults.append('without its last blocks, or of a shallower network that does not note its form')
        if self.recognition.count and len(self.rows) != self.recognition.count:
            number = counted(len(self.rows), 'tensor')
            faults.append(f'{number} where the published file has {self.recognition.count:,}')
        return faults

    @property
    def arguments(self) -> dict[str, Any]:
        """The training settings in the file: `args` or `config`."""
        notes = self.checkpoint.notes
        return next(
            (notes[name] for name in ('args', 'config', 'arguments', 'settings') if isinstance(notes.get(name), dict)),
            {},
        )

    def groups(self) -> list[CoverageGroup]:
        """The rows in groups, in the file's order."""
        by_name: dict[str, list[CoverageRow]] = {}
        for row in self.rows:
            by_name.setdefault(_group_of(row.name), []).append(row)
        return [_grouped(rows, self.recognition) for rows in by_name.values()]

    def summary(self) -> dict[str, str]:
        """The identity of the file, as name to line; settings are in `arguments`."""
        source, recognition = self.checkpoint, self.recognition
        formats = [source.form] + [f'model under {source.key!r}'] * bool(source.key)
        formats += [f'prefix {source.prefix!r} taken off'] * bool(source.prefix)
        lines = {'written as': ', '.join(formats)}
        lines |= {name: str(value) for name, value in (recognition.sizes if recognition else {}).items()}
        if 'epoch' in source.notes:
            lines['epoch'] = str(source.notes['epoch'])
        dtypes = ', '.join(sorted({row.dtype for row in self.rows}))
        lines['parameters'] = f'{source.numbers:,} in {counted(len(self.rows), "tensor")}, {dtypes}'
        for name, (count, size) in source.others.items():
            lines[f'other: {name}'] = f'{counted(count, "tensor")}, {size:,} bytes'
        return lines

    def verdict(self) -> list[str]:
        """The result of the coverage, in sentences without full stop; [] for an unknown family."""
        recognition, count = self.recognition, f'{len(self.rows):,}'
        if recognition is None:
            return []
        if self.faults:
            sentences = [f'not whole: {"; ".join(self.faults)}']
        else:
            model = f', which fills {recognition.model}' if recognition.model else ''
            sentences = [f'a whole state{model}: {count} of {count} tensors have their place']
        if recognition.kept:
            kept = sum(row.tuned is not None for row in self.rows)
            sentences.append(f'fine-tuning keeps {kept:,} of {count}; new there: {", ".join(recognition.new)}')
        return sentences

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        checkpoint, recognition = self.checkpoint, self.recognition
        return {
            'file': checkpoint.path.name, 'written_as': checkpoint.form, 'model_key': checkpoint.key or None,
            'prefix': checkpoint.prefix, 'family': recognition and recognition.family,
            'form': recognition and recognition.form, 'size': (recognition and recognition.size) or None,
            'sizes': dict(recognition.sizes) if recognition else {},
            'model': (recognition and recognition.model) or None, 'tensors': len(self.rows),
            'numbers': checkpoint.numbers,
            'epoch': checkpoint.notes.get('epoch'), 'notes': dict(checkpoint.notes),
            'beside': {name: {'tensors': n, 'bytes': size} for name, (n, size) in checkpoint.others.items()},
            'missing': list(self.missing), 'faults': self.faults,
            'new_when_tuned': list(recognition.new) if recognition else [],
            'coverage': [
                {'name': row.name, 'shape': list(row.shape), 'dtype': row.dtype, 'fate': row.fate, 'ours': row.ours,
                 'wanted': list(row.wanted) if row.wanted is not None else None, 'tuned': row.tuned}
                for row in self.rows
            ],
        }  # fmt: skip


_WRONG: tuple[tuple[Fate, str, str], ...] = (
    ('other shape', 'of another shape', 'of another shape'),
    ('unknown', 'unknown', 'unknown'),
    ('positions', 'table of positions', 'tables of positions'),
)
"""Fates that make a file incomplete, and their wording in singular and plural."""


def inspected(path: str | os.PathLike[str] | Checkpoint, *, values: bool = True) -> Inspection:
    """Inspect a checkpoint; nothing in it is run.

    Args:
        path: a file, or the result of `opened`.
        values: read every value once, to check for nan, infinity and damage.

    Raises:
        WeightsError: it is not a checkpoint, is damaged, or has non-finite weights.
    """
    checkpoint = path if isinstance(path, Checkpoint) else opened(path)
    if values:
        checkpoint.check_values()
    recognition = recognised(checkpoint.shapes)
    form = checkpoint.notes.get('form')
    if recognition and 'heads' in recognition.sizes and isinstance(form, dict) and isinstance(form.get('heads'), int):
        recognition = replace(recognition, sizes={**recognition.sizes, 'heads': form['heads']})  # not visible in shapes
    rows = tuple(_row(name, stored.shape, stored.dtype, recognition) for name, stored in checkpoint.tensors.items())
    missing = tuple(name for name in recognition.expected if name not in checkpoint.tensors) if recognition else ()
    return Inspection(checkpoint, recognition, rows, missing)


def require_whole(inspection: Inspection) -> None:
    """Check that the file is a complete state of its family.

    Raises:
        WeightsError: tensors are missing, unknown or of another shape; the error names them.
    """
    if inspection.faults:
        raise WeightsError(
            expected=f'a whole state of {inspection.recognition}',
            came=f'{inspection.checkpoint.path.name} with {"; ".join(inspection.faults)}',
            todo='get the file again, or say that parts may be missing (--allow-missing)',
        )


def _row(name: str, shape: tuple[int, ...], dtype: str, recognition: Recognised | None) -> CoverageRow:
    if recognition is None:
        return CoverageRow(name, shape, dtype, 'unknown')
    expected_shape = recognition.expected.get(name)
    if expected_shape is None:
        fate: Fate = 'ignored' if TOLERATED.search(name) else 'positions' if POSITIONS.search(name) else 'unknown'
        return CoverageRow(name, shape, dtype, fate if recognition.expected else 'known')
    fate = 'other shape' if expected_shape != shape else 'loads' if recognition.model else 'known'
    ours = recognition.ours(name) if recognition.model else None
    return CoverageRow(name, shape, dtype, fate, ours, expected_shape, recognition.kept.get(name))


def _group_of(name: str) -> str:
    """The name of a group with a star for its number: `encoder.blocks.*`.

    >>> _group_of('encoder.blocks.3.attn.qkv.weight'), _group_of('fc_norm.bias'), _group_of('mask_token')
    ('encoder.blocks.*', 'fc_norm', 'mask_token')
    """
    parts = name.split('.')
    number = next((index for index, part in enumerate(parts) if NUMBER.fullmatch(part)), None)
    if number:
        return '.'.join([*parts[:number], '*'])
    return '.'.join(parts[:2] if len(parts) > 2 else parts[:1])


def _grouped(rows: list[CoverageRow], recognition: Recognised | None) -> CoverageGroup:
    names = [row.name for row in rows]
    ours = sorted({name for row in rows if (name := row.ours) is not None})
    tuned = sorted({name for row in rows if (name := row.tuned) is not None})
    meaning = (
        next((description for prefix, description in recognition.meaning.items() if names[0].startswith(prefix)), '')
        if recognition
        else ''
    )
    misshapen = sum(row.fate == 'other shape' for row in rows)
    unknown = sum(row.fate in ('unknown', 'positions') for row in rows)
    ignored = sum(row.fate == 'ignored' for row in rows)
    faults = [
        f'{count} {description}'
        for count, description in ((misshapen, 'of another shape'), (unknown, 'unknown'), (ignored, 'ignored'))
        if count
    ]
    target = _moved(names, ours)
    tuned_names = '' if not recognition or not recognition.kept else _moved(names, tuned) if tuned else 'left out'
    return CoverageGroup(
        _spanned(names),
        tuple(rows),
        ', '.join([target] * bool(target) + faults) if recognition else '',
        tuned_names,
        meaning,
    )


def _moved(published: list[str], names: list[str]) -> str:
    """Difference of names from published ones: `same`, `without 'encoder.'`, or the group that they are in."""
    if names and set(names) <= set(published):
        return 'same'
    prefix = next((name.removesuffix(names[0]) for name in published if names and name.endswith(names[0])), '')
    if prefix and {f'{prefix}{name}' for name in names} <= set(published):
        return f'without {prefix!r}'
    return _spanned(names)


def _spanned(names: Iterable[str]) -> str:
    """The common name of a group, with its first and last number: `encoder.blocks.0-9`."""
    groups: dict[str, set[int]] = {}
    for name in names:
        group = _group_of(name)
        numbers = groups.setdefault(group, set())
        if group.endswith('*'):
            numbers.add(int(re.split(r'[.]', name)[group.count('.')]))
    spans = []
    for group, numbers in groups.items():
        span = f'{min(numbers)}-{max(numbers)}' if len(numbers) > 1 else str(*numbers)
        spans.append(group.removesuffix('*') + span if numbers else group)
    return ', '.join(spans[:2]) + (f' and {len(spans) - 2} more' if len(spans) > 2 else '')
