"""Several channels to one: their mean, and a single channel where they cancel each other.

Two microphones of which one is wired the wrong way round give channels of opposite sign, and their mean is silence. So
the mean is held against its parts, a quarter of a second at a time. The mean of N channels that have nothing to do with
each other has the power sum(p) / N**2, that of equal ones N times as much. Where it has less than a tenth of the first,
the loudest channel is used instead.

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
"""Samples of a window at most, however high the rate."""
CANCELLED = 0.1
"""Of the power that a mean of independent channels has."""
RESTORED = 0.5
"""Of the power that a mean of independent channels has: only above it does the mean come back."""
AUDIBLE_POWER = 1e-8
"""-80 dB below full scale: what is weaker decides nothing."""
CLEARLY_LOUDER = 2.0
UNNAMED = ('', 'NONE')


@dataclass
class Rescue:
    """Where one channel was used instead of the mean."""

    seconds: float = 0.0
    first_s: float = 0.0
    last_s: float = 0.0
    channels: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What was done and when; '' where nothing was."""
        if not self.seconds:
            return ''
        where = f'from {self.first_s:.1f} to {self.last_s:.1f} s'
        if self.last_s - self.first_s - self.seconds > 4 * WINDOW_S:
            where += f' ({self.seconds:.1f} s of it)'
        names = ' or '.join(self.channels)
        return f'the channels cancel each other {where}: channel {names} is used there instead of their mean'


class Downmix:
    """Channels in, mono pieces out, a quarter of a second later; `rescue` says where the mean was not used."""

    def __init__(self) -> None:
        self.rescue = Rescue()
        self._pieces: list[tuple[Samples, Samples]] = []
        self._names: tuple[str, ...] = ()
        self._rate_hz = 0
        self._length = 0
        self._is_cancelled = False
        self._channel = 0

    def add(
        self, sound: Samples, mean: Samples, names: tuple[str, ...], rate_hz: int, end_s: float
    ) -> Iterator[tuple[int, Samples]]:
        """Take the channels (C, N) and their mean (N,), give what is decided, each piece with its rate.

        Args:
            sound: without the low-frequency effects channel.
            mean: over the channels.
            names: of the channels.
            rate_hz: samples per second.
            end_s: when the last sample is heard, on the recording's clock.
        """
        if (names, rate_hz) != (self._names, self._rate_hz):
            yield from self.flush(end_s - len(mean) / rate_hz)
            self._names, self._rate_hz = names, rate_hz
        if len(names) < 2:
            yield rate_hz, mean
            return
        self._pieces.append((sound, mean))
        self._length += len(mean)
        if self._length >= min(WINDOW_S * rate_hz, MAX_WINDOW):
            yield from self.flush(end_s)

    def flush(self, end_s: float) -> Iterator[tuple[int, Samples]]:
        """What waits for a decision, which is made on what there is; `end_s` as above."""
        pieces, length = self._pieces, self._length
        self._pieces, self._length = [], 0
        if not pieces:
            return
        self._decide(pieces, length)
        if self._is_cancelled:
            self._note(length / self._rate_hz, end_s)
        for sound, mean in pieces:
            yield self._rate_hz, np.ascontiguousarray(sound[self._channel]) if self._is_cancelled else mean

    def _decide(self, pieces: list[tuple[Samples, Samples]], length: int) -> None:
        """Whether the channels of this window cancel each other, and which is used then."""
        powers = np.asarray(sum(np.einsum('cn,cn->c', sound, sound, dtype=np.float64) for sound, _ in pieces)) / length
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
