"""A describer as a folder: its trained weights, sources and settings; the language model is named, not copied."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from affekt import __version__
from affekt.description.model import Describer, DescriberSettings
from affekt.description.sources import Queries, Source
from affekt.description.trunk import Adapters, Trunk, open_trunk, with_adapters
from affekt.errors import UnknownNameError, ValueRangeError, WeightsError, listed
from affekt.files import folder_atomically
from affekt.nn import read_tensors, save_tensors
from affekt.runs import read_regular_file
from affekt.weights import PACKAGED, is_small_describer

SETTINGS, TENSORS = 'describer.json', 'describer.safetensors'
DTYPES = ('float32', 'float16', 'bfloat16')
SHIPPED = PACKAGED / 'describer'
"""The small describer that comes with affekt, if there is one."""


def save_describer(
    describer: Describer,
    folder: str | os.PathLike[str],
    *,
    dtype: str = 'float32',
    notes: dict[str, Any] | None = None,
    learnt: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a describer's trained weights, atomically.

    Args:
        describer: a describer on any device.
        folder: destination, replaced if it exists.
        dtype: type of the written values: float32, float16 or bfloat16.
        notes: plain data to be stored with it, such as scores.
        learnt: its trained weights, if already gathered from several processes; None to take them from
            the describer.

    Raises:
        UnknownNameError: unknown dtype.
        WeightsError: a weight does not fit the dtype, or is not finite.
        StorageError: the folder cannot be written.
    """
    if dtype not in DTYPES:
        raise UnknownNameError(expected=f'a dtype among {listed(DTYPES)}', came=repr(dtype), todo='choose one')
    tensors = {name: value.to(getattr(torch, dtype)) for name, value in (learnt or describer.learnt()).items()}
    unfit = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if unfit:
        raise WeightsError(
            expected=f'finite weights in {dtype}', came=f'infinity or nan in {listed(unfit, 3)}',
            todo='choose float32, or an earlier step of training',
        )  # fmt: skip
    content = {
        'version': __version__,
        'trunk': describer.trunk_name,
        'trunk_width': describer.trunk_width,
        'sources': [asdict(source) for source in describer.table.values()],
        'settings': asdict(describer.settings),
        'adapters': asdict(adapters) if (adapters := describer.adapters) else None,
        'notes': notes or {},
    }
    with folder_atomically(Path(folder)) as staging:
        save_tensors(staging / TENSORS, tensors)
        (staging / SETTINGS).write_text(json.dumps(content, ensure_ascii=False, indent=2) + '\n', encoding='utf-8')


def described_place(path: str | os.PathLike[str]) -> Path:
    """Path of a describer: `describer` in the folder of the run that trained it, the shipped one for `small`.

    Args:
        path: path given by a user; a checkpoint, or the folder of a describer, is returned unchanged. A
            folder called `small` is named as `./small`, or by a `Path`.
    """
    if is_small_describer(path):
        return SHIPPED
    folder = Path(path)
    describer_folder = folder / 'describer'
    return describer_folder if not (folder / SETTINGS).exists() and (describer_folder / SETTINGS).exists() else folder


def saved_notes(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The contents of `describer.json`.

    Raises:
        WeightsError: the folder is not a describer.
    """
    path = Path(folder) / SETTINGS
    try:
        content = json.loads(read_regular_file(path))
        missing = {'trunk', 'trunk_width', 'sources', 'settings', 'adapters'} - set(content)
    except OSError as error:
        raise _not_a_describer(path, f'{path.name}: {error.strerror or error}') from error
    except (ValueError, TypeError) as error:
        raise _not_a_describer(path, f'{path.name}: {error}') from error
    if missing:
        raise _not_a_describer(path, f'one without {listed(sorted(missing))}')
    return dict(content)


def _not_a_describer(path: Path, came: str) -> WeightsError:
    return WeightsError(
        expected=f'a describer, with {SETTINGS} and {TENSORS}, in {path.parent}', came=came,
        todo='name the folder `describer` that training wrote',
    )  # fmt: skip


def open_describer(
    folder: str | os.PathLike[str],
    *,
    trunk: Trunk | str | os.PathLike[str] | None = None,
    precision: str = '',
    device: str = 'cpu',
) -> Describer:
    """A saved describer, in evaluation mode.

    Args:
        folder: a folder written by `save_describer`.
        trunk: the language model without adapters, opened, or its folder, file or name; None for the noted name.
        precision: see `open_trunk`.
        device: device of the describer.

    Raises:
        WeightsError: the folder is not a describer, or has another trunk.
        LLMError: the trunk cannot be opened.
    """
    content = saved_notes(folder)
    sources, settings, adapters = parts_of_notes(content, folder)
    if not isinstance(trunk, Trunk):
        trunk = open_trunk(trunk or str(content['trunk']), precision=precision, device=device)
    if trunk.width != content['trunk_width']:
        raise WeightsError(
            expected=f'the trunk {content["trunk"]} of width {content["trunk_width"]}',
            came=f'{trunk.name} of width {trunk.width}', todo='name the one that it was trained on with --trunk',
        )  # fmt: skip
    describer = Describer(with_adapters(trunk, adapters) if adapters else trunk, sources, settings)
    try:
        describer.fill(read_tensors(Path(folder) / TENSORS)[0])
    except WeightsError as error:
        raise WeightsError(
            expected=f'the tensors of the sources and adapters in {SETTINGS}',
            came=f'{Path(folder) / TENSORS}: {error.came}', todo='get the folder again as it was written',
        ) from error  # fmt: skip
    return describer.to(device).eval()


def parts_of_notes(
    content: dict[str, Any], folder: str | os.PathLike[str]
) -> tuple[tuple[Source, ...], DescriberSettings, Adapters | None]:
    """Sources, settings and adapters from the notes of `saved_notes`.

    Args:
        content: contents of the file.
        folder: the folder, named in messages.

    Raises:
        WeightsError: the notes have another form.
    """
    try:
        sources = tuple(_source(source) for source in content['sources'])
        settings = DescriberSettings(**content['settings'])
        adapter_notes = content['adapters']
        adapters = Adapters(**{**adapter_notes, 'maps': tuple(adapter_notes['maps'])}) if adapter_notes else None
    except (TypeError, KeyError, AttributeError, UnknownNameError, ValueRangeError) as error:
        raise _not_a_describer(Path(folder) / SETTINGS, f'settings of another form ({error})') from error
    return sources, settings, adapters


def _source(content: dict[str, Any]) -> Source:
    queries = content['queries']
    fields = {**content, 'joins': tuple(content['joins']), 'queries': Queries(**queries) if queries else None}
    return Source(**fields)
