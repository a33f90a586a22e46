"""Networks that hear a waveform (HuBERT, wav2vec 2.0, WavLM, data2vec) or a spectrogram (Whisper): sound to rows.

Published: a sound above 10 s is cut into chunks of 10 s that are run as one batch, and the last chunk is filled up with
zeros. The rows of that silence stay in, and a mean over a sound of 10.5 s is half silence. Corrected: the last chunk is
run at its own length (together with the chunk before where it is shorter than a second), so that every row was heard.

Of Whisper, published features are two states of the decoder, before it has written a word, of the first 30 s. Corrected
are the states of the encoder, as many as there is sound for.

N samples of sound, T rows in time, D columns.

Source: arXiv:2401.03429; github.com/zeroQiaoba/MERTools,
MERBench/feature_extraction/audio/extract_audio_huggingface.py.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from affekt.encoders.folders import open_network, open_reader
from affekt.errors import WeightsError
from affekt.features.encoders import RATE_HZ, audio_encoder
from affekt.features.recipes import Encoder, Features, Floats, Recipe, Unable

CHUNK = 10 * RATE_HZ
"""Samples of a chunk."""
AT_ONCE = 16
"""Chunks in one run of a network, so that an hour of sound fits; published are all, which gives the same numbers."""
SHORTEST = RATE_HZ
"""Samples below which a last chunk is run together with the one before."""


def chunks(length: int) -> list[tuple[int, int]]:
    """Where chunks of a sound begin and end, none padded.

    >>> chunks(25 * 16000), chunks(10 * 16000 + 5)
    ([(0, 160000), (160000, 320000), (320000, 400000)], [(0, 160005)])
    """
    begins = [begin for begin in range(0, length, CHUNK) if begin == 0 or length - begin >= SHORTEST]
    return list(itertools.pairwise([*begins, length]))


def last_four(states: tuple[Any, ...], last: Any) -> Any:
    """The sum of the last four layers, (…, T, D).

    The last one is the state that the network gives out. What newer releases of transformers list as the last hidden
    state of HuBERT, wav2vec 2.0 and WavLM of the large kind lacks the final norm that it had when features were
    published, and is larger by far than the other three.
    """
    return states[-4] + states[-3] + states[-2] + last


def open_speech(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of waveforms."""
    torch, network = open_network(path, 'AutoModel', device, recipe.facts['precision'])
    extractor = _ear(path, 'Wav2Vec2FeatureExtractor')
    is_published, is_row = recipe.facts['form'] == 'published', recipe.facts['level'] == 'UTT'
    field, hop = _steps(network.config)

    def run(waves: Floats) -> Any:
        """(B, T, D) of B chunks of one length."""
        held = []
        for begin in range(0, len(waves), AT_ONCE):
            values = torch.from_numpy(np.ascontiguousarray(waves[begin : begin + AT_ONCE]))
            with torch.inference_mode():
                found = network(values.to(network.device, network.dtype), output_hidden_states=True)
            held.append(last_four(found.hidden_states, found.last_hidden_state).float().cpu().numpy())
        return np.concatenate(held)

    def encode(sample: str, sound: Floats) -> Features | Unable:
        heard = np.asarray(extractor(sound, sampling_rate=RATE_HZ, return_tensors='np')['input_values'], np.float32)[0]
        if is_published:
            pieces = [(begin, begin + CHUNK) for begin in range(0, len(heard), CHUNK)] if len(heard) > CHUNK else []
            filled = np.pad(heard, (0, len(pieces) * CHUNK - len(heard))) if pieces else heard
            states = run(filled.reshape(max(len(pieces), 1), -1))
            starts = [begin for begin, _ in pieces] or [0]
        else:
            pieces = chunks(len(heard))
            whole = [heard[begin:end] for begin, end in pieces if end - begin == CHUNK]
            states = list(run(np.stack(whole))) if whole else []
            states += [run(heard[None, begin:end])[0] for begin, end in pieces if end - begin != CHUNK]
            starts = [begin for begin, _ in pieces]
        rows = np.concatenate(list(states))
        if is_row:
            return recipe.features(sample, rows.mean(axis=0))
        times = np.concatenate([
            (start + np.arange(len(held)) * hop + field / 2) / RATE_HZ
            for start, held in zip(starts, states, strict=True)
        ])  # fmt: skip
        return recipe.features(sample, rows, times)

    return audio_encoder(encode)


def _ear(path: Path, loader: str) -> Any:
    """What makes a network's input of 16 kHz sound.

    Raises:
        WeightsError: it wants another rate, or the folder holds none.
    """
    held = open_reader(path, loader)
    if held.sampling_rate != RATE_HZ:
        raise WeightsError(
            expected=f'a network that hears {RATE_HZ} Hz', came=f'{held.sampling_rate} Hz in {path}',
            todo='use a model for 16 kHz',
        )  # fmt: skip
    return held


def _steps(config: Any) -> tuple[int, int]:
    """How many samples one row sees before attention, and how many lie between rows: 400 and 320."""
    field, hop = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop


def open_whisper(path: Path, device: str, recipe: Recipe) -> Encoder:
    """An encoder of spectrograms."""
    torch, network = open_network(path, 'AutoModel', device, recipe.facts['precision'])
    extractor = _ear(path, 'WhisperFeatureExtractor')
    is_published, is_row = recipe.facts['form'] == 'published', recipe.facts['level'] == 'UTT'
    window, hop = extractor.n_samples, 2 * extractor.hop_length  # the encoder halves the rate of the spectrogram

    def spectrogram(sound: Floats) -> Any:
        held = extractor(sound, sampling_rate=RATE_HZ, return_tensors='np')['input_features']
        return torch.from_numpy(np.asarray(held, np.float32)).to(network.device, network.dtype)

    def encode(sample: str, sound: Floats) -> Features | Unable:
        if is_published:
            start = torch.full((1, 2), network.config.decoder_start_token_id, device=network.device)
            with torch.inference_mode():
                states = network(spectrogram(sound), decoder_input_ids=start).last_hidden_state[0]
            rows = states.float().cpu().numpy()
            return recipe.features(sample, rows.mean(axis=0) if is_row else rows)
        held = []
        for begin in range(0, len(sound), window):
            piece = sound[begin : begin + window]
            with torch.inference_mode():
                states = network.encoder(spectrogram(piece)).last_hidden_state[0, : -(-len(piece) // hop)]
            held.append(states.float().cpu().numpy())
        rows = np.concatenate(held)
        times = (np.arange(len(rows)) + 0.5) * hop / RATE_HZ
        return recipe.features(sample, rows.mean(axis=0)) if is_row else recipe.features(sample, rows, times)

    return audio_encoder(encode)
