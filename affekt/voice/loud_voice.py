"""Correction of speech detection: loud voices that the detector misses, and steady tones that it takes for speech.

Silero was trained on voices up to about 400 Hz and misses a woman who shouts at 600 Hz. Loud periodic audio is
therefore given to the detector again at a slower rate, which lowers pitch and formants into its range. Sirens, tones
and instruments are still rejected: slowed down they are no more like speech, and most are more periodic than any shout.
Audio that continues for a second at a constant level is no voice, whatever its pitch does: the detector takes some
sirens for speech.

The input is a window of samples with the detector's scores; the output is scores, some raised, some 0. Axes: N samples,
K detector frames of 32 ms, T frames of 10 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.voice.pitch import HOP, RATE_HZ, find_pitch

FRAME = 512
_FRAME_S = FRAME / RATE_HZ
_PACES = ((7, 4), (2, 1))
_PACE_OF_THE_HIGHEST = (3, 1)
_PEAK = 0.8  # of the audio given to the detector again


class Apart(Protocol):
    """A detector that can score separate audio without changing its state."""

    def apart(self, samples: Floats32) -> Floats32:
        """(K,) speech probabilities of separate audio; the state of the detector is kept."""


@dataclass(frozen=True)
class LoudVoiceRules:
    """Thresholds for loud voices and steady tones.

    Attributes:
        lowest_hz: lowest pitch to look for; the detector handles lower voices.
        high_hz: median pitch above which a voice is also tested at a third of its rate.
        least_voiced_s: minimum duration of periodic voicing in a segment, in seconds.
        bridged_s: longest pause in the voicing that does not end a segment, in seconds.
        hnr_db: range of the median harmonicity of the voicing in dB: lower is noise or music, higher an instrument.
        level_sd_db: minimum standard deviation of the level in dB: sirens, tones and most music have less.
        below_loudest_db: maximum difference in dB between voicing and the loudest frame nearby.
        least_db: level in dB of full scale below which nothing is loud.
        slow_probability: minimum speech probability of the detector at a slower rate ...
        slow_s: ... for at least this duration within the segment, in seconds of the recording.
        steady_s: duration in seconds of continuous voicing ...
        steady_sd_db: ... whose level varies by less than this in dB, which counts as a machine.
    """

    lowest_hz: float = 180.0
    high_hz: float = 600.0
    least_voiced_s: float = 0.3
    bridged_s: float = 0.2
    hnr_db: tuple[float, float] = (4.0, 17.0)
    level_sd_db: float = 4.5
    below_loudest_db: float = 20.0
    least_db: float = -50.0
    slow_probability: float = 0.25
    slow_s: float = 0.2
    steady_s: float = 1.0
    steady_sd_db: float = 0.5


class LoudVoice:
    """Corrects the detector's scores; `judged` returns those of a window."""

    def __init__(self, detector: Apart, rules: LoudVoiceRules | None = None) -> None:
        """Use this detector and these rules; by default `LoudVoiceRules()`."""
        self.detector, self.rules = detector, rules or LoudVoiceRules()

    def judged(self, samples: Floats32, scores: Floats32, enter: float) -> Floats32:
        """The detector's scores, 0 for steady tones and raised for loud voices.

        Args:
            samples: (N,) samples at 16 kHz, N = 512 K.
            scores: (K,) detector's probabilities in [0, 1].
            enter: probability at which a turn starts.

        Returns:
            (K,) in [0, 1].
        """
        steady = self._steady(samples, scores, enter)
        return np.where(steady, np.float32(0), self.raised(samples, scores, enter))

    def raised(self, samples: Floats32, scores: Floats32, enter: float) -> Floats32:
        """The detector's scores, raised at least to `enter` for loud voices.

        1. Find frames that are loud and not detected; 2. find periodic voicing; 3. join it to segments whose level
        varies; 4. run the detector at a slower rate; 5. raise the segments that it then takes for speech.

        Args:
            samples: (N,) samples at 16 kHz, N = 512 K.
            scores: (K,) detector's probabilities in [0, 1].
            enter: probability at which a turn starts.

        Returns:
            (K,) in [0, 1], nowhere lower than `scores`.
        """
        rules = self.rules
        level = _level_db(samples, scores.shape[0])
        loud = level >= max(rules.least_db, float(level.max(initial=-120.0)) - rules.below_loudest_db)
        if np.count_nonzero(loud & (scores < enter)) * _FRAME_S < rules.least_voiced_s:
            return scores
        stretches = self._stretches(samples, loud)
        stretches = [(begin, end, hz) for begin, end, hz in stretches if level[begin:end].std() >= rules.level_sd_db]
        if not any((scores[begin:end] < enter).mean() > 0.5 for begin, end, _ in stretches):
            return scores
        raised = scores.copy()
        slow: dict[tuple[int, int], Floats32] = {}
        for begin, end, median_hz in stretches:
            paces = [*_PACES, _PACE_OF_THE_HIGHEST] if median_hz > rules.high_hz else [*_PACES]
            for pace in paces:
                if pace not in slow:
                    slow[pace] = self._slower(samples, *pace, scores.shape[0])
            heard = np.max([slow[pace][begin:end] for pace in paces], axis=0)
            if np.count_nonzero(heard >= rules.slow_probability) * _FRAME_S >= rules.slow_s:
                raised[begin:end] = np.maximum(raised[begin:end], np.maximum(heard, enter))
        return raised

    def _steady(self, samples: Floats32, scores: Floats32, enter: float) -> npt.NDArray[np.bool_]:
        """(K,) True in at least a second of voicing at a constant level that the detector takes for speech."""
        steady = np.zeros(scores.shape, bool)
        width = round(self.rules.steady_s / _FRAME_S)
        if scores.shape[0] < width or scores.max() < enter:
            return steady
        level = np.lib.stride_tricks.sliding_window_view(_level_db(samples, scores.shape[0]), width)
        begins = np.flatnonzero(
            (level.std(axis=1) < self.rules.steady_sd_db) & (level.max(axis=1) > self.rules.least_db)
        )
        if begins.size:
            voiced = find_pitch(samples).voiced
            for begin in begins:
                inside = voiced[begin * FRAME // HOP : (begin + width) * FRAME // HOP]
                steady[begin : begin + width] |= inside.mean() > 0.97
        return steady

    def _stretches(self, samples: Floats32, loud: npt.NDArray[np.bool_]) -> list[tuple[int, int, float]]:
        """First and last detector frame of each stretch of loud voicing, with its median pitch in hertz."""
        rules = self.rules
        pitch = find_pitch(samples)
        middle = ((np.arange(pitch.f0_hz.shape[0]) + 0.5) * HOP / FRAME).astype(int)
        voiced = pitch.voiced & loud[np.minimum(middle, loud.shape[0] - 1)]
        voiced &= np.nan_to_num(pitch.f0_hz) >= rules.lowest_hz
        places = np.flatnonzero(voiced)
        if not places.size:
            return []
        ends = np.flatnonzero(np.diff(places) * HOP / RATE_HZ > rules.bridged_s)
        stretches = []
        for inside in np.split(places, ends + 1):
            harmonicity = float(np.median(pitch.hnr_db[inside]))
            if (
                inside.size * HOP / RATE_HZ < rules.least_voiced_s
                or not rules.hnr_db[0] <= harmonicity <= rules.hnr_db[1]
            ):
                continue
            begin, end = inside[0] * HOP // FRAME, -(-(inside[-1] + 1) * HOP // FRAME)
            stretches.append((int(begin), min(int(end), loud.shape[0]), float(np.median(pitch.f0_hz[inside]))))
        return stretches

    def _slower(self, samples: Floats32, longer: int, than: int, count: int) -> Floats32:
        """(K,) largest detector score within each frame when the audio is stretched by `longer / than`."""
        stretched = lengthened(samples, longer, than)
        # the detector depends on the level, a loud voice does not
        stretched *= _PEAK / max(float(np.abs(stretched).max()), 1e-9)
        heard = self.detector.apart(stretched)
        edges = np.arange(count + 1) * longer // than
        return np.array(
            [heard[begin : max(end, begin + 1)].max(initial=0.0) for begin, end in pairwise(edges)], np.float32
        )


def lengthened(samples: Floats32, longer: int, than: int) -> Floats32:
    """The samples at `longer / than` times their rate: the values of `scipy.signal.resample_poly` within 2e-6.

    Importing SciPy's package takes seconds on a busy machine, in which the thread of the voice cannot be stopped. With
    h a windowed sinc of 2 R + 1 taps, R = 10 max(longer, than):

        y_j = sum_k h(j than - k longer) x_k

    Args:
        samples: (N,) samples.
        longer, than: coprime, >= 1.

    Returns:
        (ceil(N longer / than),) float32.
    """
    reach = 10 * max(longer, than)
    sinc = np.sinc(np.arange(-reach, reach + 1) / max(longer, than)) * np.kaiser(2 * reach + 1, 5.0)
    taps = (sinc * (longer / sinc.sum())).astype(np.float32)
    count = -(-samples.shape[0] * longer // than)
    result = np.empty((-(-count // longer), longer), np.float32)
    most = reach // longer + 1  # samples on either side that can count
    padded = np.pad(samples.astype(np.float32, copy=False), (most, most + than * result.shape[0]))
    # every `longer` outputs the same taps meet the samples, `than` samples further on
    for phase in range(longer):
        first, last = -((reach - phase * than) // longer), (phase * than + reach) // longer
        own = taps[phase * than + reach - first * longer :: -longer][: last - first + 1]
        parts = np.lib.stride_tricks.sliding_window_view(padded[most + first :], own.shape[0])
        result[:, phase] = parts[::than][: result.shape[0]] @ own
    return result.ravel()[:count]


def _level_db(samples: Floats32, count: int) -> npt.NDArray[np.floating]:
    """(K,) RMS level of each detector frame in dB of full scale, -120 or more."""
    frames = samples[: count * FRAME].reshape(-1, FRAME)
    return np.asarray(10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 1e-12)))
