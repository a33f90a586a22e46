"""Speaker embeddings: 256 numbers per speech segment, similar for segments of one speaker.

The network is Resemblyzer's (three LSTM layers over 40 mel bands, trained to distinguish thousands of speakers by
generalised end-to-end verification). It runs here in NumPy. Nobody is identified: voices of one recording are only
compared with each other.

Axes: N segments, B windows of 1.6 s, T frames of 10 ms, M mel bands, H 256 units.

Source: Wan et al. 2018, arXiv:1710.10467; Resemblyzer 0.1.4, voice_encoder.py and audio.py (windows, loudness, bands).
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import WeightsError
from affekt.runs import read_regular_file
from affekt.voice.fourier import rfft
from affekt.voice.mel import HOP, RATE_HZ, WINDOW, mel_filters
from affekt.voice.speech import SampleBlock

MODEL = 'speaker-identity.pt'
BANDS = 40
FRAMES = 160
"""Frames per window, 1.6 s."""
STEP = 80
"""Frames between window starts."""
LEAST_COVERED = 0.75
"""Minimum share of speech in a last window for it to count."""
LOUDNESS_DB = -30.0
"""Root mean square to which quiet speech is amplified, dB of full scale."""
MOST_WINDOWS = 16
"""Maximum windows used per segment: 13 s; longer audio adds nothing."""
MOST_S = 14.0
BATCH = 48
"""Windows per batch."""
LAYERS, UNITS = 3, 256
_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_STORAGES = 4096


class SpeakerIdentity:
    """The speaker network.

    Args:
        path: path of its file; None for the verified one, downloaded if missing.

    Raises:
        WeightsError: the file is not available, or its arrays are not the network's.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        file = Path(path) if path is not None else _default_path()
        try:
            arrays = read_arrays(read_regular_file(file))
            self._layers = [_layer(arrays, number) for number in range(LAYERS)]
            self._last = (arrays['linear.weight'], arrays['linear.bias'])
            if self._layers[0][0].shape != (BANDS, 4 * UNITS) or self._last[0].shape != (UNITS, UNITS):
                raise ValueError('arrays of other shapes')
        except (
            OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RecursionError,
            pickle.UnpicklingError,
        ) as error:  # fmt: skip
            raise WeightsError(
                expected='the network of speaker identity', came=f'{file}: {str(error)[:200]}',
                todo=f'run `affekt weights get {MODEL}`',
            ) from error  # fmt: skip

    def vectors(self, stretches: Iterable[Floats32]) -> Floats32:
        """(N, 256) one unit vector per speech segment, without negatives: dot products are high for one speaker.

        Args:
            stretches: segments, each (samples,) mono in [-1, 1] at 16 kHz, of one person without long pauses.

        Returns:
            Means over windows of 1.6 s that overlap by half, at most MOST_WINDOWS per segment, shorter segments padded
            with silence; zeros for a silent or empty segment.
        """
        sums: list[Floats32] = []
        waiting: list[tuple[int, Floats32]] = []

        def read() -> None:
            if waiting:
                for (index, _), row in zip(
                    waiting, self._read(np.stack([window for _, window in waiting])), strict=True
                ):
                    sums[index] = sums[index] + row
                waiting.clear()

        for index, samples in enumerate(stretches):
            sums.append(np.zeros(UNITS, np.float32))
            waiting += [(index, window) for window in _windows(samples)]
            if len(waiting) >= BATCH:
                read()
        read()
        rows = np.stack(sums) if sums else np.zeros((0, UNITS), np.float32)
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    def _read(self, windows: Floats32) -> Floats32:
        """(B, 256) unit vectors of (B, T, M) mel power.

        i, f, g, o = gates of W x + U h + b        c = f c + i g        h = o tanh(c)
        """
        layer = windows
        for inner, outer, bias in self._layers:
            input_gates = layer @ inner + bias  # (B, T, 4H)
            state: npt.NDArray[Any] = np.zeros((len(windows), UNITS), np.float32)
            cell: npt.NDArray[Any] = state
            states = np.empty((*layer.shape[:2], UNITS), np.float32)
            for step in range(layer.shape[1]):
                # three of four gates are sigmoids, 0.5 + 0.5 tanh(x / 2): with halved weights one tanh computes all
                gates = np.tanh(input_gates[:, step] + state @ outer)  # (B, 4H)
                enter, keep, candidate, output = (gates[:, UNITS * n : UNITS * (n + 1)] for n in range(4))  # i, f, g, o
                cell = (0.5 * keep + 0.5) * cell + (0.5 * enter + 0.5) * candidate
                state = (0.5 * output + 0.5) * np.tanh(cell)
                states[:, step] = state
            layer = states
        weights, bias = self._last
        vectors = np.maximum(layer[:, -1] @ weights.T + bias, 0)
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def speaker_vectors(
    network: SpeakerIdentity, blocks: Iterable[SampleBlock], spans: Sequence[tuple[float, float]]
) -> Floats32:
    """(N, 256) the vector of each span of a recording; zeros for a silent or empty one.

    Args:
        network: the speaker network.
        blocks: the recording's audio at 16 kHz, in order.
        spans: (start_s, end_s) of each span, sorted by start.
    """
    return network.vectors(_cut(blocks, spans))


