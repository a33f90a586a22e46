"""Corruption of clean clips by known amounts, to measure the robustness of models.

Audio is mixed with noise at an exact ratio (`sound.py`, noise from `noises.py`), frames are blurred, occluded, dropped
or darkened (`pictures.py`), modalities are withheld (`absence.py`). `corrupt` in `corrupting.py` processes a manifest
and writes a new one, in which every sample lists its corruptions. Read `sound.py` first.
"""

from affekt.corruption.absence import Absence, absences, withheld_cells, withhold
from affekt.corruption.corrupting import Corrupted, corrupt
from affekt.corruption.noises import COLOURS, babble, coloured_noise
from affekt.corruption.pictures import (
    BLUR_RATES,
    PictureDamage,
    brightened,
    covered,
    gaussian_blurred,
    occlusion_box,
    pyramid_blurred,
)
from affekt.corruption.seeds import rng_of, seed_of
from affekt.corruption.settings import PRESETS, Corruption, as_published
from affekt.corruption.sound import Mixture, active_power, mix_at_snr, snr_db_of

__all__ = [
    'BLUR_RATES',
    'COLOURS',
    'PRESETS',
    'Absence',
    'Corrupted',
    'Corruption',
    'Mixture',
    'PictureDamage',
    'absences',
    'active_power',
    'as_published',
    'babble',
    'brightened',
    'coloured_noise',
    'corrupt',
    'covered',
    'gaussian_blurred',
    'mix_at_snr',
    'occlusion_box',
    'pyramid_blurred',
    'rng_of',
    'seed_of',
    'snr_db_of',
    'withheld_cells',
    'withhold',
]
