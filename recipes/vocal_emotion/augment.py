"""What happens to a voice between a mouth and a file: the alterations that `train.py` trains and tests with.

`alter` draws a chain of mild alterations for training. `HELD_OUT` are single, strong ones of other kinds, on which
nothing is trained or chosen: they measure how a head holds. All take (N,) float32 at 16 kHz and return the same shape.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import av
import av.filter
import numpy as np
import soxr
from scipy import signal

from affekt.arrays import Floats32

Alteration = Callable[[Floats32, np.random.Generator], Floats32]

RATE_HZ = 16000


def level(samples: Floats32) -> float:
    """Root mean square, at least 1e-6."""
    return max(1e-6, float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))))


def mixed(samples: Floats32, noise: Floats32, snr_db: float) -> Floats32:
    """Samples plus noise at a signal-to-noise ratio."""
    gain = level(samples) / level(noise) * 10 ** (-snr_db / 20)
    return (samples + gain * noise).astype(np.float32)


def coloured(count: int, slope: float, rng: np.random.Generator) -> Floats32:
    """Noise whose power falls with frequency to the power `slope`: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / RATE_HZ), 20.0)
    return np.fft.irfft(spectrum * frequency ** (-slope / 2), count).astype(np.float32)


def fitted(samples: Floats32, count: int) -> Floats32:
    """Cut or padded with zeros to `count` samples."""
    return np.pad(samples, (0, max(0, count - samples.shape[0])))[:count].astype(np.float32)


def room(samples: Floats32, decay_s: float, direct_db: float, rng: np.random.Generator) -> Floats32:
    """Reverberation: a direct path and an exponentially decaying tail of noise (60 dB in `decay_s`)."""
    time = np.arange(int(decay_s * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(time.shape[0]) * np.exp(-6.908 * time / decay_s)
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    tail[0] += 1.0
    return signal.fftconvolve(samples, tail)[: samples.shape[0]].astype(np.float32)


def echoing_room(samples: Floats32, decay_s: float, rng: np.random.Generator) -> Floats32:
    """Reverberation of another build: sparse reflections that thicken with time, as image sources do."""
    length = int(decay_s * RATE_HZ)
    response = np.zeros(length)
    response[0] = 1.0
    times = np.sort(np.sqrt(rng.uniform(0, 1, 900))) * decay_s
    signs = rng.choice([-1.0, 1.0], 900)
    np.add.at(response, (times * (length - 1) / decay_s).astype(int), 0.35 * signs * np.exp(-6.908 * times / decay_s))
    return signal.fftconvolve(samples, response)[: samples.shape[0]].astype(np.float32)


def band(samples: Floats32, low_hz: float, high_hz: float) -> Floats32:
    """Only what lies between two frequencies (Butterworth, order 4)."""
    if low_hz <= 0:
        sections = signal.butter(4, high_hz, 'lowpass', fs=RATE_HZ, output='sos')
    else:
        sections = signal.butter(4, [low_hz, high_hz], 'bandpass', fs=RATE_HZ, output='sos')
    return signal.sosfilt(sections, samples).astype(np.float32)


def tilted(samples: Floats32, rng: np.random.Generator) -> Floats32:
    """Another microphone: a smooth random response of up to 8 dB either way."""
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(samples.shape[0], 1 / RATE_HZ), 50.0) / 50.0)
    gain_db = np.interp(octaves, np.linspace(0, 7.4, 6), rng.uniform(-8, 8, 6))
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), samples.shape[0]).astype(np.float32)


