"""Audio through a network in an ONNX file: VGGish, wav2vec, emotion2vec.

VGGish reads spectrograms that are computed here: at 16 kHz, magnitudes of windows of 25 ms every 10 ms in 64 bands from
125 to 7,500 Hz, log(x + 0.01), 0.96 s each, every 0.05 s for FRA and every 0.5 s for UTT; audio shorter than 1 s is
repeated until it is longer. The others read the samples.

Axes: B batch, S samples, T rows, D features.

Source: Hershey et al. 2017, arXiv:1609.09430; Schneider et al. 2019, arXiv:1904.05862; Ma et al. 2023,
arXiv:2312.15185; github.com/zeroQiaoba/MERTools, MERBench and MER2024, feature_extraction/audio.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Bools, Floats, Floats32
from affekt.encoders.audioset import PCA_FILE, eight_bit, hop_of, read_pca
from affekt.encoders.encoder import Encoded, EncoderSettings, Modality, encoded_each
from affekt.encoders.exported import ExportedModel
from affekt.encoders.framing import RATE_HZ
from affekt.encoders.onnx_models import OnnxModel
from affekt.errors import WeightsError

BANDS, LOWEST_HZ, HIGHEST_HZ, OFFSET = 64, 125.0, 7500.0, 0.01
"""Number of mel bands, their range, and the constant added before the logarithm."""
WINDOW, HOP, FFT = 400, 160, 512
"""Window, hop and FFT size in samples."""
EXAMPLE = 96
"""Windows per spectrogram."""
AT_ONCE = 256
"""Spectrograms per forward pass."""


@functools.cache
def mel_bands() -> Floats:
    """(257, 64) weights: triangles equally spaced in 1127 ln(1 + f / 700); none for the lowest bin."""

    def mel(hertz: Any) -> Any:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), BANDS + 2)  # (66,)
    bins = mel(np.linspace(0.0, RATE_HZ / 2, FFT // 2 + 1))[:, None]  # (257, 1)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights: Floats = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def log_mel(audio: Floats32) -> Floats:
    """(T, 64) logarithms of the magnitude in each band, one row every 10 ms.

    Args:
        audio: (S,) at 16 kHz, at least 400 samples.
    """
    windows = np.lib.stride_tricks.sliding_window_view(audio.astype(np.float64), WINDOW)[::HOP]  # (T, 400)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / WINDOW * np.arange(WINDOW))
    logarithms: Floats = np.log(np.abs(np.fft.rfft(windows * hann, FFT)) @ mel_bands() + OFFSET)
    return logarithms


def examples(audio: Floats32, hop_s: float) -> tuple[Floats32, Floats]:
    """(T, 96, 64) spectrograms and the (T,) centre of each in seconds.

    Args:
        audio: (S,) at 16 kHz, S above 0.
        hop_s: seconds between starts of consecutive spectrograms.
    """
    if len(audio) < RATE_HZ:
        audio = np.tile(audio, -(-RATE_HZ // len(audio)))
    step = round(hop_s * RATE_HZ / HOP)
    windows = np.lib.stride_tricks.sliding_window_view(log_mel(audio), EXAMPLE, axis=0)[::step]  # (T, 64, 96)
    times = np.arange(len(windows)) * step * HOP / RATE_HZ + EXAMPLE * HOP / RATE_HZ / 2
    return np.ascontiguousarray(np.moveaxis(windows, 2, 1), dtype=np.float32), times


class VggishOnnx:
    """An `Encoder` of spectrograms (VGGish).

    Args:
        network: network with input (N, 96, 64), possibly with an additional axis of 1.
        model: entry of the network.
        hop_s: seconds between starts of consecutive spectrograms.
        pca: AudioSet's vectors and means, for its 8-bit form; None for the states themselves.
    """

    modality: Modality = 'audio'

    def __init__(self, network: OnnxModel, model: ExportedModel, hop_s: float, pca: Any = None) -> None:
        self._network, self._hop_s, self._pca = network, hop_s, pca
        self.size = model.dimension
        self.rate_hz: float | None = 1 / hop_s

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, model: ExportedModel) -> VggishOnnx:
        """The encoder of a file, with AudioSet's file beside it for `vggish-pca`.

        Raises:
            WeightsError: a file is missing or of another type, or the network has other inputs or outputs.
        """
        shapes = [(None, EXAMPLE, BANDS), (None, 1, EXAMPLE, BANDS), (None, EXAMPLE, BANDS, 1)]
        network = OnnxModel(path, shapes, model.dimension, model.name, settings.device)
        pca = read_pca(path.parent / PCA_FILE) if model.name == 'vggish-pca' else None
        return cls(network, model, hop_of(settings.is_for_one_row), pca)

    def prepare(self, sample: Floats32) -> Floats32:
        """(T, 96, 64) spectrograms of audio at 16 kHz."""
        return examples(sample, self._hop_s)[0]

    def forward(self, rows: Floats32, keep_mask: Bools) -> tuple[Floats32, Bools]:
        """One state per spectrogram."""
        states = np.zeros((*keep_mask.shape, self.size), np.float32)  # (B, T, D)
        states[keep_mask] = self._run(rows[keep_mask])
        return states, keep_mask

    def encode(self, samples: Sequence[Floats32], *, is_published: bool = False) -> list[Encoded | str]:
        """(T, D) features of each audio; `is_published` makes no difference."""
        return encoded_each(samples, self._encoded)

    def _encoded(self, audio: Floats32) -> Encoded:
        windows, times = examples(audio, self._hop_s)
        return Encoded(self._run(windows), times)

    def _run(self, windows: Floats32) -> Floats32:
        """(T, 96, 64) spectrograms to (T, D) states."""
        shape = [-1, *(size or 1 for size in self._network.shape[1:])]
        blocks = [windows[begin : begin + AT_ONCE] for begin in range(0, len(windows), AT_ONCE)]
        rows = np.concatenate([self._network.run(block.reshape(shape)).reshape(len(block), -1) for block in blocks])
        return rows if self._pca is None else eight_bit(rows, *self._pca)


class OnnxSound:
    """An `Encoder` of the samples of whole audio (wav2vec, emotion2vec).

    Args:
        network: network with input (N, samples).
        model: entry of the network.
    """

    modality: Modality = 'audio'

    def __init__(self, network: OnnxModel, model: ExportedModel) -> None:
        self._network, self._facts = network, model.facts
        self.size = model.dimension
        self.rate_hz: float | None = RATE_HZ / model.facts['hop_samples']

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, model: ExportedModel) -> OnnxSound:
        """The encoder of a file.

        Raises:
            WeightsError: the file is not an ONNX file, or its network has other inputs or outputs.
        """
        return cls(OnnxModel(path, [(None, None)], model.dimension, model.name, settings.device), model)

    def prepare(self, sample: Floats32) -> Floats32:
        """(S,) samples at 16 kHz, with mean 0 and standard deviation 1 where the network was trained so."""
        if self._facts['normalised']:
            sample = ((sample - sample.mean()) / np.sqrt(sample.var() + 1e-5)).astype(np.float32)
        return sample

    def forward(self, rows: Floats32, keep_mask: Bools) -> tuple[Floats32, Bools]:
        """States of a batch, each audio run at its own length."""
        states = [self._run(audio[audio_mask]) for audio, audio_mask in zip(rows, keep_mask, strict=True)]
        longest = max(map(len, states))
        padded = [np.pad(audio_states, ((0, longest - len(audio_states)), (0, 0))) for audio_states in states]
        state_mask = np.arange(longest)[None, :] < np.array([len(audio_states) for audio_states in states])[:, None]
        return np.stack(padded), state_mask  # (B, T, D), (B, T)

    def encode(self, samples: Sequence[Floats32], *, is_published: bool = False) -> list[Encoded | str]:
        """(T, D) features of each audio; `is_published` makes no difference."""
        return encoded_each(samples, self._encoded)

    def _encoded(self, audio: Floats32) -> Encoded:
        hop, field = self._facts['hop_samples'], self._facts['field_samples']
        rows = self._run(self.prepare(audio))
        return Encoded(rows, (np.arange(len(rows)) * hop + field / 2) / RATE_HZ)

    def _run(self, audio: Floats32) -> Floats32:
        """(S,) samples to (T, D) states."""
        states = self._network.run(audio[None])[0]
        is_columns_first = self._facts['columns_first'] if states.ndim == 2 else False
        rows: Floats32 = states.T if is_columns_first else np.atleast_2d(states)  # (D, T) to (T, D)
        if rows.shape[1] != self.size:
            raise WeightsError(
                expected=f'{self.size} columns {"before" if is_columns_first else "after"} time',
                came=f'{states.shape} in {self._network.path}', todo='export the network as it was published',
            )  # fmt: skip
        return rows
