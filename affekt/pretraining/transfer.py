"""Networks loaded from checkpoints: complete ones strictly, fine-tuning ones from pre-trained weights.

    classifier, transfer = classifier_from('checkpoint-99.pth', outputs=6)     # a published file, or a run's folder
    print(transfer)                                                            # transferred, ignored and new tensors

Encoders, their norms and the fusion encoder are transferred by name. New are the weights of layers, the norm before the
head and the head; decoders, mask tokens and projections are ignored, and so is SVFAP's norm after pre-training, which
differs from the norm before the head. Anything else that is missing or of another shape is an error.

Axes: C width, N tokens, T time slices, Y rows, X columns.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from affekt.checkpoints import Checkpoint, Recognised, inspected, opened, recognised, require_whole
from affekt.encoders import RUN_WEIGHTS
from affekt.errors import AffektError, ShapeError, WeightsError, listed
from affekt.nn import Coverage, CoverageRow, built, position_table
from affekt.pretraining.forms import MODALITIES, Form, HicmaeForm, SvfapForm
from affekt.pretraining.hicmae import HicmaeClassifier, HicmaePretraining
from affekt.pretraining.svfap import SvfapClassifier, SvfapPretraining
from affekt.wording import counted

Classifier = HicmaeClassifier | SvfapClassifier
Pretraining = HicmaePretraining | SvfapPretraining
HEAD_WIDTH = 64
"""Width of an attention head, at every published size."""
NEW = re.compile(r'(video_layer_weights|audio_layer_weights|fc_norm\.\w+|head\.\w+)$')
"""Names of the weights that fine-tuning trains from scratch."""
POSITIONS = re.compile(r'(^|\.)pos_embed$')


@dataclass(frozen=True)
class Transfer:
    """The tensors that a fine-tuning network took from a checkpoint.

    Args:
        source: name of the file.
        recognition: system and stage of the file.
        coverage: tensor of the file to that of the network; None if it was ignored.
        new: names not in the file, which keep their random values.
        remarks: sentences on tensors that were changed on transfer.
    """

    source: str
    recognition: Recognised
    coverage: Coverage
    new: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        taken = sum(row.ours is not None for row in self.coverage.rows)
        lines = [
            f'{self.source} ({self.recognition}): {taken} of {len(self.coverage.rows)} tensors taken',
            f'new: {listed(self.new, 8) or "none"}',
        ]
        return '\n'.join([*lines, *self.remarks])


def opened_checkpoint(source: str | os.PathLike[str] | Checkpoint) -> Checkpoint:
    """The checkpoint of a file, or of the folder of a run.

    Raises:
        WeightsError: the file cannot be read, or the folder has no weights.
    """
    if isinstance(source, Checkpoint):
        return source
    path = Path(source)
    return opened(path / RUN_WEIGHTS if path.is_dir() else path)


def stored_form(source: Checkpoint, **changes: Any) -> Form:
    """The form of the network in a checkpoint: from the notes of the file, or inferred from its shapes.

    Published files do not state the size of clips; the published one is used.

    Args:
        source: checkpoint of HiCMAE or SVFAP, of any stage.
        changes: fields to set, such as `size=96`.

    Raises:
        WeightsError: the checkpoint is of neither, or its width is not a multiple of a published head's.
    """
    recognition = _recognition(source)
    noted = source.notes.get('form')
    with _as_weights(source):
        if isinstance(noted, dict):
            form = noted_form(recognition.family, noted)
            _require_agreement(form, recognition.sizes)
        else:
            form = _form_of_shapes(source, recognition)
    return replace(form, **changes)


def noted_form(family: str, noted: Mapping[str, Any]) -> Form:
    """A form written by `form_notes`; unknown fields of later versions are ignored.

    Raises:
        AffektError, TypeError: the values are not those of a form.
    """
    form_class = SvfapForm if family == 'svfap' else HicmaeForm
    names = {field.name for field in fields(form_class)}
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in noted.items() if n in names}
    return form_class(**values)


def _require_agreement(form: Form, sizes: Mapping[str, Any]) -> None:
    """Check the noted sizes of a file against its tensors, so that no larger network is built."""
    expected: dict[str, int] = {'width': form.width}
    if isinstance(form, SvfapForm):
        expected |= {'plain blocks': form.depths[0], 'cross-self blocks': sum(form.depths[1:])}
        expected |= {'bottleneck tokens': form.summaries, 'scoring width': form.summary_width}
    else:
        expected |= {f'{name} blocks': form.depth for name in form.modalities}
        expected |= {'fusion blocks': form.fusion_depth} if len(form.modalities) == 2 else {}
    expected |= {'decoder width': form.decoder_width} if 'decoder width' in sizes else {}
    expected |= {'decoder blocks': form.decoder_depth} if 'decoder blocks' in sizes else {}
    for name, size in expected.items():
        if sizes.get(name, size) != size:
            raise ShapeError(
                expected=f'{name} {sizes[name]}, as its tensors have', came=f'a note of {size}', todo='get it again'
            )


def _form_of_shapes(source: Checkpoint, recognition: Recognised) -> Form:
    sizes = recognition.sizes
    if sizes['width'] % HEAD_WIDTH or sizes.get('decoder width', HEAD_WIDTH) % HEAD_WIDTH:
        raise WeightsError(
            expected=f'a width of whole attention heads of {HEAD_WIDTH}',
            came=f'{source.path.name} of width {sizes["width"]}',
            todo='give the file that the run wrote, which notes its form',
        )
    decoder = sizes.get('decoder width', sizes['width'] // 2 // HEAD_WIDTH * HEAD_WIDTH or HEAD_WIDTH)
    common: dict[str, Any] = {
        'width': sizes['width'], 'heads': sizes['width'] // HEAD_WIDTH, 'decoder_width': decoder,
        'decoder_heads': decoder // HEAD_WIDTH,
    }  # fmt: skip
    if 'decoder blocks' in sizes:
        common['decoder_depth'] = sizes['decoder blocks']
    return _hicmae_form(sizes, common) if recognition.family == 'hicmae' else _svfap_form(sizes, common)


def _hicmae_form(sizes: Mapping[str, Any], common: dict[str, Any]) -> HicmaeForm:
    modalities = tuple(name for name in MODALITIES if f'{name} blocks' in sizes)
    if not modalities:
        raise ShapeError(expected='encoders of one block or more', came='none', todo='get the file again')
    fusion = sizes.get('fusion blocks', HicmaeForm.fusion_depth)
    depth = sizes[f'{modalities[0]} blocks']  # the same in both encoders
    deepest = {'decoder_depth': min(HicmaeForm.decoder_depth, (depth + 5) // 3)} | common  # maximum for this encoder
    return HicmaeForm(**deepest, depth=depth, fusion_depth=fusion, modalities=modalities)


def _svfap_form(sizes: Mapping[str, Any], common: dict[str, Any]) -> SvfapForm:
    plain, cross, later = sizes['plain blocks'], sizes['cross-self blocks'], sizes['stages'] - 1
    if later == 2 and cross % 3 and cross != 4:  # 4 can only be 2 and 2
        raise ShapeError(
            expected='twice as many cross-self blocks in the second stage as in the third, as published',
            came=f'{counted(cross, "block")} in both', todo='get the file again, or one that notes its form',
        )  # fmt: skip
    # the published sizes give the second stage twice as many blocks as the third; names alone do not distinguish them
    depths = (plain, *((cross,) if later == 1 else (cross * 2 // 3, cross - cross * 2 // 3) if later == 2 else ()))
    return SvfapForm(
        **common, depths=depths, summaries=sizes['bottleneck tokens'], summary_width=sizes['scoring width']
    )


def pretraining_from(source: str | os.PathLike[str] | Checkpoint, **changes: Any) -> tuple[Pretraining, Coverage]:
    """A pre-training network with every weight of a checkpoint.

    Args:
        source: a file, a run's folder, or the result of `opened`.
        changes: fields of the form to set, such as `size=96`.

    Returns:
        The network in float32, and the mapping of each tensor.

    Raises:
        WeightsError: the file is not a complete pre-training state of HiCMAE or SVFAP.
    """
    checkpoint = opened_checkpoint(source)
    recognition = _recognition(checkpoint)
    if recognition.form != 'pretrain':
        raise WeightsError(
            expected='a pre-training checkpoint, with decoders',
            came=f'{checkpoint.path.name}: {recognition}',
            todo='fine-tune from it instead, or give the file of the pre-training',
        )
    require_whole(inspected(checkpoint))
    form = stored_form(checkpoint, **changes)
    names: dict[str, str | None] = {name: recognition.ours(name) for name in recognition.expected}
    unread: dict[str, str | None] = {name: None for name in checkpoint.tensors if name not in recognition.expected}

    def network() -> Pretraining:
        return SvfapPretraining(form) if isinstance(form, SvfapForm) else HicmaePretraining(form)

    # assigned tensors keep their type, and clips are float32
    state = {name: value.float() if value.is_floating_point() else value for name, value in checkpoint.state().items()}
    return built(network, state, names | unread)


def classifier_from(
    source: str | os.PathLike[str] | Checkpoint,
    outputs: int | None = None,
    *,
    drop_path: float = 0.1,
    allow_missing: bool = False,
    **changes: Any,
) -> tuple[Classifier, Transfer]:
    """A fine-tuning network with weights from a checkpoint of any stage.

    Args:
        source: a file, a run's folder, or the result of `opened`.
        outputs: number of outputs; None for those of a fine-tuned file. A head with another number is dropped and
            initialised again.
        drop_path: probability of dropping a path in the network's last block.
        allow_missing: also accept a file that lacks tensors of the encoders, which then keep their random values.
        changes: fields of the form to set, such as `size=96` or `modalities=('audio',)`.

    Returns:
        The network, and the record of the transfer.

    Raises:
        WeightsError: the file is of another system, or lacks tensors of the encoders.
    """
    checkpoint = opened_checkpoint(source)
    recognition = _recognition(checkpoint)
    outputs = outputs or recognition.sizes.get('outputs')
    if not outputs:
        raise WeightsError(
            expected='a number of outputs', came=f'{checkpoint.path.name} without a head', todo='say how many there are'
        )
    form = stored_form(checkpoint, **changes)
    model: Classifier
    if isinstance(form, SvfapForm):
        model = SvfapClassifier(form, outputs, drop_path)
    else:
        model = HicmaeClassifier(form, outputs, drop_path)
    return model, transferred(model, checkpoint, allow_missing=allow_missing)


def transferred(
    model: nn.Module, source: str | os.PathLike[str] | Checkpoint, *, allow_missing: bool = False
) -> Transfer:
    """Load a checkpoint of any stage into a fine-tuning network, all or nothing.

    Args:
        model: `HicmaeClassifier` or `SvfapClassifier`, or one with more parameters, such as learned positions.
        source: a file, a run's folder, or the result of `opened`.
        allow_missing: also accept missing or misshapen tensors of the encoders; those of the network stay unchanged.

    Returns:
        The record of the transfer: transferred, ignored and new tensors.

    Raises:
        WeightsError: tensors of the encoders are missing or of another shape; the message names them.
    """
    checkpoint = opened_checkpoint(source)
    checkpoint.check_values()
    recognition = _recognition(checkpoint)
    state = model.state_dict()
    matched, rows, remarks, wrong = _matched(checkpoint, recognition, model, state)
    absent = [name for name in state if name not in matched]
    new = tuple(name for name in absent if NEW.search(name))
    missing = [name for name in absent if name not in new]
    if (missing or wrong) and not allow_missing:
        is_cut = any(checkpoint.shapes.get(name) != shape for name, shape in recognition.expected.items())
        remedy = 'get the file again' if is_cut else 'build the network in the form of the file (`stored_form`)'
        raise WeightsError(
            expected=f'every tensor of the encoders of {type(model).__name__}',
            came=f'{checkpoint.path.name} ({recognition}) with {_faults(missing, wrong)}',
            todo=f'{remedy}, or allow it in Python with allow_missing=True',
        )
    if missing:
        remarks.append(f'allowed to be missing, and as drawn: {listed(missing, 8)}')
    model.load_state_dict({**state, **matched}, strict=True)
    return Transfer(checkpoint.path.name, recognition, Coverage(tuple(rows)), (*new, *missing), tuple(remarks))


def _matched(
    checkpoint: Checkpoint, recognition: Recognised, model: nn.Module, state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[CoverageRow], list[str], dict[str, str]]:
    """Tensors by the network's names, a row for each tensor of the file, remarks, and by name what does not fit."""
    matched: dict[str, Tensor] = {}
    rows, remarks = [], []
    wrong: dict[str, str] = {}
    dropped = _dropped(checkpoint, recognition, state)
    if dropped:
        remarks.append(
            f'dropped, as the network has other outputs or reads other features: {listed(sorted(dropped), 8)}'
        )
    for name, stored in checkpoint.tensors.items():
        target = recognition.kept.get(name) if recognition.kept else recognition.ours(name)
        if POSITIONS.search(name):
            target = name.removeprefix('encoder.') if recognition.family == 'svfap' else name
        if target in state and target not in dropped:
            assert target is not None
            value, shape = checkpoint.tensor(name), tuple(state[target].shape)
            if POSITIONS.search(name) and stored.shape != shape:
                value = resized_positions(value, grid_of(model, target), shape[1])
                remarks.append(f'{name} resized from {stored.shape[1]} to {shape[1]} tokens')
            if tuple(value.shape) == shape:
                matched[target] = value.to(state[target].dtype)
            else:
                wrong[target] = f'{name} of {list(stored.shape)} where {list(shape)} belongs'
        elif POSITIONS.search(name):
            if _is_fixed(checkpoint.tensor(name)):
                remarks.append(f'{name} is the fixed table, which the network has by itself')
            else:
                wrong[name] = f'{name}, learned positions, where the network has a fixed table'
        rows.append(CoverageRow(name, target if target in matched else None, stored.shape))
    return matched, rows, remarks, wrong


