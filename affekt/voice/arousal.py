"""Arousal from how a voice sounds, by published correlates and no model.

Activation raises mean pitch, its spread, loudness, the share of high frequencies and the rate of speech. Each is
expressed in standard deviations from a norm; their mean, through tanh, is the arousal. The norm is the recording's own
turns where there are three or more, else calm and neutral speech of 24 actors; loudness then says nothing (nobody
knows how far away the microphone was) and is left out.

Source: Juslin & Laukka 2003, doi:10.1037/0033-2909.129.5.770, table 7; Scherer 2003,
doi:10.1016/S0167-6393(02)00084-5, table 2. Equal weights are this module's choice.
"""

from __future__ import annotations

import numpy as np

from affekt.arrays import Floats32
from affekt.errors import ShapeError
from affekt.voice.acoustics import COLUMNS

CORRELATES = ('f0_mean_hz', 'f0_sd_st', 'loudness_lufs', 'alpha_ratio_db', 'syllables_per_s')
"""The columns that speak of arousal; mean pitch counts in semitones."""

FEWEST_TURNS = 3

CALM_SPEECH: dict[str, tuple[float, float]] = {
    'f0_mean_hz': (87.1, 5.48),
    'f0_sd_st': (2.90, 1.19),
    'alpha_ratio_db': (-15.1, 2.63),
    'syllables_per_s': (3.37, 0.51),
}
"""Mean and standard deviation over the 288 neutral and calm clips of RAVDESS, pitch in semitones above 1 Hz."""

_LEAST_SPREAD = {
    'f0_mean_hz': 1.0,
    'f0_sd_st': 0.5,
    'loudness_lufs': 2.0,
    'alpha_ratio_db': 1.5,
    'syllables_per_s': 0.5,
}


def acoustic_arousal(summaries: Floats32) -> Floats32:
    """Arousal of each turn of one recording.

        tanh(mean over the correlates of clip((x - mean) / sd, -3, 3) / 2)

    Args:
        summaries: (K, 22) of `acoustic_summary`, one row per turn.

    Returns:
        (K,) in [-1, 1]; with three turns or more it says how a turn stands among the others, else how it stands
        against calm speech. nan where a turn has no voiced frame.

    Raises:
        ShapeError: the summaries are not (K, 22).
    """
    if summaries.ndim != 2 or summaries.shape[1] != len(COLUMNS):
        raise ShapeError(
            expected=f'summaries (K, {len(COLUMNS)})', came=f'{summaries.shape}', todo='stack acoustic_summary rows'
        )
    measured = np.isfinite(summaries[:, COLUMNS.index('f0_mean_hz')])
    scores = []
    for name in CORRELATES:
        values = summaries[:, COLUMNS.index(name)].astype(np.float64)
        if name == 'f0_mean_hz':
            values = 12 * np.log2(values)
        usable = values[np.isfinite(values)]
        if usable.size >= FEWEST_TURNS:
            mean, spread = float(usable.mean()), max(float(usable.std()), _LEAST_SPREAD[name])
        elif name in CALM_SPEECH:
            mean, spread = CALM_SPEECH[name]
        else:
            continue
        scores.append(np.clip((values - mean) / spread, -3, 3))
    together = np.full(summaries.shape[0], np.nan)
    if measured.any():
        together[measured] = np.nanmean(np.stack(scores)[:, measured], axis=0)
    return np.tanh(together / 2).astype(np.float32)
