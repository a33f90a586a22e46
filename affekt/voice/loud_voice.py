"""A second witness of speech: loud voicing that the detector takes for none, and steady tones that it takes for some.

Silero was trained on voices up to some 400 Hz; a woman who shouts at 600 Hz is not speech to it. What is loud and
periodic there is listened to again at a slower pace, which brings pitch and formants down to where the detector knows
speech. Sirens, tones and instruments stay what they are: slow ones are no more like speech than fast ones, and most
are more purely periodic than any shout. And what sounds for a second without a break at one and the same level is no
voice, whatever its pitch does: some sirens are speech to the detector.

A window of samples and the detector's scores come in, scores go out, some raised, some 0. Axes: N samples, K detector
frames of 32 ms, T frames of 10 ms.
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
_PEAK = 0.8  # of what is listened to again


class Apart(Protocol):
    """A detector that can hear something else in between."""

    def apart(self, samples: Floats32) -> Floats32:
        """(K,) probabilities of a sound by itself; what was heard before is not forgotten."""


@dataclass(frozen=True)
class LoudVoiceRules:
    """What counts as a loud voice.

    Attributes:
        lowest_hz: a voice below this pitch is one that the detector knows.
        high_hz: voices with a median above are also heard at a third of their pace.
        least_voiced_s: of periodic voicing in a stretch.
        bridged_s: a pause in the voicing up to this long does not end a stretch.
        hnr_db: median harmonicity of the voicing lies between these: below is noise or music, above an instrument.
        level_sd_db: least standard deviation of the level: a siren or a tone has less, and so has most music.
        below_loudest_db: voicing is at most so far below the loudest frame around.
        least_db: level in dB of full scale below which nothing is loud.
        slow_probability: what the detector says of speech at a slower pace, at least ...
        slow_s: ... for so long within the stretch, in seconds of the recording.
        steady_s: what is voiced throughout so long a time ...
        steady_sd_db: ... at a level that varies by less than this is a machine.
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
    """The witness. `judged` gives the scores of a window as they should be."""

    def __init__(self, detector: Apart, rules: LoudVoiceRules | None = None) -> None:
        """A witness that asks this detector; the default rules when None."""
        self.detector, self.rules = detector, rules or LoudVoiceRules()

    def judged(self, samples: Floats32, scores: Floats32, enter: float) -> Floats32:
        """The detector's scores, 0 where a machine sounds and raised where a loud voice is heard.

        Args:
            samples: (N,) at 16 kHz, N = 512 K.
            scores: (K,) in [0, 1].
            enter: the probability at which a turn starts.

        Returns:
            (K,) in [0, 1].
        """
        steady = self._steady(samples, scores, enter)
        return np.where(steady, np.float32(0), self.raised(samples, scores, enter))

    def raised(self, samples: Floats32, scores: Floats32, enter: float) -> Floats32:
        """The detector's scores, raised to `enter` at least where a loud voice is heard.

        1. Find the frames that are loud and unheard; 2. find periodic voicing; 3. join it to stretches whose level
        varies; 4. listen to the whole at a slower pace; 5. raise the stretches in which that sounds like speech.

        Args:
            samples: (N,) at 16 kHz, N = 512 K.
            scores: (K,) in [0, 1].
            enter: the probability at which a turn starts.

        Returns:
            (K,) in [0, 1], nowhere lower than before.
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
        """(K,) True in a second and more of unbroken voicing at one level, where the detector hears speech."""
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
        """First and last detector frame of each stretch of loud voicing, and its median pitch."""
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
        """(K,) the detector's largest score within each frame when the sound takes `longer / than` of its time."""
        from scipy.signal import resample_poly

        stretched = resample_poly(samples, longer, than)
        # what the detector says depends on the level, a loud voice does not
        stretched *= _PEAK / max(float(np.abs(stretched).max()), 1e-9)
        heard = self.detector.apart(stretched.astype(np.float32))
        edges = np.arange(count + 1) * longer // than
        return np.array(
            [heard[begin : max(end, begin + 1)].max(initial=0.0) for begin, end in pairwise(edges)], np.float32
        )


def _level_db(samples: Floats32, count: int) -> npt.NDArray[np.floating]:
    """(K,) RMS level of each detector frame in dB of full scale, -120 or more."""
    frames = samples[: count * FRAME].reshape(-1, FRAME)
    return np.asarray(10 * np.log10(np.maximum(np.square(frames).mean(axis=1), 1e-12)))