def _cut(blocks: Iterable[SampleBlock], spans: Sequence[tuple[float, float]]) -> Iterator[Floats32]:
    """Yield the samples of each span, at most MOST_S of each."""
    remaining = iter(blocks)
    recent: list[SampleBlock] = []
    for start_s, end_s in spans:
        end_s = min(end_s, start_s + MOST_S)
        while (not recent or _end_s(recent[-1]) < end_s) and (block := next(remaining, None)) is not None:
            recent.append(block)
        recent = [block for block in recent if _end_s(block) > start_s]
        parts = []
        for block in recent:
            first = max(0, round((start_s - block.start_s) * RATE_HZ))
            last = max(first, round((end_s - block.start_s) * RATE_HZ))
            parts.append(block.samples[first:last])
        yield np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _end_s(block: SampleBlock) -> float:
    return float(block.start_s + block.samples.shape[0] / RATE_HZ)


def _windows(samples: Floats32) -> list[Floats32]:
    """Windows (T, M) of a segment, amplified if it is quiet; [] for silence."""
    level = float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0
    if not level > 1e-6:
        return []
    frames = mel_power(samples * np.float32(max(1.0, 10 ** (LOUDNESS_DB / 20) / level)))
    starts = list(range(0, max(1, len(frames) - FRAMES + STEP + 1), STEP))
    if len(starts) > 1 and len(frames) - starts[-1] < LEAST_COVERED * FRAMES:
        starts.pop()
    padded = np.pad(frames, ((0, max(0, starts[-1] + FRAMES - len(frames))), (0, 0)))
    return [padded[start : start + FRAMES] for start in starts[:MOST_WINDOWS]]


def mel_power(samples: Floats32) -> Floats32:
    """(T, 40) power in mel bands, one frame per 10 ms, with silence around the samples."""
    padded = np.pad(samples.astype(np.float32, copy=False), WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]  # (T, 400)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    spectrum = rfft(frames * window)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return np.asarray(power @ mel_filters(BANDS).T, dtype=np.float32)


def _layer(arrays: dict[str, Floats32], number: int) -> tuple[Floats32, Floats32, Floats32]:
    """Weights (M, 4H), (H, 4H) and bias (4H,) of a layer, halved for the gates that are sigmoids: all but the third."""
    inner, outer, bias_in, bias_out = (
        arrays[f'lstm.{name}_l{number}'] for name in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
    )
    half = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), UNITS)
    return (
        np.ascontiguousarray(inner.T * half),
        np.ascontiguousarray(outer.T * half),
        np.asarray((bias_in + bias_out) * half, dtype=np.float32),
    )


def _default_path() -> Path:
    from affekt.weights import model_path

    return model_path(MODEL)


# The file has torch's format before 2020: pickles of a magic number, a version, the system's sizes, the objects and
# the keys of their storages, then the storages themselves: eight bytes of length, then float32 numbers.


def read_arrays(content: bytes) -> dict[str, Floats32]:
    """The arrays under 'model_state' of a file in torch's old format; nothing in it is executed.

    Raises:
        ValueError, pickle.UnpicklingError, EOFError, LookupError: the file has another format, or needs more than
        arrays.
    """
    file = io.BytesIO(content)
    if _Arrays(file).load() != _MAGIC:
        raise ValueError('not a file of torch')
    _Arrays(file).load(), _Arrays(file).load()
    objects = _Arrays(file)
    state = objects.load()['model_state']
    keys = _Arrays(file).load()
    if len(keys) > _MOST_STORAGES:
        raise ValueError(f'{len(keys)} arrays')
    storages: dict[str, npt.NDArray[np.float32]] = {}
    for key in keys:
        (count,) = np.frombuffer(file.read(8), '<i8')
        dtype = objects.dtypes[str(key)]
        if not 0 <= count * dtype.itemsize <= len(content):
            raise ValueError(f'an array of {count} numbers')
        storages[str(key)] = np.frombuffer(file.read(int(count) * dtype.itemsize), dtype)
    return {name: stored.filled(storages) for name, stored in state.items() if isinstance(stored, _StoredArray)}


class _StoredArray:
    """An array given by its position in a storage."""

    def __init__(self, storage: str, offset: int, shape: tuple[int, ...], *rest: Any) -> None:
        self.storage, self.offset, self.shape = storage, offset, tuple(int(side) for side in shape)

    def filled(self, storages: dict[str, npt.NDArray[np.float32]]) -> Floats32:
        flat = storages[self.storage]
        count = int(np.prod(self.shape, dtype=np.int64))
        if not 0 <= self.offset <= self.offset + count <= len(flat):
            raise ValueError('an array past the end of its storage')
        return np.array(flat[self.offset : self.offset + count].reshape(self.shape), dtype=np.float32)


class _Arrays(pickle.Unpickler):
    """An unpickler of dictionaries, numbers, texts and positions of arrays, which refuses everything else."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.dtypes: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ('collections', 'OrderedDict'): OrderedDict,
            ('torch._utils', '_rebuild_tensor_v2'): _StoredArray,
            ('torch', 'FloatStorage'): '<f4',
            ('torch.cuda', 'FloatStorage'): '<f4',
            ('torch', 'LongStorage'): '<i8',
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f'it needs {module}.{name}')
        return allowed[module, name]

    def persistent_load(self, reference: Any) -> str:
        _, storage, key, *_ = reference
        self.dtypes[str(key)] = np.dtype(storage)
        return str(key)
