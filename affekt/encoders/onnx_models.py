"""A network in an ONNX file: identified by its sha256, checked against a recipe's input and output, run.

The user exports published weights with the program of their publication; large weights may be in files beside it, which
are hashed too. Only operators of onnxruntime are run.

N examples per call, D features.
"""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import ValueRangeError, WeightsError

Shape = tuple[int | None, ...]
"""Shape of an array; None for an axis of any size."""


class OnnxModel:
    """An open network with one input.

    Args:
        path: path of the file.
        wanted: shapes of input that the recipe can provide, the first axis being N; the network takes one of them.
        dimension: D, which must be the size of an axis of one of its outputs.
        name: name of the recipe, for messages.
        device: cpu, cuda or cuda:N.

    Raises:
        ValueRangeError: this onnxruntime has no such device.
        WeightsError: the file is not an ONNX file, or its network has other inputs or outputs.
    """

    def __init__(self, path: Path, wanted: Sequence[Shape], dimension: int, name: str, device: str) -> None:
        self.path, self._name, self._dimension = path, name, dimension
        self._session = _session(path, device)
        self._input = self._only_input()
        shape = [size if isinstance(size, int) else None for size in self._input.shape]
        fitting = [possible for possible in wanted if _fits(shape, possible)]
        if not fitting or self._input.type != 'tensor(float)':
            raise self._wrong(
                f'one input of float32, {" or ".join(map(_in_words, wanted))}',
                f'{_in_words(shape)} of {self._input.type}',
                'export it again with these sizes',
            )
        self.shape = fitting[0]
        """The shape in `wanted` that the network accepts."""
        self._fixed = shape[0]
        if self._fixed not in (None, 1):
            raise self._wrong(
                'any number of examples at once, or one', f'{self._fixed}', 'export it with a free first axis'
            )
        self._output = self._fitting_output()

    @property
    def output_shape(self) -> Shape:
        """Shape of the output as stated in the file."""
        return tuple(size if isinstance(size, int) else None for size in self._output.shape)

    def run(self, given: Floats32) -> Floats32:
        """The output for N examples.

        Args:
            given: (N, …) input of shape `shape`.

        Returns:
            (N, …) output, of which one axis is D.

        Raises:
            WeightsError: the network fails on the input, or returns another shape.
        """
        blocks = given if self._fixed is None else np.split(given, len(given))
        runs = [blocks] if self._fixed is None else blocks
        return np.concatenate([self._once(np.ascontiguousarray(block)) for block in runs])

    def _once(self, examples: Any) -> Floats32:
        try:
            output = self._session.run([self._output.name], {self._input.name: examples.astype(np.float32)})[0]
        except Exception as error:  # onnxruntime's exceptions have no common class
            lines = str(error).strip().splitlines() or ['']
            raise self._wrong(
                f'a network that runs on {examples.shape}', lines[0][:200], 'try the file with onnxruntime alone'
            ) from error
        if self._dimension not in output.shape[1:]:
            raise self._wrong(f'{self._dimension} columns', f'{output.shape}', 'export the layer that the recipe names')
        return np.asarray(output, np.float32)

    def _only_input(self) -> Any:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise self._wrong('one input', ', '.join(model_input.name for model_input in inputs), 'export it with one')
        return inputs[0]

    def _fitting_output(self) -> Any:
        outputs = self._session.get_outputs()
        fitting = [output for output in outputs if self._dimension in output.shape[1:]]
        unknown = [output for output in outputs if not any(isinstance(size, int) for size in output.shape[1:])]
        if not fitting and not unknown:
            raise self._wrong(
                f'an output of {self._dimension} columns',
                ', '.join(f'{output.name} {_in_words(output.shape)}' for output in outputs),
                'export the layer that the recipe names, not its classes',
            )
        return (fitting or unknown)[0]

    def _wrong(self, expected: str, came: str, todo: str) -> WeightsError:
        return WeightsError(expected=f'{expected}, for {self._name}', came=f'{came} in {self.path}', todo=todo)


def _session(path: Path, device: str) -> Any:
    import onnxruntime

    if not path.is_file():
        came = f'{path}, {"a folder" if path.is_dir() else "which is not there"}'
        raise WeightsError(expected='an ONNX file', came=came, todo='give the exported network with --model FILE')
    providers = _providers(device)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    threads = os.environ.get('OMP_NUM_THREADS', '')
    in_worker = multiprocessing.parent_process() is not None
    options.intra_op_num_threads = int(threads) if threads.isdecimal() else int(in_worker)  # 0 uses all cores
    try:
        return onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # as above
        first_line = (str(error).strip().splitlines() or [''])[0]
        raise WeightsError(
            expected='an ONNX file that onnxruntime opens', came=f'{path}: {first_line[:200]}', todo='export it again'
        ) from error


def _providers(device: str) -> list[Any]:
    """Execution providers of a device, by the names of onnxruntime."""
    import onnxruntime

    match = re.fullmatch(r'cpu|cuda(?::(\d+))?', device)
    if match is None or (device != 'cpu' and 'CUDAExecutionProvider' not in onnxruntime.get_available_providers()):
        raise ValueRangeError(
            expected='a device that this onnxruntime has, such as cpu', came=repr(device),
            todo='leave --device out, or install onnxruntime-gpu instead of onnxruntime',
        )  # fmt: skip
    cuda = [('CUDAExecutionProvider', {'device_id': int(match[1] or 0)})] if device != 'cpu' else []
    return [*cuda, 'CPUExecutionProvider']


def _fits(shape: Sequence[int | None], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        size is None or wanted_size is None or size == wanted_size
        for size, wanted_size in zip(shape, wanted, strict=True)
    )


def _in_words(shape: Sequence[Any]) -> str:
    """A shape as text, with `?` for free sizes.

    >>> _in_words((None, 3, 224, 224))
    '(?, 3, 224, 224)'
    """
    return f'({", ".join(str(size) if isinstance(size, int) else "?" for size in shape)})'
