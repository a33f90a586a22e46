"""Valence and arousal of the words: norms first, then ratings of valence, then the group.

    derived = (group's valence, group's arousal) * (0.75 + intensity / 2)
    valence = mean of derived and VADER's mean rating / 4, where the signs agree

`check` predicts what is known from the rest: the norms without the norms, the ratings without the ratings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sources import Entry, Group

Values = tuple[float, float, str]


def read_vader(path: Path) -> dict[str, float]:
    """Word to mean rating of valence, from [-4, 4] to [-1, 1]."""
    ratings = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        word, mean, *_ = line.split('\t')
        ratings[word] = float(mean) / 4
    return ratings


def derived(entry: Entry, group: Group) -> tuple[float, float]:
    """Valence and arousal from the group alone."""
    scale = 0.75 + entry.intensity / 2
    return clipped(group.valence * scale), clipped(group.arousal * scale)


def rating_of(entry: Entry, forms: Sequence[str], ratings: Mapping[str, float]) -> float | None:
    """The base's rating, else the mean over its rated forms."""
    if entry.base in ratings:
        return ratings[entry.base]
    rated = [ratings[form] for form in forms if form in ratings]
    return float(np.mean(rated)) if rated else None


def value_of(
    entry: Entry, group: Group, forms: Sequence[str], ratings: Mapping[str, float], known: Mapping[str, Values]
) -> Values:
    """Valence, arousal and where they come from: norm, near, vader, group or wordnet."""
    if entry.base in known:
        return known[entry.base]
    valence, arousal = derived(entry, group)
    rating = rating_of(entry, forms, ratings)
    if rating is not None and rating * valence > 0:
        return round((valence + rating) / 2, 3), round(arousal, 3), 'vader'
    return round(valence, 3), round(arousal, 3), entry.origin


def check(
    entries: Sequence[Entry],
    groups: Mapping[str, Group],
    forms: Mapping[str, Sequence[str]],
    ratings: Mapping[str, float],
    known: Mapping[str, Values],
) -> dict[str, object]:
    """How well the group and the intensity alone say what norms and ratings say."""
    norms, rated, opposed = [], [], []
    ratings_by_group: dict[str, list[float]] = {}
    for entry in entries:
        valence, arousal = derived(entry, groups[entry.group])
        rating = rating_of(entry, forms[entry.base], ratings)
        if entry.base in known and known[entry.base][2] == 'norm':
            blend = (valence + rating) / 2 if rating is not None and rating * valence > 0 else valence
            norms.append((known[entry.base][0], known[entry.base][1], valence, arousal, blend))
        if rating is not None:
            rated.append((rating, valence))
            ratings_by_group.setdefault(entry.group, []).append(rating)
            if rating * valence < 0:
                opposed.append(entry.base)
    norm, vader = np.array(norms), np.array(rated)
    positive, negative = vader[(vader > 0).all(axis=1)], vader[(vader < 0).all(axis=1)]
    return {
        'norm_words': len(norm),
        'norm_valence_r': correlation(norm[:, 0], norm[:, 4]),
        'norm_valence_r_group_only': correlation(norm[:, 0], norm[:, 2]),
        'norm_arousal_r': correlation(norm[:, 1], norm[:, 3]),
        'vader_words': len(vader),
        'vader_r': correlation(vader[:, 0], vader[:, 1]),
        'vader_r_both_positive': correlation(positive[:, 0], positive[:, 1]),
        'vader_r_both_negative': correlation(negative[:, 0], negative[:, 1]),
        'vader_sign_agreement': round(float((np.sign(vader[:, 0]) == np.sign(vader[:, 1])).mean()), 4),
        'vader_r_from_other_words_of_the_group': correlation(*np.array(_left_out(groups, ratings_by_group)).T),
        'vader_opposed': sorted(opposed),
        'note': 'group values were set by hand with the norms known; intensity by hand without looking at VADER',
    }


def _left_out(groups: Mapping[str, Group], ratings: Mapping[str, Sequence[float]]) -> list[tuple[float, float]]:
    """Each rating beside the mean of the others in its group, where there are three or more."""
    return [
        (rating, (sum(ratings[name]) - rating) / (len(ratings[name]) - 1))
        for name in groups
        if len(ratings.get(name, ())) > 3
        for rating in ratings[name]
    ]


def correlation(left: np.ndarray, right: np.ndarray) -> float:
    return round(float(np.corrcoef(left, right)[0, 1]), 4)


def clipped(value: float) -> float:
    return float(np.clip(value, -1.0, 1.0))
