"""A checkpoint as safetensors with a card that records its source; read back before it appears."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from affekt import __version__
from affekt.checkpoints.inspection import Inspection, inspected, require_whole
from affekt.checkpoints.opening import SAFE_DTYPES
from affekt.checkpoints.sizes import SIZES
from affekt.errors import StorageError, UnknownNameError, WeightsError, listed, require_torch
from affekt.files import file_sha256, place_atomically, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = ('float32', 'float16', 'bfloat16')
UNSTATED = 'not stated'


@dataclass(frozen=True)
class Converted:
    """A written file: its path and card, and its content.

    Args:
        path: path of the safetensors file.
        card: path of the Markdown card beside it.
        tensors: number of tensors.
        size: size of the file in bytes.
        notes: metadata in its header.
    """

    path: Path
    card: Path
    tensors: int
    size: int
    notes: Mapping[str, str]


def convert(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    licence: str = '',
    dtype: str = '',
    allow_missing: bool = False,
) -> Converted:
    """Write the model's tensors of a checkpoint as safetensors, with a card; an existing file is never replaced.

    Names stay as published, without the prefix of a wrapper; optimiser states and the like are left out.

    Args:
        path: path of the checkpoint.
        out: path to write; the card is written beside it with the extension .md.
        licence: licence of the weights, as stated by their publisher; it is never guessed.
        dtype: dtype of the written floating-point numbers; '' for the file's own.
        allow_missing: also write an incomplete state of a known family.

    Raises:
        WeightsError: the file is not a checkpoint, not a complete state, or a number does not fit the dtype.
        StorageError: `out` or its card exists, cannot be written, or has another extension than .safetensors.
        UnknownNameError: the dtype is not one of `DTYPES`.
    """
    require_torch()
    out = Path(out)
    card = out.with_suffix('.md')
    if dtype not in ('', *DTYPES):
        raise UnknownNameError(expected=f'a dtype among {listed(DTYPES)}', came=repr(dtype), todo='choose one')
    if out.suffix != '.safetensors':
        raise StorageError(expected='a name that ends in .safetensors', came=out.name, todo='rename it')
    for target in (out, card):
        if os.path.lexists(target):
            raise StorageError(
                expected='a name that is free', came=f'{target}, which exists', todo='choose another name, or move it'
            )
    inspection = inspected(path)
    if not allow_missing:
        require_whole(inspection)
    notes = _notes(inspection, licence, dtype)
    with place_atomically(out) as part:
        with part.open('wb') as file:
            _write(file, inspection, dtype, notes)
            file.flush()
            os.fsync(file.fileno())
        _verify(part, inspection, dtype)
    write_atomically(card, _card(inspection, out, notes).encode())
    return Converted(out, card, len(inspection.rows), out.stat().st_size, notes)


def _notes(inspection: Inspection, licence: str, dtype: str) -> dict[str, str]:
    checkpoint, recognition = inspection.checkpoint, inspection.recognition
    notes = {
        'format': 'pt',
        'source': checkpoint.path.name,
        'source_sha256': file_sha256(checkpoint.path),
        'licence': licence or UNSTATED,
        'converted_by': f'affekt {__version__}',
        'epoch': json.dumps(checkpoint.notes.get('epoch')),
    }
    if recognition:
        notes |= {
            'family': recognition.family,
            'stage': recognition.form,
            'size': recognition.size,
            'sizes': json.dumps(dict(recognition.sizes)),
        }
    if isinstance(checkpoint.notes.get('form'), dict):  # affekt's own runs write it, for `stored_form`
        notes['form'] = json.dumps(checkpoint.notes['form'])
    if inspection.arguments:
        notes['args'] = json.dumps(inspection.arguments)
    if dtype:
        notes['dtype'] = dtype
    if inspection.faults:
        notes['faults'] = '; '.join(inspection.faults)
    return notes


def _tensor(inspection: Inspection, name: str, dtype: str) -> Tensor:
    """A tensor as it is written."""
    import torch

    value = inspection.checkpoint.tensor(name)
    if not dtype or not value.is_floating_point():
        return value
    converted = value.to(getattr(torch, dtype))
    if not bool(torch.isfinite(converted).all()):
        raise WeightsError(
            expected=f'numbers that fit {dtype}',
            came=f'{name} with values up to {float(value.abs().max()):.3g}',
            todo='choose bfloat16 or float32',
        )
    return converted


def _write(file: IO[bytes], inspection: Inspection, dtype: str, notes: Mapping[str, str]) -> None:
    """The header, then each tensor in turn, so that no more than one is in memory."""
    codes = {name: code for code, name in SAFE_DTYPES.items()}
    header: dict[str, Any] = {'__metadata__': dict(notes)}
    end = 0
    for name, stored in inspection.checkpoint.tensors.items():
        written_dtype = dtype if dtype and 'float' in stored.dtype else stored.dtype
        if written_dtype not in codes:
            raise WeightsError(
                expected='a dtype that safetensors has',
                came=f'{name} of {written_dtype}',
                todo='convert it with --dtype',
            )
        begin, end = end, end + stored.numbers * SIZES[written_dtype]
        header[name] = {'dtype': codes[written_dtype], 'shape': list(stored.shape), 'data_offsets': [begin, end]}
    index = json.dumps(header).encode()
    index += b' ' * (-len(index) % 8)
    file.write(len(index).to_bytes(8, 'little') + index)
    for name in inspection.checkpoint.tensors:
        file.write(_bytes(_tensor(inspection, name, dtype)))


def _bytes(value: Tensor) -> bytes:
    import torch

    if not value.numel():
        return b''
    content: bytes = value.reshape(-1).view(torch.uint8).numpy().tobytes()
    return content


def _verify(part: Path, inspection: Inspection, dtype: str) -> None:
    """Check that the written file, read by the library of the format, equals the source in every bit."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(part, framework='pt') as file:
            names = set(file.keys())
            differing = [
                name
                for name in inspection.checkpoint.tensors
                if name not in names or _bytes(file.get_tensor(name)) != _bytes(_tensor(inspection, name, dtype))
            ]
    except SafetensorError as error:
        raise StorageError(expected='a file that can be read back', came=str(error), todo='check the disk') from error
    if differing or len(names) != len(inspection.rows):
        raise StorageError(
            expected='a file that holds what was written',
            came=f'other values in {listed(differing, 3)}',
            todo='check the disk',
        )


