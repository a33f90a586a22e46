"""A description whose labels a describer generated, and whose clues were measured of the very clip.

A small language model that writes freely invents clues. So it names the emotions, and a grammar writes the rest: of the
readings that have a level (`Terciles`), those that lie farthest from the middle are stated, in the words of
`wordings.json`. No other clue can be written, and none of a modality that the clip lacks.

    angry; f0_mean_hz 280, loudness_lufs -14   ->   The person seems angry. The voice is high in pitch and loud.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affekt.arrays import Floats32
from affekt.description.wordings import Terciles, Wordings, packaged_wordings
from affekt.errors import WeightsError
from affekt.features import RECIPES
from affekt.wording import listed as in_words

MOST = 2
"""Default number of readings of a source that are stated."""


@dataclass(frozen=True)
class Grounded:
    """A description and what it rests on.

    Args:
        text: sentences; '' where nothing is named and nothing was measured.
        labels: words for emotions, as the describer generated them.
        levels: reading to its level, for the readings that the text states.
    """

    text: str
    labels: tuple[str, ...]
    levels: Mapping[str, str]


def grounded(
    labels: Sequence[str],
    readings: Mapping[str, float],
    terciles: Terciles,
    *,
    most: int = MOST,
    wordings: Wordings | None = None,
) -> Grounded:
    """A description of a clip from its labels and measured readings.

    Args:
        labels: the generated labels; () where none could be read out of the answer.
        readings: measured values by the names of clues; see `measured`.
        terciles: terciles of the training clips.
        most: most readings of a source that are stated.
        wordings: words of the description; None for the packaged ones.
    """
    words = wordings or packaged_wordings()
    levels = terciles.levels({name: value for name, value in readings.items() if name in words.clues})
    chosen: dict[str, list[str]] = {}
    for name in sorted(levels, key=lambda each: -_extremeness(readings[each], terciles.bounds[each])):
        own = chosen.setdefault(words.clues[name].source, [])
        if len(own) < most:
            own.append(name)
    sentences = [words.statements(list(labels))[0]] if labels else []
    for source, names in chosen.items():
        phrases = in_words([words.clues[name].phrases[levels[name]][0] for name in names])
        sentences.append(words.sentences[source][0].format(clues=phrases))
    stated = {name: levels[name] for names in chosen.values() for name in names}
    return Grounded(' '.join(sentences), tuple(labels), stated)


def _extremeness(value: float, bounds: tuple[float, float]) -> float:
    """Distance of a reading from the middle of its terciles, as a multiple of the distance between them."""
    low, high = bounds
    return abs(value - (low + high) / 2) / (high - low)


def measured(
    features: Mapping[str, Floats32], recipes: Mapping[str, str], wordings: Wordings | None = None
) -> dict[str, float]:
    """The readings of a clip by the names of clues, out of the features that a describer perceives.

    Args:
        features: source to its (T, D) or (D,) features, for the sources that the clip has.
        recipes: source to the recipe of its features; one whose columns have no names gives nothing.
        wordings: the clues to be looked for; None for the packaged ones.
    """
    clues = (wordings or packaged_wordings()).clues
    readings: dict[str, float] = {}
    for source, values in features.items():
        recipe = RECIPES[recipes[source]] if recipes.get(source) in RECIPES else None
        columns = recipe.columns if recipe else ()
        row = np.asarray(values, np.float64).reshape(-1, np.shape(values)[-1]).mean(axis=0)
        for name, clue in clues.items():
            if clue.column in columns and math.isfinite(value := float(row[columns.index(clue.column)])):
                readings[name] = value
    return readings


def noted_terciles(notes: Mapping[str, Any]) -> Terciles:
    """The terciles of training clips that a describer's notes hold; none where they have none.

    Raises:
        WeightsError: they have another form.
    """
    content = notes.get('terciles', {})
    try:
        return Terciles({str(name): (float(low), float(high)) for name, (low, high) in content.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsError(
            expected='terciles by reading among the notes of a describer', came=str(error),
            todo='name the folder that training wrote',
        ) from error  # fmt: skip
