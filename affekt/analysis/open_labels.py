"""Words for how a person comes across: several at once, each with an intensity and a certainty.

The words are in `open_labels.tsv`: affinity to each of the seven categories, equivalent labels of GoEmotions
(arXiv:2005.00547), facial movements that support the word, and the range of intensity in which it is apt. Their
valence and arousal come from the word table `affekt` (`affekt/labels/affekt_table.json`), with origin 'norm'
(mean ratings of Russell & Mehrabian 1977, doi:10.1016/0092-6566(77)90037-X) or 'near' (placed between such words). A
word's certainty is

    support = mass * (1/3 + 2/3 fit) * apt * cue      mass: probability of its categories, weighted by affinity
                                                      fit: closeness of valence and arousal
    certainty = min(support + (1 - support) * said / 2, confidence of the fused categories)

with `said` the probability that the spoken words carry its label times their share in the fusion. Where the fused rows
abstain, nobody gets a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.analysis.records import Evidence, OpenLabel
from affekt.labels import EKMAN, Sense, load_table
from affekt.tables import read_table

WORD_TABLE = Path(__file__).with_name('open_labels.tsv')
LEAST_CERTAINTY = 0.15
"""Minimum certainty of a word."""
LEAST_OF_BEST = 0.42
"""Minimum certainty of a word as a share of the best one's."""
STRETCH = 1.2
"""Factor that moves measured valence and arousal away from 0 before they are compared with words: expected
values over calibrated probabilities are closer to 0 than ratings of words."""
REACH = 0.5
"""Distance in the valence-arousal plane at which the fit of a word is 0.61."""

CUE_COLUMNS: Mapping[str, tuple[tuple[str, ...], float, float]] = {
    'smile': (('smile',), 0.15, 0.7),
    'brow_lower': (('brow_lower',), 0.15, 0.6),
    'brow_raise': (('brow_raise_outer',), 0.15, 0.6),
    'inner_brow_raise': (('brow_raise_inner',), 0.15, 0.6),
    'eyes_wide': (('eyes_wide',), 0.1, 0.4),
    'eyes_closed': (('eyes_closed',), 0.3, 0.7),
    'jaw_open': (('jaw_open',), 0.2, 0.6),
    'squint': (('squint',), 0.3, 0.7),
    'mouth_press': (('lip_press',), 0.15, 0.5),
    'mouth_frown': (('frown',), 0.1, 0.4),
    'nose_wrinkle': (('nose_wrinkle',), 0.1, 0.4),
}
"""Movement to the face columns whose mean shows it, and the levels at which it starts and is full."""


@dataclass(frozen=True)
class WordEntry:
    """One row of the word table."""

    word: str
    valence: float
    arousal: float
    origin: str
    affinity: npt.NDArray[np.float64] = field(repr=False)
    """(7,) in [0, 1], EKMAN order."""
    goemotions: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    """Names of CUE_COLUMNS: movements that support the word."""
    least: float = 0.0
    """Lower bound of the intensity for which the word is apt."""
    most: float = 1.0


@dataclass(frozen=True)
class Impression:
    """Mean of one person's fused rows over a span."""

    person: str
    start_s: float
    end_s: float
    probabilities: npt.NDArray[np.float64]
    """(7,) in EKMAN order."""
    valence: float
    arousal: float
    confidence: float
    """Probability of the likeliest category, in [0, 1]."""
    said: Mapping[str, float] = field(default_factory=dict)
    """GoEmotions label to its probability in the words, times the share of the words in the fusion."""
    cues: Mapping[str, float] = field(default_factory=dict)
    """Movement to its level in [0, 1]."""
    evidence: tuple[Evidence, ...] = ()
    scope: str = 'span'

    @cached_property
    def coordinates(self) -> tuple[float, float]:
        """Valence and arousal after STRETCH, clipped to [-1, 1]; 0 where unknown."""
        valence, arousal = np.clip(STRETCH * np.nan_to_num([self.valence, self.arousal]), -1.0, 1.0).tolist()
        return valence, arousal

    @cached_property
    def intensity(self) -> float:
        """Mean of the likeliest emotion's excess over chance and of the stretched distance from the centre of the
        plane."""
        excess = (float(self.probabilities[:-1].max()) - 1 / 7) / (6 / 7)
        distance = STRETCH * float(np.hypot(np.nan_to_num(self.valence), np.nan_to_num(self.arousal)))
        return float(np.clip(excess, 0.0, 1.0) + np.clip(distance, 0.0, 1.0)) / 2


@cache
def word_table() -> tuple[WordEntry, ...]:
    """The words, in the order of the file, with their coordinates in the table `affekt`."""
    senses = load_table('affekt').senses
    return tuple(_entry(row, senses[row['word']]) for row in read_table(WORD_TABLE).records())


def describe_impression(impression: Impression, most: int = 3) -> tuple[OpenLabel, ...]:
    """The words that fit an impression best, most certain first; () if none fits well enough.

    Args:
        impression: impression of one person over one span.
        most: maximum number of words.
    """
    entries = word_table()
    certainty = np.array([certainty_of(entry, impression) for entry in entries])
    if not certainty.size or certainty.max() < LEAST_CERTAINTY:
        return ()
    threshold = max(LEAST_CERTAINTY, LEAST_OF_BEST * float(certainty.max()))
    chosen: list[int] = []
    scores = np.where(certainty >= threshold, certainty, -1.0)
    while len(chosen) < most:
        best = int(scores.argmax())
        if scores[best] < 0.3 * threshold:
            break
        chosen.append(best)
        scores = scores * (1.0 - 0.7 * _likenesses()[best])
        scores[chosen] = -1.0
    chosen.sort(key=lambda index: (-certainty[index], index))
    return tuple(
        OpenLabel(
            entries[index].word, impression.person, round(impression.intensity, 4), round(float(certainty[index]), 4),
            entries[index].valence, entries[index].arousal, impression.evidence, impression.start_s, impression.end_s,
            impression.scope,
        )
        for index in chosen
    )  # fmt: skip


