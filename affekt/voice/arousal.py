"""Arousal from how a voice sounds, by published correlates and no model; and how lively a turn is for this person.

Activation raises mean pitch, makes it move faster, and raises loudness, the share of high frequencies and the rate of
speech.

`acoustic_arousal` is absolute: each correlate stands against calm and neutral speech of many people, so that a turn
reads the same alone and among others. Loudness takes no part: how far away the microphone was and how it was set,
nobody knows. `liveliness` is relative: each correlate, loudness included, stands against the same person's other turns.

Source: Juslin & Laukka 2003, doi:10.1037/0033-2909.129.5.770, table 7; Scherer 2003,
doi:10.1016/S0167-6393(02)00084-5, table 2. Equal weights are this module's choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.errors import ShapeError
from affekt.voice.acoustics import COLUMNS

CORRELATES = ('f0_mean_hz', 'f0_change_st', 'loudness_lufs', 'alpha_ratio_db', 'syllables_per_s')
"""The columns that speak of arousal; mean pitch counts in semitones."""

CALM_SPEECH: dict[str, tuple[float, float]] = {
    'f0_mean_hz': (86.34, 5.18),
    'f0_change_st': (0.306, 0.091),
    'alpha_ratio_db': (-15.34, 2.69),
    'syllables_per_s': (4.35, 0.75),
}
"""Mean and standard deviation of calm and neutral speech over people of either sex, pitch in semitones above 1 Hz: of
RAVDESS (24 speakers of English) and of nEMO (nine of Polish), either corpus with the same weight; the standard
deviation holds what differs between corpora. Measured by `measurements/arousal.py`."""

WITHIN_A_PERSON: dict[str, float] = {
    'f0_mean_hz': 1.17,
    'f0_change_st': 0.065,
    'loudness_lufs': 2.17,
    'alpha_ratio_db': 1.64,
    'syllables_per_s': 0.62,
}
"""Standard deviation from turn to turn of one person's calm speech, by the same measurement."""

PERSON_SD, SECOND_SD, NOISE_SD, HALVED_BY_DB = 0.30, 0.18, 0.30, 12.0
"""Error of the acoustic arousal, by the same measurement: of a person and corpus never met, of one second of speech,
of noise as loud as the voice, and the decibels that halve the last."""

PRIOR_TURNS = 3.0
"""How many other turns of a person weigh as much as what is usual for everybody."""


def acoustic_arousal(summaries: Floats32) -> Floats32:
    """Arousal of each turn, against calm speech of other people.

        tanh(mean over the correlates of clip((x - mean) / sd, -3, 3) / 2)

    Args:
        summaries: (K, 22) of `acoustic_summary`, one row per turn.

    Returns:
        (K,) in [-1, 1], 0 for calm speech; each turn by itself, whatever the others. nan where a turn has no voiced
        frame.

    Raises:
        ShapeError: the summaries are not (K, 22).
    """
    _check(summaries)
    return np.tanh(_mean_of_scores(summaries, CALM_SPEECH) / 2).astype(np.float32)