def _card(inspection: Inspection, out: Path, notes: Mapping[str, str]) -> str:
    """The card beside a converted file."""
    checkpoint, recognition = inspection.checkpoint, inspection.recognition
    licence, saved_as = notes['licence'], ', '.join(sorted({row.dtype for row in inspection.rows}))
    rows = {
        'family': recognition.title if recognition else 'unknown',
        'form': recognition.form if recognition else '',
        'size': recognition.size if recognition else '',
        **({name: str(value) for name, value in recognition.sizes.items()} if recognition else {}),
        'tensors': f'{len(inspection.rows):,}',
        'numbers': f'{checkpoint.numbers:,} ({notes.get("dtype") or saved_as})',
        'epoch': str(checkpoint.notes.get('epoch', 'not noted')),
        'source': checkpoint.path.name,
        'sha256 of the source': notes['source_sha256'],
        'licence': licence if licence != UNSTATED else f'{UNSTATED}: the publisher of the weights decides',
    }
    lines = [
        f'# {out.stem}',
        '',
        f'{recognition or "A checkpoint of an unknown family"}, converted by affekt {__version__}.',
        '',
    ]
    lines += ['| | |', '|---|---|', *(f'| {name} | {_cell(value)} |' for name, value in rows.items() if value), '']
    if inspection.faults:
        lines += ['**Not whole:** ' + '; '.join(inspection.faults) + '.', '']
    if inspection.arguments:
        lines += ['## Settings that the file notes', '', '| name | value |', '|---|---|']
        lines += [f'| {_cell(name)} | {_cell(value)} |' for name, value in inspection.arguments.items()] + ['']
    return '\n'.join(lines)


def _cell(value: Any) -> str:
    """A text of unknown origin as a cell of a Markdown table, its marks escaped."""
    text = ' '.join(str(value).split()).replace('\\', '\\\\')
    for mark in '|<>`[]*_#!':
        text = text.replace(mark, f'\\{mark}')
    return text[:200]
