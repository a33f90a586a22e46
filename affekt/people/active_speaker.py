"""Who of the visible people speaks: turns tied to faces whose mouths move with the sound.

No voice is compared with any other. For each turn and each face that is on screen, three readings decide:

    motion    standard deviation of the mouth's opening over the turn, against MOTION_FULL
    rhythm    largest correlation of the opening with loudness, both ten times a second, at lags up to 0.2 s
    presence  which part of the turn the face was seen

    score = presence * motion * (1 + max(rhythm, 0)) / 2

A turn goes to the best face if it scores at least LEAST_SCORE and leads the next by LEAST_MARGIN; whoever has half of
all speaking time in this way needs only half that score for the rest. Other turns go to nobody: '' in the result, the
lane 'voice' in the timeline. A lone face needs LEAST_SCORE too: the speaker may be off screen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from affekt.arrays import Floats

GRID_HZ = 10.0
MOTION_FULL = 0.06
"""Standard deviation of jaw opening (blendshape scale, 0 to 1) that counts in full. Speech moves the jaw by 0.04 to
0.15, a still mouth by less than 0.01."""
LEAST_SCORE = 0.3
"""With presence 1 and no rhythm: 0.036 of motion. With full rhythm: 0.018."""
LEAST_MARGIN = 0.12
LEAST_PRESENCE = 0.4
MAX_LAG = 2
"""Steps of 0.1 s by which sound and mouth may be apart."""
LEAST_SHARE = 0.6
"""Share of a transcript speaker's time that must fall on one person for the two to be one."""


@dataclass(frozen=True)
class Mouth:
    """One visible person's mouth: times (N,) seconds, ascending; opening (N,) in [0, 1]."""

    person: str
    times_s: Floats
    opening: Floats


@dataclass(frozen=True)
class Speaker:
    """Who speaks during a turn: a person's name or '', with each visible person's score."""

    person: str
    scores: Mapping[str, float]


def attribute_turns(
    turns: Sequence[tuple[float, float]], mouths: Sequence[Mouth], times_s: Floats, loudness_db: Floats, rate_hz: float
) -> list[Speaker]:
    """Who speaks in each turn.

    Args:
        turns: (start_s, end_s) of each.
        mouths: one per visible person.
        times_s: (M,) when loudness was measured, ascending; may be empty.
        loudness_db: (M,) in dB.
        rate_hz: analyzed frames per second, for how many readings a turn should have.

    Returns:
        One Speaker per turn, in order.
    """
    scored = [
        {mouth.person: score_turn(start, end, mouth, times_s, loudness_db, rate_hz) for mouth in mouths}
        for start, end in turns
    ]
    first = [_leader(scores, LEAST_SCORE) for scores in scored]
    usual = _usual_speaker(first, turns)
    second = [_leader(scores, LEAST_SCORE / 2) for scores in scored]
    people = [sure or (likely if likely == usual else '') for sure, likely in zip(first, second, strict=True)]
    return [Speaker(person, scores) for person, scores in zip(people, scored, strict=True)]


def score_turn(
    start_s: float, end_s: float, mouth: Mouth, times_s: Floats, loudness_db: Floats, rate_hz: float
) -> float:
    """How well a mouth fits a turn, in [0, 1]; 0 for a face that is mostly off screen."""
    low, high = np.searchsorted(mouth.times_s, [start_s, end_s])
    seen, opening = mouth.times_s[low:high], mouth.opening[low:high]
    known = ~np.isnan(opening)
    seen, opening = seen[known], opening[known]
    presence = min(1.0, len(seen) / max(1.0, (end_s - start_s) * rate_hz))
    if presence < LEAST_PRESENCE or len(seen) < 3:
        return 0.0
    motion = min(1.0, float(opening.std()) / MOTION_FULL)
    rhythm = _rhythm(start_s, end_s, seen, opening, times_s, loudness_db)
    return float(presence * motion * (1.0 + max(rhythm, 0.0)) / 2.0)


def _leader(scores: Mapping[str, float], least: float) -> str:
    """The person with the best score, if it reaches `least` and leads by the margin; else ''."""
    order = sorted(scores.values(), reverse=True)
    leads = bool(order) and order[0] >= least and (len(order) == 1 or order[0] - order[1] >= LEAST_MARGIN)
    return max(sorted(scores), key=lambda name: scores[name]) if leads else ''


def _usual_speaker(people: Sequence[str], turns: Sequence[tuple[float, float]]) -> str:
    """Whoever has at least half of the time of all turns; '' for nobody."""
    seconds: dict[str, float] = {}
    for person, (start, end) in zip(people, turns, strict=True):
        seconds[person] = seconds.get(person, 0.0) + end - start
    total = sum(seconds.values())
    return next((name for name, own in seconds.items() if name and total > 0 and own / total >= 0.5), '')


def match_speakers(
    speakers: Sequence[str], spans: Sequence[tuple[float, float]], people: Sequence[str]
) -> dict[str, str]:
    """Which person each name of a transcript belongs to.

    Args:
        speakers: name per utterance, '' where the transcript gives none.
        spans: (start_s, end_s) per utterance.
        people: person per utterance as the mouths say, '' for nobody.

    Returns:
        Transcript name to person, for names of whose time at least LEAST_SHARE falls on one person, each person once:
        the name with most time wins.
    """
    seconds: dict[str, dict[str, float]] = {}
    for name, (start, end), person in zip(speakers, spans, people, strict=True):
        if name:
            on = seconds.setdefault(name, {})
            on[person] = on.get(person, 0.0) + max(0.0, end - start)
    claims = []
    for name, on in seconds.items():
        total, visible = sum(on.values()), {person: s for person, s in on.items() if person}
        if visible and total > 0:
            person = max(sorted(visible), key=lambda p: visible[p])
            if visible[person] / total >= LEAST_SHARE:
                claims.append((-visible[person], name, person))
    matched: dict[str, str] = {}
    for _, name, person in sorted(claims):
        if person not in matched.values():
            matched[name] = person
    return matched


def _rhythm(start_s: float, end_s: float, seen: Floats, opening: Floats, times_s: Floats, loudness_db: Floats) -> float:
    """The largest correlation of mouth opening with loudness over small lags; 0 where either does not vary."""
    if len(times_s) < 2 or end_s - start_s < 0.8:
        return 0.0
    grid = np.arange(start_s, end_s, 1.0 / GRID_HZ)
    mouth = np.interp(grid, seen, opening)
    sound = np.interp(grid, times_s, np.maximum(np.nan_to_num(loudness_db, nan=-80.0), -80.0))
    best = 0.0
    for lag in range(-MAX_LAG, MAX_LAG + 1):
        ours = mouth[max(0, lag) : len(grid) + min(0, lag)]
        theirs = sound[max(0, -lag) : len(grid) + min(0, -lag)]
        if len(ours) >= 6 and ours.std() > 1e-6 and theirs.std() > 1e-6:
            best = max(best, float(np.corrcoef(ours, theirs)[0, 1]))
    return best
