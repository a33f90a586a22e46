"""Audio networks on waveforms (HuBERT, wav2vec 2.0, WavLM, data2vec) or spectrograms (Whisper): audio to states.

Published: audio above 10 s is cut into chunks of 10 s that are run as one batch, and the last chunk is padded with
zeros. The states of the padding are kept, and a mean over 10.5 s of audio is half silence. Corrected: the last chunk is
run at its own length (merged with the previous chunk where it is shorter than a second), so that no state is padding.

For Whisper, published features are two states of the decoder, before any text, for the first 30 s. Corrected features
are the states of the encoder, as many as the audio is long.

Axes: B batch or chunks, T audio samples at 16 kHz, S states, D their size.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools,
MERBench/feature_extraction/audio/extract_audio_huggingface.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affekt.arrays import Floats32
from affekt.encoders.backbones import Backbone, as_array
from affekt.encoders.encoder import Encoded, EncoderSettings, Layers, encoded_each
from affekt.encoders.families import Family
from affekt.encoders.folders import open_network, open_reader
from affekt.encoders.framing import CHUNK, RATE_HZ, chunks
from affekt.errors import WeightsError

AT_ONCE = 16
"""Chunks per forward pass, so that an hour of audio fits into memory; published are all at once, with equal results."""


def _open_extractor(path: Path, loader: str) -> Any:
    """The feature extractor of a network for 16 kHz audio.

    Raises:
        WeightsError: the sampling rate differs, or the folder has no feature extractor.
    """
    extractor = open_reader(path, loader)
    if extractor.sampling_rate != RATE_HZ:
        raise WeightsError(
            expected=f'a network for audio at {RATE_HZ} Hz', came=f'{extractor.sampling_rate} Hz in {path}',
            todo='use a model for 16 kHz',
        )  # fmt: skip
    return extractor


class SoundBackbone(Backbone):
    """Audio samples at 16 kHz, for wav2vec 2.0, HuBERT, WavLM and similar networks.

    SpecAugment-style masking during training, which the library draws outside torch's seed, is off. Where the first
    convolution is normalised over time (the base models), padding within a batch changes a sample's states.

    Args:
        network: network of transformers.
        normalise: scale each audio to mean 0 and standard deviation 1, as the preprocessor configures.
        layers: see `Backbone`.
        longest_s: seconds after which `prepare` cuts audio; None for no limit.
    """

    modality = 'audio'

    def __init__(self, network: Any, normalise: bool, layers: Layers = 'last', longest_s: float | None = 15.0) -> None:
        super().__init__(network, layers)
        network.config.apply_spec_augment = False
        self._normalise, self._longest_s = normalise, longest_s
        self._steps = list(zip(network.config.conv_kernel, network.config.conv_stride, strict=True))
        self._field, self._hop = 1, 1
        """Samples that one state sees before attention, and samples between states: 400 and 320."""
        for kernel, stride in self._steps:
            self._field += (kernel - 1) * self._hop
            self._hop *= stride
        self.rate_hz = RATE_HZ / self._hop

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, family: Family) -> SoundBackbone:
        """The network of a folder with the settings of its feature extractor."""
        _, network = open_network(path, family.loader, settings.device, settings.precision)
        normalise = bool(_open_extractor(path, 'Wav2Vec2FeatureExtractor').do_normalize)
        return cls(network, normalise, settings.layers, settings.longest_s).eval()

    def prepare(self, sample: npt.NDArray[np.floating]) -> Floats32:
        """(T, 1) samples of mono audio at 16 kHz; audio too short for one state is padded with zeros."""
        longest = None if self._longest_s is None else round(self._longest_s * RATE_HZ)
        audio = np.asarray(sample, dtype=np.float32)[:longest]
        if self._normalise and len(audio):
            audio = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
        return np.pad(audio, (0, max(self._field - len(audio), 0)))[:, None]

    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """One state per 20 ms or so."""
        rows, keep_mask = self._long_enough(rows, keep_mask)
        waves = rows[..., 0].to(self.network.dtype)  # (B, T, 1) to (B, T)
        states = self.states(input_values=waves, attention_mask=keep_mask.long())  # (B, S, D)
        lengths = keep_mask.sum(dim=1)
        for kernel, stride in self._steps:
            lengths = torch.div(lengths - kernel, stride, rounding_mode='floor') + 1
        return states, torch.arange(states.shape[1], device=keep_mask.device) < lengths.unsqueeze(1)

    def _long_enough(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        missing = max(self._field - rows.shape[1], 0)
        return nn.functional.pad(rows, (0, 0, 0, missing)), nn.functional.pad(keep_mask, (0, missing))

    def encode(self, samples: Sequence[Floats32], *, is_published: bool = False) -> list[Encoded | str]:
        """(S, D) features of each audio, with the centre of each state's receptive field before attention."""
        return encoded_each(samples, lambda audio: self._encoded(audio, is_published))

    def _encoded(self, audio: Floats32, is_published: bool) -> Encoded:
        prepared = self.prepare(audio)[:, 0]
        if is_published:
            count = -(-len(prepared) // CHUNK) if len(prepared) > CHUNK else 1
            padded = np.pad(prepared, (0, count * CHUNK - len(prepared))) if count > 1 else prepared
            states = list(self._run(padded.reshape(count, -1)))  # (chunks, CHUNK)
            starts = [index * CHUNK for index in range(count)]
        else:
            bounds = chunks(len(prepared))
            full_chunks = [prepared[start:end] for start, end in bounds if end - start == CHUNK]
            states = list(self._run(np.stack(full_chunks))) if full_chunks else []
            states += [self._run(prepared[None, start:end])[0] for start, end in bounds if end - start != CHUNK]
            starts = [start for start, _ in bounds]
        times = [
            (start + np.arange(len(chunk)) * self._hop + self._field / 2) / RATE_HZ
            for start, chunk in zip(starts, states, strict=True)
        ]
        return Encoded(np.concatenate(states), np.concatenate(times))

    def _run(self, waves: Floats32) -> Floats32:
        """(B, S, D) states of B chunks of one length."""
        with torch.inference_mode():
            blocks = [waves[start : start + AT_ONCE] for start in range(0, len(waves), AT_ONCE)]
            return np.concatenate([as_array(self.states(input_values=self.as_input(block))) for block in blocks])


class WhisperBackbone(Backbone):
    """Spectrograms of 30 s, for Whisper.

    Args:
        network: network of transformers, encoder and decoder.
        extractor: its feature extractor.
    """

    modality = 'audio'

    def __init__(self, network: Any, extractor: Any) -> None:
        super().__init__(network)
        self._extractor = extractor
        self._window: int = extractor.n_samples
        self._hop: int = 2 * extractor.hop_length
        """Samples between states: the encoder halves the rate of the spectrogram."""
        self.rate_hz = RATE_HZ / self._hop

    @classmethod
    def open(cls, path: Path, settings: EncoderSettings, family: Family) -> WhisperBackbone:
        """The network of a folder with its feature extractor."""
        _, network = open_network(path, family.loader, settings.device, settings.precision)
        return cls(network, _open_extractor(path, 'WhisperFeatureExtractor')).eval()

    def prepare(self, sample: Floats32) -> Floats32:
        """(T, bands) spectrogram of the first 30 s, padded with silence."""
        spectrum = self._extractor(sample, sampling_rate=RATE_HZ, return_tensors='np')['input_features']
        rows: Floats32 = np.asarray(spectrum, np.float32)[0].T  # (1, bands, T) to (T, bands)
        return rows

    def forward(self, rows: Tensor, keep_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's state for each 20 ms, which covers two rows."""
        spectra = rows.transpose(1, 2).to(self.network.dtype)  # (B, T, bands) to (B, bands, T)
        states: Tensor = self.network.encoder(spectra).last_hidden_state
        return states, keep_mask[:, ::2]  # (B, T) to (B, S)

    def encode(self, samples: Sequence[Floats32], *, is_published: bool = False) -> list[Encoded | str]:
        """(S, D) features of each audio."""
        with torch.inference_mode():
            return encoded_each(samples, self._published if is_published else self._corrected)

    def _spectrum(self, audio: Floats32) -> Tensor:
        """(1, bands, T) spectrogram."""
        return self.as_input(self.prepare(audio).T[None])

    def _published(self, audio: Floats32) -> Encoded:
        start = torch.full((1, 2), self.network.config.decoder_start_token_id, device=self.network.device)
        return Encoded(as_array(self.network(self._spectrum(audio), decoder_input_ids=start).last_hidden_state[0]))

    def _corrected(self, audio: Floats32) -> Encoded:
        pieces = [audio[start : start + self._window] for start in range(0, len(audio), self._window)]
        states = [self.network.encoder(self._spectrum(piece)).last_hidden_state[0] for piece in pieces]
        rows = np.concatenate([
            as_array(state[: -(-len(piece) // self._hop)]) for state, piece in zip(states, pieces, strict=True)
        ])  # fmt: skip
        return Encoded(rows, (np.arange(len(rows)) + 0.5) * self._hop / RATE_HZ)
