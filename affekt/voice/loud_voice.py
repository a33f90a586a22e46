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
"""Factors of duration, as fractions, at which loud audio is given to the detector again."""
_PACE_OF_THE_HIGHEST = (3, 1)
_PEAK = 0.8
"""Largest magnitude of that audio."""


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
    """Corrects the detector's scores of a window of audio; `judged` is the entry point."""

    def __init__(self, detector: Apart, rules: LoudVoiceRules | None = None) -> None:
        """Store the detector and the rules; None for `LoudVoiceRules()`."""
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
        segments = self._segments(samples, loud)
        segments = [(begin, end, hz) for begin, end, hz in segments if level[begin:end].std() >= rules.level_sd_db]
        if not any((scores[begin:end] < enter).mean() > 0.5 for begin, end, _ in segments):
            return scores
        raised = scores.copy()
        slow_scores: dict[tuple[int, int], Floats32] = {}
        for begin, end, median_hz in segments:
            paces = [*_PACES, _PACE_OF_THE_HIGHEST] if median_hz > rules.high_hz else [*_PACES]
            for pace in paces:
                if pace not in slow_scores:
                    slow_scores[pace] = self._slower(samples, *pace, scores.shape[0])
            segment_scores = np.max([slow_scores[pace][begin:end] for pace in paces], axis=0)
            if np.count_nonzero(segment_scores >= rules.slow_probability) * _FRAME_S >= rules.slow_s:
                raised[begin:end] = np.maximum(raised[begin:end], np.maximum(segment_scores, enter))
        return raised

    def _steady(self, samples: Floats32, scores: Floats32, enter: float) -> npt.NDArray[np.bool_]:
        """bool (K,), True within at least `steady_s` of continuous voicing at a constant level."""
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
                is_voiced = voiced[begin * FRAME // HOP : (begin + width) * FRAME // HOP]
                steady[begin : begin + width] |= is_voiced.mean() > 0.97
        return steady

    def _segments(self, samples: Floats32, loud: npt.NDArray[np.bool_]) -> list[tuple[int, int, float]]:
        """First and last (exclusive) detector frame of each segment of loud voicing, and its median pitch in Hz."""
        rules = self.rules
        pitch = find_pitch(samples)
        middle = ((np.arange(pitch.f0_hz.shape[0]) + 0.5) * HOP / FRAME).astype(int)
        voiced = pitch.voiced & loud[np.minimum(middle, loud.shape[0] - 1)]
        voiced &= np.nan_to_num(pitch.f0_hz) >= rules.lowest_hz
        voiced_frames = np.flatnonzero(voiced)
        if not voiced_frames.size:
            return []
        ends = np.flatnonzero(np.diff(voiced_frames) * HOP / RATE_HZ > rules.bridged_s)
        segments = []
        for frames in np.split(voiced_frames, ends + 1):
            harmonicity = float(np.median(pitch.hnr_db[frames]))
            if (
                frames.size * HOP / RATE_HZ < rules.least_voiced_s
                or not rules.hnr_db[0] <= harmonicity <= rules.hnr_db[1]
            ):
                continue
            begin, end = frames[0] * HOP // FRAME, -(-(frames[-1] + 1) * HOP // FRAME)
            segments.append((int(begin), min(int(end), loud.shape[0]), float(np.median(pitch.f0_hz[frames]))))
        return segments

    def _slower(self, samples: Floats32, longer: int, than: int, count: int) -> Floats32:
        """(K,) largest detector score within each frame when the audio is stretched by `longer / than`."""
        stretched = lengthened(samples, longer, than)
        # the detector depends on the level, a loud voice does not
        stretched *= _PEAK / max(float(np.abs(stretched).max()), 1e-9)
        scores = self.detector.apart(stretched)
        edges = np.arange(count + 1) * longer // than
        return np.array(
            [scores[begin : max(end, begin + 1)].max(initial=0.0) for begin, end in pairwise(edges)], np.float32
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
    margin = reach // longer + 1  # samples on either side that can count
    padded = np.pad(samples.astype(np.float32, copy=False), (margin, margin + than * result.shape[0]))
    # every `longer` outputs, the same taps apply to samples that are `than` further on; for longer 2, than 1:
    #   y_0 = h(0) x_0 + h(-2) x_1 + ...    y_1 = h(1) x_0 + h(-1) x_1 + ...
    #   y_2 = h(0) x_1 + h(-2) x_2 + ...    y_3 = h(1) x_1 + h(-1) x_2 + ...
    for phase in range(longer):
        first, last = -((reach - phase * than) // longer), (phase * than + reach) // longer
        phase_taps = taps[phase * than + reach - first * longer :: -longer][: last - first + 1]
        parts = np.lib.stride_tricks.sliding_window_view(padded[margin + first :], phase_taps.shape[0])
        result[:, phase] = parts[::than][: result.shape[0]] @ phase_taps
    return result.ravel()[:count]


def _level_db(samples: Floats32, count: int) -> npt.NDArray[np.floating]:
    """(K,) RMS level of each detector frame in dB of full scale, -120 or more."""
    frames = samples[: count * FRAME].reshape(-1, FRAME)  # (K, 512)
    return np.asarray(10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 1e-12)))
