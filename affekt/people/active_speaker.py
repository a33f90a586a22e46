"""Active speaker detection: assigns speech turns to visible people whose mouths move with the audio.

Voices are not compared with each other. For each turn and each visible face, three measures decide:

    motion    standard deviation of the mouth opening over the turn, relative to MOTION_FULL
    rhythm    largest correlation of the opening with loudness, both at 10 Hz, at lags up to 0.2 s
    presence  share of the turn in which the face was seen

    score = presence * motion * (1 + max(rhythm, 0)) / 2

A turn is assigned to the best face if it scores at least LEAST_SCORE and leads the next by LEAST_MARGIN; a person who
gets at least half of all speaking time in this way needs only half that score for the other turns. Remaining turns are
not assigned: '' in the result, the lane 'voice' in the timeline. A single face needs LEAST_SCORE too, as the speaker
may be off screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.arrays import Floats

GRID_HZ = 10.0
"""Rate at which mouth opening and loudness are correlated."""
MOTION_FULL = 0.06
"""Standard deviation of jaw opening (blendshape scale, 0 to 1) for the full score. Speech moves the jaw by 0.04 to
0.15, a still mouth by less than 0.01."""
LEAST_SCORE = 0.3
"""Minimum score of a speaker: motion of 0.036 at presence 1 without rhythm, 0.018 with full rhythm."""
LEAST_MARGIN = 0.12
"""Minimum lead over the next score."""
LEAST_PRESENCE = 0.4
"""Minimum presence; below it the score is 0."""
MAX_LAG = 2
"""Largest lag between audio and mouth, in steps of 0.1 s."""
LEAST_SHARE = 0.6
"""Minimum share of a transcript speaker's time that must belong to one person to identify the two."""


@dataclass(frozen=True)
class Mouth:
    """One visible person's mouth.

    Attributes:
        person: the person's name.
        times_s: (N,) seconds, ascending.
        opening: (N,) in [0, 1]; nan where it was not read.
        lasting_s: (N,) seconds that each reading stands for, until the next frame.
    """

    person: str
    times_s: Floats
    opening: Floats
    lasting_s: Floats


@dataclass(frozen=True)
class Speaker:
    """The speaker of a turn: a person's name or '', with the score of each visible person."""

    person: str
    scores: Mapping[str, float]


def attribute_turns(
    turns: Sequence[tuple[float, float]], mouths: Sequence[Mouth], times_s: Floats, loudness_db: Floats
) -> list[Speaker]:
    """The speaker of each turn, by mouth movement.

    Args:
        turns: (start_s, end_s) of each turn.
        mouths: mouths of all visible people.
        times_s: (M,) times of the loudness values in seconds, ascending; may be empty.
        loudness_db: (M,) loudness in dB.

    Returns:
        One Speaker per turn, in order.
    """
    scored = [
        {mouth.person: score_turn(start, end, mouth, times_s, loudness_db) for mouth in mouths} for start, end in turns
    ]
    first = [_leader(scores, LEAST_SCORE) for scores in scored]
    main_speaker = _main_speaker(first, turns)
    second = [_leader(scores, LEAST_SCORE / 2) for scores in scored]
    people = [
        certain or (likeliest if likeliest == main_speaker else '')
        for certain, likeliest in zip(first, second, strict=True)
    ]
    return [Speaker(person, scores) for person, scores in zip(people, scored, strict=True)]


def score_turn(start_s: float, end_s: float, mouth: Mouth, times_s: Floats, loudness_db: Floats) -> float:
    """The score of a mouth for a turn, in [0, 1]; 0 where fewer than three readings or too little presence.

    Args:
        start_s: start of the turn in seconds.
        end_s: end of the turn in seconds.
        mouth: mouth of one person.
        times_s: (M,) times of the loudness values in seconds, ascending.
        loudness_db: (M,) loudness in dB.
    """
    low, high = np.searchsorted(mouth.times_s, [start_s, end_s])
    times, opening = mouth.times_s[low:high], mouth.opening[low:high]
    is_read = ~np.isnan(opening)
    times, opening = times[is_read], opening[is_read]
    if len(times) < 3:
        return 0.0
    presence = min(1.0, float(mouth.lasting_s[low:high][is_read].sum()) / (end_s - start_s))
    if presence < LEAST_PRESENCE:
        return 0.0
    motion = min(1.0, float(opening.std()) / MOTION_FULL)
    rhythm = _rhythm(start_s, end_s, times, opening, times_s, loudness_db)
    return float(presence * motion * (1.0 + max(rhythm, 0.0)) / 2.0)


