"""Downmix to mono: the mean of the channels, or a single channel where they cancel each other.

Two microphones with inverted polarity between them give channels of opposite sign, whose mean is silence. Therefore the
power of the mean is compared with that of the channels, in windows of a quarter of a second. For N independent
channels it is sum(p) / N**2, for equal ones N times as much. Where it is less than a tenth of the first, the loudest
channel is used.

C channels, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

WINDOW_S = 0.25
MAX_WINDOW = 1 << 18
"""Maximum number of samples in a window, at any sample rate."""
CANCELLED = 0.1
"""Share of the power expected for independent channels, below which they count as cancelled."""
RESTORED = 0.5
"""Share of the power expected for independent channels, above which the mean is used again."""
AUDIBLE_POWER = 1e-8
"""Power of -80 dB relative to full scale; weaker windows do not change the decision."""
CLEARLY_LOUDER = 2.0
"""Ratio of powers from which another channel replaces the one in use."""
UNNAMED = ('', 'NONE')
"""Names that FFmpeg gives to channels without one."""


@dataclass
class Rescue:
    """Times at which one channel was used instead of the mean, in seconds of the recording."""

    seconds: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0
    channels: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """A sentence on what was done and when; '' for nothing."""
        if not self.seconds:
            return ''
        time_range = f'from {self.first_s:.1f} to {self.last_s:.1f} s'
        if self.last_s - self.first_s - self.seconds > 4 * WINDOW_S:
            time_range += f' ({self.seconds:.1f} s of it)'
        names = ' or '.join(self.channels)
        return f'the channels cancel each other {time_range}: channel {names} is used there instead of their mean'


class Downmix:
    """Takes channels and yields mono audio a quarter of a second later; `rescue` says where the mean was not used."""

    def __init__(self) -> None:
        self.rescue = Rescue()
        self._pieces: list[tuple[Samples, Samples]] = []
        self._names: tuple[str, ...] = ()
        self._rate_hz = 0
        self._length = 0
        self._is_cancelled = False
        self._channel = 0

    def add(
        self, channels: Samples, mean: Samples, names: tuple[str, ...], rate_hz: int, end_s: float
    ) -> Iterator[tuple[int, Samples]]:
        """Add channels and their mean; yield the audio that has been decided on, each piece with its sample rate.

        Args:
            channels: (C, N) channels without the low-frequency effects channel.
            mean: (N,) mean over the channels.
            names: names of the C channels.
            rate_hz: sample rate in hertz.
            end_s: time of the end of the last sample on the recording's clock, in seconds.
        """
        if (names, rate_hz) != (self._names, self._rate_hz):
            yield from self.flush(end_s - len(mean) / rate_hz)
            self._names, self._rate_hz = names, rate_hz
        if len(names) < 2:
            yield rate_hz, mean
            return
        self._pieces.append((channels, mean))
        self._length += len(mean)
        if self._length >= min(WINDOW_S * rate_hz, MAX_WINDOW):
            yield from self.flush(end_s)

    def flush(self, end_s: float) -> Iterator[tuple[int, Samples]]:
        """Decide on and yield the remaining audio; `end_s` as for `add`."""
        pieces, length = self._pieces, self._length
        self._pieces, self._length = [], 0
        if not pieces:
            return
        self._decide(pieces, length)
        if self._is_cancelled:
            self._note(length / self._rate_hz, end_s)
        for channels, mean in pieces:
            yield self._rate_hz, np.ascontiguousarray(channels[self._channel]) if self._is_cancelled else mean

    def _decide(self, pieces: list[tuple[Samples, Samples]], length: int) -> None:
        """Decide whether the channels of this window cancel each other, and which channel is then used."""
        powers = (
            np.asarray(sum(np.einsum('cn,cn->c', channels, channels, dtype=np.float64) for channels, _ in pieces))
            / length
        )
        self._channel = min(self._channel, len(powers) - 1)
        mean_power = sum(float(np.dot(mean, mean)) for _, mean in pieces) / length
        loudest = float(powers.max())
        if loudest < AUDIBLE_POWER:
            return
        independent = float(powers.sum()) / len(powers) ** 2
        self._is_cancelled = mean_power < (RESTORED if self._is_cancelled else CANCELLED) * independent
        if self._is_cancelled and loudest > CLEARLY_LOUDER * powers[self._channel]:
            self._channel = int(powers.argmax())

    def _note(self, seconds: float, end_s: float) -> None:
        if not self.rescue.seconds:
            self.rescue.first_s = max(0.0, end_s - seconds)
        self.rescue.seconds += seconds
        self.rescue.last_s = end_s
        name = self._names[self._channel]
        if name in UNNAMED:
            name = f'{self._channel + 1} of {len(self._names)}'
        if name not in self.rescue.channels:
            self.rescue.channels = (*self.rescue.channels, name)
