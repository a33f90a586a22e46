"""Whisper's encoder with every layer's output, in plain NumPy, from the weights that CTranslate2 reads.

The input is samples at 16 kHz, the output an `Encoded`, whose layers have 50 frames a second. The emotion head pools
all of them; the last is the input of the decoder in `affekt.text.recognition`, so that a turn is encoded once.
CTranslate2 itself returns only the last layer. Its weight file is read here; the last layer is the same (tested).

Axes: N samples, F mel frames of 10 ms, M mel bands, T = F/2 encoder frames of 20 ms, D width, H heads, E = D/H width of
a head, L blocks; I and O inputs and outputs of one linear map.

Source: Radford et al. 2022, arXiv:2212.04356, section 2.2 (two convolutions, sinusoids, pre-norm blocks).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import LimitError, ShapeError, UnknownNameError, WeightsError
from affekt.voice.mel import HOP, RATE_HZ, log_mel

Weights = dict[str, npt.NDArray[np.float32]]

MAX_TURN_S = 28.0
FRAME_S = 0.02
TRAILING_SILENCE_S = 0.5
TURN_LEVEL = 10 ** (-26 / 20)
WHISPER_DIRECTORIES = {'tiny.en': 'whisper-tiny.en', 'base': 'whisper-base'}

_NORM_EPSILON = 1e-5
_PART = 16384  # values of `gelu` computed at a time: 64 kB, which stays in the cache
_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_BFLOAT16 = 5
_FORMAT_VERSIONS = range(4, 7)


@dataclass(frozen=True)
class Encoded:
    """One turn encoded by Whisper.

    Attributes:
        layers: (L+1, T, D) float32: the input of the first block, then each block's output; the last one after
            the final normalisation, which is the input of a decoder.
        speech_frames: number of the T frames that contain the turn; the others are appended silence.
        mel: (F, M) the log-mel spectrogram that was encoded.
        model: the encoder's name, such as 'tiny.en'.
    """

    layers: Floats32
    speech_frames: int
    mel: Floats32 = field(repr=False)
    model: str

    def __post_init__(self) -> None:
        if self.layers.ndim != 3 or not 0 <= self.speech_frames <= self.layers.shape[1]:
            raise ShapeError(
                expected='layers (L+1, T, D) and 0 <= speech_frames <= T',
                came=f'{self.layers.shape} and {self.speech_frames}',
                todo='build it with WhisperEncoder',
            )

    @property
    def output(self) -> Floats32:
        """(T, D) the output of the last layer, appended silence included."""
        return np.asarray(self.layers[-1])

    @property
    def frame_s(self) -> float:
        """Seconds from one frame to the next: 0.02."""
        return FRAME_S

    def __repr__(self) -> str:
        return f'Encoded({self.model}, layers {self.layers.shape}, speech_frames {self.speech_frames})'


class WhisperEncoder:
    """A Whisper encoder that returns all its layers.

    Example: `WhisperEncoder('tiny.en')(samples).output` is (T, 384).
    """

    def __init__(self, name: str | Path = 'tiny.en') -> None:
        """Read the weights.

        Args:
            name: 'tiny.en', 'base', or a directory that holds a CTranslate2 Whisper `model.bin`.

        Raises:
            UnknownNameError: neither a known name nor a directory.
            WeightsError: the file is damaged, or is not a Whisper encoder.
        """
        self.directory = whisper_directory(name)
        self.name = str(name) if str(name) in WHISPER_DIRECTORIES else self.directory.name
        weights = read_ctranslate2(self.directory / 'model.bin', prefix='encoder/')
        missing = [key for key in ('conv1/weight', 'layer_norm/gamma', 'num_heads') if key not in weights]
        if missing:
            raise WeightsError(
                expected='a Whisper encoder', came=f'no {missing[0]} in {self.directory}', todo='name a Whisper model'
            )
        self.heads = int(weights['num_heads'])
        self.depth = sum(1 for key in weights if key.endswith('self_attention/linear_0/bias'))
        self.width = int(weights['layer_norm/gamma'].shape[0])
        self.bands = int(weights['conv1/weight'].shape[1])
        self._weights = {key: _ready(key, value) for key, value in _dequantised(weights).items()}

    def __call__(self, samples: Floats32, *, trailing_silence_s: float = TRAILING_SILENCE_S) -> Encoded:
        """Encode one turn at its own length, first scaled to -26 dBFS (see `levelled`).

        Args:
            samples: (N,) mono in [-1, 1] at 16 kHz, at most 28 s.
            trailing_silence_s: seconds of zeros appended so that the decoder finds an end, >= 0.

        Returns:
            The layers; T is the turn's length plus the silence, in frames of 20 ms, at least 1.

        Raises:
            ShapeError: the samples are not (N,).
            LimitError: the turn is longer than 28 s.
        """
        if samples.ndim != 1:
            raise ShapeError(expected='samples (N,)', came=f'{samples.shape}', todo='mix the channels down to one')
        if samples.shape[0] > MAX_TURN_S * RATE_HZ:
            raise LimitError(
                expected=f'a turn of at most {MAX_TURN_S:g} s',
                came=f'{samples.shape[0] / RATE_HZ:.1f} s',
                todo='cut it with speech_turns',
            )
        silence = round(trailing_silence_s * RATE_HZ)
        total = samples.shape[0] + silence
        total = max(2 * HOP, total + -total % (2 * HOP))
        padded = np.zeros(total, np.float32)
        padded[: samples.shape[0]] = levelled(samples)
        mel = log_mel(padded, self.bands)
        layers = self.encode(mel)
        speech_frames = min(layers.shape[1], max(1, -(-samples.shape[0] // (2 * HOP))))
        return Encoded(layers, speech_frames, mel, self.name)

    def encode(self, mel: Floats32) -> Floats32:
        """All layers of a log-mel spectrogram.

        1. Two convolutions over time, the second with stride 2; 2. add the positions; 3. the blocks, each
        attention then feed-forward on a normalised input; 4. the final normalisation.

        Args:
            mel: (F, M) with F even and at most 3000, M the model's 80 or 128 bands.

        Returns:
            (L+1, T, D) float32.

        Raises:
            ShapeError: the shape differs from the above.
        """
        if mel.ndim != 2 or mel.shape[1] != self.bands or mel.shape[0] % 2 or not 2 <= mel.shape[0] <= 3000:
            raise ShapeError(
                expected=f'mel (F, {self.bands}) with F even, 2 to 3000',
                came=f'{mel.shape}',
                todo='use log_mel on 28 s or less',
            )
        weights = self._weights
        hidden = gelu(_convolve(mel, weights['conv1/weight'], weights['conv1/bias'], stride=1))  # (F, D)
        hidden = gelu(_convolve(hidden, weights['conv2/weight'], weights['conv2/bias'], stride=2))  # (T, D)
        hidden = hidden + weights['position_encodings/encodings'][: hidden.shape[0]]
        layers = np.empty((self.depth + 1, *hidden.shape), np.float32)  # (L+1, T, D)
        layers[0] = hidden
        for block in range(self.depth):
            hidden = self._block(hidden, f'layer_{block}/')
            layers[block + 1] = hidden
        layers[-1] = _normalise(hidden, weights, 'layer_norm')
        return layers

    def _block(self, hidden: Floats32, prefix: str) -> Floats32:
        """One pre-norm block, (T, D) to (T, D)."""
        weights = self._weights
        normal = _normalise(hidden, weights, prefix + 'self_attention/layer_norm')
        projected = _linear(normal, weights, prefix + 'self_attention/linear_0')  # (T, 3D)
        mixed = _attend(projected, self.heads)  # (T, D)
        hidden = hidden + _linear(mixed, weights, prefix + 'self_attention/linear_1')
        normal = _normalise(hidden, weights, prefix + 'ffn/layer_norm')
        inner = gelu(_linear(normal, weights, prefix + 'ffn/linear_0'))  # (T, 4D)
        return hidden + _linear(inner, weights, prefix + 'ffn/linear_1')


def whisper_directory(name: str | Path) -> Path:
    """The directory of a Whisper model in CTranslate2's format.

    Args:
        name: 'tiny.en', 'base' (downloaded and verified if missing), or a directory.

    Raises:
        UnknownNameError: neither a known name nor a directory that holds `model.bin`.
        WeightsError: a known model could not be downloaded or verified.
    """
    if str(name) in WHISPER_DIRECTORIES:
        from affekt.weights import model_path

        return model_path(WHISPER_DIRECTORIES[str(name)])
    directory = Path(name)
    if not (directory / 'model.bin').is_file():
        names = ', '.join(WHISPER_DIRECTORIES)
        raise UnknownNameError(
            expected=f'one of {names}, or a directory with model.bin', came=f'{name}', todo='check the spelling'
        )
    return directory


def read_ctranslate2(path: Path, prefix: str = '') -> Weights:
    """The arrays of a CTranslate2 `model.bin` whose names start with a prefix, as float32.

    The file is little-endian: version, spec name, revision, count; then for each variable its name, rank, sizes,
    element type, byte count and bytes. Strings carry a 16-bit length and a closing zero.

    Args:
        path: path of the file.
        prefix: prefix of the wanted names; removed in the result.

    Returns:
        Name to array; scalars are arrays of shape ().

    Raises:
        WeightsError: the file is missing, of another version, or truncated.

    Source: OpenNMT/CTranslate2, python/ctranslate2/specs/model_spec.py, `_serialize`.
    """
    try:
        with path.open('rb') as stream:
            version = _number(stream, 'I')
            if version not in _FORMAT_VERSIONS:
                raise WeightsError(
                    expected='a CTranslate2 file of version 4 to 6', came=f'version {version}', todo='convert it again'
                )
            _string(stream)
            _number(stream, 'I')
            arrays: Weights = {}
            for _ in range(_number(stream, 'I')):
                name = _string(stream)
                shape = tuple(_number(stream, 'I') for _ in range(_number(stream, 'B')))
                element_type = _number(stream, 'B')
                size = _number(stream, 'I')
                if not name.startswith(prefix):
                    stream.seek(size, 1)
                    continue
                arrays[name.removeprefix(prefix)] = _array(_exactly(stream, size), element_type, shape)
            return arrays
    except (OSError, struct.error, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(
            expected='a readable CTranslate2 model.bin', came=f'{path.name}: {error}', todo='fetch the model again'
        ) from error


def levelled(samples: Floats32) -> Floats32:
    """The samples scaled to -26 dBFS root mean square, so that the distance of the microphone does not matter.

    Args:
        samples: (N,) samples at any level.

    Returns:
        (N,) float32; silence (below -90 dBFS) and empty input are returned unchanged.
    """
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    if power < 1e-9:
        return samples
    return (samples * np.float32(TURN_LEVEL / np.sqrt(power))).astype(np.float32, copy=False)


def gelu(values: Floats32) -> Floats32:
    """x times the cumulative normal distribution, accurate to 2e-7.

    The error function is the rational approximation 7.1.26 of Abramowitz and Stegun 1964, four times faster here
    than SciPy's.

    Args:
        values: any shape.

    Returns:
        The same shape, float32.
    """
    flat = values.reshape(-1)
    result = np.empty_like(flat)
    # in parts that stay in the cache: a third of the time
    for start in range(0, flat.shape[0], _PART):
        result[start : start + _PART] = _gelu(flat[start : start + _PART])
    return result.reshape(values.shape)


def _gelu(values: Floats32) -> Floats32:
    scaled = np.abs(values) * np.float32(np.sqrt(0.5))
    ratio = np.float32(1.0) / (np.float32(1.0) + np.float32(0.3275911) * scaled)
    series = np.full_like(ratio, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series *= ratio
        series += np.float32(coefficient)
    series *= ratio
    np.square(scaled, out=scaled)
    np.negative(scaled, out=scaled)
    series *= np.exp(scaled, out=scaled)
    # series is 1 - erf(|x|/sqrt 2), so half of |x| times it is what |x| loses
    return np.maximum(values, 0) - np.float32(0.5) * np.abs(values) * series


def _linear(values: Floats32, weights: Weights, name: str) -> Floats32:
    """(T, I) to (T, O)."""
    product: Floats32 = values @ weights[name + '/weight']
    product += weights[name + '/bias']
    return product


def _normalise(values: Floats32, weights: Weights, name: str) -> Floats32:
    """Layer normalisation of (T, D) over D."""
    centred: Floats32 = values - values.mean(axis=1, keepdims=True)
    variance = np.einsum('td,td->t', centred, centred)[:, None] / np.float32(values.shape[1])  # (T, 1)
    centred /= np.sqrt(variance + np.float32(_NORM_EPSILON))
    centred *= weights[name + '/gamma']
    centred += weights[name + '/beta']
    return centred


def _attend(projected: Floats32, heads: int) -> Floats32:
    """Scaled dot-product attention, (T, 3D) of queries, keys, values to (T, D).

        softmax(Q Kᵀ / √E) V

    The division by the softmax sum comes last, over (H, T, E) instead of (H, T, T) values.
    """
    time, triple = projected.shape
    width = triple // 3
    # (T, 3D), (T, 3, H, E), then (3, H, T, E)
    queries, keys, values = projected.reshape(time, 3, heads, width // heads).transpose(1, 2, 0, 3)
    scores = (queries * np.float32((width // heads) ** -0.5)) @ keys.transpose(0, 2, 1)  # (H, T, T)
    scores -= scores.max(axis=2, keepdims=True)
    np.exp(scores, out=scores)
    mixed = (scores @ values) / scores.sum(axis=2, keepdims=True)  # (H, T, E)
    return np.ascontiguousarray(mixed.transpose(1, 0, 2)).reshape(time, width)  # (T, H, E), then (T, D)


def _convolve(values: Floats32, kernel: Floats32, bias: Floats32, stride: int) -> Floats32:
    """Convolution over time with three taps and zero padding, (F, I) to (F/stride, O), by a (3I, O) kernel."""
    padded = np.pad(values, ((1, 1), (0, 0)))  # (F + 2, I)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)[::stride]  # (F/stride, I, 3)
    result: Floats32 = windows.reshape(windows.shape[0], -1) @ kernel  # (F/stride, 3I), then (F/stride, O)
    result += bias
    return result


def _ready(name: str, value: Floats32) -> Floats32:
    """A weight transposed and contiguous, for `values @ weight`; other arrays unchanged."""
    if name.endswith('/weight'):
        return np.ascontiguousarray(value.reshape(value.shape[0], -1).T)  # (O, I) or (O, I, 3) to (I, O) or (3I, O)
    return value


def _dequantised(weights: Weights) -> Weights:
    """The weights as float32: those of 8 and 16 bits divided by their scales, one per row or one alone."""
    floats = {}
    for name, value in weights.items():
        if name.endswith('_scale'):
            continue
        scale = weights.get(name + '_scale')
        if scale is not None:
            divisor = scale.reshape(scale.shape + (1,) * (value.ndim - scale.ndim))  # (O, 1, …), or ones alone
            value = (value / divisor).astype(np.float32)
        floats[name] = value
    return floats


def _array(content: bytes, element_type: int, shape: tuple[int, ...]) -> Floats32:
    """Bytes as a float32 array."""
    if element_type == _BFLOAT16:  # the upper half of a float32
        return (np.frombuffer(content, np.uint16).astype(np.uint32) << 16).view(np.float32).reshape(shape)
    if element_type not in _DTYPES:
        raise WeightsError(
            expected='element types 0 to 5', came=f'type {element_type}', todo='convert the model to float16 or float32'
        )
    return np.frombuffer(content, _DTYPES[element_type]).reshape(shape).astype(np.float32)


def _number(stream: BinaryIO, code: str) -> int:
    """One little-endian integer."""
    return int(struct.unpack('<' + code, stream.read(struct.calcsize('<' + code)))[0])


def _string(stream: BinaryIO) -> str:
    """A string with a 16-bit length and a closing zero."""
    return _exactly(stream, _number(stream, 'H'))[:-1].decode()


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes; raises an error if there are fewer."""
    content = stream.read(size)
    if len(content) != size:
        raise WeightsError(expected=f'{size} more bytes', came=f'{len(content)}', todo='fetch the model again')
    return content
