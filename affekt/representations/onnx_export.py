"""A checkpoint as an ONNX file for any number of clips and any length, compared with torch before it is written.

    export_onnx('run', Path('hicmae.onnx'))                  # affekt checkpoint convert run --to onnx --out hicmae.onnx

| name | shape | is |
|---|---|---|
| video | (batch, 3, frames, size, size) | frames standardised by ImageNet's mean and deviation, as by `collate` |
| audio | (batch, 1, steps, 128) | spectrograms |
| features | (batch, D) | feature of each clip, before the last norm |
| outputs | (batch, K) | fine-tuned checkpoints only: logits or values of the head |

A file has inputs for its own modalities only, one window of a clip per row. Positions are a slice of one table, which
reaches up to four times the published length.

Axes: D size of a feature, K outputs.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from affekt import __version__
from affekt.checkpoints import Checkpoint, opened, recognised
from affekt.encoders import checkpoint_at
from affekt.errors import StorageError, UnknownNameError, WeightsError, missing_extra
from affekt.files import file_sha256, place_atomically
from affekt.nn import sliced_positions
from affekt.pretraining import HicmaeForm, SvfapForm, classifier_from, stored_form
from affekt.progress import Progress
from affekt.representations.readings import Form, Network

LONGEST = 4
"""Longest input, as a multiple of the length in training."""
TOLERANCE = 1e-4
"""Maximum difference from torch, as a share of the largest value."""


@dataclass(frozen=True)
class Exported:
    """A written ONNX file.

    Args:
        path: path of the file.
        inputs: name of an input to its shape: names for free axes, numbers for fixed ones.
        outputs: name of an output to its shape.
        apart: largest difference from torch over all lengths tried, as a share of the largest value; for int8, the
            effect of quantisation.
    """

    path: Path
    inputs: Mapping[str, tuple[str | int, ...]]
    outputs: Mapping[str, tuple[str | int, ...]]
    apart: float


class _Exportable(nn.Module):
    """A network whose only arguments are tensors, as `torch.export` needs it."""

    def __init__(self, network: Network, modalities: Sequence[str], has_head: bool) -> None:
        super().__init__()
        self.network, self.modalities, self.has_head = network, tuple(modalities), has_head

    def forward(self, *pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, D) features and, for a network with a head, (B, K) outputs."""
        features, keep_mask = self.network.features(**dict(zip(self.modalities, pixels, strict=True)))
        if not self.has_head:
            return (features,)
        return features, self.network.head(self.network.normalised(features, keep_mask))


def export_onnx(
    source: str | os.PathLike[str],
    out: Path,
    *,
    modalities: Sequence[str] | None = None,
    precision: str = 'float32',
    licence: str = '',
    progress: Progress | None = None,
) -> Exported:
    """Write a checkpoint as ONNX after comparing it with torch at several lengths.

    Args:
        source: a checkpoint of HiCMAE or SVFAP of any stage, or the folder of a run.
        out: path of the new file; an existing one is never replaced.
        modalities: inputs of the file, a subset of the network's modalities; None for all. The others are masked.
        precision: float32, or int8 for 8-bit weights, which change the results; `apart` states by how much.
        licence: licence of the weights, as their publisher states it.
        progress: called with the stage ('load', 'export', 'compare'), units done and total units.

    Raises:
        WeightsError: the source is not a complete checkpoint, or the file would differ from torch.
        UnknownNameError: unknown modality or precision.
        MissingExtraError: onnx or onnxscript is not installed.
        StorageError: `out` exists, or does not end in .onnx.
    """
    _require_onnx()
    if out.suffix != '.onnx':
        raise StorageError(expected='a name that ends in .onnx', came=out.name, todo='rename it')
    if os.path.lexists(out):
        raise StorageError(
            expected='a new file name', came=f'{out}, which exists', todo='choose another name, or move it'
        )
    if precision not in ('float32', 'int8'):
        raise UnknownNameError(expected='float32 or int8', came=repr(precision), todo='choose one')
    report = progress or (lambda stage, done, total: None)
    # 1. network
    report('load', 0, 1)
    path = Path(source)
    checkpoint = opened(checkpoint_at(path) or path)
    form = stored_form(checkpoint)
    chosen = tuple(modalities or form.modalities)
    if not chosen or not set(chosen) <= set(form.modalities):
        raise UnknownNameError(
            expected=f'modalities that the network reads: {", ".join(form.modalities)}',
            came=', '.join(chosen) or 'none',
            todo='choose among them, or leave it out for all',
        )
    outputs = _outputs_of(checkpoint)
    network, _ = classifier_from(checkpoint, outputs or 1, drop_path=0.0)
    model = _Exportable(network.eval().requires_grad_(False), chosen, bool(outputs))
    report('load', 1, 1)
    # 2. the file and its metadata
    with place_atomically(out) as part:
        report('export', 0, 1)
        _write(model, form, part)
        report('export', 1, 1)
        report('compare', 0, 1)
        apart = _apart(model, form, part)
        if apart > TOLERANCE:
            raise WeightsError(
                expected='a file whose outputs equal those of torch',
                came=f'differences up to {apart:.2g} of the largest value',
                todo='report it with the versions of torch, onnx and onnxruntime',
            )  # fmt: skip
        if precision == 'int8':
            quantise(part)
            apart = _apart(model, form, part)
        report('compare', 1, 1)
        inputs, shapes_of_outputs = _with_metadata(part, _notes(checkpoint, form, precision, licence, apart))
    return Exported(out, inputs, shapes_of_outputs, apart)