def _dropped(checkpoint: Checkpoint, recognition: Recognised, state: Mapping[str, Tensor]) -> set[str]:
    """Parts of a fine-tuned file that do not fit: a head with other outputs, and layers that read other features."""
    if recognition.kept:
        return set()
    shapes = {recognition.ours(name): stored.shape for name, stored in checkpoint.tensors.items()}
    differs = {name for name in state if name in shapes and shapes[name] != tuple(state[name].shape)}
    parts = {name.split('.')[0] for name in differs} & {'fc_norm', 'head'}
    parts |= {'head'} if 'fc_norm' in parts else set()
    return {name for name in state if name.split('.')[0] in parts}


def _is_fixed(table: Tensor) -> bool:
    """Whether a table of positions is the published one, which is never learned."""
    if table.ndim != 3 or table.shape[0] != 1:
        return False
    fixed = position_table(table.shape[1], table.shape[2], table.float())
    return torch.allclose(table[0].float(), fixed.float(), atol=1e-5)


def _faults(missing: list[str], wrong: Mapping[str, str]) -> str:
    absent = [name for name in missing if name not in wrong]
    parts = [f'{len(absent)} missing ({listed(absent)})'] * bool(absent)
    if wrong:
        shown = '; '.join([*wrong.values()][:3]) + ' …' * (len(wrong) > 3)
        parts.append(f'{len(wrong)} that {"does" if len(wrong) == 1 else "do"} not fit ({shown})')
    return ' and '.join(parts)