def arousal_sd(speech_s: npt.ArrayLike, snr_db: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """By how much `acoustic_arousal` is off, as a standard deviation.

        sqrt(0.30**2 + 0.18**2 / speech_s + (0.30 * 2**(-snr_db / 12))**2)

    Args:
        speech_s: (K,) seconds of speech in each turn, above 0.
        snr_db: (K,) loud frames over quiet ones, in dB; unknown, nan, counts as 0.

    Returns:
        (K,) at least 0.30.
    """
    seconds, ratio = np.maximum(np.asarray(speech_s, np.float64), 0.01), np.nan_to_num(np.asarray(snr_db, np.float64))
    noise = NOISE_SD * 2 ** (-ratio / HALVED_BY_DB)
    return np.asarray(np.sqrt(PERSON_SD**2 + SECOND_SD**2 / seconds + noise**2))


def liveliness(summaries: Floats32, people: Sequence[str]) -> Floats32:
    """How lively each turn is for the person who speaks: livelier than their usual above 0, calmer below.

        n / (n + 3) * tanh(mean over the correlates of clip((x - m) / s, -3, 3) / 2)
        s**2 = (3 w**2 + sum (x_j - m)**2) / (3 + n)

    m is the mean of the n other turns x_j of this person, w what one person varies by in calm speech. The first factor
    shrinks the answer towards 0 where there are few others to compare with: a quarter of it remains with one.

    Args:
        summaries: (K, 22) of `acoustic_summary`, one row per turn.
        people: who speaks in each; '' where nobody knows.

    Returns:
        (K,) in [-1, 1]; nan for a person's only turn, without a person, and where a turn has no voiced frame.

    Raises:
        ShapeError: the summaries are not (K, 22), or there are not as many people.
    """
    _check(summaries)
    if len(people) != summaries.shape[0]:
        raise ShapeError(
            expected=f'{summaries.shape[0]} people', came=f'{len(people)}', todo='name who speaks in each turn'
        )
    columns = _correlates(summaries)
    voiced = np.isfinite(columns['f0_mean_hz'])
    result = np.full(summaries.shape[0], np.nan)
    names = np.array([*people], dtype=object)
    for name in {*people} - {''}:
        own = np.flatnonzero((names == name) & voiced)
        others = own.size - 1
        if others < 1:
            continue
        scores = [_against_others(columns[column][own], WITHIN_A_PERSON[column]) for column in CORRELATES]
        result[own] = others / (others + PRIOR_TURNS) * np.tanh(np.nanmean(scores, axis=0) / 2)
    return result.astype(np.float32)


def _against_others(values: npt.NDArray[np.float64], usual: float) -> npt.NDArray[np.float64]:
    """(n + 1,) scores of each value against the n others, clipped to [-3, 3]; 0 where one has none to stand against."""
    scores = np.zeros(values.shape)
    known = np.isfinite(values)
    others = np.count_nonzero(known) - 1
    if others < 1:
        return scores
    centred = values[known] - values[known].mean()
    # the others' mean is -x / n, and their squares about it are the sum of all less x**2 (n + 1) / n
    squares = np.maximum(np.square(centred).sum() - np.square(centred) * (others + 1) / others, 0)
    spread = np.sqrt((PRIOR_TURNS * usual**2 + squares) / (PRIOR_TURNS + others))
    scores[known] = np.clip(centred * (others + 1) / others / spread, -3, 3)
    return scores


def _correlates(summaries: Floats32) -> dict[str, npt.NDArray[np.float64]]:
    """The columns of CORRELATES, mean pitch in semitones above 1 Hz."""
    columns = {name: summaries[:, COLUMNS.index(name)].astype(np.float64) for name in CORRELATES}
    columns['f0_mean_hz'] = 12 * np.log2(columns['f0_mean_hz'])
    return columns


def _mean_of_scores(summaries: Floats32, norms: dict[str, tuple[float, float]]) -> npt.NDArray[np.float64]:
    """(K,) mean over the correlates that have a norm, of those that are known; nan where nothing is voiced."""
    columns = _correlates(summaries)
    scores = np.stack([np.clip((columns[name] - mean) / sd, -3, 3) for name, (mean, sd) in norms.items()])
    voiced = np.isfinite(columns['f0_mean_hz'])
    together = np.full(summaries.shape[0], np.nan)
    if voiced.any():
        together[voiced] = np.nanmean(scores[:, voiced], axis=0)
    return together


def _check(summaries: Floats32) -> None:
    """Raises unless (K, 22)."""
    if summaries.ndim != 2 or summaries.shape[1] != len(COLUMNS):
        raise ShapeError(
            expected=f'summaries (K, {len(COLUMNS)})', came=f'{summaries.shape}', todo='stack acoustic_summary rows'
        )