def through_codec(samples: Floats32, codec: str, container: str, bit_rate: int, rate_hz: int) -> Floats32:
    """Encoded and decoded again, at the same length."""
    store = io.BytesIO()
    at_rate = soxr.resample(np.clip(samples, -1, 1), RATE_HZ, rate_hz)
    with av.open(store, 'w', format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout='mono')
        if bit_rate:
            stream.bit_rate = bit_rate
        pcm = (at_rate * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format='s16', layout='mono')
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(format=stream.format, layout='mono', rate=rate_hz, frame_size=stream.frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    store.seek(0)
    with av.open(store) as source:
        resampler = av.AudioResampler(format='flt', layout='mono', rate=RATE_HZ)
        pieces = [p.to_ndarray()[0] for f in source.decode(audio=0) for p in resampler.resample(f)]
        pieces += [p.to_ndarray()[0] for p in resampler.resample(None)]
    return fitted(np.concatenate(pieces), samples.shape[0])


def tempo(samples: Floats32, factor: float) -> Floats32:
    """Faster by a factor at the same pitch (FFmpeg's atempo); the length changes."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE_HZ, format='flt', layout='mono', time_base=f'1/{RATE_HZ}')
    stretch = graph.add('atempo', f'{factor:.4f}')
    sink = graph.add('abuffersink')
    source.link_to(stretch)
    stretch.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format='flt', layout='mono')
    frame.sample_rate = RATE_HZ
    graph.push(frame)
    graph.push(None)
    pieces = []
    while True:
        try:
            pieces.append(graph.pull().to_ndarray()[0])
        except (av.error.BlockingIOError, av.error.EOFError):
            break
    return np.concatenate(pieces).astype(np.float32)


def pitch(samples: Floats32, semitones: float) -> Floats32:
    """Higher by so many semitones at about the same length."""
    factor = 2 ** (semitones / 12)
    return tempo(soxr.resample(samples, RATE_HZ * factor, RATE_HZ).astype(np.float32), 1 / factor)


def alter(samples: Floats32, others: Sequence[Floats32], rng: np.random.Generator) -> Floats32:
    """One training copy: voice, room, microphone, noise, channel, level, each drawn by chance.

    Args:
        samples: (N,) clean speech.
        others: clips for babble; never of actors outside the training fold.
        rng: draws everything.

    Returns:
        (N',) altered; N' differs from N by at most 10 %.
    """
    result = samples
    if rng.random() < 0.5:
        result = tempo(result, rng.uniform(0.9, 1.1))
    if rng.random() < 0.35:
        result = pitch(result, rng.uniform(-1.0, 1.0))
    if rng.random() < 0.5:
        result = room(result, rng.uniform(0.15, 0.8), rng.uniform(-3, 12), rng)
    if rng.random() < 0.5:
        result = tilted(result, rng)
    noise = rng.random()
    if noise < 0.45:
        result = mixed(result, coloured(result.shape[0], rng.uniform(0, 2), rng), rng.uniform(5, 30))
    elif noise < 0.65:
        voices = [np.resize(others[i], result.shape[0]) for i in rng.integers(0, len(others), 4)]
        result = mixed(result, np.sum(voices, axis=0), rng.uniform(8, 25))
    channel = rng.random()
    if channel < 0.15:
        result = band(result, 300, 3400)
    elif channel < 0.3:
        result = band(result, 0, rng.uniform(3500, 7000))
    elif channel < 0.6:
        result = _coded(result, rng)
    if rng.random() < 0.1:
        peak = np.abs(result).max() * 10 ** (-rng.uniform(1, 6) / 20)
        result = np.clip(result, -peak, peak)
    return (result / max(1.0, float(np.abs(result).max()))).astype(np.float32)


def coded_as_opus(samples: Floats32) -> Floats32:
    """Through Opus at 48 kb/s: the coding in which one of the corpora comes must not tell the corpora apart."""
    return through_codec(samples, 'libopus', 'ogg', 48000, RATE_HZ)


def _coded(samples: Floats32, rng: np.random.Generator) -> Floats32:
    """Through one of three codecs at a low rate."""
    codec, container, lowest, highest = [
        ('libmp3lame', 'mp3', 16000, 48000),
        ('libopus', 'ogg', 8000, 24000),
        ('aac', 'adts', 20000, 48000),
    ][rng.integers(3)]
    return through_codec(
        samples / max(1.0, float(np.abs(samples).max())), codec, container, int(rng.integers(lowest, highest)), RATE_HZ
    )


def _street(samples: Floats32, rng: np.random.Generator) -> Floats32:
    """Passing, swelling noise of two bands at 5 dB."""
    count = samples.shape[0]
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * (rng.uniform(0.3, 1.2) * np.arange(count) / RATE_HZ + rng.random()))
    noise = band(coloured(count, 0, rng), 60, 400) * 3 + band(coloured(count, 0, rng), 900, 2500)
    return mixed(samples, (noise * swell).astype(np.float32), 5)


def _hum(samples: Floats32, rng: np.random.Generator) -> Floats32:
    """Mains hum of ten harmonics at 5 dB."""
    time = np.arange(samples.shape[0]) / RATE_HZ
    return mixed(samples, sum(np.sin(2 * np.pi * 50 * k * time) / k for k in range(1, 11)).astype(np.float32), 5)


def _music(samples: Floats32, rng: np.random.Generator) -> Floats32:
    """A changing chord of plucked tones at 5 dB."""
    time = np.arange(samples.shape[0]) / RATE_HZ
    tune = np.zeros(samples.shape[0])
    for begin in np.arange(0, time[-1], 0.4):
        for note in rng.choice([0, 4, 7, 11, 12, 16], 3, replace=False):
            since = np.maximum(time - begin, 0)
            wave = np.sin(2 * np.pi * 220 * 2 ** (note / 12) * since) * np.exp(-3 * since)
            tune += np.where(time >= begin, wave, 0)
    return mixed(samples, tune.astype(np.float32), 5)


def _dropouts(samples: Floats32, rng: np.random.Generator) -> Floats32:
    """A tenth of all 20 ms packets lost."""
    kept = np.repeat(rng.random(samples.shape[0] // 320 + 1) >= 0.1, 320)[: samples.shape[0]]
    return (samples * kept).astype(np.float32)


def _clipped(samples: Floats32, rng: np.random.Generator) -> Floats32:
    """Overdriven by 15 dB."""
    peak = float(np.abs(samples).max()) * 10 ** (-15 / 20)
    return np.clip(samples, -peak, peak)


HELD_OUT: dict[str, Alteration] = {
    'street noise, 5 dB': _street,
    'mains hum, 5 dB': _hum,
    'music, 5 dB': _music,
    'sparse echoes, 1.2 s': lambda samples, rng: echoing_room(samples, 1.2, rng),
    'telephone, mu-law 8 kHz': lambda samples, rng: through_codec(samples, 'pcm_mulaw', 'wav', 0, 8000),
    'lost packets, 10 %': _dropouts,
    'overdriven by 15 dB': _clipped,
    'voice 3 semitones up': lambda samples, rng: pitch(samples, 3),
}
"""Alterations that no training copy has: kinds or strengths kept back for measuring."""