def _write(model: _Exportable, form: Form, path: Path) -> None:
    batch = torch.export.Dim('batch', min=1, max=1 << 16)
    examples, axes = [], []
    for name in model.modalities:
        examples.append(_noise(form, name, 2, 1.0, 0))
        step = _least(form, name)
        blocks = torch.export.Dim(f'{name}_blocks', min=1, max=LONGEST * _length(form, name) // step)
        axes.append({0: batch, 2: blocks * step if step > 1 else blocks})
    outputs = ['features', 'outputs'] if model.has_head else ['features']
    longest = LONGEST * max(prod(form.video_grid), prod(form.audio_grid) if isinstance(form, HicmaeForm) else 0)
    with _quiet(), sliced_positions(longest, form.width), torch.no_grad():
        program = torch.onnx.export(
            model, tuple(examples), input_names=list(model.modalities), output_names=outputs, dynamo=True,
            dynamic_shapes=(tuple(axes),), verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(str(path), external_data=False)


def _least(form: Form, name: str) -> int:
    """Number of frames or steps of which a length must be a multiple."""
    if name == 'audio':
        return 16
    return 2 << (len(form.depths) - 1) if isinstance(form, SvfapForm) else 2


def _length(form: Form, name: str) -> int:
    """Number of frames or steps that the network was trained with."""
    if name == 'video':
        return form.frames
    return form.steps if isinstance(form, HicmaeForm) else 0


def _noise(form: Form, name: str, count: int, times: float, seed: int) -> Tensor:
    """(count, …) random windows, `times` as long as in training, cut to a length that the network can read."""
    step = _least(form, name)
    length = max(int(times * _length(form, name)) // step, 1) * step
    size = (3, length, form.size, form.size) if name == 'video' else (1, length, form.bands)  # type: ignore[union-attr]
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(seed))


def _apart(model: _Exportable, form: Form, path: Path) -> float:
    """Largest difference between the file and torch, over batches and lengths, as a share of the largest value."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    worst = 0.0
    for count, times in ((1, 1.0), (3, 0.5), (2, 1.5)):
        pixels = [_noise(form, name, count, times, 1) for name in model.modalities]
        with torch.no_grad():
            truths = model(*pixels)
        try:
            outputs = session.run(
                None, {name: window.numpy() for name, window in zip(model.modalities, pixels, strict=True)}
            )
        except Exception as error:  # onnxruntime's errors have no common class
            raise WeightsError(
                expected='a file that takes any number of windows of any length',
                came=' '.join(str(error).split())[:200],
                todo='report it with the versions of torch, onnx and onnxruntime',
            ) from error  # fmt: skip
        for truth, output in zip(truths, outputs, strict=True):
            expected = truth.numpy()
            largest = float(np.abs(expected).max()) or 1.0
            worst = max(worst, float(np.abs(output - expected).max()) / largest)
    return worst


def quantise(path: Path) -> None:
    """Quantise the weights of linear layers to 8 bits, one scale per output; activations are scaled at run time.

    Weights take 7 of the 8 bits: processors without VNNI add pairs of products in 16 bits, where 8 bits saturate.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantised = path.with_name(f'{path.name}.int8')
    try:
        with _quiet():
            quantize_dynamic(
                str(path),
                str(quantised),
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                op_types_to_quantize=['MatMul', 'Gemm'],
            )
        os.replace(quantised, path)
    finally:
        quantised.unlink(missing_ok=True)


def _with_metadata(
    path: Path, notes: Mapping[str, str]
) -> tuple[dict[str, tuple[str | int, ...]], dict[str, tuple[str | int, ...]]]:
    """Add metadata to a file, and return the shapes of its inputs and outputs."""
    import onnx

    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, dict(notes))
    onnx.checker.check_model(graph)
    path.write_bytes(graph.SerializeToString())

    def shapes(values: Any) -> dict[str, tuple[str | int, ...]]:
        return {
            value.name: tuple(axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for value in values
        }

    return shapes(graph.graph.input), shapes(graph.graph.output)


def _notes(checkpoint: Checkpoint, form: Form, precision: str, licence: str, apart: float) -> dict[str, str]:
    recognition = recognised(checkpoint.shapes)
    assert recognition is not None
    return {
        'family': recognition.family, 'form': json.dumps(vars(form)), 'source': checkpoint.path.name,
        'source_sha256': file_sha256(checkpoint.path), 'licence': licence or 'not stated', 'precision': precision,
        'apart_from_torch': f'{apart:.2g}', 'converted_by': f'affekt {__version__}',
    }  # fmt: skip


def _outputs_of(checkpoint: Checkpoint) -> int:
    """Number of outputs of the head; 0 without a head."""
    shape = checkpoint.shapes.get('head.weight', ())
    return shape[0] if shape else 0


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra('onnx and onnxscript', 'torch', came=str(error)) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A context without log messages of the libraries."""
    import logging

    names = ('torch.onnx', 'torch.onnx._internal.exporter._registration', 'root', 'onnxscript')
    before = {name: logging.getLogger(name if name != 'root' else None).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for name in names:
            logging.getLogger(name if name != 'root' else None).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name if name != 'root' else None).setLevel(level)
