"""Settings of a corruption, and presets of published challenges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from affekt.corruption.absence import Absence
from affekt.corruption.noises import TALKERS
from affekt.corruption.pictures import BLUR_RATES, PictureDamage
from affekt.corruption.seeds import rng_of
from affekt.corruption.sound import MOST_DB, POWERS
from affekt.errors import UnknownNameError, ValueRangeError

AUDIO_EXTENSIONS = ('.wav', '.flac')


@dataclass(frozen=True)
class Corruption:
    """Corruptions applied to every sample.

    Raises:
        ValueRangeError: no corruption is requested, or a value is out of range.
        UnknownNameError: unknown power or extension of audio files.
    """

    snr_db: tuple[float, ...] = ()
    """Speech-to-noise ratios in dB, of which each sample draws one; () leaves audio unchanged."""
    noise: str = 'white'
    """Source of noise: a colour, `babble`, or a folder of recordings."""
    power: str = 'whole'
    """Definition of the power of speech: `whole` or `active`, see `mix_at_snr`."""
    talkers: int = TALKERS
    """Number of voices of the babble."""
    blur_sigma: float | None = None
    """Standard deviation of the Gaussian blur, in pixels; None for none."""
    blur_rates: tuple[int, ...] = ()
    """Factors (1 for none, 2, 4, …) by which frames are reduced and enlarged, of which each sample draws one."""
    occlude_share: float | None = None
    """Share of the image's area that is occluded, in (0, 1]; None for none."""
    drop_rate: float | None = None
    """Probability that a frame is dropped, in (0, 1); None for none."""
    brightness: float | None = None
    """Factor on pixel values; None for none."""
    missing: tuple[str, ...] = ()
    """Rules for withheld modalities, see `Absence.of`."""
    seed: int = 0
    sound: str = '.wav'
    """Extension of the audio files written: `.wav` or `.flac`, both 16-bit."""

    def __post_init__(self) -> None:
        ranges: tuple[tuple[str, tuple[float | None, ...], Callable[[float], bool]], ...] = (
            ('an SNR from -200 to 200 dB', self.snr_db, lambda value: abs(value) <= MOST_DB),
            ('blur rates that are powers of 2 up to 64', self.blur_rates, lambda value: value in BLUR_RATES),
            ('a blur above 0 pixels', (self.blur_sigma,), lambda value: 0 < value < math.inf),
            ('an occluded share above 0 and at most 1', (self.occlude_share,), lambda value: 0 < value <= 1),
            ('a drop rate above 0 and below 1', (self.drop_rate,), lambda value: 0 < value < 1),
            ('a brightness above 0', (self.brightness,), lambda value: 0 < value < math.inf),
            ('at least one talker', (self.talkers,), lambda value: value >= 1),
        )
        for expected, values, is_fine in ranges:
            for value in values:
                if value is not None and not is_fine(value):
                    raise ValueRangeError(expected=expected, came=f'{value}', todo='give another value')
        for name, choices in ((self.power, POWERS), (self.sound, AUDIO_EXTENSIONS)):
            if name not in choices:
                raise UnknownNameError(
                    expected=f'one of {", ".join(choices)}', came=repr(name), todo='name one of these'
                )
        self.rules()
        if not (self.snr_db or self.damages_pictures or self.missing):
            raise ValueRangeError(
                expected='something to do', came='no corruption',
                todo='give --as, --snr, --blur, --blur-rates, --occlude, --drop, --brightness or --missing',
            )  # fmt: skip

    @property
    def damages_pictures(self) -> bool:
        """Whether frames change."""
        settings = (self.blur_sigma, self.occlude_share, self.drop_rate, self.brightness)
        return bool(self.blur_rates) or any(value is not None for value in settings)

    def rules(self) -> tuple[Absence, ...]:
        """Parsed rules for withheld modalities."""
        return tuple(map(Absence.of, self.missing))

    def settings(self) -> dict[str, Any]:
        """All fields as plain values."""
        return dataclasses.asdict(self)

    def damage(self, sample: str) -> PictureDamage:
        """Corruption of the frames of a sample, with its drawn blur rate."""
        rate = None
        if self.blur_rates:
            rate = int(rng_of(self.seed, sample, 'blur').choice(np.array(self.blur_rates)))
        return PictureDamage(self.blur_sigma, self.occlude_share, self.drop_rate, self.brightness, rate)


PRESETS: Mapping[str, Mapping[str, Any]] = {
    'mer2023-noise': {'snr_db': (5.0, 6.0, 7.0, 8.0, 9.0, 10.0), 'power': 'whole', 'blur_rates': (1, 2, 4)},
}
"""Name of a preset to its settings. `mer2023-noise`: the noisy clips of MER2023 and MER2024, except that audio keeps
its own rate (there 16 kHz), videos are H.264, and draws are recorded.

Source: arXiv:2304.08981, and the noise script of github.com/zeroQiaoba/MERTools.
"""


def as_published(name: str, noise: str | None = None, **others: Any) -> Corruption:
    """The corruption of a preset.

    Args:
        name: a key of `PRESETS`.
        noise: source of noise, as for `Corruption`; required, since the package contains no challenge's recordings.
        others: fields of `Corruption` that the preset does not set, or that replace its values.

    Raises:
        UnknownNameError: unknown preset, or no noise is given.
        ValueRangeError: see `Corruption`.
    """
    if name not in PRESETS:
        raise UnknownNameError(expected=f'one of {", ".join(PRESETS)}', came=repr(name), todo='name one of these')
    if not noise:
        raise UnknownNameError(
            expected='the noise, as the challenge took speech of MUSAN', came='none',
            todo='give its folder with --noise musan/speech, or a built-in noise by name',
        )  # fmt: skip
    return Corruption(**{**PRESETS[name], 'noise': noise, **others})