def grid_of(model: nn.Module, name: str) -> tuple[int, ...]:
    """Number of tokens on each axis of the input of a table of positions."""
    form: Form = model.form  # type: ignore[assignment]
    if isinstance(form, HicmaeForm) and name.startswith('encoder_audio.'):
        return form.audio_grid
    return form.video_grid


def resized_positions(table: Tensor, grid: tuple[int, ...], tokens: int) -> Tensor:
    """A learned table of positions for another number of tokens.

    For a video, rows and columns are resized by bicubic interpolation in each time slice, if time is as long
    as before; for a spectrogram, time is cut at its end.

    Args:
        table: (1, N, C) table of the file.
        grid: (T, Y, X) of the network's video, or (T, mel bands) of its audio.
        tokens: number of the network's tokens.

    Returns:
        (1, tokens, C).

    Raises:
        ShapeError: the table is not of a square video with T slices, or is of a shorter spectrogram.
    """
    count, width = (table.shape[1], table.shape[2]) if table.ndim == 3 else (0, 0)
    if len(grid) == 2:
        if count % grid[1] or count < tokens:
            raise ShapeError(
                expected=f'positions of {tokens} tokens or more, {grid[1]} a time step', came=str(tuple(table.shape)),
                todo='shorten the audio of the form: what lies past the end was never learned',
            )  # fmt: skip
        return table[:, :tokens]
    time, rows, columns = grid
    side = round((count / time) ** 0.5)
    if not side or time * side * side != count:
        raise ShapeError(
            expected=f'positions of {time} time slices of a square', came=str(tuple(table.shape)),
            todo='give the form as many frames as the file was trained with',
        )  # fmt: skip
    slices = table.reshape(time, side, side, width).permute(0, 3, 1, 2).float()  # (1, N, C), then (T, C, Y, X)
    resized = functional.interpolate(slices, size=(rows, columns), mode='bicubic', align_corners=False)
    return resized.permute(0, 2, 3, 1).reshape(1, tokens, width).to(table.dtype)  # (T, Y, X, C), then (1, N, C)


def _recognition(checkpoint: Checkpoint) -> Recognised:
    recognition = recognised(checkpoint.shapes)
    if recognition is None or recognition.family not in ('hicmae', 'svfap'):
        raise WeightsError(
            expected='a checkpoint of HiCMAE or SVFAP',
            came=f'{checkpoint.path.name}: {recognition or "of no known family"}',
            todo='see what is in it with affekt checkpoint inspect',
        )
    return recognition


@contextlib.contextmanager
def _as_weights(checkpoint: Checkpoint) -> Iterator[None]:
    """Context that reports values that no form can have as an error of the file."""
    try:
        yield
    except (AffektError, TypeError, ValueError, ArithmeticError) as error:
        if isinstance(error, WeightsError):
            raise
        if isinstance(error, AffektError):
            came = f'{error.came} in {checkpoint.path.name}'
            raise WeightsError(expected=error.expected, came=came, todo='get the file again') from error
        raise WeightsError(
            expected=f'a form of HiCMAE or SVFAP in {checkpoint.path.name}',
            came=' '.join(str(error).split())[:200],
            todo='get the file again',
        ) from error
