"""Arousal of a voice from published acoustic correlates, without a model, and liveliness relative to the person.

Activation raises mean pitch, its rate of change, loudness, the share of high frequencies, and the speech rate.

`acoustic_arousal` is absolute: each correlate is compared with calm and neutral speech of many people, so that the
value of a turn does not depend on the others. Loudness is not used, as distance and gain of the microphone are unknown.
`liveliness` is relative: each correlate, loudness included, is compared with the other turns of the same person.

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
"""Columns of the correlates of arousal; mean pitch is used in semitones."""

CALM_SPEECH: dict[str, tuple[float, float]] = {
    'f0_mean_hz': (86.34, 5.18),
    'f0_change_st': (0.306, 0.091),
    'alpha_ratio_db': (-15.34, 2.69),
    'syllables_per_s': (4.35, 0.75),
}
"""Mean and standard deviation of calm and neutral speech over people of either sex, pitch in semitones above 1 Hz, in
RAVDESS (24 speakers of English) and nEMO (nine of Polish), with equal weight for each corpus; the standard deviation
includes differences between corpora. Measured by `measurements/arousal.py`."""

WITHIN_A_PERSON: dict[str, float] = {
    'f0_mean_hz': 1.17,
    'f0_change_st': 0.065,
    'loudness_lufs': 2.17,
    'alpha_ratio_db': 1.64,
    'syllables_per_s': 0.62,
}
"""Standard deviation between turns of one person's calm speech, by the same measurement."""

PERSON_SD, SECOND_SD, NOISE_SD, HALVED_BY_DB = 0.30, 0.18, 0.30, 12.0
"""Error of the acoustic arousal, by the same measurement: standard deviations for a new person and corpus, for one
second of speech, for noise as loud as the voice, and the decibels that halve the last."""

PRIOR_TURNS = 3.0
"""Number of other turns of a person that have the same weight as the typical variation over people."""


def acoustic_arousal(summaries: Floats32) -> Floats32:
    """Arousal of each turn, relative to calm speech of other people.

        tanh(mean over the correlates of clip((x - mean) / sd, -3, 3) / 2)

    Args:
        summaries: (K, 22) of `acoustic_summary`, one row per turn.

    Returns:
        (K,) in [-1, 1], 0 for calm speech, independent of the other turns; nan where a turn has no voiced frame.

    Raises:
        ShapeError: the summaries are not (K, 22).
    """
    _require_summaries(summaries)
    return np.tanh(_mean_of_scores(summaries, CALM_SPEECH) / 2).astype(np.float32)


def arousal_sd(speech_s: npt.ArrayLike, snr_db: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Standard deviation of the error of `acoustic_arousal`.

        sqrt(0.30**2 + 0.18**2 / speech_s + (0.30 * 2**(-snr_db / 12))**2)

    Args:
        speech_s: (K,) duration of speech in each turn in seconds, > 0.
        snr_db: (K,) level of loud frames over quiet ones in dB; nan, unknown, counts as 0.

    Returns:
        (K,) standard deviations, at least 0.30.
    """
    seconds, ratio = np.maximum(np.asarray(speech_s, np.float64), 0.01), np.nan_to_num(np.asarray(snr_db, np.float64))
    noise = NOISE_SD * 2 ** (-ratio / HALVED_BY_DB)
    return np.asarray(np.sqrt(PERSON_SD**2 + SECOND_SD**2 / seconds + noise**2))


def liveliness(summaries: Floats32, people: Sequence[str]) -> Floats32:
    """Liveliness of each turn relative to its speaker's other turns: above 0 livelier than usual, below 0 calmer.

        n / (n + 3) * tanh(mean over the correlates of clip((x - m) / s, -3, 3) / 2)
        s**2 = (3 w**2 + sum (x_j - m)**2) / (3 + n)

    m is the mean of the n other turns x_j of this person, w the standard deviation within a person in calm speech. The
    first factor shrinks the value towards 0 if there are few other turns: with one, a quarter remains.

    Args:
        summaries: (K, 22) of `acoustic_summary`, one row per turn.
        people: (K,) speaker of each turn; '' for unknown.

    Returns:
        (K,) in [-1, 1]; nan for the only turn of a person, an unknown speaker, and a turn without a voiced frame.

    Raises:
        ShapeError: the summaries are not (K, 22), or `people` has another length.
    """
    _require_summaries(summaries)
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
    """(n + 1,) scores of each value relative to the n others, clipped to [-3, 3]; 0 if there are no others."""
    scores = np.zeros(values.shape)
    is_finite = np.isfinite(values)
    others = np.count_nonzero(is_finite) - 1
    if others < 1:
        return scores
    centred = values[is_finite] - values[is_finite].mean()
    # the others' mean is -x / n, and their sum of squares about it is that of all minus x**2 (n + 1) / n
    squares = np.maximum(np.square(centred).sum() - np.square(centred) * (others + 1) / others, 0)
    spread = np.sqrt((PRIOR_TURNS * usual**2 + squares) / (PRIOR_TURNS + others))
    scores[is_finite] = np.clip(centred * (others + 1) / others / spread, -3, 3)
    return scores


def _correlates(summaries: Floats32) -> dict[str, npt.NDArray[np.float64]]:
    """The columns of CORRELATES, mean pitch in semitones above 1 Hz."""
    columns = {name: summaries[:, COLUMNS.index(name)].astype(np.float64) for name in CORRELATES}
    columns['f0_mean_hz'] = 12 * np.log2(columns['f0_mean_hz'])
    return columns


def _mean_of_scores(summaries: Floats32, norms: dict[str, tuple[float, float]]) -> npt.NDArray[np.float64]:
    """(K,) mean score over the finite correlates that have a norm; nan for a turn without a voiced frame."""
    columns = _correlates(summaries)
    scores = np.stack([np.clip((columns[name] - mean) / sd, -3, 3) for name, (mean, sd) in norms.items()])
    voiced = np.isfinite(columns['f0_mean_hz'])
    means = np.full(summaries.shape[0], np.nan)
    if voiced.any():
        means[voiced] = np.nanmean(scores[:, voiced], axis=0)
    return means


def _require_summaries(summaries: Floats32) -> None:
    if summaries.ndim != 2 or summaries.shape[1] != len(COLUMNS):
        raise ShapeError(
            expected=f'summaries (K, {len(COLUMNS)})', came=f'{summaries.shape}', todo='stack acoustic_summary rows'
        )