def _leader(scores: Mapping[str, float], least: float) -> str:
    """The person with the best score, if it reaches `least` and leads by the margin; otherwise ''."""
    order = sorted(scores.values(), reverse=True)
    leads = bool(order) and order[0] >= least and (len(order) == 1 or order[0] - order[1] >= LEAST_MARGIN)
    return max(sorted(scores), key=lambda name: scores[name]) if leads else ''


def _main_speaker(people: Sequence[str], turns: Sequence[tuple[float, float]]) -> str:
    """The person with at least half of the total time of all turns; '' for none."""
    seconds: dict[str, float] = {}
    for person, (start, end) in zip(people, turns, strict=True):
        seconds[person] = seconds.get(person, 0.0) + end - start
    total = sum(seconds.values())
    return next((name for name, person_s in seconds.items() if name and total > 0 and person_s / total >= 0.5), '')


def match_speakers(
    speakers: Sequence[str], spans: Sequence[tuple[float, float]], people: Sequence[str]
) -> dict[str, str]:
    """The people behind the speaker names of a transcript.

    Args:
        speakers: speaker name of each utterance, '' if the transcript gives none.
        spans: (start_s, end_s) of each utterance.
        people: person of each utterance by mouth movement, '' for none.

    Returns:
        Transcript name to person, for names with at least LEAST_SHARE of their time at one person. Each person gets at
        most one name, the one with the most time.
    """
    seconds: dict[str, dict[str, float]] = {}
    for name, (start, end), person in zip(speakers, spans, people, strict=True):
        if name:
            by_person = seconds.setdefault(name, {})
            by_person[person] = by_person.get(person, 0.0) + max(0.0, end - start)
    claims = []
    for name, by_person in seconds.items():
        total, visible = sum(by_person.values()), {person: person_s for person, person_s in by_person.items() if person}
        if visible and total > 0:
            person = max(sorted(visible), key=lambda candidate: visible[candidate])
            if visible[person] / total >= LEAST_SHARE:
                claims.append((-visible[person], name, person))
    matched: dict[str, str] = {}
    for _, name, person in sorted(claims):
        if person not in matched.values():
            matched[name] = person
    return matched


def _rhythm(
    start_s: float, end_s: float, mouth_times_s: Floats, opening: Floats, times_s: Floats, loudness_db: Floats
) -> float:
    """The largest correlation of mouth opening with loudness over small lags; 0 where either does not vary."""
    if len(times_s) < 2 or end_s - start_s < 0.8:
        return 0.0
    grid = np.arange(start_s, end_s, 1.0 / GRID_HZ)
    mouth = np.interp(grid, mouth_times_s, opening)
    loudness = np.interp(grid, times_s, np.maximum(np.nan_to_num(loudness_db, nan=-80.0), -80.0))
    best = 0.0
    for lag in range(-MAX_LAG, MAX_LAG + 1):
        mouth_part = mouth[max(0, lag) : len(grid) + min(0, lag)]
        loudness_part = loudness[max(0, -lag) : len(grid) + min(0, -lag)]
        if len(mouth_part) < 6:
            continue
        mouth_part, loudness_part = mouth_part - mouth_part.mean(), loudness_part - loudness_part.mean()
        squares = float(mouth_part @ mouth_part), float(loudness_part @ loudness_part)
        if min(squares) > len(mouth_part) * 1e-12:  # both vary
            best = max(best, float(mouth_part @ loudness_part) / math.sqrt(squares[0] * squares[1]))
    return best