def certainty_of(entry: WordEntry, impression: Impression) -> float:
    """How certain a word is for an impression, in [0, 1] and never above the fused confidence."""
    mass = min(1.0, float(impression.probabilities @ entry.affinity))
    distance = math.dist(impression.coordinates, (entry.valence, entry.arousal))
    fit = math.exp(-(distance**2) / (2 * REACH**2))
    gap = max(entry.least - impression.intensity, impression.intensity - entry.most, 0.0)
    apt = math.exp(-((gap / 0.15) ** 2))
    levels = [impression.cues[cue] for cue in entry.cues if cue in impression.cues]
    cue = 0.85 + 0.3 * max(levels) if levels else 1.0
    support = min(1.0, mass * (1 / 3 + 2 / 3 * fit) * apt * cue)
    said = max((impression.said.get(label, 0.0) for label in entry.goemotions), default=0.0)
    return float(min(support + (1.0 - support) * said / 2, impression.confidence))


def cue_levels(readings: Mapping[str, float]) -> dict[str, float]:
    """Each movement's level in [0, 1] from mean face readings; unmeasured movements are absent."""
    levels = {}
    for cue, (columns, starts, full) in CUE_COLUMNS.items():
        values = [readings[name] for name in columns if np.isfinite(readings.get(name, np.nan))]
        if values:
            levels[cue] = float(np.clip((np.mean(values) - starts) / (full - starts), 0.0, 1.0))
    return levels


def segments(
    starts: Sequence[float], ends: Sequence[float], winners: Sequence[int], least_s: float = 3.0, most_s: float = 20.0
) -> list[tuple[int, int]]:
    """Steps grouped into spans [first, last) with one likeliest category each.

    Args:
        starts: seconds, ascending.
        ends: seconds.
        winners: likeliest category per step, -1 where the step abstains; such steps and gaps end a span.
        least_s: minimum length in seconds; shorter spans join a touching neighbour.
        most_s: maximum length in seconds; longer spans are cut.
    """
    runs: list[tuple[int, int, int]] = []
    for step, winner in enumerate(winners):
        if winner < 0:
            continue
        touches = bool(runs) and runs[-1][1] == step and abs(starts[step] - ends[step - 1]) < 1e-6
        joins = touches and runs[-1][2] == winner
        # A blip between two runs of the same winner joins them.
        if joins:
            runs[-1] = (runs[-1][0], step + 1, winner)
        elif touches and len(runs) > 1 and _is_blip(runs, winner, starts, ends, least_s):
            runs[-2:] = [(runs[-2][0], step + 1, winner)]
        else:
            runs.append((step, step + 1, winner))
    merged: list[tuple[int, int]] = []
    for first, last, _ in runs:
        is_short = ends[last - 1] - starts[first] < least_s
        touches = bool(merged) and merged[-1][1] == first and abs(starts[first] - ends[first - 1]) < 1e-6
        if touches and (is_short or ends[first - 1] - starts[merged[-1][0]] < least_s):
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return [span for first, last in merged for span in _cut(first, last, starts, ends, most_s)]


def _is_blip(
    runs: Sequence[tuple[int, int, int]], winner: int, starts: Sequence[float], ends: Sequence[float], least_s: float
) -> bool:
    """Whether the last run is short and lies between two runs of the same winner."""
    (_, end, before), (first, last, _) = runs[-2], runs[-1]
    touches = end == first and abs(starts[first] - ends[end - 1]) < 1e-6
    return touches and before == winner and ends[last - 1] - starts[first] < least_s


def _cut(first: int, last: int, starts: Sequence[float], ends: Sequence[float], most_s: float) -> list[tuple[int, int]]:
    """Steps [first, last) in equal parts no longer than most_s."""
    count = min(last - first, max(1, int(np.ceil((ends[last - 1] - starts[first]) / most_s - 1e-9))))
    edges = [first + round(index * (last - first) / count) for index in range(count + 1)]
    return list(pairwise(edges))


@cache
def _likenesses() -> npt.NDArray[np.float64]:
    """(N, N) similarity of each two words of the table, in [0, 1]; 0 where one has no affinity."""
    affinity = np.stack([entry.affinity for entry in word_table()])  # (N, 7)
    directions = affinity / np.maximum(np.linalg.norm(affinity, axis=1, keepdims=True), 1e-9)
    valence, arousal = np.array([(entry.valence, entry.arousal) for entry in word_table()]).T
    distance = np.hypot(valence[:, None] - valence, arousal[:, None] - arousal)
    return np.asarray((directions @ directions.T) * np.exp(-((distance / 0.6) ** 2)))


def _entry(row: Mapping[str, str], sense: Sense) -> WordEntry:
    affinity = np.zeros(len(EKMAN))
    for part in row['categories'].split():
        category, share = part.split(':')
        affinity[EKMAN.index(category)] = float(share)
    return WordEntry(
        row['word'], sense.valence, sense.arousal, sense.origin, affinity,
        tuple(row['goemotions'].split()), tuple(row['cues'].split()), float(row['least']), float(row['most']),
    )  # fmt: skip
